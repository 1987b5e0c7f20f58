"""Singular values of the trained W^(s) beyond the bulk, exactly, for any sharing matrix (docs/theory.md section 8).

Linear network, endpoint supervision, M of unit diagonal, units u = v = w = 1. Given the activity, ``q_s = W^(s)h⁻`` of
one neuron is Gaussian, conditioned on ``q_t^t = h^{t+1}``; ``⟨q_s^t q_s'^t'⟩ = M_ss' H^{tt'}`` before. So

``P_s = h⁻ᵀW^(s)ᵀW^(s)h⁻/N = H₋ + H₋ D_s B D_s H₋``,  ``B = C'⁻¹H₊C'⁻¹ - C'⁻¹``,  ``C' = M∘H₋``,  ``D_s = diag(M_st)``.

Outside the span of h⁻, W^(s) is the prior's, N - n + 1 fresh columns G. With ``WWᵀ = GGᵀ + (We)(We)ᵀ``, e a frame of
the span, μ outside the bulk is an eigenvalue where ``1 = α m(μ)``, α an eigenvalue of ``H₋⁻¹P_s`` and m the resolvent
of Marchenko and Pastur's law. It is

``σ² = α²/(α-1)`` if α > 2, and none if not: the threshold of Baik, Ben Arous and Péché (α = 1 + θ² for the rank-one
part θ of W; θ > 1).

- Incoherent state ``H^{tt} = r^t``: ``α = 1 + M_st² (r-1)``, largest for t = s. Each W^(s) of any sharing has one
  beyond r = 2, ``λ = (2^n+κ)²/2^n``, ``σ = r/√(r-1)``; coherence begins at ``r_c = Λ/(Λ-1)``
  (``theory.sharing_stability``). So singular values come first if Λ < 2, coherence if Λ > 2, and both at one λ if Λ =
  2: the RNN at T = 4, any two tied matrices, ``looped:T-3``.
- Coherent branch at T = 4, any ρ: the two α of either W^(s) have sum and product ``(1+ρ)s``, so that one is beyond 2
  and ``σ = √((1+ρ)s)``, ``s = H^{11}``, all along the branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sympy import (
    Expr,
    ImmutableMatrix,
    Integer,
    Poly,
    Rational,
    Symbol,
    catalan,
    diag,
    expand,
    eye,
    factor,
    fraction,
    real_roots,
    series,
    sqrt,
    together,
)

from theory import symbols
from theory.claims import assert_zero
from theory.coherent_branch import coherent_branch
from theory.kernel import kernel_matrix, require_horizon, require_noise
from theory.sharing import SharingFamily
from theory.sharing_stability import EQUAL_DIGITS, SharingSector, instability, sharing_sector

#: r at which a singular value leaves the bulk of the incoherent state.
THRESHOLD = Integer(2)
SINGULAR, COHERENCE, BOTH = "singular value", "coherence", "both"


def resolvent(mu: Expr) -> Expr:
    """``m(μ) = (1 - √(1-4/μ))/2``, the normalised trace of ``(μ - GGᵀ)⁻¹`` for entries N(0, 1/N), μ > 4."""
    return (1 - sqrt(1 - 4 / mu)) / 2


def singular_square(alpha: Expr) -> Expr:
    """``σ² = α²/(α-1)``, a singular value where α > 2."""
    return alpha**2 / (alpha - 1)


def squared_growth(H: ImmutableMatrix, M: ImmutableMatrix, layer: int) -> ImmutableMatrix:
    """``H₋⁻¹P_s = 1 + D_s B D_s H₋``, whose eigenvalues are the α of W^(s), s = ``layer`` from 1."""
    size = M.shape[0]
    earlier, later = H[:size, :size], H[1:, 1:]
    inverse = ImmutableMatrix(M.multiply_elementwise(earlier)).inv()
    D = diag(*M[layer - 1, :])
    return ImmutableMatrix(eye(size) + D * (inverse * later * inverse - inverse) * D * earlier)


@dataclass(frozen=True)
class First:
    """Which comes first on the incoherent branch as λ grows.

    Attributes:
        first: ``"singular value"``, ``"coherence"`` or ``"both"``.
        eigenvalue: Λ; None where coherence never comes.
        singular_signal: λ at r = 2; None where the branch is unstable there.
    """

    first: str
    eigenvalue: Expr | None
    singular_signal: Expr | None


def first_transition(arch: SharingFamily, T: int, kappa: Expr = symbols.kappa) -> First:
    """Compare Λ with 2, exactly.

    Raises:
        ValueError: for T < 3, a symbolic ρ, or an inexact or negative κ.
    """
    require_horizon(T, 3)
    noise = require_noise(kappa)
    if arch.parameter.free_symbols:
        raise ValueError(f"arch: is {arch}; accepted: a rational ρ")
    signal = (THRESHOLD ** (T - 1) + noise) ** 2 / THRESHOLD ** (T - 1)
    M = arch.matrix(T - 1)
    found = instability(M)
    if found is None:
        return First(SINGULAR, None, signal)
    K = sharing_sector(M, found.lag).correlation_matrix()
    excess = (found.eigenvalue - 2).evalf(EQUAL_DIGITS)
    if abs(excess) < Rational(1, 10**40) and (2 * eye(K.shape[0]) - K).det(method="berkowitz") == 0:
        return First(BOTH, found.eigenvalue, signal)
    if excess < 0:
        return First(SINGULAR, found.eigenvalue, signal)
    return First(COHERENCE, found.eigenvalue, None)


def crossover_polynomial(T: int) -> Poly:
    """The polynomial in ρ whose smallest positive root is ``crossover_correlation``: ``det L`` at r = 2."""
    require_horizon(T, 4)
    return Poly(expand(SharingSector(1, (symbols.rho,) * (T - 3)).form(THRESHOLD).det(method="berkowitz")), symbols.rho)


def crossover_correlation(T: int) -> Expr:
    """ρ of ``shared:ρ`` and ``drift:ρ`` at which both come at one λ: 1, 1/√3, … → 1/3; exact.

    All entries of K and with them Λ grow with ρ: below it singular values come first, above it coherence.
    """
    return next(root for root in real_roots(crossover_polynomial(T)) if root.is_positive)


def coherent_singular_value(rho: Expr = symbols.rho) -> Expr:
    """``σ = √((1+ρ)s)`` on the coherent branch at T = 4, of both W^(s)."""
    return sqrt((1 + rho) * symbols.s)


def coherent_growth(rho: Expr = symbols.rho) -> tuple[Expr, Expr]:
    """The two α there: ``α² - (1+ρ)s α + (1+ρ)s = 0``; the first is beyond 2, the second below."""
    total = (1 + rho) * symbols.s
    spread = sqrt(expand(total * (total - 4)))
    return (total + spread) / 2, (total - spread) / 2


@cache
def assert_threshold() -> None:
    """The resolvent from its moments, and ``1 = α m(σ²)``.

    The moments of GGᵀ are Catalan numbers, those of non-crossing pairings. At ``μ = α²/(α-1)`` the root in m is
    ``|α-2|/α``: the equation holds if α > 2, and not below.

    Raises:
        ArithmeticError: if a step fails.
    """
    y, alpha, beyond = symbols.eta, Symbol("alpha", positive=True), Symbol("x", positive=True)
    moments = series(resolvent(1 / y), y, 0, 9).removeO()
    m = Symbol("m")
    root = 1 - 4 / singular_square(alpha)
    below = (1 - (2 - alpha) / alpha) / 2
    claims = {f"moment {k}": moments.coeff(y, k + 1) - catalan(k) for k in range(8)}
    claims |= {
        "the quadratic equation": (m**2 - m + y).subs(m, resolvent(1 / y)),
        "the root": root - ((alpha - 2) / alpha) ** 2,
        "the equation beyond 2": (2 + beyond) * resolvent(singular_square(2 + beyond)) - 1,
        "what it is below 2": alpha * below - (alpha - 1),
        "the edge": singular_square(Integer(2)) - 4,
        "rank one": singular_square(1 + beyond**2) - ((1 + beyond**2) / beyond) ** 2,
    }
    assert_zero(claims)


@cache
def assert_growth(size: int) -> None:
    """``P_s`` from the joint Gaussian law of ``q_s`` and the drives; the RNN's is ``H₋⁻¹H₊``; incoherent states.

    Raises:
        ArithmeticError: if a step fails.
    """
    r = symbols.r
    H = kernel_matrix(size + 1)
    M = ImmutableMatrix(
        size, size, lambda s, t: Integer(1) if s == t else Symbol(f"M_{min(s, t)}{max(s, t)}", real=True)
    )
    earlier, later = H[:size, :size], H[1:, 1:]
    drives = ImmutableMatrix(size, size, lambda s, t: M[s, t] * H[s, t])
    claims: dict[str, Expr] = {}
    for layer in range(1, size + 1):
        # cross covariance of q_s^t with the drives q_t'^t'; conditioned second moment, averaged over neurons
        cross = ImmutableMatrix(size, size, lambda t, other: M[layer - 1, other] * H[t, other])  # noqa: B023
        kept = earlier - cross * drives.inv() * cross.T
        pulled = cross * drives.inv() * later * drives.inv() * cross.T
        difference = earlier * squared_growth(H, M, layer) - kept - pulled
        claims |= {f"W{layer} {k}": factor(together(x)) for k, x in enumerate(difference)}
        flat = ImmutableMatrix(diag(*(r ** (t + 1) for t in range(size + 1))))
        alone = squared_growth(flat, M, layer) - diag(*(1 + m**2 * (r - 1) for m in M[layer - 1, :]))
        claims |= {f"incoherent W{layer} {k}": x for k, x in enumerate(alone)}
    tied = ImmutableMatrix.ones(size, size)
    whole = earlier * squared_growth(H, tied, 1) - later
    claims |= {f"RNN {k}": factor(together(x)) for k, x in enumerate(whole)}
    assert_zero(claims)


@cache
def assert_coherent() -> None:
    """Trace and determinant of both ``H₋⁻¹P_s`` on the branch at T = 4 are ``(1+ρ)s``; then ``σ² = (1+ρ)s``.

    Raises:
        ArithmeticError: if a step fails.
    """
    rho, s, h = symbols.rho, symbols.s, Symbol("h", positive=True)
    branch = coherent_branch(rho=rho)
    square = Poly(h**2 - branch.kernel[1, 2] ** 2, h)
    kernel = branch.kernel_in(h)
    H = ImmutableMatrix(3, 3, lambda i, j: kernel[min(i, j) + 1, max(i, j) + 1])

    def reduced(expression: Expr) -> Expr:
        above, below = (Poly(part, h).rem(square).as_expr() for part in fraction(together(expression)))
        return factor(above / below)

    total = coherent_singular_value() ** 2
    claims = {}
    for layer in (1, 2):
        growth = squared_growth(H, ImmutableMatrix([[1, rho], [rho, 1]]), layer).applyfunc(reduced)
        claims[f"trace of W{layer}"] = reduced(growth.trace()) - total
        claims[f"determinant of W{layer}"] = reduced(growth.det()) - total
    for name, alpha in zip(("larger", "smaller"), coherent_growth(), strict=True):
        # α² = (1+ρ)s (α-1) is σ² = (1+ρ)s too
        claims[f"the {name} one"] = expand(alpha**2 - total * alpha + total)
    start = branch.start
    # at its beginning r = r_c: the incoherent state's σ² = r²/(r-1), and (1+ρ)s - 4 = (1-ρ)²/ρ ≥ 0
    claims["where it leaves the incoherent branch"] = total.subs(s, start) - singular_square(start)
    claims["beyond the bulk"] = total.subs(s, start) - 4 - (1 - rho) ** 2 / rho
    assert_zero(claims)


@cache
def assert_order(T: int) -> None:
    """At ``crossover_correlation`` Λ is 2: ``det(2 - K) = 0``, and K's largest eigenvalue is below 2 for a smaller ρ.

    Raises:
        ArithmeticError: if a step fails.
    """
    rho = symbols.rho
    K = SharingSector(1, (rho,) * (T - 3)).correlation_matrix()
    at_two = factor((2 * eye(T - 2) - K).det(method="berkowitz"))
    # the congruence by B has determinant 1
    if factor(at_two - crossover_polynomial(T).as_expr()) != 0:
        raise ArithmeticError(f"T = {T}: det(2 - K) is {at_two}, not det L at r = 2")
    smaller = crossover_correlation(T).evalf(20) * Rational(99, 100)
    leading = [((2 * eye(T - 2) - K)[:k, :k]).det(method="berkowitz").subs(rho, smaller) for k in range(1, T - 1)]
    if not all(minor > 0 for minor in leading):
        raise ArithmeticError(f"T = {T}: Λ is above 2 below the crossover already")
