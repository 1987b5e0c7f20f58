"""One neuron's trajectory in a known state: weighted points of its law, and the Gaussian fluctuations around the state.

The kernel's law at width N is ``∫ dΦ̃ exp(-N F[Φ, Φ̃] - ½ ln|v𝒯Φ𝒯ᵀ+κ|)`` (docs/theory.md section 13), with Φ̃ along the
imaginary axis. Around a minimum of F(Φ), the maximum over Φ̃ of F, both integrals are Gaussian, and the region's
probability is, up to a factor that all minima share,

``exp(-N F - ½ ln|v𝒯Φ𝒯ᵀ+κ|) |N Cov(φφᵀ)|^{-1/2} |N ∂²F/∂Φ²|^{-1/2} (1 + O(1/N))``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric_vectors
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.reduced import ReducedPoint, hessian, stationary_point
from numerics.nonlinear.sample import Mixture, fitted
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, trajectory_space

#: Points of the law, and those a proposal is fitted to; points that must count for each entry where determinants of
#: covariances are taken from them.
POINTS, FITTED_POINTS, POINTS_PER_ENTRY = 1 << 16, 1 << 13, 50
#: Multiples of the trajectory's second moment that the first points are drawn with.
WIDTHS = (1.0, 2.0)


@dataclass(frozen=True, eq=False)
class StateAverage:
    """Averages over a state's trajectories.

    Attributes:
        space: the trajectory's coordinates.
        nodes: points drawn from a proposal.
        point: F there, with each point's probability; covariances where they were asked for.
    """

    space: TrajectorySpace
    nodes: Nodes
    point: ReducedPoint


def state_average(
    solution: NonlinearSolution, phi: Activation, *, covariance: bool = False, seed: int = 0
) -> StateAverage:
    """Weighted points of ``N(h|0, C[Φ]) exp(φᵀΦ̃φ)/Z``, by importance from a mixture that is fitted to them.

    Points, averages and derivatives are those of the distinct rows of Φ (`numerics.nonlinear.classes`).

    Args:
        solution: a state.
        phi: its activation.
        covariance: whether to compute second derivatives too.
        seed: of the points.
    """
    space = trajectory_space(solution.problem)
    vectors, inverse, classes = symmetric_vectors(space.m), space.inverse_embedding, space.classes
    kernel, conjugate = classes.reduced(solution.kernel), classes.gathered(solution.conjugate)
    second = inverse @ classes.reduced(solution.second_moment) @ inverse.T
    L, d = sla.cholesky(0.5 * (second + second.T), lower=True), space.d
    rng = np.random.default_rng(seed)
    factors = [np.sqrt(width) * np.eye(d) for width in WIDTHS]
    prior = sla.solve_triangular(L, sla.cholesky(space.covariance(kernel), lower=True), lower=True)
    mixture = Mixture(np.full(3, 1 / 3), np.zeros((3, d)), np.stack([*factors, prior]))
    mean = np.zeros(d)
    for count in (FITTED_POINTS, POINTS):
        z = _drawn(rng, mixture, count)
        points = mean + z @ L.T
        log_q = np.logaddexp.reduce(mixture.log_densities(z), axis=1)
        log_weight = np.log(np.diagonal(L)).sum() - log_q - np.log(count)
        nodes = Nodes(points, phi.value(points @ space.embedding.T), log_weight)
        last = count == POINTS
        point = stationary_point(space, vectors, nodes, kernel, conjugate, covariance=covariance and last)
        if not last:
            p = point.average.probability
            mean = np.zeros(d) if phi.odd else p @ points
            centred = points - mean
            spread = (centred * p[:, None]).T @ centred
            mixture, L = fitted(points, p, mean, spread, seed), sla.cholesky(spread, lower=True)
    return StateAverage(space, nodes, point)


def _drawn(rng: np.random.Generator, mixture: Mixture, count: int) -> FloatArray:
    """Points of a mixture, (count, d)."""
    component = rng.choice(len(mixture.weight), count, p=mixture.weight / mixture.weight.sum())
    unit = rng.standard_normal((count, mixture.mean.shape[1]))
    return np.asarray(mixture.mean[component] + np.einsum("kij,kj->ki", mixture.factor[component], unit))


def log_mass(solution: NonlinearSolution, phi: Activation, width: int) -> float | None:
    """Log of the probability of the region around a minimum at width N, to leading order in 1/N.

    The constant that all minima of a problem share is left out, and a minimum's image under ``W → -W`` is not counted.

    Returns:
        None where the points do not tell the determinants (many entries, or no minimum).
    """
    try:
        at = state_average(solution, phi, covariance=True)
        vectors = symmetric_vectors(at.space.m)
        s, covariance = len(vectors.rows), at.point.average.covariance
        assert covariance is not None
        if at.point.average.effective_size < POINTS_PER_ENTRY * s:
            return None
        factors = [
            sla.cholesky(part, lower=True) for part in (covariance[:s, :s], hessian(at.space, vectors, at.point))
        ]
    except np.linalg.LinAlgError:
        return None
    fluctuations = float(sum(2 * np.log(np.diagonal(f)).sum() for f in factors))
    fluctuations += at.space.labels.duals(at.point.kernel).log_determinant
    return -width * solution.free_energy - 0.5 * fluctuations
