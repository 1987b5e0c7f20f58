"""Arrow kernels of independent groups of times against whole kernels, with and without shared coordinates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from numerics.inputs.problem import Problem
from numerics.linalg import symmetric
from numerics.linear import recursion, steps, trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.grouped import GroupedPoint
from numerics.linear.groups import groups_of


def problem_of(kind: str, seed: int = 0, arch: str = "dnn") -> Problem:
    """Labels at one time, at two, and inputs at the first time only."""
    rng = np.random.default_rng(seed)
    P, n = 5, 5
    y = np.full((P, n), np.nan)
    y[:, -1] = rng.normal(size=P)
    if kind == "two label times":
        y[1:4, 2] = rng.normal(size=3)
    if kind == "label before the end":
        y = np.roll(y, -1, axis=1)
    x = rng.normal(size=(P, 7)) if kind == "input at first" else rng.normal(size=(P, n, 2))
    return Problem(x, y, kappa=0.3, w=1.2, arch=arch)


KINDS = ("one label time", "two label times", "label before the end", "input at first")


def pair(kind: str, seed: int = 0):
    """An arrow beside the random network's kernel, and the same as a matrix."""
    functional = kernel_functional(problem_of(kind, seed))
    groups = groups_of(functional)
    rng = np.random.default_rng(seed + 1)
    point = functional.at(functional.prior_kernel())
    m = functional.dimension
    other = point.move(0.5 * symmetric(rng.normal(size=(m, m))) / np.sqrt(m))
    arrow = GroupedPoint.of(groups, other.H)
    return arrow, arrow.whole(), rng


@pytest.mark.parametrize("kind", KINDS)
def test_an_arrow_has_the_blocks_it_is_made_from_and_a_zero_inverse_across(kind):
    functional = kernel_functional(problem_of(kind))
    groups, m = groups_of(functional), functional.dimension
    assert len(groups.own) > 1
    G = np.random.default_rng(2).normal(size=(m, 2 * m))
    H = G @ G.T / m
    whole = GroupedPoint.of(groups, H).whole()
    inside = np.zeros((m, m), dtype=bool)
    for rows in groups.cliques:
        inside[np.ix_(rows, rows)] = True
        np.testing.assert_allclose(whole.H[np.ix_(rows, rows)], H[np.ix_(rows, rows)], rtol=1e-10, atol=1e-12)
    inverse = np.linalg.inv(whole.H)
    assert np.abs(inverse[~inside]).max() < 1e-10 * np.abs(inverse).max()
    # of all kernels with these blocks it has the lowest F: the gradient has nothing across, and so not H's
    assert whole.free_energy < functional.at(H).free_energy
    assert np.abs(whole.gradient[~inside]).max() < 1e-10 * np.abs(whole.gradient).max()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_value_gradient_hessian_and_preconditioner_are_those_of_the_whole_kernel(kind, seed):
    arrow, whole, rng = pair(kind, seed)
    assert arrow.energy == pytest.approx(whole.energy, rel=1e-12)
    assert arrow.entropy == pytest.approx(whole.entropy, rel=1e-10)
    assert arrow.residual == pytest.approx(whole.residual, rel=1e-9)
    np.testing.assert_allclose(arrow.direction(arrow.gradient), whole.gradient, atol=1e-11)
    coordinates = rng.normal(size=(3, arrow.groups.size))
    z = arrow.groups.from_vector(coordinates)
    S = arrow.direction(z)
    np.testing.assert_allclose(np.einsum("kij,kij->k", S, S), np.einsum("kd,kd->k", z, z), rtol=1e-12)
    np.testing.assert_allclose(np.einsum("kd,kd->k", coordinates, coordinates), np.einsum("kd,kd->k", z, z), rtol=1e-12)
    np.testing.assert_allclose(arrow.groups.to_vector(z), coordinates, rtol=1e-12)
    on = S.any(axis=0)
    product = whole.hessian_product(S)
    np.testing.assert_allclose(arrow.direction(arrow.hessian_product(z)), on * product, atol=1e-10)
    np.testing.assert_allclose(arrow.direction(arrow.hessian_product(z[1])), on * product[1], atol=1e-10)
    np.testing.assert_allclose(arrow.direction(arrow.preconditioned(z)), recursion.squared(whole, S), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_move_is_that_of_the_whole_kernel_to_third_order(kind):
    arrow, whole, rng = pair(kind)
    z = arrow.groups.from_vector(rng.normal(size=arrow.groups.size))
    S = arrow.direction(z)
    errors = []
    for length in (0.02, 0.01):
        moved, exact = arrow.move(length * z), whole.move(length * S)
        errors.append(max(np.abs(moved.whole().H - GroupedPoint.of(arrow.groups, exact.H).whole().H).max(), 1e-16))
        change = moved.free_energy - arrow.free_energy
        model = length * z @ arrow.gradient + 0.5 * length**2 * z @ arrow.hessian_product(z)
        assert change == pytest.approx(model, abs=50 * length**3 * np.linalg.norm(z) ** 3)
    assert errors[1] < 0.2 * errors[0] or errors[0] < 1e-11


@pytest.mark.parametrize("kind", KINDS)
def test_across_groups_the_hessian_is_one_half(kind):
    functional = kernel_functional(problem_of(kind))
    point = trust_region.minimise(functional.at(functional.prior_kernel())).point
    groups, m = groups_of(functional), functional.dimension
    across = np.ones((m, m))
    for rows in groups.cliques:
        across[np.ix_(rows, rows)] = 0.0
    S = across * symmetric(np.random.default_rng(0).normal(size=(m, m)))
    np.testing.assert_allclose(point.hessian_product(S), 0.5 * S, atol=1e-8 * np.abs(S).max())
    values = np.linalg.eigvalsh(trust_region.dense_hessian(point))
    arrow = GroupedPoint.of(groups, point.H)
    among = np.linalg.eigvalsh(groups.to_vector(arrow.hessian_product(groups.from_vector(np.eye(groups.size)))))
    expected = np.sort(np.concatenate([among, np.full(m * (m + 1) // 2 - groups.size, 0.5)]))
    np.testing.assert_allclose(values, expected, atol=1e-8)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_a_descent_that_comes_close_to_a_known_minimum_ends_there(arch, monkeypatch):
    functional = kernel_functional(problem_of("one label time", arch=arch))
    start = functional.at(functional.prior_kernel())
    stop = trust_region.minimise(start)
    smallest = float(trust_region.smallest_modes(stop.point)[0][0])
    basin, seen, moved = trust_region.Basin.of(stop, smallest), [], steps.moved

    def watched(*arguments):
        seen.append(moved(*arguments))
        return seen[-1]

    monkeypatch.setattr(trust_region.steps, "moved", watched)
    again = trust_region.minimise(start.move(0.1 * np.eye(functional.dimension)), known=[basin])
    assert again is stop
    assert seen[-1].residual > 1e-10  # before it converged
    # at another F it goes on
    other = dataclasses.replace(basin, at=steps.prepared(functional.with_labels(2.0).at(stop.point.H)))
    assert trust_region.minimise(start, known=[other]) is not stop


@pytest.mark.parametrize("kind", KINDS)
def test_distance_and_reflections_are_those_of_the_blocks(kind):
    """The blocks' shared part comes first in each, and counts once."""
    arrow, _, _ = pair(kind)
    other, _, rng = pair(kind, seed=5)
    groups, shared = arrow.groups, len(arrow.groups.shared)
    H, base = arrow.whole().H, other.whole().H
    squared = 0.0
    for number, rows in enumerate(groups.cliques):
        L = np.linalg.cholesky(base[np.ix_(rows, rows)])
        apart = np.linalg.solve(L, np.linalg.solve(L, H[np.ix_(rows, rows)]).T) - np.eye(len(rows))
        apart[:shared, :shared] *= number == 0
        squared += np.sum(apart**2)
    assert arrow.distance(other) == pytest.approx(np.sqrt(squared), rel=1e-9)
    assert arrow.distance(arrow) < 1e-12
    flips = rng.choice([-1.0, 1.0], size=(2, len(H)))
    mean = H
    for flip in flips:
        mean = 0.5 * (mean + np.outer(flip, flip) * mean)
    reflected = arrow.reflected(list(flips))
    for rows, factor in zip(groups.cliques, reflected.factors, strict=True):
        np.testing.assert_allclose(factor @ factor.T, mean[np.ix_(rows, rows)], rtol=1e-10, atol=1e-12)
