"""The loop of the order parameter: between spinodal points at T = 6, closed where the transition is continuous."""

import numpy as np
import pytest
import sympy

from numerics import solve_all
from numerics.continuation.diagram import diagram
from numerics.continuation.hysteresis import hysteresis_loop
from numerics.inputs.problem import endpoint
from theory.coexistence import coexistence


@pytest.mark.slow
def test_the_loop_at_t_6_is_spanned_by_the_two_spinodal_points():
    found = diagram(endpoint(6, 1.0), "signal", (1.5, 3.5))
    loop = hysteresis_loop(found)
    exact = coexistence(6, sympy.Integer(1))
    (up,), (down,) = loop.up.transitions, loop.down.transitions
    assert not up.continuous
    assert not down.continuous
    assert abs(up.value - float(exact.critical_signal)) < 1e-10
    assert abs(down.value - float(exact.fold.signal)) < 1e-10
    (width,) = loop.width
    np.testing.assert_allclose(width, (down.value, up.value))
    (equal,) = [point for point in found.special_points if point.type == "equal-free-energy"]
    assert width[0] < equal.value < width[1]
    # both jumps go down in F, to the stable state that the solver finds there
    for jump in (up, down):
        assert jump.free_energy[1] < jump.free_energy[0]
        lowest = solve_all(endpoint(6, jump.value))[0]
        assert abs(lowest.free_energy - jump.free_energy[1]) < 1e-8
    np.testing.assert_allclose(down.order_parameter[0], float(exact.fold.order_parameter), rtol=1e-4)
    # inside the loop the two sweeps see different kernels at the same signal
    at = 2.14
    seen = [
        next(float(np.interp(at, *_sorted(leg))) for leg in sweep.legs if leg.value.min() <= at <= leg.value.max())
        for sweep in (loop.up, loop.down)
    ]
    assert seen[0] < 1e-9 < 1.0 < seen[1]


def _sorted(leg):
    order = np.argsort(leg.value)
    return leg.value[order], leg.order_parameter[order]


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_there_is_no_loop_where_nothing_is_discontinuous(arch):
    loop = hysteresis_loop(diagram(endpoint(4, 1.0, arch=arch), "signal", (5.0, 20.0)))
    assert loop.width == ()
    count = 1 if arch == "rnn" else 0
    for sweep in (loop.up, loop.down):
        assert [jump.continuous for jump in sweep.transitions] == [True] * count
        assert len(sweep.legs) == count + 1
    assert np.all(np.diff(loop.up.legs[0].value) > 0)
    assert np.all(np.diff(loop.down.legs[-1].value) < 0)
