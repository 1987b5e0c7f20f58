"""What is said of a list of solutions: how many minima there are, the next one above, and when a lower one is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.nonlinear.answers import compared, solutions
from numerics.nonlinear.search import _prepared


@dataclass(frozen=True)
class Answer:
    free_energy: float
    stable: bool = True
    converged: bool = True
    status: str = "converged"
    minima: int = 0
    next_free_energy: float | None = None
    free_energy_error: float | None = None


def met(minima=(), others=(), bound=np.inf, bound_met=""):
    """What a search found, of which the solutions are the refined ones."""
    states = [SimpleNamespace(point=SimpleNamespace(free_energy=F)) for F in minima]
    return SimpleNamespace(minima=states, others=list(others), bound=bound, bound_met=bound_met)


def test_minima_are_converged_and_stable():
    solutions = [Answer(1.0), Answer(1.5, stable=False), Answer(2.0), Answer(2.5, converged=False)]
    answers = compared(solutions, met(), [])
    assert [answer.minima for answer in answers] == [2] * 4
    assert [answer.next_free_energy for answer in answers] == [2.0, 2.0, None, None]
    assert all(answer.status == "converged" for answer in answers)


def test_minima_that_were_not_refined_count_too():
    found = met(minima=(3.0, 1.2), others=(5.0,))
    answers = compared([Answer(1.0), Answer(2.0)], found, [found.minima[1]])
    assert [answer.minima for answer in answers] == [4, 4]
    assert [answer.next_free_energy for answer in answers] == [2.0, 3.0]


@pytest.mark.parametrize(("bound", "converged"), [(1.0, True), (3.0, True), (0.5, False)])
def test_a_lower_state_that_was_met_is_said_of_the_lowest_solution_only(bound, converged):
    first, second = compared([Answer(1.0), Answer(2.0)], met(bound=bound), [])
    assert first.converged is converged
    assert ("a lower state, F ≈ 0.5, was met" in first.status) is not converged
    assert second.converged
    assert second.status == "converged"


def test_a_search_that_has_met_its_bound_says_so_of_every_converged_solution():
    answers = compared(
        [Answer(1.0), Answer(2.0, converged=False, status="lost")], met(bound_met="16 of 40 starts were tried"), []
    )
    assert answers[0].status == (
        "converged; the search for further minima ended at its bound: 16 of 40 starts were tried; "
        "`check` shows whether sampled networks are in a state of lower F"
    )
    assert answers[1].status == "lost"
    assert answers[0].converged


@pytest.mark.parametrize(("apart", "said"), [(0.01, True), (0.04, False)])
def test_a_minimum_within_the_error_of_the_lowest_ones_free_energy_is_named(apart, said):
    lowest, other = Answer(1.0, free_energy_error=0.006), Answer(1.0 + apart, free_energy_error=0.008)
    first, second = compared([lowest, other], met(), [])
    assert ("; another minimum, F ≈ 1.01, lies within the error of F" in first.status) is said
    assert first.converged
    assert second.status == "converged"


class Planted:
    """An engine that takes another's state for refined, with changes to its point and to what is said of it."""

    def __init__(self, engine, point, **said):
        self.engine, self.point, self.said = engine, point, said

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def refined(self, space, state, limit, say):
        refined = self.engine.refined(space, state, limit, say)
        point = replace(refined.state.point, **self.point)
        return replace(refined, state=replace(refined.state, point=point), **self.said)


@pytest.fixture(scope="module")
def converged():
    search = _prepared(endpoint(3, 1.0, activation="erf"), "quadrature", None, None, 0, None)
    return search, search.engine.converge(search.space, search.engine.random_network(search.space, search.prior))


def answer(converged, point=None, **said):
    search, state = converged
    (found,) = solutions(replace(search, engine=Planted(search.engine, point or {}, **said)), [state])
    return found


def test_states_that_are_refined_are_counted_from_one(converged):
    search, state = converged
    said = []
    solutions(replace(search, say=said.append), [state, state])
    assert said[0] == "refining state 1 of 2"
    assert said[-1].startswith("refining state 2 of 2")


def test_the_residual_is_the_gradient_over_its_scale(converged):
    gradient = np.array([3e-3, 0.0, -4e-3])
    for scale in (0.25, 4.0):
        assert answer(converged, {"gradient": gradient, "scale": scale}).residual == pytest.approx(5e-3 / scale)


@pytest.mark.parametrize(
    ("share", "said"), [(0.5, "converged"), (2.0, "2.0e-08 of the largest entry"), (np.inf, "is not known")]
)
def test_a_state_has_converged_where_the_error_of_the_averages_is_within_the_tolerance(converged, share, said):
    search, state = converged
    error = np.diag([0.1, share]) * search.limit * np.abs(state.point.kernel).max()
    found = answer(converged, kernel_error=np.where(np.eye(2) > 0, error, 0.0))
    assert found.converged == (share < 1)
    assert said in found.status
    assert found.kernel_error[1, 1] == error[1, 1]


@pytest.mark.parametrize("correlated", [2e-6, 1e-3])
def test_correlations_beyond_the_error_are_coherence(converged, correlated):
    _, state = converged
    kernel = state.point.kernel + correlated * (1 - np.eye(2))
    top = np.abs(kernel).max()
    coherence = correlated / np.sqrt(kernel[0, 0] * kernel[1, 1])
    for share, branch in ((0.1, "coherent"), (3.0, "incoherent")):
        found = answer(converged, {"kernel": kernel}, kernel_error=np.diag([0.0, share * coherence * top / 3]))
        assert found.branch == branch
        assert found.kernel[0, 1] == pytest.approx(correlated)


@pytest.mark.parametrize(("apart", "number"), [(2.5, 1), (3.5, 2)])
def test_states_within_three_errors_of_each_other_are_one(converged, apart, number):
    search, state = converged
    error = np.diag([0.0, 1e-9])
    planted = Planted(search.engine, {}, kernel_error=error)
    other = replace(state, point=replace(state.point, kernel=state.point.kernel + apart * error))
    planted.refined = lambda space, found, limit, say: replace(
        search.engine.refined(space, state, limit, say), state=found, kernel_error=error
    )
    assert len(solutions(replace(search, engine=planted), [state, other])) == number


@pytest.mark.parametrize("first", [0, 1])
def test_of_a_symmetric_state_and_the_same_with_noise_the_symmetric_one_is_kept(converged, first):
    """Whatever their order, and although the other one's error is smaller."""
    search, state = converged
    noisy = replace(state, point=replace(state.point, kernel=state.point.kernel + 1e-3 * (1 - np.eye(2))))
    errors = {id(state): 1e-3 * np.eye(2), id(noisy): 0.5e-3 * np.eye(2)}
    planted = Planted(search.engine, {})
    planted.refined = lambda space, found, limit, say: replace(
        search.engine.refined(space, state, limit, say), state=found, kernel_error=errors[id(found)]
    )
    given = [state, noisy] if first == 0 else [noisy, state]
    (kept,) = solutions(replace(search, engine=planted, limit=0.1), given)
    assert abs(kept.kernel[0, 1]) < 1e-12
