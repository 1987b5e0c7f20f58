"""Control variates: quantities whose posterior mean is zero exactly, which take most of the noise out of a mean kernel.

For any vector field v, ``∇·v - v·∇𝒰`` has mean zero under ``exp(-𝒰)`` (integrate a divergence). With the columns
``X = [U, G]`` that the collapsed sampler moves, (N, d), and the fields that add column i to column j,

    c_ij = N δ_ij - X_i · (X_j + ∂L/∂X_j).

The kernel's fluctuations around its mean are small at large N, and to first order in them the c_ij are linear functions
of the kernel's entries, as many as there are. Regression on them leaves the second order: the error of a mean over n
draws falls from O(1/√(N n)) to O(1/(N √n)), which resolves a shift of the mean of order 1/N at any width
(Assaraf & Caffarel 1999; Mira, Solgi & Imparato 2013).
"""

from __future__ import annotations

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.sampling.collapsed import Seen, potential
from numerics.sampling.diagnostics import Summary, summarise
from numerics.sampling.network import Network


def number_of_columns(network: Network) -> int:
    """d, the number of columns of X."""
    return network.columns + (network.problem.n - 1) * network.problem.P


def flips(problem: Problem) -> FloatArray:
    """Factors by which W → -W, where it is a symmetry, multiplies the c_ij, (d, d)."""
    signs = np.concatenate([np.ones(problem.D), np.repeat((-1.0) ** np.arange(1, problem.n), problem.P)])
    return np.outer(signs, signs)


def controls(network: Network, seen: Seen) -> FloatArray:
    """``c_ij``, (d, d), for one draw of the collapsed sampler."""
    _, slope = potential(network, seen)
    X, S = (np.concatenate([part.U, *part.G], axis=1).astype(np.float64) for part in (seen, slope))
    return network.width * np.eye(X.shape[1]) - X.T @ (X + S)


def controlled(series: FloatArray, variates: FloatArray) -> Summary:
    """Mean of a series with what a linear regression on control variates explains taken out.

    The slopes that are used on a chain are fitted to the other chains (with a single chain, to its other half): slopes
    fitted to the same draws would correlate with them and bias the mean. Means and errors are those of the residuals,
    autocorrelation included.

    Args:
        series: (chains, draws, …).
        variates: of mean zero, (chains, draws, …).

    Raises:
        InputError: fewer than ten draws for each variate.
    """
    chains, draws = series.shape[:2]
    moving = variates.reshape(chains, draws, -1)
    moving = moving[..., moving.std(axis=(0, 1)) > 0]
    if chains * draws < 10 * moving.shape[2]:
        raise InputError(f"draws: are {chains * draws}; accepted: at least ten for each of {moving.shape[2]} variates")
    values = series.reshape(chains, draws, -1)
    parts = chains if chains > 1 else 2
    folds = np.repeat(np.arange(chains), draws) if chains > 1 else np.arange(draws) * parts // draws
    design = np.concatenate(
        [np.ones((chains * draws, 1)), (moving / moving.std(axis=(0, 1))).reshape(len(folds), -1)], 1
    )
    flat = values.reshape(len(folds), -1)
    rest = np.empty_like(flat)
    for part in range(parts):
        own = folds == part
        slopes = np.linalg.lstsq(design[~own], flat[~own], rcond=None)[0]
        rest[own] = flat[own] - design[own, 1:] @ slopes[1:]
    return summarise(rest.reshape(series.shape))
