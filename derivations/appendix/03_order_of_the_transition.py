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
# # The order of the transition
#
# At the critical point of each $T$ the free energy is reduced to the amplitude of the critical mode. The sign
# of its quartic coefficient, found in closed form for every $T$ and $\kappa$, decides whether the transition is continuous.
# It is at $T=4,5$ for small $\kappa$; from $T=6$ on it never is. Units $u=v=w=1$, $n=T-1$, $r=r_c=(T-2)/(T-3)$.

# %%
from functools import partial

import mpmath
import numpy as np
from scipy.optimize import minimize
from sympy import Expr, Rational, factor, latex, simplify, solve

from numerics.linalg import FloatArray
from theory.coexistence import coexistence
from theory.critical_point import (
    assert_closed_form_amplitude,
    closed_form_amplitude,
    critical_point,
    quartic_coefficient,
)
from theory.incoherent import critical_ratio
from theory.landau import landau_expansion
from theory.looped import assert_quartic
from theory.symbols import T, kappa, n, t, zeta

# %% [markdown]
# ## 1. Slaved modes
#
# In $M=D^{-1/2}HD^{-1/2}=1+\alpha E+\alpha^2X+\dots$ the mode is $E^{t,t+1}=a_t=t/(n-1)$. The gradient of $2F$ at order
# $\alpha^2$,
#
# $$R=r\left[\mathrm{up}(E_-^2)-\mathrm{pad}(3E_-^2-E_-E_+-E_+E_-)\right]-E^2+\mathrm{pad}(E_-^2),$$
#
# has entries of lag 0 and 2 only. Because $a_t$ is linear in $t$ they do not depend on $t$ away from both ends: with $m=n-1$,
#
# $$R_{tt}=s_t+s_{t-1},\qquad R_{t,t+2}=s_t,\qquad s_t=\frac r{m^2},\quad -\frac1m\text{ before the last }t,$$
#
# and $s=0$ outside $1\dots m$. The response solves $L_lX=-R$ with the tridiagonal forms of each lag, which act as $-r$ times
# the second difference. It is quadratic in $t$, with $q(t)=t(t-1)/2m^2$; the last row fixes its slope. With
# $\zeta=r_c^n/(r_c^n+\kappa)$, $1$ at $\kappa=0$:

# %%
m, r = n - 1, critical_ratio(n + 1)


def q(time: Expr) -> Expr:
    return time * (time - 1) / (2 * m**2)


inner, end = r / m**2, -1 / m
lag_two = (m - 1) * (1 / m - q(m - 1) + r * q(m - 2)) * t + q(t)
slope = (1 - 2 * zeta) / (m * (n - m * r + 2 * n * (r - 1) * zeta))
lag_zero, last = slope * t + q(t) + q(t - 1), slope * n + 2 * q(m)
rows = (
    r * (2 * lag_two - lag_two.subs(t, t - 1) - lag_two.subs(t, t + 1)) + inner,
    lag_two.subs(t, n - 2) - r * lag_two.subs(t, n - 3) + end,
    r * (2 * lag_zero.subs(t, 1) - lag_zero.subs(t, 2)) + inner,
    r * (2 * lag_zero - lag_zero.subs(t, t - 1) - lag_zero.subs(t, t + 1)) + 2 * inner,
    r * (2 * lag_zero.subs(t, m) - lag_zero.subs(t, m - 1) - last) + inner + end,
    (1 + 2 * (r - 1) * zeta) * last - r * lag_zero.subs(t, m) + end,
)
assert all(simplify(row) == 0 for row in rows)
print("X^{t,t+2} =", latex(factor(lag_two)))
print("X^{t,t}   =", latex(factor(lag_zero)), "(t < n)")
print("X^{n,n}   =", latex(factor(last)))

# %% [markdown]
# ## 2. The quartic coefficient
#
# At order $\alpha^4$, $2F=\Phi_4+\tfrac12\mathrm{tr}\,RX$, with
# $\Phi_4=r(\mathrm{tr}E_-^4-\mathrm{tr}E_+E_-^3)+\tfrac14(\mathrm{tr}E^4-\mathrm{tr}E_-^4)$. All sums are of powers of $t$; they
# are taken for any number of tied layers at once (appendix 16), of which the RNN has one.
# In $F=F_0+\tfrac12a(r-r_c)\alpha^2+\tfrac14b\alpha^4$,
#
# $$a=-\frac{n-2}{n-1},\qquad b=-\frac{n+2(n^2-6n+4)\,\zeta}{2(n-1)(2n\zeta-1)}.$$

# %%
expected = -(n + 2 * (n**2 - 6 * n + 4) * zeta) / (2 * (n - 1) * (2 * n * zeta - 1))
closed = quartic_coefficient()
assert_quartic(False)
assert simplify(closed - expected) == 0
print("b =", latex(closed))

# %% [markdown]
# With $r-r_c=-(b/a)\alpha^2$, $H^{n,n-1}=r^{n-1/2}\alpha$ and $d\lambda/dr$ at $r_c$ the order parameter follows as
#
# $$(H^{n,n-1})^2=A\,(\lambda-\lambda_c)+\dots,\qquad
#   A=-\frac{2(T-2)(T-3)\,r_c^{T-2}}{(1+\kappa r_c^{1-T})\left[2T^2-15T+21+(T-1)\kappa r_c^{1-T}\right]}.$$

# %%
assert_closed_form_amplitude()
print("A =", latex(closed_form_amplitude(T)))

# %% [markdown]
# ## 3. Every $T$ from 4 to 12
#
# The same by a general route: all kernel entries as power series in $\alpha$ to fifth order, by exact linear algebra, with
# nothing assumed about which of them follow. It also gives the next coefficient of the branch and the sextic one, $c$.

# %%
print(f"{'T':>3} {'b':>10} {'c':>22} {'A':>30} order at kappa = 0")
for horizon in range(4, 13):
    expansion, point = landau_expansion(horizon, 0), critical_point(horizon, 0)
    assert expansion.quartic == closed.subs({n: horizon - 1, zeta: 1})
    assert expansion.amplitudes()[0] == closed_form_amplitude(horizon, 0)
    assert (point.order == "continuous") == (expansion.quartic > 0)
    print(
        f"{horizon:>3} {expansion.quartic!s:>10} {expansion.sextic!s:>22} {point.amplitude_squared!s:>30} {point.order}"
    )

# %% [markdown]
# ## 4. Tricritical points
#
# $A$ changes sign where $2T^2-15T+21+(T-1)\kappa r_c^{1-T}=0$. The quadratic is negative at $T=4,5$ only, where
#
# $$\kappa_{tri}(4)=\tfrac{56}{3},\qquad\kappa_{tri}(5)=\tfrac{81}{16};$$
#
# below them the transition is continuous. $c>0$ there, so at $\kappa_{tri}$ it is continuous with exponent $\tfrac14$. For
# $T\ge6$ the quadratic is positive (it is at 6, and increases), and no $\kappa\ge0$ makes the transition continuous.

# %%
quadratic = 2 * T**2 - 15 * T + 21
assert [quadratic.subs(T, horizon) for horizon in (4, 5, 6)] == [-7, -4, 3]
assert all(root < 6 for root in solve(quadratic, T))
for horizon, value in ((4, Rational(56, 3)), (5, Rational(81, 16))):
    assert solve(closed_form_amplitude(horizon).as_numer_denom()[1].subs(kappa, value)) == []
    assert simplify(1 / closed_form_amplitude(horizon)).subs(kappa, value) == 0
    point = critical_point(horizon, value)
    assert point.exponent == Rational(1, 4)
    assert landau_expansion(horizon, value).sextic > 0
    print(f"T={horizon}: kappa_tri = {value}, (H^(n,n-1))^4 = {point.amplitude_fourth} (lambda-lambda_c) + ...")

# %% [markdown]
# ## 5. What a discontinuous transition looks like
#
# The branch that leaves $\lambda_c$ bends back, turns at a fold, and is a minimum of $F$ beyond it. Between fold and
# $\lambda_c$ both states are minima; at $\lambda_{eq}$ their free energies are equal. On the full free energy, to 20 digits:

# %%
transitions = {}
for horizon, noise in ((6, Rational(0)), (5, Rational(6)), (4, Rational(30))):
    found = transitions[horizon, noise] = coexistence(horizon, noise, 20)
    print(
        f"T={horizon} kappa={noise}: fold",
        mpmath.nstr(found.fold.signal, 18),
        "equal free energy",
        mpmath.nstr(found.equal.signal, 18),
        "critical",
        mpmath.nstr(found.critical_signal, 18),
    )
    print("   order parameter jumps to", mpmath.nstr(found.equal.order_parameter, 12))
    assert found.fold.signal < found.equal.signal < found.critical_signal

# %% [markdown]
# ## 6. Confirmation by minimisation
#
# $F$ once more in NumPy, minimised from random kernels. Slightly below $\lambda_{eq}$ the lowest state found is incoherent,
# slightly above it is coherent, with the order parameter of section 5. Where the transition is continuous ($T=4$ and 5,
# small $\kappa$) nothing coherent is found below $\lambda_c$.


# %%
def numpy_free_energy(x: FloatArray, size: int, lam: float, noise: float) -> float:
    """F at ``H = L Lᵀ``, L lower triangular with ``exp`` on its diagonal."""
    L = np.zeros((size, size))
    L[np.tril_indices(size)] = x
    L[np.diag_indices(size)] = np.exp(np.clip(np.diag(L), -20, 20))
    H = L @ L.T
    forward = np.zeros_like(H)
    forward[1:, 1:] = H[:-1, :-1]
    forward[0, 0] = 1
    logs = 2 * np.log(np.diag(L)).sum() - 2 * np.log(np.diag(L)[:-1]).sum()
    return float(0.5 * (lam / (H[-1, -1] + noise) + np.trace(np.linalg.solve(forward, H)) - size - logs))


def lowest_state(
    horizon: int, lam: float, noise: float, starts: int, generator: np.random.Generator
) -> tuple[float, float]:
    size, best = horizon - 1, (np.inf, 0.0)
    for _ in range(starts):
        start = np.tril(generator.normal(scale=0.5, size=(size, size)))
        start += 0.5 * np.log((horizon - 2) / (horizon - 3)) * np.diag(np.arange(1, size + 1))  # variances near r_c^t
        start[1:] += np.tril(generator.normal(scale=1.5, size=(size, size)), -1)[1:]
        x = start[np.tril_indices(size)]
        objective = partial(numpy_free_energy, size=size, lam=lam, noise=noise)
        result = minimize(objective, x, method="BFGS", options={"gtol": 1e-7})
        L = np.zeros((size, size))
        L[np.tril_indices(size)] = result.x
        L[np.diag_indices(size)] = np.exp(np.diag(L))
        best = min(best, (float(result.fun), abs(float((L @ L.T)[-1, -2]))))
    return best


generator = np.random.default_rng(3)
for (horizon, noise), found in transitions.items():
    fold, equal, last = (float(z) for z in (found.fold.signal, found.equal.signal, found.critical_signal))
    jump = float(found.equal.order_parameter)
    below = lowest_state(horizon, equal - 0.3 * (equal - fold), float(noise), 20, generator)
    above = lowest_state(horizon, equal + 0.3 * (last - equal), float(noise), 20, generator)
    print(f"T={horizon} kappa={noise}: order parameter {below[1]:.4f} below, {above[1]:.4f} above equal free energy")
    assert below[1] < 0.05 * jump
    assert jump < above[1] < 1.5 * jump
for horizon, noise in ((4, 1), (5, 0)):
    lam = float(critical_point(horizon, noise).signal) * 0.99
    state = lowest_state(horizon, lam, float(noise), 12, generator)
    print(f"T={horizon} kappa={noise}: order parameter {state[1]:.5f} one per cent below the critical signal")
    assert state[1] < 0.02
