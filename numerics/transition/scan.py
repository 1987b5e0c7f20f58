"""Every branch of endpoint supervision along the signal, with its special points (THEORY.md section 5).

Branches are found by bifurcation: from the incoherent branch at each lag's pitchfork, from coherent branches where
the orientation of their tangent frame changes, and from states found by `numerics.solve_all` that lie on none of
those. Points on the grid are Newton-polished; special points are bracketed and bisected on polished points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from numerics import problem
from numerics.display import Facts, Shown, number
from numerics.plotting import Drawn
from numerics.problem import ARCHITECTURES, InputError
from numerics.saddle import search as saddle
from numerics.storage import Stored
from numerics.transition import branches, chain
from numerics.transition.branches import Curve

FloatArray = NDArray[np.float64]
PointType = Literal["pitchfork", "fold", "equal-free-energy"]

#: Branches of branches are followed this deep, and no more than so many in all.
DEEPEST, MOST = 3, 40
#: Bracket to which special points are bisected, relative to the signal.
BRACKET = 1e-12


@dataclass(frozen=True, eq=False)
class SpecialPoint:
    """A pitchfork, a fold, or a crossing of free energies of two stable states.

    Attributes:
        type: ``"pitchfork"``, ``"fold"`` or ``"equal-free-energy"``.
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
        lag: time lag whose correlations begin the branch; 0 for the incoherent one, -1 if it begins at no pitchfork.
        kernel: ``H``, (L, n, n).
        order_parameter: ``H^{T-1,T-2}``, (L,).
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
class EndpointScan(Shown, Drawn, Stored):
    """Branches on a grid of signals (L,), in the order in which they were found, and special points by signal."""

    T: int
    arch: str
    kappa: float
    signal: FloatArray
    branches: tuple[BranchScan, ...]
    special_points: tuple[SpecialPoint, ...]

    def facts(self) -> Facts:
        """What was scanned, its branches and special points."""
        return (
            ("problem", f"{self.arch.upper()}, T = {self.T}, κ = {self.kappa:g}"),
            ("signals", f"{len(self.signal)}, from {number(self.signal[0])} to {number(self.signal[-1])}"),
            ("branches", ", ".join(branch.name for branch in self.branches)),
            *((point.type, number(point.signal)) for point in self.special_points),
        )


@dataclass(frozen=True, eq=False)
class _Piece:
    """A stretch of a curve on which the signal is monotonic."""

    name: str
    curve: Curve
    first: int
    last: int


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
    grid = _checked(T, signals, kappa, arch)
    curves: tuple[Curve, ...] = (branches.incoherent_curve(T - 1),)
    if arch == "rnn":
        curves += all_curves(T - 1, 10.0 ** math.ceil(math.log10(1.05 * grid[-1])))
    pieces = [piece for number, curve in enumerate(curves) for piece in _pieces(curve, number, kappa)]
    pieces = _distinct([piece for piece in pieces if _overlaps(piece, grid, kappa)], kappa, arch)
    scanned = tuple(_on_grid(piece, grid, kappa, arch) for piece in pieces)
    special: list[SpecialPoint] = []
    for point in sorted(_special(pieces, grid, kappa, arch), key=lambda p: p.interval[1] - p.interval[0]):
        # one point may be seen from several branches: the narrowest interval stays
        seen = any(p.type == point.type and abs(p.signal - point.signal) < 1e-9 * p.signal for p in special)
        if grid[0] <= point.signal <= grid[-1] and not seen:
            special.append(point)
    return EndpointScan(T, arch, kappa, grid, scanned, tuple(sorted(special, key=lambda p: p.signal)))


@lru_cache(maxsize=16)
def all_curves(n: int, largest_signal: float) -> tuple[Curve, ...]:
    """Every coherent branch found by bifurcation for n hidden times, up to a signal at κ = 0."""
    found: list[Curve] = []
    _follow([branches.coherent_curve(n, lag, largest_signal) for lag in range(1, n - 1)], found, largest_signal)
    if n > 3:  # at T = 4 elimination leaves this one branch
        _follow(_through_states_found(n, largest_signal), found, largest_signal)
    return tuple(found)


def _follow(queue: list[Curve], found: list[Curve], largest_signal: float) -> None:
    """Add to ``found`` the curves that are new, and those that cross them."""
    while queue and len(found) < MOST:
        curve = queue.pop(0)
        if any(_same_branch(curve, other) for other in found):
            continue
        found.append(curve)
        if curve.depth < DEEPEST:
            depth = max(curve.depth, 1) + 1
            for start, tangents in crossings(curve):
                for tangent in tangents:
                    queue.append(branches.trace(curve.n, curve.lag, start, tangent, largest_signal, depth=depth))


def _through_states_found(n: int, largest_signal: float) -> list[Curve]:
    """Branches through stationary states that a search finds at a few signals, without noise."""
    curves = []
    for signal in np.geomspace(1.0, largest_signal, 3)[1:]:
        for state in saddle.solve_all(problem.endpoint(n + 1, float(signal), kappa=0.0)):
            if state.branch == "coherent" and state.converged:
                L = np.asarray(np.linalg.cholesky(state.kernel))
                log_mu = math.log(signal) - 2 * math.log(state.kernel[-1, -1])
                curves.append(branches.trace_through(L, log_mu, largest_signal))
    return curves


def crossings(curve: Curve) -> list[tuple[FloatArray, list[FloatArray]]]:
    """Points of a curve where another branch crosses, with the other branch's unit tangents, both ways."""
    points = []
    path, n = curve.path, curve.n
    changes = np.flatnonzero(curve.orientation[1:-1] * curve.orientation[2:] < 0) + 1
    for k in changes:
        low, high = 0.0, float(curve.s[k + 1] - curve.s[k])
        z = path[k]
        for _ in range(50):
            middle = 0.5 * (low + high)
            accepted = branches.arclength_step(n, path[k], curve.tangents[k], middle)
            if accepted is None:
                break
            z = accepted[0]
            low, high = (middle, high) if accepted[2] == curve.orientation[k] else (low, middle)
        _, jacobian, _ = branches.equations(z, n)
        null = np.linalg.svd(jacobian)[2][-2:]
        along = curve.tangents[k] @ null.T
        across = np.array([-along[1], along[0]]) @ null
        across /= np.linalg.norm(across)
        points.append((z, [across, -across]))
    return points


def _same_branch(curve: Curve, other: Curve) -> bool:
    """Whether points all along a curve lie on another one, up to the signs that states are defined to."""
    count = len(curve.s)
    return all(_on_branch(curve.kernels[count * k // 6], other) for k in (3, 2, 4, 1, 5))


def _on_branch(H: FloatArray, other: Curve) -> bool:
    n = other.n
    rows, columns = np.triu_indices(n)
    size = np.sqrt(np.diagonal(other.kernels, axis1=1, axis2=2))
    scale = np.sqrt(np.diagonal(H)[rows] * np.diagonal(H)[columns])[:, None]
    for k in range(n):
        flip = np.ones(n) if k == 0 else np.where(np.arange(n) // k % 2 == 0, 1.0, -1.0)
        turned = flip[:, None] * H * flip
        difference = np.abs(turned - other.kernels) / (size[:, :, None] * size[:, None])
        distance = difference.max(axis=(1, 2))
        nearest = int(distance.argmin())
        if distance[nearest] > 0.15:
            continue
        # close to a traced point: compare with the branch between its neighbours
        fine = np.linspace(other.s[max(nearest - 1, 0)], other.s[min(nearest + 1, len(other.s) - 1)], 200)
        gap = np.abs(branches.interpolate(other).kernels(fine) - turned[rows, columns][:, None])
        if (gap / scale).max(axis=0).min() < 2e-3:
            return True
    return False


def _pieces(curve: Curve, number: int, kappa: float) -> list[_Piece]:
    levels = curve.log_signal(kappa)
    turns = np.flatnonzero(np.diff(np.sign(np.diff(levels))) != 0) + 1
    ends = [0, *turns.tolist(), len(levels) - 1]
    base = "incoherent" if number == 0 else f"coherent-{number}"
    spans = list(pairwise(ends))
    names = [base] if len(spans) == 1 else [f"{base}{letter}" for letter in "abcdefghijklmnop"[: len(spans)]]
    return [_Piece(name, curve, first, last) for name, (first, last) in zip(names, spans, strict=False)]


def _overlaps(piece: _Piece, grid: FloatArray, kappa: float) -> bool:
    levels = piece.curve.log_signal(kappa)[[piece.first, piece.last]]
    return bool(levels.max() >= math.log(grid[0]) and levels.min() <= math.log(grid[-1]))


def _distinct(pieces: Sequence[_Piece], kappa: float, arch: str) -> list[_Piece]:
    """Without the mirror images that a branch traced through a pitchfork contains."""
    kept: list[_Piece] = []
    for piece in pieces:
        levels = piece.curve.log_signal(kappa)[[piece.first, piece.last]]
        middle = np.exp(levels.mean(keepdims=True))
        state = _states(piece, middle, kappa, arch)
        for other in kept:
            theirs = other.curve.log_signal(kappa)[[other.first, other.last]]
            if theirs.min() <= levels.mean() <= theirs.max():
                same = _states(other, middle, kappa, arch)
                equal = abs(same.free_energy[0] - state.free_energy[0]) < 1e-10 * (1 + abs(state.free_energy[0]))
                if equal and np.allclose(np.abs(same.kernel), np.abs(state.kernel), rtol=1e-6, atol=1e-6):
                    break
        else:
            kept.append(piece)
    return kept


def _on_grid(piece: _Piece, grid: FloatArray, kappa: float, arch: str) -> BranchScan:
    n, curve = piece.curve.n, piece.curve
    levels = curve.log_signal(kappa)[piece.first : piece.last + 1]
    goal = np.log(grid)
    inside = np.flatnonzero((goal >= levels.min()) & (goal <= levels.max()))
    kernel = np.full((grid.size, n, n), np.nan)
    free_energy, smallest, residual = (np.full(grid.size, np.nan) for _ in range(3))
    if inside.size:
        states = _states(piece, grid[inside], kappa, arch)
        kernel[inside], free_energy[inside] = states.kernel, states.free_energy
        smallest[inside], residual[inside] = states.hessian_smallest, states.residual
    sign = np.where(kernel[:, -1, -2] < 0, -1.0, 1.0)
    return BranchScan(piece.name, curve.lag, kernel, sign * kernel[:, -1, -2], free_energy, smallest, residual)


def _states(piece: _Piece, signal: FloatArray, kappa: float, arch: str) -> chain.ChainStates:
    """Polished states of a piece at signals inside it."""
    s = branches.crossing(branches.interpolate(piece.curve), piece.first, piece.last, np.log(signal), kappa)
    if piece.curve.lag == 0:
        return _incoherent_states(piece.curve.n, s, signal, kappa, arch)
    entries = branches.interpolate(piece.curve).kernels(s)
    n = piece.curve.n
    rows, columns = np.triu_indices(n)
    H = np.empty((len(signal), n, n))
    H[:, rows, columns] = H[:, columns, rows] = entries.T
    states = chain.newton(np.asarray(np.linalg.cholesky(H)), signal, kappa)
    # interpolation is good to 1e-3: a larger change means that Newton went to another branch
    size = np.sqrt(np.diagonal(H, axis1=1, axis2=2))
    with np.errstate(invalid="ignore"):
        kept = (np.abs(states.kernel - H) / (size[:, :, None] * size[:, None])).max(axis=(1, 2)) < 0.02
    hide = np.where(kept, 1.0, np.nan)
    return replace(
        states,
        kernel=states.kernel * hide[:, None, None],
        free_energy=states.free_energy * hide,
        hessian_smallest=states.hessian_smallest * hide,
    )


def _incoherent_states(n: int, s: FloatArray, signal: FloatArray, kappa: float, arch: str) -> chain.ChainStates:
    """``H = diag(r^t)`` with ``r = 1 + exp(s)`` polished on ``λ = (r-1)(rⁿ+κ)²/rⁿ``; the DNN's Hessian is diagonal in
    correlations (1 each, convex) and that of the diagonal entries is shared with the RNN."""
    r = branches.growth_ratio(n, s, np.log(signal), kappa)
    L = np.zeros((len(s), n, n))
    times = np.arange(n)
    L[:, times, times] = r[:, None] ** ((times + 1) / 2)
    states = chain.evaluate(L, signal, kappa)
    if arch == "rnn":
        return states
    return chain.masked(states, L, signal, kappa)


def _special(pieces: Sequence[_Piece], grid: FloatArray, kappa: float, arch: str) -> list[SpecialPoint]:
    points: list[SpecialPoint] = []
    for piece in pieces:
        points += _folds(piece, pieces, kappa)
    if arch == "rnn":
        points += _pitchforks(pieces, kappa)
    boundaries = [point.signal for point in points]
    for i, first in enumerate(pieces):
        for j in range(i):
            points += _equal_free_energy(first, pieces[j], boundaries, grid, kappa, arch)
    return points


def _pitchforks(pieces: Sequence[_Piece], kappa: float) -> list[SpecialPoint]:
    """Where branches begin: on the incoherent one by its Hessian's sign, elsewhere by the tangent frame's."""
    points, seen = [], set()
    for piece in pieces:
        if piece.curve.depth < 1 or piece.first != 0 or id(piece.curve) in seen:
            continue
        seen.add(id(piece.curve))
        n = piece.curve.n
        if piece.curve.depth == 1:
            m = n - piece.curve.lag
            low, high = _bisect_incoherent(n, piece.curve.lag, m)
            ends = [(r - 1) * (r**n + kappa) ** 2 / r**n for r in (low, high)]
            origin = "incoherent"
        else:
            level = math.exp(branches.log_signal_at(piece.curve.path[0], n, kappa))
            ends = [level * (1 - BRACKET), level * (1 + BRACKET)]
            origin = "coherent"
        low_signal, high_signal = min(ends), max(ends)
        points.append(
            SpecialPoint("pitchfork", 0.5 * (low_signal + high_signal), (low_signal, high_signal), (origin, piece.name))
        )
    return points


def _bisect_incoherent(n: int, lag: int, m: int) -> tuple[float, float]:
    """Bracket of r where the Hessian of the incoherent branch, restricted to ``lag``, becomes singular."""
    basis = np.zeros((m, n, n))
    t = np.arange(m)
    basis[t, t, t + lag] = basis[t, t + lag, t] = math.sqrt(0.5)

    def smallest(r: float) -> float:
        L = np.diag(r ** (np.arange(1, n + 1) / 2))[None]
        here = chain.chain(L)
        curved = here.curvature(basis[None])[0]
        return float(np.linalg.eigvalsh(np.einsum("kab,lab->kl", basis, curved))[0])

    r = m / (m - 1)
    low, high = 1 + 0.9 * (r - 1), 1 + 1.1 * (r - 1)
    return _bracket(smallest, low, high)


def _bracket(function: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """The root of a function as a bracket of relative width ``BRACKET`` in which it is seen to change sign."""
    size = max(abs(low), abs(high))
    if function(low) * function(high) > 0:
        raise ArithmeticError("the sign is the same at both ends")
    root = float(brentq(function, low, high, xtol=1e-15 * size, rtol=1e-14))
    width = BRACKET * size
    for _ in range(40):
        a, b = max(low, root - 0.5 * width), min(high, root + 0.5 * width)
        if function(a) * function(b) <= 0:
            return a, b
        width *= 2
    raise ArithmeticError("the sign does not change around the root")


def _folds(piece: _Piece, pieces: Sequence[_Piece], kappa: float) -> list[SpecialPoint]:
    """The turn of the signal at the piece's end, if there is one: a fold, or a pitchfork seen from its arm."""
    curve, n = piece.curve, piece.curve.n
    if piece.last == len(curve.s) - 1:
        return []
    names = tuple(p.name for p in pieces if p.curve is curve and piece.last in (p.first, p.last))
    if curve.lag == 0:

        def slope(r: float) -> float:
            return 1 / (r - 1) + 2 * n * r ** (n - 1) / (r**n + kappa) - n / r

        low, high = (1 + math.exp(curve.s[piece.last + k]) for k in (-1, 1))
        ends = [(r - 1) * (r**n + kappa) ** 2 / r**n for r in _bracket(slope, low, high)]
        return [SpecialPoint("fold", sum(ends) / 2, _widened(ends), names)]
    try:
        ends, L = _turn(curve, piece.last, kappa)
    except ArithmeticError:
        # where branches cross, the corrector's matrix is singular: what the traced points say is left
        near = piece.last
        levels = np.exp(curve.log_signal(kappa)[near - 1 : near + 2])
        ends, L = (
            [float(levels[1]), float(2 * levels[1] - (levels[0] + levels[2]) / 2)],
            branches.factors(curve.path[near][:-1], n),
        )
    mirror = _gains_symmetry(L, curve)
    return [SpecialPoint("pitchfork" if mirror else "fold", sum(ends) / len(ends), _widened(ends), names)]


def _widened(ends: Sequence[float]) -> tuple[float, float]:
    """An interval around values that hold the point up to rounding."""
    return float(min(ends)) * (1 - BRACKET), float(max(ends)) * (1 + BRACKET)


def _turn(curve: Curve, index: int, kappa: float) -> tuple[list[float], FloatArray]:
    """Signals around the turn next to a traced point, from a bracket of ``d ln λ/ds = 0``, and the kernel's factor
    there.

    Raises:
        ArithmeticError: the corrector does not converge.
    """
    n = curve.n
    near, far = _around_turn(curve, index, kappa)
    z, tangent = curve.path[near], curve.tangents[near]

    def at(step: float) -> tuple[FloatArray, FloatArray]:
        accepted = branches.arclength_step(n, z, tangent, step)
        if accepted is None:
            raise ArithmeticError(f"the branch is lost at arclength {curve.s[near]:.3g}")
        return accepted[0], accepted[1]

    def rate(step: float) -> float:
        return _signal_rate(*at(step), n, kappa)

    rates = abs(_rate(curve, near, kappa)), abs(_rate(curve, far, kappa))
    width = float(curve.s[far] - curve.s[near])
    fraction = 1.5 * rates[0] / (rates[0] + rates[1])
    while fraction < 1.0 and rate(width * fraction) * rate(0.0) > 0:
        fraction *= 1.5
    a, b = _bracket(rate, *sorted((0.0, width * min(1.0, fraction))))
    points = [at(step)[0] for step in (a, 0.5 * (a + b), b)]
    return [math.exp(branches.log_signal_at(p, n, kappa)) for p in points], branches.factors(points[1][:-1], n)


def _around_turn(curve: Curve, turn: int, kappa: float) -> tuple[int, int]:
    """The two traced points between which the signal turns, the one closer to the turn first."""
    other = turn + 1 if _rate(curve, turn, kappa) * _rate(curve, turn + 1, kappa) <= 0 else turn - 1
    ordered = sorted((turn, other), key=lambda k: abs(_rate(curve, k, kappa)))
    return ordered[0], ordered[1]


def _gains_symmetry(L: FloatArray, curve: Curve) -> bool:
    """Whether a sign reversal leaves this kernel as it is, but not the branch's others."""
    n = len(L)
    for k in range(1, n):
        flip = np.where(np.arange(n) // k % 2 == 0, 1.0, -1.0)
        sizes = []
        for H in (L @ L.T, curve.kernels[len(curve.s) // 4]):
            scale = np.sqrt(np.outer(np.diagonal(H), np.diagonal(H)))
            sizes.append(float((np.abs(flip[:, None] * H * flip - H) / scale).max()))
        if sizes[0] < 0.05 * sizes[1] and sizes[1] > 1e-3:
            return True
    return False


def _rate(curve: Curve, k: int, kappa: float) -> float:
    return _signal_rate(curve.path[k], curve.tangents[k], curve.n, kappa)


def _signal_rate(point: FloatArray, tangent: FloatArray, n: int, kappa: float) -> float:
    """``d ln λ/ds`` along a branch."""
    L = branches.factors(point[:-1], n)
    change = float(branches.last_change(point, n) @ tangent[:-1])
    return float(tangent[-1]) + 2 * change / (float(L[-1] @ L[-1]) + kappa)


def _equal_free_energy(
    first: _Piece, second: _Piece, boundaries: Sequence[float], grid: FloatArray, kappa: float, arch: str
) -> list[SpecialPoint]:
    """Crossings of the free energies of two pieces where both are stable; stability changes only at ``boundaries``."""
    levels = [piece.curve.log_signal(kappa)[[piece.first, piece.last]] for piece in (first, second)]
    low = max(math.log(grid[0]), *(level.min() for level in levels))
    high = min(math.log(grid[-1]), *(level.max() for level in levels))
    if not high > low + 1e-9:
        return []
    ends = [low, *sorted(math.log(b) for b in boundaries if low < math.log(b) < high), high]
    stretches = [np.linspace(a + 1e-6 * (b - a), b - 1e-6 * (b - a), 24) for a, b in pairwise(ends) if b > a + 1e-9]
    samples = np.exp(np.concatenate(stretches))
    pair = [_states(piece, samples, kappa, arch) for piece in (first, second)]
    difference = pair[0].free_energy - pair[1].free_energy
    stable = (pair[0].hessian_smallest > 0) & (pair[1].hessian_smallest > 0)
    # equal up to rounding is the same state
    sure = np.abs(difference) > 1e-12 * (1.0 + np.abs(pair[0].free_energy))
    stable &= sure
    points = []
    for k in np.flatnonzero((difference[:-1] * difference[1:] < 0) & stable[:-1] & stable[1:]):

        def gap(signal: float) -> float:
            at = np.array([signal])
            return float(
                _states(first, at, kappa, arch).free_energy[0] - _states(second, at, kappa, arch).free_energy[0]
            )

        interval = _bracket(gap, float(samples[k]), float(samples[k + 1]))
        points.append(SpecialPoint("equal-free-energy", sum(interval) / 2, interval, (second.name, first.name)))
    return points


def _checked(T: int, signals: ArrayLike, kappa: float, arch: str) -> FloatArray:
    if isinstance(T, bool) or not isinstance(T, int) or not 3 <= T <= 12:
        raise InputError(f"T: is {T}; accepted: an integer from 3 to 12")
    if arch not in ARCHITECTURES:
        raise InputError(f"arch: is {arch!r}; accepted: {' or '.join(ARCHITECTURES)}")
    if not (math.isfinite(kappa) and kappa >= 0):
        raise InputError(f"kappa: is {kappa:g}; accepted: a finite number ≥ 0")
    grid = np.asarray(signals)
    if grid.dtype.kind not in "fiu" or grid.ndim != 1 or grid.size == 0:
        raise InputError(f"signals: have shape {grid.shape} and dtype {grid.dtype}; accepted: a list of numbers")
    grid = grid.astype(np.float64)
    if not (np.isfinite(grid).all() and grid[0] > 0 and np.all(np.diff(grid) > 0)):
        raise InputError("signals: are not positive and increasing; accepted: positive, increasing, finite numbers")
    return grid
