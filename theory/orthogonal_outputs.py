"""Equal orthogonal outputs at T = 4: stability on the manifold of minima, and its law (docs/theory.md section 12).

Units ``u = v = w = 1``, linear RNN, endpoint supervision, O orthogonal outputs of signal λ each. The minima are
``H_Q^{tt'} = H^{tt'} Q^{t'-t}``, Q orthogonal, H the one-output branch (``theory.several_outputs``). In the frame
``Q^t … Q^{-t'}`` and the eigenvectors of Q, of phases ``φ_j``, a change ε of the kernel splits into entries
``e = ε_jk`` (n × n, complex) that do not meet, and C changes by ``δ = e^{iψ} ΣeΣᵀ``, ``ψ = φ_j - φ_k``. For one pair

``2F₂ = 2μ/(H^{nn}+κ) |e_nn|² + tr K(δGδ† + δ†Gδ) - 2 Re tr e G δ† G + tr H⁻¹eH⁻¹e† - tr GδGδ†``,

``G = C⁻¹``, ``K = GHG``. Symmetric and antisymmetric e do not meet either. On antisymmetric e the form has the null
vector ``H^{tt'}(e^{iψt} - e^{iψt'})`` of a change of Q, and a cofactor in which ψ does not occur; on symmetric e its
determinant is

``s(4ζ-1) + (s-1)(2ζ-1) cos ψ``,  ``ζ = H^{33}/(H^{33}+κ)``,

up to a factor free of ψ and ζ: positive for all ψ where it is at ψ = 0, that is where the branch is stable. With the
volume of the manifold, the antisymmetric part gives Haar's measure, so that at width N → ∞ the law of Q is

``dP(Q) ∝ |s(4ζ-1) + (s-1)(2ζ-1) ½(Ad_Q + Ad_Qᵀ)|^(-1/2) dQ``,

the determinant that of an operator on symmetric O × O matrices, ``Ad_Q X = Q X Qᵀ``. N has dropped out: no Q is chosen.

Unequal outputs, each on its own branch at s = a and b, either sign: between them the 9 × 9 form has the determinant
`unequal_determinant`, a sum of ``(a-b)²`` times positive terms wherever both branches are stable: each output is as if
it were alone, and no mode between them is unstable.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

from sympy import QQ, Expr, Poly, Symbol, cos, diff, expand, factor, fraction, pi, sqrt
from sympy.polys.matrices import DomainMatrix

from theory import symbols
from theory.coherent_branch import coherent_branch

#: ψ, and ``e^{iψ}``.
ANGLE = Symbol("psi", real=True)
PHASE = Symbol("x")
_PAIRS = ((0, 1), (0, 2), (1, 2))


def coefficients(zeta: Expr = symbols.zeta) -> tuple[Expr, Expr]:
    """``A = s(4ζ-1)`` and ``B = (s-1)(2ζ-1)``."""
    s = symbols.s
    return s * (4 * zeta - 1), (s - 1) * (2 * zeta - 1)


def symmetric_determinant(angle: Expr = ANGLE, zeta: Expr = symbols.zeta) -> Expr:
    """``A + B cos ψ``, the factor of the determinant on symmetric entries that depends on ψ or ζ."""
    A, B = coefficients(zeta)
    return A + B * cos(angle)


def phase_density() -> Expr:
    """Two outputs, Q a rotation by ½ψ: the density ``√(A²-B²)/(2π(A + B cos ψ))`` of ψ on (-π, π).

    Rotations and reflections have weight ½ each: on symmetric 2 × 2 matrices ``½(Ad_Q + Ad_Qᵀ)`` has the eigenvalues 1,
    cos ψ, cos ψ, or 1, 1, -1 for every reflection, and ``∫dψ/2π (A + B cos ψ)⁻¹ = (A²-B²)^(-1/2)``.
    """
    A, B = coefficients(symbols.zeta)
    return sqrt(A**2 - B**2) / (2 * pi * symmetric_determinant())


#: Parameters s of two outputs, and their shares ζ.
FIRST, SECOND = Symbol("a", positive=True), Symbol("b", positive=True)
SHARES = Symbol("zeta_a", positive=True), Symbol("zeta_b", positive=True)


def unequal_determinant() -> Expr:
    """Of 2F₂ in the nine entries between two coherent outputs, ``a ≠ b``; the same for either sign of each.

    ``(a-b)² [(ζ_a/(a-1) + ζ_b/(b-1))(a²+ab+b²-2a-2b+1) - (a+b-1)]/(2²² (ab)⁶ ((a-1)(b-1))⁴)``. Found from its exact
    values at rational points, not derived; tests have it to 40 digits at others. At a = b the bracket is
    `symmetric_determinant` at ψ = 0, up to a factor.
    """
    a, b = FIRST, SECOND
    pull = SHARES[0] / (a - 1) + SHARES[1] / (b - 1)
    bracket = pull * (a**2 + a * b + b**2 - 2 * a - 2 * b + 1) - (a + b - 1)
    return (a - b) ** 2 * bracket / (2**22 * (a * b) ** 6 * ((a - 1) * (b - 1)) ** 4)


def assert_unequal_stable() -> None:
    """Where both are stable, ``ζ_s > (2s-1)/(6s-2)``, the bracket is above ``(a-b)²`` times a positive function.

    Raises:
        ArithmeticError: if a step fails.
    """
    a, b = FIRST, SECOND
    bracket = unequal_determinant() * 2**22 * (a * b) ** 6 * ((a - 1) * (b - 1)) ** 4 / (a - b) ** 2
    bounds = dict(zip(SHARES, ((2 * s - 1) / (6 * s - 2) for s in (a, b)), strict=True))
    least = factor(factor(bracket).subs(bounds) / (a - b) ** 2)
    x, y = Symbol("x", positive=True), Symbol("y", positive=True)
    above, below = (Poly(expand(part.subs({a: 1 + x, b: 1 + y})), x, y) for part in fraction(least))
    rising = all(diff(bracket, share).subs({a: 2 + x, b: 2 + y}).expand().is_positive for share in SHARES)
    if not (rising and min(above.coeffs()) > 0 and min(below.coeffs()) > 0):
        raise ArithmeticError(f"the determinant between unequal outputs is not seen to be positive: {least}")


@cache
def assert_determinants() -> None:
    """Build the form from H and C, in the field of s, ``e^{iψ}`` and ζ, and take it apart.

    Time 2 is scaled by ``1/H^{12}``, which leaves no root.

    Raises:
        ArithmeticError: if a step fails.
    """
    s, zeta, x = symbols.s, symbols.zeta, PHASE
    field = QQ.frac_field(s, x, zeta)
    branch = coherent_branch()
    square = expand(branch.kernel[1, 2] ** 2)
    ratio = factor(branch.kernel[2, 3] / branch.kernel[1, 2])
    entry = {(0, 0): s, (0, 1): 1, (0, 2): branch.kernel[1, 3], (1, 1): branch.kernel[2, 2] / square}
    entry |= {(1, 2): ratio, (2, 2): branch.kernel[3, 3]}
    early = {(0, 0): 1, (0, 1): 0, (0, 2): 0, (1, 1): s / square, (1, 2): 1, (2, 2): branch.kernel[2, 2]}

    def matrix(table: dict[tuple[int, int], Any], odd: bool = False) -> DomainMatrix:
        def value(i: int, j: int) -> Any:
            known = table.get((min(i, j), max(i, j)), 0)
            return field.convert(factor(-known if odd and i > j else known))

        return DomainMatrix([[value(i, j) for j in range(3)] for i in range(3)], (3, 3), field)

    H, C = matrix(entry), matrix(early)
    G, whole = C.inv(), H.inv()
    K = G * H * G
    moved = {(0, 0): 1 / square, (0, 1): 1, (1, 0): 1, (1, 1): square}

    def shifted(e: DomainMatrix) -> DomainMatrix:
        rows = [[field.zero] * 3 for _ in range(3)]
        for (i, j), scale in moved.items():
            rows[i + 1][j + 1] = field.convert(scale) * e[i, j].element
        return DomainMatrix(rows, (3, 3), field)

    def trace(*factors: DomainMatrix) -> Any:
        whole_product = factors[0]
        for other in factors[1:]:
            whole_product = whole_product * other
        return sum((whole_product[i, i].element for i in range(3)), field.zero)

    turn = field.convert(x)
    # 2μ/(H³³+κ) = 2μζ/H³³, μ = 1/(4s(s-1))
    stiffness = field.convert(zeta / (2 * s * (s - 1) * branch.kernel[3, 3]))

    def form(a: DomainMatrix, b: DomainMatrix) -> Any:
        """Sesquilinear; a and b are real."""
        at, late_a, late_b = a.transpose(), shifted(a), shifted(b)
        late_at = late_a.transpose()
        kept = trace(K, late_b, G, late_at) + trace(K, late_at, G, late_b) - trace(G, late_b, G, late_at)
        crossed = trace(b, G, late_at, G) / turn + trace(at, G, late_b, G) * turn
        return stiffness * a[2, 2].element * b[2, 2].element + kept + trace(whole, b, whole, at) - crossed

    even = [matrix({(i, i): 1}) for i in range(3)] + [matrix({pair: 1}) for pair in _PAIRS]
    odd = [matrix({pair: 1}, odd=True) for pair in _PAIRS]
    S, R = (
        DomainMatrix([[form(a, b) for b in part] for a in part], (len(part), len(part)), field) for part in (even, odd)
    )
    z = [H[i, j].element * (turn ** (i + 1) - turn ** (j + 1)) for i, j in _PAIRS]
    cofactor = R[1, 1].element * R[2, 2].element - R[1, 2].element * R[2, 1].element
    claimed = symmetric_determinant().subs(cos(ANGLE), (x + 1 / x) / 2)
    at_reversal = expand(symmetric_determinant().subs(ANGLE, pi))
    quotient = factor(field.to_sympy(S.det()) / claimed)
    facts = {
        "symmetric and antisymmetric entries": all(form(a, b) == 0 for a, b in product(even, odd)),
        "the null vector": all(sum((R[i, k].element * z[k] for k in range(3)), field.zero) == 0 for i in range(3)),
        "the cofactor": not field.to_sympy(cofactor).has(x) and cofactor != 0,
        "the null vector's part": z[0] == turn - turn**2,
        "the determinant": not quotient.has(x) and not quotient.has(zeta),
        # A+B > 0 is ζ > (2s-1)/(6s-2), and there A-B = 2(s+1)ζ - 1 > 0
        "at ψ = π": factor(at_reversal.subs(zeta, (2 * s - 1) / (6 * s - 2)) - 2 * s * (s - 1) / (3 * s - 1)) == 0,
        "at ψ = 0": factor(
            symmetric_determinant()
            .subs(ANGLE, 0)
            .subs(zeta, branch.kernel[3, 3] / (branch.kernel[3, 3] + branch.noise))
            * (branch.kernel[3, 3] + branch.noise)
            - branch.stability()
        )
        == 0,
    }
    for name, holds in facts.items():
        if not holds:
            raise ArithmeticError(f"{name}: does not hold")
