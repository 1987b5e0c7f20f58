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
# # Several outputs: a manifold of minima, and what chooses on it
#
# Linear network, endpoint supervision, outputs $f_c=V_ch^{T-1}$, $c=1\dots O$. With one output, coherence breaks a symmetry of two signs. With $O$ equal
# orthogonal outputs the minima fill a manifold, all orthogonal $O\times O$ matrices $Q$, most of which no symmetry connects. The outlier
# eigenvalues of $W$ are $z\,e^{i\varphi}$ with the phases of $Q$: at $N\to\infty$ the kernel theory does not say where on the circle they are. We
# derive the manifold, the law on it that finite width leaves, and what unequal signals do. Units $u=v=w=1$, $n=T-1$.

# %%
from typing import Any

import mpmath
from mpmath import mp
from sympy import Integer, Rational, factor, latex, pi

from theory.coherent_branch import coherent_branch
from theory.orthogonal_outputs import (
    assert_determinants,
    assert_unequal_stable,
    phase_density,
    symmetric_determinant,
)
from theory.several_outputs import (
    assert_lifting,
    assert_matrix_quartic,
    assert_mixed_determinant,
    assert_twist,
    lifting,
    matrix_quartic,
    mixed_determinant,
    orthogonality_margin,
)
from theory.symbols import kappa, n, s, zeta

# %% [markdown]
# ## 1. Patterns, outputs, and what "equal orthogonal" means
#
# On orthonormal patterns the energy is $\frac12\mathrm{tr}\,Y(H^{nn}+\kappa)^{-1}$ with the $P\times P$ matrix $Y=\sum_cy_cy_c^\top$, and nothing else depends on the
# labels. A rotation of the patterns, the same at all times, leaves the entropy as it is. So only the non-zero eigenvalues $\lambda_j$ of $Y$ matter: those of
# the outputs' Gram matrix $y_c\cdot y_{c'}$. There are at most $\min(O,P)$ of them. Outputs are equal and orthogonal where
# $y_c\cdot y_{c'}=\lambda\,\delta_{cc'}$, which takes $P\ge O$ patterns; the other $P-O$ directions stay as in the random network. Two outputs with one and the
# same label are *one* of signal $2\lambda$. For correlated inputs, $X=xx^\top/D\ne1$, outputs are independent where the $y_c$ are eigenvectors of $X$; the
# eigenvalue $\xi$ takes the place of $u$, $\lambda_c=|y_c|^2/(v w^{T-2}u\,\xi_c)$ at the noise $\kappa/(vw^{T-2}u\,\xi_c)$, and equal ones have both equal.
#
# ## 2. The twist
#
# Let $H$ be a state of one output and $Q$ orthogonal, $O\times O$. Take $H_Q^{tt'}=H^{tt'}\,Q^{t'-t}$. With $D=\mathrm{diag}(Q,Q^2,\dots,Q^n)$
#
# $$H_Q=D^\top(H\otimes1)D,\qquad C[H_Q]=D^\top(C[H]\otimes1)D\quad\text{for every sharing matrix},$$
#
# because $C^{t+1,t'+1}=M_{tt'}H^{tt'}$ depends on $t'-t$ as $H^{t+1,t'+1}$ does. $\mathrm{tr}\,HC^{-1}$, $|H|/|C|$ and $H^{nn}$ do not see $D$: **$F=O\,F_1$ for every
# $Q\in O(O)$.** The manifold is that of $O(O)$, of dimension $O(O-1)/2$, in two pieces. The symmetries of the problem are the rotations of outputs
# with patterns, $Q\to R^\top QR$, and $W\to-W$, $Q\to-Q$; their orbits keep the eigenvalues of $Q$ up to a sign. For $O=2$: the reflections are one orbit,
# and each rotation by θ is equivalent to those by $-\theta$ and $\theta+\pi$ only.
#
# $h^n=\sum_tc_t\,h^tQ^{n-t}$: the companion matrix of the regression shows $W$'s outliers, $z\,e^{i\varphi}$, for every outlier $z$ of one output and every
# eigenvalue $e^{i\varphi}$ of $Q$. Squared lengths, and with them the singular values of appendix 20, do not see $Q$: each is there $O$ times.

# %%
assert_twist()

# %% [markdown]
# ## 3. Why $Q$ is orthogonal
#
# On the incoherent branch *every* matrix $Q$ is a critical mode, $E^{t,t+1}=a_tQ$, at the same $\lambda_c$. At fourth order a closed walk of four steps over one
# edge gives $\mathrm{tr}(QQ^\top)^2$, one over two edges $\mathrm{tr}\,Q^\top Q\,QQ^\top$, and so do the responses of lag 0, $s_tQQ^\top+s_{t-1}Q^\top Q$, and
# lag 2, $s_tQ^2$:
#
# $$F=OF_0+\tfrac12a(r-r_c)\,\mathrm{tr}\,QQ^\top+\tfrac14\left[c_1\mathrm{tr}(QQ^\top)^2+c_2\,\mathrm{tr}\,Q^\top Q\,QQ^\top\right],\qquad
#   c_1-c_2=\frac{3n^2-11n+12}{6(n-1)^2}>0 .$$
#
# $c_1+c_2=b$ is the coefficient of one output. With the eigenvalues $q_i$ of $QQ^\top$ in order, $\mathrm{tr}\,Q^\top QQQ^\top$ lies between
# $\sum q_iq_{O+1-i}$ and $\sum q_i^2$. For each pair, $c_1(q^2+q'^2)+2c_2qq'\ge\frac{c_1+c_2}2(q+q')^2$ as $c_1>c_2$. So where $b>0$, $F$ is least where
# all $q_i$ are equal: $Q$ is orthogonal up to its size. The margin does not contain κ.

# %%
assert_matrix_quartic()
print("c_1 =", latex(factor(matrix_quartic()[0])))
print("c_2 =", latex(factor(matrix_quartic()[1])))
margin = (orthogonality_margin() * 6 * (n - 1) ** 2).expand()
assert 11**2 - 4 * 3 * 12 < 0
for hidden in range(3, 7):
    values = [c.subs({n: hidden, zeta: 1}) for c in matrix_quartic()]
    print(f"T={hidden + 1}, kappa=0: c_1 = {values[0]}, c_2 = {values[1]}, b = {sum(values)}")
    assert margin.subs(n, hidden) > 0

# %% [markdown]
# ## 4. The second variation on the manifold, $T=4$
#
# In the frame $Q^t\cdots Q^{-t'}$ and the eigenvectors of $Q$ the second variation splits into entries $e=\varepsilon_{jk}$, and $Q$ enters through
# $\psi=\varphi_j-\varphi_k$ in $\delta C=e^{i\psi}\Sigma e\Sigma^\top$ alone. Symmetric and antisymmetric $e$ do not meet.
#
# - Antisymmetric: one null vector, $H^{tt'}(e^{i\psi t}-e^{i\psi t'})$, a change of $Q$. Its cofactor is free of ψ, and the length of the null vector squared is
#   $|1-e^{i\psi}|^2$ times a constant: Weyl's density. Together: *Haar's measure, exactly.*
# - Symmetric: the determinant is, up to a factor free of ψ and κ,
#
# $$A+B\cos\psi,\qquad A=s(4\zeta-1),\quad B=(s-1)(2\zeta-1),\qquad\zeta=\frac{H^{33}}{H^{33}+\kappa}.$$
#
# At $\psi=0$ it is the stability of one output, $\propto d\lambda/ds$. Where that is positive, so is $A-B$: **the whole manifold is stable where the one-output branch is.**

# %%
assert_determinants()
print("A + B cos psi =", latex(symmetric_determinant()))
branch = coherent_branch()
last = branch.kernel[3, 3]
at_zero = symmetric_determinant(Integer(0)).subs(zeta, last / (last + kappa)) * (last + kappa)
assert factor(at_zero - branch.stability()) == 0

# %% [markdown]
# ## 5. What $1/N$ does
#
# At width $N$ the kernel's density is $\exp(-NF-A)$ with $A=\frac12\ln|H^{nn}+\kappa|+\frac12(m+1)\ln|H|$, the same all over the manifold. So to leading order the
# law of $Q$ is what the fluctuations across the manifold leave:
#
# $$dP(Q)\;\propto\;\left|A+B\,\tfrac12(\mathrm{Ad}_Q+\mathrm{Ad}_Q^\top)\right|^{-1/2}_{\mathrm{Sym}}\,dQ,\qquad\mathrm{Ad}_QX=QXQ^\top$$
#
# on symmetric $O\times O$ matrices, $dQ$ Haar's measure. **$N$ has dropped out: the degeneracy is not lifted.** Networks of any large width have outliers anywhere on
# the circle, $F$ of the states differs by $O(1/N)$. The law is flat where $\zeta=\frac12$, that is $\kappa=H^{33}$. For weaker noise it favours
# differences of phases near π, by a factor of 2 at most for two outputs ($(A+B)/(A-B)\to2$ at $\kappa=0$, $s\to\infty$).
#
# Two outputs: a rotation by θ has the density $\sqrt{A^2-B^2}/(2\pi(A+B\cos2\theta))$ in $\psi=2\theta$, and rotations and reflections have weight ½ each, since
# $\int\frac{d\psi}{2\pi}\frac1{A+B\cos\psi}=(A^2-B^2)^{-1/2}$ is just what each reflection has.

# %%
for at, noise in ((Rational(5, 2), 0), (Rational(5), 0), (Rational(3), 48)):
    share = last.subs(s, at) / (last.subs(s, at) + noise)
    ends = [symmetric_determinant(angle, share).subs(s, at) for angle in (Integer(0), pi)]
    print(f"s={at}, kappa={noise}: weight of psi = pi over psi = 0: {float(ends[0] / ends[1]):.5f}")
    assert 1 <= ends[0] / ends[1] < 2
print("density of psi =", latex(phase_density()))

# %% [markdown]
# ## 6. Unequal signals
#
# On the incoherent branch each output has its own ratio, $\lambda(r_j)=\lambda_j$. Between outputs $j$ and $k$, lag $l$, $m=n-l$, the form is tridiagonal with
# diagonal $r_j+r_k$ (last: 1) and $-\sqrt{r_jr_k}$ beside it; its determinant
#
# $$\frac{r_j^m(r_k-1)-r_k^m(r_j-1)}{r_k-r_j}$$
#
# vanishes where $(r-1)/r^m$ has the same value for both, with its maximum, $r_c$ at lag 1, between them. So **the output with the largest signal becomes coherent
# first, alone, at its own $\lambda_c$**; with unlabelled directions ($r_k=1$, determinant 1) nothing ever mixes.
#
# Near the transition, with masses $-\frac\mu2(1\pm d)$ and $Q$ a rotation by θ times a symmetric matrix, the minimum over the latter is
#
# $$F=F(d=0)-\tfrac12\mu^2d^2\,g(\theta),\qquad g=\frac{\cos^2\theta}{c_1+c_2\cos2\theta},\qquad\frac{dg}{d\theta}\propto-(c_1-c_2)\sin2\theta .$$
#
# **The manifold is lifted at second order in the difference**, and $F$ is least where $Q$ commutes with $Y$: a sign for each output, $2^O$ minima (reflections
# commute too), $F$ the sum of what each output has alone. Outputs that exchange each other, $\theta=\pi/2$, gain nothing. As $N d^2$ decides, networks of
# width $N$ do not tell signals apart that differ by less than about $N^{-1/2}$. Each further output then becomes coherent at its own $\lambda_c$ (or, where the
# transition is discontinuous, at its own point of equal free energy), with outliers of both signs independent of the others.

# Between two *coherent* outputs at $T=4$, $s=a$ and $s=b$, each of either sign, the determinant of the nine entries is, up to positive factors,
#
# $$(a-b)^2\left[\left(\frac{\zeta_a}{a-1}+\frac{\zeta_b}{b-1}\right)(a^2+ab+b^2-2a-2b+1)-(a+b-1)\right].$$
#
# (Found from its exact values at rational points; the tests have it to 40 digits at others.) Where both branches are stable, $\zeta_s>\frac{2s-1}{6s-2}$, the
# bracket is above $(a-b)^2$ times a positive function: no mode between unequal outputs is unstable, at any distance from the transition.

# %%
assert_mixed_determinant()
assert_lifting()
assert_unequal_stable()
print("between two outputs:", latex(mixed_determinant(n - 1)))
print("g =", latex(lifting()))

# %% [markdown]
# ## 7. Confirmation to 40 digits
#
# Two outputs, $T=4$: $F$ of all 21 entries in mpmath, derivatives from differences. The twisted kernel is stationary for any angle, and the determinant of the
# Hessian across the manifold has the ratio that the law says, between two angles and between a rotation and a reflection.


# %%
def free_energy(K: Any, lam: Any, noise: Any) -> Any:
    forward = mp.eye(6)
    forward[2:, 2:] = K[:4, :4]
    end = mp.inverse(K[4:, 4:] + noise * mp.eye(2))
    product = mp.inverse(forward) * K
    trace = mp.fsum(product[i, i] for i in range(6))
    return (lam * (end[0, 0] + end[1, 1]) + trace - 6 - mp.log(mp.det(K)) + mp.log(mp.det(forward))) / 2


def at_angle(H: Any, turn: Any) -> tuple[Any, Any]:
    """``H_Q`` for ``Q = turn`` and the derivative along a further rotation of Q."""
    generator = mp.matrix([[0, -1], [1, 0]])
    K, tangent = mp.matrix(6, 6), mp.matrix(6, 6)
    for t in range(3):
        for u in range(t, 3):
            block, change = mp.eye(2), mp.zeros(2)
            for _ in range(u - t):
                change = change * turn + block * turn * generator
                block = block * turn
            for i in range(2):
                for j in range(2):
                    K[2 * t + i, 2 * u + j] = K[2 * u + j, 2 * t + i] = H[t, u] * block[i, j]
                    tangent[2 * t + i, 2 * u + j] = tangent[2 * u + j, 2 * t + i] = H[t, u] * change[i, j]
    return K, tangent


PLACES = [(i, j) for i in range(6) for j in range(i, 6)]


def derivatives(K: Any, lam: Any, noise: Any) -> tuple[Any, Any]:
    """Largest slope, and the Hessian in orthonormal coordinates of symmetric matrices."""
    h = mp.mpf(10) ** (-mp.dps // 4)

    def moved(*moves: tuple[int, int]) -> Any:
        L = K.copy()
        for index, sign in moves:
            i, j = PLACES[index]
            size = h if i == j else h / mp.sqrt(2)
            L[i, j] += sign * size
            if i != j:
                L[j, i] += sign * size
        return free_energy(L, lam, noise)

    slopes = [(moved((k, 1)) - moved((k, -1))) / (2 * h) for k in range(21)]
    second = mp.matrix(21, 21)
    for k in range(21):
        for q in range(k + 1):
            corners = [a * b * moved((k, a), (q, b)) for a in (1, -1) for b in (1, -1)]
            second[k, q] = second[q, k] = mp.fsum(corners) / (4 * h * h)
    return max(abs(x) for x in slopes), second


def weight(H: Any, turn: Any, lam: Any, noise: Any) -> Any:
    """Squared length of the tangent over the determinant across it."""
    K, tangent = at_angle(H, turn)
    slope, second = derivatives(K, lam, noise)
    assert slope < mp.mpf(10) ** -40
    v = mp.matrix([tangent[i, j] * (1 if i == j else mp.sqrt(2)) for i, j in PLACES])
    squared = (v.T * v)[0]
    return squared / mp.det(second + v * v.T / squared)


with mpmath.workdps(180):
    place, noise = {s: Rational(3)}, Rational(5)
    H = mp.matrix(3, 3)
    for (t, u), value in branch.kernel.items():
        H[t - 1, u - 1] = H[u - 1, t - 1] = mp.mpf(value.subs(place).evalf(180))
    lam = mp.mpf(branch.signal.subs(place | {kappa: noise}).evalf(180))
    share = (last / (last + noise)).subs(place)
    turns = {}
    for angle in (mp.mpf(2) / 5, mp.mpf(7) / 5):
        turns[angle] = mp.matrix([[mp.cos(angle), -mp.sin(angle)], [mp.sin(angle), mp.cos(angle)]])
    rotations = [weight(H, turn, lam, mp.mpf(5)) for turn in turns.values()]
    reflection = weight(H, mp.matrix([[1, 0], [0, -1]]), lam, mp.mpf(5))
    A, B = (
        mp.mpf(x.evalf(180))
        for x in (
            symmetric_determinant(pi / 2, share).subs(place),
            (symmetric_determinant(Integer(0), share) - symmetric_determinant(pi / 2, share)).subs(place),
        )
    )
    first, second = (A + B * mp.cos(2 * angle) for angle in turns)
    ratios = (
        rotations[0] / rotations[1] / (second / first) ** 2,
        reflection / rotations[0] / (first**2 / (A**2 - B**2)),
    )
    for ratio in ratios:
        print("ratio of weights over that of the law, less 1:", mp.nstr(ratio - 1, 3))
        assert abs(ratio - 1) < mp.mpf(10) ** -40
    assert abs(rotations[0] / rotations[1] - 1) > mp.mpf(1) / 20
