"""Matrix expressions written as ``numerics.lowering.stages``: the source of a module that needs no SymPy.

Several outputs share one straight-line program: what an earlier one has computed (a factorisation, a product) serves
the later ones, and what is not asked for costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import MatrixSymbol

from numerics.lowering.matrix import line, lower_matrix, size_sources
from theory.matrix_calculus.assignments import Assignment


def stages_source(name: str, outputs: Mapping[str, Any], arguments: Sequence[Any], late: MatrixSymbol) -> str:
    """The text of `Stages` with this name.

    Args:
        name: of the table, in capitals; its functions have it in front.
        outputs: name to expression, in the order in which they are asked for; ``change`` is the late one, the last.
        arguments: every symbol that they may contain.
        late: the matrix symbol whose value comes last.

    Raises:
        InputError: see `lower_matrix`.
    """
    whole = lower_matrix(outputs, arguments, (late,))
    program, lengths = whole.program, size_sources(whole.early, whole.program)
    sizes = {size: f"rows_{i}" for i, size in enumerate(lengths)}
    sources = dict(zip(sizes.values(), lengths.values(), strict=True))
    by_target = {a.target: a for a in program.assignments}
    prefix, text, done, places = name.lower(), [], set[str](), list(outputs)
    owner: dict[str, str] = {}
    table: dict[str, list[str]] = {}
    for output in outputs:
        needed = _needed(program.outputs[output], by_target)
        own = [a for a in program.assignments if a.target in needed - done and not a.late]
        targets = [a.target for a in own]
        done |= set(targets)
        title = "prepared" if output == "change" else output
        owner |= dict.fromkeys(targets, title)
        text += [f"def _{prefix}_{title}(state: Computed) -> Any:"]
        text += [*_loads(own, sizes, sources), *(line(a, sizes) for a in own)]
        later = _used([a for a in program.assignments if a.target not in done or a.late], sizes)
        later |= {program.outputs[other] for other in places[places.index(output) + 1 :]}
        text += [f"    state[{target!r}] = {target}" for target in targets if target in later]
        read = _used(own, sizes) | ({program.outputs[output]} if output != "change" else set())
        if output != "change":
            table[title] = [owner[key] for key in sorted(read - set(targets)) if key in owner]
            result = program.outputs[output]
            text += [f"    return {result}" if result in targets else f"    return state[{result!r}]", "", ""]
            continue
        after = [a for a in program.assignments if a.target in needed and a.late]
        used = _used(after, sizes) - {a.target for a in after} - {late.name}
        carried = sorted(used - set(sources)) + sorted(used & set(sources))
        needs = read | used
        table[title] = [owner[key] for key in sorted(needs - set(targets)) if key in owner]
        values = [sources.get(key, f"state[{key!r}]") for key in carried]
        text += [f"    return ({', '.join(values)})", "", ""]
        text += [f"def _{prefix}_change(kept: Any, {late.name}: FloatArray) -> Any:"]
        text += [f"    {', '.join(carried)} = kept", *(line(a, sizes) for a in after)]
        text += [f"    return {program.outputs[output]}", "", ""]
    entries = (f"{title!r}: (_{prefix}_{title}, {tuple(dict.fromkeys(needs))!r})" for title, needs in table.items())
    return "\n".join([*text, f"{name} = Stages({{{', '.join(entries)}}}, _{prefix}_change)", ""])


def _needed(target: str, by_target: Mapping[str, Assignment]) -> set[str]:
    found, waiting = set(), [target]
    while waiting:
        name = waiting.pop()
        if name in by_target and name not in found:
            found.add(name)
            waiting += by_target[name].operands
    return found


def _used(assignments: Sequence[Assignment], sizes: Mapping[Any, str]) -> set[str]:
    """Names that their lines read."""
    found = {operand for a in assignments for operand in a.operands}
    found |= {symbol.name for a in assignments for c in a.coefficients for symbol in c.free_symbols}
    found |= {sizes[a.rows] for a in assignments if a.rows in sizes}
    if any(a.operation in ("step", "shift", "adjoint-shift", "mask") for a in assignments):
        found.add("P")
    return found


def _loads(own: Sequence[Assignment], sizes: Mapping[Any, str], sources: Mapping[str, str]) -> list[str]:
    used = _used(own, sizes)
    shapes = sorted(used & set(sources))
    symbols = {sources[name].partition(".")[0] for name in shapes}
    loaded = sorted((used | symbols) - {a.target for a in own} - set(shapes))
    return [f"    {name} = state[{name!r}]" for name in loaded] + [f"    {name} = {sources[name]}" for name in shapes]
