"""What the expansion for one pattern is computed in: the sharing matrix, and polynomials (docs/theory.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import mpmath
from sympy import ImmutableMatrix, Rational, Symbol, sympify
from sympy.polys.domains import QQ
from sympy.polys.rings import ring

from theory.perturbation.series import Steps, TimeMatrix, weight_steps
from theory.sharing import prior_variances, sharing
from theory.symbols import label, label_propagator, u, v, w

#: A word of ``theory.sharing``, or a sharing matrix M.
Architecture: TypeAlias = str | ImmutableMatrix

_ROUNDING = 1e-12


def exact(number: Any) -> Any:
    """A float as the rational that it is."""
    return Rational(number) if isinstance(number, float) or getattr(number, "is_Float", False) else sympify(number)


def sharing_matrix(arch: Architecture, n: int) -> ImmutableMatrix:
    """M, ``(n-1) × (n-1)``, in exact numbers and symbols.

    Raises:
        ValueError: another word; a matrix of another shape, not symmetric, or in numbers and not positive semi-definite
            with a positive diagonal (symbols are not judged).
    """
    if isinstance(arch, str):
        return sharing(arch).matrix(n)
    M = ImmutableMatrix(arch).applyfunc(exact)
    if M.shape != (n - 1, n - 1) or M != M.T:
        raise ValueError(f"arch: a matrix {M.shape}; accepted: a word, or a symmetric matrix ({n - 1}, {n - 1})")
    if any(entry.is_number and not entry.is_real for entry in M):
        raise ValueError("arch: a matrix with entries that are not real; accepted: real numbers, or symbols")
    if any(entry.is_number and not entry.is_positive for entry in M.diagonal()):
        raise ValueError("arch: a number that is not positive on the diagonal; accepted: a sharing matrix, where it is")
    if M.rows and not M.free_symbols:
        smallest = min(mpmath.eigsy(mpmath.matrix(M.evalf(20).tolist()), eigvals_only=True))
        if smallest < -_ROUNDING * max(M.diagonal()):
            raise ValueError(
                f"arch: has the eigenvalue {float(smallest):.3g}; accepted: a positive semi-definite matrix"
            )
    return M


@dataclass(frozen=True)
class OnePattern:
    """Polynomials over the rationals in u, v, w, ``E_t``, ``y^t`` and the symbols of M.

    Attributes:
        generators: symbols to the ring's elements.
        prior, propagator: ``H_0``, diagonal for any sharing, and ``E_t`` at the supervised times.
        steps: where the weights take a pair of times, and with which factor.
    """

    generators: dict[Symbol, Any]
    prior: TimeMatrix
    propagator: TimeMatrix
    steps: Steps


def one_pattern(M: ImmutableMatrix, supervised: Sequence[int]) -> OnePattern:
    """The ring for one pattern with input at t = 0 and ``x·x/D = 1``.

    Raises:
        ValueError: an entry of M that is no polynomial with rational coefficients.
    """
    fixed = [u, v, w, *(label_propagator(t) for t in supervised), *(label(t) for t in supervised)]
    symbols = list(dict.fromkeys([*fixed, *sorted(M.free_symbols, key=str)]))
    polynomials, *elements = ring(symbols, QQ)
    generators = dict(zip(symbols, elements, strict=True))
    try:
        steps = weight_steps(M, generators[w], element=polynomials.from_expr)
    except ValueError:
        raise ValueError("arch: accepted: a matrix of rational numbers, or of polynomials in symbols") from None
    prior = {(t, t): polynomials.from_expr(h) for t, h in enumerate(prior_variances(M), 1)}
    return OnePattern(generators, prior, {(t, t): generators[label_propagator(t)] for t in supervised}, steps)
