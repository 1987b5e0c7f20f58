"""Looped networks: p distinct layers, applied in turn, are coherent at lags that are multiples of p only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from derivations.figures.networks import agreement_of, compared, draw_networks, networks_named
from derivations.figures.panel import Effort, Panel, finished_runs, in_columns, save_panel
from numerics import Problem, endpoint
from numerics.linalg import FloatArray
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "7e",
    "looped-kernel",
    "A looped network is coherent from loop to loop",
    "Beyond the poster: p distinct layers applied in turn (looped:p), endpoint supervision, T = 8, λ = 10, κ = 1, "
    "beyond the λ_c of each. In every one the kernel is coherent at lags that are multiples of p and vanishes at all "
    "others: between visits of one layer, not between neighbours. Above, correlations H^{tt'}/√(H^{tt}H^{t't'}): the "
    "theory at N → ∞ above the diagonal, a sampled network below. Below, their mean at each lag: lines are the "
    "theory, diamonds sampled networks with two standard errors, black dashes the theory at their width.",
)

T, SIGNAL, WIDTH, SEED = 8, 10.0, 128, 20261130
#: Layers of a loop; one is the RNN.
LOOPS = (1, 2, 3)
LOOP_COLOURS = ("C0", "C2", "C3")
#: The longer the loop, the closer is its transition, and the slower a network mixes.
QUICK_STEPS = {1: 220, 2: 180, 3: 420}


def problem(loop: int) -> Problem:
    """The task of a network of this many distinct layers."""
    return endpoint(T, SIGNAL, arch=f"looped:{loop}")


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every network agrees with the theory at its width."""
    jobs = {
        out / "looped-kernel-runs" / f"looped-{loop}.json": {
            "loop": loop, "T": T, "signal": SIGNAL, "width": WIDTH, "chains": 2, "warmup": 300,
            "steps": QUICK_STEPS[loop] if effort.quick else 4000, "seed": SEED + loop,
        }
        for loop in LOOPS
    }  # fmt: skip
    found = finished_runs(jobs, network, effort.workers, progress)
    tables = {"kernels": in_columns(entries(found)), "lags": in_columns(lags(found))}
    between = max(abs(row["theory"]) for row in lags(found) if row["lag"] % row["loop"])
    within = min(row["theory"] for row in lags(found) if row["lag"] and row["lag"] % row["loop"] == 0)
    claim = (
        f"correlations at multiples of a loop are {within:.2f} or more, all others {between:.0e} or less, for loops of "
        f"{', '.join(map(str, LOOPS))}"
    )
    return save_panel(PANEL, out, tables, lambda: draw(found), **agreement_of(found, claim))


def name_of(loop: int) -> str:
    """The architecture."""
    return f"looped:{loop}" + (" (RNN)" if loop == 1 else "")


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One network beside the theory."""
    return compared(problem(settings["loop"]), settings) | {"loop": settings["loop"]}


def correlation(kernel: ArrayLike) -> FloatArray:
    """``H^{st}/√(H^{ss}H^{tt})``."""
    H = np.asarray(kernel, dtype=np.float64)
    size = np.sqrt(np.diag(H))
    return np.asarray(H / np.outer(size, size))


def at_lag(kernel: ArrayLike, lag: int) -> float:
    """Mean correlation over pairs of times with one lag (docs/theory.md section 9)."""
    return float(np.diag(correlation(kernel), lag).mean())


def lags(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each loop and lag; standard errors are those of the kernel's entries, as if they moved together."""
    rows = []
    for each in found:
        H, error = np.array(each["kernel_sampled"]), np.array(each["kernel_standard_error"])
        size = np.sqrt(np.diag(H))
        for lag in range(T - 1):
            rows.append({
                "loop": each["loop"], "lag": lag, "theory": at_lag(each["kernel"], lag),
                "at_width": at_lag(each["kernel_at_width"], lag), "sampled": at_lag(H, lag),
                "standard_error": float(np.diag(error / np.outer(size, size), lag).mean()) if lag else 0.0,
            })  # fmt: skip
    return rows


def entries(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each loop and entry of its kernel."""
    names = {"theory": "kernel", "at_width": "kernel_at_width", "sampled": "kernel_sampled",
             "standard_error": "kernel_standard_error"}  # fmt: skip
    return [
        {"loop": each["loop"], "t": t + 1, "t'": s + 1, **{name: each[of][t][s] for name, of in names.items()},
         "largest_z": each["largest_z"]}
        for each in found for t in range(T - 1) for s in range(t + 1)
    ]  # fmt: skip


def draw(found: Sequence[Mapping[str, Any]]) -> Figure:
    """A kernel for each loop above, their correlations against the lag below."""
    from matplotlib import pyplot as plt

    places: list[Any] = [[f"kernel {each['loop']}" for each in found], ["lags"] * len(found)]
    figure: Figure
    figure, axes = plt.subplot_mosaic(places, figsize=(3.4, 3.6), height_ratios=(1, 1.35))
    kernels = [axes[name] for name in places[0]]
    for place, each in zip(kernels, found, strict=True):
        image = draw_kernel(place, each)
    kernels[0].set_ylabel("hidden time $t$")
    figure.colorbar(image, ax=kernels, shrink=0.75, aspect=14, pad=0.02, ticks=(-1, 0, 1), label="correlation")
    draw_lags(axes["lags"], lags(found))
    return figure


def draw_kernel(axes: Axes, each: Mapping[str, Any]) -> Any:
    """Correlations of the theory above the diagonal, of the sampled network below."""
    shown = np.triu(correlation(each["kernel"])) + np.tril(correlation(each["kernel_sampled"]), -1)
    image = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, extent=(0.5, T - 0.5, T - 0.5, 0.5))
    axes.plot([0.5, T - 0.5], [0.5, T - 0.5], color="k", lw=0.5)
    axes.set(xticks=(1, 4, 7), yticks=(1, 4, 7), xlabel="$t'$")
    axes.set_title(name_of(each["loop"]), fontsize=7)
    return image


def draw_lags(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Mean correlation against the lag, loop by loop."""
    axes.axhline(0, color="0.7", lw=0.5, zorder=0)
    for loop, colour in zip(LOOPS, LOOP_COLOURS, strict=True):
        own = in_columns(row for row in rows if row["loop"] == loop)
        axes.plot(own["lag"], own["theory"], ".-", ms=3, color=colour, label=name_of(loop))
        draw_networks(axes, own["lag"], own, colour)
    networks_named(axes, WIDTH)
    axes.set(xlabel="lag $t - t'$", ylabel="mean correlation", ylim=(-0.12, 1.05))
    axes.legend(loc="upper right", handlelength=1.4, labelspacing=0.25, borderaxespad=0.0)
