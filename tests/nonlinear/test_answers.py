"""What is said of a list of solutions: how many minima there are, the next one above, and when a lower one is known."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.nonlinear.answers import compared


@dataclass(frozen=True)
class Answer:
    free_energy: float
    stable: bool = True
    converged: bool = True
    status: str = "converged"
    minima: int = 0
    next_free_energy: float | None = None
    free_energy_error: float | None = None


def met(minima=(), others=(), bound=np.inf, bounded=False):
    """What a search found, of which the solutions are the refined ones."""
    states = [SimpleNamespace(point=SimpleNamespace(free_energy=F)) for F in minima]
    return SimpleNamespace(minima=states, others=list(others), bound=bound, bounded=bounded)


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
    answers = compared([Answer(1.0), Answer(2.0, converged=False, status="lost")], met(bounded=True), [])
    assert answers[0].status == "converged; the search for further minima ended at its bound"
    assert answers[1].status == "lost"
    assert answers[0].converged


@pytest.mark.parametrize(("apart", "said"), [(0.01, True), (0.04, False)])
def test_a_minimum_within_the_error_of_the_lowest_ones_free_energy_is_named(apart, said):
    lowest, other = Answer(1.0, free_energy_error=0.006), Answer(1.0 + apart, free_energy_error=0.008)
    first, second = compared([lowest, other], met(), [])
    assert ("; another minimum, F ≈ 1.01, lies within the error of F" in first.status) is said
    assert first.converged
    assert second.status == "converged"
