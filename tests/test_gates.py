"""One gate for single numbers and one for arrays: what is accepted everywhere, and what is refused in one line."""

import datetime
import math
import re
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.sparse
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from numerics import (
    Problem,
    check,
    cka,
    endpoint,
    load,
    load_problem,
    lower,
    phase_shares,
    phase_weights,
    rotation_teacher,
    save,
    scan,
    sequence,
    simulate,
    solve,
    solve_all,
    solve_endpoint_batch,
    sweep,
    tasks,
)
from numerics.checking.agreement import compare_means
from numerics.endpoint_task.landscape import landscape, plane
from numerics.errors import InputError
from numerics.inputs.arrays import finite_array, real_array
from numerics.inputs.scalars import integer, real
from numerics.linalg import alignment
from numerics.nonlinear.search import lowest_state, state_near
from numerics.sampling.plan import Plan
from theory import coexistence, coherent_branch, critical_point
from theory import critical_signal as exact_critical_signal
from theory.landau import landau_expansion

X, WORDS = sympy.Symbol("x"), np.array(["rnn", "hmc"])


def odds():
    """Of the only minimum."""
    return phase_weights([solve(endpoint(3, 1.0))], 64)


class Quantity:
    """As pint's and astropy's: numbers that convert, and a unit."""

    units = unit = "metre"

    def __init__(self, value):
        self.value = value

    def __float__(self):
        return 1.0

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value, dtype)


THIRD = [Fraction(1, 3), sympy.Rational(1, 3), mpmath.mpf(1) / 3, np.float64(1 / 3), np.array(1 / 3), 1 / 3]
NO_NUMBERS = [
    "1", b"1", True, np.True_, None, 1j, np.complex128(1), sympy.I, sympy.Symbol("a"), 2 * sympy.Symbol("b"),
    mpmath.mpc(1, 1), [1.0], np.ones(1), np.ma.masked, Quantity(1.0), datetime.timedelta(1), np.timedelta64(1, "s"),
    np.datetime64("2020-01-01"), sympy.true, Decimal("sNaN"), object(),
]  # fmt: skip


@pytest.mark.parametrize("number", [*THIRD, Decimal("0.333333333333333333333")], ids=repr)
def test_exact_numbers_are_numbers(number):
    assert real(number, "a") == pytest.approx(1 / 3, rel=1e-15)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)))
def test_what_is_no_number(value):
    with pytest.raises(InputError, match=r"^a: is .*; accepted: a real number$") as caught:
        real(value, "a")
    assert "\n" not in str(caught.value)


@given(st.one_of(st.floats(allow_nan=False), st.integers(-(10**30), 10**30), st.fractions()))
def test_every_real_number_is_its_double(number):
    assert real(number, "a") == float(number)
    assert real(sympy.sympify(number) if not isinstance(number, float) else np.float64(number), "a") == float(number)


@pytest.mark.parametrize("whole", [4, np.int8(4), np.uint64(4), sympy.Integer(4)], ids=repr)
def test_whole_numbers(whole):
    assert integer(whole, "a", 0) == 4
    assert type(integer(whole, "a", 0)) is int
    with pytest.raises(InputError, match=r"^a: is 4; accepted: an integer ≥ 5$"):
        integer(whole, "a", 5)


@pytest.mark.parametrize(
    "wrong", [4.0, True, np.True_, "4", None, Fraction(4), sympy.Float(4), np.ones(2), np.timedelta64(4)]
)
def test_what_is_no_whole_number(wrong):
    with pytest.raises(InputError, match=r"^a: is .*; accepted: an integer from 0 to 9$"):
        integer(wrong, "a", 0, 9)


def test_exact_numbers_are_accepted_wherever_a_number_is():
    exact = critical_point(4, 1).signal
    problem = endpoint(T=sympy.Integer(4), signal=exact, kappa=Fraction(1), u=Decimal(1), v=mpmath.mpf(1), w=sympy.S(1))
    assert problem.y[0, -1] == pytest.approx(math.sqrt(float(exact)), rel=1e-15)
    assert all(type(getattr(problem, name)) is float for name in ("u", "v", "w", "kappa"))
    task = sequence(sympy.Integer(5), 2 * sympy.pi / 5, sympy.sqrt(2), [np.int8(1), 3], radius=Fraction(9, 10))
    assert np.array_equal(task.y, sequence(5, 2 * math.pi / 5, math.sqrt(2), [1, 3], radius=0.9).y, equal_nan=True)
    assert rotation_teacher([sympy.pi / 3], [Decimal(2)]).V[0] == 2
    assert solve(problem, tolerance=Fraction(1, 10**9)).converged
    assert solve_all(problem, tolerance=sympy.Rational(1, 10**9))[0].converged
    assert lowest_state(endpoint(3, sympy.pi, activation="erf"), tolerance=Fraction(1, 10**6)).converged
    assert scan(endpoint(4, 1), {"signal": [sympy.S(2), Fraction(5, 2)]}).value.tolist() == [2.0, 2.5]
    assert solve_endpoint_batch(np.int64(4), [sympy.S(2)], kappa=Fraction(1)).signal.tolist() == [2.0]
    assert landscape(sympy.Integer(4), sympy.S(20), [Fraction(1, 3)]).correlation.tolist() == [1 / 3]
    plan = Plan(problem=problem, width=np.int64(8), steps=sympy.Integer(20), step_size=Fraction(1, 2), seed=np.uint8(3))
    assert (plan.width, plan.steps, plan.step_size, plan.seed) == (8, 20, 0.5, 3)


#: Every public function that takes an array, as a function of one (k, k) or (k,) array.
TAKERS = {
    "x": lambda a: Problem(a, np.ones((2, 2))),
    "y": lambda a: Problem(np.ones((2, 1)), a),
    "x_test": lambda a: Problem(np.ones((2, 2)), np.ones((2, 2)), x_test=a),
    "y_test": lambda a: Problem(np.ones((2, 1)), np.ones((2, 2)), x_test=np.ones((2, 1)), y_test=a),
    "A": lambda a: cka(a, np.eye(2)),
    "B": lambda a: cka(np.eye(2), a),
    "predicted": lambda a: compare_means(a, np.eye(2), np.eye(2), rhat=1, ess=200),
    "mean": lambda a: compare_means(np.eye(2), a, np.eye(2), rhat=1, ess=200),
    "standard_error": lambda a: compare_means(np.eye(2), np.eye(2), a, rhat=1, ess=200),
    "kappa": lambda a: scan(endpoint(4, 20.0), {"kappa": a}),
    "signal": lambda a: solve_endpoint_batch(4, a),
    "correlations": lambda a: landscape(4, 20.0, a),
    "trajectories": lambda a: state_near(endpoint(3, 5.0, activation="erf"), a),
    "U": lambda a: type(rotation_teacher(1.0, 1.0))(np.ones(2), np.eye(2), a),
}
MAY_MISS = {"y", "y_test"}
#: Array-likes that say more than their numbers.
REFUSED = {
    "units": Quantity(np.eye(2)),
    "units in lists": [[Quantity(1.0), 1.0], [1.0, 1.0]],
    "complex": np.eye(2) + 0j,
    "sparse": scipy.sparse.csr_array(np.eye(2)),
    "dates": np.full((2, 2), np.datetime64("2020-01-01")),
    "text": [["1", "2"], ["3", "4"]],
    "symbols": [[sympy.Symbol("a"), 1], [1, 1]],
    "ragged": [[1.0, 2.0], [3.0]],
    "records": np.zeros((2, 2), dtype=[("a", float)]),
}
MISSING = {
    "mask": np.ma.array(np.eye(2), mask=[[1, 0], [0, 0]]),
    "masked rows": [np.ma.array([1.0, 2.0], mask=[1, 0]), np.ma.array([3.0, 4.0])],
    "masked entry": [[np.ma.masked, 1.0], [1.0, 1.0]],
    "None": [[None, 1.0], [1.0, 1.0]],
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("argument", TAKERS)
def test_meaning_is_refused_by_every_function(argument, kind):
    with pytest.raises(InputError, match=rf"^{argument}: .*; accepted: ") as caught:
        TAKERS[argument](REFUSED[kind])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", MISSING)
@pytest.mark.parametrize("argument", TAKERS)
def test_missing_entries_are_unsupervised_or_refused(argument, kind):
    if argument in MAY_MISS:
        made = TAKERS[argument](MISSING[kind])
        if argument != "labels":
            assert np.isnan(getattr(made, argument)).tolist() == [[True, False], [False, False]]
        return
    with pytest.raises(InputError, match=rf"^{argument}: has (masked|missing) entries; accepted: "):
        TAKERS[argument](MISSING[kind])


@given(arrays(np.float64, array_shapes(max_dims=3, max_side=4), elements=st.floats(allow_nan=False)), st.data())
@settings(max_examples=50)
def test_every_form_of_the_same_numbers_is_one_array(values, data):
    mask = data.draw(arrays(np.bool_, values.shape))
    wanted = np.where(mask, np.nan, values)
    with_none = np.where(mask, None, values.astype(object))
    for form in (np.ma.array(values, mask=mask), with_none, with_none.tolist(), [*np.ma.array(values, mask=mask)]):
        assert np.array_equal(real_array(form, "a", missing=True), wanted, equal_nan=True)
        if mask.any():
            with pytest.raises(InputError, match=r"^a: has (masked|missing) entries"):
                real_array(form, "a")
    for form in (values, values.tolist(), np.asfortranarray(values), values.astype(">f8"), values.astype(object)):
        taken = real_array(form, "a")
        assert np.array_equal(taken, values)
        assert taken is not form
        assert not np.shares_memory(taken, values)


def test_an_array_that_cannot_be_converted_is_one_line():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("on another device\nuse .cpu()")

    with pytest.raises(InputError, match=r"^y: cannot be read \(on another device\); accepted: "):
        Problem(np.ones((2, 1)), Broken())


def test_pandas_and_xarray():
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    table = pandas.DataFrame({"unit": [1, None], "b": [3, 4]}, dtype="Int64")
    assert np.array_equal(real_array(table, "y", missing=True), [[1, 3], [np.nan, 4]], equal_nan=True)
    assert real_array(pandas.Series([1.5, 2.5]), "y").tolist() == [1.5, 2.5]
    for wrong in (table, pandas.Series(["a"], dtype="category"), pandas.Series(pandas.to_datetime(["2020-01-01"]))):
        with pytest.raises(InputError, match=r"^x: has (missing entries|the entry|dtype)"):
            real_array(wrong, "x")
    assert real_array(xarray.DataArray(np.eye(2), dims=("pattern", "time")), "y").tolist() == np.eye(2).tolist()
    with pytest.raises(InputError, match=r"^y: has a unit"):
        real_array(xarray.DataArray(np.eye(2), attrs={"units": "mV"}), "y")


def test_masked_labels_are_not_learnt(tmp_path):
    hidden = np.ma.array([[5.0, 2.0]], mask=[[True, False]])
    assert np.array_equal(Problem([[1.0]], hidden).supervised, [1])
    assert solve(Problem([[1.0]], hidden)).free_energy == solve(Problem([[1.0]], [[np.nan, 2.0]])).free_energy


def test_alignment_of_kernels_of_any_size_and_type():
    integers = np.array([[100, 50], [50, 100]], dtype=np.int8)
    assert cka(integers, integers) == pytest.approx(1, abs=1e-15)
    assert cka(np.eye(2, dtype=np.int64) * 2**40, np.eye(2)) == pytest.approx(1, abs=1e-15)
    for size in (1e200, 1e-200, 1e308, 5e-324):
        assert cka(size * np.eye(2), np.eye(2)) == pytest.approx(1, abs=1e-15)
        assert alignment(size * np.ones((3, 2, 2)), np.ones((2, 2))) == pytest.approx(np.ones(3), abs=1e-15)
    for zero in (np.zeros((2, 2)), [[0, 0], [0, 0]]):
        with pytest.raises(InputError, match=r"^A: is zero; accepted: "):
            cka(zero, np.eye(2))
    with pytest.raises(InputError, match=re.escape("B: has shape (3, 3); accepted: (2, 2)")):
        cka(np.eye(2), np.eye(3))


@given(arrays(np.float64, (3, 3), elements=st.floats(-1, 1)), st.integers(-300, 300), st.integers(-300, 300))
def test_alignment_does_not_depend_on_scale(values, first, second):
    A, B = np.eye(3) + values, np.eye(3) - values.T
    if A.any() and B.any():
        plain = np.vdot(A, B) / np.sqrt(np.vdot(A, A) * np.vdot(B, B))
        assert cka(np.ldexp(A, first), np.ldexp(B, second)) == pytest.approx(plain, abs=1e-13)


def test_finite_arrays():
    with pytest.raises(InputError, match=r"^a: contains NaN or infinity; accepted: finite numbers$"):
        finite_array([1.0, np.nan], "a")
    with pytest.raises(InputError, match=r"^a: is zero|^a: has shape"):
        finite_array([1.0], "a", (2,))


def test_a_cut_takes_exact_numbers():
    assert plane(4, sympy.S(20), [Fraction(1)], [sympy.S(1)]).shape == (1, 1)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda: tasks.from_data(np.ones((4, 3)), [0, 1, 0, 1], 4, y_test=[1]),
            "y_test: is given; accepted: labels",
        ),
        (lambda: tasks.sine_generation(supervise=3), "supervise: is of type int; accepted: hidden times from 1 to 7"),
        (lambda: tasks.flip_flop(patterns=10**30), "patterns: is 1000.*; accepted: an integer from 1 to 10000"),
        (lambda: sweep(endpoint, [1.0], "points"), "axes: is of type list; accepted: values by argument name"),
        (lambda: sweep(endpoint, {}, "points"), "axes: is empty; accepted: at least one argument"),
        (lambda: sweep(endpoint, {"T": 3}, "points"), "axes: T: is of type int; accepted: a sequence of values"),
        (lambda: sweep(endpoint, {"T": [3]}, 5), "directory: is of type int; accepted: a path"),
        (lambda: save(endpoint(3, 1.0), None), "path: is of type NoneType; accepted: a path"),
        (lambda: save(3, "x.npz"), "result: is of type int; accepted: Agreement, "),
        (lambda: load(b"x.npz"), "path: is of type bytes; accepted: a path"),
        (lambda: solve(endpoint(3, 1.0)).plot(ax="x"), "ax: is of type str; accepted: matplotlib axes"),
        (
            lambda: solve(endpoint(3, 1.0), progress="x"),
            "progress: is of type str; accepted: True, False or",
        ),
        (lambda: endpoint(3, 1.0, activation=np.zeros((2, 3))), r"activation: is array\(.*\); accepted: linear"),
        (lambda: critical_point(4, None), "kappa: is None; accepted: an exact number"),
        (lambda: critical_point(4, object()), "kappa: is <object.*; accepted: an exact number"),
        (lambda: coherent_branch(1, 2), "rho: is 2; accepted: an exact number above 0, at most 1"),
        (lambda: coherent_branch(1, 0.5), "rho: is 0.5; accepted: an exact number above 0, at most 1"),
        (lambda: exact_critical_signal(3), "T: is 3; accepted: an integer from 4 to 10000"),
        (lambda: exact_critical_signal(4, -1), "kappa: is -1; accepted: an exact number"),
        (lambda: coexistence(6, 1, digits=0), "digits: is 0; accepted: an integer ≥ 1"),
        (lambda: critical_point(10**30), "T: is 10+; accepted: an integer from 4 to 80"),
        (lambda: landau_expansion(81), "T: is 81; accepted: an integer from 4 to 80"),
        (lambda: exact_critical_signal(10**30), "T: is 10+; accepted: an integer from 4 to 10000"),
        *((lambda a=a: phase_weights(a, 64), "states: is of type .*; accepted: states of") for a in (None, 3)),
        (lambda: phase_weights(solve(endpoint(3, 1.0)), 64), "states: is of type LinearSolution; accepted: states of"),
        (lambda: phase_weights([3], 64), "states: one: is of type int; accepted: states of one problem"),
        (lambda: phase_shares(3), r"weights: is of type int; accepted: of phase_weights\("),
        (lambda: phase_shares(odds(), ladder=3), "ladder: is of type int; accepted: problems, the easiest first"),
        (lambda: phase_shares(odds(), ladder=[3]), "ladder: one: is of type int; accepted: problems"),
        (lambda: phase_shares(odds(), seed=-1), "seed: is -1; accepted: an integer ≥ 0"),
        *(
            (lambda a=a: solve_endpoint_batch(4, 5.0, tolerance=a), "tolerance: is .*; accepted: a finite number > 0")
            for a in (-1, math.nan, 0, None, math.inf)
        ),
        (lambda: solve_endpoint_batch(4, 5.0, np.ones(2), WORDS), r"arch: is array\(.*\); accepted: rnn, dnn"),
        (lambda: solve_endpoint_batch(4, 5.0, branch=WORDS), r"branch: is array\(.*\); accepted: incoherent, coh"),
        (lambda: scan(endpoint(4, 1.0), {"signal": [5]}, options=None), "options: is of type NoneType; accepted: "),
        (lambda: sequence(4, 1.0, 1.0, 3), "supervise: is of type int; accepted: hidden times from 1 to 3"),
        (lambda: sequence(4, 1.0, 1.0, [[1]]), r"supervise: is \[1\]; accepted: hidden times from 1 to 3"),
        (lambda: sequence(4, b"a", 1.0, [3]), "angle: is b'a'; accepted: a finite number, or one for each plane"),
        (lambda: load_problem(None), "path: is of type NoneType; accepted: a path"),
        *(
            (lambda f=f, p=p: f(p, tolerance=math.inf), "tolerance: is inf; accepted: a finite number > 0")
            for f in (solve, solve_all)
            for p in (endpoint(3, 1.0), endpoint(3, 1.0, activation="erf"))
        ),
        (lambda: lower(None, [X], []), "expressions: have None; accepted: a SymPy expression, or several by name"),
        (lambda: lower({}, [X], []), "expressions: are none; accepted: a SymPy expression"),
        (lambda: lower(X, X, []), "variables: is of type Symbol; accepted: a sequence of SymPy symbols"),
        (lambda: lower(X, [X], 3), "parameters: is of type int; accepted: a sequence of SymPy symbols"),
        (lambda: lower(X, [[X]], []), r"variables, parameters: contain \[x\]; accepted: SymPy symbols"),
        (lambda: solve(endpoint(3, 1.0), engine=WORDS), r"engine: is array\(.*\); accepted: nothing"),
        (
            lambda: solve(endpoint(3, 1.0, activation="erf"), engine=WORDS),
            r"engine: is array\(.*\); accepted: ",
        ),
        *(
            (lambda a=a: simulate(endpoint(3, 1.0), 8, **{a: WORDS}), rf"{a}: is array\(.*\); accepted: ")
            for a in ("sampler", "init", "dtype", "readout", "preconditioner", "integrator")
        ),
        (lambda: simulate(endpoint(3, 1.0), 8, checkpoint=3), "checkpoint: is of type int; accepted: a path"),
        (lambda: simulate(endpoint(3, 1.0), 8, eigenvalues=WORDS), "eigenvalues: is of type ndarray; accepted: True"),
        (lambda: check(endpoint(3, 1.0), 8, checkpoint=3), "checkpoint: is of type int; accepted: a path"),
        (
            lambda: solve(endpoint(3, 1.0, activation="erf"), checkpoint=3),
            "checkpoint: is of type int; accepted: a path",
        ),
        (lambda: simulate(endpoint(3, 1.0), 8, law=3), "law: is of type int; accepted: "),
    ],
)
def test_what_is_of_no_use_is_told_in_one_line(call, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^{line}.*$") as refused:
        call()
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())
