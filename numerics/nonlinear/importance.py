"""Weighted samples for trajectories of many dimensions: fixed random numbers, placed by the tilted trajectory.

Points come from a Gaussian with the tilted trajectory's mean and a somewhat wider covariance, as independently
scrambled Sobol sequences, one a batch: the spread of batch means is an honest error of their mean.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla
from scipy.special import ndtri
from scipy.stats import qmc

from numerics.nonlinear.activation import Nonlinearity
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.space import TrajectorySpace
from numerics.problem import FloatArray

#: Independent batches of a sample.
BATCHES = 16
#: Variance of the proposal over that of the tilted trajectory.
INFLATION = 1.25


def importance_nodes(
    space: TrajectorySpace,
    activation: Nonlinearity,
    moments: tuple[FloatArray, FloatArray],
    size: int,
    seed: int,
    *,
    mirrored: bool,
) -> Nodes:
    """A weighted sample of the trajectory.

    Args:
        space: the coordinates.
        activation: φ.
        moments: mean and covariance of the tilted trajectory, as far as known.
        size: points of a batch, a power of 2.
        seed: of the scrambling.
        mirrored: add the mirror image at even times, so that the sample has the symmetry W → -W exactly and an
            incoherent state stays one. (For a coherent one the images would be points that do not count.)
    """
    streams = np.random.default_rng(seed).spawn(BATCHES)
    uniform = np.concatenate([qmc.Sobol(space.d, scramble=True, rng=stream).random(size) for stream in streams])
    normal = ndtri(np.clip(uniform, 1e-15, 1 - 1e-15))
    batch = np.repeat(np.arange(BATCHES), size)
    mean = np.zeros(space.d) if activation.odd else moments[0]
    factor = sla.cholesky(INFLATION * moments[1], lower=True)
    points = normal @ factor.T + mean
    if mirrored:
        flipped = points * _even_time_signs(space)
        points, batch = np.concatenate([points, flipped]), np.concatenate([batch, batch])
        log_q = np.logaddexp(
            _log_normal(points, mean, factor), _log_normal(points * _even_time_signs(space), mean, factor)
        ) - np.log(2)
    else:
        log_q = _log_normal(points, mean, factor)
    activity = activation.value(points @ space.embedding.T)
    return Nodes(points, activity, -log_q - np.log(len(points)), batch)


def _even_time_signs(space: TrajectorySpace) -> FloatArray:
    later = np.arange(2, space.problem.n + 1)
    return np.concatenate([np.ones(space.rank), np.repeat((-1.0) ** (later - 1), space.problem.P)])


def _log_normal(points: FloatArray, mean: FloatArray, factor: FloatArray) -> FloatArray:
    white = sla.solve_triangular(factor, (points - mean).T, lower=True)
    return np.asarray(
        -0.5 * np.einsum("ik,ik->k", white, white)
        - np.log(np.diagonal(factor)).sum()
        - 0.5 * len(mean) * np.log(2 * np.pi)
    )
