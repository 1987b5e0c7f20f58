# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Nonlinear networks: two conjugate kernels against sampled weights
#
# For any activation the theory is a saddle of
#
# $$F[\Phi,\tilde\Phi]=\tfrac12\mathrm{tr}\,Y(v\mathcal T\Phi\mathcal T^\top+\kappa)^{-1}+\mathrm{tr}\,\tilde\Phi\Phi-\ln Z,
# \qquad Z=\int dh\,\mathcal N(h|0,C[\Phi])\,e^{\phi(h)^\top\tilde\Phi\phi(h)},$$
#
# over one neuron's trajectory $h\in\mathbb R^{n}$ (one pattern here). We solve it on a grid for $T=4$, where it is three
# integrals, find the signal at which the incoherent state turns unstable, and compare with networks whose weights were
# sampled. Nothing here uses the package's solvers, but to be compared with at the end of section 4, and for the shift at
# the width of the networks that are sampled.

# %%
import math
from collections.abc import Callable, Sequence

import numpy as np
import sympy as sp
from scipy.optimize import brentq, root
from scipy.special import erf

from numerics.checking.agreement import compare_means, shift_seen
from numerics.inputs.problem import Problem, endpoint
from numerics.linalg import FloatArray
from numerics.nonlinear.critical import critical_signal as critical_signal_of
from numerics.nonlinear.fluctuations import fluctuations, next_term
from numerics.nonlinear.search import lowest_state
from numerics.sampling import simulate
from numerics.sampling.diagnostics import summarise_symmetric
from numerics.sampling.network import joint, make_network
from numerics.sampling.observables import autocorrelation, coherence
from theory import conjugate_kernels, symbols
from theory.critical_point import critical_signal as linear_critical
from theory.matrix_calculus import kernel_functional
from theory.matrix_calculus.explicit import Layout, evaluate

PHI: dict[str, Callable[[FloatArray], FloatArray]] = {
    "linear": lambda h: h,
    "erf": lambda h: erf(math.sqrt(math.pi) / 2 * h),
    "tanh": np.tanh,
    "relu": lambda h: np.maximum(h, 0),
}
n = 3
POINTS = 30

# %% [markdown]
# ## 1. Averages on a grid
#
# The grid is even, and whitened by a matrix $M$ close to the tilted second moments $\langle hh^\top\rangle$, so that it
# covers the density: a strong signal makes it much wider than $\mathcal N(0,C)$. For smooth activations an even grid
# converges faster than any power of its spacing; for the kink of ReLU as its square.

# %%
line = np.linspace(-6.5, 6.5, POINTS)
nodes = np.stack(np.meshgrid(*[line] * n, indexing="ij"), axis=-1).reshape(-1, n)


def averages(
    activation: str, C: FloatArray, conjugate: FloatArray, M: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """⟨φφᵀ⟩, ⟨hhᵀ⟩ and ln Z."""
    frame = np.linalg.cholesky(M)
    h = nodes @ frame.T
    phi = PHI[activation](h)
    quadratic = np.sum(h * np.linalg.solve(C, h.T).T, axis=1)
    log_density = np.sum((phi @ conjugate) * phi, axis=1) - quadratic / 2
    top = log_density.max()
    density = np.exp(log_density - top)
    total = density.sum()
    volume = (line[1] - line[0]) ** n * np.prod(frame.diagonal())
    log_Z = math.log(total * volume) + top - np.linalg.slogdet(2 * math.pi * C)[1] / 2
    weighted = density[:, None] / total
    return (phi * weighted).T @ phi, (h * weighted).T @ h, log_Z


C = np.array([[1.0, 0.3, 0.0], [0.3, 0.8, 0.2], [0.0, 0.2, 0.5]])
gaussian, moments, log_Z = averages("erf", C, np.zeros((n, n)), C)
arcsine = (
    2
    / math.pi
    * np.arcsin(math.pi / 2 * C / np.sqrt(np.outer(1 + math.pi / 2 * C.diagonal(), 1 + math.pi / 2 * C.diagonal())))
)
assert np.abs(gaussian - arcsine).max() < 1e-9
assert np.abs(moments - C).max() < 1e-8
assert abs(log_Z) < 1e-8

# %% [markdown]
# ## 2. Stationarity, derived
#
# $\ln Z$ has no closed form, but its differential needs none: with $\ell$ the log of the integrand,
# $d\ln Z=\langle d\ell\rangle$ over the tilted density. And $\ell$ is linear in the products $h^th^{t'}$ and
# $\phi^t\phi^{t'}$, so that $\langle d\ell\rangle$ has $S=\langle hh^\top\rangle$ and $M=\langle\phi\phi^\top\rangle$ in
# their place. We differentiate entry by entry for $T=4$, off-diagonal entries of symmetric matrices standing for two.

# %%
y_, v_, w_, u_, kappa_ = sp.symbols("y v w u kappa", positive=True)


def symmetric_symbols(name: str) -> sp.Matrix:
    return sp.Matrix(n, n, lambda i, j: sp.Symbol(f"{name}_{min(i, j) + 1}{max(i, j) + 1}", real=True))


Phi, Phi_tilde, S, M = (symmetric_symbols(name) for name in ("Phi", "Q", "S", "M"))


def symbolic_covariance(arch: str) -> sp.Matrix:
    """C[Φ]: the input at t = 1, then the masked kernel of the time before."""
    C = sp.zeros(n, n)
    C[0, 0] = u_
    for i in range(n - 1):
        for j in range(n - 1):
            C[i + 1, j + 1] = w_ * Phi[i, j] if arch == "rnn" or i == j else 0
    return C


def derivative(expression: sp.Expr, matrix: sp.Matrix) -> sp.Matrix:
    """∂/∂A_ij of a function of a symmetric A, as a symmetric matrix: half of an off-diagonal symbol's derivative."""
    return sp.Matrix(n, n, lambda i, j: sp.diff(expression, matrix[i, j]) / (1 if i == j else 2))


ENTRIES = {
    kernel_functional.H: Phi,
    conjugate_kernels.CONJUGATE: Phi_tilde,
    conjugate_kernels.SECOND_MOMENT: S,
    conjugate_kernels.ACTIVITY: M,
    kernel_functional.X_SHIFTED: sp.diag(1, *[0] * (n - 1)),
    kernel_functional.Y: sp.Matrix([[y_**2]]),
    **dict(zip((symbols.u, symbols.v, symbols.w, symbols.kappa), (u_, v_, w_, kappa_), strict=True)),
}
for arch in ("rnn", "dnn"):
    C = symbolic_covariance(arch)
    inverse = C.inv()
    mean_log = -(S * inverse).trace() / 2 - sp.log(C.det()) / 2 + (Phi_tilde * M).trace()
    F = y_**2 / (2 * (v_ * Phi[n - 1, n - 1] + kappa_)) + (Phi_tilde * Phi).trace() - mean_log
    # in Φ̃: the kernel is the tilted average
    assert derivative(F, Phi_tilde) == Phi - M
    # in Φ: Φ̃ is the label's pull at the last time and what the kernel does as the covariance of the next time
    pull = inverse * S * inverse - inverse
    expected = sp.zeros(n, n)
    for i in range(n - 1):
        for j in range(n - 1):
            expected[i, j] = w_ / 2 * pull[i + 1, j + 1] if arch == "rnn" or i == j else 0
    expected[n - 1, n - 1] = v_ / 2 * y_**2 / (v_ * Phi[n - 1, n - 1] + kappa_) ** 2
    rest = derivative(F, Phi) - Phi_tilde + expected
    assert rest.applyfunc(sp.simplify) == sp.zeros(n, n)
    # and so says the matrix form, for any number of times and patterns and any supervised set
    any_size = evaluate(conjugate_kernels.kernel_gradient(arch), ENTRIES, Layout.of_pairs(n, 1, [n - 1]))
    assert (any_size - Phi_tilde + expected).applyfunc(sp.simplify) == sp.zeros(n, n)
print("∂F/∂Φ̃ = Φ - M;  ∂F/∂Φ = Φ̃ - (v/2) q² at the last time - (w/2) [C⁻¹SC⁻¹ - C⁻¹] of the next time, masked")

# %% [markdown]
# ## 3. The saddle
#
# Stationarity in $\tilde\Phi$ is $\Phi=\langle\phi\phi^\top\rangle$. In $\Phi$ it is $\tilde\Phi=$ the pull of the label,
# $\tfrac v2qq^\top$ with $q=(v\Phi^{nn}+\kappa)^{-1}y$ at the last time, plus what the kernel does as the covariance of the
# next time, $\tfrac w2$ times the mask of $C^{-1}\langle hh^\top\rangle C^{-1}-C^{-1}$, shifted back by one time. SciPy
# finds the root in all entries of both.

# %%
upper = np.triu_indices(n)


def mask(arch: str) -> FloatArray:
    return np.ones((n, n)) if arch == "rnn" else np.eye(n)


def covariance(problem: Problem, kernel: FloatArray) -> FloatArray:
    C = np.zeros((n, n))
    C[0, 0] = problem.u
    C[1:, 1:] = problem.w * (mask(problem.arch) * kernel)[:-1, :-1]
    return C


def targets(
    problem: Problem, kernel: FloatArray, conjugate: FloatArray, M: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """What Φ and Φ̃ should be, given both; ⟨hhᵀ⟩; and F."""
    C = covariance(problem, kernel)
    average, moments, log_Z = averages(problem.activation.name, C, conjugate, M)
    inverse = np.linalg.inv(C)
    pull = mask(problem.arch) * (inverse @ moments @ inverse - inverse)
    target = np.zeros((n, n))
    target[:-1, :-1] = problem.w / 2 * pull[1:, 1:]
    gram = problem.v * kernel[-1, -1] + problem.kappa
    target[-1, -1] += problem.v / 2 * (problem.labels[0] / gram) ** 2
    free_energy = problem.labels[0] ** 2 / (2 * gram) + np.sum(conjugate * kernel) - log_Z
    return average, target, moments, free_energy


def symmetric(entries: FloatArray) -> FloatArray:
    matrix = np.zeros((n, n))
    matrix[upper] = entries
    return matrix + np.triu(matrix, 1).T


# %% [markdown]
# **Check** of the derivation by a route without it: central differences of $F$ on the grid, at kernels that are no
# saddle, and at a nonlinear activation.

# %%
rng = np.random.default_rng(3)
for arch in ("rnn", "dnn"):
    problem = endpoint(4, 7.0, activation="tanh", arch=arch, w=0.8)
    kernel = np.diag([0.5, 0.6, 0.7]) + 0.1
    conjugate = np.diag([0.1, 0.2, 0.3]) + 0.05
    at = targets(problem, kernel, conjugate, covariance(problem, kernel))
    for i, j in np.transpose(upper).tolist():
        change = np.zeros((n, n))
        change[i, j] = change[j, i] = 1e-4
        size = 2e-4 if i == j else 4e-4  # an off-diagonal change is one of two entries
        by_kernel = [targets(problem, kernel + s * change, conjugate, at[2])[3] for s in (1, -1)]
        by_conjugate = [targets(problem, kernel, conjugate + s * change, at[2])[3] for s in (1, -1)]
        assert abs((by_kernel[0] - by_kernel[1]) / size - (conjugate - at[1])[i, j]) < 1e-6
        assert abs((by_conjugate[0] - by_conjugate[1]) / size - (kernel - at[0])[i, j]) < 1e-6


# %%
def saddle(
    problem: Problem, kernel: FloatArray, conjugate: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """The root near a start: Φ, Φ̃, ⟨hhᵀ⟩ and F."""
    M = covariance(problem, kernel)
    for _ in range(3):  # the grid follows the density
        for _ in range(6):
            M = targets(problem, kernel, conjugate, M)[2]

        def residual(x: FloatArray, M: FloatArray = M) -> FloatArray:
            try:
                found = targets(problem, symmetric(x[:6]), symmetric(x[6:]), M)
            except np.linalg.LinAlgError:
                return np.full(12, 1e3)
            return np.concatenate([(found[0] - symmetric(x[:6]))[upper], (found[1] - symmetric(x[6:]))[upper]])

        solved = root(residual, np.concatenate([kernel[upper], conjugate[upper]]), tol=1e-10)
        assert np.abs(residual(solved.x)).max() < 1e-7, solved.message
        kernel, conjugate = symmetric(solved.x[:6]), symmetric(solved.x[6:])
    _, _, moments, free_energy = targets(problem, kernel, conjugate, M)
    return kernel, conjugate, moments, free_energy


# %% [markdown]
# **Check** with the linear network: there $F$ is explicit, its incoherent state is $H=\mathrm{diag}(r,r^2,r^3)$ with
# $\lambda=(r-1)(r^3+\kappa)^2/r^3$, and the conjugate kernel is $\tilde\Phi=\tfrac12(C^{-1}-H^{-1})$, since the tilted
# density is the Gaussian of covariance $(C^{-1}-2\tilde\Phi)^{-1}=H$.

# %%
r, kappa = 1.6, 1.0
exact = np.diag([r, r**2, r**3])
linear = endpoint(4, (r - 1) * (r**3 + kappa) ** 2 / r**3, kappa=kappa)
exact_conjugate = (np.linalg.inv(covariance(linear, exact)) - np.linalg.inv(exact)) / 2
kernel, conjugate, *_ = saddle(linear, 1.02 * exact, 0.98 * exact_conjugate)
assert np.abs(kernel - exact).max() < 1e-5
assert np.abs(conjugate - exact_conjugate).max() < 1e-5

# %% [markdown]
# ## 4. Where the incoherent state turns unstable
#
# For odd $\phi$ the map $W\to-W$ multiplies $\Phi^{tt'}$ by $(-1)^{t-t'}$, and the equations split at an incoherent state:
# the entries $(1,2)$ and $(2,3)$ of both kernels decouple from the others to first order. The state is critical where the
# $4\times4$ Jacobian in these is singular. For the linear network this must happen at $\lambda_c=(8+\kappa)^2/8$.

# %%
ODD = [(0, 1), (1, 2)]


def odd_determinant(problem: Problem, kernel: FloatArray, conjugate: FloatArray, moments: FloatArray) -> float:
    """Determinant of the Jacobian of the stationarity conditions in the odd entries, by central differences."""
    step, columns = 1e-4, []
    for which in (0, 1):
        for i, j in ODD:
            change = np.zeros((n, n))
            change[i, j] = change[j, i] = step
            both = []
            for sign in (1, -1):
                moved = [kernel, conjugate]
                moved[which] = moved[which] + sign * change
                found = targets(problem, moved[0], moved[1], moments)
                both.append([found[0][p] - moved[0][p] for p in ODD] + [found[1][p] - moved[1][p] for p in ODD])
            columns.append((np.array(both[0]) - np.array(both[1])) / (2 * step))
    return float(np.linalg.det(np.array(columns).T))


def critical_signal(activation: str, signals: Sequence[float], start: tuple[FloatArray, FloatArray]) -> float | None:
    """λ at which the determinant changes sign along the incoherent branch, or None; the branch is followed upwards."""
    last: tuple[float, float] | None = None
    state = start
    for signal in signals:
        problem = endpoint(4, signal, activation=activation)
        kernel, conjugate, moments, _ = saddle(problem, *state)
        state = (kernel, conjugate)
        value = odd_determinant(problem, kernel, conjugate, moments)
        if last is not None and value * last[1] < 0:

            def at(signal: float, state: tuple[FloatArray, FloatArray] = state) -> float:
                problem = endpoint(4, signal, activation=activation)
                kernel, conjugate, moments, _ = saddle(problem, *state)
                return odd_determinant(problem, kernel, conjugate, moments)

            return float(brentq(at, last[0], signal, xtol=1e-6))
        last = (signal, value)
    return None


start = (exact, exact_conjugate)
found = critical_signal("linear", [8.0, 12.0], start)
assert found is not None
assert abs(found - 81 / 8) < 1e-4
print(f"linear: critical signal {found:.6f}, exact {81 / 8}")

kernel_5, conjugate_5, *_ = saddle(
    endpoint(4, 5.0, activation="erf"), np.diag([0.46, 0.34, 0.32]), np.diag([0.35, 0.82, 1.44])
)
critical = critical_signal("erf", [5.0, 8.0, 12.0, 18.0], (kernel_5, conjugate_5))
assert critical is not None
print(f"erf: critical signal {critical:.4f}")
assert 12.0 < critical < 18.0

# %% [markdown]
# At an incoherent state more decouples than odd entries from even ones. $\tilde\Phi$ and $C$ are diagonal, so that a
# neuron's trajectory has the density $\prod_t N(h^t|0,C_t)\,e^{\tilde\Phi^{tt}\phi(h^t)^2}$: its times are independent, and
# both conditions are averages over one variable each,
# $$\Phi^{tt}=\langle\phi(h^t)^2\rangle,\qquad
# \tilde\Phi^{tt}=\tfrac w2\left(\frac{\langle (h^{t+1})^2\rangle}{C_{t+1}^2}-\frac1{C_{t+1}}\right),\qquad
# C_{t+1}=w\Phi^{tt},$$
# which ends with the labels' part of $\tilde\Phi^{nn}$. As every factor is even, of the covariances in the Hessian those
# remain in which each $h^t$ comes an even number of times: $\operatorname{Cov}(\phi^t\phi^s,\phi^t\phi^s)=\langle\phi_t^2\rangle
# \langle\phi_s^2\rangle$ and $\operatorname{Cov}(\phi^t\phi^s,h^th^s)=\langle\phi_th_t\rangle\langle\phi_sh_s\rangle$ for
# $t\ne s$. The solver computes the critical signal from these at any $T$; at $T=4$ it must be that of the grid above.

# %%
by_diagonal = {}
for T in (4, 5, 6, 8, 10):
    crossing = critical_signal_of(endpoint(T, 1.0, activation="erf"), 1.0, 30.0)
    assert crossing is not None
    by_diagonal[T] = crossing.scale
assert abs(by_diagonal[4] - critical) < 2e-3  # the grid is coarse
by_linear = {T: float(linear_critical(T, 1)) for T in by_diagonal}
for T, value in by_diagonal.items():
    print(f"T = {T}: critical signal {value:.4f} for erf, {by_linear[T]:.4f} for the linear network")
assert all(value > by_linear[T] for T, value in by_diagonal.items())  # saturation works against coherence

# %% [markdown]
# ## 5. Networks without data
#
# The sampler's own networks, drawn from the prior, must have the kernel of the arcsine law, time after time: with input at
# $t=0$ only, times are uncorrelated, and $\Phi^{tt}=\frac2\pi\arcsin\frac{\pi c/2}{1+\pi c/2}$ with $c=u$ at $t=1$ and
# $c=w\Phi^{t-1,t-1}$ after.

# %%
rng = np.random.default_rng(5)
network = make_network(endpoint(4, 1.0, activation="erf"), 1000, "float32")
drawn = []
for _k in range(60):
    weights = network.prior_draw(rng, readout=False)
    phi = joint(network.forward(network.connections(weights), weights.U).phi)
    drawn.append(phi @ phi.T / network.width)
forward, c = [], 1.0
for _k in range(n):
    c = 2 / math.pi * math.asin(math.pi / 2 * c / (1 + math.pi / 2 * c))
    forward.append(c)
error = np.std(drawn, axis=0, ddof=1) / math.sqrt(len(drawn)) + 1e-3 / network.width
assert np.abs((np.mean(drawn, axis=0) - np.diag(forward)) / error).max() < 4.5

# %% [markdown]
# ## 6. Trained networks
#
# Below and above the critical signal, at one width. The mean kernel differs from the saddle's by a shift of order $1/N$
# (appendix 22). The share of it that all entries together have is 1, not 0. The grid of this script tells the kernel to a
# part of that shift only, and the package's saddle is compared. With odd $\phi$ both signs of a coherent state are taken
# to one.

# %%
WIDTH = 128
COHERENT = (np.array([[0.52, 0.41, 0.44], [0.41, 0.68, 0.72], [0.44, 0.72, 0.85]]), np.diag([0.19, 1.26, 5.85]))
COHERENT[1][0, 1] = COHERENT[1][1, 0] = 0.82
tasks = [("rnn", 5.0, (kernel_5, conjugate_5), 400), ("rnn", 40.0, COHERENT, 500)]
for arch, signal, start, steps in tasks:
    problem = endpoint(4, signal, activation="erf", arch=arch)
    kernel = saddle(problem, *start)[0]
    coherent = abs(kernel[2, 1]) > 1e-3
    run = simulate(problem, WIDTH, chains=2, steps=steps, warmup=150, seed=WIDTH, workers=1)
    run = run.gauge_fixed() if coherent else run
    seen, state = run.kernels_controlled, lowest_state(problem)
    assert seen is not None
    assert np.allclose(state.kernel, kernel, atol=2e-3)
    loop, mean = fluctuations(state), summarise_symmetric(seen)
    beyond, shift = next_term(loop, WIDTH), loop.shift / WIDTH
    share = shift_seen(seen, state.kernel, shift, beyond)
    assert share is not None
    error = np.hypot(mean.standard_error, beyond)
    verdict = compare_means(state.kernel + shift, mean.mean, error, rhat=run.rhat, ess=run.ess, shift=share)
    print(f"{arch.upper()}, lambda = {signal:g}: {verdict.reason}; CKA {verdict.cka:.5f}")
    print("  autocorrelation, theory:", *(f"{value:.3f}" for value in autocorrelation(kernel, 1)))
    print(f"  autocorrelation, N = {WIDTH}:", *(f"{value:.3f}" for value in autocorrelation(run.kernel_mean, 1)))
    assert verdict.agrees, verdict.reason
    assert share.z_without > verdict.z_limit
    assert np.abs(coherence(run.kernel_mean, 1) - coherence(kernel, 1)).max() < 0.08
