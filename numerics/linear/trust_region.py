"""Riemannian trust-region Newton for kernel free energies, and Newton for their saddle points.

Steps are symmetric matrices S at a kernel ``H = LLᵀ``, taken along ``L exp(S) Lᵀ``: the trust radius bounds ‖S‖, a
relative change of the kernel, and positive-definiteness is never left. Small problems use the whole Hessian and solve
the trust-region subproblem exactly; large ones use truncated conjugate gradients (Steihaug 1983) on exact
Hessian–vector products. Where groups of times are independent (``numerics.linear.groups``) steps are arrows, and
the iterations the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from numerics.linalg import (
    FloatArray,
    from_vector,
    lower_factor,
    norm,
    smallest_eigenpairs,
    solve_factored,
    to_vector,
)
from numerics.linear import modes, separate, steps
from numerics.linear.descent import SAME_FREE_ENERGY
from numerics.linear.functional import KernelPoint
from numerics.linear.grouped import GroupedPoint
from numerics.linear.steps import DENSE_STEPS, AnyPoint

#: Relative residual of a state, unless given.
STATE_TOLERANCE = 1e-10
#: Largest m for which its eigenvalues are found from the whole matrix.
DENSE_MODES = 40
#: Distance within which two kernels of one F are one state's where the lowest is sought.
NEAR_STATE = 0.1
#: Smallest eigenvalue of the Hessian across independent groups of times.
ACROSS = 0.5
#: Trust radius: a factor e in the kernel at first, e³ at most.
FIRST_RADIUS, LARGEST_RADIUS = 1.0, 3.0


@dataclass(frozen=True, eq=False)
class Stop:
    """Where an iteration ended, and why.

    Attributes:
        point: the last point.
        iterations: Newton steps tried.
        products: Hessian–vector products spent.
        converged: the relative residual is within tolerance.
        status: one sentence.
    """

    point: KernelPoint
    iterations: int
    products: int
    converged: bool
    status: str


@dataclass(frozen=True, eq=False)
class _Step:
    S: FloatArray
    predicted: float
    products: int
    on_boundary: bool


@dataclass(frozen=True, eq=False)
class Basin:
    """Kernels so close to a minimum that a descent which meets them ends there.

    Attributes:
        stop: the minimum.
        at: its point.
        radius: their distance in the natural metric, a tenth of the smallest curvature: curvatures, of order one and
            changing by as much over a step of length one, keep their sign within it.
    """

    stop: Stop
    at: AnyPoint
    radius: float

    @staticmethod
    def of(stop: Stop, smallest: float) -> Basin:
        """Of a minimum whose Hessian has this smallest eigenvalue."""
        return Basin(stop, steps.prepared(stop.point), 0.1 * min(smallest, 1.0))

    def holds(self, at: AnyPoint, near: float = NEAR_STATE) -> bool:
        """Whether a kernel is one of them; of the same F, within a distance."""
        apart, scale = abs(at.free_energy - self.at.free_energy), 1.0 + abs(self.at.free_energy)
        radius = max(near, self.radius) if apart < SAME_FREE_ENERGY * scale else self.radius
        return apart < radius * scale and at.distance(self.at) < radius  # type: ignore[arg-type]


def minimise(
    point: KernelPoint,
    *,
    tolerance: float = STATE_TOLERANCE,
    max_iterations: int = 500,
    signs: Sequence[FloatArray] = (),
    known: Sequence[Basin] = (),
    near: float = NEAR_STATE,
    told: Callable[[float], None] | None = None,
) -> Stop:
    """Go down in F from ``point`` until the relative residual is at most ``tolerance``.

    After the tolerance is met, further steps are taken as long as they divide the residual by ten, so that the result
    is as good as double precision gives. A symmetric start stays symmetric: it may end at a saddle point.

    Args:
        point: start.
        tolerance: on ``KernelPoint.residual``.
        max_iterations: steps tried before giving up.
        signs: diagonal symmetries of F that every point shall keep exactly, where rounding would break them.
        known: minima; a descent that comes close to one ends there.
        near: how close where F is the same: 0 where states are told apart that differ little.
        told: the residual of every step.
    """
    at = steps.prepared(point)
    subproblem = _exact_step if steps.size(at) <= DENSE_STEPS * (DENSE_STEPS + 1) // 2 else _truncated_step
    radius, products, stalled = FIRST_RADIUS, 0, 0
    for iteration in range(max_iterations):
        if told is not None:
            told(at.residual)
        for basin in known if stalled == 0 else ():
            if basin.holds(at, near):
                return basin.stop
        if at.residual <= 1e-15 or stalled > 8:
            return _stop(at, iteration, products, tolerance, "no step improved it further")
        step = subproblem(at, radius)
        products += step.products
        trial = steps.moved(at, step.S, signs)
        rounding = 1e-11 * (1.0 + abs(at.energy) + abs(at.entropy))
        if trial is None:
            radius, stalled = 0.25 * float(np.linalg.norm(step.S)), stalled + 1
            continue
        if step.predicted < rounding:
            # differences of F are rounding here: judge by the residual
            if at.residual <= tolerance and trial.residual > 0.1 * at.residual:
                best = trial if trial.residual < at.residual else at
                return _stop(best, iteration + 1, products, tolerance, "")
            accept, ratio = trial.residual < at.residual, 1.0
        else:
            ratio = (at.free_energy - trial.free_energy) / step.predicted
            accept = ratio > 1e-4
        if ratio < 0.25 or not accept:
            radius = 0.25 * float(np.linalg.norm(step.S))
        elif ratio > 0.75 and step.on_boundary:
            radius = min(2.0 * radius, LARGEST_RADIUS * math.sqrt(at.functional.dimension))
        stalled = 0 if accept else stalled + 1
        if accept:
            at = trial
    return _stop(at, max_iterations, products, tolerance, f"stopped after {max_iterations} steps")


def newton(point: KernelPoint, *, tolerance: float = STATE_TOLERANCE, max_iterations: int = 60) -> Stop:
    """Solve the stationarity condition near ``point``, whatever the signature of the Hessian there.

    Steps are halved until ``‖G‖`` decreases.
    """
    for iteration in range(max_iterations):
        if point.residual <= 1e-15:
            return _stop(point, iteration, iteration, tolerance, "")
        S = _newton_direction(point)
        size = float(np.linalg.norm(S))
        scale = min(1.0, 2.0 / size) if size > 0 else 1.0
        for _ in range(30):
            trial = steps.moved(point, scale * S)
            if trial is not None and trial.residual < point.residual:
                break
            scale *= 0.5
        else:
            return _stop(point, iteration, iteration, tolerance, "no shorter step lowered the residual")
        slow = trial.residual > 0.1 * point.residual
        done = point.residual <= tolerance and slow
        point = trial
        if done:
            return _stop(point, iteration + 1, iteration, tolerance, "")
    return _stop(point, max_iterations, max_iterations, tolerance, f"stopped after {max_iterations} steps")


def smallest_modes(point: KernelPoint, count: int = 6) -> tuple[FloatArray, FloatArray]:
    """Smallest eigenvalues of the Hessian in the natural metric, and unit directions S, (k,) and (k, m, m).

    ``k ≤ count`` for small problems; above ``DENSE_MODES`` the smallest alone (``numerics.linear.modes``), and NaN if
    it is not found. A stationary point's Hessian is ½ across independent groups of times.
    """
    at = steps.prepared(point)
    values, modes = _smallest(at, count)
    if not isinstance(at, GroupedPoint):
        return values, modes
    if values[0] > ACROSS:
        one = np.zeros((1, *point.H.shape))
        first, second = (int(rows[0]) for rows in at.groups.own[:2])
        one[0, first, second] = one[0, second, first] = math.sqrt(0.5)
        return np.array([ACROSS]), one
    return values, at.direction(modes)


def _smallest(point: AnyPoint, count: int) -> tuple[FloatArray, FloatArray]:
    """Smallest eigenvalues among the steps of a point, and unit steps, (k,) and (k, …)."""
    size = steps.size(point)
    if size <= DENSE_MODES * (DENSE_MODES + 1) // 2:
        values, vectors = smallest_eigenpairs(steps.hessian(point), min(count, size))
        return values, steps.step_of(point, vectors.T)

    def product(z: FloatArray) -> FloatArray:
        return steps.vector(point, point.hessian_product(steps.step_of(point, z)))

    def onward(z: FloatArray) -> FloatArray:
        return steps.vector(point, steps.preconditioned(point, steps.step_of(point, z)))

    value, vector = modes.smallest(product, onward, size)
    return np.array([value]), steps.step_of(point, vector[None])


def dense_hessian(point: KernelPoint) -> FloatArray:
    """The Hessian on orthonormal coordinates of symmetric matrices, (m(m+1)/2, m(m+1)/2)."""
    return steps.hessian(point)


def _stop(at: AnyPoint, iterations: int, products: int, tolerance: float, reason: str) -> Stop:
    point = steps.whole(at)
    converged = bool(point.residual <= tolerance)
    if converged:
        status = f"Converged: relative residual {point.residual:.1e} within {tolerance:.0e}."
    else:
        status = f"Not converged: relative residual {point.residual:.1e} above {tolerance:.0e}; {reason or 'stalled'}."
    return Stop(point, iterations, products, converged, status)


def _exact_step(point: AnyPoint, radius: float) -> _Step:
    """The minimiser of the quadratic model within the radius: Newton's step, or from the Hessian's eigenvalues."""
    hessian, g = steps.hessian(point), steps.vector(point, point.gradient)
    with suppress(np.linalg.LinAlgError):  # positive-definite, or the eigenvalues below
        z = -solve_factored(lower_factor(hessian), g)
        if np.linalg.norm(z) <= radius:
            return _Step(steps.step_of(point, z), -0.5 * float(g @ z), len(g), False)
    values, vectors = np.linalg.eigh(hessian)
    g = vectors.T @ g
    # components that are rounding must not be blown up by a shift close to an eigenvalue
    g = np.where(np.abs(g) < 1e-15 * (1.0 + np.abs(g).max()), 0.0, g)

    kept = g != 0
    active, sizes = values[kept], g[kept]

    def length(shift: float) -> float:
        shifted = active + shift
        return norm(sizes / shifted) if shifted.all() else math.inf

    shift = 0.0
    if active.size and (active[0] <= 0 or length(0.0) > radius):
        low = max(0.0, -float(active[0]))
        high = low + float(np.linalg.norm(g)) / radius + 1e-300
        for _ in range(200):
            shift = 0.5 * (low + high)
            reached = length(shift)
            low, high = (shift, high) if reached > radius else (low, shift)
            if 0.99 * radius <= reached <= radius:
                break
        shift = high
    z = -np.divide(g, values + shift, out=np.zeros_like(g), where=kept)
    predicted = -float(g @ z + 0.5 * (values * z) @ z)
    return _Step(steps.step_of(point, vectors @ z), predicted, len(values), shift > 0)


def _truncated_step(point: AnyPoint, radius: float) -> _Step:
    """Truncated conjugate gradients, or steepest descent where these end on the boundary with less of a fall."""
    step = _conjugate_step(point, radius)
    if not step.on_boundary:
        return step
    steepest = _steepest_step(point, radius)
    chosen = step if step.predicted >= steepest.predicted else steepest
    return replace(chosen, products=step.products + 1)


def _steepest_step(point: AnyPoint, radius: float) -> _Step:
    """The lowest point of the quadratic model along the gradient."""
    G = point.gradient
    size = float(np.linalg.norm(G))
    curvature = float(np.vdot(G, point.hessian_product(G))) / size**2
    length = radius if curvature <= 0 else min(radius, size / curvature)
    predicted = length * size - 0.5 * curvature * length**2
    return _Step(-(length / size) * G, predicted, 1, length == radius)


def _conjugate_step(point: AnyPoint, radius: float) -> _Step:
    """Steihaug's truncated conjugate gradients, relative to the Hessian of the random network."""
    # superlinear, and down to rounding once the residual is small
    share = min(0.1, math.sqrt(point.residual))
    if isinstance(point, KernelPoint) and not point.functional.space.is_tied and point.functional.is_separate:
        return _Step(*separate.truncated(point, radius, share))
    G = point.gradient
    size = float(np.linalg.norm(G))
    S = np.zeros_like(G)
    HS = np.zeros_like(G)
    r = G.copy()
    z = steps.preconditioned(point, r)
    p = -z
    rz = float(np.vdot(r, z))
    goal = size * share
    products, boundary = 0, False
    for _ in range(4 * point.functional.dimension):
        Hp = point.hessian_product(p)
        products += 1
        curvature = float(np.vdot(p, Hp))
        if curvature <= 1e-14 * float(np.vdot(p, p)):
            tau, boundary = _to_boundary(S, p, radius), True
        else:
            tau = rz / curvature
            if np.linalg.norm(S + tau * p) >= radius:
                tau, boundary = _to_boundary(S, p, radius), True
        S = S + tau * p
        HS = HS + tau * Hp
        if boundary:
            break
        r = r + tau * Hp
        if np.linalg.norm(r) <= goal:
            break
        z = steps.preconditioned(point, r)
        new = float(np.vdot(r, z))
        p = -z + (new / rz) * p
        rz = new
    predicted = -float(np.vdot(G, S) + 0.5 * np.vdot(S, HS))
    return _Step(S, predicted, products, boundary)


def _to_boundary(S: FloatArray, p: FloatArray, radius: float) -> float:
    pp, sp, ss = float(np.vdot(p, p)), float(np.vdot(S, p)), float(np.vdot(S, S))
    return (-sp + math.sqrt(max(0.0, sp * sp + pp * (radius * radius - ss)))) / pp


def _newton_direction(point: KernelPoint) -> FloatArray:
    m = point.functional.dimension
    g = to_vector(point.gradient)
    if m <= DENSE_STEPS:
        return from_vector(-np.asarray(np.linalg.lstsq(dense_hessian(point), g, rcond=1e-14)[0]), m)
    import scipy.sparse.linalg as spla  # takes longer to load than a small problem to solve

    operator = spla.LinearOperator(
        (g.size, g.size),
        matvec=lambda z: to_vector(point.hessian_product(from_vector(np.ravel(z), m))),
        dtype=np.float64,
    )
    step, _ = spla.minres(operator, -g, rtol=1e-12, maxiter=1000)
    return from_vector(np.asarray(step), m)
