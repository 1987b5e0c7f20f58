"""A DNN takes no longer than an RNN of its size: one whole search each, inputs at every time and late labels."""

import time

import numpy as np
import pytest

from numerics.inputs.problem import Problem
from numerics.linear.search import lowest_state

pytestmark = pytest.mark.benchmark


def late_labels(arch, n, P, times):
    """Random patterns with 6 inputs at every time and labels ±1 at late times."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(P, n, 6))
    y = np.full((P, n), np.nan)
    for t in times:
        y[:, t] = np.sign(rng.normal(size=P))
    return Problem(x, y, kappa=0.1, arch=arch)


def seconds(arch, *size):
    """The quickest of three runs."""
    taken = []
    for _ in range(3):
        problem = late_labels(arch, *size)
        begin = time.process_time()
        state = lowest_state(problem)
        taken.append(time.process_time() - begin)
        assert state.converged
        assert state.stable
    return min(taken)


@pytest.mark.parametrize("times", [(-1,), (-1, -4)])
@pytest.mark.parametrize("P", [10, 20, 40])
@pytest.mark.parametrize("n", [8, 12, 20])
def test_a_dnn_takes_no_longer_than_an_rnn(n, P, times):
    rnn, dnn = (seconds(arch, n, P, times) for arch in ("rnn", "dnn"))
    print(f"\nn = {n}, P = {P}, {len(times)} label times: RNN {rnn:.2f} s, DNN {dnn:.2f} s, ratio {dnn / rnn:.2f}")
    assert dnn <= rnn
