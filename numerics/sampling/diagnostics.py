"""How well the chains have sampled: effective sample size, R-hat, standard errors (ArviZ's statistics)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from numerics.linalg import FloatArray

#: Chains have mixed when their largest R-hat and smallest effective sample size are within these.
RHAT_LIMIT = 1.05
ESS_LIMIT = 100.0


def have_mixed(rhat: float, ess: float) -> bool:
    """Whether R-hat and effective sample size are good enough to believe means and standard errors."""
    return bool(rhat <= RHAT_LIMIT and ess >= ESS_LIMIT)


@dataclass(frozen=True, eq=False)
class Summary:
    """Mean of a quantity over all chains, with what is known about its precision.

    Attributes:
        mean, sd: over all draws of all chains; the quantity's own shape.
        ess: effective sample size for the mean, autocorrelation and disagreement of chains included.
        standard_error: of the mean, sd/√ess.
        rhat: rank-normalised split R-hat (Vehtari et al. 2021).
    """

    mean: FloatArray
    sd: FloatArray
    ess: FloatArray
    standard_error: FloatArray
    rhat: FloatArray


def summarise(series: FloatArray) -> Summary:
    """Summary of a series, (chains, draws, …).

    A quantity that never changes (a kernel entry that the task fixes) counts as perfectly known.
    """
    from arviz_stats.base import array_stats

    chains, draws = series.shape[:2]
    flat = series.reshape(chains, draws, -1)
    mean, sd = flat.mean(axis=(0, 1)), flat.std(axis=(0, 1), ddof=1)
    moving = np.flatnonzero(sd > 1e-10 * np.maximum(np.abs(mean), np.finfo(float).tiny))
    ess, rhat = np.full(flat.shape[2], float(chains * draws)), np.ones(flat.shape[2])
    for entry in moving:
        values = flat[:, :, entry]
        if math.isclose(float(np.ptp(values, axis=1).min()), 0.0):  # a chain that stands still has explored nothing
            ess[entry], rhat[entry] = 1.0, math.inf
            continue
        ess[entry] = array_stats.ess(values, method="mean")
        # A single chain is compared with itself: its halves stand for two.
        halves = values if chains > 1 else values[:, : 2 * (draws // 2)].reshape(2, -1)
        rhat[entry] = array_stats.rhat(halves, method="rank")
    shape = series.shape[2:]
    error = np.where(np.isin(np.arange(len(sd)), moving), sd / np.sqrt(ess), 0.0)
    return Summary(*(part.reshape(shape) for part in (mean, sd, ess, error, rhat)))


def summarise_symmetric(series: FloatArray) -> Summary:
    """`summarise` for symmetric matrices, (chains, draws, d, d): each independent entry is looked at once."""
    d = series.shape[2]
    rows, columns = np.triu_indices(d)
    upper = summarise(series[:, :, rows, columns])

    def full(values: FloatArray) -> FloatArray:
        matrix = np.empty((d, d))
        matrix[rows, columns] = matrix[columns, rows] = values
        return matrix

    return Summary(full(upper.mean), full(upper.sd), full(upper.ess), full(upper.standard_error), full(upper.rhat))
