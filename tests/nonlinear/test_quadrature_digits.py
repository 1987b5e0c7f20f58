"""Eight digits by quadrature: the kernel of every state under twice as fine a rule that also reaches further out."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.inputs.problem import endpoint
from numerics.nonlinear import by_quadrature, quadrature
from numerics.nonlinear.by_quadrature import Quadrature
from numerics.nonlinear.search import all_states
from numerics.nonlinear.space import trajectory_space

DIGITS = 1e-8


def under(monkeypatch, state, refinement):
    """Largest change of a state's kernel under another rule, relative to its largest entry, and the rule's points."""
    space = trajectory_space(state.problem)
    engine = Quadrature(state.problem.activation, refinement)
    inverse = np.linalg.pinv(space.embedding)
    second = inverse @ state.second_moment @ inverse.T
    moments = (np.zeros(space.d), second)
    rough = engine._rule(space, state.kernel, state.conjugate, moments, 0.5)
    moments = engine._moments(engine.at(space, (state.kernel, state.conjugate, rough)))
    with monkeypatch.context() as further:
        further.setattr(quadrature, "EDGE", 10.0)
        further.setattr(quadrature, "PANELS", (-10.0, *quadrature.PANELS[1:-1], 10.0))
        further.setattr(quadrature, "NEGLIGIBLE", 42.0)
        further.setattr(by_quadrature, "PLACEMENTS", 1)
        nodes = engine._rule(space, state.kernel, state.conjugate, moments)
        found = engine.converge(space, (state.kernel, state.conjugate, nodes))
    assert found is not None
    return float(np.abs(found.point.kernel - state.kernel).max() / state.kernel.max()), len(nodes.points)


CASES = [
    pytest.param(T, signal, activation, arch, marks=() if (T, signal, arch) == (3, 20.0, "rnn") else pytest.mark.slow)
    for T, signal in ((3, 20.0), (4, 4.0), (4, 60.0))
    for activation in ("erf", "tanh", "relu")
    for arch in ("rnn", "dnn")
]


@pytest.mark.parametrize(("T", "signal", "activation", "arch"), CASES)
def test_doubling_the_rule_leaves_eight_digits(monkeypatch, T, signal, activation, arch):
    for state in all_states(endpoint(T, signal, activation=activation, arch=arch)):
        assert state.converged, state.status
        # a state that needed a finer rule than the standard one is held against a still finer one
        change, points = under(monkeypatch, state, 2.0)
        if points < 2 ** (T - 1) * state.points / 1.5:
            change, points = under(monkeypatch, state, 3.2)
        assert points > 2 ** (T - 1) * state.points / 1.5
        assert change < DIGITS


@pytest.mark.slow
def test_five_times(monkeypatch):
    state = all_states(endpoint(5, 20.0, activation="erf"))[0]
    assert state.converged, state.status
    change, points = under(monkeypatch, state, 2.0)
    assert points > 10 * state.points
    assert change < DIGITS


def test_a_rule_that_is_too_coarse_does_not(monkeypatch):
    state = all_states(endpoint(4, 20.0, activation="erf"))[0]
    change, _ = under(monkeypatch, state, 0.4)
    assert change > DIGITS
