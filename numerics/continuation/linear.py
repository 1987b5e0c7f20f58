"""The linear algebra of a step: bordered systems with the Hessian, and its spectrum on a class of directions.

Small kernels use the whole Hessian, larger ones GMRES and Lanczos iterations relative to the random network's Hessian
(``numerics.linear.krylov``). Directions are symmetric matrices S, (m, m), with entries where a mask is 1.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from numerics.continuation.batch import assembled
from numerics.errors import NotSolvedError
from numerics.linalg import FloatArray, from_vector, to_vector
from numerics.linear.functional import KernelPoint
from numerics.linear.krylov import Preconditioned

#: Largest m for which the Hessian is formed.
DENSE = 27
#: Smallest relative residual that an iteration is asked for, and its products before it is given up.
TIGHT, MOST_PRODUCTS = 1e-13, 400
#: Eigenvalues of a class that a Lanczos iteration gives at first.
FEW = 3


class Border:
    """The last row and column of a bordered system: ``[𝓗, f; ⟨T, ·⟩, τ]``.

    Attributes:
        force: f, the change of the gradient with the parameter.
        tangent, rate: T and τ, the direction to be left out and its parameter component.
    """

    def __init__(self, force: FloatArray, tangent: FloatArray, rate: float) -> None:
        self.force, self.tangent, self.rate = force, tangent, rate

    @classmethod
    def none(cls, like: FloatArray) -> Border:
        """The parameter held fixed."""
        return cls(np.zeros_like(like), np.zeros_like(like), 1.0)


def solve_bordered(
    state: KernelPoint, mask: FloatArray, border: Border, right: tuple[FloatArray, float], tolerance: float
) -> tuple[FloatArray, float]:
    """``(S, change)`` with ``𝓗S + f·change = R`` and ``⟨T, S⟩ + τ·change = r``, for ``right = (R, r)``.

    Args:
        state: where 𝓗 is taken, along straight lines.
        mask: 1 where directions may have entries, (m, m).
        border: f, T and τ.
        right: R and r.
        tolerance: on the relative residual of an iteration; small problems are solved exactly.

    Raises:
        NotSolvedError: the iteration does not reach the tolerance.
        numpy.linalg.LinAlgError: the system is singular.
    """
    if state.functional.dimension <= DENSE:
        return _solve_whole(state, mask, border, right)
    inner = Preconditioned(state, mask)
    m, d = len(mask), len(inner.positions)
    force, tangent, above = (
        inner.vector(inner.root_transposed(S)) for S in (border.force, border.tangent, right[0] * mask)
    )

    def product(z: FloatArray) -> FloatArray:
        z = np.ravel(z)
        return np.append(inner.operator.matvec(z[:d]) + z[d] * force, tangent @ z[:d] + border.rate * z[d])

    system = spla.LinearOperator((d + 1, d + 1), matvec=product, dtype=np.float64)
    solved, unfinished = spla.gmres(
        system, np.append(above, right[1]), rtol=max(tolerance, TIGHT), atol=0.0, restart=MOST_PRODUCTS, maxiter=1
    )
    if unfinished:
        raise NotSolvedError("GMRES did not reach its tolerance")
    return inner.root(inner.matrix(solved[:d], m)), float(solved[d])


def null_direction(state: KernelPoint, mask: FloatArray, force: FloatArray) -> tuple[FloatArray, float]:
    """``(S, change)`` of unit length with ``𝓗S + f·change = 0`` and ``change ≥ 0``."""
    if state.functional.dimension <= DENSE:
        positions = np.flatnonzero(to_vector(mask))
        system = np.column_stack([_whole(state, mask, positions), to_vector(force)[positions]])
        null = np.linalg.svd(system)[2][-1]
        null *= 1.0 if null[-1] >= 0 else -1.0
        return _matrix(null[:-1], positions, len(mask)), float(null[-1])
    unit = Border(force, np.zeros_like(mask), 1.0)
    S, change = solve_bordered(state, mask, unit, (np.zeros_like(mask), 1.0), TIGHT)
    length = float(np.sqrt(np.vdot(S, S) + change**2))
    return S / length, change / length


def lowest_modes(state: KernelPoint, mask: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues, increasing, and unit directions S of the Hessian on the mask's directions, (k,) and (k, m, m).

    All of them for small kernels. For larger ones those of ``Kᵀ𝓗K`` (as many are negative or zero as of 𝓗, in the same
    directions): all the negative ones, and at least one that is not.

    Raises:
        NotSolvedError: the Lanczos iteration does not converge.
    """
    if state.functional.dimension <= DENSE:
        positions = np.flatnonzero(to_vector(mask))
        values, vectors = np.linalg.eigh(_whole(state, mask, positions))
        return values, _matrix(vectors.T, positions, len(mask))
    inner, count = Preconditioned(state, mask), FEW
    while True:
        values, modes = inner.smallest(min(count, len(inner.positions)))
        if values[-1] > 0 or len(values) == len(inner.positions):
            return values, modes
        count *= 2


def _solve_whole(
    state: KernelPoint, mask: FloatArray, border: Border, right: tuple[FloatArray, float]
) -> tuple[FloatArray, float]:
    positions = np.flatnonzero(to_vector(mask))
    d = len(positions)
    system = np.empty((d + 1, d + 1))
    system[:d, :d] = _whole(state, mask, positions)
    system[:d, d], system[d, :d], system[d, d] = (
        to_vector(border.force)[positions],
        to_vector(border.tangent)[positions],
        border.rate,
    )
    solved = np.linalg.solve(system, np.append(to_vector(right[0])[positions], right[1]))
    return _matrix(solved[:d], positions, len(mask)), float(solved[d])


def _whole(state: KernelPoint, mask: FloatArray, positions: NDArray[np.intp]) -> FloatArray:
    if state.functional.space.is_tied:
        return assembled(*state.curvature_terms(), positions)
    m = len(mask)
    basis = from_vector(np.eye(m * (m + 1) // 2)[positions], m)
    return np.asarray(to_vector(state.euclidean_hessian_product(basis))[..., positions].T)


def _matrix(z: FloatArray, positions: NDArray[np.intp], m: int) -> FloatArray:
    full = np.zeros((*z.shape[:-1], m * (m + 1) // 2))
    full[..., positions] = z
    return from_vector(full, m)
