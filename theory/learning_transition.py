"""The learning transition: where the incoherent branch folds in λ, for either architecture (docs/theory.md section 14).

On the diagonal kernels of endpoint supervision (``theory.incoherent``; units ``u = v = w = 1``,
``theory.kernel.normalised_noise`` says what κ becomes in others) the arithmetic–geometric inequality leaves one
variable, the growth r of activity per time step, ``H^{nn} = r^n``, ``n = T - 1``:

``F(r) = ½ λ/(r^n+κ) + ½ n (r - 1 - ln r)``,  ``F'(r) ∝ λ(r) - λ``,  ``λ(r) = (r-1)(r^n+κ)²/r^n``.

So F has a minimum on the diagonal kernels where λ(r) rises and a saddle point where it falls. λ(r) has a fold where
``κ = r^n ((n+1)r - n)/((n-1)r - n)``, ``r > n/(n-1)``. That is smallest at ``(n²-1)r² - 2(n²+1)r + n² = 0``, hence with
``q = √(3n²+1)``

``r_* = (n²+1+q)/(n²-1)``,  ``κ_* = r_*^n (2n+q)/(n-1)``,  ``λ_* = r_*^n (2+q)(3n-1+q)²/((n²-1)(n-1)²)``.

For κ ≤ κ_* there is one diagonal state at each λ. Beyond, there are two folds ``λ_- < λ_+``; between them two minima, a
state that learns little (r < r_*, the random network's side) and one that learns the task, with a saddle point
between. They exchange at one λ of equal free energy: a discontinuous transition, which ends in a critical point (cusp)
at ``(κ_*, λ_*)`` with the exponents of a mean-field liquid–gas point (``theory.learning_onset``).

The DNN has no other states (``theory.complete_states``), so this is its transition. The RNN has coherent states
besides; what becomes of the transition there is in ``theory.learning_coherence``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mpmath import mp, workdps
from sympy import Expr, Integer, Symbol, root

from theory import symbols
from theory.bracketing import bracketed_root
from theory.display import Equations, Typeset
from theory.kernel import require_digits, require_horizon, require_noise
from theory.learning_onset import onset_noise, onset_ratio
from theory.typesetting import Row


@dataclass(frozen=True)
class Fold:
    """Where a minimum appears or disappears.

    Attributes:
        ratio, signal, last_variance: r, λ and ``H^{nn}``, mpmath numbers.
    """

    ratio: Any
    signal: Any
    last_variance: Any


@dataclass(frozen=True)
class EqualFreeEnergy:
    """The λ at which both minima on the diagonal kernels have the same free energy.

    Attributes:
        signal, free_energy: λ and F, mpmath numbers.
        ratios: r of the state that learns little and of the one that learns.
        last_variances: their ``H^{nn}``.
    """

    signal: Any
    free_energy: Any
    ratios: tuple[Any, Any]
    last_variances: tuple[Any, Any]


@dataclass(frozen=True)
class LearningTransition(Typeset):
    """The transition at one noise beyond the onset.

    Attributes:
        T, kappa: number of times and noise.
        folds: at ``λ_-``, where the learnt state appears, and at ``λ_+``, where the one that learns little disappears.
        equal: the point of equal free energy between them.
    """

    T: int
    kappa: Expr
    folds: tuple[Fold, Fold]
    equal: EqualFreeEnergy

    def equations(self) -> Equations:
        """Both folds and the point of equal free energy, in decimals."""
        values = (self.folds[0].signal, self.folds[1].signal, self.equal.signal)
        lefts = (r"\lambda_-", r"\lambda_+", r"\lambda_=")
        return [Row(left, float(value), relation=r"\approx") for left, value in zip(lefts, values, strict=True)]


def learning_transition(T: int, kappa: Expr, digits: int = 40) -> LearningTransition | None:
    """Folds and equal-free-energy point to ``digits`` digits; None where κ is not beyond the onset.

    The folds are the two roots above ``n/(n-1)`` of ``r^n((n+1)r - n) - κ((n-1)r - n)``, one on either side of
    ``r_*``. The difference of the two free energies rises with λ, ``d(F_1-F_2)/dλ = ½/(r_1^n+κ) - ½/(r_2^n+κ) > 0``:
    one root.

    Raises:
        ValueError: one line, for T < 3, or an inexact, negative or symbolic κ.
    """
    require_digits(digits)
    require_horizon(T, 3)
    noise = require_noise(kappa, number=True)
    if not (noise - onset_noise(T)).is_positive:
        return None
    with workdps(2 * digits + 30):
        branch = DiagonalBranch(T - 1, mp.mpf(noise.evalf(mp.dps)))
        middle = mp.mpf(onset_ratio(T).evalf(mp.dps))
        last = branch.fold(middle, mp.mpf(T - 1) / (T - 2))
        first = branch.fold(middle, mp.root(branch.noise, T - 1) + middle)
        return LearningTransition(T, noise, (first, last), branch.exchange(first, last))


@dataclass(frozen=True)
class DiagonalBranch:
    """The incoherent branch at one noise in mpmath, at the precision that is set.

    Attributes:
        n: number of hidden times.
        noise: κ.
    """

    n: int
    noise: Any

    def signal(self, r: Any) -> Any:
        """``λ(r) = (r-1)(r^n+κ)²/r^n``."""
        return (r - 1) * (r**self.n + self.noise) ** 2 / r**self.n

    def free_energy(self, r: Any) -> Any:
        """``½(r-1)(r^n+κ)/r^n + ½n(r - 1 - ln r)``."""
        growth = r**self.n
        return ((r - 1) * (growth + self.noise) / growth + self.n * (r - 1 - mp.log(r))) / 2

    def fold(self, middle: Any, far: Any) -> Fold:
        """The fold between ``r_*`` and a point on its one side, where ``r^n((n+1)r - n) > κ((n-1)r - n)``."""
        n, noise = self.n, self.noise

        def excess(r: Any) -> tuple[Any, Any]:
            value = r**n * ((n + 1) * r - n) - noise * ((n - 1) * r - n)
            return value, r ** (n - 1) * ((n + 1) ** 2 * r - n**2) - noise * (n - 1)

        ratio = bracketed_root(excess, middle, far)
        return Fold(ratio=ratio, signal=self.signal(ratio), last_variance=ratio**n)

    def ratio(self, signal: Any, low: Any, high: Any) -> Any:
        """r with ``λ(r) = λ`` between two points between which λ(r) rises through λ."""
        n, noise = self.n, self.noise

        def excess(r: Any) -> tuple[Any, Any]:
            growth = r**n
            slope = 1 / (r - 1) + n * (growth - noise) / (r * (growth + noise))
            return mp.log(self.signal(r) / signal), slope

        return bracketed_root(excess, low, high)

    def exchange(self, first: Fold, last: Fold) -> EqualFreeEnergy:
        """The point of equal free energy between two folds."""
        far = first.ratio
        while self.signal(far) < last.signal:
            far *= 2

        def states(signal: Any) -> tuple[Any, Any]:
            return self.ratio(signal, mp.mpf(1), last.ratio), self.ratio(signal, first.ratio, far)

        def gap(signal: Any) -> tuple[Any, Any]:
            little, learnt = states(signal)
            slope = 1 / (little**self.n + self.noise) - 1 / (learnt**self.n + self.noise)
            return self.free_energy(little) - self.free_energy(learnt), slope / 2

        signal = bracketed_root(gap, first.signal, last.signal)
        ratios = states(signal)
        return EqualFreeEnergy(
            signal=signal,
            free_energy=self.free_energy(ratios[1]),
            ratios=ratios,
            last_variances=(ratios[0] ** self.n, ratios[1] ** self.n),
        )


@dataclass(frozen=True)
class StrongNoise:
    """Leading terms for κ → ∞, relative corrections of order ``κ^{-1/n}``.

    Attributes:
        first_fold: ``λ_- ≃ 4n²/(n-1)² ((n-1)κ/(n+1))^{(n+1)/n}``, at ``H^{nn} = (n-1)κ/(n+1)``.
        equal: ``λ_eq ≃ n² (n-1)^{1/n-1} κ^{(n+1)/n}``, at ``H^{nn} = (n-1)κ`` of the learnt state.
        last_fold: ``λ_+ ≃ κ² (n-1)^{n-1}/n^n``, at ``r = n/(n-1)``.
    """

    first_fold: Expr
    equal: Expr
    last_fold: Expr


def strong_noise(T: int | Symbol) -> StrongNoise:
    """Folds and equal-free-energy point for κ → ∞, in ``theory.symbols.kappa``.

    A learnt state has ``r = ρ κ^{1/n}``, hence ``λ ≃ κ^{(n+1)/n} ρ^{1-n} (ρ^n+1)²``, smallest at ``ρ^n =
    (n-1)/(n+1)``, and
    ``F ≃ ½κ^{1/n} ρ (ρ^{-n}+1+n)``; the state that learns little has r → 1 and ``F ≃ ½λ/κ``. They are equal at
    ``ρ^n = n-1``.

    Raises:
        ValueError: if T is no integer ≥ 3 and not ``theory.symbols.T``.
    """
    if T != symbols.T:
        require_horizon(T, 3)
    n, kappa = Integer(T) - 1 if isinstance(T, int) else T - 1, symbols.kappa

    def learnt(share: Expr) -> Expr:
        """λ of the learnt state at ``ρ^n``."""
        return kappa * root(kappa, n) * root(share, n) * (share + 1) ** 2 / share

    return StrongNoise(
        first_fold=learnt((n - 1) / (n + 1)), equal=learnt(n - 1), last_fold=kappa**2 * (n - 1) ** (n - 1) / n**n
    )
