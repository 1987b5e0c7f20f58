r"""F over the laws of one neuron's trajectory, on weighted points, with its derivatives; and Newton's step down it.

For any law q of the trajectory g,

    F(q) = ½ yᵀ(v𝒯Φ𝒯ᵀ+κ)⁻¹y + KL(q ‖ N(0, C_g[Φ])),   Φ = ⟨φφᵀ⟩_q,

is at least ``F[Φ, Φ̃]`` of docs/theory.md section 4 maximised over Φ̃, and equal to it where q is the tilted law, for
``max_Φ̃ [tr Φ̃Φ - ln Z]`` is the least divergence of a law with that Φ. So the minima of F(q) are those of F(Φ), and
nothing has to be maximised on the way. Every state is in the family

    ln q = -½ gᵀA g + φᵀBφ - ln Z,

of parameters η = (-½A, B) and moments μ = (⟨ggᵀ⟩, Φ). There ``dF = (η - η*(μ))·dμ`` with the parameters of the tilted
law, ``η* = (-½C_g⁻¹, Φ̃)``, Φ̃ by the second condition of docs/theory.md section 4; and as ``dμ = G dη`` with the
covariance G of (ggᵀ, φφᵀ) under q, Newton's step is ``δη = -(1 - η*' G)⁻¹(η - η*)``. The operator is symmetric under
the scalar product of G, the metric of the laws themselves, and mostly close to 1: conjugate gradients solve it without
a matrix, within a radius, and leave along directions of negative curvature (Steihaug, SIAM J. Numer. Anal. 20, 626
(1983)). On fixed points all of this is exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.iteration import explicit_conjugate
from numerics.nonlinear.journal import recorded
from numerics.nonlinear.nodes import Nodes, tilted_moments
from numerics.nonlinear.space import TrajectorySpace

#: Conjugate gradients: iterations, and the share of the gradient that is left.
ITERATIONS, LEFT = 60, 0.03
#: First radius of a step, the longest and the shortest; gain, in units of what an entry of the moments gains by the
#: chance of the points that count, below which no step leads down.
RADIUS, LONGEST_RADIUS, SHORTEST_RADIUS, NOISE = 0.5, 2.0, 1e-6, 0.5
#: Share of the points that count which the way down must keep, and the least that may count.
KEPT, COUNTING = 0.8, 0.02

#: Changes of η or of μ: the part of ggᵀ (d, d) and that of φφᵀ (m, m).
Pair = tuple[FloatArray, FloatArray]


class Law(NamedTuple):
    """A law of the family, with its averages on the points that it was evaluated on.

    Attributes:
        precision, tilt: A (d, d) and B (m, m).
        free_energy: F(q).
        kernel, mean, covariance: Φ (m, m), mean (d,) and covariance (d, d) of g.
        prior_precision: ``C_g[Φ]⁻¹``, (d, d).
        points, probability: g, (K, d), and the weights of q, (K,).
        counting: share of the points that count.
    """

    precision: FloatArray
    tilt: FloatArray
    free_energy: float
    kernel: FloatArray
    mean: FloatArray
    covariance: FloatArray
    prior_precision: FloatArray
    points: FloatArray
    probability: FloatArray
    counting: float

    @property
    def second(self) -> FloatArray:
        """``⟨ggᵀ⟩``."""
        return np.asarray(self.covariance + self.mean[:, None] * self.mean)


def law_at(space: TrajectorySpace, phi: Activation, nodes: Nodes, precision: FloatArray, tilt: FloatArray) -> Law:
    """The law with its averages.

    Raises:
        numpy.linalg.LinAlgError: no averages can be made, or they give a singular covariance.
    """
    g, activity = nodes.points, nodes.activity
    log_q = np.einsum("ki,ki->k", activity @ tilt, activity) - 0.5 * np.einsum("ki,ki->k", g @ precision, g)
    log_p = log_q + nodes.log_weight
    top = float(log_p.max())
    if not np.isfinite(top):
        raise np.linalg.LinAlgError("the law has no finite density on the points")
    p = np.exp(log_p - top)
    log_Z = top + float(np.log(p.sum()))
    p /= p.sum()
    mean, covariance = tilted_moments(g, p, odd=phi.odd)
    np.linalg.cholesky(covariance)
    second = covariance + mean[:, None] * mean
    kernel = (activity * p[:, None]).T @ activity
    whitening = np.linalg.inv(np.linalg.cholesky(space.covariance(kernel)))
    prior_precision = whitening.T @ whitening
    log_normal = np.log(whitening.diagonal()).sum() - 0.5 * space.d * math.log(2 * math.pi)
    log_normal -= 0.5 * np.vdot(prior_precision, second)
    divergence = np.vdot(tilt, kernel) - 0.5 * np.vdot(precision, second) - log_Z - log_normal
    energy = space.labels.duals(kernel).energy
    counting = float(1 / (np.vdot(p, p) * len(p)))
    return Law(precision, tilt, float(energy + divergence), kernel, mean, covariance, prior_precision, g, p, counting)


def tilted(space: TrajectorySpace, law: Law) -> Pair:
    """(A, B) of the tilted law that the moments give."""
    return law.prior_precision, explicit_conjugate(space, law.kernel, law.second, law.prior_precision)


class NewtonStep(NamedTuple):
    """A step down.

    Attributes:
        precision, tilt: changes of A and B.
        length: in the metric of the laws; its square is twice the divergence between them, to second order.
        gain: by how much F falls, to second order.
        inside: whether it ends within the radius, without having met negative curvature.
    """

    precision: FloatArray
    tilt: FloatArray
    length: float
    gain: float
    inside: bool


def newton_step(space: TrajectorySpace, nodes: Nodes, law: Law, radius: float) -> NewtonStep:
    """Newton's step from a law, no longer than a radius in the metric of the laws."""
    local = _Local(space, nodes, law)
    slope = local.slope()
    x, r = _scaled(0.0, slope), _scaled(-1.0, slope)
    Gx, Gr = _scaled(0.0, slope), local.moments(r)
    rr = start = _dot(r, Gr)
    p, Gp, inside, length2, gain = r, Gr, True, 0.0, 0.0
    for _ in range(ITERATIONS):
        if rr <= LEFT**2 * start or rr <= 0:
            break
        Tp = _plus(p, -1.0, local.towards(Gp))
        curvature, pp, xp = _dot(Tp, Gp), _dot(p, Gp), _dot(x, Gp)
        share = rr / curvature if curvature > 0 else np.inf
        if share**2 * pp + 2 * share * xp + length2 >= radius**2:
            inside = False
            share = (-xp + np.sqrt(max(xp**2 + pp * (radius**2 - length2), 0.0))) / pp
        x, Gx = _plus(x, share, p), _plus(Gx, share, Gp)
        length2 += share**2 * pp + 2 * share * xp
        gain += share * rr - 0.5 * share**2 * curvature
        if not inside:
            break
        r = _plus(r, -share, Tp)
        Gr = local.moments(r)
        rr, before = _dot(r, Gr), rr
        p, Gp = _plus(r, rr / before, p), _plus(Gr, rr / before, Gp)
    return NewtonStep(-2 * x[0], x[1], float(np.sqrt(max(length2, 0.0))), float(gain), inside)


@recorded
def minimised(
    space: TrajectorySpace,
    phi: Activation,
    nodes: Nodes,
    law: Law,
    *,
    steps: int,
) -> tuple[Law, bool]:
    """Where so many steps down F on fixed points lead, or fewer if they end in a minimum; and whether they do.

    A step is taken if F falls by about as much as expected; the radius grows and shrinks with the agreement.
    """
    entries = 0.5 * (space.d * (space.d + 1) + space.m * (space.m + 1))
    radius, least = RADIUS, max(KEPT * law.counting, COUNTING)
    for _ in range(steps):
        step = newton_step(space, nodes, law, radius)
        if step.inside and step.gain <= NOISE * entries / (law.counting * len(law.points)):
            return law, True
        try:
            new = law_at(space, phi, nodes, law.precision + step.precision, law.tilt + step.tilt)
            agreement = (law.free_energy - new.free_energy) / step.gain if new.counting >= least else 0.0
        except np.linalg.LinAlgError:
            agreement = 0.0
        if agreement < 0.25:
            radius = 0.5 * min(radius, step.length)
        elif agreement > 0.7 and not step.inside:
            radius = min(2 * radius, LONGEST_RADIUS)
        if agreement > 0.01:
            law = new
        elif radius < SHORTEST_RADIUS:
            break
    return law, False


class _Local:
    """Derivatives at a law on its points."""

    def __init__(self, space: TrajectorySpace, nodes: Nodes, law: Law) -> None:
        self.space, self.nodes, self.law = space, nodes, law
        self.precision, self.conjugate = tilted(space, law)
        self.duals = space.labels.duals(law.kernel)
        self.weighted = nodes.points * law.probability[:, None], nodes.activity * law.probability[:, None]

    def slope(self) -> Pair:
        """``η - η*``."""
        return -0.5 * (self.law.precision - self.precision), self.law.tilt - self.conjugate

    def moments(self, change: Pair) -> Pair:
        """``G δη``: the change of the moments."""
        g, phi = self.nodes.points, self.nodes.activity
        s = np.einsum("ki,ki->k", g @ change[0], g) + np.einsum("ki,ki->k", phi @ change[1], phi)
        s -= self.law.probability @ s
        return (self.weighted[0] * s[:, None]).T @ g, (self.weighted[1] * s[:, None]).T @ phi

    def towards(self, change: Pair) -> Pair:
        """``η*' δμ``: the change of the tilted law's parameters."""
        space, Q = self.space, self.precision
        QcQ = Q @ space.changes(change[1]) @ Q
        second = QcQ @ self.law.second @ Q
        conjugate = space.pull_back(0.5 * (Q @ change[0] @ Q - second - second.T + QcQ))
        return 0.5 * QcQ, conjugate + self.duals.change(change[1])


def _dot(a: Pair, b: Pair) -> float:
    return float(np.vdot(a[0], b[0]) + np.vdot(a[1], b[1]))


def _scaled(factor: float, a: Pair) -> Pair:
    return factor * a[0], factor * a[1]


def _plus(a: Pair, factor: float, b: Pair) -> Pair:
    return a[0] + factor * b[0], a[1] + factor * b[1]
