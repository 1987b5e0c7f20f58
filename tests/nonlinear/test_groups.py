"""One neuron's law as a product over groups, each with a sample of its own; closed forms of Gaussian averages."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.activation import activation_of
from numerics.inputs.problem import Problem
from numerics.nonlinear import groups
from numerics.nonlinear.forward import gaussian_pairs, pair_averages
from numerics.nonlinear.groups import groups_of
from numerics.nonlinear.search import lowest_state
from numerics.nonlinear.space import trajectory_space
from theory.gaussian_averages import evaluate


def layers_of(activation, arch: str, P: int, T: int, size: float) -> Problem:
    rng = np.random.default_rng(P)
    y = np.full((P, T - 1), np.nan)
    y[:, -1] = size * rng.choice([-1.0, 1.0], P)
    return Problem(rng.standard_normal((P, P + 2)), y, activation=activation, arch=arch)


def test_groups_are_what_neither_weights_nor_labels_connect():
    def sizes(problem):
        return sorted(len(group.rows) for group in groups_of(trajectory_space(problem)))

    layers = layers_of("tanh", "dnn", 4, 6, 1.0)
    assert sizes(layers) == [4] * 5
    assert sizes(layers.with_(arch="rnn")) == [20]
    assert sizes(layers.with_(arch="looped:2")) == [8, 12]
    assert sizes(layers.with_(skip=0.5)) == [20]
    y = layers.y.copy()
    y[0, 1] = 1.0
    assert sizes(layers.with_(y=y)) == [4, 4, 4, 8]
    assert sizes(layers_of("tanh", "dnn", 3, 6, 1.0)) == [15]  # too few dimensions for a sample by itself


@pytest.mark.parametrize("name", ["erf", "relu", "linear"])
def test_closed_forms_are_the_integrals(name):
    phi, rng = activation_of(name), np.random.default_rng(0)
    a, b = rng.uniform(0.1, 5, (2, 6))
    c = np.sqrt(a * b) * rng.uniform(-1, 1, 6)
    exact = [float(evaluate(name, "average", pair, cross)) for *pair, cross in zip(a, b, c, strict=True)]
    np.testing.assert_allclose(gaussian_pairs(phi, a, b, c), exact, rtol=0, atol=1e-13)
    np.testing.assert_allclose(pair_averages(phi, a, b, c), exact, rtol=0, atol=1e-10)


def test_layers_by_themselves_are_their_quadrature(monkeypatch):
    """One pattern, two hidden times: each a group of one dimension on a sample, both together by quadrature."""
    monkeypatch.setattr(groups, "SMALLEST", 1)
    problem = layers_of("tanh", "dnn", 1, 3, 1.5)
    exact, state = (lowest_state(problem, engine=engine, tolerance=5e-3) for engine in ("quadrature", "sampling"))
    assert np.abs(state.kernel - exact.kernel).max() < 4 * state.kernel_error.max() < 0.02 * exact.kernel.max()
    assert state.free_energy == pytest.approx(exact.free_energy, abs=5 * state.free_energy_error)
