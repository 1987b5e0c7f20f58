"""The random network's state followed to the full labels, and below where that ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.nonlinear.engine import State, continued
from numerics.nonlinear.setting import RELAXATION, Search
from numerics.nonlinear.states import diagonal_law, state_of_law
from numerics.nonlinear.symmetries import Classes, kept_classes

#: Smallest first part of the labels' squared scale before giving up.
SMALLEST_PART = 1e-3
#: Increases of the labels' squared scale at which a state that has ceased to exist is followed down to another.
INCREASES = (0.02, 0.05, 0.1, 0.2)
#: Damped steps down to another state.
FAR_RELAXATION = 400


def followed(search: Search, *, whole: bool) -> list[tuple[float, State]]:
    """Follow the random network's kernel to the full labels; where that ends, follow what lies below it there.

    Where its times stay uncorrelated, it is kept to that: below it lie states of several lags, each of which may be
    a minimum from which no other is found.

    Unless the ``whole`` way is asked for, a diagonal state is its own end.

    Returns:
        Parts of the labels' squared scale, and the states there.
    """
    if not whole and search.diagonal is not None:
        end = state_of_law(search, diagonal_law(search, search.diagonal))
        if end is not None and end.reached:
            return [(1.0, end)]
    start = search.engine.random_network(search.space, search.prior)
    way = to_full_labels(search, start, 0.0, kept_classes(search.space, search.engine.phi, search.prior))
    if not way:
        try:
            state = search.engine.at(search.space, start)
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            raise InputError(
                f"activation: {search.engine.phi.name} has no averages here ({error}); accepted: an activation whose "
                "kernel fluctuates in every entry, or a larger size"
            ) from None
        return [(0.0, replace(state, status="not converged: no step from the random network"))]
    while way[-1][0] < 1.0:
        done, state = way[-1]
        on = _beyond_end(search, done, state)
        if not on:
            status = f"not converged: the labels reach {np.sqrt(done):.3g} of their size only"
            return [*way[:-1], (done, replace(state, reached=False, status=status))]
        way += [(reached, continued(new, state)) for reached, new in on]
    return way


def branches(search: Search, way: list[tuple[float, State]]) -> Iterator[State]:
    """States at full labels on the branches that leave the followed one where it turns unstable."""
    low, high = 0, len(way) - 1
    perturbed: list[Any] = []
    while low <= high:
        middle = (low + high) // 2
        starts = search.engine.perturbed(search.space.with_labels(way[middle][0]), way[middle][1])
        if starts:
            perturbed, part, high = starts, way[middle][0], middle - 1
        else:
            low = middle + 1
    for start in perturbed:
        below = search.engine.converge(search.space.with_labels(part), start, relaxed=RELAXATION)
        if below is not None and below.reached:
            on = to_full_labels(search, search.engine.start(search.space.with_labels(part), below), part)
            if on and on[-1][0] == 1.0:
                yield continued(on[-1][1], below)


def _beyond_end(search: Search, done: float, state: State) -> list[tuple[float, State]]:
    """States beyond one that cannot be followed: what lies below it, or where it relaxes to once it has ended."""
    part = search.space.with_labels(done)
    starts = [(done, start) for start in search.engine.perturbed(part, state)]
    starts += [(min(1.0, done + more), search.engine.start(part, state)) for more in INCREASES]
    for reached, start in starts:
        there = search.space.with_labels(reached)
        new = search.engine.converge(there, start, relaxed=RELAXATION if reached == done else FAR_RELAXATION)
        if new is None or not new.reached or (reached == done and search.same(new, state)):
            continue
        if reached == 1.0:
            return [(1.0, new)]
        on = to_full_labels(search, search.engine.start(there, new), reached)
        if on:
            return [(further, continued(each, new)) for further, each in on]
    return []


def to_full_labels(
    search: Search, start: Any, done: float, classes: Classes | None = None
) -> list[tuple[float, State]]:
    """The states on the way to the full labels, in steps of their squared scale, each with that scale."""
    step, way, iterations = 1.0 - done, [], 0
    while done < 1.0:
        part = min(1.0, done + step)
        search.say(f"labels from {np.sqrt(done):.0%} to {np.sqrt(part):.0%}")
        new = search.engine.converge(search.space.with_labels(part), start, classes=classes)
        if new is not None and new.reached:
            iterations += new.iterations
            way.append((part, replace(new, iterations=iterations)))
            start, done = search.engine.start(search.space, new), part
            step *= 2.0
            continue
        step *= 0.5
        if step < SMALLEST_PART:
            break
    return way
