"""W → -W: what it does to kernels and trajectories, and where it is a symmetry of the task."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numerics.nonlinear.activation import Nonlinearity
from numerics.nonlinear.space import SymmetricVectors, TrajectorySpace
from numerics.problem import FloatArray


def row_signs(space: TrajectorySpace) -> FloatArray:
    """-1 for rows of Φ at even times, (m,): Φ changes by ``(-1)^{t-t'}``."""
    return np.asarray(np.repeat((-1.0) ** np.arange(space.problem.n), space.problem.P))


def coordinate_signs(space: TrajectorySpace) -> FloatArray:
    """-1 for coordinates g of even times, (d,)."""
    return np.concatenate([np.ones(space.rank), row_signs(space)[space.problem.P :]])


def is_symmetric_task(space: TrajectorySpace, phi: Nonlinearity) -> bool:
    """Whether W → -W is a symmetry: an RNN with odd φ, input at t = 0 only, and one supervised time."""
    problem = space.problem
    times = np.unique(problem.supervised // problem.P)
    return bool(phi.odd and problem.arch == "rnn" and not problem.x[:, 1:].any() and len(times) == 1)


def image(space: TrajectorySpace, phi: Nonlinearity, kernel: FloatArray) -> FloatArray | None:
    """The kernel after W → -W, where that is a symmetry of the task."""
    if not is_symmetric_task(space, phi):
        return None
    signs = row_signs(space)
    return np.asarray(kernel * np.outer(signs, signs))


def is_symmetric(space: TrajectorySpace, phi: Nonlinearity, kernel: FloatArray) -> bool:
    """Whether W → -W is a symmetry of the task and leaves the kernel as it is."""
    other = image(space, phi, kernel)
    return other is not None and np.allclose(other, kernel, rtol=0, atol=1e-12 * np.abs(kernel).max())


def even_entries(space: TrajectorySpace, phi: Nonlinearity, vectors: SymmetricVectors) -> NDArray[np.bool_]:
    """The entries of Φ, as a vector, that W → -W leaves as they are; all of them where that is no symmetry."""
    ones = np.ones((space.m, space.m))
    other = image(space, phi, ones)
    return vectors.vec(ones if other is None else other) > 0
