"""The quartic Landau coefficient for any sharing matrix, in any field (docs/theory.md section 10).

Units, n, r, E, G = M∘E₋ and the critical mode as in ``theory.sharing_stability``. The fourth order of 2F in E is

``Φ₄ = r (tr G⁴ - tr E₊G³) + ¼ (tr E⁴ - tr G⁴)``,

its third order gives the gradient at second order,

``R = r [up(G²) - pad(M∘(3G² - GE₊ - E₊G))] - E² + pad(M∘G²)``,

with ``pad`` at times 1 … n-1 and ``up`` at 2 … n, and entries of lag 0 and 2l only. The slaved entries answer ``L X =
-R``, so that ``F = F₀ + ½ a (r-r_c) α² + ¼ b α⁴`` with ``a = a·(BᵀB - 1 + g²)a`` (``theory.sharing_stability``) and
``b = 2Φ₄ + tr RX``. Noise enters through the last entry of the lag-0 form alone, ``1 + 2(r-1)ζ``, hence

``b = (p + qζ)/(n - (n-1)r + 2n(r-1)ζ)``, ``ζ = r^n/(r^n+κ)``,

with p and q free of κ. The denominator is ``dλ/dr`` up to a positive factor, and with (t, t+l) the order parameter's
place

``(H^{t,t+l})² = A (λ-λ_c) + …``, ``A = -a ζ² r^{2t+l+1-n}/(p + qζ)``:

the transition is continuous where ``p + qζ > 0``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sympy import ImmutableMatrix, construct_domain

from theory.sharing_stability import Instability, critical_mode

Rows = list[list[Any]]


@dataclass(frozen=True)
class Quartic:
    """The reduced free energy at the critical point, elements of one field.

    Attributes:
        hidden: n.
        place: ``(t, t+l)`` of the order parameter, from 1.
        ratio: ``r_c``.
        mode: ``a_1 … a_m``.
        quadratic_slope: ``a``, negative.
        constant, share: ``p`` and ``q``.
    """

    hidden: int
    place: tuple[int, int]
    ratio: Any
    mode: tuple[Any, ...]
    quadratic_slope: Any
    constant: Any
    share: Any

    def put(self, element: Callable[[Any], Any]) -> Quartic:
        """The same with its elements written otherwise, as SymPy expressions."""
        written = {name: element(getattr(self, name)) for name in ("ratio", "quadratic_slope", "constant", "share")}
        return replace(self, mode=tuple(map(element, self.mode)), **written)

    def rise(self, zeta: Any) -> Any:
        """``dλ/dr`` at r_c, up to a positive factor."""
        n, r = self.hidden, self.ratio
        return n - (n - 1) * r + 2 * n * (r - 1) * zeta

    def quartic(self, zeta: Any) -> Any:
        """``b`` at ``ζ = r^n/(r^n+κ)``."""
        return (self.constant + self.share * zeta) / self.rise(zeta)

    def amplitude_squared(self, zeta: Any) -> Any:
        """``A``; where ``p + qζ = 0`` there is none."""
        t, late = self.place
        power = self.ratio ** (t + late + 1 - self.hidden)
        return -self.quadratic_slope * zeta**2 * power / (self.constant + self.share * zeta)


def quartic(M: Sequence[Sequence[Any]], lag: int, times: tuple[int, int], ratio: Any, one: Any) -> Quartic:
    """The coefficients for a sharing matrix of unit diagonal with one critical mode.

    Args:
        M: its rows, elements of a field as ``ratio`` and its ``one``: SymPy's domain elements, or mpmath numbers.
        lag: l of the critical mode.
        times: first and last t at which it does not vanish (``theory.sharing_stability.Instability``).
        ratio: ``r_c``.
    """
    n, r, zero = len(M) + 1, ratio, one - one
    first, last = times[0] - 1, times[1]
    correlations = [M[t][t + lag] for t in range(n - 1 - lag)]
    mode = [zero] * first + critical_mode(correlations[first : last - 1], r, one) + [zero] * (n - lag - last)
    E = _banded(n, lag, mode, zero)
    gradient = _second_order(M, E, r)
    fourth = _fourth_order(M, E, r)
    response = zero
    if 2 * lag < n:
        source = [gradient[t][t + 2 * lag] for t in range(n - 2 * lag)]
        answer = _tridiagonal_solution([M[t][t + 2 * lag] for t in range(n - 1 - 2 * lag)], r, one, source)
        response = _dot(source, answer)
    source = [gradient[t][t] for t in range(n)]
    ones = [one] * (n - 1)
    answer = _tridiagonal_solution(ones, r, one, source)
    # the noise adds 2(r-1)ζ to the last diagonal entry, a change of rank one
    edge = _tridiagonal_solution(ones, r, one, [zero] * (n - 1) + [one])
    base = 2 * fourth - _dot(source, answer) - 2 * response
    spread = n * one - (n - 1) * r
    slope = 2 * sum((g * a * (g * a - b) for g, a, b in zip(correlations, mode, mode[1:], strict=False)), zero)
    return Quartic(
        hidden=n,
        place=(last, last + lag),
        ratio=r,
        mode=tuple(mode),
        quadratic_slope=slope,
        constant=base * spread,
        share=2 * (r - one) * (n * base + _dot(edge, source) ** 2 * spread),
    )


def exact_quartic(M: ImmutableMatrix, found: Instability) -> tuple[Quartic, Any]:
    """The coefficients in the field of Λ and of M, and that field."""
    size = M.rows
    field, (eigenvalue, *entries) = construct_domain(
        [found.eigenvalue, *M], field=True, extension=True if found.eigenvalue.is_number else None
    )
    rows = [entries[i * size : (i + 1) * size] for i in range(size)]
    return quartic(rows, found.lag, found.times, eigenvalue / (eigenvalue - field.one), field.one), field


def _banded(n: int, lag: int, entries: Sequence[Any], zero: Any) -> Rows:
    table = [[zero] * n for _ in range(n)]
    for t, entry in enumerate(entries):
        table[t][t + lag] = table[t + lag][t] = entry
    return table


def _second_order(M: Sequence[Sequence[Any]], E: Rows, r: Any) -> Rows:
    """``R``."""
    early = range(len(M))
    G = _shared(M, E)
    late = [row[1:] for row in E[1:]]
    square, crossed, R = _product(G, G), _product(G, late), [[-x for x in row] for row in _product(E, E)]
    for i in early:
        for j in early:
            R[i + 1][j + 1] += r * square[i][j]
            R[i][j] += M[i][j] * (r * (crossed[i][j] + crossed[j][i] - 3 * square[i][j]) + square[i][j])
    return R


def _fourth_order(M: Sequence[Sequence[Any]], E: Rows, r: Any) -> Any:
    """``Φ₄``."""
    G = _shared(M, E)
    late = [row[1:] for row in E[1:]]
    square, whole = _product(G, G), _product(E, E)
    fourth = _trace(square, square)
    return r * (fourth - _trace(late, _product(square, G))) + (_trace(whole, whole) - fourth) / 4


def _shared(M: Sequence[Sequence[Any]], E: Rows) -> Rows:
    return [[m * e for m, e in zip(row, E[i], strict=False)] for i, row in enumerate(M)]


def _product(A: Rows, B: Rows) -> Rows:
    """A product of square tables, most of whose entries are zero."""
    size = len(A)
    filled = [[(k, x) for k, x in enumerate(row) if x] for row in A]
    zero = A[0][0] - A[0][0]
    return [[sum((x * B[k][j] for k, x in filled[i] if B[k][j]), zero) for j in range(size)] for i in range(size)]


def _trace(A: Rows, B: Rows) -> Any:
    size = range(len(A))
    return sum((A[i][j] * B[j][i] for i in size for j in size), A[0][0] - A[0][0])


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    return sum((x * y for x, y in zip(a, b, strict=True)), a[0] - a[0])


def _tridiagonal_solution(correlations: Sequence[Any], r: Any, one: Any, right: Sequence[Any]) -> list[Any]:
    """x with ``Lx = right``, L the form of a lag that meets these correlations, eliminated from its first entry."""
    m, rest = len(correlations) + 1, list(right)
    pivots = [one + (2 * r - one) * g**2 for g in correlations] + [one]
    for t, g in enumerate(correlations):
        factor = r * g / pivots[t]
        pivots[t + 1] -= factor * r * g
        rest[t + 1] += factor * rest[t]
    answer = [rest[-1] / pivots[-1]]
    for t in reversed(range(m - 1)):
        answer.append((rest[t] + r * correlations[t] * answer[-1]) / pivots[t])
    return answer[::-1]
