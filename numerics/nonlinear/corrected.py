"""The kernel of a sampled state with a smaller error: Newton's steps on many more points than it was found on.

A search needs all its points again in each of many iterations. From the state that it has found one step is enough,
``δx = -Σ ∂F(x)`` in both kernels ``x = (Φ̃, Φ)``, with Σ of docs/theory.md section 13, and points are used once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.linalg import FloatArray, SymmetricVectors, symmetric_vectors
from numerics.nonlinear.fluctuations import Fluctuations
from numerics.nonlinear.reduced import stationary_point
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.trajectories import POINTS, Proposal, kernels_of, proposal
from numerics.symmetry.trajectories import kept_classes, kept_entries

#: Parts of `POINTS` points of the first step; how many more in each further one; the most, and the most
#: multiplications.
FIRST, MORE, MOST, MOST_WORK = 8, 4, 128, 2e10


@dataclass(frozen=True, eq=False)
class Corrected:
    """A kernel, (nP, nP).

    Attributes:
        kernel: Φ.
        error: its standard error, from independent parts of the last step's points.
    """

    kernel: FloatArray
    error: FloatArray


def corrected(solution: NonlinearSolution, found: Fluctuations, target: float, *, seed: int = 0) -> Corrected:
    """The kernel of a state by steps on more and more points, until the norm of its error is below a target.

    Args:
        solution: a state by sampling.
        found: its fluctuations.
        target: norm of the error at which no more points are drawn; they are no more than `MOST` parts.
        seed: of the points.

    Raises:
        numpy.linalg.LinAlgError: a step leaves what has a covariance.
    """
    rng = np.random.default_rng((seed, 2))
    drawn = proposal(solution, rng, seed)
    space, vectors = drawn.space, symmetric_vectors(drawn.space.m)
    kernel, conjugate = kernels_of(solution, space)
    kept = kept_entries(space, vectors, kept_classes(space, drawn.phi, kernel))
    parts, most = FIRST, max(FIRST, min(MOST, int(MOST_WORK // (POINTS * space.m**2))))
    while True:
        steps = np.array([_step(drawn, rng, vectors, found, kernel, conjugate) for _ in range(parts)]) * kept
        mean, error = steps.mean(axis=0), steps.std(axis=0, ddof=1) / np.sqrt(parts)
        conjugate, kernel = conjugate + vectors.matrix(mean[0]), kernel + vectors.matrix(mean[1])
        spread = np.abs(space.classes.expand(vectors.matrix(error[1])))
        if np.linalg.norm(spread) <= target or parts == most:
            return Corrected(space.classes.expand(kernel), spread)
        parts = min(most, MORE * parts)


def _step(
    drawn: Proposal,
    rng: np.random.Generator,
    vectors: SymmetricVectors,
    found: Fluctuations,
    kernel: FloatArray,
    conjugate: FloatArray,
) -> FloatArray:
    """Newton's step in (Φ̃, Φ) on a part's points, (2, s)."""
    space: TrajectorySpace = drawn.space
    point = stationary_point(space, vectors, drawn.nodes(rng, POINTS), kernel, conjugate, covariance=False)
    gradient = np.concatenate([vectors.vec(kernel) - point.average.activity, point.gradient])
    return np.asarray((-found.loop.covariance @ gradient).reshape(2, -1))
