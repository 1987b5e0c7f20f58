"""Iterative linear algebra with the Hessian of large kernels, relative to the Hessian of the random network.

At the random network's kernel ``H = C`` the Hessian factorises, ``𝓗₀ = ½(1-𝒟)ᵀ(1-𝒟)`` with ``𝒟S = L⁻¹ w[LSLᵀ]⁻ L⁻ᵀ``,
the change of C by that of H one time before. 𝒟 is nilpotent, so that ``(1-𝒟)⁻¹`` is a recursion forwards in time. With
the L of any kernel and ``K = √2 (1-𝒟)⁻¹`` the eigenvalues of ``Kᵀ𝓗K`` are 1 except along directions that the labels
act on, whatever n, and as many are negative as of 𝓗: conjugate gradients, MINRES and Lanczos
iterations on ``Kᵀ𝓗K`` take few products. 𝓗 is the Hessian along straight lines (``euclidean_hessian_product``);
at a stationary kernel it is the one of the natural metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from numerics.errors import NotSolvedError
from numerics.linalg import FloatArray, from_vector, symmetric, to_vector
from numerics.linear import recursion
from numerics.linear.functional import KernelPoint

#: Most products of one linear solve.
MOST_PRODUCTS = 1000
#: Most directions for which the eigenvalues are those of the whole matrix; what is taken off all of them else.
DENSE, SHIFT = 60, 2.0
#: Right-hand sides are solved in stacks of at most this many numbers.
STACK = 4_000_000


@dataclass(frozen=True, eq=False)
class Preconditioned:
    """``Kᵀ𝓗K`` at one kernel, on directions S that a mask leaves.

    Attributes:
        point: the kernel.
        mask: 1 where directions may have entries, (m, m), None for everywhere. 𝓗 and 𝒟 must map such directions to
            such (``lag_classes.classes_of``): the mask only removes rounding.
    """

    point: KernelPoint
    mask: FloatArray | None = None

    def root(self, Z: FloatArray) -> FloatArray:
        """``KZ``, for one direction or a stack (…, m, m)."""
        return self._kept(recursion.root(self.point, Z))

    def root_transposed(self, S: FloatArray) -> FloatArray:
        """``KᵀS``."""
        return self._kept(recursion.root_transposed(self.point, S))

    def product(self, Z: FloatArray) -> FloatArray:
        """``Kᵀ𝓗KZ``."""
        return self.root_transposed(self._kept(self.point.euclidean_hessian_product(self.root(Z))))

    def _kept(self, S: FloatArray) -> FloatArray:
        S = symmetric(S)
        return S if self.mask is None else self.mask * S

    def solve(self, right: FloatArray, *, tolerance: float = 1e-12) -> FloatArray:
        """``𝓗⁻¹R`` at a minimum, for a stack (k, m, m), by conjugate gradients.

        Raises:
            NotSolvedError: the tolerance is not reached, or the Hessian is not positive-definite.
        """
        m = right.shape[-1]
        size = max(1, STACK // (m * m))
        chunks = [right[start : start + size] for start in range(0, len(right), size)]
        return np.concatenate([self._conjugate_gradients(chunk, tolerance) for chunk in chunks])

    def _conjugate_gradients(self, right: FloatArray, tolerance: float) -> FloatArray:
        b = self.root_transposed(right)
        z, r = np.zeros_like(b), b.copy()
        p, rr = r.copy(), _squares(r)
        goal = tolerance**2 * rr
        for _ in range(MOST_PRODUCTS):
            if (rr <= goal).all():
                return self.root(z)
            Ap = self.product(p)
            curvature = np.einsum("kij,kij->k", p, Ap)
            active = rr > goal
            if (curvature[active] <= 0).any():
                raise NotSolvedError("the Hessian is not positive-definite")
            step = np.where(active, rr / np.where(active, curvature, 1.0), 0.0)[:, None, None]
            z, r = z + step * p, r - step * Ap
            new = _squares(r)
            p = r + np.where(active, new / np.where(active, rr, 1.0), 0.0)[:, None, None] * p
            rr = np.where(active, new, rr)
        raise NotSolvedError(f"the tolerance {tolerance:.0e} was not reached in {MOST_PRODUCTS} products")

    def smallest(self, count: int) -> tuple[FloatArray, FloatArray]:
        """The ``count`` smallest eigenvalues of ``Kᵀ𝓗K``, and unit directions ``S = KZ``, (count,) and (count, m, m).

        Raises:
            NotSolvedError: the Lanczos iteration does not converge.
        """
        d, m = len(self.positions), self.point.functional.dimension
        if d <= DENSE:
            values, vectors = np.linalg.eigh(self.vector(self.product(self.matrix(np.eye(d), m))))
            values, vectors = values[:count], vectors[:, :count]
        else:
            # moved away from 0, relative to which the iteration's tolerance is meant
            moved = self.operator - SHIFT * spla.aslinearoperator(scipy.sparse.eye_array(d))
            start, kept = np.random.default_rng(0).standard_normal(d), min(d - 1, max(4 * count + 20, 40))
            try:
                values, vectors = spla.eigsh(moved, k=count, which="SA", tol=1e-11, v0=start, ncv=kept, maxiter=300)
            except spla.ArpackNoConvergence as error:
                raise NotSolvedError("the Lanczos iteration did not converge") from error
            values = values + SHIFT
        order = np.argsort(values)
        modes = self.root(self.matrix(vectors.T[order], m))
        return values[order], modes / np.sqrt(_squares(modes))[:, None, None]

    @cached_property
    def positions(self) -> NDArray[np.intp]:
        """Positions in ``to_vector`` that the mask leaves."""
        m = self.point.functional.dimension
        if self.mask is None:
            return np.arange(m * (m + 1) // 2)
        return np.flatnonzero(to_vector(self.mask))

    def vector(self, S: FloatArray) -> FloatArray:
        """Orthonormal coordinates on the mask, (…, d)."""
        return np.asarray(to_vector(S)[..., self.positions])

    def matrix(self, z: FloatArray, m: int) -> FloatArray:
        """Inverse of ``vector``."""
        return from_vector(z, m, self.positions)

    @cached_property
    def operator(self) -> spla.LinearOperator:
        """``Kᵀ𝓗K`` on coordinates, (d, d)."""
        size, m = len(self.positions), self.point.functional.dimension

        def product(z: FloatArray) -> FloatArray:
            return self.vector(self.product(self.matrix(np.ravel(z), m)))

        return spla.LinearOperator((size, size), matvec=product, dtype=np.float64)


def _squares(S: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("kij,kij->k", S, S))
