"""The states of a nonlinear network: the random one followed to the full labels, then down every instability."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from numerics.nonlinear.activation import NAMED, Nonlinearity
from numerics.nonlinear.by_quadrature import Quadrature
from numerics.nonlinear.by_sampling import Sampling
from numerics.nonlinear.engine import Engine, State, continued, relative_error
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.quadrature import LARGEST_DIMENSION
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace, trajectory_space
from numerics.nonlinear.symmetry import image, row_signs
from numerics.problem import FloatArray, InputError, Problem
from numerics.solution import coherence_beyond

EngineChoice = Literal["auto", "quadrature", "sampling"]

#: Smallest first part of the labels' squared scale before giving up.
SMALLEST_PART = 1e-3
#: Increases of the labels' squared scale at which a state that has ceased to exist is followed down to another.
FALLS = (0.02, 0.05, 0.1, 0.2)
#: Damped steps off an unstable state, and down to another.
KICKED, FALLEN = 60, 400
#: States after which no more are looked for.
MOST_STATES = 12
#: Default error of Φ's entries, relative to the largest, by engine.
TOLERANCE = {"quadrature": 1e-8, "sampling": 1e-2}
#: States whose free energies differ by less, over 1 + |F|, may change order when they are refined.
CLOSE = 0.02


def solve_nonlinear(
    problem: Problem,
    *,
    activation: Nonlinearity | None = None,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
) -> NonlinearSolution:
    """The state of lowest free energy that is found; arguments as in `solve_all_nonlinear`."""
    chosen, space, prior, limit = _prepared(problem, activation, engine, tolerance, size, seed)
    found = _found(chosen, space, prior)
    lowest = min(state.point.free_energy for state in found if state.reached or len(found) == 1)
    close = [state for state in found if state.point.free_energy <= lowest + CLOSE * (1 + abs(lowest))]
    return _ordered(_solution(chosen, space, prior, state, limit) for state in close)[0]


def solve_all_nonlinear(
    problem: Problem,
    *,
    activation: Nonlinearity | None = None,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
) -> list[NonlinearSolution]:
    """Stationary states of ``F[Φ, Φ̃]``, in order of free energy: minima first among those that converged.

    The random network's kernel is followed to the full labels; from every unstable state F is minimised along its
    unstable directions, both ways. States related by W → -W (odd φ, input at t = 0 only) are given once.

    Args:
        problem: what is learnt; κ > 0.
        activation: φ, if it is not the problem's named one.
        engine: ``"quadrature"`` (at most 4 dimensions of the trajectory), ``"sampling"``, or ``"auto"``: quadrature
            where it applies.
        tolerance: largest error of Φ's entries over the largest entry, for `converged`; 1e-8 for quadrature, 1e-2 for
            sampling unless given.
        size: points of each of 16 batches of the sampling engine, a power of 2; as many as the tolerance needs, up to
            32768, unless given. For odd φ each stands for its negative too.
        seed: of the sampling engine.

    Raises:
        InputError: an argument outside the above; a kernel without full rank (two patterns that φ cannot tell apart).
    """
    chosen, space, prior, limit = _prepared(problem, activation, engine, tolerance, size, seed)
    return _ordered(_solution(chosen, space, prior, state, limit) for state in _found(chosen, space, prior))


def incoherent_state(
    problem: Problem, *, activation: Nonlinearity | None = None, tolerance: float | None = None
) -> NonlinearSolution:
    """The state that the random network's kernel is followed to, stable or not; arguments as in `solve_all_nonlinear`.

    With an odd φ and one supervised time it keeps the symmetry W → -W: its times stay uncorrelated.
    """
    chosen, space, prior, limit = _prepared(problem, activation, "auto", tolerance, None, 0)
    return _solution(chosen, space, prior, _walk(chosen, space, prior)[-1][1], limit)


def _prepared(
    problem: Problem,
    activation: Nonlinearity | None,
    engine: str,
    tolerance: float | None,
    size: int | None,
    seed: int,
) -> tuple[Engine, TrajectorySpace, FloatArray, float]:
    """The arguments, validated: how averages are made, coordinates, the random network's kernel, and the tolerance."""
    phi = NAMED[problem.activation] if activation is None else activation
    space = trajectory_space(problem)
    if engine not in get_args(EngineChoice):
        raise InputError(f"engine: is {engine!r}; accepted: {', '.join(get_args(EngineChoice))}")
    if engine == "quadrature" and space.d > LARGEST_DIMENSION:
        raise InputError(
            f"engine: quadrature has {space.d} dimensions here; accepted: at most {LARGEST_DIMENSION}, or sampling"
        )
    if problem.kappa <= 0:
        raise InputError("kappa: is 0; accepted: a finite number > 0 for a nonlinear network")
    if size is not None and (size < 2 or size & (size - 1)):
        raise InputError(f"size: is {size}; accepted: a power of 2")
    sampled = engine == "sampling" or space.d > LARGEST_DIMENSION
    chosen: Engine = Sampling(phi, size, seed) if sampled else Quadrature(phi)
    limit = TOLERANCE[chosen.name] if tolerance is None else tolerance
    if not limit > 0:
        raise InputError(f"tolerance: is {limit}; accepted: a number > 0")
    prior = forward_kernel(space, phi)
    try:
        np.linalg.cholesky(prior)
        np.linalg.cholesky(space.covariance(prior))
    except np.linalg.LinAlgError:
        raise InputError(
            "x: gives a singular kernel (inputs that the activation cannot tell apart, or a linear network with more "
            "patterns than dimensions); accepted: inputs with a regular kernel"
        ) from None
    return chosen, space, prior, limit


def _found(engine: Engine, space: TrajectorySpace, prior: FloatArray) -> list[State]:
    """The states, as accurate as the search needs: the random network's and what lies below it."""
    way = _walk(engine, space, prior)
    walk = way[-1][1]
    found, queue = [walk], [walk] if walk.reached else []

    def keep(new: State | None) -> None:
        if new is not None and new.reached and not any(_same(engine, space, new, other) for other in found):
            found.append(new)
            queue.append(new)

    lost = False
    while queue and len(found) < MOST_STATES:
        for start in engine.kicks(space, queue.pop(0)):
            new = engine.settle(space, start, relaxed=KICKED)
            lost = lost or new is None or not new.reached
            keep(None if new is None else continued(new, walk))
        if lost and not queue:
            lost = False
            for new in _branches(engine, space, way):
                keep(new)
    return found


def _branches(engine: Engine, space: TrajectorySpace, way: list[tuple[float, State]]) -> Iterator[State]:
    """States at full labels on the branches that leave the walk's where it turns unstable."""
    low, high = 0, len(way) - 1
    kicks: list[Any] = []
    while low <= high:
        middle = (low + high) // 2
        starts = engine.kicks(_with_labels(space, way[middle][0]), way[middle][1])
        if starts:
            kicks, part, high = starts, way[middle][0], middle - 1
        else:
            low = middle + 1
    for start in kicks:
        below = engine.settle(_with_labels(space, part), start, relaxed=KICKED)
        if below is not None and below.reached:
            on = _raised(engine, space, engine.start(_with_labels(space, part), below), part, symmetric=False)
            if on and on[-1][0] == 1.0:
                yield continued(on[-1][1], below)


def _ordered(solutions: Iterable[NonlinearSolution]) -> list[NonlinearSolution]:
    return sorted(solutions, key=lambda state: (not state.converged, state.free_energy))


def _with_labels(space: TrajectorySpace, part: float) -> TrajectorySpace:
    """The same coordinates with y² scaled by `part`."""
    return replace(space, problem=space.problem.with_(y=space.problem.y * np.sqrt(part)))


def _walk(engine: Engine, space: TrajectorySpace, prior: FloatArray) -> list[tuple[float, State]]:
    """Follow the random network's kernel to the full labels; where that ends, follow what lies below it there.

    Returns:
        Parts of the labels' squared scale, and the states there.
    """
    start = engine.random_network(space, prior)
    way = _raised(engine, space, start, 0.0, symmetric=True)
    if not way:
        try:
            state = engine.at(space, start)
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            raise InputError(
                f"activation: {engine.phi.name} has no averages here ({error}); accepted: an activation whose "
                "kernel fluctuates in every entry, or a larger size"
            ) from None
        return [(0.0, replace(state, status="not converged: no step from the random network"))]
    while way[-1][0] < 1.0:
        done, state = way[-1]
        on = _onwards(engine, space, done, state)
        if not on:
            status = f"not converged: the labels could be raised to {np.sqrt(done):.3g} of their size only"
            return [*way[:-1], (done, replace(state, reached=False, status=status))]
        way += [(reached, continued(new, state)) for reached, new in on]
    return way


def _onwards(engine: Engine, space: TrajectorySpace, done: float, state: State) -> list[tuple[float, State]]:
    """States beyond one that cannot be followed: what lies below it, or what it falls to where it ends."""
    part = _with_labels(space, done)
    starts = [(done, kick) for kick in engine.kicks(part, state)]
    starts += [(min(1.0, done + fall), engine.start(part, state)) for fall in FALLS]
    for reached, start in starts:
        there = _with_labels(space, reached)
        new = engine.settle(there, start, relaxed=KICKED if reached == done else FALLEN)
        if new is None or not new.reached or (reached == done and _same(engine, part, new, state)):
            continue
        if reached == 1.0:
            return [(1.0, new)]
        on = _raised(engine, space, engine.start(there, new), reached, symmetric=False)
        if on:
            return [(further, continued(each, new)) for further, each in on]
    return []


def _raised(
    engine: Engine, space: TrajectorySpace, start: Any, done: float, *, symmetric: bool
) -> list[tuple[float, State]]:
    """The states reached on the way to the full labels, in steps of their squared scale, each with that scale."""
    step, way, iterations = 1.0 - done, [], 0
    while done < 1.0:
        part = min(1.0, done + step)
        new = engine.settle(_with_labels(space, part), start, symmetric=symmetric)
        if new is not None and new.reached:
            iterations += new.iterations
            way.append((part, replace(new, iterations=iterations)))
            start, done = engine.start(space, new), part
            step *= 2.0
            continue
        step *= 0.5
        if step < SMALLEST_PART:
            break
    return way


def _same(engine: Engine, space: TrajectorySpace, one: State, other: State) -> bool:
    a, b = one.point.kernel, other.point.kernel
    images = [b, image(space, engine.phi, b)]
    return any(each is not None and np.linalg.norm(a - each) <= engine.same * np.linalg.norm(b) for each in images)


def _solution(
    engine: Engine, space: TrajectorySpace, prior: FloatArray, found: State, limit: float
) -> NonlinearSolution:
    refined = engine.refined(space, found, limit)
    state, point, problem = refined.state, refined.state.point, space.problem
    signs = np.ones(space.m)
    reversed_kernel = image(space, engine.phi, point.kernel)
    if reversed_kernel is not None and np.trace(point.kernel[-problem.P :, -2 * problem.P : -problem.P]) < 0:
        signs = row_signs(space)
    worst = relative_error(point.kernel, refined.kernel_error)
    status = state.status
    if state.reached and not worst <= limit:
        status = f"the error of the averages, {worst:.1e} of the largest entry, exceeds the tolerance {limit:.1e}"
        if not np.isfinite(worst):
            status = "the error of the averages is not known: a part of the sample has no state here"
    gauge, E = np.outer(signs, signs), space.embedding
    second = (state.nodes.points * point.average.probability[:, None]).T @ state.nodes.points
    beyond = coherence_beyond(point.kernel, prior, problem.P)
    return NonlinearSolution(
        problem=problem,
        kernel=point.kernel * gauge,
        conjugate=point.conjugate * gauge,
        covariance=E @ space.covariance(point.kernel) @ E.T * gauge,
        second_moment=E @ second @ E.T * gauge,
        free_energy=point.free_energy,
        energy=point.energy,
        entropy=point.entropy,
        residual=float(np.linalg.norm(point.gradient) / max(point.scale, 1e-300)),
        engine=engine.name,
        kernel_error=refined.kernel_error,
        points=len(state.nodes.points),
        effective_points=point.average.effective_size,
        converged=state.reached and worst <= limit,
        status=status,
        stable=refined.stable,
        hessian_smallest=refined.hessian_smallest,
        branch="coherent" if beyond > max(1e-6, 3 * worst) else "incoherent",
        iterations=state.iterations,
    )
