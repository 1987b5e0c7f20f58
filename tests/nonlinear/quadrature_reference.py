"""The conjugate-kernel saddle of docs/theory.md section 4, for one neuron's trajectory on a plain grid: a second route.

Nothing is shared with the package: averages are sums over a tensor grid of the whitened trajectory, and SciPy's hybrid
method finds the root of the stationarity conditions in all entries of Φ and Φ̃ at once. Good for nP ≤ 3 and activations
that saturate, so that the tilted density is not much wider than the grid.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import root
from scipy.special import erf

ACTIVATIONS = {"erf": lambda h: erf(np.sqrt(np.pi) / 2 * h), "tanh": np.tanh}


def grid(dimension, points=48, edge=6.5):
    """Nodes and log weights of the standard normal on an even grid."""
    line = np.linspace(-edge, edge, points)
    nodes = np.stack(np.meshgrid(*[line] * dimension, indexing="ij"), axis=-1).reshape(-1, dimension)
    log_weight = -0.5 * np.sum(nodes**2, axis=1)
    return nodes, log_weight - np.log(np.sum(np.exp(log_weight)))


def mask(problem):
    time = np.arange(problem.n * problem.P) // problem.P
    return np.ones((len(time),) * 2) if problem.arch == "rnn" else (time[:, None] == time).astype(float)


def stationarity(problem, kernel, conjugate, nodes, log_weight):
    """What Φ and Φ̃ should be, given both, and F."""
    P, rows = problem.P, problem.supervised
    x = problem.x.transpose(1, 0, 2).reshape(problem.n * P, -1)
    C = problem.u * x @ x.T / problem.D
    C[P:, P:] += problem.w * (mask(problem) * kernel)[:-P, :-P]
    h = nodes @ np.linalg.cholesky(C).T
    phi = ACTIVATIONS[problem.activation.name](h)
    log_density = log_weight + np.sum((phi @ conjugate) * phi, axis=1)
    top = log_density.max()
    density = np.exp(log_density - top)
    Z = density.sum()
    density = density / Z
    average = (phi * density[:, None]).T @ phi
    inverse = np.linalg.inv(C)
    pull = mask(problem) * (inverse @ ((h * density[:, None]).T @ h) @ inverse - inverse)
    target = np.zeros_like(C)
    target[:-P, :-P] = problem.w / 2 * pull[P:, P:]
    gram = problem.v * kernel[np.ix_(rows, rows)] + problem.kappa * np.eye(len(rows))
    dual = np.linalg.solve(gram, problem.labels)
    target[np.ix_(rows, rows)] += problem.v / 2 * np.outer(dual, dual)
    free_energy = 0.5 * problem.labels @ dual + np.sum(conjugate * kernel) - np.log(Z) - top
    return average, target, free_energy


def solve(problem, start):
    """Φ and Φ̃ near a start kernel, and F.

    Raises:
        ArithmeticError: no root was found.
    """
    nodes, log_weight = grid(problem.n * problem.P)
    upper = np.triu_indices(len(start))

    def full(entries):
        matrix = np.zeros_like(start)
        matrix[upper] = entries
        return matrix + np.triu(matrix, 1).T

    def split(vector):
        return full(vector[: len(upper[0])]), full(vector[len(upper[0]) :])

    def residual(vector):
        kernel, conjugate = split(vector)
        try:
            average, target, _ = stationarity(problem, kernel, conjugate, nodes, log_weight)
        except np.linalg.LinAlgError:
            return np.full(len(vector), 1e3)
        return np.concatenate([(average - kernel)[upper], (target - conjugate)[upper]])

    kernel, conjugate = np.array(start, dtype=float), np.zeros_like(start)
    for step in range(40):  # relaxation, so that the hybrid method starts close by
        average, target, _ = stationarity(problem, kernel, conjugate, nodes, log_weight)
        conjugate = conjugate + 0.3 * (target - conjugate)
        if step > 5:
            kernel = kernel + 0.3 * (average - kernel)
    found = root(residual, np.concatenate([kernel[upper], conjugate[upper]]), tol=1e-11)
    if np.abs(residual(found.x)).max() > 1e-8:
        raise ArithmeticError(f"no root near the start: {found.message}")
    kernel, conjugate = split(found.x)
    return kernel, conjugate, stationarity(problem, kernel, conjugate, nodes, log_weight)[2]
