"""What `unrolled derive` prints: it parses, it is true of a free energy written out again here, and it refuses."""

from __future__ import annotations

import json
import math
import random

import mpmath
import pytest
import sympy
from click.testing import CliRunner

from derivations.__main__ import cli
from tests.commands.test_program import run
from tests.theory import skip_reference


def derive(*arguments: str) -> dict:
    result = CliRunner().invoke(cli, ["derive", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def free_energy(H, signal, kappa):
    """F of the RNN from docs/theory.md section 3, in mpmath: no code of theory/."""
    n = H.rows
    C = mpmath.zeros(n)
    C[0, 0] = 1
    for i in range(1, n):
        for j in range(1, n):
            C[i, j] = H[i - 1, j - 1]
    product = H * C**-1
    trace = sum(product[i, i] for i in range(n))
    logs = mpmath.log(mpmath.det(H)) - mpmath.log(mpmath.det(C))
    return (signal / (H[n - 1, n - 1] + kappa) + trace - n - logs) / 2


def largest_slope(H, signal, kappa):
    """Largest derivative of F by an independent entry of H, by mpmath's finite differences."""
    slopes = []
    for i in range(H.rows):
        for j in range(i, H.rows):

            def moved(x, i=i, j=j):
                K = H.copy()
                K[i, j] = K[j, i] = x
                return free_energy(K, signal, kappa)

            slopes.append(abs(mpmath.diff(moved, H[i, j])))
    return max(slopes)


@pytest.mark.parametrize("kappa", ["0", "1", "7/3"])
def test_printed_coherent_branch_is_stationary(kappa):
    fields = derive("coherent-branch", "--T", "4", "--kappa", kappa)
    parameter = sympy.Symbol(fields["parameter"])
    assert sympy.sympify(fields["domain"]) == sympy.Interval.open(2, sympy.oo)
    with mpmath.workdps(60):
        for draw in range(3):
            point = {parameter: sympy.Rational(random.Random(draw).randint(2100, 6000), 1000)}
            value = {
                name: mpmath.mpf(sympy.sympify(text).subs(point).evalf(60)) for name, text in fields["kernel"].items()
            }
            H = mpmath.matrix(3, 3)
            for i in range(3):
                for j in range(3):
                    H[i, j] = value[f"{min(i, j) + 1}{max(i, j) + 1}"]
            noise = mpmath.mpf(sympy.Rational(kappa).p) / sympy.Rational(kappa).q
            signal = mpmath.mpf(sympy.sympify(fields["signal"]).subs(point).evalf(60))
            assert largest_slope(H, signal, noise) < mpmath.mpf(10) ** -25
            assert largest_slope(H, signal * (1 + mpmath.mpf(10) ** -9), noise) > mpmath.mpf(10) ** -12
            # regression of h^3 on h^1, h^2: eigenvalues of its companion matrix
            c = (H[:2, :2] ** -1) * H[:2, 2]
            roots = mpmath.polyroots([1, -c[1], -c[0]])
            outlier = mpmath.mpf(sympy.sympify(fields["outlier"]).subs(point).evalf(60))
            assert min(abs(root - outlier) for root in roots) < mpmath.mpf(10) ** -25
            free = mpmath.mpf(sympy.sympify(fields["free_energy"]).subs(point).evalf(60))
            assert abs(free - free_energy(H, signal, noise)) < mpmath.mpf(10) ** -40


@pytest.mark.parametrize("T", [4, 5, 6, 8])
def test_printed_critical_point_is_where_the_hessian_is_singular(T):
    fields = derive("critical-point", "--T", str(T), "--kappa", "1")
    signal = sympy.sympify(fields["signal"])
    assert float(signal) == fields["signal_float"]
    assert fields["order"] == ("continuous" if T < 6 else "discontinuous")
    assert (sympy.sympify(fields["amplitude_squared"]) > 0) == (T < 6)
    assert fields["exponent"] == "1/2"
    n = T - 1
    with mpmath.workdps(40):
        diagonal = [mpmath.mpf(sympy.sympify(text).evalf(40)) for text in fields["kernel_diagonal"]]
        H = mpmath.diag(diagonal)
        noise, lam = mpmath.mpf(1), mpmath.mpf(signal.evalf(40))
        assert largest_slope(H, lam, noise) < mpmath.mpf(10) ** -12

        def along(x, growth):
            K = mpmath.diag([growth**t for t in range(1, n + 1)])
            for t in range(1, n):
                K[t - 1, t] = K[t, t - 1] = x * t * mpmath.sqrt(growth ** (2 * t + 1))
            strength = (growth - 1) * (growth**n + noise) ** 2 / growth**n
            return free_energy(K, strength, noise)

        step = mpmath.mpf(10) ** -8
        ratio = diagonal[0]

        def curvature(growth):
            return (along(step, growth) + along(-step, growth) - 2 * along(mpmath.mpf(0), growth)) / step**2

        assert abs(curvature(ratio)) < mpmath.mpf(10) ** -12
        assert curvature(ratio * 0.99) > 1e-3
        assert curvature(ratio * 1.01) < -1e-3


def test_symbolic_results_agree_with_the_numbers():
    T, kappa = sympy.Symbol("T"), sympy.Symbol("kappa")
    whole = derive("critical-point", "--T", "symbolic", "--kappa", "symbolic")
    assert "signal_float" not in whole
    for horizon in (4, 7, 11):
        one = derive("critical-point", "--T", str(horizon), "--kappa", "2/3")
        for name in ("signal", "amplitude_squared"):
            general = sympy.sympify(whole[name], locals={"T": T, "kappa": kappa})
            special = general.subs({T: horizon, kappa: sympy.Rational(2, 3)})
            assert sympy.simplify(special - sympy.sympify(one[name])) == 0


WHATS = {
    "free-energy": [],
    "stationarity": ["--T", "5"],
    "critical-point": ["--T", "symbolic", "--kappa", "symbolic"],
    "coherent-branch": [],
    "outlier-threshold": ["--kappa", "symbolic"],
    "perturbation": ["--order", "1"],
    "incoherent-branch": ["--T", "symbolic"],
    "stability": ["--T", "symbolic"],
    "strong-signal": [],
    "gaussian-averages": [],
    "fluctuations": ["--T", "symbolic"],
    "hessian": [],
    "learning-transition": ["--T", "5", "--kappa", "40"],
}


@pytest.mark.parametrize("what", [name for name in WHATS if name != "hessian"])
def test_json_expressions_parse_again(what):
    def leaves(value):
        if isinstance(value, dict):
            for item in value.values():
                yield from leaves(item)
        elif isinstance(value, list):
            for item in value:
                yield from leaves(item)
        elif isinstance(value, str):
            yield value

    fields = derive(what, *WHATS[what])
    for name in ("paths", "arch", "order", "domain"):
        fields.pop(name, None)
    for order in fields.get("orders", []):
        order.pop("paths")
    for text in leaves(fields):
        sympy.sympify(text)


@pytest.mark.parametrize(("T", "kappa", "arch"), [(4, 60, "dnn"), (3, 100, "rnn"), (9, 1000, "dnn")])
def test_printed_folds_and_exchange(T, kappa, arch):
    """Stationary in r at the folds; two minima of F along diagonal kernels, as deep as each other, at the exchange."""
    fields = derive("learning-transition", "--T", str(T), "--kappa", str(kappa), "--arch", arch)
    assert set(fields) == {"T", "kappa_onset", "kappa_onset_float", "folds_float", "equal_free_energy_float"}
    assert float(sympy.sympify(fields["kappa_onset"])) == pytest.approx(fields["kappa_onset_float"], rel=1e-14)
    n = T - 1
    r = [1 + k / 10000 for k in range(1, 120000)]
    signals = [(x - 1) * (x**n + kappa) ** 2 / x**n for x in r]
    turns = [b for a, b, c in zip(signals, signals[1:], signals[2:], strict=False) if (b - a) * (c - b) < 0]
    assert sorted(turns) == pytest.approx(fields["folds_float"], rel=1e-6)
    lam = fields["equal_free_energy_float"]
    F = [lam / (x**n + kappa) / 2 + n * (x - 1 - math.log(x)) / 2 for x in r]
    minima = [b for a, b, c in zip(F, F[1:], F[2:], strict=False) if a > b < c]
    assert len(minima) == 2
    assert minima[0] == pytest.approx(minima[1], rel=1e-6)


def test_no_folds_are_printed_up_to_the_onset():
    onset = {"T", "kappa_onset", "kappa_onset_float"}
    assert set(derive("learning-transition")) == onset
    assert set(derive("learning-transition", "--T", "5", "--kappa", "4096/125")) == onset
    assert set(derive("learning-transition", "--kappa", "symbolic")) == onset
    general = derive("learning-transition", "--T", "symbolic", "--kappa", "60")
    assert set(general) == {"T", "kappa_onset"}
    at_seven = sympy.sympify(general["kappa_onset"]).subs(sympy.Symbol("T"), 7)
    assert float(at_seven) == pytest.approx(derive("learning-transition", "--T", "7")["kappa_onset_float"], rel=1e-13)


@pytest.mark.parametrize(
    ("horizon", "arch", "noise"),
    [
        ("5", "shared:1/2", "1"),
        ("5", "shared:rho", "1"),
        ("8", "drift:rho", "symbolic"),
        ("6", "looped:2", "1/2"),
        ("symbolic", "looped:2", "symbolic"),
        ("symbolic", "shared:rho", "1"),
        ("10", "drift:9/10", "0"),
    ],
)
def test_critical_points_of_any_sharing(horizon, arch, noise):
    """The kernel's diagonal is on the incoherent branch at the printed signal, and everything parses."""
    fields = derive("critical-point", "--T", horizon, "--arch", arch, "--kappa", noise)
    assert fields["arch"] == arch
    assert fields["lag"] == (2 if arch == "looped:2" else 1)
    values = {name: sympy.sympify(fields[name]) for name in ("T", "kappa", "signal", "exponent")}
    assert values["exponent"] == sympy.Rational(1, 2)
    ratio = sympy.sympify(fields["kernel_diagonal"][0]).subs(sympy.Symbol("t"), 1)
    put = {
        sympy.Symbol(name): value
        for name, value in (("T", 9), ("rho", 0.7), ("kappa", 1.5), ("r", 1.3), ("Lamda", 2.5))
    }
    r, n = ratio.subs(put).evalf(30), values["T"].subs(put) - 1
    expected = (r - 1) * (r**n + values["kappa"].subs(put)) ** 2 / r**n
    assert abs(values["signal"].subs(put).evalf(30) / expected - 1) < 1e-12
    if "signal_float" in fields:
        assert fields["signal_float"] == pytest.approx(float(expected), rel=1e-13)
        assert fields["order"] == ("discontinuous" if arch == "shared:1/2" or horizon == "10" else "continuous")
    for condition in fields.get("vanish", []):
        sympy.sympify(condition)


def test_printed_branch_of_any_sharing_at_T_4():
    fields = derive("coherent-branch", "--arch", "drift:1/2", "--kappa", "2")
    at = {sympy.Symbol(fields["parameter"]): 4}
    kernel = {name: float(sympy.sympify(text).subs(at)) for name, text in fields["kernel"].items()}
    assert kernel["12"] == pytest.approx(math.sqrt(1.5 * 4 * 3 * 1))
    assert kernel["33"] == pytest.approx(1.5**2 * 4 * 9)
    assert float(sympy.sympify(fields["signal"]).subs(at)) == pytest.approx((81 + 2) ** 2 / (1.5**2 * 4 * 3))
    assert fields["domain"] == "s > 3"


@pytest.mark.parametrize(
    "words", [("--T", "5", "--arch", "shared:1/2"), ("--arch", "shared:0"), ("--arch", "looped:2")]
)
def test_branches_of_other_sharing_are_refused(words):
    result = CliRunner().invoke(cli, ["derive", "coherent-branch", *words], standalone_mode=False)
    assert "accepted: " in result.exception.format_message()


def test_folds_are_those_of_any_sharing():
    fields = derive("learning-transition", "--T", "4", "--kappa", "60")
    assert derive("learning-transition", "--T", "4", "--kappa", "60", "--arch", "drift:1/2") == fields


@pytest.mark.parametrize(
    "words",
    [
        ("critical-point", "--arch", "gru"),
        ("critical-point", "--arch", "looped:3"),
        ("stability", "--arch", "looped:2"),
    ],
)
def test_architectures_without_the_result_are_refused(words):
    result = CliRunner().invoke(cli, ["derive", *words], standalone_mode=False)
    assert result.exception.format_message().startswith("--arch: is ")


def test_dnn_has_no_critical_point():
    result = CliRunner().invoke(cli, ["derive", "critical-point", "--arch", "dnn"], standalone_mode=False)
    assert "--arch" in result.exception.format_message()


@pytest.mark.slow
def test_printed_branch_at_T_5_is_the_solved_one():
    from numerics import solve
    from numerics.inputs.problem import endpoint

    fields = derive("coherent-branch", "--T", "5", "--kappa", "1")
    alpha, g = (sympy.Symbol(name) for name in fields["parameters"])
    point = {alpha: sympy.Rational(148, 100)}
    roots = sympy.Poly(sympy.sympify(fields["zero_on_the_branch"]).subs(point), g).nroots(n=30)
    point[g] = min(roots)
    point[sympy.Symbol("p_1")] = sympy.sympify(fields["p_1"]).subs(point)
    signal = float(sympy.sympify(fields["signal"]).subs(point))
    solved = solve(endpoint(5, signal)).kernel
    for name, text in fields["kernel"].items():
        t, s = (int(digit) for digit in name)
        assert float(sympy.sympify(text).subs(point)) == pytest.approx(solved[t - 1, s - 1], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (("--T", "4"), "both"),
        (("--T", "4", "--arch", "shared:1/2"), "singular value"),
        (("--T", "5"), "coherence"),
        (("--T", "5", "--arch", "looped:2"), "both"),
        (("--T", "6", "--arch", "dnn"), "singular value"),
    ],
)
def test_outlier_thresholds(arguments, first):
    """What is printed is in order, and the singular value of an incoherent state is 2 there."""
    fields = derive("outlier-threshold", *arguments)
    assert fields["first"] == first
    if "critical_signal_float" in fields:
        order = fields["singular_signal_float"] - fields["critical_signal_float"]
        assert {"both": abs(order) < 1e-12, "singular value": order < -1e-9, "coherence": order > 1e-9}[first]
    else:
        assert "signal" not in fields
    if first != "coherence":
        # H = diag(2^t): W h^t is longer than h^t by √2, so that W has 2 as a singular value (docs/theory.md section 8)
        n = fields["T"] - 1
        with mpmath.workdps(40):
            H = mpmath.diag([mpmath.mpf(2) ** t for t in range(1, n + 1)])
            assert largest_slope(H, fields["singular_signal_float"], 1) < 1e-12
    else:
        assert fields["signal_float"] > fields["singular_signal_float"]


@pytest.mark.parametrize(("arch", "T"), [("rnn", 4), ("dnn", 5)])
def test_printed_states_with_a_skip_are_stationary(arch, T):
    fields = derive("coherent-branch", "--T", str(T), "--arch", arch, "--skip", "2/3", "--kappa", "7/3")
    names = {"g": sympy.Symbol("g"), "chi": sympy.Symbol("chi")}
    point = {names["g"]: sympy.Rational(9, 4)}
    if arch == "rnn":
        point[names["chi"]] = sympy.sympify(fields["chi"], locals=names).subs(point)

    def value(text):
        return mpmath.mpf(sympy.sympify(text, locals=names).subs(point).evalf(60))

    with mpmath.workdps(60):
        H = mpmath.matrix(T - 1, T - 1)
        for name, text in fields["kernel"].items():
            t, s = int(name[0]) - 1, int(name[1]) - 1
            H[t, s] = H[s, t] = value(text)
        given = (skip_reference.tied(T - 1, untied=arch == "dnn"), mpmath.mpf(2) / 3, value(fields["signal"]))
        noise = mpmath.mpf(7) / 3
        assert skip_reference.largest_slope(H, *given, noise) < mpmath.mpf(10) ** -30 * given[2]
        F = skip_reference.free_energy(H, *given, noise)
        assert abs(F - value(fields["free_energy"])) < mpmath.mpf(10) ** -40 * abs(F)


def test_skip_of_a_branch_is_refused_where_it_is_not_known():
    for arguments in (("--arch", "shared:1/2"), ("--T", "5")):
        result = CliRunner().invoke(
            cli, ["derive", "coherent-branch", "--skip", "1", *arguments], standalone_mode=False
        )
        assert "accepted: rnn at T = 4, or dnn" in result.exception.format_message()


def test_printed_paths_of_a_sharing_are_weakened_by_each_step():
    fields = derive("perturbation", "--order", "1", "--arch", "drift:rho")
    names = {"rho": sympy.Symbol("rho"), "E_1": sympy.Symbol("E_1"), "E_2": sympy.Symbol("E_2")}
    whole = derive("perturbation", "--order", "1")["orders"][1]
    first = fields["orders"][1]
    # (2, 3) goes back one step, or none: ρ² or 1
    assert first["shares_of_rnn"]["23"] == {"2 ← 3  [y1·y2]": "rho", "2 ← 3  [y2·y3]": "rho**2/2 + 1/2"}
    for entry, those in first["paths"].items():
        for path, weight in those.items():
            share = sympy.sympify(first["shares_of_rnn"].get(entry, {}).get(path, "1"), locals=names)
            known = share * sympy.sympify(whole["paths"][entry][path], locals=names)
            assert sympy.expand(sympy.sympify(weight, locals=names) - known) == 0
    cut = derive("perturbation", "--order", "1", "--arch", "looped:2")["orders"][1]
    assert set(cut["shares_of_rnn"]["23"].values()) == {"0", "1/2"}
    assert "shares_of_rnn" not in whole


def test_text_says_what_each_quantity_is():
    """Behind its line, or before one that is long; what stands before the comment is as in the JSON object."""
    lines = run("derive", "critical-point", "--T", "4").stdout.splitlines()
    assert "signal = 81/8  # critical signal" in lines
    assert "signal_float = 10.125" in lines
    assert "kernel_diagonal = 2, 4, 8  # variances" in lines
    assert max(map(len, lines)) <= 80
    long = run("derive", "free-energy", "--T", "4").stdout.splitlines()
    assert long[long.index("# free energy per neuron") + 1].startswith("free_energy = ")
    assert "  # cost of the labels" in " ".join(long)
    one = run("derive", "perturbation", "--T", "4", "--order", "1", "--entry", "2,3").stdout
    assert "    23 = E_1*E_2*u**2*v*w**2*y_1*y_2" in one
    assert "    22 = " not in one
    slopes = run("derive", "stationarity", "--T", "3").stdout
    assert "  dF/dH_12 = H_12/(H_11*H_22 - H_12**2)\n" in slopes
    assert "  d^2F/dH_12 dH_12 = J_11*J_22 + J_12**2\n" in run("derive", "hessian", "endpoint", "--T", "3").stdout


def test_an_entry_that_no_path_reaches_is_said_to_be_zero():
    words = ("perturbation", "--T", "5", "--supervise", "1,3", "--entry", "2,3")
    assert [order["kernel"] for order in derive(*words)["orders"]] == [{"23": "0"}] * 3
    assert "23 = 0" in run("derive", *words).stdout
