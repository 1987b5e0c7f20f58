"""One branch of stationary kernels: its points, what happens between them, and its states at any parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from numerics.cached import cached_property
from numerics.continuation.events import Event
from numerics.continuation.path import PathPoint, Track
from numerics.continuation.stretch import Stretch
from numerics.display import Facts, Shown, number
from numerics.errors import LostError
from numerics.linalg import FloatArray, lower_factor, norm, singular_values, solve_lower
from numerics.linear.functional import KernelPoint

End = Literal["range", "symmetric", "closed", "lost", "unfinished"]

#: Values of θ that differ by less do so by rounding.
ROUNDED_THETA = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Branch(Shown):
    """A curve of stationary kernels in one parameter.

    Attributes:
        track: the family and the lags of its kernels.
        points: traced points and the events between them, all with a relative residual within ``path.ACCEPTED``.
        lengths: arclength of each, increasing.
        events: pitchforks, folds and branch points between them, by arclength.
        ends: why it ends at either side: ``"range"`` at a bound of the parameter, ``"symmetric"`` at a pitchfork of a
            branch with fewer lags, ``"closed"`` where it meets its own start, ``"lost"`` where the corrector fails,
            ``"unfinished"`` after ``Options.most_points`` points.
    """

    track: Track
    points: tuple[PathPoint, ...]
    lengths: FloatArray
    events: tuple[Event, ...]
    ends: tuple[End, End]

    def facts(self) -> Facts:
        """Where the branch ends, and its special points."""
        value, parameter = self.value, self.track.family.parameter.name
        return (
            (parameter, f"{len(value)} points from {number(value.min())} to {number(value.max())}"),
            ("minima", f"{int((self.negative == 0).sum())} of {len(value)}"),
            *((event.type, number(event.value)) for event in self.events),
            ("ends", ", ".join(self.ends)),
        )

    @cached_property
    def _critical(self) -> frozenset[int]:
        """Points at which an eigenvalue vanishes, so that its computed sign means nothing: events and pitchforks at an
        end."""
        places = {int(np.argmin(np.abs(self.lengths - event.length))) for event in self.events}
        last = len(self.points) - 1
        return frozenset(places | {k for k in (0, last) if singular(self.points[k], self.track.family.options.zero)})

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
        """θ at the points, (G,)."""
        return np.array([point.theta for point in self.points])

    @property
    def value(self) -> FloatArray:
        """The parameter p at the points, (G,)."""
        return np.exp(self.theta) - self.track.family.parameter.origin

    @cached_property
    def log_sizes(self) -> FloatArray:
        """Logarithms of the diagonals of the kernels, (G, m)."""
        return np.log([np.diagonal(point.state.H) for point in self.points])

    @cached_property
    def _gaps(self) -> dict[int, float]:
        return {}

    def gap(self, index: int) -> float:
        """The distance of the kernels of points ``index`` and ``index + 1``."""
        if index not in self._gaps:
            self._gaps[index] = relative_change(self.points[index].state, self.points[index + 1].state.H)
        return self._gaps[index]

    @property
    def kernels(self) -> FloatArray:
        """H, (G, nP, nP)."""
        return np.array([point.state.functional.space.expand(point.state.H) for point in self.points])

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
        """The order parameter of any state of the family."""
        P = self.track.family.problem.P
        kernel = state.functional.space.expand(state.H)
        return float(np.linalg.norm(kernel[-P:, -2 * P : -P]))

    def state_at(self, index: int, theta: float) -> KernelPoint | None:
        """The state between points ``index`` and ``index + 1`` at a parameter that lies between theirs."""
        first, second = self.points[index], self.points[index + 1]
        for point in (first, second):
            if abs(point.theta - theta) < ROUNDED_THETA:
                return point.state
        if index in self._critical or index + 1 in self._critical:
            # other branches are as close as the one that is followed: Newton's method at a fixed parameter may end on
            # them
            return self._beside(index, theta) or self._by_arclength(index, theta)
        return self._by_newton(index, theta) or self._by_arclength(index, theta)

    def _by_newton(self, index: int, theta: float) -> KernelPoint | None:
        first, second = self.points[index], self.points[index + 1]
        weight = (theta - first.theta) / (second.theta - first.theta)
        start = between(first.state, second.state, weight)
        found = self.track.converge(start, theta)
        most = max(0.5 * self.gap(index), self.track.family.options.same_state)
        return found if found is not None and relative_change(found, start) <= most else None

    def _beside(self, index: int, theta: float) -> KernelPoint | None:
        """`state_at` on a step that ends in a critical point, near which θ changes as the square of the distance:
        one step of that length from the other end, and Newton's method, which has to stay closer to it than the
        critical point is."""
        start, *_ = self._starts(index)
        critical = self.points[index if start is not self.points[index] else index + 1]
        if critical.theta == start.theta:
            return None
        share = math.sqrt(min(1.0, max(0.0, (theta - critical.theta) / (start.theta - critical.theta))))
        found = self.track.step(start, (1.0 - share) * float(self.lengths[index + 1] - self.lengths[index]))
        converged = None if found is None else self.track.converge(found.state.H, theta)
        if found is None or converged is None:
            return None
        room = relative_change(found.state, critical.state.H)
        return converged if relative_change(found.state, converged.H) < 0.2 * room else None

    def _by_arclength(self, index: int, theta: float) -> KernelPoint | None:
        """`state_at` close to a pitchfork or fold, where the kernel is no smooth function of the parameter."""
        for start in self._starts(index):
            # a chord is shorter than the branch, and at a pitchfork the branch goes on as its mirror image, so that the
            # crossing may come twice
            longest = 1.1 * float(self.lengths[index + 1] - self.lengths[index])
            try:
                found, _ = self._stretch(index, start).first_at(theta, longest)
            except LostError:
                continue
            converged = self.track.converge(found.state.H, theta)
            if converged is not None:
                gap = relative_change(found.state, converged.H)
                # next to a critical point a rounding error in the parameter is a larger one in the kernel
                return converged if gap < self.track.family.options.same_state else found.state
        return None

    @cached_property
    def _stretches(self) -> dict[tuple[int, bool], Stretch]:
        return {}

    def _stretch(self, index: int, start: PathPoint) -> Stretch:
        """A step as a `Stretch` from one of its ends, which keeps the points that have been corrected."""
        return self._stretches.setdefault((index, start is self.points[index]), Stretch(self.track, {0.0: start}))

    def _starts(self, index: int) -> list[PathPoint]:
        """Both points of a step, each with the tangent towards the other, the regular one first."""
        starts = [self.points[index], self.points[index + 1].reversed()]
        return starts[::-1] if index in self._critical else starts

    def unfinished(self) -> list[str]:
        """One clause for each end at which following stopped before the branch did."""
        words = {"lost": "the corrector fails", "unfinished": "the most points of a branch are reached"}
        ends = zip(self.ends, (self.points[0], self.points[-1]), strict=True)
        value_at = self.track.family.parameter.value_at
        return [f"{words[end]} at {value_at(point.theta):.6g}" for end, point in ends if end in words]


def between(first: KernelPoint, second: KernelPoint, weight: float) -> FloatArray:
    """A kernel on the geodesic of the natural metric between two."""
    half = solve_lower(first.L, second.L)
    left, values, _ = np.linalg.svd(half)
    frame = first.L @ (left * values**weight)
    return np.asarray(frame @ frame.T)


def relative_change(first: KernelPoint, H: FloatArray) -> float:
    """``‖ln(L⁻¹HL⁻ᵀ)‖``, the distance of two kernels in the natural metric."""
    half = solve_lower(first.L, lower_factor(H))
    return 2.0 * norm(np.log(singular_values(half)))


def singular(point: PathPoint, zero: float) -> bool:
    """Whether an eigenvalue of the Hessian is zero to rounding, as where branches meet."""
    return any(float(np.abs(values).min(initial=np.inf)) < zero for values in point.spectra)


def monotonic_pieces(branch: Branch) -> list[tuple[int, int]]:
    """Ranges of points, first and last included, on which the parameter is monotonic."""
    turns = np.flatnonzero(np.diff(np.sign(np.diff(branch.theta))) != 0) + 1
    return list(pairwise([0, *turns.tolist(), len(branch.points) - 1]))


def clipped(branch: Branch, span: tuple[float, float]) -> list[Branch]:
    """The parts of a branch on which θ is within ``span``, each with a point at the bound that it crosses."""
    branch = _opened(branch, span)
    theta = branch.theta
    inside = (theta >= span[0] - ROUNDED_THETA) & (theta <= span[1] + ROUNDED_THETA)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    runs = [(int(first), int(stop) - 1) for first, stop in zip(edges[::2], edges[1::2], strict=True)]
    # one long step may cross the whole span
    sides = np.where(theta < span[0], -1, np.where(theta > span[1], 1, 0))
    runs += [(int(k) + 1, int(k)) for k in np.flatnonzero(sides[:-1] * sides[1:] < 0)]
    parts = [_part(branch, first, last, span) for first, last in sorted(runs)]
    return [part for part in parts if len(part.points) > 1]


def _opened(branch: Branch, span: tuple[float, float]) -> Branch:
    """A closed branch that leaves the span, cut open at a point outside it."""
    outside = np.flatnonzero((branch.theta < span[0]) | (branch.theta > span[1]))
    if branch.ends[1] != "closed" or not outside.size:
        return branch
    k, total = int(outside[0]), float(branch.lengths[-1])
    start = float(branch.lengths[k])
    lengths = np.concatenate([branch.lengths[k:] - start, branch.lengths[1 : k + 1] + total - start])
    events = [replace(event, length=(event.length - start) % total) for event in branch.events]
    points = (*branch.points[k:], *branch.points[1 : k + 1])
    events.sort(key=lambda event: event.length)
    return replace(branch, points=points, lengths=lengths, events=tuple(events), ends=("range", "range"))


def _part(branch: Branch, first: int, last: int, span: tuple[float, float]) -> Branch:
    """Points ``first`` to ``last`` (none if ``last < first``), and those next to them at which a bound is crossed."""
    points, lengths = list(branch.points[first : last + 1]), list(branch.lengths[first : last + 1])
    ends: list[End] = list(branch.ends)
    count = len(branch.points)
    for side, (k, outer) in enumerate(((first - 1, first - 1), (last, last + 1))):
        if not (first > 0 if side == 0 else last < count - 1):
            continue
        ends[side] = "range"
        bound = span[0] if branch.theta[outer] < span[0] else span[1]
        inner = first if side == 0 else last
        if 0 <= inner < count and last >= first and abs(branch.theta[inner] - bound) < ROUNDED_THETA:
            continue
        found = _point_at(branch, k, bound)
        if found is None:
            ends[side] = "lost"
            continue
        place = len(points) if side else 0
        points.insert(place, found[0])
        lengths.insert(place, found[1])
    start, stop = (lengths[0], lengths[-1]) if lengths else (0.0, 0.0)
    events = [replace(e, length=e.length - start) for e in branch.events if start <= e.length <= stop]
    return Branch(branch.track, tuple(points), np.array(lengths) - start, tuple(events), (ends[0], ends[1]))


def _point_at(branch: Branch, index: int, theta: float) -> tuple[PathPoint, float] | None:
    """The point between two others at a parameter, and its length."""
    state = branch.state_at(index, theta)
    if state is None:
        return None
    first, second = branch.points[index], branch.points[index + 1]
    point = branch.track.start(state, theta)
    if (second.theta - first.theta) * point.rate < 0:
        point = point.reversed()
    whole = float(branch.lengths[index + 1] - branch.lengths[index])
    gaps = [math.hypot(relative_change(state, end.state.H), end.theta - theta) for end in (first, second)]
    return point, float(branch.lengths[index]) + whole * gaps[0] / (gaps[0] + gaps[1])
