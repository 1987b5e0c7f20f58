"""What a range contains does not depend on its ends, in every parameter: against exact states, and range by range."""

import math

import numpy as np
import pytest

from numerics.continuation.diagram import diagram
from numerics.continuation.hysteresis import hysteresis
from numerics.problem import endpoint
from tests.continuation import exact_t4

PARAMETERS = ("signal", "kappa", "u", "v", "w")


def random_endpoint(rng):
    """T = 4, a parameter, and a range of it: the noise from weak to far beyond the onset of the learning transition."""
    arch = "dnn" if rng.random() < 0.4 else "rnn"
    noise = 10 ** rng.uniform(0.0, 3.0)
    # the signal of a random state between those that have learnt nothing and those beyond both folds
    r = 1 + 10 ** rng.uniform(-0.7, math.log10(1 + 1.2 * noise ** (1 / 3)))
    signal = (r - 1) * (r**3 + noise) ** 2 / r**3
    u, v, w = 10 ** rng.uniform(-0.3, 0.3, 3)
    problem = endpoint(4, signal, kappa=noise * v * w**2 * u, u=u, v=v, w=w, arch=arch)
    parameter = str(rng.choice(PARAMETERS))
    power = 2 if parameter == "w" else 1
    centre = 1.0 if parameter == "signal" else getattr(problem, parameter)
    low, high = (centre * math.exp(sign * rng.uniform(0.01, 1.0) / power) for sign in (-1, 1))
    return problem, parameter, (low, high)


def at(problem, parameter):
    if parameter == "signal":
        return lambda p: problem.with_(y=math.sqrt(p) * problem.y)
    return lambda p: problem.with_(**{parameter: float(p)})


def assert_exact(problem, parameter, span, rng):
    found = diagram(problem, parameter, span)
    there = at(problem, parameter)
    values = [*span, *np.exp(rng.uniform(*np.log(span), 3))]
    for value in values:
        F = [state.free_energy for _, state in found.states(value)]
        exact = exact_t4.free_energies(there(value))
        assert len(F) == len(exact), (value, F, exact)
        np.testing.assert_allclose(F, exact, rtol=1e-8)
    exact_points = exact_t4.special_points(there, *span)
    for kind, expected in exact_points.items():
        points = [point.value for point in found.special_points if point.type == kind]
        assert len(points) == len(expected), (kind, points, expected)
        np.testing.assert_allclose(points, expected, rtol=1e-6)
    assert found.finished
    loop = hysteresis(found)
    for jump in (*loop.up.transitions, *loop.down.transitions):
        assert min(abs(jump.value - p.value) for p in found.special_points) < 1e-9 * jump.value
    return found


@pytest.mark.parametrize("seed", range(4))
def test_random_ranges_hold_the_exact_states_and_special_points(seed):
    rng = np.random.default_rng((21, seed))
    assert_exact(*random_endpoint(rng), rng)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_many_random_ranges_hold_the_exact_states_and_special_points(seed):
    rng = np.random.default_rng((22, seed))
    assert_exact(*random_endpoint(rng), rng)
