"""Every branch of endpoint supervision along the signal, with its special points (docs/theory.md section 5).

Branches and special points are those of ``numerics.continuation``; points on the grid are Newton-polished in batches.
What is found has to pass the signed counts of ``numerics.endpoint_task.index_sum``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.continuation.branch import Branch, between, monotonic_pieces
from numerics.continuation.diagram import FINISHED, Diagram, diagram
from numerics.continuation.diagram import SpecialPoint as DiagramPoint
from numerics.endpoint_task import branches, chain
from numerics.endpoint_task.index_sum import index_sums
from numerics.errors import InputError
from numerics.inputs.arrays import real_array
from numerics.inputs.problem import ARCHITECTURES, endpoint
from numerics.inputs.scalars import integer, real
from numerics.linalg import FloatArray
from numerics.results.base import Result
from numerics.results.display import Facts, number
from numerics.results.plotting import branch as draw_branch
from numerics.results.plotting import order_parameter_axes
from numerics.threads import one_thread

PointType = Literal["pitchfork", "fold", "branch-point", "equal-free-energy"]

#: Times that a ratio interpolated between two points of the incoherent branch is polished: next to a fold it is poor.
POLISHED = 4
#: A polished state that differs by more than this from its start, relative, belongs to another branch.
SAME = 0.02


@dataclass(frozen=True, eq=False)
class SpecialPoint:
    """A pitchfork, a fold, or a crossing of free energies of two stable states.

    Attributes:
        type: ``"pitchfork"``, ``"fold"``, ``"branch-point"`` or ``"equal-free-energy"``.
        signal: λ.
        interval: the bracket that contains it, (low, high).
        branches: names of the branches that meet.
    """

    type: PointType
    signal: float
    interval: tuple[float, float]
    branches: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class BranchScan:
    """One branch between two folds, on the grid of signals; NaN where it does not exist.

    Attributes:
        name: ``"incoherent"``, or ``"coherent"`` with a number.
        lag: times correlate at multiples of this lag only; 0 for the incoherent branch, 1 where they all do.
        kernel: ``H``, (L, n, n).
        order_parameter: ``H^{T-1,T-2} ≥ 0``, (L,).
        free_energy: F, (L,).
        hessian_smallest: smallest eigenvalue of the Hessian in the natural metric, (L,).
        residual: relative, (L,).
    """

    name: str
    lag: int
    kernel: FloatArray
    order_parameter: FloatArray
    free_energy: FloatArray
    hessian_smallest: FloatArray
    residual: FloatArray

    @property
    def stable(self) -> NDArray[np.bool_]:
        """Where the state exists and is a minimum of F, (L,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.hessian_smallest > 0)


@dataclass(frozen=True, eq=False, repr=False)
class EndpointScan(Result):
    """Branches on a grid of signals (L,), in the order in which they were found, and special points by signal.

    Attributes:
        T, arch, kappa, signal: what was scanned.
        branches: the incoherent one first.
        special_points: within the grid, by signal.
        index_sums: ``Σ (-1)^index`` over the states at each signal, among kernels of lag period 0 (diagonal), 1 (all),
            … n-1, (n, L): 1 unless a state is missing; NaN at a special point; None if they were not counted.
        status: whether the search met a bound on its work or lost a branch (``Diagram.status``); empty if no branches
            were followed.
    """

    T: int
    arch: str
    kappa: float
    signal: FloatArray
    branches: tuple[BranchScan, ...]
    special_points: tuple[SpecialPoint, ...]
    index_sums: FloatArray | None = None
    status: str = ""

    @property
    def finished(self) -> bool:
        """Whether no bound on the work was met, and no branch lost."""
        return self.status in ("", FINISHED)

    @property
    def incomplete(self) -> NDArray[np.bool_]:
        """Signals at which a signed count shows that a state is missing, (L,)."""
        if self.index_sums is None:
            return np.zeros(len(self.signal), dtype=bool)
        return np.asarray((np.isfinite(self.index_sums) & (self.index_sums != 1.0)).any(axis=0))

    @property
    def counted(self) -> str:
        """One sentence on the signed counts."""
        if not self.incomplete.any():
            return "Σ(-1)^index = 1 at every signal, for every lag period."
        missing = self.signal[self.incomplete]
        where = f"{len(missing)} signal{'s' * (len(missing) > 1)} from {missing[0]:.6g} to {missing[-1]:.6g}"
        return f"Σ(-1)^index differs from 1 at {where}: a state is missing there."

    def facts(self) -> Facts:
        """What was scanned, its branches and special points."""
        return (
            ("problem", f"{self.arch.upper()}, T = {self.T}, κ = {self.kappa:g}"),
            ("signals", f"{len(self.signal)}, from {number(self.signal[0])} to {number(self.signal[-1])}"),
            ("branches", ", ".join(branch.name for branch in self.branches)),
            *((point.type, number(point.signal)) for point in self.special_points),
            *(() if self.index_sums is None else (("signed counts", self.counted),)),
        )

    def draw(self, ax: Any) -> None:
        """The order parameter of every branch against λ, with the special points."""
        for index, branch in enumerate(self.branches):
            color = f"C{index}"
            draw_branch(self.signal, branch.order_parameter, branch.stable, ax, color=color, label=branch.name)
        for point in self.special_points:
            ax.axvline(point.signal, color="0.6", lw=0.6, ls=":", zorder=0)
        order_parameter_axes(self.T, ax)
        ax.legend()


@dataclass(frozen=True, eq=False)
class _Piece:
    """A stretch of a branch on which the signal is monotonic: points ``first`` to ``last``."""

    name: str
    number: int
    branch: Branch
    first: int
    last: int

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest ``ln λ``."""
        ends = self.branch.theta[[self.first, self.last]]
        return float(ends.min()), float(ends.max())


@one_thread
def scan_endpoint(T: int, signals: ArrayLike, kappa: float = 1.0, arch: str = "rnn") -> EndpointScan:
    """Follow every branch over the given signals, in units u = v = w = 1.

    Args:
        T: index of the last output, 3 … 12.
        signals: λ > 0, increasing, (L,).
        kappa: noise, ≥ 0. (For other widths: κ/(v w^(T-2) u).)
        arch: ``"rnn"`` or ``"dnn"``.

    Raises:
        InputError: one of the arguments is not as above.
    """
    T, kappa = integer(T, "T", 3, 12), real(kappa, "kappa")
    grid = _checked(signals, kappa, arch)
    span = 0.99 * float(grid[0]), 1.01 * float(grid[-1])
    found = diagram(endpoint(T, 1.0, kappa=kappa, arch=arch), "signal", span)
    pieces = [piece for piece in _pieces(found) if _overlaps(piece, grid)]
    scanned = tuple(_on_grid(piece, grid, kappa, arch) for piece in pieces)
    inside = [point for point in found.special_points if grid[0] <= point.value <= grid[-1]]
    special = tuple(SpecialPoint(p.type, p.value, p.interval, _names(p, found, pieces)) for p in inside)
    counts = index_sums([branch.kernel for branch in scanned], grid, kappa, arch)
    return EndpointScan(T, arch, kappa, grid, scanned, special, counts, found.status)


def _pieces(found: Diagram) -> list[_Piece]:
    """Named pieces, the incoherent branch first."""
    order = sorted(range(len(found.branches)), key=lambda k: found.branches[k].track.period != 0)
    pieces = []
    coherent = 0
    for place in order:
        branch = found.branches[place]
        if branch.track.period:
            coherent += 1
        base = f"coherent-{coherent}" if branch.track.period else "incoherent"
        spans = monotonic_pieces(branch)
        names = [base] if len(spans) == 1 else [f"{base}{chr(ord('a') + k)}" for k in range(len(spans))]
        pieces += [_Piece(name, place, branch, *span) for name, span in zip(names, spans, strict=True)]
    return pieces


def _overlaps(piece: _Piece, grid: FloatArray) -> bool:
    low, high = piece.bounds
    return high >= math.log(grid[0]) and low <= math.log(grid[-1])


def _names(point: DiagramPoint, found: Diagram, pieces: Sequence[_Piece]) -> tuple[str, ...]:
    """Names of the pieces that meet at a special point."""
    theta = math.log(point.value)
    stable = {(p.number, p.branch.theta[k]) for p in found.stable_pieces for k in range(p.first, p.last + 1)}
    names = []
    for place in point.branches:
        here = [p for p in pieces if p.number == place and p.bounds[0] - 1e-9 <= theta <= p.bounds[1] + 1e-9]
        if point.type == "equal-free-energy":
            here = [p for p in here if any((place, t) in stable for t in p.branch.theta[p.first + 1 : p.last])]
        # of a branch that begins or turns there, the pieces that do; one that runs through, as it is
        ending = [p for p in here if min(abs(theta - bound) for bound in p.bounds) < 1e-9]
        names += [p.name for p in (ending or here) if p.name not in names]
    return tuple(names)


def _on_grid(piece: _Piece, grid: FloatArray, kappa: float, arch: str) -> BranchScan:
    n = piece.branch.track.family.problem.n
    goal = np.log(grid)
    low, high = piece.bounds
    inside = np.flatnonzero((goal >= low) & (goal <= high))
    kernel = np.full((grid.size, n, n), np.nan)
    free_energy, smallest, residual = (np.full(grid.size, np.nan) for _ in range(3))
    if inside.size:
        states = _states(piece, grid[inside], kappa, arch)
        kernel[inside], free_energy[inside] = states.kernel, states.free_energy
        smallest[inside], residual[inside] = states.hessian_smallest, states.residual
    negative = kernel[:, -1, -2] < 0
    flip = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    kernel[negative] *= flip[:, None] * flip
    lag = piece.branch.track.period
    return BranchScan(piece.name, lag, kernel, kernel[:, -1, -2], free_energy, smallest, residual)


def _states(piece: _Piece, signal: FloatArray, kappa: float, arch: str) -> chain.ChainStates:
    """Polished states of a piece at signals inside it."""
    starts = np.array([_interpolated(piece, theta) for theta in np.log(signal)])
    n = starts.shape[1]
    if piece.branch.track.period == 0:
        s = np.log(np.maximum(starts[:, 0, 0] - 1.0, 1e-300))
        return _incoherent_states(n, s, signal, kappa, arch)
    L = np.asarray(np.linalg.cholesky(starts))
    states = chain.newton(L, signal, kappa)
    size = np.sqrt(np.diagonal(starts, axis1=1, axis2=2))
    with np.errstate(invalid="ignore"):
        change = (np.abs(states.kernel - starts) / (size[:, :, None] * size[:, None])).max(axis=(1, 2))
    lost = np.flatnonzero(~(change < SAME))
    if not lost.size:
        return states
    # next to folds and pitchforks the kernel is no smooth function of the signal: by arclength there
    known = np.zeros(len(signal), dtype=bool)
    for k in lost:
        theta = math.log(signal[k])
        state = piece.branch.state_at(_place(piece, theta), theta)
        known[k] = state is not None
        L[k] = L[k] if state is None else state.L
    again = chain.newton(L[lost], signal[lost], kappa)
    hide = np.where(known[lost], 1.0, np.nan)
    merged = {}
    for name in ("kernel", "free_energy", "energy", "entropy", "residual", "converged", "hessian_smallest"):
        whole, part = np.array(getattr(states, name)), getattr(again, name)
        shape = (-1,) + (1,) * (part.ndim - 1)
        whole[lost] = part & known[lost] if part.dtype == bool else part * hide.reshape(shape)
        merged[name] = whole
    return replace(states, **merged)


def _place(piece: _Piece, theta: float) -> int:
    """The step of the branch that reaches ``ln λ = theta`` on this piece."""
    values = piece.branch.theta[piece.first : piece.last + 1]
    steps = np.flatnonzero((values[:-1] - theta) * (values[1:] - theta) <= 0)
    return piece.first + int(steps[0])


def _interpolated(piece: _Piece, theta: float) -> FloatArray:
    """A kernel on the geodesic between the two points around ``ln λ = theta``."""
    first, second = (piece.branch.points[k] for k in (_place(piece, theta), _place(piece, theta) + 1))
    weight = (theta - first.theta) / (second.theta - first.theta)
    return between(first.state, second.state, weight)


def _incoherent_states(n: int, s: FloatArray, signal: FloatArray, kappa: float, arch: str) -> chain.ChainStates:
    """``H = diag(r^t)`` with ``r = 1 + exp(s)`` polished on ``λ = (r-1)(rⁿ+κ)²/rⁿ``; the DNN's Hessian is diagonal in
    correlations (1 each, convex) and that of the diagonal entries is shared with the RNN."""
    for _ in range(POLISHED):
        r = branches.growth_ratio(n, s, np.log(signal), kappa)
        s = np.log(np.maximum(r - 1.0, 1e-300))
    L = np.zeros((len(s), n, n))
    times = np.arange(n)
    L[:, times, times] = r[:, None] ** ((times + 1) / 2)
    states = chain.evaluate(L, signal, kappa)
    if arch == "rnn":
        return states
    return chain.masked(states, L, signal, kappa)


def _checked(signals: ArrayLike, kappa: float, arch: str) -> FloatArray:
    if arch not in ARCHITECTURES:
        raise InputError(f"arch: is {arch!r}; accepted: {' or '.join(ARCHITECTURES)}")
    if not (math.isfinite(kappa) and kappa >= 0):
        raise InputError(f"kappa: is {kappa:g}; accepted: a finite number ≥ 0")
    grid = real_array(signals, "signals")
    if grid.ndim != 1 or grid.size == 0:
        raise InputError(f"signals: have shape {grid.shape}; accepted: a list of numbers")
    if not (np.isfinite(grid).all() and grid[0] > 0 and np.all(np.diff(grid) > 0)):
        raise InputError("signals: are not positive and increasing; accepted: positive, increasing, finite numbers")
    return grid
