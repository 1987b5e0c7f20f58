"""How the RNN's transition to coherence and the learning transition of the incoherent branch meet.

See docs/theory.md section 14.

Units ``u = v = w = 1``, ``n = T - 1``. Both live on the diagonal kernels ``H^{tt} = r^t``: coherence of lag 1 grows
beyond ``r_c = (n-1)/(n-2)`` (``theory.stability``), and minima among diagonal kernels end at the folds
(``theory.learning_transition``).

- T = 3: no off-diagonal entry can grow. The RNN has the DNN's free energy, and its learning transition.
- T = 4: ``r_* = (5+√7)/4 < r_c = 2``. The incoherent learnt state is stable for ``κ_* < κ < 40`` and
  ``λ_- < λ < λ_c`` only (``κ_* = 39.43``), and a saddle point elsewhere.
- T ≥ 5: ``r_* > r_c``. The incoherent learnt state is nowhere stable: it is unstable to coherence wherever it exists.

What the RNN changes to is a coherent learnt state. λ_c, the signal at ``r_c``, meets a fold at ``κ_x = (2n-1)
r_c^n``: the upper one for T ≥ 5, the lower one at T = 4 (κ_x = 40). Below (T = 4: up to κ_*), the state that learns
little loses its stability at λ_c. Above, ``λ_- < λ_c < λ_+``, and λ_c lies on the part between the folds, which is
unstable already: no minimum changes there, and the state that learns little stays stable up to ``λ_+``.

On diagonal kernels both architectures have the same F, so the RNN's lowest F is never above the DNN's: it learns at a
smaller or the same λ. At strong noise the two ratios of T = 4 are λ_eq(RNN)/λ_eq(DNN) → 2^{-2/3}.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mpmath import mp, workdps
from sympy import Expr, Symbol, cancel, factor, simplify, sqrt

from theory import symbols
from theory.critical_point import critical_signal
from theory.incoherent import critical_ratio
from theory.kernel import hidden_times, require_architecture, require_horizon
from theory.learning_onset import fold_noise, onset_ratio
from theory.learning_transition import learning_transition

#: Of signals.
DIGITS = 40


def crossing_noise(T: int | Symbol) -> Expr:
    """``κ_x = (2n-1) r_c^n``, T ≥ 4: the noise at which λ_c is a fold of the incoherent branch. 40 at T = 4.

    Raises:
        ValueError: for T below 4.
    """
    if T != symbols.T:
        require_horizon(T, 4)
    n = hidden_times(T)
    return (2 * n - 1) * critical_ratio(T) ** n


def stable_learnt_signals(T: int, kappa: Expr, arch: str = "rnn") -> tuple[Any, Any] | None:
    """The range of λ in which the incoherent learnt state is a minimum of F over all kernels; None where there is none.

    It begins at ``λ_-``. For the DNN, and at T = 3, it does not end (infinity); for the RNN at T = 4 it ends at λ_c,
    where coherence grows; from T = 5 on it is empty.

    Raises:
        ValueError: one line, for T < 3, an unknown architecture, or an inexact, negative or symbolic κ.
    """
    require_architecture(arch)
    found = learning_transition(T, kappa, DIGITS)
    if found is None:
        return None
    start = found.folds[0]
    if arch == "dnn" or T == 3:
        return start.signal, mp.inf
    with workdps(2 * DIGITS):
        if start.ratio >= mp.mpf(critical_ratio(T).p) / critical_ratio(T).q:
            return None
        return start.signal, mp.mpf(critical_signal(T, found.kappa).evalf(2 * DIGITS))


@cache
def assert_crossing() -> None:
    """Prove the statements on ``r_*``, ``r_c`` and ``κ_x`` for symbolic T.

    ``r_* > r_c`` is ``(n-2)√(3n²+1) > n² - 2n + 3``; the difference of the squares is ``(n²-1)(2n²-8n+5)``, positive
    for n ≥ 4 and negative at n = 3.

    Raises:
        ArithmeticError: if one fails.
    """
    n, T = symbols.n, symbols.T
    critical = critical_ratio(T).subs(T, n + 1)
    if simplify(fold_noise(T, critical_ratio(T)).subs(T, n + 1) / crossing_noise(T).subs(T, n + 1)) != 1:
        raise ArithmeticError("κ of a fold at r_c is not (2n-1) r_c^n")
    difference = (onset_ratio(T).subs(T, n + 1) - critical) * (n**2 - 1) * (n - 2)
    if simplify(difference - (n - 2) * sqrt(3 * n**2 + 1) + n**2 - 2 * n + 3) != 0:
        raise ArithmeticError("r_* - r_c is not as stated")
    squares = (n - 2) ** 2 * (3 * n**2 + 1) - (n**2 - 2 * n + 3) ** 2
    if cancel(squares - (n**2 - 1) * (2 * n**2 - 8 * n + 5)) != 0:
        raise ArithmeticError("the difference of the squares is not (n²-1)(2n²-8n+5)")
    # 2n² - 8n + 5 = 2(n-2)² - 3
    if factor(2 * (n - 2) ** 2 - 3 - (2 * n**2 - 8 * n + 5)) != 0:
        raise ArithmeticError("the quadratic is not 2(n-2)² - 3")
