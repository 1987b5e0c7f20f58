"""Closed forms of Gaussian averages against quadrature, Price's and Bonnet's theorems, and edge cases."""

import mpmath
import pytest
from sympy import Rational, diff, pi, simplify, sqrt

from theory.gaussian_averages import (
    CLOSED_FORMS,
    a,
    average,
    b,
    c,
    evaluate,
    slope_average,
)

POINTS = [("1.3", "0.7", "0.4"), ("0.2", "2.5", "-0.6"), ("3", "3", "2.9")]


def trapezoid(f, variances, covariance):
    """Mean of f(x, y) by the trapezoidal rule in two independent variables; for entire functions."""
    first, second = variances
    step, reach = mpmath.mpf("0.27"), 40
    nodes = [step * k for k in range(-reach, reach + 1)]
    weights = [mpmath.exp(-z * z / 2) * step / mpmath.sqrt(2 * mpmath.pi) for z in nodes]
    along, rest = covariance / mpmath.sqrt(first), mpmath.sqrt(second - covariance**2 / first)
    return mpmath.fsum(
        p * q * f(mpmath.sqrt(first) * z, along * z + rest * s)
        for z, p in zip(nodes, weights, strict=True)
        for s, q in zip(nodes, weights, strict=True)
        if p * q > mpmath.mpf(10) ** -26
    )


def polar(power, variances, covariance):
    """``⟨(xy)^power θ(x)θ(y)⟩``: radius and angle by quadrature over the wedge where both are positive."""
    first, second = variances
    along, rest = covariance / mpmath.sqrt(first), mpmath.sqrt(second - covariance**2 / first)

    def product(angle):
        return (
            mpmath.sqrt(first) * mpmath.cos(angle) * (along * mpmath.cos(angle) + rest * mpmath.sin(angle))
        ) ** power

    start = mpmath.atan2(-along, rest)
    angles = mpmath.quad(product, mpmath.linspace(start, mpmath.pi / 2, 5))
    radius = mpmath.quad(lambda r: r ** (1 + 2 * power) * mpmath.exp(-r * r / 2), mpmath.linspace(0, 20, 11))
    return angles * radius / (2 * mpmath.pi)


def numbers(point):
    first, second, cross = (mpmath.mpf(x) for x in point)
    return (first, second), cross


@pytest.mark.parametrize("point", POINTS[:2])
@pytest.mark.parametrize("what", ["average", "slope-average"])
def test_erf_equals_quadrature_to_20_digits(point, what):
    with mpmath.workdps(30):
        gain = mpmath.sqrt(mpmath.pi) / 2
        functions = {
            "average": lambda x, y: mpmath.erf(gain * x) * mpmath.erf(gain * y),
            "slope-average": lambda x, y: mpmath.exp(-mpmath.pi * (x * x + y * y) / 4),
        }
        known = trapezoid(functions[what], *numbers(point))
        assert abs(evaluate("erf", what, *numbers(point), digits=25) / known - 1) < mpmath.mpf(10) ** -20


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("what", "power"), [("average", 1), ("slope-average", 0)])
def test_relu_equals_quadrature_to_30_digits(point, what, power):
    with mpmath.workdps(40):
        known = polar(power, *numbers(point))
        assert abs(evaluate("relu", what, *numbers(point), digits=35) / known - 1) < mpmath.mpf(10) ** -30


@pytest.mark.parametrize("activation", CLOSED_FORMS)
def test_price_theorem(activation):
    assert simplify(diff(average(activation), c) - slope_average(activation)) == 0


def test_bonnet_theorem_for_relu_and_erf():
    # ½⟨δ(x) relu(y)⟩: density of x at 0, and the mean of relu(y) given x = 0
    given = sqrt((b - c**2 / a) / (2 * pi))
    known = given / sqrt(2 * pi * a) / 2
    point = {a: Rational(4, 3), b: Rational(5, 7), c: Rational(-2, 5)}
    assert abs((diff(average("relu"), a) - known).subs(point).evalf(50)) < 1e-45
    # erf: φ'' = -(π/2) x φ', and ⟨x φ'(x) φ(y)⟩ by quadrature
    with mpmath.workdps(30):
        gain, values = mpmath.sqrt(mpmath.pi) / 2, numbers(POINTS[0])
        mean = trapezoid(
            lambda x, y: -mpmath.pi / 4 * x * mpmath.exp(-mpmath.pi * x * x / 4) * mpmath.erf(gain * y), *values
        )
        point = {a: Rational(13, 10), b: Rational(7, 10), c: Rational(2, 5)}
        assert abs(mpmath.mpf(diff(average("erf"), a).subs(point).evalf(30)) / mean - 1) < mpmath.mpf(10) ** -20


def test_a_changed_coefficient_is_caught():
    with mpmath.workdps(40):
        known = polar(1, *numbers(POINTS[0]))
        changed = evaluate("relu", "average", *numbers(POINTS[0])) * (1 + mpmath.mpf(10) ** -25)
        assert abs(changed / known - 1) > mpmath.mpf(10) ** -30


@pytest.mark.parametrize("activation", CLOSED_FORMS)
def test_small_variances_are_linear(activation):
    """Slope 1 at the origin (½ on average for ReLU)."""
    tiny = mpmath.mpf(10) ** -12
    value = evaluate(activation, "average", (tiny, tiny), tiny)
    assert abs(value / tiny - (0.5 if activation == "relu" else 1)) < 1e-10


def test_edges_of_the_domain():
    two = (mpmath.mpf(2), mpmath.mpf(8))
    assert evaluate("relu", "average", two, 4) == pytest.approx(2, abs=1e-25)  # y = 2x: ⟨2 x²⟩/2
    assert evaluate("relu", "average", two, -4) == pytest.approx(0, abs=1e-25)
    assert evaluate("relu", "slope-average", two, 4) == pytest.approx(0.5, abs=1e-25)
    assert evaluate("relu", "slope-average", two, -4) == pytest.approx(0, abs=1e-25)
    assert evaluate("erf", "average", two, 4) + evaluate("erf", "average", two, -4) == 0
    assert evaluate("linear", "average", two, -4) == -4
    for activation in CLOSED_FORMS:
        assert evaluate(activation, "average", (0, 3), 0) == 0
        assert evaluate(activation, "average", (0, 0), 0) == 0
    assert evaluate("erf", "slope-average", (0, 0), 0) == 1


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="c² ≤ ab"):
        evaluate("erf", "average", (1, 1), "1.01")
    with pytest.raises(ValueError, match="a, b ≥ 0"):
        evaluate("erf", "average", (-1, 1), 0)
    with pytest.raises(ValueError, match="a, b ≥ 0"):
        evaluate("erf", "average", (mpmath.nan, 1), 0)
    with pytest.raises(ValueError, match="no slope"):
        evaluate("relu", "slope-average", (0, 1), 0)
    with pytest.raises(ValueError, match="activation"):
        average("tanh")
    with pytest.raises(ValueError, match="what"):
        evaluate("erf", "mean", (1, 1), 0)
