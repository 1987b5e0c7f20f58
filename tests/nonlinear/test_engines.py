"""Parts of the engines by themselves: what was not reached is not called reached, steps, mixtures and fallbacks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.inputs.activation import NAMED
from numerics.inputs.problem import endpoint
from numerics.nonlinear import averaging, by_quadrature, by_sampling, iteration, laws
from numerics.nonlinear.by_quadrature import Quadrature
from numerics.nonlinear.by_sampling import Sampling
from numerics.nonlinear.descent import Descent
from numerics.nonlinear.engine import continued
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.frames import Frame
from numerics.nonlinear.groups import Group, whole
from numerics.nonlinear.iteration import MomentMap
from numerics.nonlinear.laws import law_at, minimised, newton_step
from numerics.nonlinear.refining import Refining
from numerics.nonlinear.sample import fitted, sample, standard, with_tails
from numerics.nonlinear.sampled import Start
from numerics.nonlinear.space import TrajectorySpace, trajectory_space

ERF = NAMED["erf"]


def task(T: int = 4, signal: float = 20.0) -> tuple[TrajectorySpace, np.ndarray]:
    """The coordinates and the random network's kernel."""
    space = trajectory_space(endpoint(T, signal, activation="erf"))
    return space, forward_kernel(space, ERF)


def moments_of(space: TrajectorySpace, prior: np.ndarray):
    return prior, np.zeros(space.d), space.covariance(prior)


def map_of(space: TrajectorySpace, size: int, seed: int = 0) -> MomentMap:
    """Of all rows together."""
    samples = (sample(space.d, size, seed, standard(space.d), mirrored=np.ones(space.d), paired=True),)
    return MomentMap(samples, whole(space), space, ERF)


def test_newton_that_has_not_converged_is_not_called_converged(monkeypatch):
    space, prior = task(3)
    engine = Quadrature(ERF)
    start = engine.random_network(space, prior)
    done = engine.converge(space, start)
    assert (done.reached, done.status) == (True, "converged")
    monkeypatch.setattr(by_quadrature, "STEPS", 1)
    short = engine.converge(space, start)
    assert (short.reached, short.status) == (False, "Newton's method has not converged")
    assert short.iterations == 1


def test_points_that_still_move_are_not_called_converged(monkeypatch):
    space, prior = task(3)
    engine = Quadrature(ERF)
    monkeypatch.setattr(by_quadrature, "PLACEMENTS", 1)
    state = engine.converge(space, engine.random_network(space, prior))
    assert (state.reached, state.status) == (False, "the points have not converged")
    assert not engine.at(space, engine.random_network(space, prior)).reached


def test_acceleration_alone_converges_in_few_iterations(monkeypatch):
    """Without Newton's method behind it, of which every step costs as many maps as there are unknowns."""
    monkeypatch.setattr(iteration, "NEWTON_UNKNOWNS", 0)
    space, prior = task(4, 5.0)
    map_ = map_of(space, 64)
    _, iterations, reached = map_.fixed_point(moments_of(space, prior))
    assert reached
    assert iterations <= 40
    _, more, reached = map_.fixed_point(moments_of(space, prior), relaxed=20)
    assert reached
    assert 20 <= more <= 60


def test_an_iteration_that_has_not_converged_is_not_called_converged(monkeypatch):
    space, prior = task(4, 5.0)
    engine = Sampling(ERF, 64, 0)
    start = engine.random_network(space, prior)
    assert engine.converge(space, start).reached
    monkeypatch.setattr(iteration, "ITERATIONS", 2)
    monkeypatch.setattr(iteration, "NEWTON_UNKNOWNS", 0)
    short = engine.converge(space, start)
    assert (short.reached, short.status) == (False, "the iteration has not converged")
    assert short.iterations == 1
    here = engine.at(space, start)
    assert (here.reached, here.iterations) == (False, 0)
    assert continued(replace(short, iterations=5), replace(here, iterations=3)).iterations == 8
    assert continued(None, here) is None


def test_a_start_at_which_nothing_can_be_evaluated_has_no_state():
    """A covariance that is not positive-definite ends in None, not in an error."""
    space, prior = task()
    bad = (prior, np.zeros(space.d), np.diag([1.0, -1.0, 1.0]))
    assert Sampling(ERF, 64, 0).converge(space, Start(bad)) is None


@pytest.mark.parametrize("relaxed", [0, 1])
def test_newton_takes_over_where_acceleration_has_failed(relaxed, monkeypatch):
    """The fixed point that acceleration finds, on the same sample, from the same start."""
    space, prior = task(4, 5.0)
    map_ = map_of(space, 64)
    known, _, reached = map_.fixed_point(moments_of(space, prior), relaxed=relaxed)
    assert reached
    monkeypatch.setattr(iteration, "ITERATIONS", 1)
    last, iterations, reached = map_.fixed_point(moments_of(space, prior), relaxed=relaxed)
    assert reached
    assert np.abs(last.kernel - known.kernel).max() < 1e-6
    assert iterations < 15  # quadratic
    monkeypatch.setattr(iteration, "NEWTON_UNKNOWNS", 5)  # three times have 12
    last, iterations, reached = map_.fixed_point(moments_of(space, prior), relaxed=relaxed)
    assert not reached


def test_changes_of_the_state_on_other_samples_are_had_to_first_order():
    space, prior = task(4, 5.0)
    first, *others = (map_of(space, 1024, seed) for seed in range(3))
    known, _, reached = first.fixed_point(moments_of(space, prior), tolerance=1e-10)
    assert reached
    moments = (known.kernel, known.mean, known.covariance)
    refining = Refining(space, ERF, first.groups, moments, first.samples)
    changes = refining.changes([other.samples for other in others], moments)
    for change, other in zip(changes, others, strict=True):
        there, _, reached = other.fixed_point(moments, tolerance=1e-10)
        assert reached
        actual = there.kernel - known.kernel
        assert np.linalg.norm(change - actual) < 0.25 * np.linalg.norm(actual)


def test_a_fixed_point_on_a_larger_sample_takes_few_of_its_maps():
    space, prior = task(4, 5.0)
    small, large = map_of(space, 256), map_of(space, 4096)
    known, _, _ = small.fixed_point(moments_of(space, prior))
    moments = (known.kernel, known.mean, known.covariance)
    plain, maps, reached = large.fixed_point(moments, tolerance=1e-9)
    refining = Refining(space, ERF, small.groups, moments, small.samples)
    found = refining.fixed_point(large.samples, moments, 1e-9)
    assert reached
    assert found is not None
    assert found[2]
    assert found[1] < maps
    np.testing.assert_allclose(found[0].kernel, plain.kernel, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_second_moments_by_scores_are_those_of_quadrature_with_less_noise(name, monkeypatch):
    """Two dimensions of one neuron, on a fine grid, and at points that are wider than their law and uncorrelated."""
    phi, rng = NAMED[name], np.random.default_rng(3)
    space = trajectory_space(endpoint(3, 2.0, activation=name))
    C, tilt = np.array([[1.2, 0.4], [0.4, 0.9]]), np.array([[0.15, 0.35], [0.35, 0.3]])
    line, weight = np.polynomial.legendre.leggauss(160)
    h = 9 * np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    activity = phi.value(h @ space.embedding.T)
    log_p = np.sum(activity @ tilt * activity, axis=1) - 0.5 * np.sum(h @ np.linalg.inv(C) * h, axis=1)
    p = np.exp(log_p) * np.outer(weight, weight).ravel()
    exact = (h * p[:, None]).T @ h / p.sum()
    law = averaging.GroupLaw(space.embedding, np.zeros(2), np.linalg.cholesky(np.diag([2.0, 1.5])), C, tilt)
    noise = {}
    for least in (1, 25):
        monkeypatch.setattr(averaging, "LARGE", least)
        drawn = [sample(2, 64, seed, standard(2), mirrored=None, paired=True) for seed in rng.integers(1000, size=24)]
        errors = np.array([averaging.averaged(each, phi, law).second - exact for each in drawn])
        noise[least] = errors.std(axis=0)
        assert (np.abs(errors.mean(axis=0)) < 4 * noise[least] / np.sqrt(24) + 1e-4).all()
    assert (noise[1] < 0.7 * noise[25]).all()


def test_a_step_off_a_state_ends_before_the_kernel_is_no_longer_positive_definite():
    space, prior = task(4, 5.0)
    map_ = map_of(space, 64)
    here = map_.at(moments_of(space, prior))
    down = np.concatenate([-np.eye(space.m).ravel(), np.zeros(space.d**2 + space.d)])
    assert map_.off(here, 100 * down) is None
    reached = map_.off(here, down)
    assert reached is not None
    assert np.linalg.eigvalsh(reached[0]).min() > 0


def test_a_drift_takes_damped_steps_of_bounded_length():
    """Each changes Φ and the moments relatively by 0.3 of the residual, and by no more than the longest step."""
    space, prior = task(4, 100.0)
    map_ = map_of(space, 64)
    start = moments_of(space, prior)
    at = map_.near(start)
    x = at.frame.coordinates(*start)
    residual = at(x)[1]
    longest = iteration.LONGEST_CHANGE * np.sqrt(space.m + space.d)
    step = residual * min(0.3, longest / np.linalg.norm(residual))
    assert np.linalg.norm(step) == pytest.approx(longest)  # strong labels: the bound holds the first step back
    known = at.frame.state(x + step)
    moved = map_.relax(start, 1)
    np.testing.assert_allclose(moved.kernel, known[0], rtol=1e-12)
    np.testing.assert_allclose(moved.covariance, known[2], rtol=1e-12)


def test_a_fitted_mixture_is_nearly_as_likely_as_the_density_itself():
    """Two correlated normals, a quarter of the points in a narrow one: no single normal comes close."""
    rng = np.random.default_rng(5)
    A = np.array([[1.0, 0.0, 0.0], [1.5, 0.5, 0.0], [-2.0, 0.3, 0.4]])
    parts = ((3000, 1.0, np.full(3, 2.0)), (1000, 0.2, np.array([4.0, 5.5, -3.0])))
    points = np.concatenate([centre + scale * rng.standard_normal((count, 3)) @ A.T for count, scale, centre in parts])
    mean, covariance = points.mean(axis=0), np.cov(points.T)
    mixture = fitted(points, np.full(len(points), 1 / len(points)), mean, covariance, 0)
    assert mixture.weight.sum() == pytest.approx(1.0)
    L = np.linalg.cholesky(covariance)
    exact = []
    for count, scale, centre in parts:
        z = np.linalg.solve(scale * A, (points - centre).T)
        constant = np.log(count / len(points)) - np.linalg.slogdet(scale * A)[1] - 1.5 * np.log(2 * np.pi)
        exact.append(constant - 0.5 * (z**2).sum(axis=0))
    # densities of the white coordinates in which the mixture is given
    likelihood = np.logaddexp(*exact).mean() + np.linalg.slogdet(L)[1]
    white = np.linalg.solve(L, (points - mean).T).T
    found, normal = (np.logaddexp.reduce(each.log_densities(white), axis=1).mean() for each in (mixture, standard(3)))
    assert likelihood - found < 0.25  # 0.16 for the share of the wide part, the rest for the widening
    assert likelihood - normal > 0.6


def test_a_way_down_that_has_not_ended_is_not_called_ended():
    space, prior = task(4, 6.0)
    descent = Descent(space.d, ERF, 0)
    start = descent.normal(space, space.covariance(prior))
    nodes = descent._nodes(space, start.mean, 1.3 * start.covariance)
    first = law_at(space, ERF, nodes, start.precision, start.tilt)
    once, ended = minimised(space, ERF, nodes, first, steps=1)
    assert not ended
    assert once.free_energy < first.free_energy
    last, ended = minimised(space, ERF, nodes, first, steps=100)
    assert ended
    assert last.free_energy < once.free_energy
    step = newton_step(space, nodes, last, 1.0)
    assert step.inside
    assert step.length < 0.1
    again, ended = minimised(space, ERF, nodes, last, steps=1)
    assert ended
    assert again is last


@pytest.mark.parametrize("radius", [0.05, 0.5, 1e3])
def test_a_step_down_is_no_longer_than_its_radius_and_gains_what_it_says(radius):
    """For a short step F falls by the gain that is told, to second order."""
    space, prior = task(4, 60.0)
    descent = Descent(space.d, ERF, 0)
    start = descent.normal(space, space.covariance(prior))
    nodes = descent._nodes(space, start.mean, 2 * start.covariance)
    law = law_at(space, ERF, nodes, start.precision, start.tilt)
    step = newton_step(space, nodes, law, radius)
    assert step.length <= radius * (1 + 1e-6)
    assert step.inside == (step.length < 0.999 * radius)
    assert step.gain > 0
    if radius < 0.1:
        new = law_at(space, ERF, nodes, law.precision + step.precision, law.tilt + step.tilt)
        assert law.free_energy - new.free_energy == pytest.approx(step.gain, rel=0.1)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_a_mixture_is_fitted_anew_for_activations_that_are_not_odd(name):
    phi = NAMED[name]
    space = trajectory_space(endpoint(3, 1.0, activation=name))
    engine = Sampling(phi, 1024, 0)
    state = engine.converge(space, engine.random_network(space, forward_kernel(space, phi)))
    assert state.reached
    again = engine._refitted(space, state)
    np.testing.assert_array_equal(again.moments[0], state.point.kernel)
    if phi.odd:
        assert again.mixtures is None
    else:
        nodes, p = engine._weighted(space, state)
        points = nodes.points
        for mixture, before, group in zip(again.mixtures, state.mixtures, state.groups, strict=True):
            assert mixture is not before
            L = np.linalg.cholesky(group.of_coordinates(again.moments[2]))
            z = np.linalg.solve(L, (points - again.moments[1])[:, group.coordinates].T).T
            log_q = np.logaddexp.reduce(mixture.log_densities(z), axis=1)
            tails = np.logaddexp.reduce(with_tails(z.shape[1]).log_densities(z), axis=1)
            assert p @ log_q > p @ tails + 0.02  # likelier than what the state was found with


@pytest.mark.parametrize("fixed", [None, 4])
def test_coordinates_of_moments_are_relative_to_a_frame_and_have_their_inverse(fixed):
    """In those of the moments themselves Φ and the covariance are 1, the mean is in standard deviations."""
    rng = np.random.default_rng(0)
    kernel, covariance = (A @ A.T for A in (rng.standard_normal((2, 3)), rng.standard_normal((3, 4))))
    mean, moving = rng.standard_normal(3), np.ones(16)
    if fixed is not None:
        moving[fixed] = moving[-1] = 0.0
    group = Group(np.arange(2), np.arange(3))
    frame = Frame.of(SimpleNamespace(m=2, d=3), (group,), kernel, covariance, None if fixed is None else moving)
    x = frame.coordinates(kernel, mean, covariance)
    expected = np.concatenate([np.eye(2).ravel(), np.eye(3).ravel(), np.linalg.solve(frame.factors[0][1], mean)])
    np.testing.assert_allclose(x, expected * moving, atol=1e-12)
    other = [A + 0.1 * np.diag(np.diagonal(A)) for A in (kernel, covariance)]
    if fixed is None:
        back = frame.state(frame.coordinates(other[0], mean, other[1]))
        for value, right in zip(back, (other[0], mean, other[1]), strict=True):
            np.testing.assert_allclose(value, right, atol=1e-12)


@pytest.mark.parametrize(
    ("ended", "moved", "counting", "fits"),
    [
        ([True], [0.02], [0.5], 1),
        ([False, True], [0.02, 0.02], [0.5, 0.5], 2),
        ([True, True, True], [-0.5, 0.04, -0.02], [0.5, 0.5, 0.5], 3),
        ([True, True], [0.02, 0.02], [0.3, 0.5], 2),
        ([True] * 9, [0.04] * 9, [0.5] * 9, by_sampling.FITS),
    ],
)
def test_points_are_fitted_to_a_law_until_it_stays_and_enough_of_them_count(ended, moved, counting, fits, monkeypatch):
    """On planted laws of one number each, as large as the law that ends is told to differ from the one before."""
    problem = endpoint(3, 1.0, activation="relu")
    engine, space = by_sampling.Sampling(problem.activation, 64, 0), trajectory_space(problem)
    tried = []

    def law(size, counting=1.0):
        return SimpleNamespace(
            kernel=np.array([[size]]),
            points=None,
            probability=None,
            mean=None,
            covariance=None,
            precision=None,
            tilt=None,
            counting=counting,
        )

    def minimised(space, phi, nodes, before, steps):
        number = len(tried)
        tried.append(steps)
        return law(1.0), ended[number]

    monkeypatch.setattr(by_sampling, "placed", lambda *_: None)
    monkeypatch.setattr(by_sampling, "law_at", lambda *_: law(1 - moved[len(tried)], counting[len(tried)]))
    monkeypatch.setattr(by_sampling, "minimised", minimised)
    monkeypatch.setattr(by_sampling.Sampling, "_fitted", lambda *_: f"fitted {len(tried)}")
    monkeypatch.setattr(by_sampling.Sampling, "_samples", lambda *_: None)
    start = engine.around(space, law(1.0))
    assert tried == [by_sampling.STEPS] * fits
    assert start.mixtures == f"fitted {fits}"


def test_newton_ends_at_a_saddle_beside_it_and_downhill_in_a_minimum():
    """From the incoherent state beyond the transition; a sample's own saddle is a little off."""
    space, prior = task(4, 20.0)
    map_ = map_of(space, 64)
    engine = Quadrature(ERF)
    point = engine.converge(space, engine.random_network(space, prior))
    nodes, probability = point.nodes.points, point.point.average.probability
    moments = point.point.kernel, np.zeros(3), (nodes * probability[:, None]).T @ nodes
    at = map_.near(moments)
    x = at.frame.coordinates(*moments)
    saddle, steps, reached = map_._newton(at, x, downhill=False, tolerance=1e-8)
    assert reached
    assert steps < 8
    assert np.abs(saddle.kernel - point.point.kernel).max() < 0.05
    minimum, _, reached = map_._newton(at, x, downhill=True, tolerance=1e-8)
    assert reached
    assert abs(minimum.kernel[2, 1]) > 0.4


@pytest.mark.parametrize("chunk", [100, 10**6])
def test_averages_of_a_tilted_law_are_weighted_sums_over_points_about_the_mean(chunk, monkeypatch):
    """In pieces or at once; written out with the densities of the law and of what the points were drawn from."""
    monkeypatch.setattr(averaging, "CHUNK", chunk)
    problem = endpoint(3, 2.0, activation="relu")
    space, phi = trajectory_space(problem), problem.activation
    drawn = sample(space.d, 64, 0, with_tails(space.d), mirrored=None, paired=False)
    kernel, mean = np.array([[0.5, 0.2], [0.2, 0.4]]), np.array([0.3, 0.6])
    covariance, conjugate = np.array([[1.0, 0.3], [0.3, 0.8]]), np.array([[0.1, 0.05], [0.05, 0.2]])
    points = drawn.z @ np.linalg.cholesky(covariance).T + mean
    activity = np.maximum(points @ space.embedding.T, 0.0)
    inverse = np.linalg.inv(space.covariance(kernel))
    log_p = (
        np.sum(activity @ conjugate * activity, axis=1) - 0.5 * np.sum(points @ inverse * points, axis=1) - drawn.log_q
    )
    p = np.exp(log_p - log_p.max())
    factor = np.linalg.cholesky(covariance)
    law = averaging.GroupLaw(space.embedding, mean, factor, space.covariance(kernel), conjugate)
    found, _, centre, second, _, _, counting = averaging.averaged(drawn, phi, law)
    spread = second - np.outer(centre, centre)
    assert counting == pytest.approx(p.sum() ** 2 / (p @ p) / len(p))
    p /= p.sum()
    np.testing.assert_allclose(found, (activity * p[:, None]).T @ activity, rtol=1e-9)
    np.testing.assert_allclose(centre, p @ points, rtol=1e-9)
    np.testing.assert_allclose(spread, np.cov(points.T, aweights=p, ddof=0), rtol=1e-9)


class Agreements:
    """A way down whose steps gain a given share of what they promise; None where there is no law."""

    def __init__(self, monkeypatch, shares, *, inside=False, length=0.4):
        self.radii, self.shares, self.place = [], iter(shares), 0
        self.inside, self.length = inside, length
        monkeypatch.setattr(laws, "newton_step", self.newton_step)
        monkeypatch.setattr(laws, "law_at", self.law_at)

    def law(self, free_energy):
        return SimpleNamespace(
            free_energy=free_energy, precision=0.0, tilt=0.0, counting=0.5, points=np.zeros((100, 1))
        )

    def newton_step(self, space, nodes, law, radius):
        self.radii.append(radius)
        self.free_energy = law.free_energy
        return laws.NewtonStep(0.0, 0.0, min(radius, self.length), 1.0, self.inside)

    def law_at(self, space, phi, nodes, precision, tilt):
        share = next(self.shares)
        if share is None:
            raise np.linalg.LinAlgError("singular")
        return self.law(self.free_energy - share)

    def down(self, steps):
        space = SimpleNamespace(d=1, m=1)
        return minimised(space, ERF, None, self.law(0.0), steps=steps)


def test_the_radius_follows_the_agreement_of_steps_with_their_promise(monkeypatch):
    way = Agreements(monkeypatch, [0.9, 0.5, 0.2, None, 0.0, 0.9, 0.9])
    law, ended = way.down(7)
    assert way.radii == pytest.approx([0.5, 1.0, 1.0, 0.2, 0.1, 0.05, 0.1])
    assert law.free_energy == pytest.approx(-0.9 - 0.5 - 0.2 - 0.9 - 0.9)
    assert not ended
    # no longer than the longest, and not beyond what is inside
    assert Agreements(monkeypatch, [0.9] * 5).down(5)[1] is False
    far = Agreements(monkeypatch, [0.9] * 5)
    far.down(5)
    assert far.radii[-1] == laws.LONGEST_RADIUS
    held = Agreements(monkeypatch, [0.9] * 3, inside=True)
    held.down(3)
    assert held.radii == [laws.RADIUS] * 3


def test_a_way_down_that_gains_nothing_ends_before_its_bound(monkeypatch):
    way = Agreements(monkeypatch, [0.0] * 60, length=9.0)
    law, ended = way.down(60)
    assert law.free_energy == 0.0
    assert not ended
    assert way.radii[-1] >= laws.SHORTEST_RADIUS
    assert 0.5 * way.radii[-1] < laws.SHORTEST_RADIUS
    # laws on too few points that count are not taken
    few = Agreements(monkeypatch, [0.9] * 3)
    few.law = lambda F: SimpleNamespace(
        free_energy=F, precision=0.0, tilt=0.0, counting=0.5 if F == 0.0 else 0.01, points=np.zeros((100, 1))
    )
    assert few.down(3)[0].free_energy == 0.0


def test_newton_takes_over_where_unknowns_are_few():
    """Entries of two symmetric matrices, Φ and the covariance: twelve of three times."""
    for T, unknowns in ((3, 6), (4, 12), (5, 20)):
        assert map_of(task(T)[0], 64)._unknowns == unknowns
