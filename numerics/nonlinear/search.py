"""The states of a nonlinear network, looked for from the random network's side and from the learnt side.

This is a search: F may have minima that it does not meet (docs/theory.md section 14). From the random network the
kernel is followed to the full labels; cheap descents on few points (``exploration``) go down from there and from laws
that fit the labels, and come back from stronger labels and weaker noise. The engine settles those that compete, and
goes on down every instability of what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from numerics.arrays import real_array
from numerics.nonlinear.by_quadrature import Quadrature
from numerics.nonlinear.by_sampling import Sampling
from numerics.nonlinear.chain import incoherent_chain, is_chain
from numerics.nonlinear.descent import Law
from numerics.nonlinear.engine import Engine, Progress, State, continued, relative_error
from numerics.nonlinear.exploration import Explored, explore
from numerics.nonlinear.forward import forward_kernel, require_regular
from numerics.nonlinear.quadrature import LARGEST_DIMENSION
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, symmetric_vectors, trajectory_space
from numerics.predictors.observables import predict
from numerics.problem import FloatArray, InputError, Problem
from numerics.scalars import integer, positive, power_of_two
from numerics.solution import coherence_beyond
from numerics.symmetry.gauge import SMALL, gauge_signs, reversed_times
from numerics.symmetry.trajectories import Classes, images, independent, kept_classes, kept_entries

EngineChoice = Literal["auto", "quadrature", "sampling"]

#: Smallest first part of the labels' squared scale before giving up.
SMALLEST_PART = 1e-3
#: Increases of the labels' squared scale at which a state that has ceased to exist is followed down to another.
FALLS = (0.02, 0.05, 0.1, 0.2)
#: Damped steps off an unstable state, and down to another.
KICKED, FALLEN = 60, 400
#: States after which no more are looked for.
MOST_STATES = 12
#: Relative distance from the chain of single variables at which a state without correlations between times is that.
SAME_CHAIN = 0.1
#: Default error of Φ's entries, relative to the largest, by engine.
TOLERANCE = {"quadrature": 1e-8, "sampling": 1e-2}
#: States whose free energies differ by less, over 1 + |F|, may change order when they are refined.
CLOSE = 0.02
#: Minima met on few points that are made accurate, at most, where only the lowest state is asked for.
MOST_SETTLED = 4
#: Relative distance of a kernel on few points from a state that it is that state at.
NEAR = 0.15


def solve_nonlinear(
    problem: Problem,
    *,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> NonlinearSolution:
    """The state of lowest free energy that is found; arguments as in `solve_all_nonlinear`.

    Where a search has left out starts, or has met a lower state that it could not make converge, the status says so.
    """
    search = _prepared(problem, engine, tolerance, size, seed, progress)
    found = search.found(whole=False)
    lowest = min(state.point.free_energy for state in found.states if state.reached or len(found.states) == 1)
    competing = [s for s in found.states if s.point.free_energy <= lowest + CLOSE * (1 + abs(lowest))]
    return search.compared(search.solutions(competing), found, competing)[0]


def solve_all_nonlinear(
    problem: Problem,
    *,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[NonlinearSolution]:
    """Stationary states of ``F[Φ, Φ̃]``, in order of free energy: minima first among those that converged.

    The random network's kernel is followed to the full labels; from the learnt side F is minimised from laws that fit
    the labels, and from states at stronger labels and weaker noise; and from every unstable state along its unstable
    directions, both ways. This is a search: it may miss states. States related by W → -W (odd φ, input at t = 0 only)
    are given once.

    Args:
        problem: what is learnt; κ > 0.
        engine: ``"quadrature"`` (at most 4 dimensions of the trajectory), ``"sampling"``, or ``"auto"``: quadrature
            where it applies.
        tolerance: largest error of Φ's entries over the largest entry, for `converged`; 1e-8 for quadrature, 1e-2 for
            sampling unless given. The random network's branch of one pattern, a chain of independent times, always is
            computed by quadrature, unless an engine is asked for.
        size: points of each of 16 batches of the sampling engine, a power of 2; as many as the tolerance needs, up to
            32768, unless given. For odd φ each stands for its negative too.
        seed: of the sampling engine.
        progress: called with a phrase that says what is being done, whenever that changes.

    Raises:
        InputError: an argument outside the above; a kernel without full rank (two patterns that φ cannot tell apart).
    """
    search = _prepared(problem, engine, tolerance, size, seed, progress)
    found = search.found(whole=True)
    return search.compared(search.solutions(found.states), found, found.states)


def state_near(
    problem: Problem,
    trajectories: FloatArray,
    *,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> NonlinearSolution:
    """The state that sampled networks are in: where F settles from the trajectories of their neurons.

    Networks can stay in a minimum that is not the lowest, and that no instability of another state leads to.

    Args:
        problem: as in `solve_all_nonlinear`, with all that follows.
        trajectories: pre-activations ``h^t_i(x_p)``, (K, nP), one row for each neuron of each network (or of each draw
            from one chain); the index is time-major, ``(t-1) P + p``.

    Raises:
        InputError: as there; trajectories of another shape, not finite, or too few to tell their covariance.
    """
    search = _prepared(problem, engine, tolerance, size, seed, progress)
    space, given = search.space, real_array(trajectories, "trajectories")
    if given.ndim != 2 or given.shape[1] != problem.y.size:
        raise InputError(f"trajectories: has shape {given.shape}; accepted: (K, {problem.y.size})")
    if not np.isfinite(given).all():
        raise InputError("trajectories: has entries that are not finite; accepted: finite numbers")
    few = InputError(f"trajectories: {len(given)} rows do not tell their covariance; accepted: many times {space.d}")
    if len(given) < 2 * space.d:
        raise few
    try:
        start = search.engine.near(space, space.coordinates(given))
        state = search.engine.settle(space, start, relaxed=KICKED)
    except np.linalg.LinAlgError:
        raise few from None
    if state is None:
        raise InputError("trajectories: no averages can be made around them; accepted: those of sampled networks")
    return search.solutions([state])[0]


def incoherent_state(problem: Problem, *, tolerance: float | None = None) -> NonlinearSolution:
    """The state that the random network's kernel is followed to, stable or not; arguments as in `solve_all_nonlinear`.

    With an odd φ, input at t = 0 only and one supervised time, its times stay uncorrelated.
    """
    search = _prepared(problem, "auto", tolerance, None, 0, None)
    return search.chain or search.solutions([search.walk(whole=True)[-1][1]])[0]


def _prepared(
    problem: Problem,
    engine: str,
    tolerance: float | None,
    size: int | None,
    seed: int,
    progress: Progress | None,
) -> _Search:
    """The arguments, validated."""
    phi = problem.activation
    space = trajectory_space(problem)
    if engine not in get_args(EngineChoice):
        raise InputError(f"engine: is {engine!r}; accepted: {', '.join(get_args(EngineChoice))}")
    if engine == "quadrature" and space.d > LARGEST_DIMENSION:
        raise InputError(
            f"engine: quadrature has {space.d} dimensions here; accepted: at most {LARGEST_DIMENSION}, or sampling"
        )
    if problem.kappa <= 0:
        raise InputError("kappa: is 0; accepted: a finite number > 0 for a nonlinear network")
    size, seed = None if size is None else power_of_two(size, "size"), integer(seed, "seed", 0)
    sampled = engine == "sampling" or space.d > LARGEST_DIMENSION
    chosen: Engine = Sampling(phi, size, seed) if sampled else Quadrature(phi)
    limit = TOLERANCE[chosen.name] if tolerance is None else positive(tolerance, "tolerance")
    prior = forward_kernel(space, phi)
    require_regular(space, prior)
    by_chain = engine == "auto" and is_chain(space, phi)
    return _Search(chosen, space, prior, limit, by_chain, seed, progress or (lambda what: None))


def _close(one: float, lowest: float) -> bool:
    """Whether a free energy competes with the lowest."""
    return one <= lowest + CLOSE * (1 + abs(lowest))


@dataclass(frozen=True, eq=False)
class Found:
    """What a search has met.

    Attributes:
        states: those that an engine has settled.
        minima: of these, those without a direction that leads down.
        others: F of minima that are known on few points only.
        bound: the lowest F of a law that belongs to none of the states; infinite without one.
        bounded: whether the search has ended at a bound.
    """

    states: list[State]
    minima: list[State]
    others: list[float]
    bound: float
    bounded: bool


@dataclass(frozen=True, eq=False)
class _Search:
    """A search for the states of one problem.

    Attributes:
        engine: how averages are made.
        space: the trajectory's coordinates.
        prior: the random network's kernel.
        limit: relative error of Φ that a solution may have.
        by_chain: whether the random network's branch is a chain of single variables, and may be computed as one.
        seed: of random points.
        say: told what is being done.
    """

    engine: Engine
    space: TrajectorySpace
    prior: FloatArray
    limit: float
    by_chain: bool
    seed: int
    say: Progress

    @cached_property
    def chain(self) -> NonlinearSolution | None:
        """The random network's branch at the full labels, where it is a chain that can be followed."""
        return incoherent_chain(self.space, self.engine.phi, self.prior, self.limit) if self.by_chain else None

    @cached_property
    def explored(self) -> Explored:
        """What descents on few points have met."""
        return explore(self.space, self.engine.phi, self.prior, self.seed, self.say)

    def found(self, *, whole: bool) -> Found:
        """The states, as accurate as the search needs: from the random network's side, the learnt side, and below.

        Unless the ``whole`` of them is asked for, only minima that compete for the lowest are made accurate.
        """
        walks = whole or self.explored.within_reach or self.chain is not None
        way = self.walk(whole=whole) if walks else []
        found, queue, minima = [state for _, state in way[-1:]], [state for _, state in way[-1:] if state.reached], []

        def keep(new: State | None) -> None:
            if new is None or not new.reached or self.at_stable_chain(new, found):
                return
            if not any(self.same(new, other) for other in found):
                found.append(new)
                queue.append(new)

        failed: list[Law] = []
        for law in self.competing(whole=whole):
            self.say(f"settling a minimum of F ≈ {law.free_energy:.4g}")
            new = self.settled(law)
            keep(new)
            if new is None or not new.reached:
                failed.append(law)
        if not queue and not way:
            way = self.walk(whole=True)
            found, queue = [way[-1][1]], [way[-1][1]] if way[-1][1].reached else []
        lost = False
        while queue and len(found) < MOST_STATES:
            self.say(f"looking below the states found ({len(found)})")
            state = queue.pop(0)
            lowest = min(other.point.free_energy for other in found)
            if not whole and not self.explored.within_reach and not _close(state.point.free_energy, lowest):
                chain = self.chain_at(state.point.kernel)
                if chain is not None and chain.stable:
                    minima.append(state)
                continue
            starts = self.engine.kicks(self.space, state)
            if not starts:
                minima.append(state)
            for start in starts:
                new = self.engine.settle(self.space, start, relaxed=KICKED)
                lost = lost or new is None or not new.reached
                keep(None if new is None else continued(new, state))
            if lost and not queue:
                lost = False
                for new in self.branches(way):
                    keep(new)
        explored = zip(self.explored.laws, self.explored.ended, strict=True)
        others = [
            (law.free_energy, ended)
            for law, ended in explored
            if any(law is each for each in failed) or not any(self.near(law, state) for state in found)
        ]
        return Found(
            found,
            minima,
            [F for F, ended in others if ended],
            min((F for F, _ in others), default=np.inf),
            self.explored.bounded or bool(queue),
        )

    def at_stable_chain(self, new: State, found: list[State]) -> bool:
        """Whether a state is the chain with the noise of a sample: a stable one has no other minimum so close by."""
        if self.chain is None or not self.chain.stable or not any(self.chain_at(s.point.kernel) for s in found):
            return False
        size = SAME_CHAIN * np.linalg.norm(self.chain.kernel)
        return bool(np.linalg.norm(new.point.kernel - self.chain.kernel) <= size)

    def competing(self, *, whole: bool) -> list[Law]:
        """The laws that an engine is to settle: all, or those that may be the lowest."""
        laws = self.explored.laws
        if whole or not laws:
            return laws[:MOST_STATES]
        known = [] if self.chain is None else [self.chain.free_energy]
        lowest = min([laws[0].free_energy, *known])
        return [law for law in laws if _close(law.free_energy, lowest)][:MOST_SETTLED]

    def settled(self, law: Law) -> State | None:
        """The engine's state at a law; one with hardly any correlations between independent classes is kept to none."""
        relaxed, kept = KICKED, None
        classes = independent(self.space, self.engine.phi)
        if classes is not None:
            of_rows, of_coordinates = classes.matrices()
            kernel = np.where(of_rows, law.kernel, 0.0)
            if np.linalg.norm(law.kernel - kernel) <= SAME_CHAIN * np.linalg.norm(law.kernel):
                tilt, covariance = np.where(of_rows, law.tilt, 0.0), np.where(of_coordinates, law.covariance, 0.0)
                law, relaxed, kept = law._replace(kernel=kernel, tilt=tilt, covariance=covariance), 0, classes
        try:
            start = self.engine.around(self.space, law)
        except np.linalg.LinAlgError:
            return None
        return self.engine.settle(self.space, start, classes=kept, relaxed=relaxed)

    def near(self, law: Law, state: State) -> bool:
        """Whether a law is that of a state, but for the error of few points."""
        size = NEAR * np.linalg.norm(state.point.kernel)
        return any(
            np.linalg.norm(law.kernel - each) <= size
            for each in images(self.space, self.engine.phi, state.point.kernel)
        )

    def branches(self, way: list[tuple[float, State]]) -> Iterator[State]:
        """States at full labels on the branches that leave the walk's where it turns unstable."""
        low, high = 0, len(way) - 1
        kicks: list[Any] = []
        while low <= high:
            middle = (low + high) // 2
            starts = self.engine.kicks(self.space.with_labels(way[middle][0]), way[middle][1])
            if starts:
                kicks, part, high = starts, way[middle][0], middle - 1
            else:
                low = middle + 1
        for start in kicks:
            below = self.engine.settle(self.space.with_labels(part), start, relaxed=KICKED)
            if below is not None and below.reached:
                on = self.raised(self.engine.start(self.space.with_labels(part), below), part)
                if on and on[-1][0] == 1.0:
                    yield continued(on[-1][1], below)

    def walk(self, *, whole: bool) -> list[tuple[float, State]]:
        """Follow the random network's kernel to the full labels; where that ends, follow what lies below it there.

        Where its times stay uncorrelated, it is kept to that: below it lie states of several lags, each of which may be
        a minimum from which no other is found.

        Unless the ``whole`` way is asked for, a chain of single variables is its own end.

        Returns:
            Parts of the labels' squared scale, and the states there.
        """
        if not whole and self.chain is not None:
            end = self.settled(self.chain_law(self.chain))
            if end is not None and end.reached:
                return [(1.0, end)]
        start = self.engine.random_network(self.space, self.prior)
        way = self.raised(start, 0.0, kept_classes(self.space, self.engine.phi, self.prior))
        if not way:
            try:
                state = self.engine.at(self.space, start)
            except (ArithmeticError, np.linalg.LinAlgError) as error:
                raise InputError(
                    f"activation: {self.engine.phi.name} has no averages here ({error}); accepted: an activation whose "
                    "kernel fluctuates in every entry, or a larger size"
                ) from None
            return [(0.0, replace(state, status="not converged: no step from the random network"))]
        while way[-1][0] < 1.0:
            done, state = way[-1]
            on = self.onwards(done, state)
            if not on:
                status = f"not converged: the labels could be raised to {np.sqrt(done):.3g} of their size only"
                return [*way[:-1], (done, replace(state, reached=False, status=status))]
            way += [(reached, continued(new, state)) for reached, new in on]
        return way

    def onwards(self, done: float, state: State) -> list[tuple[float, State]]:
        """States beyond one that cannot be followed: what lies below it, or what it falls to where it ends."""
        part = self.space.with_labels(done)
        starts = [(done, kick) for kick in self.engine.kicks(part, state)]
        starts += [(min(1.0, done + fall), self.engine.start(part, state)) for fall in FALLS]
        for reached, start in starts:
            there = self.space.with_labels(reached)
            new = self.engine.settle(there, start, relaxed=KICKED if reached == done else FALLEN)
            if new is None or not new.reached or (reached == done and self.same(new, state)):
                continue
            if reached == 1.0:
                return [(1.0, new)]
            on = self.raised(self.engine.start(there, new), reached)
            if on:
                return [(further, continued(each, new)) for further, each in on]
        return []

    def raised(self, start: Any, done: float, classes: Classes | None = None) -> list[tuple[float, State]]:
        """The states on the way to the full labels, in steps of their squared scale, each with that scale."""
        step, way, iterations = 1.0 - done, [], 0
        while done < 1.0:
            part = min(1.0, done + step)
            self.say(f"raising the labels from {np.sqrt(done):.0%} to {np.sqrt(part):.0%}")
            new = self.engine.settle(self.space.with_labels(part), start, classes=classes)
            if new is not None and new.reached:
                iterations += new.iterations
                way.append((part, replace(new, iterations=iterations)))
                start, done = self.engine.start(self.space, new), part
                step *= 2.0
                continue
            step *= 0.5
            if step < SMALLEST_PART:
                break
        return way

    def same(self, one: State, other: State) -> bool:
        """Whether two states are one, or images of one another."""
        a, b = one.point.kernel, other.point.kernel
        near = self.engine.same * np.linalg.norm(b)
        return any(np.linalg.norm(a - each) <= near for each in images(self.space, self.engine.phi, b))

    def chain_law(self, chain: NonlinearSolution) -> Law:
        """The law of a trajectory in a chain."""
        C, covariance = (
            np.diag(np.diagonal(each) / np.diagonal(self.space.embedding) ** 2)
            for each in (chain.covariance, chain.second_moment)
        )
        none = np.zeros(self.space.d)
        return Law(
            np.asarray(np.linalg.inv(C)),
            chain.conjugate,
            chain.free_energy,
            chain.kernel,
            none,
            covariance,
            none[None],
            np.ones(1),
            1.0,
        )

    def chain_at(self, kernel: FloatArray) -> NonlinearSolution | None:
        """The chain, if a state is it but for the error of averages."""
        classes = kept_classes(self.space, self.engine.phi, kernel)
        if self.chain is None or classes is None or classes.rows.max() + 1 < len(kernel):
            return None
        near = np.linalg.norm(kernel - self.chain.kernel) <= SAME_CHAIN * np.linalg.norm(self.chain.kernel)
        return self.chain if near else None

    def alike(self, one: NonlinearSolution, other: NonlinearSolution) -> bool:
        """Whether two solutions are one within their errors, which says more than `same` does of coarse states."""
        if one.stable != other.stable or not (one.converged and other.converged):
            return False
        near = 3 * max(float(one.kernel_error.max()), float(other.kernel_error.max()))
        return any(
            np.abs(one.kernel - each).max() <= near for each in images(self.space, self.engine.phi, other.kernel)
        )

    def solutions(self, found: list[State]) -> list[NonlinearSolution]:
        """The states refined, in order: minima first among those that converged."""
        solutions = [
            self.solution(state, f"refining state {number} of {len(found)}")
            for number, state in enumerate(found, start=1)
        ]
        distinct: list[NonlinearSolution] = []

        def noise(state: NonlinearSolution) -> tuple[bool, float]:
            # of a state with symmetry and the same with the noise of a sample, the one with it is kept
            rows = self.space.classes.representative
            symmetric = kept_classes(self.space, self.engine.phi, state.kernel[np.ix_(rows, rows)]) is not None
            return not symmetric, float(state.kernel_error.max())

        for state in sorted(solutions, key=noise):
            if not any(self.alike(state, other) for other in distinct):
                distinct.append(state)
        return sorted(distinct, key=lambda state: (not state.converged, state.free_energy))

    def compared(
        self, solutions: list[NonlinearSolution], found: Found, refined: list[State]
    ) -> list[NonlinearSolution]:
        """The solutions of `refined` states with what the search can say of them: how many minima, and the next one.

        A law of lower F than the lowest solution's, by more than the error of few points, bounds the lowest F from
        above: then the solution is not the lowest state, and has not converged to it.
        """
        rest = [state.point.free_energy for state in found.minima if not any(state is other for other in refined)]
        rest += found.others
        minima = [s for s in solutions if s.converged and s.stable]
        answers = []
        for place, solution in enumerate(solutions):
            above = [other.free_energy for other in minima if other.free_energy > solution.free_energy]
            above += [F for F in rest if solution.free_energy < F]
            status, converged = solution.status, solution.converged
            if place == 0 and not _close(solution.free_energy, found.bound):
                status, converged = f"not converged: a lower state, F ≈ {found.bound:.4g}, was met", False
            elif found.bounded and converged:
                status += "; the search for further minima ended at its bound"
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

    def solution(self, found: State, what: str) -> NonlinearSolution:
        """One state refined, with what is known of it."""
        space, prior, limit = self.space, self.prior, self.limit
        self.say(what)
        exact = self.chain_at(found.point.kernel)
        if exact is not None:
            return exact
        refined = self.engine.refined(space, found, limit, lambda size: self.say(f"{what}: {size}"))
        state, point, problem = refined.state, refined.state.point, space.problem
        expand = space.classes.expand
        signs = gauge_signs(problem, expand(point.kernel), odd=self.engine.phi.odd)
        worst = relative_error(point.kernel, refined.kernel_error)
        status = state.status
        if state.reached and not worst <= limit:
            status = f"the error of the averages, {worst:.1e} of the largest entry, exceeds the tolerance {limit:.1e}"
            if not np.isfinite(worst):
                status = "the error of the averages is not known: a part of the sample has no state here"
        gauge, E = np.outer(signs, signs), space.embedding
        second = (state.nodes.points * point.average.probability[:, None]).T @ state.nodes.points
        classes = kept_classes(space, self.engine.phi, point.kernel)
        kept = kept_entries(space, symmetric_vectors(space.m), classes)  # by symmetry the rest is zero
        beyond = coherence_beyond(expand(point.kernel), expand(prior), problem.P)
        solution = NonlinearSolution(
            problem=problem,
            kernel=expand(point.kernel) * gauge,
            conjugate=space.classes.shared(point.conjugate) * gauge,
            covariance=expand(E @ space.covariance(point.kernel) @ E.T) * gauge,
            second_moment=expand(E @ second @ E.T) * gauge,
            free_energy=point.free_energy,
            energy=point.energy,
            entropy=point.entropy,
            residual=float(np.linalg.norm(point.gradient[kept]) / max(point.scale, 1e-300)),
            engine=self.engine.name,
            kernel_error=np.abs(expand(refined.kernel_error)),
            points=len(state.nodes.points),
            effective_points=point.average.effective_size,
            converged=state.reached and worst <= limit,
            status=status,
            stable=refined.stable,
            hessian_smallest=refined.hessian_smallest,
            branch="coherent" if beyond > max(1e-6, 3 * worst) else "incoherent",
            iterations=state.iterations,
        )
        times = reversed_times(problem, predict(solution), odd=self.engine.phi.odd, tolerance=max(SMALL, 3 * worst))
        return replace(solution, sign_arbitrary=times)
