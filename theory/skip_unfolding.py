"""A weak skip at the critical point: the pitchfork unfolded, for any sharing matrix (docs/theory.md section 11).

Units and critical mode as in ``theory.sharing_landau``. The skip enters ``2F`` by ``-2a tr[X (M∘E)⁻¹] + O(a²)``, with
``E = H_{1…n-1}`` and ``X`` the block of H with rows 2 … n and columns 1 … n-1. To first order in the entries of lag 1,
``H^{t,t+1} = r^{t+1/2} α a_t``,

``tr[X (M∘E)⁻¹] = √r α φ``, ``φ = Σ_t (1 - M_{t,t+1}) a_t``, ``M_{n-1,n} = 0``

(for the RNN the last entry alone, φ = 1), so that the reduced free energy is tilted,

``F = F₀ - √r φ a α + ½ a₂ (r-r_c) α² + ¼ b α⁴ + ⅙ c α⁶``.

With ψ the order parameter ``H^{t,t+1}`` at the mode's last time t, and A of ``theory.sharing_landau``,

``ψ³ - A (λ-λ_c) ψ = B a``, ``B = r^{3t+2} φ/b``:

``ψ = (Ba)^{1/3}`` at λ_c, and a fold of the other sign at ``(λ-λ_c)³ = (27/4) B²a²/A³``. Where b = 0 (tricritical κ),
``ψ⁵ = r^{5t+3} φ a/c``. Where b < 0 < c the two folds of the same sign meet at the **wing's cusp**

``α² = -3b/(10c)``, ``a = (6/25) b²α/(√r φ c)``, ``a₂(r-r_c) = 9b²/(20c)``:

a ~ (κ-κ_t)^{5/2}, λ-λ_c ~ (κ-κ_t)². A mode of lag l ≥ 2 is not tilted at first order in a.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sympy import Expr, Integer, Matrix, Rational, Symbol, diag, diff, eye, factor, solve, sqrt

from theory import symbols
from theory.claims import assert_zero
from theory.display import Equations, Typeset
from theory.kernel import require_horizon, require_noise
from theory.landau import LandauExpansion
from theory.sharing import SharingFamily
from theory.sharing_landau import exact_quartic
from theory.sharing_stability import Instability, instability
from theory.sharing_transition import NeverCoherent


@dataclass(frozen=True)
class Unfolding(Typeset):
    """The pitchfork unfolded by a weak skip, leading order.

    Attributes:
        T: index of the last output.
        kappa: κ, exact or the symbol.
        arch: the architecture's word.
        place: ``(t, t+1)`` of the order parameter.
        overlap: φ.
        amplitude_squared: A.
        amplitude_cubed: B, of the sign of the quartic coefficient; both None where that vanishes.
        fold_cubed: ``(λ_f-λ_c)³/a²``, ``27B²/(4A³)``.
    """

    T: int
    kappa: Expr
    arch: str
    place: tuple[int, int]
    overlap: Expr
    amplitude_squared: Expr | None
    amplitude_cubed: Expr | None
    fold_cubed: Expr | None

    def equations(self) -> Equations:
        """The amplitudes."""
        return (
            (r"\psi^2/(\lambda-\lambda_c)", self.amplitude_squared),
            (r"\psi^3/a", self.amplitude_cubed),
            (r"(\lambda_f-\lambda_c)^3/a^2", self.fold_cubed),
        )


def unfolding(T: int, kappa: Expr = symbols.kappa, arch: SharingFamily | None = None) -> Unfolding:
    """The unfolding at the critical point of an architecture (the RNN unless given) whose mode has lag 1.

    Args:
        T: an integer ≥ 4.
        kappa: an exact number or the symbol.
        arch: of rational parameter; ``shared:rho`` too at T = 4.

    Raises:
        ValueError: one line: no critical point, several modes, or a mode of another lag, which a skip does not tilt.
    """
    require_horizon(T, 4)
    noise = require_noise(kappa)
    family = SharingFamily("looped", Integer(1)) if arch is None else arch
    found = _instability(family, T)
    if found.lag != 1 or found.degeneracy > 1:
        raise ValueError(f"arch: is {family}, whose critical mode has lag {found.lag}; accepted: one mode of lag 1")
    elements, field = exact_quartic(family.matrix(T - 1), found)
    coefficients = elements.put(field.to_sympy)
    r, place = coefficients.ratio, coefficients.place
    M = family.matrix(T - 1)
    correlations = [field.from_sympy(M[t, t + 1]) for t in range(T - 3)] + [field.zero]
    missing = ((field.one - m) * x for m, x in zip(correlations, elements.mode, strict=True))
    overlap = field.to_sympy(sum(missing, field.zero))
    growth = r ** (T - 1)
    share = growth / (growth + noise)
    quartic = factor(coefficients.quartic(share))
    if quartic == 0:
        return Unfolding(T, noise, str(family), place, overlap, None, None, None)
    squared = factor(coefficients.amplitude_squared(share))
    cubed = factor(r ** (3 * place[0] + 2) * overlap / quartic)
    return Unfolding(
        T=T,
        kappa=noise,
        arch=str(family),
        place=place,
        overlap=overlap,
        amplitude_squared=squared,
        amplitude_cubed=cubed,
        fold_cubed=factor(27 * cubed**2 / (4 * squared**3)),
    )


def _instability(family: SharingFamily, T: int) -> Instability:
    if family.correlation(1).free_symbols:
        if T != 4:
            raise ValueError(f"T: is {T}; accepted: 4 for {family}")
        return Instability(1, 1 + symbols.rho, (1, 2), 1)
    found = instability(family.matrix(T - 1))
    if found is None:
        raise NeverCoherent(family, T)
    return found


@dataclass(frozen=True)
class Wing:
    """The cusp of the (λ, a) plane just beyond a tricritical point, leading order.

    Attributes:
        skip: ``a_*``.
        ratio: r of the incoherent branch at λ_*.
        amplitude: α.
    """

    skip: Expr
    ratio: Expr
    amplitude: Expr


def wing(expansion: LandauExpansion, overlap: Expr) -> Wing:
    """The cusp from the Landau coefficients at this κ.

    Raises:
        ValueError: unless b < 0 < c.
    """
    b, c, r = expansion.quartic, expansion.sextic, expansion.ratio
    if not (b < 0 < c):
        raise ValueError(
            f"expansion: has b = {b}, c = {c}; accepted: b < 0 < c, a discontinuous transition with a fold"
        )
    amplitude = sqrt(-3 * b / (10 * c))
    return Wing(
        skip=Rational(6, 25) * b**2 * amplitude / (sqrt(r) * overlap * c),
        ratio=r + 9 * b**2 / (20 * c * expansion.quadratic_slope),
        amplitude=amplitude,
    )


@cache
def assert_tilt() -> None:
    """Derive the tilt for symbolic r, M and mode, and what follows from the reduced free energy.

    Raises:
        ArithmeticError: if a step fails.
    """
    n, r, a, alpha = 4, symbols.r, symbols.skip, Symbol("alpha", real=True)
    mode = [Symbol(f"a{t}", real=True) for t in range(1, n)]
    M = Matrix(n - 1, n - 1, lambda s, t: Integer(1) if s == t else Symbol(f"m{min(s, t)}{max(s, t)}", real=True))
    root = diag(*(sqrt(r) ** t for t in range(1, n + 1)))
    inner = Matrix(n, n, lambda s, t: alpha * mode[min(s, t)] if abs(s - t) == 1 else Integer(s == t))
    H = root * inner * root
    shifted = H[1:, : n - 1]
    base = H[: n - 1, : n - 1].multiply_elementwise(M)
    # the inverse to first order in α
    level = base.subs(alpha, 0).inv()
    inverse = level - alpha * level * base.diff(alpha) * level
    trace = diff((shifted * inverse).trace(), alpha).subs(alpha, 0)
    overlap = sum((1 - (M[t, t + 1] if t < n - 2 else 0)) * mode[t] for t in range(n - 1))
    A = eye(n) - Matrix(n, n, lambda s, t: a if s == t + 1 else 0)
    drive = (A * H * A.T)[1:, 1:]
    moved = diff((drive * inverse).trace(), a).subs(a, 0)
    tilt, quadratic, quartic, sextic, x = (Symbol(k, real=True) for k in ("f", "u", "b", "c", "x"))
    landau = -tilt * x + quadratic * x**2 / 2 + quartic * x**4 / 4 + sextic * x**6 / 6
    square = -3 * quartic / (10 * sextic)
    even = {x: sqrt(square)}
    push = solve(diff(landau, x), tilt)[0]
    at_cusp = push.subs(quadratic, 9 * quartic**2 / (20 * sextic)).subs(even)
    fold, B, level_, psi = (Symbol(k) for k in ("Delta", "B", "A", "psi"))
    cubic = psi**3 - level_ * fold * psi - B * a
    claims = {
        "the tilt": trace - sqrt(r) * overlap,
        "the skip in 2F": diff(moved + 2 * (shifted * inverse).trace(), alpha).subs(alpha, 0),
        "F''' at the cusp": diff(landau, x, 3).subs(even),
        "F'' at the cusp": diff(landau, x, 2).subs(even).subs(quadratic, 9 * quartic**2 / (20 * sextic)),
        "the tilt at the cusp": at_cusp - Rational(6, 25) * quartic**2 * sqrt(square) / sextic,
        # a double root ψ of the cubic: ψ³ = -Ba/2, AΔ = 3ψ²
        "the fold": cubic.subs(fold, 3 * psi**2 / level_).subs(B, -2 * psi**3 / a),
        "its place": ((3 * psi**2 / level_) ** 3 - Rational(27, 4) * B**2 * a**2 / level_**3).subs(B, -2 * psi**3 / a),
        "its slope": diff(cubic, psi).subs(fold, 3 * psi**2 / level_),
    }
    assert_zero(claims)
