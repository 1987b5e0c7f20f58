"""When the outliers of the RNN's recurrent matrix are its teacher's eigenvalues (docs/theory.md sections 6 and 8).

Outside the bulk the eigenvalues of W are those of the regression matrix ``M = H₋₋⁻¹H₋₊`` (`theory.outliers`). Let the
hidden states follow a teacher's recurrence up to small independent parts: a trajectory ``g^t = A^{t-1} g^1`` in d
dimensions (``g^t`` is d × P), and

``H = ΨᵀΨ + ε R``, ``Ψ = (g^1 … g^n)``, ``R^{ts} = δ_{ts} w^{t-1} 1_P``

(R has the growth of the random network's kernel). Let the times before the last reach all d dimensions: ``Ψ₋`` has rank
d. Then, as ε → 0, the outliers are the eigenvalues of A of modulus > √w, and nothing else.

Proof. M shifts each time to the next, and replaces the last time by its regression ``c = H₋₋⁻¹ H₋ₙ`` on the earlier
ones. As ε → 0, ``c`` tends to the solution of ``Ψ₋ c = g^n`` of smallest norm ``cᵀR₋₋c``, so ``ΨM = AΨ`` on the earlier
times. Let K be the kernel of ``Ψ₋``. M maps K into itself, and acts as A on the quotient by K, which is the
d-dimensional range. On K: the smallest solution is R-orthogonal to K, so that ``M k = P S k``, with S the shift that
drops what leaves the last time, and P the R-orthogonal projection on K. In the norm of R, ``‖Sk‖ ≤ √w ‖k‖``, hence
every eigenvalue μ of M on K has ``|μ| ≤ √w``; and ``|μ| = √w`` would need ``PSk = Sk = μk``, which a nilpotent S does
not allow. So every other eigenvalue lies strictly inside the bulk. For one pattern and w = 1 this is the theorem of
Kumaresan (1983) on the extraneous zeros of linear prediction of smallest norm.

Labels alone tell less: those at times whose differences are all multiples of g are the same for the angles θ and
``θ + 2π/g`` (`aliases`), so that no kernel learnt from them can prefer the teacher's.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd

from sympy import Expr, ImmutableMatrix, Matrix, Poly, Rational, eye, pi, sympify, zeros

from theory import symbols


def trajectory(A: ImmutableMatrix, start: ImmutableMatrix, n: int) -> ImmutableMatrix:
    """``Ψ = (g^1 … g^n)``, ``g^t = A^{t-1} g^1``, (d, nP), from ``g^1 = start``, (d, P).

    Raises:
        ValueError: shapes that do not fit, or n < 2.
    """
    matrix, columns = Matrix(A), Matrix(start)
    if matrix.rows != matrix.cols or columns.rows != matrix.rows:
        raise ValueError(f"start: has shape {columns.shape} for A {matrix.shape}; accepted: (d, d) and (d, P)")
    if n < 2:
        raise ValueError(f"n: is {n}; accepted: an integer ≥ 2")
    blocks = [columns]
    for _ in range(n - 1):
        blocks.append(matrix * blocks[-1])
    return ImmutableMatrix(Matrix.hstack(*blocks))


def limiting_regression(psi: ImmutableMatrix, patterns: int, w: Expr = symbols.w) -> ImmutableMatrix:
    """``lim_{ε→0} H₋₋⁻¹H₋₊`` for ``H = ΨᵀΨ + εR``, ((n-1)P, (n-1)P): a shift by one time, and the smallest c.

    ``c = R₋₋⁻¹ Ψ₋ᵀ (Ψ₋ R₋₋⁻¹ Ψ₋ᵀ)⁻¹ g^n``.

    Raises:
        ValueError: ``patterns`` does not divide the columns of Ψ, or ``Ψ₋`` has not full rank.
    """
    psi = Matrix(psi)
    d, P = psi.rows, patterns
    if P < 1 or psi.cols % P or psi.cols < 2 * P:
        raise ValueError(f"patterns: is {P} for {psi.cols} columns; accepted: a divisor, at least two times")
    earlier, last = psi[:, :-P], psi[:, -P:]
    weights = [sympify(w) ** -(column // P) for column in range(earlier.cols)]
    weighted = Matrix(earlier.cols, d, lambda i, j: weights[i] * earlier[j, i])
    gram = earlier * weighted
    if gram.rank() < d:
        raise ValueError(f"psi: its earlier times have rank {gram.rank()}; accepted: rank {d}")
    c = weighted * gram.LUsolve(last)
    size = earlier.cols
    M = zeros(size, size)
    if size > P:
        M[P:, : size - P] = eye(size - P)
    M[:, size - P :] = c
    return ImmutableMatrix(M)


def extraneous_factor(psi: ImmutableMatrix, A: ImmutableMatrix, patterns: int, w: Expr = symbols.w) -> Poly:
    """``det(z - M)/det(z - A)``, a polynomial: its roots are W's further eigenvalues, all of modulus < √w.

    Raises:
        ArithmeticError: the division leaves a remainder: Ψ does not follow the recurrence A.
    """
    z = symbols.z
    whole = Poly(limiting_regression(psi, patterns, w).charpoly(z).as_expr(), z)
    teacher = Poly(Matrix(A).charpoly(z).as_expr(), z)
    quotient, rest = whole.div(teacher)
    if not rest.is_zero:
        raise ArithmeticError(f"det(z - A) does not divide det(z - M): remainder {rest.as_expr()}")
    return quotient


def aliases(angle: Expr, supervised: Iterable[int]) -> tuple[Expr, ...]:
    """Angles of the rotation teachers that make the same labels at the supervised times: ``θ + 2πk/g``, k = 0 … g-1.

    g is the greatest common divisor of the times' differences. For ``θ' = θ + 2πk/g``, ``V*' = V* R(-2πk(t₁-1)/g)``
    and t₁ any supervised time, ``V*' R(θ')^{t-1} = V* R(θ)^{t-1}`` at all of them.

    Raises:
        ValueError: fewer than two times (a single label is any angle's), or one below 1.
    """
    times = sorted(set(supervised))
    if len(times) < 2 or times[0] < 1:
        raise ValueError(f"supervised: is {times}; accepted: at least two hidden times, from 1")
    g = gcd(*(t - times[0] for t in times))
    return tuple(sympify(angle) + Rational(2 * k, g) * pi for k in range(g))
