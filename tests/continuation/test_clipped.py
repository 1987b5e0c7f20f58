"""The parts of a branch within a range of the parameter, on planted points."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.continuation import branch as module
from numerics.continuation.branch import Branch, clipped, monotonic_pieces


@dataclass(frozen=True)
class Place:
    """A point, or an event, of a planted branch."""

    theta: float = 0.0
    length: float = 0.0


def planted(thetas, events=(), ends=("range", "lost")):
    """A branch whose arclength is the way that the parameter has gone."""
    lengths = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(thetas)))])
    points = tuple(Place(theta) for theta in thetas)
    return Branch(SimpleNamespace(), points, lengths, tuple(Place(length=at) for at in events), ends)


@pytest.fixture(autouse=True)
def _interpolated(monkeypatch):
    def between(branch, index, theta):
        return Place(theta), float(branch.lengths[index] + abs(theta - branch.theta[index]))

    monkeypatch.setattr(module, "_point_at", between)


def told(part):
    return part.theta.tolist(), part.lengths.tolist(), [event.length for event in part.events], part.ends


def test_a_branch_that_comes_and_goes_has_its_parts_with_points_at_the_bounds_and_their_events():
    whole = planted([0.0, 1.0, 2.0, 3.0, 2.0, 1.0], events=(0.5, 1.25, 2.4, 2.6, 4.25))
    first, second = clipped(whole, (0.75, 2.5))
    assert told(first) == ([0.75, 1.0, 2.0, 2.5], [0.0, 0.25, 1.25, 1.75], [0.5, pytest.approx(1.65)], ("range",) * 2)
    assert told(second) == ([2.5, 2.0, 1.0], [0.0, 0.5, 1.5], [0.75], ("range", "lost"))
    (all_of_it,) = clipped(whole, (-1.0, 4.0))
    assert told(all_of_it) == told(whole)


def test_a_step_over_the_whole_range_leaves_its_two_ends():
    (part,) = clipped(planted([0.0, 3.0], events=(0.5, 1.5)), (1.0, 2.0))
    assert told(part) == ([1.0, 2.0], [0.0, 1.0], [0.5], ("range", "range"))
    assert clipped(planted([0.0, 1.0]), (2.0, 3.0)) == []


def test_a_closed_branch_begins_where_it_is_outside():
    closed = planted([1.0, 2.0, 3.0, 2.0, 1.0], events=(0.5, 3.5), ends=("range", "closed"))
    (part,) = clipped(closed, (0.0, 2.5))
    assert told(part) == ([2.5, 2.0, 1.0, 2.0, 2.5], [0.0, 0.5, 1.5, 2.5, 3.0], [1.0, 2.0], ("range", "range"))


def test_pieces_turn_where_the_parameter_does():
    assert monotonic_pieces(planted([0.0, 1.0, 2.0, 1.5, 1.0, 1.2])) == [(0, 2), (2, 4), (4, 5)]
