"""The kernel at finite width N: fluctuations and shift of its mean to first order in 1/N, and the exact mean.

The linear network's kernel has, at any width N ≥ m, the exact density (m rows of the unknown matrix, dH flat)

``-ln P(H) = N F(H) + A(H) + const``,  ``A = ½ ln|v𝒯H𝒯ᵀ+κ| + ½(m+1) ln|H|``:

the first part of A comes from integrating out the read-out, the second is the Jacobian from N trajectories to their
kernel (that of the Wishart law). Around a minimum, with ``H = L(1+S)Lᵀ`` and the Hessian 𝓗 of F in S,

``Cov(S) = 𝓗⁻¹/N``,  ``⟨S⟩ = -(1/N) 𝓗⁻¹ (∇A + ½ Σ_jk F'''_{·jk} (𝓗⁻¹)_jk)``  up to higher orders in 1/N.

Close to a transition the higher orders are not small. There the mean is found from the density itself, by importance
sampling from a Student distribution with the shape of this expansion (`kernel_mean`, for small kernels).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla

from numerics.problem import FloatArray, InputError
from numerics.saddle.functional import KernelPoint, kernel_functional, symmetric
from numerics.solution import Solution

#: Largest m for which the m(m+1)/2 modes are computed densely.
LARGEST_DIMENSION = 64
#: Step of the central difference (five points) of exact Hessian products that gives the third derivative.
_STEP = 1e-3
_CHUNK = 256
#: Most independent entries for importance sampling, degrees of freedom of its proposal, and how much wider it is.
LARGEST_SAMPLED, _STUDENT, _WIDER = 21, 8, 1.15
_BLOCK = 40_000


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


@dataclass(frozen=True, eq=False)
class FiniteWidthMean:
    """Mean and width of the kernel at one network width, from the exact density.

    Attributes:
        kernel: ``⟨H⟩_N``, (nP, nP).
        sd: standard deviation of the kernel's entries, (nP, nP).
        standard_error: of ``kernel``, from the draws' weights, (nP, nP).
        ess: effective number of draws, ``(Σω)²/Σω²``.
    """

    kernel: FloatArray
    sd: FloatArray
    standard_error: FloatArray
    ess: float


def kernel_mean(
    solution: Solution, width: int, *, one_sign: bool = False, draws: int = 400_000, seed: int = 0
) -> FiniteWidthMean:
    """``⟨H⟩_N`` under the exact density of the kernel around a minimum, by importance sampling.

    Args:
        solution: a minimum of F; at most `LARGEST_SAMPLED` independent entries.
        width: N ≥ m.
        one_sign: only kernels whose order parameter ``Σ_p H^{T-1,T-2}_{pp}`` has the sign of the solution's: where
            W → -W is a symmetry, this is the mean of draws that are taken to that sign one by one.
        draws: number of draws from the proposal.
        seed: of the draws.

    Raises:
        InputError: as for `kernel_sd`, and for a width below m or a kernel with too many entries.
    """
    _require_width(width)
    at = _modes(solution)
    f, size = at.point.functional, len(at.values)
    if size > LARGEST_SAMPLED or width < f.dimension:
        raise InputError(
            f"problem: has {size} kernel entries at width {width}; accepted: at most {LARGEST_SAMPLED}, and a width "
            f"≥ {f.dimension}"
        )
    rng = np.random.default_rng(seed)
    # a Student distribution: its tails are heavier than the density's
    x = rng.standard_normal((draws, size)) / np.sqrt(rng.chisquare(_STUDENT, (draws, 1)) / _STUDENT)
    log_proposal = -0.5 * (_STUDENT + size) * np.log1p(np.sum(x**2, axis=1) / _STUDENT)
    S = np.tensordot(x * _WIDER / np.sqrt(width * at.values), at.modes, axes=1)
    one_plus_S = np.eye(f.dimension) + S
    blocks = np.array_split(one_plus_S, -(-draws // _BLOCK))
    log_density = -np.concatenate([_action(at.point, block, width) for block in blocks])
    kernels = at.frame @ one_plus_S @ at.frame.T
    if one_sign:
        P = solution.problem.P
        order = np.trace(kernels[:, -P:, -2 * P : -P], axis1=1, axis2=2)
        log_density[order * np.trace(solution.order_parameter) < 0] = -np.inf
    weights = np.exp(log_density - log_proposal - np.max(log_density - log_proposal))
    weights /= weights.sum()
    mean = np.tensordot(weights, kernels, axes=1)
    squares = (kernels - mean) ** 2
    sd, error = (np.sqrt(np.tensordot(power, squares, axes=1)) for power in (weights, weights**2))
    return FiniteWidthMean(mean, sd, error, float(1 / np.sum(weights**2)))


def _action(point: KernelPoint, one_plus_S: FloatArray, width: int) -> FloatArray:
    """``N F + A`` at ``L(1+S)Lᵀ`` for a stack of S, (draws,); infinite where that is not positive-definite."""
    f = point.functional
    allowed = np.linalg.eigvalsh(one_plus_S)[:, 0] > 0
    H = point.L @ one_plus_S[allowed] @ point.L.T
    # C is affine in H: its linear part on each unit matrix, applied to the stack
    basis = _symmetric_basis(f.dimension)
    units = np.array([f.w * f.space.shifted(unit, f.arch) for unit in basis]).reshape(len(basis), -1)
    coordinates = H.reshape(len(H), -1) @ basis.reshape(len(basis), -1).T
    C = f.input_covariance + (coordinates @ units).reshape(H.shape)
    gram = f.v * f.readout @ H @ f.readout.T + f.kappa * np.eye(len(f.labels))
    log_H, log_C, log_gram = (np.linalg.slogdet(matrix)[1] for matrix in (H, C, gram))
    dual = np.linalg.solve(gram, np.broadcast_to(f.labels, (len(H), len(f.labels)))[..., None])[..., 0]
    trace = np.trace(np.linalg.solve(C, H), axis1=1, axis2=2)
    F = 0.5 * (dual @ f.labels + trace - log_H + log_C)
    action = np.full(len(allowed), np.inf)
    action[allowed] = width * F + 0.5 * log_gram + 0.5 * (f.dimension + 1) * log_H
    return action


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
