"""Problems from files: ``.npz``, checked before anything large is read, never unpickled; or ``.json``."""

from __future__ import annotations

import lzma
import math
import stat
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.files import given_path
from numerics.inputs.problem import Problem
from numerics.inputs.problem_record import PROBLEM_ARRAYS, problem_of, read_record
from numerics.inputs.sharing import MATRIX

#: Most bytes of one of them.
LARGEST_ARRAY = 1 << 30
#: Longest header that is parsed; numpy writes 64 to 128 bytes.
LONGEST_HEADER = 4096

_ACCEPTED = "an .npz file with real arrays x and y"

#: What a damaged or foreign archive makes the zip and npy readers raise.
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    MemoryError,
    RuntimeError,  # encrypted member; NotImplementedError for an unknown compression is one
    OverflowError,
    UserWarning,  # a header in the syntax of Python 2
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def load_problem(path: str | Path, **options: Any) -> Problem:
    """A problem from an ``.npz`` file (arrays `x`, `y`; optional `x_test`, `y_test`, `sharing`) or a ``.json`` one.

    Args:
        path: as written by ``numpy.savez`` or ``numpy.savez_compressed``; any real dtype, byte order and memory order;
            or what a command printed with ``--json``, whose problem is read with all its fields.
        options: further fields of `Problem`; no arch where the file has its sharing matrix.

    Raises:
        InputError: one line: the file cannot be read, has other arrays, asks for pickle, or declares another size than
            it has or more than `LARGEST_ARRAY` bytes; or `Problem` refuses its arrays.
    """
    file = given_path(path, "path")
    if file.suffix == ".json":
        return problem_of(read_record(file)["problem"], file, **options)
    arrays = _arrays(file)
    for name in ("x", "y"):
        if name not in arrays:
            accepted = "arrays x (P, D) or (P, times, D) and y (P, times) or (P, times, O)"
            raise InputError(f"{path}: has no array {name}; accepted: {accepted}")
    if "sharing" in arrays:
        if options.get("arch", MATRIX) != MATRIX:
            raise InputError(f"arch: is {options['arch']!r} beside the file's sharing matrix; accepted: one of both")
        options["arch"] = MATRIX
    return Problem(**arrays, **options)


def _arrays(path: Path) -> dict[str, Any]:
    try:
        # a named pipe would wait for a writer
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is no regular file; accepted: {_ACCEPTED}")
        with path.open("rb") as file, zipfile.ZipFile(file) as archive, warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            members = archive.infolist()
            _check_names(path, [member.filename for member in members])
            return {_array_name(member.filename): _array(path, archive, member) for member in members}
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; accepted: {_ACCEPTED}") from None
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read ({reason}); accepted: {_ACCEPTED}") from None


def _array_name(filename: str) -> str:
    return filename.removesuffix(".npy")


def _check_names(path: Path, filenames: list[str]) -> None:
    known = [f"{name}.npy" for name in PROBLEM_ARRAYS]
    for filename in filenames:
        if filename not in known:
            raise InputError(f"{path}: has an array {_array_name(filename)!r}; accepted: {', '.join(PROBLEM_ARRAYS)}")
        if filenames.count(filename) > 1:
            raise InputError(f"{path}: has {_array_name(filename)} twice; accepted: each array once")


def _array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, after its header was found to agree with the archive's directory."""
    name = _array_name(member.filename)
    if member.file_size > LARGEST_ARRAY:
        raise InputError(f"{path}: {name} has {member.file_size} bytes; accepted: at most {LARGEST_ARRAY}")
    with archive.open(member) as file:
        shape, dtype, header = _header(file)
    if dtype.hasobject:
        raise InputError(f"{path}: {name} has dtype {dtype} and asks for pickle; accepted: an array of real numbers")
    declared = math.prod(shape) * dtype.itemsize
    if declared != member.file_size - header:
        raise InputError(
            f"{path}: {name} has {member.file_size - header} bytes of data, but shape {shape} needs {declared}; "
            f"accepted: {_ACCEPTED}"
        )
    with archive.open(member) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False, max_header_size=LONGEST_HEADER))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, dtype and length of an ``.npy`` header."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"npy version {version} is not for plain numbers")
    shape, _, dtype = readers[version](file, max_header_size=LONGEST_HEADER)
    return shape, dtype, file.tell()
