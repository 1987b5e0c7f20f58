"""The verdict of a panel: what chains that have not mixed say is not called a disagreement, in any panel's summary."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.figures import kernel_law
from derivations.figures.panel import Panel, finished_run, save_panel
from derivations.figures.verdicts import said, together
from numerics.checking.agreement import judged


@pytest.mark.parametrize(
    ("within", "mixed", "at_width", "verdict"),
    [
        (True, True, True, "agrees"),
        (True, True, False, "agrees"),
        (False, True, True, "disagrees"),
        (False, True, False, "undecided"),
        (True, False, True, "undecided"),
        (False, False, True, "undecided"),
    ],
)
def test_a_difference_counts_where_the_chains_have_mixed(within, mixed, at_width, verdict):
    assert judged(within, mixed, at_width=at_width) == verdict


@pytest.mark.parametrize(
    ("verdicts", "verdict", "words"),
    [
        (["agrees", "agrees"], "agrees", "agree with the theory"),
        (["agrees", "undecided", "disagrees"], "disagrees", "DISAGREE with the theory"),
        (
            ["undecided", "agrees", "undecided"],
            "undecided",
            "do not decide about the theory, as chains of 2 of 3 have not mixed",
        ),
        (["undecided"], "undecided", "do not decide about the theory, as chains have not mixed"),
    ],
)
def test_all_verdicts_together_and_how_they_are_said(verdicts, verdict, words):
    assert together(verdicts) == verdict
    assert said(verdicts, "the theory") == words


def test_without_any_comparison_nothing_is_decided():
    assert together([]) == "undecided"
    assert said([], "it", why="there are no draws") == "do not decide about it, as there are no draws"


@pytest.mark.parametrize(("verdicts", "agrees"), [(["agrees"], True), (["agrees", "undecided"], False)])
def test_a_panel_s_record_has_the_verdict(verdicts, agrees, tmp_path):
    def draw():
        from matplotlib import pyplot as plt

        return plt.figure(figsize=(1, 1))

    panel = Panel("9", "mine", "", "")
    record = save_panel(panel, tmp_path, {}, draw, verdicts=verdicts, summary=said(verdicts, "it"))
    assert record["verdict"] == together(verdicts)
    assert record["agrees"] is agrees


@pytest.mark.parametrize(
    ("ess", "far", "verdict"), [(500.0, 1, "agrees"), (500.0, 9, "disagrees"), (20.0, 9, "undecided")]
)
def test_networks_beside_the_law_of_the_kernel(ess, far, verdict, monkeypatch):
    monkeypatch.setattr(kernel_law, "mean_coherence", lambda *_: (np.array([0.5]), np.array([0.0])))
    run = {"squared": 0.5 + 0.01 * far, "standard_error": 0.01, "rhat": 1.0, "ess": ess}
    (row,) = kernel_law.beside_law([run], "squared", [], [], 2, 0, 1)
    assert row["largest_z"] == pytest.approx(far)
    assert row["verdict"] == verdict


def test_a_run_of_an_earlier_program_is_made_again(tmp_path, monkeypatch):
    path, made = tmp_path / "run.json", []
    for layout in (1, 2, 2):
        monkeypatch.setattr("derivations.figures.panel.LAYOUT", layout)
        finished_run(path, {"width": 32}, lambda: made.append(0) or {"mean": 1.0})
    assert len(made) == 2
