"""`unrolled derive WHAT`: exact results, as text, LaTeX or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from derivations import output
from derivations.commands.problems import TimeList
from derivations.exact import branches, functional, transitions
from derivations.exact.request import Fields, Request

if TYPE_CHECKING:
    from sympy import Expr, Symbol

RESULTS: dict[str, Callable[[Request], Fields]] = {
    "free-energy": functional.free_energy,
    "stationarity": functional.stationarity,
    "hessian": functional.hessian,
    "incoherent-branch": branches.incoherent_branch,
    "stability": branches.stability,
    "critical-point": transitions.critical_point,
    "learning-transition": transitions.learning_transition,
    "coexistence": transitions.coexistence,
    "coherent-branch": branches.coherent_branch,
    "strong-signal": branches.strong_signal,
    "outlier-threshold": transitions.outlier_threshold,
    "fluctuations": branches.fluctuations,
    "perturbation": functional.perturbation,
    "gaussian-averages": functional.gaussian_averages,
}

#: Results that exist for shared:ρ, drift:ρ and looped:p too, ρ a rational number or rho.
ANY_SHARING = ("critical-point", "learning-transition", "coherent-branch")


@click.command("derive")
@click.argument("what", metavar="WHAT", shell_complete=lambda ctx, param, typed: _starting(typed, RESULTS))
@click.option("--T", "T", default="4", show_default=True, help="Index of the last output, or 'symbolic'.")
@click.option(
    "--kappa", help="A rational number such as 1/2, or 'symbolic'. [default: 1; symbolic in expressions of F]"
)
@click.option(
    "--arch", default="rnn", show_default=True, help="rnn or dnn; for two results also shared:ρ, drift:ρ, looped:p."
)
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
    critical-point       λ_c, the order of the transition, exponent and amplitude; any T, any --arch
    learning-transition  where the diagonal branch folds, the same for any --arch; any T ≥ 3
    coexistence          fold and equal-free-energy point where the transition is discontinuous
    coherent-branch      the whole branch at T = 4 in one parameter, also for shared:ρ; at T = 5 on an elliptic curve
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
    if arch not in ("rnn", "dnn") and what not in ANY_SHARING:
        raise click.UsageError(f"--arch: is {arch!r}; accepted: rnn or dnn for {what}")
    request = Request(_horizon(T), _noise(kappa), arch, order, supervise)
    try:
        with output.working(f"deriving {what}"):
            fields = RESULTS[what](request)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json or form == "json":
        output.print_json(fields)
    else:
        from derivations.expressions import as_latex, as_text

        click.echo(as_latex(fields) if form == "latex" else as_text(fields))
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
