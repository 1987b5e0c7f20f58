"""The panels of states that learn and of the labels' kernel: what is drawn and written is what was found."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from derivations.figures import label_kernel, learning_transition
from derivations.figures.panel import Effort
from numerics import cka, solve
from numerics.checking import weights
from tests.continuation.scans import scan_endpoint

SMALL = {"width": 32, "steps": 12, "warmup": 40, "chains": 2}
EFFORT = Effort(quick=True, workers=1)


def quiet(what: str, done: float, total: float) -> None:
    assert 0 <= done <= total


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def small(monkeypatch):
    """Every simulation of a panel at `SMALL`, in this process."""

    def install(module):
        def run(jobs, network, workers, progress):
            return [network(dict(settings) | SMALL) for settings in jobs.values()]

        monkeypatch.setattr(module, "finished_runs", run)

    return install


@pytest.mark.parametrize("arch", [pytest.param("rnn", marks=pytest.mark.slow), "dnn"])
def test_both_minima_exist_between_the_folds_only(arch):
    scan = scan_endpoint(4, np.linspace(700.0, 1800.0, 45), 100.0, arch)
    equal = next(point.value for point in scan.special_points if point.type == "equal-free-energy")
    below, above = (learning_transition.minima(scan, equal * factor) for factor in (0.99, 1.01))
    assert set(below) == set(above) == {"unlearnt", "learnt"}
    assert below["unlearnt"].free_energy < below["learnt"].free_energy
    assert above["unlearnt"].free_energy > above["learnt"].free_energy
    assert set(learning_transition.minima(scan, 800.0)) == {"unlearnt"}
    assert set(learning_transition.minima(scan, 1700.0)) == {"learnt"}
    assert learning_transition.last_signal(scan, "unlearnt", 1700.0) < 1600


@pytest.mark.slow
def test_learning_transition(tmp_path, small, monkeypatch):
    small(learning_transition)
    monkeypatch.setattr(weights, "DRAWS", 5000)
    monkeypatch.setattr(weights, "DRAWS_OF_SEVERAL", 5000)
    signals = {"rnn": {"unlearnt": (800.0,), "learnt": (1400.0,)}, "dnn": {"unlearnt": (1650.0,), "learnt": (1400.0,)}}
    monkeypatch.setattr(learning_transition, "SIGNALS", signals)
    monkeypatch.setattr(learning_transition, "GRID", 45)
    record = learning_transition.make(tmp_path, EFFORT, quiet)
    assert record["agrees"] is False  # these networks are too few
    assert all(Path(name).is_file() for name in record["files"])
    found = rows(tmp_path / "learning-transition-simulation.csv")
    assert [(row["arch"], row["start"], row["ends"]) for row in found] == [
        ("rnn", "unlearnt", "unlearnt"),
        ("rnn", "learnt", "learnt"),
        ("dnn", "unlearnt", "learnt"),  # beyond the fold
        ("dnn", "learnt", "learnt"),
    ]
    for row in found:
        assert abs(float(row["theory_at_width"]) - float(row["theory"])) < 0.1


@pytest.mark.slow
def test_the_last_kernel_is_the_labels(tmp_path, small):
    small(label_kernel)
    record = label_kernel.make(tmp_path, EFFORT, quiet)
    assert all(Path(name).is_file() for name in record["files"])
    found = rows(tmp_path / "label-kernel.csv")
    assert len(found) == 2 * 36
    for arch in label_kernel.ARCHITECTURES:
        state = solve(label_kernel.problem(arch))
        last = state.kernel.reshape(3, 8, 3, 8)[2, :, 2]
        assert cka(last, label_kernel.label_kernel()) > 0.97
        own = [row for row in found if row["arch"] == arch]
        assert float(own[3]["theory"]) == pytest.approx(last[2, 0])
    assert 0.2 < cka(label_kernel.input_kernel(), label_kernel.label_kernel()) < 0.6
