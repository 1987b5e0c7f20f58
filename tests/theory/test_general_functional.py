"""The free energy of any sharing, skip, biases and outputs: its derivatives against scalar differentiation by entry."""

from functools import cache

import mpmath
import pytest
from sympy import Identity, Matrix, MatrixSymbol, OneMatrix, Rational, Symbol, Trace, diff, eye, log, simplify, zeros

from theory.matrix_calculus import Mask, Shift
from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.kernel_functional import (
    BIASES,
    GENERAL,
    SHARING,
    X_SHIFTED,
    H,
    LinearNetwork,
    dH,
    forward_covariance,
    free_energy,
    free_energy_gradient,
    free_energy_hessian_vector_product,
    free_energy_terms,
    labels,
    network,
)
from theory.sharing import sharing
from theory.symbols import P as patterns
from theory.symbols import beta, kappa, n, rho, skip, u, v, w

WIDTHS = {u: Rational(5, 4), v: Rational(2, 3), w: Rational(7, 5), kappa: Rational(1, 2)}
#: Sharing matrices, (n-1, n-1): of full rank, singular, of unequal diagonal, with entries of both signs.
FULL = Matrix([[1, Rational(2, 3)], [Rational(2, 3), 4]])
SINGULAR = Matrix([[4, -2], [-2, 1]])
_ROWS = Matrix([[Rational(3, 5), Rational(4, 5)], [0, 2], [1, 0]])
RANK_TWO = _ROWS * _ROWS.T


def positive_definite(size, seed):
    A = Matrix(size, size, lambda i, j: ((i + 1) * (2 * j + seed) ** 2 + 3 * i * j) % 7 - 3)
    return A * A.T / 5 + eye(size)


def symmetric(size, seed):
    A = Matrix(size, size, lambda i, j: ((seed + 3) * (i + 1) * (j + 2) + i + j) % 5 - 2)
    return A + A.T


class Case:
    """A task of rational numbers, M, a, β, and each output's supervised positions."""

    def __init__(self, P, M, a, b, *positions):
        self.n, self.P, self.M, self.a, self.b, self.positions = M.rows + 1, P, M, Rational(a), Rational(b), positions
        size = self.n * P
        self.kernel, self.direction = positive_definite(size, 1), symmetric(size, 4)
        self.inputs = eye(size) / 9
        self.inputs[:P, :P] += positive_definite(P, 2)
        self.inputs[size - 1, size - 1] += 1
        self.bias = Matrix(self.n, self.n, lambda s, t: Rational(1, 2) ** abs(s - t))
        self.labels = [Matrix([i + 2 - 3 * c for i in range(len(at))]) for c, at in enumerate(positions)]
        self.network = LinearNetwork(SHARING, skip, beta, len(positions))
        self.layout = Layout.of_pairs(self.n, P, *positions)

    def values(self):
        size, P = self.n * self.P, self.P
        whole = zeros(self.n, self.n)
        whole[0, 0] = 7  # meets zeros only
        whole[1:, 1:] = self.M
        found = {H: self.kernel, dH: self.direction, X_SHIFTED: self.inputs, SHARING: whole, skip: self.a, beta: self.b}
        found[BIASES] = Matrix(size, size, lambda i, j: self.bias[i // P, j // P])
        for c, y in zip(self.network.indices, self.labels, strict=True):
            found[labels(c)] = y * y.T
        return found | WIDTHS

    def scalar(self, kernel, number=lambda x: x, inverse=None, determinant=None, logarithm=log):
        """F with loops over entries, from docs/theory.md sections 3 and 10 to 12: no code of theory.matrix_calculus."""
        inverse = inverse or (lambda rows: Matrix(rows).to_DM().to_field().inv().to_Matrix())
        determinant = determinant or (lambda rows: (lambda D: D.domain.to_sympy(D.det()))(Matrix(rows).to_DM()))
        P, size = self.P, self.n * self.P
        a, b = number(self.a), number(self.b)
        wu, wv, ww, wk = (number(WIDTHS[s]) for s in (u, v, w, kappa))
        D = [[wu * number(self.inputs[i, j]) for j in range(size)] for i in range(size)]
        for i in range(size):
            for j in range(size):
                s, t = i // P, j // P
                D[i][j] += b * number(self.bias[s, t])
                if s and t:
                    D[i][j] += ww * number(self.M[s - 1, t - 1]) * kernel[i - P, j - P]
        # h^t = Σ_s a^{t-s} drive^s
        reach = [
            [a ** (i // P - j // P) if i >= j and (i - j) % P == 0 else 0 for j in range(size)] for i in range(size)
        ]
        C = [
            [
                sum(
                    reach[i][k] * D[k][m] * reach[j][m]
                    for k in range(size)
                    for m in range(size)
                    if reach[i][k] and reach[j][m]
                )
                for j in range(size)
            ]
            for i in range(size)
        ]
        Q, energy = inverse(C), 0
        for at, y in zip(self.positions, self.labels, strict=True):
            K = [[wv * kernel[i, j] + (wk if i == j else 0) for j in at] for i in at]
            E = inverse(K)
            energy += sum(number(y[i]) * E[i, j] * number(y[j]) for i in range(len(at)) for j in range(len(at)))
        overlap = sum(kernel[i, j] * Q[j, i] for i in range(size) for j in range(size))
        return (energy + overlap - logarithm(determinant(kernel)) + logarithm(determinant(C))) / 2


CASES = {
    "one output": Case(1, FULL, "1/3", "1/2", [0, 2]),
    "singular, two outputs": Case(1, SINGULAR, 1, "2/3", [1, 2], [2]),
    "unequal diagonal, three outputs": Case(1, RANK_TWO, "1/2", 0, [0, 3], [3], [1, 2]),
    "two patterns, no skip": Case(2, Matrix([[2]]), 0, "3/4", [0, 3], [1]),
}


def unit(size, i, j):
    return Matrix(size, size, lambda a, b: int({a, b} == {i, j} and (i != j or a == b)))


@cache
def product(outputs):
    return free_energy_hessian_vector_product(LinearNetwork(SHARING, skip, beta, outputs))


def mismatches(case, G, dG=None):
    """Independent entries at which G, or dG, is not what SymPy's scalar differentiation along H_ij = H_ji gives."""
    size, step, other = case.n * case.P, Symbol("step"), Symbol("other")
    found = []
    for i in range(size):
        for j in range(i, size):
            F = case.scalar(case.kernel + step * unit(size, i, j) + (0 if dG is None else other) * case.direction)
            expected = diff(F, step).subs(step, 0)
            known = G if dG is None else dG
            if dG is not None:
                expected = diff(expected, other).subs(other, 0)
            if simplify(expected - (2 - (i == j)) * known[i, j]) != 0:
                found.append((i, j))
    return found


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_that_of_scalar_differentiation_exactly(name):
    case = CASES[name]
    assert mismatches(case, evaluate(free_energy_gradient(case.network), case.values(), case.layout)) == []


@pytest.mark.parametrize(
    "name", ["one output", "singular, two outputs", pytest.param("two patterns, no skip", marks=pytest.mark.slow)]
)
def test_hessian_product_is_that_of_scalar_differentiation_exactly(name):
    case = CASES[name]
    dG = evaluate(product(len(case.positions)), case.values(), case.layout)
    assert dG == dG.T
    assert mismatches(case, None, dG) == []


@pytest.mark.parametrize("name", CASES)
def test_value_is_that_of_the_covariance_with_the_skip_inverted(name):
    """``C = A⁻¹DA⁻ᵀ``, inverted as it stands, has the trace and determinant that F takes from D."""
    case = CASES[name]
    value = evaluate(free_energy(case.network), case.values(), case.layout)
    assert abs((value - case.scalar(case.kernel)).evalf(40)) < 1e-35
    C = evaluate(forward_covariance(case.network), case.values(), case.layout)
    assert C.is_symmetric()
    trace = evaluate(free_energy_terms(case.network)["trace"], case.values(), case.layout)
    assert 2 * trace == (C.inv() * case.kernel).trace()


@pytest.mark.parametrize("seed", range(4))
def test_gradient_and_hessian_against_differences_at_high_precision(seed):
    """Random M = GGᵀ of rank 1 to 3, a, β and sets of 1 to 3 outputs; n = 4, P = 2, F along a line in 70 digits."""
    G = Matrix(3, 1 + seed % 3, lambda i, j: Rational(2 * ((5 * i + 3 * j + seed * (i + 2)) % 7) - 7, 2))
    M = G * G.T
    sets = [[0, 3, 6], [5], [1, 6, 7]][: 1 + seed % 3]
    case = Case(2, M, Rational(seed, 3), Rational(3 - seed, 4), *sets)
    values = case.values()
    first = (evaluate(free_energy_gradient(case.network), values, case.layout) * case.direction).trace()
    second = (evaluate(product(len(sets)), values, case.layout) * case.direction).trace()
    with mpmath.workdps(70):

        def mp(x):
            x = Rational(x)
            return mpmath.mpf(x.p) / x.q

        def along(step):
            kernel = mpmath.matrix(8, 8)
            for i in range(8):
                for j in range(8):
                    kernel[i, j] = mp(case.kernel[i, j]) + step * mp(case.direction[i, j])
            return case.scalar(
                kernel, mp,
                inverse=lambda rows: mpmath.inverse(mpmath.matrix(rows)),
                determinant=lambda rows: mpmath.det(mpmath.matrix(rows)),
                logarithm=mpmath.log,
            )  # fmt: skip

        step = mpmath.mpf(10) ** -16
        ahead, here, behind = (along(x) for x in (step, mpmath.mpf(0), -step))
        assert abs((ahead - behind) / (2 * step) / mp(first) - 1) < mpmath.mpf(10) ** -26
        assert abs((ahead - 2 * here + behind) / step**2 / mp(second) - 1) < mpmath.mpf(10) ** -26


@pytest.mark.parametrize(
    "mutate",
    [
        lambda G: G.replace(Mask, lambda A, weights: A),
        lambda G: G.xreplace({skip: skip * Rational(101, 100)}),
        lambda G: G.xreplace({beta: beta * Rational(101, 100)}),
        lambda G: G.xreplace({labels(2): labels(2) * 2}),
    ],
    ids=["M dropped", "skip off by 1 %", "bias off by 1 %", "the second output's labels"],
)
def test_a_changed_gradient_is_caught(mutate):
    case = CASES["singular, two outputs"]
    G = mutate(free_energy_gradient(case.network))
    assert mismatches(case, evaluate(G, case.values(), case.layout)) != []


@pytest.mark.parametrize(
    ("word", "plain"),
    [("shared:1", "rnn"), ("shared:0", "dnn"), ("drift:1", "rnn"), ("drift:0", "dnn"), ("looped:1", "rnn")],
)
def test_the_ends_of_the_families_are_the_same_expressions(word, plain):
    assert free_energy(word) == free_energy(plain)
    assert free_energy_gradient(word) == free_energy_gradient(plain)


@pytest.mark.parametrize(("M", "plain"), [(OneMatrix(n, n), "rnn"), (Identity(n), "dnn")])
def test_the_general_expression_becomes_rnn_and_dnn(M, plain):
    at_zero = LinearNetwork(M, skip=0, bias=0)
    assert free_energy(at_zero) == free_energy(plain)
    put = free_energy_gradient(GENERAL).subs({skip: 0, beta: 0})
    weights = M if plain == "dnn" else OneMatrix(n, n)
    size = Layout.of_pairs(3, 1, [2])
    case = Case(1, (eye(2) if plain == "dnn" else Matrix.ones(2, 2)), 0, 0, [2])
    assert evaluate(put, case.values(), size) == evaluate(free_energy_gradient(plain), case.values(), size)
    assert evaluate(Mask(Shift(H), weights), case.values(), size) == evaluate(
        Mask(Shift(H), SHARING), case.values(), size
    )


def test_layers_as_many_as_matrices_are_independent():
    """looped:p with p = n - 1 is the DNN; with p = 1 the RNN."""
    for n_times in (3, 4, 6):
        assert sharing(f"looped:{n_times - 1}").matrix(n_times) == eye(n_times - 1).as_immutable()
        assert sharing("looped:1").matrix(n_times) == Matrix.ones(n_times - 1, n_times - 1).as_immutable()
    case = Case(1, sharing("looped:2").matrix(3).as_mutable(), 0, 0, [1, 2])
    G = evaluate(free_energy_gradient("looped:2"), case.values(), case.layout)
    assert evaluate(free_energy_gradient("dnn"), case.values(), case.layout) == G


def test_shared_is_linear_in_rho_under_the_covariance():
    C = forward_covariance("shared:rho")
    assert rho * w * Shift(H) + (1 - rho) * w * Mask(Shift(H)) + u * X_SHIFTED == C or C.has(Mask)
    case = Case(1, Matrix([[1, Rational(1, 4)], [Rational(1, 4), 1]]), 0, 0, [2])
    one, other = forward_covariance("shared:1/4"), forward_covariance(LinearNetwork(SHARING))
    assert evaluate(one, case.values(), case.layout) == evaluate(other, case.values(), case.layout)


@pytest.mark.parametrize("weights", [Identity(n), SHARING])
def test_masks_are_their_own_adjoint(weights):
    K, A = MatrixSymbol("K", 6, 6), MatrixSymbol("A", 6, 6)
    values = {
        K: Matrix(6, 6, lambda i, j: i**2 - 3 * j + 1),
        A: Matrix(6, 6, lambda i, j: (i + 2) * j - 5),
        SHARING: symmetric(3, 2),
    }
    layout = Layout.of_pairs(3, 2, [1])
    node = Mask(A, weights)
    left = evaluate(Trace(K * node), values, layout)
    assert left == evaluate(Trace(node.adjoint_map(K) * A), values, layout) != 0


def test_a_network_is_refused_or_named():
    with pytest.raises(ValueError, match="outputs"):
        LinearNetwork(SHARING, outputs=0)
    with pytest.raises(ValueError, match="arch"):
        network("cnn")
    assert network(GENERAL) is GENERAL
    assert H.rows == n * patterns
