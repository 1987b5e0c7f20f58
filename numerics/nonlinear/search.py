"""The states of a nonlinear network, looked for from the random network's side and from the learnt side.

This is a search: F may have minima that it does not meet (docs/theory.md section 14). From the random network the
kernel is followed to the full labels; cheap descents on few points (``exploration``) go down from there and from laws
that fit the labels, and come back from stronger labels and weaker noise. The engine converges to those that compete,
and goes on down every instability of what it finds.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from numerics.errors import InputError
from numerics.inputs.arguments import require_choice
from numerics.inputs.arrays import finite_array
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer, positive, power_of_two
from numerics.linalg import FloatArray
from numerics.nonlinear.answers import compared, of_diagonal, solutions
from numerics.nonlinear.by_quadrature import Quadrature
from numerics.nonlinear.by_sampling import Sampling
from numerics.nonlinear.diagonal import is_diagonal
from numerics.nonlinear.engine import Engine
from numerics.nonlinear.following import followed
from numerics.nonlinear.forward import forward_kernel, require_regular
from numerics.nonlinear.minima import search_states
from numerics.nonlinear.quadrature import MOST_DIMENSIONS
from numerics.nonlinear.setting import RELAXATION, Search, close
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import trajectory_space
from numerics.progress import Progress, Told
from numerics.results.solutions import Solutions
from numerics.threads import one_thread

EngineChoice = Literal["auto", "quadrature", "sampling"]

#: Default error of Φ's entries, relative to the largest, by engine.
ENGINE_TOLERANCE = {"quadrature": 1e-8, "sampling": 1e-2}


@one_thread
def lowest_state(
    problem: Problem,
    *,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> NonlinearSolution:
    """The state of lowest free energy that is found; arguments as in `all_states`.

    Where a search has left out starts, or has met a lower state that it could not make converge, the status says so.
    """
    search = _prepared(problem, engine, tolerance, size, seed, progress)
    found = search_states(search, whole=False)
    states = found.minima or found.states
    lowest = min(state.point.free_energy for state in states if state.reached or len(states) == 1)
    competing = [s for s in states if close(s.point.free_energy, lowest)]
    return compared(solutions(search, competing), found, competing)[0]


@one_thread
def all_states(
    problem: Problem,
    *,
    engine: EngineChoice = "auto",
    tolerance: float | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Solutions:
    """Stationary states of ``F[Φ, Φ̃]``, in order of free energy.

    The random network's kernel is followed to the full labels; from the learnt side F is minimised from laws that fit
    the labels, and from states at stronger labels and weaker noise; and from every unstable state along its unstable
    directions, both ways. This is a search: it may miss states. States related by W → -W (odd φ, input at t = 0 only)
    are given once.

    Args:
        problem: what is learnt; κ > 0.
        engine: ``"quadrature"`` (at most 4 dimensions of the trajectory), ``"sampling"``, or ``"auto"``: quadrature
            where it applies.
        tolerance: `largest_error` over the largest entry of Φ, for `converged`; 1e-8 for quadrature, 1e-2 for
            sampling unless given. The random network's branch of one trajectory, whose times are independent, is
            always computed by quadrature, unless an engine is asked for.
        size: points of each of 16 batches of the sampling engine, a power of 2; as many as the tolerance needs, up to
            32768, unless given. For odd φ each stands for its negative too.
        seed: of the sampling engine.
        progress: told what is being done, and how much of it (`numerics.progress`).

    Raises:
        InputError: an argument outside the above; a kernel without full rank (two patterns that φ cannot tell apart).
    """
    search = _prepared(problem, engine, tolerance, size, seed, progress)
    found = search_states(search, whole=True)
    return Solutions(tuple(compared(solutions(search, found.states), found, found.states)))


@one_thread
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
    """The state that sampled networks are in: where the search converges from the trajectories of their neurons.

    Networks can stay in a minimum that is not the lowest, and that no instability of another state leads to.

    Args:
        problem: as in `all_states`, with all that follows.
        trajectories: pre-activations ``h^t_i(x_p)``, (K, nP), one row for each neuron of each network (or of each draw
            from one chain); the index is time-major, ``(t-1) P + p``.

    Raises:
        InputError: as there; trajectories of another shape, not finite, or too few to tell their covariance.
    """
    search = _prepared(problem, engine, tolerance, size, seed, progress)
    space, given = search.space, finite_array(trajectories, "trajectories", (None, problem.y.size))
    few = InputError(f"trajectories: {len(given)} rows do not tell their covariance; accepted: many times {space.d}")
    if len(given) < 2 * space.d:
        raise few
    try:
        start = search.engine.near(space, space.coordinates(given))
        state = search.engine.converge(space, start, relaxed=RELAXATION)
    except np.linalg.LinAlgError:
        raise few from None
    if state is None:
        raise InputError("trajectories: no averages can be made around them; accepted: those of sampled networks")
    return solutions(search, [state])[0]


def incoherent_state(problem: Problem, *, tolerance: float | None = None) -> NonlinearSolution:
    """The state that the random network's kernel is followed to, stable or not; arguments as in `all_states`.

    With an odd φ, input at t = 0 only and one supervised time, its times stay uncorrelated.
    """
    search = _prepared(problem, "auto", tolerance, None, 0, None)
    if search.diagonal is not None:
        return of_diagonal(search, search.diagonal)
    return solutions(search, [followed(search, whole=True)[-1][1]])[0]


def _prepared(
    problem: Problem,
    engine: str,
    tolerance: float | None,
    size: int | None,
    seed: int,
    progress: Progress | None,
) -> Search:
    """The arguments, validated."""
    phi = problem.activation
    space = trajectory_space(problem)
    require_choice(engine, "engine", get_args(EngineChoice))
    if engine == "quadrature" and space.d > MOST_DIMENSIONS:
        raise InputError(
            f"engine: quadrature has {space.d} dimensions here; accepted: at most {MOST_DIMENSIONS}, or sampling"
        )
    if problem.kappa <= 0:
        raise InputError("kappa: is 0; accepted: a finite number > 0 for a nonlinear network")
    size, seed = None if size is None else power_of_two(size, "size"), integer(seed, "seed", 0)
    sampled = engine == "sampling" or space.d > MOST_DIMENSIONS
    say = Told(progress)
    chosen: Engine = Sampling(phi, size, seed, told=say) if sampled else Quadrature(phi, told=say)
    limit = ENGINE_TOLERANCE[chosen.name] if tolerance is None else positive(tolerance, "tolerance")
    prior = forward_kernel(space, phi)
    require_regular(space, prior)
    diagonal = engine == "auto" and is_diagonal(space, phi)
    return Search(chosen, space, prior, limit, diagonal, seed, say)
