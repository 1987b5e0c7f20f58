"""How far long work is, and how long it still takes: one line on standard error, in a terminal and a notebook alike.

Whatever may take more than a moment takes ``progress``: True shows the line, a function is told instead. The line has
tqdm's form, ``what: 40%|████      | 40/100 [00:12<00:18]``, appears after `DELAY`, and goes when the work ends. Where
standard error is neither a terminal nor a notebook, lines follow one another at growing intervals.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from numerics.errors import InputError

#: Told what is being done, how much of it is done, and of how much; 0 and 0 where that is not known.
Progress = Callable[[str, float, float], None]

#: Seconds before anything is shown, between changes of the line, and between lines in a file: at first, and at most.
DELAY, REFRESH, INTERVAL, LONGEST_INTERVAL = 2.0, 0.25, 2.0, 60.0
_BAR = 10


@contextmanager
def watched(progress: bool | Progress | None, what: str) -> Iterator[Progress]:
    """What long work is to call with its progress, for as long as it lasts.

    Args:
        progress: the user's: True for a line on standard error, a function that is told, False or None for neither.
        what: is being done, until something else is told.

    Raises:
        InputError: `progress` is something else.
    """
    if callable(progress):
        yield progress
        return
    if not isinstance(progress, bool | None):
        raise InputError(f"progress: is of type {type(progress).__name__}; accepted: True, False or a function")
    if not progress or sys.stderr is None:
        yield lambda what, done, total: None
        return
    work, ended = Work(what, time.monotonic()), threading.Event()
    shown = threading.Thread(target=_show, args=(work, ended, sys.stderr), daemon=True)
    shown.start()
    try:
        yield lambda what, done, total: work.told(time.monotonic(), what, done, total)
    finally:
        ended.set()
        shown.join()


class Work:
    """What is known of work under way."""

    def __init__(self, what: str, now: float) -> None:
        self._began = now
        self._now: tuple[str, float, float] = what, 0, 0
        self._first: tuple[float, float] | None = None  # when steps were first told, and how many: a run may go on

    def told(self, now: float, what: str, done: float, total: float) -> None:
        """Of progress, at a time; what has another name is other work, which begins anew."""
        if what != self._now[0]:
            self._first = None
        if total and (self._first is None or done < self._now[1]):
            self._first = now, done
        self._now = what, done, total

    def line(self, now: float) -> str:
        """What to say at a time."""
        (what, done, total), first = self._now, self._first
        elapsed = _clock(now - self._began)
        if first is None or not total:
            return f"{what} [{elapsed}]"
        since, before = first
        left = _clock((now - since) * (total - done) / (done - before)) if done > before else "?"
        bar = "█" * round(_BAR * done / total)
        counted = f" {done:.0f}/{total:.0f}" if total > 1 else ""  # else a fraction of one thing
        return f"{what}: {done / total:4.0%}|{bar:<{_BAR}}|{counted} [{elapsed}<{left}]"


class Told:
    """What an iterative search tells: what it does, which part of how many, and how far a residual has fallen.

    A residual falls by about the same factor in each step: its logarithm, from the first value to the tolerance, is
    the share that is done, from which the time left follows.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._doing, self._part, self._of = "", 0, 1

    def __call__(self, doing: str) -> None:
        """Something else is being done."""
        self._doing, self._part, self._of = doing, 0, 1
        if self._progress is not None:
            self._progress(doing, 0, 0)

    def part(self, number: int, of: int) -> None:
        """So many parts of it are done."""
        self._part, self._of = number, of
        self._share(0.0)

    def steps(self, done: int, total: int) -> None:
        """So many steps of the part are done."""
        self._share(done / total)

    def falling(self, tolerance: float) -> Callable[[float], None]:
        """What is to be told of the residual in every step, from the first to the tolerance."""
        first, least = 0.0, 0.0

        def told(residual: float) -> None:
            nonlocal first, least
            if not math.isfinite(residual):
                return
            first, least = first or residual, min(least or residual, residual)
            if not least > tolerance:
                self._share(1.0)
            elif first > least:
                self._share(math.log(first / least) / math.log(first / tolerance))

        return told

    def _share(self, share: float) -> None:
        if self._progress is not None:
            self._progress(self._doing, (self._part + share) / self._of, 1.0)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes:02d}:{rest:02d}"


def _show(work: Work, ended: threading.Event, stream: TextIO) -> None:
    """Write the line until the work has ended."""
    place = _Cell() if type(stream).__module__.partition(".")[0] == "ipykernel" else _Stream(stream)
    wait, pause = DELAY, INTERVAL
    try:
        while not ended.wait(wait):
            place.show(work.line(time.monotonic()))
            wait = REFRESH if place.rewritten else pause
            pause = min(1.5 * pause, LONGEST_INTERVAL)
        place.clear()
    except (OSError, ValueError):  # closed, or a reader that went away: work goes on
        return


class _Stream:
    """Lines on a terminal, where a carriage return leads to the beginning of the line, or in a file."""

    def __init__(self, stream: TextIO) -> None:
        self.rewritten = stream.isatty()
        self._stream, self._width = stream, 0

    def show(self, line: str) -> None:
        self._stream.write(f"\r{line:<{self._width}}" if self.rewritten else f"{line}\n")
        self._stream.flush()
        self._width = len(line)

    def clear(self) -> None:
        if self._width and self.rewritten:
            self._stream.write(f"\r{'':<{self._width}}\r")
            self._stream.flush()


class _Cell:
    """One output of a notebook's cell, which is replaced: a notebook that is kept has no line for each moment."""

    rewritten = True

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, line: str) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display({"text/plain": line}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update({"text/plain": line}, raw=True)

    def clear(self) -> None:
        if self._handle is not None:
            self.show("")
