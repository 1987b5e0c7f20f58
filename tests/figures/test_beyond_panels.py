"""The claims of the panels beyond the poster, in the theory that they draw; and that a wrong network is seen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from derivations.figures import (
    looped_kernel,
    networks,
    several_outputs,
    sharing_order,
    sharing_sequences,
    skip_strength,
)
from derivations.figures.panel import Effort
from numerics import endpoint, predict, solve

SMALL = {"width": 32, "steps": 24, "warmup": 40, "chains": 2}


def test_both_families_turn_coherent_at_one_correlation_and_the_label_is_learnt_before():
    critical = sharing_order.critical_rho()
    for family in sharing_order.FAMILIES:
        found = {rho: solve(sharing_order.problem(family, rho)) for rho in (0.2, critical - 2e-3, critical + 1e-3, 1.0)}
        assert [state.branch for state in found.values()] == ["incoherent"] * 2 + ["coherent"] * 2
        (_, first, before), (order, last, after) = (sharing_order.shown(found[rho].kernel) for rho in (0.2, 1.0))
        outputs = predict(found[1.0]).mean[0] / math.sqrt(sharing_order.SIGNAL)
        assert (last, after) == pytest.approx((outputs[-1], outputs[-2]), rel=1e-9)
        assert 0.95 < first < last < 1.02 * first
        assert before == pytest.approx(0, abs=1e-9)
        assert 0.5 < after < 0.55
        assert order == pytest.approx(found[1.0].order_parameter, rel=1e-9)


def test_a_looped_network_is_coherent_at_multiples_of_its_loop_only():
    for loop in looped_kernel.LOOPS:
        state = solve(looped_kernel.problem(loop))
        values = {lag: looped_kernel.at_lag(state.kernel, lag) for lag in range(1, looped_kernel.T - 1)}
        assert all((abs(value) > 0.05) == (lag % loop == 0) for lag, value in values.items())
        assert all(abs(value) < 1e-8 for lag, value in values.items() if lag % loop)


def test_a_skip_makes_both_architectures_alike(monkeypatch):
    monkeypatch.setattr(skip_strength, "GRID", 4)
    rows = skip_strength.along()
    first, last = rows[0], rows[-1]
    assert first["cka"] < 0.9 < 0.994 < last["cka"]
    assert all(np.diff([row["cka"] for row in rows]) > 0)
    assert first["dnn_output"] == pytest.approx(0, abs=1e-12) != first["rnn_output"]
    assert abs(last["dnn_output"] - last["rnn_output"]) < 0.02


def test_two_equal_outputs_have_the_outlier_of_one():
    one = solve(endpoint(several_outputs.T, several_outputs.SIGNAL, kappa=several_outputs.KAPPA))
    assert solve(several_outputs.problem()).free_energy == pytest.approx(2 * one.free_energy, rel=1e-9)
    assert one.kernel[0, 0] == pytest.approx(3, rel=1e-9)
    assert several_outputs.modulus() == pytest.approx(math.sqrt(3), rel=1e-9)


def test_pairs_of_outliers_are_told_apart_and_a_modulus_that_follows_the_phase_is_seen():
    assert several_outputs.pair(np.array([1.0 - 1.4j, 1.0 + 1.4j]))["phase"] == pytest.approx(np.arctan(1.4))
    assert several_outputs.pair(np.array([-1.0 - 1.4j, -1.0 + 1.4j]))["phase"] == pytest.approx(np.arctan(1.4))
    assert several_outputs.pair(np.array([-1.8, 1.6]))["kind"] == "reflection"
    assert several_outputs.pair(np.array([-1.8, -1.6]))["kind"] == "rotation"
    rng = np.random.default_rng(0)

    def largest(slope):
        rows = [
            {"kind": "rotation", "seed": seed, "chain": chain, "phase": phase,
             "modulus": math.sqrt(3) + slope * (phase - 0.8) + 0.08 * rng.normal()}
            for seed in range(5) for chain in range(2) for phase in rng.uniform(0, np.pi / 2, 20)
        ]  # fmt: skip
        means = several_outputs.moduli(rows)
        assert len(means) == several_outputs.BINS
        return max(abs(each["modulus"] - math.sqrt(3)) / each["standard_error"] for each in means)

    assert largest(0.0) < several_outputs.Z_LIMIT < largest(0.4)


@pytest.mark.slow
def test_lines_along_the_correlation_are_those_of_the_lowest_states(monkeypatch):
    monkeypatch.setattr(sharing_sequences, "STEPS", 5)
    error = sharing_sequences.sample_efficiency.error
    lines = {count: sharing_sequences.errors(count) for count in (2, 4)}
    rho = float(sharing_sequences.grid()[2])
    assert 0 < rho < 0.5
    problem = sharing_sequences.sequential.task(f"shared:{rho!r}", sharing_sequences.sample_efficiency.ADDED[:4])
    assert lines[4][2] == pytest.approx(error("times", problem, predict(solve(problem)).mean), rel=1e-6)
    assert np.ptp(lines[2]) < 0.01
    assert np.isnan(sharing_sequences.half_way(lines[2]))
    assert sharing_sequences.half_way(lines[4]) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("module", [looped_kernel, sharing_order, sharing_sequences, several_outputs, skip_strength])
def test_the_panels_are_made_and_do_not_believe_few_draws(module, tmp_path, monkeypatch):
    jobs_seen = []

    def run(jobs, network, workers, progress):
        jobs_seen.extend(jobs.values())
        return [network(dict(settings) | SMALL) for settings in jobs.values()]

    monkeypatch.setattr(module, "finished_runs", run)
    for panel, name, value in (
        (sharing_sequences, "STEPS", 2), (sharing_sequences, "NETWORKS_QUICK", ((4, 0.2),)),
        (sharing_order, "GRID", 5), (sharing_order, "RHOS_QUICK", {"shared": (0.2,), "drift": (1.0,)}),
        (skip_strength, "GRID", 5), (skip_strength, "SKIPS_QUICK", {"rnn": (1.0,), "dnn": (0.5,)}),
        (looped_kernel, "LOOPS", (1, 2)), (looped_kernel, "LOOP_COLOURS", ("C0", "C2")),
        (several_outputs, "NETWORKS_QUICK", 2),
    ):  # fmt: skip
        monkeypatch.setattr(panel, name, value)
    found = module.make(tmp_path, Effort(quick=True, workers=1), lambda what, done, total: None)
    assert all(Path(name).is_file() for name in found["files"])
    assert found["summary"].startswith(module.PANEL.name)
    assert len({settings["seed"] for settings in jobs_seen}) == len(jobs_seen)
    if module is not several_outputs:
        assert found["verdict"] == "undecided"
        assert "DISAGREE" not in found["summary"]


@pytest.mark.slow
def test_a_network_of_another_signal_disagrees(monkeypatch):
    """The comparison itself: the theory of a stronger label beside a network of a weaker one."""
    settings = {"width": 32, "chains": 2, "steps": 400, "warmup": 40, "seed": 1}
    weak, strong = (endpoint(3, signal, arch="shared:0.5") for signal in (4.0, 9.0))
    drawn = networks.sampled_networks(weak, settings)
    monkeypatch.setattr(networks, "sampled_networks", lambda problem, _: replace(drawn, problem=problem))
    assert networks.compared(weak, settings)["largest_z"] < 4
    wrong = networks.compared(strong, settings)
    assert wrong["largest_z"] > 10
    assert wrong["verdict"] == "disagrees"
