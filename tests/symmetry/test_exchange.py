"""Exchanges of patterns: against a search through all orders and signs, and what they leave of F."""

import itertools

import numpy as np
import pytest

from numerics.inputs.problem import Problem
from numerics.nonlinear.space import trajectory_space
from numerics.nonlinear.symmetries import images
from numerics.symmetry.exchange import exchanges
from tests.linear.test_delayed_tasks import delayed_xor, flip_flop, match_to_sample


def by_force(problem, odd):
    """The orders that some signs make an exchange."""
    P, found = problem.P, set()
    x, y = problem.x, np.nan_to_num(problem.y, nan=77.0)
    gram = np.einsum("ptd,qsd->pqts", x, x)
    for order in itertools.permutations(range(P)):
        for signs in itertools.product((1, -1) if odd else (1,), repeat=P):
            s, at = np.array(signs), list(order)
            moved = s[:, None, None, None] * s[None, :, None, None] * gram[np.ix_(at, at)]
            labels = np.where(y[at] == 77, 77, s[:, None] * y[at])
            same = any(np.allclose(labels, np.where(y == 77, 77, turned * y)) for turned in (1, -1))
            if same and np.allclose(moved, gram):
                found.add(order)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_all_exchanges_of_small_problems(seed):
    rng = np.random.default_rng(seed)
    P, n = int(rng.integers(1, 5)), int(rng.integers(2, 4))
    x = rng.integers(-1, 2, size=(P, n, 2)).astype(float)
    y = np.where(rng.random((P, n)) < 0.4, np.nan, rng.integers(-1, 2, size=(P, n)))
    y[0, -1] = 1.0
    x[0, 0, 0] = 1.0
    problem = Problem(x, y)
    for odd in (True, False):
        found = [tuple(each.order.tolist()) for each in exchanges(problem, odd)]
        assert found[0] == tuple(range(P))
        assert len(set(found)) == len(found)
        assert set(found) == by_force(problem, odd)


@pytest.mark.parametrize(("task", "count"), [(delayed_xor, 4), (flip_flop, 2), (match_to_sample, 6)])
def test_cues_and_samples_may_be_exchanged(task, count):
    x, y = task()
    assert len(exchanges(Problem(x, y, activation="erf"), True)) == count


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_images_keep_what_enters_the_free_energy_and_other_orders_do_not(activation):
    """The energy, and the covariance that a kernel gives."""
    x, y = delayed_xor()
    problem = Problem(4.0 * x, y, activation=activation, kappa=0.2)
    space = trajectory_space(problem)
    g = np.random.default_rng(0).standard_normal((50, space.m))
    kernel = g.T @ g / 50

    def parts(matrix):
        return space.labels.duals(matrix).energy, np.linalg.slogdet(space.covariance(matrix))[1]

    found = images(space, problem.activation, kernel)
    assert len(found) == 4 * (2 if activation == "erf" else 1)  # times W → -W
    for image in found:
        assert parts(image) == pytest.approx(parts(kernel), rel=1e-10)
    assert len({tuple(np.round(image.ravel(), 9)) for image in found}) == len(found)
    swapped = np.arange(space.m)
    swapped[-4:] = swapped[[-3, -4, -2, -1]]
    assert parts(kernel[np.ix_(swapped, swapped)]) != pytest.approx(parts(kernel), rel=1e-3)


def test_images_on_rows_and_on_all_positions_are_the_same():
    x, y = match_to_sample()
    problem = Problem(x, y, activation="tanh")
    space = trajectory_space(problem)
    g = np.random.default_rng(0).standard_normal((50, space.m))
    rows, phi = g.T @ g, problem.activation
    for one, whole in zip(images(space, phi, rows), images(space, phi, space.classes.expand(rows)), strict=True):
        np.testing.assert_allclose(space.classes.expand(one), whole, atol=1e-12)
