"""Matrix calculus for functionals of the kernel: trace, inverse, log-determinant, shift, mask, projection."""

from __future__ import annotations

from theory.matrix_calculus.differential import differential, gradient, hessian_vector_product
from theory.matrix_calculus.nodes import (
    AdjointShift,
    Embed,
    LogDet,
    Mask,
    Restrict,
    Shift,
    Step,
    SymmetricSymbol,
    matrix_latex,
)

__all__ = [
    "AdjointShift",
    "Embed",
    "LogDet",
    "Mask",
    "Restrict",
    "Shift",
    "Step",
    "SymmetricSymbol",
    "differential",
    "gradient",
    "hessian_vector_product",
    "matrix_latex",
]
