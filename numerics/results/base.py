"""What every result can do."""

from __future__ import annotations

from numerics.display import Shown
from numerics.plotting import Drawn
from numerics.results.labelled import Tabled
from numerics.results.storage import Stored


class Result(Shown, Drawn, Stored, Tabled):
    """A result that shows, draws, saves and loads itself, and gives its numbers with labels."""
