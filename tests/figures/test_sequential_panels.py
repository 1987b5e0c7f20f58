"""The panels of sequential tasks: what they compare, what they write, and that they can disagree."""

import csv

import numpy as np
import pytest

from derivations.figures import (
    mechanism,
    nonlinear_sequences,
    sample_efficiency,
    sequence_kernels,
    sequential,
    teacher_eigenvalues,
)
from derivations.figures.panel import Effort, styled
from numerics.predictors.observables import outliers
from numerics.results.readout import mean_outputs
from numerics.sampling import simulate


def silent(what, done, total):
    pass


@pytest.mark.slow
def test_a_wrong_output_is_called_a_disagreement():
    predicted, error = np.zeros((2, 7)), np.full((2, 7), 0.1)
    good = np.random.default_rng(0).normal(size=(2, 7)) * error
    assert sequential.judged_outputs(predicted, good, error, rhat=1.0, ess=500.0)["verdict"] == "agrees"
    shifted = good + np.where(np.arange(7) == 3, 0.6, 0)
    assert sequential.judged_outputs(predicted, shifted, error, rhat=1.0, ess=500.0)["verdict"] == "disagrees"
    assert sequential.judged_outputs(predicted, good, error, rhat=1.2, ess=500.0)["verdict"] == "undecided"
    assert sequential.judged_outputs(predicted, good, error, rhat=1.0, ess=20.0)["verdict"] == "undecided"


def test_mechanism_expands_and_meets_the_full_solution(tmp_path, monkeypatch):
    monkeypatch.setattr(mechanism, "AMPLITUDES", np.array([0.0, 0.1, 0.2]))
    result = mechanism.make(tmp_path, Effort(quick=True, workers=1), silent)
    assert result["agrees"], result["summary"]
    made = {path.name for path in tmp_path.iterdir()}
    assert "mechanism.svg" in made
    rows = list(csv.DictReader((tmp_path / "mechanism-paths.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 3
    assert all(row["cut_by_mask"] == "True" for row in rows)
    change = mechanism.expansion("rnn")[0][2][mechanism.ENTRY[0] - 1, mechanism.ENTRY[1] - 1]
    assert sum(float(row["contribution"]) for row in rows) == pytest.approx(change)
    # a third of the paths left out is no longer the change
    assert sum(float(row["contribution"]) for row in rows[:2]) != pytest.approx(change)


def test_the_error_of_perfect_and_of_no_knowledge():
    trained = sample_efficiency.problem("patterns", 4, "rnn")
    teacher, n = sample_efficiency.setting("patterns")
    assert sample_efficiency.error("patterns", trained, teacher.labels(trained.x[:, 0], n)) < 1e-20
    assert sample_efficiency.error("patterns", trained, np.zeros((4, n))) == pytest.approx(1)
    # one pattern of four directions, perfectly known: the others are predicted as 0
    alone = sample_efficiency.problem("patterns", 1, "rnn")
    known = sample_efficiency.error("patterns", alone, teacher.labels(alone.x[:, 0], n))
    assert 0.3 < known < 1


def test_unseen_directions_are_predicted_as_the_theory_predicts_test_patterns():
    from numerics import solve
    from numerics.predictors.generalisation import held_out

    trained = sample_efficiency.problem("patterns", 3, "dnn")
    labels, combination, size = sample_efficiency.directions("patterns", trained)
    basis = 2.0 * np.eye(4)
    solution = solve(trained.with_(x_test=basis))
    np.testing.assert_allclose(held_out(solution).mean, combination @ mean_outputs(solution), atol=1e-9)
    assert size == pytest.approx(np.sum(labels**2))


def test_spectra_are_drawn_with_theory_and_teacher(tmp_path):
    theory = outliers(sequential.solved("rnn"))[0]
    near = [[float(theory[0].real) + shift, float(theory[0].imag)] for shift in (-0.02, 0.02)]
    networks = {
        "rnn": {"width": 8, "spectrum": [[0.1, 0.2]], "theory": teacher_eigenvalues.pairs(theory), "outliers": near,
                "mean": near[0], "standard_error": [0.01, 0.01]},
        "dnn": {"width": 8, "spectrum": [[0.1, -0.2]]},
    }  # fmt: skip
    with styled():
        left, right = teacher_eigenvalues.draw(networks).axes[:2]
    assert left.get_title() == "RNN: $W$"
    assert len(left.lines) > len(right.lines)
    table = teacher_eigenvalues.table(networks)
    assert table["what"].count("rnn theory outlier") == 2
    assert table["what"].count("teacher") == 2


@pytest.mark.slow
def test_kernels_and_outputs_of_small_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sequence_kernels, "sampled_networks", lambda problem, settings, workers: simulate(
            problem, 24, chains=2, steps=40, warmup=60, seed=1, workers=1
        )
    )  # fmt: skip
    result = sequence_kernels.make(tmp_path, Effort(quick=True, workers=1), silent)
    # 80 draws are too few to believe, and the panel says so
    assert result["verdict"] == "undecided"
    assert "as chains of 2 of 2 have not mixed" in result["summary"]
    assert "DISAGREE" not in result["summary"]
    rows = list(csv.DictReader((tmp_path / "sequence-kernels-outputs.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * 2 * 7
    dnn = [float(row["theory"]) for row in rows if row["arch"] == "dnn" and row["supervised"] == "False"]
    assert np.abs(dnn).max() < 1e-9


def test_sampled_nonlinear_kernels_are_compared_at_their_width():
    """Kernels with the predicted shift agree, and not with the limit or where the theory has not converged."""
    rng = np.random.default_rng(0)
    half = rng.normal(size=(10, 10))
    kernel, shift, error = half @ half.T, rng.normal(size=(10, 10)), np.full((10, 10), 1e-3)
    at_width = kernel + (shift + shift.T) / 64
    networks = {
        "width": 64, "kernel": at_width + error * rng.normal(size=(10, 10)),
        "standard_error": error, "rhat": 1.0, "ess": 500.0,
        "outputs": np.zeros((2, 5)), "outputs_standard_error": np.zeros((2, 5)),
    }  # fmt: skip
    theory = {
        "kernel": kernel, "at_width": at_width, "at_width_error": 0 * error,
        "outputs": np.zeros((2, 5)), "converged": True,
    }  # fmt: skip
    result = nonlinear_sequences.compared(theory, networks)
    assert result["verdict"] == "agrees"
    assert nonlinear_sequences.compared(theory | {"at_width": kernel}, networks)["verdict"] == "disagrees"
    assert nonlinear_sequences.compared(theory | {"converged": False}, networks)["verdict"] == "undecided"
    table = nonlinear_sequences.kernel_table({"rnn": result, "dnn": result})
    assert {len(column) for column in table.values()} == {100}
    with styled():
        labels, *learnt = nonlinear_sequences.draw({"rnn": result, "dnn": result}).axes[:3]
    assert labels.get_title().startswith("label")
    assert [axes.get_title()[:3] for axes in learnt] == ["RNN", "DNN"]
