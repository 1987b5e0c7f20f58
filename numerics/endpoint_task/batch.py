"""Endpoint supervision at many parameters at once: signals, noises and widths broadcast (docs/theory.md section 5).

Starts are the crossings (``endpoint_task.crossings``) of branches that are traced once; every point is then polished by
Newton on the lowered stationarity conditions of the full free energy, at its own parameters.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import Float, expand_log

from numerics.display import Facts
from numerics.endpoint_task import crossings, factorised
from numerics.errors import InputError
from numerics.inputs.arguments import require_choice
from numerics.inputs.arrays import real_array
from numerics.inputs.problem import ARCHITECTURES
from numerics.inputs.scalars import integer, positive
from numerics.linalg import FloatArray
from numerics.linear.newton import newton
from numerics.lowering.scalar import Lowered, lower
from numerics.plotting import branch as draw_branch
from numerics.plotting import order_parameter_axes
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import Arrays, Labelled, kernel_array, kernel_coordinates
from numerics.threads import one_thread
from theory import symbols
from theory.critical_point import critical_signal
from theory.free_energy import endpoint_free_energy

BranchChoice = Literal["incoherent", "coherent", "lowest"]

#: The scalar expressions of F grow as n! with the number of times; beyond this the batch is solved by matrices.
LONGEST_SCALAR = 5
#: Largest T solved in batches at all.
LONGEST_BATCH = 8
#: What all states of a batch have in common.
FIXED = ("T", "arch", "branch")
#: What a table of a batch has for each state, besides its order parameter.
TABLED = ("free_energy", "energy", "entropy", "exists", "converged", "stable", "residual", "reduced_kappa")
#: Problems that are solved together: enough that Python's own time does not count, few enough for a core's cache.
BLOCK = 1 << 13


@dataclass(frozen=True, eq=False, repr=False)
class EndpointBatch(Result):
    """Stationary kernels of endpoint problems, all on one branch, or on the lower of two.

    Arrays have the shape S to which the parameters broadcast, (1,) for single numbers.

    Attributes:
        T: index of the last output.
        arch: ``"rnn"`` or ``"dnn"``.
        branch: ``"incoherent"``, ``"coherent"`` or ``"lowest"``.
        signal, kappa: the parameters, S.
        kernel: ``H``, S + (n, n); NaN where the branch does not exist or Newton did not converge.
        free_energy, energy, entropy: S, NaN likewise.
        exists: whether the branch exists at these parameters, S.
        converged, stable, residual: as in ``numerics.linear.newton.Roots``, S.
        reduced_kappa: ``κ/(v w^(T-2) u)``, S, which with λ decides everything but the kernel's scale.
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
    reduced_kappa: FloatArray | None = None

    def facts(self) -> Facts:
        """Which states, how many, and how well solved."""
        return (
            ("branch", f"{self.branch}, {self.arch.upper()}, T = {self.T}"),
            ("problems", f"{_sizes(self.signal)}: {int(self.exists.sum())} have it, {int(self.stable.sum())} stable"),
            ("converged", f"{int(self.converged.sum())} of {int(self.exists.sum())}"),
        )

    def draw(self, ax: Any, **style: Any) -> None:
        """The order parameter: against λ (or κ where λ is one number), or over two parameters as a map.

        The map has the RNN's exact critical line λ_c(κ) (docs/theory.md section 5).
        """
        if self.signal.ndim == 2:
            self._draw_map(ax, **style)
            return
        along = self.kappa if np.ptp(self.signal) == 0 and np.ptp(self.kappa) > 0 else self.signal
        order = np.argsort(along, kind="stable")
        draw_branch(along[order], self.order_parameter[order], self.stable[order], ax, **{"color": "C0", **style})
        order_parameter_axes(self.T, ax)
        if along is self.kappa:
            ax.set_xlabel(r"noise $\kappa$")

    def labelled(self) -> Arrays:
        """Along the parameters: an axis along which λ or κ alone varies is named after it, others are ``axis1``, …"""
        axes = [f"axis{k + 1}" for k in range(self.signal.ndim)]
        for name in ("signal", "kappa"):
            values = getattr(self, name)
            varies = [k for k in range(values.ndim) if np.ptp(values, axis=k).any()]
            if len(varies) == 1 and axes[varies[0]].startswith("axis"):
                axes[varies[0]] = name
        coordinates: dict[str, Labelled] = kernel_coordinates(self.T - 1, 1)
        for name in ("signal", "kappa"):
            values = getattr(self, name)
            if name in axes:
                along = axes.index(name)
                coordinates[name] = ((name,), np.moveaxis(values, along, 0).reshape(values.shape[along], -1)[:, 0])
            else:
                coordinates[name] = (tuple(axes), values)
        names = ("order_parameter", *(name for name in TABLED if getattr(self, name) is not None))
        data: dict[str, Labelled] = {name: (tuple(axes), getattr(self, name)) for name in names}
        data["kernel"] = kernel_array(self.kernel, 1, *axes)
        return Arrays(tuple(axes), data, coordinates, {name: getattr(self, name) for name in FIXED})

    def _draw_map(self, ax: Any, **style: Any) -> None:
        size = self.order_parameter
        style = {"shading": "nearest", "cmap": "viridis", **style}
        image = ax.pcolormesh(self.signal, self.kappa, np.ma.masked_invalid(size), **style)
        ax.figure.colorbar(image, ax=ax, label=rf"order parameter $H^{{{self.T - 1},{self.T - 2}}}$")
        ax.set(xlabel=r"signal $\lambda$", ylabel=r"noise $\kappa$")
        ax.set_title(f"{self.arch.upper()}, $T = {self.T}$, {self.branch} branch", loc="left")
        limits = ax.get_xlim(), ax.get_ylim()
        if self.arch == "rnn" and self.T >= 4 and self.reduced_kappa is not None:
            noise = np.linspace(self.kappa.min(), self.kappa.max(), 60)
            reduced = np.interp(noise, np.sort(self.kappa, axis=None), np.sort(self.reduced_kappa, axis=None))
            label = r"$\lambda_c(\kappa)$: incoherent states are unstable beyond"
            ax.plot(critical_signals(self.T, reduced), noise, "--", color="C1", label=label)
            ax.legend()
        ax.set(xlim=limits[0], ylim=limits[1])

    @property
    def order_parameter(self) -> FloatArray:
        """``H^{T-1,T-2} ≥ 0``, S."""
        return self.kernel[..., -1, -2]


def _sizes(array: FloatArray) -> str:
    return " × ".join(map(str, array.shape))


def critical_signals(T: int, kappa: ArrayLike) -> FloatArray:
    """``λ_c(κ)``, where the RNN's incoherent branch turns unstable, at each κ (units u = v = w = 1)."""
    exact = critical_signal(T)
    return np.array([float(exact.subs(symbols.kappa, Float(float(k), 17))) for k in np.ravel(kappa)])


@lru_cache(maxsize=16)
def lowered_endpoint(T: int, arch: str) -> Lowered:
    """The free energy of endpoint supervision, lowered: variables ``H`` row by row, parameters λ, κ, u, v, w."""
    F = endpoint_free_energy(T, arch)
    return lower(F.terms, F.variables, F.parameters)


@lru_cache(maxsize=16)
def _lowered_in_units(T: int, arch: str) -> Lowered:
    """The same at ``u = v = w = 1``, with parameters λ, κ: fewer operations, and the widths only scale the kernel."""
    F = endpoint_free_energy(T, arch)
    units = {symbols.u: 1, symbols.v: 1, symbols.w: 1}
    # a logarithm of each determinant: derivatives of their ratio have a third more operations
    terms = {name: expand_log(term.subs(units), force=True) for name, term in F.terms.items()}
    return lower(terms, F.variables, F.parameters[:2])


@one_thread
def solve_endpoint_batch(
    T: int,
    signal: ArrayLike,
    kappa: ArrayLike = 1.0,
    arch: Literal["rnn", "dnn"] = "rnn",
    *,
    branch: BranchChoice = "incoherent",
    u: ArrayLike = 1.0,
    v: ArrayLike = 1.0,
    w: ArrayLike = 1.0,
    tolerance: float = 1e-10,
    progress: bool | Progress | None = None,
) -> EndpointBatch:
    """One branch at every signal λ, noise κ and widths u, v, w, broadcast against each other.

    ``solve_endpoint_batch(4, *np.meshgrid(signals, noises))`` gives, and draws, a map over two parameters.

    The coherent branch is the one that leaves the incoherent branch at λ_c, upper sign. Where a branch has several
    states at the same parameters, on either side of its folds, the one of lowest free energy is given; where it has
    none, the entry is NaN and ``exists`` is False. ``"lowest"`` gives the lower of both branches' states; the branches
    of longer lags, which T ≥ 5 has too, are not compared: `solve` looks for those.

    Args:
        T: index of the last output.
        signal, kappa, u, v, w: λ, κ and the prior widths.
        arch: ``"rnn"`` or ``"dnn"``.
        branch: ``"incoherent"``, ``"coherent"`` or ``"lowest"``.
        tolerance: relative residual of a converged state.
        progress: True shows how many problems are solved, on standard error; a function is told
            (`numerics.progress`).

    Raises:
        InputError: T outside 3 … 8, an unknown name, a tolerance or parameters that are not finite and positive (κ and
            λ may be 0), or the coherent branch of a DNN or of T = 3, which does not exist.

    Example:
        >>> import unrolled
        >>> states = unrolled.solve_endpoint_batch(4, [5.0, 20.0], branch="lowest")
        >>> states.order_parameter.round(3)
        array([0.   , 5.284])
    """
    longest = f"an integer from 3 to {LONGEST_BATCH} (beyond it use numerics.solve)"
    T = integer(T, "T", 3, LONGEST_BATCH, longest)
    require_choice(arch, "arch", ARCHITECTURES)
    require_choice(branch, "branch", get_args(BranchChoice))
    tolerance = positive(tolerance, "tolerance")
    if branch == "lowest":
        return _lower_of_both(T, signal, kappa, arch, {"u": u, "v": v, "w": w}, tolerance, progress)
    given, shape = _checked(T, arch, branch, signal=signal, kappa=kappa, u=u, v=v, w=w)
    lam, noise, widths = given[0], given[1], given[2:]
    n, count = T - 1, lam.size
    curve = crossings.spline(n, 0 if branch == "incoherent" else 1)
    reduced = np.array([lam, noise / (widths[1] * widths[2] ** (n - 1) * widths[0])])
    numbers = ("free_energy", "energy", "entropy", "residual")
    found: dict[str, NDArray[Any]] = {name: np.empty(count) for name in numbers}
    found |= {name: np.empty(count, dtype=bool) for name in ("exists", "converged", "stable")}
    # entry by entry, as they are computed
    found["kernel"] = np.moveaxis(np.empty((n, n, count)), 2, 0)

    def solve_block(block: slice) -> None:
        own = [array if array.size == 1 else array[block] for array in widths]
        places = {name: array[block] for name, array in found.items()}
        _write_states(T, arch, branch, curve, reduced[:, block], own, tolerance, places)

    blocks = [slice(first, first + BLOCK) for first in range(0, max(count, 1), BLOCK)]
    # matrices let go of the interpreter for long enough that threads share the cores; scalars only hand it to and fro
    pool = ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1))
    solved = map(solve_block, blocks) if T <= LONGEST_SCALAR else pool.map(solve_block, blocks)
    try:
        with watched(progress, "solve_endpoint_batch") as told:
            for block in blocks:
                told(f"{branch} states", block.start, count)
                next(solved)
    finally:
        pool.shutdown(cancel_futures=True)
    found |= {"signal": lam, "kappa": noise, "reduced_kappa": reduced[1]}
    shaped: dict[str, Any] = {name: values.reshape(*shape, *values.shape[1:]) for name, values in found.items()}
    return EndpointBatch(T=T, arch=arch, branch=branch, **shaped)


def _write_states(
    T: int,
    arch: str,
    branch: str,
    curve: crossings.CurveSpline,
    parameters: FloatArray,
    widths: list[FloatArray],
    tolerance: float,
    out: dict[str, NDArray[Any]],
) -> None:
    """The batch's arrays, in place, for flat λ and κ, (2, B), in units u = v = w = 1; a width may be one number."""
    n, (u, _, w) = T - 1, widths
    start, exists = crossings.states(curve, *parameters)
    states = (_lowered_states if T <= LONGEST_SCALAR else _matrix_states)(T, arch, start, parameters, tolerance)
    lost = np.flatnonzero(exists & ~states.converged)
    if lost.size and T <= LONGEST_SCALAR:
        # at very strong signals the scalar expressions cancel; matrices keep their digits
        states = _replaced(states, lost, _matrix_states(T, arch, start[:, lost], parameters[:, lost], tolerance))
    rows, columns = np.triu_indices(n)
    converged = states.converged & exists
    if branch == "coherent":
        # near λ_c Newton could have ended on the other branch, or sign
        order = int(np.flatnonzero((rows == n - 2) & (columns == n - 1))[0])
        with np.errstate(invalid="ignore"):
            converged &= np.abs(states.x[order] - start[order]) <= 0.5 * np.abs(start[order])
    hide = 1.0 if converged.all() else np.where(converged, 1.0, np.nan)
    kernel = out["kernel"]
    for entries, i, j in zip(states.x, rows, columns, strict=True):
        # H^{ts} = u w^{(t+s)/2-1} times its value in units u = v = w = 1
        np.multiply(entries, hide * u * w ** float((i + j) / 2), out=kernel[:, i, j])
        kernel[:, j, i] = kernel[:, i, j]
    np.multiply(states.energy, hide, out=out["energy"])
    np.multiply(states.entropy, hide, out=out["entropy"])
    np.add(out["energy"], out["entropy"], out=out["free_energy"])
    out["exists"][:], out["converged"][:], out["residual"][:] = exists, converged, states.residual
    np.logical_and(states.stable, converged, out=out["stable"])


def _lower_of_both(
    T: int,
    signal: ArrayLike,
    kappa: ArrayLike,
    arch: str,
    widths: dict[str, ArrayLike],
    tolerance: float,
    progress: bool | Progress | None,
) -> EndpointBatch:
    names: tuple[BranchChoice, ...] = ("incoherent", "coherent") if arch == "rnn" and T != 3 else ("incoherent",)
    first, *others = (
        solve_endpoint_batch(T, signal, kappa, arch, branch=name, tolerance=tolerance, progress=progress, **widths)  # type: ignore[arg-type]
        for name in names
    )
    taken = {field.name: np.array(getattr(first, field.name)) for field in fields(first) if field.name not in FIXED}
    for other in others:
        # where a state that exists has not converged, nothing is known to be lowest, and no number is given
        with np.errstate(invalid="ignore"):
            lower = other.exists & ~(taken["free_energy"] <= other.free_energy) & taken["converged"]
        for name, values in taken.items():
            values[lower] = getattr(other, name)[lower]
    return EndpointBatch(T=T, arch=arch, branch="lowest", **taken)


@dataclass(frozen=True, eq=False)
class _States:
    """Kernels' independent entries (d, B) in units u = v = w = 1, and what is known of them, (B,) each."""

    x: FloatArray
    energy: FloatArray
    entropy: FloatArray
    residual: FloatArray
    converged: NDArray[np.bool_]
    stable: NDArray[np.bool_]


def _lowered_states(T: int, arch: str, start: FloatArray, parameters: FloatArray, tolerance: float) -> _States:
    lowered = _lowered_in_units(T, arch)
    roots = newton(lowered, start, parameters, tolerance=tolerance)
    terms = lowered.values(roots.x, parameters)
    return _States(roots.x, terms[0], terms[1:].sum(axis=0), roots.residual, roots.converged, roots.stable)


def _matrix_states(T: int, arch: str, start: FloatArray, parameters: FloatArray, tolerance: float) -> _States:
    """By matrices, for T whose scalar expressions would be too long."""
    n = T - 1
    rows, columns = np.triu_indices(n)
    H = np.empty((start.shape[1], n, n))
    H[:, rows, columns] = H[:, columns, rows] = start.T
    L = np.asarray(np.linalg.cholesky(H))
    states = factorised.newton(L, *parameters, tolerance=tolerance)
    if arch == "dnn":
        states = factorised.masked(states, np.asarray(np.linalg.cholesky(states.kernel)), *parameters)
    with np.errstate(invalid="ignore"):
        stable = states.hessian_smallest > 0
    x = states.kernel[:, rows, columns].T
    return _States(x, states.energy, states.entropy, states.residual, states.converged, stable)


def _replaced(states: _States, places: NDArray[np.intp], by: _States) -> _States:
    """The states with those at some places taken from others."""
    merged = []
    for field in fields(_States):
        whole = np.array(getattr(states, field.name))
        whole[..., places] = getattr(by, field.name)
        merged.append(whole)
    return _States(*merged)


def _checked(T: int, arch: str, branch: str, **parameters: ArrayLike) -> tuple[list[FloatArray], tuple[int, ...]]:
    """λ and κ flattened, (B,), and u, v, w (B,) or, where one number serves all, (1,); and their common shape."""
    if branch == "coherent" and (arch == "dnn" or T == 3):
        raise InputError("branch: is coherent; accepted: incoherent, for a DNN or T = 3, which have no other")
    given = {name: real_array(value, name) for name, value in parameters.items()}
    for name, array in given.items():
        zero = name in ("signal", "kappa")
        if not (np.isfinite(array) & (array >= 0 if zero else array > 0)).all():
            raise InputError(
                f"{name}: has an entry that is not accepted; accepted: finite numbers {'≥ 0' if zero else '> 0'}"
            )
    try:
        arrays = np.broadcast_arrays(*given.values())
    except ValueError:
        shapes = [array.shape for array in given.values()]
        raise InputError(f"signal, kappa, u, v, w: have shapes {shapes}; accepted: shapes that broadcast") from None
    single = [name in ("u", "v", "w") and array.size == 1 for name, array in given.items()]
    flat = [array.ravel()[:1] if one else array.ravel() for array, one in zip(arrays, single, strict=True)]
    return flat, arrays[0].shape or (1,)
