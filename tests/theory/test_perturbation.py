"""The expansion in the labels against the kernel solved numerically, its paths, and the second-order formula."""

import math
from itertools import pairwise

import mpmath
import pytest
from sympy import I, ImmutableMatrix, Matrix, Rational, expand, eye, prod, sqrt, symbols

from theory.perturbation import (
    Task,
    block_perturbation,
    cut_paths,
    path_shares,
    paths,
    perturbation,
    supervise,
)
from theory.perturbation import (
    expand as expand_task,
)
from theory.symbols import kappa, label, label_propagator, rho, u, v, w

DIGITS = 45


def rotation_labels(times, angle, amplitude):
    """Rotation teacher on two orthonormal patterns, exact in the floats that it starts from."""
    return Matrix([Rational(amplitude * f(angle * (t - 1))) for t in times for f in (math.cos, lambda x: -math.sin(x))])


def full_input(n, P):
    A = Matrix(n * P, n * P, lambda i, j: Rational((3 * i + j * j + 1) % 5 - 2, 3))
    return A * A.T + eye(n * P) / 4


TASKS = {
    "one pattern": Task(
        4, Matrix([[1]]), supervise((1, 3, 4), 1), Matrix([1, -2, 3]), Rational(3, 2), 2, Rational(4, 5), Rational(1, 2)
    ),
    "supervise 1, 3, 6 at T = 7": Task(
        6, Matrix([[1]]), supervise((1, 3, 6), 1), Matrix([2, 1, -1]), kappa=Rational(7, 10)
    ),
    "rotation, two patterns": Task(
        4, eye(2), supervise((1, 3, 4), 2), rotation_labels((1, 3, 4), 1.2566, 2.0), w=Rational(9, 10)
    ),
    "inputs at all times, single pairs supervised": Task(
        3,
        full_input(3, 2),
        ((1, 2), (3, 1), (3, 2)),
        Matrix([1, 2, -1]),
        Rational(3, 4),
        Rational(4, 3),
        Rational(6, 5),
    ),
}
WHOLE = "inputs at all times, single pairs supervised"


def scaled(task, strength):
    return Task(task.n, task.input_kernel, task.supervised, strength * task.labels, task.u, task.v, task.w, task.kappa)


# --- an independent solution: Newton's method on the entries of the gradient, in mpmath ---------------------


def number(x):
    x = Rational(x)
    return mpmath.mpf(x.p) / x.q


def numeric(matrix):
    return mpmath.matrix([[number(x) for x in row] for row in Matrix(matrix).tolist()])


class Saddle:
    """Stationarity of F for one task, in entries; nothing of it is shared with the expansion."""

    def __init__(self, task, arch, whole):
        self.P = task.patterns(whole)
        self.size = task.n * self.P
        self.arch = arch
        self.at = [(t - 1) * self.P + p - 1 for t, p in task.supervised]
        self.Y = numeric(task.labels)
        self.u, self.v, self.w, self.kappa = (number(x) for x in (task.u, task.v, task.w, task.kappa))
        self.X = mpmath.zeros(self.size)
        for i in range(task.input_kernel.rows):
            for j in range(task.input_kernel.rows):
                self.X[i, j] = number(task.input_kernel[i, j])

    def shared(self, i, j):
        """M between the matrices that lead to the times of two rows."""
        s, t = i // self.P - 1, j // self.P - 1
        family, _, number_ = str(self.arch).partition(":")
        if family == "looped":
            return int((s - t) % int(number_) == 0)
        if family in ("shared", "drift"):
            return number(Rational(number_)) ** (abs(s - t) if family == "drift" else min(abs(s - t), 1))
        if isinstance(self.arch, str):
            return int(self.arch == "rnn" or s == t)
        return number(self.arch[s, t])

    def covariance(self, H):
        C, P = self.u * self.X, self.P
        for i in range(P, self.size):
            for j in range(P, self.size):
                C[i, j] += self.w * self.shared(i, j) * H[i - P, j - P]
        return C

    def free_energy(self, H):
        C = self.covariance(H)
        E = mpmath.inverse(self.v * self.sub(H) + self.kappa * mpmath.eye(len(self.at)))
        energy = sum((self.Y * E)[i, i] for i in range(len(self.at)))
        overlap = sum((H * mpmath.inverse(C))[i, i] for i in range(self.size))
        return (energy + overlap - mpmath.log(mpmath.det(H) / mpmath.det(C))) / 2

    def sub(self, H):
        return mpmath.matrix([[H[i, j] for j in self.at] for i in self.at])

    def gradient(self, H):
        Q = mpmath.inverse(self.covariance(H))
        E = mpmath.inverse(self.v * self.sub(H) + self.kappa * mpmath.eye(len(self.at)))
        G, D, message = Q - mpmath.inverse(H), Q - Q * H * Q, E * self.Y * E
        for i in range(self.size - self.P):
            for j in range(self.size - self.P):
                G[i, j] += self.w * self.shared(i + self.P, j + self.P) * D[i + self.P, j + self.P]
        for a, i in enumerate(self.at):
            for b, j in enumerate(self.at):
                G[i, j] -= self.v * message[a, b]
        return G / 2

    def prior(self):
        H = mpmath.zeros(self.size)
        for _ in range(self.size // self.P):
            H = self.covariance(H)
        return H

    def pairs(self):
        return [(i, j) for i in range(self.size) for j in range(i, self.size)]

    def solve(self, H):
        """Newton with the Jacobian at the start, by differences; contraction is fast for weak labels."""
        step, pairs = mpmath.mpf(10) ** (-DIGITS // 2), self.pairs()
        jacobian, here = mpmath.zeros(len(pairs)), self.gradient(H)
        for column, (i, j) in enumerate(pairs):
            moved = H.copy()
            moved[i, j] += step
            moved[j, i] = moved[i, j]
            change = (self.gradient(moved) - here) / step
            for row, (k, m) in enumerate(pairs):
                jacobian[row, column] = change[k, m]
        inverse = mpmath.inverse(jacobian)
        for _ in range(40):
            residual = mpmath.matrix([here[i, j] for i, j in pairs])
            if mpmath.norm(residual, mpmath.inf) < mpmath.mpf(10) ** (8 - DIGITS):
                return H
            move = inverse * residual
            H = H.copy()
            for row, (i, j) in enumerate(pairs):
                H[i, j] -= move[row]
                H[j, i] = H[i, j]
            here = self.gradient(H)
        raise AssertionError("Newton did not converge")


def slopes(task, arch, order, *, change=1, network=None):
    """Slopes in log–log of the error of the sum up to each order 1 … k, between two label strengths."""
    whole = task is TASKS[WHOLE]
    strengths = [Rational(1, 10**4), Rational(1, 10**5)]
    errors = []
    with mpmath.workdps(DIGITS):
        orders = [numeric(D) for D in expand_task(task, arch, order, inputs_at_all_times=whole)]
        orders[-1] *= change
        for strength in strengths:
            weak = Saddle(scaled(task, strength), network or arch, whole)
            solved = weak.solve(weak.prior())
            total, row = orders[0], []
            for k in range(1, order + 1):
                total = total + number(strength) ** k * orders[k]
                row.append(mpmath.norm(solved - total, mpmath.inf))
            errors.append(row)
        return [float(mpmath.log10(a / b)) for a, b in zip(*errors, strict=True)]


#: The first and the last of three matrices are one; unequal widths, a negative correlation.
TIED = ImmutableMatrix([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
UNEVEN = ImmutableMatrix([[Rational(3, 2), -Rational(1, 3)], [-Rational(1, 3), Rational(3, 4)]])
CHECKED = [
    ("one pattern", "shared:1/2", 3),
    ("one pattern", "drift:7/10", 3),
    ("one pattern", "looped:2", 3),
    ("one pattern", TIED, 3),
    ("rotation, two patterns", TIED, 2),
    (WHOLE, "drift:7/10", 2),
    (WHOLE, UNEVEN, 2),
    ("one pattern", "rnn", 4),
    ("one pattern", "dnn", 3),
    ("supervise 1, 3, 6 at T = 7", "rnn", 2),
    ("supervise 1, 3, 6 at T = 7", "dnn", 2),
    ("rotation, two patterns", "rnn", 2),
    (WHOLE, "rnn", 3),
    (WHOLE, "dnn", 3),
]


@pytest.mark.parametrize(("name", "arch", "order"), CHECKED)
def test_error_of_order_k_falls_with_power_k_plus_one(name, arch, order):
    for k, slope in enumerate(slopes(TASKS[name], arch, order), start=1):
        assert slope == pytest.approx(k + 1, abs=0.01)


def test_a_changed_coefficient_lowers_the_slope():
    slope = slopes(TASKS["one pattern"], "rnn", 2, change=mpmath.mpf("1.01"))[-1]
    assert slope == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("network", ["shared:51/100", "drift:1/2"])
def test_another_sharing_lowers_the_slopes(network):
    """Of the kernel of a network whose weights are correlated otherwise, the expansion misses the first order."""
    found = slopes(TASKS["one pattern"], "shared:1/2", 2, network=network)
    assert found == pytest.approx([1, 1], abs=0.1)


def test_the_numerical_solution_is_a_stationary_point_of_the_free_energy():
    """The gradient of the independent route against differences of F itself."""
    task = TASKS[WHOLE]
    with mpmath.workdps(DIGITS):
        saddle = Saddle(task, "dnn", True)
        H = saddle.prior() + mpmath.mpf("0.3") * mpmath.eye(saddle.size)
        G, step = saddle.gradient(H), mpmath.mpf(10) ** -12
        for i, j in ((0, 0), (1, 4), (3, 5)):
            ends = []
            for sign in (1, -1):
                moved = H.copy()
                moved[i, j] += sign * step
                moved[j, i] = moved[i, j]
                ends.append(saddle.free_energy(moved))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert abs(slope - (2 - (i == j)) * G[i, j]) < mpmath.mpf(10) ** -20


# --- any sharing --------------------------------------------------------------------------------------------


def test_first_order_of_any_sharing_matrix_in_closed_form():
    """Each step from (q, q + l) carries w M_{q,q+l}, back to the meeting time and on from it."""
    n = 4
    a, b, c, d, e, f = symbols("a b c d e f")
    M = ImmutableMatrix([[a, b, c], [b, d, e], [c, e, f]])
    result = perturbation(n + 1, M, 1)
    h = [u * prod(w * M[q, q] for q in range(t)) for t in range(n)]
    E = {t: label_propagator(t) for t in range(1, n + 1)}
    assert result.propagators == {E[t]: 1 / (v * h[t - 1] + kappa) for t in E}

    def steps(start, end, lag):
        return prod(w * M[q - 1, q + lag - 1] for q in range(start, end))

    for t in range(1, n + 1):
        for lag in range(n + 1 - t):
            known = sum(
                v * E[x] * E[x + lag] * label(x) * label(x + lag)
                * h[s - 1] * h[s + lag - 1] * steps(s, x, lag) * steps(s, t, lag)
                for x in range(1, n + 1 - lag) for s in range(1, min(t, x) + 1)
            )  # fmt: skip
            assert expand(result.kernel[1][t, t + lag] - known) == 0


@pytest.mark.parametrize(
    ("arch", "same"),
    [("shared:1", "rnn"), ("drift:0", "dnn"), ("looped:1", "rnn"), ("looped:3", "dnn"), (eye(3), "dnn")],
)
def test_ends_of_the_families_are_the_rnn_and_the_dnn(arch, same):
    arch = arch if isinstance(arch, str) else ImmutableMatrix(arch)
    found, known = (perturbation(5, which, 2, supervised=(1, 2, 4)) for which in (arch, same))
    assert found.kernel == known.kernel
    assert found.message == known.message


def test_symbolic_correlation_holds_every_number():
    symbolic = {family: perturbation(4, f"{family}:rho", 2, supervised=(2, 3)) for family in ("shared", "drift")}
    for family, result in symbolic.items():
        for value in (Rational(0), Rational(2, 7), Rational(1)):
            known = perturbation(4, f"{family}:{value}", 2, supervised=(2, 3))
            for k in range(3):
                assert result.explicit(k).subs(rho, value).expand() == known.explicit(k).expand()


def test_paths_of_a_sharing_add_up_and_lose_the_product_along_their_steps():
    supervised = (1, 3, 6)
    for arch in ("shared:rho", TIED):
        T = 7 if isinstance(arch, str) else 5
        times = supervised if T == 7 else (1, 2, 4)
        result = perturbation(T, arch, 2, supervised=times)
        for entry, those in paths(T, arch, 2, times).items():
            assert expand(sum(path.contribution for path in those) - result.kernel[2].get(entry, 0)) == 0
    # 2 ← 1 ← 3: the pair (3, 6) goes back twice to (1, 4), the linked pair (3, 4) once to (2, 3), or twice and on again
    powers = {"shared:rho": [rho**5 / 2 + rho**3 / 2, rho**4, rho**3], "looped:2": [0, 0, 0], "looped:3": [0, 0, 0]}
    powers["drift:rho"] = [rho**9 / 2 + rho**7 / 2, rho**9, rho**7]
    for arch, known in powers.items():
        found = path_shares(7, arch, 2, supervised)[2, 3]
        assert all(expand(share - other) == 0 for share, other in zip(found.values(), known, strict=True))


def test_cut_paths_of_a_sharing_are_those_of_share_zero():
    supervised = (1, 2, 4)
    tied = ImmutableMatrix([[1, 0, 0], [0, 1, 1], [0, 1, 1]])
    for arch in ("dnn", "looped:2", tied):
        cut = cut_paths(5, 2, supervised, arch)
        shares = path_shares(5, arch, 2, supervised)
        none = {entry: tuple(path for path, share in those.items() if share == 0) for entry, those in shares.items()}
        assert cut == {entry: those for entry, those in none.items() if those}
    # only the step from (2, 3) to (3, 4) is left of lag 1
    assert set(perturbation(5, tied, 1, supervised=(2, 3)).kernel[1]) & {(1, 2), (2, 3), (3, 4)} == {(2, 3), (3, 4)}
    assert cut_paths(5, 2, supervised, "shared:1/3") == {}


# --- structure ----------------------------------------------------------------------------------------------


def test_symbolic_expansion_equals_the_expansion_in_numbers():
    result = perturbation(5, "rnn", 2, supervised=(1, 3, 4))
    task = TASKS["one pattern"]
    values = {u: task.u, v: task.v, w: task.w, kappa: task.kappa}
    values |= {label(t): y for t, y in zip((1, 3, 4), (1, -2, 3), strict=True)}
    for k, known in enumerate(expand_task(task, "rnn", 2)):
        assert result.explicit(k).subs(values) == known


def test_first_order_in_closed_form():
    """Δ_1^{tt'} sums the labels of the same lag, each with the number of ways along the diagonal."""
    n = 4
    result = perturbation(n + 1, "rnn", 1)
    E = {t: label_propagator(t) for t in range(1, n + 1)}
    for t in range(1, n + 1):
        for s in range(t, n + 1):
            known = sum(
                v * u**2 * w ** (t + s - 2 + a - t) * min(t, a) * label(a) * label(a + s - t) * E[a] * E[a + s - t]
                for a in range(1, n + 1 - (s - t))
            )
            assert expand(result.kernel[1].get((t, s), 0) - known) == 0


def test_mask_leaves_off_diagonal_entries_to_pairs_of_supervised_times():
    supervised = (1, 3, 6)
    whole, cut = (perturbation(7, arch, 2, supervised=supervised) for arch in ("rnn", "dnn"))
    off = {(t, s) for k in (1, 2) for t, s in cut.kernel[k] if t != s}
    assert off == {(1, 3), (1, 6), (3, 6)}
    assert {(t, s) for k in (1, 2) for t, s in whole.kernel[k]} == {(t, s) for t in range(1, 7) for s in range(t, 7)}


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_paths_add_up_to_the_entries(arch, order):
    T, supervised = (5, (1, 2, 4)) if order < 3 else (4, (1, 3))
    result = perturbation(T, arch, order, supervised=supervised)
    found = paths(T, arch, order, supervised)
    assert set(result.kernel[order]) <= set(found)
    for entry, those in found.items():
        total = sum(path.contribution for path in those)
        assert expand(total - result.kernel[order].get(entry, 0)) == 0
        for path in those:
            assert len(path.labels) == order
            assert len(path.times) == order + 1
            # lags add up along a path
            assert sum(a - b for a, b in path.labels) == entry[0] - entry[1]


def test_cut_paths_are_the_rnn_paths_that_the_dnn_lacks():
    supervised = (1, 3, 6)
    cut, kept = cut_paths(7, 2, supervised), paths(7, "dnn", 2, supervised)
    for entry, whole in paths(7, "rnn", 2, supervised).items():
        assert len(whole) == len(cut.get(entry, ())) + len(kept.get(entry, ()))
    # the messages meet at the entry moved along the diagonal by the shift
    assert [path.shifts for path in cut[1, 2]] == [(2,), (0,)]
    assert [str(path) for path in cut[1, 2]] == ["1 ← 1 ← 2  [y3·y1 y3·y6]", "1 ← 4 ← 2  [y3·y6 y3·y1]"]


def test_blocks_reduce_to_one_pattern_and_keep_the_order_of_factors():
    supervised = (2, 3)
    blocks = block_perturbation(4, "rnn", 2, supervised=supervised)
    scalar = perturbation(4, "rnn", 2, supervised=supervised)
    for k in (1, 2):
        for entry, known in scalar.kernel[k].items():
            block = blocks[k][entry]
            values = {}
            for symbol in block.free_symbols:
                kind, _, index = symbol.name.partition("_")
                if kind == "Y":
                    values[symbol] = label(int(index[0])) * label(int(index[1]))
                elif kind == "E":
                    values[symbol] = label_propagator(int(index))
                elif kind == "X":
                    values[symbol] = 1
            assert expand(block.subs(values) - known) == 0
    X, E2, E3, Y23 = symbols("X E_2 E_3 Y_23", commutative=False)
    assert blocks[1][1, 2] == u**2 * v * w**2 * X * E2 * Y23 * E3 * X


def test_degenerate_inputs_need_no_inverse_of_the_prior_kernel():
    """Two equal patterns: H_0 is singular; with the sum of their labels they act as one."""
    twice = Task(3, Matrix.ones(2, 2), supervise((1, 3), 2), Matrix([1, 1, 2, 2]), kappa=2)
    once = Task(3, Matrix([[1]]), supervise((1, 3), 1), Matrix([1, 2]), kappa=1)
    for two, one in zip(expand_task(twice, "rnn", 3), expand_task(once, "rnn", 3), strict=True):
        assert two.extract([0, 2, 4], [0, 2, 4]) == one
        assert two.extract([0, 2, 4], [1, 3, 5]) == one


# --- the poster's second-order formula ----------------------------------------------------------------------


def second_order_message(T, supervised):
    """Λ_2, and J = Λ_1 H_0 Λ_1, at κ = 0."""
    result = perturbation(T, "rnn", 2, supervised=supervised)
    at_zero = [result.explicit_message(k).subs(kappa, 0) for k in (1, 2)]
    prior = result.explicit(0)
    return prior, at_zero[0], at_zero[1], at_zero[0] * prior * at_zero[0]


def test_second_order_formula_at_lags_without_a_label_pair():
    T, supervised = 7, (1, 3, 6)
    n = T - 1
    prior, first, second, linked = second_order_message(T, supervised)
    dressed = v * prior * first * prior
    lags = {abs(a - b) for a in supervised for b in supervised}
    for t in range(1, n):
        for s in range(1, n):
            if abs(t - s) in lags:
                continue
            # Λ_2 at (t, t') = w (formula at one step) + w² (at two steps) + …
            steps = sum(w**step * linked[t + step - 1, s + step - 1] for step in range(1, n + 1 - max(t, s)))
            assert expand(second[t - 1, s - 1] - steps) == 0
            formula = sum(dressed[t, k] * dressed[k, s] / prior[k, k] for k in range(n))
            formula /= prior[t, t] * prior[s, s]
            assert expand(formula / v**2 - linked[t, s]) == 0


def test_second_order_formula_misses_the_feedback_at_lags_with_a_label_pair():
    _, _, second, linked = second_order_message(5, (1, 2, 3, 4))
    assert expand(second[0, 1] - sum(w**step * linked[step, 1 + step] for step in (1, 2))) != 0


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1,), {}, "T: is 1"),
        ((4, "cnn"), {}, "arch"),
        ((4, "rnn", -1), {}, "order"),
        ((4, "rnn", 1), {"supervised": (4,)}, "supervised"),
        ((4, "rnn", 1), {"supervised": ()}, "supervised"),
        ((4, "shared:2"), {}, "arch"),
        ((4, eye(3)), {}, "symmetric matrix"),
        ((4, Matrix([[1, 0], [Rational(1, 2), 1]])), {}, "symmetric matrix"),
        ((4, Matrix([[0, 0], [0, 1]])), {}, "diagonal"),
        ((4, Matrix([[1, 2], [2, 1]])), {}, "eigenvalue -1"),
        ((4, Matrix([[1, I / 2], [I / 2, 1]])), {}, "not real"),
        ((4, Matrix([[1, sqrt(2) / 2], [sqrt(2) / 2, 1]])), {}, "polynomials"),
        ((4, Matrix([[1, 1 / symbols("x")], [1 / symbols("x"), 1]])), {}, "polynomials"),
    ],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises(ValueError, match=message) as error:
        perturbation(*arguments, **options)
    assert "accepted:" in str(error.value)


def test_bad_tasks():
    with pytest.raises(ValueError, match="labels"):
        Task(3, Matrix([[1]]), ((1, 1),), Matrix([1, 2]))
    with pytest.raises(ValueError, match="input_kernel"):
        Task(3, Matrix([[1, 2], [3, 1]]), ((1, 1),), Matrix([1]))
    with pytest.raises(ValueError, match="different pairs"):
        expand_task(Task(3, Matrix([[1]]), ((1, 1), (1, 1)), Matrix([1, 2])), "rnn", 1)
    assert all(a < b for a, b in pairwise(perturbation(4, "rnn", 0).supervised))
