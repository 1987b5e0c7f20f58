"""The energy of labels, ``½ Σ_c y_cᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y_c`` over outputs c with one supervised set, and its derivatives.

They are derived in ``theory.matrix_calculus.natural`` and lowered to ``numerics.linear.derived``.

See docs/theory.md sections 3 and 12. With ``q̂ = Lᵀ𝒯ᵀ(v𝒯H𝒯ᵀ+κ)⁻¹y``, one column for each output, and
``Ŵ = Lᵀ𝒯ᵀ(v𝒯H𝒯ᵀ+κ)⁻¹𝒯L``, for ``H → L exp(S) Lᵀ`` the gradient is ``-½ v q̂q̂ᵀ`` and the Hessian, along straight lines,
``½v² (Ŵ S q̂q̂ᵀ + q̂q̂ᵀ S Ŵ)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.cached import cached_property
from numerics.linalg import FloatArray, lower_factor, solve_factored
from numerics.linear.derived import ENERGY
from numerics.lowering.stages import Point


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be reproduced at one set of supervised positions.

    Attributes:
        readout: rows of the space's basis there, or orthonormal combinations of them, (s, m).
        labels: one column for each output, (s, outputs).
        unexplained: ``|y|²`` in directions of the labels that no kernel reaches: its energy is a constant.
    """

    readout: FloatArray
    labels: FloatArray
    unexplained: float

    def times(self, factor: float) -> Target:
        """The same with all labels times a factor."""
        return Target(self.readout, factor * self.labels, factor**2 * self.unexplained)


@dataclass(frozen=True, eq=False)
class Energy:
    """The energy at one kernel ``H = LLᵀ``.

    Attributes:
        target: the labels.
        rows: ``𝒯L``, (s, m).
        v: width of the read-out.
        noisy_factor: lower factor of ``v𝒯H𝒯ᵀ + κ``, (s, s).
    """

    target: Target
    rows: FloatArray
    v: float
    noisy_factor: FloatArray

    @staticmethod
    def of(target: Target, L: FloatArray, v: float, kappa: float) -> Energy:
        """Factorise."""
        rows = target.readout @ L
        gram = v * rows @ rows.T
        gram.flat[:: len(gram) + 1] += kappa
        return Energy(target, rows, v, lower_factor(gram))

    @cached_property
    def dual(self) -> FloatArray:
        """``(v𝒯H𝒯ᵀ + κ)⁻¹ y``, (s, outputs)."""
        return solve_factored(self.noisy_factor, self.target.labels)

    @cached_property
    def _point(self) -> Point:
        return ENERGY.at(T=self.rows, y=self.target.labels, K=self.noisy_factor, v=self.v)

    @property
    def q(self) -> FloatArray:
        """q̂, (m, outputs)."""
        return np.asarray(self._point.get("pull"))

    @property
    def response(self) -> FloatArray:
        """Half of Ŵ: ``Ŵ = rᵀr``, (s, m)."""
        return np.asarray(self._point.get("response"))

    @property
    def value(self) -> float:
        """The energy of what kernels reach."""
        return float(self._point.get("value"))

    @property
    def gradient(self) -> FloatArray:
        """``-½ v q̂q̂ᵀ``, (m, m)."""
        return np.asarray(self._point.get("gradient"))

    @property
    def gradient_size(self) -> float:
        """Its trace, without the sign."""
        q = self.q
        return 0.5 * self.v * float(np.vdot(q, q))

    def curvature(self, S: FloatArray) -> FloatArray:
        """The change of the gradient along a straight line S, or along a stack of them (…, m, m)."""
        return self._point.change(S)

    def curvature_terms(self) -> tuple[FloatArray, FloatArray]:
        """X and Y, (m, m) each, with ``½(X S Yᵀ + Y S Xᵀ)`` that change."""
        return self.v**2 * (self.response.T @ self.response), self.q @ self.q.T
