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
# # The whole coherent branch at $T=4$ for any sharing
#
# At $T=4$ there are two matrices $W^{(1)},W^{(2)}$, and whatever the sharing matrix is, after scaling it has one entry, their
# correlation $\rho$ (a negative one becomes positive under $W^{(2)}\to-W^{(2)}$, $V\to-V$). We find all positive definite stationary kernels with
# $H^{12}\ne0$: one curve, rational in one parameter, with $\rho$ and the noise $\kappa$ as symbols. Units $u=v=w=1$.

# %%

import mpmath
from mpmath import mp
from sympy import Rational, factor, latex, simplify

from derivations.by_differences import free_energy, newton
from theory.coherent_branch import coherent_branch
from theory.coherent_elimination import assert_elimination
from theory.outliers import assert_outlier, outlier_start, outlier_threshold
from theory.sharing import sharing
from theory.sharing_transition import critical_point_of
from theory.symbols import kappa, rho, s

# %% [markdown]
# ## 1. Elimination
#
# $H^{13}$ occurs in $-\tfrac12\ln|H|$ alone, so that $H^{13}=H^{12}H^{23}/H^{22}$. With $P=H^{11}H^{22}-(H^{12})^2$,
# $Q=H^{22}H^{33}-(H^{23})^2$, $D=|C|=H^{11}H^{22}-\rho^2(H^{12})^2$, all positive,
#
# $$2F=\frac\lambda{H^{33}+\kappa}+H^{11}+\frac{(H^{22})^2-2\rho H^{12}H^{23}+H^{11}H^{33}}D-\ln\frac{PQ}{H^{22}D}-3 .$$
#
# Let $x=(H^{12})^2/(H^{11}H^{22})$, the squared coherence of times 1 and 2, $k=H^{22}/H^{11}$, $y=Q/D$.
#
# - $H^{23}$: $\;H^{23}=\rho\,y\,H^{12}$, hence $H^{33}=H^{11}\left[(1-\rho^2x)y+\rho^2xy^2\right]$.
# - $H^{33}$: the stress $\mu=\lambda/(H^{33}+\kappa)^2=(1-k/y)\,H^{11}/D$.
# - $H^{12}$, divided by it: the bracket of $F$ is $y+1-\frac{1-\rho^2x}{\rho^2(1-x)}$.
# - $H^{22}$, with this: $\;2k=y(1+\rho^2x)-\frac{(1-\rho^2x)(1-\rho^2)}{\rho^2(1-x)}$.
#
# None of these contains the scale $H^{11}$. The bracket, written out, is a quadratic equation for $y$ that factorises:
#
# $$\left(y-\frac{(1+\rho)^2}{\rho^2(1-x)}\right)\left(y-\frac{(1-\rho)^2}{\rho^2(1-x)}\right)=0 .$$
#
# The second root has $k=-\frac{(1-\rho)(1-\rho x)}{\rho(1-x)}<0$. The first has $k=\frac{(1+\rho)(1+\rho x)}{\rho(1-x)}$, and $H^{11}$ enters the last
# condition linearly, $H^{11}=\frac{1+\rho}{\rho(1-x)}$.

# %%
assert_elimination()

# %% [markdown]
# ## 2. The branch
#
# In $s=H^{11}>\frac{1+\rho}\rho$
#
# $$H^{22}=(1+\rho)s(s-1),\quad H^{33}=(1+\rho)^2s(s-1)^2,\quad (H^{12})^2=(1+\rho)s(s-1)\left(s-\tfrac{1+\rho}\rho\right),$$
# $$H^{23}=(1+\rho)s\,H^{12},\quad H^{13}=(1+\rho)s\left(s-\tfrac{1+\rho}\rho\right),\quad
#   \lambda=\frac{\left[(1+\rho)^2s(s-1)^2+\kappa\right]^2}{(1+\rho)^2s(s-1)},$$
# $$F=\frac12\left[\frac{(1+\rho)^2s(s-1)^2+\kappa}{(1+\rho)^2s(s-1)}+3(s-1)-\ln\frac{(1+\rho)^2s}{\rho^2}\right].$$
#
# For $\rho=1$ it is the RNN's. It begins at the critical point, as the Landau expansion says.

# %%
branch = coherent_branch(rho=rho)
print("lambda =", latex(branch.signal))
print("F =", latex(branch.free_energy))
point = critical_point_of(sharing("shared:rho"), 4, kappa)
start = {s: branch.start}
assert factor(branch.signal.subs(start) - point.signal) == 0
slope = (branch.kernel[2, 3] ** 2).diff(s).subs(start) / branch.signal.diff(s).subs(start)
assert factor(slope - point.amplitude_squared) == 0

# %% [markdown]
# ## 3. Its fold
#
# $d\lambda/ds=0$ where
#
# $$\kappa=(1+\rho)^2\,s(s-1)^2\,\frac{4s-1}{2s-1},$$
#
# which rises with $s$. At the beginning of the branch it is the tricritical $\kappa_t=\left(\frac{1+\rho}\rho\right)^3\frac{3\rho+4}{\rho+2}$: up to it $\lambda$
# rises along the whole branch and the transition is continuous, beyond it there is one fold and the transition is
# discontinuous. No other point of the branch is special.

# %%
assert factor(branch.signal.diff(s).subs(kappa, branch.fold_noise)) == 0
assert point.tricritical_kappa is not None
assert factor(branch.fold_noise.subs(s, branch.start) - point.tricritical_kappa) == 0
rise = factor((branch.fold_noise.diff(s) / branch.fold_noise).subs(s, s + 1))
assert rise.is_positive

# %% [markdown]
# ## 4. The outliers of $W^{(1)}$ and $W^{(2)}$
#
# Given the activity, $\langle W^{(s)}\rangle=\frac1N\sum_{tt'}M_{st}\,(C'^{-1})_{tt'}\,h^{t'+1}h^{t\top}$, $C'=M\circ H_-$, of rank 2. On the branch it has one
# eigenvalue other than zero, and for both matrices the same,
#
# $$z=\frac{H^{12}}{s-1}=\frac{H^{23}}{H^{22}},\qquad z^2=\frac{(1+\rho)\,s\left(s-\frac{1+\rho}\rho\right)}{s-1}.$$
#
# It leaves the bulk ($z=1$) at the larger root of $(1+\rho)s^2-\left(\frac{(1+\rho)^2}\rho+1\right)s+1=0$: always after the transition, never at it.

# %%
assert_outlier()
edge = outlier_start()
assert (
    simplify(branch.signal.subs({s: edge, rho: 1, kappa: 1}).subs(rho, 1) - outlier_threshold(Rational(1)).signal) == 0
)
for value in (Rational(1, 10), Rational(1, 2), Rational(1)):
    ends = (
        branch.signal.subs({s: branch.start}).subs({rho: value, kappa: 1}),
        branch.signal.subs(s, edge).subs({rho: value, kappa: 1}),
    )
    print(f"rho={value}: lambda_c = {float(ends[0]):.4f}, outlier beyond {float(ends[1]):.4f}")
    assert ends[0] < ends[1]

# %% [markdown]
# ## 5. Confirmation on the full free energy
#
# Newton's method in mpmath, from $F$ entry by entry (its gradient from differences), started beside the branch, returns to it, to
# 40 digits.


# %%
with mpmath.workdps(150):
    for correlation, noise, at in (
        (Rational(1, 3), Rational(7, 2), Rational(11, 2)),
        (Rational(4, 5), Rational(90), Rational(3)),
    ):
        put = {rho: correlation, kappa: noise, s: at}
        exact = [mp.mpf(branch.kernel[times].subs(put).evalf(150)) for times in sorted(branch.kernel)]
        lam = mp.mpf(branch.signal.subs(put).evalf(150))
        arguments = (mp.mpf(correlation.p) / correlation.q, lam, mp.mpf(noise.p) / noise.q)
        found = newton([x * (1 + mp.mpf(k) / 10**4) for k, x in enumerate(exact)], *arguments)
        worst = max(abs(a - b) for a, b in zip(found, exact, strict=True))
        F = free_energy(exact, *arguments)
        print(f"rho={correlation} kappa={noise} lambda={mp.nstr(lam, 12)}: kernel off by {mp.nstr(worst, 3)}")
        assert worst < mp.mpf(10) ** -40
        assert abs(F - mp.mpf(branch.free_energy.subs(put).evalf(150))) < mp.mpf(10) ** -40
