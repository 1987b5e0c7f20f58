"""Stability of the incoherent branch for any sharing matrix, against the full free energy."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import ImmutableMatrix, Integer, Poly, Rational, cos, eye, pi, real_roots, simplify, sqrt, symbols

from tests.theory.sharing_reference import covariance, entries, free_energy, gradient, moved, response
from theory import sharing_stability as module
from theory import symbols as names
from theory.free_energy import endpoint_free_energy
from theory.kernel import kernel_matrix
from theory.sharing import (
    DNN,
    RNN,
    SharingFamily,
    correlations,
    forward_covariance,
    prior_variances,
    sharing,
)
from theory.sharing_groups import assert_groups, groups
from theory.sharing_stability import (
    EIGENVALUE,
    SharingSector,
    angle_condition,
    assert_angle_condition,
    assert_congruence,
    eigenvalue_at,
    eigenvalue_condition,
    instability,
    ratio_at,
    sharing_sector,
)
from theory.stability import lag_sector


def random_correlations(n, rng, *, zeros=False):
    """A random sharing matrix of unit diagonal, of any rank."""
    rank = int(rng.integers(1, n))
    G = rng.normal(size=(n - 1, rank))
    if zeros:
        G[rng.random(G.shape) < 0.4] = 0
        G[np.all(G == 0, axis=1), 0] = 1
    G /= np.linalg.norm(G, axis=1, keepdims=True)
    return G @ G.T


def numpy_gradient(H, M, label, kappa):
    n = len(H)
    C = np.zeros((n, n))
    C[0, 0], C[1:, 1:] = 1, M * H[:-1, :-1]
    inverse = np.linalg.inv(C)
    G = inverse - np.linalg.inv(H)
    G[:-1, :-1] += M * (inverse - inverse @ H @ inverse)[1:, 1:]
    G[-1, -1] -= label / (H[-1, -1] + kappa) ** 2
    return G


def unstable_directions(M, ratio, kappa):
    """Negative eigenvalues of the Hessian of F, from differences of its gradient over all entries."""
    n = len(M) + 1
    label = (ratio - 1) * (ratio**n + kappa) ** 2 / ratio**n
    root = np.sqrt(ratio ** np.arange(1, n + 1))
    pairs, h = entries(n), 1e-5
    hessian = np.empty((len(pairs), len(pairs)))
    for column, (i, j) in enumerate(pairs):
        change = 0
        for sign in (1, -1):
            E = np.eye(n)
            E[i, j] += sign * h
            E[j, i] = E[i, j]
            G = numpy_gradient(root[:, None] * E * root, M, label, kappa)
            change = change + sign * root[:, None] * G * root / (2 * h)
        hessian[:, column] = [change[p] * (1 if p[0] == p[1] else 2) for p in pairs]
    return int(np.sum(np.linalg.eigvalsh((hessian + hessian.T) / 2) < 0))


@pytest.mark.parametrize("seed", range(40))
def test_as_many_unstable_modes_as_eigenvalues_above_the_bound(seed):
    """Random M of every rank, with and without vanishing entries, n = 3 … 7, any r and κ."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 8))
    M = random_correlations(n, rng, zeros=seed % 2 == 0)
    ratio, kappa = 1 + rng.exponential(1.0), rng.exponential(3.0)
    expected = 0
    for lag in range(1, n):
        K = np.array(sharing_sector(ImmutableMatrix(M), lag).correlation_matrix().tolist(), dtype=float)
        expected += int(np.sum(np.linalg.eigvalsh(K) > ratio / (ratio - 1)))
    zeta = ratio**n / (ratio**n + kappa)
    expected += int(n * (1 + 2 * (ratio - 1) * zeta) < (n - 1) * ratio)
    assert unstable_directions(M, ratio, kappa) == expected


@pytest.mark.parametrize("size", range(1, 8))
def test_congruence_for_symbols(size):
    assert_congruence(size)


@pytest.mark.parametrize("method", ["form", "correlation_matrix", "difference", "residual"])
def test_a_changed_entry_breaks_the_congruence(method, monkeypatch):
    sound = getattr(SharingSector, method)

    def changed(self, *args):
        matrix = sound(self, *args).as_mutable()
        matrix[0, 0] += Rational(1, 100)
        return ImmutableMatrix(matrix)

    monkeypatch.setattr(SharingSector, method, changed)
    assert_congruence.cache_clear()
    with pytest.raises(ArithmeticError, match="does not vanish"):
        assert_congruence(4)
    assert_congruence.cache_clear()


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_ends_of_the_family_are_the_known_sectors(lag):
    for arch, known in ((RNN, "rnn"), (DNN, "dnn")):
        mine = sharing_sector(arch.matrix(5), lag).form()
        assert mine == lag_sector(6, lag, known).matrix()


def test_angle_condition_is_derived_for_symbolic_length():
    assert_angle_condition()


@pytest.mark.parametrize("changed", ["angle_condition", "eigenvalue_at", "ratio_at"])
def test_a_changed_coefficient_breaks_the_angle_condition(changed, monkeypatch):
    sound = getattr(module, changed)
    monkeypatch.setattr(
        module,
        changed,
        lambda *a: sound(*a[:-1], a[-1] * Rational(101, 100)) if len(a) > 2 else sound(*a) * Rational(101, 100),
    )
    assert_angle_condition.cache_clear()
    with pytest.raises(ArithmeticError):
        assert_angle_condition()
    assert_angle_condition.cache_clear()


@pytest.mark.parametrize("rho", [Rational(1, 100), Rational(1, 2), Rational(9, 10), Rational(99, 100)])
def test_angle_and_polynomial_give_the_largest_eigenvalue(rho):
    with mpmath.workdps(60):
        value = mp.mpf(rho.p) / rho.q
        for size in range(2, 10):
            K = mp.matrix(size, size)
            for s in range(size):
                for t in range(size):
                    K[s, t] = value ** abs(s - t)
            largest = max(mp.eigsy(K, eigvals_only=True))
            polynomial = eigenvalue_condition(size).subs(names.rho, rho)
            assert abs(mp.mpf(real_roots(Poly(polynomial, EIGENVALUE))[-1].evalf(50)) - largest) < mp.mpf(10) ** -45
            angle = mp.findroot(
                lambda x, size=size: mp.cos((size + 1) * x / 2) - value * mp.cos((size - 1) * x / 2),
                (0, mp.pi / (size + 1)),
                solver="anderson",
            )
            named = symbols("theta")
            assert abs(mp.mpf(angle_condition(size, named, rho).subs(named, angle).evalf(50))) < mp.mpf(10) ** -40
            at = eigenvalue_at(named, rho).subs(named, angle).evalf(50)
            assert abs(mp.mpf(at) - largest) < mp.mpf(10) ** -40
            assert (
                abs(mp.mpf(ratio_at(named, rho).subs(named, angle).evalf(50)) - largest / (largest - 1))
                < mp.mpf(10) ** -38
            )


@pytest.mark.parametrize("family", ["shared", "drift"])
@pytest.mark.parametrize("T", [4, 5, 7, 9])
def test_lag_one_is_first_and_meets_the_same_in_shared_and_drift(family, T):
    for rho in (Rational(1, 10), Rational(1, 2), Rational(19, 20)):
        found = instability(SharingFamily(family, rho).matrix(T - 1))
        assert (found.lag, found.degeneracy, found.times) == (1, 1, (1, T - 2))
        assert found.eigenvalue == instability(SharingFamily("shared", rho).matrix(T - 1)).eigenvalue


@pytest.mark.parametrize("T", range(4, 10))
def test_looped_networks_grow_coherent_at_lag_p(T):
    n = T - 1
    for p in range(1, n):
        found = instability(SharingFamily("looped", Integer(p)).matrix(n))
        if n - p < 2:
            assert found is None
        else:
            assert (found.lag, found.eigenvalue, found.times, found.degeneracy) == (p, n - p, (1, n - p), 1)


def tied(n, *groups_of_layers):
    """M of a network whose matrices are tied within each group."""
    M = eye(n - 1).as_mutable()
    for group in groups_of_layers:
        for s in group:
            for t in group:
                M[s - 1, t - 1] = 1
    return ImmutableMatrix(M)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_any_two_tied_matrices_have_the_same_critical_point(n):
    for a in range(1, n - 1):
        for b in range(a + 1, n):
            found = instability(tied(n, (a, b)))
            assert (found.eigenvalue, found.ratio, found.lag, found.times) == (2, 2, b - a, (a, a + 1))
            weak = tied(n, (a, b)).as_mutable()
            weak[a - 1, b - 1] = weak[b - 1, a - 1] = Rational(1, 3)
            assert instability(ImmutableMatrix(weak)).ratio == 4  # (1+ρ)/ρ


def test_blocks_of_tied_layers_and_how_many_modes_grow_together():
    found = instability(tied(8, (1, 2), (3, 4, 5, 6)))
    assert (found.eigenvalue, found.lag, found.times, found.degeneracy) == (4, 1, (3, 6), 1)
    found = instability(tied(7, (1, 2, 3), (4, 5, 6)))
    assert (found.eigenvalue, found.lag, found.times, found.degeneracy) == (3, 1, (4, 6), 2)
    assert instability(tied(5)) is None
    # a matrix and its negative are as good as tied
    opposite = ImmutableMatrix([[1, -1], [-1, 1]])
    assert instability(opposite).eigenvalue == 2


def test_limits_of_the_correlation():
    """ρ → 0: ``Λ = 1 + 2ρ cos(π/(m+1))``; ρ → 1: ``Λ = m - (1-ρ)(m²-1)/3``; m → ∞: ``Λ → (1+ρ)/(1-ρ)``."""
    for size in range(2, 9):
        condition = eigenvalue_condition(size)

        def largest(rho, condition=condition):
            return real_roots(Poly(condition.subs(names.rho, rho), EIGENVALUE))[-1].evalf(40)

        small = Rational(1, 10**8)
        first = (largest(small) - 1) / small - 2 * cos(pi / (size + 1)).evalf(40)
        assert abs(first) < 1e-7
        last = (size - largest(1 - small)) / small - Rational(size**2 - 1, 3)
        assert abs(last) < 1e-6
    rho = Rational(1, 2)
    angle = pi / 10**6
    assert abs(eigenvalue_at(angle, rho).evalf(30) - 3) < 1e-10


# --- the sharing matrix, its diagonal, and the free energy ------------------------------------------------------------


@pytest.mark.parametrize("word", ["rnn", "dnn", "shared:1/2", "drift:0.9", "looped:3", "shared:rho"])
def test_words(word):
    family = sharing(word)
    M = family.matrix(5)
    assert all(M[i, i] == 1 for i in range(4))
    assert sharing(str(family)) == family


def test_ends_are_the_rnn_and_the_dnn():
    assert sharing("shared:1") == sharing("drift:1") == sharing("looped:1") == RNN
    assert sharing("shared:0") == sharing("drift:0") == DNN
    assert SharingFamily("looped", Integer(4)).matrix(5) == DNN.matrix(5)


@pytest.mark.parametrize(
    "word", ["shared", "shared:2", "shared:-1/2", "drift:x", "looped:0", "looped:1/2", "gru", "drift:nan", "looped:²"]
)
def test_other_words_are_refused(word):
    with pytest.raises(ValueError, match=r"^arch: is .*; accepted: "):
        sharing(word)


def test_a_diagonal_of_prior_widths_is_scaled_away():
    """F for a general M and u, v, w is F for its correlations in units of 1, λ and κ over ``v g_n``."""
    rng = np.random.default_rng(3)
    M = ImmutableMatrix([[Rational(3, 2), Rational(1, 2)], [Rational(1, 2), Rational(2, 3)]])
    n, widths = 3, {names.u: Rational(1, 2), names.w: Rational(5, 4)}
    g = [x.subs(widths) for x in prior_variances(M)]
    unit = correlations(M)
    with mpmath.workdps(50):

        def number(x):
            return mp.mpf(x.evalf(50))

        def table(matrix):
            return mp.matrix([[number(matrix[i, j]) for j in range(2)] for i in range(2)])

        A = mp.matrix([[int(rng.integers(-9, 9)) for _ in range(3)] for _ in range(3)])
        scaled = A * A.T + mp.eye(3)
        H = mp.matrix(3, 3)
        for s in range(n):
            for t in range(n):
                H[s, t] = mp.sqrt(number(g[s]) * number(g[t])) * scaled[s, t]
        v, label, kappa = mp.mpf(2), mp.mpf(7), mp.mpf(3)
        last = v * number(g[-1])
        left = free_energy(H, table(M), label, kappa, number(widths[names.u]), v, number(widths[names.w]))
        right = free_energy(scaled, table(unit), label / last, kappa / last)
        assert abs(left - right) < mp.mpf(10) ** -40


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_covariance_of_the_ends_is_that_of_the_mask(arch):
    H = kernel_matrix(4)
    assert forward_covariance(H, sharing(arch).matrix(4)) == endpoint_free_energy(5, arch).covariance


def test_reference_gradient_is_that_of_the_reference_free_energy():
    with mpmath.workdps(60):
        M = mp.matrix(
            [[1, mp.mpf(1) / 3, -mp.mpf(1) / 4], [mp.mpf(1) / 3, 1, mp.mpf(1) / 2], [-mp.mpf(1) / 4, mp.mpf(1) / 2, 1]]
        )
        H = mp.matrix([[2, 0.3, 0.1, 0.2], [0.3, 3, 0.5, -0.4], [0.1, 0.5, 2, 0.6], [0.2, -0.4, 0.6, 4]])
        G, h = gradient(H, M, 5, 2), mp.mpf(10) ** -20
        for i, j in entries(4):
            slope = (free_energy(moved(H, (i, j), h), M, 5, 2) - free_energy(moved(H, (i, j), -h), M, 5, 2)) / (2 * h)
            assert abs(slope - G[i, j] * (1 if i != j else mp.mpf(1) / 2)) < mp.mpf(10) ** -35
        assert covariance(H, M)[1, 2] == M[0, 1] * H[0, 1]
        assert response(H, M, 5, 2, (3, 3), h)[3, 3] > 0


# --- what vanishes ----------------------------------------------------------------------------------------------------


def test_groups_of_times():
    assert groups(sharing("looped:2").matrix(6)) == [[1, 3, 5], [2, 4, 6]]
    assert groups(sharing("looped:3").matrix(5)) == [[1, 4], [2, 5], [3]]
    assert groups(DNN.matrix(4)) == [[1], [2], [3], [4]]
    assert groups(RNN.matrix(4)) == [[1, 2, 3, 4]]
    assert groups(tied(6, (2, 4))) == [[1], [2, 4], [3, 5], [6]]
    assert groups(tied(6, (2, 3))) == [[1], [2, 3, 4], [5], [6]]


@pytest.mark.parametrize("n", [3, 5, 6])
def test_nothing_joins_the_groups(n):
    rng = np.random.default_rng(n)
    for p in range(1, n):
        assert_groups(SharingFamily("looped", Integer(p)).matrix(n))
    for _ in range(10):
        a, b = sorted(int(x) for x in rng.choice(range(1, n), 2, replace=False))
        assert_groups(tied(n, (a, b)))


def test_a_pair_of_times_that_is_joined_is_noticed(monkeypatch):
    monkeypatch.setattr("theory.sharing_groups.groups", lambda M: [[1], [2], [3, 4]])
    with pytest.raises(ArithmeticError):
        assert_groups(RNN.matrix(4))


def test_closed_form_at_five_times():
    found = instability(SharingFamily("drift", Rational(1, 3)).matrix(4))
    assert simplify(found.eigenvalue - (1 + (Rational(1, 9) + sqrt(Rational(1, 9) + 8) / 3) / 2)) == 0
