"""Outliers of W from the kernel: against matrices W drawn at finite width, and the threshold at T = 4."""

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import ImmutableMatrix, Rational, expand, simplify, sqrt

from tests.theory.branch_points import solve_parameter
from theory import symbols
from theory.coherent_branch import coherent_branch
from theory.outliers import characteristic_polynomial, outlier_threshold, regression_matrix

s, z = symbols.s, symbols.z


def drawn_weights(H, width, rng):
    """W given activities with Gram matrix N·H: least-norm solution of W h⁻ = h⁺ plus Gaussian noise off h⁻."""
    n = H.shape[0]
    frame, _ = np.linalg.qr(rng.normal(size=(width, n)))
    h = np.sqrt(width) * frame @ np.linalg.cholesky(H).T
    earlier, later = h[:, : n - 1], h[:, 1:]
    pseudo = np.linalg.pinv(earlier)
    G = rng.normal(size=(width, width)) / np.sqrt(width)
    return later @ pseudo + G @ (np.eye(width) - earlier @ pseudo)


@pytest.mark.parametrize("order", [1, -1])
def test_largest_eigenvalue_of_drawn_weights(order):
    branch = coherent_branch()
    point = {s: 4}
    H = np.array(branch.kernel_matrix().subs(point).evalf(17), dtype=float)
    H[[0, 1, 1, 2], [1, 0, 2, 1]] *= order
    expected = order * float(branch.outlier.subs(point))
    assert abs(expected) > 1.5
    eigenvalues = np.linalg.eigvals(drawn_weights(H, 500, np.random.default_rng(3)))
    eigenvalues = eigenvalues[np.argsort(-np.abs(eigenvalues))]
    assert abs(eigenvalues[0] - expected) < 0.12
    # The second root, 0, is no eigenvalue outside the bulk: the next one lies at its edge.
    assert abs(eigenvalues[1]) < 1.12


def test_two_outliers_of_a_longer_chain():
    """A kernel of four times whose regression matrix has a complex pair outside the bulk: both are seen in W."""
    rng = np.random.default_rng(11)
    # h^{t+1} = ρ R h^t in a plane plus fresh noise: its regression eigenvalues have modulus near ρ = 1.6.
    angle, rho = 1.0, 1.6
    rotation = rho * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    vectors = [np.array([1.0, 0.0])]
    for _ in range(3):
        vectors.append(rotation @ vectors[-1])
    plane = np.array(vectors)
    H = plane @ plane.T + 0.01 * np.eye(4)
    exact = characteristic_polynomial(ImmutableMatrix(4, 4, [Rational(str(round(x, 12))) for x in H.ravel()]))
    roots = np.array([complex(root) for root in exact.nroots()])
    roots = roots[np.abs(roots) > 1.2]
    assert len(roots) == 2
    eigenvalues = np.linalg.eigvals(drawn_weights(H, 500, rng))
    for root in roots:
        assert np.min(np.abs(eigenvalues - root)) < 0.15
    assert np.sum(np.abs(eigenvalues) > 1.2) == 2


def test_polynomial_is_that_of_the_regression_matrix():
    H = ImmutableMatrix([[2, 1, 0, 1], [1, 3, 1, 0], [0, 1, 4, 2], [1, 0, 2, 5]])
    matrix = regression_matrix(H)
    assert matrix[:, 0] == ImmutableMatrix([0, 1, 0])
    assert H[:3, :3] * matrix == H[:3, 1:]
    assert expand(characteristic_polynomial(H).as_expr() - (z * ImmutableMatrix.eye(3) - matrix).det()) == 0


def test_roots_on_the_coherent_branch():
    branch = coherent_branch()
    polynomial = characteristic_polynomial(branch.kernel_matrix())
    linear, constant = polynomial.coeff_monomial(z), polynomial.coeff_monomial(1)
    assert simplify(constant) == 0
    assert simplify((linear + branch.outlier).subs(s, Rational(37, 10))) == 0
    assert simplify(linear**2 - branch.outlier**2) == 0
    # It grows along the branch, so it crosses the bulk's edge once.
    assert simplify((branch.outlier**2).diff(s) - 2 * (s**2 - 2 * s + 2) / (s - 1) ** 2) == 0


@pytest.mark.parametrize("noise", ["0", "0.731", "5.25"])
def test_threshold_to_forty_digits(noise):
    """On the full matrix in mpmath: an eigenvalue of modulus 1 at the kernel that belongs to the exact signal."""
    threshold = outlier_threshold(Rational(noise))
    branch = coherent_branch(Rational(noise))
    with mpmath.workdps(60):
        place = mp.mpf(str(threshold.parameter.evalf(60)))
        signal = mp.mpf(str(threshold.signal.evalf(60)))
        b = mp.sqrt(2 * place * (place - 1) * (place - 2))
        H = mp.matrix([[place, b, 2 * place * (place - 2)], [b, 2 * place * (place - 1), 2 * place * b], [0, 0, 0]])
        regression = mp.inverse(H[:2, :2]) * H[:2, 1:]
        largest = max(abs(x) for x in mp.eig(regression)[0])
        assert abs(largest - 1) < mp.mpf(10) ** -40
        end = 4 * place * (place - 1) ** 2
        assert abs(signal / ((end + mp.mpf(noise)) ** 2 / (4 * place * (place - 1))) - 1) < mp.mpf(10) ** -40
    assert abs(threshold.signal_float / float(signal) - 1) < 1e-15
    assert threshold.signal_float > float(branch.signal.subs(s, 2))


def test_threshold_in_closed_form():
    threshold = outlier_threshold()
    assert threshold.parameter == (5 + sqrt(17)) / 4
    assert threshold.signal_float is None
    assert threshold.stable is None
    noiseless = outlier_threshold(0)
    assert simplify(noiseless.signal - (75 + 19 * sqrt(17)) / 8) == 0
    assert simplify(threshold.signal.subs(symbols.kappa, 0) - noiseless.signal) == 0
    # A changed coefficient of the branch moves it: it is solved for, not stored.
    assert simplify(coherent_branch(0).signal.subs(s, threshold.parameter) - noiseless.signal) == 0


def test_threshold_beyond_the_fold_is_marked_unstable():
    below, above = outlier_threshold(34), outlier_threshold(35)
    assert below.stable
    assert not above.stable
    assert 34 < float(below.largest_noise) < 35
    branch = coherent_branch(35)
    # The same signal belongs to a second, stable point of the branch, where the outlier is well outside.
    places = solve_parameter(branch, Rational(str(above.signal_float)))
    stable = [place for place in places if branch.stability().subs(s, place.evalf(30)) > 0]
    assert len(stable) == 1
    assert stable[0].evalf() > above.parameter.evalf()


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="T: is 5; accepted: 4"):
        outlier_threshold(1, T=5)
    with pytest.raises(ValueError, match="kernel: is 2 × 3"):
        regression_matrix(ImmutableMatrix.zeros(2, 3))
    with pytest.raises(ValueError, match="kappa"):
        outlier_threshold(-1)
