"""Steps S from a kernel, as matrices, or as arrows where groups of times are independent: what iterations need of both.

See docs/theory.md section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from numerics.linalg import FloatArray, from_vector, symmetric, to_vector
from numerics.linear import recursion
from numerics.linear.batch import assembled
from numerics.linear.functional import KernelPoint
from numerics.linear.grouped import GroupedPoint
from numerics.linear.groups import groups_of

#: Largest m for which the m(m+1)/2-dimensional Hessian is formed, and arrows do not pay.
DENSE_STEPS = 20

#: What steps are taken from, with S a matrix or an arrow.
AnyPoint = KernelPoint | GroupedPoint


def size(point: AnyPoint) -> int:
    """Orthonormal coordinates of steps."""
    m = point.functional.dimension
    return point.groups.size if isinstance(point, GroupedPoint) else m * (m + 1) // 2


def vector(point: AnyPoint, S: FloatArray) -> FloatArray:
    """A step in them."""
    return point.groups.to_vector(S) if isinstance(point, GroupedPoint) else to_vector(S)


def step_of(point: AnyPoint, z: FloatArray) -> FloatArray:
    """Inverse of `vector`."""
    return point.groups.from_vector(z) if isinstance(point, GroupedPoint) else from_vector(z, len(point.H))


def prepared(point: KernelPoint) -> AnyPoint:
    """An arrow where groups of times are independent, and the kernel is large enough for that to pay."""
    groups = groups_of(point.functional) if point.functional.dimension > DENSE_STEPS else None
    return point if groups is None or groups.is_cyclic else GroupedPoint.of(groups, point.H)


def whole(point: AnyPoint) -> KernelPoint:
    """The kernel as a matrix."""
    return point.whole() if isinstance(point, GroupedPoint) else point


def hessian(point: AnyPoint) -> FloatArray:
    """The Hessian on orthonormal coordinates."""
    if isinstance(point, KernelPoint) and point.functional.space.is_tied:
        # terms of Σ X S Yᵀ, with that of the path's own curvature
        X, Y = point.curvature_terms()
        m, s = len(point.H), len(X)
        left, right = np.empty((2, s + 1, m, m))
        left[:s], right[:s], left[s], right[s] = X, Y, point.gradient, np.eye(m)
        return assembled(left, right, None)
    m = len(point.H) if isinstance(point, KernelPoint) else 0
    basis = _small_basis(m) if 0 < m <= DENSE_STEPS else step_of(point, np.eye(size(point)))
    return symmetric(vector(point, point.hessian_product(basis)))


@lru_cache(maxsize=8)
def _small_basis(m: int) -> FloatArray:
    """Orthonormal symmetric (m, m) matrices, one for each coordinate."""
    basis = from_vector(np.eye(m * (m + 1) // 2), m)
    basis.setflags(write=False)
    return basis


def preconditioned(point: AnyPoint, S: FloatArray) -> FloatArray:
    """The inverse of the random network's Hessian."""
    return point.preconditioned(S) if isinstance(point, GroupedPoint) else symmetric(recursion.squared(point, S))


def moved(point: AnyPoint, S: FloatArray, signs: Sequence[FloatArray] = ()) -> Any:
    """The point ``L exp(S) Lᵀ`` of the same kind, or None where arithmetic cannot represent it."""
    if not np.isfinite(S).all():
        return None
    try:
        trial = point.move(S)
        if signs:
            trial = trial.reflected(signs)
        return trial if math.isfinite(trial.free_energy) and math.isfinite(trial.residual) else None
    except (np.linalg.LinAlgError, ValueError):
        return None
