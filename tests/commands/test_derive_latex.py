"""What `unrolled derive --format latex` prints compiles, fits a page, and says what the expressions say."""

from __future__ import annotations

import cmath
import json
import re
import shutil
import subprocess
from functools import cache

import pytest
import sympy
from click.testing import CliRunner

import theory
from derivations.__main__ import cli
from derivations.commands.derive import RESULTS
from derivations.report.typeset import mathml
from theory.coherent_branch import strong_signal
from theory.oriented import oriented, positive_sum
from theory.typesetting import ROOM, Latex, PowerSeries, Row, align, lines, width

#: Every word, with what is awkward about some.
WORDS = (
    "free-energy",
    "free-energy --T symbolic --skip symbolic --bias 1/2",
    "free-energy sequence --T 3 --supervise 1,2 --arch shared:1/2 --angle 1 --amplitude 2",
    "stationarity --T 5",
    "stationarity endpoint --T 4 --arch looped:2 --bias 1/3",
    "hessian --outputs 2 --arch drift:rho",
    "hessian sequence --T 3 --supervise 1,2 --arch drift:rho --skip 1/2",
    "incoherent-branch --T symbolic",
    "stability --T symbolic",
    "critical-point",
    "critical-point --T 6",
    "critical-point --T 4 --kappa 56/3",
    "critical-point --T symbolic --kappa symbolic",
    "critical-point --T 7 --arch drift:rho",
    "learning-transition --kappa 60",
    "coexistence --T 6",
    "coherent-branch",
    "coherent-branch --skip 1/2",
    "coherent-branch --arch shared:rho",
    "strong-signal",
    "outlier-threshold",
    "outlier-threshold --T 5",
    "fluctuations --T symbolic",
    "perturbation --order 2 --supervise 1,3",
    "gaussian-averages",
)
#: Those whose formulas are long, in a paper of two columns.
IN_TWO_COLUMNS = (
    "free-energy --T symbolic --skip symbolic --bias 1/2",
    "stationarity endpoint --T 4 --arch looped:2 --bias 1/3",
    "hessian sequence --T 3 --supervise 1,2 --arch drift:rho --skip 1/2",
    "critical-point --T 6",
    "critical-point --T symbolic --kappa symbolic",
    "coherent-branch --skip 1/2",
    "coherent-branch --arch shared:rho",
    "outlier-threshold",
)
LONG = ("fluctuations", "coherent-branch --T 5 --kappa symbolic")
COMPILERS = [name for name in ("pdflatex", "tectonic") if shutil.which(name)]


@cache
def latex(words: str) -> str:
    result = CliRunner().invoke(cli, ["derive", *words.split(), "--format", "latex"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def derive(words: str) -> str:
    return CliRunner().invoke(cli, ["derive", *words.split()], catch_exceptions=False).stdout


def test_every_word_is_here():
    assert {words.split()[0] for words in WORDS} == set(RESULTS)


@pytest.mark.parametrize("words", [*WORDS, *(pytest.param(words, marks=pytest.mark.slow) for words in LONG)])
def test_formulas_are_aligned_and_have_symbols_of_their_own(words):
    text = latex(words)
    assert text.isascii()
    assert text.count(r"\begin{align*}") == text.count(r"\end{align*}") > 0
    for environment in re.findall(r"\\begin\{align\*\}.*?\\end\{align\*\}", text, flags=re.DOTALL):
        bare = re.sub(r"%.*", "", environment)
        mathml(bare, display=True)  # raises on a command that it does not know
        for line in bare.splitlines()[1:-1]:
            assert line.count("&") >= 1
            left = line.split("&")[0]
            # no field's name stands for a symbol
            assert not re.search(r"\\text\{[a-z ]*\}\s*$", left), left
            depth = re.sub(r"\\[{}]", "", line)
            assert depth.count("{") == depth.count("}")
        for opening, closing in ((r"\left", r"\right"), (r"\Bigl", r"\Bigr"), (r"\bigl", r"\bigr")):
            count = [len(re.findall(re.escape(name) + r"(?![a-z])", bare)) for name in (opening, closing)]
            assert count[0] == count[1]


def compile_and_measure(folder, words: tuple[str, ...], columns: int = 1) -> list[str]:
    """TeX's complaints about formulas wider than an A4 page, or than a column of two (of Physical Review)."""
    branch = theory.coherent_branch()
    results = (theory.critical_point(4), branch, theory.endpoint_free_energy(4), strong_signal())
    given = [latex(each if columns == 1 else f"{each} --columns {columns}") for each in words]
    body = "\n".join([*given, *(result.latex(columns=columns) for result in results)])
    page = "a4paper,margin=2.5cm" if columns == 1 else "a4paper,textwidth=510pt,columnsep=18pt"
    packages = rf"\usepackage[{page}]{{geometry}}\usepackage{{amsmath}}\allowdisplaybreaks"
    kind = "onecolumn" if columns == 1 else "twocolumn"
    text = f"\\documentclass[{kind}]{{article}}{packages}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "paper.tex").write_text(text)
    options = ["-halt-on-error", "-interaction=nonstopmode"] if COMPILERS[0] == "pdflatex" else []
    command = [COMPILERS[0], *options, "paper.tex"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=50)
    assert run.returncode == 0, run.stdout[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 10_000
    return [line for line in (run.stdout + run.stderr).splitlines() if "Overfull \\hbox" in line]


@pytest.mark.skipif(not COMPILERS, reason="no TeX is installed (apt-get install texlive-latex-base)")
def test_every_word_compiles_and_fits_a_page(tmp_path):
    assert compile_and_measure(tmp_path, WORDS) == []


@pytest.mark.skipif(not COMPILERS, reason="no TeX is installed (apt-get install texlive-latex-base)")
def test_long_ones_fit_a_column_of_two(tmp_path):
    assert compile_and_measure(tmp_path, IN_TWO_COLUMNS, 2) == []
    assert compile_and_measure(tmp_path, ("critical-point --T symbolic --kappa symbolic",), 1) == []


@pytest.mark.slow
@pytest.mark.skipif(not COMPILERS, reason="no TeX is installed (apt-get install texlive-latex-base)")
def test_long_formulas_compile_and_fit_a_page(tmp_path):
    assert compile_and_measure(tmp_path, LONG) == []


# --- what is written is what was meant: read again by a grammar of these formulas alone -------------------------------

TOKEN = re.compile(r"\\(?:left|right|[Bb]ig[lr])\s*|\\quad|\\\\|&|\s+|\\[A-Za-z]+|\d+|[A-Za-z]|.")


class Reader:
    """Values of sums, products, fractions, roots, logarithms and powers in LaTeX, at numbers for the symbols."""

    def __init__(self, text: str, values: dict[str, float]):
        skipped = re.compile(r"\\(?:left|right|[Bb]ig[lr])\s*|\\quad|\\\\|&|\s+")
        names = "|".join(re.escape(name) for name in sorted(values, key=len, reverse=True))
        tokens = re.findall(f"{names}|{TOKEN.pattern}", text) if names else TOKEN.findall(text)
        self.tokens = [token for token in tokens if not skipped.fullmatch(token)]
        self.values = values
        self.at = 0

    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.next()
        assert expected is None or token == expected, (token, expected, self.at)
        self.at += 1
        return token

    def sum(self) -> complex:
        total, sign = 0j, 1.0
        if self.next() in ("+", "-"):
            sign = -1.0 if self.take() == "-" else 1.0
        while True:
            total += sign * self.product()
            if self.next() not in ("+", "-"):
                return total
            sign = -1.0 if self.take() == "-" else 1.0

    def product(self) -> complex:
        value = self.power()
        while self.next() not in ("", "+", "-", ")", "}", "]"):
            if self.next() == r"\times":
                self.take()
            value *= self.power()
        return value

    def group(self) -> complex:
        self.take("{")
        value = self.sum()
        self.take("}")
        return value

    def power(self) -> complex:
        value = self.atom()
        if self.next() == "^":
            self.take()
            value **= self.group()
        return value

    def atom(self) -> complex:
        token = self.take()
        if token == "(":
            value = self.sum()
            self.take(")")
            return value
        if token == "{":
            value = self.sum()
            self.take("}")
            return value
        if token in (r"\frac", r"\tfrac"):
            above = self.group()
            return above / self.group()
        if token == r"\sqrt":
            return cmath.sqrt(self.group())
        if token == r"\ln":
            return cmath.log(self.atom())
        return self.values[token] if token in self.values else float(token)


def read(text: str, expression: sympy.Basic) -> tuple[complex, complex]:
    printer = Latex()
    symbols = sorted(expression.free_symbols, key=str)
    point = {symbol: sympy.Rational(13 + 7 * index, 11 + 3 * index) for index, symbol in enumerate(symbols)}
    reader = Reader(text, {printer.doprint(symbol): float(value) for symbol, value in point.items()})
    found = reader.sum()
    assert reader.next() == ""
    return found, complex(expression.subs(point).evalf(30))


a, b, c, d = sympy.symbols("a b c d", positive=True)


@cache
def expressions():
    return [
        theory.critical_point(4).signal,
        theory.coherent_branch().free_energy,
        *theory.coherent_branch().kernel.values(),
        sympy.Add(c, sympy.Mul(-1, a + b, evaluate=False), a * b * d, evaluate=False),
        sympy.Mul(-1, a - b, c + d, 1 / (a + b + c) ** 2, sympy.log(a + b**2 + c), evaluate=False) - a / (b + c),
        -sympy.sqrt(a + b * (c + d) ** 3) / (a * b * c * (1 + d)) + sympy.Rational(-3, 7) * a ** sympy.Rational(5, 2),
        sympy.Rational(-1, 2) * sympy.log((a * b + c) / (d * (a + 1))) - (a + b) ** 2 * (c - d) / (1 + a * d) ** 3,
        (a + b + c + d) ** 3 / ((a - b + c * d) ** 2 + 1) ** sympy.Rational(3, 2),
        sympy.Rational(-49, 16) * (3 + sympy.sqrt(17)) * (a + b + c) / ((1 + sympy.sqrt(2)) * (a + d) ** 2),
        2 * (3 + sympy.sqrt(17)) * a * b / ((a + b) * (c + d)) - (1 - sympy.sqrt(3)) * (a + b),
        *theory.endpoint_free_energy(3).stationarity(),
        *theory.endpoint_free_energy(4).terms.values(),
    ]


@pytest.mark.parametrize("room", [12, 25, ROOM, 10**6])
def test_broken_formulas_have_the_value_of_the_expression(room):
    longest = 0
    for expression in expressions():
        broken = lines(expression, Latex(), room)
        longest = max(longest, len(broken))
        found, expected = read(" ".join(broken), expression)
        assert found == pytest.approx(expected, rel=1e-9), "\n".join(broken)
    assert longest == 1 if room == 10**6 else longest > 4 or room == ROOM


def test_lines_are_as_long_as_there_is_room():
    for condition in theory.endpoint_free_energy(4).stationarity():
        assert max(map(width, lines(condition, Latex()))) <= ROOM + 12


@pytest.mark.parametrize("room", [10, 10**6])
def test_coefficients_of_matrices_that_are_sums_stand_in_brackets(room):
    A, B = (sympy.MatrixSymbol(name, 3, 3) for name in "AB")
    half = sympy.Rational(1, 2)
    assert " ".join(lines((1 - a) * A * (A + B), Latex(), room)) == r"\left(1 - a\right) A \left(A + B\right)"
    assert " ".join(lines(half * A.I - B * A, Latex(), room)) in (
        r"\frac{1}{2} A^{-1} - B A",
        r"- B A + \frac{1}{2} A^{-1}",
    )


def test_a_series_breaks_off_with_dots():
    row = Row("H", PowerSeries([(sympy.Rational(-1, 2), "x"), (a + b, "x^{2}")]))
    assert align([row]) == (
        "\\begin{align*}\nH &= - \\frac{1}{2} x + \\Bigl( a + b \\Bigr) x^{2} + \\cdots\n\\end{align*}"
    )


# --- symbols and words ------------------------------------------------------------------------------------------------


def test_a_root_without_a_closed_form_is_named_and_defined():
    polynomial = sympy.Poly(a**5 - a - 1)
    root = sympy.CRootOf(polynomial, 0)
    text = align([Row("z", 3 * root**2 + b), Row("w", (root, b))])
    assert text == (
        "\\begin{align*}\nz &= b + 3 x^{2} \\\\\nw &= \\left(x,\\ b\\right) \\\\\n"
        "0 &= x^{5} - x - 1 \\\\  % defines x\nx &\\approx 1.167303978  % the root meant\n\\end{align*}"
    )
    two = align([Row("z", root + sympy.CRootOf(sympy.Poly(a**5 - 2 * a - 2), 0))])
    assert r"x_{1} + x_{2}" in two
    assert r"x_{2} &\approx" in two


def test_the_theory_s_own_symbols():
    assert r"\lambda_{c} &= \frac{81}{8} = 10.125" in latex("critical-point")
    assert r"T &= 4,\quad \kappa = 1,\quad M_{st} = 1" in latex("critical-point")
    assert r"\left(H^{32}\right)^{2} &= \frac{1024}{477} \left(\lambda - \lambda_{c}\right)" in latex("critical-point")
    assert r"M_{st} = \rho^{|s-t|}" in latex("critical-point --T 7 --arch drift:rho")
    assert r"\frac{\partial F}{\partial H^{11}} &=" in latex("stationarity --T 5")
    assert r"H^{12}_{21}" in latex("hessian sequence --T 3 --supervise 1,2 --arch drift:rho --skip 1/2")
    assert r"y^{1}_{2}" in latex("hessian sequence --T 3 --supervise 1,2 --arch drift:rho --skip 1/2")
    assert r"E_{1}^{2} u^{2} v \left(y^{1}\right)^{2}" in latex("perturbation --order 2 --supervise 1,3")


def test_sums_are_written_in_the_sign_in_which_they_are_positive():
    """Below its tricritical noise 56/3 every factor of the amplitude is positive."""
    point = theory.critical_point(4)
    assert str(point.amplitude_squared) == "1024/((56 - 3*kappa)*(kappa + 8))"
    assert r"0 &< \frac{1}{8} \left(56 - 3 \kappa\right)" in latex("critical-point --kappa symbolic")
    assert str(point.next_coefficient) == "16384*(-11*kappa**2 + 80*kappa + 544)/((56 - 3*kappa)**3*(kappa + 8)**3)"
    assert r"\frac{16384 \left(80 \kappa + 544 - 11 \kappa^{2}\right)}" in point.latex()
    claimed = 1 / ((kappa := theory.symbols.kappa) + 8) * sympy.Rational(1024, 1) / (56 - 3 * kappa)
    assert sympy.simplify(point.amplitude_squared - claimed) == 0
    positive = a - b
    cases = (
        -2 * a / (b - a),
        3 * (b - a) ** 3 * (c - d),
        -((c - d) ** 2) * (b - a) ** 2,
        -a * (c - d) / b,
        a * (b - a),
    )
    for product in cases:
        turned = oriented(product, positive)
        assert sympy.expand(sympy.together(turned - product)) == 0
        assert not turned.has(b - a)
    assert [str(oriented(each, positive)) for each in cases[:2]] == ["2*a/(a - b)", "3*(a - b)**3*(-c + d)"]
    assert positive_sum(-(b - a) * (c + 1) / 3) == a - b
    assert positive_sum((a - b) * (c - d)) is positive_sum(a * (b + c)) is None


def test_one_formula_can_be_had():
    whole, words = latex("critical-point"), "critical-point --only signal"
    assert latex(words).splitlines()[1] in whole.replace(r" \\  %", "  %")
    assert latex(words).count("=") == 2  # and its decimals
    assert derive(words).splitlines()[-2:] == ["signal = 81/8  # critical signal", "signal_float = 10.125"]
    assert json.loads(derive(f"{words} --json")) == {"signal": "81/8", "signal_float": 10.125}
    assert latex("critical-point --only arch").splitlines()[1] == r"M_{st} &= 1  % given"
    refused = CliRunner().invoke(cli, ["derive", "critical-point", "--only", "order", "--format", "latex"])
    assert refused.exit_code == 2
    assert "--only: is 'order', which is no formula" in refused.output
    refused = CliRunner().invoke(cli, ["derive", "critical-point", "--only", "signl"])
    assert refused.exit_code == 2
    assert "--only: is 'signl'; accepted: T, kappa, arch, signal, " in refused.output
    point, branch = theory.critical_point(4), theory.coherent_branch()
    assert point.latex("signal").splitlines()[1] == r"\lambda_c &= \frac{\left(\kappa + 8\right)^{2}}{8}"
    assert point.latex("tricritical_kappa").splitlines()[1] == r"\kappa_{\text{tri}} &= \frac{56}{3}"
    assert point.latex("amplitude_squared") == point.latex("next_coefficient")
    assert point.latex("signal").splitlines()[1] in point.latex()
    assert branch.latex("kernel").count("H^{") == 6
    with pytest.raises(ValueError, match=r"^only: is 'T'; accepted: signal, kernel_diagonal, continuity, "):
        point.latex("T")
    with pytest.raises(ValueError, match=r"^columns: is 3; accepted: 1 or 2$"):
        point.latex(columns=3)


def test_a_discontinuous_transition_has_no_exponent():
    continuous, discontinuous = latex("critical-point"), latex("critical-point --T 6")
    assert r"H^{32} &\propto \left(\lambda - \lambda_{c}\right)^{1/2}" in continuous
    assert r"\propto" not in discontinuous
    assert "discontinuous" in discontinuous
    assert "exponent = 1/2" in derive("critical-point")
    assert "exponent" not in derive("critical-point --T 6")
    assert r"^{1/4}" in latex("critical-point --T 4 --kappa 56/3")


def test_one_entry_of_the_expansion():
    words = "perturbation --order 2 --supervise 1,3"
    whole, one = latex(words), latex(f"{words} --entry 3,1")
    assert set(re.findall(r"\\Delta_\{\d\}\^\{(\d+)\}", one)) == {"13"}
    rows = [line.split("  %")[0].removesuffix(r" \\") for line in one.splitlines() if line.startswith(r"\Delta")]
    assert rows
    assert all(row in whole for row in rows)


@pytest.mark.parametrize("given", ["1", "0,2", "2,4", "1,2,3"])
def test_an_entry_is_two_hidden_times(given):
    result = CliRunner().invoke(cli, ["derive", "perturbation", "--entry", given])
    assert result.exit_code == 2
    assert "--entry" in result.output


def test_an_entry_belongs_to_the_expansion():
    result = CliRunner().invoke(cli, ["derive", "stability", "--entry", "1,2"])
    assert result.exit_code == 2
    assert "does not apply to stability" in result.output
