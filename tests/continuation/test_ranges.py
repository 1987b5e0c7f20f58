"""What a range contains does not depend on its ends, in every parameter: against exact states, and range by range."""

import math

import numpy as np
import pytest

from numerics import solve_all
from numerics.continuation.diagram import diagram
from numerics.continuation.hysteresis import hysteresis_loop
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
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
    loop = hysteresis_loop(found)
    for jump in (*loop.up.transitions, *loop.down.transitions):
        assert min(abs(jump.value - p.value) for p in found.special_points) < 1e-9 * jump.value
    return found


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.slow), 1, 2])
def test_random_ranges_hold_the_exact_states_and_special_points(seed):
    rng = np.random.default_rng((21, seed))
    assert_exact(*random_endpoint(rng), rng)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_many_random_ranges_hold_the_exact_states_and_special_points(seed):
    rng = np.random.default_rng((22, seed))
    assert_exact(*random_endpoint(rng), rng)


def random_problem(rng):
    """Other problems: longer chains, late labels of two patterns, labels at two times; both architectures."""
    arch = "dnn" if rng.random() < 0.5 else "rnn"
    kind = rng.integers(3)
    if kind == 0:
        return endpoint(5, 10 ** rng.uniform(0.0, 2.5), kappa=10 ** rng.uniform(-0.5, 2.0), arch=arch)
    if kind == 1:
        supervised = sorted({4, int(rng.integers(1, 5))})
        return sequence(
            5, rng.uniform(0.3, 2.8), rng.uniform(1.0, 6.0), supervised, kappa=10 ** rng.uniform(-0.5, 1), arch=arch
        )
    y = np.full((2, 3), np.nan)
    y[:, -1] = 10 ** rng.uniform(0.0, 1.3) * rng.normal(size=2)
    return Problem(rng.normal(size=(2, 2)), y, kappa=10 ** rng.uniform(-1, 1.5), w=rng.uniform(0.3, 1.5), arch=arch)


def assert_nested(problem, parameter, rng):
    """A range within another holds what the other one does there, and what the search at each value finds."""
    power = problem.n - 1 if parameter == "w" else 1
    centre = 1.0 if parameter == "signal" else getattr(problem, parameter)
    ends = np.sort(rng.uniform(-1.2, 1.2, 4)) / power
    outer, inner = ((centre * math.exp(a), centre * math.exp(b)) for a, b in (ends[[0, 3]], ends[[1, 2]]))
    wide, narrow = (diagram(problem, parameter, span) for span in (outer, inner))
    assert wide.finished
    assert narrow.finished
    for value in (*inner, math.sqrt(inner[0] * inner[1])):
        F = [[state.free_energy for _, state in found.states(value)] for found in (wide, narrow)]
        assert len(F[0]) == len(F[1]), (value, F)
        np.testing.assert_allclose(F[0], F[1], rtol=1e-8)
        for state in solve_all(at(problem, parameter)(value)):
            assert np.abs(np.array(F[1]) - state.free_energy).min() < 1e-8 * (1 + state.free_energy)
    points = [
        [(point.type, point.value) for point in found.special_points if inner[0] < point.value < inner[1]]
        for found in (wide, narrow)
    ]
    assert [kind for kind, _ in points[0]] == [kind for kind, _ in points[1]], points
    np.testing.assert_allclose([value for _, value in points[0]], [value for _, value in points[1]], rtol=1e-8)


def assert_last_digits(problem, parameter, span, rng):
    """Inputs and ends of the range changed by 1e-12, relative, change what is found by little more."""

    def found_with(change):
        other = problem.with_(y=problem.y * (1 + change), kappa=problem.kappa * (1 - change))
        found = diagram(other, parameter, (span[0] * (1 - change), span[1] * (1 + change)))
        return found, hysteresis_loop(found)

    (first, loop), *others = (found_with(change) for change in (0.0, 1e-12, -1e-12))
    value = math.exp(rng.uniform(*np.log(span)))
    for other, other_loop in others:
        assert [p.type for p in other.special_points] == [p.type for p in first.special_points]
        pairs = zip(other.special_points, first.special_points, strict=True)
        assert all(abs(p.value - q.value) < 1e-8 * q.value for p, q in pairs)
        states = [[state.free_energy for _, state in found.states(value)] for found in (other, first)]
        np.testing.assert_allclose(*states, rtol=1e-8)
        for sweeps in ((other_loop.up, loop.up), (other_loop.down, loop.down)):
            jumps = [[jump.value for jump in sweep.transitions] for sweep in sweeps]
            np.testing.assert_allclose(*jumps, rtol=1e-8)


def test_the_last_digits_of_the_input_do_not_matter():
    rng = np.random.default_rng(25)
    assert_last_digits(endpoint(4, 1.0, kappa=60.0), "signal", (540.0, 610.0), rng)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_the_last_digits_of_random_inputs_do_not_matter(seed):
    rng = np.random.default_rng((26, seed))
    assert_last_digits(*random_endpoint(rng), rng)


@pytest.mark.slow
@pytest.mark.parametrize("parameter", ["signal", pytest.param("w", marks=pytest.mark.slow)])
def test_a_range_within_another_holds_the_same(parameter):
    rng = np.random.default_rng((23, PARAMETERS.index(parameter)))
    assert_nested(endpoint(5, 20.0, kappa=3.0), parameter, rng)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_many_ranges_within_others_hold_the_same(seed):
    rng = np.random.default_rng((24, seed))
    assert_nested(random_problem(rng), str(rng.choice(PARAMETERS)), rng)
