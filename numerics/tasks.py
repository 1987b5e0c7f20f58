"""Tasks of the field as problems, in one line each (docs/theory.md section 6): ``unrolled.tasks.delayed_xor(T=6)``.

Time runs as everywhere: n = T - 1 hidden times, inputs x^0 … x^(n-1), outputs f^2 … f^T; x^t is seen by f^(t+2) at the
earliest. A pulse on one of D lines has the size ``strength √D``, so that ``x·x/D = strength²``. Further options are
those of `Problem`: arch, activation, u, v, w, kappa, skip, bias.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.inputs.arguments import require_kind
from numerics.inputs.arrays import finite_array, real_array
from numerics.inputs.keywords import takes
from numerics.inputs.problem import Problem
from numerics.inputs.problem import endpoint as endpoint
from numerics.inputs.scalars import integer
from numerics.inputs.sizes import horizon, positive_size, require
from numerics.inputs.teachers import sequence as sequence
from numerics.linalg import FloatArray

__all__ = [
    "copy", "delayed_match_to_sample", "delayed_xor", "endpoint", "evidence_accumulation", "flip_flop", "from_data",
    "sequence", "sine_generation",
]  # fmt: skip

#: Most patterns that are drawn.
MOST_PATTERNS = 10_000
#: What a task sets itself.
_OWN = ("x", "y")


def __dir__() -> list[str]:
    """What completion shows: the tasks."""
    return list(__all__)


@takes(Problem, but=_OWN)
def delayed_xor(
    T: int = 6, *, second: int | None = None, strength: float = 1.0, label: float = 1.0, **options: Any
) -> Problem:
    """Two cues, one after the other; at the end, whether they differ: ``y^T = ±label``.

    Four patterns on D = 4 lines: the first cue is a pulse on line 1 or 2 at t = 0, the second on line 3 or 4.

    Args:
        T: index of the last output.
        second: time of the second cue; half of the way by default.
        strength, label: sizes of pulses and labels.

    Example:
        >>> import unrolled
        >>> unrolled.tasks.delayed_xor(T=4).y[:, -1]
        array([-1.,  1.,  1., -1.])
    """
    n = horizon(T, 4) - 1
    later = _time(second, n)
    x, y = _silent(4, n, 4)
    for p, (one, other) in enumerate(itertools.product((0, 1), repeat=2)):
        x[p, 0, one] = x[p, later, 2 + other] = 1.0
        y[p, -1] = 1.0 if one != other else -1.0
    return _problem(x, y, strength, label, options)


@takes(Problem, but=_OWN)
def delayed_match_to_sample(
    T: int = 6, *, samples: int = 3, probe: int | None = None, strength: float = 1.0, label: float = 1.0, **options: Any
) -> Problem:
    """A sample, a delay, a probe; at the end, whether they are the same: ``y^T = ±label``.

    ``samples²`` patterns on D = ``samples`` lines: the sample is a pulse on one line at t = 0, the probe on one later.

    Args:
        T: index of the last output.
        samples: number of stimuli.
        probe: time of the probe; the last input but one by default.
        strength, label: sizes of pulses and labels.
    """
    samples = integer(samples, "samples", 2, 64)
    n = horizon(T, samples**2) - 1
    later = _time(max(1, n - 2) if probe is None else probe, n, "probe")
    x, y = _silent(samples**2, n, samples)
    for p, (one, other) in enumerate(itertools.product(range(samples), repeat=2)):
        x[p, 0, one] = x[p, later, other] = 1.0
        y[p, -1] = 1.0 if one == other else -1.0
    return _problem(x, y, strength, label, options)


@takes(Problem, but=_OWN)
def flip_flop(
    T: int = 6,
    *,
    patterns: int = 4,
    bits: int = 1,
    rate: float = 0.4,
    seed: int = 0,
    strength: float = 1.0,
    label: float = 1.0,
    **options: Any,
) -> Problem:
    """Pulses of either sign; each output remembers its line's last one: ``y_c^(t+2) = ±label``.

    Every line has a pulse at t = 0; later ones come with a probability. No two patterns are the same.

    Args:
        T: index of the last output.
        patterns: histories of pulses, drawn with a seed.
        bits: lines, each with an output of its own.
        rate: probability of a pulse on a line at each later time.
        seed: of the histories.
        strength, label: sizes of pulses and labels.
    """
    n, bits = horizon(T, 1) - 1, integer(bits, "bits", 1, 16)
    rate = positive_size(rate, "rate", zero=True, largest=1.0)
    rng = np.random.default_rng(integer(seed, "seed", 0))

    def history() -> FloatArray:
        pulses = np.where(rng.random((n, bits)) < rate, rng.choice([-1.0, 1.0], (n, bits)), 0.0)
        return np.where(np.arange(n)[:, None] == 0, rng.choice([-1.0, 1.0], (n, bits)), pulses)

    x = _different(history, integer(patterns, "patterns", 1, MOST_PATTERNS), "patterns")
    held = x.copy()
    for t in range(1, n):
        held[:, t] = np.where(x[:, t] != 0, x[:, t], held[:, t - 1])
    return _problem(x, held, strength, label, options)


@takes(Problem, but=_OWN)
def evidence_accumulation(
    T: int = 6, *, patterns: int = 6, seed: int = 0, strength: float = 1.0, label: float = 1.0, **options: Any
) -> Problem:
    """Pulses of either sign, one at every time; at the end, the sign of their sum: ``y^T = ±label``.

    Where the number of times is even the last one is silent, so that no sum is 0. No two patterns are the same.

    Args:
        T: index of the last output.
        patterns: histories of pulses, drawn with a seed.
        seed: of the histories.
        strength, label: sizes of pulses and labels.
    """
    n = horizon(T, 1) - 1
    rng = np.random.default_rng(integer(seed, "seed", 0))
    heard = n if n % 2 else n - 1
    x = _different(
        lambda: rng.choice([-1.0, 1.0], (heard, 1)), integer(patterns, "patterns", 1, MOST_PATTERNS), "patterns"
    )
    x = np.concatenate([x, np.zeros((len(x), n - heard, 1))], axis=1)
    y = np.full(x.shape[:2], np.nan)
    y[:, -1] = np.sign(x.sum(axis=(1, 2)))
    return _problem(x, y, strength, label, options)


@takes(Problem, but=_OWN)
def copy(T: int = 7, *, length: int = 2, strength: float = 1.0, label: float = 1.0, **options: Any) -> Problem:
    """Symbols ±1 at the first times, given back in their order at the last ones: ``y^(T-length+k) = label s_k``.

    All ``2^length`` words are patterns, on one line.

    Args:
        T: index of the last output.
        length: of a word; at most half of the n = T - 1 times.
        strength, label: sizes of pulses and labels.
    """
    length = integer(length, "length", 1, 10)
    n = horizon(T, 2**length) - 1
    require(2 * length <= n, "length", f"is {length}", f"an integer from 1 to {n // 2} for T = {T}")
    words = np.array(list(itertools.product((1.0, -1.0), repeat=length)))
    x, y = _silent(len(words), n, 1)
    x[:, :length, 0], y[:, n - length :] = words, words
    return _problem(x, y, strength, label, options)


@takes(Problem, but=_OWN)
def sine_generation(
    T: int = 8,
    *,
    frequencies: ArrayLike = (1 / 7, 2 / 7),
    supervise: Sequence[int] | None = None,
    strength: float = 1.0,
    label: float = 1.0,
    **options: Any,
) -> Problem:
    """A cue at t = 0 names a frequency; the outputs are its sine: ``y^(t+1) = label sin(2π ν t)``.

    One pattern and one line for each frequency.

    Args:
        T: index of the last output.
        frequencies: ν, in periods per time, one for each pattern.
        supervise: hidden times t, 1-based, whose output f^(t+1) has a label; all by default.
        strength, label: sizes of cues and labels.
    """
    nu = finite_array(frequencies, "frequencies", (None,))
    require(len(nu) > 0, "frequencies", "is empty", "at least one number")
    n = horizon(T, len(nu)) - 1
    x, y = _silent(len(nu), n, len(nu))
    x[:, 0] = np.eye(len(nu))
    given, accepted = range(1, n + 1) if supervise is None else supervise, f"hidden times from 1 to {n}"
    require_kind(given, "supervise", lambda these: hasattr(these, "__iter__"), accepted)
    times = [integer(t, "supervise", 1, n) for t in given]
    require(len(times) > 0, "supervise", "is empty", accepted)
    chosen = np.array(times)
    y[:, chosen - 1] = np.sin(2 * math.pi * nu[:, None] * chosen)
    return _problem(x, y, strength, label, options)


@takes(Problem, but=_OWN)
def from_data(
    x: Any, y: Any, T: int | None = None, *, x_test: Any = None, y_test: Any = None, **options: Any
) -> Problem:
    """A data set as a task: patterns seen once (images), or at every time (series), with labels at the last output.

    Inputs are scaled by one number, so that ``x·x/D`` is 1 on average over the inputs that are not zero.

    Args:
        x: patterns (P, D), the input at t = 0, with T; or (P, times, D), a series for each, T = times + 1. Arrays,
            DataFrames, xarray.
        y: labels of the last output, numbers (P,) or (P, O); or classes (P,), text, truth values or integers: ±1 for
            two, one output for each (1 where it is the class, else 0) for more; or numbers at every time, (P, times) or
            (P, times, O), NaN where unsupervised.
        T: index of the last output, for patterns seen once.
        x_test, y_test: further patterns and their labels, of the same kind.

    Raises:
        InputError: shapes that do not fit; T beside series, or missing for patterns seen once; a class in y_test that y
            has not.
    """
    patterns = real_array(x, "x")
    require(patterns.ndim in (2, 3), "x", f"has shape {patterns.shape}", "(P, D), or (P, times, D) for series")
    if patterns.ndim == 3:
        require(T is None, "T", f"is {T!r}", "none beside series, whose times are x's")
        n = patterns.shape[1]
    else:
        require(T is not None, "T", "is missing", "an integer ≥ 3 for patterns that are seen once")
        n = horizon(T, max(1, len(patterns))) - 1  # type: ignore[arg-type]
    classes = _classes(y)
    squares = (patterns**2).sum(axis=-1)
    scale = math.sqrt(float(squares[squares > 0].mean()) / patterns.shape[-1]) if squares.any() else 1.0
    options |= {"x": patterns / scale, "y": _labels(y, classes, len(patterns), n, "y")}
    require(x_test is not None or y_test is None, "y_test", "is given", "labels of x_test, which is missing")
    if x_test is not None:
        tested = real_array(x_test, "x_test")
        options["x_test"] = tested / scale
        if y_test is not None:
            options["y_test"] = _labels(y_test, classes, len(tested), n, "y_test")
    return Problem(**options)


def _classes(y: Any) -> list[Any] | None:
    """The classes of labels that are text, truth values or integers, (P,); None for numbers."""
    values = np.asarray(y)
    if values.ndim == 1 and values.dtype.kind == "O" and all(isinstance(each, str) for each in values):
        values = values.astype(str)
    if values.ndim != 1 or values.dtype.kind not in "USbiu":
        return None
    found = sorted(set(values.tolist()))
    require(len(found) > 1, "y", f"has one class, {found[0]!r}" if found else "is empty", "two classes or more")
    return found


def _labels(y: Any, classes: list[Any] | None, patterns: int, n: int, argument: str) -> FloatArray:
    """Labels at the last output, NaN before; those of every time as they are."""
    if classes is None:
        values = real_array(y, argument, missing=True)
        if values.ndim >= 2 and values.shape[:2] == (patterns, n):
            return values
    else:
        given = np.asarray(y).tolist()
        unknown = [each for each in given if each not in classes]
        require(not unknown, argument, f"has a class {unknown[:1]} that y has not", ", ".join(map(str, classes[:8])))
        places = np.array([classes.index(each) for each in given])
        values = 2.0 * places - 1.0 if len(classes) == 2 else np.eye(len(classes))[places]
    accepted = f"({patterns},), ({patterns}, O), or every time's, ({patterns}, {n}) or ({patterns}, {n}, O)"
    require(values.ndim in (1, 2) and len(values) == patterns, argument, f"has shape {values.shape}", accepted)
    whole = np.full((patterns, n, *values.shape[1:]), np.nan)
    whole[:, -1] = values
    return whole


def _silent(patterns: int, n: int, D: int) -> tuple[FloatArray, FloatArray]:
    """Inputs without a pulse, outputs without a label."""
    return np.zeros((patterns, n, D)), np.full((patterns, n), np.nan)


def _time(given: int | None, n: int, argument: str = "second") -> int:
    """The time of an input after the first."""
    return max(1, n // 2) if given is None else integer(given, argument, 1, n - 1)


def _different(draw: Any, count: int, argument: str) -> FloatArray:
    """Drawn arrays, no two of them the same."""
    found: dict[bytes, FloatArray] = {}
    for _ in range(200 * count + 1000):
        one = draw()
        found.setdefault(one.tobytes(), one)
        if len(found) == count:
            return np.array(list(found.values()))
    require(False, argument, f"is {count}", f"at most the {len(found)} histories that differ")
    raise AssertionError


def _problem(x: FloatArray, y: NDArray[Any], strength: float, label: float, options: dict[str, Any]) -> Problem:
    strength, label = positive_size(strength, "strength"), positive_size(label, "label")
    return Problem(strength * math.sqrt(x.shape[2]) * x, label * y, **options)
