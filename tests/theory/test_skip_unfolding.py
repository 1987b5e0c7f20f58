"""A weak skip at the critical point, and the cusps of the (λ, a) plane."""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from mpmath import mp
from sympy import Integer, Rational, factor, lambdify

from tests.theory.skip_reference import free_energy, largest_slope
from theory import skip_cusps
from theory.landau import landau_expansion
from theory.sharing import sharing
from theory.sharing_stability import instability
from theory.sharing_transition import critical_point_of, signal_at
from theory.skip_cusps import _Network, _network, skip_cusp, state_at, wing_noise
from theory.skip_tied import cusp_condition, fold_noise, tied_states
from theory.skip_unfolding import assert_tilt, unfolding, wing
from theory.symbols import chi, g, kappa, rho


def test_derivation_and_closed_forms():
    assert_tilt()
    fork = unfolding(4)
    assert factor(fork.amplitude_cubed - 1024 * (40 - kappa) / (56 - 3 * kappa)) == 0
    assert factor(fork.fold_cubed - 27 * (40 - kappa) ** 2 * (kappa + 8) ** 3 * (56 - 3 * kappa) / 4096) == 0
    partly = unfolding(4, kappa, sharing("shared:rho"))
    assert factor(partly.amplitude_cubed.subs(rho, 1) - fork.amplitude_cubed) == 0
    assert factor(partly.amplitude_cubed.subs(rho, Rational(1, 2))) == factor(
        unfolding(4, kappa, sharing("shared:1/2")).amplitude_cubed
    )
    assert unfolding(4, Rational(56, 3)).amplitude_cubed is None


@pytest.mark.parametrize(("word", "T", "noise"), [("rnn", 5, 1), ("shared:4/5", 5, 0), ("drift:1/2", 6, 2)])
def test_the_order_parameter_at_the_critical_signal(word, T, noise):
    """On the full free energy: the state with ψ = (Ba)^{1/3} is at λ_c up to corrections of relative order ψ²."""
    arch, n = sharing(word), T - 1
    fork = unfolding(T, Integer(noise), arch)
    found = instability(arch.matrix(n))
    with mp.workdps(40):
        ratio, A, B = (mp.mpf(x.evalf(40)) for x in (found.ratio, fork.amplitude_squared, fork.amplitude_cubed))
        critical = mp.mpf(signal_at(T, found.ratio, Integer(noise)).evalf(40))
        off = []
        for power in (12, 15):
            skip = mp.mpf(10) ** -power
            order = mp.cbrt(B * skip)
            network = _network(T, arch, skip, mp.mpf(noise))
            H, signal = state_at(network, order, mp.diag([ratio**t for t in range(1, n + 1)]), critical)
            off.append(A * (signal - critical) / order**2)
            assert largest_slope(H, network.M.tolist(), skip, signal, mp.mpf(noise)) < mp.mpf(10) ** -18
        assert abs(off[1]) < 1e-3
        assert abs(off[0] / off[1] - 100) < 5  # ψ² is a hundred times smaller


@pytest.mark.slow
def test_the_cusp_is_that_of_the_exact_surface():
    found = skip_cusp(4, Integer(30), digits=25)
    with mpmath.workdps(40):
        H = found.kernel
        x = H[0, 1] / (found.skip * H[0, 0])
        states = tied_states()
        rest = H[1, 1] / H[0, 1] - H[0, 1] / H[0, 0]
        y = rest / found.skip * (x + 1) + x**2 - x
        assert abs(lambdify((g, chi), states.skip_squared, "mpmath")(x, y) - found.skip**2) < mp.mpf(10) ** -25
        assert abs(lambdify((g, chi), fold_noise(), "mpmath")(x, y) - 30) < mp.mpf(10) ** -20
        condition = lambdify((g, chi), cusp_condition(), "mpmath")
        assert abs(condition(x, y) / (x * mp.diff(condition, (x, y), (1, 0)))) < mp.mpf(10) ** -20


def test_the_wing_begins_at_the_tricritical_point():
    off = []
    for offset in (Rational(1, 5), Rational(1, 20)):
        near = wing_noise(4) + offset
        leading = wing(landau_expansion(4, near), Integer(1))
        off.append(skip_cusp(4, near, digits=15).skip / mp.mpf(leading.skip.evalf(20)) - 1)
    assert abs(off[1]) < 0.05  # it falls in proportion to the distance
    assert abs(off[0] / off[1] - 4) < 0.5


def symmetric(rng, n):
    A = rng.normal(size=(n, n))
    return mp.matrix((A + A.T).tolist())


def test_the_gradient_and_its_derivatives_are_differences():
    """Of 2F with any sharing matrix, at 50 digits."""
    rng, h = np.random.default_rng(5), mp.mpf(10) ** -14
    with mp.workdps(50):
        A = rng.normal(size=(3, 3))
        network = _Network(mp.matrix((A @ A.T + np.eye(3)).tolist()), mp.mpf("0.3"), mp.mpf("0.7"))
        H, V, signal = symmetric(rng, 4) / 4 + 3 * mp.eye(4), symmetric(rng, 4), mp.mpf(5)
        point, (ahead, behind) = network.at(H, signal), (network.at(H + x * V, signal) for x in (h, -h))

        def F(step):
            return 2 * free_energy(H + step * V, network.M.tolist(), network.skip, signal, network.kappa)

        G = point.gradient()
        slope = mp.fsum(G[i, j] * V[i, j] for i in range(4) for j in range(4))
        assert abs((F(h) - F(-h)) / (2 * h) - slope) < mp.mpf(10) ** -20
        for given, found in (
            (point.first(V), (ahead.gradient() - behind.gradient()) / (2 * h)),
            (point.second(V), (ahead.first(V) - behind.first(V)) / (2 * h)),
        ):
            assert mp.norm(given - found) < mp.mpf(10) ** -20
            assert mp.norm(given) > 1


@pytest.mark.parametrize(("noise", "most"), [(Rational(187, 10), 2), (Integer(60), 9)])
def test_the_way_to_a_cusp_begins_near_the_tricritical_noise_and_stretches_it_twofold_at_most(noise, most, monkeypatch):
    """Planted cusps, ψ = √ε and a = ε² at a distance ε from it: each is the guess for the next."""
    tricritical, met = mp.mpf(56) / 3, []

    def started(T, near, offset):
        met.append(offset)
        return mp.sqrt(offset), offset**2, "H", "signal"

    def solved(T, kappa, guess, H, signal):
        offset = kappa - tricritical
        assert abs(guess[0] / mp.sqrt(offset) - 1) < 1e-9
        assert abs(guess[1] / offset**2 - 1) < 1e-9
        met.append(offset)
        return mp.sqrt(offset), offset**2, H, signal

    monkeypatch.setattr(skip_cusps, "_started", started)
    monkeypatch.setattr(skip_cusps, "_solved", solved)
    found = skip_cusp(4, noise)
    first = skip_cusps.FIRST * 2**3  # the growth ratio at a critical point is 2
    assert abs(found.skip / met[-1] ** 2 - 1) < 1e-12
    assert abs(met[-1] - (mp.mpf(noise.p) / noise.q - tricritical)) < 1e-9
    assert met[0] <= first * 1.01
    ratios = [after / before for before, after in pairwise(met)]
    assert all(0.999 <= ratio <= skip_cusps.GROWTH * 1.001 for ratio in ratios)
    assert len(ratios) <= most


def test_refusals():
    with pytest.raises(ValueError, match=r"kappa: is 18; accepted: above the tricritical 18\.6667"):
        skip_cusp(4, Integer(18))
    with pytest.raises(ValueError, match="mode has lag 2"):
        unfolding(6, Integer(0), sharing("looped:2"))
    with pytest.raises(ValueError, match="coherence never grows"):
        unfolding(5, Integer(0), sharing("dnn"))
    with pytest.raises(ValueError, match="accepted: b < 0 < c"):
        wing(landau_expansion(4, Integer(1)), Integer(1))
    assert critical_point_of(sharing("rnn"), 4, Integer(1)).order == "continuous"
