"""What a simulation says of its draws, on planted draws; starts. No chain is run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.sampling import Simulation
from numerics.sampling.collapsed import CollapsedHMC, activations, potential
from numerics.sampling.controls import (
    controlled,
    controls,
    number_of_columns,
    states_of_columns,
    triples,
    turned_variates,
)
from numerics.sampling.diagnostics import summarise
from numerics.sampling.draws import Spectrum
from numerics.sampling.network import make_network
from numerics.sampling.starts import _plant, start

nan = np.nan
CHAINS, DRAWS = 2, 30


def planted(problem, *, width=100, kernels=None, spectra=(), test=0, seed=0):
    """Draws of a Wishart law, or given kernels."""
    rng = np.random.default_rng(seed)
    size = problem.n * problem.P
    if kernels is None:
        rows = rng.standard_normal((CHAINS, DRAWS, 50, size))
        kernels = np.swapaxes(rows, -1, -2) @ rows / 50
    return Simulation(
        problem=problem,
        width=width,
        sampler="collapsed",
        seed=seed,
        odd_activation=True,
        kernels=kernels,
        outputs=rng.standard_normal((*kernels.shape[:2], problem.P + test, problem.n)),
        spectra=tuple(spectra),
        acceptance=0.8,
        step_size=(0.1,) * len(kernels),
        bias_local=None,
        bias_squared=None,
        controls=None,
        seconds=1.5,
    )


def test_energies_are_those_of_the_labels_normal_law():
    """``L/N`` of every draw, from the log density of y under ``N(0, (vΦ + κ)/N)``."""
    x = np.random.default_rng(1).standard_normal((2, 3))
    problem = Problem(x, [[nan, 1.5, -1.0], [nan, nan, 0.5]], v=1.3, kappa=0.4)
    run = planted(problem)
    at, y = problem.supervised, problem.labels
    for chain, draw in ((0, 0), (1, 7)):
        covariance = (1.3 * run.kernels[chain, draw][np.ix_(at, at)] + 0.4 * np.eye(3)) / 100
        minus_log = 0.5 * y @ np.linalg.solve(covariance, y) + 0.5 * np.linalg.slogdet(covariance * 100)[1]
        assert run.energies[chain, draw] == pytest.approx(minus_log / 100, rel=1e-12)


def test_the_bulk_has_the_eigenvalues_within_its_edge_and_the_outliers_the_others():
    """Edge 1 + 2/√100 = 1.2. Draws with the most common number of outliers count, each in its draw's sign."""
    problem = endpoint(4, 5.0)
    kernels = np.broadcast_to(np.eye(3) + 0.5 * (np.eye(3, k=1) + np.eye(3, k=-1)), (2, 4, 3, 3)).copy()
    kernels[1, 2] *= (-1.0) ** np.add.outer(np.arange(3), np.arange(3))
    values = [np.array([1.5 + 0j, 1.1, 0.3j]), np.array([-1.7 + 0j, 0.9, -0.2j]), np.array([1.19 + 0j, 0.4, 0.1])]
    spectra = [
        Spectrum(0, 1, values[0]),
        Spectrum(1, 2, values[1]),
        Spectrum(1, 3, values[2]),
        Spectrum(0, 3, values[0]),
    ]
    run = planted(problem, kernels=kernels, spectra=spectra)
    np.testing.assert_allclose(run.bulk, sorted([1.1, 0.3, 0.9, 0.2, 1.19, 0.4, 0.1, 1.1, 0.3]))
    np.testing.assert_allclose(run.outliers, [(1.5 + 1.7 + 1.5) / 3])
    np.testing.assert_array_equal(run.basins, [[1, 1, 1, 1], [1, 1, -1, 1]])
    assert run.sign_flips == (0, 2)
    assert planted(endpoint(4, 5.0, arch="dnn")).bulk is None
    assert planted(problem, width=513, kernels=kernels, spectra=spectra).bulk is None
    assert planted(endpoint(4, 5.0, arch="dnn")).outliers is None
    assert planted(problem).outliers is None
    single = planted(Problem([[1.0]], [[1.0]]))  # without an order parameter
    np.testing.assert_array_equal(single.basins, np.ones((CHAINS, DRAWS)))
    assert single.outliers is None


def test_a_fixed_gauge_turns_the_draws_of_negative_order_parameter():
    problem = endpoint(4, 5.0)
    run = planted(problem, spectra=[Spectrum(0, k, np.array([2.0 + 0j])) for k in range(DRAWS)], seed=3)
    flip = (-1.0) ** np.add.outer(np.arange(3), np.arange(3))
    signs = np.where(run.kernels[..., 2, 1] < 0, -1.0, 1.0)
    assert 5 < (signs < 0).sum() < 55
    turned = run.gauge_fixed()
    np.testing.assert_array_equal(turned.kernels, np.where(signs[..., None, None] < 0, flip * run.kernels, run.kernels))
    assert (turned.kernels[..., 2, 1] >= 0).all()
    # T = 4: f^2 and f^4 keep their sign if V is turned with W, f^3 does not
    ratio = turned.outputs / run.outputs
    np.testing.assert_allclose(np.abs(ratio), 1.0)
    for chain, draw in np.ndindex(signs.shape):
        pattern = ratio[chain, draw, 0]
        expected = [1, 1, 1] if signs[chain, draw] > 0 else pattern[2] * np.array([1, -1, 1])
        np.testing.assert_array_equal(pattern, expected)
    for item in turned.spectra:
        np.testing.assert_array_equal(item.values, 2.0 * signs[item.chain, item.draw])


def test_predictions_are_those_of_the_patterns_then_of_the_test_patterns():
    problem = Problem([[1.0], [2.0]], [[nan, 1.0], [nan, 2.0]], x_test=[[3.0], [4.0], [5.0]])
    run = planted(problem, test=3)
    mean = run.outputs.mean(axis=(0, 1))
    np.testing.assert_allclose(run.prediction, mean[:2])
    np.testing.assert_allclose(run.test_prediction, mean[2:])
    error = run.outputs.std(axis=(0, 1)) / np.sqrt(CHAINS * DRAWS)
    np.testing.assert_allclose(run.prediction_standard_error, error[:2], rtol=0.6)
    np.testing.assert_allclose(run.test_prediction_standard_error, error[2:], rtol=0.6)
    assert planted(endpoint(3, 1.0)).test_prediction is None
    assert planted(endpoint(3, 1.0)).test_prediction_standard_error is None


def test_slopes_of_control_variates_are_fitted_to_the_other_chains():
    rng = np.random.default_rng(0)
    v = rng.standard_normal((2, 40))
    v -= v.mean(axis=1, keepdims=True)
    constant = np.ones((2, 40))
    variates = np.stack([v, constant], axis=-1)  # one that does not move is left out
    exact = summarise(controlled(2.0 + 3.0 * v, variates))
    assert float(exact.mean) == pytest.approx(2.0, rel=1e-12)
    assert float(exact.standard_error) == pytest.approx(0.0, abs=1e-12)
    # chain 0 has the slope 3, chain 1 the slope -1: on each the other's is used, which leaves ±4 v
    rest = controlled(2.0 + np.array([[3.0], [-1.0]]) * v, variates)
    assert rest.std() == pytest.approx(4 * v.std(), rel=0.05)
    single = controlled((2.0 + 3.0 * v)[:1], variates[:1])
    assert single.mean() == pytest.approx(2.0, rel=1e-12)
    halves = controlled(2.0 + np.where(np.arange(40) < 20, 3.0, -1.0) * v[:1], variates[:1])
    assert halves.std() == pytest.approx(4 * v[0].std(), rel=0.05)
    many = rng.standard_normal((2, 40, 9))
    with pytest.raises(InputError, match="draws: are 80; accepted: at least ten for each of 9 variates"):
        controlled(v, many)
    controlled(v, many[..., :8])


def test_a_simulation_as_arviz_keeps_it():
    pytest.importorskip("arviz_base")
    problem = Problem([[1.0], [2.0]], [[nan, 1.0], [nan, 2.0]], kappa=0.3, x_test=[[3.0]])
    run = planted(problem, test=1)
    tree = run.to_arviz()
    posterior = tree["posterior"]
    assert posterior["kernel"].dims == ("chain", "draw", "row", "column")
    assert posterior["output"].dims == ("chain", "draw", "pattern", "time")
    np.testing.assert_array_equal(posterior["kernel"], run.kernels)
    np.testing.assert_array_equal(posterior["basin"], run.basins)
    np.testing.assert_array_equal(posterior["time"], [1, 2])
    np.testing.assert_array_equal(np.ravel(tree["constant_data"]["x_test"]), [3.0, 0.0][: problem.x_test.size])
    expected = {"width": 100, "sampler": "collapsed", "seconds": 1.5, "arch": "rnn", "kappa": 0.3, "acceptance": 0.8}
    assert {name: tree.attrs[name] for name in expected} == expected
    assert tree.attrs["activation"] == "linear"
    assert list(tree.attrs["step_size"]) == [0.1, 0.1]


@pytest.mark.parametrize("arch", ["rnn", "dnn", "shared:0.5", "looped:2"])
@pytest.mark.parametrize(("kind", "sign"), [("coherent", 1.0), ("coherent-negative", -1.0), ("incoherent", None)])
def test_what_is_planted_carries_a_pattern_on_with_twice_the_bulks_radius(arch, kind, sign):
    """Coherent: along its own direction at every step. Incoherent: to new directions, all orthogonal."""
    network = make_network(endpoint(5, 1.0, w=0.8, arch=arch), 60, "float64")
    rng = np.random.default_rng(0)
    weights = network.prior_draw(rng, readout=False)
    first = network.forward(network.connections(weights), weights.U).phi[0][:, 0]
    here = first / np.linalg.norm(first)
    planted_layers = _plant(rng, network, weights, kind)
    assert planted_layers.shape == weights.W.shape
    visited = [here]
    for step in range(network.problem.n - 1):
        matrix = sum(coefficient * planted_layers[layer] for layer, coefficient in network.sharing.uses[step])
        there = network.scale_w * matrix @ here
        if sign is None:
            there /= 2 * np.sqrt(0.8)
            assert np.linalg.norm(there) == pytest.approx(1.0, rel=1e-6)
            assert max(abs(there @ before) for before in visited) < 1e-6
            visited.append(there)
            here = there
        else:
            np.testing.assert_allclose(there, sign * 2 * np.sqrt(0.8) * here, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"activation": "tanh", "arch": "shared:0.5"}, {"activation": "erf", "skip": 0.3}]
)
def test_control_variates_are_those_of_the_columns_of_weights_and_activities(options):
    """``c_fj = Σ_i [∂f/∂x_j - f (X_ij + ∂L/∂X_ij)]``, entry by entry, with slopes of f by differences."""
    problem = Problem([[0.6, -0.3], [0.2, 0.9]], [[np.nan, np.nan, 1.0], [np.nan, 0.5, np.nan]], kappa=0.5, **options)
    network = make_network(problem, 9, "float64")
    rng = np.random.default_rng(0)
    seen = CollapsedHMC(network, 0.1, 1.0).init(start(rng, network, "prior", readout=False)).seen
    X = seen.X.T
    phi = activations(network, seen).transpose(0, 2, 1).reshape(6, -1)
    B = states_of_columns(network, phi @ phi.T / 9)
    np.testing.assert_allclose(network.phi.value(X @ B.T).T, phi, atol=1e-6)  # h itself, of this draw's own kernel

    def functions(row):
        activity = network.phi.value(row @ B.T)
        return np.concatenate([row, activity, activity[triples(6)].prod(axis=1)])

    count = len(functions(X[0])) if options else X.shape[1]
    found = controls(network, seen, B, count)
    assert found.shape == (count, number_of_columns(network)) == (count, X.shape[1])
    S = potential(network, seen)[1].T
    values = np.array([functions(row)[:count] for row in X])
    for j in range(found.shape[1]):
        step = 1e-5 * np.eye(X.shape[1])[j]
        slopes = np.sum([functions(row + step) - functions(row - step) for row in X], axis=0)[:count] / 2e-5
        np.testing.assert_allclose(found[:, j], slopes - values.T @ (X[:, j] + S[:, j]), atol=1e-7)


@pytest.mark.parametrize("arch", ["rnn", "shared:0.5", "looped:2"])
def test_variates_of_a_chain_are_turned_as_its_weights_are(arch):
    """As W → -W turns them; in a chain that changes sides, what is even in the weights stays."""
    problem = endpoint(4, 9.0, activation="tanh", arch=arch)
    signs = (-1.0) ** np.arange(3)
    network = make_network(problem, 9, "float64")
    rng = np.random.default_rng(3)
    seen = CollapsedHMC(network, 0.1, 1.0).init(start(rng, network, "prior", readout=False)).seen
    image = replace(seen, X=seen.X * np.array([1, *signs[1:]])[:, None])
    phi, other = (activations(network, each).transpose(0, 2, 1).reshape(3, -1) for each in (seen, image))
    np.testing.assert_allclose(other, signs[:, None] * phi, atol=1e-9)
    own, turned_own = (
        controls(network, each, states_of_columns(network, act @ act.T / 9), 16)
        for each, act in ((seen, phi), (image, other))
    )
    series = np.stack([own, turned_own])[:, None] * np.ones((1, 4, 1, 1))
    where = np.array([[False] * 4, [True] * 4])
    np.testing.assert_allclose(turned_variates(problem, series, where, signs), own * np.ones((2, 4, 1, 1)), atol=1e-7)
    where[0, 1] = True
    left = turned_variates(problem, series, where, signs)
    assert not left[:, :, 3:].any()
    assert not left[:, :, 0, 1].any()
    np.testing.assert_allclose(left[:, :, 0, 0], own[0, 0] * np.ones((2, 4)), atol=1e-9)
    assert turned_variates(problem.with_(bias=0.1), series, where, signs) is None
