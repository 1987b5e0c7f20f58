"""The expansion of a linear network's density around a minimum: third derivatives, and what first order leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from numerics import solve
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linear import fluctuations as module
from numerics.linear.fluctuations import Expansion, fluctuations, next_term
from numerics.linear.solution import linear_state
from numerics.predictors.finite_width import _read_out, kernel_mean, kernel_shift


def two_outputs(**options):
    rng = np.random.default_rng(3)
    y = np.full((2, 3, 2), np.nan)
    y[:, 2, 0], y[:, 1, 1] = (1.5, -1.0), (0.5, 2.0)
    return Problem(rng.standard_normal((2, 3)), y, **options)


@pytest.mark.parametrize(
    "problem",
    [
        endpoint(5, 30.0),
        endpoint(5, 30.0, arch="drift:0.6", w=0.7),
        sequence(4, 1.0, 1.2, (1, 3), arch="shared:0.5", skip=0.4, bias=0.2, kappa=0.3),
        sequence(4, 1.0, 1.2, (1, 3), arch="dnn"),
        two_outputs(arch="looped:2", v=1.4),
    ],
    ids=str,
)
def test_the_force_is_the_slope_of_the_effective_action(problem):
    """``A + ½ ln|𝓗|`` in one S, by differences."""
    found = fluctuations(linear_state(solve(problem)))
    f, L, m = found.point.functional, found.point.L, len(found.point.L)
    half = np.random.default_rng(1).standard_normal((m, m)) / m
    along = half + half.T

    def action(step):
        moved = np.eye(m) + step * along
        point = f.at(L @ moved @ L.T)
        # ½(m+1) ln|H| of A, and ½ ln|𝓗| in the neighbour's S less (m+1) ln|1+S|, cancel what they have of ln|1+S|
        return 0.5 * (Expansion.at(point).log_determinant + sum(float(log) for _, log in _read_out(f, point.H)))

    step = 2e-3
    slope = (8 * (action(step) - action(-step)) - action(2 * step) + action(-2 * step)) / (12 * step)
    assert np.vdot(found.force, along) == pytest.approx(slope, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(("signal", "width"), [(4.0, 64), (20.0, 128)])
def test_the_next_order_has_the_size_of_what_the_exact_density_has_beyond_the_first(signal, width):
    state = linear_state(solve(endpoint(4, signal)))
    exact = kernel_mean(state, width, one_sign=state.branch == "coherent", draws=60_000)
    missed = np.linalg.norm(exact.kernel - state.kernel - kernel_shift(state) / width)
    assert missed > 2 * np.linalg.norm(exact.standard_error)
    assert 1 / 3 < np.linalg.norm(next_term(state, width)) / missed < 4
    sizes = [np.linalg.norm(next_term(state, 10**power)) for power in (4, 5)]
    assert sizes[0] / sizes[1] == pytest.approx(100, rel=0.02)  # of order 1/N²


def test_a_width_at_which_the_expansion_fails_and_a_kernel_that_is_too_large(monkeypatch):
    state = linear_state(solve(endpoint(4, 12.0)))
    assert np.isinf(next_term(state, 20)).all()
    monkeypatch.setattr(module, "LARGEST_HESSIAN", 2)
    fluctuations.cache_clear()
    with pytest.raises(InputError, match="has 3 kernel rows; accepted: at most 2"):
        fluctuations(state)
