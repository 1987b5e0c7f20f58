"""Wrong keywords name the function that was called; help and completion see the right ones."""

from __future__ import annotations

import inspect

import pytest

import unrolled
from derivations.commands.failure import with_meant

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


def test_a_near_word_is_offered():
    assert "did you mean solve?" in with_meant("COMMAND: is 'solv'; accepted: derive, solve, scan")
    assert "did you mean --signal?" in with_meant("--sgnal: is not an option of solve; accepted: --T, --signal")
    assert "did you mean relu?" in with_meant("activation: is 'rellu'; accepted: linear, erf, tanh or relu")
    for line in ("T: is 2; accepted: an integer ≥ 3", "PROBLEM: is 'xyz'; accepted: endpoint, sequence"):
        assert with_meant(line) == line
