"""Points that follow the law of a trajectory of many dimensions by a Markov chain.

A fixed sample says little of a law in 21 dimensions: few of its points count, and the 609 parameters of the law,
``ln q = -½ gᵀA g + φᵀBφ - ln Z`` of ``laws``, fit the chance of those that do. Here the points stay in the law while
it changes: they are weighted by the ratio of the new law to the old, drawn again by these weights, and moved by
Hamiltonian Monte Carlo, which leaves the new law as it is; the mean weights multiply to Z (a sequential Monte Carlo
sampler; Del Moral, Doucet & Jasra, J. R. Stat. Soc. B 68, 411 (2006)). The activation is odd, so that the mean is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.laws import Law, Pair, law_at
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.space import TrajectorySpace

#: Share of the points that count which a step from one law to the next must keep.
KEPT = 0.5
#: Steps of a Hamiltonian path, its first length in standard deviations, the spread of lengths, the share of accepted
#: paths that the length is kept to, and how fast.
LEAPS, LENGTH, SPREAD, ACCEPTED, ADAPTED = 5, 0.3, 0.3, 0.8, 0.5
#: Halvings in search of the longest step.
HALVINGS = 20
#: What changes with the law, beside the state of the random numbers.
CHANGING = ("points", "activity", "precision", "tilt", "log_Z", "_factor", "_embedding", "_length")


#: Arrays in single precision.
Single = NDArray[np.float32]


class Walkers:
    """Points of a law, (K, d), which change with it.

    Attributes:
        precision, tilt: A (d, d) and B (m, m) of the law.
        points, activity: g, and φ(h(g)), (K, m).
        log_Z: ln Z, by the weights so far.
    """

    def __init__(
        self, space: TrajectorySpace, phi: Activation, covariance: FloatArray, count: int, rng: np.random.Generator
    ) -> None:
        """Points of the centred normal law of a covariance.

        Raises:
            numpy.linalg.LinAlgError: it is singular.
        """
        self._space, self._phi, self._rng, self._length = space, phi, rng, LENGTH
        self.place(covariance)
        z = rng.standard_normal((count, space.d))
        self.precision, self.tilt = np.asarray(np.linalg.inv(covariance)), np.zeros((space.m, space.m))
        self.points = z @ self._factor.T
        self.activity = phi.value(self.points @ space.embedding.T)
        self.log_Z = float(np.log(np.diagonal(self._factor)).sum()) + 0.5 * space.d * np.log(2 * np.pi)

    def kept(self) -> tuple[Any, ...]:
        """All that changes with the law."""
        return *(getattr(self, name) for name in CHANGING), self._rng.bit_generator.state

    def restore(self, kept: tuple[Any, ...]) -> None:
        """To where they were."""
        for name, value in zip(CHANGING, kept[:-1], strict=True):
            setattr(self, name, value)
        self._rng.bit_generator.state = kept[-1]

    def place(self, covariance: FloatArray) -> None:
        """Steps are in proportion to a covariance from here on."""
        self._factor = sla.cholesky(covariance, lower=True)
        self._embedding = self._space.embedding @ self._factor

    def towards(self, law: Pair, updates: int) -> float:
        """Towards another law (A, B), as far as enough points count; the share of the way.

        Args:
            law: A and B.
            updates: of the Markov chain, in the law that is reached.
        """
        change = law[0] - self.precision, law[1] - self.tilt
        log_ratio = _log_density(self.points, self.activity, *change)
        share = _longest(log_ratio)
        weight = share * log_ratio
        top = float(weight.max())
        p = np.exp(weight - top)
        self.log_Z += top + float(np.log(p.mean()))
        self.precision, self.tilt = self.precision + share * change[0], self.tilt + share * change[1]
        drawn = (np.arange(len(p)) + self._rng.random()) / len(p)
        self._move(self.points[np.searchsorted(np.cumsum(p / p.sum())[:-1], drawn)], updates)
        return share

    def anneal(self, law: Pair, updates: int) -> None:
        """To another law, in as many parts as it takes."""
        while self.towards(law, updates) < 1.0:
            pass

    def nodes(self) -> Nodes:
        """The points as those of a rule: their weights are equal in this law."""
        log_q = _log_density(self.points, self.activity, self.precision, self.tilt) - self.log_Z
        return Nodes(self.points, self.activity, -log_q - np.log(len(self.points)))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Φ (m, m) and ``⟨ggᵀ⟩`` (d, d)."""
        K = len(self.points)
        return self.activity.T @ self.activity / K, self.points.T @ self.points / K

    def _move(self, points: FloatArray, updates: int) -> None:
        """By so many paths, in single precision: that of the heights is far below what the acceptance asks for."""
        single = np.float32
        A, tilt, embedding, out = (
            part.astype(single)
            for part in (self._factor.T @ self.precision @ self._factor, self.tilt, self._embedding, self._factor)
        )

        def at(z: Single) -> tuple[Single, Single]:
            """Log of the density, and its gradient."""
            h = z @ embedding.T
            activity = self._phi.value(h)
            tilted, whitened = activity @ tilt, z @ A
            slope = (2 * tilted * self._phi.derivative(h)) @ embedding - whitened
            return np.einsum("ki,ki->k", tilted, activity) - 0.5 * np.einsum("ki,ki->k", whitened, z), slope

        z = sla.solve_triangular(self._factor, points.T, lower=True).T.astype(single)
        height, slope = at(z)
        for _ in range(updates):
            velocity = self._rng.standard_normal(z.shape, dtype=single)
            before = height - 0.5 * np.einsum("ki,ki->k", velocity, velocity)
            length = (self._length * self._rng.uniform(1 - SPREAD, 1 + SPREAD, (len(z), 1))).astype(single)
            new, pull = z, slope
            for _ in range(LEAPS):
                velocity = velocity + 0.5 * length * pull
                new = new + length * velocity
                reached, pull = at(new)
                velocity = velocity + 0.5 * length * pull
            after = reached - 0.5 * np.einsum("ki,ki->k", velocity, velocity)
            taken = np.log(self._rng.random(len(z))) < after - before
            z, slope = np.where(taken[:, None], new, z), np.where(taken[:, None], pull, slope)
            height = np.where(taken, reached, height)
            self._length *= float(np.exp(ADAPTED * (taken.mean() - ACCEPTED)))
        self.points = (z @ out.T).astype(np.float64)
        self.activity = self._phi.value(self.points @ self._space.embedding.T)


def on_other_points(space: TrajectorySpace, phi: Activation, law: Law, count: int, seed: int, updates: int) -> Law:
    """The law with its averages on points that it was not fitted to, from the normal law of its covariance on.

    Raises:
        numpy.linalg.LinAlgError: the covariance is singular.
    """
    walkers = Walkers(space, phi, law.covariance, count, np.random.default_rng(seed))
    walkers.anneal((law.precision, law.tilt), updates)
    return law_at(space, phi, walkers.nodes(), law.precision, law.tilt)


def _log_density(g: FloatArray, activity: FloatArray, precision: FloatArray, tilt: FloatArray) -> FloatArray:
    """``φᵀBφ - ½ gᵀAg``, (K,)."""
    return np.asarray(np.einsum("ki,ki->k", activity @ tilt, activity) - 0.5 * np.einsum("ki,ki->k", g @ precision, g))


def _longest(log_ratio: FloatArray) -> float:
    """The largest share of a way on which enough points count."""

    def counting(share: float) -> float:
        p = np.exp(share * (log_ratio - log_ratio.max()))
        return float(p.sum() ** 2 / (np.vdot(p, p) * len(p)))

    low, high = 0.0, 1.0
    if counting(1.0) >= KEPT:
        return 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if counting(middle) >= KEPT else (low, middle)
    return low
