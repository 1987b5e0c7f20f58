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
# # Any sharing of weights: the order of the transition
#
# Where the incoherent branch loses its stability ($r_c=\Lambda/(\Lambda-1)$, previous derivation) the free energy is reduced to the amplitude
# of the critical mode, for any sharing matrix $M$ and noise $\kappa$. The sign of one number, $p+q\zeta$, decides whether the transition is
# continuous. Partly shared weights make it discontinuous where the RNN's is continuous; weights that drift, and loops of
# several layers, make it continuous where the RNN's is discontinuous. Units $u=v=w=1$, $n=T-1$, $\zeta=r^n/(r^n+\kappa)$.

# %%
from typing import Any

import mpmath
from mpmath import mp
from sympy import Expr, Integer, Matrix, Poly, Rational, Symbol, diag, eye, factor, latex, simplify, symbols, zeros

from theory.critical_point import critical_point
from theory.landau import landau_expansion
from theory.looped import LAYERS, LENGTH, assert_quartic, reduced_quartic, reduced_quartic_at
from theory.sharing import SharingFamily, sharing
from theory.sharing_landau import exact_quartic, quartic
from theory.sharing_stability import SharingSector, instability
from theory.sharing_transition import critical_point_of
from theory.sharing_tricritical import (
    continuity_at,
    tricritical_correlations,
    tricritical_count,
    tricritical_polynomial,
)
from theory.symbols import T, kappa, r, rho
from theory.symbols import zeta as share

# %% [markdown]
# ## 1. Third and fourth order of the free energy
#
# In $M$ of the previous derivation, $G=M\circ E_-$, the expansions of $(1+G)^{-1}$ and $\ln|1+E|$, $\ln|1+G|$ give
#
# $$2F_3=r\left(\mathrm{tr}E_+G^2-\mathrm{tr}\,G^3\right)-\tfrac13\left(\mathrm{tr}E^3-\mathrm{tr}\,G^3\right),\qquad
#   \Phi_4=r\left(\mathrm{tr}\,G^4-\mathrm{tr}E_+G^3\right)+\tfrac14\left(\mathrm{tr}E^4-\mathrm{tr}\,G^4\right)$$
#
# for kernels without lag 0, and the gradient of $2F_3$ is
#
# $$R=r\left[\mathrm{up}(G^2)-\mathrm{pad}\left(M\circ(3G^2-GE_+-E_+G)\right)\right]-E^2+\mathrm{pad}(M\circ G^2).$$

# %%
n, eps = 3, Symbol("epsilon")
m12 = Symbol("m12", real=True)
M: Any = Matrix([[1, m12], [m12, 1]])
E: Any = Matrix(n, n, lambda i, j: Symbol(f"e{min(i, j) + 1}{max(i, j) + 1}", real=True))
early, late = E[: n - 1, : n - 1], E[1:, 1:]
G = early.multiply_elementwise(M)
third = r * ((late * G**2).trace() - (G**3).trace()) - ((E**3).trace() - (G**3).trace()) / 3
fourth = r * ((G**4).trace() - (late * G**3).trace()) + ((E**4).trace() - (G**4).trace()) / 4
moved_up, padded = zeros(n, n), zeros(n, n)
moved_up[1:, 1:] = r * G**2
padded[: n - 1, : n - 1] = M.multiply_elementwise(r * (G * late + late * G - 3 * G**2) + G**2)
R = moved_up + padded - E**2
for i in range(n):
    for j in range(i, n):
        twice = 1 if i == j else 2
        assert simplify(third.diff(E[i, j]) - twice * R[i, j]) == 0
determinants = ((eye(n) + eps * E).det(), (eye(n - 1) + eps * G).det())
trace = r * ((eye(n - 1) + eps * late) * (eye(n - 1) + eps * G).inv()).trace()


def log_coefficient(polynomial: Expr, order: int) -> Expr:
    """The coefficient of εᵒʳᵈᵉʳ in the logarithm of a polynomial in ε that is 1 at ε = 0."""
    values = [Poly(polynomial, eps).coeff_monomial(eps**k) for k in range(order + 1)]
    logs = [Integer(0)]
    for k in range(1, order + 1):
        logs.append(values[k] - sum((Rational(j, k) * logs[j] * values[k - j] for j in range(1, k)), Integer(0)))
    return logs[order]


for order, claimed in ((3, third), (4, fourth)):
    whole = trace.diff(eps, order).subs(eps, 0) / (6 if order == 3 else 24)
    whole -= log_coefficient(determinants[0], order) - log_coefficient(determinants[1], order)
    assert simplify(whole - claimed) == 0

# %% [markdown]
# ## 2. Slaved entries, and where noise enters
#
# $E=\alpha a+\alpha^2X$: the mode has one lag $l$, so that $R$ has the lags 0 and $2l$, and $LX=-R$ in these sectors. Hence
# $F=F_0+\tfrac12a(r-r_c)\alpha^2+\tfrac14b\alpha^4$ with
#
# $$a=a^\top\frac{\partial L}{\partial r}a=2\sum_{t<m}g_ta_t\,(g_ta_t-a_{t+1}),\qquad b=2\Phi_4+\mathrm{tr}\,RX .$$
#
# $\kappa$ enters through the last entry of the lag-0 form alone, $1+e$ with $e=2(r-1)\zeta$, a change of rank one. With $L_0$ at $e=0$,
# $y=L_0^{-1}e_n$, $y_n=n/(n-(n-1)r)$ and $b_0$ the value without $e$, the Sherman–Morrison formula gives
#
# $$b=b_0+\frac{e\,(y\cdot R)^2}{1+e\,y_n}=\frac{p+q\zeta}{n-(n-1)r+2n(r-1)\zeta},$$
#
# and the denominator is $r(r-1)\,d\ln\lambda/dr$ at $r_c$. From $r-r_c=-(b/a)\alpha^2$ and $H^{t,t+l}=r^{t+l/2}\alpha$ at the place $(t,t+l)$ of the order
# parameter
#
# $$(H^{t,t+l})^2=A\,(\lambda-\lambda_c)+\dots,\qquad A=-\frac{a\,\zeta^2\,r_c^{\,2t+l+1-n}}{p+q\zeta}.$$
#
# The transition is continuous where $p+q\zeta>0$. Where the denominator vanishes, so that $\lambda(r)$ ceases to rise,
# $p+q\zeta=-n\,e^2(y\cdot R)^2<0$. As it is linear in $\zeta$, there is *one tricritical $\kappa$ if the transition is continuous at $\kappa=0$, and none
# if it is not*, for every $M$.

# %%
size = 4
sector = SharingSector(1, (Integer(1),) * (size - 1))
stiff = Symbol("e")
form = sector.form() + diag(*([0] * (size - 1)), stiff)
edge = sector.form().inv()[:, size - 1]
assert simplify(edge[size - 1] - size / (size - (size - 1) * r)) == 0
source = Matrix(symbols(f"R1:{size + 1}"))
plain = -(source.T * sector.form().inv() * source)[0]
pulled = (edge.T * source)[0]
exact = -(source.T * form.inv() * source)[0]
assert simplify(exact - plain - stiff * pulled**2 / (1 + stiff * edge[size - 1])) == 0
base = Symbol("b_0")
spread = size - (size - 1) * r
constant, linear = base * spread, 2 * (r - 1) * (size * base + pulled**2 * spread)
at_fold = ((size - 1) * r - size) / (2 * size * (r - 1))
assert simplify((constant + linear * at_fold) + size * (2 * (r - 1) * at_fold) ** 2 * pulled**2) == 0
growth = r**T
slope = (1 / (r - 1) + T * (2 * share - 1) / r) * r * (r - 1)
assert simplify(slope - (T - (T - 1) * r + 2 * T * (r - 1) * share)) == 0
g1, a1, a2 = symbols("g1 a1 a2")
two = SharingSector(1, (g1,))
mode = Matrix([a1, a2])
assert simplify((mode.T * two.form().diff(r) * mode)[0] - 2 * g1 * a1 * (g1 * a1 - a2)) == 0

# %% [markdown]
# The same coefficients follow by a general route, all entries as power series in $\alpha$ over the field of $\Lambda$, with nothing assumed
# about which of them follow:

# %%
for word, horizon in (("shared:1/2", 5), ("drift:2/3", 6), ("looped:2", 7), ("rnn", 6)):
    architecture = sharing(word)
    found = instability(architecture.matrix(horizon - 1))
    assert found is not None
    coefficients, field = exact_quartic(architecture.matrix(horizon - 1), found)
    ratio = field.to_sympy(coefficients.ratio)
    noise = Rational(2, 3)
    relative = field.from_sympy(noise) * coefficients.ratio ** (1 - horizon)
    zeta_there = field.one / (field.one + relative)
    expansion = landau_expansion(horizon, noise, architecture)
    assert simplify(field.to_sympy(coefficients.quartic(zeta_there)) - expansion.quartic) == 0
    assert simplify(field.to_sympy(coefficients.amplitude_squared(zeta_there)) - expansion.amplitudes()[0]) == 0
    print(f"{word} T={horizon} kappa=2/3: b = {float(expansion.quartic):.6f}, c = {float(expansion.sextic):.6f}")

# %% [markdown]
# ## 3. $T=4$: closed forms in $\rho$ and $\kappa$
#
# `shared:ρ` and `drift:ρ` are the same here: $r_c=(1+\rho)/\rho$,
#
# $$\lambda_c=\frac{(r_c^3+\kappa)^2}{\rho\,r_c^3},\qquad A=\frac{\zeta^2(1+\rho)^4}{\rho\left[2(2\rho+3)\zeta-\rho-2\right]},\qquad
#   \kappa_t=\left(\frac{1+\rho}\rho\right)^3\frac{3\rho+4}{\rho+2}.$$
#
# Continuous for $\kappa<\kappa_t$, which falls from infinity to the RNN's $56/3$ at $\rho=1$.

# %%
point = critical_point_of(sharing("shared:rho"), 4, kappa)
growth = ((1 + rho) / rho) ** 3
zeta_four = growth / (growth + kappa)
assert factor(point.signal - (growth + kappa) ** 2 / (rho * growth)) == 0
amplitude = zeta_four**2 * (1 + rho) ** 4 / (rho * (2 * (2 * rho + 3) * zeta_four - rho - 2))
assert factor(point.amplitude_squared - amplitude) == 0
assert point.tricritical_kappa is not None
assert factor(point.tricritical_kappa - growth * (3 * rho + 4) / (rho + 2)) == 0
assert point.tricritical_kappa.subs(rho, 1) == Rational(56, 3)
assert factor(point.tricritical_kappa.diff(rho)).subs(rho, Rational(1, 2)) < 0

# %% [markdown]
# ## 4. Looped networks: closed forms in $n$ and $p$
#
# Lag $p$ meets ones: $m=n-p$, $a_t=t/m$, $r=m/(m-1)$. With $s_t=r/m^2$ for $t<m$ and $s_m=-1/m$ the gradient is
# $R^{tt}=s_t+s_{t-p}$, and $R^{t,t+2p}=r/m^2$ but for its last entry $-1/m$. The responses are quadratic in $t$ up to the end of their
# source and linear beyond it. There are two cases, as lag $2p$ exists for $n>2p$ only. For $n\le2p$
#
# $$p+q\zeta=\frac{2\left[(4n-3p)m-2n+3p\right]\zeta-\left[(3n-2p)m-3n+4p\right]}{3m^2(m-1)},$$
#
# and for $n\ge2p$ polynomials of degree 5. Both are derived for symbolic $n$ and $p$, sum by sum:

# %%
for short in (True, False):
    assert_quartic(short)
print("n <= 2p:", latex(factor(reduced_quartic(True))))
print("n >= 2p:", latex(factor(reduced_quartic(False))))
at_two = {LENGTH: LAYERS}
assert factor((reduced_quartic(True) - reduced_quartic(False)).subs(at_two)) == 0
for horizon in range(4, 9):
    rnn = critical_point(horizon, kappa).continuity
    mine = reduced_quartic_at(horizon, 1) / share
    ratio = Rational(horizon - 2, horizon - 3)
    mine = mine.subs(share, 1 / (1 + kappa * ratio ** (1 - horizon)))
    assert factor(mine / rnn).is_positive  # the RNN is the loop of one layer
print("tricritical kappa of looped networks (- : discontinuous at every kappa)")
for layers in range(1, 5):
    row = []
    for horizon in range(4, 15):
        if horizon - 1 - layers < 2:
            row.append("")
            continue
        noise_there = critical_point_of(SharingFamily("looped", Integer(layers)), horizon, kappa).tricritical_kappa
        row.append("-" if noise_there is None else f"{float(noise_there):.3f}")
    print(f"p={layers}:", *(f"T={horizon}: {value}" for horizon, value in zip(range(4, 15), row, strict=True) if value))

# %% [markdown]
# Without noise the transition is continuous up to $T=5$ for one layer, 9 for two, 13 for three, 17, 20, 24 … for more: as long as each
# layer is used about four times. For many layers, the leading powers of $p+q$ vanish at $n/p=3.84$, the root of
# $6x^5-45x^4+114x^3-132x^2+74x-16$.

# %%
last = {}
for layers in range(1, 7):
    signs = [bool(reduced_quartic_at(h, layers, Integer(1)) > 0) for h in range(layers + 3, 40)]
    assert signs == sorted(signs, reverse=True)
    last[layers] = layers + 2 + sum(signs)
print("last continuous T:", last)
assert list(last.values()) == [5, 9, 13, 17, 20, 24]

# %% [markdown]
# ## 5. Two tied matrices, and blocks
#
# For two tied matrices of $n-1$ the coefficient, too, is the same whichever they are: $\Phi_4$, the source and its response are shifted
# in time only, and the sector of lag 0 that answers is the same before and after. It is that of $p=n-2$ layers,
# $p+q\zeta=(2(n+2)\zeta-n)/4$, positive at $\kappa=0$: *continuous for $\kappa<2^n(n+4)/n$ at every $T$*.

# %%
for n in range(3, 8):
    for first in range(n - 1):
        for second in range(first + 1, n - 1):
            rows = [[Rational(int(i == j or {i, j} == {first, second})) for j in range(n - 1)] for i in range(n - 1)]
            pair = quartic(rows, second - first, (first + 1, first + 2), Rational(2), Rational(1))
            assert pair.constant == Rational(-n, 4)
            assert pair.share == Rational(n + 2, 2)

# %% [markdown]
# ## 6. Tricritical correlations
#
# For `shared:ρ` and `drift:ρ` without noise, $p+q$ as a function of $\rho$ changes sign at $T=5$ for `shared` and from $T=6$ on for `drift`:
#
# - `shared:ρ`, $T=4$: continuous for all $\rho$; $T=5$: discontinuous below $\rho_t=0.6433$, continuous above; $T\ge6$ (to 12): discontinuous.
# - `drift:ρ`, $T=4,5$: continuous; $T\ge6$ (to 10): continuous below $\rho_t$, discontinuous above.
#
# These are all there are: in $c=\cos\theta$ of the critical mode, $\rho=\cos\frac{n\theta}2/\cos\frac{(n-2)\theta}2$ and Λ are rational, so that $p+q$ has a
# polynomial numerator, and Sturm's theorem counts its zeros between $\cos\frac\pi n$ (ρ = 0) and 1. Its denominator has none there.
#
# So one exact copy in common with layers of their own turns the transition abrupt, and a drift smoothes it: the lag-2
# correlations, $\rho$ against $\rho^2$, make the difference. At $T=5$ and 6 elimination of $\Lambda$ gives the polynomial of $\rho_t$.

# %%
for horizon in range(4, 13):
    assert tricritical_count("shared", horizon) == (horizon == 5)
    with mpmath.workdps(20):
        assert (continuity_at("shared", horizon, mpmath.mpf(9) / 10, 0) > 0) == (horizon <= 5)
for horizon in range(4, 11):
    assert tricritical_count("drift", horizon) == (horizon >= 6)
polynomial = tricritical_polynomial("shared", 5)
inside = [base for base, _ in polynomial.factor_list()[1] if base.degree() > 1]
assert len(inside) == 1
print("shared, T=5: 0 =", latex(inside[0].as_expr()))
with mpmath.workdps(45):
    for family, lengths in (("shared", (4, 5, 6)), ("drift", (5, 6, 7, 8, 9, 10))):
        for horizon in lengths:
            roots = tricritical_correlations(family, horizon)
            print(f"{family} T={horizon}:", *(mp.nstr(root, 15) for root in roots) if roots else ["none"])
            assert len(roots) == ((horizon == 5) if family == "shared" else (horizon >= 6))
    (root,) = tricritical_correlations("shared", 5)
    assert abs(mp.polyval([int(z) for z in inside[0].all_coeffs()], root)) < mp.mpf(10) ** -36

# %% [markdown]
# ## 7. Confirmation on the full free energy
#
# $F$ once more in mpmath, from $C$ entry by entry, and Newton's method for all entries but the order parameter $\psi$, and for $\lambda$. Near the
# critical point $(\lambda-\lambda_c)/\psi^2\to1/A$: it vanishes at the tricritical correlation to 40 digits, and has opposite signs on
# its two sides.


# %%
def gradient(K: Any, table: Any, lam: Any, noise: Any) -> Any:
    count = K.rows
    forward = mp.zeros(count)
    forward[0, 0] = 1
    for i in range(count - 1):
        for j in range(count - 1):
            forward[i + 1, j + 1] = table[i, j] * K[i, j]
    inverse = mp.inverse(forward)
    slope, carried = inverse - mp.inverse(K), inverse - inverse * K * inverse
    for i in range(count - 1):
        for j in range(count - 1):
            slope[i, j] += table[i, j] * carried[i + 1, j + 1]
    slope[count - 1, count - 1] -= lam / (K[count - 1, count - 1] + noise) ** 2
    return slope


def changed(K: Any, place: tuple[int, int], amount: Any) -> Any:
    K = K.copy()
    K[place] += amount
    K[place[1], place[0]] = K[place]
    return K


def signal_at_order_parameter(family: str, horizon: int, correlation: Any, psi: Any) -> Any:
    """``(λ - λ_c)/ψ²`` of the state of order parameter ψ, κ = 0."""
    count = horizon - 1
    table = mp.matrix(count - 1, count - 1)
    for i in range(count - 1):
        for j in range(count - 1):
            table[i, j] = 1 if i == j else correlation if family == "shared" else correlation ** abs(i - j)
    powers = mp.matrix([[correlation ** abs(i - j) for j in range(count - 1)] for i in range(count - 1)])
    values, vectors = mp.eigsy(powers)
    eigenvalue, top = values[count - 2], vectors[:, count - 2]
    ratio = eigenvalue / (eigenvalue - 1)
    critical = (ratio - 1) * ratio**count
    K, lam = mp.diag([ratio**t for t in range(1, count + 1)]), critical
    entries = [top[0]]
    for t in range(1, count - 1):  # a = B⁻¹x
        entries.append(correlation * entries[-1] + top[t])
    for t in range(count - 1):
        K = changed(K, (t, t + 1), psi * entries[t] / entries[-1] * ratio ** (t + 1 - count + 1))
    places = [(i, j) for i in range(count) for j in range(i, count)]
    held, h = places.index((count - 2, count - 1)), mp.mpf(10) ** (-mp.dps // 3)
    for _ in range(30):
        residual = gradient(K, table, lam, 0)
        right = mp.matrix([-residual[p] for p in places])
        if mp.norm(right, mp.inf) < psi**5:
            return (lam - critical) / psi**2
        jacobian = mp.matrix(len(places), len(places))
        for column, place in enumerate(places):
            ends = [gradient(changed(K, place, sign * h), table, lam, 0) for sign in (1, -1)]
            for row, other in enumerate(places):
                jacobian[row, column] = (ends[0][other] - ends[1][other]) / (2 * h)
            if column == held:
                for row in range(len(places)):
                    jacobian[row, column] = 0
                jacobian[len(places) - 1, column] = -1 / K[count - 1, count - 1] ** 2
        step = mp.lu_solve(jacobian, right)
        for column, place in enumerate(places):
            if column != held:
                K = changed(K, place, step[column])
        lam += step[held]
    raise AssertionError("Newton's method has not converged")


for family, horizon in (("shared", 5), ("drift", 6)):
    (root,) = tricritical_correlations(family, horizon, digits=45)
    with mpmath.workdps(150):
        there = signal_at_order_parameter(family, horizon, root, mp.mpf(10) ** -22)
        assert abs(there) < mp.mpf(10) ** -40
    with mpmath.workdps(40):
        sides = [signal_at_order_parameter(family, horizon, root + mp.mpf(z) / 50, mp.mpf(10) ** -3) for z in (-1, 1)]
        print(
            f"{family} T={horizon}: 1/A = {mp.nstr(sides[0], 8)} below, {mp.nstr(there, 3)} at, {mp.nstr(sides[1], 8)} above"
        )
        assert sides[0] * sides[1] < 0
