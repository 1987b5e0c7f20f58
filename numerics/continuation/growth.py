"""Finding branches: from states that a search finds, and from where branches leave those already found.

A branch is followed beyond the range that is asked for, and new ones are started at what happens somewhat beyond it
(``Reach``): what lies inside the range must not depend on where it ends. States that differ by a symmetry
(``numerics.linear.lag_classes``) are one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from numerics.continuation.branch import Branch, relative_change
from numerics.continuation.events import Event
from numerics.continuation.family import Family
from numerics.continuation.following import Bounds, follow, gained_period, through
from numerics.continuation.path import PathPoint, Track
from numerics.forked import ahead
from numerics.linalg import FloatArray
from numerics.linear import search
from numerics.linear.functional import KernelPoint
from numerics.linear.images import distance, turned, turns
from numerics.linear.lag_classes import lag_period

#: Length over which the Hessian's change is taken at a point where branches meet.
PROBE = 1e-4


@dataclass(frozen=True)
class Reach:
    """How far beyond a range branches are sought, in θ.

    Attributes:
        span: the range itself.
        near: where new branches are started at pitchforks and branch points.
        far: where branches are followed.
    """

    span: Bounds
    near: Bounds
    far: Bounds


def reach(whole: Family, span: tuple[float, float]) -> Reach:
    """The `Reach` of a range: a few times the range, and down to labels so weak that there is one state only."""
    parameter, power = whole.parameter, whole.parameter.power(whole.problem)
    low, high = (parameter.coordinate(value) for value in span)
    near, far = (math.log(f) / power for f in (whole.options.near, whole.options.far))
    least, most = parameter.least, parameter.coordinate(parameter.most)
    weakest = max(low - near, least)
    if parameter.name == "signal":
        weakest = min(weakest, _weak_signal(whole))
    far_low = max(min(low - far, weakest), least)
    return Reach((low, high), (weakest, min(high + near, most)), (far_low, min(high + far, most)))


def _weak_signal(whole: Family) -> float:
    """``ln λ`` at which the labels pull on the random network's kernel with ``Options.weak/n``."""
    base = whole.functional(0.0)
    pull = float(np.linalg.norm(base.at(base.prior_kernel()).energy_gradient))
    return math.log(whole.options.weak / whole.problem.n) - math.log(max(pull, 1e-300))


def search_values(whole: Family, span: Bounds) -> list[float]:
    """θ at which states are searched for: both ends, and values in between that do not depend on these."""
    step = math.log(whole.options.search_factor) / whole.parameter.power(whole.problem)
    first, last = math.floor(span[0] / step) + 1, math.ceil(span[1] / step) - 1
    stride = 1
    while (last // stride) - (-(-first // stride)) + 1 > whole.options.most_searches:
        stride *= 2
    inner = [k * step for k in range(first, last + 1) if k % stride == 0]
    return [span[0], *(inner or [0.5 * (span[0] + span[1])]), span[1]]


@dataclass
class Growth:
    """The branches found so far.

    Attributes:
        whole: the family.
        reach: how far they are sought.
        progress: called with the numbers of branches followed, and known so far.
        found: the branches.
        left: how many were known, but not followed, when ``Options.most_branches`` was met.
    """

    whole: Family
    reach: Reach
    progress: Callable[[int, int], None] | None = None
    found: list[Branch] = field(default_factory=list)
    left: int = 0

    def search(self) -> None:
        """Follow every branch through states that the search finds, and all that leave these."""
        thetas = search_values(self.whole, self.reach.span)
        with ahead(self._searched, thetas) as searched:
            self.from_weak_labels()
            beyond = list(self._beyond())
            for theta, kernels in zip(thetas, searched, strict=True):
                for H in kernels:
                    self.add(self.whole.functional(theta).at(H), theta)
        for theta, point in beyond:
            self.add(point, theta)

    def _searched(self, theta: float) -> list[FloatArray]:
        """The states that a search finds at a value of the parameter."""
        # where every count holds too: two states that a fold joins count nothing
        found = search.search_all(self.whole.at(theta), enlarged=not self.along_labels)
        return [self.whole.state(state, theta).H for state in found if state.converged]

    def _beyond(self) -> Iterator[tuple[float, KernelPoint]]:
        """Minima at labels stronger than those of the range, which lead to what there is beyond it."""
        for factor in search.amplifications(self.whole.base) if self.along_labels else ():
            theta = self.reach.span[1] + 2.0 * math.log(factor)
            for point in search.minima_from_prior(self.whole.functional(theta)):
                yield theta, point

    @property
    def along_labels(self) -> bool:
        """Whether the parameter scales the labels, so that branches lead to stronger labels."""
        return self.whole.parameter.name == "signal"

    def from_weak_labels(self) -> None:
        """Follow the random network's branch from the weakest labels on, where the signal is what varies."""
        if self.along_labels:
            theta = self.reach.near[0]
            prior = self.whole.functional(theta).prior_kernel()
            state = Track(self.whole, lag_period(self.whole.base, prior)).converge(prior, theta)
            if state is not None:
                self.add(state, theta)

    def add(self, state: KernelPoint, theta: float) -> None:
        """Follow the branch through a state, unless it is a known one, and all that leave it."""
        if not known(self.found, state, theta):
            track = Track(self.whole, lag_period(state.functional, state.H))
            self._grow([partial(through, track, state, theta, self.reach.far, self.reach.near)])

    def _grow(self, queue: list[Callable[[], Branch]]) -> None:
        low, high = self.reach.near
        while queue and len(self.found) < self.whole.options.most_branches:
            branch = queue.pop(0)()
            if self.progress is not None:
                self.progress(len(self.found) + 1, len(self.found) + 1 + len(queue))
            if len(branch.points) < 2 or _traced_before(self.found, branch):
                continue
            self.found.append(branch)
            for event in branch.events:
                if event.type != "fold" and low <= event.point.theta <= high:
                    far = self.reach.far
                    queue += [switched(branch, event, mode, far, (low, high)) for mode in _directions(event)]
            queue += list(_parents(branch, self.reach))
        self.left += len(queue)


def switched(
    branch: Branch, event: Event, direction: FloatArray, span: Bounds, near: Bounds | None = None
) -> Callable[[], Branch]:
    """Follow the branch that leaves another at an event, along a critical direction."""

    def followed() -> Branch:
        track = Track(branch.track.family, event.period)
        start = replace(_leaving(branch.track, event.point, direction), classes=track.classes)
        return follow(track, start, span, near)

    return followed


def _leaving(parent: Track, point: PathPoint, mode: FloatArray) -> PathPoint:
    """A critical point of the branch ``parent``, with the tangent of the branch that leaves it.

    Points ``αφ + βψ`` off it, φ the mode and ψ the parent's tangent, solve the branching equation ``α(aα + 2bβ) = 0``
    to second order, with ``a = ⟨φ, D²G[φ, φ]⟩`` and ``b = ⟨φ, D²G[φ, ψ]⟩`` (Keller 1977): ``β = 0`` at a pitchfork,
    where a symmetry makes ``a = 0``, but not where a state that only phases of order 3 leave as it is loses its lags.
    """
    beyond = [parent.step(start, PROBE) for start in (point, point.reversed())]
    if beyond[0] is None or beyond[1] is None:
        return parent.start(point.state, point.theta, mode)
    sides = [_form(point.state.move(step * mode), point.state, mode) for step in (PROBE, -PROBE)]
    a = sides[0] - sides[1]
    b = _form(beyond[0].state, point.state, mode) - _form(beyond[1].state, point.state, mode)
    share = -0.5 * a / b if abs(b) > 0 else 0.0
    size = math.hypot(1.0, share)
    tangent = (mode + share * point.tangent) / size
    straight = (0.0, 0.0)
    rate = share * point.rate / size
    return replace(point, tangent=tangent, rate=rate, bend=straight, twist=straight, stride=0.0)


def _form(state: KernelPoint, origin: KernelPoint, mode: FloatArray) -> float:
    """``⟨φ, 𝓗φ⟩`` of one state, for a direction φ at another state nearby."""
    half = np.linalg.solve(state.L, origin.L)
    moved = half @ mode @ half.T
    return float(np.vdot(moved, state.hessian_product(moved)))


def _directions(event: Event) -> list[FloatArray]:
    """Each critical direction, both ways unless a symmetry turns one into the other."""
    state, directions = event.point.state, []
    for mode in event.modes:
        directions.append(mode)
        if not turns(state, mode):
            directions.append(-mode)
    return directions


def _parents(branch: Branch, limits: Reach) -> Iterator[Callable[[], Branch]]:
    """The branches of fewer lags in which a branch ends."""
    for end, point in zip(branch.ends, (branch.points[0], branch.points[-1]), strict=True):
        if end != "symmetric" or not limits.near[0] <= point.theta <= limits.near[1]:
            continue
        outward = point.reversed() if point is branch.points[0] else point
        for step in (0.01, 0.03, 0.1, 0.3):
            beyond = branch.track.step(outward, step)
            period = gained_period(branch.track, outward, beyond) if beyond is not None else None
            if period is not None:
                track = Track(branch.track.family, period)
                state = track.converge(point.state.H, point.theta)
                if state is not None:
                    yield partial(through, track, state, point.theta, limits.far, limits.near)
                break


def _traced_before(found: Sequence[Branch], branch: Branch) -> bool:
    """Whether a branch is a known one: two that differ meet at single points only."""
    count, met = len(branch.points), 0
    places = sorted({k * count // 6 for k in range(1, 6)} - {0, count - 1})
    enough = min(2, len(places))
    for tried, k in enumerate(places):
        if met == enough or met + len(places) - tried < enough:
            break
        met += known(found, branch.points[k].state, branch.points[k].theta)
    return met == enough


def known(found: Sequence[Branch], state: KernelPoint, theta: float) -> bool:
    """Whether a state is on one of the branches."""
    images = turned(state.functional, state.H)
    for branch in found:
        same = branch.track.family.options.same_state
        for other in states_of(branch, theta, images):
            if any(distance(H, other) < same for H in images):
                return True
    return False


def states_of(branch: Branch, theta: float, near: Sequence[FloatArray] | None = None) -> Iterator[KernelPoint]:
    """States of a branch at a value of the parameter, only those that may be near one of some kernels."""
    below = branch.theta <= theta
    for index in np.flatnonzero((below[:-1] != below[1:]) | (branch.theta[:-1] == theta)):
        if near is not None and not _may_be_near(branch, int(index), near):
            continue
        state = branch.state_at(int(index), theta)
        if state is not None:
            yield state
    if branch.theta[-1] == theta:
        yield branch.points[-1].state


def _may_be_near(branch: Branch, index: int, near: Sequence[FloatArray]) -> bool:
    """Whether one of some kernels is about as close to an end of a step as the two ends are to each other."""
    room = 1.5 * branch.gap(index) + branch.track.family.options.same_state
    ends = [(branch.points[k].state, branch.log_sizes[k]) for k in (index, index + 1)]
    return any(
        # no diagonal entry changes by more than the whole kernel does
        np.abs(np.log(np.diagonal(H)) - sizes).max() <= room and relative_change(end, H) <= room
        for H in near
        for end, sizes in ends
    )
