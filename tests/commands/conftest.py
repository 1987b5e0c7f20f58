"""What commands print is looked at, and their numbers beside those of functions: few draws will do."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _few_draws(few_draws: None) -> None:
    """Of the exact density."""
