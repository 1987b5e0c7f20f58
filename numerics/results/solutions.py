"""Several states of one problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from numerics.display import Facts, number
from numerics.errors import InputError
from numerics.plotting import line_style, task_title
from numerics.results.base import Result
from numerics.results.labelled import Arrays, counted, problem_attributes
from numerics.results.solution import Solution


@dataclass(frozen=True, eq=False, repr=False)
class Solutions(Result, Sequence[Solution]):
    """The states that a search has found, a sequence in order of free energy; those not converged come last.

    Attributes:
        states: the states.
        index_sum: ``Σ (-1)^index`` over all states and their images, index the number of negative eigenvalues of the
            Hessian: it is 1 where none is missing. None where it is not known.
    """

    states: tuple[Solution, ...]
    index_sum: int | None = None

    def __post_init__(self) -> None:
        ordered = sorted(self.states, key=lambda state: (not state.converged, state.free_energy))
        object.__setattr__(self, "states", tuple(ordered))

    @overload
    def __getitem__(self, position: int) -> Solution: ...

    @overload
    def __getitem__(self, position: slice) -> tuple[Solution, ...]: ...

    def __getitem__(self, position: int | slice) -> Solution | tuple[Solution, ...]:
        return self.states[position]

    def __len__(self) -> int:
        return len(self.states)

    @property
    def incomplete(self) -> bool:
        """Whether the signed count shows that a state is missing."""
        return self.index_sum not in (None, 1)

    def facts(self) -> Facts:
        """How many states there are, and of which kind each is."""
        kinds = [
            f"{number(state.free_energy)} ({state.branch}, {'stable' if state.stable else 'not stable'}"
            f"{'' if state.converged else ', NOT converged'})"
            for state in self.states[:MOST_SHOWN]
        ]
        rest = [] if len(self) <= MOST_SHOWN else [f"and {len(self) - MOST_SHOWN} more"]
        count = () if self.index_sum is None else (("signed count", str(self.index_sum)),)
        return (("states", str(len(self))), ("free energies", ", ".join([*kinds, *rest])), *count)

    def draw(self, ax: Any, **style: Any) -> None:
        """The free energies in order: filled where the state is stable, of another colour where it is coherent."""
        named: set[str] = set()
        for place, state in enumerate(self.states, start=1):
            name = f"{state.branch}, {'stable' if state.stable else 'not stable'}"
            color = "C1" if state.branch == "coherent" else "C0"
            filled = color if state.stable else "none"
            label = None if name in named else name
            named.add(name)
            mark = line_style(style, linestyle="", marker="o", color=color, markerfacecolor=filled, label=label)
            ax.plot(place, state.free_energy, **mark)
        ax.set(xlabel="state", ylabel="free energy $F$", xticks=range(1, len(self) + 1))
        if self.states:
            ax.set_title(task_title(self.states[0].problem), loc="left")
            ax.legend(fontsize="small")

    def labelled(self) -> Arrays:
        """The states along a dimension ``state``, which counts from 1 in order of free energy.

        Raises:
            InputError: there is none.
        """
        if not self.states:
            raise InputError("states: are none; accepted: at least one")
        each = [state.labelled() for state in self.states]
        data = {
            name: (("state", *dimensions), np.stack([arrays.data[name][1] for arrays in each]))
            for name, (dimensions, _) in each[0].data.items()
        }
        data["branch"] = (("state",), np.array([state.branch for state in self.states]))
        coordinates = {**counted(state=len(self)), **each[0].coordinates}
        described = {**problem_attributes(self.states[0].problem), "index_sum": self.index_sum}
        return replace(each[0], rows=("state",), data=data, coordinates=coordinates, attributes=described)


#: States that one line names.
MOST_SHOWN = 6
