"""States of endpoint supervision at any signals and noises: where the branches, interpolated, cross them.

Branches are those of ``endpoint_task.branches``, as splines of ``ln μ``, ``ln H^{nn}`` and the kernel's factor: a state
at (λ, κ) is a crossing of ``ln λ = ln μ(s) + 2 ln(H^{nn}(s) + κ)``, and a good start for Newton at these parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from numerics.endpoint_task.branches import (
    Curve,
    coherent_curve,
    coherent_entries,
    coordinates,
    diagonal_curve,
    traced_curve,
)
from numerics.linalg import FloatArray


@dataclass(frozen=True, eq=False)
class CurveSpline:
    """Smooth interpolation of a curve: its signal, its free energy, and the kernel through its Cholesky factor."""

    curve: Curve
    _levels: CubicSpline
    _coordinates: CubicSpline
    _entropy: CubicSpline

    def free_energy(self, s: FloatArray, signal: FloatArray, kappa: FloatArray) -> FloatArray:
        """F of the states at given (λ, κ), all (B,). It is stationary along the curve: an error of s does not count."""
        if self.curve.lag == 0:
            rise, n = np.exp(s), self.curve.n
            entropy, last = 0.5 * n * (rise - np.log1p(rise)), (1.0 + rise) ** n
        else:
            entropy, last = self._entropy(s), np.exp(self._levels(s)[:, 1])
        return np.asarray(entropy + 0.5 * signal / (last + kappa))

    def log_signal(self, s: FloatArray, kappa: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        """``ln λ`` at κ and its derivative in s."""
        return _log_signal(self._levels(s).T, self._levels(s, 1).T, kappa)

    @cached_property
    def node_slopes(self) -> FloatArray:
        """Slopes of ``ln μ`` and ``ln H^{nn}`` at the traced points, (2, G); at a pitchfork, those just beyond it."""
        slopes = self._levels(self.curve.s, 1).T
        if self.curve.mirrored:
            slopes[:, 0] = self._levels(0.0, 2)
        return np.asarray(slopes)

    def cubics(self, interval: NDArray[np.intp]) -> FloatArray:
        """Coefficients of ``ln μ`` and ``ln H^{nn}`` on intervals of the curve, highest power first, (4, 2, B)."""
        beyond = len(self._levels.x) - len(self.curve.s)
        return np.ascontiguousarray(np.moveaxis(self._levels.c.take(beyond + interval, axis=1), 2, 1))

    def kernels(self, s: FloatArray) -> FloatArray:
        """Independent entries of ``H(s)``, row by row, (n(n+1)/2, B)."""
        n = self.curve.n
        # the factors' rows, entries first
        z = np.ascontiguousarray(self._coordinates(s).T)
        diagonal, L = np.exp(z[:n]), np.zeros((n, n, len(s)))
        rows, columns = np.tril_indices(n, -1)
        L[np.arange(n), np.arange(n)], L[rows, columns] = diagonal, np.sinh(z[n:]) * diagonal[rows]
        return np.array([(L[i, : i + 1] * L[j, : i + 1]).sum(axis=0) for i, j in zip(*np.triu_indices(n), strict=True)])


def _log_signal(levels: FloatArray, slopes: FloatArray, kappa: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """``ln λ`` and its derivative, from ``ln μ`` and ``ln H^{nn}``, (2, B), and theirs."""
    h = np.exp(levels[1])
    total = h + kappa
    return levels[0] + 2 * np.log(total), slopes[0] + 2 * h / total * slopes[1]


@lru_cache(maxsize=256)
def interpolate(curve: Curve) -> CurveSpline:
    """Splines of ``ln μ`` and ``ln H^{nn}``, and of the factor's ``coordinates``."""
    n = curve.n
    rows, columns = np.tril_indices(n, -1)
    levels = np.column_stack([curve.log_mu, np.log(curve.kernels[:, -1, -1])])
    entropy = curve.entropy
    z = coordinates(np.asarray(np.linalg.cholesky(curve.kernels)))
    s = curve.s
    if curve.mirrored:
        # the lower sign of the same branch continues it to s < 0: reversed signs at odd multiples of the lag
        flips = np.where(np.arange(n) // curve.lag % 2 == 0, 1.0, -1.0)
        signs = np.concatenate([np.ones(n), flips[rows] * flips[columns]])
        s = np.concatenate([-s[:0:-1], s])
        levels = np.concatenate([levels[:0:-1], levels])
        entropy = np.concatenate([entropy[:0:-1], entropy])
        z = np.concatenate([z[:0:-1] * signs, z])
    return CurveSpline(curve, CubicSpline(s, levels), CubicSpline(s, z), CubicSpline(s, entropy))


@lru_cache(maxsize=64)
def spline(n: int, lag: int) -> CurveSpline:
    """The interpolated branch of ``lag`` (0: incoherent) for n hidden times."""
    if lag == 0:
        return interpolate(diagonal_curve(n))
    return interpolate(coherent_curve() if (n, lag) == (3, 1) else traced_curve(n, lag))


def states(branch: CurveSpline, signal: FloatArray, kappa: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Kernels of one branch at each (λ, κ), to the accuracy of the interpolation, and where there is one.

    Of several crossings at the same parameters, that of lowest free energy is taken.

    Args:
        branch: from ``spline``.
        signal, kappa: (B,), in units u = v = w = 1.

    Returns:
        Independent entries of the kernels (n(n+1)/2, B), those of 1 where there is no state, and a mask (B,).
    """
    n = branch.curve.n
    with np.errstate(divide="ignore"):
        goal = np.log(signal)
    noises = np.unique(kappa)
    if noises.size == 1:
        s = _lowest_crossing(branch, goal, kappa, float(noises[0]))
    elif noises.size <= 64:
        s = np.full(signal.shape, np.nan)
        for noise in noises:
            group = np.flatnonzero(kappa == noise)
            s[group] = _lowest_crossing(branch, goal[group], kappa[group], float(noise))
    else:
        s = _lowest_crossing(branch, goal, kappa, None)
    if branch.curve.lag == 0:
        # weaker than any traced: r - 1 = λ/(1+κ)² to first order
        weak = ~np.isfinite(s) & np.isfinite(goal) & (goal < 2 * np.log1p(kappa) + branch.curve.s[0] + 1.0)
        s = np.where(weak, goal - 2 * np.log1p(kappa), s)
    exists = np.isfinite(s)
    s = np.where(exists, s, branch.curve.s[0])
    rows, columns = np.triu_indices(n)
    if branch.curve.lag == 0:
        entries = np.zeros((len(rows), s.size))
        with np.errstate(divide="ignore", invalid="ignore"):
            r = growth_ratio(n, s, goal, kappa)
        entries[rows == columns] = _powers(n, r)
    elif branch.curve.exact:
        entries = coherent_entries(coherent_excess(s, goal, kappa))
    else:
        entries = branch.kernels(s)
    if not exists.all():
        entries[:, ~exists] = np.where(rows == columns, 1.0, 0.0)[:, None]
        if branch.curve.lag == 0:
            exists |= signal == 0  # H = 1 there
    return entries, exists


def growth_ratio(n: int, s: FloatArray, goal: FloatArray, kappa: FloatArray | float) -> FloatArray:
    """``r = 1 + exp(s)`` polished on ``ln[(r-1)(rⁿ+κ)²/rⁿ] = goal``: Newton in s from interpolated ones."""
    for _ in range(2):
        rise = np.exp(s)
        r = 1.0 + rise
        power = _powers(n, r)[-1]
        value = s + 2 * np.log(power + kappa) - n * np.log1p(rise) - goal
        s = s - value / (1.0 + rise * n / r * (2 * power / (power + kappa) - 1))
    return np.asarray(1.0 + np.exp(s))


def coherent_excess(s: FloatArray, goal: FloatArray, kappa: FloatArray | float) -> FloatArray:
    """``x = s²`` at T = 4, polished on ``ln[(4(x+2)(x+1)²+κ)²/(4(x+2)(x+1))] = goal`` where it is close: Newton."""
    x = s * s
    for _ in range(2):
        first, rise = x + 2, x + 1
        product = 4 * first * rise
        total = product * rise + kappa
        with np.errstate(divide="ignore", invalid="ignore"):
            change = 2 * np.log(total) - np.log(product) - goal
            change /= (4 * product + 8 * rise * rise) / total - (first + rise) / (first * rise)
        # not at a fold, nor where there is no state
        x = np.where(np.abs(change) < 1e-3 * rise, np.maximum(x - change, 0.0), x)
    return x


def _powers(n: int, r: FloatArray) -> list[FloatArray]:
    """``r, r², …, rⁿ`` as products, which take less time than NumPy's powers."""
    powers = [r]
    while len(powers) < n:
        powers.append(powers[-1] * r)
    return powers


def _lowest_crossing(spline: CurveSpline, goal: FloatArray, kappa: FloatArray, noise: float | None) -> FloatArray:
    """``s`` with ``ln λ(s; κ) = goal`` and lowest F, NaN where there is none."""
    best, lowest = np.full(goal.shape, np.nan), np.full(goal.shape, np.inf)
    curve = spline.curve
    if noise is not None:
        levels = curve.log_signal(noise)
        turns = np.flatnonzero(np.diff(np.sign(np.diff(levels))) != 0) + 1
        folds = _with_fold(spline, noise)
        if not folds.size and not turns.size and levels[-1] > levels[0]:  # one state at most: nothing to choose between
            inside = (goal >= levels[0]) & (goal <= levels[-1])
            interval = np.clip(np.searchsorted(levels, goal) - 1, 0, len(levels) - 2)
            if inside.all():
                return _solve_interval(spline, goal, kappa, interval, roughly=curve.exact)
            own = goal[inside], kappa[inside], interval[inside]
            best[inside] = _solve_interval(spline, *own, roughly=curve.exact)
            return best
        for index in folds:
            _improve_at_fold(spline, goal, kappa, int(index), best, lowest)
        for first, last in zip([0, *turns], [*turns, len(levels) - 1], strict=True):
            piece = levels[first : last + 1]
            order = np.arange(first, last + 1) if piece[-1] > piece[0] else np.arange(last, first - 1, -1)
            left = order[np.clip(np.searchsorted(levels[order], goal) - 1, 0, len(order) - 2)]
            right = left + (1 if piece[-1] > piece[0] else -1)
            inside = (goal >= min(piece[0], piece[-1])) & (goal <= max(piece[0], piece[-1]))
            _improve(spline, goal, kappa, np.minimum(left, right), inside, best, lowest)
        return best
    level, slope = _at_point(spline, 0, kappa)
    for index in range(len(curve.s) - 1):
        before, (level, slope) = (level, slope), _at_point(spline, index + 1, kappa)
        inside = (goal - before[0]) * (goal - level) <= 0
        if inside.any():
            _improve(spline, goal, kappa, np.full(goal.shape, index), inside, best, lowest)
        folded = np.flatnonzero(before[1] * slope < 0)
        if folded.size:
            both = best[folded], lowest[folded]
            _improve_at_fold(spline, goal[folded], kappa[folded], index, *both)
            best[folded], lowest[folded] = both
    return best


def _at_point(spline: CurveSpline, points: int | slice, kappa: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """``ln λ`` and its slope at traced points; at a pitchfork, whose slope is 0, of the slope's sign just beyond it."""
    levels = np.array([spline.curve.log_mu[points], np.log(spline.curve.kernels[points, -1, -1])])
    return _log_signal(levels, spline.node_slopes[:, points], kappa)


def _with_fold(spline: CurveSpline, noise: float) -> NDArray[np.intp]:
    """Intervals within which ``ln λ`` turns."""
    slopes = _at_point(spline, slice(None), noise)[1]
    return np.flatnonzero(slopes[:-1] * slopes[1:] < 0)


def _improve_at_fold(
    spline: CurveSpline, goal: FloatArray, kappa: FloatArray, index: int, best: FloatArray, lowest: FloatArray
) -> None:
    """The same for both states between a fold within an interval and that end of it which is closer in λ."""
    ends = spline.curve.s[index : index + 2]
    noises, own = np.unique(kappa, return_inverse=True)
    low, high = np.full(noises.shape, ends[0]), np.full(noises.shape, ends[1])
    rises = spline.log_signal(high, noises)[1] < 0
    for _ in range(60):
        middle = 0.5 * (low + high)
        before = (spline.log_signal(middle, noises)[1] > 0) == rises
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    values = np.array([spline.log_signal(np.full(noises.shape, end), noises)[0] for end in ends])
    edge = np.where(rises, values.max(axis=0), values.min(axis=0))[own]
    turn, extreme = low[own], spline.log_signal(low, noises)[0][own]
    inside = (goal - edge) * (goal - extreme) <= 0
    interval = np.full(goal.shape, index)
    for bounds in ((np.full(goal.shape, ends[0]), turn), (turn, np.full(goal.shape, ends[1]))):
        _improve(spline, goal, kappa, interval, inside, best, lowest, bounds)


def _improve(
    spline: CurveSpline,
    goal: FloatArray,
    kappa: FloatArray,
    interval: NDArray[np.intp],
    inside: NDArray[np.bool_],
    best: FloatArray,
    lowest: FloatArray,
    bounds: tuple[FloatArray, FloatArray] | None = None,
) -> None:
    """Solve within the grid intervals, or bounds; keep, in place, what has lower free energy than the best so far."""
    where = np.flatnonzero(inside)
    if not where.size:
        return
    within = None if bounds is None else (bounds[0][where], bounds[1][where])
    s = _solve_interval(spline, goal[where], kappa[where], interval[where], within)
    F = spline.free_energy(s, np.exp(goal[where]), kappa[where])
    better = lowest[where] > F
    best[where[better]] = s[better]
    lowest[where[better]] = F[better]


def _solve_interval(
    spline: CurveSpline,
    goal: FloatArray,
    kappa: FloatArray,
    interval: NDArray[np.intp],
    bounds: tuple[FloatArray, FloatArray] | None = None,
    *,
    roughly: bool = False,
) -> FloatArray:
    """Newton on the spline, kept within the interval, or narrower bounds, by bisection, to 1e-9 relative.

    ``roughly``, far from folds, leaves an error of 1e-7, which the closed forms of an exact curve take to rounding.
    """
    begin = spline.curve.s[interval]
    # a coherent branch leaves its pitchfork as λ - λ_c ∝ s²: there s² is the smooth variable
    power = 2 if spline.curve.mirrored else 1
    low, high = bounds or (begin, spline.curve.s[interval + 1])
    ends = [spline.log_signal(end, kappa) for end in bounds] if bounds else _levels_at(spline, kappa, interval)
    (at_low, slope_low), (at_high, slope_high) = ends
    rises = at_high > at_low
    with np.errstate(all="ignore"):
        weight = np.clip((goal - at_low) / (at_high - at_low), 0.0, 1.0)
        s = low**power + _inverse_hermite(weight, low, high, at_high - at_low, slope_low, slope_high, power)
        s = np.clip(s ** (1 / power), low, high)
    s = np.where(np.isfinite(s), s, 0.5 * (low + high))
    if roughly:
        return s
    a, b, c, d = spline.cubics(interval)
    for _ in range(60):
        x = s - begin
        value, slope = _log_signal(((a * x + b) * x + c) * x + d, (3 * a * x + 2 * b) * x + c, kappa)
        above = (value > goal) == rises
        high, low = np.where(above, s, high), np.where(above, low, s)
        with np.errstate(all="ignore"):
            new = s - (value - goal) / slope
        new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
        change = np.abs(new - s)
        s = new
        # quadratic: a change of 1e-5 leaves an error of 1e-10
        if np.all((change <= 1e-5 * np.abs(s)) | (np.abs(value - goal) < 1e-14)):
            break
    return s


def _levels_at(
    spline: CurveSpline, kappa: FloatArray, interval: NDArray[np.intp]
) -> list[tuple[FloatArray, FloatArray]]:
    """``ln λ`` and its slope at both ends of each point's interval."""
    if kappa.size > spline.curve.s.size and np.all(kappa == kappa[0]):
        value, slope = spline.log_signal(spline.curve.s, float(kappa[0]))
        return [(value[interval + k], slope[interval + k]) for k in (0, 1)]
    return [spline.log_signal(spline.curve.s[interval + k], kappa) for k in (0, 1)]


def _inverse_hermite(
    weight: FloatArray,
    low: FloatArray,
    high: FloatArray,
    rise: FloatArray,
    slope_low: FloatArray,
    slope_high: FloatArray,
    power: int,
) -> FloatArray:
    """``s^power - low^power`` at a fraction ``weight`` of the rise, from values and slopes at both ends."""
    span = high**power - low**power
    # slopes of s^power by the fraction; where the level is flat (the pitchfork itself) fall back to linear
    m_low = power * low ** (power - 1) / slope_low * rise
    m_high = power * high ** (power - 1) / slope_high * rise
    m_low = np.where(np.isfinite(m_low) & (m_low > 0) & (m_low < 3 * span), m_low, span)
    m_high = np.where(np.isfinite(m_high) & (m_high > 0) & (m_high < 3 * span), m_high, span)
    t = weight
    return span * t * t * (3 - 2 * t) + m_low * t * (1 - t) ** 2 - m_high * t * t * (1 - t)
