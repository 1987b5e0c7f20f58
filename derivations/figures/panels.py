"""The list of panels, and how one is made. A list of their names needs neither NumPy nor Matplotlib."""

from __future__ import annotations

import json
import os
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from derivations import output
from derivations.figures.panel import Effort, Panel
from numerics.files import only_writer, write_text

#: Every panel in the order of the poster's sections, which its number begins with (7 is beyond the poster), and the
#: minutes that it takes on two cores: with --quick, and without (reckoned from the steps, but for short ones).
MINUTES: dict[str, tuple[float, float]] = {
    "trained-networks": (2, 40),
    "mean-at-width": (1, 30),
    "endpoint-kernels": (1, 6),
    "order-parameter": (2, 20),
    "landscape": (0.5, 5),
    "predictions": (0.5, 3),
    "label-kernel": (0.5, 3),
    "sequence-kernels": (1, 7),
    "teacher-eigenvalues": (0.5, 3),
    "sample-efficiency": (1, 30),
    "propagator-paths": (0.1, 0.1),
    "mechanism": (0.2, 0.2),
    "nonlinear-sequences": (2, 12),
    "learning-transition": (1, 8),
    "sharing-phases": (1, 4),
    "skip-unfolding": (1, 4),
    "sharing-order": (0.5, 10),
    "looped-kernel": (1, 15),
    "sharing-sequences": (0.5, 15),
    "skip-strength": (0.5, 12),
    "several-outputs": (0.3, 6),
}
NAMES = tuple(MINUTES)


def panel(name: str) -> Panel:
    """Number, title and caption of a panel, from its module."""
    described: Panel = _module(name).PANEL
    return described


def _module(name: str) -> ModuleType:
    return import_module(f"derivations.figures.{name.replace('-', '_')}")


def make_panel(name: str, out: Path, quick: bool) -> dict[str, Any]:
    """Make one panel under a progress bar; its record, kept in `out` as ``<name>.json``.

    The record has the panel's number, name, title and caption, `quick`, `files` (names in `out`), `agrees` (theory and
    simulation), `summary` (a sentence), `seconds`, and what else the panel's `make` returned.
    """
    effort = Effort(quick=quick, workers=os.cpu_count() or 1)
    with (
        output.working(name) as told,
        only_writer(out, name, lambda: click.echo(f"{name}: waiting for another run in {out}", err=True)),
    ):
        start = time.perf_counter()
        made = _module(name).make(out, effort, lambda what, done, total: told(f"{name}: {what}", done, total))
        record = {**panel(name).fields(), "quick": quick, "seconds": time.perf_counter() - start, **made}
        record["files"] = [os.path.relpath(path, out) for path in made["files"]]
        write_text(out / f"{name}.json", json.dumps(output.plain(record), indent=1, ensure_ascii=False))
    return record
