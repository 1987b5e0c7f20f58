"""Laws of the trajectory as states of an engine."""

from __future__ import annotations

import numpy as np

from numerics.nonlinear.engine import State
from numerics.nonlinear.laws import Law
from numerics.nonlinear.setting import RELAXATION, SAME_DIAGONAL, Search
from numerics.nonlinear.solution import NonlinearSolution
from numerics.nonlinear.symmetries import independent


def state_of_law(search: Search, law: Law) -> State | None:
    """The engine's state at a law; one with hardly any correlations between independent classes is kept to none."""
    relaxed, kept = RELAXATION, None
    classes = independent(search.space, search.engine.phi)
    if classes is not None:
        of_rows, of_coordinates = classes.matrices()
        kernel = np.where(of_rows, law.kernel, 0.0)
        if np.linalg.norm(law.kernel - kernel) <= SAME_DIAGONAL * np.linalg.norm(law.kernel):
            tilt, covariance = np.where(of_rows, law.tilt, 0.0), np.where(of_coordinates, law.covariance, 0.0)
            law, relaxed, kept = law._replace(kernel=kernel, tilt=tilt, covariance=covariance), 0, classes
    try:
        start = search.engine.around(search.space, law)
    except np.linalg.LinAlgError:
        return None
    return search.engine.converge(search.space, start, classes=kept, relaxed=relaxed)


def diagonal_law(search: Search, state: NonlinearSolution) -> Law:
    """The law of a trajectory in the diagonal state."""
    C, covariance = (
        np.diag(np.diagonal(each) / np.diagonal(search.space.embedding) ** 2)
        for each in (state.covariance, state.second_moment)
    )
    none, precision = np.zeros(search.space.d), np.asarray(np.linalg.inv(C))
    return Law(
        precision,
        state.conjugate,
        state.free_energy,
        state.kernel,
        none,
        covariance,
        precision,
        none[None],
        np.ones(1),
        1.0,
    )
