"""Predictions as a result of their own: of training and test patterns, at N → ∞ and at a network's width.

See docs/theory.md sections 6 and 13.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from numerics.display import Facts, number, sign_fact, text_table
from numerics.errors import InputError, NotSolvedError
from numerics.inputs.arguments import of_state
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.linalg import FloatArray
from numerics.linear.fluctuations import LARGEST_HESSIAN
from numerics.linear.functional import kernel_functional
from numerics.nonlinear.solution import NonlinearSolution
from numerics.plotting import task_title
from numerics.predictors.generalisation import held_out, training
from numerics.predictors.held_out_width import held_out_fluctuations
from numerics.predictors.output_shift import output_shift
from numerics.progress import Progress, watched
from numerics.results.base import Result
from numerics.results.labelled import Arrays, Labelled, problem_attributes
from numerics.results.outputs import Outputs, draw_outputs
from numerics.results.readout import mean_outputs
from numerics.results.solution import Solution
from numerics.threads import one_thread

if TYPE_CHECKING:
    from numerics.sampling.result import Simulation

#: Rows of a table that are shown.
MOST_ROWS = 40
#: Smaller numbers, relative to the largest label or mean, are shown as 0.
SHOWN_AS_0 = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Result):
    """Outputs that a state predicts; column t-1 of each array is f^(t+1), as in the labels.

    Attributes:
        problem: what was learnt, with its test patterns.
        mean: ``⟨f⟩`` of the training patterns at N → ∞, at supervised and other times, (P, n), or (O, P, n) of several
            outputs.
        test_mean: of the test patterns, (Q, n), or (O, Q, n); None where there are none.
        width: N, if fluctuations were asked for.
        sd: standard deviation of f over networks of this width, that of `mean`'s shape: of the read-out given the
            kernel, and of the kernel.
        shift: ``lim N (⟨f⟩_N - f)``; the mean at width N is ``mean + shift/N`` (`at_width`).
        test_sd, test_shift: of the test patterns.
        sign_arbitrary: hidden times t, 1-based, at which a symmetry of the posterior reverses the means of training
            patterns: over the state and its images these are 0 (``numerics.symmetry``).
        test_sign_arbitrary: of the test patterns.
        missing: a sentence for each of these that was asked for and is not known.
    """

    problem: Problem
    mean: FloatArray
    test_mean: FloatArray | None = None
    width: int | None = None
    sd: FloatArray | None = None
    shift: FloatArray | None = None
    test_sd: FloatArray | None = None
    test_shift: FloatArray | None = None
    sign_arbitrary: tuple[int, ...] = ()
    test_sign_arbitrary: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def at_width(self) -> FloatArray | None:
        """Mean outputs of the training patterns at this width, to first order in 1/N; None where it is not known."""
        return None if self.shift is None or self.width is None else self.mean + self.shift / self.width

    @property
    def test_at_width(self) -> FloatArray | None:
        """Of the test patterns."""
        if self.test_mean is None or self.test_shift is None or self.width is None:
            return None
        return self.test_mean + self.test_shift / self.width

    def facts(self) -> Facts:
        """What is predicted, how far it is from the labels, and what is not known."""
        problem = self.problem
        patterns = f"{problem.P}" + ("" if self.test_mean is None else f", and {self.test_mean.shape[-2]} held out")
        errors = [
            (name, mean - np.moveaxis(y, 2, 0) if y.ndim == 3 else mean - y)
            for name, mean, y in (
                ("from labels", self.mean, problem.y),
                ("from labels held out", self.test_mean, problem.y_test),
            )
            if mean is not None and y is not None and np.isfinite(y).any()
        ]
        return (
            ("problem", f"{problem.model}, T = {problem.T}, κ = {problem.kappa:g}"),
            ("patterns", patterns),
            *((name, f"root mean square {number(float(np.sqrt(np.nanmean(off**2))))}") for name, off in errors),
            *(() if self.width is None else (("width", f"N = {self.width}"),)),
            *problem.contradictory,
            *sign_fact(self.sign_arbitrary),
            *(("missing", sentence) for sentence in self.missing),
        )

    def __str__(self) -> str:
        header, *rows = self.table()
        left = f"\n{len(rows) - MOST_ROWS} more rows: to_dataframe() has all." if len(rows) > MOST_ROWS else ""
        facts = "\n".join(f"{name}: {value}" for name, value in self.facts())
        return f"{facts}\n{text_table(header, rows[:MOST_ROWS])}{left}"

    def _repr_html_(self) -> str:
        header, *rows = self.table()
        left = f"<p>{len(rows) - MOST_ROWS} more rows: to_dataframe() has all.</p>" if len(rows) > MOST_ROWS else ""
        shown = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows[:MOST_ROWS])
        heading = f"<tr><th>{'</th><th>'.join(header)}</th></tr>"
        return f"{super()._repr_html_()}<table>{heading}{shown}</table>{left}"

    def table(self) -> list[list[str]]:
        """Outputs in words: a heading, and a row for each output, pattern and time."""
        P, several = self.problem.P, self.problem.outputs > 1
        columns = {"label": "label", "mean": "⟨f^(t+1)⟩"}
        if self.width is not None:
            columns |= {"at_width": f"at N = {self.width}", "sd": "± sd"}
        values = {name: self._joined(name) for name in columns}
        values = {name: each for name, each in values.items() if np.isfinite(each).any()}
        sizes = [np.nanmax(np.abs(values[name])) for name in ("label", "mean") if name in values]
        rounding = SHOWN_AS_0 * max(sizes)
        rows = [[*(["output"] if several else []), "pattern", "t", *(columns[name] for name in values)]]
        for c, p, t in np.ndindex(values["mean"].shape):
            pattern = f"{p + 1}" if p < P else f"{p - P + 1} held out"
            here = [each[c, p, t] for each in values.values()]
            numbers = ("" if np.isnan(x) else f"{0.0 if abs(x) < rounding else x:.4g}" for x in here)
            rows.append([*([f"{c + 1}"] if several else []), pattern, f"{t + 1}", *numbers])
        return rows

    def _joined(self, name: str) -> FloatArray:
        """Training and test patterns together, (O, P + Q, n); NaN where there is nothing."""
        problem = self.problem
        if name == "label":
            parts = [None if y is None else np.moveaxis(y.reshape(*y.shape[:2], -1), 2, 0) for y in _labels(problem)]
        else:
            parts = [getattr(self, name), getattr(self, f"test_{name}")]
        sizes = (problem.P, 0 if self.test_mean is None else self.test_mean.shape[-2])
        shapes = [(problem.outputs, size, problem.n) for size in sizes]
        return np.concatenate(
            [
                np.full(shape, np.nan) if part is None else np.reshape(part, shape)
                for part, shape in zip(parts, shapes, strict=True)
            ],
            axis=1,
        )

    def title(self) -> str:
        """The task, and the width."""
        return task_title(self.problem) + ("" if self.width is None else f", $N = {self.width}$")

    def draw(self, ax: Any, *, sampled: Simulation | None = None, **style: Any) -> None:
        """Outputs against hidden time with bands of ± one standard deviation, and labels as circles.

        Args:
            ax: matplotlib axes.
            sampled: a simulation of the problem: its means in one sign, ± 2 standard errors, as points.
            style: keywords of ``plot`` for the lines.
        """
        outputs = self.lines()
        if sampled is not None:
            outputs["sampled"] = Outputs(sampled.prediction, 2 * sampled.prediction_standard_error)
            mean, error = sampled.test_prediction, sampled.test_prediction_standard_error
            if mean is not None and error is not None:
                outputs["sampled, held out"] = Outputs(mean, 2 * error, held_out=True)
        draw_outputs(self.problem, outputs, ax, **style)
        ax.set_title(self.title(), loc="left")

    def lines(self) -> dict[str, Outputs]:
        """What is drawn, with its names: means at the width where these are known."""
        mean, test = self.at_width, self.test_at_width
        name = "theory" if self.width is None else f"theory, $N = {self.width}$"
        if self.width is not None and mean is None:
            name = r"theory, $N\to\infty$"
        shown = self.mean if mean is None else mean
        found = {name: Outputs(shown, band=self.sd, sign_arbitrary=self.sign_arbitrary)}
        if self.test_mean is not None:
            shown = self.test_mean if test is None else test
            reversed_at = self.test_sign_arbitrary
            found[f"{name}, held out"] = Outputs(shown, band=self.test_sd, held_out=True, sign_arbitrary=reversed_at)
        return found

    def labelled(self) -> Arrays:
        """Along patterns and times; those that are held out come last, and ``held_out`` tells them."""
        problem = self.problem
        several = problem.outputs > 1
        names = [("prediction", "mean"), ("label", "label")]
        if self.width is not None:
            names += [("prediction_at_width", "at_width"), ("sd", "sd"), ("shift", "shift")]
        rows = (*(("output",) if several else ()), "pattern", "time")
        data: dict[str, Labelled] = {}
        for name, own in names:
            values = self._joined(own)
            data[name] = (rows, values if several else values[0])
        label = data["label"][1]
        held = np.arange(label.shape[-2]) >= problem.P
        data["held_out"] = (rows, np.broadcast_to(held[:, None], label.shape))
        data["supervised"] = (rows, np.isfinite(label) & ~held[:, None])
        counts = {"pattern": label.shape[-2], "time": problem.n} | ({"output": problem.outputs} if several else {})
        coordinates: dict[str, Labelled] = {name: ((name,), np.arange(1, size + 1)) for name, size in counts.items()}
        return Arrays(rows, data, coordinates, problem_attributes(problem) | {"width": self.width})


def _labels(problem: Problem) -> tuple[FloatArray, FloatArray | None]:
    return problem.y, problem.y_test


@of_state
@one_thread
def predict(
    solution: Solution,
    width: int | None = None,
    *,
    x_test: ArrayLike | None = None,
    progress: bool | Progress | None = None,
) -> Predictions:
    """Outputs of a state's training and test patterns, ``⟨f_a⟩ = v Φ_{a𝒯}(vΦ_{𝒯𝒯}+κ)⁻¹y`` (docs/theory.md section 6).

    Args:
        solution: a state, of any activation.
        width: N: adds the mean's shift and the standard deviation at this width (docs/theory.md section 13), where they
            are known; `Predictions.missing` says where they are not.
        x_test: further patterns, (Q, D) or (Q, times, D); the problem's own unless given.
        progress: True shows on standard error what is being done; a function is told (`numerics.progress`).

    Raises:
        InputError: width is no whole number ≥ 1, or x_test does not fit the problem.

    Example:
        >>> import unrolled
        >>> unrolled.predict(unrolled.solve(unrolled.endpoint(T=4, signal=20.0))).mean.round(3)
        array([[0.331, 1.578, 4.173]])
    """
    if width is not None:
        integer(width, "width", 1)
    if x_test is not None:
        solution = replace(solution, problem=solution.problem.with_(x_test=x_test, y_test=None))
    with watched(progress, "predicting") as told:
        return _predicted(solution, width, told)


def _predicted(solution: Solution, width: int | None, told: Progress) -> Predictions:
    """As `predict`, with progress on the way."""
    problem = solution.problem
    found = Predictions(problem, mean_outputs(solution), width=width, sign_arbitrary=solution.sign_arbitrary)
    if problem.x_test is not None:
        told("predicting held-out patterns", 0, 0)
        try:
            test = held_out(solution)
            found = replace(found, test_mean=test.mean, test_sign_arbitrary=test.sign_arbitrary)
        except NotSolvedError as error:
            found = replace(found, missing=(f"held-out patterns were not found: {error}",))
    if width is None:
        return found
    told(f"fluctuations at N = {width}", 0, 0)
    return _at_width(solution, found, width)


def _at_width(solution: Solution, found: Predictions, width: int) -> Predictions:
    """With shift and standard deviation, or a sentence for those that are not known."""
    if not solution.stable:
        return _without(found, f"the state is no minimum, so that it has no fluctuations at width {width}")
    if isinstance(solution, NonlinearSolution):
        return _nonlinear_at_width(solution, found, width)
    values: dict[str, Any] = {}
    said = []
    try:
        values["sd"] = np.sqrt(training(solution).scaled_variance / width)
    except NotSolvedError as error:
        said.append(f"the standard deviation of training patterns was not found: {error}")
    rows = kernel_functional(solution.problem).dimension
    limit = f"accepted are at most {LARGEST_HESSIAN}"
    if rows <= LARGEST_HESSIAN:
        values["shift"] = output_shift(solution)
    else:
        said.append(f"the shift of the mean is not computed for a kernel of {rows} rows; {limit}")
    if found.test_mean is not None:
        try:
            variance, values["test_shift"] = held_out_fluctuations(solution)
            values["test_sd"] = np.sqrt(variance / width)
        except InputError:
            said.append(
                f"shift and standard deviation of held-out patterns are not computed for a kernel of {rows} rows and "
                f"{solution.problem.n} of a further pattern; {limit}"
            )
    return replace(found, missing=(*found.missing, *said), **values)


def _nonlinear_at_width(solution: NonlinearSolution, found: Predictions, width: int) -> Predictions:
    try:
        sd = np.sqrt(training(solution).scaled_variance / width)
        found = replace(found, sd=sd, shift=output_shift(solution))
        if found.test_mean is not None:
            variance, shift = held_out_fluctuations(solution)
            found = replace(found, test_sd=np.sqrt(variance / width), test_shift=shift)
    except NotSolvedError as error:
        missing = "of outputs" if found.shift is None else "of held-out patterns"
        return _without(found, f"shift and standard deviation {missing} at width {width} were not found: {error}")
    return found


def _without(found: Predictions, sentence: str) -> Predictions:
    return replace(found, missing=(*found.missing, sentence))
