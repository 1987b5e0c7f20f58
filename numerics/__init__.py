"""What is computed: lowering, saddle solvers, predictors, and the simulator (numerics.sampling).

Names are imported when first used, so that ``import numerics`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numerics.continuation.diagram import continue_branch as continue_branch
    from numerics.continuation.diagram import diagram as diagram
    from numerics.continuation.hysteresis import hysteresis as hysteresis
    from numerics.lowering.scalar import lower as lower
    from numerics.problem import InputError as InputError
    from numerics.problem import Problem as Problem
    from numerics.problem import endpoint as endpoint
    from numerics.problem import sequence as sequence
    from numerics.problem_file import load as load
    from numerics.saddle.search import solve as solve
    from numerics.saddle.search import solve_all as solve_all
    from numerics.solution import Solution as Solution
    from numerics.teachers import Teacher as Teacher
    from numerics.teachers import rotation_teacher as rotation_teacher
    from numerics.transition.batch import solve_endpoint_batch as solve_endpoint_batch
    from numerics.transition.scan import scan_endpoint as scan_endpoint

_HOMES = {
    "InputError": "numerics.problem",
    "Problem": "numerics.problem",
    "Solution": "numerics.solution",
    "Teacher": "numerics.teachers",
    "continue_branch": "numerics.continuation.diagram",
    "diagram": "numerics.continuation.diagram",
    "endpoint": "numerics.problem",
    "hysteresis": "numerics.continuation.hysteresis",
    "load": "numerics.problem_file",
    "lower": "numerics.lowering.scalar",
    "rotation_teacher": "numerics.teachers",
    "scan_endpoint": "numerics.transition.scan",
    "sequence": "numerics.problem",
    "solve": "numerics.saddle.search",
    "solve_all": "numerics.saddle.search",
    "solve_endpoint_batch": "numerics.transition.batch",
}

__all__ = [
    "InputError",
    "Problem",
    "Solution",
    "Teacher",
    "endpoint",
    "hysteresis",
    "load",
    "lower",
    "rotation_teacher",
    "scan_endpoint",
    "sequence",
    "solve",
    "solve_all",
    "solve_endpoint_batch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
