"""Partly shared weights: where the transition is, and where it is discontinuous."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
from scipy.optimize import brentq
from sympy import Rational, lambdify

from derivations.figures.kernel_law import NetworkLaw, beside_law
from derivations.figures.panel import (
    Effort,
    Panel,
    Table,
    finished_runs,
    in_columns,
    named,
    sampled_networks,
    save_panel,
)
from derivations.figures.verdicts import said
from numerics import endpoint
from numerics.linalg import FloatArray
from numerics.progress import Progress
from numerics.sampling.diagnostics import summarise
from theory import symbols
from theory.coherent_branch import coherent_branch
from theory.incoherent import incoherent_branch
from theory.sharing_tricritical import quartic_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "7b",
    "sharing-phases",
    "Between independent and shared weights",
    "Beyond the poster: matrices of different times that have the correlation ρ (shared:ρ), from the DNN, ρ = 0, "
    "to the RNN, ρ = 1. (a) T = 4: temporal coherence of the last two times, H^{23}/√(H^{22}H^{33}), of the state"
    " of lowest F at N → ∞ (colour), and its root mean square in sampled networks of width N (circles, in the "
    "same colours; below the line it is not 0, but falls as 1/√N). The transition is continuous up to the "
    "tricritical point (star) and discontinuous beyond; κ = 729/28, so that the star is at ρ = 4/5. (b) Near it, "
    "signals over λ_c: where F is equal, and the range in which both states are minima (shaded), from the fold to"
    " λ_c. (c) The tricritical κ along ρ: below a line the transition is continuous. drift:ρ, the correlation "
    "ρ^|s-t|, is the same as shared:ρ at T = 4 and differs beyond.",
)

T, KAPPA = 4, Rational(729, 28)
#: Where the tricritical point is at this κ.
TRICRITICAL = Rational(4, 5)
WIDTH, SEED = 64, 20261127
RHOS, SIGNALS = (0.3, 1.0), (60.0, 600.0)
#: Signals of the networks at each ρ; the second at ρ = 4/5 is its λ_c.
NETWORKS: dict[float, tuple[float, ...]] = {
    0.4: (150.0, 220.0, 480.0),
    0.6: (150.0, 260.0, 480.0),
    0.8: (75.0, 153.71520471941, 230.0, 400.0),
    0.97: (75.0, 110.0, 170.0, 300.0),
}
#: Families and T of the tricritical lines, and how they are drawn.
LINES: dict[tuple[str, int], tuple[str, str]] = {
    ("shared", 4): ("k", "-"),
    ("shared", 5): ("C2", "-"),
    ("drift", 5): ("C2", "--"),
    ("drift", 6): ("C3", "--"),
}
LARGEST_KAPPA = 90.0
GRID, MAP_GRID = 200, 90
#: s = H^{11} at the end of the branch; λ is beyond what is shown there.
LARGEST_S = 20.0


@dataclass(frozen=True)
class SharedCurve:
    """The coherent branch at one ρ from its fold on, s = `first`: λ, F, coherence; λ_c, the fold's λ, and equal F."""

    rho: float
    first: float
    signal: FloatArray
    free_energy: FloatArray
    coherence: FloatArray
    critical: float
    fold: float
    equal: float


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every network agrees with the kernel's exact law at its width."""
    points = simulated_points(out, effort, progress)
    curves = [curve_at(rho) for rho in np.linspace(*RHOS, MAP_GRID)]
    near = [curve_at(rho) for rho in np.linspace(0.7, 1.0, 61)]
    lines = {key: tricritical_line(*key) for key in LINES}
    tables: dict[str, Table] = {
        "theory": named(
            ("rho", "critical_signal", "fold", "equal_free_energy"),
            [(curve.rho, curve.critical, curve.fold, curve.equal) for curve in [*curves, *near]],
        ),
        "tricritical": named(
            ("family", "T", "rho", "kappa"),
            [(*key, rho, kappa) for key, line in lines.items() for rho, kappa in zip(*line, strict=True)],
        ),
        "simulation": points,
    }
    verdicts, worst = points["verdict"], max(points["largest_z"])
    summary = (
        f"tricritical at ρ = {TRICRITICAL}, λ = {critical_at(float(TRICRITICAL)):.1f} for κ = {KAPPA}; "
        f"{len(points['rho'])} networks of width {WIDTH} {said(verdicts, 'the exact law of the coherence')}; "
        f"largest |z| {worst:.1f}"
    )
    picture = partial(draw, curves, near, lines, points)
    return save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)


# --- theory -----------------------------------------------------------------------------------------------------------


def _functions() -> dict[str, Callable[..., Any]]:
    """λ, F, fold's κ and the coherence of the last two times in s and ρ; λ and F of the incoherent branch in r."""
    branch = coherent_branch(KAPPA, symbols.rho)
    kernel = branch.kernel
    coherence = kernel[2, 3] / (kernel[2, 2] * kernel[3, 3]) ** Rational(1, 2)
    given = (symbols.s, symbols.rho)
    units = {symbols.u: 1, symbols.v: 1, symbols.w: 1, symbols.kappa: KAPPA}
    diagonal = incoherent_branch(T)
    functions = {
        name: lambdify(given, expression, "numpy")
        for name, expression in (
            ("signal", branch.signal),
            ("free_energy", branch.free_energy),
            ("fold_noise", branch.fold_noise),
            ("coherence", coherence),
        )
    }
    for name, expression in (("diagonal_signal", diagonal.signal), ("diagonal_free_energy", diagonal.free_energy)):
        functions[name] = lambdify(symbols.r, expression.subs(units), "numpy")
    return functions


_THEORY = _functions()


def critical_at(rho: float) -> float:
    """λ_c."""
    return float(_THEORY["signal"]((1 + rho) / rho, rho))


def curve_at(rho: float) -> SharedCurve:
    """The branch at one ρ up to the largest signal shown."""
    start, end = (1 + rho) / rho, LARGEST_S
    fold = start
    if _THEORY["fold_noise"](start, rho) < float(KAPPA):
        fold = brentq(lambda s: _THEORY["fold_noise"](s, rho) - float(KAPPA), start, end)
    s = fold + (end - fold) * np.linspace(0.0, 1.0, 3000) ** 2
    signal, energy = _THEORY["signal"](s, rho), _THEORY["free_energy"](s, rho)
    with np.errstate(invalid="ignore"):
        coherence = np.nan_to_num(_THEORY["coherence"](s, rho))
    critical = critical_at(rho)
    equal = critical
    if fold > start:
        excess = energy - incoherent_free_energy(signal)
        change = int(np.argmax(excess < 0))
        equal = float(np.interp(0.0, excess[change - 1 : change + 1][::-1], signal[change - 1 : change + 1][::-1]))
    return SharedCurve(float(rho), fold, signal, energy, coherence, critical, float(signal[0]), equal)


def incoherent_free_energy(signal: FloatArray) -> FloatArray:
    """F of the incoherent branch, on which λ rises at this κ."""
    r = np.linspace(1.0, 40.0, 40001)
    ratio = np.interp(signal, _THEORY["diagonal_signal"](r), r)
    return np.asarray(_THEORY["diagonal_free_energy"](ratio))


def tricritical_line(family: str, horizon: int) -> tuple[FloatArray, FloatArray]:
    """ρ and the tricritical κ ≥ 0, ``-r^n (p+q)/p``, where there is one."""
    found = []
    with mpmath.workdps(20):
        for rho in np.linspace(0.02, 0.999, GRID):
            coefficients = quartic_at(family, horizon, mpmath.mpf(float(rho)))
            at_none = coefficients.constant + coefficients.share
            kappa = -(coefficients.ratio**coefficients.hidden) * at_none / coefficients.constant
            found.append((float(rho), float(kappa) if at_none >= 0 else np.nan))
    table = np.array([pair for pair in found if np.isfinite(pair[1])])
    return table[:, 0], table[:, 1]


# --- networks ---------------------------------------------------------------------------------------------------------


def simulated_points(out: Path, effort: Effort, progress: Progress) -> dict[str, list[Any]]:
    """Mean squared coherence of one network at each place, and by the exact law of its kernel."""
    places = [(rho, signal) for rho, signals in NETWORKS.items() for signal in signals]
    common = {"kappa": float(KAPPA), "width": WIDTH, "chains": 2, "warmup": 150, "steps": 600 if effort.quick else 4000}
    jobs = {
        out / "sharing-phases-runs" / f"{rho:g}-{signal:.0f}.json": common
        | {"rho": rho, "signal": signal, "seed": SEED + number}
        for number, (rho, signal) in enumerate(places)
    }
    sampled = finished_runs(jobs, network, effort.workers, progress)
    tasks = [NetworkLaw(WIDTH, rho, 0.0, signal, float(KAPPA)) for rho, signal in places]
    kernels = [lowest_kernel(*place) for place in places]
    found = beside_law(sampled, "squared", tasks, kernels, 2, SEED, 1000 if effort.quick else 6000)
    rows = [
        {"rho": rho, "signal": signal, "width": WIDTH, **row}
        for (rho, signal), row in zip(places, found, strict=True)
    ]  # fmt: skip
    return in_columns(rows)


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate one network; the mean of its squared coherence of the last two times, which has no sign to fix."""
    task = endpoint(T, settings["signal"], kappa=settings["kappa"], arch=f"shared:{settings['rho']!r}")
    kernels = sampled_networks(task, settings).kernels
    squared = kernels[:, :, 1, 2] ** 2 / (kernels[:, :, 1, 1] * kernels[:, :, 2, 2])
    found = summarise(squared[..., None])
    return {
        "squared": float(found.mean[0]),
        "standard_error": float(found.standard_error[0]),
        "ess": float(found.ess[0]),
        "rhat": float(found.rhat[0]),
    }


def lowest_kernel(rho: float, signal: float) -> FloatArray:
    """A kernel near the state of lowest F: where the law's walkers start."""
    curve = curve_at(rho)
    if signal <= curve.equal:
        r = np.linspace(1.0, 40.0, 40001)
        ratio = np.interp(signal, _THEORY["diagonal_signal"](r), r)
        return np.diag([ratio, ratio**2, ratio**3])
    s = float(brentq(lambda s: _THEORY["signal"](s, rho) - signal, curve.first, LARGEST_S))
    put = {symbols.s: s, symbols.rho: rho}
    entries = {times: float(value.subs(put)) for times, value in coherent_branch(KAPPA, symbols.rho).kernel.items()}
    return np.array([[entries[min(t, u), max(t, u)] for u in (1, 2, 3)] for t in (1, 2, 3)])


# --- picture ----------------------------------------------------------------------------------------------------------


def draw(
    curves: Sequence[SharedCurve],
    near: Sequence[SharedCurve],
    lines: Mapping[tuple[str, int], tuple[FloatArray, FloatArray]],
    points: Mapping[str, list[Any]],
) -> Figure:
    """The map above; the tricritical point from near and the tricritical lines below."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplot_mosaic("aa;bc", figsize=(3.4, 4.3), height_ratios=(3, 2), width_ratios=(2, 3))
    draw_map(axes["a"], curves, points)
    draw_near(axes["b"], near)
    draw_lines(axes["c"], lines)
    return figure


def draw_map(axes: Axes, curves: Sequence[SharedCurve], points: Mapping[str, list[Any]]) -> None:
    """Coherence of the lowest state, the transition's line, and networks in the colours of the map."""
    signal = np.geomspace(*SIGNALS, 300)
    rho = np.array([curve.rho for curve in curves])
    coherence = np.array([
        np.where(signal > curve.equal, np.interp(signal, curve.signal, curve.coherence), 0.0) for curve in curves
    ])  # fmt: skip
    shown = axes.pcolormesh(rho, signal, coherence.T, cmap="Blues", vmin=0, vmax=1, shading="gouraud", rasterized=True)
    equal = np.array([curve.equal for curve in curves])
    continuous = rho <= float(TRICRITICAL)
    axes.plot(rho[continuous], equal[continuous], color="k", lw=1.2, label="continuous")
    axes.plot(rho[~continuous], equal[~continuous], color="k", lw=2.6, label="discontinuous")
    star(axes, float(TRICRITICAL), critical_at(float(TRICRITICAL)), label="tricritical")
    sampled = np.sqrt(points["squared"])
    axes.scatter(points["rho"], points["signal"], c=sampled, s=22, cmap="Blues", vmin=0, vmax=1, edgecolors="k",
                 linewidths=0.7, zorder=3, label=f"sampled, $N = {WIDTH}$")  # fmt: skip
    axes.figure.colorbar(shown, ax=axes, label="temporal coherence", pad=0.02, aspect=25)
    axes.set(xlim=RHOS, ylim=SIGNALS, yscale="log", xlabel=r"correlation $\rho$ of $W^{(s)}$ and $W^{(t)}$",
             ylabel=r"signal $\lambda$", yticks=(60, 100, 200, 400))  # fmt: skip
    axes.set_yticks([], minor=True)
    axes.set_yticklabels(["60", "100", "200", "400"])
    axes.set_title(rf"(a) shared:$\rho$, $T = {T}$, $\kappa = 729/28$", loc="left")
    axes.legend(loc="lower left", handlelength=1.4, labelspacing=0.25, borderaxespad=0.1)


def draw_near(axes: Axes, near: Sequence[SharedCurve]) -> None:
    """Signals over λ_c: equal F, and the range of two minima."""
    rho = np.array([curve.rho for curve in near])
    fold, equal = (np.array([getattr(curve, name) / curve.critical for curve in near]) for name in ("fold", "equal"))
    beyond, before = rho >= float(TRICRITICAL), rho <= float(TRICRITICAL)
    axes.fill_between(rho[beyond], fold[beyond], 1.0, color="0.88", lw=0)
    axes.plot(rho[before], np.ones(before.sum()), color="k", lw=1.2)
    axes.plot(rho[beyond], np.ones(beyond.sum()), color="0.4", ls=":", lw=0.8)
    axes.plot(rho[beyond], fold[beyond], color="0.4", ls=":", lw=0.8)
    axes.plot(rho[beyond], equal[beyond], color="k", lw=2.6)
    star(axes, float(TRICRITICAL), 1.0)
    axes.text(0.93, 1.0006, r"$\lambda_c$", fontsize=6, va="bottom")
    arrow = {"arrowstyle": "-", "lw": 0.5, "color": "0.4", "shrinkA": 0, "shrinkB": 1}
    for text, place, line in (("equal $F$", 0.9, equal), ("fold", 0.95, fold)):
        at = float(np.interp(place, rho, line))
        axes.annotate(text, (place, at), (0.72, at), fontsize=6, va="center", arrowprops=arrow)
    axes.set(xlim=(0.7, 1.0), ylim=(0.974, 1.006), xticks=(0.7, 0.85, 1.0), xlabel=r"$\rho$",
             ylabel=r"$\lambda/\lambda_c(\rho)$")  # fmt: skip
    axes.set_title("(b) two minima", loc="left")


def draw_lines(axes: Axes, lines: Mapping[tuple[str, int], tuple[FloatArray, FloatArray]]) -> None:
    """Tricritical κ along ρ."""
    for (family, horizon), (rho, kappa) in lines.items():
        colour, style = LINES[family, horizon]
        name = rf"both, $T = {horizon}$" if horizon == 4 else rf"{family}, $T = {horizon}$"
        axes.plot(rho, kappa, color=colour, ls=style, label=name)
    star(axes, float(TRICRITICAL), float(KAPPA))
    axes.set(xlim=(0.3, 1), ylim=(0, LARGEST_KAPPA), xlabel=r"$\rho$", ylabel=r"tricritical $\kappa$")
    axes.set_title("(c) continuous below", loc="left")
    axes.legend(fontsize=6, handlelength=1.0, handletextpad=0.4, labelspacing=0.2, borderaxespad=0.0, loc="upper right")


def star(axes: Axes, x: float, y: float, **style: Any) -> None:
    """A tricritical point."""
    axes.plot([x], [y], "*", color="C4", mec="k", mew=0.5, ms=11, zorder=2.5, ls="none", **style)
