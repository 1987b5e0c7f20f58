"""Solve a problem over a grid of parameters, on any executor, with a labelled result; an interrupted sweep resumes.

Each finished point is one file, named by a digest of its problem, and written whole or not at all. A sweep reads what
is there and computes the rest, so that nothing finished is ever lost or done twice, and no file of another problem can
be taken for its own.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numerics import processes
from numerics.continuation.parameters import PARAMETERS
from numerics.display import Facts, number
from numerics.errors import InputError
from numerics.files import given_path, refused_if_unwritable, whole_file
from numerics.inputs.arguments import require_kind
from numerics.inputs.problem import Problem
from numerics.inputs.problem_file import UNREADABLE
from numerics.linalg import BoolArray, FloatArray
from numerics.plotting import line_style
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import (
    Arrays,
    Labelled,
    kernel_array,
    kernel_coordinates,
    output_array,
    problem_attributes,
)
from numerics.results.readout import mean_outputs
from numerics.results.solution import SCALARS
from numerics.solving import solve

#: What is kept of each solution, and raised with its meaning.
KEPT_VERSION = 2
KEPT_SCALARS = (*SCALARS, "coherent")
KEPT_ARRAYS = ("kernel", "prediction")


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Result):
    """The lowest states over a grid; arrays have one axis for each parameter, in the order of `axes`.

    Attributes:
        axes: names and values of the parameters.
        free_energy, energy, entropy, residual, hessian_smallest, converged, stable: as in `Solution`.
        coherent: whether `Solution.branch` is that.
        kernel: with two further axes, (…, nP, nP), time-major.
        prediction: mean outputs, (…, P, n), or (…, O, P, n) of several.
        parameters: what all problems have in common, names with values.
    """

    axes: tuple[tuple[str, tuple[Any, ...]], ...]
    free_energy: FloatArray
    energy: FloatArray
    entropy: FloatArray
    residual: FloatArray
    hessian_smallest: FloatArray
    converged: BoolArray
    stable: BoolArray
    coherent: BoolArray
    kernel: FloatArray
    prediction: FloatArray
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def order_parameter(self) -> FloatArray:
        """Frobenius norm of ``Φ^{T-1,T-2}``, with the axes of the parameters."""
        P = self.prediction.shape[-2]
        return np.asarray(np.linalg.norm(self.kernel[..., -P:, -2 * P : -P], axis=(-2, -1)))

    def facts(self) -> Facts:
        """The grid, and what was found on it."""
        return (
            *((name, f"{len(values)} values, {values[0]} to {values[-1]}") for name, values in self.axes),
            ("free energy", f"from {number(self.free_energy.min())} to {number(self.free_energy.max())}"),
            ("coherent", f"{int(self.coherent.sum())} of {self.coherent.size}"),
            ("converged", f"{int(self.converged.sum())} of {self.converged.size}"),
        )

    def draw(self, ax: Any, **style: Any) -> None:
        """F against the first parameter, a line for each value of the others."""
        name, values = self.axes[0]
        others = itertools.product(*(each for _, each in self.axes[1:]))
        for line, place in zip(self.free_energy.reshape(len(values), -1).T, others, strict=True):
            label = ", ".join(f"{other} = {value}" for (other, _), value in zip(self.axes[1:], place, strict=True))
            ax.plot(values, line, **line_style(style, marker="o", markersize=3, label=label or None))
        ax.set(xlabel=PARAMETERS[name].symbol if name in PARAMETERS else name, ylabel="free energy $F$")
        if len(self.axes) > 1:
            ax.legend()

    def labelled(self) -> Arrays:
        """Along the parameters, in the order of `axes`."""
        rows = tuple(name for name, _ in self.axes)
        n, P, shape = self.prediction.shape[-1], self.prediction.shape[-2], self.free_energy.shape
        outputs = self.prediction.shape[-3] if self.prediction.ndim > len(shape) + 2 else 1
        data: dict[str, Labelled] = {name: (rows, getattr(self, name)) for name in (*KEPT_SCALARS, "order_parameter")}
        data["kernel"] = kernel_array(self.kernel, P, *rows)
        data["prediction"] = output_array(self.prediction, outputs, *rows)
        coordinates: dict[str, Labelled] = {name: ((name,), list(values)) for name, values in self.axes}
        return Arrays(rows, data, {**coordinates, **kernel_coordinates(n, P)}, dict(self.parameters))


def sweep(
    problem_of: Callable[..., Problem],
    axes: Mapping[str, Sequence[Any]],
    directory: str | Path,
    executor: Executor | None = None,
    *,
    progress: bool | Progress | None = None,
) -> Sweep:
    """Solve ``problem_of(**values)`` for every combination of the axes' values.

    Args:
        problem_of: makes the problem of one point, such as ``functools.partial(numerics.inputs.problem.endpoint, 4)``.
        axes: values by argument name; they become the dimensions of the result, in this order.
        directory: where finished points are kept; made if missing.
        executor: of the ``concurrent.futures`` kind: threads, ``dask.distributed.Client().get_executor()``, …; local
            processes by default. Workers need no access to the directory.
        progress: True shows how far it is, on standard error; a function is told what is being done, the finished
            points, and their number.

    Raises:
        InputError: an axis is empty, kernels differ in size, a point's problem is refused, the directory cannot be
            written.
    """
    require_kind(problem_of, "problem_of", callable, "a function of the axes' values, such as partial(endpoint, 4)")
    require_kind(axes, "axes", lambda given: isinstance(given, Mapping), "values by argument name, {'signal': [5, 10]}")
    if not axes:
        raise InputError("axes: is empty; accepted: at least one argument with its values")
    for name, values in axes.items():
        require_kind(values, f"axes: {name}", lambda given: hasattr(given, "__len__"), "a sequence of values")
        if not len(values):
            raise InputError(f"axes: {name} has no values; accepted: at least one value for each axis")
    folder = given_path(directory, "directory")
    with refused_if_unwritable(f"directory: {folder}", "a folder"):
        folder.mkdir(parents=True, exist_ok=True)
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    problems = [problem_of(**point) for point in points]
    shapes = {(problem.n, problem.P, problem.outputs) for problem in problems}
    if len(shapes) > 1:
        raise InputError(
            f"axes: give kernels of different sizes {sorted(shapes)}; accepted: one n, P and number of outputs"
        )
    with watched(progress, "points") as told:
        results = _finished_and_missing(problems, folder, executor, told)
    shape = tuple(len(values) for values in axes.values())
    stacked = {name: np.stack([result[name] for result in results]) for name in (*KEPT_SCALARS, *KEPT_ARRAYS)}
    arrays: dict[str, Any] = {name: each.reshape(*shape, *each.shape[1:]) for name, each in stacked.items()}
    described = [problem_attributes(problem) for problem in problems]
    common = tuple(
        (name, value)
        for name, value in described[0].items()
        if name not in axes and all(each[name] == value for each in described)
    )
    return Sweep(tuple((name, tuple(values)) for name, values in axes.items()), parameters=common, **arrays)


def digest(problem: Problem) -> str:
    """A name for a problem's solution: the same for equal problems, in any process and session."""
    return hashlib.sha256(f"{KEPT_VERSION} {problem.digest}".encode()).hexdigest()[:32]


def _finished_and_missing(
    problems: Sequence[Problem], folder: Path, executor: Executor | None, told: Progress
) -> list[dict[str, Any]]:
    names = [digest(problem) for problem in problems]
    results = {name: _read(folder / f"{name}.npz") for name in names}
    missing = {name: problem for name, problem in zip(names, problems, strict=True) if results[name] is None}
    if missing:
        own = executor is None
        pool = executor or processes.pool()
        futures: dict[Future[dict[str, Any]], str] = {}
        try:
            futures = {pool.submit(solved, problem): name for name, problem in missing.items()}
            finished = len(results) - len(missing)
            told("points", finished, len(results))
            for done, future in enumerate(as_completed(futures), finished + 1):
                name = futures[future]
                results[name] = future.result()
                _write(folder / f"{name}.npz", results[name])
                told("points", done, len(results))
        finally:
            for future in futures:
                future.cancel()
            if own:
                pool.shutdown(cancel_futures=True)
    return [result for name in names if (result := results[name]) is not None]


def solved(problem: Problem) -> dict[str, Any]:
    """The parts of one solution that a sweep keeps."""
    solution = solve(problem)
    values = {**vars(solution), "coherent": solution.branch == "coherent", "prediction": mean_outputs(solution)}
    return {name: values[name] for name in (*KEPT_SCALARS, *KEPT_ARRAYS)}


def _read(path: Path) -> dict[str, Any] | None:
    """A finished point; None if there is none, or the file is damaged."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in (*KEPT_SCALARS, *KEPT_ARRAYS)}
    except UNREADABLE:  # FileNotFoundError, an OSError, among them
        return None


def _write(path: Path, result: Mapping[str, Any] | None) -> None:
    assert result is not None
    with refused_if_unwritable(f"directory: {path.parent}", "a folder"), whole_file(path) as temporary:
        np.savez(temporary, **result)
