"""The linear free energy of any sharing matrix, skip, bias and outputs, entry by entry: another road than the solver's.

``F(H) = ½ Σ_c y_cᵀ(v𝒯_cH𝒯_cᵀ+κ)⁻¹y_c + ½ tr[HC⁻¹] - ½ ln(|H|/|C|) - m/2`` with
``C = A⁻¹(w M∘ΣHΣᵀ + uX⁻ + βB)A⁻ᵀ``, docs/theory.md sections 3 and 10 to 12, on all nP rows. Shares no code with
``numerics.linear``; only a problem's arrays are read. Inputs must make C positive-definite.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize


class Dense:
    """F, and its gradient by ``H = LLᵀ`` with a lower triangular L."""

    def __init__(self, problem):
        n, P = problem.n, problem.P
        m = self.m = n * P
        self.v, self.w, self.kappa = problem.v, problem.w, problem.kappa
        shift = np.zeros((m, m))
        mask = np.zeros((m, m))
        inputs = np.zeros((m, m))
        B = problem.bias_sharing
        for t in range(n):
            for p in range(P):
                if t:
                    shift[t * P + p, (t - 1) * P + p] = 1.0
                for s in range(n):
                    for q in range(P):
                        a, b = t * P + p, s * P + q
                        if t and s:
                            mask[a, b] = problem.sharing[t - 1, s - 1]
                        inputs[a, b] = problem.u * problem.x[p, t] @ problem.x[q, s] / problem.D
                        inputs[a, b] += problem.bias * B[t, s]
        self.shift, self.mask, self.inputs = shift, mask, inputs
        self.back = np.linalg.inv(np.eye(m) - problem.skip * shift)
        y = problem.y.reshape(P, n, -1)
        self.outputs = []
        for c in range(y.shape[2]):
            rows = [t * P + p for t in range(n) for p in range(P) if np.isfinite(y[p, t, c])]
            self.outputs.append((rows, np.array([y[a % P, a // P, c] for a in rows])))
        self.lower = np.tril_indices(m)

    def covariance(self, H):
        drive = self.w * self.mask * (self.shift @ H @ self.shift.T) + self.inputs
        return self.back @ drive @ self.back.T

    def prior(self):
        H = np.zeros((self.m, self.m))
        for _ in range(self.m):
            H = self.covariance(H)
        return H

    def value(self, H):
        return self._value_and_force(H)[0]

    def _value_and_force(self, H):
        """F and ∂F/∂H."""
        inverse, C = np.linalg.inv(H), self.covariance(H)
        K = np.linalg.inv(C)
        F = 0.5 * (np.trace(K @ H) - self.m - np.linalg.slogdet(H)[1] + np.linalg.slogdet(C)[1])
        force = 0.5 * (K - inverse)
        through = self.back.T @ (0.5 * (K - K @ H @ K)) @ self.back
        force = force + self.w * self.shift.T @ (self.mask * through) @ self.shift
        for rows, y in self.outputs:
            gram = self.v * H[np.ix_(rows, rows)] + self.kappa * np.eye(len(rows))
            q = np.linalg.solve(gram, y)
            F += 0.5 * y @ q
            force[np.ix_(rows, rows)] -= 0.5 * self.v * np.outer(q, q)
        return F, force

    def matrix(self, z):
        L = np.zeros((self.m, self.m))
        L[self.lower] = z
        d = np.diag_indices(self.m)
        L[d] = np.exp(L[d])
        return self.scale @ L

    def value_and_gradient(self, z):
        with np.errstate(all="ignore"):
            try:
                L = self.matrix(z)
                F, force = self._value_and_force(L @ L.T)
            except np.linalg.LinAlgError:
                return 1e30, np.zeros_like(z)
        if not np.isfinite(F):
            return 1e30, np.zeros_like(z)
        G = self.scale.T @ (2.0 * force @ L)
        G = np.tril(G)
        d = np.diag_indices(self.m)
        inner = np.zeros((self.m, self.m))
        inner[self.lower] = z
        G[d] *= np.exp(inner[d])
        return F, G[self.lower]

    def lowest(self, *, starts=12, seed=0, size=1.5):
        """The lowest F over BFGS from random kernels around the random network's, and H."""
        rng = np.random.default_rng(seed)
        self.scale = np.linalg.cholesky(self.prior())
        best = (np.inf, None)
        for k in range(starts):
            z = (size * rng.random() if k else 0.0) * rng.normal(size=len(self.lower[0]))
            end = minimize(self.value_and_gradient, z, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 3000})
            if end.fun < best[0]:
                L = self.matrix(end.x)
                best = float(end.fun), L @ L.T
        return best
