"""The cheap part of the search: descents of F on few points, from the random network's side and from the learnt side.

Which minima F has is not known beforehand, and no count of states proves that none is missing (docs/theory.md section
14): this is a search. It starts from the random network's kernel, at full labels and at labels that grow; from laws
that fit the labels, all and some of them; and follows the lowest state that it has found to stronger labels and to
weaker noise and back, beyond the folds of the branches in between. Every descent has a bound, and so has their number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from numerics.inputs.activation import Activation
from numerics.linalg import FloatArray
from numerics.nonlinear.averaging import LARGE
from numerics.nonlinear.descent import Descent
from numerics.nonlinear.gaussian_descent import GaussianDescent
from numerics.nonlinear.groups import groups_of, largest
from numerics.nonlinear.laws import Law
from numerics.nonlinear.learnt import learnt_covariances
from numerics.nonlinear.space import TrajectorySpace
from numerics.nonlinear.symmetries import images
from numerics.nonlinear.weak import NEGLIGIBLY_WEAK, WEAK
from numerics.progress import Told

#: Steps of each, before those that compete go on; steps of these; and of a descent on the way of a continuation.
FIRST_STEPS, STEPS, WAY_STEPS = 60, 300, 30
#: Laws whose F lies by more over 1 + |F| above the lowest do not go on; most that do in one round; most rounds, and the
#: fall over 1 + |F| in one that a law needs for the next.
COMPETES, MOST_GOING_ON, ROUNDS, FALLING = 0.3, 6, 6, 0.01
#: Margin, likewise, within which descents that have not ended leave the answer open.
LEFT_OPEN = 0.02
#: Dimensions of a trajectory of one group beyond which a descent takes long and goes no further than walkers need,
#: which follow F down from there; descents that start there, and where labels are within reach.
MANY, FEW_STARTS = 100, 4
#: Smallest eigenvalue of the prior's covariance over its mean below which Gaussian laws go down with independent noise
#: added to every coordinate; and that noise: without it F of few points is that of directions that hardly move.
STIFF, NOISE = 1e-6, 1e-3
#: Parts of the labels' squared scale on the way from the random network.
SCALES = (0.01, 0.05, 0.2, 0.5)
#: Factors on the labels' squared scale, and on κ, to which the lowest state is followed, and back.
STRONGER, WEAKER = (3.0, 10.0, 3.0), (0.3, 0.1, 0.03, 0.1, 0.3)
#: Relative distance below which a kernel on few points is that of another, or of a state.
SAME_ON_FEW = 0.15
#: κ over the smallest prior v Φ at a supervised position below which labels are within reach of the random network, and
#: few starts do.
WITHIN_REACH = 3.0
#: The same for two hidden times: linear networks have no coherent state there, and fold from 62.6 on, not from the 21.1
#: of many times (docs/theory.md section 14).
WITHIN_REACH_OF_TWO = 9.0


@dataclass(frozen=True)
class Explored:
    """What was found.

    Attributes:
        laws: of distinct kernels, lowest F first.
        ended: for each, whether F falls no further: it is near a minimum.
        bound_met: the bound at which starts were left out, or descents that compete; empty where none was met.
        within_reach: whether the labels are within reach of the random network, so that little was tried.
        gaussian: whether the laws are Gaussian.
    """

    laws: list[Law]
    ended: list[bool]
    bound_met: str
    within_reach: bool
    gaussian: bool = False


def explore(space: TrajectorySpace, phi: Activation, prior: FloatArray, seed: int, say: Told) -> Explored:
    """The minima that descents on few points lead to.

    Args:
        space, phi: problem and activation.
        prior: the random network's kernel.
        seed: of the points.
        say: told what is being done, and how far it is.
    """
    within = _within_reach(space, prior)
    energy = space.labels.duals(prior).energy
    # weak labels within reach hardly move the random network's kernel; negligible ones allow no other state, as none
    # has so small a divergence from it
    if energy < (WEAK if within else NEGLIGIBLY_WEAK):
        return Explored([], [], "", True)
    groups = groups_of(space)
    by_normal = phi.odd and largest(groups) > LARGE
    long = by_normal and len(groups) == 1 and space.d > MANY
    descent = GaussianDescent(space, phi, say) if by_normal else Descent(space.d, phi, seed, say)
    C = space.covariance(prior)
    if by_normal and np.linalg.eigvalsh(C)[0] < STIFF * np.trace(C) / space.d:
        noise = NOISE * np.trace(C) / space.d * np.eye(space.d)
        space, C = replace(space, inputs=space.inputs + noise), C + noise
    exploration = _Exploration(space, phi, descent, energy + LEFT_OPEN * (1 + energy), say)
    say("looking for minima from the random network and from laws that fit the labels")
    covariances = list(learnt_covariances(space, C, few=within and by_normal))
    starts = covariances[: FEW_STARTS if long or within else None]
    say.part(0, 1 + len(starts))
    exploration.random_side(C, grown=not within)  # within reach the engine follows growing labels itself
    for number, covariance in enumerate(starts, start=1):
        say.part(number, 1 + len(starts))
        exploration.descend(exploration.descent.normal(space, covariance), FIRST_STEPS)
    if not long:
        exploration.go_on()
    if not within:
        say("following the lowest minimum to stronger labels and weaker noise, and back")
        exploration.continued()
        if not long:
            exploration.go_on()
    met = ""
    if long and len(covariances) > len(starts):
        met = f"{len(starts)} of {len(covariances)} starts that fit the labels were tried"
    elif not long and any(not done for _, done in exploration.competing(LEFT_OPEN)):
        met = f"a descent that competes had not ended after {ROUNDS} rounds of {STEPS} steps"
    laws, ended = [law for law, _ in exploration.found], [done for _, done in exploration.found]
    return Explored(laws, ended, met, within, by_normal)


def _within_reach(space: TrajectorySpace, prior: FloatArray) -> bool:
    problem = space.problem
    reach = WITHIN_REACH_OF_TWO if problem.n == 2 else WITHIN_REACH
    return problem.kappa <= reach * problem.v * float(np.diagonal(prior)[space.labels.rows].min())


class _Exploration:
    """Laws found so far, lowest F first, each with whether its descent has ended by itself."""

    def __init__(
        self, space: TrajectorySpace, phi: Activation, descent: Descent | GaussianDescent, ceiling: float, say: Told
    ) -> None:
        self.space, self.phi, self.descent, self.ceiling, self.say = space, phi, descent, ceiling, say
        self.found: list[tuple[Law, bool]] = []

    def random_side(self, covariance: FloatArray, *, grown: bool) -> None:
        """From the random network: at once, and by labels that grow."""
        start = self.descent.normal(self.space, covariance)
        self.descend(start, FIRST_STEPS)
        if not grown:
            return
        for part in SCALES:
            if start is not None:
                start = self.descent.down(self.space.with_labels(part), start, WAY_STEPS)[0]
        self.descend(start, FIRST_STEPS)

    def continued(self) -> None:
        """From the lowest law found to stronger labels, and to weaker noise, and back."""
        if not self.found:
            return
        space, lowest = self.space, self.found[0][0]
        ways = [[space.with_labels(factor) for factor in STRONGER], [space.with_noise(factor) for factor in WEAKER]]
        done, steps = 0, sum(map(len, ways))
        for way in ways:
            law = lowest
            for there in way:
                self.say.part(done, steps)
                done += 1
                law = self.descent.down(there, law, WAY_STEPS)[0]
            self.descend(law, FIRST_STEPS)

    def descend(self, start: Law | None, steps: int) -> None:
        """Down from a start, and kept if it is new."""
        if start is not None:
            self.keep(*self.descent.down(self.space, start, steps))

    def go_on(self) -> None:
        """Those that compete and have not ended go on, and on, while F falls.

        A way on which the neurons divide, some for one pattern and some for another, is long and first slow.
        """
        going = [law for law, done in self.competing(COMPETES) if not done][:MOST_GOING_ON]
        for number in range(ROUNDS):
            falling = []
            if going:
                self.say(f"going on with minima that compete ({len(going)}), round {number + 1} of at most {ROUNDS}")
            for place, law in enumerate(going):
                self.say.part(place, len(going))
                self.found = [each for each in self.found if each[0] is not law]
                new, done = self.descent.down(self.space, law, STEPS)
                self.keep(new, done)
                kept = any(new is each for each, _ in self.found)
                if kept and not done and law.free_energy - new.free_energy > FALLING * (1 + abs(new.free_energy)):
                    falling.append(new)
            going = falling

    def competing(self, margin: float) -> list[tuple[Law, bool]]:
        """Those whose F lies above the lowest by no more than a margin, over 1 + |F|."""
        if not self.found:
            return []
        lowest = self.found[0][0].free_energy
        return [each for each in self.found if each[0].free_energy <= lowest + margin * (1 + abs(lowest))]

    def keep(self, law: Law, done: bool) -> None:
        """Of laws that are one state the lowest is kept; of those above the random network's own law none."""
        if not law.free_energy <= self.ceiling:
            return
        other = [each for each in self.found if self._same(each[0], law)]
        best = min([*other, (law, done)], key=lambda each: each[0].free_energy)
        rest = [each for each in self.found if not any(each is one for one in other)]
        self.found = sorted([*rest, best], key=lambda each: each[0].free_energy)

    def _same(self, one: Law, other: Law) -> bool:
        near = SAME_ON_FEW * np.linalg.norm(other.kernel)
        alike = images(self.space, self.phi, one.kernel)
        return any(np.linalg.norm(kernel - other.kernel) <= near for kernel in alike)
