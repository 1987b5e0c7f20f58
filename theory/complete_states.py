"""Every stationary kernel of endpoint supervision, proved complete: the DNN at every T, the RNN at T = 3 and 4.

See docs/theory.md sections 5 and 14.

Units ``u = v = w = 1``: in others, ``H^{ts} = u w^{(t+s)/2-1} Ĥ^{ts}`` at the noise ``κ/(v w^(T-2) u)``, with the same
λ and F.

DNN. Off-diagonal entries occur in ``-½ ln|H|`` alone, so that ``∂F/∂H^{ts} = 0`` is ``(H⁻¹)^{ts} = 0``: the inverse is
diagonal, hence H. On a diagonal kernel the interior conditions ``h_{t+1} = h_t²/h_{t-1}``, ``h_0 = 1``, leave
``h_t = r^t``, and the last one is

``p(r) = (r-1)(r^n+κ)² - λ r^n = 0``,

whose positive roots are the stationary kernels, one each. At T = 3 the RNN has the same free energy.

RNN at T = 4. Kernels with ``H^{12} = 0`` are diagonal as well; those with ``H^{12} ≠ 0`` lie on the coherent branch
(``theory.coherent_elimination``), at the roots ``s > 2`` of

``g(s) = (4s(s-1)²+κ)² - 4λ s(s-1) = 0``.

Both are polynomials with rational coefficients: Sturm's theorem counts their roots, and each is enclosed in an
interval of rationals at whose ends the polynomial has different signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mpmath import mp, workdps
from sympy import (
    Expr,
    Float,
    Integer,
    Poly,
    Rational,
    Symbol,
    cancel,
    diff,
    expand,
    fraction,
    log,
    solve,
    sympify,
    together,
)
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.coherent_branch import HORIZON, coherent_branch
from theory.coherent_elimination import assert_elimination
from theory.free_energy import UNITS, endpoint_free_energy
from theory.incoherent import incoherent_branch
from theory.kernel import require_architecture, require_digits, require_horizon
from theory.real_roots import real_roots

INCOHERENT, COHERENT = "incoherent", "coherent"


@dataclass(frozen=True)
class StationaryState:
    """A stationary kernel.

    Attributes:
        branch: ``"incoherent"`` or ``"coherent"``.
        interval: two rationals that enclose the branch's parameter (r or s) and no other root.
        parameter: the parameter, an mpmath number.
        kernel: H, an ``n × n`` mpmath matrix; the sign with ``H^{12} > 0`` of the two that ``W → -W`` exchanges.
        copies: number of kernels that this symmetry makes of it: 1 or, for a coherent state, 2.
        free_energy: F, zero on the prior's kernel at λ = 0.
        index: number of negative eigenvalues of the Hessian of F; None where the Hessian is singular (folds, λ_c).
    """

    branch: str
    interval: tuple[Rational, Rational]
    parameter: Any
    kernel: Any
    copies: int
    free_energy: Any
    index: int | None


def complete_states(
    T: int, signal: Expr, kappa: Expr, arch: str = "rnn", digits: int = 40
) -> tuple[StationaryState, ...]:
    """All stationary kernels at one λ and κ, lowest free energy first.

    Args:
        T: index of the last output, ≥ 3; for the RNN 3 or 4.
        signal, kappa: λ ≥ 0 and κ ≥ 0, rational.
        arch: ``"rnn"`` or ``"dnn"``.
        digits: accuracy of parameters, relative; kernels and free energies are computed from them at twice the digits.

    Raises:
        ValueError: one line, for anything else.
    """
    require_digits(digits)
    require_horizon(T, 3)
    require_architecture(arch)
    if arch == "rnn" and T > 4:
        raise ValueError(f"T: is {T}, where no proof of completeness is known for the RNN; accepted: 3 or 4")
    label, noise = _rational("signal", signal), _rational("kappa", kappa)
    with workdps(2 * digits + 10 * T):
        states = _incoherent_states(T, label, noise, arch, digits)
        if arch == "rnn" and T == 4:
            states += _coherent_states(label, noise, digits)
    return tuple(sorted(states, key=lambda state: state.free_energy))


def _rational(name: str, value: Any) -> Rational:
    exact = sympify(value)
    if not isinstance(exact, Rational) or exact < 0:
        raise ValueError(f"{name}: is {value}; accepted: a rational number ≥ 0 such as 1/2")
    return exact


def _incoherent_states(T: int, signal: Rational, noise: Rational, arch: str, digits: int) -> list[StationaryState]:
    """The positive roots of p, with the index of each."""
    branch, n = incoherent_branch(T), T - 1
    place = UNITS | {symbols.kappa: noise}
    polynomial = _numerator(branch.signal.subs(place) - signal, symbols.r)
    # the sector of lag l is singular at r = m/(m-1), m = n - l, with one negative eigenvalue beyond (theory.stability)
    singular = [Rational(m, m - 1) for m in range(2, n)] if arch == "rnn" else []
    states = []
    for root in real_roots(polynomial, Integer(0), digits):
        signs = [root.compare(ratio) for ratio in singular]
        # a fold elsewhere enters p squared: p rises where its square-free factor does
        degenerate = root.multiplicity > 1 or 0 in signs
        index = int(not root.rising) + sum(sign > 0 for sign in signs)
        r = root.value
        states.append(
            StationaryState(
                branch=INCOHERENT,
                interval=root.interval,
                parameter=r,
                kernel=mp.diag([r**t for t in range(1, T)]),
                copies=1,
                free_energy=_at(branch.free_energy.subs(place), symbols.r, r),
                index=None if degenerate else index,
            )
        )
    return states


def _coherent_states(signal: Rational, noise: Rational, digits: int) -> list[StationaryState]:
    """The roots s > 2 of g. λ(s) rises on minima of F and falls on saddle points with one negative direction."""
    branch = coherent_branch()
    s, place = branch.parameter, {symbols.kappa: noise}
    polynomial = _numerator(branch.signal.subs(place) - signal, s)
    states = []
    for root in real_roots(polynomial, Integer(2), digits):
        kernel = mp.matrix(3, 3)
        for (t, u), entry in branch.kernel.items():
            kernel[t - 1, u - 1] = kernel[u - 1, t - 1] = _at(entry, s, root.value)
        states.append(
            StationaryState(
                branch=COHERENT,
                interval=root.interval,
                parameter=root.value,
                kernel=kernel,
                copies=2,
                free_energy=_at(branch.free_energy.subs(place), s, root.value),
                index=None if root.multiplicity > 1 else int(not root.rising),
            )
        )
    return states


def _numerator(difference: Expr, parameter: Symbol) -> Poly:
    """The numerator of ``λ(r) - λ``, of its sign: λ(r) goes to infinity with r, and its denominator is positive."""
    numerator = Poly(fraction(together(difference))[0], parameter)
    return numerator if numerator.LC() > 0 else -numerator


def _at(expression: Expr, parameter: Symbol, value: Any) -> Any:
    """An expression's value at a number of mpmath, at the precision that is set."""
    return mp.mpf(expression.evalf(mp.dps, subs={parameter: Float(value, mp.dps)}))


# --- the proofs -------------------------------------------------------------------------------------------------------


def assert_complete(T: int, arch: str) -> None:
    """Prove, from the free energy of this T, that the roots of this module's polynomials are all stationary kernels.

    Raises:
        ArithmeticError: if a step fails.
        ValueError: where no proof is known.
    """
    require_horizon(T, 3)
    require_architecture(arch)
    if arch == "rnn" and T > 4:
        raise ValueError(f"T: is {T}, where no proof of completeness is known for the RNN; accepted: 3 or 4")
    if arch == "rnn" and T == 4:
        _assert_coherent_or_diagonal()
    else:
        _assert_only_diagonal(T, arch)
    _assert_equal_ratios(T, arch)


def _assert_only_diagonal(T: int, arch: str) -> None:
    """Off-diagonal entries occur in ``-½ ln|H|`` alone: ``∂F/∂H^{ts} = -(H⁻¹)^{ts}``, zero only if H⁻¹ is diagonal."""
    functional = endpoint_free_energy(T, arch)
    n, H = T - 1, functional.kernel
    off = {H[i, j] for i in range(n) for j in range(i + 1, n)}
    if (functional.energy + functional.terms["trace"]).free_symbols & off:
        raise ArithmeticError(f"energy or trace of {arch} at T = {T} contains an off-diagonal entry")
    (logarithm,) = functional.terms["log_determinant"].atoms(log)
    numerator, denominator = fraction(logarithm.args[0])
    matrix = DomainMatrix.from_Matrix(H)
    determinant = matrix.domain.to_sympy(matrix.charpoly()[-1]) * (-1) ** n
    if functional.terms["log_determinant"] != -logarithm / 2 or expand(numerator - determinant) != 0:
        raise ArithmeticError(f"the term of the determinants of {arch} at T = {T} is not -½ ln(|H|/|C|)")
    if denominator.free_symbols & off:
        raise ArithmeticError(f"|C| of {arch} at T = {T} contains an off-diagonal entry")


def _assert_equal_ratios(T: int, arch: str) -> None:
    """On diagonal kernels: no force on off-diagonal entries, ``h_{t+1} = h_t²/h_{t-1}``, and the last condition is p
    = 0.

    Each interior condition is linear in ``h_{t+1}``, so that ``h_1 = r`` fixes the others.
    """
    functional = endpoint_free_energy(T, arch).units()
    n, H, r = T - 1, functional.kernel, symbols.r
    diagonal = {H[i, j]: Integer(0) for i in range(n) for j in range(i + 1, n)}
    gradient = {
        entry: condition.subs(diagonal)
        for entry, condition in zip(functional.variables, functional.stationarity(), strict=True)
    }
    if any(cancel(gradient[entry]) != 0 for entry in diagonal):
        raise ArithmeticError("a diagonal kernel feels a force on an off-diagonal entry")
    values: dict[Symbol, Expr] = {H[0, 0]: r}
    for t in range(n - 1):
        (later,) = solve(gradient[H[t, t]].subs(values), H[t + 1, t + 1])
        if cancel(later - r ** (t + 2)) != 0:
            raise ArithmeticError(f"the condition of h_{t + 1} gives h_{t + 2} = {later}")
        values[H[t + 1, t + 1]] = r ** (t + 2)
    (signal,) = solve(gradient[H[n - 1, n - 1]].subs(values), symbols.signal)
    if cancel(signal - incoherent_branch(T).signal.subs(UNITS)) != 0:
        raise ArithmeticError(f"the last condition gives the signal {signal}")


def _assert_coherent_or_diagonal() -> None:
    """RNN at T = 4: every stationary kernel is diagonal or on the coherent branch.

    ``assert_elimination`` shows it for ``H^{12} ≠ 0``. By ``∂F/∂H^{23}``, which is linear in it, and ``∂F/∂H^{13}``
    there, ``H^{23}`` and ``H^{13}`` vanish with ``H^{12}``. Here: F is the one that it begins with.
    """
    assert_elimination()
    functional = endpoint_free_energy(HORIZON, "rnn").units()
    H, C = functional.kernel, functional.covariance
    start = (H * C.inv()).trace() / 2 - log(H.det() / C.det()) / 2 - Rational(HORIZON - 1, 2)
    start += symbols.signal / (H[2, 2] + symbols.kappa) / 2
    if any(cancel(diff(functional.total - start, entry)) != 0 for entry in functional.variables):
        raise ArithmeticError("the free energy of the RNN at T = 4 is not the one whose states are eliminated")
