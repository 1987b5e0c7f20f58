"""Arrays in a file that goes on with a run: whole or not there, checked when read, and bound to its run.

A file holds a line that names the format, a SHA-256 digest, and an ``.npz`` archive (never unpickled) that the digest
is of. It is written beside its place, flushed to the disk and renamed, so that a kill at any moment leaves the last
whole one.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.files import refused_if_unwritable, write_bytes

NamedArrays: TypeAlias = Mapping[str, NDArray[Any]]

_DIGEST_BYTES = 32


def save(
    path: Path, kind: bytes, fingerprint: str, header: Mapping[str, Any], arrays: NamedArrays, accepted: str
) -> None:
    """Write arrays, and a header of plain JSON types.

    Args:
        kind: the line that names the format.
        fingerprint: of the run.
        accepted: what `path` stands for, as a refusal names it.

    Raises:
        InputError: the file cannot be written.
    """
    words = json.dumps({**header, "fingerprint": fingerprint}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(words, dtype=np.uint8), **arrays)
    payload = buffer.getbuffer()
    with refused_if_unwritable(f"checkpoint: {path}", accepted):
        write_bytes(path, [kind, hashlib.sha256(payload).digest(), payload])


def load(path: Path, kind: bytes, fingerprint: str, accepted: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays as they were saved.

    Args:
        kind, fingerprint: as of `save`.
        accepted: runs that the file may belong to.

    Raises:
        InputError: the file is damaged, or belongs to another run.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"checkpoint: {path} cannot be read ({error.strerror}); accepted: a file") from None
    start = len(kind) + _DIGEST_BYTES
    digest, payload = content[len(kind) : start], content[start:]
    if not content.startswith(kind) or hashlib.sha256(payload).digest() != digest:
        raise InputError(f"checkpoint: {path} is damaged or no checkpoint; accepted: one written by this program")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"checkpoint: {path} cannot be read ({error}); accepted: a checkpoint") from None
    if header["fingerprint"] != fingerprint:
        raise InputError(f"checkpoint: {path} belongs to another run; accepted: {accepted}")
    return header, arrays


@contextmanager
def resumable(path: Path) -> Iterator[None]:
    """An interrupt of the block says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"run the same again to go on from {path}") from None
