"""The states of a nonlinear network: the random one followed to the full labels, then down every instability."""

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
from numerics.nonlinear.engine import Engine, Progress, State, continued, relative_error
from numerics.nonlinear.forward import forward_kernel, require_regular
from numerics.nonlinear.quadrature import LARGEST_DIMENSION
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, symmetric_vectors, trajectory_space
from numerics.predictors.observables import predict
from numerics.problem import FloatArray, InputError, Problem
from numerics.scalars import integer, positive, power_of_two
from numerics.solution import coherence_beyond
from numerics.symmetry.gauge import SMALL, gauge_signs, reversed_times
from numerics.symmetry.trajectories import Classes, images, kept_classes, kept_entries

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


def solve_nonlinear(
    problem: Problem,
    *,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> NonlinearSolution:
    """The state of lowest free energy that is found; arguments as in `solve_all_nonlinear`."""
    search = _prepared(problem, engine, tolerance, size, seed, progress)
    found = search.states()
    lowest = min(state.point.free_energy for state in found if state.reached or len(found) == 1)
    return search.solutions(
        [state for state in found if state.point.free_energy <= lowest + CLOSE * (1 + abs(lowest))]
    )[0]


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

    The random network's kernel is followed to the full labels; from every unstable state F is minimised along its
    unstable directions, both ways. States related by W → -W (odd φ, input at t = 0 only) are given once.

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
    return search.solutions(search.states())


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
    return search.chain or search.solutions([search.walk()[-1][1]])[0]


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
    return _Search(chosen, space, prior, limit, by_chain, progress or (lambda what: None))


@dataclass(frozen=True, eq=False)
class _Search:
    """A search for the states of one problem.

    Attributes:
        engine: how averages are made.
        space: the trajectory's coordinates.
        prior: the random network's kernel.
        limit: relative error of Φ that a solution may have.
        by_chain: whether the random network's branch is a chain of single variables, and may be computed as one.
        say: told what is being done.
    """

    engine: Engine
    space: TrajectorySpace
    prior: FloatArray
    limit: float
    by_chain: bool
    say: Progress

    @cached_property
    def chain(self) -> NonlinearSolution | None:
        """The random network's branch at the full labels, where it is a chain that can be followed."""
        return incoherent_chain(self.space, self.engine.phi, self.prior, self.limit) if self.by_chain else None

    def states(self) -> list[State]:
        """The states, as accurate as the search needs: the random network's and what lies below it."""
        way = self.walk()
        walk = way[-1][1]
        found, queue = [walk], [walk] if walk.reached else []

        def keep(new: State | None) -> None:
            if new is not None and new.reached and not any(self.same(new, other) for other in found):
                found.append(new)
                queue.append(new)

        lost = False
        while queue and len(found) < MOST_STATES:
            self.say(f"looking below the states found ({len(found)})")
            for start in self.engine.kicks(self.space, queue.pop(0)):
                new = self.engine.settle(self.space, start, relaxed=KICKED)
                lost = lost or new is None or not new.reached
                keep(None if new is None else continued(new, walk))
            if lost and not queue:
                lost = False
                for new in self.branches(way):
                    keep(new)
        return found

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

    def walk(self) -> list[tuple[float, State]]:
        """Follow the random network's kernel to the full labels; where that ends, follow what lies below it there.

        Where its times stay uncorrelated, it is kept to that: below it lie states of several lags, each of which may be
        a minimum from which no other is found.

        Returns:
            Parts of the labels' squared scale, and the states there.
        """
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
        for state in sorted(solutions, key=lambda state: float(state.kernel_error.max())):
            if not any(self.alike(state, other) for other in distinct):
                distinct.append(state)
        return sorted(distinct, key=lambda state: (not state.converged, state.free_energy))

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
