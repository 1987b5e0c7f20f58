"""A nonlinear network's state against sampled kernels of several widths, taken to N → ∞ by their measured trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from numerics.checking import agreement
from numerics.checking.agreement import Agreement, WidthTrend
from numerics.checking.linear import within
from numerics.checking.regions import gauge_of
from numerics.checking.signs import signed
from numerics.linalg import FloatArray
from numerics.nonlinear.solution import NonlinearSolution
from numerics.sampling.result import Simulation

#: Fractions of the width at which networks are sampled: as many as the polynomial 1, 1/N, 1/N² has coefficients.
DIVISORS = (4, 2, 1)
#: Smallest width: its quarter still is a network.
SMALLEST_WIDTH = 64


@dataclass(frozen=True, eq=False)
class TrendComparison:
    """A state, simulations of its problem at several widths, and how they agree.

    Attributes:
        solution: the theory's state, N → ∞.
        simulations: smallest width first, with the sign symmetries removed that turn the state into another.
        trend: of their mean kernels.
        agreement: of the trend's limit with the state.
    """

    solution: NonlinearSolution
    simulations: tuple[Simulation, ...]
    trend: WidthTrend
    agreement: Agreement


def compare_trend(
    solution: NonlinearSolution, simulations: Sequence[Simulation], inside: Sequence[FloatArray] | None = None
) -> TrendComparison:
    """The trend of the sampled kernels, and its limit against the theory, in the theory's basin.

    No shift at finite N is known for a nonlinear network, so that ``Φ_∞ + a/N + b/N²`` is fitted to three widths.

    Args:
        solution: a state.
        simulations: one for each width, smallest first.
        inside: for each, 1 for draws in the state's phase and 0 for others, (chains, draws); all are unless given.
    """
    rule = gauge_of(solution).of_rule
    kernel, simulations = rule.taken(solution.kernel), [signed(simulation, rule) for simulation in simulations]
    seen = list(simulations)
    if inside is not None:
        seen = [replace(s, kernels=within(s.kernels, marks)) for s, marks in zip(simulations, inside, strict=True)]
    trend = agreement.width_trend(
        [s.width for s in seen],
        [s.kernel_mean for s in seen],
        [s.kernel_standard_error for s in seen],
        order=len(DIVISORS) - 1,
    )
    verdict = agreement.compare(
        kernel,
        trend.limit,
        np.hypot(trend.limit_standard_error, solution.kernel_error),
        rhat=max(s.rhat for s in seen),
        ess=min(s.ess for s in seen),
    )
    return TrendComparison(solution, tuple(simulations), trend, verdict)
