"""Facts about a function of one real variable that only its values tell: where it has kinks, how it grows, its slope.

A smooth function is resolved by an interpolant through Chebyshev points: the last coefficients fall to the rounding of
its values as the interval is halved. Where φ, φ' or φ'' jumps they do not, until the interval is as short as doubles
allow (for φ''), so that halving finds the place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np

from numerics.errors import InputError
from numerics.linalg import Array, FloatArray

Function = Callable[[Array], Array]

#: Kinks are looked for where |h| is below this, up to so many.
RANGE, MOST_KINKS = 32.0, 16
#: No interval begins or ends at a number that anybody would put a kink at.
OFFSET = 1 / math.pi
#: Points of an interpolant; last coefficients, relative to the function's size, below which it is resolved; the finest
#: intervals, as a power of ½, that are tried.
POINTS, RESOLVED, FINEST = 18, 1e-12, 9
#: What neighbouring intervals share; kinks nearer to each other than this are one (nearer than the finest intervals are
#: long, 3.4e-3, they may be: one of the two is followed).
OVERLAP, APART = 0.06, 1e-4
#: Last coefficients in units of rounding that are none; an interval on which a kink is one, and not a narrow bend.
NO_COEFFICIENT, KINK = 32 * np.finfo(np.float64).eps, 5e-5
#: Growth is compared between these two ranges; the ratio of φ/h there beyond which it is faster than linear.
NEAR_ZERO, FAR_OUT, GROWTH = (1e4, 1e8), (1e12, 1e16), 1.05
#: Half-widths of the interval whose interpolant gives the slope, and its points.
WIDTHS, SLOPE_POINTS = tuple(0.8 / 2**k for k in range(12)), 12
#: Step of a complex argument, by which analytic functions give their slope.
COMPLEX_STEP = 1e-30


def finite_values(function: Function, h: Array, name: str) -> FloatArray:
    """φ(h) in double precision.

    Raises:
        InputError: φ is complex, not finite, or not of the shape of h.
    """
    with np.errstate(all="ignore"):
        value = np.asarray(function(h.copy()))
    if value.dtype.kind not in "fiub" or value.shape != h.shape:
        raise InputError(
            f"activation: {name} makes {value.dtype} {value.shape} from real numbers {h.shape}; accepted: φ(h) entry "
            "by entry, real"
        )
    wrong = ~np.isfinite(value)
    if wrong.any():
        raise InputError(
            f"activation: {name} is {value[wrong][0]} at h = {h[wrong][0]:g}; accepted: φ finite everywhere "
            "(such as np.logaddexp(0, h) for ln(1 + exp h))"
        )
    return np.asarray(value, dtype=np.float64)


def check_growth(function: Function, name: str) -> None:
    """Refuse φ whose |φ(h)/h| still grows where it is largest, without bound as far as doubles tell.

    Raises:
        InputError: φ grows faster than linearly, or is not finite far away.
    """
    near, far = (_largest_ratio(function, np.geomspace(low, high, 200)) for low, high in (NEAR_ZERO, FAR_OUT))
    if not math.isfinite(near + far):  # an exponential, or one in an intermediate result only
        near, far = 1.0, _largest_ratio(function, np.linspace(300.0, 600.0, 25)) / 1e6
    if far > GROWTH * near:
        raise InputError(
            f"activation: {name} grows faster than linearly, so that averages diverge; accepted: |φ(h)| at most a "
            "multiple of |h|"
        )
    far_away = np.geomspace(100.0, FAR_OUT[1], 60)
    finite_values(function, np.concatenate([far_away, -far_away]), name)


def _largest_ratio(function: Function, h: FloatArray) -> float:
    h = np.concatenate([h, -h])
    with np.errstate(all="ignore"):
        ratio = np.abs(np.asarray(function(h.copy()), dtype=np.float64) / h)
    return float(ratio.max())  # NaN stays


def kinks(function: Function, name: str) -> tuple[float, ...]:
    """Where φ or φ' jumps, in order: in |h| < RANGE, by 1e-5 of φ's size or more, OVERLAP says how near each other.

    A jump of φ'' alone is found where it is large; of ten times φ's size at two places of three.

    Raises:
        InputError: there are more than `MOST_KINKS`: steps, noise, fast oscillations.
    """
    near, far = (float(np.abs(finite_values(function, r * np.linspace(-1, 1, 101), name)).max()) for r in (4.0, RANGE))
    size = max(near, far * 4.0 / RANGE)  # φ may vanish nearby
    left, length = np.arange(-RANGE, RANGE) - OFFSET, 1.0 + 2 * OVERLAP
    for _ in range(FINEST + 1):
        left = left[_last_coefficients(function, left, length, name) > RESOLVED * _scale(function, left, length, size)]
        if not len(left):
            return ()
        left, length = _halves(left, length)
    rough = InputError(
        f"activation: {name} has more than {MOST_KINKS} kinks or steps in |h| < {RANGE:g}; accepted: φ smooth but for "
        "a few points, in double precision"
    )
    if len(left) > 8 * MOST_KINKS:
        raise rough
    found: list[float] = []
    for kink in sorted(k for start in left if (k := _kink(function, float(start), length, size, name)) is not None):
        if not found or kink - found[-1] > APART:  # intervals overlap
            found.append(kink)
    if len(found) > MOST_KINKS:
        raise rough
    return tuple(found)


def _halves(left: FloatArray, length: float) -> tuple[FloatArray, float]:
    """Both halves of each interval, overlapping: a kink at the very end of one would lie between its points and it."""
    half = (0.5 + OVERLAP) * length
    return np.concatenate([left, left + length - half]), half


def _scale(function: Function, left: FloatArray, length: float, size: float) -> FloatArray:
    """Size of φ that rounding is measured by, on each interval."""
    with np.errstate(all="ignore"):
        here = np.abs(np.asarray(function(left + 0.5 * length), dtype=np.float64))
    return np.maximum(here, size)


def _last_coefficients(function: Function, left: FloatArray, length: float, name: str) -> FloatArray:
    """The largest of the last four coefficients of the interpolant on each interval, (k,)."""
    nodes, transform, _ = _chebyshev(POINTS)
    h = left[:, None] + 0.5 * length * (nodes + 1)
    values = finite_values(function, h.ravel(), name).reshape(h.shape)
    return np.asarray(np.abs(values @ transform[-4:].T).max(axis=1))


def _kink(function: Function, left: float, length: float, size: float, name: str) -> float | None:
    """The kink in an unresolved interval; None if it is a narrow, smooth bend."""
    while length > 4 * math.ulp(max(abs(left), 1e-3)):
        halves, half = _halves(np.array([left]), length)
        tails = _last_coefficients(function, halves, half, name)
        if tails.max() <= NO_COEFFICIENT * float(_scale(function, halves, half, size).max()):
            break
        left, length = float(halves[tails.argmax()]), half
    if length > KINK:
        return None
    middle = left + 0.5 * length
    plain = [round(middle, digits) + 0.0 for digits in range(7)]
    return next((number for number in plain if abs(number - middle) <= 2 * length + 1e-12), middle)


@cache
def _chebyshev(points: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Chebyshev points in (-1, 1), the map from values there to coefficients, and the weights of the slope at 0."""
    angle = np.pi * (np.arange(points) + 0.5) / points
    nodes = np.cos(angle)
    transform = np.cos(np.outer(np.arange(points), angle)) * (2 / points)
    transform[0] *= 0.5
    series = [np.polynomial.chebyshev.chebder(np.eye(points)[k]) for k in range(points)]
    slope = np.array([float(np.polynomial.chebyshev.chebval(0.0, one)) for one in series])
    return nodes, transform, slope @ transform


class Slope:
    """φ'(h) from values of φ, to about ten digits where φ is smooth; one-sided (from the left) at a kink.

    An analytic φ that takes complex arguments gives its slope by one, exactly. Otherwise it is that of an interpolant
    on an interval around h that no kink lies in, as wide as φ is smooth.
    """

    def __init__(self, function: Function, kinks: tuple[float, ...], name: str) -> None:
        self._function, self._kinks = function, np.array(kinks)
        probe = np.linspace(-6.0, 6.0, 241) + 0.01 * OFFSET
        gaps = np.diff(self._kinks)
        widest = min([WIDTHS[0], *(0.5 * gaps).tolist()])
        widths = [width for width in WIDTHS if width <= widest] or [widest]
        slopes = [self._by_interpolation(probe, width) for width in widths]
        changes = [float(np.abs(one - other).max()) for one, other in pairwise(slopes)]
        best = int(np.argmin(changes)) + 1 if changes else 0
        self._width, slope = widths[best], slopes[best]
        self._analytic = not kinks and self._agrees(probe, slope)
        if not np.isfinite(slope).all():
            raise InputError(f"activation: {name} has no finite slope; accepted: φ differentiable but at a few points")

    def __call__(self, h: Array) -> Array:
        """φ'(h), of the shape and precision of h."""
        exact = np.asarray(h, dtype=np.float64)
        with np.errstate(all="ignore"):
            slope = self._by_complex_step(exact) if self._analytic else self._by_interpolation(exact, self._width)
        return np.asarray(slope, dtype=h.dtype)

    def _by_complex_step(self, h: FloatArray) -> FloatArray:
        return np.asarray(np.imag(self._function(h + 1j * COMPLEX_STEP)) / COMPLEX_STEP)

    def _agrees(self, probe: FloatArray, slope: FloatArray) -> bool:
        """Whether complex arguments give the same slope: φ may not take them, or not be analytic."""
        try:
            with np.errstate(all="ignore"):
                other = self._by_complex_step(probe)
        except Exception:  # whatever a function does with numbers that it is not made for
            return False
        return other.shape == slope.shape and bool(np.abs(other - slope).max() <= 1e-7 * (1 + np.abs(slope).max()))

    def _by_interpolation(self, h: FloatArray, width: float) -> FloatArray:
        nodes, transform, at_middle = _chebyshev(SLOPE_POINTS)
        h = np.asarray(h)
        slope = np.zeros(h.shape)
        for node, weight in zip(nodes, at_middle, strict=True):
            slope += weight / width * np.asarray(self._function(h + width * node), dtype=np.float64)
        near = np.zeros(h.shape, dtype=bool)
        for kink in self._kinks:
            near |= np.abs(h - kink) < width
        if near.any():
            slope[near] = self._beside_kinks(h[near], width, nodes, transform)
        return slope

    def _beside_kinks(self, h: FloatArray, width: float, nodes: FloatArray, transform: FloatArray) -> FloatArray:
        """The slope of an interpolant on an interval that ends at the kink."""
        ends = np.concatenate([[-np.inf], self._kinks, [np.inf]])
        part = np.searchsorted(self._kinks, h, side="left")
        centre = np.clip(h, ends[part] + width, ends[part + 1] - width)
        values = np.asarray(self._function(centre[:, None] + width * nodes), dtype=np.float64)
        series = np.polynomial.chebyshev.chebder((values @ transform.T).T)
        return np.asarray(np.polynomial.chebyshev.chebval((h - centre) / width, series, tensor=False) / width)
