"""The smallest eigenvalue of a large kernel's Hessian, from its products.

Over many times soft modes lie below a band of small eigenvalues, which hides them. Relative to the Hessian of the
random network (``numerics.linear.recursion``) nearly all eigenvalues are 1: its smallest mode is found first, and is
where Davidson's method (1975) begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from numerics.linalg import FloatArray, symmetric

#: Directions from which the smallest mode is sought, most of a basis, steps, and the residual at which it ends: its
#: largest, its share of a positive eigenvalue, and its smallest; and that of the mode relative to the random network.
MODES, LARGEST_BASIS, MODE_STEPS = 3, 40, 300
MODE_TOLERANCE, MODE_PRECISION, MODE_FLOOR, SOFT_TOLERANCE = 1e-4, 1e-2, 1e-9, 1e-2

#: A linear map of vectors, or of a stack of them.
Map = Callable[[FloatArray], FloatArray]


def smallest(product: Map, preconditioned: Map, size: int) -> tuple[float, FloatArray]:
    """The smallest eigenvalue, NaN if it is not found, and a unit eigenvector.

    Args:
        product: 𝓗 on vectors, for a stack (…, size).
        preconditioned: the inverse of the random network's.
        size: of a vector.
    """
    start = np.random.default_rng(0).standard_normal((MODES, size))
    soft = _soft_mode(product, preconditioned, start[0])
    return _davidson(product, preconditioned, np.concatenate([soft[None], start]))


def _davidson(
    product: Callable[[FloatArray], FloatArray], onward: Callable[[FloatArray], FloatArray], basis: FloatArray
) -> tuple[float, FloatArray]:
    """The smallest eigenvalue of a matrix given by its products with rows, NaN if it is not found, and a unit
    eigenvector; the basis is enlarged by what leads ``onward`` from a residual."""
    images = np.zeros((0, basis.shape[1]))
    for _ in range(MODE_STEPS):
        basis = _orthonormalised(basis, len(images))
        images = np.concatenate([images, product(basis[len(images) :])])
        values, shares = np.linalg.eigh(symmetric(basis @ images.T))
        value, vector, image = float(values[0]), shares[:, 0] @ basis, shares[:, 0] @ images
        residual = image - value * vector
        # of a negative value the sign is what matters
        goal = MODE_TOLERANCE if value < 0 else min(MODE_TOLERANCE, max(MODE_PRECISION * value, MODE_FLOOR))
        if np.linalg.norm(residual) <= goal:
            return value, vector
        if len(basis) >= LARGEST_BASIS:
            kept = shares[:, : 2 * MODES].T
            basis, images = kept @ basis, kept @ images
        basis = np.concatenate([basis, onward(residual)[None]])
    return math.nan, vector


def _soft_mode(
    product: Callable[[FloatArray], FloatArray], solved: Callable[[FloatArray], FloatArray], force: FloatArray
) -> FloatArray:
    """About the smallest mode of 𝓗 relative to 𝓗₀, the random network's Hessian, by Lanczos' method in the metric of
    ``𝓗₀⁻¹``, from one force: of directions ``x = 𝓗₀⁻¹y``, that of the smallest ``x𝓗x/xy``."""
    y, x, images = np.zeros((3, 0, len(force)))
    for _ in range(MODE_STEPS):
        direction = solved(force)
        for _ in range(2):
            along = x @ force
            force, direction = force - along @ y, direction - along @ x
        size = math.sqrt(max(float(force @ direction), 0.0))
        if size <= SOFT_TOLERANCE:
            break
        y, x = np.concatenate([y, force[None] / size]), np.concatenate([x, direction[None] / size])
        images = np.concatenate([images, product(x[-1])[None]])
        values, shares = np.linalg.eigh(symmetric(x @ images.T))
        force = shares[:, 0] @ images - values[0] * (shares[:, 0] @ y)
        if len(x) >= LARGEST_BASIS:
            kept = shares[:, : 2 * MODES].T
            y, x, images = kept @ y, kept @ x, kept @ images
            shares = np.eye(len(x))
    return np.asarray(shares[:, 0] @ x)


def _orthonormalised(rows: FloatArray, count: int) -> FloatArray:
    """Rows of which the first are orthonormal already, made so."""
    done = rows[:count]
    for row in rows[count:]:
        for _ in range(2):
            row = row - (done @ row) @ done
        done = np.concatenate([done, row[None] / np.linalg.norm(row)])
    return done
