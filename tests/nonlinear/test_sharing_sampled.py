"""Nonlinear networks of any weight sharing, with skip, biases and two outputs: quadrature, the sampled engine, and
sampled networks, below and beyond the transition."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.checking.agreement import compare_means
from numerics.inputs.problem import Problem
from numerics.nonlinear.search import lowest_state
from numerics.results.readout import mean_outputs
from numerics.sampling import simulate
from numerics.symmetry.gauge import fixed, rounded_gauge
from tests.nonlinear.sharing_problems import CASES, NAN, task
from tests.width_trend import width_trend

pytestmark = pytest.mark.slow

WIDTHS = (64, 128, 256)
#: Labels below and beyond the transition of those that have one; two outputs' labels in proportion.
WEAK, STRONG = 2.0, 10.0
#: What is sampled: where the coherent state is neither too near the transition for chains of this length to mix, as for
#: shared:0.5, nor below it. tests/checking/test_any_sharing.py has the other networks, at one width.
SAMPLED = [("shared", 2.0), ("skip", 6.0), ("tied", 6.0)]
#: Four hidden times: a loop of two layers, and a pair of tied matrices that are not neighbours.
LONGER = {"looped:2": "looped:2", "tied pair": [[1.0, 0, 1], [0, 0.8, 0], [1, 0, 1]]}


def problem_of(case: str, label: float) -> Problem:
    if case in LONGER:
        return Problem([[1.1]], [[NAN, NAN, NAN, label]], LONGER[case], "erf", u=1.2, v=0.9, kappa=0.7)
    problem = task(case, label)
    return problem if problem.outputs == 1 else problem.with_(y=problem.y * label / 6.0)


@pytest.mark.parametrize("label", [WEAK, STRONG])
@pytest.mark.parametrize("case", [*CASES, *LONGER])
def test_the_sampled_engine_agrees_with_quadrature(case, label):
    problem = problem_of(case, label)
    exact, sampled = lowest_state(problem), lowest_state(problem, engine="sampling")
    assert exact.engine == "quadrature"
    assert exact.converged
    assert sampled.converged, sampled.status
    assert sampled.branch == exact.branch
    difference = np.abs(exact.kernel - sampled.kernel)  # both in the sign of the one rule
    assert (difference < 4 * sampled.kernel_error + 1e-3 * exact.kernel.max()).all()
    assert sampled.free_energy == pytest.approx(exact.free_energy, rel=5e-3)


@pytest.mark.parametrize(("case", "label"), SAMPLED)
def test_sampled_networks_agree(case, label):
    """Means over HMC of all weights at three widths, taken to N → ∞ by their trend, in the standard errors of that."""
    problem = problem_of(case, label)
    state = lowest_state(problem)
    assert state.converged
    runs = [simulate(problem, N, "hmc-weights", chains=2, steps=280, warmup=150, seed=N, workers=1) for N in WIDTHS]
    kernel = state.kernel
    if rounded_gauge(problem, kernel, odd=True).steps:
        runs = [run.gauge_fixed() for run in runs]
        kernel = fixed(problem, kernel, odd=True)
    trend = width_trend(WIDTHS, [run.kernel_mean for run in runs], [run.kernel_standard_error for run in runs])
    error = np.hypot(trend.limit_standard_error, state.kernel_error)
    checks = {"rhat": max(run.rhat for run in runs), "ess": min(run.ess for run in runs)}
    verdict = compare_means(kernel, trend.limit, error, **checks)
    assert verdict.agrees, verdict.reason
    output = width_trend(WIDTHS, [run.prediction for run in runs], [run.prediction_standard_error for run in runs])
    certain = np.ones(problem.n, dtype=bool)
    certain[np.array(state.sign_arbitrary, dtype=int) - 1] = False
    z = ((output.limit - mean_outputs(state)) / output.limit_standard_error)[..., certain]
    assert np.abs(z).max() < 4.5
    if label > WEAK:
        other = lowest_state(problem.with_(kappa=2 * problem.kappa))
        assert not compare_means(fixed(problem, other.kernel, odd=True), trend.limit, error, **checks).agrees
