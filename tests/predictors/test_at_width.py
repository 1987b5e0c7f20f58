"""Functions of the kernel at width N: against draws of the kernel's Gaussian law, and the exact density."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import cka, kernel_shift, solve
from numerics.inputs.problem import Problem, endpoint
from numerics.linalg import alignment
from numerics.predictors.at_width import autocorrelation_at_width, coherence_at_width, expanded, misalignment
from numerics.predictors.finite_width import kernel_changes
from numerics.sampling import observables

PROBLEMS = {
    "linear": endpoint(4, 20.0),
    "untied": endpoint(4, 9.0, arch="dnn"),
    "relu": endpoint(4, 20.0, activation="relu"),
    "patterns": Problem([[1.0, 0.2], [0.3, 1.2]], [[1.0, np.nan], [np.nan, 2.0]], arch="shared:0.5"),
}


def draws(state, width, count=10_000, seed=0):
    """Kernels of the Gaussian law to first order: normal around the shifted mean."""
    changes = np.array(list(kernel_changes(state)))
    normal = np.random.default_rng(seed).standard_normal((count, len(changes)))
    mean = state.kernel + kernel_shift(state) / width
    return mean + np.tensordot(np.concatenate([normal, -normal]), changes, axes=1) / np.sqrt(width)


@pytest.mark.parametrize("name", PROBLEMS)
def test_alignment_and_coherence_are_those_of_draws_of_the_law(name):
    state, width, P = solve(PROBLEMS[name]), 1e5, PROBLEMS[name].P
    kernels = draws(state, width)
    found = misalignment(state)
    assert width * np.mean(1 - alignment(kernels, state.kernel)) == pytest.approx(found.single, rel=0.06)
    by_differences = expanded(state, lambda kernel: 1 - alignment(kernel, state.kernel))
    assert by_differences.shift == pytest.approx(found.single, rel=1e-4)
    moved = state.kernel + kernel_shift(state) / width
    assert width**2 * (1 - cka(moved, state.kernel)) == pytest.approx(found.of_mean, rel=0.02, abs=1e-5)
    for told, measured in (
        (coherence_at_width(state), observables.coherence(kernels, P)),
        (autocorrelation_at_width(state), observables.autocorrelation(kernels, P)),
    ):
        np.testing.assert_allclose(measured.std(axis=0), told.sd(width), rtol=0.06, atol=1e-9)
        off = measured.mean(axis=0) - told.limit
        error = measured.std(axis=0) / np.sqrt(len(kernels)) + 1e-9
        assert np.abs((off - told.shift / width) / (error + 0.03 * np.abs(off))).max() < 5
        assert np.abs(told.mean(width) - told.limit).max() > 0
