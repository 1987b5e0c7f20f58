"""`unrolled scan`: branches and special points in JSON, a picture that is whole or absent, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derivations.__main__ import cli


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


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (["sequence", "--T", "4", "--signal", "1:2:3"], "PROBLEM"),
        (["endpoint", "--T", "4", "--signal", "1:2"], "--signal"),
        (["endpoint", "--T", "4", "--signal", "5:2:10"], "--signal"),
        (["endpoint", "--T", "2", "--signal", "1:2:3"], "T"),
        (["endpoint", "--T", "4", "--signal", "1:2:3", "--kappa", "nan"], "kappa"),
        (["endpoint", "--T", "4", "--signal", "1:2:3", "--arch", "x"], "arch"),
        (["endpoint", "--T", "4", "--signal", "1:2:3", "--out", "x.txt"], "--out"),
    ],
)
def test_bad_input_names_the_argument(arguments, argument):
    result = CliRunner().invoke(cli, ["scan", *arguments], standalone_mode=False)
    message = result.exception.format_message()
    assert argument in message
    assert "accepted" in message
