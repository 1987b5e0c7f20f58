"""Runs that are interrupted, killed, or lose a process: nothing finished is lost, no number changes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.sampling import Simulation, simulate

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"chains": 2, "warmup": 40, "seed": 5}
#: Steps that take each sampler some seconds.
STEPS = {"collapsed": 500, "hmc-weights": 500, "sgld": 3500}

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
