"""All states with a skip connection: derived, and stationary on the free energy as it is defined."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import Integer, Rational, lambdify

from tests.theory.skip_reference import free_energy, largest_slope, tied
from theory.coherent_branch import coherent_branch
from theory.learning_onset import onset_noise
from theory.skip_tied import assert_elimination, chi_at, fold_noise, outliers, tied_states
from theory.skip_untied import assert_untied, cusp_polynomial, skip_branch, untied_cusp, untied_cusp_skip
from theory.symbols import T, chi, g, kappa, s
from theory.symbols import skip as a

STATES = tied_states()
FUNCTIONS = {
    "a2": lambdify((g, chi), STATES.skip_squared, "mpmath"),
    "signal": lambdify((g, chi, kappa), STATES.signal, "mpmath"),
    "F": lambdify((g, chi, kappa), STATES.free_energy, "mpmath"),
    "chi": lambdify((g, a), chi_at(), "mpmath"),
} | {times: lambdify((g, chi), value, "mpmath") for times, value in STATES.kernel.items()}


def tied_kernel(x, strength):
    """The kernel of one tied state at a skip."""
    y = FUNCTIONS["chi"](x, strength)
    H = mp.zeros(3, 3)
    for t in range(1, 4):
        for u in range(t, 4):
            value = FUNCTIONS[t, u](x, y) * (strength if (t + u) % 2 else 1)
            H[t - 1, u - 1] = H[u - 1, t - 1] = value
    return H, y


@pytest.fixture
def places():
    rng = np.random.default_rng(21)
    return [(mp.mpf(float(sign * (1 + x))), mp.mpf(float(b))) for sign in (1, -1) for x, b in
            zip(rng.exponential(2.0, 4), 10 ** rng.uniform(-2, 1, 4), strict=True)]  # fmt: skip


@pytest.mark.slow
def test_the_derivation_of_untied_states():
    assert_untied()


@pytest.mark.slow
def test_the_derivation_of_tied_states():
    assert_elimination()


def test_tied_states_are_stationary(places):
    with mpmath.workdps(80):
        for x, strength in places:
            H, y = tied_kernel(x, strength)
            mp.cholesky(H)
            assert y > x * x - x
            assert abs(FUNCTIONS["a2"](x, y) - strength**2) < mp.mpf(10) ** -60 * strength**2
            noise = mp.mpf(2)
            signal = FUNCTIONS["signal"](x, y, noise)
            assert largest_slope(H, tied(3), strength, signal, noise) < mp.mpf(10) ** -40 * (1 + abs(signal))
            F = free_energy(H, tied(3), strength, signal, noise)
            assert abs(F - FUNCTIONS["F"](x, y, noise)) < mp.mpf(10) ** -60 * (1 + abs(F))


def test_the_signal_folds_along_fixed_skip_at_the_noise_of_a_fold(places):
    """λ(g) at fixed a, χ going with g: its slope vanishes at κ of a fold, and at another noise it does not."""
    noise = lambdify((g, chi), fold_noise(), "mpmath")
    (x, strength), *_ = places
    with mpmath.workdps(25):
        at = noise(x, FUNCTIONS["chi"](x, strength))

        def signal(x, kappa=at):
            return FUNCTIONS["signal"](x, FUNCTIONS["chi"](x, strength), kappa)

        size = abs(signal(x)) + abs(signal(x, at + 1)) + 1
        assert abs(mp.diff(signal, x)) < mp.mpf(10) ** -9 * size
        assert abs(mp.diff(lambda x: signal(x, at + 1), x)) > mp.mpf(10) ** -8


def test_an_opposed_state_is_never_lowest(places):
    with mpmath.workdps(40):
        for x, strength in places:
            H, y = tied_kernel(x, strength)
            signal = FUNCTIONS["signal"](x, y, 1)
            flipped = H.copy()
            for t, u in ((0, 1), (1, 2)):
                flipped[t, u], flipped[u, t] = -H[t, u], -H[t, u]
            change = free_energy(flipped, tied(3), strength, signal, 1) - free_energy(H, tied(3), strength, signal, 1)
            assert (change > 0) == (x > 0)


def test_the_random_network_and_the_limit_of_no_skip():
    with mpmath.workdps(40):
        H, _ = tied_kernel(mp.mpf(1), mp.mpf("0.3"))
        assert abs(H[0, 0] - 1) < mp.mpf(10) ** -35
        assert abs(H[0, 1] - mp.mpf("0.3")) < mp.mpf(10) ** -35
        small = mp.mpf(10) ** -15
        H, y = tied_kernel(1 / small, small)
        known = coherent_branch(Integer(1))
        put = H[0, 0]
        signal = lambdify(s, known.signal, "mpmath")(put)
        assert abs(FUNCTIONS["signal"](1 / small, y, 1) / signal - 1) < mp.mpf(10) ** -12
        assert abs(lambdify(s, known.kernel[2, 3], "mpmath")(put) / H[1, 2] - 1) < mp.mpf(10) ** -12


def test_outliers_are_those_of_the_propagator():
    with mpmath.workdps(30):
        H, y = tied_kernel(mp.mpf(3), mp.mpf("0.2"))
        propagator = H[1:3, 0:2] * mp.inverse(H[0:2, 0:2])
        eigenvalues = sorted(mp.eig(propagator, left=False, right=False), key=mp.re)
        given = [lambdify((g, chi, a), value, "mpmath")(mp.mpf(3), y, mp.mpf("0.2")) for value in outliers()]
        for found, value in zip(eigenvalues, sorted(given), strict=True):
            assert abs(found - mp.mpf("0.2") - value) < mp.mpf(10) ** -25


@pytest.mark.parametrize("horizon", [3, 4, 6])
def test_untied_states_are_stationary(horizon):
    rng = np.random.default_rng(horizon)
    n = horizon - 1
    with mpmath.workdps(60):
        for _ in range(2):
            strength, place = Rational(rng.integers(1, 300), 100), Rational(rng.integers(101, 400), 100)
            branch = skip_branch(horizon, Rational(5, 2), strength)
            H = mp.zeros(n, n)
            for t in range(1, n + 1):
                for u in range(1, n + 1):
                    H[t - 1, u - 1] = mp.mpf(branch.kernel_entry(t, u).subs(g, place).evalf(60))
            signal, F = (mp.mpf(x.subs(g, place).evalf(60)) for x in (branch.signal, branch.free_energy))
            given = (H, tied(n, untied=True), mp.mpf(strength.p) / strength.q, signal, mp.mpf("2.5"))
            assert largest_slope(*given) < mp.mpf(10) ** -30 * (1 + signal)
            assert abs(free_energy(*given) - F) < mp.mpf(10) ** -50 * (1 + abs(F))


def folds_meet(found, horizon):
    """λ(g) at the cusp's skip and noise: its value there, and that its first two derivatives vanish."""
    signal = lambdify((g, a, kappa), skip_branch(horizon).signal, "mpmath")
    assert abs(signal(found.g, found.skip, found.kappa) / found.signal - 1) < 1e-12
    slopes = [mp.diff(lambda x: signal(x, found.skip, found.kappa), found.g, k) for k in (1, 2, 3)]
    assert abs(slopes[0]) < mp.mpf(10) ** -6
    assert abs(slopes[1]) < mp.mpf(10) ** -6
    assert slopes[2] > 1


def test_the_untied_cusp_of_two_times():
    with mpmath.workdps(30):
        found = untied_cusp(3, Rational(1, 2), 15)
        assert found.skip == mp.mpf("0.5")
        folds_meet(found, 3)
    with pytest.raises(ValueError, match="T: is 2"):
        untied_cusp(2, Integer(0))


@pytest.mark.slow
def test_the_untied_cusp():
    assert cusp_polynomial(T).degree() == 8
    with mpmath.workdps(30):
        assert abs(untied_cusp(5, Integer(0), 30).kappa - mp.mpf(onset_noise(5).evalf(30))) < mp.mpf(10) ** -25
        folds_meet(untied_cusp(4, Rational(1, 2), 30), 4)


@pytest.mark.slow
def test_the_untied_cusp_at_a_noise():
    found = untied_cusp_skip(4, 60, 20)
    assert abs(untied_cusp(4, Rational(str(found.skip)), 15).kappa - 60) < 1e-9
    with pytest.raises(ValueError, match="kappa: is 30; accepted"):
        untied_cusp_skip(4, 30)
