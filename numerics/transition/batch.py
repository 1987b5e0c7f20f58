"""Endpoint supervision at many parameters at once: signals, noises and widths broadcast (THEORY.md section 5).

Starts come from the branches traced once in ``numerics.transition.branches``; every point is then polished by Newton on
the lowered stationarity conditions of the full free energy, at its own parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numerics.display import Facts, Shown
from numerics.lowering.scalar import Lowered, lower
from numerics.plotting import Drawn
from numerics.problem import ARCHITECTURES, InputError
from numerics.saddle.newton import Roots, newton
from numerics.storage import Stored
from numerics.transition import branches
from theory.free_energy import endpoint_free_energy

FloatArray = NDArray[np.float64]

#: The scalar expressions of F grow as n! with the number of times; longer chains are for ``numerics.saddle.search``.
LONGEST = 5


@dataclass(frozen=True, eq=False, repr=False)
class EndpointBatch(Shown, Drawn, Stored):
    """Stationary kernels of B endpoint problems, all on one branch.

    Attributes:
        T: index of the last output.
        arch: ``"rnn"`` or ``"dnn"``.
        branch: ``"incoherent"`` or ``"coherent"``.
        signal, kappa: the parameters, (B,).
        kernel: ``H``, (B, n, n); NaN where the branch does not exist or Newton did not converge.
        free_energy, energy, entropy: (B,), NaN likewise.
        exists: whether the branch exists at these parameters, (B,).
        converged, stable, residual: as in ``numerics.saddle.newton.Roots``, (B,).
    """

    T: int
    arch: str
    branch: str
    signal: FloatArray
    kappa: FloatArray
    kernel: FloatArray
    free_energy: FloatArray
    energy: FloatArray
    entropy: FloatArray
    exists: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    stable: NDArray[np.bool_]
    residual: FloatArray

    def facts(self) -> Facts:
        """Which states, how many, and how well solved."""
        return (
            ("branch", f"{self.branch}, {self.arch.upper()}, T = {self.T}"),
            ("problems", f"{len(self.signal)}: {int(self.exists.sum())} have it, {int(self.stable.sum())} stable"),
            ("converged", f"{int(self.converged.sum())} of {int(self.exists.sum())}"),
        )

    @property
    def order_parameter(self) -> FloatArray:
        """``H^{T-1,T-2} ≥ 0``, (B,)."""
        return self.kernel[:, -1, -2]


@lru_cache(maxsize=16)
def lowered_endpoint(T: int, arch: str) -> Lowered:
    """The free energy of endpoint supervision, lowered: variables ``H`` row by row, parameters λ, κ, u, v, w."""
    F = endpoint_free_energy(T, arch)
    return lower(F.terms, F.variables, F.parameters)


def solve_endpoint_batch(
    T: int,
    signal: ArrayLike,
    kappa: ArrayLike = 1.0,
    arch: Literal["rnn", "dnn"] = "rnn",
    *,
    branch: Literal["incoherent", "coherent"] = "incoherent",
    u: ArrayLike = 1.0,
    v: ArrayLike = 1.0,
    w: ArrayLike = 1.0,
    tolerance: float = 1e-10,
) -> EndpointBatch:
    """One branch at every signal λ, noise κ and widths u, v, w (broadcast against each other and flattened).

    The coherent branch is the one that leaves the incoherent branch at λ_c, upper sign. Where a branch has several
    states at the same parameters, the one of lowest free energy is given; where it has none, the entry is NaN and
    ``exists`` is False.

    Raises:
        InputError: T outside 3 … 5, an unknown name, parameters that are not finite and positive (κ and λ may be 0), or
            the coherent branch of a DNN or of T = 3, which does not exist.
    """
    parameters = _checked(T, arch, branch, signal=signal, kappa=kappa, u=u, v=v, w=w)
    lam, noise, u_, v_, w_ = parameters
    n = T - 1
    reduced_noise = noise / (v_ * w_ ** (n - 1) * u_)
    curve = branches.spline(n, 0 if branch == "incoherent" else 1)
    entries, exists = branches.states(curve, lam, reduced_noise)
    rows, columns = np.triu_indices(n)
    for k, power in enumerate((rows + columns) / 2):
        entries[k] *= u_ * w_**power
    roots = newton(lowered_endpoint(T, arch), entries, parameters, tolerance=tolerance)
    return _batch(T, arch, branch, parameters, entries, roots, exists)


def _batch(
    T: int, arch: str, branch: str, p: FloatArray, start: FloatArray, roots: Roots, exists: NDArray[np.bool_]
) -> EndpointBatch:
    n = T - 1
    rows, columns = np.triu_indices(n)
    order = int(np.flatnonzero((rows == n - 2) & (columns == n - 1))[0])
    converged = roots.converged & exists
    if branch == "coherent":
        # near λ_c Newton could have ended on the other branch, or sign
        with np.errstate(invalid="ignore"):
            converged &= np.abs(roots.x[order] - start[order]) <= 0.5 * np.abs(start[order])
    x = np.where(converged, roots.x, np.nan)
    kernel = np.empty((x.shape[1], n, n))
    kernel[:, rows, columns] = x.T
    kernel[:, columns, rows] = x.T
    terms = lowered_endpoint(T, arch).values(x, p)
    return EndpointBatch(
        T=T,
        arch=arch,
        branch=branch,
        signal=p[0],
        kappa=p[1],
        kernel=kernel,
        free_energy=terms.sum(axis=0),
        energy=terms[0],
        entropy=terms[1:].sum(axis=0),
        exists=exists,
        converged=converged,
        stable=roots.stable & converged,
        residual=roots.residual,
    )


def _checked(T: int, arch: str, branch: str, **parameters: ArrayLike) -> FloatArray:
    """λ, κ, u, v, w as rows, (5, B)."""
    if isinstance(T, bool) or not isinstance(T, int) or not 3 <= T <= LONGEST:
        raise InputError(
            f"T: is {T}; accepted: an integer from 3 to {LONGEST} (solve longer chains with numerics.solve)"
        )
    if arch not in ARCHITECTURES:
        raise InputError(f"arch: is {arch!r}; accepted: {' or '.join(ARCHITECTURES)}")
    if branch not in ("incoherent", "coherent"):
        raise InputError(f"branch: is {branch!r}; accepted: incoherent or coherent")
    if branch == "coherent" and (arch == "dnn" or T == 3):
        raise InputError("branch: is coherent; accepted: incoherent, for a DNN or T = 3, which have no other")
    for name, value in parameters.items():
        array, zero = np.asarray(value), name in ("signal", "kappa")
        numeric = array.dtype.kind in "fiu"
        if not numeric or not (np.isfinite(array) & (array >= 0 if zero else array > 0)).all():
            raise InputError(
                f"{name}: has an entry that is not accepted; accepted: finite numbers {'≥ 0' if zero else '> 0'}"
            )
    try:
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in parameters.values()))
    except ValueError:
        shapes = [np.shape(value) for value in parameters.values()]
        raise InputError(f"signal, kappa, u, v, w: have shapes {shapes}; accepted: shapes that broadcast") from None
    return np.ascontiguousarray([array.ravel() for array in arrays])
