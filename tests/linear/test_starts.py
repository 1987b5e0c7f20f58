"""Kernels that fit labels, from which the search for the lowest state starts: their growth, directions and number."""

import numpy as np
import pytest

from numerics import solve_all, state_near
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linear import starts
from numerics.linear.functional import kernel_functional

nan = np.nan


@pytest.mark.parametrize(("size", "learnt"), [(0.5, False), (0.99, False), (1.01, True), (4.0, True)])
def test_labels_that_are_reproduced_by_less_than_half_are_not_learnt(size, learnt):
    functional = kernel_functional(endpoint(3, 9.0, kappa=2.0, v=1.5))
    H = np.diag([1.0, size * 2.0 / 1.5])  # v H beside κ
    y = np.sqrt(9.0 * 1.5)
    expected = 0.0 if learnt else 0.5 * y**2 / (size * 2.0 + 2.0)
    assert starts.unlearnt_energy(functional.at(H)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("signal", "noise", "steps", "copies"), [(50.0, 1.0, 3, 1), (4000.0, 60.0, 3, 3), (1e5, 0.0, 6, 2)]
)
def test_the_gain_is_the_largest_growth_that_pays(signal, noise, steps, copies):
    x = starts.gain(signal, noise, steps, copies)

    def excess(x):
        return steps * signal * x**steps - copies * (x - 1) * (x**steps + noise) ** 2

    assert excess(0.97 * x) > 0 > excess(1.03 * x)
    assert all(excess(y) < 0 for y in x * np.linspace(1.03, 30, 200))


def test_no_growth_pays_for_weak_labels():
    assert starts.gain(1e-4, 1.0, 3, 1) is None
    assert starts.gain(60.0, 1e4, 3, 3) is None


def test_messages_are_the_labels_carried_back_to_the_inputs():
    functional = kernel_functional(endpoint(4, 25.0))
    (message,) = starts.messages(functional, functional.targets)
    assert message.steps == 3
    assert message.size == pytest.approx(5.0)
    np.testing.assert_allclose(np.abs(message.rows), np.eye(3), atol=1e-12)
    problem = sequence(6, 0.7, 2.0, (2, 5))
    functional = kernel_functional(problem)
    found = starts.messages(functional, functional.targets)
    assert [each.steps for each in found] == [2, 5]
    np.testing.assert_allclose([each.size for each in found], np.linalg.norm(problem.y[:, [1, 4]], axis=0))
    zero = Problem([[1.0]], [[nan, 0.0]])
    functional = kernel_functional(zero)
    assert starts.messages(functional, functional.targets) == []


def test_fresh_directions_grow_the_variances_by_the_gain_at_every_step():
    functional = kernel_functional(endpoint(5, 4000.0, kappa=3.0, arch="dnn"))
    prior = functional.prior_kernel()
    subset = tuple(starts.messages(functional, functional.targets))
    x = starts.gain(4000.0, 3.0, 4, 4)
    np.testing.assert_allclose(
        starts.fresh_directions(functional, prior, subset), np.diag(x ** np.arange(1, 5)), rtol=1e-9
    )
    np.testing.assert_allclose(starts.fresh_directions(functional, prior, ()), prior)


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
def test_one_direction_grows_and_turns(angle):
    functional = kernel_functional(endpoint(5, 400.0, kappa=3.0))
    prior = functional.prior_kernel()
    subset = tuple(starts.messages(functional, functional.targets))
    x = starts.gain(400.0, 3.0, 4, 1)
    t = np.arange(1, 5)
    expected = np.eye(4) + np.sqrt(np.outer(x**t, x**t)) * np.cos(angle * np.subtract.outer(t, t))
    np.testing.assert_allclose(
        np.abs(starts.one_direction(functional, prior, subset, angle)), np.abs(expected), rtol=1e-9
    )


def test_growth_brings_a_label_up_to_the_noise_at_least():
    functional = kernel_functional(endpoint(4, 10.0, kappa=1e6))
    (message,) = starts.messages(functional, functional.targets)
    prior = functional.prior_kernel()
    assert starts.gain(10.0, 1e6, 3, 1) is None
    assert starts._gain(functional, prior, message, 1) == pytest.approx(100.0)
    weak = kernel_functional(endpoint(4, 0.01))
    (message,) = starts.messages(weak, weak.targets)
    assert starts._gain(weak, weak.prior_kernel(), message, 1) == starts.LEAST_GAIN


@pytest.mark.parametrize(
    ("problem", "groups", "number"),
    [
        (endpoint(4, 25.0), True, 1 + 6 + starts.RANDOM),
        (endpoint(4, 25.0), False, 1 + 6 + 3),  # no more random ones than dimensions
        (endpoint(4, 25.0, arch="dnn"), True, 1 + starts.RANDOM),
        # labels of two patterns at two times: all, either time, each of four by itself
        (sequence(5, 0.7, 2.0, (2, 4)), True, 7 + 2 * 4 + 4 * 4 + starts.RANDOM),
        (sequence(5, 0.7, 2.0, (2, 4)), False, 7 + starts.FEW_RANDOM),
    ],
)
def test_every_start_is_a_kernel_and_there_are_as_many_as_said(problem, groups, number):
    functional = kernel_functional(problem)
    found = list(starts.kernels(functional, groups=groups))
    assert len(found) == number
    for H in found:
        assert np.isfinite(functional.at(H).free_energy)
        np.testing.assert_array_equal(H, H.T)
    again = list(starts.kernels(functional, groups=groups))
    np.testing.assert_array_equal(np.array(found), np.array(again))


def test_trajectories_lead_to_the_minimum_that_they_were_drawn_in():
    """Where labels come late under strong noise, with and without learning: each is found from its own neurons."""
    problem, rng = endpoint(4, 575.0, kappa=60.0, arch="dnn"), np.random.default_rng(0)
    minima = [state for state in solve_all(problem) if state.stable]
    assert len(minima) == 2
    for state in minima:
        found = state_near(problem, rng.multivariate_normal(np.zeros(3), state.kernel, size=20000))
        assert found.converged
        assert found.free_energy == pytest.approx(state.free_energy, abs=1e-12)
        assert np.abs(np.abs(found.kernel) - np.abs(state.kernel)).max() < 1e-6
    with pytest.raises(InputError, match="trajectories: 2 rows do not tell their covariance; accepted: many times 3"):
        state_near(problem, rng.standard_normal((2, 3)))
    with pytest.raises(InputError, match="seed: is 1; accepted: nothing, a linear network"):
        state_near(problem, np.ones((9, 3)), seed=1)
