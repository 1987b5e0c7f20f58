"""States made of where minimisations ended: their sign, stability and branch.

See docs/theory.md section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linear import modes, trust_region
from numerics.linear.actions import acted, action
from numerics.linear.neutral import is_neutral
from numerics.linear.solution import LinearSolution
from numerics.linear.trust_region import Stop
from numerics.results.readout import mean_outputs
from numerics.results.solution import COHERENCE_TOLERANCE, coherence_beyond
from numerics.symmetry.gauge import gauge_signs, reversed_times

#: What a status says where the smallest curvature was not found.
UNKNOWN = f" Its stability is not known: no smallest eigenvalue in {modes.MODE_STEPS} steps."
#: What it says of a state along whose neutral modes F is constant.
MANIFOLD = (
    " It is one of a manifold of states with this free energy (equal orthogonal outputs): stable, but neutral along it."
)


def solution_of(problem: Problem, stop: Stop, *, curvature: tuple[float, bool] | None = None) -> LinearSolution:
    """The state in which a minimisation ended, in the sign of ``numerics.symmetry.gauge``.

    Args:
        problem: what was solved.
        stop: the end.
        curvature: the Hessian's smallest eigenvalue there, and whether its mode is neutral, where they are known.
    """
    point = stop.point
    functional = point.functional
    space = functional.space
    if curvature is None:
        values, shapes = trust_region.smallest_modes(point, count=1)
        curvature = float(values[0]), is_neutral(point, float(values[0]), shapes[0])
    smallest, neutral = curvature
    reduced = point.H
    kernel = space.expand(reduced)
    signs = gauge_signs(problem, kernel, odd=True)
    if (signs < 0).any():
        reduced = acted(action(signs.reshape(problem.n, -1), space), reduced)
        kernel = space.expand(reduced)
    prior = space.expand(functional.prior_kernel())
    coherent = coherence_beyond(kernel, prior, problem.P) > COHERENCE_TOLERANCE
    solution = LinearSolution(
        problem=problem,
        kernel=kernel,
        free_energy=point.free_energy,
        energy=point.energy,
        entropy=point.entropy,
        residual=point.residual,
        converged=stop.converged,
        status=stop.status
        + (UNKNOWN if stop.converged and math.isnan(smallest) else "")
        + (MANIFOLD if stop.converged and neutral else ""),
        stable=smallest > 0 or (stop.converged and neutral),
        hessian_smallest=smallest,
        branch="coherent" if coherent else "incoherent",
        iterations=stop.iterations,
        reduced=np.array(reduced),
    )
    return replace(solution, sign_arbitrary=reversed_times(problem, mean_outputs(solution), odd=True))


def with_minima_counted(solutions: Iterable[LinearSolution]) -> tuple[LinearSolution, ...]:
    """States of one problem in order of free energy, each told how many minima there are and where the next lies."""
    ordered = sorted(solutions, key=lambda solution: solution.free_energy)
    minima = [solution.free_energy for solution in ordered if solution.stable and solution.converged]
    return tuple(
        replace(
            solution,
            minima=len(minima),
            next_free_energy=next((energy for energy in minima if energy > solution.free_energy), None),
        )
        for solution in ordered
    )
