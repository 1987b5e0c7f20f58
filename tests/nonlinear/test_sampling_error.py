"""The standard error that a sampled state gives of itself, against the spread of such states."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.activation import NAMED
from numerics.inputs.problem import endpoint
from numerics.nonlinear import by_sampling
from numerics.nonlinear.by_sampling import Sampling, Start
from numerics.nonlinear.forward import forward_kernel
from numerics.nonlinear.sample import standard
from numerics.nonlinear.search import lowest_state
from numerics.nonlinear.space import trajectory_space


@pytest.mark.slow
def test_standard_errors_are_as_large_as_the_errors():
    """Of 24 independent samples, against quadrature: z has a root mean square of 1, whatever the number of parts."""
    problem = endpoint(4, 6.0, activation="erf")
    exact, space = lowest_state(problem, tolerance=1e-7), trajectory_space(problem)
    start = Start((exact.kernel, np.zeros(space.d), exact.second_moment), standard(space.d))
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


def test_an_error_that_the_parts_do_not_tell_is_that_to_first_order_or_infinite(monkeypatch):
    problem = endpoint(3, 1.0, activation="erf")
    space, engine = trajectory_space(problem), Sampling(NAMED["erf"], 64, 0)
    state = engine.converge(space, engine.random_network(space, forward_kernel(space, NAMED["erf"])))
    known = engine._error(space, state, None)
    assert (np.diag(known) > 0).all()

    def singular(*given):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(Sampling, "_changes", lambda *given: None)
    first = engine._error(space, state, None)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(np.diag(first), np.diag(known), rtol=0.5)
    monkeypatch.setattr(by_sampling.MomentMap, "responses", singular)
    assert np.isinf(engine._error(space, state, None)).all()
    monkeypatch.setattr(Sampling, "_changes", singular)
    assert np.isinf(engine._error(space, state, None)).all()
