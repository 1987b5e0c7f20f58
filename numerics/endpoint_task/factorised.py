"""Endpoint supervision of the RNN in units u = v = w = 1, batched over kernels: derivatives and Newton for any T.

See docs/theory.md section 5.

The free energy of ``numerics.linear.functional`` for one pattern with ``x·x/D = 1``, where ``C = diag(1, H_{1…n-1})``
shares its Cholesky factor with H. Arrays have a leading batch axis B; kernels are given by their factors L, ``H =
LLᵀ``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from numerics.linalg import FloatArray, from_vector, symmetric, to_vector


@dataclass(frozen=True, eq=False)
class Factorised:
    """Kernels with what their derivatives are made of; see ``numerics.linear.functional`` for the formulas.

    Attributes:
        L: lower Cholesky factors, (B, n, n).
        M: ``LᵀC⁻¹L``.
        N, A: ``MD`` and ``DᵀMD`` with ``D = L⁻¹ΣL``.
        gradient: of the entropy in the natural metric.
    """

    L: FloatArray
    M: FloatArray
    N: FloatArray
    A: FloatArray
    gradient: FloatArray

    @property
    def last(self) -> FloatArray:
        """``H^{nn}``, (B,)."""
        return np.asarray(np.sum(self.L[:, -1] ** 2, axis=-1))

    @property
    def label(self) -> FloatArray:
        """``Lᵀe_n e_nᵀL``: the direction in which the label pulls, (B, n, n)."""
        last = self.L[:, -1]
        return last[:, :, None] * last[:, None, :]

    def entropy(self) -> FloatArray:
        """The divergence from the random network, (B,)."""
        diagonal = np.diagonal(self.L, axis1=1, axis2=2)
        covariance = np.concatenate([np.ones_like(diagonal[:, :1]), diagonal[:, :-1]], axis=1)
        own = np.diagonal(self.M, axis1=1, axis2=2)
        return np.asarray(0.5 * np.sum(own - 1.0 - 2.0 * np.log(diagonal / covariance), axis=1))

    def curvature(self, S: FloatArray) -> FloatArray:
        """The entropy's Hessian without the path's own curvature, on directions S (B or 1, k, n, n)."""
        N, A = self.N[:, None], self.A[:, None]
        NT = np.swapaxes(N, -1, -2)
        B = NT @ N - 0.5 * A
        return 0.5 * S - 0.5 * (N @ S @ NT + NT @ S @ N) + symmetric(A @ S @ B)


def factorise(L: FloatArray) -> Factorised:
    """Factorise kernels given by their Cholesky factors (B, n, n)."""
    n = L.shape[-1]
    covariance = np.zeros_like(L)
    covariance[:, 0, 0] = 1.0
    covariance[:, 1:, 1:] = L[:, :-1, :-1]
    shifted = np.zeros_like(L)
    shifted[:, 1:] = L[:, :-1]
    half = np.asarray(np.linalg.solve(covariance, L))
    M = np.swapaxes(half, 1, 2) @ half
    D = np.asarray(np.linalg.solve(L, shifted))
    N = M @ D
    A = np.swapaxes(D, 1, 2) @ N
    gradient = symmetric(0.5 * (M - np.eye(n)) + 0.5 * (A - np.swapaxes(N, 1, 2) @ N))
    return Factorised(L, M, N, A, gradient)


@dataclass(frozen=True, eq=False)
class StationaryKernels:
    """Stationary kernels at parameters (λ, κ), (B,) each.

    Attributes:
        kernel: (B, n, n); NaN where Newton did not converge.
        free_energy, energy, entropy: (B,), NaN likewise.
        residual: ``‖gradient‖`` over the summed norms of its terms.
        converged: residual within tolerance.
        hessian_smallest: smallest eigenvalue of the Hessian in the natural metric.
    """

    kernel: FloatArray
    free_energy: FloatArray
    energy: FloatArray
    entropy: FloatArray
    residual: FloatArray
    converged: NDArray[np.bool_]
    hessian_smallest: FloatArray


def newton(
    start: FloatArray,
    signal: FloatArray,
    kappa: FloatArray | float,
    *,
    tolerance: float,
    max_iterations: int = 20,
) -> StationaryKernels:
    """Newton on stationarity from kernels close to a state: factors (B, n, n) at signals and noises (B,)."""
    L = np.array(start)
    n = L.shape[-1]
    kappa = np.broadcast_to(np.asarray(kappa, dtype=np.float64), signal.shape)
    best, best_L = np.full(len(L), np.inf), L.copy()
    for _ in range(max_iterations):
        here = factorise(L)
        gradient, hessian, residual = _stationarity(here, signal, kappa)
        better = residual < best
        best_L[better] = L[better]
        improved = residual < 0.1 * best
        best = np.minimum(best, residual)
        if not np.any(improved & (residual > 1e-15)):
            break
        step = from_vector(-np.asarray(np.linalg.solve(hessian, to_vector(gradient)[..., None]))[..., 0], n)
        size = np.linalg.norm(step, axis=(1, 2))
        step *= np.minimum(1.0, 1.0 / np.maximum(size, 1e-300))[:, None, None]
        # L exp(S/2) to second order: its triangular factor keeps the digits that H = LLᵀ loses under strong signals
        half = L @ (np.eye(n) + 0.5 * step + 0.125 * step @ step)
        upper = np.linalg.qr(np.swapaxes(half, 1, 2), mode="r")
        signs = np.where(np.diagonal(upper, axis1=1, axis2=2) < 0, -1.0, 1.0)
        L = np.swapaxes(signs[:, :, None] * upper, 1, 2)
    return evaluate(best_L, signal, kappa, tolerance=tolerance)


def _stationarity(here: Factorised, signal: FloatArray, kappa: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradient of F (B, n, n), its derivative on symmetric directions (B, k, k), relative residual (B,)."""
    n = here.L.shape[-1]
    total = here.last + kappa
    label = here.label
    mu = (signal / total**2)[:, None, None]
    gradient = here.gradient - 0.5 * mu * label
    basis = from_vector(np.eye(n * (n + 1) // 2), n)[None]
    columns = to_vector(here.curvature(basis))
    flat = to_vector(label)
    energy = (signal / total**3)[:, None, None] * flat[:, :, None] * flat[:, None, :]
    terms = np.linalg.norm(here.M, axis=(1, 2)) + np.sqrt(n) + np.linalg.norm(mu * label, axis=(1, 2))
    residual = np.linalg.norm(gradient, axis=(1, 2)) / (0.5 * terms)
    return gradient, symmetric(columns) + energy, np.asarray(residual)


def evaluate(L: FloatArray, signal: FloatArray, kappa: FloatArray | float, *, tolerance: float) -> StationaryKernels:
    """Free energy, residual and stability of kernels given by their factors (B, n, n)."""
    here = factorise(L)
    kappa = np.broadcast_to(np.asarray(kappa, dtype=np.float64), signal.shape)
    _, hessian, residual = _stationarity(here, signal, kappa)
    converged = residual <= tolerance
    energy, entropy = 0.5 * signal / (here.last + kappa), here.entropy()
    hide = np.where(converged, 1.0, np.nan)
    return StationaryKernels(
        kernel=L @ np.swapaxes(L, 1, 2) * hide[:, None, None],
        free_energy=(energy + entropy) * hide,
        energy=energy * hide,
        entropy=entropy * hide,
        residual=residual,
        converged=converged,
        hessian_smallest=np.asarray(np.linalg.eigvalsh(hessian))[:, 0] * hide,
    )


def masked(
    states: StationaryKernels, L: FloatArray, signal: FloatArray, kappa: FloatArray | float
) -> StationaryKernels:
    """The same for a DNN, of kernels that are diagonal in time.

    Its free energy is the RNN's on these. Correlations enter only through ``-½ ln|H|``, with a Hessian of ½, and the
    diagonal entries' Hessian is the RNN's.
    """
    here = factorise(L)
    n = L.shape[-1]
    _, hessian, _ = _stationarity(here, signal, np.broadcast_to(np.asarray(kappa, dtype=np.float64), signal.shape))
    rows, columns = np.triu_indices(n)
    diagonal = np.flatnonzero(rows == columns)
    smallest = np.linalg.eigvalsh(hessian[:, diagonal][:, :, diagonal])[:, 0]
    return replace(states, hessian_smallest=np.where(states.converged, np.minimum(smallest, 0.5), np.nan))
