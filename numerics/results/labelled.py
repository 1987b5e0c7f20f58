"""Results as labelled arrays (xarray) and as tables (pandas); both packages are optional.

A class that takes part has `labelled`: arrays with the names of their dimensions, and what these dimensions count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.inputs.problem_record import VERSION
from numerics.linalg import FloatArray

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import Dataset

#: Dimensions of a kernel ``Φ^{tt'}_{pp'}``: t, p, t', p', each counted from 1.
KERNEL = ("time", "pattern", "time2", "pattern2")
#: Fields of a problem that become attributes of its results.
_PROBLEM = ("arch", "T", "P", "D", "outputs", "u", "v", "w", "kappa", "skip", "bias")

Labelled = tuple[tuple[str, ...], Any]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Arrays with labels.

    Attributes:
        rows: dimensions of which a table has a row for each point; its columns are the arrays over these.
        data: name → (dimensions, values).
        coordinates: name → (dimensions, values); those named as a dimension count it.
        attributes: numbers and words.
    """

    rows: tuple[str, ...]
    data: Mapping[str, Labelled]
    coordinates: Mapping[str, Labelled] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Tabled:
    """A result as labelled arrays and as a table."""

    def labelled(self) -> Arrays:
        """The result's arrays, with the names of their dimensions."""
        raise NotImplementedError

    def to_xarray(self) -> Dataset:
        """As an ``xarray.Dataset``: a kernel has the dimensions `KERNEL`, the attributes are the problem's parameters.

        Times and patterns count from 1; at ``time`` t an output is f^(t+1).

        Raises:
            InputError: xarray is not installed.
        """
        xarray, arrays = _module("xarray", "unrolled[sweeps]"), self.labelled()
        known = {name: value for name, value in arrays.attributes.items() if value is not None}
        dataset: Dataset = xarray.Dataset(arrays.data, arrays.coordinates, {**known, "unrolled_version": VERSION})
        return dataset

    def to_dataframe(self) -> DataFrame:
        """As a ``pandas.DataFrame``: a row for each entry of a kernel, or for each state or parameter where there are
        several; its ``attrs`` are those of `to_xarray`.

        Raises:
            InputError: pandas or xarray is not installed.
        """
        _module("pandas", "pandas")
        rows, dataset = self.labelled().rows, self.to_xarray()
        columns = [name for name, values in dataset.variables.items() if set(values.dims) == set(rows)]
        kept = dataset[[name for name in columns if name not in rows]]
        frame: DataFrame = kept.drop_vars(set(kept.coords) - {*columns, *rows}).to_dataframe(dim_order=list(rows))
        frame.attrs = dict(dataset.attrs)
        return frame


def _module(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise InputError(f"{name}: is not installed; accepted: pip install '{package}'") from None


def problem_attributes(problem: Problem) -> dict[str, Any]:
    """The problem's parameters, as attributes of its results."""
    return {"activation": problem.activation.name, **{name: getattr(problem, name) for name in _PROBLEM}}


def counted(**sizes: int) -> dict[str, Labelled]:
    """Coordinates that count from 1."""
    return {name: ((name,), np.arange(1, size + 1)) for name, size in sizes.items()}


def kernel_coordinates(n: int, P: int) -> dict[str, Labelled]:
    """Times and patterns of a kernel."""
    return counted(time=n, pattern=P, time2=n, pattern2=P)


def kernel_array(kernel: ArrayLike, P: int, *leading: str) -> Labelled:
    """A time-major kernel, (…, nP, nP), over its leading dimensions and `KERNEL`."""
    values = np.asarray(kernel)
    n = values.shape[-1] // P
    return (*leading, *KERNEL), values.reshape(*values.shape[:-2], n, P, n, P)


def output_array(outputs: FloatArray, problem_outputs: int, *leading: str, pattern: str = "pattern") -> Labelled:
    """Outputs, (…, P, n), or (…, O, P, n) of several."""
    return (*leading, *(("output",) if problem_outputs > 1 else ()), pattern, "time"), outputs
