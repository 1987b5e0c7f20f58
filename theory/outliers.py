"""Outlier eigenvalues of the RNN's recurrent matrix W from the kernel alone (docs/theory.md section 8).

Given the activity h, W is the Gaussian prior conditioned on ``W h⁻ = h⁺`` (``h⁻ = (h^1 … h^{n-1})``,
``h⁺ = (h^2 … h^n)``, linear activation, endpoint supervision):

``W = h⁺ (h⁻ᵀh⁻)⁻¹ h⁻ᵀ + G Π``, ``Π = 1 - h⁻(h⁻ᵀh⁻)⁻¹h⁻ᵀ``, G with independent entries ``N(0, w/N)``, independent of h.

``det(z - W) = det(z - GΠ) · det(1 - (h⁻ᵀh⁻)⁻¹ h⁻ᵀ (z - GΠ)⁻¹ h⁺)``. For ``|z| > √w`` the resolvent is its Neumann
series and ``h⁻ᵀ (GΠ)^k h⁺/N → 0`` for every k ≥ 1, so that the second factor tends to ``det(1 - H₋₋⁻¹H₋₊/z)``.
Outside the bulk, the eigenvalues of W are those of the regression matrix ``H₋₋⁻¹H₋₊`` of modulus > √w.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sympy import (
    Expr,
    ImmutableMatrix,
    Integer,
    Poly,
    Symbol,
    cancel,
    expand,
    factor,
    fraction,
    radsimp,
    sqrt,
    together,
)

from theory import symbols
from theory.claims import assert_zero
from theory.coherent_branch import HORIZON, coherent_branch
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
    branch, root = coherent_branch(kappa), outlier_start(Integer(1))
    signal, largest = (_at(expression, branch.parameter, root) for expression in (branch.signal, branch.fold_noise))
    numeric = not branch.noise.free_symbols
    return OutlierThreshold(
        parameter=root,
        signal=factor(signal),
        signal_float=float(signal) if numeric else None,
        largest_noise=largest,
        stable=bool(branch.noise < largest) if numeric else None,
    )


def _at(expression: Expr, parameter: Symbol, root: Expr) -> Expr:
    """A rational function's value at a root with a square root in it."""
    above, below = (expand(part.subs(parameter, root)) for part in fraction(together(expression)))
    return radsimp(above / below)


def outlier_start(rho: Expr = symbols.rho) -> Expr:
    """The s beyond which the outlier is outside the bulk, the larger root of ``(1+ρ)s² - ((1+ρ)²/ρ + 1)s + 1 = 0``."""
    linear = (1 + rho) ** 2 / rho + 1
    return (linear + sqrt(linear**2 - 4 * (1 + rho))) / (2 * (1 + rho))


def mean_weights(kernel: Mapping[tuple[int, int], Expr], rho: Expr, layer: int) -> ImmutableMatrix:
    """``⟨W^(s)⟩`` given the activity, in the basis of ``h^1, h^2``: its non-zero eigenvalues are this matrix's.

    Given ``W^(t)h^t = h^{t+1}``, ``⟨W^(s)⟩ = (w/N) Σ_tt' M_st C'⁻¹_tt' h^{t'+1} (h^t)ᵀ`` with ``C' = w M∘H₋``; what is
    left of W is Gaussian, with directions of the activity projected out (docs/theory.md section 8).
    """
    M = ImmutableMatrix([[1, rho], [rho, 1]])

    def entry(t: int, s: int) -> Expr:
        return kernel[min(t, s), max(t, s)]

    inverse = ImmutableMatrix(2, 2, lambda t, s: M[t, s] * entry(t + 1, s + 1)).inv()
    crossed = ImmutableMatrix(2, 2, lambda t, s: entry(t + 2, s + 1))
    return ImmutableMatrix(2, 2, lambda t, s: M[layer - 1, t] * (inverse[t, :] * crossed[:, s])[0])


@cache
def assert_outlier() -> None:
    """Either W has one eigenvalue, ``H^{12}/(s-1) = H^{23}/H^{22}``, and none beside it; and where it is 1.

    Raises:
        ArithmeticError: if a step fails.
    """
    rho, s, h = symbols.rho, symbols.s, Symbol("h", positive=True)
    branch = coherent_branch(rho=rho)
    square = branch.kernel[1, 2] ** 2
    kernel = branch.kernel_in(h)
    edge = (1 + rho) * s**2 - ((1 + rho) ** 2 / rho + 1) * s + 1
    claims = {
        "H23/H22": kernel[2, 3] / kernel[2, 2] - h / (s - 1),
        "the outlier": branch.outlier**2 - square / (s - 1) ** 2,
        "the threshold": (branch.outlier**2 - 1) * (s - 1) - edge,
        "its root": edge.subs(s, outlier_start()),
    }
    for layer in (1, 2):
        mean = mean_weights(kernel, rho, layer)
        for name, value in (("trace", mean.trace() - h / (s - 1)), ("determinant", mean.det())):
            numerator = Poly(fraction(together(value))[0], h)
            claims[f"{name} of W{layer}"] = numerator.rem(Poly(h**2 - square, h)).as_expr()
    assert_zero(claims)
