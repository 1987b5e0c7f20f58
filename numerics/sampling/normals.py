"""Standard normals by the million: Box–Muller in vector instructions, several times faster than one at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Pairs per block: the half-dozen arrays of a block stay in the second-level cache.
_PAIRS = 1 << 14
_LARGEST = 2**64 - 1
# Taylor coefficients of sin θ/θ and cos θ in θ²; on |θ| ≤ π/2 the first omitted term is below 6e-8 and 7e-9.
_SIN = [np.float32((-1) ** k / math.factorial(2 * k + 1)) for k in reversed(range(6))]
_COS = [np.float32((-1) ** k / math.factorial(2 * k)) for k in reversed(range(7))]


def fill_normal(rng: np.random.Generator, out: NDArray[Any], sd: float = 1.0) -> None:
    """Fill a contiguous array with independent normals of mean 0 and standard deviation `sd`.

    In single precision, ``r (cos θ, sin θ)`` with ``r = √(-2 ln u)``: u has 31 random bits (the largest |z| is 6.6), θ
    is uniform on (-π/2, π/2) with 32 bits, and a further bit is the sign of the cosine. An odd last number, and double
    precision, come from NumPy.
    """
    flat = out.reshape(-1)
    if flat.dtype != np.float32:
        rng.standard_normal(out=flat)
        flat *= sd
        return
    pairs = len(flat) // 2
    for start in range(0, pairs, _PAIRS):
        count = min(_PAIRS, pairs - start)
        _fill_pairs(rng, flat[2 * start : 2 * start + count], flat[2 * start + count : 2 * (start + count)], sd)
    if len(flat) % 2:
        flat[-1] = sd * rng.standard_normal(dtype=np.float32)


def _fill_pairs(rng: np.random.Generator, first: NDArray[Any], second: NDArray[Any], sd: float) -> None:
    words = rng.integers(0, _LARGEST, len(first), np.uint64, endpoint=True).view(np.uint32)
    bits, angle_bits = words[: len(first)], words[len(first) :].view(np.int32)
    sign = bits << np.uint32(31)
    radius = (bits >> np.uint32(1)).view(np.int32).astype(np.float32)
    radius += np.float32(0.5)
    radius *= np.float32(2.0**-31)
    np.log(radius, out=radius)
    radius *= np.float32(-2 * sd**2)
    np.sqrt(radius, out=radius)
    angle = angle_bits.astype(np.float32)
    angle *= np.float32(math.pi / 2**32)
    square = angle * angle
    _horner(_COS, square, first)
    cosine_bits = first.view(np.uint32)
    np.bitwise_xor(cosine_bits, sign, out=cosine_bits)
    first *= radius
    _horner(_SIN, square, second)
    second *= angle
    second *= radius


def _horner(coefficients: list[np.float32], x: NDArray[Any], out: NDArray[Any]) -> None:
    np.multiply(x, coefficients[0], out=out)
    for coefficient in coefficients[1:-1]:
        out += coefficient
        out *= x
    out += coefficients[-1]
