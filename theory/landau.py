"""Lyapunov–Schmidt reduction of the free energy at the critical point of endpoint supervision, exactly.

See docs/theory.md sections 5 (RNN) and 10 (any sharing matrix S).

Units ``u = v = w = 1``. Around the incoherent branch write ``H = D^{1/2} M D^{1/2}``, ``D = diag(r^t)``; then

``2F = λ/(r^n M_{nn} + κ) + r (M_{11} + tr[M_{2…n} G⁻¹]) - ln(|M|/|G|) + const(r)``, ``G = S∘M_{1…n-1}``,

and the incoherent branch is ``M = 1`` for every r. The critical mode has the one lag l of
``theory.sharing_stability`` (1 for the RNN), its amplitude is ``α = M_{t,t+l}`` at its last time (``M_{n-1,n}`` for
the RNN). All other entries are slaved: they are found as power series in α, order by order, from stationarity, by
linear algebra over the field of the coefficients (the rationals, algebraic numbers, or rational functions of κ).
Products of entries of the lags jl and kl have the lags (j±k)l, and the signs ``(-1)^⌊(t-1)/l⌋`` flip the entries of
odd multiples of l: these are odd in α, those of even multiples even, and entries of other lags vanish.

Two series are used. At the critical point itself, holding α and r, the one equation left over is the derivative of
the Landau free energy. Along the branch that equation is satisfied too, by the series of r in α², hence of λ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sympy import Domain, Expr, ImmutableMatrix, construct_domain, factor
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.display import Equations, Typeset
from theory.kernel import LONGEST_SUM, require_horizon, require_noise
from theory.power_series import (
    MatrixSeries,
    ScalarSeries,
    invert,
    multiply,
    scalar_divide,
    scalar_multiply,
    scalar_power,
    scale,
)
from theory.sharing import RNN, SharingFamily
from theory.sharing_stability import Instability, instability

#: Highest power of α kept: the third Landau coefficient needs α⁵ in the gradient.
ORDER = 5


@dataclass(frozen=True)
class LandauExpansion(Typeset):
    """The reduced free energy and the branch at the critical point, exact, in units ``u = v = w = 1``.

    Reduced free energy ``F = F₀ + ½ a (r - r_c) α² + ¼ b α⁴ + ⅙ c α⁶ + …`` with ``α = H^{t,t+l}/r^{t+l/2}``,
    (t, t+l) the place of the order parameter, where r is the growth ratio of the incoherent branch at the same λ; ``b``
    and ``c`` at ``r = r_c``. The branch: ``λ - λ_c = p α² + q α⁴ + …`` and ``(H^{t,t+l})² = s α² (1 + t α²) + …``.

    Attributes:
        T: index of the last output, ≥ 4.
        kappa: κ, a number or the symbol.
        place: ``(t, t+l)``; (n-1, n) for the RNN.
        ratio: ``r_c``; ``(T-2)/(T-3)`` for the RNN.
        quadratic_slope: ``a``, negative.
        quartic: ``b``. Its sign decides between a continuous and a discontinuous transition.
        sextic: ``c``.
        signal_coefficients: ``(p, q)``.
        order_parameter_coefficients: ``(s, t)``.
        expanded: ``(A, B)``; None where ``p = 0``.
    """

    T: int
    kappa: Expr
    place: tuple[int, int]
    ratio: Expr
    quadratic_slope: Expr
    quartic: Expr
    sextic: Expr
    signal_coefficients: tuple[Expr, Expr]
    order_parameter_coefficients: tuple[Expr, Expr]
    expanded: tuple[Expr, Expr] | None

    def equations(self) -> Equations:
        """The reduced free energy's coefficients, and the ratio at which the quadratic one vanishes."""
        return (("r_c", self.ratio), ("a", self.quadratic_slope), ("b", self.quartic), ("c", self.sextic))

    def amplitudes(self) -> tuple[Expr, Expr]:
        """``(A, B)`` in ``(H^{t,t+l})² = A (λ-λ_c) + B (λ-λ_c)² + …``.

        Raises:
            ValueError: where ``p = 0``, so that the order parameter is no power series in ``λ - λ_c``.
        """
        if self.expanded is None:
            raise ValueError("kappa: is tricritical, the quartic coefficient vanishes; accepted: any other κ ≥ 0")
        return self.expanded


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
    sharing: DomainMatrix
    #: Row and column of the order parameter, from 0.
    place: tuple[int, int]

    @property
    def step(self) -> int:
        """l, the lag of the critical mode."""
        return self.place[1] - self.place[0]

    def shared(self, matrices: MatrixSeries) -> MatrixSeries:
        """The entrywise product with the sharing matrix."""
        return [self.sharing.mul_elementwise(matrix) for matrix in matrices]

    def energy_slope(self, corner: ScalarSeries, ratio: ScalarSeries) -> ScalarSeries:
        """``∂/∂M_{nn}`` of the energy, with λ eliminated: ``-(r-1)(r^n+κ)²/(r^n M_{nn}+κ)²``."""
        zero, one = self.domain.zero, self.domain.one
        noise = [self.kappa] + [zero] * (len(ratio) - 1)
        growth = scalar_power(ratio, self.n)
        bare = [a + b for a, b in zip(growth, noise, strict=True)]
        dressed = [a + b for a, b in zip(scalar_multiply(growth, corner), noise, strict=True)]
        quotient = scalar_divide(bare, dressed)
        cost = [one - ratio[0]] + [-x for x in ratio[1:]]
        return scalar_multiply(cost, scalar_multiply(quotient, quotient))

    def gradient(self, M: MatrixSeries, ratio: ScalarSeries) -> MatrixSeries:
        """``∂(2F)/∂M`` as a symmetric matrix (the entry and its transpose counted as one place each)."""
        n, K = self.n, self.domain
        earlier = self.shared([m.extract(range(n - 1), range(n - 1)) for m in M])
        later = [m.extract(range(1, n), range(1, n)) for m in M]
        inverse = invert(earlier)
        propagated = multiply(multiply(inverse, later), inverse)
        corner = [m[n - 1, n - 1].element for m in M]
        slope = self.energy_slope(corner, ratio)
        first = _unit(n, {(0, 0): K.one}, K)
        transfer = [_place(a, n, 1) - _place(b, n, 0) for a, b in zip(inverse, self.shared(propagated), strict=True)]
        transfer[0] = transfer[0] + first
        transfer = scale(ratio, transfer)
        whole = invert(M)
        return [
            _unit(n, {(n - 1, n - 1): e}, K) + x - y + _place(z, n, 0)
            for e, x, y, z in zip(slope, transfer, whole, self.shared(inverse), strict=True)
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
        """The null vector of the sector of lag l, 1 at the order parameter's place and 0 at later times."""
        sector, m, at = self.sectors[self.step], self.n - self.step, self.place[0]
        inner = sector.extract(range(at), range(at))
        mode = [*self.solve(inner, [-sector[t, at].element for t in range(at)]), self.domain.one]
        mode += [self.domain.zero] * (m - at - 1)
        if any(sum((sector[s, t].element * mode[t] for t in range(m)), self.domain.zero) for s in range(m)):
            raise ArithmeticError("the sector of the critical lag is not singular at r_c")
        return mode

    def even_order(self, residual: DomainMatrix) -> DomainMatrix:
        """The slaved entries of even lag that cancel a residual."""
        total = DomainMatrix.zeros((self.n, self.n), self.domain)
        for lag in range(0, self.n, 2 * self.step):
            right = [-x for x in self.lag(residual, lag)]
            if any(right):
                total = total + self.embed(self.solve(self.sectors[lag], right), lag)
        return total

    def odd_order(self, residual: DomainMatrix, extra: list[Any]) -> tuple[DomainMatrix, Any]:
        """The slaved entries of odd lag, α held, and the multiplier of ``extra`` that cancel a residual.

        ``extra`` multiplies one more unknown in the equations of lag l; it replaces the column of α.
        """
        K, at, m = self.domain, self.place[0], self.n - self.step
        bordered = {(s, t): x for (s, t), x in self.sectors[self.step].to_dok().items() if t != at}
        bordered.update({(t, at): x for t, x in enumerate(extra) if x})
        matrix = DomainMatrix.from_dok(bordered, (m, m), K)
        slaved = self.solve(matrix, [-x for x in self.lag(residual, self.step)])
        multiplier, slaved[at] = slaved[at], K.zero
        total = self.embed(slaved, self.step)
        for lag in range(3 * self.step, self.n, 2 * self.step):
            right = [-x for x in self.lag(residual, lag)]
            if any(right):
                total = total + self.embed(self.solve(self.sectors[lag], right), lag)
        return total, multiplier

    def expand(self, mode: list[Any], *, along_branch: bool) -> tuple[MatrixSeries, ScalarSeries, ScalarSeries]:
        """``M`` and r as series in α, and the gradient left over in the entry α.

        Along the branch r is a series in α² and nothing is left over; at fixed ``r = r_c`` the leftover is the
        derivative of the reduced free energy.
        """
        K, n = self.domain, self.n
        zeros = DomainMatrix.zeros((n, n), K)
        M = [DomainMatrix.eye(n, K).to_sparse(), self.embed(mode, self.step)] + [zeros] * (ORDER - 1)
        ratio = [self.ratio] + [K.zero] * ORDER
        leftover = [K.zero] * (ORDER + 1)
        unfolding = self.unfolding(mode)
        unit = [-K.one if t == self.place[0] else K.zero for t in range(n - self.step)]
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
        """``∂/∂r`` of the response to the critical mode at its lag; that response is linear in r."""
        moved = replace(self, ratio=self.ratio + self.domain.one)
        return self.lag(moved.linear_part(moved.embed(mode, self.step)), self.step)


def landau_expansion(T: int, kappa: Expr = symbols.kappa, arch: SharingFamily = RNN) -> LandauExpansion:
    """The Landau expansion at the critical point, units ``u = v = w = 1``.

    Args:
        T: index of the last output, an integer ≥ 4.
        kappa: an exact number ≥ 0, or ``theory.symbols.kappa`` where ``r_c`` is rational.
        arch: of rational parameter.

    Raises:
        ValueError: for T below 4 or beyond `LONGEST_SUM`, an inexact or negative κ, or an architecture without a
            critical point.
    """
    require_horizon(T, 4, LONGEST_SUM)
    noise = require_noise(kappa)
    M = arch.matrix(T - 1)
    found = instability(M)
    if found is None:
        raise ValueError(
            f"arch: is {arch}, in which coherence never grows at T = {T}; accepted: one with tied matrices"
        )
    return expansion_at(T, noise, M, found)


def expansion_at(T: int, noise: Expr, M: ImmutableMatrix, found: Instability) -> LandauExpansion:
    """The expansion for a rational sharing matrix of unit diagonal, from its instability.

    Raises:
        ValueError: where several modes turn unstable together, or r_c is irrational and κ a symbol.
    """
    if found.degeneracy > 1:
        raise ValueError(f"M: has {found.degeneracy} modes that turn unstable together; accepted: one mode")
    if not (found.eigenvalue.is_Rational or noise.is_number):
        raise ValueError("kappa: is a symbol where r_c is irrational; accepted: an exact number ≥ 0")
    domain, (kappa_element, eigenvalue, *entries) = construct_domain(
        [noise, found.eigenvalue, *M], field=True, extension=True if noise.is_number else None
    )
    ratio = eigenvalue / (eigenvalue - domain.one)
    place = (found.times[1] - 1, found.times[1] - 1 + found.lag)
    shared = DomainMatrix.from_list_flat(entries, M.shape, domain).to_sparse()
    reduction = _Reduction(T - 1, ratio, kappa_element, domain, shared, place)
    mode = reduction.critical_mode()
    _, _, leftover = reduction.expand(mode, along_branch=False)
    _, ratios, _ = reduction.expand(mode, along_branch=True)
    signal = signal_series(T, ratios, kappa_element, domain)
    unfolding = reduction.unfolding(mode)
    slope = sum((x * y for x, y in zip(mode, unfolding, strict=True)), domain.zero)
    if slope * ratios[2] + leftover[3] != domain.zero:
        raise ArithmeticError("the two series disagree: the reduced free energy is not stationary on the branch")
    # (H^{t,t+l})² = (H^{tt} H^{t+l,t+l}) α², r^{2t+l} with t from 1
    size = scalar_power(ratios, sum(place) + 2)

    first, second, stretch = signal[2], signal[4], size[2] / size[0]

    def expression(element: Any) -> Expr:
        return factor(domain.to_sympy(element))

    return LandauExpansion(
        T=T,
        kappa=noise,
        place=(place[0] + 1, place[1] + 1),
        ratio=expression(ratio),
        quadratic_slope=expression(slope),
        quartic=expression(leftover[3]),
        sextic=expression(leftover[5]),
        signal_coefficients=(expression(first), expression(second)),
        order_parameter_coefficients=(expression(size[0]), expression(stretch)),
        expanded=(
            (expression(size[0] / first), expression(size[0] * (stretch * first - second) / first**3))
            if first
            else None
        ),
    )


def signal_series(T: int, ratio: ScalarSeries, kappa: Any, domain: Domain) -> ScalarSeries:
    """λ along the branch, from ``λ = (r-1)(r^n+κ)²/r^n`` and the series of r."""
    growth = scalar_power(ratio, T - 1)
    noisy = [growth[0] + kappa, *growth[1:]]
    excess = [ratio[0] - domain.one, *ratio[1:]]
    return scalar_divide(scalar_multiply(excess, scalar_multiply(noisy, noisy)), growth)
