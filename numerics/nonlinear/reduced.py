"""The free energy of Φ, F maximised over Φ̃, with its gradient and Hessian on fixed points.

``F(Φ) = E(Φ) + max_Φ̃ [tr Φ̃Φ - ln Z]``, E as in ``labels``. The bracket is concave in Φ̃, with Hessian
``-Cov(φφᵀ, φφᵀ)``. At its maximum

    ∂F/∂Φ = ∂E/∂Φ + Φ̃ - ∂ln Z/∂Φ,
    ∂²F = F_ΦΦ - F_ΦΦ̃ F_Φ̃Φ̃⁻¹ F_Φ̃Φ,   F_Φ̃Φ̃ = -Cov(a, a),   F_Φ̃Φ = 1 - Cov(a, b),   F_ΦΦ = ∂²E - ∂²ln Z,

with a = φφᵀ and b = ∂ln N(g|0, C[Φ])/∂Φ at a point. It vanishes where both conditions of docs/theory.md section 4 hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.errors import UnattainableError
from numerics.linalg import FloatArray, SymmetricVectors, positive_solve
from numerics.nonlinear.nodes import Averages, Nodes, activity_response, averages, log_normal
from numerics.nonlinear.space import TrajectorySpace

#: Newton steps of the maximisation over Φ̃, and the residual ``|Φ - ⟨φφᵀ⟩|``, relative, at which it ends.
INNER_STEPS = 60
INNER_TOLERANCE = 1e-13


@dataclass(frozen=True, eq=False)
class ReducedPoint:
    """F and its derivatives at a Φ, matrices as vectors (s,).

    Attributes:
        kernel, conjugate: Φ and the Φ̃ that maximises F, (nP, nP).
        energy, entropy: ``E(Φ)`` and ``max_Φ̃ [tr Φ̃Φ - ln Z] ≥ 0``.
        gradient: ``∂F/∂Φ``, (s,).
        scale: sum of the norms of the terms that cancel in the gradient.
        average: of the trajectory at (Φ, Φ̃).
    """

    kernel: FloatArray
    conjugate: FloatArray
    energy: float
    entropy: float
    gradient: FloatArray
    scale: float
    average: Averages

    @property
    def free_energy(self) -> float:
        """F."""
        return self.energy + self.entropy


def reduced_point(
    space: TrajectorySpace, vectors: SymmetricVectors, nodes: Nodes, kernel: FloatArray, conjugate: FloatArray
) -> ReducedPoint:
    """Maximise over Φ̃ from `conjugate` on.

    Raises:
        UnattainableError: there is no maximum, or it was not reached.
        numpy.linalg.LinAlgError: Φ is not positive-definite.
    """
    target, current = vectors.vec(kernel), vectors.vec(conjugate)
    size = float(np.linalg.norm(target))
    base = log_normal(nodes, space.covariance(kernel))
    log_Z, activity, spread = activity_response(vectors, nodes, base, vectors.matrix(current))
    for _ in range(INNER_STEPS):
        residual = target - activity
        error = float(np.linalg.norm(residual))
        if error <= INNER_TOLERANCE * size:
            break
        try:
            step = positive_solve(spread, residual)
        except np.linalg.LinAlgError:
            raise UnattainableError("φφᵀ does not vary in every direction on the points that count") from None
        gain, length = float(step @ residual), 1.0
        floor = 1e-14 * (abs(log_Z) + abs(float(current @ target)) + 1)
        for _ in range(30):
            trial = current + length * step
            new = activity_response(vectors, nodes, base, vectors.matrix(trial))
            if float((trial - current) @ target) - (new[0] - log_Z) >= 1e-4 * length * gain - floor:
                break
            length *= 0.5
        else:
            raise UnattainableError("F does not rise along Newton's step in Φ̃")
        at_rounding = gain < floor and np.linalg.norm(target - new[1]) > 0.5 * error
        current, (log_Z, activity, spread) = trial, new
        if at_rounding:
            break
    if np.linalg.norm(target - activity) > 1e-9 * size:
        raise UnattainableError("Newton's method in Φ̃ has not converged")
    at = averages(space, vectors, nodes, kernel, vectors.matrix(current), base=base)
    return point_at(space, vectors, kernel, vectors.matrix(current), at)


def stationary_point(
    space: TrajectorySpace,
    vectors: SymmetricVectors,
    nodes: Nodes,
    kernel: FloatArray,
    conjugate: FloatArray,
    *,
    covariance: bool,
) -> ReducedPoint:
    """A point at which Φ̃ is known to be the maximum, with the ``covariance`` that second derivatives need or without.

    Raises:
        numpy.linalg.LinAlgError: Φ is not positive-definite.
    """
    at = averages(space, vectors, nodes, kernel, conjugate, covariance=covariance)
    return point_at(space, vectors, kernel, conjugate, at)


def point_at(
    space: TrajectorySpace, vectors: SymmetricVectors, kernel: FloatArray, conjugate: FloatArray, at: Averages
) -> ReducedPoint:
    """F with its gradient from averages at a Φ̃ that is the maximum."""
    duals = space.labels.duals(kernel)
    parts = (-vectors.vec(duals.conjugate), vectors.vec(conjugate), at.pull)
    return ReducedPoint(
        kernel,
        conjugate,
        duals.energy,
        float(np.vdot(conjugate, kernel)) - at.log_Z,
        parts[0] + parts[1] - parts[2],
        float(sum(np.linalg.norm(part) for part in parts)),
        at,
    )


def hessian(space: TrajectorySpace, vectors: SymmetricVectors, point: ReducedPoint) -> FloatArray:
    """``∂²F/∂Φ²`` at a maximum over Φ̃, (s, s)."""
    blocks = kkt_blocks(space, vectors, point)
    return blocks[0] + blocks[1].T @ positive_solve(blocks[2], blocks[1])


def natural(vectors: SymmetricVectors, kernel: FloatArray) -> FloatArray:
    """The map ``S → L S Lᵀ``, ``Φ = LLᵀ``, on symmetric matrices as vectors, (s, s)."""
    L = sla.cholesky(kernel, lower=True)
    directions = vectors.matrix(np.eye(len(vectors.rows)))
    return np.asarray(vectors.vec(L @ directions @ L.T).T)


def natural_hessian(space: TrajectorySpace, vectors: SymmetricVectors, point: ReducedPoint) -> FloatArray:
    """The Hessian in the natural metric, ``δΦ = L S Lᵀ``, (s, s)."""
    change = natural(vectors, point.kernel)
    curvature = change.T @ hessian(space, vectors, point) @ change
    return np.asarray(0.5 * (curvature + curvature.T))


def kkt_blocks(
    space: TrajectorySpace, vectors: SymmetricVectors, point: ReducedPoint
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``F_ΦΦ``, ``F_Φ̃Φ`` and ``-F_Φ̃Φ̃``, each (s, s)."""
    at = point.average
    assert at.covariance is not None
    s = len(vectors.rows)
    directions = vectors.matrix(np.eye(s))
    inner = at.precision @ space.changes(directions)
    # -∂²ln Z without the covariance of scores: +½ (C⁻¹δC W + W δC C⁻¹) - ½ C⁻¹δC C⁻¹
    moved = inner @ (at.response - 0.5 * at.precision)
    moved = 0.5 * (moved + moved.transpose(0, 2, 1))
    curved = vectors.vec(space.pull_back(moved))
    curved -= vectors.vec(space.labels.duals(point.kernel).change(directions))
    F_PhiPhi = curved - at.covariance[s:, s:]
    return 0.5 * (F_PhiPhi + F_PhiPhi.T), np.eye(s) - at.covariance[:s, s:], at.covariance[:s, :s]
