"""Walkers stay in a law, and laws whose points are too few for them are told."""

import numpy as np
import pytest
from scipy.special import erf

from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import by_walkers
from numerics.nonlinear.by_walkers import holds
from numerics.nonlinear.descent import Descent
from numerics.nonlinear.engine import relative_error
from numerics.nonlinear.exploration import explore
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.laws import law_at
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.search import lowest_state
from numerics.nonlinear.space import trajectory_space
from numerics.nonlinear.walkers import Walkers, on_other_points
from numerics.progress import Told
from tests.linear.test_delayed_tasks import match_to_sample

PHI = NAMED["erf"]


def test_walkers_have_the_moments_and_the_normalisation_of_a_law_with_two_maxima():
    """Against a grid over two dimensions."""
    space = trajectory_space(endpoint(3, 4.0, activation="erf"))
    precision, tilt = np.array([[0.6, 0.1], [0.1, 0.3]]), np.array([[0.4, 1.1], [1.1, 1.5]])
    root = np.linalg.cholesky(np.linalg.inv(precision))
    line = np.linspace(-16, 16, 401)
    g = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    activity = erf(np.sqrt(np.pi) / 2 * g @ space.embedding.T)
    p = np.exp(np.sum(activity @ tilt * activity, axis=1) - 0.5 * np.sum(g @ precision * g, axis=1))
    Z = p.sum() * (line[1] - line[0]) ** 2
    p /= p.sum()
    second = (g * p[:, None]).T @ g
    walkers = Walkers(space, PHI, root, 20000, np.random.default_rng(1))
    walkers.place(np.linalg.solve(root, np.linalg.solve(root, second).T))
    walkers.anneal((root, tilt), 4)
    whole = walkers.log_Z + np.log(2 * np.pi) + np.log(np.linalg.det(root))
    assert abs(whole - np.log(Z)) < 0.03
    # by parts, the second moment is that of the normal law and the message
    assert np.linalg.norm(precision @ second @ precision - precision) > 1
    for updates in (0, 20):  # the chain leaves the law as it is
        before = walkers.nodes().points
        assert walkers.towards((root, tilt), updates)
        assert np.abs(before - walkers.nodes().points).min() > 0 or not updates
        kernel, message = walkers.moments()
        np.testing.assert_allclose(kernel, (activity * p[:, None]).T @ activity, atol=0.01)
        np.testing.assert_allclose(message, precision @ second @ precision - precision, atol=0.03)
        np.testing.assert_allclose(walkers.nodes().points.T @ walkers.nodes().points / 20000, second, rtol=0.03)
    # a sum over them is an integral, of the law's own density and in its free energy
    nodes = walkers.nodes()
    height = np.sum(nodes.activity @ tilt * nodes.activity, axis=1)
    height -= 0.5 * np.sum(nodes.points @ precision * nodes.points, axis=1)
    assert np.log(np.exp(height + nodes.log_weight).sum()) == pytest.approx(whole, abs=1e-6)
    law = law_at(space, PHI, Nodes(g, activity, np.full(len(g), 2 * np.log(line[1] - line[0]))), precision, tilt)
    other = on_other_points(space, PHI, law, 20000, 2, 2)
    assert other.free_energy == pytest.approx(law.free_energy, abs=0.03)
    np.testing.assert_allclose(other.kernel, law.kernel, atol=0.01)


def test_walkers_do_not_go_where_too_few_would_count():
    space = trajectory_space(endpoint(3, 4.0, activation="erf"))
    walkers = Walkers(space, PHI, np.eye(2), 1000, np.random.default_rng(1))
    before = walkers.nodes().points
    assert not walkers.towards((np.eye(2), 50 * np.eye(2)), 1)
    np.testing.assert_array_equal(walkers.nodes().points, before)
    assert walkers.log_Z == 0
    with pytest.raises(np.linalg.LinAlgError, match="do not follow"):
        walkers.anneal((np.eye(2), np.full((2, 2), np.nan)), 1)


def test_few_walkers_find_a_state_and_its_error(monkeypatch):
    """Against quadrature; a state is not said to have converged while its populations still drift."""
    few_of = {"COUNT": 512, "DOWN": 60, "MOST_DOWN": 60, "POPULATIONS": 4, "BEFORE": 10, "HALF": 20, "DOUBLINGS": 2}
    for name, few in few_of.items():
        monkeypatch.setattr(by_walkers, name, few)
    problem = endpoint(3, 4.0, activation="erf")
    exact, space = lowest_state(problem), trajectory_space(problem)
    prior = space.covariance(forward_kernel(space, PHI))
    state = by_walkers.walked_down(space, PHI, by_walkers.normal_start(space, PHI, prior, 0), (0,))
    assert state.iterations == 60
    assert state.points == 4 * 512
    said = []
    refined = by_walkers.refined(space, PHI, state, 0.05, 0, said.append)
    assert said == ["2048 walkers, 40 steps"]
    assert refined.stable
    assert refined.state.reached
    assert refined.state.iterations == 60 + 8 * 50
    assert relative_error(refined.state.point.kernel, refined.kernel_error) < 0.05
    for found in (state, refined.state):
        kernel = np.abs(found.point.kernel)
        np.testing.assert_allclose(kernel, np.abs(exact.kernel), atol=0.05 * exact.kernel.max())
        assert found.point.free_energy == pytest.approx(exact.free_energy, abs=0.05)
        assert 0 < found.free_energy_error < 0.05
    monkeypatch.setattr(by_walkers, "DRIFT", 0.0)
    lost = by_walkers.refined(space, PHI, state, 0.05, 0, said.append)
    assert said[1:] == [f"2048 walkers, {steps} steps" for steps in (40, 80, 160)]
    assert not lost.state.reached
    assert not lost.stable


def test_a_state_of_strong_labels_is_found_from_a_law_far_from_it():
    """Against quadrature, from the normal law of its covariance: neurons saturate, each at one sign or the other."""
    problem = endpoint(4, 100.0, activation="erf")
    exact, space = lowest_state(problem), trajectory_space(problem)
    state = by_walkers.walked_down(space, PHI, by_walkers.normal_start(space, PHI, exact.second_moment, 0), (0,))
    refined = by_walkers.refined(space, PHI, state, 1e-2, 0, lambda told: None)
    assert refined.state.reached
    error = np.abs(np.abs(refined.state.point.kernel) - np.abs(exact.kernel))
    assert relative_error(exact.kernel, error) < 5e-3
    assert np.sqrt(np.mean((error / refined.kernel_error) ** 2)) < 2


def test_trajectories_that_hardly_change_from_one_time_to_the_next_need_no_inverse():
    """A leaky network: C's eigenvalues are down to 1e-8 of the largest; Φ is what an independent sample makes of it."""
    t, n = np.arange(11), 11
    x = np.stack([np.cos(0.3 * t), np.sin(0.3 * t)], axis=1)[None] * np.sqrt(2)
    y = np.full((1, n), np.nan)
    y[0, 4::5] = [1.0, -1.0]
    problem = Problem(x, y, activation="tanh", skip=0.8, w=0.04, u=0.04)
    space, phi = trajectory_space(problem), problem.activation
    prior = forward_kernel(space, phi)
    C = space.covariance(prior)
    size = np.linalg.eigvalsh(C)
    assert size[0] < 1e-8 * size[-1]
    state = by_walkers.walked_down(space, phi, by_walkers.start_of(space, prior, C), (0,))
    kernel, tilt = state.point.kernel, state.point.conjugate
    root = by_walkers.tilted_law(space, (kernel, state.message))[0]
    z = np.random.default_rng(5).standard_normal((100000, space.d))
    h = z @ (space.embedding @ root).T
    activity, slope = phi.value(h), phi.derivative(h)
    tilted = activity @ tilt
    p = np.exp(np.sum(tilted * activity, axis=1))
    p /= p.sum()
    np.testing.assert_allclose((activity * p[:, None]).T @ activity, kernel, atol=0.02 * kernel.max())
    force = 2 * tilted * slope
    curved = -2 * activity * slope * tilted  # tanh'' = -2 tanh tanh'
    message = (force * p[:, None]).T @ force + 2 * tilt * ((slope * p[:, None]).T @ slope)
    message[np.diag_indices(space.m)] += 2 * p @ curved
    expected = space.labels.duals(kernel).conjugate + space.pull_back(
        0.5 * space.embedding.T @ message @ space.embedding
    )
    np.testing.assert_allclose(expected, tilt, atol=0.02 * np.abs(tilt).max())


@pytest.mark.slow
def test_the_bound_of_a_law_holds_on_points_that_it_was_not_fitted_to():
    """In three dimensions; in 21, a search on 8192 points ends in a law that fits these only."""
    space = trajectory_space(endpoint(4, 6.0, activation="erf"))
    descent = Descent(space.d, PHI, 0)
    law = descent.normal(space, space.covariance(forward_kernel(space, PHI)))
    assert law is not None
    assert holds(space, PHI, descent.down(space, law, 200)[0], 0)
    x, y = match_to_sample()
    space = trajectory_space(Problem(4.0 * x, y, activation="erf", kappa=0.2))
    overfitted = explore(space, PHI, forward_kernel(space, PHI), 0, Told()).laws[0]
    assert not holds(space, PHI, overfitted, 0)
