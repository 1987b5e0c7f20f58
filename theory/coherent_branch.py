"""The complete temporally coherent branch at T = 4: linear network, RNN, endpoint supervision.

See docs/theory.md section 5.

With ``s = H^{11}`` as the one parameter, in units ``u = v = w = 1``,

``H^{22} = 2s(s-1)``, ``H^{33} = 4s(s-1)²``, ``(H^{12})² = 2s(s-1)(s-2)``, ``H^{23} = 2s H^{12}``, ``H^{13} = 2s(s-2)``,
``λ = (H^{33}+κ)²/(4s(s-1))``, ``s > 2``,

and every positive definite stationary kernel with ``H^{12} ≠ 0`` is of this form: for these the steps of
``solve_stationarity`` only divide by positive quantities. At s = 2 the branch leaves the incoherent one. In other units
``H^{ts}`` is ``u w^{(t+s)/2-1}`` times as large, W's outlier √w times, λ and F are the same, and κ is what
``theory.kernel.normalised_noise`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sympy import (
    Expr,
    ImmutableMatrix,
    Integer,
    Interval,
    Poly,
    Rational,
    Symbol,
    cancel,
    diff,
    expand,
    factor,
    factor_list,
    fraction,
    log,
    oo,
    sqrt,
    sympify,
    together,
)

from theory import symbols
from theory.coherent_elimination import SIZE, simplified_logs, solve_stationarity, unit_free_energy
from theory.display import Equations, Typeset
from theory.typesetting import Row, over_times


@dataclass(frozen=True)
class CoherentBranch(Typeset):
    """The branch in its parameter; ``H^{12}`` and ``H^{23}`` with the positive sign of the order parameter.

    The other sign, ``W → -W``, reverses ``H^{12}``, ``H^{23}`` and the outlier.

    Attributes:
        parameter: ``s = H^{11}/u``.
        domain: ``s > 2``; s = 2 is the critical point.
        signal: ``λ(s)``.
        kernel: ``H^{ts}`` for ``1 ≤ t ≤ s ≤ 3``, by its two times.
        free_energy: ``F`` (zero on the prior's kernel at λ = 0).
        outlier: the eigenvalue of W that leaves the bulk, ``H^{23}/H^{22}``; the bulk's radius is √w.
        second_eigenvalue: the other root of ``z² - c₂z - c₁``: 0, inside the bulk for all s.
        noise: κ.
    """

    parameter: Symbol
    domain: Interval
    signal: Expr
    kernel: Mapping[tuple[int, int], Expr]
    free_energy: Expr
    outlier: Expr
    second_eigenvalue: Expr
    noise: Expr

    def __post_init__(self) -> None:
        allowed = {self.parameter} | self.noise.free_symbols
        for expression in (self.signal, self.free_energy, self.outlier, *self.kernel.values()):
            if not expression.free_symbols <= allowed:
                raise ValueError(f"branch: {expression} is no function of {self.parameter} and κ alone")
        object.__setattr__(self, "kernel", MappingProxyType(dict(self.kernel)))

    def equations(self) -> Equations:
        """λ, the kernel, F and W's outlier in the branch's parameter, and its range."""
        return (
            (rf"\lambda({self.parameter})", self.signal),
            *((over_times("H", *times), value) for times, value in sorted(self.kernel.items())),
            ("F", self.free_energy),
            ("z_1", self.outlier),
            Row(str(self.parameter), self.domain, relation=r"\in"),
        )

    def kernel_matrix(self) -> ImmutableMatrix:
        """``H``, 3 × 3."""
        return ImmutableMatrix(SIZE, SIZE, lambda i, j: self.kernel[min(i, j) + 1, max(i, j) + 1])

    def stability(self) -> Expr:
        """``4s(s-1)²(4s-1) - κ(2s-1)`` at ``u = v = w = 1``, of the sign of ``dλ/ds``: the branch is stable where > 0.

        Its zero is a fold, at s > 2 only if κ > 56/3: below that, λ grows all along the branch.
        """
        slope = factor(diff(self.signal, self.parameter))
        numerator = fraction(together(slope))[0]
        # λ and dλ/ds share the positive H^{33} + κ
        reach = fraction(together(self.kernel[3, 3] + self.noise))[0]
        quotient = factor(cancel(numerator / reach))
        return _changing_sign(quotient)


def _changing_sign(expression: Expr) -> Expr:
    """The numerator without its positive constant; the denominator has powers of s and s - 1."""
    constant, factors = factor_list(fraction(together(expression))[0])
    result: Expr = Integer(1)
    for base, power in factors:
        result *= base**power
    return result if constant > 0 else -result


def coherent_branch(kappa: Expr = symbols.kappa) -> CoherentBranch:
    """The coherent branch at T = 4 in units ``u = v = w = 1``, for symbolic or numeric κ ≥ 0.

    Raises:
        ValueError: for a negative κ.

    Example:
        >>> from theory import coherent_branch
        >>> coherent_branch(1).signal
        (4*s*(s - 1)**2 + 1)**2/(4*s*(s - 1))
    """
    kappa = sympify(kappa, rational=True)
    if kappa.is_nonnegative is False or not kappa.is_real:
        raise ValueError(f"kappa: is {kappa}; accepted: a number ≥ 0 or the symbol κ")
    s = symbols.s
    solution = solve_stationarity()
    odd = sqrt(solution.kernel[1, 2])
    kernel = dict(solution.kernel) | {(1, 2): odd, (2, 3): solution.kernel[2, 3] * odd}
    reach = kernel[3, 3] + kappa
    signal = solution.stress * reach**2
    functional = unit_free_energy()
    values = {symbols.kernel_entry(*times): value for times, value in kernel.items()}
    rational = factor(cancel(expand(together(functional.terms["trace"].subs(values)))))
    logarithm = simplified_logs(functional.terms["log_determinant"].subs(values))
    # ½λ/(H^{33}+κ) = ½μ(H^{33}+κ).
    energy = factor(solution.stress * kernel[3, 3] / 2)
    slope = sqrt(factor(cancel(kernel[2, 3] ** 2 / kernel[2, 2] ** 2)))
    return CoherentBranch(
        parameter=s,
        domain=Interval.open(2, oo),
        signal=signal,
        kernel=kernel,
        free_energy=factor(energy + rational) + solution.stress * kappa / 2 + logarithm,
        outlier=slope,
        second_eigenvalue=Integer(0),
        noise=kappa,
    )


@dataclass(frozen=True)
class StrongSignal(Typeset):
    """Leading terms for λ → ∞ on the coherent branch, in units ``u = v = w = 1``; independent of κ.

    Attributes:
        parameter: ``s ≃ (λ/4)^{1/4}``.
        kernel: the six entries; the order parameter is (2, 3).
        outlier: ``2^{1/4} λ^{1/8}``.
        free_energy: ``√2 λ^{1/4}``.
    """

    parameter: Expr
    kernel: Mapping[tuple[int, int], Expr]
    outlier: Expr
    free_energy: Expr

    def equations(self) -> Equations:
        """The leading terms."""
        entries = [(over_times("H", *times), value) for times, value in sorted(self.kernel.items())]
        rows = [("s", self.parameter), *entries, ("z_1", self.outlier), ("F", self.free_energy)]
        return [Row(left, value, relation=r"\simeq") for left, value in rows]


def strong_signal() -> StrongSignal:
    """Leading behaviour of kernel, outlier and F as λ → ∞, exact coefficients, from the parametrisation as s → ∞."""
    branch = coherent_branch()
    s, signal = branch.parameter, symbols.signal
    coefficient, degree = _leading(branch.signal, s)
    at_large_signal = (signal / coefficient) ** (1 / degree)

    def leading(expression: Expr) -> Expr:
        # Entries may hold a square root of a rational function: the leading term of the square has no root.
        top, power = _leading(expression**2, s)
        return sqrt(top) * at_large_signal ** (power / 2)

    algebraic = expand(branch.free_energy).replace(log, lambda _: Integer(0))
    return StrongSignal(
        parameter=at_large_signal,
        kernel=MappingProxyType({times: leading(value) for times, value in branch.kernel.items()}),
        outlier=leading(branch.outlier),
        free_energy=leading(algebraic),
    )


def _leading(expression: Expr, parameter: Symbol) -> tuple[Expr, Rational]:
    """``(a, k)`` with ``expression ≃ a·parameter^k`` at infinity, for a rational function."""
    top, bottom = (Poly(part, parameter) for part in fraction(cancel(together(expression))))
    return cancel(top.LC() / bottom.LC()), Rational(top.degree() - bottom.degree())


def critical_amplitude(branch: CoherentBranch) -> Expr:
    """``A`` in ``(H^{23})² = A(λ - λ_c) + …`` from the parametrisation at s = 2, ``1024/((8+κ)(56-3κ))``."""
    s = branch.parameter
    rise = diff(expand(branch.kernel[2, 3] ** 2), s).subs(s, 2)
    return factor(rise / diff(branch.signal, s).subs(s, 2))
