"""Covariance and mean shift of the kernel at finite width: mpmath on the full free energy, exact integrals, draws."""

import dataclasses
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from endpoint_reference import free_energy, hessian_entry, moved, pairs
from mpmath import mp
from sympy import Integer, Rational, Symbol, cancel, expand, limit, oo, simplify

from tests.theory.test_claims import at_a_point
from theory import fluctuations, symbols
from theory.claims import assert_zero
from theory.coherent_branch import coherent_branch
from theory.fluctuations import (
    assert_sector_inverse,
    coherent_covariance,
    coherent_mean_shift,
    divergence,
    incoherent_covariance,
    incoherent_covariance_matrix,
    incoherent_mean_shift,
    order_parameter_variance,
    sector_inverse,
)
from theory.stability import lag_sector

r, s, kappa, T = symbols.r, symbols.s, symbols.kappa, symbols.T


@pytest.fixture(scope="module")
def coherent():
    return coherent_covariance(coherent_branch())


def numeric_hessian(F, x, step):
    """Central differences of fourth order, mixed ones as products of first differences."""
    weights = {1: mp.mpf(2) / 3, 2: -mp.mpf(1) / 12}
    stencil = [(sign * k, sign * c) for k, c in weights.items() for sign in (1, -1)]
    second = {0: -mp.mpf(5) / 2, 1: mp.mpf(4) / 3, 2: -mp.mpf(1) / 12}
    n = len(x)

    def at(*moves):
        y = list(x)
        for i, k in moves:
            y[i] += k * step
        return F(y)

    hessian = mp.matrix(n, n)
    for i in range(n):
        pure = second[0] * at() + mp.fsum(second[k] * (at((i, k)) + at((i, -k))) for k in (1, 2))
        hessian[i, i] = pure / step**2
        for j in range(i):
            mixed = mp.fsum(a * b * at((i, k), (j, m)) for k, a in stencil for m, b in stencil) / step**2
            hessian[i, j] = hessian[j, i] = mixed
    return hessian


def full_covariance(H, signal, noise, arch="rnn", **scales):
    """Inverse of the numeric Hessian of the full F in the independent entries."""
    start, entries = [mp.mpf(0)] * len(pairs(H.rows)), pairs(H.rows)

    def F(steps):
        return free_energy(moved(H, list(zip(entries, steps, strict=True))), signal, noise, arch, **scales)

    return mp.inverse(numeric_hessian(F, start, mp.mpf(10) ** -13))


def value(expression, point):
    return mp.mpf(str(expression.subs(point).evalf(mp.dps)))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize(
    "point",
    [
        (4, "1.3127", "0.4481", "1.3", "0.7", "1.2"),
        (4, "1.8114", "3.0219", "0.8", "1.9", "0.6"),
        pytest.param((5, "1.2207", "1.7345", "1.1", "0.4", "1.7"), marks=pytest.mark.slow),
    ],
)
def test_incoherent_covariance_to_forty_digits(point, arch):
    horizon, ratio, noise, u, v, w = point
    names = (r, kappa, symbols.u, symbols.v, symbols.w)
    exact = dict(zip(names, map(Rational, point[1:]), strict=True))
    matrix = incoherent_covariance_matrix(horizon, arch)
    n = horizon - 1
    with mpmath.workdps(120):
        ratio, noise, u, v, w = (mp.mpf(x) for x in point[1:])
        H = mp.diag([u * w ** (t - 1) * ratio**t for t in range(1, n + 1)])
        reduced = noise / (v * u * w ** (n - 1))
        signal = (ratio - 1) * (ratio**n + reduced) ** 2 / ratio**n
        numeric = full_covariance(H, signal, noise, arch, u=u, v=v, w=w)
        size = len(pairs(n))
        worst = max(abs(numeric[i, j] - value(matrix[i, j], exact)) for i in range(size) for j in range(size))
        assert worst < mp.mpf(10) ** -40
        # A coefficient changed by a millionth is seen.
        assert abs(numeric[0, 0] - value(matrix[0, 0], exact) * (1 + mp.mpf(10) ** -6)) > mp.mpf(10) ** -8


@pytest.mark.slow
@pytest.mark.parametrize(("place", "noise"), [("2.3317", "0.8204"), ("3.7712", "4.4403"), ("9.1029", "0")])
def test_coherent_covariance_to_forty_digits(coherent, place, noise):
    branch = coherent_branch()
    exact = {s: Rational(place), kappa: Rational(noise)}
    with mpmath.workdps(120):
        H = mp.matrix(3, 3)
        for (i, j), entry in branch.kernel.items():
            H[i - 1, j - 1] = H[j - 1, i - 1] = value(entry, exact)
        numeric = full_covariance(H, value(branch.signal, exact), mp.mpf(noise))
        for i in range(6):
            for j in range(6):
                assert abs(numeric[i, j] - value(coherent[i, j], exact)) < mp.mpf(10) ** -40 * abs(numeric[i, i] + 1)
        assert all(numeric[i, i] > 0 for i in range(6))


@pytest.mark.parametrize("exact", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lag", [0, symbols.lag])
def test_sector_inverse_is_proven_for_symbolic_length(lag, exact, monkeypatch):
    if not exact:
        monkeypatch.setattr(fluctuations, "assert_zero", lambda claims: assert_zero(claims, at_a_point))
    sector = lag_sector(T, lag)
    assert_sector_inverse(sector)
    for broken in (
        dataclasses.replace(sector, diagonal=2 * r + 1),
        dataclasses.replace(sector, off_diagonal=-r / 2),
    ):
        with pytest.raises(ArithmeticError):
            assert_sector_inverse(broken)


def test_sector_inverse_against_matrix_inversion():
    for lag in (0, 1, 2):
        sector = lag_sector(7, lag)
        inverse = sector.matrix().subs({r: Rational(11, 10), kappa: Rational(2, 3)}).inv()
        for t in range(1, int(sector.size) + 1):
            for later in range(t, int(sector.size) + 1):
                closed = sector_inverse(sector, t, later).subs({r: Rational(11, 10), kappa: Rational(2, 3)})
                assert simplify(inverse[t - 1, later - 1] - closed) == 0


def test_prior_covariance_is_that_of_gaussian_trajectories():
    """At r = 1: N Var(H^{tt}) = 2t, N Var(H^{t,t+l}) = t for l ≥ 1, as drawn random matrices have it."""
    assert incoherent_covariance(3, 3, 0, 6).subs({r: 1, symbols.u: 1, symbols.w: 1}) == 6
    assert incoherent_covariance(2, 3, 1, 6).subs({r: 1, symbols.u: 1, symbols.w: 1}) == 2
    rng = np.random.default_rng(5)
    width, draws = 60, 1500
    entries = np.empty((draws, 2))
    for k in range(draws):
        W = rng.normal(size=(width, width)) / np.sqrt(width)
        first = rng.normal(size=width)
        second = W @ first
        third = W @ second
        entries[k] = second @ third / width, third @ third / width
    variance = width * entries.var(axis=0)
    np.testing.assert_allclose(variance, [2, 6], rtol=0.2)


@pytest.mark.parametrize("T", [4, 5, 7])
def test_variance_of_the_order_parameter_is_the_entry_of_the_inverse_hessian(T):
    """By finite differences of F in the entries of lag 1; and ``(λ_c - λ) Var`` next to the pole."""
    n, variance = T - 1, order_parameter_variance(T)
    with mpmath.workdps(40):
        r = mp.mpf("1.2")
        signal, step = (r - 1) * (r**n + 1) ** 2 / r**n, mp.mpf(10) ** -12
        H = mp.diag([r ** (t + 1) for t in range(n)])
        second = mp.matrix(n - 1, n - 1)
        for t in range(n - 1):
            for s in range(n - 1):
                second[t, s] = hessian_entry(H, (t, t + 1), (s, s + 1), signal, mp.mpf(1), step=step)
        expected = float((second**-1)[n - 2, n - 2])
    assert float(variance.subs(symbols.r, Rational(6, 5))) == pytest.approx(expected, rel=1e-9)
    ratio = Rational(n - 1, n - 2)
    near = ratio - Rational(1, 10**9)
    signal, critical = ((x - 1) * (x**n + 1) ** 2 / x**n for x in (near, ratio))
    below = divergence(T).below.subs(symbols.kappa, 1)
    assert float(variance.subs(symbols.r, near) * (critical - signal) / below) == pytest.approx(1, rel=1e-6)


@pytest.mark.slow
def test_divergence_at_the_critical_point(coherent):
    variance = order_parameter_variance()
    n = T - 1
    assert simplify(variance - (n - 1) * r ** (2 * n - 1) / (n - 1 - (n - 2) * r)) == 0
    branch = coherent_branch()
    both = divergence(4, branch)
    assert both.exponent == 1
    assert simplify(both.below - 4 * (40 - kappa) * (8 + kappa)) == 0
    assert simplify(both.below / both.above) == 2
    assert simplify(divergence(T).below.subs(T, 4) - both.below) == 0
    tricritical = divergence(4, coherent_branch(Rational(56, 3)))
    assert tricritical.below / tricritical.above == 4
    # On the branches themselves, close to the point.
    near = Rational(1, 10**6)
    place = {s: 2 + near, kappa: 1}
    distance = (branch.signal - branch.signal.subs(s, 2)).subs(place)
    assert abs(float(coherent[4, 4].subs(place) * distance / both.above.subs(kappa, 1)) - 1) < 1e-4
    ratio = 2 - near
    signal = (ratio - 1) * (ratio**3 + 1) ** 2 / ratio**3
    below = order_parameter_variance(4).subs(r, ratio) * (Rational(81, 8) - signal)
    assert abs(float(below / both.below.subs(kappa, 1)) - 1) < 1e-4


def test_mean_shift_of_the_prior():
    """No labels, κ → ∞: ⟨H⟩ is the prior's, 1 on the diagonal to order 1/N², ⟨(W²)_ii⟩ = 1/N at lag 2."""
    shift = incoherent_mean_shift(4)
    at_prior = {times: limit(entry.subs(r, 1), kappa, oo) for times, entry in shift.items()}
    assert at_prior == {(1, 1): 0, (1, 2): 0, (1, 3): 1, (2, 2): 0, (2, 3): 0, (3, 3): 0}
    # With κ finite, the read-out's (H^{33}+κ)^{-1/2} pulls by -½ N Var(H^{33})/(1+κ).
    assert cancel(shift[3, 3].subs(r, 1) + 3 / (1 + kappa)) == 0


def bessel_mean(width, signal, noise, power):
    """⟨H^{22}⟩ or ⟨H^{11}⟩ at T = 3 exactly: H^{12} and H^{11} integrate to Bessel functions, one integral is left."""

    def weight(d, order):
        # ∫ da a^{order-1} exp(-N(a + d/a)/2) = 2 d^{order/2} K_order(N√d)
        x = width * mp.sqrt(d)
        scaled = 2 * d ** (mp.mpf(order) / 2) * mp.besselk(order, x)
        return d ** (mp.mpf(width) / 2 - 1) * scaled * mp.exp(-width * signal / (d + noise) / 2) / mp.sqrt(d + noise)

    # Pieces of about a standard deviation around the peak near 9/4.
    steps = [mp.mpf(9) / 4 + 2 * k / mp.sqrt(width) for k in range(-10, 16)]
    bounds = [step for step in steps if step > 0]
    norm = mp.quad(lambda d: weight(d, 0), bounds)
    if power == 2:
        return mp.quad(lambda d: d * weight(d, 0), bounds) / norm
    return mp.quad(lambda d: weight(d, 1), bounds) / norm


@pytest.mark.slow
@pytest.mark.parametrize(("times", "power"), [((2, 2), 2), ((1, 1), 1)])
def test_mean_shift_against_the_exact_integral(times, power):
    """T = 3, r = 3/2, κ = 1: the exact ⟨H⟩ at widths 100 to 400, extrapolated in 1/N."""
    ratio, noise = Rational(3, 2), Rational(1)
    shift = incoherent_mean_shift(3, noise)[times].subs(r, ratio)
    signal = (ratio - 1) * (ratio**2 + noise) ** 2 / ratio**2
    widths = [100, 200, 400]
    with mpmath.workdps(20):
        level = mp.mpf(ratio.p) / ratio.q
        mean = [n * (bessel_mean(n, mp.mpf(signal.p) / signal.q, 1, power) - level ** times[0]) for n in widths]
        while len(mean) > 1:  # Richardson in 1/N, widths doubling
            order = len(widths) - len(mean) + 1
            mean = [(2**order * b - a) / (2**order - 1) for a, b in pairwise(mean)]
        assert abs(mean[0] / (mp.mpf(shift.p) / shift.q) - 1) < 2e-4


def curved_shift(place, noise):
    """N(⟨H⟩ - H*) from the saddle-point expansion in (α, c, δ, p, q, γ), with the Jacobian c² in the exponent."""

    def kernel(x):
        a, c, d, p, q, g = x
        return [a + c * p * p, c * p, g + c * p * q, c, c * q, d + c * q * q]

    def matrix(h):
        return mp.matrix([[h[0], h[1], h[2]], [h[1], h[3], h[4]], [h[2], h[4], h[5]]])

    c = 2 * place * (place - 1)
    p = mp.sqrt(2 * place * (place - 1) * (place - 2)) / c
    x = [mp.mpf(2), c, 4 * place, p, 2 * place * p, mp.mpf(0)]
    end = 4 * place * (place - 1) ** 2
    signal = (end + noise) ** 2 / (4 * place * (place - 1))

    def F(*y):
        return free_energy(matrix(kernel(y)), signal, noise)

    def action(*y):
        h = kernel(y)
        return mp.log(h[5] + noise) / 2 + 2 * mp.log(mp.det(matrix(h))) - 2 * mp.log(y[1])

    def partial(f, *indices):
        return mp.diff(f, tuple(x), tuple(indices.count(i) for i in range(6)))

    S = mp.inverse(mp.matrix(6, 6) + mp.matrix([[partial(F, i, j) for j in range(6)] for i in range(6)]))
    force = mp.matrix(6, 1)
    for i in range(6):
        cubic = mp.fsum(partial(F, i, *sorted((j, k))) * S[j, k] for j in range(6) for k in range(6))
        force[i] = partial(action, i) + cubic / 2
    drift = -S * force
    shifts = []
    for entry in range(6):
        f = lambda *y, entry=entry: kernel(y)[entry]  # noqa: E731
        first = mp.fsum(partial(f, i) * drift[i] for i in range(6))
        second = mp.fsum(partial(f, *sorted((i, j))) * S[i, j] for i in range(6) for j in range(6))
        shifts.append(first + second / 2)
    return shifts


@pytest.mark.slow
def test_coherent_mean_shift_in_other_coordinates():
    """The expansion is covariant: regression coordinates give the same shift, at three points, to fifteen digits."""
    shift = coherent_mean_shift(coherent_branch())
    for place, noise in (("2.4", "1"), ("3.5", "0.3"), ("6.1", "5")):
        with mpmath.workdps(50):
            curved = curved_shift(mp.mpf(place), mp.mpf(noise))
            exact = {s: Rational(place), kappa: Rational(noise)}
            for entry, numeric in zip(shift.values(), curved, strict=True):
                assert abs(value(entry, exact) / numeric - 1) < 1e-15


@pytest.mark.slow
def test_coherent_mean_shift_at_one_noise():
    """The same at one point with κ = 0: cheaper, as κ is no symbol."""
    shift = coherent_mean_shift(coherent_branch(0))
    with mpmath.workdps(40):
        curved = curved_shift(mp.mpf(3), mp.mpf(0))
        for entry, numeric in zip(shift.values(), curved, strict=True):
            assert abs(value(entry, {s: 3}) / numeric - 1) < 1e-12


def test_general_scales_enter_by_powers():
    plain = incoherent_covariance(1, 2, 1, 5)
    assert expand(plain / (symbols.u**2 * symbols.w**2)).free_symbols == {r}


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="accepted: 1 ≤ t ≤ s"):
        incoherent_covariance(2, 1, 0, 4)
    with pytest.raises(ValueError, match="accepted: 1 ≤ t ≤ s"):
        incoherent_covariance(1, 3, 1, 4)
    with pytest.raises(ValueError, match="lag"):
        incoherent_covariance(1, 1, 5, 4)
    with pytest.raises(ValueError, match="T: is 3"):
        divergence(3)
    with pytest.raises(ValueError, match="accepted: 4"):
        divergence(5, coherent_branch(1))
    with pytest.raises(ValueError, match="kappa"):
        incoherent_mean_shift(4, -2)


def test_leading_terms_and_the_amplitude_above_the_transition(monkeypatch):
    """On a planted variance, whose pole meets the zero of the signal's distance."""
    x = Symbol("x")
    assert fluctuations._leading_at(5 * (x - 2) ** 2 / (x * (x - 2) ** 3), x, Integer(2)) == (Rational(5, 2), -1)
    assert fluctuations._leading_at((x - 3) ** 2 * (x + 1), x, Integer(3)) == (4, 2)
    branch = coherent_branch(1)
    place = branch.parameter
    for order in (1, 2):
        monkeypatch.setattr(fluctuations, "coherent_covariance", lambda _, k=order: {(4, 4): 7 / (place - 2) ** k})
        if order == 1:
            slope = branch.signal.diff(place).subs(place, 2)
            assert fluctuations.divergence(4, branch).above == 7 * slope
        else:
            with pytest.raises(ArithmeticError, match="a pole of order 2, the signal a zero of order 1"):
                fluctuations.divergence(4, branch)
