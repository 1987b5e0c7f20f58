"""What is found of a function: name, parity, kinks, growth, slope; what is refused."""

import copy
import math
import pickle
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf, expit

from numerics import load, save
from numerics.errors import InputError
from numerics.inputs import smoothness
from numerics.inputs.activation import NAMED, Activation, activation_of
from numerics.inputs.problem import endpoint
from numerics.inputs.smoothness import MOST_KINKS
from numerics.nonlinear.diagonal import _half_line
from numerics.nonlinear.forward import pair_averages
from numerics.nonlinear.search import all_states, incoherent_state, lowest_state
from numerics.sampling.plan import Plan

RNG = np.random.default_rng(7)
SINES = lambda h: np.sin(h), lambda h: np.cos(h)
#: Functions, with kinks, parity and slope.
FUNCTIONS = {
    "leaky": (lambda h: np.where(h > 0, h, 0.1 * h), (0,), False, lambda h: np.where(h > 0, 1, 0.1)),
    "hard tanh": (lambda h: np.clip(h, -1, 1), (-1, 1), True, lambda h: np.abs(h) < 1),
    "shrinkage": (lambda h: np.sign(h) * np.maximum(abs(h) - 0.5, 0), (-0.5, 0.5), True, lambda h: np.abs(h) > 0.5),
    "elu": (lambda h: np.where(h > 0, h, np.expm1(np.minimum(h, 0))), (0,), False, lambda h: np.exp(np.minimum(h, 0))),
    "softsign": (lambda h: h / (1 + np.abs(h)), (0,), True, lambda h: (1 + np.abs(h)) ** -2.0),
    "step": (lambda h: (h > 0.3) * 1.0, (0.3,), False, np.zeros_like),
    "hard swish": (
        lambda h: h * np.clip(h + 3, 0, 6) / 6,
        (-3, 3),
        False,
        lambda h: np.where(np.abs(h) < 3, (2 * h + 3) / 6, h > 0),
    ),
    "softplus": (partial(np.logaddexp, 0), (), False, expit),
    "steep": (lambda h: np.tanh(20 * h), (), True, lambda h: 20 / np.cosh(20 * h) ** 2),
    "oscillating": (lambda h: h * np.sin(h), (), False, lambda h: np.sin(h) + h * np.cos(h)),
    "bump": (lambda h: np.exp(-h * h), (), False, lambda h: -2 * h * np.exp(-h * h)),
    "gelu": (
        lambda h: h * (1 + erf(h / np.sqrt(2))) / 2,
        (),
        False,
        lambda h: (1 + erf(h / np.sqrt(2))) / 2 + h * np.exp(-h * h / 2) / np.sqrt(2 * np.pi),
    ),
}
REFUSED = {
    "cube": (lambda h: h**3, "grows faster than linear"),
    "exponential": (np.exp, "grows faster than linear"),
    "hyperbolic sine": (np.sinh, "grows faster than linear"),
    "h ln h": (lambda h: h * np.log1p(np.abs(h)), "grows faster than linear"),
    "squared relu": (lambda h: np.maximum(h, 0) ** 2, "grows faster than linear"),
    "overflow": (lambda h: np.log1p(np.exp(h)), "is inf at h = "),
    "logarithm": (np.log, "is nan at h = "),
    "staircase": (np.round, "more than 16 kinks"),
    "single precision": (lambda h: np.tanh(h.astype(np.float32)), "more than 16 kinks"),
    "complex": (lambda h: np.sqrt(h + 0j), "complex128"),
    "softmax": (lambda h: np.exp(h - h.max()) / np.exp(h - h.max()).sum(), "entry by entry"),
    "noise": (lambda h: h * np.random.default_rng().random(h.shape), "another value each time"),
    "in place": (lambda h: np.tanh(h, out=h), "changes its argument"),
    "of one number": (math.tanh, "fails on an array"),
    "sum": (np.sum, r"makes float64 \(\)"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_facts_of_a_function(name):
    function, kinks, odd, slope = FUNCTIONS[name]
    phi = Activation.of(function)
    assert phi.name == "custom"
    assert phi.odd is odd
    assert phi.kinks == pytest.approx(kinks, abs=1e-9)
    h = RNG.uniform(-6, 6, (50, 40))
    assert np.abs(phi.derivative(h) - slope(h)).max() < 1e-10
    assert phi.derivative(h.astype(np.float32)).dtype == phi.value(h.astype(np.float32)).dtype == np.float32


def test_random_kinks_are_found_where_they_are():
    for _ in range(20):
        places = np.sort(RNG.uniform(-20, 20, 4))
        slopes = RNG.normal(size=5)
        phi = Activation.of(lambda h, k=places, s=slopes: np.tanh(h) * s[0] + np.abs(h[..., None] - k) @ s[1:])
        assert phi.kinks == pytest.approx(places, abs=1e-7)
        sides = phi.derivative(places - 1e-3)
        exact = slopes[0] / np.cosh(places - 1e-3) ** 2 + np.sign(places[:, None] - 1e-3 - places) @ slopes[1:]
        assert sides == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize("name", ["erf", "tanh"])
def test_value_and_both_derivatives_at_once(name):
    phi = NAMED[name]
    h = np.concatenate([RNG.normal(size=2000) * 3, [0.0, 1e-9, -30.0, 400.0]])
    value, slope, bend = phi.at_once(h)
    np.testing.assert_allclose(value, phi.value(h), rtol=0, atol=1e-15)
    np.testing.assert_allclose(slope, phi.derivative(h), rtol=0, atol=1e-15)
    np.testing.assert_allclose(bend, (phi.derivative(h + 1e-5) - phi.derivative(h - 1e-5)) / 2e-5, rtol=0, atol=1e-9)


def test_a_slope_at_a_kink_is_the_left_one():
    phi = Activation.of(lambda h: np.where(h > 0, np.sin(h), 0.5 * h))
    assert phi.derivative(np.array([-1e-12, 0.0, 1e-12])) == pytest.approx([0.5, 0.5, 1.0], abs=1e-10)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_functions(name):
    function, message = REFUSED[name]
    with pytest.raises(InputError, match=f"^activation: .*{message}.*accepted: ") as caught:
        endpoint(4, 1.0, activation=function)
    assert "\n" not in str(caught.value)


def test_names():
    assert activation_of(np.sin).name == "sin"
    assert activation_of(np.tanh) is NAMED["tanh"]
    assert activation_of(erf).name == "own erf"  # the named one has slope 1 at 0
    for wrong in (3, None, "sine", float, [np.sin]):
        with pytest.raises(InputError, match=r"^activation: is .*accepted: linear, erf, tanh, relu"):
            activation_of(wrong)
    with pytest.raises(InputError, match=r"^derivative: of sin is .*accepted: "):
        Activation.of(np.sin, derivative=lambda h: -np.cos(h))


@pytest.mark.parametrize("place", [0.25, -0.5, 4.0])
def test_a_wrong_derivative_is_refused_however_near_to_a_kink(place):
    def leaky(h):
        return np.where(h > 0, h, 0.1 * h)

    def wrong(h):
        return np.where(h > 0, 1.0, 0.1) + 0.01 * (np.abs(h - place) < 0.1)

    with pytest.raises(InputError, match=r"^derivative: of .*, where φ has the slope (1|0.1); accepted: "):
        Activation.of(leaky, derivative=wrong)
    assert Activation.of(leaky, derivative=lambda h: np.where(h > 0, 1.0, 0.1)).kinks == (0.0,)


def test_every_activation_travels():
    slope = 0.3
    for given in ("relu", np.sin, lambda h: np.where(h > 0, h, slope * h), FUNCTIONS["softplus"][0]):
        phi = activation_of(given)
        h = np.linspace(-2, 2, 9)
        for other in (pickle.loads(pickle.dumps(phi)), copy.deepcopy(phi)):
            assert np.array_equal(other.value(h), phi.value(h))
            assert np.array_equal(other.derivative(h), phi.derivative(h))
            assert (other.key, other.odd, other.kinks) == (phi.key, phi.odd, phi.kinks)


@pytest.mark.parametrize("name", ["leaky", "hard tanh", "shrinkage", "step", "elu"])
def test_pair_averages_end_panels_at_kinks(name):
    phi = Activation.of(FUNCTIONS[name][0])
    a, b, c = 1.3, 0.8, 0.6
    line, weight = np.polynomial.legendre.leggauss(120)
    ends = [-10.0, *phi.kinks, 10.0]
    h = np.concatenate([0.5 * (end - start) * line + 0.5 * (end + start) for start, end in pairwise(ends)])
    dh = np.concatenate([0.5 * (end - start) * weight for start, end in pairwise(ends)])
    det = a * b - c * c
    density = np.exp(-(b * h[:, None] ** 2 - 2 * c * np.outer(h, h) + a * h**2) / (2 * det)) / (
        2 * np.pi * np.sqrt(det)
    )
    exact = (phi.value(h) * dh) @ density @ (phi.value(h) * dh)
    assert pair_averages(phi, *(np.array([v]) for v in (a, b, c)))[0] == pytest.approx(exact, abs=1e-9)


def test_half_line_rule_ends_panels_at_kinks():
    g, weight = _half_line(9.0, np.array([0.7]), 400)
    exact = quad(lambda x: np.minimum(x, 0.7) ** 2 * np.exp(-x * x), 0, 9, points=[0.7], epsabs=1e-13)[0]
    assert weight @ (np.minimum(g, 0.7) ** 2 * np.exp(-g * g)) == pytest.approx(exact, abs=1e-13)


def test_a_kink_away_from_zero_is_solved_to_tolerance():
    hard = Activation.of(lambda h: np.clip(h, -1, 1))
    single = incoherent_state(endpoint(3, 2.0, activation=hard))
    state = lowest_state(endpoint(3, 2.0, activation=hard), engine="quadrature", tolerance=1e-4)
    assert state.converged
    # two rules that share nothing: the diagonal state's and the panels'
    assert np.abs(single.kernel - state.kernel).max() < 2e-6
    # without its kinks the rule does not converge as fast
    blind = lowest_state(endpoint(3, 2.0, activation=replace(hard, kinks=())), engine="quadrature", tolerance=1e-2)
    assert np.abs(blind.kernel - single.kernel).max() > 10 * np.abs(single.kernel - state.kernel).max()


def test_leaky_relu_needs_no_telling():
    state = lowest_state(endpoint(3, 5.0, activation=lambda h: np.where(h > 0, h, 0.1 * h)), tolerance=1e-4)
    assert state.converged


def test_a_function_is_the_named_activation_of_its_values():
    own = all_states(endpoint(3, 5.0, activation=lambda h: np.maximum(h, 0)), tolerance=1e-4)
    named = all_states(endpoint(3, 5.0, activation="relu"), tolerance=1e-4)
    assert [a.free_energy for a in own] == pytest.approx([b.free_energy for b in named], abs=1e-10)


def test_results_carry_the_name(tmp_path):
    state = lowest_state(endpoint(3, 5.0, activation=np.sin))
    assert "sin RNN" in state._repr_html_()
    save(state, tmp_path / "state.npz")
    stored = load(tmp_path / "state.npz")
    assert stored.problem.activation.name == "sin"
    assert np.array_equal(stored.kernel, state.kernel)
    with pytest.raises(InputError, match=r"^activation: sin is known by its name only.*activation=φ"):
        lowest_state(stored.problem)
    again = load(tmp_path / "state.npz", activation=np.sin)
    assert lowest_state(again.problem).free_energy == state.free_energy
    with pytest.raises(InputError, match=r"^activation: cos has other values than the stored sin"):
        load(tmp_path / "state.npz", activation=np.cos)


def test_checkpoints_tell_functions_apart():
    one, two = (Plan(problem=endpoint(4, 1.0, activation=f), width=8) for f in SINES)
    assert one.problem.activation.name == two.problem.activation.name
    assert one.fingerprint() != two.fingerprint()


@pytest.mark.parametrize("count", [3, MOST_KINKS, MOST_KINKS + 1, 40])
def test_as_many_kinks_are_found_as_there_are_up_to_the_most(count):
    places = np.sort(np.random.default_rng(count).uniform(-30, 30, count))

    def bent(h):
        return sum(np.abs(h - place) for place in places) / count

    if count <= MOST_KINKS:
        np.testing.assert_allclose(smoothness.kinks(bent, "bent"), places, atol=1e-9)
    else:
        with pytest.raises(InputError, match=f"bent has more than {MOST_KINKS} kinks or steps"):
            smoothness.kinks(bent, "bent")


def test_kinks_are_found_where_a_function_begins_far_away():
    """Zero for |h| < 4: rounding is that of φ further out."""
    found = smoothness.kinks(lambda h: np.maximum(h - 5.774340480796, 0) - 15.5 * np.maximum(h - 5.8, 0), "late")
    np.testing.assert_allclose(found, [5.774340480796, 5.8], atol=1e-6)


@pytest.mark.parametrize("place", np.random.default_rng(0).uniform(-6, 6, 8).tolist())
def test_kinks_as_near_as_said_are_told_apart(place):
    found = smoothness.kinks(lambda h: np.abs(h - place) + 0.5 * np.abs(h - place - 3.5e-3), "two")
    np.testing.assert_allclose(found, [place, place + 3.5e-3], atol=1e-6)


@pytest.mark.parametrize(("distance", "number"), [(0.02, 2), (0.3 * smoothness.APART, 1)])
def test_kinks_that_nearly_coincide_are_one(distance, number):
    found = smoothness.kinks(lambda h: np.abs(h - 1.2) + 0.5 * np.abs(h - 1.2 - distance), "two")
    assert len(found) == number
    np.testing.assert_allclose(found, [1.2, 1.2 + distance][:number], atol=1e-4)


@pytest.mark.parametrize(("growth", "refused"), [(1.0, False), (1.04, False), (1.06, True), (3.0, True)])
def test_growth_is_a_ratio_of_far_to_near_whatever_the_size_of_a_function(growth, refused):
    """φ = s h for small |h| and growth times that for large."""
    for size in (1e-3, 1.0, 1e3):

        def function(h, size=size):
            return size * np.where(np.abs(h) < 1e10, h, growth * h)

        if refused:
            with pytest.raises(InputError, match="grows faster than linearly"):
                smoothness.check_growth(function, "planted")
        else:
            smoothness.check_growth(function, "planted")
