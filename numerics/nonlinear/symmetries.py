"""What a state of a nonlinear network keeps: classes of a trajectory's times and patterns that do not correlate.

A sign symmetry that leaves a kernel as it is (``numerics.symmetry.group``) forbids the entries that it reverses. The
random network's state, followed to the labels, keeps more: its ``finest_classes``. With an odd φ, input at t = 0
and one labelled time these are the single times, so that the neurons' measure is a product over times.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray, IntArray, SymmetricVectors
from numerics.nonlinear.space import TrajectorySpace
from numerics.symmetry.exchange import exchanges
from numerics.symmetry.group import MOST_GENERATORS, REVERSED, conditions, finest_classes, sign_symmetries

#: Entries below this, relative to the largest, are rounding.
ABSENT = 1e-12
#: Parts of an embedding's column below this, relative to its largest, are rounding.
SHARED = 1e-12


@dataclass(frozen=True, eq=False)
class Classes:
    """Classes between which nothing correlates.

    Attributes:
        rows: a number for each row of Φ, (m,).
        coordinates: a number for each coordinate g, (d,).
    """

    rows: IntArray
    coordinates: IntArray

    def matrices(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The entries of Φ and of the covariance of g within classes, (m, m) and (d, d)."""
        return self.rows[:, None] == self.rows, self.coordinates[:, None] == self.coordinates


def independent(space: TrajectorySpace, phi: Activation) -> Classes | None:
    """The finest classes, of rows that share no coordinate; None where all is one class."""
    given, shared = conditions(space.problem, phi.odd), _shared(space)
    rows = finest_classes(given, shared)[space.classes.representative]
    return None if (rows == rows[0]).all() else Classes(rows, _of_coordinates(space, rows))


def kept_classes(space: TrajectorySpace, phi: Activation, kernel: FloatArray) -> Classes | None:
    """The finest classes that a kernel keeps to; None where it keeps to none."""
    finest = independent(space, phi)
    if finest is None or _keeps(kernel, finest):
        return finest
    signs = [rows for rows in _reversing(space, phi) if _keeps(kernel, _signed(space, rows))]
    if not signs:
        return None
    rows = np.unique(np.stack(signs, axis=1), axis=0, return_inverse=True)[1].ravel()
    return Classes(rows, _of_coordinates(space, rows))


def reversing(space: TrajectorySpace, phi: Activation, kernel: FloatArray) -> list[Classes]:
    """Symmetries that leave a kernel as it is: the two classes, of unlike sign, of each generator."""
    classes = [_signed(space, rows) for rows in _reversing(space, phi)]
    return [each for each in classes if _keeps(kernel, each)]


def turns(space: TrajectorySpace, phi: Activation, kernel: FloatArray, direction: FloatArray) -> bool:
    """Whether a symmetry leaves a kernel as it is and turns a change of it, (m, m), into its negative."""
    size = REVERSED * np.linalg.norm(direction)
    return any(np.linalg.norm(direction[classes.matrices()[0]]) < size for classes in reversing(space, phi, kernel))


def mirror(space: TrajectorySpace, phi: Activation) -> FloatArray | None:
    """The signs of coordinates under ``W → -W``, (d,), where that is a symmetry."""
    for symmetry in sign_symmetries(space.problem, phi.odd):
        if (symmetry.matrices < 0).all() and _unmixed(space, symmetry.rows):
            return _of_coordinates(space, symmetry.rows[space.classes.representative])
    return None


def images(space: TrajectorySpace, phi: Activation, kernel: FloatArray) -> list[FloatArray]:
    """A kernel, on its distinct rows or on all positions, and what the symmetries that change it make of it."""
    classes = space.classes
    positions = np.arange(len(classes.row)) if len(kernel) == len(classes.row) else classes.representative
    changing = []
    for symmetry in sign_symmetries(space.problem, phi.odd):
        rows = symmetry.rows[positions]
        if not _within(kernel, np.equal.outer(rows, rows)):
            changing.append(rows)
    changing = changing[:MOST_GENERATORS]
    found = []
    for exchange in exchanges(space.problem, phi.odd):
        t, p = np.divmod(positions, space.problem.P)
        at, signs = t * space.problem.P + exchange.order[p], exchange.signs[p]
        if len(positions) != len(classes.row):
            at, signs = classes.row[at], signs * classes.factor[at]
        exchanged = signs[:, None] * kernel[np.ix_(at, at)] * signs
        for chosen in product((False, True), repeat=len(changing)):
            signs = np.ones(len(kernel))
            for rows, used in zip(changing, chosen, strict=True):
                signs = signs * rows if used else signs
            found.append(np.asarray(signs[:, None] * exchanged * signs))
    return found


def near(space: TrajectorySpace, phi: Activation, one: FloatArray, other: FloatArray, size: float) -> bool:
    """Whether a kernel, or an image of it, is another, but for a distance relative to its size."""
    most = size * np.linalg.norm(one)
    return any(np.linalg.norm(image - other) <= most for image in images(space, phi, one))


def kept_matrices(space: TrajectorySpace, classes: Classes | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The entries of Φ and of the covariance of g that need not vanish, (m, m) and (d, d)."""
    return (np.ones((space.m,) * 2, bool), np.ones((space.d,) * 2, bool)) if classes is None else classes.matrices()


def kept_entries(space: TrajectorySpace, vectors: SymmetricVectors, classes: Classes | None) -> NDArray[np.bool_]:
    """The entries of Φ, as a vector, that need not vanish."""
    return np.asarray(kept_matrices(space, classes)[0][vectors.rows, vectors.columns])


def _keeps(kernel: FloatArray, classes: Classes) -> bool:
    return _within(kernel, classes.matrices()[0])


def _within(kernel: FloatArray, kept: NDArray[np.bool_]) -> bool:
    between = np.where(kept, 0.0, kernel)
    return bool(np.abs(between).max() <= ABSENT * np.abs(kernel).max())


def _reversing(space: TrajectorySpace, phi: Activation) -> list[FloatArray]:
    """Generators' signs of rows, for those that give each coordinate a sign too."""
    rows = [symmetry.rows for symmetry in sign_symmetries(space.problem, phi.odd)]
    return [signs[space.classes.representative] for signs in rows if _unmixed(space, signs)]


def _signed(space: TrajectorySpace, signs: FloatArray) -> Classes:
    negative = (signs < 0).astype(np.intp)
    return Classes(negative, _of_coordinates(space, negative))


def _of_coordinates(space: TrajectorySpace, of_rows: NDArray[Any]) -> NDArray[Any]:
    """What holds for the rows of each coordinate."""
    return np.asarray(of_rows[np.abs(space.embedding).argmax(axis=0)])


def _shared(space: TrajectorySpace) -> IntArray:
    """Pairs of positions (t, p) whose rows share a coordinate, or are one row, (k, 2)."""
    rows, columns = np.nonzero(_present(space).T)[::-1]
    same = np.flatnonzero(np.diff(columns) == 0)
    first, alive = space.classes.representative, np.flatnonzero(space.classes.row >= 0)
    one = np.stack([alive, first[space.classes.row[alive]]], axis=1)
    return np.concatenate([np.stack([first[rows[same]], first[rows[same + 1]]], axis=1), one])


def _present(space: TrajectorySpace) -> NDArray[np.bool_]:
    size = np.abs(space.embedding)
    return np.asarray(size > SHARED * size.max(axis=0, initial=0.0))


def _unmixed(space: TrajectorySpace, signs: FloatArray) -> bool:
    """Whether rows that share a coordinate have one sign."""
    pairs = _shared(space)
    return bool((signs[pairs[:, 0]] == signs[pairs[:, 1]]).all())
