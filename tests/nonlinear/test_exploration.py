"""The exploration of the learnt side: what it varies is what it says."""

from dataclasses import fields

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.inputs.teachers import sequence
from numerics.nonlinear.space import trajectory_space


@pytest.mark.parametrize("problem", [endpoint(4, 6.0, kappa=0.3), sequence(4, 1.2, 2.0, (1, 3), kappa=5.0, arch="dnn")])
@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_a_problem_with_another_noise_has_that_problems_space(problem, factor):
    found = trajectory_space(problem).with_noise(factor)
    expected = trajectory_space(problem.with_(kappa=factor * problem.kappa))
    assert found.problem.kappa == pytest.approx(expected.problem.kappa, rel=1e-15)
    pairs = [(found, expected), (found.labels, expected.labels), (found.labels.sets[0], expected.labels.sets[0])]
    for one, other in pairs:
        for field in fields(other):
            values = getattr(one, field.name), getattr(other, field.name)
            if isinstance(values[1], np.ndarray | float):
                np.testing.assert_allclose(*values, rtol=1e-14)
