"""Proof in ball arithmetic that a true stationary kernel lies next to a computed one (endpoint supervision, one
pattern).

Krawczyk's test: with x̂ the computed independent entries, X a box around it, Y an approximate inverse of the Hessian, if

``K(X) = x̂ - Y ∇F(x̂) + (1 - Y ∂²F(X)) (X - x̂)``

lies inside X, then X holds exactly one zero of ∇F, and it lies in K(X) (Krawczyk 1969; Neumaier 1990, section 5.1).
Every number is a ball of python-flint's arb that contains the exact value, so rounding is part of the proof. The
signature is that of the pivots of ``∂²F(X)``, each a ball that excludes 0 (Sylvester's law). Needs the extra
``certify``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from numerics.problem import InputError
from numerics.saddle.newton import polish
from numerics.solution import Solution
from numerics.transition.batch import LONGEST, lowered_endpoint

FloatArray = NDArray[np.float64]

#: Working precision in bits, and the box's relative half-width: small against 1, large against rounding.
BITS, HALF_WIDTH = 256, 1e-20


@dataclass(frozen=True, eq=False)
class Certificate:
    """What has been proved.

    Attributes:
        proved: whether both proofs went through; if not, nothing is claimed.
        radius: every entry of the returned kernel is within this of a true stationary kernel's, relative to
            ``√(H^{tt}H^{ss})``.
        negative: number of negative eigenvalues of the Hessian at the true kernel; 0 for a minimum.
        free_energy: lower and upper bound of F there.
        digits: the kernel's independent entries as decimal balls ``mid ± radius``, row by row.
        status: one sentence.
    """

    proved: bool
    radius: float
    negative: int
    free_energy: tuple[float, float]
    digits: tuple[str, ...]
    status: str


NOT_PROVED = Certificate(False, np.inf, -1, (-np.inf, np.inf), (), "Not proved: the box does not contract.")


def certify(solution: Solution) -> Certificate:
    """Prove that a stationary point of F lies at the solution, and the signature of its Hessian.

    The problem's numbers (x, y, u, v, w, κ) are taken as the exact binary fractions that they are.

    Raises:
        InputError: the problem is not endpoint supervision of one pattern with at most T = 5, the solution has not
            converged, or python-flint is not installed.
    """
    flint = _flint()
    T, parameters = _endpoint_parameters(solution, flint)
    lowered = lowered_endpoint(T, solution.problem.arch)
    n = T - 1
    rows, columns = np.triu_indices(n)
    x = solution.kernel[rows, columns]
    with flint.ctx.workprec(BITS):
        scale = [
            float(np.sqrt(solution.kernel[i, i] * solution.kernel[j, j])) for i, j in zip(rows, columns, strict=True)
        ]
        middle = [flint.arb(text).mid() for text in _polished(lowered, x, parameters)]
        box = [m + flint.arb(0, HALF_WIDTH * s) for m, s in zip(middle, scale, strict=True)]
        centre_values = _evaluate(lowered, middle, parameters, flint)
        box_values = _evaluate(lowered, box, parameters, flint)
        hessian = flint.arb_mat(box_values.hessian)
        # any approximate inverse serves the proof; a singular matrix makes it fail
        centre = np.array([[float(h.mid()) for h in row] for row in box_values.hessian])
        if not np.isfinite(centre).all():
            return NOT_PROVED
        inverse = flint.arb_mat(np.linalg.pinv(centre, rcond=1e-15, hermitian=True).tolist())
        d = len(middle)
        gradient = flint.arb_mat([[g] for g in centre_values.gradient])
        spread = flint.arb_mat([[b - m] for b, m in zip(box, middle, strict=True)])
        identity = flint.arb_mat(np.eye(d).tolist())
        image = flint.arb_mat([[m] for m in middle]) - inverse * gradient + (identity - inverse * hessian) * spread
        new = [image[i, 0] for i in range(d)]
        inside = all(b.contains_interior(k) for b, k in zip(box, new, strict=True))
        negative, definite = _signature([[hessian[i, j] for j in range(d)] for i in range(d)])
        F = _evaluate(lowered, new, parameters, flint).value
        offsets = [
            float(abs(k - flint.arb(float(value))).upper()) / s for k, value, s in zip(new, x, scale, strict=True)
        ]
        bounds = (float(F.lower()), float(F.upper()))
        digits = tuple(k.str(40) for k in new)
    proved = inside and definite
    if not proved:
        return NOT_PROVED
    kind = "a minimum" if negative == 0 else f"a saddle point with {negative} negative eigenvalue{'s' * (negative > 1)}"
    status = f"Proved: {kind} within {max(offsets):.1e} of the returned kernel, relative to √(H^tt H^ss)."
    return Certificate(True, max(offsets), negative, bounds, digits, status)


@dataclass(frozen=True, eq=False)
class _Balls:
    value: Any
    gradient: list[Any]
    hessian: list[list[Any]]


class _BallFunctions:
    """The few functions that lowered source text calls, on balls."""

    def __init__(self, flint: Any) -> None:
        self._flint = flint

    def mpf(self, value: Any) -> Any:
        return self._flint.arb(value)

    @staticmethod
    def log(value: Any) -> Any:
        return value.log()

    @staticmethod
    def sqrt(value: Any) -> Any:
        return value.sqrt()


def _evaluate(lowered: Any, x: list[Any], parameters: list[Any], flint: Any) -> _Balls:
    terms, rest = lowered.evaluate_with(_BallFunctions(flint), x, parameters)
    d = len(x)
    hessian = [[None] * d for _ in range(d)]
    for row, (i, j) in enumerate(zip(*np.triu_indices(d), strict=True)):
        hessian[i][j] = hessian[j][i] = rest[d + row]
    return _Balls(sum(terms, flint.arb(0)), rest[:d], hessian)


def _signature(matrix: list[list[Any]]) -> tuple[int, bool]:
    """Negative pivots of symmetric elimination on balls, and whether every pivot's sign is certain."""
    d, negative = len(matrix), 0
    for k in range(d):
        pivot = matrix[k][k]
        if pivot.contains(0):
            return -1, False
        negative += bool(pivot < 0)
        for i in range(k + 1, d):
            factor = matrix[i][k] / pivot
            for j in range(k + 1, d):
                matrix[i][j] = matrix[i][j] - factor * matrix[k][j]
    return negative, True


def _polished(lowered: Any, x: FloatArray, parameters: list[Any]) -> list[str]:
    """The entries to 60 digits, as decimal strings."""
    entries, _ = polish(lowered, x, [p.mid().str(75, radius=False) for p in parameters], digits=60)
    with mpmath.workdps(75):
        return [mpmath.nstr(entry, 70) for entry in entries]


def _endpoint_parameters(solution: Solution, flint: Any) -> tuple[int, list[Any]]:
    """T and (λ, κ, u, v, w) as balls: λ = y²/(v w^(T-2) u') with u' = u x·x/D, the width that the input sees."""
    problem = solution.problem
    single = problem.P == 1 and problem.supervised.tolist() == [problem.n - 1] and not problem.x[:, 1:].any()
    if not single or problem.T > LONGEST or problem.activation != "linear":
        raise InputError(
            f"solution: is not of one pattern, supervised at the last output only, with T ≤ {LONGEST}; accepted: "
            "endpoint problems as those of numerics.transition.batch"
        )
    if not solution.converged:
        raise InputError("solution: has not converged; accepted: a converged state")
    with flint.ctx.workprec(BITS):
        arb = flint.arb
        square = sum((arb(float(value)) ** 2 for value in problem.x[0, 0]), arb(0))
        u = arb(problem.u) * square / problem.D
        v, w = arb(problem.v), arb(problem.w)
        signal = arb(float(problem.labels[0])) ** 2 / (v * w ** (problem.T - 2) * u)
        return problem.T, [signal, arb(problem.kappa), u, v, w]


def _flint() -> Any:
    try:
        import flint
    except ImportError:
        raise InputError("certify: python-flint is not installed; accepted: pip install 'unrolled[certify]'") from None
    return flint
