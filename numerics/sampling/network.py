"""The unrolled network: forward pass, back-propagation and tangent, for any linear map between hidden times.

Weights are whitened by the prior, ``U = √(u/D) η_U``, ``W = √(w/N) η_W``, ``V = (√v/N) η_V``, so that the
prior on every η is a standard normal and the posterior's potential is ``½|η|² + L(η)`` (docs/theory.md section 1). Of
matrices that are correlated between times, ``W^(s) = Σ_k G_sk Z_k``, it is the independent Z_k (docs/theory.md section
10). Biases are ``b^(t) = √β Σ_k R_tk ζ_k`` with ``B = R Rᵀ`` likewise (docs/theory.md section 11), which makes them
weights of inputs ``√β R_tk`` that are always on, the same for every pattern: columns of η_U beyond the D of U.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from numerics.inputs.activation import Activation
from numerics.inputs.arguments import require_choice
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linalg import Array, FloatArray
from numerics.sampling.factor import Factor, factorised
from numerics.sampling.normals import fill_normal
from numerics.sampling.supervision import Supervision, supervisions

#: Of weights and activity.
PRECISIONS = ("float32", "float64")


@dataclass(frozen=True, eq=False)
class Weights:
    """Whitened weights η.

    Attributes:
        U: input weights and biases, (N, D + rank of B); (N, D) without biases.
        W: the independent recurrent matrices Z_k, (rank of M, N, N): one for the RNN, n - 1 for the DNN, none when
            there is a single hidden time.
        V: read-out weights, (N,) or, of several outputs, (O, N); None where the read-out has been integrated out.
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


#: Layers in a step and their coefficients, of every step.
Uses = tuple[tuple[tuple[int, float], ...], ...]


def combined(uses: tuple[tuple[int, float], ...], part: Callable[[int], Array]) -> Array:
    """``Σ_k G_sk part(k)`` for the layers k of one step."""
    layer, coefficient = uses[0]
    total = part(layer)
    if coefficient != 1:
        total = total * total.dtype.type(coefficient)
    for layer, coefficient in uses[1:]:
        more = part(layer)
        total = total + more * more.dtype.type(coefficient)
    return total


@dataclass(frozen=True, eq=False)
class DenseConnections:
    """``W^(t) = scale · Σ_k G_tk eta[k]``, the layers written out."""

    eta: Array
    scale: float
    uses: Uses

    def forward(self, step: int, phi: Array) -> Array:
        """``W^(t) φ``, (N, P)."""
        return np.asarray(combined(self.uses[step], lambda layer: self.eta[layer] @ phi) * self.scale)

    def backward(self, step: int, delta: Array) -> Array:
        """``W^(t)ᵀ δ``, (N, P)."""
        return np.asarray(combined(self.uses[step], lambda layer: self.eta[layer].T @ delta) * self.scale)


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
        sharing, biases: the factors of M and, where there are biases, of B.
        inputs, test_inputs: (n, D + rank of B, P) and (…, Q): the problem's, then those whose weights are biases.
        driven: whether a time has any input.
        supervision: the labels, by sets of supervised positions.

    Raises:
        InputError: width is out of range.
    """

    problem: Problem
    width: int
    dtype: np.dtype[Any]
    sharing: Factor = field(init=False)
    biases: Factor | None = field(init=False)
    inputs: Array = field(init=False)
    test_inputs: Array | None = field(init=False)
    driven: tuple[bool, ...] = field(init=False)
    supervision: tuple[Supervision, ...] = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "width", integer(self.width, "width", 1))
        problem = self.problem
        put(self, "sharing", factorised(problem.sharing))
        put(self, "biases", factorised(problem.bias_sharing) if problem.bias else None)
        put(self, "inputs", self._inputs(problem.x))
        put(self, "driven", tuple(bool(part.any()) for part in self.inputs))
        put(self, "test_inputs", None if problem.x_test is None else self._inputs(problem.x_test))
        put(self, "supervision", supervisions(problem, self.dtype))

    def _inputs(self, x: FloatArray) -> Array:
        """Inputs (P, n, D) as (n, D + rank of B, P), those whose weights are biases among them."""
        given = x.transpose(1, 2, 0)
        if self.biases is not None:
            always = math.sqrt(self.problem.bias) / self.scale_u * self.biases.matrix
            given = np.concatenate([given, np.repeat(always[:, :, None], len(x), axis=2)], axis=1)
        return given.astype(self.dtype)

    @property
    def phi(self) -> Activation:
        """The problem's activation."""
        return self.problem.activation

    @property
    def layers(self) -> int:
        """Number of independent recurrent matrices."""
        return self.sharing.layers

    @property
    def columns(self) -> int:
        """Number of columns of η_U, biases included."""
        return int(self.inputs.shape[1])

    @property
    def directions(self) -> int:
        """Query directions of an independent recurrent matrix in one pass, at most."""
        return self.problem.P * max(map(len, self.sharing.members), default=0)

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
        N, outputs = self.width, self.problem.outputs
        shapes = ((N, self.columns), (self.layers, N, N), (N,) if outputs == 1 else (outputs, N))
        U, W, V = (np.empty(shape, self.dtype) for shape in shapes)
        for part in (U, W, V) if readout else (U, W):
            fill_normal(rng, part)
        return Weights(U, W, V if readout else None)

    def connections(self, weights: Weights) -> DenseConnections:
        """The network's recurrent matrices, written out."""
        return DenseConnections(weights.W, self.scale_w, self.sharing.uses)

    def forward(self, connections: Connections, eta_u: Array, inputs: Array | None = None) -> Activity:
        """``h^1 = U x^0 + b^(1)``, ``h^t = a h^(t-1) + W^(t-1) φ(h^(t-1)) + U x^(t-1) + b^(t)``.

        Args:
            connections: the recurrent matrices.
            eta_u: whitened U and biases.
            inputs: as `inputs`, which they are unless given.
        """
        driven = self.driven if inputs is None else tuple(bool(part.any()) for part in inputs)
        inputs = self.inputs if inputs is None else inputs
        n, _, P = inputs.shape
        skip = self.dtype.type(self.problem.skip)
        h = np.empty((n, self.width, P), self.dtype)
        phi = h if self.phi.name == "linear" else np.empty_like(h)
        for t in range(n):
            if t > 0:
                h[t] = connections.forward(t - 1, phi[t - 1])
                if skip:
                    h[t] += h[t - 1] * skip
            if driven[t]:
                drive = (eta_u @ inputs[t]) * self.scale_u
                h[t] = drive if t == 0 else h[t] + drive
            elif t == 0:
                h[t] = 0
            if phi is not h:
                phi[t] = self.phi.value(h[t])
        return Activity(h, phi)

    def backward(self, connections: Connections, activity: Activity, source: Array) -> Array:
        """``δ^t = ∂L/∂h^t = φ'(h^t) (∂L/∂φ^t|_direct + W^(t)ᵀ δ^(t+1)) + a δ^(t+1)``, (n, N, P).

        Args:
            connections: the recurrent matrices.
            activity: of the forward pass.
            source: (n, N, P), the read-out's direct part ``∂L/∂φ(h^t)``.
        """
        delta = np.empty_like(source)
        skip = self.dtype.type(self.problem.skip)
        for t in reversed(range(len(source))):
            total = source[t]
            if t + 1 < len(source):
                total = total + connections.backward(t, delta[t + 1])
            delta[t] = total if self.phi.name == "linear" else total * self.phi.derivative(activity.h[t])
            if skip and t + 1 < len(source):
                delta[t] += delta[t + 1] * skip
        return delta

    def tangent(self, connections: Connections, activity: Activity, velocity: Connections, velocity_u: Array) -> Array:
        """Rate of change of φ(h), (n, N, P), when W, U and the biases move with the given velocities."""
        rate = np.empty_like(activity.phi)
        before = np.zeros_like(rate[0])
        for t in range(len(rate)):
            dh = (velocity_u @ self.inputs[t]) * self.scale_u
            if t > 0:
                dh = dh + connections.forward(t - 1, rate[t - 1]) + velocity.forward(t - 1, activity.phi[t - 1])
                if self.problem.skip:
                    dh = dh + before * self.dtype.type(self.problem.skip)
            before = dh
            rate[t] = dh if self.phi.name == "linear" else dh * self.phi.derivative(activity.h[t])
        return rate

    def gradient_u(self, delta: Array) -> Array:
        """``∂L/∂η_U = √(u/D) Σ_t δ^(t+1) x^tᵀ``, shaped like η_U."""
        total = np.zeros((self.width, self.columns), self.dtype)
        for t in range(len(delta)):
            if self.driven[t]:
                total += delta[t] @ self.inputs[t].T
        return total * self.scale_u

    def gradient_w(self, delta: Array, phi: Array) -> list[tuple[Array, Array]]:
        """Factors (A, B) for each layer of ``∂L/∂Z_k = A Bᵀ``, of rank P (DNN) to (n-1) P (RNN), never multiplied out.

        Shared weights collect the contributions of all times that use them: ``A = √(w/N) [… G_sk δ^(s+1) …]``,
        ``B = [… φ^s …]``.
        """
        pairs = [(delta[t + 1] * self.scale_w, phi[t]) for t in range(len(delta) - 1)]
        factors = []
        for steps in self.sharing.members:
            if len(steps) == 1 and steps[0][1] == 1:
                factors.append(pairs[steps[0][0]])
                continue
            left = [pairs[s][0] if c == 1 else pairs[s][0] * self.dtype.type(c) for s, c in steps]
            factors.append((np.concatenate(left, axis=1), np.concatenate([pairs[s][1] for s, _ in steps], axis=1)))
        return factors

    def scatter(self, parts: Sequence[tuple[Supervision, Array]]) -> Array:
        """The sum of (S, N) at supervised positions, (n, N, P)."""
        full = np.zeros((self.problem.n, self.width, self.problem.P), self.dtype)
        where, per_position = parts[0]
        full[where.time, :, where.pattern] = per_position
        for where, per_position in parts[1:]:
            full[where.time, :, where.pattern] += per_position
        return full


def joint(phi: Array) -> FloatArray:
    """Activations over the joint index: (n, N, P) → (nP, N), time-major, in double precision."""
    n, N, P = phi.shape
    return np.ascontiguousarray(phi.transpose(0, 2, 1), dtype=np.float64).reshape(n * P, N)


def make_network(problem: Problem, width: int, dtype: str) -> Network:
    """The network of `problem` at `width`."""
    require_choice(dtype, "dtype", PRECISIONS)
    return Network(problem, width, np.dtype(dtype))
