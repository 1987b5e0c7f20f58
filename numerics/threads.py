"""One BLAS thread for small matrices: to wake others takes longer than the work, much longer beside other processes.

Every public function that computes is decorated with `one_thread`; inside, and whatever it calls, BLAS has one thread.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from numerics.inputs.problem import Problem

P = ParamSpec("P")
R = TypeVar("R")

#: Kernel rows from which on threads may pay: at 600, one product takes 10 ms, as long as two threads may wait for each
#: other on two cores that others use too.
WORTH_THREADS = 500


class _Limit:
    """The limit now in force: how many blocks are in it, and what ends it when the last one leaves."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth = 0
        self.limiter: Any = None


_limit = _Limit()


@functools.cache
def _controller() -> Any:
    """Made once, as it looks through all libraries that are loaded: NumPy and SciPy have a BLAS each."""
    from threadpoolctl import ThreadpoolController

    import numerics.lapack  # noqa: F401

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def limited() -> Iterator[None]:
    """One BLAS thread until the block ends; blocks may be nested, and run in several Python threads at once."""
    with _limit.lock:
        _limit.depth += 1
        if _limit.depth == 1:
            _limit.limiter = _controller().limit(limits=1)
    try:
        yield
    finally:
        with _limit.lock:
            _limit.depth -= 1
            if _limit.depth == 0:
                _limit.limiter.restore_original_limits()


def one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The function with one BLAS thread, unless its first argument is a problem, or a state, of more rows."""

    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0] if args else None
        problem = getattr(first, "problem", first)
        if isinstance(problem, Problem) and problem.n * problem.P > WORTH_THREADS:
            return function(*args, **kwargs)
        with limited():
            return function(*args, **kwargs)

    return inner
