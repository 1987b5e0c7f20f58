"""Branches along the correlation of matrices, a skip connection and a bias."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sympy import Integer

from numerics import scan, solve
from numerics.continuation.parameters import PARAMETERS
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from theory.sharing import sharing
from theory.sharing_transition import critical_point_of


def several_times(**options):
    """Two patterns with inputs at two times, two outputs."""
    rng = np.random.default_rng(5)
    y = np.full((2, 3, 2), np.nan)
    y[:, 2, 0], y[0, 1, 1] = [2.0, -3.0], 2.5
    return Problem(rng.normal(size=(2, 2, 3)), y, kappa=0.5, **options)


PROBLEMS = {
    "shared": (endpoint(4, 12.0, arch="shared:0.5"), "rho"),
    "drift": (endpoint(5, 20.0, arch="drift:0.5"), "rho"),
    "rho with bias": (endpoint(4, 12.0, arch="shared:0.5", bias=0.2), "rho"),
    "rho, several times": (several_times(arch="drift:0.3"), "rho"),
    "skip": (endpoint(4, 12.0, arch="shared:0.5"), "skip"),
    "skip, several times": (several_times(), "skip"),
    "bias": (endpoint(4, 12.0, arch="looped:2"), "bias"),
    "bias, several times": (several_times(arch="dnn", skip=0.3), "bias"),
    "u with bias": (several_times(bias=0.3), "u"),
}


LONG = ("skip, several times", "drift", "u with bias", "rho, several times")


@pytest.mark.parametrize("case", [pytest.param(each, marks=[pytest.mark.slow] * (each in LONG)) for each in PROBLEMS])
def test_the_states_are_those_of_problems_solved_by_themselves(case):
    problem, name = PROBLEMS[case]
    values = np.array([0.3, 0.6, 1.0])
    found = scan(problem, {name: values})
    assert found.finished, found.status
    assert not found.incomplete.any()
    for k, value in enumerate(values.tolist()):
        alone = solve(PARAMETERS[name].applied(problem, value))
        there = [branch for branch in found.branches if np.isfinite(branch.free_energy[k])]
        lowest = min(there, key=lambda branch: branch.free_energy[k])
        assert lowest.free_energy[k] == pytest.approx(alone.free_energy, rel=1e-9)
        np.testing.assert_allclose(lowest.kernel[k], alone.kernel, rtol=1e-6, atol=1e-6 * np.abs(alone.kernel).max())
        assert lowest.stable[k]


def test_the_pitchfork_in_rho_is_where_the_critical_signal_is_the_problem_s():
    """The exact one, from the theory, for a fraction next to ρ."""
    found = scan(endpoint(4, 12.0, arch="shared:0.5"), {"rho": np.linspace(0.5, 1.0, 6)})
    (point,) = [point for point in found.special_points if point.type == "pitchfork"]
    near = Fraction(point.value).limit_denominator(1000)
    exact = critical_point_of(sharing(f"shared:{near}"), 4, Integer(1))
    assert float(exact.signal) == pytest.approx(12.0, rel=1e-4)


@pytest.mark.parametrize("rule", ["shared", "drift"])
def test_a_range_of_correlations_goes_from_no_sharing_to_one_matrix(rule):
    problem = endpoint(4, 20.0, arch=f"{rule}:0.4")
    whole = scan(problem, {"rho": np.linspace(0.0, 1.0, 5)})
    assert whole.finished, whole.status
    assert not whole.incomplete.any()
    for k, arch in ((0, "dnn"), (-1, "rnn")):
        alone = solve(problem.with_(arch=arch))
        lowest = min(whole.branches, key=lambda branch: np.nan_to_num(branch.free_energy[k], nan=np.inf))
        assert lowest.free_energy[k] == pytest.approx(alone.free_energy, rel=1e-9)
        np.testing.assert_allclose(abs(lowest.kernel[k]), abs(alone.kernel), rtol=1e-6, atol=1e-6)
    (point,) = (point for point in whole.special_points if point.type == "pitchfork")
    (again,) = (p for p in scan(problem, {"rho": [0.6, 0.9]}).special_points if p.type == "pitchfork")
    assert point.value == pytest.approx(again.value, rel=1e-9)
    (first,) = {branch.name for branch in scan(problem, {"rho": [0.0]}).branches}
    assert first == "incoherent"


@pytest.mark.parametrize(
    ("problem", "over", "message"),
    [
        (endpoint(4, 12.0), {"rho": [0.5, 0.9]}, r"^arch: is 'rnn'; accepted: shared:ρ or drift:ρ"),
        (endpoint(4, 12.0, arch="shared:0.5"), {"rho": [0.5, 1.1]}, r"^rho: is 1.1; accepted: at most 1$"),
        (endpoint(4, 12.0), {"skip": [0.0, 1.1]}, r"^skip: begins at 0; accepted: a positive number$"),
        (endpoint(4, 12.0, arch="drift:0.5"), {"rho": [-0.1, 1.0]}, r"^rho: begins at -0.1; accepted: 0 or a positive"),
    ],
)
def test_bad_input(problem, over, message):
    with pytest.raises(InputError, match=message):
        scan(problem, over)


@pytest.mark.parametrize("name", ["kappa", "bias"])
def test_a_range_may_begin_at_0_where_the_theory_is_smooth(name):
    """The same branches as from a little above, and at 0 the states of the problem itself."""
    problem = endpoint(4, 12.0)
    from_0, above = (scan(problem, over={name: [low, 0.3, 0.6]}) for low in (0.0, 1e-7))
    assert from_0.converged
    assert [round(point.value, 6) for point in from_0.special_points] == [
        round(point.value, 6) for point in above.special_points
    ]
    for one, other in zip(from_0.branches, above.branches, strict=True):
        np.testing.assert_allclose(one.free_energy[1:], other.free_energy[1:], rtol=1e-9)
        np.testing.assert_allclose(one.free_energy[0], other.free_energy[0], rtol=1e-5)
    lowest = np.nanmin([branch.free_energy[0] for branch in from_0.branches])
    np.testing.assert_allclose(lowest, solve(problem.with_(**{name: 0.0})).free_energy, rtol=1e-10)
