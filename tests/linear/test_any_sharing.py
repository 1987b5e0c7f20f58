"""Linear networks of any sharing matrix, with skip connections, biases and several outputs (docs/theory.md 10-12)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy

from numerics.inputs.driving import driving_inputs
from numerics.inputs.problem import Problem, endpoint
from numerics.linear import recursion, responses, search, trust_region
from numerics.linear.directions import input_directions
from numerics.linear.functional import kernel_functional
from numerics.linear.labels import targets_of
from numerics.linear.states import solution_of
from numerics.results.readout import mean_outputs
from tests.linear.dense_reference import Dense
from theory.sharing_stability import instability
from theory.sharing_transition import signal_at

FAMILIES = ("shared:0.5", "drift:0.7", "looped:2", "looped:3", "rnn", "dnn", "matrix")


def random_problem(rng, *, n=None, P=None, arch=None, D=None, **options):
    """One with a well-conditioned first input unless D is given."""
    n, P = n or int(rng.integers(3, 6)), P or int(rng.integers(1, 3))
    arch = arch or FAMILIES[int(rng.integers(len(FAMILIES)))]
    if arch == "matrix":
        root = rng.normal(size=(n - 1, int(rng.integers(1, n))))
        arch = root @ root.T + np.diag(rng.uniform(0.01, 0.3, size=n - 1) * rng.integers(0, 2))
    outputs, D = int(rng.integers(1, 4)), D or P + 1
    x = rng.normal(size=(P, int(rng.integers(1, n + 1)), D))
    x[:, 0] += 2.0 * np.eye(P, D)
    y = np.full((P, n, outputs), np.nan)
    for c in range(outputs):
        for t in {n - 1, int(rng.integers(0, n))} if c else {n - 1}:
            y[:, t, c] = rng.normal(size=P) * rng.choice([1.0, 3.0])
    given = {"skip": float(rng.choice([0.0, 0.5, 1.0])), "bias": float(rng.choice([0.0, 0.3]))}
    given |= {"u": 1.2, "v": 0.8, "w": float(rng.uniform(0.3, 1.2)), "kappa": float(rng.choice([0.3, 1.0]))}
    return Problem(x, y, arch=arch, **given | options)


def random_kernel(problem, rng):
    """A kernel (nP, nP) far from the random network's."""
    prior = Dense(problem).prior()
    mixed = np.linalg.cholesky(prior) @ (np.eye(len(prior)) + 0.3 * np.tril(rng.normal(size=prior.shape), -1))
    return mixed @ mixed.T


@pytest.mark.parametrize("seed", range(14))
def test_free_energy_gradient_and_hessian_on_random_problems(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, arch=FAMILIES[seed % len(FAMILIES)])
    dense, functional = Dense(problem), kernel_functional(problem)
    np.testing.assert_allclose(
        functional.space.expand(functional.prior_kernel()), dense.prior(), rtol=0, atol=1e-12 * 50
    )
    H = random_kernel(problem, rng)
    inverse = np.linalg.inv(functional.space.full_basis())
    point = functional.at(inverse @ H @ inverse.T)
    assert point.free_energy == pytest.approx(dense.value(H), abs=1e-11)
    S = rng.normal(size=H.shape)
    S, h = S + S.T, 1e-3
    F = [point.move(k * h * S).free_energy for k in (-2, -1, 0, 1, 2)]
    first = (F[0] - 8 * F[1] + 8 * F[3] - F[4]) / (12 * h)
    second = (-F[0] + 16 * F[1] - 30 * F[2] + 16 * F[3] - F[4]) / (12 * h**2)
    size = abs(second) + np.linalg.norm(S)
    assert np.vdot(point.gradient, S) == pytest.approx(first, abs=1e-6 * size)
    assert np.vdot(S, point.hessian_product(S)) == pytest.approx(second, abs=1e-5 * size)
    stack = np.stack([S, S @ S])
    np.testing.assert_allclose(point.hessian_product(stack)[1], point.hessian_product(S @ S), atol=1e-9 * size)


@pytest.mark.parametrize("seed", range(7))
def test_the_random_networks_hessian_is_inverted_by_recursion(seed):
    """At H = C without labels ``KKᵀ`` is the inverse of the Hessian."""
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, arch=FAMILIES[seed])
    functional = kernel_functional(problem).with_labels(0.0)
    point = functional.at(functional.prior_kernel())
    S = rng.normal(size=point.H.shape)
    S = S + S.T
    solved = recursion.squared(point, point.euclidean_hessian_product(S))
    np.testing.assert_allclose(solved, S, atol=1e-9 * np.abs(S).max())


@pytest.mark.parametrize("seed", [pytest.param(k, marks=() if k % 4 else pytest.mark.slow) for k in range(14)])
def test_the_minimum_is_that_of_an_independent_dense_minimiser(seed):
    rng = np.random.default_rng(100 + seed)
    arch = FAMILIES[seed % len(FAMILIES)]
    problem = random_problem(rng, P=2, n=5, arch=arch) if seed < 3 else random_problem(rng, arch=arch)
    state = search.lowest_state(problem)
    F, _ = Dense(problem).lowest(starts=4, seed=seed)
    assert state.converged
    assert state.stable
    assert state.free_energy == pytest.approx(F, abs=1e-9)
    assert Dense(problem).value(state.kernel) == pytest.approx(F, abs=1e-9)


@pytest.mark.parametrize(
    ("arch", "same"), [("shared:1", "rnn"), ("shared:0", "dnn"), ("looped:1", "rnn"), ("looped:4", "dnn")]
)
def test_the_ends_of_the_families(arch, same):
    rng = np.random.default_rng(5)
    for D in (3, 1):
        problem = random_problem(rng, n=5, P=2, D=D, arch=same)
        one, other = search.lowest_state(problem.with_(arch=arch)), search.lowest_state(problem)
        np.testing.assert_allclose(one.kernel, other.kernel, rtol=0, atol=1e-12 * np.abs(other.kernel).max())
        assert one.free_energy == pytest.approx(other.free_energy, abs=1e-12)


def hidden_problem(rng, kind, arch, **options):
    """Two patterns whose inputs, of one dimension, depend on each other until a time or always."""
    n = 4
    x = np.zeros((2, n, 1))
    if kind == "equal at first":
        x[:, 0, 0], x[:, 1, 0] = 1.0, [1.0, 2.0]
    elif kind == "one begins late":
        x[0, 0, 0], x[1, 2, 0] = 1.0, 1.5
    elif kind == "equal rows":
        x[:, 0, 0], x[:, 1, 0] = 1.0, 0.5
    else:
        x[..., 0] = rng.normal(size=(2, n))
    y = np.full((2, n), np.nan)
    y[:, -1] = rng.normal(size=2) * 2
    if kind != "one begins late":
        y[0, 1] = 1.0
    if arch == "matrix":
        root = rng.normal(size=(n - 1, 2))
        arch = root @ root.T
    return Problem(x, y, arch=arch, w=0.8, kappa=0.5, **options)


@pytest.mark.parametrize("arch", FAMILIES)
@pytest.mark.parametrize("kind", ["equal at first", "one begins late", "equal rows", "random"])
def test_dependent_inputs_are_the_limit_of_independent_ones(kind, arch):
    """Further inputs of size ε, one for each pattern and time, change F by O(ε²)."""
    rng = np.random.default_rng(len(kind))
    problem = hidden_problem(rng, kind, arch, skip=float(rng.choice([0.0, 0.5])), bias=float(rng.choice([0.0, 0.3])))
    state = search.lowest_state(problem)
    functional = kernel_functional(problem)
    prior = functional.space.expand(functional.prior_kernel())
    np.testing.assert_allclose(prior, Dense(problem).prior(), rtol=0, atol=1e-12 * np.abs(prior).max())
    found = []
    for eps in (4e-3, 2e-3):
        x = np.concatenate([problem.x, eps * np.eye(8).reshape(2, 4, 8)], axis=2)
        arch = problem.sharing if problem.arch == "matrix" else problem.arch
        wide = Problem(x, problem.y, arch=arch, u=9.0, w=0.8, kappa=0.5, skip=problem.skip, bias=problem.bias)
        found.append(Dense(wide).lowest(starts=1)[0])
    assert (4 * found[1] - found[0]) / 3 == pytest.approx(state.free_energy, abs=2e-5)


def inputs_of(problem):
    x = driving_inputs(problem, problem.x)
    return x, *input_directions(x)


def of_responses(problem):
    return responses.of_responses(problem, *inputs_of(problem)[:2])


def of_products(problem):
    return responses.of_products(problem, *inputs_of(problem))


@pytest.mark.parametrize(
    ("made", "arch"),
    [(of_responses, arch) for arch in FAMILIES] + [(of_products, arch) for arch in ("looped:2", "looped:3", "rnn")],
)
@pytest.mark.parametrize("skip", [0.0, 0.7])
def test_other_coordinates_give_the_same_minimum(made, arch, skip):
    rng = np.random.default_rng(3)
    problem = random_problem(rng, n=4, P=2, D=2, arch=arch, skip=skip, bias=0.0)
    space, usual = made(problem), kernel_functional(problem)
    functional = dataclasses.replace(
        usual,
        space=space,
        targets=targets_of(problem, space),
        input_covariance=problem.u * space.inputs @ space.inputs.T,
        reversals=(),
    )
    prior = functional.prior_kernel()
    np.testing.assert_allclose(space.expand(prior), Dense(problem).prior(), atol=1e-12 * np.abs(prior).max())
    stop = trust_region.minimise(functional.at(prior))
    assert stop.converged
    reference = trust_region.minimise(usual.at(usual.prior_kernel()))
    assert stop.point.free_energy == pytest.approx(reference.point.free_energy, abs=1e-10)
    found, expected = space.expand(stop.point.H), usual.space.expand(reference.point.H)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


MULTIPLES = np.outer([0.5, -1.0, 1e-3, 0.7], [0.5, -1.0, 1e-3, 0.7])


@pytest.mark.parametrize(
    "arch", ["rnn", "looped:2", "shared:0.5", "dnn", pytest.param(MULTIPLES, marks=pytest.mark.slow)]
)
def test_close_patterns_have_the_states_of_equal_ones(arch):
    """The kernel of patterns at a distance ε goes to that of equal ones, and no digits are lost on the way."""

    def state(eps):
        x = np.zeros((2, 5, 2))
        x[:, 0], x[:, 1] = [[1.0, 0.3], [1.0, 0.3 + eps]], [0.2, 0.1]
        x[0, 2], x[1, 2] = [0.5, 1.0], [0.9, 1.3]
        y = np.full((2, 5), np.nan)
        y[:, 4], y[0, 2] = [1.0, -2.0], 0.5
        return search.lowest_state(Problem(x, y, arch=arch, w=0.8, kappa=0.3))

    states = [state(eps) for eps in (0.0, 1e-9, 1e-6, 1e-3)]
    assert all(each.converged and each.residual < 1e-13 for each in states)
    for each, eps in zip(states[1:], (1e-9, 1e-6, 1e-3), strict=True):
        assert each.free_energy == pytest.approx(states[0].free_energy, abs=30 * eps + 1e-12)


def test_predictions_of_several_outputs_are_those_of_each():
    rng = np.random.default_rng(7)
    problem = random_problem(rng, n=4, P=2, arch="shared:0.4")
    state = search.lowest_state(problem)
    outputs = mean_outputs(state)
    outputs = outputs[None] if problem.outputs == 1 else outputs
    assert outputs.shape == (problem.outputs, 2, 4)
    for found, (rows, y) in zip(outputs, problem.targets, strict=True):
        K = problem.v * state.kernel
        mean = K[:, rows] @ np.linalg.solve(K[np.ix_(rows, rows)] + problem.kappa * np.eye(len(rows)), y)
        np.testing.assert_allclose(found, mean.reshape(4, 2).T, atol=1e-12)


TIED_PAIR = np.eye(5)
TIED_PAIR[1, 3] = TIED_PAIR[3, 1] = 1.0


@pytest.mark.parametrize(
    ("arch", "T"),
    [("shared:0.5", 4), ("shared:0.25", 6), ("drift:0.5", 5), ("drift:0.75", 7), ("looped:2", 6), ("looped:3", 7),
     (TIED_PAIR, 7)],
)  # fmt: skip
@pytest.mark.parametrize("kappa", [0.25, 2.0])
def test_coherence_appears_at_the_critical_signal_of_the_theory(arch, T, kappa):
    """The incoherent state is a minimum up to λ_c of ``theory.sharing_stability`` and none beyond it."""
    M = endpoint(T, 1.0, arch=arch).sharing
    exact = sympy.ImmutableMatrix(T - 1 - 1, T - 1 - 1, lambda s, t: sympy.nsimplify(M[s, t], rational=True))
    signal = float(signal_at(T, instability(exact).ratio, sympy.Rational(str(kappa))))

    def smallest(factor):
        problem = endpoint(T, factor * signal, arch=arch, kappa=kappa)
        functional = kernel_functional(problem)
        times = np.arange(problem.n)
        alternate = [np.where(times == t, -1.0, 1.0) for t in times]
        stop = trust_region.minimise(functional.at(functional.prior_kernel()), signs=alternate)
        assert stop.converged
        state = solution_of(problem, stop)
        assert state.branch == "incoherent"
        assert state.stable == (factor < 1)
        return state.hessian_smallest

    below, above = smallest(1 - 1e-4), smallest(1 + 1e-4)
    assert below > 0 > above
    assert below == pytest.approx(-above, rel=1e-2)
    assert search.lowest_state(endpoint(T, 1.05 * signal, arch=arch, kappa=kappa)).branch == "coherent"


@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize("arch", ["rnn", "dnn", "looped:2", "shared:0.5"])
def test_the_prior_of_a_skip_network_is_that_of_sampled_random_networks(arch, bias):
    rng = np.random.default_rng(11)
    a, w, N, draws, n = 0.6, 0.7, 100, 300, 4
    layers = {"rnn": [0, 0, 0], "dnn": [0, 1, 2], "looped:2": [0, 1, 0]}.get(arch)
    problem = Problem(rng.normal(size=(2, 2, 3)), np.ones((2, n)), arch=arch, skip=a, w=w, bias=bias)
    B = np.linalg.cholesky(problem.bias_sharing + 1e-12 * np.eye(n))
    found = np.zeros((draws, 8, 8))
    for k in range(draws):
        Z = rng.normal(size=(4, N, N)) * np.sqrt(w / N)
        W = [Z[i] for i in layers] if layers else [np.sqrt(0.5) * (Z[3] + Z[i]) for i in range(3)]
        U, b = rng.normal(size=(N, 3)) / np.sqrt(3), np.sqrt(bias) * B @ rng.normal(size=(n, N))
        h = np.zeros((N, 2))
        path = []
        for t in range(n):
            came = W[t - 1] @ h if t else np.zeros_like(h)
            h = a * h + came + U @ problem.x[:, t].T + b[t][:, None]
            path.append(h.T)
        path = np.concatenate(path)
        found[k] = path @ path.T / N
    state = kernel_functional(problem)
    expected = state.space.expand(state.prior_kernel())
    error = found.std(axis=0) / np.sqrt(draws)
    z = (found.mean(axis=0) - expected) / error
    assert np.abs(z).max() < 5.0
    wrong = kernel_functional(problem.with_(skip=0.65))
    assert np.abs((found.mean(axis=0) - wrong.space.expand(wrong.prior_kernel())) / error).max() > 6.0


def test_equal_matrices_are_one_group_and_multiples_where_nothing_skips():
    multiples = np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0], [0.5, 1.0, 1.0]])
    first, number, factor = responses.equal_matrices(multiples, 0.0)
    assert (first, number.tolist(), factor.tolist()) == ([0, 2], [0, 0, 1], [1, 2, 1])
    first, number, factor = responses.equal_matrices(multiples, 0.5)
    assert (first, number.tolist(), factor.tolist()) == ([0, 1, 2], [0, 1, 2], [1, 1, 1])
    for skip in (0.0, 0.5):
        first, number, factor = responses.equal_matrices(np.ones((3, 3)), skip)
        assert (first, number.tolist(), factor.tolist()) == ([0], [0, 0, 0], [1, 1, 1])
    first, number, factor = responses.equal_matrices(np.array([[1.0, -3.0], [-3.0, 9.0]]), 0.0)
    assert (first, number.tolist(), factor.tolist()) == ([0], [0, 0], [1, -3])
    # neither equal nor a multiple, whatever the sizes
    for M in ([[4.0, 1.0], [1.0, 1.0]], [[0.25, 0.2], [0.2, 0.25]]):
        assert responses.equal_matrices(np.array(M), 0.0)[0] == [0, 1]
