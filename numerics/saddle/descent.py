"""Descent in F along relative factors, coordinates in which the entropy is quadratic.

With Cholesky factors ``H = LLᵀ`` and ``C = KKᵀ``, ordered in time, the lower triangular ``Q = K⁻¹L`` says how a kernel
differs from the random network's, and ``F = E(H) + ½‖Q‖² - Σ ln Q_ii - m/2`` (docs/theory.md section 3). K follows
from the kernel at earlier times, so that Q gives H time by time: as with the weights themselves, what a step changes at
one time is carried on to all later ones. Far from a minimum a kernel has to grow over many times at once. Steps in H
follow a narrow curved valley there, steps in Q go straight: tens of evaluations where the trust region takes hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from numerics.saddle.functional import KernelFunctional, symmetric

FloatArray = NDArray[np.float64]

#: Longest step in any coordinate, and steps that are remembered.
LONGEST, MEMORY = 1.0, 30
#: Logarithms of Q's diagonal are kept within this.
LARGEST_LOGARITHM = 80.0


def descend(
    functional: KernelFunctional, H: FloatArray, *, iterations: int = 1000, tolerance: float = 1e-7
) -> FloatArray:
    """The kernel where limited-memory BFGS from ``H`` ends, (m, m): close to a stationary one, or the last reached.

    Args:
        functional: F, on a space whose coordinates are ordered in time.
        H: start, positive-definite.
        iterations: most steps.
        tolerance: on the largest derivative, over 1 + |F|.

    Raises:
        numpy.linalg.LinAlgError: H, or the kernel at the end, is not positive-definite in double precision.
    """
    coordinates = _RelativeFactor.of(functional)
    z = coordinates.vector(H)
    value, g = coordinates.value_and_gradient(z)
    memory: list[tuple[FloatArray, FloatArray]] = []
    for _ in range(iterations):
        if np.abs(g).max() <= tolerance * (1.0 + abs(value)):
            break
        d = -_inverse_hessian(g, memory)
        slope = float(d @ g)
        if slope >= 0:
            memory, d, slope = [], -g, -float(g @ g)
        length = min(1.0, LONGEST / float(np.abs(d).max()))
        for _ in range(25):
            new_value, new_g = coordinates.value_and_gradient(z + length * d)
            if new_value <= value + 1e-4 * length * slope:
                break
            # to the minimum of the parabola through what is known, within bounds
            bend = new_value - value - length * slope
            length *= min(0.5, max(0.1, -0.5 * length * slope / bend)) if np.isfinite(bend) else 0.1
        else:
            break
        step, change = length * d, new_g - g
        if step @ change > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            memory = [*memory[1 - MEMORY :], (step, change)]
        stalled = value - new_value < 1e-13 * (1.0 + abs(value))
        z, value, g = z + step, new_value, new_g
        if stalled:
            break
    return coordinates.kernel(z)


def _inverse_hessian(g: FloatArray, memory: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """The two-loop recursion (Nocedal 1980); to begin with, the Hessian is that of the entropy, about 1."""
    q, along = g.copy(), []
    for step, change in reversed(memory):
        rho = 1.0 / float(step @ change)
        a = rho * float(step @ q)
        along.append((rho, a))
        q -= a * change
    if memory:
        step, change = memory[-1]
        q *= float(step @ change) / float(change @ change)
    for (step, change), (rho, a) in zip(memory, reversed(along), strict=True):
        q += (a - rho * float(change @ q)) * step
    return q


@dataclass(frozen=True, eq=False)
class _RelativeFactor:
    """F in z: the lower triangle of Q, with logarithms on the diagonal."""

    functional: KernelFunctional
    prior: FloatArray
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @staticmethod
    def of(functional: KernelFunctional) -> _RelativeFactor:
        return _RelativeFactor(functional, functional.prior_kernel(), *np.tril_indices(functional.dimension))

    def vector(self, H: FloatArray) -> FloatArray:
        K = np.linalg.cholesky(self.functional.covariance(H))
        Q = sla.solve_triangular(K, np.linalg.cholesky(H), lower=True)
        z = Q[self.rows, self.columns]
        diagonal = self.rows == self.columns
        z[diagonal] = np.log(z[diagonal])
        return np.asarray(z)

    def kernel(self, z: FloatArray) -> FloatArray:
        return self._forward(self._matrix(z))[0]

    def _matrix(self, z: FloatArray) -> FloatArray:
        Q = np.zeros_like(self.prior)
        logarithms = np.clip(z, -LARGEST_LOGARITHM, LARGEST_LOGARITHM)
        Q[self.rows, self.columns] = np.where(self.rows == self.columns, np.exp(logarithms), z)
        return Q

    def _forward(self, Q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """H and the factor K of its covariance: after t rounds they are right up to time t."""
        H = self.prior
        for _ in range(self.functional.space.n):
            K = np.asarray(np.linalg.cholesky(self.functional.covariance(H)))
            L = K @ Q
            H = L @ L.T
        return H, K

    def value_and_gradient(self, z: FloatArray) -> tuple[float, FloatArray]:
        """F and its derivative; infinity where double precision does not carry it."""
        with np.errstate(all="ignore"):
            try:
                value, gradient = self._value_and_gradient(z)
            except np.linalg.LinAlgError:
                return np.inf, np.zeros_like(z)
        return (value, gradient) if np.isfinite(value) and np.isfinite(gradient).all() else (np.inf, np.zeros_like(z))

    def _value_and_gradient(self, z: FloatArray) -> tuple[float, FloatArray]:
        f, Q = self.functional, self._matrix(z)
        H, K = self._forward(Q)
        gram = f.v * f.readout @ H @ f.readout.T
        gram.flat[:: len(gram) + 1] += f.kappa
        dual = np.linalg.solve(gram, f.labels)
        diagonal = np.diagonal(Q)
        entropy = 0.5 * float(np.sum(Q * Q)) - float(np.sum(np.log(diagonal))) - 0.5 * len(Q)
        pull = f.readout.T @ dual
        energy_force = -0.5 * f.v * np.outer(pull, pull)
        # backwards through H = KQQᵀKᵀ, K = chol C, C = C[H]: each round adds what comes from one time later
        force, back = energy_force, Q
        for _ in range(f.space.n):
            dL = 2.0 * force @ (K @ Q)
            back = K.T @ dL
            half = np.tril(K.T @ (dL @ Q.T))
            half.flat[:: len(half) + 1] *= 0.5
            left = sla.solve_triangular(K, symmetric(half), lower=True, trans=1)
            dC = sla.solve_triangular(K, left.T, lower=True, trans=1)
            force = energy_force + f.covariance_adjoint(dC)
        g = (back + Q)[self.rows, self.columns]
        on = self.rows == self.columns
        g[on] = g[on] * diagonal - 1.0
        return 0.5 * float(f.labels @ dual) + f.unexplained_energy + entropy, np.asarray(g)
