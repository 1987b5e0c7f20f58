"""Orthonormal frames of a network's activity, on which the collapsed sampler knows the action of its matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.linalg import Array, FloatArray
from numerics.sampling.network import Network

_DEPENDENT = (
    "sampler: 'collapsed' needs activations that are linearly independent, over patterns and the times that share "
    "weights, at a width of as many; accepted: 'hmc' for this problem"
)


@dataclass(frozen=True, eq=False)
class Frame:
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


def frames(network: Network, phi: Array) -> list[Frame]:
    """The frames of all groups, for activations (n, N, P).

    Raises:
        InputError: the activations are linearly dependent.
    """
    P, N = network.problem.P, network.width
    found = []
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
        found.append(Frame(group, layers, Q.reshape(len(layers), N, -1)))
    return found
