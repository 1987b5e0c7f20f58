"""Simulations in ArviZ's format: an xarray DataTree with groups, saved as netCDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.files import refused_if_unwritable, write_netcdf
from numerics.sampling.result import Simulation


def to_datatree(simulation: Simulation) -> Any:
    """The simulation as ArviZ keeps a posterior: groups ``posterior`` and ``constant_data``.

    ``posterior`` has, along (chain, draw): ``kernel`` (row, column; time-major), ``output`` (pattern, time) and
    ``basin`` (the sign of the order parameter). ``constant_data`` has the task. Needs arviz-base (the extra ``arviz``).

    Raises:
        InputError: arviz-base is not installed.
    """
    try:
        from arviz_base import from_dict
    except ImportError:
        raise InputError("arviz: arviz-base is not installed; accepted: unrolled[arviz]") from None
    problem = simulation.problem
    constant = {"x": problem.x, "y": problem.y, "sharing": problem.sharing}
    if problem.x_test is not None:
        constant["x_test"] = problem.x_test
    tree = from_dict(
        {
            "posterior": {
                "kernel": simulation.kernels,
                "output": simulation.outputs,
                "basin": simulation.basins,
            },
            "constant_data": constant,
        },
        dims={
            "kernel": ["row", "column"],
            "output": [*(["readout"] if problem.outputs > 1 else []), "pattern", "time"],
        },
        coords={"time": np.arange(1, problem.n + 1)},
    )
    words: dict[str, Any] = {name: getattr(simulation, name) for name in ("width", "sampler", "seed", "seconds")}
    words |= {name: getattr(problem, name) for name in ("arch", "u", "v", "w", "kappa", "skip", "bias")}
    words["activation"] = problem.activation.name
    words["step_size"] = list(simulation.step_size)
    if simulation.acceptance is not None:
        words["acceptance"] = simulation.acceptance
    tree.attrs.update(words)
    return tree


def save_netcdf(simulation: Simulation, path: str | Path) -> None:
    """Write `to_datatree` to a netCDF file, which ``xarray.open_datatree`` reads.

    Raises:
        InputError: arviz-base is not installed, or the file cannot be written.
    """
    tree = to_datatree(simulation)
    with refused_if_unwritable(f"{path}:", "a path for a netCDF file"):
        write_netcdf(tree, Path(path))
