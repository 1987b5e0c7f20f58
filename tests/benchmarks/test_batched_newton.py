"""100,000 signals at T = 4: the batched Newton against `scipy.optimize.root` called in a loop on the same equations.

The loop calls the residual as plain-float code from SymPy (common subexpressions shared), the fastest way to call it
one point at a time; it is timed without and with the exact Jacobian, on a sample of the signals, from the same starts.
"""

import time

import numpy as np
import pytest
from scipy.optimize import root
from sympy import lambdify

from numerics.endpoint_task import crossings
from numerics.endpoint_task.batch import solve_endpoint_batch
from theory.free_energy import endpoint_free_energy

pytestmark = pytest.mark.benchmark
POINTS, SAMPLE = 100_000, 300


def _median_seconds(function, repeats=5):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def _scalar_functions():
    """Residual, and residual with Hessian, of one point in plain floats."""
    F = endpoint_free_energy(4, "rnn")
    arguments = (*F.variables, *F.parameters)
    gradient = lambdify(arguments, list(F.stationarity()), modules="math", cse=True)
    both = lambdify(arguments, [*F.stationarity(), *F.hessian()], modules="math", cse=True)

    def with_jacobian(x, p):
        values = both(*x.tolist(), *p)
        return values[:6], np.reshape(values[6:], (6, 6))

    return lambda x, p: gradient(*x.tolist(), *p), with_jacobian


@pytest.mark.parametrize(
    ("branch", "signals"),
    [
        ("incoherent", np.linspace(1.0, 40.0, POINTS)),
        ("coherent", 81 / 8 * (1 + np.geomspace(1e-6, 30.0, POINTS))),
    ],
)
def test_points_per_second(branch, signals):
    solve_endpoint_batch(4, signals[:10], branch=branch)  # lowering and tracing are done once, outside the timing
    batch = solve_endpoint_batch(4, signals, branch=branch)
    assert batch.converged.all()
    assert batch.residual.max() < 1e-10
    batched = POINTS / _median_seconds(lambda: solve_endpoint_batch(4, signals, branch=branch))

    residual, with_jacobian = _scalar_functions()
    chosen = np.linspace(0, POINTS - 1, SAMPLE).astype(int)
    curve = crossings.spline(3, 0 if branch == "incoherent" else 1)
    entries, _ = crossings.states(curve, signals[chosen], np.ones(SAMPLE))
    starts = entries.T
    parameters = [[float(signals[i]), 1.0, 1.0, 1.0, 1.0] for i in chosen]

    def loop(jacobian):
        for start, p in zip(starts, parameters, strict=True):
            if jacobian:
                root(with_jacobian, start, args=(p,), jac=True, tol=1e-12)
            else:
                root(residual, start, args=(p,), tol=1e-12)

    plain = SAMPLE / _median_seconds(lambda: loop(False), 3)
    exact = SAMPLE / _median_seconds(lambda: loop(True), 3)
    print(
        f"\n{branch}: batched {batched:,.0f} points/s; scipy loop {plain:,.0f} (ratio {batched / plain:.0f}), "
        f"with exact Jacobian {exact:,.0f} (ratio {batched / exact:.0f}); largest residual {batch.residual.max():.1e}"
    )
    assert batched >= 20 * plain
    assert batched >= 30 * exact
