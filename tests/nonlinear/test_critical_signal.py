"""Critical signals of nonlinear networks: the linear one's exact value, and one against a second route."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.nonlinear import critical
from numerics.nonlinear.critical import critical_signal


def test_linear_network_has_the_exact_critical_signal():
    found = critical_signal(endpoint(4, 1.0), 9.0, 11.0)
    assert found is not None
    assert found.scale == pytest.approx(81 / 8, rel=3e-8)
    assert found.interval[0] <= found.scale <= found.interval[1]
    assert found.interval[1] - found.interval[0] < 1e-6
    assert found.state.branch == "incoherent"


@pytest.mark.parametrize("x", [pytest.param([[1.0], [1.0]], marks=pytest.mark.slow), [[1.0], [-1.0]]])
def test_patterns_that_coincide_are_one_of_less_noise(x):
    """Two labels of one trajectory, or of opposite ones: y twice with κ is y with κ/2. T = 5 has four dimensions."""
    y = np.array([[np.nan] * 3 + [1.0], [np.nan] * 3 + [np.sign(x[1][0])]])
    one = Problem(np.ones((1, 1)), y[:1], kappa=0.5, activation="erf")
    found = critical_signal(Problem(np.array(x), y, kappa=1.0, activation="erf"), 2.0, 3.0)
    expected = critical_signal(one, 2.0, 3.0)
    assert found is not None
    assert expected is not None
    assert found.scale == pytest.approx(expected.scale, rel=3e-8)
    signs = np.tile(np.ravel(x), 4)
    kernel = np.kron(expected.state.kernel, np.ones((2, 2))) * np.outer(signs, signs)
    np.testing.assert_allclose(found.state.kernel, kernel, rtol=1e-6, atol=1e-12)
    assert found.state.covariance.shape == found.state.second_moment.shape == found.state.conjugate.shape == (8, 8)


def test_dnn_has_none():
    assert critical_signal(endpoint(4, 1.0, arch="dnn"), 5.0, 40.0) is None


def test_bad_range_is_refused():
    with pytest.raises(InputError, match="range: is 3 to 2"):
        critical_signal(endpoint(4, 1.0), 3.0, 2.0)


@pytest.mark.parametrize("bend", [1e-12, 8.0, -8.0])
def test_the_interval_is_as_narrow_as_the_accuracy_on_both_sides(bend, monkeypatch):
    """Planted states whose smallest eigenvalue bends, so that the search comes from one side."""
    asked = []

    def state(problem, tolerance):
        scale = float(problem.labels[0] ** 2)
        asked.append(scale)
        smallest = np.expm1(bend * (3.0 - scale)) / bend if abs(scale - 3.0) > 1e-14 else 0.0
        return SimpleNamespace(converged=True, hessian_smallest=smallest, scale=scale, status="")

    monkeypatch.setattr(critical, "incoherent_state", state)
    found = critical_signal(endpoint(3, 1.0), 2.0, 4.0)
    assert found.scale == pytest.approx(3.0, rel=2 * critical.ACCURACY)
    assert found.state.scale == pytest.approx(found.scale, rel=1e-12)
    low, high = found.interval
    assert low < 3.0 <= high
    assert high - low <= 2.1 * critical.ACCURACY * 3.0
    assert len(asked) == len(set(asked))
    assert critical_signal(endpoint(3, 1.0), 3.5, 5.0) is None
    monkeypatch.setattr(
        critical, "incoherent_state", lambda problem, tolerance: SimpleNamespace(converged=False, status="lost")
    )
    with pytest.raises(InputError, match="range: at scale 2 the state is lost"):
        critical_signal(endpoint(3, 1.0), 2.0, 4.0)
