"""Tasks of the field: what is shown when, and what is asked, read off the arrays by other means than they are made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numerics import tasks
from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.inputs.sizes import LARGEST_KERNEL

TASKS = {
    "delayed_xor": tasks.delayed_xor,
    "delayed_match_to_sample": tasks.delayed_match_to_sample,
    "flip_flop": tasks.flip_flop,
    "evidence_accumulation": tasks.evidence_accumulation,
    "copy": tasks.copy,
    "sine_generation": tasks.sine_generation,
}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_one_line_and_takes_the_options_of_a_problem(name):
    problem = TASKS[name]()
    assert isinstance(problem, Problem)
    other = TASKS[name](9, strength=3.0, label=2.0, arch="dnn", activation="erf", kappa=0.5)
    assert (other.T, other.arch, other.activation.name, other.kappa) == (9, "dnn", "erf", 0.5)
    pulses = other.x[other.x != 0]
    np.testing.assert_allclose(np.abs(pulses), 3.0 * math.sqrt(other.D))
    assert np.nanmax(np.abs(other.y)) <= 2.0
    assert TASKS[name](9) == TASKS[name](9)
    with pytest.raises(
        TypeError, match=rf"^{name}\(\) got an unexpected keyword argument 'kapa'; did you mean 'kappa'"
    ):
        TASKS[name](kapa=1.0)
    with pytest.raises(InputError, match=r"^T: is 2"):
        TASKS[name](2)
    patterns = 1 if name in ("flip_flop", "evidence_accumulation") else problem.P  # theirs may be fewer
    with pytest.raises(InputError, match=rf"an integer ≥ 3, at most {LARGEST_KERNEL // patterns + 1}$"):
        TASKS[name](10**6)


def test_delayed_xor_is_xor_of_what_was_seen():
    problem = tasks.delayed_xor(8, second=3)
    seen = problem.x.argmax(axis=2)
    assert set(map(tuple, np.argwhere(problem.x)[:, 1:2].tolist())) == {(0,), (3,)}
    np.testing.assert_array_equal(problem.y[:, -1] > 0, seen[:, 0] != seen[:, 3] - 2)
    assert np.isnan(problem.y[:, :-1]).all()
    assert len({row.tobytes() for row in problem.x}) == 4


def test_match_to_sample_compares_sample_and_probe():
    problem = tasks.delayed_match_to_sample(7, samples=4, probe=2)
    assert (problem.P, problem.D) == (16, 4)
    same = np.einsum("pd,pd->p", problem.x[:, 0], problem.x[:, 2]) > 0
    np.testing.assert_array_equal(problem.y[:, -1] > 0, same)
    assert same.sum() == 4


@pytest.mark.parametrize("bits", [1, 3])
def test_flip_flop_remembers_the_last_pulse_of_each_line(bits):
    problem = tasks.flip_flop(12, patterns=7, bits=bits, rate=0.3, seed=4)
    assert problem.outputs == bits
    y = problem.y.reshape(7, 11, bits)
    for p in range(7):
        for c in range(bits):
            last = 0.0
            for t in range(11):
                last = problem.x[p, t, c] or last
                assert np.sign(last) == y[p, t, c]
    assert len({row.tobytes() for row in problem.x}) == 7
    silent = np.mean(problem.x[:, 1:] == 0)
    assert 0.5 < silent < 0.9


@pytest.mark.parametrize("T", [5, 8, 11])
def test_evidence_is_never_balanced(T):
    problem = tasks.evidence_accumulation(T, patterns=4, seed=1)
    np.testing.assert_array_equal(problem.y[:, -1], np.sign(problem.x.sum(axis=(1, 2))))
    assert (np.abs(problem.y[:, -1]) == 1).all()


def test_copy_gives_words_back_in_order():
    problem = tasks.copy(8, length=3)
    assert problem.P == 8
    np.testing.assert_array_equal(problem.y[:, -3:], np.sign(problem.x[:, :3, 0]))
    assert np.isnan(problem.y[:, :-3]).all()
    with pytest.raises(InputError, match="length: is 4; accepted: an integer from 1 to 3"):
        tasks.copy(8, length=4)


def test_sines_have_their_frequencies_and_supervised_times():
    problem = tasks.sine_generation(17, frequencies=[1 / 8, 1 / 4], supervise=[2, 4, 6])
    assert np.flatnonzero(np.isfinite(problem.y[0])).tolist() == [1, 3, 5]
    np.testing.assert_allclose(problem.y[0, [1, 3, 5]], [1.0, 0.0, -1.0], atol=1e-12)
    whole = tasks.sine_generation(17, frequencies=[1 / 8, 1 / 4]).y
    power = np.abs(np.fft.rfft(whole, axis=1))
    assert power.argmax(axis=1).tolist() == [2, 4]


def test_histories_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="patterns: is 9; accepted: at most the 8 histories that differ"):
        tasks.evidence_accumulation(4, patterns=9)
    with pytest.raises(InputError, match="patterns: is 3; accepted: at most the 2 histories"):
        tasks.flip_flop(4, patterns=3, rate=0.0)


RNG = np.random.default_rng(0)
IMAGES, SERIES = RNG.normal(size=(6, 5)) * 7.0, RNG.normal(size=(6, 4, 3))


def test_images_are_seen_once_and_series_at_every_time():
    image = tasks.from_data(IMAGES, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 5, kappa=0.2)
    assert (image.T, image.kappa) == (5, 0.2)
    assert not image.x[:, 1:].any()
    assert np.mean(np.sum(image.x[:, 0] ** 2, axis=1) / image.D) == pytest.approx(1.0)
    np.testing.assert_allclose(image.x[:, 0] / IMAGES, image.x[0, 0, 0] / IMAGES[0, 0])
    series = tasks.from_data(SERIES, np.arange(24.0).reshape(6, 4))
    assert (series.T, series.n) == (5, 4)
    np.testing.assert_array_equal(series.y, np.arange(24.0).reshape(6, 4))


def test_classes_become_signs_or_outputs_of_their_own():
    two = tasks.from_data(IMAGES, ["cat", "dog", "cat", "dog", "dog", "cat"], 4)
    assert two.y[:, -1].tolist() == [-1, 1, -1, 1, 1, -1]
    three = tasks.from_data(IMAGES, [3, 5, 9, 5, 3, 9], 4, x_test=IMAGES[:2], y_test=[9, 3])
    assert three.outputs == 3
    assert three.y[:, -1].argmax(axis=1).tolist() == [0, 1, 2, 1, 0, 2]
    assert three.y_test[:, -1].argmax(axis=1).tolist() == [2, 0]
    np.testing.assert_allclose(three.x_test[0], three.x[0])
    with pytest.raises(InputError, match="y_test: has a class"):
        tasks.from_data(IMAGES, [3, 5, 9, 5, 3, 9], 4, x_test=IMAGES[:2], y_test=[9, 4])


def test_frames_and_labelled_arrays_are_data_sets():
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    plain = tasks.from_data(IMAGES, [1.0, 2, 3, 4, 5, 6], 4)
    assert tasks.from_data(pandas.DataFrame(IMAGES), pandas.Series([1.0, 2, 3, 4, 5, 6]), 4) == plain
    assert tasks.from_data(xarray.DataArray(IMAGES), xarray.DataArray([1.0, 2, 3, 4, 5, 6]), 4) == plain
    names = pandas.Series(["a", "b", "a", "b", "a", "b"])
    assert tasks.from_data(pandas.DataFrame(IMAGES), names, 4).y[:, -1].tolist() == [-1, 1] * 3


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((IMAGES, np.ones(6)), "T: is missing"),
        ((SERIES, np.ones(6), 5), "T: is 5; accepted: none beside series"),
        ((IMAGES[0], np.ones(5), 5), "x: has shape"),
        ((IMAGES, np.ones(5), 5), "y: has shape"),
        ((IMAGES, ["a"] * 6, 5), "y: has one class"),
    ],
)
def test_data_that_do_not_fit_are_refused(arguments, line):
    with pytest.raises(InputError, match=line):
        tasks.from_data(*arguments)


#: T, P and D of each task as it comes.
SIZES = {
    "delayed_xor": (6, 4, 4),
    "delayed_match_to_sample": (6, 9, 3),
    "flip_flop": (6, 4, 1),
    "evidence_accumulation": (6, 6, 1),
    "copy": (7, 4, 1),
    "sine_generation": (8, 2, 2),
}


@pytest.mark.parametrize("name", TASKS)
def test_what_is_not_given(name):
    """Pulses and labels of size one, the same as if these were given."""
    problem = TASKS[name]()
    assert SIZES[name] == (problem.T, problem.P, problem.D)
    np.testing.assert_allclose(np.abs(problem.x[problem.x != 0]), math.sqrt(problem.D))
    assert np.nanmax(np.abs(problem.y)) == pytest.approx(1.0, abs=0.1 if name == "sine_generation" else 1e-12)
    assert problem == TASKS[name](strength=1.0, label=1.0)
    if name in ("flip_flop", "evidence_accumulation"):
        assert problem == TASKS[name](seed=0) != TASKS[name](seed=1)
