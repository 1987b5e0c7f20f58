"""The solved order parameter follows the derived exponent and amplitude over three decades, to the next order."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from numerics.endpoint_task.batch import solve_endpoint_batch
from theory.critical_point import critical_point

DECADES = np.array([1e-4, 1e-3, 1e-2, 1e-1])


@pytest.mark.parametrize(("T", "kappa"), [(4, 0), (4, 1), (4, 10), pytest.param(5, 0, marks=pytest.mark.slow), (5, 1)])
def test_order_parameter_near_the_critical_point(T: int, kappa: int):
    point = critical_point(T, sympy.Integer(kappa))
    critical, A, B = (float(x) for x in (point.signal, point.amplitude_squared, point.next_coefficient))
    batch = solve_endpoint_batch(T, critical + DECADES, kappa, branch="coherent")
    assert batch.converged.all()
    assert batch.stable.all()
    square = batch.order_parameter**2
    # exponent ½: the local slope of ln H against ln(λ - λ_c) tends to it linearly
    slopes = np.diff(np.log(batch.order_parameter)) / np.diff(np.log(DECADES))
    np.testing.assert_allclose(slopes[0], 0.5, atol=1e-3)
    assert (np.abs(slopes - 0.5)[1:] > np.abs(slopes - 0.5)[:-1]).all()
    # the amplitude is off by B/A (λ - λ_c), and with B by the square of that
    first = square / (A * DECADES) - 1
    np.testing.assert_allclose(first[:3] / DECADES[:3], B / A, rtol=0.2)
    np.testing.assert_allclose(first[1] / DECADES[1], B / A, rtol=0.02)
    second = np.abs(square / (A * DECADES + B * DECADES**2) - 1)
    np.testing.assert_allclose(second[2] / second[1], 100, rtol=0.1)
    np.testing.assert_allclose(second[3] / second[2], 100, rtol=0.5)
    # a slightly wrong amplitude is seen
    assert np.abs(square / (1.001 * A * DECADES) - 1)[0] > 5e-4
