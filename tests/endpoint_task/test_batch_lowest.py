"""The lowest state in batches: that of exact lists, on both sides of folds, whatever the last digits of the input."""

import numpy as np
import pytest

from numerics import solve
from numerics.endpoint_task import branches
from numerics.endpoint_task.batch import solve_endpoint_batch
from numerics.inputs.problem import endpoint
from tests.continuation import exact_t4


def random_problems(rng, T, count):
    """λ and κ, from random networks that have learnt little to those beyond the learning transition."""
    n = T - 1
    kappa = 10 ** rng.uniform(-1.0, 4.0, count)
    r = 1 + 10 ** rng.uniform(-1.5, 1.0, count) * kappa ** (1 / n)
    return (r - 1) * (r**n + kappa) ** 2 / r**n * np.exp(rng.uniform(-0.5, 0.5, count)), kappa


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_the_lowest_at_t_4_is_that_of_the_exact_list(arch):
    signal, kappa = random_problems(np.random.default_rng(5), 4, 150)
    batch = solve_endpoint_batch(4, signal, kappa, arch, branch="lowest")
    assert batch.converged.all()
    lowest = [exact_t4.free_energies(endpoint(4, s, kappa=k, arch=arch))[0] for s, k in zip(signal, kappa, strict=True)]
    np.testing.assert_allclose(batch.free_energy, lowest, rtol=1e-9)
    assert batch.stable.all()


@pytest.mark.parametrize("T", [pytest.param(5, marks=pytest.mark.slow), 8])
def test_no_diagonal_state_is_lower(T):
    """All of them, from the roots of ``(r-1)(rⁿ+κ)² = λrⁿ``."""
    n = T - 1
    signal, kappa = random_problems(np.random.default_rng(T), T, 150)
    batch = solve_endpoint_batch(T, signal, kappa, branch="lowest")
    dnn = solve_endpoint_batch(T, signal, kappa, "dnn")
    assert batch.converged.all()
    R = np.polynomial.Polynomial([0.0, 1.0])
    for k, (lam, noise) in enumerate(zip(signal, kappa, strict=True)):
        r = exact_t4.real_roots((R - 1) * (R**n + noise) ** 2 - lam * R**n, 1.0)
        F = (0.5 * lam / (r**n + noise) + 0.5 * n * (r - 1 - np.log(r))).min()
        np.testing.assert_allclose(dnn.free_energy[k], F, rtol=1e-8)
        assert batch.free_energy[k] <= F * (1 + 1e-8)


@pytest.mark.parametrize("T", [4, 6, 8])
@pytest.mark.parametrize("branch", ["incoherent", "lowest"])
def test_the_last_digits_of_the_input_do_not_matter(T, branch):
    signal, kappa = random_problems(np.random.default_rng((T, 3)), T, 200)
    signal[0], kappa[0] = 31680.338799193898, 1000.0
    first = solve_endpoint_batch(T, signal, kappa, branch=branch)
    for change in (1e-12, -1e-12):
        other = solve_endpoint_batch(T, signal * (1 + change), kappa * (1 - change), branch=branch)
        np.testing.assert_array_equal(other.exists, first.exists)
        np.testing.assert_allclose(other.free_energy, first.free_energy, rtol=1e-8)
        np.testing.assert_allclose(other.kernel, first.kernel, rtol=1e-8, atol=1e-8 * np.abs(first.kernel).max())


@pytest.mark.slow
@pytest.mark.parametrize("T", [4, 5, 6, 7, 8])
def test_the_search_finds_no_state_below(T):
    signal, kappa = random_problems(np.random.default_rng((T, 4)), T, 20)
    batch = solve_endpoint_batch(T, signal, kappa, branch="lowest")
    for k in range(len(signal)):
        assert batch.free_energy[k] <= solve(endpoint(T, signal[k], kappa=kappa[k])).free_energy * (1 + 1e-8)


def test_a_branch_that_is_not_traced_to_its_end_says_so(monkeypatch):
    monkeypatch.setattr(branches, "MOST_TRACED", 20)
    with pytest.raises(ArithmeticError, match="a branch of T = 4 is not traced to its end after 20 points"):
        branches.traced_curve.__wrapped__(3)
