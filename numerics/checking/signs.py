"""Draws taken to the side of one state, where sign symmetries of the posterior make others of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from numerics.linalg import BoolArray, FloatArray
from numerics.sampling.result import Simulation
from numerics.symmetry.gauge import Gauge
from numerics.symmetry.group import SignSymmetry
from numerics.symmetry.held_out import held_out_signs


def signed(simulation: Simulation, gauge: Gauge) -> Simulation:
    """The simulation with each draw taken to the state's side; control variates are kept for an RNN's ``W → -W`` only.

    Outputs of test patterns that a symmetry gives no sign stay as they are.
    """
    if not gauge.steps or _is_plain(simulation, gauge):
        return simulation.gauge_fixed() if gauge.steps else simulation
    kernels, outputs, local = simulation.kernels, simulation.outputs, simulation.bias_local
    spectra = simulation.spectra
    for symmetry, where in gauge.turning(kernels):
        kernels = _turned(where, kernels, symmetry.of_kernel(kernels))
        outputs = _turned(where, outputs, _of_outputs(simulation, symmetry, outputs))
        local = None if local is None else _turned(where, local, symmetry.of_kernel(local))
        if simulation.problem.arch == "rnn":
            sigma = np.where(where, symmetry.matrices[0], 1.0)
            spectra = tuple(replace(item, values=item.values * sigma[item.chain, item.draw]) for item in spectra)
    return replace(simulation, kernels=kernels, outputs=outputs, bias_local=local, spectra=spectra, controls=None)


def _is_plain(simulation: Simulation, gauge: Gauge) -> bool:
    """Whether what tells the images apart is the order parameter, positive, and ``W → -W`` of an RNN reverses it."""
    problem = simulation.problem
    if problem.arch != "rnn" or not simulation.has_sign_symmetry or len(gauge.steps) > 1:
        return False
    step, P = gauge.steps[0], problem.P
    last = np.arange((problem.n - 1) * P, problem.n * P)
    return step.positive and np.array_equal(step.block[0], last) and np.array_equal(step.block[1], last - P)


def _of_outputs(simulation: Simulation, symmetry: SignSymmetry, outputs: FloatArray) -> FloatArray:
    """The outputs of all draws under a symmetry."""
    signs, problem = symmetry.signs.T, simulation.problem
    if problem.x_test is not None:
        there = held_out_signs(problem, symmetry)
        signs = np.concatenate([signs, np.where(there == 0, 1.0, there)])
    return symmetry.of_predictions(outputs, signs)


def _turned(where: BoolArray, series: FloatArray, image: FloatArray) -> FloatArray:
    """A series (chains, draws, …), at some draws its image."""
    return np.where(np.expand_dims(where, tuple(range(2, series.ndim))), image, series)
