"""The landscape's extrema are the solver's states; it is a constrained minimum everywhere."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import minimize

from numerics import solve, solve_all
from numerics.endpoint_task.factorised import factorise
from numerics.endpoint_task.landscape import (
    _constraint,
    _free_energy_derivatives,
    landscape,
    negative_log_density,
    plane,
)
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.linalg import from_vector
from numerics.linear.functional import kernel_functional


def test_the_minimum_and_the_maximum_are_the_coherent_and_incoherent_states():
    low, high = solve_all(endpoint(4, 20.0))
    q_coherent = low.kernel[2, 1] / np.sqrt(low.kernel[2, 2] * low.kernel[1, 1])
    curve = landscape(4, 20.0, [-q_coherent, 0.0, q_coherent - 0.01, q_coherent, q_coherent + 0.01])
    F = curve.free_energy
    np.testing.assert_allclose(F[[0, 3]], low.free_energy, rtol=1e-12)
    np.testing.assert_allclose(F[1], high.free_energy, rtol=1e-12)
    np.testing.assert_allclose(curve.kernel[3], low.kernel, rtol=1e-8, atol=1e-8)
    assert F[3] < min(F[2], F[4])
    assert curve.order_parameter[0] == -curve.order_parameter[3]


@pytest.mark.parametrize(("signal", "kappa"), [(20.0, 1.0), (11.0, 1.0), (60.0, 0.1)])
def test_turning_points_are_the_states_between_the_points(signal, kappa):
    curve = landscape(4, signal, kappa=kappa)
    low, high = solve_all(endpoint(4, signal, kappa=kappa))
    minima, ((psi, F),) = curve.turning_points(), curve.turning_points(minima=False)
    np.testing.assert_allclose([each[0] for each in minima], low.kernel[2, 1] * np.array([-1, 1]), rtol=1e-4)
    np.testing.assert_allclose([each[1] for each in minima], low.free_energy, atol=1e-6)
    assert pytest.approx(high.free_energy, abs=1e-12) == F
    assert abs(psi) < 1e-9


def along(L, S):
    """H, and the correlation of the last two times, at ``L exp(S) Lᵀ``."""
    H = L @ expm(S) @ L.T
    return H, H[-1, -2] / np.sqrt(H[-1, -1] * H[-2, -2])


def test_slopes_and_curvatures_along_natural_coordinates_are_differences():
    rng = np.random.default_rng(0)
    n, signal, kappa, h = 4, 7.0, 0.6, 1e-4
    L = np.linalg.cholesky(np.cov(rng.standard_normal((n, 12))))
    functional = kernel_functional(endpoint(n + 1, signal, kappa=kappa))
    slope, bend, gap = _constraint(L, 0.3)
    gradient, hessian, scale = _free_energy_derivatives(factorise(L[None]), signal, kappa)
    assert gap == pytest.approx(0.3 - along(L, np.zeros((n, n)))[1])
    assert scale > np.linalg.norm(gradient)
    for _ in range(5):
        z = rng.standard_normal(n * (n + 1) // 2)
        z /= np.linalg.norm(z)
        kernels, q = zip(*(along(L, k * h * from_vector(z, n)) for k in (-1, 0, 1)), strict=True)
        F = [functional.at(H).free_energy for H in kernels]
        for values, first, second in ((q, slope, bend), (F, gradient, hessian)):
            assert (values[2] - values[0]) / (2 * h) == pytest.approx(first @ z, rel=1e-5, abs=1e-7)
            assert (values[2] - 2 * values[1] + values[0]) / h**2 == pytest.approx(z @ second @ z, rel=1e-4, abs=1e-5)


def test_one_well_below_the_transition_and_two_above():
    q = np.linspace(-0.9, 0.9, 37)
    below, above = landscape(4, 5.0, q).free_energy, landscape(4, 40.0, q).free_energy
    assert np.isfinite(below).all()
    assert np.isfinite(above).all()
    np.testing.assert_allclose(above, above[::-1], rtol=1e-12)
    assert [np.sum(np.diff(np.sign(np.diff(F))) > 0) for F in (below, above)] == [1, 2]


def test_a_constrained_minimum_by_another_minimiser():
    """Nelder–Mead over Cholesky factors with the correlation imposed, on the general functional."""
    q, signal = 0.4, 20.0
    curve = landscape(4, signal, [q])
    functional = kernel_functional(endpoint(4, signal))

    def F(z):
        scale = np.exp(z[:3])
        a, b = np.tanh(z[3:])
        R = np.array([[1, a, b], [a, 1, q], [b, q, 1]])
        try:
            return functional.at(R * np.outer(scale, scale)).free_energy
        except np.linalg.LinAlgError:
            return np.inf

    best = minimize(F, [0.3, 0.6, 0.9, 0.1, 0.1], method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-13})
    np.testing.assert_allclose(curve.free_energy[0], best.fun, rtol=1e-9)


def test_the_plane_shows_both_minima_and_the_incoherent_saddle():
    states = solve_all(endpoint(4, 20.0))
    F = plane(4, 20.0, np.linspace(-1.4, 1.4, 57), np.linspace(-0.5, 1.5, 41))
    assert np.nanmin(F) >= states[0].free_energy - 1e-12
    np.testing.assert_allclose(F[30, [8, 48]], states[0].free_energy, rtol=1e-12)
    np.testing.assert_allclose(F[10, 28], states[1].free_energy, rtol=1e-12)
    np.testing.assert_allclose(F, F[:, ::-1], rtol=1e-9)


def test_density_of_the_order_parameter_at_finite_width_against_weighted_random_networks():
    """Prior networks, weighted by what the labels make of them: exact, and without any kernel functional."""
    N, signal, rng = 32, 1.0, np.random.default_rng(7)
    kernels = []
    for _ in range(250):
        h = [rng.standard_normal((200, N, 1))]
        W = rng.standard_normal((200, N, N)) / np.sqrt(N)
        h += [W @ h[0], W @ (W @ h[0])]
        H = np.concatenate(h, axis=2)
        kernels.append(np.swapaxes(H, 1, 2) @ H / N)
    H = np.concatenate(kernels)
    likelihood = np.exp(-0.5 * N * signal / (H[:, 2, 2] + 1)) / np.sqrt(H[:, 2, 2] + 1)
    weights = likelihood / likelihood.sum()
    q = np.abs(H[:, 2, 1]) / np.sqrt(H[:, 2, 2] * H[:, 1, 1])
    grid = np.linspace(0, 0.8, 161)
    action = negative_log_density(landscape(4, signal, grid), N, signal)
    density = np.exp(-N * (action - action.min()))
    cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    for level in (0.1, 0.2, 0.3):
        expected = np.interp(level, grid, cumulative) / cumulative[-1]
        inside = (q < level).astype(float)
        error = np.sqrt(np.sum(weights**2 * (inside - expected) ** 2))
        assert abs(weights @ inside - expected) < 4 * error
        assert error < 0.006


def test_the_readout_weighs_kernels_as_its_gaussian_integral_does():
    """Labels 0 still weigh each network by ``∫df N(f|0,H/N) exp(-Nf²/(2κ))``, H its last kernel entry: against very
    strong noise, which weighs all alike, the density at q changes by that factor of the kernel there."""
    N, signal, kappa, noise = 40, 1e-12, 0.3, 1e9
    curve = landscape(4, signal, [0.0, 0.4, 0.8], kappa)
    last = curve.kernel[:, -1, -1]
    f = np.linspace(-3.0, 3.0, 20001)
    prior = np.exp(-0.5 * N * f**2 / last[:, None]) / np.sqrt(last[:, None] / N)
    weight = np.trapezoid(prior * np.exp(-0.5 * N * f**2 / kappa), f)
    weighed = N * (negative_log_density(curve, N, signal, kappa) - negative_log_density(curve, N, signal, noise))
    np.testing.assert_allclose(weighed - weighed[0], -np.log(weight / weight[0]), rtol=1e-6)
    assert weighed[2] - weighed[0] > 0.1  # larger kernels are less likely


def test_refusals():
    with pytest.raises(InputError, match="correlations"):
        landscape(4, 20.0, [1.0])
    with pytest.raises(InputError, match="T"):
        landscape(3, 20.0, [0.0])
    with pytest.raises(InputError, match="signal"):
        plane(4, 5.0, [0.0], [0.0])
    assert solve(endpoint(4, 5.0)).branch == "incoherent"
