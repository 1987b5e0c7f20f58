"""Labels on the rows of Φ: their energy, what they add to Φ̃, and how that changes with Φ.

``E = ½ Σ_c y_cᵀ R_c y_c`` with ``R_c = (v𝒯_cΦ𝒯_cᵀ + κ)⁻¹`` for the outputs c, each with rows 𝒯_c of its own
(docs/theory.md section 12). With ``q_c = R_c y_c``,

    -∂E/∂Φ = (v/2) Σ_c 𝒯_cᵀ q_c q_cᵀ 𝒯_c,   δq_c = -v R_c 𝒯_c δΦ 𝒯_cᵀ q_c.

Outputs with labels on the same rows share R.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from numerics.linalg import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels of outputs that share their rows.

    Attributes:
        rows: of Φ, (s,).
        y: the mean label of each row, for each output, (s, O).
        noise: κ over the weight of the labels in these means, (s,).
    """

    rows: IntArray
    y: FloatArray
    noise: FloatArray


@dataclass(frozen=True, eq=False)
class Labels:
    """All labels of a problem.

    Attributes:
        sets: one or more.
        v: of the read-outs.
        unexplained: ``½ |y_⊥|²/κ`` of what means leave of the labels: no kernel changes it.
    """

    sets: tuple[LabelSet, ...]
    v: float
    unexplained: float

    @cached_property
    def rows(self) -> IntArray:
        """Rows of Φ with a label of any output."""
        return np.unique(np.concatenate([each.rows for each in self.sets]))

    def scaled(self, part: float) -> Labels:
        """With y² scaled by `part`."""
        sets = tuple(replace(each, y=np.sqrt(part) * each.y) for each in self.sets)
        return replace(self, sets=sets, unexplained=part * self.unexplained)

    def with_noise(self, factor: float) -> Labels:
        """With κ scaled by a factor."""
        sets = tuple(replace(each, noise=factor * each.noise) for each in self.sets)
        return replace(self, sets=sets, unexplained=self.unexplained / factor)

    def duals(self, kernel: FloatArray) -> Duals:
        """What the labels ask of a Φ, (m, m)."""
        grams = [self.v * kernel[each.rows[:, None], each.rows] + np.diag(each.noise) for each in self.sets]
        duals = [np.asarray(np.linalg.solve(gram, each.y)) for gram, each in zip(grams, self.sets, strict=True)]
        return Duals(self, len(kernel), grams, duals)


@dataclass(frozen=True, eq=False)
class Duals:
    """The dual variables at a Φ.

    Attributes:
        labels: of which.
        m: rows of Φ.
        grams, duals: ``R⁻¹``, (s, s), and q, (s, O), of each set.
    """

    labels: Labels
    m: int
    grams: list[FloatArray]
    duals: list[FloatArray]

    @cached_property
    def inverses(self) -> list[FloatArray]:
        """R of each set."""
        return [np.asarray(np.linalg.inv(gram)) for gram in self.grams]

    @property
    def energy(self) -> float:
        """E."""
        met = sum(float(np.vdot(each.y, q)) for each, q in zip(self.labels.sets, self.duals, strict=True))
        return 0.5 * met + self.labels.unexplained

    @property
    def log_determinant(self) -> float:
        """``Σ_c ln|v𝒯_cΦ𝒯_cᵀ + κ|``."""
        logs = [np.linalg.slogdet(gram)[1] * q.shape[1] for gram, q in zip(self.grams, self.duals, strict=True)]
        return float(sum(logs))

    @property
    def conjugate(self) -> FloatArray:
        """``-∂E/∂Φ``, the labels' part of Φ̃, (m, m)."""
        found = np.zeros((self.m, self.m))
        for each, q in zip(self.labels.sets, self.duals, strict=True):
            found[each.rows[:, None], each.rows] += 0.5 * self.labels.v * (q @ q.T)
        return found

    def change(self, directions: FloatArray) -> FloatArray:
        """The change of `conjugate` along changes of Φ, (…, m, m)."""
        found = np.zeros_like(directions)
        for each, R, q in zip(self.labels.sets, self.inverses, self.duals, strict=True):
            block = (..., each.rows[:, None], each.rows)
            forces = np.swapaxes(directions[block] @ q, -1, -2)  # (…, O, s)
            moved = (forces.reshape(-1, len(R)) @ R).reshape(forces.shape)
            found[block] -= 0.5 * self.labels.v**2 * np.einsum("...cl,ic->...li", moved, q)
        return found + np.swapaxes(found, -1, -2)
