"""Odds of coexisting minima: against closed forms, the exact law of networks of that width, and tempered runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numerics import phase_shares, phase_weights, solve, solve_all
from numerics.checking import phase_shares as module
from numerics.checking import weights as masses
from numerics.checking.regions import nearest
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.linear import fluctuations
from numerics.sampling.tempering import TemperedRun
from tests.checking.kernel_laws import linear_share, nonlinear_share


def linear(kappa, signal):
    return endpoint(4, signal, kappa=kappa)


def curved(kappa, share):
    """The random network in the linear range, the one that has learnt beyond it."""
    return endpoint(4, share * kappa, kappa=1e-3 * kappa, u=1e-3, activation="erf")


@pytest.fixture(scope="module")
def coexisting():
    """Of a tied network: one incoherent minimum, two signs of a coherent one, and a saddle point between them."""
    return solve_all(linear(100.0, 1085.0))


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(masses, "DRAWS_OF_SEVERAL", 20_000)


def of_order_one(state):
    """Γ of docs/theory.md section 14, T = 4."""
    kappa, r = state.problem.kappa, state.kernel[0, 0]
    if state.branch == "incoherent":
        return 0.5 * np.log(r**3 * (2 - r) * (4 * r**4 - 3 * r**3 + kappa * (3 - 2 * r)))
    stability = 16 * r**4 - 36 * r**3 + 24 * r**2 - (4 + 2 * kappa) * r + kappa
    return 0.5 * np.log(8 * r * (r - 2) * stability / (r - 1) ** 2)


def test_odds_are_even_where_the_closed_forms_and_the_two_signs_say(coexisting, few_draws):
    first, second = (state for state in coexisting if state.stable)
    images = {"incoherent": 1, "coherent": 2}
    gain = np.log(images[first.branch] / images[second.branch]) - of_order_one(first) + of_order_one(second)
    found = phase_weights(coexisting, 128)
    assert found.even_width == pytest.approx(gain / (first.free_energy - second.free_energy), rel=1e-8)
    # here N = 30: without the two signs it would be 15, without determinants 0
    assert found.even_width == pytest.approx(29.8, abs=0.1)
    odds = -128 * (first.free_energy - second.free_energy) + gain
    heavy, light = found.log_weights
    assert heavy - light == pytest.approx(abs(odds), abs=0.1)
    assert found.weights.sum() == pytest.approx(1.0)


def test_logs_of_weights_are_finite_where_the_weights_are_not(coexisting, few_draws):
    minima = [state for state in coexisting if state.stable]
    found = phase_weights(minima, 100_000)
    assert found.weights.tolist() == [1.0, 0.0]
    difference = abs(minima[0].free_energy - minima[1].free_energy)
    assert found.log_weights[1] == pytest.approx(-1e5 * difference, rel=1e-3)


def test_weights_of_a_linear_network_are_shares_of_its_exact_law(coexisting, few_draws):
    found = phase_weights(coexisting, 24)
    regions = [phase.region for phase in found.phases]
    exact, error = linear_share(coexisting, 24, lambda H: nearest(regions, H) == 0, 2000, 0)
    assert error < 0.02
    assert abs(found.weights[0] - exact) < 3 * error + 0.01
    # the coherent state has two signs: with one it would have half the odds
    odds = np.exp(found.log_weights[0] - found.log_weights[1])
    odds *= 2 if found.phases[0].state.branch == "incoherent" else 0.5
    assert abs(odds / (1 + odds) - exact) > 5 * error


@pytest.mark.slow
def test_weights_of_a_nonlinear_network_are_shares_of_its_exact_law():
    """What is left of the log of the odds falls with the width; two signs and determinants are more than that."""
    states = solve_all(curved(100.0, 11.75))
    for width in (48, 96):
        found = phase_weights(states, width)
        assert {phase.basis for phase in found.phases} == {"fluctuations"}
        regions = [phase.region for phase in found.phases]
        exact, error = nonlinear_share(
            states, width, lambda kernels, regions=regions: nearest(regions, kernels) == 0, 4000, 1
        )
        off = found.log_weights[0] - found.log_weights[1] - np.log(exact / (1 - exact))
        assert abs(off) < 3 * error / (exact * (1 - exact)) + 12 / width
        assert 3 * error / (exact * (1 - exact)) + 12 / width < np.log(2)


@pytest.mark.slow
def test_a_tempered_run_has_the_predicted_odds_where_a_plain_one_stays_where_it_starts():
    """Beside it the odds without the coherent state's second sign, and those without determinants."""
    ladder = [linear(45.0, 335.0), linear(68.0, 612.0)]
    weights = phase_weights(solve_all(linear(100.0, 1085.0)), 24)
    found = phase_shares(weights, ladder=ladder, steps=1200, seed=1)
    assert found.rhat < 1.05
    assert (found.swaps > 0.3).all()
    coherent = np.array([phase.state.branch == "coherent" for phase in weights.phases])
    energies = np.array([phase.state.free_energy for phase in weights.phases])
    logs = {
        "predicted": weights.log_weights,
        "one sign": weights.log_weights - np.log(2) * coherent,
        "no determinants": -24 * energies + np.log(2) * coherent,
    }
    z = {
        name: abs(found.shares[0] - 1 / (1 + np.exp(each[1] - each[0]))) / found.standard_error[0]
        for name, each in logs.items()
    }
    assert z["predicted"] < 2.5
    assert z["one sign"] > 2.5
    assert z["no determinants"] > 2.5


def test_shares_are_those_of_draws_in_each_phase_and_chains_start_in_each(coexisting, few_draws, monkeypatch):
    found = phase_weights(coexisting, 24)
    kernels, seen = [phase.state.kernel for phase in found.phases], []

    def planted(networks, weights, *, steps, warmup, rng, told):
        told(0)
        seen.append((len(networks), len(weights), steps, warmup))
        place = np.random.default_rng(len(seen)).random(steps) < 0.3
        return TemperedRun(np.where(place[:, None, None], kernels[0], kernels[1]), np.ones(2), np.array([0.5]), 0.3)

    monkeypatch.setattr(module, "run", planted)
    shares = phase_shares(found, ladder=[linear(60.0, 509.0)], steps=2000)
    assert seen == [(2, 2, 2000, 500)] * 2
    np.testing.assert_allclose(shares.shares, [0.3, 0.7], atol=4 * shares.standard_error[0])
    assert shares.standard_error == pytest.approx([np.sqrt(0.21 / 4000)] * 2, rel=0.2)
    assert shares.mixed
    both = np.hypot(shares.standard_error[0], found.phases[0].weight_error)
    assert shares.z[0] == pytest.approx((shares.shares[0] - found.weights[0]) / both)
    np.testing.assert_allclose(shares.swaps, [0.5])


def test_what_has_no_odds_is_refused_in_one_line(coexisting, few_draws, monkeypatch):
    saddle = [state for state in coexisting if not state.stable]
    minimum = next(state for state in coexisting if state.stable)
    other = solve(linear(100.0, 4.0))
    for states, line in (
        (saddle, "states: have no minimum"),
        ([], "states: have no minimum"),
        ([replace(minimum, hessian_smallest=np.nan), minimum], "states: have one of unknown stability"),
        ([minimum, replace(minimum)], "states: have one minimum twice"),
        ([minimum, other], "states: are of different problems"),
        ([replace(minimum, converged=False)], "states: one has not converged"),
    ):
        with pytest.raises(InputError, match=line):
            phase_weights(states, 64)
    with pytest.raises(InputError, match="width: is 0; accepted: an integer ≥ 1"):
        phase_weights(coexisting, 0)
    with monkeypatch.context() as patch:
        patch.setattr(fluctuations, "LARGEST_DIMENSION", 2)
        fluctuations.fluctuations.cache_clear()
        with pytest.raises(InputError, match="has 3 kernel rows; accepted: at most 2"):
            phase_weights(coexisting, 64)
    bent = solve(endpoint(3, 5.0, activation="erf"))
    monkeypatch.setattr(masses.nonlinear, "next_term", lambda found, width: np.full_like(found.shift, np.inf))
    with pytest.raises(InputError, match="width: is 4, too small for an expansion in 1/N"):
        phase_weights([bent], 4)
    single = replace(phase_weights([minimum], 64), width=2)
    with pytest.raises(InputError, match="weights: are of width 2; accepted: a width ≥ 3"):
        phase_shares(single)
    assert single.even_width is None
