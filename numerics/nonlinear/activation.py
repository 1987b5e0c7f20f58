"""The activation φ of a nonlinear network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from numerics.problem import FloatArray, InputError


@dataclass(frozen=True)
class Nonlinearity:
    """φ, applied entry by entry.

    Attributes:
        name: how messages call it.
        value: φ(h) for an array h, of the same shape.
        odd: φ(-h) = -φ(h); then W → -W is a symmetry.
        kink: φ or a derivative of it jumps at h = 0, so that rules for smooth functions do not converge fast.
    """

    name: str
    value: Callable[[FloatArray], FloatArray]
    odd: bool = False
    kink: bool = False

    def __post_init__(self) -> None:
        probe = np.array([-1.5, -0.3, 0.4, 2.0])
        value = np.asarray(self.value(probe))
        if value.shape != probe.shape or not np.isfinite(value).all():
            raise InputError(f"activation: {self.name} does not map an array to one; accepted: φ(h) entry by entry")
        if self.odd and not np.allclose(self.value(-probe), -value, rtol=1e-12, atol=1e-14):
            raise InputError(f"activation: {self.name} is not odd; accepted: odd=False")


#: ``erf`` is φ(h) = erf(√π h/2), of slope 1 at 0.
NAMED = {
    "linear": Nonlinearity("linear", lambda h: h, odd=True),
    "erf": Nonlinearity("erf", lambda h: np.asarray(erf(0.5 * np.sqrt(np.pi) * h)), odd=True),
    "tanh": Nonlinearity("tanh", np.tanh, odd=True),
    "relu": Nonlinearity("relu", lambda h: np.maximum(h, 0.0), kink=True),
}
