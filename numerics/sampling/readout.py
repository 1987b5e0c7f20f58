"""The likelihood as a function of the activations: with the read-out sampled, or integrated out exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from numerics.linalg import Array, FloatArray
from numerics.sampling.network import Network, joint
from numerics.sampling.supervision import Supervision


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Value and derivatives of L, the negative log-likelihood up to a constant.

    Attributes:
        value: L.
        source: ``∂L/∂φ(h^t)`` with the read-out held fixed, (n, N, P).
        gradient_v: ``∂L/∂η_V``, shaped like it, or None where the read-out is integrated out.
    """

    value: float
    source: Array
    gradient_v: Array | None


def sampled(network: Network, phi: Array, eta_v: Array) -> Likelihood:
    """``L = Σ (f_c - y_c)²/(2K)`` with ``f_c^(t+1) = V_c φ(h^t)`` and ``K = κ/N`` (docs/theory.md section 12)."""
    value, sources, gradients = 0.0, [], []
    for where in network.supervision:
        features, eta = where.features(phi), eta_v if eta_v.ndim == 1 else eta_v[where.outputs]
        error = (features @ eta.T) * network.scale_v - where.labels
        pull = error / network.dtype.type(network.K)
        exact = error.astype(np.float64)
        value += 0.5 * float(np.vdot(exact, exact)) / network.K
        sources.append((where, _products(pull * network.scale_v, eta)))
        gradients.append((pull.T @ features) * network.scale_v)
    gradient_v = gradients[0]
    if eta_v.ndim > 1:
        order = np.argsort(np.concatenate([where.outputs for where in network.supervision]))
        gradient_v = np.concatenate(gradients)[order]
    return Likelihood(value, network.scatter(sources), gradient_v)


def marginal(network: Network, phi: Array) -> Likelihood:
    """``L = ½ Σ_c [N y_cᵀ(vΦ_𝒯𝒯 + κ)^(-1) y_c + ln|vΦ_𝒯𝒯 + κ|]``, 𝒯 that of output c: V is integrated out.

    f is linear in V whatever the activation, so given the activations the outputs are jointly Gaussian, independent of
    each other, with covariance ``(vΦ + κ)/N``: the integral is exact. Its derivative by a feature is
    ``(2/N) (∂L/∂Φ) φ``.
    """
    value, sources = 0.0, []
    for where in network.supervision:
        features = where.features(phi)
        exact = features.astype(np.float64)
        part, by_overlap = evidence(network, where, exact @ exact.T)
        value += part
        sources.append((where, by_overlap.astype(network.dtype) @ features))
    return Likelihood(value, network.scatter(sources), None)


def evidence(network: Network, where: Supervision, overlap: FloatArray) -> tuple[float, FloatArray]:
    """The part of `marginal` of outputs that share their positions, for ``N Φ_𝒯𝒯``; and ``(2/N) ∂L/∂Φ``.

    Raises:
        LinAlgError: ``vΦ + κ`` is not positive definite, or not finite.
    """
    problem, N = network.problem, network.width
    one = _one(len(overlap))
    factor, failed = dpotrf(overlap * (problem.v / N) + problem.kappa * one, lower=1)
    if failed:
        raise np.linalg.LinAlgError
    log_determinant = 2 * float(np.log(factor.diagonal()).sum())
    inverse = dpotrs(factor, one, lower=1)[0]
    labels, count = where.exact_labels, len(where.outputs)
    solved = inverse.dot(labels)
    value = 0.5 * N * float(np.vdot(labels, solved)) + 0.5 * count * log_determinant
    return value, (problem.v / N) * (count * inverse - N * _products(solved, solved.T))


@lru_cache(maxsize=16)
def _one(size: int) -> FloatArray:
    return np.eye(size)


def _products(left: Array, right: Array) -> Array:
    """``left @ right``, of vectors the outer product."""
    return np.asarray(left[:, None] * right if left.ndim == 1 else left @ right)


def draw_readout(rng: np.random.Generator, network: Network, phi: Array) -> Array:
    """η_V from its exact conditional law given the activations, shaped like it.

    A prior draw of V and of the noise is corrected by the regression of V on the outputs (Matheron's rule).
    """
    rows = np.empty((network.problem.outputs, network.width))
    for where in network.supervision:
        features = where.features(phi).astype(np.float64) * network.scale_v
        covariance = features @ features.T + network.K * np.eye(len(features))
        labels = where.exact_labels.reshape(len(features), -1)
        for output, wanted in zip(where.outputs, labels.T, strict=True):
            eta = rng.standard_normal(network.width)
            noise = math.sqrt(network.K) * rng.standard_normal(len(features))
            rows[output] = eta + features.T @ np.linalg.solve(covariance, wanted - features @ eta - noise)
    return (rows if len(rows) > 1 else rows[0]).astype(network.dtype)


def mean_outputs(network: Network, phi: Array, test_phi: Array | None, eta_v: Array | None) -> FloatArray:
    """Outputs f of all patterns, then the test patterns, (P + Q, n), or (O, P + Q, n) of several outputs.

    Where the read-out is integrated out (`eta_v` None) these are conditional means,
    ``⟨f_a⟩ = v Φ_{a𝒯} (vΦ_𝒯𝒯 + κ)^(-1) y``, with the empirical kernel of this draw.
    """
    everything = phi if test_phi is None else np.concatenate([phi, test_phi], axis=2)
    activations = joint(everything)
    times, _, patterns = everything.shape
    problem = network.problem
    if eta_v is not None:
        outputs = activations @ eta_v.T.astype(np.float64) * network.scale_v
    else:
        outputs = np.empty((len(activations), problem.outputs))
        for where in network.supervision:
            features = where.features(phi).astype(np.float64)
            kernel = problem.v * (features @ features.T) / network.width
            solved = np.linalg.solve(kernel + problem.kappa * np.eye(len(kernel)), where.exact_labels)
            means = problem.v / network.width * (activations @ (features.T @ solved))
            outputs[:, where.outputs] = means.reshape(len(means), -1)
    shaped = outputs.T.reshape(-1, times, patterns).transpose(0, 2, 1)
    return shaped if problem.outputs > 1 else shaped[0]
