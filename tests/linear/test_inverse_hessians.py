"""What the descent learns of inverse Hessians: the secant equation, the same whole and from pairs, row by row."""

import numpy as np
import pytest

from numerics.linear import descent
from numerics.linear.descent import _directions, _Limited, _Whole

ROWS, SIZE = 4, 6


def hessians(rng):
    A = rng.normal(size=(ROWS, SIZE, SIZE))
    return A @ np.swapaxes(A, 1, 2) + np.eye(SIZE)


def updated(inverse, H, steps, which):
    for step, rows in zip(steps, which, strict=True):
        inverse.update(rows, step, np.einsum("kij,kj->ki", H, step))


@pytest.fixture
def learnt():
    rng = np.random.default_rng(1)
    H, steps = hessians(rng), rng.normal(size=(5, ROWS, SIZE))
    which = rng.random((5, ROWS)) < 0.7
    which[:, 0], which[:, 1] = True, False  # one row always, one never
    both = _Whole((ROWS, SIZE)), _Limited((ROWS, SIZE))
    for inverse in both:
        updated(inverse, H, steps, which)
    return both, H, steps, which


def test_the_last_pair_of_each_row_is_met(learnt):
    both, H, steps, which = learnt
    for k in range(ROWS):
        seen = np.flatnonzero(which[:, k])
        for inverse in both:
            if not seen.size:
                g = np.random.default_rng(2).normal(size=(ROWS, SIZE))
                np.testing.assert_array_equal(inverse.times(g)[k], g[k])
                continue
            s = steps[seen[-1]]
            y = np.einsum("kij,kj->ki", H, s)
            np.testing.assert_allclose(inverse.times(y)[k], s[k], rtol=1e-9, atol=1e-10)


def test_estimates_are_symmetric_and_positive_definite(learnt):
    for inverse in learnt[0]:
        columns = [inverse.times(np.tile(unit, (ROWS, 1))) for unit in np.eye(SIZE)]
        B = np.stack(columns, axis=2)
        np.testing.assert_allclose(B, np.swapaxes(B, 1, 2), atol=1e-10)
        assert np.linalg.eigvalsh(B).min() > 0


def test_both_kinds_agree_after_one_pair_and_differ_in_their_scale_later():
    rng = np.random.default_rng(3)
    H, steps, g = hessians(rng), rng.normal(size=(2, ROWS, SIZE)), rng.normal(size=(ROWS, SIZE))
    whole, limited = _Whole((ROWS, SIZE)), _Limited((ROWS, SIZE))
    all_rows = np.ones((1, ROWS), bool)
    for inverse in (whole, limited):
        updated(inverse, H, steps[:1], all_rows)
    np.testing.assert_allclose(whole.times(g), limited.times(g), rtol=1e-10)
    # BFGS by its formula from the scaled identity, for the first row
    s, y = steps[0, 0], H[0] @ steps[0, 0]
    V = np.eye(SIZE) - np.outer(s, y) / (s @ y)
    B = V @ V.T * (s @ y) / (y @ y) + np.outer(s, s) / (s @ y)
    np.testing.assert_allclose(whole.times(g)[0], B @ g[0], rtol=1e-10)
    for inverse in (whole, limited):
        updated(inverse, H, steps[1:], all_rows)
    s, y = steps[1, 0], H[0] @ steps[1, 0]
    V = np.eye(SIZE) - np.outer(s, y) / (s @ y)
    np.testing.assert_allclose(whole.times(g)[0], (V @ B @ V.T + np.outer(s, s) / (s @ y)) @ g[0], rtol=1e-9)


def test_rows_are_forgotten_and_kept_one_by_one(learnt):
    both, *_ = learnt
    g = np.random.default_rng(4).normal(size=(ROWS, SIZE))
    for inverse in both:
        before = inverse.times(g)
        gone = np.array([True, False, False, True])
        inverse.forget(gone)
        after = inverse.times(g)
        np.testing.assert_allclose(after[gone], g[gone], rtol=1e-12)
        np.testing.assert_allclose(after[~gone], before[~gone], rtol=1e-12)
        kept = np.array([False, True, True, True])
        inverse.keep(kept)
        np.testing.assert_allclose(inverse.times(g[kept]), after[kept], rtol=1e-12)


def test_pairs_without_positive_curvature_teach_nothing(learnt):
    both, H, *_ = learnt
    rng = np.random.default_rng(5)
    g, step = rng.normal(size=(2, ROWS, SIZE))
    for inverse in both:
        before = inverse.times(g)
        inverse.update(np.ones(ROWS, bool), step, -np.einsum("kij,kj->ki", H, step))
        inverse.update(np.ones(ROWS, bool), step, np.zeros_like(step))
        np.testing.assert_allclose(inverse.times(g), before, rtol=1e-12)


def test_old_pairs_are_dropped(monkeypatch):
    monkeypatch.setattr(descent, "MEMORY", 2)
    rng = np.random.default_rng(6)
    H, steps, g = hessians(rng), rng.normal(size=(4, ROWS, SIZE)), rng.normal(size=(ROWS, SIZE))
    rows = np.ones((4, ROWS), bool)
    long, short = _Limited((ROWS, SIZE)), _Limited((ROWS, SIZE))
    updated(long, H, steps, rows)
    updated(short, H, steps[2:], rows[2:])
    np.testing.assert_allclose(long.times(g), short.times(g), rtol=1e-10)


def test_a_direction_that_would_go_up_is_replaced_by_the_steepest_one_down(learnt):
    """And no coordinate's first step is longer than the bound."""

    class Upward(_Whole):
        def times(self, g):
            scale = np.array([1.0, -1.0, 3.0, 0.1])[:, None]
            return scale * g

    g = 5.0 * np.random.default_rng(7).normal(size=(ROWS, SIZE))
    d, slope, length = _directions(Upward((ROWS, SIZE)), g)
    np.testing.assert_allclose(d, -np.array([1.0, 1.0, 3.0, 0.1])[:, None] * g)
    np.testing.assert_allclose(slope, np.einsum("ki,ki->k", d, g))
    assert (slope < 0).all()
    longest = (length[:, None] * np.abs(d)).max(axis=1)
    np.testing.assert_allclose(longest, np.minimum(np.abs(d).max(axis=1), descent.LONGEST_STEP))
