"""Results in files: whole or not at all, never pickled, the same bit for bit when read back.

A file is an ``.npz`` archive: a ``header`` (JSON: kind of result, its fields, a SHA-256 digest of them and of the
arrays) and one member for each array. Numbers keep all their bits: floats are written in hexadecimal.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.errors import InputError
from numerics.files import given_path, refused_if_unwritable, write_bytes
from numerics.inputs.activation import Activation, activation_of, named, not_stored
from numerics.inputs.problem_file import UNREADABLE

FORMAT = "unrolled result 4"
_ACCEPTED = "a result saved by this program"

#: Where each kind of result is defined. Reading a file makes objects of these kinds only.
KINDS = {
    "Agreement": "numerics.checking.agreement",
    "Certificate": "numerics.certificate.certify",
    "Check": "numerics.checking.check",
    "Comparison": "numerics.checking.comparison",
    "CriticalSignal": "numerics.nonlinear.critical",
    "EndpointBatch": "numerics.endpoint_task.batch",
    "Gauge": "numerics.symmetry.gauge",
    "HysteresisLoop": "numerics.continuation.hysteresis",
    "LinearSolution": "numerics.linear.solution",
    "Landscape": "numerics.endpoint_task.landscape",
    "Leg": "numerics.continuation.hysteresis",
    "NonlinearSolution": "numerics.nonlinear.solution",
    "Passage": "numerics.continuation.hysteresis",
    "Phase": "numerics.checking.weights",
    "PhaseCheck": "numerics.checking.check",
    "PhaseShares": "numerics.checking.phase_shares",
    "PhaseWeights": "numerics.checking.phase_weights",
    "Predictions": "numerics.predictors.predictions",
    "Problem": "numerics.inputs.problem",
    "Region": "numerics.checking.regions",
    "Scan": "numerics.continuation.scanned",
    "ScannedBranch": "numerics.continuation.scanned_branch",
    "ShiftSeen": "numerics.checking.agreement",
    "SignChoice": "numerics.symmetry.gauge",
    "SignSymmetry": "numerics.symmetry.group",
    "Simulation": "numerics.sampling.result",
    "Solutions": "numerics.results.solutions",
    "SpecialPoint": "numerics.continuation.special_points",
    "Spectrum": "numerics.sampling.draws",
    "Sweep": "numerics.sweeping",
    "Transition": "numerics.continuation.hysteresis",
}


class Stored:
    """A result that saves and loads itself."""

    def save(self, path: str | Path) -> Path:
        """Write the result to a file, whose path is returned (`numerics.save`)."""
        return save(self, path)

    @classmethod
    def load(cls, path: str | Path, *, activation: Any = None) -> Any:
        """Read a result of this kind.

        Raises:
            InputError: the file is damaged, or holds something else.
        """
        result = load(path, activation=activation)
        if not isinstance(result, cls):
            raise InputError(f"{path}: holds a {type(result).__name__}; accepted: a {cls.__name__}")
        return result


def save(result: Any, path: str | Path) -> Path:
    """Write a result (`Solution`, `Scan`, `Simulation`, …; see `KINDS`) to a file, whole or not at all.

    Returns:
        The file's path, as it was given.

    Raises:
        InputError: it is of no kind that can be saved, or the file cannot be written.
    """
    file = given_path(path, "path")
    if not is_dataclass(result):
        raise InputError(f"result: is of type {type(result).__name__}; accepted: {', '.join(KINDS)}")
    arrays: dict[str, NDArray[Any]] = {}
    content = _packed(result, arrays)
    header = {"format": FORMAT, "digest": _digest(content, arrays), "content": content}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        **arrays,
    )
    with refused_if_unwritable(f"{path}:", "a path for a file"):
        write_bytes(file, [buffer.getbuffer()])
    return file


def load(path: str | Path, *, activation: Any = None) -> Any:
    """The result in a file.

    Args:
        path: as written by `save`.
        activation: φ, where it is the user's own: a file holds its name and a summary of its values only, without which
            the result can be read but nothing evaluated.

    Raises:
        InputError: the file cannot be read, is damaged, or was not written by `save`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import unrolled
        >>> state = unrolled.solve(unrolled.endpoint(T=4, signal=20.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = unrolled.load(unrolled.save(state, Path(folder) / "state.npz"))
        >>> bool((again.kernel == state.kernel).all())
        True
    """
    found = given_path(path, "path")
    try:
        with found.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
        if header["format"] != FORMAT:
            raise InputError(f"{path}: has the format {header['format']!r}; accepted: {FORMAT!r}")
        if header["digest"] != _digest(header["content"], arrays):
            raise InputError(f"{path}: is damaged; accepted: {_ACCEPTED}")
        return _unpacked(header["content"], arrays, activation)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; accepted: {_ACCEPTED}") from None
    except (IsADirectoryError, PermissionError) as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); accepted: {_ACCEPTED}") from None
    except (*UNREADABLE, AttributeError):
        raise InputError(f"{path}: is damaged or no result; accepted: {_ACCEPTED}") from None


def _digest(content: Any, arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _packed(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON; arrays go to `arrays` and are named in their place."""
    if value is None or isinstance(value, str | bool | np.bool_):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, int | np.integer):
        return {"int": int(value)}
    if isinstance(value, float | np.floating):
        return {"float": float(value).hex()}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return {"tuple": [_packed(item, arrays) for item in value]}
    if isinstance(value, Activation):
        own = {"odd": value.odd, "kinks": [kink.hex() for kink in value.kinks], "digest": value.digest}
        return {"activation": {"name": value.name} if value.known else {"name": value.name, **own}}
    kind = type(value).__name__
    if is_dataclass(value) and KINDS.get(kind) == type(value).__module__:
        parts = {field.name: _packed(getattr(value, field.name), arrays) for field in fields(value) if field.init}
        return {"kind": kind, "fields": parts}
    raise InputError(f"result: has a {kind}, which cannot be saved; accepted: {', '.join(KINDS)}")


def _unpacked(content: Any, arrays: dict[str, NDArray[Any]], activation: Any) -> Any:
    if content is None or isinstance(content, str | bool):
        return content
    if "int" in content:
        return int(content["int"])
    if "float" in content:
        return float.fromhex(content["float"])
    if "array" in content:
        return arrays[content["array"]]
    if "activation" in content:
        return _restored(content["activation"], activation)
    if "tuple" in content:
        return tuple(_unpacked(item, arrays, activation) for item in content["tuple"])
    kind = getattr(import_module(KINDS[content["kind"]]), content["kind"])
    return kind(**{name: _unpacked(item, arrays, activation) for name, item in content["fields"].items()})


def _restored(stored: dict[str, Any], given: Any) -> Activation:
    """The activation of a file; of the user's own, the one that is given if it has the same values."""
    name = stored["name"]
    if "digest" not in stored:
        return named(name)
    if given is None:
        return not_stored(name, stored["odd"], tuple(map(float.fromhex, stored["kinks"])), stored["digest"])
    phi = activation_of(given)
    if phi.digest != stored["digest"]:
        raise InputError(
            f"activation: {phi.name} has other values than the stored {name}; accepted: the φ of the result"
        )
    return phi
