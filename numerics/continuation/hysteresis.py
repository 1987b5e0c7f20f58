"""The hysteresis loop: the state followed as the parameter rises and falls again, and the jumps on the way.

The state stays on its branch as long as it is a minimum. Where it ceases to be one, at a fold or pitchfork, it goes
down in F, at the same parameter, to the next minimum: continuously where a stable branch leaves there, else by a jump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from numerics.continuation.branch import relative_change
from numerics.continuation.diagram import Diagram
from numerics.continuation.options import Options
from numerics.continuation.parameters import PARAMETERS
from numerics.continuation.path import Track
from numerics.continuation.pieces import Piece
from numerics.display import Facts, number
from numerics.linalg import FloatArray
from numerics.linear import trust_region
from numerics.linear.functional import KernelPoint
from numerics.linear.images import distance_up_to_symmetry, turned
from numerics.plotting import line_style
from numerics.results.base import Result
from numerics.results.labelled import Arrays, Labelled, counted
from numerics.threads import one_thread


@dataclass(frozen=True, eq=False)
class Leg:
    """One stretch of a passage: parameter, order parameter and free energy as they are passed.

    Attributes:
        branch: number of its branch.
        piece: place of its stable piece in ``Diagram.stable_pieces``.
        value, order_parameter, free_energy: along it.
    """

    branch: int
    piece: int
    value: FloatArray
    order_parameter: FloatArray
    free_energy: FloatArray


@dataclass(frozen=True, eq=False)
class Transition:
    """Where a passage leaves a branch.

    Attributes:
        value: the parameter, that of a special point of the diagram.
        branches: numbers of the branch left and the branch reached.
        order_parameter: before and after.
        free_energy: before and after; equal where it is continuous.
        continuous: whether the state changes without a jump.
    """

    value: float
    branches: tuple[int, int]
    order_parameter: tuple[float, float]
    free_energy: tuple[float, float]
    continuous: bool

    def __str__(self) -> str:
        return f"at {number(self.value)}" + ("" if self.continuous else " by a jump")


@dataclass(frozen=True, eq=False)
class Passage:
    """Legs in the order in which they are passed, with the transitions between them."""

    legs: tuple[Leg, ...]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, eq=False, repr=False)
class HysteresisLoop(Result):
    """The loop over the diagram's span.

    Attributes:
        up: from the state of lowest free energy at the lower end.
        down: from where ``up`` ends.
        width: intervals of the parameter over which the two passages are in different states, (low, high) each.
        parameter: its name.
    """

    up: Passage
    down: Passage
    width: tuple[tuple[float, float], ...]
    parameter: str = "parameter"

    def facts(self) -> Facts:
        """Where the two passages differ, and where each changes its branch."""
        apart = ", ".join(f"{number(low)} to {number(high)}" for low, high in self.width) or "nowhere"
        passed = [(name, passage.transitions) for name, passage in self._passages]
        return (
            (f"two states, {self.parameter}", apart),
            *((name, ", ".join(map(str, transitions)) or "no transition") for name, transitions in passed),
        )

    @property
    def _passages(self) -> tuple[tuple[str, Passage], ...]:
        return ("up", self.up), ("down", self.down)

    def labelled(self) -> Arrays:
        """Order parameter and free energy as they are passed, along the passage and the point on it; NaN at its end."""
        columns = {
            name: [np.concatenate([getattr(leg, name) for leg in passage.legs]) for _, passage in self._passages]
            for name in ("value", "order_parameter", "free_energy")
        }
        most = max(map(len, columns["value"]))
        padded = {
            name: np.array([np.pad(each, (0, most - len(each)), constant_values=np.nan) for each in both])
            for name, both in columns.items()
        }
        rows = ("passage", "point")
        data: dict[str, Labelled] = {name: (rows, values) for name, values in padded.items()}
        ways = np.array([name for name, _ in self._passages], dtype=str)
        coordinates = {"passage": (("passage",), ways), **counted(point=most)}
        return Arrays(rows, data, coordinates, {"parameter": self.parameter})

    def draw(self, ax: Any, **style: Any) -> None:
        """The order parameter on the way up and on the way down."""
        both = self.labelled().data
        for name, x, y in zip(("up", "down"), both["value"][1], both["order_parameter"][1], strict=True):
            ax.plot(x, y, **line_style(style, label=name, linestyle="-" if name == "up" else "--"))
        known = PARAMETERS.get(self.parameter)
        ax.set(xlabel=self.parameter if known is None else known.symbol, ylabel="order parameter")
        ax.set_title("hysteresis loop", loc="left")
        ax.legend(fontsize="small")


@one_thread
def hysteresis_loop(diagram: Diagram) -> HysteresisLoop:
    """Follow the state up and down again.

    Raises:
        ArithmeticError: there is no minimum at the lower end, a descent does not converge, or the minimum that it
            reaches cannot be followed.
    """
    pieces = list(diagram.stable_pieces)
    low, high = (diagram.family.parameter.coordinate(bound) for bound in diagram.span)
    first = low + diagram.family.options.same_value
    starts = [(piece.state(low), piece) for piece in pieces if piece.bounds[0] <= first]
    minima = [(state.free_energy, k) for k, (state, _) in enumerate(starts) if state is not None]
    if not minima:
        raise ArithmeticError(f"no minimum is known at {diagram.span[0]:g}")
    up, last = _passage(diagram, pieces, starts[min(minima)[1]][1], (low, high), 1)
    down, _ = _passage(diagram, pieces, last, (low, high), -1)
    return HysteresisLoop(up, down, _differences(up, down), diagram.family.parameter.name)


def _passage(
    diagram: Diagram, pieces: list[Piece], piece: Piece, span: tuple[float, float], direction: int
) -> tuple[Passage, Piece]:
    legs, transitions = list[Leg](), list[Transition]()
    theta, last = span if direction > 0 else span[::-1]
    same_value, value_at = diagram.family.options.same_value, diagram.family.parameter.value_at
    # each piece is left at its far end, beyond that of the one before: none comes twice
    for _ in pieces:
        end = piece.bounds[1] if direction > 0 else piece.bounds[0]
        if direction * (end - theta) < -same_value:
            raise ArithmeticError(f"the minimum reached at {value_at(theta):.6g} cannot be followed from there")
        legs.append(_leg(pieces.index(piece), piece, theta, end))
        if abs(end - last) < same_value:
            return Passage(tuple(legs), tuple(transitions)), piece
        before = piece.end_state(end)
        reached, after, continuous = _next(diagram, pieces, piece, before, end, direction)
        transitions.append(
            Transition(
                value_at(end),
                (piece.number, reached.number),
                (piece.branch.order_parameter_of(before), reached.branch.order_parameter_of(after)),
                (before.free_energy, after.free_energy),
                continuous,
            )
        )
        piece, theta = reached, end
    raise ArithmeticError(f"the passage has not come to an end after {len(pieces)} stable pieces")


def _next(
    diagram: Diagram, pieces: list[Piece], piece: Piece, state: KernelPoint, end: float, direction: int
) -> tuple[Piece, KernelPoint, bool]:
    """The piece that a passage enters at the end of another, the state there, and whether it is reached without a
    jump."""
    options = diagram.family.options
    ahead = [other for other in pieces if other is not piece and _goes_on(other, end, direction)]
    for other in ahead:
        starts_here = min(abs(bound - end) for bound in other.bounds) < options.same_value
        if starts_here and distance_up_to_symmetry(state, other.end_state(end)) < options.reached:
            return other, state, True
    reached, after = _descent(diagram, ahead, state, end, direction)
    if relative_change(state, _nearest(after, state)) < options.continuous:
        return reached, state, True
    return reached, reached.state(end) or after, False


def _goes_on(piece: Piece, end: float, direction: int) -> bool:
    """Whether a piece has states just beyond a value of θ."""
    low, high = piece.bounds
    return low < end + direction * piece.branch.track.family.options.same_value < high


def _descent(
    diagram: Diagram, ahead: list[Piece], state: KernelPoint, end: float, direction: int
) -> tuple[Piece, KernelPoint]:
    """The minimum that is reached from a state that has just ceased to be one, and which of the pieces it lies on."""
    options = diagram.family.options
    theta = end + direction * _beyond(diagram, ahead, end, direction)
    value, there = diagram.family.parameter.value_at(end), diagram.family.functional(theta).at(state.H)
    _, modes = trust_region.smallest_modes(there, count=1)
    ends = [_minimum_below(there.move(sign * options.perturbation * modes[0]), options) for sign in (1.0, -1.0)]
    minima = [point for point in ends if point is not None]
    if not minima:
        raise ArithmeticError(f"no descent from the state at {value:.6g} ends in a minimum")
    lowest = min(minima, key=lambda point: point.free_energy)
    # close to a critical point a small residual may be far from the minimum: Newton ends there
    lowest = Track(diagram.family, 1).converge(lowest.H, theta) or lowest
    for other in ahead:
        if other.bounds[0] <= theta <= other.bounds[1]:
            known = other.state(theta)
            if known is not None and distance_up_to_symmetry(lowest, known) < options.reached:
                return other, lowest
    raise ArithmeticError(f"the minimum below the state at {value:.6g} lies on no branch of the diagram")


def _minimum_below(point: KernelPoint, options: Options) -> KernelPoint | None:
    """Down in F to a minimum, and on from saddle points, at which a symmetric start may end; None if no minimum is
    reached after ``Options.descents`` of these."""
    for _ in range(options.descents):
        stop = trust_region.minimise(point, tolerance=1e-13)
        if not stop.converged:
            return None
        values, modes = trust_region.smallest_modes(stop.point, count=1)
        if not values[0] < -options.zero:
            return stop.point
        point = stop.point.move(options.perturbation * modes[0])
    return None


def _beyond(diagram: Diagram, ahead: list[Piece], end: float, direction: int) -> float:
    """How far beyond ``end`` a descent may start: not beyond the range, nor where other minima have ceased to be."""
    last = diagram.family.parameter.coordinate(diagram.span[1 if direction > 0 else 0])
    options = diagram.family.options
    stops = [last, *(bound for piece in ahead for bound in piece.bounds)]
    room = min(direction * (stop - end) for stop in stops if direction * (stop - end) > options.same_value)
    return min(options.beyond, 0.5 * room)


def _leg(place: int, piece: Piece, start: float, end: float) -> Leg:
    """The piece's points between two values of θ, in that order."""
    low, high = min(start, end), max(start, end)
    branch = piece.branch
    inside = [k for k in range(piece.first, piece.last + 1) if low < branch.theta[k] < high]
    inside.sort(key=lambda k: branch.theta[k], reverse=end < start)
    first = piece.state(start)
    states = [branch.points[k].state for k in inside] + [piece.end_state(end)]
    thetas = [*(float(branch.theta[k]) for k in inside), end]
    if first is not None:
        states, thetas = [first, *states], [start, *thetas]
    return Leg(
        piece.number,
        place,
        np.exp(thetas) - branch.track.family.parameter.origin,
        np.array([piece.branch.order_parameter_of(state) for state in states]),
        np.array([state.free_energy for state in states]),
    )


def _nearest(state: KernelPoint, other: KernelPoint) -> FloatArray:
    return min(turned(state.functional, state.H), key=lambda H: relative_change(other, H))


def _differences(up: Passage, down: Passage) -> tuple[tuple[float, float], ...]:
    """Intervals between the values at which the two passages change, where they are on different stable pieces."""
    values = sorted({t.value for passage in (up, down) for t in passage.transitions})
    found: list[tuple[float, float]] = []
    for low, high in pairwise(values):
        middle = math.sqrt(low * high)
        if _piece_at(up, middle) != _piece_at(down, middle):
            if found and found[-1][1] == low:
                found[-1] = (found[-1][0], high)
            else:
                found.append((low, high))
    return tuple(found)


def _piece_at(passage: Passage, value: float) -> int:
    return next(leg.piece for leg in passage.legs if leg.value.min() <= value <= leg.value.max())
