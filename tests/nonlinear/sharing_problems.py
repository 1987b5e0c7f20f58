"""Small problems of every family of weight sharing, with skip, biases and several outputs, for nonlinear networks."""

from __future__ import annotations

import numpy as np

from numerics.inputs.problem import Problem

NAN = np.nan
#: One matrix up to a factor at both steps, and one that is correlated with it.
TIED, RELATED = [[1.0, 0.7], [0.7, 0.49]], [[1.0, -0.5], [-0.5, 0.8]]
TWO_OUTPUTS = np.array([[[NAN, NAN], [NAN, 1.5], [4.0, -3.0]]])

#: Fields of each problem beyond `task`'s.
CASES = {
    "shared": {"arch": "shared:0.5"},
    "drift": {"arch": "drift:0.9"},
    "looped": {"arch": "looped:2", "bias": 0.2},
    "tied": {"arch": TIED},
    "related": {"arch": RELATED, "w": 1.4},
    "skip": {"skip": 0.5},
    "bias": {"bias": 0.3, "arch": "shared:0.5"},
    "outputs": {"y": TWO_OUTPUTS},
    "all": {"arch": "drift:0.8", "skip": 0.4, "bias": 0.3, "y": TWO_OUTPUTS},
}


def task(case: str, label: float = 6.0, **options) -> Problem:
    """Three hidden times, one pattern, input at the first; one label at the end unless the case has its own."""
    fields = {"activation": "erf", "u": 1.2, "v": 0.9, "kappa": 0.7} | CASES[case] | options
    y = np.array([[NAN, NAN, label]])
    return Problem([[1.1]], fields.pop("y", y), **fields)
