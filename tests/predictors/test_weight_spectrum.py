"""Singular values of W^(s) outside the bulk: against matrices drawn from their law given the hidden states."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import eigsh
from scipy.special import erf

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.predictors.weight_spectrum import singular_outliers, squared_growth
from numerics.sampling import chains, simulate
from tests.width_trend import width_trend

BLOCKS = [[1.0, 0.5, 0.0], [0.5, 2.0, -0.3], [0.0, -0.3, 1.5]]
PHI = {
    "linear": lambda h: h,
    "erf": lambda h: erf(np.sqrt(np.pi) * h / 2),
    "tanh": np.tanh,
    "relu": lambda h: np.maximum(h, 0),
}
CASES = {
    "rnn": {},
    "dnn": {"arch": "dnn", "w": 0.5},
    "shared": {"arch": "shared:0.6", "activation": "tanh"},
    "matrix": {"arch": BLOCKS, "activation": "erf", "w": 1.4},
    "looped, skip and bias": {"arch": "looped:2", "skip": 0.5, "bias": 0.7, "activation": "relu"},
    "drift, skip": {"arch": "drift:0.7", "skip": 1.0, "w": 0.8},
}


def problem_of(options, rng):
    """Two patterns, inputs in three dimensions at two times."""
    y = np.full((2, 4), np.nan)
    y[:, -1] = 1.0
    return Problem(rng.normal(size=(2, 2, 3)), y, **options)


def drawn_matrices(problem, h, rng):
    """All W^(s) from their prior conditioned on the hidden states h (N, n, P), with U and b integrated out."""
    N, n, P = h.shape
    phi = PHI[problem.activation.name](h)
    B, sent = problem.bias_sharing, [phi[:, t] for t in range(n - 1)]
    C = np.zeros((n, P, n, P))
    for t in range(n):
        for s in range(n):
            C[t, :, s] = problem.u * problem.x[:, t] @ problem.x[:, s].T / problem.D + problem.bias * B[t, s]
            if t and s:
                C[t, :, s] += problem.w * problem.sharing[t - 1, s - 1] * sent[t - 1].T @ sent[s - 1] / N
    root = np.linalg.cholesky(problem.sharing + 1e-12 * np.eye(n - 1))
    own = rng.normal(size=(n - 1, N, N))
    W = np.sqrt(problem.w / N) * np.einsum("sk,kij->sij", root, own)
    offsets = np.linalg.cholesky(B + 1e-12 * np.eye(n)) @ rng.normal(size=(n, N))
    U = rng.normal(size=(N, problem.D)) * np.sqrt(problem.u / problem.D)
    missing = np.zeros((N, n, P))
    for t in range(n):
        drive = h[:, t] - (problem.skip * h[:, t - 1] if t else 0)
        given = U @ problem.x[:, t].T + np.sqrt(problem.bias) * offsets[t][:, None]
        missing[:, t] = drive - given - (W[t - 1] @ sent[t - 1] if t else 0)
    pull = np.linalg.solve(C.reshape(n * P, -1), missing.reshape(N, -1).T).reshape(n, P, N)
    for s in range(n - 1):
        for t in range(n - 1):
            W[s] += problem.w / N * problem.sharing[s, t] * pull[t + 1].T @ sent[t].T
    return W


@pytest.mark.parametrize("case", CASES)
def test_singular_values_of_drawn_weights(case):
    """Hidden states of any kernel, not those of a stationary state; N = 500."""
    rng, N = np.random.default_rng(list(CASES).index(case)), 500
    problem = problem_of(CASES[case], rng)
    n, P = problem.n, problem.P
    mixing = rng.normal(size=(n * P, n * P)) * 1.5
    h = (rng.normal(size=(N, n * P)) @ mixing.T).reshape(N, n, P)
    phi = PHI[problem.activation.name](h)
    kernel, second = (a.reshape(N, -1).T @ a.reshape(N, -1) / N for a in (phi, h))
    growth = squared_growth(problem, kernel, second)
    assert len(growth) == (1 if case == "rnn" else n - 1)
    seen = 0
    for s, (W, alpha) in enumerate(zip(drawn_matrices(problem, h, rng), growth, strict=False)):
        fresh = problem.w * problem.sharing[s, s]
        expected = np.array([a / np.sqrt(a - fresh) for a in alpha if a > 2 * fresh])
        values = np.linalg.svd(W, compute_uv=False)
        clear = expected > 2.1 * np.sqrt(fresh)
        seen += clear.sum()
        np.testing.assert_allclose(values[: clear.sum()], expected[clear], rtol=0.05)
        assert values[len(expected)] < 2.12 * np.sqrt(fresh)
        # the squared growth itself, of all directions, but for fluctuations: 2√(directions/N) at most where W is fresh
        sent = phi[:, : n - 1].reshape(N, -1)
        taken = W @ sent
        exact = np.sort(np.linalg.eigvals(np.linalg.solve(sent.T @ sent, taken.T @ taken)).real)[::-1]
        np.testing.assert_allclose(alpha, exact, rtol=0.05, atol=2 * fresh * np.sqrt(len(alpha) / N))
    assert seen >= 2


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_incoherent_state_has_them_beyond_growth_two(arch):
    """r = 2 is the threshold; at T = 4 it is the critical point of the RNN too."""
    for r in (1.9, 2.1):
        signal = (r - 1) * (r**3 + 1) ** 2 / r**3
        state = solve(endpoint(4, signal, arch=arch))
        found = singular_outliers(state)
        assert [len(values) for values in found] == ([0] * len(found) if r < 2 else [1] * len(found))
        if r > 2 and arch == "dnn":
            for values in found:
                assert values[0] == pytest.approx(r / np.sqrt(r - 1), rel=1e-8)


@pytest.mark.parametrize("w", [0.3, 2.0])
def test_coherent_state_of_any_scale(w):
    s = 3.0
    kappa = w**2 / 2
    signal = (4 * s * (s - 1) ** 2 + 0.5) ** 2 / (4 * s * (s - 1))
    (values,) = singular_outliers(solve(endpoint(4, signal, w=w, kappa=kappa)))
    alpha = s + np.sqrt(s * (s - 2))
    np.testing.assert_allclose(values, [np.sqrt(w) * alpha / np.sqrt(alpha - 1)], rtol=1e-7)


@pytest.mark.parametrize("correlation", [0.5, 0.8])
def test_coherent_state_of_partly_shared_weights(correlation):
    """√((1+ρ)s) for both matrices (docs/theory.md section 8)."""
    s, gain = 4.0, 1 + correlation
    signal = (gain**2 * s * (s - 1) ** 2 + 1) ** 2 / (gain**2 * s * (s - 1))
    found = singular_outliers(solve(endpoint(4, signal, arch=f"shared:{correlation}")))
    for values in found:
        np.testing.assert_allclose(values, [np.sqrt(gain * s)], rtol=1e-7)
    assert len(found) == 2


def test_equal_outputs_have_each_twice():
    """Two orthogonal outputs of one signal: whichever minimum of the manifold is found (docs/theory.md section 12)."""
    y = np.full((2, 3, 2), np.nan)
    y[:, -1] = np.sqrt(49.0**2 / 24) * np.eye(2)
    (values,) = singular_outliers(solve(Problem(np.sqrt(2) * np.eye(2), y)))
    np.testing.assert_allclose(values, [np.sqrt(6)] * 2, rtol=1e-7)


def test_equal_patterns_are_one():
    once = endpoint(4, 60.0)
    twice = Problem(np.repeat(once.x, 2, axis=0), np.repeat(once.y, 2, axis=0), kappa=2.0)
    (expected,), (found,) = singular_outliers(solve(once)), singular_outliers(solve(twice))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_wrong_shape_is_one_line():
    with pytest.raises(InputError, match=r"^kernel: has shape \(2, 2\); accepted: \(3, 3\)$"):
        squared_growth(endpoint(4, 1.0), np.eye(2), np.eye(3))


def leading_singular_values(weights):
    """In place of the simulator's eigenvalues: W's two largest singular values, in units of √w."""
    eta = weights.W[0].astype(np.float64)
    return np.sqrt(eigsh(eta @ eta.T, k=2, return_eigenvectors=False)[::-1] / len(eta)).astype(complex)


@pytest.mark.slow
def test_singular_values_of_sampled_networks(monkeypatch):
    """RNNs at T = 4, s = 3: σ = √6 for the largest, the bulk's edge 2 for the next, by their trend in 1/N to N = 512.

    The edge is approached as N^(-2/3), so that the second is compared at a width's distance from it only.
    """
    monkeypatch.setattr(chains, "leading_eigenvalues", leading_singular_values)
    signal = 49.0**2 / 24
    (predicted,) = singular_outliers(solve(endpoint(4, signal)))
    assert predicted == pytest.approx([np.sqrt(6)], rel=1e-8)
    widths, means, errors = (128, 256, 512), [], []
    for width in widths:
        runs = simulate(endpoint(4, signal), width, steps=240, warmup=80, chains=4, seed=5, workers=1, init="coherent")
        values = np.array([drawn.values.real for drawn in runs.spectra])
        chain = np.array([drawn.chain for drawn in runs.spectra])
        of_chains = np.array([values[chain == k, 0].mean() for k in range(4)])
        means.append(of_chains.mean())
        errors.append(max(of_chains.std(ddof=1) / 2, values[:, 0].std(ddof=1) / np.sqrt(len(values))))
        assert abs(values[:, 1].mean() - 2) < 3 * width ** (-2 / 3)
    trend = width_trend(widths, means, errors)
    assert trend.limit_standard_error < 0.02
    assert abs(trend.limit - np.sqrt(6)) < 4 * trend.limit_standard_error
    # what W would have if its noise did not fill the directions beside the state's: the largest singular value of ⟨W⟩
    assert abs(trend.limit - np.sqrt(3 + np.sqrt(3))) > 10 * trend.limit_standard_error


@pytest.mark.slow
def test_eigenvalues_of_sampled_networks_with_two_equal_outputs():
    """Sixteen RNNs from the prior, N = 256: |z| = √3 in each, its phase anywhere (docs/theory.md section 12)."""
    y = np.full((2, 3, 2), np.nan)
    y[:, -1] = np.sqrt(49.0**2 / 24) * np.eye(2)
    problem = Problem(np.sqrt(2) * np.eye(2), y)
    runs = simulate(problem, 256, steps=60, warmup=60, chains=16, seed=3, workers=1)
    pairs = np.array([drawn.values[:2] for drawn in runs.spectra])
    chain = np.array([drawn.chain for drawn in runs.spectra])
    sizes = np.sqrt(np.abs(pairs[:, 0] * pairs[:, 1]))
    means = np.array([sizes[chain == k].mean() for k in range(16)])
    error = means.std(ddof=1) / np.sqrt(16)
    assert error < 0.01
    assert abs(means.mean() - np.sqrt(3)) < 4 * error
    last = np.array([pairs[chain == k][-1] for k in range(16)])
    reflections = (last.imag == 0).all(axis=1) & (last.real.prod(axis=1) < 0)
    assert 1 <= reflections.sum() <= 15
    phases = np.abs(np.angle(last[~reflections, 0]))
    assert np.ptp(phases) > 0.5
