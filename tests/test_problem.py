"""The shared description of a task: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.problem_file import load_problem
from numerics.inputs.teachers import sequence


def test_endpoint_has_one_label_of_the_stated_signal():
    problem = endpoint(5, 7.0, u=0.5, v=2.0, w=1.5)
    assert (problem.n, problem.P, problem.D) == (4, 1, 1)
    assert problem.supervised.tolist() == [3]
    assert problem.labels[0] ** 2 / (2.0 * 1.5**3 * 0.5) == pytest.approx(7.0)


@pytest.mark.parametrize("angle", [0.0, 2 * math.pi / 5, 2.0])
def test_sequence_labels_are_the_teachers_outputs(angle: float):
    problem = sequence(7, angle, 3.0, (1, 3, 6))
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    for t in range(1, 7):
        label = problem.y[:, t - 1]
        if t in (1, 3, 6):
            expected = np.array([3.0, 0.0]) @ np.linalg.matrix_power(rotation, t - 1) @ problem.x[:, 0].T
            np.testing.assert_allclose(label, expected, atol=1e-14)
        else:
            assert np.isnan(label).all()
    gram = problem.x[:, 0] @ problem.x[:, 0].T / problem.D
    np.testing.assert_allclose(gram, np.eye(2), atol=1e-15)


def test_parameters_that_are_not_given():
    for problem in (Problem([[1.0]], [[1.0]]), endpoint(4, 1.0)):
        assert (problem.u, problem.v, problem.w, problem.kappa, problem.skip, problem.bias) == (1, 1, 1, 1, 0, 0)
        assert (problem.arch, problem.activation.name) == ("rnn", "linear")
    assert endpoint(4, 9.0).labels.tolist() == [3.0]


def test_labels_that_an_odd_network_cannot_meet_are_told():
    """f(-x) = -f(x) without a bias: exclusive or of cues ±1 is even in them."""
    x, y = np.zeros((4, 3, 2)), np.full((4, 3), np.nan)
    x[:, 0, 0], x[:, 1, 1], y[:, -1] = [-1, -1, 1, 1], [-1, 1, -1, 1], [-1, 1, 1, -1]
    problem = Problem(x, y, activation="erf")
    assert "patterns 1 and 4 have opposite inputs" in dict(problem.facts())["labels"]
    for met in (
        problem.with_(bias=0.1),
        problem.with_(activation="relu"),
        problem.with_(y=np.where(np.isnan(y), y, [[1], [2], [-2], [-1]])),
        problem.with_(y=np.where([[1], [1], [0], [0]], y, np.nan)),
    ):
        assert "labels" not in dict(met.facts())


def test_supervised_positions_are_time_major():
    y = np.array([[1.0, np.nan, 2.0], [np.nan, 3.0, 4.0]])
    problem = Problem(np.eye(2), y)
    assert problem.supervised.tolist() == [0, 3, 4, 5]
    assert problem.labels.tolist() == [1.0, 3.0, 2.0, 4.0]


def test_arrays_are_frozen_and_the_callers_stay_their_own():
    x, y = np.ones((1, 1)), np.array([[1.0, 2.0]])
    problem = Problem(x, y)
    with pytest.raises(ValueError, match="read-only"):
        problem.y[0, 0] = 3.0
    y[0, 0] = 5.0
    assert problem.y[0, 0] == 1.0


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"T": 2, "signal": 1.0}, "T: is 2; accepted: an integer ≥ 3"),
        ({"T": 4, "signal": -1.0}, "signal: is -1; accepted: a finite number ≥ 0"),
        ({"T": 4, "signal": math.nan}, "signal: is nan"),
        ({"T": 4, "signal": math.inf}, "signal: is inf"),
        ({"T": 4, "signal": 1.0, "kappa": -1.0}, "kappa: is -1"),
        ({"T": 4, "signal": 1.0, "w": 0.0}, "w: is 0"),
        ({"T": 4, "signal": 1.0, "arch": "cnn"}, "arch: is 'cnn'; accepted: rnn, dnn, shared:ρ"),
        ({"T": 4, "signal": 1.0, "activation": "sine"}, "activation: is 'sine'"),
    ],
)
def test_bad_endpoints_are_refused_in_one_line(arguments, start):
    with pytest.raises(InputError) as refusal:
        endpoint(**arguments)
    message = str(refusal.value)
    assert message.startswith(start)
    assert "accepted" in message
    assert "\n" not in message


BAD_ARRAYS = {
    "x has one dimension": ({"x": np.ones(3), "y": np.ones((3, 2))}, "x: has shape"),
    "x has NaN": ({"x": np.full((1, 1), np.nan), "y": np.ones((1, 2))}, "x: contains NaN"),
    "x is complex": ({"x": np.ones((1, 1), complex), "y": np.ones((1, 2))}, "x: has dtype complex128"),
    "x is zero": ({"x": np.zeros((1, 1)), "y": np.ones((1, 2))}, "x: is zero for every pattern"),
    "patterns differ": ({"x": np.ones((2, 1)), "y": np.ones((1, 2))}, "y: has 1 patterns, x has 2"),
    "no label": ({"x": np.ones((1, 1)), "y": np.full((1, 2), np.nan)}, "y: has no supervised entry"),
    "infinite label": ({"x": np.ones((1, 1)), "y": np.array([[1.0, np.inf]])}, "y: contains infinity"),
    "too many times": ({"x": np.ones((1, 3, 1)), "y": np.ones((1, 2))}, "x: has 3 input times"),
    "y is missing": ({"x": np.ones((1, 1))}, "has no array y"),
    "other test dimension": (
        {"x": np.ones((1, 1)), "y": np.ones((1, 2)), "x_test": np.ones((1, 2))},
        "x_test: has input dimension 2",
    ),
    "y_test alone": ({"x": np.ones((1, 1)), "y": np.ones((1, 2)), "y_test": np.ones((1, 2))}, "y_test: is given"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_files_are_refused_in_one_line(name: str, tmp_path: Path):
    arrays, wrong = BAD_ARRAYS[name]
    np.savez(tmp_path / "task.npz", **arrays)
    with pytest.raises(InputError) as refusal:
        load_problem(tmp_path / "task.npz")
    assert wrong in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_files_that_are_no_archives_are_refused(tmp_path: Path):
    whole = tmp_path / "task.npz"
    np.savez(whole, x=np.ones((1, 1)), y=np.ones((1, 2)))
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object), y=np.ones((1, 2)))
    with (tmp_path / "single.npz").open("wb") as handle:
        np.save(handle, np.ones(3))
    for name in ("cut.npz", "text.npz", "empty.npz", "objects.npz", "single.npz", "absent.npz"):
        with pytest.raises(InputError) as refusal:
            load_problem(tmp_path / name)
        assert name in str(refusal.value)
        assert "\n" not in str(refusal.value)


@given(cut=st.integers(0, 600), flip=st.integers(0, 600))
def test_damaged_archives_never_raise_anything_else(cut: int, flip: int, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    np.savez(folder / "task.npz", x=np.ones((2, 1)), y=np.ones((2, 2)))
    content = bytearray((folder / "task.npz").read_bytes())
    content[flip % len(content)] ^= 0xFF
    (folder / "task.npz").write_bytes(bytes(content[: len(content) - cut]))
    message = ""
    try:
        load_problem(folder / "task.npz")
    except InputError as error:
        message = str(error)
    assert "\n" not in message
