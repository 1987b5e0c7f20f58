"""Which rows of a trajectory's kernel stay uncorrelated, and which symmetries a kernel keeps."""

import numpy as np
import pytest

from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear.space import trajectory_space
from numerics.nonlinear.symmetries import images, independent, kept_classes, mirror, reversing, turns

ERF, RELU = NAMED["erf"], NAMED["relu"]


def kernel(*pairs, n=3):
    """1 on the diagonal, and ½ at the given places."""
    H = np.eye(n)
    for i, j in pairs:
        H[i, j] = H[j, i] = 0.5
    return H


@pytest.fixture
def space():
    return trajectory_space(endpoint(4, 5.0, activation="erf"))


def test_times_of_one_pattern_are_classes_of_their_own(space):
    classes = independent(space, ERF)
    assert len(set(classes.rows)) == 3
    rows, coordinates = classes.matrices()
    np.testing.assert_array_equal(rows, np.eye(3, dtype=bool))
    np.testing.assert_array_equal(coordinates, np.eye(3, dtype=bool))
    assert independent(trajectory_space(endpoint(4, 5.0, activation="relu")), RELU) is None


def test_the_finest_classes_that_a_kernel_keeps_to(space):
    np.testing.assert_array_equal(kept_classes(space, ERF, kernel()).rows, independent(space, ERF).rows)
    even = kept_classes(space, ERF, kernel((0, 2)))
    np.testing.assert_array_equal(even.matrices()[0], kernel((0, 2)) > 0)
    assert kept_classes(space, ERF, kernel((0, 1))) is None
    assert kept_classes(space, ERF, kernel((0, 1), (1, 2), (0, 2))) is None
    dnn = trajectory_space(endpoint(4, 5.0, activation="erf", arch="dnn"))
    np.testing.assert_array_equal(kept_classes(dnn, ERF, kernel()).matrices()[0], np.eye(3, dtype=bool))


def test_symmetries_that_leave_a_kernel_as_it_is_and_those_that_make_images(space):
    coherent, even = kernel((0, 1), (1, 2), (0, 2)), kernel((0, 2))
    assert reversing(space, ERF, coherent) == []
    (one,) = reversing(space, ERF, even)
    np.testing.assert_array_equal(one.matrices()[0], np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool))
    found = images(space, ERF, coherent)
    flip = np.outer([1, -1, 1], [1, -1, 1])
    assert len(found) == 2
    for expected in (coherent, flip * coherent):
        assert any(np.array_equal(each, expected) for each in found)
    assert all(np.array_equal(each, even) for each in images(space, ERF, even))


def test_a_direction_that_a_kept_symmetry_reverses(space):
    odd, both = kernel((0, 1)) - np.eye(3), kernel((0, 1), (0, 2)) - np.eye(3)
    assert turns(space, ERF, kernel(), odd)
    assert turns(space, ERF, kernel((0, 2)), odd)
    assert not turns(space, ERF, kernel((0, 2)), kernel((0, 2)) - np.eye(3))
    assert not turns(space, ERF, kernel((0, 2)), both)
    assert not turns(space, ERF, kernel((0, 1)), odd)  # the kernel is not kept


def test_patterns_that_share_an_input_are_one_class():
    joint = Problem([[1.0, 0.3], [0.2, 1.0]], [[np.nan, 1.0], [np.nan, -1.0]], activation="erf")
    rows = independent(trajectory_space(joint), ERF).rows
    assert rows[0] == rows[1]
    assert rows[2] == rows[3]
    assert rows[0] != rows[2]


def test_the_mirror_is_the_symmetry_that_reverses_every_matrix(space):
    np.testing.assert_array_equal(np.abs(mirror(space, ERF)), 1)
    np.testing.assert_array_equal(mirror(space, ERF) * mirror(space, ERF)[0], [1, -1, 1])
    both = Problem([[1.0]], [[0.5, 3.0, 12.0]], activation="erf")  # labels of both parities fix the sign
    assert mirror(trajectory_space(both), ERF) is None
    assert mirror(trajectory_space(endpoint(4, 5.0, activation="relu")), RELU) is None
    # one matrix after the other may be reversed, and no generator reverses all of them
    assert mirror(trajectory_space(endpoint(4, 5.0, activation="erf", arch="dnn")), ERF) is None
