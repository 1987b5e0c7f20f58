"""The kernel at finite width N, to first order in 1/N: its fluctuations, and the shift of its mean.

The linear network's kernel has, at any width N ≥ m, the exact density (m rows of the unknown matrix, dH flat)

``-ln P(H) = N F(H) + A(H) + const``,  ``A = ½ ln|v𝒯H𝒯ᵀ+κ| + ½(m+1) ln|H|``:

the first part of A comes from integrating out the read-out, the second is the Jacobian from N trajectories to their
kernel (that of the Wishart law). Around a minimum, with ``H = L(1+S)Lᵀ`` and the Hessian 𝓗 of F in S,

``Cov(S) = 𝓗⁻¹/N``,  ``⟨S⟩ = -(1/N) 𝓗⁻¹ (∇A + ½ Σ_jk F'''_{·jk} (𝓗⁻¹)_jk)``  up to higher orders in 1/N.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.functional import KernelPoint, kernel_functional, symmetric
from numerics.problem import FloatArray, InputError
from numerics.solution import Solution

#: Largest m for which the m(m+1)/2 modes are computed densely.
LARGEST_DIMENSION = 64
#: Step of the central difference (five points) of exact Hessian products that gives the third derivative.
_STEP = 1e-3
_CHUNK = 256


def kernel_sd(solution: Solution, width: int) -> FloatArray:
    """Standard deviation of each kernel entry at width N, ``√(diag Cov)``, (nP, nP).

    Raises:
        InputError: the state is no minimum, N < 1, or the kernel is too large for a dense Hessian.
    """
    _require_width(width)
    at = _modes(solution)
    variance = np.zeros_like(solution.kernel)
    for value, change in zip(at.values, at.changes(at.modes), strict=True):
        variance += change**2 / value
    return np.sqrt(variance / width)


def kernel_covariance(solution: Solution, width: int) -> FloatArray:
    """Covariance of the kernel's entries at width N, (nP, nP, nP, nP).

    Raises:
        InputError: as for `kernel_sd`.
    """
    _require_width(width)
    at = _modes(solution)
    weighted = np.array(list(at.changes(at.modes))) / np.sqrt(at.values)[:, None, None]
    return np.asarray(np.einsum("kab,kcd->abcd", weighted, weighted, optimize=True) / width)


def kernel_shift(solution: Solution) -> FloatArray:
    """``lim N (⟨H⟩_N - H)``: the mean kernel at width N is ``H + shift/N``, (nP, nP).

    Where W → -W relates two minima, this is the mean within one of them.

    Raises:
        InputError: the state is no minimum, or the kernel is too large for a dense Hessian.
    """
    at = _modes(solution)
    force = _measure_gradient(at.point)
    for value, mode in zip(at.values, at.modes, strict=True):
        force = force + 0.5 * _third_derivative(at.point, mode) / value
    mean = np.zeros_like(force)
    for value, mode in zip(at.values, at.modes, strict=True):
        mean -= np.vdot(mode, force) / value * mode
    return next(at.changes([mean]))


def _require_width(width: int) -> None:
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1:
        raise InputError(f"width: is {width}; accepted: an integer ≥ 1")


@dataclass(frozen=True, eq=False)
class _Modes:
    """Eigenvalues of 𝓗, its orthonormal modes S, and the frame that turns a change S into one of the kernel."""

    point: KernelPoint
    values: FloatArray
    modes: FloatArray
    frame: FloatArray

    def changes(self, modes: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """``Q L S Lᵀ Qᵀ`` for each S, (nP, nP)."""
        return (self.frame @ mode @ self.frame.T for mode in modes)


def _modes(solution: Solution) -> _Modes:
    functional = kernel_functional(solution.problem)
    m = functional.dimension
    if m > LARGEST_DIMENSION:
        raise InputError(
            f"problem: has {m} kernel rows; accepted: at most {LARGEST_DIMENSION} for corrections at finite width"
        )
    if not solution.stable:
        raise InputError("solution: is no minimum of the free energy; accepted: a stable state")
    point = functional.at(solution.reduced)
    basis = _symmetric_basis(m)
    flat = basis.reshape(len(basis), -1)
    chunks = (basis[start : start + _CHUNK] for start in range(0, len(basis), _CHUNK))
    hessian = np.concatenate(
        [point.euclidean_hessian_product(chunk).reshape(len(chunk), -1) @ flat.T for chunk in chunks]
    )
    values, vectors = np.linalg.eigh(symmetric(hessian))
    return _Modes(point, values, np.tensordot(vectors.T, basis, axes=1), functional.space.full_basis() @ point.L)


def _symmetric_basis(m: int) -> FloatArray:
    """An orthonormal basis of the symmetric m × m matrices, (m(m+1)/2, m, m)."""
    rows, columns = np.triu_indices(m)
    basis = np.zeros((len(rows), m, m))
    size = np.where(rows == columns, 1.0, np.sqrt(0.5))
    basis[np.arange(len(rows)), rows, columns] = size
    basis[np.arange(len(rows)), columns, rows] = size
    return basis


def _measure_gradient(point: KernelPoint) -> FloatArray:
    """``∇A`` in S: ``½ v Rᵀ(vRRᵀ+κ)⁻¹R + ½(m+1)``, ``R = 𝒯L``."""
    f = point.functional
    R = f.readout @ point.L
    gram = f.v * R @ R.T + f.kappa * np.eye(len(R))
    gradient = 0.5 * f.v * R.T @ sla.solve(gram, R, assume_a="pos")
    return symmetric(gradient + 0.5 * (f.dimension + 1) * np.eye(f.dimension))


def _third_derivative(point: KernelPoint, mode: FloatArray) -> FloatArray:
    """``F'''[·, mode, mode]``: the change of the exact product ``𝓗 mode`` along the mode, fourth order in the step."""

    def product(step: float) -> FloatArray:
        moved = point.functional.at(point.L @ (np.eye(len(mode)) + step * mode) @ point.L.T)
        frame = sla.solve_triangular(moved.L, point.L, lower=True)
        return np.asarray(frame.T @ moved.euclidean_hessian_product(frame @ mode @ frame.T) @ frame)

    near = product(_STEP) - product(-_STEP)
    far = product(2 * _STEP) - product(-2 * _STEP)
    return (8 * near - far) / (12 * _STEP)
