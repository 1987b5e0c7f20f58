"""W → -W: what it does to kernels and trajectories, where it is a symmetry of the task, and what stays without it.

Where it is one, the trajectory without correlations between times keeps more: φ is odd and only one time is supervised,
so that neurons' measure is a product over times, each even, and averages have no correlations between times either.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from numerics.activation import Activation
from numerics.nonlinear.space import SymmetricVectors, TrajectorySpace
from numerics.problem import FloatArray

#: What a kernel is kept to: nothing; what W → -W leaves as it is; no correlations between times.
Symmetry = Literal["none", "parity", "times"]


def row_signs(space: TrajectorySpace) -> FloatArray:
    """-1 for rows of Φ at even times, (m,): Φ changes by ``(-1)^{t-t'}``."""
    return np.asarray(np.repeat((-1.0) ** np.arange(space.problem.n), space.problem.P))


def coordinate_signs(space: TrajectorySpace) -> FloatArray:
    """-1 for coordinates g of even times, (d,)."""
    return _of_coordinates(space, row_signs(space))


def _of_coordinates(space: TrajectorySpace, of_rows: FloatArray) -> FloatArray:
    return np.concatenate([np.full(space.rank, of_rows[0]), of_rows[space.problem.P :]])


def is_symmetric_task(space: TrajectorySpace, phi: Activation) -> bool:
    """Whether W → -W is a symmetry: an RNN with odd φ, input at t = 0 only, and one supervised time."""
    problem = space.problem
    times = np.unique(problem.supervised // problem.P)
    return bool(phi.odd and problem.arch == "rnn" and not problem.x[:, 1:].any() and len(times) == 1)


def image(space: TrajectorySpace, phi: Activation, kernel: FloatArray) -> FloatArray | None:
    """The kernel after W → -W, where that is a symmetry of the task."""
    if not is_symmetric_task(space, phi):
        return None
    signs = row_signs(space)
    return np.asarray(kernel * np.outer(signs, signs))


def symmetry_of(space: TrajectorySpace, phi: Activation, kernel: FloatArray) -> Symmetry:
    """The most that a kernel keeps to, where W → -W is a symmetry of the task."""
    if is_symmetric_task(space, phi):
        for symmetry in ("times", "parity"):
            broken = np.where(kept_matrices(space, symmetry)[0], 0.0, kernel)
            if np.abs(broken).max() <= 1e-12 * np.abs(kernel).max():
                return symmetry
    return "none"


def kept_matrices(space: TrajectorySpace, symmetry: Symmetry) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The entries of Φ and of the covariance of g that need not vanish, (m, m) and (d, d)."""
    time = np.repeat(np.arange(space.problem.n), space.problem.P).astype(float)
    of_rows = {"none": np.zeros(space.m), "parity": row_signs(space), "times": time}[symmetry]
    of_coordinates = _of_coordinates(space, of_rows)
    return of_rows[:, None] == of_rows, of_coordinates[:, None] == of_coordinates


def kept_entries(space: TrajectorySpace, vectors: SymmetricVectors, symmetry: Symmetry) -> NDArray[np.bool_]:
    """The entries of Φ, as a vector, that need not vanish."""
    return np.asarray(kept_matrices(space, symmetry)[0][vectors.rows, vectors.columns])
