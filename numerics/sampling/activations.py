"""Activation functions of the network, each with its derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from numerics.problem import ACTIVATIONS, InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Activation:
    """An activation function φ and its derivative, both elementwise on arrays of any shape.

    A user's own function is given the same way. To sample in several processes it must be picklable:
    functions defined at the top level of a module are, lambdas are not.

    Attributes:
        name: how the activation is called in results and checkpoints.
        value: φ(h).
        derivative: φ'(h).
        odd: φ(-h) = -φ(h), on which the sign symmetry of the endpoint task rests.
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    odd: bool = False


def _identity(h: Array) -> Array:
    return h


def _one(h: Array) -> Array:
    return np.ones_like(h)


def _erf(h: Array) -> Array:
    # Multiplying in the array's own precision: a Python float does not promote float32.
    return np.asarray(erf((math.sqrt(math.pi) / 2) * h))


def _erf_derivative(h: Array) -> Array:
    return np.asarray(np.exp((-math.pi / 4) * h * h))


def _tanh_derivative(h: Array) -> Array:
    return np.asarray(1 - np.tanh(h) ** 2)


def _relu(h: Array) -> Array:
    return np.maximum(h, 0)


def _relu_derivative(h: Array) -> Array:
    return (h > 0).astype(h.dtype)


_KNOWN = {
    "linear": Activation("linear", _identity, _one, odd=True),
    "erf": Activation("erf", _erf, _erf_derivative, odd=True),
    "tanh": Activation("tanh", np.tanh, _tanh_derivative, odd=True),
    "relu": Activation("relu", _relu, _relu_derivative),
}


def activation(name: str) -> Activation:
    """The activation called `name` (THEORY.md section 4): linear, erf(√π h/2), tanh or relu.

    Raises:
        InputError: there is no activation of that name.
    """
    if name not in _KNOWN:
        raise InputError(f"activation: is {name!r}; accepted: {', '.join(ACTIVATIONS)}")
    return _KNOWN[name]
