"""Labels of positions whose outputs depend on each other, as those of equal patterns.

Where the read-out 𝒯Q has a deficient rank, orthonormal directions of the labels split into those that kernels reach and
those that none does. The noise is the same along each, so that ``½ yᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y`` is the energy of the first with as
many labels as the read-out has rank, and a constant ``½|y_⊥|²/κ``. Nothing is then divided by a noise of 0.
"""

from __future__ import annotations

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, IntArray
from numerics.linear.energy import Target
from numerics.linear.space import CLEAR, CUT, KernelSpace

#: Rows of sizes closer than this are turned so that small differences between them have a row of their own.
ALIKE = 1e-4
#: Relative size below which a difference of labels is none.
SAME_LABELS = 1e-9


def targets_of(problem: Problem, space: KernelSpace) -> tuple[Target, ...]:
    """What each supervised set has to reproduce, outputs that share one together, and how the space reads it out.

    Raises:
        InputError: without noise, labels that disagree where inputs depend on each other.
    """
    found = []
    for _, positions, labels in problem.target_sets:
        readout = space.basis_rows(positions)
        # in the space of pre-activations the labels' positions are independent of each other
        plain = space.is_identity
        found.append(
            Target(readout, labels, 0.0) if plain else reached(problem, positions, Target(readout, labels, 0.0))
        )
    return tuple(found)


def reached(problem: Problem, positions: IntArray, target: Target) -> Target:
    """Read-out and labels in directions that kernels reach, and ``|y|²`` in the others.

    Args:
        problem: the noise; its inputs, which a refusal names.
        positions: of the labels in the joint index, (s,).
        target: rows of the space's basis there, and the labels.

    Raises:
        InputError: without noise, labels that disagree where inputs depend on each other.
    """
    readout, y = target.readout, target.labels
    norms = np.linalg.norm(readout, axis=1)
    scaled = readout / norms[:, None]
    values = np.linalg.eigvalsh(scaled @ scaled.T)
    if values[0] > CLEAR**2 * values[-1]:
        return target
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=len(scaled) > readout.shape[1])
    rank = int(np.sum(sizes > CUT * sizes[0]))
    unreached = np.linalg.qr(left[:, rank:] / norms[:, None])[0]
    beyond = unreached @ (unreached.T @ y)
    if problem.kappa == 0:
        wrong = np.abs(beyond).max(axis=0, initial=0.0) > SAME_LABELS * np.abs(y).max(axis=0)
        if wrong.any():
            output = int(wrong.argmax())
            _refuse(problem, positions, y[:, output], unreached, beyond[:, output])
    frame = np.linalg.svd(unreached, full_matrices=True)[0][:, unreached.shape[1] :]
    if norms.min() > ALIKE * norms.max() and rank:
        frame = frame @ np.linalg.svd(frame.T @ readout, full_matrices=False)[0]
    unexplained = float(np.vdot(beyond, beyond)) if problem.kappa > 0 else 0.0
    return Target(frame.T @ readout, frame.T @ y, unexplained)


def _refuse(problem: Problem, T: IntArray, y: FloatArray, unreached: FloatArray, beyond: FloatArray) -> None:
    """Name the rows whose labels disagree most: equal ones, if any, else those of one dependence."""
    P = problem.P
    worst = int(np.abs(beyond).argmax())
    time, pattern = divmod(int(T[worst]), P)
    tied = unreached @ unreached[worst]
    tied[worst] = 0.0
    history = problem.x[:, : time + 1]
    label = dict(zip(T.tolist(), y.tolist(), strict=True))
    equal = [
        int(T[k] % P)
        for k in range(len(T))
        if k != worst and T[k] // P == time and np.array_equal(history[T[k] % P], history[pattern])
    ]
    own = label[time * P + pattern]
    disagree = [q for q in equal if label[time * P + q] != own]
    if disagree:
        first, second = sorted((pattern, disagree[0]))
        what = (
            f"rows {first} and {second} have equal inputs, but labels {label[time * P + first]:g} and "
            f"{label[time * P + second]:g} at t = {time + 1}"
        )
    else:
        rows = sorted({pattern, *(int(T[k] % P) for k in np.flatnonzero(np.abs(tied) > 1e-6 * np.abs(tied).max()))})
        named = ", ".join(map(str, rows[:6])) + (", …" if len(rows) > 6 else "")
        what = f"rows {named} have linearly dependent inputs, but labels that do not depend alike (t = {time + 1})"
    raise InputError(f"y: {what}; accepted: labels that agree, or kappa > 0")
