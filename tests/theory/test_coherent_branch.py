"""The coherent branch at T = 4 against the free energy written again in mpmath, and blind searches for minima."""

import dataclasses

import mpmath
import numpy as np
import pytest
from endpoint_reference import free_energy, gradient
from mpmath import mp
from scipy.optimize import minimize
from sympy import (
    Poly,
    Rational,
    Symbol,
    cancel,
    diff,
    expand,
    factor_list,
    fraction,
    log,
    simplify,
    sqrt,
    together,
)

from tests.theory.branch_points import solve_parameter
from theory import symbols
from theory.coherent_branch import coherent_branch, critical_amplitude, strong_signal
from theory.coherent_hessian import leading_minors, parity_field
from theory.critical_point import critical_point

s, kappa = symbols.s, symbols.kappa
#: Three points (s, κ, u, v, w) of the branch, drawn once with random.Random(4).
POINTS = [
    ("2.6184052213", "0.4121973326", "1.38", "0.71", "1.22"),
    ("3.9240570901", "1.7731528019", "0.64", "1.93", "0.81"),
    ("11.0781150266", "7.2540933182", "2.17", "0.39", "1.57"),
]


@pytest.fixture(scope="module")
def branch():
    return coherent_branch()


def place(branch, point):
    """The branch's matrix, signal, F and outlier at a point as mpmath numbers, and (κ, u, v, w)."""
    values = [mp.mpf(x) for x in point]
    names = (s, kappa, symbols.u, symbols.v, symbols.w)

    def number(expression):
        exact = expression.subs(dict(zip(names, map(Rational, point), strict=True)))
        return mp.mpf(str(exact.evalf(mp.dps + 5)))

    H = mp.matrix(3, 3)
    for (i, j), value in branch.kernel.items():
        H[i - 1, j - 1] = H[j - 1, i - 1] = number(value)
    return H, number(branch.signal), number(branch.free_energy), number(branch.outlier), values[1:]


@pytest.mark.parametrize("point", POINTS)
def test_branch_is_stationary_to_forty_digits(branch, point):
    with mpmath.workdps(60):
        H, signal, value, _, (noise, *_) = place(branch, point)
        assert max(abs(x) for x in gradient(H, signal, noise)) < mp.mpf(10) ** -40
        assert abs(free_energy(H, signal, noise) / value - 1) < mp.mpf(10) ** -40
        mirrored = mp.diag([1, -1, 1]) * H * mp.diag([1, -1, 1])
        assert max(abs(x) for x in gradient(mirrored, signal, noise)) < mp.mpf(10) ** -40


@pytest.mark.parametrize("point", POINTS)
def test_the_branch_in_other_units_is_stationary_to_forty_digits(branch, point):
    with mpmath.workdps(60):
        H, signal, value, _, (noise, u, v, w) = place(branch, point)
        scale = mp.diag([mp.sqrt(u * w**i) for i in range(3)])
        H = scale * H * scale
        units, noise = {"u": u, "v": v, "w": w}, noise * u * v * w**2
        assert max(abs(x) for x in gradient(H, signal, noise, **units)) < mp.mpf(10) ** -40
        assert abs(free_energy(H, signal, noise, **units) / value - 1) < mp.mpf(10) ** -40


@pytest.mark.parametrize("entry", [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3), None])
def test_a_changed_coefficient_is_noticed(branch, entry):
    """A millionth on any kernel entry, or on the signal, leaves a gradient 30 orders above the tolerance."""
    factor = 1 + Rational(1, 10**6)
    kernel = {times: value * (factor if times == entry else 1) for times, value in branch.kernel.items()}
    wrong = dataclasses.replace(branch, kernel=kernel, signal=branch.signal * (1 if entry else factor))
    with mpmath.workdps(60):
        H, signal, _, _, (noise, *_) = place(wrong, POINTS[1])
        assert max(abs(x) for x in gradient(H, signal, noise)) > mp.mpf(10) ** -10


def test_hessian_is_positive_exactly_where_the_signal_grows(branch):
    """Sylvester: with s = 2 + x every minor's numerator has positive coefficients, but for the factor of dλ/ds."""
    x = Symbol("x", positive=True)
    fold = Poly(branch.stability().subs(s, 2 + x), x)
    slope = cancel(diff(branch.signal, s) / branch.stability())
    bare = branch.stability() - branch.stability().subs(kappa, 0)
    assert expand(bare + kappa * (2 * s - 1)) == 0
    for k, minor in enumerate(leading_minors(branch), start=1):
        top, bottom = fraction(minor)
        seen = False
        for part in (top, bottom):
            constant, factors = factor_list(part.subs(s, 2 + x))
            assert constant > 0
            for base, _ in factors:
                polynomial = Poly(base, x)
                if expand(polynomial.as_expr() - fold.as_expr()) == 0:
                    seen = True
                    continue
                assert all(value.is_nonnegative for value in polynomial.all_coeffs())
        assert seen == (k == 6)
    assert all(value.is_nonnegative for value in Poly(fraction(slope)[0].subs(s, 2 + x), x).all_coeffs())


def test_what_decides_on_stability_has_no_positive_factors(branch):
    """Without noise too, where s(s-1)² is one."""
    assert coherent_branch(0).stability() == 4 * s - 1
    assert expand(coherent_branch(3).stability() - branch.stability().subs(kappa, 3)) == 0
    for each in (branch, coherent_branch(3)):
        numerator = fraction(together(each.stability()))[0]
        bases = [base for base, _ in factor_list(numerator)[1]]
        assert len(bases) == 1
        assert bases[0].has(s)


def test_signal_is_monotone_up_to_the_tricritical_noise(branch):
    growing = Poly(branch.stability().subs(s, 2 + Symbol("x")).subs(kappa, Rational(56, 3)), Symbol("x"))
    assert growing.all_coeffs()[-1] == 0
    assert all(value >= 0 for value in growing.all_coeffs())
    folded = coherent_branch(30)
    assert len(Poly(folded.stability(), s).real_roots()) >= 1
    critical = folded.signal.subs(s, 2)
    assert len(solve_parameter(folded, critical - Rational(1, 10))) == 2
    assert len(solve_parameter(folded, critical + 1)) == 1
    assert solve_parameter(coherent_branch(0), 7) == []


@pytest.mark.parametrize("noise", [kappa, Rational(0), Rational(1), Rational(30)])
def test_branch_starts_at_the_critical_point_with_landau_amplitude(noise):
    branch, point = coherent_branch(noise), critical_point(4, noise)
    assert simplify(branch.signal.subs(s, 2) - point.signal) == 0
    assert simplify(critical_amplitude(branch) - point.amplitude_squared) == 0


def test_strong_signal_limits(branch):
    limits = strong_signal()
    with mpmath.workdps(40):
        H, signal, value, outlier, _ = place(branch, ("1e12", "0.3", "1", "1", "1"))
        at = {symbols.signal: signal}
        for (i, j), expression in limits.kernel.items():
            assert abs(H[i - 1, j - 1] / mp.mpf(str(expression.subs(at).evalf(30))) - 1) < 1e-11
        assert abs(outlier / mp.mpf(str(limits.outlier.subs(at).evalf(30))) - 1) < 1e-11
        assert abs(value / mp.mpf(str(limits.free_energy.subs(at).evalf(30))) - 1) < 1e-10
    assert limits.outlier == 2 ** Rational(1, 4) * symbols.signal ** Rational(1, 8)


def test_free_energy_in_its_short_form(branch):
    short = 2 * (s - 1) - log(4 * s) / 2 + kappa / (8 * s * (s - 1))
    assert simplify(branch.free_energy - short) == 0
    # dF/dλ along a stationary branch is the explicit derivative, ½/(H^{33}+κ).
    slope = diff(branch.free_energy, s) / diff(branch.signal, s)
    assert simplify(slope - 1 / (2 * (branch.kernel[3, 3] + kappa))) == 0


@pytest.mark.parametrize("signal", [6.0, 20.0, 60.0])
def test_minima_found_blindly_are_those_of_the_branch(signal):
    """Minimising F from random kernels (NumPy, Cholesky coordinates, κ = 1) finds the branch and nothing else."""

    def objective(x):
        L = np.array([[np.exp(x[0]), 0, 0], [x[1], np.exp(x[2]), 0], [x[3], x[4], np.exp(x[5])]])
        H = L @ L.T
        trace = H[0, 0] + np.trace(np.linalg.solve(H[:2, :2], H[1:, 1:]))
        return 0.5 * (signal / (H[2, 2] + 1) + trace - 3) - x[5]

    def kernel(x):
        L = np.array([[np.exp(x[0]), 0, 0], [x[1], np.exp(x[2]), 0], [x[3], x[4], np.exp(x[5])]])
        return L @ L.T

    rng = np.random.default_rng(7)
    found = [minimize(objective, rng.normal(size=6), method="BFGS", options={"gtol": 1e-8}) for _ in range(12)]
    assert sum(np.abs(result.jac).max() < 1e-5 for result in found) >= 8
    branch = coherent_branch(1)
    parameters = solve_parameter(branch, Rational(signal))
    for result in found:
        if np.abs(result.jac).max() > 1e-5:
            continue
        H = kernel(result.x)
        if parameters:
            exact = np.array(branch.kernel_matrix().subs(s, parameters[0].evalf(30)).evalf(17), dtype=float)
            flip = np.diag([1.0, np.sign(H[1, 2]), 1.0])
            np.testing.assert_allclose(flip @ H @ flip, exact, rtol=2e-4, atol=1e-4)
        else:
            np.testing.assert_allclose(H - np.diag(np.diag(H)), 0, atol=1e-3)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="kappa"):
        coherent_branch(-1)
    with pytest.raises(ValueError, match="no function of"):
        dataclasses.replace(coherent_branch(), outlier=sqrt(symbols.r))


def test_the_hessian_is_scaled_at_the_entries_that_change_sign():
    """``D`` holds ``H^{12}`` at the entries 12 and 23, which ``W → -W`` reverses, and 1 elsewhere."""
    branch = coherent_branch(1)
    b = branch.kernel[1, 2]
    assert list(parity_field(branch).true_scales().diagonal()) == [1, b, 1, 1, b, 1]
