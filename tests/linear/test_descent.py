"""Relative factors Q: F and its derivative there, and where the descent ends."""

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linear import descent
from numerics.linear.functional import kernel_functional
from numerics.linear.relative_factors import RelativeFactors

RNG = np.random.default_rng(0)
PROBLEMS = [
    endpoint(5, 40.0, kappa=3.0, w=0.7, v=1.4),
    sequence(5, 1.0, 2.0, [2, 4], arch="dnn", kappa=0.5),
    Problem(RNG.normal(size=(3, 4, 2)), RNG.normal(size=(3, 4)), w=0.8),
    Problem(RNG.normal(size=(3, 4, 2)), RNG.normal(size=(3, 4)), w=0.8, arch="dnn"),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=["endpoint", "sequence", "inputs-rnn", "inputs-dnn"])
def test_value_and_derivative(problem):
    functional = kernel_functional(problem)
    coordinates = RelativeFactors.of(functional)
    z = 0.3 * np.random.default_rng(1).normal(size=(2, coordinates.rows.size))
    values, gradients = coordinates.values_and_gradients(z)
    h = 1e-6 * np.eye(z.shape[1])
    for one, value, gradient, kernel in zip(z, values, gradients, coordinates.kernels(z), strict=True):
        assert value == pytest.approx(functional.at(kernel).free_energy, rel=1e-10)
        np.testing.assert_allclose(coordinates.vector(kernel), one, atol=1e-8)
        up, down = coordinates.values_and_gradients(one + h)[0], coordinates.values_and_gradients(one - h)[0]
        np.testing.assert_allclose(gradient, (up - down) / 2e-6, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("problem", PROBLEMS, ids=["endpoint", "sequence", "inputs-rnn", "inputs-dnn"])
def test_descent_ends_near_a_stationary_kernel(problem):
    functional = kernel_functional(problem)
    start = functional.at(functional.prior_kernel())
    kernel, free_energy = descent.descend(functional, [start.H])[0]
    end = functional.at(kernel)
    assert end.free_energy == pytest.approx(free_energy, rel=1e-10)
    assert end.free_energy < start.free_energy
    assert end.residual < 1e-5


def test_bounded_steps(monkeypatch):
    monkeypatch.setattr(descent, "MOST_STEPS", 1)
    functional = kernel_functional(PROBLEMS[0])
    prior = functional.prior_kernel()
    once = functional.at(descent.descend(functional, [prior])[0][0])
    assert once.free_energy < functional.at(prior).free_energy
    assert once.residual > 1e-5


@pytest.mark.parametrize(
    "problem", [PROBLEMS[0], PROBLEMS[3], sequence(9, 1.0, 2.0, [4, 8])], ids=["m4", "inputs", "m16"]
)
def test_several_descents_end_where_each_does(problem):
    """The last has too many coordinates for whole inverse Hessians."""
    functional = kernel_functional(problem)
    prior = functional.prior_kernel()
    coordinates = RelativeFactors.of(functional)
    z = 0.2 * np.random.default_rng(2).normal(size=(2, coordinates.rows.size))
    kernels = [prior, *coordinates.kernels(z)]
    ends = descent.descend(functional, kernels)
    for start, (end, _) in zip(kernels, ends, strict=True):
        alone = functional.at(descent.descend(functional, [start])[0][0])
        assert functional.at(end).residual < 1e-5
        assert functional.at(end).free_energy == pytest.approx(alone.free_energy, rel=1e-9)


def test_a_start_that_is_no_kernel_is_its_own_end():
    functional = kernel_functional(PROBLEMS[0])
    prior = functional.prior_kernel()
    ends = descent.descend(functional, [-prior, prior])
    np.testing.assert_array_equal(ends[0][0], -prior)
    assert ends[0][1] == np.inf
    assert functional.at(ends[1][0]).residual < 1e-5


class Planted:
    """F of one number, and where it was asked for."""

    def __init__(self, F, slope):
        self.F, self.slope, self.asked = F, slope, []

    def values_and_gradients(self, z):
        self.asked += z[:, 0].tolist()
        return np.array([self.F(x) for x in z[:, 0]]), np.array([[self.slope(x)] for x in z[:, 0]])


def ended(F, slope, start, *, known=()):
    planted = Planted(F, slope)
    z, value = descent._minimise(planted, np.array([[start]]), np.array(known))
    assert value[0] == F(z[0, 0])
    return z[0, 0], planted.asked


@pytest.mark.parametrize("level", [0.0, 1e3, -1e3])
def test_a_descent_ends_where_its_slope_is_small_beside_the_free_energy(level):
    """F = level + x²/2: at x = 0.9 (1 + |F|) 10⁻⁶ it stays, at 1.1 it goes on, at once to the minimum."""
    small = 1e-6 * (1 + abs(level))
    assert ended(lambda x: level + x**2 / 2, lambda x: x, 0.9 * small)[0] == 0.9 * small
    assert ended(lambda x: level + x**2 / 2, lambda x: x, 1.1 * small)[0] == 0.0
    # at the free energy of a minimum that is known it stays with a larger slope, elsewhere it does not
    held = 0.9 * descent.LEVEL * (1 + abs(level))
    near = level + held**2 / 2 + 0.5 * descent.SAME_FREE_ENERGY * (1 + abs(level))
    far = level + held**2 / 2 + 2 * descent.SAME_FREE_ENERGY * (1 + abs(level))
    assert ended(lambda x: level + x**2 / 2, lambda x: x, held, known=[near])[0] == held
    assert ended(lambda x: level + x**2 / 2, lambda x: x, held, known=[far])[0] == 0.0


def test_a_step_that_is_too_long_is_cut_to_the_parabolas_minimum():
    """F = 2x² from 0.1: a step of 1 times the slope, 0.4, to -0.3; the parabola through both has its minimum at 0."""
    end, asked = ended(lambda x: 2 * x**2, lambda x: 4 * x, 0.1)
    assert asked[:2] == pytest.approx([0.1, -0.3])
    assert asked[2] == pytest.approx(0.0, abs=1e-12)
    assert abs(end) < 1e-6
    # where F is not finite, a tenth of the step; of a parabola no more than half, and no less than a tenth
    for beyond, share in ((np.inf, 0.1), (1.0, 0.1), (0.02 - 1e-5, 0.5)):

        def F(x, beyond=beyond):
            return 2 * x**2 if x > -0.2 else beyond

        assert ended(F, lambda x: 4 * x, 0.1)[1][2] == pytest.approx(0.1 - 0.4 * share)


def test_descents_without_a_minimum_end_at_their_bounds(monkeypatch):
    monkeypatch.setattr(descent, "MOST_STEPS", 5)
    end, asked = ended(lambda x: -x, lambda x: -1.0, 0.0)
    assert len(asked) == 6
    assert end == asked[-1]
    steps = np.diff(asked)
    assert (steps > 0).all()
    assert steps.max() <= descent.LONGEST_STEP * (1 + 1e-12)
    # a slope that no step confirms
    end, asked = ended(lambda x: abs(x), lambda x: -1.0, 0.0)
    assert end == 0.0
    assert len(asked) == descent.MOST_TRIALS + 1
