"""Real data: what the theory predicts for digits that were not learnt, and what sampled networks say of them."""

from __future__ import annotations

import numpy as np
import pytest

import unrolled
from numerics.predictors.generalisation import held_out

datasets = pytest.importorskip("sklearn.datasets")


def accuracy(outputs, classes):
    return float((outputs.argmax(axis=0) == classes).mean())


@pytest.mark.slow
def test_ten_classes_of_digits_as_ten_outputs():
    digits = datasets.load_digits()
    seen, other = slice(0, 40), slice(40, 240)
    problem = unrolled.tasks.from_data(
        digits.data[seen], digits.target[seen], 3, x_test=digits.data[other], y_test=digits.target[other], arch="dnn",
        kappa=0.01,
    )  # fmt: skip
    state = unrolled.solve(problem)
    assert state.converged
    theory = held_out(state).mean[..., -1]
    assert accuracy(unrolled.predict(state).mean[..., -1], digits.target[seen]) == 1.0
    run = unrolled.simulate(problem, 256, chains=2, steps=60, warmup=60, seed=1, workers=1)
    sampled = run.test_prediction[..., -1]
    assert np.corrcoef(theory.ravel(), sampled.ravel())[0, 1] > 0.999
    assert accuracy(theory, digits.target[other]) == pytest.approx(accuracy(sampled, digits.target[other]), abs=0.03)
    assert accuracy(theory, digits.target[other]) > 0.65


@pytest.mark.slow
def test_rows_of_digits_as_a_series_in_a_leaky_network():
    digits = datasets.load_digits()
    chosen = np.isin(digits.target, (3, 8))
    images, names = digits.images[chosen], np.where(digits.target[chosen] == 3, "three", "eight")
    problem = unrolled.tasks.from_data(
        images[:12], names[:12], x_test=images[12:112], y_test=names[12:112], skip=0.6, w=0.16, u=0.16, kappa=0.01
    )
    state = unrolled.solve(problem, tolerance=1e-8)
    assert state.converged, state.status
    theory = held_out(state).mean[:, -1]
    sampled = unrolled.simulate(problem, 256, chains=2, steps=100, warmup=100, seed=1, workers=1).test_prediction[:, -1]
    label = problem.y_test[:, -1]
    assert np.mean(theory * label > 0) > 0.9
    assert np.mean(sampled * label > 0) == pytest.approx(np.mean(theory * label > 0), abs=0.04)
    assert np.corrcoef(theory, sampled)[0, 1] > 0.99
