"""Where a chain may be told to start: the law of one neuron's trajectory, and weights that give drawn trajectories."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from numerics.errors import InputError
from numerics.linalg import Array, FloatArray
from numerics.sampling.network import Network, Weights

#: Eigenvalues of the trajectories' covariance below this, relative (unit diagonal), are none.
_NULL = 1e-10
#: Trajectories that the weights miss by more, relative to their size, are not had at this width.
_MISSED = 1e-3


@dataclass(frozen=True, eq=False)
class GaussianLaw:
    """Trajectories h ~ N(0, H): those of a linear network whose kernel is H.

    Attributes:
        covariance: H, (nP, nP), time-major index ``(t-1) P + p``; it may be singular.

    Raises:
        InputError: it is no covariance.
    """

    covariance: FloatArray

    def __post_init__(self) -> None:
        H = self.covariance
        square = H.ndim == 2 and H.shape[0] == H.shape[1]
        if not square or not np.isfinite(H).all() or not np.allclose(H, H.T, rtol=1e-6, atol=1e-9 * np.abs(H).max()):
            raise InputError("law: its covariance is not symmetric and finite; accepted: a kernel (nP, nP)")

    @property
    def size(self) -> int:
        """nP."""
        return len(self.covariance)

    def arrays(self) -> tuple[FloatArray, ...]:
        """Everything that draws depend on."""
        return (self.covariance,)

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Independent trajectories, (count, nP)."""
        values, vectors = np.linalg.eigh(self.covariance)
        factor = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(rng.standard_normal((count, self.size)) @ factor.T)


@dataclass(frozen=True, eq=False)
class WeightedLaw:
    """Trajectories drawn from weighted points: those of a nonlinear network, whose law is no Gaussian.

    Attributes:
        points: h, (K, nP), time-major index.
        probability: of each, (K,), of sum 1.

    Raises:
        InputError: these are no points with probabilities.
    """

    points: FloatArray
    probability: FloatArray

    def __post_init__(self) -> None:
        p = self.probability
        shaped = self.points.ndim == 2 and p.shape == self.points.shape[:1]
        if not shaped or not np.isfinite(self.points).all() or (p < 0).any() or not math.isclose(p.sum(), 1.0):
            raise InputError("law: its points are not finite, (K, nP), with probabilities (K,); accepted: such a law")

    @property
    def size(self) -> int:
        """nP."""
        return int(self.points.shape[1])

    def arrays(self) -> tuple[FloatArray, ...]:
        """Everything that draws depend on."""
        return (self.points, self.probability)

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Independent trajectories, (count, nP)."""
        return np.asarray(self.points[rng.choice(len(self.points), count, p=self.probability)])


TrajectoryLaw = GaussianLaw | WeightedLaw


def weights_given(rng: np.random.Generator, network: Network, trajectories: FloatArray) -> Weights:
    """U and W from their exact law given the hidden states; V is left out.

    Given h, every neuron's incoming weights are Gaussian and bound at all times by
    ``h^t - a h^(t-1) = W^(t-1) φ(h^(t-1)) + U x^(t-1) + b^(t)``. A draw from the prior is corrected by the regression
    of the weights on these equations (Matheron's rule), whose covariance is ``w M∘Φ⁻ + uX⁻ + βB`` with the kernel of
    the given states.

    Args:
        rng: random numbers.
        network: whose weights are drawn.
        trajectories: h, (N, nP), time-major index.

    Raises:
        InputError: no weights give these states (a width below the number of different states, or states outside what
            the inputs span).
    """
    n, P, N = network.problem.n, network.problem.P, network.width
    h = np.ascontiguousarray(trajectories.reshape(N, n, P).transpose(1, 0, 2))
    phi = network.phi.value(h)
    prior = network.prior_draw(rng, readout=False)
    U, W = prior.U.astype(np.float64), prior.W.astype(np.float64)
    inputs = network.inputs.astype(np.float64)
    missing = h - network.scale_u * (U @ inputs)
    missing[1:] -= network.problem.skip * h[:-1]
    for t in range(1, n):
        for layer, coefficient in network.sharing.uses[t - 1]:
            missing[t] -= coefficient * network.scale_w * (W[layer] @ phi[t - 1])
    answer = _regressed(_covariance(network, phi, inputs), missing)
    for t in range(n):
        U += network.scale_u * answer[t] @ inputs[t].T
        if t > 0:
            for layer, coefficient in network.sharing.uses[t - 1]:
                W[layer] += coefficient * network.scale_w * answer[t] @ phi[t - 1].T
    weights = Weights(U.astype(network.dtype), W.astype(network.dtype), None)
    reached = network.forward(network.connections(weights), weights.U).h
    if not np.linalg.norm(reached - h) <= _MISSED * np.linalg.norm(h):
        raise InputError(
            f"trajectories: are not had by a network of width {N}; accepted: ones that the inputs allow, at a width of "
            "at least times × patterns"
        )
    return weights


def _covariance(network: Network, phi: Array, inputs: Array) -> FloatArray:
    """``w M∘Φ⁻ + uX⁻ + βB``, (nP, nP), of given activations."""
    problem, N = network.problem, network.width
    n, P = problem.n, problem.P
    flat = inputs.transpose(0, 2, 1).reshape(n * P, -1)
    C = network.scale_u**2 * flat @ flat.T
    before = phi[:-1].transpose(0, 2, 1).reshape((n - 1) * P, N)
    C[P:, P:] += network.scale_w**2 * before @ before.T * np.kron(problem.sharing, np.ones((P, P)))
    return np.asarray(C)


def _regressed(C: FloatArray, missing: Array) -> Array:
    """``missing · C⁺`` over the joint index, (n, N, P); C is brought to unit diagonal first."""
    n, N, P = missing.shape
    size = np.sqrt(np.diagonal(C))
    size = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(C / np.outer(size, size))
    kept = values > _NULL
    flat = missing.transpose(1, 0, 2).reshape(N, n * P) / size
    solved = (flat @ vectors[:, kept] / values[kept]) @ vectors[:, kept].T / size
    return np.asarray(solved.reshape(N, n, P).transpose(1, 0, 2))
