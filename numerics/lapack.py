"""SciPy's LAPACK, without ``scipy.linalg`` around it, which takes twice as long to load as NumPy: longer than a scan.

``routines`` is the compiled module of ``scipy.linalg.lapack``, loaded by itself where it is found.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

#: The compiled module.
_NAME = "scipy.linalg._flapack"


def _loaded() -> Any:
    if _NAME not in sys.modules:
        try:
            return _alone()
        except (ImportError, OSError, AttributeError, TypeError):
            pass  # a SciPy that is laid out in another way
    from scipy.linalg import lapack

    return lapack


def _alone() -> Any:
    """The module by itself, under its own name, so that ``scipy.linalg`` finds it loaded.

    Raises:
        ImportError: it is not where it is expected.
    """
    scipy = importlib.util.find_spec("scipy")
    places = [] if scipy is None else [str(Path(place, "linalg")) for place in scipy.submodule_search_locations or ()]
    spec = PathFinder.find_spec(_NAME, places)
    if spec is None or spec.loader is None:
        raise ImportError(_NAME)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


routines: Any = _loaded()
