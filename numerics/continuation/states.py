"""Every stationary kernel of a problem that a search and the branches of weaker labels lead to.

Where F is bounded kernels lie in a compact set: the entropy ``½ Σ (x - 1 - ln x)`` over the eigenvalues of ``C⁻¹H``
bounds these, and so every leading block of H by the blocks before it. Positive-definite kernels form a contractible
cone, and Morse theory gives ``Σ (-1)^index = 1`` over all stationary ones, index the number of the Hessian's negative
eigenvalues. A list that breaks this is incomplete; one that does not may still miss states that cancel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from numerics.continuation.family import family
from numerics.continuation.growth import Growth, reach, states_of
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import positive
from numerics.linear import search, trust_region
from numerics.linear.functional import KernelPoint, kernel_functional
from numerics.linear.images import is_new, number_of_images
from numerics.linear.solution import linear_state
from numerics.linear.states import solution_of, with_minima_counted
from numerics.results.solution import Solution
from numerics.results.solutions import Solutions
from numerics.threads import one_thread

#: Eigenvalues of the Hessian smaller than this have no certain sign.
UNCERTAIN = 1e-7


@one_thread
def all_states(problem: Problem, *, tolerance: float = 1e-10) -> Solutions:
    """Every stationary state found, unstable ones included, in order of free energy.

    States that differ by a sign symmetry are given once, in the sign of ``numerics.symmetry.gauge``.
    ``numerics.linear.search.search_all`` finds them. Where ``index_sum`` says that some are missing, the branches
    through those found are followed to weaker and stronger labels and back.

    Raises:
        InputError: the activation is not linear, or the inputs cannot carry the labels.
    """
    tolerance = positive(tolerance, "tolerance")
    states = search.search_all(problem, tolerance=tolerance)
    count = index_sum(states)
    if count in (None, 1):
        return Solutions(states, count)
    functional = kernel_functional(problem)
    known = [functional.at(state.reduced) for state in states]
    found = list(states)
    for state in _connected(problem, known):
        stop = trust_region.newton(functional.at(state.H), tolerance=tolerance)
        if stop.converged and is_new(stop.point, known):
            known.append(stop.point)
            found.append(solution_of(problem, stop))
    states = with_minima_counted(found)
    return Solutions(states, index_sum(states))


def _connected(problem: Problem, known: Sequence[KernelPoint]) -> Iterator[KernelPoint]:
    """States on branches in the signal that known ones, or the random network at weak labels, are connected to."""
    whole = family(problem, "signal")
    growth = Growth(whole, reach(whole, (1.0, 1.0)))
    growth.from_weak_labels()
    for state in known:
        growth.add(state, 0.0)
    for branch in growth.found:
        yield from states_of(branch, 0.0)


def index_sum(states: Sequence[Solution]) -> int | None:
    """``Σ (-1)^index`` over the states of one problem, each with its images under sign symmetries.

    Returns:
        1 where no state is missing; None where it cannot be told: a state that has not converged or is degenerate, or
        a kernel too large for its whole Hessian (more than 40 rows).
    """
    functional = kernel_functional(states[0].problem)
    if functional.dimension > trust_region.DENSE_MODES or not all(state.converged for state in states):
        return None
    total = 0
    for point in (functional.at(linear_state(state).reduced) for state in states):
        values = np.linalg.eigvalsh(trust_region.dense_hessian(point))
        if np.abs(values).min() < UNCERTAIN:
            return None
        total += number_of_images(point) * (-1) ** int(np.count_nonzero(values < 0))
    return total
