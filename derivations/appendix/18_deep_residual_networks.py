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
# # Deep residual networks: which scaling of the weights keeps the kernel finite
#
# Linear network with skip connections $a=1$, $h^{t+1}=h^t+W^{(t)}h^t$, input at $t=0$, units $u=1$, no biases. How must the prior width
# $w$ fall with the depth $n$ for the random network's kernel to have a limit, and which? It depends on the sharing of weights.

# %%
import mpmath
import numpy as np
from mpmath import mp
from sympy import ImmutableMatrix, Integer, Rational, Symbol, eye, factor, zeros

from theory.depth_limit import (
    assert_limits,
    crossover_kernel,
    crossover_variance,
    prior_kernel,
    tied_kernel,
    tied_limit,
    untied_kernel,
)
from theory.sharing import DNN, RNN, SharingFamily, sharing

# %% [markdown]
# ## 1. A discrete wave equation
#
# The drive $Ah$, $A=1-\Sigma$, has the covariance $w\,M\circ\Sigma H\Sigma^\top+uX^-$, and on the prior's kernel $H=C$:
# $AHA^\top=w\,M\circ\Sigma H\Sigma^\top+uX^-$, entry by entry
#
# $$H^{s+1,t+1}-H^{s,t+1}-H^{s+1,t}+H^{st}=w\,M_{st}\,H^{st},\qquad H^{1t}=1 .$$
#
# Tied layers: $h^{t+1}=(1+W)^th^1$, and $\langle W^kh\cdot W^lh\rangle=\delta_{kl}w^k$, so that $H^{s+1,t+1}=\sum_k\binom sk\binom tkw^k$; the difference of
# $\binom sk$ in $s$ is $\binom s{k-1}$, which solves the recursion. Untied: $(1+w)^{\min(s,t)}$.

# %%
w = Symbol("w", positive=True)
n = 4
H = ImmutableMatrix(prior_kernel(sharing("shared:1/2"), n, w))
M = sharing("shared:1/2").matrix(n)
A = eye(n).as_mutable()
for i in range(n - 1):
    A[i + 1, i] = -1
drive = zeros(n, n)
drive[0, 0] = 1
drive[1:, 1:] = w * M.multiply_elementwise(H[: n - 1, : n - 1])
assert (A * H * A.T - drive).applyfunc(factor) == zeros(n, n)
tied, untied = prior_kernel(RNN, 5, w), prior_kernel(DNN, 5, w)
for i in range(5):
    for j in range(5):
        assert factor(tied[i][j] - tied_kernel(i, j, w)) == 0
        assert factor(untied[i][j] - untied_kernel(i, j, w)) == 0

# %% [markdown]
# ## 2. Limits
#
# At depths $\sigma=s/n$, $\tau=t/n$ the recursion becomes $\partial_\sigma\partial_\tau k=(n^2w)\,M\,k$. A sharing matrix enters through what it is on average
# over many layers, and its diagonal as a line source $nw\,\delta(\sigma-\tau)$.
#
# - **Untied**, $w=\omega/n$: $k=e^{\omega\min(\sigma,\tau)}$.
# - **Tied**, $w=\omega/n^2$: $\binom sk\binom tkw^k\to(\omega\sigma\tau)^k/k!^2$, $k=I_0(2\sqrt{\omega\sigma\tau})$.
# - **`shared:ρ`** at fixed $\rho>0$: $w=\omega/n^2$, the tied kernel at $\rho\omega$; each layer's own part, $nw(1-\rho)$, vanishes. **`looped:p`**: on
#   average $M=1/p$. **`drift:ρ`** at fixed $\rho<1$ has a finite range of correlation, a line source of strength
#   $nw\sum_l\rho^{|l|}=nw\frac{1+\rho}{1-\rho}$.
# - **Between**, $w=\omega/n$ and $\rho=c/n$, $\alpha=c\omega$: $\partial_\sigma\partial_\tau k=[\alpha+\omega\,\delta(\sigma-\tau)]\,k$. With the Riemann function
#   $I_0(2\sqrt{\alpha\,\cdot\,\cdot})$ of the wave operator,
#
# $$k(\sigma,\tau)=I_0(2\sqrt{\alpha\sigma\tau})+\omega\int_0^{\min(\sigma,\tau)}I_0\!\left(2\sqrt{\alpha(\sigma-s)(\tau-s)}\right)d(s)\,ds,\qquad d(s)=k(s,s).$$
#
# On the diagonal this is a renewal equation. Its Laplace transform, with $\mathcal L[I_0(2\sqrt\alpha s)]=1/\sqrt{p^2-4\alpha}$ and $\Omega=\sqrt{\omega^2+4\alpha}$,
#
# $$\hat d=\frac1{\sqrt{p^2-4\alpha}-\omega}=\frac1{\sqrt{p^2-4\alpha}}+\frac{\omega}{p^2-\Omega^2}+\frac{\omega^2}{\sqrt{p^2-4\alpha}\,(p^2-\Omega^2)},$$
# $$d(s)=I_0(2\sqrt\alpha s)+\frac\omega\Omega\sinh\Omega s+\frac{\omega^2}\Omega\int_0^sI_0(2\sqrt\alpha s')\sinh\Omega(s-s')\,ds'.$$
#
# Its pole is the growth rate $\Omega$. $\alpha=0$ gives $e^{\omega s}$ back, $\omega\to0$ at fixed $\alpha$ the tied kernel.

# %%
assert_limits()
with mpmath.workdps(40):
    assert abs(crossover_variance(mp.mpf(1), mp.mpf(2), mp.mpf(0)) - mp.exp(2)) < mp.mpf(10) ** -35
    weak = crossover_variance(mp.mpf(1), mp.mpf(10) ** -36, mp.mpf(2))
    assert abs(weak - tied_limit(1, 1, mp.mpf(2))) < mp.mpf(10) ** -34

# %% [markdown]
# ## 3. Confirmation
#
# The recursion itself at $n=50\dots400$: the distance to each limit halves as the depth doubles.

# %%
strength = 1.3
cases = {
    "dnn": (1, float(mp.exp(strength))),
    "rnn": (2, float(tied_limit(1, 1, strength))),
    "shared:1/4": (2, float(tied_limit(1, 1, strength / 4))),
    "looped:2": (2, float(tied_limit(1, 1, strength / 2))),
    "drift:1/5": (1, float(mp.exp(1.5 * strength))),
}
for word, (power, limit) in cases.items():
    away = [prior_kernel(sharing(word), m + 1, strength / m**power)[m][m] - limit for m in (50, 100, 200, 400)]
    print(f"{word}: limit {limit:.6f}, off by", *(f"{x:.5f}" for x in away))
    assert abs(away[2] / away[3] - 2) < 0.06
limit = float(crossover_variance(mp.mpf(1), mp.mpf(strength), mp.mpf(2 * strength)))
between = float(crossover_kernel(mp.mpf(1) / 2, mp.mpf(1), mp.mpf(strength), mp.mpf(2 * strength)))
kernels = {m: prior_kernel(SharingFamily("shared", Rational(2, m)), m + 1, strength / m) for m in (100, 200, 400)}
away = [kernels[m][m][m] - limit for m in kernels]
halfway = [kernels[m][m // 2][m] - between for m in kernels]
for place, value, off in (("end", limit, away), ("middle", between, halfway)):
    print(f"shared:2/n, {place}: limit {value:.6f}, off by", *(f"{x:.5f}" for x in off))
assert abs(away[1] / away[2] - 2) < 0.06
assert abs(halfway[1] / halfway[2] - 2) < 0.06

# %% [markdown]
# Sampled networks of 100 layers, width 300: their kernel at the last layer against the recursion.

# %%
generator = np.random.default_rng(18)
width, layers = 300, 100
for correlation, scale in ((Integer(0), 1e-2), (Rational(1, 50), 1e-2), (Integer(1), 1e-4)):
    exact = prior_kernel(SharingFamily("shared", correlation), layers + 1, scale)[layers][layers]
    rho = float(correlation)
    values = []
    for _ in range(8):
        common, h = generator.normal(size=(width, width)), generator.normal(size=(width, 40))
        for _ in range(layers):
            own = generator.normal(size=(width, width)) if rho < 1 else np.zeros((width, width))
            h = h + np.sqrt(scale / width) * (np.sqrt(rho) * common + np.sqrt(1 - rho) * own) @ h
        values.append(np.mean(h * h))
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    print(f"shared:{rho:g}, w = {scale:g}: {mean:.4f} ± {error:.4f}, exact {exact:.4f}")
    assert abs(mean - exact) < 5 * error + 0.02 * exact
