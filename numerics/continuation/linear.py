"""The linear algebra of a step: bordered systems with the Hessian, and its spectrum on a class of directions.

Small kernels use the whole Hessian, larger ones GMRES and Lanczos iterations relative to the random network's Hessian
(``numerics.linear.krylov``). Directions are symmetric matrices S, (m, m), with entries at some positions of
``to_vector``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from numerics.cached import cached_property
from numerics.errors import NotSolvedError
from numerics.linalg import FloatArray, IntArray, from_vector, inertia, lu_factors, solve_factorised, to_vector
from numerics.linear.batch import assembled
from numerics.linear.functional import KernelPoint

#: Largest m for which the Hessian is formed.
DENSE_BRANCH = 27
#: Smallest relative residual that an iteration is asked for, and the most products with the Hessian that it may take.
TIGHT, MOST_PRODUCTS = 1e-13, 400
#: Eigenvalues of a class that a Lanczos iteration gives at first.
FEW = 3


@dataclass(frozen=True, eq=False)
class Bordered:
    """The system ``[𝓗, f; ⟨T, ·⟩, τ]`` at one kernel.

    Attributes:
        state: where 𝓗 is taken, along straight lines.
        positions: where directions may have entries, of ``to_vector``.
        force: f, the change of the gradient with the parameter.
        tangent, rate: T and τ, the direction to be left out and its parameter component.
    """

    state: KernelPoint
    positions: IntArray
    force: FloatArray
    tangent: FloatArray
    rate: float

    @classmethod
    def fixed(cls, state: KernelPoint, positions: IntArray) -> Bordered:
        """The system with the parameter held fixed."""
        zero = np.zeros_like(state.H)
        return cls(state, positions, zero, zero, 1.0)

    def solve(self, right: tuple[FloatArray, float], tolerance: float) -> tuple[FloatArray, float]:
        """``(S, change)`` with ``𝓗S + f·change = R`` and ``⟨T, S⟩ + τ·change = r``, for ``right = (R, r)``.

        Args:
            right: R and r.
            tolerance: on the relative residual of an iteration; small problems are solved exactly.

        Raises:
            NotSolvedError: the iteration does not reach the tolerance.
            numpy.linalg.LinAlgError: the system is singular.
        """
        if self.state.functional.dimension <= DENSE_BRANCH:
            solved = solve_factorised(self._factors, np.append(to_vector(right[0])[self.positions], right[1]))
            return from_vector(solved[:-1], len(self.state.H), self.positions), float(solved[-1])
        return self._iterated(right, tolerance)

    @cached_property
    def _factors(self) -> tuple[FloatArray, IntArray]:
        """LU factors of the whole bordered system."""
        d = len(self.positions)
        system = np.empty((d + 1, d + 1))
        system[:d, :d] = _whole(self.state, self.positions)
        system[:d, d], system[d, :d] = to_vector(np.array([self.force, self.tangent]))[:, self.positions]
        system[d, d] = self.rate
        return lu_factors(system)

    def _iterated(self, right: tuple[FloatArray, float], tolerance: float) -> tuple[FloatArray, float]:
        import scipy.sparse.linalg as spla

        from numerics.linear.krylov import Preconditioned

        m, d = len(self.state.H), len(self.positions)
        mask = mask_of(self.positions, m)
        inner = Preconditioned(self.state, mask)
        force, tangent, above = (
            inner.vector(inner.root_transposed(S)) for S in (self.force, self.tangent, right[0] * mask)
        )

        def product(z: FloatArray) -> FloatArray:
            z = np.ravel(z)
            return np.append(inner.operator.matvec(z[:d]) + z[d] * force, tangent @ z[:d] + self.rate * z[d])

        system = spla.LinearOperator((d + 1, d + 1), matvec=product, dtype=np.float64)
        solved, unfinished = spla.gmres(
            system, np.append(above, right[1]), rtol=max(tolerance, TIGHT), atol=0.0, restart=MOST_PRODUCTS, maxiter=1
        )
        if unfinished:
            raise NotSolvedError("GMRES did not reach its tolerance")
        return inner.root(inner.matrix(solved[:d], m)), float(solved[d])


def null_direction(state: KernelPoint, positions: IntArray, force: FloatArray) -> tuple[FloatArray, float]:
    """``(S, change)`` of unit length with ``𝓗S + f·change = 0`` and ``change ≥ 0``."""
    if state.functional.dimension <= DENSE_BRANCH:
        system = np.column_stack([_whole(state, positions), to_vector(force)[positions]])
        null = np.linalg.svd(system)[2][-1]
        null *= 1.0 if null[-1] >= 0 else -1.0
        return from_vector(null[:-1], len(force), positions), float(null[-1])
    zero = np.zeros_like(force)
    S, change = Bordered(state, positions, force, zero, 1.0).solve((zero, 1.0), TIGHT)
    length = float(np.sqrt(np.vdot(S, S) + change**2))
    return S / length, change / length


def lowest_modes(state: KernelPoint, positions: IntArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues, increasing, and unit directions S of the Hessian at some positions, (k,) and (k, m, m).

    All of them for small kernels. For larger ones those of ``Kᵀ𝓗K`` (as many are negative or zero as of 𝓗, in the same
    directions): all the negative ones, and at least one that is not.

    Raises:
        NotSolvedError: the Lanczos iteration does not converge.
    """
    m = state.functional.dimension
    if m <= DENSE_BRANCH:
        values, vectors = np.linalg.eigh(_whole(state, positions))
        return values, from_vector(vectors.T, m, positions)
    from numerics.linear.krylov import Preconditioned

    inner, count = Preconditioned(state, mask_of(positions, m)), FEW
    while True:
        values, modes = inner.smallest(min(count, len(inner.positions)))
        if values[-1] > 0 or len(values) == len(inner.positions):
            return values, modes
        count *= 2


def spectra(state: KernelPoint, classes: Sequence[IntArray]) -> tuple[FloatArray, ...]:
    """The eigenvalues of `lowest_modes` on each of some classes of positions of ``to_vector``."""
    m = state.functional.dimension
    if m > DENSE_BRANCH:
        return tuple(lowest_modes(state, positions)[0] for positions in classes)
    return tuple(np.asarray(np.linalg.eigvalsh(block)) for block in _blocks(state, classes))


def negative_counts(state: KernelPoint, classes: Sequence[IntArray]) -> tuple[int, ...]:
    """How many of the eigenvalues of `spectra` are negative on each class."""
    if state.functional.dimension > DENSE_BRANCH:
        return tuple(int(np.count_nonzero(values < 0)) for values in spectra(state, classes))
    return tuple(map(inertia, _blocks(state, classes)))


def _blocks(state: KernelPoint, classes: Sequence[IntArray]) -> list[FloatArray]:
    """The Hessian on each class."""
    if len(classes) == 1:
        return [_whole(state, classes[0])]
    m = state.functional.dimension
    hessian = _whole(state, np.arange(m * (m + 1) // 2))
    return [hessian[np.ix_(kept, kept)] for kept in classes]


def mask_of(positions: IntArray, m: int) -> FloatArray:
    """1 at positions of ``to_vector``, (m, m)."""
    return np.where(from_vector(np.ones(len(positions)), m, positions) != 0, 1.0, 0.0)


def _whole(state: KernelPoint, positions: IntArray) -> FloatArray:
    if state.functional.space.is_tied:
        return assembled(*state.curvature_terms(), positions)
    m = state.functional.dimension
    basis = from_vector(np.eye(m * (m + 1) // 2)[positions], m)
    return np.asarray(to_vector(state.euclidean_hessian_product(basis))[..., positions].T)
