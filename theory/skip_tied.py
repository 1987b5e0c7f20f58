"""Skip connections with one matrix (RNN) at T = 4: every state of endpoint supervision, as a rational surface.

See docs/theory.md section 11. Units ``u = v = w = 1``, skip a > 0. In two parameters, ``g = H^{12}/(a H^{11})`` and χ,

``a² = 2(χ+g²+g)/((χ+2)(χ-g²+g))``, ``H^{11} = 2gχ(χ+2g)/((g+1)(χ+2)(χ-g²+g))``,

every other entry and λ rational too (``tied_states``). g > 1 or g < -1, and χ > g²-g: at fixed a, χ is one function of
g (``chi_at``), so that there are two curves of states. The **aligned** one, g > 1, begins at the random network (g = 1,
λ = 0); on the **opposed** one, g < -1, times 1 and 2 correlate against the skip. So ``|H^{12}| > a H^{11}`` at every
λ > 0: the order parameter vanishes nowhere, ``W -> -W`` is no symmetry, and the pitchfork is unfolded. Reversing every
second time takes an opposed state to a kernel of lower F: the lowest state is aligned.

At fixed a and κ, λ(g) folds where κ is ``fold_noise`` (g, χ). The opposed curve has a fold for every κ: the state
of the other sign, which the pitchfork leaves behind. The aligned curve has two or none, and they meet in the cusp of
the (λ, a) plane (``theory.skip_cusps``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from sympy import Expr, ImmutableMatrix, Poly, Symbol, cancel, diff, factor, factor_list, log, sqrt, together

from theory import symbols
from theory.claims import assert_zero
from theory.display import Equations, Typeset
from theory.kernel import kernel_matrix, require_noise

a, g, chi = symbols.skip, symbols.g, symbols.chi


@dataclass(frozen=True)
class TiedStates(Typeset):
    """The surface of states in g and χ.

    Attributes:
        skip_squared: ``a²``.
        kernel: ``H^{ts}`` for ``1 ≤ t ≤ s ≤ 3``; ``H^{12}`` and ``H^{23}`` over a, since they are odd in it.
        residual: variance of time 3 given the times before it.
        stress: ``μ = λ/(H^{33}+κ)²``.
        signal: ``λ``.
        free_energy: ``F``, zero on the prior's kernel at λ = 0.
    """

    skip_squared: Expr
    kernel: Mapping[tuple[int, int], Expr]
    residual: Expr
    stress: Expr
    signal: Expr
    free_energy: Expr

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", MappingProxyType(dict(self.kernel)))

    def equations(self) -> Equations:
        """a², λ, the kernel's entries and F."""
        names = {(t, s): f"H^{{{t}{s}}}" + ("/a" if (t + s) % 2 else "") for t, s in self.kernel}
        entries = [(names[times], value) for times, value in sorted(self.kernel.items())]
        return [("a^2", self.skip_squared), (r"\lambda", self.signal), *entries, ("F", self.free_energy)]


def tied_states(kappa: Expr = symbols.kappa) -> TiedStates:
    """The surface at noise κ, an exact number or the symbol.

    Raises:
        ValueError: for an inexact or negative κ.
    """
    noise = require_noise(kappa)
    above, end, far, step = chi - g**2 + g, chi + 2, chi + 2 * g, chi + g**2 + g
    first = 2 * g * chi * far / ((g + 1) * end * above)
    steps = g**2 * chi + 2 * g**2 + 5 * g * chi + 2 * g + chi**2 + 2 * chi
    last = 8 * g**3 * chi * far**2 * step * steps / ((g + 1) ** 3 * end**3 * above**3)
    stress = (g - 1) * (g + 1) ** 2 * end**2 * above**2 / (8 * g**3 * chi * far**2 * step)
    residual = 8 * g**3 * chi * far**2 / ((g + 1) ** 3 * end**2 * above)
    rest = 4 * (g - 1) * (g**2 * chi + g**2 + 4 * g * chi + g + chi**2 + chi) / ((g + 1) * end * above)
    return TiedStates(
        skip_squared=2 * step / (end * above),
        kernel={
            (1, 1): first,
            (1, 2): g * first,
            (1, 3): 8 * g**4 * chi * far**2 / ((g + 1) ** 2 * end**2 * above**2),
            (2, 2): 4 * g**2 * chi * far**2 * step / ((g + 1) ** 2 * end**2 * above**2),
            (2, 3): 8 * g**3 * chi * (chi + g) * far**2 / ((g + 1) ** 2 * end**2 * above**2),
            (3, 3): last,
        },
        residual=residual,
        stress=stress,
        signal=stress * (last + noise) ** 2,
        free_energy=(rest + stress * noise - log(residual)) / 2,
    )


def chi_at(skip: Expr = a) -> Expr:
    """χ of the state with this g at a given skip, the larger root of ``a²(χ+2)(χ-g²+g) = 2(χ+g²+g)``.

    On the domain a² falls from infinity, at ``χ = g²-g``, to 0: one χ for each a.
    """
    b = skip**2
    half = (2 - b * (2 - g**2 + g)) / (2 * b)
    return half + sqrt(half**2 + 2 * (g**2 - g) + 2 * (g**2 + g) / b)


def jacobian(first: Expr, second: Expr) -> Expr:
    """``∂(first, second)/∂(g, χ)``; zero where both are stationary along the same direction."""
    return factor(diff(first, g) * diff(second, chi) - diff(first, chi) * diff(second, g))


@cache
def fold_noise() -> Expr:
    """The κ at which λ has a fold along the curve of fixed a through (g, χ)."""
    states = tied_states()
    last, stress = states.kernel[3, 3], states.stress
    # dλ = (h+κ) [(h+κ) dμ + 2μ dh] = 0 along da² = 0
    stressed = jacobian(stress, states.skip_squared)
    return factor(-(last + 2 * stress * jacobian(last, states.skip_squared) / stressed))


@cache
def cusp_condition() -> Expr:
    """The polynomial in g and χ that vanishes where two folds meet: κ of a fold is stationary along fixed a."""
    numerator = together(jacobian(fold_noise(), tied_states().skip_squared)).as_numer_denom()[0]
    # the other factors are positive powers of g, χ, χ+2g and χ+g²+g
    bases = [base for base, _ in factor_list(numerator, g, chi)[1]]
    return max(bases, key=lambda base: Poly(base, g, chi).total_degree())


def outliers() -> tuple[Expr, Expr]:
    """The eigenvalues of W that may lie outside its bulk, of radius 1: ``z - a`` with z those of the propagator a + W.

    Given the activity, ``h^{t+1} = (a + W)h^t`` makes a + W on the span of ``h^1, h^2`` the matrix with the
    characteristic polynomial ``z² - β₂z - β₁``, ``h^3 = β₁h^1 + β₂h^2 + …``; both roots are real.
    """
    far, step = chi + 2 * g, chi + g**2 + g
    middle = a * g * far / step
    spread = sqrt(2 * g**2 * chi * (g - 1) * far / ((g + 1) * (chi + 2) * (chi - g**2 + g) * step))
    return middle + spread - a, middle - spread - a


@cache
def assert_elimination() -> None:
    """Find every stationary kernel at T = 4 from the free energy, and assert each step.

    With ``x = H^{11}, y = H^{12}, z = H^{22}, e = xz - y²`` and the regression ``h^3 = β₁h^1 + β₂h^2 + `` residual of
    variance S, so that ``|H| = eS``,

    ``2F = λ/(H^{33}+κ) + x + [z² - 2yH^{23} + xH^{33}]/e - 2aβ₂ + 2a² - 3 - ln S``.

    1. ``∂/∂S``: the stress ``μ = x/e - 1/S``. ``∂/∂β₁, ∂/∂β₂``: ``H^{13} = Sy²/e``, ``H^{23} = S(yz/e + a)``.
    2. ``½x ∂/∂y + y ∂/∂z`` at fixed β, S is linear in S: ``S[(y²+xz)(y+ax) - 2axy²] = 2yze``. At y = 0 it is ``S a x²z
       = 0``: *the order parameter vanishes in no state*.
    3. Let ``y = a g x`` and ``z/y - y/x = aD``. ``∂/∂z`` is ``a²P₄ + P₂ = 0`` with P in g and D: a² is rational.
       ``χ = D(g+1) + g² - g``. ``∂/∂x`` is linear in x.
    4. ``xz > y²``, S > 0, x > 0 and μ ≥ 0 leave g ≥ 1 or g < -1, and χ > g²-g.

    Raises:
        ArithmeticError: if a step fails.
    """
    H: ImmutableMatrix = kernel_matrix(3)
    x, y, z = H[0, 0], H[0, 1], H[1, 1]
    S, D = Symbol("S", positive=True), Symbol("D", real=True)
    one, two = Symbol("beta1", real=True), Symbol("beta2", real=True)
    e = x * z - y**2
    regression = {
        H[0, 2]: one * x + two * y,
        H[1, 2]: one * y + two * z,
        H[2, 2]: one**2 * x + 2 * one * two * y + two**2 * z + S,
    }
    cross, last = regression[H[1, 2]], regression[H[2, 2]]
    early, late, shifted = H[:2, :2], H[1:, 1:], H[1:, :2]
    drive = late - a * shifted - a * shifted.T + a**2 * early
    whole = (drive * early.inv()).trace().subs(regression)
    stress = Symbol("mu", real=True)
    reduced = x + (z**2 - 2 * y * cross + x * last) / e - 2 * a * two + 2 * a**2 - 3 - log(S)

    def condition(entry: Expr) -> Expr:
        """``2∂F/∂entry``, the energy by its stress."""
        return diff(reduced, entry) - stress * diff(last, entry)

    solved = {one: -a * S * y / e, two: S * (y + a * x) / e, stress: x / e - 1 / S}
    put = {S: 2 * y * z * e / ((y**2 + x * z) * (y + a * x) - 2 * a * x * y**2)}
    linear = x * condition(y) / 2 + y * condition(z)
    named = {y: a * g * x, z: a * g * x * a * (g + D)}
    square = 2 * (D + g * (2 * g + D)) / (D * (2 + (g + D) + 2 * g * D + g**2 * (g + D)))
    into = {D: (chi - g**2 + g) / (g + 1)}

    def at(expression: Expr) -> Expr:
        """On the states: in g, D, a and x."""
        return cancel(together(expression.subs(solved).subs(put).subs(named, simultaneous=True)))

    claims = {
        "|H|": H.det().subs(regression) - e * S,
        "the trace": whole - (z**2 - 2 * y * cross + x * last) / e + 2 * a * two - 2 * a**2,
        "S": condition(S).subs(solved),
        "β1": condition(one).subs(solved),
        "β2": condition(two).subs(solved),
        "H13": regression[H[0, 2]].subs(solved) - S * y**2 / e,
        "H23": cross.subs(solved) - S * (y * z / e + a),
        "the linear combination": (linear * e**2 / S).subs(solved)
        - (2 * y * z * e / S - (y**2 + x * z) * (y + a * x) + 2 * a * x * y**2),
        "y = 0": ((y**2 + x * z) * (y + a * x) - 2 * a * x * y**2).subs(y, 0) - a * x**2 * z,
        "a²": _in_square(at(condition(z)), square),
        "∂/∂y": _in_square(at(condition(y)), square),
        "a² in χ": square.subs(into) - tied_states().skip_squared,
    }
    states = tied_states()
    claims["∂/∂x"] = _in_square(at(condition(x)), square).subs(x, states.kernel[1, 1]).subs(into)
    values = {
        (1, 2): y / a, (1, 3): regression[H[0, 2]], (2, 2): z, (2, 3): cross / a, (3, 3): last,
    }  # fmt: skip

    def on_surface(expression: Expr) -> Expr:
        return _in_square(at(expression), square).subs(x, states.kernel[1, 1]).subs(into)

    for times, value in values.items():
        claims[f"H{times}"] = on_surface(value) - states.kernel[times]
    claims["the residual"] = on_surface(S) - states.residual
    claims["the stress"] = on_surface(solved[stress]) - states.stress
    claims["F"] = (
        on_surface(reduced + log(S))
        + states.stress * states.kernel[3, 3]
        - (2 * states.free_energy + log(states.residual) - states.stress * symbols.kappa)
    )
    claims["e"] = on_surface(e) - 8 * g**3 * chi**2 * (chi + 2 * g) ** 2 * (chi + g**2 + g) / (
        (g + 1) ** 3 * (chi + 2) ** 3 * (chi - g**2 + g) ** 2
    )
    b = Symbol("b", positive=True)
    root = chi_at(sqrt(b))
    claims["χ at fixed a"] = (b * (chi + 2) * (chi - g**2 + g) - 2 * (chi + g**2 + g)).subs(chi, root)
    # the propagator's eigenvalues are the outliers of a + W
    upper, lower = (outlier + a for outlier in outliers())
    claims["their sum"] = upper + lower - a * (2 * g * (chi + 2 * g) / (chi + g**2 + g))
    claims["β2 over a"] = on_surface(two / a) - 2 * g * (chi + 2 * g) / (chi + g**2 + g)
    claims["their product"] = (upper * lower).expand().subs(a, sqrt(states.skip_squared)) + on_surface(one)
    # the opposed state with every second time reversed: F less by 2aβ₂, which has the sign of g
    flipped = (reduced - log(S)).subs(a, -a) - (reduced - log(S))
    claims["reversed times"] = flipped.subs({one: 0}) - 4 * a * two
    assert_zero(claims)


def _in_square(expression: Expr, square: Expr) -> Expr:
    """A function of a² with the surface's value put in."""
    b = Symbol("b", positive=True)
    return factor(cancel(together(expression.subs(a, sqrt(b)))).subs(b, square))
