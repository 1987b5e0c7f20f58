"""A sampled kernel without the noise that control variates explain, those combined as the theory's neuron tells.

A run keeps more variates, of products of three activities, than its draws tell slopes of
(`numerics.sampling.controls`). To first order in the fluctuations they are sums over neurons, as the kernel is, and in
a state of the theory one neuron's law is known: a regression of ``φ_a φ_b`` on one neuron's variates there leaves one
combination for each entry of the kernel, of which the draws tell the slope. Any combination has mean zero, so that a
wrong one adds noise and moves no mean.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as sla

from numerics.linalg import FloatArray
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.trajectories import state_average
from numerics.results.solution import Solution
from numerics.sampling.controls import DRAWS_WELL, controlled, stages, states_of_columns, triples
from numerics.sampling.network import make_network
from numerics.sampling.result import Simulation
from numerics.threads import one_thread

#: Points of a neuron's law; those worked on together; what keeps variates that are nearly dependent apart, relative.
POINTS, TOGETHER, RIDGE = 1 << 14, 1024, 1e-6


@one_thread
def controlled_kernels(simulation: Simulation, state: Solution) -> FloatArray | None:
    """The kernels of a run in the phase of a state, less noise: its own `kernels_controlled`, or with combinations.

    These are taken where the run has kept all variates, in draws that are too few for all but enough for combinations.
    """
    own, variates = simulation.kernels_controlled, simulation.controls
    if own is None or variates is None or not isinstance(state, NonlinearSolution):
        return own
    rows, (functions, d) = len(state.kernel), variates.shape[2:]
    _, few, every = stages(d, rows)
    each, draws = DRAWS_WELL * d, variates.shape[0] * variates.shape[1]
    pairs = rows * (rows + 1) // 2
    if functions < every or draws >= each * every or draws < each * few + DRAWS_WELL * pairs:
        return own
    combined = variates[:, :, few:].reshape(*variates.shape[:2], -1) @ combinations(state, simulation.width)
    alone = variates[:, :, :few].reshape(*variates.shape[:2], -1)
    return controlled(simulation.kernels, np.concatenate([alone, combined], axis=2))


def combinations(state: NonlinearSolution, width: int) -> FloatArray:
    """Slopes of ``φ_a φ_b``, a ≤ b, on one neuron's variates of products of three activities, (variates, pairs)."""
    B = states_of_columns(make_network(state.problem, width, "float64"), state.kernel)
    at = state_average(state, count=POINTS)
    h = at.space.classes.expand_rows(at.nodes.points @ at.space.embedding.T)
    p, columns = at.point.average.probability, h @ np.linalg.pinv(B).T
    rows, d = B.shape
    first, (a, b) = stages(d, rows)[1] * d, np.triu_indices(rows)
    size = stages(d, rows)[2] * d
    covariance, shared = np.zeros((size, size)), np.zeros((size, len(a)))
    for start in range(0, len(h), TOGETHER):
        part = slice(start, start + TOGETHER)
        found = of_neurons(state, B, columns[part], h[part]).reshape(-1, size)
        phi = state.problem.activation.value(h[part])
        weighted = (found * p[part, None]).T
        covariance += weighted @ found
        shared += weighted @ (phi[:, a] * phi[:, b] - state.kernel[a, b])
    scale = np.sqrt(np.maximum(covariance.diagonal(), np.finfo(float).tiny))
    covariance /= np.outer(scale, scale)
    covariance[np.diag_indices(size)] += RIDGE
    slopes = sla.solve(covariance, shared / scale[:, None], assume_a="pos") / scale[:, None]
    return np.asarray(slopes[first:])


def of_neurons(state: NonlinearSolution, B: FloatArray, columns: FloatArray, h: FloatArray) -> FloatArray:
    """``∂f/∂x_j - f (x_j + ∂L/∂x_j)`` of each neuron, (K, f, d), where ``∂L/∂x = -∂(φᵀΦ̃φ)/∂x`` is the state's.

    Args:
        state: whose law neurons have.
        B: of ``h = x Bᵀ``, (nP, d).
        columns, h: x and the hidden states, (K, d) and (K, nP).
    """
    rows, d = B.shape
    activation = state.problem.activation
    phi, slopes = activation.value(h), activation.derivative(h)
    force = columns - 2 * (slopes * (phi @ state.conjugate)) @ B
    at = triples(rows)
    by_phi = [
        phi[:, at[:, 1]] * phi[:, at[:, 2]],
        phi[:, at[:, 0]] * phi[:, at[:, 2]],
        phi[:, at[:, 0]] * phi[:, at[:, 1]],
    ]
    functions = np.concatenate([columns, phi, phi[:, at[:, 0]] * by_phi[0]], axis=1)
    found = -functions[:, :, None] * force[:, None, :]
    found[:, :d] += np.eye(d)
    found[:, d : d + rows] += slopes[:, :, None] * B
    for a, rest in zip(at.T, by_phi, strict=True):
        found[:, d + rows :] += (slopes[:, a] * rest)[:, :, None] * B[a]
    return np.asarray(found)
