"""A branch is followed by arclength from one of its states, and its special points are located on the way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from numerics.continuation.branch import Branch, End, relative_change, singular
from numerics.continuation.events import Event, located
from numerics.continuation.path import PathPoint, Track
from numerics.continuation.stretch import Stretch
from numerics.errors import LostError, NotSolvedError
from numerics.linear.functional import KernelPoint
from numerics.linear.lag_classes import UNCORRELATED

#: Lowest and highest θ.
Bounds = tuple[float, float]

#: Special points of a branch that leaves a pitchfork are located beyond this arclength from it.
OFF_PITCHFORK = 1e-3


def follow(track: Track, start: PathPoint, span: Bounds, near: Bounds | None = None) -> Branch:
    """Follow a branch from a point along its tangent, as long as θ stays within ``span``.

    Special points are located, and steps as short as that needs, within ``near`` only if it is given.
    """
    options = track.family.options
    longest = options.largest_step * math.sqrt(track.family.base.dimension)
    low, high = near or span
    points, lengths, events, step = [start], [0.0], list[Event](), options.first_step
    end: End = "unfinished"
    while len(points) < options.most_points:
        here = points[-1]
        found = track.step(here, step)
        if found is None or not _close(here, found, step):
            step *= 0.4
            if step < options.shortest_step:
                end = "lost"
                break
            continue
        aside = max(here.theta, found.theta) < low or min(here.theta, found.theta) > high
        if not span[0] <= found.theta <= span[1]:
            bound = span[0] if found.theta < span[0] else span[1]
            last = (found, step) if aside else _at_bound(track, here, found, step, bound)
            if last is not None:
                _append(track, points, lengths, events, last, sure=True, aside=aside)
            end = "range"
            break
        if gained_period(track, here, found) is not None:
            end = "symmetric"
            break
        try:
            sure = step < options.sure_step
            added = _append(track, points, lengths, events, (found, step), sure=sure, aside=aside)
        except NotSolvedError:
            # the spectrum of a large kernel: whether its state is a minimum cannot be told
            end = "lost"
            break
        if not added:
            step *= 0.4
            continue
        if len(points) > 8 and _returned(track, points, step):
            _append(track, points, lengths, events, (start, _gap(points[-1], start)), sure=True)
            end = "closed"
            break
        most = longest if low <= found.theta <= high else options.outer_step * longest
        step = min(most, step * (1.5 if found.corrections <= 3 else 0.8))
    return Branch(track, tuple(points), np.array(lengths), tuple(events), ("range", end))


def through(track: Track, state: KernelPoint, theta: float, span: Bounds, near: Bounds | None = None) -> Branch:
    """Follow the branch through a stationary state, both ways, as `follow` does."""
    start = track.start(state, theta)
    back, ahead = follow(track, start.reversed(), span, near), follow(track, start, span, near)
    if ahead.ends[1] == "closed":
        return ahead
    total = back.lengths[-1]
    earlier = [replace(event, length=total - event.length) for event in back.events[::-1]]
    later = [replace(event, length=total + event.length) for event in ahead.events]
    return Branch(
        track,
        (*(point.reversed() for point in back.points[:0:-1]), *ahead.points),
        np.concatenate([total - back.lengths[:0:-1], total + ahead.lengths]),
        (*earlier, *later),
        (back.ends[1], ahead.ends[1]),
    )


def gained_period(track: Track, first: PathPoint, second: PathPoint) -> int | None:
    """The lag period of a state between two points at which every other lag's correlations change sign."""
    if (first.correlations * second.correlations).min() >= 0.0:
        return None
    for period, outside in track.wider:
        a, b = (point.correlations[outside] for point in (first, second))
        sizes = [float(np.linalg.norm(c)) for c in (a, b)]
        if min(sizes) > UNCORRELATED and float(a @ b) < -0.5 * sizes[0] * sizes[1]:
            return period
    return None


def _close(first: PathPoint, second: PathPoint, step: float) -> bool:
    """Whether a corrected point is about as far away as it should be."""
    return _gap(first, second) < 1.5 * step


def _at_bound(
    track: Track, here: PathPoint, beyond: PathPoint, step: float, bound: float
) -> tuple[PathPoint, float] | None:
    """The point at a bound of the parameter between two points, and the length to it."""
    if abs(here.theta - bound) < track.family.options.same_value:
        return None
    try:
        found, length = Stretch(track, {0.0: here, step: beyond}).between(bound, 0.0, step)
    except LostError:
        return None
    state = track.converge(found.state.H, bound)
    return (replace(found, state=state, theta=bound), length) if state is not None else None


def _returned(track: Track, points: list[PathPoint], step: float) -> bool:
    first, last = points[0], points[-1]
    if abs(first.theta - last.theta) > step or relative_change(first.state, last.state.H) > step:
        return False
    cosine = float(np.vdot(first.tangent, last.tangent)) + first.rate * last.rate
    return cosine > track.family.options.smallest_cosine


def _append(
    track: Track,
    points: list[PathPoint],
    lengths: list[float],
    events: list[Event],
    found: tuple[PathPoint, float],
    *,
    sure: bool,
    aside: bool = False,
) -> bool:
    """Add a point at a distance from the last one, and the events between both unless these are ``aside``.

    Returns:
        False, and adds nothing, where the corrector fails next to an event, unless ``sure`` that the point is to be
        added all the same.

    Raises:
        NotSolvedError: the spectrum at the point is not found.
    """
    start, point, end = lengths[-1], points[-1], lengths[-1] + found[1]
    if start == 0.0 and not aside and singular(point, track.family.options.zero):
        # where one branch leaves another an eigenvalue vanishes: the sign computed for it is rounding
        start, point = OFF_PITCHFORK, track.step(point, OFF_PITCHFORK) or point
    try:
        passed = [] if aside else located(track, point, found[0], end - start)
    except LostError:
        if not sure:
            return False
        # what follows is still the branch, as its own tests say
        passed = []
    for event in passed:
        events.append(replace(event, length=start + event.length))
        points.append(event.point)
        lengths.append(start + event.length)
    points.append(found[0])
    lengths.append(end)
    return True


def _gap(first: PathPoint, second: PathPoint) -> float:
    return math.hypot(relative_change(first.state, second.state.H), second.theta - first.theta)
