"""The states of a stretch of a branch at given values of the parameter, converged in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from numerics.continuation.branch import ROUNDED_THETA
from numerics.continuation.linear import DENSE_BRANCH
from numerics.continuation.pieces import Piece
from numerics.linalg import BoolArray, FloatArray, IntArray
from numerics.linear import batch, trust_region
from numerics.linear.functional import KernelFunctional, KernelPoint

#: Newton steps to where a cubic curve has a value.
CUBIC_STEPS = 10


@dataclass(frozen=True, eq=False)
class GridStates:
    """States at the grid's values, (L,); NaN where the stretch has none.

    Attributes:
        there: where it has one.
        kernel: in the space of the inputs, (L, m, m).
        free_energy, residual: of each.
        smallest: smallest eigenvalue of the Hessian.
        negative: number of negative ones, NaN where the kernel is too large to count them.
        spectra: eigenvalues on each class of directions (``linear.lag_classes``), (L, d_c) each; none of large kernels.
    """

    there: BoolArray
    kernel: FloatArray
    free_energy: FloatArray
    residual: FloatArray
    smallest: FloatArray
    negative: FloatArray
    spectra: list[FloatArray] = field(default_factory=list)

    @classmethod
    def none(cls, count: int, m: int) -> GridStates:
        """A grid on which the stretch has no state yet."""
        a, b, c, d = np.full((4, count), np.nan)
        return cls(np.zeros(count, dtype=bool), np.full((count, m, m), np.nan), a, b, c, d)


def states_on_grid(piece: Piece, grid: FloatArray) -> GridStates:
    """The states of one stretch at the grid's values."""
    family = piece.branch.track.family
    theta = np.log(grid + family.parameter.origin)
    low, high = piece.bounds
    # the ends of the range are points of the branch
    rounding = ROUNDED_THETA * (1.0 + np.abs(theta))
    inside = np.flatnonzero((theta >= low - rounding) & (theta <= high + rounding))
    m, count = family.base.dimension, len(grid)
    states = GridStates.none(count, m)
    if not inside.size:
        return states
    if m > DENSE_BRANCH:
        _fill_large(states, piece, theta, inside)
        return states
    classes = piece.branch.track.classes
    states.spectra.extend(np.full((count, len(positions)), np.nan) for positions in classes)
    functionals = [family.functional(float(t)) for t in theta[inside]]
    L, known = _converged(piece, theta[inside], functionals)
    for part in batch.parts(len(inside), family.base):
        places = inside[part][known[part]]
        chosen = [functional for functional, k in zip(functionals[part], known[part], strict=True) if k]
        if chosen:
            _fill(states, places, batch.KernelBatch(chosen, L[part][known[part]]), classes)
    return states


def states_at(piece: Piece, theta: FloatArray) -> list[KernelPoint | None]:
    """The states of one stretch at increasing values of θ, the first and last of which may be critical points."""
    family, inner = piece.branch.track.family, theta[1:-1]
    if family.base.dimension > DENSE_BRANCH or not inner.size:
        return [piece.state(float(t)) for t in theta]
    functionals = [family.functional(float(t)) for t in inner]
    found = zip(functionals, *_converged(piece, inner, functionals), strict=True)
    states = [KernelPoint(functional, L @ L.T, L) if known else None for functional, L, known in found]
    return [piece.state(float(theta[0])), *states, piece.state(float(theta[-1]))]


def _fill(states: GridStates, places: IntArray, here: batch.KernelBatch, classes: Sequence[IntArray]) -> None:
    states.there[places] = True
    states.kernel[places] = here.kernel
    states.free_energy[places] = here.energy + here.entropy
    states.residual[places] = here.residual
    hessian = here.hessian(classes[0] if len(classes) == 1 else None, along_path=True)
    for spectrum, positions in zip(states.spectra, classes, strict=True):
        block = hessian if len(classes) == 1 else hessian[:, positions[:, None], positions]
        spectrum[places] = np.linalg.eigvalsh(block)
    states.smallest[places] = np.min([spectrum[places].min(axis=1) for spectrum in states.spectra], axis=0)
    states.negative[places] = np.sum([np.sum(spectrum[places] < 0, axis=1) for spectrum in states.spectra], axis=0)


def _fill_large(states: GridStates, piece: Piece, theta: FloatArray, inside: IntArray) -> None:
    """Large kernels, one by one."""
    for k in inside:
        state = piece.state(float(theta[k]))
        if state is None:
            continue
        states.there[k], states.kernel[k] = True, state.H
        states.free_energy[k], states.residual[k] = state.free_energy, state.residual
        states.smallest[k] = trust_region.smallest_modes(state, count=1)[0][0]


def _converged(piece: Piece, theta: FloatArray, functionals: list[KernelFunctional]) -> tuple[FloatArray, BoolArray]:
    """Factors L of the converged states, and whether each is still on this stretch."""
    track = piece.branch.track
    start = _interpolated(piece, theta)
    positions = track.positions
    parts = [
        batch.newton(functionals[part], start[part], positions) for part in batch.parts(len(theta), track.family.base)
    ]
    L, residual = (np.concatenate([getattr(part, name) for part in parts]) for name in ("L", "residual"))
    kernel, begun = L @ np.swapaxes(L, 1, 2), start @ np.swapaxes(start, 1, 2)
    size = np.sqrt(np.diagonal(begun, axis1=1, axis2=2))
    change = (np.abs(kernel - begun) / (size[:, :, None] * size[:, None])).max(axis=(1, 2))
    options = track.family.options
    known = (change < options.same_branch) & (residual <= options.accepted)
    # next to folds and pitchforks the kernel is no smooth function of the parameter: by arclength there
    lost = np.flatnonzero(~known)
    found = {int(k): piece.state(float(theta[k])) for k in lost}
    there = [k for k in found if found[k] is not None]
    if there:
        again = np.array([_factor(found[k]) for k in there])
        L[there] = batch.newton([functionals[k] for k in there], again, positions).L
        known[there] = True
    return L, known


def _factor(state: KernelPoint | None) -> FloatArray:
    assert state is not None
    return state.L


def _interpolated(piece: Piece, theta: FloatArray) -> FloatArray:
    """Factors L close to those at each value, on cubic curves with the tangents of the two points around it.

    The curves are in the entries of ``L_a⁻¹L``, with logarithms on the diagonal, L_a of the first of these points.
    """
    branch = piece.branch
    order = branch.theta[piece.first : piece.last + 1]
    rising = order[-1] > order[0]
    right = np.clip(np.searchsorted(order if rising else order[::-1], theta), 1, len(order) - 1)
    first = piece.first + (right - 1 if rising else len(order) - 1 - right)
    steps, which = np.unique(first, return_inverse=True)
    last = steps + 1
    points = branch.points
    L, S = np.array([point.state.L for point in points]), np.array([point.tangent for point in points])
    rate, change = np.array([point.rate for point in points]), np.diff(branch.theta)[steps]
    onward = np.linalg.solve(L[steps], L[last])
    length = _lengths(onward, S[steps], S[last], change, rate[steps] * rate[last])
    # derivatives along the whole step, of θ and of the factor
    m = L.shape[1]
    diagonal, half = np.arange(m), np.tril(np.ones((m, m)), -1) + 0.5 * np.eye(m)
    begins, ends = length * rate[steps], length * rate[last]
    slopes = [length[:, None, None] * half * S[steps], length[:, None, None] * (onward @ (half * S[last]))]
    slopes[1][:, diagonal, diagonal] = 0.5 * length[:, None] * S[last][:, diagonal, diagonal]
    onward[:, diagonal, diagonal] = np.log(onward[:, diagonal, diagonal])
    for side, place in enumerate((0, len(points) - 2)):
        if branch.ends[side] == "symmetric":
            # a pitchfork at its end has no tangent of its own: a parabola with the tangent at the other end
            chosen = steps == place
            values, thetas = 2.0 * onward[chosen], 2.0 * change[chosen]
            if side == 0:
                slopes[0][chosen], begins[chosen] = values - slopes[1][chosen], thetas - ends[chosen]
            else:
                slopes[1][chosen], ends[chosen] = values - slopes[0][chosen], thetas - begins[chosen]
    share = _shares((theta - branch.theta[first]) / change[which], (begins / change)[which], (ends / change)[which])
    start, value, end = (weight[:, None, None] for weight in _weights(share))
    found = value * onward[which] + start * slopes[0][which] + end * slopes[1][which]
    found[:, diagonal, diagonal] = np.exp(found[:, diagonal, diagonal])
    return np.asarray((L[first] @ found) * branch.track.mask)


def _lengths(
    onward: FloatArray, first: FloatArray, last: FloatArray, change: FloatArray, rates: FloatArray
) -> FloatArray:
    """Arclengths between points: of arcs of a circle with their chord and the angle of their tangents."""
    left, values, right = np.linalg.svd(onward)
    rotation = left @ right
    cosine = np.sum(first * (rotation @ last @ np.swapaxes(rotation, 1, 2)), axis=(1, 2)) + rates
    chord = np.sqrt(np.sum((2.0 * np.log(values)) ** 2, axis=1) + change**2)
    return np.asarray(chord / np.sinc(np.arccos(np.clip(cosine, 0.0, 1.0)) / (2.0 * np.pi)))


def _weights(share: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Those of the derivative at the start, the value at the end, and the derivative there, of a cubic curve from 0."""
    rest = 1.0 - share
    return share * rest**2, share**2 * (1.0 + 2.0 * rest), -(share**2) * rest


def _shares(value: FloatArray, begins: FloatArray, ends: FloatArray) -> FloatArray:
    """Where the cubic curve from 0 to 1 with these derivatives has a value, by Newton's method."""
    share = np.clip(value, 0.0, 1.0)
    for _ in range(CUBIC_STEPS):
        start, middle, end = _weights(share)
        excess = start * begins + middle + end * ends - value
        slope = (1.0 - share) * (1.0 - 3.0 * share) * begins + share * (
            6.0 * (1.0 - share) - (2.0 - 3.0 * share) * ends
        )
        share = np.clip(share - excess / np.where(np.abs(slope) > 1e-12, slope, 1.0), 0.0, 1.0)
    return share
