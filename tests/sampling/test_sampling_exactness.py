"""The samplers' stationary law, against laws that are known without sampling; and that wrong samplers are noticed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import chi2

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.sampling import collapsed, hmc, readout
from numerics.sampling.collapsed import CollapsedHMC, write_out
from numerics.sampling.diagnostics import summarise
from numerics.sampling.hmc import HMC
from numerics.sampling.network import Network, Weights, make_network
from numerics.sampling.observables import observe
from numerics.sampling.readout import Likelihood, marginal
from numerics.sampling.sgld import SGLD, mobility

Z_LIMIT = 4.5
KINDS = ("hmc-marginal", "hmc-sampled", "collapsed", "sgld")
#: One sampler in the fast tests, the others in the slow ones.
MOSTLY_SLOW = ("hmc-marginal", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:]))


def tiny(arch: str = "rnn", activation: str = "tanh") -> Problem:
    """Three hidden times, one pattern, two of the outputs supervised."""
    y = np.array([[1.4, np.nan, -2.2]])
    return Problem(np.array([[1.4]]), y, arch=arch, activation=activation, u=1.2, v=0.9, w=1.1, kappa=0.8)


def one_time(patterns: int = 1) -> Problem:
    """A single hidden time."""
    return Problem(np.sqrt(patterns) * np.eye(patterns), np.full((patterns, 1), 1.5), v=1.3, u=0.7, kappa=0.5)


def run(net: Network, kind: str, steps: int, seed: int, *, chains: int = 2) -> np.ndarray:
    """Series of (kernel diagonal, neighbouring kernel entry, mean output), (chains, draws, k)."""
    series = []
    for chain in range(chains):
        rng = np.random.default_rng([seed, chain])
        if kind.startswith("hmc"):
            readout = kind.removeprefix("hmc-")
            sampler = HMC(net, 0.35, 1.4, readout)
            state = sampler.init(net.prior_draw(rng, readout=readout == "sampled"))
            every = 1
        elif kind == "collapsed":
            sampler = CollapsedHMC(net, 0.35, 1.4)
            state = sampler.init(net.prior_draw(rng, readout=False))
            every = 1
        else:
            sampler = SGLD(net, 0.02, mobility(net, "prior"), "leimkuhler-matthews")
            state = sampler.init(rng, net.prior_draw(rng, readout=True))
            every = 8
        values = []
        for step in range(steps * every):
            state, _ = sampler.step(rng, state)
            if step >= steps * every // 10 and step % every == 0:
                weights = write_out(rng, net, state.seen) if kind == "collapsed" else state.weights
                seen = observe(net, weights)
                values.append(moments(seen.kernel, seen.outputs[0]))
        series.append(values)
    return np.array(series)


def moments(kernel: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Kernel diagonal, its roots, squared overlaps of neighbouring times, outputs."""
    diagonal = np.diag(kernel)
    return np.concatenate([diagonal, np.sqrt(diagonal), overlaps(kernel), outputs])


def overlaps(kernel: np.ndarray) -> np.ndarray:
    """``Φ^{t,t+1}²/(Φ^{tt} Φ^{t+1,t+1})``, (…, n-1); 0 for silent times."""
    diagonal = np.diagonal(kernel, axis1=-2, axis2=-1)
    beside = np.diagonal(kernel, 1, axis1=-2, axis2=-1)
    return beside**2 / np.maximum(diagonal[..., 1:] * diagonal[..., :-1], 1e-200)


def by_quadrature(nodes: int) -> np.ndarray:
    """Posterior means of `moments` for `linear_pair`, width 2, by deterministic integration over (|U|, W_11,
    W_21).

    A rotation of the neurons takes U to (ρ, 0), ρ² ~ χ²_2, and the linear h^2 = W h^1 then sees the first
    column of W only.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    legendre, steps = np.polynomial.legendre.leggauss(nodes)
    grid = np.meshgrid(4 * (legendre + 1), points, points, indexing="ij")
    radius, a, b = (axis.ravel() for axis in grid)
    measure = np.einsum("i,j,k->ijk", steps, weights, weights).ravel() * radius * np.exp(-(radius**2) / 2)
    U = np.stack([radius, 0 * radius], axis=1)
    W = np.zeros((len(radius), 1, 2, 2))
    W[:, 0, 0, 0], W[:, 0, 1, 0] = a, b
    return weighted_moments(linear_pair(), 2, U, W, np.log(measure))[0]


def linear_pair() -> Problem:
    """Two hidden times, linear, both outputs supervised."""
    return Problem(np.array([[1.4]]), np.array([[0.9, -1.2]]), u=1.2, v=0.9, w=1.1, kappa=0.8)


def by_importance(problem: Problem, N: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of `moments` and their standard errors, from prior draws weighted by the likelihood."""
    rng = np.random.default_rng(99)
    layers = 1 if problem.arch == "rnn" else problem.n - 1
    U, W = rng.standard_normal((draws, N)), rng.standard_normal((draws, layers, N, N))
    return weighted_moments(problem, N, U, W, np.zeros(draws))


def weighted_moments(
    problem: Problem, N: int, U: np.ndarray, W: np.ndarray, log_weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    function: Callable = {"tanh": np.tanh, "linear": lambda h: h, "relu": lambda h: h * (h > 0)}[
        problem.activation.name
    ]
    h = math.sqrt(problem.u) * problem.x[0, 0, 0] * U
    times = [function(h)]
    for t in range(problem.n - 1):
        layer = 0 if problem.arch == "rnn" else t
        h = np.einsum("kij,kj->ki", W[:, layer], times[-1]) * math.sqrt(problem.w / N)
        times.append(function(h))
    phi = np.stack(times, axis=1)
    kernel = np.einsum("kti,ksi->kts", phi, phi) / N
    at = problem.supervised
    covariance = problem.v * kernel[:, at][:, :, at] + problem.kappa * np.eye(len(at))
    solved = np.linalg.solve(covariance, np.broadcast_to(problem.labels[:, None], (len(kernel), len(at), 1)))[..., 0]
    outputs = problem.v * np.einsum("kts,ks->kt", kernel[:, :, at], solved)
    logs = log_weight - 0.5 * N * solved @ problem.labels - 0.5 * np.linalg.slogdet(covariance)[1]
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    diagonal = np.einsum("ktt->kt", kernel)
    values = np.concatenate([diagonal, np.sqrt(diagonal), overlaps(kernel), outputs], axis=1)
    mean = weight @ values
    return mean, np.sqrt(weight**2 @ (values - mean) ** 2)


def worst_z(series: np.ndarray, mean: np.ndarray, error: np.ndarray | float = 0.0) -> float:
    """Largest difference from the known mean, over its standard error."""
    seen = summarise(series)
    return float(np.max(np.abs(seen.mean - mean) / np.sqrt(seen.standard_error**2 + np.square(error) + 1e-30)))


@pytest.fixture(scope="module")
def tiny_truth() -> tuple[np.ndarray, np.ndarray]:
    return by_importance(tiny(), 2, 500_000)


def test_two_ways_of_integrating_the_posterior_agree():
    coarse, fine = by_quadrature(60), by_quadrature(70)
    assert coarse == pytest.approx(fine, abs=2e-4)
    mean, error = by_importance(linear_pair(), 2, 200_000)
    assert np.max(np.abs(mean - fine) / error) < Z_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tiny_linear_network_against_quadrature(kind):
    assert worst_z(run(make_network(linear_pair(), 2, "float64"), kind, 500, 14), by_quadrature(60)) < Z_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tiny_network_against_importance_sampling(kind, tiny_truth):
    series = run(make_network(tiny(), 2, "float64"), kind, 600, 11)
    assert worst_z(series, *tiny_truth) < Z_LIMIT
    assert np.max(summarise(series).rhat) < 1.2  # chains that stay where they start disagree, and have large errors


@cache
def wider_truth(arch: str, activation: str) -> tuple[np.ndarray, np.ndarray]:
    return by_importance(tiny(arch, activation), 3, 500_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    (
        "kind",
        "arch",
        "activation",
    ),  # ReLU is too narrow for the collapsed one: test_collapsed_refuses_what_it_cannot_do
    [
        ("hmc-marginal", "dnn", "tanh"),
        ("hmc-sampled", "rnn", "relu"),
        ("collapsed", "dnn", "linear"),
        ("collapsed", "dnn", "tanh"),
        ("sgld", "rnn", "relu"),
    ],
)
def test_wider_networks_against_importance_sampling(kind, arch, activation):
    problem = tiny(arch, activation)
    mean, error = wider_truth(arch, activation)
    series = run(make_network(problem, 3, "float64"), kind, 2000, 12)  # planted faults are seen after 800
    assert worst_z(series, mean, error) < Z_LIMIT


def wrong_temperature(monkeypatch):
    monkeypatch.setattr(Network, "K", property(lambda self: 2 * self.problem.kappa / self.width))


def wrong_prior_scale(monkeypatch):
    monkeypatch.setattr(Network, "scale_w", property(lambda self: math.sqrt(2 * self.problem.w / self.width)))


def missing_time(monkeypatch):
    whole = Network.gradient_w

    def last_only(self, delta, phi):
        P = self.problem.P
        return [(np.concatenate([0 * a[:, :-P], a[:, -P:]], axis=1), b) for a, b in whole(self, delta, phi)]

    monkeypatch.setattr(Network, "gradient_w", last_only)


def missing_factor(monkeypatch):
    """The collapsed network with the rows of L multiplied by a constant: the scale of W under its prior."""
    whole = collapsed._extend

    def scaled(net, factor, phi, time):
        whole(net, factor, phi, time)
        P = net.problem.P
        factor[time * P : (time + 1) * P, time * P : (time + 1) * P] *= 2

    monkeypatch.setattr(collapsed, "_extend", scaled)


def uncorrelated_times(monkeypatch):
    """The collapsed network with the DNN's blocks of L: weights no longer shared."""
    whole = collapsed._layout

    def unrelated(net):
        found = whole(net)
        return replace(found, shared=found.shared * np.kron(np.eye(net.problem.n - 1), np.ones((net.problem.P,) * 2)))

    monkeypatch.setattr(collapsed, "_layout", cache(unrelated))


def unshared_jacobian(monkeypatch):
    """The mean over times in place of the sum that the chain rule of a shared weight demands."""
    whole = Network.gradient_w

    def averaged(self, delta, phi):
        return [(a / (self.problem.n - 1), b) for a, b in whole(self, delta, phi)]

    monkeypatch.setattr(Network, "gradient_w", averaged)


def wrong_determinant(monkeypatch):
    """The integrated likelihood with the sign of its log-determinant wrong."""

    def with_wrong_sign(net: Network, phi: np.ndarray) -> Likelihood:
        whole, features = marginal(net, phi), net.supervision[0].features(phi)
        kernel = net.problem.v * features @ features.T / net.width + net.problem.kappa * np.eye(len(features))
        return replace(whole, value=whole.value - float(np.linalg.slogdet(kernel)[1]))

    monkeypatch.setattr(hmc, "marginal", with_wrong_sign)


def wrong_marginal_temperature(monkeypatch):
    """κ twice too large in the likelihood with the read-out integrated out."""

    right = readout.evidence

    @cache
    def hotter(net):
        return replace(net, problem=net.problem.with_(kappa=1.6))

    for module in (readout, collapsed):
        monkeypatch.setattr(module, "evidence", lambda net, *given: right(hotter(net), *given))


def missing_time_of_the_frame(monkeypatch):
    """The collapsed network's gradient without its last time."""
    whole = collapsed._backward

    def without(net, *given):
        slope = whole(net, *given)
        slope[-net.problem.P :] = 0
        return slope

    monkeypatch.setattr(collapsed, "_backward", without)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param(wrong_marginal_temperature, "hmc-marginal", marks=pytest.mark.slow),
        pytest.param(wrong_marginal_temperature, "collapsed", marks=pytest.mark.slow),
        pytest.param(wrong_prior_scale, "hmc-sampled", marks=pytest.mark.slow),
        pytest.param(wrong_temperature, "hmc-sampled", marks=pytest.mark.slow),
        (wrong_temperature, "sgld"),
        pytest.param(wrong_prior_scale, "hmc-marginal", marks=pytest.mark.slow),
        pytest.param(wrong_determinant, "hmc-marginal", marks=pytest.mark.slow),
        pytest.param(wrong_prior_scale, "sgld", marks=pytest.mark.slow),
        pytest.param(missing_time, "sgld", marks=pytest.mark.slow),
        pytest.param(missing_factor, "collapsed", marks=pytest.mark.slow),
        pytest.param(uncorrelated_times, "collapsed", marks=pytest.mark.slow),
        pytest.param(unshared_jacobian, "sgld", marks=pytest.mark.slow),
    ],
)
def test_faults_are_noticed_on_the_tiny_network(fault, kind, tiny_truth, monkeypatch):
    fault(monkeypatch)
    net = make_network(tiny(), 2, "float64")
    assert worst_z(run(net, kind, 800, 11), *tiny_truth) > 6


@pytest.mark.slow
def test_wrong_gradient_costs_acceptance_but_no_bias(tiny_truth, monkeypatch):
    # Any kick that depends on the position alone keeps the trajectory reversible and volume-preserving, and
    # the energy is that of the kicks that were made: the Metropolis step then still gives the right law.
    missing_time(monkeypatch)
    assert worst_z(run(make_network(tiny(), 2, "float64"), "hmc-marginal", 1500, 13), *tiny_truth) < Z_LIMIT


def mean_acceptance(kind: str) -> float:
    """Of trajectories of a moderate step at a width where a wrong force is felt."""
    net, rng = make_network(tiny(), 40, "float64"), np.random.default_rng(5)
    if kind == "collapsed":
        sampler = CollapsedHMC(net, 0.15, 1.4)
        state = sampler.init(net.prior_draw(rng, readout=False))
    else:
        sampler = HMC(net, 0.15, 1.4, kind.removeprefix("hmc-"))
        state = sampler.init(net.prior_draw(rng, readout=kind == "hmc-sampled"))
    accepted = []
    for _ in range(150):
        state, info = sampler.step(rng, state)
        accepted.append(info.acceptance)
    return float(np.mean(accepted[50:]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (missing_time, "hmc-marginal"),
        (missing_time, "hmc-sampled"),
        (unshared_jacobian, "hmc-marginal"),
        (unshared_jacobian, "hmc-sampled"),
        (missing_time_of_the_frame, "collapsed"),
    ],
)
def test_wrong_gradients_are_noticed_by_the_acceptance(fault, kind, monkeypatch):
    right = mean_acceptance(kind)
    fault(monkeypatch)
    assert right > 0.9
    assert mean_acceptance(kind) < 0.75


@pytest.mark.parametrize("activation", ["linear", "tanh"])
@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_collapsed_network_and_written_out_weights_are_one(arch, activation):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 4))
    net = make_network(Problem(x, y, arch=arch, activation=activation, w=1.2), 10, "float64")
    weights = net.prior_draw(rng, readout=False)
    seen = collapsed.look(net, weights)
    other = write_out(rng, net, seen)
    assert not np.allclose(other.W, weights.W)
    for these in (weights, other):
        phi = net.forward(net.connections(these), these.U).phi
        assert collapsed.activations(net, seen) == pytest.approx(phi, abs=1e-12)
    assert np.allclose(collapsed.look(net, other).X, seen.X)
    # the gradient against central differences of L on written-out weights' own likelihood
    value, slope = collapsed.potential(net, seen)
    assert value == pytest.approx(marginal(net, phi).value, rel=1e-10)
    way = rng.standard_normal(seen.X.shape)
    ends = [collapsed.potential(net, collapsed.Seen(seen.X + e * way))[0] for e in (1e-6, -1e-6)]
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(np.vdot(slope, way), rel=1e-5)


def test_collapsed_refuses_what_it_cannot_do():
    rng = np.random.default_rng(1)
    dependent = Problem(rng.standard_normal((3, 2)), np.array([[np.nan, 1.0]] * 3))  # three patterns in a plane
    narrow = endpoint(6, 2.0)
    for problem, width in ((dependent, 12), (narrow, 3)):
        net = make_network(problem, width, "float64")
        with pytest.raises(InputError, match="sampler: 'collapsed' needs activations that are linearly independent"):
            CollapsedHMC(net, 0.2, 1.0).init(net.prior_draw(rng, readout=False))
    net = make_network(endpoint(4, 2.0, activation="relu"), 12, "float64")
    with pytest.raises(InputError, match="width: is 12; accepted: an integer ≥ 64 for relu"):
        CollapsedHMC(net, 0.2, 1.0).init(net.prior_draw(rng, readout=False))


def one_time_truth(problem: Problem, N: int) -> list[float]:
    """Mean and mean root of the kernel, and mean output, of one linear hidden time and one pattern, at width
    N.

    ``Φ = u x² χ²_N/N``, weighted by the exact likelihood ``N(y | 0, (vΦ + κ)/N)``: integrals over one
    variable.
    """
    scale = problem.u * float(problem.x[0, 0] @ problem.x[0, 0]) / problem.D
    y = float(problem.labels[0])
    kernel = np.linspace(0, 12 * scale, 400_001)[1:]
    variance = problem.v * kernel + problem.kappa
    logs = chi2.logpdf(kernel * N / scale, N) - 0.5 * N * y**2 / variance - 0.5 * np.log(variance)
    weight = np.exp(logs - logs.max())
    means = [weight @ value / weight.sum() for value in (kernel, np.sqrt(kernel), problem.v * kernel * y / variance)]
    return [float(mean) for mean in means]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_one_hidden_time_has_its_closed_form(kind, width):
    problem = one_time()
    series = run(make_network(problem, width, "float64"), kind, 600, 21)
    assert worst_z(series, np.array(one_time_truth(problem, width))) < Z_LIMIT
    assert np.max(summarise(series).rhat) < 1.2


@pytest.mark.parametrize("kind", MOSTLY_SLOW)
@pytest.mark.parametrize("arch", ["rnn", pytest.param("dnn", marks=pytest.mark.slow)])
def test_without_labels_weight_the_prior_remains(kind, arch):
    # κ → ∞ leaves the prior; its moments are taken from independent draws of the plain network.
    problem = endpoint(4, 1.0, arch=arch, kappa=1e9, w=1.3, u=0.6)
    N = 6
    mean, error = by_importance(problem, N, 200_000)
    assert mean[0] == pytest.approx(0.6, rel=0.01)
    assert mean[1] == pytest.approx(0.6 * 1.3, rel=0.02)
    series = run(make_network(problem, N, "float32"), kind, 500, 31)
    assert worst_z(series[..., :-3], mean[:-3], error[:-3]) < Z_LIMIT  # the outputs are noise of width √κ


def geweke_z(net: Network, readout: str, sweeps: int, seed: int) -> float:
    """Geweke's joint test: alternate a fresh label and a posterior move; the pair must keep the joint law.

    Largest |z| between moments of this chain and of independent draws of weights and label.
    """
    rng = np.random.default_rng(seed)
    problem = net.problem

    def label(weights: Weights) -> tuple[Network, np.ndarray]:
        """A label drawn given the weights, and the network that has it."""
        phi = net.forward(net.connections(weights), weights.U).phi
        (where,) = net.supervision
        features = where.features(phi)
        eta_v = rng.standard_normal(net.width) if weights.V is None else weights.V
        noise = math.sqrt(problem.kappa / net.width) * rng.standard_normal(len(features))
        y = np.full(problem.y.shape, np.nan)
        y[where.pattern, where.time] = features @ eta_v * math.sqrt(problem.v) / net.width + noise
        return make_network(problem.with_(y=y), net.width, "float64"), y.T.ravel()[problem.supervised]

    def quantities(weights: Weights, labels: np.ndarray) -> np.ndarray:
        phi = net.forward(net.connections(weights), weights.U).phi
        (where,) = net.supervision
        features = where.features(phi)
        kernel = features @ features.T / net.width
        if weights.V is None:
            covariance = (problem.v * kernel + problem.kappa * np.eye(len(labels))) / net.width
            misfit = float(labels @ np.linalg.solve(covariance, labels))
        else:
            misfit = float(np.sum((features @ weights.V * math.sqrt(problem.v) / net.width - labels) ** 2))
        return np.array([*np.diag(kernel), *(labels**2), misfit, *(labels**2 * np.diag(kernel))])

    weights = net.prior_draw(rng, readout=readout == "sampled")
    chain = []
    for _ in range(sweeps):
        moved, labels = label(weights)
        sampler = HMC(moved, 0.4, 1.0, readout)
        weights = sampler.step(rng, sampler.init(weights))[0].weights
        chain.append(quantities(weights, labels))
    independent = []
    for _ in range(2 * sweeps):
        weights = net.prior_draw(rng, readout=readout == "sampled")
        independent.append(quantities(weights, label(weights)[1]))
    seen, truth = summarise(np.array(chain)[None]), np.array(independent)
    error = np.hypot(seen.standard_error, truth.std(axis=0) / math.sqrt(len(truth)))
    return float(np.max(np.abs(seen.mean - truth.mean(axis=0)) / error))


@pytest.mark.parametrize("readout", ["marginal", pytest.param("sampled", marks=pytest.mark.slow)])
def test_geweke(readout):
    assert geweke_z(make_network(tiny(), 3, "float64"), readout, 800, 41) < Z_LIMIT


@pytest.mark.slow
def test_geweke_notices_a_wrong_temperature(monkeypatch):
    # The fault is in the sampler's likelihood: labels are drawn with the problem's own κ.
    wrong_temperature(monkeypatch)
    assert geweke_z(make_network(tiny(), 3, "float64"), "sampled", 1500, 42) > 6


def calibration_p_value(net: Network, replicas: int, seed: int, *, label_scale: float = 1.0) -> float:
    """Simulation-based calibration (Talts et al. 2018): ranks of the truth among posterior draws must be
    uniform.

    The smallest p-value over test quantities, times their number. `label_scale` spoils the labels' noise.
    """
    rng = np.random.default_rng(seed)
    problem = net.problem
    draws, bins = 15, 4
    ranks = []
    for _ in range(replicas):
        truth = net.prior_draw(rng, readout=True)
        phi = net.forward(net.connections(truth), truth.U).phi
        (where,) = net.supervision
        features = where.features(phi)
        clean = features @ truth.V * (math.sqrt(problem.v) / net.width)
        noise = label_scale * math.sqrt(problem.kappa / net.width) * rng.standard_normal(len(clean))
        y = np.full(problem.y.shape, np.nan)
        y[where.pattern, where.time] = clean + noise
        moved = make_network(problem.with_(y=y), net.width, "float64")
        sampler = HMC(moved, 0.4, 1.4, "sampled")
        state = sampler.init(net.prior_draw(rng, readout=True))
        for _ in range(15):
            state, _ = sampler.step(rng, state)
        found = []
        for _ in range(draws):
            for _ in range(2):
                state, _ = sampler.step(rng, state)
            found.append(_quantities(moved, state.weights))
        ranks.append(np.sum(np.array(found) < _quantities(moved, truth), axis=0))
    table = np.array(ranks) * bins // (draws + 1)
    values = []
    for column in table.T:
        counts = np.bincount(column, minlength=bins)
        expected = replicas / bins
        values.append(chi2.sf(np.sum((counts - expected) ** 2) / expected, bins - 1))
    return min(values) * len(values)


def _quantities(net: Network, weights) -> np.ndarray:
    seen = observe(net, weights)
    errors = seen.outputs.T.ravel()[net.problem.supervised] - net.problem.labels
    return np.array([*np.diag(seen.kernel), seen.kernel[0, -1], errors @ errors, weights.V @ weights.V])


@pytest.mark.slow
def test_simulation_based_calibration():
    assert calibration_p_value(make_network(tiny(), 3, "float64"), 400, 51) > 1e-3


@pytest.mark.slow
def test_calibration_notices_noise_of_the_wrong_temperature():
    assert calibration_p_value(make_network(tiny(), 3, "float64"), 400, 52, label_scale=math.sqrt(2)) < 1e-4
