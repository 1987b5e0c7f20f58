"""Lyapunov–Schmidt reduction of the free energy at the critical point of endpoint supervision, exactly.

See docs/theory.md section 5.

Units ``u = v = w = 1``. Around the incoherent branch write ``H = D^{1/2} M D^{1/2}``, ``D = diag(r^t)``; then

``2F = λ/(r^n M_{nn} + κ) + r (M_{11} + tr[M_{2…n} (M_{1…n-1})⁻¹]) - ln(|M|/|M_{1…n-1}|) + const(r)``,

and the incoherent branch is ``M = 1`` for every r. The amplitude of the critical mode is ``α = M_{n,n-1}``. All other
entries are slaved: they are found as power series in α, order by order, from stationarity, by linear algebra over the
field of the coefficients (the rationals, or rational functions of κ). ``W → -W`` flips the entries of odd lag, so
these are odd in α and the entries of even lag are even.

Two series are used. At the critical point itself, holding α and r, the one equation left over is the derivative of
the Landau free energy. Along the branch that equation is satisfied too, by the series of r in α², hence of λ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sympy import Domain, Expr, Float, Rational, construct_domain, factor, sympify
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.display import Equations, Typeset
from theory.kernel import require_horizon
from theory.power_series import (
    MatrixSeries,
    Series,
    invert,
    multiply,
    scalar_divide,
    scalar_multiply,
    scalar_power,
    scale,
)

#: Highest power of α kept: the third Landau coefficient needs α⁵ in the gradient.
ORDER = 5


@dataclass(frozen=True)
class LandauExpansion(Typeset):
    """The reduced free energy and the branch at the critical point, exact, in units ``u = v = w = 1``.

    Reduced free energy ``F = F₀ + ½ a (r - r_c) α² + ¼ b α⁴ + ⅙ c α⁶ + …`` with ``α = H^{n,n-1}/r^{n-1/2}``, where r is
    the growth ratio of the incoherent branch at the same λ; ``b`` and ``c`` at ``r = r_c``.
    The branch: ``λ - λ_c = p α² + q α⁴ + …`` and ``(H^{n,n-1})² = s α² (1 + t α²) + …``.

    Attributes:
        T: index of the last output, ≥ 4.
        kappa: κ, a number or the symbol.
        ratio: ``r_c = (T-2)/(T-3)``.
        quadratic_slope: ``a``, negative.
        quartic: ``b``. Its sign decides between a continuous and a discontinuous transition.
        sextic: ``c``.
        signal_coefficients: ``(p, q)``.
        order_parameter_coefficients: ``(s, t)``.
    """

    T: int
    kappa: Expr
    ratio: Rational
    quadratic_slope: Expr
    quartic: Expr
    sextic: Expr
    signal_coefficients: tuple[Expr, Expr]
    order_parameter_coefficients: tuple[Expr, Expr]

    def equations(self) -> Equations:
        """The reduced free energy's coefficients, and the ratio at which the quadratic one vanishes."""
        return (("r_c", self.ratio), ("a", self.quadratic_slope), ("b", self.quartic), ("c", self.sextic))

    def amplitudes(self) -> tuple[Expr, Expr]:
        """``(A, B)`` in ``(H^{n,n-1})² = A (λ-λ_c) + B (λ-λ_c)² + …``.

        Raises:
            ValueError: where ``p = 0``, so that the order parameter is no power series in ``λ - λ_c``.
        """
        p, q = self.signal_coefficients
        s, t = self.order_parameter_coefficients
        if p == 0:
            raise ValueError("kappa: is tricritical, the quartic coefficient vanishes; accepted: any other κ ≥ 0")
        return factor(s / p), factor(s * (t * p - q) / p**3)


def _place(matrix: DomainMatrix, size: int, offset: int) -> DomainMatrix:
    """``matrix`` as a block of a ``size × size`` matrix of zeros, its corner moved ``offset`` down the diagonal."""
    entries = {(i + offset, j + offset): value for (i, j), value in matrix.to_dok().items()}
    return DomainMatrix.from_dok(entries, (size, size), matrix.domain)


def _unit(size: int, entries: dict[tuple[int, int], Any], domain: Domain) -> DomainMatrix:
    return DomainMatrix.from_dok(entries, (size, size), domain)


@dataclass(frozen=True)
class _Reduction:
    """Stationarity of ``2F`` in M as power series in α, over one field."""

    n: int
    ratio: Any
    kappa: Any
    domain: Domain

    def energy_slope(self, corner: Series, ratio: Series) -> Series:
        """``∂/∂M_{nn}`` of the energy, with λ eliminated: ``-(r-1)(r^n+κ)²/(r^n M_{nn}+κ)²``."""
        zero, one = self.domain.zero, self.domain.one
        noise = [self.kappa] + [zero] * (len(ratio) - 1)
        growth = scalar_power(ratio, self.n)
        bare = [a + b for a, b in zip(growth, noise, strict=True)]
        dressed = [a + b for a, b in zip(scalar_multiply(growth, corner), noise, strict=True)]
        quotient = scalar_divide(bare, dressed)
        cost = [one - ratio[0]] + [-x for x in ratio[1:]]
        return scalar_multiply(cost, scalar_multiply(quotient, quotient))

    def gradient(self, M: MatrixSeries, ratio: Series) -> MatrixSeries:
        """``∂(2F)/∂M`` as a symmetric matrix (the entry and its transpose counted as one place each)."""
        n, K = self.n, self.domain
        earlier = [m.extract(range(n - 1), range(n - 1)) for m in M]
        later = [m.extract(range(1, n), range(1, n)) for m in M]
        inverse = invert(earlier)
        propagated = multiply(multiply(inverse, later), inverse)
        corner = [m[n - 1, n - 1].element for m in M]
        slope = self.energy_slope(corner, ratio)
        first = _unit(n, {(0, 0): K.one}, K)
        transfer = [_place(a, n, 1) - _place(b, n, 0) for a, b in zip(inverse, propagated, strict=True)]
        transfer[0] = transfer[0] + first
        transfer = scale(ratio, transfer)
        whole = invert(M)
        return [
            _unit(n, {(n - 1, n - 1): e}, K) + x - y + _place(z, n, 0)
            for e, x, y, z in zip(slope, transfer, whole, inverse, strict=True)
        ]

    def linear_part(self, direction: DomainMatrix) -> DomainMatrix:
        """The first-order response of the gradient to ``M = 1 + α · direction``."""
        one = DomainMatrix.eye(self.n, self.domain).to_sparse()
        zero = self.domain.zero
        return self.gradient([one, direction], [self.ratio, zero])[1]

    @cached_property
    def sectors(self) -> tuple[DomainMatrix, ...]:
        """The linear response within each lag."""
        return tuple(self._sector(lag) for lag in range(self.n))

    def _sector(self, lag: int) -> DomainMatrix:
        """The linear response restricted to entries of one lag, ``(n-lag) × (n-lag)``."""
        size, n, K = self.n - lag, self.n, self.domain
        entries = {}
        for s in range(size):
            response = self.linear_part(_unit(n, {(s, s + lag): K.one, (s + lag, s): K.one}, K))
            for t in range(size):
                value = response[t, t + lag].element
                if value:
                    entries[t, s] = value
        return DomainMatrix.from_dok(entries, (size, size), K)

    def lag(self, matrix: DomainMatrix, lag: int) -> list[Any]:
        """The entries ``(t, t+lag)`` of a matrix."""
        return [matrix[t, t + lag].element for t in range(self.n - lag)]

    def embed(self, values: list[Any], lag: int) -> DomainMatrix:
        """The symmetric matrix with the given entries at one lag."""
        entries = {}
        for t, value in enumerate(values):
            if value:
                entries[t, t + lag] = entries[t + lag, t] = value
        return _unit(self.n, entries, self.domain)

    def solve(self, matrix: DomainMatrix, right: list[Any]) -> list[Any]:
        """Solution of a square linear system over the field."""
        column = DomainMatrix([[x] for x in right], (len(right), 1), self.domain)
        return [x[0] for x in matrix.to_dense().lu_solve(column).to_list()]

    def critical_mode(self) -> list[Any]:
        """The null vector of the lag-1 sector, its last entry 1."""
        sector = self.sectors[1]
        m = self.n - 1
        inner = sector.extract(range(m - 1), range(m - 1))
        mode = [*self.solve(inner, [-sector[t, m - 1].element for t in range(m - 1)]), self.domain.one]
        last = sum((sector[m - 1, t].element * mode[t] for t in range(m)), self.domain.zero)
        if last:
            raise ArithmeticError("the lag-1 sector is not singular at r = (T-2)/(T-3)")
        return mode

    def even_order(self, residual: DomainMatrix) -> DomainMatrix:
        """The slaved entries of even lag that cancel a residual."""
        total = DomainMatrix.zeros((self.n, self.n), self.domain)
        for lag in range(0, self.n, 2):
            right = [-x for x in self.lag(residual, lag)]
            if any(right):
                total = total + self.embed(self.solve(self.sectors[lag], right), lag)
        return total

    def odd_order(self, residual: DomainMatrix, extra: list[Any]) -> tuple[DomainMatrix, Any]:
        """The slaved entries of odd lag, α held, and the multiplier of ``extra`` that cancel a residual.

        ``extra`` multiplies one more unknown in the lag-1 equations; it replaces the column of ``M_{n,n-1} = α``.
        """
        K, m = self.domain, self.n - 1
        bordered = dict(self.sectors[1].extract(range(m), range(m - 1)).to_dok())
        bordered.update({(t, m - 1): x for t, x in enumerate(extra) if x})
        matrix = DomainMatrix.from_dok(bordered, (m, m), K)
        *slaved, multiplier = self.solve(matrix, [-x for x in self.lag(residual, 1)])
        total = self.embed([*slaved, K.zero], 1)
        for lag in range(3, self.n, 2):
            right = [-x for x in self.lag(residual, lag)]
            if any(right):
                total = total + self.embed(self.solve(self.sectors[lag], right), lag)
        return total, multiplier

    def expand(self, mode: list[Any], *, along_branch: bool) -> tuple[MatrixSeries, Series, Series]:
        """``M`` and r as series in α, and the gradient left over in the entry α.

        Along the branch r is a series in α² and nothing is left over; at fixed ``r = r_c`` the leftover is the
        derivative of the reduced free energy.
        """
        K, n = self.domain, self.n
        zeros = DomainMatrix.zeros((n, n), K)
        M = [DomainMatrix.eye(n, K).to_sparse(), self.embed(mode, 1)] + [zeros] * (ORDER - 1)
        ratio = [self.ratio] + [K.zero] * ORDER
        leftover = [K.zero] * (ORDER + 1)
        unfolding = self.unfolding(mode)
        unit = [K.zero] * (n - 2) + [-K.one]
        for k in range(2, ORDER + 1):
            residual = self.gradient(M[: k + 1], ratio[: k + 1])[k]
            if k % 2 == 0:
                M[k] = self.even_order(residual)
            else:
                M[k], multiplier = self.odd_order(residual, unfolding if along_branch else unit)
                if along_branch:
                    ratio[k - 1] = multiplier
                else:
                    leftover[k] = multiplier
        return M, ratio, leftover

    def unfolding(self, mode: list[Any]) -> list[Any]:
        """``∂/∂r`` of the lag-1 response to the critical mode; that response is linear in r."""
        moved = _Reduction(self.n, self.ratio + self.domain.one, self.kappa, self.domain)
        return self.lag(moved.linear_part(moved.embed(mode, 1)), 1)


def require_noise(kappa: Any) -> Expr:
    """κ as an exact number ≥ 0, or the symbol ``theory.symbols.kappa``.

    Raises:
        ValueError: one line, for anything else; floating-point numbers are not exact.
    """
    value = sympify(kappa)
    if value == symbols.kappa:
        return value
    if not value.is_number or value.has(Float) or not value.is_nonnegative or not value.is_finite:
        raise ValueError(f"kappa: is {kappa}; accepted: an exact number ≥ 0 such as 1/2, or the symbol kappa")
    return value


def landau_expansion(T: int, kappa: Expr = symbols.kappa) -> LandauExpansion:
    """The Landau expansion at the critical point of the RNN, units ``u = v = w = 1``.

    Args:
        T: index of the last output, an integer ≥ 4.
        kappa: an exact number ≥ 0, or ``theory.symbols.kappa``.

    Raises:
        ValueError: for T below 4 or an inexact or negative κ.
    """
    require_horizon(T, 4)
    noise = require_noise(kappa)
    domain, (kappa_element, ratio) = construct_domain(
        [noise, Rational(T - 2, T - 3)], field=True, extension=True if noise.is_number else None
    )
    reduction = _Reduction(T - 1, ratio, kappa_element, domain)
    mode = reduction.critical_mode()
    _, _, leftover = reduction.expand(mode, along_branch=False)
    _, ratios, _ = reduction.expand(mode, along_branch=True)
    signal = signal_series(T, ratios, kappa_element, domain)
    unfolding = reduction.unfolding(mode)
    slope = sum((x * y for x, y in zip(mode, unfolding, strict=True)), domain.zero)
    if slope * ratios[2] + leftover[3] != domain.zero:
        raise ArithmeticError("the two series disagree: the reduced free energy is not stationary on the branch")
    size = scalar_power(ratios, 2 * T - 3)

    def expression(element: Any) -> Expr:
        return factor(domain.to_sympy(element))

    return LandauExpansion(
        T=T,
        kappa=noise,
        ratio=Rational(T - 2, T - 3),
        quadratic_slope=expression(slope),
        quartic=expression(leftover[3]),
        sextic=expression(leftover[5]),
        signal_coefficients=(expression(signal[2]), expression(signal[4])),
        order_parameter_coefficients=(expression(size[0]), expression(size[2] / size[0])),
    )


def signal_series(T: int, ratio: Series, kappa: Any, domain: Domain) -> Series:
    """λ along the branch, from ``λ = (r-1)(r^n+κ)²/r^n`` and the series of r."""
    growth = scalar_power(ratio, T - 1)
    noisy = [growth[0] + kappa, *growth[1:]]
    excess = [ratio[0] - domain.one, *ratio[1:]]
    return scalar_divide(scalar_multiply(excess, scalar_multiply(noisy, noisy)), growth)
