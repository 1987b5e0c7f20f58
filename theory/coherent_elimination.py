"""Exact elimination of the stationary kernels at T = 4, any correlation ρ of the two W (docs/theory.md section 10).

What it leaves is ``theory.coherent_branch``. Units ``u = v = w = 1``.
"""

from __future__ import annotations

from functools import cache

from sympy import (
    Expr,
    ImmutableMatrix,
    Symbol,
    cancel,
    diff,
    factor,
    log,
    sqrt,
)

from theory import symbols
from theory.claims import assert_zero
from theory.coherent_branch import coherent_branch
from theory.kernel import kernel_matrix
from theory.sharing import forward_covariance


@cache
def assert_elimination() -> None:
    """Find every stationary kernel with ``H^{12} ≠ 0`` from the free energy for any ρ in (0, 1], and assert each step.

    1. ``H^{13}`` occurs in ``-½ ln|H|`` only: given time 2, times 1 and 3 are uncorrelated,
       ``H^{13} = H^{12}H^{23}/H^{22}``. Then with ``P = H^{11}H^{22}-(H^{12})²``, ``Q = H^{22}H^{33}-(H^{23})²``,
       ``D = H^{11}H^{22}-ρ²(H^{12})²``, all positive,
       ``2F = λ/(H^{33}+κ) + H^{11} + [(H^{22})²-2ρH^{12}H^{23}+H^{11}H^{33}]/D - ln(PQ/(H^{22}D))``.
    2. Let ``x = (H^{12})²/(H^{11}H^{22})``, in (0, 1), ``k = H^{22}/H^{11}`` and ``y = Q/D``, positive. ``∂/∂H^{23}``
       gives ``H^{23} = ρyH^{12}``, hence ``H^{33} = H^{11}[(1-ρ²x)y + ρ²xy²]``, and ``∂/∂H^{33}`` the stress
       ``λ/(H^{33}+κ)²``.
    3. ``∂/∂H^{12}`` (divided by it) and ``∂/∂H^{22}`` are free of the scale ``H^{11}``; eliminating one linear equation
       leaves k linear in y, and a quadratic equation for y that factorises, ``y = (1±ρ)²/(ρ²(1-x))``.
    4. k is positive for the upper sign only: ``k = (1+ρ)(1+ρx)/(ρ(1-x))``. ``∂/∂H^{11}`` is linear in ``H^{11}``.

    Raises:
        ArithmeticError: if a step fails.
    """
    rho, lam, kappa, s = symbols.rho, symbols.signal, symbols.kappa, symbols.s
    H: ImmutableMatrix = kernel_matrix(3)
    h11, h12, h13, h22, h23, h33 = H[0, 0], H[0, 1], H[0, 2], H[1, 1], H[1, 2], H[2, 2]
    units = {symbols.u: 1, symbols.w: 1}
    C = forward_covariance(H, ImmutableMatrix([[1, rho], [rho, 1]])).subs(units)
    P, Q, D = h11 * h22 - h12**2, h22 * h33 - h23**2, h11 * h22 - rho**2 * h12**2
    trace = cancel((H * C.inv()).trace())
    reduced = lam / (h33 + kappa) + h11 + (h22**2 - 2 * rho * h12 * h23 + h11 * h33) / D - log(P * Q / (h22 * D))
    uncorrelated = h12 * h23 / h22
    x, y, k, a = (Symbol(name, positive=True) for name in ("x", "y", "k", "a"))
    place = {h11: a, h22: k * a, h12: a * sqrt(x * k), h23: rho * y * a * sqrt(x * k)}
    last = a * ((1 - rho**2 * x) * y + rho**2 * x * y**2)
    mu = (1 - k / y) / (k * a * (1 - rho**2 * x))

    def condition(entry: Expr) -> Expr:
        """``2∂F/∂entry`` at step 2, the energy by its stress."""
        slope = diff(reduced - lam / (h33 + kappa), entry) - (mu if entry == h33 else 0)
        return factor(cancel(slope.subs(place | {h33: last}, simultaneous=True)))

    upper, lower = ((1 + sign * rho) ** 2 / (rho**2 * (1 - x)) for sign in (1, -1))
    correlated, alone = condition(h12), condition(h22)
    # ∂/∂H12 gives N/D of the bracket, and ∂/∂H22 with it k, linear in y
    bracket = 1 - (1 - rho**2 * x) / (rho**2 * (1 - x))
    slope = (y * (1 + rho**2 * x) - (1 - bracket) * (1 - rho**2)) / 2
    quotient = (h22**2 - 2 * rho * h12 * h23 + h11 * h33) / D
    share = cancel(quotient.subs(place | {h33: last}, simultaneous=True))
    size = k * a**2 * (1 - rho**2 * x)  # D
    quadratic = share.subs(k, slope) - (y + bracket)
    claims = {
        "the determinant of C": C.det() - D,
        "times 1 and 3": diff(H.det(), h13).subs(h13, uncorrelated),
        "the determinant of H": H.det().subs(h13, uncorrelated) - P * Q / h22,
        "the trace": trace - (h11 + (h22**2 - 2 * rho * h12 * h23 + h11 * h33) / D),
        "y": (Q / D).subs(place | {h33: last}, simultaneous=True) - y,
        "H23": condition(h23),
        "the stress": condition(h33),
        "H12": correlated * size / (2 * rho**2 * a * sqrt(x * k)) - (share - y - bracket),
        "H22": alone * size / a + (share - y - bracket) - 2 * (k - slope),
        "the quadratic": quadratic * slope * (1 - rho**2 * x) * 4 * rho**4 * (1 - x) ** 2
        + (1 - rho**2 * x) ** 2 * rho**4 * (1 - x) ** 2 * (y - upper) * (y - lower),
    }
    assert_zero(claims)
    branch = coherent_branch(kappa, rho)
    solved = {y: upper, k: (1 + rho) * (1 + rho * x) / (rho * (1 - x)), a: (1 + rho) / (rho * (1 - x))}
    ends = {
        "k": factor(slope.subs(y, upper)) - solved[k],
        "k for the lower sign": factor(slope.subs(y, lower)) + (1 - rho) * (1 - rho * x) / (rho * (1 - x)),
        "H11": condition(h11).subs(solved, simultaneous=True),
    }
    parameter = {x: 1 - (1 + rho) / (rho * s)}
    for times, entry in (((1, 1), h11), ((2, 2), h22), ((1, 2), h12**2), ((2, 3), h23 / h12), ((3, 3), h33)):
        value = entry.subs(place | {h33: last}, simultaneous=True).subs(solved, simultaneous=True).subs(parameter)
        claimed = branch.kernel[times]
        claimed = claimed**2 if times == (1, 2) else claimed / branch.kernel[1, 2] if times == (2, 3) else claimed
        ends[f"H{times}"] = value - claimed
    ends["H(1, 3)"] = branch.kernel[1, 3] * branch.kernel[2, 2] - branch.kernel[1, 2] * branch.kernel[2, 3]
    stress = mu.subs(solved, simultaneous=True).subs(parameter)
    ends["the signal"] = branch.signal - stress * (branch.kernel[3, 3] + kappa) ** 2
    entries = {H[t - 1, u - 1]: value for (t, u), value in branch.kernel.items()}
    free = (reduced - 3).subs(lam, branch.signal).subs(entries, simultaneous=True) / 2
    ends["F"] = free.subs({rho: Symbol("half") / 2}) - branch.free_energy.subs({rho: Symbol("half") / 2})
    assert_zero(ends)
