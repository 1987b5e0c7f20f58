"""The lowered functional that the solver runs: it is what the theory derives, and equals the hand-written kernels."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from numerics.linalg import solve_factored, symmetric
from numerics.linear.derived import ENTROPY_MASKED, ENTROPY_TIED
from numerics.linear.functional import kernel_functional
from numerics.linear.received import Received, taken
from tests.linear.test_any_sharing import FAMILIES, random_problem
from tests.linear.test_groups import KINDS, pair


def test_the_module_is_what_the_theory_derives():
    from numerics.lowering.natural import TARGET, source

    assert ast.dump(ast.parse(TARGET.read_text(encoding="utf-8"))) == ast.dump(ast.parse(source()))


def test_each_matrix_is_factorised_once_and_directions_cost_products_only():
    """Of the whole size 6 products for one W, 10 for any M, where ½(GS + SG) adds one more."""
    from numerics.lowering.natural import source

    changes = source().split("_change(kept: Any, S: FloatArray)")[1:]
    products = [text.split("return")[0].count(" @ ") for text in changes]
    assert products == [4, 6, 10]
    for text in changes:
        assert "inverse(" not in text.split("return")[0]
        assert "solve_lower(" not in text.split("return")[0]
    assert "factor(" not in source()
    assert "inverse(" not in source()


def point_at_random(problem, rng):
    functional = kernel_functional(problem)
    m = functional.dimension
    start = functional.at(functional.prior_kernel())
    return start.move(symmetric(rng.normal(size=(m, m))) / np.sqrt(m))


def masked(point):
    """Entropy with the sharing matrix as a mask, whatever it is."""
    space = point.functional.space
    K = np.linalg.cholesky(point.covariance)
    return ENTROPY_MASKED.at(L=point.L, K=K, w=point.functional.w, **taken(space, point.L))


@pytest.mark.parametrize("arch", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_lowered_equals_the_hand_written_kernel_at_random_kernels(arch, seed):
    """Any M, skip, bias and outputs, against blocks followed by hand."""
    rng = np.random.default_rng(100 + seed)
    point = point_at_random(random_problem(rng, arch=arch), rng)
    f, m = point.functional, point.functional.dimension
    inverse = solve_factored(np.linalg.cholesky(point.covariance), np.eye(m))
    hand = Received.of(f.space, f.w, inverse, point.L, f.is_separate)
    lowered, S = masked(point), symmetric(rng.normal(size=(3, m, m)))
    scale = np.abs(inverse).max() * max(1.0, np.abs(point.H).max())
    np.testing.assert_allclose(lowered.get("messages"), hand.adjoint, atol=1e-12 * scale)
    change = lowered.change(S)
    np.testing.assert_allclose(change, symmetric(0.5 * S + hand.curvature(S)), atol=1e-11 * scale)
    for one, of_stack in zip(S, change, strict=True):
        np.testing.assert_allclose(lowered.change(one), of_stack, atol=1e-12 * scale)
    np.testing.assert_allclose(lowered.get("value") - 0.5 * m, point.entropy, atol=1e-11 * scale)
    whole = 0.5 * (point.M - np.eye(m)) + lowered.get("messages")
    np.testing.assert_allclose(lowered.get("gradient"), whole, atol=1e-12 * scale)
    np.testing.assert_allclose(point.gradient, symmetric(whole + point.energy_gradient), atol=1e-11 * scale)


@pytest.mark.parametrize("seed", range(3))
def test_one_shared_matrix_is_a_mask_of_ones(seed):
    rng = np.random.default_rng(seed)
    point = point_at_random(random_problem(rng, arch="rnn"), rng)
    m = point.functional.dimension
    B = point.functional.space.shift_rows(point.L)
    tied = ENTROPY_TIED.at(L=point.L, K=np.linalg.cholesky(point.covariance), B=B, w=point.functional.w)
    S, other = symmetric(rng.normal(size=(m, m))), masked(point)
    for name in ("value", "relative", "messages", "gradient"):
        np.testing.assert_allclose(tied.get(name), other.get(name), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(tied.change(S), other.change(S), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_cliques_of_a_dnn_equal_the_lowered_functional(kind):
    arrow, whole, rng = pair(kind)
    lowered, z = masked(whole), arrow.groups.from_vector(rng.normal(size=arrow.groups.size))
    S = arrow.direction(z)
    energy = whole.energy_gradient
    G = symmetric(lowered.get("gradient") + energy)
    assert arrow.entropy == pytest.approx(lowered.get("value") - 0.5 * len(S), abs=1e-10)
    np.testing.assert_allclose(arrow.direction(arrow.gradient), G, atol=1e-10)
    change = lowered.change(S) + sum(part.curvature(S) for part in whole.energies)
    inside = S != 0  # what lies across cliques follows from these blocks
    found = arrow.direction(arrow.hessian_product(z))
    np.testing.assert_allclose(found, inside * symmetric(change + G @ S), atol=1e-9)


def test_a_wrong_coefficient_is_noticed():
    rng = np.random.default_rng(5)
    point = point_at_random(random_problem(rng, arch="drift:0.7"), rng)
    m = point.functional.dimension
    S, h = symmetric(rng.normal(size=(m, m))), 1e-4
    ends = [point.move(step * S) for step in (h, -h)]
    slope = (ends[0].free_energy - ends[1].free_energy) / (2 * h)
    assert slope == pytest.approx(np.vdot(point.gradient, S), rel=1e-6)
    middle = (ends[0].free_energy - 2 * point.free_energy + ends[1].free_energy) / h**2
    assert middle == pytest.approx(np.vdot(point.hessian_product(S), S), rel=1e-3)
    wrong = masked(point)
    wrong.state["w"] = 1.01 * point.functional.w
    assert np.abs(wrong.get("messages") - masked(point).get("messages")).max() > 1e-4
