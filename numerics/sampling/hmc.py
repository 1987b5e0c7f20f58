"""Hamiltonian Monte Carlo in weight space that writes an N × N array only at a trajectory's end.

In whitened coordinates the potential is ``½|η|² + L(η)``. The prior's part of the motion is a rotation of (q,
p), done exactly; the likelihood's is a kick ``p -= ε ∇L``, whose W part is a sum of few outer products. With
kicks
``K_k = -w_k A_k B_kᵀ`` at times τ_k,

    q(τ) =  cos τ Q₀ + sin τ P₀ + Σ_k sin(τ - τ_k) K_k,
    p(τ) = -sin τ Q₀ + cos τ P₀ + Σ_k cos(τ - τ_k) K_k,

so that W is applied to a vector by two matrix–vector products and a low-rank correction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from numerics.errors import InputError
from numerics.linalg import Array, FloatArray
from numerics.sampling.network import Network, Weights, combined
from numerics.sampling.readout import Likelihood, marginal, sampled

Readout = Literal["marginal", "sampled"]
READOUTS: tuple[str, ...] = get_args(Readout)

#: A trajectory's length is drawn uniformly within this fraction of its mean. At a fixed length π a prior direction
#: would only change its sign, and the kernel not at all.
_JITTER = 0.5
#: Most kicks of a trajectory: its memory grows with them, its time with their square. Adaptation may ask for any number
#: where the posterior is no density, as at N = 1 without noise.
_MOST_STEPS = 512


@dataclass(frozen=True, eq=False)
class HMCState:
    """Whitened weights between trajectories; V is None where the read-out is integrated out."""

    weights: Weights


@dataclass(frozen=True, eq=False)
class HMCInfo:
    """What happened on a trajectory.

    Attributes:
        acceptance: probability with which the end point was to be accepted, min(1, exp(H(start) - H(end))).
        accepted: whether it was.
        gradients: number of gradient evaluations.
    """

    acceptance: float
    accepted: bool
    gradients: int


def draw_trajectory(rng: np.random.Generator, step_size: float, length: float) -> tuple[float, int]:
    """Angle between kicks, at most `step_size`, and number of rotations of a trajectory of mean length `length`."""
    drawn = length * rng.uniform(1 - _JITTER, 1 + _JITTER)
    steps = max(1, math.ceil(drawn / step_size))
    # cut short, which leaves the law as it is: the length does not depend on the weights
    return (step_size, _MOST_STEPS) if steps > _MOST_STEPS else (drawn / steps, steps)


class _MovingConnections:
    """W along a trajectory: rotated start and momentum, and the kicks so far as outer products.

    `forward` also keeps ``p(τ) φ`` for the kick that follows, which needs ``p · K``.
    """

    def __init__(self, network: Network, start: Array, momentum: Array, kicks: int) -> None:
        self._network, self._start, self._momentum = network, start, momentum
        self._per_kick = network.directions
        shape = (len(start), kicks * self._per_kick, network.width)
        # layers that fewer steps use have kicks of a lower rank, filled up with zeros
        self._left, self._right = (np.zeros(shape, network.dtype) for _ in range(2))
        self._kick_time = np.empty(kicks * self._per_kick)
        self._rank = 0
        self._momentum_phi: list[list[Array]] = []
        self.time = 0.0

    def _coefficients(self) -> tuple[FloatArray, FloatArray]:
        since = self.time - self._kick_time[: self._rank]
        return np.sin(since), np.cos(since)

    def forward(self, step: int, phi: Array) -> Array:
        if step == 0:
            self._momentum_phi = [[] for _ in self._start]
        product = combined(self._network.sharing.uses[step], lambda layer: self._forward(layer, phi))
        return np.asarray(product * self._network.scale_w)

    def _forward(self, layer: int, phi: Array) -> Array:
        cos, sin = math.cos(self.time), math.sin(self.time)
        from_start, from_momentum = self._start[layer] @ phi, self._momentum[layer] @ phi
        position = cos * from_start + sin * from_momentum
        momentum = cos * from_momentum - sin * from_start
        if self._rank:
            at_sin, at_cos = (c.astype(phi.dtype)[:, None] for c in self._coefficients())
            overlap = self._right[layer, : self._rank] @ phi
            both = self._left[layer, : self._rank].T @ np.concatenate([at_sin * overlap, at_cos * overlap], axis=1)
            position += both[:, : phi.shape[1]]
            momentum += both[:, phi.shape[1] :]
        self._momentum_phi[layer].append(momentum)
        return np.asarray(position)

    def backward(self, step: int, delta: Array) -> Array:
        product = combined(self._network.sharing.uses[step], lambda layer: self._backward(layer, delta))
        return np.asarray(product * self._network.scale_w)

    def _backward(self, layer: int, delta: Array) -> Array:
        moved = math.cos(self.time) * (self._start[layer].T @ delta)
        moved += math.sin(self.time) * (self._momentum[layer].T @ delta)
        if self._rank:
            at_sin = self._coefficients()[0].astype(delta.dtype)[:, None]
            moved += self._right[layer, : self._rank].T @ (at_sin * (self._left[layer, : self._rank] @ delta))
        return np.asarray(moved)

    def kick(self, weight: float, factors: list[tuple[Array, Array]]) -> float:
        """Add ``-weight A Bᵀ`` to the momentum; the change of ½|p|²."""
        change = 0.0
        for layer, (left, right) in enumerate(factors):
            rows = slice(self._rank, self._rank + left.shape[1])
            self._left[layer, rows] = left.T * self._network.dtype.type(-weight)
            self._right[layer, rows] = right.T
            change -= weight * float(np.vdot(left, np.concatenate(self._momentum_phi[layer], axis=1)))
            change += 0.5 * weight**2 * float(np.sum((left.T @ left) * (right.T @ right)))
        self._kick_time[self._rank : self._rank + self._per_kick] = self.time
        self._rank += self._per_kick
        return change

    def position(self, spare: Array | None) -> Array:
        """q(τ) written out, (layers, N, N), in `spare` if that is given."""
        moved = np.multiply(self._start, self._network.dtype.type(math.cos(self.time)), out=spare)
        at_sin = self._coefficients()[0].astype(self._network.dtype)[:, None]
        for layer in range(len(moved)):
            # In row blocks, so that no further N × N array is needed beside the result.
            coefficients = np.ascontiguousarray((at_sin * self._left[layer, : self._rank]).T)
            for first in range(0, len(coefficients), 256):
                block = slice(first, first + 256)
                moved[layer, block] += self._network.dtype.type(math.sin(self.time)) * self._momentum[layer, block]
                moved[layer, block] += coefficients[block] @ self._right[layer, : self._rank]
        return np.asarray(moved)


@dataclass
class _Small:
    """Position and momentum of weights that are small enough to be moved as they are (U and V)."""

    q: Array
    p: Array

    def rotate(self, angle: float) -> None:
        cos, sin = math.cos(angle), math.sin(angle)
        self.q, self.p = cos * self.q + sin * self.p, cos * self.p - sin * self.q

    def kick(self, weight: float, gradient: Array) -> float:
        step = self.q.dtype.type(-weight) * gradient
        change = float(np.vdot(self.p, step)) + 0.5 * float(np.vdot(step, step))
        self.p = self.p + step
        return change


@dataclass(frozen=True, eq=False)
class HMC:
    """Metropolis-adjusted Hamiltonian dynamics of the exact posterior over weights.

    Attributes:
        network: whose weights move.
        step_size: largest angle between kicks; a prior direction's period is 2π.
        length: mean length τ of a trajectory.
        readout: "marginal" integrates V out exactly, "sampled" moves it along with U and W.
    """

    network: Network
    step_size: float
    length: float
    readout: Readout = "marginal"

    def init(self, weights: Weights) -> HMCState:
        """A state that starts from given weights, which include V exactly if it is sampled."""
        if (weights.V is None) != (self.readout == "marginal"):
            raise InputError(f"weights: V is {'absent' if weights.V is None else 'given'}; accepted: as readout says")
        return HMCState(weights)

    def step(self, rng: np.random.Generator, state: HMCState, spare: Array | None = None) -> tuple[HMCState, HMCInfo]:
        """One trajectory with fresh momenta and its Metropolis decision; the state is left as it was.

        Args:
            rng: source of momenta, trajectory length and decision.
            state: where the trajectory starts.
            spare: an array like W that nobody needs any more; the new W is written there.
        """
        network, weights = self.network, state.weights
        momentum = network.prior_draw(rng, readout=weights.V is not None)
        angle, steps = draw_trajectory(rng, self.step_size, self.length)
        uniform = rng.random()
        trajectory = _Trajectory(network, weights, momentum, steps)
        # A trajectory that overflows has an infinite energy error and is rejected: no warning is called for.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            error = trajectory.run(angle, steps)
        acceptance = math.exp(-max(error, 0.0))
        accepted = uniform < acceptance
        after = HMCState(trajectory.weights(spare)) if accepted else state
        return after, HMCInfo(acceptance, accepted, steps + 1)


class _Trajectory:
    """Kick–rotate–kick from one start."""

    def __init__(self, network: Network, weights: Weights, momentum: Weights, steps: int) -> None:
        self._network = network
        self._w = _MovingConnections(network, weights.W, momentum.W, steps + 1)
        self._u = _Small(weights.U, momentum.U)
        self._v = None
        if weights.V is not None and momentum.V is not None:
            self._v = _Small(weights.V, momentum.V)

    def run(self, angle: float, steps: int) -> float:
        """Move by `steps` rotations of `angle`; the energy error, infinite if anything overflowed.

        Rotations leave ``½|q|² + ½|p|²`` as it is, so the error is the kicks' change of ``½|p|²`` plus that
        of L.
        """
        start, work = self._kick(angle / 2)
        end = start
        for step in range(steps):
            self._rotate(angle)
            end, change = self._kick(angle / 2 if step == steps - 1 else angle)
            work += change
        error = work + end - start
        return error if math.isfinite(error) else math.inf

    def weights(self, spare: Array | None = None) -> Weights:
        """The weights where the trajectory stands."""
        return Weights(self._u.q, self._w.position(spare), None if self._v is None else self._v.q)

    def _rotate(self, angle: float) -> None:
        self._w.time += angle
        self._u.rotate(angle)
        if self._v is not None:
            self._v.rotate(angle)

    def _kick(self, weight: float) -> tuple[float, float]:
        """Kick all momenta; L here, and the kicks' change of ½|p|²."""
        network = self._network
        activity = network.forward(self._w, self._u.q)
        try:
            likelihood = self._likelihood(activity.phi)
        except (np.linalg.LinAlgError, ValueError):  # the activity overflowed
            return math.inf, math.inf
        delta = network.backward(self._w, activity, likelihood.source)
        change = self._w.kick(weight, network.gradient_w(delta, activity.phi))
        change += self._u.kick(weight, network.gradient_u(delta))
        if self._v is not None and likelihood.gradient_v is not None:
            change += self._v.kick(weight, likelihood.gradient_v)
        return likelihood.value, change

    def _likelihood(self, phi: Array) -> Likelihood:
        if self._v is None:
            return marginal(self._network, phi)
        return sampled(self._network, phi, self._v.q)
