"""Wrong keywords name the function that was called; help and completion see the right ones."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest

import unrolled
from numerics.errors import with_meant

PROBLEM = unrolled.endpoint(4, 1.0)
CALLS = {
    "solve": lambda **wrong: unrolled.solve(PROBLEM, **wrong),
    "solve_all": lambda **wrong: unrolled.solve_all(PROBLEM, **wrong),
    "simulate": lambda **wrong: unrolled.simulate(PROBLEM, 8, **wrong),
    "check": lambda **wrong: unrolled.check(PROBLEM, 8, **wrong),
    "endpoint": lambda **wrong: unrolled.endpoint(4, 1.0, **wrong),
    "sequence": lambda **wrong: unrolled.sequence(6, 1.0, 1.0, (1, 3), **wrong),
}
MEANT = {"solve": "tolerance", "solve_all": "engine", "simulate": "steps", "check": "seed", "endpoint": "kappa"}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_keyword_names_the_function_and_what_was_meant(name):
    meant = MEANT.get(name, "arch")
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected keyword argument '{meant}s'; did you mean"):
        CALLS[name](**{f"{meant}s": 1})
    with pytest.raises(TypeError, match=rf"^{name}\(\) .*; accepted: .*{meant}"):
        CALLS[name](zzzz=1)
    assert meant in inspect.signature(getattr(unrolled, name)).parameters


def test_a_problem_and_its_changes_name_the_field_that_was_meant():
    with pytest.raises(TypeError, match=r"^Problem\(\) got an unexpected keyword argument 'Y'; did you mean 'y'"):
        unrolled.Problem(np.eye(2), Y=np.eye(2))
    with pytest.raises(TypeError, match=r"^with_\(\) got an unexpected keyword argument 'kapa'; did you mean 'kappa'"):
        PROBLEM.with_(kapa=2.0)
    assert list(inspect.signature(unrolled.Problem).parameters)[:2] == ["x", "y"]
    assert pickle.loads(pickle.dumps(PROBLEM)) == PROBLEM


def test_a_near_word_is_offered():
    assert "did you mean solve?" in with_meant("COMMAND: is 'solv'; accepted: derive, solve, scan")
    assert "did you mean --signal?" in with_meant("--sgnal: is not an option of solve; accepted: --T, --signal")
    assert "did you mean relu?" in with_meant("activation: is 'rellu'; accepted: linear, erf, tanh or relu")
    for line in ("T: is 2; accepted: an integer ≥ 3", "PROBLEM: is 'xyz'; accepted: endpoint, sequence"):
        assert with_meant(line) == line


def test_python_s_refusals_offer_it_too_and_so_do_those_of_files(tmp_path):
    with pytest.raises(unrolled.InputError, match=r"^arch: is 'rn'; did you mean rnn\? accepted: rnn, "):
        unrolled.endpoint(4, 1.0, arch="rn")
    with pytest.raises(unrolled.InputError, match=r"^sampler: is 'hcm'; did you mean hmc\? "):
        unrolled.simulate(PROBLEM, 8, sampler="hcm")
    with pytest.raises(unrolled.InputError, match=r"^over: is \['sgnal'\]; did you mean signal\? "):
        unrolled.scan(PROBLEM, {"sgnal": [1.0]})
    with pytest.raises(unrolled.InputError, match=r"; sweep takes several$"):
        unrolled.scan(PROBLEM, {"signal": [1.0], "kappa": [1.0]})
    for wrong, meant in (("Y", "y"), ("xtest", "x_test")):
        np.savez(tmp_path / "task.npz", **{"x": np.eye(2), wrong: np.eye(2)})
        with pytest.raises(unrolled.InputError, match=rf"has an array '{wrong}'; did you mean {meant}\? "):
            unrolled.load_problem(tmp_path / "task.npz")
    (tmp_path / "task.json").write_text('{"problem": {"x": [[1]], "y": [[1]], "kapa": 2}}')
    with pytest.raises(unrolled.InputError, match=r"a field 'kapa'; did you mean kappa\? "):
        unrolled.load_problem(tmp_path / "task.json")


def test_a_refusal_survives_a_process():
    told = unrolled.InputError("arch: is 'rn'; accepted: rnn, dnn")
    assert str(pickle.loads(pickle.dumps(told))) == str(told) == "arch: is 'rn'; did you mean rnn? accepted: rnn, dnn"


@pytest.mark.parametrize(("given", "said"), [([], "is empty"), (3, "is of type int"), ([3], "is of type list")])
def test_what_cannot_be_drawn_is_told(given, said):
    with pytest.raises(unrolled.InputError, match=rf"^result: {said}; accepted: a result, .*list of states"):
        unrolled.plot(given)
