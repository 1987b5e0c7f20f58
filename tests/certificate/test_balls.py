"""The free energy in ball arithmetic, against the exact expressions and against the numeric functional."""

from fractions import Fraction

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.linear.functional import kernel_functional
from tests.linear.test_any_sharing import FAMILIES, random_kernel, random_problem
from theory import symbols
from theory.free_energy import endpoint_free_energy

flint = pytest.importorskip("flint")

from numerics.certificate.balls import BallFunctional, exact_space  # noqa: E402

RATIONAL = [[4, 1, -1], [1, 3, 2], [-1, 2, 6]]


def ball_matrix(rows):
    return flint.arb_mat([[float(value) for value in row] for row in rows])


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_value_gradient_and_hessian_enclose_the_exact_ones(arch):
    """At a kernel of integers, from SymPy's own derivatives of the expression of docs/theory.md section 3."""
    from sympy import Rational, diff

    F = endpoint_free_energy(4, arch)
    at = dict(zip(F.variables, [4, 1, -1, 3, 2, 6], strict=True))
    u, v, w, kappa = Rational(3, 4), Rational(5, 4), Rational(3, 2), Rational(1, 2)
    # λ = y²/(v w² u) with y = 3
    widths = {symbols.u: u, symbols.v: v, symbols.w: w, symbols.kappa: kappa, symbols.signal: 9 / (v * w**2 * u)}
    total = sum(F.terms.values()).subs(widths)
    problem = endpoint(4, 1.0, arch=arch, u=0.75, v=1.25, w=1.5, kappa=0.5).with_(y=[[np.nan, np.nan, 3.0]])
    with flint.ctx.workprec(128):
        functional = BallFunctional.around(problem, exact_space(problem), np.eye(3))
        point = functional.at(ball_matrix(RATIONAL))
        gradient, hessian, value = point.gradient(), point.hessian(), point.free_energy()
        assert abs(float(value.mid()) - float(total.subs(at).evalf(30))) < 1e-13
        for a, (i, j) in enumerate(functional.pairs):
            once = diff(total, F.variables[a])
            slope = once.subs(at)
            entry = gradient[i, j] * (1 if i == j else 2) / 2
            assert entry.overlaps(flint.arb(flint.fmpq(int(slope.p), int(slope.q))))
            assert float(entry.rad()) < 1e-30
            for b in range(len(F.variables)):
                bend = diff(once, F.variables[b]).subs(at)
                entry = hessian[a, b] * (1 if i == j else 2) / 2
                assert entry.overlaps(flint.arb(flint.fmpq(int(bend.p), int(bend.q))))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_several_patterns_and_times_are_the_numeric_functional(arch):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(2, 3))
    y[1, 0] = np.nan
    problem = Problem(rng.normal(size=(2, 3, 3)), y, arch=arch, u=0.7, v=1.3, w=0.9, kappa=0.2)
    factor = rng.normal(size=(6, 8))
    H = factor @ factor.T
    L = np.linalg.cholesky(H)
    point = kernel_functional(problem).at(H)
    functional = BallFunctional.around(problem, exact_space(problem), L)
    balls = functional.at(flint.arb_mat(np.eye(6).tolist()))
    assert abs(float(balls.free_energy().mid()) - point.free_energy) < 1e-10
    gradient = np.array([[float(entry.mid()) for entry in row] for row in balls.gradient().tolist()])
    np.testing.assert_allclose(gradient, 2 * point.gradient, atol=1e-9)
    S = rng.normal(size=(6, 6))
    S = S + S.T
    change = balls.gradient_change(flint.arb_mat(S.tolist()))
    numbers = np.array([[float(entry.mid()) for entry in row] for row in change.tolist()])
    np.testing.assert_allclose(numbers, 2 * point.euclidean_hessian_product(S), atol=1e-8)


@pytest.mark.parametrize("seed", range(7))
def test_any_network_is_the_numeric_functional(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, n=4, P=1, arch=FAMILIES[seed])
    H = random_kernel(problem, rng)
    functional = kernel_functional(problem)
    steps = np.linalg.inv(functional.space.full_basis())
    point = functional.at(steps @ H @ steps.T)
    balls = BallFunctional.around(problem, exact_space(problem), np.linalg.cholesky(H))
    at = balls.at(flint.arb_mat(np.eye(4).tolist()))
    assert abs(float(at.free_energy().mid()) - point.free_energy) < 1e-10
    S = rng.normal(size=(4, 4))
    S = S + S.T
    change = at.gradient_change(flint.arb_mat(S.tolist()))
    for found, expected in ((at.gradient(), point.gradient), (change, point.euclidean_hessian_product(S))):
        numbers = np.array([[float(entry.mid()) for entry in row] for row in found.tolist()])
        np.testing.assert_allclose(numbers, 2 * expected, atol=1e-8 * (1 + np.abs(expected).max()))


def test_a_matrix_that_is_semi_definite_to_rounding_only_is_refused():
    M = np.array([[1.0, 1.0 + 1e-12], [1.0 + 1e-12, 1.0]])
    with pytest.raises(InputError, match=r"^arch: is positive semi-definite to rounding only; accepted: exactly so"):
        exact_space(endpoint(4, 1.0, arch=M))


def test_dependent_patterns_have_an_exact_basis():
    """Three patterns of two dimensions, one twice another: uX⁻ is reproduced in fractions."""
    x = np.array([[0.1, 0.3], [0.2, 0.6], [1.7, -0.4]])
    problem = Problem(x, [[np.nan, 1.0], [np.nan, 2.0], [np.nan, 0.5]])
    space = exact_space(problem)
    assert space.rows == (0, 2, 3, 5)
    q = [[Fraction(int(value.p), int(value.q)) for value in row] for row in space.basis.tolist()]
    inputs = [[Fraction(int(value.p), int(value.q)) for value in row] for row in space.inputs.tolist()]
    exact = [[Fraction(float(value)) for value in row] for row in x]
    for i in range(3):
        for j in range(3):
            inside = sum(q[i][a] * inputs[a][b] * q[j][b] for a in range(4) for b in range(4))
            assert inside == sum(s * t for s, t in zip(exact[i], exact[j], strict=True)) / 2


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_dependent_patterns_at_several_times_span_what_random_networks_do(arch):
    """Patterns with the same first cue; the exact rows against the rank and span of the random network's kernel."""
    x = np.zeros((4, 4, 3))
    x[:, 0, 0], x[:, 1] = [1, 1, -2, -2], [[0, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]]
    problem = Problem(x, np.ones((4, 4)), arch=arch, w=0.8)
    space = exact_space(problem)
    functional = kernel_functional(problem)
    prior = functional.space.expand(functional.prior_kernel())
    assert np.linalg.matrix_rank(prior, tol=1e-10) == space.size
    Q = np.array([[float(value) for value in map(Fraction, map(str, row))] for row in space.basis.tolist()])
    np.testing.assert_allclose(Q @ prior[np.ix_(space.rows, space.rows)] @ Q.T, prior, atol=1e-12)
