"""The nonlinear saddle where it is known: linear φ, no data, weak labels, and one engine against the other."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, root

from numerics import solve_all
from numerics.errors import InputError
from numerics.inputs.activation import Activation
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear.search import all_states, incoherent_state, lowest_state, state_near
from tests.nonlinear.weak_signal import weak_signal


def with_sign(kernel):
    """The sign of the order parameter is arbitrary: positive."""
    gauge = (np.sign(kernel[-1, -2]) or 1.0) ** np.abs(
        np.subtract.outer(np.arange(len(kernel)), np.arange(len(kernel)))
    )
    return kernel * gauge


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_linear_states_are_those_of_the_explicit_functional(arch):
    problem = endpoint(4, 20.0, arch=arch)
    found, exact = all_states(problem), solve_all(problem)
    for state in exact:
        best = min(found, key=lambda one: abs(one.free_energy - state.free_energy))
        assert best.converged
        assert best.branch == state.branch
        assert abs(best.free_energy - state.free_energy) < 1e-10
        assert np.abs(with_sign(best.kernel) - with_sign(state.kernel)).max() < 1e-7
    assert found[0].stable
    assert found[0].branch == ("coherent" if arch == "rnn" else "incoherent")


def test_no_labels_give_the_arcsine_and_arccosine_recursions():
    erf = lowest_state(endpoint(4, 0.0, activation="erf", u=1.3, w=0.9))
    relu = lowest_state(endpoint(4, 0.0, activation="relu", u=1.3, w=0.9), tolerance=1e-6)
    variance = 1.3
    for t in range(3):
        q = np.pi / 2 * variance
        arcsine = 2 / np.pi * np.arcsin(q / (1 + q))
        assert abs(erf.kernel[t, t] - arcsine) < 1e-9
        variance = 0.9 * arcsine
    # ReLU: Φ^tt = c_t/2; independent times have ⟨φ⟩⟨φ⟩, then the arccosine kernel of what that makes
    c = np.zeros((3, 3))
    c[0, 0] = 1.3
    for t in range(3):
        for s in range(t + 1):
            size = np.sqrt(c[t, t] * c[s, s])
            rho = c[t, s] / size
            arccosine = size * (np.sqrt(1 - min(1, rho**2)) + rho * (np.pi - np.arccos(min(1, rho)))) / (2 * np.pi)
            assert abs(relu.kernel[t, s] - arccosine) < 1e-6
            if t < 2:
                c[t + 1, s + 1] = c[s + 1, t + 1] = 0.9 * arccosine
    assert erf.entropy == pytest.approx(0, abs=1e-9)
    assert np.abs(erf.conjugate).max() < 1e-8


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_weak_labels_give_the_first_order(arch):
    with mpmath.workdps(20):
        theory = weak_signal(
            4,
            lambda h: mpmath.erf(mpmath.sqrt(mpmath.pi) * h / 2),
            lambda h: mpmath.exp(-mpmath.pi * h * h / 4),
            kappa=1,
        )
    kernel, message, response = (
        np.array(part, dtype=float) for part in (theory.kernel, theory.message, theory.response)
    )
    errors = []
    for signal in (0.04, 0.02):
        state = lowest_state(endpoint(4, signal, activation="erf", arch=arch))
        errors.append(
            np.concatenate(
                [np.diag(state.kernel) - kernel - signal * response, np.diag(state.conjugate) - signal * message]
            )
        )
    assert np.abs(errors[1]).max() < 2e-3 * 0.02
    assert np.allclose(errors[0], 4 * errors[1], rtol=0.05, atol=1e-9)  # what is left is of second order


def test_small_inputs_give_the_linear_theory():
    scale = 1e-2  # φ(h) = h up to h³, a relative 1e-4 in the kernel
    y = np.array([[np.nan, np.nan, scale * 3.0]])
    problem = Problem([[scale]], y, activation="tanh", kappa=scale**2)
    nonlinear = lowest_state(problem)
    linear = min(solve_all(problem.with_(activation="linear")), key=lambda state: state.free_energy)
    assert nonlinear.converged
    assert nonlinear.branch == linear.branch
    difference = np.abs(with_sign(nonlinear.kernel) - with_sign(linear.kernel)).max() / linear.kernel.max()
    assert 1e-7 < difference < 1e-2


def test_layers_decouple_as_the_recurrent_weights_vanish():
    problem = Problem(np.ones((1, 2, 1)), [[np.nan, 1.5]], activation="erf", w=1e-6)
    together, apart = lowest_state(problem), lowest_state(problem.with_(arch="dnn"))
    # the last time sees its own input only: u x x/D = 1 is all of its variance, up to w
    assert abs(together.covariance[1, 1] - 1) < 1e-5
    assert np.isclose(together.covariance[0, 1], 1.0)
    assert np.allclose(np.diag(together.covariance), np.diag(apart.covariance), atol=1e-5)


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_sampling_agrees_with_quadrature_within_its_error(activation):
    problem = endpoint(4, 6.0, activation=activation)
    exact = lowest_state(problem, tolerance=1e-5)
    sampled = lowest_state(problem, engine="sampling", size=2048, seed=3)
    assert sampled.converged
    assert sampled.engine == "sampling"
    error = np.abs(sampled.kernel - exact.kernel)
    assert (error < 5 * sampled.kernel_error + 1e-6).all()
    assert sampled.kernel_error.max() < 0.01 * exact.kernel.max()


def test_the_incoherent_state_has_independent_times():
    """Its times are independent: each a distribution of one variable, on a plain grid, tied to the next by Φ and Φ̃."""
    y2, n = 100.0, 6
    state = incoherent_state(endpoint(n + 1, y2, activation="erf"), tolerance=0.02)
    assert state.converged
    assert np.array_equal(state.kernel, np.diag(np.diag(state.kernel)))
    h = np.linspace(-15, 15, 3001)
    square = np.array([float(mpmath.erf(x * np.sqrt(np.pi) / 2)) for x in h]) ** 2

    def misses(diagonal):
        """⟨φ²⟩ - Φ, time by time: Φ̃ comes from the time after."""
        missing, conjugate = np.empty(n), 0.5 * y2 / (diagonal[-1] + 1) ** 2
        for t in reversed(range(n)):
            C = diagonal[t - 1] if t else 1.0
            p = np.exp(-(h**2) / (2 * C) + conjugate * square)
            p /= p.sum()
            missing[t] = p @ square - diagonal[t]
            conjugate = 0.5 * (p @ h**2 / C**2 - 1 / C)
        return missing

    exact = root(misses, np.diag(state.kernel))
    assert exact.success
    assert np.abs(np.diag(state.kernel) - exact.x).max() < 4 * state.kernel_error.max()
    assert np.abs(exact.x - 0.5).max() > 0.3  # far from constant


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_one_hidden_time_is_a_scalar_equation(activation):
    """Φ = ⟨φ²⟩ under ``N(h|0, u x²/D) exp(Φ̃φ²)`` with ``Φ̃ = ½ v y²/(vΦ+κ)²``, by adaptive integration."""
    x, y, u, v, kappa = 1.3, 2.4, 0.8, 1.2, 0.6
    phi = {"tanh": np.tanh, "relu": lambda h: max(h, 0.0)}[activation]

    def miss(kernel):
        conjugate = 0.5 * v * y**2 / (v * kernel + kappa) ** 2

        def moment(power):
            return sum(
                quad(
                    lambda h: phi(h) ** power * np.exp(conjugate * phi(h) ** 2 - h**2 / (2 * u * x**2)),
                    *ends,
                    epsabs=1e-12,
                    limit=200,
                )[0]
                for ends in ((-30.0, 0.0), (0.0, 30.0))
            )

        return moment(2) / moment(0) - kernel

    state = lowest_state(Problem([[x]], [[y]], activation=activation, u=u, v=v, kappa=kappa), tolerance=1e-6)
    assert state.converged
    assert state.kernel.shape == (1, 1)
    assert state.kernel[0, 0] == pytest.approx(brentq(miss, 0.5 * state.kernel[0, 0], 2 * state.kernel[0, 0]), rel=1e-6)


def test_a_named_activation_given_as_a_function_is_the_same():
    problem = endpoint(3, 5.0, activation="tanh")
    named = lowest_state(problem)
    mine = Activation.of(np.tanh, name="mine")
    own = lowest_state(problem.with_(activation=mine))
    general = lowest_state(problem.with_(activation=replace(mine, odd=False)))
    assert np.abs(named.kernel - own.kernel).max() < 1e-9
    assert np.abs(named.kernel - general.kernel).max() < 1e-7


def test_an_error_above_the_tolerance_is_said():
    state = lowest_state(endpoint(4, 6.0, activation="erf"), engine="sampling", size=64, tolerance=1e-9)
    assert not state.converged
    assert "tolerance" in state.status


def test_refuses_bad_arguments():
    problem = endpoint(3, 1.0, activation="erf")
    for wrong in ({"engine": "guess"}, {"tolerance": 0.0}, {"size": 100}):
        with pytest.raises(InputError, match=f"^{next(iter(wrong))}: .*accepted: "):
            lowest_state(problem, **wrong)
    many = Problem(np.eye(3), np.array([[np.nan, np.nan, 1.0]] * 3), activation="erf")
    with pytest.raises(InputError, match="at most 4"):
        lowest_state(many, engine="quadrature")


def test_what_is_being_done_is_told():
    told = []
    lowest_state(endpoint(4, 20.0, activation="erf"), progress=lambda doing, done, total: told.append(doing))
    assert told[0] == "looking for minima from the random network and from laws that fit the labels"
    assert any(phrase.startswith("converging to minimum 1 of 1, F ≈ 7.0") for phrase in told)
    assert any(phrase.startswith("refining state 1 of ") for phrase in told)


@pytest.mark.parametrize("engine", ["quadrature", "sampling"])
def test_a_state_is_found_from_trajectories(engine):
    problem = endpoint(4, 20.0, activation="erf")
    known = lowest_state(problem)
    h = np.random.default_rng(0).multivariate_normal(np.zeros(3), known.second_moment, 200)
    state = state_near(problem, h, engine=engine)
    assert state.converged
    assert state.stable
    assert np.abs(state.kernel - known.kernel).max() < 5 * state.kernel_error.max() + 1e-7


@pytest.mark.parametrize(
    ("trajectories", "told"),
    [
        (np.zeros((10, 4)), r"trajectories: has shape \(10, 4\); accepted: "),
        (np.full((10, 3), np.nan), "trajectories: contains NaN or infinity"),
        (np.eye(3), "trajectories: 3 rows do not tell their covariance; accepted: many times 3"),
        (np.zeros((10, 3)), "trajectories: 10 rows do not tell their covariance; accepted: many times 3"),
    ],
)
def test_trajectories_that_tell_nothing_are_refused(trajectories, told):
    with pytest.raises(InputError, match=told):
        state_near(endpoint(4, 20.0, activation="erf"), trajectories)
