"""What results say of themselves and draw, on planted results."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure

from derivations.figures.panel import styled
from numerics import solve
from numerics.certificate.certify import Certificate
from numerics.checking.agreement import compare_means
from numerics.checking.check import Check
from numerics.display import _html_matrix, eigenvalue, number, sign_fact
from numerics.endpoint_task.batch import EndpointBatch
from numerics.endpoint_task.landscape import Landscape
from numerics.inputs.problem import Problem, endpoint
from numerics.plotting import side_by_side
from numerics.predictors.predictions import MOST_ROWS, Predictions
from numerics.results.outputs import Outputs, draw_outputs
from numerics.results.solutions import MOST_SHOWN, Solutions
from numerics.sweeping import Sweep

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
    assert "at t = 2, 4, …, 98:" in sign_fact(range(2, 100, 2))[0][1]
    assert "at t = 1, 2, 3, 5, 6, 7, 9:" in sign_fact((1, 2, 3, 5, 6, 7, 9))[0][1]
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
    good = compare_means(predicted, predicted + 0.1, error, rhat=1.0, ess=500.0)
    bad = compare_means(predicted, predicted + 1.0, error, rhat=1.0, ess=500.0)
    open_ = compare_means(predicted, predicted, error, rhat=1.2, ess=500.0)
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


def two_outputs(**held_out):
    """Two patterns with two outputs at two times."""
    y = np.array([[[1.0, 2.0], [nan, nan]], [[nan, nan], [-1.0, 0.5]]])
    return Problem(np.eye(2), y, **held_out)


def test_predictions_of_several_outputs():
    problem = two_outputs(x_test=[[1.0, 1.0]], y_test=[[[nan, nan], [3.0, nan]]])
    mean = np.array([[[0.5, 1e-14], [0.25, -1.0]], [[2.0, 7.0], [0.0, 1.5]]])
    test = np.array([[[0.125, 1.0]], [[-4.0, 0.75]]])
    plain = Predictions(problem, mean, test_mean=test)
    facts = dict(plain.facts())
    assert facts["patterns"] == "2, and 1 held out"
    # output 1 misses 1 by 0.5 at (t, p) = (1, 1), and hits -1; output 2 hits 2, and misses 0.5 by 1
    assert facts["from labels"] == f"root mean square {number(np.sqrt(1.25 / 4))}"
    assert facts["from labels held out"] == "root mean square 2"
    assert "width" not in facts
    assert plain.table() == [
        ["output", "pattern", "t", "label", "⟨f^(t+1)⟩"],
        ["1", "1", "1", "1", "0.5"],
        ["1", "1", "2", "", "0"],
        ["1", "2", "1", "", "0.25"],
        ["1", "2", "2", "-1", "-1"],
        ["1", "1 held out", "1", "", "0.125"],
        ["1", "1 held out", "2", "3", "1"],
        ["2", "1", "1", "2", "2"],
        ["2", "1", "2", "", "7"],
        ["2", "2", "1", "", "0"],
        ["2", "2", "2", "0.5", "1.5"],
        ["2", "1 held out", "1", "", "-4"],
        ["2", "1 held out", "2", "", "0.75"],
    ]
    assert plain.title() == r"RNN, $T = 3$, $\kappa = 1$"
    assert plain.at_width is None
    wide = replace(plain, width=4, shift=2 * mean, sd=0.1 + 0 * mean, sign_arbitrary=(2,), missing=("Lost.",))
    facts = dict(wide.facts())
    assert (facts["width"], facts["missing"]) == ("N = 4", "Lost.")
    assert "t = 2" in facts["sign"]
    header, *rows = wide.table()
    assert header[4:] == ["⟨f^(t+1)⟩", "at N = 4", "± sd"]
    assert rows[0] == ["1", "1", "1", "1", "0.5", "0.75", "0.1"]
    assert rows[4] == ["1", "1 held out", "1", "", "0.125", "", ""]
    assert wide.test_at_width is None
    np.testing.assert_allclose(replace(wide, test_shift=8 * test).test_at_width, 3 * test)
    known = wide.to_xarray()
    assert known["shift"].shape == (2, 3, 2)
    assert float(known["prediction_at_width"].sel(output=2, pattern=1, time=2)) == 10.5
    assert known["held_out"].sel(output=1, time=1).values.tolist() == [False, False, True]
    assert known["supervised"].sel(output=2).values.tolist() == [[True, False], [False, True], [False, False]]
    assert known.attrs["width"] == 4


@pytest.mark.parametrize("patterns", [MOST_ROWS // 2, MOST_ROWS // 2 + 1])
def test_predictions_of_many_patterns_are_cut(patterns):
    problem = Problem(np.eye(patterns), np.ones((patterns, 2)), activation="erf")
    found = Predictions(problem, np.ones((patterns, 2)))
    left = "2 more rows: to_dataframe() has all."
    assert str(found).endswith(left) == (patterns > MOST_ROWS // 2)
    assert (f"<p>{left}</p>" in found._repr_html_()) == (patterns > MOST_ROWS // 2)
    assert found._repr_html_().count("<tr><td>") == MOST_ROWS
    assert dict(found.facts())["problem"] == "erf RNN, T = 3, κ = 1"
    assert dict(found.facts())["patterns"] == f"{patterns}"


def test_a_picture_of_outputs(ax):
    problem = two_outputs(x_test=[[1.0, 1.0]], y_test=[[[nan, nan], [3.0, nan]]])
    mean, held = np.arange(8.0).reshape(2, 2, 2), np.array([[[9.0, 8.0]], [[7.0, 6.0]]])
    outputs = {
        "theory": Outputs(mean, band=0.5 + 0 * mean, sign_arbitrary=(2,)),
        "sampled": Outputs(mean + 1, error=0.25 + 0 * mean),
        "new": Outputs(held, held_out=True),
    }
    draw_outputs(problem, outputs, ax)
    curves = [line for line in ax.lines if line.get_linestyle() in ("-", "--") and len(line.get_xdata()) == 2]
    drawn = [(line.get_linestyle(), line.get_color(), list(line.get_ydata())) for line in curves if line.get_xdata()[0]]
    assert drawn[:4] == [("-", f"C{k}", [2.0 * k, 2.0 * k + 1]) for k in range(4)]
    assert drawn[4:] == [("--", "C4", [9.0, 8.0]), ("--", "C5", [7.0, 6.0])]
    assert list(curves[0].get_xdata()) == [1, 2]  # hidden times, as in the table
    reversed_at = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == r"$\pm$"]
    assert reversed_at[:4] == [[[2.0, 2.0 * k + 1]] for k in range(4)]
    bands = [each.get_paths()[0].get_extents() for each in ax.collections if len(each.get_paths()) == 1]
    assert (bands[1].ymin, bands[1].ymax) == (1.5, 3.5)
    bar = ax.containers[1].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bar, [[1, 2.75], [1, 3.25]])
    marks = [line for line in ax.lines if line.get_ms() == 6 and line.get_marker() in ("o", "s")]
    marks = [
        (line.get_marker(), line.get_color(), line.get_ydata().tolist()) for line in marks if len(line.get_xdata())
    ]
    expected = [("o", 0, [1, nan]), ("o", 1, [nan, -1]), ("o", 2, [2, nan]), ("o", 3, [nan, 0.5])]
    expected += [("s", 4, [nan, 3]), ("s", 5, [nan, nan])]
    assert str(marks) == str([(mark, f"C{k}", [float(y) for y in values]) for mark, k, values in expected])
    handles = ax.get_legend().legend_handles
    named = {text.get_text(): each for text, each in zip(ax.get_legend().get_texts(), handles, strict=True)}
    kinds = ["theory", "sampled", "new", "labels", "labels held out", "sign arbitrary"]
    colours = [f"pattern {p}, output {c}" for c in (1, 2) for p in (1, 2)] + [f"held out 1, output {c}" for c in (1, 2)]
    assert list(named) == kinds + colours
    assert [named[name].get_color() for name in colours] == [f"C{k}" for k in range(6)]
    assert {named[name].get_color() for name in kinds} == {"0.25"}
    assert ax.get_title(loc="left") == r"RNN, $T = 3$, $\kappa = 1$"
    assert ax.get_xlabel() == "hidden time $t$"
    assert list(ax.get_xticks()) == [1, 2]


def test_a_picture_of_more_outputs_than_can_be_told_apart(ax):
    problem = Problem(np.eye(7), np.ones((7, 12)))
    draw_outputs(problem, {"theory": Outputs(np.ones((7, 12)))}, ax)
    assert ax.get_legend().get_title().get_text() == "first 6 of 7 outputs"
    assert sum(line.get_marker() == "o" and len(line.get_xdata()) > 0 for line in ax.lines) == 6
    assert list(ax.get_xticks()) == [1, 3, 5, 7, 9, 11]


def test_the_legend_of_many_long_names_is_no_wider_than_the_axes():
    y = np.ones((2, 3, 2))
    with styled():
        figure = Figure(figsize=(2.6, 2.2))  # as in the program's pictures
        ax = figure.subplots()
        draw_outputs(Problem(np.eye(2), y), {"theory": Outputs(y.transpose(2, 0, 1), sign_arbitrary=(2,))}, ax)
        figure.draw_without_rendering()
        assert len(ax.get_legend().get_texts()) == 7
        assert ax.get_legend().get_window_extent().x1 <= ax.get_window_extent().x1 + 1


def test_one_curve_is_named_in_its_own_colour(ax):
    draw_outputs(endpoint(3, 4.0), {"theory": Outputs(np.ones((1, 2)))}, ax, color="m")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["theory", "labels"]
    assert [each.get_color() for each in ax.get_legend().legend_handles] == ["m", "C0"]


@pytest.mark.parametrize("curve", [np.linspace(0, 5, 3), np.full(3, 5.0), np.linspace(5, 0, 3)])
def test_the_legend_is_above_all_curves(ax, curve):
    draw_outputs(
        endpoint(4, 20.0), {"theory": Outputs(curve[None]), "sampled": Outputs(curve[None], error=curve[None] / 50)}, ax
    )
    ax.figure.draw_without_rendering()
    lowest = ax.transData.inverted().transform(ax.get_legend().get_window_extent().min)[1]
    assert lowest > 5.0


def test_kernels_side_by_side(ax):
    one, other = np.arange(1.0, 17).reshape(4, 4), -np.arange(1.0, 17).reshape(4, 4)
    side_by_side([("one", one), ("other", other)], 2, ax)
    frames = [patch.get_bbox().bounds for patch in ax.patches]
    assert frames == [(-0.5, -0.5, 4, 4), (4.5, -0.5, 4, 4)]  # and none around both, with the gap between them
    assert not any(spine.get_visible() for spine in ax.spines.values())
    image = ax.images[0]
    drawn = np.ma.filled(image.get_array(), nan)
    np.testing.assert_array_equal(drawn, np.concatenate([one, np.full((4, 1), nan), other], axis=1))
    assert image.get_clim() == (-16, 16)
    assert [(text.get_text(), text.xy[0]) for text in ax.texts] == [("one", 1.5), ("other", 6.5)]
    assert list(ax.get_xticks()) == [0.5, 2.5, 5.5, 7.5]
    assert list(ax.get_yticks()) == [0.5, 2.5]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "2", "1", "2"]
    edges = [each.get_segments()[0].tolist() for each in ax.collections]
    assert edges[:2] == [[[-0.5, 1.5], [3.5, 1.5]], [[1.5, -0.5], [1.5, 3.5]]]
    assert edges[2:] == [[[4.5, 1.5], [8.5, 1.5]], [[6.5, -0.5], [6.5, 3.5]]]
