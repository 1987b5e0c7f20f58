"""Sign symmetries of random problems, against networks whose weights are reversed and against an enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.inputs.problem import Problem
from numerics.linear.functional import kernel_functional
from numerics.predictors.observables import predict
from numerics.symmetry import group
from numerics.symmetry.actions import acted

#: Inputs that are orthogonal, parallel or neither, so that reflections of the input space matter.
INPUTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 1], [1, 1, 0], [-1, 0, 0]], dtype=float)


@st.composite
def problems(draw, largest=4):
    n, P = draw(st.integers(2, largest)), draw(st.integers(1, 2))
    x = np.array([[INPUTS[draw(st.sampled_from([0, 0, 1, 2, 4]))] for _ in range(n)] for _ in range(P)])
    x[:, 0] = [INPUTS[draw(st.integers(1, 5))] for _ in range(P)]
    y = np.array([[draw(st.sampled_from([np.nan, np.nan, 0.0, 1.5, -0.7])) for _ in range(n)] for _ in range(P)])
    if np.isnan(y).all():
        y[0, -1] = 1.0
    return Problem(x, y, arch=draw(st.sampled_from(["rnn", "dnn"])), kappa=0.5)


def activity(x, W, U):
    """φ(h) of one network, (n, N, P), written from its equations."""
    h = np.zeros((len(W) + 1, U.shape[0], len(x)))
    for t in range(len(h)):
        h[t] = U @ x[:, t].T + (W[t - 1] @ np.tanh(h[t - 1]) if t else 0.0)
    return np.tanh(h)


def reflections():
    """Reflections of the input space that keep each of `INPUTS` but for a sign, where they are asked to."""
    axes = np.eye(3)
    plane = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return [np.diag(s) for s in product((1.0, -1.0), repeat=3)] + [s * plane for s in (1.0, -1.0)] + [axes]


def by_networks(problem):
    """All signs (n, P) that reversed weights of a random network give its activity, labels' relative signs kept.

    By brute force over matrices' signs and reflections of the inputs' space; no algebra is shared with the group.
    """
    rng = np.random.default_rng(0)
    n, N = problem.n, 5
    W, U = rng.normal(size=(n - 1, N, N)) * 0.3, rng.normal(size=(N, problem.D))
    if problem.arch == "rnn":
        W[:] = W[:1]
    before = activity(problem.x, W, U)
    alive = np.abs(before).max(axis=1) > 1e-9
    found = set()
    for sigma in product((1.0, -1.0), repeat=1 if problem.arch == "rnn" else n - 1):
        for R in reflections():
            signed = np.broadcast_to(np.array(sigma), (n - 1,))[:, None, None] * W
            after = activity(problem.x, signed, U @ R)
            s = np.where(alive, np.sign((before * after).sum(axis=1)), 1.0)
            if np.abs(after - s[:, None, :] * before).max() > 1e-9:
                continue
            labelled = np.nan_to_num(problem.y.T) != 0
            on = s[labelled & alive]
            if len(set(on)) < 2:
                first = s[alive][0]
                found.add(tuple(np.where(alive, s * first, 1.0).ravel()))
    return found


def generated(generators, size):
    signs = {(1.0,) * size}
    for symmetry in generators:
        signs |= {tuple(np.array(s) * symmetry.rows) for s in signs}
    return signs


@settings(max_examples=150, deadline=None)
@given(problem=problems())
def test_the_group_is_that_of_networks_with_reversed_weights(problem):
    generators = group.sign_symmetries(problem, True)
    found = generated(generators, problem.n * problem.P)
    assert len(found) == 2 ** len(generators)  # independent
    alive = np.logical_or.accumulate(problem.x.any(axis=2).T, axis=0)
    first = np.argmax(alive.ravel())
    normal = {tuple(np.where(alive.ravel(), np.array(s) * s[first], 1.0)) for s in found}
    assert normal == by_networks(problem)


@settings(max_examples=60, deadline=None)
@given(problem=problems(), seed=st.integers(0, 2**32 - 1))
def test_images_have_the_same_free_energy_and_reversed_predictions(problem, seed):
    dead = ~np.logical_or.accumulate(problem.x.any(axis=2), axis=1)
    if (dead & np.isfinite(problem.y)).any():
        return
    functional = kernel_functional(problem)
    S = np.random.default_rng(seed).normal(size=(functional.dimension,) * 2)
    point = functional.at(functional.prior_kernel()).move(0.15 * (S + S.T))
    generators = group.sign_symmetries(problem, True)
    assert len(generators) == len(functional.reversals)
    for symmetry, R in zip(generators, functional.reversals, strict=True):
        image = functional.at(acted(R, point.H))
        np.testing.assert_allclose(image.free_energy, point.free_energy, rtol=1e-9)
        kernels = [functional.space.expand(H) for H in (point.H, image.H)]
        np.testing.assert_allclose(kernels[1], symmetry.of_kernel(kernels[0]), atol=1e-9 * np.abs(kernels[0]).max())
        f, reversed_f = (predict(State(problem, kernel)) for kernel in kernels)
        labelled = np.isfinite(problem.y) & (problem.y == 0)
        if labelled.any():
            continue
        np.testing.assert_allclose(reversed_f, symmetry.of_predictions()[0] * f, atol=1e-8 * np.abs(f).max())


class State:
    def __init__(self, problem, kernel):
        self.problem, self.kernel = problem, kernel


@settings(max_examples=60, deadline=None)
@given(problem=problems(), seed=st.integers(0, 99))
def test_a_parity_that_is_no_symmetry_changes_the_free_energy(problem, seed):
    """W → -W at every time, where the group does not have it: some kernel shows the difference."""
    moving = problem.arch == "rnn" and not problem.x[:, 1:].any()
    if not moving or group.sign_symmetries(problem, True):
        return
    functional = kernel_functional(problem)
    S = np.random.default_rng(seed).normal(size=(functional.dimension,) * 2)
    point = functional.at(functional.prior_kernel()).move(0.15 * (S + S.T))
    signs = np.repeat((-1.0) ** np.arange(problem.n), functional.space.block)
    assert abs(functional.at(acted(signs, point.H)).free_energy - point.free_energy) > 1e-12


def conditions(tied, *labelled, **changes):
    """One pattern with input at t = 0, and each output's labelled times, 1-based."""
    labels = np.zeros((len(labelled), len(tied) + 1), bool)
    for output, times in enumerate(labelled):
        labels[output, [t - 1 for t in times]] = True
    inputs = np.full(len(tied) + 1, -1)
    inputs[0] = 0
    return group.Conditions(**{"odd": True, "tied": np.array(tied), "inputs": inputs, "labelled": labels} | changes)


def matrices(given):
    return [symmetry.matrices.tolist() for symmetry in group.generators(given)]


def test_architectures_without_a_problem_of_their_own_yet():
    assert len(matrices(conditions([0, 1, 2, 3], [5]))) == 4
    # labels at times 1 and 3 keep the product of the first two signs
    assert matrices(conditions([0, 1, 2], [1, 3])) == [[-1, -1, 1], [1, 1, -1]]
    # looped, two layers in turn: each may be reversed where the label's sign can follow
    looped = np.arange(4) % 2
    np.testing.assert_array_equal(group.correlated((looped[:, None] == looped).astype(float)), looped)
    assert len(matrices(conditions(looped, [5]))) == 2
    assert matrices(conditions(looped, [2, 5])) == [[1, -1, 1, -1]]
    # adapters and drift correlate all matrices, however weakly
    assert set(group.correlated(0.1 ** np.abs(np.subtract.outer(range(4), range(4))))) == {0}
    # a skip connection or one bias at all times leave nothing, independent biases all
    assert matrices(conditions([0, 0, 0], [4], skip=True)) == []
    assert matrices(conditions([0, 0, 0], [4], inputs=np.zeros(4, int))) == []
    assert len(matrices(conditions([0, 1, 2], [4], inputs=np.arange(4)))) == 3
    assert matrices(conditions([0, 0, 0], [4], odd=False)) == []
    # each output has a read-out of its own
    (symmetry,) = group.generators(conditions([0, 0, 0], [2], [3]))
    assert symmetry.readouts.tolist() == [-1, 1]
    np.testing.assert_array_equal(symmetry.of_predictions()[:, 0], [[-1, 1, -1, 1], [1, -1, 1, -1]])


@settings(max_examples=150, deadline=None)
@given(problem=problems(largest=5))
def test_independent_classes_are_kept_by_the_forward_map_and_by_every_symmetry(problem):
    classes = group.independent_classes(problem, True)
    within = classes[:, None] == classes
    for symmetry in group.sign_symmetries(problem, True):
        alive = np.logical_or.accumulate(problem.x.any(axis=2).T, axis=0).ravel()
        signs = np.outer(symmetry.rows, symmetry.rows)
        assert (signs[within & np.outer(alive, alive)] == 1).all()
    # C of a kernel within the classes stays within them, and so does a covariance's message back to Φ̃
    P, size = problem.P, problem.n * problem.P
    time = np.arange(size) // P
    mask = within & ((time[:, None] == time) | (problem.arch == "rnn"))
    forward = np.zeros((size, size), bool)
    forward[P:, P:] = mask[:-P, :-P]
    assert not (forward & ~within).any()
    back = np.zeros((size, size), bool)
    back[:-P, :-P] = within[P:, P:]
    assert not (back & ((time[:, None] == time) | (problem.arch == "rnn")) & ~within).any()


@pytest.mark.parametrize("labels", [(1, 2), (1, 4)])
def test_labels_at_times_of_both_parities_leave_no_symmetry(labels):
    y = np.full((1, 5), np.nan)
    y[0, [t - 1 for t in labels]] = 2.0
    assert group.sign_symmetries(Problem([[1.0]], y), True) == ()
    # ... but phases of order 3 may leave classes that do not correlate
    assert len(set(group.independent_classes(Problem([[1.0]], y), True))) == (3 if labels == (1, 4) else 1)
