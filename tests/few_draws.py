"""Averages over the exact density of a kernel from fewer draws, where their last digits do not matter."""

from __future__ import annotations

from functools import partial

import pytest


def draw_few(patch: pytest.MonkeyPatch) -> None:
    """In all that follows."""
    from numerics.checking import weights
    from numerics.predictors import finite_width

    patch.setattr(finite_width, "kernel_mean", partial(finite_width.kernel_mean, draws=20_000))
    patch.setattr(weights, "DRAWS", 20_000)
    patch.setattr(weights, "DRAWS_OF_SEVERAL", 2000)
