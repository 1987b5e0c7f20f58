"""The panel finds planted limits and trends, fails a wrong theory, and resumes."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from derivations.figures import network_widths as widths
from derivations.figures import trained_networks as panel

CASES = (("linear", "rnn"), ("linear", "dnn"))
WIDTHS = (32, 64, 128, 256)
PLAN = widths.WidthPlan(CASES, WIDTHS, 2, 120, 40)
UPPER = np.triu_indices(widths.T - 1)


@cache
def theory_of(arch):
    return widths.predicted(widths.problem(("linear", arch)))


def planted(settings):
    """Independent draws around the theory's kernel, shifted by a/N and as wide as one network's of that width."""
    kernel = theory_of(settings["arch"]).kernel
    N, rng = settings["width"], np.random.default_rng(settings["seed"])
    size = np.sqrt(np.outer(kernel.diagonal(), kernel.diagonal())[UPPER])
    noise = rng.standard_normal((settings["chains"], settings["steps"], len(size)))
    draws = kernel[UPPER] + size * (3 / N + noise / np.sqrt(N))
    return {"kernels": draws.tolist(), "has_sign_symmetry": True, "sign_flips": [0, 0], "acceptance": 1.0, "seconds": 0}


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
    assert names == tables | {f"trained-networks.{form}" for form in ("png", "pdf", "svg")}
    rows = list(csv.DictReader((tmp_path / "trained-networks-kernel.csv").read_text(encoding="utf-8").splitlines()))
    # the trend in 1/N that was planted
    z = [
        (float(row["shift"]) - 3 * float(np.sqrt(scale))) / float(row["shift_error"])
        for row, scale in zip(rows, planted_scales(), strict=True)
    ]
    assert np.abs(z).max() < 4


def test_an_interrupted_panel_resumes(tmp_path, simulations):
    first = widths.simulated(PLAN, tmp_path, 1, silent)
    assert len(simulations) == len(CASES) * len(WIDTHS)
    (tmp_path / "linear-rnn-64.json").unlink()
    assert widths.simulated(PLAN, tmp_path, 1, silent) == first
    assert len(simulations) == len(CASES) * len(WIDTHS) + 1


def planted_scales():
    for case in CASES:
        kernel = theory_of(case[1]).kernel
        yield from np.outer(kernel.diagonal(), kernel.diagonal())[UPPER]


def test_misalignment_falls_with_the_planted_power(simulations):
    theory = theory_of("rnn")
    settings = {"activation": "linear", "arch": "rnn", "chains": 2, "steps": 120}
    runs = {N: planted({**settings, "width": N, "seed": N}) for N in WIDTHS}
    power, error = widths.exponent(widths.compare(theory, runs))
    assert abs(power + 1) < 4 * error + 0.03
    assert error < 0.05


@pytest.mark.parametrize("fault", ["scale", "mask", "one entry"])
def test_a_wrong_theory_is_found_out(fault):
    theory = theory_of("rnn")
    settings = {"activation": "linear", "arch": "rnn", "chains": 2, "steps": 120}
    runs = {N: planted({**settings, "width": N, "seed": N}) for N in WIDTHS}
    assert widths.compare(theory, runs).agreement.agrees
    kernel = theory.kernel.copy()
    if fault == "scale":  # alignment cannot see this
        kernel *= 1.1
    elif fault == "mask":
        kernel = np.diag(kernel.diagonal())
    else:
        kernel[0, 1] = kernel[1, 0] = 1.15 * kernel[0, 1]
    result = widths.compare(replace(theory, kernel=kernel), runs)
    assert not result.agreement.agrees
    if fault == "scale":
        assert result.agreement.cka > 0.999


def test_both_signs_of_a_coherent_state_are_taken_to_one():
    theory = theory_of("rnn")
    run = planted({"activation": "linear", "arch": "rnn", "chains": 2, "steps": 120, "width": 256, "seed": 1})
    entries = np.array(run["kernels"])
    flip = (-1.0) ** np.abs(UPPER[0] - UPPER[1])
    mixed = {**run, "kernels": np.stack([entries[0], flip * entries[1]]).tolist()}
    np.testing.assert_allclose(widths.read_off(theory, mixed).kernel, widths.read_off(theory, run).kernel)
    not_fixed = widths.read_off(replace(theory, one_sign=False), mixed)
    assert abs(not_fixed.kernel[0, 1]) < 0.5 * abs(theory.kernel[0, 1])


def test_the_panel_is_listed():
    assert panel.PANEL.number == "4"
