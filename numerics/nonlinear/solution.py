"""A state of a nonlinear network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from numerics.display import Facts
from numerics.errors import InputError
from numerics.linalg import FloatArray
from numerics.results.labelled import Arrays, kernel_array
from numerics.results.solution import Solution

EngineName = Literal["quadrature", "sampling"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class NonlinearSolution(Solution):
    """A stationary point of ``F[Φ, Φ̃]`` (docs/theory.md section 4).

    The entropy is ``tr Φ̃Φ - ln Z``. The residual is that on the engine's points; `minima` counts ends of descents on
    few points too, of which a flat valley may have several, and `next_free_energy` is as accurate as the points it was
    met on (about a hundredth where it does not compete).

    Attributes:
        conjugate: Φ̃, (nP, nP).
        covariance, second_moment: ``C[Φ]`` and ``⟨hhᵀ⟩`` of the pre-activations, (nP, nP).
        engine: what the averages were computed with.
        kernel_error: error of Φ's entries from the averages, (nP, nP): for quadrature the difference to a finer rule,
            taken to Φ through the inverse of the equations' Jacobian; for sampling one standard error, from states on
            independent parts of the sample, with the bias of few points.
        points, effective_points: points of the engine, and ``1/Σp²`` of their probabilities.
        free_energy_error: standard error of F from the independent batches of a sample; None for quadrature.
        largest_error: what the error of no entry of Φ exceeds, for sampling in 95 % of samples: over the largest entry
            it is at most the tolerance. Infinite where it is not known.
    """

    conjugate: FloatArray
    covariance: FloatArray
    second_moment: FloatArray
    engine: EngineName
    kernel_error: FloatArray
    points: int
    effective_points: float
    free_energy_error: float | None = None
    largest_error: float = math.inf

    def labelled(self) -> Arrays:
        """As of every `Solution`, with the conjugate kernel and the error of the averages."""
        arrays, P = super().labelled(), self.problem.P
        own = {name: kernel_array(getattr(self, name), P) for name in ("conjugate", "kernel_error")}
        return replace(arrays, data={**arrays.data, **own})

    def _averages(self) -> Facts:
        return (("averages", f"{self.engine}, {self.points} points; error of the kernel {self.largest_error:.1e}"),)


def nonlinear_state(solution: Solution) -> NonlinearSolution:
    """The state of a nonlinear network.

    Raises:
        InputError: it is that of a linear network.
    """
    if not isinstance(solution, NonlinearSolution):
        raise InputError("solution: is that of a linear network; accepted: a nonlinear network's state")
    return solution
