"""Combinations of control variates that a state's neuron tells: means of zero, and the noise that they take out."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve
from numerics.checking import variates
from numerics.inputs.problem import endpoint
from numerics.nonlinear.trajectories import state_average
from numerics.sampling.collapsed import look, potential
from numerics.sampling.controls import controls, stages, states_of_columns
from numerics.sampling.network import make_network


def neurons(state, B, count=1 << 14):
    """Variates of single neurons, flat, with their activities and weights."""
    at = state_average(state, count=count, seed=1)
    h = at.space.classes.expand_rows(at.nodes.points @ at.space.embedding.T)
    found = variates.of_neurons(state, B, h @ np.linalg.pinv(B).T, h)
    return found.reshape(len(h), -1), state.problem.activation.value(h), at.point.average.probability


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_a_neuron_s_variates_have_mean_zero_and_their_combinations_are_its_products(activation):
    """Of points that the slopes were not fitted to, most of the variance of each product is explained."""
    state = solve(endpoint(4, 20.0, activation=activation))
    B = states_of_columns(make_network(state.problem, 128, "float64"), state.kernel)
    found, phi, p = neurons(state, B)
    error = np.sqrt((p**2) @ found**2)
    assert np.abs((p @ found) / error).max() < 5
    rows, d = B.shape
    slopes = variates.combinations(state, 128)
    combined = found[:, stages(d, rows)[1] * d :] @ slopes
    a, b = np.triu_indices(rows)
    products = phi[:, a] * phi[:, b] - state.kernel[a, b]
    alone = found[:, : stages(d, rows)[1] * d]
    root = np.sqrt(p)[:, None]

    def left(design):
        rest = products - design @ np.linalg.lstsq(root * design, root * products, rcond=None)[0]
        return p @ rest**2 / (p @ products**2)

    assert (left(np.concatenate([alone, combined], axis=1)) < 0.8 * left(alone)).all()


def test_variates_of_neurons_sum_to_those_of_their_network():
    """With the slope of the network's own L in place of the state's."""
    problem = endpoint(4, 5.0, activation="tanh", arch="shared:0.5")
    state = solve(problem)
    network = make_network(problem, 64, "float64")
    seen = look(network, network.prior_draw(np.random.Generator(np.random.SFC64(1)), readout=False))
    B = states_of_columns(network, state.kernel)
    X, S = seen.X.T, potential(network, seen)[1].T
    rows, d = B.shape
    count = stages(d, rows)[2]
    found = variates.of_neurons(state, B, X, X @ B.T)
    own = -2 * (problem.activation.derivative(X @ B.T) * (problem.activation.value(X @ B.T) @ state.conjugate)) @ B
    phi = problem.activation.value(X @ B.T)
    functions = np.concatenate([X, phi, phi[:, variates.triples(rows)].prod(axis=2)], axis=1)
    moved = found.sum(axis=0) - functions.T @ (S - own)
    np.testing.assert_allclose(moved, controls(network, seen, B, count), rtol=1e-9, atol=1e-9 * np.abs(moved).max())
