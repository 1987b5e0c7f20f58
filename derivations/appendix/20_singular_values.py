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
# # Singular values of $W$: the transition of Baik, Ben Arous and Péché, and coherence
#
# Strong labels give the weights a part that is large along few directions. When does it show in the spectrum? We derive, from the kernel alone,
# which singular values of each $W^{(s)}$ leave the bulk $[0,2\sqrt w]$, for any sharing matrix $M$, and compare this threshold with the transition to
# coherence and with the eigenvalue that leaves the disc of radius $\sqrt w$. At $T=4$ the RNN's singular value leaves the bulk *exactly at the critical
# signal*: there, coherence is a BBP transition. At other $T$, and for other sharings, the two are apart, and we find their order.
#
# Linear network, endpoint supervision, $M$ of unit diagonal, units $u=v=w=1$, $n=T-1$.

# %%
from typing import Any

import mpmath
from mpmath import mp
from sympy import Integer, Rational, latex, simplify

from derivations.by_differences import newton
from theory.coherent_branch import coherent_branch
from theory.outlier_signals import outlier_signals
from theory.outliers import outlier_start
from theory.sharing import sharing
from theory.sharing_transition import critical_point_of
from theory.singular_values import (
    assert_coherent,
    assert_growth,
    assert_order,
    assert_threshold,
    coherent_growth,
    coherent_singular_value,
    crossover_correlation,
    crossover_polynomial,
    first_transition,
    singular_square,
)
from theory.symbols import kappa, rho, s

# %% [markdown]
# ## 1. From lengths to singular values
#
# Let $e$ be an orthonormal frame of the span of $h^-=(h^1\dots h^{n-1})$. Labels see the weights through the activity $h$ alone, so that given $h$ the weights are
# their Gaussian prior, conditioned on $W^{(t)}h^t=h^{t+1}$. Outside the span nothing is conditioned: $W^{(s)}$ has $N-n+1$ fresh columns $G$ with entries of
# variance $1/N$, independent of $W^{(s)}e$, and
#
# $$W^{(s)}W^{(s)\top}=GG^\top+(W^{(s)}e)(W^{(s)}e)^\top .$$
#
# Outside the spectrum of $GG^\top$, $\mu$ is an eigenvalue where $|1-(We)^\top(\mu-GG^\top)^{-1}We|=0$. As $We$ does not know $G$, this is
# $|1-m(\mu)\,e^\top W^\top We|=0$, $m$ the resolvent's trace. The moments of $GG^\top$ are the Catalan numbers (non-crossing pairings), hence
# $m(\mu)=\tfrac12(1-\sqrt{1-4/\mu})$. With α an eigenvalue of $e^\top W^\top We$, the factor by which a squared length grows,
#
# $$1=\alpha\,m(\sigma^2)\quad\Longleftrightarrow\quad\sigma^2=\frac{\alpha^2}{\alpha-1}\ \text{ and }\ \alpha>2 .$$
#
# In the words of Baik, Ben Arous and Péché: for a matrix of independent entries plus $\theta ab^\top$, $\alpha=1+\theta^2$, and θ must exceed 1.

# %%
assert_threshold()

# %% [markdown]
# ## 2. The lengths, for any sharing
#
# The overlaps $q_s^t$ of a neuron's row of $W^{(s)}$ with $h^t$ are jointly Gaussian, $\langle q_s^tq_{s'}^{t'}\rangle=M_{ss'}H^{tt'}$, and $q_t^t=h^{t+1}$ is given. The mean
# over neurons of $q_s^tq_s^{t'}$ is therefore
#
# $$P_s=H_-+H_-D_s\,\left[C'^{-1}H_+C'^{-1}-C'^{-1}\right]D_sH_-,\qquad C'=M\circ H_-,\quad D_s=\mathrm{diag}(M_{st}),$$
#
# $H_-$ and $H_+$ the kernel at times $1\dots n-1$ and $2\dots n$, and the α are the eigenvalues of $H_-^{-1}P_s$. The bracket is the $B$ that carries label
# messages back in time (docs/theory.md section 7). For the RNN $P=H_+$: α compares the activity with itself one step later.
#
# On the incoherent branch $H^{tt}=r^t$ the matrix is diagonal, $\alpha=1+M_{st}^2(r-1)$.

# %%
assert_growth(2)

# %% [markdown]
# ## 3. Which comes first
#
# So on the incoherent branch a singular value of *every* $W^{(s)}$, whatever is shared, leaves the bulk at $r=2$, $\lambda=(2^n+\kappa)^2/2^n$. Coherence begins at
# $r_c=\Lambda/(\Lambda-1)$ (appendix 15). Hence
#
# $$\Lambda<2:\ \text{singular values first};\qquad\Lambda=2:\ \text{both at one }\lambda;\qquad\Lambda>2:\ \text{coherence first}.$$
#
# | | Λ | |
# |---|---|---|
# | DNN | 1 | singular values only |
# | RNN, $T=4$ | 2 | both, for every κ |
# | RNN, $T\ge5$ | $T-2$ | coherence |
# | `looped:p` | $T-1-p$ | both at $p=T-3$, coherence for fewer layers |
# | two tied matrices, any $T$ | 2 | both |
# | `shared:ρ`, `drift:ρ` | | singular values for $\rho<\rho_*(T)$, coherence above |
#
# $\rho_*$ is the smallest positive zero of $\det L$ at $r=2$; 1 at $T=4$, $1/\sqrt3$ at $T=5$. As $\Lambda\to(1+\rho)/(1-\rho)$ for long networks, $\rho_*\to1/3$.

# %%
for horizon in range(4, 9):
    assert_order(horizon)
    root = crossover_correlation(horizon)
    print(f"T={horizon}: 0 = {latex(crossover_polynomial(horizon).as_expr())}, \\rho_* = {root.evalf(15)}")
assert crossover_correlation(4) == 1
assert crossover_correlation(5) == 1 / Integer(3) ** Rational(1, 2)
for word, horizon, expected in (
    ("rnn", 4, "both"),
    ("rnn", 5, "coherence"),
    ("rnn", 9, "coherence"),
    ("dnn", 9, "singular value"),
    ("looped:5", 8, "both"),
    ("looped:3", 8, "coherence"),
    ("shared:1/2", 5, "singular value"),
    ("shared:1/2", 6, "coherence"),
    ("drift:1/3", 12, "singular value"),
):
    order = first_transition(sharing(word), horizon, Rational(1))
    print(f"{word} T={horizon}: {order.first}")
    assert order.first == expected

# %% [markdown]
# ## 4. The coherent branch at $T=4$, any ρ
#
# Of both $W^{(1)}$ and $W^{(2)}$, trace and determinant of $H_-^{-1}P_s$ are the same number, $(1+\rho)s$ with $s=H^{11}$:
#
# $$\alpha^2-(1+\rho)s\,\alpha+(1+\rho)s=0 .$$
#
# This *is* $\sigma^2=\alpha^2/(\alpha-1)$. One root is beyond 2 and one below, all along the branch, so that each $W^{(s)}$ has one singular value outside,
#
# $$\sigma=\sqrt{(1+\rho)\,s}.$$
#
# The RNN's begins at $s=2$ with $\sigma=2$, the edge, and $\sigma^2-4=2(s-2)=(H^{23})^2/32+\dots$: it grows as the square of the order parameter. For ρ < 1 it
# has left the bulk on the incoherent branch, at $r=2<r_c=(1+\rho)/\rho$, and goes on from there.

# %%
assert_coherent()
branch = coherent_branch(rho=rho)
start = {s: branch.start}
assert simplify(coherent_singular_value().subs(start) ** 2 - (1 + rho) ** 2 / rho) == 0
order_parameter = (branch.kernel[2, 3] ** 2).subs(rho, 1)
assert simplify((coherent_singular_value() ** 2).subs(rho, 1).diff(s) / order_parameter.diff(s).subs(s, 2)) == Rational(
    1, 32
)
for correlation in (Rational(1, 4), Rational(1)):
    points = {
        "singular value": (8 + 1) ** 2 / Rational(8),
        "coherence": branch.signal.subs(start).subs({rho: correlation, kappa: 1}),
        "eigenvalue": branch.signal.subs(s, outlier_start()).subs({rho: correlation, kappa: 1}),
    }
    print(
        f"rho={correlation}, kappa=1:",
        ", ".join(f"{name} at lambda = {float(value):.4f}" for name, value in points.items()),
    )
    assert points["singular value"] <= points["coherence"] < points["eigenvalue"]

# %% [markdown]
# ## 5. Longer RNNs
#
# Stationary kernels do not depend on κ, which enters through $\mu=\lambda/(H^{nn}+\kappa)^2$ alone, so that each threshold of the coherent branch is
# $\lambda=\mu(H^{nn}+\kappa)^2$ with two numbers for each $T$. At $T=5$ the singular value leaves first, then the eigenvalue, as at $T=4$; **from $T=6$ on the
# eigenvalue is first.** A matrix close to normal shows its outlier beyond 1 as an eigenvalue; that it shows as a singular value takes a squared
# length doubled in one step, and in a long network each step grows little. The last column is the κ up to which the branch is stable there.

# %%
for horizon in (5, 6):
    eigenvalue, singular = outlier_signals(horizon)
    for kind, found in (("eigenvalue", eigenvalue), ("singular value", singular)):
        print(
            f"T={horizon} {kind}: mu={mpmath.nstr(found.stress, 12)} H^nn={mpmath.nstr(found.last, 12)}"
            f" lambda(kappa=1)={float(found.signal(Rational(1))):.6f} stable for kappa < {mpmath.nstr(found.largest_noise, 8)}"
        )
    later = eigenvalue.order_parameter > singular.order_parameter
    assert later == (horizon == 5)
    assert (
        min(eigenvalue.signal(Rational(1)), singular.signal(Rational(1)))
        > critical_point_of(sharing("rnn"), horizon, Rational(1)).signal
    )

# %% [markdown]
# ## 6. Confirmation to 40 digits
#
# Newton's method in mpmath on $F$ entry by entry (its gradient from differences) finds the state at a given λ; the joint covariance of all overlaps, written out,
# conditioned on the drives, gives the lengths. No closed form above is used.


# %%
def growth(entries: list[Any], correlation: Any, layer: int) -> list[Any]:
    """Squared lengths by which W^(layer) takes the directions of h¹, h²: all four overlaps, two of them given."""
    h11, h12, _, h22, h23, h33 = entries
    size = {(0, 0): h11, (0, 1): h12, (1, 0): h12, (1, 1): h22}
    places = [(matrix, time) for matrix in range(2) for time in range(2)]
    joint = mp.matrix([[(1 if a == b else correlation) * size[t, u] for b, u in places] for a, t in places])
    given, own = [0, 3], [2 * layer, 2 * layer + 1]
    C = mp.matrix([[joint[i, j] for j in given] for i in given])
    K = mp.matrix([[joint[i, j] for j in given] for i in own]) * mp.inverse(C)
    seen = mp.matrix([[h22, h23], [h23, h33]])
    lengths = mp.matrix([[joint[i, j] for j in own] for i in own]) - K * C * K.T + K * seen * K.T
    return [mp.re(z) for z in mp.eig(mp.inverse(mp.matrix([[h11, h12], [h12, h22]])) * lengths)[0]]


with mpmath.workdps(150):
    for correlation, noise, at in (
        (Rational(1), Rational(1), Rational(3)),
        (Rational(2, 5), Rational(7, 2), Rational(11, 2)),
    ):
        put = {rho: correlation, kappa: noise, s: at}
        exact = [mp.mpf(branch.kernel[times].subs(put).evalf(150)) for times in sorted(branch.kernel)]
        lam = mp.mpf(branch.signal.subs(put).evalf(150))
        arguments = (mp.mpf(correlation.p) / correlation.q, lam, mp.mpf(noise.p) / noise.q)
        state = newton([x * (1 + mp.mpf(k) / 10**4) for k, x in enumerate(exact)], *arguments)
        expected = mp.mpf(coherent_singular_value(correlation).subs(s, at).evalf(150))
        for layer in (0, 1):
            larger = max(growth(state, arguments[0], layer))
            difference = abs(larger / mp.sqrt(larger - 1) - expected)
            print(f"rho={correlation} W{layer + 1}: sigma = {mp.nstr(expected, 15)}, off by {mp.nstr(difference, 3)}")
            assert difference < mp.mpf(10) ** -40
    first, second = coherent_growth(Integer(1))
    assert simplify(singular_square(first.subs(s, 3)) - singular_square(second.subs(s, 3))) == 0
