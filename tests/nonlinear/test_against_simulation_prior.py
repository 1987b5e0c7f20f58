"""Networks without data: at large width their kernel is the forward (NNGP) kernel, by the arcsine and arccosine laws.

The laws are those of Williams (1997) and of Cho and Saul (2009), written out here; tanh has no law and is integrated.
"""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.problem import Problem
from numerics.sampling.network import joint, make_network

WIDTH, DRAWS, Z_LIMIT = 1024, 60, 4.5


def average(activation, a, b, c):
    """⟨φ(x)φ(y)⟩ for variances a, b and covariance c."""
    if activation == "erf":
        return 2 / np.pi * np.arcsin(np.pi / 2 * c / np.sqrt((1 + np.pi / 2 * a) * (1 + np.pi / 2 * b)))
    if activation == "relu":
        angle = np.arccos(np.clip(c / np.sqrt(a * b), -1, 1))
        return np.sqrt(a * b) / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    x = np.sqrt(a) * nodes[:, None]
    y = c / np.sqrt(a) * nodes[:, None] + np.sqrt(max(b - c * c / a, 0)) * nodes
    return float(weights @ (np.tanh(x) * np.tanh(y)) @ weights)


def forward_kernel(problem, activation, mask):
    """``Φ = ⟨φφᵀ⟩`` over N(0, w[Φ⁻] + uX⁻), time after time."""
    n, P = problem.n, problem.P
    drive = problem.u * np.einsum("psd,qtd->sptq", problem.x, problem.x) / problem.D
    kernel, C = np.zeros((n, P, n, P)), np.zeros((n, P, n, P))
    for t in range(n):
        for s in range(t + 1):
            C[t, :, s] = drive[t, :, s]
            if s > 0 and (mask == "rnn" or s == t):
                C[t, :, s] += problem.w * kernel[t - 1, :, s - 1]
            C[s, :, t] = C[t, :, s].T
        for s in range(t + 1):
            for p in range(P):
                for q in range(P):
                    law = average(activation, C[t, p, t, p], C[s, q, s, q], C[t, p, s, q])
                    kernel[t, p, s, q] = kernel[s, q, t, p] = law
    return kernel.reshape(n * P, n * P)


def sampled(problem, activation):
    """Kernels of networks drawn from the prior, (draws, nP, nP)."""
    rng = np.random.default_rng(8)
    network = make_network(problem.with_(activation=activation), WIDTH, "float32")
    kernels = []
    for _ in range(DRAWS):
        weights = network.prior_draw(rng, readout=False)
        phi = joint(network.forward(network.connections(weights), weights.U).phi)
        kernels.append(phi @ phi.T / WIDTH)
    return np.array(kernels)


def problem(arch):
    """Two patterns with inputs at two times, so that times are correlated from the start."""
    rng = np.random.default_rng(1)
    return Problem(rng.standard_normal((2, 2, 3)), np.ones((2, 3)), arch=arch, u=1.4, w=1.7)


def worst(kernels, predicted):
    """Largest |z| of the mean; the bias at this width, of relative order 1/N, is allowed for."""
    error = np.hypot(kernels.std(axis=0, ddof=1) / np.sqrt(len(kernels)), 1 / WIDTH * np.abs(predicted).max())
    return float(np.abs((kernels.mean(axis=0) - predicted) / error).max())


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("activation", ["erf", "tanh", "relu"])
def test_networks_without_data_have_the_forward_kernel(activation, arch):
    kernels = sampled(problem(arch), activation)
    assert worst(kernels, forward_kernel(problem(arch), activation, arch)) < Z_LIMIT
    # the other mask, another activation and a wrong prior width are all noticed
    other = "dnn" if arch == "rnn" else "rnn"
    assert worst(kernels, forward_kernel(problem(arch), activation, other)) > 2 * Z_LIMIT
    wrong = {"erf": "relu", "tanh": "erf", "relu": "erf"}[activation]
    assert worst(kernels, forward_kernel(problem(arch), wrong, arch)) > Z_LIMIT
    assert worst(kernels, forward_kernel(problem(arch).with_(w=1.5), activation, arch)) > Z_LIMIT
