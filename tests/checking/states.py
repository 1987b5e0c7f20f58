"""States that tests of several phases need: the minimum that a given kernel descends to."""

from __future__ import annotations

import numpy as np

from numerics.inputs.problem import Problem
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.states import solution_of
from numerics.results.solution import Solution


def minimum_from(problem: Problem, kernel: np.ndarray) -> Solution:
    """The state in which a minimisation of F from this kernel ends (inputs of full rank)."""
    stop = trust_region.minimise(kernel_functional(problem).at(kernel), tolerance=1e-11)
    solution = solution_of(problem, stop)
    assert solution.converged
    assert solution.stable
    return solution


def two_phases(problem: Problem) -> list[Solution]:
    """The minimum on the random network's side of an endpoint problem, and that of a network that has learnt."""
    n = problem.n
    size = np.sqrt(problem.labels[0] ** 2 / problem.v) ** (np.arange(1, n + 1) / n)
    correlation = 0.9 * np.ones((n, n)) + 0.1 * np.eye(n) if problem.arch == "rnn" else np.eye(n)
    learnt = correlation * np.sqrt(np.outer(size, size))
    found = [minimum_from(problem, start) for start in (np.eye(n), learnt)]
    assert abs(found[0].kernel[-1, -1] - found[1].kernel[-1, -1]) > 1
    return found
