"""Branches of endpoint supervision, traced once for every signal and noise (docs/theory.md section 5).

One pattern, ``x·x/D = 1``, units ``u = v = w = 1``. Label and noise enter stationarity only through

``∂(entropy)/∂H = ½ μ e_n e_nᵀ``, ``μ = λ/(H^{nn} + κ)²``,

so a branch is one curve of kernels ``H(s)`` with ``μ(s)``, and the states at given (λ, κ) are its crossings with
``λ = μ(s) (H^{nn}(s) + κ)²``. Curves are traced by pseudo-arclength in coordinates that become linear where kernels
grow as powers of the signal, and interpolated by splines: good starts for Newton at any parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from numerics.continuation.branch import Branch
from numerics.continuation.diagram import diagram
from numerics.endpoint_task.factorised import factorise
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.linalg import FloatArray, to_vector

#: Curves are traced up to this signal at κ = 0.
LARGEST_SIGNAL = 1e13
#: Arclength steps: short at the start, where amplitudes grow as a square root, and at most the last.
FIRST_STEP, LARGEST_STEP = 1e-4, 0.1
#: Points after which a branch is given up.
MOST_POINTS = 3000


#: Relative size of the gradient at which a corrector that gains no more digits may stop.
STALLED = 1e-8


@dataclass(frozen=True, eq=False)
class Curve:
    """A branch, in units u = v = w = 1.

    Attributes:
        n: hidden times.
        lag: times correlate at multiples of this lag only; 0 for the incoherent branch.
        s: parameter, increasing, (G,): arclength, or ln(r - 1).
        log_mu: ``ln μ``, (G,).
        kernels: ``H``, (G, n, n).
        entropy: the divergence from the random network, (G,).
        mirrored: whether it begins at a pitchfork and goes on to s < 0 as its mirror image.
    """

    n: int
    lag: int
    s: FloatArray
    log_mu: FloatArray
    kernels: FloatArray
    entropy: FloatArray
    mirrored: bool = False

    def log_signal(self, kappa: FloatArray | float) -> FloatArray:
        """``ln λ`` at the traced points, (…, G) for κ of shape (…, 1)."""
        return np.asarray(self.log_mu + 2.0 * np.log(self.kernels[:, -1, -1] + kappa))


def diagonal_curve(n: int) -> Curve:
    """``H = diag(r, r², …, rⁿ)``, ``μ = (r - 1)/rⁿ``; entropy ``n (r - 1 - ln r)/2``."""
    s = np.linspace(-30.0, math.log(LARGEST_SIGNAL), 1200)
    r = 1.0 + np.exp(s)
    kernels = np.zeros((s.size, n, n))
    times = np.arange(n)
    kernels[:, times, times] = r[:, None] ** (times + 1)
    entropy = 0.5 * n * (np.exp(s) - np.log1p(np.exp(s)))
    return Curve(n, 0, s, s - n * np.log(r), kernels, entropy)


@lru_cache(maxsize=64)
def traced_curve(n: int, lag: int = 1) -> Curve:
    """The branch that leaves the incoherent one where its correlations at ``lag`` become unstable, upper sign.

    With ``m = n - lag`` this is at ``r = m/(m-1)`` with the mode ``a_t ∝ t`` (m ≥ 2). The curve starts at the pitchfork
    itself (s = 0) and is traced up to ``LARGEST_SIGNAL`` at κ = 0.
    """
    m = n - lag
    if not 1 <= lag <= n - 2:
        raise InputError(f"lag: is {lag}; accepted: 1 to {n - 2} for {n} hidden times")
    r = m / (m - 1)
    factor = np.diag(np.sqrt(r ** np.arange(1.0, n + 1)))
    mode = np.zeros((n, n))
    t = np.arange(m)
    # S_{t,t+l} = a_t changes the factor's entry (t+l, t) to a_t L_tt
    mode[t + lag, t] = (t + 1.0) * np.sqrt(r ** (-float(lag)))
    tangent = np.concatenate([np.zeros(n), mode[np.tril_indices(n, -1)], [0.0]])
    start = np.append(coordinates(factor), math.log((r - 1) / r**n))
    return trace(n, lag, start, tangent / np.linalg.norm(tangent))


def coordinates(L: FloatArray) -> FloatArray:
    """``ln L_tt`` and ``asinh(L_ts/L_tt)`` (t > s) of lower Cholesky factors, (…, n, n) → (…, n(n+1)/2)."""
    n = L.shape[-1]
    rows, columns = np.tril_indices(n, -1)
    diagonal = np.diagonal(L, axis1=-2, axis2=-1)
    return np.concatenate([np.log(diagonal), np.arcsinh(L[..., rows, columns] / diagonal[..., rows])], axis=-1)


def factors(z: FloatArray, n: int) -> FloatArray:
    """Inverse of ``coordinates``."""
    rows, columns = np.tril_indices(n, -1)
    L = np.zeros((*z.shape[:-1], n, n))
    diagonal = np.exp(z[..., :n])
    L[..., np.arange(n), np.arange(n)] = diagonal
    L[..., rows, columns] = np.sinh(z[..., n:]) * diagonal[..., rows]
    return L


def _natural_changes(L: FloatArray) -> FloatArray:
    """Change S of ``H = LLᵀ`` in the natural metric for a unit change of each coordinate, (d, n, n)."""
    n = len(L)
    rows, columns = np.tril_indices(n, -1)
    change = np.zeros((n + len(rows), n, n))
    times = np.arange(n)
    change[times, times] = L  # ln L_tt scales its row
    k = n + np.arange(len(rows))
    change[k, rows, columns] = np.hypot(L[rows, rows], L[rows, columns])
    half = np.asarray(np.linalg.solve(L, change))
    return half + np.swapaxes(half, 1, 2)


def trace(n: int, lag: int, start: FloatArray, tangent: FloatArray) -> Curve:
    """Follow a branch from a pitchfork (coordinates and ln μ) along a unit tangent.

    In the natural metric of ``numerics.continuation`` a kernel whose correlations tend to 1 is far away; in these
    coordinates its distance grows as the logarithm of the signal.

    Raises:
        ArithmeticError: it goes on after ``MOST_POINTS`` points.
    """
    z, lengths, step = start, [0.0], FIRST_STEP
    path = [z]
    while True:
        if len(path) >= MOST_POINTS:
            raise ArithmeticError(f"a branch of T = {n + 1} is not traced to its end after {MOST_POINTS} points")
        accepted = arclength_step(n, z, tangent, step)
        if accepted is None:
            step *= 0.5
            if step < 1e-8:
                break
            continue
        z, tangent, iterations = accepted
        path.append(z)
        lengths.append(lengths[-1] + step)
        rises = log_signal_at(z, n, 0.0) > log_signal_at(path[-2], n, 0.0)
        if rises and lengths[-1] > 0.3 and log_signal_at(z, n, 0.0) > math.log(LARGEST_SIGNAL):
            break
        step = min(LARGEST_STEP, step * (1.5 if iterations <= 4 else 0.7))
    traced = np.array(path)
    here = factorise(factors(traced[:, :-1], n))
    kernels = here.L @ np.swapaxes(here.L, 1, 2)
    return Curve(n, lag, np.array(lengths), traced[:, -1], kernels, here.entropy(), mirrored=True)


@lru_cache(maxsize=16)
def all_curves(n: int, largest_signal: float) -> tuple[Curve, ...]:
    """Every coherent branch found for n hidden times, up to a signal at κ = 0 (``numerics.continuation``)."""
    found = diagram(endpoint(n + 1, 1.0, kappa=0.0), "signal", (0.1, largest_signal))
    return tuple(curve_of(branch) for branch in found.branches if branch.track.period)


def curve_of(branch: Branch) -> Curve:
    """A branch of the endpoint task in the signal, at κ = 0, as a curve for every noise."""
    kernels, n = branch.kernels, branch.track.family.base.space.n
    entropy = np.array([point.state.entropy for point in branch.points])
    log_mu = branch.theta - 2.0 * np.log(kernels[:, -1, -1])
    return Curve(n, branch.track.period, branch.lengths, log_mu, kernels, entropy)


def log_signal_at(z: FloatArray, n: int, kappa: float) -> float:
    """``ln λ`` of one point (coordinates and ln μ)."""
    return float(z[-1]) + 2 * math.log(float(np.sum(factors(z[:-1], n)[-1] ** 2)) + kappa)


def equations(z: FloatArray, n: int) -> tuple[FloatArray, FloatArray, float]:
    """Stationarity at given μ, its Jacobian in (coordinates, ln μ), and its relative size."""
    L = factors(z[:-1], n)
    here = factorise(L[None])
    label = math.exp(z[-1]) * to_vector(here.label[0])
    value = to_vector(here.gradient[0]) - 0.5 * label
    columns = to_vector(here.curvature(_natural_changes(L)[None])[0]).T
    size = float(np.linalg.norm(value)) / float(n + np.linalg.norm(label))
    return value, np.column_stack([columns, -0.5 * label]), size


def arclength_step(
    n: int, z: FloatArray, tangent: FloatArray, step: float
) -> tuple[FloatArray, FloatArray, int] | None:
    """Predict along the tangent, correct by Newton in the plane across it; None if it does not converge.

    Returns:
        The point, its tangent, and the corrections used.
    """
    trial, before = z + step * tangent, math.inf
    for iteration in range(8):
        try:
            value, jacobian, size = equations(trial, n)
            bordered = np.vstack([jacobian, tangent])
            right = np.append(np.zeros(len(value)), 1.0)
            solved = np.linalg.solve(bordered, np.column_stack([np.append(value, 0.0), right]))
        except np.linalg.LinAlgError:
            return None
        # strong signals leave rounding of up to STALLED in the gradient, and a start for Newton needs no more
        if size < 1e-14 or (iteration >= 3 and size < 1e-12) or (size < STALLED and size > 0.3 * before):
            new = solved[:, 1] / np.linalg.norm(solved[:, 1])
            return (trial, new, iteration) if new @ tangent > 0.95 else None
        if not np.linalg.norm(solved[:, 0]) < 0.5:
            return None
        before = size
        trial = trial - solved[:, 0]
    return None


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
        (log_mu, log_h), (mu_slope, h_slope) = self._levels(s).T, self._levels(s, 1).T
        h = np.exp(log_h)
        total = h + kappa
        return log_mu + 2 * np.log(total), mu_slope + 2 * h / total * h_slope

    def kernels(self, s: FloatArray) -> FloatArray:
        """Independent entries of ``H(s)``, row by row, (n(n+1)/2, B)."""
        n = self.curve.n
        L = np.moveaxis(factors(self._coordinates(s), n), 0, -1)
        pairs = zip(*np.triu_indices(n), strict=True)
        return np.array([np.einsum("kb,kb->b", L[i, : i + 1], L[j, : i + 1]) for i, j in pairs])


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
    for _ in range(60):
        value, slope = spline.log_signal(s, kappa)
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
