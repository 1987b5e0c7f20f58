"""Coordinates of one neuron's trajectory h in which its covariance is regular, and symmetric matrices as vectors.

Patterns whose inputs have coincided until a time t have one trajectory until then: Φ has one row for each time and
class of such patterns, and its rows are independent. Without biases, for odd φ the class holds opposite inputs too,
with the sign -1; for φ of degree 1 (ReLU, linear) inputs that are multiples of each other, with that factor. Rows of
``h^t`` are ``h^t_c = a h^(t-1) + W^(t-1) φ(h^(t-1)) + U x^(t-1) + b^t``, with h^(t-1) that of c's class then
(docs/theory.md section 11), of rank ``r_t`` that may be below their number: ``h^t = E_t g_t`` with r_t coordinates. At
the first time that is ``h^1 = A z`` with ``A Aᵀ = u x^0 x^0ᵀ/D + β`` and standard normal z; where the rank is full
later, h itself is the coordinate. Where an input comes again, rows of h^t may depend on those of earlier times too, as
all share U: then ``h^t = L g_{<t} + E_t g_t``. ``h = E g``, ``g ~ N(0, C_g)``, ``C_g = w R (M∘Φ) Rᵀ + inputs``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray
from numerics.nonlinear.classes import TrajectoryClasses, trajectory_classes
from numerics.nonlinear.labels import Labels

#: Eigenvalues of the input kernel below this, relative to the largest, are zero.
RANK_TOLERANCE = 1e-12
#: Entries of R from which on products with its few others than 0 are worth it, and their share at most.
SPARSE_SIZE, SPARSE = 2500, 0.05


@dataclass(frozen=True, eq=False)
class TrajectorySpace:
    """The coordinates of a problem.

    Attributes:
        problem: what is learnt.
        classes: the rows of Φ, m of them, and the patterns and times that each stands for.
        embedding: E, (m, d).
        inputs: ``C_g`` without its part from Φ, (d, d).
        drives: what of each row's drive ``W^(t-1) φ(h^(t-1)) + U x^(t-1) + b^t`` reaches each coordinate, (d, m).
        receive: R, (d, m): the same of each ``W^(t) φ(h^t)``.
        times: of each coordinate, from 0, (d,).
        sharing: ``M_st`` of the matrices that act on ``φ(h^s)`` and ``φ(h^t)``, (m, m); 0 at the last time.
        labels: of rows.
    """

    problem: Problem
    classes: TrajectoryClasses
    embedding: FloatArray
    inputs: FloatArray
    drives: FloatArray
    receive: FloatArray
    times: IntArray
    sharing: FloatArray
    labels: Labels

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
        received = self._sparse_receive
        if received is None:
            return self.inputs + self.problem.w * (self.receive @ (self.sharing * kernel) @ self.receive.T)
        return np.asarray(self.inputs + self.problem.w * (received @ (received @ (self.sharing * kernel).T).T))

    def changes(self, directions: FloatArray) -> FloatArray:
        """``δC_g`` for changes of Φ, (…, m, m) to (…, d, d)."""
        return np.asarray(self.problem.w * (self.receive @ (self.sharing * directions) @ self.receive.T))

    def with_labels(self, part: float) -> TrajectorySpace:
        """The same coordinates with y² scaled by `part`."""
        problem = self.problem.with_(y=self.problem.y * np.sqrt(part))
        return replace(self, problem=problem, labels=self.labels.scaled(part))

    def with_noise(self, factor: float) -> TrajectorySpace:
        """The same coordinates with κ scaled by a factor."""
        problem = self.problem.with_(kappa=factor * self.problem.kappa)
        return replace(self, problem=problem, labels=self.labels.with_noise(factor))

    def pull_back(self, matrix: FloatArray) -> FloatArray:
        """The adjoint of ``δΦ → δC_g``: (…, d, d) matrices to the (…, m, m) entries of Φ that they come from."""
        received = self._sparse_receive
        if received is None or matrix.ndim > 2:
            return np.asarray(self.problem.w * self.sharing * (self.receive.T @ matrix @ self.receive))
        return np.asarray(self.problem.w * self.sharing * (received.T @ (received.T @ matrix.T).T))

    def scores(self, slopes: FloatArray) -> FloatArray:
        """Derivatives by g as derivatives by φ, (…, d) to (…, m)."""
        return slopes @ self.receive

    @cached_property
    def _sparse_receive(self) -> Any:
        """R where it is large and mostly zeros, as it is where h itself is the coordinate; otherwise None."""
        if self.receive.size < SPARSE_SIZE or np.count_nonzero(self.receive) > SPARSE * self.receive.size:
            return None
        from scipy.sparse import csr_array  # small problems need none

        return csr_array(self.receive)

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
    classes = trajectory_classes(problem)
    m, x = classes.size, classes.inputs(problem) * np.sqrt(problem.u / problem.D)
    if problem.bias > 0:
        x = np.column_stack([x, np.sqrt(problem.bias) * _root(problem.bias_sharing)[classes.times]])
    back = np.zeros((m, m))
    later = np.flatnonzero(classes.before >= 0)
    back[later, classes.before[later]] = classes.before_factor[later]
    drives = np.eye(m)
    if problem.skip > 0:
        drives = np.asarray(np.linalg.inv(drives - problem.skip * back))  # A⁻¹
        back, x = drives @ back, drives @ x
    embedding, times = _embedding(classes.times, back, x)
    inverse = np.linalg.pinv(embedding)
    inputs = inverse @ (x @ x.T) @ inverse.T
    sharing = np.pad(problem.sharing, (0, 1))[np.ix_(classes.times, classes.times)]
    return TrajectorySpace(
        problem,
        classes,
        embedding,
        0.5 * (inputs + inputs.T),
        inverse @ drives,
        inverse @ back,
        times,
        sharing,
        classes.labels(problem),
    )


def _root(covariance: FloatArray) -> FloatArray:
    """A root R of a covariance, ``R Rᵀ``, with as many columns as its rank."""
    size, vectors = np.linalg.eigh(covariance)
    kept = size > RANK_TOLERANCE * size.max()
    return np.asarray(vectors[:, kept] * np.sqrt(size[kept]))


def _embedding(row_times: IntArray, back: FloatArray, x: FloatArray) -> tuple[FloatArray, IntArray]:
    """E, (m, d), and the time of each coordinate, (d,).

    Rows of h are independent sources times a matrix whose rank is d: ``W φ`` of each row before (`back`), and the
    columns of U and the biases (x).
    """
    sources = np.concatenate([back, x / max(float(np.abs(x).max(initial=0.0)), 1e-300)], axis=1)
    embedding, times = np.zeros((len(back), 0)), np.zeros(0, dtype=np.intp)
    known = np.zeros((0, sources.shape[1]))  # the coordinates so far, of the sources
    for t in range(int(row_times.max()) + 1):
        rows = row_times == t
        given = sources[rows]
        lead = np.zeros((len(given), len(known)))
        own = x[rows] if t == 0 else given
        size, vectors = _spectrum(own)
        shared = np.linalg.lstsq(known.T, given.T, rcond=None)[0].T
        rest = given - shared @ known
        left = _spectrum(rest, scale=size.max(initial=0.0) if t else None)
        if t and len(left[0]) < len(size):  # what earlier times and inputs say of this one
            lead, own, (size, vectors) = shared, rest, left
        block = vectors * np.sqrt(size) if t == 0 else (np.eye(len(given)) if len(size) == len(given) else vectors)
        known = np.concatenate([known, np.linalg.pinv(block) @ (given - lead @ known)])
        embedding = np.concatenate([embedding, np.zeros((len(back), block.shape[1]))], axis=1)
        embedding[rows] = np.concatenate([lead, block], axis=1)
        times = np.concatenate([times, np.full(block.shape[1], t)])
    return embedding, times.astype(np.intp)


def _spectrum(given: FloatArray, scale: float | None = None) -> tuple[FloatArray, FloatArray]:
    """The eigenvalues of ``A Aᵀ`` that are not rounding beside the largest, or a scale, and their eigenvectors."""
    size, vectors = np.linalg.eigh(given @ given.T)
    kept = size > RANK_TOLERANCE * (size.max(initial=0.0) if scale is None else scale)
    return size[kept], np.asarray(vectors[:, kept])
