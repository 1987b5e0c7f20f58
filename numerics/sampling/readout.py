"""The likelihood as a function of the activations: with the read-out sampled, or integrated out exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotri

from numerics.linalg import FloatArray
from numerics.sampling.network import Array, Network, joint


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Value and derivatives of L, the negative log-likelihood up to a constant.

    Attributes:
        value: L.
        source: ``∂L/∂φ(h^t)`` with the read-out held fixed, (n, N, P).
        gradient_v: ``∂L/∂η_V``, (N,), or None where the read-out is integrated out.
    """

    value: float
    source: Array
    gradient_v: Array | None


def sampled(network: Network, phi: Array, eta_v: Array) -> Likelihood:
    """``L = Σ (f - y)²/(2K)`` with ``f^(t+1) = V φ(h^t)`` and ``K = κ/N`` (docs/theory.md section 1)."""
    features = network.features(phi)
    error = (features @ eta_v) * network.scale_v - network.labels
    pull = error / network.dtype.type(network.K)
    exact = error.astype(np.float64)
    value = 0.5 * float(exact @ exact) / network.K
    source = network.scatter((pull * network.scale_v)[:, None] * eta_v[None, :])
    return Likelihood(value, source, (pull @ features) * network.scale_v)


def marginal(network: Network, phi: Array) -> Likelihood:
    """``L = ½ N yᵀ(vΦ_𝒯𝒯 + κ)^(-1) y + ½ ln|vΦ_𝒯𝒯 + κ|``, the likelihood with V integrated out.

    f is linear in V whatever the activation, so given the activations the outputs are jointly Gaussian with
    covariance
    ``(vΦ + κ)/N``: the integral is exact. Its derivative by a feature is ``(2/N) (∂L/∂Φ) φ``.
    """
    problem, N = network.problem, network.width
    features = network.features(phi)
    exact = features.astype(np.float64)
    kernel = exact @ exact.T / N
    kernel *= problem.v
    kernel.flat[:: len(kernel) + 1] += problem.kappa
    factor = np.linalg.cholesky(kernel)
    log_determinant = 2 * float(np.log(factor.diagonal()).sum())
    inverse = dpotri(factor, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T if len(inverse) > 1 else inverse
    solved = inverse @ problem.labels
    value = 0.5 * N * float(problem.labels @ solved) + 0.5 * log_determinant
    by_kernel = 0.5 * problem.v * (inverse - N * np.outer(solved, solved))
    source = network.scatter((2 / N * by_kernel).astype(network.dtype) @ features)
    return Likelihood(value, source, None)


def draw_readout(rng: np.random.Generator, network: Network, phi: Array) -> Array:
    """η_V from its exact conditional law given the activations, (N,).

    A prior draw of V and of the noise is corrected by the regression of V on the outputs (Matheron's rule).
    """
    features = network.features(phi).astype(np.float64) * network.scale_v
    eta = rng.standard_normal(network.width)
    noise = math.sqrt(network.K) * rng.standard_normal(len(features))
    covariance = features @ features.T + network.K * np.eye(len(features))
    missing = network.problem.labels - features @ eta - noise
    return (eta + features.T @ np.linalg.solve(covariance, missing)).astype(network.dtype)


def mean_outputs(network: Network, phi: Array, test_phi: Array | None, eta_v: Array | None) -> FloatArray:
    """Outputs f of all patterns, then the test patterns, (P + Q, n).

    Where the read-out is integrated out (`eta_v` None) these are conditional means,
    ``⟨f_a⟩ = v Φ_{a𝒯} (vΦ_𝒯𝒯 + κ)^(-1) y``, with the empirical kernel of this draw.
    """
    everything = phi if test_phi is None else np.concatenate([phi, test_phi], axis=2)
    activations = joint(everything)
    if eta_v is not None:
        outputs = activations @ eta_v.astype(np.float64) * network.scale_v
    else:
        problem = network.problem
        features = network.features(phi).astype(np.float64)
        kernel = problem.v * (features @ features.T) / network.width
        solved = np.linalg.solve(kernel + problem.kappa * np.eye(len(kernel)), problem.labels)
        outputs = problem.v / network.width * (activations @ (features.T @ solved))
    return outputs.reshape(everything.shape[0], everything.shape[2]).T
