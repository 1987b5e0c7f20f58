"""Results that a copy of this process computes while it does something else.

A copy made by fork takes milliseconds, where a new process takes as long as a scan to load what it needs
(``numerics.processes``). One is made only where that is safe and pays: on Linux, with two cores, and without other
threads of Python, whose locks the copy would find taken.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


@contextmanager
def ahead(function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Iterator[Found]]:
    """The function of each item, computed by a copy of this process meanwhile, or here when it is asked for.

    What the function changes in this process it may change in the copy alone: nothing but what it returns counts.
    """
    if not _pays():
        yield map(function, items)
        return
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # since Python 3.12 of threads that are not Python's, whose locks the copy does not need
        warnings.simplefilter("ignore", DeprecationWarning)
        copy = os.fork()
    if copy == 0:
        try:
            os.close(reading)  # without the parent nobody reads, and the copy ends
            with os.fdopen(writing, "wb") as stream:
                for item in items:
                    pickle.dump(function(item), stream)
                    stream.flush()
        finally:
            os._exit(0)  # whatever happened: nothing of the parent's is cleaned up twice
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as stream:
            yield _received(stream, function, items)
    finally:
        with suppress(ProcessLookupError, ChildProcessError):  # where signals of children are ignored
            os.kill(copy, signal.SIGKILL)
            os.waitpid(copy, 0)


def _pays() -> bool:
    # `threading` does not count threads that it has not started
    alone = sys.platform == "linux" and len(sys._current_frames()) == 1
    return alone and len(os.sched_getaffinity(0)) > 1


def _received(stream: BinaryIO, function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
    """What a copy sends; the rest is computed here if it ends early, so that an error is raised where it is seen."""
    for item in items:
        try:
            yield pickle.load(stream)
        except (EOFError, pickle.UnpicklingError):
            yield function(item)
