"""Deep residual networks: limits of the random network's kernel, against recursions, series and sampled networks."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import Integer, Rational, Symbol, factor

from theory import depth_limit as module
from theory.depth_limit import (
    assert_limits,
    crossover_kernel,
    crossover_variance,
    prior_kernel,
    tied_kernel,
    tied_limit,
    untied_kernel,
)
from theory.sharing import DNN, RNN, SharingFamily, sharing


def test_closed_forms_solve_the_recursion():
    w = Symbol("w", positive=True)
    tied, untied = prior_kernel(RNN, 5, w), prior_kernel(DNN, 5, w)
    for s in range(5):
        for t in range(5):
            assert factor(tied[s][t] - tied_kernel(s, t, w)) == 0
            assert factor(untied[s][t] - untied_kernel(s, t, w)) == 0


@pytest.mark.parametrize("arch", ["shared:1/3", "drift:2/5", "looped:2", "rnn"])
def test_recursion_is_the_fixed_point_of_the_forward_covariance(arch):
    """``C = A⁻¹(w M∘ΣHΣᵀ + uX⁻)A⁻ᵀ`` with ``A = 1 - Σ`` gives H back."""
    n, w = 6, 0.3
    H = np.array(prior_kernel(sharing(arch), n, w))
    M = np.array(sharing(arch).matrix(n).tolist(), dtype=float)
    shift = np.eye(n, k=-1)
    inside = np.zeros((n, n))
    inside[0, 0], inside[1:, 1:] = 1, w * M * H[:-1, :-1]
    A = np.linalg.inv(np.eye(n) - shift)
    np.testing.assert_allclose(A @ inside @ A.T, H, rtol=1e-12)


def test_limits_are_derived():
    assert_limits()


def test_a_changed_closed_form_is_noticed(monkeypatch):
    w = Symbol("w", positive=True)
    sound = prior_kernel(RNN, 4, w)
    assert factor(sound[3][3] - tied_kernel(3, 3, w * Rational(1001, 1000))) != 0
    with mpmath.workdps(20):
        monkeypatch.setattr(module, "tied_limit", lambda s, t, o: tied_limit(s, t, o * mp.mpf("1.001")))
        changed = module.crossover_variance(mp.mpf(1), mp.mpf(1), mp.mpf(2))
    with mpmath.workdps(20):
        assert abs(changed - crossover_series(mp.mpf(1), mp.mpf(1), mp.mpf(2))[0]) > 1e-4


def test_tied_limit_to_forty_digits():
    """The exact kernel at n = 10⁵⁰, whose terms are products of falling factorials."""
    with mpmath.workdps(130):
        n, omega, sigma, tau = mp.mpf(10) ** 50, mp.mpf("1.7"), mp.mpf(1) / 2, mp.mpf(1)
        term, total = mp.mpf(1), mp.mpf(1)
        for k in range(1, 80):
            term *= (sigma * n - k + 1) * (tau * n - k + 1) * omega / (n * k) ** 2
            total += term
        assert abs(total - tied_limit(sigma, tau, omega)) < mp.mpf(10) ** -40
        assert abs((1 + omega / n) ** int(sigma * n) - mp.exp(omega * sigma)) < mp.mpf(10) ** -40


def crossover_series(depth, omega, alpha, order=90):
    """d(depth), and ``k(depth/2, depth)``, from the double power series of the wave equation.

    For σ ≤ τ, ``k = Σ a_ij σⁱτʲ`` with ``(i+1)(j+1)a_{i+1,j+1} = α a_ij``, ``k(0,τ) = 1``, and across the diagonal
    ``∂_σ k - ∂_τ k = ω k``, the jump that the own part of each layer makes.
    """
    first = [mp.mpf(1)]  # a_i0

    def coefficient(i, j):
        low = min(i, j)
        if j > i:
            return mp.mpf(0)
        return first[i - j] * alpha**low * mp.factorial(i - j) / (mp.factorial(i) * mp.factorial(j))

    for m in range(order):
        # the coefficient of s^m of the condition on the diagonal, linear in a_{m+1,0}
        right = mp.fsum(coefficient(i, m - i) for i in range(m + 1)) * omega
        first.append(mp.mpf(0))
        known = mp.fsum(i * coefficient(i, m + 1 - i) - (m + 1 - i) * coefficient(i, m + 1 - i) for i in range(m + 2))
        first[m + 1] = (right - known) / (m + 1)
    pairs = [(i, j) for i in range(order) for j in range(i + 1)]
    variance = mp.fsum(coefficient(i, j) * depth ** (i + j) for i, j in pairs if i + j < order)
    early = mp.fsum(coefficient(i, j) * (depth / 2) ** i * depth**j for i, j in pairs if i + j < order)
    return variance, early


@pytest.mark.parametrize(("omega", "alpha"), [("1.3", "2.6"), ("0.4", "3"), ("2", "0.1")])
def test_crossover_to_forty_digits(omega, alpha):
    with mpmath.workdps(60):
        strength, coupling, depth = mp.mpf(omega), mp.mpf(alpha), mp.mpf(1)
        variance, _ = crossover_series(depth, strength, coupling)
        assert abs(crossover_variance(depth, strength, coupling) - variance) < mp.mpf(10) ** -40


def test_crossover_between_depths_to_eight_digits():
    with mpmath.workdps(10):
        strength, coupling, depth = mp.mpf("1.3"), mp.mpf("2.6"), mp.mpf(1)
        _, early = crossover_series(depth, strength, coupling)
        assert abs(crossover_kernel(depth / 2, depth, strength, coupling) - early) < mp.mpf(10) ** -8


@pytest.mark.parametrize(
    ("arch", "power", "limit"),
    [
        ("dnn", 1, lambda o: mp.exp(o)),
        ("rnn", 2, lambda o: tied_limit(1, 1, o)),
        ("shared:1/3", 2, lambda o: tied_limit(1, 1, o / 3)),
        ("looped:3", 2, lambda o: tied_limit(1, 1, o / 3)),
        ("drift:1/5", 1, lambda o: mp.exp(o * 3 / 2)),
    ],
)
def test_finite_networks_approach_their_limit_as_one_over_n(arch, power, limit):
    omega = 0.9
    away = [
        prior_kernel(sharing(arch), n + 1, omega / n**power)[n][n] - float(limit(mp.mpf(omega))) for n in (60, 120, 240)
    ]
    assert abs(away[2]) < 0.05
    assert away[0] / away[1] == pytest.approx(2, abs=0.12)
    assert away[1] / away[2] == pytest.approx(2, abs=0.06)


def test_between_tied_and_untied():
    omega, c = 1.3, Integer(2)
    limit = float(crossover_variance(mp.mpf(1), mp.mpf(omega), mp.mpf(omega) * 2))
    away = [prior_kernel(SharingFamily("shared", c / n), n + 1, omega / n)[n][n] - limit for n in (50, 100, 200)]
    assert away[0] / away[1] == pytest.approx(2, abs=0.12)
    assert away[1] / away[2] == pytest.approx(2, abs=0.06)
    # growth with depth: at the rate Ω
    with mpmath.workdps(20):
        rate = mp.sqrt(mp.mpf(1) + 4 * mp.mpf(2))
        later, earlier = (crossover_variance(mp.mpf(x), mp.mpf(1), mp.mpf(2)) for x in (12, 11))
        assert abs(mp.log(later / earlier) - rate) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "w"), [(0.0, 1e-2), (1.0, 1e-4), (0.02, 1e-2)])
def test_sampled_networks_of_a_hundred_layers(rho, w):
    """``E[H^{nn}]`` and ``E[H^{n/2,n}]`` at width 400, over 16 networks, within five standard errors and 2 %."""
    rng, N, layers = np.random.default_rng(4), 400, 100
    expected = prior_kernel(SharingFamily("shared", Rational(rho).limit_denominator(100)), layers + 1, w)
    found = []
    for _ in range(16):
        common = rng.normal(size=(N, N))
        h = rng.normal(size=(N, 30))
        halfway = h
        for layer in range(layers):
            if layer == layers // 2:
                halfway = h
            own = rng.normal(size=(N, N)) if rho < 1 else 0
            h = h + np.sqrt(w / N) * (np.sqrt(rho) * common + np.sqrt(1 - rho) * own) @ h
        found.append([np.mean(h * h), np.mean(h * halfway)])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / 4
    for value, sd, exact in zip(mean, error, (expected[layers][layers], expected[layers // 2][layers]), strict=True):
        assert abs(value - exact) < 5 * sd + 0.02 * exact
        assert 5 * sd < 0.1 * exact
