"""Standard normals by the million: Box–Muller in vector instructions, several times faster than one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Pairs per block: the arrays of a block stay in the second-level cache.
_PAIRS = 1 << 15
#: Fewer numbers than these are not worth a dozen calls.
_FEWEST = 1 << 12
_LARGEST = 2**64 - 1
#: Bit generators whose raw output is words of 64 bits.
_WORD_GENERATORS = (np.random.SFC64, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox)
_DIRECTION_BITS = 12
#: The unit circle's 2¹² equally spaced points, small enough to stay in the first-level cache.
_CIRCLE = np.exp(2j * np.pi * np.arange(1 << _DIRECTION_BITS) / (1 << _DIRECTION_BITS)).astype(np.complex64)


def fill_normal(rng: np.random.Generator, out: NDArray[Any], sd: float = 1.0) -> None:
    """Fill a contiguous array with independent normals of mean 0 and standard deviation `sd`.

    In single precision, pairs ``r (cos θ, sin θ)`` with ``r = √(-2 ln u)``. u has 31 random bits, so that the largest
    |z| is 6.6; θ is one of 2¹² equally spaced directions. That many suffice: the mean of ``cos mθ`` and ``sin mθ`` over
    them vanishes for every m < 2¹², as it does over the whole circle, so all moments of a pair up to total order
    2¹² - 1 are those of two independent normals, and its characteristic function at wave number q is off by no more
    than ``J_4096(qr)``, zero to machine precision for q up to several hundred. An odd last number,
    short arrays and double precision come from NumPy.
    """
    flat = out.reshape(-1)
    if flat.dtype != np.float32 or len(flat) < _FEWEST:
        rng.standard_normal(out=flat, dtype=flat.dtype)
        if sd != 1:
            flat *= flat.dtype.type(sd)
        return
    pairs = len(flat) // 2
    for start in range(0, pairs, _PAIRS):
        count = min(_PAIRS, pairs - start)
        _fill_pairs(rng, flat[2 * start : 2 * (start + count)].view(np.complex64), sd)
    if len(flat) % 2:
        flat[-1] = sd * rng.standard_normal(dtype=np.float32)


def _fill_pairs(rng: np.random.Generator, out: NDArray[Any], sd: float) -> None:
    count = len(out)
    # 32 bits for each radius and 16 for each direction, of which the last four are not used
    words = _words(rng, (3 * count + 3) // 4)
    bits = words.view(np.uint32)[:count]
    bits >>= np.uint32(1)
    radius = bits.view(np.int32).astype(np.float32)
    radius += np.float32(0.5)
    radius *= np.float32(2.0**-31)
    np.log(radius, out=radius)
    radius *= np.float32(-2 * sd**2)
    np.sqrt(radius, out=radius)
    direction = words.view(np.uint16)[2 * count : 3 * count] >> np.uint16(16 - _DIRECTION_BITS)
    np.take(_CIRCLE, direction.astype(np.intp), out=out, mode="clip")  # in range: "clip" only avoids a copy
    out *= radius


def _words(rng: np.random.Generator, count: int) -> NDArray[np.uint64]:
    """Random 64-bit words."""
    if isinstance(rng.bit_generator, _WORD_GENERATORS):
        return np.asarray(rng.bit_generator.random_raw(count))  # the same words, without the cost of a general range
    return rng.integers(0, _LARGEST, count, np.uint64, endpoint=True)
