"""States of weak labels: the random network's kernel, exactly, and what labels change of it, from samples.

Φ of the random network is known by quadrature (``forward``). What labels change is the difference between two fixed
points on the same random numbers, with the labels and without: it vanishes with them, and so does its error, on any
sample. Where labels are so weak that the change is all to first order, few points tell it, from the random network's
own moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from numerics.linalg import FloatArray
from numerics.nonlinear.engine import Refined, State
from numerics.nonlinear.frames import Moments
from numerics.nonlinear.iteration import Iterate, MomentMap, explicit_conjugate
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.spread import largest_error

#: Energy of the random network's kernel up to which labels are weak; and below which the state, whose divergence from
#: the random network it bounds, is as stable as that is.
WEAK, NEGLIGIBLY_WEAK = 0.1, 1e-4
#: Samples; relative residual of their fixed points, and its share in the error.
SAMPLES, RESIDUAL, RESIDUAL_ERROR = 4, 1e-11, 1e-10
#: Points of a batch for a change to first order; repetitions of the map, the share of the change that they leave open,
#: and the relative change that is rounding.
FEW, REPEATED, LEFT, ROUNDED = 64, 60, 1e-3, 1e-11


def is_weak(space: TrajectorySpace, prior: FloatArray) -> bool:
    """Whether labels are weak at the random network's kernel."""
    return space.labels.duals(prior).energy < WEAK


def are_negligible(space: TrajectorySpace, prior: FloatArray) -> bool:
    """Whether the lowest state, by its F, is the random network's but for a change to first order."""
    return space.labels.duals(prior).energy < NEGLIGIBLY_WEAK


def random_moments(space: TrajectorySpace, prior: FloatArray) -> Moments:
    """Φ, mean and covariance of g of the random network."""
    return prior, np.zeros(space.d), space.covariance(prior)


def response(map_: MomentMap, prior: FloatArray) -> tuple[Iterate, int] | None:
    """The moments that labels make of the random network's, and in how many repetitions; None if these do not end.

    Without labels the exact map gives the random network's moments back. What a sample gives instead shows its error,
    which with labels is the same to first order and is taken off. Few repetitions are needed: the change passes from
    time to time.

    Raises:
        numpy.linalg.LinAlgError: a covariance is not positive-definite.
    """
    space, prior_moments = map_.space, random_moments(map_.space, prior)
    without = replace(map_, space=space.with_labels(0.0)).near(prior_moments)
    at = map_.near(prior_moments)
    x = start = at.frame.coordinates(*prior_moments)
    known, before = without(start)[0].after, prior
    for repeated in range(REPEATED):
        now = at(x)[0]
        shifts = zip(prior_moments, now.after, known, strict=True)
        kernel, mean, covariance = (moment + new - old for moment, new, old in shifts)
        # g's covariance follows that of the new Φ at once: repetition alone would swing, and more and more
        x, last = at.frame.coordinates(kernel, mean, covariance + space.changes(kernel - before)), x
        before = kernel
        if np.linalg.norm(x - last) <= max(LEFT * np.linalg.norm(x - start), ROUNDED * np.linalg.norm(start)):
            conjugate = explicit_conjugate(space, kernel, covariance + np.outer(mean, mean))
            entropy = 0.5 * float(np.vdot(space.labels.duals(kernel).conjugate, kernel - prior))  # dF = 0, integrated
            log_Z = float(np.vdot(conjugate, kernel)) - entropy
            found = (kernel, mean, covariance)
            return Iterate(*found, conjugate, found, now.counting, log_Z, now.batches), repeated + 1
    return None


def refined_by_response(space: TrajectorySpace, prior: FloatArray, states: Sequence[State]) -> Refined | None:
    """The mean of negligible changes on several samples; its error is their spread, as in `refined_by_change`."""
    point = replace(states[0].point, kernel=prior, entropy=0.0)
    random = replace(states[0], point=point, second=space.covariance(prior))
    return refined_by_change(space, prior, [(state, random) for state in states])


def refined_by_change(
    space: TrajectorySpace, prior: FloatArray, pairs: Sequence[tuple[State, State]]
) -> Refined | None:
    """The state as the random network's, and the mean change over samples.

    Its error is the spread of the samples, not that of their mean: twice as much, as they are few and have a bias.

    Args:
        space, prior: coordinates with the labels, the random network's kernel.
        pairs: fixed points of each sample, with the labels and without.

    Returns:
        It, taken to be stable; None where its kernel is not positive-definite.
    """
    changes = np.array([one.point.kernel - other.point.kernel for one, other in pairs])
    seconds = np.mean([one.second - other.second for one, other in pairs], axis=0)
    entropies = np.array([one.point.entropy - other.point.entropy for one, other in pairs])
    kernel, second = prior + changes.mean(axis=0), space.covariance(prior) + seconds
    try:
        conjugate = explicit_conjugate(space, kernel, second)
    except np.linalg.LinAlgError:
        return None
    energy, state = space.labels.duals(kernel).energy, pairs[0][0]
    point = replace(state.point, kernel=kernel, conjugate=conjugate, energy=energy, entropy=float(entropies.mean()))
    error = np.hypot(np.std(changes, axis=0, ddof=1), RESIDUAL_ERROR * np.abs(prior).max())
    spread = float(np.std(entropies, ddof=1))
    largest = max(largest_error(changes), float(error.max()))
    return Refined(replace(state, point=point, second=second), error, True, np.nan, spread, largest)
