"""A sweep that is killed keeps what it has finished; a Dask cluster serves as its executor."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from numerics import solve
from numerics import sweeping as module
from numerics.inputs.problem import endpoint
from numerics.sweeping import sweep

xarray = pytest.importorskip("xarray")
MAKE = functools.partial(endpoint, 5)
AXES = {"signal": [2.0 + 0.5 * k for k in range(40)]}
PROGRAM = """
import functools, sys
from concurrent.futures import ThreadPoolExecutor
from numerics.inputs.problem import endpoint
from numerics.sweeping import sweep
with ThreadPoolExecutor(1) as pool:
    sweep(functools.partial(endpoint, 5), {"signal": [2.0 + 0.5 * k for k in range(40)]}, sys.argv[1], pool)
"""


@pytest.mark.slow
def test_a_killed_sweep_loses_nothing_that_was_finished(tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("[!.]*.npz"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("[!.]*.npz")}
    assert 5 <= len(kept) < 40
    calls = []

    def counted(problem):
        calls.append(problem)
        return original(problem)

    original = module.solved
    monkeypatch.setattr(module, "solved", counted)
    with ThreadPoolExecutor(1) as pool:
        result = sweep(MAKE, AXES, tmp_path, pool)
    assert len(calls) == 40 - len(kept)
    assert all((tmp_path / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert result.converged.all()
    assert float(result.free_energy[7]) == solve(MAKE(AXES["signal"][7])).free_energy


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own, at start and end of its processes
def test_a_dask_cluster_is_an_executor(tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        result = sweep(
            MAKE, {"signal": [4.0, 20.0], "arch": ["rnn", "dnn"]}, tmp_path, client.get_executor()
        ).to_xarray()
    assert float(result.free_energy.sel(signal=20.0, arch="rnn")) == pytest.approx(
        solve(MAKE(20.0)).free_energy, rel=1e-13
    )
    assert len(list(tmp_path.glob("[!.]*.npz"))) == 4
