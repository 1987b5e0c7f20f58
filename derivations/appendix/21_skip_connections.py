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
# # Skip connections: the symmetry broken, the pitchfork unfolded
#
# Linear network with $h^{t+1}=a\,h^t+W^{(t)}h^t$, input at $t=0$, label at the end, units $u=v=w=1$, $n=T-1$ hidden times. A skip $a$ breaks
# $W\to-W$. We ask what becomes of the states and of the transition, for independent matrices (DNN) and for one (RNN), with noise $\kappa$.
# Reversing every second time maps $a$ to $-a$, so $a>0$.

# %%
from typing import Any

import mpmath
from mpmath import mp
from sympy import Integer, Rational, factor, lambdify, latex, limit, oo, simplify
from sympy import symbols as new_symbols

from theory.coherent_branch import coherent_branch
from theory.landau import landau_expansion
from theory.learning_onset import onset_noise
from theory.sharing import sharing
from theory.sharing_transition import critical_point_of
from theory.skip_cusps import skip_cusp, wing_noise
from theory.skip_tied import assert_elimination, chi_at, cusp_condition, fold_noise, tied_states
from theory.skip_unfolding import assert_tilt, unfolding, wing
from theory.skip_untied import assert_untied, cusp_polynomial, skip_branch, untied_cusp, untied_cusp_skip
from theory.symbols import T, chi, g, kappa, rho, s
from theory.symbols import skip as a

# %% [markdown]
# ## 1. Independent matrices: all states, every $T$
#
# The covariance of the drives $h^{t+1}-ah^t$ is diagonal, entries of lag $\ge2$ occur in $\ln|H|$ alone, and with $H^{t,t+1}=c_tH^{tt}$,
# $H^{t+1,t+1}=x_tH^{tt}$ each step stands alone:
#
# $$2F=\frac\lambda{H^{nn}+\kappa}+H^{11}-1-\ln H^{11}+\sum_t\left[x_t-2ac_t+a^2-1-\ln(x_t-c_t^2)\right],\qquad H^{nn}=H^{11}\prod_tx_t .$$
#
# $\partial/\partial c$: $c=a(x-c^2)>0$. The label's pull $\lambda H^{nn}/(H^{nn}+\kappa)^2$ equals $(c-a)(c+1/a)$ in every step, which rises with $c$: all
# steps are alike. With $c=ag$, $g\ge1$,
#
# $$H^{t,t+1}=a\,g\,H^{tt},\quad x=g(1+a^2g),\quad H^{11}=g(1+a^2(g-1)),\quad\lambda=(g-1)(1+a^2g)\frac{(H^{nn}+\kappa)^2}{H^{nn}} .$$
#
# One state for each $g$; $a=0$ gives the incoherent branch back, $r=g$. $H^{t,t+1}>0$ at every $\lambda$, with no transition of its own.

# %%
assert_untied()
branch = skip_branch(T)
print("lambda =", latex(branch.signal))
print("F =", latex(branch.free_energy))

# %% [markdown]
# What is left is the learning transition: $\lambda(g)$ folds where $\kappa$ is beyond $\kappa_*(a,T)$, at a root of a polynomial of degree 8. It rises
# with $a$ from the onset without a skip. In the $(\lambda,a)$ plane at fixed $\kappa$ the transition is discontinuous below the skip with
# $\kappa_*(a)=\kappa$, the cusp.

# %%
assert cusp_polynomial(T).degree() == 8
with mpmath.workdps(30):
    assert abs(untied_cusp(4, Integer(0), 30).kappa - mp.mpf(onset_noise(4).evalf(30))) < mp.mpf(10) ** -25
for horizon in (3, 4, 6):
    row = [untied_cusp(horizon, skip, 12).kappa for skip in (Integer(0), Rational(1, 4), Rational(1, 2), Integer(1))]
    print(f"T={horizon}: kappa_* at a = 0, 1/4, 1/2, 1:", *(mp.nstr(x, 8) for x in row))
    assert all(x < y for x, y in zip(row, row[1:], strict=False))
untied = untied_cusp_skip(4, 60)
print(f"T=4, kappa=60: a_* = {mp.nstr(untied.skip, 15)}, lambda = {mp.nstr(untied.signal, 15)}")

# %% [markdown]
# ## 2. One matrix, $T=4$: a rational surface of states
#
# With $x=H^{11},y=H^{12},z=H^{22}$, $e=xz-y^2$ and $h^3=\beta_1h^1+\beta_2h^2+{}$ a residual of variance $S$,
#
# $$2F=\frac\lambda{H^{33}+\kappa}+x+\frac{z^2-2yH^{23}+xH^{33}}e-2a\beta_2+2a^2-3-\ln S .$$
#
# - $\beta_1,\beta_2$: $H^{13}=Sy^2/e$, $H^{23}=S(yz/e+a)$.
# - $\tfrac12x\,\partial_y+y\,\partial_z$: $S\left[(y^2+xz)(y+ax)-2axy^2\right]=2yze$. At $y=0$ this is $S\,a\,x^2z=0$. **So $H^{12}\ne0$ in every state, at
#   every $\lambda$.**
# - $\partial_z$, with $y=agx$ and $z/y-y/x=aD$, is linear in $a^2$. With $\chi=D(g+1)+g^2-g$:
#
# $$a^2=\frac{2(\chi+g^2+g)}{(\chi+2)(\chi-g^2+g)},\qquad H^{11}=\frac{2g\chi(\chi+2g)}{(g+1)(\chi+2)(\chi-g^2+g)},\qquad
#   \mu=\frac\lambda{(H^{33}+\kappa)^2}=\frac{(g-1)(g+1)^2(\chi+2)^2(\chi-g^2+g)^2}{8g^3\chi(\chi+2g)^2(\chi+g^2+g)} .$$
#
# Positivity leaves $g\ge1$ (aligned, from the random network at $g=1$) and $g<-1$ (opposed), with $\chi>g^2-g$, where $a^2$ falls from $\infty$ to 0
# with $\chi$: at fixed $a$ there are two curves of states, and $|H^{12}|>aH^{11}$. Reversing every second time changes $2F$ by $4a\beta_2$, of the
# sign of $g$: each opposed state has a kernel of lower $F$, so that the lowest state is aligned.

# %%
assert_elimination()
states = tied_states()
for times, entry in states.kernel.items():
    print(f"H^{times[0]}{times[1]}{'/a' if sum(times) % 2 else ''} =", latex(entry))

# %% [markdown]
# As $a\to0$ with $H^{12}=agH^{11}$ fixed it is the coherent branch: $\chi=\sigma g^2$, $g\to\infty$.

# %%
sigma, big = new_symbols("sigma G", positive=True)
edge = {chi: big**2 * sigma, g: big}
known = coherent_branch(kappa)
first = factor(limit(states.kernel[1, 1].subs(edge), big, oo))
last = factor(limit(states.kernel[3, 3].subs(edge), big, oo))
stress = factor(limit(states.stress.subs(edge), big, oo))
assert simplify(first - 2 * sigma / (sigma - 1)) == 0
assert simplify(last - known.kernel[3, 3].subs(s, first)) == 0
assert simplify(stress - (known.signal / (known.kernel[3, 3] + kappa) ** 2).subs(s, first)) == 0

# %% [markdown]
# ## 3. The pitchfork unfolded, any sharing matrix
#
# To first order in $a$ the skip tilts the reduced free energy of the critical mode,
#
# $$F=F_0-\sqrt{r_c}\,\varphi\,a\,\alpha+\tfrac12a_2(r-r_c)\alpha^2+\tfrac14b\,\alpha^4+\tfrac16c\,\alpha^6,\qquad\varphi=\sum_t(1-M_{t,t+1})a_t,\quad M_{n-1,n}=0,$$
#
# if the mode has lag 1 (the term is $-a\,\mathrm{tr}[X(M\circ E)^{-1}]$ with $X$ the rows $2\dots n$ and columns $1\dots n-1$ of $H$ and $E=H_{1\dots n-1}$. Its
# slope along $H^{n,n-1}$ is $-a\,(M\circ E)^{-1}_{n-1,n-1}<0$ wherever odd lags vanish, and the rest of $F$ is even in them: *for every $M$ and $T$ no
# kernel without odd lags is a state*. A mode of another lag is not tilted to first order). With $\psi$ the order parameter at its place $(t,t+1)$,
#
# $$\psi^3-A(\lambda-\lambda_c)\psi=B\,a,\qquad B=r_c^{3t+2}\varphi/b:$$
#
# $\psi=(Ba)^{1/3}$ at $\lambda_c$, and a fold of the other sign at $(\lambda_f-\lambda_c)^3=\tfrac{27}4B^2a^2/A^3$, the exponents $\tfrac13$ and $\tfrac23$. RNN, $T=4$:
# $B=1024\,(40-\kappa)/(56-3\kappa)$.

# %%
assert_tilt()
fork = unfolding(4)
assert fork.amplitude_squared is not None
assert fork.amplitude_cubed is not None
for name, value in (("A", fork.amplitude_squared), ("B", fork.amplitude_cubed), ("fold", fork.fold_cubed)):
    print(f"{name} =", latex(value))
assert factor(fork.amplitude_cubed - 1024 * (40 - kappa) / (56 - 3 * kappa)) == 0
assert factor(fork.amplitude_squared - critical_point_of(sharing("rnn"), 4, kappa).amplitude_squared) == 0
partly = unfolding(4, kappa, sharing("shared:rho"))
assert partly.amplitude_cubed is not None
assert factor(partly.amplitude_cubed.subs(rho, 1) - fork.amplitude_cubed) == 0
print("shared:rho, kappa=0: B =", latex(factor(partly.amplitude_cubed.subs(kappa, 0))))
for word, horizon in (("rnn", 5), ("shared:4/5", 5), ("drift:1/2", 6)):
    cubed = unfolding(horizon, Integer(0), sharing(word)).amplitude_cubed
    assert cubed is not None
    print(f"{word}, T={horizon}: B =", cubed.evalf(12))

# %% [markdown]
# The exact surface has these amplitudes: at $\lambda_c$ and at the fold, as $a\to0$ (relative corrections of order $a^{2/3}$).

# %%
evaluate = {name: lambdify((g, chi, kappa), value, "mpmath") for name, value in (
    ("signal", states.signal), ("fold", fold_noise()), ("cross", states.kernel[2, 3]))}  # fmt: skip
chi_of = lambdify((g, a), chi_at(), "mpmath")
noise = Integer(1)
A, B = (mp.mpf(x.subs(kappa, noise).p) / x.subs(kappa, noise).q for x in (fork.amplitude_squared, fork.amplitude_cubed))
critical = mp.mpf(81) / 8
with mpmath.workdps(40):
    errors: list[list[Any]] = []
    for power in (6, 9):
        small = mp.mpf(10) ** -power
        # H12 = a g H11 with H11 = 2 here, H23 = 4 H12
        start = mp.cbrt(B * small) / (8 * small)
        here = mp.findroot(lambda x, b=small: evaluate["signal"](x, chi_of(x, b), 1) - critical, (start, start * 1.01))
        order = small * evaluate["cross"](here, chi_of(here, small), 1)
        start = -mp.cbrt(B * small / 2) / (8 * small)
        there = mp.findroot(lambda x, b=small: evaluate["fold"](x, chi_of(x, b), 1) - 1, (start, start * 1.01))
        distance = evaluate["signal"](there, chi_of(there, small), 1) - critical
        errors.append([order**3 / (B * small) - 1, distance**3 / (mp.mpf(27) / 4 * B**2 * small**2 / A**3) - 1])
        print(f"a = 1e-{power}: off by", *(mp.nstr(x, 3) for x in errors[-1]))
    assert all(abs(x) < mp.mpf(10) ** -3 for x in errors[1])
    # a³ smaller by 10⁹ in a², so by 100 in a^{2/3}
    assert all(abs(late / early - mp.mpf(1) / 100) < mp.mpf(10) ** -3 for early, late in zip(*errors, strict=True))

# %% [markdown]
# ## 4. Cusps in the $(\lambda,a)$ plane
#
# For $\kappa\le56/3$ the aligned states have no fold: for $a\ne0$ nothing happens along $\lambda$, and the one line of a discontinuous transition is
# $a=0,\lambda>\lambda_c$, where the two signs exchange. It ends in the pitchfork, where the two fold lines of the opposed state, $|a|\propto(\lambda-\lambda_c)^{3/2}$,
# meet in a cusp.
#
# For $\kappa>56/3$ the transition in $\lambda$ stays discontinuous at a small skip, and two more lines of equal $F$, the wings, leave $a=0$ and end in
# cusps at $\pm a_*(\kappa)$. On the surface $\lambda$ folds along fixed $a$ where
# $\partial(\mu,a^2)/\partial(g,\chi)\,(H^{33}+\kappa)+2\mu\,\partial(H^{33},a^2)/\partial(g,\chi)=0$, linear in $\kappa$; two folds meet where that $\kappa(g,\chi)$ is itself
# stationary along fixed $a$, a polynomial in $g$ and $\chi$. Near the tricritical point
#
# $$\alpha^2=-\frac{3b}{10c},\qquad a_*=\frac6{25}\frac{b^2\alpha}{\sqrt{r_c}\,\varphi\,c}\propto(\kappa-\kappa_t)^{5/2},\qquad\lambda_*-\lambda_c\propto(\kappa-\kappa_t)^2 .$$

# %%
condition = lambdify((g, chi), cusp_condition(), "mpmath")
surface = {name: lambdify((g, chi, kappa), value, "mpmath") for name, value in (
    ("noise", fold_noise()), ("skip", states.skip_squared), ("signal", states.signal))}  # fmt: skip


def exact_cusp(strength: Any, near: tuple[Any, Any]) -> tuple[Any, Any]:
    """a_* and λ_* at a noise from the two polynomial conditions, started at (g, χ)."""
    scale = abs(condition(near[0] * 1.1, near[1]))
    found = mp.findroot(
        lambda x, y: [surface["noise"](x, y, 0) / strength - 1, condition(x, y) / scale],
        near, tol=mp.mpf(10) ** (-2 * (mp.dps - 15)), maxsteps=60,
    )  # fmt: skip
    return mp.sqrt(surface["skip"](*found, 0)), surface["signal"](*found, strength)


# %% [markdown]
# ## 5. Confirmation on the full free energy
#
# `skip_cusp` knows nothing of the surface: it takes the gradient of $F$ as matrices, for any $T$ and $M$, solves for a state at given $H^{n,n-1}$ and
# asks for $d\lambda/dH^{n,n-1}=0$ and $F'''[V,V,V]=0$ along the tangent $V$. At $T=4$ both agree to 40 digits.

# %%
for strength in (Integer(22), Integer(30)):
    full = skip_cusp(4, strength, digits=45)
    with mpmath.workdps(65):
        H = full.kernel
        slope = H[0, 1] / (full.skip * H[0, 0])
        place = (slope, chi_of(slope, full.skip))
        skip, signal = exact_cusp(mp.mpf(int(strength)), tuple(x * (1 + mp.mpf(10) ** -6) for x in place))
        print(f"kappa={strength}: a_* = {mp.nstr(skip, 15)}, lambda_* = {mp.nstr(signal, 15)}")
        assert abs(skip - full.skip) < mp.mpf(10) ** -41
        assert abs(signal - full.signal) < mp.mpf(10) ** -39

# %% [markdown]
# Without matrices either: $F$ entry by entry, its derivatives from differences. A state of each architecture, to 40 digits.


# %%
def free_energy(entries: Any, tied: int, skip: Any, signal: Any, strength: Any) -> Any:
    h11, h12, h13, h22, h23, h33 = entries
    K = mp.matrix([[h11, h12, h13], [h12, h22, h23], [h13, h23, h33]])
    step = mp.matrix([[1, 0, 0], [-skip, 1, 0], [0, -skip, 1]])
    forward = mp.matrix([[1, 0, 0], [0, h11, tied * h12], [0, tied * h12, h22]])
    product = step * K * step.T * mp.inverse(forward)
    logs = mp.log(mp.det(K)) - mp.log(mp.det(forward))
    return (signal / (h33 + strength) + product[0, 0] + product[1, 1] + product[2, 2] - 3 - logs) / 2


def slopes(entries: list[Any], *arguments: Any) -> list[Any]:
    h = mp.mpf(10) ** (-mp.dps // 6)

    def at(k: int, move: int) -> Any:
        return free_energy([x + h * move * (j == k) for j, x in enumerate(entries)], *arguments)

    weights = {1: Rational(8, 12), 2: Rational(-1, 12)}
    return [
        mp.fsum(mp.mpf(w.p) / w.q * (at(k, m) - at(k, -m)) for m, w in weights.items()) / h for k in range(6)
    ]  # fmt: skip


with mpmath.workdps(150):
    strength = mp.mpf(7) / 2
    tied_points = ((mp.mpf(5) / 2, mp.mpf(9)), (mp.mpf(-2), mp.mpf(7)))
    for x, y in tied_points:
        skip = mp.sqrt(surface["skip"](x, y, 0))
        entries = []
        for times in sorted(states.kernel):
            value = lambdify((g, chi), states.kernel[times], "mpmath")(x, y)
            entries.append(value * skip if sum(times) % 2 else value)
        signal = surface["signal"](x, y, strength)
        worst = max(abs(v) for v in slopes(entries, 1, skip, signal, strength))
        F = lambdify((g, chi, kappa), states.free_energy, "mpmath")(x, y, strength)
        print(f"RNN, g={mp.nstr(x, 3)}, a={mp.nstr(skip, 8)}: slopes of F below {mp.nstr(worst, 2)}")
        assert worst < mp.mpf(10) ** -60
        assert abs(free_energy(entries, 1, skip, signal, strength) - F) < mp.mpf(10) ** -100
    exact = skip_branch(4, Rational(7, 2), Rational(3, 4))
    entries = [
        mp.mpf(exact.kernel_entry(t, u).subs(g, Rational(8, 5)).evalf(150)) for t in (1, 2, 3) for u in range(t, 4)
    ]  # fmt: skip
    signal = mp.mpf(exact.signal.subs(g, Rational(8, 5)).evalf(150))
    worst = max(abs(v) for v in slopes(entries, 0, mp.mpf(3) / 4, signal, strength))
    print("DNN: slopes of F below", mp.nstr(worst, 2))
    assert worst < mp.mpf(10) ** -60

# %% [markdown]
# ## 6. Other $T$
#
# The wings exist wherever the transition without a skip is discontinuous: for $T\ge6$ at every $\kappa$, but they are short at weak noise.

# %%
for horizon, strength in ((5, 10), (6, 1)):
    found = skip_cusp(horizon, Integer(strength), digits=20)
    print(f"RNN T={horizon} kappa={strength}: a_* = {mp.nstr(found.skip, 12)}, lambda_* = {mp.nstr(found.signal, 12)}")
    assert strength > wing_noise(horizon)
# the leading law of the wing, (κ-κ_t)^{5/2}
ratios = []
for offset in (Rational(1, 5), Rational(1, 20)):
    near = wing_noise(4) + offset
    full = skip_cusp(4, near, digits=15)
    ratios.append(full.skip / mp.mpf(wing(landau_expansion(4, near), Integer(1)).skip.evalf(20)))
print("exact over leading a_*:", *(mp.nstr(x, 8) for x in ratios))
assert abs(ratios[1] - 1) < 0.05  # falls in proportion to the distance
assert abs((ratios[0] - 1) / (ratios[1] - 1) - 4) < 0.5
