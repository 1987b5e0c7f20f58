"""The panels of the poster's section 5, with networks too small to agree: what is drawn and written was found."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from derivations.figures import endpoint_kernels, landscape, order_parameter
from derivations.figures.panel import Effort, styled
from numerics import endpoint, solve
from numerics.predictors.observables import outliers

SMALL = {"width": 16, "steps": 12, "warmup": 40, "chains": 2}
EFFORT = Effort(quick=True, workers=1)


def quiet(what: str, done: float, total: float) -> None:
    assert 0 <= done <= total


def columns(path: Path) -> dict[str, list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def numbers(path: Path, name: str) -> np.ndarray:
    return np.array([float(value) for value in columns(path)[name]])


@pytest.fixture
def small(monkeypatch):
    """Every simulation of a panel at `SMALL`."""

    def install(module, simulate):
        monkeypatch.setattr(module, "finished_run", lambda path, settings, run: simulate(dict(settings) | SMALL))

    return install


def test_signals_are_weak_and_strong():
    """The weak one is below the fold, the strong one makes an outlier."""
    weak, strong = (solve(endpoint(6, signal)) for signal in endpoint_kernels.SIGNALS.values())
    assert (weak.branch, strong.branch) == ("incoherent", "coherent")
    assert outliers(strong)[0].size == 1


def test_the_mean_outlier_has_the_error_of_the_chains_means():
    draws = [(0, 1.4), (0, 1.2), (1, 1.5), (1, 1.3)]
    spectra = [SimpleNamespace(chain=chain, values=np.array([0.3j, value, -0.9])) for chain, value in draws]
    np.testing.assert_allclose(endpoint_kernels.mean_outlier(SimpleNamespace(spectra=spectra)), [1.35, 0.05])
    assert endpoint_kernels.mean_outlier(SimpleNamespace(spectra=[])) == []


@pytest.mark.slow
def test_landscape(tmp_path, small):
    small(landscape, lambda settings: landscape.histogram(settings, 1))
    result = landscape.make(tmp_path, EFFORT, quiet)
    assert all(Path(path).exists() for path in result["files"])
    share = numbers(tmp_path / "landscape-histogram.csv", "share")
    # three histograms; little of |q| is beyond the last edge
    assert 2.5 < share.sum() <= 3 + 1e-12
    theory = numbers(tmp_path / "landscape-histogram.csv", "theory")
    assert 2.8 < theory.sum() < 3
    F = numbers(tmp_path / "landscape-discontinuous.csv", "free_energy").reshape(3, -1)
    below, equal, above = F.min(axis=1)
    assert below == 0
    assert abs(equal) < 5e-4
    assert above < -0.1
    assert numbers(tmp_path / "landscape-plane.csv", "free_energy").size == 151 * 121


@pytest.mark.slow
def test_a_point_of_each_phase_is_compared_with_its_own_state():
    problem = endpoint(order_parameter.JUMP_T, 38.0, kappa=order_parameter.JUMP_KAPPA)
    states = {phase: order_parameter.expected_state(problem, phase) for phase in ("incoherent", "coherent")}
    assert all(state.branch == phase and state.stable for phase, state in states.items())
    # where only one phase is stable it is that one
    assert order_parameter.expected_state(endpoint(4, 20.0), "incoherent").branch == "coherent"


def test_order_parameter_draws_every_point(monkeypatch):
    from matplotlib import pyplot as plt

    scan = order_parameter.jump_scan()
    assert [point.type for point in scan.special_points] == ["fold", "equal-free-energy", "pitchfork"]
    rows = [("rnn", 4, 14.0, "prior", 2.0), ("dnn", 4, 14.0, "prior", 0.0), ("rnn", 6, 36.0, "prior", 0.1)]
    rows.append(("rnn", 6, 41.0, "coherent", 20.0))
    names = ("arch", "T", "signal", "init", "simulated")
    points = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    points |= {"theory_at_width": points["simulated"], "standard_error": [0.1] * 4, "width": [256] * 4}
    with styled():
        figure, (above, below) = plt.subplots(2, 1)
        order_parameter.draw_continuous(above, order_parameter.theory_curves(), points)
        order_parameter.draw_hysteresis(below, scan, points)
        diamonds = [[line for line in axes.lines if line.get_marker() == "D"] for axes in (above, below)]
        figure.canvas.draw()
    assert [sum(len(line.get_xdata()) for line in lines) for lines in diamonds] == [2, 2]
