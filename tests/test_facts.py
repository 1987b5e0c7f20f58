"""What results say of themselves and draw, on planted results."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.colors
import numpy as np
import pytest

from numerics import solve
from numerics.certificate.certify import Certificate
from numerics.checking.agreement import compare
from numerics.checking.check import Check
from numerics.endpoint_task.batch import EndpointBatch
from numerics.endpoint_task.landscape import Landscape
from numerics.inputs.problem import endpoint
from numerics.results.display import _html_matrix, eigenvalue, number, sign_fact
from numerics.results.solutions import MOST_SHOWN, Solutions
from numerics.results.sweep import Sweep
from numerics.sampling.hysteresis import Hysteresis, StrengthSweep

nan = np.nan


@pytest.fixture(scope="module")
def state():
    return solve(endpoint(4, 20.0))


@pytest.fixture
def ax():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_numbers_and_eigenvalues():
    assert number(12345678.0) == "1.23457e+07"
    assert eigenvalue(1.5 + 0j) == "1.5"
    assert eigenvalue(1.5 - 0.25j) == "1.5-0.25i"
    assert eigenvalue(0.5 + 2j) == "0.5+2i"
    assert sign_fact(()) == ()
    ((name, told),) = sign_fact((1, 3))
    assert name == "sign"
    assert "at t = 1, 3:" in told


def test_a_small_matrix_is_a_table_shaded_by_size():
    table = _html_matrix(np.array([[2.0, -1.0], [nan, 0.0]]))
    assert table.startswith("<table><tr><th>row</th><th>1</th><th>2</th></tr><tr><th>1</th><td")
    assert table.count("<tr>") == 3
    assert table.count("<td") == 4
    for shade, entry in (("0.60", "2"), ("0.30", "-1"), ("0.00", "nan"), ("0.00", "0")):
        assert f'rgba(0,114,178,{shade})">{entry}</td>' in table
    assert 'rgba(0,114,178,0.00)">0</td>' in _html_matrix(np.zeros((1, 1)))
    noisy = _html_matrix(np.array([[2.0, 1e-28], [1e-28, 1.0]]), 1)
    assert noisy.startswith("<table><tr><th>t</th>")
    assert noisy.count(">0</td>") == 2
    pairs = _html_matrix(np.ones((4, 4)), 2)
    headers = "".join(f"<th>{name}</th>" for name in ("t, p", "1, 1", "1, 2", "2, 1", "2, 2"))
    assert pairs.startswith(f"<table><tr>{headers}</tr><tr><th>1, 1</th>")
    assert _html_matrix(np.ones((12, 12)))
    assert _html_matrix(np.ones((13, 13))) == _html_matrix(None) == _html_matrix(np.ones(3)) == ""


def test_a_solution(state, ax):
    facts = dict(state.facts())
    assert facts["problem"] == "RNN, T = 4, P = 1, κ = 1"
    assert facts["state"] == "coherent, stable"
    total = [float(part) for part in facts["free energy"].replace("=", "+").split("+")]
    assert total[0] == pytest.approx(total[1] + total[2], rel=1e-5)
    assert "NOT" not in facts["residual"]
    poor = dict(replace(state, stable=False, converged=False, sign_arbitrary=(2,)).facts())
    assert poor["state"] == "coherent, not stable"
    assert poor["residual"].endswith(", NOT converged")
    assert "t = 2" in poor["sign"]
    state.draw(ax)
    assert ax.get_title(loc="left") == "RNN, coherent"


def test_several_solutions(state, ax):
    other = replace(state, free_energy=state.free_energy - 1, branch="incoherent", stable=False)
    lost = replace(state, free_energy=-99.0, converged=False)
    states = Solutions((lost, state, other), index_sum=1)
    assert [each.free_energy for each in states] == [other.free_energy, state.free_energy, -99.0]
    facts = dict(states.facts())
    assert facts["states"] == "3"
    assert facts["signed count"] == "1"
    told = [
        f"{number(other.free_energy)} (incoherent, not stable)",
        f"{number(state.free_energy)} (coherent, stable)",
        "-99 (coherent, stable, NOT converged)",
    ]
    assert facts["free energies"] == ", ".join(told)
    assert (states.incomplete, Solutions((state,)).incomplete, Solutions((state,), index_sum=0).incomplete) == (
        False,
        False,
        True,
    )
    assert "signed count" not in dict(Solutions((state,)).facts())
    many = dict(Solutions((state,) * (MOST_SHOWN + 2)).facts())["free energies"]
    assert many.endswith(", and 2 more")
    assert "more" not in dict(Solutions((state,) * MOST_SHOWN).facts())["free energies"]
    states.draw(ax)
    marks = [(line.get_xdata()[0], line.get_ydata()[0], line.get_color(), line.get_mfc()) for line in ax.lines]
    assert marks[0] == (1, other.free_energy, "C0", "none")
    assert marks[1][:3] == (2, state.free_energy, "C1")
    assert matplotlib.colors.same_color(marks[1][3], "C1")
    assert list(ax.get_xticks()) == [1, 2, 3]


def test_an_agreement_and_a_check(state, ax):
    predicted, error = np.eye(2), np.full((2, 2), 0.1)
    good = compare(predicted, predicted + 0.1, error, rhat=1.0, ess=500.0)
    bad = compare(predicted, predicted + 1.0, error, rhat=1.0, ess=500.0)
    open_ = compare(predicted, predicted, error, rhat=1.2, ess=500.0)
    assert [each.verdict for each in (good, bad, open_)] == ["agrees", "disagrees", "undecided"]
    facts = dict(bad.facts())
    assert facts["verdict"] == f"disagrees: {bad.reason}"
    assert facts["largest |z|"] == f"10.00 (limit {bad.z_limit:.2f})"
    assert facts["alignment (CKA)"] == number(bad.cka)
    np.testing.assert_allclose(bad.matrix(), 10.0)
    bad.draw(ax)
    assert ax.get_title(loc="left") == "disagrees"
    drawn = []
    shown = SimpleNamespace(draw=lambda ax: drawn.append("agreement"))
    sampled = SimpleNamespace(draw=lambda ax: drawn.append("simulation"))

    def part(F, weight, agreement):
        phase = SimpleNamespace(state=replace(state, free_energy=F), weight=weight)
        return SimpleNamespace(phase=phase, simulation=sampled, agreement=agreement)

    parts = (part(1.5, 0.75, shown), part(2.5, 0.25, None))
    check = Check(state.problem, 64, parts, None, "agrees", "as it should")
    assert check.agrees
    assert check.solution.free_energy == 1.5
    assert check.simulation is sampled
    assert dict(check.facts()) == {
        "verdict": "agrees: as it should",
        "free energies (weight at N = 64)": "1.5 (0.75), 2.5 (0.25)",
    }
    check.draw(ax)
    mixed = replace(check, mixture=SimpleNamespace(draw=lambda ax: drawn.append("mixture")), verdict="undecided")
    assert not mixed.agrees
    mixed.draw(ax)
    replace(check, phases=parts[1:]).draw(ax)
    assert drawn == ["agreement", "mixture", "simulation"]


def test_a_certificate(state, ax):
    proof = Certificate(state, True, 2e-9, 1, (0.5, 0.75), ("1 ± 0",), "Proved.")
    facts = dict(proof.facts())
    assert facts["proved"] == "a stationary kernel within 2.0e-09, negative eigenvalues: 1"
    assert facts["free energy"] == "from 0.5 to 0.75"
    nothing = replace(proof, proved=False, status="No proof.")
    assert dict(nothing.facts()) == {"proved": "nothing", "status": "No proof."}
    assert proof.matrix() is state.kernel
    proof.draw(ax)
    assert ax.get_title(loc="left") == "proved within 2e-09"
    nothing.draw(ax)
    assert ax.get_title(loc="left") == "not proved"


def test_a_batch(ax):
    exists, stable = np.array([True, True, False]), np.array([False, True, False])
    kernel = np.arange(27.0).reshape(3, 3, 3)
    one = np.zeros(3)
    batch = EndpointBatch(
        4, "rnn", "coherent", np.array([3.0, 1.0, 2.0]), one, kernel, one, one, one, exists, stable, stable, one
    )
    assert dict(batch.facts()) == {
        "branch": "coherent, RNN, T = 4",
        "problems": "3: 2 have it, 1 stable",
        "converged": "1 of 2",
    }
    np.testing.assert_array_equal(batch.order_parameter, kernel[:, 2, 1])
    batch.draw(ax)
    full, dashed = ax.lines
    np.testing.assert_array_equal(full.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(full.get_ydata(), [kernel[1, 2, 1], nan, nan])
    np.testing.assert_array_equal(dashed.get_ydata(), [nan, kernel[2, 2, 1], kernel[0, 2, 1]])
    assert (full.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert ax.get_ylabel() == "order parameter $H^{3,2}$"


def test_a_landscape(ax):
    q = np.array([0.5, -0.5, 0.0])
    found = Landscape(q, q, np.array([2.0, nan, 1.0]), np.zeros((3, 2, 2)), np.array([1e-12, 1.0, 1e-11]))
    assert dict(found.facts()) == {"points": "3, 2 reached", "lowest F": "1 at q = 0", "largest residual": "1.0e+00"}
    none = replace(found, free_energy=np.full(3, nan))
    assert dict(none.facts()) == {"points": "3", "reached": "none"}
    found.draw(ax)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [-0.5, 0.0, 0.5])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [nan, 0.0, 1.0])  # above the lowest


def test_a_sweep(ax):
    F = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    true = F > 2
    axes = (("kappa", (0.5, 1.0)), ("signal", (1, 2, 3)))
    found = Sweep(axes, F, F, F, F, F, F > 1, true, true, np.zeros((2, 3, 1, 1)), F[..., None, None])
    assert dict(found.facts()) == {
        "kappa": "2 values, 0.5 to 1.0",
        "signal": "3 values, 1 to 3",
        "free energy": "from 1 to 6",
        "coherent": "4 of 6",
        "converged": "5 of 6",
    }
    found.draw(ax)
    assert [line.get_label() for line in ax.lines] == ["signal = 1", "signal = 2", "signal = 3"]
    for line, values in zip(ax.lines, F.T, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert ax.get_legend() is not None


def test_sampled_hysteresis(ax):
    def sweep(order, basin):
        return StrengthSweep(np.array(order), np.ones((3, 2)), np.ones((3, 2)), np.array(basin))

    up = sweep([[0.0, 0.2], [0.1, -0.1], [4.0, -4.0]], [[0, 0], [0, 0], [1, -1]])
    down = sweep([[0.0, 0.0], [3.0, -3.0], [4.0, 4.0]], [[0, 0], [1, -1], [1, 1]])
    loop = Hysteresis(np.array([1.0, 2.5, 4.0]), up, down)
    assert dict(loop.facts()) == {"strengths": "3, from 1 to 4", "chains": "2", "both phases at": "2.5"}
    np.testing.assert_array_equal(loop.bistable, [2.5])
    half = replace(loop, down=sweep(down.order_parameter, [[0, 0], [1, 0], [1, 1]]))
    assert dict(half.facts())["both phases at"] == "none"
    loop.draw(ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.1, 0.1, 4.0])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [0.0, 3.0, 4.0])
