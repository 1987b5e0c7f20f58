"""The network's derivatives, against finite differences and against motion written out in full."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.problem import Problem, endpoint
from numerics.sampling import hmc
from numerics.sampling.curvature import bias_terms, gauss_newton_gram
from numerics.sampling.network import Network, Weights, joint, make_network
from numerics.sampling.observables import observe
from numerics.sampling.readout import marginal, mean_outputs, sampled
from numerics.sampling.sgld import SGLD, Mobility, mobility

N = 5


#: Networks beyond RNN and DNN: M whose layers are used once, several times, in sums; skip, bias; several outputs.
BEYOND = {
    "shared": {"arch": "shared:0.5"},
    "looped": {"arch": "looped:2"},
    "tied": {"arch": [[1.0, 0.0, 1.2], [0.0, 0.5, 0.3], [1.2, 0.3, 1.7]]},
    "skip": {"arch": "rnn", "skip": 0.7},
    "bias": {"arch": "dnn", "bias": 0.5},
    "all": {"arch": "shared:0.4", "skip": 0.6, "bias": 0.5, "outputs": True},
}
NETWORKS = ("rnn", "dnn", *BEYOND)


def problem(arch: str, activation: str = "tanh", n: int = 4) -> Problem:
    """Two patterns, inputs at two times, an uneven set of supervised entries."""
    rng = np.random.default_rng(3)
    y = np.full((2, n), np.nan)
    y[0, n - 1], y[1, n - 1], y[1, min(1, n - 1)] = 0.7, -0.4, 1.1
    fields = dict(BEYOND.get(arch, {"arch": arch}))
    if fields.pop("outputs", False):  # two on one set, one on another
        y = np.stack([y, -2 * y, np.where(np.arange(n) == 2, 0.3, np.nan) * np.ones((2, 1))], axis=2)
    return Problem(
        rng.standard_normal((2, min(2, n), 3)), y, activation=activation, u=1.3, v=0.8, w=1.2, kappa=0.6, **fields
    )


def swish(h):
    return h / (1 + np.exp(-h))


def swish_slope(h):
    s = 1 / (1 + np.exp(-h))
    return s + h * s * (1 - s)


def network(arch: str, activation: str = "tanh", n: int = 4) -> Network:
    if activation == "own":
        swish_ = Activation.of(swish, derivative=swish_slope)
        return make_network(problem(arch, n=n).with_(activation=swish_), N, "float64")
    return make_network(problem(arch, activation, n), N, "float64")


def loss(net: Network, weights: Weights) -> float:
    """-log likelihood, from the definition, one neuron index at a time where it matters."""
    prob = net.problem
    U = weights.U[:, : prob.D] * np.sqrt(prob.u / prob.D)
    W = np.einsum("sk,kij->sij", net.sharing.matrix, weights.W) * np.sqrt(prob.w / N)
    hidden = []
    for t in range(prob.n):
        h = U @ prob.x[:, t].T
        if prob.bias:
            h = h + np.sqrt(prob.bias) * (weights.U[:, prob.D :] @ net.biases.matrix[t])[:, None]
        if t > 0:
            h = h + prob.skip * hidden[-1] + W[t - 1] @ net.phi.value(hidden[-1])
        hidden.append(h)
    total = 0.0
    for output, (at, labels) in enumerate(prob.targets):
        features = np.array([net.phi.value(h).T for h in hidden]).reshape(-1, N)[at]
        if weights.V is None:
            covariance = (prob.v * features @ features.T / N + prob.kappa * np.eye(len(features))) / N
            total += 0.5 * labels @ np.linalg.solve(covariance, labels) + 0.5 * np.linalg.slogdet(covariance)[1]
        else:
            f = features @ np.atleast_2d(weights.V)[output] * np.sqrt(prob.v) / N
            total += float(np.sum((f - labels) ** 2) / (2 * prob.kappa / N))
    return total


def gradients(net: Network, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    connections = net.connections(weights)
    activity = net.forward(connections, weights.U)
    found = marginal(net, activity.phi) if weights.V is None else sampled(net, activity.phi, weights.V)
    delta = net.backward(connections, activity, found.source)
    pairs = net.gradient_w(delta, activity.phi)
    w = np.array([a @ b.T for a, b in pairs]).reshape(weights.W.shape)
    return net.gradient_u(delta), w, found.gradient_v


def shifted(weights: Weights, name: str, index: tuple[int, ...], step: float) -> Weights:
    changed = getattr(weights, name).copy()
    changed[index] += step
    return replace(weights, **{name: changed})


def largest_gradient_error(net: Network, *, readout: bool) -> float:
    """Largest difference between back-propagation and central differences of the definition."""
    weights = net.prior_draw(np.random.default_rng(1), readout=readout)
    worst = 0.0
    for name, gradient in zip(("U", "W", "V"), gradients(net, weights), strict=True):
        if gradient is None:
            continue
        for index in itertools.product(*map(range, gradient.shape)):
            up, down = (loss(net, shifted(weights, name, index, step)) for step in (1e-5, -1e-5))
            worst = max(worst, abs((up - down) / 2e-5 - gradient[index]))
    return worst


@pytest.mark.parametrize("readout", [True, False])
@pytest.mark.parametrize("activation", ["linear", "erf", "tanh", "relu", "own"])
@pytest.mark.parametrize("arch", NETWORKS)
def test_gradient_is_that_of_the_definition(arch, activation, readout):
    assert largest_gradient_error(network(arch, activation), readout=readout) < 2e-8


@pytest.mark.parametrize("n", [1, 2])
def test_gradient_of_short_networks(n):
    assert largest_gradient_error(network("rnn", n=n), readout=True) < 2e-8


def test_without_input_at_first_the_network_is_silent_until_it_comes(monkeypatch):
    """Of a test pattern, whatever memory its activity is written to."""
    net = network("rnn")
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, np.nan, dtype))
    inputs = np.zeros((4, 3, 2))
    inputs[1] = np.random.default_rng(2).standard_normal((3, 2))
    weights = net.prior_draw(np.random.default_rng(1), readout=False)
    h = net.forward(net.connections(weights), weights.U, inputs).h
    assert (h[0] == 0).all()
    np.testing.assert_allclose(h[1], weights.U @ inputs[1] * np.sqrt(1.3 / 3), rtol=1e-12)
    assert np.abs(h[2]).max() > 0


def test_a_gradient_without_one_time_is_noticed(monkeypatch):
    whole = Network.gradient_w

    def without_last(self, delta, phi):
        return [(a[:, : -self.problem.P], b[:, : -self.problem.P]) for a, b in whole(self, delta, phi)]

    monkeypatch.setattr(Network, "gradient_w", without_last)
    assert largest_gradient_error(network("rnn"), readout=True) > 1e-3


@pytest.mark.parametrize("readout", [True, False])
def test_likelihood_value_up_to_a_constant(readout):
    net = network("rnn")
    values = []
    for seed in range(3):
        weights = net.prior_draw(np.random.default_rng(seed), readout=readout)
        phi = net.forward(net.connections(weights), weights.U).phi
        found = marginal(net, phi) if weights.V is None else sampled(net, phi, weights.V)
        values.append(found.value - loss(net, weights))
    assert np.ptp(values) < 1e-10


@pytest.mark.parametrize("arch", NETWORKS)
def test_gauss_newton_matrix_is_that_of_the_outputs_jacobian(arch):
    net = network(arch)
    relative = Mobility(0.5, 2.0, 3.0)
    weights = net.prior_draw(np.random.default_rng(4), readout=True)

    def outputs(at: Weights) -> np.ndarray:
        phi = net.forward(net.connections(at), at.U).phi
        rows = mean_outputs(net, phi, None, at.V).swapaxes(-1, -2).reshape(net.problem.outputs, -1)
        return np.concatenate([row[at] for row, (at, _) in zip(rows, net.problem.targets, strict=True)])

    rows = []
    for name, weight in (("U", relative.u), ("W", relative.w), ("V", relative.v)):
        for index in itertools.product(*map(range, getattr(weights, name).shape)):
            change = outputs(shifted(weights, name, index, 1e-5)) - outputs(shifted(weights, name, index, -1e-5))
            rows.append(np.sqrt(weight) * change / 2e-5)
    jacobian = np.array(rows)
    assert gauss_newton_gram(net, weights, relative) == pytest.approx(jacobian.T @ jacobian / net.K, rel=1e-6)


@pytest.mark.parametrize("arch", NETWORKS)
def test_bias_terms_are_directional_derivatives(arch):
    net = network(arch)
    relative = Mobility(0.5, 2.0, 3.0)
    weights = net.prior_draw(np.random.default_rng(5), readout=True)
    gradient = gradients(net, weights)
    parts = [(weights.U, relative.u), (weights.W, relative.w), (weights.V, relative.v)]
    velocity = [m * (0.25 * eta + 0.5 * g) for (eta, m), g in zip(parts, gradient, strict=True)]

    def kernel(step: float) -> np.ndarray:
        moved = [eta + step * v for (eta, _), v in zip(parts, velocity, strict=True)]
        return observe(net, Weights(*moved)).kernel

    terms = bias_terms(net, weights, relative)
    assert terms.local == pytest.approx((kernel(1e-5) - kernel(-1e-5)) / 2e-5, rel=1e-5, abs=1e-6)
    squared = sum(m * np.vdot(g, eta + g) for (eta, m), g in zip(parts, gradient, strict=True))
    assert terms.squared == pytest.approx(squared, rel=1e-10)


@pytest.mark.parametrize("readout", ["marginal", "sampled"])
@pytest.mark.parametrize("arch", NETWORKS)
def test_trajectory_is_the_one_with_matrices_written_out(arch, readout):
    net = network(arch)
    rng = np.random.default_rng(6)
    start, momentum = (net.prior_draw(rng, readout=readout == "sampled") for _ in range(2))
    steps, angle = 4, 0.2
    trajectory = hmc._Trajectory(net, start, momentum, steps)
    error = trajectory.run(angle, steps)

    names = [name for name in ("U", "W", "V") if getattr(start, name) is not None]
    q = [getattr(start, name) for name in names]
    p = [getattr(momentum, name) for name in names]

    def energy() -> float:
        at = Weights(*q, None) if len(q) == 2 else Weights(*q)
        return loss(net, at) + 0.5 * sum(float(np.vdot(part, part)) for part in (*q, *p))

    def kick(weight: float) -> None:
        at = Weights(*q, None) if len(q) == 2 else Weights(*q)
        for part, gradient in zip(p, gradients(net, at), strict=False):
            part -= weight * gradient

    p = [part.copy() for part in p]
    before = energy()
    kick(angle / 2)
    for step in range(steps):
        rotated = [np.cos(angle) * a + np.sin(angle) * b for a, b in zip(q, p, strict=True)]
        p = [np.cos(angle) * b - np.sin(angle) * a for a, b in zip(q, p, strict=True)]
        q = rotated
        kick(angle / 2 if step == steps - 1 else angle)
    after = trajectory.weights()
    for name, part in zip(names, q, strict=True):
        assert getattr(after, name) == pytest.approx(part, abs=1e-12)
    assert error == pytest.approx(energy() - before, abs=1e-10)


def test_energy_error_is_of_second_order():
    net = network("rnn")
    rng = np.random.default_rng(7)
    start, momentum = (net.prior_draw(rng, readout=False) for _ in range(2))
    errors = [hmc._Trajectory(net, start, momentum, steps).run(0.8 / steps, steps) for steps in (40, 80, 160)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.05)


def test_kernel_is_time_major():
    net = network("rnn")
    weights = net.prior_draw(np.random.default_rng(8), readout=True)
    phi = net.forward(net.connections(weights), weights.U).phi
    kernel = observe(net, weights).kernel
    for t, p, s, q in itertools.product(range(4), range(2), range(4), range(2)):
        assert kernel[2 * t + p, 2 * s + q] == pytest.approx(phi[t, :, p] @ phi[s, :, q] / N)
    assert joint(phi).shape == (8, N)


def test_identity_preconditioner_is_the_posters_dynamics():
    net = network("rnn")
    relative = mobility(net, "identity")
    K = net.problem.kappa / N
    assert relative.w == pytest.approx(K / (net.problem.w / N))
    assert relative.v == pytest.approx(K / (net.problem.v / N**2))
    assert relative.u == pytest.approx(K / (net.problem.u / net.problem.D))


@pytest.mark.parametrize("width", [0, -3, 2.5, True])
def test_width_is_checked(width):
    with pytest.raises(InputError, match=r"width: is .* accepted: an integer ≥ 1"):
        make_network(endpoint(4, 1.0), width, "float64")


@pytest.mark.parametrize("arch", NETWORKS)
@pytest.mark.parametrize("step_size", [0.02, 1.0, 1.7])  # beyond 1 the decay changes the weights' sign
def test_langevin_drift_is_gradient_descent(arch, step_size, monkeypatch):
    # without noise, and against gradients written out; enough steps for the outer products to be added several times
    for module in ("sgld", "updated"):
        monkeypatch.setattr(f"numerics.sampling.{module}.fill_normal", lambda rng, out, sd=1.0: out.fill(0))
    rng = np.random.default_rng(1)
    net = make_network(problem(arch).with_(y=0.1 * problem(arch).y, kappa=40.0), 7, "float64")
    weights = net.prior_draw(rng, readout=True)
    sampler = SGLD(net, step_size, mobility(net, "prior"))
    state = sampler.init(rng, weights)
    for _ in range(9):
        state, _ = sampler.step(rng, state, state.W.dense.copy())
        connections = net.connections(weights)
        activity = net.forward(connections, weights.U)
        likelihood = sampled(net, activity.phi, weights.V)
        delta = net.backward(connections, activity, likelihood.source)
        by_w = np.array([a @ b.T for a, b in net.gradient_w(delta, activity.phi)])
        parts = ((weights.U, net.gradient_u(delta)), (weights.W, by_w), (weights.V, likelihood.gradient_v))
        weights = Weights(*(eta - step_size * (eta + gradient) for eta, gradient in parts))
        for name in ("U", "W", "V"):
            assert getattr(state.weights, name) == pytest.approx(getattr(weights, name), rel=1e-9, abs=1e-12)
