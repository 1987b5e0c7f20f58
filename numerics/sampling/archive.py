"""Simulations in netCDF files, in ArviZ's format."""

from __future__ import annotations

from pathlib import Path

from numerics.files import refused_if_unwritable, write_netcdf
from numerics.sampling.result import Simulation


def save_netcdf(simulation: Simulation, path: str | Path) -> None:
    """Write `Simulation.to_arviz` to a netCDF file, which ``xarray.open_datatree`` reads.

    Raises:
        InputError: arviz-base is not installed, or the file cannot be written.
    """
    tree = simulation.to_arviz()
    with refused_if_unwritable(f"{path}:", "a path for a netCDF file"):
        write_netcdf(tree, Path(path))
