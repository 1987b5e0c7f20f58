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


def blocks(matrix, problem):
    """A matrix over times, at every pair of patterns; zero for times that it lacks."""
    whole = np.zeros((problem.n, problem.n))
    whole[: len(matrix), : len(matrix)] = matrix
    return np.kron(whole, np.ones((problem.P, problem.P)))


def response(problem):
    """A⁻¹ of docs/theory.md section 11, and A⁻¹Σ."""
    shift = np.eye(problem.n * problem.P, k=-problem.P)
    inverse = np.linalg.inv(np.eye(len(shift)) - problem.skip * shift)
    return inverse, inverse @ shift


def covariance(kernel, problem):
    """C[Φ] over all times and patterns, as docs/theory.md section 11 has it."""
    x = problem.x.transpose(1, 0, 2).reshape(problem.n * problem.P, -1)
    inverse, shifted = response(problem)
    inputs = problem.u * x @ x.T / problem.D + problem.bias * blocks(problem.bias_sharing, problem)
    return inverse @ inputs @ inverse.T + problem.w * shifted @ (blocks(problem.sharing, problem) * kernel) @ shifted.T


def stationarity(problem, kernel, conjugate, nodes, log_weight):
    """What Φ and Φ̃ should be, given both, and F."""
    C = covariance(kernel, problem)
    h = nodes @ np.linalg.cholesky(C).T
    phi = ACTIVATIONS[problem.activation.name](h)
    log_density = log_weight + np.sum((phi @ conjugate) * phi, axis=1)
    top = log_density.max()
    density = np.exp(log_density - top)
    Z = density.sum()
    density = density / Z
    average = (phi * density[:, None]).T @ phi
    inverse = np.linalg.inv(C)
    pull = inverse @ ((h * density[:, None]).T @ h) @ inverse - inverse
    shifted = response(problem)[1]
    target = problem.w / 2 * blocks(problem.sharing, problem) * (shifted.T @ pull @ shifted)
    free_energy = np.sum(conjugate * kernel) - np.log(Z) - top
    for rows, labels in problem.targets:
        gram = problem.v * kernel[np.ix_(rows, rows)] + problem.kappa * np.eye(len(rows))
        dual = np.linalg.solve(gram, labels)
        target[np.ix_(rows, rows)] += problem.v / 2 * np.outer(dual, dual)
        free_energy += 0.5 * labels @ dual
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
