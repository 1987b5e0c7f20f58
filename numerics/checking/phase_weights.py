"""The odds of coexisting minima: which phase networks of width N are in, and with what probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.checking.weights import MOST_LEFT, Phase, phases
from numerics.display import Facts, number
from numerics.errors import InputError
from numerics.inputs.arguments import require_kind
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linalg import FloatArray
from numerics.plotting import line_style, task_title
from numerics.predictors.finite_width import log_mass
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import Arrays, counted, problem_attributes
from numerics.results.solution import Solution

#: The next order of the log odds, with its error, is mentioned from this size on.
ENOUGH = 0.2
#: Minima whose kernels differ by less, relative to the largest entry, are one.
_SAME = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class PhaseWeights(Result):
    """The minima of a free energy with their probabilities at a width.

    Attributes:
        width: N.
        phases: the minima, the heaviest first, each with its weight and what this rests on.
        even_width: N at which the two heaviest have equal weight, to leading order in 1/N; None where at none.
    """

    width: int
    phases: tuple[Phase, ...]
    even_width: float | None

    @property
    def problem(self) -> Problem:
        """The problem whose minima these are."""
        return self.phases[0].state.problem

    @property
    def weights(self) -> FloatArray:
        """The probabilities, (phases,), of sum 1."""
        return np.exp(self.log_weights)

    @property
    def next_order(self) -> FloatArray | None:
        """Next order in 1/N of the log odds of each phase to the heaviest, beyond ``-N ΔF - ΔΓ``, (phases,).

        0 for the heaviest itself; None where it is not known. The weights include it unless they rest on fluctuations
        alone.
        """
        found = [phase.beyond for phase in self.phases]
        if len(found) < 2 or any(each is None for each in found):
            return None
        return np.array(found, dtype=np.float64) - float(found[0] or 0.0)

    @property
    def next_order_error(self) -> FloatArray:
        """Error of `next_order`, (phases,): of the draws from a density, or the size of what two loops leave out."""
        errors = np.array([phase.beyond_error for phase in self.phases])
        return np.where(np.arange(len(errors)) > 0, np.hypot(errors, errors[0]), 0.0)

    @property
    def caution(self) -> str | None:
        """Why the leading order in 1/N, or the next, may not be enough for the odds; None where it is."""
        beyond, error = self.next_order, self.next_order_error
        if len(self.phases) < 2:
            return None
        if beyond is None:
            return "the odds are to leading order in 1/N; the size of the next order is not known"
        worst = int(np.argmax(np.abs(beyond) + error))
        if abs(beyond[worst]) + error[worst] <= ENOUGH:
            return None
        size = f"{beyond[worst]:.2g} ± {error[worst]:.2g}"
        named = _named(self.phases[worst])
        said = f"the next order adds {size} to the log of the odds of the minimum at F = {named} to the heaviest"
        if error[worst] > MOST_LEFT:
            return f"no order in 1/N gives the odds, next to a transition or where minima merge: {said}"
        included = all(phase.basis in ("density", "two loops") for phase in self.phases)
        where = "; the weights include it" if included else ""
        return f"the leading order in 1/N is not enough: {said}{where}"

    @property
    def log_weights(self) -> FloatArray:
        """Logs of the weights, (phases,): finite also where a weight is too small for a double."""
        return np.array([phase.log_weight for phase in self.phases])

    def facts(self) -> Facts:
        """The weights, what they rest on, and where the odds are even."""
        weights = [f"{phase.weight:.3g}{_band(phase)} at F = {_named(phase)}" for phase in self.phases]
        even = () if self.even_width is None else (("even odds at", f"N = {number(self.even_width)}"),)
        rests = ", ".join(sorted({phase.basis for phase in self.phases}))
        beyond, caution = self.next_order, self.caution
        orders: Facts = ()
        if beyond is not None:
            shown = [f"{b:.2g} ± {e:.2g}" for b, e in zip(beyond[1:], self.next_order_error[1:], strict=True)]
            orders = (("next order in 1/N of the log of the odds to the first", ", ".join(shown)),)
        warned = () if caution is None else (("caution", caution),)
        return ((f"weights at N = {self.width}", ", ".join(weights)), ("they rest on", rests), *orders, *even, *warned)

    def draw(self, ax: Any, **style: Any) -> None:
        """The logs of the weights over the free energies, each with the branch of its minimum."""
        mark = line_style(style, linestyle="", marker="o")
        energies = [phase.state.free_energy for phase in self.phases]
        ax.plot(energies, self.log_weights, **mark)
        for phase, place in zip(self.phases, zip(energies, self.log_weights, strict=True), strict=True):
            ax.annotate(phase.state.branch, place, xytext=(0, 6), textcoords="offset points", ha="center", va="bottom")
        ax.margins(0.2)
        ax.set(xlabel="free energy $F$", ylabel=f"log of the weight at $N = {self.width}$")
        ax.set_title(task_title(self.problem), loc="left")

    def labelled(self) -> Arrays:
        """Along the phase, which counts from 1, the heaviest first."""
        states = [phase.state for phase in self.phases]
        columns = {
            "weight": self.weights,
            "log_weight": self.log_weights,
            "weight_error": np.array([phase.weight_error for phase in self.phases]),
            **({} if self.next_order is None else {"next_order": self.next_order}),
            "next_order_error": self.next_order_error,
            "free_energy": np.array([state.free_energy for state in states]),
            "branch": np.array([state.branch for state in states]),
        }
        described = {**problem_attributes(self.problem), "width": self.width, "even_width": self.even_width}
        data = {name: (("phase",), values) for name, values in columns.items()}
        return Arrays(("phase",), data, counted(phase=len(states)), described)


def _band(phase: Phase) -> str:
    """The error of a weight, where it is told beside one."""
    return f" ± {phase.weight_error:.2g}" if phase.weight_error > 0 else ""


def _named(phase: Phase) -> str:
    return f"{number(phase.state.free_energy)} ({phase.state.branch})"


def phase_weights(states: Sequence[Solution], width: int, *, progress: bool | Progress | None = None) -> PhaseWeights:
    """The probability of each minimum at width N (docs/theory.md sections 13, 14), in logs.

    ``p_k ∝ g_k exp(-F_N)``, ``F_N = N F + A + ½ ln|∂²F|`` with the Hessian in the coordinates in which the kernel's
    density has volume element 1, and g_k the number of the minimum's images under sign symmetries. This is right to a
    factor 1 + O(1/N). `next_order` is the log of that factor, from diagrams of two loops
    (`numerics.predictors.two_loops`): the weights include it where what two loops leave out is small, and
    `Phase.weight_error` has the size of that. Small kernels of linear networks have an exact density, which is
    integrated instead: each kernel then counts for the nearest minimum.

    Args:
        states: the stationary states of one problem, as `numerics.solve_all` finds them. Those that are no minima have
            no weight and are left out; a minimum that is not given is not counted.
        width: N.
        progress: True shows how far it is, on standard error; a function is told (`numerics.progress`).

    Raises:
        InputError: there is no minimum, or one is not converged, given twice, of another problem, of unknown stability,
            or one of a manifold of equal free energy; the kernel is too large for its Hessian; or the width too small
            for an expansion in 1/N.
        NotSolvedError: a nonlinear state's points are too few for its kernel.

    Example:
        >>> import unrolled
        >>> states = unrolled.solve_all(unrolled.endpoint(T=4, signal=1060.0, kappa=100.0))
        >>> odds = unrolled.phase_weights(states, 64)
        >>> [(phase.state.branch, round(phase.weight, 2)) for phase in odds.phases]
        [('incoherent', 0.91), ('coherent', 0.09)]
    """
    width = integer(width, "width", 1)
    minima = _minima(states)
    logs, doing = {}, f"weights at N = {width}"
    with watched(progress, doing) as told:
        for done, state in enumerate(minima):
            told(doing, done, len(minima) + 1)
            logs[id(state)] = log_mass(state, width)
        told(doing, len(minima), len(minima) + 1)
        found = phases(minima, width)
    if any(phase.basis == "free energy" for phase in found):
        raise InputError(
            f"width: is {width}, too small for an expansion in 1/N around each minimum; accepted: larger ones"
        )
    of_order_one = [
        logs[id(phase.state)] + width * phase.state.free_energy + math.log(2.0) * len(phase.region.gauge.steps)
        for phase in found[:2]
    ]
    return PhaseWeights(width, found, _even_width([phase.state.free_energy for phase in found[:2]], of_order_one))


def _even_width(free_energies: Sequence[float], logs: Sequence[float]) -> float | None:
    """Where ``-N F_1 + L_1 = -N F_2 + L_2``."""
    if len(logs) < 2 or free_energies[0] == free_energies[1]:
        return None
    even = (logs[0] - logs[1]) / (free_energies[0] - free_energies[1])
    return even if even > 0 else None


def _minima(states: Sequence[Solution]) -> list[Solution]:
    """The states that can have a weight: converged, isolated minima of one problem."""
    accepted = "states of one problem, such as solve_all(problem)"
    require_kind(states, "states", lambda given: isinstance(given, Sequence), accepted)
    for state in states:
        require_kind(state, "states: one", lambda given: isinstance(given, Solution), accepted)
    if any(math.isnan(state.hessian_smallest) for state in states):
        raise InputError("states: have one of unknown stability; accepted: states whose Hessian is known")
    minima = [state for state in states if state.stable]
    if not minima:
        raise InputError("states: have no minimum of the free energy; accepted: at least one stable state")
    if any(state.problem != minima[0].problem for state in minima):
        raise InputError("states: are of different problems; accepted: the states of one")
    for place, state in enumerate(minima):
        if not state.converged:
            raise InputError(f"states: one has not converged ({state.status}); accepted: converged minima")
        size = float(np.abs(state.kernel).max())
        if any(np.abs(np.abs(state.kernel) - np.abs(other.kernel)).max() < _SAME * size for other in minima[:place]):
            raise InputError("states: have one minimum twice, or its image under a symmetry; accepted: each once")
    return minima
