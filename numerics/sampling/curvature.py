"""How stiff the posterior is, and how far Euler–Maruyama moves its kernel.

Derived in derivations/appendix/08_langevin_bias.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.linalg import Array, FloatArray
from numerics.sampling.network import Network, Uses, Weights, combined, joint
from numerics.sampling.readout import sampled
from numerics.sampling.sgld import Mobility

#: Standard deviation of the exponent in ``is_small`` up to which the estimate was seen to hold (to about a quarter).
LARGEST_EXPONENT = 1.0


def gauss_newton_gram(network: Network, weights: Weights, mobility: Mobility) -> FloatArray:
    """``J M Jᵀ / K``, (S, S), for the Jacobian J of the S supervised outputs by the whitened weights.

    Its eigenvalues are the non-trivial ones of the Gauss–Newton Hessian ``M^(1/2) Jᵀ J M^(1/2)/K``. J is
    never formed: each output's gradient by W is a sum over times of outer products ``δ^(t+1) φ^tᵀ``.
    """
    assert weights.V is not None
    connections = network.connections(weights)
    activity = network.forward(connections, weights.U)
    problem = network.problem
    positions = np.concatenate([at for at, _ in problem.targets])
    times, patterns = positions // problem.P, positions % problem.P
    outputs = np.repeat(np.arange(problem.outputs), [len(at) for at, _ in problem.targets])
    n, skip = problem.n, network.dtype.type(problem.skip)
    h, phi = activity.h[:, :, patterns], activity.phi[:, :, patterns]
    delta = np.zeros_like(h)
    direct = (np.atleast_2d(weights.V) * network.scale_v)[outputs].T
    for t in reversed(range(n)):
        total = direct * (times == t).astype(network.dtype)
        if t + 1 < n:
            total = total + connections.backward(t, delta[t + 1])
        delta[t] = total * network.phi.derivative(h[t])
        if skip and t + 1 < n:
            delta[t] += delta[t + 1] * skip
    delta64, phi64 = delta.astype(np.float64), phi.astype(np.float64)
    inputs = network.inputs[:, :, patterns].astype(np.float64)
    features = activity.phi[times, :, patterns].astype(np.float64)
    gram = mobility.v * network.scale_v**2 * (features @ features.T) * (outputs[:, None] == outputs)
    for t in range(n):
        for s in range(n):
            messages = delta64[t].T @ delta64[s]
            gram += mobility.u * network.scale_u**2 * messages * (inputs[t].T @ inputs[s])
            if t > 0 and s > 0 and (shared := problem.sharing[t - 1, s - 1]):
                gram += mobility.w * shared * network.scale_w**2 * messages * (phi64[t - 1].T @ phi64[s - 1])
    return np.asarray(gram / network.K)


def largest_curvature(network: Network, weights: Weights, mobility: Mobility) -> float:
    """Largest eigenvalue of the preconditioned Gauss–Newton Hessian, the prior's part included."""
    gram = gauss_newton_gram(network, weights, mobility)
    return float(np.linalg.eigvalsh(gram)[-1]) + max(mobility.u, mobility.w, mobility.v)


@dataclass(frozen=True, eq=False)
class BiasTerms:
    """One draw's contribution to the kernel's bias.

    Attributes:
        local: ``¼ ∇A·Mη + ½ ∇A·M∇L`` for each kernel entry A, (nP, nP).
        squared: ``∇L·M(η + ∇L)``, whose covariance with A enters with -¼.
    """

    local: FloatArray
    squared: float


@dataclass(frozen=True, eq=False)
class _Drift:
    """The velocity ``a η_W + b ∇_W L`` of the recurrent matrices, scaled to W."""

    eta: Array
    factors: list[tuple[Array, Array]]
    scale: float
    uses: Uses
    weight_eta: float
    weight_gradient: float

    def forward(self, step: int, phi: Array) -> Array:
        def moved(layer: int) -> Array:
            left, right = self.factors[layer]
            along = left @ (right.T @ phi)
            return np.asarray(self.weight_eta * (self.eta[layer] @ phi) + self.weight_gradient * along)

        return np.asarray(combined(self.uses[step], moved) * self.scale)

    def backward(self, step: int, delta: Array) -> Array:
        raise NotImplementedError("a velocity is only used forward")


def bias_terms(network: Network, weights: Weights, mobility: Mobility) -> BiasTerms:
    """Terms of the Euler–Maruyama bias of every kernel entry at one draw.

    To first order in the step h, ``⟨A⟩_h - ⟨A⟩ = h {¼⟨∇A·Mη⟩ + ½⟨∇A·M∇L⟩ - ¼ Cov(A, ∇L·M(η + ∇L))}`` with
    whitened weights η and mobility M.
    """
    assert weights.V is not None
    connections = network.connections(weights)
    activity = network.forward(connections, weights.U)
    likelihood = sampled(network, activity.phi, weights.V)
    assert likelihood.gradient_v is not None
    delta = network.backward(connections, activity, likelihood.source)
    gradient_u, factors = network.gradient_u(delta), network.gradient_w(delta, activity.phi)
    a, b = 0.25 * mobility.w, 0.5 * mobility.w
    drift = _Drift(weights.W, factors, network.scale_w, network.sharing.uses, a, b)
    rate = network.tangent(connections, activity, drift, mobility.u * (0.25 * weights.U + 0.5 * gradient_u))
    half = joint(rate) @ joint(activity.phi).T / network.width
    squared = mobility.u * float(np.vdot(gradient_u, weights.U + gradient_u))
    squared += mobility.v * float(np.vdot(likelihood.gradient_v, weights.V + likelihood.gradient_v))
    for layer, (left, right) in enumerate(factors):
        along = float(np.vdot(left, weights.W[layer] @ right))
        squared += mobility.w * (along + float(np.sum((left.T @ left) * (right.T @ right))))
    return BiasTerms(half + half.T, squared)


def is_small(step_size: float, squared: FloatArray) -> bool:
    """Whether first order in h can be trusted: part of the bias is that of draws with weights ``exp(-h/4 · squared)``,
    expanded in an exponent that must therefore hardly vary."""
    return bool(0.25 * step_size * squared.std() <= LARGEST_EXPONENT)


def euler_bias(step_size: float, kernels: FloatArray, local: FloatArray, squared: FloatArray) -> FloatArray:
    """First-order bias of the mean kernel at step h, estimated from draws, (nP, nP).

    Args:
        step_size: h.
        kernels: (draws, nP, nP).
        local, squared: the draws' `BiasTerms`, (draws, nP, nP) and (draws,).
    """
    covariance = np.tensordot(squared - squared.mean(), kernels - kernels.mean(axis=0), axes=1) / len(squared)
    return np.asarray(step_size * (local.mean(axis=0) - 0.25 * covariance))
