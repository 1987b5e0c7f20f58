"""A chain's state and records in a file (``numerics.archive``), and one run at a time in a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numerics import archive
from numerics.errors import InputError
from numerics.files import refused_if_unwritable
from numerics.linalg import Array
from numerics.sampling.chains import ChainState, Place, Record
from numerics.sampling.collapsed import Seen
from numerics.sampling.deferred import DeferredNoise
from numerics.sampling.network import Weights
from numerics.sampling.plan import Plan
from numerics.sampling.sgld import SGLDState
from numerics.sampling.tuning import HMCTuning, SGLDTuning
from numerics.sampling.updated import UpdatedMatrices

_FORMAT = b"unrolled chain 9\n"
_SAME_RUN = "the same problem, width, sampler, chains, steps, seed and options, or an empty directory"


def chain_file(directory: Path, index: int) -> Path:
    """Where chain `index` is kept."""
    return directory / f"chain-{index:03d}.checkpoint"


@contextmanager
def only_run(directory: Path) -> Iterator[None]:
    """Make the directory, and keep other processes from running in it while the block runs.

    Where the system has no such locks, none is held.

    Raises:
        InputError: another process runs there, or the directory cannot be made or written.
    """
    with refused_if_unwritable(f"checkpoint: {directory}", "a directory"):
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / "running.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"checkpoint: {directory} is in use by another run; accepted: a directory of its own"
            ) from None
        except (ImportError, OSError):  # Windows, or a file system without locks
            pass
        with archive.resumable(directory):
            yield
    finally:
        os.close(handle)


def save(path: Path, plan: Plan, state: ChainState, record: Record) -> None:
    """Write a chain's state and everything that it has recorded.

    Raises:
        InputError: the file cannot be written.
    """
    arrays, header = _pack(state, record)
    archive.save(path, _FORMAT, plan.fingerprint(), header, arrays, "a directory")


def load(path: Path, plan: Plan) -> tuple[ChainState, Record]:
    """A chain as it was saved.

    Raises:
        InputError: the file is damaged, or belongs to another run.
    """
    header, arrays = archive.load(path, _FORMAT, plan.fingerprint(), _SAME_RUN)
    return _unpack(header, arrays)


def _pack(state: ChainState, record: Record) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays = _flat("at", state.at) | _flat("record", record)
    scalars: dict[str, float] = {}
    for part in fields(state.tuning):
        value = getattr(state.tuning, part.name)
        if isinstance(value, np.ndarray):
            arrays[f"tuning.{part.name}"] = value
        else:
            scalars[part.name] = value
    words = state.rng["state"]["state"]
    header = {
        "index": state.index,
        "done": state.done,
        "place": type(state.at).__name__,
        "tuning": scalars,
        "tuner": type(state.tuning).__name__,
        "rng": {
            "bit_generator": state.rng["bit_generator"],
            "state": [int(word) for word in words],
            "has_uint32": int(state.rng["has_uint32"]),
            "uinteger": int(state.rng["uinteger"]),
        },
    }
    return arrays, header


def _flat(name: str, item: object) -> dict[str, Array]:
    """The arrays and numbers of a dataclass, and of those within it, by their dotted names."""
    if item is None:
        return {}
    if not is_dataclass(item):
        return {name: np.asarray(item)}
    parts = (_flat(f"{name}.{part.name}", getattr(item, part.name)) for part in fields(item))
    return {key: value for part in parts for key, value in part.items()}


def _within(name: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """The arrays whose dotted names begin with a name, by what follows it."""
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}


def _place(kind: str, arrays: dict[str, Array]) -> Place:
    def weights(parts: dict[str, Any]) -> Weights:
        return Weights(parts["U"], parts["W"], parts.get("V"))

    if kind == "Seen":
        return Seen(**_within("at", arrays))
    if kind == "Weights":
        return weights(_within("at", arrays))
    W = _within("at.W", arrays)
    known = DeferredNoise(float(W["noise.variance"]), W["noise.frames"], W["noise.products"])
    matrices = UpdatedMatrices(W["dense"], float(W["scale"]), W["left"], W["right"], known, float(W["unit"]))
    noise = _within("at.noise", arrays)
    return SGLDState(arrays["at.U"], arrays["at.V"], matrices, weights(noise) if noise else None)


def _unpack(header: dict[str, Any], arrays: dict[str, Array]) -> tuple[ChainState, Record]:
    tuner = HMCTuning if header["tuner"] == "HMCTuning" else SGLDTuning
    rng = header["rng"]
    bits = {
        "bit_generator": rng["bit_generator"],
        "state": {"state": np.array(rng["state"], dtype=np.uint64)},
        "has_uint32": rng["has_uint32"],
        "uinteger": rng["uinteger"],
    }
    tuning = tuner(**header["tuning"], **_within("tuning", arrays))
    state = ChainState(header["index"], header["done"], _place(header["place"], arrays), bits, tuning)
    return state, Record(**_within("record", arrays))
