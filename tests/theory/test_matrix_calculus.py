"""Gradient and Hessian–vector product as matrix expressions, against scalar differentiation by entry."""

from itertools import product

import mpmath
import pytest
from sympy import (
    Determinant,
    Identity,
    ImmutableMatrix,
    Inverse,
    Matrix,
    MatrixSymbol,
    OneMatrix,
    Rational,
    Symbol,
    Trace,
    Transpose,
    ZeroMatrix,
    diff,
    eye,
    log,
    simplify,
)
from sympy import symbols as make_symbols

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
    hessian_vector_product,
    matrix_latex,
)
from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.kernel_functional import (
    X_SHIFTED,
    H,
    Y,
    dH,
    fold,
    free_energy,
    free_energy_gradient,
    free_energy_hessian_vector_product,
)
from theory.matrix_calculus.nodes import Bracket, Symmetrised, Whitened, transposed
from theory.symbols import kappa, u, v, w

PARAMETERS = {u: Rational(5, 4), v: Rational(2, 3), w: Rational(7, 5), kappa: Rational(1, 2)}
# (n, P, supervised positions in the time-major index)
CASES = [(2, 1, [1]), (3, 1, [0, 2]), (2, 2, [0, 3]), (3, 2, [1, 2, 5])]


def positive_definite(size, seed):
    A = Matrix(size, size, lambda i, j: ((i + 1) * (2 * j + seed) ** 2 + 3 * i * j) % 7 - 3)
    return A * A.T / 5 + eye(size)


def symmetric(size, seed):
    A = Matrix(size, size, lambda i, j: ((seed + 3) * (i + 1) * (j + 2) + i + j) % 5 - 2)
    return A + A.T


def task(n, P, positions):
    size, m = n * P, len(positions)
    X = Matrix.zeros(size, size)
    X[:P, :P] = positive_definite(P, 2)
    X[size - 1, size - 1] += 1  # an input at the last time as well
    X += eye(size) / 9
    labels = Matrix(m, 1, [i + 2 for i in range(m)])
    return positive_definite(size, 1), symmetric(size, 4), X, labels * labels.T


def exact_values(n, P, positions):
    kernel, direction, X, labels = task(n, P, positions)
    return {H: kernel, dH: direction, X_SHIFTED: X, Y: labels, **PARAMETERS}


def scalar_free_energy(kernel, n, P, positions, X, labels, arch, inverse, determinant, logarithm):
    """F with loops over entries: an independent transcription of docs/theory.md section 3."""
    a, b, c, k = (PARAMETERS[s] for s in (u, v, w, kappa))
    if logarithm is mpmath.log:
        a, b, c, k = (mpmath.mpf(x.p) / x.q for x in (a, b, c, k))
    size, m = n * P, len(positions)
    C = [[a * X[i, j] for j in range(size)] for i in range(size)]
    for t, s in product(range(1, n), repeat=2):
        if arch == "rnn" or t == s:
            for p, q in product(range(P), repeat=2):
                C[t * P + p][s * P + q] += c * kernel[(t - 1) * P + p, (s - 1) * P + q]
    E = inverse([[b * kernel[i, j] + (k if i == j else 0) for j in positions] for i in positions])
    Q = inverse(C)
    energy = sum(labels[i, j] * E[j, i] for i, j in product(range(m), repeat=2)) / 2
    overlap = sum(kernel[i, j] * Q[j, i] for i, j in product(range(size), repeat=2)) / 2
    return energy + overlap - logarithm(determinant(kernel)) / 2 + logarithm(determinant(C)) / 2


def determinant(rows):
    matrix = Matrix(rows).to_DM()
    return matrix.domain.to_sympy(matrix.det())


def symbolic_free_energy(kernel, case, arch):
    n, P, positions = case
    _, _, X, labels = task(*case)
    return scalar_free_energy(
        kernel, n, P, positions, X, labels, arch,
        inverse=lambda rows: Matrix(rows).to_DM().to_field().inv().to_Matrix(),
        determinant=determinant,
        logarithm=log,
    )  # fmt: skip


def entry_derivative(case, arch, i, j):
    """∂F/∂H_ij by the one independent entry, exactly: differentiate along H + ε(E_ij + E_ji)/(1 + δ_ij)."""
    kernel = task(*case)[0]
    size, step = kernel.rows, Symbol("step")
    unit = Matrix(size, size, lambda a, b: int({a, b} == {i, j} and (i != j or a == b)))
    return diff(symbolic_free_energy(kernel + step * unit, case, arch), step).subs(step, 0)


def mismatches(G, case, arch):
    """Independent entries at which the matrix gradient disagrees with scalar differentiation."""
    n, P, positions = case
    value = evaluate(G, exact_values(*case), Layout.of_pairs(n, P, positions))
    size = n * P
    return [
        (i, j)
        for i in range(size)
        for j in range(i, size)
        if simplify(entry_derivative(case, arch, i, j) - (2 - (i == j)) * value[i, j]) != 0
    ]


@pytest.mark.parametrize("arch", [pytest.param("rnn", marks=pytest.mark.slow), "dnn"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_equals_entrywise_differentiation_exactly(case, arch):
    assert mismatches(free_energy_gradient(arch), case, arch) == []


def test_gradient_with_all_entries_symbolic():
    """n = 2, P = 1: every entry a symbol, the identity of rational functions itself."""
    case = (2, 1, [0, 1])
    h11, h12, h22 = make_symbols("h11 h12 h22", positive=True)
    kernel = Matrix([[h11, h12], [h12, h22]])
    for arch in ("rnn", "dnn"):
        F = symbolic_free_energy(kernel, case, arch)
        G = evaluate(free_energy_gradient(arch), exact_values(*case) | {H: kernel}, Layout.of_pairs(*case))
        assert simplify(diff(F, h11) - G[0, 0]) == 0
        assert simplify(diff(F, h12) - 2 * G[0, 1]) == 0
        assert simplify(diff(F, h22) - G[1, 1]) == 0


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("case", CASES[:3], ids=str)
def test_hessian_vector_product_equals_second_scalar_derivatives(case, arch):
    n, P, positions = case
    kernel, direction, _, _ = task(*case)
    size, step, other = n * P, Symbol("step"), Symbol("other")
    value = evaluate(free_energy_hessian_vector_product(arch), exact_values(*case), Layout.of_pairs(n, P, positions))
    assert value == value.T
    for i in range(size):
        for j in range(i, size):
            unit = Matrix(size, size, lambda a, b, i=i, j=j: int({a, b} == {i, j} and (i != j or a == b)))
            F = symbolic_free_energy(kernel + step * unit + other * direction, case, arch)
            second = diff(diff(F, step).subs(step, 0), other).subs(other, 0)
            assert simplify(second - (2 - (i == j)) * value[i, j]) == 0


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_gradient_and_hessian_against_finite_differences_at_high_precision(arch):
    case = (4, 2, [0, 3, 6])
    n, P, positions = case
    kernel, direction, X, labels = task(*case)
    values = exact_values(*case)
    layout = Layout.of_pairs(n, P, positions)
    first = (evaluate(free_energy_gradient(arch), values, layout) * direction).trace()
    second = (evaluate(free_energy_hessian_vector_product(arch), values, layout) * direction).trace()
    with mpmath.workdps(70):

        def as_mp(matrix):
            return mpmath.matrix([[mpmath.mpf(x.p) / x.q for x in row] for row in matrix.tolist()])

        start, along, inputs, outer = as_mp(kernel), as_mp(direction), as_mp(X), as_mp(labels)

        def along_line(step):
            return scalar_free_energy(
                start + step * along, n, P, positions, inputs, outer, arch,
                inverse=lambda rows: mpmath.inverse(mpmath.matrix(rows)),
                determinant=lambda rows: mpmath.det(mpmath.matrix(rows)),
                logarithm=mpmath.log,
            )  # fmt: skip

        step = mpmath.mpf(10) ** -16
        ahead, here, behind = (along_line(x) for x in (step, 0, -step))
        slope, curvature = (ahead - behind) / (2 * step), (ahead - 2 * here + behind) / step**2
        assert abs(slope / (mpmath.mpf(first.p) / first.q) - 1) < mpmath.mpf(10) ** -28
        assert abs(curvature / (mpmath.mpf(second.p) / second.q) - 1) < mpmath.mpf(10) ** -28


@pytest.mark.parametrize(
    "mutate",
    [
        lambda G: G.replace(AdjointShift, Shift),
        lambda G: G.replace(Mask, lambda A, weights: A),
        lambda G: G.xreplace({v: v * Rational(101, 100)}),
        lambda G: G - Rational(1, 100) * Inverse(H),
    ],
    ids=["shift not adjoint", "mask dropped", "v off by 1 %", "entropy off by 2 %"],
)
def test_a_changed_gradient_is_caught(mutate):
    case = (3, 1, [0, 2])
    assert mismatches(mutate(free_energy_gradient("dnn")), case, "dnn") != []


@pytest.mark.parametrize("node", [Shift, AdjointShift, Mask])
def test_each_map_and_its_adjoint_pair_to_the_same_trace(node):
    layout = Layout.of_pairs(3, 2, [1, 4])
    K, A = MatrixSymbol("K", 6, 6), MatrixSymbol("A", 6, 6)
    values = {K: Matrix(6, 6, lambda i, j: i**2 - 3 * j + 1), A: Matrix(6, 6, lambda i, j: (i + 2) * j - 5)}
    left = evaluate(Trace(K * node(A)), values, layout)
    right = evaluate(Trace(node(A).adjoint_map(K) * A), values, layout)
    assert left == right != 0


def test_restriction_and_embedding_are_adjoint_for_any_projection():
    projection = ImmutableMatrix([[1, 2, 0, 0], [0, -1, 3, 1]])
    layout = Layout(2, 2, (projection,))
    K, A = MatrixSymbol("K", 2, 2), MatrixSymbol("A", 4, 4)
    values = {K: Matrix([[1, 2], [3, 5]]), A: Matrix(4, 4, lambda i, j: i - 2 * j + i * j)}
    node = Restrict(A, 2)
    assert isinstance(node.adjoint_map(K), Embed)
    left = evaluate(Trace(K * node), values, layout)
    assert left == evaluate(Trace(node.adjoint_map(K) * A), values, layout) != 0


def test_log_determinant_has_the_gradient_that_sympy_misses():
    A = SymmetricSymbol("A", 3)
    assert gradient(LogDet(A), A) == Inverse(A)
    assert hessian_vector_product(LogDet(A), A, SymmetricSymbol("V", 3)) == -Inverse(A) * SymmetricSymbol(
        "V", 3
    ) * Inverse(A)


def test_gradient_of_textbook_functionals():
    A, B = SymmetricSymbol("A", 3), MatrixSymbol("B", 3, 3)
    assert gradient(Trace(A * A), A) == 2 * A
    assert gradient(Trace(A**3), A) == (3 * A**2).doit()
    assert gradient(Trace(B * A), A) == (Rational(1, 2) * B + Rational(1, 2) * B.T).doit()
    constant = gradient(Trace(B), A)
    assert constant.is_ZeroMatrix


def test_derivatives_of_transposes_sums_and_powers_are_those_along_a_line():
    """Of F(A + tV) by differences, at 40 digits; the Hessian's product too."""
    A, B, V = SymmetricSymbol("A", 3), MatrixSymbol("B", 3, 3), SymmetricSymbol("V", 3)
    functionals = [
        Trace(B * Transpose(A * B)),
        3 * Trace((A + B) * A) - 2 * Trace(A * Transpose(A + B) * B),
        Trace(A**-2 * B) + Trace(B * Inverse(A + 2 * B * Transpose(B))),
        LogDet(A + B * Transpose(B)) - Trace(Transpose(Mask(A * B)) * A) / 5,
    ]
    values = {A: Matrix([[3, 1, 0], [1, 4, -1], [0, -1, 5]]), B: Matrix([[1, 2, 0], [0, -1, 1], [2, 0, 1]])}
    values[V] = Matrix([[1, -2, 1], [-2, 0, 3], [1, 3, 2]])
    layout, h = Layout(3, 1, (ImmutableMatrix([[1, 0, 0]]),)), Rational(1, 10**10)
    for F in functionals:
        ahead, here, behind = (
            Rational(str(evaluate(F, values | {A: values[A] + t * values[V]}, layout).evalf(40))) for t in (h, 0, -h)
        )
        first = (evaluate(gradient(F, A), values, layout) * values[V]).trace()
        second = (evaluate(hessian_vector_product(F, A, V), values, layout) * values[V]).trace()
        assert abs((ahead - behind) / (2 * h) - first) < 1e-15
        assert abs((ahead - 2 * here + behind) / h**2 - second) < 1e-15
        assert first != 0


def test_unknown_nodes_are_refused_and_never_a_silent_zero():
    A, V = SymmetricSymbol("A", 3), SymmetricSymbol("V", 3)
    with pytest.raises(ValueError, match="no rule for"):
        differential(Determinant(A), A, V)
    with pytest.raises(ValueError, match="product"):
        gradient(Trace(A) * LogDet(A), A)
    with pytest.raises(ValueError, match="accepted: that of A"):
        differential(A, A, SymmetricSymbol("V", 4))
    with pytest.raises(ValueError, match="square"):
        Shift(MatrixSymbol("B", 2, 3))
    with pytest.raises(ValueError, match="arch"):
        free_energy("cnn")


def test_expressions_print_as_latex():
    folded, definitions = fold(free_energy_gradient("dnn"), "dnn")
    text = matrix_latex(folded)
    assert "C^{-1}" in text
    assert r"\mathcal{T}^{\top}" in text
    assert "+ -" not in text
    assert text.count("{") == text.count("}")
    assert folded.xreplace(definitions) == free_energy_gradient("dnn")


def test_a_transpose_is_distributed_and_symmetric_parts_are_recognised():
    A, B = MatrixSymbol("A", 6, 6), MatrixSymbol("B", 6, 6)
    S = SymmetricSymbol("S", 6)
    assert transposed(S) is S
    assert transposed(A) == Transpose(A)
    assert transposed(Transpose(A)) == A
    assert transposed(3 * A * S * B) == 3 * Transpose(B) * S * Transpose(A)
    assert transposed(A + S) == Transpose(A) + S
    assert transposed(Inverse(A)) == Inverse(Transpose(A))
    assert transposed(Shift(A * B)) == Shift(Transpose(B) * Transpose(A))
    assert transposed(Mask(A)) == Mask(Transpose(A))
    assert transposed(Restrict(A, 2, 1)) == Restrict(Transpose(A), 2, 1)
    assert transposed(Bracket(A * B)) == Transpose(Bracket(A * B))
    assert transposed(Symmetrised(A)) == Symmetrised(A)
    assert transposed(Whitened(S, A)) == Transpose(Whitened(S, A))
    assert transposed(transposed(A * Inverse(B) + Shift(A))) == A * Inverse(B) + Shift(A)


def test_maps_of_nothing_and_of_multiples():
    A = MatrixSymbol("A", 6, 6)
    assert Shift(ZeroMatrix(6, 6)) == ZeroMatrix(6, 6)
    assert Restrict(ZeroMatrix(6, 6), 2) == ZeroMatrix(2, 2)
    assert Shift(-3 * A) == -3 * Shift(A)
    assert Mask(2 * A, 3 * SymmetricSymbol("M", 6)) == 6 * Mask(A, SymmetricSymbol("M", 6))
    assert Mask(A, OneMatrix(6, 6)) == A
    assert Mask(Mask(A)) == Mask(A)
    assert Mask(A, Identity(6) + OneMatrix(6, 6)) == Mask(A, Identity(6)) + A
    for wrong in (MatrixSymbol("C", 2, 3), w):
        with pytest.raises(ValueError, match="accepted: a square matrix"):
            Shift(wrong)
        with pytest.raises(ValueError, match="accepted: a square matrix"):
            LogDet(wrong)
