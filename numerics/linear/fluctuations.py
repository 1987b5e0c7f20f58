"""A linear network's kernel at finite width: the expansion of its density around a minimum, to first order in 1/N.

The kernel's density is ``exp(-N F - A)``, ``A = ½ Σ_c ln|v𝒯_cH𝒯_cᵀ+κ| + ½(m+1) ln|H|``, up to a constant; its last
part is the Jacobian from N trajectories to their kernel (docs/theory.md section 13). In ``H = L(1+S)Lᵀ``, with the
Hessian 𝓗 of F along straight lines and roots ``𝓗⁻¹ = Σ_a S_a S_aᵀ``,

``Cov(S) = 𝓗⁻¹/N``,  ``⟨S⟩ = -𝓗⁻¹ r/N``,  ``r = ∇A + ½ Σ_a F'''[·, S_a, S_a] = ∇(A + ½ ln|𝓗|)``.

Third derivatives are in closed form. With the changes ``d_a = w M̂∘(R L S_a Lᵀ Rᵀ)`` of C, and hats for ``K⁻¹·K⁻ᵀ``,
``C = KKᵀ``, those of the entropy are, for a change of S that moves C by ε,

``½ tr ε̂ Σ_a [d̂ĥ + ĥd̂ + d̂d̂ - d̂d̂Ĥ - d̂Ĥd̂ - Ĥd̂d̂] + ½ tr S Σ_a [Lᵀ C⁻¹ d C⁻¹ d C⁻¹ L - S_a S_a]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import scipy.linalg as sla

from numerics.errors import InputError
from numerics.linalg import (
    FloatArray,
    from_vector,
    lower_factor,
    smallest_eigenpairs,
    solve_lower,
    symmetric,
    to_vector,
)
from numerics.linear.functional import KernelPoint, kernel_functional
from numerics.linear.neutral import is_neutral
from numerics.linear.solution import LinearSolution
from numerics.second_order import second_order

#: Largest m for which the m(m+1)/2 entries' Hessian is formed: 0.6 GB.
LARGEST_HESSIAN = 128
#: Numbers in a stack of matrices that are worked on together.
_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Expansion:
    """F around a kernel to second order in S, symmetric matrices as vectors of length s = m(m+1)/2.

    Attributes:
        point: F there.
        hessian: 𝓗, (s, s).
        factor: its lower Cholesky factor.
    """

    point: KernelPoint
    hessian: FloatArray
    factor: FloatArray

    @staticmethod
    def at(point: KernelPoint) -> Expansion:
        """The expansion at a kernel.

        Raises:
            numpy.linalg.LinAlgError: 𝓗 is not positive-definite there.
        """
        m = len(point.L)
        s = m * (m + 1) // 2
        hessian = np.empty((s, s))
        for rows in _parts(s, m):
            unit = np.zeros((rows.stop - rows.start, s))
            unit[:, rows] = np.eye(len(unit))
            hessian[rows] = to_vector(point.euclidean_hessian_product(from_vector(unit, m)))
        hessian = symmetric(hessian)
        return Expansion(point, hessian, lower_factor(hessian))

    @cached_property
    def root(self) -> FloatArray:
        """U with ``𝓗⁻¹ = UUᵀ``, (s, s)."""
        inverse, _ = sla.lapack.dtrtri(self.factor, lower=1)
        return np.asarray(inverse.T)

    @property
    def log_determinant(self) -> float:
        """``ln|𝓗|``."""
        return 2 * float(np.log(self.factor.diagonal()).sum())

    def roots(self) -> Iterator[FloatArray]:
        """The S_a, in stacks (…, m, m)."""
        for rows in _parts(len(self.hessian), len(self.point.L)):
            yield from_vector(self.root.T[rows], len(self.point.L))

    def solved(self, force: FloatArray) -> FloatArray:
        """``-𝓗⁻¹`` of a gradient in S, (m, m)."""
        return from_vector(-self.root @ (self.root.T @ to_vector(force)), len(force))

    @cached_property
    def force(self) -> FloatArray:
        """r, (m, m)."""
        point, f = self.point, self.point.functional
        L, m = point.L, len(point.L)
        inverse = solve_lower(lower_factor(point.covariance), np.eye(m))
        frame = inverse @ L
        H = frame @ frame.T
        squares, dd, dh, dHd = (np.zeros((m, m)) for _ in range(4))
        energies = [(part.response.T @ part.response, part.q, part.target.labels.shape[1]) for part in point.energies]
        bent, spread = (np.zeros((len(energies), m, m)) for _ in range(2))
        for S in self.roots():
            d = inverse @ (f.w * f.space.shifted(L @ S @ L.T)) @ inverse.T
            squares += _summed(S, S)
            dd += _summed(d, d)
            dh += _summed(d, frame @ S @ frame.T)
            dHd += _summed(d, H @ d)
            for place, (response, q, _) in enumerate(energies):
                bent[place] += _summed(S, response @ S)
                spread[place] += _summed(S @ q, (S @ q).transpose(0, 2, 1))
        moved = dh + dh.T + dd - dd @ H - dHd - H @ dd
        force = 0.5 * frame.T @ dd @ frame - 0.5 * squares
        force += 0.5 * f.w * L.T @ f.space.shifted_back(inverse.T @ moved @ inverse) @ L
        for place, (response, q, outputs) in enumerate(energies):
            pulled = response @ bent[place] @ q @ q.T
            force += 0.5 * f.v * outputs * response
            force -= 0.5 * f.v**3 * (pulled + pulled.T + response @ spread[place] @ response)
        return symmetric(force) + 0.5 * (m + 1) * np.eye(m)


def _parts(count: int, m: int) -> Iterator[slice]:
    """Places of `count` matrices (m, m), some at a time."""
    size = max(1, _AT_ONCE // m**2)
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def _summed(first: FloatArray, second: FloatArray) -> FloatArray:
    """``Σ_a A_a B_a``."""
    return np.asarray(np.tensordot(first, second, axes=((0, 2), (0, 1))))


@lru_cache(maxsize=2)
def fluctuations(state: LinearSolution) -> Expansion:
    """The expansion at a minimum.

    Raises:
        InputError: the state is no isolated minimum, or the kernel is too large.
    """
    functional = kernel_functional(state.problem)
    m = functional.dimension
    if m > LARGEST_HESSIAN:
        raise InputError(
            f"solution: has {m} kernel rows; accepted: at most {LARGEST_HESSIAN}, as the Hessian has a row for "
            "each entry"
        )
    if not state.stable:
        raise InputError("solution: is no minimum of the free energy; accepted: a stable state")
    point = functional.at(state.reduced)
    try:
        found = Expansion.at(point)
        smallest, mode = smallest_eigenpairs(found.hessian, 1)
        neutral = is_neutral(point, float(smallest[0]), from_vector(mode[:, 0], m))
    except np.linalg.LinAlgError:  # an eigenvalue that is 0 within rounding
        neutral = True
    if neutral:
        raise InputError(
            "solution: is one of a manifold of minima with equal free energy, along which networks of any width "
            "move, so that fluctuations around it do not exist; accepted: an isolated minimum"
        )
    return found


def changes(state: LinearSolution) -> Iterator[FloatArray]:
    """c_a with ``N Cov(H_ij, H_kl) → Σ_a c_{a,ij} c_{a,kl}``, in stacks (…, nP, nP).

    Raises:
        InputError: as for `fluctuations`.
    """
    found = fluctuations(state)
    frame = _frame(found.point)
    return (frame @ S @ frame.T for S in found.roots())


def mean_shift(state: LinearSolution) -> FloatArray:
    """``lim N (⟨H⟩_N - H)``, (nP, nP).

    Raises:
        InputError: as for `fluctuations`.
    """
    found = fluctuations(state)
    return _moved(found, found.solved(found.force))


def next_term(state: LinearSolution, width: int) -> FloatArray:
    """Size of what the mean kernel has beyond first order in 1/N, (nP, nP); infinite where it cannot be found.

    Raises:
        InputError: as for `fluctuations`.
    """
    found = fluctuations(state)
    L = found.point.L
    try:
        moved = np.eye(len(L)) + found.solved(found.force) / width
        there = Expansion.at(found.point.functional.at(symmetric(L @ moved @ L.T)))
    except np.linalg.LinAlgError:
        return np.full_like(state.kernel, np.inf)
    step = _moved(there, there.solved(there.point.gradient + there.force / width))
    variance = sum(float(np.sum(each**2)) for each in changes(state))
    return second_order(step, state.kernel, variance, mean_shift(state), width)


def _frame(point: KernelPoint) -> FloatArray:
    """What turns a change S into one of the kernel."""
    return np.asarray(point.functional.space.full_basis() @ point.L)


def _moved(found: Expansion, S: FloatArray) -> FloatArray:
    frame = _frame(found.point)
    return np.asarray(frame @ S @ frame.T)
