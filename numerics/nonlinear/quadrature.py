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
LARGEST_DIMENSION = 4
#: Whitened half-width of the grid; its spacing, by dimension, at refinement 1.
EDGE = 9.0
SPACING = {1: 0.2, 2: 0.25, 3: 0.4, 4: 0.5}
#: Ends of panels around the conditional mean, in standard deviations, and points on each at refinement 1, by dimension.
PANELS = (-9.0, -5.5, -3.0, -1.0, 1.0, 3.0, 5.5, 9.0)
PANEL_POINTS = {1: 12, 2: 10, 3: 7, 4: 6}
#: Points whose density falls short of the largest by this (e^-38 = 3e-17) do not count.
NEGLIGIBLE = 38.0
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
        space: the coordinates; at most `LARGEST_DIMENSION` of them.
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
    axes, transform = _even_axes(space, moments, C, refinement)
    shift = moments[0]
    half = activation.odd  # g and -g count alike
    if half:
        shift = np.zeros(space.d)
        line, weight = axes[0]
        axes[0] = (line[line > 0], 2 * weight[line > 0])
    log_jacobian = float(np.linalg.slogdet(transform)[1])
    rest, rest_weight = np.zeros((1, 0)), np.ones(1)  # one point where there is no other axis
    for line, weight in axes[1:]:
        rest = np.column_stack([np.repeat(rest, len(line), axis=0), np.tile(line, len(rest))])
        rest_weight = np.outer(rest_weight, weight).ravel()
    kept: list[Nodes] = []
    densities: list[FloatArray] = []
    for value, weight in zip(*axes[0], strict=True):
        points = np.column_stack([np.full(len(rest), value), rest]) @ transform.T + shift
        slab = Nodes(points, activation.value(points @ space.embedding.T), np.log(weight * rest_weight) + log_jacobian)
        density = log_density(slab, C, conjugate)
        here = density > max(density.max(), *(d.max() for d in densities), -np.inf) - NEGLIGIBLE
        if here.any():
            kept.append(Nodes(points[here], slab.activity[here], slab.log_weight[here]))
            densities.append(density[here])
    whole = np.concatenate(densities)
    matters = whole > whole.max() - NEGLIGIBLE
    return Nodes(
        np.concatenate([slab.points for slab in kept])[matters],
        np.concatenate([slab.activity for slab in kept])[matters],
        np.concatenate([slab.log_weight for slab in kept])[matters],
    )


def _even_axes(
    space: TrajectorySpace, moments: tuple[FloatArray, FloatArray], C: FloatArray, refinement: float
) -> tuple[list[tuple[FloatArray, FloatArray]], FloatArray]:
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
        line = (np.arange(2 * int(count)) + 0.5 - count) * spacing
        axes.append((line, np.full(len(line), spacing)))
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
