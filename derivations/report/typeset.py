"""Prose and formulas as HTML that needs nothing else: Markdown to HTML, LaTeX to MathML, code to coloured text."""

from __future__ import annotations

import re
from functools import cache

import latex2mathml.converter
from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound


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
    # a bar is a delimiter here, never a relation, and takes no space
    return markup.replace('<mo stretchy="false">&#x0007C;</mo>', '<mo stretchy="false" lspace="0" rspace="0">|</mo>')


def prose(markdown: str) -> str:
    """Markdown with ``$…$``, ``$$…$$`` and amsmath environments as HTML."""
    html: str = _parser().render(markdown)
    return html


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


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt(
        "commonmark",
        {"html": False, "highlight": lambda text, name, _: code(text, name if name == "python" else "text")},
    )
    parser.enable(["table", "strikethrough"])
    parser.use(dollarmath_plugin, renderer=_formula, double_inline=True)
    parser.use(amsmath_plugin, renderer=lambda latex: mathml(latex, display=True))
    return parser


def _formula(latex: str, options: dict[str, bool]) -> str:
    return mathml(latex, display=options.get("display_mode", False))
