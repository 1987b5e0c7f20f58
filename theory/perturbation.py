r"""The kernel's expansion in the labels around the random-weight kernel, to any order (THEORY.md section 7).

Stationarity of the linear kernel free energy reads ``H^{-1} = C^{-1} - Λ`` with the message
``Λ = M + w S*[B]``, ``B = C^{-1}HC^{-1} - C^{-1}``, ``M = v 𝒯ᵀEYE𝒯``, ``E = (v𝒯H𝒯ᵀ + κ)^{-1}``,
``C = w[SHSᵀ] + uX⁻``, where S moves one time forward and S* is its adjoint. Eliminating the inverses,

``H = C + C B C``, ``B = Λ + Λ H Λ``.

Counting powers of Y, order by order and without inverting any kernel but the m × m one of the labels:

- ``M_k = v Σ_{i+j=k-1} E_i Y E_j``, ``E_i = -v Σ_{j≥1} E_0 H_j E_{i-j}``: known from lower orders;
- ``Λ_k = M_k + w S*[Λ_k + (ΛHΛ)_k]``: solved from the last time back, messages travelling backward;
- ``H_k = w[S H_k Sᵀ] + Σ_{b≥1} C_a B_b C_c``: solved from the first time on.

The expansion starts at ``H_0 = w[S H_0 Sᵀ] + uX⁻``, where ``Λ_0 = B_0 = 0``. It stays exact where ``H_0`` is
singular (inputs of deficient rank).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sympy import Add, Expr, ImmutableMatrix, Matrix, Mul, Rational, Symbol, sympify
from sympy.polys.constructor import construct_domain
from sympy.polys.domains import QQ
from sympy.polys.matrices import DomainMatrix
from sympy.polys.rings import ring

from theory.symbols import kappa, label, label_propagator, u, v, w

#: A matrix over hidden times (1-based): (t, t') to an element of some algebra; what is absent is zero.
TimeMatrix = Mapping[tuple[int, int], Any]
Product = Callable[[Any, Any, int], Any]

ARCHITECTURES = ("rnn", "dnn")


@dataclass(frozen=True)
class Series:
    """Orders 0 … k in Y of the kernel H, the message Λ and the label propagator E, as time matrices."""

    kernel: tuple[TimeMatrix, ...]
    message: tuple[TimeMatrix, ...]
    propagator: tuple[TimeMatrix, ...]


def series(
    prior: TimeMatrix,
    propagator: TimeMatrix,
    labels: TimeMatrix,
    arch: str,
    order: int,
    *,
    n: int,
    v: Any,
    w: Any,
    product: Product = lambda a, b, _: operator.mul(a, b),
) -> Series:
    """The recursion above in any algebra: numbers, polynomials, noncommuting symbols, matrices over patterns.

    Args:
        prior: ``H_0``.
        propagator: ``𝒯ᵀ(v𝒯H_0𝒯ᵀ + κ)^{-1}𝒯``, zero off the supervised pairs.
        labels: ``𝒯ᵀY𝒯``.
        arch: ``"rnn"`` or ``"dnn"``.
        order: the last power of Y.
        n: number of hidden times.
        v, w: prior widths, elements that may multiply those of the algebra from the left.
        product: of two elements that meet at the time given third.
    """

    def times(*factors: TimeMatrix) -> TimeMatrix:
        result = factors[0]
        for factor in factors[1:]:
            result = _multiply(result, factor, product)
        return result

    def forward(matrix: TimeMatrix) -> TimeMatrix:
        return {(t + 1, s + 1): w * a for (t, s), a in _mask(matrix, arch).items() if max(t, s) < n}

    def backward(matrix: TimeMatrix) -> TimeMatrix:
        return {(t - 1, s - 1): w * a for (t, s), a in _mask(matrix, arch).items() if min(t, s) > 1}

    H: list[TimeMatrix] = [prior]
    C: list[TimeMatrix] = [prior]
    E: list[TimeMatrix] = [propagator]
    message: list[TimeMatrix] = [{}]
    B: list[TimeMatrix] = [{}]
    for k in range(1, order + 1):
        if k > 1:
            feedback = _sum(times(propagator, H[j], E[k - 1 - j]) for j in range(1, k))
            E.append({key: -v * a for key, a in feedback.items()})
        from_labels = {key: v * a for key, a in _sum(times(E[i], labels, E[k - 1 - i]) for i in range(k)).items()}
        linked = _sum(times(message[a], H[k - a - c], message[c]) for a in range(1, k) for c in range(1, k - a + 1))
        arriving = _geometric(backward(_sum([from_labels, linked])), backward)
        message.append(_sum([from_labels, arriving]))
        B.append(_sum([message[k], linked]))
        sources = _sum(times(C[a], B[b], C[k - a - b]) for b in range(1, k + 1) for a in range(k - b + 1))
        H.append(_geometric(sources, forward))
        C.append(forward(H[k]))
    return Series(tuple(H), tuple(message), tuple(E))


def _sum(matrices: Iterable[TimeMatrix]) -> TimeMatrix:
    total: dict[tuple[int, int], Any] = {}
    for matrix in matrices:
        for key, element in matrix.items():
            total[key] = total[key] + element if key in total else element
    return total


def _multiply(left: TimeMatrix, right: TimeMatrix, product: Product) -> TimeMatrix:
    rows: dict[int, list[tuple[int, Any]]] = {}
    for (s, t), element in right.items():
        rows.setdefault(s, []).append((t, element))
    total: dict[tuple[int, int], Any] = {}
    for (t, s), element in left.items():
        for end, other in rows.get(s, []):
            term = product(element, other, s)
            total[t, end] = total[t, end] + term if (t, end) in total else term
    return total


def _mask(matrix: TimeMatrix, arch: str) -> TimeMatrix:
    return matrix if arch == "rnn" else {(t, s): a for (t, s), a in matrix.items() if t == s}


def _geometric(first: TimeMatrix, step: Callable[[TimeMatrix], TimeMatrix]) -> TimeMatrix:
    """``Σ_l step^l(first)``; the step leaves the time range after n times."""
    total, term = first, step(first)
    while term:
        total, term = _sum([total, term]), step(term)
    return total


# --- one pattern ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Path:
    """One path that contributes to a kernel entry: messages of label pairs, linked by the prior kernel.

    Attributes:
        entry: (t, t') of the kernel.
        labels: pairs (a, b) of supervised times, in order from t to t': the message of each is ``y^a y^b``.
        links: times at which neighbouring messages meet; one fewer than labels.
        weight: coefficient of the product of all labels, in u, v, w and the propagators ``E_t``.
    """

    entry: tuple[int, int]
    labels: tuple[tuple[int, int], ...]
    links: tuple[int, ...]
    weight: Expr

    @property
    def times(self) -> tuple[int, ...]:
        """``t ← links ← t'``."""
        return (self.entry[0], *self.links, self.entry[1])

    @property
    def shifts(self) -> tuple[int, ...]:
        """How far the pair of times was moved along the diagonal from each meeting to the entry.

        The labels alone take the path from t through ``t - (a1 - b1)``, …; a meeting later than that was carried
        back, one earlier was carried forward.
        """
        here, moved = self.entry[0], []
        for (a, b), link in zip(self.labels, self.links, strict=False):
            here -= a - b
            moved.append(link - here)
        return tuple(moved)

    @property
    def contribution(self) -> Expr:
        """Weight times the labels."""
        return self.weight * Mul(*(label(a) * label(b) for a, b in self.labels))

    def __str__(self) -> str:
        pairs = " ".join(f"y{a}·y{b}" for a, b in self.labels)
        return f"{' ← '.join(map(str, self.times))}  [{pairs}]"


@dataclass(frozen=True)
class Perturbation:
    """The kernel ``H = H_0 + Δ_1 + Δ_2 + …`` for input at t = 0 with ``x·x/D = 1``.

    Attributes:
        T, arch, supervised: the task; supervised are hidden times (1-based).
        kernel: for each order a table (t, t'), t ≤ t' to Δ_k^{tt'}; what is absent is zero.
        message: the same for Λ, twice the conjugate kernel.
        propagators: what the symbols ``E_t`` in the entries stand for.
    """

    T: int
    arch: str
    supervised: tuple[int, ...]
    kernel: tuple[Mapping[tuple[int, int], Expr], ...]
    message: tuple[Mapping[tuple[int, int], Expr], ...]
    propagators: Mapping[Symbol, Expr]

    @property
    def order(self) -> int:
        """The last power of Y."""
        return len(self.kernel) - 1

    def explicit(self, order: int) -> ImmutableMatrix:
        """Δ_order as an n × n matrix in ``y^t``, u, v, w, κ, the propagators written out."""
        return _explicit(self.kernel[order], self.T - 1, self.propagators)

    def explicit_message(self, order: int) -> ImmutableMatrix:
        """Λ of this order as an n × n matrix, the propagators written out."""
        return _explicit(self.message[order], self.T - 1, self.propagators)

    def paths(self, order: int) -> Mapping[tuple[int, int], tuple[Path, ...]]:
        """The paths of this order, for each entry (t, t'), t ≤ t'."""
        return paths(self.T, self.arch, order, self.supervised)


def perturbation(T: int, arch: str = "rnn", order: int = 2, *, supervised: Iterable[int] | None = None) -> Perturbation:
    """The expansion for one pattern with symbolic labels ``y^t``, widths and κ.

    Orthonormal patterns whose labels commute reduce to it. Entries are polynomials in ``y^t``, u, v, w and
    the propagators ``E_t = 1/(v u w^{t-1} + κ)``.

    Args:
        T: index of the last output, n = T - 1 hidden times.
        arch: ``"rnn"`` or ``"dnn"``.
        order: the last power of Y, 0 or more.
        supervised: hidden times whose output carries a label; by default all.

    Raises:
        ValueError: an argument outside its range.
    """
    times = _validated(T, arch, order, supervised)
    generators, prior, propagator = _ring(T - 1, times)
    labels = {(a, b): generators[label(a)] * generators[label(b)] for a in times for b in times}
    orders = series(prior, propagator, labels, arch, order, n=T - 1, v=generators[v], w=generators[w])
    return Perturbation(
        T,
        arch,
        times,
        tuple(_upper(matrix) for matrix in orders.kernel),
        tuple(_upper(matrix) for matrix in orders.message),
        _propagators(times),
    )


def _validated(T: int, arch: str, order: int, supervised: Iterable[int] | None) -> tuple[int, ...]:
    if isinstance(T, bool) or not isinstance(T, int) or T < 2:
        raise ValueError(f"T: is {T}; accepted: an integer ≥ 2")
    if arch not in ARCHITECTURES:
        raise ValueError(f"arch: is {arch!r}; accepted: rnn or dnn")
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise ValueError(f"order: is {order}; accepted: an integer ≥ 0")
    times = tuple(sorted(set(range(1, T) if supervised is None else supervised)))
    if not times or not all(isinstance(t, int) and 1 <= t < T for t in times):
        raise ValueError(f"supervised: is {times}; accepted: hidden times from 1 to {T - 1}")
    return times


def _ring(n: int, supervised: Sequence[int]) -> tuple[dict[Symbol, Any], TimeMatrix, TimeMatrix]:
    """Polynomials over the rationals, with the prior kernel and the label propagator among them."""
    symbols = [u, v, w, *(label_propagator(t) for t in supervised), *(label(t) for t in supervised)]
    elements = ring(symbols, QQ)[1:]
    generators = dict(zip(symbols, elements, strict=True))
    prior = {(t, t): generators[u] * generators[w] ** (t - 1) for t in range(1, n + 1)}
    return generators, prior, {(t, t): generators[label_propagator(t)] for t in supervised}


def _upper(matrix: TimeMatrix) -> dict[tuple[int, int], Expr]:
    return {key: a.as_expr() for key, a in sorted(matrix.items()) if key[0] <= key[1] and a != 0}


def _propagators(supervised: Sequence[int]) -> dict[Symbol, Expr]:
    return {label_propagator(t): 1 / (v * u * w ** (t - 1) + kappa) for t in supervised}


def _explicit(entries: Mapping[tuple[int, int], Expr], n: int, values: Mapping[Symbol, Expr]) -> ImmutableMatrix:
    result = Matrix.zeros(n, n)
    for (t, s), entry in entries.items():
        result[t - 1, s - 1] = result[s - 1, t - 1] = entry.subs(values)
    return ImmutableMatrix(result)


# --- paths ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _PathSum:
    """A formal sum of paths: (label pairs, links) to a weight."""

    terms: Mapping[tuple[tuple[tuple[int, int], ...], tuple[int, ...]], Any]

    def __add__(self, other: _PathSum) -> _PathSum:
        total = dict(self.terms)
        for key, weight in other.terms.items():
            total[key] = total[key] + weight if key in total else weight
        return _PathSum(total)

    def __rmul__(self, factor: Any) -> _PathSum:
        return _PathSum({key: factor * weight for key, weight in self.terms.items()})


def _join(left: _PathSum, right: _PathSum, time: int) -> _PathSum:
    """Paths one after the other; a link is where two messages meet, not where one meets the prior kernel."""
    total = _PathSum({})
    for (labels, links), weight in left.terms.items():
        for (more, others), factor in right.terms.items():
            meeting = (time,) if labels and more else ()
            total += _PathSum({(labels + more, links + meeting + others): weight * factor})
    return total


@cache
def paths(
    T: int, arch: str, order: int, supervised: tuple[int, ...] | None = None
) -> Mapping[tuple[int, int], tuple[Path, ...]]:
    """Every path of this order in Y, for each kernel entry (t, t') with t ≤ t'.

    A path ``t3 ← t2 ← t1`` (order 2) is a product of two messages, of the label pairs (a, b) and (c, d), which
    meet at t2. Steps along a diagonal of the kernel (both times moved together, factor w each) are summed in
    its weight. The contributions of an entry's paths add up to its entry in ``perturbation``.
    """
    times = _validated(T, arch, order, supervised)
    generators, prior, propagator = _ring(T - 1, times)

    def plain(matrix: TimeMatrix) -> TimeMatrix:
        return {key: _PathSum({((), ()): element}) for key, element in matrix.items()}

    one = generators[u] ** 0
    labels = {(a, b): _PathSum({(((a, b),), ()): one}) for a in times for b in times}
    orders = series(
        plain(prior),
        plain(propagator),
        labels,
        arch,
        order,
        n=T - 1,
        v=generators[v],
        w=generators[w],
        product=_join,
    )
    return {
        entry: tuple(
            Path(entry, pairs, links, weight.as_expr())
            for (pairs, links), weight in sorted(total.terms.items())
            if weight != 0
        )
        for entry, total in sorted(orders.kernel[order].items())
        if entry[0] <= entry[1]
    }


def cut_paths(
    T: int, order: int, supervised: tuple[int, ...] | None = None
) -> Mapping[tuple[int, int], tuple[Path, ...]]:
    """The RNN's paths of this order that the DNN's mask removes, for each kernel entry."""
    kept = paths(T, "dnn", order, supervised)
    result = {}
    for entry, whole in paths(T, "rnn", order, supervised).items():
        left = {(path.labels, path.links) for path in kept.get(entry, ())}
        removed = tuple(path for path in whole if (path.labels, path.links) not in left)
        if removed:
            result[entry] = removed
    return result


# --- matrix-valued in patterns -------------------------------------------------------------------------


def block_perturbation(
    T: int, arch: str = "rnn", order: int = 2, *, supervised: Iterable[int] | None = None
) -> tuple[Mapping[tuple[int, int], Expr], ...]:
    """The expansion for P patterns and input at t = 0, as noncommuting P × P matrices.

    ``X`` is the pattern kernel of the input, ``Y_ts = y^t (y^s)ᵀ``, ``E_t = (v u w^{t-1} X + κ)^{-1}``; all
    patterns of a supervised time carry a label. Returns for each order (t, t') to the block of Δ_k; absent
    blocks are zero.
    """
    times = _validated(T, arch, order, supervised)
    X = Symbol("X", commutative=False)
    prior = {(t, t): u * w ** (t - 1) * X for t in range(1, T)}
    propagator = {(t, t): Symbol(f"E_{t}", commutative=False) for t in times}
    labels = {(a, b): Symbol(f"Y_{a}{b}", commutative=False) for a in times for b in times}
    orders = series(prior, propagator, labels, arch, order, n=T - 1, v=v, w=w)
    return tuple(
        {key: Add(*Add.make_args(a.expand())) for key, a in sorted(matrix.items()) if a != 0}
        for matrix in orders.kernel
    )


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
    _validated(task.n + 1, arch, order, {t for t, _ in task.supervised})
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
        return {(t + 1, s + 1): w * a for (t, s), a in _mask(matrix, arch).items() if max(t, s) < n}

    return _geometric(source, forward)


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
