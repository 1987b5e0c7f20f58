"""The complete temporally coherent branch at T = 4: linear network, RNN, endpoint supervision (THEORY.md section 5).

With ``s = H^{11}`` as the one parameter, in units ``u = v = w = 1``,

``H^{22} = 2s(s-1)``, ``H^{33} = 4s(s-1)²``, ``(H^{12})² = 2s(s-1)(s-2)``, ``H^{23} = 2s H^{12}``, ``H^{13} = 2s(s-2)``,
``λ = (H^{33}+κ)²/(4s(s-1))``, ``s > 2``,

and every positive definite stationary kernel with ``H^{12} ≠ 0`` is of this form: for these the steps of
``eliminate`` only divide by positive quantities. At s = 2 the branch leaves the incoherent one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from sympy import (
    QQ,
    Add,
    Dummy,
    Expr,
    ImmutableMatrix,
    Integer,
    Interval,
    Poly,
    Rational,
    Symbol,
    cancel,
    diag,
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
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.free_energy import FreeEnergy, endpoint_free_energy
from theory.kernel import normalised_noise

HORIZON = 4
HALF = Rational(1, 2)
SIZE = HORIZON - 1


@dataclass(frozen=True)
class Elimination:
    """The solution of the stationarity conditions, step by step, in the regression coordinates.

    Attributes:
        steps: ``(unknown, value)`` in the order of elimination; each value follows from one linear equation.
        kernel: ``(H^{12})²`` under the key ``(1, 2)``, ``H^{23}/H^{12}`` under ``(2, 3)``, the entries themselves under
            the other keys, in s.
        stress: ``μ = λ/(H^{33}+κ)²`` in s.
    """

    steps: tuple[tuple[Expr, Expr], ...]
    kernel: Mapping[tuple[int, int], Expr]
    stress: Expr


@dataclass(frozen=True)
class CoherentBranch:
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
        noise: κ, in the units of ``scales``.
        scales: ``(u, v, w)``.
    """

    parameter: Symbol
    domain: Interval
    signal: Expr
    kernel: Mapping[tuple[int, int], Expr]
    free_energy: Expr
    outlier: Expr
    second_eigenvalue: Expr
    noise: Expr
    scales: tuple[Expr, Expr, Expr]

    def __post_init__(self) -> None:
        allowed = {self.parameter} | self.noise.free_symbols | set().union(*(x.free_symbols for x in self.scales))
        for expression in (self.signal, self.free_energy, self.outlier, *self.kernel.values()):
            if not expression.free_symbols <= allowed:
                raise ValueError(f"branch: {expression} is no function of {self.parameter} and κ alone")
        object.__setattr__(self, "kernel", MappingProxyType(dict(self.kernel)))

    def kernel_matrix(self) -> ImmutableMatrix:
        """``H``, 3 × 3."""
        return ImmutableMatrix(SIZE, SIZE, lambda i, j: self.kernel[min(i, j) + 1, max(i, j) + 1])

    def substitution(self) -> dict[Symbol, Expr]:
        """Symbols of the kernel, and λ, with their values on the branch, to substitute in a free energy."""
        values = {symbols.kernel_entry(*times): value for times, value in self.kernel.items()}
        return values | {symbols.signal: self.signal}

    def stability(self) -> Expr:
        """``4s(s-1)²(4s-1) - κ(2s-1)`` at ``u = v = w = 1``, of the sign of ``dλ/ds``: the branch is stable where > 0.

        Its zero is a fold, at s > 2 only if κ > 56/3: below that, λ grows all along the branch.
        """
        slope = factor(diff(self.signal, self.parameter))
        numerator = fraction(together(slope))[0]
        reach = _reach(self)
        quotient = factor(cancel(numerator / reach))
        # The constant and the powers of w u v that remain are positive.
        return _positive_part_removed(quotient, self.parameter)

    def rescaled(self) -> CoherentBranch:
        """The branch for general u, v, w: ``H^{ts} = u w^{(t+s)/2-1} Ĥ^{ts}``, ``κ̂ = κ/(v w² u)``, outlier times √w.

        λ, F and s are unchanged: ``H C⁻¹`` and ``|H|/|C|`` do not see the scales, and ``v H^{33} + κ`` takes the factor
        ``v w² u`` that λ is measured in.

        Raises:
            ValueError: if it has been rescaled already.
        """
        if self.scales != (1, 1, 1):
            raise ValueError("branch: has general scales already; accepted: the branch in units u = v = w = 1")
        u, w = symbols.u, symbols.w
        noise = normalised_noise(HORIZON).subs(symbols.kappa, self.noise)
        unit = coherent_branch()
        return replace(
            unit,
            signal=unit.signal.subs(symbols.kappa, noise),
            kernel={(t, s): u * w ** (Rational(t + s, 2) - 1) * value for (t, s), value in self.kernel.items()},
            free_energy=unit.free_energy.subs(symbols.kappa, noise),
            outlier=sqrt(w) * self.outlier,
            noise=self.noise,
            scales=(u, symbols.v, w),
        )


def _reach(branch: CoherentBranch) -> Expr:
    """``H^{33} + κ̂`` in units of ``u w²``: the factor that ``dλ/ds`` shares with λ, positive."""
    u, v, w = branch.scales
    return fraction(together(branch.kernel[3, 3] / (u * w**2) + branch.noise / (v * u * w**2)))[0]


def _positive_part_removed(expression: Expr, parameter: Symbol) -> Expr:
    """The factors that change sign for s > 2: all but constants and powers of s and s - 1."""
    constant, factors = factor_list(expression)
    result: Expr = Integer(1)
    for base, power in factors:
        if base.has(parameter) and base not in (parameter, parameter - 1):
            result *= base**power
    return result if constant > 0 else -result


def regression_coordinates() -> dict[Symbol, Expr]:
    """The kernel of T = 4 by the regressions of ``h^1`` and ``h^3`` on ``h^2``.

    ``H^{22} = c``, ``H^{12} = cp``, ``H^{23} = cq``, ``H^{11} = α + cp²``, ``H^{33} = δ + cq²``,
    ``H^{13} = γ + cpq``: one to one, and H is positive definite exactly if α, c, δ > 0 and
    ``γ² < αδ`` (``|H| = c(αδ - γ²)``).
    """
    c, p, q = symbols.c, symbols.p, symbols.q
    entry = symbols.kernel_entry
    return {
        entry(1, 1): symbols.alpha + c * p**2,
        entry(1, 2): c * p,
        entry(1, 3): symbols.gamma + c * p * q,
        entry(2, 2): c,
        entry(2, 3): c * q,
        entry(3, 3): symbols.delta + c * q**2,
    }


def _unit_free_energy() -> FreeEnergy:
    return endpoint_free_energy(HORIZON, "rnn").units()


def coordinate_stationarity() -> dict[Symbol, Expr]:
    """Twice the derivative of F by each regression coordinate, with ``μ = λ/(H^{33}+κ)²`` for the energy's part.

    ``∂(energy)/∂H^{33} = -½μ`` and no other entry enters the energy, so ``∂F/∂θ = ∂S/∂θ - ½μ ∂H^{33}/∂θ`` with S the
    two entropy terms.
    """
    functional = _unit_free_energy()
    coordinates = regression_coordinates()
    last = symbols.kernel_entry(SIZE, SIZE)
    if functional.energy.free_symbols & set(functional.variables) != {last}:
        raise ArithmeticError("the energy depends on kernel entries other than the last diagonal one")
    stress = -2 * diff(functional.energy, last)
    if cancel(stress - symbols.signal / (last + symbols.kappa) ** 2) != 0:
        raise ArithmeticError("the derivative of the energy is not -μ/2")
    entropy = _simplified_logs(functional.entropy.subs(coordinates))
    return {
        x: cancel(2 * diff(entropy, x) - symbols.mu * diff(coordinates[last], x))
        for x in (symbols.gamma, symbols.q, symbols.delta, symbols.p, symbols.alpha, symbols.c)
    }


def _simplified_logs(expression: Expr) -> Expr:
    """Logarithms with cancelled arguments; elsewhere rational."""
    return expression.replace(log, lambda argument: log(factor(cancel(argument))))


def _solve_linear(equation: Expr, unknown: Expr, nonzero: Iterable[Expr]) -> Expr:
    """The solution of ``equation = 0``, whose numerator is linear in the unknown but for factors in ``nonzero``.

    Raises:
        ArithmeticError: if another factor remains, or none that contains the unknown.
    """
    numerator = fraction(together(equation))[0]
    allowed = [sympify(x) for x in nonzero]
    rest: Expr = Integer(1)
    for base, power in factor_list(numerator)[1]:
        if not any(expand(base - x) == 0 or expand(base + x) == 0 for x in allowed):
            rest *= base**power
    polynomial = Poly(rest, unknown)
    if polynomial.degree() != 1:
        raise ArithmeticError(f"{rest} is not linear in {unknown}")
    slope, constant = polynomial.all_coeffs()
    return factor(-constant / slope)


@cache
def eliminate() -> Elimination:
    """Solve the six stationarity conditions at T = 4 exactly, by six linear equations in turn.

    1. ``γ = 0``: given ``h^2``, ``h^1`` and ``h^3`` are uncorrelated. ``H^{13}`` enters through ``ln|H|`` alone.
    2. ``∂/∂H^{23}`` gives ``q/δ = p/α``. So p and q vanish together (the incoherent branch), or ``q = ρp``, ``δ = ρα``
       with ρ > 0.
    3. ``∂/∂p = 0`` is linear in α: with ``x = pq``, ``α = cρ(1-x)/(c+ρ)``, hence x < 1.
    4. ``∂/∂δ = 0`` is linear in μ.
    5. ``∂/∂α = 0`` is linear in 1 - x: ``(1-x) c(ρ²-c-ρ) = ρ(c+ρ)``, hence ``ρ² - c - ρ > 0``.
    6. ``∂/∂c = 0`` is linear in c: ``c = ρ(ρ-2)/2``. And ``ρ = 2s``.

    The condition ``∂/∂q = 0`` was used in 2 and is checked at the end, like all others.

    Raises:
        ArithmeticError: if a step fails, which would mean that the free energy is not the one it is.
    """
    alpha, c, delta, gamma = symbols.alpha, symbols.c, symbols.delta, symbols.gamma
    p, q, rho, mu, s = symbols.p, symbols.q, symbols.rho, symbols.mu, symbols.s
    conditions = coordinate_stationarity()
    if _solve_linear(conditions[gamma], gamma, ()) != 0:
        raise ArithmeticError("the residual covariance of times 1 and 3 does not vanish")
    at_zero = {x: cancel(value.subs(gamma, 0)) for x, value in conditions.items()}

    # ∂/∂H^{23} at fixed H^{22}, H^{33}: q moves by dH^{23}/c and δ = H^{33} - cq² by -2q dH^{23}.
    along_23 = cancel(at_zero[q] - 2 * c * q * at_zero[delta])
    delta_value = _solve_linear(along_23.subs(q, rho * p), delta, (p, c))
    # From here on the equations contain p only through p² (one of them after division by p): p² = x/ρ, x = pq.
    y = Dummy("y", positive=True)  # y = 1 - x
    reduced = {}
    for x in (p, alpha, c, delta):
        condition = at_zero[x] / p if x == p else at_zero[x]
        condition = cancel(condition.subs({q: rho * p}).subs(delta, delta_value))
        reduced[x] = cancel(expand(condition).subs(p**4, (1 - y) ** 2 / rho**2).subs(p**2, (1 - y) / rho))
        if reduced[x].has(p):
            raise ArithmeticError(f"the condition of {x} is not even in p")

    alpha_value = _solve_linear(reduced[p], alpha, (rho,))
    positive = (rho, c, alpha, y, c + rho)
    mu_value = _solve_linear(reduced[delta].subs(alpha, alpha_value), mu, positive)
    y_value = _solve_linear(reduced[alpha].subs(alpha, alpha_value), y, positive)
    last = reduced[c].subs(mu, mu_value).subs(alpha, alpha_value).subs(y, y_value)
    c_value = _solve_linear(last, c, (*positive, rho**2 - c - rho))

    def in_s(expression: Expr) -> Expr:
        for name, value in ((delta, delta_value), (alpha, alpha_value), (mu, mu_value), (y, y_value), (c, c_value)):
            expression = expression.subs(name, value)
        return factor(cancel(expression.subs(rho, 2 * s)))

    square = in_s((1 - y) / rho)
    regression = {alpha: in_s(alpha), delta: in_s(delta), c: in_s(c), gamma: Integer(0), mu: in_s(mu)}
    for x, condition in at_zero.items():
        condition = condition / p if x in (p, q) else condition
        value = cancel(cancel(condition.subs(q, 2 * s * p)).subs(regression))
        if cancel(expand(fraction(value)[0]).subs(p**4, square**2).subs(p**2, square)) != 0:
            raise ArithmeticError(f"the condition of {x} does not hold on the branch")
    kernel = {
        (1, 1): factor(regression[alpha] + regression[c] * square),
        (1, 2): factor(regression[c] ** 2 * square),
        (1, 3): factor(2 * s * regression[c] * square),
        (2, 2): regression[c],
        (2, 3): 2 * s,
        (3, 3): factor(regression[delta] + 4 * s**2 * regression[c] * square),
    }
    steps = (
        (gamma, Integer(0)),
        (delta, delta_value),
        (alpha, alpha_value.subs(y, 1 - p * q)),
        (mu, mu_value),
        (1 - p * q, y_value),
        (c, c_value),
    )
    return Elimination(steps=steps, kernel=MappingProxyType(kernel), stress=regression[mu])


def coherent_branch(kappa: Expr = symbols.kappa) -> CoherentBranch:
    """The coherent branch at T = 4 in units ``u = v = w = 1``, for symbolic or numeric κ ≥ 0.

    Raises:
        ValueError: for a negative κ.
    """
    kappa = sympify(kappa, rational=True)
    if kappa.is_nonnegative is False or not kappa.is_real:
        raise ValueError(f"kappa: is {kappa}; accepted: a number ≥ 0 or the symbol κ")
    s = symbols.s
    solution = eliminate()
    odd = sqrt(solution.kernel[1, 2])
    kernel = dict(solution.kernel) | {(1, 2): odd, (2, 3): solution.kernel[2, 3] * odd}
    reach = kernel[3, 3] + kappa
    signal = solution.stress * reach**2
    functional = _unit_free_energy()
    values = {symbols.kernel_entry(*times): value for times, value in kernel.items()}
    rational = factor(cancel(expand(together(functional.terms["trace"].subs(values)))))
    logarithm = _simplified_logs(functional.terms["log_determinant"].subs(values))
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
        scales=(Integer(1), Integer(1), Integer(1)),
    )


@dataclass(frozen=True)
class ParityField:
    """Exact evaluation on the branch of derivatives of F by kernel entries, as rational functions of s and κ.

    ``H^{12}`` and ``H^{23}`` carry the factor ``b = H^{12}``, a square root. A derivative of F by k entries has under
    ``W → -W`` the parity of these entries, so that times b for each odd one among them it depends on b² only.

    Attributes:
        branch: where to evaluate.
        functional: the free energy at ``u = v = w = 1`` and the branch's κ.
        scales: b for each odd entry of ``functional.variables``, 1 for each even one.
        odd: the symbol b.
        field: rational functions of s and b.
        result: rational functions of s, and of κ if it is symbolic.
        point: the kernel entries in ``field``.
    """

    branch: CoherentBranch
    functional: FreeEnergy
    scales: tuple[Expr, ...]
    odd: Symbol
    field: Any
    result: Any
    point: Mapping[Symbol, Any]

    def evaluate(self, weight: Expr, expression: Expr) -> Any:
        """``weight · expression``, in kernel entries, λ, κ, b and even in b, on the branch: an element of ``result``.

        Raises:
            ArithmeticError: if it is not even.
        """
        terms = Add.make_args(expression)
        labelled = [term for term in terms if term.has(symbols.signal, symbols.kappa)]
        # Most terms do not know κ, and arithmetic in fewer variables is much faster.
        entropic = Add(*(term for term in terms if term not in labelled))
        energetic = Add(*labelled).subs(symbols.signal, self.branch.signal)
        value = self._even(weight * entropic, self.field, self.point)
        if energetic == 0:
            return value
        wide = QQ.frac_field(*self.result.symbols, self.odd)
        point = {name: wide.from_sympy(self.field.to_sympy(x)) for name, x in self.point.items()}
        return value + self._even(weight * energetic, wide, point)

    def _even(self, expression: Expr, field: Any, point: Mapping[Symbol, Any]) -> Any:
        """Evaluate, and replace b² by its value in s; b is the field's last generator."""
        element = evaluate_in_field(expression, field, point)
        square = self.result.from_sympy(self.branch.kernel[1, 2] ** 2)
        generators = [self.result.from_sympy(x) for x in field.symbols[:-1]]
        parts = []
        for poly in (element.numer, element.denom):
            total = self.result.zero
            for monomial, coefficient in poly.iterterms():
                if monomial[-1] % 2:
                    raise ArithmeticError("the expression is not even in H^{12}")
                term = self.result(coefficient) * square ** (monomial[-1] // 2)
                for generator, power in zip(generators, monomial, strict=False):
                    term *= generator**power
                total += term
            parts.append(total)
        return parts[0] / parts[1]

    def true_scales(self) -> ImmutableMatrix:
        """``D``, the diagonal matrix of the scales with b as a function of s."""
        return ImmutableMatrix(diag(*(x.subs(self.odd, self.branch.kernel[1, 2]) for x in self.scales)))


def parity_field(branch: CoherentBranch) -> ParityField:
    """Set up the evaluation on a branch in units ``u = v = w = 1``."""
    functional = _unit_free_energy().subs({symbols.kappa: branch.noise})
    odd = Dummy("b", positive=True)
    field = QQ.frac_field(branch.parameter, odd)
    values = {symbols.kernel_entry(*times): value for times, value in branch.kernel.items()}
    ratio = cancel(branch.kernel[2, 3] / branch.kernel[1, 2])
    values |= {symbols.kernel_entry(1, 2): odd, symbols.kernel_entry(2, 3): ratio * odd}
    point = {name: field.from_sympy(sympify(value)) for name, value in values.items()}
    odd_entries = (symbols.kernel_entry(1, 2), symbols.kernel_entry(2, 3))
    return ParityField(
        branch=branch,
        functional=functional,
        scales=tuple(odd if x in odd_entries else Integer(1) for x in functional.variables),
        odd=odd,
        field=field,
        result=QQ.frac_field(*branch.noise.free_symbols, branch.parameter),
        point=MappingProxyType(point),
    )


def scaled_hessian(branch: CoherentBranch) -> tuple[ImmutableMatrix, ImmutableMatrix]:
    """``(D, D ∂²F D)`` along the branch, over the six independent entries 11, 12, 13, 22, 23, 33; rational in s.

    ``D`` is diagonal: ``H^{12}`` at the odd entries 12 and 23, and 1 elsewhere (``ParityField``).
    """
    parity = parity_field(branch)
    second, scales = parity.functional.hessian(), parity.scales
    size = len(scales)
    upper = {
        (i, j): factor(parity.result.to_sympy(parity.evaluate(scales[i] * scales[j], second[i, j])))
        for i in range(size)
        for j in range(i, size)
    }
    return parity.true_scales(), ImmutableMatrix(size, size, lambda i, j: upper[min(i, j), max(i, j)])


def evaluate_in_field(expression: Expr, field: Any, point: Mapping[Symbol, Any]) -> Any:
    """Evaluate a rational expression in a field of rational functions, operation by operation (no expansion)."""
    if expression in point:
        return point[expression]
    if expression.is_Add or expression.is_Mul:
        values = [evaluate_in_field(argument, field, point) for argument in expression.args]
        result = values[0]
        for value in values[1:]:
            result = result + value if expression.is_Add else result * value
        return result
    if expression.is_Pow and expression.exp.is_Integer:
        return evaluate_in_field(expression.base, field, point) ** int(expression.exp)
    return field.from_sympy(expression)


def leading_minors(branch: CoherentBranch) -> tuple[Expr, ...]:
    """Leading principal minors of the scaled Hessian, factored: all positive exactly where the branch is stable.

    By elimination without exchanges: the k-th minor is the product of the first k pivots.
    """
    rows = DomainMatrix.from_Matrix(scaled_hessian(branch)[1]).to_field()
    field, elements = rows.domain, rows.to_list()
    minors, product = [], field.one
    for k, pivot_row in enumerate(elements):
        product *= pivot_row[k]
        minors.append(factor(field.to_sympy(product)))
        for row in elements[k + 1 :]:
            ratio = row[k] / pivot_row[k]
            for j in range(k, len(row)):
                row[j] -= ratio * pivot_row[j]
    return tuple(minors)


@dataclass(frozen=True)
class StrongSignal:
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


def solve_parameter(branch: CoherentBranch, signal: Expr) -> list[Expr]:
    """The real s > 2 at which ``λ(s)`` is the given number: one, none, or two beyond the tricritical κ = 56/3.

    Raises:
        ValueError: if κ is symbolic or the signal is no number.
    """
    signal = sympify(signal)
    if branch.noise.free_symbols or not signal.is_number:
        raise ValueError("signal: needs a number, and a branch with numeric κ")
    s = branch.parameter
    polynomial = Poly(fraction(together(branch.signal - signal))[0], s)
    return [root for root in polynomial.real_roots() if (root - 2).is_positive]
