"""The complete temporally coherent branch at T = 4 for every sharing matrix (docs/theory.md section 10).

At T = 4 there are two matrices W, and after scaling (``theory.sharing``) M has one entry, their correlation ρ. Units
``u = v = w = 1``. With ``s = H^{11} > (1+ρ)/ρ``

``H^{22} = (1+ρ)s(s-1)``, ``H^{33} = (1+ρ)²s(s-1)²``, ``(H^{12})² = (1+ρ)s(s-1)(s-(1+ρ)/ρ)``, ``H^{23} = (1+ρ)s
H^{12}``, ``H^{13} = (1+ρ)s(s-(1+ρ)/ρ)``, ``λ = (H^{33}+κ)²/((1+ρ)²s(s-1))``,

and every positive definite stationary kernel with ``H^{12} ≠ 0`` is of this form. ρ = 1 is the RNN's branch
(``theory.coherent_branch``); at ``s = (1+ρ)/ρ`` it leaves the incoherent one. λ(s) has a fold where ``κ =
(1+ρ)²s(s-1)²(4s-1)/(2s-1)``, which rises with s from the tricritical κ: one fold for stronger noise, none for weaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from sympy import (
    Expr,
    ImmutableMatrix,
    Poly,
    Symbol,
    cancel,
    diff,
    factor,
    fraction,
    log,
    sqrt,
    together,
)

from theory import symbols
from theory.claims import assert_zero
from theory.display import Equations, Typeset
from theory.kernel import kernel_matrix
from theory.landau import require_noise
from theory.sharing import forward_covariance


@dataclass(frozen=True)
class SharedBranch(Typeset):
    """The branch in its parameter, ``H^{12}`` and ``H^{23}`` with the positive sign.

    Attributes:
        parameter: ``s = H^{11}``.
        start: ``(1+ρ)/ρ``, the critical point; the branch is ``s > start``.
        signal: ``λ(s)``.
        kernel: ``H^{ts}`` for ``1 ≤ t ≤ s ≤ 3``, by its two times.
        free_energy: ``F``, zero on the prior's kernel at λ = 0.
        fold_noise: the κ at which λ(s) has a fold at this s.
        outlier: the one eigenvalue outside the bulk, of either W, where it exceeds the bulk's radius 1.
    """

    parameter: Symbol
    start: Expr
    signal: Expr
    kernel: Mapping[tuple[int, int], Expr]
    free_energy: Expr
    fold_noise: Expr
    outlier: Expr

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", MappingProxyType(dict(self.kernel)))

    def equations(self) -> Equations:
        """λ, the kernel's entries and F."""
        entries = [(f"H^{{{t}{s}}}", value) for (t, s), value in sorted(self.kernel.items())]
        return [(r"\lambda", self.signal), *entries, ("F", self.free_energy)]


def shared_branch(rho: Expr = symbols.rho, kappa: Expr = symbols.kappa) -> SharedBranch:
    """The branch for a correlation ρ in (0, 1] and noise κ, exact numbers or symbols.

    Raises:
        ValueError: for an inexact or negative κ.
    """
    s, noise = symbols.s, require_noise(kappa)
    start = (1 + rho) / rho
    last = (1 + rho) ** 2 * s * (s - 1) ** 2
    order_parameter = sqrt((1 + rho) * s * (s - 1) * (s - start))
    kernel = {
        (1, 1): s,
        (1, 2): order_parameter,
        (1, 3): (1 + rho) * s * (s - start),
        (2, 2): (1 + rho) * s * (s - 1),
        (2, 3): (1 + rho) * s * order_parameter,
        (3, 3): last,
    }
    energy = (last + noise) / ((1 + rho) ** 2 * s * (s - 1)) / 2
    return SharedBranch(
        parameter=s,
        start=start,
        signal=(last + noise) ** 2 / ((1 + rho) ** 2 * s * (s - 1)),
        kernel=kernel,
        free_energy=energy + (3 * (s - 1) - log((1 + rho) ** 2 * s / rho**2)) / 2,
        fold_noise=(1 + rho) ** 2 * s * (s - 1) ** 2 * (4 * s - 1) / (2 * s - 1),
        outlier=order_parameter / (s - 1),
    )


def outlier_start(rho: Expr = symbols.rho) -> Expr:
    """The s beyond which the outlier is outside the bulk, the larger root of ``(1+ρ)s² - ((1+ρ)²/ρ + 1)s + 1 = 0``."""
    linear = (1 + rho) ** 2 / rho + 1
    return (linear + sqrt(linear**2 - 4 * (1 + rho))) / (2 * (1 + rho))


def mean_weights(kernel: Mapping[tuple[int, int], Expr], rho: Expr, layer: int) -> ImmutableMatrix:
    """``⟨W^(s)⟩`` given the activity, in the basis of ``h^1, h^2``: its non-zero eigenvalues are this matrix's.

    Given ``W^(t)h^t = h^{t+1}``, ``⟨W^(s)⟩ = (w/N) Σ_tt' M_st C'⁻¹_tt' h^{t'+1} (h^t)ᵀ`` with ``C' = w M∘H₋``; what is
    left of W is Gaussian, with directions of the activity projected out (docs/theory.md section 8).
    """
    M = ImmutableMatrix([[1, rho], [rho, 1]])

    def entry(t: int, s: int) -> Expr:
        return kernel[min(t, s), max(t, s)]

    inverse = ImmutableMatrix(2, 2, lambda t, s: M[t, s] * entry(t + 1, s + 1)).inv()
    crossed = ImmutableMatrix(2, 2, lambda t, s: entry(t + 2, s + 1))
    return ImmutableMatrix(2, 2, lambda t, s: M[layer - 1, t] * (inverse[t, :] * crossed[:, s])[0])


@cache
def assert_outlier() -> None:
    """Either W has one eigenvalue, ``H^{12}/(s-1) = H^{23}/H^{22}``, and none beside it; and where it is 1.

    Raises:
        ArithmeticError: if a step fails.
    """
    rho, s, h = symbols.rho, symbols.s, Symbol("h", positive=True)
    branch = shared_branch()
    square = branch.kernel[1, 2] ** 2
    # the order parameter by a symbol, of which only the square is known
    kernel = dict(branch.kernel) | {(1, 2): h, (2, 3): factor(branch.kernel[2, 3] / branch.kernel[1, 2]) * h}
    edge = (1 + rho) * s**2 - ((1 + rho) ** 2 / rho + 1) * s + 1
    claims = {
        "H23/H22": kernel[2, 3] / kernel[2, 2] - h / (s - 1),
        "the outlier": branch.outlier**2 - square / (s - 1) ** 2,
        "the threshold": (branch.outlier**2 - 1) * (s - 1) - edge,
        "its root": edge.subs(s, outlier_start()),
    }
    for layer in (1, 2):
        mean = mean_weights(kernel, rho, layer)
        for name, value in (("trace", mean.trace() - h / (s - 1)), ("determinant", mean.det())):
            numerator = Poly(fraction(together(value))[0], h)
            claims[f"{name} of W{layer}"] = numerator.rem(Poly(h**2 - square, h)).as_expr()
    assert_zero(claims)


@cache
def assert_elimination() -> None:
    """Find every stationary kernel with ``H^{12} ≠ 0`` from the free energy, and assert each step.

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
    branch = shared_branch(rho, kappa)
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
