"""The unrolled network: forward pass, back-propagation and tangent, for any linear map between hidden times.

Weights are whitened by the prior, ``U = √(u/D) η_U``, ``W = √(w/N) η_W``, ``V = (√v/N) η_V``, so that the
prior on every η is a standard normal and the posterior's potential is ``½|η|² + L(η)`` (docs/theory.md section 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linalg import FloatArray
from numerics.sampling.normals import fill_normal

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Weights:
    """Whitened weights η.

    Attributes:
        U: input weights, (N, D).
        W: recurrent weights, (layers, N, N): one layer shared by all times for the RNN, n - 1 for the DNN,
            none when there is a single hidden time.
        V: read-out weights, (N,), or None where the read-out has been integrated out.
    """

    U: Array
    W: Array
    V: Array | None


class Connections(Protocol):
    """The map from one hidden time to the next; `step` is t - 1 for ``W^(t)``, t = 1 … n-1."""

    def forward(self, step: int, phi: Array) -> Array:
        """``W^(t) φ``, (N, P)."""

    def backward(self, step: int, delta: Array) -> Array:
        """``W^(t)ᵀ δ``, (N, P)."""


@dataclass(frozen=True, eq=False)
class DenseConnections:
    """``W^(t)`` written out: ``scale · eta[layer]``, where the RNN has a single layer."""

    eta: Array
    scale: float

    def forward(self, step: int, phi: Array) -> Array:
        """``W^(t) φ``, (N, P)."""
        return np.asarray((self.eta[min(step, len(self.eta) - 1)] @ phi) * self.scale)

    def backward(self, step: int, delta: Array) -> Array:
        """``W^(t)ᵀ δ``, (N, P)."""
        return np.asarray((self.eta[min(step, len(self.eta) - 1)].T @ delta) * self.scale)


@dataclass(frozen=True, eq=False)
class Activity:
    """Hidden states and their activations.

    Attributes:
        h: (n, N, P), ``h[t-1]`` is h^t.
        phi: φ(h), of the same shape.
    """

    h: Array
    phi: Array


@dataclass(frozen=True, eq=False)
class Network:
    """A problem's network at one width, with everything that does not change during sampling.

    Attributes:
        problem: what is to be learnt.
        width: N, the number of neurons.
        dtype: precision of weights and activity, float32 or float64.

    Raises:
        InputError: width or dtype is out of range.
    """

    problem: Problem
    width: int
    dtype: np.dtype[Any]
    inputs: Array = field(init=False)
    test_inputs: Array | None = field(init=False)
    driven: tuple[bool, ...] = field(init=False)
    labels: Array = field(init=False)
    supervised_time: NDArray[np.intp] = field(init=False)
    supervised_pattern: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "width", integer(self.width, "width", 1))
        if self.dtype not in (np.float32, np.float64):
            raise InputError(f"dtype: is {self.dtype}; accepted: float32 or float64")
        problem = self.problem
        problem.plain("simulate")
        put(self, "inputs", problem.x.transpose(1, 2, 0).astype(self.dtype))
        put(self, "driven", tuple(bool(part.any()) for part in self.inputs))
        test = problem.x_test
        put(self, "test_inputs", None if test is None else test.transpose(1, 2, 0).astype(self.dtype))
        put(self, "labels", problem.labels.astype(self.dtype))
        put(self, "supervised_time", problem.supervised // problem.P)
        put(self, "supervised_pattern", problem.supervised % problem.P)

    @property
    def phi(self) -> Activation:
        """The problem's activation."""
        return self.problem.activation

    @property
    def layers(self) -> int:
        """Number of independent recurrent matrices."""
        steps = self.problem.n - 1
        return steps if self.problem.arch == "dnn" else min(steps, 1)

    @property
    def K(self) -> float:
        """Temperature of the likelihood, κ/N."""
        return self.problem.kappa / self.width

    @property
    def scale_u(self) -> float:
        """Prior standard deviation of an entry of U."""
        return math.sqrt(self.problem.u / self.problem.D)

    @property
    def scale_w(self) -> float:
        """Prior standard deviation of an entry of W."""
        return math.sqrt(self.problem.w / self.width)

    @property
    def scale_v(self) -> float:
        """Prior standard deviation of an entry of V."""
        return math.sqrt(self.problem.v) / self.width

    def prior_draw(self, rng: np.random.Generator, *, readout: bool) -> Weights:
        """Weights from the prior: every η standard normal; V only if `readout`."""
        N, D = self.width, self.problem.D
        shapes = ((N, D), (self.layers, N, N), (N,))
        U, W, V = (np.empty(shape, self.dtype) for shape in shapes)
        for part in (U, W, V) if readout else (U, W):
            fill_normal(rng, part)
        return Weights(U, W, V if readout else None)

    def connections(self, weights: Weights) -> DenseConnections:
        """The network's recurrent matrices, written out."""
        return DenseConnections(weights.W, self.scale_w)

    def forward(self, connections: Connections, eta_u: Array, inputs: Array | None = None) -> Activity:
        """``h^1 = U x^0``, ``h^t = W^(t-1) φ(h^(t-1)) + U x^(t-1)``.

        Args:
            connections: the recurrent matrices.
            eta_u: whitened U.
            inputs: (n, D, P); the problem's unless given.
        """
        driven = self.driven if inputs is None else tuple(bool(part.any()) for part in inputs)
        inputs = self.inputs if inputs is None else inputs
        n, _, P = inputs.shape
        h = np.empty((n, self.width, P), self.dtype)
        phi = h if self.phi.name == "linear" else np.empty_like(h)
        for t in range(n):
            if t > 0:
                h[t] = connections.forward(t - 1, phi[t - 1])
            if driven[t]:
                drive = (eta_u @ inputs[t]) * self.scale_u
                h[t] = drive if t == 0 else h[t] + drive
            elif t == 0:
                h[t] = 0
            if phi is not h:
                phi[t] = self.phi.value(h[t])
        return Activity(h, phi)

    def backward(self, connections: Connections, activity: Activity, source: Array) -> Array:
        """``δ^t = ∂L/∂h^t = φ'(h^t) (∂L/∂φ^t|_direct + W^(t)ᵀ δ^(t+1))``, (n, N, P).

        Args:
            connections: the recurrent matrices.
            activity: of the forward pass.
            source: (n, N, P), the read-out's direct part ``∂L/∂φ(h^t)``.
        """
        delta = np.empty_like(source)
        for t in reversed(range(len(source))):
            total = source[t]
            if t + 1 < len(source):
                total = total + connections.backward(t, delta[t + 1])
            delta[t] = total if self.phi.name == "linear" else total * self.phi.derivative(activity.h[t])
        return delta

    def tangent(self, connections: Connections, activity: Activity, velocity: Connections, velocity_u: Array) -> Array:
        """Rate of change of φ(h), (n, N, P), when W and U move with the given velocities."""
        rate = np.empty_like(activity.phi)
        for t in range(len(rate)):
            dh = (velocity_u @ self.inputs[t]) * self.scale_u
            if t > 0:
                dh = dh + connections.forward(t - 1, rate[t - 1]) + velocity.forward(t - 1, activity.phi[t - 1])
            rate[t] = dh if self.phi.name == "linear" else dh * self.phi.derivative(activity.h[t])
        return rate

    def gradient_u(self, delta: Array) -> Array:
        """``∂L/∂η_U = √(u/D) Σ_t δ^(t+1) x^tᵀ``, (N, D)."""
        total = np.zeros((self.width, self.problem.D), self.dtype)
        for t in range(len(delta)):
            if self.driven[t]:
                total += delta[t] @ self.inputs[t].T
        return total * self.scale_u

    def gradient_w(self, delta: Array, phi: Array) -> list[tuple[Array, Array]]:
        """Factors (A, B) for each layer of ``∂L/∂η_W = A Bᵀ``, of rank P (DNN) or (n-1) P (RNN), never
        multiplied out.

        Shared weights collect the contributions of all times: A = √(w/N) [δ^2 … δ^n], B = [φ^1 … φ^(n-1)].
        """
        pairs = [(delta[t + 1] * self.scale_w, phi[t]) for t in range(len(delta) - 1)]
        if self.problem.arch == "dnn" or len(pairs) < 2:
            return pairs
        return [(np.concatenate([a for a, _ in pairs], axis=1), np.concatenate([b for _, b in pairs], axis=1))]

    def features(self, phi: Array) -> Array:
        """Activations at the supervised positions, (S, N)."""
        return phi[self.supervised_time, :, self.supervised_pattern]

    def scatter(self, per_position: Array) -> Array:
        """Put (S, N) at the supervised positions of a zero (n, N, P)."""
        full = np.zeros((self.problem.n, self.width, self.problem.P), self.dtype)
        full[self.supervised_time, :, self.supervised_pattern] = per_position
        return full


def joint(phi: Array) -> FloatArray:
    """Activations over the joint index: (n, N, P) → (nP, N), time-major, in double precision."""
    n, N, P = phi.shape
    return np.ascontiguousarray(phi.transpose(0, 2, 1), dtype=np.float64).reshape(n * P, N)


def make_network(problem: Problem, width: int, dtype: str) -> Network:
    """The network of `problem` at `width`."""
    if dtype not in ("float32", "float64"):
        raise InputError(f"dtype: is {dtype!r}; accepted: float32 or float64")
    return Network(problem, width, np.dtype(dtype))
