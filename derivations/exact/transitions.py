"""Where states of endpoint supervision change (docs/theory.md sections 5, 8 and 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivations.exact.request import Fields, Request, as_float, bounded_horizon, fixed_horizon, requested_sharing
from numerics.errors import InputError

if TYPE_CHECKING:
    from sympy import Expr

    from theory.sharing import SharingFamily

#: Largest T of learning-transition: where 3(T-1)²+1 is a square, κ_* is a fraction of some 5T digits.
LONGEST_FRACTION = 500
#: Of the numbers that have no closed form.
DIGITS = 30


def critical_point(request: Request) -> Fields:
    """Where the incoherent branch loses stability, and the order of the transition there; any architecture."""
    from theory.sharing_transition import NeverCoherent, critical_point_of

    bounded_horizon(request, "critical-point")
    try:
        point = critical_point_of(requested_sharing(request), request.T, request.noise)
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

    requested_sharing(request)
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
    """The signals at which an eigenvalue and a singular value of W leave their bulks, and where coherence begins.

    The eigenvalue of either W at T = 4, of the RNN's W to T = 10; the singular value wherever the state is incoherent,
    and on the RNN's coherent branch.
    """
    from theory.outlier_signals import LONGEST_FOLLOWED, SMALLEST_T
    from theory.singular_values import COHERENCE, first_transition

    arch, T = requested_sharing(request), fixed_horizon(request, "outlier-threshold")
    if arch.parameter.free_symbols and T != 4:
        raise InputError(f"--arch: is {arch}; accepted: a rational ρ at T = {T}")
    fields: Fields = {"T": T, "kappa": request.noise, "arch": str(arch)}
    if T == 4:
        fields |= _eigenvalue_at_four(arch, request.noise)
    order = None if arch.parameter.free_symbols else first_transition(arch, T, request.noise)
    singular = None if order is None else order.singular_signal
    if order is not None and order.first == COHERENCE and str(arch) == "rnn" and SMALLEST_T <= T <= LONGEST_FOLLOWED:
        fields |= _on_the_coherent_branch(T, request.noise)
    elif order is None:  # 1+ρ ≤ 2: the incoherent state has it
        singular = (8 + request.noise) ** 2 / 8
    if singular is not None:
        fields |= {"singular_signal": singular, "singular_signal_float": as_float(singular)}
    if order is None or order.eigenvalue is not None:
        from theory.sharing_transition import critical_point_of

        critical = critical_point_of(arch, T, request.noise).signal
        fields |= {"critical_signal": critical, "critical_signal_float": as_float(critical)}
    return fields | {"first": None if order is None else order.first}


def _eigenvalue_at_four(arch: SharingFamily, noise: Expr) -> Fields:
    """Where the one eigenvalue leaves the bulk on the coherent branch; nothing where there is no such branch."""
    from theory.coherent_branch import coherent_branch
    from theory.outliers import outlier_start
    from theory.outliers import outlier_threshold as derive

    if str(arch) == "rnn":
        threshold = derive(noise)
        signal, parameter, largest = threshold.signal, threshold.parameter, threshold.largest_noise
    elif arch.correlation(1) == 0:
        return {}
    else:
        rho = arch.correlation(1)
        branch, parameter = coherent_branch(noise, rho), outlier_start(rho)
        signal, largest = (x.subs(branch.parameter, parameter) for x in (branch.signal, branch.fold_noise))
    return {"signal": signal, "signal_float": as_float(signal), "parameter": parameter, "largest_kappa": largest}


def _on_the_coherent_branch(T: int, noise: Expr) -> Fields:
    """Numbers of the RNN's coherent branch, ``λ = μ (H^{nn}+κ)²``."""
    from theory.outlier_signals import outlier_signals

    fields: Fields = {}
    for prefix, found in zip(("", "singular_"), outlier_signals(T, DIGITS), strict=True):
        signal = found.signal(noise)
        fields |= {
            f"{prefix}signal": signal,
            f"{prefix}signal_float": as_float(signal),
            f"{prefix}largest_kappa_float": float(found.largest_noise),
        }
    return fields
