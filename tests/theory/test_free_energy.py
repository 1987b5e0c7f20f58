"""The free energy's terms and derivatives against docs/theory.md section 3 written again in mpmath."""

import mpmath
import numpy as np
import pytest
from endpoint_reference import free_energy, gradient, hessian_entry, pairs, random_kernel
from mpmath import mp
from sympy import Matrix, Rational, diff, lambdify, simplify, sympify

from theory import symbols
from theory.differentiation import Differentiator
from theory.elimination import eliminate_entry
from theory.free_energy import FreeEnergy, endpoint_free_energy
from theory.kernel import forward_covariance, kernel_matrix, mask, normalised_noise, shift, upper_triangle

VALUES = {"signal": "7.25", "kappa": "0.75", "u": "1.5", "v": "0.8", "w": "1.25"}


def numbers():
    return {name: mp.mpf(value) for name, value in VALUES.items()}


def evaluate(functional, expressions, H):
    values = numbers()
    arguments = [H[i, j] for i, j in pairs(H.rows)] + [values[k] for k in ("signal", "kappa", "u", "v", "w")]
    return lambdify([*functional.variables, *functional.parameters], expressions, "mpmath", cse=True)(*arguments)


def test_shift_mask_and_covariance_entry_by_entry():
    H = kernel_matrix(3)
    h = symbols.kernel_entry
    assert shift(H) == Matrix([[0, 0, 0], [0, h(1, 1), h(1, 2)], [0, h(1, 2), h(2, 2)]])
    assert mask(H, "dnn") == Matrix.diag(h(1, 1), h(2, 2), h(3, 3))
    u, w = symbols.u, symbols.w
    rnn = [[u, 0, 0], [0, w * h(1, 1), w * h(1, 2)], [0, w * h(1, 2), w * h(2, 2)]]
    assert forward_covariance(H, "rnn") == Matrix(rnn)
    assert forward_covariance(H, "dnn") == Matrix.diag(u, w * h(1, 1), w * h(2, 2))
    assert [str(x) for x in upper_triangle(3)] == ["H_11", "H_12", "H_13", "H_22", "H_23", "H_33"]


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("T", [3, 4, 5, pytest.param(6, marks=pytest.mark.slow)])
def test_value_gradient_and_hessian(T, arch):
    functional = endpoint_free_energy(T, arch)
    rng = np.random.default_rng(10 * T)
    with mpmath.workdps(60):
        H = random_kernel(T - 1, rng)
        options = dict(arch=arch, **numbers())
        value = evaluate(functional, functional.total, H)
        assert abs(value - free_energy(H, **options)) < mp.mpf(10) ** -50
        exact = evaluate(functional, functional.stationarity(), H)
        for a, b in zip(exact, gradient(H, **options), strict=True):
            assert abs(a - b) < mp.mpf(10) ** -38
        second = evaluate(functional, functional.hessian(), H)
        places = pairs(T - 1)
        for _ in range(6):
            i, j = (int(k) for k in rng.integers(len(places), size=2))
            difference = hessian_entry(H, places[i], places[j], step=mp.mpf(10) ** -14, **options)
            assert abs(second[i, j] - difference) < mp.mpf(10) ** -20


def test_entropy_is_zero_on_the_prior_kernel_and_positive_off_it():
    functional = endpoint_free_energy(4)
    h, u, w = symbols.kernel_entry, symbols.u, symbols.w
    prior = dict.fromkeys(functional.variables, 0) | {h(t, t): u * w ** (t - 1) for t in (1, 2, 3)}
    assert simplify(functional.entropy.subs(prior)) == 0
    with mpmath.workdps(30):
        for seed in range(3):
            assert evaluate(functional, functional.entropy, random_kernel(3, np.random.default_rng(seed))) > 0


@pytest.mark.parametrize("name", ["energy", "trace", "log_determinant"])
def test_a_changed_coefficient_is_noticed(name):
    sound = endpoint_free_energy(4)
    terms = dict(sound.terms)
    terms[name] = terms[name] * Rational(1001, 1000)
    planted = FreeEnergy(4, "rnn", sound.kernel, sound.covariance, sound.variables, sound.parameters, terms)
    with mpmath.workdps(40):
        H = random_kernel(3, np.random.default_rng(1))
        difference = max(
            abs(a - b)
            for a, b in zip(evaluate(planted, planted.stationarity(), H), gradient(H, **numbers()), strict=True)
        )
    assert difference > 1e-5


def test_units_and_scaling():
    """``H^{ts} = u w^{(t+s)/2-1} Ĥ^{ts}`` turns general prior widths into units and ``κ̂ = κ/(v w^{T-2} u)``."""
    T = 4
    general, units = endpoint_free_energy(T), endpoint_free_energy(T).units()
    u, v, w, kappa = Rational(3, 2), Rational(4, 5), Rational(9, 4), Rational(3, 4)
    entries = dict(zip(units.variables, sympify([2, "1/3", "-1/5", 3, "1/2", 2]), strict=True))
    scaled = {
        symbols.kernel_entry(t, s): u * w ** (Rational(t + s, 2) - 1) * entries[symbols.kernel_entry(t, s)]
        for t in range(1, T)
        for s in range(t, T)
    }
    widths = {symbols.u: u, symbols.v: v, symbols.w: w, symbols.kappa: kappa}
    noise = normalised_noise(T).subs(widths)
    difference = general.total.subs(scaled).subs(widths) - units.total.subs(entries).subs(symbols.kappa, noise)
    assert simplify(difference) == 0


def test_differentiator_against_sympy():
    functional = endpoint_free_energy(4)
    for x in functional.variables:
        by = Differentiator(x)
        assert all(simplify(by(term) - diff(term, x)) == 0 for term in functional.terms.values())


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_elimination_of_the_corner(arch):
    h = symbols.kernel_entry
    found = eliminate_entry(4, arch)
    assert found.variable == h(1, 3)
    assert simplify(found.value - h(1, 2) * h(2, 3) / h(2, 2)) == 0
    functional = endpoint_free_energy(4, arch)
    slope, curvature = (functional.total.diff(h(1, 3), k).subs(h(1, 3), found.value) for k in (1, 2))
    assert simplify(slope) == 0
    assert simplify(curvature - found.curvature) == 0


def test_bad_input_is_one_line():
    for call in (lambda: endpoint_free_energy(2), lambda: endpoint_free_energy(4, "cnn"), lambda: eliminate_entry(3)):
        with pytest.raises(ValueError, match=r"^(T|arch): is .*; accepted: .*$"):
            call()


def test_variances_are_positive_and_the_noise_may_vanish():
    assert all(symbol.is_positive for symbol in (symbols.u, symbols.v, symbols.w))
    assert symbols.kappa.is_nonnegative
    assert not symbols.kappa.is_positive
