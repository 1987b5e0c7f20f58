"""Stationary states on a sample that moves with the state: the conditions iterated as a map of moments.

Given Φ and the second moment ``⟨ggᵀ⟩`` of one neuron's trajectory, the second condition of THEORY.md section 4 gives Φ̃
explicitly,

    Φ̃ = ½ v R y yᵀ R on supervised entries + (w/2) [C⁻¹⟨ggᵀ⟩C⁻¹ - C⁻¹], shifted back by one time,

and averages under ``N(g|0, C_g[Φ]) exp(φᵀΦ̃φ)`` give Φ and the moments again: a map whose fixed points are the
stationary states. Averages are over ``g = μ + L z`` with fixed z, weighted by the tilted density over ``N(μ, LLᵀ)``. As
μ and LLᵀ are the tilted trajectory's own mean and covariance, and the z have mean 0 and covariance 1 exactly, the
weights are equal where the trajectory is Gaussian, as for linear φ, and the averages exact: the error of the sample is
that of what is not Gaussian. Anderson's acceleration (type II; Walker & Ni, SIAM J. Numer. Anal. 49, 1715 (2011))
makes the map converge where plain repetition does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from numerics.nonlinear.activation import Nonlinearity
from numerics.nonlinear.nodes import Nodes, log_density, tilted_moments
from numerics.nonlinear.reduced import dual_variables
from numerics.nonlinear.space import TrajectorySpace
from numerics.problem import FloatArray

#: Independent batches of a sample.
BATCHES = 16
#: Scale of the wider half of a sample.
WIDE = 1.5
#: Residuals kept, iterations, and the relative residual at which they end.
HISTORY, ITERATIONS, TOLERANCE = 25, 250, 1e-8
#: Relative singular values below this are left out of the acceleration's least squares.
SINGULAR = 1e-10
#: Longest step in the relative change of Φ and the moments, for each row.
LONGEST = 0.15
#: Share of the residual in a damped step.
DAMPED = 0.3
#: Share of the points that count which a step must keep: one that is far too long makes the tilt too strong.
KEPT = 0.6
#: Factor by which a step may make the residual larger.
GROWN = 2.0
#: Share of the points that must count; on fewer the moments mean nothing.
FEWEST = 0.01


@dataclass(frozen=True, eq=False)
class Sample:
    """Fixed random numbers, whose images g move with the state.

    Attributes:
        unit: points of mean 0 and covariance 1, exactly, (K, d).
        scale: the scale of each, (K,): 1, or `WIDE` for half of them.
        batch: the independent batch of each point, (K,).
    """

    unit: FloatArray
    scale: FloatArray
    batch: NDArray[np.intp]

    @cached_property
    def z(self) -> FloatArray:
        """The points, (K, d)."""
        return np.asarray(self.unit * self.scale[:, None])

    @cached_property
    def log_q(self) -> FloatArray:
        """Log of their density, (K,)."""
        square, d = np.einsum("ik,ik->i", self.z, self.z), self.z.shape[1]
        parts = [-0.5 * square / s**2 - d * np.log(s) for s in np.unique(self.scale)]
        return np.asarray(np.logaddexp.reduce(parts) - np.log(len(parts)) - 0.5 * d * np.log(2 * np.pi))

    def part(self, batches: NDArray[np.intp]) -> Sample:
        """Some of the batches, with mean and covariance exact again."""
        kept = np.isin(self.batch, batches)
        return Sample(standardised(self.unit[kept]), self.scale[kept], self.batch[kept])


def sample(space: TrajectorySpace, size: int, seed: int, *, mirrored: bool, wide: bool) -> Sample:
    """Independently scrambled Sobol sequences of normals, one a batch, each with its negative.

    Args:
        space: the coordinates.
        size: points of a batch, a power of 2.
        seed: of the scrambling.
        mirrored: half of them with even times reversed, so that a state that W → -W leaves as it is stays so.
        wide: half of them wider, for trajectories with a tail on one side that no Gaussian of their covariance has.
    """
    half = max(1, size // (4 if mirrored else 2))
    units, scales = [], []
    for stream in np.random.default_rng(seed).spawn(BATCHES):
        z = ndtri(np.clip(qmc.Sobol(space.d, scramble=True, rng=stream).random(half), 1e-15, 1 - 1e-15))
        scale = np.where(wide & (np.arange(half) % 2 == 1), WIDE, 1.0)
        if mirrored:
            z, scale = np.concatenate([z, z * even_time_signs(space)]), np.tile(scale, 2)
        units.append(standardised(np.concatenate([z, -z])))
        scales.append(np.tile(scale, 2))
    batch = np.repeat(np.arange(BATCHES), [len(part) for part in units])
    return Sample(np.concatenate(units), np.concatenate(scales), batch)


def standardised(z: FloatArray) -> FloatArray:
    """Points taken linearly to mean 0 and covariance 1; too few for that are left as they are."""
    if len(z) <= 2 * z.shape[1]:
        return z
    centred = z - z.mean(axis=0)
    L = sla.cholesky(centred.T @ centred / len(z), lower=True)
    return np.asarray(np.ascontiguousarray(sla.solve_triangular(L, centred.T, lower=True).T))


def even_time_signs(space: TrajectorySpace) -> FloatArray:
    """-1 for coordinates of even times, (d,): W → -W."""
    later = np.arange(2, space.problem.n + 1)
    return np.concatenate([np.ones(space.rank), np.repeat((-1.0) ** (later - 1), space.problem.P)])


@dataclass(frozen=True, eq=False)
class Iterate:
    """Φ with mean and covariance of g, and what the averages make of them.

    Attributes:
        kernel, mean, covariance: Φ (m, m), μ (d,), LLᵀ (d, d).
        conjugate: Φ̃ of these.
        nodes: the points where they are now.
        probability: of each point.
        after: ``⟨φφᵀ⟩``, mean and covariance under the tilted trajectory.
    """

    kernel: FloatArray
    mean: FloatArray
    covariance: FloatArray
    conjugate: FloatArray
    nodes: Nodes
    probability: FloatArray
    after: tuple[FloatArray, FloatArray, FloatArray]

    @property
    def counting(self) -> float:
        """Share of the points that count, ``1/(K Σ p²)``."""
        return float(1 / (np.vdot(self.probability, self.probability) * len(self.probability)))


def placed(
    sample: Sample, space: TrajectorySpace, phi: Nonlinearity, mean: FloatArray, covariance: FloatArray
) -> Nodes:
    """The points for a trajectory of this mean and covariance.

    Raises:
        numpy.linalg.LinAlgError: the covariance is not positive-definite.
    """
    L = sla.cholesky(covariance, lower=True)
    points = mean + sample.z @ L.T
    log_weight = np.log(np.diagonal(L)).sum() - sample.log_q - np.log(len(points))
    return Nodes(points, phi.value(points @ space.embedding.T), log_weight)


def explicit_conjugate(space: TrajectorySpace, kernel: FloatArray, second: FloatArray) -> FloatArray:
    """Φ̃ from Φ and ``⟨ggᵀ⟩`` by the second condition, (m, m).

    Raises:
        numpy.linalg.LinAlgError: ``C_g[Φ]`` is singular.
    """
    precision = np.asarray(np.linalg.inv(space.covariance(kernel)))
    _, dual = dual_variables(space, kernel)
    conjugate = space.pull_back(0.5 * (precision @ second @ precision - precision))
    T = space.problem.supervised
    conjugate[np.ix_(T, T)] += 0.5 * space.problem.v * np.outer(dual, dual)
    return conjugate


def tilted(nodes: Nodes, C: FloatArray, conjugate: FloatArray) -> FloatArray:
    """Probability of each point under ``N(g|0, C) exp(φᵀΦ̃φ)``, (K,)."""
    log_p = nodes.log_weight + log_density(nodes, C, conjugate)
    p = np.exp(log_p - log_p.max())
    return np.asarray(p / p.sum())


def moments_of(nodes: Nodes, p: FloatArray, *, odd: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``⟨φφᵀ⟩``, mean and covariance of g; for odd φ the mean is 0."""
    return np.asarray((nodes.activity * p[:, None]).T @ nodes.activity), *tilted_moments(nodes, p, odd=odd)


def iterate(
    sample: Sample,
    space: TrajectorySpace,
    phi: Nonlinearity,
    kernel: FloatArray,
    mean: FloatArray,
    covariance: FloatArray,
    *,
    relaxed: int = 0,
    tolerance: float = TOLERANCE,
) -> tuple[Iterate, int, bool]:
    """Iterate to a fixed point.

    Args:
        sample, space, phi: random numbers, coordinates, activation.
        kernel, mean, covariance: the start: Φ, and mean and covariance of g.
        relaxed: so many damped steps without acceleration come first. They leave an unstable state, where acceleration
            goes back to the fixed point that is close, stable or not.
        tolerance: relative residual at which the iteration ends.

    Returns:
        The last iterate; iterations; whether its residual is below the tolerance.

    Raises:
        numpy.linalg.LinAlgError: Φ or the covariance is not positive-definite.
    """
    frame = _Frame(sla.cholesky(kernel, lower=True), sla.cholesky(covariance, lower=True))

    def at(x: FloatArray) -> tuple[Iterate, FloatArray]:
        kernel, mean, covariance = frame.state(x)
        nodes = placed(sample, space, phi, mean, covariance)
        conjugate = explicit_conjugate(space, kernel, covariance + np.outer(mean, mean))
        p = tilted(nodes, space.covariance(kernel), conjugate)
        after = moments_of(nodes, p, odd=phi.odd)
        return Iterate(kernel, mean, covariance, conjugate, nodes, p, after), frame.coordinates(*after) - x

    x = frame.coordinates(kernel, mean, covariance)
    now, residual = at(x)
    steps: list[FloatArray] = []
    changes: list[FloatArray] = []
    longest = LONGEST * np.sqrt(space.m + space.d)
    for iteration in range(relaxed + ITERATIONS):
        if np.linalg.norm(residual) <= tolerance * np.linalg.norm(x):
            return now, iteration, True
        if now.counting < FEWEST:
            break
        step = residual.copy() if iteration >= relaxed else DAMPED * residual
        if steps and iteration >= relaxed:
            changed = np.array(changes).T
            shares = np.linalg.lstsq(changed, residual, rcond=SINGULAR)[0]
            step -= (np.array(steps).T + changed) @ shares
        step *= min(1.0, longest / float(np.linalg.norm(step)))
        moved = _possible(at, x, step, KEPT * now.counting, GROWN * float(np.linalg.norm(residual)))
        if moved is None:
            break
        step, (now, new) = moved
        steps, changes = [*steps, step][-HISTORY:], [*changes, new - residual][-HISTORY:]
        x, residual = x + step, new
    return now, iteration, False


def _possible(
    at: Callable[[FloatArray], tuple[Iterate, FloatArray]],
    x: FloatArray,
    step: FloatArray,
    counting: float,
    residual: float,
) -> tuple[FloatArray, tuple[Iterate, FloatArray]] | None:
    """The step, halved until everything is positive-definite, enough points count and the residual is not too large."""
    for _ in range(10):
        try:
            reached = at(x + step)
            if reached[0].counting >= counting and np.linalg.norm(reached[1]) <= residual:
                return step, reached
        except np.linalg.LinAlgError:
            pass
        step = 0.5 * step
    return None


@dataclass(frozen=True, eq=False)
class _Frame:
    """Coordinates in which Φ and the covariance of the start are the unit matrix: changes are relative ones."""

    kernel: FloatArray
    covariance: FloatArray

    def coordinates(self, kernel: FloatArray, mean: FloatArray, covariance: FloatArray) -> FloatArray:
        parts = [_reduced(self.kernel, kernel).ravel(), _reduced(self.covariance, covariance).ravel()]
        return np.concatenate([*parts, sla.solve_triangular(self.covariance, mean, lower=True)])

    def state(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        m, d = len(self.kernel), len(self.covariance)
        kernel, covariance = x[: m * m].reshape(m, m), x[m * m : m * m + d * d].reshape(d, d)
        kernel = self.kernel @ (0.5 * (kernel + kernel.T)) @ self.kernel.T
        covariance = self.covariance @ (0.5 * (covariance + covariance.T)) @ self.covariance.T
        np.linalg.cholesky(kernel)
        return kernel, self.covariance @ x[m * m + d * d :], covariance


def _reduced(L: FloatArray, A: FloatArray) -> FloatArray:
    """``L⁻¹ A L⁻ᵀ``."""
    half = sla.solve_triangular(L, A, lower=True)
    return np.asarray(sla.solve_triangular(L, half.T, lower=True))
