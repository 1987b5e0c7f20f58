"""Points that follow the law of a trajectory of many dimensions by a Markov chain.

A fixed sample says little of a law in 21 dimensions: few of its points count. Here points stay in the law while it
changes: they are weighted by the ratio of the new law to the old, drawn again by these weights, and moved by
Hamiltonian Monte Carlo, which leaves the new law as it is; the mean weights multiply to Z (a sequential Monte Carlo
sampler; Del Moral, Doucet & Jasra, J. R. Stat. Soc. B 68, 411 (2006)). The activation is odd, so that the mean is 0.

With ``g = L z`` and ``LLᵀ = C`` the law is ``exp(-½ |z|² + t)``, ``t = φᵀΦ̃φ``: nothing has to be inverted, however
little a trajectory changes from one time to the next. With its force ``s = ∂t/∂g``, integration by parts gives

    C⁻¹⟨ggᵀ⟩C⁻¹ - C⁻¹ = ⟨∂²t/∂g²⟩ + ⟨s sᵀ⟩,

the message that the second condition of docs/theory.md section 4 carries back in time. Its noise is in proportion to
Φ̃, that of ``⟨ggᵀ⟩`` to C and so, through the inverse, largest where the network does nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sla
from numpy.typing import NDArray

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.laws import Law, law_at
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.space import TrajectorySpace

#: Share of the points that count which a step from one law to the next must keep.
KEPT_BY_LAW = 0.5
#: Kicks of a Hamiltonian path between which it turns as that of a normal law; its first and largest turn, the spread of
#: turns, the share of accepted paths that the turn is kept to, and how fast.
KICKS, TURN, LARGEST_TURN, SPREAD, ACCEPTED, ADAPTED = 3, 0.3, np.pi / 6, 0.2, 0.8, 0.5
#: The least share of a way that is one part of it.
SHORTEST = 1e-6
#: Step of h that the derivative of φ' is taken with.
CURVED = 0.02
#: What changes with the law, beside the state of the random numbers.
CHANGING = ("root", "tilt", "log_Z", "_scale", "_z", "_height", "_turn")

#: Arrays in single precision: that of the heights is far below what the acceptance asks for.
Single = NDArray[np.float32]
#: L (d, d) and Φ̃ (m, m) of a law.
Tilted = tuple[FloatArray, FloatArray]


class Walkers:
    """Points of a law ``exp(-½|z|² + φᵀΦ̃φ)/Z``, ``g = L z``, which change with it.

    Attributes:
        root, tilt: L (d, d) and Φ̃ (m, m) of the law.
        log_Z: ln Z over that of the normal law, by the weights so far.
    """

    def __init__(
        self, space: TrajectorySpace, phi: Activation, root: FloatArray, count: int, rng: np.random.Generator
    ) -> None:
        """Points of the normal law ``N(0, LLᵀ)``."""
        self._space, self._phi, self._rng, self._turn = space, phi, rng, TURN
        self.root, self.tilt, self.log_Z = root, np.zeros((space.m, space.m)), 0.0
        self._scale = np.eye(space.d)
        self._z = rng.standard_normal((count, space.d), dtype=np.float32)
        self._height = np.zeros(count)

    def kept(self) -> tuple[Any, ...]:
        """All that changes with the law."""
        return *(getattr(self, name) for name in CHANGING), self._rng.bit_generator.state

    def restore(self, kept: tuple[Any, ...]) -> None:
        """Take the points back to where they were when ``kept`` was taken."""
        for name, value in zip(CHANGING, kept[:-1], strict=True):
            setattr(self, name, value)
        self._rng.bit_generator.state = kept[-1]

    def place(self, second: FloatArray) -> None:
        """Steps are in proportion to a second moment ``⟨zzᵀ⟩`` from here on.

        Raises:
            numpy.linalg.LinAlgError: it is not positive-definite.
        """
        self._scale = sla.cholesky(second, lower=True)

    def towards(self, law: Tilted, updates: int, kept: float = KEPT_BY_LAW) -> bool:
        """To another law, and so many updates of the Markov chain there; nothing where too few points count."""
        height = self._tilted(law)
        change = height - self._height
        top = float(change.max())
        p = np.exp(change - top)
        if not p.sum() ** 2 >= kept * len(p) * np.vdot(p, p):  # what is not finite neither
            return False
        self.log_Z += top + float(np.log(p.mean()))
        self.root, self.tilt = law
        places = (np.arange(len(p)) + self._rng.random()) / len(p)
        drawn = np.searchsorted(np.cumsum(p / p.sum())[:-1], places)
        self._move(self._z[drawn], updates)
        return True

    def anneal(self, law: Tilted, updates: int, kept: float = KEPT_BY_LAW) -> None:
        """To another law, in as many parts as it takes.

        Raises:
            numpy.linalg.LinAlgError: no part is short enough.
        """
        start, done, share = (self.root, self.tilt), 0.0, 1.0
        while done < 1.0:
            reached = min(1.0, done + share)
            root, tilt = (here + reached * (there - here) for here, there in zip(start, law, strict=True))
            if self.towards((root, tilt), updates, kept):
                done, share = reached, 2 * share
            else:
                share *= 0.5
                if share < SHORTEST:
                    raise np.linalg.LinAlgError("the points do not follow the law")

    def nodes(self) -> Nodes:
        """The points as those of a rule: their weights are equal in this law."""
        z = self._z.astype(np.float64)
        points = z @ self.root.T
        activity = self._phi.value(points @ self._space.embedding.T)
        log_q = np.einsum("ki,ki->k", activity @ self.tilt, activity) - 0.5 * np.einsum("ki,ki->k", z, z) - self.log_Z
        log_q -= np.log(np.abs(np.diagonal(self.root))).sum() + 0.5 * self._space.d * np.log(2 * np.pi)
        return Nodes(points, activity, -log_q - np.log(len(points)))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Φ (m, m) and the message ``⟨∂²t/∂g²⟩ + ⟨s sᵀ⟩`` (d, d)."""
        embedding, tilt = (part.astype(np.float32) for part in (self._space.embedding @ self.root, self.tilt))
        h, K, step = self._z @ embedding.T, np.float32(len(self._z)), np.float32(CURVED)
        activity, slope = self._phi.value(h), self._phi.derivative(h)
        tilted = activity @ tilt
        # for odd φ the error of first order vanishes: φ''' is even
        curved = (self._phi.derivative(h + step) - slope) / step
        force = 2 * tilted * slope
        message = force.T @ force / K + 2 * tilt * (slope.T @ slope / K)
        message[np.diag_indices(len(message))] += 2 * np.einsum("ki,ki->i", curved, tilted) / K
        E, precise = self._space.embedding, activity.astype(np.float64)  # of single precision Φ is not positive
        return precise.T @ precise / len(precise), E.T @ message.astype(np.float64) @ E

    def _tilted(self, law: Tilted) -> FloatArray:
        """t of a law at each point."""
        embedding, tilt = (part.astype(np.float32) for part in (self._space.embedding @ law[0], law[1]))
        activity = self._phi.value(self._z @ embedding.T)
        return np.asarray(np.einsum("ki,ki->k", activity @ tilt, activity), dtype=np.float64)

    def _move(self, points: Single, updates: int) -> None:
        """By so many paths: turns of the normal law of the scale, and kicks of the rest (a split Hamiltonian)."""
        single = np.float32
        scale, tilt, precision, embedding = (
            part.astype(single)
            for part in (
                self._scale,
                self.tilt,
                self._scale.T @ self._scale,
                self._space.embedding @ self.root @ self._scale,
            )
        )

        def at(x: Single) -> tuple[Single, Single, Single]:
            """t, log of the density, and what the gradient of the latter is beyond -x."""
            h = x @ embedding.T
            activity, whitened = self._phi.value(h), x @ precision
            tilted = activity @ tilt
            kick = (2 * tilted * self._phi.derivative(h)) @ embedding - whitened + x
            height = np.einsum("ki,ki->k", tilted, activity)
            return height, height - 0.5 * np.einsum("ki,ki->k", whitened, x), kick

        x: Single = np.asarray(sla.solve_triangular(scale, points.T, lower=True).T, dtype=single)
        height, log_p, kick = at(x)
        for _ in range(updates):
            velocity: Any = self._rng.standard_normal(x.shape, dtype=single)
            before = log_p - 0.5 * np.einsum("ki,ki->k", velocity, velocity)
            turn: Single = (self._turn * self._rng.uniform(1 - SPREAD, 1 + SPREAD, (len(x), 1))).astype(single)
            cosine, sine, new = np.cos(turn), np.sin(turn), (height, log_p, kick)
            place = x
            for _ in range(KICKS):
                velocity = velocity + 0.5 * turn * new[2]
                place, velocity = cosine * place + sine * velocity, cosine * velocity - sine * place
                new = at(place)
                velocity = velocity + 0.5 * turn * new[2]
            after = new[1] - 0.5 * np.einsum("ki,ki->k", velocity, velocity)
            taken = np.log(self._rng.random(len(x))) < after - before
            x, kick = np.where(taken[:, None], place, x), np.where(taken[:, None], new[2], kick)
            height, log_p = np.where(taken, new[0], height), np.where(taken, new[1], log_p)
            self._turn = min(LARGEST_TURN, self._turn * float(np.exp(ADAPTED * (taken.mean() - ACCEPTED))))
        self._z, self._height = x @ scale.T, height.astype(np.float64)


def on_other_points(space: TrajectorySpace, phi: Activation, law: Law, count: int, seed: int, updates: int) -> Law:
    """The law with its averages on points that it was not fitted to, from the normal part of it on.

    Raises:
        numpy.linalg.LinAlgError: that is none, or points do not follow the law.
    """
    upper = sla.cholesky(law.precision)
    root = sla.solve_triangular(upper, np.eye(space.d))  # of A⁻¹
    walkers = Walkers(space, phi, root, count, np.random.default_rng(seed))
    walkers.place(upper @ law.covariance @ upper.T)
    walkers.anneal((root, law.tilt), updates)
    return law_at(space, phi, walkers.nodes(), law.precision, law.tilt)
