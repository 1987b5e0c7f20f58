"""The derivative of the map of moments as if trajectories and activities were jointly normal: dense algebra, no points.

In units of Φ and of the covariance S of g, with F = ⟨φgᵀ⟩ and changes δΦ̃ and ``δP = -C⁻¹ δC C⁻¹`` of a law's tilt and
precision, Wick's theorem gives

    δ⟨φφᵀ⟩ = 2 Φ δΦ̃ Φ - F δP Fᵀ,     δ⟨ggᵀ⟩ = 2 Fᵀ δΦ̃ F - S δP S.

It leaves out what is not normal, a few directions of many. So it is no derivative to rely on, but it takes equations
with the map's own derivative most of the way to their solution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla
from scipy.sparse.linalg import LinearOperator, gmres

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, symmetric
from numerics.nonlinear.frames import Frame
from numerics.nonlinear.groups import Group

#: Points of the quadrature of a slope's mean.
POINTS = 40
#: Share of an equation that its solution leaves open, and steps of it at most.
OPEN, STEPS = 0.1, 40


@dataclass(frozen=True, eq=False)
class _Part:
    """One group: Cholesky factors of Φ and S, ``C⁻¹`` and ``C⁻¹SC⁻¹``, F in these units, and where C comes from.

    `sources` are groups whose Φ enters C, with R between these; `sharing` is wM within the group.
    """

    group: Group
    of_kernel: FloatArray
    of_covariance: FloatArray
    precision: FloatArray
    pulled: FloatArray
    crossed: FloatArray
    sources: list[tuple[int, FloatArray]]
    sharing: FloatArray


class NormalResponse:
    """The derivative of a map at a point, in the coordinates of a frame."""

    def __init__(self, phi: Activation, frame: Frame, x: FloatArray) -> None:
        """Raises numpy.linalg.LinAlgError: C is singular there."""
        self._space = space = frame.space
        kernel, _, covariance = frame.state(x)
        self._duals, C = space.labels.duals(kernel), space.covariance(kernel)
        nodes, weights = np.polynomial.hermite_e.hermegauss(POINTS)
        self._parts = []
        for group, (of_kernel, of_covariance) in zip(frame.groups, frame.factors, strict=True):
            own, S = np.ix_(group.rows, group.coordinates), group.of_coordinates(covariance)
            precision = np.asarray(np.linalg.inv(group.of_coordinates(C)))
            h = space.embedding[own] @ S
            spread = np.sqrt(np.einsum("id,id->i", h, space.embedding[own]))
            slope = phi.derivative(spread[:, None] * nodes) @ (weights / weights.sum())
            crossed = sla.solve_triangular(of_kernel, slope[:, None] * h, lower=True)
            receive = [space.receive[np.ix_(group.coordinates, other.rows)] for other in frame.groups]
            self._parts.append(
                _Part(
                    group,
                    of_kernel,
                    of_covariance,
                    precision,
                    precision @ S @ precision,
                    sla.solve_triangular(of_covariance, crossed.T, lower=True).T,
                    [(number, block) for number, block in enumerate(receive) if block.any()],
                    space.problem.w * group.of_rows(space.sharing),
                )
            )

    def solved(self, right: FloatArray, shift: float = 0.0) -> FloatArray:
        """x of ``(1 + shift) x - T'x = right``, but for a share."""
        operator = LinearOperator((len(right),) * 2, matvec=lambda x: (1 + shift) * x - self(x), dtype=np.float64)
        return np.asarray(gmres(operator, right, rtol=OPEN, restart=STEPS, maxiter=1)[0])

    def __call__(self, x: FloatArray) -> FloatArray:
        """``T'x``; the mean's part vanishes."""
        kernels, seconds = [], []
        for part in self._parts:
            m, d = len(part.of_kernel), len(part.of_covariance)
            one, other, x = np.split(x, [m * m, m * m + d * d])
            kernels.append(part.of_kernel @ symmetric(one.reshape(m, m)) @ part.of_kernel.T)
            seconds.append(symmetric(other.reshape(d, d)))
            x = x[d:]
        whole = np.zeros((self._space.m,) * 2)
        for part, kernel in zip(self._parts, kernels, strict=True):
            whole[np.ix_(part.group.rows, part.group.rows)] = kernel
        whole = self._duals.change(whole)
        tilts, drives = [part.group.of_rows(whole) for part in self._parts], []
        for part, second in zip(self._parts, seconds, strict=True):
            of_C = np.zeros_like(part.precision)
            for number, block in part.sources:
                of_C += block @ (self._parts[number].sharing * kernels[number]) @ block.T
            half, root = part.precision @ of_C, part.precision @ part.of_covariance
            drive, lost = half @ part.precision, half @ part.pulled
            pull = 0.5 * (root @ second @ root.T + drive - lost - lost.T)
            for number, block in part.sources:
                tilts[number] = tilts[number] + self._parts[number].sharing * (block.T @ pull @ block)
            drives.append(part.of_covariance.T @ drive @ part.of_covariance)
        found = []
        for part, tilt, drive in zip(self._parts, tilts, drives, strict=True):
            tilt, F = part.of_kernel.T @ tilt @ part.of_kernel, part.crossed
            found += [(2 * tilt + F @ drive @ F.T).ravel(), (2 * F.T @ tilt @ F + drive).ravel(), np.zeros(len(drive))]
        return np.concatenate(found)
