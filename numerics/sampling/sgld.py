"""Stochastic gradient Langevin dynamics of the weights: the poster's dynamics, discretised.

See docs/theory.md section 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from numerics.errors import InputError
from numerics.linalg import Array
from numerics.sampling.network import Activity, Network, Weights
from numerics.sampling.normals import fill_normal
from numerics.sampling.readout import sampled
from numerics.sampling.updated import UpdatedMatrices, plain, stacked

Preconditioner = Literal["prior", "identity"]
Integrator = Literal["euler", "leimkuhler-matthews"]
PRECONDITIONERS: tuple[str, ...] = get_args(Preconditioner)
INTEGRATORS: tuple[str, ...] = get_args(Integrator)

#: Directions, on either side, of a matrix's noise, and outer products that wait: more make every step slower, fewer the
#: passes over all entries.
_MOST_DIRECTIONS = 32
#: All noise is drawn in every step where the directions would serve for fewer steps, or where there are fewer entries
#: for each new direction: they are drawn faster than it is found.
_FEWEST_STEPS = 4
_FEWEST_ENTRIES = 1 << 16
_SMALLEST_SCALE, _LARGEST_SCALE = 1e-3, 1e3


@dataclass(frozen=True, eq=False)
class SGLDState:
    """Whitened weights and, for the second-order integrator, the noise that the next step uses again.

    Attributes:
        U, V: input weights with biases, and read-out weights, as in `Weights`.
        W: recurrent weights.
        noise: standard normals shaped like the weights, or None for Euler–Maruyama.
    """

    U: Array
    V: Array
    W: UpdatedMatrices
    noise: Weights | None

    @property
    def weights(self) -> Weights:
        """The weights, W written out; all noise must have been drawn (`complete`)."""
        return Weights(self.U, self.W.written_out(), self.V)

    def complete(self, rng: np.random.Generator, spare: Array | None = None) -> SGLDState:
        """The same state with W's noise drawn in all directions, given those known; arguments as of `SGLD.step`."""
        if self.W.noise.variance == 0:
            return self
        return replace(self, W=self.W.drawn(rng, factor=self.W.scale, spare=spare))


@dataclass(frozen=True, eq=False)
class SGLDInfo:
    """What a step has computed on its way.

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
    ``K N²/v``; biases move as U does.
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

        Of a wide network's W, Euler and Maruyama's step draws noise only along the next steps' query directions. Its
        law is that of all noise drawn at once. Where weights are wanted, the state's `complete` draws the rest.

        Args:
            rng: source of the noise.
            state: where the step starts.
            spare: an array like ``state.W.dense`` that nobody needs any more; the new one is written there. It may be
                that of the state itself, which is then moved in place.
        """
        network, noise = self.network, state.noise
        matrices = state.W.in_step(rng, network.directions, network.sharing.uses)
        activity = network.forward(matrices, state.U)
        likelihood = sampled(network, activity.phi, state.V)
        assert likelihood.gradient_v is not None
        delta = network.backward(matrices, activity, likelihood.source)
        u, noise_u = self._move(
            rng, state.U, network.gradient_u(delta), self.mobility.u, None if noise is None else noise.U
        )
        v, noise_v = self._move(
            rng, state.V, likelihood.gradient_v, self.mobility.v, None if noise is None else noise.V
        )
        W = replace(state.W, noise=matrices.noise())
        factors = network.gradient_w(delta, activity.phi)
        W, noise_w = self._move_matrices(rng, W, factors, None if noise is None else noise.W, spare)
        kept = None if noise_u is None or noise_w is None else Weights(noise_u, noise_w, noise_v)
        return SGLDState(u, v, W, kept), SGLDInfo(likelihood.value, activity)

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
        spare: Array | None,
    ) -> tuple[UpdatedMatrices, Array | None]:
        """``η_W - h (η_W + A Bᵀ) + √(2h) ξ`` for the gradients' factors (A, B), and ξ if it is kept."""
        if not factors:
            return W, noise
        h = self.step_size * self.mobility.w
        scale = W.scale * (1 - h)
        if _SMALLEST_SCALE <= abs(scale) <= _LARGEST_SCALE:
            W = replace(W, scale=scale)
        else:
            W = W.drawn(rng, factor=scale, spare=spare, threads=self.threads)
            spare = W.dense
        dtype = self.network.dtype
        left = stacked([dtype.type(-h / W.scale) * pair[0].T for pair in factors])
        right = stacked([pair[1].T for pair in factors])
        W = replace(W, left=np.concatenate([W.left, left], axis=1), right=np.concatenate([W.right, right], axis=1))
        crowded = W.left.shape[1] + self.network.directions > _MOST_DIRECTIONS
        kept = None if noise is None else (noise, np.empty_like(W.dense))
        # where the noise is used twice, half of each of two normals is added
        variance = 2 * h / W.scale**2 / (1 if kept is None else 4)
        W = replace(W, noise=W.noise.with_more(rng, variance))
        if crowded or not self._defers:
            factor = W.scale if crowded else None
            W = W.drawn(rng, factor=factor, spare=spare, threads=self.threads, kept=kept)
        return W, None if kept is None else kept[1]

    @property
    def _defers(self) -> bool:
        """Whether noise is drawn along query directions only, and in full once in many steps."""
        few = _FEWEST_STEPS * self.network.directions <= _MOST_DIRECTIONS
        wide = self.network.width**2 >= _FEWEST_ENTRIES * self.network.directions
        return few and wide and self.integrator == "euler"
