"""Ten and twelve dimensions of one neuron's trajectory, beyond any quadrature: averages over a sample."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve_all
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.nonlinear import iteration
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.search import all_states, lowest_state
from numerics.nonlinear.space import trajectory_space
from numerics.results.readout import mean_outputs
from numerics.sampling import simulate
from numerics.symmetry.gauge import fixed

pytestmark = pytest.mark.slow


def four_patterns(activation: str) -> Problem:
    rng = np.random.default_rng(0)
    y = np.full((4, 3), np.nan)
    y[:, -1] = 3 * np.array([1, -1, 1, -1])
    return Problem(rng.standard_normal((4, 6)), y, activation=activation)


def test_two_samples_agree_within_their_errors():
    """A coherent minimum and the incoherent saddle, each to a hundredth of the largest entry."""
    one, other = (all_states(four_patterns("erf"), seed=seed) for seed in (0, 1))
    assert [(s.branch, s.stable, s.converged) for s in one] == [("coherent", True, True), ("incoherent", False, True)]
    for first, second in zip(one, other, strict=True):
        scale = first.kernel.max()
        assert first.kernel_error.max() < 0.01 * scale
        z = (first.kernel - second.kernel) / np.hypot(first.kernel_error, second.kernel_error).clip(1e-6 * scale)
        assert 0.2 < np.sqrt(np.mean(z**2)) < 2  # entries are correlated
        assert np.abs(first.kernel - second.kernel).max() < 0.02 * scale


def test_a_sample_is_exact_for_a_linear_network():
    """The moving points have the trajectory's mean and covariance: no error is left, whatever their number."""
    problem = four_patterns("linear")
    exact = solve_all(problem)
    states = all_states(problem, engine="sampling", size=64)
    assert [s.branch for s in states] == [s.branch for s in exact] == ["coherent", "incoherent"]
    for state, solution in zip(states, exact, strict=True):
        np.testing.assert_allclose(state.kernel, solution.kernel, rtol=0, atol=1e-6 * solution.kernel.max())
        np.testing.assert_allclose(state.free_energy, solution.free_energy, atol=1e-6)


def test_strong_labels_end_in_the_state_of_other_seeds():
    """Below the random network's branch lie states of lags 1, 2 and 3. Each may be a minimum, from which none is found:
    from seed 2 the lowest, of lag 1, was lost before the branch was kept to uncorrelated times."""
    state = lowest_state(endpoint(7, 100.0, activation="erf"), seed=2, tolerance=0.05)
    assert state.converged, state.status
    assert state.free_energy == pytest.approx(27.58, abs=0.03)
    beside = np.diag(state.kernel, 1) / np.sqrt(np.diag(state.kernel)[1:] * np.diag(state.kernel)[:-1])
    assert np.abs(beside).min() > 0.1


def test_both_architectures_at_unsupervised_times_of_a_sequence():
    """Two patterns, five hidden times; the DNN's outputs stay 0 but for the error of the sample."""
    for arch in ("rnn", "dnn"):
        problem = sequence(6, 1.2566, 1.0, (1, 2, 4), arch=arch, kappa=0.2, activation="erf")
        state = lowest_state(problem)
        assert state.converged, state.status
        outputs = mean_outputs(state)[:, [2, 4]]
        assert (np.abs(outputs).max() > 0.2) == (arch == "rnn")


@pytest.mark.parametrize(("signal", "stable"), [(11.0, True), (16.0, False)])
def test_the_map_of_moments_turns_unstable_where_the_free_energy_does(signal, stable):
    """The critical signal of the erf network at T = 4 is 13.1251: the Hessian's by quadrature."""
    states = all_states(endpoint(4, signal, activation="erf"), engine="sampling", size=1024)
    incoherent = next(state for state in states if state.branch == "incoherent")
    assert incoherent.stable == stable
    assert (incoherent.hessian_smallest > 0) == stable
    assert (len(states) == 1) == stable


def test_relu_networks_of_several_patterns_are_found_from_every_seed():
    """Trajectories with tails: a mixture of Gaussians; states that end in a fold are followed down."""
    found = [lowest_state(four_patterns("relu"), seed=seed, size=1024, tolerance=0.1) for seed in (0, 1)]
    assert all(state.converged and state.stable for state in found)
    assert all(state.effective_points > 0.5 * state.points for state in found)
    one, other = found
    z = (one.kernel - other.kernel) / np.hypot(one.kernel_error, other.kernel_error)
    assert np.sqrt(np.mean(z**2)) < 2


def test_newton_finds_the_states_that_acceleration_does_not(monkeypatch):
    """Without acceleration: the saddle is followed by Newton's method, and left downhill by steps that it reverses."""
    problem = endpoint(4, 20.0, activation="erf")
    exact = all_states(problem)
    monkeypatch.setattr(iteration, "ITERATIONS", 1)
    found = all_states(problem, engine="sampling", size=512, tolerance=0.15)
    assert [(s.branch, s.stable, s.converged) for s in found] == [(s.branch, s.stable, s.converged) for s in exact]
    for state, known in zip(found, exact, strict=True):
        assert np.abs(state.kernel - known.kernel).max() < 5 * state.kernel_error.max()


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_eight_times_end_in_the_minimum_that_networks_are_in(activation):
    """The walk leaves saddles (erf), or falls from a fold to a kernel four orders of magnitude larger (ReLU)."""
    problem = endpoint(8, 20.0, activation=activation)
    state = lowest_state(problem, tolerance=2e-2)
    assert state.converged, state.status
    assert state.stable
    run = simulate(problem, 256, "hmc-weights", chains=1, steps=100, warmup=200, seed=1, workers=1)
    run = run.gauge_fixed() if run.has_sign_symmetry else run
    kernel = fixed(problem, state.kernel, odd=True) if run.has_sign_symmetry else state.kernel
    error = np.hypot(run.kernel_standard_error, state.kernel_error)
    # what a width of 256 may shift an entry by: 10/N of its scale
    shift = 10 / 256 * np.sqrt(np.outer(np.diag(kernel), np.diag(kernel)))
    assert (np.abs(run.kernel_mean - kernel) < 4 * error + shift).all()
    prior = forward_kernel(trajectory_space(problem), problem.activation)
    assert (np.abs(prior - kernel) > 4 * error + shift)[-1, -1]
