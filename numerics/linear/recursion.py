"""The Hessian of the random network, factorised: ``𝓗₀ = ½(1-𝒟)ᵀ(1-𝒟)`` at ``H = C``, by recursions in time.

See docs/theory.md section 3.

``𝒟S = L⁻¹ w M̂∘(R LSLᵀ Rᵀ) L⁻ᵀ`` is the change of C by that of H one time before. It is nilpotent, so that ``(1-𝒟)⁻¹``
is a recursion forwards in time and its transpose one backwards. With the L of any kernel, ``K = √2 (1-𝒟)⁻¹``.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from numerics.linalg import FloatArray
from numerics.linear.functional import KernelPoint
from numerics.linear.space import Coordinates, KernelSpace, Link


def root(point: KernelPoint, Z: FloatArray) -> FloatArray:
    """``KZ``, for one direction or a stack (…, m, m); symmetric up to rounding."""
    f = point.functional
    change = _forward(f.space, point.L @ Z @ point.L.T, f.w)
    return np.asarray(math.sqrt(2.0) * (point.inverse_factor @ change @ point.inverse_factor.T))


def root_transposed(point: KernelPoint, S: FloatArray) -> FloatArray:
    """``KᵀS``."""
    f = point.functional
    force = _backward(f.space, point.inverse_factor.T @ S @ point.inverse_factor, f.w)
    return np.asarray(math.sqrt(2.0) * (point.L.T @ force @ point.L))


def squared(point: KernelPoint, S: FloatArray) -> FloatArray:
    """``KKᵀS``: the inverse of the random network's Hessian, at the L of the point."""
    f = point.functional
    force = _backward(f.space, point.inverse_factor.T @ S @ point.inverse_factor, f.w)
    change = _forward(f.space, point.H @ force @ point.H, f.w)
    return np.asarray(2.0 * (point.inverse_factor @ change @ point.inverse_factor.T))


def in_kernel(point: KernelPoint, force: FloatArray) -> FloatArray:
    """The same from a gradient by H to a change of H: ``squared`` without the natural coordinates; symmetric."""
    f = point.functional
    back = _backward(f.space, force.copy(), f.w)
    change = point.H @ back @ point.H
    return _forward(f.space, change + change.T, f.w)


def _forward(space: KernelSpace, X: FloatArray, w: float) -> FloatArray:
    """The sum of all powers of ``w M̂∘(R X Rᵀ)``: changes of the kernel, and what follows from them at later times."""
    if space.is_independent:
        for link in space.links:
            before = X[..., link.source, :][..., link.source]
            if link.sent is not None:
                before = link.sent @ before @ link.sent.T
            X[..., link.target, link.target] += w * before
        return X
    for step, link, weight in _by_time(space):
        # rows of one time: what they follow from, in the rows of times before, is complete by now
        taken = step.rows(X)[..., link.source]
        taken = taken if link.sent is None else taken @ link.sent.T
        X[..., step.target, link.target] += (w if weight is None else w * weight) * taken
    return X


def _backward(space: KernelSpace, X: FloatArray, w: float) -> FloatArray:
    """The transposed recursion."""
    if space.is_independent:
        for link in reversed(space.links):
            after = w * X[..., link.target, link.target]
            if link.sent is not None:
                after = link.sent.T @ after @ link.sent
            _add(X, link.source, link.source, after)
        return X
    for step, link, weight in reversed(_by_time(space)):
        after = (w if weight is None else w * weight) * X[..., step.target, :][..., link.target]
        after = after if link.sent is None else after @ link.sent
        _add(X, step.source, link.source, after if step.sent is None else step.sent.T @ after)
    return X


def _add(X: FloatArray, rows: Coordinates, columns: Coordinates, part: FloatArray) -> None:
    if isinstance(rows, slice) or isinstance(columns, slice):
        X[..., rows, columns] += part
    else:
        X[..., rows[:, None], columns] += part


@lru_cache(maxsize=16)
def _by_time(space: KernelSpace) -> list[tuple[Link, Link, FloatArray | None]]:
    """Each time's rows, the group of times that it belongs to, and its rows of the group's mask."""
    found = []
    for step in space.steps:
        link = next(link for link in space.links if step.received[0] in link.received) if len(step.received) else None
        if link is not None:
            weight = None if link.mask is None else link.mask[np.searchsorted(link.received, step.received)]
            found.append((step, link, weight))
    return found
