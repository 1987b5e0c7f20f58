"""A search that goes on where it was interrupted: what its steps have resulted in is kept, and not computed again.

A search is a fixed sequence of steps, each a function of what came before. Functions marked `recorded` write their
results down, in the order of their calls, while a `Journal` is open; when the search runs again they return these. A
step that was under way keeps those of the steps within it, which go when it ends: what is lost is at most one average.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from numerics import archive
from numerics.errors import InputError
from numerics.files import given_path, only_writer, refused_if_unwritable
from numerics.inputs.problem_record import VERSION
from numerics.nonlinear.encoding import Encoder, decoded

P = ParamSpec("P")
R = TypeVar("R")

_FORMAT = b"unrolled search 1\n"
_SAME_RUN = "the same problem, options and version of this program, or a new file"
#: Seconds between two writings, at least, and the least over the time that one takes.
SECONDS, RATIO = 10.0, 20.0

#: That of the search under way, which is not handed through all its functions.
_journal: ContextVar[Journal | None] = ContextVar("journal", default=None)


class Journal:
    """Results of steps so far, in a file."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        """From the file, if there is one.

        Raises:
            InputError: it is damaged, or of another run.
        """
        self._path, self._fingerprint = path, fingerprint
        self._due = time.monotonic() + SECONDS
        self._depth = 0
        #: Of the search, of its step under way, of the step within that …: names and results.
        self._levels: list[list[tuple[str, Any]]] = [[]]
        if path.exists():
            header, arrays = archive.load(path, _FORMAT, fingerprint, _SAME_RUN)
            try:
                self._levels = [[(name, decoded(tree, arrays)) for name, tree in level] for level in header["levels"]]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"checkpoint: {path} cannot be read ({error}); accepted: a checkpoint") from None
        self._next = [0] * len(self._levels)

    def result(self, name: str, compute: Callable[[], R]) -> R:
        """What a step results in, kept or computed; numpy.linalg.LinAlgError is a result too."""
        depth = self._depth
        if self._next[depth] < len(self._levels[depth]):
            kept, outcome = self._levels[depth][self._next[depth]]
            if kept != name:
                raise InputError(f"checkpoint: {self._path} has other steps; accepted: {_SAME_RUN}")
            self._next[depth] += 1
        else:
            outcome = self._computed(compute)
            self._levels[depth].append((name, outcome))
            self._next[depth] += 1
            if time.monotonic() >= self._due:
                self.save()
        failed, value = outcome
        if failed:
            raise np.linalg.LinAlgError(value)
        result: R = value
        return result

    def _computed(self, compute: Callable[[], Any]) -> tuple[bool, Any]:
        """Whether a step fails, and its result or what is said of it."""
        self._depth += 1
        if self._depth == len(self._levels):
            self._levels.append([])
            self._next.append(0)
        try:
            outcome = False, compute()
        except np.linalg.LinAlgError as error:
            outcome = True, str(error)
        finally:
            self._depth -= 1
        del self._levels[self._depth + 1 :], self._next[self._depth + 1 :]
        return outcome

    def save(self) -> None:
        """Write everything so far.

        Raises:
            InputError: the file cannot be written.
        """
        began, encoder = time.monotonic(), Encoder()
        levels = [[[name, encoder(outcome)] for name, outcome in level] for level in self._levels]
        archive.save(self._path, _FORMAT, self._fingerprint, {"levels": levels}, encoder.arrays(), "a file")
        ended = time.monotonic()
        self._due = ended + max(SECONDS, RATIO * (ended - began))


def recorded(function: Callable[P, R]) -> Callable[P, R]:
    """The function as a step of whatever search is under way with a journal."""
    name = function.__qualname__

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        journal = _journal.get()
        if journal is None:
            return function(*args, **kwargs)
        return journal.result(name, lambda: function(*args, **kwargs))

    return inner


@contextmanager
def kept_in(checkpoint: str | Path | None, asked: Mapping[str, object]) -> Iterator[None]:
    """Steps of the block are kept in a file, if one is given, and those that it has are not computed again.

    Args:
        checkpoint: the file; one process at a time uses it.
        asked: all that results depend on.

    Raises:
        InputError: the file is damaged, of another run, in use, or cannot be written.
        KeyboardInterrupt: with how to go on, as far as the file was written.
    """
    if checkpoint is None:
        yield
        return
    path = given_path(checkpoint, "checkpoint")

    def refuse() -> None:
        raise InputError(f"checkpoint: {path} is in use by another run; accepted: a file of its own")

    with refused_if_unwritable(f"checkpoint: {path}", "a file"):
        path.parent.mkdir(parents=True, exist_ok=True)
    words = sorted({**asked, "version": VERSION}.items())
    with only_writer(path.parent, path.name, refuse), archive.resumable(path):
        journal = Journal(path, hashlib.sha256(repr(words).encode()).hexdigest())
        token = _journal.set(journal)
        try:
            yield
        except InputError:
            raise
        except BaseException:
            journal.save()
            raise
        else:
            journal.save()
        finally:
            _journal.reset(token)
