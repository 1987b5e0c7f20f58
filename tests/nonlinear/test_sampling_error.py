"""The standard error that a sampled state gives of itself, against the spread of such states."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import by_sampling, refining
from numerics.nonlinear.by_sampling import Sampling
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.minima import search_states
from numerics.nonlinear.sampled import Start
from numerics.nonlinear.search import _prepared, lowest_state
from numerics.nonlinear.space import trajectory_space
from numerics.nonlinear.symmetries import kept_classes
from numerics.threads import one_thread

#: Points that tell the truth, over those whose error is told.
TRUE = 16


@pytest.mark.slow
def test_standard_errors_are_as_large_as_the_errors():
    """Of 24 independent samples, against quadrature: z has a root mean square of 1, whatever the number of parts."""
    problem = endpoint(4, 6.0, activation="erf")
    exact, space = lowest_state(problem, tolerance=1e-7), trajectory_space(problem)
    start = Start((exact.kernel, np.zeros(space.d), exact.second_moment))
    z, of_free_energy = [], []
    for seed in range(24):
        engine = Sampling(NAMED["erf"], 256, seed)
        refined = engine.refined(space, engine.converge(space, start), 0.5, lambda told: None)
        assert refined.state.reached
        z.append(np.diag(refined.state.point.kernel - exact.kernel) / np.diag(refined.kernel_error))
        assert refined.free_energy_error is not None
        of_free_energy.append((refined.state.point.free_energy - exact.free_energy) / refined.free_energy_error)
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.4
    assert 0.6 < np.sqrt(np.mean(np.square(of_free_energy))) < 1.6


@one_thread
def calibrated(P, T, activation, arch, size, samples):
    """Of states on independent samples: the largest error, what is told of it, and the largest standard error."""
    rng = np.random.default_rng(P)
    x = rng.standard_normal((P, P))
    x *= np.sqrt(P) / np.linalg.norm(x, axis=1, keepdims=True)
    y = np.full((P, T - 1), np.nan)
    y[:, -1] = rng.choice([-1.0, 1.0], P)
    problem = Problem(x, y, arch=arch, activation=activation, kappa=0.5)
    space, phi, few = trajectory_space(problem), NAMED[activation], Sampling(NAMED[activation], size, 0)
    if not phi.odd:
        found = search_states(_prepared(problem, "sampling", None, None, 0, None), whole=False).minima[0]
    else:
        found = few.converge(space, few.random_network(space, forward_kernel(space, phi)), relaxed=by_sampling.RELAXED)
    assert found.reached
    start, classes = few._refitted(space, found), kept_classes(space, phi, found.point.kernel)

    def state(seed, size):
        state = Sampling(phi, None, seed)._converged(space, start, size, classes=classes)
        assert state is not None
        assert state.reached
        return state

    true = np.mean([state(1000 + seed, TRUE * size).point.kernel for seed in range(2)], axis=0)
    off = []
    for seed in range(samples):
        drawn = state(seed, size)
        error, bound = Sampling(phi, None, seed)._error(space, drawn, size, classes)
        off.append((np.abs(drawn.point.kernel - true).max(), bound, error.max()))
    return np.array(off).T


def test_no_entry_is_farther_off_than_told():
    """In about 95 % of samples; a standard error is no bound, even of the entry that has the largest."""
    off, bound, error = calibrated(4, 3, "tanh", "dnn", 32, 16)
    assert (off <= bound).sum() >= 13
    assert np.mean(bound) < 3 * np.mean(off)
    assert (off <= error).sum() <= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("P", "T", "activation", "arch", "size"),
    [
        (4, 3, "relu", "dnn", 128),
        (4, 4, "erf", "rnn", 256),
        (5, 3, "tanh", "dnn", 64),
    ],
)
def test_no_entry_is_farther_off_than_told_whatever_the_network(P, T, activation, arch, size):
    off, bound, _ = calibrated(P, T, activation, arch, size, 20)
    assert (off <= bound).sum() >= 17
    assert np.mean(bound) < 3 * np.mean(off)


def test_an_error_to_first_order_is_that_of_the_parts_states_or_infinite(monkeypatch):
    problem = endpoint(3, 1.0, activation="erf")
    space, engine = trajectory_space(problem), Sampling(NAMED["erf"], 64, 0)
    state = engine.converge(space, engine.random_network(space, forward_kernel(space, NAMED["erf"])))
    whole, bound = engine._error(space, state, 64, None)
    assert (np.diag(whole) > 0).all()
    assert whole.max() < bound < 4 * whole.max()
    monkeypatch.setattr(Sampling, "_changes", lambda *given: None)
    first, of_first = engine._error(space, state, 64, None)
    assert not np.array_equal(first, whole)
    assert of_first == pytest.approx(bound, rel=0.5)
    np.testing.assert_allclose(np.diag(first), np.diag(whole), rtol=0.5)
    monkeypatch.setattr(refining, "DIRECTIONS", 0)
    assert np.isinf(engine._error(space, state, 64, None)[0]).all()
    monkeypatch.setattr(Sampling, "_refining", lambda *given: None)
    error, bound = engine._error(space, state, 64, None)
    assert np.isinf(error).all()
    assert np.isinf(bound)


@dataclass(frozen=True)
class PlantedState:
    """A state whose place is the number of points that it was found on."""

    points: int
    reached: bool = True
    status: str = "converged"
    iterations: int = 1
    samples: tuple = ()
    moments: tuple = ()
    refining: None = None

    @property
    def size(self):
        return self.points

    @property
    def point(self):
        return SimpleNamespace(kernel=np.array([[2.0]]), points=self.points)


class PlantedEngine:
    """The sampling engine's way to a refined state; F and the errors of samples are told, nothing is computed."""

    rows = 1

    def __init__(
        self, monkeypatch, *, size=None, errors=lambda size: 0.1, lost=lambda size, relaxed: False, stable=True
    ):
        self.asked, self.tolerances, engine = [], set(), Sampling(NAMED["erf"], size, 0)

        def converged(self_, space, start, size, *, classes, relaxed=0, tolerance, refining=None):
            self.asked.append((size, relaxed))
            self.tolerances.add(tolerance)
            return None if lost(size, relaxed) else PlantedState(size)

        def error(self_, space, state, rough, classes, refining, first):
            assert rough == (512 if size is None else size)
            return np.array([[0.5 * errors(state.points)]]), errors(state.points)

        for name, value in {
            "_refined_weak": lambda self_, space, state, limit, say: None,
            "_coarse": lambda self_, groups: 512,
            "start": lambda self_, space, state: None,
            "_converged": converged,
            "_error": error,
            "_refining": lambda self_, space, state, size, classes: None,
            "_is_stable": lambda self_, space, state: stable,
            "_hessian_smallest": lambda self_, space, state: 0.5,
        }.items():
            monkeypatch.setattr(Sampling, name, value)
        monkeypatch.setattr(by_sampling, "kept_classes", lambda space, phi, kernel: None)
        monkeypatch.setattr(by_sampling, "groups_of", lambda space, classes: None)
        monkeypatch.setattr(by_sampling, "continued", lambda new, before: new)
        monkeypatch.setattr(by_sampling, "_free_energy_error", lambda state: 0.25)
        self.engine = engine

    def refined(self, limit):
        said = []
        found = self.engine.refined(SimpleNamespace(m=self.rows), PlantedState(1), limit, said.append)
        return found, [size for size, _ in self.asked], said


def test_a_sample_grows_with_the_square_of_what_the_error_is_too_large_by(monkeypatch):
    found, sizes, said = PlantedEngine(monkeypatch, errors=lambda size: 2e-2).refined(0.01)
    assert sizes == [512]  # an error of 0.02 of an entry of 2
    assert said == ["8192 points", "8192 points, error", "stability"]
    assert (found.stable, found.hessian_smallest, found.free_energy_error) == (True, 0.5, 0.25)
    assert (found.kernel_error[0, 0], found.largest_error) == (1e-2, 2e-2)
    # three times too large: 1.5 · 9 times the points, to the next power of two
    falling = PlantedEngine(monkeypatch, errors=lambda size: 6e-2 * np.sqrt(512 / size))
    assert falling.refined(0.01)[1] == [512, 512 * 16]
    # slightly too large: twice as many at least; far too large: sixteen times at most, and no more than the most
    assert PlantedEngine(monkeypatch, errors=lambda size: 2.02e-2 if size < 1000 else 0.0).refined(0.01)[1] == [
        512,
        1024,
    ]
    assert PlantedEngine(monkeypatch, errors=lambda size: np.inf).refined(0.01)[1] == [512, 8192, 32768]
    assert PlantedEngine(monkeypatch, size=256, errors=lambda size: np.inf).refined(0.01)[1] == [256]


def test_of_many_rows_two_samples_tell_the_bias(monkeypatch):
    own, noise = Sampling._error, {}
    planted = PlantedEngine(monkeypatch)
    planted.rows = by_sampling.LARGE + 1
    spread = np.tile([1.0, -1.0], by_sampling.BATCHES // 2)[:, None, None]

    def place(state):
        return np.array([[2.0 + 32 / state.points + noise.get(state.points, 0.0)]])

    monkeypatch.setattr(
        PlantedState, "point", property(lambda self: SimpleNamespace(kernel=place(self), points=self.points))
    )
    monkeypatch.setattr(Sampling, "_error", own)
    changes = SimpleNamespace(changes=lambda parts, moments: 0.0 * spread)
    monkeypatch.setattr(Sampling, "_refining", lambda *given: changes)
    found, sizes, _ = planted.refined(0.03)
    assert sizes == [512, 1024]
    assert found.kernel_error[0, 0] == pytest.approx(32 / 1024)  # what is left of a bias as one over the points
    assert found.largest_error == pytest.approx(32 / 1024)
    assert planted.tolerances == {by_sampling.REFINED_SHARE * 0.03}  # of the residual, far below the error asked for
    planted.refined(1e-7)
    assert planted.tolerances == {by_sampling.REFINED_SHARE * 0.03, 1e-8}
    noise.update({1024: 0.01, 2048: -0.01})  # the first of three samples tells it with the least noise
    found, sizes, _ = planted.refined(0.01)
    assert sizes[-3:] == [512, 1024, 2048]
    bias = 32 / 2048 + 0.01 / 3
    assert found.kernel_error[0, 0] == pytest.approx(bias)
    noise.clear()
    error = 0.01  # the noise of the parts explains a share of the difference, and all of it where it is larger
    changes.changes = lambda parts, moments: error * np.sqrt(15) * spread
    found, sizes, _ = planted.refined(0.1)
    bias = 32 / 1024
    assert (sizes[-2:], found.kernel_error[0, 0]) == (
        [512, 1024],
        pytest.approx(np.hypot(error, bias * (1 - (error / bias) ** 2))),
    )
    error = 0.04
    assert planted.refined(0.1)[0].kernel_error[0, 0] == pytest.approx(error)


def test_a_state_that_is_lost_on_a_sample_is_sought_by_relaxation_where_it_is_stable(monkeypatch):
    lost = PlantedEngine(monkeypatch, errors=lambda size: 0.0, lost=lambda size, relaxed: not relaxed)
    found, _, _ = lost.refined(0.01)
    assert lost.asked == [(512, 0), (512, by_sampling.RELAXED)]
    assert found.state.points == 512
    unstable = PlantedEngine(monkeypatch, lost=lambda size, relaxed: size < 1000, errors=lambda size: 0.0, stable=False)
    found, sizes, _ = unstable.refined(0.01)
    assert sizes == [512, 8192]
    assert (found.state.reached, found.stable) == (True, False)
    never = PlantedEngine(monkeypatch, lost=lambda size, relaxed: True, stable=False)
    found, sizes, said = never.refined(0.01)
    assert sizes == [512, 8192, 32768]
    assert (found.state.reached, found.state.status) == (False, "no state on the whole sample")
    assert found.kernel_error[0, 0] == np.inf
    assert not found.stable
    assert "stability" not in said


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_a_far_start_is_relaxed_in_rounds_and_a_mixture_is_fitted_to_what_is_found(name, monkeypatch):
    asked, lost = [], set()

    def far(self, space, start, rounds):
        if rounds > 40:
            raise np.linalg.LinAlgError("singular")
        asked.append(("far", rounds))
        return replace(start, mixtures="nearer")

    def converged(self, space, start, size, *, classes, relaxed=0, tolerance=None):
        asked.append((start.mixtures, relaxed))
        return None if len(asked) in lost else SimpleNamespace(reached=True)

    monkeypatch.setattr(Sampling, "_relaxed_far", far)
    monkeypatch.setattr(by_sampling, "groups_of", lambda space, classes: None)
    monkeypatch.setattr(Sampling, "_coarse", lambda self, groups: 512)
    monkeypatch.setattr(Sampling, "_converged", converged)
    monkeypatch.setattr(Sampling, "_refitted", lambda self, space, state: Start(None, "fitted"))
    monkeypatch.setattr(by_sampling, "continued", lambda new, before: new)
    engine, few = Sampling(NAMED[name], None, 0), by_sampling.RELAXED
    again = [] if name == "erf" else [("fitted", 0)]
    engine.converge(None, Start(None, "given"), relaxed=few)
    assert asked == [("given", few), *again]
    asked.clear()
    engine.converge(None, Start(None, "given"), relaxed=40 * by_sampling.ROUND)
    assert asked == [("far", 40), ("nearer", few), *again]
    assert engine.converge(None, Start(None, "given"), relaxed=41 * by_sampling.ROUND) is None
    asked.clear()
    lost.add(2)  # the fitted mixture's first sample has no state: relaxed once more, if that was asked for
    found = engine.converge(None, Start(None, "given"), relaxed=few)
    assert asked == [("given", few), *again, *([] if name == "erf" else [("fitted", few)])]
    assert found.reached
    asked.clear()
    lost.add(1)
    assert engine.converge(None, Start(None, "given")) is None
    assert asked == [("given", 0)]


def test_the_hessian_is_not_computed_where_too_few_points_count(monkeypatch):
    engine, space = Sampling(NAMED["erf"], None, 0), SimpleNamespace(m=3)

    def curvature(effective_size, together=1e6):
        average = SimpleNamespace(effective_size=effective_size)
        point = SimpleNamespace(average=average, kernel=None, conjugate=None)
        alike = np.full(int(together), 1 / together)
        monkeypatch.setattr(Sampling, "_weighted", lambda self, space, state: (None, alike))
        return engine._hessian_smallest(space, SimpleNamespace(point=point))

    monkeypatch.setattr(by_sampling, "stationary_point", lambda *given, covariance: "full" if covariance else None)
    monkeypatch.setattr(by_sampling, "natural_hessian", lambda space, vectors, point: np.diag([0.75, 0.25, 2.0]))
    needed = 6 * by_sampling.HESSIAN_POINTS
    assert curvature(needed) == 0.25
    assert np.isnan(curvature(needed - 1))
    assert np.isnan(curvature(needed, together=needed - 10))

    def singular(*given):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(by_sampling, "natural_hessian", singular)
    assert np.isnan(curvature(needed))
