"""What the interactive figure needs to know of endpoint supervision: every branch that is stable somewhere, T = 4 … 8.

Label and noise enter stationarity only through ``μ = λ/(H^{nn} + κ)²``, so that a branch is one curve of kernels for
all (λ, κ) (``numerics.endpoint_task.branches``). At a point of it the Hessian of F is that of the entropy, ``A``, plus
``c ℓℓᵀ`` with ``c = μ/(H^{nn} + κ)`` and ℓ the change of H^{nn}. The state is thus a minimum where c exceeds the
``threshold``: 0 if A is positive-definite; ``-1/(ℓᵀA⁻¹ℓ)`` if that is positive and A has one negative eigenvalue (the
determinant is ``|A|(1 + c ℓᵀA⁻¹ℓ)``); else none. The page computes the rest from these numbers.

Where times correlate at multiples of a lag g only, ``W → e^{iπ/g} W`` reverses the sign at odd multiples and leaves
F as it is. For odd g this is ``W → -W``; for even g no real W has that phase: the two signs are different states, which
differ in stability (the Hessian along other lags), and each is a branch here.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.endpoint_task.branches import Curve, all_curves
from numerics.endpoint_task.crossings import interpolate
from numerics.endpoint_task.factorised import factorise
from numerics.linalg import FloatArray, from_vector, to_vector

HORIZONS = (4, 5, 6, 7, 8)
#: Ends of the sliders.
SLIDER_SIGNAL, LARGEST_NOISE = 100.0, 5.0
#: Points of the page's curves for each traced one.
REFINEMENT = 5
#: Stands for "no noise makes it stable".
NEVER = 1e30


@dataclass(frozen=True, eq=False)
class GridBranch:
    """One coherent branch of the RNN on a fine grid, up to ``W → -W``.

    Attributes:
        lag: times correlate at multiples of this lag only.
        log_mu: ``ln μ``, (G,).
        threshold: the state is stable where ``μ/(H^{nn} + κ)`` exceeds it, (G,).
        entropy: (G,).
        kernel: independent entries of H, row by row, (G, n(n+1)/2).
    """

    lag: int
    log_mu: FloatArray
    threshold: FloatArray
    entropy: FloatArray
    kernel: FloatArray


def interactive_data() -> dict[str, Any]:
    """Slider ranges and branches as plain JSON; arrays are float32 in base64, ``columns`` values for each point."""
    return {
        "largest_signal": SLIDER_SIGNAL,
        "largest_noise": LARGEST_NOISE,
        "branches": {str(T): [_packed(branch) for branch in branches(T)] for T in HORIZONS},
    }


def branches(T: int) -> list[GridBranch]:
    """Every coherent branch for which some point is stable at some noise within the slider's range."""
    found = []
    for curve in all_curves(T - 1, 1.01 * SLIDER_SIGNAL):  # beyond the slider's end, whatever the rounding
        branch = _refined(curve)
        with np.errstate(over="ignore"):
            stable = np.exp(branch.log_mu) > branch.threshold * branch.kernel[:, -1]  # at κ = 0: c is largest
        if stable.any():
            found.append(branch)
    return found


def _refined(curve: Curve) -> GridBranch:
    """The curve on a finer grid, with the threshold of stability at each point."""
    n = curve.n
    steps = np.arange(REFINEMENT) / REFINEMENT
    s = np.append((curve.s[:-1, None] + np.diff(curve.s)[:, None] * steps).ravel(), curve.s[-1])
    entries = _positive(interpolate(curve).kernels(s).T, curve.lag, n)
    log_mu = interpolate(curve).log_signal(s, 0.0)[0] - 2 * np.log(entries[:, -1])
    rows, columns = np.triu_indices(n)
    H = np.zeros((s.size, n, n))
    H[:, rows, columns] = H[:, columns, rows] = entries
    here = factorise(np.asarray(np.linalg.cholesky(H)))
    A = to_vector(here.curvature(from_vector(np.eye(n * (n + 1) // 2), n)[None]))
    return GridBranch(
        curve.lag, log_mu, _thresholds(0.5 * (A + np.swapaxes(A, 1, 2)), to_vector(here.label)), here.entropy(), entries
    )


def _positive(entries: FloatArray, lag: int, n: int) -> FloatArray:
    """The branch in the sign that the page shows: last times correlate positively. W → -W reverses an odd lag's."""
    rows, columns = np.triu_indices(n)
    last = np.flatnonzero((rows == n - 1 - lag) & (columns == n - 1))
    reversed_sign = lag % 2 and entries[-1, last] < 0
    return entries * (-1.0) ** (columns - rows) if reversed_sign else entries


def _thresholds(A: FloatArray, label: FloatArray) -> FloatArray:
    """The c beyond which ``A + c ℓℓᵀ`` is positive-definite, (G,).

    At a pitchfork A is singular along a change of correlations that leaves H^{nn} as it is, and the threshold has a
    limit: points too close to it take their regular neighbour's.
    """
    values, vectors = np.linalg.eigh(A)
    regular = np.flatnonzero((np.abs(values) > 1e-8 * np.abs(values).max(axis=1, keepdims=True)).all(axis=1))
    values, overlap = values[regular], np.einsum("gij,gi->gj", vectors, label)[regular] ** 2
    negative = np.sum(values < 0, axis=1)
    q = np.sum(overlap / values, axis=1)
    one = np.where(q < 0, -1.0 / np.where(q < 0, q, -1.0), NEVER)
    threshold = np.select([negative == 0, negative == 1], [np.zeros_like(q), np.minimum(one, NEVER)], NEVER)
    nearest = np.abs(np.arange(len(A))[:, None] - regular).argmin(axis=1)
    return np.asarray(threshold[nearest])


def _packed(branch: GridBranch) -> dict[str, Any]:
    table = np.column_stack([branch.log_mu, branch.threshold, branch.entropy, branch.kernel]).astype("<f4")
    return {"lag": branch.lag, "columns": table.shape[1], "values": base64.b64encode(table.tobytes()).decode("ascii")}
