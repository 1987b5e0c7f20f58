"""PROBLEM and its options, the same words for solve, simulate and check.

A command's ``--json`` holds its problem and settings (`output.RUN`). Given back as ``FILE.json``, they are the defaults
of all options that the command has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from derivations import output

if TYPE_CHECKING:
    from numerics.inputs.problem import Problem

    ParameterType = click.ParamType[Any]  # generic since click 8.5, and for the type checker only
else:
    ParameterType = click.ParamType

ACTIVATIONS = ("linear", "erf", "tanh", "relu")
#: Options that say where a result goes, not what it is.
_ABOUT_OUTPUT = ("as_json", "out", "checkpoint", "directory", "workers")

#: Options that belong to one kind of problem only, with those that it needs.
_OWN_OPTIONS = {
    "endpoint": ("T", "signal"),
    "sequence": ("T", "angle", "amplitude", "supervise"),
}
#: Options that it may have.
_KINDS = "endpoint, sequence, a FILE.npz, or a FILE.json that a command printed"
_OPTIONAL = {"sequence": ("radius", "patterns", "test_patterns", "pattern_seed")}


class NumberList(ParameterType):
    """Numbers, comma-separated."""

    def __init__(self, name: str, kind: type, accepted: str) -> None:
        self.name, self._kind, self._accepted = name, kind, accepted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """``"1,3,6"`` → (1, 3, 6)."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"is {value!r}; accepted: {self._accepted}", param, ctx)


TIMES = NumberList("times", int, "hidden times, comma-separated, such as 1,3,6")
NUMBERS = NumberList("numbers", float, "a number, or several, comma-separated, one for each plane")


def problem_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add PROBLEM and its options to a command; it receives the validated `Problem` as `problem`."""

    @click.argument("problem", metavar="PROBLEM", required=False, is_eager=True, callback=_take_record)
    @click.option(
        "--problem", "problem_file", is_eager=True, callback=_take_record, help="PROBLEM and settings of a FILE.json."
    )
    @click.option("--T", "T", type=int, help="Index of the last output; n = T - 1 hidden times.")
    @click.option("--signal", type=float, help="endpoint: λ = y²/(v w^(T-2) u).")
    @click.option(
        "--angle", type=NUMBERS, help="sequence: angle of the teacher's rotation, in radians; one for each plane."
    )
    @click.option("--amplitude", type=NUMBERS, help="sequence: V* = (amplitude, 0), or one for each plane.")
    @click.option("--supervise", type=TIMES, help="sequence: supervised hidden times, such as 1,3,6.")
    @click.option("--radius", type=NUMBERS, help="sequence: eigenvalues are radius·exp(±i·angle). [1]")
    @click.option("--patterns", type=int, help="sequence: random patterns instead of the orthonormal ones.")
    @click.option("--test-patterns", type=int, help="sequence: further random patterns, not trained on.")
    @click.option("--pattern-seed", type=int, help="sequence: seed of the random patterns. [0]")
    @click.option("--arch", help="rnn, dnn, shared:ρ, drift:ρ or looped:p. [rnn, or the file's sharing matrix]")
    @click.option("--skip", type=float, default=0.0, show_default=True, help="Weight a of the skip connection.")
    @click.option("--bias", type=float, default=0.0, show_default=True, help="Variance β of the biases.")
    @click.option("--activation", default="linear", show_default=True, help="linear, erf, tanh or relu.")
    @click.option("--u", type=float, default=1.0, show_default=True, help="Prior width of U, U ~ N(0, u/D).")
    @click.option("--v", type=float, default=1.0, show_default=True, help="Prior width of V, V ~ N(0, v/N²).")
    @click.option("--w", type=float, default=1.0, show_default=True, help="Prior width of W, W ~ N(0, w/N).")
    @click.option("--kappa", type=float, default=1.0, show_default=True, help="Noise, K = κ/N.")
    @functools.wraps(function)
    def command(
        *args: Any,
        problem: str | None,
        problem_file: str | None,
        T: int | None,
        signal: float | None,
        angle: tuple[float, ...] | None,
        amplitude: tuple[float, ...] | None,
        supervise: tuple[int, ...] | None,
        radius: tuple[float, ...] | None,
        patterns: int | None,
        test_patterns: int | None,
        pattern_seed: int | None,
        arch: str | None,
        skip: float,
        bias: float,
        activation: str,
        u: float,
        v: float,
        w: float,
        kappa: float,
        **options: Any,
    ) -> Any:
        own = {
            "T": T,
            "signal": signal,
            "angle": angle,
            "amplitude": amplitude,
            "supervise": supervise,
            "radius": radius,
            "patterns": patterns,
            "test_patterns": test_patterns,
            "pattern_seed": pattern_seed,
        }
        shared = {"activation": activation, "u": u, "v": v, "w": w, "kappa": kappa, "skip": skip, "bias": bias}
        shared |= {} if arch is None else {"arch": arch}
        if (problem is None) == (problem_file is None):
            wrong = "is missing" if problem is None else f"is given twice, as {problem!r} and {problem_file!r}"
            raise click.UsageError(f"PROBLEM: {wrong}; accepted: {_KINDS}")
        made = make_problem(problem or problem_file or "", own, shared)
        _keep_record(made, options)
        return function(*args, problem=made, **options)

    return command


def _take_record(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """What a ``FILE.json`` was made with becomes the default of every option of the command."""
    if value is not None and value.endswith(".json"):
        from numerics.inputs.problem_record import PROBLEM_NUMBERS, read_record
        from numerics.inputs.sharing import MATRIX

        record = read_record(value)
        made, settings = record["problem"], record.get("settings")
        known = {name: made[name] for name in (*PROBLEM_NUMBERS, "arch", "activation") if name in made}
        if known.get("arch") == MATRIX:
            del known["arch"]
        ctx.default_map = {**(settings if isinstance(settings, dict) else {}), **known}
    return value


def _keep_record(problem: Problem, options: dict[str, Any]) -> None:
    """Have `output.print_json` say what was computed, and by which version."""
    from numerics.inputs.problem_record import VERSION, problem_record

    settings = {name: value for name, value in options.items() if name not in _ABOUT_OUTPUT and value is not None}
    click.get_current_context().meta[output.RUN] = {
        "problem": problem_record(problem),
        "settings": settings,
        "version": VERSION,
    }


def make_problem(kind: str, own: dict[str, Any], shared: dict[str, Any]) -> Problem:
    """The problem that the words of the contract describe.

    Args:
        kind: ``endpoint``, ``sequence`` or the path of an ``.npz`` or ``.json`` file.
        own: options of one kind of problem, None where not given.
        shared: options of every kind.
    """
    needed, optional = _OWN_OPTIONS.get(kind, ()), _OPTIONAL.get(kind, ())
    if not needed and not kind.endswith((".npz", ".json")):
        raise click.UsageError(f"PROBLEM: is {kind!r}; accepted: {_KINDS}")
    for name, value in own.items():
        if name in needed and value is None:
            raise click.UsageError(f"--{name}: is missing; accepted: {kind} needs {_flags(needed)}")
        if name not in needed + optional and value is not None:
            fitting = _flags(needed + optional) or "no options of endpoint or sequence"
            raise click.UsageError(f"{_flags((name,))}: does not apply to {kind}; accepted: {fitting}")
    from numerics.inputs import problem as problems

    given = {name: own[name] for name in needed + optional if own[name] is not None}
    if kind == "endpoint":
        return problems.endpoint(**given, **shared)
    if kind == "sequence":
        from numerics.inputs.teachers import sequence

        return sequence(**given, **shared)
    from numerics.inputs.problem_file import load_problem

    return load_problem(kind, **shared)


def _flags(names: tuple[str, ...]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
