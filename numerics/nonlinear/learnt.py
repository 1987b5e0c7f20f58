"""Laws of one neuron's trajectory that fit the labels, from which the minima on the learnt side are looked for.

Far above what the random network would give, a label is reached by growth at every time, from one to the next by one
factor, so that the last has the size of the label. Neurons grow along one pattern of signs, that of the labels, each
time for itself (incoherent), or all times together, along a direction that turns by one angle at each step: by 0
(coherent), by π (neurons that are for one pattern at one time are for another, of the other sign, at the next), or
between. A coordinate of a direction that turns comes back after several times: coherence at longer lags.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from numerics.linalg import FloatArray
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import mirror

#: Size of the last time's activity, in labels over √v: what saturates needs less, what is cut at 0 more.
SHARES = (1.0, 0.3)
#: Labelled times, patterns or outputs up to which each is fitted alone too.
MOST_PARTS = 4
#: Angles, over π, by which a direction turns at each step, with the fewest steps at which each is a way of its own.
ANGLES = {0.0: 1, 1.0: 1, 1 / 2: 2, 1 / 3: 3}


def learnt_covariances(space: TrajectorySpace, prior: FloatArray, *, few: bool) -> Iterator[FloatArray]:
    """Covariances of g, (d, d), the likeliest to lead to the lowest state first.

    Args:
        space: coordinates and labels.
        prior: covariance of the random network's g, (d, d).
        few: the first share of all labels only, coherent and incoherent.
    """
    ways = _ways(space)
    whole, *parts = _subsets(space)
    starts = [(share, whole, ways) for share in SHARES] + [(SHARES[0], part, ways[:2]) for part in parts]
    for share, subset, along in [(SHARES[0], whole, ways[:2])] if few else starts:
        growth = np.stack([_growth(space, prior, share, y) for y in subset], axis=1)  # of each output
        for way in along:
            yield prior + growth @ growth.T * way


def _ways(space: TrajectorySpace) -> list[FloatArray]:
    """What correlates of a growth, (d, d) each: coherent where matrices are correlated, incoherent, then turning."""
    n, sharing = space.problem.n, space.problem.sharing
    between = space.times[:, None] - space.times
    apart = np.where(between == 0, 1.0, 0.0)
    step = 1 if space.problem.arch == "rnn" else next((k for k in range(1, n) if np.diagonal(sharing, k).any()), n)
    if step == n:
        return [apart]
    ways = [
        np.where(between % step == 0, np.cos(angle * np.pi * between / step), 0.0)
        for angle, fewest in ANGLES.items()
        # W -> -W makes another start of a turn by π, unless it is a symmetry
        if (n - 1) // step >= fewest and not (angle == 1.0 and mirror(space, space.problem.activation) is not None)
    ]
    return [ways[0], apart, *ways[1:]]


def _subsets(space: TrajectorySpace) -> list[FloatArray]:
    """Labels to fit, (O, P, n) with NaN for others: all; of a few, those of each time, pattern and output."""
    problem = space.problem
    y = np.moveaxis(problem.y.reshape(problem.P, problem.n, -1), -1, 0)
    subsets = [y]
    for axis in (2, 1, 0):
        index = np.arange(y.shape[axis]).reshape(*np.where(np.arange(3) == axis, -1, 1))
        labelled = np.unique(np.nonzero(~np.isnan(y))[axis])
        subsets += [np.where(index == k, y, np.nan) for k in labelled if 1 < len(labelled) <= MOST_PARTS]
    return subsets


def _growth(space: TrajectorySpace, prior: FloatArray, share: float, y: FloatArray) -> FloatArray:
    """The common part of neurons' activity, (d,): from the inputs' size to that of each next label in y, (P, n)."""
    P, n = space.problem.P, space.problem.n
    row, factors = space.classes.row.reshape(n, P), space.classes.factor.reshape(n, P)
    sizes = np.sqrt(np.diagonal(space.embedding @ prior @ space.embedding.T))
    size = np.where(row >= 0, np.abs(factors) * sizes[row], 0.0)
    grown = np.zeros((n, P))
    for p in range(P):
        known = np.flatnonzero(~np.isnan(y[p]) & (y[p] != 0))
        for t in range(n if len(known) else 0):
            s = known[known >= t][0] if (known >= t).any() else known[-1]
            factor = max(share * abs(y[p, s]) / np.sqrt(space.problem.v) / size[s, p], 1.0)
            grown[t, p] = np.sign(y[p, s]) * size[t, p] * factor ** ((t + 1) / (s + 1))
    rows, there = np.zeros(space.m), row >= 0  # a row that patterns share grows with their mean
    np.add.at(rows, row[there], (factors * grown)[there])
    rows /= np.maximum(np.bincount(row[there], minlength=space.m), 1)
    return np.asarray(space.inverse_embedding @ rows)
