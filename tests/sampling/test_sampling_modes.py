"""Phases and barriers: replica exchange and sweeps of the labels' strength."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.problem import InputError, Problem, endpoint
from numerics.sampling import Tempering, hysteresis, ladder
from numerics.sampling import tempering as module
from numerics.sampling.collapsed import activations
from numerics.sampling.diagnostics import summarise
from numerics.sampling.network import Network

STRENGTHS = (0.0, 0.4, 1.0)


def small() -> Problem:
    """A single hidden time, whose law at every strength is an integral over one variable."""
    return Problem(np.ones((1, 1)), np.array([[2.5]]), v=1.3, u=0.7, kappa=0.3)


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
    networks = ladder(small(), 4, STRENGTHS, "float64")
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


def test_every_rung_keeps_its_law():
    assert worst_z(1000, 1) < 4.5


def test_swaps_that_ignore_the_labels_are_noticed(monkeypatch):
    monkeypatch.setattr(module.Tempering, "_swap_probability", lambda self, rung, lower, upper: 1.0)
    assert worst_z(800, 2) > 6


def test_sweeps_agree_far_from_the_transition():
    loop = hysteresis(endpoint(4, 1.0), 64, [1.0, 60.0], chains=2, steps=60, seed=4)
    assert (loop.up.basin[0] == 0).all()
    assert (loop.down.basin[0] == 0).all()
    assert (np.abs(loop.up.basin[1]) == 1).all()
    assert (np.abs(loop.down.basin[1]) == 1).all()
    error = np.hypot(loop.up.standard_error[1], loop.down.standard_error[1])
    assert (np.abs(np.abs(loop.up.order_parameter[1]) - np.abs(loop.down.order_parameter[1])) < 5 * error).all()
    again = hysteresis(endpoint(4, 1.0), 64, [1.0, 60.0], chains=2, steps=60, seed=4)
    assert np.array_equal(loop.up.order_parameter, again.up.order_parameter)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (([1.0],), "strengths: are not at least two increasing numbers"),
        (([2.0, 1.0],), "strengths: are not at least two increasing numbers"),
        (([-1.0, 1.0],), "strength: is -1.0; accepted: a finite number"),
    ],
)
def test_bad_input_is_one_line(arguments, line):
    for function in (lambda: hysteresis(endpoint(4, 1.0), 16, *arguments), lambda: ladder(small(), 4, *arguments)):
        with pytest.raises(InputError, match=line):
            function()
