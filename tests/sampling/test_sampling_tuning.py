"""Warm-up by itself: what step sizes and lengths are adapted to, and when they are frozen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.sampling import simulate
from numerics.sampling.tuning import HMCTuning, SGLDTuning


def tuned(memory: tuple[float, float, float], warmup: int = 800) -> tuple[HMCTuning, list[HMCTuning]]:
    """Warm-up of a sampler that accepts with probability exp(-h²), whose kernel keeps a share of itself that depends on
    the trajectory's length: π/2, π or 3π/2."""
    rng, tuning, history = np.random.default_rng(0), HMCTuning(warmup, 1.0), []
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
