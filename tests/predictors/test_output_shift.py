"""Mean outputs at finite width, against sampled kernels and the exact density of a one-time task."""

import numpy as np
import pytest

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.predictors.output_shift import output_shift
from numerics.results.readout import mean_outputs
from tests.predictors.covariances import kernel_covariance


def test_one_hidden_time_against_quadrature():
    """The density of H, ``-ln P = N F + ½ln(vH+κ) + ln H``, is integrated numerically at two widths."""
    y, kappa = 2.0, 0.5
    solution = solve(Problem([[1.0]], [[y]], kappa=kappa))
    shift = output_shift(solution)[0, 0]
    H = np.linspace(0.4, 1.7, 200001) * solution.kernel[0, 0]
    f = H * y / (H + kappa)
    remainder = []
    for N in (1000, 4000):
        action = N * (0.5 * y**2 / (H + kappa) + 0.5 * H - 0.5 * np.log(H)) + 0.5 * np.log(H + kappa) + np.log(H)
        weight = np.exp(-(action - action.min()))
        mean = weight @ f / weight.sum()
        remainder.append(N * (mean - mean_outputs(solution)[0, 0]) - shift)
    assert abs(shift) > 0.05
    assert abs(remainder[1]) < 2e-3 * abs(shift)
    assert abs(remainder[0] / remainder[1]) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_the_expansion_of_the_outputs(arch):
    """The quadratic part against finite differences along drawn changes of the kernel with the theory's covariance."""
    from numerics.predictors.finite_width import kernel_shift

    solution = solve(sequence(4, 1.1, 2.0, (1, 3), arch=arch, kappa=0.7, w=0.8, v=1.2))
    problem, H = solution.problem, solution.kernel
    T, size = problem.supervised, len(H)

    def outputs(kernel):
        gram = problem.v * kernel[np.ix_(T, T)] + problem.kappa * np.eye(len(T))
        return problem.v * kernel[:, T] @ np.linalg.solve(gram, problem.labels)

    covariance = kernel_covariance(solution).reshape(size**2, size**2)
    values, vectors = np.linalg.eigh(covariance)
    step, bend = 1e-3, np.zeros(size)
    for value, vector in zip(values, vectors.T, strict=True):
        change = np.sqrt(max(value, 0)) * vector.reshape(size, size)
        bend += (outputs(H + step * change) - 2 * outputs(H) + outputs(H - step * change)) / step**2
    shift = kernel_shift(solution)
    slope = (outputs(H + step * shift) - outputs(H - step * shift)) / (2 * step)
    expected = (slope + 0.5 * bend).reshape(problem.n, problem.P).T
    np.testing.assert_allclose(output_shift(solution), expected, atol=1e-4)


def test_an_unstable_state_has_none():
    from numerics import solve_all

    unstable = next(state for state in solve_all(endpoint(4, 30.0)) if not state.stable)
    with pytest.raises(InputError, match="solution"):
        output_shift(unstable)
