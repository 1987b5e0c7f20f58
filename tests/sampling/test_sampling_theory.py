"""Sampled networks against the theory's kernel, its 1/N shift and its fluctuations."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linear import search as saddle
from numerics.predictors.finite_width import kernel_mean, kernel_sd, kernel_shift
from numerics.results.solution import Solution
from numerics.sampling import Simulation, simulate

Z_LIMIT = 4.0


def pair(problem: Problem, width: int, *, steps: int, seed: int = 7) -> tuple[Solution, np.ndarray, Simulation]:
    """The theory's state, its kernel in the positive basin, and a simulation brought to the same basin."""
    solution = saddle.lowest_state(problem)
    run = simulate(problem, width, chains=2, steps=steps, seed=seed, workers=1)
    kernel = solution.kernel
    if solution.branch == "coherent":
        run = run.gauge_fixed()
        P = problem.P
        if np.trace(kernel[-P:, -2 * P : -P]) < 0:
            signs = np.repeat((-1.0) ** np.arange(problem.n), P)
            kernel = kernel * np.outer(signs, signs)
    return solution, kernel, run


def shift_in_basin(solution: Solution, kernel: np.ndarray) -> np.ndarray:
    """The 1/N shift with the signs of `kernel`."""
    flipped = np.where(np.sign(kernel) == np.sign(solution.kernel), 1.0, -1.0)
    return kernel_shift(solution) * flipped


def worst(difference: np.ndarray, run: Simulation) -> float:
    return float(np.max(np.abs(difference) / run.kernel_standard_error))


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "signal"), [("rnn", 40.0), pytest.param("dnn", 20.0, marks=pytest.mark.slow)])
def test_kernel_at_finite_width(arch, signal):
    solution, kernel, run = pair(endpoint(4, signal, arch=arch), 96, steps=300)
    assert run.rhat < 1.05
    assert worst(run.kernel_mean - kernel - shift_in_basin(solution, kernel) / 96, run) < Z_LIMIT
    assert run.kernel_sd == pytest.approx(kernel_sd(solution, 96), rel=0.2)


@pytest.mark.slow
def test_the_wrong_architecture_disagrees():
    solution, kernel, _ = pair(endpoint(4, 40.0, arch="rnn"), 96, steps=8)
    run = simulate(endpoint(4, 40.0, arch="dnn"), 96, chains=2, steps=300, seed=7, workers=1)
    assert worst(run.kernel_mean - kernel - shift_in_basin(solution, kernel) / 96, run) > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("T", "arch", "signal"),  # appendix 09 has coherent ones of five and six times
    [(4, "rnn", 1.0), (4, "rnn", 30.0), (4, "dnn", 1.0), (4, "dnn", 30.0), (6, "dnn", 30.0)],
)
def test_mean_and_width_of_the_kernel(T, arch, signal):
    solution, kernel, run = pair(endpoint(T, signal, arch=arch), 256, steps=350)
    signs = np.where(kernel * solution.kernel < 0, -1.0, 1.0)
    assert run.rhat < 1.05
    # the exact density of the kernel at this width: close to a transition the 1/N expansion is not enough
    exact = kernel_mean(solution, 256, one_sign=solution.branch == "coherent")
    assert exact.ess > 1000
    for mean, own in (
        (run.kernel_mean, run.kernel_standard_error),
        (run.kernel_controlled.mean, run.kernel_controlled.standard_error),  # several times smaller
    ):
        assert np.max(np.abs(mean - signs * exact.kernel) / np.hypot(own, exact.standard_error)) < Z_LIMIT
    assert run.kernel_sd == pytest.approx(exact.sd, rel=0.25)


@pytest.mark.slow
def test_sequences_with_two_patterns():
    problem = sequence(5, 1.2566, 2.0, [1, 4])
    solution = saddle.lowest_state(problem)
    run = simulate(problem, 256, chains=2, steps=500, seed=7, workers=1)
    error = np.hypot(run.kernel_standard_error, 0.02 / 256 * np.abs(solution.kernel).max())
    assert np.max(np.abs(run.kernel_mean - solution.kernel - kernel_shift(solution) / 256) / error) < Z_LIMIT


@pytest.mark.slow
def test_difference_to_the_theory_falls_as_one_over_width():
    # N (mean - theory) must be the same coefficient at each width: the difference falls as 1/N, nothing is left over.
    # With control variates its error does not grow with N.
    coefficients, errors = [], []
    for width in (64, 512, 2048):
        solution, kernel, run = pair(endpoint(4, 20.0), width, steps=300)
        coefficients.append(width * (run.kernel_controlled.mean - kernel))
        errors.append(width * run.kernel_controlled.standard_error)
    predicted = shift_in_basin(solution, kernel)
    z = [(c - predicted) / e for c, e in zip(coefficients, errors, strict=True)]
    assert max(float(np.abs(value).max()) for value in z[1:]) < Z_LIMIT
    # Without the shift, the widest network disagrees.
    assert np.abs(coefficients[-1] / errors[-1]).max() > Z_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["sgld", "hmc-weights"])
def test_langevin_and_hamiltonian_dynamics_agree(sampler):
    problem = endpoint(4, 20.0, arch="dnn")
    solution, kernel, _ = pair(problem, 64, steps=8)
    options = {"steps": 20_000} if sampler == "sgld" else {"steps": 1000, "readout": "sampled"}
    run = simulate(problem, 64, sampler, chains=2, seed=9, workers=1, **options)
    bias = 0.0 if run.kernel_bias is None else run.kernel_bias
    assert worst(run.kernel_mean - bias - kernel - kernel_shift(solution) / 64, run) < Z_LIMIT
    if run.kernel_bias is not None:
        assert (np.abs(run.kernel_bias) < run.kernel_standard_error).all()
