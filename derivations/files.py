"""Files appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it if the block succeeds and removed if it does not.

    The temporary keeps the suffix, since writers choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; give the result the permissions that open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def only_writer(folder: Path, name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time make `name` in `folder`; a second one calls `waiting`, then waits.

    The lock ends with the process that holds it, however that ends. Where the system has no such locks, nothing is
    held: files are still whole, only work may be done twice.
    """
    path = folder / f".{name}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(handle, waiting)
        # the holder before us removed the file: whoever comes next would lock another one
        while not _is_at(handle, path):
            os.close(handle)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            _lock(handle, waiting)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _lock(handle: int, waiting: Callable[[], None]) -> None:
    """Lock an open file for this process (not for its workers, which may outlive it)."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        waiting()
        fcntl.lockf(handle, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
