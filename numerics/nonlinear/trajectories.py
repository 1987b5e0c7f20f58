"""One neuron's trajectory in a known state, as weighted points of its law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric_vectors
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.reduced import ReducedPoint, stationary_point
from numerics.nonlinear.sample import Mixture, fitted
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, trajectory_space

#: Points of the law, and those a proposal is fitted to.
POINTS, FITTED_POINTS = 1 << 16, 1 << 13
#: Multiples of the trajectory's second moment that the first points are drawn with.
WIDTHS = (1.0, 2.0)


@dataclass(frozen=True, eq=False)
class StateAverage:
    """Averages over a state's trajectories.

    Attributes:
        space: the trajectory's coordinates.
        nodes: points drawn from a proposal.
        point: F there, with each point's probability.
    """

    space: TrajectorySpace
    nodes: Nodes
    point: ReducedPoint


@dataclass(frozen=True, eq=False)
class Proposal:
    """What points of a trajectory g are drawn from: ``g = mean + L z``, z from a mixture.

    Attributes:
        space: the trajectory's coordinates.
        phi: the activation.
        mixture: of z.
        mean, factor: of g, (d,), and L, (d, d).
    """

    space: TrajectorySpace
    phi: Activation
    mixture: Mixture
    mean: FloatArray
    factor: FloatArray

    def nodes(self, rng: np.random.Generator, count: int) -> Nodes:
        """So many points."""
        z = _drawn(rng, self.mixture, count)
        points = self.mean + z @ self.factor.T
        log_q = np.logaddexp.reduce(self.mixture.log_densities(z), axis=1)
        log_weight = np.log(np.diagonal(self.factor)).sum() - log_q - np.log(count)
        return Nodes(points, self.phi.value(points @ self.space.embedding.T), log_weight)


def kernels_of(solution: NonlinearSolution, space: TrajectorySpace) -> tuple[FloatArray, FloatArray]:
    """Φ and Φ̃ of the distinct rows, (m, m) (`numerics.nonlinear.classes`)."""
    return space.classes.reduced(solution.kernel), space.classes.gathered(solution.conjugate)


def proposal(solution: NonlinearSolution, rng: np.random.Generator, seed: int) -> Proposal:
    """A mixture that is fitted to some points of ``N(h|0, C[Φ]) exp(φᵀΦ̃φ)/Z``.

    Args:
        solution: a state.
        rng: of the points.
        seed: of the fit.
    """
    space, phi = trajectory_space(solution.problem), solution.problem.activation
    inverse, (kernel, conjugate) = space.inverse_embedding, kernels_of(solution, space)
    second = inverse @ space.classes.reduced(solution.second_moment) @ inverse.T
    L, d = sla.cholesky(0.5 * (second + second.T), lower=True), space.d
    factors = [np.sqrt(width) * np.eye(d) for width in WIDTHS]
    prior = sla.solve_triangular(L, sla.cholesky(space.covariance(kernel), lower=True), lower=True)
    first = Mixture(np.full(3, 1 / 3), np.zeros((3, d)), np.stack([*factors, prior]))
    nodes = Proposal(space, phi, first, np.zeros(d), L).nodes(rng, FITTED_POINTS)
    vectors = symmetric_vectors(space.m)
    p = stationary_point(space, vectors, nodes, kernel, conjugate, covariance=False).average.probability
    mean = np.zeros(d) if phi.odd else np.asarray(p @ nodes.points)
    centred = nodes.points - mean
    spread = (centred * p[:, None]).T @ centred
    return Proposal(space, phi, fitted(nodes.points, p, mean, spread, seed), mean, sla.cholesky(spread, lower=True))


def state_average(solution: NonlinearSolution, *, count: int = POINTS, seed: int = 0) -> StateAverage:
    """Weighted points of ``N(h|0, C[Φ]) exp(φᵀΦ̃φ)/Z``, by importance from a mixture that is fitted to them.

    Points, averages and derivatives are those of the distinct rows of Φ (`numerics.nonlinear.classes`).

    Args:
        solution: a state.
        count: number of points.
        seed: of the points.
    """
    rng = np.random.default_rng(seed)
    drawn = proposal(solution, rng, seed)
    space, nodes = drawn.space, drawn.nodes(rng, count)
    vectors = symmetric_vectors(space.m)
    point = stationary_point(space, vectors, nodes, *kernels_of(solution, space), covariance=False)
    return StateAverage(space, nodes, point)


def _drawn(rng: np.random.Generator, mixture: Mixture, count: int) -> FloatArray:
    """Points of a mixture, (count, d)."""
    component = rng.choice(len(mixture.weight), count, p=mixture.weight / mixture.weight.sum())
    unit = rng.standard_normal((count, mixture.mean.shape[1]))
    return np.asarray(mixture.mean[component] + np.einsum("kij,kj->ki", mixture.factor[component], unit))
