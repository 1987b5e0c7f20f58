"""The derivative of the map of moments for normal laws: that of many points where laws are normal, and a way."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.activation import NAMED
from numerics.inputs.problem import Problem
from numerics.nonlinear.averaging import LARGE
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.groups import groups_of, largest
from numerics.nonlinear.iteration import MomentMap
from numerics.nonlinear.refining import settled
from numerics.nonlinear.response import NormalResponse
from numerics.nonlinear.sample import sample, standard
from numerics.nonlinear.space import trajectory_space
from numerics.nonlinear.symmetries import independent
from numerics.nonlinear.weak import random_moments


def at_state(activation: str, size: int, **options):
    rng = np.random.default_rng(4)
    y = np.full((4, 3), np.nan)
    y[:, -1] = [0.4, -0.6, 0.2, 0.3]
    problem = Problem(rng.standard_normal((4, 6)), y, activation=activation, kappa=0.3, **options)
    space, phi = trajectory_space(problem), NAMED[activation]
    groups = groups_of(space)
    samples = tuple(
        sample(len(group.coordinates), size, (1, number), standard(len(group.coordinates)), mirrored=None, paired=True)
        for number, group in enumerate(groups)
    )
    map_ = MomentMap(samples, groups, space, phi)
    state, _, reached = map_.fixed_point(random_moments(space, forward_kernel(space, phi)))
    assert reached
    start = (state.kernel, state.mean, state.covariance)
    led = settled(map_, random_moments(space, forward_kernel(space, phi)), 1e-7)
    assert led is not None
    np.testing.assert_allclose(led[0].kernel, state.kernel, rtol=0, atol=1e-5)
    at = map_.near(start)
    x = at.frame.coordinates(*start)
    return at, x, NormalResponse(phi, at.frame, x)


@pytest.mark.parametrize(
    "options",
    [{"arch": "dnn"}, {"arch": "rnn"}, {"arch": "shared:0.6"}, {"arch": "dnn", "skip": 0.4}, {"arch": "rnn", "v": 2.0}],
    ids=str,
)
def test_it_is_the_derivative_where_the_law_is_normal(options):
    at, x, response = at_state("linear", 4096, **options)
    base = at(x)[1]
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = at.frame.basis(odd=True) @ rng.standard_normal(at.frame.basis(odd=True).shape[1])
        exact = at.change(x, base, direction) + direction
        assert np.linalg.norm(response(direction) - exact) < 0.06 * np.linalg.norm(exact)
        left = direction - (response.solved(direction) - response(response.solved(direction)))
        assert np.linalg.norm(left) < 0.11 * np.linalg.norm(direction)


@pytest.mark.parametrize("arch", ["dnn", "rnn"])
def test_it_is_near_the_derivative_of_other_activations(arch):
    at, x, response = at_state("tanh", 1024, arch=arch)
    base, basis = at(x)[1], at.frame.basis(odd=True)
    slopes = np.stack([at.change(x, base, unit) + unit for unit in basis.T], axis=1)
    away = np.linalg.norm(slopes - np.stack([response(unit) for unit in basis.T], axis=1))
    assert away < 0.4 * np.linalg.norm(slopes)


@pytest.mark.parametrize(("signal", "stable"), [(1.0, True), (1.5, False), (1.7, False)])
def test_the_state_of_a_large_group_is_shown_to_be_stable_only_where_it_is(signal, stable):
    """The incoherent state of an RNN before a transition, at it (its largest eigenvalue is 1.0001) and beyond."""
    patterns, size = 9, 256
    sign = np.where(np.arange(patterns) % 2, 1.0, -1.0)
    x = 0.5 * np.random.default_rng(4).standard_normal((patterns, 2 * patterns)) + sign[:, None]
    y = np.full((patterns, 3), np.nan)
    y[:, -1] = np.sqrt(signal) * sign
    space, phi = trajectory_space(Problem(x, y, activation="tanh", arch="rnn")), NAMED["tanh"]

    def map_of(classes):
        groups = groups_of(space, classes)
        dimensions = [len(group.coordinates) for group in groups]
        samples = tuple(
            sample(d, size, (1, number), standard(d), mirrored=None, paired=True) for number, d in enumerate(dimensions)
        )
        return MomentMap(samples, groups, space, phi, classes)

    kept, free = map_of(independent(space, phi)), map_of(None)
    found, _, reached = kept.fixed_point(random_moments(space, forward_kernel(space, phi)), tolerance=1e-6)
    state = free.at((found.kernel, found.mean, found.covariance))
    assert reached
    assert largest(free.groups) > LARGE
    assert (not free.unstable_modes(state, 1)) is stable
