"""Endpoint supervision: the kernel landscape, F along the RNN's order parameter and in a plane."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sympy import nsimplify

from derivations.figures.panel import (
    Effort,
    Panel,
    Table,
    finished_run,
    sampled_networks,
    save_panel,
    stacked,
)
from derivations.figures.verdicts import said
from numerics import endpoint, scan
from numerics.checking.agreement import judged
from numerics.endpoint_task.landscape import landscape, negative_log_density, plane
from numerics.progress import Progress
from numerics.sampling.diagnostics import have_mixed, summarise
from theory.critical_point import critical_signal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = dict[str, list[Any]]

PANEL = Panel(
    "5c",
    "landscape",
    "The kernel landscape",
    "Free energy F along the correlation q of the last two times, the rest minimised out. (a) T = 4: one minimum "
    "splits into two at λ_c; full lines N → ∞, dashed lines -ln P(q)/N at N = 64, diamonds its histogram over "
    "sampled networks. (b) T = 6: coherent minima appear beside the incoherent one; κ = 20, since at κ = 1 they "
    "coexist in a narrow range only, behind a barrier too low to see. (c) A plane through the coherent minima "
    "(circles) and the incoherent saddle (cross).",
)


T, KAPPA, WIDTH, CHAINS, SEED = 4, 1.0, 64, 4, 20260218
JUMP_T, JUMP_KAPPA = 6, 20.0
PLANE_SIGNAL = 40.0
#: Edges of the histogram, for q ≥ 0: the posterior is even in q.
EDGES = np.linspace(0.0, 0.9, 10)
LINE_COLOURS = ("C5", "C2", "C0")
#: Over the 27 bins together, a correct histogram is called wrong with a chance of 1e-3.
Z_LIMIT = 4.1


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Compute, simulate, draw and save; the files made, and whether the histograms agree with the theory."""
    continuous = curves(T, KAPPA, continuous_signals(), WIDTH)
    jump = curves(JUMP_T, JUMP_KAPPA, jump_signals(), None)
    cut = plane_cut()
    points = histograms(out, effort, progress)
    tables = {"continuous": continuous, "discontinuous": jump, "plane": cut, "histogram": points}
    worst = float(np.abs(points["z"]).max())
    verdicts = [judged(abs(z) <= Z_LIMIT, mixed) for z, mixed in zip(points["z"], points["mixed"], strict=True)]
    compared = f"histograms of {len(verdicts)} bins at width {WIDTH} {said(verdicts, 'the theory')}"
    summary = f"{compared}; largest |z| {worst:.1f}"
    picture = partial(draw, continuous, jump, cut, points)
    return save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)


def draw(
    continuous: Columns,
    jump: Columns,
    cut: Columns,
    points: Columns,
) -> Figure:
    """Both transitions above, the plane below."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(3.4, 4.2))
    # each as wide as the column
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 0.9))
    left, right = above.subplots(1, 2)
    draw_continuous(left, continuous, points)
    draw_jump(right, jump)
    draw_plane(below.subplots(), cut)
    return figure


def continuous_signals() -> dict[str, float]:
    """Below, at and above λ_c at T = 4."""
    critical = float(critical_signal(T, nsimplify(KAPPA)))
    return {r"$\lambda = 5$": 5.0, r"$\lambda_c = 10.1$": critical, r"$\lambda = 20$": 20.0}


def jump_signals() -> dict[str, float]:
    """Below the fold, at equal free energies and at λ_c where the transition is discontinuous."""
    critical = float(critical_signal(JUMP_T, nsimplify(JUMP_KAPPA)))
    found = scan(endpoint(JUMP_T, 1.0, kappa=JUMP_KAPPA), {"signal": np.linspace(0.6, 1.02, 40) * critical})
    (equal,) = (point.value for point in found.special_points if point.type == "equal-free-energy")
    return {r"$\lambda = 25$": 25.0, f"equal, ${equal:.1f}$": equal, f"$\\lambda_c = {critical:.1f}$": critical}


def curves(T: int, kappa: float, signals: dict[str, float], width: int | None) -> Columns:
    """F along q for each signal, less its value at q = 0; where a width is given, also ``-ln P(q)/N``."""
    q = np.tanh(np.linspace(0.0, 3.6, 81))
    tables: list[Table] = []
    for label, signal in signals.items():
        curve = landscape(T, signal, q, kappa)
        columns: dict[str, Any] = {
            "label": [label] * len(q),
            "signal": [signal] * len(q),
            "correlation": q,
            "order_parameter": curve.order_parameter,
            "free_energy": curve.free_energy - curve.free_energy[0],
        }
        if width is not None:
            action = negative_log_density(curve, width, signal, kappa)
            columns["negative_log_density"] = action - np.nanmin(action)
        tables.append(columns)
    return stacked(tables)


def plane_cut() -> Columns:
    """F over the plane of the incoherent and both coherent states, less its minimum."""
    x, y = np.linspace(-1.5, 1.5, 151), np.linspace(-0.6, 1.8, 121)
    F = plane(T, PLANE_SIGNAL, x, y, KAPPA)
    across, up = np.meshgrid(x, y)
    return {"x": across.ravel(), "y": up.ravel(), "free_energy": (F - np.nanmin(F)).ravel()}


def histograms(out: Path, effort: Effort, progress: Progress) -> Columns:
    """The sampled share of each bin of |q| beside the theory's at this width."""
    steps = 400 if effort.quick else 10_000
    tables: list[Table] = []
    signals = continuous_signals()
    for done, (label, signal) in enumerate(signals.items()):
        progress(f"λ = {signal:.3g}", done, len(signals))
        settings = {
            "T": T,
            "kappa": KAPPA,
            "signal": signal,
            "width": WIDTH,
            "steps": steps,
            "warmup": max(300, steps // 4),
            "chains": CHAINS,
            "seed": SEED + done,
            "edges": list(EDGES),
        }
        found = finished_run(
            out / "landscape-runs" / f"{signal:.4g}.json", settings, partial(histogram, settings, effort.workers)
        )
        expected, largest = expected_shares(signal)
        columns: dict[str, Any] = {
            "label": [label] * len(expected),
            "signal": [signal] * len(expected),
            "correlation": 0.5 * (EDGES[1:] + EDGES[:-1]),
            "theory": expected,
            "largest_density": [largest] * len(expected),
            **found,
            "z": normal_score((np.array(found["share"]) - expected) / np.array(found["standard_error"])),
        }
        tables.append(columns)
    return stacked(tables)


def histogram(settings: dict[str, Any], workers: int) -> dict[str, list[Any]]:
    """Share of the draws of |q| in each bin, with the standard error over half chains, and whether |q| has mixed."""
    problem = endpoint(settings["T"], settings["signal"], kappa=settings["kappa"])
    kernels = sampled_networks(problem, settings, workers=workers).kernels
    q = np.abs(kernels[..., -1, -2]) / np.sqrt(kernels[..., -1, -1] * kernels[..., -2, -2])
    halves = q.reshape(2 * len(q), -1)
    shares = np.array([np.histogram(half, settings["edges"])[0] / half.size for half in halves])
    error = shares.std(axis=0, ddof=1) / np.sqrt(len(shares))
    # a bin that hardly any draw enters has no spread of its own: that of independent draws is the least
    floor = np.sqrt(np.maximum(shares.mean(axis=0), 1 / q.size) / q.size)
    of_q = summarise(q[..., None])
    return {
        "share": shares.mean(axis=0).tolist(),
        "standard_error": np.maximum(error, floor).tolist(),
        "mixed": [have_mixed(float(of_q.rhat[0]), float(of_q.ess[0]))] * shares.shape[1],
    }


def normal_score(t: np.ndarray) -> np.ndarray:
    """The standard normal's value of the same probability as Student's t over the half chains."""
    from scipy.stats import norm
    from scipy.stats import t as student

    return np.asarray(np.sign(t) * norm.isf(student.sf(np.abs(t), 2 * CHAINS - 1)))


def expected_shares(signal: float) -> tuple[np.ndarray, float]:
    """The theory's shares of |q| in the bins at this width, by Simpson's rule, and the largest density of |q|."""
    from scipy.integrate import simpson

    q = np.linspace(0.0, 0.98, 981)
    coarse = np.linspace(0.0, 0.98, 99)
    action = negative_log_density(landscape(T, signal, coarse, KAPPA), WIDTH, signal, KAPPA)
    density = np.exp(-WIDTH * (np.interp(q, coarse, action) - action.min()))
    total = simpson(density, x=q)
    bounds = np.round(EDGES / (q[1] - q[0])).astype(int)
    parts = [simpson(density[a : b + 1], x=q[a : b + 1]) for a, b in pairwise(bounds)]
    return np.array(parts) / total, float(density.max() / total)


def draw_continuous(axes: Axes, table: Columns, points: Columns) -> None:
    """Full lines: F at N → ∞. Dashed: -ln P(q)/N at this width; diamonds: its histogram."""
    shift = {}
    for colour, (label, rows) in zip(LINE_COLOURS, by_label(table).items(), strict=True):
        q, F, S = rows["correlation"], rows["free_energy"], rows["negative_log_density"]
        # both from the minimum of the line that they belong to
        shift[label] = F.min()
        mirrored(axes, q, F, color=colour, label=label)
        axes.plot(q, S + shift[label], color=colour, ls="--", lw=0.7)
    for colour, (label, rows) in zip(LINE_COLOURS, by_label(points).items(), strict=True):
        seen = rows["share"] > 0
        # -ln of the density over the theory's largest, per neuron
        density = rows["share"] / np.diff(EDGES)
        height = -np.log(density[seen] / rows["largest_density"][0]) / WIDTH + shift[label]
        error = 2 * rows["standard_error"][seen] / rows["share"][seen] / WIDTH
        axes.errorbar(rows["correlation"][seen], height, yerr=error, fmt="D", ms=3, color=colour, mfc="white", zorder=3)
    axes.set(xlim=(-1, 1), ylim=(-0.03, 0.12), xlabel="correlation $q$", ylabel="$F(q) - F(0)$")
    axes.set_title(f"(a) $T = {T}$, $\\kappa = {KAPPA:g}$", loc="left")
    axes.legend(loc="upper center", handlelength=0, labelspacing=0.2, labelcolor="linecolor")


def draw_jump(axes: Axes, table: Columns) -> None:
    """F where the transition is discontinuous."""
    for colour, (label, rows) in zip(LINE_COLOURS, by_label(table).items(), strict=True):
        mirrored(axes, rows["correlation"], rows["free_energy"], color=colour, label=label)
    axes.set(xlim=(-1, 1), ylim=(-0.15, 0.25), yticks=(-0.1, 0, 0.1, 0.2), xlabel="correlation $q$")
    axes.set_title(f"(b) $T = {JUMP_T}$, $\\kappa = {JUMP_KAPPA:g}$", loc="left")
    axes.legend(loc="upper center", handlelength=0, labelspacing=0.2, labelcolor="linecolor")


def draw_plane(axes: Axes, table: Columns) -> None:
    """Contours of F; circles at the coherent minima, a cross at the incoherent saddle, as `unrolled landscape`."""
    x, y = np.unique(table["x"]), np.unique(table["y"])
    F = np.reshape(table["free_energy"], (len(y), len(x)))
    saddle = F[np.argmin(np.abs(y)), np.argmin(np.abs(x))]
    levels = [0.0, 0.005, 0.015, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4]
    shown = axes.contourf(x, y, F, levels=levels, cmap="viridis", extend="max")
    axes.set_facecolor(shown.cmap(1.0))  # where the kernel is not positive-definite F is infinite
    axes.contour(x, y, F, levels=[saddle], colors="w", linewidths=0.8)
    axes.plot([-1, 1], [1, 1], "o", color="w", mec="k", ms=5)
    axes.plot(0, 0, "X", color="w", mec="k", ms=5)
    axes.text(0, 1, r"$\leftarrow$ coherent $\rightarrow$", color="w", fontsize=7, ha="center", va="center")
    axes.text(0, -0.42, "incoherent", color="w", fontsize=7, ha="center", va="center")
    axes.set(xlabel="odd in $W \\to -W$", ylabel="even in $W \\to -W$")
    axes.set_title(f"(c) $T = {T}$, $\\kappa = {KAPPA:g}$, $\\lambda = {PLANE_SIGNAL:g}$", loc="left")
    bar = axes.figure.colorbar(shown, ax=axes, ticks=[0.0, 0.03, 0.1, 0.2, 0.4], format="%g")
    bar.set_label(r"$F - F_{\min}$")


def mirrored(axes: Axes, q: np.ndarray, values: np.ndarray, **style: Any) -> None:
    """A line that is even in q."""
    axes.plot(np.concatenate([-q[::-1], q]), np.concatenate([values[::-1], values]), **style)


def by_label(table: Columns) -> dict[str, dict[str, np.ndarray]]:
    """The rows of each label, in order."""
    labels = np.array(table["label"])
    return {
        label: {name: np.array(values)[labels == label] for name, values in table.items()}
        for label in dict.fromkeys(table["label"])
    }
