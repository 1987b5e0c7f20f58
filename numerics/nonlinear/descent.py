"""Descent of F over the laws of one neuron's trajectory (``laws``): cheap, from any law, to the minimum below it.

The derivative of F by q is ``ln q - ln q*`` up to a constant, q* the tilted law; a step goes a share of the way from
ln q to ln q* (mirror descent: the steepest in the metric of the laws themselves). Averages are over points of a
heavy-tailed law that is placed by the mean and covariance of the law on its way.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.laws import Law, law_at, tilted
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.space import TrajectorySpace
from numerics.progress import Told

#: Points for each dimension of the trajectory, the least and the most for that; for each entry of ``⟨ggᵀ⟩``, and
#: the most in all: on fewer, a law goes down by the chance of the points.
POINTS_PER_DIMENSION, FEWEST, ENOUGH, POINTS_PER_ENTRY, MOST = 192, 512, 2048, 24, 8192
#: Degrees of freedom of the law that they are drawn from, where dimensions are few, and its width over that of q.
FREEDOM, WIDER = 6, 1.1
#: Steps after which the points are placed anew.
PLACED = 8
#: Share of the way to the tilted law in the first step; its growth, and the most and the least.
FIRST, GROWTH, LARGEST_SHARE, SMALLEST_SHARE = 0.2, 1.3, 0.8, 1e-8
#: Share of the points that count which a step must keep, and the least that may count.
KEPT, COUNTING = 0.5, 0.02
#: Gain in F over 1 + |F|, for each unit of the share, below which a step is idle; so many idle ones end the way.
IDLE, PATIENCE = 1e-5, 4


class Descent:
    """Descent on the random numbers of one seed."""

    def __init__(self, d: int, phi: Activation, seed: int, told: Told | None = None) -> None:
        from scipy.special import gammaincinv, gammaln, ndtri
        from scipy.stats import qmc  # takes longer to load than a linear problem to solve

        self._phi, self._told = phi, told or Told()
        few, entries = np.clip(POINTS_PER_DIMENSION * d, FEWEST, ENOUGH), POINTS_PER_ENTRY * d * (d + 1) / 2
        # in many dimensions a law of heavy tails has hardly any points at the radius where a normal one has its own
        freedom, enough = (FREEDOM, few) if entries <= few else (d, entries)
        count = 1 << int(np.ceil(np.log2(min(enough, MOST))))
        u = np.clip(qmc.Sobol(d + 1, scramble=True, rng=np.random.default_rng(seed)).random(count), 1e-12, 1 - 1e-12)
        radius = np.sqrt(2 * gammaincinv(freedom / 2, u[:, d]) / freedom)
        z = ndtri(u[:, :d]) / radius[:, None]
        self._z = z if phi.odd else np.concatenate([z, -z])  # for odd φ g and -g count alike
        constant = gammaln((freedom + d) / 2) - gammaln(freedom / 2) - 0.5 * d * np.log(freedom * np.pi)
        self._log_density = constant - 0.5 * (freedom + d) * np.log1p(np.sum(self._z**2, axis=1) / freedom)

    def normal(self, space: TrajectorySpace, covariance: FloatArray) -> Law | None:
        """The centred normal law of a covariance, (d, d); None where it is singular."""
        try:
            nodes = self._nodes(space, np.zeros(space.d), covariance)
            return law_at(space, self._phi, nodes, np.asarray(np.linalg.inv(covariance)), np.zeros((space.m, space.m)))
        except np.linalg.LinAlgError:
            return None

    @recorded
    def down(self, space: TrajectorySpace, law: Law, steps: int) -> tuple[Law, bool]:
        """Where so many steps down lead, or fewer if F falls no more; and whether that is so.

        The labels and the noise are those of `space`: the law may come from others.
        """
        share, idle, now = FIRST, 0, law
        nodes: Nodes | None = None
        for step in range(steps):
            self._told.steps(step, steps)
            try:
                if nodes is None or step % PLACED == 0:
                    nodes = self._nodes(space, now.mean, now.covariance)
                    now = law_at(space, self._phi, nodes, now.precision, now.tilt)
                towards = tilted(space, now)
            except np.linalg.LinAlgError:
                return now, False
            share = min(LARGEST_SHARE, GROWTH * share)
            new = self._lower(space, nodes, now, towards, share)
            while new is None and share > SMALLEST_SHARE:
                share *= 0.5
                new = self._lower(space, nodes, now, towards, share)
            gain = 0.0 if new is None else now.free_energy - new.free_energy
            idle = idle + 1 if gain < IDLE * min(share, FIRST) * (1 + abs(now.free_energy)) else 0
            if new is None:
                nodes, share = None, FIRST
            else:
                now = new
            if idle == PATIENCE:
                return now, new is not None
        return now, False

    def _lower(
        self, space: TrajectorySpace, nodes: Nodes, now: Law, towards: tuple[FloatArray, FloatArray], share: float
    ) -> Law | None:
        """The law a share of the way to another, if F is lower there and enough points count."""
        try:
            precision = (1 - share) * now.precision + share * towards[0]
            new = law_at(space, self._phi, nodes, precision, (1 - share) * now.tilt + share * towards[1])
        except np.linalg.LinAlgError:
            return None
        lower = new.free_energy <= now.free_energy + 1e-13 * (1 + abs(now.free_energy))
        return new if lower and new.counting > max(KEPT * now.counting, COUNTING) else None

    def _nodes(self, space: TrajectorySpace, mean: FloatArray, covariance: FloatArray) -> Nodes:
        L = WIDER * sla.cholesky(covariance, lower=True)
        points = mean + self._z @ L.T
        log_weight = np.log(np.diagonal(L)).sum() - self._log_density - np.log(len(points))
        return Nodes(points, self._phi.value(points @ space.embedding.T), log_weight)
