"""`scan` for nonlinear networks: the states at each signal, and where the incoherent one turns unstable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from derivations.commands.output import working

if TYPE_CHECKING:
    from numerics.nonlinear.solution import NonlinearSolution
    from numerics.problem import FloatArray
    from numerics.transition.scan import BranchScan, EndpointScan, SpecialPoint

#: Error of the kernel at a point, relative to its largest entry: what a picture and a table can show.
TOLERANCE = 1e-5
#: Accuracy of a pitchfork's signal, absolute and relative: no better than the Hessian under that error.
ACCURACY = 1e-5


def scan(T: int, signals: FloatArray, kappa: float, arch: str, activation: str) -> tuple[EndpointScan, bool]:
    """Every state that is found at each signal, u = v = w = 1, and whether all of them converged.

    States are joined to branches by their kind and their order in free energy.
    """
    from numerics.nonlinear.search import solve_all_nonlinear
    from numerics.problem import endpoint
    from numerics.transition.scan import EndpointScan

    def states_at(signal: float) -> list[NonlinearSolution]:
        problem = endpoint(T, float(signal), kappa=kappa, arch=arch, activation=activation)
        return solve_all_nonlinear(problem, tolerance=TOLERANCE)

    with working("states along the signal"):
        states = [states_at(signal) for signal in signals]
        special = pitchforks(signals, states, states_at)
    branches = joined(states, T - 1)
    converged = all(state.converged for found in states for state in found)
    return EndpointScan(T, arch, kappa, np.asarray(signals), branches, special), converged


def pitchforks(
    signals: FloatArray,
    states: list[list[NonlinearSolution]],
    states_at: Callable[[float], list[NonlinearSolution]],
) -> tuple[SpecialPoint, ...]:
    """Where the smallest eigenvalue of the incoherent state's Hessian changes sign between two signals of the grid."""
    from scipy.optimize import brentq

    from numerics.transition.scan import SpecialPoint

    def smallest(found: list[NonlinearSolution]) -> float:
        values = [state.hessian_smallest for state in found if state.branch == "incoherent"]
        return values[0] if values else float("nan")

    points = []
    for low, high, left, right in zip(signals, signals[1:], states, states[1:], strict=False):
        if smallest(left) * smallest(right) < 0:
            root = brentq(lambda signal: smallest(states_at(signal)), low, high, xtol=ACCURACY, rtol=ACCURACY)
            within = (root - ACCURACY * (1 + root), root + ACCURACY * (1 + root))
            points.append(SpecialPoint("pitchfork", float(root), within, ("incoherent", "coherent")))
    return tuple(points)


def joined(states: list[list[NonlinearSolution]], n: int) -> tuple[BranchScan, ...]:
    """Branches over the signals, NaN where one does not exist; the incoherent one first."""
    from numerics.transition.scan import BranchScan

    named: dict[str, dict[int, NonlinearSolution]] = {}
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
