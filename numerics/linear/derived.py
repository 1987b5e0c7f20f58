"""Energy and entropy of the linear network in the natural metric (docs/theory.md sections 3 and 10-12).

Written by ``python -m numerics.lowering.natural`` from ``theory.matrix_calculus.natural``, where gradient and Hessian
are derived: not to be edited. ENERGY is that of one supervised set; ENTROPY_TIED is for one W at all times,
ENTROPY_MASKED for any sharing matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numerics.linalg import FloatArray, solve_lower, symmetric
from numerics.lowering.operations import log_determinant, mask
from numerics.lowering.stages import Computed, Stages


def _energy_value(state: Computed) -> Any:
    K = state["K"]
    y = state["y"]
    t0 = solve_lower(K, y)
    t1 = np.vdot(t0, t0)
    t2 = (1 / 2) * t1
    state["t0"] = t0
    return t2


def _energy_response(state: Computed) -> Any:
    K = state["K"]
    T = state["T"]
    t3 = solve_lower(K, T)
    state["t3"] = t3
    return t3


def _energy_pull(state: Computed) -> Any:
    t0 = state["t0"]
    t3 = state["t3"]
    t4 = t3.T
    t5 = t4 @ t0
    state["t4"] = t4
    state["t5"] = t5
    return t5


def _energy_gradient(state: Computed) -> Any:
    t5 = state["t5"]
    v = state["v"]
    t6 = t5.T
    t7 = t5 @ t6
    t8 = (-1 / 2 * v) * t7
    state["t6"] = t6
    return t8


def _energy_prepared(state: Computed) -> Any:
    return (state["t3"], state["t4"], state["t5"], state["t6"], state["v"])


def _energy_change(kept: Any, S: FloatArray) -> Any:
    t3, t4, t5, t6, v = kept
    t9 = S @ t5
    t10 = t3 @ t9
    t11 = t4 @ t10
    t12 = t11 @ t6
    t13 = (v**2) * t12
    t14 = symmetric(t13)
    return t14


ENERGY = Stages(
    {
        "value": (_energy_value, ()),
        "response": (_energy_response, ()),
        "pull": (_energy_pull, ("value", "response")),
        "gradient": (_energy_gradient, ("pull",)),
        "prepared": (_energy_prepared, ("response", "pull", "gradient")),
    },
    _energy_change,
)


def _entropy_tied_relative(state: Computed) -> Any:
    K = state["K"]
    L = state["L"]
    t0 = solve_lower(K, L)
    t1 = t0.T
    t2 = t1 @ t0
    state["t0"] = t0
    state["t2"] = t2
    return t2


def _entropy_tied_messages(state: Computed) -> Any:
    B = state["B"]
    K = state["K"]
    t0 = state["t0"]
    w = state["w"]
    t3 = solve_lower(K, B)
    t4 = t3.T
    t5 = t4 @ t0
    t6 = t5.T
    t7 = t5 @ t6
    t8 = t4 @ t3
    t9 = (-1 / 2 * w) * t7 + ((1 / 2) * w) * t8
    state["t5"] = t5
    state["t6"] = t6
    state["t7"] = t7
    state["t8"] = t8
    return t9


def _entropy_tied_left_0(state: Computed) -> Any:
    L = state["L"]
    rows_0 = L.shape[0]
    t10 = np.eye(rows_0)
    state["t10"] = t10
    return t10


def _entropy_tied_right_0(state: Computed) -> Any:
    t10 = state["t10"]
    t11 = (1 / 2) * t10
    return t11


def _entropy_tied_left_1(state: Computed) -> Any:
    return state["t6"]


def _entropy_tied_right_1(state: Computed) -> Any:
    t5 = state["t5"]
    w = state["w"]
    t12 = (-1 / 2 * w) * t5
    return t12


def _entropy_tied_left_2(state: Computed) -> Any:
    return state["t5"]


def _entropy_tied_right_2(state: Computed) -> Any:
    t6 = state["t6"]
    w = state["w"]
    t13 = (-1 / 2 * w) * t6
    return t13


def _entropy_tied_left_3(state: Computed) -> Any:
    return state["t8"]


def _entropy_tied_right_3(state: Computed) -> Any:
    t7 = state["t7"]
    t8 = state["t8"]
    w = state["w"]
    t14 = (-1 / 2 * w**2) * t8 + (w**2) * t7
    state["t14"] = t14
    return t14


def _entropy_tied_value(state: Computed) -> Any:
    K = state["K"]
    L = state["L"]
    t0 = state["t0"]
    t15 = log_determinant(K)
    t16 = np.vdot(t0, t0)
    t17 = log_determinant(L)
    t18 = (1 / 2) * t15 + (1 / 2) * t16 + (-1 / 2) * t17
    return t18


def _entropy_tied_gradient(state: Computed) -> Any:
    t10 = state["t10"]
    t2 = state["t2"]
    t7 = state["t7"]
    t8 = state["t8"]
    w = state["w"]
    t19 = (-1 / 2) * t10 + (1 / 2) * t2 + (-1 / 2 * w) * t7 + ((1 / 2) * w) * t8
    return t19


def _entropy_tied_prepared(state: Computed) -> Any:
    return (state["t14"], state["t5"], state["t6"], state["t8"], state["w"])


def _entropy_tied_change(kept: Any, S: FloatArray) -> Any:
    t14, t5, t6, t8, w = kept
    t20 = S @ t14
    t21 = t8 @ t20
    t22 = S @ t5
    t23 = t6 @ t22
    t24 = S @ t6
    t25 = t5 @ t24
    t26 = (1 / 2) * S + t21 + (-1 / 2 * w) * t23 + (-1 / 2 * w) * t25
    t27 = symmetric(t26)
    return t27


ENTROPY_TIED = Stages(
    {
        "relative": (_entropy_tied_relative, ()),
        "messages": (_entropy_tied_messages, ("relative",)),
        "left_0": (_entropy_tied_left_0, ()),
        "right_0": (_entropy_tied_right_0, ("left_0",)),
        "left_1": (_entropy_tied_left_1, ("messages",)),
        "right_1": (_entropy_tied_right_1, ("messages",)),
        "left_2": (_entropy_tied_left_2, ("messages",)),
        "right_2": (_entropy_tied_right_2, ("messages",)),
        "left_3": (_entropy_tied_left_3, ("messages",)),
        "right_3": (_entropy_tied_right_3, ("messages",)),
        "value": (_entropy_tied_value, ("relative",)),
        "gradient": (_entropy_tied_gradient, ("left_0", "relative", "messages")),
        "prepared": (_entropy_tied_prepared, ("right_3", "messages")),
    },
    _entropy_tied_change,
)


def _entropy_masked_relative(state: Computed) -> Any:
    K = state["K"]
    L = state["L"]
    t0 = solve_lower(K, L)
    t1 = t0.T
    t2 = t1 @ t0
    state["t0"] = t0
    state["t2"] = t2
    return t2


def _entropy_masked_messages(state: Computed) -> Any:
    B = state["B"]
    K = state["K"]
    M = state["M"]
    P = state["P"]
    Z = state["Z"]
    t0 = state["t0"]
    w = state["w"]
    t3 = B.T
    t4 = solve_lower(K, Z)
    t5 = t4.T
    t6 = t5 @ t0
    t7 = t6.T
    t8 = t6 @ t7
    t9 = t5 @ t4
    t10 = (-1 / 2 * w) * t8 + ((1 / 2) * w) * t9
    t11 = mask(t10, P, M)
    t12 = t3 @ t11
    t13 = t12 @ B
    state["t3"] = t3
    state["t6"] = t6
    state["t7"] = t7
    state["t8"] = t8
    state["t9"] = t9
    state["t13"] = t13
    return t13


def _entropy_masked_value(state: Computed) -> Any:
    K = state["K"]
    L = state["L"]
    t0 = state["t0"]
    t14 = log_determinant(K)
    t15 = np.vdot(t0, t0)
    t16 = log_determinant(L)
    t17 = (1 / 2) * t14 + (1 / 2) * t15 + (-1 / 2) * t16
    return t17


def _entropy_masked_gradient(state: Computed) -> Any:
    L = state["L"]
    t13 = state["t13"]
    t2 = state["t2"]
    rows_0 = L.shape[0]
    t18 = np.eye(rows_0)
    t19 = (-1 / 2) * t18 + (1 / 2) * t2 + t13
    return t19


def _entropy_masked_prepared(state: Computed) -> Any:
    t8 = state["t8"]
    t9 = state["t9"]
    w = state["w"]
    t23 = (-1 / 2 * w**2) * t9 + (w**2) * t8
    state["t23"] = t23
    return (
        state["B"],
        state["M"],
        state["P"],
        state["t23"],
        state["t3"],
        state["t6"],
        state["t7"],
        state["t9"],
        state["w"],
    )


def _entropy_masked_change(kept: Any, S: FloatArray) -> Any:
    B, M, P, t23, t3, t6, t7, t9, w = kept
    t20 = S @ t3
    t21 = B @ t20
    t22 = mask(t21, P, M)
    t24 = t22 @ t23
    t25 = t9 @ t24
    t26 = S @ t7
    t27 = t6 @ t26
    t28 = t25 + (-1 / 2 * w) * t27
    t29 = symmetric(t28)
    t30 = mask(t29, P, M)
    t31 = t30 @ B
    t32 = t3 @ t31
    t33 = t22 @ t6
    t34 = t7 @ t33
    t35 = (1 / 2) * S + t32 + (-1 / 2 * w) * t34
    t36 = symmetric(t35)
    return t36


ENTROPY_MASKED = Stages(
    {
        "relative": (_entropy_masked_relative, ()),
        "messages": (_entropy_masked_messages, ("relative",)),
        "value": (_entropy_masked_value, ("relative",)),
        "gradient": (_entropy_masked_gradient, ("messages", "relative")),
        "prepared": (_entropy_masked_prepared, ("messages",)),
    },
    _entropy_masked_change,
)
