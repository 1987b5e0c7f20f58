"""One neuron's trajectory in a known state, as weighted points of its law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric_vectors
from numerics.nonlinear.nodes import Nodes, tilted_moments
from numerics.nonlinear.reduced import ReducedPoint, stationary_point
from numerics.nonlinear.sample import COMPONENTS, Mixture, fitted, scrambled
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, trajectory_space

#: Points of the law, and those a proposal is fitted to.
LAW_POINTS, FITTED_POINTS = 1 << 16, 1 << 13
#: Independent parts of them: of each, every `LAW_PARTS`-th point.
LAW_PARTS = 8
#: Points and components of a second fit, for φ that is not odd: tails of ReLU differ with the rows that are on, and
#: those that the first leaves out have few points of large weight, which displace averages by more than they scatter.
TAIL_POINTS, TAIL_COMPONENTS = 1 << 14, 6
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

    def nodes(self, rng: np.random.Generator, count: int, parts: int = 1) -> Nodes:
        """So many points; those from the k-th on in steps of `parts` are independent of the others."""
        z = np.empty((count, self.space.d))
        for k, stream in enumerate(rng.spawn(parts)):
            z[k::parts] = _drawn(stream, self.mixture, count // parts)
        points = self.mean + z @ self.factor.T
        log_q = np.logaddexp.reduce(self.mixture.log_densities(z), axis=1)
        log_weight = np.log(np.diagonal(self.factor)).sum() - log_q - np.log(count)
        return Nodes(points, self.phi.value(points @ self.space.embedding.T), log_weight)


def kernels_of(solution: NonlinearSolution, space: TrajectorySpace) -> tuple[FloatArray, FloatArray]:
    """Φ and Φ̃ of the distinct rows, (m, m) (`numerics.nonlinear.classes`)."""
    return space.classes.reduced(solution.kernel), space.classes.gathered(solution.conjugate)


@lru_cache(maxsize=4)
def proposal(solution: NonlinearSolution, seed: int) -> Proposal:
    """A mixture that is fitted to some points of ``N(h|0, C[Φ]) exp(φᵀΦ̃φ)/Z``.

    Args:
        solution: a state.
        seed: of the points and of the fit.
    """
    rng = np.random.default_rng(seed)
    space, phi = trajectory_space(solution.problem), solution.problem.activation
    inverse, (kernel, conjugate) = space.inverse_embedding, kernels_of(solution, space)
    second = inverse @ space.classes.reduced(solution.second_moment) @ inverse.T
    L, d = sla.cholesky(0.5 * (second + second.T), lower=True), space.d
    factors = [np.sqrt(width) * np.eye(d) for width in WIDTHS]
    prior = sla.solve_triangular(L, sla.cholesky(space.covariance(kernel), lower=True), lower=True)
    first = Mixture(np.full(3, 1 / 3), np.zeros((3, d)), np.stack([*factors, prior]))
    at = Proposal(space, phi, first, np.zeros(d), L)
    rounds = [(FITTED_POINTS, COMPONENTS)] if phi.odd else [(FITTED_POINTS, COMPONENTS), (TAIL_POINTS, TAIL_COMPONENTS)]
    for count, components in rounds:
        nodes = at.nodes(rng, count)
        point = stationary_point(space, symmetric_vectors(space.m), nodes, kernel, conjugate, covariance=False)
        p = point.average.probability
        mean, spread = tilted_moments(nodes.points, p, odd=phi.odd)
        factor = sla.cholesky(spread, lower=True)
        if components == TAIL_COMPONENTS:  # averages of products of two activities owe most to tails
            white = sla.solve_triangular(factor, (nodes.points - mean).T, lower=True)
            p = p * (1 + np.mean(white**2, axis=0))
            p /= p.sum()
        mixture = fitted(nodes.points, p, mean, spread, seed, components=components, most=count)
        at = Proposal(space, phi, mixture, mean, factor)
    return at


def state_average(solution: NonlinearSolution, *, count: int = LAW_POINTS, seed: int = 0) -> StateAverage:
    """Weighted points of ``N(h|0, C[Φ]) exp(φᵀΦ̃φ)/Z``, by importance from a mixture that is fitted to them.

    Points, averages and derivatives are those of the distinct rows of Φ (`numerics.nonlinear.classes`).

    Args:
        solution: a state.
        count: number of points, in `LAW_PARTS` parts, each a power of 2.
        seed: of the points.
    """
    drawn = proposal(solution, seed)
    space, nodes = drawn.space, drawn.nodes(np.random.default_rng((seed, 1)), count, LAW_PARTS)
    vectors = symmetric_vectors(space.m)
    point = stationary_point(space, vectors, nodes, *kernels_of(solution, space), covariance=False)
    return StateAverage(space, nodes, point)


def _drawn(rng: np.random.Generator, mixture: Mixture, count: int) -> FloatArray:
    """Points of a mixture, (count, d), evenly spread: their averages err by less than those of independent ones."""
    unit, component = scrambled(rng, mixture.weight / mixture.weight.sum(), mixture.mean.shape[1], count)
    return mixture.placed(unit, component)
