"""The signed count of stationary kernels, a test that every list of branches has to pass.

F is proper on positive-definite kernels: where it stays bounded so do the eigenvalues of ``C⁻¹H``, from 0 and ∞, since
the entropy is ``½ Σ (x - 1 - ln x)`` over them; that bounds every leading block of H by the ones before it, from above
and from below. Sets of bounded F are therefore compact within the cone, which is contractible, and Morse theory gives

``Σ (-1)^index = 1``

over all stationary kernels at any parameters at which none is degenerate, ``index`` the number of negative eigenvalues
of the Hessian. The same holds among the kernels whose times correlate at lags that are multiples of k only, where
phases ``h^t → e^{2πit/k} h^t`` leave F as it is (``numerics.linear.lag_classes``): they leave these kernels fixed,
which are then stationary among all kernels if they are among these. A branch that is missing, given twice or between
wrong ends breaks a sum, unless two are missing that cancel: the sums prove that a list is wrong, never that it is
complete.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numerics.continuation.on_grid import GridStates
from numerics.continuation.pieces import Piece
from numerics.continuation.states import UNCERTAIN
from numerics.linalg import FloatArray
from numerics.linear.functional import KernelFunctional
from numerics.linear.images import number_of_images
from numerics.linear.lag_classes import lag_classes, phase_order


def signed_counts(pieces: Sequence[Piece], states: Sequence[GridStates]) -> tuple[tuple[int, ...], FloatArray] | None:
    """``Σ (-1)^index`` at each value, among kernels of each lag period.

    Args:
        pieces: stretches of branches; of two that a symmetry relates one, which counts as often as it has images.
        states: theirs on the grid.

    Returns:
        The periods (k,), 0 for diagonal states and 1 for all, and the sums (k, L): 1 where no state is missing, NaN
        where one is degenerate, as at a special point. None where kernels are too large to be counted.
    """
    if not pieces or any(part.there.any() and not part.spectra for part in states):
        return None
    base = pieces[0].branch.track.family.base
    periods = _periods(base)
    sums = np.zeros((len(periods), len(states[0].there)))
    for piece, part in zip(pieces, states, strict=True):
        if not part.there.any():
            continue
        there = np.flatnonzero(part.there)
        images = number_of_images(base.at(part.kernel[there[len(there) // 2]]))
        own = piece.branch.track.period
        for row, period in enumerate(periods):
            if own == period or (period and own % period == 0):
                spectra = [part.spectra[k] for k in _within(base, own, period)]
                sums[row, part.there] += images * _signs(spectra)[part.there]
    # next to a special point one state may be two that have met, or the other way round
    sums[:, np.isnan(sums).any(axis=0)] = np.nan
    return periods, sums


def _periods(base: KernelFunctional) -> tuple[int, ...]:
    """Those at which phases are symmetries."""
    order, n = phase_order(base), base.space.n
    return tuple(range(n)) if order == 0 else tuple(k for k in range(1, order + 1) if order % k == 0)


def _within(base: KernelFunctional, own: int, period: int) -> list[int]:
    """Classes of directions, of a state of period ``own``, at multiples of a period."""
    if own == 1:
        return [0]
    n = base.space.n
    lags = np.arange(n)
    names = sorted(set((np.minimum(lags % own, -lags % own) if own else lags).tolist()))
    assert len(names) == len(lag_classes(n, base.space.block, own))
    return [k for k, lag in enumerate(names) if (lag % period == 0 if period else lag == 0)]


def _signs(spectra: Sequence[FloatArray]) -> FloatArray:
    """``(-1)^index``, NaN where an eigenvalue may be zero, (L,)."""
    values = np.concatenate(spectra, axis=1)
    with np.errstate(invalid="ignore"):
        sure = np.abs(values).min(axis=1) >= UNCERTAIN
        return np.where(sure, 1.0 - 2.0 * (np.sum(values < 0, axis=1) % 2), np.nan)
