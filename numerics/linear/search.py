"""Stationary kernels of the linear theory for any problem: the lowest one, or all that are found.

See docs/theory.md section 3.

This is a search: descents from the random network's kernel, from kernels that fit the labels
(``numerics.linear.starts``), and along every unstable mode that is met. It proves nothing about states that it has not
met; for one pattern and small T ``theory.complete_states`` does, and the search is tested against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from numerics.errors import InputError
from numerics.inputs.arrays import finite_array
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import positive
from numerics.linalg import FloatArray, from_vector
from numerics.linear import starts, steps, trust_region
from numerics.linear.descent import SAME_FREE_ENERGY, descend
from numerics.linear.functional import KernelFunctional, KernelPoint, kernel_functional
from numerics.linear.images import is_new, turned, turns
from numerics.linear.lag_classes import classes_of, common_lag, phase_signs
from numerics.linear.neutral import is_neutral
from numerics.linear.saddles import saddles_between
from numerics.linear.solution import LinearSolution
from numerics.linear.states import solution_of, with_minima_counted
from numerics.linear.trust_region import STATE_TOLERANCE, Stop
from numerics.progress import Progress, Told
from numerics.results.solution import LOOK_FURTHER
from numerics.threads import one_thread

#: The Hessian has eigenvalues of order one in the natural metric; below this it is unstable.
UNSTABLE = -1e-9
#: Length of the first step off an unstable state, a relative change of the kernel.
PERTURBATION = 0.1
#: Free energy, and energy of labels that are not learnt, below which, over the number of times, no other state is
#: looked for: on the diagonal branch a fold needs an entropy of 1/(4n) at least (``theory.learning_onset``).
NEGLIGIBLE = 0.1
#: The same where times are independent of each other: on the diagonal branch the state that has learnt the labels is
#: the lower one only from an energy of 4.1/n on, more for few times (docs/theory.md section 14).
NEGLIGIBLE_INDEPENDENT = 1.0
#: Largest kernel for which every start is followed to its minimum: of larger ones, those that end lowest.
LARGEST_SEARCHED = 60
#: Largest kernel of which descents are made in relative factors, and learnt states of other kinds are sought where all
#: labels are learnt.
LARGEST_DESCENDED = 1000
#: Labels are enlarged by these factors to find states that the weaker labels do not lead to by themselves.
AMPLIFICATIONS = (1.5, 4.0)
#: Steps of the trust region before a descent in relative factors is tried.
FEW_STEPS = 20
#: Tolerance and steps of the exploration at enlarged labels; a state that needs more is left out there.
EXPLORE, EXPLORE_STEPS = 1e-6, 100
#: Most descents of one search, steps of each, and images of a minimum that they may end at.
MOST_DESCENTS, MOST_STEPS, MOST_IMAGES = 300, 1000, 8


@one_thread
def lowest_state(
    problem: Problem, *, tolerance: float = STATE_TOLERANCE, progress: Progress | None = None
) -> LinearSolution:
    """The stationary state of lowest free energy among those that a search finds, a minimum.

    The search starts from the random network's kernel and leaves unstable states along their unstable modes. It also
    starts from kernels that fit the labels (docs/theory.md section 14): where the state found has not learnt them, and
    where times share weights, as these may learn in another way. `Solution.minima` says how many minima were compared;
    of kernels of more than 60 rows, those that are lower than what was found before.

    Args:
        problem: what is solved.
        tolerance: of a state.
        progress: is told how far the search is.

    Raises:
        InputError: the activation is not linear, or the inputs cannot carry the labels.
    """
    search = _Search(_functional(problem), positive(tolerance, "tolerance"), whole=False, told=Told(progress))
    search.run()
    # a state whose stability could not be told (NaN) is still an answer; it is not reported as stable
    candidates = [found for found in search.found if not found.smallest < UNSTABLE]
    best = min(candidates, key=lambda found: (not found.stop.converged, found.stop.point.free_energy))
    solution = solution_of(problem, best.stop, curvature=(best.smallest, best.neutral))
    minima = sorted(found.stop.point.free_energy for found in candidates if found.stop.converged)
    above = [energy for energy in minima if energy > solution.free_energy]
    return replace(
        solution,
        minima=len(minima),
        next_free_energy=above[0] if above else None,
        status=solution.status + search.met_bound,
    )


@one_thread
def search_all(
    problem: Problem, *, tolerance: float = STATE_TOLERANCE, enlarged: bool = True
) -> tuple[LinearSolution, ...]:
    """Every stationary state found, unstable ones included, in order of free energy.

    States that differ by a sign symmetry are given once, in the sign of ``numerics.symmetry.gauge``.
    Beyond what `lowest_state` does, this leaves every unstable state along each unstable mode, follows states down from
    enlarged labels, fits groups of the labels, looks for the saddle point between each pair of minima, and
    minimises among kernels of each longer lag period. It may miss saddle points: see ``numerics.continuation.states``.

    Args:
        problem: what is solved.
        tolerance: of a state.
        enlarged: whether states are followed down from enlarged labels: not where branches along the labels are.

    Raises:
        InputError: the activation is not linear, or the inputs cannot carry the labels.
    """
    functional, tolerance = _functional(problem), positive(tolerance, "tolerance")
    search = _Search(functional, tolerance, whole=True, enlarged=enlarged)
    search.run()
    stops = [found.stop for found in search.found]
    stops += saddles_between(functional, [stop.point for stop in stops if stop.converged], tolerance)
    for stop in _of_longer_periods(functional, tolerance):
        if stop.converged and is_new(stop.point, [known.point for known in stops]):
            stops.append(stop)
    states = [solution_of(problem, stop) for stop in stops]
    return with_minima_counted([replace(state, status=state.status + search.met_bound) for state in states])


@one_thread
def state_near(problem: Problem, trajectories: FloatArray, *, tolerance: float = STATE_TOLERANCE) -> LinearSolution:
    """The state that descends from the covariance of sampled trajectories (K, nP); see ``numerics.solving``."""
    functional, tolerance = _functional(problem), positive(tolerance, "tolerance")
    given = finite_array(trajectories, "trajectories", (None, problem.n * problem.P))
    few = f"trajectories: {len(given)} rows do not tell their covariance; accepted: many times {functional.dimension}"
    if len(given) < functional.dimension:
        raise InputError(few)
    coordinates = given @ np.linalg.pinv(functional.space.full_basis()).T
    try:
        start = functional.at(coordinates.T @ coordinates / len(given))
    except np.linalg.LinAlgError:
        raise InputError(few) from None
    return solution_of(problem, _Search(functional, tolerance, whole=False).minimised(start, ()))


def _functional(problem: Problem) -> KernelFunctional:
    if problem.activation.name != "linear":
        raise InputError(f"activation: is {problem.activation.name!r}; accepted: linear (numerics.solve takes any)")
    return kernel_functional(problem)


@dataclass(frozen=True, eq=False)
class _Found:
    """Where a descent ended, the smallest eigenvalue of the Hessian there (NaN where it is not known), and whether its
    mode is neutral."""

    stop: Stop
    smallest: float
    neutral: bool = False

    @cached_property
    def basins(self) -> list[trust_region.Basin]:
        """Of a minimum, and of its images."""
        basin, functional = trust_region.Basin.of(self.stop, self.smallest), self.stop.point.functional
        images = turned(functional, self.stop.point.H)[1:MOST_IMAGES]
        return [basin, *(replace(basin, at=steps.prepared(functional.at(H))) for H in images)]


@dataclass(eq=False)
class _Search:
    """Descents in F, and the distinct states in which they ended.

    Attributes:
        functional: F.
        tolerance: of a state.
        whole: whether states that are unstable, or not the lowest, are looked for as carefully as the lowest.
        enlarged: whether states are followed down from enlarged labels too.
        told: how far the search is.
        found: the states; the first keeps the symmetries of the random network's kernel.
        waiting: starts beside unstable states of large kernels, where only the lowest end is followed to its minimum.
        descents: so far.
    """

    functional: KernelFunctional
    tolerance: float
    whole: bool
    enlarged: bool = False
    told: Told = field(default_factory=Told)
    found: list[_Found] = field(default_factory=list)
    waiting: list[FloatArray] = field(default_factory=list)
    descents: int = 0

    @property
    def met_bound(self) -> str:
        """What a status says of a search that has met its bound."""
        if self.descents < MOST_DESCENTS:
            return ""
        return f" The search ended at its bound of {MOST_DESCENTS} descents; {LOOK_FURTHER}."

    def run(self) -> None:
        """Look from the random network's side, and where that may not be all, from the learnt side."""
        functional = self.functional
        prior = functional.prior_kernel()
        self.told("from the random network")
        self.descend(functional.at(prior), list(phase_signs(functional).values()))
        if self.enlarged:
            for H in _amplified_states(functional):
                self.descend(functional.at(H))
        best = min((found.stop.point for found in self.found), key=lambda point: point.free_energy)
        independent = functional.space.is_independent
        negligible = (NEGLIGIBLE_INDEPENDENT if independent else NEGLIGIBLE) / functional.space.n
        kernels: list[FloatArray] = []
        if best.free_energy - functional.unexplained_energy >= negligible:
            unlearnt = starts.unlearnt_energy(best) > negligible
            if unlearnt or (not independent and functional.dimension <= LARGEST_DESCENDED):
                kernels = list(starts.kernels(functional, groups=unlearnt or self.whole))
        self.descend_from(kernels)
        self.leave_unstable()

    def leave_unstable(self) -> None:
        """Descend from what waits beside unstable states."""
        while self.waiting and self.descents < MOST_DESCENTS:
            self.descend_from([self.waiting.pop()])

    def descend_from(self, kernels: list[FloatArray]) -> None:
        """Descend in relative factors from each, and go on to the minima of those that end at new ones."""
        self.told("descents from other starts")
        ends = self.nearer(kernels)
        order = sorted(range(len(ends)), key=lambda k: ends[k][1]) if self.is_large else range(len(ends))
        self.told("minima beside their ends")
        for number, k in enumerate(order):
            self.told.part(number, len(ends))
            end, free_energy = ends[k]
            if self.whole or not self.is_known(free_energy):
                point = self._point(end) or self._point(kernels[k])
                if point is not None:
                    self.descend(point)

    @cached_property
    def is_large(self) -> bool:
        """Whether only the lowest ends are followed to their minima: many may be that differ by the angle by which a
        direction turns at each step, with next to no curvature between them."""
        independent, m = self.functional.space.is_independent, self.functional.dimension
        return not independent and LARGEST_SEARCHED < m <= LARGEST_DESCENDED

    def _point(self, H: FloatArray) -> KernelPoint | None:
        """None beyond double precision."""
        with suppress(np.linalg.LinAlgError):
            point = self.functional.at(H)
            return point if math.isfinite(steps.prepared(point).free_energy) else None
        return None

    def is_known(self, free_energy: float) -> bool:
        """Whether a state of this F is known: then the descent has found that one, or one as low; of large kernels, a
        lower one too."""
        near = SAME_FREE_ENERGY * (1.0 + abs(free_energy))
        above = [free_energy - found.stop.point.free_energy for found in self.found if found.stop.converged]
        return any(difference > -near if self.is_large else abs(difference) < near for difference in above)

    def is_on_manifold(self, stop: Stop) -> bool:
        """Whether a minimum is one of a manifold of which another has been met already."""
        near = SAME_FREE_ENERGY * (1.0 + abs(stop.point.free_energy))
        energies = [found.stop.point.free_energy for found in self.found if found.neutral]
        return stop.converged and any(abs(energy - stop.point.free_energy) < near for energy in energies)

    def nearer(self, kernels: list[FloatArray]) -> list[tuple[FloatArray, float]]:
        """Where descents in relative factors end, from which the trust region needs few steps, and F there; the kernels
        themselves, and NaN, where they are too large for it."""
        if self.functional.dimension > LARGEST_SEARCHED and not self.is_large:
            return [(H, math.nan) for H in kernels]
        minima = [found.stop.point.free_energy for found in self.found if found.smallest > 0 and not self.whole]
        if not self.is_large:
            return descend(self.functional, kernels, known=minima)
        ends = []
        for number, H in enumerate(kernels):
            self.told.part(number, len(kernels))
            ends += descend(self.functional, [H], known=minima)
        return ends

    def minimised(self, start: KernelPoint, signs: Sequence[FloatArray]) -> Stop:
        """The end of the trust region; where it does not end soon, a descent in relative factors comes between."""
        most = EXPLORE_STEPS if self.tolerance >= EXPLORE else MOST_STEPS
        few = FEW_STEPS if self.functional.dimension <= LARGEST_SEARCHED or self.is_large else most
        known = [basin for found in self.found if found.smallest > 0 for basin in found.basins]
        near = 0.0 if self.whole else trust_region.NEAR_STATE
        minimise = partial(
            trust_region.minimise,
            tolerance=self.tolerance,
            signs=signs,
            known=known,
            near=near,
            told=self.told.falling(self.tolerance),
        )
        stop = minimise(start, max_iterations=few)
        if stop.converged or few == most:
            return stop
        start = self._point(self.nearer([stop.point.H])[0][0]) or stop.point
        return minimise(start, max_iterations=most)

    def descend(self, start: KernelPoint, signs: Sequence[FloatArray] = ()) -> None:
        """Minimise, keeping symmetries if any are given; from an unstable end go on along its unstable modes, both
        ways.

        Unless the search is whole, states after the very first are left along the most unstable mode only.
        """
        queue = [start]
        while queue and self.descents < MOST_DESCENTS:
            self.descents += 1
            stop = self.minimised(queue.pop(), signs)
            signs = ()
            # a state that has not converged must not stand for one that has
            known = [found.stop for found in self.found if found.stop.converged or not stop.converged]
            if any(stop is each for each in known) or not is_new(stop.point, [each.point for each in known]):
                continue
            if self.is_on_manifold(stop):
                continue
            if not stop.converged:
                # no state: its Hessian's modes lead nowhere in particular
                self.found.append(_Found(stop, math.nan))
                continue
            values, modes = trust_region.smallest_modes(stop.point)
            kept = slice(None) if self.whole or not self.found else slice(1)
            self.found.append(_Found(stop, float(values[0]), is_neutral(stop.point, float(values[0]), modes[0])))
            for value, mode in zip(values[kept], modes[kept], strict=True):
                if value < UNSTABLE:
                    beside = [stop.point.move(PERTURBATION * mode)]
                    if not turns(stop.point, mode):
                        beside.append(stop.point.move(-PERTURBATION * mode))
                    if self.is_large:
                        self.waiting += [point.H for point in beside]
                    else:
                        queue += beside


def _amplified_states(functional: KernelFunctional) -> Iterator[FloatArray]:
    """Stable kernels at enlarged labels, followed back towards the problem's own labels."""
    for factor in amplifications(functional):
        for found in _stable(functional.with_labels(factor), EXPLORE):
            point: KernelPoint | None = found.stop.point
            for back in np.geomspace(factor, 1.0, 4)[1:-1]:
                if point is not None:
                    weaker = functional.with_labels(float(back)).at(point.H)
                    step = trust_region.minimise(weaker, tolerance=EXPLORE, max_iterations=EXPLORE_STEPS)
                    point = step.point if step.converged else None
            if point is not None:
                yield point.H


def amplifications(functional: KernelFunctional) -> tuple[float, ...]:
    """Factors by which labels are enlarged to find other states; none where times are independent or kernels large."""
    few = functional.space.is_independent or functional.dimension > LARGEST_SEARCHED
    return () if few else AMPLIFICATIONS


def minima_from_prior(functional: KernelFunctional) -> list[KernelPoint]:
    """The minima to which descents from the random network's kernel lead, along every unstable mode that they meet."""
    return [found.stop.point for found in _stable(functional, STATE_TOLERANCE)]


def _stable(functional: KernelFunctional, tolerance: float) -> list[_Found]:
    search = _Search(functional, tolerance, whole=True)
    search.descend(functional.at(functional.prior_kernel()))
    search.leave_unstable()
    return [found for found in search.found if found.stop.converged and not found.smallest < UNSTABLE]


def _of_longer_periods(functional: KernelFunctional, tolerance: float) -> Iterator[Stop]:
    """States whose times correlate at multiples of a lag ≥ 2 only: minima of F among such kernels, from each mode by
    which the incoherent state is unstable to them. Most are saddle points among all kernels."""
    signs = list(phase_signs(functional).values())
    if not signs or functional.dimension > trust_region.DENSE_MODES:
        return
    point = trust_region.minimise(functional.at(functional.prior_kernel()), tolerance=tolerance, signs=signs).point
    period, classes = classes_of(point)
    if period != 0:
        return
    whole, m = trust_region.dense_hessian(point), functional.dimension
    times = np.repeat(np.arange(functional.space.n), functional.space.block)
    for positions in classes[2:]:
        lag = common_lag(point, positions)
        values, vectors = np.linalg.eigh(whole[np.ix_(positions, positions)])
        if values[0] < UNSTABLE:
            z = np.zeros(len(whole))
            z[positions] = vectors[:, 0]
            mode = from_vector(z, m)
            kept = [np.where(times % lag == residue, -1.0, 1.0) for residue in range(lag)]
            for length in (PERTURBATION, -PERTURBATION):
                yield trust_region.minimise(point.move(length * mode), tolerance=tolerance, signs=kept)
