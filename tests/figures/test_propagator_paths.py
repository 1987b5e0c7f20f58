"""The diagram of the time paths draws one row for each path, and says how many the mask leaves."""

import pytest

from derivations.figures.panel import styled
from derivations.figures.propagator_paths import draw, make
from theory.perturbation import paths


def test_both_panels_show_every_path_and_the_cut_ones():
    with styled():
        figure = draw(7, (1, 3, 6), (2, 3))
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        rows = len(paths(7, "rnn", 2, (1, 3, 6))[2, 3])
        assert titles[0].startswith(f"RNN: {rows} paths")
        assert titles[1].startswith(f"DNN: 0 of {rows} paths")
        crosses = [text for text in figure.axes[1].texts if text.get_text() == "×"]
        assert crosses
        assert not [text for text in figure.axes[0].texts if text.get_text() == "×"]


def test_an_entry_without_paths_is_refused():
    with styled(), pytest.raises(ValueError, match="no path of second order"):
        draw(7, (6,), (2, 3))


def test_files(tmp_path):
    assert [path.name for path in make(tmp_path)] == [f"propagator-paths.{form}" for form in ("png", "pdf", "svg")]
