"""Run several chains over processes, with progress, interruption and resumption."""

from __future__ import annotations

import os
import pickle
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from numerics import processes
from numerics.errors import InputError
from numerics.files import given_path
from numerics.inputs.arguments import of_problem
from numerics.inputs.keywords import takes
from numerics.inputs.problem import Problem
from numerics.inputs.scalars import integer
from numerics.progress import Progress, watched
from numerics.sampling.chains import ChainState, Record, advance, empty_record, first_state, join, weights_of
from numerics.sampling.checkpoint import chain_file, load, only_run, save
from numerics.sampling.draws import Spectrum
from numerics.sampling.network import Weights
from numerics.sampling.plan import Plan
from numerics.sampling.result import Simulation
from numerics.threads import limited

#: A chain is handed back after about this time, for progress and checkpoints.
_SEGMENT_SECONDS = 1.0
#: Least time between two saves of a chain.
_SAVE_SECONDS = 5.0
#: How often a pool of processes is begun anew after one of them died.
_POOL_ATTEMPTS = 3


@of_problem
@takes(Plan)
def simulate(
    problem: Problem,
    width: int,
    sampler: str = "hmc",
    *,
    workers: int | None = None,
    progress: bool | Progress | None = None,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> Simulation:
    """Sample a network's weights from their posterior (docs/theory.md section 1) and record its kernel and outputs.

    Args:
        problem: what is learnt.
        width: N.
        sampler: "hmc" (the reference: no bias), "collapsed", "hmc-weights" or "sgld", as `Plan` explains.
        workers: processes; by default as many as processors, at most one per chain. 1 stays in this process.
            Where other processes cannot be started (in a daemonic one) or cannot be sent the activation, a warning says
            so, and all stays in this one.
        progress: True shows how far it is, on standard error; a function is told what is being done, the
            steps done so far, and their total, over all chains, warm-up included.
        checkpoint: directory in which every chain is saved every few seconds and when the run ends or is
            interrupted. A run that finds its own chains there goes on from them, to the very numbers of an
            uninterrupted run.
        options: every other choice: fields of `Plan` (chains, steps, seed, warmup, init, dtype, …).

    Raises:
        InputError: an argument is out of range, the chains overflowed, or the checkpoint is damaged, foreign, in
            use by another process, or cannot be written.
        TypeError: an option that `Plan` does not have.
    """
    plan = Plan(problem=problem, width=width, sampler=sampler, **options)
    directory = None if checkpoint is None else given_path(checkpoint, "checkpoint")
    if workers is None:
        workers = min(plan.chains, os.cpu_count() or 1) if processes.are_allowed() else 1
    workers = integer(workers, "workers", 1)
    began = time.monotonic()
    with (
        nullcontext() if directory is None else only_run(directory),
        watched(progress, f"{plan.sampler}, N = {plan.width}") as told,
    ):
        run = _Run(plan, told, _Store(plan, directory))
        if workers == 1 or not run.can_be_sent():
            with limited():
                run.in_process()
        else:
            run.in_processes(min(workers, plan.chains))
    return run.result(time.monotonic() - began)


def last_weights(checkpoint: str | Path, plan: Plan, chain: int = 0) -> Weights:
    """Weights at which a chain of a checkpointed run stands; where W or V is integrated out, W is drawn from its exact
    law given the chain's state, and V is None.

    Args:
        checkpoint: the run's directory.
        plan: of that run.
        chain: which chain.

    Raises:
        InputError: there is no such chain, or it is damaged or of another run.
    """
    state, _ = load(chain_file(Path(checkpoint), chain), plan)
    return weights_of(plan.network(), state)


@lru_cache(maxsize=1)
def _received(payload: bytes) -> Plan:
    """The plan that a worker was sent, with what it has found out about it since."""
    try:
        plan: Plan = pickle.loads(payload)
    except Exception as error:  # whatever importing a user's module raises
        raise InputError(
            f"activation: cannot be used in a worker process ({error}); accepted: workers=1, or a function that can be "
            "imported there"
        ) from None
    return plan


def _advance(payload: bytes, state: ChainState, seconds: float) -> tuple[ChainState, Record]:
    """`advance` in a worker."""
    return advance(_received(payload), state, seconds)


class _Store:
    """Where chains are saved, if anywhere; each is written at most every few seconds."""

    def __init__(self, plan: Plan, directory: Path | None) -> None:
        self._plan, self._directory = plan, directory
        self._due = dict.fromkeys(range(plan.chains), 0.0)

    def find(self, index: int) -> tuple[ChainState, Record] | None:
        """The saved chain, or None."""
        if self._directory is None or not (path := chain_file(self._directory, index)).exists():
            return None
        return load(path, self._plan)

    def keep(self, state: ChainState, record: Record, *, now: bool) -> None:
        """Save a chain: now, or if its last save is long enough ago to make saving a small part of the
        work.
        """
        began = time.monotonic()
        if self._directory is None or not (now or began >= self._due[state.index]):
            return
        save(chain_file(self._directory, state.index), self._plan, state, record)
        ended = time.monotonic()
        self._due[state.index] = ended + max(_SAVE_SECONDS, 20 * (ended - began))


class _Run:
    """The chains of a plan on their way."""

    def __init__(self, plan: Plan, progress: Progress, store: _Store) -> None:
        self._plan, self._progress, self._store = plan, progress, store
        self._payload = b""
        self._total = plan.warming + plan.drawing
        self._states: list[ChainState] = []
        self._records: list[Record] = []
        for index in range(plan.chains):
            state, record = store.find(index) or (first_state(plan, index), empty_record(plan))
            self._states.append(state)
            self._records.append(record)

    def can_be_sent(self) -> bool:
        """Whether other processes can be started and sent the plan; a warning says why not."""
        if not processes.are_allowed():
            reason = "a daemonic worker process, such as one of multiprocessing.Pool, may not start others"
        else:
            try:
                self._payload = pickle.dumps(self._plan)
                return True
            except Exception as error:  # whatever a user's function holds on to
                reason = f"the activation {self._plan.phi.name} cannot be sent to others ({error})"
        warnings.warn(f"simulate: the chains run one after another in this process, as {reason}", stacklevel=3)
        return False

    def in_process(self) -> None:
        """Advance the chains one after another."""
        try:
            for index in range(self._plan.chains):
                while not self._finished(index):
                    self._take(*advance(self._plan, self._states[index], _SEGMENT_SECONDS))
        finally:
            self._save_all()

    def in_processes(self, workers: int) -> None:
        """Advance all chains on processes of this machine; chains of a process that dies go on from where
        they were.
        """
        try:
            for attempt in range(_POOL_ATTEMPTS):
                try:
                    with processes.pool(workers) as pool:
                        return self._on(pool)
                except BrokenProcessPool:
                    if attempt == _POOL_ATTEMPTS - 1:
                        raise
        finally:
            self._save_all()

    def _on(self, executor: Executor) -> None:
        pending = {self._submit(executor, index) for index in range(self._plan.chains) if not self._finished(index)}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    state, record = future.result()
                    self._take(state, record)
                    if not self._finished(state.index):
                        pending.add(self._submit(executor, state.index))
        finally:
            for future in pending:
                future.cancel()

    def _submit(self, executor: Executor, index: int) -> Future[tuple[ChainState, Record]]:
        return executor.submit(_advance, self._payload, self._states[index], _SEGMENT_SECONDS)

    def _finished(self, index: int) -> bool:
        return self._states[index].done >= self._total

    def _take(self, state: ChainState, record: Record) -> None:
        self._states[state.index] = state
        self._records[state.index] = join([self._records[state.index], record])
        self._store.keep(state, self._records[state.index], now=False)
        done, total = sum(chain.done for chain in self._states), self._plan.chains * self._total
        self._progress(f"{self._plan.sampler}, N = {self._plan.width}", done, total)

    def _save_all(self) -> None:
        for state, record in zip(self._states, self._records, strict=True):
            self._store.keep(state, record, now=True)

    def result(self, seconds: float) -> Simulation:
        """Everything recorded, as one simulation."""
        plan, records = self._plan, self._records
        kernels = np.stack([record.kernels for record in records])
        euler = plan.moves == "sgld" and plan.integrator == "euler"
        places = sorted(plan.spectrum_draws) if plan.eigenvalues else []
        spectra = tuple(
            Spectrum(index, draw, values)
            for index, record in enumerate(records)
            for draw, values in zip(places, record.spectra, strict=True)
        )
        steps = (chain.tuning.step_size if plan.step_size is None else plan.step_size for chain in self._states)
        return Simulation(
            problem=plan.problem,
            width=plan.width,
            sampler=plan.moves,
            seed=plan.seed,
            odd_activation=plan.phi.odd,
            kernels=kernels,
            outputs=np.stack([record.outputs for record in records]),
            spectra=spectra,
            acceptance=float(np.mean([r.acceptance.mean() for r in records])) if plan.adjusted else None,
            step_size=tuple(steps),
            bias_local=np.stack([record.local for record in records]) if euler else None,
            bias_squared=np.stack([record.squared for record in records]) if euler else None,
            controls=np.stack([record.controls for record in records]) if len(records[0].controls) else None,
            seconds=seconds,
        )
