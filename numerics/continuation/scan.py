"""Every branch of a problem along one of its parameters, on a grid of values, with special points and hysteresis loop.

See docs/theory.md sections 5 and 14. Branches are those of ``numerics.continuation.diagram``; their states on the grid
are converged by Newton's method in batches, and what is found has to pass signed counts (``signed_counts``). A
nonlinear problem is solved at each value (``numerics.continuation.nonlinear``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numerics.continuation.branch import Branch, monotonic_pieces
from numerics.continuation.curves import curve
from numerics.continuation.diagram import Diagram, diagram
from numerics.continuation.hysteresis import hysteresis_loop
from numerics.continuation.on_grid import GridStates, states_on_grid
from numerics.continuation.options import DEFAULT, Options
from numerics.continuation.parameters import PARAMETERS, at_unit_signal
from numerics.continuation.pieces import Piece
from numerics.continuation.scanned import Scan
from numerics.continuation.scanned_branch import ScannedBranch
from numerics.continuation.signed_counts import signed_counts
from numerics.continuation.special_points import SpecialPoint
from numerics.errors import InputError
from numerics.forked import ahead
from numerics.inputs.arguments import of_problem, require_kind
from numerics.inputs.arrays import real_array
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.progress import Progress, watched
from numerics.results.solution import COHERENCE_TOLERANCE, coherence_beyond
from numerics.symmetry.gauge import gauge_signs
from numerics.threads import one_thread

#: Ends of a range are widened by this share where it is a single value.
MARGIN = 0.01
#: Kernel rows from which on the states on a grid take longer than to copy the process.
WORTH_COPY = 8


@of_problem
@one_thread
def scan(
    problem: Problem,
    over: Mapping[str, ArrayLike],
    *,
    options: Options = DEFAULT,
    progress: bool | Progress | None = None,
) -> Scan:
    """Follow every branch of a problem over values of one parameter (docs/theory.md section 5).

    Args:
        problem: its other numbers stay as they are. The signal is the λ of endpoint supervision, whatever the problem's
            own; of any other problem it multiplies every y², so that the labels given are those at λ = 1.
        over: one name, ``"signal"``, ``"kappa"``, ``"u"``, ``"v"``, ``"w"``, ``"rho"`` (of ``shared:ρ`` or
            ``drift:ρ``, from 0 to 1), ``"skip"`` or ``"bias"``, and its values: increasing, positive but for rho = 0.
        options: tolerances and bounds with which branches of a linear problem are followed.
        progress: True shows how far it is, on standard error; a function is told what is being done, how much of it
            (branches followed or values solved), and how much is known so far.

    Raises:
        InputError: one of the arguments is not as above, or the problem is too large for branches to be followed.

    Example:
        >>> import numpy as np
        >>> import unrolled
        >>> scan = unrolled.scan(unrolled.endpoint(T=4, signal=20.0), {"signal": np.linspace(5, 15, 5)})
        >>> [(point.type, round(point.value, 6)) for point in scan.special_points]
        [('pitchfork', 10.125)]
    """
    require_kind(options, "options", lambda given: isinstance(given, Options), "Options, or none for the defaults")
    name, grid = _checked(over)
    if name == "signal":
        problem = at_unit_signal(problem)
    with watched(progress, "scan") as told:
        return _scan(problem, name, grid, options, told)


def _scan(problem: Problem, name: str, grid: FloatArray, options: Options, told: Progress) -> Scan:
    """As `scan`, of arguments that hold."""
    if problem.activation.name != "linear":
        # the nonlinear solvers take as long to load as a small linear scan to run
        from numerics.continuation.nonlinear import scan_nonlinear

        return scan_nonlinear(problem, name, grid, lambda done, total: told("values", done, total))
    span = float(grid[0]), float(grid[-1])
    if len(grid) == 1:
        span = grid[0] * (1 - MARGIN), min(grid[0] * (1 + MARGIN) or MARGIN, PARAMETERS[name].most)
    found = diagram(problem, name, span, options=options, progress=lambda done, known: told("branches", done, known))
    named = [(title, piece) for title, piece in named_pieces(found) if _overlaps(piece, grid)]
    states = _on_grid([piece for _, piece in named], grid)
    branches = tuple(_scanned(title, piece, grid, there) for (title, piece), there in zip(named, states, strict=True))
    counts = signed_counts([piece for _, piece in named], states)
    inside = [point for point in found.special_points if grid[0] <= point.value <= grid[-1]]
    loop, status = None, found.status
    try:
        loop = hysteresis_loop(found) if len(grid) > 1 else None
    except ArithmeticError as error:
        status += f" No loop: {error}."
    return Scan(
        problem=problem,
        parameter=name,
        value=grid,
        branches=branches,
        special_points=tuple(replace(point, names=_meeting(point, found, named)) for point in inside),
        stable_ranges=tuple(
            (piece.number, *(found.family.parameter.value_at(bound) for bound in piece.bounds))  # type: ignore[misc]
            for piece in found.stable_pieces
        ),
        loop=loop,
        periods=() if counts is None else counts[0],
        index_sums=None if counts is None else counts[1],
        status=status,
    )


def _on_grid(pieces: Sequence[Piece], grid: FloatArray) -> list[GridStates]:
    """The states of every stretch; of larger kernels those of every other one by a copy of this process."""
    if not pieces or pieces[0].branch.track.family.base.dimension < WORTH_COPY:
        return [states_on_grid(piece, grid) for piece in pieces]
    states: list[Any] = [None] * len(pieces)
    with ahead(partial(states_on_grid, grid=grid), pieces[1::2]) as others:
        states[::2] = [states_on_grid(piece, grid) for piece in pieces[::2]]
        states[1::2] = others
    return states


def _checked(over: Mapping[str, ArrayLike]) -> tuple[str, FloatArray]:
    if not isinstance(over, Mapping) or len(over) != 1 or next(iter(over)) not in PARAMETERS:
        wrong = repr(list(over)) if isinstance(over, Mapping) else repr(over)
        several = "; sweep takes several" if isinstance(over, Mapping) and len(over) > 1 else ""
        raise InputError(f"over: is {wrong}; accepted: one of {', '.join(PARAMETERS)} with its values{several}")
    ((name, values),) = over.items()
    grid = real_array(values, name)
    if grid.ndim != 1 or grid.size == 0:
        raise InputError(f"{name}: has shape {grid.shape}; accepted: a list of numbers")
    if not (np.isfinite(grid).all() and np.all(np.diff(grid) > 0)):
        raise InputError(f"{name}: is not increasing; accepted: increasing, finite numbers")
    PARAMETERS[name].require(name, grid[0])
    if grid[-1] > PARAMETERS[name].most:
        raise InputError(f"{name}: is {grid[-1]:g}; accepted: at most {PARAMETERS[name].most:g}")
    return name, grid


def named_pieces(found: Diagram) -> list[tuple[str, Piece]]:
    """Stretches of every branch with their names, incoherent ones first."""
    kinds = ["incoherent" if _is_incoherent(branch) else "coherent" for branch in found.branches]
    pieces: list[tuple[str, Piece]] = []
    for kind in ("incoherent", "coherent"):
        places = [k for k, own in enumerate(kinds) if own == kind]
        for count, place in enumerate(places, start=1):
            branch = found.branches[place]
            base = kind if kind == "incoherent" and count == 1 else f"{kind}-{count}"
            spans = monotonic_pieces(branch)
            titles = [base] if len(spans) == 1 else [f"{base}{chr(ord('a') + k)}" for k in range(len(spans))]
            pieces += [(title, Piece(place, branch, *ends)) for title, ends in zip(titles, spans, strict=True)]
    return pieces


def _is_incoherent(branch: Branch) -> bool:
    """Whether times correlate no more than in the random network, in the middle of a branch."""
    middle = branch.points[len(branch.points) // 2].state
    space, P = middle.functional.space, branch.track.family.problem.P
    kernel, prior = (space.expand(H) for H in (middle.H, middle.functional.prior_kernel()))
    return coherence_beyond(kernel, prior, P) <= COHERENCE_TOLERANCE


def _overlaps(piece: Piece, grid: FloatArray) -> bool:
    low, high = piece.bounds
    family = piece.branch.track.family
    first, last = (family.parameter.coordinate(value) for value in grid[[0, -1]])
    return high >= first - family.options.same_value and low <= last + family.options.same_value


def _meeting(point: SpecialPoint, found: Diagram, named: Sequence[tuple[str, Piece]]) -> tuple[str, ...]:
    """Names of the stretches that meet at a special point."""
    theta, same = found.family.parameter.coordinate(point.value), found.family.options.same_value
    stable = {(p.number, p.branch.theta[k]) for p in found.stable_pieces for k in range(p.first, p.last + 1)}
    names: list[str] = []
    for place in point.branches:
        here = [
            (title, p) for title, p in named if p.number == place and p.bounds[0] - same <= theta <= p.bounds[1] + same
        ]
        if point.type == "equal-free-energy":
            here = [
                (title, p)
                for title, p in here
                if any((place, t) in stable for t in p.branch.theta[p.first + 1 : p.last])
            ]
        # of a branch that begins or turns there, the stretches that do; one that runs through, as it is
        ending = [(title, p) for title, p in here if min(abs(theta - bound) for bound in p.bounds) < same]
        names += [title for title, _ in (ending or here) if title not in names]
    return tuple(names)


def _scanned(title: str, piece: Piece, grid: FloatArray, states: GridStates) -> ScannedBranch:
    branch, family = piece.branch, piece.branch.track.family
    problem = family.problem
    n, P, count = problem.n, problem.P, len(states.there)
    kernel = np.full((count, n * P, n * P), np.nan)
    there = np.flatnonzero(states.there)
    for k in there:
        kernel[k] = family.functional(family.parameter.coordinate(grid[k])).space.expand(states.kernel[k])
    if there.size:
        # signs change nowhere on a stretch
        signs = gauge_signs(problem, kernel[there[len(there) // 2]], odd=True)
        kernel *= signs[:, None] * signs
    last = len(branch.points) - 1
    return ScannedBranch(
        name=title,
        number=piece.number,
        lag=branch.track.period,
        ends=(
            branch.ends[0] if piece.first == 0 else "fold",
            branch.ends[1] if piece.last == last else "fold",
        ),
        kernel=kernel,
        order_parameter=np.asarray(np.linalg.norm(kernel[:, -P:, -2 * P : -P], axis=(1, 2))),
        free_energy=states.free_energy,
        hessian_smallest=states.smallest,
        negative=states.negative,
        residual=states.residual,
        curve=curve(piece),
    )
