"""Stationary kernels of the linear theory for any problem: the lowest one, or all that are found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from numerics.problem import InputError, Problem
from numerics.saddle import starts, trust_region
from numerics.saddle.descent import descend
from numerics.saddle.functional import KernelFunctional, KernelPoint, kernel_functional
from numerics.saddle.trust_region import Stop
from numerics.scalars import positive
from numerics.solution import COHERENCE_TOLERANCE, Solution, coherence_beyond
from numerics.symmetry import phases as symmetry
from numerics.symmetry.gauge import gauge_signs
from numerics.symmetry.states import acted, action, is_new, turns

FloatArray = NDArray[np.float64]

#: The Hessian has eigenvalues of order one in the natural metric; below this it is unstable.
UNSTABLE = -1e-9
#: Length of the first step off an unstable state, a relative change of the kernel.
KICK = 0.1
#: Free energy, and energy of labels that are not learnt, below which, over the number of times, no other state is lower: on
#: the diagonal branch a fold needs an entropy of 1/(4n) at least (``theory.learning_transition``).
NEGLIGIBLE = 0.1
#: Largest kernel for which learnt states of other kinds are sought where all labels are learnt.
LARGEST_SEARCHED = 60
#: Labels are enlarged by these factors to find states that the weaker labels do not lead to by themselves.
AMPLIFICATIONS = (1.5, 4.0)
#: Tolerance and steps of the exploration at enlarged labels; a state that needs more is left out there.
EXPLORE, EXPLORE_STEPS = 1e-6, 100


def solve(problem: Problem, *, tolerance: float = 1e-10) -> Solution:
    """The stationary state of lowest free energy that the search of `search_all` finds, a minimum.

    Raises:
        InputError: the activation is not linear, or the inputs cannot carry the labels.
    """
    functional, tolerance = _functional(problem), positive(tolerance, "tolerance")
    # a state whose stability could not be told (NaN) is still an answer; it is not reported as stable
    stops = [stop for stop, smallest in _search(functional, tolerance, whole=False) if not smallest < UNSTABLE]
    best = min(stops, key=lambda stop: (not stop.converged, stop.point.free_energy))
    return solution_of(problem, best)


def search_all(problem: Problem, *, tolerance: float = 1e-10) -> tuple[Solution, ...]:
    """Every stationary state found, unstable ones included, in order of free energy.

    States that differ by a sign symmetry are given once, in the sign of ``numerics.symmetry.gauge``.
    The search starts from the random network's kernel, leaves every unstable state along each unstable direction, both
    ways, follows states down from enlarged labels, looks for the saddle point between each pair of minima, and
    minimises among kernels of each longer lag period. It may miss saddle points: see
    ``numerics.continuation.states``.

    Raises:
        InputError: the activation is not linear, or the inputs cannot carry the labels.
    """
    functional, tolerance = _functional(problem), positive(tolerance, "tolerance")
    stops = [stop for stop, _ in _search(functional, tolerance, whole=True)]
    minima = [stop.point for stop in stops]
    for i, first in enumerate(minima):
        for second in minima[:i]:
            between = _saddle_between(first, second, tolerance)
            if between is not None and is_new(between.point, [stop.point for stop in stops]):
                stops.append(between)
    for stop in _of_longer_periods(functional, tolerance):
        if stop.converged and is_new(stop.point, [known.point for known in stops]):
            stops.append(stop)
    solutions = [solution_of(problem, stop) for stop in stops]
    return tuple(sorted(solutions, key=lambda solution: solution.free_energy))


def _functional(problem: Problem) -> KernelFunctional:
    if problem.activation.name != "linear":
        raise InputError(f"activation: is {problem.activation.name!r}; accepted: linear, or another in solve_nonlinear")
    return kernel_functional(problem)


def _search(functional: KernelFunctional, tolerance: float, *, whole: bool) -> Iterator[tuple[Stop, float]]:
    """States reached from the random network's kernel and from states at enlarged labels, each with its smallest
    Hessian eigenvalue; the first is the one that keeps the symmetry of the start.

    Unless the ``whole`` search is asked for, unstable states that come after the first are left along their most
    unstable direction only, and enlarged labels are tried only where the first state is a minimum: if it is none, the
    states that enlarged labels lead to are those below it.
    """
    prior = functional.prior_kernel()
    found: list[KernelPoint] = []
    signs = list(symmetry.phase_signs(functional).values())
    start = trust_region.minimise(functional.at(prior), tolerance=tolerance, signs=signs).point
    descents = list(_descend(start, tolerance, found, whole=whole))
    yield from descents
    if whole or not descents[0][1] < UNSTABLE:
        for H in _amplified_states(functional, prior, whole=whole):
            yield from _descend(functional.at(H), tolerance, found, whole=whole)
    best = min((stop for stop, _ in descents), key=lambda stop: stop.point.free_energy).point
    n = functional.space.n
    if best.free_energy < NEGLIGIBLE / n:
        return
    unlearnt = starts.unlearnt_energy(best) > NEGLIGIBLE / n
    if unlearnt or (functional.arch == "rnn" and functional.dimension <= LARGEST_SEARCHED):
        for H in starts.kernels(functional, groups=unlearnt):
            yield from _descend(functional.at(descend(functional, H)), tolerance, found, whole=whole)


def _amplified_states(functional: KernelFunctional, prior: FloatArray, *, whole: bool) -> list[FloatArray]:
    """Stable kernels at enlarged labels, followed back towards the problem's own labels."""
    states: list[FloatArray] = []
    if functional.arch == "dnn" or functional.dimension > 60:
        return states
    for factor in AMPLIFICATIONS:
        stronger = replace(functional, labels=factor * functional.labels)
        for stop, smallest in _descend(stronger.at(prior), EXPLORE, [], whole=whole):
            point: KernelPoint | None = stop.point if stop.converged and smallest >= UNSTABLE else None
            for back in np.geomspace(factor, 1.0, 4)[1:-1]:
                if point is not None:
                    weaker = replace(functional, labels=float(back) * functional.labels).at(point.H)
                    step = trust_region.minimise(weaker, tolerance=EXPLORE, max_iterations=EXPLORE_STEPS)
                    point = step.point if step.converged else None
            if point is not None:
                states.append(point.H)
    return states


def _of_longer_periods(functional: KernelFunctional, tolerance: float) -> Iterator[Stop]:
    """States whose times correlate at multiples of a lag ≥ 2 only: minima of F among such kernels, from each mode by
    which the incoherent state is unstable to them. Most are saddle points among all kernels."""
    signs = list(symmetry.phase_signs(functional).values())
    if not signs or functional.dimension > trust_region.DENSE_MODES:
        return
    point = trust_region.minimise(functional.at(functional.prior_kernel()), tolerance=tolerance, signs=signs).point
    period, classes = symmetry.classes_of(point)
    if period != 0:
        return
    whole, m = trust_region.dense_hessian(point), functional.dimension
    times = np.repeat(np.arange(functional.space.n), functional.space.block)
    for positions in classes[2:]:
        lag = symmetry.common_lag(point, positions)
        values, vectors = np.linalg.eigh(whole[np.ix_(positions, positions)])
        if values[0] < UNSTABLE:
            z = np.zeros(len(whole))
            z[positions] = vectors[:, 0]
            mode = trust_region.from_vector(z, m)
            kept = [np.where(times % lag == residue, -1.0, 1.0) for residue in range(lag)]
            for kick in (KICK, -KICK):
                yield trust_region.minimise(point.move(kick * mode), tolerance=tolerance, signs=kept)


def _descend(
    start: KernelPoint, tolerance: float, found: list[KernelPoint], *, whole: bool
) -> Iterator[tuple[Stop, float]]:
    """Minimise; from an unstable end go on along every unstable direction. New states are added to ``found``.

    Unless ``whole``, states after the first are left along the most unstable direction only.
    """
    queue, first = [start], True
    while queue:
        steps = EXPLORE_STEPS if tolerance >= EXPLORE else 1000
        stop = trust_region.minimise(queue.pop(), tolerance=tolerance, max_iterations=steps)
        if not is_new(stop.point, found):
            continue
        found.append(stop.point)
        if not stop.converged:
            if tolerance < EXPLORE: yield stop, np.nan
            continue
        values, modes = trust_region.smallest_modes(stop.point)
        yield stop, float(values[0])
        kept = slice(None) if whole or first else slice(1)
        first = False
        for value, mode in zip(values[kept], modes[kept], strict=True):
            if value < UNSTABLE:
                queue.append(stop.point.move(KICK * mode))
                if not turns(stop.point, mode):
                    queue.append(stop.point.move(-KICK * mode))


def _saddle_between(first: KernelPoint, second: KernelPoint, tolerance: float) -> Stop | None:
    """Newton from the highest point of the straight path between two states; None if it does not converge."""
    best: KernelPoint | None = None
    for weight in np.linspace(0.1, 0.9, 9):
        middle = first.functional.at((1 - weight) * first.H + weight * second.H)
        if best is None or middle.free_energy > best.free_energy:
            best = middle
    assert best is not None
    stop = trust_region.newton(best, tolerance=tolerance)
    return stop if stop.converged else None


def solution_of(problem: Problem, stop: Stop) -> Solution:
    """The state in which a minimisation ended, in the sign of ``numerics.symmetry.gauge``."""
    point = stop.point
    functional = point.functional
    space = functional.space
    values, _ = trust_region.smallest_modes(point, count=1)
    reduced = point.H
    kernel = space.expand(reduced)
    signs = gauge_signs(problem, kernel, odd=True)
    if (signs < 0).any():
        reduced = acted(action(signs.reshape(problem.n, -1), space), reduced)
        kernel = space.expand(reduced)
    prior = space.expand(functional.prior_kernel())
    coherent = coherence_beyond(kernel, prior, problem.P) > COHERENCE_TOLERANCE
    return Solution(
        problem=problem,
        kernel=kernel,
        free_energy=point.free_energy,
        energy=point.energy,
        entropy=point.entropy,
        residual=point.residual,
        converged=stop.converged,
        status=stop.status,
        stable=bool(values[0] > 0),
        hessian_smallest=float(values[0]),
        branch="coherent" if coherent else "incoherent",
        iterations=stop.iterations,
        reduced=np.array(reduced),
    )
