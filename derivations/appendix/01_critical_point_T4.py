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
# # The critical point at $T=4$
#
# From the kernel free energy of the linear network to the critical signal, the critical exponent and the amplitude of
# the order parameter, with the noise $\kappa$ symbolic. Units $u=v=w=1$; three hidden times, input at $t=0$, one label at
# the last output, $y^2=\lambda$.

# %%
import mpmath
from mpmath import mp
from sympy import Matrix, Rational, Symbol, diff, factor, latex, log, simplify, solve, sqrt, symbols, together

from derivations.by_differences import newton
from theory.critical_point import critical_point
from theory.elimination import eliminate_entry
from theory.free_energy import endpoint_free_energy
from theory.landau import landau_expansion
from theory.symbols import kappa, kernel_entry, r, signal

# %% [markdown]
# ## 1. The free energy
#
# $$F=\frac{\lambda}{2(H^{33}+\kappa)}+\tfrac12\,\mathrm{tr}\,HC^{-1}-\tfrac32-\tfrac12\ln\frac{|H|}{|C|},\qquad
#   C=\begin{pmatrix}1&0&0\\0&H^{11}&H^{12}\\0&H^{12}&H^{22}\end{pmatrix}.$$
#
# The covariance is the kernel shifted by one time. We write it here from the matrices and compare with the functional of
# the package.

# %%
H11, H12, H13, H22, H23, H33 = (kernel_entry(t, s) for t, s in ((1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)))
H = Matrix([[H11, H12, H13], [H12, H22, H23], [H13, H23, H33]])
C = Matrix([[1, 0, 0], [0, H11, H12], [0, H12, H22]])
F = signal / (2 * (H33 + kappa)) + (H * C.inv()).trace() / 2 - Rational(3, 2) - log(H.det() / C.det()) / 2
package = endpoint_free_energy(4).units()
assert all(simplify(diff(F - package.total, x)) == 0 for x in package.variables)
print("F =", latex(package.total))

# %% [markdown]
# ## 2. Elimination of $H^{13}$
#
# $\mathrm{tr}\,HC^{-1}$ does not contain $H^{13}$, so $F$ depends on it through $-\tfrac12\ln|H|$ alone. Stationarity is
# $(H^{-1})^{13}=0$: given time 2, times 1 and 3 are independent,
#
# $$H^{13}=\frac{H^{12}H^{23}}{H^{22}},\qquad
#   \frac{\partial^2F}{\partial (H^{13})^2}=\frac{H^{22}}{|H|}>0,$$
#
# a minimum.

# %%
(corner,) = solve(diff(H.det(), H13), H13)
assert simplify(corner - H12 * H23 / H22) == 0
assert simplify(corner - eliminate_entry(4).value) == 0
assert simplify((diff(F, H13, 2) - H22 / H.det()).subs(H13, corner)) == 0
reduced = F.subs(H13, corner)

# %% [markdown]
# ## 3. The incoherent branch
#
# On diagonal kernels the conditions for $H^{11}$ and $H^{22}$ are equal ratios, $H^{tt}=r^t$; the one for $H^{33}$ gives
#
# $$\lambda(r)=\frac{(r-1)(r^3+\kappa)^2}{r^3}.$$

# %%
incoherent = {H12: 0, H23: 0, H11: r, H22: r**2, H33: r**3}
(branch,) = solve(diff(reduced, H33).subs(incoherent, simultaneous=True), signal)
assert simplify(branch - (r - 1) * (r**3 + kappa) ** 2 / r**3) == 0
for x in (H11, H12, H22, H23, H33):
    assert simplify(diff(reduced, x).subs(incoherent, simultaneous=True).subs(signal, branch)) == 0
print("lambda(r) =", latex(factor(branch)))

# %% [markdown]
# ## 4. Where it becomes unstable
#
# $W\to-W$ flips $H^{12}$ and $H^{23}$, so the Hessian splits into these two and the diagonal. In the scaled entries
# $M^{ts}=H^{ts}/r^{(t+s)/2}$ the odd block is
#
# $$\begin{pmatrix}2r&-r\\-r&1\end{pmatrix},\qquad\text{determinant }r(2-r),$$
#
# positive definite for $r<2$. The critical point is $r_c=2$, $\lambda_c=(8+\kappa)^2/8$, with $M^{12}:M^{23}=1:2$.

# %%
odd = Matrix(2, 2, lambda i, j: diff(reduced, (H12, H23)[i], (H12, H23)[j])).subs(incoherent, simultaneous=True)
scale = Matrix.diag(r ** Rational(3, 2), r ** Rational(5, 2))
odd = simplify(scale * odd * scale)
assert odd == Matrix([[2 * r, -r], [-r, 1]])
mixed = [diff(reduced, a, b).subs(incoherent, simultaneous=True) for a in (H12, H23) for b in (H11, H22, H33)]
assert all(simplify(x) == 0 for x in mixed)
ratio = 2
assert solve(odd.det(), r) == [ratio]
critical = factor(branch.subs(r, ratio))
assert simplify(critical - (8 + kappa) ** 2 / 8) == 0
assert odd.subs(r, ratio) * Matrix([1, 2]) == Matrix([0, 0])
print("lambda_c =", latex(critical))

# %% [markdown]
# The diagonal block has determinant $r^2\,[3(1+2(r-1)\zeta)-2r]$ up to a positive factor, $\zeta=r^3/(r^3+\kappa)$. At
# $r_c$ it is positive for $\kappa<40$. Up to $\kappa=39.43$ it is positive for every $r$, and the odd block is the first to fail;
# beyond, the branch folds (`14_learning_transition.py`).

# %%
even = Matrix(3, 3, lambda i, j: diff(reduced, (H11, H22, H33)[i], (H11, H22, H33)[j]))
even = even.subs(incoherent, simultaneous=True).subs(signal, branch)
even_scale = Matrix.diag(r, r**2, r**3)
even = (2 * even_scale * even * even_scale).applyfunc(lambda x: factor(together(x)))
share = r**3 / (r**3 + kappa)
assert simplify(even.det() - r**2 * (3 * (1 + 2 * (r - 1) * share) - 2 * r)) == 0
assert simplify(even.det().subs(r, ratio) * (8 + kappa) / 4 - (40 - kappa)) == 0

# %% [markdown]
# ## 5. Lyapunov–Schmidt reduction
#
# Let $\alpha=M^{23}$ be the amplitude and $M^{12}=\alpha/2+O(\alpha^3)$ the critical mode; the diagonal follows as
# $M^{tt}=1+d_t\alpha^2+O(\alpha^4)$. The $O(\alpha^3)$ of the mode would enter at order $\alpha^4$ only multiplied by the
# odd block acting on the mode, which vanishes. So to order $\alpha^4$, with $x=\alpha^2$ and at fixed $r=r_c$, $F$ is a
# function of $x$ and $d_t$, quadratic in $d_t$ at order $x^2$; it is minimised over them.

# %%
x = Symbol("x", positive=True)
d = symbols("d_1:4", real=True)
placed = {
    H11: ratio * (1 + d[0] * x),
    H22: ratio**2 * (1 + d[1] * x),
    H33: ratio**3 * (1 + d[2] * x),
    H12: ratio ** Rational(3, 2) * sqrt(x) / 2,
    H23: ratio ** Rational(5, 2) * sqrt(x),
}
along = simplify(reduced.subs(placed, simultaneous=True)).subs(signal, critical)
assert simplify(diff(along, x).subs(x, 0)) == 0  # order x: stationary branch and null vector
second = simplify(diff(along, x, 2).subs(x, 0) / 2)
followed = solve([diff(second, z) for z in d], d, dict=True)[0]
quartic = factor(4 * second.subs(followed))
assert simplify(quartic - (3 * kappa - 56) / (4 * (kappa - 40))) == 0
for entry, value in followed.items():
    print(latex(entry), "=", latex(factor(value)))
print("b =", latex(quartic))

# %% [markdown]
# Away from $r_c$ the mode costs $\tfrac12\,(1,2)\,\mathrm{block}(r)\,(1,2)^\top\alpha^2/4$, so
#
# $$F=F_0+\tfrac12a\,(r-2)\,\alpha^2+\tfrac14b\,\alpha^4,\qquad a=-\tfrac12,\qquad b=\frac{56-3\kappa}{4(40-\kappa)}.$$
#
# The minimum is $\alpha^2=-a(r-2)/b$; with $H^{23}=r^{5/2}\alpha$ and $d\lambda/dr$ at $r_c$,
#
# $$(H^{23})^2=A\,(\lambda-\lambda_c)+\dots,\qquad A=\frac{1024}{(8+\kappa)(56-3\kappa)},$$
#
# which is $16/7$ at $\kappa=0$. The exponent of the order parameter is $\tfrac12$.

# %%
mode = Matrix([Rational(1, 2), 1])
slope = diff((mode.T * odd * mode)[0], r).subs(r, ratio)
assert slope == Rational(-1, 2)
amplitude = factor(ratio**5 * (-slope / quartic) / diff(branch, r).subs(r, ratio))
assert simplify(amplitude - 1024 / ((8 + kappa) * (56 - 3 * kappa))) == 0
package_point, package_landau = critical_point(4), landau_expansion(4)
assert simplify(package_point.amplitude_squared - amplitude) == 0
assert simplify(package_landau.quartic - quartic) == 0
assert simplify(package_point.signal - critical) == 0
print("A =", latex(amplitude))

# %% [markdown]
# The transition is continuous for $\kappa<56/3$. There $b$ vanishes, the next coefficient is positive, and the exponent
# is $\tfrac14$ (a tricritical point); beyond, the branch bends back to smaller signals.

# %%
tricritical = solve(amplitude**-1, kappa)
assert package_point.tricritical_kappa in tricritical
assert package_landau.sextic.subs(kappa, package_point.tricritical_kappa) > 0
assert critical_point(4, package_point.tricritical_kappa).exponent == Rational(1, 4)

# %% [markdown]
# ## 6. The DNN
#
# With the mask, $C$ is diagonal; the off-diagonal entries occur in $-\tfrac12\ln|H|$ only. By Hadamard's inequality
# $|H|\le\prod_tH^{tt}$ that is smallest for diagonal $H$, at every signal: coherence never grows. On a diagonal kernel the
# curvature is $1/(H^{tt}H^{ss})>0$. For $\kappa>39.43$ the diagonal branch folds, though: the DNN has a transition of another
# kind, between a state that learns little and one that learns the task (`14_learning_transition.py`).

# %%
untied = endpoint_free_energy(4, "dnn").units()
off = {H12, H13, H23}
assert not (untied.energy + untied.terms["trace"]).free_symbols & off
for entry, a, b in ((H12, H11, H22), (H13, H11, H33), (H23, H22, H33)):
    assert simplify(diff(untied.total, entry, 2).subs(dict.fromkeys(off, 0)) - 1 / (a * b)) == 0

# %% [markdown]
# ## 7. Confirmation
#
# $F$ once more, from its matrices in mpmath, minimised by Newton's method on finite differences. Over three decades of
# $\lambda-\lambda_c$ the solved $(H^{23})^2$ departs from $A(\lambda-\lambda_c)$ in proportion to $\lambda-\lambda_c$, and
# from $A(\lambda-\lambda_c)+B(\lambda-\lambda_c)^2$ in proportion to its square.

# %%
with mpmath.workdps(100):
    for noise in (Rational(0), Rational(1), Rational(5, 2)):
        point = critical_point(4, noise)
        known = (point.signal, point.amplitude_squared, point.next_coefficient, noise)
        lam_c, A, B, kap = (mp.mpf(z.evalf(100)) for z in known if z is not None)
        departures = []
        for decade in (3, 4, 5):
            eps = mp.mpf(10) ** -decade
            psi = mp.sqrt(A * eps + B * eps**2)
            start = [mp.mpf(2), psi / 4, psi**2 / 16, mp.mpf(4), psi, mp.mpf(8)]
            solved = newton(start, 1, lam_c + eps, kap)[4] ** 2
            departures.append((solved / (A * eps) - 1, solved / (A * eps + B * eps**2) - 1))
            print(f"kappa={noise} eps=1e-{decade}: off by", *(mpmath.nstr(z, 5) for z in departures[-1]))
        for coarse, fine in zip(departures, departures[1:], strict=False):
            assert abs(coarse[0] / fine[0] - 10) < 0.05
            assert abs(coarse[1] / fine[1] - 100) < 1
        wrong = solved / (A * eps * mp.mpf("1.001"))
        assert abs(wrong - 1) > 5e-4  # a coefficient changed by one part in a thousand does not pass
