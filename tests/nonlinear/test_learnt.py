"""Laws that fit the labels, from which minima on the learnt side are looked for: their sizes, signs and number."""

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.learnt import SHARES, _growth, _subsets, learnt_covariances
from numerics.nonlinear.space import trajectory_space

nan = np.nan


def prepared(problem):
    space = trajectory_space(problem)
    return space, space.covariance(forward_kernel(space, problem.activation))


def late(labels, n=3, **options):
    x = np.array([[1.0, 0.2], [0.1, 0.9], [-0.6, 0.5]])[: len(labels)]
    y = np.full((len(labels), n), nan)
    y[:, -1] = labels
    return Problem(x, y, activation="erf", w=0.5, **options)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_activity_grows_by_one_factor_to_the_labels_size(share, sign):
    problem = late([50.0 * sign], v=1.7)
    space, prior = prepared(problem)
    h = space.embedding @ _growth(space, prior, share, problem.y)
    size = np.sqrt(np.diagonal(space.embedding @ prior @ space.embedding.T))
    assert h[-1] == pytest.approx(sign * share * 50.0 / np.sqrt(1.7))
    ratio = h / (sign * size)
    np.testing.assert_allclose(ratio, ratio[0] ** np.arange(1, 4), rtol=1e-9)
    # a label that the random network reaches is met without growth
    weak = late([1e-3])
    h = space.embedding @ _growth(space, prior, share, weak.y)
    np.testing.assert_allclose(h, size, rtol=1e-9)


def test_between_labels_activity_grows_to_the_next_and_after_the_last_on():
    problem = late([1.0])
    space, prior = prepared(problem)
    y = np.array([[nan, -30.0, nan]])
    h = space.embedding @ _growth(space, prior, 1.0, y)
    size = np.sqrt(np.diagonal(space.embedding @ prior @ space.embedding.T))
    assert h[1] == pytest.approx(-30.0)
    ratio = -h / size
    np.testing.assert_allclose(ratio, (30.0 / size[1]) ** (np.arange(1, 4) / 2), rtol=1e-9)
    both = space.embedding @ _growth(space, prior, 1.0, np.array([[nan, -30.0, 400.0]]))
    np.testing.assert_allclose(both[:2], h[:2])
    assert both[2] == pytest.approx(400.0)
    assert not _growth(space, prior, 1.0, np.array([[nan, 0.0, nan]])).any()


def test_patterns_that_share_a_row_grow_as_their_mean_and_reversed_ones_in_reverse():
    x = np.array([[1.0, 0.2], [-1.0, -0.2], [1.0, 0.2]])
    y = np.array([[nan, 40.0], [nan, -40.0], [nan, 40.0]])
    three = Problem(x, y, activation="erf", w=0.5)
    one = Problem(x[:1], y[:1], activation="erf", w=0.5)
    space, prior = prepared(three)
    single, single_prior = prepared(one)
    expected = _growth(single, single_prior, 1.0, one.y)
    np.testing.assert_allclose(_growth(space, prior, 1.0, three.y), expected, rtol=1e-9)
    apart = y.copy()
    apart[1, 1] = 40.0  # against the sign of its row: 40 - 40 + 40 over three
    assert space.embedding[1] @ _growth(space, prior, 1.0, apart) == pytest.approx(40.0 / 3)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_covariances_are_coherent_first_then_each_time_for_itself(arch):
    problem = late([50.0, -20.0, 30.0], arch=arch)
    space, prior = prepared(problem)
    found = list(learnt_covariances(space, prior, few=True))
    growth = _growth(space, prior, SHARES[0], problem.y)
    together = prior + np.outer(growth, growth)
    apart = prior + np.where(space.times[:, None] == space.times, np.outer(growth, growth), 0.0)
    expected = [together, apart] if arch == "rnn" else [apart]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    whole = list(learnt_covariances(space, prior, few=False))
    np.testing.assert_allclose(whole[0], expected[0], rtol=1e-12)
    # of all labels for each share: at angles 0 and π/2, and incoherent; of one of three patterns 0 and incoherent
    assert len(whole) == (len(SHARES) * 3 + 3 * 2 if arch == "rnn" else len(SHARES) + 3)
    for each in whole:
        assert np.linalg.eigvalsh(each - prior)[0] > -1e-9 * np.linalg.norm(each)


@pytest.mark.parametrize(("arch", "step"), [("rnn", 1), ("drift:0.6", 1), ("looped:2", 2), ("looped:3", 3)])
def test_a_direction_turns_by_one_angle_from_each_matrix_to_the_next_that_is_correlated_with_it(arch, step):
    y = np.full((1, 8), nan)
    y[0, -1] = 30.0
    space, prior = prepared(Problem([[1.0]], y, activation="erf", arch=arch, w=0.5))
    growth = _growth(space, prior, SHARES[0], y)
    found = [(each - prior) / np.outer(growth, growth) for each in learnt_covariances(space, prior, few=False)]
    steps = 7 // step
    angles = [0.0, np.pi / 2, np.pi / 3][: min(steps, 3)]  # two steps are the fewest of π/2, three of π/3
    if step > 1:  # W -> -W of all matrices is no symmetry by itself
        angles.insert(1, np.pi)
    expected = [np.cos(angle * np.arange(steps + 1)) for angle in angles]
    expected.insert(1, np.eye(steps + 1)[0])  # each time for itself
    assert len(found) == len(SHARES) * len(expected)
    for one, along in zip(found, expected, strict=False):
        lags = np.zeros(8)
        lags[::step] = along
        np.testing.assert_allclose(one[0], lags, atol=1e-9)


def test_subsets_are_all_labels_then_those_of_a_time_and_of_a_pattern():
    y = np.array([[1.0, nan, 2.0], [nan, nan, 3.0]])
    space = trajectory_space(Problem([[1.0, 0.0], [0.0, 1.0]], y, activation="erf"))
    found = [one[0] for one in _subsets(space)]
    expected = [
        y,
        [[1.0, nan, nan], [nan, nan, nan]],
        [[nan, nan, 2.0], [nan, nan, 3.0]],
        [[1.0, nan, 2.0], [nan, nan, nan]],
        [[nan, nan, nan], [nan, nan, 3.0]],
    ]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(_subsets(trajectory_space(endpoint(4, 2.0, activation="erf")))) == 1
    # each of four patterns, and none of five
    for patterns in (4, 5):
        many = Problem(np.eye(patterns), np.full((patterns, 2), [nan, 1.0]), activation="erf")
        assert len(_subsets(trajectory_space(many))) == (5 if patterns == 4 else 1)


def test_labels_at_several_times_are_met_with_either_sign_of_the_weights():
    y = np.array([[nan, 30.0, -60.0]])
    space, prior = prepared(Problem([[1.0]], y, activation="erf", w=0.5))
    found = list(learnt_covariances(space, prior, few=False))
    growth = _growth(space, prior, SHARES[0], y)
    turned = growth * (-1.0) ** space.times
    assert any(np.allclose(each, prior + np.outer(turned, turned), rtol=1e-12) for each in found)
    # all: at angles 0, π and π/2, and incoherent; either time: 0, and incoherent
    assert len(found) == len(SHARES) * 4 + 2 * 2


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_one_label_is_met_with_either_sign_of_the_weights_where_that_is_no_symmetry(activation):
    y = np.array([[nan, nan, 6.0], [nan, nan, -5.0]])
    problem = Problem([[1.0, 0.0], [0.3, 1.0]], y, activation=activation, arch="shared:0.5")
    space, prior = prepared(problem)
    found = list(learnt_covariances(space, prior, few=False))
    turned = [_growth(space, prior, share, y) * (-1.0) ** space.times for share in SHARES]
    there = [any(np.allclose(each, prior + np.outer(g, g), rtol=1e-12) for each in found) for g in turned]
    assert there == [activation == "relu"] * 2
    # all: at angles 0 and π/2, and incoherent, and of ReLU π; either pattern: 0, and incoherent
    assert len(found) == len(SHARES) * (3 + (activation == "relu")) + 2 * 2
