"""Phase symmetries ``h^t → e^{iφt} h^t`` of random problems, by enumeration and on the free energy."""

import numpy as np
import pytest

from numerics.inputs.problem import Problem
from numerics.linear.functional import kernel_functional
from numerics.linear.lag_classes import classes_of, common_lag, lag_classes, lag_period, phase_order, phase_signs
from numerics.linear.trust_region import from_vector


def problem_with(inputs, labels, n, arch="rnn", P=1):
    """Inputs and labels at given times, from 0 and from 1 on."""
    rng = np.random.default_rng(0)
    x, y = np.zeros((P, n, P)), np.full((P, n), np.nan)
    for t in inputs:
        x[:, t] = rng.normal(size=(P, P))
    y[:, [t - 1 for t in labels]] = rng.normal(size=(P, len(labels)))
    return Problem(x, y, arch=arch, kappa=0.4)


def enumerated(inputs, labels, n):
    """The largest q up to n for which inputs' times, and labels', agree modulo q; 0 where every q will do."""
    agreeing = [q for q in range(1, 2 * n + 1) if all(len({t % q for t in times}) == 1 for times in (inputs, labels))]
    return 0 if len(agreeing) == 2 * n else max(agreeing)


CASES = [
    ((0,), (4,), 5),
    ((0,), (1, 4), 5),
    ((0,), (2, 4), 5),
    ((0,), (1, 2), 3),
    ((0, 3), (5,), 6),
    ((0, 2, 4), (3, 5), 6),
    ((0, 1), (4,), 4),
    ((0, 4), (2, 6), 7),
    ((0, 2), (6,), 6),
]


@pytest.mark.parametrize("P", [1, 2])
@pytest.mark.parametrize(("inputs", "labels", "n"), CASES)
def test_the_order_is_that_of_an_enumeration_and_the_random_network_has_its_lags(inputs, labels, n, P):
    functional = kernel_functional(problem_with(inputs, labels, n, P=P))
    if functional.space.pattern_basis is None:
        assert phase_order(functional) == 1
        return
    order = phase_order(functional)
    assert order == enumerated(inputs, labels, n)
    period = lag_period(functional, functional.prior_kernel())
    assert order % period == 0 if period else order == 0
    if len(inputs) == 1:
        assert period == order  # its times do not correlate at all
    assert set(phase_signs(functional)) == {k for k in range(1, n) if order % (2 * k) == 0}


@pytest.mark.parametrize(("inputs", "labels", "n"), CASES)
def test_a_phase_leaves_the_free_energy_of_kernels_of_its_period(inputs, labels, n):
    functional = kernel_functional(problem_with(inputs, labels, n))
    if functional.space.pattern_basis is None:
        return
    rng, checked = np.random.default_rng(1), 0
    for k, signs in phase_signs(functional).items():
        S = rng.normal(size=(n, n)) * ((np.subtract.outer(range(n), range(n)) % k) == 0)
        point = functional.at(functional.prior_kernel()).move(0.2 * (S + S.T))
        image = functional.at(signs[:, None] * point.H * signs)
        if lag_period(functional, point.H) % k == 0:
            assert image.free_energy == pytest.approx(point.free_energy, rel=1e-11)
            lags = np.subtract.outer(range(n), range(n))
            np.testing.assert_array_equal(np.outer(signs, signs)[lags % k == 0], (-1.0) ** (lags[lags % k == 0] // k))
            checked += 1
    assert checked or not phase_signs(functional)


@pytest.mark.parametrize("period", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("block", [1, 2])
def test_classes_are_the_lags_modulo_the_period_up_to_sign(period, block):
    n = 5
    classes = lag_classes(n, block, period)
    size = n * block * (n * block + 1) // 2
    np.testing.assert_array_equal(np.sort(np.concatenate(classes)), np.arange(size))
    times = np.arange(n * block) // block
    lag = np.abs(np.subtract.outer(times, times))
    kinds = lag if not period else np.minimum(lag % period, -lag % period)
    for index, (positions, kind) in enumerate(zip(classes, np.unique(kinds), strict=True)):
        z = np.zeros(size)
        z[positions] = 1.0
        np.testing.assert_array_equal(from_vector(z, n * block) != 0, kinds == kind)
        assert (kind == 0) == (index == 0)


def test_a_state_has_the_period_of_its_correlations():
    functional = kernel_functional(problem_with((0,), (6,), 6))
    for lags, period in (((), 0), ((2,), 2), ((2, 4), 2), ((4,), 4), ((1,), 1), ((2, 3), 1), ((3,), 3)):
        H = np.eye(6)
        for lag in lags:
            H += 0.1 * (np.eye(6, k=lag) + np.eye(6, k=-lag))
        assert lag_period(functional, H) == period
        point = functional.at(H)
        found, classes = classes_of(point)
        assert found == period
        assert [common_lag(point, positions) for positions in classes] == list(range(len(classes)))
        assert len(classes) == (6 if period == 0 else period // 2 + 1)
    # rounding is no correlation
    assert lag_period(functional, np.eye(6) + 1e-12 * (np.eye(6, k=1) + np.eye(6, k=-1))) == 0
