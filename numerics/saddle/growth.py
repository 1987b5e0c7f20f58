"""Descent in F along coordinates in which the entropy is quadratic: the growth of each time relative to the last.

With Cholesky factors ``H = LLᵀ`` and ``C = KKᵀ`` the lower triangular ``Q = K⁻¹L`` says how a network differs from a random
one: ``F = E(H) + ½‖Q‖² - Σ ln Q_ii - m/2``. K follows from the kernel of earlier times, so that Q gives the kernel, time by
time: what a step does to one time is carried on to all later ones, as it is by the weights. Far from a minimum, where a
kernel that learns has to grow over many times at once, steps in Q go straight where steps in H would follow a narrow
valley.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from numerics.saddle.functional import KernelFunctional

FloatArray = NDArray[np.float64]


class Growth:
    """F of one problem in the coordinates z: the lower triangle of Q, with logarithms on the diagonal."""

    def __init__(self, functional: KernelFunctional) -> None:
        self.functional = functional
        m = functional.dimension
        self.rows, self.columns = np.tril_indices(m)
        self.diagonal = self.rows == self.columns
        self.start_kernel = functional.prior_kernel()
        self.evaluations = 0

    def coordinates(self, H: FloatArray) -> FloatArray:
        L = np.linalg.cholesky(H)
        K = np.linalg.cholesky(self.functional.covariance(H))
        Q = sla.solve_triangular(K, L, lower=True)
        z = Q[self.rows, self.columns]
        z[self.diagonal] = np.log(z[self.diagonal])
        return z

    def matrix(self, z: FloatArray) -> FloatArray:
        m = self.functional.dimension
        Q = np.zeros((m, m))
        Q[self.rows, self.columns] = np.where(self.diagonal, np.exp(np.clip(z, -80.0, 80.0)), z)
        return Q

    def kernel(self, Q: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        f = self.functional
        H = self.start_kernel
        factors = []
        for _ in range(f.space.n):
            K = np.linalg.cholesky(f.covariance(H))
            L = K @ Q
            H = L @ L.T
            factors.append(K)
        return H, factors

    def value_and_gradient(self, z: FloatArray) -> tuple[float, FloatArray]:
        f = self.functional
        self.evaluations += 1
        Q = self.matrix(z)
        try:
            H, factors = self.kernel(Q)
            rows = f.readout
            gram = f.v * rows @ H @ rows.T
            gram.flat[:: len(gram) + 1] += f.kappa
            dual = np.linalg.solve(gram, f.labels)
        except np.linalg.LinAlgError:
            return 1e300, np.zeros_like(z)
        diagonal = np.diagonal(Q)
        value = 0.5 * f.labels @ dual + 0.5 * np.sum(Q * Q) - np.sum(np.log(diagonal)) - 0.5 * len(Q)
        if not np.isfinite(value):
            return 1e300, np.zeros_like(z)
        q = rows.T @ dual
        force = -0.5 * f.v * np.outer(q, q)  # dE/dH
        back = np.zeros_like(Q)
        K = factors[-1]
        total = force
        # adjoint: H = KQQᵀKᵀ, K = chol(C), C = cov(H of the times before)
        for _ in range(f.space.n):
            dL = 2.0 * total @ (K @ Q)
            back = K.T @ dL
            dK = dL @ Q.T
            inner = K.T @ dK
            half = np.tril(inner)
            half.flat[:: len(half) + 1] *= 0.5
            half = 0.5 * (half + half.T)
            left = sla.solve_triangular(K, half, lower=True, trans=1)
            dC = sla.solve_triangular(K, left.T, lower=True, trans=1)
            total = force + self.adjoint_covariance(dC)
        gradient = back + Q
        g = gradient[self.rows, self.columns]
        g[self.diagonal] = g[self.diagonal] * diagonal - 1.0
        return float(value), g

    def adjoint_covariance(self, dC):
        f = self.functional
        r, n, m = f.space.block, f.space.n, f.dimension
        out = np.zeros_like(dC)
        if f.arch == "rnn":
            out[:-r, :-r] = f.w * dC[r:, r:]
        else:
            for t in range(n - 1):
                out[t * r : (t + 1) * r, t * r : (t + 1) * r] = f.w * dC[(t + 1) * r : (t + 2) * r, (t + 1) * r : (t + 2) * r]
        return out

    def descend(self, H: FloatArray, iterations: int = 300, tolerance: float = 1e-5) -> FloatArray:
        """The kernel where limited-memory BFGS from H ends."""
        z = self.coordinates(H)
        value, g = self.value_and_gradient(z)
        steps: list[FloatArray] = []
        changes: list[FloatArray] = []
        for _ in range(iterations):
            if np.abs(g).max() <= tolerance * (1.0 + abs(value)):
                break
            d = -_inverse_hessian(g, steps, changes)
            slope = float(d @ g)
            if slope >= 0:
                steps, changes, d = [], [], -g
                slope = -float(g @ g)
            length = min(1.0, LONGEST / float(np.abs(d).max()))
            for _ in range(25):
                new_value, new_g = self.value_and_gradient(z + length * d)
                if new_value <= value + 1e-4 * length * slope:
                    break
                # the minimum of the parabola through what is known, within bounds
                curvature = new_value - value - length * slope
                length *= min(0.5, max(0.1, -0.5 * length * slope / curvature)) if np.isfinite(curvature) else 0.1
            else:
                break
            step, change = length * d, new_g - g
            if step @ change > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
                steps, changes = [*steps[1 - MEMORY :], step], [*changes[1 - MEMORY :], change]
            done = value - new_value < 1e-13 * (1 + abs(value))
            z, value, g = z + step, new_value, new_g
            if done:
                break
        return self.kernel(self.matrix(z))[0]


#: Longest step in any coordinate, and steps that are remembered.
LONGEST, MEMORY = 1.0, 30


def _inverse_hessian(g: FloatArray, steps: list[FloatArray], changes: list[FloatArray]) -> FloatArray:
    """The two-loop recursion of limited-memory BFGS (Nocedal 1980); the entropy's Hessian, about 1, to begin with."""
    q, along = g.copy(), []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        rho = 1.0 / float(step @ change)
        a = rho * float(step @ q)
        along.append((rho, a))
        q -= a * change
    if steps:
        q *= float(steps[-1] @ changes[-1]) / float(changes[-1] @ changes[-1])
    for step, change, (rho, a) in zip(steps, changes, reversed(along), strict=True):
        q += (a - rho * float(change @ q)) * step
    return q
