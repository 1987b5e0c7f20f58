"""The activation φ of a network, for the solvers and the simulator alike."""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from numerics.errors import InputError
from numerics.inputs.smoothness import RANGE, Function, Slope, check_growth, finite_values, kinks
from numerics.linalg import Array

#: Values of h at which what is said of φ is checked; a slope that is given may differ by this from the one found.
PROBE = np.concatenate([np.linspace(-5.0, 5.0, 41) + 0.01 / math.pi, np.array([-30.0, 20.0])])
SLOPE_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Activation:
    """φ, applied entry by entry to arrays of any shape, and what is known of it.

    `Activation.of` makes one from a function alone. It can be sent to other processes whatever the function is: a
    lambda, or one of a notebook or script.

    Attributes:
        name: how results, files and messages call it.
        value: φ(h).
        derivative: φ'(h); at a kink from one side.
        odd: φ(-h) = -φ(h); then W → -W is a symmetry.
        kinks: where φ or one of its first two derivatives jumps, so that rules for smooth functions end there.
        known: whether the name alone says which function it is.
        digest: of a function of the user's own, a summary of its values.
        at_once: φ, φ' and φ'' of h; None where φ'' is not known.
    """

    name: str
    value: Function
    derivative: Function
    odd: bool
    kinks: tuple[float, ...]
    known: bool = False
    digest: str = ""
    at_once: Callable[[Array], tuple[Array, Array, Array]] | None = None

    @classmethod
    def of(cls, function: Function, *, name: str | None = None, derivative: Function | None = None) -> Activation:
        """The activation that a function is; parity and kinks are found, the derivative is computed unless given.

        Args:
            function: φ, real and finite, of NumPy arrays; smooth but for at most 16 kinks in |h| < 32, and no faster
                than linear for large |h|: beyond that ``Z = ∫ N(h|0,C) exp(φᵀΦ̃φ)`` diverges.
            name: by default the function's own.
            derivative: φ', which spares computing it from values of φ.

        Raises:
            InputError: φ is none of that, or the derivative is not φ's.
        """
        name = _name_of(function) if name is None else name
        if name in NAMED:
            if np.array_equal(_tried(function, PROBE, name), NAMED[name].value(PROBE)):
                return NAMED[name]
            name = f"own {name}"
        _check_entrywise(function, name)
        check_growth(function, name)
        odd = _is_odd(function)
        found = kinks(function, name)
        if odd:
            found = tuple(sorted({0.5 * (one - other) for one, other in zip(found, found[::-1], strict=True)}))
        slope = Slope(function, found, name)
        if derivative is not None:
            _check_derivative(derivative, slope, found, name)
        values = np.round(finite_values(function, PROBE, name), 9) + 0.0
        digest = hashlib.sha256(values.tobytes()).hexdigest()[:16]
        return cls(name, _SamePrecision(function), _SamePrecision(derivative or slope), odd, found, digest=digest)

    @property
    def key(self) -> str:
        """What tells it from every other activation, in checkpoints and sweeps."""
        return self.name if self.known else f"{self.name} {self.digest}"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        if self.known:
            return named, (self.name,)
        import cloudpickle  # pickles functions by value where they cannot be imported

        return _unpickled, (cloudpickle.dumps([getattr(self, field.name) for field in fields(self)]),)


class _SamePrecision:
    """A function whose values have its argument's precision."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, h: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(self._function(h), dtype=h.dtype)


class _NotStored:
    """What stands for a function that a file has only the name of."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, h: Array) -> Array:
        raise InputError(
            f"activation: {self._name} is known by its name only, as files hold no functions; accepted: "
            "load(file, activation=φ)"
        )


def activation_of(value: Any) -> Activation:
    """A name, a function or an `Activation` as an `Activation`.

    Raises:
        InputError: it is none of these, or `Activation.of` refuses it.
    """
    if isinstance(value, Activation):
        return value
    if isinstance(value, str):
        return named(value)
    if callable(value) and not isinstance(value, type):
        return Activation.of(value)
    raise InputError(f"activation: is {value!r}; accepted: {', '.join(NAMED)}, a function φ(h), or an Activation")


def named(name: str) -> Activation:
    """The activation called `name` (docs/theory.md section 4): linear, erf(√π h/2), tanh or relu.

    Raises:
        InputError: there is no activation of that name.
    """
    if name not in NAMED:
        raise InputError(f"activation: is {name!r}; accepted: {', '.join(NAMED)}, or in Python a function φ(h)")
    return NAMED[name]


def not_stored(name: str, odd: bool, kinks: tuple[float, ...], digest: str) -> Activation:
    """An activation of which a file tells everything but the function."""
    return Activation(name, _NotStored(name), _NotStored(name), odd, kinks, digest=digest)


def _unpickled(content: bytes) -> Activation:
    return Activation(*pickle.loads(content))


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", "custom")
    return "custom" if name == "<lambda>" else str(name)


def _tried(function: Function, h: Array, name: str) -> Array:
    try:
        return finite_values(function, h, name)
    except InputError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise InputError(f"activation: {name} fails on an array ({error}); accepted: φ(h) entry by entry") from None


def _check_entrywise(function: Function, name: str) -> None:
    """Refuse what is random, changes its argument, or lets one entry depend on another."""
    value = _tried(function, PROBE, name)
    kept = PROBE.copy()
    _tried(function, np.linspace(-RANGE, RANGE, 65), name)
    with np.errstate(all="ignore"):
        function(kept)
    same = {
        "changes its argument": np.array_equal(kept, PROBE),
        "gives another value each time": np.array_equal(_tried(function, PROBE, name), value),
        "does not act entry by entry": np.allclose(
            _tried(function, PROBE[::-3], name), value[::-3], rtol=1e-12, atol=1e-14
        )
        and np.allclose(
            _tried(function, PROBE[:12].reshape(2, 3, 2), name).ravel(), value[:12], rtol=1e-12, atol=1e-14
        ),
    }
    for wrong, holds in same.items():
        if not holds:
            raise InputError(f"activation: {name} {wrong}; accepted: φ(h) entry by entry")


def _is_odd(function: Function) -> bool:
    h = np.concatenate([PROBE, np.geomspace(1e-3, RANGE, 50)])
    with np.errstate(all="ignore"):
        value, mirrored = np.asarray(function(h)), np.asarray(function(-h))
    return bool(np.allclose(mirrored, -value, rtol=1e-12, atol=1e-14))


def _check_derivative(derivative: Function, slope: Slope, kinks: tuple[float, ...], name: str) -> None:
    h = np.array([one for one in PROBE if all(abs(one - kink) > 1e-3 for kink in kinks)])
    given, found = finite_values(derivative, h, f"the derivative of {name}"), slope(h)
    wrong = np.abs(given - found) > SLOPE_TOLERANCE * (1 + np.abs(found).max())
    if wrong.any():
        raise InputError(
            f"derivative: of {name} is {given[wrong][0]:g} at h = {h[wrong][0]:g}, where φ has the slope "
            f"{found[wrong][0]:g}; accepted: φ'(h)"
        )


def _identity(h: Array) -> Array:
    return h


def _one(h: Array) -> Array:
    return np.ones_like(h)


def _erf(h: Array) -> Array:
    # Multiplying in the array's own precision: a Python float does not promote float32.
    from scipy.special import erf  # takes as long to load as NumPy

    return np.asarray(erf((math.sqrt(math.pi) / 2) * h))


def _erf_derivative(h: Array) -> Array:
    return np.asarray(np.exp((-math.pi / 4) * h * h))


def _tanh_derivative(h: Array) -> Array:
    return np.asarray(1 - np.tanh(h) ** 2)


#: ``exp(x²) erfc(x)`` for x > 0 is a ratio of polynomials with these coefficients, highest powers first, to 1e-15
#: (least squares on 60 Chebyshev nodes of 0 < x < 6).
_ABOVE = (
    0.0005169783914310293, 0.008012523272728394, 0.05867487848445977, 0.26074216273153117, 0.7577664192696111,
    1.4471625669390522, 1.7049103361961742, 0.9999999999999997,
)  # fmt: skip
_BELOW = (
    0.0009163204932205117, 0.014201820021155708, 0.10445685944334522, 0.4692515539609503, 1.3946775282669468,
    2.7887548560825928, 3.644187416808131, 2.833289503291587, 1.0,
)  # fmt: skip


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= x
    value += coefficients[-1]
    return value


def _erf_at_once(h: Array) -> tuple[Array, Array, Array]:
    # erf from its slope: in two thirds of the time of SciPy's
    x = (math.sqrt(math.pi) / 2) * np.abs(h)
    slope = np.exp(-x * x)
    value = _polynomial(_ABOVE, x)
    value /= _polynomial(_BELOW, x)
    value *= slope
    np.copysign(1 - value, h, out=value)
    return value, slope, (-math.pi / 2) * h * slope


def _tanh_at_once(h: Array) -> tuple[Array, Array, Array]:
    value = np.tanh(h)
    slope = 1 - value * value
    return value, slope, -2 * value * slope


def _relu(h: Array) -> Array:
    return np.maximum(h, 0)


def _relu_derivative(h: Array) -> Array:
    return (h > 0).astype(h.dtype)


#: Activations that a name stands for; ``erf`` is φ(h) = erf(√π h/2), of slope 1 at 0.
NAMED = {
    "linear": Activation("linear", _identity, _one, odd=True, kinks=(), known=True),
    "erf": Activation("erf", _erf, _erf_derivative, odd=True, kinks=(), known=True, at_once=_erf_at_once),
    "tanh": Activation("tanh", np.tanh, _tanh_derivative, odd=True, kinks=(), known=True, at_once=_tanh_at_once),
    "relu": Activation("relu", _relu, _relu_derivative, odd=False, kinks=(0.0,), known=True),
}
LINEAR = NAMED["linear"]
