"""Full and read-only disks, kills at any moment, two writers in one folder: files are whole or absent, and told of."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from numerics import files, sweeping
from numerics.errors import InputError
from numerics.files import whole_file, write_text
from numerics.inputs.problem import endpoint
from numerics.sampling import checkpoint, simulate
from tests.hardening.program import PROGRAM, check_contract, run, strict_json

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")
#: Most bytes of a file, for a process on a disk that is as good as full.
FULL = 2000


def started(*arguments: str, full: bool = False, **options: object) -> subprocess.Popen[str]:
    """The program in a process of its own."""

    def limit() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails with EFBIG, as one does with ENOSPC
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))

    pipes: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if full:  # Python itself would keep half a compiled module
        pipes["env"] = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*PROGRAM, *arguments], preexec_fn=limit if full else None, **(pipes | options)
    )


def no_file_is_half_written(folder: Path) -> None:
    """Every visible file is whole, by its format's own marks; beside it only locks and hidden temporaries."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.name.startswith(".") or path.suffix in (".lock", ".part"):
            continue
        content = path.read_bytes()
        if path.suffix == ".png":
            assert content.endswith(b"IEND\xaeB`\x82"), path
        elif path.suffix == ".pdf":
            assert content.rstrip().endswith(b"%%EOF"), path
        elif path.suffix == ".svg":
            assert content.rstrip().endswith(b"</svg>"), path
        elif path.suffix == ".csv":
            assert content.endswith(b"\n"), path
        elif path.suffix == ".npz":
            with np.load(path) as archive:
                assert archive.files
        elif path.suffix == ".json":
            strict_json(content.decode())
        elif path.suffix == ".checkpoint":
            assert content.startswith(b"unrolled chain"), path
        else:
            raise AssertionError(f"unknown file {path}")


# --- a folder that cannot be written ---------------------------------------------------------------------------------

SCAN = ("scan", "endpoint", "--T", "3", "--signal", "1:5:3")
SIMULATE = ("simulate", "endpoint", "--T", "3", "--signal", "2", "--width", "4", "--chains", "1", "--steps", "2000")
SWEEP = ("sweep", "endpoint", "--T", "6", "--over", "signal=1:2:2", "--directory")


def unwritable(tmp_path: Path) -> list[Path]:
    """Places where nothing can be written, root or not."""
    (tmp_path / "file").write_text("in the way")
    places = [tmp_path / "file" / "deeper"]
    if sys.platform == "linux":
        places.append(Path("/proc/no-such-folder"))
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        places.append(tmp_path / "locked" / "inside")
    return places


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0])
def test_files_have_the_permissions_that_open_gives(mask: int, tmp_path: Path):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "ours", "text")
        (tmp_path / "plain").write_text("text")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path):
    for place in unwritable(tmp_path):
        for arguments in (
            [*SCAN, "--out", str(place / "x.png")],
            [*SIMULATE, "--workers", "1", "--checkpoint", str(place)],
            ["reproduce", "propagator-paths", "--out", str(place)],
        ):
            outcome = run(arguments)
            assert outcome.status == 2, (arguments, outcome)
            check_contract(outcome, arguments)
            assert str(place).split("/")[1] in outcome.stderr


@posix
@pytest.mark.parametrize(
    "words",
    [
        [*SIMULATE, "--workers", "1", "--checkpoint", "chains"],
        pytest.param([*SCAN, "--out", "x.png"], marks=pytest.mark.slow),
        pytest.param(["reproduce", "propagator-paths", "--out", "panel"], marks=pytest.mark.slow),
        pytest.param([*SWEEP, "chains"], marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_no_half_file(words: list[str], tmp_path: Path):
    arguments = [*words[:-1], str(tmp_path / words[-1])]
    process = started(*arguments, full=True)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode in (1, 2), stderr
    assert "Traceback" not in stderr
    assert len(stderr.splitlines()) == 1, stderr
    assert "File too large" in stderr
    no_file_is_half_written(tmp_path)
    assert not list(tmp_path.rglob("*.png")) + list(tmp_path.rglob("*.checkpoint"))
    assert not list(tmp_path.rglob("*.part")), "a failed write leaves no temporary"


@posix
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        process = started("derive", "free-energy", stdout=full)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode in (1, 2)
    assert "No space left on device" in stderr
    assert len(stderr.splitlines()) == 1


# --- kills -----------------------------------------------------------------------------------------------------------


def killed_while_writing(path: Path, ready: object) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("half of i")
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


@posix
def test_a_writer_killed_midway_leaves_the_old_file_and_its_litter_goes_with_the_next(tmp_path: Path, monkeypatch):
    path = tmp_path / "table.csv"
    write_text(path, "old\n")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=killed_while_writing, args=(path, ready))
    process.start()
    assert ready.wait(60)
    monkeypatch.setattr(files, "_SURELY_LOCKED", -1.0)
    write_text(path, "newer\n")
    assert len(list(tmp_path.iterdir())) == 2, "a living writer's temporary stays"
    process.kill()
    process.join()
    assert path.read_text() == "newer\n"
    write_text(path, "newest\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def when_killed(arguments: list[str], folder: Path, moments: list[float]) -> None:
    """Kill the program (and its workers, a group of their own) after each of some times; its folder stays sound."""
    for moment in moments:
        process = started(*arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        no_file_is_half_written(folder)


@posix
@pytest.mark.slow
def test_killing_every_writing_command_leaves_whole_files(tmp_path: Path):
    moments = [0.6, 1.0, 1.4, 1.8]
    for arguments in (
        [*SCAN, "--out", str(tmp_path / "x.svg")],
        ["reproduce", "propagator-paths", "--out", str(tmp_path / "panel")],
        [*SIMULATE, "--workers", "1", "--checkpoint", str(tmp_path / "chains")],
        [*SWEEP, str(tmp_path / "points")],
    ):
        when_killed(arguments, tmp_path, moments)
        outcome = run(arguments, seconds=60)
        assert outcome.status == 0, outcome.stderr
        no_file_is_half_written(tmp_path)
    assert (tmp_path / "x.svg").exists()
    assert (tmp_path / "panel" / "propagator-paths.png").exists()


@posix
@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path):
    process = started(
        "simulate", "endpoint", "--T", "4", "--signal", "20", "--width", "32", "--chains", "2", "--workers", "2",
        "--steps", "1000000", "--checkpoint", str(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*.checkpoint")) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert list(tmp_path.glob("*.checkpoint"))
        process.kill()
        process.wait()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.2)
        raise AssertionError("workers outlive their parent")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    no_file_is_half_written(tmp_path)


# --- two writers -----------------------------------------------------------------------------------------------------


def test_a_second_run_in_a_checkpoint_directory_is_refused_while_the_first_runs(tmp_path: Path):
    pytest.importorskip("fcntl")
    options = {"chains": 1, "steps": 8, "warmup": 40, "workers": 1, "checkpoint": tmp_path}
    with checkpoint.only_run(tmp_path), pytest.raises(InputError, match=r"checkpoint: .* is in use by another run"):
        simulate(endpoint(3, 2.0), 4, **options)
    simulate(endpoint(3, 2.0), 4, **options)


def test_writers_of_one_file_leave_one_of_their_files(tmp_path: Path):
    path = tmp_path / "shared.txt"
    texts = [f"{k}" * 20_000 for k in range(4)]

    def write(text: str) -> None:
        for _ in range(20):
            write_text(path, text)
            assert path.read_text() in texts

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert [entry.name for entry in tmp_path.iterdir()] == ["shared.txt"]


def test_two_sweeps_into_one_folder_lose_nothing(tmp_path: Path):
    point = sweeping.solved(endpoint(3, 2.0))
    path = tmp_path / "point.npz"
    threads = [threading.Thread(target=lambda: [sweeping._write(path, point) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sweeping._read(path)
    assert found is not None
    np.testing.assert_array_equal(found["kernel"], point["kernel"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["point.npz"]


@posix
@pytest.mark.slow
def test_two_processes_reproduce_into_one_folder(tmp_path: Path):
    both = [started("reproduce", "propagator-paths", "--out", str(tmp_path)) for _ in range(2)]
    for process in both:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    no_file_is_half_written(tmp_path)
    assert not list(tmp_path.glob(".propagator-paths-*"))
