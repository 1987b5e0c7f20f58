"""Matrix expressions of the theory, lowered to NumPy functions that factorise each matrix once.

``lower_matrix`` turns the straight-line programs of ``theory.matrix_calculus.assignments`` into source text.
Everything that does not need a *late* argument (factorisations, inverses, products of them) is computed by
``bind``; what is left, for a Hessian–vector product, is multiplications only.

Structure enters through further arguments, asked for where an expression needs them: ``P``, the number of
patterns in a time block (Step, Shift, Mask), and ``supervised``, which stands for 𝒯: integer positions in the
time-major joint index, or a whole m × nP matrix; ``supervised_1`` … for those of several outputs.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import MatrixSymbol
from sympy.printing.pycode import pycode

from numerics.errors import InputError
from numerics.linalg import FloatArray, solve_lower, symmetric
from numerics.lowering.operations import (
    adjoint_shift,
    embed,
    factor,
    inverse,
    log_determinant,
    mask,
    restrict,
    shift,
)
from theory.matrix_calculus.assignments import Assignment, Program, assignments

BLOCK = "P"
PROJECTION = "supervised"


#: What lowered text may call.
NAMES = (factor, inverse, log_determinant, solve_lower, symmetric, shift, adjoint_shift, mask, restrict, embed)
_NAMESPACE: dict[str, Any] = {"np": np} | {operation.__name__: operation for operation in NAMES}


@dataclass(frozen=True)
class BoundMatrixFunction:
    """A lowered function with its early arguments fixed and everything that depends on them computed."""

    lowered: LoweredMatrixFunction
    state: dict[str, Any]
    sizes: dict[Any, int]

    def __call__(self, **late: FloatArray) -> dict[str, Any]:
        """Every output, by name; the late arguments are arrays of the symbols' shapes."""
        _check_names(late, [symbol.name for symbol in self.lowered.late], "late arguments")
        arrays = {s.name: _array(late[s.name], s, dict(self.sizes)) for s in self.lowered.late}
        return self.lowered._late_function(self.state, **arrays)


@dataclass(frozen=True)
class LoweredMatrixFunction:
    """Callable of NumPy arrays made from matrix expressions.

    Attributes:
        outputs: names of the results, in order.
        early, late: matrix symbols, given to ``bind`` and to its result.
        scalars: scalar symbols, given to ``bind``.
        structure: which of ``P`` and ``supervised`` are asked for as well.
        source: the two functions as Python text.
        program: the assignments that the text was made from.
    """

    outputs: tuple[str, ...]
    early: tuple[MatrixSymbol, ...]
    late: tuple[MatrixSymbol, ...]
    scalars: tuple[Any, ...]
    structure: tuple[str, ...]
    source: str
    program: Program
    _early_function: Callable[..., dict[str, Any]]
    _late_function: Callable[..., dict[str, Any]]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments of ``bind``."""
        return (*(s.name for s in self.early), *(s.name for s in self.scalars), *self.structure)

    def bind(self, **arguments: Any) -> BoundMatrixFunction:
        """Fix the early arguments, by name; factorises each inverted matrix once.

        Raises:
            InputError: a name is missing or unknown, a shape does not fit, or a value is not finite and real.
            numpy.linalg.LinAlgError: a matrix that is inverted is not positive-definite.
        """
        _check_names(arguments, self.arguments, "arguments")
        sizes: dict[Any, int] = {}
        values: dict[str, Any] = {s.name: _array(arguments[s.name], s, sizes) for s in self.early}
        values |= {s.name: _scalar(arguments[s.name], s.name) for s in self.scalars}
        if BLOCK in self.structure:
            values[BLOCK] = _block(arguments[BLOCK], self.early[0].name, len(values[self.early[0].name]))
        for name, at in _projections(self.program).items():
            values[name] = _projection(arguments[name], name, at, sizes)
        return BoundMatrixFunction(self, self._early_function(**values), sizes)

    def __call__(self, **arguments: Any) -> dict[str, Any]:
        """Every output, by name: ``bind`` and the rest in one call."""
        late = {s.name: arguments.pop(s.name) for s in self.late if s.name in arguments}
        return self.bind(**arguments)(**late)


def lower_matrix(
    outputs: Mapping[str, Any], arguments: Sequence[Any], late: Sequence[Any] = ()
) -> LoweredMatrixFunction:
    """Lower several matrix or scalar expressions together.

    Args:
        outputs: name to expression, in the node set of ``theory.matrix_calculus``.
        arguments: every matrix and scalar symbol that the expressions may contain.
        late: those matrix symbols whose values come after the factorisations.

    Raises:
        InputError: an expression contains a symbol that is not among the arguments, or a node that has no
            rule; two arguments share a name, or a name is no Python name.
    """
    _check_arguments(outputs, arguments, late)
    try:
        program = assignments(outputs, late)
    except ValueError as error:
        raise InputError(str(error)) from None
    _refuse_unknown(program, arguments)
    operations = {assignment.operation for assignment in program.assignments}
    structure = []
    if operations & {"step", "shift", "adjoint-shift", "mask"}:
        structure.append(BLOCK)
    structure += _projections(program)
    matrices = [s for s in arguments if isinstance(s, MatrixSymbol) and s not in late]
    scalars = [s for s in arguments if not isinstance(s, MatrixSymbol)]
    source = _source(program, matrices, scalars, structure, list(late))
    found = dict(_NAMESPACE)
    exec(compile(source, "<lowered matrix expressions>", "exec"), found)
    return LoweredMatrixFunction(
        tuple(outputs),
        tuple(matrices),
        tuple(late),
        tuple(scalars),
        tuple(structure),
        source,
        program,
        found["early"],
        found["finish"],
    )


def _check_arguments(outputs: Mapping[str, Any], arguments: Sequence[Any], late: Sequence[Any]) -> None:
    if not outputs:
        raise InputError("outputs: are empty; accepted: at least one expression")
    names = [symbol.name for symbol in arguments]
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise InputError(f"arguments: {name!r} is no Python name; accepted: symbols with plain names")
        if names.count(name) > 1:
            raise InputError(f"arguments: {name} stands twice; accepted: one symbol for each name")
        if (
            name == BLOCK
            or name.startswith(PROJECTION)
            or (name[0] == "t" and name[1:].isdigit())
            or name in _NAMESPACE
        ):
            raise InputError(f"arguments: the name {name} is taken by the lowered text; accepted: another name")
    missing = [symbol.name for symbol in late if symbol not in arguments]
    if missing:
        raise InputError(f"late: {', '.join(missing)} not among the arguments; accepted: some of them")


def _refuse_unknown(program: Program, arguments: Sequence[Any]) -> None:
    unknown = [symbol for symbol in (*program.matrices, *program.scalars) if symbol not in arguments]
    if unknown:
        text = ", ".join(f"{symbol} ({type(symbol).__name__})" for symbol in unknown)
        raise InputError(f"outputs: contain the unknown symbols {text}; accepted: the symbols listed as arguments")


def _check_names(given: Mapping[str, Any], expected: Sequence[str], what: str) -> None:
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    if missing or unknown:
        wrong = [f"{kind} {', '.join(those)}" for kind, those in (("missing", missing), ("unknown", unknown)) if those]
        raise InputError(f"{what}: {'; '.join(wrong)}; accepted: exactly {', '.join(expected) or 'none'}")


def _array(value: Any, symbol: MatrixSymbol, sizes: dict[Any, int]) -> FloatArray:
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise InputError(f"{symbol.name}: is no finite real matrix; accepted: shape {symbol.shape}")
    for size, length in zip(symbol.shape, array.shape, strict=True):
        if sizes.setdefault(size, length) != length:
            raise InputError(f"{symbol.name}: has {length} rows or columns for {size} = {sizes[size]}; accepted: equal")
    return array.astype(np.float64, copy=False)


def _scalar(value: Any, name: str) -> float:
    number = np.asarray(value)
    if number.ndim != 0 or number.dtype.kind not in "fiub" or not np.isfinite(number):
        raise InputError(f"{name}: is {value!r}; accepted: a finite real number")
    return float(number)


def _block(value: Any, name: str, rows: int) -> int:
    if not isinstance(value, int | np.integer) or value < 1 or rows % value:
        raise InputError(f"{BLOCK}: is {value!r} for {name} with {rows} rows; accepted: an integer that divides them")
    return int(value)


def _projections(program: Program) -> dict[str, Assignment]:
    """The argument for the 𝒯 of each output, and where it is first used."""
    found: dict[str, Assignment] = {}
    for a in program.assignments:
        if a.operation in ("restrict", "embed"):
            found.setdefault(_projection_name(a), a)
    return dict(sorted(found.items()))


def _projection_name(assignment: Assignment) -> str:
    return f"{PROJECTION}_{assignment.output}" if assignment.output else PROJECTION


def _projection(value: Any, name: str, rows: Assignment, sizes: dict[Any, int]) -> NDArray[Any]:
    array = np.asarray(value)
    small, large = rows.expression.rows, rows.expression.argument.rows
    if rows.operation == "embed":
        small, large = large, small
    whole = sizes.get(large)
    if array.ndim == 1 and array.dtype.kind in "iu":
        good = whole is None or (array.size == 0 or (array.min() >= 0 and array.max() < whole))
        good = good and len(np.unique(array)) == len(array)
    else:
        good = array.ndim == 2 and array.dtype.kind in "fiub" and (whole is None or array.shape[1] == whole)
    if not good or sizes.setdefault(small, len(array)) != len(array):
        raise InputError(
            f"{name}: does not fit; accepted: {sizes.get(small, 'm')} different positions "
            f"below {whole}, or a matrix with {whole} columns"
        )
    return array


def _source(program: Program, matrices: Any, scalars: Any, structure: Any, late: Any) -> str:
    sizes = size_sources(matrices, program)
    names = [s.name for s in (*matrices, *scalars)] + list(structure)
    early = [a for a in program.assignments if not a.late]
    after = [a for a in program.assignments if a.late]
    computed = {a.target for a in early} | {s.name for s in matrices}
    used_late = {operand for a in after for operand in a.operands} | set(program.outputs.values())
    scalar_late = {s.name for a in after for c in a.coefficients for s in c.free_symbols}
    structure_late = set(structure) if after else set()
    kept = sorted((used_late & computed) | scalar_late | structure_late)
    size_names = [f"rows_{i}" for i in range(len(sizes))]
    text = [f"def early({', '.join(names)}):"]
    text += [f"    {name} = {how}" for name, how in zip(size_names, sizes.values(), strict=True)]
    table = dict(zip(sizes, size_names, strict=True))
    text += [line(a, table) for a in early]
    kept += [name for name in size_names if after]
    text += [f"    return {{{', '.join(f'{name!r}: {name}' for name in kept)}}}", "", ""]
    text += [f"def finish({', '.join(['state', *(s.name for s in late)])}):"]
    text += [f"    {name} = state[{name!r}]" for name in kept]
    text += [line(a, table) for a in after]
    results = ", ".join(f"{output!r}: {name}" for output, name in program.outputs.items())
    return "\n".join([*text, f"    return {{{results}}}", ""])


def size_sources(matrices: Any, program: Program) -> dict[Any, str]:
    """How each symbolic number of rows that is asked for can be read off an argument."""
    known: dict[Any, str] = {}
    for symbol in matrices:
        for axis, size in enumerate(symbol.shape):
            known.setdefault(size, f"{symbol.name}.shape[{axis}]")
    for a in program.assignments:
        if a.operation == "restrict":
            known.setdefault(a.rows, f"len({_projection_name(a)})")
    wanted = [a.rows for a in program.assignments if a.operation in ("identity", "zero", "step", "embed")]
    unknown = [size for size in wanted if size not in known]
    if unknown:
        raise InputError(f"arguments: none has {unknown[0]} rows; accepted: a matrix argument that fixes this size")
    return {size: how for size, how in known.items() if size in wanted}


def line(assignment: Assignment, sizes: Mapping[Any, str]) -> str:
    """An assignment as text; ``sizes`` names the symbolic numbers of rows."""
    return f"    {assignment.target} = {_right_hand_side(assignment, sizes)}"


def _right_hand_side(assignment: Assignment, sizes: Mapping[Any, str]) -> str:
    names, operation = assignment.operands, assignment.operation
    rows = sizes.get(assignment.rows)
    if operation == "combination":
        return _combination(assignment.coefficients, names)
    if operation == "scalar-combination":
        *coefficients, constant = assignment.coefficients
        text = _combination(coefficients, names)
        return f"{text} + {pycode(constant)}" if text and constant != 0 else text or pycode(constant)
    if operation == "trace":
        return f"np.einsum('ij,ji->', {names[0]}, {names[1]})" if len(names) == 2 else f"np.trace({names[0]})"
    templates = {
        "factor": "factor({0})",
        "inverse": "inverse({0})",
        "general-inverse": "np.linalg.inv({0})",
        "log-determinant": "log_determinant({0})",
        "product": "{0} @ {1}",
        "transpose": "{0}.T",
        "whitened": "solve_lower({0}, {1})",
        "symmetric": "symmetric({0})",
        "square": "np.vdot({0}, {0})",
        "identity": f"np.eye({rows})",
        "zero": f"np.zeros(({rows}, {rows}))",
        "shift": f"shift({{0}}, {BLOCK})",
        "adjoint-shift": f"adjoint_shift({{0}}, {BLOCK})",
        "step": f"np.eye({rows}, k=-{BLOCK})",
        "mask": f"mask({{0}}, {BLOCK}, {{1}})" if len(names) == 2 else f"mask({{0}}, {BLOCK})",
        "restrict": f"restrict({{0}}, {_projection_name(assignment)})",
        "embed": f"embed({{0}}, {_projection_name(assignment)}, {rows})",
    }
    return templates[operation].format(*names)


def _combination(coefficients: Sequence[Any], names: Sequence[str]) -> str:
    terms = []
    for coefficient, name in zip(coefficients, names, strict=True):
        if coefficient == 1:
            terms.append(name)
        elif coefficient == -1:
            terms.append(f"-{name}")
        else:
            terms.append(f"({pycode(coefficient)})*{name}")
    return " + ".join(terms).replace("+ -", "- ")
