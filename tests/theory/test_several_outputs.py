"""Several outputs: kernels of all of them in NumPy and mpmath, entry by entry, against what is derived from one."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp
from scipy.optimize import minimize
from sympy import Integer, Rational, cos, factor

from theory import orthogonal_outputs, several_outputs
from theory.coherent_branch import coherent_branch
from theory.incoherent import critical_ratio
from theory.orthogonal_outputs import (
    assert_unequal_stable,
    phase_density,
    symmetric_determinant,
    unequal_determinant,
)
from theory.several_outputs import (
    lifting,
    matrix_quartic,
    mixed_determinant,
    orthogonality_margin,
)
from theory.symbols import kappa, n, s, zeta


def free_energy(H, signals, noise, lib=np):
    """F of the RNN, orthonormal patterns, one for each output; H (nO, nO) NumPy, or mpmath with ``lib=mp``."""
    size, outputs = (len(H) if lib is np else H.rows), len(signals)
    C = lib.eye(size)
    C[outputs:, outputs:] = H[:-outputs, :-outputs] if lib is np else H[: size - outputs, : size - outputs]
    if lib is np:
        energy = np.trace(np.diag(signals) @ np.linalg.inv(H[-outputs:, -outputs:] + noise * np.eye(outputs)))
        signs, logs = zip(*(np.linalg.slogdet(matrix) for matrix in (H, C)), strict=True)
        if min(signs) <= 0:
            return np.inf
        return 0.5 * (energy + np.trace(np.linalg.solve(C, H)) - size - logs[0] + logs[1])
    last = mp.inverse(H[size - outputs :, size - outputs :] + noise * mp.eye(outputs))
    energy = mp.fsum(signals[c] * last[c, c] for c in range(outputs))
    product = mp.inverse(C) * H
    logs = mp.log(mp.det(H)) - mp.log(mp.det(C))
    return (energy + mp.fsum(product[i, i] for i in range(size)) - size - logs) / 2


def branch_kernel(at):
    """One output at T = 4."""
    branch = coherent_branch()
    H = np.zeros((3, 3))
    for (t, u), value in branch.kernel.items():
        H[t - 1, u - 1] = H[u - 1, t - 1] = float(value.subs(s, at))
    return H


def signal_at(at, noise):
    return float(coherent_branch().signal.subs({s: Rational(at), kappa: Rational(noise)}))


def twisted(H, Q):
    blocks = [[H[t, u] * np.linalg.matrix_power(Q if u >= t else Q.T, abs(u - t)) for u in range(3)] for t in range(3)]
    return np.block(blocks)


def hessian(H, signals, noise, step=1e-3):
    """Of F in orthonormal coordinates of symmetric matrices, by differences of fourth order."""
    size = len(H)
    places = [(i, j) for i in range(size) for j in range(i, size)]
    units = []
    for i, j in places:
        unit = np.zeros((size, size))
        unit[i, j] = unit[j, i] = 1 if i == j else np.sqrt(0.5)
        units.append(unit)

    def gradient(K):
        outputs = len(signals)
        C = np.eye(size)
        C[outputs:, outputs:] = K[:-outputs, :-outputs]
        inverse, late = np.linalg.inv(C), np.linalg.inv(K[-outputs:, -outputs:] + noise * np.eye(outputs))
        G = inverse - np.linalg.inv(K)
        G[:-outputs, :-outputs] += (inverse - inverse @ K @ inverse)[outputs:, outputs:]
        G[-outputs:, -outputs:] -= late @ np.diag(signals) @ late
        return np.array([np.sum(G * unit) for unit in units]) / 2

    rows = []
    for unit in units:
        near, far = (gradient(H + k * step * unit) - gradient(H - k * step * unit) for k in (1, 2))
        rows.append((8 * near - far) / (12 * step))
    return np.array(rows)


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def law_weight(at, noise, Q):
    """``√det(tangent metric) / √det'(Hessian)`` at H_Q, two outputs: the Laplace weight of Q, all in 21 entries."""
    H = branch_kernel(at)
    signals = [signal_at(at, noise)] * 2
    values = np.linalg.eigvalsh(hessian(twisted(H, Q), signals, noise))
    assert abs(values[0]) < 1e-5 < values[1]
    step = 1e-5
    turn = rotation(step)
    tangent = (twisted(H, Q @ turn) - twisted(H, Q @ turn.T)) / (2 * step)
    return np.linalg.norm(tangent) / np.sqrt(np.prod(values[1:]))


@pytest.mark.slow
def test_quick_proofs():
    several_outputs.assert_mixed_determinant()
    several_outputs.assert_lifting()
    orthogonal_outputs.assert_determinants()


@pytest.mark.slow
def test_proofs():
    several_outputs.assert_twist()
    several_outputs.assert_matrix_quartic()


@pytest.mark.parametrize(("at", "noise"), [(3, 1), (Rational(5, 2), 12)])
def test_law_on_rotations_and_reflections(at, noise):
    """Against the Hessian of all entries: ratios along the circle, and of a reflection to a rotation."""
    last = float(coherent_branch().kernel[3, 3].subs(s, at))
    share = Rational(last / (last + noise))
    angles = [0.4, 1.1, np.pi / 2]
    weights = [law_weight(float(at), noise, rotation(angle)) for angle in angles]
    expected = [float(1 / symmetric_determinant(2 * Rational(angle), share).subs(s, at)) for angle in angles]
    for weight, value in zip(weights[1:], expected[1:], strict=True):
        assert weight / weights[0] == pytest.approx(value / expected[0], rel=1e-5)
    # the operator's determinant to the power -1/2: (A+B)^(-1/2)/(A+B cos ψ), and (A+B)^-1 (A-B)^(-1/2)
    ends = [float(symmetric_determinant(end, share).subs(s, at)) for end in (0, orthogonal_outputs.pi)]
    reflection = law_weight(float(at), noise, np.diag([1.0, -1.0]))
    assert reflection / weights[0] == pytest.approx(1 / np.sqrt(ends[0] * ends[1]) / expected[0], rel=1e-5)


def test_density_is_normalised():
    density = phase_density().subs({s: 3, zeta: Rational(4, 5)})
    with mpmath.workdps(30):
        values = [
            mp.mpf(density.subs(orthogonal_outputs.ANGLE, Rational(k, 100) * 2 * orthogonal_outputs.pi).evalf(30))
            for k in range(100)
        ]
        assert abs(mp.fsum(values) * 2 * mp.pi / 100 - 1) < mp.mpf(10) ** -20


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [3, 4, 5])
def test_quartic_on_the_full_free_energy(hidden):
    """F at fixed coherence ψQ between neighbouring times, all else minimised, Q = 1 and Q a single step, κ = 1/2.

    ``(ψ² b/4)`` for each: their ratio to ``c₁`` and ``c₁ + c₂``, from F at the critical signal to fourth order.
    """
    noise, n_value = Rational(1, 2), hidden
    r = critical_ratio(n_value + 1)
    share = r**n_value / (r**n_value + noise)
    first, second = (float(c.subs({n: n_value, zeta: share})) for c in matrix_quartic())
    ratio = float(r)
    signal = (ratio - 1) * (ratio**n_value + 0.5) ** 2 / ratio**n_value
    scale = np.sqrt(np.repeat(ratio ** np.arange(1, n_value + 1), 2))

    def least(Q, psi):
        """F with the last neighbouring block held at ψQ, in units of the critical kernel."""
        places = [(i, j) for i in range(2 * n_value) for j in range(i, 2 * n_value)]
        held = {(2 * n_value - 4 + i, 2 * n_value - 2 + j) for i in range(2) for j in range(2)}
        free = [place for place in places if place not in held]

        def kernel(x):
            E = np.eye(2 * n_value)
            for (i, j), value in zip(free, x, strict=True):
                E[i, j] += value
                E[j, i] = E[i, j]
            E[-4:-2, -2:], E[-2:, -4:-2] = psi * Q, psi * Q.T
            return E * np.outer(scale, scale)

        def value(x):
            return free_energy(kernel(x), [signal] * 2, 0.5)

        start = np.zeros(len(free))
        for k, (i, j) in enumerate(free):
            if j // 2 == i // 2 + 1:
                start[k] = psi * Q[i % 2, j % 2] * (i // 2 + 1) / (n_value - 1)
        return minimize(value, start, method="BFGS", options={"gtol": 1e-9}).fun

    base = free_energy(np.diag(scale**2), [signal] * 2, 0.5)
    for Q, expected in ((np.eye(2), 2 * (first + second)), (np.array([[0.0, 1.0], [0.0, 0.0]]), first)):
        near, far = ((least(Q, psi) - base) / psi**4 for psi in (0.1, 0.14))
        limit = near + (near - far) * 0.1**2 / (0.14**2 - 0.1**2)
        assert limit == pytest.approx(expected / 4, abs=0.03 * abs(first))


def test_margin_is_positive():
    numerator = (orthogonality_margin() * 6 * (n - 1) ** 2).expand()
    assert numerator == 3 * n**2 - 11 * n + 12
    assert factor(matrix_quartic()[0] - matrix_quartic()[1] - orthogonality_margin()) == 0


def lowest(signals, noise, rng):
    """A minimum from a random kernel, T = 4: F, and the moduli of W's two largest eigenvalues beside their values."""
    lower = np.tril_indices(6)

    def kernel(x):
        L = np.zeros((6, 6))
        L[lower] = x
        return L @ L.T

    start = np.diag(np.repeat(1.5 ** np.arange(3), 2)) + 0.4 * rng.normal(size=(6, 6))
    found = minimize(
        lambda x: free_energy(kernel(x), signals, noise), start[lower], method="BFGS", options={"gtol": 1e-8}
    )
    H = kernel(found.x)
    eigenvalues = np.linalg.eigvals(np.linalg.solve(H[:4, :4], H[:4, 2:]))
    return found.fun, eigenvalues[np.argsort(np.abs(eigenvalues))[-2:]]


def one_output(at, noise):
    return float(coherent_branch(Rational(noise)).free_energy.subs(s, at)), float(coherent_branch().outlier.subs(s, at))


@pytest.mark.parametrize("seed", range(3))
def test_lowest_states_of_equal_outputs_are_on_the_manifold(seed):
    """SciPy from random kernels: O times the F of one output, and W's outliers on a circle, wherever Q ends."""
    rng = np.random.default_rng(seed)
    at, noise = Rational(int(rng.integers(23, 45)), 10), int(rng.integers(0, 4))
    F, eigenvalues = lowest([signal_at(at, noise)] * 2, noise, rng)
    alone, outlier = one_output(at, noise)
    assert pytest.approx(2 * alone, abs=1e-6) == F
    np.testing.assert_allclose(np.abs(eigenvalues), outlier, rtol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_lowest_states_of_unequal_outputs_are_those_of_each_alone(seed):
    """The manifold is lifted: real outliers of either sign, one for each output, and F the sum."""
    rng = np.random.default_rng(seed)
    places, noise = (Rational(27, 10), Rational(38, 10)), 1
    signals = [signal_at(at, noise) for at in places]
    F, eigenvalues = min((lowest(signals, noise, rng) for _ in range(2)), key=lambda found: found[0])
    alone = [one_output(at, noise) for at in places]
    assert pytest.approx(sum(value for value, _ in alone), abs=1e-6) == F
    np.testing.assert_allclose(np.abs(eigenvalues), sorted(outlier for _, outlier in alone), rtol=5e-3)
    np.testing.assert_allclose(eigenvalues.imag, 0, atol=1e-2)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1)])
def test_unequal_outputs_are_stable_as_if_alone(signs):
    """Two coherent outputs, one coherent and one not: no negative mode, in relative coordinates."""
    for at, other, noise in ((3.0, 3.4, 1), (2.3, 4.0, 0), (2.5, 1.5, 3), (3.0, 3.0, 1)):
        kernels, signals = [], []
        for value, sign in zip((at, other), signs, strict=True):
            H = branch_kernel(value) if value > 2 else np.diag(value ** np.arange(1.0, 4.0))
            kernels.append(H * sign ** np.abs(np.subtract.outer(np.arange(3), np.arange(3))))
            stress = 1 / (4 * value * (value - 1)) if value > 2 else (value - 1) / value**3
            signals.append(stress * (H[2, 2] + noise) ** 2)
        whole = np.zeros((6, 6))
        for k in range(2):
            whole[k::2, k::2] = kernels[k]
        size = np.array([np.sqrt(whole[i, i] * whole[j, j]) for i in range(6) for j in range(i, 6)])
        smallest = np.linalg.eigvalsh(hessian(whole, signals, noise, 1e-4) * np.outer(size, size))[0]
        assert smallest > 1e-3 if at != other else abs(smallest) < 1e-5


@pytest.mark.parametrize(("places", "noise", "signs"), [(("5/2", "4"), 0, (1, 1)), (("3", "17/5"), 7, (1, -1))])
def test_determinant_between_unequal_outputs(places, noise, signs):
    """F of all 21 entries in mpmath, differences in the nine between two outputs, to 40 digits."""
    branch = coherent_branch()
    with mpmath.workdps(150):
        H, signals, values = mp.matrix(6, 6), [], {}
        for k, (at, sign) in enumerate(zip(places, signs, strict=True)):
            put = {s: Rational(at), kappa: Integer(noise)}
            for (t, u), value in branch.kernel.items():
                entry = sign ** (u - t) * mp.mpf(value.subs(put).evalf(150))
                H[2 * t - 2 + k, 2 * u - 2 + k] = H[2 * u - 2 + k, 2 * t - 2 + k] = entry
            signals.append(mp.mpf(branch.signal.subs(put).evalf(150)))
            values[(orthogonal_outputs.FIRST, orthogonal_outputs.SECOND)[k]] = Rational(at)
            last = branch.kernel[3, 3].subs(put)
            values[orthogonal_outputs.SHARES[k]] = last / (last + noise)
        between = [(2 * t, 2 * u + 1) for t in range(3) for u in range(3)]
        h = mp.mpf(10) ** -35

        def moved(*moves):
            K = H.copy()
            for (i, j), step in moves:
                K[i, j] += step * h
                K[j, i] += step * h
            return free_energy(K, signals, noise, mp)

        form = mp.matrix(9, 9)
        for k in range(9):
            for q in range(k + 1):
                corners = [c * d * moved((between[k], c), (between[q], d)) for c in (1, -1) for d in (1, -1)]
                form[k, q] = form[q, k] = mp.fsum(corners) / (4 * h * h)
        # F₂ = ½ eᵀ(∂²F)e, so that ∂²F is the form of 2F₂
        expected = mp.mpf(unequal_determinant().subs(values).evalf(100))
        assert abs(mp.det(form) / expected - 1) < mp.mpf(10) ** -40


def test_unequal_outputs_are_proved_stable():
    assert_unequal_stable()
    a, b, (first, second) = orthogonal_outputs.FIRST, orthogonal_outputs.SECOND, orthogonal_outputs.SHARES
    bracket = factor(unequal_determinant() / (a - b) ** 2).subs({b: a, second: first})
    alone = symmetric_determinant(Integer(0), first).subs(s, a)
    assert not (factor(bracket / alone)).has(first)


def test_mixed_entries_of_the_incoherent_state():
    """The determinant at lag 1 of two outputs against the Hessian of all entries: zero where q(r_j) = q(r_k)."""
    first = 1.7  # r_c = 2 at T = 4
    second = 1 / (1 - 1 / first)  # (r-1)/r² is the same
    assert float(mixed_determinant(2, Rational(first), Rational(second))) == pytest.approx(0, abs=1e-12)
    for value, sign in ((second * 0.97, 1), (second * 1.03, -1)):
        signals = [(r - 1) * (r**3 + 1) ** 2 / r**3 for r in (first, value)]
        H = np.diag(np.ravel(np.column_stack([np.array([first, value]) ** t for t in (1, 2, 3)]).T))
        full = hessian(H, signals, 1, 1e-4)
        places = [(i, j) for i in range(6) for j in range(i, 6)]
        mixed = [places.index((2 * t, 2 * t + 3)) for t in range(2)]
        smallest = np.linalg.eigvalsh(full[np.ix_(mixed, mixed)])[0]
        assert np.sign(smallest) == sign
        assert np.sign(float(mixed_determinant(2, Rational(first), Rational(value)))) == sign


@pytest.mark.slow
def test_faults_are_noticed(monkeypatch):
    wrong_quartic = tuple(c * Rational(101, 100) for c in matrix_quartic())
    for module, name, wrong, proof in (
        (several_outputs, "matrix_quartic", lambda *_: wrong_quartic, several_outputs.assert_matrix_quartic),
        (several_outputs, "lifting", lambda *_: lifting() * cos(several_outputs.ANGLE), several_outputs.assert_lifting),
        (
            several_outputs,
            "mixed_determinant",
            lambda *a: mixed_determinant(*a) * 2,
            several_outputs.assert_mixed_determinant,
        ),
        (
            orthogonal_outputs,
            "coefficients",
            lambda z=zeta: (s * (4 * z - 1), (s - 2) * (2 * z - 1)),
            orthogonal_outputs.assert_determinants,
        ),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, wrong)
            proof.cache_clear()
            with pytest.raises(ArithmeticError):
                proof()
            proof.cache_clear()


def test_exchange_gains_nothing():
    assert lifting(orthogonal_outputs.pi / 2) == 0
    assert lifting(Integer(0)) == 1 / (several_outputs.ALONE + several_outputs.CROSSED)
