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


def state_average(solution: NonlinearSolution, phi: Activation, *, seed: int = 0) -> StateAverage:
    """Weighted points of ``N(h|0, C[Φ]) exp(φᵀΦ̃φ)/Z``, by importance from a mixture that is fitted to them.

    Points, averages and derivatives are those of the distinct rows of Φ (`numerics.nonlinear.classes`).

    Args:
        solution: a state.
        phi: its activation.
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
        point = stationary_point(space, vectors, nodes, kernel, conjugate, covariance=False)
        if count == FITTED_POINTS:
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
