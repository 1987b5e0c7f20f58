"""One entry for the states of networks of any sharing and activation, which chooses the engine behind it.

``numerics.linear.search`` and ``numerics.continuation.states`` solve linear networks, ``numerics.nonlinear.search``
all others.

The tolerance means the same everywhere: the relative error of the kernel that a converged state may have, that of an
entry over the largest entry. Unless given, it is 1e-10 for a linear network, 1e-8 where averages are made by
quadrature and 1e-2 where they are sampled. A linear network's error is judged by `Solution.residual`, as the Hessian is
of order one in the natural metric; next to a transition, where `Solution.hessian_smallest` vanishes, it is larger by
the inverse of that.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from numerics.continuation import states
from numerics.errors import InputError
from numerics.inputs.arguments import of_problem
from numerics.inputs.keywords import takes
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import shown
from numerics.linalg import FloatArray
from numerics.linear import search as linear
from numerics.linear.trust_region import STATE_TOLERANCE
from numerics.progress import Progress, watched
from numerics.results.solution import Solution
from numerics.results.solutions import Solutions

if TYPE_CHECKING:
    from numerics.nonlinear.search import EngineChoice

SOLVING = "solving"


class EngineOptions(TypedDict, total=False):
    """How averages over a nonlinear network's neurons are made; see ``numerics.nonlinear.search.all_states``.

    A linear network needs none.
    """

    engine: EngineChoice
    size: int | None
    seed: int


@of_problem
@takes(EngineOptions)
def solve(
    problem: Problem,
    *,
    tolerance: float | None = None,
    progress: bool | Progress | None = None,
    checkpoint: str | Path | None = None,
    **engine: Unpack[EngineOptions],
) -> Solution:
    """The state of lowest free energy that a search finds, a minimum.

    The search starts from the random network's kernel and from kernels that fit the labels, and leaves unstable states
    along their unstable modes. It may miss states (docs/theory.md section 14): `Solution.minima` says how many distinct
    minima were compared, `Solution.next_free_energy` where the next one lies.

    Args:
        problem: what is learnt.
        tolerance: relative error of the kernel that a converged state may have: of an entry, over the largest entry.
        progress: True shows how far the work is, on standard error; a function is told (`numerics.progress`).
        engine: of a nonlinear network: ``engine``, ``"quadrature"``, ``"sampling"`` or ``"auto"``; ``size`` of a
            sample, and its ``seed``.
        checkpoint: of a nonlinear network: a file in which the search is kept, every few seconds and when it ends or is
            interrupted. The same call goes on from there, to the very numbers of a search without interruption.

    Raises:
        InputError: an argument is out of range, the inputs cannot carry the labels, or the checkpoint is damaged, of
            another search, in use, or cannot be written.

    Example:
        >>> import unrolled
        >>> state = unrolled.solve(unrolled.endpoint(T=4, signal=20.0))
        >>> state.branch, round(state.free_energy, 4), state.converged
        ('coherent', 1.4403, True)
    """
    with watched(progress, SOLVING) as told:
        if is_linear(problem, engine, checkpoint):
            accepted = STATE_TOLERANCE if tolerance is None else tolerance
            return linear.lowest_state(problem, tolerance=accepted, progress=_named(told))
        from numerics.nonlinear import search as nonlinear  # slow to load

        with _kept("lowest_state", problem, checkpoint, tolerance, engine):
            return nonlinear.lowest_state(problem, tolerance=tolerance, progress=_named(told), **engine)


@of_problem
@takes(EngineOptions)
def solve_all(
    problem: Problem,
    *,
    tolerance: float | None = None,
    progress: bool | Progress | None = None,
    checkpoint: str | Path | None = None,
    **engine: Unpack[EngineOptions],
) -> Solutions:
    """Every stationary state that a search finds, unstable ones included; arguments as in `solve`.

    States that differ by a sign symmetry are given once, in the sign of ``numerics.symmetry.gauge``. For a linear
    network `Solutions.index_sum` shows where states are missing.

    Example:
        >>> import unrolled
        >>> [state.branch for state in unrolled.solve_all(unrolled.endpoint(T=4, signal=20.0))]
        ['coherent', 'incoherent']
    """
    with watched(progress, SOLVING) as told:
        if is_linear(problem, engine, checkpoint):
            return states.all_states(problem, tolerance=STATE_TOLERANCE if tolerance is None else tolerance)
        from numerics.nonlinear import search as nonlinear

        with _kept("all_states", problem, checkpoint, tolerance, engine):
            return nonlinear.all_states(problem, tolerance=tolerance, progress=_named(told), **engine)


@of_problem
@takes(EngineOptions)
def state_near(
    problem: Problem,
    trajectories: FloatArray,
    *,
    tolerance: float | None = None,
    progress: bool | Progress | None = None,
    **engine: Unpack[EngineOptions],
) -> Solution:
    """The state that sampled networks are in: the minimum of F that their neurons' trajectories lead to.

    Networks can stay in a minimum that is not the lowest, and that no instability of another state leads to.

    Args:
        problem: what the networks have learnt.
        trajectories: pre-activations ``h^t_i(x_p)``, (K, nP), one row for each neuron of each network (or of each draw
            from one chain); the index is time-major, ``(t-1) P + p``.
        tolerance, progress, engine: as of `solve`.

    Raises:
        InputError: as of `solve`; trajectories of another shape, not finite, or too few to tell their covariance.
    """
    accepted = STATE_TOLERANCE if tolerance is None else tolerance
    with watched(progress, SOLVING) as told:
        if is_linear(problem, engine):
            return linear.state_near(problem, trajectories, tolerance=accepted)
        from numerics.nonlinear import search as nonlinear

        return nonlinear.state_near(problem, trajectories, tolerance=tolerance, progress=_named(told), **engine)


def _named(told: Progress) -> Progress:
    """What a search tells, as a part of the whole work."""
    return lambda doing, done, total: told(f"{SOLVING}: {doing}", done, total)


def _kept(
    what: str, problem: Problem, checkpoint: str | Path | None, tolerance: float | None, engine: EngineOptions
) -> AbstractContextManager[None]:
    """The steps of a search, in a checkpoint."""
    from numerics.nonlinear.journal import kept_in

    return kept_in(checkpoint, {"what": what, "problem": problem.digest, "tolerance": tolerance, **engine})


def is_linear(problem: Problem, engine: EngineOptions, checkpoint: str | Path | None = None) -> bool:
    """Whether a problem's network is linear; then no averages are made, and options of these are refused."""
    if problem.activation.name != "linear":
        return False
    for name, value in engine.items():
        raise InputError(f"{name}: is {shown(value)}; accepted: nothing, a linear network needs no averages")
    if checkpoint is not None:
        raise InputError(f"checkpoint: is {str(checkpoint)!r}; accepted: nothing, a linear network is solved in one go")
    return True
