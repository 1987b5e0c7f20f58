r"""Formulas as LaTeX for a paper: the theory's own symbols, aligned at the equals signs, long ones broken.

Kernel entries are ``H^{tt'}``, between patterns ``H^{tt'}_{pp'}``, labels ``y^t`` or ``y^t_p`` (docs/theory.md sections
1 and 2). What is written needs amsmath.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from sympy import (
    Add,
    Basic,
    CRootOf,
    MatAdd,
    MatMul,
    MatrixSymbol,
    Mul,
    Number,
    Pow,
    Symbol,
    Trace,
    Tuple,
    default_sort_key,
    fraction,
    log,
)
from sympy.core.function import _coeff_isneg
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

#: Characters of a line of an article in one column, and of a column of one in two.
ROOM, NARROW = 56, 27
#: How SymPy's printer is set: ln, arcsin, and long numerators beside their fraction.
STYLE = {"ln_notation": True, "inv_trig_style": "full", "long_frac_ratio": 3}
#: Matrices over hidden times, whose entries have their times above.
OVER_TIMES = "HJQR"


class Remembered:
    """What a printer has written of each part: long determinants recur in every equation."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        super().__init__(settings)  # type: ignore[call-arg]
        self._written: dict[tuple[Basic, tuple[tuple[str, Any], ...]], str] = {}

    def _print(self, expr: Any, **settings: Any) -> str:
        # numbers print as they are typed: 1 and 1.0 are equal
        if not isinstance(expr, Basic) or not expr.args:
            return super()._print(expr, **settings)  # type: ignore[misc,no-any-return]
        key = (expr, tuple(sorted(settings.items())))
        if key not in self._written:
            self._written[key] = super()._print(expr, **settings)  # type: ignore[misc]
        return self._written[key]


def positive_first(terms: list[Any]) -> list[Any]:
    """Terms of a sum, those that are subtracted not first where others are added: 56 - 3κ, and not -3κ + 56."""
    first = next((place for place, term in enumerate(terms) if not _coeff_isneg(term)), 0)
    return terms[first:] + terms[:first]


class Latex(Remembered, LatexPrinter):  # type: ignore[misc]
    """LaTeX of SymPy expressions.

    Args:
        joint: letters whose names hold times and patterns (``theory.symbols.joint_entry`` and ``joint_label``).
    """

    def __init__(self, joint: str = "") -> None:
        super().__init__(dict(STYLE))
        self._joint = joint

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[Any]:
        return positive_first(list(super()._as_ordered_terms(expr, order)))

    def _print_Identity(self, expr: Any) -> str:
        return "I"

    def _print_Add(self, expr: Any, order: str | None = None) -> str:
        return str(super()._print_Add(expr, order)).replace("+ -", "-")

    def _print_MatMul(self, expr: Any) -> str:
        return " ".join(self.factors(expr)[0])

    def factors(self, product: Any) -> tuple[list[str], list[Any]]:
        """Coefficient, if it is not 1, and matrices of a product in LaTeX, sums in brackets; and the matrices."""
        coefficient, matrices = product.as_coeff_matrices()
        number = self.parenthesize(coefficient, PRECEDENCE["Mul"]) if coefficient.is_Add else self._print(coefficient)
        leading = ["-"] if coefficient == -1 else [str(number)]
        written = [str(self.parenthesize(matrix, PRECEDENCE["Mul"])) for matrix in matrices]
        return ([] if coefficient == 1 else leading) + written, list(matrices)

    def _print_Symbol(self, expr: Symbol, style: str = "plain") -> str:
        letter, _, places = expr.name.partition("_")
        if expr.name == "beta_b":  # ``theory.symbols.beta``
            return r"\beta"
        if not re.fullmatch(r"[\dp_]+", places) or letter not in (*OVER_TIMES, "y"):
            return str(super()._print_Symbol(expr, style))
        parts = places.split("_")
        if letter == "y":
            return _label(parts) if "y" in self._joint else f"y^{{{places}}}"
        if letter in self._joint:
            (t, p), (s, q) = map(_place, parts)
            comma = "," if max(map(len, (t, p, s, q))) > 1 else ""
            return f"{letter}^{{{t}{comma}{s}}}_{{{p}{comma}{q}}}"
        return f"{letter}^{{{','.join(parts)}}}"


def _label(parts: list[str]) -> str:
    """``y^t_p``, of several outputs ``y^t_{c,p}``."""
    t, p = _place(parts[-1])
    return f"y^{{{t}}}_{{{','.join([*parts[:-1], p])}}}"


def _place(text: str) -> tuple[str, str]:
    t, _, p = text.partition("p") if "p" in text else (text[:1], "", text[1:])
    return t, p


def over_times(letter: str, t: Any, s: Any) -> str:
    """``H^{tt'}``: an entry of a matrix over hidden times, numbers or expressions."""
    plain = len(f"{t}{s}") == 2
    return f"{letter}^{{{t}{'' if plain else ','}{s}}}"


class Raw(str):
    """LaTeX that is written already."""


class PowerSeries(tuple[tuple[Any, str], ...]):
    """First terms of a power series: coefficients, each with its power in LaTeX."""


class Row(NamedTuple):
    """One formula: left-hand side in LaTeX, value, what it is called, and the relation between the two."""

    left: str
    value: Any
    phrase: str = ""
    relation: str = "="


def align(rows: Iterable[Row], printer: Latex | None = None, *, columns: int = 1) -> str:
    """Rows as ``align*``, with room for a paper of so many columns; what each is called is a comment behind it."""
    body = []
    printer, most = printer or Latex(), ROOM if columns == 1 else NARROW
    told = _with_roots_named(list(rows))
    # the right-hand sides of all begin where the widest left one ends, or below it
    left = max((width(row.left) for row in told), default=0)
    broken = [lines(row.value, printer, most - left) for row in told]
    below = left > most // (6 if columns > 1 and max(map(len, broken), default=1) > 1 else 3)
    for row, (first, *more) in zip(told, broken, strict=True):
        if not below:
            body.append([f"{row.left} &{row.relation} {first}", *(rf"&\quad {line}" for line in more)])
        elif more:
            anew = lines(row.value, printer, most - 2)
            begins = [f"&{row.left} {row.relation}"]
            if width(row.left) + width(anew[0]) + 3 <= most:
                begins[0] += " " + anew.pop(0)
            body.append([*begins, *(rf"&\quad {line}" for line in anew)])
        else:
            body.append([f"&{row.left} {row.relation} {first}"])
        body[-1][-1] += "\0" + row.phrase
    text = " \\\\\n".join(line for written in body for line in written)
    ended = re.sub(r"\0(.*?)( \\\\)?$", lambda m: f"{m[2] or ''}{'  % ' + m[1] if m[1] else ''}", text, flags=re.M)
    return "\\begin{align*}\n" + ended + "\n\\end{align*}"


def _with_roots_named(rows: list[Row]) -> list[Row]:
    """Roots of polynomials that have no closed form as x, with rows that say what x is."""
    roots = sorted({root for row in rows for root in _roots_in(row.value)}, key=default_sort_key)
    names = {root: Symbol("x" if len(roots) == 1 else f"x_{k}") for k, root in enumerate(roots, 1)}
    told = [row._replace(value=_replaced(row.value, names)) for row in rows]
    for root, x in names.items():
        told.append(Row("0", root.poly.as_expr(x), f"defines {x}"))
        told.append(Row(str(x).replace("_", "_{") + "}" * ("_" in str(x)), float(root), "the root meant", r"\approx"))
    return told


def _roots_in(value: Any) -> set[Any]:
    if isinstance(value, list | tuple) and not isinstance(value, str):
        return {root for item in value for root in _roots_in(item)}
    return value.atoms(CRootOf) if isinstance(value, Basic) else set()


def _replaced(value: Any, names: dict[Any, Symbol]) -> Any:
    if not names or isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return type(value)(_replaced(item, names) for item in value)
    return value.xreplace(names) if isinstance(value, Basic) else value


def width(latex: str) -> int:
    """About how many characters wide a formula is."""
    text = re.sub(r"\\text\{([^{}]*)\}|\\operatorname\{([^{}]*)\}", r"\1\2", latex)
    text = re.sub(r"\\(left|right|quad|[Bb]ig+[lr]|limits|,|;)(?![a-z])", " ", text)
    previous = None
    while previous != text:
        previous = text
        text = re.sub(r"[_^]\{([^{}]*)\}", lambda m: "i" * ((2 * len(m[1].replace(" ", "")) + 2) // 3), text)
        text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", lambda m: max(m[1], m[2], key=len), text)
        text = re.sub(r"\\sqrt\{([^{}]*)\}", r"x\1", text)
        text = re.sub(r"(?<![\w}])\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\(ln|log|det|tr|arcsin|arccos)(?![a-z])", "xxx", text)
    text = re.sub(r"\\[A-Za-z]+", "x", text)
    # relations and signs have space around them, products none
    return len(re.sub(r"\s+", "", text)) + 2 * len(re.findall(r"[+=<>-]", text))


def written(value: Any, printer: Latex) -> str:
    """A value on one line."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, str):
        return rf"\text{{{value}}}"
    if isinstance(value, float):
        return decimal(f"{value:.10g}")
    if isinstance(value, PowerSeries):
        return " ".join(part for broken in _terms(value, printer, 10**6) for part in broken)
    if isinstance(value, list | tuple):
        return r"\left(" + r",\ ".join(written(item, printer) for item in value) + r"\right)"
    if isinstance(value, Basic) or hasattr(value, "shape"):
        return str(printer.doprint(value)).replace("+ -", "-")
    return decimal(str(value))


def decimal(text: str) -> str:
    """A number as it is printed, its power of ten set as one."""
    mantissa, e, power = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(power)}}}" if e else text


def lines(value: Any, printer: Latex, room: int = ROOM) -> list[str]:
    """A value in lines of at most ``room`` characters, as far as sums, products and lists can be broken."""
    whole = written(value, printer)
    if width(whole) <= room:
        return [whole]
    if isinstance(value, PowerSeries):
        return _filled(_terms(value, printer, room), room)
    if isinstance(value, list | tuple | Tuple):
        items = [written(item, printer) for item in value]
        between = [[rf"\bigl( {items[0]},"], *([f"{item},"] for item in items[1:-1]), [rf"{items[-1]} \bigr)"]]
        return _filled(between, room) if len(items) > 1 else [whole]
    if isinstance(value, MatMul):
        return _matrix_product(value, printer, room)
    if hasattr(value, "adjoint_map"):
        return _mapped(value, whole, printer, room)
    if isinstance(value, MatAdd):
        return _filled(_signed(value.args, printer, room), room)
    if isinstance(value, Add):
        return _filled(_signed(printer._as_ordered_terms(value), printer, room), room)
    if isinstance(value, Mul | Pow | log | Trace) and value.is_commutative:
        return _product(value, printer, room)
    return [whole]


def _terms(value: PowerSeries, printer: Latex, room: int) -> list[list[str]]:
    """Each term of a series in lines, and that more follow."""
    result = []
    for index, (coefficient, power) in enumerate(value):
        (broken,) = _signed([Mul(coefficient, 1)], printer, room)
        if isinstance(coefficient, Add):
            broken = [rf"\Bigl( {broken[0]}", *broken[1:-1], *broken[1:][-1:]]
            broken[-1] += r" \Bigr)"
        if index and not broken[0].startswith("-"):
            broken[0] = "+ " + broken[0]
        if width(broken[-1]) + width(power) <= room or broken[-1].endswith(")"):
            broken[-1] += f" {power}"
        else:
            broken.append(rf"\quad \times {power}")
        result.append(broken)
    return [*result, [r"+ \cdots"]]


def _signed(terms: Iterable[Any], printer: Latex, room: int) -> list[list[str]]:
    """Each term in lines, with its sign before it; none before the first where it is positive."""
    result = []
    for index, term in enumerate(terms):
        # the opposite of a number times a sum is a sum, before which no sign may stand
        negative = (
            _coeff_isneg(term) and isinstance(term, Mul | MatMul | Number) and not isinstance(-term, Add | MatAdd)
        )
        broken = lines(-term if negative else term, printer, room - 3)
        if not negative and broken[0].lstrip().startswith("-"):
            sign = ""
        else:
            sign = "- " if negative else "+ " if index else ""
        result.append([sign + broken[0], *(rf"\quad {line}" for line in broken[1:])])
    return result


def _product(value: Any, printer: Latex, room: int) -> list[str]:
    """Factors, broken between two of them with ×; the longest ones in brackets over several lines."""
    numerator, denominator = fraction(value, exact=True)  # else it multiplies numbers into sums
    above = [factor for factor in Mul.make_args(numerator) if factor != 1]
    below = [denominator] if denominator != 1 else []
    if below and width(written(1 / denominator, printer)) > room:
        below = list(Mul.make_args(denominator))
    # a sum such as 3 + √17 is no plain number: SymPy would multiply it out, and it needs brackets
    numbers = Mul(*filter(_plain, above)) / Mul(*filter(_plain, below))
    factors = [factor for factor in above if not _plain(factor)]
    inverted = [factor for factor in below if not _plain(factor)]
    sign = ""
    if numbers.could_extract_minus_sign():
        numbers, sign = -numbers, "- "
    long = [factor for factor in factors if factor.has(Add, Trace)]
    first = numbers * Mul(*(factor for factor in factors if not factor.has(Add, Trace)))
    leading = [first / inverted[0], *(1 / factor for factor in inverted[1:])] if inverted else [first]
    leading = [factor for factor in leading if factor != 1]
    parts = []
    for factor in leading:
        above, below = fraction(factor)
        if width(written(factor, printer)) <= room:
            parts.append([written(factor, printer)])
        else:
            parts += [[written(above, printer)]] if above != 1 else []
            for each in Mul.make_args(below):
                if each.is_number and each != 1:
                    parts.append([written(1 / each, printer)])
                elif each != 1:
                    parts.append(_factor(1 / each, printer, room - 3))
    parts += [_factor(factor, printer, room - 3) for factor in long]
    if not parts:
        return [written(value, printer)]
    parts[0][0] = sign + parts[0][0]
    return _filled(parts, room, r"\times ")


def _plain(factor: Any) -> bool:
    return bool(factor.is_number) and not factor.has(Add)


def _factor(factor: Any, printer: Latex, room: int) -> list[str]:
    """One factor: where it is too long, in brackets over several lines."""
    whole = str(printer.parenthesize(factor, PRECEDENCE["Mul"]))
    if width(whole) <= room:
        return [whole]
    opening, inside, closing = r"\Bigl(", factor, r"\Bigr)"
    if isinstance(factor, log | Trace):
        name = "ln" if isinstance(factor, log) else "operatorname{tr}"
        opening, inside = rf"\{name} \Bigl(", factor.args[0]
    elif isinstance(factor, Pow) and isinstance(factor.base, Add):
        inside, exponent = factor.as_base_exp()
        closing += f"^{{{written(exponent, printer).replace('frac', 'tfrac')}}}"
    elif not isinstance(factor, Add):
        return [whole]
    broken = lines(inside, printer, room - 2)
    if len(broken) == 1:
        return [whole]
    broken = [f"{opening} {broken[0]}", *(rf"\quad {line}" for line in broken[1:])]
    return [*broken[:-1], f"{broken[-1]} {closing}"]


def _matrix_product(value: Any, printer: Latex, room: int) -> list[str]:
    """Matrices one after the other, each in lines where it is a map of a long one."""
    factors, matrices = printer.factors(value)
    parts = [[factor] for factor in factors[: len(factors) - len(matrices)]]
    for matrix, whole in zip(matrices, factors[-len(matrices) :], strict=True):
        parts.append([whole] if width(whole) <= room else _mapped(matrix, whole, printer, room - 3))
    return _filled(parts, room)


def _mapped(matrix: Any, whole: str, printer: Latex, room: int) -> list[str]:
    """A linear map of a long matrix, such as ``(A)^+``, in lines; other long matrices as they are."""
    if not hasattr(matrix, "adjoint_map"):
        return [whole]
    short = MatrixSymbol("X", *matrix.argument.shape)
    before, _, after = str(printer._print(matrix.func(short, *matrix.args[1:]))).rpartition("X")
    for opening, closing in ((r"\left(", r"\right)"), ("{", "}")):
        if before.endswith(opening) and after.startswith(closing):
            before, after = before.removesuffix(opening), after.removeprefix(closing)
    if before.endswith(r"\left["):
        before, after = before.removesuffix(r"\left["), after.removeprefix(r"\right]")
        opening, closing = r"\Bigl[", r"\Bigr]"
    else:
        opening, closing = r"\Bigl(", r"\Bigr)"
    broken = lines(matrix.argument, printer, room - width(before))
    broken = [f"{before}{opening} {broken[0]}", *(rf"\quad {line}" for line in broken[1:])]
    return [*broken[:-1], f"{broken[-1]} {closing}{after}"]


def _filled(parts: list[list[str]], room: int, between: str = "") -> list[str]:
    """Parts one after the other, as many on a line as it has room for; ``between`` stands before one on a new line."""
    result: list[str] = []
    for part in parts:
        if result and width(result[-1]) + width(part[0]) + 2 <= room:
            result[-1] += " " + part[0]
            result += part[1:]
        else:
            result += [(between if result else "") + part[0], *part[1:]]
    return result
