"""The kernel at finite width: against exact theory, and against the exact density integrated without any expansion."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy

from numerics import solve, solve_all
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.inputs.teachers import sequence
from numerics.predictors.finite_width import kernel_mean, kernel_sd, kernel_shift
from tests.predictors.covariances import kernel_covariance
from theory import symbols
from theory.coherent_branch import coherent_branch
from theory.fluctuations import (
    coherent_covariance,
    coherent_mean_shift,
    incoherent_covariance_matrix,
    incoherent_mean_shift,
)

PAIRS = [(t, s) for t in range(1, 4) for s in range(t, 4)]


def as_matrix(entries, point):
    H = np.zeros((3, 3))
    for (t, s), value in entries.items():
        H[t - 1, s - 1] = H[s - 1, t - 1] = float(sympy.sympify(value).subs(point))
    return H


@pytest.mark.slow
def test_coherent_state_matches_the_closed_forms():
    kappa = sympy.Rational(1, 2)
    branch = coherent_branch(kappa)
    point = {branch.parameter: sympy.Rational(27, 10)}
    state = solve(endpoint(4, float(branch.signal.subs(point)), kappa=0.5))
    np.testing.assert_allclose(state.kernel, as_matrix(branch.kernel, point), rtol=1e-9)
    np.testing.assert_allclose(kernel_shift(state), as_matrix(coherent_mean_shift(branch), point), rtol=1e-6)
    exact = np.array(coherent_covariance(branch).subs(point).evalf(), dtype=float)
    mine = kernel_covariance(state)
    places = [(t - 1, s - 1) for t, s in PAIRS]
    mine = np.array([[mine[(*a, *b)] for b in places] for a in places])
    np.testing.assert_allclose(mine, exact, rtol=1e-7)
    np.testing.assert_allclose(kernel_sd(state, 100) ** 2, np.einsum("abab->ab", kernel_covariance(state) / 100))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_incoherent_state_matches_the_closed_forms(arch):
    ratio, units = sympy.Rational(8, 5), {symbols.u: 1, symbols.v: 1, symbols.w: 1, symbols.kappa: 1}
    signal = float((ratio - 1) * (ratio**3 + 1) ** 2 / ratio**3)
    state = solve(endpoint(4, signal, arch=arch))
    exact = incoherent_covariance_matrix(4, arch).subs(units).subs(symbols.r, ratio)
    for i, (t, s) in enumerate(PAIRS):
        assert kernel_sd(state, 1)[t - 1, s - 1] ** 2 == pytest.approx(float(exact[i, i]), rel=1e-8)
    if arch == "rnn":
        shift = as_matrix(incoherent_mean_shift(4), {symbols.r: ratio, symbols.kappa: 1})
        np.testing.assert_allclose(kernel_shift(state), shift, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_shift_is_that_of_the_exact_density(arch):
    """T = 3 at finite N by Gauss-Hermite quadrature of ``exp(-N F - A)``: the remainder falls as 1/N²."""
    signal, kappa = 6.0, 1.0
    state = solve(endpoint(3, signal, kappa=kappa, arch=arch))
    L = np.linalg.cholesky(state.kernel)
    nodes, weights = np.polynomial.hermite.hermgauss(44)
    x, y, z = np.meshgrid(nodes, nodes, nodes, indexing="ij")
    w3 = np.einsum("i,j,k->ijk", weights, weights, weights)

    def mean(N):
        # H = L(1+S)L' with S over a Gaussian grid a little wider than the density
        scale = 1.5 / np.sqrt(N)
        S = np.stack([scale * x * np.sqrt(2), scale * y, scale * z * np.sqrt(2)], axis=-1)
        a, b, c = 1 + S[..., 0], S[..., 1], 1 + S[..., 2]
        h11 = L[0, 0] ** 2 * a
        h12 = L[0, 0] * (a * L[1, 0] + b * L[1, 1])
        h22 = L[1, 0] ** 2 * a + 2 * L[1, 0] * L[1, 1] * b + L[1, 1] ** 2 * c
        determinant = h11 * h22 - h12**2
        inside = (determinant > 0) & (h11 > 0)
        safe = np.where(inside, determinant, 1.0)
        h11s, h22s = np.where(inside, h11, 1.0), np.where(inside, h22, 1.0)
        F = 0.5 * signal / (h22s + kappa) + 0.5 * (h11s + h22s / h11s) - 0.5 * np.log(safe / h11s)
        A = 0.5 * np.log(h22s + kappa) + 1.5 * np.log(safe)
        exponent = -(N * F + A) + x**2 + y**2 + z**2
        exponent = np.where(inside, exponent - exponent[inside].max(), -np.inf)
        p = w3 * np.exp(exponent)
        return np.array([(p * h).sum() / p.sum() for h in (h11, h12, h22)])

    shift, flat = kernel_shift(state), (state.kernel[0, 0], state.kernel[0, 1], state.kernel[1, 1])
    predicted = np.array([shift[0, 0], shift[0, 1], shift[1, 1]])
    drawn = kernel_mean(state, 200)
    assert drawn.ess > 1e5
    difference = np.array([drawn.kernel[i] for i in ((0, 0), (0, 1), (1, 1))]) - mean(200)
    assert (np.abs(difference) < 4 * np.array([drawn.standard_error[i] for i in ((0, 0), (0, 1), (1, 1))])).all()
    errors = [N * (mean(N) - flat) - predicted for N in (200, 400, 800)]
    np.testing.assert_allclose(errors[2], 0, atol=0.05 * np.abs(predicted).max())
    for coarse, fine in itertools.pairwise(errors):
        big = np.abs(coarse) > 1e-3
        np.testing.assert_allclose(coarse[big] / fine[big], 2.0, rtol=0.2)


def test_refusals():
    state = solve(endpoint(4, 20.0))
    with pytest.raises(InputError, match="width: is 0"):
        kernel_sd(state, 0)
    unstable = next(s for s in solve_all(endpoint(4, 20.0)) if not s.stable)
    with pytest.raises(InputError, match="no minimum"):
        kernel_shift(unstable)
    assert kernel_sd(solve(sequence(4, 1.0, 1.0, (1, 3))), 10).shape == (6, 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("T", "signal", "arch"), [(4, 20.0, "rnn"), (4, 6.0, "rnn"), (5, 20.0, "rnn"), (4, 20.0, "dnn")]
)
def test_mean_at_large_width_is_the_shift(T, signal, arch):
    state = solve(endpoint(T, signal, arch=arch))
    drawn = kernel_mean(state, 20_000, one_sign=state.branch == "coherent")
    z = (drawn.kernel - state.kernel - kernel_shift(state) / 20_000) / drawn.standard_error
    assert np.abs(z).max() < 4.5
    # the draws are the same for the same seed, and others for another
    again, other = kernel_mean(state, 300, draws=2000), kernel_mean(state, 300, draws=2000, seed=1)
    np.testing.assert_array_equal(again.kernel, kernel_mean(state, 300, draws=2000).kernel)
    assert not np.array_equal(again.kernel, other.kernel)
