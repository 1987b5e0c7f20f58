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
# # Noise that is drawn along query directions
#
# A step of Langevin dynamics adds $N^2$ normals to $W$. Drawing them is nearly all of its cost. But until somebody asks
# for $W$, the network takes a few products with it only: $W\phi^t$ on the way forward, $W^\top\delta^t$ on the way back. We
# derive what has to be drawn for these products to have exactly the law that they have when all noise is drawn at once,
# and what is left to draw when $W$ is wanted after all.

# %%
import numpy as np
from scipy.stats import ks_2samp
from sympy import (
    Matrix,
    MatrixSymbol,
    Rational,
    diff,
    eye,
    kronecker_product,
    latex,
    solve,
    symbols,
    zeros,
)

from numerics.inputs.problem import endpoint
from numerics.linalg import FloatArray
from numerics.sampling.network import Weights, make_network
from numerics.sampling.sgld import SGLD, mobility

# %% [markdown]
# ## 1. What is known of a matrix after some products
#
# Let $B$ have independent normal entries of variance $v$, and let $F=BQ$ and $G=B^\top P$ be known for orthonormal
# columns $Q$ and $P$. Written as a vector, $B$ is a Gaussian of covariance $v$ of which some linear functions $MB$ are
# known. The conditional law of such a vector is a projection: its mean is the part of $B$ in the rows of $M$, which is
# known, and its covariance $v$ times the projector on what is orthogonal to them. We claim that
# $$B=PG^\top+(1-PP^\top)FQ^\top+\sqrt v\,(1-PP^\top)Z(1-QQ^\top)$$
# with $Z$ of standard normals. Exactly, for two directions on one side and one on the other:

# %%
third = Rational(1, 3)
Q = third * Matrix([[2, 2], [2, -1], [1, -2]])
P = third * Matrix([2, -2, -1])
for frame in (Q, P):
    assert (frame.T * frame - eye(frame.cols)).is_zero_matrix
beyond_Q, beyond_P = eye(3) - Q * Q.T, eye(3) - P * P.T


def rows_of(right: Matrix, left: Matrix) -> Matrix:
    """The linear map from the entries of B, row by row, to those of B · right and Bᵀ · left."""
    return Matrix.vstack(kronecker_product(eye(3), right.T), kronecker_product(left.T, eye(3)))


def projector(rows: Matrix) -> Matrix:
    """On the space that some rows span; those that depend on others are left out."""
    independent = rows.T.rref()[1]
    basis = rows.extract(list(independent), list(range(rows.cols)))
    return basis.T * (basis * basis.T).inv() * basis


known = projector(rows_of(Q, P))
assert known.rank() == 3 * 2 + 3 * 1 - 2  # the two sides share PᵀBQ
assert eye(9) - known == kronecker_product(beyond_P, beyond_Q)  # the covariance
B = Matrix(MatrixSymbol("B", 3, 3))
F, G = B * Q, B.T * P
mean = P * G.T + beyond_P * F * Q.T
assert (mean - (known * B.reshape(9, 1)).reshape(3, 3)).expand() == zeros(3, 3)
print("known of", B.shape, ":", known.rank(), "of 9 directions")

# %% [markdown]
# ## 2. One more direction
#
# A direction $q$ that is orthogonal to $Q$ gives $Bq=PG^\top q+\sqrt v\,(1-PP^\top)Zq$, and $Zq$ is a vector of fresh
# standard normals $g$: of the $N^2$ numbers, $N$ are drawn.
#
# The directions are not given in advance. The network's activity depends on the products so far. But at the moment at
# which $q$ is chosen, it is a function of what is known; given that, it is fixed, and the law of $B$ is that of section 1
# whatever led there. So, by induction over the products, every new one is drawn from its law given all those before, and
# the joint law of all products, and of what $W$ is at the end, is that of noise drawn at once.

# %%
q = third * Matrix([1, -2, 2])
assert (Q.T * q).is_zero_matrix
assert q.norm() == 1
along = kronecker_product(eye(3), q.T)  # B ↦ B q
assert along * kronecker_product(beyond_P, beyond_Q) * along.T == beyond_P
assert (B * q - (P * G.T * q + beyond_P * B * q)).expand() == zeros(3, 1)

# %% [markdown]
# ## 3. The next step's noise
#
# The next step adds $\sqrt{2h}\,\xi$ with a new matrix $\xi$. It adds $2h$ to $v$, and to $F$ and $G$ it adds $\xi Q$ and
# $\xi^\top P$, which share $P^\top\xi Q$. From two independent sets of normals, $g_1$ and $g_2$, they are made as
# $$X=g_1,\qquad Y=g_2+Q\,(X^\top P-Q^\top g_2).$$
# That these have the joint law of $(\xi Q,\xi^\top P)$ is a statement on covariances:

# %%
count = 3 * 2 + 3 * 1
entries = symbols(f"g0:{count}")
first, second = Matrix(3, 2, entries[:6]), Matrix(3, 1, entries[6:])
X, Y = first, second + Q * (first.T * P - Q.T * second)
drawn = Matrix([*X, *(Y.T)])
assert (P.T * X - Y.T * Q).expand() == zeros(1, 2)
by_normals = drawn.jacobian(entries)
assert by_normals * by_normals.T == rows_of(Q, P) * rows_of(Q, P).T

# %% [markdown]
# Decay multiplies everything alike, and the gradient, a sum of outer products, is known. So a step is a few products and
# a few vectors of normals.
#
# ## 4. When to draw the rest
#
# Each step has $r$ new query directions on either side ($r=(T-2)P$ for the RNN). After $j$ steps, a step draws $2r$ vectors
# for its products and $2rj$ for the noise along all directions so far; after $m$ steps the rest is drawn, $N^2$ numbers,
# and everything is added up. The mean number of normals a step, $N^2/m+rNm$ to leading order, is least at

# %%
m, N, r = symbols("m N r", positive=True)
numbers = N**2 / m + r * N * m
(best,) = solve(diff(numbers, m), m)
assert (best**2 - N / r).expand() == 0
fewest = numbers.subs(m, best)
print("m =", latex(best))
print("normals a step =", latex(fewest.simplify()))
at = {N: 1024, r: 2}
print(f"N = 1024, r = 2: m = {float(best.subs(at)):.0f}; {float((fewest / N**2).subs(at)):.3f} of N² normals a step")
assert (fewest / N**2).subs(at) < Rational(1, 10)

# %% [markdown]
# where a step needs a tenth of the normals. Sums of outer products cost something too, so that the sampler takes
# sixteen steps there; the products with $W$ remain.
#
# ## 5. Confirmation
#
# From one start, a network of $N=384$ makes 20 large steps many times over, once as the sampler makes them and once in a
# few lines of NumPy that draw all noise at once. The kernel, the output's loss, an entry of $W$ and a random bilinear form
# of it must have the same distributions.

# %%
WIDTH, STEPS, REPEATS, SIZE, LABEL = 384, 20, 200, 0.05, 3.0
net = make_network(endpoint(4, LABEL**2), WIDTH, "float64")
begin = net.prior_draw(np.random.default_rng(1), readout=True)
ends = np.random.default_rng(2).standard_normal((2, WIDTH)) / np.sqrt(WIDTH)


def quantities(U: FloatArray, W: FloatArray, V: FloatArray) -> list[float]:
    """Kernel entries, loss, an entry and a bilinear form of W."""
    h = [U, W @ U / np.sqrt(WIDTH), W @ (W @ U) / WIDTH]
    kernel = np.array(h) @ np.array(h).T / WIDTH
    return [*kernel[np.triu_indices(3)], (V @ h[2] / WIDTH - LABEL) ** 2, W[3, 5], ends[0] @ W @ ends[1]]


def at_once(rng: np.random.Generator) -> list[float]:
    """Langevin steps, written out."""
    assert begin.V is not None
    U, W, V = begin.U[:, 0].copy(), begin.W[0].copy(), begin.V.copy()
    for _ in range(STEPS):
        h1 = U
        h2 = W @ h1 / np.sqrt(WIDTH)
        h3 = W @ h2 / np.sqrt(WIDTH)
        miss = V @ h3 / WIDTH - LABEL
        d3 = miss * V
        d2 = W.T @ d3 / np.sqrt(WIDTH)
        d1 = W.T @ d2 / np.sqrt(WIDTH)
        slopes = (d1, (np.outer(d3, h2) + np.outer(d2, h1)) / np.sqrt(WIDTH), miss * h3)
        U, W, V = (
            part - SIZE * (part + slope) + np.sqrt(2 * SIZE) * rng.standard_normal(part.shape)
            for part, slope in zip((U, W, V), slopes, strict=True)
        )
    return quantities(U, W, V)


def along_queries(rng: np.random.Generator) -> list[float]:
    """The sampler's steps."""
    sampler = SGLD(net, SIZE, mobility(net, "prior"))
    state = sampler.init(rng, Weights(begin.U, begin.W, begin.V))
    passes = 0
    for _ in range(STEPS):
        before = state.W.dense
        state, _ = sampler.step(rng, state)
        passes += state.W.dense is not before
    assert passes == STEPS // 16
    weights = state.complete(rng).weights
    assert weights.V is not None
    return quantities(weights.U[:, 0], weights.W[0], weights.V)


rng = np.random.default_rng(3)
plain = np.array([at_once(rng) for _ in range(REPEATS)])
lazy = np.array([along_queries(rng) for _ in range(REPEATS)])
p_values = [float(ks_2samp(a, b).pvalue) for a, b in zip(plain.T, lazy.T, strict=True)]
print("p-values of equal distributions:", ", ".join(f"{value:.2f}" for value in p_values))
assert min(p_values) > 1e-3 / len(p_values)
