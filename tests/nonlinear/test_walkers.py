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
    line = np.linspace(-16, 16, 401)
    g = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    activity = erf(np.sqrt(np.pi) / 2 * g @ space.embedding.T)
    p = np.exp(np.sum(activity @ tilt * activity, axis=1) - 0.5 * np.sum(g @ precision * g, axis=1))
    Z = p.sum() * (line[1] - line[0]) ** 2
    p /= p.sum()
    walkers = Walkers(space, PHI, np.eye(2), 20000, np.random.default_rng(1))
    walkers.anneal((precision, tilt), 4)
    assert abs(walkers.log_Z - np.log(Z)) < 0.03
    kernel, second = walkers.moments()
    np.testing.assert_allclose(kernel, (activity * p[:, None]).T @ activity, atol=0.01)
    np.testing.assert_allclose(second, (g * p[:, None]).T @ g, rtol=0.03)
    # a sum over them is an integral, of the law's own density and in its free energy
    nodes = walkers.nodes()
    height = np.sum(nodes.activity @ tilt * nodes.activity, axis=1)
    height -= 0.5 * np.sum(nodes.points @ precision * nodes.points, axis=1)
    assert np.log(np.exp(height + nodes.log_weight).sum()) == pytest.approx(walkers.log_Z, abs=1e-9)
    law = law_at(space, PHI, Nodes(g, activity, np.full(len(g), 2 * np.log(line[1] - line[0]))), precision, tilt)
    other = on_other_points(space, PHI, law, 20000, 2, 2)
    assert other.free_energy == pytest.approx(law.free_energy, abs=0.03)
    np.testing.assert_allclose(other.kernel, law.kernel, atol=0.01)
    before = walkers.points
    walkers.towards((precision, tilt), 20)  # the chain leaves the law as it is
    assert np.abs(before - walkers.points).min() > 0
    np.testing.assert_allclose(walkers.moments()[1], (g * p[:, None]).T @ g, rtol=0.03)


def test_few_walkers_find_a_state_and_its_error(monkeypatch):
    """Against quadrature; a state is not said to have converged while its populations still drift."""
    for name, few in {"COUNT": 512, "DOWN": 40, "AVERAGED": 20, "POPULATIONS": 4, "BEFORE": 10, "HALF": 10}.items():
        monkeypatch.setattr(by_walkers, name, few)
    problem = endpoint(3, 4.0, activation="erf")
    exact, space = lowest_state(problem), trajectory_space(problem)
    state = by_walkers.walked_down(space, PHI, space.covariance(forward_kernel(space, PHI)), (0,))
    assert state.iterations == 60
    assert state.points == 4 * 512
    said = []
    refined = by_walkers.refined(space, PHI, state, 0.05, 0, said.append)
    assert said == ["2048 walkers, 20 steps"]
    assert refined.stable
    assert refined.state.reached
    assert refined.state.iterations == 60 + 4 * 30
    assert relative_error(refined.state.point.kernel, refined.kernel_error) < 0.05
    for found in (state, refined.state):
        kernel = np.abs(found.point.kernel)
        np.testing.assert_allclose(kernel, np.abs(exact.kernel), atol=0.05 * exact.kernel.max())
        assert found.point.free_energy == pytest.approx(exact.free_energy, abs=0.05)
        assert 0 < found.free_energy_error < 0.05
    monkeypatch.setattr(by_walkers, "DRIFT", 0.0)
    lost = by_walkers.refined(space, PHI, state, 0.05, 0, said.append)
    assert said[1:] == [f"2048 walkers, {steps} steps" for steps in (20, 40, 80)]
    assert not lost.state.reached
    assert not lost.stable


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
