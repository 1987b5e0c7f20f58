"""What people read: rounding in kernels, and verdicts on chains that have not mixed."""

from __future__ import annotations

import numpy as np
import pytest

from derivations import output
from numerics.checking.agreement import compare


def test_rounding_is_shown_as_zero():
    kernel = np.array([[1.0, 4e-15, 1e-20], [4e-15, 2.0, 3e-13], [1e-20, 3e-13, 1e-20]])
    shown = output.kernel_rows(kernel, 3, 1)
    assert [row[1:] for row in shown] == [["1", "0", "0"], ["0", "2", "3e-13"], ["0", "3e-13", "1e-20"]]
    assert output.without_rounding(np.zeros((2, 2))).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("off", "rhat", "ess", "verdict"),
    [
        (0.0, 1.0, 1e3, "agrees"),
        (1.0, 1.0, 1e3, "disagrees"),
        (0.0, 2.0, 1e3, "undecided"),
        (1.0, 1.0, 9.0, "undecided"),
    ],
)
def test_chains_that_have_not_mixed_decide_nothing(off, rhat, ess, verdict):
    kernel, error = np.eye(2), np.full((2, 2), 0.01)
    found = compare(kernel, kernel + off, error, rhat=rhat, ess=ess)
    assert found.verdict == verdict
    assert found.agrees is (verdict == "agrees")
    assert dict(found.facts())["verdict"].startswith(verdict)
    assert ("have not mixed" in found.reason) is (verdict == "undecided")
