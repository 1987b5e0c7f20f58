"""Free energies of order one, exactly: against the closed form, the whole second variation, and the law itself."""

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp
from sympy import Rational, log, simplify

from theory import coherent_branch, symbols
from theory.incoherent import incoherent_branch
from theory.phase_odds import coherent_order_one, incoherent_order_one
from theory.stability import second_variation

r, s, kappa = symbols.r, symbols.s, symbols.kappa


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("T", [3, 4])
def test_the_sectors_make_the_determinant_of_the_whole_second_variation(T, arch):
    n, random = T - 1, Rational(1, 2) ** (T - 1)
    at = {r: Rational(6, 5), kappa: Rational(70)}
    whole = second_variation(T, arch).subs(at).det() / random
    exact = float(log((r**n + kappa).subs(at)) / 2 + log(whole) / 2)
    assert float(incoherent_order_one(T, arch).subs(at)) == pytest.approx(exact, rel=1e-13)


def test_the_closed_form_of_the_tied_network_at_T_4():
    tied = log(r**3 * (2 - r) * (4 * r**4 - 3 * r**3 + kappa * (3 - 2 * r))) / 2
    at = {r: Rational(11, 10), kappa: 100}
    assert float(incoherent_order_one(4).subs(at)) == pytest.approx(float(tied.subs(at)), rel=1e-14)


@pytest.mark.slow
def test_the_closed_form_of_the_coherent_state():
    expected = (
        log(8 * s * (s - 2) * (16 * s**4 - 36 * s**3 + 24 * s**2 - (4 + 2 * kappa) * s + kappa) / (s - 1) ** 2) / 2
    )
    found = coherent_order_one(coherent_branch())
    assert simplify((found - expected).diff(s)) == 0
    at = {s: 7, kappa: 100}
    assert float(found.subs(at)) == pytest.approx(float(expected.subs(at)), rel=1e-14)


def minus_log_share(y_squared: float, noise: float, n: int, width: int, border: float) -> list[float]:
    """``-ln ⟨(H+κ)^(-1/2) exp(-N y²/2(H+κ))⟩`` over DNNs of the prior whose last entry is below, and above, a border.

    Each layer's entry is χ²_N/N times the one before: a chain of integrals on a grid in ln H.
    """
    z = np.linspace(np.log(2e-2), np.log(2e3), 800)
    H, half = np.exp(z), 0.5 * width
    constant = half * np.log(half) - gammaln(half) + np.log(z[1] - z[0])  # of the law of ln χ²_N/N
    p = constant + half * (z - H)
    passed = constant + half * (z[None, :] - z[:, None] - np.exp(z[None, :] - z[:, None]))
    for _ in range(n - 1):
        p = logsumexp(p[:, None] + passed, axis=0)
    weighed = p - 0.5 * width * y_squared / (H + noise) - 0.5 * np.log(H + noise)
    return [-float(logsumexp(weighed[side])) for side in (border > H, border < H)]


def test_the_free_energy_of_each_phase_is_that_of_the_exact_law():
    """T = 4, κ = 200, λ = 3740: what is left falls as 1/N, in each phase by itself and with all constants."""
    branch, of_order_one = incoherent_branch(4), incoherent_order_one(4, "dnn", 200)
    units = {symbols.u: 1, symbols.v: 1, symbols.w: 1, kappa: 200}
    power = np.polymul([1, 0, 0, 200], [1, 0, 0, 200])  # of (r-1)(r³+κ)² - λ r³
    ratios = np.roots(np.polysub(np.polymul([1, -1], power), [3740, 0, 0, 0]))
    real = sorted(float(x.real) for x in ratios if abs(x.imag) < 1e-9 and x.real > 1)
    off = []
    for width in (100, 200):
        exact = minus_log_share(3740.0, 200.0, 3, width, 29.0)
        for ratio, found in zip((real[0], real[-1]), exact, strict=True):
            F, loop = (float(part.subs(units).subs(r, ratio)) for part in (branch.free_energy, of_order_one))
            off.append(width * (found - width * F - loop))
    assert off[2:] == pytest.approx(off[:2], rel=0.15)
    assert np.abs(off).max() < 10
