"""The bound on the largest error of a mean over parts: known laws, and the share of samples in which it holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from numerics.nonlinear import spread


@pytest.mark.parametrize("n", [4, 8, 16])
def test_one_entry_has_students_law(n):
    parts = np.random.default_rng(n).standard_normal((n, 1))
    known = stats.t.ppf(0.975, n - 1) * spread.standard_error(parts)[0]
    assert spread.largest_error(parts) == pytest.approx(known, rel=0.08)
    alike = parts * np.array([1.0, -0.5, 0.2])  # one direction: that of its largest entry, and one that does not matter
    assert spread.largest_error(alike) == pytest.approx(spread.largest_error(parts), rel=1e-12)


@pytest.mark.parametrize(("n", "rank", "entries", "wide"), [(8, 1, 20, 1.4), (16, 4, 100, 1.5), (16, 300, 300, 1.6)])
def test_no_entry_is_farther_off_in_the_share_of_samples_that_is_told(n, rank, entries, wide):
    rng = np.random.default_rng(rank)
    mixing = np.eye(entries) if rank == entries else rng.standard_normal((rank, entries))
    samples = [rng.standard_normal((n, rank)) @ mixing for _ in range(60 if rank > 100 else 200)]
    off = np.array([np.abs(parts.mean(axis=0)).max() for parts in samples])
    told = np.array([spread.largest_error(parts) for parts in samples])
    covered = np.mean(off <= told)
    assert covered > 0.91
    assert told.mean() < wide * np.quantile(off, spread.COVERED)
    one = np.array([spread.standard_error(parts).max() for parts in samples])
    assert np.mean(off <= one) < 0.7  # a standard error is no bound


def test_a_bias_is_added_and_without_spread_it_is_all():
    bias = np.array([[0.0, -3.0], [1.0, 0.5]])
    assert spread.largest_error(np.zeros((8, 2, 2)), bias) == 3.0
    assert spread.largest_error(np.zeros((8, 2, 2))) == 0.0
    parts = np.random.default_rng(0).standard_normal((16, 2, 2))
    own = spread.largest_error(parts)
    assert own < spread.largest_error(parts, bias) < own + 3.0


def test_a_bias_counts_as_far_as_noise_does_not_explain_it():
    bias, noise = np.array([3.0, 4.0]), np.array([0.0, 2.5])
    np.testing.assert_allclose(spread.beyond_noise(bias, noise), 0.75 * bias)
    np.testing.assert_array_equal(spread.beyond_noise(bias, 3 * noise), 0.0)
    np.testing.assert_array_equal(spread.beyond_noise(0 * bias, noise), 0.0)


def test_entries_are_worked_on_in_parts(monkeypatch):
    parts = np.random.default_rng(0).standard_normal((8, 50))
    whole = spread.largest_error(parts)
    monkeypatch.setattr(spread, "TOGETHER", 7 * spread.DRAWS)
    assert spread.largest_error(parts) == pytest.approx(whole, rel=1e-12)
