"""Hamiltonian Monte Carlo with the recurrent matrices integrated out: N (D + (n-1) P) numbers in place of N².

See docs/theory.md section 1.

The network meets W only along its own activity. Let Q be the orthonormal frame that Gram and Schmidt make of φ^1, …,
φ^(n-1), one time after another, ``[φ^1 … φ^(n-1)] = √N Q Lᵀ`` with L the Cholesky factor of the kernel. A Gaussian
matrix acts on each new direction of such a frame as a fresh Gaussian vector, whatever was seen before, so that with
``G = η_W Q``

    h^(t+1) = √w Σ_(s ≤ t) G^s (L^ts)ᵀ + U x^t,      G standard normal under the prior,

and the rest of η_W, ``η_W (1 - Q Qᵀ)``, stays standard normal and independent under the posterior too. (U, G) therefore
has exactly the posterior that weights have at this width, and `write_out` completes it to weights whenever they are
wanted. In the DNN every layer has its own matrix, and L only its blocks s = t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dtrtrs

from numerics.errors import InputError
from numerics.linalg import FloatArray
from numerics.sampling.hmc import HMCInfo, draw_trajectory
from numerics.sampling.network import Activity, Array, Network, Weights
from numerics.sampling.normals import fill_normal
from numerics.sampling.readout import marginal

#: Narrowest network with a rectifier: an activity of too few directions has a probability of about 2⁻ᴺ, below 1e-19.
_NARROWEST_RELU = 64
_DEPENDENT = (
    "sampler: 'collapsed' needs activations that are linearly independent, over times and patterns (rnn) or patterns "
    "(dnn), at a width of as many; accepted: 'hmc' for this problem"
)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network has seen of its whitened weights.

    Attributes:
        U: input weights, (N, D).
        G: W's action on the frame of the activity, (n - 1, N, P).
    """

    U: Array
    G: Array


@dataclass(frozen=True, eq=False)
class _Pass:
    """A forward pass with the Cholesky factor that it made, ((n-1) P, (n-1) P)."""

    activity: Activity
    factor: FloatArray


def _first_row(network: Network, time: int) -> int:
    """First row of L that belongs to the same matrix as a time's."""
    return time * network.problem.P if network.problem.arch == "dnn" else 0


def _forward(network: Network, seen: Seen) -> _Pass:
    """Hidden states from (U, G); LinAlgError if the activations are linearly dependent."""
    problem, N = network.problem, network.width
    n, P = problem.n, problem.P
    h = np.zeros((n, N, P), network.dtype)
    phi = h if network.phi.name == "linear" else np.empty_like(h)
    factor = np.zeros(((n - 1) * P, (n - 1) * P))
    root = math.sqrt(problem.w)
    for t in range(n):
        if network.driven[t]:
            h[t] = (seen.U @ network.inputs[t]) * network.scale_u
        if t > 0:
            first, here = _first_row(network, t - 1), t * P
            row = factor[here - P : here, first:here].astype(network.dtype) * network.dtype.type(root)
            for s in range(first // P, t):
                h[t] += seen.G[s] @ row[:, s * P - first : (s + 1) * P - first].T
        if phi is not h:
            phi[t] = network.phi.value(h[t])
        if t < n - 1:
            _extend(network, factor, phi, t)
    return _Pass(Activity(h, phi), factor)


def _extend(network: Network, factor: FloatArray, phi: Array, time: int) -> None:
    """Write the rows of L that belong to one time."""
    P = network.problem.P
    first, here = _first_row(network, time), time * P
    current = phi[time].astype(np.float64)
    within = current.T @ current / network.width
    if first < here:
        before = np.concatenate([phi[s] for s in range(time)], axis=1).astype(np.float64)
        overlap = before.T @ current / network.width
        row = dtrtrs(factor[:here, :here], overlap, lower=1)[0].T
        factor[here : here + P, :here] = row
        within = within - row @ row.T
    factor[here : here + P, here : here + P] = np.linalg.cholesky(within)


def _backward(network: Network, seen: Seen, done: _Pass, source: Array) -> tuple[Array, Array]:
    """``(∂L/∂h, ∂L/∂G)`` of shapes (n, N, P) and (n - 1, N, P), for the read-out's direct part ``∂L/∂φ``.

    A time's activation enters the next states through L alone. Its rows are unwound from the last to the first: those
    of a later time have been made from those before.
    """
    problem = network.problem
    n, P = problem.n, problem.P
    phi, root = done.activity.phi, math.sqrt(problem.w)
    by_phi = source.copy()
    by_G = np.zeros_like(seen.G)
    by_factor = np.zeros_like(done.factor)
    delta = np.empty_like(source)
    for t in reversed(range(n)):
        if t < n - 1:
            _unwind(network, done, by_factor, by_phi, t)
        delta[t] = by_phi[t]
        if phi is not done.activity.h:
            delta[t] *= network.phi.derivative(done.activity.h[t])
        if t > 0:
            first, here = _first_row(network, t - 1), t * P
            for s in range(first // P, t):
                columns = slice(s * P, (s + 1) * P)
                rows = done.factor[here - P : here, columns].astype(network.dtype)
                by_G[s] += delta[t] @ rows * network.dtype.type(root)
                by_factor[here - P : here, columns] += root * (delta[t].T @ seen.G[s]).astype(np.float64)
    return delta, by_G


def _unwind(network: Network, done: _Pass, by_factor: FloatArray, by_phi: Array, time: int) -> None:
    """Add to ``∂L/∂φ`` what comes through one time's rows of L, and to ``∂L/∂L`` of the rows before."""
    P, N, phi = network.problem.P, network.width, done.activity.phi
    first, here = _first_row(network, time), time * P
    own = slice(here, here + P)
    by_within = _through_cholesky(done.factor[own, own], by_factor[own, own])
    gradient = (2 / N) * (phi[time] @ by_within.astype(phi.dtype))
    if first < here:
        row = done.factor[own, :here]
        by_row = by_factor[own, :here] - 2 * by_within @ row
        by_overlap = dtrtrs(done.factor[:here, :here], by_row.T, lower=1, trans=1)[0]
        # what lands above the diagonal is not read
        by_factor[:here, :here] -= by_overlap @ row
        pairs = (by_overlap / N).astype(phi.dtype)
        for s in range(time):
            pair = pairs[s * P : (s + 1) * P]
            gradient += phi[s] @ pair
            by_phi[s] += phi[time] @ pair.T
    by_phi[time] += gradient


def _through_cholesky(factor: FloatArray, by_factor: FloatArray) -> FloatArray:
    """``∂L/∂A``, symmetric, for A = factor · factorᵀ (Murray, arXiv:1602.07527); by_factor's upper part is ignored."""
    if len(factor) == 1:
        return np.asarray(by_factor / (2 * factor))
    inner = np.tril(factor.T @ np.tril(by_factor))
    inner[np.diag_indices(len(factor))] *= 0.5
    inverse = np.linalg.inv(factor)
    by_matrix = inverse.T @ inner @ inverse
    return np.asarray(0.5 * (by_matrix + by_matrix.T))


def potential(network: Network, seen: Seen) -> tuple[float, Seen]:
    """L with W and V integrated out, and its gradient by (U, G).

    Raises:
        LinAlgError: the activations are linearly dependent, or overflowed.
    """
    done = _forward(network, seen)
    likelihood = marginal(network, done.activity.phi)
    delta, by_G = _backward(network, seen, done, likelihood.source)
    return likelihood.value, Seen(network.gradient_u(delta), by_G)


def activations(network: Network, seen: Seen) -> Array:
    """φ(h), (n, N, P)."""
    return _forward(network, seen).activity.phi


def look(network: Network, weights: Weights) -> Seen:
    """What the network sees of given weights.

    Raises:
        InputError: its activations are linearly dependent, or have a chance to become so.
    """
    if network.phi.name == "relu" and network.width < _NARROWEST_RELU:
        raise InputError(
            f"width: is {network.width}; accepted: an integer ≥ {_NARROWEST_RELU} for relu and sampler 'collapsed'"
        )
    phi = network.forward(network.connections(weights), weights.U).phi
    frames = _frames(network, phi)
    G = [weights.W[min(t, len(weights.W) - 1)] @ frame.astype(network.dtype) for t, frame in enumerate(frames)]
    return Seen(weights.U, np.array(G, dtype=network.dtype).reshape(-1, network.width, network.problem.P))


def collapses(network: Network) -> bool:
    """Whether the activations of this network are linearly independent for almost all weights, and few beside N.

    Independence is looked for in one draw from the prior: for analytic activations it then holds almost everywhere. Of
    a user's own activation that is not known, so that the answer is no.
    """
    problem = network.problem
    together = (problem.n - 1 if problem.arch == "rnn" else 1) * problem.P
    if not network.phi.known or 2 * together > network.width:
        return False
    try:
        look(network, network.prior_draw(np.random.Generator(np.random.SFC64(0)), readout=False))
    except InputError:
        return False
    return True


def write_out(rng: np.random.Generator, network: Network, seen: Seen) -> Weights:
    """Weights drawn from their exact law given what was seen; V stays integrated out."""
    frames = _frames(network, activations(network, seen))
    layers = 1 if network.problem.arch == "rnn" else len(frames)
    W = np.empty((min(layers, len(frames)), network.width, network.width), network.dtype)
    fill_normal(rng, W)
    for layer in range(len(W)):
        steps = [layer] if network.problem.arch == "dnn" else range(len(frames))
        frame = np.concatenate([frames[t] for t in steps], axis=1).astype(network.dtype)
        wanted = np.concatenate([seen.G[t] for t in steps], axis=1)
        W[layer] += (wanted - W[layer] @ frame) @ frame.T
    return Weights(seen.U, W, None)


def _frames(network: Network, phi: Array) -> list[FloatArray]:
    """Orthonormal new directions of each time's activations, (N, P) each, signed as L's positive diagonal is."""
    P, steps = network.problem.P, network.problem.n - 1
    if (steps if network.problem.arch == "rnn" else 1) * P > network.width:
        raise InputError(_DEPENDENT)
    groups = [list(range(steps))] if network.problem.arch == "rnn" else [[t] for t in range(steps)]
    frames: list[FloatArray] = []
    for group in groups if steps else []:
        columns = np.concatenate([phi[t] for t in group], axis=1).astype(np.float64)
        Q, R = np.linalg.qr(columns)
        size = np.abs(np.diag(R))
        if (size <= 1e-6 * np.linalg.norm(columns, axis=0)).any() or not np.isfinite(size).all():
            raise InputError(_DEPENDENT)
        Q = Q * np.sign(np.diag(R))
        frames += [Q[:, k * P : (k + 1) * P] for k in range(len(group))]
    return frames


@dataclass(frozen=True, eq=False)
class CollapsedState:
    """What was seen of the weights, between trajectories."""

    seen: Seen


@dataclass(frozen=True, eq=False)
class CollapsedHMC:
    """Metropolis-adjusted Hamiltonian dynamics of (U, G); the prior's part of the motion is an exact rotation.

    A trajectory that meets linearly dependent activations is rejected. They have measure zero for an analytic
    activation; for one that is flat in places they must be improbable at this width.

    Attributes:
        network: whose weights move.
        step_size: largest angle between kicks; a prior direction's period is 2π.
        length: mean length of a trajectory.
    """

    network: Network
    step_size: float
    length: float

    def init(self, weights: Weights) -> CollapsedState:
        """A state that starts from given weights."""
        return CollapsedState(look(self.network, weights))

    def step(self, rng: np.random.Generator, state: CollapsedState) -> tuple[CollapsedState, HMCInfo]:
        """One trajectory with fresh momenta and its Metropolis decision; the state is left as it was."""
        q = (state.seen.U, state.seen.G)
        p = tuple(np.empty_like(part) for part in q)
        for part in p:
            fill_normal(rng, part)
        angle, steps = draw_trajectory(rng, self.step_size, self.length)
        uniform = rng.random()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            end, error = self._run(q, p, angle, steps)
        acceptance = math.exp(-max(error, 0.0))
        accepted = uniform < acceptance
        after = CollapsedState(Seen(*end)) if accepted else state
        return after, HMCInfo(acceptance, accepted, error, steps + 1)

    def _run(
        self, q: tuple[Array, ...], p: tuple[Array, ...], angle: float, steps: int
    ) -> tuple[tuple[Array, ...], float]:
        """Kick–rotate–kick; the end point and the energy error, which is that of the kicks and of L."""
        cos, sin = (self.network.dtype.type(f(angle)) for f in (math.cos, math.sin))
        work = start = end = 0.0
        for step in range(steps + 1):
            if step > 0:
                q, p = (
                    tuple(cos * a + sin * b for a, b in zip(q, p, strict=True)),
                    tuple(cos * b - sin * a for a, b in zip(q, p, strict=True)),
                )
            try:
                end, gradient = potential(self.network, Seen(*q))
            except (np.linalg.LinAlgError, ValueError):  # the activity overflowed, or collapsed to fewer directions
                return q, math.inf
            start = end if step == 0 else start
            weight = self.network.dtype.type(-angle * (0.5 if step in (0, steps) else 1.0))
            kicks = tuple(weight * part for part in (gradient.U, gradient.G))
            work += sum(float(np.vdot(a + 0.5 * kick, kick)) for a, kick in zip(p, kicks, strict=True))
            p = tuple(a + kick for a, kick in zip(p, kicks, strict=True))
        error = work + end - start
        return q, error if math.isfinite(error) else math.inf
