"""What is computed: lowering, saddle solvers, predictors, and the simulator (numerics.sampling).

Names are imported when first used, so that ``import numerics`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numerics.checking.agreement import Agreement as Agreement
    from numerics.checking.agreement import compare as compare
    from numerics.checking.check import Check as Check
    from numerics.checking.check import check as check
    from numerics.continuation.diagram import continue_branch as continue_branch
    from numerics.continuation.scan import Scan as Scan
    from numerics.continuation.scan import scan as scan
    from numerics.endpoint_task.batch import solve_endpoint_batch as solve_endpoint_batch
    from numerics.endpoint_task.landscape import landscape as landscape
    from numerics.errors import InputError as InputError
    from numerics.inputs.activation import Activation as Activation
    from numerics.inputs.problem import Problem as Problem
    from numerics.inputs.problem import endpoint as endpoint
    from numerics.inputs.problem_file import load_problem as load_problem
    from numerics.inputs.teachers import Teacher as Teacher
    from numerics.inputs.teachers import rotation_teacher as rotation_teacher
    from numerics.inputs.teachers import sequence as sequence
    from numerics.lowering.scalar import lower as lower
    from numerics.nonlinear.critical import critical_signal as critical_signal
    from numerics.nonlinear.solution import NonlinearSolution as NonlinearSolution
    from numerics.predictors.finite_width import kernel_sd as kernel_sd
    from numerics.predictors.observables import cka as cka
    from numerics.predictors.observables import outliers as outliers
    from numerics.predictors.observables import predict as predict
    from numerics.results.plotting import plot as plot
    from numerics.results.solution import Solution as Solution
    from numerics.results.solutions import Solutions as Solutions
    from numerics.results.storage import load as load
    from numerics.results.storage import save as save
    from numerics.sampling.result import Simulation as Simulation
    from numerics.sampling.simulate import simulate as simulate
    from numerics.solving import solve as solve
    from numerics.solving import solve_all as solve_all
    from numerics.solving import state_near as state_near

_HOMES = {
    "Agreement": "numerics.checking.agreement",
    "Check": "numerics.checking.check",
    "InputError": "numerics.errors",
    "NonlinearSolution": "numerics.nonlinear.solution",
    "Activation": "numerics.inputs.activation",
    "Problem": "numerics.inputs.problem",
    "Scan": "numerics.continuation.scan",
    "Simulation": "numerics.sampling.result",
    "Solution": "numerics.results.solution",
    "Solutions": "numerics.results.solutions",
    "Teacher": "numerics.inputs.teachers",
    "check": "numerics.checking.check",
    "cka": "numerics.predictors.observables",
    "compare": "numerics.checking.agreement",
    "continue_branch": "numerics.continuation.diagram",
    "critical_signal": "numerics.nonlinear.critical",
    "endpoint": "numerics.inputs.problem",
    "kernel_sd": "numerics.predictors.finite_width",
    "landscape": "numerics.endpoint_task.landscape",
    "load": "numerics.results.storage",
    "load_problem": "numerics.inputs.problem_file",
    "save": "numerics.results.storage",
    "lower": "numerics.lowering.scalar",
    "outliers": "numerics.predictors.observables",
    "plot": "numerics.results.plotting",
    "predict": "numerics.predictors.observables",
    "rotation_teacher": "numerics.inputs.teachers",
    "scan": "numerics.continuation.scan",
    "sequence": "numerics.inputs.teachers",
    "simulate": "numerics.sampling.simulate",
    "solve": "numerics.solving",
    "solve_all": "numerics.solving",
    "solve_endpoint_batch": "numerics.endpoint_task.batch",
    "state_near": "numerics.solving",
}

__all__ = [
    "Activation",
    "Agreement",
    "Check",
    "InputError",
    "NonlinearSolution",
    "Problem",
    "Scan",
    "Simulation",
    "Solution",
    "Solutions",
    "Teacher",
    "check",
    "cka",
    "compare",
    "continue_branch",
    "critical_signal",
    "endpoint",
    "kernel_sd",
    "landscape",
    "load",
    "load_problem",
    "lower",
    "outliers",
    "plot",
    "predict",
    "rotation_teacher",
    "save",
    "scan",
    "sequence",
    "simulate",
    "solve",
    "solve_all",
    "solve_endpoint_batch",
    "state_near",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
