"""Where the transition is discontinuous: fold and equal-free-energy point of the coherent branch, in mpmath.

Units ``u = v = w = 1``, the full free energy of the RNN (docs/theory.md section 3) at any precision,
from its matrices: with ``G = (H_{1…n-1})⁻¹`` and ``S = H_{2…n}``,

``F = ½λ/(H_{nn}+κ) + ½(H_{11} + tr SG) - ½ ln|H| + ½ ln|H_{1…n-1}| - n/2``.

The branch that leaves the critical point is followed in its order parameter ``ψ = H_{n,n-1}``, in which it is single
valued although it folds back in λ: unknowns are all other kernel entries and λ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
from sympy import Expr

from theory.critical_point import critical_point
from theory.display import Equations, Typeset
from theory.incoherent import critical_ratio
from theory.kernel import require_digits, require_horizon, require_noise
from theory.typesetting import Row, over_times

#: Step of the continuation, in the order parameter over its scale √(h_n h_{n-1}) at the critical point.
STEP = 0.04
#: Newton iterations before a point counts as not found.
ITERATIONS = 40


@dataclass(frozen=True)
class BranchPoint:
    """A stationary state of the full free energy.

    Attributes:
        signal: λ.
        kernel: ``n × n`` mpmath matrix.
        order_parameter: ``H^{n,n-1}``.
        free_energy: ``F``.
        incoherent_free_energy: ``F`` of the incoherent state at the same λ.
        slope, last_slope: ``dλ/dψ`` and ``dH^{nn}/dψ`` along the branch.
        residual: largest entry of the gradient of F.
    """

    signal: Any
    kernel: Any
    order_parameter: Any
    free_energy: Any
    incoherent_free_energy: Any
    slope: Any
    last_slope: Any
    residual: Any


@dataclass(frozen=True)
class Coexistence(Typeset):
    """A discontinuous transition.

    Attributes:
        T, kappa: number of times and noise.
        critical_signal: λ_c, where coherence grows on the incoherent branch. There the incoherent state that λ = 0 is
            joined to loses its stability (its spinodal point) unless κ is so large that it ends in a fold above λ_c
            (``theory.learning_coherence``): then λ_c lies on a part of the branch that is unstable already.
        fold: where the coherent minimum appears (its spinodal point), below λ_c.
        equal: where the coherent state and that incoherent one have the same free energy, between the two.
    """

    T: int
    kappa: Any
    critical_signal: Any
    fold: BranchPoint
    equal: BranchPoint

    def equations(self) -> Equations:
        """λ, order parameter and F at the fold and at equal free energy, and λ_c, in decimals."""
        H = over_times("H", self.T - 1, self.T - 2)
        points = {r"\text{fold}": self.fold, "=": self.equal}
        rows = [
            Row(f"{left}_{{{name}}}", float(value), relation=r"\approx")
            for name, point in points.items()
            for left, value in ((r"\lambda", point.signal), (H, point.order_parameter), ("F", point.free_energy))
        ]
        return [*rows, Row(r"\lambda_c", float(self.critical_signal), relation=r"\approx")]


@dataclass(frozen=True)
class CoherentStates:
    """Stationary states of the full free energy, in one mpmath context (``mpmath.fp`` or ``mpmath.mp``)."""

    n: int
    kappa: Any
    ctx: Any

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Places of the independent entries, row by row."""
        return [(i, j) for i in range(self.n) for j in range(i, self.n)]

    def free_energy(self, H: Any, signal: Any) -> Any:
        """F."""
        ctx, n = self.ctx, self.n
        early, late = H[: n - 1, : n - 1], H[1:, 1:]
        product = late * ctx.inverse(early)
        trace = H[0, 0] + sum(product[i, i] for i in range(n - 1))
        logs = ctx.ln(ctx.det(H)) - ctx.ln(ctx.det(early))
        return (signal / (H[n - 1, n - 1] + self.kappa) + trace - logs - n) / 2

    def gradient(self, H: Any, signal: Any) -> Any:
        """``∂F/∂H_ij`` with both places of an off-diagonal entry counted, as a symmetric matrix (doubled)."""
        ctx, n = self.ctx, self.n
        G = ctx.inverse(H[: n - 1, : n - 1])
        propagated = G * H[1:, 1:] * G
        D = -ctx.inverse(H)
        D[n - 1, n - 1] -= signal / (H[n - 1, n - 1] + self.kappa) ** 2
        D[0, 0] += 1
        for i in range(n - 1):
            for j in range(n - 1):
                D[i + 1, j + 1] += G[i, j]
                D[i, j] += G[i, j] - propagated[i, j]
        return D

    def jacobian(self, H: Any, signal: Any) -> list[list[list[Any]]]:
        """The derivative of ``gradient`` along each independent entry, a list of tables."""
        ctx, n = self.ctx, self.n
        early = ctx.inverse(H[: n - 1, : n - 1])
        whole, G, Q = (table.tolist() for table in (ctx.inverse(H), early, early * H[1:, 1:] * early))
        stiffness = 2 * signal / (H[n - 1, n - 1] + self.kappa) ** 3
        return [self._along(whole, G, Q, i, j, stiffness) for i, j in self.pairs]

    def _along(self, whole: Any, G: Any, Q: Any, i: int, j: int, stiffness: Any) -> list[list[Any]]:
        """One direction ``X = e_i e_jᵀ + e_j e_iᵀ`` (``e_i e_iᵀ`` on the diagonal): products of columns only."""
        n = self.n
        both = [(i, j)] if i == j else [(i, j), (j, i)]
        D = [[sum(whole[a][p] * whole[q][b] for p, q in both) for b in range(n)] for a in range(n)]
        if i == n - 1:
            D[n - 1][n - 1] += stiffness
        for p, q in both:
            if p < n - 1 and q < n - 1:
                for a in range(n - 1):
                    for b in range(n - 1):
                        product = G[a][p] * G[q][b]
                        D[a + 1][b + 1] -= product
                        D[a][b] += Q[a][p] * G[q][b] + G[a][p] * Q[q][b] - product
            if p > 0 and q > 0:
                for a in range(n - 1):
                    for b in range(n - 1):
                        D[a][b] -= G[a][p - 1] * G[q - 1][b]
        return D

    def linear_system(self, H: Any, signal: Any) -> tuple[list[list[Any]], list[Any], list[Any]]:
        """Jacobian in (entries but ψ, λ), the gradient, and its derivative in ψ."""
        n, pairs = self.n, self.pairs
        gradient, columns = self.gradient(H, signal), self.jacobian(H, signal)
        held = pairs.index((n - 2, n - 1))
        residual = [gradient[i, j] for i, j in pairs]
        forcing = [columns[held][i][j] for i, j in pairs]
        matrix = [[column[i][j] for column in columns] for i, j in pairs]
        for row in matrix:
            row[held] = self.ctx.zero
        matrix[-1][held] = -1 / (H[n - 1, n - 1] + self.kappa) ** 2
        return matrix, residual, forcing

    def newton(self, H: Any, signal: Any, psi: Any, tolerance: Any) -> tuple[Any, Any, Any, Any] | None:
        """At ψ: kernel, λ, ``dλ/dψ`` and ``dH^{nn}/dψ``; None if Newton's method does not converge."""
        n, pairs = self.n, self.pairs
        H = H.copy()
        H[n - 2, n - 1] = H[n - 1, n - 2] = psi
        held = pairs.index((n - 2, n - 1))
        for _ in range(ITERATIONS):
            matrix, residual, forcing = self.linear_system(H, signal)
            if max(abs(x) for x in residual) < tolerance:
                tangent = solve_linear_system(matrix, forcing)
                return H, signal, -tangent[held], -tangent[len(pairs) - 1]
            step = solve_linear_system(matrix, residual)
            for index, (i, j) in enumerate(pairs):
                if index != held:
                    H[i, j] -= step[index]
                    H[j, i] = H[i, j]
            signal -= step[held]
            if any(H[t, t] <= 0 for t in range(n)):
                return None
        return None

    def incoherent_ratio(self, signal: Any) -> Any:
        """The smallest r ≥ 1 with ``(r-1)(r^n+κ)²/r^n = λ``: the incoherent state that λ = 0 is joined to."""
        ctx, n, kappa = self.ctx, self.n, self.kappa

        def excess(r: Any) -> Any:
            return (r - 1) * (r**n + kappa) ** 2 / r**n - signal

        low, high = ctx.mpf(1), ctx.mpf(1)
        while excess(high) < 0:
            low, high = high, high + ctx.mpf(1) / 64
        return ctx.findroot(excess, (low, high), solver="anderson", verify=False)

    def incoherent_free_energy(self, signal: Any) -> Any:
        """F of the incoherent state that λ = 0 is joined to."""
        r = self.incoherent_ratio(signal)
        growth = r**self.n
        return ((r - 1) * (growth + self.kappa) / growth + self.n * (r - 1 - self.ctx.ln(r))) / 2


def solve_linear_system(rows: list[list[Any]], right: list[Any]) -> list[Any]:
    """The solution of a linear system, by elimination with partial pivoting on lists.

    mpmath's own solver takes several times as long: it looks every entry up in a dictionary, and refines.
    """
    rows = [[*row, value] for row, value in zip(rows, right, strict=True)]
    size = len(rows)
    for k in range(size):
        pivot = max(range(k, size), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        top = rows[k]
        for i in range(k + 1, size):
            if rows[i][k]:
                factor = rows[i][k] / top[k]
                rows[i][k:] = [x - factor * y if y else x for x, y in zip(rows[i][k:], top[k:], strict=True)]
    solution: list[Any] = [None] * size
    for k in reversed(range(size)):
        known = sum(rows[k][j] * solution[j] for j in range(k + 1, size))
        solution[k] = (rows[k][size] - known) / rows[k][k]
    return solution


def coexistence(T: int, kappa: Expr, digits: int = 30) -> Coexistence:
    """Fold and equal-free-energy point of a discontinuous transition, to ``digits`` digits.

    Raises:
        ValueError: if the branch leaves continuously at this T and κ, for T < 4, an inexact, negative or symbolic κ.
        ArithmeticError: if the branch is lost before both points are bracketed.
    """
    require_digits(digits)
    require_horizon(T, 4)
    noise = require_noise(kappa, number=True)
    point = critical_point(T, noise)
    if point.order == "continuous":
        raise ValueError(f"kappa: is {noise}, where the transition of T = {T} is continuous; accepted: a larger κ")
    brackets = _brackets(T, float(noise), float(point.signal))
    with mpmath.workdps(digits + 15):
        kappa_value = mpmath.mpf(noise.evalf(digits + 15)) if noise else mpmath.mpf(0)
        states = CoherentStates(T - 1, kappa_value, mpmath.mp)
        fold = root_along_branch(states, brackets[0], lambda state: state.slope, digits)
        equal = root_along_branch(
            states, brackets[1], lambda state: state.free_energy - state.incoherent_free_energy, digits
        )
        critical = mpmath.mpf(point.signal.evalf(digits + 15))
    return Coexistence(T, kappa_value, critical, fold, equal)


def follow(T: int, kappa: float, critical: float) -> Iterator[tuple[Any, Any, Any, Any]]:
    """The branch from its critical point in ordinary precision, step by step: ψ, kernel, λ and ``dλ/dψ``.

    Raises:
        ArithmeticError: if the branch is lost.
    """
    ctx, n = mpmath.fp, T - 1
    states = CoherentStates(n, kappa, ctx)
    ratio = float(critical_ratio(T))
    scale = ratio ** (n - 0.5)
    H, signal = ctx.diag([ratio**t for t in range(1, n + 1)]), critical
    for t in range(n - 1):
        H[t, t + 1] = H[t + 1, t] = STEP * (t + 1) / (n - 1) * ratio ** (t + 1.5)
    previous, older = None, None
    for step in range(1, 2000):
        psi = STEP * step * scale
        if older is not None and previous is not None:
            guess = 2 * previous[0] - older[0], 2 * previous[1] - older[1]
        else:
            guess = (H, signal)
        found = states.newton(*guess, psi, 1e-9)
        if found is None:
            raise ArithmeticError(f"the branch is lost at order parameter {psi:g}")
        H, signal, slope, _ = found
        yield psi, H, signal, slope
        older, previous = previous, (H, signal)


def _brackets(T: int, kappa: float, critical: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Two neighbours around the fold, two around equal free energy."""
    states = CoherentStates(T - 1, kappa, mpmath.fp)
    fold, previous = None, None
    for psi, kernel, signal, slope in follow(T, kappa, critical):
        gap = states.free_energy(kernel, signal) - states.incoherent_free_energy(signal)
        state = (psi, kernel, signal, slope, gap)
        if previous is not None:
            if fold is None and previous[3] < 0 <= slope:
                fold = (previous, state)
            if fold is not None and previous[4] > 0 >= gap:
                return fold, (previous, state)
        previous = state
    raise ArithmeticError("no equal-free-energy point found along the branch")


def root_along_branch(
    states: CoherentStates, bracket: Sequence[Any], target: Callable[[BranchPoint], Any], digits: int
) -> BranchPoint:
    """The root of ``target`` along the branch between two neighbours, by the secant method in ψ."""
    ctx = states.ctx
    start = bracket[0]
    kernel, signal = ctx.matrix(start[1].tolist()), ctx.mpf(start[2])
    tolerance = ctx.mpf(10) ** -(digits + 8)
    first, second = (_state(states, kernel, signal, ctx.mpf(side[0]), tolerance) for side in bracket)
    for _ in range(ITERATIONS):
        a, b = target(first), target(second)
        psi = second.order_parameter - b * (second.order_parameter - first.order_parameter) / (b - a)
        first, second = second, _state(states, second.kernel, second.signal, psi, tolerance)
        if abs(second.order_parameter - first.order_parameter) < ctx.mpf(10) ** -(digits + 2) * abs(psi):
            return second
    raise ArithmeticError("the secant method along the branch has not converged")


def _state(states: CoherentStates, kernel: Any, signal: Any, psi: Any, tolerance: Any) -> BranchPoint:
    found = states.newton(kernel, signal, psi, tolerance)
    if found is None:
        raise ArithmeticError(f"the branch is lost at order parameter {float(psi):g}")
    H, value, slope, last_slope = found
    gradient = states.gradient(H, value)
    return BranchPoint(
        signal=value,
        kernel=H,
        order_parameter=psi,
        free_energy=states.free_energy(H, value),
        incoherent_free_energy=states.incoherent_free_energy(value),
        slope=slope,
        last_slope=last_slope,
        residual=max(abs(x) for x in gradient) / 2,
    )
