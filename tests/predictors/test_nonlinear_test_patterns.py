"""Test patterns of nonlinear states: exact for linear φ, and as unsupervised patterns of the joint problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.held_out import _drawn, held_out_kernel
from numerics.nonlinear.search import lowest_state
from numerics.nonlinear.space import trajectory_space
from numerics.predictors import generalisation


def two_patterns(activation, arch="rnn", **options):
    rng = np.random.default_rng(4)
    y = np.full((2, 3), np.nan)
    y[:, -1] = [2.0, -2.5]
    return Problem(
        rng.normal(size=(2, 5)), y, activation=activation, arch=arch, x_test=rng.normal(size=(2, 5)), **options
    )


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_linear_networks_have_the_closed_form(arch):
    problem = two_patterns("linear", arch)
    exact, sampled = solve(problem), lowest_state(problem, engine="sampling", size=64)
    cross, own = generalisation.held_out_kernel(exact)
    found = held_out_kernel(sampled, size=4096)
    sign = np.sign(sampled.kernel[-1, -3] * exact.kernel[-1, -3]) if arch == "rnn" else 1.0
    time = np.arange(6) // 2
    gauge = sign ** np.abs(np.arange(3)[:, None] - time)
    np.testing.assert_allclose(found.cross * gauge[:, None, :], cross, rtol=0, atol=1e-6 * np.abs(cross).max())
    np.testing.assert_allclose(found.own, own, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_without_labels_the_random_networks_kernel_is_found_with_an_error_that_falls_with_the_size(arch):
    """ReLU: points from a mixture, whose last round has as many as asked for."""
    problem = two_patterns("relu", arch)
    problem = problem.with_(y=0 * problem.y)
    joint = Problem(np.concatenate([problem.x, problem.x_test])[:, 0], np.zeros((4, 3)), arch=arch)
    exact = forward_kernel(trajectory_space(joint), NAMED["relu"]).reshape(3, 4, 3, 4)[:, 2:, :, :2].reshape(3, 2, 6)
    state = lowest_state(problem, engine="sampling", size=128, tolerance=1.0)
    few, many = (held_out_kernel(state, size=size) for size in (128, 4096))
    # what earlier times pass on is not in the error
    assert (np.abs(many.cross - exact) < 5 * many.cross_error + 0.02 * exact.max()).all()
    assert np.median(few.cross_error / many.cross_error) > 3.5  # 5.7 for independent points


@pytest.mark.parametrize(
    "features",
    [{"arch": "shared:0.5", "skip": 0.6}, {"arch": "drift:0.8", "bias": 0.5}, {"arch": [[1, -0.4], [-0.4, 0.7]]}],
    ids=["skip", "bias", "matrix"],
)
def test_without_labels_of_two_outputs_the_random_networks_kernel_is_found(features):
    """Any weight sharing, skip and biases: from one time to the next as the joint problem's forward covariance."""
    rng = np.random.default_rng(3)
    x = np.zeros((4, 3, 4))
    x[:, 0], x[1, 2], x[3, 2] = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    problem = Problem(x[:2], np.zeros((2, 3, 2)), activation="erf", x_test=x[2:], **features)
    joint = Problem(x, np.zeros((4, 3)), activation="erf", **features)
    exact = forward_kernel(trajectory_space(joint), NAMED["erf"]).reshape(3, 4, 3, 4)
    state = lowest_state(problem, engine="sampling", size=128, tolerance=1.0)
    found = held_out_kernel(state, size=2048)
    limit = 5 * found.cross_error + 5e-3 * exact.max()
    assert (np.abs(found.cross - exact[:, 2:, :, :2].reshape(3, 2, 6)) < limit).all()
    own = np.einsum("tptp->pt", exact)[2:]
    np.testing.assert_allclose(found.own, own, atol=5e-3 * exact.max())


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "arch"), [("erf", "rnn"), ("erf", "dnn"), ("relu", "rnn")])
def test_test_patterns_are_unsupervised_patterns_of_the_joint_problem(activation, arch):
    problem = two_patterns(activation, arch)
    joint = Problem(
        np.concatenate([problem.x, problem.x_test])[:, 0],
        np.concatenate([problem.y, np.full((2, 3), np.nan)]),
        activation=activation,
        arch=arch,
    )
    alone, together = lowest_state(problem, tolerance=1e-2), lowest_state(joint, tolerance=2e-2)
    assert alone.converged
    assert together.converged
    found = held_out_kernel(alone)
    blocks, errors = (part.reshape(3, 4, 3, 4)[:, 2:, :, :2] for part in (together.kernel, together.kernel_error))
    error = np.sqrt(found.cross_error.reshape(3, 2, 3, 2) ** 2 + errors**2)
    difference = np.abs(found.cross.reshape(3, 2, 3, 2) - blocks)
    assert (difference < 5 * error + 0.01 * together.kernel.max()).all()
    assert np.abs(blocks[-1, :, -1]).max() > 5 * error.max()  # there is something to compare


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_points_for_test_patterns_are_those_of_a_state_that_is_stationary_on_them(activation):
    """Few points, so that the state itself is off by a per cent on them."""
    state = lowest_state(endpoint(3, 1.0, activation=activation))
    drawn = _drawn(trajectory_space(state.problem), state.problem.activation, state, 64)
    seen = (drawn.activity * drawn.probability[:, None]).T @ drawn.activity
    assert np.abs(drawn.kernel - seen).max() < 1e-5 * seen.max()
    assert 1e-4 * seen.max() < np.abs(state.kernel - seen).max() < 0.1 * seen.max()


def test_wrong_arguments():
    state = lowest_state(two_patterns("erf"), size=64, tolerance=1.0)
    with pytest.raises(InputError, match=r"^size: .*accepted: "):
        held_out_kernel(state, size=100)
    with pytest.raises(InputError, match=r"^problem: .*accepted: "):
        held_out_kernel(replace(state, problem=state.problem.with_(x_test=None)))
