"""The plain notation of docstrings and pages becomes LaTeX of the same meaning; code stays code."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator

import pytest

from derivations.report.inline import inline_formulas, is_formula
from derivations.report.notation import latex
from derivations.report.reference import typeset_docstrings
from derivations.report.typeset import document, mathml, prose, typeset_block, typeset_span, typeset_text
from tests.pages import ROOT


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("H^{T-1,T-2}", "H^{T-1,T-2}"),
        ("W^(t−1) φ(h^t)", r"W^{(t-1)}\,\phi (h^{t})"),
        ("w^(T−2)", "w^{T-2}"),
        ("H_0Λ_1H_0", r"H_{0}\Lambda_{1}H_{0}"),
        ("Φ^{tt'}_{pp'}", r"\Phi_{pp'}^{tt'}"),
        ("(v 𝒯H𝒯ᵀ + κ)⁻¹", r"(v\,\mathcal{T}H\mathcal{T}^{\mathsf{T}}+\kappa )^{-1}"),
        ("W^(s)ᵀ", r"W^{(s)\mathsf{T}}"),
        ("Ĥ", r"\hat{H}"),
        ("½ tr[HC⁻¹]", r"\tfrac{1}{2}\,\operatorname{tr} [HC^{-1}]"),
        ("√(3n²+1)", r"\sqrt{3n^{2}+1}"),
        ("Σ_k G_sk", r"\sum_{k} G_{sk}"),
        ("1 − aΣ", r"1-a\Sigma"),
        ("N Cov(Φ) → Σ_ΦΦ", r"N\,\operatorname{Cov} (\Phi )\to \Sigma_{\Phi \Phi }"),
        ("fᵀ Σ_ΦΦ ∇f", r"f^{\mathsf{T}}\,\Sigma_{\Phi \Phi }\,\nabla f"),
        ("−Σ·r_j", r"-\Sigma \cdot r_{j}"),
        ("A_jkl Σ_kl = q", r"A_{jkl}\,\Sigma_{kl}=q"),
        ("Σ_kl [ℓ_k + 1]", r"\sum_{kl} [\ell_{k}+1]"),
        ("2^O", "2^{O}"),
        ("U* x^0", r"U^{*}\,x^{0}"),
        ("λ_- < λ_c", r"\lambda_{-}<\lambda_{c}"),
    ],
)
def test_symbols(plain: str, expected: str):
    assert re.sub(r"\s+(?=[}\]+^_]|$)", "", latex(plain)) == re.sub(r"\s+(?=[}\]+^_]|$)", "", expected)


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("(r−1)(r^n+κ)²/r^n", r"\frac{(r-1)(r^{n}+\kappa )^{2}}{r^{n}}"),
        ("a + (b+c)/(d+e)", r"a+\frac{b+c}{d+e}"),
        ("|H|/|C|", r"\frac{|H|}{|C|}"),
        ("x/2m", r"\frac{x}{2m}"),
        ("|∂²F/∂Φ²|", r"|\frac{\partial^{2}F}{\partial \Phi^{2}}|"),
        ("½ tr ε²/tr Φ²", r"\tfrac{1}{2}\,\frac{\operatorname{tr} \,\varepsilon^{2}}{\operatorname{tr} \Phi^{2}}"),
    ],
)
def test_quotients_of_factors_are_fractions_in_a_display(plain: str, expected: str):
    assert latex(plain, display=True) == expected
    assert "/" in latex(plain)


def test_formulas_of_docstrings_are_typeset_and_examples_stay_code():
    formula, example = "<pre><code>N Cov(x) → Σ,   r_j = ∂_j A.\n</code></pre>", "<pre><code>x = f(1)\n</code></pre>"
    page = typeset_docstrings(f'<div class="docstring">{formula}{example}</div>', "")
    assert page.count("<math") == 1
    assert "r_j" not in page
    assert example in page


def test_a_function_stands_apart_from_an_argument_without_brackets():
    assert '<mi>ln</mi><mspace width="0.167em" /><mi>Z</mi>' in mathml(r"\ln Z")
    assert "mspace" not in mathml(r"\ln(Z)") + mathml(r"\ln|Z|")
    assert "<mi>tr</mi><mo" in mathml(r"\operatorname{tr}(Z)")  # a name, with no space of a relation
    assert '<mi>tr</mi><mspace width="0.167em" /><mi>Z</mi>' in mathml(r"\operatorname{tr} Z")
    assert re.search("<mi>(∞|&#x0221E;)</mi>", mathml(r"N \to \infty"))


def test_an_owner_is_no_derivative():
    assert inline_formulas("ℓ's derivatives") == [("ℓ", True), ("'s", False), (" ", False), ("derivatives", False)]


def test_formulas_keep_the_comma_behind_them_in_their_line():
    for markup in (document("With `H^12`, so ($x_1$)."), prose("With $H^{12}$, so ($x_1$).")):
        assert re.search(r'<span class="whole">(<span[^>]*>)?<math.*?</math>(</span>)?,</span> so', markup)
        assert re.search(r'so <span class="whole">\((<span[^>]*>)?<math.*?</math>(</span>)?\)\.</span>', markup)
        assert markup.count("<span") == markup.count("</span>")


@pytest.mark.parametrize(
    "text",
    [
        "unrolled check",
        "x_test",
        "shared:ρ",
        "y[p, t-1]",
        "--kappa",
        "a += 1",
        "2**n",
        "numerics/inputs/problem.py",
        "kappa",
        "drift:0.9",
        "critical_signal(T)",
        "import unrolled",
        "signal = (kappa + 8)**2/8",
        "(open",
    ],
)
def test_code_stays_code(text: str):
    assert not is_formula(text)
    assert typeset_span(text) is None


def test_symbols_in_prose_are_told_apart():
    text = "Beyond λ_c (see h^t_p), x_test and 1/N."
    assert [piece for piece, formula in inline_formulas(text) if formula] == ["λ_c", "h^t_p", "1/N"]
    assert "".join(piece for piece, _ in inline_formulas(text)) == text
    assert "<math" in typeset_text(text)
    assert "&lt;b&gt;" in typeset_text("<b> λ_c")


def test_a_block_is_typeset_only_if_all_of_it_is_a_formula():
    assert typeset_block("Φ  = ⟨φφᵀ⟩\nΛ  = Q   where the task has no input\n")
    assert typeset_block("make test   # λ\n") is None
    assert typeset_block("x = y\n") is None


def spans() -> Iterator[str]:
    """Every span of code in the docstrings of what has pages."""
    for folder in ("theory", "numerics"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    for span in re.findall(r"`+([^`]+)`+", ast.get_docstring(node) or ""):
                        yield " ".join(span.split())


def test_every_formula_of_a_docstring_becomes_mathml():
    formulas = {span for span in spans() if is_formula(span)}
    assert len(formulas) > 1000
    for span in sorted(formulas):
        markup = mathml(latex(span))  # refuses what it does not know
        shown = re.sub(r"<[^>]*>|&#x\w+;", "", markup)
        plain = unicodedata.normalize("NFKD", re.sub("[𝒯𝓗𝒟𝒮𝒰ᵀℓ]", "", span))
        assert sorted(re.findall("[A-Za-z]", plain)) == sorted(re.findall("[A-Za-z]", shown)), span  # none is lost


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RNN at T = 4 (κ = 729/28), N → ∞; a = 0.5.", ["T = 4", "κ = 729/28", "N → ∞", "a = 0.5"]),
        ("In units u = v = w = 1, n = T − 1 times 1 … n.", ["u = v = w = 1", "n = T − 1", "1 … n"]),
        ("At λ_c = 10.1 (κ < 56/3) and φ(h) = h.", ["λ_c = 10.1", "κ < 56/3", "φ(h) = h"]),
        ("With h^t = a h^(t-1) + W h^(t-1) it is", ["h^t = a h^(t-1) + W h^(t-1)"]),
        ("F has minima; W's outliers, -ln P(q)/N and 1/T.", ["F", "W", "-ln P(q)/N", "1/T"]),
        ("x ~ N(0, 1), of shape (n, P), (P, times), N × P", ["x ~ N(0, 1)", "(n, P)", "P", "N × P"]),
        ("largest |z| 2.6, W → -W", ["|z|", "W → -W"]),
        ("7e · A looped network", []),
        ("(a) A picture, (b, c) and (d): I took 2 s, M. Author and T. Other.", []),
        ("arch = rnn, kernel = 3, solve - then, theory -> numerics, 1 - CKA", []),
    ],
)
def test_formulas_in_prose(text: str, expected: list[str]):
    pieces = inline_formulas(text)
    assert [piece for piece, formula in pieces if formula] == expected
    assert "".join(piece for piece, _ in pieces) == text
    assert "<math" in typeset_text(text) or not expected


def test_names_of_arguments_stay_words():
    page = typeset_docstrings('<div class="docstring"><li><strong>T:</strong> of T times.</li></div>', "")
    assert "<strong>T:</strong>" in page
    assert page.count("<math") == 1
