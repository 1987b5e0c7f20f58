"""The noise-free limit of W's outliers: exact factorisation, the limit itself in mpmath, and drawn matrices."""

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import ImmutableMatrix, Matrix, Poly, Rational, cos, expand_trig, eye, pi, simplify, sin, symbols

from theory.symbols import z
from theory.teacher_spectrum import aliases, extraneous_factor, limiting_regression, trajectory

#: Rotations by acos(3/5) and acos(5/13), the second contracting.
ROTATION = ImmutableMatrix([[Rational(3, 5), Rational(-4, 5)], [Rational(4, 5), Rational(3, 5)]])
CONTRACTING = Rational(9, 10) * ImmutableMatrix(
    [[Rational(5, 13), Rational(-12, 13)], [Rational(12, 13), Rational(5, 13)]]
)
BOTH = ImmutableMatrix(Matrix.diag(Matrix(ROTATION), Matrix(CONTRACTING)))
CASES = {
    "one pattern": (ROTATION, Matrix([1, 0]), 5),
    "two patterns": (ROTATION, Matrix([[1, 0], [0, 2]]), 4),
    "two planes": (BOTH, Matrix([1, 2, 1, -1]), 7),
    "growing": (Rational(3, 2) * ROTATION, Matrix([1, 1]), 5),
}


@pytest.mark.parametrize("w", [Rational(1), Rational(3, 10)])
@pytest.mark.parametrize("case", CASES)
def test_the_teachers_polynomial_divides_and_the_rest_lies_in_the_bulk(case, w):
    A, start, n = CASES[case]
    P = start.cols
    psi = trajectory(A, start, n)
    rest = extraneous_factor(psi, A, P, w)
    assert rest.degree() == (n - 1) * P - A.rows
    assert max(abs(root) for root in rest.nroots(maxsteps=200)) < mpmath.sqrt(float(w))
    # another angle's polynomial does not divide
    other = A * ImmutableMatrix(Matrix.diag(*[Matrix([[0, -1], [1, 0]])] * (A.rows // 2)))
    with pytest.raises(ArithmeticError, match="does not divide"):
        extraneous_factor(psi, other, P, w)


def test_it_is_the_limit_of_the_full_regression():
    """Independent parts of strength ε added to the teacher's trajectory, ε = 1e-20, inverted with sixty digits."""
    A, start, n = CASES["two patterns"]
    w = Rational(3, 10)
    psi, P = trajectory(A, start, n), start.cols
    with mpmath.workdps(60):
        trail = mp.matrix([[mp.mpf(x.p) / x.q for x in psi.row(i)] for i in range(psi.rows)])
        small = mp.diag([mp.mpf(10) ** -20 * mp.mpf("0.3") ** (k // P) for k in range(n * P)])
        H = trail.T * trail + small
        size = (n - 1) * P
        full = mp.inverse(H[:size, :size]) * H[:size, P:]
        limit = limiting_regression(psi, P, w)
        worst = max(abs(full[i, j] - mp.mpf(limit[i, j].p) / limit[i, j].q) for i in range(size) for j in range(size))
        assert worst < mp.mpf(10) ** -17


def test_the_growth_of_the_independent_parts_matters():
    """Break: if the independent parts grew faster than w per step, a further eigenvalue would leave the bulk."""
    psi = trajectory(ROTATION, Matrix([1, 0]), 5)

    def largest(growth):
        return max(abs(root) for root in extraneous_factor(psi, ROTATION, 1, growth).nroots())

    radius = mpmath.sqrt(0.3)
    assert largest(Rational(3, 10)) < radius < largest(Rational(100))


def test_drawn_weights_have_the_teachers_eigenvalues_and_no_others():
    """W as a network has it: the least-norm map along noisy teacher trajectories plus a Gaussian part off them."""
    rng = np.random.default_rng(5)
    N, w, eps, P, n = 500, 0.3, 1e-3, 2, 5
    angle = 1.1
    A = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    frame, _ = np.linalg.qr(rng.normal(size=(N, 2 + n * P)))
    g = [np.eye(2)]
    for _ in range(n - 1):
        g.append(A @ g[-1])
    h = np.sqrt(N) * frame[:, :2] @ np.hstack(g)
    h += np.sqrt(N * eps) * frame[:, 2:] * np.sqrt(w) ** (np.arange(n * P) // P)
    earlier, later = h[:, :-P], h[:, P:]
    pseudo = np.linalg.pinv(earlier)
    W = later @ pseudo + np.sqrt(w / N) * rng.normal(size=(N, N)) @ (np.eye(N) - earlier @ pseudo)
    values = np.linalg.eigvals(W)
    outside = values[np.abs(values) > 1.15 * np.sqrt(w)]
    assert len(outside) == 2
    np.testing.assert_allclose(outside[outside.imag > 0], np.exp(1j * angle), atol=0.05)


@pytest.mark.parametrize("times", [(1, 3, 5), (2, 5, 8), (1, 2, 6), (2, 4, 8)])
def test_aliases_make_the_same_labels(times):
    theta = symbols("theta", real=True)
    angles = aliases(theta, times)

    def rotation(angle):
        return Matrix([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])

    def labels(angle, phase):
        return [Matrix([[1, 0]]) * rotation(-phase) * rotation(angle * (t - 1)) for t in times]

    expected = labels(theta, 0)
    for angle in angles:
        phase = (angle - theta) * (times[0] - 1)
        for label, other in zip(expected, labels(angle, phase), strict=True):
            difference = (label - other).applyfunc(lambda entry: simplify(expand_trig(entry)))
            assert difference == Matrix([[0, 0]])
    assert len(angles) == np.gcd.reduce(np.diff(times))
    assert angles[0] == theta
    # half a step further is another sequence
    assert simplify(labels(theta + pi / (7 * len(angles)), 0)[-1][0] - expected[-1][0]) != 0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="start: has shape"):
        trajectory(ROTATION, eye(3), 4)
    with pytest.raises(ValueError, match="n: is 1"):
        trajectory(ROTATION, eye(2), 1)
    with pytest.raises(ValueError, match="patterns: is 3"):
        limiting_regression(trajectory(ROTATION, eye(2), 4), 3)
    with pytest.raises(ValueError, match="rank 1; accepted: rank 2"):
        limiting_regression(trajectory(ROTATION, Matrix([1, 0]), 2), 1)
    with pytest.raises(ValueError, match="supervised: is"):
        aliases(1, (3,))


@pytest.mark.slow
def test_extraneous_factor_is_a_polynomial_in_z():
    psi = trajectory(ROTATION, Matrix([1, 0]), 4)
    rest = extraneous_factor(psi, ROTATION, 1, Rational(1))
    # smallest ‖c‖ by hand: B = z + b minimises ‖(z² - 6z/5 + 1)B‖²
    b = symbols("b")
    product = Poly((z**2 - Rational(6, 5) * z + 1) * (z + b), z).all_coeffs()
    norm = sum(coefficient**2 for coefficient in product)
    best = Poly(norm.expand(), b).diff(b).all_roots()[0]
    assert rest == Poly(z + best, z)
