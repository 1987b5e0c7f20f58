"""Tiny problems of every family of weight sharing, with skip, bias and two outputs, and their posterior by integration.

The reference draws weights from their definition: matrices of all times jointly Gaussian with covariance (w/N) M, M and
the biases' B written out here, by a root of M that is not the simulator's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numerics.inputs.problem import Problem

NAN = math.nan
ONES, SAME = np.ones((4, 4)), np.eye(4)
#: W^(1) and W^(3) are one matrix up to a factor, W^(2) is another of half the variance.
TIED = np.array([[1.0, 0.0, 1.2], [0.0, 0.5, 0.0], [1.2, 0.0, 1.44]])
TWO_OUTPUTS = np.array([[[NAN, 1.1], [NAN, NAN], [1.0, NAN], [-2.0, 1.5]]])
LOOPED = np.array([[1.0, 0, 1], [0, 1, 0], [1, 0, 1]])
DISTANCE = np.abs(np.arange(4)[:, None] - np.arange(4))

#: Fields of each problem beyond `tiny`'s, and its M and B.
CASES: dict[str, tuple[dict[str, Any], np.ndarray, np.ndarray]] = {
    "shared": ({"arch": "shared:0.5"}, 0.5 * ONES[1:, 1:] + 0.5 * SAME[1:, 1:], ONES),
    "drift": ({"arch": "drift:0.7"}, 0.7 ** DISTANCE[1:, 1:], ONES),
    "looped": ({"arch": "looped:2"}, LOOPED, ONES),
    "tied": ({"arch": TIED}, TIED, ONES),
    "skip": ({"arch": "rnn", "skip": 0.7}, ONES[1:, 1:], ONES),
    "bias": ({"arch": "dnn", "bias": 0.6}, SAME[1:, 1:], SAME),
    "one bias": ({"arch": "rnn", "bias": 0.6}, ONES[1:, 1:], ONES),
    "outputs": ({"arch": "dnn", "y": TWO_OUTPUTS}, SAME[1:, 1:], ONES),
    "all": (
        {"arch": "shared:0.5", "y": TWO_OUTPUTS, "skip": 0.4, "bias": 0.3},
        0.5 * ONES[1:, 1:] + 0.5 * SAME[1:, 1:],
        0.5 * ONES + 0.5 * SAME,
    ),
}


def tiny(case: str, **options: Any) -> Problem:
    """Four hidden times, one pattern, input at the first."""
    y = np.array([[NAN, 1.6, NAN, -2.4]])
    fields = {"activation": "tanh", "u": 1.2, "v": 0.9, "w": 1.3, "kappa": 0.7} | CASES[case][0] | options
    return Problem(np.array([[1.4]]), fields.pop("y", y), **fields)


def root(matrix: np.ndarray) -> np.ndarray:
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def prior_activity(case: str, N: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """φ(h), (draws, n, N), of independent networks."""
    problem, (_, M, B) = tiny(case), CASES[case]
    W = np.einsum("st,ktij->ksij", root(M), rng.standard_normal((draws, 3, N, N))) * math.sqrt(problem.w / N)
    b = np.einsum("st,kti->ksi", root(B), rng.standard_normal((draws, 4, N))) * math.sqrt(problem.bias)
    h = math.sqrt(problem.u) * problem.x[0, 0, 0] * rng.standard_normal((draws, N)) + b[:, 0]
    phi = [np.tanh(h)]
    for t in range(1, 4):
        h = problem.skip * h + np.einsum("kij,kj->ki", W[:, t - 1], phi[-1]) + b[:, t]
        phi.append(np.tanh(h))
    return np.stack(phi, axis=1)


def moments(kernel: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Kernel entries that no symmetry makes zero, squares of the others, and outputs, (…, 10 + O n)."""
    diagonal = np.diagonal(kernel, axis1=-2, axis2=-1)
    above = kernel[..., *np.triu_indices(4, 1)]
    return np.concatenate([diagonal, above**2, outputs], axis=-1)


def by_importance(case: str, N: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of `moments` and their standard errors, from prior draws weighted by the likelihood."""
    problem, rng = tiny(case), np.random.default_rng(98)
    phi = prior_activity(case, N, draws, rng)
    kernel = np.einsum("kti,ksi->kts", phi, phi) / N
    y = problem.y.reshape(4, -1).T
    logs, outputs = np.zeros(draws), []
    for labels in y:
        at = np.flatnonzero(~np.isnan(labels))
        covariance = problem.v * kernel[:, at][:, :, at] + problem.kappa * np.eye(len(at))
        solved = np.linalg.solve(covariance, np.broadcast_to(labels[at, None], (draws, len(at), 1)))[..., 0]
        logs += -0.5 * N * solved @ labels[at] - 0.5 * np.linalg.slogdet(covariance)[1]
        outputs.append(problem.v * np.einsum("kts,ks->kt", kernel[:, :, at], solved))
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    values = moments(kernel, np.concatenate(outputs, axis=1))
    mean = weight @ values
    return mean, np.sqrt(weight**2 @ (values - mean) ** 2)
