"""What is computed: lowering, saddle solvers, predictors, and the simulator (numerics.sampling).

Names, listed in ``__init__.pyi``, are imported when first used, so that ``import numerics`` is cheap.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
