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
# # Perturbation theory in the labels
#
# Around the random-weight kernel $H_0$ we expand the minimum of the linear kernel free energy
#
# $$F(H)=\tfrac12\,\mathrm{tr}\,Y(v\,\mathcal T H\mathcal T^\top+\kappa)^{-1}
#   +\tfrac12\,\mathrm{tr}\,HC^{-1}-\tfrac12\ln\frac{|H|}{|C|},\qquad C=w[H^-]+uX^-$$
#
# in powers of the label products $Y=yy^\top$, keeping $\kappa$. The recursion below is exact at every order, needs
# no inverse of $H_0$, and shows how labels of supervised times reach unsupervised ones: as *messages* that travel
# back in time along the kernel's diagonals, and meet at times where the prior kernel links them.

# %%
from collections.abc import Callable
from functools import partial
from itertools import product

import mpmath
from sympy import Expr, ImmutableMatrix, Matrix, Rational, S, Symbol, expand, eye, latex, prod, symbols, zeros

from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.kernel_functional import BIASES, GENERAL, SHARING, X_SHIFTED, H, Y, free_energy_gradient
from theory.perturbation import (
    Perturbation,
    Task,
    block_perturbation,
    cut_paths,
    path_shares,
    paths,
    perturbation,
    supervise,
)
from theory.perturbation import expand as expand_task
from theory.sharing import bias_correlations, sharing
from theory.symbols import beta, kappa, label, label_propagator, rho, skip, u, v, w


def shift(n: int, P: int = 1) -> Matrix:
    """S: moves one time forward, (S A Sᵀ)^{tt'} = A^{t-1,t'-1}."""
    return Matrix(n * P, n * P, lambda i, j: int(i == j + P))


def mask(A: Matrix, arch: str, P: int = 1) -> Matrix:
    """[A]: all of A for the RNN, equal times only for the DNN."""
    return A if arch == "rnn" else Matrix(A.rows, A.cols, lambda i, j: A[i, j] if i // P == j // P else 0)


# %% [markdown]
# ## 1. Stationarity as a message
#
# With the propagator of the likelihood $E=(v\,\mathcal TH\mathcal T^\top+\kappa)^{-1}$ and the shift $S$, the
# gradient of $F$ is
#
# $$2\,\partial F=C^{-1}-H^{-1}-\Lambda,\qquad
#   \Lambda=\underbrace{v\,\mathcal T^\top EYE\,\mathcal T}_{Q}+w\,S^\top[B]\,S,\qquad
#   B=C^{-1}HC^{-1}-C^{-1}.$$
#
# $\Lambda$ is twice the conjugate kernel. $Q$ is what the labels say at their own times; the second term carries it
# back by one time. We assert the identity exactly on rational matrices (three times, two patterns, two of six pairs
# supervised) against the gradient derived by the matrix calculus.

# %%
n, P, positions = 3, 2, [1, 4]
A = Matrix(n * P, n * P, lambda i, j: Rational((3 * i + j * j + 1) % 5 - 2, 2))
kernel = A * A.T + eye(n * P)
inputs = eye(n * P) / 5
inputs[:P, :P] += Matrix([[2, 1], [1, 3]])
labels = Matrix([1, -2])
parameters = {u: Rational(3, 2), v: Rational(2, 3), w: Rational(4, 5), kappa: Rational(1, 3)}
u_, v_, w_, kappa_ = (parameters[x] for x in (u, v, w, kappa))
Tsup = Matrix(2, n * P, lambda i, j: int(positions[i] == j))
Sh = shift(n, P)

for arch in ("rnn", "dnn"):
    C = w_ * mask(Sh * kernel * Sh.T, arch, P) + u_ * inputs
    E = (v_ * Tsup * kernel * Tsup.T + kappa_ * eye(2)).inv()
    Q = v_ * Tsup.T * E * labels * labels.T * E * Tsup
    B = C.inv() * kernel * C.inv() - C.inv()
    message = Q + w_ * Sh.T * mask(B, arch, P) * Sh
    values = {H: kernel, X_SHIFTED: inputs, Y: labels * labels.T, **parameters}
    G = evaluate(free_energy_gradient(arch), values, Layout.of_pairs(n, P, positions))
    assert C.inv() - kernel.inv() - message == 2 * G
    # the same with the adjoint shift replaced by the shift is wrong
    assert C.inv() - kernel.inv() - (Q + w_ * Sh * mask(B, arch, P) * Sh.T) != 2 * G

# %% [markdown]
# ## 2. Eliminating the inverses
#
# At stationarity $H^{-1}=C^{-1}-\Lambda$. Multiplying by $H$ and $C$,
#
# $$H=C+CBC,\qquad B=\Lambda+\Lambda H\Lambda .$$
#
# Neither holds an inverse of $H$ or $C$; the only inverse left is $E$, over the supervised pairs. Assertion: define
# $\Lambda=C^{-1}-H^{-1}$ for any $H$, $C$; then both are identities.

# %%
message = C.inv() - kernel.inv()
B = C.inv() * kernel * C.inv() - C.inv()
assert kernel == C + C * B * C
assert message + message * kernel * message == B

# %% [markdown]
# ## 3. Order by order
#
# Let $k$ count powers of $Y$. $\Lambda_0=B_0=0$, $C_0=H_0$, $H_0=w[SH_0S^\top]+uX^-$, and
#
# \begin{align}
# Q_k&=v\sum_{i+j=k-1}E_iYE_j, & E_i&=-v\sum_{j\ge1}E_0H_jE_{i-j},\\
# \Lambda_k&=Q_k+w\,S^\top[\Lambda_k+(\Lambda H\Lambda)_k]S, & B_k&=\Lambda_k+(\Lambda H\Lambda)_k,\\
# H_k&=w[SH_kS^\top]+\sum_{b\ge1}C_aB_bC_c, & C_k&=w[SH_kS^\top].
# \end{align}
#
# $(\Lambda H\Lambda)_k$ holds only lower orders. Since $S$ is nilpotent, the second line is solved from the last time
# back, the third from the first time on: the linearised stationarity is inverted in closed form by two sweeps.
#
# ### First order
#
# One pattern, input at $t=0$: $H_0$ is diagonal, $h_t=uw^{t-1}$, $E_t=1/(vh_t+\kappa)$. All labels of one lag add
# up; a pair $(a,a+l)$ reaches $(t,t+l)$ in $\min(t,a)$ ways (back $a-s$ steps, then on $t-s$ steps, for each meeting
# time $s\le\min(t,a)$), and every way has the same weight:
#
# $$\Delta_1^{t,t+l}=v\,u^2\sum_{a}\min(t,a)\,w^{t+a+l-2}\,E_aE_{a+l}\,y^ay^{a+l}\qquad\text{(RNN)}.$$
#
# The DNN's mask lets only $l=0$ move: for $l>0$ just $a=t$ is left, with one way.

# %%
T = 5
n = T - 1
first = {arch: perturbation(T, arch, 2) for arch in ("rnn", "dnn")}
for t in range(1, n + 1):
    for s in range(t, n + 1):
        lag = s - t

        def term(a: int, ways: int, lag: int = lag, t: int = t) -> Expr:
            return (
                ways * v * u**2 * w ** (t + a + lag - 2)
                * label_propagator(a) * label_propagator(a + lag) * label(a) * label(a + lag)
            )  # fmt: skip

        rnn = sum(term(a, min(t, a)) for a in range(1, n + 1 - lag))
        dnn = rnn if lag == 0 else term(t, 1)
        assert expand(first["rnn"].kernel[1][t, s] - rnn) == 0
        assert expand(first["dnn"].kernel[1][t, s] - dnn) == 0
print(r"RNN: \Delta_1^{12} =", latex(first["rnn"].kernel[1][1, 2]))
print(r"DNN: \Delta_1^{12} =", latex(first["dnn"].kernel[1][1, 2]))

# %% [markdown]
# ### Second order
#
# Written out, with $J=\Lambda_1H_0\Lambda_1$:
#
# \begin{align}
# Q_2&=-v^2(E_0H_1E_0YE_0+E_0YE_0H_1E_0),\qquad \Lambda_2=Q_2+wS^\top[\Lambda_2+J]S,\\
# H_2&=w[SH_2S^\top]+C_1\Lambda_1H_0+H_0\Lambda_1C_1+H_0(\Lambda_2+J)H_0 .
# \end{align}
#
# $Q_2$ is feedback: the labels are partly explained already, so they say less. $J$ links two messages by the prior
# kernel. Assertion, with explicit matrices in place of the recursion:

# %%
Sh = shift(n)
H0 = Matrix(n, n, lambda i, j: u * w**i if i == j else 0)
E0 = Matrix(n, n, lambda i, j: label_propagator(i + 1) if i == j else 0)
Yfull = Matrix(n, n, lambda i, j: label(i + 1) * label(j + 1))


def sweep(source: Matrix, step: Callable[[Matrix], Matrix]) -> Matrix:
    """Σ_l step^l(source): solves x = source + step(x) for a nilpotent step."""
    total = term = source
    for _ in range(n):
        term = step(term)
        total = total + term
    return total


def agrees_with_matrices(
    found: Perturbation, H0: Matrix, back: Callable[[Matrix], Matrix], on: Callable[[Matrix], Matrix]
) -> None:
    """First and second order from explicit matrices; `back` and `on` take one step back and forward in time."""
    L1 = sweep(v * E0 * Yfull * E0, back)
    H1 = sweep(H0 * L1 * H0, on)
    Q2 = -(v**2) * (E0 * H1 * E0 * Yfull * E0 + E0 * Yfull * E0 * H1 * E0)
    J = L1 * H0 * L1
    L2 = sweep(Q2 + back(J), back)
    H2 = sweep(on(H1) * L1 * H0 + H0 * L1 * on(H1) + H0 * (L2 + J) * H0, on)
    for t, s in product(range(n), repeat=2):
        entry = (min(t, s) + 1, max(t, s) + 1)
        assert expand(H1[t, s] - found.kernel[1].get(entry, S.Zero)) == 0
        assert expand(H2[t, s] - found.kernel[2].get(entry, S.Zero)) == 0


def back(A: Matrix, arch: str) -> Matrix:
    return w * Sh.T * mask(A, arch) * Sh


def on(A: Matrix, arch: str) -> Matrix:
    return w * mask(Sh * A * Sh.T, arch)


for arch in ("rnn", "dnn"):
    agrees_with_matrices(first[arch], H0, partial(back, arch=arch), partial(on, arch=arch))
print("Δ_2 at second order agrees entry by entry, RNN and DNN, T =", T)

# %% [markdown]
# ## 4. Time paths
#
# Every term of order 2 is a product of two label pairs $(a,b)$ and $(c,d)$, whose messages meet at a time $t_2$. For
# $\Delta_2^{t_3t_1}$ we write $t_3\leftarrow t_2\leftarrow t_1$. Lags add up: $t_3-t_1=(a-b)+(c-d)$, because moving
# along a diagonal keeps the lag. Supervising $\{1,3,6\}$ at $T=7$ gives the lags $0,2,3,5$; two of them combine to
# every lag, so that in the RNN the *second order already fills every unsupervised entry*:

# %%
supervised = (1, 3, 6)
entry = (2, 3)
for path in paths(7, "rnn", 2, supervised)[entry]:
    moved = path.shifts[0]
    print(f"{path}, moved by {-moved:+d}:", latex(path.weight))
whole = perturbation(7, "rnn", 2, supervised=supervised)
masked = perturbation(7, "dnn", 2, supervised=supervised)
total = sum(path.contribution for path in paths(7, "rnn", 2, supervised)[entry])
assert expand(total - whole.kernel[2][entry]) == 0
filled = {key for k in (1, 2) for key in whole.kernel[k]}
assert filled == {(t, s) for t in range(1, 7) for s in range(t, 7)}
left = {key for k in (1, 2) for key in masked.kernel[k] if key[0] != key[1]}
assert left == {(1, 3), (1, 6), (3, 6)}
print("RNN, off-diagonal entries filled:", len([key for key in filled if key[0] != key[1]]), "of 15")
print("DNN, off-diagonal entries filled:", sorted(left), "(both times supervised)")

# %% [markdown]
# The DNN's mask removes every path that moves an off-diagonal pair. What it keeps off the diagonal are entries
# between two supervised times. At order 2 it cuts

# %%
cut = cut_paths(7, 2, supervised)
print("paths cut:", sum(map(len, cut.values())), "of", sum(map(len, paths(7, "rnn", 2, supervised).values())))
assert entry not in paths(7, "dnn", 2, supervised)
assert len(cut[entry]) == 3

# %% [markdown]
# ## 5. The poster's second-order formula
#
# The poster states
# $\Delta_2^{tt'}\propto\frac1{h_0^{t'}}\big(\sum_{t''}Y_{+tt''}\frac1{h_0^{t''}}Y_{+t''t'}\big)\frac1{h_0^t}$.
# It is the one-step term of the *message* $\Lambda_2$. Take $\kappa=0$ and define the dressed labels
# $\hat Y=v\,H_0\Lambda_1H_0$, which at a pair with no later supervised pair of the same lag are the labels
# themselves: $\hat Y^{tt'}=\sum_l w^{-l}Y^{t+l,t'+l}$ (labels at unsupervised times being zero). Then
#
# $$J^{tt'}=\frac1{v^2}\frac1{h_t}\Big(\sum_{t''}\hat Y^{tt''}\frac1{h_{t''}}\hat Y^{t''t'}\Big)\frac1{h_{t'}} ,
# \qquad \Lambda_2^{tt'}=\sum_{l\ge1}w^l J^{t+l,t'+l}\quad\text{at lags without a label pair}.$$
#
# With $Y_+^{tt'}=\hat Y^{t+1,t'+1}$ and $h_{t+1}=wh_t$, the term $l=1$ is
#
# $$w\,J^{t+1,t'+1}=\frac{1}{v^2w^2}\frac1{h_t}\Big(\sum_{t''\ge1}Y_{+tt''}\frac1{h_{t''}}Y_{+t''t'}\Big)\frac1{h_{t'}}
#   +\frac1{v^2 w\,u}\,\frac1{h_t h_{t'}}\,\hat Y^{t+1,1}\hat Y^{1,t'+1},$$
#
# the poster's formula with prefactor $1/(vw)^2$, and the term where the messages meet at time 1, which the shifted
# labels do not hold. Three further limits of the formula as written: it is for the message, so the kernel has
# $h_th_{t'}$ times it (with the forward sweep on top); at $\kappa>0$ the labels are
# $\hat Y=v H_0\Lambda_1H_0$ with $E_t=1/(vh_t+\kappa)$, not $1/(vh_t)$; and at lags that have a label pair the
# feedback $Q_2$ is there as well.

# %%
n = 6
prior = whole.explicit(0)
L1, L2 = (whole.explicit_message(k).subs(kappa, 0) for k in (1, 2))
J = L1 * prior * L1
dressed = v * prior * L1 * prior
lags = {abs(a - b) for a, b in product(supervised, repeat=2)}
carries = {a: int(a in supervised) * label(a) for a in range(1, 2 * n + 1)}
for t, s in product(range(1, n + 1), repeat=2):
    direct = sum(carries[t + step] * carries[s + step] / w**step for step in range(n))
    assert expand(dressed[t - 1, s - 1] - direct) == 0
for t, s in product(range(1, n), repeat=2):
    if abs(t - s) in lags:
        continue
    steps = sum(w**step * J[t + step - 1, s + step - 1] for step in range(1, n + 1 - max(t, s)))
    assert expand(L2[t - 1, s - 1] - steps) == 0

    def y_plus(a: int, b: int) -> Expr:
        return dressed[a, b]  # Ŷ at (a + 1, b + 1), 0-based

    formula = sum(y_plus(t, k) * y_plus(k, s) / prior[k - 1, k - 1] for k in range(1, n))
    formula /= prior[t - 1, t - 1] * prior[s - 1, s - 1]
    meeting_at_one = dressed[t, 0] * dressed[0, s] / (prior[t - 1, t - 1] * prior[s - 1, s - 1])
    assert expand(w * J[t, s] - formula / (v * w) ** 2 - meeting_at_one / (v**2 * w * u)) == 0
    # a prefactor 1/v² w in place of 1/(v w)² would not do
    assert formula == 0 or expand(w * J[t, s] - formula / (v**2 * w) - meeting_at_one / (v**2 * w * u)) != 0
# with every time supervised the feedback cannot be left out
dense = perturbation(5, "rnn", 2)
D1, D2 = (dense.explicit_message(k).subs(kappa, 0) for k in (1, 2))
D = D1 * dense.explicit(0) * D1
assert expand(D2[0, 1] - sum(w**step * D[step, 1 + step] for step in (1, 2))) != 0
print("second-order message = sum of linked messages at lags", sorted(set(range(n)) - lags))

# %% [markdown]
# ## 6. Confirmation: order of accuracy against the solved kernel
#
# The kernel is solved in 50-digit arithmetic without any power series: $\Lambda$ and $H$ are iterated to a fixed
# point of section 2, and the result counts as solved only if the stationarity condition of section 1, with its
# inverses, holds to 40 digits. The labels are scaled by $\sqrt\varepsilon$, so $Y$ by $\varepsilon$; the error of the
# sum up to order $k$ must fall as $\varepsilon^{k+1}$.


# %%
def to_mp(matrix: Matrix) -> mpmath.matrix:
    return mpmath.matrix([[mpmath.mpf(x.p) / x.q for x in row] for row in Matrix(matrix).tolist()])


def solve(task: Task, arch: str | ImmutableMatrix, strength: mpmath.mpf) -> mpmath.matrix:
    """The stationary kernel by fixed-point iteration, one pattern or several, input at t = 0; any sharing and skip."""
    size, P = task.n * task.input_kernel.rows, task.input_kernel.rows
    X = zeros(size, size)
    X[:P, :P] = task.input_kernel
    uX, S_, labels = to_mp(task.u * X), to_mp(shift(task.n, P)), strength * to_mp(task.labels)
    sharing_ = sharing(arch).matrix(task.n) if isinstance(arch, str) else arch
    weights = to_mp(Matrix(size, size, lambda i, j: sharing_[i // P - 1, j // P - 1] if min(i, j) >= P else 1))
    A_ = to_mp((eye(size) - task.skip * shift(task.n, P)).inv())
    rows = to_mp(Matrix(len(task.supervised), size, lambda i, j: int((task.supervised[i][0] - 1) * P
                 + task.supervised[i][1] - 1 == j)))  # fmt: skip
    v_, w_, kappa_ = (mpmath.mpf(Rational(x).p) / Rational(x).q for x in (task.v, task.w, task.kappa))

    def masked(A: mpmath.matrix) -> mpmath.matrix:
        return mpmath.matrix([[weights[i, j] * A[i, j] for j in range(size)] for i in range(size)])

    def covariance(A: mpmath.matrix) -> mpmath.matrix:
        return A_ * (w_ * masked(S_ * A * S_.T) + uX) * A_.T

    def returned(B: mpmath.matrix) -> mpmath.matrix:
        return w_ * S_.T * masked(A_.T * B * A_) * S_

    def spoken(A: mpmath.matrix) -> mpmath.matrix:
        E = (v_ * rows * A * rows.T + kappa_ * mpmath.eye(rows.rows)) ** -1
        return v_ * rows.T * E * labels * E * rows

    here = uX
    for _ in range(task.n):
        here = covariance(here)
    heard = spoken(here)
    for _ in range(60):
        said = spoken(here)
        for _ in range(task.n):
            heard = said + returned(heard + heard * here * heard)
        B = heard + heard * here * heard
        for _ in range(task.n):
            C = covariance(here)
            here = C + C * B * C
        Cinv = covariance(here) ** -1
        back = returned(Cinv * here * Cinv - Cinv)
        if mpmath.norm(Cinv - here**-1 - spoken(here) - back, mpmath.inf) < mpmath.mpf(10) ** -40:
            return here
    raise AssertionError("the iteration did not converge")


STRENGTHS = (Rational(1, 10**4), Rational(1, 10**5))


def slopes(task: Task, arch: str | ImmutableMatrix, order: int) -> list[float]:
    """Slope of the error in log–log for each order up to `order`."""
    with mpmath.workdps(50):
        orders = [to_mp(D) for D in expand_task(task, arch, order)]
        errors = []
        for strength in STRENGTHS:
            eps = mpmath.mpf(strength.p) / strength.q
            solved, total, row = solve(task, arch, eps), orders[0], []
            for k in range(1, order + 1):
                total = total + eps**k * orders[k]
                row.append(mpmath.norm(solved - total, mpmath.inf))
            errors.append(row)
        return [float(mpmath.log10(a / b)) for a, b in zip(*errors, strict=True)]


one = Task(6, Matrix([[1]]), supervise(supervised, 1), Matrix([2, 1, -1]), w=Rational(9, 10), kappa=Rational(1, 2))
# rotation by the angle of the Pythagorean triple (3, 4, 5): exact labels, two orthonormal patterns
R = Matrix([[Rational(3, 5), -Rational(4, 5)], [Rational(4, 5), Rational(3, 5)]])
rotation = Matrix([x for t in supervised for x in (3 * R ** (t - 1))[0, :]])
two = Task(6, eye(2), supervise(supervised, 2), rotation, kappa=1)
for name, task, arch, order in (
    ("one pattern", one, "rnn", 4),
    ("one pattern", one, "dnn", 4),
    ("rotation teacher, two patterns", two, "rnn", 2),
):
    found = slopes(task, arch, order)
    print(f"{name}, {arch}: slopes", ", ".join(f"{x:.4f}" for x in found))
    assert all(abs(x - (k + 2)) < 0.01 for k, x in enumerate(found))

# %% [markdown]
# The kernels stay matrices over patterns: $Y^{tt'}=y^ty^{t'\top}$ of a rotation teacher do not commute at different
# times, and the expansion keeps their order. As noncommuting blocks, with $X$ the pattern kernel of the input and
# $E_t=(vuw^{t-1}X+\kappa)^{-1}$, the first order at $T=4$, supervised $\{2,3\}$, is

# %%
blocks = block_perturbation(4, "rnn", 1, supervised=(2, 3))[1]
for (t, s), block in blocks.items():
    if t <= s:
        print(rf"\Delta_1^{{{t}{s}}} =", latex(block))
X, E2, E3, Y23 = (Symbol(name, commutative=False) for name in ("X", "E_2", "E_3", "Y_23"))
assert blocks[1, 2] == u**2 * v * w**2 * X * E2 * Y23 * E3 * X

# %% [markdown]
# ## 7. Any sharing of weights: paths that are weakened or cut
#
# Let the matrices of different times have the correlations $M_{st}$, let there be a skip connection $a$ and biases
# $\beta$: with $A=1-aS$, $C=A^{-1}\big(w\,M\circ SHS^\top+uX^-+\beta B_b\big)A^{-\top}$ ($M_{st}$ stands at the times
# $s+1,t+1$). $C$ is still affine in $H$, so that only the adjoint in $\Lambda$ changes:
#
# $$\Lambda=v\,\mathcal T^\top EYE\,\mathcal T+w\,S^\top\big[M\circ(A^{-\top}BA^{-1})\big]S .$$
#
# Asserted for a matrix $M$ of unequal widths, and wrong if messages were not weakened on their way back.

# %%
n, P = 3, 2
M = ImmutableMatrix([[Rational(9, 4), -Rational(2, 5)], [-Rational(2, 5), 1]])
padded = Matrix(n, n, lambda s, t: M[s - 1, t - 1] if s and t else 5)  # its first row and column meet zeros
biases = bias_correlations(M)
joint, apart = (Matrix(n * P, n * P, lambda i, j, small=small: small[i // P, j // P]) for small in (padded, biases))
a_, b_ = Rational(2, 3), Rational(1, 4)
Sh = shift(n, P)
A = eye(n * P) - a_ * Sh
C = A.inv() * (w_ * joint.multiply_elementwise(Sh * kernel * Sh.T) + u_ * inputs + b_ * apart) * A.inv().T
B = C.inv() * kernel * C.inv() - C.inv()
E = (v_ * Tsup * kernel * Tsup.T + kappa_ * eye(2)).inv()
answered = A.inv().T * B * A.inv()
values = {H: kernel, X_SHIFTED: inputs, Y: labels * labels.T, SHARING: padded, BIASES: apart, skip: a_, beta: b_}
G = evaluate(free_energy_gradient(GENERAL), values | parameters, Layout.of_pairs(n, P, positions))
rest = C.inv() - kernel.inv() - v_ * Tsup.T * E * labels * labels.T * E * Tsup - 2 * G
assert rest == w_ * Sh.T * joint.multiply_elementwise(answered) * Sh
assert rest != w_ * Sh.T * answered * Sh

# %% [markdown]
# Section 2 holds for any $C$. So the recursion stays, with $\mathcal S$, $(\mathcal SH)^{s+1,t+1}=w\,M_{st}H^{st}$, in place of
# $w[S\cdot S^\top]$: **each step of a path from $(s,t)$ to $(s+1,t+1)$, forward or back, carries the factor $M_{st}$**. One
# pattern, no skip: $H_0$ is diagonal for every $M$, $h_{t+1}=w\,M_{tt}h_t$, and the first order sums over meeting times
# $s$, back from $(a,a+l)$ and on to $(t,t+l)$:
#
# $$\Delta_1^{t,t+l}=v\sum_aE_aE_{a+l}\,y^ay^{a+l}\sum_{s\le\min(t,a)}h_sh_{s+l}
#   \prod_{q=s}^{a-1}w\,M_{q,q+l}\prod_{q=s}^{t-1}w\,M_{q,q+l}.$$
#
# Asserted with every entry of $M$ a symbol; the second order with explicit matrices.

# %%
T, n = 4, 3
m11, m12, m22 = symbols("m11 m12 m22")
M = ImmutableMatrix([[m11, m12], [m12, m22]])
general = perturbation(T, M, 2)
h = [u, u * w * m11, u * w**2 * m11 * m22]


def passed(s: int, t: int, lag: int) -> Expr:
    """The factors of the steps from (s, s + l) to (t, t + l)."""
    return prod(w * M[q - 1, q + lag - 1] for q in range(s, t))


E0, Sh, H0 = Matrix(n, n, lambda i, j: label_propagator(i + 1) if i == j else 0), shift(n), Matrix.diag(*h)
Yfull = Matrix(n, n, lambda i, j: label(i + 1) * label(j + 1))
whole_M = Matrix(n, n, lambda s, t: M[s - 1, t - 1] if s and t else 0)
for t, lag in product(range(1, n + 1), range(n)):
    if t + lag > n:
        continue
    known = sum(
        v * label_propagator(a) * label_propagator(a + lag) * label(a) * label(a + lag)
        * h[b - 1] * h[b + lag - 1] * passed(b, a, lag) * passed(b, t, lag)
        for a in range(1, n + 1 - lag) for b in range(1, min(t, a) + 1)
    )  # fmt: skip
    assert expand(general.kernel[1][t, t + lag] - known) == 0
for symbol, value in general.propagators.items():
    assert value == 1 / (v * h[int(symbol.name[2:]) - 1] + kappa)


agrees_with_matrices(
    general,
    H0,
    lambda A: w * Sh.T * whole_M.multiply_elementwise(A) * Sh,
    lambda A: w * whole_M.multiply_elementwise(Sh * A * Sh.T),
)
print(r"\Delta_1^{23} =", latex(general.kernel[1][2, 3]))

# %% [markdown]
# What a family leaves of the RNN's paths: where a path has one way only, the product of the $M$ along it. A step at
# lag $l$ costs $\rho$ in `shared:ρ`, whatever the lag, and $\rho^l$ in `drift:ρ`; `looped:p` takes the lags that are
# multiples of $p$ at full weight and cuts the others, as the DNN cuts all. So at $T=7$, supervised $\{1,3,6\}$, the
# unsupervised entry $(2,3)$, which only linked messages reach:

# %%
entry = (2, 3)
kept = {arch: path_shares(7, arch, 2, supervised)[entry] for arch in ("shared:rho", "drift:rho", "looped:2", "dnn")}
for path in paths(7, "rnn", 2, supervised)[entry]:
    print(f"{path}:", ", ".join(f"{arch} {found[path]}" for arch, found in kept.items()))
assert [str(share) for share in kept["shared:rho"].values()] == ["rho**5/2 + rho**3/2", "rho**4", "rho**3"]
assert [str(share) for share in kept["drift:rho"].values()] == ["rho**9/2 + rho**7/2", "rho**9", "rho**7"]
assert set(kept["looped:2"].values()) == set(kept["dnn"].values()) == {S.Zero}
assert {share.subs(rho, 1) for share in kept["drift:rho"].values()} == {S.One}

# %% [markdown]
# A looped network still links label pairs of other lags, but at their own times: to order 2 an entry whose lag is no
# multiple of $p$ has a supervised end, such as $(5,6)$ at $p=2$, where $(1,3)$ moves on to $(3,5)$ and meets $(3,6)$.

# %%
for p in (2, 3):
    looped = perturbation(7, f"looped:{p}", 2, supervised=supervised)
    filled = {key for k in (1, 2) for key in looped.kernel[k] if key[0] != key[1]}
    assert all({t, s} & set(supervised) for t, s in filled if (t - s) % p)
    print(f"looped:{p}, off-diagonal entries filled:", len(filled), "of 15")
    assert [str(path) for path in looped.paths(2).get((5, 6), ())][:1] == (
        ["5 ← 3 ← 6  [y3·y1 y3·y6]"] if p == 2 else []
    )

# %% [markdown]
# Confirmation as in section 6, the kernel solved without any power series.

# %%
four = Task(4, Matrix([[1]]), supervise((1, 2, 4), 1), Matrix([2, 1, -1]), w=Rational(9, 10), kappa=Rational(1, 2))
leaky = Task(4, *(four.input_kernel, four.supervised, four.labels), w=Rational(9, 10), skip=Rational(1, 2))
tied = ImmutableMatrix([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
for name, task, arch in (
    ("shared:1/2", four, "shared:1/2"),
    ("drift:7/10", four, "drift:7/10"),
    ("looped:2", four, "looped:2"),
    ("first and last tied", four, tied),
    ("drift:7/10 with a skip connection", leaky, "drift:7/10"),
):
    found = slopes(task, arch, 3)
    print(f"{name}: slopes", ", ".join(f"{x:.4f}" for x in found))
    assert all(abs(x - (k + 2)) < 0.01 for k, x in enumerate(found))
