"""The parameters along which branches are followed: what each changes of a problem, and of its free energy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.inputs.driving import driving_inputs
from numerics.inputs.problem import Problem
from numerics.linalg import FloatArray
from numerics.linear.functional import KernelFunctional, kernel_functional

#: Where a range begins at 0, the p above which θ is nearly ``ln p``, over its largest value.
FROM_ZERO = 0.1


@dataclass(frozen=True, eq=False)
class Parameter:
    """One number p of a problem; branches are followed in ``θ = ln(p + origin)``.

    Attributes:
        name: as ``--over`` and ``over=`` have it.
        symbol: its name on an axis, with LaTeX.
        applied: the problem at a value of p.
        functional: its free energy, from that of the problem given; made anew unless there is a quicker way.
        own: the value that a problem has.
        power: of p in the random network's last kernel.
        most: the largest value.
        origin: 0 where p must be positive; a positive one lets p be 0, and θ is nearly linear in p below it.
        regular: whether F is smooth at p = 0, so that a range may begin there.
        framed: whether the coordinates of kernels are those of the problem given at every value, where a problem made
            anew might have others.
    """

    name: str
    symbol: str
    applied: Callable[[Problem, float], Problem]
    functional: Callable[[KernelFunctional, Problem, float], KernelFunctional] | None = None
    own: Callable[[Problem], float] | None = None
    power: Callable[[Problem], int] = lambda problem: 1
    most: float = math.inf
    origin: float = 0.0
    regular: bool = False
    framed: bool = False

    def value_of(self, problem: Problem) -> float:
        """p of the problem given: its field of that name."""
        return float(getattr(problem, self.name)) if self.own is None else self.own(problem)

    @property
    def least(self) -> float:
        """The lowest θ: that of p = 0."""
        return self.coordinate(0.0) if self.origin else -math.inf

    def coordinate(self, value: float) -> float:
        """θ of p."""
        return math.log(value + self.origin)

    def value_at(self, theta: float) -> float:
        """p of θ."""
        return math.exp(theta) - self.origin

    def require(self, name: str, low: float) -> None:
        """Refuse a lowest value of a range.

        Raises:
            InputError: it is not positive, or below 0 where p may be 0.
        """
        if not (low > 0 or (low == 0 and self.regular)):
            raise InputError(f"{name}: begins at {low:g}; accepted: {'0 or ' if self.regular else ''}a positive number")

    def along(self, low: float, high: float) -> Parameter:
        """The same, followed from low to high: from 0 in a coordinate that is finite there."""
        return self if low > 0 or self.origin else replace(self, origin=FROM_ZERO * high)

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


def at_unit_signal(problem: Problem) -> Problem:
    """Endpoint supervision (docs/theory.md section 5) with its label at λ = 1; any other problem as it is.

    Endpoint supervision is one pattern, seen at t = 0, with one label, at the last output.
    """
    endpoint = problem.y.shape == (1, problem.n) and np.isfinite(problem.y).sum() == 1 and not problem.x[:, 1:].any()
    if not endpoint or not abs(problem.y[0, -1]) > 0:
        return problem
    input_size = float(problem.x[0, 0] @ problem.x[0, 0]) / problem.D
    label = math.sqrt(problem.v * problem.w ** (problem.T - 2) * problem.u * input_size)
    return problem.with_(y=np.where(np.isnan(problem.y), np.nan, math.copysign(label, problem.y[0, -1])))


def _with_inputs(base: KernelFunctional, problem: Problem, u: float) -> KernelFunctional:
    if problem.bias:
        return _driven(base, problem, u, problem.bias, problem.bias_sharing)
    return replace(base, input_covariance=u / problem.u * base.input_covariance)


def _with_bias(base: KernelFunctional, problem: Problem, bias: float) -> KernelFunctional:
    return _driven(base, problem, problem.u, bias, problem.bias_sharing)


def _driven(base: KernelFunctional, problem: Problem, u: float, bias: float, B: FloatArray) -> KernelFunctional:
    """With ``uX⁻ + βB`` of other u, β and B, in the coordinates of a problem that has biases."""
    inputs, biases = np.split(base.space.inputs, [problem.D], axis=1)
    inverse = np.linalg.pinv(driving_inputs(problem, problem.x)[0, :, problem.D :])  # of a root of βB D/u
    spread = bias * problem.D / problem.u * inverse @ B @ inverse.T
    return replace(base, input_covariance=u * inputs @ inputs.T + problem.u * biases @ spread @ biases.T)


def _correlation(problem: Problem) -> float:
    """ρ of an architecture.

    Raises:
        InputError: it has none.
    """
    family, _, rho = problem.arch.partition(":")
    if family not in ("shared", "drift"):
        raise InputError(f"arch: is {problem.arch!r}; accepted: shared:ρ or drift:ρ, of which rho is varied")
    return float(rho)


def _with_correlation(problem: Problem, rho: float) -> Problem:
    _correlation(problem)
    return problem.with_(arch=f"{problem.arch.partition(':')[0]}:{rho!r}")


def _with_sharing(base: KernelFunctional, problem: Problem, rho: float) -> KernelFunctional:
    """By the family's rule, which is smooth beyond ρ = 1 too, where no network has it."""
    lags = np.abs(np.subtract.outer(np.arange(problem.n), np.arange(problem.n)))
    B = rho**lags if problem.arch.startswith("drift") else rho + (1 - rho) * (lags == 0)
    found = replace(base, space=replace(base.space, sharing=B[1:, 1:]))
    return _driven(found, problem, problem.u, problem.bias, B) if problem.bias else found


#: By name. The signal multiplies every y²: a problem's own labels are those at λ = 1, so that ``endpoint(T, 1.0)`` has
#: the λ of docs/theory.md section 5 (`at_unit_signal`). The others replace the problem's own; rho is that of shared:ρ
#: and drift:ρ.
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
        Parameter(
            "kappa",
            r"noise $\kappa$",
            _field("kappa"),
            lambda base, problem, p: replace(base, kappa=p),
            regular=True,
        ),
        Parameter("u", "$u$", _field("u"), _with_inputs),
        Parameter("v", "$v$", _field("v"), lambda base, problem, p: replace(base, v=p)),
        Parameter(
            "w",
            "$w$",
            _field("w"),
            lambda base, problem, p: replace(base, w=p),
            power=lambda problem: max(1, problem.n - 1),
        ),
        Parameter(
            "rho",
            r"correlation $\rho$",
            _with_correlation,
            _with_sharing,
            own=_correlation,
            most=1.0,
            origin=0.1,
            regular=True,
            framed=True,
        ),
        Parameter("skip", "skip connection $a$", _field("skip"), power=lambda problem: 2 * max(1, problem.n - 1)),
        Parameter("bias", r"bias $\beta$", _field("bias"), _with_bias, regular=True, framed=True),
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
    if "signal" in values:
        problem = at_unit_signal(problem)
    for name, value in values.items():
        problem = parameter_named(name).applied(problem, value)
    return problem
