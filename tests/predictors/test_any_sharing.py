"""Predictions, outliers and fluctuations of linear networks of any sharing matrix, skip, bias and several outputs."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve
from numerics.inputs.problem import Problem, endpoint
from numerics.linalg import from_vector, to_vector
from numerics.predictors.finite_width import kernel_mean, kernel_sd, kernel_shift, log_mass
from numerics.predictors.generalisation import held_out, held_out_kernel, training
from numerics.predictors.observables import outliers
from numerics.predictors.output_shift import output_shift
from numerics.results.readout import mean_outputs
from numerics.symmetry.group import sign_symmetries
from tests.linear.dense_reference import Dense
from tests.linear.test_any_sharing import FAMILIES, random_problem
from tests.predictors.covariances import kernel_covariance
from tests.sampling.sharing_cases import root

TIED = [[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 0.7]]


def without_a_sign(rng, seed):
    """A problem whose state has no image: one would be as good a state of the joint problem."""
    for _ in range(50):
        problem = random_problem(rng, n=3, P=2, arch=FAMILIES[seed % len(FAMILIES)], D=5)
        if not sign_symmetries(problem, True):
            return problem
    raise AssertionError("no such problem among 50")


@pytest.mark.parametrize("seed", range(12))
def test_held_out_patterns_are_unsupervised_patterns_of_the_joint_problem(seed):
    rng = np.random.default_rng(seed)
    problem = without_a_sign(rng, seed)
    n, x_test = problem.n, rng.normal(size=(2, problem.n, problem.D))
    x_test[1, 0] = 0.0  # from the second time on
    y = np.concatenate([problem.y, np.full((2, *problem.y.shape[1:]), np.nan)])
    alone = solve(problem.with_(x_test=x_test))
    together = solve(problem.with_(x=np.concatenate([problem.x, x_test]), y=y))
    assert alone.free_energy == pytest.approx(together.free_energy, rel=1e-10)
    blocks = together.kernel.reshape(n, 4, n, 4)
    np.testing.assert_allclose(blocks[:, :2, :, :2].reshape(2 * n, -1), alone.kernel, rtol=1e-7, atol=1e-7)
    cross, own = held_out_kernel(alone)
    np.testing.assert_allclose(cross.reshape(n, 2, n, 2), blocks[:, 2:, :, :2], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(own, np.einsum("tata->at", blocks)[2:], rtol=1e-7, atol=1e-9)
    found, joint = held_out(alone), training(together)
    assert found.mean.shape == (*((problem.outputs,) if problem.outputs > 1 else ()), 2, n)
    np.testing.assert_allclose(found.mean, joint.mean[..., 2:, :], rtol=1e-6, atol=1e-7)


def finite_differences(problem, H):
    """Covariance of the kernel's entries times N and shift of their mean times N, from F and A in these entries.

    Differences of the gradient by the entries above the diagonal, of which shares no code with the predictors.
    """
    dense, m = Dense(problem), len(H)
    basis = from_vector(np.eye(m * (m + 1) // 2), m)

    def gradient(K):
        return basis.reshape(len(basis), -1) @ dense._value_and_force(K)[1].ravel()

    def measure(K):
        total = 0.5 * (m + 1) * np.linalg.slogdet(K)[1]
        for rows, _ in dense.outputs:
            gram = problem.v * K[np.ix_(rows, rows)] + problem.kappa * np.eye(len(rows))
            total += 0.5 * np.linalg.slogdet(gram)[1]
        return total

    h = 1e-4 * np.abs(H).max()
    hessian = np.array([(gradient(H + h * E) - gradient(H - h * E)) / (2 * h) for E in basis])
    covariance = np.linalg.inv(0.5 * (hessian + hessian.T))
    force = np.array([(measure(H + h * E) - measure(H - h * E)) / (2 * h) for E in basis])
    values, modes = np.linalg.eigh(covariance)
    h = 3e-3 * np.sqrt(np.abs(H).max())
    for value, mode in zip(values, modes.T, strict=True):
        E = np.tensordot(np.sqrt(value) * mode, basis, axes=1)
        step = h / np.sqrt(max(np.abs(E).max(), 1e-3))
        force = force + 0.5 * (gradient(H + step * E) - 2 * gradient(H) + gradient(H - step * E)) / step**2
    return covariance, from_vector(-covariance @ force, m)


@pytest.mark.parametrize("seed", range(7))
def test_fluctuations_and_shifts_are_those_of_differences_of_the_density(seed):
    rng = np.random.default_rng(100 + seed)
    problem = random_problem(rng, n=3, P=1, arch=FAMILIES[seed % len(FAMILIES)])
    state = solve(problem)
    assert state.stable
    covariance, shift = finite_differences(problem, state.kernel)
    m = len(state.kernel)
    mine = kernel_covariance(state).reshape(m * m, m * m)
    basis = from_vector(np.eye(m * (m + 1) // 2), m).reshape(-1, m * m)
    np.testing.assert_allclose(basis @ mine @ basis.T, covariance, rtol=1e-5, atol=1e-6 * np.abs(covariance).max())
    np.testing.assert_allclose(kernel_sd(state, 4) ** 2, np.diagonal(mine).reshape(m, m) / 4, rtol=1e-10)
    np.testing.assert_allclose(kernel_shift(state), shift, atol=2e-3 * np.abs(shift).max())
    # outputs: their gradient and curvature in the kernel by differences
    h = 1e-3 * np.abs(state.kernel).max()

    def f(K):
        return mean_outputs(State(problem, K))

    units = from_vector(np.eye(m * (m + 1) // 2), m)
    slopes = np.array([(f(state.kernel + h * E) - f(state.kernel - h * E)) / (2 * h) for E in units])
    values, modes = np.linalg.eigh(covariance)
    bend = 0.0
    for value, mode in zip(values, modes.T, strict=True):
        E = np.tensordot(mode, units, axes=1)
        bend = bend + value * (f(state.kernel + h * E) - 2 * f(state.kernel) + f(state.kernel - h * E)) / h**2
    moved = np.tensordot(to_vector(kernel_shift(state)), slopes, axes=1)
    size = np.abs(mean_outputs(state)).max()
    np.testing.assert_allclose(output_shift(state), moved + 0.5 * bend, atol=1e-3 * size)
    spread = np.einsum("k...,kl,l...->...", slopes, covariance, slopes)
    given = training(state).scaled_variance - spread
    for c, (rows, _) in enumerate(problem.targets):
        gram = problem.v * state.kernel[np.ix_(rows, rows)] + problem.kappa * np.eye(len(rows))
        cross = problem.v * state.kernel[:, rows]
        expected = problem.v * np.diagonal(state.kernel) - np.diagonal(cross @ np.linalg.solve(gram, cross.T))
        mine = given[c, 0] if problem.outputs > 1 else given[0]
        np.testing.assert_allclose(mine, expected, atol=1e-4 * (1 + np.abs(spread).max()))


class State:
    def __init__(self, problem, kernel):
        self.problem, self.kernel = problem, kernel


@pytest.mark.parametrize("options", [{"arch": "shared:0.5", "bias": 0.2}, {"arch": "looped:2", "skip": 0.3}])
def test_the_exact_density_has_this_mean_at_large_width(options):
    y = np.full((1, 3, 2), np.nan)
    y[0, 2, 0], y[0, 1, 1] = 2.0, -1.5
    state = solve(Problem([[1.2]], y, kappa=0.5, **options))
    width = 4000
    drawn = kernel_mean(state, width, draws=60_000)
    error = np.maximum(drawn.standard_error, 1e-300)
    assert (np.abs(drawn.kernel - state.kernel - kernel_shift(state) / width) / error).max() < 5
    np.testing.assert_allclose(drawn.sd, kernel_sd(state, width), rtol=0.03)
    assert drawn.log_mass == pytest.approx(log_mass(state, width), abs=0.02)


def drawn_weights(state, N, rng):
    """W^(1) … W^(n-1) from their law given hidden states whose kernel is the solved one: a draw of the prior, moved by
    what the drives that it gives are off (Matheron's rule)."""
    problem = state.problem
    n, P = problem.n, problem.P
    h = np.linalg.qr(rng.standard_normal((N, n * P)))[0] * np.sqrt(N) @ np.linalg.cholesky(state.kernel).T
    W = np.tensordot(root(problem.sharing), rng.standard_normal((n - 1, N, N)), axes=1) * np.sqrt(problem.w / N)
    b = np.tensordot(root(problem.bias * problem.bias_sharing), rng.standard_normal((n, N)), axes=1)
    U = np.sqrt(problem.u / problem.D) * rng.standard_normal((N, problem.D))
    h = h.reshape(N, n, P)
    given, drawn = np.array(h), np.zeros_like(h)
    for t in range(n):
        drawn[:, t] = U @ problem.x[:, t].T + b[t][:, None]
        if t:
            given[:, t] -= problem.skip * h[:, t - 1]
            drawn[:, t] += W[t - 1] @ h[:, t - 1]
    ones = np.ones((P, P))
    rows = problem.x.transpose(1, 0, 2).reshape(n * P, -1)
    C = problem.u / problem.D * rows @ rows.T + problem.bias * np.kron(problem.bias_sharing, ones)
    C[P:, P:] += problem.w * np.kron(problem.sharing, ones) * state.kernel[:-P, :-P]
    off = (given - drawn).reshape(N, n * P) @ np.linalg.inv(C)[:, P:]
    before = h[:, :-1].reshape(N, -1)
    return [W[s] + problem.w / N * (off * np.repeat(problem.sharing[s], P)) @ before.T for s in range(n - 1)]


SEVERAL = Problem([[1.0]], [[3.0, -5.0, 6.0]], kappa=0.1, w=0.2)
OUTLYING = {
    "tied": endpoint(5, 400.0, arch=TIED),
    "shared": endpoint(4, 400.0, arch="shared:0.8"),
    "looped": Problem([[1.0]], [[3.0, -5.0, 6.0, -6.0]], kappa=0.1, w=0.2, arch="looped:2"),
    "skip": endpoint(4, 300.0, skip=0.5),
    "bias": endpoint(4, 300.0, bias=0.3),
    "dnn": SEVERAL.with_(arch="dnn"),
    "drift": SEVERAL.with_(arch="drift:0.6"),
}


@pytest.mark.parametrize("case", OUTLYING)
def test_outliers_are_those_of_drawn_weights_of_every_time(case):
    problem = OUTLYING[case]
    state = solve(problem)
    predicted = outliers(state)
    assert len(predicted) == (1 if problem.arch == "rnn" else problem.n - 1)
    drawn = drawn_weights(state, 500, np.random.default_rng(3))
    clear = 0
    for s, values in enumerate(predicted):
        radius = np.sqrt(problem.w * problem.sharing[s, s])
        eigenvalues = np.linalg.eigvals(drawn[s])
        outside = eigenvalues[np.abs(eigenvalues) > 1.15 * radius]
        for z in values[np.abs(values) > 1.25 * radius]:
            assert np.abs(outside - z).min() < 0.15 * radius
            clear += 1
        for z in outside:
            assert np.abs(values - z).min() < 0.15 * radius
    assert clear > 0
