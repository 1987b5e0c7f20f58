"""The whole coherent branch at T = 4 for any correlation of its two matrices, against the full free energy."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp
from scipy.optimize import minimize
from sympy import Integer, Rational, factor, simplify, symbols

from tests.theory.sharing_reference import free_energy, gradient
from theory import coherent_elimination as module
from theory.coherent_branch import coherent_branch
from theory.coherent_elimination import assert_elimination
from theory.outliers import assert_outlier, outlier_start, outlier_threshold
from theory.sharing import sharing
from theory.sharing_transition import critical_point_of
from theory.symbols import kappa, rho, s


def number(expression):
    return mp.mpf(expression.evalf(mp.dps))


def kernel_at(branch, place):
    H = mp.matrix(3, 3)
    for (t, u), value in branch.kernel.items():
        H[t - 1, u - 1] = H[u - 1, t - 1] = number(value.subs(place))
    return H


@pytest.mark.parametrize("seed", range(6))
def test_stationary_to_forty_digits(seed):
    """Random ρ in (0, 1], s beyond the critical point and κ; the first seed near its lower end."""
    rng = np.random.default_rng(seed)
    correlation = Rational(int(rng.integers(1, 101)), 100)
    noise = Rational(int(rng.integers(0, 5000)), 100)
    branch = coherent_branch(noise, correlation)
    excess = Rational(1, 1000) if seed == 0 else Rational(int(rng.integers(1, 1000)), 50)
    place = {s: branch.start + excess}
    with mpmath.workdps(60):
        H, table = kernel_at(branch, place), mp.matrix([[1, number(correlation)], [number(correlation), 1]])
        label, noise_value = number(branch.signal.subs(place)), number(noise)
        G = gradient(H, table, label, noise_value)
        assert min(mp.eigsy(H, eigvals_only=True)) > 0
        assert max(abs(G[i, j]) for i in range(3) for j in range(3)) < mp.mpf(10) ** -40
        F = free_energy(H, table, label, noise_value)
        assert abs(F - number(branch.free_energy.subs(place))) < mp.mpf(10) ** -40
        # and the signal matters
        G = gradient(H, table, label * mp.mpf("1.001"), noise_value)
        assert max(abs(G[i, j]) for i in range(3) for j in range(3)) > mp.mpf(10) ** -8


def test_it_leaves_the_critical_point_as_the_landau_expansion_says():
    branch, point = coherent_branch(rho=rho), critical_point_of(sharing("shared:rho"), 4, kappa)
    start = {s: branch.start}
    assert factor(branch.signal.subs(start) - point.signal) == 0
    assert branch.kernel[1, 2].subs(start) == 0
    for t in (1, 2, 3):
        assert factor(branch.kernel[t, t].subs(start) - point.kernel_diagonal[t - 1]) == 0
    rise = branch.signal.diff(s).subs(start)
    slope = (branch.kernel[2, 3] ** 2).diff(s).subs(start) / rise
    assert factor(slope - point.amplitude_squared) == 0


def test_one_fold_beyond_the_tricritical_noise():
    branch, point = coherent_branch(rho=rho), critical_point_of(sharing("shared:rho"), 4, kappa)
    assert factor(branch.signal.diff(s).subs(kappa, branch.fold_noise)) == 0
    assert factor(branch.fold_noise.subs(s, branch.start) - point.tricritical_kappa) == 0
    # it rises: the logarithmic derivative is a sum of positive terms beyond s = 1
    rise = factor((branch.fold_noise.diff(s) / branch.fold_noise).subs(s, 1 + symbols("z", positive=True)))
    assert rise.is_positive


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_lowest_states_are_on_the_branch_or_diagonal(seed):
    """NumPy and SciPy from random kernels: no state lies lower than the lowest of the two branches."""
    rng = np.random.default_rng(100 + seed)
    correlation, noise = float(rng.uniform(0.2, 1)), float(rng.exponential(10))
    start = (1 + correlation) / correlation
    critical = (start - 1) * (start**3 + noise) ** 2 / start**3
    label = critical * float(rng.uniform(0.5, 2.5))
    table = np.array([[1, correlation], [correlation, 1]])

    def F(vector):
        L = np.zeros((3, 3))
        L[np.tril_indices(3)] = vector
        H = L @ L.T
        C = np.eye(3)
        C[1:, 1:] = table * H[:2, :2]
        logs = np.linalg.slogdet(H)[1] - np.linalg.slogdet(C)[1]
        return 0.5 * (label / (H[2, 2] + noise) + np.trace(np.linalg.solve(C, H)) - 3 - logs)

    found = min(
        minimize(F, rng.normal(size=6) + np.array([2, 0, 2, 0, 0, 2]), method="BFGS", options={"gtol": 1e-9}).fun
        for _ in range(12)
    )
    branch = coherent_branch(Rational(noise), Rational(correlation))
    grid = start + np.concatenate([[0], np.geomspace(1e-7, 60, 20000)])
    signals = ((1 + correlation) ** 2 * grid * (grid - 1) ** 2 + noise) ** 2 / (
        (1 + correlation) ** 2 * grid * (grid - 1)
    )
    states = []
    for k in np.flatnonzero((signals[:-1] - label) * (signals[1:] - label) < 0):
        share = (label - signals[k]) / (signals[k + 1] - signals[k])
        at = grid[k] + share * (grid[k + 1] - grid[k])
        states.append(float(branch.free_energy.subs(s, Rational(float(at)))))
    r = np.linspace(1, 8, 400001)
    diagonal = label / (2 * (r**3 + noise)) + 1.5 * (r - 1 - np.log(r))
    lowest = min([*states, float(diagonal.min())])
    assert found == pytest.approx(lowest, abs=2e-6)


def test_outlier_of_either_matrix():
    assert_outlier()
    known = outlier_threshold(Integer(1))
    mine = coherent_branch(Integer(1))
    assert simplify(mine.signal.subs(s, outlier_start(Integer(1))) - known.signal) == 0


@pytest.mark.parametrize("correlation", [0.3, 0.8])
def test_outliers_of_sampled_matrices(correlation):
    """Weights drawn from their law given an activity with the branch's kernel, N = 500: largest eigenvalues."""
    rng, N = np.random.default_rng(11), 500
    branch = coherent_branch(Integer(1), Rational(correlation))
    place = {s: branch.start + 2}
    H = np.zeros((3, 3))
    for (t, u), value in branch.kernel.items():
        H[t - 1, u - 1] = H[u - 1, t - 1] = float(value.subs(place))
    raw = rng.normal(size=(N, 3))
    raw = raw @ np.linalg.inv(np.linalg.cholesky(raw.T @ raw / N)).T  # the kernel exact at this N
    h = raw @ np.linalg.cholesky(H).T
    common, own = rng.normal(size=(N, N)), rng.normal(size=(2, N, N))
    W = (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own) / np.sqrt(N)
    M = np.array([[1, correlation], [correlation, 1]])
    missed = np.stack([h[:, t + 1] - W[t] @ h[:, t] for t in range(2)], axis=1)
    pulled = missed @ np.linalg.inv(M * H[:2, :2])
    expected = float(branch.outlier.subs(place))
    assert expected > 1.5
    for layer in range(2):
        conditioned = W[layer] + sum(M[layer, t] * np.outer(pulled[:, t], h[:, t]) for t in range(2)) / N
        values = np.linalg.eigvals(conditioned)
        order = np.argsort(-abs(values))
        assert values[order[0]].real == pytest.approx(expected, abs=0.12)
        assert abs(values[order[1]]) < 1.1


@pytest.mark.slow
def test_elimination_leaves_no_other():
    assert_elimination()


@pytest.mark.slow
@pytest.mark.parametrize("times", [(1, 1), (2, 2), (3, 3), (1, 3), (2, 3)])
def test_a_changed_entry_fails_the_elimination(times, monkeypatch):
    sound = module.coherent_branch

    def changed(*args):
        branch = sound(*args)
        kernel = dict(branch.kernel)
        kernel[times] = kernel[times] * Rational(1001, 1000)
        return type(branch)(**{**vars(branch), "kernel": kernel})

    monkeypatch.setattr(module, "coherent_branch", changed)
    assert_elimination.cache_clear()
    with pytest.raises(ArithmeticError):
        assert_elimination()
    assert_elimination.cache_clear()


@pytest.mark.parametrize("noise", [-1, 0.5, "nan"])
def test_bad_noise_is_one_line(noise):
    with pytest.raises(ValueError, match=r"^kappa: is .*; accepted: .*$"):
        coherent_branch(noise, Rational(1, 2))


def test_symbols_are_kept():
    assert coherent_branch(rho=rho).signal.free_symbols == {rho, kappa, s}
