"""The scan of a nonlinear problem: its states at each value, and the signal at which the incoherent one turns unstable.

States are joined to branches by their kind and their order in free energy; branches are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from numerics.continuation.diagram import FINISHED
from numerics.continuation.parameters import PARAMETERS
from numerics.continuation.scanned import Scan
from numerics.continuation.scanned_branch import ScannedBranch
from numerics.continuation.special_points import SpecialPoint
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.nonlinear.critical import critical_signal
from numerics.nonlinear.quadrature import MOST_DIMENSIONS
from numerics.nonlinear.search import all_states
from numerics.results.solution import Solution
from numerics.results.solutions import Solutions

#: Error of the kernel at a point, relative to its largest entry, by quadrature: what a picture and a table can show.
#: Averages that are sampled have their own tolerance.
PICTURE_TOLERANCE = 1e-5

States = Sequence[Sequence[Solution]]


def scan_nonlinear(
    problem: Problem, parameter: str, values: FloatArray, progress: Callable[[int, int], None] | None = None
) -> Scan:
    """Every state that is found at each value (see ``scan.scan``)."""
    tolerance = PICTURE_TOLERANCE if problem.n * problem.P <= MOST_DIMENSIONS else None
    states: list[Solutions] = []
    for count, value in enumerate(values.tolist()):
        if progress is not None:
            progress(count, len(values))
        states.append(all_states(PARAMETERS[parameter].applied(problem, value), tolerance=tolerance))
    converged = all(state.converged for found in states for state in found)
    return Scan(
        problem=problem,
        parameter=parameter,
        value=values,
        branches=joined_branches(states),
        special_points=pitchforks(problem, values, states) if parameter == "signal" else (),
        converged=converged,
        status=FINISHED,
    )


def pitchforks(problem: Problem, signals: FloatArray, states: States) -> tuple[SpecialPoint, ...]:
    """The signals, between two of the grid, at which the incoherent state gets its first unstable direction."""

    def unstable(found: Sequence[Solution]) -> bool:
        return any(state.branch == "incoherent" and not state.stable for state in found)

    points = []
    for (low, left), (high, right) in pairwise(zip(signals.tolist(), states, strict=True)):
        if unstable(right) and not unstable(left):
            found = critical_signal(problem, low, high)
            if found is not None:
                names = ("incoherent", "coherent")
                points.append(SpecialPoint("pitchfork", found.scale, found.interval, (), (), names))
    return tuple(points)


def joined_branches(states: States) -> tuple[ScannedBranch, ...]:
    """Branches over the values, NaN where one does not exist; the incoherent one first."""
    named: dict[str, dict[int, Solution]] = {}
    for place, found in enumerate(states):
        for kind in ("incoherent", "coherent"):
            same = [state for state in found if state.branch == kind]
            for rank, state in enumerate(sorted(same, key=lambda state: state.free_energy), start=1):
                named.setdefault(kind if rank == 1 else f"{kind}-{rank}", {})[place] = state
    order = sorted(named, key=lambda name: (name.startswith("coherent"), name))
    return tuple(_branch(name, number, named[name], len(states)) for number, name in enumerate(order))


def _branch(name: str, number: int, states: dict[int, Solution], count: int) -> ScannedBranch:
    rows, P = len(next(iter(states.values())).kernel), next(iter(states.values())).problem.P
    kernel = np.full((count, rows, rows), np.nan)
    columns = {part: np.full(count, np.nan) for part in ("free_energy", "hessian_smallest", "residual")}
    for place, state in states.items():
        kernel[place] = state.kernel
        for part, column in columns.items():
            column[place] = getattr(state, part)
    order_parameter = kernel[:, -1, -2] if P == 1 else np.linalg.norm(kernel[:, -P:, -2 * P : -P], axis=(1, 2))
    return ScannedBranch(
        name=name,
        number=number,
        lag=0,
        ends=("range", "range"),
        kernel=kernel,
        order_parameter=np.asarray(order_parameter),
        negative=np.full(count, np.nan),
        **columns,
    )
