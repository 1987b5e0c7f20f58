"""Branches of endpoint supervision (docs/theory.md section 5): kernels, stability, fluctuations."""

from __future__ import annotations

from dataclasses import replace

from derivations.exact.request import Fields, Request, bounded_horizon, entry, only_four, requested_sharing
from numerics.errors import InputError


def incoherent_branch(request: Request) -> Fields:
    """The diagonal kernel in the ratio r, symbolic T unless one was given."""
    from theory import symbols
    from theory.incoherent import incoherent_branch as derive

    branch = derive(request.T)
    units = {symbols.u: 1, symbols.v: 1, symbols.w: 1, symbols.kappa: request.noise}
    return {
        "T": branch.T,
        "kappa": request.noise,
        "parameter": symbols.r,
        "kernel_diagonal": branch.kernel_entry(symbols.t).subs(units),
        "signal": branch.signal.subs(units),
        "free_energy": branch.free_energy.subs(units),
    }


def stability(request: Request) -> Fields:
    """The tridiagonal second variation at lag 0 and at any lag l ≥ 1, with determinants for symbolic length."""
    from theory import symbols
    from theory.stability import asymptotics, critical_mode, instability_ratio, lag_sector

    bounded_horizon(request, "stability")
    sectors = {}
    for lag in (0, symbols.lag):
        sector = lag_sector(request.T, lag, request.arch, request.noise)
        sector.assert_determinant()
        sectors["lag 0" if lag == 0 else "lag l"] = {
            "size": sector.size,
            "diagonal": sector.diagonal,
            "last_diagonal": sector.last,
            "off_diagonal": sector.off_diagonal,
            "determinant": sector.determinant(),
        }
    fields: Fields = {"T": request.T, "arch": request.arch, "kappa": request.noise, "sectors": sectors}
    if request.arch == "rnn" and request.T != 3:
        fields["unstable_beyond_r"] = instability_ratio(request.T, symbols.lag)
        fields["critical_mode"] = critical_mode(request.T)
        fields["critical_signal_at_large_T"] = asymptotics(request.noise).signal
    return fields


def coherent_branch(request: Request) -> Fields:
    """The whole coherent branch at T = 4, for any correlation of its two matrices; at T = 5 an elliptic curve."""
    from sympy import Integer

    from theory.coherent_branch import coherent_branch as derive

    arch = requested_sharing(request)
    if request.skip != 0:
        return _states_with_skip(request)
    if str(arch) == "rnn" and request.T == 5:
        return _elliptic_branch(request)
    tied = str(arch) in ("rnn", "dnn")
    if tied:
        only_four(replace(request, arch=str(arch)), "coherent-branch")
    elif request.T != 4:
        raise InputError(f"--T: is {request.T}; accepted: 4 for the coherent-branch of {arch}")
    if arch.correlation(1) == 0:
        raise InputError(f"--arch: is {arch}, which has no coherent branch at T = 4; accepted: two correlated matrices")
    branch = derive(request.noise, arch.correlation(1))
    return {
        "T": 4,
        "kappa": branch.noise,
        **({} if tied else {"arch": str(arch)}),
        "parameter": branch.parameter,
        "domain": branch.domain if tied else f"{branch.parameter} > {branch.start}",
        "signal": branch.signal,
        "kernel": {f"{t}{s}": value for (t, s), value in branch.kernel.items()},
        "free_energy": branch.free_energy,
        "outlier": branch.outlier,
        # the other root of z² - c₂z - c₁: (H⁻¹)^{13} vanishes, and c₁ with it
        **({"second_eigenvalue": Integer(0)} if tied else {"fold_at_kappa": branch.fold_noise}),
    }


def _states_with_skip(request: Request) -> Fields:
    """Every state of a network with a skip connection: in g for independent matrices, in g and χ for one at T = 4."""
    from sympy import sympify

    from theory import symbols
    from theory.skip_tied import chi_at, tied_states
    from theory.skip_untied import skip_branch

    arch, skip = str(requested_sharing(request)), sympify(request.skip)
    fields: Fields = {"T": request.T, "kappa": request.noise, "arch": arch, "skip": skip}
    if arch == "dnn":
        branch = skip_branch(request.T, request.noise, skip)
        times = [(t, s) for t in range(1, request.T) for s in range(t, request.T)] if isinstance(request.T, int) else []
        return fields | {
            "parameter": symbols.g,
            "domain": "g >= 1",
            "signal": branch.signal,
            "kernel": {entry(t, s): branch.kernel_entry(t, s) for t, s in times} or None,
            "last_variance": branch.last_variance,
            "free_energy": branch.free_energy,
            "fold_at_kappa": branch.fold_noise,
        }
    if arch != "rnn" or request.T != 4:
        raise InputError(f"--skip: is {skip} for {arch} at T = {request.T}; accepted: rnn at T = 4, or dnn")
    states = tied_states(request.noise)
    odd = {times: value * (skip if sum(times) % 2 else 1) for times, value in states.kernel.items()}
    return fields | {
        "parameters": (symbols.g, symbols.chi),
        "domain": "g >= 1 (aligned with the skip) or g < -1 (opposed), chi > g**2 - g",
        "skip_squared": states.skip_squared,
        "chi": chi_at(skip),
        "signal": states.signal,
        "kernel": {entry(*times): value for times, value in odd.items()},
        "free_energy": states.free_energy,
    }


def _elliptic_branch(request: Request) -> Fields:
    """The branch at T = 5 from its critical point: exact, but with no rational parametrisation."""
    from sympy import Symbol, sqrt

    from theory.coherent_curve import coherent_curve

    curve = coherent_curve()
    first = Symbol("p_1", positive=True)
    kernel = {entry(t, s): value * (first if (t + s) % 2 else 1) for (t, s), value in sorted(curve.kernel().items())}
    return {
        "T": 5,
        "kappa": request.noise,
        "parameters": curve.parameters,
        "zero_on_the_branch": curve.relation,
        "p_1": sqrt(curve.square),
        "signal": curve.signal(request.noise),
        "kernel": kernel,
    }


def strong_signal(request: Request) -> Fields:
    """Leading terms of the coherent branch for λ → ∞."""
    from theory.coherent_branch import strong_signal as derive

    only_four(request, "strong-signal")
    leading = derive()
    return {
        "T": 4,
        "parameter": leading.parameter,
        "kernel": {entry(*times): value for times, value in leading.kernel.items()},
        "outlier": leading.outlier,
        "free_energy": leading.free_energy,
    }


def fluctuations(request: Request) -> Fields:
    """Covariance and mean shift of the kernel, times N: incoherent branch for any T, coherent branch at T = 4."""
    from theory import symbols
    from theory.coherent_branch import coherent_branch as branch_at
    from theory.fluctuations import coherent_covariance, coherent_mean_shift, incoherent_covariance

    units = {symbols.u: 1, symbols.v: 1, symbols.w: 1, symbols.kappa: request.noise}
    t, s = symbols.t, symbols.s
    fields: Fields = {"T": request.T, "arch": request.arch, "kappa": request.noise}
    # of H^{t,t+l} and H^{s,s+l}, t ≤ s; entries of different lag are uncorrelated
    fields["incoherent_covariance"] = {
        name: incoherent_covariance(t, s, lag, request.T, request.arch).subs(units)
        for name, lag in (("lag 0", 0), ("lag l", symbols.lag))
    }
    if request.T == 4 and request.arch == "rnn":
        branch = branch_at(request.noise)
        names = [entry(a, b) for a in (1, 2, 3) for b in range(a, 4)]
        covariance = coherent_covariance(branch)
        fields["coherent_covariance"] = {
            f"{names[i]},{names[j]}": covariance[i, j] for i in range(6) for j in range(i, 6)
        }
        fields["coherent_mean_shift"] = {entry(*times): value for times, value in coherent_mean_shift(branch).items()}
    return fields
