"""The Hessian of the random network, factorised: ``𝓗₀ = ½(1-𝒟)ᵀ(1-𝒟)`` at ``H = C``, by recursions in time.

See docs/theory.md section 3.

``𝒟S = L⁻¹ w[LSLᵀ]⁻ L⁻ᵀ`` is the change of C by that of H one time before. It is nilpotent, so that ``(1-𝒟)⁻¹`` is a
recursion forwards in time and its transpose one backwards. With the L of any kernel, ``K = √2 (1-𝒟)⁻¹``.
"""

from __future__ import annotations

import math

import numpy as np

from numerics.linalg import FloatArray
from numerics.linear.functional import KernelPoint
from numerics.linear.space import KernelSpace


def root(point: KernelPoint, Z: FloatArray) -> FloatArray:
    """``KZ``, for one direction or a stack (…, m, m); symmetric up to rounding."""
    f = point.functional
    change = _forward(f.space, point.L @ Z @ point.L.T, f.w, f.arch)
    return np.asarray(math.sqrt(2.0) * (point.inverse_factor @ change @ point.inverse_factor.T))


def root_transposed(point: KernelPoint, S: FloatArray) -> FloatArray:
    """``KᵀS``."""
    f = point.functional
    force = _backward(f.space, point.inverse_factor.T @ S @ point.inverse_factor, f.w, f.arch)
    return np.asarray(math.sqrt(2.0) * (point.L.T @ force @ point.L))


def squared(point: KernelPoint, S: FloatArray) -> FloatArray:
    """``KKᵀS``: the inverse of the random network's Hessian, at the L of the point."""
    f = point.functional
    force = _backward(f.space, point.inverse_factor.T @ S @ point.inverse_factor, f.w, f.arch)
    change = _forward(f.space, point.H @ force @ point.H, f.w, f.arch)
    return np.asarray(2.0 * (point.inverse_factor @ change @ point.inverse_factor.T))


def in_kernel(point: KernelPoint, force: FloatArray) -> FloatArray:
    """The same from a gradient by H to a change of H: ``squared`` without the natural coordinates; symmetric."""
    f = point.functional
    back = _backward(f.space, force.copy(), f.w, f.arch)
    change = point.H @ back @ point.H
    return _forward(f.space, change + change.T, f.w, f.arch)


def _forward(space: KernelSpace, X: FloatArray, w: float, arch: str) -> FloatArray:
    """``X + w[X]⁻ + w²[[X]⁻]⁻ + …``: changes of the kernel, and what follows from them at later times."""
    if arch == "dnn":
        for link in space.masked_links:
            before = X[..., link.source, :][..., link.source]
            if link.sent is not None:
                before = link.sent @ before @ link.sent.T
            X[..., link.target, link.target] += w * before
        return X
    to, start = space.shift
    for here, source in _by_block(space):
        X[..., here, to] += w * X[..., source, :][..., start]
    return X


def _backward(space: KernelSpace, X: FloatArray, w: float, arch: str) -> FloatArray:
    """The transposed recursion."""
    if arch == "dnn":
        for link in reversed(space.masked_links):
            after = w * X[..., link.target, link.target]
            if link.sent is not None:
                after = link.sent.T @ after @ link.sent
            if isinstance(link.source, slice):
                X[..., link.source, link.source] += after
            else:
                X[..., link.source[:, None], link.source] += after
        return X
    to, start = space.shift
    for here, source in reversed(_by_block(space)):
        X[..., source, start] += w * X[..., here, :][..., to]
    return X


def _by_block(space: KernelSpace) -> list[tuple[slice, slice]]:
    """Coordinates that W reaches in each block, and those of the block before that it takes there."""
    pairs = []
    for k in range(space.n - 1):
        size, here, before = min(space.sizes[k : k + 2]), int(space.starts[k + 1]), int(space.starts[k])
        pairs.append((slice(here, here + size), slice(before, before + size)))
    return pairs
