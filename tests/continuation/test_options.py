"""The options of a continuation refuse what they cannot mean, and are heeded."""

from __future__ import annotations

import dataclasses
import math
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest

from numerics import InputError, Problem, endpoint, scan, solve
from numerics.continuation import growth
from numerics.continuation.family import family
from numerics.continuation.following import through
from numerics.continuation.growth import search_values
from numerics.continuation.options import Options
from numerics.continuation.parameters import PARAMETERS
from numerics.continuation.path import Track
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional


@pytest.mark.parametrize("field", dataclasses.fields(Options), ids=lambda field: field.name)
@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "1", True, None])
def test_what_is_no_positive_number_is_refused(field, wrong):
    with pytest.raises(InputError, match=rf"^{field.name}: is .*; accepted: "):
        Options(**{field.name: wrong})


def test_bounds_that_contradict_each_other_are_refused():
    for wrong in ({"goal": 1e-3}, {"shortest_step": 1.0}, {"near": 1e3}, {"most_points": 2.5}):
        with pytest.raises(InputError, match=rf"^{next(iter(wrong))}: is .*; accepted: "):
            Options(**wrong)


def test_shorter_steps_lead_to_the_same_branches():
    grid = {"signal": np.linspace(9.0, 12.0, 4)}
    usual, fine = scan(endpoint(4, 1.0), grid), scan(endpoint(4, 1.0), grid, options=Options(largest_step=0.03))
    for one, other in zip(usual.branches, fine.branches, strict=True):
        np.testing.assert_allclose(one.kernel, other.kernel, rtol=1e-10, atol=1e-10)
    assert usual.special_points[0].value == pytest.approx(fine.special_points[0].value, rel=1e-12)


@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize("arch", ["rnn", "dnn", "shared:0.5"])
@pytest.mark.parametrize("parameter", ["u", "bias", "rho", "skip", "w"])
def test_parameters_along_which_coordinates_stay(parameter, arch, bias):
    """All with inputs at the first time; skip is refused where the matrices of different times share directions."""
    rng, y = np.random.default_rng(0), np.array([[np.nan, np.nan, 1.0], [np.nan, np.nan, -1.0]])
    given = {"arch": arch, "skip": 0.3, "bias": 0.5 if parameter == "bias" else bias}
    if parameter == "rho" and "shared" not in arch:
        return
    for x in (rng.normal(size=(2, 2)), rng.normal(size=(2, 3, 2))):
        assert family(Problem(x, y, **given), parameter).base.dimension == 6
    shared = Problem(rng.normal(size=(2, 3, 1)), y, **given)
    if parameter == "skip" and arch != "rnn" and not bias:
        with pytest.raises(
            InputError, match="inputs at several times that span shared directions; accepted along skip"
        ):
            family(shared, parameter)
    elif not bias:
        family(shared, parameter)


@pytest.mark.parametrize(("most", "every"), [(20, 1), (11, 1), (10, 2), (6, 2), (5, 4)])
def test_values_at_which_states_are_searched_for_are_a_factor_apart_and_the_ends(most, every):
    options = Options(search_factor=2.0, most_searches=most)
    whole = family(endpoint(4, 1.0), "signal", options)
    low, *inner, high = np.exp(search_values(whole, (math.log(0.9), math.log(1100.0)))).tolist()
    assert (low, high) == (pytest.approx(0.9), pytest.approx(1100.0))
    np.testing.assert_allclose(inner, 2.0 ** np.arange(0, 11)[::every])


X, Y = np.array([[1.0, 0.3], [-0.4, 0.8]]), np.array([[np.nan, 0.5, 1.0], [np.nan, np.nan, -2.0]])


@pytest.mark.parametrize("bias", [0.0, 0.7])
@pytest.mark.parametrize("name", PARAMETERS)
def test_the_free_energy_at_a_value_is_that_of_the_problem_at_it(name, bias):
    """At the random network's kernel of another problem, over times and patterns: an independent route by the
    problem made anew, in coordinates of its own."""
    arch = "drift:0.4" if name == "rho" else "shared:0.3"
    problem = Problem(X, Y, arch=arch, u=1.3, v=0.8, w=0.9, kappa=0.6, skip=0.2, bias=0.7 if name == "bias" else bias)
    parameter = PARAMETERS[name]
    base = kernel_functional(problem)
    for value in (0.35, 0.9):
        moved = parameter.functional_at(base, problem, value)
        fresh = kernel_functional(parameter.applied(problem, value))
        H = fresh.space.full_basis() @ (1.3 * fresh.prior_kernel()) @ fresh.space.full_basis().T
        energies = []
        for functional in (moved, fresh):
            inverse = np.linalg.pinv(functional.space.full_basis())
            energies.append(functional.at(inverse @ H @ inverse.T).free_energy)
        assert energies[0] == pytest.approx(energies[1], rel=1e-9)
    assert parameter.value_of(problem) == {"signal": 1.0, "rho": 0.4}.get(name, getattr(problem, name, None))


def test_neighbours_on_a_branch_are_alike():
    """Steps that are not given are short enough for tangents to turn little."""
    whole = family(endpoint(4, 1.0), "signal")
    start = kernel_functional(endpoint(4, 5.0))
    state = trust_region.minimise(start.at(start.prior_kernel())).point
    branch = through(Track(whole, 0), state, math.log(5.0), (math.log(2.0), math.log(40.0)))
    assert branch.ends == ("range", "range")
    steps = np.diff(branch.lengths)
    assert steps.max() <= 0.08 * math.sqrt(3) * (1 + 1e-9)
    turns = [
        float(np.vdot(one.tangent, other.tangent)) + one.rate * other.rate for one, other in pairwise(branch.points)
    ]
    assert min(turns) > 0.99


@pytest.mark.parametrize("parameter", ["signal", "kappa"])
def test_along_the_labels_no_search_enlarges_them_but_minima_beyond_the_range_are_followed(parameter, monkeypatch):
    asked = []
    # in this process, where what is asked is seen
    monkeypatch.setattr(growth, "ahead", lambda function, items: nullcontext(map(function, items)))
    monkeypatch.setattr(growth.search, "search_all", lambda problem, *, enlarged: asked.append(enlarged) or ())
    monkeypatch.setattr(growth.Growth, "from_weak_labels", lambda self: None)
    monkeypatch.setattr(growth.Growth, "add", lambda self, state, theta: asked.append((state.free_energy, theta)))
    whole = family(endpoint(4, 1.0), parameter)
    growth.Growth(whole, growth.reach(whole, (2.0, 6.0))).search()
    assert [each for each in asked if isinstance(each, bool)] == [parameter != "signal"] * 3
    added = [each for each in asked if isinstance(each, tuple)]
    stronger = [6.0 * 1.5**2, 6.0 * 4.0**2] if parameter == "signal" else []
    assert np.exp([theta for _, theta in added]) == pytest.approx(stronger)
    for (free_energy, _), signal in zip(added, stronger, strict=True):
        assert free_energy == pytest.approx(solve(endpoint(4, signal)).free_energy, rel=1e-10)


def test_states_that_batches_do_not_vouch_for_are_found_by_arclength():
    grid = {"signal": np.linspace(9.0, 12.0, 4)}
    usual, strict = (
        scan(endpoint(4, 1.0), grid, options=options) for options in (Options(), Options(same_branch=1e-9))
    )
    for one, other in zip(usual.branches, strict.branches, strict=True):
        np.testing.assert_allclose(one.kernel, other.kernel, rtol=1e-9, atol=1e-9)
