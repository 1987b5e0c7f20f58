"""Whole runs: repetition, interruption, checkpoints, gauge, starts, summaries and refusals."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linalg import alignment
from numerics.sampling import Plan, last_weights, simulate
from numerics.sampling import simulate as simulate_function
from numerics.sampling.diagnostics import summarise
from numerics.sampling.hmc import HMC
from numerics.sampling.network import Weights, make_network
from numerics.sampling.normals import fill_normal
from numerics.sampling.observables import (
    autocorrelation,
    bulk_edge,
    coherence,
    flip_outputs,
    leading_eigenvalues,
    observe,
    outliers,
)
from numerics.sampling.result import Simulation
from numerics.sampling.sgld import SGLD, mobility

SMALL = {"width": 12, "chains": 2, "steps": 20, "warmup": 40, "seed": 5}


def small(sampler: str = "hmc", **options):
    settings = SMALL | {"workers": 1} | options
    return simulate(endpoint(4, 20.0), sampler=sampler, **settings)


#: For what leaves nothing behind.
kept = cache(small)


@pytest.fixture(scope="module")
def plain():
    return kept()


@pytest.fixture(scope="module")
def mixing():
    """A run long enough for the signs of the coherent state to mix at this width."""
    return small(steps=200)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    small(checkpoint=folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.mark.parametrize("sampler", ["hmc-weights", pytest.param("collapsed", marks=pytest.mark.slow), "sgld"])
def test_same_numbers_in_one_process_and_in_two(sampler):
    one, two = kept(sampler), small(sampler, workers=2)
    assert np.array_equal(one.kernels, two.kernels)
    assert np.array_equal(one.outputs, two.outputs)
    assert one.step_size == two.step_size


def test_chains_and_seeds_differ(plain):
    began = time.monotonic()
    run = small(seed=6)
    assert 0 < run.seconds <= time.monotonic() - began
    assert not np.array_equal(run.kernels[0], run.kernels[1])
    assert not np.array_equal(run.kernels, plain.kernels)


def test_fields_have_the_promised_shapes():
    problem = sequence(5, 1.2566, 2.0, [1, 4]).with_(x_test=np.ones((3, 2)))
    run = simulate(problem, 12, chains=2, steps=16, warmup=40, workers=1)
    assert run.kernel_mean.shape == run.kernel_standard_error.shape == run.kernel_sd.shape == (8, 8)
    assert run.prediction.shape == run.prediction_standard_error.shape == (2, 4)
    assert run.test_prediction.shape == run.test_prediction_standard_error.shape == (3, 4)
    assert run.coherence.shape == (4, 4)
    assert run.autocorrelation.shape == (4,)
    assert run.kernels.shape == (2, 16, 8, 8)
    assert 0 < run.acceptance <= 1
    assert run.kernel_bias is None
    assert np.array_equal(run.kernel_mean, run.kernel_mean.T)
    assert run.outliers.ndim == 1


@pytest.mark.parametrize("sampler", ["collapsed", "hmc-weights", "sgld"])
def test_eigenvalues_that_are_not_computed_change_no_draw(sampler):
    options = {"chains": 2, "steps": 16, "warmup": 40, "seed": 3, "workers": 1}
    given, without = (simulate(endpoint(4, 20.0), 24, sampler, eigenvalues=each, **options) for each in (True, False))
    np.testing.assert_array_equal(without.kernels, given.kernels)
    np.testing.assert_array_equal(without.outputs, given.outputs)
    assert len(given.spectra) == 16
    assert without.spectra == ()
    assert without.outliers is without.bulk is None


def test_a_single_hidden_time_runs():
    run = simulate(Problem(np.ones((1, 1)), np.array([[1.0]])), 10, chains=1, steps=40, warmup=40, workers=1)
    assert run.outliers is None
    assert run.sign_flips is None


def test_langevin_reports_its_bias_and_hmc_none():
    run = small("sgld", steps=400, warmup=200)
    assert run.acceptance is None
    assert run.kernel_bias.shape == (3, 3)
    assert small("sgld", integrator="leimkuhler-matthews").kernel_bias is None


def test_no_bias_is_reported_where_first_order_in_the_step_says_nothing():
    """At λ = 4 and h = 0.1 first order says ten times what is seen."""
    options = {"chains": 1, "steps": 300, "warmup": 100, "seed": 1, "workers": 1}
    assert simulate(endpoint(4, 4.0), 64, "sgld", step_size=0.1, **options).kernel_bias is None
    assert simulate(endpoint(4, 4.0), 64, "sgld", step_size=0.02, **options).kernel_bias is not None


def test_hmc_integrates_the_weights_out_where_it_can():
    run = kept(steps=8)
    assert run.sampler == "collapsed"
    assert np.array_equal(run.kernels, small("collapsed", steps=8).kernels)
    assert small(steps=8, readout="sampled").sampler == "hmc-weights"
    dependent = Problem(np.ones((2, 2)), np.array([[np.nan, 1.0], [np.nan, 2.0]]))  # one pattern twice
    own = endpoint(4, 20.0, activation=lambda h: np.tanh(h))
    crowded = {"problem": endpoint(12, 2.0), "width": 12}
    for changes in ({"problem": dependent}, crowded, {"problem": own}, {"readout": "sampled"}):
        assert Plan(**({"problem": endpoint(4, 20.0), "width": 20} | changes)).moves == "hmc-weights"


@pytest.mark.parametrize("sampler", ["hmc-weights", "collapsed", "sgld"])
def test_last_weights_are_those_of_the_last_draw(sampler, tmp_path):
    run = small(sampler, checkpoint=tmp_path)
    plan = Plan(problem=run.problem, sampler=sampler, **SMALL)
    for chain in range(2):
        weights = last_weights(tmp_path, plan, chain)
        assert observe(plan.network(), weights).kernel == pytest.approx(run.kernels[chain, -1], rel=1e-4, abs=1e-4)


def test_own_activation_is_used():
    own = Activation.of(lambda h: h, name="linear again")
    run = simulate(endpoint(4, 20.0, activation=own), workers=1, **SMALL)
    assert run.problem.activation.name == "linear again"
    assert run.kernels == pytest.approx(kept("hmc-weights").kernels)


def test_gauge_keeps_even_entries_and_makes_the_order_parameter_positive(mixing):
    run, fixed = mixing, mixing.gauge_fixed()
    assert (fixed.kernels[..., 2, 1] >= 0).all()
    assert np.array_equal(fixed.kernels[..., 2, 0], run.kernels[..., 2, 0])
    assert np.array_equal(np.abs(fixed.kernels), np.abs(run.kernels))
    assert np.array_equal(fixed.outputs[..., 2], run.outputs[..., 2])  # supervised
    assert fixed.sign_flips == (0, 0)
    assert sum(run.sign_flips) > 0


@pytest.mark.parametrize(
    "problem",
    [
        endpoint(4, 5.0, activation="relu"),
        Problem(np.ones((1, 2, 1)), np.array([[np.nan, np.nan, 1.0]])),
        Problem(np.ones((1, 1)), np.array([[np.nan, 1.0, 1.0]])),
    ],
)
def test_no_gauge_without_the_symmetry(problem):
    run = simulate(problem, 8, chains=1, steps=20, warmup=40, workers=1)
    assert run.sign_flips is None
    np.testing.assert_array_equal(run.gauge_fixed().kernels, run.kernels)


def with_order_parameters(run: Simulation, *values: float) -> Simulation:
    """A run whose order parameter takes the given values in turn, in each of two chains."""
    kernels = run.kernels.copy()
    kernels[:, :, 2, 1] = kernels[:, :, 1, 2] = np.resize(values, kernels.shape[1])
    return replace(run, kernels=kernels)


def test_the_sign_is_taken_out_of_the_means_of_coherent_networks_only(mixing):
    signs = np.random.default_rng(0).permutation([2.0, -2.0] * 100)
    two_values = with_order_parameters(mixing, *(signs + 0.01 * np.arange(200) / 200 * signs))
    assert two_values.binder_cumulant == pytest.approx(2 / 3, rel=1e-3)
    assert two_values.positive_share == (0.5, 0.5)
    assert abs(two_values.both_signs().kernel_mean[2, 1]) < 0.01
    assert two_values.kernel_mean[2, 1] == pytest.approx(2.0, rel=5e-3)
    for what in ("kernel_mean", "kernel_standard_error", "prediction", "ess", "rhat", "coherence"):
        free, fixed = (getattr(run, what) for run in (two_values, two_values.one_sign()))
        np.testing.assert_array_equal(free, fixed)
    np.testing.assert_array_equal(two_values.kernel_controlled.mean, two_values.one_sign().kernel_controlled.mean)
    assert dict(two_values.facts())["positive order parameter"] == "50%, 50% of each chain's draws; means in one sign"
    about_zero = with_order_parameters(mixing, *np.random.default_rng(1).normal(size=200))
    assert abs(about_zero.binder_cumulant) < 0.2
    assert about_zero.one_sign() is about_zero
    assert "positive order parameter" not in dict(about_zero.facts())
    signed = simulate(endpoint(4, 5.0, activation="relu"), 8, chains=1, steps=20, warmup=40, workers=1)
    assert signed.binder_cumulant is signed.positive_share is None
    assert signed.one_sign() is signed


def test_chains_that_have_not_mixed_warn(plain):
    half = np.random.default_rng(2).normal(size=(2, 400, 3, 3))
    steady = replace(plain, kernels=half + half.swapaxes(2, 3), outputs=np.zeros((2, 400, 1, 3)), controls=None)
    assert steady.warnings == ()
    apart = replace(steady, kernels=steady.kernels + np.array([0.0, 3.0])[:, None, None, None])
    assert [warning.split(" is ")[0] for warning in apart.warnings] == ["R-hat", "the effective sample size"]
    short = replace(steady, kernels=steady.kernels[:, :30], outputs=steady.outputs[:, :30])
    assert "the effective sample size" in [warning.split(" is ")[0] for warning in short.warnings]


def test_the_gauge_turns_outputs_at_every_other_time_from_the_supervised_one():
    assert flip_outputs(endpoint(5, 1.0)).tolist() == [-1.0, 1.0, -1.0, 1.0]
    assert flip_outputs(sequence(6, 1.0, 1.0, (1, 3))).tolist() == [1.0, -1.0, 1.0, -1.0, 1.0]


def test_starts_choose_the_phase():
    options = {"width": 128, "chains": 2, "steps": 30, "warmup": 40, "seed": 3, "workers": 1}
    up, down = (simulate(endpoint(4, 60.0), init=kind, **options) for kind in ("coherent", "coherent-negative"))
    assert (up.basins == 1).all()
    assert (down.basins == -1).all()
    with pytest.raises(InputError, match="init: is 'hot'"):
        simulate(endpoint(4, 60.0), init="hot", **options)


def test_outlier_of_a_strongly_driven_network_follows_the_gauge():
    run = simulate(endpoint(4, 100.0), 128, chains=2, steps=60, warmup=60, seed=1, workers=1)
    assert run.gauge_fixed().outliers.shape == (1,)
    assert run.gauge_fixed().outliers[0].real > 1.3
    assert abs(run.outliers[0]) == pytest.approx(run.gauge_fixed().outliers[0].real)


def test_an_outlier_is_beyond_the_edge_by_the_margin_of_the_width():
    """At width 100 the edge is at 1.2: one of 1.25 counts, one of 1.15 does not."""
    spectrum = np.array([1.25, 1.15, 0.9j, -0.5])
    assert outliers([spectrum, spectrum], [1.0, 1.0], 100) == pytest.approx([1.25])
    assert outliers([spectrum, -spectrum], [1.0, -1.0], 100) == pytest.approx([1.25])
    assert outliers([spectrum], [1.0], 10_000) == pytest.approx([1.25, 1.15])  # the edge is at 1.02
    assert outliers([], [], 100).shape == (0,)


def test_bulk_eigenvalues_follow_the_circular_law():
    run = simulate(endpoint(4, 20.0), 96, "collapsed", chains=2, steps=64, warmup=60, seed=1, workers=1)
    assert abs(len(run.bulk) - 95 * len(run.spectra)) <= 2 * len(run.spectra)  # about one outlier each
    assert np.mean(run.bulk**2) == pytest.approx(0.5, abs=0.05)
    assert np.median(run.bulk**2) == pytest.approx(0.5, abs=0.08)
    assert simulate(endpoint(4, 20.0, arch="dnn"), 12, chains=1, steps=20, warmup=40, workers=1).bulk is None


@pytest.mark.slow
def test_alignment_with_its_standard_error():
    # below the transition: the delta method needs a mean that is well known, and the basins' sign never is
    options = {"width": 24, "chains": 1, "steps": 100, "warmup": 40, "step_size": 0.4, "workers": 1}
    runs = [simulate(endpoint(4, 4.0), seed=seed, **options) for seed in range(12)]
    kernel = runs[0].kernel_mean + np.diag([0.0, 0.3, 0.0])
    values, errors = np.array([run.alignment(kernel) for run in runs]).T
    assert values == pytest.approx([float(alignment(run.kernel_mean, kernel)) for run in runs])
    # the scatter of independent runs is what the errors say
    assert values.std(ddof=1) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.5)
    with pytest.raises(InputError, match="kernel: has shape"):
        runs[0].alignment(np.eye(2))


def test_control_variates_have_mean_zero_and_take_the_noise_out():
    options = {"chains": 2, "steps": 120, "warmup": 40, "step_size": 0.4, "seed": 1, "workers": 1}
    run = simulate(endpoint(4, 4.0), 64, **options)
    means = summarise(run.controls)
    assert np.abs(means.mean / means.standard_error).max() < 4
    assert (run.kernel_controlled.standard_error < 0.6 * run.kernel_standard_error).all()
    difference = run.kernel_controlled.mean - run.kernel_mean
    assert np.abs(difference / run.kernel_standard_error).max() < 4
    fixed = simulate(endpoint(4, 60.0), 64, **options).gauge_fixed()
    assert (fixed.kernel_controlled.standard_error < 0.6 * fixed.kernel_standard_error).all()
    assert kept("hmc-weights").kernel_controlled is None
    assert kept(steps=8).kernel_controlled is None  # too few draws


def test_variates_that_are_odd_are_left_out_where_signs_mix(mixing):
    run, fixed = mixing, mixing.gauge_fixed()
    assert sum(run.sign_flips) > 0
    assert (fixed.controls[..., 0, 1] == 0).all()
    assert np.array_equal(fixed.controls[..., 0, 2], run.controls[..., 0, 2])


def test_energy_by_hand(plain):
    run = plain
    last = run.kernels[..., 2, 2] + run.problem.kappa
    assert run.energies == pytest.approx(0.5 * 20.0 / last + 0.5 * np.log(last) / 12)


def test_progress_counts_every_step():
    seen = []
    small(progress=lambda what, done, total: seen.append((done, total)))
    assert seen[-1] == (120, 120)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"width": 0}, "width: is 0; accepted: an integer ≥ 1"),
        ({"chains": 0}, "chains: is 0; accepted: an integer ≥ 1"),
        ({"steps": 3}, "steps: is 3; accepted: an integer ≥ 8"),
        ({"steps": 10.5}, "steps: is 10.5"),
        ({"sampler": "gibbs"}, "sampler: is 'gibbs'; accepted: hmc, collapsed, hmc-weights, sgld"),
        ({"dtype": "float16"}, "dtype: is 'float16'"),
        ({"readout": "none"}, "readout: is 'none'"),
        ({"sampler": "sgld", "readout": "marginal"}, "readout: is 'marginal'; accepted: sampled"),
        ({"integrator": "leimkuhler-matthews"}, "integrator: is 'leimkuhler-matthews'; accepted: euler"),
        ({"preconditioner": "adam", "sampler": "sgld"}, "preconditioner: is 'adam'; accepted: prior, identity"),
        ({"warmup": 5}, "warmup: is 5; accepted: an integer ≥ 40"),
        ({"seed": -1}, "seed: is -1"),
        ({"step_size": 0.0}, "step_size: is 0; accepted: "),
        ({"workers": 0}, "workers: is 0; accepted: an integer ≥ 1"),
    ],
)
def test_bad_input_is_one_line(change, line):
    with pytest.raises(InputError) as caught:
        small(**change)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert "accepted: " in str(caught.value)


def test_langevin_that_overflows_says_so():
    with pytest.raises(InputError, match="step_size: the chain overflowed"), np.errstate(all="ignore"):
        small("sgld", step_size=5.0)


class Stop(Exception):
    """Raised from the progress callback to cut a run short."""


def cut_after(steps: int):
    def progress(what: str, done: float, total: float) -> None:
        if done >= steps:
            raise Stop

    return progress


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("hmc", {}),
        pytest.param("hmc", {"readout": "sampled"}, marks=pytest.mark.slow),
        pytest.param("collapsed", {}, marks=pytest.mark.slow),
        ("sgld", {}),
        ("sgld", {"integrator": "leimkuhler-matthews"}),
    ],
)
def test_a_cut_run_goes_on_to_the_same_numbers(sampler, options, tmp_path, monkeypatch):
    # Segments of a single step, cut at several places of warm-up and sampling.
    monkeypatch.setattr(sys.modules[simulate_function.__module__], "_SEGMENT_SECONDS", 0.0)
    whole = small(sampler, **options)
    for steps in (27, 90):
        with pytest.raises(Stop):
            small(sampler, checkpoint=tmp_path, progress=cut_after(steps), **options)
    resumed = small(sampler, checkpoint=tmp_path, **options)
    assert np.array_equal(resumed.kernels, whole.kernels)
    assert np.array_equal(resumed.outputs, whole.outputs)
    assert resumed.step_size == whole.step_size
    assert np.array_equal(resumed.outliers, whole.outliers)


def test_a_finished_run_is_read_back(plain, folder):
    assert np.array_equal(small(checkpoint=folder).kernels, plain.kernels)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_checkpoint_is_refused(damage, folder):
    path = next(folder.glob("*.checkpoint"))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "empty":
        content = bytearray()
    else:
        content = bytearray(b"PK not ours")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint: .* is damaged") as caught:
        small(checkpoint=folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"seed": 6}, {"width": 13}, {"steps": 21}, {"sampler": "sgld"}])
def test_a_foreign_checkpoint_is_refused(change, folder):
    with pytest.raises(InputError, match=r"checkpoint: .* belongs to another run"):
        small(checkpoint=folder, **change)


def test_standard_errors_count_autocorrelation():
    # AR(1) with coefficient ρ: the mean's variance is larger than that of independent draws by (1 + ρ)/(1 - ρ).
    rng = np.random.default_rng(1)
    rho, draws = 0.9, 20_000
    noise = rng.standard_normal((4, draws)) * np.sqrt(1 - rho**2)
    series = np.zeros((4, draws))
    for step in range(1, draws):
        series[:, step] = rho * series[:, step - 1] + noise[:, step]
    seen = summarise(series)
    assert seen.ess == pytest.approx(4 * draws * (1 - rho) / (1 + rho), rel=0.15)
    assert seen.standard_error == pytest.approx(float(seen.sd) / np.sqrt(float(seen.ess)))
    assert abs(float(seen.mean)) < 4 * float(seen.standard_error)


def test_chains_that_disagree_have_a_large_rhat():
    rng = np.random.default_rng(2)
    series = rng.standard_normal((2, 500)) + np.array([[3.0], [-3.0]])
    assert summarise(series).rhat > 1.5
    stuck = np.stack([np.zeros(500), rng.standard_normal(500)])
    assert summarise(stuck).rhat == np.inf


def test_a_single_chain_is_compared_with_itself():
    series = np.random.default_rng(3).standard_normal((1, 400))
    assert summarise(series).rhat == pytest.approx(1, abs=0.02)
    assert summarise(series + np.linspace(0, 5, 400)).rhat > 1.2
    assert small(chains=1, steps=8).rhat > 0


def test_coherence_and_autocorrelation_by_hand():
    kernel = np.array([[4.0, 2.0, 1.0], [2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    assert coherence(kernel, 1) == pytest.approx(np.array([[1, 0.5, 0.5], [0.5, 1, -1], [0.5, -1, 1]]))
    assert autocorrelation(kernel, 1) == pytest.approx([1, -0.25, 0.5])
    two = np.kron(kernel, np.eye(2))
    assert coherence(two, 2) == pytest.approx(coherence(kernel, 1))
    assert coherence(np.zeros((3, 3)), 1) == pytest.approx(np.zeros((3, 3)))
    assert alignment(kernel, 3 * kernel) == pytest.approx(1)


def test_sampling_is_light_to_import():
    code = (
        "import sys, numerics.sampling; print([m for m in ('arviz_stats', 'sympy', 'matplotlib') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_arviz_format(plain, tmp_path):
    pytest.importorskip("arviz_base")
    xarray = pytest.importorskip("xarray")
    run = plain
    run.to_arviz().to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    tree = xarray.load_datatree(tmp_path / "run.nc", engine="h5netcdf")
    assert np.array_equal(tree["posterior"]["kernel"].values, run.kernels)
    assert tree["posterior"]["kernel"].dims == ("chain", "draw", "row", "column")
    assert tree.attrs["width"] == 12
    assert np.array_equal(tree["constant_data"]["y"].values, run.problem.y, equal_nan=True)


def test_vectorised_normals():
    rng = np.random.default_rng(1)
    values = np.empty(3_000_001, np.float32)
    fill_normal(rng, values, 2.0)
    scaled = values.astype(np.float64) / 2
    n = len(scaled)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((scaled**power).mean() - moment) < 4 * np.sqrt(variance / n)
    assert kstest(scaled[:500_000], "norm").pvalue > 1e-3
    # The two numbers of a pair are made from one radius: they must still be independent.
    first, second = scaled[0 : n - 1 : 2], scaled[1:n:2]
    for power in (1, 2):
        assert abs(np.corrcoef(first**power, second**power)[0, 1]) < 4 / np.sqrt(n // 2)
    assert abs(np.corrcoef(np.abs(first), second)[0, 1]) < 4 / np.sqrt(n // 2)
    fourth = np.cos(4 * np.arctan2(second, first)).mean()
    assert abs(fourth) < 4 / np.sqrt(n)


def test_too_few_directions_of_the_normals_are_noticed(monkeypatch):
    # With four directions a pair is (±r, 0) or (0, ±r): its squares are anticorrelated and cos 4θ is always one.
    monkeypatch.setattr("numerics.sampling.normals._CIRCLE", np.tile(np.complex64([1, 1j, -1, -1j]), 1 << 10))
    values = np.empty(100_000, np.float32)
    fill_normal(np.random.default_rng(1), values)
    pairs = values.astype(np.float64).reshape(-1, 2)
    assert np.corrcoef(pairs[:, 0] ** 2, pairs[:, 1] ** 2)[0, 1] < -0.2
    assert kstest(values, "norm").pvalue < 1e-6


def test_langevin_step_does_not_depend_on_threads():
    net = make_network(endpoint(4, 20.0), 1024, "float32")  # two bands of rows
    weights = net.prior_draw(np.random.default_rng(1), readout=True)
    steps = []
    for threads in (1, 2):
        sampler = SGLD(net, 1e-3, mobility(net, "prior"), threads=threads)
        rng = np.random.default_rng(2)
        state = sampler.init(rng, weights)
        for _ in range(3):
            state, _ = sampler.step(rng, state)
        steps.append(state.complete(rng).weights.W)
    assert np.array_equal(*steps)


@pytest.mark.parametrize("kind", ["sgld", "hmc"])
def test_spare_memory_changes_nothing(kind):
    net = make_network(endpoint(4, 20.0), 30, "float32")
    weights = net.prior_draw(np.random.default_rng(1), readout=kind == "sgld")
    sampler = SGLD(net, 1e-3, mobility(net, "prior")) if kind == "sgld" else HMC(net, 0.2, 1.0)
    rngs = [np.random.default_rng(3) for _ in range(2)]
    state = sampler.init(rngs[0], weights) if kind == "sgld" else sampler.init(weights)
    before = weights.W.copy()
    plain = sampler.step(rngs[0], state)[0].weights.W
    spared = sampler.step(rngs[1], state, np.empty_like(before))[0].weights.W
    assert np.array_equal(plain, spared)
    assert np.array_equal(weights.W, before)


def test_arnoldi_finds_the_outliers_that_all_eigenvalues_show():
    rng = np.random.default_rng(4)
    N = 600
    eta = rng.standard_normal((N, N))
    ahead = rng.standard_normal((N, 2)) / np.sqrt(N)
    eta += np.sqrt(N) * (1.5 * np.outer(ahead[:, 0], ahead[:, 0]) - 2.0 * np.outer(ahead[:, 1], ahead[:, 1]))
    found = leading_eigenvalues(Weights(np.ones((N, 1)), eta[None], None))
    dense = np.linalg.eigvals(eta / np.sqrt(N))
    dense = dense[np.argsort(-np.abs(dense))]
    assert found[:2] == pytest.approx(dense[:2], abs=1e-3)
    assert np.abs(found[:2]).min() > bulk_edge(N)
