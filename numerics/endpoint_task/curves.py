"""Every coherent branch of endpoint supervision as one curve for every noise: ``endpoint_task.branches`` traced
from the incoherent branch's pitchforks, from where other curves cross, and through states that a search finds.

Curves on which a reversal of some signs gives another branch of the same free energy are given once.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from numerics.endpoint_task import branches
from numerics.endpoint_task.branches import Curve
from numerics.inputs import problem
from numerics.linalg import FloatArray
from numerics.linear import search as saddle

#: Branches of branches are followed this deep, and no more than so many in all.
DEEPEST, MOST = 3, 40


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
        for state in saddle.search_all(problem.endpoint(n + 1, float(signal), kappa=0.0)):
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
