"""Several states of one problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from numerics.results.display import Facts, Shown, number
from numerics.results.plotting import Drawn
from numerics.results.solution import Solution
from numerics.results.storage import Stored


@dataclass(frozen=True, eq=False, repr=False)
class Solutions(Shown, Drawn, Stored, Sequence[Solution]):
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

    def plot(self, ax: Any = None) -> Any:
        """Draw the lowest state's kernel (`Solution.plot`)."""
        return self.states[0].plot(ax)


#: States that one line names.
MOST_SHOWN = 6
