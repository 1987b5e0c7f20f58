"""How far a mean over independent parts of a sample may be from the truth: in an entry, and in all of them at once."""

from __future__ import annotations

import numpy as np

from numerics.linalg import FloatArray

#: Share of samples in which no entry is farther off than told; draws that tell how far, and their seed.
COVERED, DRAWS, SEED = 0.95, 4000, 0
#: Entries whose spread is below this share of the largest one are not where the largest error is.
COMPETING = 0.5
#: Draws of entries that are worked on together.
TOGETHER = 1 << 20


def standard_error(parts: FloatArray) -> FloatArray:
    """Of the mean of independent values of equal weight, (n, …)."""
    return np.asarray(np.std(parts, axis=0, ddof=1) / np.sqrt(len(parts)))


def beyond_noise(bias: FloatArray, noise: FloatArray) -> FloatArray:
    """A bias, made smaller by the share of its square that its standard error explains (James & Stein)."""
    square = float(np.vdot(bias, bias))
    return bias * max(0.0, 1 - float(np.vdot(noise, noise)) / square) if square > 0 else bias


def largest_error(parts: FloatArray, bias: FloatArray | float = 0.0) -> float:
    """What the error of no entry of the mean exceeds in `COVERED` of samples.

    Errors are taken to be normal with the parts' covariance: random combinations of the parts' deviations have it,
    whatever correlates entries (Chernozhukov, Chetverikov & Kato, Ann. Statist. 41, 2786 (2013)). As few parts tell it,
    each draw is over the root of a χ² of as many degrees of freedom, for each direction in which entries spread alike
    (their participation ratio): of one entry that is Student's law.

    Args:
        parts: independent values of equal weight, (n, …).
        bias: of the mean, to be added.
    """
    n, rng = len(parts), np.random.default_rng(SEED)
    apart = (parts - parts.mean(axis=0)).reshape(n, -1) / np.sqrt(n * (n - 1))
    moved = np.broadcast_to(bias, parts.shape[1:]).ravel()
    size = np.hypot(np.linalg.norm(apart, axis=0), moved)
    kept = size > COMPETING * size.max()
    if not apart[:, kept].any():
        return float(np.abs(moved).max())
    apart, moved = apart[:, kept], moved[kept]
    gram = apart @ apart.T
    freedom = (n - 1) * np.trace(gram) ** 2 / np.vdot(gram, gram)
    drawn = rng.standard_normal((DRAWS, n)) * np.sqrt(freedom / rng.chisquare(freedom, (DRAWS, 1)))
    farthest = np.zeros(DRAWS)
    for first in range(0, len(moved), TOGETHER // DRAWS):
        part = slice(first, first + TOGETHER // DRAWS)
        np.maximum(farthest, np.abs(drawn @ apart[:, part] + moved[part]).max(axis=1), out=farthest)
    return float(np.quantile(farthest, COVERED))
