"""The lowest kernel free energy of a linear network by another road than the solver's: multi-start L-BFGS over weights.

``F(H) = ½ yᵀ(v 𝒯H𝒯ᵀ+κ)⁻¹y + ½ tr[HC⁻¹] - ½ ln(|H|/|C|) - m/2`` is docs/theory.md section 3 once more, with C of
docs/theory.md sections 10 and 11. The kernel is ``H = ZZᵀ`` with the activities ``Z_{t+1} = √w Z_t W_tᵀ`` of a
network with m neurons
and free weights (one W for the RNN, one for each step else): every positive-definite kernel is one. Starts are random
networks, most with planted weights of low rank that carry patterns or the labels' direction on with a gain, in fresh
directions, along one, turning, cyclic. Shares no code with ``numerics``; only a problem's arrays are read.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize


class Network:
    """F of one problem with input at t = 0 of full rank, as a function of weights."""

    def __init__(self, problem):
        self.n, self.P = problem.n, problem.P
        self.layers = 1 if problem.arch == "rnn" else problem.n - 1
        self.v, self.w, self.kappa = problem.v, problem.w, problem.kappa
        x = np.asarray(problem.x)
        assert not x[:, 1:].any()
        P, n = self.P, self.n
        self.m = m = n * P
        self.inputs = problem.u * x[:, 0] @ x[:, 0].T / x.shape[2]
        y = np.asarray(problem.y).T.ravel()
        self.rows = np.flatnonzero(np.isfinite(y))
        self.y = y[self.rows]
        #: M_st of C at times s+1 and t+1.
        self.mask = np.zeros((m, m))
        self.mask[P:, P:] = np.kron(np.asarray(problem.sharing), np.ones((P, P)))
        steps = np.eye(n) - problem.skip * np.eye(n, k=-1)
        self.back = np.kron(np.linalg.inv(steps), np.eye(P))
        self.given = problem.bias * np.kron(np.asarray(problem.bias_sharing), np.ones((P, P)))
        self.given[:P, :P] += self.inputs
        self.tied = problem.arch != "dnn"

    def activities(self, A, W):
        Z = [A]
        for t in range(self.n - 1):
            Z.append(np.sqrt(self.w) * Z[-1] @ W[min(t, self.layers - 1)].T)
        return Z

    def unpack(self, z):
        return z[: self.P * self.m].reshape(self.P, self.m), z[self.P * self.m :].reshape(self.layers, self.m, self.m)

    def kernel(self, z):
        Z = np.concatenate(self.activities(*self.unpack(z)))
        return Z @ Z.T

    def value_and_gradient(self, z):
        with np.errstate(all="ignore"):
            try:
                return self._value_and_gradient(z)
            except np.linalg.LinAlgError:
                return 1e30, np.zeros_like(z)

    def _value_and_gradient(self, z):
        P, m = self.P, self.m
        A, W = self.unpack(z)
        Z = self.activities(A, W)
        stacked = np.concatenate(Z)
        H = stacked @ stacked.T
        C = self.given.copy()
        C[P:, P:] += self.w * self.mask[P:, P:] * H[:-P, :-P]
        C = self.back @ C @ self.back.T
        size = np.sqrt(np.diagonal(C))  # units in which C is well conditioned
        K = np.linalg.inv(C / size[:, None] / size) / size[:, None] / size
        logC, logZ = (
            np.linalg.slogdet(C / size[:, None] / size)[1] + 2 * np.log(size).sum(),
            np.linalg.slogdet(stacked)[1],
        )
        G = self.v * H[np.ix_(self.rows, self.rows)] + self.kappa * np.eye(len(self.rows))
        q = np.linalg.solve(G, self.y)
        KH = K @ H
        F = 0.5 * self.y @ q + 0.5 * np.trace(KH) - logZ + 0.5 * logC - 0.5 * m
        if not np.isfinite(F):
            return 1e30, np.zeros_like(z)
        dH = 0.5 * K
        message = self.back.T @ (0.5 * (K - KH @ K)) @ self.back
        dH[:-P, :-P] += self.w * (self.mask[P:, P:] * message[P:, P:])
        dH[np.ix_(self.rows, self.rows)] -= 0.5 * self.v * np.outer(q, q)
        dZ = (dH + dH.T) @ stacked - np.linalg.inv(stacked).T  # of -ln|det Z|
        dW = np.zeros_like(W)
        send = dZ[-P:]
        for t in range(self.n - 2, -1, -1):
            layer = min(t, self.layers - 1)
            dW[layer] += np.sqrt(self.w) * send.T @ Z[t]
            send = dZ[t * P : (t + 1) * P] + np.sqrt(self.w) * send @ W[layer]
        return float(F), np.concatenate([send.ravel(), dW.ravel()])

    def minimise(self, z, iterations):
        result = minimize(
            self.value_and_gradient,
            z,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 30, "ftol": 1e-13, "gtol": 1e-8},
        )
        return float(result.fun), result.x

    def alike(self):
        """A network with one W, of the same size and labels."""
        one = object.__new__(Network)
        vars(one).update(vars(self) | {"layers": 1})
        return one

    def start(self, rng):
        """A random network with planted directions."""
        P, m, n = self.P, self.m, self.n
        root = np.linalg.cholesky(self.inputs)
        basis = np.linalg.qr(rng.normal(size=(m, m)))[0]
        A = root @ basis[:P]
        A += 1e-3 * np.abs(A).max() * rng.normal(size=A.shape)
        if (
            self.tied and self.layers > 1 and rng.random() < 0.7
        ):  # one plan for all layers, and differences between them
            plan = Network.start(self.alike(), rng)
            A, W = self.alike().unpack(plan)
            differences = rng.normal(size=(self.layers, m, m)) * rng.choice([0.0, 0.1, 0.5]) / np.sqrt(m)
            return np.concatenate([A.ravel(), (W + differences).ravel()])
        W = rng.normal(size=(self.layers, m, m)) / np.sqrt(m)
        kind = int(rng.integers(0, 6))
        if kind:
            last = int(self.rows.max() // P)
            wanted = np.sqrt(np.abs(self.y).max() / np.sqrt(self.v) + np.sqrt(self.kappa / self.v)) * np.exp(
                rng.uniform(-1, 1)
            )
            gain = max(wanted / np.sqrt(np.trace(self.inputs) / P), 1e-3) ** (1 / max(last, 1)) / np.sqrt(self.w)
            along = np.zeros(P)
            for k in rng.permutation(len(self.rows))[: int(rng.integers(1, 3))]:
                t = self.rows[k] // P
                same = self.rows // P == t
                along[self.rows[same] % P] += self.y[same] * rng.choice([-1, 1])
            rank = 1 if kind < 4 else P  # the labels' direction, or all patterns
            first = np.linalg.solve(self.inputs, along) @ A
            here = (first / np.linalg.norm(first))[None] if kind < 4 and first.any() else basis[:rank]
            angle = np.pi * rng.choice([0, 1, 1 / 2, 1 / 3, 2 / 3, rng.random()])
            fresh = np.linalg.qr(np.concatenate([here, rng.normal(size=(m - rank, m))]).T)[0].T
            for layer in range(self.layers):
                if kind in (1, 4) or self.layers > 1:  # fresh directions at every time
                    for t in range(n - 1):
                        if self.layers == 1 or t == layer:
                            W[layer] += (
                                gain * fresh[(t + 1) * rank : (t + 2) * rank].T @ fresh[t * rank : (t + 1) * rank]
                            )
                elif kind in (2, 5):  # one direction
                    W[layer] += gain * np.cos(angle) * here.T @ here
                    if np.sin(angle) > 1e-9:
                        other = fresh[rank : 2 * rank]
                        W[layer] += gain * (
                            np.cos(angle) * other.T @ other + np.sin(angle) * (other.T @ here - here.T @ other)
                        )
                else:  # a cycle of a few directions
                    lag = int(rng.integers(2, max(3, n)))
                    for k in range(lag):
                        a, b = fresh[k], fresh[(k + 1) % lag]
                        W[layer] += gain * np.outer(b, a)
        return np.concatenate([A.ravel(), W.ravel()])


def lowest(problem, *, starts=24, seed=0, screen=150, polish=3):
    """The lowest free energy found, and its kernel."""
    network, rng = Network(problem), np.random.default_rng(seed)
    ends = sorted((network.minimise(network.start(rng), screen) for _ in range(starts)), key=lambda end: end[0])
    F, z = min((network.minimise(z, 2000) for _, z in ends[:polish]), key=lambda end: end[0])
    return F, network.kernel(z)
