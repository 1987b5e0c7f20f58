"""Where the incoherent state of a nonlinear RNN becomes unstable: the critical signal, if there is one in a range."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import brentq

from numerics.display import Facts
from numerics.errors import InputError
from numerics.inputs.arguments import of_problem
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import real
from numerics.linalg import FloatArray
from numerics.nonlinear.search import incoherent_state
from numerics.nonlinear.solution import NonlinearSolution
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import Arrays
from numerics.threads import one_thread

#: Relative accuracy of the critical scale of the labels' square, and the kernel's error that allows it.
ACCURACY, TOLERANCE = 1e-8, 1e-11
#: Values at which a range is searched for a change of sign, first.
PROBES = 9


@dataclass(frozen=True, eq=False, repr=False)
class CriticalSignal(Result):
    """The zero of the Hessian's smallest eigenvalue along the incoherent branch.

    Attributes:
        scale: factor on y² of the problem at which the eigenvalue vanishes.
        interval: the eigenvalue is positive at one end and negative at the other.
        state: the incoherent state there.
    """

    scale: float
    interval: tuple[float, float]
    state: NonlinearSolution

    def facts(self) -> Facts:
        """Where the state loses its stability, and how well that is known."""
        low, high = self.interval
        problem = self.state.problem
        return (
            ("problem", f"{problem.model}, T = {problem.T}, P = {problem.P}, κ = {problem.kappa:g}"),
            ("critical scale of y²", f"{self.scale:.10g}, between {low:.10g} and {high:.10g}"),
        )

    def matrix(self) -> FloatArray:
        """The kernel of the state there."""
        return self.state.kernel

    def matrix_patterns(self) -> int:
        """P."""
        return self.state.problem.P

    def draw(self, ax: Any, **style: Any) -> None:
        """The kernel of the state there as colours."""
        self.state.draw(ax, **style)
        ax.set_title(f"{self.state.problem.network}, unstable from {self.scale:.6g} y² on", loc="left")

    def labelled(self) -> Arrays:
        """The state's, with the critical scale."""
        arrays, (low, high) = self.state.labelled(), self.interval
        own = {"scale": self.scale, "scale_lower": low, "scale_upper": high}
        return replace(arrays, attributes={**arrays.attributes, **own})


@of_problem
@one_thread
def critical_signal(
    problem: Problem, low: float, high: float, *, progress: bool | Progress | None = None
) -> CriticalSignal | None:
    """The first loss of stability of the incoherent branch for label scales in a range (docs/theory.md section 5).

    The labels are ``√s y`` with s from `low` to `high`; for an endpoint problem of signal 1, s is λ. Where the smallest
    eigenvalue is positive at `PROBES` values spread over the range, None is returned: no instability was found.
    `progress` is as in `numerics.solve`.

    Raises:
        InputError: the range is empty; or the incoherent state was not reached to tolerance somewhere in it.

    Example:
        >>> import unrolled
        >>> round(unrolled.critical_signal(unrolled.endpoint(T=4, signal=1.0), 5.0, 20.0).scale, 6)
        10.125
    """
    low, high = real(low, "range"), real(high, "range")
    if not 0 < low < high < np.inf:
        raise InputError(f"range: is {low:g} to {high:g}; accepted: 0 < low < high")
    with watched(progress, "critical signal") as told:
        return _first_instability(problem, low, high, told)


def _first_instability(problem: Problem, low: float, high: float, told: Progress) -> CriticalSignal | None:
    """As `critical_signal`, in a range that holds."""
    known: dict[float, NonlinearSolution] = {}

    def smallest(scale: float) -> float:
        if scale not in known:
            told(f"critical signal: state {len(known) + 1}, at scale {scale:.6g}", 0, 0)
            state = incoherent_state(problem.with_(y=problem.y * np.sqrt(scale)), tolerance=TOLERANCE)
            if not state.converged:
                raise InputError(f"range: at scale {scale:g} the state is {state.status}; accepted: a smaller range")
            known[scale] = state
        return known[scale].hessian_smallest

    probes = np.geomspace(low, high, PROBES).tolist()
    for left, right in pairwise(probes):
        if smallest(left) > 0 >= smallest(right):
            root = float(brentq(smallest, left, right, xtol=0.1 * ACCURACY * left, rtol=ACCURACY))
            smallest(root * (1 - ACCURACY))  # the stable side, which the search has not met if it hits the zero itself
            stable = max(s for s, state in known.items() if s <= right and state.hessian_smallest > 0)
            unstable = min(s for s, state in known.items() if s > stable and state.hessian_smallest <= 0)
            smallest(root)
            return CriticalSignal(root, (stable, unstable), known[root])
    return None
