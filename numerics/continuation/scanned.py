"""What a scan along a parameter gives: branches on a grid, with special points and hysteresis loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.continuation.diagram import FINISHED
from numerics.continuation.drawing import Height, draw_scan
from numerics.continuation.hysteresis import HysteresisLoop
from numerics.continuation.parameters import at_unit_signal
from numerics.continuation.scanned_branch import ScannedBranch
from numerics.continuation.special_points import SpecialPoint
from numerics.display import Facts, number
from numerics.inputs.problem import Problem
from numerics.linalg import BoolArray, FloatArray
from numerics.plotting import task_title
from numerics.results.base import Result
from numerics.results.labelled import Arrays, Labelled, kernel_array, kernel_coordinates, problem_attributes


@dataclass(frozen=True, eq=False, repr=False)
class Scan(Result):
    """Branches on a grid of one parameter (L,), in the order in which they were found, and special points by value.

    Attributes:
        problem: what was scanned; in the signal its labels are those at λ = 1.
        parameter: a name in ``parameters.PARAMETERS``.
        value: the grid.
        branches: incoherent ones first.
        special_points: within the grid.
        stable_ranges: (number of a branch, lowest, highest value) of each stretch of minima.
        loop: the hysteresis loop over the grid; None where it was not found, or branches were not followed.
        periods, index_sums: ``Σ (-1)^index`` at each value, (k, L), among kernels of each lag period (k,): 1 unless a
            state is missing; NaN at a special point; None if they were not counted.
        converged: whether every state is within its tolerance.
        status: whether the search met a bound on its work or lost a branch, and why there is no loop.
    """

    problem: Problem
    parameter: str
    value: FloatArray
    branches: tuple[ScannedBranch, ...]
    special_points: tuple[SpecialPoint, ...]
    stable_ranges: tuple[tuple[int, float, float], ...] = ()
    loop: HysteresisLoop | None = None
    periods: tuple[int, ...] = ()
    index_sums: FloatArray | None = None
    converged: bool = True
    status: str = FINISHED

    @property
    def finished(self) -> bool:
        """Whether no bound on the work was met, no branch lost, and the loop found."""
        return self.status == FINISHED

    @property
    def incomplete(self) -> BoolArray:
        """Values at which a signed count shows that a state is missing, (L,)."""
        if self.index_sums is None:
            return np.zeros(len(self.value), dtype=bool)
        return np.asarray((np.isfinite(self.index_sums) & (self.index_sums != 1.0)).any(axis=0))

    @property
    def counted(self) -> str:
        """One sentence on the signed counts."""
        if not self.incomplete.any():
            return f"Σ(-1)^index = 1 at every {self.parameter}, as it must be where no state is missing."
        missing = self.value[self.incomplete]
        where = f"{len(missing)} value{'s' * (len(missing) > 1)} from {missing[0]:.6g} to {missing[-1]:.6g}"
        return f"Σ(-1)^index differs from 1 at {where} of {self.parameter}: a state is missing there."

    def facts(self) -> Facts:
        """What was scanned, its branches and special points."""
        problem = self.problem
        return (
            ("problem", f"{problem.network}, T = {problem.T}, {problem.P} pattern{'s' * (problem.P > 1)}"),
            (self.parameter, f"{len(self.value)} values, {number(self.value[0])} to {number(self.value[-1])}"),
            ("branches", ", ".join(branch.name for branch in self.branches)),
            *((point.type, number(point.value)) for point in self.special_points),
            *(() if self.index_sums is None else (("signed counts", self.counted),)),
        )

    def labelled(self) -> Arrays:
        """Along the branch (its name) and the parameter; NaN where a branch does not exist. Special points likewise."""
        rows = ("branch", self.parameter)
        data: dict[str, Labelled] = {
            name: (rows, np.array([getattr(branch, name) for branch in self.branches]))
            for name in ("order_parameter", "free_energy", "hessian_smallest", "negative", "residual", "stable")
        }
        problem = self.problem
        kernels = np.array([branch.kernel for branch in self.branches])
        data["kernel"] = kernel_array(kernels, problem.P, *rows)
        points = self.special_points
        data["special_value"] = (("special_point",), np.array([point.value for point in points], dtype=float))
        data["special_type"] = (("special_point",), np.array([point.type for point in points], dtype=str))
        coordinates = {
            "branch": (("branch",), np.array([branch.name for branch in self.branches], dtype=str)),
            self.parameter: ((self.parameter,), self.value),
            **kernel_coordinates(problem.n, problem.P),
        }
        described = {**problem_attributes(problem), "status": self.status}
        for name in (self.parameter, "arch" if self.parameter == "rho" else ""):
            described.pop(name, None)
        return Arrays(rows, data, coordinates, described)

    def title(self) -> str:
        """The network and its task: what is held while the parameter changes."""
        title, unit = task_title(self.problem, without=self.parameter), at_unit_signal(self.problem)
        if unit is self.problem or self.parameter in ("signal", "u", "v", "w"):
            return title
        return rf"{title}, $\lambda = {np.nansum(self.problem.y**2) / np.nansum(unit.y**2):.4g}$"

    def draw(self, ax: Any, *, height: Height = "order_parameter", **style: Any) -> None:
        """The order parameter of every branch along the parameter, or its free energy above the lowest.

        Args:
            ax: matplotlib axes.
            height: ``"order_parameter"``, with special points and jumps, or ``"free_energy"``.
            style: keywords of ``plot`` for the branches.
        """
        alone = not ax.has_data()
        draw_scan(self, ax, height, **style)
        if alone:
            ax.set_title(self.title(), loc="left")
        ax.legend(fontsize="small")
