"""Theory against simulation, entry by entry, on one problem of each kind: as `unrolled check`, kept and resumed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from derivations.figures.panel import finished_run
from numerics import Problem, endpoint, sequence, solve
from numerics.checking.agreement import Verdict
from numerics.checking.kernels import compare
from numerics.progress import Progress
from numerics.sampling import simulate

WIDTH, CHAINS, SEED = 128, 4, 7000
STEPS = {True: 400, False: 4000}


@dataclass(frozen=True)
class CheckCase:
    """A problem, as a command line and in Python."""

    command: str
    make: Callable[[], Problem]


CASES = (
    CheckCase("endpoint --T 4 --signal 6", lambda: endpoint(4, 6.0)),
    CheckCase("endpoint --T 4 --signal 20", lambda: endpoint(4, 20.0)),
    CheckCase("endpoint --T 4 --signal 20 --arch dnn", lambda: endpoint(4, 20.0, arch="dnn")),
    CheckCase("endpoint --T 5 --signal 12", lambda: endpoint(5, 12.0)),
    CheckCase(
        "sequence --T 5 --angle 1.2566 --amplitude 2 --supervise 1,2,4",
        lambda: sequence(5, 1.2566, 2.0, (1, 2, 4)),
    ),
    CheckCase(
        "sequence --T 5 --angle 1.2566 --amplitude 2 --supervise 1,2,4 --arch dnn",
        lambda: sequence(5, 1.2566, 2.0, (1, 2, 4), arch="dnn"),
    ),
)


@dataclass(frozen=True)
class CaseCheck:
    """One comparison: its command, what it found, and the z-score of each independent kernel entry."""

    command: str
    seed: int
    z: tuple[float, ...]
    z_limit: float
    cka: float
    ess: float
    rhat: float
    verdict: Verdict
    reason: str

    @property
    def largest(self) -> float:
        """Largest |z|."""
        return max(map(abs, self.z))


def checks(out: Path, quick: bool, progress: Progress) -> list[CaseCheck]:
    """Run every case, or take what is finished in `out`."""
    found = []
    for number, case in enumerate(CASES):
        progress(case.command, number, len(CASES))
        settings = {
            "problem": case.command,
            "width": WIDTH,
            "chains": CHAINS,
            "steps": STEPS[quick],
            "seed": SEED + number,
        }
        result = finished_run(out / "checks" / f"{number + 1}.json", settings, partial(run, case, settings))
        command = f"unrolled check {case.command} --seed {SEED + number}"
        found.append(CaseCheck(command, SEED + number, tuple(result.pop("z")), **result))
    return found


def shared_options(quick: bool) -> str:
    """The options of `unrolled check` that all cases have in common."""
    return f"--width {WIDTH} --chains {CHAINS} --steps {STEPS[quick]}"


def run(case: CheckCase, settings: dict[str, Any]) -> dict[str, Any]:
    """Solve, simulate and compare one case."""
    problem = case.make()
    simulation = simulate(
        problem,
        settings["width"],
        chains=settings["chains"],
        steps=settings["steps"],
        seed=settings["seed"],
        workers=os.cpu_count() or 1,
    )
    comparison = compare(solve(problem), simulation)
    agreement = comparison.agreement
    return {
        "z": agreement.z[np.triu_indices(len(agreement.z))].tolist(),
        "z_limit": float(agreement.z_limit),
        "cka": float(agreement.cka),
        "ess": float(comparison.simulation.ess),
        "rhat": float(comparison.simulation.rhat),
        "verdict": agreement.verdict,
        "reason": agreement.reason,
    }
