"""The exact law of the kernel at width N, endpoint supervision, T = 4: any correlation of the two W, any skip.

``P(H) ∝ exp(-N F(H)) (H^{33}+κ)^{-1/2} |H|^{-2}`` (docs/theory.md section 13), written out for one pattern in units u =
v = w = 1 and sampled by an ensemble of walkers (stretch moves: Goodman and Weare 2010).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from numerics.checking.agreement import FAMILY_LEVEL, judged
from numerics.linalg import FloatArray
from numerics.sampling.diagnostics import have_mixed

#: Walkers of each task, their steps, and the share that is thrown away at the start.
WALKERS, STEPS, DISCARDED = 120, 1500, 0.4
#: Largest stretch.
STRETCH = 2.0
#: Parts of a run whose means give its standard error.
PARTS = 6


@dataclass(frozen=True)
class NetworkLaw:
    """One network: its width, correlation ρ of W^(1) and W^(2), skip, signal and noise.

    ``sign`` restricts it to kernels whose H^{23} has this sign, 0 to none.
    """

    width: int
    rho: float
    skip: float
    signal: float
    kappa: float
    sign: int = 0


def log_density(coordinates: FloatArray, task: NetworkLaw | _Columns) -> FloatArray:
    """Log of the density in Cholesky coordinates, up to a constant, (…,) from (…, 6).

    ``H = LLᵀ``; coordinates ``ln L_11, ln L_22, ln L_33, L_21, L_31, L_32``.
    """
    l1, l2, l3, c21, c31, c32 = np.moveaxis(coordinates, -1, 0)
    d1, d2, d3 = np.exp(l1), np.exp(l2), np.exp(l3)
    h11, h12, h13 = d1 * d1, d1 * c21, d1 * c31
    h22, h23, h33 = c21 * c21 + d2 * d2, c21 * c31 + d2 * c32, c31 * c31 + c32 * c32 + d3 * d3
    a, rho = task.skip, task.rho
    # drives of times 2 and 3
    b22 = h22 - 2 * a * h12 + a * a * h11
    b23 = h23 - a * (h22 + h13) + a * a * h12
    b33 = h33 - 2 * a * h23 + a * a * h22
    forward = h11 * h22 - (rho * h12) ** 2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        trace = h11 + (b22 * h22 - 2 * b23 * rho * h12 + b33 * h11) / forward
        logs = 2 * (l1 + l2 + l3)
        F = 0.5 * (task.signal / (h33 + task.kappa) + trace - 3 - logs + np.log(forward))
        # dH = 8 L_11³L_22²L_33 dL, and one more power each for the logarithms
        volume = 4 * l1 + 3 * l2 + 2 * l3
        value = -task.width * F - 0.5 * np.log(h33 + task.kappa) - 2 * logs + volume
    allowed = np.isfinite(value) & (h23 * task.sign >= 0)
    return np.where(allowed, value, -np.inf)


@dataclass(frozen=True)
class _Columns:
    """Several tasks, each field (tasks, 1)."""

    width: FloatArray
    rho: FloatArray
    skip: FloatArray
    signal: FloatArray
    kappa: FloatArray
    sign: FloatArray


def coherence(coordinates: FloatArray) -> FloatArray:
    """``H^{23}/√(H^{22}H^{33})``."""
    _, l2, l3, c21, c31, c32 = np.moveaxis(coordinates, -1, 0)
    d2, d3 = np.exp(l2), np.exp(l3)
    return np.asarray((c21 * c31 + d2 * c32) / np.sqrt((c21**2 + d2**2) * (c31**2 + c32**2 + d3**2)))


def mean_coherence(
    tasks: Sequence[NetworkLaw], kernels: Sequence[FloatArray], power: int, seed: int, steps: int = STEPS
) -> tuple[FloatArray, FloatArray]:
    """Means over the law of the coherence of the last two times, or of its square, with standard errors, (tasks,).

    Args:
        tasks: one law each.
        kernels: where the walkers start, (3, 3) each: the minimum of F.
        power: 1 or 2.
        seed: of the walkers.
        steps: of each walker.
    """
    rng = np.random.default_rng(seed)
    columns = _Columns(**{
        name: np.array([[getattr(task, name)] for task in tasks], dtype=np.float64)
        for name in ("width", "rho", "skip", "signal", "kappa", "sign")
    })  # fmt: skip
    walkers = _started(rng, tasks, kernels)
    values = log_density(walkers, columns)
    kept = []
    half = WALKERS // 2
    first = int(DISCARDED * steps)
    for step in range(steps):
        for mine, others in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
            partner = walkers[:, others][:, rng.integers(half, size=half)]
            stretch = (1 + (STRETCH - 1) * rng.random((len(tasks), half))) ** 2 / STRETCH
            proposed = partner + stretch[..., None] * (walkers[:, mine] - partner)
            new = log_density(proposed, columns)
            accepted = np.log(rng.random(new.shape)) < 5 * np.log(stretch) + new - values[:, mine]
            walkers[:, mine] = np.where(accepted[..., None], proposed, walkers[:, mine])
            values[:, mine] = np.where(accepted, new, values[:, mine])
        if step >= first:
            kept.append((coherence(walkers) ** power).mean(axis=1))
    parts = np.array([part.mean(axis=0) for part in np.array_split(np.array(kept), PARTS)])
    return parts.mean(axis=0), parts.std(axis=0, ddof=1) / np.sqrt(PARTS)


def beside_law(
    runs: Sequence[Mapping[str, Any]], value: str, tasks: Sequence[NetworkLaw], kernels: Sequence[FloatArray],
    power: int, seed: int, steps: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Each network's numbers beside the law's mean: its own, ``law``, ``law_error``, ``largest_z`` of `value` and
    ``verdict``, by a limit for all networks together and whether the chains have mixed.

    The other arguments are those of `mean_coherence`.
    """
    limit = float(norm.isf(FAMILY_LEVEL / 2 / len(runs)))
    rows = []
    for run, mean, error in zip(runs, *mean_coherence(tasks, kernels, power, seed, steps), strict=True):
        z = float(abs(run[value] - mean) / np.hypot(run["standard_error"], error))
        verdict = judged(z < limit, have_mixed(run["rhat"], run["ess"]))
        rows.append({"law": float(mean), "law_error": float(error), **run, "largest_z": z, "verdict": verdict})
    return rows


def _started(rng: np.random.Generator, tasks: Sequence[NetworkLaw], kernels: Sequence[FloatArray]) -> FloatArray:
    """Walkers around the minimum, (tasks, WALKERS, 6), half of them with the other sign where both are allowed."""
    walkers = np.empty((len(tasks), WALKERS, 6))
    for k, (task, kernel) in enumerate(zip(tasks, kernels, strict=True)):
        L = np.linalg.cholesky(kernel)
        centre = np.array([*np.log(np.diag(L)), L[1, 0], L[2, 0], L[2, 1]])
        spread = np.array([1.0, 1.0, 1.0, L[1, 1], L[2, 2], L[2, 2]]) / np.sqrt(task.width)
        walkers[k] = centre + spread * rng.normal(size=(WALKERS, 6))
        if task.sign:
            wrong = coherence(walkers[k]) * task.sign <= 0
            walkers[k, wrong] = centre + 1e-3 * spread * rng.normal(size=(int(wrong.sum()), 6))
        elif task.skip == 0:
            walkers[k, ::2, [3, 5]] *= -1  # W -> -W
    return walkers
