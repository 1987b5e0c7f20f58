"""Teachers of sequential tasks: a linear recurrent network whose outputs are the labels (docs/theory.md section 6)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.errors import InputError
from numerics.inputs.arguments import require_kind
from numerics.inputs.arrays import finite_array, real_array
from numerics.inputs.keywords import takes
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer, real
from numerics.inputs.sizes import LARGEST_KERNEL, LARGEST_SIZE, horizon, require, require_representable
from numerics.linalg import ComplexArray, FloatArray


@dataclass(frozen=True, eq=False)
class Teacher:
    """``y^(t+1) = V* (W*)^(t-1) U* x^0``, a linear recurrent network of k neurons.

    Attributes:
        V: read-out V*, (k,).
        W: recurrent matrix W*, (k, k).
        U: input matrix U*, (k, D).

    Raises:
        InputError: shapes that do not fit, or a number that is not finite.
    """

    V: FloatArray
    W: FloatArray
    U: FloatArray

    def __post_init__(self) -> None:
        for name in ("V", "W", "U"):
            array = finite_array(getattr(self, name), name)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        size = self.V.size
        if self.V.ndim != 1 or self.W.shape != (size, size) or self.U.ndim != 2 or len(self.U) != size:
            raise InputError(
                f"teacher: has V {self.V.shape}, W {self.W.shape}, U {self.U.shape}; accepted: (k,), (k, k), (k, D)"
            )

    @property
    def D(self) -> int:
        """Input dimension."""
        return int(self.U.shape[1])

    @property
    def eigenvalues(self) -> ComplexArray:
        """Eigenvalues of W*; the largest modulus first, of a pair the positive imaginary part first."""
        values = np.linalg.eigvals(self.W).astype(np.complex128)
        return np.asarray(values[np.lexsort((-values.imag, -np.round(np.abs(values), 12)))])

    def labels(self, x: ArrayLike, times: int) -> FloatArray:
        """Outputs for inputs x (P, D) at t = 0, shape (P, times); column t-1 is ``y^(t+1)``."""
        inputs, times = finite_array(x, "x", (None, self.D)), integer(times, "times", 1)
        state, columns = self.U @ inputs.T, []
        for _ in range(times):
            columns.append(self.V @ state)
            state = self.W @ state
        return np.stack(columns, axis=1)

    def label_kernel(self, x: ArrayLike, times: int) -> FloatArray:
        """``Y = y yᵀ`` over all times, supervised or not, (times·P, times·P), time-major."""
        y = self.labels(x, times).T.ravel()
        return np.outer(y, y)

    def problem(
        self,
        T: int,
        x: ArrayLike,
        supervise: Iterable[int] | NDArray[np.bool_],
        *,
        x_test: ArrayLike | None = None,
        **options: Any,
    ) -> Problem:
        """The task of learning this teacher.

        Args:
            T: index of the last output; n = T - 1 hidden times.
            x: patterns (P, D), the input at t = 0.
            supervise: hidden times t, 1-based, whose output f^(t+1) has labels; or a mask (P, n), for each pattern
                and time.
            x_test: test patterns (Q, D); the teacher labels all their times.
            options: of `Problem`: arch, activation, u, v, w, kappa.

        Raises:
            InputError: see `Problem`.
        """
        x, n = real_array(x, "x"), integer(T, "T", 2) - 1
        y = np.where(self._mask(supervise, len(x), n), self.labels(x, n), np.nan)
        if x_test is not None:
            options |= {"x_test": x_test, "y_test": self.labels(x_test, n)}
        return Problem(x, y, **options)

    @staticmethod
    def _mask(supervise: Iterable[int] | NDArray[np.bool_], patterns: int, n: int) -> NDArray[np.bool_]:
        accepted = f"hidden times from 1 to {n}, comma-separated"
        require_kind(supervise, "supervise", lambda times: isinstance(times, Iterable), accepted)
        if isinstance(supervise, np.ndarray) and supervise.dtype == np.bool_ and supervise.shape == (patterns, n):
            return supervise
        chosen = [integer(time, "supervise", 1, n, accepted) for time in supervise]
        require(len(chosen) > 0, "supervise", "is empty", accepted)
        mask = np.zeros((patterns, n), dtype=np.bool_)
        mask[:, np.array(chosen) - 1] = True
        return mask


def rotation_teacher(
    angles: float | Iterable[float], amplitudes: float | Iterable[float], radii: float | Iterable[float] = 1.0
) -> Teacher:
    """Rotations in k planes: ``W* = ⊕_j ρ_j R(θ_j)``, ``V* = (a_1, 0, a_2, 0, …)``, ``U* = 1``, D = 2k.

    ``y^(t+1) = Σ_j a_j ρ_j^(t-1) (cos(θ_j (t-1)) x_(2j-1) - sin(θ_j (t-1)) x_(2j))``; eigenvalues ``ρ_j exp(±iθ_j)``.

    Args:
        angles: θ_j in radians, one for each plane.
        amplitudes: a_j; a single one serves every plane.
        radii: ρ_j > 0, below 1 for a contracting teacher; a single one serves every plane.

    Raises:
        InputError: a number that is not finite, a radius that is not positive, or lists of different lengths.
    """
    theta = _row(angles, "angle", None)
    a, rho = _row(amplitudes, "amplitude", len(theta)), _row(radii, "radius", len(theta))
    if (rho <= 0).any():
        raise InputError(f"radius: is {rho.min():g}; accepted: a finite number > 0")
    W = np.zeros((2 * len(theta), 2 * len(theta)))
    for j, (angle, radius) in enumerate(zip(theta, rho, strict=True)):
        c, s = radius * math.cos(angle), radius * math.sin(angle)
        W[2 * j : 2 * j + 2, 2 * j : 2 * j + 2] = [[c, -s], [s, c]]
    V = np.zeros(len(W))
    V[::2] = a
    return Teacher(V, W, np.eye(len(W)))


def orthonormal_patterns(D: int) -> FloatArray:
    """D patterns ``√D e_p``: ``x_p·x_q/D = δ_pq``."""
    return math.sqrt(D) * np.eye(D)


def random_patterns(P: int, D: int, rng: np.random.Generator) -> FloatArray:
    """P patterns of random direction with ``x·x/D = 1``, (P, D)."""
    x = rng.standard_normal((P, D))
    return np.asarray(x * math.sqrt(D) / np.linalg.norm(x, axis=1, keepdims=True))


def _row(value: float | Iterable[float], argument: str, length: int | None) -> FloatArray:
    """One finite number for each plane."""
    numbers = (
        list(value)
        if isinstance(value, Iterable)
        and not isinstance(value, str | bytes | bytearray)
        and getattr(value, "ndim", 1) != 0
        else [value]
    )
    row = np.array([real(number, argument, "a finite number, or one for each plane") for number in numbers])
    if not np.isfinite(row).all():
        shown = ",".join(f"{number:g}" for number in row)
        raise InputError(f"{argument}: is {shown}; accepted: a finite number, or one for each plane")
    if length is not None and len(row) == 1:
        row = np.repeat(row, length)
    if len(row) == 0 or len(row) != (length or len(row)):
        raise InputError(f"{argument}: has {len(row)} values; accepted: one, or one for each of {length or 'k'} planes")
    return row


@takes(Problem, but=("x", "y", "x_test", "y_test"))
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

    Example:
        >>> import numpy as np
        >>> import unrolled
        >>> unrolled.sequence(4, np.pi / 2, 1.0, (1, 3)).y.round(3) + 0.0
        array([[ 1.414,    nan, -1.414],
               [ 0.   ,    nan,  0.   ]])
    """
    teacher = rotation_teacher(angle, amplitude, radius)
    D = teacher.D
    whole = {"patterns": (D if patterns is None else patterns, 1), "test_patterns": (test_patterns, 0)}
    whole |= {"pattern_seed": (pattern_seed, 0)}
    checked = {name: integer(count, name, least, LARGEST_KERNEL // 2) for name, (count, least) in whole.items()}
    patterns = None if patterns is None else checked["patterns"]
    test_patterns, pattern_seed = checked["test_patterns"], checked["pattern_seed"]
    T = horizon(T, D if patterns is None else patterns)
    largest = math.sqrt(LARGEST_SIZE)
    size = float(np.abs(teacher.V).max())
    require(size <= largest, "amplitude", f"is {size:g}", f"a size of at most {largest:g}")
    for modulus in {float(value) for value in np.abs(teacher.eigenvalues)}:
        require_representable(1.0, modulus, T - 1, "radius")
    rng = np.random.default_rng(pattern_seed)
    x = orthonormal_patterns(D) if patterns is None else random_patterns(patterns, D, rng)
    if test_patterns:
        options["x_test"] = random_patterns(test_patterns, D, rng)
    return teacher.problem(T, x, supervise, **options)
