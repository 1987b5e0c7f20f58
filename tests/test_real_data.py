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
def test_macroeconomic_series_in_a_leaky_network():
    """Growth of output, consumption and investment, and unemployment: is the change of the latter above its median?"""
    macrodata = pytest.importorskip("statsmodels.datasets.macrodata")
    table = macrodata.load_pandas().data
    growth = np.diff(np.log(table[["realgdp", "realcons", "realinv"]].to_numpy()), axis=0)
    series = np.column_stack([growth, np.diff(table["unemp"].to_numpy())])
    series = (series - series.mean(axis=0)) / series.std(axis=0)
    windows = np.stack([series[k : k + 4] for k in range(len(series) - 4)])
    names = np.where(series[4:, 3] > np.median(series[:, 3]), "rises", "falls")
    seen, other = slice(0, 40, 4), slice(40, 140)
    problem = unrolled.tasks.from_data(
        windows[seen], names[seen], x_test=windows[other], y_test=names[other], skip=0.5, w=0.25, u=0.25, kappa=1.0
    )
    state = unrolled.solve(problem, tolerance=1e-8)
    assert state.converged, state.status
    theory = held_out(state).mean[:, -1]
    sampled = unrolled.simulate(problem, 128, chains=2, steps=60, warmup=60, seed=1, workers=1).test_prediction[:, -1]
    right = np.mean(theory * problem.y_test[:, -1] > 0)
    assert right > 0.7
    assert np.mean(sampled * problem.y_test[:, -1] > 0) == pytest.approx(right, abs=0.04)
    assert np.corrcoef(theory, sampled)[0, 1] > 0.99
