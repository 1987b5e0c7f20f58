"""Teachers of sequential tasks: closed-form labels, the task that they make, and what is refused."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from derivations.__main__ import cli
from numerics.errors import InputError
from numerics.inputs.teachers import Teacher, orthonormal_patterns, random_patterns, rotation_teacher, sequence


def closed_form(x, angles, amplitudes, radii, times):
    t = np.arange(times)
    return sum(
        a * rho**t * (np.outer(x[:, 2 * j], np.cos(theta * t)) - np.outer(x[:, 2 * j + 1], np.sin(theta * t)))
        for j, (theta, a, rho) in enumerate(zip(angles, amplitudes, radii, strict=True))
    )


def test_labels_in_closed_form_for_several_contracting_planes():
    angles, amplitudes, radii = (1.2566, -0.4, 2.9), (3.0, 0.5, -1.0), (1.0, 0.9, 0.7)
    teacher = rotation_teacher(angles, amplitudes, radii)
    x = random_patterns(5, 6, np.random.default_rng(1))
    np.testing.assert_allclose(np.sum(x**2, axis=1) / 6, 1)
    labels = teacher.labels(x, 7)
    np.testing.assert_allclose(labels, closed_form(x, angles, amplitudes, radii, 7), atol=1e-13)
    # a wrong angle gives other labels
    assert np.abs(labels - closed_form(x, (1.3, -0.4, 2.9), amplitudes, radii, 7)).max() > 0.05
    expected = np.ravel(
        [rho * np.exp([1j * abs(theta), -1j * abs(theta)]) for theta, rho in zip(angles, radii, strict=True)]
    )
    np.testing.assert_allclose(teacher.eigenvalues, expected, atol=1e-14)


def test_a_teacher_cannot_be_changed_nor_changes_with_what_it_was_made_from():
    V = np.array([3.0, 0.0])
    teacher = Teacher(V, np.eye(2), np.eye(2))
    V[0] = 7.0
    assert teacher.V[0] == 3.0
    for array in (teacher.V, teacher.W, teacher.U):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_labels_obey_the_teachers_recurrence():
    labels = rotation_teacher(0.7, 2.0, 0.95).labels(orthonormal_patterns(2), 8)
    step = 2 * 0.95 * np.cos(0.7) * labels[:, 1:-1] - 0.95**2 * labels[:, :-2]
    np.testing.assert_allclose(labels[:, 2:], step, atol=1e-13)


def test_one_plane_is_the_contracts_sequence():
    problem = sequence(7, 1.2566, 3.0, (6, 1, 3))
    other = rotation_teacher(1.2566, 3.0).problem(7, orthonormal_patterns(2), (1, 3, 6))
    np.testing.assert_array_equal(problem.y, other.y)
    np.testing.assert_array_equal(problem.x, other.x)
    assert np.flatnonzero(~np.isnan(problem.y[0])).tolist() == [0, 2, 5]


def test_label_kernel_is_time_major_and_covers_unsupervised_times():
    teacher, x = rotation_teacher(0.7, 2.0), orthonormal_patterns(2)
    Y, labels = teacher.label_kernel(x, 5), teacher.labels(x, 5)
    assert Y[2 * 3 + 1, 2 * 1 + 0] == pytest.approx(labels[1, 3] * labels[0, 1])


def test_any_supervised_pairs_and_labelled_test_patterns():
    teacher = rotation_teacher((0.7, 1.9), 1.0)
    x, x_test = orthonormal_patterns(4), random_patterns(3, 4, np.random.default_rng(0))
    mask = np.zeros((4, 5), dtype=bool)
    mask[0, 1] = mask[2, 4] = True
    problem = teacher.problem(6, x, mask, x_test=x_test, arch="dnn", kappa=0.3)
    assert problem.supervised.tolist() == [1 * 4 + 0, 4 * 4 + 2]
    np.testing.assert_array_equal(problem.y_test, teacher.labels(x_test, 5))
    assert (problem.arch, problem.kappa) == ("dnn", 0.3)


def test_random_patterns_repeat_with_their_seed():
    one, same, other = (
        sequence(5, (0.5, 1.0), 2.0, (1, 3), patterns=3, test_patterns=2, pattern_seed=s) for s in (4, 4, 5)
    )
    np.testing.assert_array_equal(one.x_test, same.x_test)
    assert np.abs(one.x[:, 0] - other.x[:, 0]).min() > 0
    assert one.x.shape == (3, 4, 4)
    assert one.y_test.shape == (2, 4)


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"angle": np.nan}, "angle: is nan; accepted: a finite number"),
        ({"angle": ()}, "angle: has 0 values"),
        ({"angle": "x"}, "angle: is 'x'"),
        ({"amplitude": (1.0, 2.0)}, "amplitude: has 2 values; accepted: one, or one for each of 1 planes"),
        ({"amplitude": 1e40}, "amplitude: is 1e+40"),
        ({"radius": 0.0}, "radius: is 0; accepted: a finite number > 0"),
        ({"radius": 1e30}, "radius: gives the scale"),
        ({"supervise": (0, 2)}, "supervise: is 0; accepted: hidden times from 1 to 4"),
        ({"supervise": ()}, "supervise: is empty"),
        ({"supervise": (1.5,)}, "supervise: is 1.5"),
        ({"T": 2}, "T: is 2"),
        ({"patterns": 0}, "patterns: is 0; accepted: an integer from 1"),
        ({"test_patterns": -1}, "test_patterns: is -1"),
        ({"pattern_seed": -1}, "pattern_seed: is -1"),
    ],
)
def test_bad_sequences_are_refused_in_one_line(change, start):
    arguments = {"T": 5, "angle": 1.0, "amplitude": 2.0, "supervise": (1, 3)} | change
    with pytest.raises(InputError) as refusal:
        sequence(**arguments)
    message = str(refusal.value)
    assert message.startswith(start)
    assert "\n" not in message


def test_teachers_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="teacher: has V"):
        Teacher(np.ones(2), np.eye(3), np.eye(2))
    with pytest.raises(InputError, match="W: contains NaN"):
        Teacher(np.ones(1), np.full((1, 1), np.nan), np.eye(1))
    with pytest.raises(InputError, match="x: has shape"):
        rotation_teacher(1.0, 1.0).labels(np.ones((2, 3)), 4)


def test_the_command_line_takes_several_planes_and_patterns():
    words = ["solve", "sequence", "--T", "4", "--supervise", "1,3", "--arch", "dnn", "--json"]
    planes = ["--angle", "1.2,0.5", "--amplitude", "2,1", "--radius", "0.9", "--patterns", "3"]
    done = CliRunner().invoke(cli, [*words, *planes])
    assert done.exit_code == 0, done.output
    problem = sequence(4, (1.2, 0.5), (2, 1), (1, 3), radius=0.9, patterns=3, arch="dnn")
    assert np.shape(json.loads(done.stdout)["kernel"]) == (9, 9)
    assert problem.P == 3
    refused = CliRunner().invoke(cli, ["solve", "endpoint", "--T", "4", "--signal", "2", "--test-patterns", "3"])
    assert refused.exit_code == 2
    assert "--test-patterns: does not apply to endpoint" in refused.output
    refused = CliRunner().invoke(cli, [*words, "--angle", "a,b", "--amplitude", "2"])
    assert refused.exit_code == 2
    assert "--angle" in refused.output
