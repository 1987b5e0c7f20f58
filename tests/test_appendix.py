"""Every literate derivation runs from its first cell to its last; its assertions are the proof that it gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "derivations" / "appendix").glob("[0-9]*.py"))
#: Derivations that take more than a few seconds run with the slow tests.
QUICK = ("02",)


def test_there_are_derivations():
    assert SCRIPTS


@pytest.mark.parametrize(
    "script",
    [pytest.param(path, marks=() if path.name.startswith(QUICK) else pytest.mark.slow) for path in SCRIPTS],
    ids=lambda path: path.stem,
)
def test_derivation_runs_and_prints_its_results(script: Path):
    result = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=ROOT,
        # one BLAS thread, as in tests/conftest.py
        env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.strip()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_derivation_opens_as_a_notebook(script: Path):
    jupytext = pytest.importorskip("jupytext")
    notebook = jupytext.read(script)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds.count("markdown") >= 3
    assert kinds.count("code") >= 3
    assert notebook.metadata["kernelspec"]["name"] == "python3"
