r"""Weak labels in a nonlinear network: the kernel to first order in Y around the random network's.

See docs/theory.md section 4.

One pattern with ``x·x/D = 1``, endpoint supervision, odd φ. At Y = 0 the saddle is Φ̃ = 0 and ``Φ = ⟨φφᵀ⟩`` over
``N(0, C[Φ])``: times are uncorrelated, and the variance ``c_t = ⟨(h^t)²⟩`` obeys ``c_1 = u``, ``c_{t+1} = w g(c_t)``
with ``g(c) = ⟨φ(√c z)²⟩``, z standard normal.

To first order, ``C⁻¹SC⁻¹ - C⁻¹ = C⁻¹ Cov(hhᵀ, φᵀΦ̃φ) C⁻¹ = 2 ∂_C ⟨φᵀΦ̃φ⟩`` (Gaussian integration by parts, twice), so
that Φ̃ is diagonal, a label message that travels back in time through the slopes of the forward kernel:

    m_n = (v/2) y²/(v Φ_n + κ)²,   m_t = w g'(c_{t+1}) m_{t+1},

and Φ is moved by the messages of its own time and by what they did to earlier times:

    δΦ_1 = V(c_1) m_1,   δΦ_t = g'(c_t) w δΦ_{t-1} + V(c_t) m_t,   V(c) = ⟨φ⁴⟩ - ⟨φ²⟩².

It is the same for the RNN and the DNN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath

from theory.kernel import require_horizon


@dataclass(frozen=True)
class WeakSignal:
    """The random network's kernel and its response, as mpmath numbers, t = 1 … n.

    Attributes:
        kernel: ``Φ_t`` at λ = 0.
        message: ``m_t = dΦ̃_t/dλ`` at λ = 0.
        response: ``dΦ_t/dλ`` at λ = 0.
    """

    kernel: tuple[Any, ...]
    message: tuple[Any, ...]
    response: tuple[Any, ...]


def gaussian_mean(function: Callable[[Any], Any], variance: Any) -> Any:
    """``⟨f(√c z)⟩`` for an even f, z standard normal, by the trapezoidal rule at the working precision.

    For f analytic in a strip the error falls exponentially with the number of points, which are doubled until two
    rules agree.
    """
    scale, edge = mpmath.sqrt(variance), mpmath.sqrt(2 * (mpmath.mp.prec + 10) * mpmath.log(2))

    def rule(points: int) -> Any:
        step = edge / points
        terms = (
            function(scale * k * step) * mpmath.exp(-((k * step) ** 2) / 2) * (1 if k == 0 else 2)
            for k in range(points + 1)
        )
        return step * mpmath.fsum(terms) / mpmath.sqrt(2 * mpmath.pi)

    points, old = 32, rule(16)
    while points <= 4096:
        new = rule(points)
        if abs(new - old) <= abs(new) * mpmath.mpf(2) ** (12 - mpmath.mp.prec):
            return new
        points, old = 2 * points, new
    raise ValueError("function: its Gaussian mean has not converged; accepted: an analytic function")


def weak_signal(
    T: int, phi: Callable[[Any], Any], slope: Callable[[Any], Any], *, kappa: Any, v: Any = 1, w: Any = 1, u: Any = 1
) -> WeakSignal:
    """The response to the signal λ, ``y² = λ v w^(T-2) u``, at the working precision of mpmath.

    Args:
        T: index of the last output.
        phi, slope: an odd analytic φ and φ', of mpmath numbers.
        kappa, v, w, u: noise and prior widths.

    Raises:
        ValueError: T is no integer ≥ 3; or an average has not converged.
    """
    require_horizon(T, 3)
    kappa, v, w, u = (mpmath.mpf(value) for value in (kappa, v, w, u))
    variance, kernel, gain, spread = u, [], [], []
    for _ in range(T - 1):
        second = gaussian_mean(lambda h: phi(h) ** 2, variance)
        kernel.append(second)
        # g' by Stein's lemma: d⟨φ²⟩/dc = ⟨h φ φ'⟩/c
        gain.append(gaussian_mean(lambda h: h * phi(h) * slope(h), variance) / variance)
        spread.append(gaussian_mean(lambda h: phi(h) ** 4, variance) - second**2)
        variance = w * second
    message = [v / 2 * v * w ** (T - 2) * u / (v * kernel[-1] + kappa) ** 2]
    for slope_after in reversed(gain[1:]):
        message.insert(0, w * slope_after * message[0])
    response = [spread[0] * message[0]]
    for t in range(1, T - 1):
        response.append(gain[t] * w * response[-1] + spread[t] * message[t])
    return WeakSignal(tuple(kernel), tuple(message), tuple(response))
