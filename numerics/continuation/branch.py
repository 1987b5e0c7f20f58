"""One branch of stationary kernels, followed by arclength, with the points at which something happens on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from numerics.continuation.events import Event, LostError, located
from numerics.continuation.path import PathPoint, Track
from numerics.saddle.functional import KernelPoint
from numerics.symmetry.phases import lag_classes

FloatArray = NDArray[np.float64]
End = Literal["range", "symmetric", "closed", "lost"]

#: First step, and the largest one over ``√m``: a relative change of each row of the kernel.
FIRST_STEP, LARGEST_STEP = 0.01, 0.08
#: Arclength from a pitchfork over which it is not reported again on the branch that leaves it.
CLEAR = 1e-5
#: Eigenvalues smaller than this, of a Hessian of order one, are rounding.
ZERO = 1e-9
#: Steps shorter than this do not help, and a branch of more points than this is left unfinished.
SHORTEST_STEP, MOST_POINTS = 1e-7, 4000


@dataclass(frozen=True, eq=False)
class Branch:
    """A curve of stationary kernels in one parameter.

    Attributes:
        track: the family and the lags of its kernels.
        points: traced points and the events between them, all with a relative residual within ``path.ACCEPTED``.
        lengths: arclength of each, increasing.
        events: pitchforks, folds and branch points between them, by arclength.
        ends: why it ends at either side: ``"range"`` at a bound of the parameter, ``"symmetric"`` at a pitchfork of a
            branch with fewer lags, ``"closed"`` where it meets its own start, ``"lost"`` where the corrector fails.
    """

    track: Track
    points: tuple[PathPoint, ...]
    lengths: FloatArray
    events: tuple[Event, ...]
    ends: tuple[End, End]

    @cached_property
    def _critical(self) -> frozenset[int]:
        """Points at which an eigenvalue vanishes, so that its computed sign means nothing: events and pitchforks at an
        end."""
        places = {int(np.argmin(np.abs(self.lengths - event.length))) for event in self.events}
        last = len(self.points) - 1
        return frozenset(places | {k for k in (0, last) if _singular(self.points[k])})

    def stable_step(self, index: int) -> bool:
        """Whether the states between points ``index`` and ``index + 1`` are minima."""
        sure = [k for k in (index, index + 1) if k not in self._critical]
        if sure:
            return all(self.points[k].negative == 0 for k in sure)
        half = 0.5 * float(self.lengths[index + 1] - self.lengths[index])
        middle = self.track.step(self.points[index], half)
        return middle is not None and middle.negative == 0

    @cached_property
    def theta(self) -> FloatArray:
        """``ln p`` at the points, (G,)."""
        return np.array([point.theta for point in self.points])

    @property
    def value(self) -> FloatArray:
        """The parameter p at the points, (G,)."""
        return np.exp(self.theta)

    @property
    def kernels(self) -> FloatArray:
        """H, (G, nP, nP)."""
        space = self.track.family.base.space
        return np.array([space.expand(point.state.H) for point in self.points])

    @property
    def free_energy(self) -> FloatArray:
        """F, (G,)."""
        return np.array([point.state.free_energy for point in self.points])

    @property
    def residual(self) -> FloatArray:
        """Relative residual of stationarity, (G,)."""
        return np.array([point.state.residual for point in self.points])

    @cached_property
    def negative(self) -> NDArray[np.intp]:
        """Number of negative eigenvalues of the Hessian, (G,); 0 where the state is a minimum."""
        return np.array([point.negative for point in self.points])

    @cached_property
    def order_parameter(self) -> FloatArray:
        """Frobenius norm of the block ``H^{T-1,T-2}``, (G,)."""
        return np.array([self.order_parameter_of(point.state) for point in self.points])

    def order_parameter_of(self, state: KernelPoint) -> float:
        """That of any state of the family."""
        P = self.track.family.problem.P
        kernel = state.functional.space.expand(state.H)
        return float(np.linalg.norm(kernel[-P:, -2 * P : -P]))

    def state_at(self, index: int, theta: float) -> KernelPoint | None:
        """The state between points ``index`` and ``index + 1`` at a parameter that lies between theirs."""
        first, second = self.points[index], self.points[index + 1]
        if first.theta == second.theta:
            return first.state
        weight = (theta - first.theta) / (second.theta - first.theta)
        start = between(first.state, second.state, weight)
        found = self.track.settle(start, theta)
        gap = relative_change(first.state, second.state.H)
        if found is not None and relative_change(found, start) <= max(0.5 * gap, 1e-6):
            return found
        return self._by_arclength(index, theta)

    def _by_arclength(self, index: int, theta: float) -> KernelPoint | None:
        """The same close to a pitchfork or fold, where the kernel is no smooth function of the parameter."""
        backwards = index in self._critical
        start = self.points[index + 1].reversed() if backwards else self.points[index]

        def excess(length: float) -> float:
            found = self.track.step(start, length) if length else start
            if found is None:
                raise LostError("the branch is lost between two of its points")
            return found.theta - theta

        lengths = np.linspace(0.0, self.lengths[index + 1] - self.lengths[index], 9)
        try:
            # at a pitchfork the branch goes on as its mirror image: the crossing may come twice
            pairs = ((a, b) for a, b in pairwise(lengths) if excess(a) * excess(b) <= 0)
            length = float(brentq(excess, *next(pairs), xtol=1e-10))
        except (LostError, StopIteration):
            return None
        found = self.track.step(start, length)
        return None if found is None else self.track.settle(found.state.H, theta)


def between(first: KernelPoint, second: KernelPoint, weight: float) -> FloatArray:
    """A kernel on the geodesic of the natural metric between two."""
    half = np.linalg.solve(first.L, second.L)
    left, values, _ = np.linalg.svd(half)
    frame = first.L @ (left * values**weight)
    return np.asarray(frame @ frame.T)


def relative_change(first: KernelPoint, H: FloatArray) -> float:
    """``‖ln(L⁻¹HL⁻ᵀ)‖``, the distance of two kernels in the natural metric."""
    half = np.linalg.solve(first.L, np.linalg.cholesky(H))
    return float(np.linalg.norm(2.0 * np.log(np.linalg.svd(half, compute_uv=False))))


def follow(track: Track, start: PathPoint, span: tuple[float, float]) -> Branch:
    """Follow a branch from a point along its tangent, as long as ``ln p`` stays within ``span``."""
    longest = LARGEST_STEP * math.sqrt(track.family.base.dimension)
    points, lengths, events, step = [start], [0.0], list[Event](), FIRST_STEP
    end: End = "lost"
    while len(points) < MOST_POINTS:
        here = points[-1]
        found = track.step(here, step)
        if found is None or not _close(here, found, step):
            step *= 0.4
            if step < SHORTEST_STEP:
                break
            continue
        if not span[0] <= found.theta <= span[1]:
            last = _at_bound(track, here, step, span[0] if found.theta < span[0] else span[1])
            if last is not None:
                _append(track, points, lengths, events, last)
            end = "range"
            break
        if gained_period(track, here, found) is not None:
            end = "symmetric"
            break
        _append(track, points, lengths, events, (found, step))
        if len(points) > 8 and _returned(points, step):
            end = "closed"
            break
        step = min(longest, step * (1.5 if found.corrections <= 3 else 0.8))
    return Branch(track, tuple(points), np.array(lengths), tuple(events), ("range", end))


def through(track: Track, state: KernelPoint, theta: float, span: tuple[float, float]) -> Branch:
    """Follow the branch through a stationary state, both ways."""
    start = track.start(state, theta)
    back, ahead = follow(track, start.reversed(), span), follow(track, start, span)
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
    space = track.family.base.space
    if space.pattern_basis is None:
        return None
    n, k = space.n, track.period
    multiples = range(2 * k, n, k) if k else range(0)
    wider = [0, *sorted(multiples, reverse=True)] if k else []
    correlations = [_correlations(point.state.H) for point in (first, second)]
    for period in wider:
        classes = lag_classes(n, space.block, period)[1:]
        outside = np.concatenate(classes) if classes else np.empty(0, dtype=np.intp)
        a, b = (c[outside] for c in correlations)
        size = float(np.linalg.norm(a) * np.linalg.norm(b))
        if size > 0 and float(a @ b) < -0.5 * size:
            return period
    return None


def _correlations(H: FloatArray) -> FloatArray:
    size = np.sqrt(np.diagonal(H))
    return np.asarray((H / (size[:, None] * size))[np.triu_indices(len(H))])


def _close(first: PathPoint, second: PathPoint, step: float) -> bool:
    """Whether a corrected point is about as far away as it should be."""
    size = math.hypot(relative_change(first.state, second.state.H), second.theta - first.theta)
    return size < 1.5 * step


def _at_bound(track: Track, here: PathPoint, step: float, bound: float) -> tuple[PathPoint, float] | None:
    """The point at a bound of the parameter, and the length to it."""
    if abs(here.theta - bound) < 1e-9:
        return None

    def beyond(length: float) -> float:
        found = track.step(here, length) if length else here
        if found is None:
            raise LostError("the branch is lost before the bound")
        return found.theta - bound

    try:
        length = float(brentq(beyond, 0.0, step, xtol=1e-9))
    except LostError:
        return None
    found = track.step(here, length)
    state = track.settle(found.state.H, bound) if found is not None else None
    return (replace(found, state=state, theta=bound), length) if found is not None and state is not None else None


def _returned(points: list[PathPoint], step: float) -> bool:
    first, last = points[0], points[-1]
    if abs(first.theta - last.theta) > step or relative_change(first.state, last.state.H) > step:
        return False
    return float(np.vdot(first.tangent, last.tangent)) + first.rate * last.rate > 0.9


def _singular(point: PathPoint) -> bool:
    """Whether an eigenvalue of the Hessian is zero to rounding, as where branches meet."""
    return any(float(np.abs(values).min(initial=np.inf)) < ZERO for values in point.spectra)


def _append(
    track: Track, points: list[PathPoint], lengths: list[float], events: list[Event], found: tuple[PathPoint, float]
) -> None:
    """Add a point at a distance from the last one, and the events between them."""
    start, point, end = lengths[-1], points[-1], lengths[-1] + found[1]
    try:
        passed = located(track, point, found[0], found[1])
    except LostError:
        # the corrector fails next to it: what follows is still the branch, as its own tests say
        passed = []
    for event in passed:
        # where a branch leaves another, the eigenvalue that vanishes there has the sign of rounding
        if start > 0.0 or event.length > CLEAR or not _singular(point):
            events.append(replace(event, length=start + event.length))
            points.append(event.point)
            lengths.append(start + event.length)
    points.append(found[0])
    lengths.append(end)


def monotonic_pieces(branch: Branch) -> list[tuple[int, int]]:
    """Ranges of points, first and last included, on which the parameter is monotonic."""
    turns = np.flatnonzero(np.diff(np.sign(np.diff(branch.theta))) != 0) + 1
    return list(pairwise([0, *turns.tolist(), len(branch.points) - 1]))
