"""Groups of rows and coordinates between which one neuron's law factorises, so that averages are over one at a time.

The tilted law ``N(g|0, C_g[Φ]) exp(φᵀΦ̃φ)`` is a product over groups that neither C nor Φ̃ connects. C connects
coordinates that share inputs, biases or weights; Φ̃ rows that share weights, or that are labels of one output. So a
network of independent layers whose labels come at one time has each time as a group by itself, and Φ between
two of them is ``⟨φ⟩⟨φ⟩ᵀ``, which vanishes for odd φ. A state that a symmetry leaves as it is has groups of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from numerics.linalg import BoolArray, FloatArray, IntArray
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import ABSENT, Classes

#: Dimensions of a group at least: points of fewer are spread so evenly that their error is that of rare ones in the
#: tails, of which the batches of a sample tell too little.
SMALLEST = 4


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of Φ and coordinates of g that belong together.

    Attributes:
        rows: of Φ, (m',).
        coordinates: of g, (d',).
    """

    rows: IntArray
    coordinates: IntArray

    def of_rows(self, matrix: FloatArray) -> FloatArray:
        """Their block of an (m, m) matrix."""
        return np.asarray(matrix[self.rows[:, None], self.rows])

    def of_coordinates(self, matrix: FloatArray) -> FloatArray:
        """Their block of a (d, d) matrix."""
        return np.asarray(matrix[self.coordinates[:, None], self.coordinates])


def whole(space: TrajectorySpace) -> tuple[Group, ...]:
    """One group of everything."""
    return (Group(np.arange(space.m), np.arange(space.d)),)


def groups_of(space: TrajectorySpace, classes: Classes | None = None) -> tuple[Group, ...]:
    """The finest groups of any state, or of those that keep to classes; one of everything where some are too small."""
    m, sharing = space.m, space.sharing != 0
    receives = _present(space.receive)
    connected = np.zeros((m + space.d,) * 2, dtype=bool)
    connected[m:, :m] = _present(space.embedding).T
    connected[m:, m:] = _present(space.inputs) | _present(receives.astype(float) @ sharing @ receives.T)
    connected[:m, :m] = sharing & np.logical_and.outer(receives.any(axis=0), receives.any(axis=0))
    for labels in space.labels.sets:
        connected[labels.rows[:, None], labels.rows] = True
    numbers = connected_components(connected, directed=False)[1]
    if classes is not None:
        both = np.stack([numbers, np.concatenate([classes.rows, classes.coordinates])])
        numbers = np.unique(both, axis=1, return_inverse=True)[1].ravel().astype(numbers.dtype)
    first = [int(np.argmax(numbers == number)) for number in np.unique(numbers)]
    groups = tuple(
        Group(np.flatnonzero(numbers[:m] == numbers[at]), np.flatnonzero(numbers[m:] == numbers[at]))
        for at in sorted(first)
    )
    return groups if min(len(group.coordinates) for group in groups) >= SMALLEST else whole(space)


def largest(groups: tuple[Group, ...]) -> int:
    """Dimensions of the largest group."""
    return max(len(group.coordinates) for group in groups)


def inverse(groups: tuple[Group, ...], matrix: FloatArray) -> FloatArray:
    """The inverse of a (d, d) matrix that connects no two groups.

    Raises:
        numpy.linalg.LinAlgError: it is singular.
    """
    found = np.zeros_like(matrix)
    for group in groups:
        found[np.ix_(group.coordinates, group.coordinates)] = np.linalg.inv(group.of_coordinates(matrix))
    return found


def _present(matrix: FloatArray) -> BoolArray:
    size = np.abs(matrix)
    return np.asarray(size > ABSENT * size.max(initial=0.0))
