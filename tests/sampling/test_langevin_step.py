"""One step of Langevin dynamics, group by group: its drift and its noise, for any mobility and either integrator."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.problem import Problem
from numerics.sampling.network import Weights, make_network
from numerics.sampling.sgld import SGLD, Mobility

MOBILITY = Mobility(0.4, 3.0, 7.0)
PROBLEM = Problem(np.array([[1.0, 0.5], [0.3, -1.2]]), [[np.nan, 0.7], [1.3, -0.4]], kappa=0.8, activation="tanh")


def potential(net, u, w, v):
    """``½|η|² + L̂`` of whitened weights, from the network's equations."""
    problem, N = net.problem, net.width
    U = np.sqrt(problem.u / problem.D) * u
    W, V = np.sqrt(problem.w / N) * w, np.sqrt(problem.v) / N * v
    h, loss = U @ problem.x[:, 0].T, 0.0
    for t in range(problem.n):
        h = W @ np.tanh(h) if t else h
        error = V @ np.tanh(h) - problem.y[:, t]
        loss += np.nansum(error**2) * N / (2 * problem.kappa)
    return 0.5 * (np.sum(u**2) + np.sum(w**2) + np.sum(v**2)) + loss


@pytest.mark.parametrize("integrator", ["euler", "leimkuhler-matthews"])
def test_drift_and_noise_of_a_step(integrator):
    """``-h m ∂(½|η|² + L̂)`` along random directions of each group, and a variance of 2hm (half of it, where this
    step's noise is averaged with the last one's)."""
    net, h, rng = make_network(PROBLEM, 6, "float64"), 2e-2, np.random.default_rng(1)
    start = net.prior_draw(rng, readout=True)
    parts = {"u": start.U, "w": start.W[0], "v": start.V}
    drift = {}
    for name, part in parts.items():
        gradient = np.zeros_like(part)
        for place in np.ndindex(part.shape):
            shift = np.zeros_like(part)
            shift[place] = 1e-5
            above, below = (potential(net, **{**parts, name: part + s * shift}) for s in (1, -1))
            gradient[place] = (above - below) / 2e-5
        drift[name] = -h * getattr(MOBILITY, name) * gradient
    sampler = SGLD(net, h, MOBILITY, integrator)
    changes = {name: [] for name in parts}
    for _ in range(3000):
        state, info = sampler.step(rng, sampler.init(rng, start))
        weights = state.complete(rng).weights
        for name, moved in (("u", weights.U), ("w", weights.W[0]), ("v", weights.V)):
            changes[name].append(moved - parts[name])
    share = 1.0 if integrator == "euler" else 0.5
    for name in parts:
        moved, variance = np.array(changes[name]), 2 * h * getattr(MOBILITY, name) * share
        z = (moved.mean(axis=0) - drift[name]) / np.sqrt(variance / len(moved))
        assert np.abs(z).max() < 4.5
        assert np.abs(drift[name]).max() > 5 * np.sqrt(variance / len(moved))  # a wrong drift is seen
        assert moved.var(axis=0).mean() == pytest.approx(variance, rel=0.05)
    loss = potential(net, **parts) - 0.5 * sum(np.sum(part**2) for part in parts.values())
    assert info.loss == pytest.approx(loss, rel=1e-9)


def test_noise_that_is_averaged_over_two_steps_is_used_twice():
    """Leimkuhler and Matthews: successive changes share half of their noise, so that they are correlated by ½."""
    free = Problem(np.array([[1.0, 0.5]]), [[np.nan, 0.0]], kappa=1e9)
    net, rng = make_network(free, 40, "float64"), np.random.default_rng(2)
    sampler = SGLD(net, 1e-4, Mobility(1.0, 2.0, 3.0), "leimkuhler-matthews")
    states = [sampler.init(rng, net.prior_draw(rng, readout=True))]
    for _ in range(60):
        states.append(sampler.step(rng, states[-1])[0])
    for name, relative in (("U", 1.0), ("W", 2.0), ("V", 3.0)):
        series = np.array([getattr(state.weights, name).ravel() for state in states])
        steps = np.diff(series, axis=0) / np.sqrt(2e-4 * relative)
        assert steps.var() == pytest.approx(0.5, rel=0.08)
        assert (steps[1:] * steps[:-1]).mean() / steps.var() == pytest.approx(0.5, abs=0.08)
        assert abs((steps[2:] * steps[:-2]).mean()) < 0.05
    assert isinstance(states[-1].weights, Weights)
