"""The gateway: what it computes, what it refuses, and that its three outputs agree."""

import mpmath
import numpy as np
import pytest
from sympy import Matrix, Rational, Symbol, cos, exp, lambdify, log, symbols

from numerics.errors import InputError
from numerics.lowering.scalar import lower
from theory.free_energy import endpoint_free_energy
from theory.symbols import signal

x, y = symbols("x y", real=True)
a = Symbol("a", positive=True)
TERMS = {"wave": a * x**2 * cos(y) + exp(-x) / y**3, "constant": Rational(1, 3), "barrier": -log(x**2 + a)}


def _points(rng, size=7):
    return rng.uniform(0.5, 1.5, (2, size)), rng.uniform(0.5, 1.5, (1, size))


def test_value_gradient_and_hessian_are_those_of_the_expression():
    points, parameters = _points(np.random.default_rng(1))
    lowered = lower(TERMS, (x, y), (a,))
    total = sum(TERMS.values())
    arguments = (*points, *parameters)
    values = lowered.values(points, parameters)
    assert values.shape == (3, 7)
    np.testing.assert_allclose(values.sum(axis=0), lambdify((x, y, a), total)(*arguments), rtol=1e-13)
    got = lowered.derivatives(points, parameters)
    for i, first in enumerate((x, y)):
        np.testing.assert_allclose(
            got.gradient[i], lambdify((x, y, a), total.diff(first))(*arguments), rtol=1e-12, atol=1e-13
        )
        parts = [np.abs(lambdify((x, y, a), term.diff(first))(*arguments)) for term in TERMS.values()]
        np.testing.assert_allclose(got.cancelling[i], sum(parts) * np.ones(7), rtol=1e-12)
        for j, second in enumerate((x, y)):
            expected = lambdify((x, y, a), total.diff(first, second))(*arguments)
            np.testing.assert_allclose(got.hessian[i, j], expected, rtol=1e-12, atol=1e-12)


def test_what_cancels_in_one_term_is_the_size_of_its_gradient():
    got = lower(-log(x), (x, y), ()).derivatives(np.array([[2.0], [1.0]]), np.empty((0, 1)))
    assert got.gradient.ravel().tolist() == [-0.5, 0.0]
    assert got.cancelling.ravel().tolist() == [0.5, 0.0]


def test_gradient_and_hessian_against_finite_differences_at_t_4():
    F = endpoint_free_energy(4, "rnn")
    lowered = lower(F.terms, F.variables, F.parameters)
    rng = np.random.default_rng(2)
    factor = rng.normal(size=(3, 5))
    at = (factor @ factor.T)[np.triu_indices(3)][:, None]
    assert [each.name for each in lowered.parameters] == [signal.name, "kappa", "u", "v", "w"]
    p = np.array([[3.0], [0.5], [1.1], [0.7], [1.3]])
    got = lowered.derivatives(at, p)
    step = 1e-6
    shifts = step * np.eye(6)[:, :, None]
    values = [[lowered.values(at + sign * e, p).sum(axis=0)[0] for sign in (1, -1)] for e in shifts]
    slopes = [(lowered.derivatives(at + e, p).gradient - lowered.derivatives(at - e, p).gradient) for e in shifts]
    np.testing.assert_allclose(got.gradient[:, 0], [(v[0] - v[1]) / (2 * step) for v in values], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(got.hessian[:, :, 0], np.array(slopes)[:, :, 0] / (2 * step), rtol=1e-5, atol=1e-7)


def test_results_do_not_depend_on_how_a_batch_is_cut_and_constants_broadcast():
    lowered = lower({"one": x * 0 + 1, "linear": y}, (x, y), (a,))
    points = np.linspace(1, 2, 2 * 10001).reshape(2, -1)
    whole = lowered.derivatives(points, np.ones((1, 1)))
    assert whole.gradient.shape == (2, 10001)
    assert np.all(whole.gradient[0] == 0)
    assert np.all(whole.gradient[1] == 1)
    lowered = lower(TERMS, (x, y), (a,))
    parameters = np.linspace(1, 2, 10001)[None]
    many = lowered.derivatives(points, parameters)
    some = lowered.derivatives(points[:, 9000:], parameters[:, 9000:])
    np.testing.assert_array_equal(many.hessian[:, :, 9000:], some.hessian)


def test_mpmath_evaluates_the_same_expressions_to_any_precision():
    lowered = lower(TERMS, (x, y), (a,))
    before = mpmath.mp.dps
    got = lowered.precise(["1.25", "0.75"], ["2"], dps=60)
    assert mpmath.mp.dps == before
    total = sum(TERMS.values())
    point = {x: Rational(5, 4), y: Rational(3, 4), a: 2}
    with mpmath.workdps(60):
        assert abs(got.value - mpmath.mpf(str(total.subs(point).evalf(65)))) < mpmath.mpf(10) ** -57
        second = total.diff(x, y).subs(point).evalf(65)
        assert abs(got.hessian[0, 1] - mpmath.mpf(str(second))) < mpmath.mpf(10) ** -56
    double = lowered.derivatives(np.array([[1.25], [0.75]]), np.array([[2.0]]))
    np.testing.assert_allclose(double.gradient[:, 0], [float(g) for g in got.gradient], rtol=1e-13)


def test_source_is_readable_python_without_slow_powers():
    source = lower(TERMS, (x, y), (a,)).source
    compile(source, "source", "exec")
    assert "def values(x, p, out)" in source
    assert "def derivatives(x, p, out)" in source
    assert "numpy.exp" in source
    assert "**" not in source.split("def precise")[0]
    assert "; del _t" in source  # a temporary's memory serves the next one


def test_lambda_and_other_keywords_may_name_symbols():
    keyword = Symbol("lambda", positive=True)
    lowered = lower(keyword * x**2, (x,), (keyword,))
    assert lowered.values(np.array([[3.0]]), np.array([[2.0]]))[0, 0] == 18.0


def test_an_unlisted_symbol_is_refused():
    with pytest.raises(InputError, match="unlisted symbol y"):
        lower(x * y, (x,), (a,))


def test_a_symbol_with_other_assumptions_is_refused_with_the_reason():
    twin = Symbol("a")
    with pytest.raises(InputError, match="a symbol a with assumptions"):
        lower(twin * x, (x,), (a,))


def test_a_repeated_or_foreign_symbol_is_refused():
    with pytest.raises(InputError, match="more than once"):
        lower(x, (x, x), ())
    with pytest.raises(InputError, match="SymPy symbols"):
        lower(x, (x, x + 1), ())


@pytest.mark.parametrize(
    ("points", "parameters", "message"),
    [
        (np.ones((3, 2)), np.ones((1, 2)), "3 variables"),
        (np.ones((2, 2)), np.ones((2, 2)), "2 parameters"),
        (np.ones((2, 2)), np.ones((1, 3)), "3 points"),
        (np.ones(2), np.ones((1, 2)), "axes"),
    ],
)
def test_wrong_shapes_are_refused(points, parameters, message):
    with pytest.raises(InputError, match=message):
        lower(TERMS, (x, y), (a,)).values(points, parameters)


def test_a_lowered_function_is_frozen_and_made_once():
    lowered = lower(TERMS, (x, y), (a,))
    with pytest.raises(AttributeError):
        lowered.source = ""
    assert lower(TERMS, (x, y), (a,)) is lowered


def test_determinants_lower_like_numpy_computes_them():
    entries = symbols("m0:3", positive=True)
    matrix = Matrix([[entries[0], entries[1]], [entries[1], entries[2]]])
    lowered = lower(log(matrix.det()), entries, ())
    at = np.array([[2.0], [0.5], [3.0]])
    numeric = np.array([[2.0, 0.5], [0.5, 3.0]])
    np.testing.assert_allclose(lowered.values(at, np.empty((0, 1)))[0, 0], np.log(np.linalg.det(numeric)))
    inverse = np.linalg.inv(numeric)
    gradient = lowered.derivatives(at, np.empty((0, 1))).gradient[:, 0]
    np.testing.assert_allclose(gradient, [inverse[0, 0], 2 * inverse[0, 1], inverse[1, 1]])
