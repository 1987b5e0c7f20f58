"""The verdict on a sampled kernel: it passes what is right, and fails what is wrong or not yet known."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.agreement import compare

KERNEL = np.array([[2.0, 0.5], [0.5, 3.0]])
ERROR = np.full((2, 2), 0.01)


def test_differences_within_their_errors_agree():
    verdict = compare(KERNEL, KERNEL + 2 * ERROR, ERROR, rhat=1.0, ess=1000.0)
    assert verdict.agrees
    np.testing.assert_allclose(verdict.z, 2.0)


@pytest.mark.parametrize("entry", [(0, 0), (0, 1), (1, 1)])
def test_one_wrong_entry_disagrees(entry):
    mean = KERNEL.copy()
    mean[entry] += 0.05
    verdict = compare(KERNEL, mean, ERROR, rhat=1.0, ess=1000.0)
    assert not verdict.agrees
    assert "|z|" in verdict.reason


@pytest.mark.parametrize(("rhat", "ess"), [(1.2, 1000.0), (1.0, 20.0)])
def test_chains_that_have_not_mixed_are_no_evidence(rhat, ess):
    verdict = compare(KERNEL, KERNEL, ERROR, rhat=rhat, ess=ess)
    assert not verdict.agrees
    assert "mixed" in verdict.reason


def test_false_alarms_are_as_rare_as_stated():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(4000):
        noise = np.triu(rng.standard_normal((2, 2)))
        noise = noise + np.triu(noise, 1).T
        alarms += not compare(KERNEL, KERNEL + ERROR * noise, ERROR, rhat=1.0, ess=1000.0).agrees
    assert alarms <= 14  # 4 expected at the level of 1e-3


def test_alignment_is_one_only_for_proportional_kernels():
    assert compare(KERNEL, 2 * KERNEL, ERROR, rhat=1.0, ess=1000.0).cka == pytest.approx(1.0)
    assert compare(KERNEL, np.eye(2), ERROR, rhat=1.0, ess=1000.0).cka < 0.99
