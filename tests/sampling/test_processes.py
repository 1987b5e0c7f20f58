"""Simulations started from scripts, notebooks and worker processes, each a real process of its own."""

import json
import subprocess
import sys
import textwrap
import threading
from functools import cache
from multiprocessing import spawn
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from numerics import endpoint, processes
from numerics.sampling import simulate

ROOT = Path(__file__).parents[2]
OPTIONS = "width=12, steps=8, warmup=40, chains=2, seed=1"
HEAD = f"""
import json
import numpy as np
from numerics import endpoint, simulate
def show(simulation):
    print(json.dumps(simulation.kernel_mean.ravel().tolist()))
def run(phi, **options):
    return simulate(endpoint(4, 2.0, activation=phi), {OPTIONS}, **options)
"""


def script(folder: Path, body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(HEAD + textwrap.dedent(body))
    command, env = [sys.executable, str(path)], {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, check=False)


@cache
def here(phi=np.sin) -> list[float]:
    options = {"width": 12, "steps": 8, "warmup": 40, "chains": 2, "seed": 1, "workers": 1}
    return simulate(endpoint(4, 2.0, activation=phi), **options).kernel_mean.ravel().tolist()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("show(run(np.sin, workers=2))", id="no guard", marks=pytest.mark.slow),
        pytest.param("show(run(lambda h: np.sin(h), workers=2))", id="lambda"),
        pytest.param(
            """
            from helper import scale
            def mine(h):
                return scale * np.sin(h)
            show(run(mine, workers=2))
            """,
            id="function of the script",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            """
            from helper import mine
            show(run(mine, workers=2))
            """,
            id="function of a module",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_scripts(tmp_path, body):
    (tmp_path / "helper.py").write_text("import numpy as np\nscale = 1.0\ndef mine(h):\n    return np.sin(h)\n")
    done = script(tmp_path, body)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == here()  # once: workers do not run the script


@pytest.mark.slow
def test_a_notebook(tmp_path):
    cells = [
        HEAD,
        "def mine(h):\n    return np.sin(h)",
        "show(run(mine, workers=2))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    assert json.loads(notebook.cells[-1].outputs[0].text) == here()


DAEMON = """
    from multiprocessing import get_context
    def work(options):
        return run(np.sin, **options).kernel_mean.ravel().tolist()
    if __name__ == "__main__":
        with get_context("fork").Pool(1) as pool:
            print(json.dumps(pool.map(work, [OPTIONS])[0]))
"""


@pytest.mark.slow
def test_inside_a_daemonic_worker(tmp_path):
    quiet = script(tmp_path, DAEMON.replace("OPTIONS", "{}"))
    assert quiet.stderr == ""
    assert json.loads(quiet.stdout) == here()
    asked = script(tmp_path, DAEMON.replace("OPTIONS", "{'workers': 2}"))
    assert json.loads(asked.stdout) == here()
    assert "simulate: the chains run one after another in this process, as a daemonic worker process" in asked.stderr


THREADS = """
    from numerics import processes
    from threadpoolctl import threadpool_info
    with processes.pool(1) as pool:
        seen = pool.submit(threadpool_info).result()
    print(json.dumps([part["num_threads"] for part in seen if part["user_api"] == "blas"]))
"""


def test_a_worker_has_one_blas_thread_before_its_first_task(tmp_path):
    """The library must be loaded when the limit is put on it: else eight times the CPU time, for small matrices."""
    done = script(tmp_path, THREADS, OPENBLAS_NUM_THREADS="2")
    counts = json.loads(done.stdout)
    assert counts, "a worker has loaded no BLAS"
    assert set(counts) == {1}


@pytest.mark.parametrize("has_parent", [True, False])
def test_a_worker_ends_with_its_parent(monkeypatch, has_parent):
    seen = []
    parent = SimpleNamespace(join=lambda: seen.append("joined"))
    monkeypatch.setattr(processes, "parent_process", lambda: parent if has_parent else None)
    monkeypatch.setattr(processes.os, "_exit", seen.append)
    processes._end_with_parent()
    assert seen == (["joined", 1] if has_parent else [])


def test_a_worker_is_told_of_no_main_module_by_the_thread_that_starts_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=None, __file__="script.py"))
    whole = spawn.get_preparation_data("worker")
    told = []
    with processes._without_main():
        mine = spawn.get_preparation_data("worker")
        other = threading.Thread(target=lambda: told.append(spawn.get_preparation_data("worker")))
        other.start()
        other.join()
    assert any(key.startswith("init_main") for key in whole)
    assert mine.keys() == {key for key in whole if not key.startswith("init_main")}
    assert told[0].keys() == whole.keys()
    assert spawn.get_preparation_data("worker").keys() == whole.keys()


def test_what_cannot_be_sent_runs_here():
    class Locked:
        def __init__(self):
            self.generator = (number for number in ())  # cannot be pickled by anybody

        def __call__(self, h):
            return np.sin(h)

    options = {"width": 12, "steps": 8, "warmup": 40, "chains": 2, "seed": 1, "workers": 2}
    with pytest.warns(UserWarning, match="in this process, as the activation custom cannot be sent to others"):
        sampled = simulate(endpoint(4, 2.0, activation=Locked()), **options)
    assert sampled.kernel_mean.ravel().tolist() == here()


def test_a_function_that_workers_cannot_import_is_one_line(tmp_path):
    body = """
        import sys, types
        module = types.ModuleType("made_up")
        exec("import numpy as np\\ndef mine(h):\\n    return np.sin(h)", module.__dict__)
        sys.modules["made_up"] = module
        sys.modules["made_up"].__spec__ = sys.__spec__
        from numerics.errors import InputError
        try:
            run(module.mine, workers=2)
        except InputError as error:
            print(error)
    """
    done = script(tmp_path, body)
    assert done.stdout.startswith(
        "activation: cannot be used in a worker process (No module named 'made_up'); accepted: "
    )
    assert done.stderr == ""
