"""Newton on lowered stationarity conditions, for many parameter sets at once.

The unknowns are the independent entries of positive-definite n × n kernels, row by row. Steps use the exact Hessian and
are halved, point by point, until the kernel stays positive-definite and the gradient decreases. The residual is
recomputed at the returned point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.linalg import BoolArray, FloatArray
from numerics.lowering.scalar import Evaluation, Lowered

HALVINGS = 30
#: Relative residual at which rounding in the lowered expressions takes over.
FLOOR = 1e-13


@dataclass(frozen=True, eq=False)
class Roots:
    """Stationary points of a batch of B problems with d independent entries.

    Attributes:
        x: independent kernel entries, (d, B); NaN where not converged, so that no unfinished number can be used.
        residual: largest ``|∂_iF| s_i`` over the largest ``Σ_k|∂_iF_k| s_i`` (B,), where ``s_i = √(H^{tt}H^{ss})`` for
            the entry (t, s): relative to the terms that cancel. It is reported for unconverged points as well.
        converged: residual within tolerance, (B,).
        stable: Hessian positive-definite, (B,).
        iterations: Newton steps, (B,).
    """

    x: FloatArray
    residual: FloatArray
    converged: BoolArray
    stable: BoolArray
    iterations: NDArray[np.intp]

    def status(self, index: int) -> str:
        """One sentence on one of the points."""
        steps, residual = int(self.iterations[index]), float(self.residual[index])
        if not self.converged[index]:
            return f"Not converged after {steps} Newton steps: relative residual {residual:.1e}."
        kind = "a minimum" if self.stable[index] else "a saddle point"
        return f"Converged in {steps} Newton steps to {kind}: relative residual {residual:.1e}."


def newton(
    lowered: Lowered,
    start: FloatArray,
    parameters: FloatArray,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 50,
) -> Roots:
    """Solve ``∂F/∂x = 0`` for each column of ``start`` (d, B) at ``parameters`` (m, B) or (m, 1).

    Steps go on past the tolerance as long as they divide the residual by ten, to the rounding floor.

    Raises:
        InputError: the number of variables is not that of a symmetric matrix, or shapes do not match.
    """
    _matrix_size(len(start))
    batch = start.shape[1]
    now = _evaluated(lowered, np.array(start), np.broadcast_to(parameters, (len(parameters), batch)))
    found = Roots(
        x=np.empty_like(now.x),
        residual=np.empty(batch),
        converged=np.zeros(batch, dtype=bool),
        stable=np.zeros(batch, dtype=bool),
        iterations=np.zeros(batch, dtype=np.intp),
    )
    active, going = np.arange(batch), np.isfinite(now.residual)
    for step in range(max_iterations + 1):
        going &= (now.residual > min(tolerance, FLOOR)) & (step < max_iterations)
        if not going.all():
            _finish(found, active[~going], now if not going.any() else now.at(np.flatnonzero(~going)), tolerance)
            active, now = active[going], now.at(np.flatnonzero(going))
        if not active.size:
            break
        before = now.residual
        now, moved = _step(lowered, now)
        found.iterations[active] += 1
        # within the tolerance, go on only where the residual still falls fast
        going = moved & ((now.residual < 0.1 * before) | (now.residual > tolerance))
    return found


@dataclass(frozen=True, eq=False)
class _Points:
    """Points that are moved together, with what is known of each; the last axis goes over points."""

    x: FloatArray
    p: FloatArray
    scale: FloatArray
    gradient: FloatArray
    triangle: FloatArray
    residual: FloatArray

    def at(self, places: NDArray[np.intp]) -> _Points:
        return _Points(*(np.take(array, places, axis=-1) for array in vars(self).values()))

    def replaced(self, places: NDArray[np.intp], by: _Points) -> _Points:
        if places.size == self.residual.size:
            return by
        arrays = {name: np.array(array) for name, array in vars(self).items() if name != "p"}
        for name, array in arrays.items():
            array[..., places] = getattr(by, name)
        return _Points(p=self.p, **arrays)


def _finish(found: Roots, places: NDArray[np.intp], own: _Points, tolerance: float) -> None:
    """Write the points that are not moved any more to where they belong."""
    # a slice where all are finished together: index arrays are slow
    to: Any = places if places.size < found.residual.size else slice(None)
    found.residual[to] = own.residual
    found.converged[to] = converged = own.residual <= tolerance
    found.x[:, to] = own.x if converged.all() else np.where(converged, own.x, np.nan)
    found.stable[to] = positive_definite(own.triangle) & converged


def _evaluated(lowered: Lowered, x: FloatArray, p: FloatArray) -> _Points:
    there, scale = lowered.derivatives(x, p), _scales(x)
    residual = np.where(positive_definite(x), _residual(there, scale), np.inf)
    return _Points(x, p, scale, there.gradient, there.triangle, residual)


def _step(lowered: Lowered, now: _Points) -> tuple[_Points, BoolArray]:
    """One damped Newton step; whether each of the points moved."""
    new, moved = _search(lowered, now, _eliminate(now.triangle, now.gradient))
    stuck = np.flatnonzero(~moved & (now.residual > FLOOR))
    if stuck.size:
        # elimination without pivoting can lose an indefinite system's digits
        there = now.at(stuck)
        hessian = Evaluation(there.gradient, there.gradient, there.triangle).hessian
        there, moved[stuck] = _search(lowered, there, _pivoted(hessian, there.gradient, there.scale))
        new = new.replaced(stuck, there)
    return new, moved


def _search(lowered: Lowered, now: _Points, step: FloatArray) -> tuple[_Points, BoolArray]:
    """Halve each point's step until its kernel is positive-definite and its residual lower; whether it got there."""
    moved = np.zeros(now.residual.size, dtype=bool)
    pending = np.flatnonzero(np.isfinite(step).all(axis=0))
    for halving in range(HALVINGS):
        if not pending.size:
            break
        # no index arrays, which copy, while all go on together
        whole = pending.size == moved.size
        old, steps = (now, step) if whole else (now.at(pending), step[:, pending])
        trial = _evaluated(lowered, old.x - 0.5**halving * steps, old.p)
        accept = trial.residual < old.residual
        now = now.replaced(pending[accept], trial if accept.all() else trial.at(np.flatnonzero(accept)))
        moved[pending[accept]] = True
        # at the rounding floor no step can lower the residual: do not search
        pending = pending[~accept & (old.residual > FLOOR)]
    return now, moved


def _residual(evaluation: Evaluation, scale: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        size = (np.abs(evaluation.gradient) * scale).max(axis=0) / (evaluation.cancelling * scale).max(axis=0)
    return np.where(np.isfinite(size), size, np.inf)


def _scales(x: FloatArray) -> FloatArray:
    """``√(H^{tt}H^{ss})`` for each independent entry: turns gradients into changes of F per relative change."""
    n = _matrix_size(len(x))
    rows, columns = np.triu_indices(n)
    with np.errstate(invalid="ignore"):
        roots = np.sqrt(x[rows == columns])
    scales = np.empty_like(x)
    for out, i, j in zip(scales, rows, columns, strict=True):
        np.multiply(roots[i], roots[j], out=out)
    return scales


def _eliminated(triangle: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Pivots and unit rows of symmetric elimination without pivoting, for upper triangles (n(n+1)/2, B) row by row."""
    n = _matrix_size(len(triangle))
    rows = [triangle[end - n + i : end] for i, end in enumerate(np.cumsum(np.arange(n, 0, -1)))]
    units: list[FloatArray] = []
    with np.errstate(all="ignore"):
        for k, row in enumerate(rows):
            units.append(row[1:] / row[0])
            for i, ratio in enumerate(units[k], 1):
                change = ratio * row[i:]
                rows[k + i] = np.subtract(rows[k + i], change, out=change)
    return [row[0] for row in rows], units


def _eliminate(triangle: FloatArray, gradient: FloatArray) -> FloatArray:
    """``hessian⁻¹ gradient`` by elimination without pivoting, whose digits no scale changes, (d, B)."""
    pivots, units = _eliminated(triangle)
    solution = gradient.copy()
    with np.errstate(all="ignore"):
        for k, unit in enumerate(units):
            solution[k + 1 :] -= unit * solution[k]
        for k in range(len(units) - 1, -1, -1):
            solution[k] /= pivots[k]
            for each, known in zip(units[k], solution[k + 1 :], strict=True):
                solution[k] -= each * known
    return solution


def _pivoted(hessian: FloatArray, gradient: FloatArray, scale: FloatArray) -> FloatArray:
    """``hessian⁻¹ gradient`` in scaled variables by LAPACK, (d, B); NaN where singular."""
    matrices = np.moveaxis(hessian * scale[:, None] * scale, 2, 0)
    right = (gradient * scale).T[..., None]
    solved = np.full(right.shape, np.nan)
    for k in np.flatnonzero(np.isfinite(matrices).all(axis=(1, 2)) & np.isfinite(right).all(axis=(1, 2))):
        solved[k] = np.linalg.lstsq(matrices[k], right[k], rcond=1e-15)[0]
    return np.asarray(solved[..., 0].T * scale)


def positive_definite(x: FloatArray) -> BoolArray:
    """Whether the symmetric matrices with independent entries ``x`` (d, B) are positive-definite."""
    return np.logical_and.reduce([pivot > 0 for pivot in _eliminated(x)[0]])  # type: ignore[no-any-return]


def _matrix_size(entries: int) -> int:
    n = (math.isqrt(8 * entries + 1) - 1) // 2
    if n * (n + 1) // 2 != entries:
        raise InputError(f"x: has {entries} variables; accepted: n(n+1)/2, the independent entries of a kernel")
    return n


def polish(
    lowered: Lowered, x: FloatArray, parameters: FloatArray | Sequence[str], *, digits: int = 50
) -> tuple[list[Any], Any]:
    """Newton in mpmath from one converged point (d,) at parameters (m,): entries with ``digits`` digits, and residual.

    The residual is the largest ``|∂_iF| s_i`` at the returned entries, recomputed. The parameters are taken as the
    exact values of the given numbers (binary fractions, or decimal strings).

    Raises:
        InputError: no convergence, for example from a point that is not near a root.
    """
    d = lowered.dimension
    with mpmath.workdps(digits + 15):
        at = mpmath.matrix([mpmath.mpf(float(a)) for a in x])
        p = [mpmath.mpf(a) if isinstance(a, str) else mpmath.mpf(float(a)) for a in parameters]
        for _ in range(digits):
            here = lowered.precise(list(at), p, digits + 15)
            change = mpmath.lu_solve(here.hessian, here.gradient)
            at -= change
            size = max(abs(change[i] / (abs(at[i]) + abs(at[0]))) for i in range(d))
            if size < mpmath.mpf(10) ** (-digits - 2):
                final = lowered.precise(list(at), p, digits + 15)
                n = _matrix_size(d)
                roots = [mpmath.sqrt(at[int(k)]) for k in np.cumsum([0, *range(n, 1, -1)])]
                pairs = [(i, j) for i in range(n) for j in range(i, n)]
                residual = max(abs(final.gradient[k]) * roots[i] * roots[j] for k, (i, j) in enumerate(pairs))
                return list(at), residual
    raise InputError("x: Newton in mpmath does not converge from it; accepted: a point close to a root")
