"""Directions in which a map leads away, of matrices whose eigenvalues are planted."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.nonlinear.instability import KRYLOV, beyond_one, leads_back


@pytest.mark.parametrize("length", [KRYLOV // 2, 3 * KRYLOV])  # all eigenvalues, and those of a Krylov space
@pytest.mark.parametrize("beyond", [[], [1.01], [3.0, 1.5]])
def test_eigenvectors_beyond_one_are_found_and_no_others(length, beyond):
    rng = np.random.default_rng(length)
    vectors = np.linalg.qr(rng.standard_normal((length, length)))[0]
    size = np.concatenate([beyond, rng.uniform(-2.0, 0.9, length - len(beyond))])
    matrix = (vectors * size) @ vectors.T
    found = beyond_one(lambda direction: matrix @ direction, length, lambda direction: direction, 6)
    assert len(found) == len(beyond)
    for k, each in enumerate(found):
        assert abs(each @ vectors[:, k]) == pytest.approx(1, abs=1e-2)


def test_no_more_than_asked_for_are_given_and_a_pair_that_turns_is_one():
    turning = np.diag([2.0, 1.5, 0.5, 1.2, 1.2])
    turning[3, 4], turning[4, 3] = 0.7, -0.7
    for most, expected in ((1, 1), (5, 3)):
        found = beyond_one(lambda direction: turning @ direction, 5, lambda direction: direction, most)
        assert len(found) == expected
    assert np.abs(found[2][:3]).max() < 1e-12


def test_a_short_space_shows_that_no_eigenvalue_comes_near_one():
    rng = np.random.default_rng(1)
    vectors = np.linalg.qr(rng.standard_normal((120, 120)))[0]
    for largest, leads, clearly in ((0.8, True, True), (0.97, True, False), (1.001, False, False)):
        matrix = (vectors * np.concatenate([[largest], rng.uniform(-0.2, 0.2, 119)])) @ vectors.T
        assert leads_back(lambda direction, matrix=matrix: matrix @ direction, 120) is leads
        assert leads_back(lambda direction, matrix=matrix: matrix @ direction, 120, clear=0.05) is clearly
