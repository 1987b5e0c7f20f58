"""What a public function is about is told in one line where it is something else; completion shows what there is."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import unrolled
from numerics.inputs.problem import Problem
from unrolled import InputError, endpoint, simulate, solve

PROBLEM = endpoint(T=3, signal=2.0)
STATE = solve(PROBLEM)
#: What the gate sees, before anything else is asked of the arguments.
OF_PROBLEM = {
    "solve": (), "solve_all": (), "state_near": (np.eye(2),), "simulate": (8,), "check": (8,), "prior_kernel": (),
    "critical_signal": (1.0, 2.0), "scan": ({"signal": [1.0, 2.0]},),
}  # fmt: skip
OF_STATE = {
    "predict": (), "compare": (3,), "certify": (), "outliers": (), "singular_outliers": (), "kernel_sd": (8,),
    "kernel_shift": (), "kernel_digits": (10,),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_PROBLEM)
def test_something_that_is_no_problem_is_told(name):
    for wrong in (3, STATE, endpoint):
        with pytest.raises(
            InputError, match=rf"^problem: is of type {type(wrong).__name__}; accepted: a Problem, such"
        ):
            getattr(unrolled, name)(wrong, *OF_PROBLEM[name])


@pytest.mark.parametrize("name", OF_STATE)
def test_a_problem_is_no_state(name):
    with pytest.raises(InputError, match=r"^(solution|state): is of type Problem; accepted: a state, such as solve"):
        getattr(unrolled, name)(PROBLEM, *OF_STATE[name])


def test_every_public_function_of_a_problem_or_a_state_is_gated():
    """By its first parameter's annotation, so that a new one is seen."""
    of_problem, of_state = set(), set()
    for name in unrolled.__all__:
        function = getattr(unrolled, name)
        if inspect.isfunction(function):
            first = next(iter(inspect.signature(function).parameters.values()), None)
            if first is not None and first.annotation in ("Problem", Problem):
                of_problem.add(name)
            if first is not None and str(first.annotation) == "Solution":
                of_state.add(name)
    assert of_problem == set(OF_PROBLEM)
    assert of_state == set(OF_STATE)


def test_a_state_is_no_simulation_and_a_problem_makes_none(tmp_path):
    with pytest.raises(InputError, match="simulation: is of type LinearSolution; accepted: a simulation"):
        unrolled.compare(STATE, STATE)
    with pytest.raises(InputError, match="problem_of: is of type Problem; accepted: a function of the axes' values"):
        unrolled.sweep(PROBLEM, {"signal": [1.0]}, tmp_path)


@pytest.mark.parametrize("name", [*OF_PROBLEM, *OF_STATE])
def test_a_keyword_that_is_none_names_the_function_and_what_was_meant(name):
    near = list(inspect.signature(getattr(unrolled, name)).parameters)[-1]
    with pytest.raises(
        TypeError, match=rf"^{name}\(\) got an unexpected keyword argument '{near}s'; did you mean '{near}'"
    ):
        getattr(unrolled, name)(**{near + "s": 1})


def test_completion_shows_the_tasks_alone():
    shown = [name for name in dir(unrolled.tasks) if not name.startswith("_")]
    assert {"delayed_xor", "flip_flop", "from_data"} <= set(shown)
    assert all(getattr(unrolled.tasks, name).__module__.startswith("numerics.") for name in shown)
    made = [f for f in vars(unrolled.tasks).values() if inspect.isfunction(f) and f.__module__ == "numerics.tasks"]
    assert {f.__name__ for f in made if not f.__name__.startswith("_")} <= set(shown)


def test_a_landscape_needs_no_grid():
    found = unrolled.landscape(4, 20.0)
    assert found.correlation[np.nanargmin(found.free_energy)] == pytest.approx(0.597, abs=0.03) or (
        found.correlation[np.nanargmin(found.free_energy)] == pytest.approx(-0.597, abs=0.03)
    )


def test_both_signs_of_a_coherent_network_ask_for_one_and_not_for_more_steps():
    sampled = simulate(endpoint(T=4, signal=60.0), 64, chains=2, steps=8, warmup=40, seed=1, workers=1)
    signs = np.array([1.0, -1.0])[:, None, None, None] * np.sign(sampled.kernels[..., 1:2, 2:3])
    flip = np.array([1.0, -1.0, 1.0])
    both = sampled.__class__(**{
        name: getattr(sampled, name) for name in sampled.__dataclass_fields__ if name != "kernels"
    }, kernels=np.where(signs < 0, flip[:, None] * sampled.kernels * flip, sampled.kernels))  # fmt: skip
    assert set(np.unique(both.basins)) == {-1.0, 1.0}
    assert both.warnings == both.one_sign().warnings
    both = both.both_signs()
    assert " ".join(both.warnings).count("one_sign() has those of one") == 1
    assert both.title().endswith("both signs")
    assert not both.one_sign().title().endswith("both signs")
    assert " ".join(both.one_sign().warnings).count("more steps are needed") == 1


@pytest.mark.usefixtures("few_draws")
def test_predictions_and_comparisons_tell_what_they_do():
    problem, told = endpoint(T=4, signal=2.0), []
    state, sampled = solve(problem), simulate(problem, 64, chains=2, steps=8, warmup=40, seed=1, workers=1)
    unrolled.compare(state, sampled, progress=lambda what, done, total: told.append(what))
    unrolled.predict(state, width=64, progress=lambda what, done, total: told.append(what))
    assert told == ["comparing", "fluctuations at N = 64"]
