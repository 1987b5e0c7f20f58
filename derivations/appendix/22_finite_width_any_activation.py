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
# # Finite width, any activation: one loop in both kernels
#
# At width $N$ the kernel's law is $\int d\tilde\Phi\,e^{-NF[\Phi,\tilde\Phi]-A(\Phi)}$, exactly, with $\tilde\Phi$ along the imaginary axis and
# $A=\tfrac12\sum_c\ln|v\mathcal T_c\Phi\mathcal T_c^\top+\kappa|$. For $\phi(h)=h$ the integral over $\tilde\Phi$ leaves an explicit density; for other
# activations it does not. Here both kernels are expanded together. We show that this gives the linear theory back without its Wishart Jacobian
# being put in, and mean and variance of a random network by a route without any saddle; then how the program averages the third derivatives.

# %%
import math
from typing import Any

import numpy as np
from sympy import (
    Function,
    Integer,
    Matrix,
    Rational,
    Symbol,
    asin,
    diff,
    exp,
    latex,
    log,
    pi,
    simplify,
    solve,
    symbols,
)

from numerics import cka, kernel_sd, kernel_shift, phase_weights, solve_all
from numerics import solve as solve_problem
from numerics.inputs.problem import endpoint
from numerics.predictors.at_width import misalignment
from theory import coherent_branch
from theory import symbols as names
from theory.one_loop import one_loop, two_loops
from theory.phase_odds import coherent_order_one, incoherent_order_one

half = Rational(1, 2)

# %% [markdown]
# ## 1. The linear network, one hidden time
#
# $\ln Z=-\tfrac12\ln(1-2u\tilde\Phi)$. The explicit density has $A$ with the Wishart Jacobian, $\ln\Phi$ for $m=1$; the two conjugate variables do not:

# %%
Phi, u, v, kappa, r = symbols("Phi u v kappa r", positive=True)
Q = Symbol("Q", real=True)  # the conjugate kernel
y2 = Symbol("y2", positive=True)
energy, A = y2 / (v * Phi + kappa) / 2, log(v * Phi + kappa) / 2
# the label for which Φ = r u
label = solve(diff(energy + (Phi / u - log(Phi)) / 2, Phi).subs(Phi, r * u), y2)[0]
F = (energy + Q * Phi + log(1 - 2 * u * Q) / 2).subs(y2, label)
both = one_loop(F, A, (Q, Phi), {Phi: r * u, Q: (1 - 1 / r) / (2 * u)})
explicit = one_loop((energy + (Phi / u - log(Phi)) / 2).subs(y2, label), A + log(Phi), (Phi,), {Phi: r * u})
assert simplify(both.covariance[1, 1] - explicit.covariance[0, 0]) == 0
assert simplify(both.shift[1] - explicit.shift[0]) == 0
print("N Var =", latex(both.covariance[1, 1]))
print("N shift =", latex(both.shift[1]))

# %% [markdown]
# $\Sigma$ is indefinite: at $r=1$, without a label, $\Sigma_{\tilde\Phi\tilde\Phi}=0$, and the mean is exact, $\langle\Phi\rangle=u$.

# %%
at_prior = one_loop(Q * Phi + log(1 - 2 * u * Q) / 2, 0 * Phi, (Q, Phi), {Phi: u, Q: 0})
assert at_prior.shift[1] == 0
assert at_prior.covariance[0, 0] == 0
assert simplify(at_prior.covariance[1, 1] - 2 * u**2) == 0

# %% [markdown]
# ## 2. A random network of two hidden times, any activation
#
# No label. $\Phi^{22}$ is a mean of $N$ independent squares given $\Phi^{11}$, each of mean $g(w\Phi^{11})$, $g(s)=\langle\phi^2\rangle_{\mathcal N(0,s)}$,
# and variance $k$; $\Phi^{11}$ has variance $k_1/N$. So, without a saddle,
#
# $$N(\langle\Phi^{22}\rangle-g)\to\tfrac12w^2g''k_1,\qquad N\,\mathrm{Var}\,\Phi^{22}\to k+w^2g'^2k_1 .$$
#
# From the saddle, with cumulants for $\ln Z$ (third ones $l_1,l$ must drop out of the shift):

# %%
P1, P2, Q1, Q2 = (Symbol(name) for name in ("Phi1", "Phi2", "Q1", "Q2"))
w, m1, k1, l1, k0, ell = symbols("w m1 k1 l1 k ell", positive=True)
g, k = Function("g"), Function("k")
F = Q1 * P1 + Q2 * P2 - (Q1 * m1 + Q1**2 * k1 / 2 + Q1**3 * l1 / 6)
F -= Q2 * g(w * P1) + Q2**2 * k(w * P1) / 2 + Q2**3 * ell / 6
found = one_loop(F, 0 * P1, (Q1, Q2, P1, P2), {P1: m1, P2: g(w * m1), Q1: 0, Q2: 0})
s = Symbol("s")
slope, bend = (diff(g(s), s, order).subs(s, w * m1) for order in (1, 2))
assert found.shift[2] == 0
assert simplify((found.shift[3] - w**2 * bend * k1 / 2).doit()) == 0
assert simplify((found.covariance[3, 3] - k(w * m1) - w**2 * slope**2 * k1).doit()) == 0

# %% [markdown]
# The program, for erf: $g(s)=\tfrac2\pi\arcsin\frac{\pi s/2}{1+\pi s/2}$, $k_1=\langle\phi^4\rangle-g^2$ by a sum over a fine grid; the label's noise is so
# large that it says nothing. $A$ and the energy are then constants.

# %%
state = solve_problem(endpoint(3, 1.0, w=1.4, kappa=1e10, activation="erf"))
z = np.linspace(-10, 10, 4001)
weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()


def variance_of_square(s: float) -> float:
    """``⟨φ⁴⟩ - ⟨φ²⟩²``."""
    squares = np.asarray(state.problem.activation.value(np.sqrt(s) * z)) ** 2
    return float(weight @ squares**2 - (weight @ squares) ** 2)


formula = 2 / pi * asin((pi * s / 2) / (1 + pi * s / 2))
first = float(formula.subs(s, 1))
k1_number, k_number = variance_of_square(1.0), variance_of_square(1.4 * first)
slope_number, bend_number = (float(diff(formula, s, order).subs(s, 1.4 * first)) for order in (1, 2))
expected = 0.5 * 1.4**2 * bend_number * k1_number
spread = np.sqrt(k_number + 1.4**2 * slope_number**2 * k1_number)
assert abs(kernel_shift(state)[1, 1] / expected - 1) < 1e-7
assert abs(kernel_sd(state, 1)[1, 1] / spread - 1) < 1e-7
print(f"erf, w = 1.4: N shift of Phi^22 = {expected:.8f}, N^(1/2) sd = {spread:.8f}")

# %% [markdown]
# ## 3. Third derivatives as averages
#
# With $\ell(g;x)=\ln\mathcal N(g|0,C[\Phi])+\phi^\top\tilde\Phi\phi$, $Z=\langle e^{\ell}\rangle_0$, derivatives of $\ln Z$ are cumulants under
# $e^{\ell}/Z$; contracted with $\Sigma$, and with $q=\Sigma_{kl}[(\ell_k-\langle\ell_k\rangle)(\ell_l-\langle\ell_l\rangle)+\ell_{kl}]$,
#
# $$(\ln Z)_{jkl}\Sigma_{kl}=\mathrm{Cov}(\ell_j,q)+2\,\mathrm{Cov}(\ell_{jk},\ell_l)\Sigma_{kl}+\langle\ell_{jkl}\rangle\Sigma_{kl}.$$
#
# Here for any $\ell$ of two variables on a space of three points, which is enough for every cumulant up to the third:

# %%
x = symbols("x1 x2")
S = symbols("S11 S12 S22")
Sigma = [[S[0], S[1]], [S[1], S[2]]]
forms = [x[0] + 2 * x[1] ** 2 + x[0] * x[1] ** 2, x[0] ** 2 - x[1] + x[0] ** 3, 3 * x[1] + x[0] * x[1] - x[1] ** 3]
base = [Rational(1, 2), Rational(1, 3), Rational(1, 6)]
at = {x[0]: 0, x[1]: 0}
log_Z = log(sum(b * exp(form) for b, form in zip(base, forms, strict=True)))


def mean(values: list[Any]) -> Any:
    """Under the tilted law at x = 0, where the tilt is 1."""
    return sum(b * value for b, value in zip(base, values, strict=True))


def derivative(*places: int) -> list[Any]:
    """Of ℓ at each point."""
    return [diff(form, *(x[place] for place in places)).subs(at) for form in forms]


def covariance(one: list[Any], other: list[Any]) -> Any:
    """Under the same law."""
    return mean([a * b for a, b in zip(one, other, strict=True)]) - mean(one) * mean(other)


pairs = [(a, b) for a in range(2) for b in range(2)]
centred = [[value - mean(derivative(a)) for value in derivative(a)] for a in range(2)]
q = [
    sum(Sigma[a][b] * (centred[a][point] * centred[b][point] + derivative(a, b)[point]) for a, b in pairs)
    for point in range(3)
]
for j in range(2):
    exact = sum(diff(log_Z, x[j], x[a], x[b]).subs(at) * Sigma[a][b] for a, b in pairs)
    averaged = covariance(derivative(j), q)
    averaged += sum(2 * Sigma[a][b] * covariance(derivative(j, a), derivative(b)) for a, b in pairs)
    averaged += sum(Sigma[a][b] * mean(derivative(j, a, b)) for a, b in pairs)
    assert simplify(exact - averaged) == 0

# %% [markdown]
# ## 4. The size of what is left
#
# $r=\partial[A+\tfrac12\ln|\partial^2F|]$: the mean to first order is one Newton step from the saddle of $F$ to that of $F+(A+\tfrac12\ln|\partial^2F|)/N$.

# %%
V, D, epsilon, c3, c4 = symbols("V D epsilon c3 c4", positive=True)
t = Symbol("t")
cubic = V * t**2 / 2 + c3 * t**3 / 6 + c4 * t**4 / 24
loop = one_loop(cubic, D * t, (t,), {t: 0})
tadpole = diff(D * t + half * log(diff(cubic, t, 2)), t).subs(t, 0)
assert simplify(loop.shift[0] + tadpole / V) == 0
print("N shift =", latex(loop.shift[0]))
print("N Var =", latex(loop.covariance[0, 0]))

# %% [markdown]
# ## 5. The alignment with the limit
#
# For $\Phi_N=\Phi+\epsilon\delta$ the kernel alignment is the cosine between the two, so that
# $1-\mathrm{CKA}=\tfrac{\epsilon^2}{2|\Phi|^2}\left(|\delta|^2-\frac{\langle\Phi,\delta\rangle^2}{|\Phi|^2}\right)+O(\epsilon^3)$. With
# $\langle\delta\delta^\top\rangle=\Sigma/N$ one network's falls as $c/N$. Here for kernels of two rows, and $c$ by the program:

# %%
kernel, change = (
    Matrix(2, 2, lambda i, j, letter=letter: Symbol(f"{letter}{min(i, j)}{max(i, j)}")) for letter in "PD"
)


def product(one: Matrix, other: Matrix) -> Any:
    """The Frobenius product."""
    return sum(a * b for a, b in zip(one, other, strict=True))


moved = kernel + epsilon * change
cosine_squared = product(kernel, moved) ** 2 / product(kernel, kernel) / product(moved, moved)
sine_squared = (1 - cosine_squared).together()  # 2 (1 - CKA) + O(ε⁴)
half_second = diff(sine_squared, epsilon, 2).subs(epsilon, 0) / 4
orthogonal = product(change, change) - product(kernel, change) ** 2 / product(kernel, kernel)
assert simplify(sine_squared.subs(epsilon, 0)) == simplify(diff(sine_squared, epsilon).subs(epsilon, 0)) == 0
assert simplify(half_second - orthogonal / product(kernel, kernel) / 2) == 0

state = solve_problem(endpoint(4, 20.0, activation="erf"))
aligned = misalignment(state)
print(
    f"erf RNN, lambda = 20: N (1 - CKA) = {aligned.single:.4f} of one network, N^2 (1 - CKA) = {aligned.of_mean:.3f} of the mean"
)
shifted = state.kernel + kernel_shift(state) / 1e4
assert abs(1e8 * (1 - cka(shifted, state.kernel)) / aligned.of_mean - 1) < 0.01

# %% [markdown]
# ## 6. Which phase: the free energy to order one
#
# Where $F$ has several minima, networks of width $N$ are in each with a probability. With a factor $N/2\pi$ for each pair of a kernel and its
# conjugate, as the law of a mean of $N$ terms has,
#
# $$-\ln\int\prod\frac{N}{2\pi}\,d\tilde\Phi\,d\Phi\;e^{-NF-A}=NF+\Gamma+O(1/N),\qquad\Gamma=A+\tfrac12\ln\left[(-1)^c|\partial^2F|\right],$$
#
# $c$ conjugates along the imaginary axis. A state without labels has $\Gamma=A$. For one hidden time of a linear network the explicit density
# with its Wishart Jacobian gives the same $\Gamma$, up to a constant; then the exact integral, in each width:

# %%
saddle = {Phi: r * u, Q: (1 - 1 / r) / (2 * u)}
F = (energy + Q * Phi + log(1 - 2 * u * Q) / 2).subs(y2, label)
both = one_loop(F, A, (Q, Phi), saddle, 1)
assert simplify(diff(both.free_energy - explicit.free_energy, r)) == 0
assert one_loop(Q * Phi + log(1 - 2 * u * Q) / 2, 0 * Phi, (Q, Phi), {Phi: u, Q: 0}, 1).free_energy == 0

numbers = {u: 0.7, v: 1.3, kappa: 0.4, r: 2.5}
target, free_energy, Gamma = (float(part.subs(numbers)) for part in (label, F.subs(saddle), both.free_energy))
left = []
for N in (100, 200, 400):
    grid = np.linspace(-3, 4, 4001)  # of ln Φ
    log_law = N / 2 * (math.log(N / 1.4) + grid) - N * np.exp(grid) / 1.4 - math.lgamma(N / 2)  # u = 0.7
    spread = 1.3 * np.exp(grid) + 0.4
    integrand = np.exp(log_law - N * target / spread / 2 - np.log(spread) / 2 + N * free_energy)
    left.append(N * (-np.log(integrand.sum() * (grid[1] - grid[0])) - Gamma))
assert abs(left[2] / left[1] - 1) < 0.05
print(f"N (exact - N F - Gamma) = {left[0]:.4f}, {left[1]:.4f}, {left[2]:.4f} at N = 100, 200, 400")

# %% [markdown]
# What is left falls as $\Gamma_2/N$, with the diagrams of two loops: with $r$ the force of the shift,
#
# $$\Gamma_2=\tfrac18F_{ijkl}\Sigma_{ij}\Sigma_{kl}-\tfrac1{12}F_{ijk}F_{lmn}\Sigma_{il}\Sigma_{jm}\Sigma_{kn}+\tfrac12A_{ij}\Sigma_{ij}-\tfrac12r\cdot\Sigma r .$$
#
# For one variable it is the next term of Laplace's method: of Stirling's series, $n!=\int e^{-n(x-\ln x)}\dots$ has $\Gamma_2=-\tfrac1{12}$. In both
# kernels at once it is the limit of the integrals above, and it does not depend on the coordinates: the explicit density has the same, but for what all states share.

# %%
x_gamma = Symbol("x_gamma", positive=True)
assert two_loops(x_gamma - log(x_gamma), 0 * x_gamma, (x_gamma,), {x_gamma: 1}) == -Rational(1, 12)
second = two_loops(F, A, (Q, Phi), saddle)
density = (energy + (Phi / u - log(Phi)) / 2).subs(y2, label)
assert simplify(diff(second - two_loops(density, A + log(Phi), (Phi,), {Phi: r * u}), r)) == 0
limit = float(second.subs(numbers))
assert abs(2 * left[2] - left[1] - limit) < 0.01 * abs(limit)
print(f"Gamma_2 = {limit:.4f}:", latex(second))

# %% [markdown]
# The two determinants. With $K=\mathrm{Cov}(\phi\phi^\top)$ and $F(\Phi)$ the functional after $\tilde\Phi$ is eliminated, a block of
# $\partial^2F$ is $-K$, and Schur's complement is the Hessian of $F(\Phi)$: $(-1)^c|\partial^2F|=|K|\,|\partial^2F/\partial\Phi^2|$. Here for one pair:

# %%
K, B, c = symbols("K B c")  # -∂²F/∂Q², ∂²F/∂Φ², ∂²F/∂Q∂Φ
eliminated = B + c**2 / K  # of F(Φ)
assert simplify(-Matrix([[-K, c], [c, B]]).det() - K * eliminated) == 0

# %% [markdown]
# Endpoint supervision, exactly ($u=v=w=1$): the incoherent state of $T=4$, and either sign of the coherent one. In the sectors of equal lag

# %%
ratio, s, noise = names.r, names.s, names.kappa
tied = ratio**3 * (2 - ratio) * (4 * ratio**4 - 3 * ratio**3 + noise * (3 - 2 * ratio))
at = {ratio: Rational(11, 10), noise: 100}
assert abs(float((incoherent_order_one(4) - log(tied) / 2).subs(at))) < 1e-12
stability = 16 * s**4 - 36 * s**3 + 24 * s**2 - 204 * s + 100
coherent = coherent_order_one(coherent_branch(Integer(100)))
assert simplify(exp(2 * coherent) - 8 * s * (s - 2) * stability / (s - 1) ** 2) == 0
print("Gamma of the coherent state, kappa = 100:", latex(coherent))

# %% [markdown]
# There are two coherent states. Their odds to the incoherent one are $2e^{-N\Delta F-\Delta\Gamma}$, even at $N=(\ln2-\Delta\Gamma)/\Delta F$, so that the
# transition of width $N$ is off that of $N\to\infty$ by $\delta\lambda=-(\ln2-\Delta\Gamma)/(N\,\partial_\lambda\Delta F)$. The program, beside both forms:

# %%
states = solve_all(endpoint(4, 1085.0, kappa=100.0))
low = {state.branch: state for state in states if state.stable}
gammas = {
    "incoherent": float((log(tied) / 2).subs({ratio: low["incoherent"].kernel[0, 0], noise: 100})),
    "coherent": float(coherent.subs(s, low["coherent"].kernel[0, 0])),
}
gain = math.log(2) - gammas["coherent"] + gammas["incoherent"]
even = gain / (low["coherent"].free_energy - low["incoherent"].free_energy)
odds = phase_weights(states, 64)
assert odds.even_width is not None
assert abs(odds.even_width / even - 1) < 1e-8
print(odds)

# %% [markdown]
# The odds' next order is $\Gamma_2$'s difference over $N$. For erf, at a discontinuous transition of its own, the program's odds with two loops
# are beside networks sampled by replica exchange: 2500 steps of two chains on a ladder along the line of even odds, $\kappa/u=42$ and 55 at
# $\lambda/\kappa=7.5$ and 8.65, found 0.578 ± 0.022 (526 effective draws; `tests/checking/test_phase_weights.py` repeats it).

# %%
curved = solve_all(endpoint(4, 9.8 * 70, kappa=0.07, u=1e-3, activation="erf"))
odds = phase_weights(curved, 24)
assert odds.next_order is not None
assert abs(odds.weights[0] - 0.578) < 2 * math.hypot(0.022, odds.phases[0].weight_error)
print(odds)
