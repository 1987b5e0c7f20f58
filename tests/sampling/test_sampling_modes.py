"""Barriers: replica exchange."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.sampling import Tempering, ladder
from numerics.sampling import tempering as module
from numerics.sampling.collapsed import CollapsedHMC, CollapsedState, activations
from numerics.sampling.diagnostics import summarise
from numerics.sampling.network import Network
from numerics.sampling.starts import start

STRENGTHS = (0.0, 0.4, 1.0)


def small() -> Problem:
    """A single hidden time, whose law at every strength is an integral over one variable."""
    return Problem(np.ones((1, 1)), np.array([[2.5]]), v=1.3, u=0.7, kappa=0.3)


def of_strengths(problem: Problem, strengths: tuple[float, ...]) -> list[Problem]:
    """The problem with its labels at each strength."""
    return [problem.with_(y=np.sqrt(strength) * problem.y) for strength in strengths]


def exact_kernel(net: Network) -> float:
    """Mean kernel of one linear hidden time: ``Φ = u χ²_N/N``, weighted by ``N(y | 0, (vΦ + κ)/N)``."""
    problem, N = net.problem, net.width
    kernel = np.linspace(0, 20, 400_001)[1:]
    variance = problem.v * kernel + problem.kappa
    logs = (N / 2 - 1) * np.log(kernel) - N * kernel / (2 * problem.u)
    logs += -0.5 * N * float(problem.labels[0]) ** 2 / variance - 0.5 * np.log(variance)
    weight = np.exp(logs - logs.max())
    return float(weight @ kernel / weight.sum())


def worst_z(steps: int, seed: int) -> float:
    """Largest |z| of a rung's mean kernel, at width 4."""
    networks = ladder(of_strengths(small(), STRENGTHS), 4)
    rng = np.random.default_rng(seed)
    sampler = Tempering(networks, 0.3, 1.5)
    state = sampler.init([net.prior_draw(rng, readout=False) for net in networks])
    series = []
    for _ in range(steps):
        state, _ = sampler.step(rng, state)
        kernels = [activations(n, s.seen) for n, s in zip(networks, state.rungs, strict=True)]
        series.append([float(np.vdot(phi, phi)) / 4 for phi in kernels])
    seen = summarise(np.array(series)[None, steps // 10 :])
    truth = np.array([exact_kernel(net) for net in networks])
    return float(np.max(np.abs(seen.mean - truth) / seen.standard_error))


@pytest.mark.slow
def test_every_rung_keeps_its_law():
    assert worst_z(1000, 1) < 4.5


def test_swaps_that_ignore_the_labels_are_noticed(monkeypatch):
    monkeypatch.setattr(module.Tempering, "_swap_probability", lambda self, rung, lower, upper: 1.0)
    assert worst_z(800, 2) > 6


def test_a_swap_exchanges_two_states_and_their_replicas(monkeypatch):
    """Pairs (0, 1) and (2, 3) first, (1, 2) next; nothing is copied or lost, and refused swaps change nothing."""
    networks = ladder(of_strengths(small(), (0.0, 0.4, 0.7, 1.0)), 4)
    rng = np.random.default_rng(0)
    sampler = Tempering(networks, 0.3, 1.5)
    start_state = sampler.init([net.prior_draw(rng, readout=False) for net in networks])
    a, b, c, d = start_state.rungs
    monkeypatch.setattr(CollapsedHMC, "step", lambda self, rng, rung: (rung, SimpleNamespace(acceptance=1.0)))
    monkeypatch.setattr(module.Tempering, "_swap_probability", lambda self, rung, lower, upper: 1.0)
    once, info = sampler.step(rng, start_state)
    assert [*map(id, once.rungs)] == [*map(id, (b, a, d, c))]
    assert once.replicas == (1, 0, 3, 2)
    assert np.isnan(info.swap).tolist() == [False, True, False]
    twice, info = sampler.step(rng, once)
    assert [*map(id, twice.rungs)] == [*map(id, (b, d, a, c))]
    assert twice.replicas == (1, 3, 0, 2)
    assert np.isnan(info.swap).tolist() == [True, False, True]
    monkeypatch.setattr(module.Tempering, "_swap_probability", lambda self, rung, lower, upper: 0.0)
    assert sampler.step(rng, twice)[0].replicas == twice.replicas


def test_two_states_are_swapped_with_the_ratio_of_their_likelihoods():
    """``N(y | 0, (vΦ + κ)/N)`` of one linear hidden time, at its two strengths, by hand."""
    lower, upper = ladder(of_strengths(small(), (0.4, 1.0)), 4)
    rng = np.random.default_rng(3)
    sampler = Tempering((lower, upper), 0.3, 1.5)
    state = sampler.init([net.prior_draw(rng, readout=False) for net in (lower, upper)])
    kernels = [float(np.vdot(phi, phi)) / 4 for phi in (activations(lower, rung.seen) for rung in state.rungs)]
    variance = [small().v * kernel + small().kappa for kernel in kernels]
    # the labels' squares differ by 0.6 · 2.5²; determinants and norms cancel
    gain = 0.5 * 4 * 0.6 * 2.5**2 * (1 / variance[1] - 1 / variance[0])
    for seen, sign in ((state.rungs, 1.0), (state.rungs[::-1], -1.0)):
        probability = sampler._swap_probability(0, seen[0].seen, seen[1].seen)
        assert probability == pytest.approx(min(1.0, np.exp(sign * gain)), rel=1e-9)


@pytest.mark.slow
def test_tempering_crosses_a_barrier_that_plain_chains_do_not():
    # T = 4, λ = 25: the two signs are 0.033 N apart in free energy, 4 kT at this width
    N, steps = 128, 200
    networks = ladder([endpoint(4, signal) for signal in (8.0, 10.5, 13.0, 16.0, 19.0, 22.0, 25.0)], N, "float32")
    rng = np.random.default_rng(2)
    weights = [start(rng, net, "coherent", readout=False) for net in networks]

    def sign(state: CollapsedState) -> float:
        phi = activations(networks[-1], state.seen)[:, :, 0]
        return float(np.sign(phi[-1] @ phi[-2]))

    tempering = Tempering(networks, 0.4, 1.5)
    ladder_state, signs = tempering.init(weights), []
    for _ in range(steps):
        ladder_state, _ = tempering.step(rng, ladder_state)
        signs.append(sign(ladder_state.rungs[-1]))
    plain = CollapsedHMC(networks[-1], 0.4, 1.5)
    state, own = plain.init(weights[-1]), []
    for _ in range(steps * len(networks)):  # as much work
        state, _ = plain.step(rng, state)
        own.append(sign(state))
    assert set(signs) == {-1.0, 1.0}
    assert np.sum(np.diff(signs) != 0) >= 6
    assert np.sum(np.diff(own) != 0) <= 2


def test_rungs_of_a_ladder_are_one_network_on_other_labels_noise_and_read_outs():
    problem = small()
    rungs = [problem.with_(y=2 * problem.y, kappa=1.0, v=2.0), problem]
    assert [net.problem for net in ladder(rungs, 4)] == rungs
    for other in (problem.with_(w=2.0), problem.with_(activation="erf"), problem.with_(x=2 * problem.x)):
        with pytest.raises(InputError, match="problems: differ in more than labels, kappa and v"):
            ladder([other, problem], 4)
    with pytest.raises(InputError, match="problems: are none"):
        ladder([], 4)


def test_a_run_of_replica_exchange_keeps_the_law_of_its_last_rung_and_repeats():
    networks = ladder(of_strengths(small(), (0.4, 1.0)), 4)

    def made(steps):
        rng = np.random.default_rng(5)
        weights = [net.prior_draw(rng, readout=False) for net in networks]
        return module.run(networks, weights, steps=steps, warmup=30, rng=rng)

    found = made(200)
    assert found.kernels.shape == (200, 1, 1)
    assert len(found.acceptance) == 2
    assert 0.1 < found.swaps < 1
    seen = summarise(found.kernels[None, :, 0, 0])
    assert abs(seen.mean - exact_kernel(networks[-1])) < 4 * seen.standard_error
    again = made(20)
    np.testing.assert_array_equal(again.kernels, found.kernels[:20])
    assert again.step_size == found.step_size
