"""`unrolled scan`: branches, special points and loop in JSON, a picture that is whole or absent, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derivations.__main__ import cli
from numerics import sequence, solve


def scan(*arguments: str):
    return CliRunner().invoke(cli, ["scan", *arguments])


def test_transition_at_T_4_is_one_pitchfork(tmp_path: Path):
    out = tmp_path / "scan.svg"
    result = scan("endpoint", "--T", "4", "--signal", "1:40:40", "--kappa", "1", "--out", str(out), "--json")
    assert result.exit_code == 0
    fields = json.loads(result.stdout)
    assert [point["type"] for point in fields["special_points"]] == ["pitchfork"]
    assert fields["special_points"][0]["signal"] == pytest.approx(81 / 8, rel=1e-10)
    kinds = {branch["branch"] for branch in fields["branches"]}
    assert kinds == {"incoherent", "coherent"}
    for branch in fields["branches"]:
        lengths = {len(branch[name]) for name in ("signal", "order_parameter", "free_energy", "stable", "kernel")}
        assert len(lengths) == 1
        signal, stable = np.array(branch["signal"]), np.array(branch["stable"])
        assert (stable == ((signal < 81 / 8) == (branch["branch"] == "incoherent"))).all()
    assert out.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.svg"]


@pytest.mark.filterwarnings("error")
def test_a_picture_may_begin_at_0(tmp_path: Path):
    out = tmp_path / "rho.png"
    words = ("endpoint", "--T", "4", "--signal", "20", "--arch", "drift:0.5", "--over", "rho=0:1:12")
    assert scan(*words, "--out", str(out)).exit_code == 0
    assert out.stat().st_size > 0


def test_the_loop_at_T_6_and_its_picture(tmp_path: Path):
    out = tmp_path / "loop.svg"
    result = scan("endpoint", "--T", "6", "--over", "signal=1.9:2.6:40", "--json", "--out", str(out))
    assert result.exit_code == 0
    fields = json.loads(result.stdout)
    assert [point["type"] for point in fields["special_points"]] == ["fold", "equal-free-energy", "pitchfork"]
    fold, equal, fork = (point["value"] for point in fields["special_points"])
    r = 4 / 3
    assert fork == pytest.approx((r - 1) * (r**5 + 1) ** 2 / r**5, abs=1e-10)
    loop = fields["hysteresis"]
    assert loop["width"] == [[pytest.approx(fold), pytest.approx(fork)]]
    assert [t["value"] for t in loop["up"]["transitions"]] == [pytest.approx(fork)]
    assert [t["value"] for t in loop["down"]["transitions"]] == [pytest.approx(fold)]
    assert fold < equal < fork
    for branch in fields["branches"]:
        assert max(branch["residual"], default=0.0) < 1e-11
        assert branch["value"] == branch["signal"]
        assert len(branch["value"]) == len(branch["kernel"]) == len(branch["negative"])
        assert [count == 0 for count in branch["negative"]] == branch["stable"]
    assert out.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    table = scan("endpoint", "--T", "4", "--signal", "12", "--over", "kappa=0.5:3:10").stdout
    assert "pitchfork" in table
    assert "continuous" in table


def test_a_prior_width_may_vary():
    """What is found does not hang on the range's ends."""
    for low in (2.0, 1.0):
        result = scan("endpoint", "--T", "4", "--signal", "20", "--over", f"v={low}:2.5:11", "--json")
        assert result.exit_code == 0, result.stderr
        fields = json.loads(result.stdout)
        (point,) = fields["special_points"]
        assert point["value"] == pytest.approx(2.2430340, abs=1e-7)
        assert "signal" not in point
        assert "v" not in fields
        assert fields["index_sums_hold"]
        ((high, _),) = [jump["branches"] for jump in fields["hysteresis"]["up"]["transitions"]]
        assert {"branch": high, "range": [low, pytest.approx(point["value"])]} in fields["stable"]


def test_any_problem_is_scanned():
    words = ("sequence", "--T", "4", "--angle", "1.2566", "--amplitude", "3", "--supervise", "1,3", "--arch", "dnn")
    result = scan(*words, "--over", "kappa=0.5:2:4", "--json")
    assert result.exit_code == 0, result.stderr
    fields = json.loads(result.stdout)
    assert [branch["branch"] for branch in fields["branches"]] == ["coherent"]
    for value, kernel in zip(fields["branches"][0]["value"], fields["branches"][0]["kernel"], strict=True):
        state = solve(sequence(4, 1.2566, 3.0, [1, 3], arch="dnn", kappa=value))
        np.testing.assert_allclose(kernel, state.kernel, atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (["nothing", "--T", "4", "--signal", "1:2:3"], "PROBLEM"),
        (["sequence", "--T", "4", "--over", "w=1:2:3"], "--angle"),
        (["endpoint", "--T", "4", "--signal", "1:2"], "signal"),
        (["endpoint", "--T", "4", "--signal=5:2:10"], "signal"),
        (["endpoint", "--T", "4", "--over", "kappa=1:2:3"], "--signal"),
        (["endpoint", "--T", "4", "--over", "z=1:2:3", "--signal", "1"], "signal, kappa, u, v, w, rho, skip or bias"),
        (["endpoint", "--T", "4", "--over", "signal=1:2:1"], "count"),
        (["endpoint", "--T", "2", "--signal", "1:2:3"], "T"),
        (["endpoint", "--T", "4", "--signal", "1:2:3", "--kappa", "nan"], "kappa"),
        (["endpoint", "--T", "4", "--signal", "1:2:3", "--arch", "x"], "arch"),
        (["endpoint", "--T", "4", "--signal", "1:2:3", "--out", "x.txt"], "--out"),
    ],
)
def test_bad_input_names_the_argument(arguments, argument):
    result = CliRunner().invoke(cli, ["scan", *arguments], standalone_mode=False)
    message = getattr(result.exception, "message", str(result.exception))
    assert argument in message or argument in str(getattr(result.exception, "param", ""))
    assert "accepted" in message
