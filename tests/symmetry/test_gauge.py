"""One sign for every solver, and predictions whose sign is arbitrary, against sampled networks."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from derivations.__main__ import cli
from numerics import solve, solve_all
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear.search import all_states, lowest_state
from numerics.predictors import generalisation
from numerics.results.readout import mean_outputs
from numerics.symmetry import gauge, group

TWO_LABELS = Problem([[1.0]], [[0.5, np.nan, 12.0]], kappa=0.5)


@pytest.fixture(scope="module")
def by_engine():
    return solve_all(TWO_LABELS), all_states(TWO_LABELS)


def test_linear_and_nonlinear_solver_give_the_same_states_in_the_same_sign(by_engine):
    linear, nonlinear = by_engine
    assert len(linear) == len(nonlinear) == 2
    for one, other in zip(linear, nonlinear, strict=True):
        np.testing.assert_allclose(one.kernel, other.kernel, rtol=1e-8, atol=1e-8)
        assert one.sign_arbitrary == other.sign_arbitrary
        assert one.stable == other.stable
    lowest, saddle = linear
    assert lowest.sign_arbitrary == (2,)
    assert saddle.sign_arbitrary == ()  # its prediction at t = 2 is 0
    assert abs(mean_outputs(saddle)[0, 1]) < 1e-9
    assert "arbitrary for the prediction at t = 2" in repr(lowest)
    assert "arbitrary" not in repr(saddle)


def test_the_erf_network_has_the_sign_of_the_linear_one():
    erf = lowest_state(TWO_LABELS.with_(activation="erf"), tolerance=1e-3)
    assert erf.sign_arbitrary == (2,)
    assert np.trace(erf.order_parameter) > 0


@pytest.mark.parametrize(
    ("problem", "times"),
    [
        (endpoint(4, 40.0), (2,)),  # W → -W keeps f at t = 1 and 3
        (endpoint(5, 60.0), (1, 3)),
        (endpoint(4, 2.0), ()),  # incoherent: the others are 0
        (endpoint(4, 40.0, arch="dnn"), ()),
        (Problem([[1.0]], [[0.5, 3.0, 12.0]], kappa=0.5), ()),  # labels of both parities fix the sign
    ],
)
def test_times_at_which_the_sign_is_arbitrary(problem, times):
    state = solve(problem)
    assert state.sign_arbitrary == times
    # the image is a state of the same free energy, whose predictions at these times are reversed
    for symmetry in group.sign_symmetries(problem, True):
        f, other = mean_outputs(state), symmetry.of_predictions(mean_outputs(state))
        np.testing.assert_allclose((f + other)[:, [t - 1 for t in times]], 0.0, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(2, 5),
    P=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
    arch=st.sampled_from(["rnn", "dnn"]),
    diagonal=st.booleans(),
)
def test_every_image_of_a_kernel_is_taken_to_one(n, P, seed, arch, diagonal):
    rng = np.random.default_rng(seed)
    y = np.full((P, n), np.nan)
    y[rng.integers(P), -1] = 1.0
    x = np.diag(np.ones(P)) if diagonal else rng.normal(size=(P, P))
    problem = Problem(x, y, arch=arch)
    A = rng.normal(size=(n * P, n * P)) * (rng.random((n * P, n * P)) < 0.6)
    kernel = A @ A.T + 0.1 * np.eye(n * P)
    wanted = gauge.fixed(problem, kernel, odd=True)
    for symmetry in group.sign_symmetries(problem, True):
        np.testing.assert_array_equal(gauge.fixed(problem, symmetry.of_kernel(kernel), odd=True), wanted)
    np.testing.assert_array_equal(gauge.fixed(problem, wanted, odd=True), wanted)
    found = gauge.gauge(problem, kernel, odd=True)
    assert len(found.steps) + len(found.unbroken) == len(group.sign_symmetries(problem, True))
    np.testing.assert_array_equal(found.symmetric(kernel), kernel)
    reached = found.symmetric(np.ones_like(kernel))
    for symmetry in found.unbroken:
        assert (reached[np.multiply.outer(symmetry.rows, symmetry.rows) < 0] == 0).all()
    for scale in (2.0**-60, 2.0**60):  # nothing is absent for the kernel's size
        np.testing.assert_array_equal(gauge.fixed(problem, scale * kernel, odd=True), scale * wanted)
    if arch == "rnn" and not diagonal:
        assert np.trace(wanted[-P:, -2 * P : -P]) >= 0
    assert bool(gauge.rounded_gauge(problem, kernel, odd=True).steps) == any(
        (symmetry.of_kernel(kernel) != kernel).any() for symmetry in group.sign_symmetries(problem, True)
    )


def test_held_out_patterns():
    x_test = np.zeros((3, 3, 2))
    x_test[0, 0], x_test[1, 0], x_test[2, 0] = [2.0, 0.0], [0.5, 3.0], [0.0, 1.0]
    problem = Problem([[1.0, 0.0]], [[0.5, np.nan, 12.0]], kappa=0.5, x_test=x_test)
    found = generalisation.held_out(solve(problem))
    assert found.sign_arbitrary == (2,)
    assert abs(found.mean[2]).max() < 1e-12
    # an input at a time of the other parity gives the pattern a sign of its own, at no time the opposite of another
    late = x_test.copy()
    late[:, 1] = [0.3, 0.0]
    assert generalisation.held_out(solve(problem.with_(x_test=late[:2]))).sign_arbitrary == ()
    # ... unless it lies where nothing was learnt, and the network's image can be reflected
    beyond = np.zeros((1, 3, 2))
    beyond[0, 0], beyond[0, 1] = [1.0, 0.0], [0.0, 0.7]
    assert generalisation.held_out(solve(problem.with_(x_test=beyond))).sign_arbitrary == (2,)


def sampled_predictions(problem, phi, N=4, draws=100_000, batches=50):
    """Mean outputs (n,) of networks of width N and their standard errors: weights are drawn from the prior, without
    regard to signs, and weighted with the likelihood of the labels; V is integrated out."""
    rng = np.random.default_rng(5)
    W = rng.normal(size=(draws, problem.n - 1, N, N)) / np.sqrt(N)
    if problem.arch == "rnn":
        W[:] = W[:, :1]
    h = np.zeros((draws, problem.n, N))
    h[:, 0] = rng.normal(size=(draws, N)) * problem.x[0, 0, 0]
    for t in range(1, problem.n):
        h[:, t] = np.einsum("kij,kj->ki", W[:, t - 1], phi(h[:, t - 1]))
    kernel = np.einsum("kti,ksi->kts", phi(h), phi(h)) / N
    T = problem.supervised
    gram = kernel[:, T[:, None], T] + problem.kappa * np.eye(len(T))
    dual = np.linalg.solve(gram, np.broadcast_to(problem.labels[:, None], (draws, len(T), 1)))
    log_weight = -0.5 * N * (problem.labels @ dual)[:, 0] - 0.5 * np.linalg.slogdet(gram)[1]
    weight = np.exp(log_weight - log_weight.max())
    f = (kernel[:, :, T] @ dual)[..., 0]
    parts = [(w @ g) / w.sum() for w, g in zip(np.split(weight, batches), np.split(f, batches), strict=True)]
    return np.mean(parts, axis=0), np.std(parts, axis=0) / np.sqrt(batches)


NARROW = [
    (Problem([[1.0]], [[0.5, np.nan, 2.0]], kappa=0.3), (2,)),
    (Problem([[1.0]], [[np.nan, 1.0, np.nan, 2.0]], kappa=0.3), (1, 3)),
    (Problem([[1.0]], [[np.nan, np.nan, 3.0]], kappa=0.3), (2,)),
    (Problem([[1.0]], [[np.nan, np.nan, 3.0]], kappa=0.3, arch="dnn"), (1, 2)),
    (Problem([[1.0]], [[0.7, np.nan, 2.0]], kappa=0.3, arch="dnn"), (2,)),
    (Problem([[1.0]], [[0.7, 1.2, np.nan]], kappa=0.3), ()),
]


@pytest.mark.parametrize(("problem", "zero"), NARROW)
def test_the_mean_over_both_signs_is_zero_where_a_symmetry_reverses_a_prediction_and_nowhere_else(problem, zero):
    reversing = {
        t + 1
        for symmetry in group.sign_symmetries(problem, True)
        for t in np.flatnonzero(symmetry.of_predictions(np.ones((1, problem.n)))[0] < 0)
    }
    for phi in (np.tanh, lambda h: h):
        mean, error = sampled_predictions(problem, phi)
        z = np.abs(mean / error)
        assert tuple((1 + np.flatnonzero(z < 4)).tolist()) == zero
        assert z[[t for t in range(problem.n) if t + 1 not in zero]].min() > 8
    assert reversing == set(zero)


def test_the_program_says_so(tmp_path):
    file = tmp_path / "problem.npz"
    np.savez(file, x=TWO_LABELS.x, y=TWO_LABELS.y)
    shown = CliRunner().invoke(cli, ["solve", str(file), "--kappa", "0.5"])
    assert "arbitrary for the prediction at t = 2" in shown.output
    fields = json.loads(CliRunner().invoke(cli, ["solve", str(file), "--kappa", "0.5", "--json"]).stdout)
    assert fields["sign_arbitrary"] == [2]
    none = CliRunner().invoke(cli, ["solve", "endpoint", "--T", "4", "--signal", "2", "--json"])
    assert "sign_arbitrary" not in json.loads(none.stdout)


@pytest.mark.parametrize(("share", "broken"), [(0.9, False), (1.2, True)])
@pytest.mark.parametrize("entry", [(1, 0), (2, 1)])
def test_entries_within_a_small_part_of_the_diagonal_have_no_sign_in_a_state_that_was_found(share, broken, entry):
    kernel = np.diag([1.0, 4.0, 9.0])
    kernel[entry] = kernel[entry[::-1]] = (
        share * gauge.SMALL_OUTPUT * np.sqrt(kernel[entry[0], entry[0]] * kernel[entry[1], entry[1]])
    )
    problem = endpoint(4, 5.0)
    assert bool(gauge.rounded_gauge(problem, kernel, odd=True).steps) == broken
    error = np.full((3, 3), 10 * gauge.SMALL_OUTPUT)
    assert not gauge.rounded_gauge(problem, kernel, odd=True, error=error).steps
    assert gauge.gauge(problem, kernel, odd=True).steps  # whose own limit is rounding


def test_sums_and_entries_beyond_three_errors_have_a_sign():
    """Of a trace the errors of its entries add up; single entries where only patterns' signs are open."""
    two = Problem(np.eye(2), [[np.nan, np.nan, 1.0], [np.nan, np.nan, -2.0]])
    kernel = np.eye(6)
    for a, b in ((4, 2), (5, 3)):
        kernel[a, b] = kernel[b, a] = 0.25
    for size, steps in ((0.08, 1), (0.085, 0)):  # 3 · 2 · 0.08 < 0.5
        found = gauge.gauge(two, kernel, odd=True, error=np.full((6, 6), size)).steps
        assert len([step for step in found if len(step.block[0]) == 2]) == steps
    apart = Problem(np.eye(2), [[np.nan, 1.0, np.nan], [2.0, np.nan, np.nan]], arch="dnn")
    pair = np.eye(6)
    pair[4, 5] = pair[5, 4] = 0.5
    for size, steps in ((0.16, 1), (0.17, 0)):
        assert len(gauge.gauge(apart, pair, odd=True, error=np.full((6, 6), size)).steps) == steps
