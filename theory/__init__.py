"""What is true: the kernel theory in SymPy. Free energies, stationarity, critical points, exact branches.

Names are imported when first used. ``perturbation``, ``matrix_calculus`` and ``symbols`` are modules; everything else
that a module holds is there under its full path, such as ``theory.landau.landau_expansion``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory import matrix_calculus as matrix_calculus
    from theory import perturbation as perturbation
    from theory import symbols as symbols
    from theory.coexistence import coexistence as coexistence
    from theory.coherent_branch import coherent_branch as coherent_branch
    from theory.coherent_curve import coherent_curve as coherent_curve
    from theory.complete_states import complete_states as complete_states
    from theory.critical_point import critical_point as critical_point
    from theory.critical_point import critical_signal as critical_signal
    from theory.free_energy import endpoint_free_energy as endpoint_free_energy
    from theory.incoherent import incoherent_branch as incoherent_branch
    from theory.landau import landau_expansion as landau_expansion
    from theory.learning_transition import learning_transition as learning_transition
    from theory.outliers import outlier_threshold as outlier_threshold

_HOMES = {
    "coexistence": "theory.coexistence",
    "coherent_branch": "theory.coherent_branch",
    "coherent_curve": "theory.coherent_curve",
    "complete_states": "theory.complete_states",
    "critical_point": "theory.critical_point",
    "critical_signal": "theory.critical_point",
    "endpoint_free_energy": "theory.free_energy",
    "incoherent_branch": "theory.incoherent",
    "landau_expansion": "theory.landau",
    "learning_transition": "theory.learning_transition",
    "outlier_threshold": "theory.outliers",
}
_MODULES = ("matrix_calculus", "perturbation", "symbols")

__all__ = [
    "coexistence",
    "coherent_branch",
    "coherent_curve",
    "complete_states",
    "critical_point",
    "critical_signal",
    "endpoint_free_energy",
    "incoherent_branch",
    "landau_expansion",
    "learning_transition",
    "matrix_calculus",
    "outlier_threshold",
    "perturbation",
    "symbols",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"theory.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The package, in which importing the module `critical_point` does not hide its function of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
