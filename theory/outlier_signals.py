"""Where W's outliers appear on the RNN's coherent branch for T ≥ 5, to any precision (docs/theory.md section 8).

Units ``u = v = w = 1``. The stationary kernels do not depend on κ: it enters through the energy's stress ``μ =
λ/(H^{nn}+κ)²`` alone. So an outlier of W, which H decides, appears at

``λ = μ (H^{nn}+κ)²``

with two numbers μ and ``H^{nn}`` for each T. ``dλ/dψ = (μ' (H^{nn}+κ) + 2μ H^{nn}')(H^{nn}+κ)`` is positive, the branch
stable, for κ below ``-2μ H^{nn}'/μ' - H^{nn}`` (μ' < 0); where that is negative, for no κ, and the outlier is there
from the fold on. At T = 4 all this is in closed form (``theory.outliers``, ``theory.singular_values``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mpmath
from sympy import Expr, Float

from theory.coexistence import BranchPoint, CoherentStates, follow, root_along_branch
from theory.critical_point import critical_point
from theory.kernel import require_noise

#: T for which the branch is followed.
SMALLEST_T, LONGEST_FOLLOWED = 5, 10
#: Relative distance of the first two points in high precision.
FIRST_DISTANCE = 1e-6


@dataclass(frozen=True)
class OutlierSignal:
    """Where one kind of outlier appears, mpmath numbers.

    Attributes:
        digits: to how many.
        stress: μ.
        last: ``H^{nn}``.
        order_parameter: ``H^{n,n-1}``.
        largest_noise: κ up to which the branch is stable there; negative: it never is.
        kernel: ``n × n``.
    """

    digits: int
    stress: Any
    last: Any
    order_parameter: Any
    largest_noise: Any
    kernel: Any

    def signal(self, kappa: Expr) -> Expr:
        """``λ = μ (H^{nn}+κ)²``."""
        stress, last = (Float(mpmath.nstr(x, self.digits), self.digits) for x in (self.stress, self.last))
        return stress * (last + require_noise(kappa)) ** 2


def _parts(H: Any, ctx: Any) -> tuple[Any, Any, Any]:
    """``H₋``, its inverse, and ``H₊``."""
    size = H.rows - 1
    return H[:size, :size], ctx.inverse(H[:size, :size]), H[1:, 1:]


def outlier_condition(H: Any, ctx: Any) -> Any:
    """``|1 - H₋⁻¹H₋₊|``: zero where 1 is an eigenvalue of the regression matrix."""
    size = H.rows - 1
    return ctx.det(ctx.eye(size) - _parts(H, ctx)[1] * H[:size, 1:])


def singular_condition(H: Any, ctx: Any) -> Any:
    """``|2 - H₋⁻¹H₊|``: zero where 2 is one of the α."""
    _, inverse, later = _parts(H, ctx)
    return ctx.det(2 * ctx.eye(H.rows - 1) - inverse * later)


def outlier_signals(T: int, digits: int = 30) -> tuple[OutlierSignal, OutlierSignal]:
    """Where an eigenvalue and where a singular value of W leaves its bulk on the RNN's coherent branch.

    The first change of sign of either condition along the branch from its critical point, at which both are positive.

    Raises:
        ValueError: for another T than 5 … 10.
        ArithmeticError: if the branch is lost before.
    """
    if isinstance(T, bool) or not isinstance(T, int) or not SMALLEST_T <= T <= LONGEST_FOLLOWED:
        raise ValueError(f"T: is {T}; accepted: {SMALLEST_T} to {LONGEST_FOLLOWED}")
    conditions: tuple[Callable[[Any, Any], Any], ...] = (outlier_condition, singular_condition)
    brackets: list[Any] = [None, None]
    critical = float(critical_point(T, require_noise(0)).signal)
    for before, after in pairwise(follow(T, 0.0, critical)):
        for k, condition in enumerate(conditions):
            if brackets[k] is None and condition(after[1], mpmath.fp) < 0:
                brackets[k] = (before, after)
        if None not in brackets:
            break
    with mpmath.workdps(digits + 15):
        states = CoherentStates(T - 1, mpmath.mpf(0), mpmath.mp)

        def at(condition: Callable[[Any, Any], Any], bracket: Any) -> OutlierSignal:
            # in ordinary precision first, which is much faster
            rough = CoherentStates(T - 1, 0.0, mpmath.fp)
            near = root_along_branch(rough, bracket, lambda state: condition(state.kernel, mpmath.fp), 3)
            sides = [(near.order_parameter * (1 + k * FIRST_DISTANCE), near.kernel, near.signal) for k in (-1, 1)]
            point = root_along_branch(states, sides, lambda state: condition(state.kernel, mpmath.mp), digits)
            return _outlier_signal(point, digits)

        eigenvalue, singular = (at(*pair) for pair in zip(conditions, brackets, strict=True))
    return eigenvalue, singular


def _outlier_signal(point: BranchPoint, digits: int) -> OutlierSignal:
    last = point.kernel[point.kernel.rows - 1, point.kernel.rows - 1]
    stress = point.signal / last**2
    slope = point.slope / last**2 - 2 * stress * point.last_slope / last
    return OutlierSignal(
        digits=digits,
        stress=stress,
        last=last,
        order_parameter=point.order_parameter,
        largest_noise=-2 * stress * point.last_slope / slope - last,
        kernel=point.kernel,
    )
