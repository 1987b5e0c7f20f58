"""The critical point of endpoint supervision: where the RNN's incoherent branch loses its stability.

See docs/theory.md section 5.

Units ``u = v = w = 1`` (``theory.kernel.normalised_noise`` says what κ becomes in others). With ``n = T - 1`` and the
ratio ``r_c = (T-2)/(T-3)`` at which the lag-1 sector is singular (``theory.stability``):

``λ_c = (r_c^n + κ)²/((T-3) r_c^n)``, ``H^{tt} = r_c^t``.

The order of the transition follows from the Landau expansion there (``theory.landau`` for an integer T,
``theory.looped`` with one layer for a symbolic one). With ``ζ = r_c^n/(r_c^n + κ)`` the amplitude is

``A = -2(n-1)(n-2) r_c^{n-1} ζ² / (n + 2(n²-6n+4)ζ)``,

so that the branch leaves continuously where ``n + 2(n²-6n+4)ζ < 0``: at κ = 0 for T = 4 and 5 only; there up to a
tricritical κ, and for T ≥ 6 at no κ ≥ 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sympy import Expr, Integer, Rational, Symbol, factor, powsimp, radsimp, simplify

from theory import symbols
from theory.display import Equations, Typeset
from theory.incoherent import critical_ratio
from theory.kernel import LONGEST_SUM, require_horizon, require_noise
from theory.landau import landau_expansion
from theory.looped import assert_quartic, reduced_quartic
from theory.oriented import oriented, positive_sum
from theory.typesetting import PowerSeries, Row, over_times

CONTINUOUS, DISCONTINUOUS = "continuous", "discontinuous"
#: Of the numbers whose signs are taken.
SIGN_DIGITS = 60
#: Largest T whose powers are written out.
LONGEST_POWER = 10_000


@dataclass(frozen=True)
class CriticalPoint(Typeset):
    """The point and what leaves it, exact, units ``u = v = w = 1``.

    Attributes:
        T: an integer ≥ 4, or ``theory.symbols.T``.
        kappa: κ, an exact number or ``theory.symbols.kappa``.
        signal: ``λ_c``.
        kernel_diagonal: ``H^{tt}`` for t = 1 … T-1; for symbolic T one expression in ``theory.symbols.t``.
        continuity: an expression in T and κ; the transition is continuous where it is positive, discontinuous where it
            is negative, and tricritical where it is zero. It is ``1/A`` up to a positive factor; None where it has no
            closed form.
        order: ``"continuous"`` or ``"discontinuous"``; None where it depends on the value of a symbol.
        exponent: of the order parameter ``H^{n,n-l}``, l the lag, in ``λ - λ_c`` on the branch that leaves the
            point: 1/2, and 1/4 at a tricritical point.
        amplitude_squared: ``A`` in ``(H^{n,n-l})² = A (λ-λ_c) + B (λ-λ_c)² + …``, negative where the branch bends
            back to smaller signals; None at a tricritical point.
        next_coefficient: ``B``; None at a tricritical point and for symbolic T.
        amplitude_fourth: ``A₄`` in ``(H^{n,n-l})⁴ = A₄ (λ-λ_c) + …`` at a tricritical point; None elsewhere.
        tricritical_kappa: the κ ≥ 0 at which this T turns from continuous to discontinuous; None where there is none
            (T ≥ 6 for the RNN) and for symbolic T.
        arch: the architecture; others than the RNN in ``theory.sharing_transition``.
        lag: l, the lag of the mode that turns unstable; the order parameter is ``H^{n,n-l}``.
        ratio: ``r_c`` where it is not ``(T-2)/(T-3)``; None for the RNN.
        conditions: what ``r_c``, its eigenvalue or its angle obeys where it has no closed form: expressions that
            vanish.
    """

    T: int | Symbol
    kappa: Expr
    signal: Expr
    kernel_diagonal: tuple[Expr, ...]
    continuity: Expr | None
    order: str | None
    exponent: Rational
    amplitude_squared: Expr | None
    next_coefficient: Expr | None = None
    amplitude_fourth: Expr | None = None
    tricritical_kappa: Expr | None = None
    arch: str = "rnn"
    lag: int | Expr = 1
    ratio: Expr | None = None
    conditions: tuple[Expr, ...] = ()

    def __post_init__(self) -> None:
        positive = None if self.order or self.continuity is None else positive_sum(self.continuity)
        if positive is not None:
            for name in ("continuity", "amplitude_squared", "next_coefficient"):
                value = getattr(self, name)
                object.__setattr__(self, name, None if value is None else oriented(value, positive))

    def equations(self) -> Equations:
        """The point, and the first powers of ``λ - λ_c`` in the order parameter."""
        diagonal = self.kernel_diagonal
        powers = leading_powers(self.T, self.lag, self.amplitude_squared, self.next_coefficient, self.amplitude_fourth)
        return (
            (r"\lambda_c", self.signal),
            ("H^{tt}", diagonal if len(diagonal) > 1 else diagonal[0]),
            (powers.left, powers.value),
            (r"\text{order}", self.order),
            (r"\kappa_{\text{tri}}", self.tricritical_kappa),
            Row("0", None if self.order else self.continuity, "where it is continuous", "<"),
        )


def order_parameter_latex(T: int | Expr, lag: int | Expr) -> str:
    """LaTeX of ``H^{n,n-l}``."""
    return over_times("H", T - 1, T - 1 - lag)


def leading_powers(
    T: int | Expr, lag: int | Expr, first: Expr | None, second: Expr | None = None, fourth: Expr | None = None
) -> Row:
    """``(H^{n,n-l})² = A (λ-λ_c) + B (λ-λ_c)² + …``, at a tricritical point ``(H^{n,n-l})⁴ = A (λ-λ_c) + …``."""
    power, known = (2, (first, second)) if fourth is None else (4, (fourth,))
    left = rf"\left({order_parameter_latex(T, lag)}\right)^{{{power}}}"
    if known[0] is None:
        return Row(left, None)
    powers = (r"\left(\lambda - \lambda_{c}\right)", r"\left(\lambda - \lambda_{c}\right)^{2}")
    terms = PowerSeries((each, above) for each, above in zip(known, powers, strict=False) if each is not None)
    return Row(left, terms, "order parameter at the critical point")


def critical_signal(T: int | Symbol, kappa: Expr = symbols.kappa) -> Expr:
    """``λ_c = (r_c^n + κ)²/((T-3) r_c^n)``, ``n = T - 1``; SymPy expressions are taken as they are.

    Raises:
        ValueError: one line, for T < 4 or beyond `LONGEST_POWER`, or for an inexact or negative κ.
    """
    if not isinstance(T, Expr):
        require_horizon(T, 4, LONGEST_POWER)
    noise = kappa if isinstance(kappa, Expr) else require_noise(kappa)
    growth = critical_ratio(T) ** (T - 1)
    return growth * (1 + noise / growth) ** 2 / (T - 3)


def continuity(T: int | Symbol, kappa: Expr = symbols.kappa) -> Expr:
    """Positive where the transition is continuous: ``-(2T² - 15T + 21 + (T-1) κ r_c^{-n})``.

    This is ``-(n + 2(n²-6n+4)ζ)/ζ``, the numerator of the quartic Landau coefficient times ``dλ/dr``.
    """
    return -(2 * T**2 - 15 * T + 21 + (T - 1) * kappa * critical_ratio(T) ** (1 - T))


def tricritical_noise(T: int) -> Expr | None:
    """The κ ≥ 0 at which the amplitude diverges: ``-(2T²-15T+21) r_c^n/(T-1)`` where that is not negative."""
    noise = -Rational(2 * T**2 - 15 * T + 21, T - 1) * critical_ratio(T) ** (T - 1)
    return noise if noise >= 0 else None


def critical_point(T: int | Symbol, kappa: Expr = symbols.kappa) -> CriticalPoint:
    """The critical point of the RNN for an integer T ≥ 4 or ``theory.symbols.T``.

    Args:
        T: index of the last output. At T = 3 the lag-1 sector has one entry and is stable for every signal.
        kappa: an exact number ≥ 0, or ``theory.symbols.kappa``.

    Raises:
        ValueError: one line, for T < 4 or too large to be expanded, or for an inexact or negative κ.

    Example:
        >>> from theory import critical_point
        >>> critical_point(4).signal, critical_point(4).order, critical_point(6).order
        ((kappa + 8)**2/8, None, 'discontinuous')
    """
    noise = require_noise(kappa)
    if T == symbols.T:
        return _symbolic(noise)
    if T == 3:
        raise ValueError("T: is 3, where coherence never grows; accepted: an integer ≥ 4")
    require_horizon(T, 4, LONGEST_SUM)
    assert isinstance(T, int)
    expansion = landau_expansion(T, noise)
    margin = factor(continuity(T, noise))
    common = {
        "T": T,
        "kappa": noise,
        "signal": _tidy(critical_signal(T, noise)),
        "kernel_diagonal": tuple(expansion.ratio**t for t in range(1, T)),
        "continuity": margin,
        "order": order_of(tricritical_noise(T), noise),
        "tricritical_kappa": tricritical_noise(T),
    }
    p, q = expansion.signal_coefficients
    if p == 0:
        s, _ = expansion.order_parameter_coefficients
        return CriticalPoint(
            **common, exponent=Rational(1, 4), amplitude_squared=None, amplitude_fourth=_tidy(s**2 / q)
        )
    first, second = expansion.amplitudes()
    _assert_equal(first, closed_form_amplitude(T, noise))
    return CriticalPoint(
        **common, exponent=Rational(1, 2), amplitude_squared=_tidy(first), next_coefficient=_tidy(second)
    )


def closed_form_amplitude(T: int | Symbol, kappa: Expr = symbols.kappa) -> Expr:
    """``A = 2(T-2)(T-3) r_c^{T-2} / ((1+κ r_c^{-n}) · continuity)``, which ``assert_closed_form_amplitude`` derives."""
    ratio = critical_ratio(T)
    return 2 * (T - 2) * (T - 3) * ratio ** (T - 2) / ((1 + kappa * ratio ** (1 - T)) * continuity(T, kappa))


def quartic_coefficient() -> Expr:
    """``b`` of F in the critical mode: ``theory.looped`` with one layer, ``-(n + 2(n²-6n+4)ζ)/(2(n-1)(2nζ-1))``."""
    n, zeta = symbols.n, symbols.zeta
    ratio = critical_ratio(n + 1)
    spread = n - (n - 1) * ratio + 2 * n * (ratio - 1) * zeta
    return factor(reduced_quartic(False, n - 1, Integer(1)) / spread)


@cache
def assert_closed_form_amplitude() -> None:
    """Derive A from the quartic coefficient for symbolic n, and assert ``closed_form_amplitude``.

    ``A = s/p`` with ``s = r^{2n-1}`` and ``p = (dλ/dr)(-b/a)``; both sides are divided by ``r_c^{n-1}``, so that they
    are rational functions of n and ζ.

    Raises:
        ArithmeticError: if the closed form is not what follows.
    """
    n, zeta, T = symbols.n, symbols.zeta, symbols.T
    assert_quartic(False)
    bend = quartic_coefficient() * (n - 1) / (n - 2)
    # λ = (r-1)(r^n+κ)²/r^n: d ln λ/dr = 1/(r-1) + (n/r)(2ζ-1), and λ_c = r_c^n/((n-2)ζ²)
    log_slope = (n - 2) + n * (n - 2) / (n - 1) * (2 * zeta - 1)
    derived = (n - 2) * zeta**2 / (log_slope * bend)
    claimed = closed_form_amplitude(T) / critical_ratio(T) ** (T - 2)
    claimed = claimed.subs(symbols.kappa, (1 - zeta) / zeta * critical_ratio(T) ** (T - 1))
    claimed = powsimp(claimed).subs(T, n + 1)
    if factor(claimed - derived) != 0:
        raise ArithmeticError("the closed form of the amplitude does not follow from the quartic coefficient")


def _symbolic(kappa: Expr) -> CriticalPoint:
    assert_closed_form_amplitude()
    T = symbols.T
    return CriticalPoint(
        T=T,
        kappa=kappa,
        signal=critical_signal(T, kappa),
        kernel_diagonal=(critical_ratio(T) ** symbols.t,),
        continuity=continuity(T, kappa),
        order=None,
        exponent=Rational(1, 2),
        amplitude_squared=closed_form_amplitude(T, kappa),
    )


def order_of(tricritical: Expr | None, kappa: Expr) -> str | None:
    """The order of a transition at κ: continuous up to the tricritical κ, if there is one; None where κ is a symbol."""
    if tricritical is None:
        return DISCONTINUOUS
    if not kappa.is_number:
        return None
    return CONTINUOUS if (tricritical - kappa).evalf(SIGN_DIGITS) >= 0 else DISCONTINUOUS


def _tidy(expression: Expr) -> Expr:
    """One reduced fraction in factors, without roots in its denominator."""
    return radsimp(factor(expression)) if expression.is_number else factor(expression)


def _assert_equal(first: Expr, second: Expr) -> None:
    """Both routes to the amplitude must agree for each T."""
    difference = first - second
    if (simplify if difference.is_number else factor)(difference) != 0:
        raise ArithmeticError(f"the expansion gives {first}, the closed form {second}")
