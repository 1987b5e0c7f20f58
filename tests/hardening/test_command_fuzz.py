"""Any words at all after `unrolled`: an exit status of the contract, one line for bad input, strict JSON, no hang.

The words are drawn from each command's own options, so that a new command or option is fuzzed from the day it appears.
Problems are kept small: what is looked for is what a user can get wrong, not what takes long.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from derivations.__main__ import COMMANDS, cli
from derivations.commands.free_parameter import Over
from tests.hardening.program import check_contract, run

#: Words that are wrong almost anywhere, or at the edge of what is accepted.
HOSTILE = (
    "", " ", "-", "--", "-1", "0", "1", "2", "2.5", "1e400", "-0.0", "nan", "inf", "-inf", "1e-320", "0x10", "1_0", "٣",
    "1/0", "1/3", "1e9999999", "9" * 400, "true", "None", "[]", "a b", "ä", "\udcff", "x\ny", "../..", "%s%n", "{}",
    "symbolic", "rnn", "endpoint", "1,1,,2", "1:2:3", "2:1:3", "1:2:1", "1:inf:3", "nan:1:2", "99999999999999999999",
)  # fmt: skip
#: Words that fit an option of this name, so that cases get past the first refusal.
FITTING: dict[str, tuple[str, ...]] = {
    "T": ("3", "4"),
    "signal": ("0", "1e-12", "5", "1e6"),
    "angle": ("0", "1.25", "-7"),
    "amplitude": ("0", "2", "-3"),
    "supervise": ("1", "1,2", "2,2,1"),
    "arch": ("rnn", "dnn"),
    "activation": ("linear", "erf", "tanh", "relu"),
    "u": ("1", "1e-3", "1e3"),
    "v": ("1", "1e-3", "1e3"),
    "w": ("1", "1e-3", "1e3"),
    "kappa": ("0", "1e-12", "1", "1e12", "1/2"),
    "width": ("1", "8"),
    "chains": ("1", "2"),
    "steps": ("8",),
    "seed": ("0", "3"),
    "workers": ("1",),
    "sampler": ("hmc", "sgld"),
    "order": ("1", "2"),
    "form": ("text", "latex", "json"),
    "digits": ("16", "40"),
}
#: Options that say how much to compute: always given, and never a large number that would be accepted.
SMALL = {"steps", "chains", "width", "workers", "json"}
AMOUNTS = {"--steps", "--chains", "--width", "--workers", "--order", "--digits"}
#: Options without which nothing is missed here.
NEVER = {"help", "progress"}
WORDS = {
    "derive": ("free-energy", "stationarity", "critical-point", "incoherent-branch", "stability", "gaussian-averages"),
    "scan": ("endpoint",),
    "completion": ("bash", "zsh", "fish"),
}


def command_of(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


#: Options that belong to a kind of problem.
OWN = {
    "endpoint": {"T", "signal"},
    "sequence": {"T", "angle", "amplitude", "supervise"},
}
EVERY_OWN = set().union(*OWN.values())


def fitting(option: click.Option, folder: Path) -> list[str]:
    """Words that an option accepts."""
    if isinstance(option.type, click.Path):
        return [str(folder / f"{option.name}" / "x.svg"), "/dev/null/x.svg", "/proc/nothing/x.svg"]
    if isinstance(option.type, Over):
        return ["signal=1:20:3", "kappa=0.5:9:2"]
    return list(FITTING.get(option.name or "", ("1",)))


#: A simulation's time depends on all of these.
CALM = {"u": "1", "v": "1", "w": "1", "kappa": "1", "signal": "5", "width": "8", "chains": "1", "activation": "linear"}


@st.composite
def fitting_lines(draw: st.DrawFn, name: str, folder: Path) -> list[str]:
    """A command line whose words fit each other, small enough to be answered at once."""
    kinds = WORDS.get(name, ("endpoint", "sequence", str(folder / "task.npz")))
    words = [name]
    command = command_of(name)
    kind = draw(st.sampled_from(kinds))
    if any(isinstance(param, click.Argument) for param in command.params):
        words.append(kind)
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        needed = option.required or option.name in OWN.get(kind, ()) or option.name in SMALL
        if option.name in EVERY_OWN - OWN.get(kind, EVERY_OWN) and name != "derive":
            continue
        if option.name in NEVER or not (needed or draw(st.integers(0, 3)) == 0):
            continue
        flag = option.opts[0]
        if name == "simulate" and option.name in CALM:
            words.append(f"{flag}={CALM[option.name]}")
        else:
            words += [flag] if option.is_flag else [f"{flag}={draw(st.sampled_from(fitting(option, folder)))}"]
    return words


@st.composite
def hostile_lines(draw: st.DrawFn, name: str, folder: Path) -> list[str]:
    """A command line that fits but for one word replaced, added or left out."""
    words = draw(fitting_lines(name, folder))
    place = draw(st.integers(1, len(words)))
    wrong = draw(st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec="utf-8"), max_size=6)))
    wrong = wrong.replace("\0", "")
    if place == len(words):
        return [*words, wrong]
    flag, equals, _ = words[place].partition("=")
    if equals and draw(st.integers(0, 9)) > 0:
        # an amount of work that would be accepted is not what is looked for
        too_much = flag in AMOUNTS and wrong.strip().isdigit()
        return [*words[:place], f"{flag}={'-1' if too_much else wrong}", *words[place + 1 :]]
    return [*words[:place], *([] if draw(st.booleans()) else [wrong]), *words[place + 1 :]]


#: Commands whose accepted input always means minutes of work: only refused lines are tried.
LONG = ("reproduce", "report", "check")
FUZZED = [name for name in COMMANDS if name not in LONG]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a task; the working directory is another one, for words that are taken for names of files."""
    import numpy as np

    where = tmp_path_factory.mktemp("fuzz")
    np.savez(where / "task.npz", x=np.eye(2), y=np.array([[1.0, np.nan], [0.5, -1.0]]))
    with contextlib.chdir(tmp_path_factory.mktemp("here")):
        yield where


def fuzz(lines: Any, cases: int) -> None:
    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(lines)
    def one(arguments: list[str]) -> None:
        check_contract(run(arguments), arguments)

    one()


@pytest.mark.parametrize("name", FUZZED)
def test_a_wrong_word_has_one_line_of_refusal(name: str, folder: Path):
    fuzz(hostile_lines(name, folder), 20)


@pytest.mark.parametrize("name", LONG)
def test_a_wrong_word_before_long_work_is_refused_at_once(name: str, folder: Path):
    for option in command_of(name).params:
        if isinstance(option, click.Option) and not option.is_flag and option.type.name in ("integer", "float"):
            arguments = [name, f"{option.opts[0]}=x"]
            outcome = run(arguments)
            assert outcome.status == 2
            check_contract(outcome, arguments)
            assert option.opts[0] in outcome.stderr
    arguments = [name, "--nothing-like-this", "--json"]
    outcome = run(arguments)
    check_contract(outcome, arguments)
    assert outcome.status == 2
    assert "--nothing-like-this" in outcome.stderr


@pytest.mark.parametrize("name", ["solve", "scan", "derive", "doctor"])
def test_fitting_words_are_answered(name: str, folder: Path):
    fuzz(fitting_lines(name, folder), 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZED)
def test_many_wrong_words(name: str, folder: Path):
    fuzz(hostile_lines(name, folder), 2500 // len(FUZZED))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["solve", "scan"])
def test_many_fitting_words(name: str, folder: Path):
    fuzz(fitting_lines(name, folder), 40)
