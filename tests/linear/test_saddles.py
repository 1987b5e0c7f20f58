"""Saddle points between states: those that are there, in a batch and one by one, and where a kernel of it is lost."""

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.linear import batch, saddles
from numerics.linear.functional import kernel_functional
from numerics.linear.search import search_all

#: Two minima on either side of the learning transition.
PROBLEM = endpoint(4, 575.0, kappa=60.0, arch="dnn")


@pytest.fixture(scope="module")
def functional():
    return kernel_functional(PROBLEM)


@pytest.fixture(scope="module")
def states(functional):
    return [functional.at(state.reduced) for state in search_all(PROBLEM)]


def signatures(points):
    return [int((np.linalg.eigvalsh(saddles.trust_region.dense_hessian(point)) < 0).sum()) for point in points]


def between_minima(functional, states):
    minima = [point for point, negative in zip(states, signatures(states), strict=True) if negative == 0]
    assert len(minima) == 2
    return [stop.point for stop in saddles.saddles_between(functional, minima, 1e-10)]


@pytest.mark.parametrize("largest", [27, 1])
def test_between_two_minima_is_a_saddle_point_of_one_unstable_direction(largest, functional, states, monkeypatch):
    monkeypatch.setattr(saddles, "LARGEST_TOGETHER", largest)
    found = between_minima(functional, states)
    assert 1 in signatures(found)
    saddle = states[signatures(states).index(1)]
    assert min(abs(point.free_energy - saddle.free_energy) for point in found) < 1e-10
    assert all(point.residual < 1e-10 for point in found)


def test_states_that_are_known_are_not_found_again(functional, states):
    again = [stop.point for stop in saddles.saddles_between(functional, states, 1e-10)]
    assert not again


def test_a_kernel_that_is_lost_takes_no_other_with_it(functional, states, monkeypatch):
    whole, newton, lost = between_minima(functional, states), batch.newton, []

    def fails_once(functionals, start, positions, **kwargs):
        if len(start) > 1 or not lost:
            lost.append(len(start))
            raise np.linalg.LinAlgError("singular")
        return newton(functionals, start, positions, **kwargs)

    monkeypatch.setattr(saddles.batch, "newton", fails_once)
    assert len(between_minima(functional, states)) == len(whole)
    assert len(lost) > 1


def test_states_at_t_8_beside_those_that_leave_others():
    """Signed counts hold without the pairs of states that a fold joins: at λ = 200 there are some."""
    problem = endpoint(8, 200.0)
    known = kernel_functional(problem)
    found = search_all(problem)
    assert len(found) >= 12
    assert all(state.converged and state.residual < 1e-10 for state in found)
    points = [known.at(state.reduced) for state in found]
    assert all(saddles.is_new(point, points[:k]) for k, point in enumerate(points))
