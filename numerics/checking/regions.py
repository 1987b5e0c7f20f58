"""Which phase a kernel is in: the minimum that is nearest, measured in the fluctuations around each.

The distance of a kernel from a minimum is ``⟨S, 𝓗S⟩`` with ``H = L exp(S) Lᵀ`` and the Hessian 𝓗 there, the number of
standard deviations squared, over N, in the Gaussian approximation; where 𝓗 is not at hand, ``|S|²``. Prediction and
simulation use the same regions, so that where their borders lie matters only for draws that are between phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from numerics.linalg import FloatArray, to_vector
from numerics.linear.fluctuations import LARGEST_HESSIAN, fluctuations
from numerics.linear.functional import kernel_functional
from numerics.linear.solution import linear_state
from numerics.nonlinear.classes import trajectory_classes
from numerics.nonlinear.solution import NonlinearSolution
from numerics.results.solution import Solution
from numerics.symmetry.gauge import Gauge, rounded_gauge

#: Kernels whose distances are computed together.
_BLOCK = 20_000


#: Most symmetries under which images of a minimum are made.
MOST_STEPS = 6


def gauge_of(state: Solution) -> Gauge:
    """The `Gauge` of a state: it distinguishes the state from its images under the sign symmetries of the posterior."""
    error = state.kernel_error if isinstance(state, NonlinearSolution) else None
    found = rounded_gauge(state.problem, state.kernel, odd=state.problem.activation.odd, error=error)
    return replace(found, steps=found.steps[:MOST_STEPS])


@dataclass(frozen=True, eq=False)
class Region:
    """What the distance from one minimum needs.

    Attributes:
        inverse: the map to coordinates in which the minimum is 1, ``L⁻¹Q⁺``, (m, nP).
        hessian: 𝓗, on symmetric matrices as vectors, or None.
        gauge: what tells the minimum from its images.
    """

    inverse: FloatArray
    hessian: FloatArray | None
    gauge: Gauge

    def distances(self, kernels: FloatArray) -> FloatArray:
        """Distances of kernels (k, nP, nP) from the minimum or from its nearest image, (k,)."""
        near = self._distances(kernels)
        for symmetry in self.gauge.images:
            near = np.minimum(near, self._distances(symmetry.of_kernel(kernels)))
        return near

    def _distances(self, kernels: FloatArray) -> FloatArray:
        values, vectors = np.linalg.eigh(self.inverse @ kernels @ self.inverse.T)
        logs = np.log(np.maximum(values, np.finfo(float).tiny))
        if self.hessian is None:
            return np.asarray(np.sum(logs**2, axis=-1))
        S = (vectors * logs[:, None, :]) @ np.swapaxes(vectors, -1, -2)
        flat = to_vector(S)
        return np.asarray(np.sum((flat @ self.hessian) * flat, axis=1))


def region(state: Solution) -> Region:
    """The region of a minimum."""
    problem = state.problem
    gauge = gauge_of(state)
    if isinstance(state, NonlinearSolution):
        rows = trajectory_classes(problem).representative  # the others are these, or 0
        inverse = np.linalg.inv(np.linalg.cholesky(state.kernel[np.ix_(rows, rows)]))
        return Region(inverse @ np.eye(problem.n * problem.P)[rows], None, gauge)
    linear = linear_state(state)
    space, reduced = kernel_functional(problem).space, linear.reduced
    inverse = np.linalg.inv(np.linalg.cholesky(reduced)) @ np.linalg.pinv(space.full_basis())
    hessian = None if len(reduced) > LARGEST_HESSIAN else fluctuations(linear).hessian
    return Region(inverse, hessian, gauge)


def distances(regions: Sequence[Region], kernels: FloatArray) -> FloatArray:
    """Distances of kernels from each minimum, (…, nP, nP) → (…, minima)."""
    flat = kernels.reshape(-1, *kernels.shape[-2:])
    found = [
        np.stack([each.distances(block) for each in regions], axis=-1)
        for block in np.array_split(flat, -(-len(flat) // _BLOCK))
    ]
    return np.asarray(np.concatenate(found).reshape(*kernels.shape[:-2], len(regions)))


def nearest(regions: Sequence[Region], kernels: FloatArray) -> NDArray[np.intp]:
    """The position of the nearest minimum for each kernel, (…, nP, nP) → (…,)."""
    return np.asarray(np.argmin(distances(regions, kernels), axis=-1))
