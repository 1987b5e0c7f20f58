"""Where a chain starts: from the prior, in a chosen phase, or at trajectories of a given law."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from numerics.errors import InputError
from numerics.inputs.arguments import require_choice
from numerics.linalg import Array
from numerics.sampling.network import Network, Weights
from numerics.sampling.readout import draw_readout
from numerics.sampling.trajectories import TrajectoryLaw, weights_given

StartName = Literal["prior", "incoherent", "coherent", "coherent-negative"]
STARTS: tuple[str, ...] = get_args(StartName)

#: Gain, relative to √w, that a phase's planted directions have at the start. Above 1, so that they outgrow
#: the bulk.
_GAIN = 2.0


def start(
    rng: np.random.Generator, network: Network, kind: str, *, readout: bool, law: TrajectoryLaw | None = None
) -> Weights:
    """Weights at which a chain starts.

    With a `law`, every neuron's trajectory is drawn from it, and U and W from their exact law given these: the kernel
    is the law's up to fluctuations of order ``1/√N``. Otherwise a start is a prior draw of U and W; "prior" changes
    nothing else. The others plant a phase on top of it:

    * "coherent" adds ``g E Eᵀ`` to W with E an orthonormal basis of the neurons' first activity: each pattern
      is carried on along one direction, ``H^{t,t-1} > 0``. "coherent-negative" adds ``-g E Eᵀ``, so that the
      sign alternates.
    * "incoherent" adds ``g Σ_t E_{t+1} E_tᵀ`` with mutually orthogonal E_t: activity grows without overlap
      between times.

    The chain's warm-up then relaxes within the phase. V is drawn from its exact law given the rest, if it is
    sampled.

    Raises:
        InputError: an unknown kind, or trajectories that the network cannot have.
    """
    require_choice(kind, "init", STARTS)
    if law is not None:
        weights = weights_given(rng, network, law.draw(rng, network.width))
    else:
        weights = network.prior_draw(rng, readout=readout and kind == "prior")
    if kind != "prior":
        weights = replace(weights, W=weights.W + _plant(rng, network, weights, kind))
    if not readout or weights.V is not None:
        return weights
    phi = network.forward(network.connections(weights), weights.U).phi
    return replace(weights, V=draw_readout(rng, network, phi))


def _plant(rng: np.random.Generator, network: Network, weights: Weights, kind: str) -> Array:
    """The planted part of η_W, (layers, N, N): ``W^(s)`` gets what is planted at step s, if M allows it."""
    n, N = network.problem.n, network.width
    first = network.forward(network.connections(weights), weights.U).phi[0].astype(np.float64)
    left, singular, _ = np.linalg.svd(first, full_matrices=False)
    basis = left[:, singular > 1e-6 * singular[0]]
    rank = basis.shape[1]
    gain = _GAIN * np.sqrt(N)  # whitened: W = √(w/N) η
    planted = np.zeros((network.layers, N, N))
    G = network.sharing.matrix
    if kind != "incoherent":
        sign = 1.0 if kind == "coherent" else -1.0
        # the same at every step: G a = 1, or as nearly as can be
        for layer, amount in enumerate(np.linalg.solve(G.T @ G, G.sum(axis=0))):
            planted[layer] += amount * (sign * gain * basis @ basis.T)
        return planted.astype(network.dtype)
    if n * rank > N:
        raise InputError(f"init: 'incoherent' needs {n * rank} orthogonal directions; accepted: a width of as many")
    free = rng.standard_normal((N, (n - 1) * rank))
    directions = np.linalg.qr(np.concatenate([basis, free], axis=1))[0]
    for step in range(n - 1):
        here, there = (directions[:, (step + k) * rank : (step + k + 1) * rank] for k in (0, 1))
        # what other steps plant in the same layers ends in directions that this one does not meet
        for layer, coefficient in network.sharing.uses[step]:
            planted[layer] += coefficient / float(G[step] @ G[step]) * (gain * there @ here.T)
    return planted.astype(network.dtype)
