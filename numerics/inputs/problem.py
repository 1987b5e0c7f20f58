"""What is to be learnt: inputs, labels, architecture and prior widths, validated once.

This module holds data only. The saddle solvers and the simulator both read it; neither learns from it
anything about how the other works.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.errors import InputError
from numerics.inputs.activation import LINEAR, Activation, activation_of
from numerics.inputs.arrays import real_array
from numerics.inputs.scalars import integer, real
from numerics.linalg import FloatArray

Architecture = Literal["rnn", "dnn"]

ARCHITECTURES: tuple[str, ...] = get_args(Architecture)

#: Largest and smallest size of anything squared (prior kernels, labels², v, κ): products of a few of these, as in an
#: alignment of kernels, still are double-precision numbers.
LARGEST, SMALLEST = 1e60, 1e-60
#: Largest signal y²/(v H_0): beyond it, gradients that cancel leave nothing of a double's 16 digits.
LARGEST_SIGNAL = 1e15
#: Most rows nP of a kernel, a matrix of 8 (nP)² bytes: 800 MB here.
LARGEST_KERNEL = 10_000


def _require(condition: bool, argument: str, wrong: str, accepted: str) -> None:
    if not condition:
        raise InputError(f"{argument}: {wrong}; accepted: {accepted}")


def _positive(value: float, argument: str, *, zero: bool = False, largest: float = LARGEST) -> float:
    bound = "a finite number ≥ 0" if zero else "a finite number > 0"
    number = real(value, argument, bound)
    _require(math.isfinite(number) and (number > 0 or (zero and number == 0)), argument, f"is {number:g}", bound)
    _require(number <= largest, argument, f"is {number:g}", f"at most {largest:g}, for double precision")
    _require(zero or number >= SMALLEST, argument, f"is {number:g}", f"at least {SMALLEST:g}")
    return number


def _horizon(value: int, patterns: int) -> int:
    longest = LARGEST_KERNEL // patterns + 1
    accepted = f"an integer ≥ 3, at most {longest}"
    return integer(value, "T", 3, longest, accepted)


def _representable(start: float, growth: float, times: int, argument: str) -> None:
    """Refuse a scale ``start · growth^(t-1)``, t = 1 … times, outside the range of double precision."""
    last = math.log10(start) + (times - 1) * math.log10(growth)
    _require(
        math.log10(SMALLEST) - 1e-9 <= last <= math.log10(LARGEST) + 1e-9,
        argument,
        f"gives the scale 1e{last:+.0f} at t = {times}",
        f"scales from {SMALLEST:g} to {LARGEST:g}",
    )


def _inputs(value: ArrayLike, argument: str, n: int) -> FloatArray:
    """Inputs as (P, n, D), zero at the times where none is given."""
    x = real_array(value, argument)
    _require(x.ndim in (2, 3), argument, f"has shape {x.shape}", "(P, D) for input at t = 0, or (P, times, D)")
    _require(min(x.shape) > 0, argument, f"has shape {x.shape}", "at least one pattern, time and dimension")
    if x.ndim == 2:
        x = x[:, None, :]
    _require(bool(np.isfinite(x).all()), argument, "contains NaN or infinity", "finite numbers")
    _require(
        x.shape[1] <= n,
        argument,
        f"has {x.shape[1]} input times for {n} hidden times",
        "at most as many input times as columns in y",
    )
    return np.concatenate([x, np.zeros((x.shape[0], n - x.shape[1], x.shape[2]))], axis=1)


@dataclass(frozen=True, eq=False)
class Problem:
    """A regression task for the unrolled network (docs/theory.md section 1).

    ``h^1 = U x^0``, ``h^t = W^(t-1) φ(h^(t-1)) + U x^(t-1)``, ``f^(t+1) = V φ(h^t)`` for ``t = 1 … n``.

    Attributes:
        x: inputs, shape (P, n, D); ``x[:, s]`` is x^s, s = 0 … n-1. (P, D) or fewer times are padded with zeros.
        y: labels, shape (P, n); column t-1 is the label of f^(t+1), NaN where unsupervised.
        arch: ``"rnn"`` (one W for all times) or ``"dnn"`` (an independent W at each time).
        activation: φ, which becomes an `Activation`: ``"linear"``, ``"erf"``, ``"tanh"``, ``"relu"``, or a function of
            NumPy arrays.
        u, v, w: prior widths, ``U ~ N(0, u/D)``, ``V ~ N(0, v/N²)``, ``W ~ N(0, w/N)``.
        kappa: noise, ``K = κ/N`` in the likelihood ``exp(-Σ (f-y)²/(2K))``; 0 for the theory's noiseless limit.
        x_test, y_test: further patterns (Q, n, D) and, where known, their labels (Q, n).

    Raises:
        InputError: one line naming the argument, what was wrong, and what is accepted.
    """

    x: FloatArray
    y: FloatArray
    arch: Architecture = "rnn"
    activation: Activation = LINEAR
    u: float = 1.0
    v: float = 1.0
    w: float = 1.0
    kappa: float = 1.0
    x_test: FloatArray | None = None
    y_test: FloatArray | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        y = real_array(self.y, "y", missing=True)
        _require(y.ndim == 2 and min(y.shape) > 0, "y", f"has shape {y.shape}", "(P, times), NaN where unsupervised")
        _require(not np.isinf(y).any(), "y", "contains infinity", "finite numbers, NaN where unsupervised")
        _require(not np.isnan(y).all(), "y", "has no supervised entry", "at least one finite label")
        n = y.shape[1]
        x = _inputs(self.x, "x", n)
        _require(x.shape[0] == y.shape[0], "y", f"has {y.shape[0]} patterns, x has {x.shape[0]}", "the same number")
        _require(y.size <= LARGEST_KERNEL, "y", f"has shape {y.shape}", f"at most {LARGEST_KERNEL} entries")
        _require(bool((x[:, 0] != 0).any()), "x", "is zero for every pattern at t = 0", "a non-zero input at t = 0")
        put(self, "x", x)
        put(self, "y", y)
        if self.x_test is not None:
            x_test = _inputs(self.x_test, "x_test", n)
            _require(
                x_test.shape[2] == x.shape[2],
                "x_test",
                f"has input dimension {x_test.shape[2]}",
                f"that of x, {x.shape[2]}",
            )
            put(self, "x_test", x_test)
        if self.y_test is not None:
            _require(self.x_test is not None, "y_test", "is given without x_test", "both or neither")
            y_test = real_array(self.y_test, "y_test", missing=True)
            assert self.x_test is not None
            shape = (self.x_test.shape[0], n)
            _require(y_test.shape == shape, "y_test", f"has shape {y_test.shape}", f"{shape}")
            _require(not np.isinf(y_test).any(), "y_test", "contains infinity", "finite numbers, NaN where unknown")
            put(self, "y_test", y_test)
        _require(self.arch in ARCHITECTURES, "arch", f"is {self.arch!r}", " or ".join(ARCHITECTURES))
        put(self, "activation", activation_of(self.activation))
        for name in ("u", "v", "w"):
            put(self, name, _positive(getattr(self, name), name))
        put(self, "kappa", _positive(self.kappa, "kappa", zero=True))
        self._check_scales()
        for array in (self.x, self.y, self.x_test, self.y_test):
            if array is not None:
                array.setflags(write=False)

    def _check_scales(self) -> None:
        """Refuse what double precision cannot carry: kernels that leave its range, and labels far beyond them."""
        label = np.nanmax(np.abs(self.y))
        _require(label <= math.sqrt(LARGEST), "y", f"has entries of size {label:g}", f"at most {math.sqrt(LARGEST):g}")
        for x, name in ((self.x, "x"), (self.x_test, "x_test")):
            if x is None:
                continue
            size = np.abs(x).max(axis=2)
            sizes = size[size > 0]
            for extreme in (sizes.min(initial=1.0), sizes.max(initial=1.0)):
                low, high = math.sqrt(SMALLEST), math.sqrt(LARGEST)
                _require(low <= extreme <= high, name, f"has inputs of size {extreme:g}", f"from {low:g} to {high:g}")
                _representable(self.u * extreme**2 / self.D, self.w, self.n, "w")
        # H_0^{tt} of each pattern: what its inputs up to then have become
        prior = np.zeros(self.P)
        for t in range(self.n):
            prior = self.w * prior + self.u * np.sum(self.x[:, t] ** 2, axis=1) / self.D
            there = (prior > 0) & np.isfinite(self.y[:, t])
            signal = float(np.max(self.y[there, t] ** 2 / (self.v * prior[there]), initial=0.0))
            _require(
                signal <= LARGEST_SIGNAL * (1 + 1e-9),
                "y",
                f"is y²/(v H_0) = {signal:.3g} at t = {t + 1}",
                f"at most {LARGEST_SIGNAL:g}, for double precision",
            )

    @property
    def P(self) -> int:
        """Number of patterns."""
        return int(self.y.shape[0])

    @property
    def n(self) -> int:
        """Number of hidden times, T - 1."""
        return int(self.y.shape[1])

    @property
    def T(self) -> int:
        """Index of the last output, n + 1."""
        return self.n + 1

    @property
    def D(self) -> int:
        """Input dimension."""
        return int(self.x.shape[2])

    @property
    def supervised(self) -> NDArray[np.intp]:
        """Supervised positions in the time-major joint index ``(t-1) P + p``."""
        return np.flatnonzero(~np.isnan(self.y.T).ravel())

    @property
    def labels(self) -> FloatArray:
        """Labels at the supervised positions, in the same order."""
        return self.y.T.ravel()[self.supervised]

    def with_(self, **changes: Any) -> Problem:
        """The same problem with some fields replaced (and validated again)."""
        return replace(self, **changes)


def endpoint(T: int, signal: float, *, u: float = 1.0, v: float = 1.0, w: float = 1.0, **options: Any) -> Problem:
    """Endpoint supervision: input at t = 0, one label at the last output (docs/theory.md section 5).

    One pattern with ``x·x/D = 1`` and ``y² = λ v w^(T-2) u``, λ = ``signal``.
    """
    T = _horizon(T, 1)
    lam = _positive(signal, "signal", zero=True, largest=LARGEST_SIGNAL)
    u, v, w = (_positive(value, name) for value, name in ((u, "u"), (v, "v"), (w, "w")))
    _representable(u, w, T - 1, "w")
    y = np.full((1, T - 1), np.nan)
    y[0, -1] = math.sqrt(lam * v * w ** (T - 2) * u)
    return Problem(np.ones((1, 1)), y, u=u, v=v, w=w, **options)


def sequence(
    T: int,
    angle: float | Iterable[float],
    amplitude: float | Iterable[float],
    supervise: Iterable[int],
    *,
    radius: float | Iterable[float] = 1.0,
    patterns: int | None = None,
    test_patterns: int = 0,
    pattern_seed: int = 0,
    **options: Any,
) -> Problem:
    """Sequence regression with a rotation teacher (docs/theory.md section 6).

    ``y^(t+1) = V* (W*)^(t-1) U* x^0`` with ``W* = radius · rotation(angle)``, ``V* = (amplitude, 0)``, ``U* = 1``, on
    the two patterns ``x^0 = √2 e_p`` (orthonormal: ``x_p·x_q/D = δ_pq``, D = 2). ``supervise`` lists hidden times t,
    1-based: output ``f^(t+1)`` is supervised.

    Args:
        angle, amplitude, radius: a list of k values gives a teacher that rotates in k planes, D = 2k, on D orthonormal
            patterns; a single amplitude or radius serves every plane.
        patterns: this many random patterns with ``x·x/D = 1`` instead of the orthonormal ones.
        test_patterns: number of further random patterns, which the teacher labels at all times.
        pattern_seed: of the random patterns.
    """
    from numerics.inputs import teachers  # which builds problems in its turn

    teacher = teachers.rotation_teacher(angle, amplitude, radius)
    D = teacher.D
    whole = {"patterns": (D if patterns is None else patterns, 1), "test_patterns": (test_patterns, 0)}
    whole |= {"pattern_seed": (pattern_seed, 0)}
    checked = {name: integer(count, name, least, LARGEST_KERNEL // 2) for name, (count, least) in whole.items()}
    patterns = None if patterns is None else checked["patterns"]
    test_patterns, pattern_seed = checked["test_patterns"], checked["pattern_seed"]
    T = _horizon(T, D if patterns is None else patterns)
    largest = math.sqrt(LARGEST)
    size = float(np.abs(teacher.V).max())
    _require(size <= largest, "amplitude", f"is {size:g}", f"a size of at most {largest:g}")
    for modulus in {float(value) for value in np.abs(teacher.eigenvalues)}:
        _representable(1.0, modulus, T - 1, "radius")
    rng = np.random.default_rng(pattern_seed)
    x = teachers.orthonormal_patterns(D) if patterns is None else teachers.random_patterns(patterns, D, rng)
    if test_patterns:
        options["x_test"] = teachers.random_patterns(test_patterns, D, rng)
    return teacher.problem(T, x, supervise, **options)
