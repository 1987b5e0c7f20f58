"""The branches of fewer lags in which a branch ends, on planted ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from numerics.continuation import growth


def point(theta, name):
    here = SimpleNamespace(theta=theta, name=name, state=SimpleNamespace(H=name))
    here.reversed = lambda: SimpleNamespace(theta=theta, name=f"{name} reversed", state=here.state)
    return here


@pytest.mark.parametrize(
    ("ends", "thetas", "expected"),
    [
        (("symmetric", "symmetric"), (0.5, 0.75), ["first", "last"]),
        (("range", "symmetric"), (0.5, 0.75), ["last"]),
        (("symmetric", "range"), (0.5, 0.75), ["first"]),
        (("symmetric", "symmetric"), (-0.5, 0.75), ["last"]),
        (("symmetric", "symmetric"), (0.5, 1.75), ["first"]),
    ],
)
def test_either_end_may_have_a_parent(ends, thetas, expected, monkeypatch):
    asked = []

    def step(outward, length):
        asked.append((outward.name, length))
        return None if length < 0.02 else length

    class Planted:
        def __init__(self, family, period):
            self.period = period

        def converge(self, H, theta):
            return H

    monkeypatch.setattr(growth, "gained_period", lambda track, outward, beyond: 4 if beyond > 0.05 else None)
    monkeypatch.setattr(growth, "Track", Planted)
    monkeypatch.setattr(growth, "through", lambda track, state, theta, *bounds: (track.period, state, theta, *bounds))
    branch = SimpleNamespace(
        ends=ends,
        points=(point(thetas[0], "first"), point(thetas[1], "last")),
        track=SimpleNamespace(family=None, step=step),
    )
    limits = SimpleNamespace(near=(0.0, 1.0), far=(-9.0, 9.0))
    found = [follow() for follow in growth._parents(branch, limits)]
    assert found == [(4, name, thetas[name == "last"], limits.far, limits.near) for name in expected]
    outward = {"first": "first reversed", "last": "last"}
    assert asked == [(outward[name], length) for name in expected for length in (0.01, 0.03, 0.1)]
