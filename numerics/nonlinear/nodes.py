"""Averages over one neuron's trajectory under ``N(g|0, C_g) exp(φᵀΦ̃φ)/Z``, from weighted points.

The points g and their base weights stay fixed while Φ and Φ̃ change, so that ln Z is a smooth function of both and its
derivatives are averages and covariances over the same points, exactly: with ``π = C_g⁻¹ g``,

    ∂ln Z/∂Φ̃ = ⟨φφᵀ⟩,   ∂ln Z/∂C_g = ½ ⟨ππᵀ⟩ - ½ C_g⁻¹.

A quadrature rule and a weighted sample differ in where the points lie, not in what is done with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, SymmetricVectors
from numerics.nonlinear.space import TrajectorySpace

#: Points worked on together.
NODES_TOGETHER = 16384


@dataclass(frozen=True, eq=False)
class Nodes:
    """Points of a rule or of a sample.

    Attributes:
        points: g, (K, d).
        activity: φ(h(g)), (K, nP).
        log_weight: log of the weight under which a sum over the points is ``∫ dg``, (K,).
    """

    points: FloatArray
    activity: FloatArray
    log_weight: FloatArray


@dataclass(frozen=True, eq=False)
class Averages:
    """ln Z and its derivatives at (Φ, Φ̃), matrices as vectors of length s.

    Attributes:
        log_Z: ln Z.
        activity: ``⟨φφᵀ⟩``, (s,).
        pull: ``∂ln Z/∂Φ``, (s,).
        probability: of each point, (K,).
        effective_size: ``1/Σ p²``.
        covariance: of ``(φφᵀ, ∂ln Z/∂Φ)`` per point, (2s, 2s), or None if not asked for.
        precision, response: ``C_g⁻¹`` and ``⟨ππᵀ⟩``, (d, d).
    """

    log_Z: float
    activity: FloatArray
    pull: FloatArray
    probability: FloatArray
    effective_size: float
    covariance: FloatArray | None
    precision: FloatArray
    response: FloatArray


def log_normal(nodes: Nodes, C: FloatArray) -> FloatArray:
    """``ln N(g|0, C_g)`` at each point, (K,)."""
    factor = sla.cholesky(C, lower=True)
    white = sla.solve_triangular(factor, nodes.points.T, lower=True)
    constant = np.log(np.diagonal(factor)).sum() + 0.5 * len(C) * np.log(2 * np.pi)
    return np.asarray(-0.5 * np.einsum("ik,ik->k", white, white) - constant)


def log_tilt(nodes: Nodes, conjugate: FloatArray) -> FloatArray:
    """``φᵀΦ̃φ`` at each point, (K,)."""
    return np.asarray(np.einsum("ki,ki->k", nodes.activity @ conjugate, nodes.activity))


def log_density(nodes: Nodes, C: FloatArray, conjugate: FloatArray) -> FloatArray:
    """``ln [N(g|0, C_g) exp(φᵀΦ̃φ)]`` at each point, (K,)."""
    return log_normal(nodes, C) + log_tilt(nodes, conjugate)


def averages(
    space: TrajectorySpace,
    vectors: SymmetricVectors,
    nodes: Nodes,
    kernel: FloatArray,
    conjugate: FloatArray,
    *,
    covariance: bool = True,
    base: FloatArray | None = None,
) -> Averages:
    """Averages at (Φ, Φ̃).

    Args:
        space, vectors, nodes: coordinates, vector form, points.
        kernel, conjugate: Φ and Φ̃.
        covariance: whether to compute the covariances too.
        base: ``log_normal(nodes, C_g[Φ])``, if it is known.

    Raises:
        numpy.linalg.LinAlgError: ``C_g[Φ]`` is not positive-definite.
    """
    C = space.covariance(kernel)
    log_p = nodes.log_weight + (log_normal(nodes, C) if base is None else base) + log_tilt(nodes, conjugate)
    top = log_p.max()
    p = np.exp(log_p - top)
    Z = p.sum()
    p /= Z
    precision = np.asarray(np.linalg.inv(C), dtype=np.float64)
    response = precision @ ((nodes.points * p[:, None]).T @ nodes.points) @ precision
    moments = (nodes.activity * p[:, None]).T @ nodes.activity
    pull = space.pull_back(0.5 * (response - precision))
    second = None
    if covariance:
        second = np.zeros((2 * len(vectors.rows),) * 2)
        mean = np.zeros(len(second))
        for first in range(0, len(p), NODES_TOGETHER):
            part = slice(first, first + NODES_TOGETHER)
            features = score_features(space, vectors, nodes, precision, part)
            mean += p[part] @ features
            features *= np.sqrt(p[part, None])
            second += features.T @ features  # one array twice: half the work
        second -= np.outer(mean, mean)
    return Averages(
        float(top + np.log(Z)),
        vectors.vec(moments),
        vectors.vec(pull),
        p,
        float(1 / np.vdot(p, p)),
        second,
        precision,
        response,
    )


def activity_response(
    vectors: SymmetricVectors, nodes: Nodes, base: FloatArray, conjugate: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """ln Z with its gradient ``⟨φφᵀ⟩`` (s,) and Hessian ``Cov(φφᵀ, φφᵀ)`` (s, s) in Φ̃, at fixed C[Φ].

    Args:
        vectors, nodes: vector form, points.
        base: ``log_normal(nodes, C_g[Φ])``.
        conjugate: Φ̃.
    """
    log_p = nodes.log_weight + base + log_tilt(nodes, conjugate)
    top = log_p.max()
    p = np.exp(log_p - top)
    Z = p.sum()
    second = np.zeros((len(vectors.rows),) * 2)
    mean = np.zeros(len(second))
    for first in range(0, len(p), NODES_TOGETHER):
        part = slice(first, first + NODES_TOGETHER)
        features = vectors.products(nodes.activity[part])
        weighted = features * p[part, None]
        second += weighted.T @ features
        mean += weighted.sum(axis=0)
    mean /= Z
    return float(top + np.log(Z)), mean, second / Z - np.outer(mean, mean)


def score_features(
    space: TrajectorySpace, vectors: SymmetricVectors, nodes: Nodes, precision: FloatArray, part: slice
) -> FloatArray:
    """``(vec φφᵀ, vec ∂ln N(g|0,C_g)/∂Φ)`` at the points of `part`, the latter up to a constant, (k, 2s)."""
    scores = space.scores(nodes.points[part] @ precision)
    pulled = vectors.products(scores) * (0.5 * space.problem.w * space.sharing[vectors.rows, vectors.columns])
    return np.concatenate([vectors.products(nodes.activity[part]), pulled], axis=1)


def tilted_moments(points: FloatArray, probability: FloatArray, *, odd: bool) -> tuple[FloatArray, FloatArray]:
    """Mean (d,) and covariance (d, d) of g; for odd φ the mean is 0, and points may stand for g and -g alike."""
    mean = np.zeros(points.shape[1]) if odd else np.asarray(probability @ points)
    centred = points - mean
    return mean, np.asarray((centred * probability[:, None]).T @ centred)


def moments_of(
    space: TrajectorySpace, phi: Activation, trajectories: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Φ (m, m), mean (d,) and covariance (d, d) of samples of g, (K, d); for odd φ the mean is 0."""
    activity, alike = phi.value(trajectories @ space.embedding.T), np.full(len(trajectories), 1 / len(trajectories))
    return activity.T @ activity / len(activity), *tilted_moments(trajectories, alike, odd=phi.odd)
