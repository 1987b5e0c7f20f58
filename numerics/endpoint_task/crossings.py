"""States of endpoint supervision at any signals and noises: where the branches, interpolated, cross them.

Branches are those of ``endpoint_task.branches``, as splines of ``ln μ``, ``ln H^{nn}`` and the kernel's factor: a state
at (λ, κ) is a crossing of ``ln λ = ln μ(s) + 2 ln(H^{nn}(s) + κ)``, and a good start for Newton at these parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from numerics.endpoint_task.branches import Curve, coordinates, diagonal_curve, traced_curve
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
    return interpolate(traced_curve(n, lag) if lag else diagonal_curve(n))


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
        entries[rows == columns] = r ** np.arange(1, n + 1)[:, None]
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
        power = r**n
        value = s + 2 * np.log(power + kappa) - n * np.log1p(rise) - goal
        s = s - value / (1.0 + rise * n / r * (2 * power / (power + kappa) - 1))
    return np.asarray(1.0 + np.exp(s))


def _lowest_crossing(spline: CurveSpline, goal: FloatArray, kappa: FloatArray, noise: float | None) -> FloatArray:
    """``s`` with ``ln λ(s; κ) = goal`` and lowest F, NaN where there is none."""
    best, lowest = np.full(goal.shape, np.nan), np.full(goal.shape, np.inf)
    curve = spline.curve
    if noise is not None:
        levels = curve.log_signal(noise)
        turns = np.flatnonzero(np.diff(np.sign(np.diff(levels))) != 0) + 1
        if not turns.size and levels[-1] > levels[0]:  # one state at most: nothing to choose between
            inside = (goal >= levels[0]) & (goal <= levels[-1])
            interval = np.clip(np.searchsorted(levels, goal) - 1, 0, len(levels) - 2)
            if inside.all():
                return _solve_interval(spline, goal, kappa, interval)
            best[inside] = _solve_interval(spline, goal[inside], kappa[inside], interval[inside])
            return best
        for first, last in zip([0, *turns], [*turns, len(levels) - 1], strict=True):
            piece = levels[first : last + 1]
            order = np.arange(first, last + 1) if piece[-1] > piece[0] else np.arange(last, first - 1, -1)
            left = order[np.clip(np.searchsorted(levels[order], goal) - 1, 0, len(order) - 2)]
            right = left + (1 if piece[-1] > piece[0] else -1)
            inside = (goal >= min(piece[0], piece[-1])) & (goal <= max(piece[0], piece[-1]))
            _improve(spline, goal, kappa, np.minimum(left, right), inside, best, lowest)
        return best
    for index in range(len(curve.s) - 1):
        pair = [curve.log_mu[k] + 2 * np.log(curve.kernels[k, -1, -1] + kappa) for k in (index, index + 1)]
        inside = (goal - pair[0]) * (goal - pair[1]) <= 0
        if inside.any():
            _improve(spline, goal, kappa, np.full(goal.shape, index), inside, best, lowest)
    return best


def _improve(
    spline: CurveSpline,
    goal: FloatArray,
    kappa: FloatArray,
    interval: NDArray[np.intp],
    inside: NDArray[np.bool_],
    best: FloatArray,
    lowest: FloatArray,
) -> None:
    """Solve within the grid intervals; keep, in place, what has lower free energy than the best so far."""
    where = np.flatnonzero(inside)
    if not where.size:
        return
    s = _solve_interval(spline, goal[where], kappa[where], interval[where])
    F = spline.free_energy(s, np.exp(goal[where]), kappa[where])
    better = lowest[where] > F
    best[where[better]] = s[better]
    lowest[where[better]] = F[better]


def _solve_interval(spline: CurveSpline, goal: FloatArray, kappa: FloatArray, interval: NDArray[np.intp]) -> FloatArray:
    """Newton on the spline, kept within the interval by bisection, to 1e-9 relative."""
    grid = spline.curve.s
    # a coherent branch leaves its pitchfork as λ - λ_c ∝ s²: there s² is the smooth variable
    power = 2 if spline.curve.mirrored else 1
    low, high = grid[interval], grid[interval + 1]
    (at_low, slope_low), (at_high, slope_high) = _levels_at(spline, kappa, interval)
    rises = at_high > at_low
    with np.errstate(all="ignore"):
        weight = np.clip((goal - at_low) / (at_high - at_low), 0.0, 1.0)
        s = low**power + _inverse_hermite(weight, low, high, at_high - at_low, slope_low, slope_high, power)
        s = np.clip(s ** (1 / power), low, high)
    s = np.where(np.isfinite(s), s, 0.5 * (low + high))
    if spline.curve.lag == 0:
        # cubics between points so close leave an error of 1e-7, which ``growth_ratio`` takes to rounding
        return s
    a, b, c, d = spline.cubics(interval)
    begin = low
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
