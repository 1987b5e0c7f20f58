"""Worker processes that need nothing of the script or notebook that starts them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import current_process, parent_process, spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from threadpoolctl import threadpool_limits

_STARTING = threading.Lock()


def pool(workers: int | None = None) -> ProcessPoolExecutor:
    """Processes of one BLAS thread each. They do not run the parent's main module again, so that a script needs no
    ``if __name__ == "__main__":``, nor a notebook's functions a module; what they are sent must not need it either.
    """
    return ProcessPoolExecutor(workers, mp_context=_Context(), initializer=prepare_worker)


def are_allowed() -> bool:
    """Whether this process may start others: a daemonic worker may not."""
    return not current_process().daemon


def prepare_worker() -> None:
    """One BLAS thread in this process, an interrupt left to the parent, and an end when the parent ends."""
    import signal

    import numerics.lapack  # noqa: F401  # loads the BLAS of NumPy and SciPy: a limit is put on loaded libraries only

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(limits=1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed closes nothing: its workers would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Worker(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # where every start method begins, since Python 3.4
        with _without_main():
            return SpawnProcess._Popen(process_obj)


class _Context(SpawnContext):
    Process = _Worker


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes that this thread starts are not told where the main module is."""
    this = threading.get_ident()
    with _STARTING:
        whole = spawn.get_preparation_data

        def part(name: str) -> dict[str, Any]:
            data = whole(name)
            if threading.get_ident() == this:
                data = {key: value for key, value in data.items() if not key.startswith("init_main")}
            return data

        spawn.get_preparation_data = part
        try:
            yield
        finally:
            spawn.get_preparation_data = whole
