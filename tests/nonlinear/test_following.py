"""The random network's state followed to the full labels, on planted branches: nothing is computed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.nonlinear import following
from numerics.nonlinear.engine import State


class Planted:
    """An engine whose starts are (branch, part of the labels): a branch is met from close by, within its range."""

    def __init__(self, ranges, unstable=(), reach=0.3, below=None):
        self.ranges, self.unstable, self.reach, self.below = ranges, dict(unstable), reach, below or {}
        self.calls = []
        self.phi = SimpleNamespace(name="planted")

    def random_network(self, space, prior):
        return ("a", 0.0)

    def converge(self, space, start, *, classes=None, relaxed=0):
        branch, part = start
        self.calls.append((space.part, branch, classes, relaxed))
        if relaxed and not self._exists(branch, space.part):
            branch = self.below.get(branch, branch)
        there = self._exists(branch, space.part) and (relaxed or space.part - part <= self.reach)
        return State((branch, space.part), 3, bool(there), "converged" if there else "lost", None, 0)

    def _exists(self, branch, part):
        low, high = self.ranges.get(branch, (2.0, 2.0))
        return low <= part <= high

    def at(self, space, start):
        return State(start, 0, False, "none", None, 0)

    def start(self, space, state):
        return state.point

    def perturbed(self, space, state):
        branch, part = state.point
        border, into = self.unstable.get(branch, (2.0, []))
        return [(other, part) for other in into] if part >= border else []


def search_of(engine, diagonal=None):
    space = SimpleNamespace(part=1.0, with_labels=lambda part: SimpleNamespace(part=part))
    return SimpleNamespace(
        engine=engine,
        space=space,
        prior=None,
        diagonal=diagonal,
        say=lambda doing: None,
        same=lambda one, other: one.point[0] == other.point[0],
    )


@pytest.fixture(autouse=True)
def no_classes(monkeypatch):
    monkeypatch.setattr(following, "kept_classes", lambda space, phi, kernel: "classes")


def test_steps_grow_where_they_succeed_and_are_halved_where_not():
    way = following.to_full_labels(search_of(Planted({"a": (0.0, 1.0)})), ("a", 0.0), 0.0)
    assert [part for part, _ in way] == [0.25, 0.5, 0.75, 1.0]
    assert [state.iterations for _, state in way] == [3, 6, 9, 12]
    at_once = following.to_full_labels(search_of(Planted({"a": (0.0, 1.0)}, reach=1.0)), ("a", 0.0), 0.0)
    assert [part for part, _ in at_once] == [1.0]
    ended = following.to_full_labels(search_of(Planted({"a": (0.0, 0.4)})), ("a", 0.0), 0.0)
    assert 0.4 - 2 * following.SMALLEST_PART < ended[-1][0] <= 0.4
    assert following.to_full_labels(search_of(Planted({})), ("a", 0.0), 0.0) == []
    assert following.to_full_labels(search_of(Planted({"a": (0.0, 1.0)})), ("a", 1.0), 1.0) == []


def test_the_way_keeps_to_the_random_networks_classes():
    engine = Planted({"a": (0.0, 1.0)}, reach=1.0)
    ((part, state),) = following.followed(search_of(engine), whole=True)
    assert (part, state.reached) == (1.0, True)
    assert engine.calls == [(1.0, "a", "classes", 0)]


def test_where_a_branch_ends_what_lies_below_it_is_followed_on():
    engine = Planted({"a": (0.0, 0.5), "b": (0.3, 1.0)}, unstable={"a": (0.4, ["c", "a", "b"])})
    way = following.followed(search_of(engine), whole=False)
    assert way[-1][0] == 1.0
    assert way[-1][1].reached
    assert [state.point[0] for _, state in way] == sorted(state.point[0] for _, state in way)
    assert way[-1][1].point[0] == "b"
    done = [part for part, state in way if state.point[0] == "a"][-1]
    relaxed = [call for call in engine.calls if call[3]]
    assert {call[3] for call in relaxed} == {following.RELAXATION}
    assert {call[0] for call in relaxed} == {done}
    iterations = [state.iterations for _, state in way]
    assert iterations == sorted(iterations)


def test_a_state_that_has_ceased_to_exist_relaxes_at_stronger_labels():
    engine = Planted({"a": (0.0, 0.5), "b": (0.55, 1.0)}, below={"a": "b"})
    way = following.followed(search_of(engine), whole=False)
    assert (way[-1][0], way[-1][1].point[0]) == (1.0, "b")
    assert {call[3] for call in engine.calls if call[3]} == {following.FAR_RELAXATION}
    beyond = min(part for part, state in way if state.point[0] == "b")
    assert beyond > 0.55
    # so far up that the first increase is the full labels
    late = Planted({"a": (0.0, 0.99), "b": (0.99, 1.0)}, below={"a": "b"})
    assert following.followed(search_of(late), whole=False)[-1][0] == 1.0


def test_labels_that_cannot_be_raised_further_are_said():
    engine = Planted({"a": (0.0, 0.25)})
    way = following.followed(search_of(engine), whole=False)
    part, state = way[-1]
    assert part == 0.25
    assert not state.reached
    assert state.status == "not converged: the labels reach 0.5 of their size only"
    ((part, state),) = following.followed(search_of(Planted({})), whole=False)
    assert (part, state.reached) == (0.0, False)
    assert state.status == "not converged: no step from the random network"


def test_an_activation_without_averages_is_refused(monkeypatch):
    engine = Planted({})

    def fails(space, start):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(engine, "at", fails)
    with pytest.raises(InputError, match=r"activation: planted has no averages here \(singular\)"):
        following.followed(search_of(engine), whole=False)


def test_a_diagonal_state_is_its_own_end_unless_the_whole_way_is_asked_for(monkeypatch):
    end = State(("diagonal", 1.0), 1, True, "converged", None, 0)
    monkeypatch.setattr(following, "diagonal_law", lambda search, state: state)
    monkeypatch.setattr(following, "state_of_law", lambda search, law: end)
    engine = Planted({"a": (0.0, 1.0)}, reach=1.0)
    assert following.followed(search_of(engine, diagonal="diagonal"), whole=False) == [(1.0, end)]
    assert following.followed(search_of(engine, diagonal="diagonal"), whole=True)[-1][1].point == ("a", 1.0)
    monkeypatch.setattr(following, "state_of_law", lambda search, law: None)
    assert following.followed(search_of(engine, diagonal="diagonal"), whole=False)[-1][1].point == ("a", 1.0)


def test_branches_leave_where_the_way_first_turns_unstable():
    engine = Planted({"a": (0.0, 1.0), "b": (0.4, 1.0), "c": (0.4, 0.6)}, unstable={"a": (0.45, ["b", "c", "d"])})
    search = search_of(engine)
    way = following.to_full_labels(search, ("a", 0.0), 0.0)
    engine.calls.clear()
    (found,) = following.branches(search, way)
    assert found.point == ("b", 1.0)
    assert found.iterations == 3 + 6  # from 0.5 on in two steps, after the step off
    assert {call[0] for call in engine.calls if call[3]} == {0.5}
    assert list(following.branches(search_of(Planted({"a": (0.0, 1.0)})), way)) == []
