"""Signs over times and patterns as they act in the space of a problem's kernels: ``SQ = QR``."""

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.linear.actions import acted, action, actions
from numerics.linear.functional import kernel_functional
from numerics.linear.images import distance, number_of_images, turned, turns
from numerics.symmetry import group


def labelled(x, times, n, arch="rnn", **options):
    """Patterns of which the p-th has a label at the p-th of some hidden times, 1-based."""
    y = np.full((len(x), n), np.nan)
    for p, t in enumerate(times):
        y[p, t - 1] = 1.0 + p
    return Problem(x, y, arch=arch, **options)


ORTHONORMAL = np.sqrt(2) * np.eye(2)
PARALLEL = np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]])
GENERAL = np.array([[1.0, 0.3], [0.2, -1.1]])
LATE = np.zeros((2, 3, 2))
LATE[0, 0], LATE[1, 0], LATE[0, 1] = [1.0, 0.0], [0.0, 1.0], [0.5, 0.0]

PROBLEMS = {
    "one pattern": endpoint(4, 20.0),
    "labels at times of two parities": labelled(ORTHONORMAL, (3, 2), 3),
    "the same, DNN": labelled(ORTHONORMAL, (3, 2), 3, "dnn"),
    "patterns that are not orthogonal": labelled(GENERAL, (3, 3), 3),
    "the same, DNN, not orthogonal": labelled(GENERAL, (3, 2), 3, "dnn"),
    "parallel patterns": labelled(PARALLEL, (3, 3), 3),
    "inputs at two times": labelled(LATE, (3, 3), 3, "dnn"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_signs_act_on_coordinates_as_on_kernels(name):
    problem = PROBLEMS[name]
    functional = kernel_functional(problem)
    generators = group.sign_symmetries(problem, True)
    assert generators
    Q, rng = functional.space.full_basis(), np.random.default_rng(0)
    A = rng.normal(size=(functional.dimension,) * 2)
    point = functional.at(functional.prior_kernel()).move(0.2 * (A + A.T))
    for symmetry, R in zip(generators, actions(problem, functional.space), strict=True):
        np.testing.assert_array_equal(R, action(symmetry.signs, functional.space))
        matrix = np.diag(R) if R.ndim == 1 else R
        np.testing.assert_allclose(symmetry.rows[:, None] * Q, Q @ matrix, atol=1e-12)
        np.testing.assert_allclose(acted(R, point.H), matrix @ point.H @ matrix.T, rtol=1e-12, atol=1e-12)
        image = functional.at(acted(R, point.H))
        assert image.free_energy == pytest.approx(point.free_energy, rel=1e-10)
        # twice is nothing
        np.testing.assert_allclose(acted(R, acted(R, point.H)), point.H, rtol=1e-10, atol=1e-12)
    images = turned(functional, point.H)
    assert len(images) == 2 ** len(generators)
    different = {tuple(np.round(H, 8).ravel()) for H in images}
    assert number_of_images(point) == len(different) > 1
    assert number_of_images(functional.at(functional.prior_kernel())) == 1


def test_signs_that_differ_between_patterns_are_not_those_of_the_first_one():
    problem = PROBLEMS["labels at times of two parities"]
    (symmetry,) = group.sign_symmetries(problem, True)
    assert (symmetry.signs != symmetry.signs[:, :1]).any()
    (R,) = kernel_functional(problem).reversals
    np.testing.assert_array_equal(R, symmetry.signs.ravel())


def test_a_direction_is_turned_where_a_symmetry_keeps_the_state_and_reverses_the_direction():
    functional = kernel_functional(endpoint(4, 20.0))
    kept, broken = np.diag([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0])
    broken[0, 1] = broken[1, 0] = 0.5
    odd, even, mixed = (np.zeros((3, 3)) for _ in range(3))
    odd[0, 1] = odd[1, 0] = 1.0
    even[0, 2] = even[2, 0] = 1.0
    mixed += odd + even
    assert turns(functional.at(kept), odd)
    assert not turns(functional.at(kept), even)
    assert not turns(functional.at(kept), mixed)
    assert not turns(functional.at(broken), odd)


def test_the_distance_is_relative_to_every_row():
    functional = kernel_functional(endpoint(4, 20.0))
    H = np.diag([1e-6, 1.0, 1e6])
    for row in range(3):
        other = H.copy()
        other[row, row] *= 1.3
        assert distance(other, functional.at(H)) == pytest.approx(0.3 / np.sqrt(3), rel=1e-9)
