"""Is the list of branches complete? For T = 4 … 10 by counts that every complete list satisfies; by random starts up to
T = 6; at T = 4 by the exact elimination (``tests/theory/test_coherent_branch.py``), which leaves no other state.
"""

import numpy as np
import pytest

from numerics.endpoint_task import factorised
from numerics.linalg import from_vector, to_vector
from tests.continuation.scans import scan_endpoint


def critical_signals(T, kappa):
    """Where the incoherent branch is unstable to each lag: r = m/(m-1), m = n - lag, λ = (r-1)(rⁿ+κ)²/rⁿ."""
    n = T - 1
    ratios = [m / (m - 1) for m in range(n - 1, 1, -1)]
    return [(r - 1) * (r**n + kappa) ** 2 / r**n for r in ratios]


@pytest.mark.slow
@pytest.mark.parametrize("T", [4, 5, 6, 7, 8, 9, 10])
def test_signed_counts_and_every_lags_pitchfork(T):
    scan = scan_endpoint(T, np.geomspace(0.5, 100.0, 40))
    np.testing.assert_array_equal(scan.index_sums[np.isfinite(scan.index_sums)], 1.0)
    assert np.isfinite(scan.index_sums).mean() > 0.9
    at_incoherent = [p for p in scan.special_points if p.type == "pitchfork" and "incoherent" in p.names]
    expected = [value for value in critical_signals(T, 1.0) if 0.5 < value < 100.0]
    np.testing.assert_allclose(sorted(p.value for p in at_incoherent), sorted(expected), rtol=1e-10)
    assert all(len(point.names) > 1 for point in scan.special_points)  # every arm is linked to its point
    assert all(p.interval[1] - p.interval[0] < 1e-10 * p.value for p in scan.special_points)


def random_factors(n, count, lag, rng):
    """Kernels of random ``h^{t+1} = Wh^t``, W of Hessenberg form: every positive-definite kernel is one of these."""
    W = np.triu(rng.normal(size=(count, n, n)) * np.exp(rng.uniform(-3.0, 1.2, size=(count, 1, 1))))
    W *= rng.random((count, n, n)) < rng.random((count, 1, 1))
    steps = np.arange(n - 1)
    W[:, steps + 1, steps] = np.exp(0.5 * rng.normal(size=(count, n - 1)) + rng.uniform(-0.7, 0.7, size=(count, 1)))
    rows, columns = np.indices((n, n))
    W[:, (rows - columns - 1) % lag != 0] = 0.0
    L = np.zeros((count, n, n))
    L[:, 0, 0] = np.exp(0.3 * rng.normal(size=count))
    for t in range(1, n):
        L[:, t] = np.einsum("bij,bj->bi", W, L[:, t - 1])
    return L


def stationary(L, signal, kappa):
    """Newton with steps of at most 1, from every start at once; the factors of those that converge."""
    n, found = L.shape[-1], []
    for _ in range(60):
        with np.errstate(all="ignore"):
            here = factorised.factorise(L)
            gradient, hessian, residual = factorised._stationarity(
                here, np.full(len(L), signal), np.full(len(L), kappa)
            )
        usable = (
            np.isfinite(residual) & np.isfinite(hessian).all(axis=(1, 2)) & (np.abs(hessian).max(axis=(1, 2)) < 1e12)
        )
        found.append(L[usable & (residual < 1e-12)])
        going = usable & (residual >= 1e-12)
        L, gradient, hessian = L[going], gradient[going], hessian[going]
        if not len(L):
            break
        step = from_vector(-np.linalg.solve(hessian, to_vector(gradient)[..., None])[..., 0], n)
        step *= np.minimum(1.0, 1.0 / np.linalg.norm(step, axis=(1, 2)))[:, None, None]
        upper = np.linalg.qr(np.swapaxes(L @ (np.eye(n) + step / 2 + step @ step / 8), 1, 2), mode="r")
        L = np.swapaxes(np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, :, None] * upper, 1, 2)
    factors = np.concatenate(found)
    return factors @ np.swapaxes(factors, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("T", "count"), [(4, 2), (5, 5), (6, 7)])
def test_random_starts_find_the_scans_states_and_no_other(T, count):
    """Thousands of starts, among kernels of every lag period: each state of the scan is found, and nothing else."""
    signal, kappa, n = 60.0, 1.0, T - 1
    rng = np.random.default_rng(T)
    scan = scan_endpoint(T, [signal])
    known = np.array([branch.kernel[0] for branch in scan.branches if np.isfinite(branch.free_energy[0])])
    assert len(known) == count
    starts = [random_factors(n, 1500 if lag == 1 else 300, lag, rng) for lag in range(1, n)]
    found = stationary(np.concatenate(starts), signal, kappa)
    assert len(found) > 300
    flip = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    images = np.concatenate([known, flip[:, None] * known * flip])
    size = np.sqrt(np.diagonal(found, axis1=1, axis2=2))
    distance = np.array(
        [(np.abs(found - image) / (size[:, :, None] * size[:, None])).max(axis=(1, 2)) for image in images]
    )
    assert distance.min(axis=0).max() < 1e-7
    reached = distance.min(axis=1).reshape(2, -1).min(axis=0)
    assert reached.max() < 1e-7
