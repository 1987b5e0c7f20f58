"""Batched Newton at T = 4 and 5: both branches, near and far from the transition, honest where it fails."""

import dataclasses
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

from numerics import solve
from numerics.endpoint_task import batch as batch_module
from numerics.endpoint_task import branches
from numerics.endpoint_task.batch import critical_signals, lowered_endpoint, solve_endpoint_batch
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.linear.newton import newton, polish, positive_definite


def critical_signal(kappa, T=4):
    """(r_c^n + κ)²(r_c - 1)/r_c^n at r_c = (T-2)/(T-3), by hand."""
    r, n = (T - 2) / (T - 3), T - 1
    return (r - 1) * (r**n + kappa) ** 2 / r**n


def test_the_incoherent_branch_is_the_root_of_its_scalar_equation():
    signal = np.geomspace(1e-3, 1e4, 50)
    batch = solve_endpoint_batch(4, signal, 0.7)
    assert batch.converged.all()
    r = batch.kernel[:, 0, 0]
    np.testing.assert_allclose(batch.kernel[:, 1, 1], r**2, rtol=1e-10)
    np.testing.assert_allclose(batch.kernel[:, 2, 2], r**3, rtol=1e-10)
    np.testing.assert_allclose((r - 1) * (r**3 + 0.7) ** 2 / r**3, signal, rtol=1e-9)
    # roots of the same polynomial from numpy, (r-1)(r³+κ)² - λ r³
    for lam, ratio in zip(signal[::7], r[::7], strict=True):
        cubic = np.poly1d([1, 0, 0, 0.7])
        roots = np.roots((np.poly1d([1, -1]) * cubic * cubic - lam * np.poly1d([1, 0, 0, 0])).coeffs)
        real = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 1)].real
        assert np.min(np.abs(real - ratio)) < 1e-8 * ratio


@pytest.mark.parametrize("branch", ["incoherent", "coherent", "lowest"])
def test_a_long_batch_is_solved_in_blocks_that_are_told(monkeypatch, branch):
    signal, kappa = np.meshgrid(np.linspace(5, 20, 5), np.linspace(0.5, 3, 4))
    w = np.linspace(0.9, 1.1, 20).reshape(4, 5)
    whole = solve_endpoint_batch(4, signal, kappa, branch=branch, w=w, u=1.3)
    monkeypatch.setattr(batch_module, "BLOCK", 7)
    told = []
    parts = solve_endpoint_batch(
        4, signal, kappa, branch=branch, w=w, u=1.3, progress=lambda what, done, total: told.append((done, total))
    )
    for field in dataclasses.fields(whole):
        one, other = getattr(whole, field.name), getattr(parts, field.name)
        if isinstance(one, np.ndarray) and one.dtype != bool:
            np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
        else:
            np.testing.assert_array_equal(other, one)
    assert told == [(0, 20), (7, 20), (14, 20)] * (2 if branch == "lowest" else 1)


def test_stability_is_lost_at_the_critical_signal():
    critical = critical_signal(1.0)
    batch = solve_endpoint_batch(4, critical * np.array([1 - 1e-6, 1 + 1e-6]), 1.0)
    assert batch.stable.tolist() == [True, False]
    assert solve_endpoint_batch(4, [critical * 1.5, 100.0], arch="dnn").stable.all()


@pytest.mark.parametrize("kappa", [0.0, 0.3, 1.0])
def test_the_coherent_branch_is_found_to_within_1e_8_of_the_transition(kappa):
    distance = np.geomspace(1e-8, 1e2, 200)
    batch = solve_endpoint_batch(4, critical_signal(kappa) * (1 + distance), kappa, branch="coherent")
    assert batch.converged.all()
    assert batch.stable.all()
    assert batch.residual.max() < 1e-10
    assert np.all(np.diff(batch.order_parameter) > 0)
    near = distance < 1e-3
    slope = np.polyfit(np.log(distance[near]), np.log(batch.order_parameter[near]), 1)[0]
    assert abs(slope - 0.5) < 2e-4
    below = solve_endpoint_batch(4, batch.signal, kappa)
    assert np.all(batch.free_energy[distance > 1e-5] < below.free_energy[distance > 1e-5])


@pytest.mark.parametrize("T", [4, 5, 6])
def test_very_strong_signals_converge_too(T):
    signal = np.array([1e3, 1e6, 1e9, 1e12])
    batch = solve_endpoint_batch(T, signal, branch="coherent")
    assert batch.converged.all()
    assert batch.residual.max() < 1e-10
    single = solve(endpoint(T, 1e6))
    np.testing.assert_allclose(batch.kernel[1], single.kernel, rtol=1e-8)


def signal_at(branch, s, kappa):
    """λ on a branch of T = 4 by hand, at s = H^11."""
    if branch == "incoherent":
        return (s - 1) * (s**3 + kappa) ** 2 / s**3
    return (4 * s * (s - 1) ** 2 + kappa) ** 2 / (4 * s * (s - 1))


def awkward_problems(rng, branch, count):
    """λ and κ in any order, some twice, at and beside critical points and folds; and λ at the fold."""
    kappa = np.where(rng.random(count) < 0.1, 0.0, 10 ** rng.uniform(-2, 4, count))
    least, turns = (1, lambda k: [4, -3, 0, -2 * k, 3 * k]) if branch == "incoherent" else (2, coherent_turns)
    turning = [np.roots(turns(k)) for k in kappa]
    fold = np.array([max([least, *roots.real[np.abs(roots.imag) < 1e-9]]) for roots in turning])
    s = least + 10 ** rng.uniform(-9, 2, count)
    s = np.where(rng.random(count) < 0.2, fold * (1 + 10 ** rng.uniform(-9, -2, count)), s)
    signal = signal_at(branch, s, kappa) * np.where(rng.random(count) < 0.1, 10 ** rng.uniform(-2, 2, count), 1)
    places = np.append(np.arange(count), rng.integers(0, count, count // 5))
    return signal[places], kappa[places], signal_at(branch, fold, kappa)[places]


def coherent_turns(kappa):
    """``4s(s-1)²(4s-1) - κ(2s-1)``, of the sign of dλ/ds."""
    return [16, -36, 24, -4 - 2 * kappa, kappa]


@pytest.mark.parametrize("noises", ["each its own", "one"])
@pytest.mark.parametrize("branch", ["incoherent", "coherent"])
def test_states_of_awkward_problems_at_t_4_are_those_of_their_polynomials(branch, noises):
    rng = np.random.default_rng([len(branch), len(noises)])
    signal, kappa, fold = awkward_problems(rng, branch, 250)
    if noises == "one":
        kappa[:], fold[:] = kappa.max(), fold[kappa.argmax()]
        signal = fold * (1 + rng.choice([-1, 1], signal.size) * 10 ** rng.uniform(-9, -0.1, signal.size))
    widths = dict(zip("uvw", 10 ** rng.uniform(-1, 1, (3, signal.size)), strict=True))
    noise = kappa * widths["v"] * widths["w"] ** 2 * widths["u"]
    batch = solve_endpoint_batch(4, signal, noise, branch=branch, **widths)
    np.testing.assert_array_equal(batch.converged, batch.exists)
    assert batch.residual[batch.exists].max() <= 1e-10
    scale = widths["u"][:, None, None] * widths["w"][:, None, None] ** (np.add.outer(range(3), range(3)) / 2)
    first = (batch.kernel / scale)[:, 0, 0]
    with np.errstate(invalid="ignore"):
        expected = np.array([kernel_of(branch, s) for s in first]) * scale
    # H^12 beside the critical point is the square root of what rounding leaves of H^11 - 2
    np.testing.assert_allclose(batch.kernel, expected, rtol=1e-6, atol=1e-7)
    least = 2 if branch == "coherent" else 1
    for k, (lam, reduced) in enumerate(zip(signal, kappa, strict=True)):
        reach = np.poly1d([4, -8, 4, 0] if least == 2 else [1, 0, 0, 0]) + reduced
        left, right = (np.poly1d(1), np.poly1d([4, -4, 0])) if least == 2 else (np.poly1d([1, -1]), reach - reduced)
        roots = np.roots((left * reach * reach - lam * right).coeffs)
        roots = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > least + 1e-6)].real
        if batch.exists[k]:
            slope = reach(first[k]) ** 2 / right(first[k])
            # H^11 has been rounded
            np.testing.assert_allclose(left(first[k]) * slope, lam, rtol=1e-10, atol=1e-15 * first[k] * slope)
            lowest = min((energy_of(branch, lam, reduced, s) for s in roots), default=np.inf)
            assert batch.free_energy[k] <= lowest * (1 + 1e-9)
        else:
            # closer to a fold rounding decides
            assert roots.size == 0 or abs(lam / fold[k] - 1) < 1e-9
    order = rng.permutation(signal.size)
    shuffled = {name: width[order] for name, width in widths.items()}
    moved = solve_endpoint_batch(4, signal[order], noise[order], branch=branch, **shuffled)
    np.testing.assert_array_equal(moved.exists, batch.exists[order])
    np.testing.assert_allclose(moved.free_energy, batch.free_energy[order], rtol=1e-11)


def kernel_of(branch, s):
    """The branches of T = 4 by hand, from H^11."""
    if branch == "incoherent":
        return np.diag([s, s**2, s**3])
    odd, even = np.sqrt(np.maximum(2 * s * (s - 1) * (s - 2), 0)), 2 * s * (s - 2)
    return np.array([[s, odd, even], [odd, 2 * s * (s - 1), 2 * s * odd], [even, 2 * s * odd, 4 * s * (s - 1) ** 2]])


def energy_of(branch, lam, kappa, s):
    """F from its definition: the label's term, and the divergence from the prior's kernel."""
    H, C = kernel_of(branch, s), np.eye(3)
    C[1:, 1:] = H[:2, :2]
    divergence = np.trace(np.linalg.solve(C, H)) - 3 - np.linalg.slogdet(H)[1] + np.linalg.slogdet(C)[1]
    return 0.5 * lam / (H[2, 2] + kappa) + 0.5 * divergence


def test_below_the_transition_the_coherent_branch_does_not_exist():
    batch = solve_endpoint_batch(4, [1.0, 10.0, 20.0], branch="coherent")
    assert batch.exists.tolist() == [False, False, True]
    assert np.isnan(batch.kernel[:2]).all()
    assert np.isnan(batch.free_energy[:2]).all()
    assert batch.converged.tolist() == [False, False, True]


@pytest.mark.parametrize("T", [4, 5, 6, 8])
def test_batches_agree_with_the_solver_for_any_problem(T):
    widths = {"u": 1.4, "v": 0.6, "w": 1.2}
    signal, kappa = [3.0, 30.0], [0.2, 1.5]
    batches = [solve_endpoint_batch(T, signal, kappa, branch=b, **widths) for b in ("incoherent", "coherent")]
    dnn = solve_endpoint_batch(T, signal, kappa, "dnn", **widths)
    np.testing.assert_allclose(dnn.kernel, batches[0].kernel, rtol=1e-9, atol=1e-9)
    assert dnn.stable.all()
    for i in range(2):
        lowest = min((b for b in batches if b.converged[i]), key=lambda b: b.free_energy[i])
        single = solve(endpoint(T, signal[i], kappa=kappa[i], **widths))
        np.testing.assert_allclose(lowest.kernel[i], single.kernel, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(lowest.free_energy[i], single.free_energy, rtol=1e-12)
        np.testing.assert_allclose(lowest.energy[i], single.energy, rtol=1e-11)


def test_many_different_noises_at_once():
    rng = np.random.default_rng(3)
    kappa = rng.uniform(0.0, 3.0, 300)
    batch = solve_endpoint_batch(4, 60.0, kappa, branch="coherent")
    assert batch.converged.all()
    again = solve_endpoint_batch(4, 60.0, kappa[:5], branch="coherent")
    np.testing.assert_allclose(batch.kernel[:5], again.kernel, rtol=1e-10)


def test_strong_noise_makes_the_incoherent_branch_fold_and_the_lowest_state_is_given():
    # (r-1)(r³+κ)²/r³ is not monotonic at κ = 1000: three roots at λ = 50000
    roots = np.roots((np.poly1d([1, -1]) * np.poly1d([1, 0, 0, 1000]) ** 2 - 5.0e4 * np.poly1d([1, 0, 0, 0])).coeffs)
    real = np.sort(roots[(np.abs(roots.imag) < 1e-9) & (roots.real > 1)].real)
    assert real.size == 3
    F = 0.5 * 5.0e4 / (real**3 + 1000) + 1.5 * (real - 1 - np.log(real))
    batch = solve_endpoint_batch(4, 5.0e4, 1000.0)
    np.testing.assert_allclose(batch.kernel[0, 0, 0], real[np.argmin(F)], rtol=1e-9)


def test_the_residual_of_a_polished_point_is_relative_to_each_entrys_own_scale():
    gradients = []
    planted = SimpleNamespace(
        dimension=3, precise=lambda *_: SimpleNamespace(hessian=mpmath.eye(3), gradient=gradients.pop(0))
    )
    for first, second, expected in ((4.0, 9.0, 3.0), (1.0, 16.0, 4.0)):
        gradients[:] = [mpmath.zeros(3, 1), mpmath.matrix([0.0, -0.5, 0.25])]
        entries, residual = polish(planted, np.array([first, 0.3, second]), ["1"])
        assert [float(entry) for entry in entries] == [first, 0.3, second]
        assert float(residual) == pytest.approx(expected)  # √H_11H_22 ½, or H_22 ¼
    gradients[:] = [mpmath.matrix([0.7, 0.0, 0.0])] * 100
    with pytest.raises(InputError, match="does not converge"):
        polish(planted, np.ones(3), ["1"], digits=20)


def test_parameters_of_a_polished_point_are_exactly_what_was_given():
    seen = []

    def precise(at, parameters, digits):
        seen.append(parameters)
        return SimpleNamespace(hessian=mpmath.eye(1), gradient=mpmath.zeros(1, 1))

    polish(SimpleNamespace(dimension=1, precise=precise), np.ones(1), ["0.1"])
    polish(SimpleNamespace(dimension=1, precise=precise), np.ones(1), np.array([0.1]))
    with mpmath.workdps(65):
        assert seen[0] == [mpmath.mpf("0.1")]
        assert seen[-1] == [mpmath.mpf(0.1)]
        assert seen[0] != seen[-1]


def test_polish_reaches_50_digits():
    lowered = lowered_endpoint(4, "rnn")
    p = np.array([[20.0], [1.0], [1.0], [1.0], [1.0]])  # λ first
    batch = solve_endpoint_batch(4, 20.0, branch="coherent")
    entries, residual = polish(lowered, batch.kernel[0][np.triu_indices(3)], p[:, 0])
    assert residual < mpmath.mpf(10) ** -50
    with mpmath.workdps(60):
        more, _ = polish(lowered, batch.kernel[0][np.triu_indices(3)], p[:, 0], digits=70)
        assert max(abs(a - b) for a, b in zip(entries, more, strict=True)) < mpmath.mpf(10) ** -49
    np.testing.assert_allclose([float(e) for e in entries], batch.kernel[0][np.triu_indices(3)], rtol=1e-12)


def test_a_start_without_a_root_nearby_is_reported_and_gives_no_number():
    lowered = lowered_endpoint(4, "rnn")
    p = np.repeat([[20.0], [1.0], [1.0], [1.0], [1.0]], 2, axis=1)
    start = np.array([[1.0, 0.0, 0.0, 1.0, 0.0, 1.0], [1.0, 2.0, 0.0, 1.0, 0.0, 1.0]]).T
    assert positive_definite(start).tolist() == [True, False]
    roots = newton(lowered, start, p, max_iterations=2)
    assert not roots.converged.any()
    assert np.isnan(roots.x).all()
    assert np.isinf(roots.residual[1])
    assert roots.status(0).startswith("Not converged after 2 Newton steps: relative residual")


def test_iterates_stay_positive_definite_from_a_poor_start():
    lowered = lowered_endpoint(4, "rnn")
    rng = np.random.default_rng(5)
    factor = rng.normal(size=(60, 3, 3))
    H = factor @ np.swapaxes(factor, 1, 2) + 0.05 * np.eye(3)
    rows, columns = np.triu_indices(3)
    p = np.tile([[20.0], [1.0], [1.0], [1.0], [1.0]], (1, 60))
    roots = newton(lowered, np.ascontiguousarray(H[:, rows, columns].T), p, max_iterations=200)
    found = roots.x[:, roots.converged]
    assert found.shape[1] > 10
    assert positive_definite(found).all()
    assert roots.residual[roots.converged].max() < 1e-10


def test_traced_branches_meet_the_known_pitchforks():
    for n, lag in ((3, 1), (4, 2), (5, 1)):
        curve = branches.traced_curve(n, lag)
        r = (n - lag) / (n - lag - 1)
        np.testing.assert_allclose(np.diagonal(curve.kernels[0]), r ** np.arange(1, n + 1))
        np.testing.assert_allclose(np.exp(curve.log_signal(1.0)[0]), (r - 1) * (r**n + 1) ** 2 / r**n, rtol=1e-12)
    # the transition is continuous at T = 4 and bends back at T = 6
    assert np.all(np.diff(branches.traced_curve(3).log_signal(1.0)) > 0)
    assert np.any(np.diff(branches.traced_curve(5).log_signal(1.0)) < 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"T": 2, "signal": 1.0}, "T: is 2"),
        ({"T": 9, "signal": 1.0}, "T: is 9"),
        ({"T": 4, "signal": -1.0}, "signal"),
        ({"T": 4, "signal": float("nan")}, "signal"),
        ({"T": 4, "signal": 1.0, "kappa": -0.1}, "kappa"),
        ({"T": 4, "signal": 1.0, "w": 0.0}, "w"),
        ({"T": 4, "signal": 1.0, "arch": "cnn"}, "arch"),
        ({"T": 4, "signal": 1.0, "branch": "upper"}, "branch"),
        ({"T": 4, "signal": 1.0, "arch": "dnn", "branch": "coherent"}, "branch"),
        ({"T": 4, "signal": [1.0, 2.0], "kappa": [1.0, 2.0, 3.0]}, "broadcast"),
        ({"T": 4, "signal": "strong"}, "signal"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        solve_endpoint_batch(**arguments)
    assert "\n" not in str(caught.value)
    assert "accepted: " in str(caught.value)


@pytest.mark.parametrize("T", [4, 8])
@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_extreme_signals_are_proved(T, kappa):
    """From λ = 1e-12 to 1e12, without noise too: each kernel is next to a true state, in ball arithmetic."""
    pytest.importorskip("flint")
    from numerics.certificate.certify import certify

    signals = [1e-12, 1e-4, 1e4, 1e12]
    some = solve(endpoint(T, 1e-3))
    for branch in ("incoherent", "coherent"):
        batch = solve_endpoint_batch(T, signals, kappa, branch=branch)
        np.testing.assert_array_equal(batch.exists, [branch == "incoherent"] * 2 + [True] * 2)
        np.testing.assert_array_equal(batch.converged, batch.exists)
        for k in np.flatnonzero(batch.exists):
            problem = endpoint(T, signals[k], kappa=kappa)
            state = dataclasses.replace(some, problem=problem, kernel=batch.kernel[k], stable=bool(batch.stable[k]))
            certificate = certify(state)
            assert certificate.proved, certificate.status
            assert certificate.radius < 1e-9


def test_weak_signals_beyond_the_traced_range_have_the_incoherent_state():
    """Strong noise: H^11 - 1 = λ/(1+κ)² far below any traced point."""
    batch = solve_endpoint_batch(4, [1e-12, 1e-9], 1e4)
    assert batch.converged.all()
    np.testing.assert_allclose(batch.kernel, np.broadcast_to(np.eye(3), (2, 3, 3)), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_the_solver_is_on_the_exact_branch_of_t_4(kappa):
    """``H^{11} = s``, ``H^{22} = 2s(s-1)``, ``H^{33} = 4s(s-1)²``, ``(H^{12})² = 2s(s-1)(s-2)``, ``H^{23} = 2sH^{12}``,
    ``H^{13} = 2s(s-2)``, ``λ = (H^{33}+κ)²/(4s(s-1))`` (``theory.coherent_branch``), to 1e-9."""
    for s in (2.001, 2.3, 4.0, 20.0):
        last, first = 4 * s * (s - 1) ** 2, np.sqrt(2 * s * (s - 1) * (s - 2))
        exact = np.array(
            [
                [s, first, 2 * s * (s - 2)],
                [first, 2 * s * (s - 1), 2 * s * first],
                [2 * s * (s - 2), 2 * s * first, last],
            ]
        )
        state = solve(endpoint(4, (last + kappa) ** 2 / (4 * s * (s - 1)), kappa=kappa))
        size = np.sqrt(np.diagonal(exact))
        assert (np.abs(state.kernel - exact) / (size[:, None] * size)).max() < 1e-9


def test_shapes_are_kept_and_two_parameters_draw_a_map_with_the_critical_line():
    from matplotlib.figure import Figure

    signal, kappa = np.meshgrid(np.linspace(1.0, 20.0, 7), np.linspace(0.2, 2.0, 4))
    batch = solve_endpoint_batch(4, signal, kappa, branch="lowest", v=2.0)
    assert batch.kernel.shape == (4, 7, 3, 3)
    assert all(
        getattr(batch, name).shape == (4, 7) for name in ("signal", "kappa", "free_energy", "stable", "residual")
    )
    one = solve_endpoint_batch(4, signal[2, 5], kappa[2, 5], branch="lowest", v=2.0)
    assert one.signal.shape == (1,)
    np.testing.assert_allclose(batch.kernel[2, 5], one.kernel[0], rtol=1e-12)
    assert "4 × 7" in dict(batch.facts())["problems"]
    coherent = batch.order_parameter > 1e-6
    np.testing.assert_array_equal(coherent, signal > critical_signals(4, kappa / 2.0).reshape(4, 7))
    assert coherent.any()
    assert not coherent.all()
    ax = Figure().subplots()
    batch.draw(ax)
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_xdata(), critical_signals(4, line.get_ydata() / 2.0))
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"signal $\lambda$", r"noise $\kappa$")


def test_where_only_the_noise_varies_it_is_the_axis():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    solve_endpoint_batch(4, 20.0, [2.0, 0.5, 1.0], branch="coherent").draw(ax)
    assert ax.lines[0].get_xdata().tolist() == [0.5, 1.0, 2.0]
    assert ax.get_xlabel() == r"noise $\kappa$"
