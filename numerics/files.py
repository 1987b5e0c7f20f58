"""Files appear whole or not at all."""

from __future__ import annotations

import glob
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numerics.errors import InputError

#: Seconds after which a temporary that nobody has locked belongs to nobody.
_SURELY_LOCKED = 60.0


def given_path(path: Any, argument: str) -> Path:
    """The path that a user gave.

    Raises:
        InputError: it is neither text nor a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{argument}: is of type {type(path).__name__}; accepted: a path, as text or of pathlib")
    return Path(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it if the block succeeds and removed if it does not.

    The temporary keeps the suffix, since writers choose the format by it. It is on the disk before it is moved, so that
    a loss of power too leaves the old file or the new one. The folder is made if it is missing.
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.stem}-"
        _remove_left_over(path.parent, prefix, path.suffix)
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        temporary = Path(name)
        try:
            _hold(handle)
            yield temporary
            # mkstemp makes private files; give the result the permissions that open() would have given.
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
            os.fsync(handle)
            temporary.replace(path)
            _keep_name(path.parent)
        finally:
            os.close(handle)
            temporary.unlink(missing_ok=True)


def _keep_name(folder: Path) -> None:
    """A folder's names on the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def refused_if_unwritable(what: str, accepted: str) -> Iterator[None]:
    """An OSError of the block as one line.

    Raises:
        InputError: what was to be written (an argument or a path), the system's reason, and what is accepted.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{what} cannot be written ({error.strerror or error}); accepted: {accepted}") from None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What the system says of a temporary file, said of the file that it was for."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from None


def _hold(handle: int) -> bool:
    """Lock an open temporary for as long as its writer lives; False if another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_left_over(folder: Path, prefix: str, suffix: str) -> None:
    """Remove temporaries of a writer that was killed: old enough to be locked by now, and held by nobody."""
    for path in folder.glob(f"{glob.escape(prefix)}????????{glob.escape(suffix)}"):
        with suppress(OSError):
            handle = os.open(path, os.O_RDWR)
            try:
                if time.time() - path.stat().st_mtime > _SURELY_LOCKED and _hold(handle):
                    path.unlink(missing_ok=True)
            finally:
                os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write `pieces` one after the other to `path`, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.writelines(pieces)


def write_netcdf(data: Any, path: Path) -> None:
    """Write an xarray Dataset or DataTree to `path`, whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        # HDF5 wants the lock that a whole file is held by until it is there
        written = Path(folder) / "data.nc"
        data.to_netcdf(written, engine="h5netcdf")
        write_bytes(path, [written.read_bytes()])


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
