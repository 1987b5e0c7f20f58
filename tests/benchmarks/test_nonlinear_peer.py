"""Nonlinear DNNs against gradient descent-ascent on importance samples: the same answer, and how much faster.

The peer is written for this (``adaptive_kernel_peer``). On three patterns it reaches our kernel, which shows that it
solves the same saddle. On fifty digits its time is that of one inner gradient, compiled and warm, times the published
number of these: what it would take at least, whether or not it converges.
"""

import time

import numpy as np
import pytest

from numerics.inputs.problem import Problem
from numerics.nonlinear.search import lowest_state
from tests.benchmarks.test_nonlinear_size import digits

pytestmark = pytest.mark.benchmark


def timed(function):
    """What a function gives, and its seconds: elapsed, and of CPU, which other work beside it hardly changes."""
    begin = time.perf_counter(), time.process_time()
    return function(), time.perf_counter() - begin[0], time.process_time() - begin[1]


@pytest.fixture(scope="module")
def peer():
    pytest.importorskip("jax")
    from tests.benchmarks import adaptive_kernel_peer

    return adaptive_kernel_peer


def test_the_peer_reaches_our_kernel(peer):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 6))
    x *= np.sqrt(6) / np.linalg.norm(x, axis=1, keepdims=True)
    y = np.array([[np.nan, 1.0], [np.nan, -0.8], [np.nan, 0.6]])
    problem = Problem(x, y, arch="dnn", activation="tanh", kappa=0.2)
    state = lowest_state(problem, tolerance=3e-3)
    ours = np.einsum("tptq->tpq", state.kernel.reshape(2, 3, 2, 3))
    solver = peer.Peer(problem)
    away = np.abs(np.asarray(solver.kernels) - ours).max() / ours.max()
    found = solver.solved((0.5, 0.05), outer=40, inner=50)
    error = np.abs(found - ours).max() / ours.max()
    print(
        f"\nthe peer's kernel: {error:.1%} from ours after 2,000 inner steps; the random network's is {away:.0%} away"
    )
    assert state.converged
    assert error < 0.02 < 0.3 < away


def test_fifty_digits_against_the_peer(peer):
    problem = digits(50, 3, 0.5, arch="dnn", activation="tanh", kappa=1 / 50)
    solver = peer.Peer(problem)
    gradients = [timed(lambda: np.asarray(solver.inner_gradient(solver.duals, solver.kernels))) for _ in range(11)][1:]
    assert all(np.isfinite(gradient).all() for gradient, *_ in gradients)
    state, *ours = timed(lambda: lowest_state(problem, tolerance=5e-3))
    theirs = [peer.OUTER * peer.INNER * float(np.median(seconds)) for seconds in list(zip(*gradients, strict=True))[1:]]
    for what, mine, other in zip(("elapsed", "of CPU"), ours, theirs, strict=True):
        print(f"\nP = 50: {mine:.1f} s {what}, {other:.0f} s for the peer's inner gradients (ratio {other / mine:.0f})")
    assert state.stable
    assert theirs[1] > 5 * ours[1]
