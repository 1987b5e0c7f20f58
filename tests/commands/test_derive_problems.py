"""What `unrolled derive` prints of any problem: F written out again here in mpmath, its derivatives by differences."""

from __future__ import annotations

import json

import mpmath
import numpy as np
import pytest
import sympy
from click.testing import CliRunner

from derivations.__main__ import cli

WIDTHS = {"u": 1.5, "v": 0.75, "w": 1.25, "kappa": 0.5, "lamda": 7.0, "rho": 0.25, "a": 0.4, "beta_b": 0.6}
STEP = mpmath.mpf(10) ** -12


def derive(*arguments: str) -> dict:
    result = CliRunner().invoke(cli, ["derive", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def correlation(arch, s, t):
    family, _, number = arch.partition(":")
    if family == "looped":
        return float((s - t) % int(number) == 0)
    value = {"rnn": 1.0, "dnn": 0.0}.get(arch) if family in ("rnn", "dnn") else float(sympy.Rational(number))
    return 1.0 if s == t else value ** abs(s - t) if family == "drift" else value


def free_energy(H, n, X, arch, a, b, targets, M=None, first=None):
    """F + constant from docs/theory.md sections 3 and 10 to 12; targets: projection and labels of each output."""
    size, P = H.rows, H.rows // n
    D = mpmath.matrix(size, size)
    for i in range(size):
        for j in range(size):
            s, t = i // P, j // P
            apart = arch.startswith("looped") and arch != "looped:1" and 0 in (s, t) and s != t
            shared = 0.0 if apart else correlation(arch, s, t)
            D[i, j] = WIDTHS["u"] * X[i, j] + b * shared * (first[i % P] * first[j % P] if first else 1)
            if s and t:
                weight = correlation(arch, s, t) if M is None else M[s - 1, t - 1]
                D[i, j] += WIDTHS["w"] * weight * H[i - P, j - P]
    step = mpmath.matrix(size, size)
    for i in range(P, size):
        step[i, i - P] = 1
    A = mpmath.eye(size) - a * step
    C = A**-1 * D * (A**-1).T
    energy = mpmath.mpf(0)
    for T, y in targets:
        K = WIDTHS["v"] * T * H * T.T + WIDTHS["kappa"] * mpmath.eye(T.rows)
        energy += (y.T * K**-1 * y)[0]
    trace = H * C**-1
    overlap = mpmath.fsum(trace[i, i] for i in range(size))
    return (energy + overlap - size - mpmath.log(mpmath.det(H)) + mpmath.log(mpmath.det(C))) / 2


def random_kernel(size, seed):
    rows = np.random.default_rng(seed).normal(size=(size, size + 2))
    return mpmath.matrix((rows @ rows.T / size).tolist())


def at(fields, H, labels=None):
    """Values of the printed symbols."""
    size = H.rows
    found = {sympy.Symbol(name): value for name, value in WIDTHS.items()}
    pairs = [(i, j) for i in range(size) for j in range(i, size)]
    for name, (i, j) in zip(fields["variables"], pairs, strict=True):
        found[sympy.Symbol(name)] = sympy.Float(H[i, j], 40)
    return found | {sympy.Symbol(name): value for name, value in (labels or {}).items()}


def number(text, values):
    return mpmath.mpf(sympy.sympify(text).evalf(30, subs=values))


#: Words, and what they say: n, P, architecture, a, β, supervised hidden times.
PROBLEMS = {
    "looped:2, T = 5": (("endpoint", "--T", "5", "--arch", "looped:2", "--bias", "1/3"), 4, 1, "looped:2", 0, 1 / 3),
    "drift and skip": (("--T", "4", "--arch", "drift:rho", "--skip", "symbolic"), 3, 1, "drift:1/4", 0.4, 0),
    "shared, skip and bias": (
        ("endpoint", "--arch", "shared:1/2", "--skip", "3/4", "--bias", "symbolic"), 3, 1, "shared:1/2", 0.75, 0.6,
    ),
    "rnn with bias": (("--T", "3", "--bias", "2"), 2, 1, "rnn", 0, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_endpoint_supervision_of_any_network(name):
    words, n, P, arch, a, b = PROBLEMS[name]
    fields = derive("free-energy", *words)
    H = random_kernel(n * P, 3)
    y = mpmath.sqrt(WIDTHS["lamda"] * WIDTHS["v"] * WIDTHS["w"] ** (n - 1) * WIDTHS["u"])
    T = mpmath.matrix(1, n)
    T[0, n - 1] = 1
    X = mpmath.matrix(n, n)
    X[0, 0] = 1
    with mpmath.workdps(30):
        expected = free_energy(H, n, X, arch, a, b, [(T, mpmath.matrix([y]))])
        assert abs(number(fields["free_energy"], at(fields, H)) - expected) < 1e-10
        parts = sum(number(part, at(fields, H)) for part in fields["terms"].values())
        assert abs(parts - expected) < 1e-10


def sequence_targets(n, P, times):
    rows = [(t - 1) * P + p for t in times for p in range(P)]
    T = mpmath.matrix(len(rows), n * P)
    for k, row in enumerate(rows):
        T[k, row] = 1
    labels = {f"y_{t}{p + 1}": 0.5 * t - 1.2 * p for t in times for p in range(P)}
    return T, labels


SEQUENCES = {
    "rnn": ("rnn", ("--T", "4", "--supervise", "1,3"), 3, [1, 3], 0, 0),
    "dnn": ("dnn", ("--T", "4", "--supervise", "2", "--skip", "1/2"), 3, [2], 0.5, 0),
    "drift": ("drift:1/3", ("--T", "3", "--supervise", "1,2", "--bias", "2"), 2, [1, 2], 0, 2),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "dnn")) for name in SEQUENCES])
def test_sequences_and_their_derivatives(name):
    arch, words, n, times, a, b = SEQUENCES[name]
    words = ("sequence", *words, "--arch", arch)
    T, labels = sequence_targets(n, 2, times)
    y = mpmath.matrix(list(labels.values()))
    H, X = random_kernel(2 * n, 1), mpmath.diag([1, 1] + [0] * (2 * n - 2))
    pairs = [(i, j) for i in range(2 * n) for j in range(i, 2 * n)]
    with mpmath.workdps(40):

        def F(*moves):
            K = H.copy()
            for (i, j), x in moves:
                K[i, j] += x
                K[j, i] += x if i != j else 0
            return free_energy(K, n, X, arch, a, b, [(T, y)])

        fields = derive("free-energy", *words)
        assert abs(number(fields["free_energy"], at(fields, H, labels)) - F()) < 1e-10

        fields = derive("stationarity", *words)
        values = at(fields, H, labels) | named(fields, H, labels)
        for pair, text in zip(pairs, fields["equations"].values(), strict=True):
            slope = (F((pair, STEP)) - F((pair, -STEP))) / (2 * STEP)
            assert abs(number(text, values) - slope) < 1e-10 * max(1, abs(slope))

        second = derive("hessian", *words)["second_derivatives"]
        keys = [(one, other) for k, one in enumerate(pairs) for other in pairs[k:]]
        assert len(second) == len(keys)
        for k in np.random.default_rng(0).choice(len(keys), 12, replace=False):
            one, other = keys[k]
            corners = ((F((one, x * STEP), (other, z * STEP)), x * z) for x in (-1, 1) for z in (-1, 1))
            curvature = sum(sign * value for value, sign in corners) / (4 * STEP**2)
            assert abs(number(list(second.values())[k], values) - curvature) < 1e-9 * max(1, abs(curvature))


def named(fields, H, labels):
    """Values of the matrices in which derivatives are written: as the definitions say."""
    values = at(fields, H, labels)

    def matrix(text):
        found = sympy.Matrix(text)
        return mpmath.matrix(
            [[number(str(found[i, j]), values) for j in range(found.cols)] for i in range(found.rows)]
        )  # fmt: skip

    texts = fields["definitions"]
    D = matrix(texts["D"])
    A = matrix(texts["A"]) if "A" in texts else mpmath.eye(H.rows)
    assert texts["Q"] == "D**(-1)"
    J, Q = H**-1, D**-1
    whole = {"J": J, "Q": Q, "R": Q * A * H * A.T * Q}
    pairs = [(i, j) for i in range(H.rows) for j in range(i, H.rows)]
    found = {}
    for letter, entries in whole.items():
        for name, (i, j) in zip(fields["variables"], pairs, strict=True):
            found[sympy.Symbol(letter + name[1:])] = sympy.Float(entries[i, j], 40)
    for c in [name[1:] for name in texts if name[0] == "K"]:
        assert texts["E" + c] == f"K{c}**(-1)"
        K, Y = matrix(texts["K" + c]), matrix(texts["Y" + c])
        for letter, entries in (("E", K**-1), ("N", K**-1 * Y * K**-1)):
            for i in range(K.rows):
                for j in range(i, K.rows):
                    found[sympy.Symbol(f"{letter}{c}_{i + 1}{j + 1}")] = sympy.Float(entries[i, j], 40)
    return found


def test_files_with_outputs_of_their_own_and_a_sharing_matrix(tmp_path):
    M = np.array([[1.0, -0.5], [-0.5, 2.0]])
    y = np.full((1, 3, 2), np.nan)
    y[0, 2, 0], y[0, 1, 1], y[0, 2, 1] = 1.5, -2.0, 0.25
    np.savez(tmp_path / "two.npz", x=np.array([[2.0, 1.0]]), y=y, sharing=M)
    fields = derive("free-energy", str(tmp_path / "two.npz"), "--skip", "1/3")
    assert fields["arch"] == "matrix"
    assert sympy.Matrix(fields["M"]) == sympy.Matrix([[2, -1], [-1, 4]]) / 2
    assert fields["labels"] == {"y_1_31": 1.5, "y_2_21": -2.0, "y_2_31": 0.25}
    targets = []
    for rows, values in (([2], [1.5]), ([1, 2], [-2.0, 0.25])):
        T = mpmath.matrix(len(rows), 3)
        for k, row in enumerate(rows):
            T[k, row] = 1
        targets.append((T, mpmath.matrix(values)))
    X, H = mpmath.diag([2.5, 0, 0]), random_kernel(3, 8)
    with mpmath.workdps(30):
        expected = free_energy(H, 3, X, "rnn", mpmath.mpf(1) / 3, 0, targets, M=mpmath.matrix(M.tolist()))
        assert abs(number(fields["free_energy"], at(fields, H, fields["labels"])) - expected) < 1e-10
    # derivatives of a single labelled row, and of two
    shown = derive("stationarity", str(tmp_path / "two.npz"))
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    with mpmath.workdps(40):
        values = at(shown, H, shown["labels"]) | named(shown, H, shown["labels"])
        for (i, j), text in zip(pairs, shown["equations"].values(), strict=True):
            ahead, behind = H.copy(), H.copy()
            for moved, x in ((ahead, STEP), (behind, -STEP)):
                moved[i, j] += x
                moved[j, i] = moved[i, j]
            F = [free_energy(K, 3, X, "rnn", 0, 0, targets, M=mpmath.matrix(M.tolist())) for K in (ahead, behind)]
            assert abs(number(text, values) - (F[0] - F[1]) / (2 * STEP)) < 1e-10
    second = derive("hessian", str(tmp_path / "two.npz"))
    assert {"E_1", "E_2", "N_1", "Y_2"} <= set(second["definitions"])
    keys = [(one, other) for k, one in enumerate(pairs) for other in pairs[k:]]
    with mpmath.workdps(40):
        values = at(second, H, second["labels"]) | named(second, H, second["labels"])
        for (one, other), text in zip(keys, second["second_derivatives"].values(), strict=True):
            curvature = mpmath.mpf(0)
            for x in (-1, 1):
                for z in (-1, 1):
                    K = H.copy()
                    for (i, j), move in ((one, x * STEP), (other, z * STEP)):
                        K[i, j] += move
                        K[j, i] += move if i != j else 0
                    F = free_energy(K, 3, X, "rnn", 0, 0, targets, M=mpmath.matrix(M.tolist()))
                    curvature += x * z * F / (4 * STEP**2)
            assert abs(number(text, values) - curvature) < 1e-9 * max(1, abs(curvature))


def test_patterns_that_depend_on_each_other_share_coordinates(tmp_path):
    """Three patterns in two dimensions, with biases three directions; without, the kernel has two for each time."""
    x = np.array([[1.0, 0.0], [0.5, 2.0], [2.0, 2.0]])
    y = np.full((3, 2), np.nan)
    y[:, 1] = [1.0, -1.0, 0.5]
    np.savez(tmp_path / "three.npz", x=x, y=y)
    fields = derive("free-energy", str(tmp_path / "three.npz"), "--arch", "dnn")
    q = np.array(sympy.Matrix(fields["patterns"]).tolist(), dtype=float)
    assert q.shape == (3, 2)
    assert np.allclose(q @ x[:2], x)
    H = random_kernel(4, 5)
    T = mpmath.matrix(np.hstack([np.zeros((3, 2)), q]).tolist())
    X = mpmath.matrix(4, 4)
    for i in range(2):
        for j in range(2):
            X[i, j] = float(x[i] @ x[j]) / 2
    with mpmath.workdps(30):
        expected = free_energy(H, 2, X, "dnn", 0, 0, [(T, mpmath.matrix([1.0, -1.0, 0.5]))])
        assert abs(number(fields["free_energy"], at(fields, H, fields["labels"])) - expected) < 1e-10
    assert len(derive("stationarity", str(tmp_path / "three.npz"), "--bias", "1")["variables"]) == 21


@pytest.mark.parametrize("word", ["free-energy", "stationarity", "hessian"])
def test_ends_of_the_families_print_the_same(word):
    for one, other in (("shared:1", "rnn"), ("shared:0", "dnn"), ("looped:1", "rnn"), ("drift:0", "dnn")):
        words = (word, "sequence", "--T", "3", "--supervise", "2", "--bias", "1/2")
        first, second = derive(*words, "--arch", one), derive(*words, "--arch", other)
        first.pop("arch"), second.pop("arch")
        assert first == second
    words = (word, "endpoint", "--T", "4", "--skip", "1/2", "--arch")
    first, second = derive(*words, "looped:2"), derive(*words, "dnn")
    first.pop("arch"), second.pop("arch")
    assert first == second


@pytest.mark.parametrize("form", ["text", "latex"])
def test_matrix_expressions_of_any_network(form):
    words = ["--T", "symbolic", "--arch", "drift:1/2", "--skip", "symbolic", "--bias", "1/3", "--outputs", "2"]
    for word in ("free-energy", "stationarity", "hessian"):
        result = CliRunner().invoke(cli, ["derive", word, *words, "--format", form], catch_exceptions=False)
        assert result.exit_code == 0
        if form == "latex":
            assert r"\mathcal{T}_{2}" in result.stdout
            assert r"M \circ" in result.stdout
            assert result.stdout.count("{") == result.stdout.count("}")
        else:
            assert "M_st = (1/2)**Abs(s - t)" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("free-energy", "sequence", "--T", "9", "--supervise", "1"), "PROBLEM: has a kernel of 16 rows"),
        (("free-energy", "sequences"), "PROBLEM: is 'sequences'"),
        (("hessian", "sequence", "--T", "4"), "--supervise: is missing"),
        (("stationarity", "sequence", "--T", "4", "--supervise", "7"), "supervise: is 7"),
        (("critical-point", "sequence", "--T", "4"), "PROBLEM: does not apply"),
        (("stability", "--skip", "1"), "--skip: does not apply"),
        (("hessian", "--T", "3"), "--T: is 3 for hessian; accepted: symbolic, or a PROBLEM: hessian endpoint --T 3"),
        (("hessian", "--skip", "-1"), "--skip: is -1"),
        (("hessian", "--bias", "x"), "--bias: is 'x'"),
        (("hessian", "--outputs", "0"), "--outputs: is 0"),
        (("free-energy", "--outputs", "2"), "--outputs: is 2"),
        (("free-energy", "endpoint", "--T", "symbolic"), "--T: is symbolic"),
        (("free-energy", "endpoint", "--signal", "-1"), "signal"),
        (("free-energy", "--arch", "gru"), "--arch: is 'gru'"),
        (("free-energy", "--T", "2", "--arch", "looped:2"), "--T: is 2"),
    ],
)
def test_bad_words_give_one_line(words, message):
    result = CliRunner().invoke(cli, ["derive", *words], standalone_mode=False)
    found = result.exception
    text = found.format_message() if hasattr(found, "format_message") else str(found)
    assert "accepted: " in text
    assert "\n" not in text
    assert message in text
