"""The diagram of the time paths draws one row for each path, and says how many the mask leaves."""

import pytest

from derivations.figures import panel
from derivations.figures.panel import Effort, styled
from derivations.figures.propagator_paths import draw, make
from tests.figures.conftest import FORMATS
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


def test_files_and_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(panel, "FORMATS", FORMATS)
    result = make(tmp_path, Effort(quick=True, workers=1), lambda what, done, total: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"propagator-paths.{form}" for form in ("csv", "pdf", "png", "svg")
    ]
    rows = (tmp_path / "propagator-paths.csv").read_text(encoding="utf-8").splitlines()[1:]
    cut = sum(row.endswith("True") for row in rows)
    assert 0 < cut < len(rows)
    assert f"{cut} of {len(rows)}" in result["summary"]
