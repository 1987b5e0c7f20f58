r"""What `unrolled derive` finds as LaTeX for a paper: ``align*`` environments that need amsmath, nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sympy import CRootOf, Float, Interval, Rational, Symbol, sympify

from derivations.quantities import symbol_and_phrase
from theory.critical_point import DISCONTINUOUS, leading_powers, order_parameter
from theory.typesetting import OVER_TIMES, Latex, Raw, Row, align, decimal, lines, over_times, written

Fields = Mapping[str, Any]
Groups = list[list[Row]]

#: Rows that stand in one environment, if they belong to no table.
_TOGETHER = 12
#: What the givens tell, or nothing need be told where formulas are.
_UNWRITTEN = ("T", "kappa", "arch", "supervised", "skip", "bias", "variables", "parameters", "M_st", "latex", "order")


def told(fields: Fields) -> Fields:
    """What people are told: a discontinuous transition has no exponent (what bends back there is unstable)."""
    jumps = fields.get("order") == DISCONTINUOUS
    return {name: value for name, value in fields.items() if value is not None and not (jumps and name == "exponent")}


def as_latex(what: str, fields: Fields) -> str:
    """The fields of an answer to ``derive WHAT``; each quantity's phrase is a comment behind its formula."""
    fields = told(fields)
    printer = Latex(_joint_letters(fields))
    groups: Groups = [_given(what, fields, printer)]
    for name, value in fields.items():
        if name in _TABLES:
            groups += _TABLES[name](value, fields, printer)
        elif name not in _UNWRITTEN and not (name.endswith("_float") and name.removesuffix("_float") in fields):
            groups.append(_rows(what, name, value, fields, printer))
    environments: Groups = [[]]
    for group in groups:
        if environments[-1] and len(environments[-1]) + len(group) > _TOGETHER:
            environments.append([])
        environments[-1] += group
    return "\n".join(align(rows, printer) for rows in environments if rows)


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
    left = order_parameter(fields["T"], fields["lag"])
    power = f"{value.p}/{value.q}"
    return [Row(left, Raw(rf"\left(\lambda - \lambda_{{c}}\right)^{{{power}}}"), words, r"\propto")]


# --- tables -----------------------------------------------------------------------------------------------------------


def _kernel(value: Fields, fields: Fields, printer: Latex) -> Groups:
    return [[Row(f"H^{{{name}}}", entry) for name, entry in value.items()]]


def _powers(value: Any, fields: Fields, printer: Latex) -> Groups:
    """Of the order parameter: its first coefficients."""
    row = leading_powers(
        fields["T"],
        fields["lag"],
        fields.get("amplitude_squared"),
        fields.get("next_coefficient"),
        fields.get("amplitude_fourth"),
    )
    bends = fields.get("order") == DISCONTINUOUS
    return [[row._replace(phrase="the unstable branch: the transition is discontinuous" if bends else row.phrase)]]


def _domain(value: Any, fields: Fields, printer: Latex) -> Groups:
    words = "range of the parameter"
    if isinstance(value, Interval):
        return [[Row(written(fields["parameter"], printer), value.start, words, ">")]]
    simple = re.fullmatch(r"(\w+) (>=|>) ([^,]+)", value)
    if simple:
        return [[Row(simple[1], sympify(simple[3]), words, {">=": r"\ge", ">": ">"}[simple[2]])]]
    typeset = re.sub(r" ?\(([a-z ]+)\)", r" \\text{ (\1)}", value)
    for plain, latex in ((">=", r"\ge"), (" or ", r" \text{ or } "), ("chi", r"\chi"), ("**2", "^{2}")):
        typeset = typeset.replace(plain, latex)
    first, _, rest = typeset.partition(r"\text{ or }")
    other, _, last = rest.partition(",")
    return [
        [
            Row("", Raw(rf"{first.strip()} \text{{ or}}"), "", ""),
            Row("", Raw(f"{other.strip()},"), "", ""),
            Row("", Raw(last.strip()), words, ""),
        ]
    ]


def _terms(value: Fields, fields: Fields, printer: Latex) -> Groups:
    return [[Row(*_pair(name, term)) for name, term in value.items()]]


def _pair(name: str, value: Any) -> tuple[str, Any, str]:
    left, words = symbol_and_phrase("free-energy", name)
    return left, value, words


def _slopes(value: Fields, fields: Fields, printer: Latex) -> Groups:
    return [
        [Row(rf"\frac{{\partial F}}{{\partial {printer.doprint(Symbol(name))}}}", slope)]
        for name, slope in value.items()
    ]


def _second(value: Fields, fields: Fields, printer: Latex) -> Groups:
    groups = []
    for names, entry in value.items():
        first, second = (printer.doprint(Symbol(name)) for name in names.split(" "))
        groups.append([Row(rf"\frac{{\partial^{{2}} F}}{{\partial {first} \, \partial {second}}}", entry)])
    return groups


def _definitions(value: Fields, fields: Fields, printer: Latex) -> Groups:
    """Named matrices; products of others come as text."""
    groups = []
    for name, matrix in value.items():
        if isinstance(matrix, str):
            matrix = matrix.replace("**(-1)", "^{-1}").replace(".T", r"^{\top}").replace("*", " ")
            matrix = Raw(re.sub(r"([A-Z])_?(\d+)", r"\1_{\2}", matrix))
        groups.append([Row(re.sub(r"([A-Z])_?(\d+)", r"\1_{\2}", name), matrix)])
    return groups


def _labels(value: Mapping[str, float], fields: Fields, printer: Latex) -> Groups:
    return [[Row(printer.doprint(Symbol(name)), label, "label") for name, label in value.items()]]


def _sectors(value: Mapping[str, Fields], fields: Fields, printer: Latex) -> Groups:
    """The second variation at lag 0 and l: an m × m tridiagonal matrix L."""
    groups = []
    for name, sector in value.items():
        lag = name.removeprefix("lag ")
        L, m = f"L_{{{lag}}}", f"m_{{{lag}}}"
        lefts = {
            "size": (m, f"rows of the second variation at lag {lag}"),
            "diagonal": (f"{L}^{{tt}}", "its diagonal but for the last entry"),
            "last_diagonal": (f"{L}^{{mm}}", "last diagonal entry"),
            "off_diagonal": (f"{L}^{{t,t+1}}", "between neighbours"),
            "determinant": (rf"\left|{L}\right|", "determinant"),
        }
        groups.append([Row(lefts[key][0], entry, lefts[key][1]) for key, entry in sector.items()])
    return groups


def _incoherent_covariance(value: Fields, fields: Fields, printer: Latex) -> Groups:
    lags = {"lag 0": ("H^{tt}", "H^{ss}"), "lag l": ("H^{t,t+l}", "H^{s,s+l}")}
    words = "covariance on the incoherent branch, t <= s"
    return [[Row(_covariance(*lags[name]), entry, words) for name, entry in value.items()]]


def _coherent_covariance(value: Fields, fields: Fields, printer: Latex) -> Groups:
    words = "covariance on the coherent branch"
    pairs = {names: names.split(",") for names in value}
    return [[Row(_covariance(*(f"H^{{{name}}}" for name in pairs[names])), value[names], words)] for names in value]


def _covariance(first: str, second: str) -> str:
    return rf"N \operatorname{{Cov}}\left({first}, {second}\right)"


def _mean_shift(value: Fields, fields: Fields, printer: Latex) -> Groups:
    entries = {rf"H^{{{name}}}": entry for name, entry in value.items()}
    words = "shift of the mean at finite width"
    return [
        [Row(rf"N \left(\left\langle {H} \right\rangle - {H}\right)", shift, words)] for H, shift in entries.items()
    ]


def _propagators(value: Fields, fields: Fields, printer: Latex) -> Groups:
    return [[Row(printer.doprint(Symbol(name)), entry, "label propagator") for name, entry in value.items()]]


def _orders(value: list[Fields], fields: Fields, printer: Latex) -> Groups:
    groups = []
    for each in value:
        k = each["order"]
        of = {name: f"H_{{0}}^{{{name}}}" if k == 0 else rf"\Delta_{{{k}}}^{{{name}}}" for name in each["kernel"]}
        words = "prior kernel" if k == 0 else f"order {k} in Y"
        groups.append([Row(of[name], entry, words) for name, entry in each["kernel"].items()])
        for name, found in each["paths"].items():
            groups.append(
                [Row(rf"{of[name]}{_path(path)}", weight, "weight of a path") for path, weight in found.items()]
            )
        for name, found in each.get("shares_of_rnn", {}).items():
            words = "share that is left of the RNN's path"
            groups.append([Row(rf"M_{{{k}}}^{{{name}}}{_path(path)}", share, words) for path, share in found.items()])
    return groups


def _path(text: str) -> str:
    """``1 ← 2  [y1·y2]`` as LaTeX."""
    route, _, labels = text.partition("[")
    pairs = re.sub(r"y(\d+)", r"y^{\1}", labels.rstrip("]").replace("·", " "))
    arrows = route.strip().replace("←", r"\leftarrow")
    return rf"\left[{arrows};\ {pairs}\right]"


def _special_point(symbol: str) -> Callable[[Fields, Fields, Latex], Groups]:
    """A point of coexistence, in decimals."""

    def table(value: Any, fields: Fields, printer: Latex) -> Groups:
        n = fields["T"] - 1
        lefts = {"signal": r"\lambda", "order_parameter": over_times("H", n, n - 1), "free_energy": "F"}
        at = "fold of the coherent branch" if symbol == "f" else "equal free energy"
        return [[Row(f"{lefts[key]}_{{{symbol}}}", Raw(decimal(v)), at, r"\approx") for key, v in value.items()]]

    return table


def _averages(name: str) -> Callable[[Fields, Fields, Latex], Groups]:
    def table(value: Fields, fields: Fields, printer: Latex) -> Groups:
        phi = rf"\phi_{{\text{{{name}}}}}"
        lefts = {"average": f"{phi}(x) {phi}(y)", "slope_average": f"{phi}'(x) {phi}'(y)"}
        return [[Row(rf"\left\langle {lefts[key]} \right\rangle", entry) for key, entry in value.items()]]

    return table


_TABLES: dict[str, Callable[[Any, Fields, Latex], Groups]] = {
    "kernel": _kernel,
    "amplitude_squared": _powers,
    "amplitude_fourth": _powers,
    "next_coefficient": lambda value, fields, printer: [],
    "domain": _domain,
    "terms": _terms,
    "equations": _slopes,
    "second_derivatives": _second,
    "definitions": _definitions,
    "labels": _labels,
    "sectors": _sectors,
    "incoherent_covariance": _incoherent_covariance,
    "coherent_covariance": _coherent_covariance,
    "coherent_mean_shift": _mean_shift,
    "propagators": _propagators,
    "orders": _orders,
    "fold": _special_point("f"),
    "equal_free_energy": _special_point("="),
    **{name: _averages(name) for name in ("linear", "erf", "relu")},
}
