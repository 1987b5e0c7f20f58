"""Order parameter and outputs between independent and shared weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq

from derivations.figures.networks import THEORY, agreement_of, compared, draw_networks, networks_named, planned
from derivations.figures.panel import Effort, Panel, finished_runs, in_columns, named, save_panel
from numerics import Problem, endpoint, scan
from numerics.linalg import FloatArray
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "7d",
    "sharing-order",
    "Kernels change along the sharing, the learnt output hardly",
    "Beyond the poster: endpoint supervision, T = 5, along the correlation ρ of the matrices: the same for all pairs "
    "(shared:ρ) or ρ^|s-t| (drift:ρ). (a) Both turn coherent at one ρ (dotted; shared:ρ in a jump, 0.0008 before it). "
    "(b) There the labelled output f^5 is learnt already, and up to ρ = 1 it changes by less than 2 %; the unlabelled "
    "f^4 goes from 0 to half the label. Lines are the theory at N → ∞ (dashed: unstable), diamonds sampled networks "
    "with two standard errors, black dashes the theory at their width.",
)

T, SIGNAL, WIDTH, SEED = 5, 25.0, 128, 20261129
FAMILIES = {"shared": "C0", "drift": "C1"}
#: Correlations of the networks, and of those of a quick look.
RHOS = {"shared": (0.2, 0.4, 0.6, 0.75, 0.9), "drift": (0.3, 0.67, 0.82, 1.0)}
RHOS_QUICK = {"shared": (0.2, 0.75), "drift": (0.82, 1.0)}
GRID = 50
#: What is shown: an entry of the kernel, and two outputs over the label.
SHOWN = ("order_parameter", "labelled", "unlabelled")
#: ρ, what is shown, and stability.
StateRow = tuple[float, float, float, float, bool]


def problem(family: str, rho: float) -> Problem:
    """The task at one correlation."""
    return endpoint(T, SIGNAL, arch=f"{family}:{rho!r}")


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Scan, simulate, draw and save; whether every network agrees with the theory at its width."""
    lines = {family: states_along(family) for family in FAMILIES}
    rhos = RHOS_QUICK if effort.quick else RHOS
    common = {
        "T": T, "signal": SIGNAL, "width": WIDTH, "chains": 2, "warmup": 150, "steps": 300 if effort.quick else 5000,
    }  # fmt: skip
    jobs = planned(out / "sharing-order-runs", ("family", "rho"), rhos, common, SEED)
    found = finished_runs(jobs, network, effort.workers, progress)
    rows = [row for settings, each in zip(jobs.values(), found, strict=True) for row in points(settings, each)]
    tables = {
        "theory": named(
            ("family", "rho", *SHOWN, "stable"), [(family, *row) for family in lines for row in lines[family]]
        ),
        "simulation": in_columns(rows),
    }
    low, high = lines["shared"][0], next(row for row in lines["shared"] if row[0] == 1)
    claim = (
        f"coherent beyond ρ = {critical_rho():.4f}; from ρ = {low[0]:.2f} to 1 the labelled output goes from "
        f"{low[2]:.3f} to {high[2]:.3f} of the label, the unlabelled one from {low[3]:.2f} to {high[3]:.2f}"
    )
    return save_panel(PANEL, out, tables, lambda: draw(lines, rows), **agreement_of(found, claim))


def critical_rho() -> float:
    """The correlation whose λ_c is the panel's signal, the same in both families (docs/theory.md section 10)."""

    def excess(rho: float) -> float:
        eigenvalue = 1 + rho * (rho + np.sqrt(rho**2 + 8)) / 2
        last = (eigenvalue / (eigenvalue - 1)) ** (T - 1)
        return float((last + 1) ** 2 / ((eigenvalue - 1) * last) - SIGNAL)

    return float(brentq(excess, 0.1, 1.0))


def shown(kernel: FloatArray) -> tuple[float, float, float]:
    """H^{n,n-1}, and f^T and f^{T-1} over the label: ``v H^{tn}/(v H^{nn} + κ)``, units v = κ = 1."""
    outputs = kernel[:, -1] / (kernel[-1, -1] + 1)
    return float(kernel[-1, -2]), float(outputs[-1]), float(outputs[-2])


def states_along(family: str) -> list[StateRow]:
    """The lowest state along ρ, and the diagonal one where it is unstable."""
    crowded = critical_rho() + np.linspace(0.01, 0.3, 12) ** 2
    found = scan(problem(family, 0.5), {"rho": np.unique([*np.linspace(0.02, 1.0, GRID), *crowded])})
    diagonal = next(branch for branch in found.branches if branch.name == "incoherent")
    rows: list[StateRow] = []
    for place, rho in enumerate(found.value):
        minima = [branch for branch in found.branches if branch.stable[place]]
        lowest = min(minima, key=lambda branch: float(branch.free_energy[place]))
        rows.append((float(rho), *shown(lowest.kernel[place]), True))
    unstable = np.flatnonzero(~diagonal.stable)
    return rows + [(float(found.value[i]), *shown(diagonal.kernel[i]), False) for i in unstable]


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One network beside the theory."""
    return compared(problem(settings["family"], settings["rho"]), settings)


def points(settings: Mapping[str, Any], found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of networks: one for each quantity that is shown."""
    y = float(np.sqrt(SIGNAL))
    places = {"order_parameter": None, "labelled": -1, "unlabelled": -2}
    rows = []
    for name, t in places.items():
        if t is None:
            own = {"at_width": found["kernel_at_width"][-1][-2], "sampled": found["kernel_sampled"][-1][-2],
                   "standard_error": found["kernel_standard_error"][-1][-2]}  # fmt: skip
        else:
            columns = ("at_width", "sampled", "standard_error")
            own = {column: found[f"outputs_{column}"][0][t] / y for column in columns}
        rows.append({"family": settings["family"], "rho": settings["rho"], "width": settings["width"],
                     "quantity": name, **own, "largest_z": found["largest_z"]})  # fmt: skip
    return rows


def draw(lines: Mapping[str, list[StateRow]], rows: list[dict[str, Any]]) -> Figure:
    """Order parameter above, outputs below."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(3.4, 4.0), sharex=True)
    for family, colour in FAMILIES.items():
        draw_quantity(axes[0], lines[family], rows, family, colour, "order_parameter")
        for name in ("labelled", "unlabelled"):
            draw_quantity(axes[1], lines[family], rows, family, colour, name)
    networks_named(axes[0], WIDTH)
    for place in axes:
        place.axvline(critical_rho(), color="0.6", lw=0.6, ls=":", zorder=0)
    axes[0].annotate(r"$\rho_c$", (critical_rho(), 1.0), (2, -8), xycoords=("data", "axes fraction"),
                     textcoords="offset points")  # fmt: skip
    axes[0].set_title(rf"(a) $T = {T}$, $\lambda = {SIGNAL:g}$, $\kappa = 1$", loc="left")
    axes[0].set(ylabel=rf"order parameter $H^{{{T - 1},{T - 2}}}$")
    axes[1].set_title("(b)", loc="left")
    axes[1].set(xlabel=r"correlation $\rho$", ylabel="output / label", xlim=(0, 1.02), ylim=(-0.06, 1.08))
    axes[1].text(0.03, 0.86, f"$f^{T}$, labelled", fontsize=7)
    axes[1].text(0.03, 0.06, f"$f^{T - 1}$, not labelled", fontsize=7)
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, handlelength=1.4, columnspacing=1.2)
    return figure


def draw_quantity(
    axes: Axes, line: list[StateRow], rows: list[dict[str, Any]], family: str,
    colour: str, name: str,
) -> None:  # fmt: skip
    """One quantity of one family: theory and networks."""
    column = 1 + SHOWN.index(name)
    for stable, style in ((True, {"label": rf"{family}:$\rho$, {THEORY}"}), (False, {"ls": "--", "lw": 0.7})):
        own = np.array([(row[0], row[column]) for row in line if row[4] is stable])
        if len(own):
            axes.plot(*own.T, color=colour, **style)
    table = in_columns(row for row in rows if (row["family"], row["quantity"]) == (family, name))
    draw_networks(axes, table["rho"], table, colour)
