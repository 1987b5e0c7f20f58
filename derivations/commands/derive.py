"""`unrolled derive WHAT`: exact results, as text, LaTeX or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from derivations import output
from derivations.commands.problems import NUMBERS, TIMES, make_problem
from derivations.exact import branches, functional, transitions
from derivations.exact.request import Fields, Request, one_entry

if TYPE_CHECKING:
    from sympy import Expr, Symbol

    from numerics.inputs.problem import Problem

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

#: Results that exist for any problem, skip connections, biases and several outputs.
ANY_PROBLEM = ("free-energy", "stationarity", "hessian")
#: Results that exist for shared:ρ, drift:ρ and looped:p too, ρ a rational number or rho.
ANY_SHARING = (
    *ANY_PROBLEM,
    "critical-point",
    "learning-transition",
    "coherent-branch",
    "outlier-threshold",
    "perturbation",
)


@click.command("derive")
@click.argument("what", metavar="WHAT", shell_complete=lambda ctx, param, typed: _starting(typed, RESULTS))
@click.argument("problem", metavar="[PROBLEM]", required=False)
@click.option("--T", "T", help="Index of the last output, or 'symbolic'. [default: 4]")
@click.option(
    "--kappa", help="A rational number such as 1/2, or 'symbolic'. [default: 1; symbolic in expressions of F]"
)
@click.option("--arch", help="rnn, dnn; where the result exists shared:ρ, drift:ρ, looped:p. [rnn, or the file's]")
@click.option(
    "--skip", help="PROBLEM, matrix expressions, coherent-branch: a, a rational number, or 'symbolic'. [default: 0]"
)
@click.option("--bias", help="PROBLEM, matrix expressions: β, a rational number, or 'symbolic'. [default: 0]")
@click.option("--outputs", type=int, default=1, show_default=True, help="Matrix expressions: how many outputs.")
@click.option("--signal", type=float, help="endpoint: λ; a symbol if not given.")
@click.option("--angle", type=NUMBERS, help="sequence: the teacher's, for labels in numbers.")
@click.option("--amplitude", type=NUMBERS, help="sequence: likewise.")
@click.option("--patterns", type=int, help="sequence: random patterns instead of the two orthonormal ones.")
@click.option("--pattern-seed", type=int, help="sequence: seed of the random patterns. [0]")
@click.option("--order", type=int, default=2, show_default=True, help="perturbation: the last power of Y.")
@click.option("--entry", type=TIMES, help="perturbation: one kernel entry H^{t,t'}, such as 2,3.")
@click.option("--supervise", type=TIMES, help="sequence, perturbation: supervised hidden times, such as 1,3.")
@click.option("--only", help="One quantity of the answer, by the name that --format text has, such as signal.")
@click.option("--columns", type=int, default=1, show_default=True, help="latex: columns of the paper, 1 or 2.")
@click.option("--format", "form", default="text", show_default=True, help="text, latex or json.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(
    what: str,
    problem: str | None,
    T: str | None,
    kappa: str | None,
    arch: str | None,
    skip: str | None,
    bias: str | None,
    outputs: int,
    signal: float | None,
    angle: tuple[float, ...] | None,
    amplitude: tuple[float, ...] | None,
    patterns: int | None,
    pattern_seed: int | None,
    order: int,
    entry: tuple[int, ...] | None,
    supervise: tuple[int, ...] | None,
    only: str | None,
    columns: int,
    form: str,
    as_json: bool,
) -> int:
    """Derive an exact result of the linear theory: of endpoint supervision, the first three of any PROBLEM.

    PROBLEM is endpoint, sequence or FILE.npz, as for solve. WHAT is one of

    \b
    free-energy          F(H) and its named terms; of a PROBLEM, any T, or a matrix expression for --T symbolic
    stationarity         its derivative by each kernel entry, or as a matrix
    hessian              its second derivatives for a PROBLEM, else the Hessian-vector product as a matrix expression
    incoherent-branch    the diagonal kernel, any T, in the ratio r
    stability            the second variation around it, a sector for each lag; λ_c follows
    critical-point       λ_c, the order of the transition, exponent and amplitude; any T, any --arch
    learning-transition  where the diagonal branch folds, the same for any --arch; any T ≥ 3
    coexistence          fold and equal-free-energy point where the transition is discontinuous
    coherent-branch      the whole branch at T = 4 in one parameter, also for shared:ρ; at T = 5 on an elliptic curve;
                         with --skip all states, T = 4 for rnn and any T for dnn
    strong-signal        its leading terms for λ → ∞
    outlier-threshold    the λ at which eigenvalues and singular values of W leave their bulks, and which is first
    fluctuations         N × covariance of the kernel, and N × the shift of its mean
    perturbation         the kernel order by order in Y, with its time paths; for any --arch, with the share of the
                         RNN's weight that it leaves to each path
    gaussian-averages    ⟨φ(x)φ(y)⟩ and ⟨φ'(x)φ'(y)⟩ for linear, erf and relu

    Kernel entries are H_ts, the signal is lamda; --format latex has H^{ts}, and align* environments for a paper (with
    amsmath). All but the first three and perturbation are in units u = v = w = 1.
    """
    if what not in RESULTS:
        raise click.UsageError(f"WHAT: is {what!r}; accepted: {', '.join(RESULTS)}")
    if form not in ("text", "latex", "json"):
        raise click.UsageError(f"--format: is {form!r}; accepted: text, latex or json")
    if columns not in (1, 2):
        raise click.UsageError(f"--columns: is {columns}; accepted: 1 or 2")
    beside = {"PROBLEM": problem, "--skip": skip, "--bias": bias, "--outputs": outputs if outputs != 1 else None}
    extra = [name for name, value in beside.items() if value is not None]
    if extra and what not in ANY_PROBLEM and (what, extra) != ("coherent-branch", ["--skip"]):
        raise click.UsageError(f"{extra[0]}: does not apply to {what}; accepted: {', '.join(ANY_PROBLEM)}")
    if outputs < 1:
        raise click.UsageError(f"--outputs: is {outputs}; accepted: an integer ≥ 1")
    own = {"angle": angle, "amplitude": amplitude, "patterns": patterns, "pattern_seed": pattern_seed}
    found = None if problem is None else _problem(problem, T, own | {"supervise": supervise}, signal)
    if signal is not None and not (signal >= 0 and what in ANY_PROBLEM):
        raise click.UsageError(f"--signal: is {signal:g} for {what}; accepted: λ ≥ 0 of {', '.join(ANY_PROBLEM)}")
    word = arch or (found.arch if found is not None else "rnn")
    if word not in ("rnn", "dnn") and what not in ANY_SHARING:
        raise click.UsageError(f"--arch: is {word!r}; accepted: rnn or dnn for {what}")
    if outputs != 1 and (found is not None or (T != "symbolic" and what != "hessian")):
        raise click.UsageError(f"--outputs: is {outputs} beside a problem or a T; accepted: with --T symbolic")
    if what == "hessian" and found is None and T not in (None, "symbolic"):
        raise click.UsageError(f"--T: is {T} for hessian; accepted: symbolic, or a PROBLEM: hessian endpoint --T {T}")
    if entry is not None and what != "perturbation":
        raise click.UsageError(f"--entry: does not apply to {what}; accepted: with perturbation")
    request = Request(
        _horizon(T or "4") if found is None else found.n + 1,
        _number(kappa, "kappa"),
        word,
        order,
        supervise,
        problem=None if problem == "endpoint" else found,
        written_out=problem is not None,
        signal=signal,
        skip=_number(skip, "skip") or 0,
        bias=_number(bias, "bias") or 0,
        outputs=outputs,
        labels_given=problem != "sequence" or angle is not None,
    )
    try:
        with output.working(f"deriving {what}"):
            fields = RESULTS[what](request)
        if entry is not None:
            fields = one_entry(fields, entry)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    from derivations.formulas import as_latex, told

    shown = fields if as_json or form == "json" else told(fields)
    if only is not None:
        shown = _alone(shown, only)
    if as_json or form == "json":
        output.print_json(shown)
    elif form == "latex":
        formulas = as_latex(what, fields, only=only, columns=columns)
        if not formulas:
            raise click.UsageError(f"--only: is {only!r}, which is no formula; accepted: --format text or json for it")
        click.echo(formulas)
    else:
        from derivations.expressions import as_text, with_derivatives, with_legend
        from derivations.quantities import phrase

        click.echo(with_legend(as_text(with_derivatives(shown), partial(phrase, what))))
    return 0


def _alone(fields: Mapping[str, Any], only: str) -> Fields:
    """One quantity of an answer, with its decimals."""
    if only not in fields:
        raise click.UsageError(f"--only: is {only!r}; accepted: {', '.join(fields)}")
    return {name: fields[name] for name in (only, f"{only}_float") if name in fields}


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


def _problem(kind: str, T: str | None, own: dict[str, Any], signal: float | None) -> Problem:
    """PROBLEM, whose labels need not be given."""
    if kind == "sequence" and own["angle"] is None and own["amplitude"] is None:
        own |= {"angle": (1.0,), "amplitude": (1.0,)}
    horizon = _horizon(T) if T is not None else 4 if kind == "endpoint" else None
    if horizon is not None and not isinstance(horizon, int):
        raise click.UsageError(f"--T: is {T} for the problem {kind}; accepted: an integer")
    given = own | {"T": horizon, "signal": 1.0 if kind == "endpoint" and signal is None else signal}
    return make_problem(kind, given | {"radius": None, "test_patterns": None}, {})


def _number(text: str | None, name: str) -> Expr | None:
    if text is None:
        return None
    if text == "symbolic":
        from theory import symbols

        return {"kappa": symbols.kappa, "skip": symbols.skip, "bias": symbols.beta}[name]
    from fractions import Fraction

    from sympy import Rational

    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise click.UsageError(f"--{name}: is {text!r}; accepted: a rational number such as 1/2, or symbolic") from None
    if value < 0:
        raise click.UsageError(f"--{name}: is {text}; accepted: a rational number ≥ 0, or symbolic")
    return Rational(value.numerator, value.denominator)
