"""Large kernels: the trust-region Newton against L-BFGS on Cholesky factors with JAX gradients, and its scaling.

Both start from the same kernel, the random network's with a small change that breaks ``W → -W``. The Newton iteration
goes to a relative residual of 1e-10, L-BFGS to 1e-6, or until it has spent ten times the Newton iteration's time.
"""

import resource
import time

import numpy as np
import pytest
from scipy.optimize import minimize

from numerics.inputs.problem import Problem
from numerics.linalg import symmetric
from numerics.linear import trust_region
from numerics.linear.functional import kernel_functional

pytestmark = pytest.mark.benchmark


def classification(n, P, seed=0):
    """Endpoint labels ±3 for P patterns in general position: n P rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(P, 2 * P))
    y = np.full((P, n), np.nan)
    y[:, -1] = 3 * np.sign(x[:, 0])
    return Problem(x, y)


def _start(functional):
    rng = np.random.default_rng(1)
    m = functional.dimension
    point = functional.at(functional.prior_kernel())
    return point.move(symmetric(rng.normal(size=(m, m))) * 0.1 / m)


def _newton(problem):
    functional = kernel_functional(problem)
    begin = time.perf_counter()
    stop = trust_region.minimise(_start(functional))
    return stop, time.perf_counter() - begin


def _lbfgs(problem, budget):
    """Free energy after L-BFGS and whether its relative residual got to 1e-6, and seconds (compilation left out)."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp, solve_triangular = jax.numpy, jax.scipy.linalg.solve_triangular
    functional = kernel_functional(problem)
    m, block = functional.dimension, problem.P
    inputs = jnp.asarray(functional.input_covariance)
    readout, labels = jnp.asarray(functional.readout), jnp.asarray(functional.labels)
    rows, columns = np.tril_indices(m)
    diagonal = rows == columns

    def free_energy(z):
        L = jnp.zeros((m, m)).at[rows, columns].set(jnp.where(diagonal, jnp.exp(z), z))
        H = L @ L.T
        C = inputs.at[block:, block:].add(problem.w * H[:-block, :-block])
        factor = jnp.linalg.cholesky(C)
        half = solve_triangular(factor, L, lower=True)
        gram = problem.v * readout @ H @ readout.T + problem.kappa * jnp.eye(len(labels))
        energy = 0.5 * labels @ jax.scipy.linalg.solve(gram, labels, assume_a="pos")
        logs = jnp.log(jnp.diagonal(L)) - jnp.log(jnp.diagonal(factor))
        return energy + 0.5 * jnp.sum(half**2) - jnp.sum(logs) - 0.5 * m

    both = jax.jit(jax.value_and_grad(free_energy))
    L = _start(functional).L
    z = np.where(diagonal, np.log(np.abs(L[rows, columns]) + 1e-300), L[rows, columns])
    both(z)[0].block_until_ready()
    begin = time.perf_counter()
    reached = [False, 0]

    def stop_early(z):
        # checking the residual is not charged to L-BFGS: every twentieth iteration only
        reached[1] += 1
        if time.perf_counter() - begin > budget:
            raise StopIteration
        if reached[1] % 20 == 0:
            full = np.zeros((m, m))
            full[rows, columns] = np.where(diagonal, np.exp(z), z)
            if functional.at(full @ full.T).residual <= 1e-6:
                reached[0] = True
                raise StopIteration

    result = minimize(
        lambda z: tuple(np.asarray(part, dtype=np.float64) for part in both(z)),
        z,
        jac=True,
        method="L-BFGS-B",
        callback=stop_early,
        options={"maxiter": 100_000, "maxfun": 200_000, "maxcor": 20, "ftol": 0.0, "gtol": 0.0},
    )
    return float(result.fun), reached[0], reached[1], time.perf_counter() - begin


@pytest.mark.parametrize(("n", "P"), [(8, 50)])
def test_newton_to_1e_10_against_lbfgs_to_1e_6(n, P):
    problem = classification(n, P)
    stop, seconds = _newton(problem)
    assert stop.converged
    F, reached, iterations, slow = _lbfgs(problem, budget=10.5 * seconds)
    outcome = "reached 1e-6" if reached else "stopped short of 1e-6"
    print(
        f"\nn r = {n * P}: Newton {seconds:.1f} s, {stop.iterations} steps, {stop.products} products, residual "
        f"{stop.point.residual:.1e}, F = {stop.point.free_energy:.9f}; L-BFGS {outcome} after {iterations} iterations, "
        f"{slow:.1f} s (ratio {slow / seconds:.1f}), F = {F:.9f}"
    )
    assert slow >= 10 * seconds


def test_time_grows_no_faster_than_the_power_3_3_and_a_thousand_rows_fit():
    sizes, seconds = [100, 200, 400, 1000], []
    for size in sizes:
        stop, taken = _newton(classification(5, size // 5))
        assert stop.converged, stop.status
        seconds.append(taken)
        print(
            f"\nn r = {size}: {taken:.2f} s, {stop.iterations} steps, {stop.products} products, "
            f"residual {stop.point.residual:.1e}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    power = np.log(seconds[-1] / seconds[0]) / np.log(sizes[-1] / sizes[0])
    print(f"power {power:.2f}, peak memory {peak:.2f} GiB")
    assert power <= 3.3
    assert seconds[-1] < 300
    assert peak < 2
