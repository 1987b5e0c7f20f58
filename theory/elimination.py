"""Elimination of the kernel entry between the first and the last time, which only the determinant contains.

``tr[H C⁻¹]`` joins ``H_{2…n}`` with the inverse of ``H_{1…n-1}``; neither block contains ``H^{1n}``. So F depends
on it through ``-½ ln|H|`` alone, and stationarity is ``(H⁻¹)^{1n} = 0``: given the times between, first and last are
independent.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, Poly, Symbol, cancel, factor

from theory.free_energy import endpoint_free_energy
from theory.kernel import require_horizon


@dataclass(frozen=True)
class EliminatedEntry:
    """A kernel entry as a function of the others on the stationary set.

    Attributes:
        variable: ``H^{1n}``.
        value: ``H^{1M} (H^{MM})⁻¹ H^{Mn}``, M the times 2 … n-1; at T = 4 ``H^{12}H^{23}/H^{22}``.
        curvature: ``∂²F/∂(H^{1n})²`` there, ``|H^{MM}|/|H|``, positive: the stationary point is the minimum.
    """

    variable: Symbol
    value: Expr
    curvature: Expr


def eliminate_entry(T: int, arch: str = "rnn") -> EliminatedEntry:
    """Solve ``∂F/∂H^{1n} = 0`` for ``H^{1n}``, T ≥ 4, and prove that the solution is the one minimum.

    ``|H| = q(x)`` is quadratic in ``x = H^{1n}`` with leading coefficient ``-|H^{MM}| < 0``. Where q > 0,
    ``(-½ ln q)'' = (q'² - q q'')/(2q²) > 0``: F is convex in x, and q' = 0 is its minimum.

    Raises:
        ValueError: for T < 4 or an unknown architecture.
        ArithmeticError: if F contains the entry elsewhere, or the leading coefficient is not ``-|H^{MM}|``.
    """
    require_horizon(T, 4)
    functional = endpoint_free_energy(T, arch)
    n, H = T - 1, functional.kernel
    x = H[0, n - 1]
    if functional.energy.has(x) or functional.terms["trace"].has(x):
        raise ArithmeticError(f"{x} occurs outside the determinant")
    middle = H[1 : n - 1, 1 : n - 1].det(method="berkowitz")
    leading, linear, constant = Poly(H.det(method="berkowitz"), x).all_coeffs()
    if cancel(leading + middle) != 0:
        raise ArithmeticError(f"the determinant's curvature in {x} is {2 * leading}")
    value = cancel(linear / (2 * middle))
    determinant = cancel(constant + linear * value / 2)
    return EliminatedEntry(variable=x, value=factor(value), curvature=factor(middle / determinant))
