"""The poster's panels as the report shows them: made once in the report's folder, then read from there."""

from __future__ import annotations

import base64
import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derivations.figures.panel import Panel
from derivations.figures.panels import make_panel, panel
from numerics.checking.agreement import Verdict


@dataclass(frozen=True)
class InlinedTable:
    """A CSV file: its name, its bytes as a data URI, and how many rows it has."""

    name: str
    uri: str
    rows: int


@dataclass(frozen=True)
class ShownPanel:
    """A panel with everything inlined.

    Attributes:
        panel: number, name, title and caption.
        picture: data URI.
        size: width and height in pixels, so that the page does not jump while it loads.
        summary: what it found, in a sentence.
        verdict: whether theory and simulation agree.
        tables: the numbers behind it.
        seeds: of its simulations, in order, each once.
        scores: the largest |z| of each simulated network, by name; empty for a panel without simulation.
    """

    panel: Panel
    picture: str
    size: tuple[int, int]
    summary: str
    verdict: Verdict
    tables: tuple[InlinedTable, ...]
    seeds: tuple[int, ...]
    scores: tuple[tuple[str, float], ...]


def shown_panel(name: str, out: Path, quick: bool) -> ShownPanel:
    """Make a panel in `out`, or take the finished one that is there, and inline its files."""
    record = finished(name, out, quick) or make_panel(name, out, quick)
    files = [out / file for file in record["files"]]
    picture, size = inlined_picture(files)
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / f"{name}-runs").glob("*.json"))]
    seeds = dict.fromkeys(run["settings"]["seed"] for run in runs if "seed" in run.get("settings", {}))
    return ShownPanel(
        panel(name),
        picture,
        size,
        _without_name(record["summary"], name),
        record["verdict"],
        tuple(inlined_table(path) for path in files if path.suffix == ".csv"),
        tuple(seeds),
        tuple(score for path in files if path.suffix == ".csv" for score in scores(path)),
    )


def finished(name: str, out: Path, quick: bool) -> dict[str, Any] | None:
    """The record of a panel that is complete in `out`, as it is described today, made with at least this effort."""
    try:
        record = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        complete = all((out / file).is_file() for file in record["files"])
        enough = quick or not record["quick"]
        same = record["caption"] == panel(name).caption  # a picture of an earlier program would not show what is said
        return dict(record) if complete and enough and same and "verdict" in record else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, damaged, or of an older program


def inlined_picture(files: list[Path]) -> tuple[str, tuple[int, int]]:
    """The PNG as a data URI, width and height. (The SVG's text needs fonts that the reader may not have.)"""
    from matplotlib.image import imread

    png = next(path for path in files if path.suffix == ".png")
    height, width = imread(png).shape[:2]
    return data_uri(png, "image/png"), (width, height)


def inlined_table(path: Path) -> InlinedTable:
    """A CSV file as a link that needs no file."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = sum(1 for _ in csv.reader(file)) - 1
    return InlinedTable(path.name, data_uri(path, "text/csv"), rows)


#: Columns that tell the networks of a table from one another, where it has them, in the order in which they are named.
NAMING = (
    "arch", "family", "axis", "count", "loop", "rho", "skip", "sheet", "start", "init", "kind", "phase", "T", "signal",
    "kappa", "width", "seed",
)  # fmt: skip


def _short(value: str) -> str:
    """A table's number in at most four digits; words as they are."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def scores(path: Path) -> list[tuple[str, float]]:
    """Name and largest |z| of each network in a table that has them."""
    found: dict[tuple[str, float], None] = {}  # a network that has several rows is named once
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row.get("largest_z"):
                named = [f"{key} {_short(row[key])}" for key in NAMING if row.get(key, "nan") not in ("", "nan")]
                found[", ".join(named), float(row["largest_z"])] = None
    return list(found)


def data_uri(path: Path, kind: str) -> str:
    """The file's bytes in a URI."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _without_name(summary: str, name: str) -> str:
    """A summary begins with the panel's name on the command line; under its own heading it need not."""
    rest = summary.removeprefix(f"{name}: ")
    return rest[:1].upper() + rest[1:]
