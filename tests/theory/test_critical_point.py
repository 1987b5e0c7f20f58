"""Incoherent branch, its stability, the critical point and the Landau expansion, against routes that share no code."""

import dataclasses
import importlib
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from endpoint_reference import free_energy, gradient, hessian_entry, moved, pairs
from mpmath import mp
from sympy import E, Matrix, Rational, cancel, exp, factor, limit, oo, simplify, sqrt, sympify, together, zeros

from theory import symbols
from theory.coexistence import coexistence
from theory.critical_point import critical_point, critical_signal
from theory.free_energy import endpoint_free_energy
from theory.incoherent import critical_ratio, incoherent_branch, recursion_residuals
from theory.landau import landau_expansion
from theory.stability import (
    LagSector,
    assert_critical_mode,
    assert_dnn_stable,
    asymptotics,
    critical_mode,
    instability_ratio,
    lag_sector,
    second_variation,
)

module = importlib.import_module("theory.critical_point")
T, kappa, r = symbols.T, symbols.kappa, symbols.r


def number(expression):
    return mp.mpf(sympify(expression).evalf(mp.dps + 10)) if expression != 0 else mp.mpf(0)


def incoherent_kernel(n, ratio):
    return mp.diag([ratio**t for t in range(1, n + 1)])


# --- incoherent branch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("horizon", [3, 4, 5])
def test_incoherent_branch_is_stationary(horizon, arch):
    """In every kernel entry, off-diagonal ones included; λ, κ, u, v, w and r stay symbolic."""
    branch, functional = incoherent_branch(horizon), endpoint_free_energy(horizon, arch)
    place = dict(zip(functional.kernel, branch.kernel(), strict=True)) | {symbols.signal: branch.signal}
    gradient = functional.stationarity().subs(place, simultaneous=True)
    assert all(simplify(together(entry)) == 0 for entry in gradient)


def test_incoherent_branch_for_symbolic_T():
    assert recursion_residuals() == (0, 0)


def test_incoherent_branch_by_finite_differences():
    """T = 6, with general prior widths."""
    branch = incoherent_branch(6)
    with mpmath.workdps(60):
        values = {
            r: Rational(13, 10),
            kappa: Rational(1, 3),
            symbols.u: 2,
            symbols.v: Rational(1, 2),
            symbols.w: Rational(5, 4),
        }
        H = mp.diag([number(branch.kernel_entry(t).subs(values)) for t in range(1, 6)])
        options = {str(x): number(values[x]) for x in (kappa, symbols.u, symbols.v, symbols.w)}
        signal = number(branch.signal.subs(values))
        assert max(abs(x) for x in gradient(H, signal, **options)) < mp.mpf(10) ** -40
        assert abs(free_energy(H, signal, **options) - number(branch.free_energy.subs(values))) < mp.mpf(10) ** -50
        assert max(abs(x) for x in gradient(H, signal * mp.mpf("1.001"), **options)) > mp.mpf(10) ** -8


# --- stability -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("lag", [0, 1, symbols.lag])
def test_determinants_of_symbolic_length(lag, arch):
    lag_sector(T, lag, arch).assert_determinant()


@pytest.mark.parametrize("change", [{"diagonal": 2 * r + 1}, {"last": 2 * r}, {"off_diagonal": -2 * r}])
def test_a_changed_sector_fails_the_induction(change):
    sector = dataclasses.replace(lag_sector(T, symbols.lag), **change)
    if "last" in change:  # a different end is still a valid sector: the instability moves instead
        sector.assert_determinant()
        assert simplify(sector.determinant() - lag_sector(T, symbols.lag).determinant()) != 0
    else:
        with pytest.raises(ArithmeticError):
            sector.assert_determinant()


@pytest.mark.parametrize("horizon", [*range(4, 9), *(pytest.param(T, marks=pytest.mark.slow) for T in (9, 10, 11, 12))])
def test_sectors_are_the_hessian_of_the_full_free_energy(horizon):
    """Exact rational arithmetic: second derivatives of F in the entries of H at a rational point of the branch."""
    n, ratio, noise = horizon - 1, critical_ratio(horizon) + Rational(1, 7), Rational(2, 3)
    H = [ratio**t for t in range(1, n + 1)]
    signal = (ratio - 1) * (ratio**n + noise) ** 2 / ratio**n
    places = pairs(n)

    def second(a, b):
        """``∂²F`` on a diagonal kernel, from traces of products of the matrices that a pair of entries moves."""
        X, Y = zeros(n, n), zeros(n, n)
        X[a[0], a[1]] = X[a[1], a[0]] = 1
        Y[b[0], b[1]] = Y[b[1], b[0]] = 1
        total = 0
        early, S = [1 / h for h in H[:-1]], H[1:]
        for i in range(n):
            for j in range(n):
                if X[i, j] and Y[j, i]:
                    total += X[i, j] * Y[j, i] / (H[i] * H[j]) / 2
                    if i < n - 1 and j < n - 1:
                        total -= X[i, j] * Y[j, i] * early[i] * early[j] / 2
                        total += S[i] * early[i] ** 2 * early[j] * X[i, j] * Y[j, i] / 2
                        total += S[j] * early[j] ** 2 * early[i] * Y[j, i] * X[i, j] / 2
                for P, Q in ((X, Y), (Y, X)):
                    if i > 0 and j > 0 and P[i, j] and Q[j - 1, i - 1]:
                        total -= P[i, j] * early[j - 1] * Q[j - 1, i - 1] * early[i - 1] / 2
        if a == b == (n - 1, n - 1):
            total += signal / (H[-1] + noise) ** 3
        return total

    for lag in range(n):
        sector = lag_sector(horizon, lag).matrix().subs({r: ratio, kappa: noise})
        mine = [p for p in places if p[1] - p[0] == lag]
        weight = Rational(1, 2) if lag == 0 else 1
        for i, a in enumerate(mine):
            for j, b in enumerate(mine):
                scale = sqrt(H[a[0]] * H[a[1]] * H[b[0]] * H[b[1]])
                assert second(a, b) * scale == weight * sector[i, j]
    for a in places:
        for b in places:
            if a[1] - a[0] != b[1] - b[0]:
                assert second(a, b) == 0


@pytest.mark.parametrize("horizon", [4, pytest.param(5, marks=pytest.mark.slow)])
def test_sectors_against_the_symbolic_free_energy(horizon):
    """``FreeEnergy.hessian`` on the branch is the same matrix, r and κ symbolic."""
    functional, branch = endpoint_free_energy(horizon).units(), incoherent_branch(horizon)
    place = dict(zip(functional.kernel, branch.kernel().subs({symbols.u: 1, symbols.w: 1}), strict=True))
    place[symbols.signal] = branch.signal.subs({symbols.u: 1, symbols.v: 1, symbols.w: 1})
    hessian = functional.hessian().subs(place, simultaneous=True)
    expected = second_variation(horizon)
    places = pairs(horizon - 1)
    for i, a in enumerate(places):
        for j, b in enumerate(places):
            scale = r ** (Rational(sum(a) + sum(b), 2) + 2)
            assert cancel(hessian[i, j] * scale - expected[i, j]) == 0


@pytest.mark.parametrize("horizon", [4, 7, pytest.param(12, marks=pytest.mark.slow)])
def test_critical_mode_by_finite_differences(horizon):
    """The Hessian of F from mpmath differences annihilates the mode at ``r_c``, and not at another r."""
    n = horizon - 1
    with mpmath.workdps(50):
        for factor_, singular in ((1, True), (mp.mpf("0.99"), False)):
            ratio = number(critical_ratio(horizon)) * factor_
            signal = (ratio - 1) * (ratio**n + 1) ** 2 / ratio**n
            H = incoherent_kernel(n, ratio)
            mode = [
                number(critical_mode(horizon).subs(symbols.t, t)) * ratio ** (t + mp.mpf(1) / 2) for t in range(1, n)
            ]
            step = mp.mpf(10) ** -12
            along = [
                mp.fsum(hessian_entry(H, (t, t + 1), (s, s + 1), signal, step=step) * mode[s] for s in range(n - 1))
                * ratio ** (t + mp.mpf(3) / 2)
                for t in range(n - 1)
            ]
            assert (max(abs(x) for x in along) < mp.mpf(10) ** -15) == singular


def test_lag_one_is_first_and_the_mode_is_exact():
    assert_critical_mode()
    for horizon in range(5, 13):
        ratios = [instability_ratio(horizon, lag) for lag in range(1, horizon - 2)]
        assert all(a < b for a, b in pairwise(ratios))
        assert ratios[0] == critical_ratio(horizon)
    assert factor(lag_sector(T, 1).determinant().subs(r, critical_ratio(T))) == 0


def test_dnn_has_no_instability():
    for horizon in range(3, 7):
        assert_dnn_stable(horizon)
    assert lag_sector(T, symbols.lag, "dnn").determinant() == 1
    expected = second_variation(5, "dnn")
    off = [i for i, (a, b) in enumerate(pairs(4)) if a != b]
    assert expected.extract(off, off) == Matrix.eye(len(off))


def test_asymptotics():
    found = asymptotics()
    for noise in (0, 1):
        signal, limiting = (x.subs(kappa, noise) for x in (found.signal, found.amplitude_squared))
        errors = [
            abs(float(signal.subs(T, horizon) / critical_signal(horizon, noise).evalf(30)) - 1)
            for horizon in (10**3, 10**4)
        ]
        assert errors[0] < 1e-4
        assert abs(errors[0] / errors[1] - 100) < 3
        amplitude = module.closed_form_amplitude(10**4, sympify(noise)).evalf(30)
        assert abs(float(amplitude / limiting.evalf(30)) - 1) < 1e-3
    assert found.last_variance == E
    assert simplify(found.amplitude_squared + exp(2) / (E + kappa)) == 0
    assert limit(critical_ratio(T) ** (T - 1), T, oo) == E


# --- critical point and Landau expansion ------------------------------------------------------------------------------


def test_T4_critical_point():
    point = critical_point(4)
    assert simplify(point.signal - (8 + kappa) ** 2 / 8) == 0
    assert point.kernel_diagonal == (2, 4, 8)
    assert simplify(point.amplitude_squared - 1024 / ((8 + kappa) * (56 - 3 * kappa))) == 0
    assert point.tricritical_kappa == Rational(56, 3)
    assert point.order is None
    assert critical_point(4, 1).order == "continuous"
    assert critical_point(4, 1).exponent == Rational(1, 2)
    assert critical_point(4, 19).order == "discontinuous"


@pytest.mark.parametrize("horizon", range(4, 13))
def test_order_and_closed_form_at_each_T(horizon):
    point = critical_point(horizon, 0)
    assert point.order == ("continuous" if horizon <= 5 else "discontinuous")
    assert (point.amplitude_squared > 0) == (horizon <= 5)
    general = critical_point(T, 0)
    assert general.signal.subs(T, horizon) == point.signal
    assert general.amplitude_squared.subs(T, horizon) == point.amplitude_squared
    n = horizon - 1
    ratio = critical_ratio(horizon)
    for noise in (Rational(0), Rational(3, 2)):
        share = ratio**n / (ratio**n + noise)
        expected = module.quartic_coefficient().subs({symbols.n: n, symbols.zeta: share})
        assert landau_expansion(horizon, noise).quartic == expected


def test_kappa_never_makes_long_chains_continuous():
    for horizon in range(6, 13):
        assert critical_point(horizon, 0).tricritical_kappa is None
        assert critical_point(horizon, 1000).order == "discontinuous"


@pytest.mark.parametrize(("horizon", "noise"), [(4, Rational(56, 3)), (5, Rational(81, 16))])
def test_tricritical_points(horizon, noise):
    point = critical_point(horizon, noise)
    assert point.tricritical_kappa == noise
    assert point.exponent == Rational(1, 4)
    assert point.amplitude_squared is None
    assert landau_expansion(horizon, noise).sextic > 0
    assert point.amplitude_fourth > 0


def landau_residual(horizon, noise, epsilon):
    """Solve the full theory near the critical point by Newton's method on finite differences of F, and compare.

    Returns the relative departures of the solved order parameter's square from one and from two terms.
    """
    point = critical_point(horizon, noise)
    n, sign = horizon - 1, 1 if point.amplitude_squared > 0 else -1
    kap, lam = number(noise), number(point.signal) + sign * epsilon
    A, B = number(point.amplitude_squared), number(point.next_coefficient)
    one = A * sign * epsilon
    two = one + B * epsilon**2
    ratio = number(critical_ratio(horizon))
    H = incoherent_kernel(n, ratio)
    psi = mp.sqrt(two)
    for t in range(1, n):
        H[t - 1, t] = H[t, t - 1] = psi * t / (n - 1) * ratio ** (t - n + 1)
    places = pairs(n)
    step = mp.mpf(10) ** (-mp.dps // 4)
    for _ in range(30):
        G = gradient(H, lam, kap)
        if max(abs(x) for x in G) < epsilon**3 * mp.mpf(10) ** -12:
            break
        second = mp.matrix(len(places), len(places))
        for i, a in enumerate(places):
            for j in range(i + 1):
                second[i, j] = second[j, i] = hessian_entry(H, a, places[j], lam, kap, step=step)
        change = mp.lu_solve(second, mp.matrix(G))
        H = moved(H, list(zip(places, [-x for x in change], strict=True)))
    else:
        raise AssertionError("not converged")
    solved = H[n - 2, n - 1] ** 2
    assert solved > one / 2
    return abs(solved / one - 1), abs(solved / two - 1)


@pytest.mark.parametrize(
    ("horizon", "noise"),
    [
        (4, Rational(1)),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((5, Rational(1, 2)), (6, Rational(0)))),
    ],
)
def test_amplitude_and_next_coefficient_against_the_full_free_energy(horizon, noise):
    with mpmath.workdps(60):
        first, second = landau_residual(horizon, noise, mp.mpf(10) ** -4)
        finer, finest = landau_residual(horizon, noise, mp.mpf(10) ** -5)
    # one term is off by O(ε), two by O(ε²)
    assert abs(first / finer - 10) < 0.2
    assert abs(second / finest - 100) < 5


def test_changed_quartic_coefficient_is_noticed(monkeypatch):
    sound = module.closed_form_amplitude
    monkeypatch.setattr(module, "closed_form_amplitude", lambda *a: sound(*a) * Rational(1001, 1000))
    with pytest.raises(ArithmeticError):
        critical_point(4, 1)
    module.assert_closed_form_amplitude.cache_clear()
    with pytest.raises(ArithmeticError):
        critical_point(T)
    module.assert_closed_form_amplitude.cache_clear()


@pytest.mark.parametrize("entry", [(1, 2), (3, 4)])
def test_a_dnns_energy_with_any_off_diagonal_entry_is_noticed(entry, monkeypatch):
    stability = importlib.import_module("theory.stability")
    right = endpoint_free_energy(5, "dnn")
    terms = dict(right.terms) | {"energy": right.terms["energy"] + symbols.kernel_entry(*entry) ** 2}
    monkeypatch.setattr(stability, "endpoint_free_energy", lambda T, arch: dataclasses.replace(right, terms=terms))
    with pytest.raises(ArithmeticError, match="energy or trace contains an off-diagonal"):
        assert_dnn_stable(5)


@pytest.mark.parametrize("pair", range(6))
def test_the_dnns_curvature_of_every_pair_of_times_is_asserted(pair, monkeypatch):
    stability = importlib.import_module("theory.stability")
    calls = iter(range(6))
    monkeypatch.setattr(stability, "simplify", lambda difference: simplify(difference) + (next(calls) == pair))
    with pytest.raises(ArithmeticError, match="the DNN's curvature"):
        assert_dnn_stable(5)


def test_changed_sector_moves_the_critical_point():
    """With another boundary weight, the sector is no longer singular at ``r_c``: the location rests on it."""
    wrong = LagSector(1, T - 2, 2 * r, sympify(1) + Rational(1, 100), -r)
    assert simplify(wrong.determinant().subs({r: critical_ratio(T)}).subs(T, 6)) != 0


# --- discontinuous transition -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("horizon", "noise"),
    [
        (4, Rational(30)),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((5, Rational(6)), (6, Rational(0)))),
    ],
)
def test_coexistence_on_the_full_free_energy(horizon, noise):
    found = coexistence(horizon, noise, 25)
    assert found.fold.signal < found.equal.signal < found.critical_signal
    assert found.fold.order_parameter < found.equal.order_parameter
    assert found.fold.free_energy > found.fold.incoherent_free_energy
    with mpmath.workdps(60):
        for state in (found.fold, found.equal):
            H, lam, kap = state.kernel, state.signal, number(noise)
            assert max(abs(x) for x in gradient(H, lam, kap)) < mp.mpf(10) ** -25
            assert abs(free_energy(H, lam, kap) - state.free_energy) < mp.mpf(10) ** -25
        assert abs(found.equal.free_energy - found.equal.incoherent_free_energy) < mp.mpf(10) ** -22
        places = pairs(horizon - 1)
        curvature = {}
        for name, state in (("fold", found.fold), ("equal", found.equal)):
            H = mp.matrix(len(places), len(places))
            for i, a in enumerate(places):
                for j in range(i + 1):
                    H[i, j] = H[j, i] = hessian_entry(
                        state.kernel, a, places[j], state.signal, kap, step=mp.mpf(10) ** -12
                    )
            curvature[name] = min(mp.eigsy(H, eigvals_only=True))
    # marginal at the fold, a minimum of F at equal free energy
    assert abs(curvature["fold"]) < 1e-15
    assert curvature["equal"] > 1e-6


def test_coexistence_refuses_continuous_transitions():
    with pytest.raises(ValueError, match="is continuous"):
        coexistence(4, Rational(1))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((3,), "T"), ((2,), "T"), ((4.5,), "T"), ((4, -1), "kappa"), ((4, 0.5), "kappa"), ((4, "nan"), "kappa")],
)
def test_bad_input_is_one_line(arguments, name):
    with pytest.raises(ValueError, match=rf"^{name}: is .*; accepted: .*$"):
        critical_point(*arguments)


@pytest.mark.slow
def test_random_points_to_forty_digits():
    """Three random (T, κ): λ_c and the critical mode annihilate the full Hessian to 40 digits."""
    rng = np.random.default_rng(5)
    with mpmath.workdps(110):
        for horizon in (int(x) for x in rng.choice(range(4, 13), 3, replace=False)):
            noise = Rational(int(rng.integers(1, 500)), 100)
            n, point = horizon - 1, critical_point(horizon, noise)
            H = mp.diag([number(x) for x in point.kernel_diagonal])
            signal, kap = number(point.signal), number(noise)
            step = mp.mpf(10) ** -27
            assert abs(gradient(H, signal, kap)[-1]) < mp.mpf(10) ** -40
            for row in range(n - 1):
                total = 0
                for s in range(max(0, row - 1), min(n - 1, row + 2)):
                    size = number(Rational(s + 1, n - 1)) * mp.sqrt(H[s, s] * H[s + 1, s + 1])
                    total += hessian_entry(H, (row, row + 1), (s, s + 1), signal, kap, step=step) * size
                assert abs(total) < mp.mpf(10) ** -40


@pytest.mark.parametrize(
    ("horizon", "seed"), [(4, 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((4, 2), (5, 3)))]
)
def test_amplitude_to_forty_digits(horizon, seed):
    """So close to the critical point that one term of the expansion has 40 digits, and two have 80."""
    noise = Rational(int(np.random.default_rng(seed).integers(1, 400)), 100)
    with mpmath.workdps(300):
        first, second = landau_residual(horizon, noise, mp.mpf(10) ** -42)
        assert first < mp.mpf(10) ** -40
        assert second < mp.mpf(10) ** -80
