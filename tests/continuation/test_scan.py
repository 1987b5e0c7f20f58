"""Branches along the signal, checked against the solver for any problem and against polynomial arithmetic."""

import numpy as np
import pytest

from numerics import scan, sequence, solve, solve_all
from numerics.endpoint_task import factorised
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional
from tests.continuation.scans import scan_endpoint


def pitchfork(n, lag, kappa):
    m = n - lag
    r = m / (m - 1)
    return (r - 1) * (r**n + kappa) ** 2 / r**n


@pytest.mark.parametrize("n", [3, 5])
def test_chain_formulas_are_those_of_the_general_functional(n):
    rng = np.random.default_rng(n)
    factor = rng.normal(size=(2, n, n + 2))
    L = np.linalg.cholesky(factor @ np.swapaxes(factor, 1, 2))
    states = factorised.evaluate(L, np.array([3.0, 5.0]), 0.7, tolerance=1e-10)
    here = factorised.factorise(L)
    for i, signal in enumerate((3.0, 5.0)):
        point = kernel_functional(endpoint(n + 1, signal, kappa=0.7)).at(L[i] @ L[i].T)
        total = here.gradient[i] - 0.5 * signal / (here.last[i] + 0.7) ** 2 * here.label[i]
        np.testing.assert_allclose(total, point.gradient, atol=1e-11 * np.abs(point.gradient).max())
        np.testing.assert_allclose(here.entropy()[i], point.entropy, rtol=1e-11)
        assert not states.converged[i]
        assert np.isnan(states.free_energy[i])


def test_t_4_has_one_pitchfork_and_two_branches():
    scan = scan_endpoint(4, np.linspace(1, 40, 79), kappa=0.5)
    assert [b.name for b in scan.branches] == ["incoherent", "coherent-1"]
    assert scan.converged
    assert scan.finished
    (point,) = scan.special_points
    assert point.type == "pitchfork"
    exact = pitchfork(3, 1, 0.5)
    assert abs(point.value - exact) < 1e-10
    assert point.interval[0] <= exact <= point.interval[1]
    assert point.interval[1] - point.interval[0] < 1e-10
    incoherent, coherent = scan.branches
    np.testing.assert_array_equal(incoherent.stable, scan.value < exact)
    np.testing.assert_array_equal(coherent.stable, scan.value > exact)
    assert np.nanmax(coherent.residual) < 1e-13
    for k in (30, 70):
        low, high = solve_all(endpoint(4, scan.value[k], kappa=0.5))
        np.testing.assert_allclose(coherent.kernel[k], low.kernel, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(incoherent.free_energy[k], high.free_energy, rtol=1e-12)
        np.testing.assert_allclose(coherent.hessian_smallest[k], low.hessian_smallest, rtol=1e-6)


@pytest.mark.parametrize(("u", "v", "w", "x"), [(1.0, 1.0, 1.0, 1.0), (0.5, 3.0, 2.0, 0.7)])
def test_the_signal_is_lambda_whatever_that_of_the_problem_given(u, v, w, x):
    given = endpoint(4, 17.0, u=u, v=v, w=w)
    found = scan(given.with_(x=x * given.x, y=3.0 * given.y), {"signal": np.linspace(5, 15, 3)})
    noise = 1.0 / (v * w**2 * u * x**2)  # in units of the random network's output
    assert found.special_points[0].value == pytest.approx(pitchfork(3, 1, noise), rel=1e-9)


def test_the_signal_of_another_task_multiplies_its_labels_squares():
    task = sequence(T=4, angle=1.0, amplitude=1.0, supervise=(1, 3), kappa=1.0)
    found = scan(task, {"signal": [2.0, 3.0]})
    lowest = min(branch.free_energy[1] for branch in found.branches)
    assert lowest == pytest.approx(solve(task.with_(y=np.sqrt(3.0) * task.y)).free_energy, rel=1e-9)


def test_t_6_is_discontinuous_with_fold_and_equal_free_energy_below_the_pitchfork():
    scan = scan_endpoint(6, np.linspace(2.0, 6.0, 41))
    points = {p.type: p for p in reversed(scan.special_points)}
    fold, equal, fork = (points[kind].value for kind in ("fold", "equal-free-energy", "pitchfork"))
    assert abs(fork - pitchfork(5, 1, 1.0)) < 1e-10
    assert fold < equal < fork
    assert all(p.interval[1] - p.interval[0] < 1e-10 for p in scan.special_points)

    def stable_free_energies(signal):
        states = [s for s in solve_all(endpoint(6, signal)) if s.stable]
        return {s.branch: s.free_energy for s in states}

    at_equal = stable_free_energies(equal)
    assert abs(at_equal["coherent"] - at_equal["incoherent"]) < 1e-11
    beyond = stable_free_energies(equal + 1e-3)
    assert beyond["coherent"] < beyond["incoherent"]
    assert set(stable_free_energies(fold - 1e-4)) == {"incoherent"}
    assert set(stable_free_energies(fold + 1e-4)) == {"incoherent", "coherent"}
    # at the fold the coherent state's Hessian is about to become singular
    state = max((s for s in solve_all(endpoint(6, fold + 1e-7)) if s.branch == "coherent"), key=lambda s: s.stable)
    value = trust_region.smallest_modes(kernel_functional(state.problem).at(state.reduced))[0][0]
    assert 0 < value < 1e-3


def test_every_state_that_the_search_finds_is_on_a_branch_of_the_scan():
    signal = 20.0
    scan = scan_endpoint(5, [signal])
    on_branches = np.sort([b.free_energy[0] for b in scan.branches if np.isfinite(b.free_energy[0])])
    for state in solve_all(endpoint(5, signal)):
        assert np.min(np.abs(on_branches - state.free_energy)) < 1e-11


def test_the_dnn_has_one_stable_branch():
    scan = scan_endpoint(6, np.linspace(0.5, 40, 20), arch="dnn")
    (branch,) = scan.branches
    assert branch.stable.all()
    assert scan.special_points == ()
    assert np.all(branch.order_parameter == 0)


@pytest.mark.slow
def test_strong_noise_folds_the_incoherent_branch_of_both_architectures():
    n, kappa = 3, 1000.0
    # turning points of (r-1)(r³+κ)²/r³: r(r³+κ) + 2n r³(r-1)… solved as a polynomial
    r = np.poly1d([1, 0])
    q = np.poly1d([1, 0, 0, kappa])
    slope = r * q + (r - 1) * (2 * n * np.poly1d([1, 0, 0, 0]) - n * q)
    roots = slope.roots
    real = np.sort(roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 1)].real)
    expected = np.sort((real - 1) * (real**3 + kappa) ** 2 / real**3)
    scan = scan_endpoint(4, np.geomspace(1e3, 1e6, 30), kappa=kappa, arch="dnn")
    folds = [p.value for p in scan.special_points if p.type == "fold"]
    np.testing.assert_allclose(folds, expected, rtol=1e-11)
    assert len(scan.branches) == 3
    middle = [b for b in scan.branches if np.isfinite(b.free_energy).any() and not b.stable.any()]
    assert len(middle) == 1
    assert [p.type for p in scan.special_points].count("equal-free-energy") == 1
    stable = {b.name: bool(b.stable.any()) for b in scan.branches}
    for point in scan.special_points:
        # both minima meet in free energy, a minimum and the middle branch where it folds
        assert sorted(stable[name] for name in point.names) == [point.type == "equal-free-energy", True]


def test_lag_2_states_of_both_signs_differ_in_stability_at_t_7():
    """Equal free energies, related by ``W → iW``: one is metastable beyond a pitchfork of its own, the other never."""
    scan = scan_endpoint(7, np.linspace(4.0, 6.0, 5))
    first, second = (b for b in scan.branches if b.lag == 2)
    np.testing.assert_allclose(first.free_energy, second.free_energy, rtol=1e-13)
    assert {first.stable.any(), second.stable.any()} == {True, False}
    (point,) = [p for p in scan.special_points if p.type == "pitchfork" and "incoherent" not in p.names]
    assert point.interval[1] - point.interval[0] < 1e-10
    # on either side the general functional's Hessian has the signs that are claimed
    branch = max((first, second), key=lambda b: b.stable.any())
    for signal, H in zip(scan.value, branch.kernel, strict=True):
        state = kernel_functional(endpoint(7, signal)).at(H)
        assert state.residual < 1e-13
        assert (trust_region.smallest_modes(state)[0][0] > 0) == (signal > point.value)


@pytest.mark.slow
@pytest.mark.parametrize("T", [8])
def test_long_chains_have_every_pitchfork_and_nothing_is_uncertain(T):
    scan = scan_endpoint(T, np.linspace(0.5, 40, 40))
    for lag in range(1, T - 2):
        exact = pitchfork(T - 1, lag, 1.0)
        if 0.5 < exact < 40:
            assert min(abs(p.value - exact) for p in scan.special_points if p.type == "pitchfork") < 1e-10
    assert all(p.interval[1] - p.interval[0] < 1e-10 * p.value for p in scan.special_points)
    assert sum(p.type == "fold" for p in scan.special_points) >= 3
    assert sum(b.stable.any() for b in scan.branches) >= 3
    for branch in scan.branches:
        assert np.all(branch.residual[np.isfinite(branch.residual)] < 1e-12)
    # a search from other starts finds no state that is on no branch
    k = 20
    known = np.array([b.free_energy[k] for b in scan.branches if np.isfinite(b.free_energy[k])])
    for state in solve_all(endpoint(T, scan.value[k])):
        assert np.min(np.abs(known - state.free_energy)) < 1e-10


@pytest.mark.parametrize(
    "arguments",
    [
        {"T": 2, "signals": [1.0]},
        {"T": 4, "signals": []},
        {"T": 4, "signals": [2.0, 1.0]},
        {"T": 4, "signals": [0.0, 1.0]},
        {"T": 4, "signals": [1.0], "kappa": -1.0},
        {"T": 4, "signals": [[1.0, 2.0]]},
        {"T": 4, "signals": [1.0, float("nan")]},
        {"T": 4, "signals": ["a"]},
    ],
)
def test_bad_input_is_one_clear_line(arguments):
    with pytest.raises(InputError, match="accepted: ") as caught:
        scan_endpoint(**arguments)
    assert "\n" not in str(caught.value)


def test_every_state_on_the_grid_is_converged_next_to_a_fold():
    """Where interpolated starts are far from the states in the metric of a nearly singular Hessian."""
    found = scan_endpoint(6, [2.0, *(2.1209234363015 + np.geomspace(1e-9, 0.5, 13))])
    upper, lower = (branch for branch in found.branches if branch.name in ("coherent-1a", "coherent-1b"))
    assert np.isfinite(lower.free_energy[1:]).all()
    assert np.isfinite(upper.free_energy).sum() >= 10
    for branch in found.branches:
        assert np.nanmax(branch.residual, initial=0.0) < 1e-13
