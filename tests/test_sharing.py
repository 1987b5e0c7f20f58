"""Architectures between and beyond RNN and DNN, skip, bias and several outputs: what a problem says of them, and that
nothing which has not learnt them ignores them."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import numerics
from numerics import Problem, endpoint, load, load_problem, save, solve
from numerics.endpoint_task.digits import kernel_digits
from numerics.errors import InputError
from numerics.inputs.sharing import biases_of, sharing_of
from tests.hardening.program import run

TIED_PAIR = [[1.0, 0, 1, 0], [0, 2, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]


@pytest.mark.parametrize(
    ("arch", "entry"),
    [
        ("rnn", lambda s, t: 1),
        ("dnn", lambda s, t: s == t),
        ("shared:0.3", lambda s, t: 0.3 + 0.7 * (s == t)),
        ("drift:0.9", lambda s, t: 0.9 ** abs(s - t)),
        ("looped:2", lambda s, t: s % 2 == t % 2),
        ("looped:3", lambda s, t: s % 3 == t % 3),
    ],
)
def test_each_family_is_its_formula(arch, entry):
    problem = endpoint(7, 1.0, arch=arch)
    expected = [[entry(s, t) for t in range(1, 6)] for s in range(1, 6)]
    assert problem.sharing == pytest.approx(np.array(expected, float), abs=1e-15)
    assert problem.arch == arch


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("shared:1", "rnn"), ("shared:0", "dnn"), ("drift:1", "rnn"), ("drift:0.0", "dnn"), ("looped:1", "rnn"),
        ("looped:{n-1}", "dnn"), ("looped:{n+3}", "dnn"),
    ],
)  # fmt: skip
def test_ends_of_families_are_rnn_and_dnn(word, same, n):
    word = word.replace("{n-1}", str(max(n - 1, 2))).replace("{n+3}", str(n + 3))
    found, wanted = sharing_of(word, n), sharing_of(same, n)
    assert np.array_equal(found.weights, wanted.weights)
    assert np.array_equal(found.biases, wanted.biases)
    assert n == 1 or found.name == same  # with a single time there is nothing to share
    y = np.ones((1, n))
    assert n == 1 or Problem([[1.0]], y, arch=word, bias=0.3) == Problem([[1.0]], y, arch=same, bias=0.3)


def test_a_matrix_of_ones_and_the_identity_are_rnn_and_dnn():
    assert endpoint(5, 1.0, arch=np.ones((3, 3))) == endpoint(5, 1.0)
    assert endpoint(5, 1.0, arch=np.eye(3)) == endpoint(5, 1.0, arch="dnn")
    assert endpoint(5, 1.0, arch=2 * np.eye(3)).arch == "matrix"


@given(st.integers(1, 7), st.integers(1, 7), st.floats(0, 1), st.integers(0, 2**32))
def test_every_family_is_a_covariance(n, p, rho, seed):
    root = np.random.default_rng(seed).standard_normal((n - 1, 3))
    words = ["rnn", "dnn", f"shared:{rho!r}", f"drift:{rho!r}", f"looped:{p}", root @ root.T + 1e-9 * np.eye(n - 1)]
    for arch in words:
        found = sharing_of(arch, n)
        for matrix in (found.weights, found.biases):
            assert np.array_equal(matrix, matrix.T)
            assert not len(matrix) or np.linalg.eigvalsh(matrix)[0] > -1e-10 * matrix.max()
        assert np.array_equal(found.biases.diagonal(), np.ones(n))
        unit = np.sqrt(np.outer(found.weights.diagonal(), found.weights.diagonal()))
        assert found.biases[1:, 1:] == pytest.approx(found.weights / unit, abs=1e-14)  # as the matrix beside it


def test_biases_of_a_matrix():
    assert np.array_equal(biases_of(np.ones((4, 4))), np.ones((5, 5)))
    assert np.array_equal(biases_of(np.eye(4)), np.eye(5))
    drift = sharing_of("drift:0.8", 6)
    assert biases_of(drift.weights) == pytest.approx(drift.biases, abs=1e-15)
    looped = sharing_of("looped:2", 6)
    assert np.array_equal(biases_of(looped.weights), looped.biases)
    assert not looped.biases[0, 1:].any()  # that of the input layer is its own
    assert biases_of(np.array(TIED_PAIR))[2, 4] == pytest.approx(1 / np.sqrt(2))


BAD = [
    ("cnn", "is 'cnn'"), ("shared", "is 'shared'"), ("shared:", "is 'shared:'"), ("shared:1.1", "is 'shared:1.1'"),
    ("shared:nan", "is 'shared:nan'"), ("drift:-0.1", "is 'drift:-0.1'"), ("drift:1/0", "is 'drift:1/0'"),
    ("looped:0", "is 'looped:0'"), ("looped:1.5", "is 'looped:1.5'"), (None, "is None"), (3, "is 3"),
    (np.eye(2), r"has shape \(2, 2\)"), (np.ones(3), r"has shape \(3,\)"), (-np.eye(3), "has -1 on its diagonal"),
    (np.diag([1.0, 0, 1]), "has 0 on its diagonal"), (np.triu(np.ones((3, 3))), "is not symmetric"),
    (2 * np.eye(3) - np.ones((3, 3)) * 0.7, "has the negative eigenvalue"), (np.full((3, 3), np.nan), "contains NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "wrong"), BAD)
def test_bad_architectures_are_refused_in_one_line(arch, wrong):
    with pytest.raises(InputError, match=rf"^arch: {wrong}.*; accepted: ") as caught:
        endpoint(5, 1.0, arch=arch)
    assert "\n" not in str(caught.value)


def test_a_matrix_may_be_semi_definite_to_rounding():
    root = np.random.default_rng(1).standard_normal((5, 2))
    noisy = root @ root.T + 1e-13 * np.random.default_rng(2).standard_normal((5, 5))
    problem = endpoint(7, 1.0, arch=noisy)
    assert np.array_equal(problem.sharing, problem.sharing.T)


@pytest.mark.parametrize(
    "wrong", [{"skip": -0.1}, {"bias": -1.0}, {"skip": np.inf}, {"bias": "1"}, {"skip": 1e30, "T": 12}]
)
def test_bad_skip_and_bias_are_refused(wrong):
    with pytest.raises(InputError, match=rf"^{next(iter(wrong))}: .*; accepted: "):
        endpoint(**{"T": 5, "signal": 1.0} | wrong)


def test_several_outputs_have_their_own_labels():
    y = np.full((2, 3, 2), np.nan)
    y[0, 2, 0], y[1, 1, 1], y[1, 2, 1] = 1.0, 2.0, 3.0
    problem = Problem(np.eye(2), y, x_test=np.eye(2), y_test=y)
    (first, second) = problem.targets
    assert (problem.outputs, problem.n, problem.P) == (2, 3, 2)
    assert (first[0].tolist(), first[1].tolist()) == ([4], [1.0])
    assert (second[0].tolist(), second[1].tolist()) == ([3, 5], [2.0, 3.0])
    with pytest.raises(InputError, match=r"^y: has 2 outputs; accepted: one"):
        _ = problem.labels
    single = Problem(np.eye(2), y[..., 1:], x_test=np.eye(2), y_test=y[..., 1:])
    assert single == Problem(np.eye(2), y[..., 1], x_test=np.eye(2), y_test=y[..., 1])
    assert single.supervised.tolist() == [3, 5]
    y[..., 1] = np.nan
    with pytest.raises(InputError, match=r"^y: has no supervised entry of output 2; accepted: "):
        Problem(np.eye(2), y)


def test_changes_keep_the_architecture():
    for arch in ("rnn", "shared:0.25", "looped:2", np.array(TIED_PAIR)):
        problem = endpoint(6, 2.0, arch=arch, skip=0.2, bias=0.1)
        changed = problem.with_(kappa=3.0)
        assert (changed.arch, changed.skip, changed.bias) == (problem.arch, 0.2, 0.1)
        assert np.array_equal(changed.sharing, problem.sharing)
        assert changed.with_(kappa=1.0) == problem
        assert changed.with_(arch="dnn").arch == "dnn"
    longer = endpoint(6, 2.0, arch="looped:2").with_(y=np.ones((1, 8)), x=np.ones((1, 1)))
    assert longer.sharing.shape == (7, 7)
    for given_twice in ({"sharing": np.eye(4)}, {"arch": "shared:0.5", "sharing": np.eye(4)}):
        with pytest.raises(InputError, match=r"^sharing: is given beside arch"):
            endpoint(6, 2.0, **given_twice)
    with pytest.raises(InputError, match=r"^sharing: is missing"):
        endpoint(6, 2.0, arch="matrix")


def test_equal_problems_are_equal_and_hash_alike():
    base = {"T": 6, "signal": 2.0}
    changes = [
        {}, {"T": 7}, {"signal": 3.0}, {"arch": "dnn"}, {"arch": "shared:0.5"}, {"arch": TIED_PAIR}, {"skip": 0.1},
        {"bias": 0.1}, {"kappa": 2.0}, {"u": 2.0}, {"v": 2.0}, {"w": 2.0}, {"activation": "erf"},
        {"x_test": np.ones((1, 1))}, {"x_test": np.ones((1, 1)), "y_test": np.ones((1, 5))},
    ]  # fmt: skip
    problems = [endpoint(**base | change) for change in changes]
    again = [endpoint(**base | change) for change in changes]
    for i, one in enumerate(problems):
        for j, other in enumerate(again):
            assert (one == other) == (hash(one) == hash(other)) == (i == j)
    assert problems[0] != "rnn"
    assert pickle.loads(pickle.dumps(problems[5])) == problems[5]
    assert "shared:0.5" in repr(problems[4])
    assert "skip = 0.1" in repr(problems[6])


def test_problems_in_files(tmp_path):
    y = np.full((1, 5, 2), np.nan)
    y[0, -1] = 1.0, -1.0
    np.savez(tmp_path / "task.npz", x=np.ones((1, 1)), y=y, sharing=TIED_PAIR)
    problem = load_problem(tmp_path / "task.npz", skip=0.5, bias=0.25)
    assert problem == Problem(np.ones((1, 1)), y, arch=TIED_PAIR, skip=0.5, bias=0.25)
    with pytest.raises(InputError, match=r"^arch: is 'dnn' beside the file's sharing matrix; accepted: one of both"):
        load_problem(tmp_path / "task.npz", arch="dnn")
    np.savez(tmp_path / "bad.npz", x=np.ones((1, 1)), y=y, sharing=np.eye(3))
    with pytest.raises(InputError, match=r"^sharing: has shape \(3, 3\)"):
        load_problem(tmp_path / "bad.npz")
    for saved in (problem, endpoint(6, 1.0, arch="drift:0.7", bias=0.1)):
        save(saved, tmp_path / "result.npz")
        assert load(tmp_path / "result.npz") == saved


TWO_OUTPUTS = np.full((1, 4, 2), np.nan)
TWO_OUTPUTS[0, -1] = 1.0, 2.0
FEATURES = {
    "shared": {"arch": "shared:0.5"},
    "drift": {"arch": "drift:0.5"},
    "looped": {"arch": "looped:2"},
    "matrix": {"arch": 2 * np.eye(3)},
    "skip": {"skip": 0.5},
    "bias": {"bias": 0.5},
    "outputs": {"y": TWO_OUTPUTS},
}


def state_of(problem: Problem, plain_state):
    """A state of the plain problem that says it is one of another."""
    return dataclasses.replace(plain_state, problem=problem)


#: Everything that takes a state and has learnt none of the features.
OF_STATES = {
    "kernel_digits": lambda s: kernel_digits(s, 20),
}
#: Those that take neither problem nor state, or read no more than the kernel of one; and those that take all of it.
WITHOUT = {
    "Activation", "Agreement", "Certificate", "certify", "check", "Check", "cka", "compare", "Comparison",
    "critical_signal", "CriticalSignal", "endpoint", "held_out", "hysteresis", "InputError",
    "kernel_mean", "kernel_sd", "kernel_shift", "landscape", "LinearSolution", "load", "load_problem", "lower",
    "NonlinearSolution", "outliers", "phase_shares", "phase_weights", "PhaseShares", "PhaseWeights", "plot", "predict",
    "Predictions", "prior_kernel", "Problem", "rotation_teacher",
    "save", "scan", "Scan", "sequence", "simulate", "Simulation", "singular_outliers", "Solution", "Solutions",
    "solve", "solve_all", "solve_endpoint_batch", "state_near", "sweep", "Sweep", "tasks", "Teacher",
}  # fmt: skip


@pytest.fixture(scope="module")
def plain_state():
    return solve(endpoint(5, 1.0))


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("entry", OF_STATES)
def test_nothing_is_ignored_by_predictors(entry, feature, plain_state):
    state = state_of(plain_state.problem.with_(**FEATURES[feature]), plain_state)
    with pytest.raises(InputError, match=rf"^{next(iter(FEATURES[feature]))}: .*; accepted: .* \(so far by "):
        OF_STATES[entry](state)


def test_every_public_name_is_looked_at():
    assert set(numerics.__all__) == (WITHOUT | OF_STATES.keys()) & set(numerics.__all__)


OPTIONS = {
    "arch": ("--arch", "shared:0.5"), "skip": ("--skip", "0.5"), "bias": ("--bias", "0.5"), "y": (),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_states_of_every_network_are_proved(option, tmp_path, monkeypatch):
    pytest.importorskip("flint")
    monkeypatch.chdir(tmp_path)
    task = ("endpoint", "--T", "5", "--signal", "1")
    if option == "y":
        np.savez("task.npz", x=np.ones((1, 1)), y=TWO_OUTPUTS)
        task = ("task.npz",)
    found = run(["certify", *task, *OPTIONS[option], "--json"])
    assert (found.status, found.stderr) == (0, "")
    proofs = json.loads(found.stdout)
    assert '"proved": true' in json.dumps(proofs)
    assert '"proved": false' not in json.dumps(proofs)


SMALL = ("--width", "12", "--chains", "2", "--steps", "12", "--workers", "1", "--json")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["shared:0.5", "drift:0.9", "looped:2"])
def test_simulate_takes_every_architecture(arch):
    task = ("simulate", "endpoint", "--T", "5", "--signal", "4", "--activation", "erf")
    found = run([*task, "--arch", arch, "--skip", "0.3", "--bias", "0.2", *SMALL])
    assert all(line.startswith("warning: ") for line in found.stderr.splitlines())  # of so few steps
    fields = json.loads(found.stdout)
    assert (np.shape(fields["kernel_mean"]), np.shape(fields["prediction"])) == ((4, 4), (1, 4))
    assert "outliers" not in fields  # of a single W
    other = json.loads(run([*task, "--arch", arch, *SMALL]).stdout)
    assert other["kernel_mean"] != fields["kernel_mean"]


@pytest.mark.slow
def test_simulate_takes_the_sharing_matrix_and_the_outputs_of_a_file(tmp_path):
    y = np.full((2, 5, 2), np.nan)
    y[:, -1] = [[1.0, -1.0], [0.5, 2.0]]
    path = str(tmp_path / "task.npz")
    np.savez(path, x=np.eye(2), y=y, sharing=TIED_PAIR)
    found = run(["simulate", path, *SMALL])
    assert all(line.startswith("warning: ") for line in found.stderr.splitlines())
    assert np.shape(json.loads(found.stdout)["prediction"]) == (2, 2, 5)
    refused = run(["simulate", path, "--arch", "dnn", *SMALL])
    assert (refused.status, refused.stdout) == (2, "")
    assert "arch: is 'dnn' beside the file's sharing matrix" in refused.stderr
    assert run(["simulate", path, *SMALL[:-1]]).status == found.status


def test_scales_are_those_that_a_states_own_matrices_make():
    """Of a named architecture w alone; a sharing matrix may be as large as w is small."""
    y = np.full((1, 8), np.nan)
    y[:, -1] = 1.0
    assert Problem(np.ones((1, 1)), y, w=1e-60, arch="matrix", sharing=1e60 * np.eye(7)).w == 1e-60
    for beside in ({}, {"arch": "matrix", "sharing": np.eye(7)}):
        with pytest.raises(InputError, match=r"^w: gives the scale 1e-420 at t = 8"):
            Problem(np.ones((1, 1)), y, w=1e-60, **beside)
