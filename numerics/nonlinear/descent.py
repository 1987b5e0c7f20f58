r"""Descent of F over the laws of one neuron's trajectory: cheap, from any law, to the minimum below it.

For any law q of the trajectory g,

    F(q) = ½ yᵀ(v𝒯Φ𝒯ᵀ+κ)⁻¹y + KL(q ‖ N(0, C_g[Φ])),   Φ = ⟨φφᵀ⟩_q,

is at least ``F[Φ, Φ̃]`` of docs/theory.md section 4 maximised over Φ̃, and equal to it where q is the tilted law, for
``max_Φ̃ [tr Φ̃Φ - ln Z]`` is the least divergence of a law with that Φ. So the minima of F(q) are those of F(Φ), and
nothing has to be maximised on the way. The derivative of F by q is ``ln q - ln N(g|0, C_g[Φ]) - φᵀΦ̃φ`` up to a
constant, Φ̃ given by the second condition of docs/theory.md section 4 with the moments of q; steps of ln q against it
(mirror descent: those of steepest descent in the metric of the laws themselves) keep to the family

    ln q = -½ gᵀA g + φᵀBφ - ln Z,

which contains every state. Averages are over points of a heavy-tailed law that is placed by q's mean and covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg as sla
from scipy.special import gammaincinv, gammaln, ndtri
from scipy.stats import qmc

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.iteration import explicit_conjugate
from numerics.nonlinear.nodes import tilted_moments
from numerics.nonlinear.reduced import dual_variables
from numerics.nonlinear.space import TrajectorySpace

#: Points for each dimension of the trajectory, and the least and the most of them.
POINTS_PER_DIMENSION, FEWEST, MOST = 192, 512, 2048
#: Degrees of freedom of the law that they are drawn from, and its width over that of q.
FREEDOM, WIDER = 6.0, 1.1
#: Steps after which the points are placed anew.
PLACED = 8
#: Share of the way to the tilted law in the first step; its growth, and the most and the least.
FIRST, GROWTH, LARGEST, SMALLEST = 0.2, 1.3, 0.8, 1e-8
#: Share of the points that count which a step must keep, and the least that may count.
KEPT, COUNTING = 0.5, 0.02
#: Gain in F over 1 + |F|, for each unit of the share, below which a step is idle; so many idle ones end the way.
IDLE, PATIENCE = 1e-5, 4


class Law(NamedTuple):
    """A law of the family, with its averages on the points that it was evaluated on.

    Attributes:
        precision, tilt: A (d, d) and B (m, m).
        free_energy: F(q).
        kernel, mean, covariance: Φ (m, m), mean (d,) and covariance (d, d) of g.
        points, probability: g, (K, d), and the weights of q, (K,).
        counting: share of the points that count.
    """

    precision: FloatArray
    tilt: FloatArray
    free_energy: float
    kernel: FloatArray
    mean: FloatArray
    covariance: FloatArray
    points: FloatArray
    probability: FloatArray
    counting: float


@dataclass(frozen=True, eq=False)
class _Placed:
    """Points of one placement: g, φ of them, log of the density that they are drawn with."""

    points: FloatArray
    activity: FloatArray
    log_density: FloatArray


class Descent:
    """Descent on the random numbers of one seed."""

    def __init__(self, d: int, phi: Activation, seed: int) -> None:
        self._phi = phi
        count = 1 << int(np.ceil(np.log2(np.clip(POINTS_PER_DIMENSION * d, FEWEST, MOST))))
        u = np.clip(qmc.Sobol(d + 1, scramble=True, rng=np.random.default_rng(seed)).random(count), 1e-12, 1 - 1e-12)
        radius = np.sqrt(2 * gammaincinv(FREEDOM / 2, u[:, d]) / FREEDOM)
        z = ndtri(u[:, :d]) / radius[:, None]
        self._z = z if phi.odd else np.concatenate([z, -z])  # for odd φ g and -g count alike
        constant = gammaln((FREEDOM + d) / 2) - gammaln(FREEDOM / 2) - 0.5 * d * np.log(FREEDOM * np.pi)
        self._log_density = constant - 0.5 * (FREEDOM + d) * np.log1p(np.sum(self._z**2, axis=1) / FREEDOM)

    def normal(self, space: TrajectorySpace, covariance: FloatArray) -> Law | None:
        """The centred normal law of a covariance, (d, d); None where it is singular."""
        try:
            placed = self._place(space, np.zeros(space.d), covariance)
            return self._at(space, placed, _inverse(covariance), np.zeros((space.m, space.m)))
        except np.linalg.LinAlgError:
            return None

    def down(self, space: TrajectorySpace, law: Law, steps: int) -> tuple[Law, bool]:
        """Where so many steps down lead, or fewer if F falls no more; and whether that is so.

        The labels and the noise are those of `space`: the law may come from others.
        """
        share, idle, now = FIRST, 0, law
        placed: _Placed | None = None
        for step in range(steps):
            try:
                if placed is None or step % PLACED == 0:
                    placed = self._place(space, now.mean, now.covariance)
                    now = self._at(space, placed, now.precision, now.tilt)
                towards = self._tilted(space, now)
            except np.linalg.LinAlgError:
                return now, False
            share = min(LARGEST, GROWTH * share)
            new = self._lower(space, placed, now, towards, share)
            while new is None and share > SMALLEST:
                share *= 0.5
                new = self._lower(space, placed, now, towards, share)
            gain = 0.0 if new is None else now.free_energy - new.free_energy
            idle = idle + 1 if gain < IDLE * min(share, FIRST) * (1 + abs(now.free_energy)) else 0
            if new is None:
                placed, share = None, FIRST
            else:
                now = new
            if idle == PATIENCE:
                return now, new is not None
        return now, False

    def _tilted(self, space: TrajectorySpace, law: Law) -> tuple[FloatArray, FloatArray]:
        """(A, B) of the tilted law that the moments give; ln q's distance to it is minus the derivative of F."""
        second = law.covariance + np.outer(law.mean, law.mean)
        return _inverse(space.covariance(law.kernel)), explicit_conjugate(space, law.kernel, second)

    def _lower(
        self, space: TrajectorySpace, placed: _Placed, now: Law, towards: tuple[FloatArray, FloatArray], share: float
    ) -> Law | None:
        """The law a share of the way to another, if F is lower there and enough points count."""
        try:
            new = self._at(
                space,
                placed,
                (1 - share) * now.precision + share * towards[0],
                (1 - share) * now.tilt + share * towards[1],
            )
            np.linalg.cholesky(new.covariance)
        except np.linalg.LinAlgError:
            return None
        lower = new.free_energy <= now.free_energy + 1e-13 * (1 + abs(now.free_energy))
        return new if lower and new.counting > max(KEPT * now.counting, COUNTING) else None

    def _place(self, space: TrajectorySpace, mean: FloatArray, covariance: FloatArray) -> _Placed:
        L = WIDER * sla.cholesky(covariance, lower=True)
        points = mean + self._z @ L.T
        log_volume = float(np.log(np.diagonal(L)).sum())
        return _Placed(points, self._phi.value(points @ space.embedding.T), self._log_density - log_volume)

    def _at(self, space: TrajectorySpace, placed: _Placed, precision: FloatArray, tilt: FloatArray) -> Law:
        """The law with its averages.

        Raises:
            numpy.linalg.LinAlgError: no averages can be made, or they give a singular covariance.
        """
        g, activity = placed.points, placed.activity
        log_q = np.einsum("ki,ki->k", activity @ tilt, activity) - 0.5 * np.einsum("ki,ki->k", g @ precision, g)
        log_p = log_q - placed.log_density
        top = float(log_p.max())
        if not np.isfinite(top):
            raise np.linalg.LinAlgError("the law has no finite density on the points")
        p = np.exp(log_p - top)
        log_Z = top + float(np.log(p.mean()))
        p /= p.sum()
        mean, covariance = tilted_moments(g, p, odd=self._phi.odd)
        second = covariance + np.outer(mean, mean)
        kernel = (activity * p[:, None]).T @ activity
        whitening = np.linalg.inv(sla.cholesky(space.covariance(kernel), lower=True))
        log_normal = np.log(np.diagonal(whitening)).sum() - 0.5 * space.d * np.log(2 * np.pi)
        log_normal -= 0.5 * np.vdot(whitening.T @ whitening, second)
        divergence = np.vdot(tilt, kernel) - 0.5 * np.vdot(precision, second) - log_Z - log_normal
        energy = space.energy(dual_variables(space, kernel)[1])
        counting = float(1 / (np.vdot(p, p) * len(p)))
        return Law(precision, tilt, float(energy + divergence), kernel, mean, covariance, g, p, counting)


def _inverse(matrix: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
