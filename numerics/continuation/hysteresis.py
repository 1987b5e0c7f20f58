"""The adiabatic loop: the state followed as the parameter rises and falls again, and the jumps on the way.

The state stays on its branch as long as it is a minimum. Where it ceases to be one, at a fold or pitchfork, it goes
down in F, at the same parameter, to the next minimum: continuously where a stable branch leaves there, else by a jump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from numerics.continuation.branch import relative_change
from numerics.continuation.diagram import Diagram, Piece
from numerics.continuation.path import Track
from numerics.saddle import trust_region
from numerics.saddle.functional import KernelPoint
from numerics.symmetry.phases import distance_up_to_symmetry, turned

FloatArray = NDArray[np.float64]

#: How far beyond the end of a stable piece the descent starts, in ``ln p``, and the first step off the state there.
BEYOND, KICK = 1e-3, 0.05
#: A descent that ends closer than this to a state of a stable piece, relative, has reached it.
SAME = 1e-4
#: A state that is closer than this to the one before, in the natural metric, was reached without a jump.
CONTINUOUS = 0.3


@dataclass(frozen=True, eq=False)
class Leg:
    """One stretch of a sweep, on one branch: parameter, order parameter and free energy as they are passed."""

    number: int
    value: FloatArray
    order_parameter: FloatArray
    free_energy: FloatArray


@dataclass(frozen=True, eq=False)
class Transition:
    """Where a sweep leaves a branch.

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


@dataclass(frozen=True, eq=False)
class Sweep:
    """Legs in the order in which they are passed, with the transitions between them."""

    legs: tuple[Leg, ...]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, eq=False)
class Hysteresis:
    """The loop over the diagram's span.

    Attributes:
        up: from the state of lowest free energy at the lower end.
        down: from where ``up`` ends.
        width: intervals of the parameter over which the two sweeps are in different states, (low, high) each.
    """

    up: Sweep
    down: Sweep
    width: tuple[tuple[float, float], ...]


def hysteresis(diagram: Diagram) -> Hysteresis:
    """Follow the state up and down again.

    Raises:
        ArithmeticError: there is no minimum at the lower end, or a descent does not converge.
    """
    pieces = list(diagram.stable_pieces)
    low, high = (math.log(bound) for bound in diagram.span)
    starts = [(piece.state(low), piece) for piece in pieces if piece.bounds[0] <= low + 1e-9]
    minima = [(state.free_energy, k) for k, (state, _) in enumerate(starts) if state is not None]
    if not minima:
        raise ArithmeticError(f"no minimum is known at {diagram.span[0]:g}")
    up, last = _sweep(diagram, pieces, starts[min(minima)[1]][1], (low, high), 1)
    down, _ = _sweep(diagram, pieces, last, (low, high), -1)
    return Hysteresis(up, down, _differences(up, down))


def _sweep(
    diagram: Diagram, pieces: list[Piece], piece: Piece, span: tuple[float, float], direction: int
) -> tuple[Sweep, Piece]:
    legs, transitions = list[Leg](), list[Transition]()
    theta = span[0] if direction > 0 else span[1]
    while True:
        end = piece.bounds[1] if direction > 0 else piece.bounds[0]
        legs.append(_leg(piece, theta, end))
        if abs(end - span[1 if direction > 0 else 0]) < 1e-9:
            return Sweep(tuple(legs), tuple(transitions)), piece
        before = _end_state(piece, end)
        reached, after = _descent(diagram, pieces, before, end, direction)
        continuous = relative_change(before, _nearest(after, before)) < CONTINUOUS
        after = before if continuous else reached.state(end) or after
        transitions.append(
            Transition(
                math.exp(end),
                (piece.number, reached.number),
                (piece.branch.order_parameter_of(before), reached.branch.order_parameter_of(after)),
                (before.free_energy, after.free_energy),
                continuous,
            )
        )
        piece, theta = reached, end


def _end_state(piece: Piece, end: float) -> KernelPoint:
    points = piece.branch.points
    return min((points[k] for k in (piece.first, piece.last)), key=lambda point: abs(point.theta - end)).state


def _descent(
    diagram: Diagram, pieces: list[Piece], state: KernelPoint, end: float, direction: int
) -> tuple[Piece, KernelPoint]:
    """The minimum that is reached from a state that has just ceased to be one, and the stable piece it lies on."""
    theta = end + direction * BEYOND
    there = diagram.family.functional(theta).at(state.H)
    _, modes = trust_region.smallest_modes(there, count=1)
    stops = [trust_region.minimise(there.move(sign * KICK * modes[0]), tolerance=1e-13) for sign in (1.0, -1.0)]
    stops = [stop for stop in stops if stop.converged]
    if not stops:
        raise ArithmeticError(f"no descent from the state at {math.exp(end):.6g} converges")
    lowest = min(stops, key=lambda stop: stop.point.free_energy).point
    # close to a critical point a small residual may be far from the minimum: Newton ends there
    lowest = Track(diagram.family, 1).settle(lowest.H, theta) or lowest
    for other in pieces:
        if other.bounds[0] <= theta <= other.bounds[1]:
            known = other.state(theta)
            if known is not None and distance_up_to_symmetry(lowest, known) < SAME:
                return other, lowest
    raise ArithmeticError(f"the minimum below the state at {math.exp(end):.6g} lies on no branch of the diagram")


def _leg(piece: Piece, start: float, end: float) -> Leg:
    """The piece's points between two values of ``ln p``, in that order."""
    low, high = min(start, end), max(start, end)
    branch = piece.branch
    inside = [k for k in range(piece.first, piece.last + 1) if low < branch.theta[k] < high]
    inside.sort(key=lambda k: branch.theta[k], reverse=end < start)
    first = piece.state(start)
    states = [branch.points[k].state for k in inside] + [_end_state(piece, end)]
    thetas = [*(float(branch.theta[k]) for k in inside), end]
    if first is not None:
        states, thetas = [first, *states], [start, *thetas]
    return Leg(
        piece.number,
        np.exp(thetas),
        np.array([piece.branch.order_parameter_of(state) for state in states]),
        np.array([state.free_energy for state in states]),
    )


def _nearest(state: KernelPoint, other: KernelPoint) -> FloatArray:
    return min(turned(state.functional, state.H), key=lambda H: relative_change(other, H))


def _differences(up: Sweep, down: Sweep) -> tuple[tuple[float, float], ...]:
    """Intervals between the values at which the two sweeps change branch, where they are on different ones."""
    values = sorted({t.value for sweep in (up, down) for t in sweep.transitions})
    found: list[tuple[float, float]] = []
    for low, high in pairwise(values):
        middle = math.sqrt(low * high)
        if _branch_at(up, middle) != _branch_at(down, middle):
            if found and found[-1][1] == low:
                found[-1] = (found[-1][0], high)
            else:
                found.append((low, high))
    return tuple(found)


def _branch_at(sweep: Sweep, value: float) -> int:
    return next(leg.number for leg in sweep.legs if leg.value.min() <= value <= leg.value.max())
