"""The coherent branch at T = 5 on its elliptic curve, against the free energy written again in mpmath."""

from importlib import import_module

import mpmath
import pytest
from endpoint_reference import gradient
from mpmath import mp
from sympy import Float, Rational, discriminant, expand, simplify, solve

from theory import symbols
from theory.coherent_curve import coherent_curve, conditions, residuals
from theory.critical_point import critical_signal


@pytest.fixture(scope="module")
def curve():
    return coherent_curve()


def place(curve, alpha, sign, noise, change=None):
    """The 4 × 4 kernel and λ at one point of the curve; ``sign`` chooses g of the two roots."""
    a, g = curve.parameters
    with mpmath.workdps(mp.dps + 20):
        exact = mp.mpf(alpha)
        y = mp.sqrt(mp.polyval([1, -4, 28, -60, 36], exact))
        root = (sign * y / (3 - exact) - (exact - 2)) / 2
        values = {a: Rational(alpha), g: symbols.z}

        def number(expression):
            # Evaluate with g as a number of many digits.
            return mp.mpf(str(expression.subs(values).subs(symbols.z, Float(str(root), mp.dps)).evalf(mp.dps)))

        p1 = mp.sqrt(number(curve.square))
        H = mp.matrix(4, 4)
        for (t, s), entry in curve.kernel().items():
            value = number(entry) * (p1 if (t + s) % 2 else 1)
            H[t - 1, s - 1] = H[s - 1, t - 1] = value * (change if change and (t, s) == (2, 3) else 1)
        return H, number(curve.signal(Rational(noise)))


@pytest.mark.parametrize(
    ("alpha", "sign", "noise"), [("1.48", 1, "0.37"), ("1.45", 1, "2.25"), ("1.439", -1, "1"), ("1.46", -1, "0")]
)
def test_curve_is_stationary_to_forty_digits(curve, alpha, sign, noise):
    with mpmath.workdps(60):
        # Of the two roots g only the positive ones, g small before the turning point and large after it, are kernels.
        candidates = [place(curve, alpha, branch, noise) for branch in (sign, -sign)]
        for H, signal in candidates:
            if min(mp.eigsy(H, eigvals_only=True)) <= 0:
                continue
            assert max(abs(x) for x in gradient(H, signal, mp.mpf(noise))) < mp.mpf(10) ** -40
        assert any(min(mp.eigsy(H, eigvals_only=True)) > 0 for H, _ in candidates)


def test_a_changed_entry_is_noticed(curve):
    with mpmath.workdps(60):
        for sign in (1, -1):
            H, signal = place(curve, "1.45", sign, "1", change=1 + mp.mpf(10) ** -6)
            assert max(abs(x) for x in gradient(H, signal, mp.mpf(1))) > mp.mpf(10) ** -10


def test_genus_is_one(curve):
    quartic = curve.quartic()
    assert quartic.degree() == 4
    assert discriminant(quartic.as_expr(), curve.parameters[0]) != 0
    a, g = curve.parameters
    y = (a - 3) * (2 * g + a - 2)
    difference = expand(y**2 - quartic.as_expr() - curve.relation)
    assert difference == 0


def test_branch_starts_at_the_critical_point(curve):
    """Near α = 3/2, g → 0 linearly in 3/2 - α, and λ → λ_c."""
    with mpmath.workdps(60):
        H = signal = None
        for sign in (1, -1):
            H, signal = place(curve, "1.49999999", sign, "1")
            if H[1, 1] < 3:
                break
        critical = mp.mpf(str(critical_signal(5, Rational(1)).evalf(40)))
        assert abs(signal / critical - 1) < 1e-3
        for t in range(4):
            assert abs(H[t, t] / mp.mpf("1.5") ** (t + 1) - 1) < 1e-3


@pytest.mark.slow
def test_every_condition_vanishes_modulo_the_curve(curve):
    assert set(residuals(curve).values()) == {0}


def test_the_shortest_condition_vanishes_modulo_the_curve(curve, monkeypatch):
    """That of δ; a condition that does not hold is left."""
    x, equations = conditions()
    planted = {"delta": equations["delta"], "wrong": x["q2"] * x["p1"]}
    monkeypatch.setattr(import_module("theory.coherent_curve"), "conditions", lambda: (x, planted))
    left = residuals(curve)
    assert left["delta"] == 0
    alpha, g = curve.parameters
    # q_2 p_1 = (q_2/p_1)(p_1)², both known on the curve
    point = {alpha: Rational(29, 20)}
    root = solve(curve.relation.subs(point), g)[0]
    known = (curve.odd["q2"] * curve.square).subs(point).subs(g, root)
    assert (left["wrong"].subs(point).subs(g, root) - known).evalf() == pytest.approx(0, abs=1e-10)
    assert known.evalf() != 0


def test_short_relations(curve):
    a = curve.parameters[0]
    assert simplify(curve.even["d"] - (a - 1) * curve.odd["e"]) == 0
