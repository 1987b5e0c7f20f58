"""The state that is returned is the lowest: against minimisations that share nothing with the package."""

from __future__ import annotations

import numpy as np
import pytest

from numerics.nonlinear.search import solve_nonlinear
from numerics.problem import Problem, sequence
from tests.nonlinear.lowest_reference import lowest

#: The error that the solver's points and the reference's leave in F, over 1 + |F|.
MARGIN = 0.01


def drawn(seed: int) -> Problem:
    """A problem from the hard region: late labels, far above what the random network gives."""
    rng = np.random.default_rng(seed)
    activation = str(rng.choice(["erf", "tanh", "relu"]))
    arch = str(rng.choice(["rnn", "dnn"]))
    P = int(rng.choice([1, 1, 2]))
    T = int(rng.integers(4, 8 if P == 1 else 6))
    w = float(np.exp(rng.uniform(np.log(0.1), np.log(2.0))))
    v = float(rng.choice([0.5, 1.0, 2.0]))
    kappa = float(10 ** rng.uniform(0, 5)) * v * w ** (T - 2)
    if activation != "relu":  # Φ ≤ 1: noise beyond v leaves nothing to learn
        kappa = min(kappa, v * float(rng.uniform(0.3, 1.5)))
    size = np.sqrt(2 * kappa * 10 ** rng.uniform(0.3, 1.6))  # the energy of no learning is from 2 to 40
    options = {"arch": arch, "activation": activation, "w": w, "v": v, "kappa": kappa}
    if P == 2 and rng.random() < 0.5:
        late = [[T - 1], [T - 2, T - 1], [1, T - 1]][int(rng.integers(3))]
        return sequence(T, float(rng.uniform(0.3, 2.5)), float(size / np.sqrt(2)), late, **options)
    y = np.full((P, T - 1), np.nan)
    y[:, -1] = size * rng.uniform(0.5, 1.0, size=P) * rng.choice([-1, 1], size=P)
    return Problem(rng.standard_normal((P, 3)), y, **options)


def coarse(problem: Problem):
    """The solver with as many points as the margin needs."""
    sampled = problem.n * problem.P > 3
    return solve_nonlinear(problem, engine="sampling" if sampled else "quadrature", size=512, tolerance=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_lower_state_is_found_on_random_problems(part):
    """40 problems of three activations and both architectures; in some of each ten both kinds of state exist."""
    both = 0
    for seed in range(10 * part, 10 * part + 10):
        problem = drawn(seed)
        state = coarse(problem)
        assert state.converged, (seed, state.status)
        assert state.stable, seed
        F, error, values = lowest(problem, seed=seed)
        margin = MARGIN * (1 + abs(F))
        assert state.free_energy < F + 4 * error + margin, (seed, state.free_energy, F, error)
        others = values[np.isfinite(values)] if state.next_free_energy is None else [*values, state.next_free_energy]
        both += bool((np.asarray(others) > state.free_energy + 2 * margin).any())
    assert both >= 2
