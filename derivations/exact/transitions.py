"""Where states of endpoint supervision change (docs/theory.md sections 5, 8 and 14)."""

from __future__ import annotations

from derivations.exact.request import Fields, Request, as_float, fixed_horizon, only_four, sharing_of
from numerics.errors import InputError

#: Largest T of learning-transition: where 3(T-1)²+1 is a square, κ_* is a fraction of some 5T digits.
LONGEST_FRACTION = 500
#: Of the numbers that have no closed form.
DIGITS = 30


def critical_point(request: Request) -> Fields:
    """Where the incoherent branch loses stability, and the order of the transition there; any architecture."""
    from theory.sharing_transition import NeverCoherent, critical_point_of

    try:
        point = critical_point_of(sharing_of(request), request.T, request.noise)
    except NeverCoherent as error:
        raise InputError(f"--{error}") from None
    return {
        "T": point.T,
        "kappa": point.kappa,
        "arch": point.arch,
        "signal": point.signal,
        "signal_float": as_float(point.signal),
        "ratio": point.ratio,
        "vanish": point.conditions or None,
        "lag": point.lag,
        "kernel_diagonal": point.kernel_diagonal,
        "order": point.order,
        "exponent": point.exponent,
        "amplitude_squared": point.amplitude_squared,
        "next_coefficient": point.next_coefficient,
        "amplitude_fourth": point.amplitude_fourth,
        "tricritical_kappa": point.tricritical_kappa,
        "continuous_where_positive": None if point.order else point.continuity,
    }


def learning_transition(request: Request) -> Fields:
    """Onset of the folds; beyond it both folds and the signal of equal free energy. The same for any architecture."""
    from sympy import Symbol

    from theory.learning_onset import onset
    from theory.learning_transition import learning_transition as derive

    sharing_of(request)
    if isinstance(request.T, int) and request.T > LONGEST_FRACTION:
        limit = f"an integer ≤ {LONGEST_FRACTION} for learning-transition"
        raise InputError(f"--T: is {request.T}; accepted: {limit}")
    point = onset(request.T)
    fields: Fields = {"T": point.T, "kappa_onset": point.kappa, "kappa_onset_float": as_float(point.kappa)}
    if isinstance(request.T, Symbol) or request.noise.free_symbols:
        return fields
    found = derive(request.T, request.noise)
    if found is None:
        return fields
    return fields | {
        "folds_float": [float(fold.signal) for fold in found.folds],
        "equal_free_energy_float": float(found.equal.signal),
    }


def coexistence(request: Request) -> Fields:
    """The discontinuous transition's special points, to 30 digits."""
    from mpmath import nstr

    from theory.coexistence import coexistence as derive

    if request.noise.free_symbols:
        raise ValueError("--kappa: is symbolic; accepted: a rational number for coexistence")
    found = derive(fixed_horizon(request, "coexistence"), request.noise, DIGITS)
    points = {"fold": found.fold, "equal_free_energy": found.equal}
    fields: Fields = {"T": found.T, "kappa": request.noise}
    for name, point in points.items():
        fields[name] = {
            "signal": nstr(point.signal, DIGITS),
            "order_parameter": nstr(point.order_parameter, DIGITS),
            "free_energy": nstr(point.free_energy, DIGITS),
        }
    return fields | {"critical_signal": nstr(found.critical_signal, DIGITS)}


def outlier_threshold(request: Request) -> Fields:
    """The signal at which an eigenvalue of W leaves the bulk, T = 4."""
    from theory.outliers import outlier_threshold as derive

    only_four(request, "outlier-threshold")
    threshold = derive(request.noise)
    return {
        "T": 4,
        "kappa": request.noise,
        "signal": threshold.signal,
        "signal_float": threshold.signal_float,
        "parameter": threshold.parameter,
        "largest_kappa": threshold.largest_noise,
    }
