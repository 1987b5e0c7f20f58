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
# # Stability of the incoherent branch for every $T$
#
# The linear network with endpoint supervision, units $u=v=w=1$, $n=T-1$ hidden times. The second variation of the free
# energy around the incoherent branch splits into one tridiagonal form per lag; its determinant for symbolic
# length gives the critical signal $\lambda_c(T,\kappa)$.

# %%
import mpmath
import numpy as np
from mpmath import mp
from sympy import E, Matrix, Rational, Symbol, eye, factor, latex, limit, log, oo, simplify, symbols, zeros

from numerics.linalg import FloatArray
from theory.critical_point import critical_signal
from theory.incoherent import critical_ratio, incoherent_branch, recursion_residuals
from theory.stability import (
    assert_critical_mode,
    assert_dnn_stable,
    asymptotics,
    critical_mode,
    instability_ratio,
    lag_sector,
    second_variation,
)
from theory.symbols import T, kappa, lag, r, t

# %% [markdown]
# ## 1. The incoherent branch
#
# On diagonal kernels $2F=\lambda/(h_n+\kappa)+h_1+\sum_{t<n}h_{t+1}/h_t-\ln h_n+\text{const}$. Interior times demand equal
# ratios, $h_t=r^t$; the last one gives $\lambda(r)=(r-1)(r^n+\kappa)^2/r^n$. Off-diagonal entries enter at second order.

# %%
assert recursion_residuals() == (0, 0)
print("lambda(r) =", latex(incoherent_branch(T).signal))

# %% [markdown]
# ## 2. A congruence removes the growth
#
# With $H=D^{1/2}MD^{1/2}$, $D=\mathrm{diag}(r^t)$: $H^{ts}=r^{(t+s)/2}M^{ts}$, so
# $\mathrm{tr}\,H_{2\dots n}H_{1\dots n-1}^{-1}=r\,\mathrm{tr}\,M_{2\dots n}M_{1\dots n-1}^{-1}$ and
#
# $$2F=\frac{\lambda}{r^nM^{nn}+\kappa}+r\left(M^{11}+\mathrm{tr}\,M_+M_-^{-1}\right)-\ln\frac{|M|}{|M_-|}+\text{const}.$$
#
# The branch is $M=1$ for every $r$. To second order in $E=M-1$,
#
# $$2F_2=r\left(\mathrm{tr}E_-^2-\mathrm{tr}E_+E_-\right)+\tfrac12\left(\mathrm{tr}E^2-\mathrm{tr}E_-^2\right)
#   +(r-1)\zeta\,(E^{nn})^2,\qquad\zeta=\frac{r^n}{r^n+\kappa}.$$
#
# We assert both for $n=3$ by expanding the left side.

# %%
eps = Symbol("epsilon", positive=True)
entries = symbols("e11 e12 e13 e22 e23 e33", real=True)
e11, e12, e13, e22, e23, e33 = entries
perturbation = Matrix([[e11, e12, e13], [e12, e22, e23], [e13, e23, e33]])
M = eye(3) + eps * perturbation
root = Matrix.diag(*(r ** Rational(k, 2) for k in (1, 2, 3)))
H = root * M * root
label = (r - 1) * (r**3 + kappa) ** 2 / r**3
early, late = H[:2, :2], H[1:, 1:]
twice_F = label / (H[2, 2] + kappa) + H[0, 0] + (late * early.inv()).trace() - log(H.det() / early.det())
second = twice_F.diff(eps, 2).subs(eps, 0) / 2
minus, plus = perturbation[:2, :2], perturbation[1:, 1:]
share = r**3 / (r**3 + kappa)
expected = (
    r * ((minus * minus).trace() - (plus * minus).trace())
    + ((perturbation * perturbation).trace() - (minus * minus).trace()) / 2
    + (r - 1) * share * e33**2
)
assert simplify(second - expected) == 0
assert simplify(twice_F.diff(eps).subs(eps, 0)) == 0

# %% [markdown]
# ## 3. Lag sectors
#
# Each trace joins entries of the same lag. With $E^{t,t+l}=a_t$, $m=n-l$, for $l\ge1$
#
# $$2F_2=\sum_{t=1}^ma_t^2+\sum_{t<m}\left[(2r-1)a_t^2-2r\,a_ta_{t+1}\right]=a^\top L_la,$$
#
# tridiagonal: diagonal $2r,\dots,2r,1$, off-diagonal $-r$. At $l=0$ the form is half of that and the last diagonal
# element is $1+2(r-1)\zeta$. For each $T$ from 4 to 6, the Hessian evaluated from the matrices, in which nothing is assumed
# about lags, is the direct sum of these.

# %%
for horizon in range(4, 7):
    n = horizon - 1
    hessian = second_variation(horizon)
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    sectors = {k: lag_sector(horizon, k).matrix() for k in range(n)}
    direct_sum = zeros(len(pairs), len(pairs))
    for a, (i, j) in enumerate(pairs):
        for b, (k, m) in enumerate(pairs):
            if j - i == m - k:
                direct_sum[a, b] = sectors[j - i][i, k] * (1 if j > i else Rational(1, 2))
    assert (hessian - direct_sum).applyfunc(simplify) == zeros(len(pairs), len(pairs))

# %% [markdown]
# ## 4. Determinants of symbolic length
#
# Leading minors obey $D_k=2rD_{k-1}-r^2D_{k-2}$, $D_0=1$, $D_1=2r$. The claim $D_k=(k+1)r^k$ holds for $k=0,1$ and passes
# on by induction, so all minors but the last are positive. The last row gives
#
# $$|L_l|=r^{m-1}\left[m-(m-1)r\right]\quad(l\ge1),\qquad |L_0|=r^{n-1}\left[n\,(1+2(r-1)\zeta)-(n-1)r\right].$$

# %%
k = t
minor = (k + 1) * r**k
assert simplify(minor - (2 * r * minor.subs(k, k - 1) - r**2 * minor.subs(k, k - 2))) == 0
assert minor.subs(k, 0) == 1
for which in (0, 1, lag):
    sector = lag_sector(T, which)
    sector.assert_determinant()
    print(f"|L_{which}| =", latex(sector.determinant()))

# %% [markdown]
# By Sylvester's criterion sector $l\ge1$ is stable for $r<m/(m-1)$ and singular at $m/(m-1)$. That increases with $l$: lag
# 1, with $m=T-2$, is first,
#
# $$r_c=\frac{T-2}{T-3},\qquad\lambda_c(T,\kappa)=\frac{(r_c^{T-1}+\kappa)^2}{(T-3)\,r_c^{T-1}},\qquad a_t=\frac{t}{T-2}.$$
#
# The mode solves $-a_{t-1}+2a_t-a_{t+1}=0$, is zero at the first time, and fits the last. $T=3$ has $m=1$ and
# no instability. The lag-0 sector fails only where $d\lambda/dr=0$, which at $r_c$ needs $\kappa>(2T-3)\,r_c^{T-1}$.

# %%
assert_critical_mode()
assert factor(lag_sector(T, 1).determinant().subs(r, critical_ratio(T))) == 0
assert simplify(instability_ratio(T, 1) - critical_ratio(T)) == 0
for horizon in range(5, 13):
    found = [instability_ratio(horizon, which) for which in range(1, horizon - 2)]
    assert found == sorted(found)
    assert len(set(found)) == len(found)
branch = incoherent_branch(T).multiplicity_condition()
units = {symbol: 1 for symbol in branch.free_symbols if str(symbol) in "uvw"}
lag_zero = lag_sector(T, 0).determinant() / r ** (T - 2)
assert simplify(branch.subs(units) - lag_zero) == 0
for horizon in range(4, 9):
    n, ratio = horizon - 1, critical_ratio(horizon)
    zero = lag_zero.subs({T: horizon}).subs({r: ratio, kappa: (2 * n - 1) * ratio**n})
    assert simplify(zero) == 0
print("lambda_c =", latex(critical_signal(T, kappa)))

# %% [markdown]
# ## 5. Large $T$
#
# $r_c^{T-1}=(1+\tfrac1{T-3})^{T-1}\to e$: the last variance at the critical point stays finite and the critical signal falls
# as $1/T$,
#
# $$\lambda_c=\frac{(e+\kappa)^2}{e\,T}+O(T^{-2}).$$

# %%
far = asymptotics()
assert limit(critical_ratio(T) ** (T - 1), T, oo) == E
print("lambda_c ~", latex(far.signal))
for horizon in (10**2, 10**3, 10**4):
    exact, approximate = (
        critical_signal(horizon, Rational(1)).evalf(30),
        far.signal.subs({T: horizon, kappa: 1}).evalf(30),
    )
    print(horizon, float(exact), float(approximate / exact - 1))
assert abs(float(approximate / exact - 1)) < 1e-6

# %% [markdown]
# ## 6. The DNN
#
# The mask keeps the diagonal of $E_-$ in the trace and in $|C|$, so $2F_2=\sum_ta_t^2$ at every lag $l\ge1$: determinant 1,
# for every signal. For the full functional: off-diagonal entries occur in $-\tfrac12\ln|H|$ only, whose minimum over them
# is at zero (Hadamard).

# %%
assert lag_sector(T, lag, "dnn").determinant() == 1
for horizon in range(3, 7):
    assert_dnn_stable(horizon)

# %% [markdown]
# ## 7. Confirmation on the full free energy
#
# $F$ once more, from $C$ built entry by entry. In NumPy: the smallest eigenvalue of the Hessian, from differences of $F$,
# changes sign at $r_c$ for every $T$ from 4 to 12. In mpmath, at three random points $(T,\kappa)$: the Hessian annihilates
# the mode at $\lambda_c$ to 40 digits.


# %%
def numpy_free_energy(K: FloatArray, lam: float, noise: float) -> float:
    size = K.shape[0]
    forward = np.zeros_like(K)
    forward[1:, 1:] = K[:-1, :-1]
    forward[0, 0] = 1
    logs = np.linalg.slogdet(K)[1] - np.linalg.slogdet(forward)[1]
    return float(0.5 * (lam / (K[-1, -1] + noise) + np.trace(np.linalg.solve(forward, K)) - size - logs))


def smallest_curvature(horizon: int, ratio: float, noise: float) -> float:
    size = horizon - 1
    lam = (ratio - 1) * (ratio**size + noise) ** 2 / ratio**size
    root = np.sqrt(ratio ** np.arange(1, size + 1))
    places = [(i, j) for i in range(size) for j in range(i, size)]
    h = 1e-3

    def at(*moves: tuple[tuple[int, int], float]) -> float:
        K = np.eye(size)
        for (i, j), amount in moves:
            K[i, j] += amount
            K[j, i] = K[i, j]
        return numpy_free_energy(root[:, None] * K * root, lam, noise)

    hessian = np.empty((len(places), len(places)))
    for a, p in enumerate(places):
        for b, q in enumerate(places[: a + 1]):
            corners = at((p, h), (q, h)) - at((p, h), (q, -h)) - at((p, -h), (q, h)) + at((p, -h), (q, -h))
            hessian[a, b] = hessian[b, a] = corners / (4 * h * h)
    return float(np.linalg.eigvalsh(hessian)[0])


for horizon in range(4, 13):
    ratio = (horizon - 2) / (horizon - 3)
    below, above = (smallest_curvature(horizon, 1 + (ratio - 1) * z, 0.7) for z in (0.95, 1.05))
    print(f"T={horizon}: smallest curvature {below:.5f} before, {above:.5f} after r_c")
    assert above < 0 < below


def mpmath_free_energy(K: mpmath.matrix, lam: mpmath.mpf, noise: mpmath.mpf) -> mpmath.mpf:
    size = K.rows
    forward = mp.zeros(size)
    forward[0, 0] = 1
    for i in range(1, size):
        for j in range(1, size):
            forward[i, j] = K[i - 1, j - 1]
    product = K * mp.inverse(forward)
    return (
        lam / (K[size - 1, size - 1] + noise)
        + mp.fsum(product[i, i] for i in range(size))
        - size
        - mp.log(mp.det(K) / mp.det(forward))
    ) / 2


generator = np.random.default_rng(8)
with mpmath.workdps(110):
    step = mp.mpf(10) ** -27
    for horizon in (int(z) for z in generator.choice(range(4, 9), 3, replace=False)):
        noise = Rational(int(generator.integers(1, 400)), 100)
        size, lam = horizon - 1, mp.mpf(critical_signal(horizon, noise).evalf(110))
        kap = mp.mpf(noise.p) / noise.q
        ratio = mp.mpf(horizon - 2) / (horizon - 3)
        worst = mp.mpf(0)
        for row in range(size - 1):
            response = mp.mpf(0)
            for column in range(max(0, row - 1), min(size - 1, row + 2)):
                total = mp.mpf(0)
                for p in (1, -1):
                    for q in (1, -1):
                        K = mp.diag([ratio**z for z in range(1, size + 1)])
                        for place, sign in ((row, p), (column, q)):
                            K[place, place + 1] += sign * step
                            K[place + 1, place] += sign * step
                        total += p * q * mpmath_free_energy(K, lam, kap)
                weight = mp.mpf(critical_mode(horizon).subs(t, column + 1).evalf(110)) * ratio ** (
                    column + mp.mpf(3) / 2
                )
                response += total / (4 * step**2) * weight
            worst = max(worst, abs(response))
        print(f"T={horizon} kappa={noise}: Hessian times mode {mpmath.nstr(worst, 3)}")
        assert worst < mp.mpf(10) ** -40
