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
# # What a finite step does to Langevin dynamics
#
# The simulator's Langevin sampler takes steps $\eta'=\eta-h\,\nabla U(\eta)+\sqrt{2h}\,\xi$ in whitened weights, where
# the potential is $U=\tfrac12|\eta|^2+L(\eta)$. For $h\to0$ its stationary density is $e^{-U}$; at finite $h$ it is
# not. We derive by how much, first for a quadratic potential, where the answer is exact, then for any potential to
# first order in $h$, then in the form in which the sampler estimates it from its own draws.

# %%
import numpy as np
from sympy import (
    Expr,
    Function,
    Matrix,
    Rational,
    Symbol,
    cancel,
    diff,
    exp,
    expand,
    eye,
    integrate,
    latex,
    oo,
    simplify,
    solve,
    sqrt,
    symbols,
)

from numerics.linalg import FloatArray

# %% [markdown]
# ## 1. A quadratic potential, exactly
#
# For $U=kx^2/2$ the step is linear, $x'=(1-hk)x+\sqrt{2h}\,\xi$, and a stationary variance reproduces itself:
# $\sigma^2=(1-hk)^2\sigma^2+2h$.

# %%
h, k, variance = symbols("h k sigma2", positive=True)
(stationary,) = solve((1 - h * k) ** 2 * variance + 2 * h - variance, variance)
assert cancel(stationary - 1 / (k * (1 - h * k / 2))) == 0
excess = stationary.series(h, 0, 2).removeO() - 1 / k
assert expand(excess) == h / 2
print("variance =", latex(stationary))
print("excess over 1/k, first order:", latex(expand(excess)))

# %% [markdown]
# The excess variance, $h/2$, is the same in every direction. A direction of the prior ($k=1$) is off by a fraction
# $h/2$; one of stiffness $k$ by $hk/2$, and the dynamics is stable only for $h<2/k_{\max}$. So the step is set by the
# stiffest direction. The kernel, a mean over $N$ neurons, is a function of all $O(N^2)$ weights, of which the
# likelihood stiffens only as many as there are supervised outputs: their excess enters it with weight $1/N$.
#
# With several dimensions and precision matrix $A$ the same holds for each eigenvector, $\Sigma=(A(1-hA/2))^{-1}$:

# %%
a, b, c = symbols("a b c", real=True)
A = Matrix([[a, b], [b, c]])
Sigma = (A * (eye(2) - h * A / 2)).inv()
step = eye(2) - h * A
assert simplify(step * Sigma * step.T + 2 * h * eye(2) - Sigma) == Matrix.zeros(2, 2)

# %% [markdown]
# ## 2. Averaging two steps' noise removes it
#
# Leimkuhler and Matthews replace $\xi_j$ by $\tfrac12(\xi_j+\xi_{j+1})$. The new position is correlated with the noise
# that is used again, $\langle x_j\xi_j\rangle=\sqrt{2h}/2$, which adds $2(1-hk)\tfrac{\sqrt{2h}}{2}\langle
# x_j\xi_j\rangle$ to the balance, while the noise itself only has half the variance. The result is $1/k$ at every
# stable step.

# %%
correlation = sqrt(2 * h) / 2
balance = (1 - h * k) ** 2 * variance + 2 * h * Rational(1, 2)
balance += 2 * (1 - h * k) * sqrt(2 * h) / 2 * correlation
assert solve(expand(balance - variance), variance) == [1 / k]

# %% [markdown]
# ## 3. Any potential, to first order
#
# Expand the mean of a test function over one step in powers of $h$:
# $\langle f(x')\rangle=f+h\,\mathcal Lf+h^2\,\mathcal Bf+\dots$ with $\mathcal L=-U'\partial+\partial^2$. The moments
# of the noise give $\mathcal B$.

# %%
x, y, z = symbols("x y z", real=True)
U, f, U1 = Function("U"), Function("f"), Function("U1")
d = Symbol("d")  # the increment -hU' + √(2h) ξ
slope = Symbol("Uprime")
moments = {0: 1, 1: 0, 2: 1, 3: 0, 4: 3}
root = Symbol("root", positive=True)  # √h
coefficients = {}
for order in range(1, 5):
    powers = expand((-(root**2) * slope + root * sqrt(2) * z) ** order).as_poly(z)
    mean = sum(coefficient * moments[degree] for (degree,), coefficient in powers.terms() if degree in moments)
    coefficients[order] = expand(mean).coeff(root, 4)  # the part of order h²
factorial = {1: 1, 2: 2, 3: 6, 4: 24}
B = {order: value / factorial[order] for order, value in coefficients.items()}
assert {1: 0, 2: slope**2 / 2, 3: -slope, 4: Rational(1, 2)} == B
for order, value in B.items():
    print(f"f^({order}) in B: coefficient:", latex(value))

# %% [markdown]
# Write the stationary density as $e^{-U}(1-hU_1)$. Stationarity, $\int e^{-U}(1-hU_1)(\langle f(x')\rangle-f)=0$ for
# every $f$, is satisfied at order $h$; order $h^2$ demands $\mathcal B^*e^{-U}=\mathcal L^*(U_1e^{-U})$. It holds for
#
# $$U_1=\tfrac12\,\Delta U-\tfrac14|\nabla U|^2 ,$$
#
# so the sampled potential is $U+hU_1$. We check it for an arbitrary $U$ in one dimension and in two.

# %%
rho = exp(-U(x))
first = diff(U(x), x)
modified = diff(U(x), x, 2) / 2 - first**2 / 4
adjoint_B = diff(first**2 * rho, x, 2) / 2 + diff(first * rho, x, 3) + diff(rho, x, 4) / 2
adjoint_L = diff(first * modified * rho, x) + diff(modified * rho, x, 2)
assert simplify((adjoint_B - adjoint_L) / rho) == 0
wrong = diff(U(x), x, 2) / 2 - first**2 / 2
assert simplify((adjoint_B - diff(first * wrong * rho, x) - diff(wrong * rho, x, 2)) / rho) != 0

V, where = U(x, y), (x, y)
rho2 = exp(-V)
grad = [diff(V, s) for s in where]
modified2 = sum(diff(V, s, 2) for s in where) / 2 - sum(g**2 for g in grad) / 4
adjoint_B2 = (
    sum(
        diff(grad[i] * grad[j] * rho2, where[i], where[j]) / 2 + diff(grad[i] * rho2, where[i], where[j], 2)
        for i in range(2)
        for j in range(2)
    )
    + sum(diff(rho2, s, 2, t, 2) for s in where for t in where) / 2
)
adjoint_L2 = sum(diff(g * modified2 * rho2, s) + diff(modified2 * rho2, s, 2) for g, s in zip(grad, where, strict=True))
assert simplify(expand((adjoint_B2 - adjoint_L2) / rho2)) == 0

# %% [markdown]
# For the quadratic potential this is section 1 again: $U+hU_1=\tfrac12k(1-hk/2)x^2+\text{const}$.

# %%
quadratic = k * x**2 / 2
shifted = quadratic + h * (diff(quadratic, x, 2) / 2 - diff(quadratic, x) ** 2 / 4)
assert expand(shifted - shifted.subs(x, 0) - k * (1 - h * k / 2) * x**2 / 2) == 0

# %% [markdown]
# ## 4. The bias of an observable, from the sampler's own draws
#
# To first order $\langle A\rangle_h-\langle A\rangle=-h\,\mathrm{Cov}(A,U_1)$. The Laplacian is unwelcome: it needs
# second derivatives of the network. Two integrations by parts remove it. With $\rho=e^{-U}$, the following are total
# derivatives and integrate to zero:
#
# $$(A-\bar A)(\Delta U-|\nabla U|^2)\rho+\nabla A\cdot\nabla U\,\rho,\qquad
#   (A-\bar A)(\mathrm{dim}-\eta\cdot\nabla U)\rho+\nabla A\cdot\eta\,\rho .$$
#
# The first turns the bias into $h\{\tfrac12\langle\nabla A\cdot\nabla U\rangle-\tfrac14\mathrm{Cov}(A,|\nabla U|^2)\}$.
# The second is needed because $|\nabla U|^2$ contains $|\eta|^2$, a sum over all $N^2$ weights whose noise would drown
# the rest: with $\nabla U=\eta+\nabla L$ it gives $\mathrm{Cov}(A,|\eta|^2)=\langle\nabla
# A\cdot\eta\rangle-\mathrm{Cov}(A,\eta\cdot\nabla L)$, and
# $$\langle A\rangle_h-\langle A\rangle=h\left\{\tfrac14\langle\nabla A\cdot\eta\rangle+\tfrac12\langle\nabla
# A\cdot\nabla L\rangle   -\tfrac14\,\mathrm{Cov}\big(A,\nabla L\cdot(\eta+\nabla L)\big)\right\}.$$
#
# A constant diagonal mobility $M$ (a preconditioner) stands between every pair of gradients.

# %%
obs, mean_obs = Function("A")(x), Symbol("Abar")
second = diff(U(x), x, 2)
assert simplify((obs - mean_obs) * (second - first**2) * rho + diff(obs, x) * first * rho
                - diff((obs - mean_obs) * first * rho, x)) == 0  # fmt: skip
assert simplify((obs - mean_obs) * (1 - x * first) * rho + diff(obs, x) * x * rho
                - diff((obs - mean_obs) * x * rho, x)) == 0  # fmt: skip

# %% [markdown]
# The formula against section 1: $U=x^2/2+(k-1)x^2/2$ and $A=x^2$ must give $h/2$.

# %%


def gaussian_mean(expression: Expr) -> Expr:
    """Mean over N(0, 1/k), by integration."""
    weight = exp(-k * x**2 / 2)
    return simplify(integrate(expression * weight, (x, -oo, oo)) / integrate(weight, (x, -oo, oo)))


A_, dA, dL = x**2, 2 * x, (k - 1) * x
squared = dL * (x + dL)
covariance = gaussian_mean(A_ * squared) - gaussian_mean(A_) * gaussian_mean(squared)
bias = h * (gaussian_mean(dA * x) / 4 + gaussian_mean(dA * dL) / 2 - covariance / 4)
assert simplify(bias - h / 2) == 0

# %% [markdown]
# ## 5. Confirmed without expanding anything
#
# For $U=x^2/2+x^4/4$ we discretise the transition density of one Euler–Maruyama step and iterate it to its stationary
# law. The shift of $\langle x^2\rangle$, divided by $h$, must approach the formula as $h\to0$, and the remainder must
# be of first order in $h$.

# %%
grid = np.linspace(-4, 4, 1601)
target = np.exp(-(grid**2) / 2 - grid**4 / 4)
target /= target.sum()


def grid_mean(values: FloatArray, weight: FloatArray = target) -> float:
    """Mean on the grid."""
    return float(values @ weight)


gradient_L = grid**3
driven = gradient_L * (grid + gradient_L)
predicted = (
    grid_mean(2 * grid * grid) / 4
    + grid_mean(2 * grid * gradient_L) / 2
    - (grid_mean(grid**2 * driven) - grid_mean(grid**2) * grid_mean(driven)) / 4
)


def stationary_shift(step_size: float) -> float:
    """Shift of ⟨x²⟩ at a finite step, from the stationary law of the discretised chain."""
    drifted = grid - step_size * (grid + grid**3)
    transition = np.exp(-((grid[:, None] - drifted[None, :]) ** 2) / (4 * step_size))
    transition /= transition.sum(axis=0)
    weight = target.copy()
    for _ in range(int(12 / step_size)):
        weight = transition @ weight
    return grid_mean(grid**2, weight / weight.sum()) - grid_mean(grid**2)


shifts = {size: stationary_shift(size) / size for size in (0.04, 0.02)}
for size, value in shifts.items():
    print(f"h = {size}: shift/h = {value:.5f}, first order predicts {predicted:.5f}")
extrapolated = 2 * shifts[0.02] - shifts[0.04]
assert abs(extrapolated - predicted) < 0.02 * abs(predicted)
assert abs(shifts[0.02] - predicted) < 0.6 * abs(shifts[0.04] - predicted)

# %% [markdown]
# The steps of section 2 are exact where $U$ is quadratic; here their shift must be of second order. They use each noise
# twice: with $y=x-\sqrt{h/2}\,\xi$, where $\xi$ is the noise that comes again, $y'=x-hU'(x)+\sqrt{h/2}\,\xi$ is a Markov
# chain in $y$. The noise is taken at the nodes of a Gauss–Hermite rule, and what arrives between two places of a finer
# grid is shared by them so that means of linear functions are kept.

# %%
nodes, weights = np.polynomial.hermite_e.hermegauss(24)
weights = weights / weights.sum()
fine = np.linspace(-4.5, 4.5, 6001)
fine_target = np.exp(-(fine**2) / 2 - fine**4 / 4)


def second_order_shift(step_size: float) -> float:
    """Shift of ⟨x²⟩ at a finite step of Leimkuhler and Matthews."""
    spread, spacing = np.sqrt(step_size / 2), fine[1] - fine[0]
    x = fine[:, None] + spread * nodes
    places = np.clip((x - step_size * (x + x**3) + spread * nodes - fine[0]) / spacing, 0, len(fine) - 1.001)
    left = places.astype(int)
    share = places - left
    law = fine_target
    for _ in range(int(14 / step_size)):
        mass = law[:, None] * weights
        law = np.bincount(left.ravel(), ((1 - share) * mass).ravel(), len(fine))
        law += np.bincount(left.ravel() + 1, (share * mass).ravel(), len(fine))
    return grid_mean(x**2 @ weights, law / law.sum()) - grid_mean(grid**2)


for name, shift, order in (("Euler", stationary_shift, 1), ("Leimkuhler-Matthews", second_order_shift, 2)):
    coarse, halved = shift(0.1), shift(0.05)  # at much larger steps the cubic force throws draws out of the well
    observed = np.log2(coarse / halved)
    print(f"{name}: shift {coarse:.6f} at h = 0.1, {halved:.6f} at h = 0.05: order {observed:.2f}")
    assert abs(observed - order) < 0.25

# %% [markdown]
# ## 6. What the sampler does with it
#
# The Gauss–Newton matrix $1+J^\top J/K$ of the supervised outputs has the stiffness $k_{\max}$ as its largest
# eigenvalue. In whitened weights it does not grow with $N$: with $K=\kappa/N$, the read-out direction has $|\partial
# f/\partial\eta_V|^2/K=v\Phi/\kappa$, and a direction of $W$ has $w|V|^2|\phi|^2/(NK)$, where $|\phi|^2=O(N)$ and,
# after learning, $|V|^2=O(1/N)$. The sampler takes $h\le0.2/k_{\max}$, measures the bias of every kernel entry per unit
# of $h$ in its warm-up by the formula of section 4, and lowers $h$ until it expects less than a quarter of a standard
# error; the estimate from the run's own draws is reported with the result.
