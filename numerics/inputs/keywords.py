"""Functions whose ``**options`` are the fields of something else: help and completion show them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from typing import ParamSpec, TypeVar

from numerics.errors import nearest_word

P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K")


def takes(options: type, *, but: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Put the fields of a dataclass or the keys of a TypedDict in place of ``**options`` in a function's signature.

    Those of `but` are left out. A keyword that is neither raises TypeError, which names the function that was called
    and the keyword meant.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        named = {*but, *(p.name for p in own)}
        own += [p for p in _parameters(options) if p.name not in named]
        accepted = [p.name for p in own]

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            refuse_unexpected(function.__name__, kwargs, accepted)
            return function(*args, **kwargs)

        called.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        return called

    return decorated


def names_keywords(kind: type[K]) -> type[K]:
    """Have a class that is made with a wrong keyword name itself and the keyword meant."""
    made = kind.__init__
    accepted = list(inspect.signature(made).parameters)[1:]

    @functools.wraps(made)
    def init(self: K, *args: object, **kwargs: object) -> None:
        refuse_unexpected(kind.__name__, kwargs, accepted)
        made(self, *args, **kwargs)

    kind.__init__ = init  # type: ignore[method-assign, assignment]
    return kind


def refuse_unexpected(function: str, given: Iterable[str], accepted: list[str]) -> None:
    """Refuse keywords that are not accepted.

    Raises:
        TypeError: which names the function and the keyword meant.
    """
    for name in given:
        if name not in accepted:
            meant = nearest_word(name, accepted)
            told = f"did you mean {meant!r}?" if meant else f"accepted: {', '.join(accepted)}"
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; {told}")


def _parameters(options: type) -> list[inspect.Parameter]:
    """The options as keyword-only parameters."""
    defaults: dict[str, object] = dict.fromkeys(options.__annotations__)
    if is_dataclass(options):
        given = {f.name: f.default for f in fields(options) if f.init}
        defaults = {name: inspect.Parameter.empty if value is MISSING else value for name, value in given.items()}
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=options.__annotations__[name]
        )
        for name, default in defaults.items()
    ]
