"""Which phase carries the weight: against integrals over the kernel's exact law that share no code with it."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve
from numerics.checking import weights
from numerics.checking.regions import gauge_of, nearest, region
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import trajectories
from numerics.nonlinear.search import lowest_state
from numerics.predictors import finite_width
from tests.checking.states import two_phases


def learnt_share(problem: Problem, width: int, border: float) -> float:
    """Probability that the last kernel entry of a DNN with one pattern exceeds a border, by integration.

    Every layer's entry is χ²_N/N times the one before, and the labels weigh the last by
    ``(H+κ)^{-1/2} exp(-N y²/2(H+κ))``: a chain of one-dimensional integrals, on a grid in ln H.
    """
    z = np.linspace(np.log(1e-2), np.log(5e3), 1500)
    H, N = np.exp(z), width
    passed = 0.5 * N * ((z[None, :] - z[:, None]) - np.exp(z[None, :] - z[:, None]) + 1)
    log_p = 0.5 * N * (z - H + 1)
    for _ in range(problem.n - 1):
        joint = log_p[:, None] + passed
        top = joint.max(axis=0)
        log_p = top + np.log(np.exp(joint - top).sum(axis=0))
    log_p = log_p - 0.5 * N * problem.labels[0] ** 2 / (H + problem.kappa) - 0.5 * np.log(H + problem.kappa)
    p = np.exp(log_p - log_p.max())
    return float(p[border < H].sum() / p.sum())


def laplace(minima, width):
    """ln of the odds of the second minimum, from the Gaussian fluctuations."""
    first, second = (finite_width.log_mass(state, width) for state in minima)
    return second - first


@pytest.mark.parametrize(("T", "kappa", "signal"), [(4, 200.0, 3770.0), (3, 100.0, 2560.0)])
def test_weights_are_those_of_the_exact_law(T, kappa, signal, monkeypatch):
    monkeypatch.setattr(weights, "DRAWS_OF_SEVERAL", 20_000)
    problem = endpoint(T, signal, kappa=kappa, arch="dnn")
    minima = two_phases(problem)
    off = []
    for width in (128, 512):
        truth = learnt_share(problem, width, 12.0)
        off.append(width * (laplace(minima, width) - np.log(truth / (1 - truth))))
    # the Gaussian odds are off by a/N: the same a at both widths, and no constant
    assert abs(off[0]) < 15
    assert off[1] == pytest.approx(off[0], rel=0.5)
    learnt = max(weights.phases(minima, 128), key=lambda phase: phase.state.kernel[-1, -1])
    assert learnt.basis == "density"
    truth = learnt_share(problem, 128, 12.0)
    assert abs(learnt.weight - truth) < 4 * learnt.weight_error + 0.01 * truth * (1 - truth)


def test_a_mirror_image_doubles_the_weight(monkeypatch):
    monkeypatch.setattr(weights, "DRAWS_OF_SEVERAL", 20_000)
    incoherent, coherent = two_phases(endpoint(4, 500.0, kappa=60.0))
    assert not gauge_of(incoherent).steps
    assert gauge_of(coherent).steps
    assert not gauge_of(solve(endpoint(4, 40.0, arch="dnn"))).steps
    first, second = sorted(weights.phases([incoherent, coherent], 256), key=lambda phase: phase.state.branch)
    assert first.state is coherent
    odds = np.log(2) + laplace([incoherent, coherent], 256)
    assert np.log(first.weight / second.weight) == pytest.approx(odds, abs=0.1)


def test_kernels_are_in_the_phase_that_is_nearest_and_images_count():
    minima = two_phases(endpoint(4, 500.0, kappa=60.0))
    regions = [region(state) for state in minima]
    flip = (-1.0) ** np.add.outer(np.arange(3), np.arange(3))
    rng = np.random.default_rng(0)
    for position, state in enumerate(minima):
        rows = rng.standard_normal((50, 400, 3)) @ np.linalg.cholesky(state.kernel).T
        kernels = np.swapaxes(rows, 1, 2) @ rows / 400
        assert (nearest(regions, kernels) == position).all()
        assert (nearest(regions, flip * kernels) == position).all()


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_points_of_a_state_have_its_kernel(activation):
    solution = lowest_state(endpoint(3, 6.0, activation=activation, kappa=0.5))
    at = trajectories.state_average(solution, solution.problem.activation)
    p, phi = at.point.average.probability, at.nodes.activity
    assert at.point.average.effective_size > 5000
    np.testing.assert_allclose((phi * p[:, None]).T @ phi, solution.kernel, atol=0.02 * solution.kernel.max())


def test_a_network_too_narrow_for_an_expansion_is_given_the_limit_and_the_size_of_the_shift(monkeypatch):
    state = solve(endpoint(3, 5.0, activation="erf"))
    (phase,) = weights.phases([state], 64)
    assert phase.basis == "fluctuations"
    monkeypatch.setattr(weights, "next_term", lambda found, width: np.full_like(found.shift, np.inf))
    (narrow,) = weights.phases([state], 64)
    assert narrow.basis == "free energy"
    np.testing.assert_array_equal(narrow.kernel, state.kernel)
    size = np.abs(phase.kernel - state.kernel)
    np.testing.assert_allclose(narrow.kernel_error, np.hypot(size, state.kernel_error), rtol=1e-12, atol=1e-15)
