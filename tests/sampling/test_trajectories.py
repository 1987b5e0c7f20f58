"""Chains that start at given trajectories: weights that give them, from their exact law, and runs from there on."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.sampling import GaussianLaw, Plan, WeightedLaw, simulate
from numerics.sampling.chains import first_state, weights_of
from numerics.sampling.network import make_network
from numerics.sampling.trajectories import weights_given


def task(arch: str, activation: str = "linear") -> Problem:
    """Two patterns, inputs at two times, labels at two."""
    x = np.zeros((2, 3, 2))
    x[:, 0] = [[1.0, 0.3], [-0.2, 0.9]]
    x[:, 1] = [[0.5, 0.0], [0.1, -0.4]]
    y = np.full((2, 3), np.nan)
    y[:, 1:] = [[0.5, 1.0], [-1.0, 2.0]]
    return Problem(x, y, arch=arch, activation=activation, kappa=0.5, w=0.8, u=1.3)


def seen(network, weights):
    """Hidden states of weights, (N, nP)."""
    h = network.forward(network.connections(weights), weights.U).h
    return h.transpose(1, 0, 2).reshape(network.width, -1)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("activation", ["linear", "tanh", "relu"])
def test_the_weights_give_the_trajectories(arch, activation):
    network = make_network(task(arch, activation), 12, "float64")
    rng = np.random.default_rng(1)
    A = rng.standard_normal((6, 6))
    h = GaussianLaw(A @ A.T).draw(rng, 12)
    np.testing.assert_allclose(seen(network, weights_given(rng, network, h)), h, atol=1e-8)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_weights_given_their_own_trajectories_keep_the_prior(arch):
    """Prior weights, drawn anew given what they did, are prior weights again; every second moment is looked at."""
    network = make_network(task(arch, "tanh"), 6, "float64")
    rng = np.random.default_rng(2)
    flat = []
    for _ in range(4000):
        before = network.prior_draw(rng, readout=False)
        after = weights_given(rng, network, seen(network, before))
        # one neuron's incoming weights: those of different neurons are independent
        flat.append(np.concatenate([after.U[0], *(layer[0] for layer in after.W)]))
    draws = np.array(flat)
    z = (draws.T @ draws / len(draws) - np.eye(draws.shape[1])) * np.sqrt(len(draws))
    np.fill_diagonal(z, np.diagonal(z) / np.sqrt(2))
    assert np.abs(z).max() < 4.5
    assert np.abs(draws.mean(axis=0)).max() * np.sqrt(len(draws)) < 4.5


def test_dependent_inputs_are_no_obstacle_and_others_trajectories_are_refused():
    problem = Problem(np.array([[1.0, 0.5], [1.0, 0.5]]), np.array([[np.nan, 1.0]] * 2))
    network = make_network(problem, 8, "float64")
    rng = np.random.default_rng(3)
    same = np.repeat(rng.standard_normal((8, 2)), 2, axis=1)  # both patterns do the same
    np.testing.assert_allclose(seen(network, weights_given(rng, network, same)), same, atol=1e-8)
    with pytest.raises(InputError, match="trajectories: are not had by a network of width 8"):
        weights_given(rng, network, rng.standard_normal((8, 4)))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_what_the_weights_miss_is_judged_beside_the_trajectories_size(scale):
    """In single precision they miss a millionth; trajectories of no network are off by as much as they are large."""
    x = np.array([[1.0, 0.5], [1.0, 0.5]])
    network = make_network(Problem(x, np.array([[np.nan, 1.0]] * 2), u=scale**2), 8, "float32")
    rng = np.random.default_rng(3)
    same = scale * np.repeat(rng.standard_normal((8, 2)), 2, axis=1)
    missed = np.linalg.norm(seen(network, weights_given(rng, network, same)) - same)
    assert 0 < missed < 1e-4 * np.linalg.norm(same)
    with pytest.raises(InputError, match="trajectories: are not had by a network of width 8"):
        weights_given(rng, network, scale * rng.standard_normal((8, 4)))


def test_times_of_unlike_size_are_all_had():
    """States that shrink by 10^6 from one time to the next are no fewer: C is judged on unit diagonal."""
    network = make_network(endpoint(4, 1.0, w=1e-12), 8, "float64")
    rng = np.random.default_rng(4)
    h = rng.standard_normal((8, 3)) * [1.0, 1e-6, 1e-12]
    np.testing.assert_allclose(seen(network, weights_given(rng, network, h)), h, rtol=1e-6)


@pytest.mark.parametrize("sampler", ["collapsed", "hmc-weights", "sgld"])
def test_a_chain_starts_with_the_kernel_that_is_asked_for(sampler):
    kernel = np.array([[1.0, 0.8, 0.9], [0.8, 4.0, 3.0], [0.9, 3.0, 9.0]])
    plan = Plan(problem=endpoint(4, 9.0), width=256, sampler=sampler, law=GaussianLaw(kernel))
    network = plan.network()
    first = np.zeros((3, 3))
    for chain in range(4):
        h = seen(network, weights_of(network, first_state(plan, chain)))
        first += h.T @ h / (4 * 256)
    scale = np.sqrt(np.outer(np.diagonal(kernel), np.diagonal(kernel)))
    assert (np.abs(first - kernel) < 5 * scale / np.sqrt(4 * 256)).all()


def test_weighted_points_are_drawn_by_their_probability():
    law = WeightedLaw(np.array([[0.0], [1.0], [2.0]]), np.array([0.5, 0.2, 0.3]))
    counts = np.bincount(law.draw(np.random.default_rng(4), 20_000)[:, 0].astype(int)) / 20_000
    np.testing.assert_allclose(counts, law.probability, atol=0.012)


def test_a_run_is_resumed_and_one_from_elsewhere_is_refused(tmp_path):
    options = {"chains": 1, "steps": 60, "warmup": 40, "workers": 1, "seed": 3}
    law = GaussianLaw(np.diag([1.0, 4.0, 9.0]))
    whole = simulate(endpoint(4, 9.0), 16, law=law, **options)
    for _ in range(2):
        again = simulate(endpoint(4, 9.0), 16, law=law, checkpoint=tmp_path, **options)
        np.testing.assert_array_equal(again.kernels, whole.kernels)
    with pytest.raises(InputError, match="belongs to another run"):
        simulate(endpoint(4, 9.0), 16, law=GaussianLaw(np.eye(3)), checkpoint=tmp_path, **options)


def test_laws_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="law: has 2 entries; accepted: times × patterns, 3"):
        Plan(problem=endpoint(4, 9.0), width=16, law=GaussianLaw(np.eye(2)))
    with pytest.raises(InputError, match="init: is 'coherent' beside a law"):
        Plan(problem=endpoint(4, 9.0), width=16, init="coherent", law=GaussianLaw(np.eye(3)))
    with pytest.raises(InputError, match="law: its covariance is not symmetric"):
        GaussianLaw(np.array([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(InputError, match="law: its points are not finite"):
        WeightedLaw(np.zeros((3, 2)), np.array([0.5, 0.2, 0.2]))
