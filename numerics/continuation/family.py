"""A problem with one scale parameter set free: the signal λ, the noise κ, or a prior width u, v, w."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.linear.functional import KernelFunctional, KernelPoint, kernel_functional

Parameter = Literal["signal", "kappa", "u", "v", "w"]
PARAMETERS: tuple[str, ...] = get_args(Parameter)

#: Step of the five-point central difference in ``ln p``: its error is below rounding in the gradient.
_STEP = 2e-3


@dataclass(frozen=True, eq=False)
class Family:
    """Free energies ``F(H; θ)``, ``θ = ln p``, of one problem in one parameter.

    The signal multiplies every ``y²``: the given labels are those at λ = 1, so that ``endpoint(T, 1.0)`` has the λ of
    docs/theory.md section 5. The other parameters replace the problem's own.

    Attributes:
        problem: the others of its numbers stay as they are.
        parameter: ``"signal"``, ``"kappa"``, ``"u"``, ``"v"`` or ``"w"``.
        base: the functional of ``problem`` itself.
    """

    problem: Problem
    parameter: Parameter
    base: KernelFunctional

    def value(self, theta: float) -> float:
        """p."""
        return math.exp(theta)

    def at(self, theta: float) -> Problem:
        """The problem at one value of the parameter."""
        if self.parameter == "signal":
            return self.problem.with_(y=math.exp(0.5 * theta) * self.problem.y)
        return self.problem.with_(**{self.parameter: math.exp(theta)})

    def functional(self, theta: float) -> KernelFunctional:
        """Its free energy."""
        p = math.exp(theta)
        if self.parameter == "signal":
            return self.base.with_labels(math.sqrt(p))
        if self.parameter == "u":
            return replace(self.base, input_covariance=p / self.problem.u * self.base.input_covariance)
        if self.parameter == "kappa":
            return replace(self.base, kappa=p)
        return replace(self.base, v=p) if self.parameter == "v" else replace(self.base, w=p)

    def force(self, point: KernelPoint, theta: float) -> FloatArray:
        """``∂G/∂θ`` at fixed H, in the natural metric, (m, m)."""
        if self.parameter == "signal":
            return point.energy_gradient
        near, far = (self._difference(point, theta, step) for step in (_STEP, 2 * _STEP))
        return (8.0 * near - far) / (12.0 * _STEP)

    def _difference(self, point: KernelPoint, theta: float, step: float) -> FloatArray:
        above, below = (KernelPoint(self.functional(theta + s), point.H, point.L).gradient for s in (step, -step))
        return above - below


def family(problem: Problem, parameter: Parameter) -> Family:
    """One problem's family.

    Raises:
        InputError: the parameter has no such name, the activation is not linear, or the kernel is too large for a
            branch of them.
    """
    if parameter not in PARAMETERS:
        raise InputError(f"parameter: is {parameter!r}; accepted: {', '.join(PARAMETERS)}")
    if problem.activation.name != "linear":
        raise InputError(f"activation: is {problem.activation.name!r}; accepted: linear")
    base = kernel_functional(problem)
    if base.dimension > LARGEST:
        raise InputError(f"problem: has {base.dimension} kernel rows; accepted: at most {LARGEST} for continuation")
    return Family(problem, parameter, base)


#: Most rows of the unknown matrix: a branch keeps some hundred kernels.
LARGEST = 512
