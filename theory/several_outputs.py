"""Several outputs under endpoint supervision: the manifold of minima, and what lifts it (docs/theory.md section 12).

Linear network, units u = v = w = 1, orthonormal patterns, ``n = T - 1``. The energy is ``½ tr Y(H^{nn}+κ)⁻¹``,
``Y = Σ_c y_c y_cᵀ``: outputs enter through the eigenvalues ``λ_j`` of Y, those of their Gram matrix ``y_c·y_c'``. A
common rotation of the patterns makes Y diagonal; directions beyond its rank stay as in the random network. In the space
of Y a kernel has n × n blocks of size O.

*The twist.* For orthogonal Q and any sharing matrix, ``H^{tt'} → Q^{-t} H^{tt'} Q^{t'}`` takes ``C = M∘H⁻ + X`` to the
congruent of ``M∘(QHQᵀ)⁻ + X``: F stays what it is for every H whose blocks commute with Q. So if H is a state of one
output of signal λ, ``H_Q^{tt'} = H^{tt'} Q^{t'-t}`` is one of O equal orthogonal outputs, with O times its F, for every
Q in O(O). The symmetries ``Q → RᵀQR`` and ``Q → -Q`` join few of these: the eigenvalues of Q are free. Those of W
outside the bulk are ``z e^{iφ}``, z an outlier of one output and ``e^{iφ}`` an eigenvalue of Q; its singular values do
not see Q.

*Why orthogonal.* All ``O²`` modes ``E^{t,t+1} = a_t Q``, any Q, turn unstable together, and at fourth order

``F = O F₀ + ½ a (r-r_c) tr QQᵀ + ¼ [c₁ tr (QQᵀ)² + c₂ tr QᵀQ QQᵀ] + …``,  ``c₁ - c₂ = (3n²-11n+12)/(6(n-1)²) > 0``

for the RNN at every T and κ (``c₁ + c₂ = b``, that of one output). For b > 0 it is least where ``QQᵀ`` is a multiple of
1: with the eigenvalues ``q_i`` of ``QQᵀ`` in order, ``tr QᵀQ QQᵀ`` is between ``Σ q_i q_{O+1-i}`` and ``Σ q_i²``.

*Unequal signals.* On the incoherent branch outputs are independent, ``λ(r_j) = λ_j``, and the largest turns coherent
first, at its own λ_c. Entries between outputs j and k turn unstable where ``(r_j-1)/r_j^m = (r_k-1)/r_k^m``, m = n - l,
that is beyond it. Differences of signals lift the manifold at second order, and least F has Q that commutes with Y:
a sign for each output, 2^O minima, each output as if it were alone.
"""

from __future__ import annotations

from functools import cache

from sympy import (
    Expr,
    ImmutableMatrix,
    Integer,
    Matrix,
    Symbol,
    cos,
    diag,
    diff,
    expand,
    eye,
    factor,
    pi,
    powsimp,
    simplify,
    sin,
    solve,
)

from theory import symbols
from theory.claims import assert_zero
from theory.kernel import kernel_matrix
from theory.looped import reduced_quartic, time_sum

_t, _n = symbols.t, symbols.n
#: Growth ratios of two outputs; angle between Q and the eigenvectors of Y, ``c₁`` and ``c₂`` where they are free.
FIRST, SECOND = Symbol("r_1", positive=True), Symbol("r_2", positive=True)
ANGLE, ALONE, CROSSED = Symbol("theta", real=True), Symbol("c_1", real=True), Symbol("c_2", real=True)


def twisted(kernel: ImmutableMatrix, Q: ImmutableMatrix) -> ImmutableMatrix:
    """``H_Q^{tt'} = H^{tt'} Q^{t'-t}``, (nO, nO), from a kernel of one output, (n, n)."""
    n, size = kernel.shape[0], Q.shape[0]
    whole = Matrix.zeros(n * size, n * size)
    for t in range(n):
        for s in range(n):
            power = Q ** (s - t) if s >= t else Q.T ** (t - s)
            whole[t * size : (t + 1) * size, s * size : (s + 1) * size] = kernel[t, s] * power
    return ImmutableMatrix(whole)


def matrix_quartic() -> tuple[Expr, Expr]:
    """``c₁`` and ``c₂`` of the RNN at its critical point, ``ζ = r_c^n/(r_c^n+κ)``."""
    n, zeta = _n, symbols.zeta
    below = (n - 1) ** 2 * (2 * n * zeta - 1)
    alone = (2 * (5 * n**2 - 9 * n + 6) * zeta - 3 * n**2 + 7 * n - 6) / (6 * below)
    crossed = -((3 * n**3 - 16 * n**2 + 21 * n - 6) * zeta + 2 * n - 3) / (3 * below)
    return alone, crossed


def orthogonality_margin() -> Expr:
    """``c₁ - c₂``, positive: its numerator has the discriminant -23."""
    return (3 * _n**2 - 11 * _n + 12) / (6 * (_n - 1) ** 2)


def mixed_determinant(size: int | Expr, first: Expr = FIRST, second: Expr = SECOND) -> Expr:
    """``[r_j^m (r_k-1) - r_k^m (r_j-1)]/(r_k-r_j)``: of the second variation between two outputs, at lag n - m.

    Positive while the two are below r_c; for ``r_k = 1``, an unlabelled direction, it is 1.
    """
    return (first**size * (second - 1) - second**size * (first - 1)) / (second - first)


def lifting(angle: Expr = ANGLE) -> Expr:
    """``g(θ) = cos²θ/(c₁ + c₂ cos 2θ)``: two outputs of signals λ ± dλ, Q a rotation by θ, lower F by ``∝ g dλ²``.

    ``dg/dθ`` has the sign of ``-(c₁-c₂) sin 2θ``: F is least where Q commutes with Y.
    """
    return cos(angle) ** 2 / (ALONE + CROSSED * cos(2 * angle))


@cache
def assert_twist() -> None:
    """For a rotation of two outputs, any kernel and any M: ``H_Q`` and its C are congruent to those of Q = 1.

    With ``D = diag(Q^t)`` both are ``Dᵀ (· ⊗ 1) D``, so that traces and determinants agree, and the last block of H,
    which the energy sees, is a multiple of 1. W's outliers from the companion matrix.

    Raises:
        ArithmeticError: if a step fails.
    """
    Q = ImmutableMatrix([[cos(ANGLE), -sin(ANGLE)], [sin(ANGLE), cos(ANGLE)]])
    n, size = 3, 2
    H = kernel_matrix(n)
    M = ImmutableMatrix(
        n - 1, n - 1, lambda s, t: Integer(1) if s == t else Symbol(f"M_{min(s, t)}{max(s, t)}", real=True)
    )
    whole = twisted(H, Q)
    D = diag(*(Q ** (t + 1) for t in range(n)))
    forward, alone = Matrix.zeros(n * size, n * size), Matrix.zeros(n, n)
    forward[:size, :size], alone[0, 0] = eye(size), 1
    for s in range(n - 1):
        for t in range(n - 1):
            block = whole[s * size : (s + 1) * size, t * size : (t + 1) * size]
            forward[(s + 1) * size : (s + 2) * size, (t + 1) * size : (t + 2) * size] = M[s, t] * block
            alone[s + 1, t + 1] = M[s, t] * H[s, t]

    def spread(matrix: Matrix) -> Matrix:
        return Matrix(n * size, n * size, lambda i, j: matrix[i // size, j // size] * int(i % size == j % size))

    claims = {f"H {k}": x for k, x in enumerate(whole - D.T * spread(H) * D)}
    claims |= {f"C {k}": x for k, x in enumerate(forward - D.T * spread(alone) * D)}
    claims |= {f"the last block {k}": x for k, x in enumerate(whole[-size:, -size:] - H[n - 1, n - 1] * eye(size))}
    # h^n = Σ c_t h^t Q^(n-t); in an eigenvector of Q, z^(n-1) - Σ c_t e^{iφ(n-t)} z^(t-1) is 0 at e^{iφ} times a root
    turn, z = Symbol("x"), symbols.z
    c = [Symbol(f"c_{t}") for t in range(1, n)]
    polynomial = z ** (n - 1) - sum(value * z**k for k, value in enumerate(c))
    turned = z ** (n - 1) - sum(value * turn ** (n - 1 - k) * z**k for k, value in enumerate(c))
    claims["the outliers"] = expand(turned.subs(z, turn * z) - turn ** (n - 1) * polynomial)
    assert_zero(claims)


@cache
def assert_mixed_determinant() -> None:
    """``2F₂ = Σ_{t<m} (r_j+r_k) a_t² + a_m² - 2√(r_j r_k) Σ a_t a_{t+1}``, by induction over its size.

    Raises:
        ArithmeticError: if a step fails.
    """
    k = Symbol("k", integer=True, positive=True)

    def minor(size: Expr) -> Expr:
        return (FIRST ** (size + 1) - SECOND ** (size + 1)) / (FIRST - SECOND)

    total, product = FIRST + SECOND, FIRST * SECOND
    equal = mixed_determinant(k, FIRST, FIRST + symbols.s)
    claims = {
        "size 0": minor(Integer(0)) - 1,
        "size 1": minor(Integer(1)) - total,
        "a further row": minor(k) - total * minor(k - 1) + product * minor(k - 2),
        "the last row": minor(k - 1) - product * minor(k - 2) - mixed_determinant(k),
        "an unlabelled direction": mixed_determinant(k).subs(SECOND, 1) - 1,
        # r_k → r_j: that of one output, r^{m-1}(m-(m-1)r)
        "equal outputs": equal.series(symbols.s, 0, 1).removeO() - FIRST ** (k - 1) * (k - (k - 1) * FIRST),
    }
    assert_zero({name: powsimp(expand(difference)) for name, difference in claims.items()})


@cache
def assert_matrix_quartic() -> None:
    """``c₁`` and ``c₂`` for symbolic T, sum by sum, as in ``theory.looped``.

    A closed walk of four steps that keeps to one edge gives ``tr (QQᵀ)²``, one over two edges ``tr QᵀQ QQᵀ``. The
    gradient at lag 0 is ``s_t QQᵀ + s_{t-1} QᵀQ``, at lag 2 ``s_t Q²``, and the responses are quadratic in t.

    Raises:
        ArithmeticError: if a step fails.
    """
    n, zeta = _n, symbols.zeta
    m = n - 1
    k, r = m - 1, m / (m - 1)
    stiff, inner, end = 1 + 2 * (r - 1) * zeta, r / m**2, -1 / m

    def a(t: Expr) -> Expr:
        return t / m

    def q(t: Expr) -> Expr:
        return t * (t - 1) / (2 * m**2)

    flat = q(m)
    up, down = Symbol("up"), Symbol("down")  # slopes of the responses to QQᵀ and to QᵀQ
    rows = {
        up: stiff * (up * n + flat) - r * (up * m + q(m)),
        down: stiff * (down * n + flat) - r * (down * m + q(k)) + end,
    }
    slope = {name: solve(row, name)[0] for name, row in rows.items()}

    def summed(response: Expr, last: Expr) -> Expr:
        """``Σ_t s_t · response``."""
        return time_sum(expand(inner * response), m - 1) + end * last

    own = summed(slope[up] * _t + q(_t), slope[up] * m + flat)
    own += summed(slope[down] * (_t + 1) + q(_t), slope[down] * n + flat)
    crossed = summed(slope[down] * _t + q(_t - 1), slope[down] * m + q(k))
    reverse = summed(slope[up] * (_t + 1) + q(_t + 1), slope[up] * n + flat)
    pull = (1 / m - q(k) + r * q(k - 1)) * (m - 1)
    double = time_sum(expand(inner * (pull * _t + q(_t))), k - 1) + end * (pull * k + q(k))
    one_edge = 2 * r * time_sum(expand(a(_t) ** 4 - a(_t + 1) * a(_t) ** 3), m - 1) + a(m) ** 4 / 2
    two_edges = 4 * a(_t) ** 2 * a(_t + 1) ** 2 - 2 * (a(_t) * a(_t + 1) ** 3 + a(_t + 2) * a(_t + 1) * a(_t) ** 2)
    two = r * time_sum(expand(two_edges), m - 2) + a(m - 1) ** 2 * a(m) ** 2
    first, second = matrix_quartic()
    spread = n - (n - 1) * r + 2 * n * (r - 1) * zeta
    claims = {
        "the source": r * (a(_t - 1) ** 2 - 3 * a(_t) ** 2 + 2 * a(_t) * a(_t + 1)) - inner,
        "its end": r * a(m - 1) ** 2 - a(m) ** 2 - end,
        "the response within": r * (2 * q(_t) - q(_t - 1) - q(_t + 1)) + inner,
        "the response at the end": r * (2 * q(m) - q(m - 1) - flat) + end,
        "the last row of lag 2": pull * k + q(k) - r * (pull * (k - 1) + q(k - 1)) + end,
        "one response to the other": crossed - reverse,
        "c₁": 2 * one_edge + own - first,
        "c₂": 2 * two + 2 * crossed + 2 * double - second,
        "b": (first + second) * spread - reduced_quartic(False, m, Integer(1)),
        "the margin": first - second - orthogonality_margin(),
    }
    assert_zero({name: factor(difference) for name, difference in claims.items()})


@cache
def assert_lifting() -> None:
    """Two outputs near the transition, masses ``-½μ(1 ± d)``, ``Q = S Q_θ`` with S symmetric: minimise over S.

    ``S² = μ/b + x``, x symmetric, of trace 0 in first order of d; ``QᵀQ`` is ``QQᵀ`` turned by -θ.

    Raises:
        ArithmeticError: if a step fails.
    """
    d, mass, one, other = (Symbol(name, real=True) for name in ("d", "m", "x_1", "x_2"))
    turn = Matrix([[cos(ANGLE), -sin(ANGLE)], [sin(ANGLE), cos(ANGLE)]])
    level = mass / (ALONE + CROSSED)
    x = Matrix([[one, other], [other, -one]])
    B = level * eye(2) + x
    A = turn.T * B * turn
    signals = Matrix([[1 + d, 0], [0, 1 - d]])
    F = -mass * (signals * (A + B)).trace() / 4 + (ALONE * (B * B).trace() + CROSSED * (A * B).trace()) / 4
    best = solve([diff(F, one), diff(F, other)], [one, other], dict=True)[0]
    gain = simplify(F.subs(d, 0).subs({one: 0, other: 0}) - F.subs(best))
    slope = simplify(diff(lifting(), ANGLE) * (ALONE + CROSSED * cos(2 * ANGLE)) ** 2)
    claims = {
        "the gain": gain - mass**2 * d**2 * lifting() / 2,
        "no gain at first order": diff(gain, d).subs(d, 0),
        "its slope": slope + (ALONE - CROSSED) * sin(2 * ANGLE),
        "the gain of two outputs alone": lifting(Integer(0)) - 1 / (ALONE + CROSSED),
        "the gain where Q exchanges them": lifting(pi / 2),
    }
    assert_zero(claims)
