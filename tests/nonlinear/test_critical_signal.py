"""Critical signals of nonlinear networks: the linear one's exact value, and one against a second route."""

from __future__ import annotations

import pytest

from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.nonlinear.critical import critical_signal


def test_linear_network_has_the_exact_critical_signal():
    found = critical_signal(endpoint(4, 1.0), 9.0, 11.0)
    assert found is not None
    assert found.scale == pytest.approx(81 / 8, rel=3e-8)
    assert found.interval[0] <= found.scale <= found.interval[1]
    assert found.interval[1] - found.interval[0] < 1e-6
    assert found.state.branch == "incoherent"


def test_dnn_has_none():
    assert critical_signal(endpoint(4, 1.0, arch="dnn"), 5.0, 40.0) is None


def test_bad_range_is_refused():
    with pytest.raises(InputError, match="range: is 3 to 2"):
        critical_signal(endpoint(4, 1.0), 3.0, 2.0)
