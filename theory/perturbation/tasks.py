"""The expansion in exact numbers: any inputs, patterns, supervised pairs (t, p), skip and biases.

See docs/theory.md sections 7, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import ImmutableMatrix, Matrix
from sympy.polys.constructor import construct_domain
from sympy.polys.matrices import DomainMatrix

from theory.perturbation.algebra import Architecture, exact, sharing_matrix
from theory.perturbation.series import TimeMatrix, carried, geometric, series, skipped, validated, weight_steps
from theory.sharing import bias_correlations, sharing


@dataclass(frozen=True)
class Task:
    """A linear task in exact numbers: rationals, or expressions SymPy can compute with as field elements.

    Attributes:
        n: number of hidden times.
        input_kernel: ``x_p·x_q/D`` as P × P for input at t = 0, or the whole ``X⁻`` as nP × nP.
        supervised: pairs (t, p), 1-based.
        labels: ``Y`` over the supervised pairs, m × m; or the m labels, of which it is the outer product.
        u, v, w, kappa: prior widths and noise.
        skip, bias: a and β, 0 for none.

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
    skip: Any = 0
    bias: Any = 0

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


def expand(
    task: Task, arch: Architecture, order: int, *, inputs_at_all_times: bool = False
) -> tuple[ImmutableMatrix, ...]:
    """``H_0, Δ_1, …, Δ_order`` as exact nP × nP matrices (time-major), for any inputs and supervision.

    Args:
        task: the task; floats are taken as the rationals that they are.
        arch: a word of ``theory.sharing``, such as ``drift:1/2``, or a sharing matrix.
        order: the last power of Y.
        inputs_at_all_times: the input kernel is the whole ``X⁻``, not that of t = 0.
    """
    P = task.patterns(inputs_at_all_times)
    validated(task.n + 1, order, {t for t, _ in task.supervised})
    M = sharing_matrix(arch, task.n)
    positions = [(t - 1) * P + p - 1 for t, p in task.supervised]
    if len(set(positions)) != len(positions) or not all(1 <= p <= P for _, p in task.supervised):
        raise ValueError(f"supervised: {task.supervised}; accepted: different pairs (t, p), p from 1 to {P}")
    n, size = task.n, task.n * P
    X = Matrix.zeros(size, size)
    X[: task.input_kernel.rows, : task.input_kernel.cols] = task.input_kernel
    B = sharing(arch).biases(n) if isinstance(arch, str) else bias_correlations(M)
    C = task.u * X + task.bias * Matrix(size, size, lambda i, j: B[i // P, j // P])
    Y = Matrix.zeros(size, size)
    for i, a in enumerate(positions):
        for j, b in enumerate(positions):
            Y[a, b] = task.labels[i, j]
    numbers = [exact(x) for x in (task.v, task.w, task.kappa, task.skip, *C, *Y, *M)]
    domain, elements = construct_domain(numbers, field=True)
    v_, w_, kappa_, skip_ = elements[:4]
    sources, labels = (
        _blocks([elements[k + i * size : k + (i + 1) * size] for i in range(size)], n, P, domain)
        for k in (4, 4 + size * size)
    )
    steps = weight_steps(M, w_, skip_, domain.from_sympy)
    entering = carried(sources, {pair: skipped(pair, n, domain.one, skip_) for pair in sources})
    prior = geometric(entering, lambda matrix: carried(matrix, steps))
    propagator = _label_propagator(prior, positions, n, P, v_, kappa_, domain)
    orders = series(prior, propagator, labels, steps, order, v=v_)
    return tuple(_assemble(matrix, n, P) for matrix in orders.kernel)


def _blocks(rows: Sequence[Sequence[Any]], n: int, P: int, domain: Any) -> TimeMatrix:
    blocks = {}
    for t in range(n):
        for s in range(n):
            block = [list(row[s * P : (s + 1) * P]) for row in rows[t * P : (t + 1) * P]]
            if any(element for row in block for element in row):
                blocks[t + 1, s + 1] = DomainMatrix(block, (P, P), domain)
    return blocks


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
