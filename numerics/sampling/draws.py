"""The draws of a simulation, as they were recorded, and their sign where the posterior has two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import BoolArray, ComplexArray, FloatArray
from numerics.sampling.controls import turned_variates
from numerics.sampling.observables import flip_kernel, flip_outputs, has_sign_symmetry, order_parameter

#: Binder cumulant from which the order parameter has two values: half of what it is for these.
COHERENT = 1 / 3


@dataclass(frozen=True, eq=False)
class Spectrum:
    """W's leading eigenvalues at one recorded draw, in units of √w.

    Attributes:
        chain, draw: position in the series.
        values: all, or beyond N = 512 those of largest modulus, largest first.
    """

    chain: int
    draw: int
    values: ComplexArray


@dataclass(frozen=True, eq=False, repr=False)
class Draws:
    """Draws from a network's posterior over weights. Kernel index is time-major.

    Attributes:
        problem: what was learnt.
        width: N.
        sampler: "collapsed", "hmc-weights" or "sgld".
        seed: of the run.
        odd_activation: φ(-h) = -φ(h).
        kernels: series of kernels, (chains, draws, nP, nP).
        outputs: series of outputs of the patterns and the test patterns, (chains, draws, P + Q, n), or
            (chains, draws, O, P + Q, n) of several outputs, whose predictions have this axis too.
        spectra: W's leading eigenvalues at some draws; empty for the DNN, and where they are not computed.
        acceptance: mean acceptance probability, or None for sgld.
        step_size: of each chain, after warm-up.
        bias_local, bias_squared: terms of the Euler–Maruyama bias at each draw, (chains, draws, nP, nP) and
            (chains, draws) (sgld with Euler–Maruyama), else None.
        controls: control variates of the kernel, (chains, draws, f, d) (collapsed), else None.
        seconds: wall-clock time.
        sign_kept: means are over the draws in the signs that they have here.
    """

    problem: Problem
    width: int
    sampler: str
    seed: int
    odd_activation: bool
    kernels: FloatArray
    outputs: FloatArray
    spectra: tuple[Spectrum, ...]
    acceptance: float | None
    step_size: tuple[float, ...]
    bias_local: FloatArray | None
    bias_squared: FloatArray | None
    controls: FloatArray | None
    seconds: float
    sign_kept: bool = False

    def __post_init__(self) -> None:
        size, P = self.problem.n * self.problem.P, self.problem.P
        if self.kernels.ndim != 4 or self.kernels.shape[2:] != (size, size):
            raise InputError(f"kernels: has shape {self.kernels.shape}; accepted: (chains, draws, {size}, {size})")
        if self.outputs.shape[:2] != self.kernels.shape[:2] or self.outputs.shape[-2] < P:
            raise InputError(f"outputs: has shape {self.outputs.shape}; accepted: (chains, draws, ≥ {P}, n)")
        if (self.bias_local is None) != (self.bias_squared is None):
            raise InputError("bias_local: is given without bias_squared, or the reverse; accepted: both or neither")

    @property
    def chains(self) -> int:
        """Number of chains."""
        return int(self.kernels.shape[0])

    @property
    def draws(self) -> int:
        """Recorded draws of each chain."""
        return int(self.kernels.shape[1])

    @property
    def has_sign_symmetry(self) -> bool:
        """Whether W → -W is a symmetry of this posterior."""
        return has_sign_symmetry(self.problem, self.odd_activation)

    @property
    def basins(self) -> FloatArray:
        """Sign of the order parameter ``Σ_p Φ^{T-1,T-2}_{pp}`` at each draw, (chains, draws)."""
        if self.problem.n < 2:
            return np.ones(self.kernels.shape[:2])
        return np.where(order_parameter(self.kernels, self.problem.P) < 0, -1.0, 1.0)

    @property
    def sign_flips(self) -> tuple[int, ...] | None:
        """Changes of the order parameter's sign within each chain; None where its sign means something."""
        if not self.has_sign_symmetry:
            return None
        return tuple(int(count) for count in np.sum(np.diff(self.basins, axis=1) != 0, axis=1))

    @property
    def binder_cumulant(self) -> float | None:
        """``U = 1 - ⟨ψ⁴⟩/(3⟨ψ²⟩²)`` of the order parameter ψ, over all chains; None where its sign means something.

        0 where ψ fluctuates around zero (incoherent), 2/3 where it is one of two opposite values (coherent).
        """
        if not self.has_sign_symmetry:
            return None
        squared = order_parameter(self.kernels, self.problem.P) ** 2
        mean = float(squared.mean())
        return 0.0 if mean == 0.0 else 1.0 - float(np.mean(squared**2)) / (3.0 * mean**2)

    @property
    def positive_share(self) -> tuple[float, ...] | None:
        """Share of each chain's draws whose order parameter is positive; None where its sign means something."""
        if not self.has_sign_symmetry:
            return None
        return tuple(float(share) for share in np.mean(self.basins > 0, axis=1))

    @property
    def _mixes_signs(self) -> bool:
        """Whether means are over draws of either sign of a coherent network."""
        return self.sign_kept and bool(np.ptp(self.basins)) and self._is_coherent

    @property
    def _is_coherent(self) -> bool:
        """Whether the order parameter has two values of opposite sign."""
        return self.binder_cumulant is not None and self.binder_cumulant > COHERENT

    def one_sign(self) -> Self:
        """The same draws with the arbitrary sign taken out: `gauge_fixed` where the network is coherent.

        Coherent: the symmetry is there and `binder_cumulant` above `COHERENT`. Elsewhere the draws as they are.
        """
        return self.gauge_fixed() if self._is_coherent else self

    def both_signs(self) -> Self:
        """The same draws, whose means are over both signs of a coherent network, as they were drawn."""
        return replace(self, sign_kept=True)

    def gauge_fixed(self) -> Self:
        """The same draws, each taken by W → -W to positive order parameter; as they are where that is no symmetry.

        At finite width a coherent network has two equivalent states, and the mean over both is a mixture.
        Where the state is incoherent the order parameter fluctuates around zero and its sign must not be
        fixed.
        """
        if not self.has_sign_symmetry:
            return self
        n, P = self.problem.n, self.problem.P
        negative = self.basins < 0
        flip = flip_kernel(n, P)
        local, variates = self.bias_local, self.controls
        if variates is not None:
            variates = turned_variates(self.problem, variates, negative, np.repeat((-1.0) ** np.arange(n), P))
        return replace(
            self,
            kernels=turned(negative, self.kernels, flip * self.kernels),
            outputs=turned(negative, self.outputs, flip_outputs(self.problem) * self.outputs),
            spectra=tuple(
                replace(item, values=item.values * self.basins[item.chain, item.draw]) for item in self.spectra
            ),
            bias_local=None if local is None else turned(negative, local, flip * local),
            controls=variates,
            sign_kept=True,
        )


def turned(where: BoolArray, series: FloatArray, image: FloatArray) -> FloatArray:
    """A series (chains, draws, …), in which some draws are replaced by their images."""
    return np.where(np.expand_dims(where, tuple(range(2, series.ndim))), image, series)
