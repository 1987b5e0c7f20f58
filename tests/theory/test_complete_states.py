"""Complete lists of stationary kernels: each is stationary, none is missing, and the proofs fail for another F."""

from __future__ import annotations

from fractions import Fraction
from importlib import import_module

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import Rational

from tests.theory import endpoint_reference as reference
from theory import symbols
from theory.complete_states import assert_complete, complete_states
from theory.free_energy import endpoint_free_energy


def hessian_index(H, signal, kappa, arch):
    """Number of negative eigenvalues of the reference's Hessian, entries scaled by the diagonal."""
    pairs, step = reference.pairs(H.rows), mp.mpf(10) ** -10
    scale = [mp.sqrt(H[i, i] * H[j, j]) for i, j in pairs]
    matrix = mp.matrix(len(pairs), len(pairs))
    for i in range(len(pairs)):
        for j in range(i + 1):

            def F(p, q, i=i, j=j):
                moved = reference.moved(H, [(pairs[i], p * step * scale[i]), (pairs[j], q * step * scale[j])])
                return reference.free_energy(moved, signal, kappa, arch)

            matrix[i, j] = matrix[j, i] = (F(1, 1) - F(1, -1) - F(-1, 1) + F(-1, -1)) / (4 * step**2)
    return sum(x < 0 for x in mp.eigsy(matrix, eigvals_only=True))


CASES = [
    (3, 2600, 100, "rnn", 3),
    (4, 575, 60, "dnn", 3),
    (4, 575, 60, "rnn", 5),
    (4, Fraction(2844, 10), Rational(397, 10), "rnn", 5),
    (4, 20, 1, "rnn", 2),
    pytest.param(5, 25000, 1000, "dnn", 3, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("T", "signal", "kappa", "arch", "count"), CASES)
def test_states_are_stationary_with_their_index_and_free_energy(T, signal, kappa, arch, count):
    states = complete_states(T, signal, kappa, arch)
    assert len(states) == count
    with mpmath.workdps(50):
        lam, noise = (mp.mpf(Rational(x).p) / Rational(x).q for x in (signal, kappa))
        for state in states:
            slopes = reference.gradient(state.kernel, lam, noise, arch, step=mp.mpf(10) ** -7)
            assert max(abs(x) for x in slopes) < 1e-20
            assert abs(reference.free_energy(state.kernel, lam, noise, arch) / state.free_energy - 1) < 1e-38
            assert hessian_index(state.kernel, lam, noise, arch) == state.index
            low, high = state.interval
            assert low == high or 0 < (high - low) / low < Rational(1, 10**39)
    assert [s.free_energy for s in states] == sorted(s.free_energy for s in states)
    assert sum((-1) ** s.index * s.copies for s in states) == 1


def test_the_lowest_state_of_the_known_problem():
    lowest, second, *_ = complete_states(4, 575, 60, "dnn")
    assert mp.nstr(lowest.free_energy, 5) == "4.6543"
    assert mp.nstr(second.free_energy, 5) == "4.6774"
    assert mp.nstr(lowest.kernel[2, 2], 4) == "31.93"


def test_signed_counts_over_random_problems():
    rng = np.random.default_rng(4)
    several = 0
    for _ in range(30):
        arch = "dnn" if rng.random() < 0.6 else "rnn"
        T = int(rng.integers(3, 10)) if arch == "dnn" else int(rng.integers(3, 5))
        kappa = Rational(round(float(10 ** rng.uniform(-1, 5)), 4))
        signal = kappa ** int(rng.integers(1, 3)) * Rational(round(float(10 ** rng.uniform(-1, 1)), 4))
        states = complete_states(T, signal, kappa, arch, 15)
        assert sum((-1) ** s.index * s.copies for s in states) == 1
        assert states[0].index == 0
        several += sum(s.index == 0 for s in states) > 1
    assert several > 2


def test_degenerate_states():
    critical = complete_states(4, Rational(81, 8), 1)
    assert [(s.parameter, s.index) for s in critical] == [(2, None)]
    # an exact root beside others, between which intervals end
    assert [s.index for s in complete_states(4, 578, 60)] == [0, 1, 0, None]
    # the cusp of T = 5 is rational: a triple root
    cusp = complete_states(5, Rational(8, 5) ** 4 * Rational(108, 5), Rational(4096, 125), "dnn")
    assert [(float(s.parameter), s.index) for s in cusp] == [(1.6, None)]
    assert [s.parameter for s in complete_states(6, 0, 3, "dnn")] == [1]
    assert [s.index for s in complete_states(4, 3, 0, "dnn")] == [0]


@pytest.mark.parametrize(("T", "arch"), [(3, "rnn"), (4, "rnn"), (3, "dnn"), (4, "dnn"), (5, "dnn")])
def test_completeness_is_proved(T, arch):
    assert_complete(T, arch)


@pytest.mark.parametrize("term", ["energy", "trace", "log_determinant"])
@pytest.mark.parametrize(("T", "arch"), [(3, "dnn"), (4, "dnn")])
def test_the_proof_fails_for_another_free_energy(monkeypatch, T, arch, term):
    def changed(*args):
        functional = endpoint_free_energy(*args)
        terms = dict(functional.terms) | {term: functional.terms[term] * Rational(1001, 1000)}
        return type(functional)(
            functional.T, functional.arch, functional.kernel, functional.covariance, functional.variables,
            functional.parameters, terms,
        )  # fmt: skip

    monkeypatch.setattr(import_module("theory.complete_states"), "endpoint_free_energy", changed)
    with pytest.raises(ArithmeticError):
        assert_complete(T, arch)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((2, 1, 1, "dnn"), "T"),
        ((5, 1, 1, "rnn"), "T"),
        ((4, 1.5, 1, "rnn"), "signal"),
        ((4, symbols.signal, 1, "rnn"), "signal"),
        ((4, 1, -1, "rnn"), "kappa"),
        ((4, 1, 1, "gru"), "arch"),
    ],
)
def test_refusals(arguments, word):
    with pytest.raises(ValueError, match=f"{word}: .*accepted"):
        complete_states(*arguments)
