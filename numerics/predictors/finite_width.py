"""The kernel at finite width N: fluctuations and shift of its mean to first order in 1/N, and the exact mean.

See docs/theory.md section 13.

A linear network's kernel has, at any width N ≥ m, an exact density ``exp(-N F - A)`` (`numerics.linear.fluctuations`).
The volume element is ``dH = |H|^{(m+1)/2} dS``, which cancels a part of A, so that the probability of the region around
a minimum is, up to a factor that all minima share,

``∫ P dH = exp(-N F - ½ Σ_c ln|v𝒯_cH𝒯_cᵀ+κ|) (2π/N)^{m(m+1)/4} |𝓗|^{-1/2} (1 + O(1/N))``  (`log_mass`).

Close to a transition the higher orders are not small. There mean and probability are found from the density itself, by
importance sampling from a Student distribution with the shape of this expansion (`kernel_mean`, for small kernels).

Other networks' kernels have no explicit density: `numerics.nonlinear.fluctuations` has their terms of order 1/N.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.inputs.arguments import of_state
from numerics.inputs.scalars import integer
from numerics.linalg import FloatArray, from_vector, stacked_factors, stacked_solve_lower
from numerics.linear import fluctuations as linear
from numerics.linear.functional import KernelFunctional, KernelPoint
from numerics.linear.solution import linear_state
from numerics.nonlinear import fluctuations as nonlinear
from numerics.nonlinear.solution import NonlinearSolution
from numerics.progress import Progress, watched
from numerics.results.solution import Solution
from numerics.threads import one_thread

#: Most independent entries for importance sampling, degrees of freedom of its proposal, and how much wider it is.
LARGEST_SAMPLED, _STUDENT, _WIDER = 21, 8, 1.15
_BLOCK = 40_000


@of_state
@one_thread
def kernel_sd(solution: Solution, width: int, *, progress: bool | Progress | None = None) -> FloatArray:
    """Standard deviation of each kernel entry at width N, ``√(diag Cov)``, (nP, nP), for any activation.

    `progress` is as in `numerics.solve`: a nonlinear network's fluctuations can take a minute.

    Raises:
        InputError: the state is no isolated minimum, N < 1, or the kernel is too large for a dense Hessian.
        NotSolvedError: a nonlinear state's points are too few for its kernel.

    Example:
        >>> import unrolled
        >>> state = unrolled.solve(unrolled.endpoint(T=4, signal=5.0))
        >>> unrolled.kernel_sd(state, 256).diagonal().round(3)
        array([0.106, 0.232, 0.429])
    """
    _require_width(width)
    variance = np.zeros_like(solution.kernel)
    with watched(progress, f"fluctuations at N = {width}"):
        for change in kernel_changes(solution):
            variance += change**2
    return np.sqrt(variance / width)


def kernel_changes(solution: Solution) -> Iterator[FloatArray]:
    """Independent changes c_a of the kernel, (nP, nP) each: ``N Cov(Φ_ij, Φ_kl) → Σ_a c_{a,ij} c_{a,kl}``.

    Raises:
        InputError, NotSolvedError: as for `kernel_sd`.
    """
    if isinstance(solution, NonlinearSolution):
        yield from nonlinear.fluctuations(solution).changes
        return
    for stack in linear.changes(linear_state(solution)):
        yield from stack


@of_state
@one_thread
def kernel_shift(solution: Solution, *, progress: bool | Progress | None = None) -> FloatArray:
    """``lim N (⟨Φ⟩_N - Φ)``: the mean kernel at width N is ``Φ + shift/N``, (nP, nP), for any activation.

    Where a sign symmetry relates minima, this is the mean within one of them. `progress` is as in `kernel_sd`.

    Raises:
        InputError, NotSolvedError: as for `kernel_sd`.
    """
    with watched(progress, "shift of the kernel"):
        return _shift(solution)


def _shift(solution: Solution) -> FloatArray:
    if isinstance(solution, NonlinearSolution):
        return nonlinear.fluctuations(solution).shift
    return linear.mean_shift(linear_state(solution))


@one_thread
def next_order(solution: Solution, width: int) -> FloatArray:
    """Size of the mean kernel's terms beyond ``Φ + shift/N``, (nP, nP); infinite where N is too small to expand in 1/N.

    For a small kernel of a linear network it is from the exact density, less the noise of the draws; else from the next
    step of the expansion (`numerics.second_order`).

    Raises:
        InputError, NotSolvedError: as for `kernel_sd`.
    """
    _require_width(width)
    if isinstance(solution, NonlinearSolution):
        return nonlinear.next_term(nonlinear.fluctuations(solution), width)
    state = linear_state(solution)
    rows = len(state.reduced)
    if rows * (rows + 1) // 2 > LARGEST_SAMPLED or width < rows:
        return linear.next_term(state, width)
    exact = kernel_mean(solution, width, one_sign=solution.branch == "coherent")
    off = exact.kernel - solution.kernel - kernel_shift(solution) / width
    return np.sqrt(np.maximum(off**2 - exact.standard_error**2, 0.0))


@dataclass(frozen=True, eq=False)
class FiniteWidthMean:
    """Mean and width of the kernel at one network width, from the exact density.

    Attributes:
        kernel: ``⟨H⟩_N``, (nP, nP).
        sd: standard deviation of the kernel's entries, (nP, nP).
        standard_error: of ``kernel``, from the draws' weights, (nP, nP).
        ess: effective number of draws, ``(Σω)²/Σω²``.
        log_mass: log of the region's probability, in the units of `log_mass`.
        log_mass_error: its standard error.
    """

    kernel: FloatArray
    sd: FloatArray
    standard_error: FloatArray
    ess: float
    log_mass: float
    log_mass_error: float


@one_thread
def kernel_mean(
    solution: Solution,
    width: int,
    *,
    one_sign: bool = False,
    within: Callable[[FloatArray], NDArray[np.bool_]] | None = None,
    draws: int = 400_000,
    seed: int = 0,
) -> FiniteWidthMean:
    """``⟨H⟩_N`` under the exact density of the kernel around a minimum, by importance sampling.

    Args:
        solution: a minimum of F; at most `LARGEST_SAMPLED` independent entries.
        width: N ≥ m.
        one_sign: only kernels whose order parameter ``Σ_p H^{T-1,T-2}_{pp}`` has the sign of the solution's: where
            W → -W is a symmetry, this is the mean of draws that are taken to that sign one by one.
        within: whether each of some kernels, (k, nP, nP), belongs to the region, (k,); all do unless given.
        draws: number of draws from the proposal.
        seed: of the draws.

    Raises:
        InputError: as for `kernel_sd`, and for a width below m or a kernel with too many entries.
    """
    _require_width(width)
    at = linear.fluctuations(linear_state(solution))
    f, size = at.point.functional, len(at.hessian)
    if size > LARGEST_SAMPLED or width < f.dimension:
        raise InputError(
            f"problem: has {size} kernel entries at width {width}; accepted: at most {LARGEST_SAMPLED}, and a width "
            f"≥ {f.dimension}"
        )
    rng = np.random.default_rng(seed)
    # a Student distribution: its tails are heavier than the density's
    x = rng.standard_normal((draws, size)) / np.sqrt(rng.chisquare(_STUDENT, (draws, 1)) / _STUDENT)
    log_proposal = -0.5 * (_STUDENT + size) * np.log1p(np.sum(x**2, axis=1) / _STUDENT)
    one_plus_S = np.eye(f.dimension) + from_vector(_WIDER / math.sqrt(width) * x @ at.root.T, f.dimension)
    blocks = np.array_split(one_plus_S, -(-draws // _BLOCK))
    log_density = -np.concatenate([_action(at.point, block, width) for block in blocks])
    frame = f.space.full_basis() @ at.point.L
    kernels = frame @ one_plus_S @ frame.T
    if one_sign:
        P = solution.problem.P
        order = np.trace(kernels[:, -P:, -2 * P : -P], axis1=1, axis2=2)
        log_density[order * np.trace(solution.order_parameter) < 0] = -np.inf
    if within is not None:
        inside = [within(block) for block in np.array_split(kernels, len(blocks))]
        log_density[~np.concatenate(inside)] = -np.inf
    log_weights = log_density - log_proposal
    top = float(np.max(log_weights))
    weights = np.exp(log_weights - top)
    # of the draws' density: the Student's constant, and the volume from its coordinates to those of H
    volume = size * math.log(_WIDER / math.sqrt(width)) - 0.5 * at.log_determinant
    volume += 0.5 * (f.dimension + 1) * float(np.linalg.slogdet(at.point.H)[1]) - _student_constant(size)
    log_mass = top + math.log(weights.mean()) + volume + 0.5 * width * f.dimension
    weights /= weights.sum()
    mean = np.tensordot(weights, kernels, axes=1)
    squares = (kernels - mean) ** 2
    sd, error = (np.sqrt(np.tensordot(power, squares, axes=1)) for power in (weights, weights**2))
    ess = float(1 / np.sum(weights**2))
    return FiniteWidthMean(mean, sd, error, ess, log_mass, math.sqrt(max(1 / ess - 1 / draws, 0.0)))


def _student_constant(size: int) -> float:
    """Log of the constant that a standard Student density of so many dimensions has in front."""
    lost = 0.5 * size * math.log(_STUDENT * math.pi)
    return math.lgamma(0.5 * (_STUDENT + size)) - math.lgamma(0.5 * _STUDENT) - lost


@one_thread
def log_mass(solution: Solution, width: int) -> float:
    """Log of the probability of the region around a minimum at width N, to leading order in 1/N.

    The constant that all minima of a problem share is left out. A minimum that sign symmetries change has its images
    beside it, which are not counted here.

    Raises:
        InputError, NotSolvedError: as for `kernel_sd`.
    """
    _require_width(width)
    if isinstance(solution, NonlinearSolution):
        return nonlinear.log_mass(nonlinear.fluctuations(solution), solution, width)
    at = linear.fluctuations(linear_state(solution))
    readouts = sum(float(log) for _, log in _read_out(at.point.functional, at.point.H))
    fluctuations = readouts + at.log_determinant - len(at.hessian) * math.log(2 * math.pi / width)
    return -width * solution.free_energy - 0.5 * fluctuations


def _action(point: KernelPoint, one_plus_S: FloatArray, width: int) -> FloatArray:
    """``N F + A`` at ``L(1+S)Lᵀ`` for a stack of S, (draws,); infinite where that is not positive-definite."""
    f = point.functional
    R = stacked_factors(one_plus_S)
    allowed = np.isfinite(R[-1, -1])
    R = R[..., allowed]
    H = point.L @ one_plus_S[allowed] @ point.L.T
    K = stacked_factors(f.covariance(H))
    log_R, log_C = (2 * np.log(np.einsum("iik->ik", factor)).sum(axis=0) for factor in (R, K))
    log_H = log_R + 2 * np.log(point.L.diagonal()).sum()
    trace = np.sum(stacked_solve_lower(K, np.einsum("ia,abk->ibk", point.L, R)) ** 2, axis=(0, 1))
    action = np.full(len(allowed), np.inf)
    action[allowed] = 0.5 * width * (trace - log_H + log_C) + 0.5 * (f.dimension + 1) * log_H
    for labels, log_gram in _read_out(f, H):
        action[allowed] += 0.5 * width * labels + 0.5 * log_gram
    return action


def _read_out(f: KernelFunctional, H: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """``Σ_c y_cᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y_c`` and ``Σ_c ln|v𝒯H𝒯ᵀ+κ|`` of each set of outputs with one supervised set, (…,) for
    kernels (…, m, m)."""
    for target in f.targets:
        y = target.labels
        gram = f.v * target.readout @ H @ target.readout.T + f.kappa * np.eye(len(y))
        dual = np.linalg.solve(gram, np.broadcast_to(y, (*gram.shape[:-2], *y.shape)))
        yield np.sum(y * dual, axis=(-2, -1)), y.shape[1] * np.linalg.slogdet(gram)[1]


def order_one(f: KernelFunctional, H: FloatArray) -> float:
    """A at a kernel (m, m)."""
    readouts = sum(float(log) for _, log in _read_out(f, H))
    return 0.5 * (readouts + (f.dimension + 1) * float(np.linalg.slogdet(H)[1]))


def _require_width(width: int) -> None:
    integer(width, "width", 1)
