"""`unrolled derive WHAT`: exact results, as text, LaTeX or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.problems import TimeList

if TYPE_CHECKING:
    from sympy import Expr, Symbol

    from theory.free_energy import FreeEnergy

#: A result: names and values in the order in which they are shown. Values are SymPy expressions, numbers, strings,
#: sequences or tables of these; None does not apply and is left out.
Fields = dict[str, Any]

#: Largest T for which expressions are written out entry by entry; they grow as n!, so this takes hours already.
LONGEST = 16
#: Largest T of learning-transition: where 3(T-1)²+1 is a square, κ_* is a fraction of some 5T digits.
LONGEST_FRACTION = 500
#: Of the numbers that have no closed form.
DIGITS = 30


@dataclass(frozen=True)
class Request:
    """What was asked for, parsed: T is an integer or the symbol T, kappa exact, or None where it was not given."""

    T: int | Symbol
    kappa: Expr | None
    arch: str
    order: int
    supervised: tuple[int, ...] | None

    @property
    def noise(self) -> Expr:
        """κ, 1 unless another was given, as in the other commands."""
        from sympy import Integer

        return Integer(1) if self.kappa is None else self.kappa


@click.command("derive")
@click.argument("what", metavar="WHAT", shell_complete=lambda ctx, param, typed: _starting(typed, RESULTS))
@click.option("--T", "T", default="4", show_default=True, help="Index of the last output, or 'symbolic'.")
@click.option(
    "--kappa", help="A rational number such as 1/2, or 'symbolic'. [default: 1; symbolic in expressions of F]"
)
@click.option("--arch", default="rnn", show_default=True, help="rnn or dnn.")
@click.option("--order", type=int, default=2, show_default=True, help="perturbation: the last power of Y.")
@click.option("--supervise", type=TimeList(), help="perturbation: supervised hidden times, such as 1,3. [default: all]")
@click.option("--format", "form", default="text", show_default=True, help="text, latex or json.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(
    what: str,
    T: str,
    kappa: str | None,
    arch: str,
    order: int,
    supervise: tuple[int, ...] | None,
    form: str,
    as_json: bool,
) -> int:
    """Derive an exact result of the linear theory with endpoint supervision.

    WHAT is one of

    \b
    free-energy          F(H) and its named terms; any T, or a matrix expression for --T symbolic
    stationarity         its derivative by each kernel entry, or as a matrix
    hessian              the Hessian-vector product of F as a matrix expression
    incoherent-branch    the diagonal kernel, any T, in the ratio r
    stability            the second variation around it, a sector for each lag; λ_c follows
    critical-point       λ_c, the order of the transition, exponent and amplitude; any T
    learning-transition  where the diagonal branch of either architecture folds; any T ≥ 3
    coexistence          fold and equal-free-energy point where the transition is discontinuous
    coherent-branch      the whole branch at T = 4 in one parameter; at T = 5 on an elliptic curve
    strong-signal        its leading terms for λ → ∞
    outlier-threshold    the λ at which an eigenvalue of W leaves the bulk, T = 4
    fluctuations         N × covariance of the kernel, and N × the shift of its mean
    perturbation         the kernel order by order in Y, with its time paths
    gaussian-averages    ⟨φ(x)φ(y)⟩ and ⟨φ'(x)φ'(y)⟩ for linear, erf and relu

    Kernel entries are H_ts, the signal is lamda. All but the first three and perturbation are in units u = v = w = 1.
    """
    if what not in RESULTS:
        raise click.UsageError(f"WHAT: is {what!r}; accepted: {', '.join(RESULTS)}")
    if form not in ("text", "latex", "json"):
        raise click.UsageError(f"--format: is {form!r}; accepted: text, latex or json")
    if arch not in ("rnn", "dnn"):
        raise click.UsageError(f"--arch: is {arch!r}; accepted: rnn or dnn")
    request = Request(_horizon(T), _noise(kappa), arch, order, supervise)
    try:
        with output.working(f"deriving {what}"):
            fields = RESULTS[what](request)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json or form == "json":
        output.print_json(fields)
    elif form == "latex":
        click.echo(as_latex(fields))
    else:
        click.echo(as_text(fields))
    return 0


def _starting(typed: str, words: Iterable[str]) -> list[str]:
    """The words that what was typed so far can become, for the shell."""
    return [word for word in words if word.startswith(typed)]


def _horizon(text: str) -> int | Symbol:
    if text == "symbolic":
        from theory import symbols

        return symbols.T
    try:
        return int(text)
    except ValueError:
        raise click.UsageError(f"--T: is {text!r}; accepted: an integer, or symbolic") from None


def _noise(text: str | None) -> Expr | None:
    if text is None:
        return None
    if text == "symbolic":
        from theory import symbols

        return symbols.kappa
    from fractions import Fraction

    from sympy import Rational

    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise click.UsageError(f"--kappa: is {text!r}; accepted: a rational number such as 1/2, or symbolic") from None
    if value < 0:
        raise click.UsageError(f"--kappa: is {text}; accepted: a rational number ≥ 0, or symbolic")
    return Rational(value.numerator, value.denominator)


def _fixed_horizon(request: Request, what: str) -> int:
    """T of a word whose expressions are written out entry by entry."""
    if not isinstance(request.T, int):
        raise click.UsageError(f"--T: is symbolic; accepted: an integer for {what}")
    if request.T > LONGEST:
        raise click.UsageError(f"--T: is {request.T}; accepted: an integer ≤ {LONGEST} for {what}")
    return request.T


# --- the results ------------------------------------------------------------------------------------------------------


def _endpoint_free_energy(T: int, request: Request) -> FreeEnergy:
    """F with symbolic parameters, κ replaced where one was given."""
    from theory import symbols
    from theory.free_energy import endpoint_free_energy

    F = endpoint_free_energy(T, request.arch)
    return F if request.kappa is None else F.subs({symbols.kappa: request.kappa})


def free_energy(request: Request) -> Fields:
    """F and its named terms; for symbolic T as matrix expressions, any supervision and inputs."""
    if not isinstance(request.T, int):
        from theory.matrix_calculus import kernel_functional, matrix_latex

        F = kernel_functional.free_energy(request.arch)
        return {"arch": request.arch, "free_energy": F, "latex": matrix_latex(F)}
    F = _endpoint_free_energy(_fixed_horizon(request, "free-energy"), request)
    return {
        "T": request.T,
        "arch": request.arch,
        "variables": F.variables,
        "terms": dict(F.terms),
        "free_energy": F.total,
    }


def stationarity(request: Request) -> Fields:
    """∂F/∂H for each independent entry; for symbolic T the matrix G with dF = tr(G dH)."""
    if not isinstance(request.T, int):
        from theory.matrix_calculus import kernel_functional, matrix_latex

        G = kernel_functional.free_energy_gradient(request.arch)
        return {"arch": request.arch, "gradient": G, "latex": matrix_latex(G)}
    F = _endpoint_free_energy(_fixed_horizon(request, "stationarity"), request)
    equations = {str(entry): condition for entry, condition in zip(F.variables, F.stationarity(), strict=True)}
    return {"T": request.T, "arch": request.arch, "equations": equations}


def critical_point(request: Request) -> Fields:
    """Where the RNN's incoherent branch loses stability, and the order of the transition there."""
    from theory.critical_point import critical_point as derive

    if request.arch == "dnn":
        raise ValueError(
            "--arch: is dnn, in which coherence never grows (it has the learning-transition); accepted: rnn"
        )
    point = derive(request.T, request.noise)
    return {
        "T": point.T,
        "kappa": point.kappa,
        "signal": point.signal,
        "signal_float": _float(point.signal),
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
    """Onset of the folds; beyond it both folds and the signal of equal free energy. The same for both architectures."""
    from sympy import Symbol

    from theory.learning_onset import onset
    from theory.learning_transition import learning_transition as derive

    if isinstance(request.T, int) and request.T > LONGEST_FRACTION:
        limit = f"an integer ≤ {LONGEST_FRACTION} for learning-transition"
        raise click.UsageError(f"--T: is {request.T}; accepted: {limit}")
    point = onset(request.T)
    fields: Fields = {"T": point.T, "kappa_onset": point.kappa, "kappa_onset_float": _float(point.kappa)}
    if isinstance(request.T, Symbol) or request.noise.free_symbols:
        return fields
    found = derive(request.T, request.noise)
    if found is None:
        return fields
    return fields | {
        "folds_float": [float(fold.signal) for fold in found.folds],
        "equal_free_energy_float": float(found.equal.signal),
    }


def coherent_branch(request: Request) -> Fields:
    """The whole coherent branch at T = 4 as a rational curve; at T = 5 an elliptic curve in two parameters."""
    from theory.coherent_branch import coherent_branch as derive

    if request.T == 5 and request.arch == "rnn":
        return _elliptic_branch(request)
    _only_four(request, "coherent-branch")
    branch = derive(request.noise)
    return {
        "T": 4,
        "kappa": branch.noise,
        "parameter": branch.parameter,
        "domain": branch.domain,
        "signal": branch.signal,
        "kernel": {f"{t}{s}": value for (t, s), value in branch.kernel.items()},
        "free_energy": branch.free_energy,
        "outlier": branch.outlier,
        "second_eigenvalue": branch.second_eigenvalue,
    }


def _elliptic_branch(request: Request) -> Fields:
    """The branch at T = 5 from its critical point: exact, but with no rational parametrisation."""
    from sympy import Symbol, sqrt

    from theory.coherent_curve import coherent_curve

    curve = coherent_curve()
    first = Symbol("p_1", positive=True)
    kernel = {_entry(t, s): value * (first if (t + s) % 2 else 1) for (t, s), value in sorted(curve.kernel().items())}
    return {
        "T": 5,
        "kappa": request.noise,
        "parameters": curve.parameters,
        "zero_on_the_branch": curve.relation,
        "p_1": sqrt(curve.square),
        "signal": curve.signal(request.noise),
        "kernel": kernel,
    }


def outlier_threshold(request: Request) -> Fields:
    """The signal at which an eigenvalue of W leaves the bulk, T = 4."""
    from theory.outliers import outlier_threshold as derive

    _only_four(request, "outlier-threshold")
    threshold = derive(request.noise)
    return {
        "T": 4,
        "kappa": request.noise,
        "signal": threshold.signal,
        "signal_float": threshold.signal_float,
        "parameter": threshold.parameter,
        "largest_kappa": threshold.largest_noise,
    }


def perturbation(request: Request) -> Fields:
    """The kernel order by order in Y, and the time paths behind each entry."""
    from theory import symbols
    from theory.perturbation import perturbation as derive

    expansion = derive(
        _fixed_horizon(request, "perturbation"), request.arch, request.order, supervised=request.supervised
    )
    put = {} if request.kappa is None else {symbols.kappa: request.kappa}
    orders = []
    for k, kernel in enumerate(expansion.kernel):
        paths = expansion.paths(k) if k else {}
        orders.append(
            {
                "order": k,
                "kernel": {_entry(*times): value.subs(put) for times, value in sorted(kernel.items())},
                "paths": {
                    _entry(*times): {str(path): path.weight.subs(put) for path in found}
                    for times, found in sorted(paths.items())
                },
            }
        )
    return {
        "T": expansion.T,
        "arch": expansion.arch,
        "supervised": expansion.supervised,
        "propagators": {str(symbol): value.subs(put) for symbol, value in expansion.propagators.items()},
        "orders": orders,
    }


def hessian(request: Request) -> Fields:
    """The Hessian–vector product of F as a matrix expression, for any n, P and supervision."""
    from theory.matrix_calculus import kernel_functional, matrix_latex

    product = kernel_functional.free_energy_hessian_vector_product(request.arch)
    return {"arch": request.arch, "hessian_vector_product": product, "latex": matrix_latex(product)}


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


def coexistence(request: Request) -> Fields:
    """The discontinuous transition's special points, to 30 digits."""
    from mpmath import nstr

    from theory.coexistence import coexistence as derive

    if request.noise.free_symbols:
        raise ValueError("--kappa: is symbolic; accepted: a rational number for coexistence")
    found = derive(_fixed_horizon(request, "coexistence"), request.noise, DIGITS)
    points = {"fold": found.fold, "equal_free_energy": found.equal}
    fields: Fields = {"T": found.T, "kappa": request.noise}
    for name, point in points.items():
        fields[name] = {
            "signal": nstr(point.signal, DIGITS),
            "order_parameter": nstr(point.order_parameter, DIGITS),
            "free_energy": nstr(point.free_energy, DIGITS),
        }
    return fields | {"critical_signal": nstr(found.critical_signal, DIGITS)}


def strong_signal(request: Request) -> Fields:
    """Leading terms of the coherent branch for λ → ∞."""
    from theory.coherent_branch import strong_signal as derive

    _only_four(request, "strong-signal")
    leading = derive()
    return {
        "T": 4,
        "parameter": leading.parameter,
        "kernel": {_entry(*times): value for times, value in leading.kernel.items()},
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
        names = [_entry(a, b) for a in (1, 2, 3) for b in range(a, 4)]
        covariance = coherent_covariance(branch)
        fields["coherent_covariance"] = {
            f"{names[i]},{names[j]}": covariance[i, j] for i in range(6) for j in range(i, 6)
        }
        fields["coherent_mean_shift"] = {_entry(*times): value for times, value in coherent_mean_shift(branch).items()}
    return fields


def gaussian_averages(request: Request) -> Fields:
    """Averages over a centred Gaussian pair with variances a, b and covariance c."""
    from theory.gaussian_averages import ACTIVATIONS, average, slope_average

    return {name: {"average": average(name), "slope_average": slope_average(name)} for name in ACTIVATIONS}


RESULTS: dict[str, Callable[[Request], Fields]] = {
    "free-energy": free_energy,
    "stationarity": stationarity,
    "hessian": hessian,
    "incoherent-branch": incoherent_branch,
    "stability": stability,
    "critical-point": critical_point,
    "learning-transition": learning_transition,
    "coexistence": coexistence,
    "coherent-branch": coherent_branch,
    "strong-signal": strong_signal,
    "outlier-threshold": outlier_threshold,
    "fluctuations": fluctuations,
    "perturbation": perturbation,
    "gaussian-averages": gaussian_averages,
}


def _only_four(request: Request, what: str) -> None:
    if request.T != 4:
        raise click.UsageError(f"--T: is {request.T}; accepted: 4 for {what}")
    if request.arch == "dnn":
        raise click.UsageError("--arch: is dnn, which has no coherent branch; accepted: rnn")


def _float(expression: Expr) -> float | None:
    return None if expression.free_symbols else float(expression.evalf(20))


def _entry(t: int, s: int) -> str:
    return f"{t}{s}" if max(t, s) < 10 else f"{t},{s}"


# --- how they are shown -----------------------------------------------------------------------------------------------


def as_text(fields: Fields) -> str:
    """One name a line; tables and sequences of tables indented below theirs."""
    from derivations.expressions import Text

    return _as_text(fields, "", Text().doprint)


def _as_text(fields: Fields, indent: str, written: Callable[[Any], str]) -> str:
    lines = []
    for name, value in fields.items():
        if value is None or name == "latex":
            continue
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", _as_text(value, indent + "  ", written)] if value else []
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{indent}{name}:", *(_as_text(item, indent + "  ", written) + "\n" for item in value)]
        elif isinstance(value, list | tuple):
            lines.append(f"{indent}{name} = {', '.join(map(written, value))}")
        else:
            lines.append(f"{indent}{name} = {written(value)}")
    return "\n".join(lines)


def as_latex(fields: Fields) -> str:
    """A displayed equation for each expression; compiles with amsmath and amssymb."""
    from derivations.expressions import Latex

    return "\n".join(_equations("", fields, Latex().doprint))


def _equations(prefix: str, fields: Fields, latex: Callable[[Any], str]) -> list[str]:
    from sympy import Basic

    if "latex" in fields:  # a matrix expression with node types of our own, printed by theory
        names = {"free_energy": "F", "gradient": "G", "hessian_vector_product": "\\mathrm{d}G"}
        (name,) = (symbol for key, symbol in names.items() if key in fields)
        return [rf"\[ {name} = {fields['latex']} \]"]
    lines = []
    for name, value in fields.items():
        words = (prefix + name).replace("_", " ").replace("←", r"$\leftarrow$").replace("·", r"$\cdot$")
        label = rf"\text{{{words}}}"
        if isinstance(value, dict):
            lines += _equations(f"{prefix}{name} ", value, latex)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, item in enumerate(value):
                lines += _equations(f"{prefix}{name} {index} ", item, latex)
        elif isinstance(value, Basic):
            lines.append(rf"\[ {label} = {latex(value)} \]")
        elif isinstance(value, list | tuple) and all(isinstance(item, Basic) for item in value):
            items = r",\ ".join(latex(item) for item in value)
            lines.append(rf"\[ {label} = \left({items}\right) \]")
        elif isinstance(value, list | tuple) and all(isinstance(item, int | float) for item in value):
            items = r",\ ".join(map(str, value))
            lines.append(rf"\[ {label} = \left({items}\right) \]")
        elif isinstance(value, int | float | str):
            lines.append(rf"\[ {label} = \text{{{value}}} \]")
    return lines
