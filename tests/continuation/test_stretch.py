"""Points of a stretch of a branch, on planted curves: from the nearest one that is known, and at a parameter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.continuation.parameters import PARAMETERS
from numerics.continuation.stretch import Stretch
from numerics.errors import LostError


@dataclass(frozen=True)
class Planted:
    """A point of ``ln p = theta(s)``, left in one of two ways."""

    s: float
    theta: float
    rate: float
    sense: float = 1.0

    def reversed(self):
        return replace(self, rate=-self.rate, sense=-self.sense)


class Curve:
    """A track that remembers the steps it is asked for, and is lost beyond a length."""

    family = SimpleNamespace(parameter=PARAMETERS["signal"])

    def __init__(self, theta, slope, end=np.inf):
        self.theta, self.slope, self.end, self.steps = theta, slope, end, []

    def point(self, s, sense=1.0):
        return Planted(s, self.theta(s), sense * self.slope(s), sense)

    def step(self, start, length):
        assert length > 0
        self.steps.append(length)
        s = start.s + start.sense * length
        return self.point(s, start.sense) if s <= self.end else None


def test_each_point_is_reached_once_from_the_nearest_and_looks_ahead():
    curve = Curve(np.sin, np.cos)
    stretch = Stretch(curve, {0.0: curve.point(0.0), 1.0: curve.point(1.0)})
    for length in (0.9, 0.2, 0.25, 0.9):
        point = stretch.at(length)
        assert (point.s, point.sense, point.rate) == (pytest.approx(length), 1.0, pytest.approx(np.cos(length)))
    assert curve.steps == [pytest.approx(step) for step in (0.1, 0.2, 0.05)]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_of_two_places_with_a_parameter_the_first_is_met_to_the_last_digits(side):
    curve = Curve(lambda s: side * s * (1 - s), lambda s: side * (1 - 2 * s))
    stretch = Stretch(curve, {0.0: curve.point(0.0)})
    for theta in (0.16, 0.2, 0.24):
        point, length = stretch.first_at(side * theta, 1.1)
        assert length == pytest.approx(0.5 - np.sqrt(0.25 - theta), abs=1e-12)
        assert point.s == pytest.approx(length)
    assert len(curve.steps) < 30
    assert stretch.first_at(0.0, 1.1)[1] == pytest.approx(0.0, abs=1e-14)
    with pytest.raises(LostError, match="does not have this parameter"):
        stretch.first_at(-side * 0.3, 1.1)


def test_where_newton_would_leave_the_interval_it_is_halved():
    """``s³`` about its inflection: the parameter is met although the rate vanishes there."""
    curve = Curve(lambda s: (s - 0.3) ** 3, lambda s: 3 * (s - 0.3) ** 2)
    stretch = Stretch(curve, {0.0: curve.point(0.0), 0.6: curve.point(0.6)})
    point, length = stretch.between(1e-6, 0.0, 0.6)
    assert length == pytest.approx(0.31, abs=1e-8)
    assert point.theta == pytest.approx(1e-6, abs=1e-14)


def test_a_stretch_that_is_lost_says_where():
    curve = Curve(lambda s: s, lambda s: 1.0, end=0.5)
    with pytest.raises(LostError, match="the branch is lost at p = "):
        Stretch(curve, {0.0: curve.point(0.0)}).first_at(0.9, 1.0)
