"""`unrolled landscape`, `certify`, `sweep`: their objects, pictures, exit statuses and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derivations.__main__ import cli
from numerics import endpoint, solve


def run(*arguments: str):
    """Exit status and standard output, as the program's main gives them."""
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, result.stdout


def test_landscape_has_its_minima_at_the_coherent_states(tmp_path: Path):
    out = tmp_path / "landscape.png"
    arguments = ("landscape", "endpoint", "--T", "4", "--signal", "20", "--points", "41", "--plane")
    status, text = run(*arguments, "--json", "--out", str(out))
    assert status == 0
    fields = json.loads(text)
    low, high = fields["minima"]
    assert low["order_parameter"] == pytest.approx(-high["order_parameter"])
    state = solve(endpoint(4, 20.0))
    assert high["free_energy"] == pytest.approx(state.free_energy, abs=1e-5)
    assert high["order_parameter"] == pytest.approx(state.kernel[2, 1], rel=1e-3)
    plane = np.array(fields["plane"]["free_energy"], dtype=float)
    assert plane.shape == (41, 41)
    np.testing.assert_allclose(plane, plane[:, ::-1], rtol=1e-9)
    assert out.stat().st_size > 1000
    _, text = run("landscape", "endpoint", "--T", "4", "--signal", "4", "--points", "21", "--json")
    (only,) = json.loads(text)["minima"]
    assert abs(only["order_parameter"]) < 1e-9


def test_certify_proves_both_states():
    pytest.importorskip("flint")
    status, text = run("certify", "endpoint", "--T", "4", "--signal", "20", "--all-branches", "--json")
    assert status == 0
    first, second = json.loads(text)["branches"]
    assert (first["proved"], first["negative"]) == (True, 0)
    assert (second["proved"], second["negative"]) == (True, 1)
    assert first["free_energy"][1] < second["free_energy"][0]


def test_certify_takes_sequences_and_files_and_says_what_it_cannot_prove(tmp_path: Path):
    pytest.importorskip("flint")
    sequence = ("certify", "sequence", "--T", "4", "--angle", "1", "--amplitude", "2", "--supervise", "1,3", "--json")
    status, text = run(*sequence, "--arch", "dnn")
    assert (status, json.loads(text)["proved"]) == (0, True)
    path = tmp_path / "two.npz"
    np.savez(path, x=np.array([[1.0, 0.0], [0.5, 0.2], [1.0, 0.4]]), y=np.array([[np.nan, 1], [np.nan, 2], [0.3, 1]]))
    status, text = run("certify", str(path), "--json")
    assert (status, json.loads(text)["negative"]) == (0, 0)
    status, text = run("certify", "endpoint", "--T", "4", "--signal", "10.125", "--json")
    assert status == 1
    assert json.loads(text)["status"].startswith("Not proved: ")
    assert "radius" not in json.loads(text)


def test_sweep_saves_resumes_and_reloads(tmp_path: Path):
    xarray = pytest.importorskip("xarray")
    out, folder = tmp_path / "grid.nc", tmp_path / "points"
    arguments = ("sweep", "endpoint", "--T", "4", "--over", "signal=4,20", "--over", "arch=rnn,dnn")
    status, text = run(*arguments, "--directory", str(folder), "--out", str(out), "--json")
    assert status == 0
    fields = json.loads(text)
    assert fields["axes"] == {"signal": [4.0, 20.0], "arch": ["rnn", "dnn"]}
    assert fields["coherent"] == [[False, False], [True, False]]
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert len(times) == 4
    _, again = run(*arguments, "--directory", str(folder), "--json")
    assert again == text
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npz")} == times
    saved = xarray.load_dataset(out, engine="h5netcdf")
    assert float(saved.free_energy.sel(signal=20.0, arch="rnn")) == fields["free_energy"][1][0]


ENDPOINT = ("endpoint", "--T", "4")


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (("landscape", *ENDPOINT, "--signal", "0.1", "--plane"), "signal"),
        (("landscape", "sequence", "--T", "4", "--signal", "1"), "PROBLEM"),
        (("landscape", "endpoint", "--T", "3", "--signal", "1"), "T"),
        (("certify", "endpoint", "--T", "26", "--signal", "1"), "problem"),
        (("sweep", *ENDPOINT, "--over", "signl=1,2", "--directory", "x"), "--over"),
        (("sweep", *ENDPOINT, "--over", "signal=1:2", "--directory", "x"), "--over"),
        (("sweep", *ENDPOINT, "--over", "signal=1", "--over", "signal=2", "--directory", "x"), "--over"),
        (("sweep", *ENDPOINT, "--over", "signal=-1,2", "--directory", "x"), "signal"),
        (("sweep", *ENDPOINT, "--over", "kappa=1,2", "--directory", "x"), "--signal"),
        (("sweep", *ENDPOINT, "--over", "signal=1,2", "--directory", "x", "--out", "x.csv"), "--out"),
    ],
)
def test_bad_input_names_the_argument(arguments, argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    message = (
        result.exception.format_message() if hasattr(result.exception, "format_message") else str(result.exception)
    )
    assert argument in message or argument.lstrip("-") in str(getattr(result.exception, "param", ""))
    assert "accepted" in message
    assert "\n" not in message
