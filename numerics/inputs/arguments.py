"""The gate for what a public function is about: a problem, or a solved state. Another object, or a keyword that it does
not take, is told in one line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from numerics.errors import InputError
from numerics.inputs.keywords import refuse_unexpected
from numerics.inputs.scalars import shown

P = ParamSpec("P")
R = TypeVar("R")


def of_problem(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse a first argument that is no `Problem`."""

    def is_problem(value: Any) -> bool:
        from numerics.inputs.problem import Problem  # whose own functions use these gates

        return isinstance(value, Problem)

    return _gated(function, is_problem, "a Problem, such as endpoint(T=4, signal=20.0)")


def of_state(function: Callable[P, R]) -> Callable[P, R]:
    """Refuse a first argument that is no state: it has a problem and a kernel."""

    def is_state(value: Any) -> bool:
        return hasattr(value, "problem") and hasattr(value, "kernel")

    return _gated(function, is_state, "a state, such as solve(problem)")


def _gated(function: Callable[P, R], is_kind: Callable[[Any], bool], accepted: str) -> Callable[P, R]:
    accepts = list(inspect.signature(function).parameters)
    name = accepts[0]

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse_unexpected(function.__name__, kwargs, accepts)
        if args or name in kwargs:  # else Python says that it is missing
            require_kind(args[0] if args else kwargs[name], name, is_kind, accepted)
        return function(*args, **kwargs)

    return called


def require_kind(value: Any, name: str, is_kind: Callable[[Any], bool], accepted: str) -> None:
    """Refuse a value that is not of a kind.

    Raises:
        InputError: which names its type.
    """
    if not is_kind(value):
        raise InputError(f"{name}: is of type {type(value).__name__}; accepted: {accepted}")


def require_choice(value: Any, name: str, accepted: Iterable[str]) -> None:
    """Refuse what is none of some words.

    Raises:
        InputError: which names them.
    """
    words = tuple(accepted)
    if not (isinstance(value, str) and value in words):
        raise InputError(f"{name}: is {shown(value)}; accepted: {', '.join(words)}")
