"""Shares of phases from the exact law of whole networks, which needs no expansion in 1/N."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import multigammaln

from numerics.inputs.problem import Problem
from numerics.results.solution import Solution

#: How much wider than a state's own law kernels are drawn from, as a share of the degrees of freedom.
SHARES_OF_FREEDOM = (1.0, 0.5, 0.25)


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The signs of hidden times that W → -W leaves and reverses."""
    return np.ones(n), (-1.0) ** np.arange(n)


def share(log_weights: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Weighted share of draws inside, and its standard error."""
    x = np.exp(log_weights - log_weights.max())
    mean = float(x[inside].sum() / x.sum())
    return mean, float(np.sqrt(np.sum((x * (inside - mean)) ** 2)) / x.sum())


def readout(problem: Problem, last: np.ndarray, width: int) -> np.ndarray:
    """``-N y²/2(vΦ+κ) - ½ ln(vΦ+κ)`` of one label at the last time."""
    variance = problem.v * last + problem.kappa
    return -0.5 * width * problem.labels[0] ** 2 / variance - 0.5 * np.log(variance)


def forward(problem: Problem, kernels: np.ndarray) -> np.ndarray:
    """C of an RNN with one pattern and one input, (k, n, n)."""
    C = np.zeros_like(kernels)
    C[:, 0, 0] = problem.u
    C[:, 1:, 1:] = problem.w * kernels[:, :-1, :-1]
    return C


def linear_share(
    states: Sequence[Solution], width: int, inside: Callable[[np.ndarray], np.ndarray], draws: int, seed: int
) -> tuple[float, float]:
    """Of a linear RNN: kernels from Wishart laws around the states; ``|H|^((N-n-1)/2)`` is the Jacobian."""
    rng, problem = np.random.default_rng(seed), states[0].problem
    n = problem.n
    laws = [(state.kernel, max(part * width, n + 1)) for state in states for part in SHARES_OF_FREEDOM]
    H = np.concatenate([wishart(rng, freedom, kernel / freedom, draws) for kernel, freedom in laws])
    log_q = np.logaddexp.reduce(
        [log_wishart(np.outer(s, s) * H, freedom, kernel / freedom) for kernel, freedom in laws for s in images(n)]
    )
    C = forward(problem, H)
    log_p = 0.5 * (width - n - 1) * np.linalg.slogdet(H)[1] - 0.5 * width * np.linalg.slogdet(C)[1]
    log_p += readout(problem, H[:, -1, -1], width)
    log_p -= 0.5 * width * np.trace(np.linalg.solve(C, H), axis1=1, axis2=2)
    return share(log_p - log_q, inside(H))


def wishart(rng: np.random.Generator, freedom: float, scale: np.ndarray, draws: int) -> np.ndarray:
    """By Bartlett's decomposition, (draws, n, n)."""
    n = len(scale)
    A = np.tril(rng.standard_normal((draws, n, n)), -1)
    for i in range(n):
        A[:, i, i] = np.sqrt(rng.chisquare(freedom - i, draws))
    B = np.linalg.cholesky(scale) @ A
    return B @ np.swapaxes(B, 1, 2)


def log_wishart(H: np.ndarray, freedom: float, scale: np.ndarray) -> np.ndarray:
    """Log density, (draws,)."""
    n = len(scale)
    constant = 0.5 * freedom * (n * np.log(2) + np.linalg.slogdet(scale)[1]) + multigammaln(0.5 * freedom, n)
    trace = np.trace(np.linalg.solve(scale[None], H), axis1=1, axis2=2)
    return 0.5 * (freedom - n - 1) * np.linalg.slogdet(H)[1] - 0.5 * trace - constant


def gaussian(h: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log density of ``N(0, C)`` but for 2π, (…,)."""
    L = np.linalg.cholesky(covariance)
    z = np.linalg.solve(L, h.reshape(-1, h.shape[-1]).T)
    return (-0.5 * np.sum(z**2, axis=0) - np.log(np.diagonal(L)).sum()).reshape(h.shape[:-1])


class NeuronLaw:
    """``N(h|0, C) exp(φᵀΦ̃φ)/Z`` of a state of an odd RNN, drawn from by rejection."""

    def __init__(self, state: Solution, rng: np.random.Generator) -> None:
        self.problem, self.rng, self.conjugate = state.problem, rng, state.conjugate
        self.C = forward(state.problem, state.kernel[None])[0]
        self.wide = 1.2 * state.second_moment
        self.log_Z = state.energy + float(np.sum(state.conjugate * state.kernel)) - state.free_energy
        self.top = float(self.ratio(self.proposed(50_000)).max()) + 0.3

    def log_density(self, h: np.ndarray) -> np.ndarray:
        """Of trajectories (…, n)."""
        phi = self.problem.activation.value(h)
        return gaussian(h, self.C) + np.sum(phi @ self.conjugate * phi, axis=-1) - self.log_Z

    def proposed(self, count: int) -> np.ndarray:
        """From half the prior's law and half a wide one."""
        z, which = self.rng.standard_normal((count, len(self.C))), self.rng.random((count, 1)) < 0.5
        return np.where(which, z @ np.linalg.cholesky(self.C).T, z @ np.linalg.cholesky(self.wide).T)

    def ratio(self, h: np.ndarray) -> np.ndarray:
        """Log of the density over the proposal's."""
        return self.log_density(h) - np.logaddexp(gaussian(h, self.C), gaussian(h, self.wide)) + np.log(2)

    def draw(self, count: int) -> np.ndarray:
        """So many trajectories, (count, n)."""
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < count:
            h = self.proposed(count)
            parts.append(h[np.log(self.rng.random(count)) < self.ratio(h) - self.top])
        return np.concatenate(parts)[:count]


def nonlinear_log_mass(
    state: Solution, width: int, inside: Callable[[np.ndarray], np.ndarray], chains: int, sweeps: int, seed: int
) -> tuple[float, float]:
    """Of an odd RNN: log of ``∫ Π_i dh_i N(h_i|0, C[Φ]) exp(read-out)`` over a state's region, and its standard error.

    ``ln(p/q)`` of the exact law p over that of N independent neurons q is of order one, but importance sampling by q
    alone has weights without a variance. So along ``q^(1-β) p^β`` its mean is integrated over β, and networks of
    each β come from Metropolis steps that draw one neuron anew from its law in the state.
    """
    rng, problem, n = np.random.default_rng(seed), state.problem, state.problem.n
    law = NeuronLaw(state, rng)
    log_C, inverse = np.linalg.slogdet(law.C)[1], np.linalg.inv(law.C)

    def log_ratio(kernels: np.ndarray, moments: np.ndarray) -> np.ndarray:
        C = forward(problem, kernels)
        trace = np.trace(np.linalg.solve(C, moments), axis1=1, axis2=2) - np.tensordot(moments, inverse, axes=2)
        tilt = law.log_Z - np.tensordot(kernels, law.conjugate, axes=2)
        own = width * (tilt - 0.5 * (np.linalg.slogdet(C)[1] - log_C + trace))
        return own + readout(problem, kernels[:, -1, -1], width)

    def drawn() -> tuple[np.ndarray, np.ndarray]:
        h = law.draw(chains * width).reshape(chains, width, n)
        return h, problem.activation.value(h)

    h, phi = drawn()
    kernels, moments = (np.swapaxes(part, 1, 2) @ part / width for part in (phi, h))
    current = log_ratio(kernels, moments)
    points, weights = np.polynomial.legendre.leggauss(6)
    total, variance = 0.0, 0.0
    for beta, part in zip(0.5 * (1 + points), 0.5 * weights, strict=True):
        seen = []
        for sweep in range(sweeps):
            others, others_phi = drawn()
            for i in range(width):
                moved = kernels + (outer(others_phi[:, i]) - outer(phi[:, i])) / width
                moved_moments = moments + (outer(others[:, i]) - outer(h[:, i])) / width
                there = log_ratio(moved, moved_moments)
                taken = (np.log(rng.random(chains)) < beta * (there - current)) & inside(moved)
                kernels[taken], moments[taken], current[taken] = moved[taken], moved_moments[taken], there[taken]
                h[taken, i], phi[taken, i] = others[taken, i], others_phi[taken, i]
            if sweep >= sweeps // 4:
                seen.append(current.copy())
        means = np.mean(seen, axis=0)  # of each chain
        total += part * float(means.mean())
        variance += part**2 * float(means.var(ddof=1)) / chains
    return total, float(np.sqrt(variance))


def outer(rows: np.ndarray) -> np.ndarray:
    """``a aᵀ`` of each row."""
    return rows[:, :, None] * rows[:, None, :]
