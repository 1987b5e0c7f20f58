"""What is true: the kernel theory in SymPy. Free energies, stationarity, critical points, exact branches.

Names, listed in ``__init__.pyi``, are imported when first used. ``perturbation``, ``matrix_calculus`` and ``symbols``
are modules; everything else that a module holds is there under its full path, as ``theory.landau.landau_expansion``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
