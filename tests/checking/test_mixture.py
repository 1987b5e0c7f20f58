"""Chains that move between phases of which one has a mirror image: only what `W → -W` leaves as it is is compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numerics.checking import weights
from numerics.checking.check import judged_phases
from numerics.checking.kernels import compare_mixture
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
