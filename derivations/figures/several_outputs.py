"""Two equal orthogonal outputs: outlier eigenvalues of W anywhere on a circle (docs/theory.md section 12)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures.panel import Effort, Panel, finished_runs, in_columns, sampled_networks, save_panel
from derivations.figures.verdicts import said
from numerics import Problem, endpoint, outliers, solve
from numerics.checking.agreement import judged
from numerics.inputs.teachers import orthonormal_patterns
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "7h",
    "several-outputs",
    "Two equal outputs: a manifold of minima",
    "Beyond the poster: RNN, T = 4, two outputs with equal orthogonal labels. With one output the minima are two "
    "signs; with two they are a manifold, H^{tt'} Q^{t'-t} for every orthogonal 2 × 2 matrix Q, and which Q a network "
    "has nothing decides. (a) The two outliers of W in draws of sampled networks: complex pairs of any phase (Q a "
    "rotation) and real ones of both signs (a reflection), on one circle. (b) Their modulus does not depend on the "
    "phase: the theory (line) is one output's outlier, √3 here; diamonds are means over draws with two standard "
    "errors.",
)

T, KAPPA, WIDTH, SEED = 4, 1.0, 256, 20261203
#: The signal of each output, at which one output has the outlier √3: H^{11} = 3 (docs/theory.md section 5).
SIGNAL = 49**2 / 24
NETWORKS, NETWORKS_QUICK = 16, 5
#: Ranges of the phase, up to W → -W, in which moduli are averaged.
BINS = 3
#: Largest |z| of a mean modulus that is called agreement.
Z_LIMIT = 4.0
KIND_COLOURS = {"rotation": "C0", "reflection": "C1"}


def problem() -> Problem:
    """Two outputs, each of one pattern its own: ``y_c·y_c' = λ δ_cc'``."""
    y = np.full((2, T - 1, 2), np.nan)
    y[:, -1, :] = np.sqrt(SIGNAL) * np.eye(2)
    return Problem(orthonormal_patterns(2), y, kappa=KAPPA)


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether the mean moduli, at every phase, agree with one output's outlier."""
    jobs = {
        out / "several-outputs-runs" / f"{number}.json": {
            "T": T, "signal": SIGNAL, "kappa": KAPPA, "width": WIDTH, "chains": 2, "warmup": 100,
            "steps": 150 if effort.quick else 1500, "seed": SEED + number,
        }
        for number in range(NETWORKS_QUICK if effort.quick else NETWORKS)
    }  # fmt: skip
    rows = [row for each in finished_runs(jobs, network, effort.workers, progress) for row in each["draws"]]
    theory, means = modulus(), moduli(rows)
    for each in means:
        each["theory"], each["largest_z"] = theory, abs(each["modulus"] - theory) / each["standard_error"]
        each["verdict"] = judged(each["largest_z"] <= Z_LIMIT, mixed=True)  # each chain is one value of the mean
    tables = {"draws": in_columns(rows), "moduli": in_columns(means)}
    kinds = [row["kind"] for row in rows]
    verdicts = [each["verdict"] for each in means]
    worst = max((each["largest_z"] for each in means), default=math.nan)
    expected = f"one output's {theory:.3f} at every phase"
    summary = (
        f"of {len(rows)} draws {kinds.count('rotation')} have a pair of outliers of any phase, "
        f"and {kinds.count('reflection')} a real one of both signs; their mean moduli "
        f"{said(verdicts, expected, why='no phase has draws enough')}; largest |z| {worst:.1f}"
    )
    picture = partial(draw, rows, means, theory)
    return save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)


def modulus() -> float:
    """Of one output's outlier, N → ∞, in units of √w."""
    return float(np.abs(outliers(solve(endpoint(T, SIGNAL, kappa=KAPPA)))[0][0]))


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The two leading eigenvalues of W, at draws far apart, of a network that starts at random weights."""
    simulation = sampled_networks(problem(), settings)
    return {"draws": [pair(each.values) | {"seed": settings["seed"], "chain": each.chain, "draw": each.draw}
                      for each in simulation.spectra]}  # fmt: skip


def pair(values: np.ndarray) -> dict[str, Any]:
    """The outliers of a draw: a complex pair, where Q is a rotation, or two real ones of either sign, a reflection; and
    the phase up to W → -W, from 0 to π/2.

    Real ones of one sign are a rotation's whose phase is near 0 or π.
    """
    first, second = values[:2]
    turned = abs(first.imag) > 0 or first.real * second.real > 0
    upper = first if first.imag >= 0 else second
    return {
        "kind": "rotation" if turned else "reflection",
        "real": float(upper.real), "imag": float(upper.imag),
        "other_real": float(second.real if upper is first else first.real),
        "modulus": float(np.sqrt(abs(first) * abs(second))),
        "phase": float(np.arctan2(abs(upper.imag), abs(upper.real))),
    }  # fmt: skip


def moduli(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean modulus in ranges of the phase, and of reflections, with standard errors of the chains' means."""
    groups: list[tuple[str, float, list[Mapping[str, Any]]]] = []
    for k in range(BINS):
        low, high = np.pi / 2 * k / BINS, np.pi / 2 * (k + 1) / BINS
        inside = [row for row in rows if row["kind"] == "rotation" and low <= row["phase"] < high + (k == BINS - 1)]
        groups.append(("rotation", (low + high) / 2, inside))
    groups.append(("reflection", np.nan, [row for row in rows if row["kind"] == "reflection"]))
    found = []
    for kind, phase, own in groups:
        by_chain: dict[tuple[int, int], list[float]] = {}
        for row in own:
            by_chain.setdefault((row["seed"], row["chain"]), []).append(row["modulus"])
        if len(by_chain) < 3:
            continue
        parts, weight = np.array([np.mean(v) for v in by_chain.values()]), np.array([len(v) for v in by_chain.values()])
        mean = float(np.average(parts, weights=weight))
        share = weight / weight.sum()
        error = float(np.sqrt(np.sum(share**2 * (parts - mean) ** 2) * len(parts) / (len(parts) - 1)))
        found.append({"kind": kind, "phase": float(phase), "draws": len(own), "modulus": mean, "standard_error": error})
    return found


def draw(rows: Sequence[Mapping[str, Any]], means: Sequence[Mapping[str, Any]], theory: float) -> Figure:
    """Outliers in the complex plane on the left, their moduli against the phase on the right."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(3.4, 2.4))
    draw_plane(left, rows, theory)
    right.axhline(theory, color="k", lw=1.2, label=r"theory, $N \to \infty$")
    for kind, colour in KIND_COLOURS.items():
        own = in_columns(each for each in means if each["kind"] == kind)
        if own:
            at = [0.65] if kind == "reflection" else np.array(own["phase"]) / np.pi
            right.errorbar(at, own["modulus"], yerr=2 * np.array(own["standard_error"]), fmt="D", color=colour,
                           mfc="white", zorder=3)  # fmt: skip
    right.errorbar([], [], yerr=[], fmt="D", color="0.3", mfc="white", label=f"sampled, mean, $N = {WIDTH}$")
    right.axvline(0.55, color="0.8", lw=0.6)
    right.set(xlabel=r"phase, up to $W \to -W$", ylabel=r"modulus $|\mu|$", xlim=(0, 0.75), ylim=(1.5, 1.95))
    right.set_xticks((0, 0.25, 0.5, 0.65), ("0", "π/4", "π/2", "real"))
    right.set_title("(b)", loc="left")
    figure.legend(loc="outside lower center", ncols=2, handlelength=1.2, columnspacing=1.2)
    return figure


def draw_plane(axes: Axes, rows: Sequence[Mapping[str, Any]], theory: float) -> None:
    """Both outliers of every draw, the theory's circle, and the edge of the bulk."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.fill(np.cos(angle), np.sin(angle), color="0.9", lw=0)
    axes.text(0, 0, "bulk", ha="center", va="center", fontsize=6, color="0.4")
    axes.plot(theory * np.cos(angle), theory * np.sin(angle), color="k", lw=1.2)
    for kind, colour in KIND_COLOURS.items():
        own = [row for row in rows if row["kind"] == kind]
        real = [row[name] for row in own for name in ("real", "other_real")]
        imag = [sign * row["imag"] for row in own for sign in (1, -1)]
        axes.plot(real, imag, ".", ms=2.5, color=colour, label=f"$Q$ a {kind}, one draw each")
    axes.set(aspect="equal", xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), xlabel=r"Re $\mu$", ylabel=r"Im $\mu$")
    axes.set(xticks=(-2, 0, 2), yticks=(-2, 0, 2))
    axes.set_title("(a) outliers of $W$", loc="left")
