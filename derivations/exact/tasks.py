"""A small problem with exact numbers, for the free energy entry by entry."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from derivations.exact.request import Fields, Request, requested_sharing
from numerics.errors import InputError

if TYPE_CHECKING:
    from sympy import Expr, ImmutableMatrix

    from numerics.inputs.problem import Problem
    from theory.matrix_calculus.entrywise import ExactTask

#: Rows of the kernel up to which F, and its derivatives, are written out; F grows as their factorial.
MOST_ROWS = {"free-energy": 6, "stationarity": 12, "hessian": 6}
#: Numbers as close as this, relatively, to a fraction of small denominator are that fraction.
_CLOSE, _DENOMINATOR = 1e-14, 10_000


def nearest_fraction(value: float) -> Expr:
    """The fraction of small denominator that a number is to rounding, else its own binary fraction."""
    from sympy import Rational

    own = Fraction(float(value))
    near = own.limit_denominator(_DENOMINATOR)
    found = near if abs(near - own) <= _CLOSE * abs(own) else own
    return Rational(found.numerator, found.denominator)


def task_of(request: Request, what: str) -> tuple[ExactTask, Fields]:
    """The task that was asked for, and what its symbols stand for.

    Raises:
        InputError: its kernel has too many rows, or is singular in a way that no basis of the patterns mends.
    """
    if request.problem is None:
        assert isinstance(request.T, int)
        return _endpoint(request, request.T, what)
    return _of_problem(request, request.problem, what)


def _endpoint(request: Request, T: int, what: str) -> tuple[ExactTask, Fields]:
    """One pattern with x·x/D = 1 and ``y² = λ v w^(T-2) u``."""
    from sympy import ImmutableMatrix, Integer, zeros

    from theory import symbols
    from theory.matrix_calculus.explicit import Layout

    if T < 3:
        raise InputError(f"--T: is {T}; accepted: an integer ≥ 3")
    n = T - 1
    _require_small(n, what)
    inputs = zeros(n, n)
    inputs[0, 0] = Integer(1)
    signal = symbols.signal if request.signal is None else nearest_fraction(request.signal)
    label = ImmutableMatrix([[signal * symbols.v * symbols.w ** (T - 2) * symbols.u]])
    return _task(request, Layout.of_pairs(n, 1, [n - 1]), inputs, n * [[1]], (label,), None), {}


def _of_problem(request: Request, problem: Problem, what: str) -> tuple[ExactTask, Fields]:
    from sympy import Identity, ImmutableMatrix, Matrix

    from theory.matrix_calculus.explicit import Layout
    from theory.symbols import joint_label

    n, P = problem.n, problem.P
    x = [Matrix(P, problem.D, lambda p, d, t=t: nearest_fraction(float(problem.x[p, t, d]))) for t in range(n)]
    constant = [Matrix.ones(P, 1)] if request.bias != 0 else []
    columns = Matrix.hstack(x[0], *constant)
    basis, pivots = Matrix(Identity(P)), tuple(range(P))
    if columns.rank() < P:
        if problem.x[:, 1:].any():
            raise InputError(
                "x: has patterns that depend on each other at t = 0, and input at later times; accepted: independent "
                "patterns at t = 0, or input there only"
            )
        reduced, pivots = columns.T.rref()
        basis = reduced[: len(pivots), :].T  # rows of x are combinations of the pivot patterns
    r = len(pivots)
    _require_small(n * r, what)
    kept = [found.extract(list(pivots), list(range(problem.D))) for found in x]
    stacked = Matrix.vstack(*kept)
    inputs = (stacked * stacked.T / problem.D).applyfunc(_clean)
    indices = range(1, problem.outputs + 1) if problem.outputs > 1 else (0,)
    projections, outer = [], []
    given: dict[str, float] = {}
    for c, (positions, values) in zip(indices, problem.targets, strict=True):
        rows = [[0] * (n * r) for _ in positions]
        places = []
        for row, position in zip(rows, positions.tolist(), strict=True):
            t, p = divmod(position, P)
            row[t * r : (t + 1) * r] = basis.row(p)
            places.append((t + 1, p + 1))
        y = Matrix([joint_label(place, c) for place in places])
        projections.append(ImmutableMatrix(rows))
        outer.append(ImmutableMatrix(y * y.T))
        given |= {str(symbol): float(value) for symbol, value in zip(y, values, strict=True)}
    shown: Fields = {"labels": given if request.labels_given else None}
    if r < P:
        shown["patterns"] = ImmutableMatrix(basis)  # each a combination of as many as the kernel has
    layout = Layout(n, r, tuple(projections))
    return _task(request, layout, inputs, n * [[1] * r], tuple(outer), problem), shown


def _clean(value: Any) -> Any:
    """Products of roots that rounding left beside a fraction of small denominator."""
    return nearest_fraction(float(value)) if abs(nearest_fraction(float(value)) - value) < _CLOSE else value


def _task(
    request: Request,
    layout: Any,
    inputs: Any,
    ones: list[list[int]],
    outer: tuple[ImmutableMatrix, ...],
    problem: Problem | None,
) -> ExactTask:
    from sympy import ImmutableMatrix, Matrix

    from theory.matrix_calculus.entrywise import ExactTask, time_matrix
    from theory.matrix_calculus.kernel_functional import SHARING, LinearNetwork
    from theory.sharing import bias_correlations

    n, r = layout.n, layout.P
    if request.arch == "matrix":
        assert problem is not None
        M = ImmutableMatrix(n - 1, n - 1, lambda s, t: nearest_fraction(float(problem.sharing[s, t])))
        B = bias_correlations(M)
    else:
        found = requested_sharing(request)
        M, B = found.matrix(n), found.biases(n)
    biases = Matrix(n * r, n * r, lambda i, j: B[i // r, j // r])
    network = LinearNetwork(SHARING, request.skip, request.bias, len(outer))
    return ExactTask(network, layout, time_matrix(M), ImmutableMatrix(inputs), ImmutableMatrix(biases), outer)


def _require_small(rows: int, what: str) -> None:
    if rows > MOST_ROWS[what]:
        raise InputError(
            f"PROBLEM: has a kernel of {rows} rows (hidden times × patterns); accepted: at most {MOST_ROWS[what]} for "
            f"{what} entry by entry (the matrix expression, --T symbolic, holds for any)"
        )
