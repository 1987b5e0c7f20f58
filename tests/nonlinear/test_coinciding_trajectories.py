"""Patterns with one trajectory until a time: one row of Φ for each, found and used by every engine."""

import numpy as np
import pytest
from scipy.special import erf
from scipy.stats import multivariate_normal, multivariate_t

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.problem import Problem
from numerics.nonlinear.classes import trajectory_classes
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.search import lowest_state
from numerics.nonlinear.space import _embedding, trajectory_space
from numerics.nonlinear.symmetries import images
from numerics.predictors import generalisation
from numerics.results.readout import mean_outputs
from tests.linear.test_delayed_tasks import delayed_xor, flip_flop, match_to_sample
from tests.linear.test_delayed_tasks import forward as reference_covariance

nan = np.nan


def final(labels, n):
    y = np.full((len(labels), n), nan)
    y[:, -1] = labels
    return y


def test_rows_of_a_delayed_exclusive_or():
    x, y = delayed_xor()
    space = trajectory_space(Problem(x, y, activation="erf"))
    # two histories until the second cue at t = 2, four afterwards
    assert np.bincount(space.classes.times).tolist() == [2, 2, 4, 4, 4]
    assert space.m == 16
    # h^3 = (first cue) + (second cue): one dependence among the four, which φ breaks at t = 4
    assert np.bincount(space.times).tolist() == [2, 2, 3, 4, 4]
    assert space.classes.row[:4].tolist() == [0, 0, 1, 1]
    # each row at t = 3 goes on from that of its first cue
    assert space.classes.before[4:8].tolist() == [2, 2, 3, 3]


def test_opposite_inputs_are_one_row_of_odd_activations_and_multiples_one_of_relu():
    x = [[[1.0], [0.0]], [[-1.0], [0.0]], [[2.0], [0.0]], [[1.0], [3.0]]]
    y = np.ones((4, 2))
    odd = trajectory_classes(Problem(x, y, activation="tanh"))
    assert odd.row.tolist() == [0, 0, 1, 0, 2, 2, 3, 4]
    assert odd.factor.tolist() == [1, -1, 1, 1, 1, -1, 1, 1]
    relu = trajectory_classes(Problem(x, y, activation="relu"))
    assert relu.row.tolist() == [0, 1, 0, 0, 2, 3, 2, 4]
    assert relu.factor.tolist() == [1, 1, 2, 1, 1, 1, 2, 1]


def test_patterns_without_input_so_far():
    x, y = np.array([[[1.0], [0.0]], [[0.0], [2.0]]]), final([1.0, -1.0], 2)
    classes = trajectory_classes(Problem(x, y, activation="erf"))
    assert classes.row.tolist() == [0, -1, 1, 2]
    assert classes.before.tolist() == [-1, 0, -1]
    cosine = Activation.of(np.cos, name="cosine")
    with pytest.raises(InputError, match="row 1 is zero up to t = 0, and cosine is not zero at 0"):
        trajectory_classes(Problem(x, y, activation=cosine))
    with pytest.raises(InputError, match="row 1, up to its label at t = 1"):
        trajectory_space(Problem(x, np.ones((2, 2)), activation="erf"))


@pytest.mark.parametrize(("activation", "arch"), [("erf", "rnn"), ("relu", "dnn")])
def test_a_pattern_given_three_times_is_one_with_a_third_of_the_noise(activation, arch):
    once = Problem([[1.2, 0.4]], final([1.5], 2), arch=arch, activation=activation, kappa=0.5)
    y = final([2.0, 1.5, 1.0], 2)  # the mean counts; what is left is a constant
    thrice = Problem(np.repeat(once.x, 3, axis=0), y, arch=arch, activation=activation, kappa=1.5, x_test=once.x)
    one, three = lowest_state(once), lowest_state(thrice)
    assert three.converged
    np.testing.assert_allclose(three.free_energy, one.free_energy + 0.5 * 0.5 / 1.5, rtol=1e-10)
    np.testing.assert_allclose(three.kernel, np.kron(one.kernel, np.ones((3, 3))), rtol=1e-9)
    outputs = np.tile(mean_outputs(one), (3, 1))
    np.testing.assert_allclose(mean_outputs(three), outputs, rtol=1e-8)
    np.testing.assert_allclose(np.vdot(three.conjugate, three.kernel), np.vdot(one.conjugate, one.kernel), rtol=1e-8)
    if activation == "erf":
        np.testing.assert_allclose(generalisation.held_out(three).mean, mean_outputs(one), atol=1e-3)


def parting(apart, kappa=0.4):
    """Two patterns whose first inputs are `apart`, and whose second ones differ."""
    x = np.array([[[1.0, 0.0], [0.0, 0.8]], [[1.0, apart], [0.0, -0.8]]])
    return Problem(x, final([1.0, -0.5], 2), activation="erf", kappa=kappa)


def test_one_trajectory_until_the_second_cue_is_the_limit_of_close_ones():
    """The engine without coinciding rows, in one dimension more, approaches it quadratically."""
    exact = lowest_state(parting(0.0))
    assert exact.converged
    assert trajectory_space(parting(0.0)).d == 3
    near = lowest_state(parting(0.04), tolerance=1e-6).free_energy - exact.free_energy
    assert abs(near) < 0.04**2  # a difference of first order would be ten times as large


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_linear_activities_are_the_linear_theorys(arch):
    """Coinciding rows by both theories: the sample is exact for linear φ."""
    x = np.zeros((4, 3, 6))
    x[:, 0, 0], x[:, 0, 1], x[:, 1, 2:] = [1, 1, 0, 0], [0, 0, 1, 1], 2 * np.eye(4)
    problem = Problem(x, final([1.0, -1.0, -1.0, 1.0], 3), arch=arch, kappa=0.3)
    sampled, exact = lowest_state(problem, engine="sampling", size=512), solve(problem)
    assert sampled.converged
    np.testing.assert_allclose(sampled.free_energy, exact.free_energy, rtol=1e-5)
    np.testing.assert_allclose(mean_outputs(sampled), mean_outputs(exact), atol=1e-4)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("seed", range(8))
def test_inputs_that_come_again_leave_as_many_coordinates_as_the_covariance_has_rank(seed, arch):
    """Pulses on few lines at several times: rows of one time depend on those of earlier ones, as all share U."""
    rng = np.random.default_rng(seed)
    P, n, D = int(rng.integers(2, 5)), int(rng.integers(2, 5)), int(rng.integers(1, 3))
    x = rng.integers(-1, 2, size=(P, n, D)).astype(float)
    x[:, 0] = np.where((x[:, 0] == 0).all(axis=1, keepdims=True), 1.0, x[:, 0])
    problem = Problem(x, final(rng.standard_normal(P), n), arch=arch, activation="erf", w=1.3, u=0.7)
    space = trajectory_space(problem)
    kernel = forward_kernel(space, problem.activation)
    whole = reference_covariance(space.classes.expand(kernel), problem)
    found = space.classes.expand(space.embedding @ space.covariance(kernel) @ space.embedding.T)
    np.testing.assert_allclose(found, whole, atol=1e-12)
    size = np.linalg.eigvalsh(whole)
    assert space.d == np.sum(size > 1e-10 * size[-1])
    assert np.linalg.eigvalsh(space.covariance(kernel))[0] > 1e-8


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_an_input_that_comes_again_is_the_limit_of_one_that_nearly_does(arch):
    """The second pulse of one pattern on nearly the line of the first: one dimension more, and F is close by."""

    def pulses(apart):
        x = np.array([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [-1.0, apart]]])
        return Problem(x, final([1.0, -0.5], 2), activation="erf", arch=arch, kappa=0.4)

    exact = lowest_state(pulses(0.0))
    assert exact.converged
    assert trajectory_space(pulses(0.0)).d == 2
    assert trajectory_space(pulses(0.03)).d == 3
    near = lowest_state(pulses(0.03), tolerance=1e-6)
    assert abs(near.free_energy - exact.free_energy) < 0.03**2
    np.testing.assert_allclose(near.kernel, exact.kernel, atol=2e-3)


def test_rows_that_depend_on_each_other_are_named():
    x = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    with pytest.raises(InputError, match=r"makes rows 0, 1, 2 depend on each other"):
        lowest_state(Problem(x, final([1.0, 2.0, 3.0], 2), kappa=1.0))


def test_only_the_rows_that_depend_on_each_other_are_named():
    x = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    with pytest.raises(InputError, match=r"makes rows 1, 2, 3 depend on each other at t"):
        lowest_state(Problem(x, final([1.0, 2.0, 3.0, 4.0], 2), kappa=1.0))
    many = np.concatenate([np.eye(9), np.ones((1, 9))])
    with pytest.raises(InputError, match=r"makes rows 0, 1, 2, 3, 4, 5, … depend"):
        lowest_state(Problem(many, final(np.arange(10.0), 2), kappa=1.0))


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["erf", "tanh"])
@pytest.mark.parametrize("task", [delayed_xor, flip_flop])
def test_delayed_tasks_at_six_times(task, activation):
    """Solved; two seeds of the flip-flop lead to one state, or to one that exchanges patterns; those of one history
    have one output, and reversed histories the reversed one."""
    x, y = task()
    problem = Problem(4.0 * x, y, activation=activation, kappa=0.2)
    state = lowest_state(problem, tolerance=3e-2)
    assert state.converged, state.status
    space = trajectory_space(problem)
    if task is flip_flop and activation == "erf":
        other = lowest_state(problem, tolerance=3e-2, seed=1)
        both = 5 * (state.kernel_error.max() + other.kernel_error.max()) + 1e-3
        assert any(np.abs(state.kernel - each).max() < both for each in images(space, problem.activation, other.kernel))
        assert state.free_energy == pytest.approx(other.free_energy, rel=0.01)
    outputs = mean_outputs(state)
    rows, factor = (part.reshape(problem.n, problem.P) for part in (space.classes.row, space.classes.factor))
    for t in range(problem.n):
        for p in range(problem.P):
            same = np.flatnonzero(rows[t] == rows[t, p])
            assert np.ptp(outputs[same, t] * factor[t, same]) < 1e-9  # φ is odd: -1 where all inputs are reversed


@pytest.mark.slow
def test_a_delayed_match_to_sample_at_six_times():
    """21 dimensions: F is that of other seeds, and points of a heavy-tailed law, drawn independently, give it too."""
    x, y = match_to_sample()
    problem = Problem(4.0 * x, y, activation="erf", kappa=0.2)
    one = lowest_state(problem, tolerance=6e-2)
    assert one.converged, one.status
    assert one.free_energy == pytest.approx(6.73, abs=0.02)  # other seeds end between 6.72 and 6.74
    space = trajectory_space(problem)
    inverse = np.linalg.pinv(space.embedding)
    rows = space.classes.representative
    kernel, second = one.kernel[np.ix_(rows, rows)], one.second_moment[np.ix_(rows, rows)]
    tilt = space.classes.gathered(one.conjugate)
    proposal = multivariate_t(shape=1.2 * inverse @ second @ inverse.T, df=21, seed=5)
    g = proposal.rvs(1 << 18)
    activity = erf(np.sqrt(np.pi) / 2 * g @ space.embedding.T)
    log_p = np.einsum("ki,ki->k", activity @ tilt, activity) - proposal.logpdf(g)
    log_p += multivariate_normal(cov=space.covariance(kernel)).logpdf(g)
    log_Z = np.log(np.exp(log_p - log_p.max()).mean()) + log_p.max()
    assert one.energy + np.vdot(tilt, kernel) - log_Z == pytest.approx(one.free_energy, abs=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_sources_of_a_low_rank_are_carried_by_as_many_coordinates(seed):
    """Those of the first time, one more at the second, none after: all rows stay combinations of them."""
    rng = np.random.default_rng(seed)
    times, mixing, directions = np.repeat(np.arange(4), 2), rng.normal(size=(8, 3)), rng.normal(size=(3, 5))
    mixing[:2, 2] = directions[:2, :3] = 0.0
    sources = mixing @ directions
    back, x = sources[:, :3], sources[:, 3:]
    embedding, of = _embedding(times, back, x)
    np.testing.assert_array_equal(of, [0, 0, 1])
    scaled = np.concatenate([back, x / np.abs(x).max()], axis=1)
    np.testing.assert_allclose(embedding @ np.linalg.lstsq(embedding, scaled, rcond=None)[0], scaled, atol=1e-12)
    np.testing.assert_allclose(embedding[:2, :2] @ embedding[:2, :2].T, x[:2] @ x[:2].T, atol=1e-12)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_space_of_stronger_labels_or_noise_is_that_of_such_a_problem(factor):
    x = np.array([[1.0, 0.2], [1.0, 0.2], [-0.5, 0.8]])
    problem = Problem(x, [[np.nan, 1.0], [np.nan, 2.0], [0.5, -1.0]], activation="erf", kappa=0.3)
    space = trajectory_space(problem)
    kernel = 0.5 * np.eye(space.m) + 0.1
    for found, changed in (
        (space.with_labels(factor), problem.with_(y=problem.y * np.sqrt(factor))),
        (space.with_noise(factor), problem.with_(kappa=factor * 0.3)),
    ):
        expected = trajectory_space(changed).labels.duals(kernel).energy
        assert found.labels.duals(kernel).energy == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(found.problem.y, changed.y)
        assert found.problem.kappa == changed.kappa
