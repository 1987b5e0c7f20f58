"""The fold of the diagonal branch, against the free energy written again (``endpoint_reference``) and minimised."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from importlib import import_module

import mpmath
import numpy as np
import pytest
from mpmath import mp
from scipy.optimize import minimize
from sympy import Rational

from tests.theory import endpoint_reference as reference
from theory import symbols
from theory.complete_states import complete_states
from theory.critical_point import critical_signal
from theory.learning_coherence import assert_crossing, crossing_noise, stable_learnt_signals
from theory.learning_onset import assert_amplitudes, assert_onset, onset, onset_noise
from theory.learning_transition import learning_transition, strong_noise


def force(r, n, signal, kappa):
    """Derivative of the reference F by the last entry, on ``diag(r^t)``."""
    return (1 / r ** (n - 1) - 1 / r**n - signal / (r**n + kappa) ** 2) / 2


def signal_of(r, n, kappa):
    """λ at which ``force`` vanishes."""
    return (r ** (1 - n) - r**-n) * (r**n + kappa) ** 2


def test_the_force_is_that_of_the_reference():
    with mpmath.workdps(40):
        for n, arch in ((3, "rnn"), (4, "dnn")):
            H = mp.diag([mp.mpf("1.7") ** t for t in range(1, n + 1)])
            gradient = reference.gradient(H, 50, 60, arch=arch)
            assert abs(gradient[-1] - force(mp.mpf("1.7"), n, 50, 60)) < 1e-20
            assert max(abs(x) for x in reference.gradient(H, signal_of(mp.mpf("1.7"), n, 60), 60, arch=arch)) < 1e-20


def test_every_statement_follows_for_symbolic_T():
    assert_onset()
    assert_amplitudes()
    assert_crossing()


@pytest.mark.parametrize(
    ("field", "proof", "told"),
    [
        ("signal", assert_onset, "λ_"),
        ("isotherm", assert_amplitudes, "A at the onset"),
        ("jump_squared", assert_amplitudes, "B at the onset"),
        ("fold_distance_squared", assert_amplitudes, "C at the onset"),
    ],
)
def test_a_changed_statement_does_not_follow(field, proof, told, monkeypatch):
    module = import_module("theory.learning_onset")
    right = module.onset

    def wrong(T):
        return replace(right(T), **{field: 2 * getattr(right(T), field)})

    monkeypatch.setattr(module, "onset", wrong)
    with pytest.raises(ArithmeticError, match=told):
        proof.__wrapped__()


@pytest.mark.parametrize(
    ("name", "told"), [("fold_noise", "κ of a fold at r_c is not"), ("onset_ratio", "r_* - r_c is not as stated")]
)
def test_a_changed_crossing_does_not_follow(name, told, monkeypatch):
    module = import_module("theory.learning_coherence")
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given: right(*given) + 1)
    with pytest.raises(ArithmeticError, match=re.escape(told)):
        assert_crossing.__wrapped__()


@pytest.mark.parametrize("T", [3, 4, 5, 6, 9, 20])
def test_onset_is_where_two_derivatives_vanish(T):
    """``dλ/dr = d²λ/dr² = 0`` solved for (r, κ) with numerical derivatives."""
    point, n = onset(T), T - 1
    with mpmath.workdps(60):
        expected = [mp.mpf(x.evalf(60)) for x in (point.ratio, point.kappa)]

        def derivatives(r, kappa):
            return [mp.diff(lambda x: mp.log(signal_of(x, n, kappa)), r, k) for k in (1, 2)]

        start = [expected[0] * mp.mpf("1.001"), expected[1] * mp.mpf("1.002")]
        found = mp.findroot(derivatives, start, tol=1e-30)
        assert max(abs(a / b - 1) for a, b in zip(found, expected, strict=True)) < 1e-12
        assert abs(signal_of(*found[:1], n, found[1]) / mp.mpf(point.signal.evalf(60)) - 1) < 1e-25
        assert abs(expected[0] ** n / mp.mpf(point.last_variance.evalf(60)) - 1) < 1e-50


def test_onset_has_rational_and_limiting_values():
    point = onset(5)
    assert (point.kappa, point.ratio) == (Rational(4096, 125), Rational(8, 5))
    assert point.signal == Rational(8, 5) ** 4 * Rational(108, 5)
    kappas = [float(onset_noise(T)) for T in range(3, 40)]
    assert kappas == sorted(kappas, reverse=True)
    assert kappas[0] == pytest.approx(62.58144438735457, rel=1e-14)
    assert kappas[1] == pytest.approx(39.4277753760429, rel=1e-14)
    limiting = (2 + np.sqrt(3)) * np.exp(np.sqrt(3))
    assert float(onset_noise(10**6)) == pytest.approx(limiting, rel=1e-5)


@pytest.mark.parametrize("T", [3, 4, 7])
def test_amplitudes_at_the_onset(T):
    """Jump, folds' distance and critical isotherm a little beyond the onset; corrections shrink with the distance."""
    point, n = onset(T), T - 1
    errors = []
    for decade in (8, 12):
        kappa = Rational(str(point.kappa.evalf(30))) + Rational(1, 10**decade)
        found = learning_transition(T, kappa, 40)
        with mpmath.workdps(60):
            excess = mp.mpf(kappa.p) / kappa.q - mp.mpf(point.kappa.evalf(60))
            jump = (found.equal.last_variances[1] - found.equal.last_variances[0]) ** 2 / excess
            gap = (found.folds[1].signal - found.folds[0].signal) ** 2 / excess**3
            away = mp.mpf(10) ** (-decade // 2)
            r, k, lam = (mp.mpf(x.evalf(60)) for x in (point.ratio, point.kappa, point.signal))
            change = signal_of(r + away, n, k) - lam
            isotherm = ((r + away) ** n - r**n) ** 3 / change
            values = (jump / point.jump_squared, gap / point.fold_distance_squared, isotherm / point.isotherm)
            errors.append([float(abs(x - 1)) for x in values])
    assert max(errors[0]) < 0.05
    assert max(errors[1]) < 1e-3
    assert all(fine < coarse / 20 for coarse, fine in zip(*errors, strict=True))


@pytest.mark.parametrize("T", [3, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_strong_noise(T):
    leading, errors = strong_noise(T), []
    for kappa in (10 ** (6 * (T - 1)), 10 ** (8 * (T - 1))):
        found = learning_transition(T, kappa)
        signals = (found.folds[0].signal, found.equal.signal, found.folds[1].signal)
        expected = (leading.first_fold, leading.equal, leading.last_fold)
        errors.append(
            [float(abs(s / x.subs(symbols.kappa, kappa).evalf(30) - 1)) for s, x in zip(signals, expected, strict=True)]
        )
    assert max(errors[1]) < 1e-4
    assert all(fine < max(coarse / 20, 1e-12) for coarse, fine in zip(*errors, strict=True))


# --- the folds and the exchange, by minimising F over all kernels of the DNN ------------------------------------------


def dnn_free_energy(x, size, signal, kappa):
    """F of the DNN at ``H = L Lᵀ``, L lower triangular with ``exp`` on its diagonal."""
    L = np.zeros((size, size))
    L[np.tril_indices(size)] = x
    L[np.diag_indices(size)] = np.exp(np.clip(np.diag(L), -20, 20))
    H = L @ L.T
    forward = np.concatenate([[1.0], np.diag(H)[:-1]])
    logs = 2 * np.log(np.diag(L)).sum() - np.log(forward).sum()
    return 0.5 * (signal / (H[-1, -1] + kappa) + (np.diag(H) / forward).sum() - size - logs)


def minimised(T, signal, kappa, growth, seed):
    """F and ``H^{nn}`` of the minimum that a kernel near ``diag(growth^t)`` with random correlations falls into."""
    size, rng = T - 1, np.random.default_rng(seed)
    start = np.tril(rng.normal(scale=0.1, size=(size, size)))
    start[np.diag_indices(size)] = 0.5 * np.log(growth) * np.arange(1, size + 1)
    objective = partial(dnn_free_energy, size=size, signal=signal, kappa=kappa)
    x = start[np.tril_indices(size)]
    for _ in range(3):  # restarts forget a poor inverse Hessian
        x = minimize(objective, x, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000}).x
    L = np.zeros((size, size))
    L[np.tril_indices(size)] = x
    L[np.diag_indices(size)] = np.exp(np.diag(L))
    return objective(x), (L @ L.T)[-1, -1]


@pytest.mark.parametrize(("T", "kappa"), [(3, 100), (4, 60), pytest.param(6, 300, marks=pytest.mark.slow)])
def test_folds_and_exchange_by_minimisation(T, kappa):
    found = learning_transition(T, kappa)
    first, last = (float(fold.signal) for fold in found.folds)
    equal = float(found.equal.signal)
    little, learnt = (float(r) for r in found.equal.ratios)
    assert first < equal < last
    both = [minimised(T, equal, kappa, growth, 1) for growth in (little, learnt)]
    assert both[0][0] == pytest.approx(float(found.equal.free_energy), rel=1e-9)
    assert both[1][0] == pytest.approx(float(found.equal.free_energy), rel=1e-9)
    for state, variance in zip(both, found.equal.last_variances, strict=True):
        assert state[1] == pytest.approx(float(variance), rel=1e-3)
    # a state ends at its fold: beyond, the fall goes on to the other one
    edge = [float(fold.ratio) for fold in found.folds]
    for signal, growth, learns in (
        (first * 1.002, edge[0] * 1.05, True),
        (first * 0.998, edge[0], False),
        (last * 0.998, edge[1] * 0.98, False),
        (last * 1.002, edge[1], True),
    ):
        assert (minimised(T, signal, kappa, growth, 2)[1] > float(onset(T).last_variance)) == learns
    side = 0.2 * (last - equal)
    lower = [
        minimised(T, signal, kappa, r, 3)[0]
        for signal in (equal - 0.2 * (equal - first), equal + side)
        for r in (little, learnt)
    ]
    assert lower[0] < lower[1]
    assert lower[2] > lower[3]


def test_the_known_state_that_a_descent_from_the_prior_misses():
    value, variance = minimised(4, 575.0, 60.0, 3.2, 5)
    assert value == pytest.approx(4.6543347052, abs=1e-8)
    assert variance == pytest.approx(31.928, abs=2e-3)
    assert minimised(4, 575.0, 60.0, 1.0, 5)[0] == pytest.approx(4.6774015642, abs=1e-8)


@pytest.mark.parametrize("T", [3, 4, 5, 8])
def test_no_fold_up_to_the_onset(T):
    assert learning_transition(T, Rational(21)) is None
    below = Rational(str(onset_noise(T).evalf(25))) - Rational(1, 10**15)
    assert learning_transition(T, below) is None
    assert learning_transition(T, below + Rational(2, 10**15)) is not None
    assert learning_transition(5, Rational(4096, 125)) is None


@pytest.mark.parametrize(("T", "kappa"), [(2, 60), (4, -1), (4, 60.5), (4, symbols.kappa), (4.0, 60)])
def test_refusals(T, kappa):
    with pytest.raises(ValueError, match="accepted"):
        learning_transition(T, kappa)


# --- the RNN ----------------------------------------------------------------------------------------------------------


def smallest_curvature(diagonal, signal, kappa):
    """Smallest eigenvalue of the reference's Hessian at a diagonal kernel of the RNN, in scaled entries."""
    H = mp.diag(diagonal)
    pairs = reference.pairs(H.rows)
    step, size = mp.mpf(10) ** -10, len(pairs)
    matrix = mp.matrix(size, size)
    for i in range(size):
        for j in range(i + 1):
            scale = [mp.sqrt(diagonal[a] * diagonal[b]) for a, b in (pairs[i], pairs[j])]

            def F(p, q, i=i, j=j, scale=scale):
                moved = reference.moved(H, [(pairs[i], p * step * scale[0]), (pairs[j], q * step * scale[1])])
                return reference.free_energy(moved, signal, kappa)

            matrix[i, j] = matrix[j, i] = (F(1, 1) - F(1, -1) - F(-1, 1) + F(-1, -1)) / (4 * step**2)
    return min(mp.eigsy(matrix, eigvals_only=True))


@pytest.mark.parametrize(
    ("T", "kappa"), [(3, Rational(100)), (4, Rational(397, 10)), (4, Rational(60)), (5, Rational(40))]
)
def test_where_the_incoherent_learnt_state_is_stable_in_the_rnn(T, kappa):
    n, found = T - 1, learning_transition(T, kappa)
    stable = stable_learnt_signals(T, kappa)
    assert stable_learnt_signals(T, kappa, "dnn") == (found.folds[0].signal, mp.inf)
    with mpmath.workdps(40):
        first, noise = found.folds[0], mp.mpf(kappa.p) / kappa.q
        seen = set()
        for factor in ("1.01", "1.1", "2"):
            r = first.ratio * mp.mpf(factor)
            signal = signal_of(r, n, noise)
            expected = stable is not None and stable[0] < signal < stable[1]
            seen.add(expected)
            curvature = smallest_curvature([r**t for t in range(1, T)], signal, noise)
            assert (curvature > 0) == expected
    assert seen == {(3, 100): {True}, (4, Rational(397, 10)): {True, False}}.get((T, kappa), {False})


@pytest.mark.parametrize("T", [4, 5, 6, 9])
def test_the_critical_signal_meets_a_fold_at_the_crossing_noise(T):
    kappa = crossing_noise(T)
    assert crossing_noise(4) == 40
    critical = critical_signal(T, kappa)
    folds = learning_transition(T, kappa).folds
    meeting, other = folds if T == 4 else folds[::-1]
    assert abs(meeting.signal / critical.evalf(50) - 1) < 1e-35
    assert abs(other.signal / critical.evalf(50) - 1) > 1e-6
    # on the part between the folds just above; on the rising part that the crossing fold ends just below
    for factor, falling in ((Rational(995, 1000), False), (Rational(1005, 1000), True)):
        found = learning_transition(T, kappa * factor)
        ratio = mp.mpf(T - 2) / (T - 3)
        assert (found.folds[1].ratio < ratio < found.folds[0].ratio) == falling


def test_strong_noise_ratio_of_the_architectures_at_four():
    """λ at which the coherent state equals the one that learns little, over that of the DNN, tends to ``2^{-2/3}``."""
    errors = []
    with mpmath.workdps(30):
        for kappa in (mp.mpf(10) ** 15, mp.mpf(10) ** 21):

            def gap(s, kappa=kappa):
                late = 4 * s * (s - 1) ** 2
                signal = (late + kappa) ** 2 / (4 * s * (s - 1))
                H = mp.matrix([[s, 0, 2 * s * (s - 2)], [0, 2 * s * (s - 1), 0], [2 * s * (s - 2), 0, late]])
                H[0, 1] = H[1, 0] = mp.sqrt(2 * s * (s - 1) * (s - 2))
                H[1, 2] = H[2, 1] = 2 * s * H[0, 1]
                r = mp.mpf(1)
                for _ in range(6):
                    r = 1 + signal * r**3 / (r**3 + kappa) ** 2
                little = mp.diag([r, r**2, r**3])
                return reference.free_energy(H, signal, kappa) - reference.free_energy(little, signal, kappa), signal

            scale = mp.cbrt(kappa / 2)
            s = mp.findroot(lambda s: gap(s)[0], (scale * 0.9, scale * 1.1), tol=1e-12)
            deep = learning_transition(4, Rational(int(kappa))).equal.signal
            errors.append(float(abs(gap(s)[1] / deep * 2 ** (mp.mpf(2) / 3) - 1)))
    assert errors[1] < 1e-4
    assert errors[1] < errors[0] / 20


def test_the_rnn_is_never_above_the_dnn():
    rng = np.random.default_rng(8)
    for _ in range(8):
        kappa = Rational(round(float(np.exp(rng.uniform(0, 7))), 3))
        signal = Rational(round(float(np.exp(rng.uniform(0, 10))), 3))
        recurrent, deep = (complete_states(4, signal, kappa, arch, 20) for arch in ("rnn", "dnn"))
        assert recurrent[0].free_energy < deep[0].free_energy * (1 + mp.mpf(10) ** -14)


def test_strong_noise_for_symbolic_T_is_that_of_each_T_and_short_chains_are_refused():
    general = strong_noise(symbols.T)
    for T in (3, 4, 7):
        single = strong_noise(T)
        for name in ("first_fold", "equal", "last_fold"):
            pair = getattr(general, name).subs(symbols.T, T), getattr(single, name)
            values = [float(x.subs(symbols.kappa, 1000).evalf(30)) for x in pair]
            assert values[0] == pytest.approx(values[1], rel=1e-14)
    with pytest.raises(ValueError, match="accepted"):
        strong_noise(2)
