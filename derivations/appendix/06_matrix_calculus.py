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
# # Gradient and Hessian–vector product of the free energy, as matrix expressions
#
# For any number of times $n$, patterns $P$ and supervised pairs,
#
# $$F(H)=\tfrac12\,\mathrm{tr}\,Y(v\,\mathcal T H\mathcal T^\top+\kappa)^{-1}
#   +\tfrac12\,\mathrm{tr}\,HC^{-1}-\tfrac12\ln|H|+\tfrac12\ln|C|,\qquad C=w[H^-]+uX^-,$$
#
# is a functional of one symmetric matrix, built of trace, inverse, log-determinant and three linear maps: the shift
# $H\mapsto H^-$, the mask $[\cdot]$, and the restriction $\mathcal T\cdot\mathcal T^\top$. We derive its gradient and
# its Hessian–vector product by a small calculus of differentials.

# %%
import mpmath
import numpy as np
from sympy import (
    Determinant,
    Inverse,
    Matrix,
    MatrixExpr,
    MatrixSymbol,
    Rational,
    Symbol,
    Trace,
    diff,
    eye,
    log,
    simplify,
    zeros,
)

from numerics.linalg import FloatArray
from numerics.lowering.matrix import lower_matrix
from theory.matrix_calculus import (
    AdjointShift,
    Embed,
    LogDet,
    Mask,
    Restrict,
    Shift,
    SymmetricSymbol,
    differential,
    gradient,
    matrix_latex,
)
from theory.matrix_calculus.assignments import assignments
from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.kernel_functional import (
    BIASES,
    SHARING,
    X_SHIFTED,
    H,
    LinearNetwork,
    Y,
    dH,
    fold,
    forward_covariance,
    free_energy,
    free_energy_gradient,
    free_energy_hessian_vector_product,
    labels,
    propagator,
)
from theory.matrix_calculus.natural import S, entropy
from theory.symbols import beta, kappa, skip, u, v, w

# %% [markdown]
# ## 1. Differentials and the trace pairing
#
# The differential $d$ is linear, obeys the product rule, and
#
# $$dA^{-1}=-A^{-1}\,dA\,A^{-1},\qquad d\ln|A|=\mathrm{tr}\,A^{-1}dA,\qquad dL(A)=L(dA)$$
#
# for a fixed linear map $L$. The gradient $G$ of $F$ is read off $dF=\mathrm{tr}\,G\,dH$, moving everything off $dH$:
# $\mathrm{tr}\,AdH\,B=\mathrm{tr}\,BA\,dH$, and $\mathrm{tr}\,K\,L(dH)=\mathrm{tr}\,L^*(K)\,dH$ with the adjoint
# $L^*$. **Convention**: $H$ and $dH$ are symmetric, and so is $G$ (its antisymmetric part pairs to zero). The
# derivative by one independent entry $H_{ij}=H_{ji}$ is then $(2-\delta_{ij})\,G_{ij}$.
#
# The adjoint of the shift moves one time *back*; the mask is its own; the restriction's is the embedding among zeros.
# Exactly, on integer matrices:

# %%
layout = Layout.of_pairs(3, 2, [1, 2, 5])
K, A = MatrixSymbol("K", 6, 6), MatrixSymbol("A", 6, 6)
sample = {K: Matrix(6, 6, lambda i, j: i * i - 3 * j + 1), A: Matrix(6, 6, lambda i, j: (i + 2) * j - 5)}
for left, right in (
    (K * Shift(A), AdjointShift(K) * A),
    (K * AdjointShift(A), Shift(K) * A),
    (K * Mask(A), Mask(K) * A),
):
    assert evaluate(Trace(left), sample, layout) == evaluate(Trace(right), sample, layout) != 0
assert evaluate(Trace(K * Shift(A)), sample, layout) != evaluate(Trace(Shift(K) * A), sample, layout)

# %% [markdown]
# The rules are our own because SymPy's matrix derivative of a log-determinant is not to be relied on: what it gives
# for $\partial\ln|A|/\partial A$, and the rule above:

# %%
B = SymmetricSymbol("B", 3)
print("SymPy: ", diff(log(Determinant(B)), B))
print("here:  ", gradient(LogDet(B), B))
assert gradient(LogDet(B), B) == Inverse(B)

# %% [markdown]
# ## 2. The differential of F
#
# With $K=v\,\mathcal TH\mathcal T^\top+\kappa$ and $dC=w[dH^-]$,
#
# $$dF=-\tfrac v2\mathrm{tr}\,YK^{-1}(\mathcal T dH\mathcal T^\top)K^{-1}+\tfrac12\mathrm{tr}\,C^{-1}dH
#   -\tfrac12\mathrm{tr}\,C^{-1}HC^{-1}dC-\tfrac12\mathrm{tr}\,H^{-1}dH+\tfrac12\mathrm{tr}\,C^{-1}dC .$$
#
# Moving the maps to the other side of the pairing gives the gradient
#
# $$G=-\tfrac v2\,\mathcal T^\top K^{-1}YK^{-1}\mathcal T+\tfrac12C^{-1}-\tfrac12H^{-1}
#   +\tfrac w2\big[C^{-1}-C^{-1}HC^{-1}\big]^+ .$$

# %%
half = Rational(1, 2)
for arch in ("rnn", "dnn"):
    C, E = forward_covariance(arch), propagator()
    Q = Inverse(C)

    def masked(matrix: MatrixExpr, arch: str = arch) -> MatrixExpr:
        return matrix if arch == "rnn" else Mask(matrix)

    by_hand = (
        -v / 2 * Embed(E * Y * E, H.rows) + half * Q - half * Inverse(H)
        + w / 2 * AdjointShift(masked(Q)) - w / 2 * AdjointShift(masked(Q * H * Q))
    )  # fmt: skip
    derived = free_energy_gradient(arch)
    assert (derived - by_hand).doit().is_ZeroMatrix
    print(f"{arch.upper()}: G =", matrix_latex(fold(derived, arch)[0]))

# %% [markdown]
# ## 3. The Hessian–vector product
#
# The differential of $G$ in the direction $V=dH$. With $dQ=-C^{-1}\,dC\,C^{-1}$ and $R=\mathcal TV\mathcal T^\top$,
#
# $$dG=\tfrac{v^2}2\mathcal T^\top\big(K^{-1}RK^{-1}YK^{-1}+\text{transpose}\big)\mathcal T+\tfrac12dQ
#   +\tfrac12H^{-1}VH^{-1}+\tfrac w2\big[dQ-dQ\,HC^{-1}-C^{-1}VC^{-1}-C^{-1}H\,dQ\big]^+ .$$
#
# It is symmetric, and $\mathrm{tr}\,U\,dG(V)=\mathrm{tr}\,V\,dG(U)$.

# %%
for arch in ("rnn", "dnn"):
    product = free_energy_hessian_vector_product(arch)
    assert product == differential(free_energy_gradient(arch), H, dH)
    assert (product - product.T.doit()).doit().is_ZeroMatrix
    print(f"{arch.upper()}: dG =", matrix_latex(fold(product, arch)[0]))

# %% [markdown]
# ## 4. Confirmation, entry by entry
#
# $n=2$, $P=1$, both times supervised: every kernel entry a symbol. $F$ is written with loops over times, without
# any of the above, and differentiated by SymPy as a scalar.

# %%
h11, h12, h22 = (Symbol(name, positive=True) for name in ("h11", "h12", "h22"))
kernel = Matrix([[h11, h12], [h12, h22]])
inputs, outcomes = Matrix([[2, 0], [0, Rational(1, 3)]]), Matrix([3, -2])
numbers = {u: Rational(3, 2), v: Rational(2, 3), w: Rational(4, 5), kappa: Rational(1, 3)}
C = Matrix(2, 2, lambda i, j: numbers[u] * inputs[i, j] + (numbers[w] * kernel[0, 0] if i == j == 1 else 0))
E = (numbers[v] * kernel + numbers[kappa] * eye(2)).inv()
F = ((outcomes.T * E * outcomes)[0] + (kernel * C.inv()).trace() - log(kernel.det()) + log(C.det())) / 2
small = {H: kernel, X_SHIFTED: inputs, Y: outcomes * outcomes.T, **numbers}
both = Layout.of_pairs(2, 1, [0, 1])
for arch in ("rnn", "dnn"):  # at n = 2 the mask has nothing to cut
    G = evaluate(free_energy_gradient(arch), small, both)
    for entry, (i, j), factor in ((h11, (0, 0), 1), (h12, (0, 1), 2), (h22, (1, 1), 1)):
        assert simplify(diff(F, entry) - factor * G[i, j]) == 0
        assert simplify(diff(F, entry) - 3 * G[i, j]) != 0
print("n = 2: the gradient is that of the scalar F, as an identity of rational functions")

# %% [markdown]
# ## 5. Confirmation by differences, in high precision
#
# $n=4$, $P=2$, three of eight pairs supervised, inputs at more than one time. $F$ along a line in 70 digits, with
# mpmath's own inverse and determinant, written with loops; the first and second difference against
# $\mathrm{tr}\,G\,V$ and $\mathrm{tr}\,V\,dG(V)$.

# %%
n, P, positions = 4, 2, [0, 3, 6]
size = n * P
seed = Matrix(size, size, lambda i, j: Rational((3 * i + j * j + 1) % 5 - 2, 2))
kernel = seed * seed.T / 3 + eye(size)
direction = Matrix(size, size, lambda i, j: ((i + 1) * (j + 1) + i + j) % 4 - 1)
direction = direction + direction.T
inputs = eye(size) / 7
inputs[:P, :P] += Matrix([[2, 1], [1, 3]])
outcomes = Matrix([1, -2, 3])
layout = Layout.of_pairs(n, P, positions)
values = {H: kernel, dH: direction, X_SHIFTED: inputs, Y: outcomes * outcomes.T, **numbers}


def mp(x: Rational) -> mpmath.mpf:
    return mpmath.mpf(x.p) / x.q


def along_line(arch: str, step: mpmath.mpf) -> mpmath.mpf:
    """F at kernel + step · direction."""
    here = mpmath.matrix([[mp(kernel[i, j]) + step * mp(direction[i, j]) for j in range(size)] for i in range(size)])
    C = mpmath.matrix([[mp(numbers[u] * inputs[i, j]) for j in range(size)] for i in range(size)])
    for i in range(P, size):
        for j in range(P, size):
            if arch == "rnn" or i // P == j // P:
                C[i, j] += mp(numbers[w]) * here[i - P, j - P]
    m = len(positions)
    K = mpmath.matrix(m, m)
    for i, a in enumerate(positions):
        for j, b in enumerate(positions):
            K[i, j] = mp(numbers[v]) * here[a, b] + (mp(numbers[kappa]) if i == j else 0)
    y = mpmath.matrix([mp(x) for x in outcomes])
    energy = (y.T * mpmath.inverse(K) * y)[0]
    product = here * mpmath.inverse(C)
    overlap = mpmath.fsum(product[i, i] for i in range(size))
    return (energy + overlap - mpmath.log(mpmath.det(here)) + mpmath.log(mpmath.det(C))) / 2


for arch in ("rnn", "dnn"):
    G = evaluate(free_energy_gradient(arch), values, layout)
    dG = evaluate(free_energy_hessian_vector_product(arch), values, layout)
    with mpmath.workdps(70):
        step = mpmath.mpf(10) ** -16
        ahead, here, behind = (along_line(arch, x) for x in (step, mpmath.mpf(0), -step))
        slope, curvature = (ahead - behind) / (2 * step), (ahead - 2 * here + behind) / step**2
        first = abs(slope / mp((G * direction).trace()) - 1)
        second = abs(curvature / mp((dG * direction).trace()) - 1)
        print(f"{arch}: relative differences {mpmath.nstr(first, 2)} (gradient), {mpmath.nstr(second, 2)} (Hessian)")
        assert max(first, second) < mpmath.mpf(10) ** -28

# %% [markdown]
# ## 6. What it costs
#
# Lowered to NumPy, all shared parts are computed once: three Cholesky factorisations ($H$, $C$, $K$) and their
# inverses give value and gradient; each Hessian–vector product then costs seven multiplications of the whole size and
# two of the supervised size, and no factorisation.

# %%
expressions = {
    "value": free_energy("dnn"),
    "gradient": free_energy_gradient("dnn"),
    "product": free_energy_hessian_vector_product("dnn"),
}
lowered = lower_matrix(expressions, (H, X_SHIFTED, Y, u, v, w, kappa, dH), late=(dH,))
early, late = lowered.source.split("def finish")
assert early.count("= factor(") == 3
assert "factor(" not in late
assert late.count("@") == 9
print(late)


def array(matrix: Matrix) -> FloatArray:
    return np.array(matrix.tolist(), dtype=float)


bound = lowered.bind(
    H=array(kernel), X=array(inputs), Y=array(outcomes * outcomes.T), P=P, supervised=np.array(positions),
    **{str(name): float(number) for name, number in numbers.items()},
)  # fmt: skip
result = bound(dH=array(direction))
for name, known in (("gradient", G), ("product", dG)):
    difference = np.abs(result[name] - array(known)).max() / np.abs(array(known)).max()
    print(f"{name}: relative difference from the exact rationals {difference:.1e}")
    assert difference < 1e-12
assert isinstance(Restrict(H, 3).adjoint_map(Matrix.eye(3).as_immutable()), Embed)

# %% [markdown]
# ## 7. Any network
#
# With a sharing matrix $M$ over times, a skip connection $a$, biases of variance $\beta$ and several outputs the same
# expression is, with $A=1-a\Sigma$ and the covariance $D=w\,M\circ H^-+uX^-+\beta B$ of the drive $Ah$,
#
# $$F=\tfrac12\sum_c\mathrm{tr}\,Y_c(v\,\mathcal T_cH\mathcal T_c^\top+\kappa)^{-1}
#   +\tfrac12\mathrm{tr}\,AHA^\top D^{-1}-\tfrac12\ln|H|+\tfrac12\ln|D| .$$
#
# The mask is the entrywise product with $M$: for $M$ of ones it is no node, for $M=1$ the DNN's. It is its own adjoint.

# %%
general = LinearNetwork(SHARING, skip, beta, 2)
whole = free_energy_gradient(general)
print("G =", matrix_latex(fold(whole, general)[0]))
assert free_energy_gradient("shared:1") == free_energy_gradient("rnn")
assert free_energy_gradient("shared:0") == free_energy_gradient("dnn")

# %% [markdown]
# $n=3$, $P=1$, a singular $M$, each output with its own labels: $F$ along a line, written with $C=A^{-1}DA^{-\top}$ and
# explicit matrices, differentiated exactly by SymPy.

# %%
M = Matrix([[4, -2], [-2, 1]])
a, b = Rational(1, 2), Rational(2, 3)
step = Symbol("step")
start, along = Matrix(3, 3, lambda i, j: Rational(1, 1 + i + j)) + eye(3), Matrix([[1, 2, 0], [2, -1, 1], [0, 1, 1]])
over_times = zeros(3, 3)
over_times[1:, 1:] = M
given = {X_SHIFTED: eye(3) / 5, BIASES: Matrix(3, 3, lambda i, j: Rational(1, 2) ** abs(i - j)), SHARING: over_times}
sets, answers = ([1, 2], [2]), (Matrix([1, -2]), Matrix([3]))
given |= {labels(c): y * y.T for c, y in enumerate(answers, 1)}
moved = start + step * along
D = numbers[u] * given[X_SHIFTED] + b * given[BIASES]
D[1:, 1:] += numbers[w] * M.multiply_elementwise(moved[:2, :2])
back = (eye(3) - a * Matrix(3, 3, lambda i, j: int(i == j + 1))).inv()
C = back * D * back.T
F = ((moved * C.inv()).trace() - log(moved.det()) + log(C.det())) / 2
for at, y in zip(sets, answers, strict=True):
    F += (y.T * (numbers[v] * moved.extract(at, at) + numbers[kappa] * eye(len(at))).inv() * y)[0] / 2
G = evaluate(whole, given | numbers | {H: start, skip: a, beta: b}, Layout.of_pairs(3, 1, *sets))
assert simplify(diff(F, step).subs(step, 0) - (G * along).trace()) == 0
print("n = 3: the gradient of the general F is exact")

# %% [markdown]
# ## 8. What the solver runs
#
# For $H=L\,e^{S}L^\top$ the differential is taken by $E=e^S$ at $E=1$. The sum of sandwiches $XSY$ that it gives is turned
# until few different $X$ are left. With one $W$: six products of the whole size for each direction, ten for any $M$.

# %%
for tied, expected in ((True, 6), (False, 10)):
    program = assignments({"change": entropy(tied)["change"]}, late=(S,)).assignments
    assert sum(a.late and a.operation == "product" for a in program) == expected
    assert not any(a.late and a.operation in ("factor", "inverse", "whitened") for a in program)
