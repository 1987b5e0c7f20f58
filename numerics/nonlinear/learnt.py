"""Laws of one neuron's trajectory that fit the labels, from which the minima on the learnt side are looked for.

Far above what the random network would give, a label is reached by growth at every time, from one to the next by one
factor, so that the last has the size of the label. Neurons grow along one pattern of signs, that of the labels, with
all times together (coherent), with those of one remainder modulo a lag, or each time for itself (incoherent).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from numerics.linalg import FloatArray
from numerics.nonlinear.space import TrajectorySpace
from numerics.symmetry.trajectories import mirror

#: Size of the last time's activity, in labels over √v: what saturates needs less, what is cut at 0 more.
SHARES = (1.0, 0.3)
#: Longest lag at which times are correlated.
LONGEST_LAG = 3


def learnt_covariances(space: TrajectorySpace, prior: FloatArray, *, few: bool) -> Iterator[FloatArray]:
    """Covariances of g, (d, d), the likeliest to lead to the lowest state first.

    Args:
        space: coordinates and labels.
        prior: covariance of the random network's g, (d, d).
        few: the first share of all labels only, coherent and incoherent.
    """
    n, rnn = space.problem.n, space.problem.arch == "rnn"
    lags = [1, n] if few else [1, n, *range(2, min(LONGEST_LAG, n - 1) + 1)]
    # a mode of a lag needs matrices at that lag which are correlated
    lags = [lag for lag in lags if lag == n or rnn or np.diagonal(space.problem.sharing, lag).any()]
    turns = 1 in lags and not few  # W → -W makes another start, unless it is a symmetry, as for odd φ and one label
    several, turns_all = turns and len(_times(space)) > 1, turns and mirror(space, space.problem.activation) is None
    for share in SHARES[: 1 if few else None]:
        for number, subset in enumerate(_subsets(space)[: 1 if few else None]):
            growth = np.stack([_growth(space, prior, share, y) for y in subset], axis=1)  # of each output
            for lag in lags:
                yield prior + growth @ growth.T * _of_lag(space, lag)
            if several or (turns_all and number == 0):
                # neurons that are for one pattern at one time are for another, of the other sign, at the next
                turned = growth * np.where(space.times % 2, -1.0, 1.0)[:, None]
                yield prior + turned @ turned.T


def _subsets(space: TrajectorySpace) -> list[FloatArray]:
    """Labels to fit, (O, P, n) with NaN for others: all; of several, those of each time, pattern and output."""
    problem = space.problem
    y = np.moveaxis(problem.y.reshape(problem.P, problem.n, -1), -1, 0)
    subsets = [y]
    for axis in (2, 1, 0):
        index = np.arange(y.shape[axis]).reshape(*np.where(np.arange(3) == axis, -1, 1))
        labelled = np.unique(np.nonzero(~np.isnan(y))[axis])
        subsets += [np.where(index == k, y, np.nan) for k in labelled if len(labelled) > 1]
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


def _of_lag(space: TrajectorySpace, lag: int) -> FloatArray:
    """1 where two coordinates' times differ by a multiple of a lag, (d, d)."""
    return np.where((space.times[:, None] - space.times) % lag == 0, 1.0, 0.0)


def _times(space: TrajectorySpace) -> NDArray[np.intp]:
    """The supervised times, from 0."""
    return np.unique(np.concatenate([at for at, _ in space.problem.targets]) // space.problem.P)
