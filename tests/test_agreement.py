"""The verdict on a sampled kernel: it passes what is right, and fails what is wrong or not yet known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numerics.checking.agreement import compare_means, shift_seen
from tests.width_trend import width_trend

KERNEL = np.array([[2.0, 0.5], [0.5, 3.0]])
ERROR = np.full((2, 2), 0.01)


def test_differences_within_their_errors_agree():
    verdict = compare_means(KERNEL, KERNEL + 2 * ERROR, ERROR, rhat=1.0, ess=1000.0)
    assert verdict.agrees
    np.testing.assert_allclose(verdict.z, 2.0)


SHIFT = np.array([[0.02, -0.03], [-0.03, 0.01]])


def kernels_around(mean, seed, correlation=0.9, memory=0.8):
    """Draws whose entries correlate with each other and in time, each of unit size 0.2, (4, 500, 2, 2)."""
    rng = np.random.default_rng(seed)
    fresh = rng.standard_normal((501, 4, 3)) @ np.linalg.cholesky(np.full((3, 3), correlation) + 0.1 * np.eye(3)).T
    off = np.empty((500, 4, 3))
    here = fresh[500]
    for draw in range(500):
        here = memory * here + np.sqrt(1 - memory**2) * fresh[draw]
        off[draw] = 0.2 * here
    return mean + off[..., [[0, 1], [1, 2]]].transpose(1, 0, 2, 3)


def test_the_share_of_a_shift_that_is_seen():
    """1 if it is there, with an honest error, and far from 1 if it is not, has the other sign, or is twice as large."""
    none = np.zeros((2, 2))
    found = [shift_seen(kernels_around(KERNEL + SHIFT, seed), KERNEL, SHIFT, none) for seed in range(12)]
    z = np.array([each.z for each in found])
    assert np.abs(z).max() < 3.5
    assert 0.5 < z.std() < 1.7
    # entries one by one do not tell: their errors are 0.2·√(9/2000)
    assert max(each.error for each in found) < 0.25 < 0.2 * np.sqrt(9 / 2000) / 0.03
    for factor in (0.0, -1.0, 2.0):
        wrong = [shift_seen(kernels_around(KERNEL + factor * SHIFT, seed), KERNEL, SHIFT, none) for seed in range(3)]
        assert all(abs(each.z) > 4 for each in wrong), factor
        assert np.mean([each.share for each in wrong]) == pytest.approx(factor, abs=0.4)
    seen = wrong[0]
    verdict = compare_means(KERNEL, KERNEL, ERROR, rhat=1.0, ess=1000.0, shift=seen)
    assert not verdict.agrees
    assert "share" in verdict.reason
    assert compare_means(KERNEL, KERNEL, ERROR, rhat=1.0, ess=1000.0, shift=found[0]).agrees
    # what the theory does not know of its own shift is in the error
    unsure = shift_seen(kernels_around(KERNEL, 0), KERNEL, SHIFT, np.abs(SHIFT))
    assert unsure.error > 1
    assert shift_seen(kernels_around(KERNEL, 0), KERNEL, none, none) is None


@pytest.mark.parametrize("entry", [(0, 0), (0, 1), (1, 1)])
def test_one_wrong_entry_disagrees(entry):
    mean = KERNEL.copy()
    mean[entry] += 0.05
    verdict = compare_means(KERNEL, mean, ERROR, rhat=1.0, ess=1000.0)
    assert not verdict.agrees
    assert "|z|" in verdict.reason


@pytest.mark.parametrize(("rhat", "ess"), [(1.2, 1000.0), (1.0, 20.0)])
def test_chains_that_have_not_mixed_are_no_evidence(rhat, ess):
    verdict = compare_means(KERNEL, KERNEL, ERROR, rhat=rhat, ess=ess)
    assert not verdict.agrees
    assert "mixed" in verdict.reason


@pytest.mark.parametrize(("off", "verdict"), [(2.0, "agrees"), (9.0, "undecided")])
def test_a_difference_from_the_limit_decides_nothing_where_the_shift_is_not_known(off, verdict):
    found = compare_means(KERNEL, KERNEL + off * ERROR, ERROR, rhat=1.0, ess=1000.0, at_width=False)
    assert found.verdict == verdict
    assert found.agrees is (verdict == "agrees")
    assert "N → ∞" in found.reason
    assert compare_means(KERNEL, KERNEL + off * ERROR, ERROR, rhat=1.0, ess=1000.0).verdict in (verdict, "disagrees")
    assert not compare_means(KERNEL, KERNEL, ERROR, rhat=2.0, ess=1000.0, at_width=False).agrees


def test_false_alarms_are_as_rare_as_stated():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(4000):
        noise = np.triu(rng.standard_normal((2, 2)))
        noise = noise + np.triu(noise, 1).T
        alarms += not compare_means(KERNEL, KERNEL + ERROR * noise, ERROR, rhat=1.0, ess=1000.0).agrees
    assert alarms <= 14  # 4 expected at the level of 1e-3


@pytest.mark.parametrize("rows", [1, 2, 6])
def test_the_limit_is_where_the_stated_share_of_correct_predictions_fails(rows):
    """Two-sided tail probability 1e-3 over all independent entries together, by the complementary error function."""
    kernel, error = np.eye(rows), np.full((rows, rows), 0.01)
    limit = compare_means(kernel, kernel, error, rhat=1.0, ess=1000.0).z_limit
    entries = rows * (rows + 1) // 2
    assert entries * math.erfc(limit / math.sqrt(2)) == pytest.approx(1e-3, rel=1e-9)
    off = np.zeros((rows, rows))
    for factor, agrees in ((0.99, True), (-0.99, True), (1.01, False), (-1.01, False)):
        off[0, 0] = factor * limit * 0.01
        assert compare_means(kernel, kernel + off, error, rhat=1.0, ess=1000.0).agrees is agrees


def test_alignment_is_one_only_for_proportional_kernels():
    assert compare_means(KERNEL, 2 * KERNEL, ERROR, rhat=1.0, ess=1000.0).cka == pytest.approx(1.0)
    assert compare_means(KERNEL, np.eye(2), ERROR, rhat=1.0, ess=1000.0).cka < 0.99


def test_the_limit_of_planted_widths_is_found_with_its_error():
    rng = np.random.default_rng(3)
    widths = [64, 128, 256, 512]
    limit, slope = np.array([[1.0, 0.3], [0.3, 2.0]]), np.array([[5.0, -2.0], [-2.0, 9.0]])
    z = []
    for _ in range(400):
        errors = [np.full((2, 2), 0.02 * (64 / N) ** 0.5) for N in widths]
        means = [limit + slope / N + rng.normal(size=(2, 2)) * e for N, e in zip(widths, errors, strict=True)]
        trend = width_trend(widths, means, errors)
        z.append((trend.limit - limit) / trend.limit_standard_error)
    assert np.abs(np.mean(z, axis=0)).max() < 0.2
    np.testing.assert_allclose(np.std(z, axis=0), 1.0, atol=0.12)


def test_a_trend_that_is_no_line_is_noticed_and_a_parabola_repairs_it():
    widths, error = [16, 32, 64, 128], np.full((4, 1), 1e-3)
    means = np.array([[1 + 3 / N + 40 / N**2] for N in widths])
    line, parabola = (width_trend(widths, means, error, order=order) for order in (1, 2))
    assert line.misfit < 1e-6
    assert abs(line.limit[0] - 1) > 4 * line.limit_standard_error[0]
    assert parabola.misfit > 0.999
    np.testing.assert_allclose(parabola.coefficients[:, 0], [1, 3, 40], rtol=1e-9)
    np.testing.assert_allclose(parabola.at(16), means[0], rtol=1e-12)


def test_an_entry_that_the_task_fixes_has_a_limit_without_error():
    trend = width_trend([32, 64, 128], [[1.0], [1.0], [1.0]], [[0.0], [0.0], [0.0]])
    assert trend.limit[0] == pytest.approx(1.0)
    assert trend.limit_standard_error[0] == 0
