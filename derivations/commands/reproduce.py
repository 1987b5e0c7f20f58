"""`unrolled reproduce`: the poster's panels, each a picture and the numbers behind it."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from derivations.commands import output
from derivations.commands.problems import bad_input
from derivations.figures.panel import Panel
from numerics.files import only_writer, refused_if_unwritable, write_text

#: Every panel by name, in the poster's order. `derivations.figures.<name>` makes it. A number is the poster's section
#: and, where a section has several panels, a letter: 4 trained-networks; 5a endpoint-kernels, 5b order-parameter,
#: 5c landscape, 5d predictions, 5e label-kernel; 6a sequence-kernels, 6b teacher-eigenvalues, 6c sample-efficiency,
#: 6d propagator-paths, 6e mechanism, 6f nonlinear-sequences. 7 is beyond the poster: 7a learning-transition.
PANELS: dict[str, Panel] = {
    panel.name: panel
    for panel in sorted(
        (
            Panel(
                "4",
                "trained-networks",
                "The theory describes trained networks",
                "Networks of width N against the theory at N → ∞, endpoint supervision, T = 4. (a) 1 - CKA of one "
                "network's kernel with the theory's falls as 1/N. (b) Each entry of the mean kernel, taken to N → ∞ by "
                "its measured trend in 1/N, less the theory, in standard errors. (c) Temporal coherence and (d) "
                "autocorrelation are right already at N = 64.",
            ),
            Panel(
                "5a",
                "endpoint-kernels",
                "Kernels and spectra under weak and strong signals",
                "Kernels at T = 6, theory beside the mean over sampled networks. Under a weak signal RNN and DNN "
                "coincide, diagonal in time; under a strong one only the RNN turns coherent, and W gets an eigenvalue "
                "outside the bulk of radius √w (circle). Dots: one sampled W; ring: the theory's outlier; diamond: its "
                "mean over sampled W, with two standard errors.",
            ),
            Panel(
                "5b",
                "order-parameter",
                "A phase transition to temporal coherence",
                "Order parameter H^(T-1,T-2) against the signal λ. Above, T = 4: beyond λ_c the RNN's kernel becomes "
                "coherent in time, with exponent ½; the DNN's never does. Below, T = 6: the transition is "
                "discontinuous, and networks keep the phase in which they started; κ = 20, since at κ = 1 both phases "
                "exist between λ = 2.12 and 2.15 only. Lines are the theory at N → ∞ (dashed where unstable), diamonds "
                "are networks sampled in weight space (above) or with W integrated out (below), with two standard "
                "errors.",
            ),
            Panel(
                "5c",
                "landscape",
                "The kernel landscape",
                "Free energy F along the correlation q of the last two times, the rest minimised out. (a) T = 4: one "
                "minimum splits into two at λ_c; full lines N → ∞, dashed lines -ln P(q)/N at N = 64, diamonds its "
                "histogram over sampled networks. (b) T = 6: coherent minima appear beside the incoherent one; κ = 20, "
                "since at κ = 1 they coexist in a narrow range only, behind a barrier too low to see. (c) A plane "
                "through the coherent minima (crosses) and the incoherent saddle (circle).",
            ),
            Panel(
                "5d",
                "predictions",
                "Both architectures learn the task",
                "Endpoint supervision with several patterns: inputs at angle θ on a circle, six training labels "
                "(crosses). (a) Mean outputs f^T of RNN and DNN: lines are the theory at N → ∞, with a band of one "
                "standard deviation at width N, diamonds sampled networks. (b) RNN less DNN: with kernels so "
                "different, the predictors hardly differ.",
            ),
            Panel(
                "5e",
                "label-kernel",
                "The last kernel turns to the labels'",
                "Two classes of four patterns each, labels ±3 at the last output only, T = 4. Kernels over patterns, "
                "each over its largest entry; numbers are alignments (CKA) with the label kernel Y = yyᵀ. The inputs' "
                "kernel is the random network's. The last hidden time's, H^(T-1,T-1), is close to Y for the RNN "
                "(above) and the DNN (below) alike: theory at N → ∞, and the mean over sampled networks.",
            ),
            Panel(
                "6a",
                "sequence-kernels",
                "Kernels and outputs from few supervised times",
                "A rotation teacher, 4 of 7 times supervised (ticks, grey bands). Top: label kernel Y = yyᵀ of all "
                "times, and the learned kernels, first pattern. Bottom: outputs. Lines are the theory at N → ∞, bands "
                "two standard deviations of one network at width N, diamonds means over sampled networks with two "
                "standard errors. Unsupervised, the RNN goes on with the teacher's sequence; the DNN falls back to 0.",
            ),
            Panel(
                "6b",
                "teacher-eigenvalues",
                "W recovers the teacher's eigenvalues",
                "Eigenvalues of sampled weights after the task of 6a. The RNN's W: a pair leaves the bulk, a disc of "
                "radius √w, for the teacher's on the unit circle, where the theory has its outliers. The DNN's W^(t), "
                "trained on the same labels, keep to the bulk but for fluctuations at finite width.",
            ),
            Panel(
                "6c",
                "sample-efficiency",
                "Shared weights learn from fewer labels, if not from the fewest",
                "Error of the mean outputs over all times and input directions, relative to the labels: against (a) "
                "the number of supervised times and (b) the number of random patterns in four dimensions. With one or "
                "two supervised times both architectures do alike, and from a single pattern the RNN does worse: what "
                "it carries to other times is wrong there. Beyond that it needs fewer labels. Lines are the theory at "
                "N → ∞, diamonds sampled networks with two standard errors, dashes the theory at their width.",
            ),
            Panel(
                "6d",
                "propagator-paths",
                "Paths of the label messages",
                "Time paths t3 ← t2 ← t1 by which second order in Y reaches an unsupervised kernel entry, for the RNN "
                "and the DNN. The DNN's mask lets equal times alone pass: crosses mark where it cuts a path.",
            ),
            Panel(
                "6e",
                "mechanism",
                "Which orders in the labels reach unsupervised times",
                "(a) Changes of the kernel of first and second order in Y; frames: both times supervised. (b) Paths of "
                "second order to one unsupervised entry; the DNN's mask cuts all of them. (c) This entry and (d) an "
                "unsupervised output: sums to each order (lines) beside the full solution (circles).",
            ),
            Panel(
                "6f",
                "nonlinear-sequences",
                "The same bias with a nonlinear activation",
                "As 6a, for networks with the activation erf and 3 of 5 times supervised. Lines are the theory of the "
                "two conjugate kernels at N → ∞, diamonds means over sampled networks with two standard errors. At the "
                "unsupervised t = 3 of this pattern the RNN goes part of the teacher's way; at t = 5, beyond the last "
                "label, its output has the wrong sign. The DNN's are 0 at both. The share of the teacher's outputs "
                "that is quoted pools both patterns and both times.",
            ),
            Panel(
                "7a",
                "learning-transition",
                "States that learn and states that do not",
                "Beyond the poster: endpoint supervision with large noise, T = 4, κ = 100. Between two folds F has two "
                "minima, for (a) the RNN and (b) the DNN: one close to the random network, one that has learnt part of "
                "the label; where their F is equal the transition is, and it is discontinuous. Above: mean output over "
                "label; below: F less F_0, that of the random network. Lines are the theory at N → ∞, dashed where "
                "unstable; dotted, where minima end (folds) or have equal F. Diamonds are networks that start at "
                "weights drawn in one of the minima, with two standard errors (mostly within the symbol); black "
                "dashes, the theory of the minimum they must stay in, or go to beyond its fold, to first order in 1/N.",
            ),
        ),
        key=Panel.order,
    )
}


@click.command("reproduce")
@click.argument("panels", metavar="[PANEL]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for pictures and numbers.")
@click.option("--quick", is_flag=True, help="Shorter simulations, larger error bars.")
@click.option("--list", "list_panels", is_flag=True, help="Name the panels.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(panels: tuple[str, ...], out: Path | None, quick: bool, list_panels: bool, as_json: bool) -> int:
    """Remake the poster's panels: PNG, PDF and SVG, with the numbers as CSV. All panels unless some are named.

    A run that was interrupted goes on where it stopped when it is called again with the same folder.
    """
    unknown = [name for name in panels if name not in PANELS]
    if unknown:
        raise click.UsageError(f"PANEL: is {unknown[0]!r}; accepted: {', '.join(PANELS)}")
    if list_panels:
        list_them(as_json)
        return 0
    if out is None:
        raise click.UsageError("--out: is missing; accepted: a folder for pictures and numbers")
    made: dict[str, Any] = {}
    with bad_input(), refused_if_unwritable(f"--out: {out}", "a folder to write to"):
        out.mkdir(parents=True, exist_ok=True)
        for name in [name for name in PANELS if name in panels or not panels]:
            made[name] = make_panel(PANELS[name], out, quick)
            if not as_json:
                report(made[name], out)
    if as_json:
        output.print_json({"panels": made})
    return 0 if all(result["agrees"] for result in made.values()) else 1


def list_them(as_json: bool) -> None:
    """Number, name and title of every panel; with --json also the captions."""
    if as_json:
        output.print_json({"panels": {name: panel.fields() for name, panel in PANELS.items()}})
    else:
        rows = [(panel.number, name, panel.title) for name, panel in PANELS.items()]
        output.print_table("Panels, numbered by the poster's sections", ["panel", "name", "shows"], rows)


def report(record: dict[str, Any], out: Path) -> None:
    """Where the files of one panel are, and what it found."""
    for name in record["files"]:
        click.echo(out / name)
    click.echo(record["summary"])


def make_panel(panel: Panel, out: Path, quick: bool) -> dict[str, Any]:
    """Make one panel under a progress bar; its record, kept in `out` as ``<name>.json``.

    The record has the panel's number, name, title and caption, `quick`, `files` (names in `out`), `agrees` (theory and
    simulation), `summary` (a sentence), `seconds`, and what else the panel's `make` returned.
    """
    from rich.console import Console
    from rich.progress import Progress

    from derivations.figures.panel import Effort

    module = importlib.import_module(f"derivations.figures.{panel.name.replace('-', '_')}")
    effort = Effort(quick=quick, workers=os.cpu_count() or 1)
    console = Console(stderr=True)
    with (
        bad_input(),
        Progress(console=console, disable=not sys.stderr.isatty()) as progress,
        only_writer(out, panel.name, lambda: console.print(f"{panel.name}: waiting for another run in {out}")),
    ):
        task = progress.add_task(panel.name, total=1.0)
        start = time.perf_counter()
        made = module.make(
            out, effort, lambda done, what: progress.update(task, completed=done, description=f"{panel.name}: {what}")
        )
        record = {**panel.fields(), "quick": quick, "seconds": time.perf_counter() - start, **made}
        record["files"] = [os.path.relpath(path, out) for path in made["files"]]
        write_text(out / f"{panel.name}.json", json.dumps(output.plain(record), indent=1, ensure_ascii=False))
    return record
