"""Searches that are interrupted and go on from their file, to the same bits, without doing the work again."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import numerics
from derivations.__main__ import main
from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import by_walkers, descent, journal
from numerics.nonlinear.encoding import Encoder, decoded
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.laws import law_at
from numerics.nonlinear.nodes import Nodes
from numerics.nonlinear.sample import Sample
from numerics.nonlinear.space import trajectory_space

ROOT = Path(__file__).resolve().parents[2]
X = np.sqrt(2) * np.eye(2)[:1]
SAMPLING = {"engine": "sampling", "size": 256, "tolerance": 0.2}


class Counting:
    """tanh, whose values are counted, with an interrupt after so many."""

    def __init__(self) -> None:
        self.made, self.most = 0, np.inf

    def __call__(self, h):
        self.made += h.size
        if self.made > self.most:
            raise KeyboardInterrupt
        return np.tanh(h) + 0.0 * h


def counted(**changes) -> tuple[Problem, Counting]:
    function = Counting()
    given = {"x": X, "y": np.array([[0.5, 0.8]])} | changes
    problem = Problem(activation=Activation.of(function, name="counted"), **given)
    return problem, function


def equal(one, other) -> bool:
    """Bit for bit."""
    for part in fields(one):
        a, b = getattr(one, part.name), getattr(other, part.name)
        if not np.array_equal(a, b, equal_nan=isinstance(a, float | np.ndarray)):
            return False
    return True


def test_an_interrupted_search_goes_on_to_the_same_bits(tmp_path):
    problem, function = counted()
    function.made = 0
    whole, path = numerics.solve(problem, **SAMPLING), tmp_path / "new" / "search"
    work = function.made
    done = 0
    for share in (0.3, 0.7):  # in a descent, and in a fixed point
        function.made, function.most = 0, round(share * work) - done
        with pytest.raises(KeyboardInterrupt, match=f"run the same again to go on from {path}"):
            numerics.solve(problem, checkpoint=path, **SAMPLING)
        done += function.made
    function.made, function.most = 0, np.inf
    resumed = numerics.solve(problem, checkpoint=path, **SAMPLING)
    assert equal(resumed, whole)
    assert done + function.made < 1.15 * work  # steps that had ended are not taken again
    function.made = 0
    assert equal(numerics.solve(problem, checkpoint=path, **SAMPLING), whole)
    assert function.made < 0.1 * work
    assert [each.name for each in path.parent.iterdir()] == ["search"]


def test_all_states_go_on_too(tmp_path):
    problem, function = counted()
    function.made = 0
    whole = numerics.solve_all(problem)
    function.most = 1.5 * function.made
    with pytest.raises(KeyboardInterrupt):
        numerics.solve_all(problem, checkpoint=tmp_path / "search")
    function.most = np.inf
    resumed = numerics.solve_all(problem, checkpoint=tmp_path / "search")
    assert len(resumed) == len(whole)
    assert all(map(equal, resumed, whole))


@pytest.mark.parametrize("kind", ["subprocess:run", "builtins:print", "numerics.files:write_bytes", "nowhere:Thing"])
def test_a_file_calls_nothing_but_types_of_results(kind):
    with pytest.raises(ValueError, match="is no type of numerics"):
        decoded({"type": kind, "fields": {}}, {})


def test_a_file_of_another_search_is_refused(tmp_path, monkeypatch):
    problem, path = endpoint(3, 1.0, activation="tanh"), tmp_path / "search"
    numerics.solve(problem, checkpoint=path)
    content = path.read_bytes()
    others = [
        lambda: numerics.solve(endpoint(3, 1.1, activation="tanh"), checkpoint=path),
        lambda: numerics.solve(problem, checkpoint=path, seed=1),
        lambda: numerics.solve(problem, checkpoint=path, tolerance=1e-3),
        lambda: numerics.solve_all(problem, checkpoint=path),
    ]
    for other in others:
        with pytest.raises(InputError, match=r"^checkpoint: .* belongs to another run; accepted: the same[^\n]*$"):
            other()
    monkeypatch.setattr(journal, "VERSION", "0.0.0")
    with pytest.raises(InputError, match="another run"):
        numerics.solve(problem, checkpoint=path)
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_used_is_refused(tmp_path):
    problem, path = endpoint(3, 1.0, activation="tanh"), tmp_path / "search"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"^checkpoint: .* is damaged or no checkpoint; accepted: [^\n]*$"):
        numerics.solve(problem, checkpoint=path)
    with pytest.raises(InputError, match=r"^checkpoint: .* cannot be read"):
        numerics.solve(problem, checkpoint=tmp_path)
    with pytest.raises(InputError, match=r"^checkpoint: .* cannot be written"):
        numerics.solve(problem, checkpoint=path / "search")
    with pytest.raises(InputError, match=r"^checkpoint: is 'search'; accepted: nothing, a linear network"):
        numerics.solve(endpoint(3, 1.0), checkpoint="search")
    holder = "import sys; from numerics.files import only_writer; from pathlib import Path\n"
    holder += "with only_writer(Path(sys.argv[1]), 'other', exit): print('held', flush=True); input()"
    command = [sys.executable, "-c", holder, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.readline()
        with pytest.raises(InputError, match=r"^checkpoint: .*other is in use by another run"):
            numerics.solve(problem, checkpoint=tmp_path / "other")
        process.communicate(b"\n")


def test_the_program_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    path, laws = tmp_path / "search", iter(range(20))

    def planted(*given):
        if next(laws, None) is None:
            raise KeyboardInterrupt
        return law_at(*given)

    monkeypatch.setattr(descent, "law_at", planted)
    monkeypatch.setattr(os, "_exit", sys.exit)
    words = ["solve", "endpoint", "--T", "4", "--signal", "20", "--activation", "tanh", "--json", "--checkpoint"]
    with pytest.raises(SystemExit) as end:
        main([*words, str(path)])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (130, "")
    assert printed.err.strip() == f"unrolled: interrupted; run the same again to go on from {path}"
    assert path.exists()


def test_results_come_back_as_they_were():
    rng = np.random.default_rng(0)
    tree = (
        rng.standard_normal((3, 4)).T,
        [np.float64(0.1), float("nan"), -0.0, np.inf, 3, True, None, "word", {"state": {"inc": 1 << 100}}],
        (np.arange(3), rng.standard_normal((2, 3, 2)), np.zeros((0, 2)), np.array([True, False])),
    )
    encoder = Encoder()
    back = decoded(encoder(tree), encoder.arrays())
    assert repr(back) == repr(tree)
    assert type(back[1][0]) is np.float64
    assert back[0].flags.f_contiguous
    assert back[0].tobytes() == tree[0].tobytes()
    with pytest.raises(TypeError, match="cannot be kept"):
        Encoder()(object())


def test_walkers_go_on_from_where_they_were(tmp_path, monkeypatch):
    few_of = {"COUNT": 64, "DOWN": 60, "MOST_DOWN": 60, "POPULATIONS": 4, "BEFORE": 10, "HALF": 10, "DOUBLINGS": 2}
    for name, few in few_of.items():
        monkeypatch.setattr(by_walkers, name, few)
    problem = endpoint(3, 4.0, activation="erf")
    space, phi, steps = trajectory_space(problem), problem.activation, []
    start = by_walkers.normal_start(space, phi, space.covariance(forward_kernel(space, phi)), 0)
    step = by_walkers._Way.step

    def walked():
        state = by_walkers.walked_down(space, phi, start, (0,))
        return by_walkers.refined(space, phi, state, 1.0, 0, lambda told: None).state

    def planted(way):
        steps.append(way.steps)
        if len(steps) in ends:
            raise KeyboardInterrupt
        step(way)

    monkeypatch.setattr(by_walkers._Way, "step", planted)
    ends = set()
    whole, work = walked(), len(steps)
    for end in (50, 160):
        steps.clear()
        ends = {end}
        with pytest.raises(KeyboardInterrupt), journal.kept_in(tmp_path / "walk", {}):
            walked()
    ends = set()
    steps.clear()
    with journal.kept_in(tmp_path / "walk", {}):
        resumed = walked()
    assert np.array_equal(resumed.point.kernel, whole.point.kernel)
    assert resumed.point.free_energy == whole.point.free_energy
    assert resumed.iterations == whole.iterations
    assert len(steps) < 0.5 * work


def test_a_search_leaves_no_points_behind(tmp_path):
    problem, _ = counted()

    def points() -> list[object]:
        gc.collect()
        return [each for each in gc.get_objects() if isinstance(each, Sample | Nodes)]

    before = points()  # of caches that other tests have filled
    state = numerics.solve(problem, checkpoint=tmp_path / "search", **SAMPLING)
    assert state.converged
    assert not {id(each) for each in points()} - {id(each) for each in before}
