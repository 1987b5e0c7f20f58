"""Coordinates of the moments of one neuron's trajectory, group by group, relative to those of a start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.linalg import FloatArray, symmetric, symmetric_vectors
from numerics.nonlinear.groups import Group
from numerics.nonlinear.space import TrajectorySpace

#: Φ, and mean and covariance of g.
Moments = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates in which Φ and the covariance of the start are the unit matrix: changes are relative ones.

    Attributes:
        space, groups: coordinates of each group come one after the other: of Φ, of the covariance, of the mean.
        factors: Cholesky factors of Φ and of the covariance, for each.
        moving: 1 for those that need not vanish; None for all.
    """

    space: TrajectorySpace
    groups: tuple[Group, ...]
    factors: list[tuple[FloatArray, FloatArray]]
    moving: FloatArray | None

    @classmethod
    def of(
        cls,
        space: TrajectorySpace,
        groups: tuple[Group, ...],
        kernel: FloatArray,
        covariance: FloatArray,
        moving: FloatArray | None,
    ) -> Frame:
        """Raises numpy.linalg.LinAlgError: a matrix is not positive-definite."""
        pairs = [(group.of_rows(kernel), group.of_coordinates(covariance)) for group in groups]
        factors = [(sla.cholesky(one, lower=True), sla.cholesky(other, lower=True)) for one, other in pairs]
        return cls(space, groups, factors, moving)

    def basis(self, *, odd: bool) -> FloatArray:
        """Orthonormal directions that may move, as columns; for odd φ the mean may not."""
        blocks = []
        for kernel, covariance in self.factors:
            for size in (len(kernel), len(covariance)):
                vectors = symmetric_vectors(size)
                matrices = vectors.matrix(np.eye(len(vectors.rows)))
                blocks.append(matrices.reshape(len(matrices), -1).T)
            blocks.append(np.eye(len(covariance))[:, : 0 if odd else None])
        basis = np.asarray(sla.block_diag(*blocks))
        return basis if self.moving is None else basis[:, (self.moving @ np.abs(basis)) > 0]

    def moved(self, x: FloatArray) -> FloatArray:
        """x with 0 for the coordinates that are held."""
        return x if self.moving is None else x * self.moving

    def coordinates(self, kernel: FloatArray, mean: FloatArray, covariance: FloatArray) -> FloatArray:
        """Φ, mean and covariance as one vector."""
        parts = []
        for group, (of_kernel, of_covariance) in zip(self.groups, self.factors, strict=True):
            parts.append(_reduced(of_kernel, group.of_rows(kernel)).ravel())
            parts.append(_reduced(of_covariance, group.of_coordinates(covariance)).ravel())
            parts.append(sla.solve_triangular(of_covariance, mean[group.coordinates], lower=True))
        return self.moved(np.concatenate(parts))

    def kernel(self, x: FloatArray) -> FloatArray:
        """Φ, zero between groups."""
        kernel = np.zeros((self.space.m,) * 2)
        for group, (of_kernel, of_covariance) in zip(self.groups, self.factors, strict=True):
            m, d = len(of_kernel), len(of_covariance)
            kernel[np.ix_(group.rows, group.rows)] = of_kernel @ symmetric(x[: m * m].reshape(m, m)) @ of_kernel.T
            x = x[m * m + d * d + d :]
        return kernel

    def state(self, x: FloatArray) -> Moments:
        """Φ, mean and covariance, zero between groups."""
        space = self.space
        kernel, mean, covariance = np.zeros((space.m,) * 2), np.zeros(space.d), np.zeros((space.d,) * 2)
        for group, (of_kernel, of_covariance) in zip(self.groups, self.factors, strict=True):
            m, d = len(of_kernel), len(of_covariance)
            one, other, rest = np.split(x[: m * m + d * d + d], [m * m, m * m + d * d])
            x = x[m * m + d * d + d :]
            block = of_kernel @ symmetric(one.reshape(m, m)) @ of_kernel.T
            np.linalg.cholesky(block)
            kernel[np.ix_(group.rows, group.rows)] = block
            covariance[np.ix_(group.coordinates, group.coordinates)] = (
                of_covariance @ symmetric(other.reshape(d, d)) @ of_covariance.T
            )
            mean[group.coordinates] = of_covariance @ rest
        return kernel, mean, covariance


def _reduced(L: FloatArray, A: FloatArray) -> FloatArray:
    """``L⁻¹ A L⁻ᵀ``."""
    half = sla.solve_triangular(L, A, lower=True)
    return np.asarray(sla.solve_triangular(L, half.T, lower=True))
