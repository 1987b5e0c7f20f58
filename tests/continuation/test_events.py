"""Special points of a branch on planted eigenvalues: which directions become critical together, and their intervals."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.continuation import events
from numerics.continuation.options import Options
from numerics.continuation.parameters import PARAMETERS
from numerics.errors import LostError

FAMILY = SimpleNamespace(parameter=PARAMETERS["signal"], options=Options())


def crossings(monkeypatch, roots, step=1.0, numbers=None):
    """Eigenvalues that fall from positive to negative at the given lengths, each with a mode of its own."""
    modes = np.arange(len(roots))[:, None, None] * np.ones((1, 2, 2))

    def at(length):
        values = np.array([root - length for root in roots])
        return SimpleNamespace(
            theta=0.1 * length,
            state=None,
            classes=["all lags"],
            eigenvalues=lambda index: values,
            lowest=lambda index: (values, modes),
        )

    monkeypatch.setattr(events, "turns", lambda state, mode: mode[0, 0] == 0)
    monkeypatch.setattr(events, "common_lag", lambda state, lags: 1)
    track = SimpleNamespace(period=0, family=FAMILY)
    return events._crossings(track, at, step, 0, list(range(len(roots))) if numbers is None else numbers)


def test_modes_that_become_critical_at_one_point_are_one_event_and_the_rest_are_others(monkeypatch):
    first, second = crossings(monkeypatch, [0.3, 0.3, 0.7])
    assert (first.length, second.length) == (pytest.approx(0.3, abs=1e-9), pytest.approx(0.7, abs=1e-9))
    assert [event.modes[:, 0, 0].tolist() for event in (first, second)] == [[0, 1], [2]]
    assert [event.type for event in (first, second)] == ["pitchfork", "branch-point"]
    for event, root in ((first, 0.3), (second, 0.7)):
        low, high = event.interval
        assert low <= math.exp(0.1 * root) <= high
        assert high - low < 1e-11
        assert event.value == pytest.approx(math.exp(0.1 * root), rel=1e-12)
    (only,) = crossings(monkeypatch, [0.3, 0.3, 0.7], numbers=[1])
    assert only.type == "branch-point"
    assert only.modes[:, 0, 0].tolist() == [1]


def test_an_eigenvalue_that_does_not_change_sign_is_lost(monkeypatch):
    with pytest.raises(LostError, match="the same sign at both ends"):
        crossings(monkeypatch, [1.5])


@pytest.mark.parametrize(
    ("period", "left", "reversed_"),
    [
        (0, 0, False),
        (0, 1, True),
        (0, 3, True),
        (4, 4, False),
        (4, 2, True),
        (4, 1, True),
        (6, 2, False),
        (3, 1, False),
    ],
)
def test_a_phase_turns_a_mode_around_where_half_of_the_period_is_a_whole_number_of_its_lags(period, left, reversed_):
    assert events._reverses(period, left) == reversed_


@pytest.mark.parametrize("turns", [True, False])
def test_of_the_states_own_lags_one_eigenvalue_vanishes_at_a_fold_itself(turns, monkeypatch):
    asked = []

    def crossing(track, at, step, index, numbers):
        asked.append((index, numbers))
        return [SimpleNamespace(length=1.0 - index)]

    monkeypatch.setattr(events, "_fold", lambda track, at, step: SimpleNamespace(length=0.5))
    monkeypatch.setattr(events, "_crossings", crossing)
    first, second = (
        SimpleNamespace(rate=rate, negatives=each)
        for rate, each in zip((1.0, -1.0 if turns else 1.0), ((1, 0), (3, 1)), strict=True)
    )
    found = events.located(None, first, second, 1.0)
    assert asked == [(0, [2] if turns else [1, 2]), (1, [0])]
    assert [event.length for event in found] == ([0.0, 0.5, 1.0] if turns else [0.0, 1.0])


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("place", [0.1, 0.7])
def test_a_fold_lies_between_the_value_that_is_reached_and_where_its_tangents_meet(side, place):
    """``ln p = 0.3 ∓ (s - s_0)² - 0.3 (s - s_0)³`` turns at s_0."""

    def point(s):
        off = s - place
        theta, rate = 0.3 - side * off**2 - 0.3 * off**3, -2 * side * off - 0.9 * off**2
        return SimpleNamespace(theta=theta, rate=rate, tangent=np.full((2, 2), s))

    track = SimpleNamespace(period=3, family=FAMILY)
    fold = events._fold(track, point, 0.75)
    assert fold.length == pytest.approx(place, abs=1e-5)
    assert fold.value == pytest.approx(np.exp(0.3), rel=1e-9)
    assert fold.interval[0] < np.exp(0.3) < fold.interval[1]
    assert fold.interval[1] - fold.interval[0] < 1e-9
    assert fold.modes.shape == (1, 2, 2)
    assert (fold.type, fold.period) == ("fold", 3)
    with pytest.raises(LostError, match="same sign"):
        events._fold(track, point, 0.5 * place)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_wide_bracket_of_a_fold_has_the_bounds_of_its_tangents(side, monkeypatch):
    def point(s):
        return SimpleNamespace(theta=side * (s - 0.7) ** 2, rate=2 * side * (s - 0.7), tangent=np.zeros((1, 1)))

    monkeypatch.setattr(events, "_bracket", lambda function, step: (0.69, 0.72))
    fold = events._fold(SimpleNamespace(period=0, family=FAMILY), point, 1.0)
    assert fold.length == pytest.approx(0.705)
    # values at the ends 1e-4 and 4e-4, in the middle 2.5e-5; tangents over 0.03 lead to -5e-4 and -8e-4
    low, high = sorted(np.exp(side * np.array([4e-4, -8e-4])))
    np.testing.assert_allclose(fold.interval, (low, high), rtol=1e-12)
