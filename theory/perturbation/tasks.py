"""The expansion in exact numbers, for any inputs, patterns and supervised pairs (t, p) (docs/theory.md section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import ImmutableMatrix, Matrix, Rational, sympify
from sympy.polys.constructor import construct_domain
from sympy.polys.matrices import DomainMatrix

from theory.perturbation.series import TimeMatrix, geometric, masked, series, validated


@dataclass(frozen=True)
class Task:
    """A linear task in exact numbers: rationals, or expressions SymPy can compute with as field elements.

    Attributes:
        n: number of hidden times.
        input_kernel: ``x_p·x_q/D`` as P × P for input at t = 0, or the whole ``X⁻`` as nP × nP.
        supervised: pairs (t, p), 1-based.
        labels: ``Y`` over the supervised pairs, m × m; or the m labels, of which it is the outer product.
        u, v, w, kappa: prior widths and noise.

    Raises:
        ValueError: shapes that do not fit, or a supervised pair out of range or given twice.
    """

    n: int
    input_kernel: ImmutableMatrix
    supervised: tuple[tuple[int, int], ...]
    labels: ImmutableMatrix
    u: Any = 1
    v: Any = 1
    w: Any = 1
    kappa: Any = 1

    def __post_init__(self) -> None:
        put = object.__setattr__
        kernel, labels = ImmutableMatrix(self.input_kernel), ImmutableMatrix(self.labels)
        pairs = tuple((int(t), int(p)) for t, p in self.supervised)
        if kernel.rows != kernel.cols or kernel != kernel.T:
            raise ValueError(f"input_kernel: {kernel.shape}; accepted: a symmetric matrix, P × P or nP × nP")
        if labels.cols == 1:
            labels = ImmutableMatrix(labels * labels.T)
        if labels.shape != (len(pairs), len(pairs)) or labels != labels.T:
            raise ValueError(f"labels: {labels.shape}; accepted: {len(pairs)} labels, or a symmetric Y of that size")
        put(self, "input_kernel", kernel)
        put(self, "labels", labels)
        put(self, "supervised", pairs)

    def patterns(self, whole: bool) -> int:
        """P, read off the input kernel, which is nP × nP if ``whole``."""
        return int(self.input_kernel.rows) // (self.n if whole else 1)


def supervise(times: Iterable[int], P: int) -> tuple[tuple[int, int], ...]:
    """All patterns at the given hidden times, in time-major order."""
    return tuple((t, p) for t in times for p in range(1, P + 1))


def expand(task: Task, arch: str, order: int, *, inputs_at_all_times: bool = False) -> tuple[ImmutableMatrix, ...]:
    """``H_0, Δ_1, …, Δ_order`` as exact nP × nP matrices (time-major), for any inputs and supervision.

    Args:
        task: the task; floats are taken as the rationals that they are.
        arch: ``"rnn"`` or ``"dnn"``.
        order: the last power of Y.
        inputs_at_all_times: the input kernel is the whole ``X⁻``, not that of t = 0.
    """
    P = task.patterns(inputs_at_all_times)
    validated(task.n + 1, arch, order, {t for t, _ in task.supervised})
    positions = [(t - 1) * P + p - 1 for t, p in task.supervised]
    if len(set(positions)) != len(positions) or not all(1 <= p <= P for _, p in task.supervised):
        raise ValueError(f"supervised: {task.supervised}; accepted: different pairs (t, p), p from 1 to {P}")
    n, size = task.n, task.n * P
    X = Matrix.zeros(size, size)
    X[: task.input_kernel.rows, : task.input_kernel.cols] = task.input_kernel
    Y = Matrix.zeros(size, size)
    for i, a in enumerate(positions):
        for j, b in enumerate(positions):
            Y[a, b] = task.labels[i, j]
    numbers = [_exact(x) for x in (task.u, task.v, task.w, task.kappa, *X, *Y)]
    domain, elements = construct_domain(numbers, field=True)
    u_, v_, w_, kappa_ = elements[:4]
    whole = {"X": elements[4 : 4 + size * size], "Y": elements[4 + size * size :]}
    blocks = {
        name: _blocks([values[i * size : (i + 1) * size] for i in range(size)], n, P, domain)
        for name, values in whole.items()
    }
    prior = _prior({key: u_ * a for key, a in blocks["X"].items()}, arch, n, w_)
    propagator = _label_propagator(prior, positions, n, P, v_, kappa_, domain)
    orders = series(prior, propagator, blocks["Y"], arch, order, n=n, v=v_, w=w_)
    return tuple(_assemble(matrix, n, P) for matrix in orders.kernel)


def _exact(number: Any) -> Any:
    return Rational(number) if isinstance(number, float) or getattr(number, "is_Float", False) else sympify(number)


def _blocks(rows: Sequence[Sequence[Any]], n: int, P: int, domain: Any) -> TimeMatrix:
    blocks = {}
    for t in range(n):
        for s in range(n):
            block = [list(row[s * P : (s + 1) * P]) for row in rows[t * P : (t + 1) * P]]
            if any(element for row in block for element in row):
                blocks[t + 1, s + 1] = DomainMatrix(block, (P, P), domain)
    return blocks


def _prior(source: TimeMatrix, arch: str, n: int, w: Any) -> TimeMatrix:
    """``H_0 = w[S H_0 Sᵀ] + uX⁻``."""

    def forward(matrix: TimeMatrix) -> TimeMatrix:
        return {(t + 1, s + 1): w * a for (t, s), a in masked(matrix, arch).items() if max(t, s) < n}

    return geometric(source, forward)


def _label_propagator(
    prior: TimeMatrix, positions: Sequence[int], n: int, P: int, v: Any, kappa: Any, domain: Any
) -> TimeMatrix:
    whole = _rows(prior, n, P, domain)
    m = len(positions)
    inner = [[v * whole[a][b] + (kappa if a == b else domain.zero) for b in positions] for a in positions]
    inverse = DomainMatrix(inner, (m, m), domain).inv().to_list()
    rows = [[domain.zero] * (n * P) for _ in range(n * P)]
    for i, a in enumerate(positions):
        for j, b in enumerate(positions):
            rows[a][b] = inverse[i][j]
    return _blocks(rows, n, P, domain)


def _rows(matrix: TimeMatrix, n: int, P: int, domain: Any) -> list[list[Any]]:
    rows = [[domain.zero] * (n * P) for _ in range(n * P)]
    for (t, s), block in matrix.items():
        for p, row in enumerate(block.to_list()):
            rows[(t - 1) * P + p][(s - 1) * P : s * P] = row
    return rows


def _assemble(matrix: TimeMatrix, n: int, P: int) -> ImmutableMatrix:
    result = Matrix.zeros(n * P, n * P)
    for (t, s), block in matrix.items():
        result[(t - 1) * P : t * P, (s - 1) * P : s * P] = block.to_Matrix()
    return ImmutableMatrix(result)
