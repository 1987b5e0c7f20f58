"""Riemannian trust-region Newton for kernel free energies, and Newton for their saddle points.

Steps are symmetric matrices S at a kernel ``H = LLᵀ``, taken along ``L exp(S) Lᵀ``: the trust radius bounds ‖S‖, a
relative change of the kernel, and positive-definiteness is never left. Small problems use the whole Hessian and solve
the trust-region subproblem exactly; large ones use truncated conjugate gradients (Steihaug 1983) on exact
Hessian–vector products.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg as sla
import scipy.sparse.linalg as spla

from numerics.linalg import FloatArray, from_vector, symmetric, to_vector
from numerics.linear import recursion, separate
from numerics.linear.functional import KernelPoint

#: Largest m for which the m(m+1)/2-dimensional Hessian is formed.
DENSE = 20
#: Largest m for which its eigenvalues are found from the whole matrix.
DENSE_MODES = 40
#: Modes that a search for the smallest follows, its steps, and the residual at which it ends.
MODES, MODE_STEPS, MODE_TOLERANCE = 3, 200, 1e-4
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


def minimise(
    point: KernelPoint,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 500,
    watch: Callable[[KernelPoint, int], None] | None = None,
    signs: Sequence[FloatArray] = (),
) -> Stop:
    """Go down in F from ``point`` until the relative residual is at most ``tolerance``.

    After the tolerance is met, further steps are taken as long as they divide the residual by ten, so that the result
    is as good as double precision gives. A symmetric start stays symmetric: it may end at a saddle point.

    Args:
        point: start.
        tolerance: on ``KernelPoint.residual``.
        max_iterations: steps tried before giving up.
        watch: called with each accepted point and the number of products so far.
        signs: diagonal symmetries of F that every point shall keep exactly, where rounding would break them.
    """
    subproblem = _exact_step if point.functional.dimension <= DENSE else _truncated_step
    radius, products, stalled = FIRST_RADIUS, 0, 0
    for iteration in range(max_iterations):
        if point.residual <= 1e-15 or stalled > 8:
            return _stop(point, iteration, products, tolerance, "no step improved it further")
        step = subproblem(point, radius)
        products += step.products
        trial = moved(point, step.S, signs)
        rounding = 1e-11 * (1.0 + abs(point.energy) + abs(point.entropy))
        if trial is None:
            radius, stalled = 0.25 * float(np.linalg.norm(step.S)), stalled + 1
            continue
        if step.predicted < rounding:
            # differences of F are rounding here: judge by the residual
            if point.residual <= tolerance and trial.residual > 0.1 * point.residual:
                best = trial if trial.residual < point.residual else point
                return _stop(best, iteration + 1, products, tolerance, "")
            accept, ratio = trial.residual < point.residual, 1.0
        else:
            ratio = (point.free_energy - trial.free_energy) / step.predicted
            accept = ratio > 1e-4
        if ratio < 0.25 or not accept:
            radius = 0.25 * float(np.linalg.norm(step.S))
        elif ratio > 0.75 and step.on_boundary:
            radius = min(2.0 * radius, LARGEST_RADIUS * math.sqrt(point.functional.dimension))
        stalled = 0 if accept else stalled + 1
        if accept:
            point = trial
            if watch is not None:
                watch(point, products)
    return _stop(point, max_iterations, products, tolerance, f"stopped after {max_iterations} steps")


def newton(point: KernelPoint, *, tolerance: float = 1e-10, max_iterations: int = 60) -> Stop:
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
            trial = moved(point, scale * S)
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

    ``k = count`` for small problems; above ``DENSE_MODES`` the smallest alone, by conjugate gradients (LOBPCG; Knyazev
    2001) relative to the random network's Hessian, and NaN if these do not converge.
    """
    m = point.functional.dimension
    size = m * (m + 1) // 2
    if m <= DENSE_MODES:
        values, vectors = sla.eigh(dense_hessian(point), subset_by_index=[0, min(count, size) - 1])
        return values, from_vector(vectors.T, m)

    def operator(product: Callable[[FloatArray], FloatArray]) -> spla.LinearOperator:
        def of_vectors(z: FloatArray) -> FloatArray:
            return to_vector(symmetric(product(from_vector(np.atleast_2d(z.T), m)))).T.reshape(z.shape)

        return spla.LinearOperator((size, size), matvec=of_vectors, matmat=of_vectors, dtype=np.float64)

    hessian, inverse = operator(point.hessian_product), operator(lambda S: recursion.squared(point, S))
    start = np.random.default_rng(0).standard_normal((size, MODES))
    # signs are what matters: a loose tolerance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the residual is looked at below
        values, columns = spla.lobpcg(hessian, start, M=inverse, tol=MODE_TOLERANCE, maxiter=MODE_STEPS, largest=False)
    lowest = int(np.argmin(values))
    value, vector = float(values[lowest]), np.asarray(columns[:, lowest], dtype=np.float64)
    if np.linalg.norm(hessian @ vector - value * vector) > 3 * MODE_TOLERANCE:
        return np.array([np.nan]), np.zeros((1, m, m))
    return np.array([value]), from_vector(vector[None], m)


def dense_hessian(point: KernelPoint) -> FloatArray:
    """The Hessian on orthonormal coordinates of symmetric matrices, (m(m+1)/2, m(m+1)/2)."""
    m = point.functional.dimension
    basis = from_vector(np.eye(m * (m + 1) // 2), m)
    return symmetric(to_vector(point.hessian_product(basis)))


def _stop(point: KernelPoint, iterations: int, products: int, tolerance: float, reason: str) -> Stop:
    converged = bool(point.residual <= tolerance)
    if converged:
        status = f"Converged: relative residual {point.residual:.1e} within {tolerance:.0e}."
    else:
        status = f"Not converged: relative residual {point.residual:.1e} above {tolerance:.0e}; {reason or 'stalled'}."
    return Stop(point, iterations, products, converged, status)


def moved(point: KernelPoint, S: FloatArray, signs: Sequence[FloatArray] = ()) -> KernelPoint | None:
    """The point ``L exp(S) Lᵀ``, or None where arithmetic cannot represent it."""
    if not np.isfinite(S).all():
        return None
    try:
        trial = point.move(S)
        if signs:
            H = trial.H
            for flip in signs:
                H = 0.5 * (H + flip[:, None] * H * flip)
            trial = point.functional.at(H)
        return trial if math.isfinite(trial.free_energy) and math.isfinite(trial.residual) else None
    except (np.linalg.LinAlgError, ValueError):
        return None


def _exact_step(point: KernelPoint, radius: float) -> _Step:
    """The minimiser of the quadratic model within the radius: Newton's step, or from the Hessian's eigenvalues."""
    m = point.functional.dimension
    hessian, g = dense_hessian(point), to_vector(point.gradient)
    factor, not_definite = sla.lapack.dpotrf(hessian, lower=1)
    if not_definite == 0:
        z = -sla.lapack.dpotrs(factor, g, lower=1)[0]
        if np.linalg.norm(z) <= radius:
            return _Step(from_vector(z, m), -0.5 * float(g @ z), len(g), False)
    values, vectors = np.linalg.eigh(hessian)
    g = vectors.T @ g
    # components that are rounding must not be blown up by a shift close to an eigenvalue
    g = np.where(np.abs(g) < 1e-15 * (1.0 + np.abs(g).max()), 0.0, g)

    def length(shift: float) -> float:
        shifted = (values + shift)[g != 0]
        return float(np.linalg.norm(g[g != 0] / shifted)) if np.all(shifted) else math.inf

    active = values[g != 0]
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
    z = -np.divide(g, values + shift, out=np.zeros_like(g), where=g != 0)
    predicted = -float(g @ z + 0.5 * (values * z) @ z)
    return _Step(from_vector(vectors @ z, m), predicted, len(values), shift > 0)


def _truncated_step(point: KernelPoint, radius: float) -> _Step:
    """Truncated conjugate gradients, or steepest descent where these end on the boundary with less of a fall."""
    step = _conjugate_step(point, radius)
    if not step.on_boundary:
        return step
    steepest = _steepest_step(point, radius)
    chosen = step if step.predicted >= steepest.predicted else steepest
    return replace(chosen, products=step.products + 1)


def _steepest_step(point: KernelPoint, radius: float) -> _Step:
    """The lowest point of the quadratic model along the gradient."""
    G = point.gradient
    size = float(np.linalg.norm(G))
    curvature = float(np.vdot(G, point.hessian_product(G))) / size**2
    length = radius if curvature <= 0 else min(radius, size / curvature)
    predicted = length * size - 0.5 * curvature * length**2
    return _Step(-(length / size) * G, predicted, 1, length == radius)


def _conjugate_step(point: KernelPoint, radius: float) -> _Step:
    """Steihaug's truncated conjugate gradients, relative to the Hessian of the random network."""
    # superlinear, and down to rounding once the residual is small
    share = min(0.1, math.sqrt(point.residual))
    if point.functional.arch == "dnn" and point.functional.is_separate:
        return _Step(*separate.truncated(point, radius, share))
    G = point.gradient
    size = float(np.linalg.norm(G))
    S = np.zeros_like(G)
    HS = np.zeros_like(G)
    r = G.copy()
    z = symmetric(recursion.squared(point, r))
    p = -z
    rz = float(np.vdot(r, z))
    goal = size * share
    products, boundary = 0, False
    for _ in range(4 * G.shape[0]):
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
        z = symmetric(recursion.squared(point, r))
        new = float(np.vdot(r, z))
        p = -z + (new / rz) * p
        rz = new
    predicted = -float(np.vdot(G, S) + 0.5 * np.vdot(S, HS))
    return _Step(symmetric(S), predicted, products, boundary)


def _to_boundary(S: FloatArray, p: FloatArray, radius: float) -> float:
    pp, sp, ss = float(np.vdot(p, p)), float(np.vdot(S, p)), float(np.vdot(S, S))
    return (-sp + math.sqrt(max(0.0, sp * sp + pp * (radius * radius - ss)))) / pp


def _newton_direction(point: KernelPoint) -> FloatArray:
    m = point.functional.dimension
    g = to_vector(point.gradient)
    if m <= DENSE:
        return from_vector(-np.asarray(np.linalg.lstsq(dense_hessian(point), g, rcond=1e-14)[0]), m)
    operator = spla.LinearOperator(
        (g.size, g.size),
        matvec=lambda z: to_vector(point.hessian_product(from_vector(np.ravel(z), m))),
        dtype=np.float64,
    )
    step, _ = spla.minres(operator, -g, rtol=1e-12, maxiter=1000)
    return from_vector(np.asarray(step), m)
