"""Matrix expressions lowered to NumPy: the exact values, few factorisations, and clear refusals."""

from functools import cache

import numpy as np
import pytest
from sympy import Matrix, MatrixSymbol, Rational, Symbol, Trace

from numerics.errors import InputError
from numerics.lowering.matrix import _NAMESPACE, BLOCK, PROJECTION, lower_matrix
from theory.matrix_calculus import LogDet, Shift, SymmetricSymbol
from theory.matrix_calculus.explicit import Layout, evaluate
from theory.matrix_calculus.kernel_functional import (
    X_SHIFTED,
    H,
    Y,
    dH,
    free_energy,
    free_energy_gradient,
    free_energy_hessian_vector_product,
)
from theory.symbols import kappa, u, v, w

ARGUMENTS = (H, X_SHIFTED, Y, u, v, w, kappa, dH)


@cache
def lowered(arch):
    outputs = {
        "value": free_energy(arch),
        "gradient": free_energy_gradient(arch),
        "hvp": free_energy_hessian_vector_product(arch),
    }
    return lower_matrix(outputs, ARGUMENTS, late=(dH,))


def random_task(n, P, positions, seed=3):
    rng = np.random.default_rng(seed)
    size = n * P
    A, B = rng.standard_normal((2, size, size))
    labels = rng.standard_normal(len(positions))
    x = rng.standard_normal((P, P + 1))
    X = 0.1 * np.eye(size)
    X[:P, :P] += x @ x.T
    values = {
        "H": A @ A.T / size + np.eye(size),
        "X": X,
        "Y": np.outer(labels, labels),
        "u": 1.25,
        "v": 0.75,
        "w": 1.5,
        "kappa": 0.5,
        "P": P,
        "supervised": np.array(positions),
    }
    return values, B + B.T


def exact(matrix):
    return Matrix(matrix.shape[0], matrix.shape[1], lambda i, j: Rational(float(matrix[i, j])))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_values_equal_the_explicit_evaluation(arch):
    n, P, positions = 3, 2, [1, 2, 5]
    values, direction = random_task(n, P, positions)
    result = lowered(arch)(dH=direction, **values)
    table = {
        H: exact(values["H"]),
        X_SHIFTED: exact(values["X"]),
        Y: exact(values["Y"]),
        dH: exact(direction),
    }
    table |= {u: Rational(5, 4), v: Rational(3, 4), w: Rational(3, 2), kappa: Rational(1, 2)}
    layout = Layout.of_pairs(n, P, positions)
    expected = float(evaluate(free_energy(arch), table, layout).evalf(30))
    assert result["value"] == pytest.approx(expected, rel=1e-13)
    for name, expression in (
        ("gradient", free_energy_gradient(arch)),
        ("hvp", free_energy_hessian_vector_product(arch)),
    ):
        known = np.array(evaluate(expression, table, layout).evalf(30).tolist(), dtype=float)
        assert np.abs(result[name] - known).max() < 1e-12 * np.abs(known).max()


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_gradient_and_product_are_the_derivatives_of_the_value(arch):
    values, direction = random_task(5, 3, [0, 4, 9, 14])
    function = lowered(arch)
    here = function(dH=direction, **values)
    step = 1e-6
    ends = [function(dH=direction, **{**values, "H": values["H"] + s * direction}) for s in (step, -step)]
    slope = (ends[0]["value"] - ends[1]["value"]) / (2 * step)
    change = (ends[0]["gradient"] - ends[1]["gradient"]) / (2 * step)
    assert slope == pytest.approx(np.sum(here["gradient"] * direction), rel=1e-7)
    assert np.abs(change - here["hvp"]).max() < 1e-7 * np.abs(here["hvp"]).max()


def test_one_factorisation_for_each_inverted_matrix_and_none_for_a_direction():
    source = lowered("rnn").source
    early, finish = source.split("def finish")
    assert early.count("factor(") == 3
    assert early.count("inverse(") == 3
    assert "factor(" not in finish
    assert "inverse(" not in finish
    # multiplications of the whole size: 2 for C⁻¹ dH C⁻¹, 3 with the shifted dH, 2 for H⁻¹ dH H⁻¹; 2 small ones
    assert finish.count("@") == 9


def test_bound_function_serves_many_directions():
    values, direction = random_task(3, 2, [1, 4])
    function = lowered("dnn")
    bound = function.bind(**values)
    for scale in (1.0, -2.0):
        assert np.allclose(bound(dH=scale * direction)["hvp"], scale * bound(dH=direction)["hvp"], rtol=1e-13)


def test_projection_as_positions_and_as_a_matrix_agree():
    values, direction = random_task(3, 2, [1, 4])
    function = lowered("rnn")
    rows = np.eye(6)[[1, 4]]
    one, two = function(dH=direction, **values), function(dH=direction, **{**values, "supervised": rows})
    assert np.allclose(one["hvp"], two["hvp"], rtol=1e-13)
    assert np.allclose(one["gradient"], two["gradient"], rtol=1e-13)


@pytest.mark.parametrize("positions", [[0], [5]])
def test_a_position_at_either_end(positions):
    values, direction = random_task(3, 2, positions)
    given = {**values, "supervised": np.eye(6)[positions]}
    one, two = lowered("rnn")(dH=direction, **values), lowered("rnn")(dH=direction, **given)
    assert one["value"] == pytest.approx(two["value"], rel=1e-13)
    np.testing.assert_allclose(one["gradient"], two["gradient"], atol=1e-12)


def test_a_kernel_that_is_not_positive_definite_is_refused():
    values, direction = random_task(3, 1, [2])
    with pytest.raises(np.linalg.LinAlgError):
        lowered("rnn")(dH=direction, **{**values, "H": -values["H"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"H": None}, "missing H"),
        ({"extra": 1.0}, "unknown extra"),
        ({"H": np.eye(5)}, "X: has 6 rows"),
        ({"H": np.full((6, 6), np.nan)}, "H: is no finite real matrix"),
        ({"u": "one"}, "u: is 'one'"),
        ({"P": 4}, "P: is 4"),
        ({"supervised": np.array([1, 6])}, "supervised: does not fit"),
        ({"supervised": np.array([-1, 4])}, "supervised: does not fit"),
        ({"supervised": np.array([6]), "Y": np.ones((1, 1))}, "supervised: does not fit"),
        ({"supervised": np.eye(5)[:2]}, "supervised: does not fit"),
        ({"supervised": np.array(4)}, "supervised: does not fit"),
        ({"supervised": np.array([1, 1])}, "supervised: does not fit"),
        ({"supervised": np.array([1, 2, 3])}, "supervised: does not fit"),
    ],
)
def test_bad_arguments_give_one_clear_line(changes, message):
    values, _ = random_task(3, 2, [1, 4])
    values |= changes
    values = {name: value for name, value in values.items() if value is not None}
    with pytest.raises(InputError, match=message) as error:
        lowered("rnn").bind(**values)
    assert "accepted:" in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_symbols_and_names_are_refused():
    with pytest.raises(InputError, match="unknown symbols"):
        lower_matrix({"value": free_energy("rnn")}, [s for s in ARGUMENTS if s != kappa])
    # a symbol of the same name with other assumptions is another symbol
    with pytest.raises(InputError, match="unknown symbols kappa"):
        lower_matrix({"value": free_energy("rnn")}, [*(s for s in ARGUMENTS if s != kappa), Symbol("kappa")])
    with pytest.raises(InputError, match="late"):
        lower_matrix({"value": LogDet(H)}, (H,), late=(dH,))
    with pytest.raises(InputError, match="twice"):
        lower_matrix({"value": LogDet(H)}, (H, MatrixSymbol("H", 2, 2)))
    with pytest.raises(InputError, match="no Python name"):
        lower_matrix({"value": LogDet(H)}, (H, Symbol("a b")))
    with pytest.raises(InputError, match="accepted: the node set"):
        lower_matrix({"value": H.applyfunc(lambda x: x**2)}, (H,))


@pytest.mark.parametrize(
    "name", [BLOCK, PROJECTION, f"{PROJECTION}2", "t3", *(name for name in _NAMESPACE if name.isidentifier())]
)
def test_names_of_the_lowered_text_are_refused(name):
    with pytest.raises(InputError, match=f"the name {name} is taken by the lowered text"):
        lower_matrix({"value": LogDet(H)}, (H, Symbol(name)))


@pytest.mark.parametrize("name", ["t", "tx", "t3x", "x3"])
def test_names_that_are_like_these_are_taken(name):
    A = MatrixSymbol(name, 2, 2)
    found = lower_matrix({"value": Trace(A)}, (A,))(**{name: np.array([[1.0, 2.0], [3.0, 4.0]])})
    assert found["value"] == pytest.approx(5.0)


def test_one_matrix_is_enough_for_a_shift():
    """The block size P is checked against the first matrix, whether or not there is another."""
    shifted = lower_matrix({"value": Trace(Shift(H) * H)}, (H,))
    A = np.random.default_rng(1).standard_normal((6, 6))
    A = A + A.T
    assert shifted(H=A, P=2)["value"] == pytest.approx(np.vdot(A[:4, :4], A[2:, 2:]))
    with pytest.raises(InputError, match="P: is 4 for H with 6 rows"):
        shifted(H=A, P=4)


def test_general_inverses_powers_and_transposes():
    B, A = MatrixSymbol("B", 3, 3), SymmetricSymbol("A", 3)
    rng = np.random.default_rng(0)
    b, a = rng.standard_normal((2, 3, 3))
    a = a @ a.T + np.eye(3)
    expressions = {"one": B.inverse() * A**2, "two": B.T * A, "three": A * B, "trace": Trace(B * A * B.T) / 3}
    result = lower_matrix(expressions, (A, B))(A=a, B=b)
    assert np.allclose(result["one"], np.linalg.solve(b, a @ a))
    assert np.allclose(result["two"], b.T @ a)
    assert np.allclose(result["three"], a @ b)
    assert result["trace"] == pytest.approx(np.trace(b @ a @ b.T) / 3)
