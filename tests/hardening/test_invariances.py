"""What no choice of units, basis or order may change; and that the solution lies lowest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics import Problem, endpoint, solve
from numerics.linear.functional import kernel_functional
from numerics.results.readout import mean_outputs

pytestmark = pytest.mark.slow

few = settings(max_examples=2, deadline=None, derandomize=True, database=None)
WIDTHS = st.floats(-6, 6).map(lambda k: 10.0**k)


def task(seed: int, arch: str, P: int = 2, n: int = 2, D: int = 3) -> Problem:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((P, n)) * 2
    y[0, 0] = np.nan
    return Problem(rng.standard_normal((P, D)), y, arch=arch, kappa=0.5)


@few
@given(u=WIDTHS, v=WIDTHS, w=WIDTHS, signal=st.sampled_from([0.5, 20.0]), arch=st.sampled_from(["rnn", "dnn"]))
def test_widths_are_units(u: float, v: float, w: float, signal: float, arch: str):
    """``h^t → √(u w^(t-1)) h^t`` takes the widths away, with κ and y in units of ``v u w^(n-1)``."""
    plain = solve(endpoint(4, signal, arch=arch, kappa=0.5))
    scaled = solve(endpoint(4, signal, arch=arch, u=u, v=v, w=w, kappa=0.5 * v * u * w**2))
    size = np.sqrt(u * w ** np.arange(3))
    np.testing.assert_allclose(scaled.kernel / np.outer(size, size), plain.kernel, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(scaled.free_energy, plain.free_energy, rtol=1e-9)


@few
@given(seed=st.integers(0, 1000), arch=st.sampled_from(["rnn", "dnn"]), a=st.floats(-3, 3))
def test_labels_and_readout_share_a_unit(seed: int, arch: str, a: float):
    """``y → 10^a y``, ``v → 10^2a v``, ``κ → 10^2a κ`` changes nothing but the predictions' unit."""
    problem, factor = task(seed, arch), 10.0**a
    first = solve(problem)
    second = solve(problem.with_(y=factor * problem.y, v=factor**2, kappa=factor**2 * problem.kappa))
    np.testing.assert_allclose(second.kernel, first.kernel, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(mean_outputs(second), factor * mean_outputs(first), rtol=1e-6, atol=1e-8 * factor)


@few
@given(seed=st.integers(0, 1000), arch=st.sampled_from(["rnn", "dnn"]))
def test_patterns_have_no_order_and_inputs_no_axes(seed: int, arch: str):
    problem = task(seed, arch, P=3)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    order = np.array([2, 0, 1])
    first = solve(problem)
    second = solve(problem.with_(x=problem.x[order] @ rotation, y=problem.y[order]))
    rows = np.concatenate([t * 3 + order for t in range(problem.n)])
    np.testing.assert_allclose(second.kernel, first.kernel[np.ix_(rows, rows)], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(second.free_energy, first.free_energy, rtol=1e-10)


@few
@given(seed=st.integers(0, 1000), arch=st.sampled_from(["rnn", "dnn"]), size=st.floats(0.01, 3.0))
def test_no_random_kernel_lies_lower(seed: int, arch: str, size: float):
    solution = solve(task(seed, arch))
    functional = kernel_functional(solution.problem)
    point = functional.at(np.array(solution.reduced))
    rng = np.random.default_rng(seed)
    for _ in range(30):
        S = rng.standard_normal(point.H.shape) * size
        assert point.move(S + S.T).free_energy >= solution.free_energy - 1e-10


@few
@given(T=st.integers(3, 5), signal=st.floats(0.1, 100.0), kappa=st.floats(0.0, 3.0))
def test_weight_sharing_never_costs_free_energy_at_the_endpoint(T: int, signal: float, kappa: float):
    """Both free energies agree on kernels that are diagonal in time, and the DNN's minimum is one of these."""
    rnn, dnn = (solve(endpoint(T, signal, arch=arch, kappa=kappa)) for arch in ("rnn", "dnn"))
    assert rnn.free_energy <= dnn.free_energy + 1e-10
    if rnn.branch == "incoherent":
        np.testing.assert_allclose(rnn.kernel, dnn.kernel, rtol=1e-6, atol=1e-6)


@few
@given(signal=st.floats(11.0, 200.0))
def test_reversing_w_leaves_the_free_energy(signal: float):
    """``W → -W``: the sign of every other time is free at a coherent state."""
    solution = solve(endpoint(4, signal))
    functional = kernel_functional(solution.problem)
    flip = np.array([1.0, -1.0, 1.0])
    mirror = functional.at(flip[:, None] * solution.reduced * flip)
    assert solution.branch == "coherent"
    np.testing.assert_allclose(mirror.free_energy, solution.free_energy, rtol=1e-13)
    assert mirror.residual < 1e-10
