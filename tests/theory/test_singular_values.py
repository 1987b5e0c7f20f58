"""Singular values of W beyond the bulk: mpmath and NumPy from the definition, and faults that the proofs notice."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import ImmutableMatrix, Rational, sqrt

from tests.theory.sharing_reference import gradient, sharing_matrix
from theory import outlier_signals as signals_module
from theory import singular_values as module
from theory.coherent_branch import coherent_branch
from theory.outlier_signals import outlier_signals
from theory.sharing import sharing
from theory.sharing_transition import critical_point_of
from theory.singular_values import (
    BOTH,
    COHERENCE,
    SINGULAR,
    coherent_singular_value,
    crossover_correlation,
    crossover_polynomial,
    first_transition,
    squared_growth,
)
from theory.symbols import kappa, rho, s


def growth_by_conditioning(H, M, layer):
    """α of W^(layer): all overlaps ``W^(s)h^t`` of a neuron jointly Gaussian, conditioned on the drives, in mpmath."""
    size = M.rows
    places = [(a, t) for a in range(size) for t in range(size)]
    joint = mp.matrix(len(places), len(places))
    for i, (a, t) in enumerate(places):
        for j, (b, u) in enumerate(places):
            joint[i, j] = M[a, b] * H[t, u]
    drives = [places.index((t, t)) for t in range(size)]
    own = [places.index((layer, t)) for t in range(size)]
    C = mp.matrix([[joint[i, j] for j in drives] for i in drives])
    K = mp.matrix([[joint[i, j] for j in drives] for i in own]) * mp.inverse(C)
    prior = mp.matrix([[joint[i, j] for j in own] for i in own])
    lengths = prior - K * C * K.T + K * H[1:, 1:] * K.T
    return sorted((mp.re(z) for z in mp.eig(mp.inverse(H[:size, :size]) * lengths)[0]), reverse=True)


def number(expression):
    return mp.mpf(expression.evalf(mp.dps))


def test_proofs():
    module.assert_threshold()
    module.assert_coherent()
    for T in (4, 5, 6):
        module.assert_order(T)


@pytest.mark.slow
@pytest.mark.parametrize("matrices", [2, 3])
def test_growth_of_matrices(matrices):
    module.assert_growth(matrices)


@pytest.mark.parametrize("seed", range(4))
def test_coherent_branch_to_forty_digits(seed):
    """Random ρ and s: the kernel is stationary, and both matrices have the singular value √((1+ρ)s) and no other."""
    rng = np.random.default_rng(seed)
    correlation = Rational(int(rng.integers(1, 101)), 100) if seed else Rational(1)
    noise = Rational(int(rng.integers(0, 400)), 100)
    branch = coherent_branch(noise, correlation)
    place = {s: branch.start + Rational(int(rng.integers(1, 400)), 100)}
    with mpmath.workdps(60):
        H = mp.matrix(3, 3)
        for (t, u), value in branch.kernel.items():
            H[t - 1, u - 1] = H[u - 1, t - 1] = number(value.subs(place))
        M = sharing_matrix(("shared", number(correlation)), 3)
        G = gradient(H, M, number(branch.signal.subs(place)), number(noise))
        assert max(abs(G[i, j]) for i in range(3) for j in range(3)) < mp.mpf(10) ** -40
        for layer in (0, 1):
            first, second = growth_by_conditioning(H, M, layer)
            assert second < 2 < first
            expected = number(coherent_singular_value(correlation).subs(place))
            assert abs(first / mp.sqrt(first - 1) - expected) < mp.mpf(10) ** -40


@pytest.mark.parametrize("arch", ["shared", "drift"])
def test_growth_of_any_kernel(arch):
    rng = np.random.default_rng(5)
    root = [[Rational(int(rng.integers(-20, 20)), 10) for _ in range(4)] for _ in range(4)]
    H = ImmutableMatrix(root) * ImmutableMatrix(root).T + ImmutableMatrix.eye(4)
    M = sharing(f"{arch}:2/5").matrix(4)
    with mpmath.workdps(50):
        exact = mp.matrix([[number(x) for x in H.row(i)] for i in range(4)])
        table = sharing_matrix((arch, mp.mpf(2) / 5), 4)
        for layer in (1, 2, 3):
            mine = squared_growth(H, M, layer)
            values = mp.eig(mp.matrix([[number(x) for x in mine.row(i)] for i in range(3)]))[0]
            expected = growth_by_conditioning(exact, table, layer - 1)
            found = sorted((mp.re(z) for z in values), reverse=True)
            assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < mp.mpf(10) ** -40


@pytest.mark.parametrize(
    ("arch", "T", "first"),
    [
        ("rnn", 3, SINGULAR),
        ("rnn", 4, BOTH),
        ("rnn", 5, COHERENCE),
        ("dnn", 7, SINGULAR),
        ("looped:2", 5, BOTH),
        ("looped:3", 6, BOTH),
        ("looped:2", 6, COHERENCE),
        ("looped:4", 6, SINGULAR),
        ("shared:99/100", 4, SINGULAR),
        ("drift:57/100", 5, SINGULAR),
        ("drift:58/100", 5, COHERENCE),
        ("shared:1/3", 12, SINGULAR),
    ],
)
def test_which_comes_first(arch, T, first):
    """And the same by the two critical signals, where coherence exists."""
    found = first_transition(sharing(arch), T, Rational(3, 2))
    assert found.first == first
    if found.eigenvalue is not None:
        critical = critical_point_of(sharing(arch), T, Rational(3, 2)).signal.evalf(40)
        singular = (Rational(2) ** (T - 1) + Rational(3, 2)) ** 2 / Rational(2) ** (T - 1)
        expected = SINGULAR if singular < critical else COHERENCE if singular > critical else BOTH
        assert expected == first
        assert found.singular_signal == (None if first == COHERENCE else singular)


def test_crossover_correlations():
    assert crossover_correlation(4) == 1
    assert crossover_correlation(5) == sqrt(3) / 3
    values = [float(crossover_correlation(T).evalf()) for T in range(4, 12)]
    assert values == sorted(values, reverse=True)
    assert 1 / 3 < values[-1] < 0.37
    # NumPy: the largest eigenvalue of ρ^|s-t| is 2 there
    for T, value in zip(range(4, 12), values, strict=True):
        K = value ** np.abs(np.subtract.outer(np.arange(T - 2), np.arange(T - 2)))
        assert np.linalg.eigvalsh(K)[-1] == pytest.approx(2, abs=1e-12)


@pytest.mark.parametrize("T", [5, pytest.param(6, marks=pytest.mark.slow)])
def test_outlier_signals_to_forty_digits(T):
    """Stationary for any κ by a gradient written again; the conditions from eigenvalues; the order changes at T = 6."""
    with mpmath.workdps(60):
        noise = mp.mpf(37) / 100
        for kind, found in zip(("eigenvalue", "singular"), outlier_signals(T, 45), strict=True):
            H, M = found.kernel, mp.ones(T - 2)
            label = number(found.signal(Rational(37, 100)))
            G = gradient(H, M, label, noise)
            assert max(abs(G[i, j]) for i in range(T - 1) for j in range(T - 1)) < mp.mpf(10) ** -40
            inverse = mp.inverse(H[: T - 2, : T - 2])
            if kind == "eigenvalue":
                values = mp.eig(inverse * H[: T - 2, 1:])[0]
                assert abs(max(values, key=abs) - 1) < mp.mpf(10) ** -40
            else:
                largest = max(growth_by_conditioning(H, M, 0))
                assert abs(largest - 2) < mp.mpf(10) ** -40
            assert found.largest_noise > 0
    eigenvalue, singular = outlier_signals(T, 20)
    assert (T == 5) == (singular.order_parameter < eigenvalue.order_parameter)


def test_faults_are_noticed(monkeypatch):
    for name, wrong, proof in (
        ("singular_square", lambda alpha: alpha**2 / (alpha - Rational(99, 100)), module.assert_threshold),
        ("coherent_singular_value", lambda: sqrt((1 + Rational(101, 100) * rho) * s), module.assert_coherent),
        ("crossover_correlation", lambda T: Rational(7, 10), lambda: module.assert_order.__wrapped__(5)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, wrong)
            getattr(proof, "cache_clear", lambda: None)()
            with pytest.raises(ArithmeticError):
                proof()
            getattr(proof, "cache_clear", lambda: None)()


def test_bad_arguments_are_one_line():
    with pytest.raises(ValueError, match=r"^arch: is shared:rho; accepted: a rational ρ$"):
        first_transition(sharing("shared:rho"), 5, kappa)
    with pytest.raises(ValueError, match=r"^T: is 3; accepted: .*$"):
        crossover_polynomial(3)
    with pytest.raises(ValueError, match=r"^T: is 11; accepted: 5 to 10$"):
        outlier_signals(11)
    assert signals_module.SMALLEST_T == 5
