"""Stochastic gradient Langevin dynamics of the weights: the poster's dynamics, discretised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from threading import Thread
from typing import Literal, get_args

import numpy as np
from scipy.linalg import get_blas_funcs

from numerics.problem import InputError
from numerics.sampling.network import Activity, Array, Network, Weights
from numerics.sampling.normals import fill_normal
from numerics.sampling.readout import sampled
from numerics.sampling.updated import UpdatedMatrices, multiplied, plain

Preconditioner = Literal["prior", "identity"]
Integrator = Literal["euler", "leimkuhler-matthews"]
PRECONDITIONERS: tuple[str, ...] = get_args(Preconditioner)
INTEGRATORS: tuple[str, ...] = get_args(Integrator)

#: Rows of W are updated in blocks that stay in cache between drawing the noise and adding it.
_BLOCK_BYTES = 1 << 19
#: Larger matrices are moved in bands of rows, which threads can share.
_BAND_ENTRIES = 1 << 19


@dataclass(frozen=True, eq=False)
class SGLDState:
    """Whitened weights and, for the second-order integrator, the noise that the next step uses again.

    Attributes:
        U, V: input and read-out weights, (N, D) and (N,).
        W: recurrent weights.
        noise: standard normals shaped like the weights, or None for Euler–Maruyama.
    """

    U: Array
    V: Array
    W: UpdatedMatrices
    noise: Weights | None

    @property
    def weights(self) -> Weights:
        """The weights, W written out."""
        return Weights(self.U, self.W.written_out(), self.V)


@dataclass(frozen=True, eq=False)
class SGLDInfo:
    """What a step met on its way.

    Attributes:
        loss: L at the state before the step.
        activity: of the state before the step.
    """

    loss: float
    activity: Activity


@dataclass(frozen=True)
class Mobility:
    """Relative step of each group of whitened weights."""

    u: float
    w: float
    v: float


def mobility(network: Network, preconditioner: Preconditioner) -> Mobility:
    """Steps of the whitened groups relative to the step size.

    ``dθ = -M (∇L̂ + K θ/G) dτ + √(2KM) dB`` has the same stationary law for every constant M. With M = G/K
    ("prior") every whitened weight moves alike, ``dη = -(η + ∇L) ds + √2 dB``. With M = 1 ("identity", the
    poster's plain form, time in the poster's units) a group's whitened step is ``K/G``: ``K D/u``, ``K N/w``,
    ``K N²/v``.
    """
    if preconditioner == "prior":
        return Mobility(1.0, 1.0, 1.0)
    if preconditioner == "identity":
        K = network.K
        return Mobility(K / network.scale_u**2, K / network.scale_w**2, K / network.scale_v**2)
    raise InputError(f"preconditioner: is {preconditioner!r}; accepted: {' or '.join(PRECONDITIONERS)}")


@dataclass(frozen=True, eq=False)
class SGLD:
    """Langevin dynamics of the full posterior of (U, W, V) at a fixed step.

    ``η' = η - h (η + ∇L) + √(2h) ξ`` (Euler–Maruyama), whose stationary law is that of the potential ``U``
    with an error of order h; or, "leimkuhler-matthews", with ``ξ`` replaced by the mean of this step's noise
    and the next's, whose error is of order h² and which is exact for a quadratic potential (Leimkuhler &
    Matthews, AMRX 2013).

    Attributes:
        network: whose weights move.
        step_size: h, in units of the prior's relaxation time; with the identity preconditioner, of the
            poster's time τ.
        mobility: relative steps of the groups of weights.
        integrator: "euler" or "leimkuhler-matthews".
        threads: that share the update of large matrices; the result is the same for any number.
    """

    network: Network
    step_size: float
    mobility: Mobility
    integrator: Integrator = "euler"
    threads: int = 1

    def init(self, rng: np.random.Generator, weights: Weights) -> SGLDState:
        """A state that starts from given weights (which must include V)."""
        assert weights.V is not None
        noise = None if self.integrator == "euler" else self.network.prior_draw(rng, readout=True)
        return SGLDState(weights.U, weights.V, plain(weights.W, self.network.scale_w), noise)

    def step(
        self, rng: np.random.Generator, state: SGLDState, spare: Array | None = None
    ) -> tuple[SGLDState, SGLDInfo]:
        """One step of the dynamics; the state is left as it was, unless its own W is the spare array.

        Args:
            rng: source of the noise.
            state: where the step starts.
            spare: an array like ``state.W.dense`` that nobody needs any more; the new one is written there. It may be
                that of the state itself, which is then moved in place.
        """
        network, noise = self.network, state.noise
        activity = network.forward(state.W, state.U)
        likelihood = sampled(network, activity.phi, state.V)
        assert likelihood.gradient_v is not None
        delta = network.backward(state.W, activity, likelihood.source)
        u, noise_u = self._move(
            rng, state.U, network.gradient_u(delta), self.mobility.u, None if noise is None else noise.U
        )
        v, noise_v = self._move(
            rng, state.V, likelihood.gradient_v, self.mobility.v, None if noise is None else noise.V
        )
        factors = network.gradient_w(delta, activity.phi)
        first = network.first_activity(u)
        w, noise_w = self._move_matrices(rng, state.W, factors, None if noise is None else noise.W, first, spare)
        kept = None if noise_u is None or noise_w is None else Weights(noise_u, noise_w, noise_v)
        return SGLDState(u, v, w, kept), SGLDInfo(likelihood.value, activity)

    def _move(
        self, rng: np.random.Generator, eta: Array, gradient: Array, relative: float, noise: Array | None
    ) -> tuple[Array, Array | None]:
        h = self.step_size * relative
        fresh = np.empty_like(eta)
        fill_normal(rng, fresh)
        used = fresh if noise is None else (noise + fresh) / 2
        return eta - h * (eta + gradient) + math.sqrt(2 * h) * used, None if noise is None else fresh

    def _move_matrices(
        self,
        rng: np.random.Generator,
        W: UpdatedMatrices,
        factors: list[tuple[Array, Array]],
        noise: Array | None,
        first: Array,
        spare: Array | None,
    ) -> tuple[UpdatedMatrices, Array | None]:
        """``η_W - h (η_W + A Bᵀ) + √(2h) ξ`` for the gradients' factors (A, B), and ξ if it is kept.

        `first` is the activity that the new matrices will be given first.
        """
        if not factors:
            return W, noise
        h = self.step_size * self.mobility.w
        added = factors[0][0].shape[1]
        crowded = W.crowded(1 - h, added)
        scale = 1.0 if crowded else W.scale * (1 - h)
        dense = np.empty_like(W.dense) if spare is None else spare
        fresh = None if noise is None else np.empty_like(W.dense)
        ahead = np.empty_like(first)
        move = _BandMove(W, 1 - h if crowded else None, math.sqrt(2 * h) / scale, noise, dense, fresh, first, ahead)
        self._share(move, rng)
        dtype = self.network.dtype
        left = np.array([dtype.type(-h / scale) * pair[0].T for pair in factors])
        right = np.array([pair[1].T for pair in factors])
        if not crowded:
            left, right = np.concatenate([W.left, left], axis=1), np.concatenate([W.right, right], axis=1)
        return UpdatedMatrices(dense, scale, left, right, W.unit, ahead), fresh

    @cached_property
    def _streams(self) -> list[np.random.Generator]:
        """One generator for each band, made once: each step sets their states, in a tenth of the time."""
        N = self.network.width
        count = self.network.layers * -(-N // max(1, _BAND_ENTRIES // N))
        return [np.random.Generator(np.random.SFC64(0)) for _ in range(count)]

    def _share(self, move: _BandMove, rng: np.random.Generator) -> None:
        """Move all bands of rows, on as many threads as asked for."""
        layers, N = move.dense.shape[:2]
        rows = max(1, _BAND_ENTRIES // N)
        bands = [(layer, slice(first, first + rows)) for layer in range(layers) for first in range(0, N, rows)]
        if len(bands) == 1:
            move.run(rng, *bands[0])
            return
        # Every band has its own stream, so that the numbers do not depend on how many threads share the bands.
        streams = self._streams[: len(bands)]
        for stream, words in zip(streams, rng.integers(2**64 - 1, size=(len(bands), 4), dtype=np.uint64), strict=True):
            state = {"bit_generator": "SFC64", "state": {"state": words}, "has_uint32": 0, "uinteger": 0}
            stream.bit_generator.state = state

        def some(first: int) -> None:
            for band, own in list(zip(bands, streams, strict=True))[first :: self.threads]:
                move.run(own, *band)

        helpers = [Thread(target=some, args=(first,)) for first in range(1, self.threads)]
        for helper in helpers:
            helper.start()
        some(0)
        for helper in helpers:
            helper.join()


@dataclass(frozen=True, eq=False)
class _BandMove:
    """Noise added to bands of rows, a block at a time that stays in cache.

    Attributes:
        W: where the step starts.
        shrink: 1 - h where this step writes W out, None where it leaves the scale and the outer products to later.
        spread: standard deviation of the noise.
        noise: the last step's noise, or None if noise is not used again.
        dense: where the new dense part is written.
        fresh: where this step's noise is kept.
        first: activity at the first time of the next step, (N, P).
        ahead: where its product with the new dense part is written.
    """

    W: UpdatedMatrices
    shrink: float | None
    spread: float
    noise: Array | None
    dense: Array
    fresh: Array | None
    first: Array
    ahead: Array

    def run(self, rng: np.random.Generator, layer: int, band: slice) -> None:
        """Move one band."""
        N = self.dense.shape[-1]
        rows = max(1, _BLOCK_BYTES // (N * self.dense.itemsize))
        scratch = np.empty((min(rows, N), N), self.dense.dtype)
        axpy = get_blas_funcs("axpy", (scratch,))
        for first in range(band.start, min(band.stop, N), rows):
            where = slice(first, min(first + rows, band.stop, N))
            block = scratch[: where.stop - where.start]
            amount = self.spread * self._draw(rng, layer, where, block)
            before, after = self.W.dense[layer, where], self.dense[layer, where]
            if self.shrink is not None:
                factor = self.shrink * self.W.scale
                np.multiply(before, before.dtype.type(factor), out=after)
                self.W.add_products(layer, where, factor, after)
            elif self.dense is not self.W.dense:
                after[...] = before
            axpy(block.reshape(-1), after.reshape(-1), a=amount)
            if layer == 0:
                self.ahead[where] = multiplied(after, self.first)

    def _draw(self, rng: np.random.Generator, layer: int, where: slice, block: Array) -> float:
        """Fill a block with this step's noise, or its sum with the last step's; the factor that it is used with."""
        if self.noise is None or self.fresh is None:
            fill_normal(rng, block)
            return 1.0
        fill_normal(rng, self.fresh[layer, where])
        np.add(self.fresh[layer, where], self.noise[layer, where], out=block)
        return 0.5
