"""The parameters along which branches are followed: what each changes of a problem, and of its free energy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linear.functional import KernelFunctional, kernel_functional


@dataclass(frozen=True, eq=False)
class Parameter:
    """One positive number p that scales a problem; branches are followed in ``θ = ln p``.

    Attributes:
        name: as ``--over`` and ``over=`` have it.
        symbol: its name on an axis, with LaTeX.
        applied: the problem at a value of p.
        functional: its free energy, from that of the problem given; made anew unless there is a quicker way.
        own: the value that a problem has.
        power: of p in the random network's last kernel.
    """

    name: str
    symbol: str
    applied: Callable[[Problem, float], Problem]
    functional: Callable[[KernelFunctional, Problem, float], KernelFunctional] | None = None
    own: Callable[[Problem], float] | None = None
    power: Callable[[Problem], int] = lambda problem: 1

    def value_of(self, problem: Problem) -> float:
        """p of the problem given: its field of that name."""
        return float(getattr(problem, self.name)) if self.own is None else self.own(problem)

    def functional_at(self, base: KernelFunctional, problem: Problem, value: float) -> KernelFunctional:
        """The free energy at one value."""
        if self.functional is None:
            return kernel_functional(self.applied(problem, value))
        return self.functional(base, problem, value)


def _field(name: str) -> Callable[[Problem, float], Problem]:
    return lambda problem, value: problem.with_(**{name: value})


def _with_signal(problem: Problem, signal: float) -> Problem:
    if not signal >= 0:
        raise InputError(f"signal: is {signal:g}; accepted: a finite number ≥ 0")
    return problem.with_(y=math.sqrt(signal) * problem.y)


def _with_inputs(base: KernelFunctional, problem: Problem, u: float) -> KernelFunctional:
    if problem.bias:
        return kernel_functional(problem.with_(u=u))
    return replace(base, input_covariance=u / problem.u * base.input_covariance)


#: By name. The signal multiplies every y²: a problem's own labels are those at λ = 1, so that ``endpoint(T, 1.0)`` has
#: the λ of docs/theory.md section 5. The others replace the problem's own.
PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            "signal",
            r"signal $\lambda$",
            _with_signal,
            lambda base, problem, signal: base.with_labels(math.sqrt(signal)),
            own=lambda problem: 1.0,
        ),
        Parameter("kappa", r"noise $\kappa$", _field("kappa"), lambda base, problem, p: replace(base, kappa=p)),
        Parameter("u", "$u$", _field("u"), _with_inputs),
        Parameter("v", "$v$", _field("v"), lambda base, problem, p: replace(base, v=p)),
        Parameter(
            "w",
            "$w$",
            _field("w"),
            lambda base, problem, p: replace(base, w=p),
            power=lambda problem: max(1, problem.n - 1),
        ),
    )
}


def parameter_named(name: str) -> Parameter:
    """One of ``PARAMETERS``.

    Raises:
        InputError: there is none of this name.
    """
    if name not in PARAMETERS:
        raise InputError(f"parameter: is {name!r}; accepted: {', '.join(PARAMETERS)}")
    return PARAMETERS[name]


def changed(problem: Problem, **values: Any) -> Problem:
    """A problem with several parameters changed, its architecture (``arch``) among them where it is given.

    Raises:
        InputError: there is no such parameter, or a value is out of range.
    """
    if "arch" in values:
        problem = problem.with_(arch=values.pop("arch"))
    for name, value in values.items():
        problem = parameter_named(name).applied(problem, value)
    return problem
