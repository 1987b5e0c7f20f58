"""The states that a search meets: from the random network's side, from the learnt side, and below each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from numerics.nonlinear.by_walkers import WalkedState, holds, normal_start, start_of, walked_down
from numerics.nonlinear.engine import State, continued
from numerics.nonlinear.following import branches, followed
from numerics.nonlinear.groups import groups_of
from numerics.nonlinear.laws import Law
from numerics.nonlinear.learnt import learnt_covariances
from numerics.nonlinear.setting import RELAXATION, SAME_DIAGONAL, Search, close
from numerics.nonlinear.states import state_of_law
from numerics.nonlinear.symmetries import near
from numerics.nonlinear.weak import are_negligible

#: States after which no more are looked for.
MOST_STATES = 12
#: Minima met on few points that are made accurate, at most, where only the lowest state is asked for.
MOST_CONVERGED = 4
#: Share of the points that count at the lowest law below which walkers follow it.
COUNTING = 0.3
#: Relative distance below which two kernels by walkers, before they are refined, are one state; standard errors of F by
#: which two are apart; states by walkers that are made accurate, at most.
WALKED, APART, MOST_WALKED = 0.12, 2.0, 2


@dataclass(frozen=True, eq=False)
class Found:
    """What a search has met.

    Attributes:
        states: those at which an engine has converged.
        minima: of these, those without a direction that leads down, and those of which none was looked for.
        others: F of minima that are known on few points only.
        bound: the lowest F of a law that belongs to none of the states; infinite without one.
        bound_met: the bound at which the search has ended; empty where it has come to an end.
    """

    states: list[State]
    minima: list[State]
    others: list[float]
    bound: float
    bound_met: str


def search_states(search: Search, *, whole: bool) -> Found:
    """The states, as accurate as the search needs: from the random network's side, the learnt side, and below.

    Unless the ``whole`` of them is asked for, only minima that compete for the lowest are made accurate.
    """
    by_points = search.engine.name == "sampling" and not search.is_diagonal
    if not whole and by_points and are_negligible(search.space, search.prior):
        start = search.engine.random_network(search.space, search.prior)
        state = replace(search.engine.at(search.space, start), reached=True, status="converged")
        return Found([state], [state], [], np.inf, "")
    led = search.explored.gaussian and bool(search.explored.laws)  # to where the way from the random network leads
    competing = _competing(search, whole=whole)
    if search.engine.has_walkers and _few_would_count(search, competing, led=led, whole=whole):
        found_by_walkers = _by_walkers(search, competing)
        if found_by_walkers is not None:
            return found_by_walkers
    follows = whole or (search.explored.within_reach and not led) or search.diagonal is not None
    way = followed(search, whole=whole) if follows else []
    found, queue, minima = [state for _, state in way[-1:]], [state for _, state in way[-1:] if state.reached], []

    def keep(new: State | None) -> None:
        if new is None or not new.reached or _at_stable_diagonal(search, new, found):
            return
        if not any(search.same(new, other) for other in found):
            found.append(new)
            queue.append(new)

    failed: list[Law] = []
    for number, law in enumerate(competing, start=1):
        search.say(f"converging to minimum {number} of {len(competing)}, F ≈ {law.free_energy:.4g}")
        new = state_of_law(search, law)
        keep(new)
        if new is None or not new.reached:
            failed.append(law)
    if search.engine.has_walkers and any(
        not holds(search.space, search.engine.phi, law, search.seed) for law in failed
    ):
        found_by_walkers = _by_walkers(search, [])
        if found_by_walkers is not None:
            return found_by_walkers
    if not queue and not way:
        way = followed(search, whole=True)
        found, queue = [way[-1][1]], [way[-1][1]] if way[-1][1].reached else []
    if not queue and search.engine.has_walkers:
        found_by_walkers = _by_walkers(search, [])
        if found_by_walkers is not None:
            return found_by_walkers
    lost = False
    while queue and len(found) < MOST_STATES:
        search.say(f"looking below the states found ({len(found)})")
        state = queue.pop(0)
        lowest = min(other.point.free_energy for other in found)
        if not whole and not search.explored.within_reach and not close(state.point.free_energy, lowest):
            diagonal = search.diagonal_at(state.point.kernel)
            if diagonal is not None and diagonal.stable:
                minima.append(state)
            continue
        starts = search.engine.perturbed(search.space, state)
        if not starts:
            minima.append(state)
        for start in starts:
            new = search.engine.converge(search.space, start, relaxed=RELAXATION)
            lost = lost or new is None or not new.reached
            keep(None if new is None else continued(new, state))
        if lost and not queue:
            lost = False
            for new in branches(search, way):
                keep(new)
    minima += queue
    explored = zip(search.explored.laws, search.explored.ended, strict=True)
    others = [
        (law.free_energy, ended)
        for law, ended in explored
        if any(law is each for each in failed) or not any(search.near(law, state) for state in found)
    ]
    return Found(
        found,
        minima,
        [F for F, ended in others if ended],
        min((F for F, _ in others), default=np.inf),
        f"below {len(queue)} of {len(found)} states nothing was looked for" if queue else search.explored.bound_met,
    )


def _by_walkers(search: Search, laws: list[Law]) -> Found | None:
    """The states by walkers: from laws, or from the random network and normal laws that fit the labels.

    Those whose F may be the lowest by its error are to be refined, `MOST_WALKED` at most. None where there are none.
    """
    space, phi, found = search.space, search.engine.phi, []
    starts = [start_of(space, law.kernel, law.second) for law in laws]
    if not laws:
        C = space.covariance(search.prior)
        covariances = [C, *learnt_covariances(space, C, few=True)]
        starts = [normal_start(space, phi, covariance, search.seed) for covariance in covariances]
    search.say(f"walkers follow F down from {len(starts)} starts")
    for number, start in enumerate(starts, start=1):
        search.say.part(number - 1, len(starts))
        new = walked_down(space, phi, start, (search.seed, number), search.say)
        if new is not None:
            found.append(new)
    found.sort(key=lambda state: state.point.free_energy)
    distinct: list[WalkedState] = []
    for state in found:
        if not any(near(space, phi, state.point.kernel, other.point.kernel, WALKED) for other in distinct):
            distinct.append(state)
    if not distinct:
        return None
    lowest = distinct[0]
    competing = [
        state
        for state in distinct
        if state.point.free_energy - lowest.point.free_energy
        <= APART * np.hypot(state.free_energy_error, lowest.free_energy_error)
    ][:MOST_WALKED]
    others = [state.point.free_energy for state in distinct if not any(state is each for each in competing)]
    if search.diagonal is not None and search.diagonal.stable:
        others.append(search.diagonal.free_energy)
    if not laws:
        return Found([*competing], [*competing], others, np.inf, "")
    rest = [law.free_energy for law in search.explored.laws if not any(search.near(law, state) for state in found)]
    return Found([*competing], [*competing], others + rest, min(rest, default=np.inf), search.explored.bound_met)


def _competing(search: Search, *, whole: bool) -> list[Law]:
    """The laws from which an engine is to converge: all, or those that may be the lowest."""
    laws = search.explored.laws
    if whole or not laws:
        return laws[:MOST_STATES]
    known = [] if search.diagonal is None else [search.diagonal.free_energy]
    lowest = min([laws[0].free_energy, *known])
    return [law for law in laws if close(law.free_energy, lowest)][:MOST_CONVERGED]


def _few_would_count(search: Search, laws: list[Law], *, led: bool, whole: bool) -> bool:
    """Whether a sample would say little of the laws that compete: in many dimensions, or far from normal laws."""
    if led or whole or not laws:
        return led and len(groups_of(search.space)) == 1
    diagonal = search.diagonal
    if diagonal is not None and close(diagonal.free_energy, laws[0].free_energy):
        return False
    return not search.explored.within_reach and laws[0].counting < COUNTING


def _at_stable_diagonal(search: Search, new: State, found: list[State]) -> bool:
    """Whether a state is the diagonal one with the noise of a sample: a stable one has no other minimum so close by."""
    diagonal = search.diagonal
    if diagonal is None or not diagonal.stable or not any(search.diagonal_at(s.point.kernel) for s in found):
        return False
    size = SAME_DIAGONAL * np.linalg.norm(diagonal.kernel)
    return bool(np.linalg.norm(new.point.kernel - diagonal.kernel) <= size)
