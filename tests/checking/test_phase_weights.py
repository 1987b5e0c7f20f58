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
from numerics.predictors import finite_width
from numerics.sampling.tempering import TemperedRun
from tests.checking.kernel_laws import linear_share, nonlinear_log_mass


def linear_of(T, kappa, signal):
    return endpoint(T, signal, kappa=kappa)


def linear(kappa, signal):
    return linear_of(4, kappa, signal)


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
    """Two signs are more than the error that is told."""
    minima = [state for state in solve_all(curved(100.0, 11.75)) if state.stable]
    found = phase_weights(minima, 32)
    border = np.sqrt(np.prod([state.kernel[-1, -1] for state in minima]))
    logs, errors = [], []
    for phase in found.phases:
        learnt = phase.state.kernel[-1, -1] > border
        log, error = nonlinear_log_mass(
            phase.state, 32, lambda kernels, learnt=learnt: (kernels[:, -1, -1] > border) == learnt, 200, 40, 1
        )
        logs.append(log + np.log(2) * len(phase.region.gauge.steps))
        errors.append(error)
    odds, error = logs[1] - logs[0], np.hypot(*errors)
    predicted = found.log_weights[1] - found.log_weights[0]
    leading = predicted - found.next_order[1]
    assert {phase.basis for phase in found.phases} == {"two loops"}
    for each in (predicted, leading):
        assert abs(each - odds) < 2 * found.next_order_error[1] + 3 * error
    assert 2 * found.next_order_error[1] + 3 * error < 0.5 * np.log(2)


@pytest.mark.slow
def test_a_tempered_nonlinear_network_has_the_predicted_odds():
    ladder = [curved(42.0, 7.5), curved(55.0, 8.65)]
    weights = phase_weights(solve_all(curved(70.0, 9.8)), 24)
    found = phase_shares(weights, ladder=ladder, steps=1700, seed=1)
    assert found.mixed
    assert found.ess > 200
    assert (found.swaps > 0.5).all()
    assert np.abs(found.z).max() < 2.5
    assert weights.phases[0].weight_error < 0.1
    # odds without the second sign of the coherent state, which is the heaviest, and those without determinants
    energies = np.array([phase.state.free_energy for phase in weights.phases])
    odds = weights.log_weights[1] - weights.log_weights[0]
    assert weights.phases[0].state.branch == "coherent"
    for wrong in (odds + np.log(2), 24 * (energies[0] - energies[1]) - np.log(2)):
        error = np.hypot(found.standard_error[0], weights.phases[0].weight_error)
        assert abs(found.shares[0] - 1 / (1 + np.exp(wrong))) > 2.5 * error


@pytest.mark.slow
def test_odds_of_deeper_networks_and_without_noise():
    """T = 6: beyond a density's draws two loops agree with it; next to a transition narrow networks have no odds."""
    found = phase_weights(solve_all(linear_of(6, 100.0, 330.0)), 32)
    assert {phase.basis for phase in found.phases} <= {"two loops", "density"}
    for phase in found.phases:
        sided = phase.state.branch == "coherent"
        own = finite_width.kernel_mean(phase.state, 32, one_sign=sided, draws=200_000)
        beyond = own.log_mass - finite_width.log_mass(phase.state, 32)
        assert abs(phase.beyond - beyond) < 4 * own.log_mass_error + phase.beyond_error
    states = solve_all(linear_of(6, 0.0, 1.403))
    with pytest.raises(InputError, match="width: is 32, too small for an expansion"):
        phase_weights(states, 32)
    near = phase_weights(states, 4096)
    assert {phase.basis for phase in near.phases} == {"density"}
    assert abs(near.next_order[1]) > 1.0
    assert near.caution.startswith("the leading order in 1/N is not enough: the next order adds")


def test_the_next_order_is_that_of_two_loops_or_of_the_density(coexisting, few_draws, monkeypatch):
    exact = phase_weights(coexisting, 24)
    assert {phase.basis for phase in exact.phases} == {"density"}
    monkeypatch.setattr(finite_width, "LARGEST_SAMPLED", 1)
    loops = phase_weights(coexisting, 24)
    assert {phase.basis for phase in loops.phases} == {"two loops"}
    assert [phase.state for phase in loops.phases] == [phase.state for phase in exact.phases]
    off = loops.next_order - exact.next_order
    assert off[0] == loops.next_order[0] == loops.next_order_error[0] == 0
    assert abs(off[1]) < 3 * exact.next_order_error[1] + loops.next_order_error[1] < 0.2
    leading = [masses.finite_width.log_mass(phase.state, 24) for phase in loops.phases]
    images = {"incoherent": 0.0, "coherent": np.log(2)}
    gain = images[loops.phases[1].state.branch] - images[loops.phases[0].state.branch]
    odds = loops.log_weights[1] - loops.log_weights[0]
    assert odds == pytest.approx(leading[1] - leading[0] + gain + loops.next_order[1])
    heavy, light = loops.phases
    error = np.hypot(heavy.beyond_error, light.beyond_error)
    assert light.weight_error == pytest.approx(error * heavy.weight * light.weight)
    assert loops.caution is None
    # too narrow: their size is an error, and it is said
    narrow = phase_weights(coexisting, 6)
    assert {phase.basis for phase in narrow.phases} == {"two loops"}
    assert narrow.caution.startswith("the leading order in 1/N is not enough: the next order adds")
    monkeypatch.setattr(masses, "MOST_LEFT", 0.0)
    alone = phase_weights(coexisting, 24)
    assert {phase.basis for phase in alone.phases} == {"fluctuations"}
    assert alone.log_weights[1] - alone.log_weights[0] == pytest.approx(leading[1] - leading[0] + gain)
    np.testing.assert_allclose(alone.next_order, loops.next_order)
    assert alone.phases[0].weight_error > loops.phases[0].weight_error
    monkeypatch.setattr(masses, "two_loops", lambda state: None)
    unknown = phase_weights(coexisting, 24)
    assert unknown.next_order is None
    assert "size of the next order is not known" in unknown.caution
    assert phase_weights([heavy.state], 24).caution is None


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
        patch.setattr(fluctuations, "LARGEST_HESSIAN", 2)
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
