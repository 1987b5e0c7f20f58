"""Sign symmetries of random problems, against networks whose weights are reversed and against an enumeration."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics.inputs.problem import Problem
from numerics.linear.actions import acted
from numerics.linear.functional import kernel_functional
from numerics.results.readout import mean_outputs
from numerics.symmetry import group
from numerics.symmetry.held_out import _signs
from tests.sampling.sharing_cases import root

#: Inputs that are orthogonal, parallel or neither, so that reflections of the input space matter.
INPUTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 1], [1, 1, 0], [-1, 0, 0]], dtype=float)


#: Matrices with correlations of both signs, fractional ones, and times that are tied by way of others only.
ARCHITECTURES = {
    2: ["rnn", "dnn"],
    3: ["rnn", "dnn", "shared:0.5", [[1, -1], [-1, 1]], [[2, -0.3], [-0.3, 0.5]]],
    4: [
        "rnn", "dnn", "shared:0.5", "drift:0.6", "looped:2", [[1, 0, 0.5], [0, 2, 0], [0.5, 0, 1]],
        [[1, -0.4, 0], [-0.4, 1, 0.3], [0, 0.3, 1]],
        (np.ones((3, 1)) @ np.ones((1, 3)) * np.outer([1, -1, 2], [1, -1, 2])).tolist(),
        np.diag([1.0, 0.3, 2.0]).tolist(),
    ],
    5: ["rnn", "dnn", "drift:0.6", "looped:2", "looped:3"],
}  # fmt: skip
LABELS = [[1.0, 0.0], [0.0, -0.7], [0.5, 0.5], [0.5, -0.5], [0.0, 0.0], [np.nan, 1.2], [np.nan, np.nan]]


@st.composite
def problems(draw, largest=4, plain=False):
    n, P = draw(st.integers(2, largest)), draw(st.integers(1, 2))
    x = np.array([[INPUTS[draw(st.sampled_from([0, 0, 1, 2, 4]))] for _ in range(n)] for _ in range(P)])
    x[:, 0] = [INPUTS[draw(st.integers(1, 5))] for _ in range(P)]
    if plain or draw(st.booleans()):
        y = np.array([[draw(st.sampled_from([np.nan, np.nan, 0.0, 1.5, -0.7])) for _ in range(n)] for _ in range(P)])
        y[0, -1] = 1.0 if np.isnan(y).all() else y[0, -1]
    else:
        y = np.array([[draw(st.sampled_from([*LABELS, LABELS[-1]])) for _ in range(n)] for _ in range(P)])
        y[0, -1] = np.where(np.isnan(y).all(axis=(0, 1)), 1.0, y[0, -1])
    if plain:
        return Problem(x, y, arch=draw(st.sampled_from(["rnn", "dnn"])), kappa=0.5)
    arch = draw(st.sampled_from(ARCHITECTURES[n]))
    skip, bias = draw(st.sampled_from([(0.0, 0.0), (0.0, 0.0), (0.6, 0.0), (0.0, 0.4), (0.6, 0.4)]))
    return Problem(x, y, arch=arch, kappa=0.5, v=1.3, w=0.8, skip=skip, bias=bias)


def alive_of(problem):
    """Where h is not 0, (n, P)."""
    return np.logical_or.accumulate(problem.x.any(axis=2).T | (problem.bias > 0), axis=0)


def activity(problem, W, U, b):
    """φ(h) of one network, (n, N, P), written from its equations."""
    h = np.zeros((problem.n, U.shape[0], problem.P))
    for t in range(problem.n):
        h[t] = U @ problem.x[:, t].T + b[t][:, None]
        if t:
            h[t] += problem.skip * h[t - 1] + W[t - 1] @ np.tanh(h[t - 1])
    return np.tanh(h)


def reflections():
    """Reflections of the input space that keep each of `INPUTS` but for a sign, where they are asked to."""
    axes = np.eye(3)
    plane = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return [np.diag(s) for s in product((1.0, -1.0), repeat=3)] + [s * plane for s in (1.0, -1.0)] + [axes]


def prior_signs(covariance, weights):
    """Signs (k,) of the weights of different times, (k, …), that leave their density under a prior as it is."""
    k = len(covariance)
    inverse, flat = np.linalg.pinv(covariance, rcond=1e-9), weights.reshape(k, -1)
    impossible = np.eye(k) - inverse @ covariance

    def minus_log(signed):
        return np.einsum("ij,ik,jk->k", inverse, signed, signed) + 1e3 * np.abs(impossible @ signed).sum(axis=0)

    signs = [np.array(s) for s in product((1.0, -1.0), repeat=k)]
    return [s for s in signs if np.allclose(minus_log(s[:, None] * flat), minus_log(flat), rtol=1e-7, atol=1e-7)]


def rotated(problem, s):
    """An orthogonal Q with ``s_a Q y_a = y_a`` at the labels, None if there is none: a least-squares rotation of each
    set of outputs with the same supervised entries."""
    y = problem.y.reshape(problem.P, problem.n, -1).transpose(1, 0, 2)
    Q = np.zeros((problem.outputs,) * 2)
    masks = [tuple((np.isfinite(y[:, :, c]) & alive_of(problem)).ravel()) for c in range(problem.outputs)]
    for mask in set(masks):
        of = [c for c in range(problem.outputs) if masks[c] == mask]
        labels = y[:, :, of].reshape(-1, len(of))[np.array(mask)]
        signed = s.ravel()[np.array(mask)][:, None] * labels
        left, _, right = np.linalg.svd(labels.T @ signed)
        Q[np.ix_(of, of)] = left @ right
        if np.abs(signed @ (left @ right).T - labels).max(initial=0.0) > 1e-9:
            return None
    return Q


def by_networks(problem):
    """The signs (n, P) that transformed weights of a random network give its activity, with the same prior density and
    the same loss; for each the factors of W^(t).

    By brute force over signs of matrices and biases and reflections of the inputs' space; no algebra is shared with the
    group.
    """
    rng = np.random.default_rng(0)
    n, N = problem.n, 5
    M, B = problem.sharing, problem.bias * problem.bias_sharing
    W = 0.3 * np.tensordot(root(M), rng.normal(size=(n - 1, N, N)), axes=1)
    U, b = rng.normal(size=(N, problem.D)), np.tensordot(root(B), rng.normal(size=(n, N)), axes=1)
    before, alive = activity(problem, W, U, b), alive_of(problem)
    of_biases = prior_signs(B, b) if problem.bias else [np.ones(n)]
    found = {}
    for sigma, tau, R in product(prior_signs(M, W), of_biases, reflections()):
        after = activity(problem, sigma[:, None, None] * W, U @ R, tau[:, None] * b)
        s = np.where(alive, np.sign((before * after).sum(axis=1)), 1.0)
        if np.abs(after - s[:, None, :] * before).max() > 1e-9 or rotated(problem, s) is None:
            continue
        first = s[alive][0]
        found[tuple(np.where(alive, s * first, 1.0).ravel())] = sigma
    return found


def by_kernels(problem):
    """The signs (nP,) of a kernel under which its covariance changes as it does, and its energy does not.

    By enumeration; 1 at the first entry where h is not 0.
    """
    rng, n, P = np.random.default_rng(1), problem.n, problem.P
    alive = alive_of(problem).ravel()
    at = np.flatnonzero(alive)
    signs = np.ones((2 ** (len(at) - 1), n * P))
    signs[:, at[1:]] = list(product((1.0, -1.0), repeat=len(at) - 1))
    A = rng.normal(size=(n * P, n * P)) * alive[:, None]
    rows = problem.x.transpose(1, 0, 2).reshape(n * P, -1)
    drive = problem.u / problem.D * rows @ rows.T + problem.bias * np.kron(problem.bias_sharing, np.ones((P, P)))
    sharing = np.zeros((n, n))
    sharing[1:, 1:] = problem.sharing
    shift = np.eye(n * P, k=-P)
    passed = np.linalg.inv(np.eye(n * P) - problem.skip * shift)
    masked = problem.w * np.kron(sharing, np.ones((P, P)))

    def covariance(kernels):
        return passed @ (masked * (shift @ kernels @ shift.T) + drive) @ passed.T

    def energy(kernels):
        y, total = problem.y.reshape(P, n, -1).transpose(1, 0, 2).reshape(n * P, -1), 0.0
        for c in range(problem.outputs):
            T = np.flatnonzero(np.isfinite(y[:, c]) & alive)
            gram = problem.v * kernels[:, T[:, None], T] + problem.kappa * np.eye(len(T))
            total = (
                total + np.linalg.solve(gram, np.broadcast_to(y[T, c, None], (len(gram), len(T), 1)))[..., 0] @ y[T, c]
            )
        return total

    outer = signs[:, :, None] * signs[:, None, :]
    kernel = A @ A.T
    C = covariance(kernel)
    good = np.abs(covariance(outer * kernel) - outer * C).max(axis=(1, 2)) < 1e-9 * np.abs(C).max()
    E = energy(np.concatenate([kernel[None], outer * kernel]))
    good &= np.abs(E[1:] - E[0]) < 1e-9 * max(E[0], 1e-9)
    return {tuple(s) for s in signs[good]}


def generated(generators, size):
    signs = {(1.0,) * size}
    for symmetry in generators:
        signs |= {tuple(np.array(s) * symmetry.rows) for s in signs}
    return signs


@settings(max_examples=120, deadline=None)
@given(problem=problems())
def test_the_group_is_that_of_networks_with_transformed_weights_and_that_of_kernels(problem):
    generators = group.sign_symmetries(problem, True)
    found = generated(generators, problem.n * problem.P)
    assert len(found) == 2 ** len(generators)  # independent
    alive = alive_of(problem).ravel()
    first = np.argmax(alive)
    normal = {tuple(np.where(alive, np.array(s) * s[first], 1.0)) for s in found}
    networks = by_networks(problem)
    assert normal == networks.keys() == by_kernels(problem)
    for symmetry in generators:
        sigma = networks[tuple(np.where(alive, symmetry.rows * symmetry.rows[first], 1.0))]
        np.testing.assert_array_equal(symmetry.matrices, sigma)


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_outputs_are_reflected_so_that_labels_stay(problem):
    y = np.nan_to_num(problem.y.reshape(problem.P, problem.n, -1).transpose(2, 0, 1))
    y = y * alive_of(problem).T
    supervised = np.isfinite(problem.y.reshape(problem.P, problem.n, -1)).transpose(2, 0, 1) & alive_of(problem).T
    for symmetry in group.sign_symmetries(problem, True):
        Q = symmetry.readouts
        np.testing.assert_allclose(Q @ Q.T, np.eye(problem.outputs), atol=1e-12)
        image = symmetry.of_predictions(y if problem.outputs > 1 else y[0]).reshape(y.shape)
        np.testing.assert_allclose(image, y, atol=1e-9)
        for c, d in product(range(problem.outputs), repeat=2):
            assert Q[c, d] == 0 or (supervised[c] == supervised[d]).all()


@settings(max_examples=60, deadline=None)
@given(problem=problems(plain=True), seed=st.integers(0, 2**32 - 1))
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
        f, reversed_f = (mean_outputs(State(problem, kernel)) for kernel in kernels)
        labelled = np.isfinite(problem.y) & (problem.y == 0)
        if labelled.any():
            continue
        np.testing.assert_allclose(reversed_f, symmetry.of_predictions(f), atol=1e-8 * np.abs(f).max())


class State:
    def __init__(self, problem, kernel):
        self.problem, self.kernel = problem, kernel


@settings(max_examples=60, deadline=None)
@given(problem=problems(plain=True), seed=st.integers(0, 99))
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


def matrices(arch, *labelled, n=5, **changes):
    """σ of each generator: one pattern with input at t = 0, and each output's labelled times, 1-based."""
    y = np.full((1, n, len(labelled)), np.nan)
    for output, times in enumerate(labelled):
        y[0, [t - 1 for t in times], output] = 1.0
    problem = Problem([[1.0]], y, arch=arch, **changes)
    return [symmetry.matrices.tolist() for symmetry in group.sign_symmetries(problem, True)]


def test_what_may_be_reversed():
    assert len(matrices("dnn", [5])) == 4
    # labels at times 1 and 3 keep the product of the first two signs
    assert matrices("dnn", [1, 3], n=4) == [[-1, -1, 1], [1, 1, -1]]
    # looped, two layers in turn: each may be reversed where the label's sign can follow
    assert len(matrices("looped:2", [5])) == 2
    assert matrices("looped:2", [2, 5]) == [[1, -1, 1, -1]]
    # adapters and drift correlate all matrices, however weakly; matrices of opposite sign are reversed together
    assert matrices("drift:0.01", [5]) == matrices("shared:0.01", [5]) == [[-1, -1, -1, -1]]
    assert matrices([[1, -1, 0], [-1, 1, 0], [0, 0, 1]], [4], n=4) == [[-1, -1, 1], [1, 1, -1]]
    # a skip connection or one bias at all times leave nothing, independent biases all
    assert matrices("rnn", [4], skip=0.1) == matrices("dnn", [4], skip=0.1) == []
    assert matrices("rnn", [4], bias=0.1) == matrices("drift:0.9", [4], bias=0.1) == []
    assert len(matrices("dnn", [4], bias=0.1)) == 4
    # a loop of two has one bias at times 2 and 4, between which it passes both layers
    assert matrices("looped:2", [4], bias=0.1, n=4) == [[-1, -1, -1]]
    # each output has a read-out of its own; two that are supervised together follow labels that are orthogonal
    assert matrices("rnn", [2], [3]) == matrices("rnn", [3], [2]) == [[-1, -1, -1, -1]]
    assert matrices("rnn", [2, 3], [2, 3]) == []


def test_rounding_ties_no_matrices():
    M = np.eye(3)
    M[0, 1] = M[1, 0] = 1e-16
    assert set(group.correlated(M)) == {0, 1, 2}
    assert set(group.correlated(np.diag([1e-20, 1.0, 1.0]) + 1e-11 * np.eye(3, k=1) + 1e-11 * np.eye(3, k=-1))) == {0}


def test_a_skip_connection_leaves_signs_of_orthogonal_patterns_only():
    y = np.array([[np.nan, 1.0, np.nan], [np.nan, np.nan, 2.0]])
    (symmetry,) = group.sign_symmetries(
        Problem(np.eye(2), np.stack([y[::-1], y], axis=2)[..., :1], skip=0.5), True
    ) or [None]
    assert symmetry is None  # one read-out has labels of both
    outputs = np.full((2, 3, 2), np.nan)
    outputs[0, 1, 0], outputs[1, 2, 1] = 1.0, 2.0
    for options, count in (({"skip": 0.5}, 1), ({"skip": 0.5, "bias": 0.1}, 0), ({"bias": 0.1}, 0), ({}, 2)):
        found = group.sign_symmetries(Problem(np.eye(2), outputs, **options), True)
        assert len(found) == count
    (symmetry,) = group.sign_symmetries(Problem(np.eye(2), outputs, skip=0.5), True)
    np.testing.assert_array_equal(symmetry.matrices, 1.0)
    np.testing.assert_array_equal(symmetry.signs, np.tile([1.0, -1.0], (3, 1)) * symmetry.signs[0, 0])
    assert group.sign_symmetries(Problem(0.9 * np.array([[1, 0.2], [0, 1]]), outputs, skip=0.5), True) == ()


def test_labels_that_are_orthogonal_vectors_leave_a_symmetry_and_others_do_not():
    y = np.full((1, 4, 2), np.nan)
    y[0, 1], y[0, 2] = [1.0, 1.0], [2.0, -2.0]
    (symmetry,) = group.sign_symmetries(Problem([[1.0]], y), True)
    np.testing.assert_allclose(symmetry.readouts, [[0, -1], [-1, 0]], atol=1e-12)  # of the first
    f = np.arange(8.0).reshape(2, 1, 4)
    np.testing.assert_allclose(symmetry.of_predictions(f)[:, 0], [1, -1, 1, -1] * -f[::-1, 0], atol=1e-12)
    y[0, 2, 1] = -2.1
    assert group.sign_symmetries(Problem([[1.0]], y), True) == ()


@settings(max_examples=150, deadline=None)
@given(problem=problems(largest=5))
def test_independent_classes_are_kept_by_the_forward_map_and_by_every_symmetry(problem):
    classes = group.finest_classes(group.conditions(problem, True))
    within = classes[:, None] == classes
    for symmetry in group.sign_symmetries(problem, True):
        alive = alive_of(problem).ravel()
        signs = np.outer(symmetry.rows, symmetry.rows)
        assert (signs[within & np.outer(alive, alive)] == 1).all()
    # C of a kernel within the classes stays within them, and so does a covariance's message back to Φ̃
    P, size = problem.P, problem.n * problem.P
    tied = np.kron(problem.sharing != 0, np.ones((P, P), bool))
    assert not (within[:-P, :-P] & tied & ~within[P:, P:]).any()
    assert not (within[P:, P:] & tied & ~within[:-P, :-P]).any()
    rows = problem.x.transpose(1, 0, 2).reshape(size, -1)
    assert not ((rows @ rows.T != 0) & ~within).any()
    if problem.skip:
        assert within[np.arange(size - P), np.arange(P, size)].all()
    if problem.bias:
        assert not (np.kron(problem.bias_sharing != 0, np.ones((P, P), bool)) & ~within).any()


@pytest.mark.parametrize("labels", [(1, 2), (1, 4)])
def test_labels_at_times_of_both_parities_leave_no_symmetry(labels):
    y = np.full((1, 5), np.nan)
    y[0, [t - 1 for t in labels]] = 2.0
    assert group.sign_symmetries(Problem([[1.0]], y), True) == ()
    # ... but phases of order 3 may leave classes that do not correlate
    assert len(set(group.finest_classes(group.conditions(Problem([[1.0]], y), True)))) == (3 if labels == (1, 4) else 1)


def test_a_held_out_pattern_has_no_sign_before_its_first_input_and_one_that_its_inputs_allow():
    symmetry = SimpleNamespace(matrices=(-1.0, 1.0, -1.0))
    learnt, of_learnt = np.array([[1.0, 0.0]]), np.array([-1.0])
    late = np.array([[0, 0], [0, 0.5], [0, 0], [0, 0]])
    np.testing.assert_array_equal(_signs(late, symmetry, learnt, of_learnt), [0, -1, -1, 1])
    # along the learnt input it takes that one's sign, and none where two inputs along it would differ
    late[1] = [0.5, 0.5]
    np.testing.assert_array_equal(_signs(late, symmetry, learnt, of_learnt), [0, -1, -1, 1])
    np.testing.assert_array_equal(_signs(late, symmetry, learnt, -of_learnt), [0, 1, 1, -1])
    late[3] = [0.5, 0]
    np.testing.assert_array_equal(_signs(late, symmetry, learnt, of_learnt), np.zeros(4))
    late[3] = [0, 0.5]  # orthogonal to what is learnt, not to its own input of the other sign
    np.testing.assert_array_equal(_signs(late, symmetry, learnt, of_learnt), np.zeros(4))
