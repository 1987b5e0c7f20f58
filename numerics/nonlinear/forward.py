"""The kernel of a random network, without data: ``Φ = ⟨φφᵀ⟩`` over ``N(h|0, C[Φ])``, time by time (NNGP)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.arguments import of_problem
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.nonlinear.space import TrajectorySpace, trajectory_space
from numerics.threads import one_thread

#: Half-width in standard deviations and points of a panel, for each of two variables.
EDGE, POINTS = 9.0, 40
#: Eigenvalues of a kernel of correlations below this are rounding.
SINGULAR = 1e-15


def pair_averages(activation: Activation, a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """``⟨φ(x)φ(y)⟩`` for centred Gaussian pairs with variances a, b and covariance c, each (k,).

    ``x = √a z``, ``y = √b (ρ z + √(1-ρ²) z')``. Gauss–Legendre panels in z and z' meet where x or y is 0 or at a kink.
    """
    line, weight = np.polynomial.legendre.leggauss(POINTS)
    size = np.sqrt(a * b)
    rho = np.clip(np.divide(c, size, out=np.zeros_like(c), where=size > 0), -1.0, 1.0)
    rest = np.sqrt(np.maximum(1 - rho**2, 0.0))
    total = np.zeros_like(a)
    for low, high in _panels(activation, np.sqrt(a), np.zeros_like(a)):
        half, middle = 0.5 * (high - low), 0.5 * (high + low)
        for node, part in zip(line, weight, strict=True):
            z = half * node + middle
            outer = half * part * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
            mean = np.zeros_like(a)
            for start, end in _panels(activation, np.sqrt(b) * rest, np.sqrt(b) * rho * z):
                inner = 0.5 * (end - start)[:, None] * line + 0.5 * (end + start)[:, None]
                inner_weight = 0.5 * (end - start)[:, None] * weight * np.exp(-0.5 * inner**2) / np.sqrt(2 * np.pi)
                y = np.sqrt(b)[:, None] * (rho * z)[:, None] + (np.sqrt(b) * rest)[:, None] * inner
                mean += (activation.value(y) * inner_weight).sum(axis=1)
            total += outer * activation.value(np.sqrt(a) * z) * mean
    return total


def gaussian_pairs(activation: Activation, a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """`pair_averages`, by the closed forms of theory/gaussian_averages.py where there are any."""
    if activation.name not in ("linear", "erf", "relu") or not activation.known:
        return pair_averages(activation, a, b, c)
    if activation.name == "linear":
        return c.copy()
    scale = np.sqrt((2 / np.pi + a) * (2 / np.pi + b) if activation.name == "erf" else a * b)
    sine = np.clip(np.divide(c, scale, out=np.zeros_like(c), where=scale > 0), -1.0, 1.0)
    if activation.name == "erf":
        return np.asarray(2 / np.pi * np.arcsin(sine))
    return np.asarray(scale * (np.sqrt((1 - sine) * (1 + sine)) + sine * (np.pi / 2 + np.arcsin(sine))) / (2 * np.pi))


def _panels(activation: Activation, scale: FloatArray, shift: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Intervals of a standard normal z, (k,) each, between which ``scale z + shift`` is 0 or at a kink."""
    ends = [np.full_like(scale, -EDGE), np.full_like(scale, EDGE)]
    for place in sorted({0.0, *activation.kinks}):
        with np.errstate(divide="ignore", invalid="ignore"):
            ends.append(np.clip(np.nan_to_num((place - shift) / scale, nan=0.0), -EDGE, EDGE))
    return list(pairwise(np.sort(ends, axis=0)))


def forward_kernel(space: TrajectorySpace, activation: Activation) -> FloatArray:
    """Φ of the random network on its distinct rows, (m, m)."""
    times = space.classes.times
    kernel = np.zeros((space.m, space.m))
    for t in range(space.problem.n):
        C = space.embedding @ space.covariance(kernel) @ space.embedding.T
        rows, columns = np.triu_indices(int(np.sum(times <= t)))
        new = times[columns] == t
        i, j = rows[new], columns[new]
        kernel[i, j] = kernel[j, i] = gaussian_pairs(activation, C[i, i], C[j, j], C[i, j])
    return kernel


@of_problem
@one_thread
def prior_kernel(problem: Problem) -> FloatArray:
    """Φ of the random network over all times and patterns, (nP, nP), time-major, for any φ: the kernel without labels.

    ``Φ^{tt'}_{pq} = ⟨φ(h^t_p) φ(h^t'_q)⟩`` over ``N(0, C[Φ])``, where C of a time needs Φ of earlier ones only
    (docs/theory.md sections 2, 10 and 11). Each entry is an integral over two variables, to rounding. Φ need not be
    regular: there may be more patterns than dimensions.

    Args:
        problem: inputs, architecture and prior widths; of the labels it takes their times only.

    Raises:
        InputError: patterns without input until a label, and without biases.

    Example:
        >>> import unrolled
        >>> unrolled.prior_kernel(unrolled.endpoint(T=4, signal=5.0, activation="erf")).diagonal().round(3)
        array([0.418, 0.26 , 0.187])
    """
    space = trajectory_space(problem)
    return space.classes.expand(forward_kernel(space, problem.activation))


def require_regular(space: TrajectorySpace, kernel: FloatArray) -> None:
    """Refuse inputs for which the random network's kernel has no inverse.

    Raises:
        InputError: naming the rows that φ cannot tell apart, or that it makes depend on each other.
    """
    size = np.sqrt(np.diagonal(kernel))
    values, vectors = np.linalg.eigh(kernel / np.outer(size, size))
    covariance = np.linalg.eigvalsh(space.covariance(kernel))
    if values[0] > SINGULAR and covariance[0] > 0:
        return
    share = np.abs(vectors[:, 0])
    time = space.classes.times[share.argmax()]
    tied = np.flatnonzero((share > 0.1 * share.max()) & (space.classes.times == time))
    patterns = np.sort(space.classes.representative[tied] % space.problem.P)
    named = ", ".join(map(str, patterns[:6])) + (", …" if len(patterns) > 6 else "")
    raise InputError(
        f"x: gives a singular kernel: the activation makes rows {named} depend on each other at t = {time + 1}, as for "
        "inputs that are nearly equal or a linear network with more patterns than dimensions; accepted: inputs with a "
        "regular kernel"
    )
