"""Functions of one point that share what they compute, each computed when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numerics.linalg import FloatArray

#: Arguments by name, and what has been computed of them.
Computed = dict[str, Any]


@dataclass(frozen=True)
class Stages:
    """Outputs that share a straight-line program, as ``numerics.lowering.staged`` writes them.

    Attributes:
        early: the outputs by name, each with those that it needs; ``prepared`` is what the last one needs.
        change: the output that depends on a matrix which comes last, from what was prepared.
    """

    early: Mapping[str, tuple[Callable[[Computed], Any], tuple[str, ...]]]
    change: Callable[[Any, FloatArray], Any]

    @cached_property
    def sides(self) -> tuple[list[str], list[str]]:
        """Names of the early outputs X and Y, ``left_…`` and ``right_…``, of a sum ``Σ X S Y``."""
        left = [name for name in self.early if name.startswith("left_")]
        return left, [name.replace("left", "right") for name in left]

    def at(self, **arguments: Any) -> Point:
        """The functions at early arguments, arrays and numbers by name, taken as they are."""
        return Point(self, arguments)


@dataclass(frozen=True, eq=False)
class Point:
    """Outputs at one point; each stage runs once.

    Attributes:
        stages: the functions.
        state: arguments, which may be completed until a stage needs them, and what follows from them.
    """

    stages: Stages
    state: Computed
    _known: dict[str, Any] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """An early output, after those that it needs."""
        known = self._known
        if name not in known:
            compute, needs = self.stages.early[name]
            for stage in needs:
                if stage not in known:
                    self.get(stage)
            known[name] = compute(self.state)
        return known[name]

    def change(self, S: FloatArray) -> FloatArray:
        """The late output for S, or for a stack (…, m, m)."""
        return self.stages.change(self.get("prepared"), S)  # type: ignore[no-any-return]
