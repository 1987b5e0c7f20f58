"""Critical points of the families of sharing matrices, against Newton's method on the full free energy in mpmath."""

from __future__ import annotations

import mpmath
import pytest
from mpmath import mp
from sympy import Integer, Poly, Rational, Symbol, factor, fraction, sqrt, sympify

from tests.theory.sharing_reference import branch_near, gradient, moved, response, sharing_matrix
from theory import looped, sharing_transition, symbols
from theory.critical_point import critical_point
from theory.landau import landau_expansion
from theory.sharing import DNN, RNN, SharingFamily, sharing
from theory.sharing_landau import exact_quartic
from theory.sharing_stability import EIGENVALUE, eigenvalue_condition, instability
from theory.sharing_transition import closed_eigenvalue, critical_point_of, tricritical_noise
from theory.sharing_tricritical import (
    COSINE,
    continuity_at,
    continuity_numerator,
    correlation_at_cosine,
    tricritical_correlations,
    tricritical_count,
    tricritical_polynomial,
)

T = symbols.T


def number(expression):
    return mp.mpf(sympify(expression).evalf(mp.dps))


def reference(word, n):
    """The sharing matrix of the reference, from the word alone."""
    family, _, parameter = word.partition(":")
    if family == "looped":
        return sharing_matrix((family, int(parameter)), n)
    top, _, bottom = parameter.partition("/")
    return sharing_matrix((family, mp.mpf(int(top)) / int(bottom)), n)


def departure(word, horizon, noise, epsilon):
    """How far ``(H^{n,n-l})²`` on the full free energy is from one and from two terms at ``λ_c ± ε``."""
    point = critical_point_of(sharing(word), horizon, noise)
    A, B = number(point.amplitude_squared), number(point.next_coefficient)
    psi = mp.sqrt(epsilon)
    _, label = branch_near(
        reference(word, horizon - 1),
        number(point.ratio),
        number(point.signal),
        number(noise),
        point.lag,
        psi,
        epsilon**4 * mp.mpf(10) ** -8,
    )
    away = label - number(point.signal)
    return abs(A * away / epsilon - 1), abs((A * away + B * away**2) / epsilon - 1)


CASES = [
    ("shared:1/2", 4, Rational(1)),
    ("shared:3/4", 5, Rational(1, 2)),
    ("drift:2/5", 5, Rational(2)),
    ("looped:2", 5, Rational(0)),
    pytest.param("looped:2", 6, Rational(3), marks=pytest.mark.slow),
    pytest.param("drift:4/5", 6, Rational(1, 3), marks=pytest.mark.slow),
    pytest.param("shared:1/3", 6, Rational(1), marks=pytest.mark.slow),
    pytest.param("looped:3", 7, Rational(1), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("word", "horizon", "noise"), CASES)
def test_point_and_mode_to_forty_digits(word, horizon, noise):
    """At λ_c the diagonal kernel is stationary, and one mode of the given lag is neither stable nor unstable."""
    point = critical_point_of(sharing(word), horizon, noise)
    n = horizon - 1
    with mpmath.workdps(130):
        M, label, kappa = reference(word, n), number(point.signal), number(noise)
        H = mp.diag([number(h) for h in point.kernel_diagonal])
        G = gradient(H, M, label, kappa)
        assert max(abs(G[i, j]) for i in range(n) for j in range(n)) < mp.mpf(10) ** -40
        h = mp.mpf(10) ** -40
        singular = []
        for lag in range(1, n):
            places = [(t, t + lag) for t in range(n - lag)]
            J = mp.matrix(len(places), len(places))
            for column, place in enumerate(places):
                change = response(H, M, label, kappa, place, h)
                for row, other in enumerate(places):
                    J[row, column] = change[other] * mp.sqrt(H[other[0], other[0]] * H[other[1], other[1]])
                    J[row, column] *= mp.sqrt(H[place[0], place[0]] * H[place[1], place[1]])
            smallest = min(mp.eigsy((J + J.T) / 2, eigvals_only=True))
            assert smallest > -(mp.mpf(10) ** -40)
            if abs(smallest) < mp.mpf(10) ** -40:
                singular.append(lag)
        assert singular == [point.lag]


@pytest.mark.parametrize(("word", "horizon", "noise"), CASES)
def test_two_terms_of_the_order_parameter(word, horizon, noise):
    with mpmath.workdps(60):
        first, second = departure(word, horizon, noise, mp.mpf(10) ** -4)
        finer, finest = departure(word, horizon, noise, mp.mpf(10) ** -5)
    # one term is off by O(ε), two by O(ε²)
    assert abs(first / finer - 10) < 0.3
    assert abs(second / finest - 100) < 8


@pytest.mark.parametrize(
    ("word", "horizon", "noise"),
    [
        ("shared:2/3", 4, Rational(7, 3)),
        ("looped:2", 5, Rational(1)),
        pytest.param("drift:1/2", 5, Rational(1), marks=pytest.mark.slow),
        pytest.param("shared:1/2", 5, Rational(5, 2), marks=pytest.mark.slow),
    ],
)
def test_amplitude_to_forty_digits(word, horizon, noise):
    with mpmath.workdps(330):
        first, second = departure(word, horizon, noise, mp.mpf(10) ** -42)
        assert first < mp.mpf(10) ** -40
        assert second < mp.mpf(10) ** -80


def test_ends_of_the_family():
    for horizon in (4, 5, 6):
        mine = sharing_transition._rational(RNN, horizon, Rational(3, 2))
        known = critical_point(horizon, Rational(3, 2))
        assert mine.signal == known.signal
        assert mine.amplitude_squared == known.amplitude_squared
        assert mine.order == known.order
        assert mine.tricritical_kappa == known.tricritical_kappa
        near = critical_point_of(SharingFamily("shared", 1 - Rational(1, 10**12)), horizon, Rational(1))
        assert abs(float(near.signal / critical_point(horizon, 1).signal) - 1) < 1e-10
    for arch, horizon in ((DNN, 6), (sharing("looped:3"), 5), (sharing("looped:9"), 6), (DNN, T)):
        with pytest.raises(ValueError, match="coherence never grows"):
            critical_point_of(arch, horizon, 1)


@pytest.mark.parametrize("word", ["shared:1/3", "drift:1/3", "looped:2", "drift:9/10"])
@pytest.mark.parametrize("horizon", [5, 7])
def test_two_routes_to_the_quartic_coefficient(word, horizon):
    """Traces and two linear solves, and the power series of all entries, agree exactly."""
    arch, noise = sharing(word), Rational(2, 3)
    found = instability(arch.matrix(horizon - 1))
    coefficients, field = exact_quartic(arch.matrix(horizon - 1), found)
    share = 1 / (1 + noise * field.to_sympy(coefficients.ratio ** (1 - horizon)))
    with mpmath.workdps(50):
        p, q, r, slope = (
            number(field.to_sympy(x))
            for x in (coefficients.constant, coefficients.share, coefficients.ratio, coefficients.quadratic_slope)
        )
        n, zeta = horizon - 1, number(share)
        expansion = landau_expansion(horizon, noise, arch)
        b = (p + q * zeta) / (n - (n - 1) * r + 2 * n * (r - 1) * zeta)
        assert abs(b / number(expansion.quartic) - 1) < mp.mpf(10) ** -38
        assert abs(slope / number(expansion.quadratic_slope) - 1) < mp.mpf(10) ** -38
        A = -slope * zeta**2 * r ** (sum(coefficients.place) + 1 - n) / (p + q * zeta)
        assert abs(A / number(expansion.amplitudes()[0]) - 1) < mp.mpf(10) ** -38


# --- symbolic correlation ---


def test_closed_forms_at_four_times():
    point = critical_point_of(sharing("shared:rho"), 4, symbols.kappa)
    rho, kappa = symbols.rho, symbols.kappa
    growth = ((1 + rho) / rho) ** 3
    assert factor(point.signal - (growth + kappa) ** 2 / (rho * growth)) == 0
    assert factor(point.tricritical_kappa - growth * (3 * rho + 4) / (rho + 2)) == 0
    zeta = growth / (growth + kappa)
    amplitude = zeta**2 * (1 + rho) ** 4 / (rho * (2 * (2 * rho + 3) * zeta - rho - 2))
    assert factor(point.amplitude_squared - amplitude) == 0
    assert point.order is None


@pytest.mark.parametrize("word", ["shared", "drift"])
@pytest.mark.parametrize("horizon", [4, 5, 6, 7])
def test_symbolic_correlation_is_the_rational_one(word, horizon):
    rho, noise = Rational(3, 5), Rational(1, 2)
    general = critical_point_of(SharingFamily(word, symbols.rho), horizon, noise)
    point = critical_point_of(SharingFamily(word, rho), horizon, noise)
    with mpmath.workdps(50):
        put = {symbols.rho: rho, EIGENVALUE: instability(SharingFamily(word, rho).matrix(horizon - 1)).eigenvalue}
        assert abs(number(general.signal.subs(put)) / number(point.signal) - 1) < mp.mpf(10) ** -40
        for condition in general.conditions:
            assert abs(number(condition.subs(put))) < mp.mpf(10) ** -40
        if horizon <= 5:
            assert (
                abs(number(general.amplitude_squared.subs(put)) / number(point.amplitude_squared) - 1)
                < mp.mpf(10) ** -40
            )
            assert abs(number(general.continuity.subs(put)) / number(point.continuity) - 1) < mp.mpf(10) ** -40
        else:
            assert general.amplitude_squared is None


@pytest.mark.parametrize("size", [2, 3, 4])
def test_radicals_are_the_largest_root(size):
    value = closed_eigenvalue(size)
    assert factor(eigenvalue_condition(size).subs(EIGENVALUE, value).expand()) == 0
    assert value.subs(symbols.rho, 1) == size
    assert value.subs(symbols.rho, 0) == 1
    assert closed_eigenvalue(size + 3) is None


def test_symbolic_length():
    point = critical_point_of(sharing("drift:rho"), T, symbols.kappa)
    angle = next(s for s in point.conditions[0].free_symbols if s.name == "theta")
    rho = Rational(1, 2)
    with mpmath.workdps(50):
        put = {T: 7, symbols.rho: rho}
        condition = point.conditions[0].subs(put)
        root = mp.findroot(
            lambda x: number(condition.subs(angle, sympify(x))), (mp.mpf("0.1"), mp.pi / 6), solver="anderson"
        )
        ratio = point.ratio.subs(put).subs(angle, root)
        known = critical_point_of(SharingFamily("drift", rho), 7, Integer(1))
        assert abs(number(ratio) / number(known.ratio) - 1) < mp.mpf(10) ** -40
        signal = point.signal.subs({T: 7, symbols.kappa: 1, symbols.r: known.ratio})
        assert abs(number(signal) / number(known.signal) - 1) < mp.mpf(10) ** -40


# --- looped ---


@pytest.mark.parametrize("short", [True, False])
def test_looped_coefficients_are_derived(short):
    looped.assert_quartic(short)


@pytest.mark.parametrize("short", [True, False])
def test_a_changed_looped_coefficient_is_noticed(short, monkeypatch):
    sound = looped.reduced_quartic
    monkeypatch.setattr(looped, "reduced_quartic", lambda *a: sound(*a) + Rational(1, 1000))
    looped.assert_quartic.cache_clear()
    with pytest.raises(ArithmeticError, match="ζ"):
        looped.assert_quartic(short)
    looped.assert_quartic.cache_clear()


@pytest.mark.parametrize("horizon", range(4, 13))
def test_looped_closed_forms_at_each_length(horizon):
    for p in range(2, horizon - 2):
        point = critical_point_of(SharingFamily("looped", Integer(p)), horizon, symbols.kappa)
        r = point.ratio
        zeta = 1 / (1 + symbols.kappa * r ** (1 - horizon))
        assert factor(looped.amplitude_squared(horizon, p).subs(symbols.zeta, zeta) - point.amplitude_squared) == 0
        ends = [looped.reduced_quartic_at(horizon, p, Integer(k)) for k in (0, 1)]
        noise = -(r ** (horizon - 1)) * ends[1] / ends[0]
        assert point.tricritical_kappa == (noise if ends[1] >= 0 else None)
        general = critical_point_of(SharingFamily("looped", Integer(p)), T, symbols.kappa)
        assert factor(general.amplitude_squared.subs(T, horizon) - point.amplitude_squared) == 0
        assert factor(general.signal.subs(T, horizon) - point.signal) == 0
        assert general.lag == point.lag == p


def test_where_looped_networks_are_continuous():
    """Without noise: p = 1 up to T = 5, p = 2 up to T = 9 …; discontinuous beyond."""
    last = {}
    for p in range(1, 9):
        signs = [bool(looped.reduced_quartic_at(horizon, p, Integer(1)) > 0) for horizon in range(p + 3, 60)]
        assert signs == sorted(signs, reverse=True)
        last[p] = p + 2 + sum(signs)
    assert list(last.values()) == [5, 9, 13, 17, 20, 24, 28, 32]
    # many layers: n/p at which the leading powers vanish
    n, p, x = symbols.n, looped.LAYERS, Symbol("x", positive=True)
    whole = fraction(factor(looped.reduced_quartic(False, n - p, p, Integer(1))))[0]
    leading = Poly(whole.subs(n, x * p), p).LC()
    expected = 6 * x**5 - 45 * x**4 + 114 * x**3 - 132 * x**2 + 74 * x - 16
    assert leading.expand() in (expected, -expected)
    assert Poly(expected, x).count_roots(Rational(38, 10), Rational(39, 10)) == 1


# --- tricritical points ---


@pytest.mark.parametrize(
    ("family", "horizon"),
    [("shared", 5), ("drift", 6), *(pytest.param("drift", k, marks=pytest.mark.slow) for k in (7, 8, 9, 10))],
)
def test_tricritical_correlations_on_the_full_free_energy(family, horizon):
    """``dλ/dψ²`` at the point, from the full free energy: zero to 40 digits at ρ_t, of either sign beside it."""
    (rho,) = tricritical_correlations(family, horizon, digits=45)
    n = horizon - 1

    def slope(rho, psi):
        eigenvalue = max(
            mp.eigsy(mp.matrix([[rho ** abs(s - t) for s in range(n - 1)] for t in range(n - 1)]), eigvals_only=True)
        )
        ratio = eigenvalue / (eigenvalue - 1)
        label = (ratio - 1) * ratio**n
        _, found = branch_near(sharing_matrix((family, rho), n), ratio, label, mp.mpf(0), 1, psi, psi**5)
        return (found - label) / psi**2

    with mpmath.workdps(150):
        assert abs(slope(rho, mp.mpf(10) ** -22)) < mp.mpf(10) ** -40
    with mpmath.workdps(40):
        step = mp.mpf("0.02")
        below, above = slope(rho - step, mp.mpf(10) ** -3), slope(rho + step, mp.mpf(10) ** -3)
        assert (below < 0 < above) if family == "shared" else (above < 0 < below)


def test_tricritical_polynomials():
    rho = symbols.rho
    shared = Poly(
        4 * rho**8
        + 6 * rho**7
        + 55 * rho**6
        + 80 * rho**5
        + 110 * rho**4
        + 132 * rho**3
        - 496 * rho**2
        - 990 * rho
        + 775,
        rho,
    )
    assert tricritical_polynomial("shared", 5).rem(shared).is_zero
    with mpmath.workdps(50):
        (root,) = tricritical_correlations("shared", 5, digits=45)
        assert abs(mp.polyval([int(c) for c in shared.all_coeffs()], root)) < mp.mpf(10) ** -40
    inside = [k for k in shared.real_roots() if 0 < k < 1]
    assert len(inside) == 1  # and no other tricritical ρ


@pytest.mark.slow
def test_tricritical_polynomials_at_six_times():
    """drift has one tricritical ρ at T = 6, shared none."""
    with mpmath.workdps(50):
        (root,) = tricritical_correlations("drift", 6, digits=45)
        P = tricritical_polynomial("drift", 6)
        factors = [f for f, _ in P.factor_list()[1] if f.count_roots(Rational(1, 1000), Rational(999, 1000))]
        assert len(factors) == 1
        assert factors[0].degree() == 12
        assert abs(mp.polyval([int(c) for c in factors[0].all_coeffs()], root)) < mp.mpf(10) ** -38
    for f, _ in tricritical_polynomial("shared", 6).factor_list()[1]:
        for candidate in f.real_roots():
            if 0 < candidate < 1:  # Λ is another root there
                assert abs(continuity_at("shared", 6, mp.mpf(candidate.evalf(20)), mp.mpf(0))) > 1e-3


@pytest.mark.parametrize("family", ["shared", "drift"])
def test_other_lengths_have_no_tricritical_correlation(family):
    for horizon in (4, 5) if family == "drift" else (4, 6):
        assert tricritical_correlations(family, horizon, digits=20) == ()


@pytest.mark.parametrize(
    ("word", "horizon"),
    [("shared:1/2", 4), ("looped:2", 6), ("drift:1/2", 5), pytest.param("looped:3", 7, marks=pytest.mark.slow)],
)
def test_tricritical_noise_on_the_full_free_energy(word, horizon):
    arch, n = sharing(word), horizon - 1
    noise = critical_point_of(arch, horizon, symbols.kappa).tricritical_kappa
    point = critical_point_of(arch, horizon, Integer(0))
    assert point.order == "continuous"
    with mpmath.workdps(150):
        ratio, kappa_t = number(point.ratio), number(noise)

        def slope(kappa, psi):
            label = (ratio - 1) * (ratio**n + kappa) ** 2 / ratio**n
            _, found = branch_near(reference(word, n), ratio, label, kappa, point.lag, psi, psi**5)
            return (found - label) / psi**2

        assert abs(slope(kappa_t, mp.mpf(10) ** -22)) < mp.mpf(10) ** -40
        assert slope(kappa_t * mp.mpf("0.98"), mp.mpf(10) ** -5) > 0 > slope(kappa_t * mp.mpf("1.02"), mp.mpf(10) ** -5)
    if noise.is_Rational:
        tricritical = critical_point_of(arch, horizon, noise)
        assert tricritical.exponent == Rational(1, 4)
        assert tricritical.amplitude_squared is None
        assert critical_point_of(arch, horizon, noise + Rational(1, 10**9)).order == "discontinuous"
        with mpmath.workdps(60):
            psi, kappa = mp.mpf(10) ** -4, number(noise)
            ratio = number(point.ratio)
            label = (ratio - 1) * (ratio**n + kappa) ** 2 / ratio**n
            _, found = branch_near(reference(word, n), ratio, label, kappa, point.lag, psi, mp.mpf(10) ** -30)
            assert abs(psi**4 / (found - label) / number(tricritical.amplitude_fourth) - 1) < 1e-6


def test_changed_coefficients_move_the_tricritical_point(monkeypatch):
    """p or q off by one per mille: the tricritical noise is off, so the comparisons above fail."""
    arch = sharing("looped:2")
    coefficients, field = exact_quartic(arch.matrix(5), instability(arch.matrix(5)))
    sound = tricritical_noise(coefficients, field)
    for name in ("constant", "share"):
        changed = type(coefficients)(
            **{**vars(coefficients), name: getattr(coefficients, name) * field(1001) / field(1000)}
        )
        assert tricritical_noise(changed, field) != sound


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((3, 1), "T"), ((2, 1), "T"), ((4.5, 1), "T"), ((4, -1), "kappa"), ((4, 0.5), "kappa")],
)
@pytest.mark.parametrize("word", ["shared:1/2", "looped:2", "drift:rho"])
def test_bad_input_is_one_line(word, arguments, name):
    with pytest.raises(ValueError, match=rf"^{name}: is .*; accepted: .*$"):
        critical_point_of(sharing(word), *arguments)


def test_square_roots_of_noise_are_exact_too():
    point = critical_point_of(sharing("shared:1/2"), 4, sqrt(2))
    near = critical_point_of(sharing("shared:1/2"), 4, Rational(1414213562, 10**9))
    assert abs(float(point.amplitude_squared / near.amplitude_squared) - 1) < 1e-8
    assert Symbol("kappa") not in point.signal.free_symbols
    assert moved(mp.eye(2), (0, 1), 1)[1, 0] == 1


@pytest.mark.parametrize("T", [4, 5, 6, *(pytest.param(T, marks=pytest.mark.slow) for T in (7, 8, 9))])
def test_tricritical_correlations_are_all_there_are(T):
    """Sturm's count, against the roots that a grid finds; ρ and the sign against numbers at a cosine within."""
    for family in ("shared", "drift"):
        expected = (T == 5) if family == "shared" else (T >= 6)
        assert tricritical_count(family, T) == expected
        with mpmath.workdps(30):
            n = T - 1
            at = Rational(int((mpmath.cos(mpmath.pi / n) + 1) / 2 * 10**6), 10**6)
            rho_value = mpmath.mpf(correlation_at_cosine(n).subs(COSINE, at).evalf(30))
            angle = mpmath.acos(mpmath.mpf(at.p) / at.q)
            assert abs(rho_value - mpmath.cos(n * angle / 2) / mpmath.cos((n - 2) * angle / 2)) < mpmath.mpf(10) ** -25
            value = continuity_at(family, T, rho_value, 0)
            near = continuity_at(family, T, rho_value * (1 + mpmath.mpf(10) ** -6), 0)
            numerator = continuity_numerator(family, T)
            roots = [root for root in numerator.nroots(n=25) if abs(root.as_real_imag()[1]) < 1e-15]
            within = [root for root in roots if float(mpmath.cos(mpmath.pi / n)) < root.as_real_imag()[0] < 1]
            assert len(within) == expected
            assert (value > 0) == (near > 0)
        if expected:
            (root,) = tricritical_correlations(family, T, digits=20)
            there = correlation_at_cosine(T - 1).subs(COSINE, within[0].as_real_imag()[0]).evalf(20)
            assert abs(there - root) < 1e-12
