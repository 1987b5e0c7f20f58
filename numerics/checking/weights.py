"""Which phase carries the weight at width N: the probability of the region around each minimum of the free energy.

``p_k ∝ g_k exp(-N F_k - Γ_k - Γ_2k/N)``, ``Γ = ½ ln|v𝒯H𝒯ᵀ+κ| + ½ ln|𝓗|`` with the Hessian 𝓗 in the natural metric, in
which the volume element of the kernel's density is 1, Γ_2 from diagrams of two loops, and g the number of its images
under the sign symmetries; for small kernels of linear networks from their exact density in place of the loops. In each
region the mean kernel at this width is predicted: from that density, or to first order in 1/N.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from numerics.checking.regions import Region, nearest, region
from numerics.errors import InputError, NotSolvedError
from numerics.linalg import FloatArray
from numerics.linear.fluctuations import LARGEST_HESSIAN, next_term
from numerics.linear.solution import linear_state
from numerics.nonlinear import fluctuations as nonlinear
from numerics.nonlinear.corrected import corrected
from numerics.nonlinear.solution import NonlinearSolution
from numerics.predictors import finite_width
from numerics.predictors.two_loops import two_loops
from numerics.results.solution import Solution
from numerics.threads import one_thread

#: Effective draws from the kernel's density below which its mean is not believed.
SMALLEST_ESS = 1000.0
#: Draws from the kernel's density where there is one minimum, and where each has to be told from others.
DRAWS, DRAWS_OF_SEVERAL = 400_000, 60_000
#: Error of a nonlinear network's kernel, N → ∞, as a share of its shift at the width, at which the shift is seen.
SEEN = 0.1
#: Size of what two loops leave of the log of a probability, beyond which they are not added to it.
MOST_LEFT = 1.0
#: What a weight rests on: the kernel's exact density; Gaussian fluctuations around the minimum and what two loops add;
#: the fluctuations alone; its free energy alone.
Basis = Literal["density", "two loops", "fluctuations", "free energy"]


@dataclass(frozen=True, eq=False)
class Phase:
    """A minimum at one width.

    Attributes:
        state: the minimum.
        region: the kernels that are nearer to it than to another.
        log_weight: log of the probability of the region, images under sign symmetries included.
        weight_error: standard error of the probability, with the size of what two loops leave where it rests on them;
            as far as it is known (0 from fluctuations where two loops are not known).
        beyond: the next order of the log of the probability, beyond ``-N F - Γ``; only differences between phases
            have a meaning. None where it is not known, or there is one phase.
        beyond_error: error of `beyond`: of the draws from a density, or the size of what two loops leave out.
        basis: what the weight rests on.
        kernel: its mean kernel at this width, in the sign of the state; its own, N → ∞, where the shift is not known.
        kernel_error: standard error of `kernel`; without a density, with the size of the next order in 1/N.
        at_width: whether `kernel` is for this width.
        next_order: size of the terms beyond first order in 1/N that `kernel` leaves out; None where it leaves none
            out or this is not known, infinite where the network is too narrow for the expansion.
    """

    state: Solution
    region: Region
    log_weight: float
    weight_error: float
    beyond: float | None
    beyond_error: float
    basis: Basis
    kernel: FloatArray
    kernel_error: FloatArray
    at_width: bool
    next_order: FloatArray | None

    @property
    def weight(self) -> float:
        """The probability; 0 where it is below the smallest number."""
        return math.exp(self.log_weight)


@dataclass(frozen=True, eq=False)
class _Mass:
    """Log of a region's probability, up to a constant, with its error, and the kernel that is predicted in it.

    `beyond` is what a density or two loops have beyond the fluctuations, with its error.
    """

    log: float
    error: float
    basis: Basis
    kernel: FloatArray
    kernel_error: FloatArray
    next_order: FloatArray | None = None
    beyond: float | None = None
    beyond_error: float = 0.0
    state: Solution | None = None  # with a smaller error, where it has been corrected


@one_thread
def phases(minima: Sequence[Solution], width: int) -> tuple[Phase, ...]:
    """The minima with their weights at width N, the heaviest first."""
    regions = [region(state) for state in minima]

    def inside(position: int) -> Callable[[FloatArray], NDArray[np.bool_]] | None:
        if len(minima) == 1:
            return None
        return lambda kernels: np.asarray(nearest(regions, kernels) == position)

    masses = [_mass(state, regions[k], width, inside(k)) for k, state in enumerate(minima)]
    # logs with different bases cannot be compared, but for the first two bases
    alone = any(mass.basis == "free energy" for mass in masses)
    logs = np.array([-width * state.free_energy if alone else m.log for state, m in zip(minima, masses, strict=True)])
    logs += [math.log(2.0) * len(each.gauge.steps) for each in regions]
    logs -= np.logaddexp.reduce(logs)
    weights = np.exp(logs)
    errors = np.array([0.0 if alone else mass.error for mass in masses])
    # p_k = g_k/Σg: dp_k = p_k (dln g_k - Σ_j p_j dln g_j)
    spread = [
        math.sqrt(sum(((i == k) - p) ** 2 * e**2 for i, (p, e) in enumerate(zip(weights, errors, strict=True))))
        for k in range(len(minima))
    ]
    found = [
        Phase(
            masses[k].state or state,
            regions[k],
            float(logs[k]),
            min(float(weights[k] * spread[k]), 1.0),
            None if alone else masses[k].beyond,
            masses[k].beyond_error,
            "free energy" if alone else masses[k].basis,
            masses[k].kernel,
            masses[k].kernel_error,
            masses[k].basis != "free energy",
            masses[k].next_order,
        )
        for k, state in enumerate(minima)
    ]
    return tuple(sorted(found, key=lambda phase: -phase.log_weight))


def _mass(state: Solution, own: Region, width: int, within: Callable[[FloatArray], NDArray[np.bool_]] | None) -> _Mass:
    if isinstance(state, NonlinearSolution):
        found = _nonlinear_mass(state, width)
        return found if within is None else _with_two_loops(found, state, width)
    size = len(linear_state(state).reduced)
    if size * (size + 1) // 2 <= finite_width.LARGEST_SAMPLED and width >= size:
        draws = DRAWS if within is None else DRAWS_OF_SEVERAL

        def inside(kernels: FloatArray) -> NDArray[np.bool_]:
            return own.gauge.sided(kernels) & (True if within is None else within(kernels))

        mean = finite_width.kernel_mean(state, width, within=inside, draws=draws)
        if mean.ess >= SMALLEST_ESS:
            # entries that an unbroken symmetry reverses have no mean, but in the draws
            reached = own.gauge.symmetric(np.ones_like(mean.kernel))
            kernel, error = mean.kernel * reached, mean.standard_error * reached
            found = _Mass(mean.log_mass, mean.log_mass_error, "density", kernel, error)
            if within is None:
                return found
            beyond = mean.log_mass - finite_width.log_mass(state, width)
            return replace(found, beyond=beyond, beyond_error=mean.log_mass_error)
    if size > LARGEST_HESSIAN:
        return _Mass(0.0, 0.0, "free energy", state.kernel, np.zeros_like(state.kernel))
    shift, left = finite_width.kernel_shift(state) / width, next_term(linear_state(state), width)
    if not np.isfinite(left).all():
        return _too_narrow(state, shift, left)
    found = _Mass(finite_width.log_mass(state, width), 0.0, "fluctuations", state.kernel + shift, left, left)
    return found if within is None else _with_two_loops(found, state, width)


def _too_narrow(state: Solution, shift: FloatArray, beyond: FloatArray) -> _Mass:
    """A network too narrow for an expansion in 1/N: the first order only tells the size of the error."""
    own = state.kernel_error if isinstance(state, NonlinearSolution) else 0.0
    return _Mass(0.0, 0.0, "free energy", state.kernel, np.hypot(own, shift), beyond)


def _with_two_loops(found: _Mass, state: Solution, width: int) -> _Mass:
    """A mass of fluctuations with two loops, where they are known; where what they leave is not small, their size is an
    error and no more."""
    loops = two_loops(state) if found.basis == "fluctuations" else None
    if loops is None:
        return found
    left, noise = loops.left(width), loops.error / width
    error = math.hypot(left, noise)
    beyond = -loops.value / width
    own = replace(found, beyond=beyond, beyond_error=error)
    if error > MOST_LEFT:
        return replace(own, error=math.hypot(found.error, loops.size / width, noise))
    return replace(own, log=found.log + beyond, error=math.hypot(found.error, error), basis="two loops")


def _nonlinear_mass(state: NonlinearSolution, width: int) -> _Mass:
    try:
        found, state = nonlinear.fluctuations(state), nonlinear.accurate(state)
    except (InputError, NotSolvedError):  # no minimum, or too few points
        return _Mass(0.0, 0.0, "free energy", state.kernel, state.kernel_error)
    beyond, target = nonlinear.next_term(found, width), SEEN * float(np.linalg.norm(found.shift)) / width
    if state.engine == "sampling" and np.linalg.norm(state.kernel_error) > target:
        with suppress(np.linalg.LinAlgError):  # a step too long: the state stands as it is
            better = corrected(state, found.loop.covariance, target)
            if np.linalg.norm(better.kernel_error) < np.linalg.norm(state.kernel_error):
                state = better
    error = np.sqrt(state.kernel_error**2 + (found.shift_error / width) ** 2 + beyond**2)
    if not np.isfinite(error).all():
        return _too_narrow(state, found.shift / width, beyond)
    log, unsure = nonlinear.log_mass(found, state, width), width * (state.free_energy_error or 0.0)
    return _Mass(log, unsure, "fluctuations", state.kernel + found.shift / width, error, beyond, state=state)
