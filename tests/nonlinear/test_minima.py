"""The order in which a search meets states, on planted states of one number each: nothing is computed."""

from __future__ import annotations

import re
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.nonlinear import minima
from numerics.progress import Told


def state(place, free_energy, reached=True):
    """A state whose kernel is one number."""
    return SimpleNamespace(
        place=place, reached=reached, point=SimpleNamespace(free_energy=free_energy, kernel=np.array([[float(place)]]))
    )


def law(place, free_energy):
    return SimpleNamespace(place=place, free_energy=free_energy)


class Planted:
    """A search whose engine goes from each place to the places `below`, and knows which state is where."""

    def __init__(self, monkeypatch, states, below, laws=(), ended=(), way=(), **given):
        self.states, self.below, self.asked = {each.place: each for each in states}, below, []
        self.explored = SimpleNamespace(
            laws=list(laws),
            ended=list(ended),
            within_reach=given.get("within", True),
            gaussian=False,
            bound_met=given.get("bound_met", ""),
        )
        self.diagonal = given.get("diagonal")
        self.engine = SimpleNamespace(
            name="quadrature", perturbed=self.perturbed, converge=self.converge, has_walkers=False
        )
        self.space, self.say = None, Told()
        self.followed = []
        monkeypatch.setattr(minima, "followed", self.follow)
        monkeypatch.setattr(minima, "branches", lambda search, way: given.get("branches", []))
        monkeypatch.setattr(minima, "state_of_law", lambda search, one: self.states.get(one.place))
        monkeypatch.setattr(minima, "continued", lambda new, before: new)
        self.way = [(1.0, self.states[place]) for place in way]

    def follow(self, search, *, whole):
        self.followed.append(whole)
        return self.way

    def perturbed(self, space, one):
        self.asked.append(one.place)
        return self.below.get(one.place, [])

    def converge(self, space, start, *, relaxed):
        assert relaxed > 0
        return self.states.get(start)

    def same(self, one, other):
        return abs(one.place - other.place) < 0.5

    def near(self, one, other):
        return abs(one.place - other.place) < 0.5

    def diagonal_at(self, kernel):
        return (
            self.diagonal
            if self.diagonal is not None and abs(float(kernel[0, 0]) - self.diagonal.place) < 0.5
            else None
        )


def places(states):
    return sorted(each.place for each in states)


def test_states_below_an_unstable_one_are_met_once_and_the_stable_are_the_minima(monkeypatch):
    states = [state(3, 3.0), state(1, 1.0), state(2, 2.0), state(5, 2.5)]
    laws = [law(1, 1.01), law(8, 4.0), law(9, 5.0)]
    search = Planted(monkeypatch, states, {3: [1, 2, 5], 5: [1]}, laws, [True, False, True], way=[3])
    found = minima.search_states(search, whole=False)
    assert places(found.states) == [1, 2, 3, 5]
    assert places(found.minima) == [1, 2]
    assert sorted(search.asked) == [1, 2, 3, 5]
    # laws that belong to no state: minima of their own where the descent has ended, bounds in any case
    assert found.others == [5.0]
    assert found.bound == 4.0
    assert not found.bound_met
    assert search.followed == [False]


def test_only_states_that_compete_are_looked_below_unless_all_are_asked_for(monkeypatch):
    states = [state(3, 3.0), state(1, 1.0), state(2, 2.0)]
    diagonal = SimpleNamespace(place=3, free_energy=3.0, stable=False, kernel=np.array([[3.0]]))

    def search(**given):
        return Planted(monkeypatch, states, {3: [2]}, [law(1, 1.0)], [True], way=[3], within=False, **given)

    some = search(diagonal=diagonal)
    found = minima.search_states(some, whole=False)
    assert (places(found.states), places(found.minima), some.asked) == ([1, 3], [1], [1])
    diagonal.stable = True  # which a diagonal says by itself
    stable = search(diagonal=diagonal)
    assert places(minima.search_states(stable, whole=False).minima) == [1, 3]
    every = search()
    found = minima.search_states(every, whole=True)
    assert (places(found.states), places(found.minima), sorted(every.asked)) == ([1, 2, 3], [1, 2], [1, 2, 3])
    # out of reach and without a diagonal the random side is not followed
    one = search()
    assert places(minima.search_states(one, whole=False).states) == [1]
    assert one.followed == []


def test_a_law_that_has_not_converged_bounds_the_answer(monkeypatch):
    lost = state(4, 0.5, reached=False)
    search = Planted(monkeypatch, [state(1, 1.0), lost], {}, [law(4, 0.5), law(4.2, 0.6)], [True, True], way=[1])
    found = minima.search_states(search, whole=True)
    assert places(found.states) == [1]
    assert found.others == [0.5, 0.6]
    assert found.bound == 0.5


@pytest.mark.parametrize("held", [False, True])
def test_where_points_are_too_few_walkers_find_the_states_that_compete(held, monkeypatch):
    """One is found twice, the third within the error, the fourth too, but there are enough of them, the fifth above."""
    lost = state(4, 0.5, reached=False)
    search = Planted(monkeypatch, [state(1, 1.0), lost], {}, [law(4, 0.5)], [True], way=[1])
    search.engine.has_walkers, search.engine.phi, search.seed, search.prior = True, None, 7, np.eye(1)
    search.space = SimpleNamespace(covariance=lambda prior: "prior")
    ways = [(20, 1.05), (10, 1.0), (20.1, 1.06), None, (30, 1.2), (40, 1.11)]
    asked = []

    def down(space, phi, covariance, seed, told):
        asked.append((covariance, seed))
        if ways[len(asked) - 1] is None:
            return None
        found = state(*ways[len(asked) - 1])
        found.free_energy_error = 0.04
        return found

    monkeypatch.setattr(minima, "normal_start", lambda space, phi, covariance, seed: covariance)
    monkeypatch.setattr(minima, "walked_down", down)
    monkeypatch.setattr(minima, "learnt_covariances", lambda space, C, few: [f"learnt {k}" for k in range(5)])
    monkeypatch.setattr(minima, "near", lambda space, phi, one, other, size: abs(one - other)[0, 0] < 0.5)
    monkeypatch.setattr(minima, "holds", lambda space, phi, law, seed: held)
    found = minima.search_states(search, whole=True)
    if held:
        assert asked == []
        assert places(found.states) == [1]
        return
    assert asked == [(name, (7, k)) for k, name in enumerate(["prior", *(f"learnt {k}" for k in range(5))], start=1)]
    assert [each.place for each in found.states] == [each.place for each in found.minima] == [10, 20]
    assert found.others == [1.11, 1.2]
    assert found.bound == np.inf
    assert not found.bound_met
    asked.clear()
    ways[:] = [None] * 6
    assert places(minima.search_states(search, whole=True).states) == [1]


def test_a_random_side_that_is_not_reached_is_a_state_but_nothing_is_looked_below(monkeypatch):
    search = Planted(monkeypatch, [state(1, 1.0, reached=False)], {}, way=[1])
    found = minima.search_states(search, whole=False)
    assert (places(found.states), found.minima, search.asked) == ([1], [], [])


def test_without_any_state_the_random_side_is_followed_after_all(monkeypatch):
    search = Planted(monkeypatch, [state(1, 1.0)], {}, [law(4, 0.5)], [True], way=[1], within=False)
    found = minima.search_states(search, whole=False)
    assert search.followed == [True]
    assert (places(found.states), places(found.minima)) == ([1], [1])


def test_branches_along_the_way_stand_in_for_states_that_are_lost(monkeypatch):
    states = [state(3, 3.0), state(1, 1.0), state(7, 0.9)]
    search = Planted(monkeypatch, states, {3: [1, 6]}, way=[3], branches=[states[2], None, states[1]])
    assert places(minima.search_states(search, whole=False).states) == [1, 3, 7]
    kept = Planted(monkeypatch, states, {3: [1]}, way=[3], branches=[states[2]])
    assert places(minima.search_states(kept, whole=False).states) == [1, 3]


@pytest.mark.parametrize("met", ["", "16 starts were tried"])
def test_a_search_without_end_ends_at_its_bound(monkeypatch, met):
    states, fresh = [state(0, 0.0)], count(1)
    search = Planted(monkeypatch, states, {}, way=[0], bound_met=met)
    search.engine.perturbed = lambda space, one: [0, 1]
    search.engine.converge = lambda space, start, *, relaxed: state(next(fresh), 0.0)
    found = minima.search_states(search, whole=False)
    assert minima.MOST_STATES <= len(found.states) <= minima.MOST_STATES + 1
    assert re.fullmatch(r"below \d+ of \d+ states nothing was looked for", found.bound_met)
    few = Planted(monkeypatch, states, {}, way=[0], bound_met=met)
    assert minima.search_states(few, whole=False).bound_met == met


def test_laws_that_compete():
    laws = [law(k, 1.0 + 0.01 * k) for k in range(20)]
    search = SimpleNamespace(explored=SimpleNamespace(laws=laws), diagonal=None)
    assert minima._competing(search, whole=True) == laws[: minima.MOST_STATES]
    assert minima._competing(search, whole=False) == laws[: minima.MOST_CONVERGED]
    far = SimpleNamespace(explored=SimpleNamespace(laws=[law(0, 1.0), law(1, 2.0)]), diagonal=None)
    assert [each.place for each in minima._competing(far, whole=False)] == [0]
    far.diagonal = SimpleNamespace(free_energy=0.2)
    assert minima._competing(far, whole=False) == []
    assert minima._competing(SimpleNamespace(explored=SimpleNamespace(laws=[]), diagonal=None), whole=False) == []


def test_walkers_follow_laws_of_which_few_points_would_count(monkeypatch):
    few, many = SimpleNamespace(free_energy=1.0, counting=0.2), SimpleNamespace(free_energy=1.0, counting=0.4)
    search = SimpleNamespace(diagonal=None, explored=SimpleNamespace(within_reach=False), space=None)

    def follow(laws, *, led=False, whole=False):
        return minima._few_would_count(search, laws, led=led, whole=whole)

    assert follow([few])
    assert not follow([many])
    assert not follow([])
    assert not follow([few], whole=True)
    search.diagonal = SimpleNamespace(free_energy=1.01)  # which competes
    assert not follow([few])
    search.diagonal = SimpleNamespace(free_energy=1.5)
    assert follow([few])
    search.explored.within_reach = True
    assert not follow([few])
    for groups in (1, 2):  # in many dimensions, unless the law is a product
        monkeypatch.setattr(minima, "groups_of", lambda space, groups=groups: (None,) * groups)
        assert follow([many], led=True) == follow([many], led=True, whole=True) == (groups == 1)


def test_a_stable_chain_has_no_other_state_close_by():
    diagonal = SimpleNamespace(stable=True, kernel=np.array([[10.0]]))
    here = state(10, 1.0)
    search = SimpleNamespace(diagonal=diagonal, diagonal_at=lambda kernel: diagonal if kernel[0, 0] == 10.0 else None)
    near, far = state(10.9, 1.0), state(11.1, 1.0)
    assert minima._at_stable_diagonal(search, near, [here])
    assert not minima._at_stable_diagonal(search, far, [here])
    assert not minima._at_stable_diagonal(search, near, [far])  # the diagonal itself has not been met
    diagonal.stable = False
    assert not minima._at_stable_diagonal(search, near, [here])
    search.diagonal = None
    assert not minima._at_stable_diagonal(search, near, [here])
