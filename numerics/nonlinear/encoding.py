"""What steps of a search result in, as plain JSON types and arrays, and back to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


class Encoder:
    """Trees of numbers, words, arrays, tuples, lists, dicts, dataclasses, named tuples; arrays of a type are in one."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._sizes: dict[str, int] = {}

    def __call__(self, item: Any) -> Any:
        """The tree, with places for arrays.

        Raises:
            TypeError: something in it is none of these.
        """
        if item is None or type(item) in (bool, int, float, str):
            return item
        if isinstance(item, np.ndarray | np.generic):
            return self._array(item)
        if isinstance(item, dict):
            return {"dict": {key: self(each) for key, each in item.items()}}
        if isinstance(item, list):
            return {"list": [self(each) for each in item]}
        if isinstance(item, tuple) and type(item) is tuple:
            return {"tuple": [self(each) for each in item]}
        kind = f"{type(item).__module__}:{type(item).__qualname__}"
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            return {"type": kind, "fields": {name: self(getattr(item, name)) for name in item._fields}}
        if is_dataclass(item):
            return {"type": kind, "fields": {part.name: self(getattr(item, part.name)) for part in fields(item)}}
        raise TypeError(f"a {kind} cannot be kept in a checkpoint")

    def _array(self, item: NDArray[Any] | np.generic) -> dict[str, Any]:
        array = np.asarray(item)
        # products of BLAS depend on the order in memory
        order: Literal["C", "F"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        dtype = array.dtype.str
        at = self._sizes.setdefault(dtype, 0)
        self._parts.setdefault(dtype, []).append(array.ravel(order=order))
        self._sizes[dtype] += array.size
        scalar = {"scalar": True} if isinstance(item, np.generic) else {}
        return {"array": dtype, "at": at, "shape": list(array.shape), "order": order, **scalar}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Of everything so far, by type."""
        return {dtype: np.concatenate(parts) for dtype, parts in self._parts.items()}


def decoded(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """What was encoded.

    Raises:
        ValueError: a type is none of this package: a file calls nothing else.
    """
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        size = int(np.prod(tree["shape"]))
        flat = arrays[tree["array"]][tree["at"] : tree["at"] + size]
        array = flat.reshape(tree["shape"], order=tree["order"]).copy(order=tree["order"])
        return array[()] if "scalar" in tree else array
    if "dict" in tree:
        return {key: decoded(each, arrays) for key, each in tree["dict"].items()}
    if "list" in tree:
        return [decoded(each, arrays) for each in tree["list"]]
    if "tuple" in tree:
        return tuple(decoded(each, arrays) for each in tree["tuple"])
    module, _, name = tree["type"].partition(":")
    kind = getattr(sys.modules.get(module), name, None)
    if not (module.startswith("numerics.") and isinstance(kind, type) and kind.__module__ == module):
        raise ValueError(f"{tree['type']} is no type of numerics")
    return kind(**{key: decoded(each, arrays) for key, each in tree["fields"].items()})
