"""The solver for any linear problem: derivatives, exact cases, degenerate inputs, symmetry, and every state found."""

import numpy as np
import pytest

from numerics import solve, solve_all
from numerics.errors import InputError
from numerics.inputs.problem import Problem, endpoint
from numerics.inputs.teachers import sequence
from numerics.linalg import symmetric
from numerics.linear import modes, search, trust_region
from numerics.linear.functional import kernel_functional
from numerics.linear.lag_classes import lag_period


def brute_force_free_energy(problem, H):
    """docs/theory.md section 3, term by term, on the full nP × nP kernel."""
    n, P, x = problem.n, problem.P, problem.x
    X = np.zeros((n * P, n * P))
    shifted = np.zeros_like(X)
    for t in range(n):
        for s in range(n):
            for p in range(P):
                for q in range(P):
                    X[t * P + p, s * P + q] = x[p, t] @ x[q, s] / problem.D
                    if t and s and (problem.arch == "rnn" or t == s):
                        shifted[t * P + p, s * P + q] = H[(t - 1) * P + p, (s - 1) * P + q]
    C = problem.w * shifted + problem.u * X
    T, y = problem.supervised, problem.labels
    energy = 0.5 * y @ np.linalg.solve(problem.v * H[np.ix_(T, T)] + problem.kappa * np.eye(len(T)), y)
    logs = np.linalg.slogdet(H)[1] - np.linalg.slogdet(C)[1]
    return energy + 0.5 * np.trace(np.linalg.solve(C, H)) - 0.5 * logs - 0.5 * n * P


def general_problem(arch, P=3, D=4, n=3, seed=0, times=1):
    rng = np.random.default_rng(seed)
    y = np.full((P, n), np.nan)
    y[:, -1] = rng.normal(size=P)
    y[0, n - 2] = 1.5
    return Problem(rng.normal(size=(P, times, D)), y, arch=arch, u=1.3, v=0.8, w=1.1, kappa=0.4)


CASES = [
    *(general_problem(arch, times=times) for arch in ("rnn", "dnn") for times in (1, 3)),
    *(general_problem(arch, P=4, D=2, times=times) for arch in ("rnn", "dnn") for times in (1, 2)),
    sequence(5, 1.2566, 2.0, (1, 3), arch="rnn"),
]


@pytest.mark.parametrize("problem", CASES)
def test_gradient_and_hessian_are_the_derivatives_along_paths_of_positive_kernels(problem):
    functional = kernel_functional(problem)
    rng = np.random.default_rng(1)
    m = functional.dimension
    factor = rng.normal(size=(m, m + 4)) / np.sqrt(m + 4)
    prior = np.linalg.cholesky(functional.prior_kernel())
    point = functional.at(prior @ (factor @ factor.T + 0.2 * np.eye(m)) @ prior.T)
    S, R = symmetric(rng.normal(size=(2, m, m)) / m)
    step = 1e-4
    ahead, behind = point.move(step * S), point.move(-step * S)
    slope = (ahead.free_energy - behind.free_energy) / (2 * step)
    np.testing.assert_allclose(np.vdot(point.gradient, S), slope, rtol=1e-6, atol=1e-8)
    bend = (ahead.free_energy + behind.free_energy - 2 * point.free_energy) / step**2
    np.testing.assert_allclose(np.vdot(S, point.hessian_product(S)), bend, rtol=1e-4, atol=1e-6)
    cross = np.vdot(R, point.hessian_product(S)), np.vdot(S, point.hessian_product(R))
    np.testing.assert_allclose(*cross, rtol=1e-10)
    stack = point.hessian_product(np.stack([R, S]))
    np.testing.assert_allclose(stack[1], point.hessian_product(S), atol=1e-12)


@pytest.mark.parametrize("problem", [CASES[0], CASES[1], CASES[2], CASES[3], CASES[-1]])
def test_free_energy_is_that_of_the_theory_page(problem):
    solution = solve(problem)
    expected = brute_force_free_energy(problem, solution.kernel)
    np.testing.assert_allclose(solution.free_energy, expected, rtol=1e-12)
    np.testing.assert_allclose(solution.energy + solution.entropy, solution.free_energy, rtol=1e-14)
    # an independent proof that it is a minimum: no random small change lowers the brute-force value
    rng = np.random.default_rng(2)
    L = np.linalg.cholesky(solution.kernel)
    for _ in range(20):
        S = symmetric(rng.normal(size=L.shape))
        moved = L @ (np.eye(len(L)) + 1e-3 * S / np.linalg.norm(S)) @ L.T
        assert brute_force_free_energy(problem, moved) > expected


def test_without_labels_pulling_the_kernel_is_the_random_networks():
    problem = Problem(np.eye(2), [[np.nan, 0.0], [np.nan, 0.0]], v=1e-9, w=1.7, u=0.6)
    solution = solve(problem)
    expected = np.kron(np.diag([1.0, 1.7]), 0.6 * np.eye(2) / 2)
    np.testing.assert_allclose(solution.kernel, expected, rtol=1e-8, atol=1e-12)
    assert solution.branch == "incoherent"
    assert abs(solution.entropy) < 1e-12


def test_one_hidden_time_is_known_in_closed_form():
    """n = 1, P = 1: ½y²/(vH+κ) + ½(H/c - 1 - ln(H/c)) with c = u x²/D."""
    problem = Problem([[2.0]], [[3.0]], u=0.5, v=0.7, kappa=0.3)
    H = float(solve(problem).kernel[0, 0])
    c = 0.5 * 4.0
    assert abs(-0.5 * 9 * 0.7 / (0.7 * H + 0.3) ** 2 + 0.5 / c - 0.5 / H) < 1e-13


def test_both_branches_at_t_4_and_their_order():
    solutions = solve_all(endpoint(4, 20.0))
    assert [s.branch for s in solutions] == ["coherent", "incoherent"]
    assert [s.stable for s in solutions] == [True, False]
    assert solutions[0].free_energy < solutions[1].free_energy
    assert all(s.converged and s.residual < 1e-13 for s in solutions)
    r = solutions[1].kernel[0, 0]
    np.testing.assert_allclose(np.diagonal(solutions[1].kernel), r ** np.arange(1, 4))
    np.testing.assert_allclose((r - 1) * (r**3 + 1) ** 2 / r**3, 20.0)
    assert solutions[0].order_parameter[0, 0] > 0
    assert [s.branch for s in solve_all(endpoint(4, 4.0))] == ["incoherent"]
    assert [s.branch for s in solve_all(endpoint(4, 40.0, arch="dnn"))] == ["incoherent"]


def test_very_close_to_the_transition_the_right_state_is_chosen():
    critical = 81 / 8
    assert solve(endpoint(4, critical * (1 - 1e-6))).branch == "incoherent"
    above = solve(endpoint(4, critical * (1 + 1e-6)))
    assert above.branch == "coherent"
    assert above.stable


def test_where_the_transition_is_discontinuous_both_phases_are_found():
    # at T = 6 and κ = 1 the coherent branch reaches down to λ ≈ 2.121, below λ_c = (r⁵+1)²(r-1)/r⁵ at r = 4/3
    r = 4 / 3
    critical = (r**5 + 1) ** 2 * (r - 1) / r**5
    states = solve_all(endpoint(6, 2.13))
    assert critical > 2.13
    stable = [s.branch for s in states if s.stable]
    assert sorted(stable) == ["coherent", "incoherent"]
    assert any(not s.stable and s.branch == "coherent" for s in states)
    assert [s.branch for s in solve_all(endpoint(6, 2.11))] == ["incoherent"]


@pytest.mark.slow
def test_states_of_longer_periods_are_found_and_lag_2_states_in_both_signs():
    """At T = 8 and λ = 20: of lag 3 one, of lags 2 and 4 two each, ``W → iW`` apart, with equal free energies.

    A saddle point of lag 1 comes from following branches alone.
    """
    states = solve_all(endpoint(8, 20.0))
    by_period = {}
    for state in states:
        assert state.converged
        period = lag_period(kernel_functional(state.problem), state.reduced)
        by_period.setdefault(period, []).append(state)
    assert {period: len(group) for period, group in by_period.items()} == {0: 1, 1: 3, 2: 2, 3: 1, 4: 2}
    for period in (2, 4):
        first, second = by_period[period]
        np.testing.assert_allclose(first.free_energy, second.free_energy, rtol=1e-13)
        assert first.kernel[period, 0] * second.kernel[period, 0] < 0


def test_states_of_lag_2_are_two_that_differ_in_sign():
    """At T = 6 the incoherent state is unstable to lag 2 beyond λ = (r-1)(r⁵+1)²/r⁵ = 4.86, r = 3/2."""
    functional = kernel_functional(endpoint(6, 8.0))
    first, second = search._of_longer_periods(functional, 1e-10)
    for stop in (first, second):
        assert stop.converged
        assert lag_period(functional, stop.point.H) == 2
    sign = (-1.0) ** (np.arange(5) // 2)
    np.testing.assert_allclose(first.point.H, np.outer(sign, sign) * second.point.H, atol=1e-6)
    assert abs(first.point.H[2, 0]) > 0.01
    assert not list(search._of_longer_periods(kernel_functional(endpoint(6, 4.8)), 1e-10))


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_degenerate_inputs_are_solved_in_their_own_space(arch):
    """Four patterns in two dimensions: the kernel follows from two independent directions, exactly."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, 2))
    y = np.full((4, 3), np.nan)
    y[:, -1] = x @ np.array([1.5, -0.5])
    solution = solve(Problem(x, y, arch=arch, kappa=0.5))
    assert solution.converged
    assert solution.residual < 1e-12
    assert solution.reduced.shape == (6, 6)
    assert np.linalg.matrix_rank(solution.kernel, tol=1e-10 * np.abs(solution.kernel).max()) == 6
    # every block maps between the patterns' two dimensions
    blocks = solution.kernel.reshape(3, 4, 3, 4).transpose(0, 2, 1, 3)
    outside = np.eye(4) - x @ np.linalg.pinv(x)
    assert np.abs(outside @ blocks).max() < 1e-12 * np.abs(solution.kernel).max()


def test_a_repeated_pattern_counts_like_less_noise():
    """The same pattern and label twice: κ is halved for it, whatever the time blocks do."""
    y = np.array([[np.nan, np.nan, 4.0]])
    once = solve(Problem([[1.0]], y, kappa=0.5))
    twice = solve(Problem([[1.0], [1.0]], np.repeat(y, 2, axis=0), kappa=1.0))
    np.testing.assert_allclose(twice.kernel[::2, ::2], once.kernel, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(twice.free_energy, once.free_energy, rtol=1e-12)


def test_orthonormal_patterns_reduce_to_one_along_the_labels():
    P = 3
    labels = np.array([1.0, -2.0, 2.0])
    y = np.full((P, 3), np.nan)
    y[:, -1] = 1.5 * labels
    many = solve(Problem(np.sqrt(P) * np.eye(P), y))
    one = solve(endpoint(4, float(np.sum((1.5 * labels) ** 2))))
    assert one.branch == many.branch == "coherent"
    along = np.kron(np.eye(3), labels[:, None] / 3)
    reduced = along.T @ many.kernel @ along
    np.testing.assert_allclose(np.abs(reduced), np.abs(one.kernel), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(many.free_energy, one.free_energy, rtol=1e-11)


def test_widths_only_rescale_the_kernel():
    u, v, w, T = 1.7, 0.6, 1.3, 5
    wide = solve(endpoint(T, 15.0, u=u, v=v, w=w, kappa=0.8))
    unit = solve(endpoint(T, 15.0, kappa=0.8 / (v * w ** (T - 2) * u)))
    t = np.arange(1, T)
    np.testing.assert_allclose(wide.kernel, unit.kernel * u * w ** ((t[:, None] + t) / 2 - 1), rtol=1e-9)


@pytest.mark.parametrize("signal", [0.0, 1e-12, 1e-6, 1e6, pytest.param(1e12, marks=pytest.mark.slow)])
def test_extreme_signals(signal):
    for arch in ("rnn", "dnn"):
        solution = solve(endpoint(4, signal, arch=arch))
        assert solution.converged, solution.status
        if arch == "dnn" or signal < 1:
            r = solution.kernel[0, 0]
            np.testing.assert_allclose((r - 1) * (r**3 + 1) ** 2 / r**3, signal, rtol=1e-8, atol=1e-14)


def test_an_iteration_that_is_cut_short_says_so():
    functional = kernel_functional(endpoint(4, 20.0))
    stop = trust_region.minimise(functional.at(functional.prior_kernel()), max_iterations=2)
    assert not stop.converged
    assert stop.status.startswith("Not converged: relative residual")
    assert "after 2 steps" in stop.status
    assert stop.point.residual > 1e-10


def test_whole_and_truncated_newton_agree(monkeypatch):
    problem = general_problem("rnn", P=3, D=5, n=4)
    dense = solve(problem)
    monkeypatch.setattr(trust_region, "DENSE_STEPS", 0)
    monkeypatch.setattr(trust_region, "DENSE_MODES", 0)
    truncated = solve(problem)
    assert truncated.converged
    np.testing.assert_allclose(truncated.kernel, dense.kernel, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(truncated.hessian_smallest, dense.hessian_smallest, rtol=1e-3)


@pytest.mark.slow
def test_sixty_four_times():
    """The eigenvalues crowd near zero on a long chain; its incoherent state is known."""
    for arch in ("rnn", "dnn"):
        solution = solve(endpoint(64, 0.01, arch=arch))
        assert solution.converged
        r = solution.kernel[0, 0]
        np.testing.assert_allclose((r - 1) * (r**63 + 1) ** 2 / r**63, 0.01, rtol=1e-9)


def test_a_smallest_eigenvalue_that_cannot_be_found_is_not_called_stable(monkeypatch):
    monkeypatch.setattr(trust_region, "DENSE_MODES", 0)
    monkeypatch.setattr(modes, "MODE_STEPS", 1)
    solution = solve(endpoint(8, 4.0))
    assert solution.converged
    assert not solution.stable
    assert np.isnan(solution.hessian_smallest)


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_a_hundred_rows_converge_to_rounding(arch):
    rng = np.random.default_rng(0)
    y = np.full((20, 5), np.nan)
    x = rng.normal(size=(20, 30))
    y[:, -1] = np.sign(x[:, 0])
    functional = kernel_functional(Problem(x, y, arch=arch))
    stop = trust_region.minimise(functional.at(functional.prior_kernel()))
    assert stop.converged
    assert stop.point.residual < 1e-12
    assert stop.products < 600


def test_the_mask_matters():
    """The same labels give the DNN no coherence: with the RNN's covariance its kernel is not stationary."""
    problem = endpoint(4, 20.0)
    dnn = solve(problem.with_(arch="dnn"))
    rnn = solve(problem)
    assert kernel_functional(problem).at(dnn.reduced).residual < 1e-12  # stationary, but
    assert trust_region.smallest_modes(kernel_functional(problem).at(dnn.reduced))[0][0] < -0.01
    assert kernel_functional(problem.with_(arch="dnn")).at(rnn.reduced).residual > 1e-2


def test_what_cannot_be_solved_is_refused():
    with pytest.raises(InputError, match="activation"):
        search.lowest_state(endpoint(4, 1.0, activation="erf"))
    with pytest.raises(InputError, match="zero for a supervised pattern"):
        solve(Problem([[1.0], [0.0]], [[np.nan, 1.0], [np.nan, 1.0]]))
