"""`solve` and `check` for nonlinear networks: the contract's fields, and the verdict at a width."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from derivations.commands import states
from numerics import predict, solve
from numerics.continuation import nonlinear
from numerics.continuation.nonlinear import joined_branches
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear.search import lowest_state
from numerics.predictors import finite_width
from numerics.predictors.finite_width import kernel_mean, kernel_shift
from numerics.predictors.observables import outliers
from numerics.results.readout import mean_outputs
from tests.commands.test_program import run


def test_solve_prints_the_fields_of_a_nonlinear_state():
    result = run("solve", "endpoint", "--T", "4", "--signal", "100", "--activation", "erf", "--json")
    fields = json.loads(result.stdout)
    assert result.returncode == 0, result.stderr
    assert fields["engine"] == "quadrature"
    assert fields["converged"] is True
    assert np.shape(fields["kernel"]) == np.shape(fields["kernel_error"]) == (3, 3)
    assert np.max(fields["kernel_error"]) < 1e-7
    expected = outliers(lowest_state(endpoint(4, signal=100.0, activation="erf")))[0]
    np.testing.assert_allclose(fields["outliers"], [[z.real, z.imag] for z in expected])


def test_solve_has_fluctuations_at_a_width():
    words = ("solve", "endpoint", "--T", "3", "--signal", "4", "--activation", "erf", "--width", "64")
    fields = json.loads(run(*words, "--json").stdout)
    found = predict(lowest_state(endpoint(3, 4.0, activation="erf")), 64)
    np.testing.assert_allclose(fields["prediction_sd"], found.sd, rtol=1e-6)
    np.testing.assert_allclose(fields["prediction_shift"], found.shift, rtol=1e-6, atol=1e-9)
    assert np.shape(fields["kernel_sd"]) == np.shape(fields["kernel_shift"]) == (2, 2)
    shown = run(*words).stdout
    assert "± sd" in shown
    assert f"{found.sd[0, 1]:.4g}" in shown


def test_a_state_at_a_width_tells_the_next_order_and_warns_near_a_transition(capsys, monkeypatch):
    """Of a linear network from the exact density, of another from the next step of the expansion."""

    def told(state, width):
        fields = states.state_fields(state, width)
        states.print_order(state, fields["kernel_shift"] / width, fields.get("kernel_next_order"))
        return fields, capsys.readouterr()

    draws = partial(kernel_mean, draws=40_000)
    monkeypatch.setattr(finite_width, "kernel_mean", draws)
    state = lowest_state(endpoint(3, 4.0, activation="erf"))
    fields, said = told(state, 64)
    assert f"next order in 1/N: {np.max(fields['kernel_next_order']):.2g}" in said.out
    assert not said.err
    assert np.max(fields["kernel_next_order"]) < 0.2 * np.abs(fields["kernel_shift"]).max() / 64
    _, said = told(state, 2)
    assert "of the shift" in said.err
    assert "near a transition" in said.err
    linear = solve(endpoint(4, 12.0))
    fields, said = told(linear, 128)
    assert "near a transition" in said.err
    exact = draws(linear, 128, one_sign=True)
    missed = np.abs(exact.kernel - linear.kernel - kernel_shift(linear) / 128)
    np.testing.assert_allclose(fields["kernel_next_order"], missed, rtol=0.01)
    monkeypatch.setattr(finite_width, "LARGEST_SAMPLED", 5)
    assert "kernel_next_order" not in states.state_fields(linear, 128)  # too narrow for the expansion
    assert "narrow" in states.order_note(np.ones((2, 2)), np.full((2, 2), np.inf))


TASK = ("solve", "endpoint", "--T", "4", "--signal", "20", "--activation", "erf", "--json")


@pytest.mark.parametrize(
    "options", [("--arch", "shared:0.5"), ("--arch", "drift:0.9", "--skip", "0.5"), ("--bias", "0.3")]
)
def test_solve_takes_every_architecture_skip_and_biases(options):
    result = run(*TASK, *options)
    assert result.returncode == 0, result.stderr
    fields = json.loads(result.stdout)
    words = dict(zip([word.removeprefix("--") for word in options[::2]], options[1::2], strict=True))
    given = {name: value if name == "arch" else float(value) for name, value in words.items()}
    state = lowest_state(endpoint(4, 20.0, activation="erf", **given))
    np.testing.assert_allclose(fields["kernel"], state.kernel, atol=1e-12)
    assert fields["free_energy"] == pytest.approx(state.free_energy)


def test_solve_takes_the_sharing_matrix_and_the_outputs_of_a_file(tmp_path):
    y = np.full((1, 3, 2), np.nan)
    y[0, 2], y[0, 1, 1] = (2.0, -1.0), 0.5
    sharing = [[1.0, -0.5], [-0.5, 0.8]]
    np.savez(tmp_path / "task.npz", x=np.ones((1, 1)), y=y, sharing=sharing)
    result = run("solve", str(tmp_path / "task.npz"), "--activation", "tanh", "--bias", "0.2", "--json")
    assert result.returncode == 0, result.stderr
    fields = json.loads(result.stdout)
    state = lowest_state(Problem(np.ones((1, 1)), y, sharing, "tanh", bias=0.2))
    assert np.shape(fields["prediction"]) == (2, 1, 3)
    np.testing.assert_allclose(fields["prediction"], mean_outputs(state), atol=1e-10)


def test_options_of_the_linear_network_are_refused():
    result = run("solve", "endpoint", "--T", "4", "--signal", "5", "--activation", "erf", "--digits", "30")
    assert result.returncode == 2
    assert "--digits: does not apply to erf; accepted" in result.stderr


def test_an_engine_above_its_tolerance_is_status_1(capsys):
    failed = SimpleNamespace(converged=False, status="the error of the averages exceeds the tolerance")
    assert not states.all_converged([failed])
    assert "exceeds the tolerance" in capsys.readouterr().err


def test_an_error_that_is_not_known_is_no_number():
    solution = lowest_state(endpoint(3, 1.0, activation="erf"))
    assert "kernel_error" in states.state_fields(solution)
    unknown = replace(solution, kernel_error=np.full((2, 2), np.inf))
    assert "kernel_error" not in states.state_fields(unknown)


@pytest.mark.slow
def test_check_agrees_for_a_sampled_network():
    words = ("check", "endpoint", "--T", "3", "--signal", "6", "--activation", "tanh", "--width", "128")
    result = run(*words, "--steps", "300", "--chains", "2", "--json")
    fields = json.loads(result.stdout)
    assert result.returncode == 0, fields["reason"]
    assert fields["agrees"] is True
    assert np.shape(fields["kernel_finite_width"]) == (2, 2)
    assert fields["kernel_finite_width"] != fields["theory"]["kernel"]


@pytest.mark.slow
def test_scan_finds_the_critical_signal_of_erf():
    result = run("scan", "endpoint", "--T", "4", "--signal", "11:17:2", "--activation", "erf", "--json")
    fields = json.loads(result.stdout)
    assert result.returncode == 0, result.stderr
    (point,) = fields["special_points"]
    # 13.1251: where the Jacobian of the conjugate equations, on a plain grid, is singular in the odd entries (appendix)
    assert point["signal"] == pytest.approx(13.1251, abs=2e-3)
    names = [branch["name"] for branch in fields["branches"]]
    assert names == ["incoherent", "coherent"]
    assert fields["branches"][0]["stable"] == [True, False]
    assert fields["branches"][1]["signal"] == [17.0]


def test_states_are_joined_to_branches_by_kind():
    def found(branch, free_energy, off):
        kernel = np.array([[0.5, off], [off, 0.4]])
        return SimpleNamespace(
            branch=branch,
            problem=endpoint(3, 1.0),
            free_energy=free_energy,
            kernel=kernel,
            hessian_smallest=1.0,
            residual=0.0,
            stable=True,
        )

    states = [[found("incoherent", 2.0, 0.0)], [found("coherent", 1.0, 0.3), found("incoherent", 3.0, 0.0)]]
    incoherent, coherent = joined_branches(states)
    assert (incoherent.name, coherent.name) == ("incoherent", "coherent")
    np.testing.assert_allclose(incoherent.free_energy, [2.0, 3.0])
    np.testing.assert_allclose(coherent.order_parameter, [np.nan, 0.3])


def test_a_nonlinear_scan_has_its_states_at_each_value_and_a_pitchfork_where_the_incoherent_one_turns(monkeypatch):
    problem, asked, told = endpoint(3, 1.0, activation="erf"), [], []

    def found(branch, stable, converged):
        return SimpleNamespace(
            branch=branch, problem=problem, free_energy=1.0, kernel=np.eye(2), hessian_smallest=1.0, residual=0.0,
            stable=stable, converged=converged,
        )  # fmt: skip

    def states(at, tolerance):
        asked.append((float(at.y[0, -1]) ** 2, tolerance))
        signal = asked[-1][0]
        here = [found("incoherent", signal < 2.5, converged=signal < 5.5)]
        return here if signal < 2.5 else [found("coherent", False, True), *here]

    monkeypatch.setattr(nonlinear, "all_states", states)
    critical = SimpleNamespace(scale=2.4, interval=(2.3, 2.5))
    monkeypatch.setattr(nonlinear, "critical_signal", lambda at, low, high: critical if (low, high) == (2, 3) else None)
    values = np.arange(1.0, 6.0)
    scan = nonlinear.scan_nonlinear(problem, "signal", values, lambda *count: told.append(count))
    np.testing.assert_allclose([signal for signal, _ in asked], values)
    assert {tolerance for _, tolerance in asked} == {nonlinear.PICTURE_TOLERANCE}
    assert told == [(k, 5) for k in range(5)]
    assert scan.converged
    assert [branch.name for branch in scan.branches] == ["incoherent", "coherent"]
    np.testing.assert_array_equal(np.isfinite(scan.branches[1].free_energy), values > 2.5)
    (point,) = scan.special_points
    assert (point.type, point.value, point.interval) == ("pitchfork", 2.4, (2.3, 2.5))
    assert point.names == ("incoherent", "coherent")
    assert not nonlinear.scan_nonlinear(problem, "signal", np.arange(5.0, 7.0)).converged
    over_kappa = nonlinear.scan_nonlinear(problem, "kappa", np.array([0.5, 1.0]))
    assert over_kappa.special_points == ()
