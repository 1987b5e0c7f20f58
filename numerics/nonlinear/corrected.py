"""A sampled state with a smaller error: Newton's steps on many more points than it was found on.

A search needs all its points again in each of many iterations. Near the state that it has found few steps are enough,
``δx = -Σ ∂F(x)`` in both kernels ``x = (Φ̃, Φ)``, with Σ of docs/theory.md section 13, and points are used once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numerics.linalg import FloatArray, SymmetricVectors, symmetric_vectors
from numerics.nonlinear.reduced import ReducedPoint, stationary_point
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.spread import largest_error
from numerics.nonlinear.symmetries import kept_classes, kept_entries
from numerics.nonlinear.trajectories import kernels_of, proposal

#: Independent parts of a step's points; points of a part in the first step, how many more in each further one, the
#: most, and the most multiplications.
PARTS, FIRST, MORE, MOST, MOST_WORK = 32, 1 << 14, 4, 1 << 19, 2e10
#: Steps at most; length of one, over the norm of its error, below which it is noise.
STEPS, NOISE = 8, 3.0


def corrected(
    solution: NonlinearSolution, covariance: FloatArray, target: float, *, seed: int = 0
) -> NonlinearSolution:
    """A state after Newton's steps on more and more points, until the norm of its kernel's error is below a target.

    F is taken where the last step starts, since it is stationary; errors are of the means over the step's parts.

    Args:
        solution: a state by sampling.
        covariance: Σ there, (2s, 2s).
        target: norm of the error at which no more points are drawn; a part has `MOST` at most.
        seed: of the points.

    Raises:
        numpy.linalg.LinAlgError: a step leads to kernels under which the trajectory has no covariance.
    """
    rng = np.random.default_rng((seed, 2))
    drawn = proposal(solution, seed)
    space, vectors = drawn.space, symmetric_vectors(drawn.space.m)
    kernel, conjugate = kernels_of(solution, space)
    kept = kept_entries(space, vectors, kept_classes(space, drawn.phi, kernel))
    count, most = FIRST, min(MOST, 1 << max(0, int(MOST_WORK // (PARTS * space.m**2)).bit_length() - 1))
    count = min(count, most)
    for _ in range(STEPS):
        points = [
            stationary_point(space, vectors, drawn.nodes(rng, count), kernel, conjugate, covariance=False)
            for _ in range(PARTS)
        ]
        steps = np.array([_step(vectors, point, covariance) for point in points]) * kept
        mean, error = steps.mean(axis=0), steps.std(axis=0, ddof=1) / np.sqrt(PARTS)
        conjugate, kernel = conjugate + vectors.matrix(mean[0]), kernel + vectors.matrix(mean[1])
        spread = np.abs(space.classes.expand(vectors.matrix(error[1])))
        moved = np.linalg.norm(space.classes.expand(vectors.matrix(mean[1])))
        if moved > NOISE * np.linalg.norm(spread):  # a share of it is left, as Σ is that of where the steps began
            continue
        if count == most or np.linalg.norm(spread) <= target:
            break
        count = min(MORE * count, most)
    entropy = np.array([point.entropy for point in points])
    return replace(
        solution,
        kernel=space.classes.expand(kernel),
        conjugate=space.classes.shared(conjugate),
        kernel_error=spread,
        largest_error=largest_error(np.array([space.classes.expand(vectors.matrix(step[1])) for step in steps])),
        free_energy=points[0].energy + float(entropy.mean()),
        energy=points[0].energy,
        entropy=float(entropy.mean()),
        free_energy_error=float(entropy.std(ddof=1)) / np.sqrt(PARTS),
        points=PARTS * len(points[0].average.probability),
        effective_points=float(sum(point.average.effective_size for point in points)),
    )


def _step(vectors: SymmetricVectors, point: ReducedPoint, covariance: FloatArray) -> FloatArray:
    """Newton's step in (Φ̃, Φ) on a part's points, (2, s)."""
    gradient = np.concatenate([vectors.vec(point.kernel) - point.average.activity, point.gradient])
    return np.asarray((-covariance @ gradient).reshape(2, -1))
