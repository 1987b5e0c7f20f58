"""The nonlinear kernel at finite width: against the linear theory, and exact laws of the kernel at width N."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from numerics import kernel_sd, kernel_shift, solve
from numerics.errors import InputError, NotSolvedError
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import corrected as correcting
from numerics.nonlinear import fluctuations as module
from numerics.nonlinear.corrected import corrected
from numerics.nonlinear.fluctuations import accurate, by_sampling, fluctuations, log_mass, next_term
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import trajectory_space
from numerics.nonlinear.trajectories import kernels_of, state_average
from numerics.predictors import finite_width
from numerics.predictors.generalisation import training
from numerics.predictors.held_out_width import held_out_fluctuations
from numerics.predictors.output_shift import output_shift
from numerics.results.solution import Solution

NAN = np.nan


def two_outputs():
    y = np.full((1, 3, 2), NAN)
    y[0, 2, 0], y[0, 1, 1] = 2.0, 1.5
    return Problem([[1.0]], y, arch="shared:0.7")


LINEAR = {
    "beyond": endpoint(4, 20.0),
    "untied": endpoint(4, 20.0, arch="dnn"),
    "mixed": endpoint(4, 20.0, arch="shared:0.5", skip=0.4, bias=0.3, w=0.8, kappa=0.6, v=1.3),
    "outputs": two_outputs(),
    "patterns": Problem([[1.0, 0.0, 0.1], [0.3, 1.2, 0.4], [0.2, 0.1, 1.0]], [[1.0], [NAN], [-2.0]], u=1.2),
}


def conjugate_of(state):
    """A linear network's state as one of two conjugate kernels."""
    space, H = trajectory_space(state.problem), state.kernel
    E = space.embedding
    C = E @ space.covariance(H) @ E.T
    shared = {field.name: getattr(state, field.name) for field in fields(Solution)}
    return NonlinearSolution(
        **shared,
        conjugate=0.5 * (np.linalg.inv(C) - np.linalg.inv(H)),
        covariance=C,
        second_moment=H,
        engine="quadrature",
        kernel_error=np.zeros_like(H),
        points=0,
        effective_points=0.0,
    )


def spread(found):
    return np.sqrt(np.sum(found.changes**2, axis=0))


@pytest.mark.parametrize("case", LINEAR)
def test_the_identity_gives_the_linear_theory(case):
    """Averages by quadrature and third derivatives in both kernels, against the linear kernel's density."""
    exact = solve(LINEAR[case])
    state = conjugate_of(exact)
    found = fluctuations(state)
    np.testing.assert_allclose(spread(found), finite_width.kernel_sd(exact, 1), rtol=1e-9, atol=1e-10)
    shift = finite_width.kernel_shift(exact)
    np.testing.assert_allclose(found.shift, shift, atol=1e-8 * np.abs(shift).max())
    assert log_mass(found, state, 100) == pytest.approx(finite_width.log_mass(exact, 100), abs=1e-8)


def test_a_sample_tells_the_same_with_an_error():
    """Five dimensions: no quadrature."""
    exact = solve(endpoint(6, 30.0, arch="dnn"))
    found = fluctuations(conjugate_of(exact))
    off = found.shift - finite_width.kernel_shift(exact)
    assert (np.abs(off) < 5 * found.shift_error + 1e-12).all()
    assert np.median(np.abs(off) / found.shift_error) > 0.2
    assert found.shift_error.max() < 0.2 * np.abs(found.shift).max()
    np.testing.assert_allclose(spread(found), finite_width.kernel_sd(exact, 1), rtol=0.04)


def test_test_patterns_are_those_of_the_linear_theory():
    x, y = [[1.0, 0.2]], [[NAN, 2.0]]
    exact = solve(Problem(x, y, x_test=[[0.8, -0.5], [2.0, 0.4]], kappa=0.5, skip=0.3))
    state = conjugate_of(exact)
    variance, shift = held_out_fluctuations(state)
    known = held_out_fluctuations(exact)
    np.testing.assert_allclose(variance, known[0], rtol=0.03)
    np.testing.assert_allclose(shift, known[1], atol=0.03 * np.abs(known[1]).max())


def law_of_mean(values, probability, tilt, N, points=161):
    """Log density of the mean of N independent values, on points around that under the tilt, by Fourier's series."""
    top = values.max()
    weight = probability * np.exp(tilt * (values - top))
    log_Z = np.log(weight.sum()) + tilt * top
    weight = weight / weight.sum()
    mean = weight @ values
    sd = np.sqrt(weight @ (values - mean) ** 2 / N)
    k = np.arange(-40, 41) * 2 * np.pi / (26 * sd)
    transform = (np.exp(1j * np.outer(k, (values - mean) / N)) @ weight) ** N
    at = mean + np.linspace(-8 * sd, 8 * sd, points)
    at = at[at > 0]
    density = (np.exp(-1j * np.outer(at - mean, k)) @ transform).real / (26 * sd)
    density = np.where(density > 1e-11 * density.max(), density, 0.0)  # the rest is rounding
    with np.errstate(divide="ignore"):
        return at, np.log(density) + N * (log_Z - tilt * at), at[1] - at[0]


def squares(activation, variance, points):
    """Values of φ² over N(0, variance), with their probabilities."""
    z = np.linspace(-12, 12, points)
    p = np.exp(-0.5 * z**2)
    return np.asarray(activation.value(np.sqrt(variance) * z)) ** 2, p / p.sum()


def posterior(at, y, kappa, N):
    return -0.5 * N * y**2 / (at + kappa) - 0.5 * np.log(at + kappa)


def moments(values, weight):
    mean = weight @ values / weight.sum()
    return np.array([mean, weight @ (values - mean) ** 2 / weight.sum()])


@pytest.mark.parametrize("activation", ["erf", "tanh", "relu"])
def test_one_hidden_time_against_the_exact_law(activation):
    """Φ is a mean of N independent squares: no saddle, no expansion."""
    y, kappa, v = 1.5, 0.5, 1.4
    state = solve(Problem([[1.0]], [[y]], kappa=kappa, v=v, activation=activation))
    kernel, tilt = float(state.kernel[0, 0]), float(state.conjugate[0, 0])
    values, probability = squares(state.problem.activation, 1.0, 4001)
    measured = []
    for N in (128, 256):
        at, log, _ = law_of_mean(values, probability, tilt, N)
        log = log + posterior(v * at, y, kappa, N)
        weight = np.exp(log - log.max())
        mean, variance = moments(at, weight)
        output, varied = moments(v * at * y / (v * at + kappa), weight)
        read_out = weight @ (v * at * kappa / (v * at + kappa)) / weight.sum()
        f = v * kernel * y / (v * kernel + kappa)
        measured.append([N * (mean - kernel), N * variance, N * (output - f), N * varied + read_out])
    expected = [
        kernel_shift(state)[0, 0],
        kernel_sd(state, 1)[0, 0] ** 2,
        output_shift(state)[0, 0],
        training(state).scaled_variance[0, 0],
    ]
    # what is left is of first order in 1/N
    np.testing.assert_allclose(2 * np.array(measured[1]) - measured[0], expected, rtol=1e-4)


@pytest.mark.parametrize("activation", ["erf", "relu"])
def test_two_hidden_times_against_the_exact_law(activation):
    """The law of Φ^{22} given Φ^{11}, for each Φ^{11}."""
    y, kappa, w = 2.0, 0.4, 1.3
    state = solve(Problem([[1.0]], [[NAN, y]], kappa=kappa, w=w, activation=activation))
    found, phi, tilt = fluctuations(state), state.problem.activation, np.diagonal(state.conjugate)
    values, probability = squares(phi, 1.0, 4001)
    shifts, spreads = [], []
    for N in (100, 200):
        first, log_first, _ = law_of_mean(values, probability, tilt[0], N, points=61)
        logs, means, squared = [], [], []
        for a, log_a in zip(first, log_first, strict=True):
            scaled = tilt[1] * state.kernel[0, 0] / a
            second, log, step = law_of_mean(*squares(phi, w * a, 1601), scaled, N, points=61)
            log = log + posterior(second, y, kappa, N)
            top = log.max()
            weight = np.exp(log - top)
            logs.append(log_a + top + np.log(weight.sum() * step))
            means.append(weight @ second / weight.sum())
            squared.append(weight @ second**2 / weight.sum())
        weight = np.exp(np.array(logs) - max(logs))
        weight /= weight.sum()
        mean = np.array([weight @ first, weight @ means])
        shifts.append(N * (mean - np.diagonal(state.kernel)))
        spreads.append(N * (np.array([weight @ first**2, weight @ squared]) - mean**2))
    np.testing.assert_allclose(2 * shifts[1] - shifts[0], np.diagonal(found.shift), rtol=1e-4)
    np.testing.assert_allclose(2 * spreads[1] - spreads[0], np.diagonal(spread(found)) ** 2, rtol=1e-4)
    # the size of the next term, in 1/N², is told to an order of magnitude
    missing, told = np.abs(shifts[1] / 200 - np.diagonal(found.shift) / 200), np.diagonal(next_term(found, 200))
    assert 0.03 < missing.max() / told.max() < 5


def test_refusals():
    state = solve(endpoint(3, 2.0, activation="erf"))
    with pytest.raises(InputError, match="no minimum"):
        kernel_shift(replace(state, stable=False))
    with pytest.raises(InputError, match="width: is 0"):
        kernel_sd(state, 0)


def test_too_few_points_say_so(monkeypatch):
    state = conjugate_of(solve(endpoint(6, 30.0, arch="dnn")))
    monkeypatch.setattr(module, "DETERMINANT_POINTS", 100_000)
    with pytest.raises(NotSolvedError, match=r"fluctuations of 5 kernel rows \(15 entries\) need 1500000"):
        fluctuations(state)
    monkeypatch.undo()
    whole = module.one_loop

    def of_parts(space, nodes, *kernels):
        if len(nodes.points) < module.LAW_POINTS:
            raise np.linalg.LinAlgError("no minimum on these points")
        return whole(space, nodes, *kernels)

    monkeypatch.setattr(module, "MOST_POINTS", module.LAW_POINTS)
    monkeypatch.setattr(module, "one_loop", of_parts)
    with pytest.raises(NotSolvedError, match="do not tell the curvature"):  # a shift of unknown error is none
        fluctuations(state)


@pytest.mark.parametrize("activation", ["erf", pytest.param("relu", marks=pytest.mark.slow)])
def test_the_kernel_of_a_sampled_state_is_corrected_to_that_of_quadrature(activation, monkeypatch):
    monkeypatch.setattr(correcting, "FIRST", 1 << 12)
    monkeypatch.setattr(correcting, "MOST", 1 << 14)
    problem = endpoint(3, 12.0, activation=activation)
    exact = solve(problem)
    state = solve(problem, engine="sampling", size=512, seed=3)
    found = fluctuations(exact)
    better = corrected(state, found.loop.covariance, 0.0, seed=1)
    assert np.linalg.norm(better.kernel_error) < 0.8 * np.linalg.norm(state.kernel_error)
    seen = exact.kernel_error < 1e-7 if activation == "relu" else np.eye(2) > 0  # times of erf do not correlate
    assert np.abs((better.kernel - exact.kernel)[seen] / better.kernel_error[seen]).max() < 4
    assert np.abs((better.kernel - state.kernel)[seen] / state.kernel_error[seen]).max() < 6
    assert (np.abs(better.kernel[~seen]) < 1e-12).all()
    assert abs(better.free_energy - exact.free_energy) < 4 * better.free_energy_error
    assert better.free_energy_error < 0.5 * state.free_energy_error
    rough = corrected(state, found.loop.covariance, np.inf, seed=1)
    assert np.linalg.norm(rough.kernel_error) > 1.3 * np.linalg.norm(better.kernel_error)


@pytest.mark.slow
def test_points_of_rectified_trajectories_cover_their_tails():
    """Beyond the transition, where most of the kernel is of few neurons: sampled averages against panels."""
    exact = solve(endpoint(4, 40.0, activation="relu"))
    known, space = fluctuations(exact), trajectory_space(exact.problem)
    rough = replace(exact, engine="sampling", kernel=1.02 * exact.kernel, kernel_error=0.02 * exact.kernel)
    found = accurate(rough)
    assert np.linalg.norm(found.kernel_error) < 2e-3 * np.linalg.norm(exact.kernel)
    assert np.abs((found.kernel - exact.kernel) / found.kernel_error).max() < 5
    assert abs(found.free_energy - exact.free_energy) < 5 * found.free_energy_error < 2e-3
    nodes = state_average(exact, count=1 << 16).nodes
    sampled = by_sampling(space, nodes, *kernels_of(exact, space))
    assert np.linalg.norm(sampled.shift_error) < 0.15 * np.linalg.norm(known.shift)
    assert np.abs((sampled.shift - known.shift) / sampled.shift_error).max() < 5


def test_a_network_too_narrow_for_the_expansion_has_a_next_term_without_bound(monkeypatch):
    found = fluctuations(solve(endpoint(3, 1.0, activation="erf")))
    sizes = [next_term(found, width) for width in (1000, 2000)]
    np.testing.assert_allclose(sizes[0] / 4, sizes[1], rtol=0.02, atol=1e-13)  # of second order in 1/N
    assert (sizes[0] < np.abs(found.shift).max() / 1000).all()

    def singular(*given):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(module, "one_loop", singular)
    assert np.isinf(next_term(found, 1000)).all()
