"""Draws in the sign of one state, where sign symmetries of the posterior give the state images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numerics.linalg import FloatArray
from numerics.sampling.controls import turned_variates
from numerics.sampling.draws import turned
from numerics.sampling.result import Simulation
from numerics.symmetry.gauge import Gauge
from numerics.symmetry.group import SignSymmetry
from numerics.symmetry.held_out import held_out_signs


def signed(simulation: Simulation, gauge: Gauge) -> Simulation:
    """The simulation with each draw taken to the state's side.

    Outputs of test patterns that a symmetry gives no sign stay as they are.
    """
    if not gauge.steps:
        return simulation.both_signs()
    kernels, outputs, local = simulation.kernels, simulation.outputs, simulation.bias_local
    variates = simulation.controls
    spectra = simulation.spectra
    for symmetry, where in gauge.turning(kernels):
        kernels = turned(where, kernels, symmetry.of_kernel(kernels))
        outputs = turned(where, outputs, _of_outputs(simulation, symmetry, outputs))
        local = None if local is None else turned(where, local, symmetry.of_kernel(local))
        variates = None if variates is None else turned_variates(simulation.problem, variates, where, symmetry.rows)
        if simulation.problem.arch == "rnn":
            sigma = np.where(where, symmetry.matrices[0], 1.0)
            spectra = tuple(replace(item, values=item.values * sigma[item.chain, item.draw]) for item in spectra)
    return replace(
        simulation,
        kernels=kernels,
        outputs=outputs,
        bias_local=local,
        spectra=spectra,
        controls=variates,
        sign_kept=True,
    )


def _of_outputs(simulation: Simulation, symmetry: SignSymmetry, outputs: FloatArray) -> FloatArray:
    """The outputs of all draws under a symmetry."""
    signs, problem = symmetry.signs.T, simulation.problem
    if problem.x_test is not None:
        there = held_out_signs(problem, symmetry)
        signs = np.concatenate([signs, np.where(there == 0, 1.0, there)])
    return symmetry.of_predictions(outputs, signs)
