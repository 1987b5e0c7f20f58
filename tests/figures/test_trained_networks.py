"""The panels of widths find planted means, scatter and alignment, fail a wrong theory, and resume."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from derivations.figures import mean_at_width
from derivations.figures import network_widths as widths
from derivations.figures import trained_networks as panel
from derivations.figures.panel import Effort
from numerics.checking import weights
from numerics.predictors.finite_width import kernel_changes

CASES = (("linear", "rnn"), ("linear", "dnn"))
WIDTHS = (32, 64, 128, 256)
PLAN = widths.WidthPlan(CASES, WIDTHS, 2, 120, 40)
UPPER = np.triu_indices(widths.T - 1)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(weights, "DRAWS", 20_000)


@cache
def theory_of(arch):
    return widths.predicted(widths.problem(("linear", arch)))


def planted(settings):
    """Independent draws around the mean kernel predicted at the width, with the predicted covariance."""
    theory = theory_of(settings["arch"])
    N, rng = settings["width"], np.random.default_rng(settings["seed"])
    changes = np.array(list(kernel_changes(theory.state)))
    noise = rng.standard_normal((settings["chains"], settings["steps"], len(changes)))
    draws = theory.at(N)[0] + np.tensordot(noise, changes, axes=1) / np.sqrt(N)
    entries = draws[..., UPPER[0], UPPER[1]]
    return {
        "kernels": entries.tolist(),
        "has_sign_symmetry": True,
        "sign_flips": [0, 0],
        "acceptance": 1.0,
        "seconds": 0,
    }


@pytest.fixture
def simulations(monkeypatch):
    ran = []

    def network(settings):
        ran.append(settings)
        return planted(settings)

    monkeypatch.setattr(widths, "network", network)
    return ran


def silent(what, done, total):
    pass


def test_planted_networks_agree_and_leave_their_numbers(tmp_path, simulations):
    made = panel.make_plan(PLAN, tmp_path, 1, silent)
    assert made["agrees"], made["reasons"]
    names = {path.rsplit("/", 1)[-1] for path in made["files"]}
    tables = {f"trained-networks-{name}.csv" for name in ("alignment", "kernel", "autocorrelation")}
    assert names == tables | {"trained-networks.svg"}
    rows = list(csv.DictReader((tmp_path / "trained-networks-alignment.csv").read_text(encoding="utf-8").splitlines()))
    widest = [row for row in rows if int(row["width"]) == max(WIDTHS)]
    for row in widest:
        error = float(row["misalignment_error"])
        assert abs(float(row["misalignment"]) - float(row["predicted"])) < 4 * error + 0.1 * float(row["predicted"])
        assert error < 0.2 * float(row["predicted"])


def test_an_interrupted_panel_resumes(tmp_path, simulations):
    first = widths.simulated(PLAN, tmp_path, 1, silent)
    assert len(simulations) == len(CASES) * len(WIDTHS)
    (tmp_path / "linear-rnn-64.json").unlink()
    assert widths.simulated(PLAN, tmp_path, 1, silent) == first
    assert len(simulations) == len(CASES) * len(WIDTHS) + 1


def runs_of(arch, **changes):
    settings = {"activation": "linear", "arch": arch, "chains": 2, "steps": 120, **changes}
    return {N: planted({**settings, "width": N, "seed": N}) for N in WIDTHS}


@pytest.mark.parametrize("fault", ["scale", "mask", "one entry"])
def test_a_wrong_theory_is_found_out(fault, monkeypatch):
    theory, runs = theory_of("rnn"), runs_of("rnn")
    assert widths.compare_widths(theory, runs).verdict == "agrees"
    told = widths.Theory.at

    def wrong(self, width):
        kernel, error = told(self, width)
        if fault == "scale":  # alignment cannot see this
            return 1.1 * kernel, error
        if fault == "mask":
            return np.diag(kernel.diagonal()), error
        return np.where(np.abs(np.subtract.outer(range(3), range(3))) == 2, 1.15, 1.0) * kernel, error

    monkeypatch.setattr(widths.Theory, "at", wrong)
    result = widths.compare_widths(theory, runs)
    assert result.verdict == "disagrees"
    if fault == "scale":
        assert min(part.agreement.cka for part in result.sampled.values()) > 0.999


def test_a_wrong_line_of_the_alignment_is_found_out():
    theory = theory_of("rnn")
    wrong = replace(theory, misalignment=replace(theory.misalignment, single=1.5 * theory.misalignment.single))
    result = widths.compare_widths(wrong, runs_of("rnn", steps=400))
    assert all(part.agreement.agrees for part in result.sampled.values())
    assert result.verdict == "disagrees"


@pytest.mark.slow
def test_autocorrelations_scatter_as_predicted():
    theory = theory_of("rnn")
    result = widths.compare_widths(theory, runs_of("rnn", steps=400))
    widest = result.sampled[max(WIDTHS)].autocorrelation
    told = theory.autocorrelation
    np.testing.assert_allclose(widest[2, 1:], told.sd(max(WIDTHS))[1:], rtol=0.15)
    assert np.abs((widest[0] - told.mean(max(WIDTHS)))[1:] / widest[1, 1:]).max() < 4


def test_the_mean_kernel_s_panel_draws_its_lines(tmp_path, simulations, monkeypatch):
    monkeypatch.setattr(mean_at_width, "QUICK", replace(PLAN, chains=4))
    monkeypatch.setattr(mean_at_width, "NAMES", {"rnn": "RNN", "dnn": "DNN"})
    made = mean_at_width.make(tmp_path, Effort(quick=True, workers=1), silent)
    assert made["agrees"]
    names = {path.rsplit("/", 1)[-1] for path in made["files"]}
    assert names == {f"mean-at-width.{form}" for form in ("svg", "csv")}


def test_both_signs_of_a_coherent_state_are_taken_to_one():
    theory = theory_of("rnn")
    run = planted({"activation": "linear", "arch": "rnn", "chains": 2, "steps": 120, "width": 256, "seed": 1})
    entries = np.array(run["kernels"])
    flip = (-1.0) ** np.abs(UPPER[0] - UPPER[1])
    mixed = {**run, "kernels": np.stack([entries[0], flip * entries[1]]).tolist()}
    np.testing.assert_allclose(widths.read_off(theory, 256, mixed).kernel, widths.read_off(theory, 256, run).kernel)
    not_fixed = widths.read_off(replace(theory, one_sign=False), 256, mixed)
    assert abs(not_fixed.kernel[0, 1]) < 0.5 * abs(theory.kernel[0, 1])


def test_a_mean_with_its_noise_taken_out_is_compared_where_no_sign_is_open():
    theory = theory_of("rnn")
    run = planted({"activation": "linear", "arch": "rnn", "chains": 2, "steps": 120, "width": 256, "seed": 1})
    mean, error = theory.at(256)[0], np.full((3, 3), 1e-6)
    sharp = {**run, "mean": mean.tolist(), "mean_error": error.tolist()}
    found = widths.read_off(replace(theory, one_sign=False), 256, sharp)
    np.testing.assert_array_equal(found.kernel, mean)
    np.testing.assert_array_equal(found.kernel_error, error)
    assert (widths.read_off(theory, 256, sharp).kernel_error > error).all()  # W → -W would average to 0


def test_a_run_keeps_the_mean_with_its_noise_taken_out():
    settings = {"T": 4, "signal": 4.0, "activation": "linear", "arch": "dnn", "width": 32, "chains": 2, "seed": 1}
    settings |= {"steps": 60, "warmup": 40}
    kept = [widths.network({**settings, "sharp": sharp}) for sharp in (True, False)]
    assert np.shape(kept[0]["mean"]) == np.shape(kept[0]["mean_error"]) == (3, 3)
    assert "mean" not in kept[1]
    assert kept[0]["kernels"] == kept[1]["kernels"]


def test_the_panel_is_listed():
    assert panel.PANEL.number == "4"
