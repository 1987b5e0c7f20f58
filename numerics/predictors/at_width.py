"""Functions of the kernel at width N, to first order in 1/N: alignment, coherence and autocorrelation of one network.

For a smooth function f of the kernel, with covariance ``Σ = Σ_a c_a c_aᵀ`` and shift of docs/theory.md section 13,

    N (⟨f⟩_N - f) → ∇f·shift + ½ Σ_a c_aᵀ ∇²f c_a,        N Var f → Σ_a (∇f·c_a)².

Derivatives along the shift and each c_a are central differences. The alignment with the limit has its coefficients in
closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from numerics.linalg import FloatArray, alignment
from numerics.predictors.finite_width import kernel_changes, kernel_shift
from numerics.predictors.observables import autocorrelation, temporal_coherence
from numerics.results.solution import Solution
from numerics.threads import one_thread

#: Length of a difference's step, relative to the kernel; draws of its Gaussian law.
STEP, DRAWS = 1e-3, 20_000


@dataclass(frozen=True, eq=False)
class AtWidth:
    """A function of the kernel.

    Attributes:
        limit: its value at N → ∞.
        shift: ``lim N (⟨f⟩_N - f)``.
        scaled_variance: ``lim N Var f``.
    """

    limit: FloatArray
    shift: FloatArray
    scaled_variance: FloatArray

    def mean(self, width: float) -> FloatArray:
        """``⟨f⟩`` at width N to first order in 1/N."""
        return np.asarray(self.limit + self.shift / width)

    def sd(self, width: float) -> FloatArray:
        """Standard deviation of f over networks of width N."""
        return np.asarray(np.sqrt(self.scaled_variance / width))


@one_thread
def expanded(solution: Solution, function: Callable[[FloatArray], FloatArray]) -> AtWidth:
    """A smooth function of the kernel around a minimum.

    Args:
        solution: a minimum.
        function: of a kernel (nP, nP).

    Raises:
        InputError, NotSolvedError: as for `numerics.kernel_sd`.
    """
    kernel = solution.kernel
    limit, size = np.asarray(function(kernel)), float(np.linalg.norm(kernel))
    shift, variance = _along(function, kernel, kernel_shift(solution), size)[0], np.zeros_like(limit)
    for change in kernel_changes(solution):
        slope, curvature = _along(function, kernel, change, size)
        shift, variance = shift + 0.5 * curvature, variance + slope**2
    return AtWidth(limit, shift, variance)


def _along(
    function: Callable[[FloatArray], FloatArray], kernel: FloatArray, change: FloatArray, size: float
) -> tuple[FloatArray, FloatArray]:
    """First and second derivative of a function along a change of the kernel."""
    step = STEP * size / max(float(np.linalg.norm(change)), np.finfo(float).tiny)
    above, here, below = (np.asarray(function(kernel + sign * step * change)) for sign in (1, 0, -1))
    return (above - below) / (2 * step), (above - 2 * here + below) / step**2


def coherence_at_width(solution: Solution) -> AtWidth:
    """Temporal coherence of one network (docs/theory.md section 9), (n, n).

    Raises:
        InputError, NotSolvedError: as for `numerics.kernel_sd`.
    """
    return expanded(solution, lambda kernel: temporal_coherence(replace(solution, kernel=kernel)))


def autocorrelation_at_width(solution: Solution) -> AtWidth:
    """Autocorrelation of one network (docs/theory.md section 9), (n,).

    Raises:
        InputError, NotSolvedError: as for `numerics.kernel_sd`.
    """
    return expanded(solution, lambda kernel: autocorrelation(replace(solution, kernel=kernel)))


@dataclass(frozen=True, eq=False)
class Misalignment:
    """1 - CKA with the kernel of the limit.

    Attributes:
        single: c, ``⟨1 - CKA⟩ → c/N`` of one network's kernel.
        of_mean: that of the mean kernel is ``of_mean/N²``.
    """

    single: float
    of_mean: float


@one_thread
def misalignment(solution: Solution) -> Misalignment:
    """How 1 - CKA of finite networks with the limit falls (docs/theory.md section 13).

    With ``Φ_N = Φ + δ``, ``1 - CKA(Φ_N, Φ) = ½ |δ_⊥|²/|Φ|² + O(δ³)``, δ_⊥ the part of δ that is orthogonal to Φ in the
    Frobenius product. Fluctuations give c/N and the shift the term of the mean kernel.

    Raises:
        InputError, NotSolvedError: as for `numerics.kernel_sd`.
    """
    unit = solution.kernel / np.linalg.norm(solution.kernel)

    def orthogonal(change: FloatArray) -> float:
        return float(np.sum(change**2) - np.sum(unit * change) ** 2) / (2 * float(np.sum(solution.kernel**2)))

    single = sum(orthogonal(change) for change in kernel_changes(solution))
    return Misalignment(single, orthogonal(kernel_shift(solution)))


@one_thread
def misalignment_beyond(solution: Solution, width: int) -> float:
    """Size of ``⟨1 - CKA⟩`` of one network beyond c/N: its mean over the Gaussian law of width N, less c/N.

    The kernel's third cumulants, of the same order 1/N², are not in it.

    Raises:
        InputError, NotSolvedError: as for `numerics.kernel_sd`.
    """
    changes = np.array(list(kernel_changes(solution)))
    normal = np.random.default_rng(0).standard_normal((DRAWS, len(changes)))
    off = np.tensordot(normal, changes, axes=1) / np.sqrt(width)
    mean, limit = solution.kernel + kernel_shift(solution) / width, solution.kernel
    drawn = float(np.mean([1 - alignment(mean + sign * off, limit) for sign in (1, -1)]))
    size = float(np.sum(limit**2))
    along = np.tensordot(off, limit, axes=2)
    to_first_order = float(np.mean(np.sum(off**2, axis=(1, 2)) - along**2 / size)) / (2 * size)  # c/N, on these draws
    return abs(drawn - to_first_order)
