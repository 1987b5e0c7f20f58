"""The kernel of a random network, without data: ``Φ = ⟨φφᵀ⟩`` over ``N(h|0, C[Φ])``, time by time (NNGP)."""

from __future__ import annotations

import numpy as np

from numerics.nonlinear.activation import Nonlinearity
from numerics.nonlinear.space import TrajectorySpace
from numerics.problem import FloatArray

#: Half-width in standard deviations and points of a panel; two panels, met at the kink, for each of two variables.
EDGE, POINTS = 9.0, 40


def pair_averages(activation: Nonlinearity, a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """``⟨φ(x)φ(y)⟩`` for centred Gaussian pairs with variances a, b and covariance c, each (k,).

    ``x = √a z``, ``y = √b (ρ z + √(1-ρ²) z')``. Gauss–Legendre panels in z and z' meet where x = 0 and y = 0.
    """
    line, weight = np.polynomial.legendre.leggauss(POINTS)
    z = np.concatenate([EDGE / 2 * (line - 1), EDGE / 2 * (line + 1)])
    z_weight = np.tile(EDGE / 2 * weight, 2) * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    size = np.sqrt(a * b)
    rho = np.clip(np.divide(c, size, out=np.zeros_like(c), where=size > 0), -1.0, 1.0)
    rest = np.sqrt(np.maximum(1 - rho**2, 0.0))
    total = np.zeros_like(a)
    for value, outer in zip(z, z_weight, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            kink = np.nan_to_num(np.clip(-rho * value / rest, -EDGE, EDGE), nan=0.0)
        for low, high in ((np.full_like(kink, -EDGE), kink), (kink, np.full_like(kink, EDGE))):
            inner = 0.5 * (high - low)[:, None] * line + 0.5 * (high + low)[:, None]
            inner_weight = 0.5 * (high - low)[:, None] * weight * np.exp(-0.5 * inner**2) / np.sqrt(2 * np.pi)
            y = np.sqrt(b)[:, None] * (rho[:, None] * value + rest[:, None] * inner)
            total += outer * activation.value(np.sqrt(a) * value) * (activation.value(y) * inner_weight).sum(axis=1)
    return total


def forward_kernel(space: TrajectorySpace, activation: Nonlinearity) -> FloatArray:
    """Φ of the random network, (nP, nP)."""
    P, n = space.problem.P, space.problem.n
    kernel = np.zeros((space.m, space.m))
    for t in range(1, n + 1):
        C = space.embedding @ space.covariance(kernel) @ space.embedding.T
        rows, columns = np.triu_indices(t * P)
        new = columns >= (t - 1) * P
        i, j = rows[new], columns[new]
        kernel[i, j] = kernel[j, i] = pair_averages(activation, C[i, i], C[j, j], C[i, j])
    return kernel
