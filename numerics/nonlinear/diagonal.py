"""The incoherent state of one pattern at any T: its times are independent, so that averages are over one variable each.

For odd φ, input at t = 0 and one supervised time, the tilted trajectory is a product of even densities
``N(g_t|0, C_t) exp(Φ̃^tt φ_t²)``, whatever weights are shared; with biases too, where each time has its own. Both
conditions of docs/theory.md section 4 then tie each time to its neighbours, ``Φ^tt = ⟨φ_t²⟩`` and
``Φ̃^tt = (w/2) M_tt (⟨g_{t+1}²⟩/C_{t+1}² - 1/C_{t+1})`` with ``C_{t+1} = w M_tt Φ^tt + β``, and of the covariances in
the Hessian those remain in which every variable comes in even powers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import root

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, SymmetricVectors, symmetric_vectors
from numerics.nonlinear.nodes import Averages
from numerics.nonlinear.reduced import ReducedPoint, natural_hessian, point_at
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import independent

#: Points of the rule for half of a variable's line, at first and at most.
LINE_POINTS, MOST_LINE_POINTS = 400, 1 << 16
#: Points of a panel, where φ has kinks.
PANEL = 20
#: Logarithm of the density, below its maximum, at which the line ends; the most standard deviations that this may take.
DEPTH, FARTHEST = 80.0, 1e6
#: Relative residual of the conditions, and change under a finer rule that is none.
RESIDUAL, RULE_ERROR = 1e-13, 1e-12
#: Smallest part by which the labels' squared scale grows; largest change of ln Φ from one part to the next.
SMALLEST_PART, LARGEST_CHANGE = 1e-4, 0.7


def is_diagonal(space: TrajectorySpace, phi: Activation) -> bool:
    """Whether the random network's branch has independent times: one pattern, or several that coincide."""
    classes = independent(space, phi)
    single = classes is not None and len(np.unique(classes.rows)) == space.m
    return single and len(np.unique(space.times)) == space.m


@dataclass(frozen=True, eq=False)
class _Times:
    """Averages of each time's variable g, with a = φ² and b = g²: each (n,).

    Attributes:
        log_Z: of the density's normalisation.
        a, b, aa, bb, ab: of φ², g², φ⁴, g⁴, φ²g².
        cross: of φ g.
        effective: ``1/Σp²`` of the rule's points.
    """

    log_Z: FloatArray
    a: FloatArray
    b: FloatArray
    aa: FloatArray
    bb: FloatArray
    ab: FloatArray
    cross: FloatArray
    effective: FloatArray


class IndependentTimes:
    """The diagonal state, on rules of a given number of points."""

    def __init__(self, space: TrajectorySpace, phi: Activation, points: int) -> None:
        self._space, self._phi, self._points = space, phi, points
        self._embedding = np.diagonal(space.embedding)
        self._kinks = np.array([kink for kink in phi.kinks if kink > 0])

    def diagonal(self, start: FloatArray) -> FloatArray | None:
        """Φ^tt of the state near a start, (n,); None where there is none."""

        def residual(x: FloatArray) -> FloatArray:
            return self._residual(start * np.exp(x - 1))

        # about 1, as the differences that give the Jacobian are relative
        found: Any = root(residual, np.ones(len(start)), method="hybr", options={"xtol": RESIDUAL})
        diagonal = np.asarray(start * np.exp(found.x - 1))
        return diagonal if np.abs(self._residual(diagonal)).max() <= 100 * RESIDUAL else None

    def point(self, diagonal: FloatArray) -> tuple[ReducedPoint, _Times]:
        """F with what its Hessian needs, at a state."""
        space, vectors = self._space, symmetric_vectors(self._space.m)
        kernel = np.diag(diagonal)
        times, conjugate, C = self._backwards(diagonal)
        precision, response = np.diag(1 / C), np.diag(times.b / C**2)
        average = Averages(
            float(times.log_Z.sum()),
            vectors.vec(np.diag(times.a)),
            vectors.vec(space.pull_back(0.5 * (response - precision))),
            np.ones(1),
            float(times.effective.sum()),
            _covariance(space, vectors, times, C),
            precision,
            response,
        )
        return point_at(space, vectors, kernel, np.diag(conjugate), average), times

    def _residual(self, diagonal: FloatArray) -> FloatArray:
        """``⟨φ²⟩/Φ - 1``, (n,)."""
        with np.errstate(all="ignore"):
            residual = self._backwards(diagonal)[0].a / diagonal - 1
        return np.nan_to_num(residual, nan=1e3, posinf=1e3, neginf=-1e3)

    def _backwards(self, diagonal: FloatArray) -> tuple[_Times, FloatArray, FloatArray]:
        """Averages, Φ̃ and C of each time: Φ̃ comes from the time after, at the supervised one from the labels too."""
        space = self._space
        C = np.diagonal(space.covariance(np.diag(diagonal)))
        conjugate = np.diagonal(space.labels.duals(np.diag(diagonal)).conjugate).copy()
        half = 0.5 * space.problem.w * np.diagonal(space.sharing)
        columns: list[tuple[float, ...]] = []
        for t in reversed(range(space.m)):
            if t + 1 < space.m:
                after = columns[-1]
                conjugate[t] += half[t] * (after[2] / C[t + 1] ** 2 - 1 / C[t + 1])
            columns.append(self._averages(t, float(C[t]), float(conjugate[t])))
        return _Times(*np.array(columns[::-1]).T), conjugate, C

    def _averages(self, t: int, C: float, conjugate: float) -> tuple[float, ...]:
        """By a rule on the half of the line, which even functions have twice."""

        def log_density(g: FloatArray) -> FloatArray:
            return np.asarray(conjugate * self._phi.value(self._embedding[t] * g) ** 2 - g**2 / (2 * C))

        end = np.sqrt(C) * np.geomspace(5, FARTHEST, 200)
        heights = log_density(end)
        top = max(float(heights.max()), float(log_density(np.linspace(0, end[0], 50)).max()))
        low = np.flatnonzero(heights < top - DEPTH)
        g, weight = _half_line(end[low[0]] if len(low) else end[-1], self._kinks / self._embedding[t], self._points)
        heights = log_density(g)
        p = weight * np.exp(heights - heights.max())
        Z = p.sum()
        log_Z = np.log(2 * Z) + heights.max() - 0.5 * np.log(2 * np.pi * C)
        p /= Z
        activity = self._phi.value(self._embedding[t] * g)
        a, b = activity**2, g**2
        means = [p @ part for part in (a, b, a**2, b**2, a * b, activity * g)]
        return float(log_Z), *map(float, means), float(1 / (p @ p))


def _half_line(end: float, kinks: FloatArray, points: int) -> tuple[FloatArray, FloatArray]:
    """A rule for even functions from 0 to where they vanish: the trapezoidal one, or panels that meet at kinks."""
    kinks = kinks[kinks < end]
    if not len(kinks):
        g = np.linspace(0, end, points)
        weight = np.full(points, g[1])
        weight[0] *= 0.5
        return g, weight
    nodes, weights = np.polynomial.legendre.leggauss(PANEL)
    edges = [0.0, *kinks.tolist(), end]
    parts = [
        np.linspace(low, high, max(2, round(points * (high - low) / end / PANEL))) for low, high in pairwise(edges)
    ]
    ends = np.concatenate([part[:-1] for part in parts] + [np.array([end])])
    half, middle = 0.5 * np.diff(ends), 0.5 * (ends[1:] + ends[:-1])
    return (middle[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weights).ravel()


def _covariance(space: TrajectorySpace, vectors: SymmetricVectors, times: _Times, C: FloatArray) -> FloatArray:
    """Covariance of ``φφᵀ`` and ``∂ln N(g|0, C)/∂Φ`` as vectors, (2s, 2s)."""
    s, last = len(vectors.rows), space.m - 1
    at = np.zeros((space.m, space.m), dtype=np.intp)
    at[vectors.rows, vectors.columns] = np.arange(s)
    second = np.zeros((2 * s, 2 * s))
    half = 0.5 * space.problem.w * space.sharing
    for k, (t, r) in enumerate(zip(vectors.rows, vectors.columns, strict=True)):
        weight = vectors.weights[k] ** 2
        second[k, k] = weight * (times.aa[t] - times.a[t] ** 2 if t == r else times.a[t] * times.a[r])
        if r == last:
            continue
        later, kept, t, r = at[t + 1, r + 1], half[t, r], t + 1, r + 1
        pull, both = kept / (C[t] * C[r]), kept**2 / (C[t] * C[r]) ** 2
        second[s + k, s + k] = weight * both * (times.bb[t] - times.b[t] ** 2 if t == r else times.b[t] * times.b[r])
        mixed = times.ab[t] - times.a[t] * times.b[t] if t == r else times.cross[t] * times.cross[r]
        second[later, s + k] = second[s + k, later] = weight * pull * mixed
    return second


def diagonal_state(
    space: TrajectorySpace, phi: Activation, prior: FloatArray, limit: float
) -> NonlinearSolution | None:
    """The random network's kernel followed to the full labels, as accurate as rounding allows or points suffice for.

    Its matrices are on rows of Φ, (m, m); None where it cannot be followed, or its error exceeds the limit.

    Args:
        space, phi: coordinates and activation, for which `is_diagonal`.
        prior: the random network's kernel.
        limit: relative error of Φ that the solution may have: its change under a rule of twice the points.
    """
    points = LINE_POINTS
    diagonal = _followed(space, phi, np.diagonal(prior).copy(), points)
    error = np.inf
    while diagonal is not None and not error <= RULE_ERROR and 2 * points <= MOST_LINE_POINTS:
        points *= 2
        finer = IndependentTimes(space, phi, points).diagonal(diagonal)
        change = np.full(space.m, np.inf) if finer is None else np.abs(finer - diagonal)
        error, diagonal = float(change.max() / diagonal.max()), finer
    if diagonal is None or not error <= limit:
        return None
    point, times = IndependentTimes(space, phi, points).point(diagonal)
    smallest = float(np.linalg.eigvalsh(natural_hessian(space, symmetric_vectors(space.m), point))[0])
    E = space.embedding
    return NonlinearSolution(
        problem=space.problem,
        kernel=point.kernel,
        conjugate=point.conjugate,
        covariance=E @ space.covariance(point.kernel) @ E.T,
        second_moment=E @ np.diag(times.b) @ E.T,
        free_energy=point.free_energy,
        energy=point.energy,
        entropy=point.entropy,
        residual=float(np.abs(times.a / diagonal - 1).max()),  # Φ̃ is made from the averages: ∂F/∂Φ is 0 at any Φ
        engine="quadrature",
        kernel_error=np.diag(change),
        largest_error=float(change.max()),
        points=points * space.m,
        effective_points=point.average.effective_size,
        converged=True,
        status="converged",
        stable=smallest > 0,
        hessian_smallest=smallest,
        branch="incoherent",
        iterations=0,
    )


def _followed(space: TrajectorySpace, phi: Activation, start: FloatArray, points: int) -> FloatArray | None:
    """The diagonal at the full labels, from that without labels."""
    done, step, diagonal = 0.0, 1.0, start
    while done < 1.0:
        part = min(1.0, done + step)
        new = IndependentTimes(space.with_labels(part), phi, points).diagonal(diagonal)
        if new is None or np.abs(np.log(new / diagonal)).max() > LARGEST_CHANGE:
            step *= 0.5
            if step < SMALLEST_PART:
                return None
            continue
        diagonal, done, step = new, part, 2 * step
    return diagonal
