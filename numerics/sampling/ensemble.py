"""Many simulations, over widths, signals and seeds, on any executor of the concurrent.futures kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

from numerics.sampling.result import Simulation
from numerics.sampling.simulate import simulate


def ensemble(
    runs: Sequence[Mapping[str, Any]], executor: Executor, directory: str | Path
) -> Iterator[tuple[int, Simulation]]:
    """Simulate every run and yield (its position, the result) as they finish.

    Every run keeps its chains in its own folder of `directory`. Whatever ends the ensemble (an interrupt, a lost
    worker, a job limit), calling it again with the same runs reads the finished ones back and goes on with the others
    from their checkpoints.

    Args:
        runs: arguments of `simulate`, without workers, progress and checkpoint: each run stays in one process.
        executor: where they run: a process pool, ``dask.distributed.Client().get_executor()``, …; on a cluster, the
            folder must be shared.
        directory: where the chains are kept.

    Raises:
        InputError: an argument of a run is out of range, or its folder holds another run. This, or what a lost worker
            raises, comes when all other runs have been yielded.
    """
    folder = Path(directory)
    futures = {
        executor.submit(_simulate, dict(run), folder / f"run-{index:04d}"): index for index, run in enumerate(runs)
    }
    failed = []
    try:
        for future in as_completed(futures):
            if future.exception() is None:
                yield futures[future], future.result()
            else:
                failed.append(future)
        for future in failed:
            future.result()
    finally:
        for future in futures:
            future.cancel()


def _simulate(run: dict[str, Any], folder: Path) -> Simulation:
    return simulate(**run, workers=1, checkpoint=folder)
