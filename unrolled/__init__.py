"""The theory of trained RNNs and DNNs under one name: ``import unrolled``.

Problems, solvers, predictors and the simulator are here, as in ``numerics``; exact results are in ``unrolled.theory``,
everything else in ``unrolled.numerics``. Nothing is loaded before it is used.
"""

from typing import Any

import numerics as numerics
import theory as theory

__all__ = sorted([*numerics.__all__, "numerics", "theory"])


def __getattr__(name: str) -> Any:
    if name in numerics.__all__:
        return getattr(numerics, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
