"""A state beside a simulation of its problem, on one colour scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numerics.checking.agreement import Agreement
from numerics.display import Facts
from numerics.linalg import FloatArray
from numerics.plotting import kernel_label, side_by_side
from numerics.results.base import Result
from numerics.results.labelled import KERNEL, Arrays, Labelled, kernel_array, kernel_coordinates, problem_attributes
from numerics.results.solution import Solution
from numerics.sampling.result import Simulation


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """A state of a problem and a simulation of it.

    Attributes:
        solution: the theory's state, N → ∞.
        simulation: with the sign symmetries removed that turn the state into another.
        predicted: the mean kernel at the simulated width in the simulation's sign, (nP, nP); the state's own, N → ∞,
            where the shift is not known (`agreement.at_width`).
        agreement: the verdict, as `check` has it.
    """

    solution: Solution
    simulation: Simulation
    predicted: FloatArray
    agreement: Agreement

    @property
    def cka(self) -> float:
        """Kernel alignment of the predicted kernel with the sampled mean."""
        return self.agreement.cka

    def facts(self) -> Facts:
        """What is compared, and the verdict."""
        told = (("state", self.solution.title()), ("simulation", self.simulation.told(f"N = {self.simulation.width}")))
        return (*told, *self.agreement.facts())

    def labelled(self) -> Arrays:
        """The predicted and the sampled kernel, and z."""
        problem = self.solution.problem
        kernels = {
            "predicted": self.predicted,
            "sampled": self.agreement.mean,
            "standard_error": self.agreement.standard_error,
            "z": self.agreement.z,
        }
        data: dict[str, Labelled] = {name: kernel_array(each, problem.P) for name, each in kernels.items()}
        described = {**problem_attributes(problem), "width": self.simulation.width, "cka": self.cka}
        return Arrays(KERNEL, data, kernel_coordinates(problem.n, problem.P), described)

    def draw(self, ax: Any, **style: Any) -> None:
        """The predicted kernel beside the sampled one."""
        width = f"$N = {self.simulation.width}$"
        theory = f"theory, {width}" if self.agreement.at_width else "theory, $N \\to \\infty$"
        kernels = {theory: self.predicted, f"sampled, {width}": self.agreement.mean}
        problem = self.solution.problem
        side_by_side(list(kernels.items()), problem.P, ax, **{"label": kernel_label(problem.kernel_symbol), **style})
