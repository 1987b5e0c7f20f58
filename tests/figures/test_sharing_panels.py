"""The panels of shared weights and of skip connections, and the kernel's exact law that their networks meet."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from derivations.figures import sharing_phases, skip_unfolding
from derivations.figures.kernel_law import NetworkLaw, mean_coherence
from derivations.figures.panel import Effort
from numerics import endpoint, solve_all
from numerics.sampling import simulate
from numerics.sampling.diagnostics import summarise
from theory.landau import landau_expansion
from theory.sharing import sharing

SMALL = {"width": 32, "steps": 12, "warmup": 40, "chains": 2}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("width", [8, 40])
def test_the_law_of_a_random_network(width):
    """Independent matrices, no label: h^3 is independent of h^2, so that the mean squared coherence is 1/N."""
    task = NetworkLaw(width, 0.0, 0.0, 0.0, 1.0)
    mean, error = mean_coherence([task], [np.eye(3)], 2, seed=3, steps=3000)
    assert abs(mean[0] - 1 / width) < 4 * error[0] + 1e-3 / width
    assert error[0] < 0.05 / width


def test_the_law_far_beyond_the_transition_is_the_theory():
    state = next(s for s in solve_all(endpoint(4, 40.0, skip=0.3, kappa=1.0)) if s.stable)
    task = NetworkLaw(100_000, 1.0, 0.3, 40.0, 1.0, 1)
    mean, error = mean_coherence([task], [state.kernel], 1, seed=4, steps=800)
    exact = state.kernel[1, 2] / math.sqrt(state.kernel[1, 1] * state.kernel[2, 2])
    assert abs(mean[0] - exact) < 5 * error[0] + 1e-4


@pytest.mark.slow
def test_the_law_at_the_tricritical_point():
    """There F grows as cα⁶/6: ``⟨α²⟩ = (6/(cN))^{1/3} Γ(1/2)/Γ(1/6)``, with corrections of order N^{-1/3}."""
    kappa = sharing_phases.KAPPA
    sextic = float(landau_expansion(4, kappa, sharing("shared:4/5")).sextic)
    rho, signal = 0.8, sharing_phases.critical_at(0.8)
    widths = (10**5, 10**7)
    kernel = np.diag([2.25, 2.25**2, 2.25**3])
    tasks = [NetworkLaw(N, rho, 0.0, signal, float(kappa)) for N in widths]
    mean, error = mean_coherence(tasks, [kernel] * 2, 2, seed=5, steps=6000)
    scale = [(6 / (sextic * N)) ** (1 / 3) * math.gamma(1 / 2) / math.gamma(1 / 6) for N in widths]
    off = mean / scale - 1
    assert abs(off[1]) < 4 * error[1] / scale[1] + 0.05
    assert abs(off[1]) < 0.5 * abs(off[0]) + 4 * error[1] / scale[1]


@pytest.mark.slow
def test_sampled_networks_at_the_tricritical_point():
    """Two widths at ρ = 4/5, λ_c; the law of another ρ is told from theirs."""
    kappa, rho = float(sharing_phases.KAPPA), 0.8
    signal = sharing_phases.critical_at(rho)
    kernel = np.diag([2.25, 2.25**2, 2.25**3])
    for width in (32, 128):
        tasks = [NetworkLaw(width, value, 0.0, signal, kappa) for value in (rho, 0.6)]
        law, law_error = mean_coherence(tasks, [kernel] * 2, 2, seed=width, steps=5000)
        run = simulate(endpoint(4, signal, kappa=kappa, arch="shared:0.8"), width, chains=2, steps=1500, seed=width,
                       workers=2)  # fmt: skip
        squared = run.kernels[:, :, 1, 2] ** 2 / (run.kernels[:, :, 1, 1] * run.kernels[:, :, 2, 2])
        found = summarise(squared[..., None])
        z = (found.mean[0] - law) / np.hypot(found.standard_error[0], law_error)
        assert found.rhat[0] < 1.05
        assert abs(z[0]) < 4
        assert abs(z[1]) > 4


def test_the_lines_meet_at_the_tricritical_point():
    before, at, beyond = (sharing_phases.curve_at(rho) for rho in (0.75, 0.8, 0.9))
    assert before.fold == before.critical == before.equal
    assert at.fold == pytest.approx(at.critical, rel=1e-9)
    assert beyond.fold < beyond.equal < beyond.critical
    rho, kappa = sharing_phases.tricritical_line("shared", 4)
    assert np.interp(0.8, rho, kappa) == pytest.approx(float(sharing_phases.KAPPA), rel=1e-3)
    assert sharing_phases.tricritical_line("shared", 5)[0].min() == pytest.approx(0.6433, abs=0.005)
    assert sharing_phases.tricritical_line("drift", 6)[0].max() == pytest.approx(0.9258, abs=0.005)


def test_curves_with_a_skip_are_the_solver_s_states():
    for signal in (8.0, 30.0):
        states = solve_all(endpoint(4, signal, skip=skip_unfolding.SKIP, kappa=1.0))
        for sign in (1, -1) if signal > 20 else (1,):
            own = next(s for s in states if s.stable and s.kernel[1, 2] * sign > 0)
            exact = skip_unfolding.minimum(sign, signal)
            assert np.abs(own.kernel - exact).max() < 1e-4 * np.abs(exact).max()
    found = skip_unfolding.curve(0.05, 30.0, 1)
    assert len(found.turns()) == 2
    assert len(skip_unfolding.curve(0.15, 30.0, 1).turns()) == 0  # beyond the wing's cusp at 0.1369


@pytest.mark.slow
@pytest.mark.parametrize("module", [sharing_phases, skip_unfolding])
def test_the_panels_are_made(module, tmp_path, monkeypatch):
    def run(jobs, network, workers, progress):
        return [network(dict(settings) | SMALL) for settings in jobs.values()]

    monkeypatch.setattr(module, "finished_runs", run)
    if module is sharing_phases:
        monkeypatch.setattr(module, "NETWORKS", {0.8: (75.0, 300.0)})
        monkeypatch.setattr(module, "MAP_GRID", 12)
        monkeypatch.setattr(module, "GRID", 20)
    else:
        monkeypatch.setattr(module, "SIGNALS", {1: (8.0,), -1: (40.0,)})
        monkeypatch.setattr(module, "GRID", 2000)
        monkeypatch.setattr(module, "LINE_GRID", 8)
    record = module.make(tmp_path, Effort(quick=True, workers=1), lambda what, done, total: None)
    assert all(Path(name).is_file() for name in record["files"])
    name = module.PANEL.name
    for row in rows(tmp_path / f"{name}-simulation.csv"):
        assert float(row["law_error"]) < 0.05
    assert record["summary"].startswith(name)
