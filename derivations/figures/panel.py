"""What every panel shares: the style, the files that it leaves, and finished simulations that are not run again."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derivations.figures.verdicts import together
from numerics.files import whole_file, write_text
from numerics.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from numerics.checking.agreement import Verdict
    from numerics.inputs.problem import Problem
    from numerics.sampling import Simulation

STYLE = Path(__file__).with_name("unrolled.mplstyle")
FORMATS = ("png", "pdf", "svg")

#: The networks that most panels compare, and their colours.
ARCHITECTURES = ("rnn", "dnn")
COLOURS = {"rnn": "C0", "dnn": "C1"}

#: Version of the kept runs: raised when their content changes, so that older ones are made again.
LAYOUT = 2

#: Columns of numbers, all of one length: the numbers behind a picture.
Table = Mapping[str, "Sequence[Any] | NDArray[Any]"]


@dataclass(frozen=True)
class Panel:
    """One panel of the poster, as the list of panels and the report name it.

    Attributes:
        number: section of the poster, and a letter where a section has several panels: "4", "5b".
        name: the word on the command line; the module is `derivations.figures.<name>`, underscores for hyphens.
        title: a heading.
        caption: what is shown, in a sentence or two.
    """

    number: str
    name: str
    title: str
    caption: str

    def fields(self) -> dict[str, str]:
        """The attributes by name."""
        return {"number": self.number, "name": self.name, "title": self.title, "caption": self.caption}


@dataclass(frozen=True)
class Effort:
    """How much a panel may spend: a quick look, or the full figure."""

    quick: bool
    workers: int


def in_columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows of one kind as a table."""
    table: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            table.setdefault(name, []).append(value)
    return table


def stacked(tables: Iterable[Table]) -> dict[str, list[Any]]:
    """Tables with the same columns as one."""
    whole: dict[str, list[Any]] = {}
    for table in tables:
        for name, values in table.items():
            whole.setdefault(name, []).extend(values)
    return whole


def named(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """A table of these columns from its rows."""
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def save_table(table: Table, path: Path) -> None:
    """Write `table` as CSV, floats with all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    write_text(path, text.getvalue())


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Save as PNG, PDF and SVG, each whole or not at all and free of dates."""
    paths = [folder / f"{name}.{form}" for form in FORMATS]
    # its subsetter comments on the fonts' dates
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    undated: dict[str, dict[str, Any]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    for path, form in zip(paths, FORMATS, strict=True):
        with whole_file(path) as temporary:
            figure.savefig(temporary, metadata=undated[form])
    return paths


def save_panel(
    panel: Panel,
    out: Path,
    tables: Mapping[str, Table],
    draw: Callable[[], Figure],
    *,
    verdicts: Sequence[Verdict],
    summary: str,
    largest_z: float | None = None,
) -> dict[str, Any]:
    """Write a panel's tables, as ``<name>-<table>.csv``, and what `draw` draws, in the style of the paper.

    Args:
        panel: whose files they are.
        out: their folder.
        tables: by name; one without a name is ``<name>.csv``.
        draw: makes the picture.
        verdicts: whether theory and simulation agree, of each network.
        summary: a sentence on what the panel finds.
        largest_z: of all that is compared.

    Returns:
        The panel's record: ``files``, ``verdict``, ``agrees`` (the verdict is that), ``summary`` and ``largest_z``.
    """
    written = [out / (f"{panel.name}-{name}.csv" if name else f"{panel.name}.csv") for name in tables]
    for path, table in zip(written, tables.values(), strict=True):
        save_table(table, path)
    with styled():
        pictures = save_figure(draw(), out, panel.name)
    files = [str(path) for path in (*pictures, *written)]
    record = {
        "files": files,
        "verdict": together(verdicts),
        "agrees": together(verdicts) == "agrees",
        "summary": f"{panel.name}: {summary}",
    }
    return record if largest_z is None else record | {"largest_z": largest_z}


def rows_where(table: Table, **wanted: Any) -> dict[str, NDArray[Any]]:
    """The rows of a table that have the wanted values."""
    import numpy as np

    inside = np.logical_and.reduce([np.asarray(table[name]) == value for name, value in wanted.items()])
    return {name: np.asarray(values)[inside] for name, values in table.items()}


def sampled_networks(problem: Problem, settings: Mapping[str, Any], **options: Any) -> Simulation:
    """The simulation that a run's settings ask for: width, chains, steps, warmup and seed; and with other options."""
    from numerics.sampling import simulate

    run = {name: settings[name] for name in ("chains", "steps", "warmup", "seed")}
    return simulate(problem, settings["width"], **{"workers": 1, **run, **options})


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib without a display and in the style of the paper."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    with plt.style.context(STYLE):
        yield
        plt.close("all")


def finished_run(path: Path, settings: Mapping[str, Any], run: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """The result of `run`, kept in `path` and read from there when it is whole and made with the same settings.

    A panel that was interrupted thus resumes and loses no finished simulation.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        same = stored["settings"] == json.loads(json.dumps(settings)) and stored["layout"] == LAYOUT
        if same and stored["digest"] == _digest(stored["settings"], stored["result"]):
            return dict(stored["result"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent, damaged, of other settings or an earlier program: made again
    result = dict(run())
    content = json.loads(json.dumps({"settings": dict(settings), "result": result}))
    write_text(path, json.dumps({**content, "layout": LAYOUT, "digest": _digest(**content)}))
    return result


def finished_runs(
    jobs: Mapping[Path, Mapping[str, Any]],
    run: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    workers: int,
    progress: Progress,
) -> list[dict[str, Any]]:
    """`finished_run` of every path with its settings, in the order of `jobs`, as many at once as there are workers.

    Whole runs side by side keep the processors busier than chains of one run: a process starts once and never waits.
    `run` must be a function of a module.
    """
    from numerics.processes import prepare_worker  # a list of the panels need not wait for NumPy

    results: dict[Path, dict[str, Any]] = {}
    if workers == 1:
        for path, settings in jobs.items():
            progress(path.stem, len(results), len(jobs))
            results[path] = _finished(run, path, settings)
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=prepare_worker) as pool:
            futures = {pool.submit(_finished, run, path, settings): path for path, settings in jobs.items()}
            try:
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
                    progress(futures[future].stem, len(results), len(jobs))
            finally:
                for future in futures:
                    future.cancel()
    return [results[path] for path in jobs]


def _finished(
    run: Callable[[Mapping[str, Any]], Mapping[str, Any]], path: Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    return finished_run(path, settings, partial(run, settings))


def _digest(settings: Any, result: Any) -> str:
    return hashlib.sha256(json.dumps([settings, result], sort_keys=True).encode()).hexdigest()
