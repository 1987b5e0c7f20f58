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
# # Sequential tasks: what weight sharing does, and why the untied network cannot
#
# A teacher $y^{t+1}=V^*(W^*)^{t-1}U^*x^0$, $W^*$ rotations in planes, is learnt from the outputs of some hidden times
# only. We show
#
# 1. that the DNN's kernel is block-diagonal in the unsupervised times, at every stationary point and at every width,
#    so that its outputs there are exactly 0, the prior mean;
# 2. when the outliers of the RNN's $W$ are the teacher's eigenvalues, and when they cannot be;
# 3. how the expansion in the labels already holds both.

# %%
import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from sympy import Matrix, Rational, eye, factor, latex, nsimplify, pi, sqrt

from numerics import rotation_teacher, sequence, solve
from numerics.inputs.teachers import orthonormal_patterns
from numerics.linalg import FloatArray
from numerics.predictors.observables import outliers
from numerics.results.readout import mean_outputs
from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.kernel_functional import X_SHIFTED, H, Y, free_energy_gradient
from theory.perturbation import Task, expand, supervise
from theory.symbols import kappa, u, v, w
from theory.teacher_spectrum import aliases, extraneous_factor, limiting_regression, trajectory

# %% [markdown]
# ## 1. The DNN outside supervision
#
# Stationarity of $F$ reads $H^{-1}=C^{-1}-\Lambda$, with the message $\Lambda=v\,\mathcal T^\top EYE\,\mathcal
# T+w\,S^\top[B]\,S$ (appendix 05). For the DNN and input at $t=0$, $C=w[H^-]+uX^-$ is block-diagonal in the times, and
# so is $[B]$. Blocks of $\Lambda$ between different times thus come from the labels alone, and **vanish unless both
# times are supervised**. We assert this for the exact gradient of $F$ at a rational kernel without any structure,
# $\Lambda=C^{-1}-H^{-1}-2\,\partial F$: four times, two patterns, times 2 and 4 supervised.

# %%
n, P, times = 4, 2, (2, 4)
positions = [(t - 1) * P + p for t in times for p in range(P)]
A = Matrix(n * P, n * P, lambda i, j: Rational((5 * i + 3 * j * j + 2) % 7 - 3, 4))
kernel = A * A.T + eye(n * P)
inputs = Matrix.zeros(n * P, n * P)
inputs[:P, :P] = Matrix([[2, 1], [1, 3]])
labels = Matrix([1, -2, 3, Rational(1, 2)])
values = {u: Rational(3, 2), v: Rational(2, 3), w: Rational(4, 5), kappa: Rational(1, 3)}


def covariance(arch: str) -> Matrix:
    """C = w [H⁻] + u X⁻."""
    shifted = Matrix(n * P, n * P, lambda i, j: kernel[i - P, j - P] if min(i, j) >= P else 0)
    if arch == "dnn":
        shifted = Matrix(n * P, n * P, lambda i, j: shifted[i, j] if i // P == j // P else 0)
    return values[w] * shifted + values[u] * inputs


def message(arch: str) -> Matrix:
    """Λ from the exact gradient."""
    given = {H: kernel, X_SHIFTED: inputs, Y: labels * labels.T, **values}
    gradient = evaluate(free_energy_gradient(arch), given, Layout.of_pairs(n, P, positions))
    return covariance(arch).inv() - kernel.inv() - 2 * gradient


def blocks_between_times(matrix: Matrix) -> set[tuple[int, int]]:
    """Pairs of different times whose block is not zero."""
    return {
        (t, s)
        for t, s in product(range(1, n + 1), repeat=2)
        if t != s and any(matrix[(t - 1) * P : t * P, (s - 1) * P : s * P])
    }


assert blocks_between_times(message("dnn")) == {(2, 4), (4, 2)}
# the RNN's links all times but the last, which only the labels can link
assert blocks_between_times(message("rnn")) == {*product((1, 2, 3), repeat=2)} - {(1, 1), (2, 2), (3, 3)} | {
    (2, 4),
    (4, 2),
}

# %% [markdown]
# So at *every* stationary point of the DNN, $H^{-1}$ has no block between an unsupervised time and another one. A
# matrix that is block-diagonal after a reordering of the times has an inverse of the same form: $H^{ts}=0$ whenever
# $t\ne s$ and one of them is unsupervised. Hence $\langle f_a\rangle=vH_{a\mathcal T}(\cdot)^{-1}y=0$ at every
# unsupervised time: the prior mean. (Between two supervised times the DNN's kernel is *not* diagonal.)
#
# The reason is a symmetry, so it holds **at every width and for every odd activation**: at an unsupervised time $t$,
# $W^{(t-1)}\to-W^{(t-1)}$, $W^{(t)}\to-W^{(t)}$ turns $h^t\to-h^t$ and changes nothing else, not even the prior; so
# $f^{t+1}$ has a symmetric law. The RNN has no such freedom, since its $W$ serves all times. We assert it on drawn
# weights, and for ReLU, which is not odd, that it fails.

# %%
rng = np.random.default_rng(7)
N, T = 30, 6
U, V = rng.normal(size=(N, 2)), rng.normal(size=N)
layers = [rng.normal(size=(N, N)) / math.sqrt(N) for _ in range(T - 2)]
x = orthonormal_patterns(2).T


def outputs(layers: Sequence[FloatArray], phi: Callable[[FloatArray], FloatArray], U: FloatArray = U) -> FloatArray:
    """f^{t+1} at hidden times 1 … T-1, (T-1, P)."""
    h = U @ x
    result = [V @ phi(h)]
    for layer in layers:
        h = layer @ phi(h)
        result.append(V @ phi(h))
    return np.array(result)


for name, phi in (("linear", lambda h: h), ("tanh", np.tanh), ("relu", lambda h: np.maximum(h, 0))):
    turned = list(layers)
    turned[1], turned[2] = -turned[1], -turned[2]  # W^(2), W^(3): on both sides of hidden time 3
    before, after = outputs(layers, phi), outputs(turned, phi)
    same = np.allclose(np.delete(before, 2, axis=0), np.delete(after, 2, axis=0))
    assert same == (name != "relu")
    assert np.allclose(before[2], -after[2]) == (name != "relu")

# %% [markdown]
# The solved theory, DNN beside RNN, supervised at 1, 2, 4 and 7 of 7 times:

# %%
task = (8, 2 * math.pi / 5, 3.0, (1, 2, 4, 7))
unsupervised = [2, 4, 5]
for arch in ("rnn", "dnn"):
    solution = solve(sequence(*task, arch=arch, w=0.3))
    found = mean_outputs(solution)[:, unsupervised]
    error = np.abs(found - rotation_teacher(*task[1:3]).labels(x.T, 7)[:, unsupervised]).max()
    print(f"{arch.upper()}: largest |f| at unsupervised times {np.abs(found).max():.2e}, largest error {error:.2f}")
    assert (np.abs(found).max() < 1e-9) == (arch == "dnn")

# %% [markdown]
# The DNN's layers have outliers of their own only between neighbouring supervised times: given the activity,
# $W^{(t)}=h^{t+1}(h^{t\top}h^t)^{-1}h^{t\top}$ plus a Gaussian part off $h^t$, so that its outliers are the eigenvalues
# of $(H^{tt})^{-1}H^{t,t+1}$ beyond $\sqrt w$: zero unless $t$ and $t+1$ are supervised, and here never beyond.

# %%
blocks = solution.kernel.reshape(7, 2, 7, 2).transpose(0, 2, 1, 3)
layer = [np.abs(np.linalg.eigvals(np.linalg.solve(blocks[t, t], blocks[t, t + 1]))).max() for t in range(6)]
assert layer[0] > 0.05
assert max(layer[1:]) < 1e-9
assert max(layer) < math.sqrt(0.3)

# %% [markdown]
# ## 2. The RNN's outliers and the teacher's eigenvalues
#
# For input at $t=0$, W's outliers are the eigenvalues beyond $\sqrt w$ of the regression matrix
# $M=H_{--}^{-1}H_{-+}$ of each time on all earlier ones. Let the hidden states follow a linear recurrence
# $g^t=A^{t-1}g^1$ in $d$ dimensions, up to independent parts of strength $\varepsilon$ that grow as in the random
# network, $H=\Psi^\top\Psi+\varepsilon R$, $R^{ts}=\delta_{ts}w^{t-1}$. As $\varepsilon\to0$, M tends to a shift with
# the smallest solution of $\Psi_-c=g^n$ as its last column, and
#
# - on the quotient by $K=\ker\Psi_-$ it acts as $A$, because $\Psi_-M=A\Psi_-$;
# - on $K$ it acts as $P_KS$, a projected nilpotent shift of norm $\le\sqrt w$: eigenvalues strictly inside the bulk.
#
# So **the outliers are the eigenvalues of $A$ beyond $\sqrt w$, and no others**. Step by step for a rotation with
# $\cos\theta=3/5$, two patterns, five times, $w=3/10$:

# %%
A = Matrix([[Rational(3, 5), Rational(-4, 5)], [Rational(4, 5), Rational(3, 5)]])
width, n, P = Rational(3, 10), 5, 2
psi = trajectory(A, Matrix([[1, 0], [0, 2]]), n)
M = limiting_regression(psi, P, width)
earlier = Matrix(psi[:, :-P])
assert earlier * M == A * earlier  # the recurrence
R = Matrix.diag(*[width ** (k // P) for k in range(earlier.cols)])
K = Matrix.hstack(*earlier.nullspace())
assert (M[:, -P:].T * R * K).is_zero_matrix  # the smallest solution is orthogonal to K
shift = Matrix(earlier.cols, earlier.cols, lambda i, j: int(i == j + P))
projection = K * (K.T * R * K).inv() * K.T * R
assert projection * shift * K == M * K  # on K: a projected shift …
gap = width * R - shift.T * R * shift
assert all(gap[k, k] >= 0 for k in range(gap.rows))  # … whose norm is at most √w (R-weighted),
assert gap.is_diagonal()
rest = extraneous_factor(psi, A, P, width)
print("det(z - M) / det(z - A) =", latex(factor(rest.as_expr())))
largest = max(abs(root) for root in rest.nroots())
print(f"largest further eigenvalue {float(largest):.4f}, bulk √w = {float(sqrt(width)):.4f}")
assert largest < sqrt(width)  # … and all further eigenvalues lie inside the bulk.

# %% [markdown]
# Does the learned kernel have this form? At strong signals, labels $y=a\eta$, $F/a$ is dominated by the costs of
# read-out and input; a direction of $h^{t+1}$ that $W$ does not carry on from the past would cost $O(a)$, so that the
# kernel grows as $a$ along trajectories of an exact recurrence, while what is independent stays $O(1)$: $\varepsilon\sim
# 1/a$. Labels of all times force the recurrence to reproduce the teacher's sequence. We assert the approach to
# $e^{\pm i\theta}$ for all times supervised:

# %%
theta = 2 * math.pi / 5
distance = {}
for amplitude in (1.0, 3.0, 10.0, 30.0):
    pair = outliers(solve(sequence(7, theta, amplitude, range(1, 7), w=0.3)))[0]
    assert len(pair) == 2
    distance[amplitude] = abs(pair[0] - np.exp(1j * theta))
    print(f"amplitude {amplitude:4.0f}: outlier {pair[0]:.5f}, off the teacher's by {distance[amplitude]:.5f}")
assert list(distance.values()) == sorted(distance.values(), reverse=True)
assert distance[30.0] < 2e-3
assert distance[1.0] > 20 * distance[30.0]

# %% [markdown]
# Several planes, one of them contracting to below the bulk's radius: only the plane outside the bulk is seen.

# %%
teacher = rotation_teacher((0.7, 2.0), (12.0, 12.0), (0.95, 0.4))
seen = outliers(solve(teacher.problem(7, orthonormal_patterns(4), range(1, 7), w=0.3)))[0]
print("teacher:", np.round(teacher.eigenvalues, 3), " outliers:", np.round(seen, 3), " √w:", round(math.sqrt(0.3), 3))
assert len(seen) == 2
assert abs(seen[0] - teacher.eigenvalues[0]) < 0.02

# %% [markdown]
# Fewer labels fix less. **Aliasing**: labels at times that are apart by multiples of $g$ are the same for
# $\theta+2\pi k/g$. For $g=2$ this is the symmetry $W\to-W$. No theory of these labels can tell the aliases apart; two
# neighbouring supervised times ($g=1$) exclude them. Without neighbours but with $g=1$, such as $\{1,3,6\}$, an alias
# is no longer exact, but may cost little more, or even less, than the teacher's own solution.

# %%
assert aliases(pi / 5, (1, 3, 5)) == (pi / 5, pi / 5 + pi)
assert aliases(pi / 5, (2, 5, 8)) == (pi / 5, pi / 5 + 2 * pi / 3, pi / 5 + 4 * pi / 3)
assert aliases(pi / 5, (1, 2, 4, 7)) == (pi / 5,)
for angle in (0.7, 0.7 + math.pi):
    np.testing.assert_allclose(
        sequence(7, angle, 2.0, (1, 3, 5)).labels, sequence(7, 0.7, 2.0, (1, 3, 5)).labels, atol=1e-13
    )
assert np.abs(sequence(7, 0.7 + math.pi, 2.0, (1, 2)).labels - sequence(7, 0.7, 2.0, (1, 2)).labels).max() > 1

# %% [markdown]
# ## 3. The expansion in the labels beside the full solution
#
# One pattern, supervised at 1, 3 and 6 of 6 times. The kernel to order $k$ in $Y$ must miss the solved one by
# $O(a^{2(k+1)})$: halving the amplitude divides the error by $4^{k+1}$, for every order and both networks.

# %%
supervised = (1, 3, 6)
for arch in ("rnn", "dnn"):
    missing = {}
    for amplitude in (Rational(1, 8), Rational(1, 16)):
        teacher = rotation_teacher(1.2, float(amplitude))
        full = solve(teacher.problem(7, [[math.sqrt(2), 0.0]], supervised, arch=arch), tolerance=1e-13).kernel
        y = Matrix([nsimplify(label, rational=True) for label in teacher.labels(x, 6)[0, [t - 1 for t in supervised]]])
        total = np.zeros((6, 6))
        for order, term in enumerate(expand(Task(6, eye(1), supervise(supervised, 1), y), arch, 3)):
            total = total + np.array(term, dtype=float)
            missing[amplitude, order] = np.abs(full - total).max()
    for order in range(4):
        fall = missing[Rational(1, 8), order] / missing[Rational(1, 16), order]
        print(f"{arch.upper()}, order {order}: error {missing[Rational(1, 16), order]:.2e}, falls by {fall:.1f}")
        assert abs(fall / 4 ** (order + 1) - 1) < 0.15

# %% [markdown]
# What second order adds at unsupervised pairs are the paths of appendix 05; the DNN has none of them, in agreement with
# section 1 to all orders.

# %%
exact = expand(Task(6, eye(1), supervise(supervised, 1), Matrix([1, -2, 3])), "dnn", 4)
for term in exact:
    for t, s in product(range(1, 7), repeat=2):
        if t != s and not {t, s} <= set(supervised):
            assert term[t - 1, s - 1] == 0
