"""Which rows of Φ are one row: patterns whose inputs have coincided until a time have one trajectory until then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray
from numerics.nonlinear.labels import Labels, LabelSet

#: Inputs until a time coincide if they differ by less than this, relative to their size: what one pattern's outputs
#: then miss of the other's is of this order, below the tolerance of a solution.
COINCIDE = 1e-9


@dataclass(frozen=True, eq=False)
class TrajectoryClasses:
    """The distinct rows of Φ, and what they stand for. Positions (t, p) are time-major, ``(t-1) P + p``.

    Attributes:
        times: of each row, from 0, increasing, (m,).
        representative: the first position of each row, (m,).
        row: of each position, -1 where no input has come yet and h = 0, as without biases, (nP,).
        factor: what a position's h is of its row's, (nP,).
        before, before_factor: the row and factor of the representative one time earlier; -1 for none, (m,).
    """

    times: IntArray
    representative: IntArray
    row: IntArray
    factor: FloatArray
    before: IntArray
    before_factor: FloatArray

    @property
    def size(self) -> int:
        """m."""
        return len(self.times)

    def inputs(self, problem: Problem) -> FloatArray:
        """``x^{t-1}`` of each row, (m, D)."""
        return np.asarray(problem.x[self.representative % problem.P, self.representative // problem.P])

    def labels(self, problem: Problem) -> Labels:
        """The labels of each row: their mean, weighted by factors, with its noise.

        Raises:
            InputError: a supervised pattern whose h is zero until its label.
        """
        sets: dict[bytes, LabelSet] = {}
        left = 0.0
        for positions, y in problem.targets:
            if (self.row[positions] < 0).any():
                t, p = divmod(int(positions[self.row[positions] < 0][0]), problem.P)
                raise InputError(
                    f"x: is zero for a supervised pattern: row {p}, up to its label at t = {t + 1}; accepted: non-zero "
                    "inputs for supervised patterns, or biases"
                )
            rows, which = np.unique(self.row[positions], return_inverse=True)
            factor = self.factor[positions]
            weight = np.asarray(np.bincount(which, factor**2), dtype=np.float64)
            mean = np.bincount(which, factor * y) / weight
            left += float(np.sum((y - factor * mean[which]) ** 2))
            known = sets.get(positions.tobytes())
            y_set = mean[:, None] if known is None else np.column_stack([known.y, mean])
            sets[positions.tobytes()] = LabelSet(rows.astype(np.intp), y_set, problem.kappa / weight)
        return Labels(tuple(sets.values()), problem.v, 0.5 * left / problem.kappa if problem.kappa > 0 else 0.0)

    def reduced(self, matrix: FloatArray) -> FloatArray:
        """The inverse of `expand`: a matrix on all positions, on rows, (…, nP, nP) to (…, m, m)."""
        return np.asarray(matrix[..., self.representative[:, None], self.representative])

    def expand_rows(self, rows: FloatArray) -> FloatArray:
        """Trajectories or activities of rows, (…, m), on all positions, (…, nP)."""
        return np.asarray(rows[..., self.row] * np.where(self.row >= 0, self.factor, 0.0))

    def expand(self, matrix: FloatArray) -> FloatArray:
        """A matrix on rows, such as Φ or a covariance of h, on all positions, (nP, nP)."""
        return self.expand_rows(self.expand_rows(matrix).T).T

    def shared(self, conjugate: FloatArray) -> FloatArray:
        """Φ̃ on all positions: those of one row have equal shares of its part, so that ``φᵀΦ̃φ`` is the same."""
        alive = self.row >= 0
        weight = np.bincount(self.row[alive], self.factor[alive] ** 2, minlength=self.size)
        return self.expand(conjugate / np.outer(weight, weight))

    def gathered(self, conjugate: FloatArray) -> FloatArray:
        """The inverse of `shared`: Φ̃ of all positions on rows, (m, m)."""
        alive = np.flatnonzero(self.row >= 0)
        sums = np.zeros((self.size, len(self.row)))
        sums[self.row[alive], alive] = self.factor[alive]
        return np.asarray(sums @ conjugate @ sums.T)


def trajectory_classes(problem: Problem) -> TrajectoryClasses:
    """The classes of a problem's patterns, time by time.

    Raises:
        InputError: a pattern without input so far, and φ(0) ≠ 0.
    """
    n, P, phi = problem.n, problem.P, problem.activation
    row, factor = np.full((n, P), -1, dtype=np.intp), np.ones((n, P))
    representatives: list[int] = []
    for t in range(n):
        history = problem.x[:, : t + 1].reshape(P, -1)
        norms = np.linalg.norm(history, axis=1)
        members: dict[int, list[int]] = {}  # representatives by the row of the time before
        for p in range(P):
            if norms[p] == 0 and problem.bias == 0:
                continue
            parent = int(row[t - 1, p]) if t else -1
            for q in members.setdefault(parent, []):
                ratio = factor[t - 1, p] / factor[t - 1, q] if parent >= 0 else _ratio(problem, history[p], history[q])
                if np.linalg.norm(history[p] - ratio * history[q]) <= COINCIDE * norms[p]:
                    row[t, p], factor[t, p] = row[t, q], ratio
                    break
            else:
                members[parent].append(p)
                row[t, p] = len(representatives)
                representatives.append(t * P + p)
    _refuse_constants(problem, phi, row)
    at = np.array(representatives, dtype=np.intp)
    times, patterns = at // P, at % P
    before = np.where(times > 0, row[times - 1, patterns], -1)
    return TrajectoryClasses(
        times, at, row.ravel(), factor.ravel(), before.astype(np.intp), factor[times - 1, patterns]
    )


def _ratio(problem: Problem, first: FloatArray, second: FloatArray) -> float:
    """The factor by which φ makes one trajectory of another, if their inputs have it: biases have none."""
    if problem.bias > 0:
        return 1.0
    phi = problem.activation
    ratio = float(first @ second / (second @ second))
    if phi.name == "linear" or (phi.name == "relu" and ratio > 0):
        return ratio
    return -1.0 if phi.odd and ratio < 0 else 1.0


def _refuse_constants(problem: Problem, phi: Activation, row: IntArray) -> None:
    """φ(0) ≠ 0 makes constants of activities without input, which do not fluctuate as Φ's other entries do."""
    if (row < 0).any() and float(phi.value(np.zeros(1))[0]) != 0.0:
        t, p = np.argwhere(row < 0)[0]
        raise InputError(
            f"x: row {p} is zero up to t = {t}, and {phi.name} is not zero at 0; accepted: inputs from the start, or "
            "an activation with φ(0) = 0"
        )
