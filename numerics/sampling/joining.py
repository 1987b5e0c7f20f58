"""Several simulations of one problem at one width as a single one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from numerics.errors import InputError
from numerics.linalg import FloatArray
from numerics.sampling.result import Simulation


def joined(simulations: Sequence[Simulation]) -> Simulation:
    """The chains of all simulations, one after another.

    Raises:
        InputError: they differ in width, sampler or number of draws.
    """
    first = simulations[0]
    kinds = {(run.width, run.sampler, run.kernels.shape[1:]) for run in simulations}
    if len(kinds) != 1:
        raise InputError("simulations: differ in width, sampler or number of draws; accepted: ones that do not")

    def all_of(name: str) -> FloatArray | None:
        parts = [getattr(run, name) for run in simulations]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    offsets = np.cumsum([0, *(run.chains for run in simulations[:-1])])
    accepted = [run.acceptance for run in simulations if run.acceptance is not None]
    chains = [run.chains for run in simulations]
    return replace(
        first,
        kernels=np.concatenate([run.kernels for run in simulations]),
        outputs=np.concatenate([run.outputs for run in simulations]),
        spectra=tuple(
            replace(item, chain=item.chain + int(offset))
            for run, offset in zip(simulations, offsets, strict=True)
            for item in run.spectra
        ),
        acceptance=float(np.average(accepted, weights=chains)) if len(accepted) == len(simulations) else None,
        step_size=tuple(step for run in simulations for step in run.step_size),
        bias_local=all_of("bias_local"),
        bias_squared=all_of("bias_squared"),
        controls=all_of("controls"),
        seconds=sum(run.seconds for run in simulations),
    )
