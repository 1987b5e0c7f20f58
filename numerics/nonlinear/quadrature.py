"""Rules for trajectories of few dimensions, placed by the tilted trajectory's mean and covariance.

Smooth φ: the trapezoidal rule in whitened coordinates; for an analytic integrand that decays like a Gaussian its error
falls exponentially with the number of points. φ with kinks: Gauss–Legendre panels along each coordinate that meet
where an h is at one, so that no panel contains a kink. Points of negligible density are left out.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.nodes import Nodes, log_density
from numerics.nonlinear.space import TrajectorySpace

#: Most dimensions of a trajectory that a tensor rule is used for.
MOST_DIMENSIONS = 4
#: Whitened half-width of the grid; its spacing, by dimension, at refinement 1.
EDGE = 9.0
SPACING = {1: 0.2, 2: 0.25, 3: 0.4, 4: 0.5}
#: Ends of panels around the conditional mean, in standard deviations, and points on each at refinement 1, by dimension.
PANELS = (-9.0, -5.5, -3.0, -1.0, 1.0, 3.0, 5.5, 9.0)
PANEL_POINTS = {1: 12, 2: 10, 3: 7, 4: 6}
#: Points whose density falls short of the largest by this (e^-38 = 3e-17) do not count.
NEGLIGIBLE = 38.0
#: Points of a grid that are worked on together.
TOGETHER = 1 << 16
#: The coordinates are at most this much wider than the tilted covariance says, where the untilted one is wider.
WIDEST = 2.5
#: Most that an axis is refined for modes that are narrower than the tilted covariance.
NARROWEST = 4.0


def quadrature_nodes(
    space: TrajectorySpace,
    activation: Activation,
    kernel: FloatArray,
    conjugate: FloatArray,
    moments: tuple[FloatArray, FloatArray],
    refinement: float,
) -> Nodes:
    """A rule for the tilted trajectory at (Φ, Φ̃).

    Args:
        space: the coordinates; at most `MOST_DIMENSIONS` of them.
        activation: φ.
        kernel, conjugate: where points of negligible density are left out.
        moments: mean and covariance of the tilted trajectory, as far as known.
        refinement: points along an axis, as a multiple of the standard rule's.
    """
    C = space.covariance(kernel)
    if activation.kinks:
        nodes = _panel_nodes(space, activation, moments, C, refinement)
        density = log_density(nodes, C, conjugate)
        matters = density > density.max() - NEGLIGIBLE
        return Nodes(nodes.points[matters], nodes.activity[matters], nodes.log_weight[matters])
    axes, factor = _even_axes(space, moments, C, refinement)
    shift, weights = moments[0], np.prod([line[1] - line[0] for line in axes]) * np.prod(np.diagonal(factor))
    if activation.odd:  # g and -g count alike
        shift = np.zeros(space.d)
        axes[0], weights = axes[0][axes[0] > 0], 2 * weights
    points, activity = _grid(space, activation, (axes, factor, shift), C, conjugate)
    return Nodes(points, activity, np.full(len(points), np.log(weights)))


def _grid(
    space: TrajectorySpace,
    activation: Activation,
    place: tuple[list[FloatArray], FloatArray, FloatArray],
    C: FloatArray,
    conjugate: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The points g = (lower triangle) z + shift of a grid in z that count, (K, d), and φ there, (K, m).

    Only the last coordinate differs from point to point; whatever depends on the others is computed once for a line.
    """
    axes, factor, shift = place
    last, line = space.d - 1, axes[-1]
    rows = space.embedding[:, last] != 0  # of activities that know the last coordinate
    root = sla.cholesky(C, lower=True)
    own, cross, both = conjugate[np.ix_(~rows, ~rows)], conjugate[np.ix_(~rows, rows)], conjugate[np.ix_(rows, rows)]
    z = np.stack(np.meshgrid(*axes[:-1], indexing="ij"), axis=-1).reshape(-1, last) if last else np.zeros((1, 0))
    kept: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    best = -np.inf
    for start in range(0, len(z), size := max(1, TOGETHER // len(line))):
        white = z[start : start + size]
        g = white @ factor[:last, :last].T + shift[:last]
        end = (white @ factor[last, :last] + shift[last])[:, None] + factor[last, last] * line
        scaled = sla.solve_triangular(root[:last, :last], g.T, lower=True) if last else g.T
        phi = activation.value(g @ space.embedding[~rows, :last].T)
        ends = [activation.value((g @ row[:last])[:, None] + row[last] * end) for row in space.embedding[rows]]
        density = -0.5 * ((end - (root[last, :last] @ scaled)[:, None]) / root[last, last]) ** 2
        density += (np.sum((phi @ own) * phi, axis=1) - 0.5 * np.sum(scaled**2, axis=0))[:, None]
        for k, value in enumerate(ends):
            with_others = (2 * phi @ cross[:, k])[:, None] + both[k, k] * value
            for j in range(k):
                with_others += 2 * both[k, j] * ends[j]
            density += value * with_others
        best = max(best, float(density.max()))
        at, along = np.nonzero(density > best - NEGLIGIBLE)
        activity = np.empty((len(at), space.m))
        activity[:, ~rows] = phi[at]
        activity[:, rows] = np.stack([value[at, along] for value in ends], axis=1)
        kept.append((np.column_stack([g[at], end[at, along]]), activity, density[at, along]))
    points, activity, density = (np.concatenate(part) for part in zip(*kept, strict=True))
    matters = density > best - NEGLIGIBLE
    return points[matters], activity[matters]


def _even_axes(
    space: TrajectorySpace, moments: tuple[FloatArray, FloatArray], C: FloatArray, refinement: float
) -> tuple[list[FloatArray], FloatArray]:
    """An even grid in whitened coordinates, symmetric about 0 without a point there.

    A tilt that splits the density into two modes leaves each as narrow as the untilted conditional, not as the whole:
    along each axis the spacing is the smaller of the two widths' share.
    """
    factor = sla.cholesky(moments[1], lower=True)
    inverse = np.linalg.inv(factor)
    edge = EDGE * float(np.sqrt(np.clip(np.linalg.eigvalsh(inverse @ C @ inverse.T).max(), 1.0, WIDEST**2)))
    narrow = np.sqrt(np.diagonal(factor.T @ np.linalg.solve(C, factor)))
    axes = []
    for share in np.clip(narrow, 1.0, NARROWEST):
        spacing = SPACING[space.d] / (refinement * share)
        count = np.ceil(edge / spacing)
        axes.append((np.arange(2 * int(count)) + 0.5 - count) * spacing)
    return axes, factor


def _panel_nodes(
    space: TrajectorySpace,
    activation: Activation,
    moments: tuple[FloatArray, FloatArray],
    C: FloatArray,
    refinement: float,
) -> Nodes:
    """Gauss–Legendre panels along each coordinate given the ones before it.

    They lie around the conditional mean, which makes them follow correlations, and end where an h is at a kink. An
    integral over the coordinates that follow is smooth in the ones before, up to where two of these ends meet.
    """
    mean, covariance = moments
    wide = _wider(covariance, C)
    factor = sla.cholesky(wide, lower=True)
    nodes, weights = np.polynomial.legendre.leggauss(max(2, round(PANEL_POINTS[space.d] * refinement)))
    points, white, log_weight = np.empty((1, 0)), np.empty((1, 0)), np.zeros(1)
    for k in range(space.d):
        centre, scale = mean[k] + white @ factor[k, :k], factor[k, k]
        ends = [centre + scale * edge for edge in PANELS]
        last = np.array([row.nonzero()[0].max(initial=-1) for row in space.embedding])
        for row in space.embedding[last == k]:
            for kink in activation.kinks:
                there = (kink - points @ row[:k]) / row[k]
                ends.append(np.clip(there, ends[0], ends[len(PANELS) - 1]))
        edges = np.sort(np.stack(ends, axis=1), axis=1)
        half, middle = 0.5 * np.diff(edges, axis=1), 0.5 * (edges[:, 1:] + edges[:, :-1])
        value = (middle[:, :, None] + half[:, :, None] * nodes).reshape(len(points), -1)
        with np.errstate(divide="ignore"):
            log_here = np.log(half[:, :, None] * weights).reshape(len(points), -1)
        unit = (value - centre[:, None]) / scale
        inside = np.sum(white**2, axis=1)[:, None] + unit**2 < PANELS[-1] ** 2
        parent, column = np.nonzero(inside & np.isfinite(log_here))
        points = np.column_stack([points[parent], value[parent, column]])
        white = np.column_stack([white[parent], unit[parent, column]])
        log_weight = log_weight[parent] + log_here[parent, column]
    return Nodes(points, activation.value(points @ space.embedding.T), log_weight)


def _wider(covariance: FloatArray, C: FloatArray) -> FloatArray:
    """A covariance that is at least the tilted and the untilted one, in every direction."""
    L = sla.cholesky(covariance, lower=True)
    inverse = np.linalg.inv(L)
    size, frame = np.linalg.eigh(inverse @ C @ inverse.T)
    half = L @ (frame * np.sqrt(np.clip(size, 1.0, WIDEST**2)))
    return np.asarray(half @ half.T)
