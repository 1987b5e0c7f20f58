"""Skip connections with independent matrices (DNN): every state of endpoint supervision, exact, for every T.

See docs/theory.md section 11. Units ``u = v = w = 1``, ``n = T - 1``, skip a > 0. All stationary kernels are, in one
parameter g ≥ 1,

``H^{t,t+1} = a g H^{tt}``, ``H^{11} = g(1 + a²(g-1))``, ``H^{t+1,t+1} = x H^{tt}``, ``x = g(1 + a²g)``,
``H^{t,t+l} = (a g)^l H^{tt}``, ``λ = (g-1)(1+a²g)(H^{nn}+κ)²/H^{nn}``, ``H^{nn} = g(1+a²(g-1)) x^{n-1}``.

g = 1 is the random network, λ = 0, and a = 0 the incoherent branch with r = g. There is one state for each g: coherence
is not zero at any λ, but it is the skip's own, and no symmetry is broken. What is left is the learning transition
(``theory.learning_onset``): λ(g) has folds where κ is beyond ``κ_*(a, T)``, which grows with a. At fixed κ beyond
``κ_*(0, T)`` the transition is discontinuous for a below the one with ``κ_*(a, T) = κ``, the cusp in the (λ, a) plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
from sympy import (
    Expr,
    Integer,
    Matrix,
    Poly,
    Rational,
    Symbol,
    diff,
    factor,
    fraction,
    lambdify,
    log,
    prod,
    symarray,
    sympify,
    together,
)

from theory import symbols
from theory.claims import assert_zero
from theory.display import Equations, Typeset
from theory.kernel import hidden_times, require_horizon, require_noise

a, g = symbols.skip, symbols.g


def step_ratio(skip: Expr = a) -> Expr:
    """``x = H^{t+1,t+1}/H^{tt} = g(1 + a²g)``."""
    return g * (1 + skip**2 * g)


def first_variance(skip: Expr = a) -> Expr:
    """``H^{11} = g(1 + a²(g-1))``."""
    return g * (1 + skip**2 * (g - 1))


def drive_excess(skip: Expr = a) -> Expr:
    """``(g-1)(1+a²g)``: λH^{nn}/(H^{nn}+κ)², the label's pull on the last variance, which every step passes on."""
    return (g - 1) * (1 + skip**2 * g)


@dataclass(frozen=True)
class SkipBranch(Typeset):
    """The states of a DNN with a skip connection in the parameter g ≥ 1.

    Attributes:
        T: index of the last output, an integer ≥ 3 or ``theory.symbols.T``.
        last_variance: ``H^{nn}``.
        signal: ``λ(g)``.
        free_energy: ``F``, zero on the prior's kernel at λ = 0.
        fold_noise: the κ at which λ(g) has a fold at this g, where it is positive.
    """

    T: int | Symbol
    skip: Expr
    last_variance: Expr
    signal: Expr
    free_energy: Expr
    fold_noise: Expr

    def equations(self) -> Equations:
        """λ, the last variance, F and where λ folds."""
        return (
            (r"\lambda", self.signal),
            ("H^{nn}", self.last_variance),
            ("F", self.free_energy),
            (r"\kappa_\text{fold}", self.fold_noise),
        )

    def kernel_entry(self, t: int, s: int) -> Expr:
        """``H^{ts}``."""
        early, late = sorted((t, s))
        return (self.skip * g) ** (late - early) * first_variance(self.skip) * step_ratio(self.skip) ** (early - 1)


def skip_branch(T: int | Symbol, kappa: Expr = symbols.kappa, skip: Expr = a) -> SkipBranch:
    """All states for an integer T ≥ 3 or ``theory.symbols.T``, noise κ and skip a, exact numbers or symbols.

    Raises:
        ValueError: for another T, or an inexact or negative κ.
    """
    if T != symbols.T:
        require_horizon(T, 3)
    noise, n, b = require_noise(kappa), hidden_times(T), sympify(skip) ** 2
    first, x, excess = first_variance(skip), step_ratio(skip), drive_excess(skip)
    last = first * x ** (n - 1)
    share = fold_share(T, skip)
    entropy = first - 1 - log(first) + (n - 1) * (g - 1 - log(g) + b * (g - 1) ** 2)
    return SkipBranch(
        T=T,
        skip=sympify(skip),
        last_variance=last,
        signal=excess * (last + noise) ** 2 / last,
        free_energy=(excess * (last + noise) / last + entropy) / 2,
        fold_noise=last * factor(together((1 - share) / share)),
    )


def _rise(T: int | Symbol, skip: Expr) -> Expr:
    """``d ln H^{nn}/dg``."""
    return diff(log(first_variance(skip)), g) + (hidden_times(T) - 1) * diff(log(step_ratio(skip)), g)


def fold_share(T: int | Symbol, skip: Expr = a) -> Expr:
    """The ``ζ = H^{nn}/(H^{nn}+κ)`` at which λ(g) has a fold; a κ ≥ 0 belongs to it where it is in (0, 1].

    ``d ln λ = d ln((g-1)(1+a²g)) + (2ζ-1) d ln H^{nn}``.
    """
    return factor(together((1 - diff(log(drive_excess(skip)), g) / _rise(T, skip)) / 2))


def cusp_polynomial(T: int | Symbol) -> Poly:
    """The polynomial in g that vanishes where two folds meet, of degree 8, with coefficients in a and T."""
    share = fold_share(T)
    slope = _rise(T, a) + diff(log((1 - share) / share), g)
    return Poly(fraction(factor(together(slope)))[0], g)


@dataclass(frozen=True)
class SkipCusp:
    """Where the folds of λ(g) meet: mpmath numbers."""

    kappa: Any
    signal: Any
    skip: Any
    g: Any


def untied_cusp(T: int, skip: Any, digits: int = 40) -> SkipCusp:
    """The noise κ_* beyond which the DNN's transition is discontinuous at this skip, and λ there, to so many digits.

    Args:
        T: index of the last output, ≥ 3.
        skip: a, an exact number ≥ 0.

    Raises:
        ArithmeticError: if there is not one place where the folds meet.
    """
    require_horizon(T, 3)
    strength = sympify(skip)
    polynomial = Poly(cusp_polynomial(T).as_expr().subs(a, strength), g)
    branch = skip_branch(T, symbols.kappa, strength)
    with mpmath.workdps(digits + 15):
        noise, signal = (lambdify((g, symbols.kappa), x, "mpmath") for x in (branch.fold_noise, branch.signal))
        roots = [mpmath.mpf(root.evalf(digits + 15)) for root in polynomial.real_roots() if root > 1]
        found = [(noise(root, 0), root) for root in roots if noise(root, 0) > 0]
        if len(found) != 1:
            raise ArithmeticError(f"{len(found)} places where folds meet at T = {T}, a = {strength}")
        kappa, place = found[0]
        return SkipCusp(kappa, signal(place, kappa), mpmath.mpf(strength.evalf(digits + 15)), place)


def untied_cusp_skip(T: int, kappa: Any, digits: int = 40) -> SkipCusp:
    """The cusp in the (λ, a) plane at fixed noise: the a > 0 with ``κ_*(a, T) = κ``, to so many digits.

    Raises:
        ValueError: for κ ≤ ``κ_*(0, T)``: λ rises along the branch at every a.
        ArithmeticError: if the search does not close.
    """
    noise = require_noise(kappa)
    start = untied_cusp(T, Integer(0), 20)
    if not noise.is_number or noise <= Rational(str(start.kappa)):
        raise ValueError(f"kappa: is {kappa}; accepted: an exact number above {mpmath.nstr(start.kappa, 8)} at T = {T}")
    branch = skip_branch(T)
    # the κ of a fold and its derivative, over the last variance: rational in a² and g
    with mpmath.workdps(digits + 15):
        wanted = mpmath.mpf(noise.evalf(digits + 15))
        fold = lambdify((g, a), branch.fold_noise, "mpmath")
        meet = lambdify((g, a), cusp_polynomial(T).as_expr(), "mpmath")
        signal = lambdify((g, a, symbols.kappa), branch.signal, "mpmath")
        low, high = Rational(1, 100), Rational(1, 50)
        while untied_cusp(T, high, 15).kappa < wanted:
            low, high = high, 2 * high
            if high > 10**6:
                raise ArithmeticError(f"no skip below {high} has the noise {kappa}")
        guess = untied_cusp(T, low, 15)
        solution = mpmath.findroot(
            lambda place, strength: [fold(place, strength) / wanted - 1, meet(place, strength)],
            (guess.g, mpmath.mpf(low.p) / low.q),
            tol=mpmath.mpf(10) ** (-2 * digits),
            maxsteps=60,
        )
        return SkipCusp(wanted, signal(solution[0], solution[1], wanted), solution[1], solution[0])


@cache
def assert_untied() -> None:
    """Derive the states from the free energy, and assert each step; for symbolic T what does not depend on it.

    1. ``C`` of the drives ``h^{t+1} - a h^t`` is diagonal: ``2F = λ/(H^{nn}+κ) + H^{11} + Σ_t (H^{t+1,t+1} - 2a
       H^{t,t+1} + a²H^{tt})/H^{tt} - n - ln(|H|/ΠH^{tt})``, t < n.
    2. Entries of lag ≥ 2 occur in ``ln|H|`` alone, which is concave: there is one maximum, the Markov chain, ``|H| =
       H^{11} Π (H^{t+1,t+1} - (H^{t,t+1})²/H^{tt})``.
    3. With ``H^{t,t+1} = c_t H^{tt}`` and ``x_t = H^{t+1,t+1}/H^{tt}`` each step stands alone: ``½[x - 2ac + a² - 1 -
       ln(x-c²)]``. ``∂/∂c``: ``c = a(x-c²)``, so that c > 0 and ``x = c² + c/a``. ``x ∂/∂x = ½(c-a)(c+1/a)``.
    4. ``H^{nn} = H^{11} Π x_t``: all ``x_t ∂/∂x_t`` and ``½(H^{11}-1)`` are the same number ``½λH^{nn}/(H^{nn}+κ)² ≥
       0``. ``(c-a)(c+1/a)`` rises with c from 0 at c = a, so that all steps have the same ``c = a g``, g ≥ 1.

    Raises:
        ArithmeticError: if a step fails.
    """
    h, c, x = (Symbol(name, positive=True) for name in ("h", "c", "x"))
    step = (x - 2 * a * c + a**2 - 1 - log(x - c**2)) / 2
    solved = c**2 + c / a
    claims: dict[str, Expr] = {
        "the step's correlation": factor(diff(step, c).subs(x, solved)),
        "the step's pull": x.subs(x, solved) * diff(step, x).subs(x, solved) - (c - a) * (c + 1 / a) / 2,
        "c = a g": (c - a) * (c + 1 / a) - drive_excess().subs(g, c / a),
        "x": solved.subs(c, a * g) - step_ratio(),
        "H11": 1 + drive_excess() - first_variance(),
        "its pull": h * diff(h - 1 - log(h), h) - (h - 1),
        "the residual variance": (x - c**2).subs(x, solved).subs(c, a * g) - g,
        "F of a step": step.subs(x, solved).subs(c, a * g) - (g - 1 - log(g) + a**2 * (g - 1) ** 2) / 2,
        "the rise of the pull": diff((c - a) * (c + 1 / a), c) - (2 * c + 1 / a - a),
    }
    # 2. there the inverse of H has no entry of lag ≥ 2
    size = 4
    variances = symarray("d", size, positive=True)
    slopes = symarray("c", size - 1, positive=True)
    markov = Matrix(size, size, lambda t, s: variances[min(t, s)] * prod(slopes[min(t, s) : max(t, s)]))
    inverse = markov.inv()
    for t in range(size):
        for s in range(t + 2, size):
            claims[f"the inverse at {t + 1}{s + 1}"] = inverse[t, s]
    residuals = [variances[t + 1] - slopes[t] ** 2 * variances[t] for t in range(size - 1)]
    claims["the determinant"] = markov.det() - variances[0] * prod(residuals)
    # 1. the trace over the drives
    drives = Matrix(size, size, lambda t, s: Integer(t == s) - (a if t == s + 1 else 0))
    entries = Matrix(size, size, lambda t, s: Symbol(f"h{min(t, s)}{max(t, s)}"))
    driven = drives * entries * drives.T
    for t in range(1, size):
        claims[f"the drive of time {t + 1}"] = driven[t, t] - (
            entries[t, t] - 2 * a * entries[t - 1, t] + a**2 * entries[t - 1, t - 1]
        )
    # λ, F and its folds
    T, kappa, n = symbols.T, symbols.kappa, symbols.T - 1
    branch = skip_branch(T)
    last = branch.last_variance
    claims["λ"] = branch.signal * last / (last + kappa) ** 2 - drive_excess()
    claims["a = 0"] = branch.signal.subs(a, 0) - (g - 1) * (g**n + kappa) ** 2 / g**n
    free = branch.free_energy - branch.signal / (2 * (last + kappa))
    pulled = diff(free, g) / diff(log(last), g) * 2
    claims["F is stationary"] = pulled - drive_excess()
    share = symbols.zeta
    slope = diff(log(drive_excess()), g) + (2 * share - 1) * diff(log(last), g)
    claims["a fold"] = slope.subs(share, last / (last + branch.fold_noise))
    claims["the fold of a = 0"] = branch.fold_noise.subs(a, 0) / last.subs(a, 0) - ((n + 1) * g - n) / ((n - 1) * g - n)
    assert_zero(claims)
