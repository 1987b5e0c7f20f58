"""How much the matrices of different times must have in common for a sequence to be carried on.

The task and its error over all times are those of `sample_efficiency`; ρ = 0 is the DNN and ρ = 1 the RNN.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures import sample_efficiency, sequential
from derivations.figures.networks import agreement_of, draw_networks, networks_named
from derivations.figures.panel import Effort, Panel, finished_runs, in_columns, save_panel
from numerics import Solution, predict, solve, state_near
from numerics.linalg import FloatArray
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "7f",
    "sharing-sequences",
    "How much sharing does interpolation need?",
    "Beyond the poster: the task of 6c, a rotation teacher of which 2 to 6 of 7 times are supervised, learnt by "
    "matrices with the correlation ρ (shared:ρ; ρ = 0 is the DNN, ρ = 1 the RNN). Error of the mean outputs over all "
    "times, relative to the labels, (a) along ρ and (b) against the number of supervised times. With two supervised "
    "times no sharing helps; with three the correlation has to be strong (0.74 halves the error); from four on about "
    "a quarter is enough. Lines are the theory at N → ∞, diamonds sampled networks with two standard errors, black "
    "dashes the theory at their width.",
)

#: Supervised times of the lines along ρ, and their colours.
COUNTS = {2: "C4", 3: "C0", 4: "C2", 5: "C1", 6: "C3"}
#: Steps of the lines from ρ = 0 to 1, where the lowest states are sought; between, they are followed from both sides.
STEPS = 32
#: Correlations of the lines against the number of supervised times.
RHOS = {0.0: "0.75", 0.2: "0.55", 0.5: "0.3", 1.0: "k"}
WIDTH, SEED = 64, 20261201
#: Supervised times and correlations of the networks.
NETWORKS = ((3, 0.5), (3, 0.9), (4, 0.2), (4, 0.5), (5, 0.2), (6, 0.5))
NETWORKS_QUICK = ((3, 0.8), (4, 0.2))


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether the outputs of every network agree with the theory at its width."""
    places = NETWORKS_QUICK if effort.quick else NETWORKS
    jobs = {
        out / "sharing-sequences-runs" / f"{count}-{rho:g}.json": {
            "axis": "times", "count": count, "arch": f"shared:{rho:g}", "width": WIDTH if effort.quick else 4 * WIDTH,
            "chains": 4, "warmup": 90 if effort.quick else 500, "steps": 130 if effort.quick else 2000,
            "seed": SEED + number,
        }
        for number, (count, rho) in enumerate(places)
    }  # fmt: skip
    found = finished_runs(jobs, sample_efficiency.point, effort.workers, progress)
    points = [
        {"rho": rho, "at_width": each["theory_at_width"], **each}
        for (_, rho), each in zip(places, found, strict=True)
    ]  # fmt: skip
    lines = {count: errors(count) for count in COUNTS}
    theory = [
        {"count": count, "rho": float(rho), "error": float(value)}
        for count, line in lines.items()
        for rho, value in zip(grid(), line, strict=True)
    ]
    tables = {"theory": in_columns(theory), "simulation": in_columns(points)}
    half = {count: half_way(line) for count, line in lines.items()}
    claim = (
        f"a correlation of {half[3]:.2f}, {half[4]:.2f} and {half[5]:.2f} halves the error of independent matrices "
        "with 3, 4 and 5 of 7 times supervised; with 2 no correlation helps"
    )
    return save_panel(PANEL, out, tables, lambda: draw(lines, points), **agreement_of(found, claim))


def grid() -> FloatArray:
    """Correlations of the lines, closer together where ρ is small."""
    return np.linspace(0.0, 1.0, STEPS + 1) ** 1.5


def errors(count: int) -> FloatArray:
    """Error of the lowest state along ρ: solved at both ends, and followed from there."""
    values = grid()
    lowest: list[Solution | None] = [
        solve(sequential.task(f"shared:{rho:g}", sample_efficiency.ADDED[:count])) if rho in (0.0, 1.0) else None
        for rho in values
    ]
    for order in (range(1, len(values)), range(len(values) - 2, -1, -1)):
        step = order.step
        for place in order:
            before = lowest[place - step]
            assert before is not None
            problem = sequential.task(f"shared:{values[place]:.12g}", sample_efficiency.ADDED[:count])
            state, known = state_near(problem, before.kernel), lowest[place]
            if known is None or (state.converged and state.free_energy < known.free_energy - 1e-9):
                lowest[place] = state
    states = [state for state in lowest if state is not None]
    return np.array([sample_efficiency.error("times", state.problem, predict(state).mean) for state in states])


def half_way(line: FloatArray) -> float:
    """The first ρ at which the error is half of what it is at ρ = 0; NaN if it never is."""
    below = np.flatnonzero(line <= line[0] / 2)
    if len(below) == 0:
        return float("nan")
    place = int(below[0])
    return float(np.interp(-line[0] / 2, -line[place - 1 : place + 1], grid()[place - 1 : place + 1]))


def draw(lines: dict[int, FloatArray], points: Sequence[dict[str, Any]]) -> Figure:
    """Along the correlation on the left, against the number of supervised times on the right."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(3.4, 2.5), sharey=True, width_ratios=(3, 2))
    for count, colour in COUNTS.items():
        left.plot(grid(), lines[count], color=colour)
        left.annotate(f"{count}", (0, lines[count][0]), (-4, 0), textcoords="offset points", ha="right", va="center",
                      fontsize=7, color=colour)  # fmt: skip
        own = [point for point in points if point["count"] == count]
        if own:
            table = in_columns(own)
            draw_networks(left, table["rho"], table, colour)
    left.set(xlabel=r"correlation $\rho$", ylabel="error / label power", xlim=(-0.12, 1.02), ylim=(-0.02, 0.78),
             xticks=(0, 0.5, 1))  # fmt: skip
    left.set_title("(a) supervised times: 2 … 6", loc="left")
    draw_counts(right, lines)
    networks_named(left, points[0]["width"])
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, handlelength=1.4)
    return figure


def draw_counts(axes: Axes, lines: dict[int, FloatArray]) -> None:
    """Error against the number of supervised times, for a few correlations."""
    for rho, colour in RHOS.items():
        values = [float(np.interp(rho, grid(), line)) for line in lines.values()]
        axes.plot(list(lines), values, ".-", ms=4, color=colour, label=rf"$\rho = {rho:g}$")
    axes.set(xlabel="supervised times", xticks=list(lines))
    axes.set_title("(b)", loc="left")
    axes.legend(handlelength=1.2, labelspacing=0.25, borderaxespad=0.0)
