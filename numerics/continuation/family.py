"""A problem with one of its parameters set free."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numerics.continuation.options import DEFAULT, Options
from numerics.continuation.parameters import Parameter, parameter_named
from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.linear.functional import KernelFunctional, KernelPoint, kernel_functional

#: Step of the five-point central difference in ``ln p``: its error is below rounding in the gradient.
_STEP = 2e-3
#: Most rows of the unknown matrix: a branch keeps some hundred kernels.
LARGEST = 512


@dataclass(frozen=True, eq=False)
class Family:
    """Free energies ``F(H; θ)``, ``θ = ln p``, of one problem in one parameter.

    Attributes:
        problem: the others of its numbers stay as they are.
        parameter: p.
        base: the functional of ``problem`` itself.
        options: how branches are followed.
    """

    problem: Problem
    parameter: Parameter
    base: KernelFunctional
    options: Options

    def at(self, theta: float) -> Problem:
        """The problem at one value of the parameter."""
        return self.parameter.applied(self.problem, math.exp(theta))

    def functional(self, theta: float) -> KernelFunctional:
        """Its free energy."""
        return self.parameter.functional_at(self.base, self.problem, math.exp(theta))

    def force(self, point: KernelPoint, theta: float) -> FloatArray:
        """``∂G/∂θ`` at fixed H, in the natural metric, (m, m)."""
        if self.parameter.name == "signal":
            return point.energy_gradient
        near, far = (self._difference(point, theta, step) for step in (_STEP, 2 * _STEP))
        return (8.0 * near - far) / (12.0 * _STEP)

    def _difference(self, point: KernelPoint, theta: float, step: float) -> FloatArray:
        above, below = (KernelPoint(self.functional(theta + s), point.H, point.L).gradient for s in (step, -step))
        return above - below


def family(problem: Problem, parameter: str, options: Options = DEFAULT) -> Family:
    """One problem's family.

    Raises:
        InputError: the parameter has no such name, the activation is not linear, or the kernel is too large for a
            branch of them.
    """
    free = parameter_named(parameter)
    if problem.activation.name != "linear":
        raise InputError(f"activation: is {problem.activation.name!r}; accepted: linear")
    base = kernel_functional(problem)
    if base.dimension > LARGEST:
        raise InputError(f"problem: has {base.dimension} kernel rows; accepted: at most {LARGEST} for continuation")
    return Family(problem, free, base, options)
