"""Hamiltonian Monte Carlo with the recurrent matrices integrated out: N (D + (n-1) P) numbers in place of N².

See docs/theory.md section 1.

The network meets W only along its own activity. With ``W^(s) = √(w/N) Σ_k G_sk Z_k`` all independent matrices side by
side, ``Z = [Z_1 Z_2 …]``, act at time s on ``ψ^s``, which has G_sk φ^s below each other: ``ψ^s·ψ^t = N M_st Φ^st``. Let
Q be the orthonormal frame that Gram and Schmidt make of ψ^1, …, ψ^(n-1), one time after another,
``[ψ^1 … ψ^(n-1)] = √N Q Lᵀ`` with L the Cholesky factor of M∘Φ. A Gaussian matrix acts on each new direction of such a
frame as a fresh Gaussian vector, whatever was seen before, so that with ``G = Z Q``

    h^(t+1) = a h^t + √w Σ_(s ≤ t) G^s (L^ts)ᵀ + U x^t + b^(t+1),      G standard normal under the prior,

and the rest of Z, ``Z (1 - Q Qᵀ)``, stays standard normal and independent under the posterior too. (U, G) therefore
has exactly the posterior that weights have at this width, and `write_out` completes it to weights whenever they are
wanted. For the RNN, M∘Φ is the kernel; times that share no weights, as all of the DNN's, have blocks of L that are 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgesv, dtrtrs

from numerics.errors import InputError
from numerics.linalg import Array, FloatArray
from numerics.sampling.hmc import HMCInfo, draw_trajectory
from numerics.sampling.network import Activity, Network, Weights
from numerics.sampling.normals import fill_normal
from numerics.sampling.readout import marginal

#: Narrowest network with a rectifier: an activity of too few directions has a probability of about 2⁻ᴺ, below 1e-19.
_NARROWEST_RELU = 64
_DEPENDENT = (
    "sampler: 'collapsed' needs activations that are linearly independent, over patterns and the times that share "
    "weights, at a width of as many; accepted: 'hmc' for this problem"
)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network has seen of its whitened weights.

    Attributes:
        U: input weights and biases, as in `Weights`.
        G: action of the recurrent matrices on the frame of the activity, (n - 1, N, P).
    """

    U: Array
    G: Array


@dataclass(frozen=True, eq=False)
class _Pass:
    """A forward pass with the Cholesky factor that it made, ((n-1) P, (n-1) P)."""

    activity: Activity
    factor: FloatArray


def _columns(network: Network, times: tuple[int, ...]) -> slice | NDArray[np.intp]:
    """Where some increasing times stand in the joint index; a slice if they follow each other."""
    P = network.problem.P
    if times[-1] - times[0] == len(times) - 1:
        return slice(times[0] * P, (times[-1] + 1) * P)
    return (np.array(times)[:, None] * P + np.arange(P)).ravel()


def _block(factor: FloatArray, where: slice | NDArray[np.intp]) -> FloatArray:
    """Rows and columns of a matrix."""
    return factor[where, where] if isinstance(where, slice) else factor[np.ix_(where, where)]


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
            times, here = (*network.sharing.earlier[t - 1], t - 1), t * P
            first = times[0] * P
            row = factor[here - P : here, first:here].astype(network.dtype) * network.dtype.type(root)
            for s in times:
                h[t] += seen.G[s] @ row[:, s * P - first : (s + 1) * P - first].T
            if problem.skip:
                h[t] += h[t - 1] * network.dtype.type(problem.skip)
        if phi is not h:
            phi[t] = network.phi.value(h[t])
        if t < n - 1:
            _extend(network, factor, phi, t)
    return _Pass(Activity(h, phi), factor)


def _extend(network: Network, factor: FloatArray, phi: Array, time: int) -> None:
    """Write the rows of L that belong to one time."""
    P, correlations = network.problem.P, network.sharing.correlations[time]
    here, earlier = time * P, network.sharing.earlier[time]
    current = phi[time].astype(np.float64)
    within = current.T @ current / network.width
    if correlations is not None:
        within *= correlations[-1]
    if earlier:
        where = _columns(network, earlier)
        before = np.concatenate([phi[s] for s in earlier], axis=1).astype(np.float64)
        overlap = before.T @ current / network.width
        if correlations is not None:
            overlap *= np.repeat(correlations[:-1], P)[:, None]
        row = dtrtrs(_block(factor, where), overlap, lower=1)[0].T
        factor[here : here + P, where] = row
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
        if problem.skip and t + 1 < n:
            delta[t] += delta[t + 1] * network.dtype.type(problem.skip)
        if t > 0:
            here = t * P
            for s in (*network.sharing.earlier[t - 1], t - 1):
                columns = slice(s * P, (s + 1) * P)
                rows = done.factor[here - P : here, columns].astype(network.dtype)
                by_G[s] += delta[t] @ rows * network.dtype.type(root)
                by_factor[here - P : here, columns] += root * (delta[t].T @ seen.G[s]).astype(np.float64)
    return delta, by_G


def _unwind(network: Network, done: _Pass, by_factor: FloatArray, by_phi: Array, time: int) -> None:
    """Add to ``∂L/∂φ`` what comes through one time's rows of L, and to ``∂L/∂L`` of the rows before."""
    P, N, phi = network.problem.P, network.width, done.activity.phi
    correlations = network.sharing.correlations[time]
    here, earlier = time * P, network.sharing.earlier[time]
    own = slice(here, here + P)
    by_within = _through_cholesky(done.factor[own, own], by_factor[own, own])
    by_own = by_within if correlations is None else by_within * correlations[-1]
    gradient = (2 / N) * (phi[time] @ by_own.astype(phi.dtype))
    if earlier:
        where = _columns(network, earlier)
        row = done.factor[own, where]
        by_row = by_factor[own, where] - 2 * by_within @ row
        by_overlap = dtrtrs(_block(done.factor, where), by_row.T, lower=1, trans=1)[0]
        # what lands above the diagonal is not read
        if isinstance(where, slice):
            by_factor[where, where] -= by_overlap @ row
        else:
            by_factor[np.ix_(where, where)] -= by_overlap @ row
        if correlations is not None:
            by_overlap = by_overlap * np.repeat(correlations[:-1], P)[:, None]
        pairs = (by_overlap / N).astype(phi.dtype)
        for place, s in enumerate(earlier):
            pair = pairs[place * P : (place + 1) * P]
            gradient += phi[s] @ pair
            by_phi[s] += phi[time] @ pair.T
    by_phi[time] += gradient


def _through_cholesky(factor: FloatArray, by_factor: FloatArray) -> FloatArray:
    """``∂L/∂A``, symmetric, for A = factor · factorᵀ (Murray, arXiv:1602.07527); by_factor's upper part is ignored."""
    if len(factor) == 1:
        return np.asarray(by_factor / (2 * factor))
    below, halved, one = _triangles(len(factor))
    inner = halved * (factor.T @ (below * by_factor))
    inverse = dgesv(factor, one)[2]  # as np.linalg.inv, without its overhead
    by_matrix = inverse.T @ inner @ inverse
    return np.asarray(0.5 * (by_matrix + by_matrix.T))


@lru_cache(maxsize=16)
def _triangles(size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ones on and below the diagonal; the same, halved on it; and 1."""
    below, one = np.tri(size), np.eye(size)
    return below, below - 0.5 * one, one


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
    G = np.empty((network.problem.n - 1, network.width, network.problem.P), network.dtype)
    for frame in _frames(network, phi):
        for t, parts in zip(frame.group, frame.of_times(network.problem.P), strict=True):
            G[t] = np.sum(
                [weights.W[k] @ Q.astype(network.dtype) for k, Q in zip(frame.layers, parts, strict=True)], axis=0
            )
    return Seen(weights.U, G)


def collapses(network: Network) -> bool:
    """Whether the activations of this network are linearly independent for almost all weights, and few beside N.

    Independence is looked for in one draw from the prior: for analytic activations it then holds almost everywhere. Of
    a user's own activation that is not known, so that the answer is no.
    """
    sharing, P, N = network.sharing, network.problem.P, network.width
    if not network.phi.known or any(2 * len(g) * P > len(sharing.layers_of(g)) * N for g in sharing.groups):
        return False
    try:
        look(network, network.prior_draw(np.random.Generator(np.random.SFC64(0)), readout=False))
    except InputError:
        return False
    return True


def write_out(rng: np.random.Generator, network: Network, seen: Seen) -> Weights:
    """Weights drawn from their exact law given what was seen; V stays integrated out."""
    frames = _frames(network, activations(network, seen))
    W = np.empty((network.layers, network.width, network.width), network.dtype)
    fill_normal(rng, W)
    for frame in frames:
        parts = [part.astype(network.dtype) for part in frame.parts]
        missing = np.concatenate([seen.G[t] for t in frame.group], axis=1)
        for layer, part in zip(frame.layers, parts, strict=True):
            missing = missing - W[layer] @ part
        for layer, part in zip(frame.layers, parts, strict=True):
            W[layer] += missing @ part.T
    return Weights(seen.U, W, None)


@dataclass(frozen=True, eq=False)
class _Frame:
    """Q of the times of one group: orthonormal new directions of ψ at each, signed as L's positive diagonal is.

    Attributes:
        group: the times, t - 1 of each.
        layers: independent matrices that they use.
        parts: the rows of Q that belong to each layer, (layers, N, times × P).
    """

    group: tuple[int, ...]
    layers: NDArray[np.intp]
    parts: FloatArray

    def of_times(self, P: int) -> FloatArray:
        """The columns of each time, (times, layers, N, P)."""
        layers, N, columns = self.parts.shape
        return self.parts.reshape(layers, N, columns // P, P).transpose(2, 0, 1, 3)


def _frames(network: Network, phi: Array) -> list[_Frame]:
    P, N = network.problem.P, network.width
    frames = []
    for group in network.sharing.groups:
        layers = network.sharing.layers_of(group)
        if len(group) * P > len(layers) * N:
            raise InputError(_DEPENDENT)
        psi = [np.kron(network.sharing.matrix[t, layers][:, None], phi[t].astype(np.float64)) for t in group]
        columns = np.concatenate(psi, axis=1)
        Q, R = np.linalg.qr(columns)
        size = np.abs(np.diag(R))
        if (size <= 1e-6 * np.linalg.norm(columns, axis=0)).any() or not np.isfinite(size).all():
            raise InputError(_DEPENDENT)
        Q = Q * np.sign(np.diag(R))
        frames.append(_Frame(group, layers, Q.reshape(len(layers), N, -1)))
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
        return after, HMCInfo(acceptance, accepted, steps + 1)

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
