"""Mean outputs of a kernel: the regression of what is read out on the labels (docs/theory.md section 6)."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray

#: Relative eigenvalues of a noiseless read-out's kernel below this are rounding.
SINGULAR = 1e-13


class KernelState(Protocol):
    """A problem and a kernel ``Φ`` of its activations, (nP, nP): a solution for any activation, linear or not."""

    @property
    def problem(self) -> Problem:
        """What is learnt."""

    @property
    def kernel(self) -> FloatArray:
        """``Φ``, time-major."""


def mean_outputs(solution: KernelState) -> FloatArray:
    """Mean outputs ``⟨f_a⟩ = v Φ_{a𝒯} (vΦ_{𝒯𝒯} + κ)⁻¹ y``, (P, n), or (O, P, n) of several; column t-1 is f^(t+1)."""
    problem = solution.problem
    means = [
        (regression(solution, solution.kernel[:, T], output)[0] @ labels).reshape(problem.n, problem.P).T
        for output, (T, labels) in enumerate(problem.targets)
    ]
    return means[0] if problem.outputs == 1 else np.stack(means)


def regression(solution: KernelState, cross: FloatArray, output: int = 0) -> tuple[FloatArray, FloatArray]:
    """Weights ``v Φ_{a𝒯}(vΦ_{𝒯𝒯}+κ)⁻¹`` on labels, (a, s), for rows ``Φ_{a𝒯}``, and ``(vΦ_{𝒯𝒯}+κ)⁻¹y``, (s,).

    𝒯 and y are those of one of the outputs, the first unless given. Without noise, rows that determine each other, as
    those of equal patterns, share the weights of least norm.
    """
    problem, (T, labels) = solution.problem, solution.problem.targets[output]
    gram = problem.v * solution.kernel[np.ix_(T, T)] + problem.kappa * np.eye(len(T))
    size = np.sqrt(np.diagonal(gram))
    values, frame = np.linalg.eigh(gram / np.outer(size, size))
    kept = values > SINGULAR * values[-1] if problem.kappa == 0 else values > 0
    half = frame[:, kept] / np.sqrt(values[kept]) / size[:, None]
    return problem.v * (cross @ half) @ half.T, half @ (half.T @ labels)
