"""The verdict on a nonlinear network, by the trend of sampled kernels over widths."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from numerics.checking.nonlinear import compare_trend
from numerics.inputs.problem import endpoint

KERNEL = np.array([[0.52, 0.40, 0.44], [0.40, 0.67, 0.72], [0.44, 0.72, 0.85]])


def state(branch="coherent"):
    problem = endpoint(4, 40.0, activation="erf")
    return SimpleNamespace(problem=problem, kernel=KERNEL, kernel_error=np.zeros((3, 3)), branch=branch)


class Planted(SimpleNamespace):
    """A simulation whose mean kernel has a shift at finite width, in the negative basin until it is fixed."""

    problem = endpoint(4, 40.0, activation="erf")
    has_sign_symmetry = True
    rhat, ess = 1.0, 1000.0

    @property
    def kernel_mean(self):
        kernel = self.limit * (1 + 3 / self.width - 20 / self.width**2)
        return kernel if self.fixed else kernel * (-1.0) ** np.add.outer(np.arange(3), np.arange(3))

    @property
    def kernel_standard_error(self):
        return np.full((3, 3), 0.02 / np.sqrt(self.width))

    def gauge_fixed(self):
        return Planted(limit=self.limit, width=self.width, fixed=True)


def verdict(limit, solution):
    simulations = [Planted(limit=limit, width=width, fixed=False) for width in (64, 128, 256)]
    return compare_trend(solution, simulations).agreement


def test_the_shift_at_finite_width_is_no_disagreement():
    agreement = verdict(KERNEL, state())
    assert agreement.agrees, agreement.reason
    # without the trend the widest network would disagree
    widest = Planted(limit=KERNEL, width=256, fixed=True)
    assert np.abs((widest.kernel_mean - KERNEL) / widest.kernel_standard_error).max() > 5


@pytest.mark.parametrize("fault", ["scale", "entry"])
def test_a_wrong_limit_is_a_disagreement(fault):
    wrong = KERNEL.copy()
    if fault == "scale":
        wrong *= 1.05
    else:
        wrong[0, 2] = wrong[2, 0] = 0.47
    assert not verdict(wrong, state()).agrees


class Mixed(Planted):
    """Its draws have either sign: the means of odd entries are 0 until each draw is taken to the positive one."""

    @property
    def kernel_mean(self):
        even = np.add.outer(np.arange(3), np.arange(3)) % 2 == 0
        return super().kernel_mean * even


@pytest.mark.parametrize("branch", ["incoherent", "coherent"])
def test_a_state_that_the_symmetry_keeps_has_no_sign_to_be_fixed(branch):
    """Labels at two times of one parity make coherent states without odd lags, too."""
    simulations = [Mixed(limit=KERNEL, width=width, fixed=False) for width in (64, 128, 256)]
    kept = state(branch)
    kept.kernel = np.where(np.add.outer(np.arange(3), np.arange(3)) % 2, 0.0, KERNEL)
    agreement = compare_trend(kept, simulations).agreement
    assert agreement.agrees, agreement.reason


def test_the_error_of_the_averages_counts():
    unsure = state()
    unsure.kernel_error = np.full((3, 3), 0.02)
    assert verdict(1.05 * KERNEL, unsure).agrees
