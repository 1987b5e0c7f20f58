"""The kernel of a nonlinear network at finite width: covariance and shift of its mean to first order in 1/N.

The kernel's law at width N is ``∫ dΦ̃ exp(-N F[Φ, Φ̃] - A(Φ))``, ``A = ½ Σ_c ln|v𝒯_cΦ𝒯_cᵀ+κ|``, exactly, with Φ̃ along the
imaginary axis (docs/theory.md section 13). Both kernels are integrated: with ``x = (Φ̃, Φ)`` and the formal covariance
``Σ = (∂²F)⁻¹`` in x,

    N Cov(x) → Σ,   N (⟨x⟩ - x*) → -Σ·r,   r_j = ∂_j A + ½ F_jkl Σ_kl = ∂_j [A + ½ ln|∂²F|].

Σ is indefinite, its block of Φ is the inverse Hessian of F(Φ). With ``ℓ = ln N(g|0, C_g[Φ]) + φᵀΦ̃φ``, third derivatives
of ln Z are cumulants of ℓ's derivatives over one neuron's trajectory, and contracted with Σ they are a covariance with
one function q of the trajectory and moments of ``π = C_g⁻¹g``:

    (ln Z)_jkl Σ_kl = Cov(ℓ_j, q) + 2 Cov(ℓ_jk, ℓ_l) Σ_kl + ⟨ℓ_jkl⟩ Σ_kl,
    q = Σ_kl [(ℓ_k - ⟨ℓ_k⟩)(ℓ_l - ⟨ℓ_l⟩) + ℓ_kl].
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg as sla

from numerics.errors import InputError, NotSolvedError
from numerics.linalg import FloatArray, SymmetricVectors, positive_solve, symmetric, symmetric_vectors
from numerics.nonlinear.corrected import corrected
from numerics.nonlinear.labels import Duals
from numerics.nonlinear.nodes import NODES_TOGETHER, Nodes, score_features, tilted_moments
from numerics.nonlinear.quadrature import MOST_DIMENSIONS, quadrature_nodes
from numerics.nonlinear.reduced import ReducedPoint, kkt_blocks, stationary_point
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, trajectory_space
from numerics.nonlinear.trajectories import LAW_PARTS, LAW_POINTS, kernels_of, state_average
from numerics.second_order import second_order

#: Refinement of the quadrature rule, by dimension, and that of a coarser one beside it, which tells its error.
RULE, COARSER = {1: 1.5, 2: 1.5, 3: 1.5, 4: 1.0}, 0.8
#: Share of a sampled kernel's error that is left of it for its fluctuations.
LEFT = 0.2
#: Most points, and most multiplications with their covariances: some seconds.
MOST_POINTS, MOST_WORK = 1 << 18, 2e10
#: Points that must count for each entry of Φ: determinants of covariances are taken from them.
DETERMINANT_POINTS = 50


@dataclass(frozen=True, eq=False)
class OneLoop:
    """Terms of order 1/N at a saddle, matrices as vectors (s,).

    Attributes:
        point: F there.
        root: U of the covariance ``UUᵀ`` of Φ, times N, (s, s).
        covariance: Σ of (Φ̃, Φ), (2s, 2s).
        force: r, (2s,).
    """

    point: ReducedPoint
    root: FloatArray
    covariance: FloatArray
    force: FloatArray

    @property
    def shift(self) -> FloatArray:
        """``lim N (⟨x⟩ - x*)``, (2s,)."""
        return -self.covariance @ self.force

    @property
    def gradient(self) -> FloatArray:
        """∂F by (Φ̃, Φ), (2s,)."""
        vectors = symmetric_vectors(len(self.point.kernel))
        off = vectors.vec(self.point.kernel) - self.point.average.activity
        return np.concatenate([off, self.point.gradient])


@dataclass(frozen=True, eq=False)
class Fluctuations:
    """What is of order 1/N in the kernel's law around a minimum.

    Attributes:
        space: the coordinates.
        nodes: points of the state's trajectories.
        loop: terms of order 1/N on these.
        changes: c_a with ``N Cov(Φ_ij, Φ_kl) → Σ_a c_{a,ij} c_{a,kl}``, (s, nP, nP).
        shift: ``lim N (⟨Φ⟩_N - Φ)``, (nP, nP).
        shift_error: of `shift`: for quadrature the difference to a coarser rule, for a sample one standard error.
    """

    space: TrajectorySpace
    nodes: Nodes
    loop: OneLoop
    changes: FloatArray
    shift: FloatArray
    shift_error: FloatArray


@lru_cache(maxsize=4)
def fluctuations(solution: NonlinearSolution) -> Fluctuations:
    """Covariance and shift of the kernel at a minimum.

    Up to `MOST_DIMENSIONS` dimensions of a trajectory averages are by quadrature, beyond from a sample of fixed seed.

    Raises:
        InputError: the state is no minimum.
        NotSolvedError: the points are too few for the kernel's entries.
    """
    solution = accurate(solution)
    space = trajectory_space(solution.problem)
    try:
        if space.d <= MOST_DIMENSIONS:
            nodes, coarse = (_rule(solution, space, part * RULE[space.d]) for part in (1.0, COARSER))
            return _by_quadrature(solution, space, nodes, coarse)
        count = int(np.clip(MOST_WORK // (space.m * (space.m + 1)) ** 2, LAW_POINTS, MOST_POINTS))
        nodes = state_average(solution, count=1 << (count.bit_length() - 1)).nodes
        return by_sampling(space, nodes, *kernels_of(solution, space))
    except np.linalg.LinAlgError as error:
        raise NotSolvedError("the points do not tell the curvature of the free energy at this state") from error


@lru_cache(maxsize=4)
def accurate(solution: NonlinearSolution) -> NonlinearSolution:
    """A minimum with so small an error that its fluctuations are those of the true one; by quadrature, itself.

    A search by sampling ends at the error of Φ that it was asked for. Along soft directions that displaces the state by
    more than shifts at large N, and changes its third derivatives.

    Raises:
        InputError: it is no minimum.
    """
    if not solution.stable:
        raise InputError("solution: is no minimum of the free energy; accepted: a stable state")
    if solution.engine == "sampling":
        with suppress(np.linalg.LinAlgError, NotSolvedError):  # a step too long: the state stands as it is
            before = float(np.linalg.norm(solution.kernel_error))
            better = corrected(solution, saddle_covariance(solution), LEFT * before)
            if np.linalg.norm(better.kernel_error) < before:
                return better
    return solution


def saddle_covariance(solution: NonlinearSolution) -> FloatArray:
    """Σ on few points, as steps need it, (2s, 2s).

    Raises:
        NotSolvedError, numpy.linalg.LinAlgError: they are too few.
    """
    at = state_average(solution)
    loop = one_loop(at.space, at.nodes, *kernels_of(solution, at.space))
    _require_enough(loop)
    return loop.covariance


def _require_enough(loop: OneLoop) -> None:
    needed, counting = DETERMINANT_POINTS * len(loop.root), loop.point.average.effective_size
    if counting < needed:
        raise NotSolvedError(
            f"{counting:.0f} points of the state's trajectories count, and the fluctuations of "
            f"{len(loop.point.kernel)} kernel rows ({len(loop.root)} entries) need {needed}"
        )


def _rule(solution: NonlinearSolution, space: TrajectorySpace, refinement: float) -> Nodes:
    """A quadrature rule for the state's trajectories."""
    phi, inverse, (kernel, conjugate) = (
        solution.problem.activation,
        space.inverse_embedding,
        kernels_of(solution, space),
    )
    moments = np.zeros(space.d), inverse @ space.classes.reduced(solution.second_moment) @ inverse.T
    nodes = quadrature_nodes(space, phi, kernel, conjugate, moments, refinement)
    if phi.odd:
        return nodes
    point = stationary_point(space, symmetric_vectors(space.m), nodes, kernel, conjugate, covariance=False)
    moments = tilted_moments(nodes.points, point.average.probability, odd=False)
    return quadrature_nodes(space, phi, kernel, conjugate, moments, refinement)


def _by_quadrature(solution: NonlinearSolution, space: TrajectorySpace, nodes: Nodes, coarse: Nodes) -> Fluctuations:
    loop, other = (one_loop(space, each, *kernels_of(solution, space)) for each in (nodes, coarse))
    return _expanded(space, nodes, loop, loop.shift, np.abs(loop.shift - other.shift))


def by_sampling(space: TrajectorySpace, nodes: Nodes, kernel: FloatArray, conjugate: FloatArray) -> Fluctuations:
    """On points drawn at random. Their bias, of the order of one over their number, is that of parts over the parts'.

    Raises:
        NotSolvedError, numpy.linalg.LinAlgError: they are too few.
    """
    loop = one_loop(space, nodes, kernel, conjugate)
    _require_enough(loop)
    parts = [
        Nodes(nodes.points[k::LAW_PARTS], nodes.activity[k::LAW_PARTS], nodes.log_weight[k::LAW_PARTS])
        for k in range(LAW_PARTS)
    ]
    shifts = [one_loop(space, part, kernel, conjugate).shift for part in parts]
    bias = (np.mean(shifts, axis=0) - loop.shift) / (LAW_PARTS - 1)
    error = np.std(shifts, axis=0, ddof=1) / np.sqrt(LAW_PARTS)
    return _expanded(space, nodes, loop, loop.shift - bias, np.hypot(error, bias))


def _expanded(
    space: TrajectorySpace, nodes: Nodes, loop: OneLoop, shift: FloatArray, error: FloatArray
) -> Fluctuations:
    """With Φ's part over all times and patterns."""
    vectors, classes = symmetric_vectors(space.m), space.classes
    s = len(vectors.rows)
    expanded = [classes.expand(vectors.matrix(each)) for each in (shift[s:], error[s:])]
    changes = np.array([classes.expand(change) for change in vectors.matrix(loop.root.T)])
    return Fluctuations(space, nodes, loop, changes, expanded[0], np.abs(expanded[1]))


def next_term(found: Fluctuations, width: int) -> FloatArray:
    """Size of what the mean kernel has beyond first order in 1/N, (nP, nP); infinite where it cannot be found."""
    space, loop = found.space, found.loop
    vectors = symmetric_vectors(space.m)
    s = len(vectors.rows)
    moved = loop.shift / width
    kernel, conjugate = (
        start + vectors.matrix(part)
        for start, part in ((loop.point.kernel, moved[s:]), (loop.point.conjugate, moved[:s]))
    )
    try:
        there = one_loop(space, found.nodes, kernel, conjugate)
    except np.linalg.LinAlgError:
        return np.full_like(found.shift, np.inf)
    step = -there.covariance @ (there.gradient - loop.gradient + there.force / width)
    limit, variance = space.classes.expand(loop.point.kernel), float(np.sum(found.changes**2))
    return second_order(space.classes.expand(vectors.matrix(step[s:])), limit, variance, found.shift, width)


def log_mass(found: Fluctuations, solution: NonlinearSolution, width: int) -> float:
    """Log of the probability of the region around a minimum at width N, to leading order in 1/N, images not counted.

    ``-N F - ½ Σ_c ln|v𝒯_cΦ𝒯_cᵀ+κ| - ½ ln|Cov(φφᵀ)/2| - ½ ln|∂²F/∂Φ²| + (s/2) ln(2π/N)``; what all minima of a problem
    share is left out, so that for φ(h) = h it is that of the linear theory.
    """
    point, s = found.loop.point, len(found.loop.root)
    assert point.average.covariance is not None
    spread = float(np.linalg.slogdet(0.5 * point.average.covariance[:s, :s])[1])
    curvature = -2 * float(np.log(np.abs(np.diagonal(found.loop.root))).sum())
    fluctuating = found.space.labels.duals(point.kernel).log_determinant + spread + curvature
    return -width * solution.free_energy - 0.5 * fluctuating + 0.5 * s * float(np.log(2 * np.pi / width))


def one_loop(space: TrajectorySpace, nodes: Nodes, kernel: FloatArray, conjugate: FloatArray) -> OneLoop:
    """Covariance and force on fixed points.

    Raises:
        numpy.linalg.LinAlgError: no minimum of F(Φ), or points that do not tell its Hessian.
    """
    vectors = symmetric_vectors(space.m)
    point = stationary_point(space, vectors, nodes, kernel, conjugate, covariance=True)
    blocks = kkt_blocks(space, vectors, point)
    s, P = len(vectors.rows), point.average.precision
    response = positive_solve(blocks[2], blocks[1])  # of Φ̃ to Φ
    root = sla.solve_triangular(sla.cholesky(blocks[0] + blocks[1].T @ response, lower=True), np.eye(s), lower=True).T
    followed = np.concatenate([response @ root, root])
    covariance = followed @ followed.T
    covariance[:s, :s] -= positive_solve(blocks[2], np.eye(s))
    changes = vectors.matrix(root.T)
    moved = space.changes(changes)
    bent = np.sum(moved @ P @ moved, axis=0)  # Σ_kl δC_k C⁻¹ δC_l
    with_q, with_response = _covariances(space, vectors, nodes, point, covariance, bent)
    mixed = np.tensordot(covariance[s:], with_response, axes=1)
    W = point.average.response
    gradient = -2 * np.einsum("jab,jbc->ac", P @ space.changes(vectors.matrix(np.eye(s))), mixed)
    gradient = gradient + P @ bent @ (2 * W - P) + P @ np.sum(moved @ W @ moved, axis=0) @ P
    force = -0.5 * with_q
    force[s:] -= 0.5 * vectors.vec(space.pull_back(symmetric(gradient)))
    force[s:] += vectors.vec(_of_labels(space.labels.duals(kernel), changes))
    return OneLoop(point, root, covariance, force)


def _covariances(
    space: TrajectorySpace,
    vectors: SymmetricVectors,
    nodes: Nodes,
    point: ReducedPoint,
    covariance: FloatArray,
    bent: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """``Cov(ℓ_j, q)``, (2s,), and ``Cov(ℓ_l, ππᵀ)``, (2s, d, d)."""
    p, P, pairs = point.average.probability, point.average.precision, symmetric_vectors(space.d)
    parts = [slice(first, first + NODES_TOGETHER) for first in range(0, len(p), NODES_TOGETHER)]
    mean = sum(p[part] @ score_features(space, vectors, nodes, P, part) for part in parts)
    with_q, with_response = np.zeros(len(covariance)), np.zeros((len(covariance), len(pairs.rows)))
    for part in parts:
        features = score_features(space, vectors, nodes, P, part) - mean
        pi = nodes.points[part] @ P
        q = np.einsum("ki,ki->k", features @ covariance, features) - np.einsum("ka,ka->k", pi @ bent, pi)
        features *= p[part, None]
        with_q += q @ features
        with_response += features.T @ pairs.products(pi)
    return with_q, pairs.matrix(with_response)


def _of_labels(duals: Duals, changes: FloatArray) -> FloatArray:
    """``∂[A + ½ E_kl Σ_kl]`` by Φ at fixed ``Σ = Σ_a c_a c_aᵀ``, for these changes c_a: (m, m)."""
    v, found = duals.labels.v, np.zeros((duals.m, duals.m))
    for each, R, q in zip(duals.labels.sets, duals.inverses, duals.duals, strict=True):
        rows = np.ix_(each.rows, each.rows)
        moved = changes[:, each.rows[:, None], each.rows]
        pulled = moved @ q
        bent = R @ np.sum(moved @ R @ moved, axis=0) @ q @ q.T
        spread = R @ np.einsum("asc,atc->st", pulled, pulled) @ R
        found[rows] += 0.5 * v * q.shape[1] * R - 0.5 * v**3 * (bent + bent.T + spread)
    return found
