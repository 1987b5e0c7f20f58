"""Predictions as a result: test patterns at width N against the joint problem, what is shown, and what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest

from numerics import predict, simulate, solve, solve_all
from numerics.errors import InputError, NotSolvedError
from numerics.inputs.problem import Problem, endpoint
from numerics.predictors import predictions
from numerics.predictors.generalisation import training
from numerics.predictors.output_shift import output_shift
from numerics.results.readout import mean_outputs
from tests.commands.test_program import run
from tests.predictors.test_any_sharing import without_a_sign

mpl.use("agg")


@pytest.mark.parametrize("seed", range(4))
def test_test_patterns_fluctuate_as_unsupervised_patterns_of_the_joint_problem(seed):
    """Patterns with directions of their own, one that begins late, and combinations of the training patterns."""
    rng = np.random.default_rng(seed)
    problem = without_a_sign(rng, seed)
    x_test = rng.normal(size=(2, problem.n, problem.D))
    x_test[1, 0] = 0.0
    x_test = np.concatenate([x_test, problem.x, -0.7 * problem.x])
    y = np.concatenate([problem.y, np.full((6, *problem.y.shape[1:]), np.nan)])
    found = predict(solve(problem), 9, x_test=x_test)
    together = solve(problem.with_(x=np.concatenate([problem.x, x_test]), y=y))
    assert not found.missing
    sd = np.sqrt(training(together).scaled_variance / 9)
    np.testing.assert_allclose(np.concatenate([found.sd, found.test_sd], axis=-2), sd, rtol=1e-6)
    shift = np.concatenate([found.shift, found.test_shift], axis=-2)
    np.testing.assert_allclose(shift, output_shift(together), atol=1e-7 * np.abs(shift).max())
    np.testing.assert_allclose(found.test_at_width, found.test_mean + found.test_shift / 9)


TASK = Problem([[1.0, 0.2], [0.3, -1.0]], [[2.0, np.nan, 1.0], [np.nan, -1.0, np.nan]], kappa=0.5)


def test_all_is_shown_within_eighty_columns():
    problem = TASK.with_(x_test=[[0.5, 0.5]], y_test=[[1.0, np.nan, np.nan]])
    found = predict(solve(problem), 64)
    text = str(found)
    assert max(map(len, text.splitlines())) <= 80
    assert f"{found.at_width[0, 2]:.4g}" in text
    assert f"{found.test_sd[0, 1]:.4g}" in text
    assert f"<td>{found.test_mean[0, 1]:.4g}</td>" in found._repr_html_()
    table = found.to_dataframe()
    assert table.loc[(3, 2), "sd"] == found.test_sd[0, 1]
    assert table.loc[(3, 1), "label"] == 1.0
    assert list(table.loc[3, "held_out"]) == [True] * 3
    assert list(table.loc[1, "supervised"]) == [True, False, True]


def test_numbers_are_noise_beside_labels_too():
    found = replace(predict(solve(TASK)), mean=np.full((2, 3), 1e-14))
    assert {row[-1] for row in found.table()[1:]} == {"0"}


def test_the_picture_has_means_bands_labels_and_samples():
    from matplotlib import pyplot as plt

    problem = TASK.with_(x_test=[[0.5, 0.5]])
    found = predict(solve(problem), 64)
    sampled = simulate(problem, 64, steps=20, warmup=40, chains=2, seed=1, workers=1)
    figure, axes = plt.subplots()
    assert found.plot(axes, sampled=sampled) is axes
    assert len(axes.collections) - 3 == 3  # a band for each pattern, beside the bars of the samples
    np.testing.assert_allclose(axes.lines[0].get_ydata(), found.at_width[0])
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [1, 2, 3])
    band = axes.collections[0].get_paths()[0].get_extents()
    assert band.ymax == pytest.approx(np.max(found.at_width[0] + found.sd[0]))
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    kinds = {"theory, $N = 64$", "labels", "sampled", "theory, $N = 64$, held out", "sampled, held out"}
    assert set(names) == kinds | {"pattern 1", "pattern 2", "held out 1"}
    assert axes.get_title(loc="left").endswith("$N = 64$")
    plt.close(figure)


def test_what_is_not_known_is_said_and_not_zero(monkeypatch):
    unstable = next(state for state in solve_all(endpoint(4, 30.0)) if not state.stable)
    found = predict(unstable, 100)
    assert found.sd is None
    assert found.at_width is None
    assert found.missing == ("the state is no minimum, so that it has no fluctuations at width 100",)
    np.testing.assert_array_equal(found.mean, mean_outputs(unstable))
    assert "prediction_at_width" not in predict(unstable).to_xarray()
    state = solve(TASK)
    monkeypatch.setattr(predictions, "LARGEST_HESSIAN", 4)
    found = predict(state, 100)
    assert found.shift is None
    assert found.sd is not None
    assert "6 rows; accepted are at most 4" in found.missing[0]
    with pytest.raises(InputError, match="width: is 0"):
        predict(state, 0)
    with pytest.raises(InputError, match="x_test"):
        predict(state, x_test=[[1.0]])


@pytest.mark.usefixtures("few_draws")
def test_the_command_has_them(tmp_path):
    state = solve(TASK.with_(x_test=[[0.5, 0.5]]))
    np.savez(tmp_path / "task.npz", x=TASK.x[:, 0], y=TASK.y, x_test=[[0.5, 0.5]])
    words = ("solve", str(tmp_path / "task.npz"), "--kappa", "0.5", "--width", "64")
    found, fields = predict(state, 64), json.loads(run(*words, "--json").stdout)
    for name, values in (
        ("prediction", found.mean),
        ("prediction_sd", found.sd),
        ("prediction_shift", found.shift),
        ("test_prediction", found.test_mean),
        ("test_prediction_sd", found.test_sd),
        ("test_prediction_shift", found.test_shift),
    ):
        np.testing.assert_allclose(fields[name], values, rtol=1e-5, atol=1e-8)
    assert "1 held out" in run(*words, "--out", str(tmp_path / "p.png")).stdout
    assert (tmp_path / "p.png").stat().st_size > 5000


def lost(said):
    def fails(*given):
        raise NotSolvedError(said)

    return fails


def test_what_could_not_be_found_is_said_in_a_sentence_each(monkeypatch):
    state = solve(TASK.with_(x_test=[[0.5, 0.5]]))
    whole = predict(state, 100)
    assert not whole.missing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "training", lost("too close"))
        found = predict(state, 100)
        assert found.missing == ("the standard deviation of training patterns was not found: too close",)
        assert found.sd is None
        np.testing.assert_array_equal(found.shift, whole.shift)
        np.testing.assert_array_equal(found.test_sd, whole.test_sd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "held_out", lost("too few points"))
        found = predict(state, 100)
        assert found.missing == ("held-out patterns were not found: too few points",)
        assert found.test_mean is None
        np.testing.assert_array_equal(found.sd, whole.sd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            predictions, "held_out_fluctuations", lambda state: (_ for _ in ()).throw(InputError("too large"))
        )
        (sentence,) = predict(state, 100).missing
        assert "6 rows and 3 of a further pattern; accepted are at most 128" in sentence


def test_a_nonlinear_state_has_shift_and_deviation_of_all_patterns_or_says_of_which_not(monkeypatch):
    """Planted fluctuations: nothing is sampled."""
    state = solve(endpoint(3, 1.0, activation="erf", x_test=[[0.5]]))
    law = SimpleNamespace(scaled_variance=np.full((1, 2), 4.0))
    monkeypatch.setattr(predictions, "training", lambda state: law)
    monkeypatch.setattr(predictions, "output_shift", lambda state: np.full((1, 2), 7.0))
    monkeypatch.setattr(predictions, "held_out", lambda state: SimpleNamespace(mean=np.ones((1, 2)), sign_arbitrary=()))
    monkeypatch.setattr(
        predictions, "held_out_fluctuations", lambda state: (np.full((1, 2), 9.0), np.full((1, 2), 5.0))
    )
    found = predict(state, 4)
    for name, value in (("sd", 1.0), ("shift", 7.0), ("test_sd", 1.5), ("test_shift", 5.0), ("test_at_width", 2.25)):
        assert (getattr(found, name) == value).all(), name
    monkeypatch.setattr(predictions, "held_out_fluctuations", lost("noisy"))
    found = predict(state, 4)
    assert found.missing == ("shift and standard deviation of held-out patterns at width 4 were not found: noisy",)
    assert (found.shift == 7.0).all()
    monkeypatch.setattr(predictions, "output_shift", lost("noisy"))
    assert predict(state, 4).missing == ("shift and standard deviation of outputs at width 4 were not found: noisy",)
