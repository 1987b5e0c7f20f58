"""Stochastic gradient Langevin dynamics of the weights: the poster's dynamics, discretised."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.linalg import get_blas_funcs

from numerics.problem import InputError
from numerics.sampling.network import Activity, Array, Network, Weights
from numerics.sampling.normals import fill_normal
from numerics.sampling.readout import sampled

Preconditioner = Literal["prior", "identity"]
Integrator = Literal["euler", "leimkuhler-matthews"]
PRECONDITIONERS: tuple[str, ...] = get_args(Preconditioner)
INTEGRATORS: tuple[str, ...] = get_args(Integrator)

#: Rows of W are updated in blocks that stay in cache between drawing the noise and adding the drift.
_BLOCK_ENTRIES = 1 << 16
#: Larger matrices are moved in bands of rows, which threads can share.
_BAND_ENTRIES = 1 << 17


@dataclass(frozen=True, eq=False)
class SGLDState:
    """Weights and, for the second-order integrator, the noise that the next step uses again.

    Attributes:
        weights: whitened weights.
        noise: standard normals shaped like the weights, or None for Euler–Maruyama.
    """

    weights: Weights
    noise: Weights | None


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
        if self.integrator == "euler":
            return SGLDState(weights, None)
        return SGLDState(weights, self.network.prior_draw(rng, readout=True))

    def step(
        self, rng: np.random.Generator, state: SGLDState, spare: Array | None = None
    ) -> tuple[SGLDState, SGLDInfo]:
        """One step of the dynamics; the state is left as it was.

        Args:
            rng: source of the noise.
            state: where the step starts.
            spare: an array like W that nobody needs any more; the new W is written there, which saves the system from
                handing out fresh memory at every step.
        """
        network, weights = self.network, state.weights
        assert weights.V is not None
        connections = network.connections(weights)
        activity = network.forward(connections, weights.U)
        likelihood = sampled(network, activity.phi, weights.V)
        assert likelihood.gradient_v is not None
        delta = network.backward(connections, activity, likelihood.source)
        noise = state.noise
        u, noise_u = self._move(
            rng, weights.U, network.gradient_u(delta), self.mobility.u, None if noise is None else noise.U
        )
        v, noise_v = self._move(
            rng, weights.V, likelihood.gradient_v, self.mobility.v, None if noise is None else noise.V
        )
        factors = network.gradient_w(delta, activity.phi)
        w, noise_w = self._move_matrices(rng, weights.W, factors, None if noise is None else noise.W, spare)
        kept = None if noise_u is None or noise_w is None else Weights(noise_u, noise_w, noise_v)
        return SGLDState(Weights(u, w, v), kept), SGLDInfo(likelihood.value, activity)

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
        W: Array,
        factors: list[tuple[Array, Array]],
        noise: Array | None,
        spare: Array | None,
    ) -> tuple[Array, Array | None]:
        N = self.network.width
        moved = np.empty_like(W) if spare is None else spare
        fresh = None if noise is None else np.empty_like(W)
        rows = max(1, _BAND_ENTRIES // N)
        bands = [(layer, slice(start, start + rows)) for layer in range(len(W)) for start in range(0, N, rows)]

        def move(band: tuple[int, slice], own: np.random.Generator) -> None:
            layer, where = band
            left, right = factors[layer]
            before = None if noise is None else noise[layer, where]
            kept = None if fresh is None else fresh[layer, where]
            self._move_band(own, W[layer, where], (left[where], right), before, moved[layer, where], kept)

        if len(bands) == 1:
            move(bands[0], rng)
            return moved, fresh
        # Every band has its own stream, so that the numbers do not depend on how many threads share the bands.
        streams = [np.random.Generator(np.random.SFC64(int(seed))) for seed in rng.integers(2**63, size=len(bands))]
        if self.threads == 1:
            for band, own in zip(bands, streams, strict=True):
                move(band, own)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(move, bands, streams))
        return moved, fresh

    def _move_band(
        self,
        rng: np.random.Generator,
        W: Array,
        factors: tuple[Array, Array],
        noise: Array | None,
        moved: Array,
        fresh: Array | None,
    ) -> None:
        """Move some rows of one matrix, a block at a time; `noise` and `fresh` are the old and new noise, if it is
        kept.
        """
        dtype, N = self.network.dtype, self.network.width
        h = self.step_size * self.mobility.w
        spread = math.sqrt(2 * h)
        # In BLAS, which reads columns first, every block is a transpose; both updates are then a single pass in place.
        axpy, gemm = get_blas_funcs(("axpy", "gemm"), (moved,))
        pull, right = factors[0] * dtype.type(-h), np.ascontiguousarray(factors[1].T)
        rows = max(1, _BLOCK_ENTRIES // N)
        for start in range(0, len(W), rows):
            where = slice(start, start + rows)
            block = moved[where]
            if fresh is None or noise is None:
                fill_normal(rng, block, spread)
            else:
                fill_normal(rng, fresh[where])
                np.add(fresh[where], noise[where], out=block)
                block *= dtype.type(spread / 2)
            axpy(W[where].reshape(-1), block.reshape(-1), a=1 - h)
            gemm(1.0, right.T, pull[where].T, beta=1.0, c=block.T, overwrite_c=True)
