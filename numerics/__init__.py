"""What is computed: lowering, saddle solvers, predictors, and the simulator (numerics.sampling).

Names are imported when first used, so that ``import numerics`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numerics.activation import Activation as Activation
    from numerics.agreement import Agreement as Agreement
    from numerics.agreement import compare as compare
    from numerics.checking.check import Check as Check
    from numerics.checking.check import check as check
    from numerics.continuation.diagram import continue_branch as continue_branch
    from numerics.continuation.diagram import diagram as diagram
    from numerics.continuation.hysteresis import hysteresis as hysteresis
    from numerics.continuation.states import solve_all as solve_all
    from numerics.lowering.scalar import lower as lower
    from numerics.nonlinear.critical import critical_signal as critical_signal
    from numerics.nonlinear.search import solve_all_nonlinear as solve_all_nonlinear
    from numerics.nonlinear.search import solve_nonlinear as solve_nonlinear
    from numerics.nonlinear.search import state_near as state_near
    from numerics.nonlinear.solution import NonlinearSolution as NonlinearSolution
    from numerics.plotting import plot as plot
    from numerics.predictors.finite_width import kernel_sd as kernel_sd
    from numerics.predictors.observables import cka as cka
    from numerics.predictors.observables import outliers as outliers
    from numerics.predictors.observables import predict as predict
    from numerics.problem import InputError as InputError
    from numerics.problem import Problem as Problem
    from numerics.problem import endpoint as endpoint
    from numerics.problem import sequence as sequence
    from numerics.problem_file import load as load
    from numerics.saddle.search import solve as solve
    from numerics.sampling.result import Simulation as Simulation
    from numerics.sampling.simulate import simulate as simulate
    from numerics.solution import Solution as Solution
    from numerics.storage import load_result as load_result
    from numerics.storage import save_result as save_result
    from numerics.teachers import Teacher as Teacher
    from numerics.teachers import rotation_teacher as rotation_teacher
    from numerics.transition.batch import solve_endpoint_batch as solve_endpoint_batch
    from numerics.transition.landscape import landscape as landscape
    from numerics.transition.scan import EndpointScan as EndpointScan
    from numerics.transition.scan import scan_endpoint as scan_endpoint

_HOMES = {
    "Agreement": "numerics.agreement",
    "Check": "numerics.checking.check",
    "EndpointScan": "numerics.transition.scan",
    "InputError": "numerics.problem",
    "NonlinearSolution": "numerics.nonlinear.solution",
    "Activation": "numerics.activation",
    "Problem": "numerics.problem",
    "Simulation": "numerics.sampling.result",
    "Solution": "numerics.solution",
    "Teacher": "numerics.teachers",
    "check": "numerics.checking.check",
    "cka": "numerics.predictors.observables",
    "compare": "numerics.agreement",
    "continue_branch": "numerics.continuation.diagram",
    "critical_signal": "numerics.nonlinear.critical",
    "diagram": "numerics.continuation.diagram",
    "endpoint": "numerics.problem",
    "hysteresis": "numerics.continuation.hysteresis",
    "kernel_sd": "numerics.predictors.finite_width",
    "landscape": "numerics.transition.landscape",
    "load": "numerics.problem_file",
    "load_result": "numerics.storage",
    "lower": "numerics.lowering.scalar",
    "outliers": "numerics.predictors.observables",
    "plot": "numerics.plotting",
    "predict": "numerics.predictors.observables",
    "rotation_teacher": "numerics.teachers",
    "save_result": "numerics.storage",
    "scan_endpoint": "numerics.transition.scan",
    "sequence": "numerics.problem",
    "simulate": "numerics.sampling.simulate",
    "solve": "numerics.saddle.search",
    "solve_all": "numerics.continuation.states",
    "solve_all_nonlinear": "numerics.nonlinear.search",
    "solve_endpoint_batch": "numerics.transition.batch",
    "solve_nonlinear": "numerics.nonlinear.search",
    "state_near": "numerics.nonlinear.search",
}

__all__ = [
    "Activation",
    "Agreement",
    "Check",
    "EndpointScan",
    "InputError",
    "NonlinearSolution",
    "Problem",
    "Simulation",
    "Solution",
    "Teacher",
    "check",
    "cka",
    "compare",
    "continue_branch",
    "critical_signal",
    "diagram",
    "endpoint",
    "hysteresis",
    "kernel_sd",
    "landscape",
    "load",
    "load_result",
    "lower",
    "outliers",
    "plot",
    "predict",
    "rotation_teacher",
    "save_result",
    "scan_endpoint",
    "sequence",
    "simulate",
    "solve",
    "solve_all",
    "solve_all_nonlinear",
    "solve_endpoint_batch",
    "solve_nonlinear",
    "state_near",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
