r"""What `unrolled derive` finds as LaTeX for a paper: ``align*`` environments that need amsmath, nothing else."""

from __future__ import annotations

from typing import Any

from sympy import CRootOf, Float, Rational, Symbol, sympify

from derivations.formula_tables import TABLES, Fields, RowGroups
from derivations.quantities import symbol_and_phrase
from theory.critical_point import DISCONTINUOUS, order_parameter_latex
from theory.typesetting import OVER_TIMES, Latex, Raw, Row, align, decimal, lines, written

#: Rows that stand in one environment, if they belong to no table.
_TOGETHER = 12
#: What the givens tell, or nothing need be told where formulas are.
_UNWRITTEN = ("T", "kappa", "arch", "supervised", "skip", "bias", "variables", "parameters", "M_st", "latex", "order")


def told(fields: Fields) -> Fields:
    """What people are told: a discontinuous transition has no exponent (what bends back there is unstable)."""
    jumps = fields.get("order") == DISCONTINUOUS
    return {name: value for name, value in fields.items() if value is not None and not (jumps and name == "exponent")}


def as_latex(what: str, fields: Fields, *, only: str | None = None, columns: int = 1) -> str:
    """The fields of an answer to ``derive WHAT``; each quantity's phrase is a comment behind its formula.

    Args:
        what: the word.
        fields: its answer.
        only: one field, in place of all with what was given.
        columns: of the paper, 1 or 2.
    """
    fields = told(fields)
    printer = Latex(_joint_letters(fields))
    given = fields if only is None else {only: fields[only]}
    groups: RowGroups = [_given(what, given, printer)]
    for name, value in fields.items():
        if only not in (None, name):
            continue
        if name in TABLES:
            groups += TABLES[name](value, fields, printer)
        elif name not in _UNWRITTEN and not (name.endswith("_float") and name.removesuffix("_float") in fields):
            groups.append(_rows(what, name, value, fields, printer))
    environments: RowGroups = [[]]
    for group in groups:
        if environments[-1] and len(environments[-1]) + len(group) > _TOGETHER:
            environments.append([])
        environments[-1] += group
    return "\n".join(align(rows, printer, columns=columns) for rows in environments if rows)


def _joint_letters(fields: Fields) -> str:
    """Letters whose names hold times and patterns: in a problem's free energy, none elsewhere."""
    names = [str(symbol) for symbol in fields.get("variables", ())]
    if not names:
        return ""
    return "y" if "H_11" in names else "y" + OVER_TIMES


# --- what was asked ---------------------------------------------------------------------------------------------------


def _given(what: str, fields: Fields, printer: Latex) -> list[Row]:
    """What was given, in one row; not what stands for itself."""
    values = {name: fields.get(name) for name in ("T", "kappa", "arch", "supervised", "skip", "bias")}
    values["arch"] = _sharing(values["arch"], printer)
    if values["supervised"] is not None:
        values["supervised"] = Raw(rf"\{{{', '.join(map(str, values['supervised']))}\}}")
    if isinstance(sympify(values["T"]), Symbol) or fields.get("T") is None:
        values["T"] = None
    shown = [
        (symbol_and_phrase(what, name)[0], written(value, printer))
        for name, value in values.items()
        if value is not None and not isinstance(value, Symbol)
    ]
    if not shown:
        return []
    (left, first), *rest = shown
    return [Row(left, Raw(first + "".join(rf",\quad {name} = {value}" for name, value in rest)), "given")]


def _sharing(arch: str | None, printer: Latex) -> Raw | None:
    """``M_st`` of an architecture (docs/theory.md section 10)."""
    from theory.sharing import sharing

    if arch is None or arch == "matrix":
        return None
    found = sharing(arch)
    rho = written(found.parameter, printer)
    if arch in ("rnn", "dnn"):
        return Raw("1" if arch == "rnn" else r"\delta_{st}")
    if found.family == "looped":
        return Raw(rf"1 \text{{ if }} s \equiv t \bmod {rho} \text{{, else }} 0")
    if found.family == "shared":
        rest = r"\left(1 - \rho\right)" if found.parameter.free_symbols else written(1 - found.parameter, printer)
        return Raw(rf"{rho} + {rest} \, \delta_{{st}}")
    base = rho if found.parameter.free_symbols else "\\left(" + rho + "\\right)"
    return Raw(base + "^{|s-t|}")


# --- one quantity -----------------------------------------------------------------------------------------------------


def _rows(what: str, name: str, value: Any, fields: Fields, printer: Latex) -> list[Row]:
    try:
        left, words = symbol_and_phrase(what, name)
    except KeyError:  # a field that has no symbol yet
        left, words = rf"\text{{{name.replace('_', ' ')}}}", ""
    if name == "parameter" and isinstance(value, Symbol):
        return []  # its range says so
    if name in ("exponent", "first"):
        return _remark(name, value, words, fields)
    if name == "free_energy" and "terms" in fields:
        terms = (symbol_and_phrase(what, term)[0] for term in fields["terms"])
        return [Row(left, Raw(" + ".join(terms)), words)]
    leading = what == "strong-signal" or name == "critical_signal_at_large_T"
    relation = r"\simeq" if leading else "<" if name == "continuous_where_positive" else "="
    if isinstance(value, str | float):
        digits = value if isinstance(value, str) else f"{value:.10g}"
        return [Row(left, Raw(decimal(digits)), words, r"\approx")]
    if name.endswith("_float") or isinstance(value, Float):
        return [Row(left, value, words, r"\approx")]
    if name == "vanish":
        return [Row(left, condition, words) for condition in value]
    if name == "kernel_diagonal" and isinstance(value, list | tuple):
        single = len(value) == 1
        return [Row(left if single else r"\operatorname{diag} H", value[0] if single else tuple(value), words)]
    return _with_digits(Row(left, value, words, relation), fields.get(f"{name}_float"), printer)


def _with_digits(row: Row, number: float | None, printer: Latex) -> list[Row]:
    """An exact value and, where that is not plain, its decimals: beside it, or below a long one."""
    value = row.value
    if number is None or sympify(value).is_Integer:
        return [row]
    digits = Raw(decimal(f"{number:.10g}"))
    if value.has(CRootOf) or len(lines(value, printer)) > 1:
        return [row, row._replace(value=digits, relation=r"\approx")]
    sign = "=" if Rational(f"{number:.10g}") == value else r"\approx"
    return [row._replace(value=Raw(rf"{written(value, printer)} {sign} {digits}"))]


def _remark(name: str, value: Any, words: str, fields: Fields) -> list[Row]:
    if name == "first":
        order = {"both": "=", "coherence": "<", "singular value": ">"}[value]
        return [Row(r"\lambda_{c}", Raw(r"\lambda_{\sigma}"), words, order)]
    if "order" not in fields:
        words += ", where the transition is continuous"
    left = order_parameter_latex(fields["T"], fields["lag"])
    power = f"{value.p}/{value.q}"
    return [Row(left, Raw(rf"\left(\lambda - \lambda_{{c}}\right)^{{{power}}}"), words, r"\propto")]
