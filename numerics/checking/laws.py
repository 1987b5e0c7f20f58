"""The law of one neuron's trajectory in a state of the theory, at which sampled chains may start."""

from __future__ import annotations

from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.trajectories import state_average
from numerics.results.solution import Solution
from numerics.sampling.trajectories import GaussianLaw, TrajectoryLaw, WeightedLaw


def law_of(state: Solution) -> TrajectoryLaw:
    """``N(0, H)`` of a linear network; ``N(h|0, C) exp(φᵀΦ̃φ)/Z`` of a nonlinear one, as weighted points."""
    if not isinstance(state, NonlinearSolution):
        return GaussianLaw(state.kernel)
    at = state_average(state)
    rows = at.nodes.points @ at.space.embedding.T
    return WeightedLaw(at.space.classes.expand_rows(rows), at.point.average.probability)
