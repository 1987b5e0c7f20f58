"""Where free energies of two pieces cross, on planted differences."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.continuation import crossings as crossing_module
from numerics.continuation.crossings import _crossing, _doubtful, equal_free_energy
from numerics.continuation.options import Options
from numerics.continuation.parameters import PARAMETERS
from numerics.continuation.scan import _meeting


class Planted:
    """A piece whose state at ``ln p`` is a free energy, None where there is none."""

    def __init__(self, bounds, free_energy, place=0.0):
        self.bounds, self._free_energy, self._place = bounds, free_energy, place
        self.branch = SimpleNamespace(track=SimpleNamespace(family=SimpleNamespace(options=Options())))
        self.asked = []

    def state(self, theta):
        self.asked.append(theta)
        value = self._free_energy(theta)
        return None if value is None else SimpleNamespace(free_energy=value, place=self._place)


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    monkeypatch.setattr(crossing_module, "distance_up_to_symmetry", lambda one, other: abs(one.place - other.place))
    monkeypatch.setattr(crossing_module, "states_at", lambda piece, theta: [piece.state(float(each)) for each in theta])


def crossings(difference, bounds=(0.0, 1.0), other=(0.0, 1.0), place=1.0):
    first, second = Planted(bounds, difference), Planted(other, lambda theta: 0.0, place)
    found = list(equal_free_energy([first, second]))
    for each in found:
        assert each.pieces == (first, second)
    return found, first


@pytest.mark.parametrize("root", [0.013, 0.5, 0.9873])
def test_a_crossing_is_found_with_an_interval_over_which_the_sign_changes(root):
    (found,), _ = crossings(lambda theta: 3 * (theta - root))
    assert found.theta == pytest.approx(root, abs=1e-12)
    low, high = found.interval
    assert low < root < high
    assert high - low < 1e-11


def test_two_crossings_between_neighbours_are_found_where_the_difference_comes_close_to_zero():
    found, _ = crossings(lambda theta: (theta - 0.51) * (theta - 0.54))
    np.testing.assert_allclose([each.theta for each in found], [0.51, 0.54], atol=1e-10)
    none, first = crossings(lambda theta: 1e-4 + (theta - 0.523) ** 2)
    assert none == []
    assert len(first.asked) > Options().compared  # it was looked at more closely
    plain, first = crossings(lambda theta: 1.0 + theta)
    assert plain == []
    assert len(first.asked) == Options().compared


def test_only_where_both_exist_and_are_two_states():
    line = lambda theta: theta - 0.3  # noqa: E731
    assert len(crossings(line, (0.0, 0.5), (0.2, 1.0))[0]) == 1
    assert crossings(line, (0.0, 0.5), (0.4, 1.0))[0] == []
    assert crossings(line, (0.0, 0.5), (0.5, 1.0))[0] == []
    assert crossings(line, place=0.0)[0] == []  # one state
    assert crossings(lambda theta: None if theta < 0.45 else theta - 0.3)[0] == []
    assert len(crossings(lambda theta: None if theta > 0.45 else theta - 0.3)[0]) == 1
    assert crossings(lambda theta: 1e-13 * (theta - 0.3))[0] == []  # rounding


def test_a_state_that_is_lost_on_the_way_is_no_crossing():
    assert _crossing(lambda theta: theta - 0.5 if abs(theta - 0.5) > 0.01 else math.nan, 0.0, 1.0) is None
    root, (low, high) = _crossing(lambda theta: theta - 0.5, 0.0, 1.0)
    assert root == pytest.approx(0.5, abs=1e-12)
    assert low < 0.5 < high


def test_values_that_are_looked_at_more_closely():
    theta = np.linspace(0.0, 1.0, 9)
    seen = [(float(t), float((t - 0.55) ** 2 + 1e-3)) for t in theta]
    closer = _doubtful(seen)
    assert closer
    assert all(0.5 < value < 0.75 or 0.375 < value < 0.5 for value in closer)
    assert _doubtful([(t, -gap) for t, gap in seen]) == closer
    assert _doubtful([(t, 1.0 + 0.1 * t) for t, _ in seen]) == []
    assert _doubtful(seen[:3]) == []
    assert _doubtful([(1e-8 * t, gap) for t, gap in seen]) == []  # as close as can be told


def test_names_of_the_stretches_that_meet_at_a_point():
    """Those that end there, or of branches that run through, as they are; of equal free energies the stable ones."""
    theta = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    branch = SimpleNamespace(theta=theta)

    def piece(number, first, last):
        low, high = sorted(theta[[first, last]])
        return SimpleNamespace(number=number, branch=branch, first=first, last=last, bounds=(low, high))

    named = [("incoherent", piece(0, 0, 4)), ("coherent-1a", piece(1, 0, 2)), ("coherent-1b", piece(1, 2, 4))]
    found = SimpleNamespace(
        family=SimpleNamespace(options=SimpleNamespace(same_value=1e-9), parameter=PARAMETERS["signal"]),
        stable_pieces=[piece(0, 1, 1), piece(1, 3, 4)],
    )

    def names(type_, place, branches):
        return _meeting(SimpleNamespace(type=type_, value=np.exp(place), branches=branches), found, named)

    assert names("fold", 2.0, (1,)) == ("coherent-1a", "coherent-1b")
    assert names("pitchfork", 4.0, (0, 1)) == ("incoherent", "coherent-1b")
    assert names("branch-point", 1.5, (0, 1)) == ("incoherent", "coherent-1a")
    assert names("branch-point", 5.0, (0, 1)) == ()
    # of branch 0 the second point is stable; of branch 1 the fourth, and the last, which its stretch shares
    assert names("equal-free-energy", 3.5, (0, 1)) == ("incoherent", "coherent-1b")
    assert names("equal-free-energy", 1.5, (0, 1)) == ("incoherent",)
    # a third stretch of a branch that turns at 2 and at 1 passes 2 once more, and does not end there
    turning = SimpleNamespace(theta=np.array([0.0, 2.0, 1.0, 4.0]))
    for k, bounds in enumerate(((0.0, 2.0), (1.0, 2.0), (1.0, 4.0))):
        one = SimpleNamespace(number=2, branch=turning, first=k, last=k + 1, bounds=bounds)
        named.append((f"coherent-2{'abc'[k]}", one))
    assert names("fold", 2.0, (2,)) == ("coherent-2a", "coherent-2b")
    assert names("pitchfork", 3.0, (2,)) == ("coherent-2c",)
    found.stable_pieces = [piece(1, 4, 4), piece(0, 0, 0)]
    assert names("equal-free-energy", 3.5, (0, 1)) == ()
