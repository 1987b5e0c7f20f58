"""The complete temporally coherent branch at T = 4: linear network, endpoint supervision, any sharing of the two W.

See docs/theory.md sections 5 and 10. After scaling (``theory.sharing``) the sharing matrix has one entry, the
correlation ρ of the two W: 1 for the RNN. In units ``u = v = w = 1``, with ``s = H^{11} > (1+ρ)/ρ`` as parameter,

``H^{22} = (1+ρ)s(s-1)``, ``H^{33} = (1+ρ)²s(s-1)²``, ``(H^{12})² = (1+ρ)s(s-1)(s-(1+ρ)/ρ)``, ``H^{23} = (1+ρ)s
H^{12}``, ``H^{13} = (1+ρ)s(s-(1+ρ)/ρ)``, ``λ = (H^{33}+κ)²/((1+ρ)²s(s-1))``,

and every positive definite stationary kernel with ``H^{12} ≠ 0`` is of this form (``theory.coherent_elimination``). At
``s = (1+ρ)/ρ`` the branch leaves the incoherent one. λ(s) has a fold where ``κ = (1+ρ)²s(s-1)²(4s-1)/(2s-1)``, which
rises with s from the tricritical κ: one fold for stronger noise, none for weaker. In other units ``H^{ts}`` is
``u w^{(t+s)/2-1}`` times as large, W's outlier √w times, λ and F are the same, and κ is what
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
    fraction,
    log,
    oo,
    sqrt,
    together,
)

from theory import symbols
from theory.display import Equations, Typeset
from theory.kernel import exact, require_noise
from theory.typesetting import Row, over_times

#: Index of the last output, and number of hidden times.
HORIZON = 4
SIZE = HORIZON - 1


@dataclass(frozen=True)
class CoherentBranch(Typeset):
    """The branch in its parameter; ``H^{12}`` and ``H^{23}`` with the positive sign of the order parameter.

    The other sign, ``W → -W``, reverses ``H^{12}``, ``H^{23}`` and the outlier.

    Attributes:
        parameter: ``s = H^{11}/u``.
        start: ``(1+ρ)/ρ``, the critical point; the branch is ``s > start``.
        signal: ``λ(s)``.
        kernel: ``H^{ts}`` for ``1 ≤ t ≤ s ≤ 3``, by its two times.
        free_energy: ``F`` (zero on the prior's kernel at λ = 0).
        fold_noise: the κ at which λ(s) has a fold at this s.
        outlier: the one eigenvalue of either W that leaves the bulk, ``H^{23}/H^{22}``; the bulk's radius is √w.
        noise: κ.
    """

    parameter: Symbol
    start: Expr
    signal: Expr
    kernel: Mapping[tuple[int, int], Expr]
    free_energy: Expr
    fold_noise: Expr
    outlier: Expr
    noise: Expr

    def __post_init__(self) -> None:
        allowed = {self.parameter} | self.start.free_symbols | self.noise.free_symbols
        for expression in (self.signal, self.free_energy, self.outlier, *self.kernel.values()):
            if not expression.free_symbols <= allowed:
                raise ValueError(f"branch: {expression} is no function of {self.parameter}, ρ and κ alone")
        object.__setattr__(self, "kernel", MappingProxyType(dict(self.kernel)))

    @property
    def domain(self) -> Interval:
        """``s > start``."""
        return Interval.open(self.start, oo)

    def kernel_in(self, h: Symbol) -> dict[tuple[int, int], Expr]:
        """The kernel with h for ``H^{12}``, of which only the square is rational in s."""
        ratio = factor(self.kernel[2, 3] / self.kernel[1, 2])
        return dict(self.kernel) | {(1, 2): h, (2, 3): ratio * h}

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
        """``(1+ρ)²s(s-1)²(4s-1) - κ(2s-1)``, of the sign of ``dλ/ds``: the branch is stable where > 0.

        Without noise ``4s-1``, all that can change its sign. At ρ = 1 the zero is at s > 2 only if κ > 56/3: below
        that, λ grows all along the branch.
        """
        rise, fall = fraction(self.fold_noise)
        return 4 * self.parameter - 1 if self.noise == 0 else expand(rise - self.noise * fall)


def coherent_branch(kappa: Expr = symbols.kappa, rho: Expr = Integer(1)) -> CoherentBranch:  # noqa: B008
    """The coherent branch at T = 4 in units ``u = v = w = 1``, for the correlation ρ in (0, 1] of the two W.

    Args:
        kappa: an exact number ≥ 0, or the symbol.
        rho: an exact number, or the symbol; 1, the RNN, unless given.

    Raises:
        ValueError: for an inexact or negative κ, or another ρ.

    Example:
        >>> from theory import coherent_branch
        >>> coherent_branch(1).signal
        (4*s*(s - 1)**2 + 1)**2/(4*s*(s - 1))
    """
    s, noise, correlation = symbols.s, require_noise(kappa), exact(rho)
    if correlation is None or not (correlation.free_symbols or 0 < correlation <= 1):
        raise ValueError(f"rho: is {rho}; accepted: an exact number above 0, at most 1, or the symbol rho")
    rho = correlation
    start, scale = (1 + rho) / rho, (1 + rho) ** 2
    last, drive = scale * s * (s - 1) ** 2, scale * s * (s - 1)
    order_parameter = sqrt((1 + rho) * s * (s - 1) * (s - start))
    return CoherentBranch(
        parameter=s,
        start=start,
        signal=(last + noise) ** 2 / drive,
        kernel={
            (1, 1): s,
            (1, 2): order_parameter,
            (1, 3): (1 + rho) * s * (s - start),
            (2, 2): (1 + rho) * s * (s - 1),
            (2, 3): (1 + rho) * s * order_parameter,
            (3, 3): last,
        },
        free_energy=factor(2 * s - 2) + noise / (2 * drive) - log(scale * s / rho**2) / 2,
        fold_noise=scale * s * (s - 1) ** 2 * (4 * s - 1) / (2 * s - 1),
        outlier=sqrt((1 + rho) * s * (s - start) / (s - 1)),
        noise=noise,
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
