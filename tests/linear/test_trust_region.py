"""Steps of the descent against the quadratic model that they are to minimise, and the number of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics.inputs.problem import Problem, endpoint
from numerics.linalg import symmetric, to_vector
from numerics.linear import trust_region
from numerics.linear.functional import KernelPoint, kernel_functional
from numerics.linear.grouped import GroupedPoint


def point_of(problem: Problem, seed: int | None = None) -> KernelPoint:
    """The random network's kernel, or one beside it, at which some curvatures are negative."""
    f = kernel_functional(problem)
    point = f.at(f.prior_kernel())
    if seed is None:
        return point
    S = symmetric(np.random.default_rng(seed).normal(size=(f.dimension, f.dimension)))
    return point.move(0.6 * S / np.sqrt(f.dimension))


def several() -> Problem:
    rng = np.random.default_rng(4)
    y = np.full((2, 4), np.nan)
    y[:, -1], y[0, 1] = [3.0, -2.0], 1.0
    return Problem(rng.normal(size=(2, 3)), y, w=1.2)


def model(point: KernelPoint, S: np.ndarray) -> float:
    """What F changes by to second order along L exp(S) Lᵀ."""
    return float(np.vdot(point.gradient, S) + 0.5 * np.vdot(S, point.hessian_product(S)))


@pytest.mark.parametrize("radius", [0.05, 0.5, 1e3])
@pytest.mark.parametrize("problem", [endpoint(4, 60.0), several()], ids=["one pattern", "two patterns"])
def test_exact_steps_minimise_the_model_within_the_radius(problem, radius):
    """By the optimum's conditions: for a shift s ≥ 0, (H + s) z = -g, H + s has no negative value, s (‖z‖ - r) = 0."""
    for seed in range(3):
        point = point_of(problem, seed)
        step = trust_region._exact_step(point, radius)
        z, g = to_vector(step.S), to_vector(point.gradient)
        hessian, size = trust_region.dense_hessian(point), np.linalg.norm(z)
        assert size <= radius * (1 + 1e-9)
        shift = -float(z @ (hessian @ z + g)) / size**2
        assert np.abs(hessian @ z + g + shift * z).max() < 1e-6 * np.abs(g).max()
        assert np.linalg.eigvalsh(hessian)[0] + shift > -1e-6
        assert shift < 1e-6 or size > 0.98 * radius
        assert step.on_boundary == (shift > 1e-6)
        assert step.predicted == pytest.approx(-model(point, step.S), rel=1e-6)


@pytest.mark.parametrize("problem", [endpoint(4, 60.0), several()], ids=["one pattern", "two patterns"])
def test_truncated_steps_go_down_the_model_and_stop_at_the_radius(problem):
    for seed in range(3):
        point = point_of(problem, seed)
        gradient = np.linalg.norm(point.gradient)
        for radius in (0.05, 0.5):
            step = trust_region._truncated_step(point, radius)
            assert np.linalg.norm(step.S) <= radius * (1 + 1e-9)
            assert step.on_boundary == bool(np.linalg.norm(step.S) > (1 - 1e-9) * radius)
            assert step.predicted == pytest.approx(-model(point, step.S), rel=1e-9)
            # no worse than the steepest descent within the radius
            curvature = float(np.vdot(point.gradient, point.hessian_product(point.gradient))) / gradient**2
            along = radius if curvature <= 0 else min(radius, gradient / curvature)
            assert step.predicted >= along * gradient - 0.5 * curvature * along**2 - 1e-9


@pytest.mark.parametrize("problem", [endpoint(4, 2.0), endpoint(6, 5.0, arch="dnn")], ids=["rnn", "dnn"])
def test_a_truncated_step_without_a_boundary_is_newtons(problem):
    """Within its forcing tolerance; the closer the point, the better."""
    minimum = trust_region.minimise(point_of(problem)).point
    S = symmetric(np.random.default_rng(1).normal(size=minimum.gradient.shape))
    point = minimum.move(1e-4 * S)
    step = trust_region._truncated_step(point, 1e3)
    newton = np.linalg.solve(trust_region.dense_hessian(point), -to_vector(point.gradient))
    assert not step.on_boundary
    assert np.linalg.norm(to_vector(step.S) - newton) < 0.1 * np.linalg.norm(newton)
    assert step.products <= len(newton)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(
    "problem", [endpoint(4, 60.0), several(), endpoint(7, 30.0, arch="dnn")], ids=["rnn", "several", "dnn"]
)
def test_a_minimum_is_reached_in_few_steps_each_downhill(problem, dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(trust_region, "DENSE_STEPS", 0)
    energies, moved = [], trust_region.steps.moved

    def watched(here, *arguments):
        energies.append(here.free_energy)
        return moved(here, *arguments)

    monkeypatch.setattr(trust_region.steps, "moved", watched)
    stop = trust_region.minimise(point_of(problem, 0))
    assert stop.converged
    assert stop.iterations < 25
    assert np.max(np.diff(energies)) < 1e-9 * (1 + abs(energies[-1]))


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_of_the_last_two_points_the_better_one_is_returned(share, monkeypatch):
    """Where differences of F are rounding, and a step no longer divides the residual by ten."""
    minimum = trust_region.minimise(point_of(endpoint(4, 2.0))).point
    S = symmetric(np.random.default_rng(0).normal(size=minimum.gradient.shape))
    at, trial = minimum.move(1e-11 * S), minimum.move(share * 1e-11 * S)
    monkeypatch.setattr(trust_region.steps, "moved", lambda *_: trial)
    stop = trust_region.minimise(at)
    assert stop.iterations == 1
    assert stop.point.residual == min(at.residual, trial.residual)


def test_newton_converges_to_a_saddle_from_beside_it():
    problem = endpoint(4, 60.0)
    point = trust_region.minimise(point_of(problem)).point  # a symmetric start ends at the saddle
    assert trust_region.smallest_modes(point)[0][0] < -0.01
    S = symmetric(np.random.default_rng(2).normal(size=point.gradient.shape))
    stop = trust_region.newton(point.move(1e-3 * S))
    assert stop.converged
    assert stop.iterations < 8
    assert np.abs(stop.point.H - point.H).max() < 1e-8 * point.H.max()


@pytest.mark.parametrize("away", [0.01, 0.3, 1.0])
def test_newton_goes_on_while_the_residual_falls_quickly_or_is_above_the_tolerance(away):
    """From afar its first steps are slow; from nearby it does not stop at the tolerance, as a step more is cheap."""
    point = trust_region.minimise(point_of(endpoint(4, 60.0), 1)).point
    S = symmetric(np.random.default_rng(0).normal(size=point.gradient.shape))
    start = point.move(away * S)
    for tolerance in (1e-2, 1e-10):
        stop = trust_region.newton(start, tolerance=tolerance)
        assert stop.converged
        assert stop.point.residual < 1e-15
    once = trust_region.newton(start, tolerance=1e-10, max_iterations=1)
    assert not once.converged
    assert "stopped after 1 steps" in once.status
    assert once.point.residual < start.residual


@pytest.mark.parametrize(
    ("values", "g", "radius", "z", "boundary"),
    [
        ([1.0, 2.0, 4.0], [1.0, 2.0, 2.0], 10.0, [-1, -1, -0.5], False),
        ([1.0, 2.0, 4.0], [3.0, 0.0, 0.0], 1.0, [-1, 0, 0], True),
        ([-1.0, 2.0, 4.0], [3.0, 0.0, 0.0], 1.0, [-1, 0, 0], True),
        # nothing pulls along what curves down: Newton's step in the rest
        ([-1.0, 2.0, 4.0], [0.0, 2.0, 2.0], 10.0, [0, -1, -0.5], False),
        ([-1.0, 2.0, 4.0], [1e-17, 2.0, 2.0], 10.0, [0, -1, -0.5], False),
        ([-2.0, -1.0, 4.0], [0.0, 3.0, 0.0], 1.0, [0, -1, 0], True),
        ([-2.0, -1.0, 4.0], [0.0, 0.0, 0.0], 1.0, [0, 0, 0], False),
    ],
)
def test_exact_steps_of_planted_curvatures(values, g, radius, z, boundary, monkeypatch):
    """In a turned frame; the length on the boundary is met within a hundredth."""
    frame = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    planted = SimpleNamespace(
        hessian=lambda point: frame @ np.diag(values) @ frame.T,
        vector=lambda point, G: frame @ G,
        step_of=lambda point, z: frame.T @ z,
    )
    monkeypatch.setattr(trust_region, "steps", planted)
    step = trust_region._exact_step(SimpleNamespace(gradient=np.array(g)), radius)
    np.testing.assert_allclose(step.S, z, atol=0.01 if boundary else 1e-12)
    assert np.linalg.norm(step.S) <= radius * (1 + 1e-12)
    predicted = -float(np.dot(g, step.S) + 0.5 * step.S @ np.diag(values) @ step.S)
    assert step.predicted == pytest.approx(predicted, abs=1e-12)
    assert step.on_boundary == boundary


@pytest.mark.parametrize("level", [0.0, 9.0, -9.0])
@pytest.mark.parametrize("smallest", [0.2, 5.0])
def test_a_basin_holds_kernels_that_are_near_in_free_energy_and_in_distance(level, smallest, monkeypatch):
    monkeypatch.setattr(trust_region.steps, "prepared", lambda point: point)
    minimum = SimpleNamespace(free_energy=level)
    basin = trust_region.Basin.of(SimpleNamespace(point=minimum), smallest)
    radius, scale = 0.1 * min(smallest, 1.0), 1 + abs(level)
    assert (basin.at, basin.radius) == (minimum, radius)

    def holds(apart, distance):
        return basin.holds(SimpleNamespace(free_energy=level + apart * scale, distance=lambda other: distance))

    near, same = 2 * trust_region.SAME_FREE_ENERGY, 0.5 * trust_region.SAME_FREE_ENERGY
    assert [holds(near, share * radius) for share in (0.99, 1.01)] == [True, False]
    assert [holds(share * radius, 0.0) for share in (0.99, 1.01)] == [True, False]
    assert [holds(same, share * trust_region.NEAR_STATE) for share in (0.99, 1.01)] == [True, False]
    assert not holds(near, trust_region.NEAR_STATE)


@pytest.mark.parametrize(("within", "across"), [(0.4, False), (0.6, True)])
def test_the_smallest_mode_of_groups_is_within_one_or_across_the_first_two(within, across, monkeypatch):
    """Groups of single rows among others: ½ is the eigenvalue of any direction across."""
    grouped = object.__new__(GroupedPoint)
    vars(grouped)["groups"] = SimpleNamespace(own=(np.array([0]), np.array([2]), np.array([1, 3])))
    monkeypatch.setattr(GroupedPoint, "direction", lambda self, modes: -modes, raising=False)
    monkeypatch.setattr(trust_region.steps, "prepared", lambda point: grouped)
    monkeypatch.setattr(trust_region, "_smallest", lambda at, count: (np.array([within]), np.ones((1, 4, 4))))
    values, modes = trust_region.smallest_modes(SimpleNamespace(H=np.eye(4)))
    assert values.tolist() == [0.5 if across else within]
    expected = np.zeros((1, 4, 4)) if across else -np.ones((1, 4, 4))
    if across:
        expected[0, 0, 2] = expected[0, 2, 0] = np.sqrt(0.5)
    np.testing.assert_array_equal(modes, expected)
