"""How a branch is followed, and how a loop passes from one to the next, on planted curves: nothing is solved."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.continuation import branch as branch_module
from numerics.continuation import following, hysteresis
from numerics.continuation.branch import Branch
from numerics.continuation.events import Event
from numerics.continuation.following import follow, through
from numerics.continuation.hysteresis import _differences, _goes_on, _leg, _next
from numerics.continuation.options import Options
from numerics.continuation.parameters import PARAMETERS
from numerics.continuation.path import PathPoint
from numerics.errors import LostError, NotSolvedError

WIDE = (-50.0, 50.0)
SIGNAL = PARAMETERS["signal"]


class Curve:
    """A track along ``s → (ln p, H)``, H one number; a step of a length leads to the place so much further on."""

    def __init__(self, place, *, fails=lambda s, length: False, corrections=3, **options):
        self.place, self.fails, self.corrections, self.asked = place, fails, corrections, []
        base = SimpleNamespace(dimension=4)
        self.family = SimpleNamespace(options=Options(**options), base=base, parameter=SIGNAL)

    def point(self, s, sign=1.0):
        (theta, H), (beyond, changed) = self.place(s), self.place(s + 1e-6)
        slope = np.array([beyond - theta, changed - H]) * 1e6 * sign
        state = SimpleNamespace(H=H, s=s, sign=sign)
        return PathPoint(state, theta, np.array([[slope[1]]]), float(slope[0]), (), self.corrections)

    def start(self, state, theta):
        return self.point(state.s)

    def step(self, here, length):
        self.asked.append(length)
        if self.fails(here.state.s, length):
            return None
        # a point that was turned around goes the other way
        turned = math.copysign(1.0, here.rate * self.point(here.state.s).rate) if here.rate else here.state.sign
        return self.point(here.state.s + turned * length, turned)

    def converge(self, H, theta):
        return SimpleNamespace(H=H, s=math.nan, sign=1.0)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No events, no spectra, and the distance of two kernels of one number."""
    monkeypatch.setattr(following, "located", lambda track, point, found, length: [])
    monkeypatch.setattr(following, "singular", lambda point, zero: False)
    monkeypatch.setattr(following, "gained_period", lambda track, here, found: None)
    monkeypatch.setattr(following, "relative_change", lambda state, H: abs(state.H - H))


def line(s):
    return s, 0.0


def test_steps_grow_to_the_longest_and_the_branch_ends_at_the_bound():
    track = Curve(line, first_step=0.1, largest_step=0.2)
    branch = follow(track, track.point(0.0), (-1.0, 2.0))
    assert branch.ends == ("range", "range")
    steps = [0.1, 0.15, 0.225, 0.3375, 0.4, 0.4]
    np.testing.assert_allclose(branch.theta, [0.0, *np.cumsum(steps), 2.0], atol=1e-8)
    assert branch.theta[-1] == 2.0
    np.testing.assert_allclose(branch.lengths, branch.theta, atol=1e-8)
    slow = Curve(line, first_step=0.1, corrections=4)
    assert np.diff(follow(slow, slow.point(0.0), (-1.0, 0.3)).theta)[:3] == pytest.approx([0.1, 0.08, 0.064])
    back = Curve(line, first_step=0.1)
    assert follow(back, back.point(0.0).reversed(), (-0.3, 2.0)).theta[-1] == -0.3
    few = Curve(line, most_points=5)
    branch = follow(few, few.point(0.0), WIDE)
    assert (branch.ends[1], len(branch.points)) == ("unfinished", 5)


def test_a_bound_that_is_the_start_adds_nothing():
    track = Curve(line, first_step=0.1)
    branch = follow(track, track.point(1.0), (-1.0, 1.0))
    assert (branch.ends[1], len(branch.points)) == ("range", 1)
    lost = Curve(line, first_step=0.1, fails=lambda s, length: 0 < length < 0.1)
    assert len(follow(lost, lost.point(0.95), (-1.0, 1.0)).points) == 1


def test_a_step_that_fails_or_leads_elsewhere_is_shortened():
    track = Curve(line, first_step=0.1, fails=lambda s, length: length > 0.02)
    branch = follow(track, track.point(0.0), (-1.0, 0.1))
    assert track.asked[:3] == pytest.approx([0.1, 0.04, 0.016])
    assert branch.theta[1] == pytest.approx(0.016)
    apart = Curve(lambda s: (s, 0.0 if s < 0.05 else 9.0), first_step=0.1)
    branch = follow(apart, apart.point(0.0), WIDE)
    assert branch.ends[1] == "lost"
    assert 0.05 - 1e-6 < branch.theta[-1] < 0.05
    assert apart.asked[-1] >= 1e-7 > 0.4 * apart.asked[-1]


def test_a_branch_that_meets_its_start_is_closed():
    """Not a place that it passes in the other direction, or within its first steps."""
    track = Curve(lambda s: (math.sin(s), math.cos(s)), first_step=0.1, largest_step=0.05)
    branch = follow(track, track.point(0.3), WIDE)
    assert branch.ends[1] == "closed"
    assert branch.points[-1] is branch.points[0]
    assert branch.lengths[-1] == pytest.approx(2 * math.pi, rel=1e-3)
    whole = through(track, branch.points[0].state, branch.points[0].theta, WIDE)
    assert whole.ends == ("range", "closed")
    assert whole.points[0].state.s == pytest.approx(0.3)
    there_and_back = Curve(lambda s: (math.sin(s), 0.0), first_step=0.1, largest_step=0.05, most_points=40)
    assert follow(there_and_back, there_and_back.point(0.3), WIDE).ends[1] == "unfinished"


def test_a_branch_ends_where_it_gains_a_symmetry_or_its_spectrum_is_not_found(monkeypatch):
    track = Curve(line, first_step=0.1)
    monkeypatch.setattr(following, "gained_period", lambda track, here, found: 2 if found.theta > 0.3 else None)
    branch = follow(track, track.point(0.0), WIDE)
    assert (branch.ends[1], len(branch.points)) == ("symmetric", 3)

    def unsolved(track, point, found, length):
        if found.theta > 0.2:
            raise NotSolvedError("no spectrum")
        return []

    monkeypatch.setattr(following, "located", unsolved)
    branch = follow(track, track.point(0.0), WIDE)
    assert (branch.ends[1], len(branch.points)) == ("lost", 2)


def test_long_steps_on_which_nothing_is_located_are_shortened_and_short_ones_taken(monkeypatch):
    def lost(track, point, found, length):
        raise LostError("nothing")

    monkeypatch.setattr(following, "located", lost)
    track = Curve(line, first_step=0.1, sure_step=0.03)
    branch = follow(track, track.point(0.0), WIDE)
    assert track.asked[:3] == pytest.approx([0.1, 0.04, 0.016])
    assert branch.theta[1] == pytest.approx(0.016)
    assert np.diff(branch.theta).max() < 0.03


def test_events_are_points_of_the_branch_and_that_at_the_start_is_not_reported_again(monkeypatch):
    track = Curve(line, first_step=0.1)

    def event(at, length):
        return Event("fold", math.exp(at), (0.9, 1.1), track.point(at), length, np.zeros((1, 1, 1)), 0)

    def located(track, point, found, length):
        places = [at for at in (5e-6, 0.05, 0.2) if point.theta < at < found.theta]
        return [event(at, at - point.theta) for at in places]

    monkeypatch.setattr(following, "located", located)
    branch = follow(track, track.point(0.0), (-1.0, 0.3))
    np.testing.assert_allclose(branch.lengths, [0, 5e-6, 0.05, 0.1, 0.2, 0.25, 0.3], atol=1e-8)
    np.testing.assert_allclose(branch.theta, branch.lengths, atol=1e-8)
    assert [each.length for each in branch.events] == pytest.approx([5e-6, 0.05, 0.2])
    monkeypatch.setattr(following, "singular", lambda point, zero: point.theta in (0.0, 0.1))
    assert [each.length for each in follow(track, track.point(0.0), (-1.0, 0.3)).events] == pytest.approx([0.05, 0.2])
    monkeypatch.setattr(following, "OFF_PITCHFORK", 1e-6)
    assert len(follow(track, track.point(0.0), (-1.0, 0.3)).events) == 3


def test_both_ways_are_one_branch_from_end_to_end(monkeypatch):
    track = Curve(line, first_step=0.1)

    def located(track, point, found, length):
        places = [at for at in (-0.17, 0.12) if min(point.theta, found.theta) < at < max(point.theta, found.theta)]
        there = [(at, track.point(at, math.copysign(1.0, point.rate))) for at in places]
        return [Event("fold", 1.0, (0.9, 1.1), on, abs(at - point.theta), np.zeros((1, 1, 1)), 0) for at, on in there]

    monkeypatch.setattr(following, "located", located)
    branch = through(track, SimpleNamespace(s=0.0), 0.0, (-0.2, 0.3))
    assert branch.ends == ("range", "range")
    np.testing.assert_allclose(branch.theta, [-0.2, -0.17, -0.1, 0.0, 0.1, 0.12, 0.25, 0.3], atol=1e-8)
    np.testing.assert_allclose(branch.lengths, branch.theta + 0.2, atol=1e-8)
    assert [each.length for each in branch.events] == pytest.approx([0.03, 0.32])
    assert all(point.rate > 0 for point in branch.points)


class Piece:
    """A stable piece over an interval of ``ln p``, whose state at each value is told."""

    def __init__(self, number, low, high, grid=()):
        self.number, self.bounds = number, (low, high)
        theta = np.array([low, *grid, high])
        points = [SimpleNamespace(state=self.state(each), theta=each) for each in theta]
        track = SimpleNamespace(family=SimpleNamespace(options=Options(same_value=1e-6), parameter=SIGNAL))
        self.first, self.last = 0, len(theta) - 1
        self.branch = SimpleNamespace(
            theta=theta, points=points, track=track, order_parameter_of=lambda state: 10 * number + state.theta
        )

    def state(self, theta):
        low, high = self.bounds
        return SimpleNamespace(piece=self.number, theta=theta, free_energy=theta**2) if low <= theta <= high else None

    def end_state(self, theta):
        return self.state(min(self.bounds, key=lambda bound: abs(bound - theta)))


def test_a_leg_has_the_points_of_its_piece_in_the_order_in_which_they_are_passed():
    piece = Piece(3, 0.0, 1.0, grid=(0.2, 0.4, 0.8))
    up, down = _leg(5, piece, 0.3, 1.0), _leg(5, piece, 0.8, 0.0)
    assert (up.branch, up.piece) == (3, 5)
    np.testing.assert_allclose(np.log(up.value), [0.3, 0.4, 0.8, 1.0])
    np.testing.assert_allclose(np.log(down.value), [0.8, 0.4, 0.2, 0.0], atol=1e-15)
    np.testing.assert_allclose(up.order_parameter, 30 + np.log(up.value))
    np.testing.assert_allclose(down.free_energy, np.log(down.value) ** 2)
    np.testing.assert_allclose(np.log(_leg(5, piece, -0.1, 1.0).value), [0.0, 0.2, 0.4, 0.8, 1.0], atol=1e-15)


def test_pieces_that_go_on_beyond_a_value():
    piece = Piece(0, 0.0, 1.0)
    assert [_goes_on(piece, end, 1) for end in (-0.1, 0.0, 0.5, 1.0)] == [False, True, True, False]
    assert [_goes_on(piece, end, -1) for end in (0.0, 0.5, 1.0, 1.1)] == [False, True, True, False]


def test_a_passage_goes_on_where_another_piece_begins_or_where_the_descent_ends(monkeypatch):
    """Without a jump where the state is the same, or is found close by; else to the state below."""
    options = Options(same_value=1e-6)
    diagram = SimpleNamespace(family=SimpleNamespace(options=options, parameter=SIGNAL))
    before, after, below = Piece(0, 0.0, 1.0), Piece(1, 1.0, 2.0), Piece(2, 0.5, 2.0)
    state, apart = before.end_state(1.0), {1: 0.0, 2: 9.0}
    monkeypatch.setattr(hysteresis, "distance_up_to_symmetry", lambda state, other: apart[other.piece])
    monkeypatch.setattr(hysteresis, "_descent", lambda diagram, ahead, state, end, direction: (ahead[-1], "reached"))
    monkeypatch.setattr(hysteresis, "_nearest", lambda state, other: state)
    size = {"reached": 1.0}
    monkeypatch.setattr(hysteresis, "relative_change", lambda state, other: size[other])
    pieces = [before, after, below]
    assert _next(diagram, pieces, before, state, 1.0, 1) == (after, state, True)
    apart[1] = 1.0
    reached, there, continuous = _next(diagram, pieces, before, state, 1.0, 1)
    assert (reached, there.piece, there.theta, continuous) == (below, 2, 1.0, False)
    size["reached"] = 0.9 * options.continuous
    assert _next(diagram, pieces, before, state, 1.0, 1) == (below, state, True)
    # a piece that does not begin there is reached by a descent alone
    apart[2], size["reached"] = 0.0, 1.0
    assert not _next(diagram, pieces, before, state, 1.0, 1)[2]


def test_the_loop_is_as_wide_as_the_passages_are_on_different_pieces():
    def passage(*legs):
        """Pieces with the values at which each begins and ends."""
        found = tuple(SimpleNamespace(piece=piece, value=np.array([low, high])) for piece, low, high in legs)
        ends = sorted({value for _, *values in legs for value in values})[1:-1]
        return SimpleNamespace(legs=found, transitions=tuple(SimpleNamespace(value=value) for value in ends))

    up = passage((0, 1.0, 8.0), (1, 8.0, 16.0))
    assert _differences(up, passage((1, 16.0, 3.0), (0, 3.0, 1.0))) == ((3.0, 8.0),)
    assert _differences(up, up) == ()
    # neighbouring intervals are one, others are two
    assert _differences(up, passage((1, 16.0, 5.0), (2, 5.0, 3.0), (0, 3.0, 1.0))) == ((3.0, 8.0),)
    twice = passage((0, 1.0, 2.0), (3, 2.0, 4.0), (0, 4.0, 6.0), (1, 6.0, 16.0))
    assert _differences(up, twice) == ((2.0, 4.0), (6.0, 8.0))


@pytest.mark.parametrize(("critical", "asked"), [((), 0), ((1,), 0), ((1, 2), 1), ((0, 1, 2), 1)])
@pytest.mark.parametrize("negative", [0, 1])
def test_a_step_is_stable_where_its_sure_ends_are_minima_or_its_middle_is(critical, asked, negative):
    """Points at which an eigenvalue vanishes, with the sign of rounding, are not asked."""
    middles = []

    def step(point, length):
        middles.append((point, length))
        return SimpleNamespace(negative=negative)

    points = tuple(SimpleNamespace(number=k, negative=9 if k in critical else negative) for k in range(4))
    branch = Branch(SimpleNamespace(step=step), points, np.array([0.0, 1.0, 1.5, 3.0]), (), ("range", "range"))
    vars(branch)["_critical"] = frozenset(critical)
    assert branch.stable_step(1) == (negative == 0)
    assert middles == [(points[1], 0.25)] * asked


@pytest.mark.parametrize("reversed_", [False, True])
@pytest.mark.parametrize(("away", "taken"), [(0.0, True), (0.19, True), (0.21, False)])
def test_a_state_beside_a_critical_point_is_one_step_from_the_other_end(reversed_, away, taken, monkeypatch):
    """The parameter falls from 1 to 0 as the square of the distance: at 0.25 half of the way is left."""
    monkeypatch.setattr(branch_module, "relative_change", lambda state, H: abs(state.H - H))
    asked = []

    def step(start, length):
        asked.append((start.theta, length))
        return SimpleNamespace(state=SimpleNamespace(H=2.0))

    def converge(H, theta):
        asked.append((H, theta))
        return SimpleNamespace(H=H + 4.0 * away)

    critical = SimpleNamespace(theta=0.0, state=SimpleNamespace(H=6.0))
    other = SimpleNamespace(theta=1.0, state=SimpleNamespace(H=0.0))
    points = (critical, other) if reversed_ else (other, critical)
    track = SimpleNamespace(step=step, converge=converge)
    branch = Branch(track, points, np.array([1.0, 4.0]), (), ("range", "range"))
    monkeypatch.setattr(Branch, "_starts", lambda self, index: iter([other]))
    found = branch._beside(0, 0.25)
    assert asked == [(1.0, 1.5), (2.0, 0.25)]
    assert (found is not None) == taken
    # two ends at one value have no such step
    level = SimpleNamespace(theta=0.0, state=other.state)
    monkeypatch.setattr(Branch, "_starts", lambda self, index: iter([level]))
    flat = Branch(
        track, (critical, level) if reversed_ else (level, critical), np.array([1.0, 4.0]), (), ("range",) * 2
    )
    assert flat._beside(0, 0.25) is None
    assert len(asked) == 2
