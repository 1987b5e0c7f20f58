"""Small faults that can be planted in the sources, by the operators of cosmic-ray, and a random sample of them."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from tests.brief import PACKAGES

#: Operators of cosmic-ray. Comparisons of floats that differ in equality only are no faults.
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Mul_Add", "Pow_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("FloorDiv_Mul", "Mod_Add", "BitAnd_BitOr", "BitOr_BitAnd")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_Gt", "Gt_Lt", "LtE_Gt", "GtE_Lt", "Eq_NotEq", "NotEq_Eq")),
    *("ReplaceComparisonOperator_Is_IsNot", "ReplaceComparisonOperator_IsNot_Is", "AddNot"),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Not"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *("NumberReplacer", "ExceptionReplacer", "ZeroIterationForLoop"),
)


@dataclass(frozen=True, order=True)
class Fault:
    """The `occurrence`-th change that an operator can make in a file, on a line."""

    path: str
    line: int
    operator: str
    occurrence: int


def spared(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Stretches of text, from (line, column) to (line, column), in which a change is no fault."""
    lines, tree = source.splitlines(), ast.parse(source)

    def stretch(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
        ends = ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        start, end = ((line, len(lines[line - 1].encode()[:column].decode())) for line, column in ends)
        return start, end

    nodes: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg == "strict"):
            nodes.append(node)
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            nodes += node.decorator_list
            if isinstance(node, ast.FunctionDef):
                nodes += [node.returns] if node.returns else []
                nodes += [node] if node.name.strip("_").startswith("repr") else []
    for node in tree.body:
        if isinstance(node, ast.Assign) and all(
            name.id.lstrip("_").isupper()
            for target in node.targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        ):
            nodes.append(node)
    return [stretch(node) for node in nodes]


def faults(root: Path, path: str) -> Iterator[Fault]:
    """Everything that can be planted in a file."""
    from cosmic_ray.ast import Visitor, get_ast
    from cosmic_ray.plugins import get_operator

    source = (root / path).read_text(encoding="utf-8")
    not_here = spared(source)

    class Positions(Visitor):
        def __init__(self):
            self.operators = {name: get_operator(f"core/{name}")() for name in OPERATORS}
            self.found = {name: [] for name in OPERATORS}

        def visit(self, node):
            for name, operator in self.operators.items():
                self.found[name] += operator.mutation_positions(node)
            return node

    positions = Positions()
    positions.walk(get_ast(source))
    for name, found in positions.found.items():
        for occurrence, (start, _) in enumerate(found):
            fault = Fault(path, start[0], name, occurrence)
            if not any(first <= start < last for first, last in not_here):
                yield fault


def mutated(source: str, fault: Fault) -> str | None:
    """The source with the fault; None where it is none: no Python, or `/` for the `*` of a signature."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    try:
        code = mutate_code(source, get_operator(f"core/{fault.operator}")(), fault.occurrence)
        tree = ast.parse(code)
    except (SyntaxError, AttributeError):
        return None
    return None if any(isinstance(node, ast.arguments) and node.posonlyargs for node in ast.walk(tree)) else str(code)


def difference(source: str, fault: Fault) -> str:
    """What the fault changes."""
    lines = source.splitlines(), (mutated(source, fault) or "").splitlines()
    return "\n".join(line for line in unified_diff(*lines, lineterm="", n=0) if not line.startswith(("---", "+++")))


def drawn(root: Path, size: int, seed: int, only: str) -> list[Fault]:
    """The sample."""
    rng = random.Random(seed)
    at_line: dict[tuple[str, int], list[Fault]] = {}
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            for fault in sorted(faults(root, path)) if path.startswith(only) else []:
                at_line.setdefault((path, fault.line), []).append(fault)
    lines = sorted(at_line)
    size, sample = min(size, len(lines)), []
    while len(sample) < size:
        line = lines[int((len(sample) + rng.random()) * len(lines) / size)]
        fault = rng.choice(at_line[line])
        if mutated((root / fault.path).read_text(encoding="utf-8"), fault) is not None:
            sample.append(fault)
    rng.shuffle(sample)
    return sample
