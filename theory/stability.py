"""Stability of the incoherent branch for any T: the second variation of F, one sector for each lag.

See docs/theory.md section 5.

Units ``u = v = w = 1``, ``n = T - 1``, ``H = D^{1/2} (1 + E) D^{1/2}`` with ``D = diag(r^t)``. The congruence by
``D^{1/2}`` turns the free energy into

``2F = λ/(r^n M_{nn} + κ) + r (M_{11} + tr[M_{2…n} (M_{1…n-1})⁻¹]) - ln(|M|/|M_{1…n-1}|) + const``, ``M = 1 + E``,

whose second-order part is

``2F₂ = r (tr E₋² - tr E₊E₋) + ½ (tr E² - tr E₋²) + (r-1)ζ E_{nn}²``, ``ζ = r^n/(r^n+κ)``,

with ``E₋``, ``E₊`` the first and the last n-1 rows and columns. Each trace joins entries of equal lag only. With
``E_{t,t+l} = a_t`` and ``m = n - l`` entries in sector l it is ``aᵀ L_l a`` (half that for l = 0), with ``L_l``
tridiagonal: diagonal ``2r, …, 2r, d``, off-diagonal ``-r``, ``d = 1`` for l ≥ 1 and ``1 + 2(r-1)ζ`` for l = 0. The
DNN's mask keeps only diagonal entries of ``E₋`` in the trace and in ``|C|``, which leaves ``Σ a_t²`` for l ≥ 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sympy import (
    Expr,
    ImmutableMatrix,
    Integer,
    Matrix,
    Rational,
    Symbol,
    factor,
    limit,
    powsimp,
    series,
    simplify,
    zeros,
)

from theory import symbols
from theory.claims import assert_zero
from theory.critical_point import closed_form_amplitude, critical_signal
from theory.display import Equations, Typeset
from theory.free_energy import endpoint_free_energy
from theory.incoherent import critical_ratio
from theory.kernel import require_architecture, require_horizon


@dataclass(frozen=True)
class LagSector(Typeset):
    """The tridiagonal second variation at one lag, of m entries (m may be symbolic).

    Attributes:
        lag: l ≥ 0, an integer or ``theory.symbols.lag``.
        size: ``m = n - l``.
        diagonal: of the first m-1 rows.
        last: diagonal of the last row.
        off_diagonal: between neighbours.
    """

    lag: int | Symbol
    size: Expr
    diagonal: Expr
    last: Expr
    off_diagonal: Expr

    def equations(self) -> Equations:
        """Size, entries and determinant."""
        L, m = f"L_{{{self.lag}}}", f"m_{{{self.lag}}}"
        return [
            (m, self.size),
            (f"{L}^{{tt}}", self.diagonal),
            (f"{L}^{{mm}}", self.last),
            (f"{L}^{{t,t+1}}", self.off_diagonal),
            (rf"\left|{L}\right|", self.determinant()),
        ]

    def matrix(self) -> ImmutableMatrix:
        """``L_l``, ``m × m``.

        Raises:
            ValueError: if m is symbolic.
        """
        if not self.size.is_Integer:
            raise ValueError(f"size: is {self.size}; accepted: an integer")
        m = int(self.size)

        def entry(i: int, j: int) -> Expr:
            if i == j:
                return self.last if i == m - 1 else self.diagonal
            return self.off_diagonal if abs(i - j) == 1 else Integer(0)

        return ImmutableMatrix(m, m, entry)

    def leading_minor(self, size: Expr) -> Expr:
        """Determinant of the first ``size`` < m rows and columns: ``(size+1) r^size`` for the RNN, 1 for the DNN."""
        if self.off_diagonal == 0:
            return self.diagonal**size
        return (size + 1) * symbols.r**size

    def determinant(self) -> Expr:
        """``|L_l| = r^{m-1}(m d - (m-1) r)`` for the RNN, and ``d`` for the DNN at l ≥ 1."""
        m = self.size
        if self.off_diagonal == 0:
            return self.last * self.diagonal ** (m - 1)
        return symbols.r ** (m - 1) * (m * self.last - (m - 1) * symbols.r)

    def assert_determinant(self) -> None:
        """Prove the minors and the determinant by induction over the size, for symbolic length.

        A tridiagonal determinant obeys ``D_k = d_k D_{k-1} - o² D_{k-2}`` with ``D_0 = 1``, ``D_{-1} = 0``. The claim
        holds for k = 0 and 1 and passes from k-2, k-1 to k.

        Raises:
            ArithmeticError: if a step fails.
        """
        k = symbols.t
        square = self.off_diagonal**2
        step = self.diagonal * self.leading_minor(k - 1) - square * self.leading_minor(k - 2)
        last = self.last * self.leading_minor(self.size - 1) - square * self.leading_minor(self.size - 2)
        claims = {
            "minor of size 0": self.leading_minor(Integer(0)) - 1,
            "minor of size 1": self.leading_minor(Integer(1)) - self.diagonal,
            "induction step": self.leading_minor(k) - step,
            "last row": self.determinant() - last,
        }
        assert_zero(claims, lambda difference: simplify(powsimp(difference)))


def share(T: int | Symbol, kappa: Expr = symbols.kappa) -> Expr:
    """``ζ = r^n/(r^n + κ)`` on the incoherent branch."""
    growth = symbols.r ** (T - 1)
    return growth / (growth + kappa)


def lag_sector(T: int | Symbol, lag: int | Symbol, arch: str = "rnn", kappa: Expr = symbols.kappa) -> LagSector:
    """The sector of one lag, read off the second variation in this module's head.

    ``tr E₋²`` counts each ``a_t`` with t < m twice (``E_{t,t+l}`` and its transpose), ``tr E₊E₋`` each product
    ``a_t a_{t+1}`` twice, ``tr E² - tr E₋²`` is ``2a_m²``; at l = 0 once instead of twice.

    Args:
        T: an integer ≥ 3 or ``theory.symbols.T``.
        lag: 0 ≤ lag ≤ T-2, or ``theory.symbols.lag`` for any lag ≥ 1.
        arch: ``"rnn"`` or ``"dnn"``.
        kappa: enters at lag 0 only.

    Raises:
        ValueError: if the lag does not fit T, for T < 3 or an unknown architecture.

    Example:
        >>> from theory.stability import lag_sector
        >>> lag_sector(4, 1).lag
        1
    """
    require_architecture(arch)
    if not isinstance(T, Symbol):
        require_horizon(T, 3)
        if isinstance(lag, int) and not 0 <= lag <= T - 2:
            raise ValueError(f"lag: is {lag}; accepted: 0 to {T - 2} for T = {T}")
    size = Integer(T - 1 - lag) if isinstance(T, int) and isinstance(lag, int) else T - 1 - lag
    r = symbols.r
    if lag == 0:
        return LagSector(lag, size, 2 * r, 1 + 2 * (r - 1) * share(T, kappa), -r)
    if arch == "dnn":
        return LagSector(lag, size, Integer(1), Integer(1), Integer(0))
    return LagSector(lag, size, 2 * r, Integer(1), -r)


def second_variation(T: int, arch: str = "rnn") -> ImmutableMatrix:
    """The Hessian of the full F on the incoherent branch in the upper-triangle entries of E, from its matrices.

    ``2F₂`` is evaluated as the matrix expression of this module's head on unit matrices, with nothing assumed about
    lags; coordinates in the order of ``theory.kernel.upper_triangle``. Divide by ``√(h_t h_s h_t' h_s')`` for the
    Hessian in the entries of H.
    """
    require_horizon(T, 3)
    require_architecture(arch)
    n, r = T - 1, symbols.r
    units = []
    for i in range(n):
        for j in range(i, n):
            unit = zeros(n, n)
            unit[i, j] = unit[j, i] = 1
            units.append(unit)

    def masked(block: Matrix) -> Matrix:
        return block if arch == "rnn" else Matrix(n - 1, n - 1, lambda i, j: block[i, j] if i == j else 0)

    def form(a: Matrix, b: Matrix) -> Expr:
        a_early, b_early = a[: n - 1, : n - 1], b[: n - 1, : n - 1]
        a_mask, b_mask = masked(a_early), masked(b_early)
        a_late, b_late = a[1:, 1:], b[1:, 1:]
        trace = r * ((a_mask * b_mask).trace() - ((a_late * b_mask).trace() + (b_late * a_mask).trace()) / 2)
        entropy = ((a * b).trace() - (a_mask * b_mask).trace()) / 2
        energy = (r - 1) * share(T) * a[n - 1, n - 1] * b[n - 1, n - 1]
        return trace + entropy + energy

    size = len(units)
    return ImmutableMatrix(size, size, lambda i, j: form(units[max(i, j)], units[min(i, j)]))


@dataclass(frozen=True)
class Asymptotics:
    """Behaviour of the critical point for T → ∞ at fixed κ.

    Attributes:
        signal: ``λ_c`` to order ``T⁻²``.
        amplitude_squared: the limit of ``A``; negative: the transition is discontinuous at large T.
        last_variance: the limit of ``H^{nn}``.
    """

    signal: Expr
    amplitude_squared: Expr
    last_variance: Expr


@cache
def asymptotics(kappa: Expr = symbols.kappa) -> Asymptotics:
    """``λ_c = (e+κ)²/(eT) + O(T⁻²)``, ``A → -e²/(e+κ)``, ``H^{nn} → e``."""
    x = Symbol("x", positive=True)
    T = 1 / x
    signal = series(critical_signal(T, kappa), x, 0, 3).removeO()
    signal = sum((factor(signal.coeff(x, k)) * symbols.T**-k for k in (1, 2)), Integer(0))
    # r_c^n → e, so that A's limit is that of a rational function of T
    growth = limit(critical_ratio(T) ** (T - 1), x, 0, "+")
    amplitude = limit(closed_form_amplitude(T, kappa), x, 0, "+")
    return Asymptotics(signal, factor(amplitude), growth)


def critical_mode(T: int | Symbol) -> Expr:
    """The null vector of the lag-1 sector at ``r_c``, last entry 1: ``E_{t,t+1} = t/(T-2)``, an expression in t."""
    if not isinstance(T, Symbol):
        require_horizon(T, 4)
    return symbols.t / (T - 2)


def assert_critical_mode() -> None:
    """The mode solves the lag-1 rows for symbolic T: interior, first (where ``a_0 = 0``) and last.

    Raises:
        ArithmeticError: if a row does not vanish.
    """
    T, t, r = symbols.T, symbols.t, critical_ratio(symbols.T)
    mode = critical_mode(T)
    interior = 2 * r * mode - r * mode.subs(t, t - 1) - r * mode.subs(t, t + 1)
    last = mode.subs(t, T - 2) - r * mode.subs(t, T - 3)
    if simplify(interior) != 0 or simplify(last) != 0 or mode.subs(t, 0) != 0:
        raise ArithmeticError("a_t = t/(T-2) is not the null vector of the lag-1 sector")


def instability_ratio(T: int | Symbol, lag: int | Symbol) -> Expr:
    """The r at which the sector of a lag l ≥ 1 becomes singular: ``m/(m-1)``, ``m = T-1-l``.

    It increases with l, so that lag 1 comes first; a single entry (m = 1) is stable for every r.

    Raises:
        ValueError: for lag 0, or if m = 1.
    """
    size = T - 1 - lag
    if lag == 0 or size == 1:
        raise ValueError(f"lag: is {lag} for T = {T}; accepted: 1 ≤ lag ≤ T-3")
    return Rational(size, size - 1) if isinstance(size, int) else size / (size - 1)


def assert_dnn_stable(T: int) -> None:
    """The DNN's coherence never grows: two statements about the full free energy of T.

    Energy and trace contain no off-diagonal entry, so ``F`` depends on them through ``-½ ln|H|`` alone; that function
    is strictly convex, and by Hadamard's inequality smallest where H is diagonal, whatever the diagonal is. On a
    diagonal kernel its Hessian in the off-diagonal entries is ``diag(1/(H^{tt}H^{ss})) > 0``.

    Raises:
        ArithmeticError: if a statement fails.
    """
    functional = endpoint_free_energy(T, "dnn")
    n, H = T - 1, functional.kernel
    off = [H[i, j] for i in range(n) for j in range(i + 1, n)]
    if (functional.terms["energy"] + functional.terms["trace"]).free_symbols & set(off):
        raise ArithmeticError("the DNN's energy or trace contains an off-diagonal kernel entry")
    diagonal_kernel = H.subs(dict.fromkeys(off, 0))
    covariance = functional.covariance
    if covariance.free_symbols & set(off):
        raise ArithmeticError("the DNN's forward covariance contains an off-diagonal kernel entry")
    # -½ d² ln|H| along E is ½ tr (H⁻¹E)², a sum of squares: E_ts²/(h_t h_s) for each pair
    inverse = Matrix.diag(*(1 / diagonal_kernel[t, t] for t in range(n)))
    for a in range(n):
        for b in range(a + 1, n):
            direction = zeros(n, n)
            direction[a, b] = direction[b, a] = 1
            curvature = ((inverse * direction) ** 2).trace() / 2
            if simplify(curvature - 1 / (H[a, a] * H[b, b])) != 0:
                raise ArithmeticError(f"the DNN's curvature in H_{a + 1}{b + 1} is {curvature}")
