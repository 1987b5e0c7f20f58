"""Branches of endpoint supervision, traced once for every signal and noise (docs/theory.md section 5).

One pattern, ``x·x/D = 1``, units ``u = v = w = 1``. Label and noise enter stationarity only through

``∂(entropy)/∂H = ½ μ e_n e_nᵀ``, ``μ = λ/(H^{nn} + κ)²``,

so a branch is one curve of kernels ``H(s)`` with ``μ(s)``, and the states at given (λ, κ) are its crossings with
``λ = μ(s) (H^{nn}(s) + κ)²``, which ``endpoint_task.crossings`` finds. Curves are traced by pseudo-arclength in
coordinates that become linear where kernels grow as powers of the signal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from numerics.continuation.branch import Branch
from numerics.continuation.diagram import diagram
from numerics.endpoint_task.factorised import factorise
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.linalg import FloatArray, to_vector

#: Curves are traced up to this signal at κ = 0.
LAST_SIGNAL = 1e13
#: Arclength steps: short at the start, where amplitudes grow as a square root, and at most the last.
FIRST_STEP, LARGEST_STEP = 1e-4, 0.1
#: Points after which a branch is given up.
MOST_TRACED = 3000
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
        exact: whether a closed form gives the states between the points: `diagonal_curve`, `coherent_curve`.
    """

    n: int
    lag: int
    s: FloatArray
    log_mu: FloatArray
    kernels: FloatArray
    entropy: FloatArray
    mirrored: bool = False
    exact: bool = False

    def log_signal(self, kappa: FloatArray | float) -> FloatArray:
        """``ln λ`` at the traced points, (…, G) for κ of shape (…, 1)."""
        return np.asarray(self.log_mu + 2.0 * np.log(self.kernels[:, -1, -1] + kappa))


def diagonal_curve(n: int) -> Curve:
    """``H = diag(r, r², …, rⁿ)``, ``μ = (r - 1)/rⁿ``; entropy ``n (r - 1 - ln r)/2``."""
    s = np.linspace(-30.0, math.log(LAST_SIGNAL), 1200)
    r = 1.0 + np.exp(s)
    kernels = np.zeros((s.size, n, n))
    times = np.arange(n)
    kernels[:, times, times] = r[:, None] ** (times + 1)
    entropy = 0.5 * n * (np.exp(s) - np.log1p(np.exp(s)))
    return Curve(n, 0, s, s - n * np.log(r), kernels, entropy, exact=True)


def coherent_curve() -> Curve:
    """All of the coherent branch at T = 4 (``coherent_entries``), with ``s² = H^{11} - 2``."""
    # λ = 4(x+2)(x+1)³ at κ = 0
    s = np.sinh(np.linspace(0.0, math.asinh((LAST_SIGNAL / 4) ** 0.125), 200))
    rows, columns = np.triu_indices(3)
    kernels = np.empty((s.size, 3, 3))
    kernels[:, rows, columns] = kernels[:, columns, rows] = coherent_entries(s * s).T
    log_mu = -np.log(4 * (s * s + 2) * (s * s + 1))
    entropy = factorise(np.asarray(np.linalg.cholesky(kernels))).entropy()
    return Curve(3, 1, s, log_mu, kernels, entropy, mirrored=True, exact=True)


def coherent_entries(x: FloatArray) -> FloatArray:
    """``H`` on the coherent branch at T = 4 at ``x = H^{11} - 2``, row by row, (6, B): `theory.coherent_branch`."""
    first, rise = x + 2, x + 1
    second = 2 * first * rise
    odd = np.sqrt(second * x)
    return np.array([first, odd, 2 * first * x, second, 2 * first * odd, 2 * second * rise])


@lru_cache(maxsize=64)
def traced_curve(n: int, lag: int = 1) -> Curve:
    """The branch that leaves the incoherent one where its correlations at ``lag`` become unstable, upper sign.

    With ``m = n - lag`` this is at ``r = m/(m-1)`` with the mode ``a_t ∝ t`` (m ≥ 2). The curve starts at the pitchfork
    itself (s = 0) and is traced up to ``LAST_SIGNAL`` at κ = 0.
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

    In the natural metric of ``numerics.continuation`` a kernel whose correlations tend to 1 is far away: it ends after
    4000 points and 20 s at T = 4. In these coordinates the distance grows as the logarithm of the signal (198 points).

    Raises:
        ArithmeticError: it goes on after ``MOST_TRACED`` points.
    """
    z, lengths, step = start, [0.0], FIRST_STEP
    path = [z]
    while True:
        if len(path) >= MOST_TRACED:
            raise ArithmeticError(f"a branch of T = {n + 1} is not traced to its end after {MOST_TRACED} points")
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
        if rises and lengths[-1] > 0.3 and log_signal_at(z, n, 0.0) > math.log(LAST_SIGNAL):
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
