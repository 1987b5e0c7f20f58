"""What the search for states asks of a way to compute averages over one neuron's trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.laws import Law
from numerics.nonlinear.reduced import ReducedPoint
from numerics.nonlinear.solution import EngineName
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import Classes

#: Unstable modes along which a state is left, the most unstable first.
MOST_MODES = 6


@dataclass(frozen=True, eq=False)
class State:
    """A stationary point on points that are placed for it, or the last one reached.

    Attributes:
        point: F with its gradient.
        iterations: so far.
        reached: whether it is stationary on its points.
        status: one sentence.
        second: ``⟨ggᵀ⟩``, (d, d).
        points: how many.
    """

    point: ReducedPoint
    iterations: int
    reached: bool
    status: str
    second: FloatArray
    points: int


@dataclass(frozen=True, eq=False)
class Refined:
    """A state as accurate as asked for, or as is possible.

    Attributes:
        state: the state.
        kernel_error: error of Φ's entries, (m, m); infinite where it is not known.
        stable: whether no direction leads down.
        hessian_smallest: smallest eigenvalue of the Hessian of F(Φ) in the natural metric; nan where it is not known.
        free_energy_error: standard error of F; None for quadrature.
        largest_error: bound on the largest error of an entry of Φ; None where `kernel_error` is one.
    """

    state: State
    kernel_error: FloatArray
    stable: bool
    hessian_smallest: float
    free_energy_error: float | None = None
    largest_error: float | None = None

    @property
    def relative_error(self) -> float:
        """The bound over the largest entry."""
        error = self.kernel_error if self.largest_error is None else self.largest_error
        return relative_error(self.state.point.kernel, error)


#: Told what is being done (`numerics.progress.Told`, or less).
Say = Callable[[str], None]
#: A state of an engine, or none.
Reached = TypeVar("Reached", bound=State | None)


class Engine(Protocol):
    """A way to compute averages. Starts are the engine's own: whatever it converges from."""

    @property
    def name(self) -> EngineName:
        """As in a solution."""

    @property
    def phi(self) -> Activation:
        """The activation."""

    @property
    def same(self) -> float:
        """Relative distance below which two kernels are one state."""

    @property
    def has_walkers(self) -> bool:
        """Whether walkers may find and refine states where points are too few."""

    def random_network(self, space: TrajectorySpace, prior: FloatArray) -> Any:
        """The start without labels."""

    def near(self, space: TrajectorySpace, trajectories: FloatArray) -> Any:
        """The start that samples of g suggest, (K, d).

        Raises:
            numpy.linalg.LinAlgError: they are too few.
        """

    def around(self, space: TrajectorySpace, law: Law) -> Any:
        """The start that a law of g suggests.

        Raises:
            numpy.linalg.LinAlgError: its points are too few.
        """

    def at(self, space: TrajectorySpace, start: Any) -> State:
        """A start in the form of a state, before any iteration, for what can be said of it.

        Raises:
            ArithmeticError, numpy.linalg.LinAlgError: nothing can be said.
        """

    def converge(
        self, space: TrajectorySpace, start: Any, *, classes: Classes | None = None, relaxed: int = 0
    ) -> State | None:
        """The stationary point near a start, on points placed for it; None where nothing can be evaluated.

        With classes, from a start that keeps to them, among such kernels. An iteration takes
        so many `relaxed` steps first, by which it leaves an unstable state, or one that has ceased to exist.
        """

    def start(self, space: TrajectorySpace, state: Any) -> Any:
        """A state as a start."""

    def perturbed(self, space: TrajectorySpace, state: Any) -> list[Any]:
        """Starts beside an unstable state, both ways along each unstable mode; none beside a stable one."""

    def refined(self, space: TrajectorySpace, state: Any, limit: float, say: Say) -> Refined:
        """The state with an error of Φ below `limit` times its largest entry, if that is possible."""


def continued(state: Reached, before: State) -> Reached:
    """With the iterations that came before."""
    return state if state is None else replace(state, iterations=state.iterations + before.iterations)


def relative_error(kernel: FloatArray, error: FloatArray | float) -> float:
    """Largest error over the largest entry."""
    return float(np.max(error) / np.abs(kernel).max())
