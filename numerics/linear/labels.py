"""Labels of positions whose outputs depend on each other, as those of equal patterns.

Where the read-out 𝒯Q has a deficient rank, orthonormal directions of the labels split into those that kernels reach and
those that none does. The noise is the same along each, so that ``½ yᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y`` is the energy of the first with as
many labels as the read-out has rank, and a constant ``½|y_⊥|²/κ``. Nothing is then divided by a noise of 0.
"""

from __future__ import annotations

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.linear.space import CLEAR, CUT

#: Rows of sizes closer than this are turned so that small differences between them have a row of their own.
ALIKE = 1e-4
#: Relative size below which a difference of labels is none.
SAME_LABELS = 1e-9


def reached_labels(problem: Problem, readout: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Rows of the read-out and labels in directions that kernels reach, and ``|y|²`` in the others.

    Args:
        problem: its labels and their noise.
        readout: rows of the space's basis at the supervised positions, (s, m).

    Raises:
        InputError: without noise, labels that disagree where inputs depend on each other.
    """
    y = problem.labels
    norms = np.linalg.norm(readout, axis=1)
    scaled = readout / norms[:, None]
    values = np.linalg.eigvalsh(scaled @ scaled.T)
    if values[0] > CLEAR**2 * values[-1]:
        return readout, y, 0.0
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=len(scaled) > readout.shape[1])
    rank = int(np.sum(sizes > CUT * sizes[0]))
    unreached = np.linalg.qr(left[:, rank:] / norms[:, None])[0]
    beyond = unreached @ (unreached.T @ y)
    if problem.kappa == 0 and np.abs(beyond).max(initial=0.0) > SAME_LABELS * np.abs(y).max():
        _refuse(problem, unreached, beyond)
    frame = np.linalg.svd(unreached, full_matrices=True)[0][:, unreached.shape[1] :]
    if norms.min() > ALIKE * norms.max() and rank:
        frame = frame @ np.linalg.svd(frame.T @ readout, full_matrices=False)[0]
    unexplained = float(beyond @ beyond) if problem.kappa > 0 else 0.0
    return frame.T @ readout, frame.T @ y, unexplained


def _refuse(problem: Problem, unreached: FloatArray, beyond: FloatArray) -> None:
    """Name the rows whose labels disagree most: equal ones, if any, else those of one dependence."""
    T, P = problem.supervised, problem.P
    worst = int(np.abs(beyond).argmax())
    time, pattern = divmod(int(T[worst]), P)
    tied = unreached @ unreached[worst]
    tied[worst] = 0.0
    history = problem.x[:, : time + 1]
    equal = [
        int(T[k] % P)
        for k in range(len(T))
        if k != worst and T[k] // P == time and np.array_equal(history[T[k] % P], history[pattern])
    ]
    disagree = [q for q in equal if problem.y[q, time] != problem.y[pattern, time]]
    if disagree:
        first, second = sorted((pattern, disagree[0]))
        what = (
            f"rows {first} and {second} have equal inputs, but labels {problem.y[first, time]:g} and "
            f"{problem.y[second, time]:g} at t = {time + 1}"
        )
    else:
        rows = sorted({pattern, *(int(T[k] % P) for k in np.flatnonzero(np.abs(tied) > 1e-6 * np.abs(tied).max()))})
        named = ", ".join(map(str, rows[:6])) + (", …" if len(rows) > 6 else "")
        what = f"rows {named} have linearly dependent inputs, but labels that do not depend alike (t = {time + 1})"
    raise InputError(f"y: {what}; accepted: labels that agree, or kappa > 0")
