"""Draws in ArviZ's format: an xarray DataTree with groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray


def datatree(problem: Problem, draws: Mapping[str, FloatArray], attributes: Mapping[str, Any]) -> Any:
    """Draws as ArviZ keeps a posterior, with the task in ``constant_data``.

    Args:
        problem: what was learnt.
        draws: name → (chains, draws, …): ``kernel`` and ``output`` among them.
        attributes: numbers and words; None is left out.

    Raises:
        InputError: arviz-base is not installed.
    """
    try:
        from arviz_base import from_dict
    except ImportError:
        raise InputError("arviz: arviz-base is not installed; accepted: unrolled[arviz]") from None
    constant = {"x": problem.x, "y": problem.y, "sharing": problem.sharing}
    if problem.x_test is not None:
        constant["x_test"] = problem.x_test
    tree = from_dict(
        {"posterior": dict(draws), "constant_data": constant},
        dims={
            "kernel": ["row", "column"],
            "output": [*(["readout"] if problem.outputs > 1 else []), "pattern", "time"],
        },
        coords={"time": np.arange(1, problem.n + 1)},
    )
    words = {name: getattr(problem, name) for name in ("arch", "u", "v", "w", "kappa", "skip", "bias")}
    known = {name: value for name, value in attributes.items() if value is not None}
    tree.attrs.update({**words, "activation": problem.activation.name, **known})
    return tree
