"""The signed counts of a scan: they hold, and a branch that is missing or given twice breaks them."""

import dataclasses
import math

import numpy as np
import pytest

from numerics import endpoint, scan, sequence
from numerics.continuation import growth
from numerics.continuation.diagram import diagram
from numerics.continuation.family import family
from numerics.continuation.following import follow, through
from numerics.continuation.on_grid import states_on_grid
from numerics.continuation.path import Track
from numerics.continuation.scan import named_pieces
from numerics.continuation.signed_counts import signed_counts
from tests.continuation.scans import scan_endpoint


@pytest.fixture(scope="module")
def six():
    return scan_endpoint(6, np.linspace(1.0, 66.0, 14))


@pytest.fixture(scope="module")
def parts(six):
    """Stretches of the branches, and their states on the grid."""
    pieces = [piece for _, piece in named_pieces(diagram(endpoint(6, 1.0), "signal", (1.0, 66.0)))]
    return pieces, [states_on_grid(piece, six.value) for piece in pieces]


@pytest.mark.slow
def test_the_counts_hold_for_every_period_at_t_6(six):
    assert six.periods == (0, 1, 2, 3, 4)
    assert six.index_sums.shape == (5, 14)
    np.testing.assert_array_equal(six.index_sums, 1.0)
    assert not six.incomplete.any()
    assert six.counted.startswith("Σ(-1)^index = 1 at every signal")


def test_each_branch_counts(parts):
    """Leaving any one out, or giving it twice, breaks a sum where it exists and nowhere else."""
    pieces, states = parts
    for place in range(len(pieces)):
        others = [k for k in range(len(pieces)) if k != place]
        for chosen in (others, [*range(len(pieces)), place]):
            _, sums = signed_counts([pieces[k] for k in chosen], [states[k] for k in chosen])
            np.testing.assert_array_equal((sums != 1.0).any(axis=0), states[place].there)


def test_an_incomplete_scan_says_where(six, parts):
    pieces, states = parts
    short = dataclasses.replace(six, index_sums=signed_counts(pieces[:-1], states[:-1])[1])
    assert short.incomplete.any()
    missing = six.value[short.incomplete]
    told = f"at {len(missing)} values from {missing[0]:.6g} to {missing[-1]:.6g} of signal: a state is missing"
    assert told in short.counted
    sums = six.index_sums.copy()
    sums[1, 3] = 0.0
    assert f"at 1 value from {six.value[3]:.6g} to" in dataclasses.replace(six, index_sums=sums).counted


def test_what_is_shown_of_a_scan(six):
    facts = dict(six.facts())
    assert facts["problem"] == "RNN, T = 6, 1 pattern"
    assert facts["signal"] == "14 values, 1 to 66"
    assert facts["branches"].split(", ") == [branch.name for branch in six.branches]
    assert facts["signed counts"] == six.counted
    assert {point.type for point in six.special_points} <= set(facts)
    uncounted = dataclasses.replace(six, index_sums=None)
    assert "signed counts" not in dict(uncounted.facts())
    assert not uncounted.incomplete.any()


def test_the_counts_hold_for_a_sequence():
    for arch in ("rnn", "dnn"):
        found = scan(sequence(5, 1.2566, 3.0, [2, 4], arch=arch), {"w": np.linspace(0.5, 2.0, 7)})
        assert found.periods == (1, 2)
        np.testing.assert_array_equal(found.index_sums, 1.0)


def test_a_degenerate_state_is_not_counted_either_way():
    """At the pitchfork λ = 81/8 itself the incoherent state's eigenvalue has the sign of rounding."""
    scan = scan_endpoint(4, [5.0, 81 / 8, 20.0])
    np.testing.assert_array_equal(np.isnan(scan.index_sums), np.tile([False, True, False], (3, 1)))
    np.testing.assert_array_equal(scan.index_sums[:, [0, 2]], 1.0)
    assert not scan.incomplete.any()


def test_a_signal_next_to_a_fold_of_the_incoherent_branch():
    """Strong noise folds it at 7525.55: 2 % below there are three states, which the branch connects beyond the grid."""
    scan = scan_endpoint(6, [7363.79679939874], kappa=300.0, arch="dnn")
    assert sum(np.isfinite(branch.free_energy[0]) for branch in scan.branches) == 3
    np.testing.assert_array_equal(scan.index_sums, 1.0)


def test_the_dnn_between_the_folds_of_strong_noise():
    scan = scan_endpoint(4, np.geomspace(1e3, 1e6, 12), kappa=1000.0, arch="dnn")
    several = sum(np.isfinite(branch.free_energy) for branch in scan.branches)
    assert set(several) == {1, 3}
    np.testing.assert_array_equal(scan.index_sums, 1.0)


def test_the_arms_of_lag_3_at_t_9_are_linked_to_their_point():
    """Transcritical: among states of lag 3 a phase of order 3 is a symmetry, which forbids no quadratic term. The arm
    that runs back turns at a fold far below."""
    whole, bounds = family(endpoint(9, 1.0), "signal"), (math.log(2.0), math.log(27.0))
    incoherent = Track(whole, 0)
    start = incoherent.converge(whole.base.prior_kernel(), bounds[0])
    (third,) = [e for e in through(incoherent, start, bounds[0], bounds).events if e.period == 3]
    lag_3 = Track(whole, 3)
    parent = follow(lag_3, lag_3.start(third.point.state, third.point.theta, third.modes[0]), bounds)
    (event,) = [e for e in parent.events if abs(e.value - 26.488185741) < 1e-8]
    assert event.type == "branch-point"
    arms = [growth.switched(parent, event, sign * event.modes[0], bounds)() for sign in (1.0, -1.0)]
    assert [arm.ends for arm in arms] == [("range", "range")] * 2
    assert sorted(len(arm.events) for arm in arms) == [0, 1]
    (fold,) = [e for arm in arms for e in arm.events]
    assert (fold.type, round(fold.value, 6)) == ("fold", 10.101477)


def test_a_branch_leaves_along_the_tangent_that_the_branching_equation_gives():
    """At the same point the parameter changes to first order along either arm: up on one and down on the other, at the
    rate of the tangent, which points along the secant."""
    whole, bounds = family(endpoint(9, 1.0), "signal"), (math.log(2.0), math.log(27.0))
    incoherent, lag_3 = Track(whole, 0), Track(whole, 3)
    start = incoherent.converge(whole.base.prior_kernel(), bounds[0])
    (third,) = [e for e in through(incoherent, start, bounds[0], bounds).events if e.period == 3]
    parent = follow(lag_3, lag_3.start(third.point.state, third.point.theta, third.modes[0]), bounds)
    (event,) = [e for e in parent.events if abs(e.value - 26.488185741) < 1e-8]
    rates, length = [], 1e-3
    for mode in (event.modes[0], -event.modes[0]):
        leaves = growth._leaving(lag_3, event.point, mode)
        near = Track(whole, event.period).step(leaves, length)
        half = np.linalg.solve(event.point.state.L, np.linalg.cholesky(near.state.H))
        secant = (half @ half.T - np.eye(len(half))) / length
        np.testing.assert_allclose(
            np.append(leaves.tangent, leaves.rate),
            np.append(secant, (near.theta - event.point.theta) / length),
            atol=0.02,
        )
        rates.append(leaves.rate)
    assert rates[0] == pytest.approx(-rates[1], rel=1e-3)
    assert abs(rates[0]) > 0.05
