"""Chains that move between phases of which one has a mirror image: where they have mixed, what `W → -W` leaves as it is
is compared, else the draws in each phase."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numerics.checking import weights
from numerics.checking.check import judged_phases
from numerics.checking.kernels import compare_mixture, compare_visits
from numerics.checking.regions import distances
from numerics.inputs.problem import endpoint
from tests.checking.states import two_phases
from tests.checking.test_check import FLIP, planted


@pytest.fixture(scope="module")
def found():
    """The incoherent phase and the coherent one, both with weight: `(problem, phases)`."""
    problem = endpoint(4, 500.0, kappa=60.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "DRAWS_OF_SEVERAL", 20_000)
        first, second = weights.phases(two_phases(problem), 128)
    assert sorted(len(phase.region.gauge.steps) for phase in (first, second)) == [0, 1]
    return problem, (replace(first, log_weight=np.log(0.6)), replace(second, log_weight=np.log(0.4)))


def moving(problem, phases, shares, seed, signs=(1.0, -1.0)):
    """4 chains of independent draws, each in a phase by its share, in either sign."""
    rng = np.random.default_rng(seed)
    place = rng.choice(2, size=(4, 400), p=shares)
    sign = rng.choice(signs, size=(4, 400))[..., None, None]
    kernels = np.stack([phase.kernel for phase in phases])[place]
    return planted(problem, 128, np.where(sign > 0, kernels, FLIP * kernels), seed)


def test_both_signs_of_a_phase_are_one_and_odd_entries_are_not_compared(found):
    problem, phases = found
    for signs in ((1.0, -1.0), (1.0, 1.0), (-1.0, -1.0)):
        verdict = compare_mixture(phases, moving(problem, phases, (0.6, 0.4), 3, signs))
        assert verdict.mixed
        assert verdict.agrees, verdict.reason
        np.testing.assert_array_equal(verdict.z[FLIP < 0], 0.0)
        assert (np.abs(verdict.z[FLIP > 0]) > 0).all()


@pytest.mark.parametrize(("shares", "agrees"), [((0.6, 0.4), True), ((0.4, 0.6), False), ((0.9, 0.1), False)])
def test_the_shares_of_the_phases_are_seen(found, shares, agrees):
    problem, phases = found
    runs = [moving(problem, phases, shares, seed) for seed in (5, 6)]
    checked = judged_phases(problem, 128, phases, runs)
    assert not any(part.stays for part in checked.phases)
    assert checked.agrees is agrees, checked.reason
    for part in checked.phases:
        np.testing.assert_allclose(part.shares, shares, atol=0.05)
    assert "move between the phases" in checked.reason


def test_an_uncertain_weight_makes_the_mean_uncertain(found):
    """A standard error of 0.2 of a weight covers a share that is 0.2 off, and one of 0.02 does not."""
    problem, phases = found
    off = moving(problem, phases, (0.4, 0.6), 7)
    for error, agrees in ((0.02, False), (0.2, True)):
        unsure = tuple(replace(phase, weight_error=error) for phase in phases)
        assert compare_mixture(unsure, off).agrees is agrees
    # and so does an error of a phase's own kernel
    right = moving(problem, phases, (0.6, 0.4), 7)
    wrong = tuple(replace(phase, kernel=1.1 * phase.kernel) for phase in phases)
    assert not compare_mixture(wrong, right).agrees
    loose = tuple(replace(phase, kernel_error=0.1 * np.abs(phase.kernel)) for phase in wrong)
    assert compare_mixture(loose, right).agrees


def hopping(problem, phases, seed, between=0.0):
    """4 chains of independent draws around a phase, which stay there for a hundred steps or so; a share of the draws is
    near the border of the first phase, on its side of it."""
    rng = np.random.default_rng(seed)
    kernels = np.stack([phase.kernel for phase in phases])
    inverse = np.linalg.inv(root := np.linalg.cholesky(kernels[0]))
    values, vectors = np.linalg.eigh(inverse @ kernels[1] @ inverse.T)
    turned = root @ vectors
    path = (turned * values ** np.linspace(0, 1, 400)[:, None, None]) @ turned.T
    away = distances([phase.region for phase in phases], path)
    border = path[(away[:, 0] > 0.6 * away[:, 1]) & (away[:, 0] < 0.9 * away[:, 1])]
    place = np.cumsum(rng.random((4, 400)) < 0.01, axis=1) % 2
    strayed = rng.random(place.shape) < between
    drawn = np.where(strayed[..., None, None], border[rng.integers(len(border), size=place.shape)], kernels[place])
    expanded = [replace(each, basis="fluctuations", next_order=0 * each.kernel) for each in phases]
    return planted(problem, 128, drawn, seed), expanded


@pytest.mark.parametrize("wrong", [0, 1, None])
def test_each_phase_is_compared_with_the_draws_of_chains_that_visit_it(found, wrong):
    """Of chains that move too rarely to tell how often they are in each phase."""
    problem, phases = found
    run, expanded = hopping(problem, phases, 4)
    moved = [replace(each, kernel=1.01 * each.kernel) if k == wrong else each for k, each in enumerate(expanded)]
    checked = judged_phases(problem, 128, moved, [run, run])
    assert checked.mixture is None
    assert not any(part.stays for part in checked.phases)
    assert checked.agrees is (wrong is None), checked.reason
    disagree = [part.agreement.verdict == "disagrees" for part in checked.phases]
    assert disagree == [k == wrong for k in range(2)]
    assert "chains move between the phases" in checked.reason
    total = sum(int(words.split()[0]) for words in checked.reason.split(": ") if " of 3200 draws are in it" in words)
    assert total == 3200


def test_errors_of_draws_in_a_phase_are_those_that_their_means_have(found):
    """Over runs of a sticky chain that leaves one phase for another one."""
    problem, phases = found
    z = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        run, expanded = hopping(problem, phases, seed)
        slow = np.zeros((4, 400))
        for step in range(1, 400):
            slow[:, step] = 0.8 * slow[:, step - 1] + 0.01 * rng.standard_normal(4)
        run = replace(run, kernels=run.kernels * (1 + slow)[..., None, None])
        away = distances([each.region for each in phases], run.kernels)
        z.append(compare_visits(expanded[0], run, away, 0).z[np.triu_indices(3)])
    assert np.abs(np.mean(z, axis=0)).max() < 0.6
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.3


def test_what_lies_at_the_border_of_a_phase_is_an_error_of_an_expansion_and_none_of_a_density(found):
    problem, phases = found
    run, expanded = hopping(problem, phases, 5, between=0.1)
    away = distances([each.region for each in phases], run.kernels)
    exact, unsure = (compare_visits(each, run, away, 0) for each in (phases[0], expanded[0]))
    assert exact.verdict == "disagrees"
    assert unsure.agrees, unsure.reason
    assert (unsure.standard_error > 3 * exact.standard_error).any()
    assert compare_visits(phases[0], run, away * [1, 0] + [1, 0], 0) is None  # no draw is there
