"""Which weights of different times are the same: the families of architectures, each as a matrix of correlations.

``E[W^(s)_ij W^(t)_ij] = (w/N) M_st`` for the recurrent matrices, s, t = 1 … n-1, and ``E[b^(t)_i b^(t')_i] = β B_tt'``
for the biases, t, t' = 1 … n (docs/theory.md sections 10 and 11).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.inputs.arrays import finite_array
from numerics.inputs.scalars import shown
from numerics.linalg import FloatArray

#: What `arch` may be, in words.
ACCEPTED = "rnn, dnn, shared:ρ, drift:ρ (ρ from 0 to 1), looped:p (p ≥ 1 layers), or a matrix (n-1, n-1)"
#: The name of an architecture that is given as a matrix.
MATRIX = "matrix"
#: Rounding that a given matrix may show: of its symmetry, relative to its diagonal, and of its smallest eigenvalue.
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class Sharing:
    """How the weights of different times are correlated.

    Attributes:
        name: ``"rnn"``, ``"dnn"``, ``"shared:0.5"``, ``"drift:0.9"``, ``"looped:2"`` or ``"matrix"``. What has
            the M and B of rnn or dnn is called that.
        weights: M, (n-1, n-1).
        biases: B, (n, n), of unit diagonal.
    """

    name: str
    weights: FloatArray
    biases: FloatArray


def sharing_of(arch: Any, n: int) -> Sharing:
    """The correlations of an architecture at n hidden times.

    Args:
        arch: a word of `ACCEPTED`, or M.

    Raises:
        InputError: one line: it is no such word, or no matrix that correlations can have.
    """
    if not isinstance(arch, str):
        if not hasattr(arch, "__len__"):
            raise InputError(f"arch: is {shown(arch)}; accepted: {ACCEPTED}")
        M = checked(arch, n)
        return _named(MATRIX, M, biases_of(M))
    family, _, number = arch.partition(":")
    lags = np.arange(n)
    same = (lags == 0).astype(np.float64)
    if arch in ("rnn", "dnn"):
        B = _by_lag(np.ones(n) if arch == "rnn" else same)
        return Sharing(arch, B[1:, 1:], B)
    if family in ("shared", "drift"):
        rho = _fraction(number, arch)
        B = _by_lag(rho + (1 - rho) * same if family == "shared" else np.power(rho, lags))
        return _named(f"{family}:{rho!r}", B[1:, 1:], B)
    if family == "looped" and re.fullmatch("[0-9]{1,9}", number) and int(number) > 0:
        p = int(number)
        B = _by_lag((lags % p == 0).astype(np.float64))
        M = B[1:, 1:]
        if p > 1:  # the first layer is U, whose bias is its own
            B = B.copy()
            B[0, 1:] = B[1:, 0] = 0
        return _named(f"looped:{p}", M, B)
    raise InputError(f"arch: is {shown(arch)}; accepted: {ACCEPTED}")


def checked(value: Any, n: int, argument: str = "arch") -> FloatArray:
    """A sharing matrix, (n-1, n-1).

    Raises:
        InputError: it has another shape, is not symmetric or not positive semi-definite (to rounding), or its diagonal
            is not positive.
    """
    M = finite_array(value, argument)
    if M.shape != (n - 1, n - 1):
        raise InputError(f"{argument}: has shape {M.shape}; accepted: {ACCEPTED}, here ({n - 1}, {n - 1})")
    if not M.size:
        return M
    if not (M.diagonal() > 0).all():
        raise InputError(f"{argument}: has {M.diagonal().min():g} on its diagonal; accepted: numbers > 0 there")
    scale = np.sqrt(M.diagonal())
    unit = M / np.outer(scale, scale)
    if np.abs(unit - unit.T).max() > _ROUNDING:
        raise InputError(f"{argument}: is not symmetric; accepted: a symmetric matrix")
    smallest = float(np.linalg.eigvalsh(unit)[0])
    if smallest < -_ROUNDING:
        raise InputError(
            f"{argument}: has the negative eigenvalue {smallest:.3g} (at unit diagonal); accepted: a positive "
            "semi-definite matrix"
        )
    return np.asarray((M + M.T) / 2)


def biases_of(M: FloatArray) -> FloatArray:
    """B of a sharing matrix M.

    A bias is shared as the matrix beside it is: those of times t, t' ≥ 2 as W^(t-1) and W^(t'-1), so that B is M at
    unit diagonal there. That of the first time has no W beside it. It precedes the second as W^(1) precedes W^(2):
    ``B_1t = r B_2t`` with r the correlation of these (0 where n = 2).
    """
    size = len(M)
    B = np.eye(size + 1)
    if size:
        scale = np.sqrt(M.diagonal())
        B[1:, 1:] = M / np.outer(scale, scale)
        np.fill_diagonal(B, 1.0)
        B[0, 1:] = B[1:, 0] = (B[1, 2] if size > 1 else 0.0) * B[1, 1:]
    return B


def _by_lag(row: FloatArray) -> FloatArray:
    """The matrix of entries ``row[|s - t|]``: a view that holds no more than its two sides of the diagonal."""
    both = np.concatenate([row[:0:-1], row])
    return np.lib.stride_tricks.sliding_window_view(both, len(row))[::-1]


def _named(name: str, M: FloatArray, B: FloatArray) -> Sharing:
    """Under the name rnn or dnn where that is what it is."""
    if (M == 1).all() and (B == 1).all():
        name = "rnn"
    elif (np.eye(len(M)) == M).all() and (np.eye(len(B)) == B).all():
        name = "dnn"
    return Sharing(name, M, B)


def _fraction(text: str, arch: str) -> float:
    """ρ from 0 to 1, as 0.5 or 1/2."""
    above, slash, below = text.partition("/")
    try:
        value = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        value = float("nan")
    if not 0 <= value <= 1:
        raise InputError(f"arch: is {shown(arch)}; accepted: {ACCEPTED}")
    return value
