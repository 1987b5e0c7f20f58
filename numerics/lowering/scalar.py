"""The one gateway from scalar SymPy expressions to NumPy and mpmath functions.

``lower`` takes named terms of a scalar function ``F(x; p)`` and returns a frozen ``Lowered``: the terms, the gradient,
the size of what cancels in the gradient, and the Hessian, from one common-subexpression pass, vectorised over points
and parameters. Source text is generated once and can be read (``Lowered.source``); each use (values only, or gradient
and Hessian) runs only the assignments that it needs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import mpmath
import numpy as np
from sympy import Add, Basic, Expr, Integer, Pow, Symbol, SympifyError, cse, diff, numbered_symbols, sympify
from sympy.printing.numpy import NumPyPrinter
from sympy.printing.pycode import MpmathPrinter

from numerics.errors import InputError
from numerics.inputs.arguments import require_kind
from numerics.inputs.scalars import shown
from numerics.inputs.sizes import require
from numerics.linalg import FloatArray

#: Points handled together: the live temporaries of this length stay near a core's second-level cache.
CHUNK = 4096
_EXPRESSIONS = "a SymPy expression, or several by name"


class Evaluation(NamedTuple):
    """Derivatives at a batch of points.

    Attributes:
        gradient: ``∂F/∂x_i``, shape (d, B).
        cancelling: ``Σ_k |∂F_k/∂x_i|`` over the terms ``F = Σ_k F_k``, shape (d, B): the size that a zero gradient
            has cancelled, so that ``|gradient|/cancelling`` is a relative residual.
        triangle: ``∂²F/∂x_i∂x_j`` for i ≤ j, row by row, shape (d(d+1)/2, B).
    """

    gradient: FloatArray
    cancelling: FloatArray
    triangle: FloatArray

    @property
    def hessian(self) -> FloatArray:
        """``∂²F/∂x_i∂x_j``, shape (d, d, B), exactly symmetric."""
        d, batch = self.gradient.shape
        full = np.empty((d, d, batch))
        rows, columns = np.triu_indices(d)
        full[rows, columns] = full[columns, rows] = self.triangle
        return full


class PreciseEvaluation(NamedTuple):
    """Value, gradient and Hessian at one point, as mpmath numbers and matrices."""

    value: Any
    gradient: Any
    hessian: Any


def _integer_power(printer: Any, expr: Pow) -> str | None:
    """Small integer powers as products: NumPy's ``power`` is twenty times slower for exponents other than ±1, 2."""
    base, exponent = expr.as_base_exp()
    if not isinstance(exponent, Integer) or not 1 < abs(int(exponent)) <= 8:
        return None
    text = printer.parenthesize(base, 100)
    product = "*".join([text] * abs(int(exponent)))
    return f"({product})" if exponent > 0 else f"(1/({product}))"


class _NumPyText(NumPyPrinter):  # type: ignore[misc]
    def _as_ordered_terms(self, expr: Add, order: str | None = None) -> list[Expr]:
        # -a + b is one operation more than b - a
        terms: list[Expr] = super()._as_ordered_terms(expr, order=order)
        return sorted(terms, key=lambda term: bool(term.could_extract_minus_sign()))

    def _print_Pow(self, expr: Pow, rational: bool = False) -> str:
        if expr.exp == -1:
            return f"(1/{self.parenthesize(expr.base, 100)})"
        text = _integer_power(self, expr)
        return text if text is not None else str(super()._print_Pow(expr, rational=rational))


class _MpmathText(MpmathPrinter):  # type: ignore[misc]
    """Powers as products here too: other number types (balls that hold 0) know no general power."""

    def _print_Pow(self, expr: Pow, rational: bool = False) -> str:
        text = _integer_power(self, expr)
        return text if text is not None else str(super()._print_Pow(expr, rational=rational))


@dataclass(frozen=True, eq=False)
class Lowered:
    """A scalar function ``F(x; p) = Σ_k F_k``, its gradient and Hessian, as functions of arrays.

    Attributes:
        variables: the symbols ``x_1 … x_d``, in the order of the first axis of ``x``.
        parameters: the symbols ``p_1 … p_m``, in the order of the first axis of ``p``.
        terms: names of the ``F_k``, in order.
        source: the assignments behind every result, as Python text.
    """

    variables: tuple[Symbol, ...]
    parameters: tuple[Symbol, ...]
    terms: tuple[str, ...]
    source: str
    _values: Callable[..., None]
    _derivatives: Callable[..., None]
    _precise: Callable[..., tuple[list[Any], list[Any]]]
    _precise_text: str

    @property
    def dimension(self) -> int:
        """Number of variables, d."""
        return len(self.variables)

    def values(self, x: FloatArray, p: FloatArray) -> FloatArray:
        """The terms ``F_k``, shape (K, B), at points ``x`` (d, B) and parameters ``p`` (m, B) or (m, 1)."""
        return self._run(self._values, x, p, len(self.terms))

    def derivatives(self, x: FloatArray, p: FloatArray) -> Evaluation:
        """Gradient, what cancels in it, and Hessian at points ``x`` (d, B), parameters ``p`` (m, B) or (m, 1)."""
        d = self.dimension
        pairs = d * (d + 1) // 2
        raw = self._run(self._derivatives, x, p, 2 * d + pairs)
        return Evaluation(raw[:d], raw[d : 2 * d], raw[2 * d :])

    def precise(self, x: Sequence[Any], p: Sequence[Any], dps: int) -> PreciseEvaluation:
        """The same expressions at one point with ``dps`` decimal digits, in mpmath.

        ``x`` and ``p`` are sequences of numbers or decimal strings in the order of ``variables`` and ``parameters``.

        Raises:
            InputError: a wrong number of variables or parameters.
        """
        self._check_counts(len(x), len(p))
        d = self.dimension
        with mpmath.workdps(dps):
            terms, rest = self._precise([mpmath.mpf(a) for a in x], [mpmath.mpf(a) for a in p])
            hessian = mpmath.matrix(d, d)
            for row, (i, j) in enumerate(zip(*np.triu_indices(d), strict=True)):
                hessian[int(i), int(j)] = hessian[int(j), int(i)] = rest[d + row]
            return PreciseEvaluation(mpmath.fsum(terms), mpmath.matrix(rest[:d]), hessian)

    def _check_counts(self, variables: int, parameters: int) -> None:
        if variables != self.dimension:
            raise InputError(f"x: has {variables} variables; accepted: {self.dimension}, in the order {self.variables}")
        if parameters != len(self.parameters):
            raise InputError(
                f"p: has {parameters} parameters; accepted: {len(self.parameters)}, in the order {self.parameters}"
            )

    def _run(self, function: Callable[..., None], x: FloatArray, p: FloatArray, rows: int) -> FloatArray:
        if x.ndim != 2 or p.ndim != 2:
            raise InputError(f"x, p: have {x.ndim} and {p.ndim} axes; accepted: (d, B) and (m, B) or (m, 1)")
        self._check_counts(x.shape[0], p.shape[0])
        batch = x.shape[1]
        if p.shape[1] not in (1, batch):
            raise InputError(f"p: has {p.shape[1]} points, x has {batch}; accepted: the same number, or 1")
        out = np.empty((rows, batch))
        with np.errstate(all="ignore"):  # points outside the domain give NaN, which the caller tests for
            for start in range(0, batch, CHUNK):
                part = slice(start, start + CHUNK)
                function(x[:, part], p[:, part] if p.shape[1] == batch else p, out[:, part])
        return out


def lower(expressions: Expr | Mapping[str, Expr], variables: Sequence[Symbol], parameters: Sequence[Symbol]) -> Lowered:
    """Lower a scalar expression, or named terms of a sum, with its first two derivatives in ``variables``.

    Args:
        expressions: ``F``, or ``{name: F_k}`` with ``F = Σ_k F_k``.
        variables: the symbols to differentiate by; order of the first axis of ``x``.
        parameters: every other symbol; order of the first axis of ``p``.

    Raises:
        InputError: what is no expression or no symbol; a symbol that is listed twice, is listed under different
            assumptions than it is used with, or is used but not listed.

    Example:
        >>> import numpy as np
        >>> from sympy import symbols
        >>> import unrolled
        >>> x, a = symbols("x a")
        >>> lowered = unrolled.lower(a * x**2, [x], [a])
        >>> lowered.values(np.array([[3.0]]), np.array([[2.0]]))
        array([[18.]])
    """
    terms = expressions if isinstance(expressions, Mapping) else {"value": expressions}
    named = tuple((str(name), _expression(term)) for name, term in terms.items())
    require(len(named) > 0, "expressions", "are none", _EXPRESSIONS)
    for symbols, name in ((variables, "variables"), (parameters, "parameters")):
        require_kind(symbols, name, lambda given: isinstance(given, Iterable), "a sequence of SymPy symbols")
    listed = tuple(variables), tuple(parameters)
    _check_symbols([term for _, term in named], *listed)
    return _lower(named, *listed)


def _expression(term: Any) -> Expr:
    try:
        found = sympify(term)
    except (SympifyError, TypeError, AttributeError):
        found = None
    require(isinstance(found, Expr), "expressions", f"have {shown(term)}", _EXPRESSIONS)
    return found


@lru_cache(maxsize=32)
def _lower(
    named: tuple[tuple[str, Expr], ...], variables: tuple[Symbol, ...], parameters: tuple[Symbol, ...]
) -> Lowered:
    terms = [term for _, term in named]
    gradients = [[diff(term, x) for x in variables] for term in terms]
    gradient = [Add(*column) for column in zip(*gradients, strict=True)]
    pairs = [(i, j) for i in range(len(variables)) for j in range(i, len(variables))]
    hessian = [diff(gradient[i], variables[j]) for i, j in pairs]
    flat = [g for row in gradients for g in row]
    temporaries, results = cse([*terms, *flat, *gradient, *hessian], symbols=numbered_symbols("_t"), order="none")
    k, d = len(terms), len(variables)
    parts = {
        "terms": results[:k],
        "flat": results[k : k + k * d],
        "gradient": results[k + k * d : k + k * d + d],
        "hessian": results[k + k * d + d :],
    }
    arguments = (variables, parameters)
    values_text = _numpy_text("values", arguments, temporaries, parts["terms"])
    cancelling = [[_unsigned(part) for part in parts["flat"][i::d] if part != 0] for i in range(d)]
    outputs = [*parts["gradient"], *cancelling, *parts["hessian"]]
    derivatives_text = _numpy_text("derivatives", arguments, temporaries, outputs)
    precise_text = _mpmath_text(arguments, temporaries, parts["terms"], [*parts["gradient"], *parts["hessian"]])
    return Lowered(
        variables=variables,
        parameters=parameters,
        terms=tuple(name for name, _ in named),
        source=f"{values_text}\n\n{derivatives_text}\n\n{precise_text}",
        _values=_compiled(values_text, "values", {"numpy": np}),
        _derivatives=_compiled(derivatives_text, "derivatives", {"numpy": np}),
        _precise=_compiled(precise_text, "precise", {"mpmath": mpmath}),
        _precise_text=precise_text,
    )


def _unsigned(expression: Expr) -> Expr:
    return -expression if expression.could_extract_minus_sign() else expression


def _check_symbols(terms: Sequence[Expr], variables: Sequence[Symbol], parameters: Sequence[Symbol]) -> None:
    listed = [*variables, *parameters]
    for symbol in listed:
        if not isinstance(symbol, Symbol):
            raise InputError(f"variables, parameters: contain {symbol!r}; accepted: SymPy symbols")
    names = [symbol.name for symbol in listed]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"variables, parameters: name {twice} more than once; accepted: each symbol once")
    unlisted = sorted(set().union(*(term.free_symbols for term in terms)) - set(listed), key=str)
    for symbol in unlisted:
        if symbol.name in names:
            raise InputError(
                f"expressions: use a symbol {symbol.name} with assumptions {symbol.assumptions0}, different from the "
                f"listed symbol of the same name; accepted: one symbol object for one name (theory.symbols)"
            )
        raise InputError(f"expressions: use the unlisted symbol {symbol.name}; accepted: {', '.join(names)}")


def _needed(temporaries: Sequence[tuple[Symbol, Expr]], results: Sequence[Basic]) -> list[tuple[Symbol, Expr]]:
    """The assignments that ``results`` depend on, in order."""
    wanted: set[Basic] = set().union(*(result.free_symbols for result in results)) if results else set()
    kept = []
    for symbol, expression in reversed(temporaries):
        if symbol in wanted:
            kept.append((symbol, expression))
            wanted |= expression.free_symbols
    return kept[::-1]


def _numpy_text(
    name: str,
    arguments: tuple[Sequence[Symbol], Sequence[Symbol]],
    temporaries: Sequence[tuple[Symbol, Expr]],
    outputs: Sequence[Basic | list[Basic]],
) -> str:
    """A function that stores each output: an expression, or the sum of the sizes of several."""
    printer = _NumPyText({"fully_qualified_modules": True})
    locals_, unpack = _local_names(arguments)
    groups = [output if isinstance(output, list) else [output] for output in outputs]
    lines = [f"def {name}(x, p, out):", *(f"    {line}" for line in unpack)]
    for symbol, expression in _needed(temporaries, [expression for group in groups for expression in group]):
        lines.append(f"    {symbol} = {printer.doprint(expression.xreplace(locals_))}")
    for i, (output, group) in enumerate(zip(outputs, groups, strict=True)):
        texts = [printer.doprint(expression.xreplace(locals_)) for expression in group]
        shown = " + ".join(f"abs({text})" for text in texts) or "0" if output is group else texts[0]
        lines.append(f"    out[{i}] = {shown}")
    return "\n".join(_with_releases(lines))


def _with_releases(lines: list[str]) -> list[str]:
    """Delete each temporary after its last use, so that its memory, still in cache, serves the next one."""
    last: dict[str, int] = {}
    for number, line in enumerate(lines[1:], 1):
        for node in ast.walk(ast.parse(line.strip())):
            if isinstance(node, ast.Name) and node.id.startswith("_t"):
                last[node.id] = number
    released: list[str] = []
    for number, line in enumerate(lines):
        dead = sorted(name for name, where in last.items() if where == number)
        released.append(line + (f"; del {', '.join(dead)}" if dead else ""))
    return released


def _mpmath_text(
    arguments: tuple[Sequence[Symbol], Sequence[Symbol]],
    temporaries: Sequence[tuple[Symbol, Expr]],
    terms: Sequence[Basic],
    rest: Sequence[Basic],
) -> str:
    printer = _MpmathText({"fully_qualified_modules": True})
    locals_, unpack = _local_names(arguments)
    lines = ["def precise(x, p):", *(f"    {line}" for line in unpack)]
    for symbol, expression in _needed(temporaries, [*terms, *rest]):
        lines.append(f"    {symbol} = {printer.doprint(expression.xreplace(locals_))}")
    for target, group in (("terms", terms), ("rest", rest)):
        lines.append(f"    {target} = [{', '.join(printer.doprint(e.xreplace(locals_)) for e in group)}]")
    return "\n".join([*lines, "    return terms, rest"])


def _local_names(
    arguments: tuple[Sequence[Symbol], Sequence[Symbol]],
) -> tuple[dict[Basic, Basic], list[str]]:
    """Valid Python names for the arguments (``lambda`` is none), and the lines that unpack them."""
    names: dict[Basic, Basic] = {}
    lines = []
    for letter, symbols in zip("xp", arguments, strict=True):
        for i, symbol in enumerate(symbols):
            name = f"{symbol.name}_" if symbol.name.isidentifier() else f"{letter}{i}_"
            names[symbol] = Symbol(name, **symbol.assumptions0)
            lines.append(f"{name} = {letter}[{i}]")
    return names, lines


def _compiled(text: str, name: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    scope = dict(namespace)
    exec(compile(text, f"<lowered {name}>", "exec"), scope)
    function: Callable[..., Any] = scope[name]
    return function
