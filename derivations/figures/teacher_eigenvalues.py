"""The recurrent matrix recovers the teacher's eigenvalues."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.figures import sequential
from derivations.figures.panel import (
    ARCHITECTURES,
    COLOURS,
    Effort,
    Panel,
    finished_run,
    named,
    sampled_networks,
    save_panel,
)
from derivations.figures.sequential import SUPERVISED, TEACHER, T
from derivations.figures.verdicts import said
from numerics.checking.agreement import judged
from numerics.predictors.observables import outliers
from numerics.progress import Progress
from numerics.sampling import Plan, last_weights
from numerics.sampling.diagnostics import have_mixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from numerics import Problem
    from numerics.sampling import Simulation

PANEL = Panel(
    "6b",
    "teacher-eigenvalues",
    "W recovers the teacher's eigenvalues",
    "Eigenvalues of sampled weights after the task of 6a. The RNN's W: a pair leaves the bulk, a disc of radius √w, "
    "for the teacher's on the unit circle, where the theory has its outliers. The DNN's W^(t), trained on the same "
    "labels, keep to the bulk but for fluctuations at finite width.",
)


SEED = 20260607
#: Largest |z| of the outliers' real and imaginary parts; two-sided, one in a thousand for both together.
Z_LIMIT = 3.5


def make(out: Path, effort: Effort, progress: Progress) -> dict[str, Any]:
    """Sample both networks, find the theory's outliers, draw and save."""
    networks: dict[str, dict[str, Any]] = {}
    for done, arch in enumerate(ARCHITECTURES):
        progress(f"{arch.upper()}: sampling weights", done, 2)
        settings = {
            "task": [T, sequential.ANGLE, sequential.AMPLITUDE, SUPERVISED, sequential.W],
            "arch": arch,
            "width": 256 if effort.quick else 512,
            # one network of the DNN is looked at; over the RNN's the outliers are averaged
            "chains": 1 if arch == "dnn" else 4,
            "steps": 64 if effort.quick else 400,
            "warmup": 100 if effort.quick else 300,
            "seed": SEED + done,
        }
        path = out / "teacher-eigenvalues-runs" / f"{arch}.json"
        networks[arch] = finished_run(path, settings, partial(network, settings, effort))
    rnn = networks["rnn"]
    verdict, largest = rnn["verdict"], rnn["largest_z"]
    summary = (
        f"outliers {polar(rnn['theory'][0])} (theory), {polar(rnn['mean'])} (sampled), "
        f"{polar(TEACHER.eigenvalues[0])} (teacher); those sampled "
        f"{said([verdict], 'the theory')}; largest |z| {largest:.1f}"
    )
    tables = {"": table(networks)}
    return save_panel(
        PANEL, out, tables, partial(draw, networks), verdicts=[verdict], largest_z=largest, summary=summary
    )


def polar(value: Any) -> str:
    """A complex number (or its two parts) as modulus and angle in π."""
    z = complex(*value) if isinstance(value, list) else complex(value)
    return f"{abs(z):.3f} exp(±{abs(np.angle(z)) / math.pi:.3f}πi)"


def network(settings: dict[str, Any], effort: Effort) -> dict[str, Any]:
    """Sample the network; the spectrum of its last weights, and for the RNN the outliers over draws and chains."""
    problem = sequential.task(settings["arch"])
    with TemporaryDirectory() as folder:
        simulation = sampled_networks(problem, settings, workers=effort.workers, checkpoint=folder)
        spectrum = last_spectrum(problem, settings, Path(folder))
    result: dict[str, Any] = {"width": settings["width"], "spectrum": pairs(spectrum)}
    if settings["arch"] == "rnn":
        theory = outliers(sequential.solved("rnn"))[0]
        result |= {"theory": pairs(theory), **compare_eigenvalues(simulation, complex(theory[0]))}
    return result


def last_spectrum(problem: Problem, settings: dict[str, Any], folder: Path) -> np.ndarray:
    """Eigenvalues of every W^(t) of the first chain at its end (one W for the RNN)."""
    run = {name: settings[name] for name in ("width", "chains", "steps", "seed", "warmup")}
    weights = last_weights(folder, Plan(problem=problem, **run))
    layers = weights.W.astype(np.float64) * math.sqrt(problem.w / settings["width"])
    return np.linalg.eigvals(layers).ravel()


def compare_eigenvalues(simulation: Simulation, theory: complex) -> dict[str, Any]:
    """The outlier in the upper half-plane over draws (far apart along the chain) against the theory's."""
    root = math.sqrt(simulation.problem.w)
    upper = np.array([item.values[item.values.imag > 0][0] * root for item in simulation.spectra])
    parts = np.stack([upper.real, upper.imag])
    mean, error = parts.mean(axis=1), parts.std(axis=1, ddof=1) / math.sqrt(parts.shape[1])
    z = (mean - [theory.real, theory.imag]) / error
    return {
        "outliers": parts.T.tolist(),
        "mean": mean.tolist(),
        "standard_error": error.tolist(),
        "draws": parts.shape[1],
        "largest_z": float(np.abs(z).max()),
        "rhat": simulation.rhat,
        "verdict": judged(bool(np.abs(z).max() <= Z_LIMIT), have_mixed(simulation.rhat, simulation.ess)),
    }


def pairs(values: np.ndarray) -> list[list[float]]:
    """Complex numbers as (real, imaginary)."""
    return [[float(value.real), float(value.imag)] for value in values]


def table(networks: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Every eigenvalue in the picture, and what it is."""
    rnn = networks["rnn"]
    rows = [("teacher", *value, 0.0, 0.0) for value in pairs(TEACHER.eigenvalues)]
    rows += [("rnn theory outlier", *value, 0.0, 0.0) for value in rnn["theory"]]
    rows += [("rnn sampled outlier, mean", *rnn["mean"], *rnn["standard_error"])]
    rows += [("rnn sampled outlier", *value, 0.0, 0.0) for value in rnn["outliers"]]
    rows += [(f"{arch} sampled", *value, 0.0, 0.0) for arch in networks for value in networks[arch]["spectrum"]]
    names = ("what", "real", "imaginary", "standard_error_real", "standard_error_imaginary")
    return named(names, rows)


def draw(networks: dict[str, dict[str, Any]]) -> Figure:
    """RNN on the left, DNN on the right."""
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(3.4, 3.5))
    (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 0.8))
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 0.98))  # squares of equal scales reach beyond their share
    both = above.subplots(1, 2, sharey=True)
    for axes, arch in zip(both, ARCHITECTURES, strict=True):
        _plane(axes, networks[arch], arch)
    both[0].set_ylabel(r"Im $\mu$")
    close, beside = below.subplots(1, 2)
    _close_up(close, networks["rnn"])
    beside.axis("off")
    beside.legend(*close.get_legend_handles_labels(), loc="center left", handlelength=1.2, borderaxespad=0)
    return figure


def _close_up(axes: Axes, network: dict[str, Any]) -> None:
    """The upper outlier: the teacher, the theory, single networks and their mean with two standard errors."""
    _outliers(axes, network, ms=3)
    angle = np.linspace(0, np.pi, 400)
    axes.plot(np.cos(angle), np.sin(angle), color="0.6", lw=0.6, ls=":", zorder=0)
    (re, im), (re_error, im_error) = network["mean"], network["standard_error"]
    axes.errorbar(re, im, xerr=2 * re_error, yerr=2 * im_error, fmt="D", color=COLOURS["rnn"], mfc="white", ms=4,
                  zorder=4, label="mean of these")  # fmt: skip
    drawn = np.array([*network["outliers"], *network["theory"][:1], *pairs(TEACHER.eigenvalues[:1])])
    middle, half = (drawn.max(axis=0) + drawn.min(axis=0)) / 2, 0.6 * np.ptp(drawn, axis=0).max()
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.locator_params(nbins=4)
    axes.set_aspect("equal")
    axes.set_title("RNN, close by")
    axes.set(xlabel=r"Re $\mu$", ylabel=r"Im $\mu$")


def _outliers(axes: Axes, network: dict[str, Any], ms: float) -> None:
    """The teacher's eigenvalues, those that left the bulk in sampled networks, and the theory's."""
    teacher, drawn = TEACHER.eigenvalues, np.array(network["outliers"])
    axes.plot(teacher.real, teacher.imag, "x", color="k", ms=6, mew=0.9, zorder=5, label=r"teacher, $e^{\pm i\theta}$")
    both = np.concatenate([drawn, drawn * [1, -1]])
    axes.plot(*both.T, ".", ms=ms, color="C5", mew=0, label=f"sampled, $N={network['width']}$")
    theory = np.array(network["theory"])
    axes.plot(*theory.T, "o", mfc="none", mec="C3", ms=9, mew=1.1, label=r"theory, $N \to \infty$")


def _plane(axes: Axes, network: dict[str, Any], arch: str) -> None:
    from matplotlib.patches import Circle

    name = "$W$" if arch == "rnn" else "all layers"
    axes.add_patch(Circle((0, 0), math.sqrt(sequential.W), color="0.9", lw=0, zorder=0))
    axes.add_patch(Circle((0, 0), 1, fill=False, ec="0.6", lw=0.6, ls=":", zorder=0))
    spectrum = np.array(network["spectrum"])
    axes.plot(*spectrum.T, ".", ms=2.4 if arch == "rnn" else 1.2, color=COLOURS[arch], mew=0)
    if "theory" in network:
        _outliers(axes, network, ms=2.4)
    else:
        teacher = TEACHER.eigenvalues
        axes.plot(teacher.real, teacher.imag, "x", color="k", ms=6, mew=0.9)
    axes.set_title(f"{arch.upper()}: {name}")
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), xticks=(-1, 0, 1), yticks=(-1, 0, 1), xlabel=r"Re $\mu$")
    axes.set_aspect("equal")
