"""Averages over one group of a trajectory (``groups``) on a sample, whose points move with the state.

In many dimensions the noise of ``⟨ggᵀ⟩`` is what moves a state most, as the conditions ask for the small difference of
``⟨ggᵀ⟩`` and ``C``. There it is taken by scores, Stein's control variates: for a Gaussian law they leave no noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.sample import BATCHES, Sample

#: Points worked on together.
CHUNK = 1024
#: Dimensions of a group, or rows of Φ, beyond which they are large: weighted points say too little of a law, so that
#: descents are Gaussian; second moments are taken by scores (odd φ); parts of a sample have no states of their own.
LARGE = 25


class Averaged(NamedTuple):
    """What a sample makes of a law.

    Attributes:
        kernel, activity, mean, second: averages of ``φφᵀ`` (m, m), φ (m,), g (d,) and ``ggᵀ`` (d, d).
        log_Z: ``ln Z``.
        batches: of each batch, the mean of the weights, relative to that of all, (BATCHES,).
        counting: share of the points that count, ``1/(K Σ p²)``.
    """

    kernel: FloatArray
    activity: FloatArray
    mean: FloatArray
    second: FloatArray
    log_Z: float
    batches: FloatArray
    counting: float


@dataclass(frozen=True, eq=False)
class GroupLaw:
    """``N(g|0, C) exp(φᵀΦ̃φ)`` of a group, at points ``g = μ + L z``.

    Attributes:
        embedding: E, (m, d).
        mean, factor: μ and L, lower triangular.
        C: (d, d).
        tilt: Φ̃, (m, m).
    """

    embedding: FloatArray
    mean: FloatArray
    factor: FloatArray
    C: FloatArray
    tilt: FloatArray


@recorded
def averaged(sample: Sample, phi: Activation, law: GroupLaw) -> Averaged:
    """The averages on a sample.

    Raises:
        numpy.linalg.LinAlgError: C is not positive-definite.
    """
    L, mean = law.factor, law.mean
    out, shift = L.T @ law.embedding.T, law.embedding @ mean
    factor = sla.cholesky(law.C, lower=True)
    white = sla.solve_triangular(factor, L, lower=True).T
    offset = sla.solve_triangular(factor, mean, lower=True)
    precision, at_once = white @ white.T, phi.at_once if phi.odd and len(L) > LARGE else None
    sums: list[Any] = []
    top = -np.inf
    for start in range(0, len(sample.z), CHUNK):
        part = slice(start, start + CHUNK)
        z = sample.z[part]
        h = z @ out + shift
        activity, *slopes = at_once(h) if at_once else (phi.value(h),)
        tilted = activity @ law.tilt
        log_p = np.einsum("ki,ki->k", tilted, activity) - sample.log_q[part]
        if slopes:  # the mean is 0
            pulled = z @ precision
            log_p -= 0.5 * np.einsum("ki,ki->k", pulled, z)
        else:
            whitened = z @ white + offset
            log_p -= 0.5 * np.einsum("ki,ki->k", whitened, whitened)
        before, top = top, max(top, float(log_p.max()))
        scale, p = np.exp(before - top), np.exp(log_p - top)
        root = np.sqrt(p)[:, None]
        heavy, placed = root * activity, root * z
        new = [
            np.bincount(sample.batch[part], p, BATCHES),
            float(np.vdot(p, p)),
            heavy.T @ heavy,
            p @ activity,
            p @ z,
            placed.T @ placed,
        ]
        if slopes:
            steep = root * slopes[0]
            score = (2 * tilted * steep) @ out.T - root * pulled
            new += [placed.T @ score, score.T @ score, steep.T @ steep, p @ (tilted * slopes[1])]
        scales = (scale, scale**2, *[scale] * (len(new) - 2))
        sums = [n + s * o for n, s, o in zip(new, scales, sums, strict=True)] if sums else new
    logs = np.log(np.diagonal(L)).sum() - np.log(np.diagonal(factor)).sum() - 0.5 * len(L) * np.log(2 * np.pi)
    batches, squares, kernel, of_activity, first, second, *of_scores = sums
    Z, sizes = batches.sum(), np.bincount(sample.batch, minlength=BATCHES)
    second = second / Z
    if of_scores:
        second = _controlled(second, [each / Z for each in of_scores], out, precision, law.tilt)
    step = L @ (first / Z)
    crossed = np.outer(step, mean)
    return Averaged(
        kernel / Z,
        of_activity / Z,
        mean + step,
        L @ second @ L.T + crossed + crossed.T + np.outer(mean, mean),
        float(np.log(Z / sizes.sum()) + top + logs),
        batches / np.maximum(sizes, 1) / (Z / sizes.sum()),
        float(Z**2 / (squares * sizes.sum())),
    )


def _controlled(
    second: FloatArray, of_scores: list[FloatArray], out: FloatArray, precision: FloatArray, tilt: FloatArray
) -> FloatArray:
    """``⟨zzᵀ⟩`` of smaller variance (docs/theory.md section 4), from averages of zzᵀ, zsᵀ, ssᵀ, φ' and φ''."""
    crossed, squared, slopes, bends = of_scores
    information = precision - 2 * out @ (tilt * slopes + np.diag(bends)) @ out.T  # -⟨∇² ln q⟩
    B = np.linalg.inv(information)
    return symmetric(second + 2 * crossed @ B + B @ squared @ B + B)
