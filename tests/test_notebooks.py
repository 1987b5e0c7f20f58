"""The notebooks of docs/notebooks run from their first cell to their last, and show what they draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from derivations.report.notebooks import NOTEBOOKS, main, scripts_in_order


def cells(notebook: Path) -> list[dict[str, Any]]:
    return list(json.loads(notebook.read_text(encoding="utf-8"))["cells"])


@pytest.mark.slow
def test_every_notebook_runs(tmp_path: Path):
    pytest.importorskip("nbclient")
    with pytest.raises(SystemExit) as stop:
        main(["--scripts", str(NOTEBOOKS), "--out", str(tmp_path)])
    assert stop.value.code == 0
    for script in scripts_in_order(NOTEBOOKS):
        page = (tmp_path / f"{script.stem}.html").read_text(encoding="utf-8")
        assert page.count("<img ") >= script.read_text(encoding="utf-8").count("plt.show()")
        outputs = [output for cell in cells(tmp_path / f"{script.stem}.ipynb") for output in cell.get("outputs", [])]
        assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []  # no warning


def test_there_is_one_for_each_need():
    topics = ("first_steps", "my_own_task", "phase_diagram", "time_series", "paper_figure")
    assert tuple(script.stem[3:] for script in scripts_in_order(NOTEBOOKS)) == topics
