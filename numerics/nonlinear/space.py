"""Coordinates of one neuron's trajectory h in which its covariance is regular, and symmetric matrices as vectors.

Patterns whose inputs have coincided until a time t have one trajectory until then: Φ has one row for each time and
class of such patterns, and its rows are independent. For odd φ the class holds opposite inputs too, with the sign -1;
for φ of degree 1 (ReLU, linear) inputs that are multiples of each other, with that factor. Rows of ``h^t`` are
``h^t_c = W φ(h^(t-1) of c's class then) + U x^(t-1)``, of rank ``r_t`` that may be below their number:
``h^t = E_t g_t`` with r_t coordinates. At the first time that is ``h^1 = A z`` with ``A Aᵀ = u x^0 x^0ᵀ/D`` and
standard normal z; where the rank is full later, h itself is the coordinate. ``h = E g``, ``g ~ N(0, C_g)``,
``C_g = w R [Φ] Rᵀ + inputs``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray
from numerics.nonlinear.classes import TrajectoryClasses, trajectory_classes

#: Eigenvalues of the input kernel below this, relative to the largest, are zero.
RANK_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class TrajectorySpace:
    """The coordinates of a problem.

    Attributes:
        problem: what is learnt.
        classes: the rows of Φ, m of them, and the patterns and times that each stands for.
        embedding: E, (m, d).
        inputs: ``C_g`` without its part from Φ, (d, d).
        receive: R, (d, m): what of ``φ(h^(t-1))`` reaches each coordinate of time t.
        times: of each coordinate, from 0, (d,).
        mask: 1 where the architecture keeps an entry of Φ, (m, m).
        supervised, labels, noise: rows with labels, the mean of these, and its noise, (s,).
        unexplained: what is left of the labels' squares.
    """

    problem: Problem
    classes: TrajectoryClasses
    embedding: FloatArray
    inputs: FloatArray
    receive: FloatArray
    times: IntArray
    mask: FloatArray
    supervised: IntArray
    labels: FloatArray
    noise: FloatArray
    unexplained: float

    @property
    def d(self) -> int:
        """Dimension of a trajectory."""
        return int(self.embedding.shape[1])

    @property
    def m(self) -> int:
        """Rows of Φ: nP, if no two patterns ever coincide."""
        return int(self.embedding.shape[0])

    def covariance(self, kernel: FloatArray) -> FloatArray:
        """``C_g[Φ]``, (d, d)."""
        return self.inputs + self.problem.w * (self.receive @ (self.mask * kernel) @ self.receive.T)

    def changes(self, directions: FloatArray) -> FloatArray:
        """``δC_g`` for changes of Φ, (…, m, m) to (…, d, d)."""
        return np.asarray(self.problem.w * (self.receive @ (self.mask * directions) @ self.receive.T))

    def with_labels(self, part: float) -> TrajectorySpace:
        """The same coordinates with y² scaled by `part`."""
        problem = self.problem.with_(y=self.problem.y * np.sqrt(part))
        scaled = np.sqrt(part) * self.labels
        return replace(self, problem=problem, labels=scaled, unexplained=part * self.unexplained)

    def pull_back(self, matrix: FloatArray) -> FloatArray:
        """The adjoint of ``δΦ → δC_g``: (…, d, d) matrices to the (…, m, m) entries of Φ that they come from."""
        return np.asarray(self.problem.w * self.mask * (self.receive.T @ matrix @ self.receive))

    def energy(self, dual: FloatArray) -> float:
        """``½ yᵀ(v𝒯Φ𝒯ᵀ + κ)⁻¹y`` from ``(v𝒯Φ𝒯ᵀ + κ)⁻¹y`` on rows with labels."""
        return 0.5 * float(self.labels @ dual) + 0.5 * self.unexplained / self.problem.kappa

    def scores(self, slopes: FloatArray) -> FloatArray:
        """Derivatives by g as derivatives by φ, (…, d) to (…, m)."""
        return slopes @ self.receive

    @cached_property
    def inverse_embedding(self) -> FloatArray:
        """E⁺, (d, m)."""
        return np.asarray(np.linalg.pinv(self.embedding))

    def coordinates(self, trajectories: FloatArray) -> FloatArray:
        """g of pre-activations over all times and patterns, (K, nP) to (K, d)."""
        return np.asarray(trajectories[:, self.classes.representative] @ self.inverse_embedding.T)


def trajectory_space(problem: Problem) -> TrajectorySpace:
    """The coordinates of `problem`.

    Raises:
        InputError: a supervised pattern whose input is zero until its label.
    """
    problem.plain("trajectory_space")
    classes = trajectory_classes(problem)
    m, x = classes.size, classes.inputs(problem) * np.sqrt(problem.u / problem.D)
    back = np.zeros((m, m))
    later = np.flatnonzero(classes.before >= 0)
    back[later, classes.before[later]] = classes.before_factor[later]
    blocks, times = [], []
    for t in range(problem.n):
        rows = classes.times == t
        blocks.append(_coordinates(back[rows], x[rows], first=t == 0))
        times.append(np.full(blocks[-1].shape[1], t))
    embedding = np.zeros((m, sum(block.shape[1] for block in blocks)))
    at = 0
    for t, block in enumerate(blocks):
        embedding[classes.times == t, at : at + block.shape[1]] = block
        at += block.shape[1]
    inverse = np.linalg.pinv(embedding)
    inputs = inverse @ (x @ x.T) @ inverse.T
    same = classes.times[:, None] == classes.times
    mask = np.ones((m, m)) if problem.arch == "rnn" else same.astype(float)
    supervised, labels, weight, unexplained = classes.labels(problem)
    return TrajectorySpace(
        problem,
        classes,
        embedding,
        0.5 * (inputs + inputs.T),
        inverse @ back,
        np.concatenate(times).astype(np.intp),
        mask,
        supervised,
        labels,
        problem.kappa / weight,
        unexplained,
    )


def _coordinates(back: FloatArray, x: FloatArray, *, first: bool) -> FloatArray:
    """E_t, (rows, r_t): the identity where ``W φ + U x`` has full rank after the first time."""
    scaled = x if first else np.concatenate([back, x / max(float(np.abs(x).max(initial=0.0)), 1e-300)], axis=1)
    size, vectors = np.linalg.eigh(scaled @ scaled.T)
    kept = size > RANK_TOLERANCE * size.max(initial=0.0)
    if not first and kept.all():
        return np.eye(len(size))
    return np.asarray(vectors[:, kept] * (np.sqrt(size[kept]) if first else 1.0))
