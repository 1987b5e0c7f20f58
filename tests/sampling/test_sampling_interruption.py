"""Runs and ensembles that are interrupted, killed, or lose a process: nothing finished is lost, no number changes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.sampling import Simulation, ensemble, simulate

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"chains": 2, "warmup": 40, "seed": 5}
#: Steps that take each sampler some seconds.
STEPS = {"collapsed": 500, "hmc-weights": 500, "sgld": 3500}
RUNS = [{"problem": endpoint(4, 20.0), "width": width, "steps": 200, **OPTIONS} for width in (10, 12, 14, 16)]

SINGLE = textwrap.dedent(
    """
    import signal
    import sys
    from numerics.inputs.problem import endpoint
    from numerics.sampling import simulate

    if __name__ == "__main__":
        # a shell that runs the tests in the background has its children ignore interrupts
        signal.signal(signal.SIGINT, signal.default_int_handler)
        module = sys.modules[simulate.__module__]
        module._SEGMENT_SECONDS, module._SAVE_SECONDS = 0.05, 0.0
        simulate(endpoint(4, 20.0), 12, sys.argv[3], chains=2, steps=int(sys.argv[4]), warmup=40, seed=5,
                 workers=int(sys.argv[2]), checkpoint=sys.argv[1], progress=lambda *now: print(now[1], flush=True))
    """
)
MANY = textwrap.dedent(
    """
    import sys
    from concurrent.futures import ProcessPoolExecutor
    from numerics.sampling import ensemble
    from tests.sampling.test_sampling_interruption import RUNS, impatient

    if __name__ == "__main__":
        print("begins", flush=True)
        with ProcessPoolExecutor(int(sys.argv[2]), initializer=impatient) as pool:
            for index, _ in ensemble(RUNS, pool, sys.argv[1]):
                print(index, flush=True)
    """
)


def impatient() -> None:
    """Save the chains of this process all the time."""
    module = sys.modules[simulate.__module__]
    module._SEGMENT_SECONDS, module._SAVE_SECONDS = 0.05, 0.0


def begin(script: str, folder: Path, *arguments: object) -> subprocess.Popen:
    """The script in a process group of its own, after its first line of output."""
    path = folder.parent / "script.py"
    path.write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(path), str(folder), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert process.stdout.readline()
    return process


def kill(process: subprocess.Popen) -> int | None:
    """Kill -9 the whole group; its exit code if it had come to its end before."""
    ended = process.poll()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return ended


def same(first: Simulation, second: Simulation) -> bool:
    return np.array_equal(first.kernels, second.kernels) and np.array_equal(first.outputs, second.outputs)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "workers"), [("collapsed", 2), ("hmc-weights", 1), ("sgld", 2)])
def test_a_run_killed_at_random_times_goes_on_to_the_same_numbers(sampler, workers, tmp_path):
    rng = np.random.default_rng(len(sampler))
    directory = tmp_path / "chains"
    for _ in range(3):
        process = begin(SINGLE, directory, workers, sampler, STEPS[sampler])
        time.sleep(rng.uniform(0, 0.6))
        assert kill(process) is None  # not yet at its end
    options = OPTIONS | {"steps": STEPS[sampler], "workers": 1}
    resumed = simulate(endpoint(4, 20.0), 12, sampler, checkpoint=directory, **options)
    assert same(resumed, simulate(endpoint(4, 20.0), 12, sampler, **options))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_checkpoint(workers, tmp_path):
    directory = tmp_path / "chains"
    process = begin(SINGLE, directory, workers, "collapsed", STEPS["collapsed"])
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert len(list(directory.glob("*.checkpoint"))) == 2
    options = OPTIONS | {"steps": STEPS["collapsed"], "workers": 1}
    simulate(endpoint(4, 20.0), 12, "collapsed", checkpoint=directory, **options)


def collect(executor: Executor, folder: Path) -> dict[int, Simulation]:
    return dict(ensemble(RUNS, executor, folder))


@pytest.fixture(scope="module")
def undisturbed() -> dict[int, Simulation]:
    return {index: simulate(**run, workers=1) for index, run in enumerate(RUNS)}


@pytest.mark.slow
def test_an_ensemble_killed_at_random_times_goes_on_to_the_same_numbers(tmp_path, undisturbed):
    rng = np.random.default_rng(7)
    directory = tmp_path / "runs"
    for _ in range(4):
        process = begin(MANY, directory, 2)
        time.sleep(rng.uniform(0.2, 1.0))
        kill(process)
    assert len(list(directory.glob("run-*/*.checkpoint"))) > 0
    with ThreadPoolExecutor(1) as pool:
        resumed = collect(pool, directory)
    assert all(same(resumed[index], run) for index, run in undisturbed.items())


@pytest.mark.slow
def test_a_lost_worker_loses_no_finished_run(tmp_path, undisturbed):
    seen = {}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=impatient) as pool:
        (worker,) = list_workers(pool)

        def collect_two() -> None:
            for index, run in ensemble(RUNS, pool, tmp_path):
                seen[index] = run
                if len(seen) == 2:
                    os.kill(worker, signal.SIGKILL)

        with pytest.raises(BrokenProcessPool):
            collect_two()
    assert 2 <= len(seen) < 4
    with ThreadPoolExecutor(1) as again:
        resumed = collect(again, tmp_path)
    assert all(same(resumed[index], run) for index, run in undisturbed.items())
    for index, run in seen.items():
        assert resumed[index].seconds < 0.5 * run.seconds  # read back, not run again


def list_workers(pool: ProcessPoolExecutor) -> list[int]:
    """Process ids of a pool whose workers have begun."""
    pool.submit(os.getpid).result()
    return list(pool._processes)


def test_an_ensemble_ends_the_runs_that_can_be_run_before_it_raises(tmp_path):
    runs = [dict(run, steps=30) for run in RUNS[:2]]
    seen = {}
    with ThreadPoolExecutor(1) as pool:
        results = ensemble([{**runs[0], "width": 0}, *runs], pool, tmp_path)
        with pytest.raises(InputError, match="width: is 0"):
            seen.update(results)
        assert set(seen) == {1, 2}


@pytest.mark.slow
def test_a_chain_whose_process_dies_goes_on_in_another(tmp_path):
    killed = []

    def murder(what: str, done: float, total: float) -> None:
        if not killed and done > total // 3:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    options = OPTIONS | {"steps": 700}
    run = simulate(endpoint(4, 20.0), 12, workers=2, progress=murder, **options)
    assert killed
    assert same(run, simulate(endpoint(4, 20.0), 12, workers=1, **options))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask's own, at start and end of its processes
def test_a_dask_cluster_runs_an_ensemble_and_survives_a_lost_worker(tmp_path, undisturbed):
    distributed = pytest.importorskip("distributed")
    seen = {}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        (worker,) = client.run(os.getpid).values()
        for index, run in ensemble(RUNS, client.get_executor(), tmp_path):
            seen[index] = run
            if len(seen) == 1:
                os.kill(worker, signal.SIGKILL)  # Dask begins another, and runs what was lost again
    assert all(same(seen[index], run) for index, run in undisturbed.items())
