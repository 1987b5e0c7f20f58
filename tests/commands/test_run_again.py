"""What a command printed with --json is enough to run it again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.problem_file import load_problem
from numerics.inputs.problem_record import problem_of, problem_record
from numerics.inputs.teachers import sequence
from tests.commands.test_program import run

NAN = np.nan
PROBLEMS = {
    "endpoint": endpoint(4, 1 / 3, w=0.7, kappa=0.1),
    "sequence": sequence(6, 1.2566, 3.0, (1, 3), arch="dnn", activation="erf"),
    "several outputs": Problem(np.eye(2), np.array([[[NAN, 1.0]], [[0.1, NAN]]]), skip=0.5, bias=0.1),
    "a matrix": Problem(np.ones((1, 1)), [[NAN, NAN, 2.0]], arch=[[1.0, 0.3], [0.3, 2.0]]),
    "test patterns": Problem(np.eye(2), np.array([[1.0], [2.0]]), x_test=np.ones((3, 2)), y_test=np.ones((3, 1))),
    "looped": endpoint(6, 2.0, arch="looped:2"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_comes_back_bit_for_bit(name, tmp_path):
    problem = PROBLEMS[name]
    record = json.loads(json.dumps(problem_record(problem), allow_nan=False))
    assert problem_of(record, "here") == problem
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"problem": record}))
    assert load_problem(file) == problem
    assert load_problem(file, kappa=3.0) == problem.with_(kappa=3.0)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "is no JSON"),
        ("[]", "has no problem"),
        ('{"problem": 3}', "has no problem"),
        ('{"problem": {"x": [[1]]}}', "has no y"),
        ('{"problem": {"x": [[1]], "y": [["a"]]}}', "y is no array of numbers"),
        ('{"problem": {"x": [[1]], "y": [[1], [1, 2]]}}', "y is no array of numbers"),
        ('{"problem": {"x": [[1]], "y": [[1]], "z": 1}}', "has a field 'z'"),
        ('{"problem": {"x": [[1]], "y": [[1]], "kappa": "much"}}', "kappa"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(text, wrong, tmp_path):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(InputError, match=wrong) as caught:
        load_problem(file)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(InputError, match="cannot be read"):
        load_problem(tmp_path / "b.json")
    with pytest.raises(InputError, match="no regular file"):
        load_problem(_pipe(tmp_path))


def _pipe(folder: Path) -> Path:
    pipe = folder / "pipe.json"
    os.mkfifo(pipe)
    return pipe


SHORT = ("--width", "8", "--chains", "2", "--steps", "30", "--workers", "1", "--seed", "3")


@pytest.mark.parametrize(
    "words",
    [
        ("solve", "endpoint", "--T", "4", "--signal", "20", "--w", "0.3", "--all-branches"),
        pytest.param(
            ("scan", "endpoint", "--T", "4", "--over", "kappa=0.5:2:3", "--signal", "3"), marks=pytest.mark.slow
        ),
        pytest.param(("simulate", "endpoint", "--T", "4", "--signal", "20", *SHORT), marks=pytest.mark.slow),
    ],
)
def test_a_command_runs_again_from_its_json(words, tmp_path):
    first = run(*words, "--json")
    fields = json.loads(first.stdout)
    assert {"problem", "settings", "version"} <= set(fields)
    file = tmp_path / "run.json"
    file.write_text(first.stdout)
    for again in (("--problem", str(file)), (str(file),)):
        second = run(words[0], *again, "--json")
        assert second.returncode == first.returncode, second.stderr
        other = json.loads(second.stdout)
        assert {**other, "seconds": 0} == {**fields, "seconds": 0}
        if words[0] != "solve":
            break


def test_an_option_overrides_the_file(tmp_path):
    file = tmp_path / "run.json"
    file.write_text(run("solve", "endpoint", "--T", "4", "--signal", "1", "--w", "0.5", "--json").stdout)
    changed = json.loads(run("solve", str(file), "--kappa", "4", "--arch", "dnn", "--json").stdout)["problem"]
    assert (changed["kappa"], changed["arch"], changed["w"]) == (4.0, "dnn", 0.5)
    twice = run("solve", "endpoint", "--problem", str(file))
    assert twice.returncode == 2
    assert "given twice" in twice.stderr


def test_simulate_warns_and_ends_with_status_1_where_chains_have_not_mixed():
    result = run("simulate", "endpoint", "--T", "4", "--signal", "20", *SHORT, "--json")
    fields = json.loads(result.stdout)
    assert result.returncode == 1
    assert result.stderr.count("warning:") == len(fields["warnings"]) >= 1
    assert (fields["width"], fields["seed"], fields["chains"], fields["draws"]) == (8, 3, 2, 30)
    assert len(fields["positive_share"]) == 2
    assert {"sign_fixed", "binder_cumulant", "prediction_standard_error"} <= set(fields)
