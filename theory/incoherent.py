"""The temporally incoherent branch of endpoint supervision, for any T (docs/theory.md section 5).

The kernel is diagonal, ``H^{tt} = u w^{t-1} r^t``, and one parameter r ≥ 1, the growth of activity per time step in
units of the prior, gives the signal ``λ(r) = (r-1)(r^n + κ̂)²/r^n``, ``κ̂ = κ/(v w^{n-1} u)``, ``n = T - 1``. It is
stationary for the RNN and for the DNN alike: the mask acts on off-diagonal entries only, and these are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, ImmutableMatrix, Integer, Symbol, diag, log, simplify

from theory import symbols
from theory.display import Equations, Typeset
from theory.kernel import normalised_noise, require_horizon


@dataclass(frozen=True)
class IncoherentBranch(Typeset):
    """The branch in its parameter r (``theory.symbols.r``), r ≥ 1; r = 1 is the prior's kernel at λ = 0.

    Attributes:
        T: an integer ≥ 3 or the symbol ``theory.symbols.T``.
        signal: ``λ(r)`` with κ, u, v, w symbolic.
        free_energy: ``F`` on the branch, ``½(r-1)(r^n+κ̂)/r^n + ½n(r - 1 - ln r)``.
    """

    T: int | Symbol
    signal: Expr
    free_energy: Expr

    def equations(self) -> Equations:
        """λ, the kernel's diagonal and F in the branch's parameter."""
        return (
            (r"\lambda(r)", self.signal),
            ("H^{tt}", self.kernel_entry(symbols.t)),
            ("F", self.free_energy),
        )

    def kernel_entry(self, t: int | Expr) -> Expr:
        """``H^{tt} = u w^{t-1} r^t``."""
        return symbols.u * symbols.w ** (t - 1) * symbols.r**t

    def kernel(self) -> ImmutableMatrix:
        """The diagonal kernel, ``(T-1) × (T-1)``.

        Raises:
            ValueError: for symbolic T.
        """
        if isinstance(self.T, Symbol):
            raise ValueError("T: is symbolic; accepted: an integer ≥ 3 (kernel_entry gives single entries)")
        return ImmutableMatrix(diag(*(self.kernel_entry(t) for t in range(1, self.T))))

    def multiplicity_condition(self) -> Expr:
        """``(dλ/dr) · r(r-1)/λ = r - n(r-1)(1-2ζ)``, ``ζ = r^n/(r^n+κ̂)``: negative where the branch turns back in λ.

        It is positive for all r ≥ 1 unless κ̂ is large (above 39.43 at T = 4): only then are there several incoherent
        states at the same λ, for the RNN and the DNN alike (``theory.learning_transition``).
        """
        r, n = symbols.r, self.T - 1
        share = r**n / (r**n + normalised_noise(self.T))
        return r - n * (r - 1) * (1 - 2 * share)


def incoherent_branch(T: int | Symbol) -> IncoherentBranch:
    """The incoherent branch for an integer T ≥ 3, or for ``theory.symbols.T``.

    Raises:
        ValueError: if T is neither.
    """
    if T != symbols.T:
        require_horizon(T, 3)
    r, n, noise = symbols.r, T - 1, normalised_noise(T)
    return IncoherentBranch(
        T=T,
        signal=(r - 1) * (r**n + noise) ** 2 / r**n,
        free_energy=(r - 1) * (r**n + noise) / (2 * r**n) + n * (r - 1 - log(r)) / 2,
    )


def recursion_residuals() -> tuple[Expr, Expr]:
    """Stationarity in the diagonal entries for symbolic T: at an interior time, and at the last one; both zero.

    On diagonal kernels ``2F = y²/(v h_n + κ) + h_1/u + Σ_t h_{t+1}/(w h_t) - ln h_n + const``, so an interior ``h_t``
    demands ``1/(w h_{t-1}) = h_{t+1}/(w h_t²)`` (equal ratios, with ``u/w`` for ``h_0``) and the last one
    ``1/(w h_{n-1}) - 1/h_n = v y²/(v h_n + κ)²``. Off-diagonal entries enter at second order only.
    """
    branch = incoherent_branch(symbols.T)
    t, n = Symbol("t", integer=True, positive=True), symbols.T - 1
    w = symbols.w
    interior = 1 / (w * branch.kernel_entry(t - 1)) - branch.kernel_entry(t + 1) / (w * branch.kernel_entry(t) ** 2)
    label = branch.signal * symbols.v * w ** (symbols.T - 2) * symbols.u
    last = (
        1 / (w * branch.kernel_entry(n - 1))
        - 1 / branch.kernel_entry(n)
        - symbols.v * label / (symbols.v * branch.kernel_entry(n) + symbols.kappa) ** 2
    )
    return simplify(interior), simplify(last)


def critical_ratio(T: int | Symbol) -> Expr:
    """``r_c = (T-2)/(T-3)``, growth of the activity per time step at the critical point."""
    return Integer(T - 2) / (T - 3) if isinstance(T, int) else (T - 2) / (T - 3)
