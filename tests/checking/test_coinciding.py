"""Patterns with one trajectory until a time, in everything that asks for a state's law: one row of Φ for each."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from numerics import certify, kernel_sd, kernel_shift, load, outliers, plot, predict, save, solve
from numerics.checking import weights
from numerics.checking.check import check
from numerics.checking.laws import law_of
from numerics.checking.regions import nearest, region
from numerics.inputs.problem import Problem
from numerics.nonlinear.trajectories import state_average
from numerics.predictors.finite_width import log_mass
from tests.continuation.one_branch import branch_through

nan = np.nan


def equal_rows(**options):
    """A pattern given twice, and another."""
    x = [[1.2, 0.4], [1.2, 0.4], [0.3, -1.0]]
    return Problem(x, [[nan, 1.5], [nan, 1.0], [nan, -1.0]], kappa=0.3, **options)


def delayed_xor(**options):
    """Two cues of two lines each, one after the other."""
    x, y = np.zeros((4, 2, 4)), np.full((4, 2), nan)
    for p in range(4):
        first, second = divmod(p, 2)
        x[p, 0, first] = x[p, 1, 2 + second] = 2.0
        y[p, -1] = 1.0 if first != second else -1.0
    return Problem(x, y, kappa=0.3, **options)


def flip_flop(**options):
    """Pulses of either sign; the output is the last one's."""
    pulses = 1.5 * np.array([[1.0, 0.0], [1.0, -1.0], [-1.0, 0.0]])
    return Problem(pulses[:, :, None], [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], kappa=0.3, **options)


TASKS = [equal_rows, delayed_xor, flip_flop]


@cache
def solved(task, activation, **options):
    problem = task(activation=activation, **options)
    return solve(problem) if activation == "linear" else solve(problem, tolerance=3e-2)


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.__name__)
def state(request):
    """Of erf."""
    return solved(request.param, "erf")


def test_the_law_of_trajectories_is_the_states(state):
    law = law_of(state)
    problem = state.problem
    assert law.size == problem.n * problem.P
    second = (law.points * law.probability[:, None]).T @ law.points
    size = np.sqrt(np.diagonal(state.second_moment))
    assert np.abs((second - state.second_moment) / np.outer(size, size)).max() < 0.08  # of the state, too
    activity = problem.activation.value(law.points)
    kernel = (activity * law.probability[:, None]).T @ activity
    assert np.abs(kernel - state.kernel).max() < 0.05 * state.kernel.max()
    # patterns of one history are one: no two points tell them apart
    np.testing.assert_array_equal(law.points[:, 0], law.points[:, 1])


def test_averages_are_taken_over_distinct_rows(state):
    at = state_average(state)
    assert at.point.kernel.shape == (at.space.m, at.space.m)
    assert at.space.m < len(state.kernel)
    gradient = np.linalg.norm(at.point.gradient)
    assert gradient < 0.1 * at.point.scale  # stationary, but for the noise of other points


def test_a_sampled_kernel_is_in_the_phase_that_it_is_near(state):
    here = region(state)
    assert here.distances(state.kernel[None])[0] < 1e-12
    rows = law_of(state).draw(np.random.default_rng(0), 3 * 400).reshape(3, 400, -1)
    activity = state.problem.activation.value(rows)
    kernels = np.swapaxes(activity, 1, 2) @ activity / 400
    distances = here.distances(kernels)
    assert (distances > 1e-4).all()
    assert (distances < 1).all()
    other = region(replace(state, kernel=1.5 * state.kernel))
    assert (nearest([other, here], kernels) == 1).all()


def test_the_weight_of_a_pattern_given_twice_is_that_of_one():
    """With twice the noise the posterior is the same, and so are all determinants over distinct rows."""
    y = [[nan, 2.0]]
    once = solve(Problem([[1.2, 0.4]], y, activation="erf", kappa=0.5))
    twice = solve(Problem([[1.2, 0.4]] * 2, y * 2, activation="erf", kappa=1.0))
    assert log_mass(twice, 100) == pytest.approx(log_mass(once, 100), abs=1e-6)
    np.testing.assert_allclose(kernel_shift(twice)[::2, ::2], kernel_shift(once), atol=1e-6)
    np.testing.assert_allclose(kernel_sd(twice, 1)[1::2, ::2], kernel_sd(once, 1), atol=1e-6)
    np.testing.assert_allclose(law_of(twice).points[:, ::2], law_of(once).points, atol=1e-7)


@pytest.mark.parametrize(
    ("task", "activation"),
    [
        *((task, "linear") for task in TASKS),
        (flip_flop, "erf"),
        pytest.param(equal_rows, "erf", marks=pytest.mark.slow),
        pytest.param(delayed_xor, "erf", marks=pytest.mark.slow),
    ],
)
def test_a_check_runs_and_judges(task, activation, monkeypatch):
    monkeypatch.setattr(weights, "DRAWS", 20_000)
    options = {"steps": 40, "warmup": 40, "chains": 2, "seed": 0, "workers": 1}
    checked = check(task(activation=activation), 64, **options)
    assert checked.verdict in ("agrees", "undecided"), checked.reason
    assert checked.agreement is not None
    assert checked.agreement.cka > 0.97
    assert np.isfinite(checked.agreement.z).all()


@pytest.mark.parametrize("activation", ["linear", "erf"])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_whatever_a_state_is_asked(task, activation, tmp_path):
    """An answer, or one line that says what is not had."""
    state = solved(task, activation)
    problem, positions = state.problem, state.problem.n * state.problem.P
    assert predict(state).mean.shape == (problem.P, problem.n)
    assert (np.abs(outliers(state)) > np.sqrt(problem.w)).all()
    save(state, tmp_path / "state.npz")
    np.testing.assert_array_equal(load(tmp_path / "state.npz").kernel, state.kernel)
    plot(state)
    assert f"P = {problem.P}" in repr(state)
    if activation != "linear":
        return
    assert kernel_sd(state, 64).shape == kernel_shift(state).shape == (positions, positions)
    assert certify(state) is not None
    branch = branch_through(problem, "kappa", (0.25, 0.35), state.reduced)
    assert len(branch.points) > 1
