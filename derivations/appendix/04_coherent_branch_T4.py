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
# # The whole coherent branch at $T=4$, and the outlier of $W$
#
# Linear network, shared weights, label at the last output only. In units $u=v=w=1$ the kernel is $3\times3$ and
#
# $$2F=\frac{\lambda}{H^{33}+\kappa}+H^{11}+\mathrm{tr}\left[\begin{pmatrix}H^{22}&H^{23}\\H^{23}&H^{33}\end{pmatrix}C^{-1}\right]-\ln\frac{|H|}{H^{11}H^{22}-(H^{12})^2}+\text{const},\qquad
#   C=\begin{pmatrix}H^{11}&H^{12}\\H^{12}&H^{22}\end{pmatrix}.$$
#
# We find *all* its positive definite stationary points with $H^{12}\neq0$: a curve with one parameter. From it follow
# the strong-signal limit, the stability, and the signal at which an eigenvalue of $W$ leaves the bulk.

# %%
import random

import mpmath
from mpmath import mp
from sympy import (
    Expr,
    Integer,
    Matrix,
    Poly,
    Rational,
    Symbol,
    cancel,
    diff,
    expand,
    factor,
    factor_list,
    fraction,
    latex,
    log,
    numer,
    resultant,
    simplify,
    solve,
    sqrt,
    symbols,
    together,
)

from derivations.by_differences import free_energy as free_energy_of
from derivations.by_differences import largest_slope
from theory import symbols as theory_symbols
from theory.coherent_branch import coherent_branch, critical_amplitude, strong_signal
from theory.coherent_curve import coherent_curve
from theory.coherent_hessian import leading_minors
from theory.outliers import characteristic_polynomial, outlier_threshold

# %% [markdown]
# ## 1. Coordinates
#
# Regress the first and the last activity on the middle one, $h^1=p\,h^2+\dots$, $h^3=q\,h^2+\dots$:
#
# $$H^{22}=c,\quad H^{12}=cp,\quad H^{23}=cq,\quad H^{11}=\alpha+cp^2,\quad H^{33}=\delta+cq^2,\quad H^{13}=\gamma+cpq .$$
#
# This is one to one (Jacobian $c^2$), and $|H|=c(\alpha\delta-\gamma^2)$: $H$ is positive definite exactly if
# $\alpha,c,\delta>0$ and $\gamma^2<\alpha\delta$.

# %%
alpha, delta, c, rho, kappa = symbols("alpha delta c rho kappa", positive=True)
p, q, gamma, mu, lam = symbols("p q gamma mu lambda", real=True)
H = Matrix(
    [[alpha + c * p**2, c * p, gamma + c * p * q], [c * p, c, c * q], [gamma + c * p * q, c * q, delta + c * q**2]]
)
A = H[:2, :2]
assert expand(H.det() - c * (alpha * delta - gamma**2)) == 0
assert expand(A.det() - alpha * c) == 0
entropy = cancel(H[0, 0] + (H[1:, 1:] * A.inv()).trace()) - log((alpha * delta - gamma**2) / alpha)


def condition(x: Expr) -> Expr:
    """Twice the derivative of F: the energy enters through μ = λ/(H^{33}+κ)² and H^{33} only."""
    return cancel(diff(entropy, x) - mu * diff(H[2, 2], x))


# %% [markdown]
# ## 2. Six equations, one after the other
#
# **$\gamma$.** $H^{13}$ enters through $\ln|H|$ only: $\gamma/(\alpha\delta-\gamma^2)=0$. Given $h^2$, the times 1 and 3
# are uncorrelated.

# %%
assert solve(condition(gamma), gamma) == [0]
at = {x: cancel(condition(x).subs(gamma, 0)) for x in (alpha, c, delta, p, q)}

# %% [markdown]
# **$H^{23}$.** Moving $H^{23}$ at fixed $H^{22},H^{33}$ moves $q$ by $dH^{23}/c$ and $\delta$ by $-2q\,dH^{23}$. The energy
# drops out and
#
# $$\frac q\delta=\frac p\alpha .$$
#
# So $p$ and $q$ vanish together, which is the incoherent branch, or $q=\rho p$, $\delta=\rho\alpha$ with $\rho>0$. The
# ratio $\rho=H^{23}/H^{12}$ is the parameter that makes everything rational.

# %%
along = cancel((at[q] - 2 * c * q * at[delta]) / (2 * c))
assert simplify(along - (q / delta - p / alpha)) == 0
reduced = {x: cancel(at[x].subs({q: rho * p}).subs(delta, rho * alpha)) for x in at}

# %% [markdown]
# **$p$.** Divided by $2p\neq0$ it is linear in $\alpha$. With $m=1-pq$:
# $\alpha=c\rho m/(c+\rho)$. As $\alpha,c,\rho>0$, also $m>0$. From now on $p^2=(1-m)/\rho$.

# %%
m = Symbol("m", positive=True)


def in_m(expression: Expr) -> Expr:
    """Replace p² by (1-m)/ρ."""
    return cancel(expand(expression).subs(p**4, ((1 - m) / rho) ** 2).subs(p**2, (1 - m) / rho))


alpha_value = c * rho * m / (c + rho)
assert simplify(in_m(reduced[p] / (2 * p)).subs(alpha, alpha_value)) == 0

# %% [markdown]
# **$\delta$** gives $\mu$, **$q$** the same $\mu$ again (it was used above), **$\alpha$** gives $m$:
#
# $$\mu=\frac{\rho^2-\rho-c}{\rho^2c},\qquad m\,c\,(\rho^2-\rho-c)=\rho(c+\rho).$$
#
# The right-hand side is positive, so $\rho^2-\rho-c>0$, and we may divide by it.

# %%
mu_value = (rho**2 - rho - c) / (rho**2 * c)
assert simplify(in_m(reduced[delta]).subs({mu: mu_value}).subs(alpha, alpha_value)) == 0
assert simplify(in_m(reduced[q] / p).subs({mu: mu_value}).subs(alpha, alpha_value)) == 0
m_value = rho * (c + rho) / (c * (rho**2 - rho - c))
equation = in_m(reduced[alpha]).subs(alpha, alpha_value)
assert solve(equation, m) == [m_value] or simplify(solve(equation, m)[0] - m_value) == 0

# %% [markdown]
# **$c$.** What is left is linear in $c$ again: $2c=\rho(\rho-2)$.

# %%
last = in_m(reduced[c]).subs({mu: mu_value}).subs(alpha, alpha_value).subs(m, m_value)
factors = [base for base, _ in factor_list(fraction(together(last))[0])[1]]
print("factors of the last numerator:", latex(factors))
kept = [
    base
    for base in factors
    if expand(base) not in (rho, c, c + rho, expand(rho**2 - rho - c), expand(c + rho - rho**2))
]
assert len(kept) == 1
assert solve(kept[0], c) == [rho * (rho - 2) / 2] or simplify(solve(kept[0], c)[0] - rho * (rho - 2) / 2) == 0

# %% [markdown]
# ## 3. The branch
#
# $m=2/(\rho-2)$, $\alpha=2$, $p^2=(\rho-4)/(\rho(\rho-2))$: the branch exists for $\rho>4$. With $\rho=2s$, where it turns
# out that $s=H^{11}$, $s>2$:

# %%
s = Symbol("s", positive=True)
c_s = (rho * (rho - 2) / 2).subs(rho, 2 * s)
m_s = factor(m_value.subs(c, rho * (rho - 2) / 2).subs(rho, 2 * s))
alpha_s = cancel(alpha_value.subs({m: m_value}).subs(c, rho * (rho - 2) / 2).subs(rho, 2 * s))
p2_s = factor((1 - m_s) / (2 * s))
assert alpha_s == 2
kernel = {
    (1, 1): cancel(alpha_s + c_s * p2_s),
    (1, 2): sqrt(factor(c_s**2 * p2_s)),
    (1, 3): factor(2 * s * c_s * p2_s),
    (2, 2): factor(c_s),
    (2, 3): 2 * s * sqrt(factor(c_s**2 * p2_s)),
    (3, 3): factor(2 * s * alpha_s + 4 * s**2 * c_s * p2_s),
}
stress = factor(mu_value.subs(c, rho * (rho - 2) / 2).subs(rho, 2 * s))
signal = stress * (kernel[3, 3] + kappa) ** 2
assert kernel[1, 1] == s
for times, entry in kernel.items():
    print(f"H^{times[0]}{times[1]} =", latex(entry))
print("lambda =", latex(signal))

# %% [markdown]
# The package derives the same from its own free energy. The square $(H^{12})^2=2s(s-1)(s-2)$ is a cubic in $s$ without
# double roots: with its sign the branch is an elliptic curve, and only up to $W\to-W$ is it rational.
#
# The free energy on it is short, and obeys $dF/d\lambda=\tfrac12/(H^{33}+\kappa)$ as it must:
#
# $$F=2(s-1)-\tfrac12\ln 4s+\frac{\kappa}{8s(s-1)} .$$

# %%
branch = coherent_branch()
names = {branch.parameter: s, theory_symbols.kappa: kappa}
assert all(simplify(branch.kernel[t].subs(names) ** 2 - kernel[t] ** 2) == 0 for t in kernel)
assert simplify(branch.signal.subs(names) - signal) == 0
free_energy = branch.free_energy.subs(names)
assert simplify(free_energy - (2 * (s - 1) - log(4 * s) / 2 + kappa / (8 * s * (s - 1)))) == 0
assert simplify(diff(free_energy, s) / diff(signal, s) - 1 / (2 * (kernel[3, 3] + kappa))) == 0

# %% [markdown]
# **Numerical confirmation.** $F$ written again in mpmath, from the definition $C=w[H^-]+uX^-$; its gradient by
# differences at three random points $(s,\kappa)$ and random $u,v,w$, where
# $H^{ts}=u\,w^{(t+s)/2-1}\hat H^{ts}$, $\hat\kappa=\kappa/(vw^2u)$, with the same $\lambda$.


# %%
generator = random.Random(20)
with mpmath.workdps(60):
    for _ in range(3):
        place = [mp.mpf(generator.uniform(2.1, 9)), mp.mpf(generator.uniform(0, 5))]
        u, v, w = (mp.mpf(generator.uniform(0.5, 2)) for _ in range(3))
        s0, noise = place
        b = mp.sqrt(2 * s0 * (s0 - 1) * (s0 - 2))
        unit = [s0, b, 2 * s0 * (s0 - 2), 2 * s0 * (s0 - 1), 2 * s0 * b, 4 * s0 * (s0 - 1) ** 2]
        powers = [0, 0.5, 1, 1, 1.5, 2]
        entries = [u * w ** mp.mpf(k) * x for k, x in zip(powers, unit, strict=True)]
        reduced_noise = noise / (v * w**2 * u)
        level = (unit[5] + reduced_noise) ** 2 / (4 * s0 * (s0 - 1))
        worst = largest_slope(entries, 1, level, noise, units=(u, v, w))
        value = 2 * (s0 - 1) - mp.log(4 * s0) / 2 + reduced_noise / (8 * s0 * (s0 - 1))
        assert worst < mp.mpf(10) ** -40
        assert abs(free_energy_of(entries, 1, level, noise, units=(u, v, w)) - value) < mp.mpf(10) ** -40
        print(f"s = {mp.nstr(s0, 6)}: largest gradient {mp.nstr(worst, 3)}")

# %% [markdown]
# ## 4. Stability, and the fold beyond $\kappa=56/3$
#
# $$\frac{d\lambda}{ds}\propto4s(s-1)^2(4s-1)-\kappa(2s-1),$$
#
# with a positive factor. The leading principal minors of $\partial^2F$ (rows and columns 12 and 23 times $H^{12}$) are,
# written in $x=s-2$, ratios of polynomials with positive coefficients, except that the last one contains just this
# factor. So *the branch is stable exactly where $\lambda$ grows along it*. At $s=2$ the factor is $56-3\kappa$: for
# $\kappa\le56/3$ the whole branch is stable and $\lambda$ grows monotonically from $\lambda_c=(8+\kappa)^2/8$; for
# $\kappa>56/3$ the branch bends back first, has one fold, and the transition is discontinuous.

# %%
x = Symbol("x", positive=True)
stability = branch.stability()
fold = expand(stability.subs(branch.parameter, 2 + x))
minors = leading_minors(branch)
for k, minor in enumerate(minors, start=1):
    print(f"minor {k}:", latex(minor))
    for part in fraction(minor):
        constant, parts = factor_list(part.subs(branch.parameter, 2 + x))
        assert constant > 0
        for base, _ in parts:
            if expand(base - fold) == 0:
                assert k == 6
            else:
                assert all(value.is_nonnegative for value in Poly(base, x).all_coeffs())
assert fold.subs(x, 0) == 56 - 3 * theory_symbols.kappa
at_tricritical = Poly(fold.subs(theory_symbols.kappa, Rational(56, 3)), x).all_coeffs()
assert at_tricritical[-1] == 0
assert all(value >= 0 for value in at_tricritical)
amplitude = critical_amplitude(branch)
assert simplify(amplitude - 1024 / ((8 + theory_symbols.kappa) * (56 - 3 * theory_symbols.kappa))) == 0
print("A =", latex(amplitude))

# %% [markdown]
# ## 5. Strong signal
#
# $\lambda\simeq4s^4$ for $s\to\infty$, for every $\kappa$. Activity grows as in the incoherent state,
# $H^{tt}\sim\lambda^{t/4}$, with larger prefactors; the temporal coherence $H^{23}/\sqrt{H^{22}H^{33}}$ tends to 1.

# %%
limits = strong_signal()
for times, entry in limits.kernel.items():
    print(f"H^{times[0]}{times[1]} ~", latex(entry))
print("outlier ~", latex(limits.outlier))
print("F ~", latex(limits.free_energy))
coherence = limits.kernel[2, 3] / sqrt(limits.kernel[2, 2] * limits.kernel[3, 3])
assert simplify(coherence) == 1
with mpmath.workdps(40):
    s0 = mp.mpf(10) ** 10
    level = (4 * s0 * (s0 - 1) ** 2 + 3) ** 2 / (4 * s0 * (s0 - 1))
    assert abs(4 * s0 * (s0 - 1) ** 2 / (mp.sqrt(2) * level ** mp.mpf("0.75")) - 1) < 1e-9

# %% [markdown]
# ## 6. The outlier of $W$
#
# Given the activities, $W$ has its Gaussian prior conditioned on $Wh^-=h^+$, with $h^-=(h^1,h^2)$, $h^+=(h^2,h^3)$; the
# label and the read-out depend on $W$ through $h$ only. Row by row this is a Gaussian regression:
#
# $$W=h^+(h^{-\top}h^-)^{-1}h^{-\top}+G\,\Pi,\qquad \Pi=1-h^-(h^{-\top}h^-)^{-1}h^{-\top},$$
#
# a matrix of rank $n-1$ plus independent Gaussian noise of variance $w/N$ that does not act on $h^-$. The matrix
# determinant lemma gives
#
# $$\det(z-W)=\det(z-G\Pi)\;\det\bigl[1-(h^{-\top}h^-)^{-1}\,h^{-\top}(z-G\Pi)^{-1}h^+\bigr].$$
#
# Outside the bulk, $|z|>\sqrt w$, the resolvent is $\sum_k(G\Pi)^k/z^{k+1}$. $G$ is independent of $h$, and bilinear forms
# $h^{t\top}(G\Pi)^kh^{t'}/N$ vanish for $k\ge1$ as $N\to\infty$ ($\Pi$ differs from 1 by finite rank). What remains is
# $\det(1-H_{--}^{-1}H_{-+}/z)$: the outliers are the eigenvalues of the *regression matrix* $H_{--}^{-1}H_{-+}$ of modulus
# above $\sqrt w$. It is a companion matrix, $z^2-c_2z-c_1$ at $T=4$.
#
# Stationarity in $H^{13}$ is $c_1=0$, and $c_2=H^{23}/H^{22}$. So one root is 0, always inside the bulk, and one is real,
#
# $$z=\pm\sqrt{\frac{2s(s-2)}{s-1}},$$
#
# with the order parameter's sign: the two states $W\to-W$ have $z$ and $-z$. It starts at 0 at the critical point and
# grows along the branch: at the transition no eigenvalue is visible yet.

# %%
polynomial = characteristic_polynomial(branch.kernel_matrix())
z = theory_symbols.z
assert simplify(polynomial.coeff_monomial(1)) == 0
outlier_squared = factor(cancel(branch.outlier**2)).subs(names)
assert simplify(polynomial.coeff_monomial(z) ** 2 - branch.outlier**2) == 0
assert simplify(outlier_squared - 2 * s * (s - 2) / (s - 1)) == 0
assert simplify(diff(outlier_squared, s) - 2 * ((s - 1) ** 2 + 1) / (s - 1) ** 2) == 0

# %% [markdown]
# It leaves the bulk where $2s(s-2)=s-1$, i.e. $s=(5+\sqrt{17})/4$ for every $\kappa$, at
#
# $$\lambda_{\mathrm{out}}=\frac{(7s-1+\kappa)^2}{2(3s-1)}\;\Big|_{s=(5+\sqrt{17})/4}>\lambda_c .$$

# %%
threshold = outlier_threshold()
root = threshold.parameter
assert simplify(2 * root**2 - 5 * root + 1) == 0
assert simplify(threshold.signal - (7 * root - 1 + theory_symbols.kappa) ** 2 / (2 * (3 * root - 1))) == 0
for noise in (Integer(0), Integer(1)):
    case = outlier_threshold(noise)
    critical = (8 + noise) ** 2 / Integer(8)
    print(f"kappa = {noise}: lambda_out = {case.signal} = {case.signal_float:.12f}, lambda_c = {critical}")
    assert case.signal_float > critical
print("on the stable part for kappa <", threshold.largest_noise, "=", float(threshold.largest_noise))

# %% [markdown]
# Beyond that $\kappa\approx34.1$ the fold lies at larger $s$ than this point: the stable coherent state has its outlier
# from the start, and the eigenvalue appears by a jump.
#
# **Numerical confirmation**, by eigenvalues of the regression matrix in mpmath at the stated signal.

# %%
with mpmath.workdps(60):
    for noise in (0, 1, 7):
        place = (5 + mp.sqrt(17)) / 4
        b = mp.sqrt(2 * place * (place - 1) * (place - 2))
        early = mp.matrix([[place, b], [b, 2 * place * (place - 1)]])
        shifted = mp.matrix([[b, 2 * place * (place - 2)], [2 * place * (place - 1), 2 * place * b]])
        eigenvalues = mp.eig(mp.inverse(early) * shifted)[0]
        assert abs(max(abs(value) for value in eigenvalues) - 1) < mp.mpf(10) ** -40
        level = (4 * place * (place - 1) ** 2 + noise) ** 2 / (4 * place * (place - 1))
        exact = mp.mpf(str(outlier_threshold(Integer(noise)).signal.evalf(60)))
        assert abs(level - exact) < mp.mpf(10) ** -40

# %% [markdown]
# ## 7. How far elimination gets at $T=5$
#
# Now regress $h^1$ and $h^4$ on $(h^2,h^3)$: slopes $p_1,p_2$ and $q_1,q_2$, residual variances $\alpha,\delta$ (the residuals
# are uncorrelated, again because $H^{14}$ enters $\ln|H|$ only). Along the branch that leaves the incoherent one at
# $r=3/2$, all quantities even under $W\to-W$ are rational functions on a plane curve,
#
# $$4(3-\alpha)^2\,g\,(g+\alpha-2)=3\alpha^2(2\alpha-3),\qquad g=q_1,$$
#
# $$\frac{q_2}{p_1}=\frac{3g}{3-2\alpha},\qquad p_2=\frac{2(3-2\alpha)}{\alpha(3-2g)},\qquad H^{33}=(\alpha-1)\frac{H^{23}}{p_1},$$
#
# the rest by linear equations. The curve and the three short relations were found from exact solutions at many rational
# $\alpha$; that they solve the theory is *proven* by reduction: each of the nine conditions is zero modulo the curve (the
# tests do all nine, here the gradient is evaluated on the full $F$). With $y=(\alpha-3)(2g+\alpha-2)$ the curve reads
#
# $$y^2=\alpha^4-4\alpha^3+28\alpha^2-60\alpha+36,$$
#
# a quartic without double roots: an elliptic curve. So at $T=5$ no parametrisation by rational functions exists, not
# even of the squares. Open: whether $T=5$ has further coherent states off this curve (lag-2 states that leave the
# unstable part of the incoherent branch at $r=2$ are one candidate), and $T\ge6$.

# %%
curve = coherent_curve()
a, g = curve.parameters
quartic = curve.quartic()
assert quartic.as_expr() == a**4 - 4 * a**3 + 28 * a**2 - 60 * a + 36
assert Poly(quartic.as_expr(), a).discriminant() != 0
assert expand(((a - 3) * (2 * g + a - 2)) ** 2 - quartic.as_expr() - curve.relation) == 0
print("lambda at kappa = 0:", latex(curve.signal(Integer(0))))


# %%
with mpmath.workdps(60):
    for alpha_text in ("1.44", "1.46", "1.485"):
        a0 = mp.mpf(alpha_text)
        y0 = mp.sqrt(a0**4 - 4 * a0**3 + 28 * a0**2 - 60 * a0 + 36)
        g0 = (2 - a0 - y0 / (3 - a0)) / 2  # the sheet from the critical point to the smallest α
        at_point = {a: Rational(alpha_text), g: mp.mpf(g0)}
        p1 = mp.sqrt(mp.mpf(curve.square.subs(at_point)))
        entries = [
            mp.mpf(entry.subs(at_point)) * (p1 if (t + t2) % 2 else 1) for (t, t2), entry in curve.kernel().items()
        ]
        level = mp.mpf(curve.signal(Integer(1)).subs(at_point))
        worst = largest_slope(entries, 1, level, mp.mpf(1))
        assert worst < mp.mpf(10) ** -40
        print(f"T = 5, alpha = {alpha_text}: lambda = {mp.nstr(level, 8)}, largest gradient {mp.nstr(worst, 3)}")

# %% [markdown]
# W's candidates at $T=5$ are the roots of $z^2-q_2z-g$ and 0. As $g>0$ on the branch they are real, of opposite sign, with
# product $-g$, and $g<\tfrac12$ here: only one can leave the bulk.
#
# It does so where $z=1$, $q_2=1-g$. Eliminating $g$ leaves one irreducible polynomial of degree 10 for $\alpha$: there is
# no solution in square roots as for $T=4$, but an algebraic number for $\alpha$, the same for every $\kappa$.

# %%
crossing = numer(together(curve.odd["q2"] ** 2 * curve.square - (1 - g) ** 2))
eliminated = factor_list(resultant(crossing, curve.relation, g))[1]
(decic,) = [Poly(base, a) for base, _ in eliminated if Poly(base, a).degree() == 10]
assert decic.is_irreducible
(alpha_out,) = [value for value in decic.real_roots() if Rational(14, 10) < value < Rational(3, 2)]
a0 = alpha_out.evalf(30)
g0 = (2 - a0 - sqrt(quartic.as_expr().subs(a, a0)) / (3 - a0)) / 2
at_point = {a: a0, g: g0.evalf(30)}
assert abs((curve.odd["q2"] ** 2 * curve.square - (1 - g) ** 2).subs(at_point)) < 1e-20
print("0 =", latex(decic.as_expr()))
print("T = 5: alpha =", a0.evalf(12))
for noise in (Integer(0), Integer(1)):
    print(f"T = 5, kappa = {noise}: lambda_out =", curve.signal(noise).subs(at_point).evalf(12))
