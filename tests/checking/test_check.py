"""The verdict of `check` on planted chains, in one phase and in several, and on sampled networks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from derivations.commands.check import notes
from numerics import solve
from numerics.checking import check as module
from numerics.checking import weights
from numerics.checking.check import check, judged_phases
from numerics.checking.kernels import compare, compare_phase
from numerics.checking.laws import law_of
from numerics.checking.regions import gauge_of
from numerics.checking.signs import signed
from numerics.errors import InputError, NotSolvedError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.nonlinear import corrected
from numerics.sampling import Simulation, simulate
from numerics.sampling.draws import Spectrum
from numerics.sampling.joining import joined
from tests.checking.states import minimum_from, two_phases

FLIP = (-1.0) ** np.add.outer(np.arange(3), np.arange(3))


def planted(problem, width, kernels, seed=0, noise=0.02):
    """Independent draws around given kernels, (chains, draws, nP, nP), or around one kernel in 4 chains."""
    kernels = np.broadcast_to(kernels, (4, 200, *kernels.shape[-2:])) if kernels.ndim == 2 else kernels
    rng = np.random.default_rng(seed)
    size = np.sqrt(np.diagonal(kernels, axis1=-2, axis2=-1))
    unit = rng.standard_normal(kernels.shape)
    unit = np.triu(unit) + np.swapaxes(np.triu(unit, 1), -1, -2)
    drawn = kernels + noise * size[..., :, None] * size[..., None, :] * unit
    chains, draws = kernels.shape[:2]
    return Simulation(
        problem=problem,
        width=width,
        sampler="collapsed",
        seed=seed,
        odd_activation=True,
        kernels=drawn,
        outputs=np.zeros((chains, draws, problem.P, problem.n)),
        spectra=(),
        acceptance=0.9,
        step_size=(0.1,) * chains,
        bias_local=None,
        bias_squared=None,
        controls=None,
        seconds=1.0,
    )


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(weights, "DRAWS", 20_000)
    monkeypatch.setattr(weights, "DRAWS_OF_SEVERAL", 20_000)


@pytest.mark.parametrize("given", [1.0, -1.0])
@pytest.mark.parametrize("sampled", [1.0, -1.0])
def test_the_sign_of_a_coherent_state_and_of_its_chains_means_nothing(given, sampled, few_draws):
    """The state may be given in either sign, and chains may be in either: the prediction is mirrored with it."""
    state = solve(endpoint(4, 40.0))
    assert state.kernel[-1, -2] > 1
    if given < 0:
        state = replace(state, kernel=FLIP * state.kernel, reduced=FLIP * state.reduced)
    (phase,) = weights.phases([state], 128)
    assert np.sign(phase.kernel[-1, -2]) == given
    kernels = np.where(sampled != given, FLIP, 1.0) * phase.kernel
    comparison = compare(state, planted(state.problem, 128, kernels))
    assert comparison.agreement.agrees, comparison.agreement.reason
    assert comparison.predicted[-1, -2] > 1
    assert comparison.simulation.kernel_mean[-1, -2] > 1
    wrong = np.where(np.eye(3, k=2) + np.eye(3, k=-2) > 0, -1.0, 1.0) * kernels
    assert not compare(state, planted(state.problem, 128, wrong)).agreement.agrees


def test_the_sign_of_an_incoherent_state_s_chains_is_left_alone(few_draws):
    """Its order parameter has mean zero; taken to one sign, it would not."""
    state = solve(endpoint(4, 4.0))
    simulation = planted(state.problem, 128, weights.phases([state], 128)[0].kernel)
    assert compare(state, simulation).agreement.agrees
    assert not compare(state, simulation.gauge_fixed()).agreement.agrees


def test_a_shift_that_is_not_known_leaves_a_check_undecided_and_a_known_one_is_seen(monkeypatch):
    """Chains at the predicted mean of N = 32, and a theory whose points do not tell the shift."""
    state = solve(endpoint(3, 5.0, activation="erf"))
    (phase,) = weights.phases([state], 32)
    run = planted(state.problem, 32, phase.kernel)
    known = judged_phases(state.problem, 32, [phase], [run])
    assert known.agrees
    assert compare(state, run).agreement.verdict == "agrees"
    assert not any("may not be enough" in note for note in notes(known))
    large = replace(phase, next_order=0.5 * np.abs(phase.kernel - state.kernel))
    assert any("50%" in note for note in notes(judged_phases(state.problem, 32, [large], [run])))
    wrong = replace(phase, kernel=state.kernel)
    assert judged_phases(state.problem, 32, [wrong], [run]).verdict == "disagrees"

    def too_few(solution):
        raise NotSolvedError("too few points")

    monkeypatch.setattr(weights.nonlinear, "fluctuations", too_few)
    (phase,) = weights.phases([state], 32)
    missing = judged_phases(state.problem, 32, [phase], [run])
    assert missing.verdict == compare(state, run).agreement.verdict == "undecided"
    assert "not known" in missing.reason
    assert any("decides nothing" in note for note in notes(missing))
    there = planted(state.problem, 32, state.kernel)
    assert judged_phases(state.problem, 32, [phase], [there]).agrees


def phases_and_chains(width=128):
    problem = endpoint(4, 3740.0, kappa=200.0, arch="dnn")
    found = weights.phases(two_phases(problem), width)
    return problem, found, [planted(problem, width, phase.kernel, seed) for seed, phase in enumerate(found)]


def test_each_phase_is_compared_with_its_own_chains(few_draws):
    problem, found, chains = phases_and_chains()
    checked = judged_phases(problem, 128, found, chains)
    assert checked.agrees, checked.reason
    assert [part.stays for part in checked.phases] == [True, True]
    np.testing.assert_allclose([part.shares for part in checked.phases], np.eye(2))
    assert checked.phases[0].phase.weight > checked.phases[1].phase.weight
    assert sum(part.phase.weight for part in checked.phases) == pytest.approx(1.0)
    # a wrong kernel in the lighter phase is a disagreement too
    wrong = planted(problem, 128, 1.1 * found[1].kernel)
    assert judged_phases(problem, 128, found, [chains[0], wrong]).verdict == "disagrees"


def test_chains_that_leave_the_phase_that_carries_the_weight_are_said(few_draws):
    problem, found, chains = phases_and_chains()
    checked = judged_phases(problem, 128, found, [chains[1], planted(problem, 128, found[1].kernel, 9)])
    assert checked.verdict in ("disagrees", "undecided")
    assert not checked.phases[0].stays
    np.testing.assert_allclose(checked.phases[0].shares, [0, 1])
    assert "leave" in checked.reason or "move" in checked.reason


def test_a_width_too_narrow_for_trajectories_of_each_minimum_is_said(few_draws):
    """Three rows of h^t; with one minimum chains would start from random weights instead."""
    with pytest.raises(InputError, match="width: is 2; accepted: an integer ≥ 3, for chains that start in each of 2"):
        check(endpoint(4, 3740.0, kappa=200.0, arch="dnn"), 2, steps=40)


def test_networks_too_narrow_for_its_trajectories_start_from_random_weights_where_there_is_one_minimum(few_draws):
    told = []
    options = {"steps": 40, "warmup": 40, "chains": 2, "seed": 3, "workers": 1}
    checked = check(endpoint(4, 4.0), 2, progress=lambda what, done, total: told.append((what, done, total)), **options)
    assert checked.simulation.chains == 2
    assert checked.verdict == "undecided"
    sampling = [each for each in told if each[2]]
    assert {what for what, _, _ in sampling} == {"N = 2, from random weights"}
    assert sampling[-1][1:] == (160, 160)


def test_chains_may_leave_a_phase_without_weight(few_draws):
    problem, found, chains = phases_and_chains()
    strays = planted(problem, 128, found[0].kernel, 5)
    light = (replace(found[0], log_weight=np.log(1.0)), replace(found[1], log_weight=np.log(1e-9)))
    checked = judged_phases(problem, 128, light, [chains[0], strays])
    assert checked.agrees, checked.reason
    assert checked.phases[1].agreement is None
    # chains that agree with one another, all in one of two phases that both carry weight
    heavy = (replace(found[0], log_weight=np.log(0.6)), replace(found[1], log_weight=np.log(0.4)))
    assert judged_phases(problem, 128, heavy, [chains[0], strays]).verdict == "disagrees"


@pytest.mark.parametrize(("missing", "agrees"), [(0.0, True), (0.25, False)])
def test_chains_that_move_are_compared_with_the_mean_over_the_phases(missing, agrees, few_draws):
    problem, found, _ = phases_and_chains()
    rng = np.random.default_rng(1)
    kernels, runs = np.stack([phase.kernel for phase in found]), []
    for seed in range(2):
        place = (rng.random((4, 400)) > found[0].weight - missing).astype(int)
        runs.append(planted(problem, 128, kernels[place], seed))
    checked = judged_phases(problem, 128, found, runs)
    assert checked.mixture is not None
    assert checked.mixture.mixed
    assert checked.agrees is agrees, checked.reason


def test_a_phase_is_compared_by_its_own_draws(few_draws):
    problem, found, chains = phases_and_chains()
    there = np.ones((4, 200), bool)
    there[:, ::20] = False
    strayed = replace(chains[0], kernels=np.where(there[..., None, None], chains[0].kernels, found[1].kernel))
    checked = judged_phases(problem, 128, found, [strayed, chains[1]])
    assert checked.agrees, checked.reason
    assert checked.phases[0].stays
    assert "760 of 1600 draws are in it" in checked.reason
    assert not compare_phase(found[0], strayed).agreement.agrees


def test_joined_chains_keep_their_spectra_and_series():
    options = {"steps": 20, "warmup": 40, "workers": 1}
    runs = [simulate(endpoint(4, 20.0), 24, chains=c, seed=c, **options) for c in (1, 2)]
    both = joined(runs)
    assert both.kernels.shape[0] == 3
    np.testing.assert_array_equal(both.kernels[1:], runs[1].kernels)
    assert sorted({item.chain for item in both.spectra}) == [0, 1, 2]
    assert len(both.step_size) == 3
    assert both.seconds == pytest.approx(runs[0].seconds + runs[1].seconds)


def test_chains_start_in_every_minimum_and_at_random_weights_where_there_is_one(monkeypatch, few_draws, tmp_path):
    starts, computed = [], []

    def noted(problem, width, **options):
        starts.append((options["law"] is not None, options["chains"], options["seed"]))
        computed.append(options["eigenvalues"])
        return simulate(problem, width, **options)

    monkeypatch.setattr(module, "simulate", noted)
    options = {"steps": 8, "warmup": 40, "workers": 1, "chains": 2, "seed": 7}
    check(endpoint(4, 4.0), 16, checkpoint=tmp_path / "one", **options)
    assert starts == [(True, 1, 7), (False, 1, 8)]
    starts.clear()
    checked = check(endpoint(4, 3740.0, kappa=200.0, arch="dnn"), 64, checkpoint=tmp_path / "two", **options)
    assert starts == [(True, 2, 7), (True, 2, 8)]
    assert not any(computed)
    heaviest, other = (part.simulation.kernels[:, -1, -1, -1] for part in checked.phases)
    assert (heaviest < 20).all()
    assert (other > 60).all()


@pytest.mark.parametrize(
    ("options", "warmup"),
    [({"steps": 8}, 40), ({"steps": 60}, 60), ({}, 300), ({"steps": 2000}, 500), ({"steps": 60, "warmup": 90}, 90)],
)
def test_the_warm_up_is_no_longer_than_the_steps(monkeypatch, options, warmup):
    class Began(Exception):
        pass

    def began(problem, width, **options):
        raise Began(options["warmup"])

    monkeypatch.setattr(module, "simulate", began)
    monkeypatch.setattr(module, "minima", lambda problem, progress: [solve(problem)])
    monkeypatch.setattr(weights, "DRAWS", 2000)
    with pytest.raises(Began) as stopped:
        check(endpoint(4, 4.0), 16, **options)
    assert stopped.value.args == (warmup,)


def test_progress_counts_the_steps_of_all_simulations(few_draws):
    told = []
    check(endpoint(4, 4.0), 16, steps=8, chains=2, workers=1, progress=lambda *now: told.append(now))
    assert told[0] == ("solving", 0, 0)
    steps = [(done, total) for _, done, total in told if total]
    assert [total for _, total in steps] == [2 * 48] * len(steps)
    assert steps == sorted(steps)
    assert steps[-1][0] == 2 * 48
    assert {what for what, _, total in told if total} == {"N = 16, from phase 1 of 1", "N = 16, from random weights"}


@pytest.mark.slow
def test_a_short_check_of_a_network_with_several_minima_ends_with_a_verdict(monkeypatch):
    monkeypatch.setattr(corrected, "MOST", corrected.FIRST)  # points for a kernel's correction: a verdict takes no more
    told = []
    problem = endpoint(6, 4444.444444, w=0.3, activation="erf")
    checked = check(problem, 64, steps=60, workers=1, progress=lambda *now: told.append(now))
    assert checked.verdict in ("agrees", "undecided")
    assert len(checked.phases) >= 3
    assert told[-1][1:] == (len(checked.phases) * 4 * 120,) * 2


@pytest.mark.slow
def test_sampled_networks_stay_in_both_phases_of_a_dnn():
    checked = check(endpoint(4, 3740.0, kappa=200.0, arch="dnn"), 64, steps=1200, chains=2, seed=5, workers=1)
    assert checked.agrees, checked.reason
    assert all(part.stays for part in checked.phases)


@pytest.mark.slow
def test_the_shifts_of_two_phases_are_seen_in_networks_that_move_between_them(few_draws):
    """At N = 32 chains go to and fro, too rarely to tell the phases' shares."""
    problem = endpoint(4, 500.0, kappa=60.0)
    found = weights.phases(two_phases(problem), 32)
    options = {"chains": 4, "steps": 500, "warmup": 100, "workers": 1}
    runs = [simulate(problem, 32, seed=3 + k, law=law_of(each.state), **options) for k, each in enumerate(found)]
    checked = judged_phases(problem, 32, found, runs)
    assert checked.agrees, checked.reason
    assert checked.mixture is None
    for k, each in enumerate(found):
        assert not checked.phases[k].stays
        wrong = [replace(one, kernel=one.state.kernel) if one is each else one for one in found]
        assert judged_phases(problem, 32, wrong, runs).verdict == "disagrees"


@pytest.mark.slow
def test_sampled_networks_that_move_have_the_shares_that_are_computed():
    """Labels three steps apart have two minima: at N = 16 chains go from one to the other."""
    problem = sequence(5, 1.2566, 3.0, (1, 4))
    found = weights.phases(module.minima(problem), 16)
    assert len(found) == 2
    run = simulate(problem, 16, steps=1500, chains=4, seed=3, workers=1)
    checked = judged_phases(problem, 16, found, [run, run])
    # the Gaussian weights are right to O(1/N)
    assert abs(checked.phases[0].shares[0] - found[0].weight) < 0.15


@pytest.mark.slow
def test_a_nonlinear_network_is_checked_from_its_own_trajectories():
    checked = check(endpoint(4, 5.0, activation="tanh"), 128, steps=1500, chains=4, seed=2, workers=1)
    assert checked.agrees, checked.reason
    # the shift is seen: without it the theory disagrees
    without = replace(checked.phases[0].phase, kernel=checked.solution.kernel)
    assert compare_phase(without, checked.simulation).agreement.verdict == "disagrees"


@pytest.mark.slow
def test_the_shift_of_a_rectified_network_of_two_patterns_is_seen():
    """Sampled averages over six dimensions, whose errors stay well below the shift."""
    x, y = np.sqrt(2) * np.array([[1.0, 0.0], [0.3, np.sqrt(0.91)]]), np.full((2, 3), np.nan)
    y[:, -1] = 2.0, -1.6
    checked = check(Problem(x, y, arch="dnn", activation="relu"), 128, steps=600, chains=2, seed=4, workers=1)
    assert checked.agrees, checked.reason
    assert checked.agreement.shift.error < 0.25
    assert checked.agreement.shift.z_without > checked.agreement.z_limit


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"width": 0}, "width: is 0; accepted: an integer ≥ 1"),
        ({"chains": 0}, "chains: is 0"),
        ({"steps": 3}, "steps: is 3"),
        ({"workers": 0}, "workers: is 0"),
        ({"sampler": "none"}, "sampler: is 'none'"),
    ],
)
def test_bad_options_are_refused_before_any_work(monkeypatch, changed, said):
    monkeypatch.setattr(module, "minima", lambda problem: pytest.fail("solved"))
    options = {"width": 64, **changed}
    with pytest.raises(InputError, match=said):
        check(endpoint(4, 4.0), options.pop("width"), **options)


def test_a_minimum_is_reached_from_nearby():
    state = solve(endpoint(4, 4.0))
    again = minimum_from(state.problem, 1.1 * state.kernel)
    np.testing.assert_allclose(again.kernel, state.kernel, atol=1e-8)


def test_a_checks_arrays_are_those_of_each_phase():
    rng = np.random.default_rng(0)

    def part(free_energy, weight, agreement):
        return SimpleNamespace(
            phase=SimpleNamespace(state=SimpleNamespace(free_energy=free_energy), weight=weight),
            predicted=rng.normal(size=(3, 3)),
            agreement=agreement,
            sampled=tuple(rng.normal(size=(2, 3, 3))),
        )

    parts = [part(1.0, 0.75, SimpleNamespace(z=rng.normal(size=(3, 3)))), part(2.0, 0.25, None)]
    checked = SimpleNamespace(
        problem=endpoint(4, 1.0),
        phases=parts,
        mixture=SimpleNamespace(z=np.ones((3, 3))),
        width=64,
        verdict="agrees",
        reason=".",
    )
    found = module.Check.labelled(checked)
    for k, each in enumerate(parts):
        for name, expected in (
            ("predicted", each.predicted),
            ("sampled", each.sampled[0]),
            ("standard_error", each.sampled[1]),
            ("z", np.full((3, 3), np.nan) if each.agreement is None else each.agreement.z),
        ):
            np.testing.assert_array_equal(np.asarray(found.data[name][1])[k].reshape(3, 3), expected)
    np.testing.assert_array_equal(found.data["free_energy"][1], [1.0, 2.0])
    np.testing.assert_array_equal(found.data["weight"][1], [0.75, 0.25])
    np.testing.assert_array_equal(np.asarray(found.data["z_mixture"][1]).reshape(3, 3), np.ones((3, 3)))


def part(F, weight, verdict, stays=True):
    """Chains of one phase with their own verdict; None where too few draws are in it."""
    phase = SimpleNamespace(state=SimpleNamespace(free_energy=F), weight=weight)
    agreement = None if verdict is None else SimpleNamespace(verdict=verdict, reason=f"it {verdict}")
    return SimpleNamespace(phase=phase, agreement=agreement, stays=stays)


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ([("agrees", 0.2)], "agrees"),
        ([("undecided", 0.2)], "undecided"),
        ([("undecided", 0.2), ("disagrees", 0.1)], "disagrees"),
        ([("disagrees", 1e-9), ("agrees", 1e-9)], "disagrees"),
        ([(None, 0.009)], "agrees"),
        ([(None, 0.011)], "undecided"),
        ([(None, 0.2), ("disagrees", 0.1)], "disagrees"),
    ],
)
def test_the_worst_of_the_phases_verdicts_is_the_whole_ones(others, verdict):
    parts = [part(1.5, 0.75, "agrees"), *(part(2.0 + k, weight, each) for k, (each, weight) in enumerate(others))]
    found, reason = module._verdict(parts, None)
    assert found == verdict
    assert reason.startswith("the phase F = 1.5 carries 0.75 of the weight: it agrees; the phase F = 2 (weight")
    assert reason.count("is left by chains") == [each for each, _ in others].count(None)
    assert reason.count("keeps its chains: it ") == len(others) - [each for each, _ in others].count(None)


def test_verdicts_of_one_phase_and_of_chains_that_leave_the_heaviest():
    assert module._verdict([part(1.5, 1.0, "disagrees")], None) == ("disagrees", "it disagrees")
    left = [part(1.5, 0.75, None), part(2.5, 0.25, "agrees")]
    assert module._verdict(left, None)[0] == "undecided"
    assert module._verdict(left, None)[1].endswith("but chains that start there leave it")
    moving = [part(1.5, 0.75, "agrees", False), part(2.5, 0.25, "undecided", False)]
    verdict, reason = module._verdict(moving, None)
    assert verdict == "undecided"
    assert "of the weight, and chains move between the phases: it agrees; " in reason
    assert reason.endswith("(weight 0.25) is visited: it undecided")
    mixture = SimpleNamespace(verdict="agrees", reason="together they do")
    assert module._verdict(left, mixture)[0] == "agrees"
    assert module._verdict(left, mixture)[1].endswith("chains move between the phases: together they do")


@pytest.mark.parametrize("given", [1.0, -1.0])
def test_spectra_bias_terms_and_held_out_outputs_are_turned_with_each_draw(given):
    """A state in either sign; held-out patterns turn as the learnt one does."""
    problem = Problem([[1.0, 0.0]], [[np.nan, np.nan, np.sqrt(40.0)]], x_test=[[-2.0, 0.0], [0.5, 1.0]])
    state = solve(problem)
    turned = replace(state, kernel=FLIP * state.kernel, reduced=FLIP * state.reduced)
    state = state if given > 0 else turned
    gauge = gauge_of(state)
    (step,) = gauge.steps
    assert step.positive == (given > 0)
    rng = np.random.default_rng(1)
    run = planted(problem, 64, state.kernel)
    run = replace(
        run,
        outputs=rng.standard_normal((*run.kernels.shape[:2], 3, 3)),
        bias_local=rng.standard_normal(run.kernels.shape),
        bias_squared=np.ones(run.kernels.shape[:2]),
        spectra=tuple(Spectrum(0, k, np.array([2.0 + 1j * k])) for k in range(20)),
    )
    chosen = rng.random(run.kernels.shape[:2]) < 0.5
    mask = chosen[..., None, None]
    mixed = replace(
        run,
        kernels=np.where(mask, FLIP * run.kernels, run.kernels),
        outputs=np.where(mask, run.outputs * [1, -1, 1], run.outputs),
        bias_local=np.where(mask, FLIP * run.bias_local, run.bias_local),
        spectra=tuple(replace(each, values=(1 - 2 * chosen[0, each.draw]) * each.values) for each in run.spectra),
    )
    fixed = signed(mixed, gauge)
    np.testing.assert_array_equal(fixed.kernels, run.kernels)
    np.testing.assert_array_equal(fixed.bias_local, run.bias_local)
    for one, other in zip(fixed.spectra, run.spectra, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(fixed.outputs, run.outputs)
    assert signed(mixed, gauge_of(solve(endpoint(4, 2.0)))).kernels is mixed.kernels
