"""Files that are damaged, foreign or hostile: each loader reads them right or refuses them in one line."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from numerics import load, solve, sweeping
from numerics.errors import InputError
from numerics.inputs import problem_file
from numerics.inputs.problem import endpoint
from numerics.inputs.problem_file import load_problem
from numerics.sampling import checkpoint, simulate
from numerics.sampling.plan import Plan
from tests.hardening.program import check_contract, run, time_limit

GOOD_X, GOOD_Y = np.eye(2), np.array([[1.0, np.nan], [0.5, -1.0]])


def npy(array: Any, *, pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=pickle)
    return buffer.getvalue()


def header_only(shape: str, descr: str = "<f8", data: bytes = bytes(16)) -> bytes:
    """An .npy file whose header says what it likes."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin1") + data


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    """The line with which `load` refuses a file, after the whole program has refused it too."""
    with pytest.raises(InputError) as refused, time_limit(20):
        load_problem(path)
    line = str(refused.value)
    assert len(line.splitlines()) == 1
    assert "accepted:" in line
    arguments = ["solve", str(path), "--json"]
    outcome = run(arguments)
    check_contract(outcome, arguments)
    assert outcome.status == 2
    return line


class Bomb:
    """What unpickling must not call."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (Path(os.environ["UNROLLED_BOMB"]),))


# Each file is made in a folder; the line that refuses it has these words.
def _object(folder: Path) -> dict[str, bytes]:
    return {"x.npy": npy(np.array([Bomb()], dtype=object), pickle=True), "y.npy": npy(GOOD_Y)}


MALFORMED: dict[str, tuple[Callable[[Path], dict[str, bytes]], str]] = {
    "x of one dimension": (lambda _: {"x.npy": npy(np.ones(2)), "y.npy": npy(GOOD_Y)}, "x: has shape (2,)"),
    "x of no dimension": (lambda _: {"x.npy": npy(1.0), "y.npy": npy(GOOD_Y)}, "x: has shape ()"),
    "y of no dimension": (lambda _: {"x.npy": npy(GOOD_X), "y.npy": npy(1.0)}, "y: has shape ()"),
    "x of four dimensions": (lambda _: {"x.npy": npy(np.ones((2, 1, 1, 1))), "y.npy": npy(GOOD_Y)}, "x: has shape"),
    "NaN input": (lambda _: {"x.npy": npy(np.full((2, 2), np.nan)), "y.npy": npy(GOOD_Y)}, "x: contains NaN"),
    "infinite input": (lambda _: {"x.npy": npy(np.full((2, 2), -np.inf)), "y.npy": npy(GOOD_Y)}, "x: contains NaN"),
    "no supervised entry": (lambda _: {"x.npy": npy(GOOD_X), "y.npy": npy(np.full((2, 2), np.nan))}, "y: has no super"),
    "more input times than labels": (
        lambda _: {"x.npy": npy(np.ones((2, 3, 1))), "y.npy": npy(GOOD_Y)},
        "x: has 3 input times",
    ),
    "other numbers of patterns": (lambda _: {"x.npy": npy(np.eye(3)), "y.npy": npy(GOOD_Y)}, "y: has 2 patterns"),
    "complex": (lambda _: {"x.npy": npy(GOOD_X + 0j), "y.npy": npy(GOOD_Y)}, "x: has dtype complex128"),
    "words": (lambda _: {"x.npy": npy(np.array([["a"]])), "y.npy": npy(GOOD_Y)}, "x: has dtype <U1"),
    "dates": (lambda _: {"x.npy": npy(np.array([["2020-01-01"]], "M8[D]")), "y.npy": npy(GOOD_Y)}, "x: has dtype"),
    "a record": (lambda _: {"x.npy": npy(np.zeros((2, 2), [("a", "f8")])), "y.npy": npy(GOOD_Y)}, "x: has dtype"),
    "pickle": (_object, "asks for pickle"),
    "empty x": (lambda _: {"x.npy": npy(np.ones((2, 0))), "y.npy": npy(GOOD_Y)}, "x: has shape (2, 0)"),
    "empty y": (lambda _: {"x.npy": npy(GOOD_X), "y.npy": npy(np.ones((0, 2)))}, "y: has shape (0, 2)"),
    "no y": (lambda _: {"x.npy": npy(GOOD_X)}, "has no array y"),
    "no array": (lambda _: {}, "has no array x"),
    "an unknown array": (
        lambda _: {"x.npy": npy(GOOD_X), "y.npy": npy(GOOD_Y), "xtest.npy": npy(GOOD_X)},
        "has an array 'xtest'",
    ),
    "a header that lies": (
        lambda _: {"x.npy": header_only("(1000000000000, 1000000000000)"), "y.npy": npy(GOOD_Y)},
        "has 16 bytes of data, but shape (1000000000000, 1000000000000) needs",
    ),
    "a header that overflows": (
        lambda _: {"x.npy": header_only(f"({2**62}, 4)"), "y.npy": npy(GOOD_Y)},
        "has 16 bytes of data",
    ),
    "a negative shape": (lambda _: {"x.npy": header_only("(-1, -2)"), "y.npy": npy(GOOD_Y)}, "cannot be read"),
    "a header of code": (lambda _: {"x.npy": header_only("__import__('os')"), "y.npy": npy(GOOD_Y)}, "cannot be read"),
    "no npy inside": (lambda _: {"x.npy": b"hello", "y.npy": npy(GOOD_Y)}, "cannot be read"),
    "labels beyond double precision": (
        lambda _: {"x.npy": npy(GOOD_X), "y.npy": npy(np.full((2, 2), 1e9))},
        "y: has at t = 1 a label whose square is",
    ),
    "huge inputs": (lambda _: {"x.npy": npy(1e200 * GOOD_X), "y.npy": npy(GOOD_Y)}, "x: has inputs of size 1e+200"),
    "longer floats": (
        lambda _: {"x.npy": npy(GOOD_X), "y.npy": npy(np.full((2, 2), np.longdouble("1e4000")))},
        "y: contains infinity",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_archive_is_refused_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if name == "longer floats" and np.finfo(np.longdouble).maxexp < 10000:
        pytest.skip("long double is double here")
    monkeypatch.setenv("UNROLLED_BOMB", str(tmp_path / "unpickled"))
    members, words = MALFORMED[name]
    assert words in refusal(archive(tmp_path / "task.npz", members(tmp_path)))
    assert not (tmp_path / "unpickled").exists()


def test_a_zip_bomb_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(problem_file, "LARGEST_ARRAY", 1 << 20)
    big = np.zeros((1 << 17, 1))
    path = archive(tmp_path / "bomb.npz", {"x.npy": npy(big), "y.npy": npy(GOOD_Y)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < big.nbytes // 500
    assert f"x has {big.nbytes + 128} bytes; accepted: at most {1 << 20}" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as file:
        for array in (GOOD_X, 2 * GOOD_X):
            file.writestr("x.npy", npy(array))
        file.writestr("y.npy", npy(GOOD_Y))
    assert "has x twice" in refusal(tmp_path / "twice.npz")


def test_what_is_no_archive_is_refused(tmp_path: Path):
    whole = archive(tmp_path / "whole.npz", {"x.npy": npy(GOOD_X), "y.npy": npy(GOOD_Y)}).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    (tmp_path / "single.npz").write_bytes(npy(GOOD_X))
    (tmp_path / "text.npz").write_text("x, y\n1, 2\n")
    (tmp_path / "nothing.npz").write_bytes(b"")
    (tmp_path / "folder.npz").mkdir()
    for name in ("cut.npz", "single.npz", "text.npz", "nothing.npz", "folder.npz", "absent.npz"):
        assert name in refusal(tmp_path / name)
    assert "PROBLEM" in run(["solve", str(tmp_path / "single.npy")]).stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.npz")
    assert "is no regular file" in refusal(tmp_path / "pipe.npz")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path):
    path = archive(tmp_path / "task.npz", {"x.npy": npy(GOOD_X), "y.npy": npy(GOOD_Y)})
    path.chmod(0)
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">i4", "<u2", "?", "<f2"])
def test_every_real_dtype_byte_order_and_compression_is_read(dtype: str, compression: int, tmp_path: Path):
    x = np.asfortranarray(GOOD_X.astype(dtype))
    y = np.array([[1, 0], [0, 1]]).astype(dtype)
    problem = load_problem(archive(tmp_path / "task.npz", {"x.npy": npy(x), "y.npy": npy(y)}, compression))
    assert problem.x.dtype == problem.y.dtype == np.float64
    np.testing.assert_array_equal(problem.x[:, 0], GOOD_X)
    np.testing.assert_array_equal(problem.y, [[1, 0], [0, 1]])


# --- any bytes at all -----------------------------------------------------------------------------------------------


ARRAYS = hnp.arrays(
    dtype=hnp.scalar_dtypes() | hnp.floating_dtypes(),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
)


def refused(read: Callable[[], Any]) -> str:
    """The line with which `read` refuses, or nothing if it does not; any other error is an error."""
    with time_limit(10):
        try:
            read()
        except InputError as error:
            return str(error)
    return ""


def loads_or_refuses(path: Path) -> None:
    line = refused(lambda: load_problem(path))
    assert line == "" or (len(line.splitlines()) == 1 and "accepted:" in line)


def any_arrays(folder: Path, cases: int) -> None:
    @settings(max_examples=cases, deadline=None, derandomize=True, database=None)
    @given(st.dictionaries(st.sampled_from(["x", "y", "x_test", "y_test"]), ARRAYS, min_size=1))
    def one(arrays: dict[str, Any]) -> None:
        loads_or_refuses(archive(folder / "any.npz", {f"{name}.npy": npy(value) for name, value in arrays.items()}))

    one()


CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)


def damaged(content: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    changed = bytearray(content)
    for place, value in changes:
        changed[place % len(changed)] = value
    return bytes(changed[: max(0, len(changed) - cut)])


def any_damage(content: bytes, path: Path, read: Callable[[Path], None], cases: int) -> None:
    """`read` of a file with a few bytes changed and some cut off."""

    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(CHANGES, st.one_of(st.just(0), st.integers(0, 1500)))
    def one(changes: list[tuple[int, int]], cut: int) -> None:
        path.write_bytes(damaged(content, changes, cut))
        read(path)

    one()


def problem_bytes(folder: Path, compression: int) -> bytes:
    return archive(folder / "whole", {"x.npy": npy(GOOD_X), "y.npy": npy(GOOD_Y)}, compression).read_bytes()


PROBLEM = endpoint(3, 2.0)
SOLUTION = solve(PROBLEM)
SHORT = {"steps": 8, "warmup": 40, "chains": 1, "seed": 3}
PLAN = Plan(problem=PROBLEM, width=4, **SHORT)


@pytest.fixture(scope="module")
def saved_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    simulate(PROBLEM, 4, **SHORT, workers=1, checkpoint=folder)
    return checkpoint.chain_file(folder, 0)


def chain_loads_or_refuses(path: Path) -> None:
    line = refused(lambda: checkpoint.load(path, PLAN))
    assert line == "" or (len(line.splitlines()) == 1 and line.startswith("checkpoint: "))


def point_reads_or_is_missing(path: Path) -> None:
    with time_limit(10):
        result = sweeping._read(path)
    assert result is None or np.asarray(result["kernel"]).ndim == 2


def result_is_whole_or_refused(path: Path) -> None:
    """A solution is read to the bit or refused in one line."""
    line = ""
    with time_limit(10):
        try:
            found = load(path)
        except InputError as error:
            line = str(error)
        else:
            assert np.array_equal(found.kernel, SOLUTION.kernel)
            assert found.free_energy == SOLUTION.free_energy
    assert line == "" or (len(line.splitlines()) == 1 and "accepted:" in line)


def fuzz_all(folder: Path, chain: Path, cases: int) -> None:
    any_arrays(folder, cases)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        any_damage(problem_bytes(folder, compression), folder / "task.npz", loads_or_refuses, cases)
    any_damage(chain.read_bytes(), folder / "chain", chain_loads_or_refuses, cases)
    SOLUTION.save(folder / "solution.npz")
    any_damage((folder / "solution.npz").read_bytes(), folder / "result.npz", result_is_whole_or_refused, cases)
    sweeping._write(folder / "point.npz", sweeping.solved(PROBLEM))
    any_damage((folder / "point.npz").read_bytes(), folder / "damaged.npz", point_reads_or_is_missing, cases)


def test_damaged_files_are_read_right_or_refused(tmp_path: Path, saved_chain: Path):
    fuzz_all(tmp_path, saved_chain, 30)


@pytest.mark.slow
def test_many_damaged_files_are_read_right_or_refused(tmp_path: Path, saved_chain: Path):
    fuzz_all(tmp_path, saved_chain, 1250)


def test_a_changed_checkpoint_is_never_taken_for_whole(saved_chain: Path, tmp_path: Path):
    content = saved_chain.read_bytes()
    for place in range(0, len(content), 97):
        (tmp_path / "chain").write_bytes(damaged(content, [(place, content[place] ^ 1)], 0))
        with pytest.raises(InputError):
            checkpoint.load(tmp_path / "chain", PLAN)


def test_loading_in_a_fresh_process_needs_neither_pickle_nor_time(tmp_path: Path):
    path = archive(tmp_path / "task.npz", {"x.npy": header_only("(99999999999,)"), "y.npy": npy(GOOD_Y)})
    outcome = subprocess.run(
        [sys.executable, "-m", "derivations", "solve", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 2
    assert len(outcome.stderr.splitlines()) == 1
