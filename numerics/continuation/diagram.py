"""The bifurcation diagram of a problem in one parameter: its branches, and where the free energies of minima cross.

Branches start from the states that a search finds at some values of the parameter and from the critical directions of
pitchforks and branch points, both ways (``numerics.continuation.growth``); those that leave the range are followed
outside, as they may return. What is found is a list of everything met, not a proof that nothing is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from numerics.continuation.branch import Branch, clipped, relative_change
from numerics.continuation.crossings import Crossing, equal_free_energy
from numerics.continuation.events import Event
from numerics.continuation.family import Family, family
from numerics.continuation.growth import Growth, reach, states_of
from numerics.continuation.options import DEFAULT, Options
from numerics.continuation.parameters import parameter_named
from numerics.continuation.path import PathPoint
from numerics.continuation.pieces import Piece, stable_pieces
from numerics.continuation.special_points import SpecialPoint
from numerics.display import Facts, Shown
from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import real
from numerics.linear.functional import KernelPoint
from numerics.linear.images import distance_up_to_symmetry, turned
from numerics.threads import one_thread


@dataclass(frozen=True, eq=False, repr=False)
class Diagram(Shown):
    """Branches in the order in which they were found, and special points by value of the parameter.

    Attributes:
        family: problem and parameter.
        span: lowest and highest value.
        branches: each once, up to symmetry.
        special_points: those within the span.
        status: one sentence: whether the search met a bound on its work, or lost a branch.
    """

    family: Family
    span: tuple[float, float]
    branches: tuple[Branch, ...]
    special_points: tuple[SpecialPoint, ...]
    status: str

    def facts(self) -> Facts:
        """The range that was searched, and what was found."""
        low, high = self.span
        return (
            (self.family.parameter.name, f"from {low:.6g} to {high:.6g}"),
            ("branches", str(len(self.branches))),
            *((point.type, f"{point.value:.6g}") for point in self.special_points),
            ("status", self.status),
        )

    @cached_property
    def stable_pieces(self) -> tuple[Piece, ...]:
        """Stretches of the branches on which states are minima and the parameter is monotonic."""
        return tuple(piece for number, branch in enumerate(self.branches) for piece in stable_pieces(number, branch))

    @property
    def finished(self) -> bool:
        """Whether no bound on the work was met, and no branch lost."""
        return self.status == FINISHED

    def states(self, value: float) -> list[tuple[int, KernelPoint]]:
        """Every state at one value of the parameter, with the number of its branch, in order of free energy.

        Raises:
            InputError: the value is outside the span.
        """
        if not self.span[0] <= value <= self.span[1]:
            raise InputError(f"value: is {value:g}; accepted: from {self.span[0]:g} to {self.span[1]:g}")
        found: list[tuple[int, KernelPoint]] = []
        for number, branch in enumerate(self.branches):
            for state in states_of(branch, self.family.parameter.coordinate(value)):
                if all(distance_up_to_symmetry(state, other) > self.family.options.same_state for _, other in found):
                    found.append((number, state))
        return sorted(found, key=lambda pair: pair[1].free_energy)


#: The status of a diagram of which nothing was left out.
FINISHED = "Finished: every branch met was followed to its end."


@one_thread
def diagram(
    problem: Problem,
    parameter: str,
    span: tuple[float, float],
    *,
    options: Options = DEFAULT,
    progress: Callable[[int, int], None] | None = None,
) -> Diagram:
    """All branches that are found between two values of one parameter, with their special points.

    Args:
        problem: as for ``family``: in the parameter ``"signal"`` its labels are those at λ = 1.
        parameter: a name in ``parameters.PARAMETERS``.
        span: lowest and highest value.
        options: tolerances and bounds.
        progress: called with the numbers of branches followed, and known so far.

    Raises:
        InputError: the span is not increasing or begins too low, or ``family`` refuses.
    """
    low, high = span = _checked(span, parameter)
    whole = family(problem, parameter, options)
    whole = replace(whole, parameter=whole.parameter.along(low, high))
    growth = Growth(whole, reach(whole, (low, high)), progress)
    growth.search()
    bounds = whole.parameter.coordinate(low), whole.parameter.coordinate(high)
    joined = [part for branch in growth.found for part in clipped(_joined(branch, growth.found), bounds)]
    pieces = [piece for number, branch in enumerate(joined) for piece in stable_pieces(number, branch)]
    special = [*_events(joined), *(_equal(crossing) for crossing in equal_free_energy(pieces))]
    inside = sorted((point for point in special if low <= point.value <= high), key=lambda point: point.value)
    return Diagram(whole, span, tuple(joined), tuple(inside), _status(growth, joined))


def _status(growth: Growth, inside: Sequence[Branch]) -> str:
    name = growth.whole.parameter.name
    clauses = [f"branch {k}: {clause} {name}" for k, branch in enumerate(inside) for clause in branch.unfinished()]
    if growth.left:
        clauses.append(f"stopped after {len(growth.found)} branches, with {growth.left} more to follow")
    return f"Not finished: {'; '.join(clauses)}." if clauses else FINISHED


def _checked(span: tuple[float, float], parameter: str) -> tuple[float, float]:
    low, high = (real(bound, "span") for bound in span)
    parameter_named(parameter).require("span", low)
    if not low < high < math.inf:
        raise InputError(f"span: is {low:g} to {high:g}; accepted: two finite numbers, low < high")
    if high > parameter_named(parameter).most:
        raise InputError(f"span: ends at {high:g}; accepted: at most {parameter_named(parameter).most:g}")
    return low, high


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
    options = branch.track.family.options
    return any(
        abs(end.theta - event.point.theta) < options.same_value
        and distance_up_to_symmetry(event.point.state, end.state) < options.same_state
        for end in (branch.points[0], branch.points[-1])
    )


def _equal(crossing: Crossing) -> SpecialPoint:
    states = [piece.state(crossing.theta) for piece in crossing.pieces]
    sizes = [
        math.nan if state is None else piece.branch.order_parameter_of(state)
        for piece, state in zip(crossing.pieces, states, strict=True)
    ]
    value_at = crossing.pieces[0].branch.track.family.parameter.value_at
    low, high = (value_at(bound) for bound in crossing.interval)
    numbers = tuple(piece.number for piece in crossing.pieces)
    return SpecialPoint("equal-free-energy", value_at(crossing.theta), (low, high), numbers, tuple(sizes))
