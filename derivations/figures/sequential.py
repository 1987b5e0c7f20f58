"""What the panels on sequential tasks share: the task, its sampled networks, and how their outputs agree.

Teacher: a rotation by 2π/5 in a plane; 4 of 7 times are supervised, two of them neighbours (labels whose times all are
apart by multiples of g leave the teacher's eigenvalues open up to a g-th root of unity). w = 0.3, so that the bulk of
W, of radius √w, leaves the unit circle free.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from numerics import solve
from numerics.agreement import ESS_LIMIT, FAMILY_LEVEL, RHAT_LIMIT
from numerics.predictors.output_shift import output_shift
from numerics.sampling import simulate
from numerics.teachers import orthonormal_patterns, rotation_teacher

if TYPE_CHECKING:
    from derivations.figures.panel import Effort
    from numerics import Problem, Solution
    from numerics.sampling import Simulation

T, ANGLE, AMPLITUDE, SUPERVISED, W = 8, 2 * math.pi / 5, 3.0, (1, 2, 4, 7), 0.3
ARCHITECTURES = ("rnn", "dnn")
COLOURS = {"rnn": "C0", "dnn": "C1"}
TEACHER = rotation_teacher(ANGLE, AMPLITUDE)
PATTERNS = orthonormal_patterns(2)
TIMES = np.arange(1, T)


def task(arch: str, supervised: Iterable[int] = SUPERVISED) -> Problem:
    """The panels' task; test patterns are the training patterns, at all times."""
    return TEACHER.problem(T, PATTERNS, supervised, arch=arch, w=W)


def outputs_at_width(solution: Solution, width: int) -> np.ndarray:
    """The theory's mean outputs at width N, to first order in 1/N, (P, n)."""
    from numerics.predictors.observables import predict

    return predict(solution) + output_shift(solution) / width


def sampled(problem: Problem, settings: dict[str, Any], effort: Effort) -> Simulation:
    """A network of the given width, sampled by Hamiltonian Monte Carlo."""
    return simulate(
        problem,
        settings["width"],
        chains=settings["chains"],
        steps=settings["steps"],
        warmup=settings["warmup"],
        seed=settings["seed"],
        workers=effort.workers,
    )


def outputs_agree(
    predicted: np.ndarray, mean: np.ndarray, standard_error: np.ndarray, *, rhat: float, ess: float
) -> dict[str, Any]:
    """z of every output, and whether all of them are within the limit of `numerics.agreement` and the chains mixed."""
    z = (mean - predicted) / standard_error
    limit = float(norm.isf(FAMILY_LEVEL / (2 * z.size)))
    largest = float(np.abs(z).max())
    return {
        "z": z.tolist(),
        "largest_z": largest,
        "z_limit": limit,
        "ess": ess,
        "rhat": rhat,
        "agrees": bool(largest <= limit and rhat <= RHAT_LIMIT and ess >= ESS_LIMIT),
    }


def solved(arch: str, supervised: Iterable[int] = SUPERVISED) -> Solution:
    """The theory's state of the panels' task."""
    return solve(task(arch, supervised))
