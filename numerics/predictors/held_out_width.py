"""Test patterns at finite width N: variance and shift of their outputs, to first order in 1/N.

A test pattern is an unsupervised pattern of the joint kernel, and the law of the training patterns' kernel at width N
is the marginal of the joint one (docs/theory.md sections 6 and 13). So a test pattern's outputs have the
fluctuations and the shift of a joint state, which is known: test hidden states follow from the training patterns'
(``generalisation.following``). Patterns are joined one by one; those whose hidden states are combinations of the
training patterns', which make the kernel no larger, several at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from numerics.linalg import FloatArray, IntArray, symmetric
from numerics.linear.functional import kernel_functional
from numerics.linear.solution import LinearSolution, linear_state
from numerics.nonlinear.joined import joined_patterns
from numerics.nonlinear.solution import NonlinearSolution
from numerics.predictors.generalisation import Following, following, training
from numerics.predictors.output_shift import output_shift, shift_of_outputs, variance_of_outputs
from numerics.results.solution import Solution

#: Variance that training patterns leave to a test pattern, relative to its own, below which it is rounding.
COMBINED = 1e-10
#: Such patterns that are joined at a time.
AT_ONCE = 16


def held_out_fluctuations(solution: Solution) -> tuple[FloatArray, FloatArray]:
    """N times the variance of the test patterns' outputs, and ``lim N (⟨f⟩_N - f)``; each (Q, n), or (O, Q, n).

    Of a nonlinear state, averages over a sample of fixed seed (`numerics.nonlinear.joined`).

    Raises:
        InputError: the state is no minimum, or the joint kernel is too large.
        NotSolvedError: a nonlinear state's points are too few for the joint kernel.
    """
    if isinstance(solution, NonlinearSolution):
        found = [(each, each.fluctuations) for each in joined_patterns(solution)]
        variance = [variance_of_outputs(each, at.changes) for each, at in found]
        shift = [shift_of_outputs(each, at.shift, at.changes) for each, at in found]
        return _last_patterns(variance), _last_patterns(shift)
    return _of_linear(linear_state(solution))


def _last_patterns(outputs: list[FloatArray]) -> FloatArray:
    """The last patterns' rows of each array, put together, (Q, n) or (O, Q, n)."""
    return np.concatenate([each[..., -1:, :] for each in outputs], axis=-2)


def _of_linear(state: LinearSolution) -> tuple[FloatArray, FloatArray]:
    problem = state.problem
    found = following(kernel_functional(problem), problem, state.reduced)
    variances, shifts = (np.zeros((problem.outputs, len(found.own), problem.n)) for _ in range(2))
    for numbers in _numbers(found):
        joint = _joint_state(state, found, numbers)
        for all_of_them, values in ((variances, training(joint).scaled_variance), (shifts, output_shift(joint))):
            all_of_them[:, numbers] = np.reshape(values, (problem.outputs, -1, problem.n))[:, problem.P :]
    return (variances, shifts) if problem.outputs > 1 else (variances[0], shifts[0])


def _numbers(found: Following) -> Iterator[IntArray]:
    """Numbers of test patterns that are joined at a time."""
    own, rest = (np.trace(each, axis1=1, axis2=2) for each in (found.own, found.rest))
    combined = rest <= COMBINED * own
    if combined.any():
        known = np.flatnonzero(combined)
        yield from np.array_split(known, -(-len(known) // AT_ONCE))
    yield from np.flatnonzero(~combined)[:, None]


def _joint_state(state: LinearSolution, found: Following, numbers: IntArray) -> LinearSolution:
    """The state with some test patterns among the training patterns, without labels."""
    problem, n, P = state.problem, state.problem.n, state.problem.P
    assert problem.x_test is not None
    joint = problem.with_unlabelled(problem.x_test[numbers])
    rows = found.cross[:, numbers].reshape(n * len(numbers), -1)
    cross = rows @ kernel_functional(problem).space.full_basis().T
    # several patterns are joined only where the training patterns determine them
    own = found.own[numbers[0]] if len(numbers) == 1 else rows @ np.linalg.solve(state.reduced, rows.T)
    count = P + len(numbers)
    kernel = np.empty((n, count, n, count))
    kernel[:, :P, :, :P] = state.kernel.reshape(n, P, n, P)
    kernel[:, P:, :, :P] = cross.reshape(n, -1, n, P)
    kernel[:, :P, :, P:] = kernel[:, P:, :, :P].transpose(2, 3, 0, 1)
    kernel[:, P:, :, P:] = own.reshape(n, -1, n, len(numbers))
    whole = symmetric(kernel.reshape(n * count, n * count))
    inverse = np.linalg.pinv(kernel_functional(joint).space.full_basis())
    return replace(state, problem=joint, kernel=whole, reduced=symmetric(inverse @ whole @ inverse.T))
