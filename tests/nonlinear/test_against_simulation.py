"""Sampled nonlinear networks against the kernel of the two conjugate equations; wrong theories do not agree.

Sampled kernels of several widths are taken to N → ∞ by their measured trend in 1/N, and each entry is held against the
theory in standard errors of that limit.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from numerics.checking.agreement import compare_means
from numerics.inputs.problem import endpoint
from numerics.nonlinear.search import lowest_state
from numerics.results.readout import mean_outputs
from numerics.sampling import simulate
from numerics.symmetry.gauge import fixed
from tests.nonlinear import quadrature_reference as reference
from tests.width_trend import width_trend

WIDTHS = (48, 96, 192)
STEPS = 280
INCOHERENT = np.diag([0.5, 0.45, 0.6])
COHERENT = np.array([[0.52, 0.41, 0.44], [0.41, 0.68, 0.72], [0.44, 0.72, 0.85]])


@cache
def sampled(problem_key, one_sign):
    """Limits of the mean kernel and of the mean outputs over `WIDTHS`, with the worst ESS and R-hat."""
    activation, arch, signal = problem_key
    problem = endpoint(4, signal, activation=activation, arch=arch)
    runs = [simulate(problem, N, "hmc-weights", chains=2, steps=STEPS, warmup=150, seed=N, workers=1) for N in WIDTHS]
    if one_sign:
        runs = [run.gauge_fixed() for run in runs]
    kernel = width_trend(WIDTHS, [r.kernel_mean for r in runs], [r.kernel_standard_error for r in runs])
    output = width_trend(WIDTHS, [r.prediction for r in runs], [r.prediction_standard_error for r in runs])
    return kernel, output, min(r.ess for r in runs), max(r.rhat for r in runs)


def agreement(key, one_sign, kernel):
    trend, _, ess, rhat = sampled(key, one_sign)
    return compare_means(kernel, trend.limit, trend.limit_standard_error, rhat=rhat, ess=ess)


def theory(key, start, **changes):
    activation, arch, signal = key
    problem = endpoint(4, signal, activation=activation, arch=arch).with_(**changes)
    return fixed(problem, reference.solve(problem, start)[0], odd=activation != "relu")


@pytest.mark.parametrize(
    ("key", "start"),
    [(("erf", "rnn", 40.0), COHERENT), (("tanh", "rnn", 40.0), COHERENT), (("erf", "rnn", 5.0), INCOHERENT)],
)
def test_the_solver_finds_the_saddle_of_the_plain_grid(key, start):
    activation, arch, signal = key
    problem = endpoint(4, signal, activation=activation, arch=arch)
    state = lowest_state(problem, tolerance=1e-6)
    assert state.converged, state.status
    np.testing.assert_allclose(fixed(problem, state.kernel, odd=True), theory(key, start), atol=2e-5)


@pytest.mark.slow
def test_coherent_erf_network_agrees_and_wrong_physics_does_not():
    key = ("erf", "rnn", 40.0)
    kernel = theory(key, COHERENT)
    assert kernel[2, 1] > 0.5  # well above the transition
    verdict = agreement(key, True, kernel)
    assert verdict.agrees, verdict.reason
    trend, output, *_ = sampled(key, True)
    assert trend.misfit > 1e-3  # a line in 1/N describes these widths
    state = type("State", (), {"problem": endpoint(4, 40.0, activation="erf"), "kernel": kernel})()
    assert np.abs((output.limit - mean_outputs(state)) / output.limit_standard_error).max() < 4
    faults = {"noise": {"kappa": 2.0}, "prior of W": {"w": 1.15}, "activation": {"activation": "tanh"}}
    for fault, change in faults.items():
        wrong = agreement(key, True, theory(key, COHERENT, **change))
        assert not wrong.agrees, fault
    assert not agreement(key, True, theory(key, INCOHERENT, arch="dnn")).agrees


@pytest.mark.slow
def test_incoherent_tanh_network_agrees():
    key = ("tanh", "rnn", 5.0)
    verdict = agreement(key, False, theory(key, INCOHERENT))
    assert verdict.agrees, verdict.reason
    assert not agreement(key, False, theory(key, INCOHERENT, activation="erf")).agrees
