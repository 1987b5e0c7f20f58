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
# # Any sharing of weights: where coherence begins
#
# The RNN and the DNN are the ends of a family: the matrices of different times are correlated,
# $E[W^{(s)}_{ij}W^{(t)}_{ij}]=\tfrac wN M_{st}$ with a sharing matrix $M$, and the forward covariance is
# $C^{s+1,t+1}=w\,M_{st}H^{st}$. Linear network, endpoint supervision. For *any* $M$ the incoherent branch is the same, and its
# stability is decided by the largest eigenvalue of one small correlation matrix for each lag. From it the critical
# signal of partly shared, drifting, looped and tied networks follows. $n=T-1$ hidden times, $s,t=1\dots n-1$ in $M$.

# %%
from typing import Any

import mpmath
import numpy as np
from mpmath import mp
from sympy import (
    Expr,
    ImmutableMatrix,
    Integer,
    Matrix,
    Poly,
    Rational,
    Symbol,
    cos,
    eye,
    factor,
    latex,
    limit,
    oo,
    pi,
    real_roots,
    series,
    simplify,
    sqrt,
    symbols,
    tan,
)

from theory.incoherent import incoherent_branch
from theory.learning_onset import assert_onset
from theory.sharing import SharingFamily, correlations, forward_covariance, prior_variances, sharing
from theory.sharing_groups import assert_groups, groups
from theory.sharing_stability import (
    EIGENVALUE,
    angle_condition,
    assert_angle_condition,
    assert_congruence,
    eigenvalue_at,
    eigenvalue_condition,
    instability,
    ratio_at,
    sharing_sector,
)
from theory.sharing_transition import closed_eigenvalue, critical_point_of
from theory.symbols import T, kappa, r, rho, u, w

# %% [markdown]
# ## 1. Units
#
# A diagonal of $M$ other than 1 gives each layer its own prior width. Let $g_1=u$, $g_{t+1}=w\,M_{tt}\,g_t$, the variances of the
# random network, and $H^{ts}=\sqrt{g_tg_s}\,\hat H^{ts}$. Then $C^{ts}=\sqrt{g_tg_s}\,\hat C^{ts}$, where $\hat C$ has the correlations
# $M_{st}/\sqrt{M_{ss}M_{tt}}$ in place of $M$ and $u=w=1$. So trace and determinants of $F$ are those of the hatted kernel, and the
# energy has $\hat\lambda=y^2/(v\,g_n)$, $\hat\kappa=\kappa/(v\,g_n)$: only unit diagonals are left to study.

# %%
m11, m22, m33 = symbols("m1:4", positive=True)
m12, m13, m23 = symbols("m12 m13 m23", real=True)
M: Any = ImmutableMatrix([[m11, m12, m13], [m12, m22, m23], [m13, m23, m33]])
hatted = ImmutableMatrix(4, 4, lambda i, j: Symbol(f"h{min(i, j)}{max(i, j)}", real=True))
g = prior_variances(M)
scaled = ImmutableMatrix(4, 4, lambda i, j: sqrt(g[i] * g[j]) * hatted[i, j])
left = forward_covariance(scaled, M)
right = forward_covariance(hatted, correlations(M)).subs({u: 1, w: 1})
assert all(simplify(left[i, j] - sqrt(g[i] * g[j]) * right[i, j]) == 0 for i in range(4) for j in range(4))

# %% [markdown]
# ## 2. The incoherent branch does not see the sharing
#
# With $H=D^{1/2}(1+E)D^{1/2}$, $D=\mathrm{diag}(r^t)$, and $G=M\circ E_-$ ($E_-$, $E_+$ the first and the last $n-1$ rows and columns),
#
# $$2F=\frac{\lambda}{r^n(1+E^{nn})+\kappa}+r\left(1+E^{11}+\mathrm{tr}\,(1+E_+)(1+G)^{-1}\right)-\ln\frac{|1+E|}{|1+G|}+\text{const}.$$
#
# On a diagonal kernel $G$ is diagonal, with $M_{tt}=1$: the branch $H^{tt}=r^t$, $\lambda(r)=(r-1)(r^n+\kappa)^2/r^n$ is
# stationary for every $M$, and so is all that follows from $F$ on diagonal kernels: the *learning transition*, with its folds
# $\kappa(r)=r^n\,((n+1)r-n)/((n-1)r-n)$, its onset and the signal of equal free energy, is the same for every sharing matrix (in units
# of section 1: a diagonal of $M$ rescales $\lambda$ and $\kappa$). What depends on $M$ is whether these states are stable.
#
# To second order
#
# $$2F_2=r\left(\mathrm{tr}\,G^2-\mathrm{tr}\,E_+G\right)+\tfrac12\left(\mathrm{tr}E^2-\mathrm{tr}\,G^2\right)+(r-1)\zeta\,(E^{nn})^2,
#   \qquad\zeta=\frac{r^n}{r^n+\kappa}.$$
#
# We expand $F$ for $n=4$ and a matrix $M$ of symbols.

# %%
assert_onset()
n, eps = 4, Symbol("epsilon")
M = ImmutableMatrix([[1, m12, m13], [m12, 1, m23], [m13, m23, 1]])
E = ImmutableMatrix(n, n, lambda i, j: Symbol(f"e{min(i, j) + 1}{max(i, j) + 1}", real=True))
E_early, E_late = E[: n - 1, : n - 1], E[1:, 1:]
G = E_early.multiply_elementwise(M)


def inverse_series(matrix: Any, order: int) -> Any:
    """(1 + ε matrix)⁻¹ up to εᵒʳᵈᵉʳ."""
    total, power = eye(matrix.shape[0]), eye(matrix.shape[0])
    for k in range(1, order + 1):
        power = power * matrix
        total += (-eps) ** k * power
    return total


def log_det_series(matrix: Any, order: int) -> Expr:
    """ln|1 + ε matrix| up to εᵒʳᵈᵉʳ: Σ (-1)^(k+1) εᵏ tr matrixᵏ/k."""
    total, power = Integer(0), eye(matrix.shape[0])
    for k in range(1, order + 1):
        power = power * matrix
        total += -((-eps) ** k) * power.trace() / k
    return total


label = (r - 1) * (r**n + kappa) ** 2 / r**n
energy = label / (r**n * (1 + eps * E[n - 1, n - 1]) + kappa)
trace = r * (1 + eps * E[0, 0] + ((eye(n - 1) + eps * E_late) * inverse_series(G, 2)).trace())
twice_F = energy + trace - log_det_series(E, 2) + log_det_series(G, 2)
assert simplify(twice_F.diff(eps).subs(eps, 0)) == 0
second = twice_F.diff(eps, 2).subs(eps, 0) / 2
zeta = r**n / (r**n + kappa)
claimed = (
    r * ((G * G).trace() - (E_late * G).trace())
    + ((E * E).trace() - (G * G).trace()) / 2
    + (r - 1) * zeta * E[n - 1, n - 1] ** 2
)
assert simplify(second - claimed) == 0

# %% [markdown]
# ## 3. Sectors of equal lag
#
# Both traces join entries of equal lag only. Lag 0 meets $M_{tt}=1$ alone. At lag $l\ge1$, with $E^{t,t+l}=a_t$, $m=n-l$ and
# $g_t=M_{t,t+l}$, the correlations that this lag meets,
#
# $$2F_2=\sum_{t\le m}a_t^2+\sum_{t<m}\left[(2r-1)g_t^2a_t^2-2r\,g_ta_ta_{t+1}\right]=a^\top La,$$
#
# tridiagonal. So each lag stands alone, and sees one subdiagonal of $M$.

# %%
forms: Expr = (E[0, 0] ** 2 + E[1, 1] ** 2 + E[2, 2] ** 2) * r - r * (
    E[0, 0] * E[1, 1] + E[1, 1] * E[2, 2] + E[2, 2] * E[3, 3]
)
forms += E[3, 3] ** 2 / 2 + (r - 1) * zeta * E[3, 3] ** 2
for lag in range(1, n):
    a = Matrix([E[t, t + lag] for t in range(n - lag)])
    forms += (a.T * sharing_sector(M, lag).form() * a)[0]
assert simplify(claimed - forms) == 0

# %% [markdown]
# ## 4. One eigenvalue decides
#
# Write $B$ for the matrix with ones on the diagonal and $-g_t$ below it, and $1-g^2=\mathrm{diag}(1-g_1^2,\dots,1-g_{m-1}^2,1)$. Completing
# squares, $-2g_ta_ta_{t+1}=(a_{t+1}-g_ta_t)^2-a_{t+1}^2-g_t^2a_t^2$, gives
#
# $$L=r\,B^\top B-(r-1)(1-g^2).$$
#
# Let $K_{tt'}=g_tg_{t+1}\cdots g_{t'-1}$ for $t\le t'$, the correlation matrix of a Markov chain whose neighbours have the correlations
# $g_t$. It obeys $K_{tt'}=g_tK_{t+1,t'}$ for $t<t'$, so that $B^\top K$ is lower triangular, with the diagonal $1-g_t^2$ (last 1), and
# $B^\top KB=1-g^2$. Hence
#
# $$B^{-\top}L\,B^{-1}=r-(r-1)K.$$
#
# By Sylvester's law of inertia the number of unstable modes of this lag is the number of eigenvalues of $K$ above $r/(r-1)$.
# With $\Lambda$ the largest eigenvalue among all lags, the branch loses its stability at
#
# $$r_c=\frac{\Lambda}{\Lambda-1},\qquad\lambda_c=\frac{(r_c^n+\kappa)^2}{(\Lambda-1)\,r_c^n},$$
#
# to the mode $a=B^{-1}x$, $Kx=\Lambda x$. It never does where $M$ is diagonal: then every $K=1$. Otherwise some $K$ has an off-diagonal entry
# and unit diagonal, hence $\Lambda>1$: *any* correlation between two matrices makes a strong enough signal coherent.

# %%
for size in range(1, 7):
    assert_congruence(size)
assert (
    simplify(
        incoherent_branch(T).signal.subs({u: 1, w: 1, Symbol("v", positive=True): 1})
        - (r - 1) * (r ** (T - 1) + kappa) ** 2 / r ** (T - 1)
    )
    == 0
)
for word, horizon in (("rnn", 7), ("dnn", 7)):
    found = instability(sharing(word).matrix(horizon - 1))
    print(f"{word.upper()}:", f"Lambda = {found.eigenvalue}" if found else "no mode turns unstable")

# %% [markdown]
# ## 5. Looped networks, tied pairs, blocks
#
# **`looped:p`.** Lag $l$ meets ones if $p$ divides $l$, else zeros. Ones: $K=\mathbf 1\mathbf 1^\top$ of size $n-l$, $\Lambda=n-l$. So lag $p$ is first,
#
# $$r_c=\frac{n-p}{n-p-1},\qquad\lambda_c=\frac{(r_c^n+\kappa)^2}{(n-p-1)\,r_c^n},$$
#
# if $p\le n-2$; with more layers it behaves as a DNN. The mode is $a_t=t/(n-p)$.
#
# **Two tied matrices** $a<b$, all others independent: lag $b-a$ meets a single one, $K$ has one block $\begin{pmatrix}1&1\\1&1\end{pmatrix}$:
# $\Lambda=2$, $r_c=2$, $\lambda_c=(2^n+\kappa)^2/2^n$, *whichever two they are*. With a correlation $\rho$ instead of a tie, $\Lambda=1+|\rho|$. Coherent
# become the times $(a,b)$ and, twice as much, $(a+1,b+1)$.
#
# **Blocks** of successive tied layers, the longest of $b$ layers: lag 1 meets $b-1$ ones in a row, $\Lambda=b$, as in an RNN of $n-1=b$
# matrices, wherever the block is. If several blocks have $b$ layers, as many modes grow together.


# %%
def tied(n: int, *layers: tuple[int, ...]) -> ImmutableMatrix:
    """M with ties between the layers of each group, counted from 1."""
    table = eye(n - 1).as_mutable()
    for group in layers:
        for s in group:
            for t in group:
                table[s - 1, t - 1] = 1
    return ImmutableMatrix(table)


for n in range(4, 9):
    for p in range(2, n):
        found = instability(SharingFamily("looped", Integer(p)).matrix(n))
        assert (found is None) if p > n - 2 else (found is not None and (found.lag, found.eigenvalue) == (p, n - p))
    for a in range(1, n):
        for b in range(a + 1, n):
            found = instability(tied(n, (a, b)))
            assert found is not None
            assert (found.lag, found.eigenvalue, found.times) == (b - a, 2, (a, a + 1))
found = instability(tied(9, (1, 2), (3, 4, 5), (6, 7, 8)))
assert found is not None
assert (found.eigenvalue, found.lag, found.degeneracy) == (3, 1, 2)

# %% [markdown]
# **What stays zero.** Join $s$ with $t$ and $s+1$ with $t+1$ wherever $M_{st}\ne0$. Between different groups of times $C$ has no entry, and
# contains none of $H$, whatever $H$ is. Such entries occur in $-\tfrac12\ln|H|$ alone; there $\partial F/\partial H^{ts}=-(H^{-1})^{ts}$, so that
# $H^{-1}$, and $H$, are block diagonal in *every* stationary state. For `looped:p` the groups are the residues mod $p$: lags that are no
# multiple of $p$ vanish, in all states and at all signals.

# %%
assert groups(sharing("looped:2").matrix(6)) == [[1, 3, 5], [2, 4, 6]]
assert groups(tied(6, (2, 4))) == [[1], [2, 4], [3, 5], [6]]
for n in range(3, 7):
    for p in range(1, n):
        assert_groups(SharingFamily("looped", Integer(p)).matrix(n))

# %% [markdown]
# ## 6. One common matrix and one of each layer's own; weights that drift
#
# `shared:ρ` and `drift:ρ` meet the same correlations at lag 1, all of them $\rho$, and weaker or fewer ones at larger lags ($K$ is then
# entrywise smaller, and by Perron and Frobenius $\Lambda$ is too). *They have the same critical point.* $K_{tt'}=\rho^{|t-t'|}$, of size
# $m=n-1$, is the matrix of Kac, Murdock and Szegő. In $La=0$ the rows before the last are solved by $a_t=\sin t\theta$ if
# $1+(2r-1)\rho^2=2r\rho\cos\theta$, that is
#
# $$r_c=\frac{1-\rho^2}{2\rho(\cos\theta-\rho)},\qquad\Lambda=\frac{1-\rho^2}{1-2\rho\cos\theta+\rho^2},$$
#
# and the last row factorises,
# $\sin(m+1)\theta-2\rho\sin m\theta+\rho^2\sin(m-1)\theta=2\left[\cos\tfrac{(m+1)\theta}2-\rho\cos\tfrac{(m-1)\theta}2\right]\left[\sin\tfrac{(m+1)\theta}2-\rho\sin\tfrac{(m-1)\theta}2\right]$.
# The largest $\Lambda$ has the smallest $\theta$, and a vector without a change of sign, symmetric under reversal: it is in the first
# bracket,
#
# $$\cos\frac{n\theta}2=\rho\cos\frac{(n-2)\theta}2,\qquad0<\theta<\frac\pi n.$$
#
# As a polynomial it has the degree $\lceil m/2\rceil$ in $\Lambda$: radicals for $T=4,5,6$.

# %%
assert_angle_condition()
for size in (2, 3, 4):
    value = closed_eigenvalue(size)
    assert factor(eigenvalue_condition(size).subs(EIGENVALUE, value).expand()) == 0
    print(rf"T={size + 2}: \Lambda =", latex(value))
for size in (5, 6):
    print(f"T={size + 2}: 0 =", latex(eigenvalue_condition(size)))
rho_value = Rational(1, 2)
for horizon in range(4, 11):
    shared = instability(SharingFamily("shared", rho_value).matrix(horizon - 1))
    drift = instability(SharingFamily("drift", rho_value).matrix(horizon - 1))
    assert shared is not None
    assert drift is not None
    assert shared.eigenvalue == drift.eigenvalue
    largest = real_roots(Poly(eigenvalue_condition(horizon - 2).subs(rho, rho_value), EIGENVALUE))[-1]
    assert shared.eigenvalue == largest

# %% [markdown]
# ## 7. Limits
#
# **$\rho\to0$.** $K=1+\rho\,(\text{neighbours})$, $\Lambda=1+2\rho\cos\tfrac\pi n+\dots$: $r_c\simeq1/(2\rho\cos\frac\pi n)$ and
# $\lambda_c\simeq r_c^{\,n+1}$: coherence needs a signal that grows as $\rho^{-T}$.
#
# **$\rho\to1$.** $\Lambda=m-(1-\rho)\tfrac{m^2-1}3+\dots$ (the mean of $|t-t'|$ times $m$): the RNN's critical point is approached linearly.
#
# **$T\to\infty$ at fixed $\rho<1$.** $\theta\to0$, $\Lambda\to\frac{1+\rho}{1-\rho}$, $r_c\to\frac{1+\rho}{2\rho}>1$: the critical signal *grows exponentially* with
# the length, $\lambda_c\sim\frac{1-\rho}{2\rho}\left(\frac{1+\rho}{2\rho}\right)^{T-1}$, where the RNN's falls as $1/T$. In a long network sharing has to be exact up to $1/T$:
#
# **$1-\rho=c/T$.** With $\theta=\omega/T$ the condition becomes $\omega\tan\tfrac\omega2=c$, and $\Lambda\to\mu\,T$, $\mu=\frac{2c}{c^2+\omega^2}$ (the largest eigenvalue of the kernel
# $e^{-c|x-y|}$ on an interval), $r_c^n\to e^{1/\mu}$,
#
# $$\lambda_c\simeq\frac{(e^{1/\mu}+\kappa)^2}{\mu\,e^{1/\mu}\,T}.$$

# %%
size, angle, x = Symbol("m", positive=True), Symbol("theta", positive=True), Symbol("x", positive=True)
neighbours = eigenvalue_at(angle).series(rho, 0, 2).removeO()
assert simplify(neighbours - (1 + 2 * rho * cos(angle))) == 0
assert angle_condition(size, pi / (size + 1), Integer(0)).subs(size, 5) == 0
for count in range(2, 8):
    condition = eigenvalue_condition(count)
    # the derivative of the implicit function at ρ = 1, Λ = m
    slope = -condition.diff(rho) / condition.diff(EIGENVALUE)
    assert slope.subs({rho: 1, EIGENVALUE: count}) == Rational(count**2 - 1, 3)
assert simplify(eigenvalue_at(Integer(0)) - (1 + rho) / (1 - rho)) == 0
assert simplify(ratio_at(Integer(0)) - (1 + rho) / (2 * rho)) == 0
strength, omega = symbols("c omega", positive=True)
near = angle_condition(1 / x, omega * x, 1 - strength * x).replace(cos, lambda z: cos(z.expand()))
leading = series(near, x, 0, 2).removeO().coeff(x, 1)
assert simplify(leading / cos(omega / 2) - (strength - omega * tan(omega / 2))) == 0
mu = limit(x * eigenvalue_at(omega * x, 1 - strength * x), x, 0, "+")
assert simplify(mu - 2 * strength / (strength**2 + omega**2)) == 0
assert limit((1 + x) ** (1 / x), x, 0) == limit((1 + 1 / T) ** T, T, oo)


def limiting_turn(c: Any) -> Any:
    """ω of ``ω tan(ω/2) = c``."""
    return mp.findroot(lambda z: z * mp.tan(z / 2) - c, (mp.mpf("0.01"), mp.pi - mp.mpf("0.01")), solver="anderson")


def mode_angle(horizon: int, correlation: Any) -> Any:
    """θ of the critical mode."""

    def condition(z: Any) -> Any:
        return mp.cos((horizon - 1) * z / 2) - correlation * mp.cos((horizon - 3) * z / 2)

    return mp.findroot(condition, (mp.mpf(10) ** -12, mp.pi / (horizon - 1)), solver="anderson")


with mpmath.workdps(30):
    for c_value in (mp.mpf(1) / 2, mp.mpf(3)):
        scale_of_length = 2 * c_value / (c_value**2 + limiting_turn(c_value) ** 2)
        departure = mp.mpf(1)
        for horizon in (10**3, 10**5):
            correlation = 1 - c_value / horizon
            bend = mode_angle(horizon, correlation)
            ratio_there = (1 - correlation**2) / (2 * correlation * (mp.cos(bend) - correlation))
            growth = ratio_there ** (horizon - 1)
            exact = (ratio_there - 1) * (growth + 1) ** 2 / growth
            final = mp.exp(1 / scale_of_length)
            departure = exact * scale_of_length * final * horizon / (final + 1) ** 2 - 1
            print(f"c={float(c_value)} T={horizon}: lambda_c over its limit - 1 = {float(departure):.2e}")
        assert abs(departure) < 1e-4

# %% [markdown]
# ## 8. Confirmation on the full free energy
#
# $F$ once more, from $C$ entry by entry, for random sharing matrices of every rank, random $r$ and $\kappa$: the number of
# negative eigenvalues of the whole Hessian is the number of eigenvalues of all $K$ above $r/(r-1)$, plus one where $\lambda(r)$ falls. In
# mpmath, for three networks: at $\lambda_c$ the diagonal kernel is stationary and the Hessian annihilates one mode, to 40 digits.


# %%
def numpy_gradient(K: Any, M: Any, lam: float, noise: float) -> Any:
    size = len(K)
    forward = np.zeros_like(K)
    forward[0, 0], forward[1:, 1:] = 1, M * K[:-1, :-1]
    inverse = np.linalg.inv(forward)
    slope = inverse - np.linalg.inv(K)
    slope[:-1, :-1] += M * (inverse - inverse @ K @ inverse)[1:, 1:]
    slope[-1, -1] -= lam / (K[-1, -1] + noise) ** 2
    return slope * (np.ones((size, size)) - np.eye(size) / 2)


generator = np.random.default_rng(15)
for _ in range(60):
    n = int(generator.integers(3, 8))
    factor_matrix = generator.normal(size=(n - 1, int(generator.integers(1, n))))
    factor_matrix[generator.random(factor_matrix.shape) < 0.2] = 0
    factor_matrix[:, 0] += np.all(factor_matrix == 0, axis=1)
    factor_matrix /= np.linalg.norm(factor_matrix, axis=1, keepdims=True)
    numbers = factor_matrix @ factor_matrix.T
    ratio, noise = 1 + generator.exponential(1.0), generator.exponential(5.0)
    lam = (ratio - 1) * (ratio**n + noise) ** 2 / ratio**n
    scale = np.sqrt(ratio ** np.arange(1, n + 1))
    places = [(i, j) for i in range(n) for j in range(i, n)]
    hessian = np.empty((len(places), len(places)))
    for column, (i, j) in enumerate(places):
        change = np.zeros((n, n))
        for sign in (1, -1):
            moved = np.eye(n)
            moved[i, j] += sign * 1e-5
            moved[j, i] = moved[i, j]
            change += (
                sign * scale[:, None] * numpy_gradient(scale[:, None] * moved * scale, numbers, lam, noise) * scale
            )
        hessian[:, column] = [change[p] / 2e-5 * 2 for p in places]
    unstable = int(np.sum(np.linalg.eigvalsh((hessian + hessian.T) / 2) < 0))
    share = ratio**n / (ratio**n + noise)
    expected = int(n * (1 + 2 * (ratio - 1) * share) < (n - 1) * ratio)
    for lag in range(1, n):
        K = np.array(sharing_sector(ImmutableMatrix(numbers), lag).correlation_matrix().tolist(), dtype=float)
        expected += int(np.sum(np.linalg.eigvalsh(K) > ratio / (ratio - 1)))
    assert unstable == expected


def mpmath_gradient(K: Any, M: Any, lam: Any, noise: Any) -> Any:
    size = K.rows
    forward = mp.zeros(size)
    forward[0, 0] = 1
    for i in range(size - 1):
        for j in range(size - 1):
            forward[i + 1, j + 1] = M[i, j] * K[i, j]
    inverse = mp.inverse(forward)
    slope, carried = inverse - mp.inverse(K), inverse - inverse * K * inverse
    for i in range(size - 1):
        for j in range(size - 1):
            slope[i, j] += M[i, j] * carried[i + 1, j + 1]
    slope[size - 1, size - 1] -= lam / (K[size - 1, size - 1] + noise) ** 2
    return slope


with mpmath.workdps(120):
    h = mp.mpf(10) ** -35
    for word, horizon, amount in (
        ("shared:2/5", 6, Rational(7, 4)),
        ("drift:7/8", 7, Rational(1, 3)),
        ("looped:3", 8, Rational(2)),
    ):
        architecture, n = sharing(word), horizon - 1
        point = critical_point_of(architecture, horizon, amount)
        lam, noise = mp.mpf(point.signal.evalf(120)), mp.mpf(amount.p) / amount.q
        table = mp.matrix([[mp.mpf(str(z.evalf(120))) for z in row] for row in architecture.matrix(n).tolist()])
        diagonal = [mp.mpf(z.evalf(120)) for z in point.kernel_diagonal]
        slope_there = mpmath_gradient(mp.diag(diagonal), table, lam, noise)
        assert max(abs(slope_there[i, j]) for i in range(n) for j in range(n)) < mp.mpf(10) ** -40
        lag, count = int(point.lag), n - int(point.lag)
        sector = mp.zeros(count)
        for column in range(count):
            for sign in (1, -1):
                K = mp.diag(diagonal)
                K[column, column + lag] += sign * h
                K[column + lag, column] += sign * h
                change = mpmath_gradient(K, table, lam, noise)
                for row in range(count):
                    root = mp.sqrt(diagonal[row] * diagonal[row + lag] * diagonal[column] * diagonal[column + lag])
                    sector[row, column] += sign * change[row, row + lag] / (2 * h) * root
        smallest = min(mp.eigsy((sector + sector.T) / 2, eigvals_only=True), key=abs)
        print(f"{word} T={horizon} kappa={amount}: lambda_c = {mp.nstr(lam, 20)}, curvature {mp.nstr(smallest, 3)}")
        assert abs(smallest) < mp.mpf(10) ** -40
