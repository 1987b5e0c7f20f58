"""A stretch of a branch as a smooth curve: cubic pieces through its followed points, with the tangents that these have.

By arclength every branch is smooth, at its folds and pitchforks too, so that the curve is that of the follower wherever
the values of the grid lie.
"""

from __future__ import annotations

import numpy as np

from numerics.continuation.pieces import Piece
from numerics.linalg import FloatArray

#: Values of each piece between two followed points.
BETWEEN = 16
#: Step in θ of the derivative of F at fixed H.
_STEP = 1e-4


def curve(piece: Piece) -> FloatArray:
    """Parameter, order parameter, F, and 1 where the state is a minimum, along a stretch, (4, K); by rising parameter.

    A value at which stability changes stands twice.
    """
    branch, places = piece.branch, range(piece.first, piece.last + 1)
    family = branch.track.family
    theta = _between(branch.theta[places], np.array([branch.points[k].rate for k in places]), branch.lengths[places])
    sizes = np.array([_order_parameter(piece, k) for k in places])
    energies = np.array([_free_energy(piece, k) for k in places])
    order, free_energy = (_between(each[:, 0], each[:, 1], branch.lengths[places]) for each in (sizes, energies))
    stable = np.repeat([float(branch.stable_step(k)) for k in places[:-1]], BETWEEN + 1)
    found = np.array([np.exp(theta) - family.parameter.origin, np.abs(order), free_energy, stable])
    return found if found[0, 0] <= found[0, -1] else found[:, ::-1]


def _between(values: FloatArray, slopes: FloatArray, lengths: FloatArray) -> FloatArray:
    """A cubic Hermite spline at `BETWEEN` + 1 places of each piece, both ends included."""
    inner = np.linspace(0.0, 1.0, BETWEEN + 1)
    rest, width = 1.0 - inner, np.diff(lengths)[:, None]
    start = (1 + 2 * inner) * values[:-1, None] + inner * width * slopes[:-1, None]
    end = (1 + 2 * rest) * values[1:, None] - rest * width * slopes[1:, None]
    return np.asarray(rest**2 * start + inner**2 * end).ravel()


def _order_parameter(piece: Piece, place: int) -> tuple[float, float]:
    """The order parameter of a followed point, and its derivative by arclength."""
    point, family = piece.branch.points[place], piece.branch.track.family
    space, H, L, P = point.state.functional.space, point.state.H, point.state.L, family.problem.P
    block, change = (space.expand(each)[-P:, -2 * P : -P] for each in (H, L @ point.tangent @ L.T))
    if family.parameter.functional is None:  # coordinates of kernels change with the parameter too
        above, below = (family.functional(point.theta + step).space.expand(H) for step in (_STEP, -_STEP))
        change = change + point.rate * (above - below)[-P:, -2 * P : -P] / (2 * _STEP)
    size, moved = float(np.linalg.norm(block)), float(np.linalg.norm(change))
    if size > 1e-9 * max(1.0, moved):
        return size, float(np.vdot(block, change)) / size
    return 0.0, moved if place == piece.first else -moved


def _free_energy(piece: Piece, place: int) -> tuple[float, float]:
    """F of a followed point and its derivative by arclength: at a stationary kernel F changes with θ alone."""
    point, family = piece.branch.points[place], piece.branch.track.family
    if family.parameter.name == "signal":  # the energy is λ times that at λ = 1
        return point.state.free_energy, point.rate * point.state.energy
    above, below = (family.functional(point.theta + step).at(point.state.H).free_energy for step in (_STEP, -_STEP))
    return point.state.free_energy, point.rate * (above - below) / (2 * _STEP)
