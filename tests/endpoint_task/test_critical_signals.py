"""The exact critical signal for T = 4 … 12 against the general functional's Hessian, which shares no code with it."""

import numpy as np
import pytest
import sympy
from scipy.optimize import brentq

from numerics.inputs.problem import endpoint
from numerics.linear.functional import kernel_functional
from numerics.linear.trust_region import dense_hessian
from theory.critical_point import critical_signal


def smallest_eigenvalue(T: int, r: float, kappa: float) -> float:
    """Of the Hessian at ``H = diag(r^t)``, with the label that makes it stationary."""
    n = T - 1
    signal = (r - 1) * (r**n + kappa) ** 2 / r**n
    point = kernel_functional(endpoint(T, signal, kappa=kappa)).at(np.diag(r ** np.arange(1.0, T)))
    assert point.residual < 1e-14
    return float(np.linalg.eigvalsh(dense_hessian(point))[0])


@pytest.mark.parametrize("T", range(4, 13))
@pytest.mark.parametrize("kappa", [0.25, 2.0])
def test_the_hessian_becomes_singular_at_the_exact_critical_signal(T: int, kappa: float):
    n = T - 1
    exact = float(critical_signal(T, sympy.Rational(kappa)))
    r = brentq(lambda r: smallest_eigenvalue(T, r, kappa), 1 + 0.5 / n, 1 + 1.25 / (T - 3), xtol=1e-14)
    np.testing.assert_allclose((r - 1) * (r**n + kappa) ** 2 / r**n, exact, rtol=1e-9)
    # 1e-6 away the sign of the eigenvalue is certain on either side
    assert smallest_eigenvalue(T, r * (1 - 1e-6), kappa) > 0 > smallest_eigenvalue(T, r * (1 + 1e-6), kappa)
