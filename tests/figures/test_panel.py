"""A finished run is read back only when it is whole and was made with the same settings."""

from __future__ import annotations

import pytest

from derivations.figures.panel import finished_run, finished_runs


def test_a_finished_run_is_made_once(tmp_path):
    made = []

    def run():
        made.append(1)
        return {"mean": 0.1 + 0.2, "draws": (1, 2), "by width": {32: 1.0, 128: 2.0}}

    path = tmp_path / "run.json"
    first = finished_run(path, {"width": 32}, run)
    assert finished_run(path, {"width": 32}, run)["mean"] == first["mean"]
    assert len(made) == 1
    finished_run(path, {"width": 64}, run)
    assert len(made) == 2


def test_one_changed_digit_is_noticed(tmp_path):
    path = tmp_path / "run.json"
    finished_run(path, {"width": 32}, lambda: {"mean": 1.25})
    path.write_text(path.read_text().replace("1.25", "1.26"))
    assert finished_run(path, {"width": 32}, lambda: {"mean": 1.25}) == {"mean": 1.25}
    assert "1.26" not in path.read_text()


def double(settings):
    return {"twice": 2 * settings["width"]}


@pytest.mark.parametrize("workers", [1, 2])
def test_runs_side_by_side_keep_their_order_and_are_made_once(tmp_path, workers):
    jobs = {tmp_path / f"{width}.json": {"width": width} for width in (3, 1, 2)}
    seen = []
    results = finished_runs(jobs, double, workers, lambda what, done, total: seen.append((done, total)))
    assert [result["twice"] for result in results] == [6, 2, 4]
    assert seen[-1] == ((3, 3) if workers > 1 else (2, 3))
    assert finished_runs(jobs, lambda settings: pytest.fail("made again"), 1, lambda what, done, total: None) == results
