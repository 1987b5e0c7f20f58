"""States of weak labels: the random network's kernel, exactly, and what labels change of it, from samples.

Φ of the random network is known by quadrature (``forward``). What labels change is the difference between two fixed
points on the same random numbers, with the labels and without: it vanishes with them, and so does its error, on any
sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from numerics.linalg import FloatArray
from numerics.nonlinear.engine import Refined, State
from numerics.nonlinear.iteration import explicit_conjugate
from numerics.nonlinear.space import TrajectorySpace

#: Energy of the random network's kernel up to which labels are weak; and below which the state, whose divergence from
#: the random network it bounds, is as stable as that is.
WEAK, NEGLIGIBLE = 0.1, 1e-4
#: Samples; relative residual of their fixed points, and its share in the error.
SAMPLES, RESIDUAL, ROUNDING = 4, 1e-11, 1e-10


def is_weak(space: TrajectorySpace, prior: FloatArray) -> bool:
    """Whether labels are weak at the random network's kernel."""
    return space.labels.duals(prior).energy < WEAK


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
    error = np.hypot(np.std(changes, axis=0, ddof=1), ROUNDING * np.abs(prior).max())
    spread = float(np.std(entropies, ddof=1))
    return Refined(replace(state, point=point, second=second), error, True, np.nan, spread)
