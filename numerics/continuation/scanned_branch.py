"""One branch of a scan, on its grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.linalg import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class ScannedBranch:
    """A stretch of a branch on which the parameter is monotonic, on the grid; NaN where it does not exist.

    Attributes:
        name: ``"incoherent"`` or ``"coherent"``, with the number of the branch and a letter where it turns.
        number: of its branch in ``Diagram.branches``.
        lag: times correlate at multiples of this lag only; 0 for a diagonal state, 1 where they all do.
        ends: why it ends at either side: as ``Branch.ends``, or ``"fold"``.
        kernel: ``H``, (L, nP, nP).
        order_parameter: Frobenius norm of ``H^{T-1,T-2}``, (L,).
        free_energy: F, (L,).
        hessian_smallest: smallest eigenvalue of the Hessian in the natural metric, (L,).
        negative: how many are negative, (L,); NaN also where it is not known.
        residual: relative, (L,).
        curve: parameter, order parameter, F, and 1 where it is a minimum, closely along the stretch, (4, K) by rising
            parameter (``curves.curve``); None where branches are not followed.
    """

    name: str
    number: int
    lag: int
    ends: tuple[str, str]
    kernel: FloatArray
    order_parameter: FloatArray
    free_energy: FloatArray
    hessian_smallest: FloatArray
    negative: FloatArray
    residual: FloatArray
    curve: FloatArray | None = None

    @property
    def kind(self) -> str:
        """``"incoherent"`` or ``"coherent"``."""
        return self.name.split("-")[0]

    @property
    def stable(self) -> BoolArray:
        """Where the state exists and is a minimum of F, (L,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.hessian_smallest > 0)
