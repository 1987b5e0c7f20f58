"""The bifurcation diagram of a problem in one parameter: its branches, and where the free energies of minima cross.

Branches start from the states that a search finds at a few values of the parameter and from the critical directions
of pitchforks and branch points, both ways. States that differ by a symmetry (``numerics.symmetry.phases``) are one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from numerics.continuation.branch import Branch, follow, gained_period, monotonic_pieces, relative_change, through
from numerics.continuation.events import Event
from numerics.continuation.family import Family, Parameter, family
from numerics.continuation.path import PathPoint, Track
from numerics.problem import InputError, Problem
from numerics.saddle import search
from numerics.saddle.functional import KernelPoint
from numerics.symmetry.phases import distance_up_to_symmetry, lag_period, reversal, turned

FloatArray = NDArray[np.float64]
PointType = Literal["pitchfork", "fold", "branch-point", "equal-free-energy"]

#: Most branches that are followed, and the values of the parameter at which a search looks for further ones.
MOST_BRANCHES, SEARCHES = 80, 3
#: Two kernels closer than this, relative, are one state.
SAME = 1e-6
#: Free energies are compared at so many values along a pair of stable pieces.
COMPARED = 16
#: Length over which the Hessian's change is taken at a point where branches meet.
PROBE = 1e-4
#: Half the relative width of the bracket in which two free energies are seen to cross, at first.
NARROWEST = 1e-13


@dataclass(frozen=True, eq=False)
class SpecialPoint:
    """A pitchfork, fold or branch point of a branch, or a crossing of the free energies of two minima.

    Attributes:
        type: ``"pitchfork"``, ``"fold"``, ``"branch-point"`` or ``"equal-free-energy"``.
        value: the parameter.
        interval: values around it that bracket it (see ``events.Event``).
        branches: numbers of the branches that meet, in ``Diagram.branches``.
        order_parameter: of each of these there.
    """

    type: PointType
    value: float
    interval: tuple[float, float]
    branches: tuple[int, ...]
    order_parameter: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Diagram:
    """Branches in the order in which they were found, and special points by value of the parameter.

    Attributes:
        family: problem and parameter.
        span: lowest and highest value.
        branches: each once, up to symmetry.
        special_points: those within the span.
    """

    family: Family
    span: tuple[float, float]
    branches: tuple[Branch, ...]
    special_points: tuple[SpecialPoint, ...]

    @cached_property
    def stable_pieces(self) -> tuple[Piece, ...]:
        """Stretches of the branches on which states are minima and the parameter is monotonic."""
        return tuple(piece for number, branch in enumerate(self.branches) for piece in _stable(number, branch))

    def states(self, value: float) -> list[tuple[int, KernelPoint]]:
        """Every state at one value of the parameter, with the number of its branch, in order of free energy.

        Raises:
            InputError: the value is outside the span.
        """
        if not self.span[0] <= value <= self.span[1]:
            raise InputError(f"value: is {value:g}; accepted: from {self.span[0]:g} to {self.span[1]:g}")
        found: list[tuple[int, KernelPoint]] = []
        for number, branch in enumerate(self.branches):
            mine: list[KernelPoint] = []
            for state in states_at(branch, math.log(value)):
                if all(distance_up_to_symmetry(state, other) > SAME for other in mine):
                    mine.append(state)
            found += [(number, state) for state in mine]
        return sorted(found, key=lambda pair: pair[1].free_energy)


@dataclass(frozen=True, eq=False)
class Piece:
    """Points ``first`` to ``last`` of a branch, all minima, on which the parameter is monotonic."""

    number: int
    branch: Branch
    first: int
    last: int

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest ``ln p``."""
        ends = self.branch.theta[[self.first, self.last]]
        return float(ends.min()), float(ends.max())

    def state(self, theta: float) -> KernelPoint | None:
        """Its state at a value of the parameter within the bounds."""
        order = self.branch.theta[self.first : self.last + 1]
        rising = order[-1] > order[0]
        place = int(np.searchsorted(order if rising else order[::-1], theta))
        inner = min(max(place, 1), len(order) - 1)
        return self.branch.state_at(self.first + (inner - 1 if rising else len(order) - 1 - inner), theta)


def diagram(
    problem: Problem,
    parameter: Parameter,
    span: tuple[float, float],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Diagram:
    """Every branch found for one parameter between two positive values, with its special points.

    Args:
        problem: as for ``family``: in the parameter ``"signal"`` its labels are those at λ = 1.
        parameter: ``"signal"``, ``"kappa"``, ``"u"``, ``"v"`` or ``"w"``.
        span: lowest and highest value.
        progress: called with the numbers of branches followed, and known so far.

    Raises:
        InputError: the span is not positive and increasing, or ``family`` refuses.
    """
    low, high = _checked(span)
    whole = family(problem, parameter)
    found: list[Branch] = []
    for theta in np.linspace(math.log(low), math.log(high), SEARCHES):
        for state in _searched(whole, float(theta)):
            if not _known(found, state, float(theta)):
                track = Track(whole, lag_period(state.functional, state.H))
                _grow(found, [_seed(track, state, float(theta), (math.log(low), math.log(high)))], span, progress)
    joined = [_joined(branch, found) for branch in found]
    special = [*_events(joined), *_equal_free_energy(joined)]
    inside = [point for point in special if low <= point.value <= high]
    return Diagram(whole, span, tuple(joined), tuple(sorted(inside, key=lambda point: point.value)))


def continue_branch(problem: Problem, parameter: Parameter, span: tuple[float, float], kernel: FloatArray) -> Branch:
    """The one branch through a stationary kernel of ``problem`` itself, both ways within the span.

    Args:
        problem: with its own value of the parameter (1 for the signal) inside the span.
        parameter, span: as for ``diagram``.
        kernel: H in the space of the inputs, such as ``Solution.reduced``.

    Raises:
        InputError: as for ``diagram``, for a value outside the span, or for a kernel that is not stationary.
    """
    low, high = _checked(span)
    whole = family(problem, parameter)
    value = 1.0 if parameter == "signal" else float(getattr(problem, parameter))
    if not low <= value <= high:
        raise InputError(
            f"span: is {low:g} to {high:g}; accepted: a span around the problem's own {parameter}, {value:g}"
        )
    state = whole.functional(math.log(value)).at(np.asarray(kernel, dtype=np.float64))
    track = Track(whole, lag_period(state.functional, state.H))
    settled = track.settle(state.H, math.log(value))
    if settled is None or relative_change(settled, state.H) > 1e-3:
        raise InputError("kernel: is not stationary; accepted: a converged state of this problem")
    return through(track, settled, math.log(value), (math.log(low), math.log(high)))


# --- finding branches ---------------------------------------------------------------------------------------------


def _checked(span: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(bound) for bound in span)
    if not 0 < low < high < math.inf:
        raise InputError(f"span: is {low:g} to {high:g}; accepted: two finite numbers, 0 < low < high")
    return low, high


def _searched(whole: Family, theta: float) -> list[KernelPoint]:
    functional = whole.functional(theta)
    return [functional.at(state.reduced) for state in search.search_all(whole.at(theta)) if state.converged]


def _seed(track: Track, state: KernelPoint, theta: float, bounds: tuple[float, float]) -> Callable[[], Branch]:
    return lambda: through(track, state, theta, bounds)


def _grow(
    found: list[Branch],
    queue: list[Callable[[], Branch]],
    span: tuple[float, float],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Follow what is queued, and everything that leaves it, adding to ``found`` what is new."""
    bounds = math.log(span[0]), math.log(span[1])
    while queue and len(found) < MOST_BRANCHES:
        branch = queue.pop(0)()
        if progress is not None:
            progress(len(found) + 1, len(found) + 1 + len(queue))
        if len(branch.points) < 2 or _traced_before(found, branch):
            continue
        found.append(branch)
        for event in branch.events:
            if event.type != "fold":
                queue += [_switch(branch, event, direction, bounds) for direction in _directions(event)]
        queue += list(_parents(branch, bounds))


def _switch(branch: Branch, event: Event, direction: FloatArray, bounds: tuple[float, float]) -> Callable[[], Branch]:
    def followed() -> Branch:
        track = Track(branch.track.family, event.period)
        return follow(track, _leaving(branch.track, event.point, direction), bounds)

    return followed


def _leaving(parent: Track, point: PathPoint, mode: FloatArray) -> PathPoint:
    """A critical point of the branch ``parent``, with the tangent of the branch that leaves it.

    Points ``αφ + βψ`` off it, φ the mode and ψ the parent's tangent, solve the branching equation ``α(aα + 2bβ) = 0``
    to second order, with ``a = ⟨φ, D²G[φ, φ]⟩`` and ``b = ⟨φ, D²G[φ, ψ]⟩`` (Keller 1977): ``β = 0`` at a pitchfork,
    where a symmetry makes ``a = 0``, but not where a state that only phases of order 3 leave as it is loses its lags.
    """
    beyond = [parent.step(start, PROBE) for start in (point, point.reversed())]
    if beyond[0] is None or beyond[1] is None:
        return PathPoint(point.state, point.theta, mode, 0.0, 0)
    sides = [_form(point.state.move(step * mode), point.state, mode) for step in (PROBE, -PROBE)]
    a = sides[0] - sides[1]
    b = _form(beyond[0].state, point.state, mode) - _form(beyond[1].state, point.state, mode)
    share = -0.5 * a / b if abs(b) > 0 else 0.0
    size = math.hypot(1.0, share)
    return PathPoint(point.state, point.theta, (mode + share * point.tangent) / size, share * point.rate / size, 0)


def _form(state: KernelPoint, origin: KernelPoint, mode: FloatArray) -> float:
    """``⟨φ, 𝓗φ⟩`` of one state, for a direction φ at another state nearby."""
    half = np.linalg.solve(state.L, origin.L)
    moved = half @ mode @ half.T
    return float(np.vdot(moved, state.hessian_product(moved)))


def _directions(event: Event) -> list[FloatArray]:
    """Each critical direction, both ways unless ``W → -W`` turns one into the other."""
    state, directions = event.point.state, []
    flip = reversal(state.functional)
    for mode in event.modes:
        directions.append(mode)
        if flip is None or not _reversed(state, mode, flip):
            directions.append(-mode)
    return directions


def _reversed(state: KernelPoint, mode: FloatArray, flip: FloatArray) -> bool:
    """Whether signs leave a state as it is and turn a mode into its negative."""
    change = state.L @ mode @ state.L.T
    kept = np.allclose(flip[:, None] * state.H * flip, state.H, rtol=1e-9, atol=1e-12)
    return kept and bool(np.linalg.norm(flip[:, None] * change * flip + change) < 1e-6 * np.linalg.norm(change))


def _parents(branch: Branch, bounds: tuple[float, float]) -> Iterator[Callable[[], Branch]]:
    """The branches of fewer lags in which a branch ends."""
    for end, point in zip(branch.ends, (branch.points[0], branch.points[-1]), strict=True):
        if end != "symmetric":
            continue
        outward = point.reversed() if point is branch.points[0] else point
        for step in (0.01, 0.03, 0.1, 0.3):
            beyond = branch.track.step(outward, step)
            period = gained_period(branch.track, outward, beyond) if beyond is not None else None
            if period is not None:
                track = Track(branch.track.family, period)
                state = track.settle(point.state.H, point.theta)
                if state is not None:
                    yield _seed(track, state, point.theta, bounds)
                break


def _traced_before(found: Sequence[Branch], branch: Branch) -> bool:
    """Whether a branch is a known one: two that differ meet at single points only."""
    count = len(branch.points)
    places = sorted({k * count // 6 for k in range(1, 6)} - {0, count - 1})
    known = [_known(found, branch.points[k].state, branch.points[k].theta) for k in places]
    return sum(known) >= min(2, len(known))


def _known(found: Sequence[Branch], state: KernelPoint, theta: float) -> bool:
    return any(
        distance_up_to_symmetry(state, other) < SAME for branch in found for other in states_at(branch, theta, state)
    )


def states_at(branch: Branch, theta: float, near: KernelPoint | None = None) -> Iterator[KernelPoint]:
    """States of a branch at a value of the parameter; of these only such that may be ``near`` up to symmetry."""
    below = branch.theta <= theta
    for index in np.flatnonzero((below[:-1] != below[1:]) | (branch.theta[:-1] == theta)):
        if near is not None and not _may_be_near(branch, int(index), near):
            continue
        state = branch.state_at(int(index), theta)
        if state is not None:
            yield state
    if branch.theta[-1] == theta:
        yield branch.points[-1].state


def _may_be_near(branch: Branch, index: int, near: KernelPoint) -> bool:
    """Whether a state is about as close to both ends of a step as these are to each other, up to symmetry."""
    ends = branch.points[index].state, branch.points[index + 1].state
    gap = relative_change(ends[0], ends[1].H)
    images = turned(near.functional, near.H)
    return any(min(relative_change(end, H) for end in ends) <= 1.5 * gap + SAME for H in images)


def _joined(branch: Branch, found: Sequence[Branch]) -> Branch:
    """The branch with the pitchforks or branch points in which it ends as its last points."""
    points, lengths = list(branch.points), list(branch.lengths)
    for side, end in enumerate(branch.ends):
        if end != "symmetric":
            continue
        last = points[-1 if side else 0]
        forks = [event for other in found for event in other.events if event.type != "fold"]
        gaps = [_gap(last, event) for event in forks]
        if gaps and min(gaps) < 1.0:
            fork = forks[int(np.argmin(gaps))]
            place = replace(last, state=_turned_towards(fork.point.state, last.state), theta=fork.point.theta)
            if side:
                points.append(place)
                lengths.append(lengths[-1] + min(gaps))
            else:
                points.insert(0, place)
                lengths.insert(0, lengths[0] - min(gaps))
    if len(points) == len(branch.points):
        return branch
    return replace(branch, points=tuple(points), lengths=np.array(lengths) - lengths[0])


def _gap(last: PathPoint, event: Event) -> float:
    state = _turned_towards(event.point.state, last.state)
    return math.hypot(relative_change(last.state, state.H), event.point.theta - last.theta)


def _turned_towards(state: KernelPoint, other: KernelPoint) -> KernelPoint:
    """The state or its image under ``W → -W``, whichever is closer to another."""
    return state.functional.at(min(turned(state.functional, state.H), key=lambda H: relative_change(other, H)))


# --- special points ------------------------------------------------------------------------------------------------


def _events(found: Sequence[Branch]) -> list[SpecialPoint]:
    """Events of the branches, each once, with the branches that meet there."""
    points = []
    for number, branch in enumerate(found):
        for event in branch.events:
            meeting = [number]
            if event.type != "fold":
                meeting += [k for k, other in enumerate(found) if k != number and _ends_at(other, event)]
            size = branch.order_parameter_of(event.point.state)
            points.append(SpecialPoint(event.type, event.value, event.interval, tuple(meeting), (size,) * len(meeting)))
    return points


def _ends_at(branch: Branch, event: Event) -> bool:
    return any(
        abs(end.theta - event.point.theta) < 1e-9 and distance_up_to_symmetry(event.point.state, end.state) < SAME
        for end in (branch.points[0], branch.points[-1])
    )


def _stable(number: int, branch: Branch) -> Iterator[Piece]:
    for first, last in monotonic_pieces(branch):
        inside = np.array([branch.stable_step(k) for k in range(first, last)])
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            yield Piece(number, branch, first + int(start), first + int(stop))


def _equal_free_energy(found: Sequence[Branch]) -> Iterator[SpecialPoint]:
    pieces = [piece for number, branch in enumerate(found) for piece in _stable(number, branch)]
    for first, second in combinations(pieces, 2):
        low = max(first.bounds[0], second.bounds[0])
        high = min(first.bounds[1], second.bounds[1])
        if high - low < 1e-9:
            continue

        def gap(theta: float, pair: tuple[Piece, Piece] = (first, second)) -> float:
            states = [piece.state(theta) for piece in pair]
            if states[0] is None or states[1] is None or distance_up_to_symmetry(states[0], states[1]) < SAME:
                return math.nan
            return states[0].free_energy - states[1].free_energy

        places = np.linspace(low, high, COMPARED)
        gaps = [gap(float(theta)) for theta in places]
        for (a, gap_a), (b, gap_b) in pairwise(zip(places, gaps, strict=True)):
            if gap_a * gap_b < 0:
                yield _crossing(gap, float(a), float(b), (first, second))


def _crossing(gap: Callable[[float], float], low: float, high: float, pair: tuple[Piece, Piece]) -> SpecialPoint:
    root = float(brentq(gap, low, high, xtol=1e-15, rtol=1e-14))
    width = NARROWEST * max(1.0, abs(root))
    while gap(root - width) * gap(root + width) > 0:
        width *= 4.0
    sizes = []
    for piece in pair:
        state = piece.state(root)
        sizes.append(math.nan if state is None else piece.branch.order_parameter_of(state))
    return SpecialPoint(
        "equal-free-energy",
        math.exp(root),
        (math.exp(root - width), math.exp(root + width)),
        (pair[0].number, pair[1].number),
        tuple(sizes),
    )
