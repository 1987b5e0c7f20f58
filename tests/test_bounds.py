"""The sizes that a problem may have: the last one that is accepted, and the first that is not."""

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.sizes import LARGEST_KERNEL
from numerics.inputs.teachers import sequence

HALF = LARGEST_KERNEL // 2


def rows(P, n):
    return Problem(np.ones((P, 1)), np.zeros((P, n)))


@pytest.mark.parametrize(
    ("make", "last", "argument"),
    [
        (lambda size: endpoint(size, 1.0), LARGEST_KERNEL + 1, "T"),
        (lambda size: sequence(size, 1.0, 1.0, (1,)), HALF + 1, "T"),
        (lambda size: sequence(3, 1.0, 1.0, (1,), patterns=size), HALF, "patterns"),
        (lambda size: sequence(3, 1.0, 1.0, (1,), test_patterns=size), HALF, "test_patterns"),
        (lambda size: rows(size, 1), LARGEST_KERNEL, "y"),
        (lambda size: rows(2, size), HALF, "y"),
    ],
)
def test_the_largest_is_accepted_and_one_more_is_not(make, last, argument):
    problem = make(last)
    if argument != "test_patterns":
        assert LARGEST_KERNEL - 1 <= problem.n * problem.P <= LARGEST_KERNEL
    with pytest.raises(InputError, match=rf"^{argument}: .*; accepted: .*"):
        make(last + 1)


@pytest.mark.parametrize(
    ("make", "least", "argument"),
    [
        (lambda size: endpoint(size, 1.0), 3, "T"),
        (lambda size: sequence(size, 1.0, 1.0, (1,)), 3, "T"),
        (lambda size: sequence(3, 1.0, 1.0, (1,), patterns=size), 1, "patterns"),
        (lambda size: sequence(3, 1.0, 1.0, (1,), test_patterns=size), 0, "test_patterns"),
        (lambda size: sequence(3, 1.0, 1.0, (1,), patterns=2, pattern_seed=size), 0, "pattern_seed"),
    ],
)
def test_the_smallest_is_accepted_and_one_less_is_not(make, least, argument):
    make(least)
    with pytest.raises(InputError, match=rf"^{argument}: .*; accepted: .*"):
        make(least - 1)
