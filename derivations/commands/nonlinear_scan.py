"""`scan` for nonlinear networks: the states at each signal, and where the incoherent one turns unstable."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from derivations.output import working

if TYPE_CHECKING:
    from numerics.endpoint_task.scan import BranchScan, EndpointScan, SpecialPoint
    from numerics.inputs.problem import Problem
    from numerics.linalg import FloatArray
    from numerics.results.solution import Solution
    from numerics.results.solutions import Solutions

#: Error of the kernel at a point, relative to its largest entry, by quadrature: what a picture and a table can show.
#: Averages that are sampled have their own tolerance.
TOLERANCE = 1e-5


def scan(T: int, signals: FloatArray, kappa: float, arch: str, activation: str) -> tuple[EndpointScan, bool]:
    """Every state that is found at each signal, u = v = w = 1, and whether all of them converged.

    States are joined to branches by their kind and their order in free energy.
    """
    from numerics import solve_all
    from numerics.endpoint_task.scan import EndpointScan
    from numerics.inputs.problem import endpoint
    from numerics.nonlinear.quadrature import LARGEST_DIMENSION

    states: list[Solutions] = []
    with working("states along the signal") as doing:
        for number, signal in enumerate(signals.tolist(), start=1):
            doing(f"{number} of {len(signals)}")
            problem = endpoint(T, signal, kappa=kappa, arch=arch, activation=activation)
            states.append(solve_all(problem, tolerance=TOLERANCE if T - 1 <= LARGEST_DIMENSION else None))
        doing("critical signals")
        special = pitchforks(endpoint(T, 1.0, kappa=kappa, arch=arch, activation=activation), signals, states)
    branches = joined(states, T - 1)
    converged = all(state.converged for found in states for state in found)
    return EndpointScan(T, arch, kappa, np.asarray(signals), branches, special), converged


def pitchforks(problem: Problem, signals: FloatArray, states: list[Solutions]) -> tuple[SpecialPoint, ...]:
    """Where the incoherent state's Hessian gets its first unstable direction between two signals of the grid.

    Args:
        problem: the endpoint problem of signal 1.
        signals, states: the grid, and the states found there.
    """
    from numerics.endpoint_task.scan import SpecialPoint
    from numerics.nonlinear.critical import critical_signal

    def unstable(found: Solutions) -> bool:
        return any(state.branch == "incoherent" and not state.stable for state in found)

    points = []
    for (low, left), (high, right) in pairwise(zip(signals.tolist(), states, strict=True)):
        if unstable(right) and not unstable(left):
            found = critical_signal(problem, low, high)
            if found is not None:
                points.append(SpecialPoint("pitchfork", found.scale, found.interval, ("incoherent", "coherent")))
    return tuple(points)


def joined(states: list[Solutions], n: int) -> tuple[BranchScan, ...]:
    """Branches over the signals, NaN where one does not exist; the incoherent one first."""
    from numerics.endpoint_task.scan import BranchScan

    named: dict[str, dict[int, Solution]] = {}
    for place, found in enumerate(states):
        for kind in ("incoherent", "coherent"):
            same = [state for state in found if state.branch == kind]
            for rank, state in enumerate(sorted(same, key=lambda state: state.free_energy), start=1):
                named.setdefault(kind if rank == 1 else f"{kind}-{rank}", {})[place] = state
    branches = []
    for name in sorted(named, key=lambda name: (name.startswith("coherent"), name)):
        kernel = np.full((len(states), n, n), np.nan)
        columns = {part: np.full(len(states), np.nan) for part in ("free_energy", "hessian_smallest", "residual")}
        for place, state in named[name].items():
            kernel[place] = state.kernel
            for part, column in columns.items():
                column[place] = getattr(state, part)
        branches.append(BranchScan(name=name, lag=0, kernel=kernel, order_parameter=kernel[:, -1, -2], **columns))
    return tuple(branches)
