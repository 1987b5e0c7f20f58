"""Prose and formulas as HTML that needs nothing else: Markdown to HTML, LaTeX to MathML, code to coloured text."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import latex2mathml.converter
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from derivations.report import notation
from derivations.report.inline import inline_formulas, is_formula


def mathml(latex: str, *, display: bool = False) -> str:
    """A formula as MathML, which browsers typeset themselves.

    Raises:
        ValueError: the formula has a command that the converter does not know.
    """
    unnumbered = re.sub(r"\\(begin|end)\{(?:align|aligned|split)\}", r"\\\1{align*}", latex.strip())
    markup = latex2mathml.converter.convert(unnumbered, display="block" if display else "inline")
    if r"\begin{align*}" in unnumbered:
        markup = markup.replace("<math ", '<math class="aligned" ', 1)
    if re.search(r">\\[A-Za-z]", markup):  # the converter passes on what it does not know
        raise ValueError(f"latex: {latex!r} has a command that is not known; accepted: what latex2mathml converts")
    # a sign, not a difference
    before = r"(<mo[^>]*>(?:&#x00028;|&#x0005B;|&#x0003D;|&#x0221D;|&#x02192;|\(|\[|=|,|∝|→)</mo>)"
    markup = re.sub(rf"{before}<mo>(&#x02212;|−)</mo>", r'\1<mo form="prefix">\2</mo>', markup)
    markup = re.sub(r"<mo>(/|&#x0002F;)</mo>", r'<mo lspace="0" rspace="0">\1</mo>', markup)
    # a name is no relation: it stands apart only from an argument without brackets, as functions below
    argument = "<m(?:i|n|sub|sup|subsup|frac|sqrt|over)>"
    markup = re.sub(rf"<mo>([A-Za-z]{{2,}})</mo>(?={argument})", r'<mi>\1</mi><mspace width="0.167em" />', markup)
    markup = re.sub(r"<mo>([A-Za-z]{2,}|∞|&#x0221E;)</mo>", r"<mi>\1</mi>", markup)
    # punctuation and what is around a derivative
    markup = re.sub(r"<mi>;</mi>", '<mo separator="true" lspace="0" rspace="0.278em">;</mo>', markup)
    markup = re.sub(r"<mo>(∂|&#x02202;)</mo>", r'<mo lspace="0" rspace="0">\1</mo>', markup)
    # a thin space between a function and an argument without brackets
    functions = "<mi>(?:ln|log|det|exp|(?:arc)?(?:cos|sin|tan)h?)</mi>"
    markup = re.sub(rf"({functions})(?={argument})", r'\1<mspace width="0.167em" />', markup)
    # a bar is a delimiter here, never a relation, and takes no space
    return markup.replace('<mo stretchy="false">&#x0007C;</mo>', '<mo stretchy="false" lspace="0" rspace="0">|</mo>')


def prose(markdown: str) -> str:
    """Markdown with ``$…$``, ``$$…$$`` and amsmath environments as HTML."""
    return _unbroken(_parser().render(markdown))


def document(markdown: str) -> str:
    """Markdown in which formulas are written to be read in a terminal (``notation``), or as ``$…$``, as HTML that has
    them typeset."""
    return _unbroken(_document_parser().render(markdown))


def _unbroken(markup: str) -> str:
    """Formulas in a line with the comma behind them and the bracket before: browsers part these at the line's end."""
    formula = r'(?:<span class="math inline">)?<math [^>]*display="inline">(?:(?!</math>).)*</math>(?:</span>)?'
    touched = rf"[(\[“]+{formula}[.,;:!?)\]”]*|{formula}[.,;:!?)\]”]+"
    return re.sub(touched, r'<span class="whole">\g<0></span>', markup, flags=re.DOTALL)


def typeset_text(text: str) -> str:
    """Plain text as HTML, with its symbols typeset."""
    return _unbroken(_pieces(text))


def _pieces(text: str) -> str:
    return "".join(
        mathml(notation.latex(piece)) if formula else html.escape(piece, quote=False)
        for piece, formula in inline_formulas(text)
    )


def with_dollars(text: str) -> str:
    """Markdown with its symbols as ``$…$``, which GitHub typesets too."""
    return "".join(f"${notation.latex(piece)}$" if formula else piece for piece, formula in inline_formulas(text))


def typeset_span(text: str) -> str | None:
    """A span of code as a formula, or None if it is code."""
    line = " ".join(text.split())
    return mathml(notation.latex(line)) if is_formula(line) else None


def typeset_block(text: str) -> str | None:
    """A block of formulas in plain notation, line by line, or None if it is code."""
    lines = text.rstrip("\n").split("\n")
    if not re.search(r"[Α-ω⁻ᵀ½²√𝒯∫⟨]|\^", text):
        return None
    try:
        formulas = _aligned(lines) or [_display(line.strip()) for line in lines if line.strip()]
        shown = "".join(f"<div>{mathml(formula)}</div>" for formula in formulas)
    except ValueError:
        return None
    return f'<div class="formula" tabindex="0">{shown}</div>'


def _display(line: str) -> str:
    """A formula of its own line; the full stop of its sentence stays."""
    stop = "." if line.endswith(".") else ""
    return notation.latex(line.removesuffix("."), display=True) + stop


def _aligned(lines: list[str]) -> list[str] | None:
    """Equations whose signs stand below one another as one table."""
    places = {line.find("= ") for line in lines}
    if len(lines) < 2 or len(places) != 1 or places == {-1}:
        return None
    sides = [(line[: line.find("= ")], line[line.find("= ") + 1 :]) for line in lines]
    rows = [" & = ".join(notation.latex(side.strip(), display=True) for side in pair) for pair in sides]
    return [r"\begin{align*}" + r"\\".join(rows) + r"\end{align*}"]


def code(text: str, language: str = "python") -> str:
    """Source text with its syntax coloured by classes (``code_style``)."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    coloured = highlight(text, lexer, HtmlFormatter(nowrap=True))
    return f'<pre class="code" tabindex="0"><code>{coloured.rstrip()}</code></pre>'


def code_style(style: str) -> str:
    """CSS of one of Pygments' styles for ``code``, colours only."""
    lines = HtmlFormatter(style=style, cssclass="code").get_style_defs(".code").splitlines()
    return "\n".join(line for line in lines if line.startswith(".code ."))


def _markdown() -> MarkdownIt:
    """Markdown with tables and coloured code, without raw HTML."""
    parser = MarkdownIt(
        "commonmark",
        {"html": False, "highlight": lambda text, name, _: code(text, name if name == "python" else "text")},
    )
    return parser.enable(["table", "strikethrough"])


@cache
def _document_parser() -> MarkdownIt:
    parser = _markdown()
    parser.use(anchors_plugin, max_level=3)
    parser.use(dollarmath_plugin, renderer=_formula, allow_space=False, allow_digits=False)
    parser.core.ruler.push("notation", _typeset_symbols)
    fence = RendererHTML().fence
    parser.add_render_rule("code_inline", _rendered_span)
    parser.add_render_rule("fence", lambda self, tokens, *rest: _rendered_fence(fence, tokens, *rest))
    return parser


def _typeset_symbols(state: StateCore) -> None:
    for block in state.tokens:
        if block.type == "inline" and block.children:
            block.children = [part for token in block.children for part in _typeset_token(token)]


def _typeset_token(token: Token) -> list[Token]:
    if token.type != "text":
        return [token]
    return [Token("html_inline", "", 0, content=_pieces(token.content))]


def _rendered_span(self: Any, tokens: Sequence[Token], place: int, *_: Any) -> str:
    text = tokens[place].content
    return typeset_span(text) or f"<code>{html.escape(text, quote=False)}</code>"


def _rendered_fence(fence: Any, tokens: Sequence[Token], place: int, *rest: Any) -> str:
    shown = None if tokens[place].info.strip() else typeset_block(tokens[place].content)
    return shown or str(fence(tokens, place, *rest))


@cache
def _parser() -> MarkdownIt:
    parser = _markdown()
    parser.use(dollarmath_plugin, renderer=_formula, double_inline=True)
    parser.use(amsmath_plugin, renderer=lambda latex: mathml(latex, display=True))
    return parser


def _formula(latex: str, options: dict[str, bool]) -> str:
    return mathml(latex, display=options.get("display_mode", False))
