"""A problem with one of its parameters set free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from numerics.continuation.options import DEFAULT, Options
from numerics.continuation.parameters import Parameter, parameter_named
from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray, symmetric
from numerics.linear.functional import KernelFunctional, KernelPoint, kernel_functional
from numerics.linear.solution import LinearSolution
from numerics.linear.space import KernelSpace

#: Step of the five-point central difference in θ: its error is below rounding in the gradient.
_STEP = 2e-3


@dataclass(frozen=True, eq=False)
class Family:
    """Free energies ``F(H; θ)`` of one problem in one parameter p, ``θ = ln(p + origin)`` (``Parameter``).

    Attributes:
        problem: the others of its numbers stay as they are. Its own value of p, which would be replaced, is not 0.
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
        value = self.parameter.value_at(theta)
        return self.parameter.applied(self.problem, min(max(value, 0.0), self.parameter.most))  # but for rounding

    def functional(self, theta: float) -> KernelFunctional:
        """Its free energy."""
        return self.parameter.functional_at(self.base, self.problem, self.parameter.value_at(theta))

    def state(self, solution: LinearSolution, theta: float) -> KernelPoint:
        """A state that was found at one value of the parameter, in the coordinates of the family."""
        functional = self.functional(theta)
        if not self.parameter.framed:
            return functional.at(solution.reduced)
        inverse = np.linalg.pinv(functional.space.full_basis())
        return functional.at(symmetric(inverse @ solution.kernel @ inverse.T))

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
    if free.value_of(problem) == 0:
        problem = free.applied(problem, 1.0)
    base = kernel_functional(problem)
    _require_smooth(free, problem, base.space)
    if base.dimension > options.most_rows:
        raise InputError(
            f"problem: has {base.dimension} kernel rows; accepted: at most {options.most_rows} for continuation"
        )
    return Family(problem, free, base, options)


def _require_smooth(free: Parameter, problem: Problem, space: KernelSpace) -> None:
    """Refuse coordinates that would turn or jump with the parameter.

    Raises:
        InputError: they do: inputs at several times do not span what the matrices of different times have in common.
    """
    biased = problem.bias > 0 and free.name in ("u", "rho", "bias")
    simple = space.is_tied or _of_one_frame(problem, space)
    whole = np.linalg.matrix_rank(space.full_basis()) == space.dimension
    if (free.name == "skip" and not simple) or ((biased or free.framed) and not whole):
        raise InputError(
            f"x: has inputs at several times that span shared directions; accepted along {free.name}: patterns whose "
            "first inputs are independent, or inputs at t = 0 only"
        )


def _of_one_frame(problem: Problem, space: KernelSpace) -> bool:
    """Whether each block is that of one time's drive, in the same coordinates of patterns at all times."""
    if len(set(space.sizes)) > 1:
        return False
    lags = np.subtract.outer(np.arange(problem.n), np.arange(problem.n))
    powers = np.where(lags >= 0, problem.skip ** np.maximum(lags, 0.0), 0.0)
    Q = space.full_basis()
    return bool(np.allclose(Q, np.kron(powers, Q[: problem.P, : space.block]), rtol=0, atol=1e-12 * np.abs(Q).max()))
