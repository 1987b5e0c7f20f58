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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsymm
from scipy.linalg.lapack import dpotrf, dtrtri, dtrtrs

from numerics.errors import InputError
from numerics.linalg import Array, FloatArray
from numerics.sampling.frames import frames
from numerics.sampling.hmc import HMCInfo, draw_trajectory
from numerics.sampling.network import Network, Weights
from numerics.sampling.normals import fill_normal
from numerics.sampling.readout import evidence

#: Narrowest network with a rectifier: an activity of too few directions has a probability of about 2⁻ᴺ, below 1e-19.
_NARROWEST_RELU = 64


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network has seen of its whitened weights.

    Attributes:
        X: input weights and biases, as in `Weights`, and the action G of the recurrent matrices on the frame of the
            activity, time by time: each column as a row, (columns + (n - 1) P, N).
    """

    X: Array


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the times of a network stand among the rows of the joint index, time-major, and what does not change.

    Attributes:
        own: rows of each time.
        block: rows of a time's block: times that share no weights with any outside; none for the last time.
        blocks: all of these.
        reach: rows whose activity the gradient by a time's activity is made of: its block, and what is supervised.
        driven: rows from the first time with an input to the last.
        drives: inputs in units of η_U, (nP, columns).
        shared: M_st/N, ((n-1) P, (n-1) P).
        supervised: rows of each set of supervised positions, then their places in a matrix.
    """

    own: tuple[slice, ...]
    block: tuple[slice, ...]
    blocks: tuple[slice, ...]
    reach: tuple[slice, ...]
    driven: slice
    drives: Array
    shared: FloatArray
    supervised: tuple[tuple[Any, Any], ...]


@lru_cache(maxsize=8)
def _layout(network: Network) -> _Layout:
    problem, n, P = network.problem, network.problem.n, network.problem.P
    ends: list[tuple[int, int]] = []
    for group in sorted(network.sharing.groups):
        first, last = group[0], group[-1] + 1
        if ends and first < ends[-1][1]:
            first, last = ends[-1][0], max(last, ends.pop()[1])
        ends.append((first, last))
    blocks = tuple(slice(first * P, last * P) for first, last in ends)
    block = tuple(part for part, (first, last) in zip(blocks, ends, strict=True) for _ in range(first, last))
    positions = [where.time * P + where.pattern for where in network.supervision]
    reach = []
    for t in range(n):
        met = [rows for rows in positions if (rows // P == t).any()]
        met += [np.arange(nP.start, nP.stop) for nP in block[t : t + 1]]
        reach.append(slice(min(map(min, met)), max(map(max, met)) + 1) if met else slice(0))
    on = np.flatnonzero(network.driven)
    return _Layout(
        own=tuple(slice(t * P, (t + 1) * P) for t in range(n)),
        block=block,
        blocks=blocks,
        reach=tuple(reach),
        driven=slice(on[0] * P, (on[-1] + 1) * P) if len(on) else slice(0),
        drives=(network.scale_u * network.inputs.transpose(0, 2, 1)).reshape(n * P, -1).astype(network.dtype),
        shared=np.kron(problem.sharing, np.ones((P, P))) / network.width,
        supervised=tuple((_run(rows), _square(rows)) for rows in positions),
    )


@dataclass(frozen=True, eq=False)
class _Pass:
    """A forward pass: hidden states and activity over the joint index, (nP, N), with the Cholesky factor it made.

    Attributes:
        h, phi: in the network's precision.
        exact: φ in double precision.
        factor: L, ((n-1) P, (n-1) P).
        rows: √w L in the network's precision.
    """

    h: Array
    phi: Array
    exact: FloatArray
    factor: FloatArray
    rows: Array


def _forward(network: Network, X: Array) -> _Pass:
    """Hidden states from (U, G); LinAlgError if the activations are linearly dependent."""
    at, n, size = _layout(network), network.problem.n, len(_layout(network).drives)
    U, G = X[: network.columns], X[network.columns :]
    h = np.zeros((size, network.width), network.dtype)
    phi = h if network.phi.name == "linear" else np.empty_like(h)
    exact = np.empty(h.shape)
    factor = np.zeros((size - network.problem.P,) * 2)
    rows = np.zeros(factor.shape, network.dtype)
    root, skip = math.sqrt(network.problem.w), network.dtype.type(network.problem.skip)
    np.dot(at.drives[at.driven], U, h[at.driven])
    for t, own in enumerate(at.own):
        here = h[own]
        if t > 0:
            last = at.own[t - 1]
            before = slice(at.block[t - 1].start, last.stop)
            np.multiply(factor[last, before], root, out=rows[last, before])
            if at.driven.start < own.stop <= at.driven.stop:
                here += rows[last, before].dot(G[before])
            else:
                rows[last, before].dot(G[before], here)
            if skip:
                here += h[last] * skip
        if phi is not h:
            phi[own] = network.phi.value(here)
        exact[own] = phi[own]
        if t < n - 1:
            _extend(network, factor, exact, t)
    return _Pass(h, phi, exact, factor, rows)


def _extend(network: Network, factor: FloatArray, phi: FloatArray, time: int) -> None:
    """Write the rows of L that belong to one time."""
    at = _layout(network)
    own, first = at.own[time], at.block[time].start
    overlaps = phi[own].dot(phi[first : own.stop].T)
    overlaps *= at.shared[own, first : own.stop]
    if first < own.start:
        before = slice(first, own.start)
        row = dtrtrs(factor[before, before], overlaps[:, : own.start - first].T, lower=1)[0].T
        factor[own, before] = row
        overlaps = overlaps[:, own.start - first :] - row.dot(row.T)
    factor[own, own], failed = dpotrf(overlaps, lower=1)
    if failed:
        raise np.linalg.LinAlgError


def _backward(network: Network, X: Array, done: _Pass, pull: FloatArray) -> Array:
    """``∂L/∂X``, for the part of ``∂L/∂φ`` that comes from the read-out: ``pull`` times φ.

    A time's activation enters the next states through L alone. With ``A = M∘Φ = L Lᵀ`` (Murray, arXiv:1602.07527)

        ∂L/∂A = ½ L⁻ᵀ (Z + Zᵀ, diagonal once) L⁻¹,       Z the lower part of ``Lᵀ ∂L/∂L``,

    of which the rows of one time need ``∂L/∂L`` at this time and later ones only: from the last to the first.
    """
    at, n, P = _layout(network), network.problem.n, network.problem.P
    G, phi, factor = X[network.columns :], done.phi, done.factor
    root, skip = math.sqrt(network.problem.w), network.dtype.type(network.problem.skip)
    slopes = None if phi is done.h else network.phi.derivative(done.h)
    inverse = dtrtri(factor, lower=1)[0] if n > 1 else factor
    by_factor, lower = np.zeros(factor.shape), np.zeros(factor.shape, order="F")
    delta = np.empty_like(phi)
    for t in reversed(range(n)):
        own, reach = at.own[t], at.reach[t]
        if t < n - 1:
            block = at.block[t]
            after, before = slice(own.start, block.stop), slice(block.start, own.stop)
            lower[own, before] = factor[after, own].T.dot(by_factor[after, before])
            half = dsymm(1.0, lower[block, block], inverse[block, own], lower=1)
            pull[own, block] += at.shared[own, block] * half.T.dot(inverse[block, block])
        here = delta[own]
        pull[own, reach].astype(network.dtype).dot(phi[reach], here)
        if slopes is not None:
            here *= slopes[own]
        if skip and t < n - 1:
            here += delta[at.own[t + 1]] * skip
        if t > 0:
            last = at.own[t - 1]
            before = slice(at.block[t - 1].start, last.stop)
            np.multiply(here.dot(G[before].T), root, out=by_factor[last, before])
    slope = np.empty_like(X)
    by_G = slope[network.columns :]
    at.drives[at.driven].T.dot(delta[at.driven], slope[: network.columns])
    for block in at.blocks:
        done.rows[block, block].T.dot(delta[P:][block], by_G[block])
    return slope


def _run(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Increasing rows as a slice, if they follow each other."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] == len(rows) - 1 else rows


def _square(rows: NDArray[np.intp]) -> Any:
    """Index of a matrix's entries in these rows and columns."""
    found = _run(rows)
    return (found, found) if isinstance(found, slice) else np.ix_(rows, rows)


def _slope(network: Network, X: Array, done: _Pass) -> tuple[float, Array]:
    """L with W and V integrated out, and its gradient by X."""
    value, pull = 0.0, np.zeros((len(done.phi),) * 2)
    for where, (rows, places) in zip(network.supervision, _layout(network).supervised, strict=True):
        features = done.exact[rows]
        part, by_overlap = evidence(network, where, features.dot(features.T))
        value += part
        pull[places] += by_overlap
    return value, _backward(network, X, done, pull)


@lru_cache(maxsize=2)  # both ends of a trajectory
def _passed(network: Network, seen: Seen) -> _Pass:
    return _forward(network, seen.X)


@lru_cache(maxsize=2)
def potential(network: Network, seen: Seen) -> tuple[float, Array]:
    """L with W and V integrated out, and its gradient by X.

    Raises:
        LinAlgError: the activations are linearly dependent, or overflowed.
    """
    return _slope(network, seen.X, _passed(network, seen))


def activations(network: Network, seen: Seen) -> Array:
    """φ(h), (n, N, P)."""
    phi = _passed(network, seen).phi
    return phi.reshape(network.problem.n, network.problem.P, -1).transpose(0, 2, 1)


def look(network: Network, weights: Weights) -> Seen:
    """What the network sees of given weights.

    Raises:
        InputError: its activations are linearly dependent, or have a chance to become so.
    """
    if network.phi.name == "relu" and network.width < _NARROWEST_RELU:
        raise InputError(
            f"width: is {network.width}; accepted: an integer ≥ {_NARROWEST_RELU} for relu and sampler 'collapsed'"
        )
    n, P = network.problem.n, network.problem.P
    phi = network.forward(network.connections(weights), weights.U).phi
    X = np.empty((network.columns + (n - 1) * P, network.width), network.dtype)
    X[: network.columns] = weights.U.T
    of_times = X[network.columns :].reshape(n - 1, P, network.width)
    for frame in frames(network, phi):
        for t, parts in zip(frame.group, frame.of_times(P), strict=True):
            of_times[t] = np.sum(
                [Q.T.astype(network.dtype) @ weights.W[k].T for k, Q in zip(frame.layers, parts, strict=True)], axis=0
            )
    return Seen(X)


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
    P, G = network.problem.P, seen.X[network.columns :]
    W = np.empty((network.layers, network.width, network.width), network.dtype)
    fill_normal(rng, W)
    for frame in frames(network, activations(network, seen)):
        parts = [part.astype(network.dtype) for part in frame.parts]
        missing = np.concatenate([G[t * P : (t + 1) * P] for t in frame.group]).T
        for layer, part in zip(frame.layers, parts, strict=True):
            missing = missing - W[layer] @ part
        for layer, part in zip(frame.layers, parts, strict=True):
            W[layer] += missing @ part.T
    return Weights(np.ascontiguousarray(seen.X[: network.columns].T), W, None)


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
        momentum = np.empty_like(state.seen.X)
        fill_normal(rng, momentum)
        angle, steps = draw_trajectory(rng, self.step_size, self.length)
        uniform = rng.random()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            end, error = self._run(state.seen, momentum, angle, steps)
        acceptance = math.exp(-max(error, 0.0))
        accepted = uniform < acceptance
        return CollapsedState(end) if accepted else state, HMCInfo(acceptance, accepted, steps)

    def _run(self, seen: Seen, momentum: Array, angle: float, steps: int) -> tuple[Seen, float]:
        """Kick–rotate–kick; the end point and the energy error, which is that of the kicks and of L.

        Position, momentum and gradient are rows of one matrix, so that a kick and a rotation are a product with it.
        """
        network, shape = self.network, seen.X.shape
        cos, sin = math.cos(angle), math.sin(angle)
        moving, spare = (np.empty((3, seen.X.size), network.dtype) for _ in range(2))
        moving[0], moving[1] = seen.X.reshape(-1), momentum.reshape(-1)
        error = 0.0
        for step in range(steps + 1):
            weight = -angle * (0.5 if step in (0, steps) else 1.0)
            try:
                if 0 < step < steps:
                    X = moving[0].reshape(shape)
                    _, slope = _slope(network, X, _forward(network, X))
                else:
                    seen = seen if step == 0 else Seen(moving[0].reshape(shape))
                    value, slope = potential(network, seen)
                    error += value if step else -value
            except (np.linalg.LinAlgError, ValueError):  # the activity overflowed, or collapsed to fewer directions
                return seen, math.inf
            moving[2] = slope.reshape(-1)
            along, square = moving[1:].dot(moving[2])
            error += weight * (float(along) + 0.5 * weight * float(square))
            if step < steps:
                turn = np.array([[cos, sin, weight * sin], [-sin, cos, weight * cos]], network.dtype)
                turn.dot(moving, spare[:2])
                moving, spare = spare, moving
        return seen, error if math.isfinite(error) else math.inf
