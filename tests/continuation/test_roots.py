"""Zeros between two ends, of functions that are smooth, flat, steep or have a kink; and how seldom they are asked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numerics.continuation.roots import zero_between

FUNCTIONS = {
    "smooth": (lambda x: math.exp(x) - 2.0, math.log(2.0), 12),
    "flat": (lambda x: (x - 0.3) ** 5, 0.3, 60),
    "steep": (lambda x: math.tanh(1e6 * (x - 0.7)), 0.7, 60),
    "kink": (lambda x: max(x - 0.2, 10 * (x - 0.2)), 0.2, 60),
    "at an end": (lambda x: x, 0.0, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("width", [1e-6, 1e-13])
def test_the_zero_is_found_with_few_values(name, width):
    function, exact, most = FUNCTIONS[name]
    asked = []

    def counted(x):
        asked.append(x)
        return function(x)

    assert abs(zero_between(counted, 0.0, 1.5, width) - exact) <= 2 * width
    assert abs(zero_between(lambda x: -function(x), 0.0, 1.5, width) - exact) <= 2 * width
    assert len(asked) <= most


def test_no_change_of_sign_is_refused():
    with pytest.raises(ValueError, match="same sign"):
        zero_between(lambda x: 1.0 + x * x, -1.0, 1.0, 1e-9)
    assert np.isfinite(zero_between(lambda x: math.copysign(1.0, x), -1.0, 2.0, 1e-9))
