"""Formulas become MathML or are refused; what derivations print is read as formulas where it is one."""

from __future__ import annotations

import html
import re

import jupytext
import pytest

from derivations.report.derivation import derivation, printed
from derivations.report.notebooks import scripts_in_order
from derivations.report.page import derivation_page
from derivations.report.typeset import code, mathml, prose


def test_a_fraction_is_a_fraction():
    assert "<mfrac>" in mathml(r"\frac{a}{b}")
    assert 'display="block"' in mathml("a", display=True)


@pytest.mark.parametrize("environment", ["align", "align*", "aligned", "split"])
def test_aligned_equations_are_a_table_without_numbers(environment: str):
    markup = mathml(rf"\begin{{{environment}}}a&=b\\c&=d\end{{{environment}}}", display=True)
    assert markup.count("<mtr>") == 2
    assert "&" not in re.sub(r"&#x[0-9A-F]+;", "", markup)
    assert "<mtext>(1)" not in markup


def test_an_unknown_command_is_refused():
    with pytest.raises(ValueError, match="latex"):
        mathml(r"\notacommand{a}")


@pytest.mark.parametrize("script", scripts_in_order(), ids=lambda path: path.stem)
def test_every_formula_of_the_derivations_is_typeset(script):
    cells = [cell.source for cell in jupytext.read(script).cells if cell.cell_type == "markdown"]
    formulas = sum(len(re.findall(r"\$\$", text)) // 2 for text in cells)
    markup = "".join(map(prose, cells))
    assert markup.count('display="block"') >= formulas
    assert "$" not in re.sub(r"<math.*?</math>|<code>.*?</code>", "", markup, flags=re.DOTALL)


def test_markup_in_the_source_stays_text():
    assert "<script>" not in prose("a <script>b</script>")
    assert "<script>" not in code("'<script>'")
    assert "<script>" not in printed("<script>")


@pytest.mark.parametrize(
    "line",
    [
        r"lambda_c = \frac{\left(\kappa + 8\right)^{2}}{8}",
        "H^11 = s",
        r"RNN: \Delta_1^{12} = E_{1} E_{2} u^{2} v w y_{1} y_{2} + E_{2} E_{3} u^{2} v w^{2} y_{2} y_{3}",
        r"N\,\mathrm{Var}(H^{11}) = \frac{1}{2}",
        r"N\langle{}H^{12}-H_*\rangle = 0",
        "2 ← 1 ← 3  [y3·y1 y3·y6], moved by -1: 2 E_{1} E_{3}^{2} u^{3}",
        r"2 F_2, n = 4: \left[\begin{matrix}r\end{matrix}\right]",
    ],
)
def test_printed_formulas_are_typeset(line: str):
    markup = printed(line)
    assert markup.startswith('<div class="formula"')
    assert "\\" not in markup


@pytest.mark.parametrize("line", ["T = 4: residual 3e-17", "N Var = -r**(2*T - 3)*(T - 2)", "d: {'a': '\\frac{1}{2}'}"])
def test_other_lines_stay_as_they_were_printed(line: str):
    assert "<math" not in printed(line)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("N Var = -r**(2*T - 3)*(T - 2)", "N Var = -r^(2 T - 3) (T - 2)"),
        ("shared:rho: rho**5/2, lambda_c = sqrt(17)", "shared:ρ: ρ^5/2, λ_c = √17"),
        ("f(x):\n    return rho**2*x", "f(x):\n    return rho**2*x"),  # source stays source
    ],
)
def test_printed_words_are_letters_and_powers(line: str, shown: str):
    assert html.unescape(re.sub("<.*?>", "", printed(line))) == shown


def test_a_page_needs_nothing_else():
    notebook = jupytext.reads(
        "# %% [markdown]\n# # A title with $x^2$\n#\n# Text.\n\n# %%\nassert 1 == 1\n", fmt="py:percent"
    )
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    page = derivation_page("example", notebook)
    assert "<title>A title" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert derivation("example", notebook, heading=3).assertions == 1
