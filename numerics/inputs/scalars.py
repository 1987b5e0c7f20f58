"""The gate for single numbers: any type that is exactly one real number is one, whatever library it comes from."""

from __future__ import annotations

import math
import operator
import sys
from typing import Any

import numpy as np

from numerics.errors import InputError


def real(value: Any, argument: str, accepted: str = "a real number") -> float:
    """A number as a double: Python's, NumPy's, Fraction, Decimal, mpmath's, SymPy's without free symbols.

    Raises:
        InputError: text, a truth value, a complex number, one with a unit, an expression with symbols, an array, a
            missing value.
    """
    number = to_double(value)
    if number is None:
        raise InputError(f"{argument}: is {shown(value)}; accepted: {accepted}")
    return number


def integer(value: Any, argument: str, least: int, most: int | None = None, accepted: str | None = None) -> int:
    """A whole number of any integer type (not a float, even of whole value) from `least` to `most`.

    Raises:
        InputError: it is something else, or out of range.
    """
    if accepted is None:
        accepted = f"an integer ≥ {least}" if most is None else f"an integer from {least} to {most}"
    try:
        whole = None if isinstance(value, bool | np.bool_) or has_unit(value) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or whole < least or (most is not None and whole > most):
        is_float = isinstance(value, float | np.floating)
        raise InputError(f"{argument}: is {repr(float(value)) if is_float else shown(value)}; accepted: {accepted}")
    return whole


def positive(value: Any, argument: str) -> float:
    """`real`, finite and above 0."""
    accepted = "a finite number > 0"
    number = real(value, argument, accepted)
    if not 0 < number < math.inf:
        raise InputError(f"{argument}: is {number:g}; accepted: {accepted}")
    return number


def power_of_two(value: Any, argument: str) -> int:
    """`integer`, a power of 2 from 2."""
    whole = integer(value, argument, 2, accepted="a power of 2")
    if whole & (whole - 1):
        raise InputError(f"{argument}: is {whole}; accepted: a power of 2")
    return whole


def to_double(value: Any) -> float | None:
    """A real number as a double, infinite where it is too large for one; None for anything else."""
    if type(value) is float or type(value) is int:
        return _double(value)
    masked = sys.modules.get("numpy.ma")  # not loaded: there are none
    if (masked is not None and isinstance(value, masked.MaskedArray)) or has_unit(value):
        return None
    if isinstance(value, np.ndarray | np.generic):
        if value.ndim or value.dtype.kind not in "fiuO":
            return None
        return to_double(value.item()) if value.dtype.kind == "O" else _double(value)
    if isinstance(value, bool | str | bytes | bytearray) or getattr(value, "shape", ()) != ():
        return None
    return _double(value) if hasattr(value, "__float__") else None


def has_unit(value: Any) -> bool:
    """Whether a value's type gives it a unit, as pint's, unyt's and astropy's quantities have one."""
    return any(hasattr(type(value), name) for name in ("units", "unit"))


def shown(value: Any) -> str:
    """A value in an error message: one short line."""
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    if isinstance(value, np.generic) and value.dtype.kind in "iu":
        return str(int(value))
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _double(value: Any) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    except Exception:  # whatever a type that is no number raises
        return None
