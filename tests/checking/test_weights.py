"""Which phase carries the weight: against integrals over the kernel's exact law that share no code with it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from numerics import solve
from numerics.checking import kernels, weights
from numerics.checking.regions import gauge_of, nearest, region
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import trajectories
from numerics.nonlinear.search import lowest_state
from numerics.predictors import finite_width
from tests.checking.states import two_phases


def learnt_share(problem: Problem, width: int, border: float) -> float:
    """Probability that the last kernel entry of a DNN with one pattern exceeds a border, by integration.

    Every layer's entry is χ²_N/N times the one before, and the labels weigh the last by
    ``(H+κ)^{-1/2} exp(-N y²/2(H+κ))``: a chain of one-dimensional integrals, on a grid in ln H.
    """
    z = np.linspace(np.log(1e-2), np.log(5e3), 1500)
    H, N = np.exp(z), width
    passed = 0.5 * N * ((z[None, :] - z[:, None]) - np.exp(z[None, :] - z[:, None]) + 1)
    log_p = 0.5 * N * (z - H + 1)
    for _ in range(problem.n - 1):
        joint = log_p[:, None] + passed
        top = joint.max(axis=0)
        log_p = top + np.log(np.exp(joint - top).sum(axis=0))
    log_p = log_p - 0.5 * N * problem.labels[0] ** 2 / (H + problem.kappa) - 0.5 * np.log(H + problem.kappa)
    p = np.exp(log_p - log_p.max())
    return float(p[border < H].sum() / p.sum())


def laplace(minima, width):
    """ln of the odds of the second minimum, from the Gaussian fluctuations."""
    first, second = (finite_width.log_mass(state, width) for state in minima)
    return second - first


@pytest.mark.parametrize(("T", "kappa", "signal"), [(4, 200.0, 3770.0), (3, 100.0, 2560.0)])
def test_weights_are_those_of_the_exact_law(T, kappa, signal, monkeypatch):
    monkeypatch.setattr(weights, "DRAWS_OF_SEVERAL", 20_000)
    problem = endpoint(T, signal, kappa=kappa, arch="dnn")
    minima = two_phases(problem)
    off = []
    for width in (128, 512):
        truth = learnt_share(problem, width, 12.0)
        off.append(width * (laplace(minima, width) - np.log(truth / (1 - truth))))
    # the Gaussian odds are off by a/N: the same a at both widths, and no constant
    assert abs(off[0]) < 15
    assert off[1] == pytest.approx(off[0], rel=0.5)
    learnt = max(weights.phases(minima, 128), key=lambda phase: phase.state.kernel[-1, -1])
    assert learnt.basis == "density"
    truth = learnt_share(problem, 128, 12.0)
    assert abs(learnt.weight - truth) < 4 * learnt.weight_error + 0.01 * truth * (1 - truth)


def test_a_mirror_image_doubles_the_weight(monkeypatch):
    monkeypatch.setattr(weights, "DRAWS_OF_SEVERAL", 20_000)
    incoherent, coherent = two_phases(endpoint(4, 500.0, kappa=60.0))
    assert not gauge_of(incoherent).steps
    assert gauge_of(coherent).steps
    assert not gauge_of(solve(endpoint(4, 40.0, arch="dnn"))).steps
    first, second = sorted(weights.phases([incoherent, coherent], 256), key=lambda phase: phase.state.branch)
    assert first.state is coherent
    odds = np.log(2) + laplace([incoherent, coherent], 256)
    assert np.log(first.weight / second.weight) == pytest.approx(odds, abs=0.1)


def test_kernels_are_in_the_phase_that_is_nearest_and_images_count():
    minima = two_phases(endpoint(4, 500.0, kappa=60.0))
    regions = [region(state) for state in minima]
    flip = (-1.0) ** np.add.outer(np.arange(3), np.arange(3))
    rng = np.random.default_rng(0)
    for position, state in enumerate(minima):
        rows = rng.standard_normal((50, 400, 3)) @ np.linalg.cholesky(state.kernel).T
        kernels = np.swapaxes(rows, 1, 2) @ rows / 400
        assert (nearest(regions, kernels) == position).all()
        assert (nearest(regions, flip * kernels) == position).all()


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_points_of_a_state_have_its_kernel(activation):
    solution = lowest_state(endpoint(3, 6.0, activation=activation, kappa=0.5))
    at = trajectories.state_average(solution)
    p, phi = at.point.average.probability, at.nodes.activity
    assert at.point.average.effective_size > 5000
    np.testing.assert_allclose((phi * p[:, None]).T @ phi, solution.kernel, atol=0.02 * solution.kernel.max())


def test_a_network_too_narrow_for_an_expansion_is_given_the_limit_and_the_size_of_the_shift(monkeypatch):
    state = solve(endpoint(3, 5.0, activation="erf"))
    (phase,) = weights.phases([state], 64)
    assert phase.basis == "fluctuations"
    monkeypatch.setattr(weights.nonlinear, "next_term", lambda found, width: np.full_like(found.shift, np.inf))
    (narrow,) = weights.phases([state], 64)
    assert narrow.basis == "free energy"
    np.testing.assert_array_equal(narrow.kernel, state.kernel)
    size = np.abs(phase.kernel - state.kernel)
    np.testing.assert_allclose(narrow.kernel_error, np.hypot(size, state.kernel_error), rtol=1e-12, atol=1e-15)


def test_a_kernel_that_cannot_be_corrected_stands_with_its_own_error(monkeypatch):
    state = solve(endpoint(3, 5.0, activation="erf"))
    found = weights.nonlinear.fluctuations(state)
    rough = replace(state, engine="sampling", kernel_error=np.full_like(state.kernel, 0.3))

    def lost(*given):
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr(weights.nonlinear, "fluctuations", lambda state: found)
    monkeypatch.setattr(weights.nonlinear, "accurate", lambda state: state)
    monkeypatch.setattr(weights, "corrected", lost)
    mass = weights._nonlinear_mass(rough, 64)
    np.testing.assert_allclose(mass.kernel, state.kernel + found.shift / 64)
    assert (mass.kernel_error >= 0.3).all()


def test_a_shift_that_errors_hide_is_said_to_be_hidden_by_what():
    shift, error, one = np.array([[4.0]]), np.array([[5.0]]), np.array([[1.0]])
    said = kernels.hidden(shift, 3 * one, error, one)
    assert said.endswith(
        "the next order in 1/N is 0.75, other errors of the prediction 1 and that of the sampled mean 0.25"
    )


def planted_phases(monkeypatch, masses, free_energies, steps, width=10):
    """The weights of minima whose regions have these masses, `(log, error, basis)`, and so many steps of a gauge."""
    given = [SimpleNamespace(free_energy=F, number=k) for k, F in enumerate(free_energies)]

    def mass(state, own, width, within):
        log, error, basis = masses[state.number]
        assert len(own.gauge.steps) == steps[state.number]
        assert (within is None) == (len(given) == 1)
        kernel = np.full((1, 1), float(state.number))
        return weights._Mass(log, error, basis, kernel, 0.1 * kernel)

    gauges = [SimpleNamespace(steps=(None,) * count) for count in steps]
    monkeypatch.setattr(weights, "region", lambda state: SimpleNamespace(gauge=gauges[state.number]))
    monkeypatch.setattr(weights, "_mass", mass)
    return weights.phases(given, width)


def test_weights_and_their_errors_follow_from_the_masses_and_the_images(monkeypatch):
    masses = [(-1.0, 0.02, "density"), (-2.0, 0.05, "density"), (0.5, 0.0, "fluctuations")]
    steps, free_energies = (0, 3, 1), (9.0, 9.0, 9.0)
    found = planted_phases(monkeypatch, masses, free_energies, steps)
    logs = np.array([-1.0, -2.0 + 3 * np.log(2), 0.5 + np.log(2)])
    expected = np.exp(logs) / np.exp(logs).sum()
    assert [phase.state.number for phase in found] == [2, 1, 0]
    for phase in found:
        k = phase.state.number
        assert phase.weight == pytest.approx(expected[k])
        assert phase.basis == masses[k][2]
        assert (phase.kernel[0, 0], phase.kernel_error[0, 0]) == (k, 0.1 * k)
        # by differences: what a standard error of each log changes
        squared = 0.0
        for j, (_, error, _) in enumerate(masses):
            moved = np.exp(logs + 1e-6 * error * np.eye(3)[j])
            squared += ((moved[k] / moved.sum() - expected[k]) / 1e-6) ** 2
        assert phase.weight_error == pytest.approx(np.sqrt(squared), rel=1e-3)


def test_where_one_mass_is_a_free_energy_alone_all_are_compared_by_it(monkeypatch):
    masses = [(50.0, 0.02, "density"), (0.0, 0.0, "free energy"), (-50.0, 0.01, "density")]
    found = planted_phases(monkeypatch, masses, (1.1, 1.0, 1.2), (0, 0, 1))
    assert [phase.state.number for phase in found] == [1, 0, 2]
    assert found[0].weight / found[1].weight == pytest.approx(np.exp(1.0))
    assert found[0].weight / found[2].weight == pytest.approx(np.exp(2.0) / 2)
    assert {(phase.basis, phase.weight_error) for phase in found} == {("free energy", 0.0)}
    assert [phase.at_width for phase in found] == [False, True, True]
    (alone,) = planted_phases(monkeypatch, masses[:1], (1.0,), (0,))
    assert (alone.weight, alone.weight_error) == (1.0, 0.0)


def test_what_the_mass_of_a_linear_networks_region_rests_on(monkeypatch):
    """Its density for few entries and draws that count; else its fluctuations, or for many rows F alone."""
    monkeypatch.setattr(weights, "DRAWS", 4000)
    state = solve(endpoint(4, 4.0))
    shifted = state.kernel + finite_width.kernel_shift(state) / 64

    def phase(width=64, **limits):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in limits.items():
                patch.setattr(weights if hasattr(weights, name) else finite_width, name, value)
            return weights.phases([state], width)[0]

    exact = phase()
    assert exact.basis == "density"
    np.testing.assert_allclose(exact.kernel, shifted, atol=0.02 * shifted.max())
    assert (exact.kernel_error.diagonal() > 0).all()
    # W → -W leaves this incoherent state as it is: what it reverses has no mean, but in the draws of the density
    for found in (exact.kernel, exact.kernel_error):
        assert found[0, 1] == found[1, 2] == 0 != found[0, 2] == found[2, 0]
    assert phase(LARGEST_SAMPLED=6).basis == "density"
    for limits in ({"LARGEST_SAMPLED": 5}, {"SMALLEST_ESS": 4001.0}):
        gaussian = phase(**limits)
        assert gaussian.basis == "fluctuations"
        np.testing.assert_allclose(gaussian.kernel, shifted)
        np.testing.assert_array_equal(gaussian.kernel_error, gaussian.next_order)
        assert 0 < gaussian.next_order.max() < np.abs(shifted - state.kernel).max()
    assert phase(width=2).basis == "free energy"  # too narrow for an expansion
    np.testing.assert_allclose(phase(width=2).kernel_error, np.abs(finite_width.kernel_shift(state)) / 2)
    assert phase(width=3, SMALLEST_ESS=1.0).basis == "density"
    assert phase(LARGEST_SAMPLED=5, LARGEST_HESSIAN=3).basis == "fluctuations"
    lone = phase(LARGEST_SAMPLED=5, LARGEST_HESSIAN=2)
    assert lone.basis == "free energy"
    np.testing.assert_array_equal(lone.kernel, state.kernel)
