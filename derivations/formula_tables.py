"""The tables of what `unrolled derive` finds, as rows of formulas: a function for each field that holds one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sympy import Interval, Symbol, sympify

from derivations.quantities import symbol_and_phrase
from theory.critical_point import DISCONTINUOUS, leading_powers
from theory.typesetting import Latex, Raw, Row, decimal, over_times, written

Fields = Mapping[str, Any]
RowGroups = list[list[Row]]


def _kernel(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    return [[Row(f"H^{{{name}}}", entry) for name, entry in value.items()]]


def _powers(value: Any, fields: Fields, printer: Latex) -> RowGroups:
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


def _domain(value: Any, fields: Fields, printer: Latex) -> RowGroups:
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


def _terms(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    return [[Row(*_pair(name, term)) for name, term in value.items()]]


def _pair(name: str, value: Any) -> tuple[str, Any, str]:
    left, words = symbol_and_phrase("free-energy", name)
    return left, value, words


def _slopes(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    return [
        [Row(rf"\frac{{\partial F}}{{\partial {printer.doprint(Symbol(name))}}}", slope)]
        for name, slope in value.items()
    ]


def _second(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    groups = []
    for names, entry in value.items():
        first, second = (printer.doprint(Symbol(name)) for name in names.split(" "))
        groups.append([Row(rf"\frac{{\partial^{{2}} F}}{{\partial {first} \, \partial {second}}}", entry)])
    return groups


def _definitions(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    """Named matrices; products of others come as text."""
    groups = []
    for name, matrix in value.items():
        if isinstance(matrix, str):
            matrix = matrix.replace("**(-1)", "^{-1}").replace(".T", r"^{\top}").replace("*", " ")
            matrix = Raw(re.sub(r"([A-Z])_?(\d+)", r"\1_{\2}", matrix))
        groups.append([Row(re.sub(r"([A-Z])_?(\d+)", r"\1_{\2}", name), matrix)])
    return groups


def _labels(value: Mapping[str, float], fields: Fields, printer: Latex) -> RowGroups:
    return [[Row(printer.doprint(Symbol(name)), label, "label") for name, label in value.items()]]


def _sectors(value: Mapping[str, Fields], fields: Fields, printer: Latex) -> RowGroups:
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


def _incoherent_covariance(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    lags = {"lag 0": ("H^{tt}", "H^{ss}"), "lag l": ("H^{t,t+l}", "H^{s,s+l}")}
    words = "covariance on the incoherent branch, t <= s"
    return [[Row(_covariance(*lags[name]), entry, words) for name, entry in value.items()]]


def _coherent_covariance(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    words = "covariance on the coherent branch"
    pairs = {names: names.split(",") for names in value}
    return [[Row(_covariance(*(f"H^{{{name}}}" for name in pairs[names])), value[names], words)] for names in value]


def _covariance(first: str, second: str) -> str:
    return rf"N \operatorname{{Cov}}\left({first}, {second}\right)"


def _mean_shift(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    entries = {rf"H^{{{name}}}": entry for name, entry in value.items()}
    words = "shift of the mean at finite width"
    return [
        [Row(rf"N \left(\left\langle {H} \right\rangle - {H}\right)", shift, words)] for H, shift in entries.items()
    ]


def _propagators(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
    return [[Row(printer.doprint(Symbol(name)), entry, "label propagator") for name, entry in value.items()]]


def _orders(value: list[Fields], fields: Fields, printer: Latex) -> RowGroups:
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


def _special_point(symbol: str) -> Callable[[Fields, Fields, Latex], RowGroups]:
    """A point of coexistence, in decimals."""

    def table(value: Any, fields: Fields, printer: Latex) -> RowGroups:
        n = fields["T"] - 1
        lefts = {"signal": r"\lambda", "order_parameter": over_times("H", n, n - 1), "free_energy": "F"}
        at = "fold of the coherent branch" if symbol == "f" else "equal free energy"
        return [[Row(f"{lefts[key]}_{{{symbol}}}", Raw(decimal(v)), at, r"\approx") for key, v in value.items()]]

    return table


def _averages(name: str) -> Callable[[Fields, Fields, Latex], RowGroups]:
    def table(value: Fields, fields: Fields, printer: Latex) -> RowGroups:
        phi = rf"\phi_{{\text{{{name}}}}}"
        lefts = {"average": f"{phi}(x) {phi}(y)", "slope_average": f"{phi}'(x) {phi}'(y)"}
        return [[Row(rf"\left\langle {lefts[key]} \right\rangle", entry) for key, entry in value.items()]]

    return table


#: By the name of the field; each takes its value, all fields and the printer.
TABLES: dict[str, Callable[[Any, Fields, Latex], RowGroups]] = {
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
