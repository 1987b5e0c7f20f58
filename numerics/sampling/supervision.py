"""Which outputs are supervised where: outputs that share their positions share their factorisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.inputs.problem import Problem
from numerics.linalg import Array, FloatArray


@dataclass(frozen=True, eq=False)
class Supervision:
    """Outputs that are supervised at the same positions.

    Attributes:
        outputs: which of the problem's.
        time, pattern: t - 1 and p of each position, (S,).
        exact_labels: (S,) where the problem has one output, else (S, number of these outputs).
        labels: the same in the network's precision.
    """

    outputs: NDArray[np.intp]
    time: NDArray[np.intp]
    pattern: NDArray[np.intp]
    exact_labels: FloatArray
    labels: Array

    def features(self, phi: Array) -> Array:
        """Activations at the positions, (S, N)."""
        return phi[self.time, :, self.pattern]


def supervisions(problem: Problem, dtype: np.dtype[Any]) -> tuple[Supervision, ...]:
    """All labels of a problem, by their sets of positions."""
    found = []
    for outputs, positions, labels in problem.target_sets:
        labels = labels[:, 0].copy() if problem.outputs == 1 else labels
        time, pattern = np.divmod(positions, problem.P)
        found.append(Supervision(np.array(outputs), time, pattern, labels, labels.astype(dtype)))
    return tuple(found)
