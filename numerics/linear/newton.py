"""Newton on lowered stationarity conditions, for many parameter sets at once.

The unknowns are the independent entries of positive-definite n × n kernels, row by row. Steps use the exact Hessian and
are halved, point by point, until the kernel stays positive-definite and the gradient decreases. The residual is
recomputed at the returned point.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.linalg import BoolArray, FloatArray
from numerics.lowering.scalar import Evaluation, Lowered

#: Points iterated together: enough that Python's own time does not count, few enough for a core's cache.
BLOCK = 32768
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
    d, batch = start.shape
    _matrix_size(d)
    parts = [slice(first, first + BLOCK) for first in range(0, max(batch, 1), BLOCK)]

    def solved(part: slice) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray, NDArray[np.intp]]:
        p = parameters[:, part] if parameters.shape[1] == batch else parameters
        return _newton_block(lowered, start[:, part], p, tolerance, max_iterations)

    # NumPy lets go of the interpreter inside its loops, so that threads share the cores
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        pieces = list(pool.map(solved, parts))
    return Roots(*(np.concatenate(arrays, axis=-1) for arrays in zip(*pieces, strict=True)))


def _newton_block(
    lowered: Lowered, start: FloatArray, p: FloatArray, tolerance: float, max_iterations: int
) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray, NDArray[np.intp]]:
    x = np.array(start)
    batch = x.shape[1]
    p = np.broadcast_to(p, (p.shape[0], batch))
    now = lowered.derivatives(x, p)
    scale = _scales(x)
    residual = np.where(positive_definite(x), _residual(now, scale), np.inf)
    iterations = np.zeros(batch, dtype=np.intp)
    active = np.flatnonzero(np.isfinite(residual))
    goal = min(tolerance, FLOOR)
    for _ in range(max_iterations):
        active = active[residual[active] > goal]
        if not active.size:
            break
        before = residual[active]
        moved = _step(lowered, x, p, now, scale, residual, active)
        iterations[active] += 1
        # within the tolerance, go on only where the residual still falls fast
        falls = residual[active] < 0.1 * before
        active = active[moved & (falls | (residual[active] > tolerance))]
    converged = residual <= tolerance
    stable = _positive_pivots(now.triangle) & converged
    if not converged.all():
        x[:, ~converged] = np.nan
    return x, residual, converged, stable, iterations


def _step(
    lowered: Lowered,
    x: FloatArray,
    p: FloatArray,
    now: Evaluation,
    scale: FloatArray,
    residual: FloatArray,
    active: NDArray[np.intp],
) -> BoolArray:
    """One damped Newton step of the active points, in place; whether each of them moved."""
    part: Any = slice(None) if active.size == x.shape[1] else active
    step = _eliminate(now.triangle[:, part], now.gradient[:, part], scale[:, part])
    moved = _search(lowered, x, p, now, scale, residual, active, step)
    stuck = active[~moved & (residual[active] > FLOOR)]
    if stuck.size:
        # elimination without pivoting can lose an indefinite system's digits
        step = _pivoted(now.hessian[:, :, stuck], now.gradient[:, stuck], scale[:, stuck])
        moved[np.isin(active, stuck)] = _search(lowered, x, p, now, scale, residual, stuck, step)
    return moved


def _search(
    lowered: Lowered,
    x: FloatArray,
    p: FloatArray,
    now: Evaluation,
    scale: FloatArray,
    residual: FloatArray,
    active: NDArray[np.intp],
    step: FloatArray,
) -> BoolArray:
    """Halve each point's step until its kernel is positive-definite and its residual lower; whether it got there."""
    moved = np.zeros(active.size, dtype=bool)
    pending = np.flatnonzero(np.isfinite(step).all(axis=0))
    length = 1.0
    for _ in range(HALVINGS):
        if not pending.size:
            break
        columns = active[pending]
        # slices instead of index arrays, which copy, while the whole block goes on together
        whole = columns.size == x.shape[1]
        at: Any = slice(None) if whole else columns
        steps = step if pending.size == active.size else step[:, pending]
        trial = x[:, at] - (steps if length == 1.0 else length * steps)
        new = lowered.derivatives(trial, p[:, at])
        new_scale = _scales(trial)
        new_residual = np.where(positive_definite(trial), _residual(new, new_scale), np.inf)
        accept = new_residual < residual[at]
        source: Any = slice(None) if accept.all() else accept
        taken: Any = at if accept.all() else columns[accept]
        x[:, taken] = trial[:, source]
        scale[:, taken] = new_scale[:, source]
        now.gradient[:, taken] = new.gradient[:, source]
        now.triangle[:, taken] = new.triangle[:, source]
        floor = residual[columns] > FLOOR
        residual[taken] = new_residual[source]
        moved[pending[source]] = True
        # at the rounding floor no step can lower the residual: do not search
        pending = pending[~accept & floor]
        length *= 0.5
    return moved


def _residual(evaluation: Evaluation, scale: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        size = (np.abs(evaluation.gradient) * scale).max(axis=0) / (evaluation.cancelling * scale).max(axis=0)
    return np.where(np.isfinite(size), size, np.inf)


def _scales(x: FloatArray) -> FloatArray:
    """``√(H^{tt}H^{ss})`` for each independent entry: turns gradients into changes of F per relative change."""
    n = _matrix_size(x.shape[0])
    rows, columns = np.triu_indices(n)
    with np.errstate(invalid="ignore"):
        roots = np.sqrt(x[rows == columns])
    return np.asarray(roots[rows] * roots[columns])


def _eliminate(triangle: FloatArray, gradient: FloatArray, scale: FloatArray) -> FloatArray:
    """``hessian⁻¹ gradient`` in scaled variables by symmetric elimination without pivoting, vectorised, (d, B)."""
    d, batch = scale.shape
    # row i of the upper triangle, followed by the right-hand side
    rows = [np.empty((d - i + 1, batch)) for i in range(d)]
    first = 0
    for i, row in enumerate(rows):
        np.multiply(triangle[first : first + d - i], scale[i:], out=row[:-1])
        np.copyto(row[-1], gradient[i])
        row *= scale[i]
        first += d - i
    solution = np.empty_like(scale)
    with np.errstate(all="ignore"):
        for k, row in enumerate(rows):
            for i in range(k + 1, d):
                rows[i] -= (row[i - k] / row[0]) * row[i - k :]
        for k in range(d - 1, -1, -1):
            known = (rows[k][1:-1] * solution[k + 1 :]).sum(axis=0)
            solution[k] = (rows[k][-1] - known) / rows[k][0]
        return np.asarray(solution * scale)


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
    return _positive_pivots(x)


def _positive_pivots(triangle: FloatArray) -> BoolArray:
    """Whether every pivot of symmetric elimination is positive, for upper triangles (n(n+1)/2, B) row by row."""
    n = _matrix_size(triangle.shape[0])
    ends = np.cumsum(np.arange(n, 0, -1))
    rows = [np.array(triangle[end - n + i : end]) for i, end in enumerate(ends)]
    positive = np.ones(triangle.shape[1], dtype=bool)
    with np.errstate(all="ignore"):
        for k, row in enumerate(rows):
            positive &= row[0] > 0
            for i in range(k + 1, n):
                rows[i] -= (row[i - k] / row[0]) * row[i - k :]
    return positive


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
