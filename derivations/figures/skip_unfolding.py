"""A skip connection breaks the symmetry: the pitchfork unfolded, and where the transition stays discontinuous."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sympy import Integer, lambdify

from derivations.figures.kernel_law import NetworkLaw, beside_law
from derivations.figures.panel import (
    Effort,
    Panel,
    Table,
    finished_runs,
    in_columns,
    named,
    rows_where,
    sampled_networks,
    save_panel,
)
from derivations.figures.verdicts import said
from numerics import endpoint
from numerics.checking.agreement import Verdict
from numerics.checking.check import STAYS
from numerics.linalg import FloatArray
from numerics.progress import Progress
from numerics.sampling.diagnostics import summarise
from theory import symbols
from theory.coherent_branch import coherent_branch
from theory.critical_point import critical_signal
from theory.skip_cusps import Cusp, skip_cusp
from theory.skip_tied import chi_at, tied_states
from theory.skip_unfolding import unfolding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = Panel(
    "7c",
    "skip-unfolding",
    "A skip connection unfolds the pitchfork",
    "Beyond the poster: h^t = a h^(t-1) + W h^(t-1) breaks the symmetry W → -W; RNN, T = 4. (a) Coherence of the "
    "last two times at κ = 1: with a skip it is not 0 at any λ > 0, one sign is connected to the random network "
    "and the other ends in a fold (dashed: unstable; grey: a = 0). Diamonds are networks of width N that started "
    "in either sign, with two standard errors, black dashes the exact law of their kernel at that width. (b) The "
    "fold in the plane of skip and signal: two cusped lines from λ_c, exact and by the leading law (λ_f-λ_c)³ ∝ "
    "a² (dashed); both signs are minima between them (shaded), and at a = 0 they exchange. (c) κ = 30, beyond the"
    " tricritical 56/3: along λ too, two minima of one sign exchange at equal F (thick), within their folds "
    "(dotted), up to the wings' cusps (stars).",
)

T, KAPPA, WING_KAPPA = 4, 1, 30
SKIP, WIDTH, SEED = 0.02, 256, 20261128
LARGEST_SIGNAL = 42.0
#: λ_c without a skip.
CRITICAL = float(critical_signal(T, Integer(KAPPA)))
#: Signals of the networks that start in each sign of the order parameter.
SIGNALS: dict[int, tuple[float, ...]] = {1: (4.0, 8.0, 12.0, 20.0, 32.0), -1: (30.0, 35.0, 40.0)}
STARTS = {1: "coherent", -1: "coherent-negative"}
NAMES = {1: "aligned with the skip", -1: "opposed to it"}
SIGN_COLOURS = {1: "C0", -1: "C2"}
SAMPLED, AT_WIDTH = f"sampled, $N = {WIDTH}$", f"theory, $N = {WIDTH}$"
#: Skips of the planes.
SKIPS, WING_SKIPS = 0.06, 0.2
#: Points of a curve, and of a plane's lines.
GRID, LINE_GRID = 10_000, 40


@dataclass(frozen=True)
class Sheet:
    """The states of one sheet at fixed skip and noise, in order of |H^{12}|/H^{11}."""

    signal: FloatArray
    coherence: FloatArray
    free_energy: FloatArray

    def turns(self) -> NDArray[np.intp]:
        """Places where λ turns round along the curve."""
        rises = np.sign(np.diff(self.signal))
        return np.flatnonzero(rises[1:] != rises[:-1]) + 1

    def folds(self) -> FloatArray:
        """λ where it turns round."""
        return np.asarray(self.signal[self.turns()])


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Solve, simulate, draw and save; whether every network keeps its sign and agrees with the kernel's exact law."""
    points = simulated_points(out, effort, progress)
    sheets = {sign: curve(SKIP, float(KAPPA), sign) for sign in STARTS}
    planes = {kappa: plane(kappa, largest) for kappa, largest in ((KAPPA, SKIPS), (WING_KAPPA, WING_SKIPS))}
    cusp = skip_cusp(T, Integer(WING_KAPPA), digits=15)
    tables: dict[str, Table] = {
        "theory": named(
            ("sheet", "signal", "coherence", "free_energy"),
            [
                (NAMES[sign], *row)
                for sign, found in sheets.items()
                for row in zip(found.signal, found.coherence, found.free_energy, strict=True)
                if row[0] < LARGEST_SIGNAL
            ],
        ),
        "folds": named(
            ("kappa", "skip", "line", "signal"),
            [
                (kappa, skip, line, signal)
                for kappa, lines in planes.items()
                for line, (skips, signals) in lines.items()
                for skip, signal in zip(skips, signals, strict=True)
            ],
        ),
        "simulation": points,
    }
    worst = max(points["largest_z"])
    verdicts: list[Verdict] = [
        verdict if share >= STAYS else "disagrees"
        for verdict, share in zip(points["verdict"], points["share_of_draws"], strict=True)
    ]
    summary = (
        f"at a = {SKIP:g} the other sign exists beyond λ = {sheets[-1].folds()[0]:.2f} only (λ_c = "
        f"{CRITICAL:.2f}); at κ = {WING_KAPPA} the transition is discontinuous up to a = "
        f"{float(cusp.skip):.4f}, λ = {float(cusp.signal):.2f}; {len(points['signal'])} networks of width {WIDTH} "
        f"{said(verdicts, 'the exact law')}; largest |z| {worst:.1f}"
    )
    picture = partial(draw, sheets, planes, cusp, points)
    return save_panel(PANEL, out, tables, picture, verdicts=verdicts, largest_z=worst, summary=summary)


# --- theory -----------------------------------------------------------------------------------------------------------


def _functions() -> dict[str, Callable[..., Any]]:
    """λ, F, the kernel's entries and χ in g, χ, κ and a."""
    states = tied_states()
    given = (symbols.g, symbols.chi, symbols.kappa)
    found = {"signal": lambdify(given, states.signal, "numpy"), "F": lambdify(given, states.free_energy, "numpy")}
    for (t, s), entry in states.kernel.items():
        found[f"H{t}{s}"] = lambdify(given[:2], entry, "numpy")
    found["chi"] = lambdify((symbols.g, symbols.skip), chi_at(), "numpy")
    return found


_THEORY = _functions()


def kernel_at(g: float, skip: float) -> FloatArray:
    """The kernel of one state."""
    chi = _THEORY["chi"](g, skip)
    odd = {"H12", "H23"}
    entries = {name: _THEORY[name](g, chi) * (skip if name in odd else 1) for name in _THEORY if name[0] == "H"}
    return np.array([[entries[f"H{min(t, s)}{max(t, s)}"] for s in (1, 2, 3)] for t in (1, 2, 3)])


def parameters(skip: float, sign: int) -> FloatArray:
    """g along a sheet, close together where ``H^{12}/H^{11} = a g`` is small."""
    slope = np.geomspace(1e-9, 4.0, GRID) if sign == 1 else np.geomspace(1e-3 * skip, 4.0, GRID)
    return np.asarray(sign * (1 + slope / skip))


def curve(skip: float, kappa: float, sign: int) -> Sheet:
    """All states of one sheet."""
    g = parameters(skip, sign)
    chi = _THEORY["chi"](g, skip)
    h22, h33 = _THEORY["H22"](g, chi), _THEORY["H33"](g, chi)
    coherence = skip * _THEORY["H23"](g, chi) / np.sqrt(h22 * h33)
    return Sheet(_THEORY["signal"](g, chi, kappa), coherence, _THEORY["F"](g, chi, kappa))


def plane(kappa: int, largest: float) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Lines of the (a, λ) plane, a > 0: the opposed state's fold, and the aligned states' folds and equal F."""
    rows: dict[str, list[tuple[float, float]]] = {"opposed": [], "upper": [], "lower": [], "equal": []}
    for skip in largest * np.linspace(0.04, 1.0, LINE_GRID) ** 1.5:
        # along the branch of saddle points λ falls up to the fold of the minimum
        opposed = curve(skip, kappa, -1)
        rows["opposed"].append((skip, float(opposed.signal[opposed.turns()[-1]])))
        aligned = curve(skip, kappa, 1)
        turns = aligned.turns()
        if len(turns) == 2:
            rows["upper"].append((skip, float(aligned.signal[turns[0]])))
            rows["lower"].append((skip, float(aligned.signal[turns[1]])))
            rows["equal"].append((skip, equal_signal(aligned, turns)))
    return {name: tuple(np.array(found).reshape(-1, 2).T) for name, found in rows.items()}  # type: ignore[misc]


def equal_signal(found: Sheet, turns: NDArray[np.intp]) -> float:
    """λ at which the two minima of a curve with two folds have equal F."""
    signal = np.linspace(found.signal[turns[1]], found.signal[turns[0]], 400)
    before, after = slice(0, turns[0] + 1), slice(turns[1], None)
    excess = np.interp(signal, found.signal[after], found.free_energy[after]) - np.interp(
        signal, found.signal[before], found.free_energy[before]
    )
    return float(np.interp(0.0, -excess, signal))


# --- networks ---------------------------------------------------------------------------------------------------------


def simulated_points(out: Path, effort: Effort, progress: Progress) -> dict[str, list[Any]]:
    """Mean coherence of one network for each sign and signal, and by the exact law of its kernel."""
    places = [(sign, signal) for sign, signals in SIGNALS.items() for signal in signals]
    common = {"kappa": float(KAPPA), "skip": SKIP, "width": WIDTH, "chains": 2, "warmup": 150}
    common |= {"steps": 600 if effort.quick else 4000}
    jobs = {
        out / "skip-unfolding-runs" / f"{STARTS[sign]}-{signal:g}.json": common
        | {"sign": sign, "signal": signal, "within": kept_sign(sign, signal), "seed": SEED + number}
        for number, (sign, signal) in enumerate(places)
    }
    sampled = finished_runs(jobs, network, effort.workers, progress)
    tasks = [NetworkLaw(WIDTH, 1.0, SKIP, signal, float(KAPPA), kept_sign(sign, signal)) for sign, signal in places]
    starts = [minimum(sign, signal) for sign, signal in places]
    found = beside_law(sampled, "coherence", tasks, starts, 1, SEED, 1000 if effort.quick else 6000)
    rows = [
        {"sheet": NAMES[sign], "signal": signal, "width": WIDTH, "skip": SKIP, **row}
        for (sign, signal), row in zip(places, found, strict=True)
    ]
    return in_columns(rows)


def kept_sign(sign: int, signal: float) -> int:
    """The sign that a network keeps, 0 where there is one minimum only."""
    return sign if signal > curve(SKIP, float(KAPPA), -1).folds()[-1] else 0


def network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate one network; the mean coherence of its last two times over the draws of the sign that it keeps."""
    task = endpoint(T, settings["signal"], kappa=settings["kappa"], skip=settings["skip"])
    kernels = sampled_networks(task, settings, init=STARTS[settings["sign"]]).kernels
    coherence = kernels[:, :, 1, 2] / np.sqrt(kernels[:, :, 1, 1] * kernels[:, :, 2, 2])
    inside = coherence * settings["within"] >= 0
    share = float(inside.mean())
    mean = float(coherence[inside].mean())
    # the mean over a part of the draws, linearised, for its standard error
    found = summarise((mean + inside * (coherence - mean) / share)[..., None])
    return {
        "coherence": mean,
        "standard_error": float(found.standard_error[0]),
        "share_of_draws": share,
        "ess": float(found.ess[0]),
        "rhat": float(found.rhat[0]),
    }


def minimum(sign: int, signal: float) -> FloatArray:
    """The kernel of the minimum of one sheet."""
    g = parameters(SKIP, sign)
    found = curve(SKIP, float(KAPPA), sign)
    turns = found.turns()
    first = int(turns[-1]) if len(turns) else 0
    return kernel_at(float(np.interp(signal, found.signal[first:], g[first:])), SKIP)


# --- picture ----------------------------------------------------------------------------------------------------------


def draw(
    sheets: Mapping[int, Sheet],
    planes: Mapping[int, Mapping[str, tuple[FloatArray, FloatArray]]],
    cusp: Cusp,
    points: Mapping[str, list[Any]],
) -> Figure:
    """Coherence above, both planes below."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplot_mosaic([["a", "a"], ["b", "c"]], figsize=(3.4, 4.3), height_ratios=(3, 2))
    draw_coherence(axes["a"], sheets, points)
    draw_pitchfork(axes["b"], planes[KAPPA])
    draw_wings(axes["c"], planes[WING_KAPPA], cusp)
    return figure


def draw_coherence(axes: Axes, sheets: Mapping[int, Sheet], points: Mapping[str, list[Any]]) -> None:
    """Both sheets at a > 0, the pitchfork at a = 0, and networks."""
    fork = coherent_branch(Integer(KAPPA))
    s = np.linspace(2.0, 4.0, 400)
    entries = {key: lambdify(symbols.s, fork.kernel[key], "numpy")(s) for key in ((2, 2), (2, 3), (3, 3))}
    arm = np.nan_to_num(entries[2, 3]) / np.sqrt(entries[2, 2] * entries[3, 3])
    signal = lambdify(symbols.s, fork.signal, "numpy")(s)
    grey: dict[str, Any] = {"color": "0.65", "lw": 0.9, "zorder": 1}
    for side in (1, -1):
        axes.plot(signal, side * arm, **grey)
    axes.plot([0, CRITICAL], [0, 0], label="$a = 0$", **grey)
    axes.plot([CRITICAL, LARGEST_SIGNAL], [0, 0], ls="--", **grey)
    for sign, found in sheets.items():
        turns = found.turns()
        first = int(turns[-1]) if len(turns) else 0
        stable, unstable = slice(first, None), slice(0, first + 1)
        axes.plot(found.signal[stable], found.coherence[stable], color=SIGN_COLOURS[sign], label=NAMES[sign])
        if first:
            axes.plot(found.signal[unstable], found.coherence[unstable], "--", color=SIGN_COLOURS[sign], lw=0.9)
        column = rows_where(points, sheet=NAMES[sign])
        axes.errorbar(column["signal"], column["coherence"], yerr=2 * column["standard_error"], fmt="D", zorder=3,
                      color=SIGN_COLOURS[sign], mfc="white")  # fmt: skip
        axes.plot(column["signal"], column["law"], "_", color="k", ms=9, mew=1.2, zorder=4, label=AT_WIDTH)
    axes.errorbar([], [], yerr=[], fmt="D", color="0.25", mfc="white", label=SAMPLED)  # of either sign
    axes.set(xlim=(0, LARGEST_SIGNAL), ylim=(-1, 1.75), yticks=(-1, -0.5, 0, 0.5, 1), xlabel=r"signal $\lambda$",
             ylabel=r"coherence $H^{23}/\sqrt{H^{22}H^{33}}$")  # fmt: skip
    axes.set_title(rf"(a) $T = {T}$, $\kappa = {KAPPA}$, skip $a = {SKIP:g}$", loc="left")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = ("$a = 0$", NAMES[1], NAMES[-1], AT_WIDTH, SAMPLED)
    axes.legend([handles[name] for name in order], order, loc="upper left", ncols=2, handlelength=1.4,
                labelspacing=0.25, borderaxespad=0.1, columnspacing=1.2)  # fmt: skip


def draw_pitchfork(axes: Axes, lines: Mapping[str, tuple[FloatArray, FloatArray]]) -> None:
    """The fold's two lines, which meet in a cusp at λ_c."""
    skips, signals = lines["opposed"]
    a, fold = np.concatenate([-skips[::-1], [0.0], skips]), np.concatenate([signals[::-1], [CRITICAL], signals])
    top = 25.0
    axes.fill_between(a, fold, top, where=fold < top, color="0.88", lw=0)
    axes.plot(a, fold, color="C2")
    law = CRITICAL + np.cbrt(float(unfolding(T, Integer(KAPPA)).fold_cubed or 0) * a**2)
    axes.plot(a, law, "--", color="k", lw=0.8)
    axes.plot([0, 0], [CRITICAL, top], color="k", lw=2.6)
    axes.plot([0], [CRITICAL], "o", color="k", ms=4)
    axes.annotate(r"$\lambda_c$", (0, CRITICAL), (0, -9), textcoords="offset points", ha="center", fontsize=7)
    axes.set(
        xlim=(-SKIPS, SKIPS), ylim=(7, top), xlabel="skip $a$", ylabel=r"signal $\lambda$", xticks=(-0.05, 0, 0.05)
    )
    axes.set_title(rf"(b) $\kappa = {KAPPA}$", loc="left")


def draw_wings(axes: Axes, lines: Mapping[str, tuple[FloatArray, FloatArray]], cusp: Cusp) -> None:
    """Folds and equal F of aligned states, to their cusps; the opposed state's fold."""
    place = (float(cusp.skip), float(cusp.signal))
    ends = {
        name: (np.append(lines[name][0], place[0]), np.append(lines[name][1], place[1]))
        for name in ("upper", "lower", "equal")
    }
    top = 200.0
    for side in (1, -1):
        axes.fill_between(side * ends["upper"][0], ends["lower"][1], ends["upper"][1], color="0.88", lw=0)
        for name in ("upper", "lower"):
            axes.plot(side * ends[name][0], ends[name][1], ":", color="C0", lw=0.9)
        axes.plot(side * ends["equal"][0], ends["equal"][1], color="k", lw=1.6)
        axes.plot(side * lines["opposed"][0], lines["opposed"][1], color="C2", lw=0.9)
        axes.plot(side * place[0], place[1], "*", color="C4", mec="k", mew=0.5, ms=9, zorder=5)
    axes.plot([0, 0], [lines["equal"][1][0], top], color="k", lw=2.6)
    axes.set(xlim=(-WING_SKIPS, WING_SKIPS), ylim=(135, top), xlabel="skip $a$", xticks=(-0.2, 0, 0.2))
    axes.set_title(rf"(c) $\kappa = {WING_KAPPA}$", loc="left")
