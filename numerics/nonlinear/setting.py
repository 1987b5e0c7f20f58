"""A search for the states of one nonlinear network: what all its parts need, and when two states are one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from numerics.linalg import FloatArray
from numerics.nonlinear.diagonal import diagonal_state
from numerics.nonlinear.engine import Engine, State
from numerics.nonlinear.exploration import SAME_ON_FEW, Explored, explore
from numerics.nonlinear.laws import Law
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import kept_classes, near
from numerics.progress import Told
from numerics.symmetry.exchange import exchanges

#: Relative distance from the diagonal state at which a state without correlations between times is that one.
SAME_DIAGONAL = 0.1
#: Factor on the distance of two kernels that are one state, where patterns may be exchanged.
EXCHANGED = 12.0
#: States whose free energies differ by less, over 1 + |F|, may change order when they are refined.
CLOSE = 0.02
#: Damped steps off an unstable state.
RELAXATION = 60


def close(one: float, lowest: float) -> bool:
    """Whether a free energy competes with the lowest."""
    return one <= lowest + CLOSE * (1 + abs(lowest))


@dataclass(frozen=True, eq=False)
class Search:
    """A search for the states of one problem.

    Attributes:
        engine: how averages are made.
        space: the trajectory's coordinates.
        prior: the random network's kernel.
        limit: relative error of Φ that a solution may have.
        is_diagonal: whether the random network's branch is diagonal in time, and may be computed as such.
        seed: of random points.
        say: told what is being done, and how far it is.
    """

    engine: Engine
    space: TrajectorySpace
    prior: FloatArray
    limit: float
    is_diagonal: bool
    seed: int
    say: Told

    @cached_property
    def diagonal(self) -> NonlinearSolution | None:
        """The random network's branch at the full labels, where it is diagonal and can be followed."""
        return diagonal_state(self.space, self.engine.phi, self.prior, self.limit) if self.is_diagonal else None

    @cached_property
    def explored(self) -> Explored:
        """What descents on few points have met."""
        return explore(self.space, self.engine.phi, self.prior, self.seed, self.say)

    def diagonal_at(self, kernel: FloatArray) -> NonlinearSolution | None:
        """The diagonal state, if a state is it but for the error of averages."""
        classes = kept_classes(self.space, self.engine.phi, kernel)
        if self.diagonal is None or classes is None or classes.rows.max() + 1 < len(kernel):
            return None
        near = np.linalg.norm(kernel - self.diagonal.kernel) <= SAME_DIAGONAL * np.linalg.norm(self.diagonal.kernel)
        return self.diagonal if near else None

    def same(self, one: State, other: State) -> bool:
        """Whether two states are one, or images of one another."""
        exchanged = len(exchanges(self.space.problem, self.engine.phi.odd)) > 1  # the points do not have this symmetry
        size = self.engine.same * (EXCHANGED if exchanged else 1.0)
        return near(self.space, self.engine.phi, other.point.kernel, one.point.kernel, size)

    def near(self, law: Law, state: State) -> bool:
        """Whether a law is that of a state, but for the error of few points."""
        return near(self.space, self.engine.phi, state.point.kernel, law.kernel, SAME_ON_FEW)
