"""Fluctuations of the kernel at finite width N: covariance ``(∂²F)⁻¹/N`` and the shift of its mean, of order 1/N.

See docs/theory.md section 13.

Endpoint supervision, one pattern, linear activation, ``N ≥ n``. The density of the kernel is exact,

``-ln P(H|y) = N F(H) + A(H) + const``, ``A = ½ ln(v H^{nn} + κ) + ½(n+1) ln|H|``:

the neurons' trajectories are independent Gaussian rows given C[H], whose Gram matrix ``H = hᵀh/N`` has the Wishart
Jacobian ``|H|^{(N-n-1)/2}``, and the read-out ``V h^n ~ N(0, v H^{nn}/N)`` with noise ``κ/N`` has the normalisation
``|v H^{nn} + κ|^{-1/2}``. A saddle-point expansion in the independent entries of H gives, with ``S = (∂²F)⁻¹``,

``N Cov(H_i, H_j) → S_ij``, ``N(⟨H_i⟩ - H_i*) → -S_ij (∂_j A + ½ F_jkl S_kl)``.

An entry ``H^{ts}``, ``t ≠ s``, is one variable. All functions return N times covariance or shift; ``u = v = w = 1``
unless stated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sympy import (
    QQ,
    Dummy,
    Expr,
    ImmutableMatrix,
    Integer,
    Poly,
    Rational,
    S,
    Symbol,
    cancel,
    diff,
    factor,
    fraction,
    log,
    simplify,
    sympify,
)
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.claims import assert_zero
from theory.coherent_branch import CoherentBranch
from theory.coherent_hessian import evaluate_in_field, parity_field, scaled_hessian
from theory.free_energy import FreeEnergy, endpoint_free_energy
from theory.incoherent import incoherent_branch
from theory.kernel import normalised_noise
from theory.stability import LagSector, lag_sector


def sector_inverse(sector: LagSector, earlier: Expr, later: Expr) -> Expr:
    """``(L_l⁻¹)_{ts}`` for ``t = earlier ≤ later = s``, for symbolic n.

    RNN: ``t/r · (1 - s (d-r)/(m(d-r) + r))`` with d the last diagonal element. Off the diagonal the inverse is
    linear in each index (``L`` is r times a discrete Laplacian), zero at t = 0, and ``d y_m = r y_{m-1}`` at the end.
    DNN: ``L`` is diagonal.
    """
    t, s = sympify(earlier), sympify(later)
    if sector.off_diagonal == 0:
        return (1 if t == s else 0) / sector.diagonal
    r, excess = symbols.r, sector.last - symbols.r
    return t / r * (1 - s * excess / (sector.size * excess + r))


def assert_sector_inverse(sector: LagSector) -> None:
    """Prove ``L L⁻¹ = 1`` for symbolic t, s and m: interior rows before, on and after the column, and the last row.

    Raises:
        ArithmeticError: if an element is off.
    """
    t, s, m = symbols.t, symbols.s, sector.size

    def inverse(row: Expr, column: Expr, row_first: bool) -> Expr:
        return sector_inverse(sector, *((row, column) if row_first else (column, row)))

    def row_product(row: Expr, column: Expr, order: tuple[bool, bool, bool], last: bool) -> Expr:
        total = sector.off_diagonal * inverse(row - 1, column, order[0])
        if last:
            return total + sector.last * inverse(row, column, order[1])
        return (
            total
            + sector.diagonal * inverse(row, column, order[1])
            + sector.off_diagonal * inverse(row + 1, column, order[2])
        )

    claims = {
        "boundary at 0": inverse(Integer(0), s, True),
        "row before the column": row_product(t, s, (True, True, True), False),
        "row on the column": row_product(t, t, (True, True, False), False) - 1,
        "row after the column": row_product(t, s, (False, False, False), False),
        "last row": row_product(m, s, (False, False, True), True),
        "last row and column": row_product(m, m, (True, True, True), True) - 1,
    }
    assert_zero(claims)


def incoherent_covariance(
    t: Expr, s: Expr, lag: int | Symbol = symbols.lag, T: int | Symbol = symbols.T, arch: str = "rnn"
) -> Expr:
    """``N Cov(H^{t,t+l}, H^{s,s+l})`` on the incoherent branch, ``1 ≤ t ≤ s ≤ n-l``, any u, v, w; r the parameter.

    Entries of different lag are uncorrelated. For l ≥ 1, with ``m = n - l``,

    ``u² w^{t+s+l-2} r^{t+s+l-1} t [1 + s(r-1)/(m - (m-1)r)]`` (RNN), ``u² w^{2t+l-2} r^{2t+l} δ_{ts}`` (DNN),

    and for l = 0, with ``ζ = r^n/(r^n+κ̂)``, ``e = 1 - r + 2(r-1)ζ``, ``κ̂ = κ/(v w^{n-1} u)``, for both

    ``2 u² w^{t+s-2} r^{t+s-1} t [1 - s e/(n e + r)]``.

    Args:
        t: earlier starting time, a number or an expression.
        s: later starting time.
        lag: an integer, or ``theory.symbols.lag`` for any lag ≥ 1.
        T: an integer ≥ 3, or ``theory.symbols.T``.
        arch: ``"rnn"`` or ``"dnn"``.

    Raises:
        ValueError: if the order or the range of the times is wrong, or T, lag or arch.
    """
    t, s = sympify(t), sympify(s)
    sector = lag_sector(T, lag, arch, normalised_noise(T))
    for name, low, high in (("t", Integer(1), t), ("s", t, s), ("s", s, sector.size)):
        if (high - low).is_negative:
            raise ValueError(f"{name}: times {t} and {s} at lag {lag}; accepted: 1 ≤ t ≤ s ≤ {sector.size}")
    scale = symbols.u**2 * symbols.w ** (t + s + lag - 2) * symbols.r ** (t + s + lag)
    return (2 if lag == 0 else 1) * scale * sector_inverse(sector, t, s)


def incoherent_covariance_matrix(T: int, arch: str = "rnn") -> ImmutableMatrix:
    """``N Cov`` of all independent entries on the incoherent branch, in the order of ``FreeEnergy.variables``.

    Raises:
        ValueError: if T is no integer ≥ 3, or for an unknown architecture.
    """
    incoherent_branch(T).kernel()  # refuses a symbolic T
    pairs = [(t, s) for t in range(1, T) for s in range(t, T)]

    def element(i: int, j: int) -> Expr:
        (t, t2), (s, s2) = sorted((pairs[i], pairs[j]))
        return incoherent_covariance(t, s, t2 - t, T, arch) if t2 - t == s2 - s else Integer(0)

    return ImmutableMatrix(len(pairs), len(pairs), element)


def _inverse(matrix: ImmutableMatrix) -> ImmutableMatrix:
    """Exact inverse over the field of rational functions, factored."""
    return ImmutableMatrix(DomainMatrix.from_Matrix(matrix).to_field().inv().to_Matrix().applyfunc(factor))


def coherent_covariance(branch: CoherentBranch) -> ImmutableMatrix:
    """``N Cov`` of the entries 11, 12, 13, 22, 23, 33 on the coherent branch at T = 4, in s and κ.

    ``S = D (D ∂²F D)⁻¹ D`` with the rational matrix of ``scaled_hessian``. A covariance only where the branch is stable
    (``branch.stability() > 0``); it diverges at the critical point s = 2 and at the fold.
    """
    scales, scaled = scaled_hessian(branch)
    return ImmutableMatrix((scales * _inverse(scaled) * scales).applyfunc(factor))


@dataclass(frozen=True)
class Divergence:
    """``N Var(H^{n,n-1}) ≃ amplitude · |λ - λ_c|^{-exponent}``, units ``u = v = w = 1``.

    Attributes:
        exponent: on both sides.
        below: amplitude on the incoherent branch.
        above: amplitude on the coherent branch at T = 4, of ``1/(λ - λ_c)``; None for other T. Half of ``below``
            where the transition is not tricritical, a quarter at κ = 56/3. For κ > 56/3 the branch leaves towards
            λ < λ_c, where its variance is negative: it is unstable there.
    """

    exponent: Expr
    below: Expr
    above: Expr | None


def order_parameter_variance(T: int | Symbol = symbols.T) -> Expr:
    """``N Var(H^{n-1,n}) = (n-1) r^{2n-1}/((n-1) - (n-2)r)`` on the incoherent branch, ``u = v = w = 1``."""
    n = T - 1
    variance = incoherent_covariance(n - 1, n - 1, 1, T)
    return factor(simplify(variance.subs({symbols.u: 1, symbols.w: 1})))


def divergence(T: int | Symbol, branch: CoherentBranch | None = None) -> Divergence:
    """How the order parameter's variance diverges at ``r_c = (n-1)/(n-2)``: exponent 1 on both sides.

    Below: ``(n-1) r_c^{2n-1}/(n-2) · λ'(r_c)`` from the simple zero of the variance's denominator, with
    ``λ' = (h+κ)[h + κ + n(r-1)(h-κ)/r]/h``, ``h = r^n``. Above, for T = 4: from the coherent branch at s → 2.

    Raises:
        ValueError: for T = 3, which has no transition, or for a branch with T ≠ 4.
    """
    if T == 3:
        raise ValueError("T: is 3, without a transition; accepted: ≥ 4")
    if branch is not None and T != 4:
        raise ValueError(f"T: is {T}; accepted: 4, where the coherent branch is known in closed form")
    r, n = symbols.r, T - 1
    kappa = symbols.kappa if branch is None else branch.noise
    critical = (n - 1) / sympify(n - 2)
    h = Dummy("h", positive=True)
    signal = (r - 1) * (h + kappa) ** 2 / h
    slope = factor((diff(signal, r) + diff(signal, h) * n * h / r).subs(r, critical))
    regular = (n - 1) * r ** (2 * n - 1)
    if simplify(order_parameter_variance(T) * ((n - 1) - (n - 2) * r) - regular) != 0:
        raise ArithmeticError("the variance has not the pole that is claimed")
    below = regular.subs(r, critical) / (n - 2) * slope.subs(h, critical**n)
    if branch is None:
        return Divergence(exponent=Integer(1), below=below, above=None)
    s = branch.parameter
    variance, pole = _leading_at(coherent_covariance(branch)[4, 4], s, Integer(2))
    distance, order = _leading_at(branch.signal - branch.signal.subs(s, 2), s, Integer(2))
    if pole != -order:
        raise ArithmeticError(f"the variance has a pole of order {-pole}, the signal a zero of order {order}")
    return Divergence(exponent=Integer(1), below=factor(below), above=factor(variance * distance))


def _leading_at(expression: Expr, parameter: Symbol, point: Expr) -> tuple[Expr, int]:
    """``(a, k)`` with ``expression ≃ a (parameter - point)^k`` at the point, for a rational function."""
    parts = []
    for part in fraction(cancel(expression)):
        coefficients = Poly(part.subs(parameter, parameter + point), parameter).all_coeffs()[::-1]
        order = next(k for k, value in enumerate(coefficients) if simplify(value) != 0)
        parts.append((coefficients[order], order))
    (top, up), (bottom, down) = parts
    return cancel(top / bottom), up - down


def subleading_action(functional: FreeEnergy, kappa: Expr) -> Expr:
    """``A(H) = ½ ln(H^{nn} + κ) + ½(n+1) ln|H|``, the part of ``-ln P(H|y)`` of order N⁰, at ``v = 1``."""
    n = functional.kernel.shape[0]
    determinant = functional.kernel.det(method="berkowitz")
    return S.Half * log(functional.kernel[n - 1, n - 1] + kappa) + Rational(n + 1, 2) * log(determinant)


def _mean_shift(
    functional: FreeEnergy,
    kappa: Expr,
    scales: tuple[Expr, ...],
    evaluate: Callable[[Expr, Expr], Any],
    field: Any,
) -> ImmutableMatrix:
    """``-S_ij (∂_j A + ½ F_jkl S_kl)`` in the coordinates ``H_i/scales_i``, every derivative entrywise and exact.

    ``evaluate(weight, expression)`` gives an element of the field.
    """
    variables = functional.variables
    size = len(variables)
    pairs = [(k, j) for k in range(size) for j in range(k, size)]
    hessian = functional.hessian()
    action = subleading_action(functional, kappa)
    second = {(k, j): evaluate(scales[k] * scales[j], hessian[k, j]) for k, j in pairs}
    rows = [[second[min(i, j), max(i, j)] for j in range(size)] for i in range(size)]
    covariance = DomainMatrix(rows, (size, size), field).inv()
    weights = covariance.to_list()
    force = []
    for i, x in enumerate(variables):
        total = evaluate(scales[i], diff(action, x))
        for k, j in pairs:
            if weights[k][j]:
                third = evaluate(scales[i] * scales[k] * scales[j], diff(hessian[k, j], x))
                total += third * weights[k][j] / (2 if k == j else 1)
        force.append([total])
    shift = covariance * DomainMatrix(force, (size, 1), field)
    return ImmutableMatrix([factor(-field.to_sympy(row[0])) for row in shift.to_list()])


@lru_cache
def incoherent_mean_shift(T: int, kappa: Expr = symbols.kappa) -> Mapping[tuple[int, int], Expr]:
    """``N(⟨H^{ts}⟩ - H^{ts}*)`` on the RNN's incoherent branch, ``u = v = w = 1``, in r and κ, by the two times.

    Not zero off the diagonal at even lags: the symmetry ``W → -W`` forbids it at odd lags only. At r = 1 and κ → ∞ it
    is the prior's ``⟨H⟩ - 1`` at order 1/N.

    Raises:
        ValueError: if T is no integer ≥ 3, or for a negative κ.
    """
    kappa = sympify(kappa, rational=True)
    if kappa.is_nonnegative is False:
        raise ValueError(f"kappa: is {kappa}; accepted: a number ≥ 0 or the symbol κ")
    functional = endpoint_free_energy(T, "rnn").units().subs({symbols.kappa: kappa})
    r, n = symbols.r, T - 1
    field = QQ.frac_field(*sorted({r} | kappa.free_symbols, key=str))
    point = dict.fromkeys(functional.variables, field.zero)
    point |= {symbols.kernel_entry(t, t): field.from_sympy(r**t) for t in range(1, n + 1)}
    point[symbols.signal] = field.from_sympy((r - 1) * (r**n + kappa) ** 2 / r**n)

    def evaluate(weight: Expr, expression: Expr) -> Any:
        return evaluate_in_field(weight * expression, field, point)

    shift = _mean_shift(functional, kappa, (Integer(1),) * len(functional.variables), evaluate, field)
    return _by_times(n, shift)


def coherent_mean_shift(branch: CoherentBranch) -> Mapping[tuple[int, int], Expr]:
    """``N(⟨H^{ts}⟩ - H^{ts}*)`` on the coherent branch at T = 4, in s and κ, in the state with ``H^{12} > 0``."""
    parity = parity_field(branch)
    scaled = _mean_shift(parity.functional, branch.noise, parity.scales, parity.evaluate, parity.result)
    return _by_times(branch.kernel_matrix().shape[0], ImmutableMatrix(parity.true_scales() * scaled))


def _by_times(n: int, column: ImmutableMatrix) -> Mapping[tuple[int, int], Expr]:
    pairs = [(t, s) for t in range(1, n + 1) for s in range(t, n + 1)]
    return MappingProxyType(dict(zip(pairs, column, strict=True)))
