"""Skip connections from none to a residual network: both architectures' kernels become alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.networks import THEORY, agreement_of, compared, draw_networks, networks_named, planned
from derivations.figures.panel import COLOURS, Effort, Panel, finished_runs, in_columns, save_panel
from numerics import Problem, cka, endpoint, predict, solve
from numerics.linalg import FloatArray
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = Panel(
    "7g",
    "skip-strength",
    "A skip connection makes the architectures' kernels alike",
    "Beyond the poster: h^t = a h^(t-1) + W^(t-1) h^(t-1) with a skip from a = 0 to a = 1 (residual network), "
    "endpoint supervision, T = 4. The two architectures, far apart without a skip, become alike: (a) the DNN is "
    "coherent too (H^{23}/√(H^{22}H^{33})), and the alignment (CKA) of its kernel with the RNN's goes from 0.89 to "
    "0.995; (b) so is the output f^3, which has no label, to within 0.02 of the label. RNN: the state of lowest F, "
    "aligned with the skip. Lines are the theory at N → ∞, diamonds sampled networks with two standard errors, black "
    "dashes the theory at their width.",
)

T, SIGNAL, WIDTH, SEED = 4, 20.0, 128, 20261202
SKIPS = {"rnn": (0.1, 0.2, 0.35, 0.5, 0.75, 1.0), "dnn": (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)}
SKIPS_QUICK = {"rnn": (0.1, 0.5, 1.0), "dnn": (0.2, 0.5, 1.0)}
GRID = 41


def problem(arch: str, skip: float) -> Problem:
    """The task at one skip."""
    return endpoint(T, SIGNAL, arch=arch, skip=skip)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every network agrees with the theory at its width."""
    skips = SKIPS_QUICK if effort.quick else SKIPS
    common = {
        "T": T, "signal": SIGNAL, "width": WIDTH, "chains": 2, "warmup": 150, "steps": 300 if effort.quick else 5000,
    }  # fmt: skip
    jobs = planned(out / "skip-strength-runs", ("arch", "skip"), skips, common, SEED)
    found = finished_runs(jobs, network, effort.workers, progress)
    rows, points = along(), [point for each in found for point in points_of(each)]
    tables = {"theory": in_columns(rows), "simulation": in_columns(points)}
    first, last = rows[0], rows[-1]
    claim = (
        f"the alignment (CKA) of RNN's and DNN's kernels rises from {first['cka']:.3f} at a = 0 to {last['cka']:.3f} "
        f"at a = 1, where the unlabelled output over the label is {last['rnn_output']:.2f} (RNN) and "
        f"{last['dnn_output']:.2f} (DNN)"
    )
    return save_panel(PANEL, out, tables, lambda: draw(rows, points), **agreement_of(found, claim))


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One network beside the theory."""
    return compared(problem(settings["arch"], settings["skip"]), settings) | {
        name: settings[name] for name in ("arch", "skip", "width")
    }


def coherence(kernel: FloatArray) -> float:
    """``H^{23}/√(H^{22}H^{33})``."""
    return float(kernel[2, 1] / np.sqrt(kernel[1, 1] * kernel[2, 2]))


def along() -> list[dict[str, float]]:
    """Coherence and unlabelled output f^3/y of both architectures, and the alignment of their kernels, along a."""
    rows = []
    for skip in np.linspace(0.0, 1.0, GRID) ** 2:  # the RNN's tilt sets in as a cube root
        states = {arch: solve(problem(arch, float(skip))) for arch in COLOURS}
        row = {"skip": float(skip), "cka": cka(states["rnn"].kernel, states["dnn"].kernel)}
        for arch, state in states.items():
            row[f"{arch}_coherence"] = coherence(state.kernel)
            row[f"{arch}_output"] = float(predict(state).mean[0, -2] / np.sqrt(SIGNAL))
        rows.append(row)
    return rows


def points_of(each: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table of networks: the coherence and the unlabelled output of one."""
    kernel, error = np.array(each["kernel_sampled"]), np.array(each["kernel_standard_error"])
    named = {"arch": each["arch"], "skip": each["skip"], "width": each["width"], "largest_z": each["largest_z"]}
    y = float(np.sqrt(SIGNAL))
    return [
        {
            **named, "quantity": "coherence", "at_width": coherence(np.array(each["kernel_at_width"])),
            "sampled": coherence(kernel), "standard_error": float(error[2, 1] / np.sqrt(kernel[1, 1] * kernel[2, 2])),
        },
        {
            **named, "quantity": "output",
            **{name: each[f"outputs_{name}"][0][-2] / y for name in ("at_width", "sampled", "standard_error")},
        },
    ]  # fmt: skip


def draw(rows: Sequence[Mapping[str, float]], points: Sequence[Mapping[str, Any]]) -> Figure:
    """Coherence above, the unlabelled output below, and the alignment of the kernels in both architectures' stead."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(3.4, 3.9), sharex=True)
    lines = in_columns(rows)
    for place, quantity in zip(axes, ("coherence", "output"), strict=True):
        for arch, colour in COLOURS.items():
            place.plot(lines["skip"], lines[f"{arch}_{quantity}"], color=colour, label=f"{arch.upper()}, {THEORY}")
            own = in_columns(row for row in points if (row["arch"], row["quantity"]) == (arch, quantity))
            draw_networks(place, own["skip"], own, colour)
    axes[0].plot(lines["skip"], lines["cka"], color="0.5", ls=":", label="CKA of their kernels")
    networks_named(axes[0], WIDTH)
    axes[0].set_title(rf"(a) $T = {T}$, $\lambda = {SIGNAL:g}$, $\kappa = 1$", loc="left")
    axes[0].set(ylabel="temporal coherence", ylim=(-0.05, 1.05))
    axes[1].set_title("(b) unlabelled output", loc="left")
    axes[1].set(xlabel="skip $a$", ylabel=r"$\langle f^3\rangle/y$", xlim=(-0.02, 1.02), ylim=(-0.02, 0.52))
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, handlelength=1.4, columnspacing=1.2)
    return figure
