"""The critical point of endpoint supervision for the families of sharing matrices (docs/theory.md section 10).

Units ``u = v = w = 1``, ``n = T - 1``. With Λ the largest eigenvalue of all lags' correlation matrices
(``theory.sharing_stability``) and ``r_c = Λ/(Λ-1)``,

``λ_c = (r_c^n + κ)²/((Λ-1) r_c^n)``, ``H^{tt} = r_c^t``.

- ``looped:p``: lag p, ``Λ = n - p``. Entries whose lag is no multiple of p vanish in every stationary state.
- ``shared:ρ`` and ``drift:ρ``: lag 1 meets the same correlations ρ in both, so that they have the same critical
  point: ``Λ = (1-ρ²)/(1 - 2ρ cos θ + ρ²)`` with ``cos(nθ/2) = ρ cos((n-2)θ/2)``, ``0 < θ < π/n``. What leaves it
  differs.

The transition is continuous where ``p + qζ`` of ``theory.sharing_landau`` is positive and λ(r) rises at ``r_c``.
Where it ceases to rise (``ζ = ((n-1)r-n)/(2n(r-1))``), ``p + qζ`` is negative: ``-n e² (y·R)²``, ``e = 2(r-1)ζ``. So
it is continuous for κ below one tricritical κ, if it is at κ = 0, and at no κ otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sympy import (
    QQ,
    Expr,
    Integer,
    Rational,
    Symbol,
    factor,
    sqrt,
)

from theory import symbols
from theory.critical_point import CONTINUOUS, DISCONTINUOUS, SIGN_DIGITS, CriticalPoint, critical_point, order_of
from theory.kernel import require_horizon, require_noise
from theory.landau import expansion_at
from theory.looped import amplitude_squared, reduced_quartic_at
from theory.sharing import RNN, SharingFamily
from theory.sharing_landau import Quartic, exact_quartic
from theory.sharing_stability import (
    EIGENVALUE,
    Instability,
    angle_condition,
    eigenvalue_condition,
    instability,
    ratio_at,
)

#: Angle of the critical mode of shared and drift.
ANGLE = Symbol("theta", positive=True)
#: Longest network whose branch is expanded to the second coefficient.
LONGEST_EXPANSION = 10
#: Longest network of shared and drift with a rational ρ: λ_c is a polynomial in a root of degree (T-1)/2.
LONGEST_CORRELATION = 16
#: Longest looped network: λ_c is a fraction of some 10T digits.
LONGEST_LOOPED = 300


def critical_point_of(arch: SharingFamily, T: int | Symbol, kappa: Expr = symbols.kappa) -> CriticalPoint:
    """The critical point of an architecture for an integer T ≥ 4 or ``theory.symbols.T``.

    Raises:
        ValueError: one line, for T < 4, an inexact or negative κ, or where coherence never grows.
    """
    if arch == RNN:
        return critical_point(T, kappa)
    noise = require_noise(kappa)
    if arch.family == "looped":
        return _looped(int(arch.parameter), T, noise)
    if arch.parameter == 0:
        raise NeverCoherent(arch, T)
    if T == symbols.T:
        return _any_length(arch, noise)
    require_horizon(T, 4)
    assert isinstance(T, int)
    if arch.parameter.free_symbols:
        return _symbolic_correlation(arch, T, noise)
    _require_at_most(T, LONGEST_CORRELATION, arch)
    return _rational(arch, T, noise)


def _require_at_most(T: int, longest: int, arch: SharingFamily) -> None:
    if longest < T:
        raise ValueError(f"T: is {T}; accepted: 4 to {longest}, or symbolic, for {arch}")


class NeverCoherent(ValueError):
    """An architecture in which no mode turns unstable, at this T."""

    def __init__(self, arch: SharingFamily, T: int | Symbol):
        super().__init__(
            f"arch: is {arch}, in which coherence never grows at T = {T} (it has the learning-transition); "
            "accepted: one in which two matrices have a correlation and another time follows"
        )


def signal_at(T: int | Symbol, ratio: Expr, kappa: Expr) -> Expr:
    """``λ(r) = (r-1)(r^n+κ)²/r^n`` of the incoherent branch."""
    growth = ratio ** (T - 1)
    return (ratio - 1) * growth * (1 + kappa / growth) ** 2


# --- rational sharing matrices ----------------------------------------------------------------------------------------


def _rational(arch: SharingFamily, T: int, kappa: Expr) -> CriticalPoint:
    found = instability(arch.matrix(T - 1))
    if found is None:
        raise NeverCoherent(arch, T)
    coefficients, field = exact_quartic(arch.matrix(T - 1), found)
    r, put = coefficients.ratio, field.to_sympy
    tricritical = tricritical_noise(coefficients, field)
    # the noise as a share of the last kernel entry; in the field where κ is rational, so that results are reduced
    growth = r ** (T - 1)
    inside = kappa.is_Rational
    relative = field.convert_from(QQ.from_sympy(kappa), QQ) / growth if inside else kappa * put(field.one / growth)
    known: Callable[[Any], Any] = (lambda element: element) if inside else put
    shown: Callable[[Any], Expr] = put if inside else lambda expression: _tidy(expression, found)
    continuity = known(coefficients.constant) * (1 + relative) + known(coefficients.share)
    common = {
        "T": T,
        "kappa": kappa,
        "arch": str(arch),
        "lag": found.lag,
        "ratio": put(r),
        "signal": shown(known((r - field.one) * growth) * (1 + relative) ** 2),
        "kernel_diagonal": tuple(put(r**t) for t in range(1, T)),
        "continuity": shown(continuity),
        "order": order_of(tricritical, kappa),
        "tricritical_kappa": tricritical,
    }
    if not kappa.is_number or T > LONGEST_EXPANSION:
        bare = known(-coefficients.quadratic_slope * r ** (sum(coefficients.place) + 2 - T))
        amplitude = shown(bare / ((1 + relative) * continuity)) if continuity else None
        return CriticalPoint(**common, exponent=Rational(1, 2), amplitude_squared=amplitude)
    expansion = expansion_at(T, kappa, arch.matrix(T - 1), found)
    if expansion.expanded is not None:
        first, second = expansion.expanded
        return CriticalPoint(**common, exponent=Rational(1, 2), amplitude_squared=first, next_coefficient=second)
    stretched, (_, second) = expansion.order_parameter_coefficients[0], expansion.signal_coefficients
    fourth = stretched**2 / second
    common["order"] = CONTINUOUS if fourth > 0 else DISCONTINUOUS
    return CriticalPoint(**common, exponent=Rational(1, 4), amplitude_squared=None, amplitude_fourth=fourth)


def tricritical_noise(coefficients: Quartic, field: Any) -> Expr | None:
    """The κ ≥ 0 at which the transition turns from continuous to discontinuous; None where it is never continuous."""
    at_no_noise = coefficients.constant + coefficients.share
    if field.to_sympy(at_no_noise).evalf(SIGN_DIGITS) < 0 and at_no_noise:
        return None
    return noise_without_quartic(coefficients, field)


def noise_without_quartic(coefficients: Quartic, field: Any) -> Expr:
    """The κ of either sign at which the quartic coefficient vanishes: ``r^n (1/ζ - 1)`` with ``ζ = -p/q``."""
    at_no_noise = coefficients.constant + coefficients.share
    return field.to_sympy(-(coefficients.ratio**coefficients.hidden) * at_no_noise / coefficients.constant)


def _tidy(expression: Expr, found: Instability) -> Expr:
    """One reduced fraction in factors where r_c is rational."""
    return factor(expression) if found.eigenvalue.is_Rational else expression


# --- looped -----------------------------------------------------------------------------------------------------------


def _looped(p: int, T: int | Symbol, kappa: Expr) -> CriticalPoint:
    """``Λ = n - p``; for short networks from the exact expansion, else from the closed forms."""
    if T != symbols.T:
        require_horizon(T, 4)
        assert isinstance(T, int)
        _require_at_most(T, LONGEST_LOOPED, SharingFamily("looped", Integer(p)))
        if T <= LONGEST_EXPANSION or T - 1 - p < 2:
            return _rational(SharingFamily("looped", Integer(p)), T, kappa)
    length = Integer(T - 1 - p) if isinstance(T, int) else T - 1 - p
    ratio = length / (length - 1)
    share = {symbols.zeta: 1 / (1 + kappa * ratio ** (1 - T))}
    tricritical = None
    if isinstance(T, int):
        constant, sharing = (reduced_quartic_at(T, p, Integer(k)) for k in (0, 1))
        tricritical = -(ratio ** (T - 1)) * sharing / constant if sharing >= 0 else None
    continuity = reduced_quartic_at(T, p).subs(share)
    flat = bool(continuity == 0)
    return CriticalPoint(
        T=T,
        kappa=kappa,
        arch=f"looped:{p}",
        lag=p,
        ratio=ratio,
        signal=signal_at(T, ratio, kappa),
        kernel_diagonal=tuple(ratio**t for t in range(1, T)) if isinstance(T, int) else (ratio**symbols.t,),
        continuity=continuity,
        order=order_of(tricritical, kappa) if isinstance(T, int) and not flat else None,
        exponent=Rational(1, 4) if flat else Rational(1, 2),
        amplitude_squared=None if flat else amplitude_squared(T, p).subs(share),
        tricritical_kappa=tricritical,
    )


# --- a symbolic correlation -------------------------------------------------------------------------------------------


def _symbolic_correlation(arch: SharingFamily, T: int, kappa: Expr) -> CriticalPoint:
    """Closed forms for T = 4 and 5; λ_c and r_c for T = 6; beyond, the polynomial that Λ obeys."""
    rho, size = symbols.rho, T - 2
    eigenvalue = closed_eigenvalue(size)
    common: dict[str, Any] = {"T": T, "kappa": kappa, "arch": str(arch), "order": None, "exponent": Rational(1, 2)}
    if size > 3:
        value = EIGENVALUE if eigenvalue is None else eigenvalue
        ratio = value / (value - 1)
        return CriticalPoint(
            **common,
            ratio=ratio,
            signal=signal_at(T, ratio, kappa),
            kernel_diagonal=tuple(ratio**t for t in range(1, T)),
            continuity=None,
            amplitude_squared=None,
            conditions=(eigenvalue_condition(size),) if eigenvalue is None else (),
        )
    constant, share, slope, ratio = _closed_quartic(arch, T)
    relative = kappa * ratio ** (1 - T)
    continuity = factor(constant * (1 + relative) + share)
    amplitude = -slope * ratio ** (T - 1) / ((1 + relative) * continuity)
    put = {_ROOT: (rho + sqrt(rho**2 + 8)) / 2}
    plain = ratio if eigenvalue is None or T == 4 else 1 + 1 / (eigenvalue - 1)
    return CriticalPoint(
        **common,
        ratio=plain,
        signal=factor(signal_at(T, ratio, kappa)) if T == 4 else signal_at(T, plain, kappa),
        kernel_diagonal=tuple(plain**t for t in range(1, T)),
        continuity=continuity.subs(put),
        amplitude_squared=factor(amplitude).subs(put),
        tricritical_kappa=factor(-(ratio ** (T - 1)) * (constant + share) / constant).subs(put) if T == 4 else None,
    )


#: ``√(Λ+1)`` at T = 5, in which ``ρ = τ - 2/τ`` and ``Λ = τ² - 1`` are rational.
_ROOT = Symbol("tau", positive=True)


@cache
def _closed_quartic(arch: SharingFamily, T: int) -> tuple[Expr, Expr, Expr, Expr]:
    """p, q, a and r_c at T = 4 in ρ, at T = 5 in τ."""
    n = T - 1
    correlation = symbols.rho if T == 4 else _ROOT - 2 / _ROOT
    eigenvalue = 1 + symbols.rho if T == 4 else _ROOT**2 - 1
    M = arch.matrix(n).subs(symbols.rho, correlation)
    found, field = exact_quartic(M, Instability(1, eigenvalue, (1, n - 1), 1))
    return tuple(factor(field.to_sympy(x)) for x in (found.constant, found.share, found.quadratic_slope, found.ratio))


def closed_eigenvalue(size: int) -> Expr | None:
    """The largest eigenvalue of ``ρ^|t-t'|``, m × m, in radicals for m = 2, 3, 4; None beyond."""
    rho = symbols.rho
    if size == 2:
        return 1 + rho
    if size == 3:
        return 1 + rho * (rho + sqrt(rho**2 + 8)) / 2
    if size == 4:
        return 1 + rho * (1 + rho**2) / 2 + rho * (1 + rho) * sqrt(rho**2 - 2 * rho + 5) / 2
    return None


def _any_length(arch: SharingFamily, kappa: Expr) -> CriticalPoint:
    """The trigonometric condition for symbolic T."""
    T = symbols.T
    return CriticalPoint(
        T=T,
        kappa=kappa,
        arch=str(arch),
        ratio=ratio_at(ANGLE, arch.parameter),
        signal=signal_at(T, symbols.r, kappa),
        kernel_diagonal=(symbols.r**symbols.t,),
        continuity=None,
        order=None,
        exponent=Rational(1, 2),
        amplitude_squared=None,
        conditions=(angle_condition(T - 2, ANGLE, arch.parameter),),
    )
