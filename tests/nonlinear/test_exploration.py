"""The exploration of the learnt side: what it varies is what it says."""

from dataclasses import fields

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.inputs.teachers import sequence
from numerics.nonlinear.exploration import _with_noise
from numerics.nonlinear.space import trajectory_space


@pytest.mark.parametrize("problem", [endpoint(4, 6.0, kappa=0.3), sequence(4, 1.2, 2.0, (1, 3), kappa=5.0, arch="dnn")])
@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_a_problem_with_another_noise_has_that_problems_space(problem, factor):
    found = _with_noise(trajectory_space(problem), factor)
    expected = trajectory_space(problem.with_(kappa=factor * problem.kappa))
    assert found.problem.kappa == pytest.approx(expected.problem.kappa, rel=1e-15)
    for field in fields(expected):
        values = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(values[1], np.ndarray | float):
            np.testing.assert_allclose(*values, rtol=1e-14)
