"""Where the learning transition begins: the cusp of the incoherent branch in the (κ, λ) plane, exact, for every T.

See docs/theory.md section 14.

Units ``u = v = w = 1``, ``n = T - 1``; ``theory.learning_transition`` says what the transition is. λ(r) has a fold
where ``κ = r^n ((n+1)r - n)/((n-1)r - n)``, ``r > n/(n-1)``, and at the smallest such κ two folds meet, in a point with
the exponents of mean field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sympy import Expr, Poly, Rational, Symbol, diff, expand, fraction, log, sqrt, together

from theory import symbols
from theory.claims import assert_zero
from theory.display import Equations, Typeset
from theory.free_energy import UNITS
from theory.incoherent import incoherent_branch
from theory.kernel import hidden_times, require_horizon


def fold_noise(T: int | Symbol, ratio: Expr = symbols.r) -> Expr:
    """The κ at which λ(r) has a fold at this r, ``r^n ((n+1)r - n)/((n-1)r - n)``; positive for ``r > n/(n-1)``."""
    n = T - 1
    return ratio**n * ((n + 1) * ratio - n) / ((n - 1) * ratio - n)


def onset_ratio(T: int | Symbol) -> Expr:
    """``r_* = (n²+1+√(3n²+1))/(n²-1)``, where the two folds meet."""
    n = hidden_times(T)
    return (n**2 + 1 + sqrt(3 * n**2 + 1)) / (n**2 - 1)


def onset_growth(T: int | Symbol) -> Expr:
    """``r_*^n``, the last kernel entry where the folds meet."""
    return onset_ratio(T) ** (T - 1)


def onset_noise(T: int | Symbol) -> Expr:
    """``κ_* = r_*^n (2n+√(3n²+1))/(n-1)``, the smallest noise with folds; falls from 62.6 (T = 3) to 21.1 (T → ∞)."""
    n = hidden_times(T)
    factor = (2 * n + sqrt(3 * n**2 + 1)) / (n - 1)
    return onset_growth(T) * (expand(factor) if isinstance(T, int) else factor)


@dataclass(frozen=True)
class Onset(Typeset):
    """The critical point of the learning transition: a cusp of the (κ, λ) plane, exact.

    With ``ε = κ - κ_*`` and ``h = H^{nn}``: at ε = 0, ``(h-h_*)³ = A (λ-λ_*) + …``; for ε > 0 the two states of equal
    free energy differ by ``(Δh)² = B ε + …`` and the folds lie ``(λ_+-λ_-)² = C ε³ + …`` apart.

    Attributes:
        T: an integer ≥ 3, or ``theory.symbols.T``.
        kappa, ratio, signal, last_variance: ``κ_*``, ``r_*``, ``λ_*`` and ``h_* = r_*^n``.
        isotherm: A. The exponent of h in λ is 1/3; that of dh/dλ, and so of the fluctuations, -2/3.
        jump_squared: B. The exponent of the jump in κ is 1/2.
        fold_distance_squared: C. The exponent of the folds' distance is 3/2.
    """

    T: int | Symbol
    kappa: Expr
    ratio: Expr
    signal: Expr
    last_variance: Expr
    isotherm: Expr
    jump_squared: Expr
    fold_distance_squared: Expr

    def equations(self) -> Equations:
        """The point, and the three amplitudes."""
        return (
            (r"\kappa_*", self.kappa),
            ("r_*", self.ratio),
            (r"\lambda_*", self.signal),
            (r"(H-H_*)^3/(\lambda-\lambda_*)", self.isotherm),
            (r"(\Delta H)^2/(\kappa-\kappa_*)", self.jump_squared),
            (r"(\lambda_+-\lambda_-)^2/(\kappa-\kappa_*)^3", self.fold_distance_squared),
        )


def onset(T: int | Symbol) -> Onset:
    """The critical point of the learning transition for an integer T ≥ 3, or for ``theory.symbols.T``.

    Raises:
        ValueError: if T is neither. (At T = 2 the diagonal branch has no fold.)
    """
    if T != symbols.T:
        require_horizon(T, 3)
    n = hidden_times(T)
    q = sqrt(3 * n**2 + 1)
    growth = onset_growth(T)
    return Onset(
        T=T,
        kappa=onset_noise(T),
        ratio=onset_ratio(T),
        signal=growth * (2 + q) * (3 * n - 1 + q) ** 2 / ((n**2 - 1) * (n - 1) ** 2),
        last_variance=growth,
        isotherm=growth**2 * n * (2 * q - 3 * n - 1) / q,
        jump_squared=growth * 24 * n * (2 * n - q) / ((n + 1) * q),
        fold_distance_squared=128
        * n
        * (6 * n**2 - 6 * n + 4 - (3 * n - 5) * q)
        / (9 * (n - 1) * (n + 1) ** 3 * q * growth),
    )


@cache
def assert_onset() -> None:
    """Derive folds and onset from the incoherent branch of symbolic T, and assert what this module states of them.

    Raises:
        ArithmeticError: if a step fails.
    """
    r, n, T, kappa = symbols.r, symbols.n, symbols.T, symbols.kappa
    branch = incoherent_branch(T)
    signal = branch.signal.subs(UNITS).subs(T, n + 1)
    free = branch.free_energy.subs(UNITS).subs(T, n + 1)
    condition = branch.multiplicity_condition().subs(UNITS).subs(T, n + 1)
    noise = fold_noise(T).subs(T, n + 1)
    point = onset(T)
    root = point.ratio.subs(T, n + 1)
    quadratic = (n**2 - 1) * r**2 - 2 * (n**2 + 1) * r + n**2
    reach = r**n + kappa
    reduced = symbols.signal / (2 * reach) + n * (r - 1 - log(r)) / 2
    rise = n * r ** (n - 1) / (2 * reach**2)
    claims = {
        "F on the branch": reduced.subs(symbols.signal, signal) - free,
        "F' is λ(r) - λ times a positive factor": diff(reduced, r) - rise * (signal - symbols.signal),
        "the slope of λ": diff(log(signal), r) * r * (r - 1) - condition,
        "κ of a fold": condition.subs(kappa, noise),
        # positive denominators for r > n/(n-1): κ falls where the quadratic is negative and rises beyond
        "κ of a fold is smallest at a root of the quadratic": diff(log(noise), r)
        - n * quadratic / (r * ((n + 1) * r - n) * ((n - 1) * r - n)),
        "r_* is a root": quadratic.subs(r, root),
        # a negative value: one root lies below n/(n-1), the other beyond
        "the quadratic at n/(n-1)": quadratic.subs(r, n / (n - 1)) + 2 * n / (n - 1),
        "κ_*": point.kappa.subs(T, n + 1) / noise.subs(r, root) - 1,
        "λ_*": point.signal.subs(T, n + 1) / signal.subs(kappa, noise).subs(r, root) - 1,
    }
    assert_zero(claims)


@cache
def assert_amplitudes() -> None:
    """Derive the three amplitudes of ``Onset`` for symbolic T.

    Near the point, with ``δ = r - r_*``, ``ln λ = ln λ_* + a ε + b ε δ + c δ³/6 + …``. So the folds lie at
    ``δ² = -2bε/c``, and states of equal free energy, by the equal-area rule for this cubic, at ``δ² = -6bε/c``.

    Raises:
        ArithmeticError: if one is not what follows.
    """
    r, n, zeta, q = symbols.r, symbols.n, symbols.zeta, Symbol("q", positive=True)
    place = {zeta: (n - 1) / (3 * n - 1 + q), r: (n**2 + 1 + q) / (n**2 - 1)}

    def slope(expression: Expr) -> Expr:
        """d/dr at fixed κ, with ``dζ/dr = nζ(1-ζ)/r`` for the share ``ζ = r^n/(r^n+κ)``."""
        return diff(expression, r) + diff(expression, zeta) * n * zeta * (1 - zeta) / r

    first = 1 / (r - 1) + n * (2 * zeta - 1) / r
    third = slope(slope(first))
    mixed = -2 * n * zeta**2 / r  # b r^n, from dζ/dκ = -ζ²/r^n
    growth = onset_ratio(symbols.T) ** (symbols.T - 1)
    point = onset(symbols.T)
    claims = {
        "the first derivative": first,
        "the second derivative": slope(first),
        "A": (n / r) ** 3 * 6 * zeta**2 / ((r - 1) * third) - _in_root(point.isotherm / growth**2),
        "B": (n / r) ** 2 * -24 * mixed / third - _in_root(point.jump_squared / growth),
        "C": Rational(-32, 9) * ((r - 1) / zeta**2) ** 2 * mixed**3 / third
        - _in_root(point.fold_distance_squared * growth),
    }
    for name, difference in claims.items():
        numerator = Poly(fraction(together(difference.subs(place)))[0], q)
        if numerator.rem(Poly(q**2 - 3 * n**2 - 1, q)) != 0:
            raise ArithmeticError(f"{name} at the onset does not follow from the incoherent branch")


def _in_root(expression: Expr) -> Expr:
    """An expression of T as one of n and ``q = √(3n²+1)``."""
    n = symbols.n
    return expression.subs(symbols.T, n + 1).subs(sqrt(3 * n**2 + 1), Symbol("q", positive=True))
