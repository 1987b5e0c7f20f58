"""100,000 signals at T = 4 on each branch: the batch against a vmapped, compiled Newton in JAX.

JAX gets the free energy in closed form, its own exact gradient and Hessian, float64, and starts from the interpolated
branch; it iterates to a residual of 1e-12 and returns kernels. Compilation and starts are left out. The batch is timed
whole: its starts, kernels, recomputed residuals, free energies, and each Hessian's signature.
"""

import time

import numpy as np
import pytest

from numerics.endpoint_task import crossings
from numerics.endpoint_task.batch import solve_endpoint_batch

pytestmark = pytest.mark.benchmark
POINTS = 100_000
SIGNALS = {
    "incoherent": np.linspace(1.0, 40.0, POINTS),
    "coherent": 81 / 8 * (1 + np.geomspace(1e-6, 30.0, POINTS)),
}


def _vmapped_newton(jax):
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def free_energy(x, signal):
        a, b, c, d, e, f = x
        det3 = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d)
        det2 = a * d - b * b
        trace = a + (d * d - 2 * b * e + a * f) / det2
        return 0.5 * signal / (f + 1.0) + 0.5 * trace - 0.5 * jnp.log(det3 / det2)

    gradient, hessian = jax.grad(free_energy), jax.hessian(free_energy)
    rows, columns = (np.array([0, 3, 5])[index] for index in np.triu_indices(3))

    def solve(x, signal):
        def unfinished(state):
            x, g, steps = state
            # the terms that cancel are of order one in the scale of the entries
            return (jnp.max(jnp.abs(g) * jnp.sqrt(x[rows] * x[columns])) > 1e-12) & (steps < 20)

        def step(state):
            x, g, steps = state
            x = x - jnp.linalg.solve(hessian(x, signal), g)
            return x, gradient(x, signal), steps + 1

        return jax.lax.while_loop(unfinished, step, (x, gradient(x, signal), 0))[0]

    return jax.jit(jax.vmap(solve))


def _medians(*functions):
    """Of each in turns: other work on the machine slows them alike."""
    times = []
    for _ in range(9):
        for function in functions:
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
    return np.median(np.reshape(times, (-1, len(functions))), axis=0)


@pytest.mark.parametrize("branch", SIGNALS)
def test_the_batch_takes_less_time_than_with_jax(branch):
    batched = _vmapped_newton(pytest.importorskip("jax"))
    signals = SIGNALS[branch]
    curve = crossings.spline(3, 0 if branch == "incoherent" else 1)
    s = crossings._lowest_crossing(curve, np.log(signals), np.ones(POINTS), 1.0)
    starts = np.ascontiguousarray(curve.kernels(s).T)
    batch = solve_endpoint_batch(4, signals, branch=branch)
    assert batch.converged.all()
    assert batch.residual.max() < 1e-12
    found = np.asarray(batched(starts, signals).block_until_ready())
    np.testing.assert_allclose(found.T, batch.kernel[:, *np.triu_indices(3)].T, rtol=1e-6, atol=1e-6)
    ours, theirs = _medians(
        lambda: solve_endpoint_batch(4, signals, branch=branch), lambda: batched(starts, signals).block_until_ready()
    )
    print(f"\n{branch}: batch {ours:.3f} s, JAX {theirs:.3f} s (ratio {theirs / ours:.2f})")
    assert theirs > 1.7 * ours
