"""What happens between two points of a branch: folds, pitchforks and branch points, each with an interval.

Test functions along the arclength are the tangent's parameter component (folds) and the eigenvalues of the Hessian on
each class of directions. One that changes sign is a pitchfork if a phase or a sign symmetry that leaves the state as
it is turns the mode into its negative; without one, and without a fold, it is a branch point. Their zeros are found on
corrected points of the branch, and the interval is one over which the sign is seen to change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from numerics.continuation.parameters import Parameter
from numerics.continuation.path import PathPoint, Track
from numerics.continuation.roots import zero_between
from numerics.continuation.stretch import Stretch
from numerics.errors import LostError
from numerics.linalg import FloatArray
from numerics.linear.images import turns
from numerics.linear.lag_classes import common_lag

EventType = Literal["pitchfork", "fold", "branch-point"]
OnBranch = Callable[[float], PathPoint]

#: Half the first bracket's width in arclength, and the widest one tried.
NARROWEST, WIDEST = 1e-13, 1e-3
#: What the corrector leaves of θ undetermined, relative to ``1 + |θ|``.
CORRECTED = 1e-13


@dataclass(frozen=True, eq=False)
class Event:
    """A special point of a branch.

    Attributes:
        type: ``"pitchfork"``, ``"fold"`` or ``"branch-point"``.
        value: the parameter p.
        interval: values of p around it: over them the test function is seen to change sign; for a fold, the highest
            (lowest) value reached and the bound that the tangents give.
        point: a corrected point of the branch inside.
        length: arclength.
        modes: the critical directions S, (k, m, m).
        period: lag period of the branches that leave along them; the branch's own at a fold.
    """

    type: EventType
    value: float
    interval: tuple[float, float]
    point: PathPoint
    length: float
    modes: FloatArray
    period: int


def located(track: Track, first: PathPoint, second: PathPoint, step: float) -> list[Event]:
    """Events on the step of a length from one point to the next.

    Raises:
        LostError: see there.
    """
    events = []
    at = Stretch(track, {0.0: first, step: second}).at
    turns = first.rate * second.rate < 0
    if turns:
        events.append(_fold(track, at, step))
    for index, counts in enumerate(zip(first.negatives, second.negatives, strict=True)):
        crossing = list(range(min(counts), max(counts)))
        if index == 0 and turns:
            # one eigenvalue of the state's own lags vanishes at the fold itself
            crossing = crossing[1:]
        events += _crossings(track, at, step, index, crossing)
    return sorted(events, key=lambda event: event.length)


def _fold(track: Track, at: OnBranch, step: float) -> Event:
    low, high = _bracket(lambda length: at(length).rate, step)
    first_end, last_end, middle = at(low), at(high), at(0.5 * (low + high))
    # a curve that turns stays on one side of its tangents
    bounds = [
        first_end.theta,
        last_end.theta,
        middle.theta,
        first_end.theta + first_end.rate * (high - low),
        last_end.theta - last_end.rate * (high - low),
    ]
    length = 0.5 * (low + high)
    value, interval = _values(track.family.parameter, middle.theta, bounds)
    return Event("fold", value, interval, middle, length, middle.tangent[None], track.period)


def _crossings(track: Track, at: OnBranch, step: float, index: int, numbers: list[int]) -> list[Event]:
    """Where the eigenvalues of the given numbers, on one class, change sign; those that do so together as one."""
    events: list[Event] = []
    same_point = track.family.options.same_point
    for number in numbers:

        def eigenvalue(length: float, number: int = number) -> float:
            return float(at(length).eigenvalues(index)[number])

        low, high = _bracket(eigenvalue, step)
        length = 0.5 * (low + high)
        point = at(length)
        mode = point.lowest(index)[1][number : number + 1]
        if events and abs(events[-1].length - length) < same_point:
            last = events.pop()
            modes = np.concatenate([last.modes, mode])
            events.append(Event(last.type, last.value, last.interval, last.point, last.length, modes, last.period))
            continue
        lag = common_lag(point.state, point.classes[index])
        period = math.gcd(track.period, lag) if index else track.period
        events.append(
            Event(
                "pitchfork" if _reverses(track.period, period) or turns(point.state, mode[0]) else "branch-point",
                *_values(track.family.parameter, point.theta, [at(low).theta, at(high).theta, point.theta]),
                point,
                length,
                mode,
                period,
            )
        )
    return events


def _reverses(period: int, left: int) -> bool:
    """Whether a phase ``exp(2πikt/period)`` turns modes at lags that have the gcd ``left`` with it into their negative:
    ``2k·lag/period`` is odd for some k. Any phase may be taken where the period is 0.
    """
    return left != period and (period == 0 or (period // left) % 2 == 0)


def _values(parameter: Parameter, theta: float, thetas: list[float]) -> tuple[float, tuple[float, float]]:
    """p at a corrected point, and its interval around others."""
    rounding = CORRECTED * (1.0 + max(abs(theta) for theta in thetas))
    bounds = parameter.value_at(min(thetas) - rounding), parameter.value_at(max(thetas) + rounding)
    return parameter.value_at(theta), bounds


def _bracket(function: Callable[[float], float], step: float) -> tuple[float, float]:
    """A narrow interval of lengths over which a test function changes sign, which it does over ``(0, step)``."""
    if function(0.0) * function(step) > 0:
        raise LostError("the test function has the same sign at both ends")
    root = zero_between(function, 0.0, step, 0.5 * NARROWEST)
    width = NARROWEST
    while width < WIDEST:
        low, high = max(0.0, root - width), min(step, root + width)
        if function(low) * function(high) <= 0:
            return low, high
        width *= 4.0
    raise LostError("the test function does not change sign around its zero")
