"""The tangent of a branch that leaves another: where no symmetry makes it vertical, against states on the branch."""

import math

import numpy as np
import pytest

from numerics.continuation.branch import relative_change
from numerics.continuation.family import family
from numerics.continuation.following import gained_period, through
from numerics.continuation.growth import switched
from numerics.continuation.path import Track
from numerics.inputs.problem import Problem
from numerics.linear.lag_classes import lag_period, phase_order


def branch_of(labels, n, high):
    """The branch of the random network in the signal, from weak labels on: its lags are multiples of the phases'."""
    y = np.full((1, n), np.nan)
    y[0, list(labels)] = list(labels.values())
    whole, low = family(Problem([[1.0]], y, kappa=0.5), "signal"), math.log(0.01)
    functional = whole.functional(low)
    track = Track(whole, phase_order(functional))
    return through(track, track.converge(functional.prior_kernel(), low), low, (low, math.log(high)))


@pytest.mark.parametrize(
    ("labels", "n", "values"), [({0: 1.0, 3: 3.0}, 4, 1), ({0: 0.3, 3: 3.0}, 4, 2), ({1: 1.0, 4: 3.0}, 5, 1)]
)
def test_lags_that_are_lost_at_three_steps_grow_in_proportion_to_the_signal(labels, n, values):
    """Labels three steps apart: three modes of lag 1 make lag 3, so that the branching equation has a square. The
    branch crosses the other one at an angle; along both directions it starts as its tangent says, to second order."""
    parent = branch_of(labels, n, 30.0)
    events = [event for event in parent.events if event.type == "branch-point"]
    assert len(events) == values
    for event in events:
        (mode,) = event.modes
        rates = []
        for direction in (mode, -mode):
            left = switched(parent, event, direction, (event.point.theta - 0.2, event.point.theta + 0.2))()
            start = left.points[0]
            rates.append(start.rate)
            assert np.vdot(start.tangent, start.tangent) + start.rate**2 == pytest.approx(1.0, abs=1e-9)
            assert np.vdot(start.tangent, direction) > 0.5
            assert lag_period(left.points[1].state.functional, left.points[1].state.H) == 1
            off = []
            for step in (0.02, 0.01):
                reached = left.track.step(start, step)
                assert reached is not None
                moved = (reached.theta - start.theta) / step, relative_change(start.state, reached.state.H) / step
                off.append([moved[0] - start.rate, moved[1] - np.linalg.norm(start.tangent)])
                np.testing.assert_allclose(off[-1], 0.0, atol=2 * step)
            assert abs(off[1][0]) < 0.6 * abs(off[0][0])  # first order in the step: the tangent has no error
        assert abs(rates[0]) > 0.2
        assert rates[1] == pytest.approx(-rates[0], rel=1e-6)


def test_where_a_symmetry_reverses_the_mode_the_branch_leaves_at_a_right_angle():
    parent = branch_of({2: 3.0}, 3, 30.0)
    (event,) = [event for event in parent.events if event.type == "pitchfork"]
    left = switched(parent, event, event.modes[0], (event.point.theta - 1.0, event.point.theta + 0.1))()
    assert left.points[0].rate == pytest.approx(0.0, abs=1e-8)
    changes = [left.track.step(left.points[0], step).theta - event.point.theta for step in (0.02, 0.01)]
    assert changes[0] == pytest.approx(4 * changes[1], rel=0.02)


def test_correlations_that_change_sign_by_rounding_or_without_a_symmetry_are_no_gain():
    """Of three times at lags 1 and 2: only where phases are symmetries, and correlations more than rounding."""

    def ends(size, problem):
        track = Track(family(problem, "signal"), 1)
        kernels = (np.eye(3) + sign * size * (np.ones((3, 3)) - np.eye(3)) for sign in (1, -1))
        points = [track.start(track.put(H, 0.0), 0.0, np.eye(3)) for H in kernels]
        return gained_period(track, *points)

    plain = Problem([[1.0]], [[np.nan, np.nan, 3.0]])
    assert ends(0.1, plain) == 0
    assert ends(1e-15, plain) is None
    assert ends(0.1, Problem([[1.0]], [[np.nan, 1.0, 3.0]])) is None
