"""Endpoint supervision: what RNN and DNN predict for training and for held-out inputs.

Inputs are x = √2 (cos θ, sin θ). The RNN's and the DNN's networks are drawn at every other angle in turn; two standard
errors are smaller than a diamond, and one network's spread, in the table, is as wide as a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import (
    ARCHITECTURES,
    COLOURS,
    Effort,
    Panel,
    finished_runs,
    rows_where,
    sampled_networks,
    save_panel,
    stacked,
)
from derivations.figures.verdicts import said
from numerics import Problem, solve
from numerics.checking.agreement import judged
from numerics.predictors.predictions import predict
from numerics.progress import Progress
from numerics.sampling.diagnostics import have_mixed, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "5d",
    "predictions",
    "Both architectures learn the task",
    "Endpoint supervision with several patterns: inputs at angle θ on a circle, six training labels (crosses), which "
    "no linear function of the input, a sinusoid in θ, meets all. (a) Mean outputs f^T of RNN and DNN: lines are the "
    "theory at N → ∞, diamonds sampled networks with two standard errors. (b) RNN less DNN: with kernels so different, "
    "the predictors hardly differ.",
)


T, KAPPA, WIDTH, SEED = 6, 1.0, 256, 20260219
TRAINING_ANGLES = np.pi * np.array([-0.85, -0.5, -0.15, 0.1, 0.45, 0.8])
AMPLITUDE, NOISE = 3.0, 0.6
TEST_ANGLES = np.pi * np.arange(-7, 9) / 8
#: Over the two independent outputs of each architecture, a correct theory is called wrong with a chance below 1e-3.
Z_LIMIT = 4.0


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; the files made, and whether every sampled output agrees with the theory."""
    theory = {arch: theory_lines(arch) for arch in ARCHITECTURES}
    points = sampled_outputs(out, effort, progress)
    worst = float(np.abs(points["z"]).max())
    verdicts = [judged(abs(z) <= Z_LIMIT, mixed) for z, mixed in zip(points["z"], points["mixed"], strict=True)]
    compared = f"{len(verdicts)} outputs of networks of width {WIDTH} {said(verdicts, 'the theory')}"
    summary = f"{compared}; largest |z| {worst:.1f}"
    tables = {"theory": theory_table(theory), "simulation": points}
    picture = partial(draw, theory, points)
    return save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)


def circle(angles: np.ndarray) -> np.ndarray:
    """Inputs with x·x/D = 1, (patterns, 2)."""
    return np.asarray(np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def problem(arch: str, test_angles: np.ndarray) -> Problem:
    """The training set on the circle, labels at the last output only."""
    noise = NOISE * np.random.default_rng(SEED).standard_normal(len(TRAINING_ANGLES))
    y = np.full((len(TRAINING_ANGLES), T - 1), np.nan)
    y[:, -1] = AMPLITUDE * np.cos(TRAINING_ANGLES) + noise
    return Problem(circle(TRAINING_ANGLES), y, arch=arch, kappa=KAPPA, x_test=circle(test_angles))


def theory_lines(arch: str) -> dict[str, np.ndarray]:
    """f^T over the circle, and its standard deviation at this width."""
    angles = np.pi * np.linspace(-1.0, 1.0, 181)
    predicted = predict(solve(problem(arch, angles)), WIDTH)
    assert predicted.test_mean is not None
    assert predicted.test_sd is not None
    return {
        "angle": angles,
        "output": predicted.test_mean[:, -1],
        "sd": predicted.test_sd[:, -1],
    }


def theory_table(theory: dict[str, dict[str, np.ndarray]]) -> dict[str, list[Any]]:
    """Both architectures' lines, one row for each angle."""
    return stacked({"arch": [arch] * len(line["angle"]), **line} for arch, line in theory.items())


def sampled_outputs(out: Path, effort: Effort, progress: Progress) -> dict[str, list[Any]]:
    """f^T at the test angles for both architectures, beside the theory."""
    steps = 150 if effort.quick else 2000
    jobs = {
        out / "predictions-runs" / f"{arch}.json": {
            "T": T,
            "kappa": KAPPA,
            "arch": arch,
            "width": WIDTH,
            "steps": steps,
            "warmup": max(300, steps // 4),
            "chains": 2,
            "seed": SEED + number,
            "amplitude": AMPLITUDE,
            "noise": NOISE,
            "training": TRAINING_ANGLES.tolist(),
            "test": TEST_ANGLES.tolist(),
        }
        for number, arch in enumerate(ARCHITECTURES)
    }
    return stacked(finished_runs(jobs, network, effort.workers, progress))


def network(settings: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Simulate one architecture's networks: their mean outputs at the test angles, beside the theory's."""
    task = problem(settings["arch"], TEST_ANGLES)
    solution = solve(task)
    predicted = predict(solution, settings["width"])
    assert predicted.test_mean is not None
    assert predicted.test_at_width is not None
    at_width = predicted.test_at_width[:, -1]
    simulation = sampled_networks(task, settings)
    outputs = summarise(simulation.outputs[..., -len(TEST_ANGLES) :, -1])
    return {
        "arch": [settings["arch"]] * len(TEST_ANGLES),
        "angle": TEST_ANGLES.tolist(),
        "theory": predicted.test_mean[:, -1].tolist(),
        "theory_at_width": at_width.tolist(),
        "sampled": outputs.mean.tolist(),
        "standard_error": outputs.standard_error.tolist(),
        "z": ((outputs.mean - at_width) / outputs.standard_error).tolist(),
        "mixed": [have_mixed(*both) for both in zip(outputs.rhat, outputs.ess, strict=True)],
    }


def draw(theory: dict[str, dict[str, np.ndarray]], points: dict[str, list[Any]]) -> Figure:
    """Outputs above, their difference below."""
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(3.4, 3.4), sharex=True, height_ratios=(2, 1))
    draw_outputs(above, theory, points)
    draw_difference(below, theory, points)
    return figure


def draw_outputs(axes: Axes, theory: dict[str, dict[str, np.ndarray]], points: dict[str, list[Any]]) -> None:
    """Outputs over the circle, with the training labels."""
    for first, (arch, style) in enumerate(zip(ARCHITECTURES, ("-", "--"), strict=True)):
        line = theory[arch]
        axes.plot(line["angle"] / np.pi, line["output"], style, color=COLOURS[arch], label=f"{arch.upper()}, theory")
        # one of two angles: at the same ones the second diamonds would hide the first
        column = {name: values[first::2] for name, values in rows_where(points, arch=arch).items()}
        axes.errorbar(
            column["angle"] / np.pi, column["sampled"], yerr=2 * column["standard_error"], fmt="D", ms=3.5,
            color=COLOURS[arch], mfc="white", zorder=3, clip_on=False, label=f"{arch.upper()}, $N = {WIDTH}$",
        )  # fmt: skip
    labels = problem("rnn", TEST_ANGLES).y[:, -1]
    axes.plot(TRAINING_ANGLES / np.pi, labels, "x", color="k", ms=6, mew=1.4, zorder=4, label="training labels")
    axes.set_title(f"(a) $T = {T}$, $\\kappa = {KAPPA:g}$: both learn the task", loc="left")
    axes.set(ylabel=r"output $\langle f^T\rangle$")
    axes.legend(loc="lower center", ncols=1, handlelength=1.6, labelspacing=0.2)


def draw_difference(axes: Axes, theory: dict[str, dict[str, np.ndarray]], points: dict[str, list[Any]]) -> None:
    """RNN less DNN: theory, and networks with two standard errors."""
    x = theory["rnn"]["angle"] / np.pi
    axes.plot(x, theory["rnn"]["output"] - theory["dnn"]["output"], color="k")
    rnn, dnn = (rows_where(points, arch=arch) for arch in ARCHITECTURES)
    axes.errorbar(
        rnn["angle"] / np.pi, rnn["sampled"] - dnn["sampled"],
        yerr=2 * np.hypot(rnn["standard_error"], dnn["standard_error"]), fmt="D", ms=3.5, color="k", mfc="white",
        clip_on=False, zorder=3,
    )  # fmt: skip
    axes.axhline(0, color="0.7", lw=0.6, zorder=0)
    axes.set_title("(b) RNN less DNN", loc="left")
    axes.set(
        xlabel=r"angle of the input $\theta/\pi$",
        ylabel=r"$\Delta\langle f^T\rangle$",
        xlim=(-1, 1),
        xticks=(-1, -0.5, 0, 0.5, 1),
    )
