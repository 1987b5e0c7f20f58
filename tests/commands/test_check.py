"""Theory against sampled networks: the right theory agrees, wrong ones do not.

The theories here are minimised once more, from F of docs/theory.md section 3, by SciPy and no code of the solver.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize

from derivations import output
from derivations.commands import check
from numerics import solve
from numerics.checking.agreement import compare_means as verdict
from numerics.checking.check import judged_phases
from numerics.checking.kernels import compare
from numerics.inputs.problem import endpoint
from numerics.sampling import simulate
from tests.checking.test_check import phases_and_chains
from tests.commands.test_program import run

WIDTH = 128


def minimum(arch: str, signal: float, *, fault: str = "", u: float = 1.0, w: float = 1.0, kappa: float = 1.0):
    """Kernel that minimises F at T = 4, positive order parameter; `fault` makes the physics wrong."""
    n = 3
    rows, columns = np.tril_indices(n)

    def covariance(H):
        C = np.zeros((n, n))
        if fault == "shift":  # the wrong way in time
            C[:-1, :-1] = w * H[1:, 1:]
            C[-1, -1] = u
        else:
            C[1:, 1:] = (1.1 if fault == "prior scale" else 1.0) * w * H[:-1, :-1]
            C[0, 0] = u
        off = C - np.diag(np.diag(C))
        keep = {"rnn": 1.0, "dnn": 0.0}[arch]
        if fault == "mask sign":
            keep = -1.0
        if fault == "other mask":
            keep = 1.0 - keep
        return np.diag(np.diag(C)) + keep * off

    def free_energy(factor):
        L = np.zeros((n, n))
        L[rows, columns] = factor
        H = L @ L.T
        C = covariance(H)
        sign, logdet = np.linalg.slogdet(C)
        if sign <= 0 or np.linalg.eigvalsh(C)[0] <= 0:
            return 1e6
        entropy = 0.5 * (np.trace(np.linalg.solve(C, H)) - np.linalg.slogdet(H)[1] + logdet)
        return 0.5 * signal * w**2 * u / (H[-1, -1] + kappa) + entropy

    best = None
    for trial in range(4):
        start = np.linalg.cholesky(np.diag([2.0, 4.0, 8.0]) + 0.5 + trial)[rows, columns]
        found = minimize(
            free_energy, start, method="Nelder-Mead", options={"maxiter": 20000, "xatol": 1e-9, "fatol": 1e-13}
        )
        if best is None or found.fun < best.fun:
            best = found
    L = np.zeros((n, n))
    L[rows, columns] = best.x
    H = L @ L.T
    sign = np.where(np.add.outer(np.arange(n), np.arange(n)) % 2, np.sign(H[-1, -2]) or 1.0, 1.0)
    return sign * H


@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("signal", [4.0, 40.0])
def test_the_solver_finds_the_minimum_that_scipy_finds(arch, signal):
    np.testing.assert_allclose(
        minimum(arch, signal), solve(endpoint(4, signal, arch=arch)).kernel, rtol=2e-4, atol=2e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["rnn", "dnn"])
@pytest.mark.parametrize("signal", [4.0, 20.0])
def test_right_theory_agrees_and_wrong_theories_do_not(arch, signal):
    problem = endpoint(4, signal, arch=arch)
    comparison = compare(solve(problem), simulate(problem, WIDTH, steps=800, seed=12, workers=1))
    assert comparison.agreement.agrees, comparison.agreement.reason
    shift = comparison.predicted - comparison.solution.kernel
    sampled = comparison.simulation

    def agrees(kernel):
        return verdict(
            kernel + shift, sampled.kernel_mean, sampled.kernel_standard_error, rhat=sampled.rhat, ess=sampled.ess
        ).agrees

    # with the right physics the second route agrees as well, so that a fault is what makes the difference
    assert agrees(np.round(minimum(arch, signal), 4))
    faults = ["prior scale", "shift"]
    if signal > 10:
        # below the transition the kernel is diagonal, and its mean does not depend on the mask
        faults += ["other mask"] + (["mask sign"] if arch == "rnn" else [])
    for fault in faults:
        assert not agrees(minimum(arch, signal, fault=fault)), fault


@pytest.mark.slow
def test_check_command_agrees_and_says_so_in_json():
    result = run("check", "endpoint", "--T", "4", "--signal", "20", "--width", "128", "--steps", "600", "--json")
    fields = json.loads(result.stdout)
    assert result.returncode == 0, fields["reason"]
    assert fields["agrees"] is True
    assert fields["cka"] > 0.999
    assert np.shape(fields["z"]) == (3, 3)
    assert fields["theory"]["branch"] == "coherent"
    assert fields["simulation"]["ess"] > 100


def test_check_with_too_few_samples_is_status_1():
    result = run(
        "check", "endpoint", "--T", "4", "--signal", "20", "--width", "16", "--steps", "20", "--workers", "1", "--json"
    )
    assert result.returncode == 1, result.stderr
    fields = json.loads(result.stdout)
    assert fields["agrees"] is False
    assert fields["verdict"] == "undecided"
    assert "more steps are needed" in fields["reason"]


def test_several_phases_are_listed_and_said(capsys):
    problem, found, chains = phases_and_chains()
    checked = judged_phases(problem, 128, found, chains)
    fields = json.loads(json.dumps(output.plain(check.fields_of(checked))))
    assert fields["agrees"] is True
    assert [phase["sampled_share"] for phase in fields["phases"]] == [[1.0, 0.0], [0.0, 1.0]]
    assert sum(phase["weight"] for phase in fields["phases"]) == pytest.approx(1.0)
    assert fields["phases"][0]["free_energy"] == pytest.approx(fields["theory"]["free_energy"])
    assert fields["phases"][1]["weight_rests_on"] == "density"
    assert np.shape(fields["phases"][1]["kernel"]) == np.shape(fields["phases"][1]["z"]) == (3, 3)
    assert "the free energy has 2 minima; of networks of width 128" in check.notes(checked)[0]
    check.print_check(checked)
    shown = capsys.readouterr().out
    assert "Phases at N = 128" in shown
    assert shown.startswith("Agrees: the phase F = 9.29469 carries")
    one = judged_phases(problem, 128, found[:1], [chains[0]])
    assert "phases" not in check.fields_of(one)
    assert check.notes(one) == []
