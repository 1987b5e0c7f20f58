"""What weight sharing does to a sequential task, in the solved theory and in sampled networks."""

import math

import numpy as np
import pytest

from derivations.figures.sequential import judged_outputs
from numerics import solve
from numerics.inputs.teachers import orthonormal_patterns, rotation_teacher, sequence
from numerics.linear import search
from numerics.linear.functional import kernel_functional
from numerics.predictors.observables import cka, outliers
from numerics.predictors.output_shift import output_shift
from numerics.results.readout import mean_outputs
from numerics.results.solution import time_blocks
from numerics.sampling import simulate
from numerics.sampling.diagnostics import RHAT_LIMIT

ANGLE, SUPERVISED, UNSUPERVISED = 2 * math.pi / 5, (1, 2, 4), [2, 4]
TEACHER, X = rotation_teacher(ANGLE, 3.0), orthonormal_patterns(2)


def task(arch, **options):
    return TEACHER.problem(6, X, SUPERVISED, arch=arch, w=0.3, **options)


def between(kernel):
    """Largest entry between an unsupervised time and any other."""
    size = np.abs(time_blocks(kernel, 2)).max(axis=(2, 3))
    np.fill_diagonal(size, 0)
    return size[UNSUPERVISED].max()


def test_the_dnn_is_block_diagonal_and_falls_to_the_prior_mean():
    rnn, dnn = solve(task("rnn")), solve(task("dnn"))
    assert between(dnn.kernel) < 1e-9
    assert between(rnn.kernel) > 0.3
    assert np.abs(mean_outputs(dnn)[:, UNSUPERVISED]).max() < 1e-9
    labels = TEACHER.labels(X, 5)
    assert np.abs(mean_outputs(rnn) - labels)[:, UNSUPERVISED].max() < 0.5 * np.abs(labels[:, UNSUPERVISED]).max()
    # times that are supervised together do correlate
    assert np.abs(time_blocks(dnn.kernel, 2)[0, 3]).max() > 0.3
    Y = TEACHER.label_kernel(X, 5)
    assert cka(rnn.kernel, Y) > cka(dnn.kernel, Y) + 0.2


def test_without_the_mask_the_dnn_interpolates(monkeypatch):
    """Break: the mask taken off, the DNN is the RNN and no longer falls back to 0."""
    monkeypatch.setattr(search, "kernel_functional", lambda problem: kernel_functional(problem.with_(arch="rnn")))
    unmasked = solve(task("dnn"))
    assert np.abs(mean_outputs(unmasked)[:, UNSUPERVISED]).max() > 1


@pytest.mark.parametrize(("angle", "radius", "w"), [(ANGLE, 1.0, 0.3), (0.6, 0.9, 0.3), (2.4, 1.0, 0.5)])
def test_outliers_are_the_teachers_eigenvalues_at_strong_signal(angle, radius, w):
    found = outliers(solve(sequence(6, angle, 10.0, range(1, 6), radius=radius, w=w)))[0]
    assert len(found) == 2
    assert abs(found[0] - radius * np.exp(1j * angle)) < 0.02
    # a wrong angle, or a forgotten radius, is told apart
    assert abs(found[0] - radius * np.exp(1j * (angle + 0.05))) > 0.03


@pytest.mark.slow
def test_two_planes_both_recovered():
    teacher = rotation_teacher((0.7, 2.2), 12.0, (1.0, 0.9))
    found = outliers(solve(teacher.problem(6, orthonormal_patterns(4), range(1, 6), w=0.3)))[0]
    assert len(found) == 4
    np.testing.assert_allclose(found, teacher.eigenvalues, atol=0.03)


@pytest.mark.slow
def test_sampled_networks_agree_at_every_time_and_tell_the_architectures_apart():
    theory = {arch: solve(task(arch)) for arch in ("rnn", "dnn")}
    width = 64
    sampled = {arch: simulate(task(arch), width, steps=250, warmup=150, seed=11, workers=2) for arch in theory}
    for arch, simulation in sampled.items():
        for other, solution in theory.items():
            verdict = judged_outputs(
                mean_outputs(solution) + output_shift(solution) / width,
                simulation.prediction,
                simulation.prediction_standard_error,
                rhat=simulation.rhat,
                ess=simulation.ess,
            )
            assert (verdict["verdict"] == "agrees") == (arch == other), (arch, other, verdict)


@pytest.mark.slow
def test_nonlinear_dnn_outside_supervision():
    """An odd activation keeps the sign symmetry of unsupervised layers, hence the prior mean 0."""
    simulation = simulate(task("dnn", activation="erf"), 48, steps=250, warmup=150, seed=3, workers=2)
    assert simulation.rhat < RHAT_LIMIT
    z = simulation.prediction[:, UNSUPERVISED] / simulation.prediction_standard_error[:, UNSUPERVISED]
    assert np.abs(z).max() < 4.5
