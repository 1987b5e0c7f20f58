"""Fixed random numbers for averages over one neuron's trajectory, drawn from a Gaussian or a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.groups import Group
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.space import TrajectorySpace

#: Independent batches of a sample.
BATCHES = 16
#: Scale of the wide part of a mixture, and its share once the rest is fitted.
WIDE, SAFETY = 1.5, 0.15
#: Components of a fitted mixture besides the wide one, and the factor by which their covariances are widened.
COMPONENTS, WIDENED = 3, 1.15
#: Points that a mixture is fitted to, at most.
MOST_FITTED = 8192
#: Smallest mean variance that a component is shrunk to.
SMALLEST = 1e-3
#: Points whose densities are worked on together: what stays in a cache.
TOGETHER = 2048
#: Rounds of a fit, the gain in log-likelihood below which it ends, and starts of which the best is taken.
ROUNDS, GAIN, FIT_STARTS = 60, 1e-4, 2


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of k Gaussians in coordinates in which a trajectory has mean 0 and covariance 1.

    Attributes:
        weight: of each component, (k,).
        mean: (k, d).
        factor: Cholesky factors of the covariances, (k, d, d).
    """

    weight: FloatArray
    mean: FloatArray
    factor: FloatArray

    def placed(self, unit: FloatArray, component: NDArray[np.intp]) -> FloatArray:
        """Standard normals as points of the components that are given for each, (K, d)."""
        if len(self.weight) == 1 and not self.mean.any() and np.array_equal(self.factor[0], np.eye(unit.shape[1])):
            return unit  # half the memory of a large sample
        z = np.empty_like(unit)
        for c, (mean, factor) in enumerate(zip(self.mean, self.factor, strict=True)):
            here = component == c
            z[here] = mean + unit[here] @ factor.T
        return z

    def log_densities(self, z: FloatArray) -> FloatArray:
        """Log of weight times density of each component at each point, (K, k)."""
        k, d = self.mean.shape
        inverse = np.concatenate([sla.solve_triangular(L, np.eye(d), lower=True).T for L in self.factor], axis=1)
        offset = np.concatenate([mean @ inverse[:, c * d : (c + 1) * d] for c, mean in enumerate(self.mean)])
        constant = np.log(np.diagonal(self.factor, axis1=1, axis2=2)).sum(axis=1) + 0.5 * d * np.log(2 * np.pi)
        constant -= np.log(self.weight)
        halves = np.kron(np.eye(k), np.full((d, 1), 0.5))  # sums over coordinates as a product
        found = np.empty((len(z), k))
        for first in range(0, len(z), TOGETHER):
            white = z[first : first + TOGETHER] @ inverse - offset
            white *= white
            found[first : first + TOGETHER] = -(white @ halves) - constant
        return found


def standard(d: int) -> Mixture:
    """The standard normal alone."""
    return Mixture(np.ones(1), np.zeros((1, d)), np.eye(d)[None])


def with_tails(d: int) -> Mixture:
    """The standard normal and a wider one: a start for trajectories with tails that no Gaussian has."""
    return Mixture(np.full(2, 0.5), np.zeros((2, d)), np.stack([np.eye(d), WIDE * np.eye(d)]))


def fitted(
    points: FloatArray,
    probability: FloatArray,
    mean: FloatArray,
    covariance: FloatArray,
    seed: int,
    *,
    components: int = COMPONENTS,
    most: int = MOST_FITTED,
) -> Mixture:
    """The mixture that is likeliest for weighted points, widened, with a share of `SAFETY` for the wide normal.

    By expectation and maximisation; covariances are shrunk towards multiples of 1 where few points make them.

    Args:
        points: trajectories, (K, d).
        probability: their weights, (K,).
        mean, covariance: of the coordinates of a mixture, in which these are 0 and 1.
        seed: of the fit's starts.
        components: of the mixture, besides the wide one.
        most: of more points, as many are drawn by their weights.

    Raises:
        numpy.linalg.LinAlgError: the covariance is not positive-definite.
    """
    rng, L = np.random.default_rng(seed), sla.cholesky(covariance, lower=True)
    z = sla.solve_triangular(L, (points - mean).T, lower=True).T
    if len(z) > most:
        z, probability = z[rng.choice(len(z), most, p=probability)], np.full(most, 1 / most)
    best = max((_likeliest(z, probability, components, rng) for _ in range(FIT_STARTS)), key=lambda fit: fit[1])[0]
    d = points.shape[1]
    return Mixture(
        np.append((1 - SAFETY) * best.weight, SAFETY),
        np.concatenate([best.mean, np.zeros((1, d))]),
        np.concatenate([np.sqrt(WIDENED) * best.factor, WIDE * np.eye(d)[None]]),
    )


def _likeliest(z: FloatArray, probability: FloatArray, k: int, rng: np.random.Generator) -> tuple[Mixture, float]:
    d = z.shape[1]
    whole = np.cov(z.T, aweights=probability).reshape(d, d)
    mean = z[rng.choice(len(z), k, p=probability, replace=False)]
    fit = Mixture(np.full(k, 1 / k), mean, np.stack([np.linalg.cholesky(0.5 * whole)] * k))
    likelihood = -np.inf
    for _ in range(ROUNDS):
        logs = fit.log_densities(z)
        total = np.logaddexp.reduce(logs, axis=1)
        before, likelihood = likelihood, float(probability @ total)
        if likelihood - before < GAIN:
            break
        shares = np.exp(logs - total[:, None]) * probability[:, None]
        weight = np.maximum(shares.sum(axis=0), 1e-12)
        mean = (shares.T @ z) / weight[:, None]
        factors = []
        for c in range(k):
            centred = z - mean[c]
            covariance = (centred * shares[:, c, None]).T @ centred / weight[c]
            points = weight[c] ** 2 / np.vdot(shares[:, c], shares[:, c])
            shrunk = min(0.9, 2 * d / (points + d))
            covariance = (1 - shrunk) * covariance + shrunk * max(np.trace(covariance) / d, SMALLEST) * np.eye(d)
            factors.append(np.linalg.cholesky(covariance))
        fit = Mixture(weight / weight.sum(), mean, np.stack(factors))
    return fit, likelihood


@dataclass(frozen=True, eq=False)
class Sample:
    """Fixed random numbers, whose images g move with the state.

    Attributes:
        unit: normals of mean 0 and covariance 1, exactly, (K, d).
        component: of the mixture, for each, (K,).
        batch: the independent batch of each point, (K,).
        mixture: what they are drawn from.
        paired: each stands for itself and its negative, which count alike where φ is odd.
        axes: along which the normals were drawn, None for those of the coordinates.
    """

    unit: FloatArray
    component: NDArray[np.intp]
    batch: NDArray[np.intp]
    mixture: Mixture
    paired: bool
    axes: FloatArray | None = None

    @cached_property
    def z(self) -> FloatArray:
        """The points, (K, d)."""
        return self.mixture.placed(self.unit, self.component)

    @cached_property
    def log_q(self) -> FloatArray:
        """Log of their density, (K,)."""
        return np.asarray(np.logaddexp.reduce(self.mixture.log_densities(self.z), axis=1))

    def part(self, batches: NDArray[np.intp]) -> Sample:
        """Some of the batches, with mean and covariance exact again."""
        kept = np.isin(self.batch, batches)
        unit = standardised(self.unit[kept], paired=self.paired)
        return Sample(unit, self.component[kept], self.batch[kept], self.mixture, self.paired, self.axes)


def sample(
    d: int,
    size: int,
    seed: int | tuple[int, ...],
    mixture: Mixture,
    *,
    mirrored: FloatArray | None,
    paired: bool,
    axes: FloatArray | None = None,
) -> Sample:
    """Independently scrambled Sobol sequences, one a batch.

    Args:
        d: dimensions.
        size: points of a batch, a power of 2.
        seed: of the scrambling.
        mixture: what is drawn from.
        mirrored: signs of the coordinates, (d,), which half of the points have: those of a symmetry, so that a state
            that it leaves as it is stays so.
        paired: the negatives are left out; otherwise each normal comes with its negative.
        axes: orthonormal columns along which the normals are drawn, (d, d): the first coordinates of a sequence are
            the most even.
    """
    drawn = max(1, size // ((1 if mirrored is None else 2) * (1 if paired else 2)))
    units, components = [], []
    for stream in np.random.default_rng(seed).spawn(BATCHES):
        unit, component = scrambled(stream, mixture.weight, d, drawn)
        if axes is not None:
            unit = unit @ axes.T
        if mirrored is not None:
            unit, component = np.concatenate([unit, unit * mirrored]), np.tile(component, 2)
        if not paired:
            unit, component = np.concatenate([unit, -unit]), np.tile(component, 2)
        units.append(standardised(unit, paired=paired))
        components.append(component)
    batch = np.repeat(np.arange(BATCHES), [len(part) for part in units])
    return Sample(np.concatenate(units), np.concatenate(components), batch, mixture, paired, axes)


def scrambled(rng: np.random.Generator, weight: FloatArray, d: int, count: int) -> tuple[FloatArray, NDArray[np.intp]]:
    """A scrambled Sobol sequence as normals, (count, d), and components of a mixture of these weights, (count,)."""
    from scipy.special import ndtri
    from scipy.stats import qmc  # takes longer to load than a linear problem to solve

    several = len(weight) > 1
    u = qmc.Sobol(d + several, scramble=True, rng=rng).random(count)
    unit = ndtri(np.clip(u[:, several:], 1e-15, 1 - 1e-15))
    edges = np.cumsum(weight)[:-1]
    return unit, np.searchsorted(edges, u[:, 0]) if several else np.zeros(count, dtype=np.intp)


def standardised(z: FloatArray, *, paired: bool) -> FloatArray:
    """Points taken linearly to mean 0 and covariance 1; too few for that are left as they are."""
    if len(z) <= 2 * z.shape[1]:
        return z
    centred = z if paired else z - z.mean(axis=0)
    L = sla.cholesky(centred.T @ centred / len(z), lower=True)
    return np.asarray(np.ascontiguousarray(sla.solve_triangular(L, centred.T, lower=True).T))


def placed(
    samples: tuple[Sample, ...],
    groups: tuple[Group, ...],
    space: TrajectorySpace,
    phi: Activation,
    mean: FloatArray,
    covariance: FloatArray,
) -> Nodes:
    """The points of all groups together, for a trajectory of this mean and covariance.

    Raises:
        numpy.linalg.LinAlgError: the covariance is not positive-definite.
    """
    count = len(samples[0].z)
    points, log_weight = np.empty((count, space.d)), np.full(count, -np.log(count))
    for group, sample in zip(groups, samples, strict=True):
        L = sla.cholesky(group.of_coordinates(covariance), lower=True)
        points[:, group.coordinates] = mean[group.coordinates] + sample.z @ L.T
        log_weight += np.log(np.diagonal(L)).sum() - sample.log_q
    return Nodes(points, phi.value(points @ space.embedding.T), log_weight)
