"""The signed count of stationary kernels, a test that every list of branches has to pass.

F is proper on positive-definite kernels: where it stays bounded so do the eigenvalues of ``C⁻¹H``, from 0 and ∞, since
the entropy is ``½ Σ (x - 1 - ln x)`` over them; then ``aC ≤ H ≤ bC`` with ``C = 1 ⊕ H_{1…n-1}`` (units u = v = w = 1)
bounds every leading block by the one before it, from above and from below. Sets of bounded F are therefore compact
within the cone, which is contractible, and Morse theory gives

``Σ (-1)^index = 1``

over all stationary kernels at any λ and κ at which none is degenerate, ``index`` the number of negative eigenvalues of
the Hessian. The same holds among the kernels whose times correlate at lags that are multiples of k only: phases
``h^t → e^{2πit/k} h^t`` leave F as it is and these kernels fixed, so that they are stationary among all kernels if they
are among these. A branch that is missing, given twice or between wrong ends breaks a sum, unless two are missing that
cancel: the sums prove that a list is wrong, never that it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numerics.endpoint_task import chain
from numerics.linalg import FloatArray, IntArray

#: Correlations smaller than this are rounding; eigenvalues smaller than this have no certain sign.
ABSENT, UNCERTAIN = 1e-8, 1e-7


def index_sums(branches: Sequence[FloatArray], signal: FloatArray, kappa: float, arch: str = "rnn") -> FloatArray:
    """``Σ (-1)^index`` at each signal, among kernels of each lag period 0 (diagonal), 1 (all), … n-1.

    Args:
        branches: stationary kernels of each branch, (L, n, n), NaN where there is none; of two that ``W → -W`` relates
            one, which counts twice.
        signal: λ, (L,), in units u = v = w = 1.
        kappa: κ.
        arch: ``"dnn"`` counts diagonal kernels only, as F is convex in the correlations.

    Returns:
        (n, L): 1 where no state is missing, NaN where one is degenerate, as at a special point.
    """
    n = branches[0].shape[-1]
    sums = np.zeros((n, len(signal)))
    for kernel in branches:
        there = np.flatnonzero(np.isfinite(kernel[:, 0, 0]))
        H = kernel[there]
        hessian = chain.hessian(np.asarray(np.linalg.cholesky(H)), signal[there], kappa)
        absent = _absent_lags(H)
        images: FloatArray = np.where(absent[:, 1::2].all(axis=1), 1.0, 2.0)
        for period in range(n):
            lags = np.arange(n)
            other = lags[1:] if period == 0 else lags[lags % period != 0]
            among = absent[:, other].all(axis=1)
            kept = _kept(n, 0 if arch == "dnn" else period)
            sums[period, there[among]] += images[among] * _signs(hessian[among][:, kept[:, None], kept])
    # next to a special point one state may be two that have met, or the other way round
    sums[:, np.isnan(sums).any(axis=0)] = np.nan
    return sums


def _absent_lags(H: FloatArray) -> NDArray[np.bool_]:
    """Whether times do not correlate at each lag, (L, n)."""
    n = H.shape[-1]
    size: FloatArray = np.sqrt(np.diagonal(H, axis1=1, axis2=2))
    correlation = np.abs(H) / (size[:, :, None] * size[:, None])
    largest = [np.diagonal(correlation, lag, axis1=1, axis2=2).max(axis=1) for lag in range(n)]
    return np.asarray(np.transpose(largest) < ABSENT)


def _kept(n: int, period: int) -> IntArray:
    """Positions in ``to_vector`` of a period's lags."""
    rows, columns = np.triu_indices(n)
    lags = columns - rows
    return np.flatnonzero(lags % period == 0 if period else lags == 0)


def _signs(hessian: FloatArray) -> FloatArray:
    """``(-1)^index`` of each matrix, NaN where an eigenvalue may be zero, (L,)."""
    if not len(hessian):
        return np.empty(0)
    sign = np.asarray(np.linalg.slogdet(hessian)[0])
    regular = sign != 0
    # ‖A⁻¹‖ in the Frobenius norm is at least the inverse of the smallest eigenvalue's size
    size = np.full(len(hessian), np.inf)
    size[regular] = np.linalg.norm(np.linalg.inv(hessian[regular]), axis=(1, 2))
    return np.where(size < 1.0 / UNCERTAIN, sign, np.nan)
