"""Averages over normal laws: the known kernel of erf, points of other activations, and their derivative."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.activation import NAMED
from numerics.nonlinear.normal import NormalKernel


def random_covariance(seed, size, m=6):
    factor = np.random.default_rng(seed).standard_normal((m, m - 2))
    return size**2 * (factor @ factor.T + 0.05 * np.eye(m))


@pytest.mark.parametrize(("size", "error"), [(0.1, 1e-13), (1.0, 1e-7), (5.0, 1e-4)])
def test_the_kernel_of_erf_is_the_arcsine(size, error):
    for seed in range(5):
        S = random_covariance(seed, size)
        scale = 1 + np.pi / 2 * np.diagonal(S)
        exact = 2 / np.pi * np.arcsin(np.pi / 2 * S / np.sqrt(np.outer(scale, scale)))
        np.testing.assert_allclose(NormalKernel(NAMED["erf"], S).kernel, exact, rtol=0, atol=error)


@pytest.mark.parametrize("size", [0.3, 0.7])
def test_the_kernel_of_tanh_is_that_of_a_product_rule(size):
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = np.outer(weights, weights) / weights.sum() ** 2
    S = random_covariance(1, size)
    L = np.linalg.cholesky(S[:2, :2])
    one, other = np.tanh(L[0, 0] * nodes)[:, None], np.tanh(L[1, 0] * nodes[:, None] + L[1, 1] * nodes)
    kernel = NormalKernel(NAMED["tanh"], S).kernel
    assert kernel[0, 1] == pytest.approx(np.sum(weights * one * other), abs=1e-6)
    assert kernel[0, 0] == pytest.approx(np.sum(weights * one**2), abs=1e-6)


@pytest.mark.parametrize("activation", ["linear", "erf", "tanh"])
@pytest.mark.parametrize("size", [0.3, 1.0, 5.0])
def test_the_gradient_is_the_derivative(activation, size):
    phi, rng = NAMED[activation], np.random.default_rng(2)
    S, tilt, change = random_covariance(3, size), *(a + a.T for a in rng.standard_normal((2, 6, 6)))
    step = 1e-5 * size**2 * change
    difference = NormalKernel(phi, S + step).kernel - NormalKernel(phi, S - step).kernel
    along = np.vdot(NormalKernel(phi, S).gradient(tilt), 2 * step)
    assert along == pytest.approx(np.vdot(tilt, difference), rel=1e-6)


def test_independent_rows_have_the_slope_of_their_polynomials():
    S = np.diag([0.5, 2.0])
    tilt = np.array([[0.0, 1.0], [1.0, 0.0]])
    step = 1e-6 * tilt
    along = np.vdot(NormalKernel(NAMED["tanh"], S).gradient(tilt), step)
    difference = NormalKernel(NAMED["tanh"], S + step).kernel - NormalKernel(NAMED["tanh"], S).kernel
    assert along == pytest.approx(np.vdot(tilt, difference), rel=1e-6)
