"""Outlier eigenvalues of the RNN's recurrent matrix W from the kernel alone (docs/theory.md section 8).

Given the activity h, W is the Gaussian prior conditioned on ``W h⁻ = h⁺`` (``h⁻ = (h^1 … h^{n-1})``,
``h⁺ = (h^2 … h^n)``, linear activation, endpoint supervision):

``W = h⁺ (h⁻ᵀh⁻)⁻¹ h⁻ᵀ + G Π``, ``Π = 1 - h⁻(h⁻ᵀh⁻)⁻¹h⁻ᵀ``, G with independent entries ``N(0, w/N)``, independent of h.

``det(z - W) = det(z - GΠ) · det(1 - (h⁻ᵀh⁻)⁻¹ h⁻ᵀ (z - GΠ)⁻¹ h⁺)``. For ``|z| > √w`` the resolvent is its Neumann
series and ``h⁻ᵀ (GΠ)^k h⁺/N → 0`` for every k ≥ 1, so that the second factor tends to ``det(1 - H₋₋⁻¹H₋₊/z)``.
Outside the bulk, the eigenvalues of W are those of the regression matrix ``H₋₋⁻¹H₋₊`` of modulus > √w.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, ImmutableMatrix, Poly, cancel, factor, fraction, radsimp, together

from theory import symbols
from theory.coherent_branch import coherent_branch
from theory.coherent_elimination import HORIZON
from theory.display import Equations, Typeset


def regression_matrix(kernel: ImmutableMatrix) -> ImmutableMatrix:
    """``H₋₋⁻¹H₋₊``, ``(n-1) × (n-1)``: ``H₋₋ = (H^{ts})``, ``H₋₊ = (H^{t,s+1})``, ``t, s = 1 … n-1``.

    A companion matrix: its first columns shift by one time, the last holds the coefficients ``c_t`` of the regression
    of ``h^n`` on ``h^1 … h^{n-1}``.

    Raises:
        ValueError: if the kernel is not square, or smaller than 2 × 2.
    """
    rows, columns = kernel.shape
    if rows != columns or rows < 2:
        raise ValueError(f"kernel: is {rows} × {columns}; accepted: square, at least 2 × 2")
    size = rows - 1
    earlier = kernel[:size, :size]
    coefficients = earlier.adjugate() * kernel[:size, size] / earlier.det(method="berkowitz")
    return ImmutableMatrix(size, size, lambda i, j: cancel(coefficients[i]) if j == size - 1 else int(i == j + 1))


def characteristic_polynomial(kernel: ImmutableMatrix) -> Poly:
    """``z^{n-1} - c_{n-1} z^{n-2} - … - c_1`` of the regression matrix; its roots beyond √w are W's outliers.

    At a saddle point of endpoint supervision ``c_1 = 0`` for T ≥ 4: ``H^{1n}`` enters F through ``ln|H|`` alone, so
    that ``(H⁻¹)^{1n} = 0``. One root is always 0, and at T = 4 the other is the single candidate, real.
    """
    last = regression_matrix(kernel)[:, -1]
    z, size = symbols.z, last.shape[0]
    return Poly(z**size - sum(last[t] * z**t for t in range(size)), z)


@dataclass(frozen=True)
class OutlierThreshold(Typeset):
    """Where on the coherent branch at T = 4 the outlier has the bulk's radius; units ``u = v = w = 1``.

    Attributes:
        parameter: ``s = (5+√17)/4``, for every κ.
        signal: λ there, exact.
        signal_float: the same as a float; None for symbolic κ.
        largest_noise: κ up to which the point lies on the stable part of the branch. Beyond it (and beyond the
            tricritical κ = 56/3) the branch folds after it, and the outlier appears by a jump.
        stable: whether κ is below ``largest_noise``; None for symbolic κ.
    """

    parameter: Expr
    signal: Expr
    signal_float: float | None
    largest_noise: Expr
    stable: bool | None

    def equations(self) -> Equations:
        """The signal, where it is on the branch, and up to which κ it is on its stable part."""
        return (
            (r"\lambda", self.signal),
            ("s", self.parameter),
            (r"\kappa_{\max}", self.largest_noise),
        )


def outlier_threshold(kappa: Expr = symbols.kappa, T: int = HORIZON) -> OutlierThreshold:
    """Solve ``z(s)² = 1`` for the outlier of the coherent branch: ``λ = (7s-1+κ)²/(2(3s-1))`` at ``2s² - 5s + 1 = 0``.

    Raises:
        ValueError: if T is not 4, where alone the coherent branch is known in closed form, or for a negative κ.
    """
    if T != HORIZON:
        raise ValueError(f"T: is {T}; accepted: {HORIZON}")
    branch = coherent_branch(kappa)
    s, noise = branch.parameter, branch.noise
    condition = Poly(fraction(together(branch.outlier**2 - 1))[0], s)
    roots = [root for root in condition.all_roots() if root.is_real and (root - 2).is_positive]
    if len(roots) != 1:
        raise ArithmeticError(f"{condition} has {len(roots)} roots on the branch, not one")
    root = roots[0]
    signal = factor(radsimp(_reduced(branch.signal, condition).subs(s, root)))
    fold = Poly(coherent_branch().stability(), symbols.kappa)
    largest = radsimp(_reduced(-fold.coeff_monomial(1) / fold.coeff_monomial(symbols.kappa), condition).subs(s, root))
    numeric = not noise.free_symbols
    return OutlierThreshold(
        parameter=root,
        signal=signal,
        signal_float=float(signal) if numeric else None,
        largest_noise=largest,
        stable=bool(noise < largest) if numeric else None,
    )


def _reduced(expression: Expr, condition: Poly) -> Expr:
    """The rational function with numerator and denominator reduced modulo the polynomial its argument is a root of."""
    parts = (Poly(part, *condition.gens).rem(condition).as_expr() for part in fraction(together(expression)))
    top, bottom = parts
    return top / bottom
