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
# # The learning transition
#
# Beside the transition to coherence there is another one, which the DNN has too: at strong noise the incoherent branch folds
# in $\lambda$, and a state that learns little exchanges its place with one that learns the task. Here it is derived for every
# $T$: where it begins, its two folds, the signal of equal free energy, its critical point, and what becomes of it in the RNN.
# Units $u=v=w=1$; for others $\kappa$ stands for $\kappa/(v\,w^{T-2}u)$, which is large for late labels and $w<1$.
# $n=T-1$ hidden times, one label at the last output.

# %%
import mpmath
import numpy as np
from mpmath import mp
from scipy.optimize import minimize
from sympy import Matrix, Rational, Symbol, diff, factor, latex, limit, log, oo, simplify, solve, sqrt

from derivations.by_differences import free_energy, largest_slope
from numerics.linalg import FloatArray
from theory.complete_states import assert_complete, complete_states
from theory.free_energy import endpoint_free_energy
from theory.incoherent import critical_ratio, incoherent_branch
from theory.learning_coherence import assert_crossing, crossing_noise, stable_learnt_signals
from theory.learning_onset import assert_amplitudes, assert_onset, fold_noise, onset
from theory.learning_transition import learning_transition, strong_noise
from theory.symbols import T, kappa, n, r, signal, u, v, w

# %% [markdown]
# ## 1. The DNN's stationary kernels are diagonal
#
# With the mask, energy, trace and $|C|$ contain no off-diagonal entry; these occur in $-\tfrac12\ln|H|$ alone. By Jacobi's
# formula $\partial F/\partial H^{ts}=-(H^{-1})^{ts}$, so stationarity makes $H^{-1}$, and with it $H$, diagonal. And by Hadamard's
# inequality the diagonal of any kernel has a lower $F$ than the kernel.

# %%
for horizon in (3, 4, 5):
    functional = endpoint_free_energy(horizon, "dnn")
    H = functional.kernel
    off = [H[i, j] for i in range(horizon - 1) for j in range(i + 1, horizon - 1)]
    assert not (functional.energy + functional.terms["trace"]).free_symbols & set(off)
    assert not functional.covariance.free_symbols & set(off)
H = endpoint_free_energy(4, "dnn").kernel
inverse = Matrix(H).inv()
gradient = endpoint_free_energy(4, "dnn").stationarity()
for entry, condition in zip(endpoint_free_energy(4, "dnn").variables, gradient, strict=True):
    i, j = next((i, j) for i in range(3) for j in range(i, 3) if H[i, j] == entry)
    if i != j:
        assert simplify(condition + inverse[i, j]) == 0

# %% [markdown]
# ## 2. One variable is left
#
# On a diagonal kernel $2F=\lambda/(h_n+\kappa)+\sum_t h_t/h_{t-1}-\ln h_n-n$ with $h_0=1$. The ratios $h_t/h_{t-1}$ have the product
# $h_n$; by the inequality of the arithmetic and the geometric mean their sum is smallest where they are equal,
# $h_t=r^t$, and there is no other stationary point at given $h_n$: $\partial/\partial h_t$ demands $h_{t+1}=h_t^2/h_{t-1}$. What is left is
#
# $$F(r)=\frac{\lambda}{2(r^n+\kappa)}+\frac n2(r-1-\ln r),\qquad
#   \frac{dF}{dr}=\frac{n\,r^{n-1}}{2(r^n+\kappa)^2}\,\bigl[\lambda(r)-\lambda\bigr],\qquad
#   \lambda(r)=\frac{(r-1)(r^n+\kappa)^2}{r^n}.$$
#
# So a diagonal state is a minimum where $\lambda(r)$ rises and a saddle point where it falls.

# %%
before, here, after = (Symbol(name, positive=True) for name in ("h_before", "h", "h_after"))
assert solve(diff(here / before + after / here, here), after) == [here**2 / before]
diagonal = endpoint_free_energy(5, "dnn").units()
zero = {x: 0 for x in diagonal.variables if x not in Matrix(diagonal.kernel).diagonal()}
on_powers = {diagonal.kernel[t, t]: r ** (t + 1) for t in range(4)}
F = signal / (2 * (r**n + kappa)) + n * (r - 1 - log(r)) / 2
branch = (r - 1) * (r**n + kappa) ** 2 / r**n
assert simplify(diagonal.total.subs(zero).subs(on_powers) - F.subs(n, 4)) == 0
assert simplify(diff(F, r) - n * r ** (n - 1) / (2 * (r**n + kappa) ** 2) * (branch - signal)) == 0
assert simplify(branch - incoherent_branch(T).signal.subs({u: 1, v: 1, w: 1}).subs(T, n + 1)) == 0

# %% [markdown]
# ## 3. Folds
#
# $d\ln\lambda/dr=0$ is linear in $\kappa$:
#
# $$\kappa(r)=r^n\,\frac{(n+1)r-n}{(n-1)r-n},\qquad r>\frac n{n-1}.$$
#
# It comes down from infinity, has one minimum and rises again: a horizontal line meets it twice or not at all. The minimum is
# the larger root of $(n^2-1)r^2-2(n^2+1)r+n^2=0$, and with $q=\sqrt{3n^2+1}$
#
# $$r_*=\frac{n^2+1+q}{n^2-1},\qquad\kappa_*=r_*^n\,\frac{2n+q}{n-1},\qquad
#   \lambda_*=r_*^n\,\frac{(2+q)(3n-1+q)^2}{(n^2-1)(n-1)^2}.$$
#
# Up to $\kappa_*$ there is one diagonal state at each $\lambda$, beyond there are three between the two folds $\lambda_-<\lambda_+$.

# %%
(noise,) = solve(simplify(diff(log(branch), r) * r * (r - 1) * (r**n + kappa)), kappa)
assert simplify(noise / fold_noise(T).subs(T, n + 1)) == 1
quadratic = (n**2 - 1) * r**2 - 2 * (n**2 + 1) * r + n**2
assert simplify(diff(log(noise), r) - n * quadratic / (r * ((n + 1) * r - n) * ((n - 1) * r - n))) == 0
assert simplify(quadratic.subs(r, n / (n - 1))) == simplify(-2 * n / (n - 1))  # negative: one root lies beyond
point = onset(T)
assert simplify(quadratic.subs(r, point.ratio.subs(T, n + 1))) == 0
assert_onset()
print("kappa_* =", latex(point.kappa))
for horizon in (3, 4, 5, 6, 10, 100):
    special = onset(horizon)
    print(
        f"T={horizon}: r_* = {float(special.ratio):.6f} kappa_* = {float(special.kappa):.6f} lambda_* = {float(special.signal):.6f}"
    )
assert onset(5).kappa == Rational(4096, 125)  # 3n²+1 is a square at n = 4
assert abs(float(onset(10**6).kappa) - (2 + np.sqrt(3)) * np.exp(np.sqrt(3))) < 1e-3

# %% [markdown]
# For large $T$, $\kappa_*\to(2+\sqrt3)e^{\sqrt3}=21.09$.
#
# ## 4. Equal free energy
#
# $dF/d\lambda=\tfrac12/(h_n+\kappa)$ along a branch of states, so the difference of the free energies of the state that learns little and of
# the one that learns rises with $\lambda$, from negative at $\lambda_-$ to positive at $\lambda_+$: there is one $\lambda_{eq}$. The
# transition is discontinuous: $H^{nn}$ jumps.

# %%
found = learning_transition(4, 60, 40)
assert found is not None
with mpmath.workdps(40):
    print("folds at lambda =", ", ".join(mp.nstr(fold.signal, 12) for fold in found.folds))
    print(
        "equal free energy at lambda =",
        mp.nstr(found.equal.signal, 12),
        "H^33:",
        *(mp.nstr(x, 12) for x in found.equal.last_variances),
    )

# %% [markdown]
# For $\kappa\to\infty$ the learnt state has $r=\rho\kappa^{1/n}$, $\lambda\simeq\kappa^{(n+1)/n}\rho^{1-n}(\rho^n+1)^2$ and
# $F\simeq\tfrac12\kappa^{1/n}\rho(\rho^{-n}+1+n)$, the other one $F\simeq\tfrac12\lambda/\kappa$. With $x=\rho^n$ the fold is at
# $x=(n-1)/(n+1)$ and the exchange at $x=n-1$:
#
# $$\lambda_-\simeq\frac{4n^2}{(n-1)^2}\Bigl(\tfrac{n-1}{n+1}\kappa\Bigr)^{\frac{n+1}n},\quad
#   \lambda_{eq}\simeq n^2(n-1)^{\frac1n-1}\kappa^{\frac{n+1}n},\quad\lambda_+\simeq\frac{(n-1)^{n-1}}{n^n}\kappa^2 .$$

# %%
x = Symbol("x", positive=True)
learnt = x ** (1 / n) * (x + 1) ** 2 / x
assert solve(simplify(diff(log(learnt), x) * x * (x + 1)), x) == [(n - 1) / (n + 1)]
assert solve(simplify(learnt / x ** (1 / n) * x - x * ((1 + x) / x + n)), x) == [n - 1]
for horizon in (3, 4, 6):
    leading = strong_noise(horizon)
    strong = learning_transition(horizon, 10 ** (6 * (horizon - 1)))
    assert strong is not None
    pairs = zip(
        (strong.folds[0].signal, strong.equal.signal, strong.folds[1].signal),
        (leading.first_fold, leading.equal, leading.last_fold),
        strict=True,
    )
    ratios = [float(a / b.subs(kappa, strong.kappa).evalf(30)) for a, b in pairs]
    print(
        f"T={horizon}: ratios to the leading terms at kappa = 1e{6 * (horizon - 1)}:",
        *(f"{value:.6f}" for value in ratios),
    )
    assert max(abs(value - 1) for value in ratios) < 1e-3
last = branch.subs(r, n / (n - 1)) / kappa**2
assert simplify(limit(last.subs(n, 3), kappa, oo) - Rational(4, 27)) == 0

# %% [markdown]
# ## 5. The critical point
#
# At $(\kappa_*,\lambda_*)$ two derivatives of $\ln\lambda$ vanish: a cusp, with $\ln\lambda=\ln\lambda_*+a\varepsilon+b\varepsilon\delta
# +\tfrac16c\delta^3$ in $\varepsilon=\kappa-\kappa_*$, $\delta=r-r_*$. Folds lie at $\delta^2=-2b\varepsilon/c$, the two states of equal free
# energy (equal areas) at $\delta^2=-6b\varepsilon/c$. Hence the exponents $\tfrac13$ ($H^{nn}$ in $\lambda$), $\tfrac12$ (jump in $\kappa$)
# and $\tfrac32$ (distance of the folds), with the amplitudes
#
# $$A=r_*^{2n}\,\frac{n(2q-3n-1)}q,\qquad B=r_*^n\,\frac{24n(2n-q)}{(n+1)q},\qquad
#   C=\frac{128\,n\,[6n^2-6n+4-(3n-5)q]}{9(n-1)(n+1)^3\,q\,r_*^n}$$
#
# in $(H^{nn}-r_*^n)^3=A(\lambda-\lambda_*)$, $(\Delta H^{nn})^2=B\varepsilon$, $(\lambda_+-\lambda_-)^2=C\varepsilon^3$.

# %%
assert_amplitudes()
at_five = onset(5)
excess = Rational(1, 10**9)
near = learning_transition(5, at_five.kappa + excess)
assert near is not None
jump = (near.equal.last_variances[1] - near.equal.last_variances[0]) ** 2 / float(excess)
distance = (near.folds[1].signal - near.folds[0].signal) ** 2 / float(excess) ** 3
print(
    "T = 5, over the amplitudes: squared jump",
    f"{float(jump / at_five.jump_squared):.12f}, squared distance of the folds",
    f"{float(distance / at_five.fold_distance_squared):.12f}",
)
assert abs(jump / at_five.jump_squared - 1) < 1e-6
assert abs(distance / at_five.fold_distance_squared - 1) < 1e-6

# %% [markdown]
# ## 6. The RNN
#
# On diagonal kernels the RNN's $F$ is the DNN's, and beyond them it has more: its lowest $F$ is never above the DNN's. Coherence of
# lag 1 grows on the branch beyond $r_c=(n-1)/(n-2)$. At $T=3$ no entry can grow, and both architectures have the same $F$. At
# $T=4$, $r_*=(5+\sqrt7)/4<2=r_c$: the incoherent learnt state is stable in a sliver, $\kappa_*<\kappa<40$, $\lambda_-<\lambda<\lambda_c$. For
# $T\ge5$, $r_*>r_c$: it is never stable, and the RNN goes to a coherent learnt state instead. $\lambda_c$ meets a fold at
# $\kappa_\times=(2n-1)r_c^n$; beyond, the state that learns little stays stable up to $\lambda_+$, and $\lambda_c$ is passed by no minimum.

# %%
assert simplify(endpoint_free_energy(3, "rnn").total - endpoint_free_energy(3, "dnn").total) == 0
assert simplify(onset(4).ratio - (5 + sqrt(7)) / 4) == 0
assert_crossing()
print("kappa_x =", latex(factor(crossing_noise(T))))
print("at T = 4, 5, 6:", ", ".join(str(crossing_noise(horizon)) for horizon in (4, 5, 6)))
for horizon in range(5, 30):
    assert onset(horizon).ratio > critical_ratio(horizon)
assert stable_learnt_signals(4, Rational(397, 10)) is not None
assert stable_learnt_signals(4, 40) is None
assert stable_learnt_signals(5, 60) is None

# %% [markdown]
# ## 7. All states, with proof
#
# The DNN's states are the positive roots of $(r-1)(r^n+\kappa)^2-\lambda r^n$. The RNN's at $T=4$ are these and the roots $s>2$ of
# $(4s(s-1)^2+\kappa)^2-4\lambda s(s-1)$ (appendix 4). Sturm's theorem counts them, and exact rationals enclose each.

# %%
for horizon, arch in ((3, "rnn"), (4, "rnn"), (3, "dnn"), (4, "dnn"), (5, "dnn")):
    assert_complete(horizon, arch)
for arch in ("dnn", "rnn"):
    states = complete_states(4, 575, 60, arch)
    for state in states:
        print(
            arch,
            state.branch,
            "F =",
            mp.nstr(state.free_energy, 15),
            "H^33 =",
            mp.nstr(state.kernel[2, 2], 8),
            "index",
            state.index,
        )
    assert sum((-1) ** int(state.index) * state.copies for state in states if state.index is not None) == 1

# %% [markdown]
# ## 8. Confirmation
#
# The full $F$ of the DNN once more, from its matrices. In mpmath at 40 digits, its gradient vanishes at both states of
# equal free energy, and these have the same $F$. In NumPy it is minimised over all kernels from the random network's side and
# from the learnt side: inside the folds there are two minima, outside one, and at $\lambda=575$ the learnt one is the lower.


# %%
with mpmath.workdps(40):
    values = []
    for ratio in found.equal.ratios:
        entries = [ratio**t if t == s else mp.mpf(0) for t in range(1, 4) for s in range(t, 4)]
        values.append(free_energy(entries, 0, found.equal.signal, 60))
        assert largest_slope(entries, 0, found.equal.signal, 60) < mp.mpf(10) ** -20
    print("F of both:", *(mp.nstr(value, 20) for value in values))
    assert abs(values[0] - values[1]) < mp.mpf(10) ** -36
    wrong = [x * mp.mpf("1.000001") for x in entries]
    assert abs(free_energy(wrong, 0, found.equal.signal, 60) - values[1]) > mp.mpf(10) ** -13


# %%
def kernel_of(entries: FloatArray) -> FloatArray:
    L = np.zeros((3, 3))
    L[np.tril_indices(3)] = entries
    L[np.diag_indices(3)] = np.exp(np.clip(np.diag(L), -20, 20))
    return L @ L.T


def numpy_free_energy(entries: FloatArray, lam: float, kap: float) -> float:
    K = kernel_of(entries)
    forward = np.diag([1.0, K[0, 0], K[1, 1]])
    logs = np.linalg.slogdet(K)[1] - np.linalg.slogdet(forward)[1]
    return float(0.5 * (lam / (K[2, 2] + kap) + np.trace(np.linalg.solve(forward, K)) - 3 - logs))


def minimum(lam: float, kap: float, growth: float) -> tuple[float, FloatArray]:
    start = 0.2 * np.tril(np.ones((3, 3)))
    start[np.diag_indices(3)] = 0.5 * np.log(growth) * np.arange(1, 4)
    entries = start[np.tril_indices(3)]
    for _ in range(3):
        entries = minimize(numpy_free_energy, entries, args=(lam, kap), method="BFGS", options={"gtol": 1e-9}).x
    return numpy_free_energy(entries, lam, kap), kernel_of(entries)


for lam in (540.0, 555.0, 575.0, 610.0):
    little, learnt_state = (minimum(lam, 60.0, growth) for growth in (1.0, 3.2))
    print(
        f"lambda={lam}: F = {little[0]:.6f}, H^33 = {little[1][2, 2]:.3f}; F = {learnt_state[0]:.6f}, H^33 = {learnt_state[1][2, 2]:.3f}"
    )
    inside = found.folds[0].signal < lam < found.folds[1].signal
    assert (abs(little[1][2, 2] - learnt_state[1][2, 2]) > 1) == inside
    if inside:
        assert (learnt_state[0] < little[0]) == (lam > found.equal.signal)
    assert max(np.abs(np.triu(learnt_state[1], 1)).max(), np.abs(np.triu(little[1], 1)).max()) < 1e-2
at_575 = minimum(575.0, 60.0, 1.0), minimum(575.0, 60.0, 3.2)
assert abs(at_575[0][0] - 4.6774) < 5e-5
assert abs(at_575[1][0] - 4.6543) < 5e-5
assert abs(at_575[1][1][2, 2] - 31.93) < 5e-3
