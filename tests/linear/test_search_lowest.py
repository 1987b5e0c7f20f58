"""Is the returned state the lowest? Random problems with late labels, by another minimiser; exact lists at T = 4."""

from fractions import Fraction

import numpy as np
import pytest

from numerics import solve_all
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linear import search, trust_region
from tests.linear.independent_minimiser import lowest
from theory import complete_states


def late_labels(rng):
    """Labels at one or two of the last three times: P ≤ 3, T ≤ 9, w from 0.1 to 2, κ/(v w^(T-2) u) from 1 to 1e5, and
    labels from the noise's size to far beyond it; a third of those of two patterns are sequences."""
    T, P = int(rng.integers(4, 10)), int(rng.integers(1, 4))
    n, arch = T - 1, str(rng.choice(["rnn", "dnn"]))
    w, noise = np.exp(rng.uniform(np.log(0.1), np.log(2.0))), np.exp(rng.uniform(0.0, np.log(1e5)))
    kappa = noise * w ** (T - 2)
    size = np.sqrt(np.exp(rng.uniform(0.0, np.log(100.0))) * kappa)
    times = rng.choice(np.arange(max(1, n - 3), n), size=int(rng.integers(1, 3)), replace=False)
    options = {"w": w, "kappa": kappa, "arch": arch}
    if P == 2 and rng.random() < 0.3:
        supervised = sorted(int(t) + 1 for t in times)
        return sequence(T, float(rng.uniform(0.2, 2.5)), size / np.sqrt(2), supervised, **options)
    y = np.full((P, n), np.nan)
    y[:, times] = size * rng.normal(size=(P, len(times)))
    x = np.sqrt(max(P, 2)) * np.eye(max(P, 2))[:P] if rng.random() < 0.5 else rng.normal(size=(P, P + 2))
    return Problem(x, y, **options)


def late_labels_of_any_network(rng):
    """The same for any sharing matrix, half of them with skip connections, half with biases, at T ≤ 8; noise and labels
    relative to what the random network gives."""
    T, P = int(rng.integers(4, 9)), int(rng.integers(1, 3))
    n = T - 1
    families = [f"shared:{rng.uniform(0.1, 1.0)}", f"drift:{rng.uniform(0.3, 1.0)}", "looped:2", "looped:3", "blocks"]
    arch = families[int(rng.integers(len(families)))]
    if arch == "blocks":
        root = rng.normal(size=(n - 1, int(rng.integers(1, n))))
        arch = root @ root.T + np.diag(rng.uniform(0.1, 0.5, size=n - 1))
    w, noise = np.exp(rng.uniform(np.log(0.1), np.log(2.0))), np.exp(rng.uniform(0.0, np.log(1e5)))
    skip, bias = (float(rng.choice(values)) if rng.random() < 0.5 else 0.0 for values in ([0.3, 0.7, 1.0], [0.1, 1.0]))
    M = Problem(np.ones((1, 1)), np.ones((1, n)), arch=arch).sharing
    size = 1.0 + bias
    for t in range(n - 1):
        size = (skip**2 + w * M[t, t]) * size + bias
    y = np.full((P, n), np.nan)
    times = rng.choice(np.arange(max(1, n - 3), n), size=int(rng.integers(1, 3)), replace=False)
    y[:, times] = np.sqrt(np.exp(rng.uniform(0.0, np.log(100.0))) * noise * size) * rng.normal(size=(P, len(times)))
    x = np.sqrt(max(P, 2)) * np.eye(max(P, 2))[:P] if rng.random() < 0.5 else rng.normal(size=(P, P + 2))
    return Problem(x, y, w=w, kappa=noise * size, arch=arch, skip=skip, bias=bias)


def compare(seed, drawn=late_labels):
    problem = drawn(np.random.default_rng(seed))
    state, other = search.lowest_state(problem), lowest(problem, starts=16, seed=seed)[0]
    assert state.converged
    assert state.stable
    assert state.free_energy <= other + 1e-6 * (1 + abs(other)), (seed, state.free_energy, other)
    return state


@pytest.mark.parametrize("seed", [2, 8, 41, 88, 111])
def test_no_lower_state_is_known(seed):
    """Seeds 8, 41, 88 and 111 are answered with a higher state where the search starts from the random network only."""
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_no_lower_state_is_known_of_100_problems_of_any_network(part):
    for seed in range(20 * part, 20 * part + 20):
        compare(seed, late_labels_of_any_network)


def test_the_random_networks_side_alone_misses_states(monkeypatch):
    monkeypatch.setattr(search.starts, "kernels", lambda *_, **__: ())
    with pytest.raises(AssertionError):
        compare(88)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_no_lower_state_is_known_of_300_problems(part):
    states = [compare(seed) for seed in range(1000 + 30 * part, 1030 + 30 * part)]
    # the draw is what it says: several problems of each part have minima of both kinds
    assert sum(state.minima > 1 for state in states) >= 5


@pytest.mark.parametrize(
    ("problem", "free_energy"),
    [
        (endpoint(4, 575.0, kappa=60.0, arch="dnn"), 4.654335),
        (endpoint(8, 38708.0, w=0.3), 2.413076),
        (sequence(8, 1.2566, 5.0, [7], w=0.3), 2.671956),
        (sequence(8, 1.2566370614, 3.0, [1, 7], w=0.3, arch="dnn"), 7.500633),
        (endpoint(8, 31680.338799193898, kappa=1000.0), 2.330910),
        (endpoint(8, 31680.3388, kappa=1000.0), 2.330910),
    ],
)
def test_known_lowest_states(problem, free_energy):
    state = search.lowest_state(problem)
    assert state.free_energy == pytest.approx(free_energy, abs=1e-5)
    assert state.minima > 1
    assert state.next_free_energy > state.free_energy


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("seed", range(4))
def test_exact_lists_at_T4(arch, seed):
    """All stationary states at T = 4, proved complete: the lowest is returned, and every minimum is listed."""
    rng = np.random.default_rng(seed)
    kappa = Fraction(int(np.exp(rng.uniform(0.0, 7.0))) + 1)
    signal = Fraction(int(float(kappa) * np.exp(rng.uniform(0.0, 4.0))) + 1)
    exact = complete_states(4, signal, kappa, arch)
    problem = endpoint(4, float(signal), kappa=float(kappa), arch=arch)
    state, states = search.lowest_state(problem), solve_all(problem)
    assert state.free_energy == pytest.approx(float(exact[0].free_energy), rel=1e-9)
    minima = sorted(float(each.free_energy) for each in exact if each.index == 0)
    assert sorted(each.free_energy for each in states if each.stable) == pytest.approx(minima, rel=1e-8)
    assert [each.minima for each in states] == [len(minima)] * len(states)


def test_a_search_that_meets_its_bound_says_so(monkeypatch):
    monkeypatch.setattr(search, "MOST_DESCENTS", 1)
    state = search.lowest_state(endpoint(8, 38708.0, w=0.3))
    assert "The search ended at its bound of 1 descents." in state.status
    assert all("its bound of 1 descents." in each.status for each in search.search_all(endpoint(4, 20.0)))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_a_state_of_unknown_stability_says_so(arch, monkeypatch):
    monkeypatch.setattr(trust_region, "MODE_STEPS", 1)
    rng = np.random.default_rng(0)
    y = np.full((16, 4), np.nan)
    y[:, -1] = 0.1
    state = search.lowest_state(Problem(rng.normal(size=(16, 4, 12)), y, arch=arch))
    assert state.converged
    assert not state.stable
    assert "Its stability is not known" in state.status
