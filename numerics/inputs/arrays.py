"""The gate for arrays: what an array-like says beyond its numbers is honoured or refused, never dropped."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.inputs.scalars import has_unit, shown, to_double
from numerics.linalg import FloatArray

_ACCEPTED = "an array of real numbers"


def real_array(value: Any, argument: str, *, missing: bool = False) -> FloatArray:
    """A new array of doubles, of the values of anything that is an array of real numbers.

    Lists, NumPy arrays of any real dtype, exact numbers (SymPy, Fraction, Decimal, mpmath) as objects, pandas and
    xarray by position. What is missing (masked, None, pandas' NA) becomes NaN, where that may be.

    Args:
        value: the array-like.
        argument: its name in error messages.
        missing: whether entries may be missing.

    Raises:
        InputError: complex numbers, dates, text, units, sparse matrices, rows of different lengths, entries that are no
            numbers, or missing ones where none may be.
    """
    array = _converted(value, argument, missing)
    with np.errstate(over="ignore"):  # a longer float that overflows is infinite
        return np.array(array, dtype=np.float64, order="C")


def finite_array(value: Any, argument: str, shape: tuple[int | None, ...] | None = None) -> FloatArray:
    """`real_array` of finite numbers, of a given shape (None: any length).

    Raises:
        InputError: as there; NaN or infinity; another shape.
    """
    array = real_array(value, argument)
    if not np.isfinite(array).all():
        raise InputError(f"{argument}: contains NaN or infinity; accepted: finite numbers")
    if shape is not None and (
        array.ndim != len(shape) or any(b is not None and a != b for a, b in zip(array.shape, shape, strict=True))
    ):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise InputError(f"{argument}: has shape {array.shape}; accepted: ({wanted})")
    return array


def _converted(value: Any, argument: str, missing: bool) -> NDArray[Any]:
    """The values as an array of some real dtype."""
    library = type(value).__module__.split(".")[0]
    sparse, masked = (
        sys.modules.get("scipy.sparse"),
        sys.modules.get("numpy.ma"),
    )
    if sparse is not None and sparse.issparse(value):
        raise InputError(f"{argument}: is a sparse matrix; accepted: {_ACCEPTED}, such as its .toarray()")
    attributes = getattr(value, "attrs", {}) if library == "xarray" else {}
    if has_unit(value) or "units" in attributes or "unit" in attributes:
        raise InputError(f"{argument}: has a unit; accepted: {_ACCEPTED}, without units")
    if masked is not None and isinstance(value, masked.MaskedArray):
        return _unmasked(value, argument, missing)
    if isinstance(value, list | tuple):
        return _rows(value, argument, missing)
    if library == "pandas" and hasattr(value, "to_numpy"):
        value = value.to_numpy(dtype=object)  # its own missing values stay what they are
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever another library's array raises
        raise InputError(f"{argument}: cannot be read ({str(error).splitlines()[0]}); accepted: {_ACCEPTED}") from None
    if array.dtype.kind == "O":
        return _objects(array, argument, missing)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{argument}: has dtype {array.dtype}; accepted: {_ACCEPTED}")
    return array


def _rows(value: list[Any] | tuple[Any, ...], argument: str, missing: bool) -> NDArray[Any]:
    if all(type(entry) in (int, float) for entry in value):
        return np.array([to_double(entry) for entry in value], dtype=np.float64)
    entries = [_converted(entry, argument, missing) for entry in value]
    try:
        return np.array(entries)
    except ValueError:
        raise InputError(f"{argument}: has rows of different lengths; accepted: {_ACCEPTED}") from None


def _unmasked(value: np.ma.MaskedArray[Any, Any], argument: str, missing: bool) -> NDArray[Any]:
    hidden = np.ma.getmaskarray(value)
    array = _converted(np.where(hidden, 0, value.data), argument, missing)
    if not hidden.any():
        return array
    if not missing:
        raise InputError(f"{argument}: has masked entries; accepted: {_ACCEPTED}, all of them given")
    return np.where(hidden, np.nan, array)


def _objects(array: NDArray[Any], argument: str, missing: bool) -> FloatArray:
    """An array of objects, each a number or missing."""
    values = np.empty(array.shape)
    for index, entry in np.ndenumerate(array):
        if entry is None or type(entry).__name__ == "NAType" or entry is np.ma.masked:
            if not missing:
                raise InputError(f"{argument}: has missing entries; accepted: {_ACCEPTED}, all of them given")
            values[index] = np.nan
            continue
        number = float(entry) if isinstance(entry, bool | np.bool_) else to_double(entry)
        if number is None:
            raise InputError(f"{argument}: has the entry {shown(entry)}; accepted: {_ACCEPTED}")
        values[index] = number
    return values
