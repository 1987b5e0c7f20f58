"""100,000 signals at T = 4 on each branch: the batched Newton against a vmapped, compiled one in JAX.

JAX gets the free energy in closed form, its own exact gradient and Hessian, float64, and the same starts; it iterates
to a residual of 1e-12. Compilation is left out. Ours includes what its line search checks, and each Hessian's
signature.
"""

import time

import numpy as np
import pytest

from numerics.saddle.newton import newton
from numerics.transition import branches
from numerics.transition.batch import lowered_endpoint

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


def _median(function):
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def test_both_branches_take_less_time_than_with_jax():
    batched = _vmapped_newton(pytest.importorskip("jax"))
    lowered = lowered_endpoint(4, "rnn")
    names = [parameter.name for parameter in lowered.parameters]
    ours, theirs = [], []
    for branch, signals in SIGNALS.items():
        curve = branches.spline(3, 0 if branch == "incoherent" else 1)
        entries = branches.states(curve, signals, np.ones(POINTS))[0]
        starts = np.ascontiguousarray(entries.T)
        parameters = lowered.arrange(dict(zip(names, (signals, 1.0, 1.0, 1.0, 1.0), strict=True)))
        roots = newton(lowered, entries, parameters)
        assert roots.converged.all()
        found = np.asarray(batched(starts, signals).block_until_ready())
        np.testing.assert_allclose(found, roots.x.T, rtol=1e-6, atol=1e-6)
        ours.append(_median(lambda p=parameters, x=entries: newton(lowered, x, p)))
        theirs.append(_median(lambda x=starts, s=signals: batched(x, s).block_until_ready()))
        print(f"\n{branch}: ours {ours[-1]:.3f} s, JAX {theirs[-1]:.3f} s (ratio {theirs[-1] / ours[-1]:.2f})")
    print(f"both: ratio {sum(theirs) / sum(ours):.2f}")
    assert sum(theirs) > sum(ours)
