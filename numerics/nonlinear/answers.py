"""The states of a search as solutions: refined, told apart, and compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numerics.linalg import symmetric_vectors
from numerics.nonlinear.engine import State, relative_error
from numerics.nonlinear.minima import Found
from numerics.nonlinear.setting import Search, close
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.symmetries import images, kept_classes, kept_entries
from numerics.results.readout import mean_outputs
from numerics.results.solution import LOOK_FURTHER, coherence_beyond
from numerics.symmetry.gauge import SMALL_OUTPUT, gauge_signs, reversed_times

#: Standard errors by which two F must differ for one state to be lower.
UNDECIDED = 2.0


def solutions(search: Search, found: list[State]) -> list[NonlinearSolution]:
    """The states refined, in order: minima first among those that converged."""
    solutions = [
        _solution(search, state, f"refining state {number} of {len(found)}")
        for number, state in enumerate(found, start=1)
    ]
    distinct: list[NonlinearSolution] = []

    def noise(state: NonlinearSolution) -> tuple[bool, float]:
        # of a state with symmetry and the same with the noise of a sample, the one with it is kept
        kernel = search.space.classes.reduced(state.kernel)
        symmetric = kept_classes(search.space, search.engine.phi, kernel) is not None
        return not symmetric, float(state.kernel_error.max())

    for state in sorted(solutions, key=noise):
        if not any(_alike(search, state, other) for other in distinct):
            distinct.append(state)
    return sorted(distinct, key=lambda state: (not state.converged, state.free_energy))


def compared(solutions: list[NonlinearSolution], found: Found, refined: list[State]) -> list[NonlinearSolution]:
    """The solutions of `refined` states with what the search can say of them: how many minima, and the next one.

    A law of lower F than the lowest solution's, by more than the error of few points, bounds the lowest F from
    above, as far as its points hold: then the solution is not taken for the lowest state. In many dimensions (21 with
    8192 points) a law can fit its own points, and have a larger F on others.
    """
    rest = [state.point.free_energy for state in found.minima if not any(state is other for other in refined)]
    rest += found.others
    minima = [s for s in solutions if s.converged and s.stable]
    answers = []
    for place, solution in enumerate(solutions):
        above = [other.free_energy for other in minima if other.free_energy > solution.free_energy]
        above += [F for F in rest if solution.free_energy < F]
        status, converged = solution.status, solution.converged
        if place == 0 and not close(solution.free_energy, found.bound):
            status, converged = f"not converged: a lower state, F ≈ {found.bound:.4g}, was met", False
        elif found.bound_met and converged:
            status += f"; the search for further minima ended at its bound: {found.bound_met}; {LOOK_FURTHER}"
        if place == 0 and converged:
            status += _undecided(solution, minima)
        answers.append(
            replace(
                solution,
                status=status,
                converged=converged,
                minima=len(minima) + len(rest),
                next_free_energy=min(above, default=None),
            )
        )
    return answers


def _undecided(lowest: NonlinearSolution, minima: list[NonlinearSolution]) -> str:
    """What is said of another minimum that may lie lower, by the errors of F."""
    for other in minima:
        if other is not lowest and lowest.free_energy_error and other.free_energy_error:
            error = np.hypot(lowest.free_energy_error, other.free_energy_error)
            if other.free_energy - lowest.free_energy < UNDECIDED * error:
                return f"; another minimum, F ≈ {other.free_energy:.5g}, lies within the error of F"
    return ""


def _alike(search: Search, one: NonlinearSolution, other: NonlinearSolution) -> bool:
    """Whether two solutions are one within their errors, which says more than `same` does of coarse states."""
    if one.stable != other.stable or not (one.converged and other.converged):
        return False
    near = 3 * max(float(one.kernel_error.max()), float(other.kernel_error.max()))
    return any(
        np.abs(one.kernel - each).max() <= near for each in images(search.space, search.engine.phi, other.kernel)
    )


def of_diagonal(search: Search, state: NonlinearSolution) -> NonlinearSolution:
    """The diagonal state on all positions."""
    classes = search.space.classes
    return replace(
        state,
        kernel=classes.expand(state.kernel),
        conjugate=classes.shared(state.conjugate),
        covariance=classes.expand(state.covariance),
        second_moment=classes.expand(state.second_moment),
        kernel_error=np.abs(classes.expand(state.kernel_error)),
    )


def _solution(search: Search, found: State, what: str) -> NonlinearSolution:
    """One state refined, with what is known of it."""
    space, prior, limit = search.space, search.prior, search.limit
    search.say(what)
    exact = search.diagonal_at(found.point.kernel)
    if exact is not None:
        return of_diagonal(search, exact)
    refined = search.engine.refined(space, found, limit, lambda size: search.say(f"{what}: {size}"))
    state, point, problem = refined.state, refined.state.point, space.problem
    expand = space.classes.expand
    clear = np.where(np.abs(point.kernel) > 3 * refined.kernel_error, point.kernel, 0.0)  # noise has no sign
    signs = gauge_signs(problem, expand(clear), odd=search.engine.phi.odd)
    worst, told = relative_error(point.kernel, refined.kernel_error), refined.relative_error
    status = state.status
    if state.reached and not told <= limit:
        status = f"the error of the averages, {told:.1e} of the largest entry, exceeds the tolerance {limit:.1e}"
        if not np.isfinite(told):
            status = "the error of the averages is not known: a part of the sample has no state here"
    gauge, E = np.outer(signs, signs), space.embedding
    classes = kept_classes(space, search.engine.phi, point.kernel)
    kept = kept_entries(space, symmetric_vectors(space.m), classes)  # by symmetry the rest is zero
    beyond = coherence_beyond(expand(point.kernel), expand(prior), problem.P)
    solution = NonlinearSolution(
        problem=problem,
        kernel=expand(point.kernel) * gauge,
        conjugate=space.classes.shared(point.conjugate) * gauge,
        covariance=expand(E @ space.covariance(point.kernel) @ E.T) * gauge,
        second_moment=expand(E @ state.second @ E.T) * gauge,
        free_energy=point.free_energy,
        energy=point.energy,
        entropy=point.entropy,
        residual=float(np.linalg.norm(point.gradient[kept]) / max(point.scale, 1e-300)),
        engine=search.engine.name,
        kernel_error=np.abs(expand(refined.kernel_error)),
        free_energy_error=refined.free_energy_error,
        largest_error=told * float(np.abs(expand(point.kernel)).max()),
        points=state.points,
        effective_points=point.average.effective_size,
        converged=state.reached and told <= limit,
        status=status,
        stable=refined.stable,
        hessian_smallest=refined.hessian_smallest,
        branch="coherent" if beyond > max(1e-6, 3 * worst) else "incoherent",
        iterations=state.iterations,
    )
    times = reversed_times(
        problem, mean_outputs(solution), odd=search.engine.phi.odd, tolerance=max(SMALL_OUTPUT, 3 * worst)
    )
    return replace(solution, sign_arbitrary=times)
