"""The symbolic kernel, its shift in time, the architecture's mask, and the forward covariance.

docs/theory.md section 2, for one pattern and the endpoint supervision of docs/theory.md section 5: input at ``t = 0``
only, ``x·x/D = 1``. Kernels are ``n × n`` matrices over the hidden times ``t = 1 … n``, ``n = T - 1``.
"""

from __future__ import annotations

from typing import Any

from sympy import Expr, Float, ImmutableMatrix, Integer, Symbol, SympifyError, diag, sympify, zeros

from theory import symbols

ARCHITECTURES = ("rnn", "dnn")
#: Largest T for which closed forms are summed over times or lags: half a minute.
LONGEST_SUM = 80


def require_architecture(arch: str) -> None:
    """Refuse anything but ``"rnn"`` and ``"dnn"`` with a ValueError of one line."""
    if arch not in ARCHITECTURES:
        raise ValueError(f"arch: is {arch!r}; accepted: {' or '.join(ARCHITECTURES)}")


def require_horizon(T: int, smallest: int, longest: int | None = None) -> None:
    """Refuse a ``T`` that is no integer from ``smallest`` to ``longest`` with a ValueError of one line."""
    if isinstance(T, bool) or not isinstance(T, int) or smallest > T or (longest is not None and longest < T):
        accepted = f"≥ {smallest}" if longest is None else f"from {smallest} to {longest}"
        raise ValueError(f"T: is {T!r}; accepted: an integer {accepted}")


def require_noise(kappa: Any, *, number: bool = False) -> Expr:
    """κ as an exact number ≥ 0 or, unless it must be a ``number``, the symbol ``theory.symbols.kappa``.

    Raises:
        ValueError: one line, for anything else; floating-point numbers are not exact.
    """
    value = exact(kappa)
    if value == symbols.kappa and not number:
        return value
    if value is None or not value.is_nonnegative or value.free_symbols:
        accepted = "an exact number ≥ 0 such as 1/2" + ("" if number else ", or the symbol kappa")
        raise ValueError(f"kappa: is {'symbolic' if value == symbols.kappa else kappa}; accepted: {accepted}")
    return value


def exact(value: Any) -> Expr | None:
    """A finite exact number or an expression of symbols as SymPy has it; None for anything else."""
    try:
        found = sympify(value)
    except (SympifyError, TypeError, AttributeError):
        return None
    known = isinstance(found, Expr) and not found.has(Float) and (found.free_symbols or found.is_finite)
    return found if known else None


def require_digits(digits: int) -> None:
    """Refuse digits that are no integer ≥ 1 with a ValueError of one line."""
    if isinstance(digits, bool) or not isinstance(digits, int) or digits < 1:
        raise ValueError(f"digits: is {digits!r}; accepted: an integer ≥ 1")


def hidden_times(T: int | Symbol) -> Expr:
    """``n = T - 1``, exact."""
    return Integer(T) - 1 if isinstance(T, int) else T - 1


def kernel_matrix(n: int) -> ImmutableMatrix:
    """The symmetric ``n × n`` matrix of the symbols ``H^{ts}``."""
    return ImmutableMatrix(n, n, lambda i, j: symbols.kernel_entry(i + 1, j + 1))


def upper_triangle(n: int) -> tuple[Symbol, ...]:
    """The independent entries of the kernel, row by row: 11, 12, …, 1n, 22, …, nn."""
    return tuple(symbols.kernel_entry(t, s) for t in range(1, n + 1) for s in range(t, n + 1))


def shift(kernel: ImmutableMatrix) -> ImmutableMatrix:
    """``(H⁻)^{ts} = H^{t-1,s-1}``, zero where a time is 0."""
    n = kernel.shape[0]
    shifted = zeros(n, n)
    shifted[1:, 1:] = kernel[: n - 1, : n - 1]
    return ImmutableMatrix(shifted)


def mask(matrix: ImmutableMatrix, arch: str) -> ImmutableMatrix:
    """``[·]``: the identity for the RNN; for the DNN only the entries with ``t = t'`` are kept.

    Raises:
        ValueError: for an unknown architecture.
    """
    require_architecture(arch)
    if arch == "rnn":
        return matrix
    return ImmutableMatrix(diag(*(matrix[t, t] for t in range(matrix.shape[0]))))


def forward_covariance(kernel: ImmutableMatrix, arch: str) -> ImmutableMatrix:
    """``C = w [H⁻] + u X⁻`` for endpoint supervision, where ``X⁻`` is 1 at ``t = t' = 1`` and 0 elsewhere.

    Raises:
        ValueError: for an unknown architecture.
    """
    n = kernel.shape[0]
    first = zeros(n, n)
    first[0, 0] = 1
    return ImmutableMatrix(symbols.w * mask(shift(kernel), arch) + symbols.u * first)


def normalised_noise(T: int | Symbol) -> Expr:
    """``κ/(v w^(T-2) u)``, the noise in units ``u = v = w = 1``.

    With ``H^{ts} = u w^{(t+s)/2-1} Ĥ^{ts}`` the free energy of endpoint supervision is that of ``Ĥ`` at
    ``u = v = w = 1``, the same λ, and this noise.
    """
    return symbols.kappa / (symbols.v * symbols.w ** (T - 2) * symbols.u)
