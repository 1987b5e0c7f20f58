"""A state of a linear network."""

from __future__ import annotations

from dataclasses import dataclass

from numerics.errors import InputError
from numerics.linalg import FloatArray
from numerics.results.solution import Solution


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LinearSolution(Solution):
    """A stationary point of F(H) (docs/theory.md sections 3 and 10 to 12).

    The entropy ``½ tr[HC⁻¹] - ½ ln(|H|/|C|) - m/2`` is the divergence from the random network.

    Attributes:
        reduced: the kernel in the space of ``numerics.linear.space`` (m, m), positive-definite: of the drives
            ``h^t - a h^{t-1}``. Equal to ``kernel`` where the first inputs are independent and far from dependence, and
            a = 0.
    """

    reduced: FloatArray


def linear_state(solution: Solution) -> LinearSolution:
    """The state of a linear network.

    Raises:
        InputError: it is that of another network.
    """
    if not isinstance(solution, LinearSolution):
        raise InputError(f"solution: is that of {solution.problem.activation}; accepted: a linear network's state")
    return solution
