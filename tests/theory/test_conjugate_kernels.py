"""Stationarity of the two conjugate kernels, its linear case, and the response to weak labels."""

import mpmath
import numpy as np
import pytest
from sympy import Identity, Inverse, Matrix, Rational, S, Trace, simplify

from tests.nonlinear.weak_signal import gaussian_mean, weak_signal
from theory import conjugate_kernels as conjugate
from theory.matrix_calculus import kernel_functional as linear
from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.nodes import LogDet
from theory.symbols import P, kappa, n, u, v, w

LAYOUT = Layout.of_pairs(3, 2, [1, 4, 5])
SCALARS = {u: Rational(3, 2), v: Rational(4, 5), w: Rational(5, 4), kappa: Rational(3, 4)}


def positive(size, seed, shift):
    entries = np.random.default_rng(seed).integers(-2, 3, (size, size))
    return Matrix((entries @ entries.T + shift * np.eye(size, dtype=int)).astype(int).tolist())


def values():
    y = Matrix([1, -2, 3])
    X = Matrix.zeros(6, 6)
    X[:2, :2] = Matrix([[2, 1], [1, 3]])
    return {linear.H: positive(6, 1, 3), linear.X_SHIFTED: X, linear.Y: y * y.T, **SCALARS}


def plain_stationarity(point, arch):
    """∂F/∂Φ of docs/theory.md section 4, written out on explicit matrices."""
    masked = (
        (lambda A: A) if arch == "rnn" else (lambda A: Matrix(6, 6, lambda i, j: A[i, j] if i // 2 == j // 2 else 0))
    )
    Phi, moment = point[linear.H], point[conjugate.SECOND_MOMENT]
    C = SCALARS[u] * point[linear.X_SHIFTED]
    C[2:, 2:] += SCALARS[w] * masked(Phi)[:4, :4]
    Q = C.inv()
    pull = masked(Q * moment * Q - Q)
    back = Matrix.zeros(6, 6)
    back[:4, :4] = pull[2:, 2:]
    rows = LAYOUT.projections[0]
    R = (SCALARS[v] * rows * Phi * rows.T + SCALARS[kappa] * Matrix.eye(3)).inv()
    label = rows.T * R * point[linear.Y] * R * rows
    return point[conjugate.CONJUGATE] - SCALARS[v] / 2 * label - SCALARS[w] / 2 * back


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_stationarity_is_the_formula_of_the_theory(arch):
    point = values() | {
        conjugate.CONJUGATE: positive(6, 2, 1),
        conjugate.SECOND_MOMENT: positive(6, 3, 1),
        conjugate.ACTIVITY: positive(6, 4, 1),
    }
    assert evaluate(conjugate.kernel_gradient(arch), point, LAYOUT) == plain_stationarity(point, arch)
    found = evaluate(conjugate.conjugate_gradient(arch), point, LAYOUT)
    assert found == point[linear.H] - point[conjugate.ACTIVITY]


def test_the_masks_differ():
    point = values() | {conjugate.CONJUGATE: positive(6, 2, 1), conjugate.SECOND_MOMENT: positive(6, 3, 1)}
    assert plain_stationarity(point, "rnn") != plain_stationarity(point, "dnn")


def linear_free_energy(arch):
    """``F[Φ, Φ̃]`` for φ(h) = h, where ``ln Z = -½ ln|C| - ½ ln|C⁻¹ - 2Φ̃|``."""
    C = linear.forward_covariance(arch)
    log_Z = -S.Half * LogDet(C) - S.Half * LogDet(Inverse(C) - 2 * conjugate.CONJUGATE)
    return S.Half * Trace(linear.Y * linear.propagator()) + Trace(conjugate.CONJUGATE * linear.H) - log_Z


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_linear_network_gives_the_explicit_free_energy(arch):
    """The tilted law is N(0, ``(C⁻¹ - 2Φ̃)⁻¹``), so that ``Φ̃ = ½(C⁻¹ - Φ⁻¹)``; the constant is ``-½ nP``."""
    point = values()
    half = S.Half * Inverse(linear.forward_covariance(arch)) - S.Half * Inverse(linear.H)
    point[conjugate.CONJUGATE] = evaluate(half, point, LAYOUT)
    point[conjugate.SECOND_MOMENT] = point[conjugate.ACTIVITY] = point[linear.H]
    # value: exactly the functional of docs/theory.md section 3, the constant included
    difference = (
        evaluate(linear_free_energy(arch), point, LAYOUT)
        - evaluate(linear.free_energy(arch), point, LAYOUT)
        + evaluate(S.Half * Trace(Identity(n * P)), point, LAYOUT)
    )
    assert simplify(difference) == 0
    # gradient: Φ̃ at its stationary value, so that only the explicit dependence on Φ remains
    assert evaluate(conjugate.kernel_gradient(arch), point, LAYOUT) == evaluate(
        linear.free_energy_gradient(arch), point, LAYOUT
    )


def test_derivative_of_log_Z_by_the_covariance_on_a_nonlinear_neuron():
    # φ(h) = h², Φ̃ = -q: Z has no closed form, its derivatives are the moments
    with mpmath.workdps(30):
        q = mpmath.mpf("0.3")

        def moment(c, power):
            return mpmath.quad(
                lambda h: h**power * mpmath.npdf(h, 0, mpmath.sqrt(c)) * mpmath.exp(-q * h**4),
                mpmath.linspace(-14, 14, 15),
            )

        c = mpmath.mpf("1.4")
        slope = mpmath.diff(lambda c: mpmath.log(moment(c, 0)), c)
        S = moment(c, 2) / moment(c, 0)
        assert abs(slope - (S / c**2 - 1 / c) / 2) < mpmath.mpf(10) ** -12


def test_weak_signal_of_the_linear_network_is_its_incoherent_branch():
    # λ = (r-1)(r^n+κ)²/r^n, Φ_t = r^t: dr/dλ = 1/(1+κ)² at r = 1, dΦ_t/dλ = t dr/dλ
    with mpmath.workdps(30):
        found = weak_signal(5, lambda h: h, lambda h: mpmath.mpf(1), kappa="0.5")
        for t, value in enumerate(found.response, start=1):
            assert abs(value - t / mpmath.mpf("1.5") ** 2) < mpmath.mpf(10) ** -25


def test_weak_signal_scales_with_the_prior_widths_as_the_linear_network_does():
    with mpmath.workdps(25):
        widths = {"u": "1.5", "v": "0.8", "w": "1.25"}
        scaled = weak_signal(4, lambda h: h, lambda h: mpmath.mpf(1), kappa=0, **widths)
        units = weak_signal(4, lambda h: h, lambda h: mpmath.mpf(1), kappa=0)
        for t in range(3):
            factor = mpmath.mpf("1.5") * mpmath.mpf("1.25") ** t
            assert abs(scaled.response[t] / factor - units.response[t]) < mpmath.mpf(10) ** -20


def test_gaussian_mean_of_erf_squared_is_the_arcsine():
    with mpmath.workdps(30):
        c = mpmath.mpf("0.9")
        mean = gaussian_mean(lambda h: mpmath.erf(mpmath.sqrt(mpmath.pi) * h / 2) ** 2, c)
        exact = 2 / mpmath.pi * mpmath.asin(mpmath.pi * c / 2 / (1 + mpmath.pi * c / 2))
        assert abs(mean - exact) < mpmath.mpf(10) ** -26
