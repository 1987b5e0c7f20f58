"""The states of a nonlinear network: the random one followed to the full labels, then down every instability."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from numerics.nonlinear.activation import NAMED, Nonlinearity
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.iteration import BATCHES, Sample, iterate, placed, sample, tilted
from numerics.nonlinear.nodes import Nodes, averages, tilted_moments
from numerics.nonlinear.quadrature import LARGEST_DIMENSION, quadrature_nodes
from numerics.nonlinear.reduced import (
    ReducedPoint,
    Unattainable,
    hessian,
    kkt_blocks,
    positive_solve,
    reduced_point,
    stationary_point,
)
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import SymmetricVectors, TrajectorySpace, symmetric_vectors, trajectory_space
from numerics.problem import FloatArray, InputError, Problem
from numerics.solution import coherence_beyond

EngineChoice = Literal["auto", "quadrature", "sampling"]
#: How Newton's method ends on one set of points.
Ending = Literal["reached", "failed"]

#: Newton steps in Φ on one set of points; relative step at which they end.
STEPS, STEP_TOLERANCE = 60, 1e-10
#: Longest step, a relative change of the kernel (natural metric).
LONGEST_STEP = 0.7
#: Times that a rule's points are placed anew at one label scale.
PLACEMENTS = 8
#: Relative change of Φ between placements that is none.
PLACED = 1e-9
#: Smallest first part of the labels' squared scale before giving up.
SMALLEST_PART = 1e-3
#: Length of the first step off an unstable state, natural metric, and eigenvalues that count as unstable.
KICK, UNSTABLE = 0.15, -1e-7
#: Unstable modes along which a state is left, the most unstable first.
MOST_MODES = 6
#: Damped steps by which a sample leaves an unstable state.
RELAXED = 100
#: Two kernels closer than this, relative, are one state.
SAME = 1e-5
#: Refinement of the rule with which states are found; they are then settled on the full one.
COARSE = 0.65
#: A finer rule that estimates the error of a quadrature; points above which it is not refined further.
FINER = {1: 2.0, 2: 2.0, 3: 1.6, 4: 1.3}
MOST_POINTS = 1_000_000
#: Default error of Φ's entries, relative to the largest, by engine; points of a batch of the sampling engine.
TOLERANCE = {"quadrature": 1e-8, "sampling": 1e-2}
SAMPLE = 8192
#: States are found on a sample this much smaller, of at least so many points a batch, then settled on the full one.
FEWER, LEAST_SAMPLE = 8, 512
#: Independent parts of a sample, from whose states the error is estimated.
PARTS, PARTS_TOLERANCE = 8, 1e-6


def solve_nonlinear(
    problem: Problem,
    *,
    activation: Nonlinearity | None = None,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int = SAMPLE,
    seed: int = 0,
) -> NonlinearSolution:
    """The state of lowest free energy that is found; arguments as in `solve_all_nonlinear`."""
    states = solve_all_nonlinear(
        problem, activation=activation, engine=engine, tolerance=tolerance, size=size, seed=seed
    )
    return states[0]


def solve_all_nonlinear(
    problem: Problem,
    *,
    activation: Nonlinearity | None = None,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int = SAMPLE,
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
        size: points of each of 16 batches of the sampling engine, a power of 2.
        seed: of the sampling engine.

    Raises:
        InputError: an argument outside the above; a kernel without full rank (two patterns that φ cannot tell apart).
    """
    full, space, prior, limit = _prepared(problem, activation, engine, tolerance, size, seed)
    route = full.coarse()
    walk = _to_full_labels(route, space, prior)
    found = [walk]
    queue = [walk] if walk.reached else []
    while queue and len(found) < 12:
        state = queue.pop(0)
        for start in _kicks(route, space, state):
            new = _settle(route, space, *start, state.nodes, relaxed=RELAXED)
            if new is None or not new.reached:
                continue
            new = replace(new, iterations=new.iterations + walk.iterations)
            if not any(_same(route, space, new, other) for other in found):
                found.append(new)
                queue.append(new)
    solutions = [_refined(full, space, prior, state, limit) for state in found]
    return sorted(solutions, key=lambda state: (not state.converged, state.free_energy))


def incoherent_state(
    problem: Problem, *, activation: Nonlinearity | None = None, tolerance: float | None = None
) -> NonlinearSolution:
    """The state that the random network's kernel is followed to, stable or not; arguments as in `solve_all_nonlinear`.

    With an odd φ and one supervised time it keeps the symmetry W → -W: its times stay uncorrelated.
    """
    route, space, prior, limit = _prepared(problem, activation, "auto", tolerance, SAMPLE, 0)
    return _refined(route, space, prior, _to_full_labels(route.coarse(), space, prior), limit)


def _prepared(
    problem: Problem,
    activation: Nonlinearity | None,
    engine: str,
    tolerance: float | None,
    size: int,
    seed: int,
) -> tuple[_Route, TrajectorySpace, FloatArray, float]:
    """The arguments, validated: how averages are made, coordinates, the random network's kernel, and the tolerance."""
    phi = NAMED[problem.activation] if activation is None else activation
    space = trajectory_space(problem)
    chosen = _engine(engine, space)
    if problem.kappa <= 0:
        raise InputError("kappa: is 0; accepted: a finite number > 0 for a nonlinear network")
    if size < 2 or size & (size - 1):
        raise InputError(f"size: is {size}; accepted: a power of 2")
    limit = TOLERANCE[chosen] if tolerance is None else tolerance
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
    return _Route(phi, chosen, size, seed), space, prior, limit


@dataclass(frozen=True)
class _Route:
    """How averages are computed."""

    phi: Nonlinearity
    engine: Literal["quadrature", "sampling"]
    size: int
    seed: int
    refinement: float = COARSE

    def rule(
        self,
        space: TrajectorySpace,
        kernel: FloatArray,
        conjugate: FloatArray,
        moments: tuple[FloatArray, FloatArray],
        refinement: float = 1.0,
    ) -> Nodes:
        """The quadrature rule for a trajectory of given mean and covariance, as far as these are known."""
        return quadrature_nodes(space, self.phi, kernel, conjugate, moments, refinement * self.refinement)

    def sample(self, space: TrajectorySpace) -> Sample:
        """The sampling engine's fixed random numbers."""
        symmetric = _symmetric_task(self, space)
        return sample(space, self.size, self.seed, mirrored=symmetric, wide=not self.phi.odd)

    def coarse(self) -> _Route:
        """The route by which states are found: a smaller sample. (A rule starts coarse anyway.)"""
        return replace(self, size=min(self.size, max(LEAST_SAMPLE, self.size // FEWER)))


@dataclass(frozen=True, eq=False)
class _State:
    """A stationary point on points that are placed for it, or the last one reached."""

    point: ReducedPoint
    nodes: Nodes
    iterations: int
    reached: bool
    status: str


def _engine(engine: str, space: TrajectorySpace) -> Literal["quadrature", "sampling"]:
    if engine not in get_args(EngineChoice):
        raise InputError(f"engine: is {engine!r}; accepted: {', '.join(get_args(EngineChoice))}")
    if engine == "quadrature" and space.d > LARGEST_DIMENSION:
        raise InputError(
            f"engine: quadrature has {space.d} dimensions here; accepted: at most {LARGEST_DIMENSION}, or sampling"
        )
    if engine == "sampling" or space.d > LARGEST_DIMENSION:
        return "sampling"
    return "quadrature"


def _with_labels(space: TrajectorySpace, part: float) -> TrajectorySpace:
    """The same coordinates with y² scaled by `part`."""
    return replace(space, problem=space.problem.with_(y=space.problem.y * np.sqrt(part)))


def _to_full_labels(route: _Route, space: TrajectorySpace, prior: FloatArray) -> _State:
    """Follow the random network's kernel to the full labels, in steps of their squared scale."""
    none = np.zeros_like(prior)
    forward = (np.zeros(space.d), space.covariance(prior))
    if route.engine == "quadrature":
        nodes = route.rule(space, prior, none, forward)
    else:
        nodes = placed(route.sample(space), space, route.phi, *forward)
    vectors = symmetric_vectors(space.m)
    kernel, conjugate, done, step, iterations = prior, none, 0.0, 1.0, 0
    state: _State | None = None
    while done < 1.0:
        part = min(1.0, done + step)
        new = _settle(route, _with_labels(space, part), kernel, conjugate, nodes, symmetric=True)
        if new is not None and new.reached:
            state, done = new, part
            kernel, conjugate, nodes = new.point.kernel, new.point.conjugate, new.nodes
            iterations += new.iterations
            step *= 2.0
            continue
        step *= 0.5
        if step < SMALLEST_PART:
            if state is None:
                try:
                    point = reduced_point(space, vectors, nodes, kernel, conjugate)
                except (Unattainable, np.linalg.LinAlgError) as error:
                    raise InputError(
                        f"activation: {route.phi.name} has no averages here ({error}); accepted: an activation whose "
                        "kernel fluctuates in every entry, or a larger size"
                    ) from None
                return _State(point, nodes, iterations, False, "not converged: no step from the random network")
            return replace(
                state,
                reached=False,
                iterations=iterations,
                status=f"not converged: the labels could be raised to {np.sqrt(done):.3g} of their size only",
            )
    assert state is not None
    return replace(state, iterations=iterations)


def _settle(
    route: _Route,
    space: TrajectorySpace,
    kernel: FloatArray,
    conjugate: FloatArray,
    nodes: Nodes,
    *,
    symmetric: bool = False,
    relaxed: int = 0,
) -> _State | None:
    """Stationary point near a start, on points placed for it; None where nothing can be evaluated.

    With `symmetric`, from a start that W → -W leaves as it is, among such kernels. A sample takes so many `relaxed`
    steps first.
    """
    if route.engine == "sampling":
        return _settle_sample(route, space, kernel, conjugate, nodes, relaxed)
    vectors = symmetric_vectors(space.m)
    even = _even_entries(route, space, vectors) if symmetric else np.ones(len(vectors.rows), dtype=bool)
    iterations = 0
    state: _State | None = None
    for placement in range(PLACEMENTS):
        newton = _newton(space, vectors, nodes, kernel, conjugate, even)
        if newton is None:
            return state
        point, steps, ending = newton
        iterations += steps
        moved = float(np.linalg.norm(point.kernel - kernel) / np.linalg.norm(point.kernel))
        kernel, conjugate = point.kernel, point.conjugate
        state = _State(point, nodes, iterations, False, "the points have not settled")
        if ending == "failed":
            return replace(state, status="Newton's method has not converged")
        if moved <= PLACED and placement > 0:
            return replace(state, reached=True, status="converged")
        moments = tilted_moments(nodes, point.average.probability, odd=route.phi.odd)
        nodes = route.rule(space, kernel, conjugate, moments)
    return state


def _settle_sample(
    route: _Route, space: TrajectorySpace, kernel: FloatArray, conjugate: FloatArray, nodes: Nodes, relaxed: int
) -> _State | None:
    """The same on a sample that moves with the state."""
    try:
        p = tilted(nodes, space.covariance(kernel), conjugate)
        mean, covariance = tilted_moments(nodes, p, odd=route.phi.odd)
        fixed = route.sample(space)
        last, iterations, reached = iterate(fixed, space, route.phi, kernel, mean, covariance, relaxed=relaxed)
        vectors = symmetric_vectors(space.m)
        point = stationary_point(space, vectors, last.nodes, last.kernel, last.conjugate, covariance=False)
    except np.linalg.LinAlgError:
        return None
    status = "converged" if reached else "the iteration has not converged"
    return _State(point, last.nodes, iterations, reached, status)


def _newton(
    space: TrajectorySpace,
    vectors: SymmetricVectors,
    nodes: Nodes,
    kernel: FloatArray,
    conjugate: FloatArray,
    moving: NDArray[np.bool_],
) -> tuple[ReducedPoint, int, Ending] | None:
    """Newton's method for a minimum of F(Φ) in the `moving` entries, with |Hessian| and backtracking."""
    try:
        point = reduced_point(space, vectors, nodes, kernel, conjugate)
    except (Unattainable, np.linalg.LinAlgError):
        return None
    for steps in range(1, STEPS + 1):
        L = sla.cholesky(point.kernel, lower=True)
        change = _natural(vectors, L)
        try:
            blocks = kkt_blocks(space, vectors, point)
            curvature = change.T @ (blocks[0] + blocks[1].T @ positive_solve(blocks[2], blocks[1])) @ change
        except np.linalg.LinAlgError:
            return point, steps, "failed"
        gradient = change.T @ point.gradient
        part = np.ix_(moving, moving)
        size, frame = np.linalg.eigh(0.5 * (curvature + curvature.T)[part])
        floor = 1e-8 * np.abs(size).max()
        step = np.zeros_like(gradient)
        step[moving] = -frame @ ((frame.T @ gradient[moving]) / np.maximum(np.abs(size), floor))
        length = float(np.linalg.norm(step))
        if length < STEP_TOLERANCE:
            return point, steps, "reached"
        factor = min(1.0, LONGEST_STEP / length)
        slope = float(gradient @ step)
        for _ in range(25):
            moved = change @ (factor * step)
            trial = point.kernel + vectors.matrix(moved)
            follow = point.conjugate + vectors.matrix(positive_solve(blocks[2], blocks[1] @ moved))
            try:
                np.linalg.cholesky(trial)
                new = reduced_point(space, vectors, nodes, trial, follow)
                rounding = 1e-13 * (1 + abs(point.energy) + abs(point.entropy))
                if new.free_energy <= point.free_energy + 1e-4 * factor * slope + rounding:
                    break
            except (Unattainable, np.linalg.LinAlgError):
                pass
            factor *= 0.5
        else:
            return point, steps, "reached" if length < 1e-7 else "failed"
        point = new
    return point, STEPS, "failed"


def _symmetric_task(route: _Route, space: TrajectorySpace) -> bool:
    """Whether W → -W is a symmetry of the task."""
    return _even_times_reversed(route, space, np.ones((space.m, space.m))) is not None


def _is_symmetric(route: _Route, space: TrajectorySpace, kernel: FloatArray) -> bool:
    """Whether W → -W is a symmetry of the task and leaves the kernel as it is."""
    image = _even_times_reversed(route, space, kernel)
    return image is not None and np.allclose(image, kernel, rtol=0, atol=1e-12 * np.abs(kernel).max())


def _even_entries(route: _Route, space: TrajectorySpace, vectors: SymmetricVectors) -> NDArray[np.bool_]:
    """The entries, as a vector, that W → -W leaves as they are; all of them where that is no symmetry."""
    ones = np.ones((space.m, space.m))
    image = _even_times_reversed(route, space, ones)
    return vectors.vec(ones if image is None else image) > 0


def _natural(vectors: SymmetricVectors, L: FloatArray) -> FloatArray:
    """The map ``S → L S Lᵀ`` on symmetric matrices as vectors, (s, s)."""
    directions = vectors.matrix(np.eye(len(vectors.rows)))
    return vectors.vec(L @ directions @ L.T).T


def _modes(space: TrajectorySpace, vectors: SymmetricVectors, point: ReducedPoint) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues of the Hessian in the natural metric, and the eigenvectors as changes of Φ, (s, s)."""
    change = _natural(vectors, sla.cholesky(point.kernel, lower=True))
    curvature = change.T @ hessian(space, vectors, point) @ change
    size, frame = np.linalg.eigh(0.5 * (curvature + curvature.T))
    return size, change @ frame


def _with_covariance(space: TrajectorySpace, vectors: SymmetricVectors, state: _State) -> ReducedPoint:
    """The state's point with what second derivatives need."""
    point = state.point
    if point.average.covariance is not None:
        return point
    return stationary_point(space, vectors, state.nodes, point.kernel, point.conjugate, covariance=True)


def _kicks(route: _Route, space: TrajectorySpace, state: _State) -> list[tuple[FloatArray, FloatArray]]:
    """Starts off an unstable state, both ways along each unstable mode; Φ̃ follows to first order.

    One way only where W → -W turns the mode around: the other start is its mirror image.
    """
    vectors = symmetric_vectors(space.m)
    point = _with_covariance(space, vectors, state)
    size, modes = _modes(space, vectors, point)
    _, cross, spread = kkt_blocks(space, vectors, point)
    starts = []
    even = _even_entries(route, space, vectors)
    symmetric = _is_symmetric(route, space, state.point.kernel)
    for index in np.flatnonzero(size < UNSTABLE)[:MOST_MODES]:
        odd = np.linalg.norm(modes[even, index]) < 1e-6 * np.linalg.norm(modes[:, index])
        for sign in (1.0,) if symmetric and odd else (1.0, -1.0):
            for length in (KICK, 0.3 * KICK):
                moved = sign * length * modes[:, index]
                kernel = state.point.kernel + vectors.matrix(moved)
                if np.linalg.eigvalsh(kernel).min() <= 0:
                    continue
                follow = vectors.matrix(positive_solve(spread, cross @ moved))
                starts.append((kernel, state.point.conjugate + follow))
                break
    return starts


def _even_times_reversed(route: _Route, space: TrajectorySpace, kernel: FloatArray) -> FloatArray | None:
    """The kernel after W → -W, where that is a symmetry of the task."""
    problem = space.problem
    supervised_times = np.unique(problem.supervised // problem.P)
    if not route.phi.odd or problem.arch != "rnn" or problem.x[:, 1:].any() or len(supervised_times) > 1:
        return None
    signs = np.repeat((-1.0) ** np.arange(problem.n), problem.P)
    return np.asarray(kernel * np.outer(signs, signs))


def _same(route: _Route, space: TrajectorySpace, one: _State, other: _State) -> bool:
    a, b = one.point.kernel, other.point.kernel
    near = SAME if route.engine == "quadrature" else 1e-2
    images = [b, _even_times_reversed(route, space, b)]
    return any(image is not None and np.linalg.norm(a - image) <= near * np.linalg.norm(b) for image in images)


def _solution(
    route: _Route, space: TrajectorySpace, prior: FloatArray, state: _State, limit: float
) -> NonlinearSolution:
    vectors = symmetric_vectors(space.m)
    point, problem = _with_covariance(space, vectors, state), space.problem
    reversed_kernel = _even_times_reversed(route, space, point.kernel)
    signs = np.ones(space.m)
    if reversed_kernel is not None and np.trace(point.kernel[-problem.P :, -2 * problem.P : -problem.P]) < 0:
        signs = np.repeat((-1.0) ** np.arange(problem.n), problem.P)
    error: Callable[..., FloatArray] = _rule_error if route.engine == "quadrature" else _sampling_error
    kernel_error = error(route, space, vectors, state)
    try:
        smallest = float(_modes(space, vectors, point)[0].min())
    except np.linalg.LinAlgError:  # a state that was not reached, on too few points
        smallest = math.nan
    worst = float(kernel_error.max() / np.abs(point.kernel).max())
    good = state.reached and worst <= limit
    status = state.status
    if state.reached and not good:
        status = f"the error of the averages, {worst:.1e} of the largest entry, exceeds the tolerance {limit:.1e}"
        if not np.isfinite(worst):
            status = "the error of the averages is not known: a part of the sample has no state here"
    gauge = np.outer(signs, signs)
    E = space.embedding
    mean = point.average
    second = (state.nodes.points * mean.probability[:, None]).T @ state.nodes.points
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
        engine=route.engine,
        kernel_error=kernel_error,
        points=len(state.nodes.points),
        effective_points=mean.effective_size,
        converged=good,
        status=status,
        stable=smallest > 0,
        hessian_smallest=smallest,
        branch="coherent" if beyond > max(1e-6, 3 * worst) else "incoherent",
        iterations=state.iterations,
    )


def _refined(
    route: _Route, space: TrajectorySpace, prior: FloatArray, state: _State, limit: float
) -> NonlinearSolution:
    """The state on the whole sample, or under as fine a rule as its tolerance needs and `MOST_POINTS` allows."""
    if route.engine == "sampling" and state.reached and route.coarse() != route:
        new = _settle(route, space, state.point.kernel, state.point.conjugate, state.nodes)
        if new is not None:
            state = replace(new, iterations=state.iterations + new.iterations)
    solution = _solution(route, space, prior, state, limit)
    refinement = 1.0
    while route.engine == "quadrature" and state.reached and not solution.converged:
        growth = (refinement / route.refinement) ** space.d
        if solution.points * growth > MOST_POINTS:
            break
        route = replace(route, refinement=refinement)
        refinement *= FINER[space.d]
        moments = tilted_moments(state.nodes, state.point.average.probability, odd=route.phi.odd)
        nodes = route.rule(space, state.point.kernel, state.point.conjugate, moments)
        symmetric = _is_symmetric(route, space, state.point.kernel)
        new = _settle(route, space, state.point.kernel, state.point.conjugate, nodes, symmetric=symmetric)
        if new is None or not new.reached:
            break
        state = replace(new, iterations=state.iterations + new.iterations)
        solution = _solution(route, space, prior, state, limit)
    return solution


def _to_kernel(
    route: _Route, space: TrajectorySpace, vectors: SymmetricVectors, point: ReducedPoint, excess: FloatArray
) -> FloatArray:
    """Changes of Φ that changes of ``(⟨φφᵀ⟩, ∂ln Z/∂Φ)`` cause, (k, 2s) → (k, s), through the equations' Jacobian.

    In a symmetric state only changes that keep the symmetry: the points have it too.
    """
    F, cross, spread = kkt_blocks(space, vectors, point)
    s = len(F)
    jacobian = np.block([[F, cross.T], [cross, -spread]])
    right = np.concatenate([excess[:, s:], excess[:, :s]], axis=1)
    kept = np.ones(s, dtype=bool)
    if _is_symmetric(route, space, point.kernel):
        kept = _even_entries(route, space, vectors)
    both = np.concatenate([kept, kept])
    changes = np.zeros_like(right)
    changes[:, both] = np.linalg.solve(jacobian[np.ix_(both, both)], right[:, both].T).T
    return changes[:, :s]


def _rule_error(route: _Route, space: TrajectorySpace, vectors: SymmetricVectors, state: _State) -> FloatArray:
    """|ΔΦ| under a finer rule, to first order."""
    point = state.point
    moments = tilted_moments(state.nodes, point.average.probability, odd=route.phi.odd)
    finer = route.rule(space, point.kernel, point.conjugate, moments, FINER[space.d])
    other = averages(space, vectors, finer, point.kernel, point.conjugate, covariance=False)
    excess = np.concatenate([other.activity - point.average.activity, other.pull - point.average.pull])
    return np.abs(vectors.matrix(_to_kernel(route, space, vectors, point, excess[None])[0]))


def _sampling_error(route: _Route, space: TrajectorySpace, vectors: SymmetricVectors, state: _State) -> FloatArray:
    """Standard error of Φ from its values on independent parts of the sample; infinite if one has none."""
    whole, kernel = route.sample(space), state.point.kernel
    mean, covariance = tilted_moments(state.nodes, state.point.average.probability, odd=route.phi.odd)
    kernels = []
    for batches in np.arange(BATCHES).reshape(PARTS, -1):
        try:
            part = whole.part(batches)
            last, _, reached = iterate(part, space, route.phi, kernel, mean, covariance, tolerance=PARTS_TOLERANCE)
        except np.linalg.LinAlgError:
            reached = False
        if not reached:
            return np.full_like(kernel, np.inf)
        kernels.append(last.kernel)
    return np.asarray(np.std(kernels, axis=0, ddof=1) / np.sqrt(PARTS))
