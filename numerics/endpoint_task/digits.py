"""A state of endpoint supervision to many digits: Newton in mpmath on the lowered stationarity conditions."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from numerics.endpoint_task.batch import LONGEST_SCALAR, lowered_endpoint
from numerics.errors import InputError
from numerics.inputs.arguments import of_state
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linear.newton import polish
from numerics.results.solution import Solution

#: Doubles have the fewest digits; Newton's method in mpmath ends in reasonable time with the most.
FEWEST, MOST = 16, 1000


def require_digits(problem: Problem, digits: int) -> None:
    """Refuse a problem, or a number of digits, that `kernel_digits` does not take.

    Raises:
        InputError: as said.
    """
    problem.plain("kernel_digits")
    integer(digits, "digits", FEWEST, MOST)
    single = problem.P == 1 and problem.D == 1 and problem.supervised.tolist() == [problem.n - 1]
    endpoint = single and abs(problem.x[0, 0, 0]) == 1 and not problem.x[0, 1:].any()
    if not (endpoint and problem.activation.name == "linear" and 3 <= problem.T <= LONGEST_SCALAR):
        raise InputError(f"digits: do not apply to this problem; accepted: endpoint with T from 3 to {LONGEST_SCALAR}")


@of_state
def kernel_digits(solution: Solution, digits: int) -> list[list[str]]:
    """The kernel of a linear network's state to many digits, as decimal strings, (n, n).

    The parameters are taken as the decimals of 15 digits that they are closest to, not as binary fractions.

    Raises:
        InputError: the task is another than endpoint supervision of one pattern (T from 3 to `LONGEST_SCALAR`), the
            number of digits is out of range, or Newton's method does not converge from the state.

    Example:
        >>> import unrolled
        >>> unrolled.kernel_digits(unrolled.solve(unrolled.endpoint(T=4, signal=20.0)), 20)[0]
        ['2.2467707912420721436', '1.1758030134687879375', '1.1088748117887652738']
    """
    problem, n = solution.problem, solution.problem.n
    require_digits(problem, digits)
    signal = problem.labels[0] ** 2 / (problem.v * problem.w ** (n - 1) * problem.u)
    parameters: Any = [f"{value:.15g}" for value in (signal, problem.kappa, problem.u, problem.v, problem.w)]
    upper = np.triu_indices(n)
    entries, _ = polish(lowered_endpoint(problem.T, problem.arch), solution.kernel[upper], parameters, digits=digits)
    kernel = [[""] * n for _ in range(n)]
    for i, j, entry in zip(*upper, entries, strict=True):
        kernel[i][j] = kernel[j][i] = mpmath.nstr(entry, digits)
    return kernel
