"""Phase symmetries of the linear free energy, and the blocks into which they split its Hessian.

``h^t → e^{iφt} h^t`` (``W → e^{iφ} W``) leaves F as it is over complex kernels, for every φ if inputs come at one time
and labels at one time, and for ``φ = 2π/q`` if all input times, and all label times, agree modulo q. Of these phases
only -1, ``W → -W``, turns all real kernels into real ones. At a state whose times correlate at lags that are multiples
of k only, the Hessian couples directions whose lags agree modulo k, up to sign, and no others: its *classes*.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from numerics.linalg import FloatArray, IntArray
from numerics.linear.functional import KernelFunctional, KernelPoint

#: Correlations smaller than this, relative, are rounding.
UNCORRELATED = 1e-9


def phase_order(functional: KernelFunctional) -> int:
    """The order q of the phase symmetry of W: input times agree modulo q, and so do label times.

    0 where any phase is a symmetry, 1 where none is.
    """
    space = functional.space
    if space.pattern_basis is None:
        return 1
    times = np.repeat(np.arange(space.n), space.block)
    inputs = times[np.abs(functional.input_covariance).any(axis=1)]
    labels = times[np.abs(functional.readout).any(axis=0)]
    return math.gcd(*(int(t - group[0]) for group in (inputs, labels) for t in group))


def lag_period(functional: KernelFunctional, H: FloatArray) -> int:
    """k: the state's times correlate at multiples of k only, and phases of order k are symmetries; 0 for no lag."""
    order = phase_order(functional)
    if order == 1:
        return 1
    space = functional.space
    size = np.sqrt(np.diagonal(H))
    correlation = np.abs(H) / (size[:, None] * size)
    r = space.block
    blocks = correlation.reshape(space.n, r, space.n, r).max(axis=(1, 3))
    rows, columns = np.nonzero(blocks > UNCORRELATED)
    return math.gcd(order, *(int(abs(lag)) for lag in rows - columns))


@lru_cache(maxsize=256)
def lag_classes(n: int, block: int, period: int) -> tuple[IntArray, ...]:
    """Positions in ``to_vector`` of each class of directions, that of the state's own lags first.

    With period k the classes are the lags ``0, 1, … ⌊k/2⌋`` modulo k up to sign; with period 0 each lag is one.
    """
    rows, columns = np.triu_indices(n * block)
    lags = columns // block - rows // block
    if period:
        lags = np.minimum(lags % period, (-lags) % period)
    return tuple(np.flatnonzero(lags == value) for value in sorted(set(lags.tolist())))


def common_lag(point: KernelPoint, positions: IntArray) -> int:
    """The smallest lag, up to sign and modulo the state's period, of a class's directions."""
    block = point.functional.space.block
    rows, columns = np.triu_indices(point.functional.dimension)
    return int(np.min(columns[positions] // block - rows[positions] // block))


def classes_of(point: KernelPoint) -> tuple[int, tuple[IntArray, ...]]:
    """Period and classes of a state."""
    space = point.functional.space
    period = lag_period(point.functional, point.H)
    if space.pattern_basis is None:
        return 1, (np.arange(space.dimension * (space.dimension + 1) // 2),)
    return period, lag_classes(space.n, space.block, period)


def phase_signs(functional: KernelFunctional) -> dict[int, FloatArray]:
    """Signs by period k, so far as ``φ = π/k`` is a symmetry: on kernels of period k they act as that phase does.

    Only k = 1, ``W → -W``, maps real perturbations to real ones. States that a phase with k > 1 relates have the same
    free energy, but not the same stability.
    """
    order, space = phase_order(functional), functional.space
    if functional.space.is_independent or space.pattern_basis is None:
        return {}
    times = np.repeat(np.arange(space.n), space.block)
    periods = [k for k in range(1, space.n) if order % (2 * k) == 0]
    return {k: np.where(times // k % 2 == 0, 1.0, -1.0) for k in periods}
