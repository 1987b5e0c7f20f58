"""A problem as plain JSON types, as every command's ``--json`` prints it, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.inputs.sharing import MATRIX

#: Of the program, as in pyproject.toml: to ask the installed package takes as long as to solve a small problem.
VERSION = "0.2.0"
#: Arrays of a problem in a file.
PROBLEM_ARRAYS = ("x", "y", "x_test", "y_test", "sharing")
PROBLEM_NUMBERS = ("u", "v", "w", "kappa", "skip", "bias")
#: Most bytes of a file that is read.
LARGEST_RECORD = 1 << 28

_ACCEPTED = "what a command printed with --json, with its problem"


def problem_record(problem: Problem) -> dict[str, Any]:
    """Fields of a problem: arrays as nested lists, null where unsupervised; numbers keep all their digits."""
    record: dict[str, Any] = {"arch": problem.arch, "activation": problem.activation.name}
    record |= {name: getattr(problem, name) for name in PROBLEM_NUMBERS}
    for name in PROBLEM_ARRAYS:
        array = getattr(problem, name)
        if array is not None and (name != "sharing" or problem.arch == MATRIX):
            entries = array.astype(object)
            entries[np.isnan(array)] = None
            record[name] = entries.tolist()
    return record


def read_record(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file, with a problem in it.

    Raises:
        InputError: one line: the file cannot be read, or holds something else.
    """
    if Path(path).exists() and not Path(path).is_file():  # a named pipe would wait for a writer
        raise InputError(f"{path}: is no regular file; accepted: {_ACCEPTED}")
    try:
        with Path(path).open("rb") as file:
            text = file.read(LARGEST_RECORD + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); accepted: {_ACCEPTED}") from None
    if len(text) > LARGEST_RECORD:
        raise InputError(f"{path}: has more than {LARGEST_RECORD} bytes; accepted: {_ACCEPTED}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON ({error}); accepted: {_ACCEPTED}") from None
    if not isinstance(found, dict) or not isinstance(found.get("problem"), dict):
        raise InputError(f"{path}: has no problem; accepted: {_ACCEPTED}")
    known = ("arch", "activation", *PROBLEM_NUMBERS, *PROBLEM_ARRAYS)
    unknown = sorted(set(found["problem"]) - set(known))
    if unknown:
        raise InputError(f"{path}: its problem has a field {unknown[0]!r}; accepted: {', '.join(known)}")
    return found


def problem_of(record: dict[str, Any], where: str | Path, **changes: Any) -> Problem:
    """The problem of a record, with some fields changed.

    Args:
        record: as `problem_record` made it.
        where: its file, for messages.
        changes: fields of `Problem`.

    Raises:
        InputError: one line: it lacks x or y, an array is none, or `Problem` refuses them.
    """
    given = dict(record)
    for name in PROBLEM_ARRAYS:
        if name in given:
            given[name] = _array(given[name], name, where)
    for name in ("x", "y"):
        if name not in given:
            raise InputError(f"{where}: its problem has no {name}; accepted: {_ACCEPTED}")
    if changes.get("arch", given.get("arch")) != MATRIX:
        given.pop("sharing", None)
    return Problem(**given | changes)


def _array(value: Any, name: str, where: str | Path) -> NDArray[np.float64]:
    try:
        return np.array(value, dtype=float)  # None becomes NaN
    except (TypeError, ValueError):
        raise InputError(f"{where}: {name} is no array of numbers; accepted: {_ACCEPTED}") from None
