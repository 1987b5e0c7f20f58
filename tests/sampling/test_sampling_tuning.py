"""Warm-up by itself: what step sizes and lengths are adapted to, and when they are frozen."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.sampling import Plan, chains, simulate
from numerics.sampling.collapsed import CollapsedHMC
from numerics.sampling.network import make_network
from numerics.sampling.starts import start
from numerics.sampling.tuning import TARGET, TARGET_AT_KINKS, HMCTuning, SGLDTuning


def tuned(memory: tuple[float, float, float], warmup: int = 800, **options: float) -> tuple[HMCTuning, list[HMCTuning]]:
    """Warm-up of a sampler that accepts with probability exp(-h²), whose kernel keeps a share of itself that depends on
    the trajectory's length: π/2, π or 3π/2."""
    rng, tuning, history = np.random.default_rng(0), HMCTuning(warmup, 1.0, **options), []
    kernel = np.ones((2, 2))
    for step in range(warmup):
        h, length = tuning.setting(step)
        kept = memory[round(length / (math.pi / 2)) - 1]
        noise = rng.standard_normal((2, 2))
        kernel = 1 + kept * (kernel - 1) + math.sqrt(1 - kept**2) * (noise + noise.T)
        tuning = tuning.update(step, math.exp(-(h**2)), math.ceil(length / h), kernel)
        history.append(tuning)
    return tuning, history


@pytest.mark.parametrize(
    ("memory", "length"),
    [((0.9, 0.9, 0.1), 1.5), ((0.1, 0.95, 0.95), 0.5), ((0.75, 0.5, 0.5), 1.0)],
    ids=["long", "short", "usual"],
)
def test_the_length_that_moves_the_kernel_farthest_for_its_work_is_kept(memory, length):
    tuning, _ = tuned(memory)
    assert tuning.length == pytest.approx(length * math.pi)
    # accepted with 0.8: h² = ln 1.25
    assert tuning.step_size == pytest.approx(math.sqrt(math.log(1.25)), rel=0.1)


def test_the_step_is_that_of_the_acceptance_that_is_aimed_at():
    assert tuned((0.5, 0.5, 0.5), target=0.65)[0].step_size == pytest.approx(math.sqrt(-math.log(0.65)), rel=0.1)


@pytest.mark.parametrize(("activation", "order"), [("erf", 2), ("relu", 1)])
def test_kinks_make_the_energy_error_of_first_order_in_the_step_and_the_wanted_acceptance_lower(activation, order):
    """Four or two times the error at twice the step, of trajectories of one length."""
    plan = Plan(problem=endpoint(4, 1.0, activation=activation), width=64, chains=1, steps=100, dtype="float64")
    assert chains.first_state(plan, 0).tuning.target == (TARGET if order == 2 else TARGET_AT_KINKS)
    rng, moves, errors = np.random.default_rng(0), CollapsedHMC(plan.network(), 0.2, 1.6), []
    state = moves.init(plan.network().prior_draw(rng, readout=False))
    for _ in range(80):
        state, _ = moves.step(rng, state)
        momentum = rng.standard_normal(state.seen.X.shape)
        errors.append([moves._run(state.seen, momentum, 1.6 / count, count)[1] for count in (64, 32)])
    small, large = np.std(errors, axis=0)
    assert large / small == pytest.approx(2.0**order, rel=0.2)


def test_the_step_size_is_averaged_anew_for_the_length_that_was_chosen():
    _, history = tuned((0.5, 0.5, 0.5))
    counts = [tuning.count for tuning in history]
    assert counts[:400] == list(range(1, 401))
    assert counts[400:600] == [400] * 200  # lengths are compared at a fixed step
    assert counts[600:] == list(range(1, 201))
    assert len(history[-1].kernels) == 0
    assert history[600].centre == history[599].log_average


def test_the_langevin_step_is_frozen_once_after_a_pilot_of_the_second_half(monkeypatch):
    pilots = []
    finish = SGLDTuning.finish

    def spied(self: SGLDTuning) -> SGLDTuning:
        pilots.append(len(self.kernels))
        return finish(self)

    monkeypatch.setattr(SGLDTuning, "finish", spied)
    run = simulate(endpoint(4, 20.0), 12, "sgld", chains=2, steps=40, warmup=60, seed=5, workers=1)
    assert pilots == [30, 30]
    assert run.kernel_bias is not None


def test_warm_up_begins_at_a_middle_length_and_tries_others_in_its_third_quarter():
    tuning = HMCTuning(40, 1.0)
    tried = {tuning.setting(step)[1] for step in range(20, 30)}
    assert min(tried) < tuning.setting(0)[1] < max(tried)
    assert len(tried) >= 3


def test_a_warming_chain_has_the_settings_of_its_step_and_one_that_has_warmed_up_those_that_were_learnt(monkeypatch):
    problem = endpoint(3, 1.0)
    network = make_network(problem, 4, "float64")
    weights = start(np.random.default_rng(0), network, "prior", readout=True)
    asked, info = [], SimpleNamespace(acceptance=0.5, gradients=3)

    class Planted(HMCTuning):
        def setting(self, step):
            return 0.25 + step, 7.0

        def update(self, step, acceptance, gradients, kernel):
            return replace(self, log_average=float(step))

    class Recorded:
        def __init__(self, network, step_size, length, reading):
            asked.append((step_size, length))

        def step(self, rng, state, spare):
            return SimpleNamespace(weights=state.weights), info

    monkeypatch.setattr(chains, "HMC", Recorded)
    state = chains.ChainState(0, 3, weights, {}, Planted(5, 1.0, length=2.0))
    notes = SimpleNamespace(acceptance=[])
    for given in (None, 0.125):
        plan = SimpleNamespace(warming=5, step_size=given, reading=None)
        here = state
        for _ in range(4):
            here = chains._hmc_step(plan, network, None, here, notes, None)
        assert here.done == 7
        assert here.tuning.log_average == 4.0  # nothing is learnt afterwards
    assert asked[:2] == [(3.25, 7.0), (4.25, 7.0)]
    assert asked[2:4] == [(pytest.approx(math.exp(4.0)), 2.0)] * 2
    assert asked[4:] == [(0.125, 7.0)] * 2 + [(0.125, 2.0)] * 2
    assert notes.acceptance == [0.5] * 4
