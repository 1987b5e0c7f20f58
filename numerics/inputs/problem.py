"""What is to be learnt: inputs, labels, architecture and prior widths, validated once.

This module holds data only. The saddle solvers and the simulator both read it; neither learns from it
anything about how the other works.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.display import Facts, Shown
from numerics.inputs.activation import LINEAR, Activation, activation_of
from numerics.inputs.arrays import real_array
from numerics.inputs.keywords import names_keywords, refuse_unexpected, takes
from numerics.inputs.sharing import MATRIX, checked, sharing_of
from numerics.inputs.sizes import (
    LARGEST_KERNEL,
    LARGEST_SIGNAL,
    LARGEST_SIZE,
    SMALLEST_SIZE,
    horizon,
    positive_size,
    require,
    require_representable,
)
from numerics.inputs.told import inputs_told, labels_told, opposed, raster
from numerics.linalg import FloatArray
from numerics.plotting import Drawn

#: Those of the poster. What else `Problem.arch` may be: numerics/inputs/sharing.py.
ARCHITECTURES = ("rnn", "dnn")


def _inputs(value: ArrayLike, argument: str, n: int) -> FloatArray:
    """Inputs as (P, n, D), zero at the times where none is given."""
    x = real_array(value, argument)
    require(x.ndim in (2, 3), argument, f"has shape {x.shape}", "(P, D) for input at t = 0, or (P, times, D)")
    require(min(x.shape) > 0, argument, f"has shape {x.shape}", "at least one pattern, time and dimension")
    if x.ndim == 2:
        x = x[:, None, :]
    require(bool(np.isfinite(x).all()), argument, "contains NaN or infinity", "finite numbers")
    require(
        x.shape[1] <= n,
        argument,
        f"has {x.shape[1]} input times for {n} hidden times",
        "at most as many input times as columns in y",
    )
    return np.concatenate([x, np.zeros((x.shape[0], n - x.shape[1], x.shape[2]))], axis=1)


def _labels(value: ArrayLike) -> FloatArray:
    """Labels as (P, n), or (P, n, O) for several outputs."""
    y = real_array(value, "y", missing=True)
    accepted = "(P, times) or (P, times, O), NaN where unsupervised"
    require(y.ndim in (2, 3) and min(y.shape) > 0, "y", f"has shape {y.shape}", accepted)
    require(not np.isinf(y).any(), "y", "contains infinity", "finite numbers, NaN where unsupervised")
    require(not np.isnan(y).all(), "y", "has no supervised entry", "at least one finite label")
    if y.ndim == 2:
        return y
    empty = np.flatnonzero(np.isnan(y).all(axis=(0, 1)))
    require(
        not len(empty), "y", f"has no supervised entry of output {empty[:1].sum() + 1}", "one or more for each output"
    )
    return np.ascontiguousarray(y[..., 0]) if y.shape[2] == 1 else y


@names_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Problem(Shown, Drawn):
    """A regression task for the unrolled network (docs/theory.md sections 1 and 10 to 12).

    ``h^t = a h^(t-1) + W^(t-1) φ(h^(t-1)) + U x^(t-1) + b^(t)`` with ``h^0 = 0`` (so that no W acts at t = 1) and
    ``f^(t+1) = V φ(h^t)`` for ``t = 1 … n``. Problems are equal, and have one hash, if all their numbers are.

    Attributes:
        x: inputs, shape (P, n, D); ``x[:, s]`` is x^s, s = 0 … n-1. (P, D) or fewer times are padded with zeros.
        y: labels, shape (P, n); column t-1 is the label of f^(t+1), NaN where unsupervised. (P, n, O) for O outputs
            ``f_c = V_c φ(h)`` with independent rows V_c, each with labels of its own; O = 1 becomes (P, n).
        arch: how the matrices W^(s) of different times are correlated: ``"rnn"`` (one W), ``"dnn"`` (independent ones),
            ``"shared:ρ"`` (correlation ρ), ``"drift:ρ"`` (ρ to the power of the distance), ``"looped:p"`` (p of them in
            turn), or the matrix M itself, (n-1, n-1), after which it is ``"matrix"``. What has the M of rnn or dnn has
            that name.
        activation: φ, which becomes an `Activation`: ``"linear"``, ``"erf"``, ``"tanh"``, ``"relu"``, or a function of
            NumPy arrays.
        u, v, w: prior widths, ``U ~ N(0, u/D)``, ``V ~ N(0, v/N²)``, ``W ~ N(0, w/N)``.
        kappa: noise, ``K = κ/N`` in the likelihood ``exp(-Σ (f-y)²/(2K))``; 0 for the theory's noiseless limit.
        x_test, y_test: further patterns (Q, n, D) and, where known, their labels, (Q, n) or (Q, n, O).
        sharing: M, (n-1, n-1), ``E[W^(s)_ij W^(t)_ij] = (w/N) M_st``; made from `arch`, and given only with a matrix.
        skip: a ≥ 0, weight of the connection that skips a time.
        bias: β ≥ 0, variance of the biases, ``E[b^(t)_i b^(t')_i] = β B_tt'`` with B of `bias_sharing`.

    Raises:
        InputError: one line naming the argument, what was wrong, and what is accepted.
    """

    x: FloatArray
    y: FloatArray
    arch: str = "rnn"
    activation: Activation = LINEAR
    u: float = 1.0
    v: float = 1.0
    w: float = 1.0
    kappa: float = 1.0
    x_test: FloatArray | None = None
    y_test: FloatArray | None = None
    sharing: FloatArray = None  # type: ignore[assignment]  # set when made
    skip: float = 0.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        put = object.__setattr__
        y = _labels(self.y)
        n = y.shape[1]
        x = _inputs(self.x, "x", n)
        require(x.shape[0] == y.shape[0], "y", f"has {y.shape[0]} patterns, x has {x.shape[0]}", "the same number")
        rows = y.shape[0] * n
        require(rows <= LARGEST_KERNEL, "y", f"has {rows} patterns × times", f"at most {LARGEST_KERNEL}")
        require(bool((x[:, 0] != 0).any()), "x", "is zero for every pattern at t = 0", "a non-zero input at t = 0")
        put(self, "x", x)
        put(self, "y", y)
        if self.x_test is not None:
            x_test = _inputs(self.x_test, "x_test", n)
            require(
                x_test.shape[2] == x.shape[2],
                "x_test",
                f"has input dimension {x_test.shape[2]}",
                f"that of x, {x.shape[2]}",
            )
            put(self, "x_test", x_test)
        if self.y_test is not None:
            require(self.x_test is not None, "y_test", "is given without x_test", "both or neither")
            y_test = real_array(self.y_test, "y_test", missing=True)
            assert self.x_test is not None
            shape = (self.x_test.shape[0], *y.shape[1:])
            if y.ndim == 2 and y_test.shape == (*shape, 1):
                y_test = y_test[..., 0]
            require(y_test.shape == shape, "y_test", f"has shape {y_test.shape}", f"{shape}")
            require(not np.isinf(y_test).any(), "y_test", "contains infinity", "finite numbers, NaN where unknown")
            put(self, "y_test", y_test)
        self._set_sharing(n)
        put(self, "activation", activation_of(self.activation))
        for name in ("u", "v", "w"):
            put(self, name, positive_size(getattr(self, name), name))
        for name in ("kappa", "skip", "bias"):
            put(self, name, positive_size(getattr(self, name), name, zero=True))
        self._check_scales()
        for array in (self.x, self.y, self.x_test, self.y_test, self.sharing):
            if array is not None:
                array.setflags(write=False)

    def _set_sharing(self, n: int) -> None:
        arch: Any = self.arch
        if isinstance(arch, str) and arch == MATRIX:
            require(self.sharing is not None, "sharing", "is missing", f"M, ({n - 1}, {n - 1}), beside arch {MATRIX!r}")
            arch = checked(self.sharing, n, "sharing")
        found = sharing_of(arch, n)
        if self.sharing is not None and arch is self.arch:
            agrees = np.array_equal(real_array(self.sharing, "sharing"), found.weights)
            require(agrees, "sharing", f"is given beside arch {found.name!r}", f"one of both, or arch {MATRIX!r}")
        object.__setattr__(self, "arch", found.name)
        object.__setattr__(self, "sharing", found.weights)

    def _check_scales(self) -> None:
        """Refuse what double precision cannot carry: kernels that leave its range, and labels far beyond them."""
        label = np.nanmax(np.abs(self.y))
        require(
            label <= math.sqrt(LARGEST_SIZE),
            "y",
            f"has entries of size {label:g}",
            f"at most {math.sqrt(LARGEST_SIZE):g}",
        )
        for x, name in ((self.x, "x"), (self.x_test, "x_test")):
            if x is None:
                continue
            size = np.abs(x).max(axis=2)
            sizes = size[size > 0]
            for extreme in (sizes.min(initial=1.0), sizes.max(initial=1.0)):
                low, high = math.sqrt(SMALLEST_SIZE), math.sqrt(LARGEST_SIZE)
                require(low <= extreme <= high, name, f"has inputs of size {extreme:g}", f"from {low:g} to {high:g}")
                if self.arch != MATRIX:
                    require_representable(self.u * extreme**2 / self.D, self.w, self.n, "w")
                # what each time multiplies a state by at most, in size
                gains = (self.skip + np.sqrt(self.w * self.sharing.diagonal())) ** 2
                growth = math.exp(float(np.log(np.maximum(gains, 1.0)).mean())) if len(gains) else 1.0
                largest = self.u * extreme**2 / self.D + self.n**2 * self.bias
                require_representable(largest, growth, self.n, "w" if self.skip == 0 else "skip")
        # H_0^{tt} of each pattern: what its inputs up to then have become, without correlations of the summands
        prior = np.zeros(self.P)
        y = self.y.reshape(self.P, self.n, -1)
        for t in range(self.n):
            gain = self.skip**2 + self.w * self.sharing[t - 1, t - 1] if t else 0.0
            prior = gain * prior + self.u * np.sum(self.x[:, t] ** 2, axis=1) / self.D + self.bias
            there = (prior > 0) & np.isfinite(y[:, t]).any(axis=1)
            signal = float(np.nanmax(y[there, t] ** 2 / (self.v * prior[there, None]), initial=0.0))
            require(
                signal <= LARGEST_SIGNAL * (1 + 1e-9),
                "y",
                f"has at t = {t + 1} a label whose square is {signal:.3g} times v H_0, the random networks' variance",
                f"at most {LARGEST_SIGNAL:g} times, for double precision",
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
    def outputs(self) -> int:
        """Number of outputs, O."""
        return 1 if self.y.ndim == 2 else int(self.y.shape[2])

    @cached_property
    def targets(self) -> tuple[tuple[NDArray[np.intp], FloatArray], ...]:
        """Supervised positions in the time-major joint index ``(t-1) P + p``, and the labels there, for each output."""
        rows = self.y.reshape(self.P, self.n, -1).transpose(2, 1, 0).reshape(self.outputs, -1)
        there = [np.flatnonzero(~np.isnan(row)) for row in rows]
        return tuple((at, row[at]) for at, row in zip(there, rows, strict=True))

    @property
    def target_sets(self) -> tuple[tuple[list[int], NDArray[np.intp], FloatArray], ...]:
        """Outputs that are supervised at the same positions, these, and the labels, (positions, outputs)."""
        same: dict[bytes, list[int]] = {}
        for output, (positions, _) in enumerate(self.targets):
            same.setdefault(positions.tobytes(), []).append(output)
        return tuple(
            (outputs, self.targets[outputs[0]][0], np.stack([self.targets[output][1] for output in outputs], axis=1))
            for outputs in same.values()
        )

    @property
    def supervised(self) -> NDArray[np.intp]:
        """Supervised positions in the time-major joint index ``(t-1) P + p``, of the only output."""
        return self._only_target[0]

    @property
    def labels(self) -> FloatArray:
        """Labels at the supervised positions, in the same order."""
        return self._only_target[1]

    @property
    def _only_target(self) -> tuple[NDArray[np.intp], FloatArray]:
        require(self.outputs == 1, "y", f"has {self.outputs} outputs", "one, of which this is asked (several: targets)")
        return self.targets[0]

    @property
    def bias_sharing(self) -> FloatArray:
        """B, (n, n): 1 for rnn, δ for dnn, else by the rule of the family (docs/theory.md section 11)."""
        return sharing_of(self.sharing if self.arch == MATRIX else self.arch, self.n).biases

    @property
    def network(self) -> str:
        """The architecture in a title: RNN, DNN, shared:0.5, …"""
        return self.arch.upper() if self.arch in ARCHITECTURES else self.arch

    @property
    def kernel_symbol(self) -> str:
        """The kernel's letter: H of a linear network, Φ with φ(h) of any other."""
        return "H" if self.activation.name == "linear" else "Φ"

    @property
    def model(self) -> str:
        """The architecture after its activation, where this is not linear: RNN, erf RNN, …"""
        return self.network if self.activation.name == "linear" else f"{self.activation} {self.network}"

    @property
    def contradictory(self) -> Facts:
        """The fact that opposite inputs have labels that are not opposite, so that an odd network cannot meet them."""
        pair = opposed(self.x, self.y) if self.activation.odd and self.bias == 0 else None
        if pair is None:
            return ()
        first, second = pair
        told = f"patterns {first + 1} and {second + 1} have opposite inputs, so that any mean outputs are opposite too"
        return (("labels", f"cannot all be met: {told} (odd activation, no bias), and their labels are not"),)

    def plain(self, what: str) -> None:
        """Refuse, for what has learnt none of them, an architecture beyond rnn and dnn, skip, bias, several outputs.

        Raises:
            InputError: one line: which of them the problem has, and what `what` accepts so far.
        """
        wanted = f"so far by {what}"
        require(self.arch in ARCHITECTURES, "arch", f"is {self.arch!r}", f"{' or '.join(ARCHITECTURES)} ({wanted})")
        for name in ("skip", "bias"):
            require(getattr(self, name) == 0, name, f"is {getattr(self, name):g}", f"0 ({wanted})")
        require(self.outputs == 1, "y", f"has {self.outputs} outputs", f"one output, (P, times) ({wanted})")

    def with_(self, **changes: Any) -> Problem:
        """The same problem with some fields replaced (and validated again)."""
        refuse_unexpected("with_", changes, [field.name for field in fields(self)])
        if self.arch != MATRIX or "arch" in changes:
            changes = {"sharing": None} | changes
        return replace(self, **changes)

    def with_unlabelled(self, x: FloatArray) -> Problem:
        """The joint problem with further training patterns (Q, times, D) that have no label, and no test patterns."""
        y = np.full((len(x), *self.y.shape[1:]), np.nan)
        return self.with_(x=np.concatenate([self.x, x]), y=np.concatenate([self.y, y]), x_test=None, y_test=None)

    @cached_property
    def digest(self) -> str:
        """The same for equal problems, in any process and session."""
        words = f"{self.arch} {self.activation.key}"
        words += "".join(
            f" {np.float64(getattr(self, name)).hex()}" for name in ("u", "v", "w", "kappa", "skip", "bias")
        )
        found = hashlib.sha256(words.encode())
        for array in (self.x, self.y, self.x_test, self.y_test, self.sharing if self.arch == MATRIX else None):
            if array is None:
                found.update(b"none")
                continue
            # NaN marks unsupervised entries: make its bits unique, and those of 0
            numbers = np.where(np.isnan(array), np.nan, array) + 0.0
            found.update(str(array.shape).encode() + numbers.tobytes())
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Problem) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        parts = [self.network, str(self.activation), *(f"{name} = {getattr(self, name)}" for name in ("T", "P", "D"))]
        parts += [f"{self.outputs} outputs"] if self.outputs > 1 else []
        parts += [f"f^t supervised at {labels_told(self.y)}", self._numbers()]
        return f"Problem({', '.join(parts)})"

    def _numbers(self) -> str:
        parts = [f"{name} = {getattr(self, name):g}" for name in ("u", "v", "w", "kappa")]
        return ", ".join(parts + [f"{name} = {value:g}" for name in ("skip", "bias") if (value := getattr(self, name))])

    def facts(self) -> Facts:
        """The network, and who is given what, and supervised, when."""
        held_out = 0 if self.x_test is None else len(self.x_test)
        return (
            ("network", f"{self.network}, φ {self.activation}, T = {self.T}"),
            ("patterns", f"{self.P}" + (f", and {held_out} held out" if held_out else "")),
            ("inputs", f"{self.D}, at {inputs_told(self.x)}"),
            ("outputs", f"{self.outputs}, f^t supervised at {labels_told(self.y)}"),
            ("parameters", self._numbers()),
            *self.contradictory,
        )

    def draw(self, ax: Any, **style: Any) -> None:
        """A raster: a square where a pattern has an input, a circle coloured by the label where it is supervised.

        The labels of several outputs are drawn one below the other.
        """
        raster(self.x, self.y, ax, **style)


@takes(Problem, but=("x", "y"))
def endpoint(T: int, signal: float, *, u: float = 1.0, v: float = 1.0, w: float = 1.0, **options: Any) -> Problem:
    """Endpoint supervision: input at t = 0, one label at the last output (docs/theory.md section 5).

    One pattern with ``x·x/D = 1`` and ``y² = λ v w^(T-2) u``, λ = ``signal``.

    Example:
        >>> import unrolled
        >>> problem = unrolled.endpoint(T=4, signal=20.0)
        >>> problem.x.shape, problem.y.shape, problem.kappa
        ((1, 3, 1), (1, 3), 1.0)
    """
    T = horizon(T, 1)
    lam = positive_size(signal, "signal", zero=True, largest=LARGEST_SIGNAL)
    u, v, w = (positive_size(value, name) for value, name in ((u, "u"), (v, "v"), (w, "w")))
    require_representable(u, w, T - 1, "w")
    y = np.full((1, T - 1), np.nan)
    y[0, -1] = math.sqrt(lam * v * w ** (T - 2) * u)
    return Problem(np.ones((1, 1)), y, u=u, v=v, w=w, **options)
