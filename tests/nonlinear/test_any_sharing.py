"""Nonlinear networks of any weight sharing, with skip, biases and several outputs, by routes that share no code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from numerics.inputs.problem import Problem, endpoint
from numerics.linalg import symmetric_vectors
from numerics.nonlinear.by_quadrature import Quadrature
from numerics.nonlinear.forward import forward_kernel, prior_kernel
from numerics.nonlinear.reduced import hessian, reduced_point
from numerics.nonlinear.search import all_states, incoherent_state, lowest_state
from numerics.nonlinear.space import trajectory_space
from numerics.results.readout import mean_outputs
from tests.nonlinear import quadrature_reference as reference
from tests.nonlinear.sharing_problems import CASES, NAN, task

#: The cases that hold all the others' features; each by itself is slow.
WIDEST = [pytest.param(case, marks=[] if case in ("all", "outputs", "tied") else pytest.mark.slow) for case in CASES]

ARCHITECTURES = ["rnn", "dnn", "shared:0.5", "drift:0.9", "looped:2", "matrix"]


def architecture(name, n, rng):
    """As a `Problem` takes it; a random sharing matrix for ``matrix``."""
    root = rng.standard_normal((n - 1, 2))
    return root @ root.T + 0.1 * np.eye(n - 1) if name == "matrix" and n > 1 else name.replace("matrix", "rnn")


def pulses(seed, arch, **options):
    """Pulses on few lines at several times, which come again and coincide; labels of two outputs at the end."""
    rng = np.random.default_rng(seed)
    P, n, D = int(rng.integers(2, 5)), int(rng.integers(2, 5)), int(rng.integers(1, 3))
    x = rng.integers(-1, 2, size=(P, n, D)).astype(float)
    if not options.get("bias"):
        x[:, 0] = np.where((x[:, 0] == 0).all(axis=1, keepdims=True), 1.0, x[:, 0])
    x[0, 0] = 1.0
    y = np.full((P, n, 2), NAN)
    y[:, -1] = rng.standard_normal((P, 2))
    fields = {"activation": "erf", "w": 1.3, "u": 0.7, "arch": architecture(arch, n, rng)} | options
    return Problem(x, y, **fields)


@pytest.mark.parametrize("features", [{}, {"skip": 0.6}, {"bias": 0.4}, {"skip": 1.0, "bias": 0.2}], ids=str)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_covariance_and_its_adjoint_are_the_theorys(arch, features):
    for seed in range(4):
        problem = pulses(seed, arch, **features)
        space = trajectory_space(problem)
        kernel = forward_kernel(space, problem.activation)
        whole = reference.covariance(space.classes.expand(kernel), problem)
        E, expand = space.embedding, space.classes.expand
        np.testing.assert_allclose(expand(E @ space.covariance(kernel) @ E.T), whole, atol=1e-12)
        size = np.linalg.eigvalsh(whole)
        assert space.d == np.sum(size > 1e-10 * size[-1])
        assert np.linalg.eigvalsh(space.covariance(kernel))[0] > 1e-9
        rng = np.random.default_rng(seed)
        change, force = (np.cov(rng.standard_normal((k, 2 * k))) for k in (space.m, space.d))
        moved = expand(E @ space.changes(change) @ E.T)
        np.testing.assert_allclose(moved, reference.covariance(expand(kernel + change), problem) - whole, atol=1e-12)
        assert np.vdot(force, space.changes(change)) == pytest.approx(np.vdot(space.pull_back(force), change))


def arcsine(C):
    """``⟨φφᵀ⟩`` of φ(h) = erf(√π h/2) over N(0, C)."""
    size = 1 + np.pi / 2 * np.diag(C)
    return 2 / np.pi * np.arcsin(np.clip(np.pi / 2 * C / np.sqrt(np.outer(size, size)), -1, 1))


def arccosine(C):
    """``⟨φφᵀ⟩`` of ReLU over N(0, C)."""
    size = np.sqrt(np.diag(C))
    scale = np.outer(size, size)
    rho = np.clip(np.divide(C, scale, out=np.zeros_like(C), where=scale > 0), -1, 1)
    return scale / (2 * np.pi) * (np.sqrt(1 - rho**2) + rho * (np.pi - np.arccos(rho)))


@pytest.mark.parametrize(("activation", "average"), [("erf", arcsine), ("relu", arccosine)])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_random_networks_have_the_kernel_of_the_forward_recursion(arch, activation, average):
    for seed, features in enumerate([{"skip": 0.6}, {"bias": 0.4}, {"skip": 1.0, "bias": 0.2}]):
        problem = pulses(seed + 10, arch, activation=activation, **features)
        kernel = np.zeros((problem.n * problem.P,) * 2)
        for _ in range(problem.n):
            kernel = average(reference.covariance(kernel, problem))
        np.testing.assert_allclose(prior_kernel(problem), kernel, atol=3e-8)  # ρ = 1: arcsin's root of rounding


def test_random_networks_have_the_kernel_that_sampled_ones_have():
    """tanh, an input at two times, correlated matrices and biases, skip: weights drawn by their definition."""
    x = np.array([[[1.0, 0.5], [0.0, 0.0], [0.3, -1.0]], [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]])
    problem = Problem(x, np.ones((2, 3)), "shared:0.5", "tanh", u=1.5, w=1.3, skip=0.5, bias=0.4)
    rng, N, draws = np.random.default_rng(0), 400, 60
    kernels = []
    for _ in range(draws):
        common, own = rng.standard_normal((N, N)), rng.standard_normal((2, N, N))
        W = np.sqrt(problem.w / N) * (np.sqrt(0.5) * common + np.sqrt(0.5) * own)
        b = np.sqrt(problem.bias) * np.sqrt(0.5) * (rng.standard_normal((1, N)) + rng.standard_normal((3, N)))
        U = rng.standard_normal((N, 2)) * np.sqrt(problem.u / 2)
        h = [U @ x[:, 0].T + b[0][:, None]]
        for t in (1, 2):
            h.append(0.5 * h[-1] + W[t - 1] @ np.tanh(h[-1]) + U @ x[:, t].T + b[t][:, None])
        phi = np.tanh(np.concatenate(h, axis=1))
        kernels.append(phi.T @ phi / N)
    found = prior_kernel(problem)
    error = np.std(kernels, axis=0, ddof=1) / np.sqrt(draws)
    z = (np.mean(kernels, axis=0) - found) / error
    assert np.abs(z).max() < 4
    assert error.max() < 0.01
    for wrong in ({"arch": "shared:0.3"}, {"skip": 0.4}, {"bias": 0.3}):
        shifted = prior_kernel(problem.with_(**wrong))
        assert np.abs((np.mean(kernels, axis=0) - shifted) / error).max() > 6


def test_the_prior_of_more_patterns_than_dimensions_is_exact():
    """Eighteen rows, linear and erf: the kernels are singular or nearly so, and no state could be refined to this."""
    x = np.random.default_rng(0).standard_normal((18, 4))
    for activation, average in (("linear", lambda C: C), ("erf", arcsine)):
        problem = Problem(x, np.ones((18, 3)), activation=activation, arch="drift:0.7", skip=0.5)
        kernel = np.zeros((54, 54))
        for _ in range(3):
            kernel = average(reference.covariance(kernel, problem))
        np.testing.assert_allclose(prior_kernel(problem), kernel, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", WIDEST)
def test_states_are_those_of_a_plain_grid(case):
    problem = task(case)
    state = lowest_state(problem)
    assert state.converged, state.status
    points = reference.grid(3, points=90, edge=10.0)
    kernel, conjugate, free_energy = reference.stationarity(problem, state.kernel, state.conjugate, *points)
    np.testing.assert_allclose(state.kernel, kernel, atol=1e-7)
    np.testing.assert_allclose(state.conjugate, conjugate, atol=1e-7)
    assert state.free_energy == pytest.approx(free_energy, abs=1e-8)


def test_derivatives_are_those_of_differences():
    """F with its gradient and Hessian on fixed points, with every feature at once."""
    problem = task("all")
    space, vectors = trajectory_space(problem), symmetric_vectors(3)
    prior = forward_kernel(space, problem.activation)
    engine = Quadrature(problem.activation)
    kernel, conjugate, nodes = engine.random_network(space, prior)

    def at(vector):
        return reduced_point(space, vectors, nodes, vectors.matrix(vector), conjugate)

    rng, base = np.random.default_rng(0), vectors.vec(kernel)
    here = at(base)
    for _ in range(3):
        direction = 0.05 * rng.standard_normal(len(base)) * np.abs(base)
        forward, back = at(base + 1e-3 * direction), at(base - 1e-3 * direction)
        slope = (forward.free_energy - back.free_energy) / 2e-3
        assert here.gradient @ direction == pytest.approx(slope, rel=1e-5)
        bent = (forward.gradient - back.gradient) / 2e-3
        np.testing.assert_allclose(hessian(space, vectors, here) @ direction, bent, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("matrix", "arch"), [(2 * np.ones((2, 2)), "rnn"), (2 * np.eye(2), "dnn")])
@pytest.mark.parametrize("engine", ["quadrature", "sampling"])
def test_a_scaled_matrix_is_the_named_architecture_of_another_width(matrix, arch, engine):
    """M of twos with half of w: the general code against that of rnn and dnn."""
    problem = endpoint(4, 20.0, arch=arch, activation="erf", kappa=0.8)
    options = {"engine": engine, "size": 256 if engine == "sampling" else None, "tolerance": 0.1}
    named, general = (lowest_state(p, **options) for p in (problem, problem.with_(arch=matrix, w=0.5)))
    assert general.problem.arch == "matrix"
    np.testing.assert_allclose(general.kernel, named.kernel, rtol=1e-12)
    np.testing.assert_allclose(general.free_energy, named.free_energy, rtol=1e-12)


@pytest.mark.parametrize(("word", "arch"), [("shared:1", "rnn"), ("looped:1", "rnn")])
def test_ends_of_families_are_rnn_and_dnn_with_all_features(word, arch):
    features = {"skip": 0.3, "bias": 0.2, "label": 3.0}
    one, other = (lowest_state(task("shared", **features | {"arch": name})) for name in (word, arch))
    assert np.array_equal(one.kernel, other.kernel)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_biases_are_inputs_that_are_always_on(arch):
    """One input line for all times, or one for each, with the variance of the bias."""
    beta, u = 0.4, 0.7
    x = np.array([[[1.0], [0.0], [0.5]]])
    y = np.array([[0.5, NAN, 2.0]])
    with_bias = Problem(x, y, arch, "tanh", u=u, bias=beta, kappa=0.5)
    lines = np.ones((3, 1)) if arch == "rnn" else np.eye(3)
    extra = np.sqrt(beta / u) * lines[None]
    D = 1 + lines.shape[1]
    explicit = Problem(np.concatenate([x, extra], axis=2), y, arch, "tanh", u=u * D, kappa=0.5)
    one, other = lowest_state(with_bias), lowest_state(explicit)
    assert one.converged
    np.testing.assert_allclose(one.kernel, other.kernel, atol=1e-9)
    assert one.free_energy == pytest.approx(other.free_energy, rel=1e-9)


def test_a_pattern_without_input_is_learnt_by_its_biases():
    """Rows without input are one trajectory, that of the biases; without biases such labels are refused elsewhere."""
    x, y = np.array([[1.0], [0.0], [0.0]]), np.array([[1.0], [-1.0], [-2.0]])
    space = trajectory_space(Problem(x, np.hstack([NAN * y, y]), activation="erf", bias=0.5))
    assert space.classes.row.reshape(2, 3).tolist() == [[0, 1, 1], [2, 3, 3]]
    state = lowest_state(Problem(x, y, activation="erf", bias=0.5, kappa=0.5))
    assert state.converged
    outputs = mean_outputs(state)
    assert outputs[1] == pytest.approx(outputs[2], abs=1e-12)
    assert outputs[1] < -0.3
    opposite = Problem([[1.0], [-1.0]], np.ones((2, 1)), activation="erf", bias=0.1)
    assert trajectory_space(opposite).m == 2  # the bias is not reversed


@pytest.mark.slow
def test_equal_outputs_are_one_with_a_larger_label_and_a_rotation_of_outputs_changes_nothing():
    y = np.array([[NAN, 1.5, 3.0]])
    two = np.stack([y, y], axis=2)
    one, both = lowest_state(task("shared", y=np.sqrt(2) * y)), lowest_state(task("shared", y=two))
    np.testing.assert_allclose(both.kernel, one.kernel, rtol=1e-9)
    assert both.free_energy == pytest.approx(one.free_energy, rel=1e-10)
    np.testing.assert_allclose(mean_outputs(both), np.stack([mean_outputs(one)] * 2) / np.sqrt(2), rtol=1e-8)
    different = np.stack([y, -0.4 * y[:, ::-1]], axis=2)
    different[0, 0] = np.nan
    different[0, 1, 1] = 0.7
    different[0, 2, 1] = -1.0
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    first, second = lowest_state(task("shared", y=different)), lowest_state(task("shared", y=different @ turn))
    np.testing.assert_allclose(second.kernel, first.kernel, rtol=1e-8)
    np.testing.assert_allclose(mean_outputs(second), np.einsum("cpt,cd->dpt", mean_outputs(first), turn), rtol=1e-7)


def linear_free_energy(H, problem):
    """docs/theory.md sections 3, 11 and 12 where H is regular."""
    C = reference.covariance(H, problem)
    F = 0.5 * (np.trace(np.linalg.solve(C, H)) - len(H) - np.linalg.slogdet(H)[1] + np.linalg.slogdet(C)[1])
    for rows, y in problem.targets:
        gram = problem.v * H[np.ix_(rows, rows)] + problem.kappa * np.eye(len(rows))
        F += 0.5 * y @ np.linalg.solve(gram, y)
    return F


@pytest.mark.parametrize("case", WIDEST)
def test_linear_activations_are_the_linear_theorys(case):
    """The engine's kernel, which knows nothing of linearity, minimises the explicit free energy."""
    problem = task(case, 4.0, activation="linear")
    state = lowest_state(problem, engine="quadrature")
    assert state.converged
    assert state.free_energy == pytest.approx(linear_free_energy(state.kernel, problem), abs=1e-8)
    L, lower = np.linalg.cholesky(state.kernel), np.tril_indices(3)

    def objective(entries):
        B = np.zeros((3, 3))
        B[lower] = entries
        factor = L @ (np.eye(3) + B)
        return linear_free_energy(factor @ factor.T, problem)

    found = minimize(objective, np.full(6, 0.02), method="BFGS", options={"gtol": 1e-9})
    assert found.fun == pytest.approx(state.free_energy, abs=1e-8)
    assert np.abs(found.x).max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("arch", [[[1.0, 0.7], [0.7, 0.49]], "shared:0.5", "dnn"])
def test_times_are_independent_in_the_diagonal_state_of_every_sharing_matrix(arch):
    """One quadrature for each time against one over all, stability included."""
    problem = endpoint(4, 30.0, arch=arch, activation="erf")
    diagonal = incoherent_state(problem)
    assert diagonal.branch == "incoherent"
    states = all_states(problem, engine="quadrature")
    whole = next(state for state in states if state.branch == "incoherent")
    np.testing.assert_allclose(diagonal.kernel, whole.kernel, atol=1e-7)
    assert diagonal.hessian_smallest == pytest.approx(whole.hessian_smallest, abs=1e-6)
    assert diagonal.stable == whole.stable == (len(states) == 1)


def test_deep_independent_layers_have_no_sampling_error():
    """Seven times, beyond quadrature over all of them: the DNN's state is the RNN's diagonal one."""
    problem = endpoint(8, 30.0, activation="erf")
    diagonal = incoherent_state(problem)
    for arch in ("dnn", "shared:0.05"):
        state = lowest_state(problem.with_(arch=arch))
        assert (state.engine, state.stable, state.branch) == ("quadrature", True, "incoherent")
        assert state.kernel_error.max() < 1e-12
        np.testing.assert_allclose(state.kernel, diagonal.kernel, rtol=1e-12)
    assert not diagonal.stable


def compared(problem, **options):
    """Both engines' states in z scores: their kernels agree within the sample's error."""
    exact, sampled = lowest_state(problem), lowest_state(problem, engine="sampling", **options)
    assert exact.engine == "quadrature"
    assert sampled.converged, sampled.status
    error = 4 * sampled.kernel_error + 1e-3 * exact.kernel.max()
    assert (np.abs(exact.kernel - sampled.kernel) < error).all()
    assert sampled.branch == exact.branch
    return exact


@pytest.mark.parametrize(
    "case", ["outputs", *(pytest.param(c, marks=pytest.mark.slow) for c in ("shared", "skip", "bias"))]
)
def test_engines_agree(case):
    compared(task(case, 4.0), size=512, tolerance=0.05)
