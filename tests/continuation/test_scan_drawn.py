"""What a scan says of itself and draws, on planted branches: nothing is solved."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from numerics.continuation.drawing import _with_neighbours
from numerics.continuation.scan import scan
from numerics.continuation.scanned import Scan
from numerics.continuation.scanned_branch import ScannedBranch
from numerics.continuation.special_points import SpecialPoint
from numerics.inputs.problem import endpoint
from tests.continuation.exact_t4 import coherent_free_energy, coherent_roots, growth_ratios, incoherent_free_energy

mpl.use("agg")
nan = np.nan
VALUE = np.array([1.0, 2.0, 3.0, 4.0])


def branch(name, number, order, free_energy, smallest):
    order = np.array(order)
    kernel = np.arange(36.0).reshape(4, 3, 3) + number
    return ScannedBranch(
        name, number, 1, ("end", "end"), kernel, order, np.array(free_energy), np.array(smallest), 0 * order, order
    )


def jump(value, sizes, continuous=False):
    return SimpleNamespace(value=value, order_parameter=sizes, continuous=continuous)


@pytest.fixture
def found():
    """An incoherent branch that turns unstable at 2.5, where a coherent one begins that the grid has from 3 on."""
    branches = (
        branch("incoherent", 4, [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0], [1.0, 0.5, -1.0, -2.0]),
        branch("coherent-1a", 2, [nan, nan, 1.0, 2.0], [nan, nan, 2.0, 2.5], [nan, nan, 0.5, 1.0]),
        branch("coherent-1b", 2, [nan, nan, nan, 0.5], [nan, nan, nan, 5.0], [nan, nan, nan, -0.5]),
    )
    points = (
        SpecialPoint("pitchfork", 2.5, (2.4, 2.6), (4, 2), (0.0, 0.25), ("incoherent", "coherent-1a")),
        SpecialPoint("fold", 3.5, (3.4, 3.6), (2, 2), (0.75, 0.75), ("coherent-1b",)),
        SpecialPoint("pitchfork", 4.0, (3.9, 4.0), (4,), (nan,), ("incoherent",)),
    )
    up = SimpleNamespace(transitions=(jump(3.0, (0.0, 1.0)), jump(2.5, (0.0, 0.0), continuous=True)))
    down = SimpleNamespace(transitions=(jump(2.0, (0.75, 0.0)),))
    loop = SimpleNamespace(up=up, down=down)
    return Scan(endpoint(4, 1.0, kappa=0.5), "signal", VALUE, branches, points, loop=loop)


def drawn(ax):
    """The lines that have points, as (style, colour, values, heights)."""
    lines = [line for line in ax.lines if len(line.get_xdata()) > 2]
    return [(each.get_linestyle(), each.get_color(), each.get_xdata(), each.get_ydata()) for each in lines]


def names(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_order_parameters_with_special_points_and_jumps(found):
    ax = Figure().subplots()
    found.draw(ax)
    lines = drawn(ax)
    assert [line[:2] for line in lines] == [
        ("-", "C0"), ("--", "C0"), ("-", "C1"), ("--", "C1"), ("-", "C1"), ("--", "C1")
    ]  # fmt: skip
    np.testing.assert_array_equal(lines[0][2], [1, 2, 2.5, 3, 4])
    np.testing.assert_array_equal(lines[0][3], [0, 0, 0, nan, nan])  # full up to where it turns unstable
    np.testing.assert_array_equal(lines[1][3], [nan, nan, 0, 0, 0])
    np.testing.assert_array_equal(lines[2][2], [1, 2, 2.5, 3, 4])
    np.testing.assert_array_equal(lines[2][3], [nan, nan, 0.25, 1, 2])  # from the height of the point itself
    np.testing.assert_array_equal(lines[5][2], [1, 2, 3, 3.5, 4])
    np.testing.assert_array_equal(lines[5][3], [nan, nan, nan, 0.75, 0.5])
    assert names(ax) == ["incoherent", "coherent-1", "dashed: no minimum", "pitchfork", "fold", "jump of the loop"]
    marks = [(each.get_marker(), *each.get_xdata(), *each.get_ydata()) for each in ax.lines if each.get_ms() == 3.2]
    assert marks == [("o", 2.5, 2.5, 0.0, 0.25), ("^", 3.5, 0.75), ("o",)]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [2.5, 3.5, 4.0]
    assert [(each.xyann, each.xy) for each in ax.texts] == [((3.0, 0.0), (3.0, 1.0)), ((2.0, 0.75), (2.0, 0.0))]
    assert ax.get_ylabel() == r"order parameter $\|H^{3,2}\|$"
    assert "lambda" in ax.get_xlabel()
    assert ax.get_title(loc="left") == r"RNN, $T = 4$, $\kappa = 0.5$"


def test_free_energies_above_the_lowest(found):
    ax = Figure().subplots()
    found.draw(ax, height="free_energy", lw=3)
    lines = drawn(ax)
    np.testing.assert_array_equal(lines[1][3], [nan, nan, 0.5, 1, 1.5])
    np.testing.assert_array_equal(lines[2][3], [nan, nan, 0, 0, 0])  # as at the nearest value where it is there
    np.testing.assert_array_equal(lines[5][3], [nan, nan, nan, 2.5, 2.5])
    assert all(each.get_linewidth() == 3 for each in ax.lines if each.get_color() in ("C0", "C1"))
    assert not [each for each in ax.lines if each.get_ms() == 3.2]
    assert not ax.texts
    assert names(ax) == ["incoherent", "coherent-1", "dashed: no minimum"]
    assert ax.get_ylabel() == r"free energy $F - F_\mathrm{lowest}$"


def test_without_a_loop_or_unstable_states_neither_is_named(found):
    ax = Figure().subplots()
    other = endpoint(5, 1.0, w=2.0, activation="erf", arch="dnn")
    replace(found, problem=other, parameter="kappa", branches=found.branches[1:2], loop=None).draw(ax)
    assert names(ax) == ["coherent-1", "pitchfork", "fold"]
    assert ax.get_ylabel() == r"order parameter $\|\Phi^{4,3}\|$"
    assert ax.get_title(loc="left") == r"erf DNN, $T = 5$, $w = 2$, $\lambda = 1$"


def test_branches_that_were_followed_are_smooth_between_values_far_apart():
    """Against the exact branch at T = 4: a straight line between these values is off by up to 0.6."""
    found = scan(endpoint(4, 20.0), {"signal": [5.0, 12.0, 25.0]})
    ax, energies = Figure().subplots(), Figure().subplots()
    found.draw(ax)
    found.draw(energies, height="free_energy")
    (value, height) = next(line[2:] for line in drawn(ax) if line[:2] == ("-", "C1"))
    (root,) = zip(*(coherent_roots(x, 1.0) for x in value[1:]), strict=True)
    s = np.array([2.0, *root])
    np.testing.assert_allclose(height, 2 * s * np.sqrt(2 * s * (s - 1) * (s - 2)), rtol=0, atol=1e-3)
    assert (round(value[0], 9), height[0]) == (10.125, 0.0)  # begins at the pitchfork
    (value, height) = next(line[2:] for line in drawn(energies) if line[:2] == ("--", "C0"))
    value, height = value[np.isfinite(height)], height[np.isfinite(height)]
    assert value[0] == pytest.approx(10.125)
    F = [incoherent_free_energy(*growth_ratios(x, 1.0), x, 1.0) for x in value]
    lowest = [coherent_free_energy(*coherent_roots(x, 1.0), x, 1.0) for x in value[1:]]
    np.testing.assert_allclose(height, np.subtract(F, [F[0], *lowest]), rtol=0, atol=1e-4)


def test_curves_in_the_skip_go_through_the_states_between_their_points():
    """The skip changes the coordinates of kernels too: without that the drawn curve had ripples of 0.05."""
    found = scan(endpoint(4, 20.0), {"skip": np.linspace(0.05, 0.5, 40)})
    value, order, _, _ = found.branches[0].curve
    np.testing.assert_allclose(
        np.interp(found.value, value, order), found.branches[0].order_parameter, rtol=0, atol=2e-5
    )


def test_one_branch_alone_is_drawn_with_its_free_energy(found):
    ax = Figure().subplots()
    replace(found, branches=found.branches[:1], special_points=(), loop=None).draw(ax, height="free_energy")
    assert ax.get_ylabel() == "free energy $F$"
    assert np.nanmax(drawn(ax)[1][3]) == 4.0


def test_where_branches_are_not_followed_dots_are_what_was_solved(found):
    point = replace(found.special_points[0], branches=(), order_parameter=())
    ax = Figure().subplots()
    replace(found, special_points=(point,), loop=None).draw(ax)
    solved = next(line for line in ax.lines if line.get_markevery())
    assert solved.get_xdata()[solved.get_markevery()].tolist() == VALUE.tolist()
    np.testing.assert_array_equal(drawn(ax)[2][3], [nan, nan, 0, 1, 2])  # begins where the other one is
    assert [(*each.get_xdata(), *each.get_ydata()) for each in ax.lines if each.get_ms() == 3.2] == [(2.5, 0.0)]


def test_a_title_tells_the_signal_that_is_held(found):
    assert replace(found, problem=endpoint(4, 6.0), parameter="kappa").title() == r"RNN, $T = 4$, $\lambda = 6$"


def test_a_line_goes_on_to_the_next_value():
    mask = np.array([False, True, False, False, True, True, False])
    np.testing.assert_array_equal(_with_neighbours(mask), [0, 1, 1, 0, 1, 1, 1])
    assert not mask[2]


def test_facts_and_signed_counts(found):
    assert found.facts() == (
        ("problem", "RNN, T = 4, 1 pattern"),
        ("signal", "4 values, 1 to 4"),
        ("branches", "incoherent, coherent-1a, coherent-1b"),
        ("pitchfork", "2.5"),
        ("fold", "3.5"),
        ("pitchfork", "4"),
    )
    assert not found.incomplete.any()
    right = replace(found, periods=(0, 1), index_sums=np.array([[1.0, 1, 1, 1], [1, 1, nan, 1]]))
    assert not right.incomplete.any()
    assert (
        dict(right.facts())["signed counts"]
        == "Σ(-1)^index = 1 at every signal, as it must be where no state is missing."
    )
    wrong = replace(right, index_sums=np.array([[1.0, 1, 1, 1], [1, 2, nan, 0]]))
    assert wrong.incomplete.tolist() == [False, True, False, True]
    assert "at 2 values from 2 to 4 of signal" in wrong.counted
    assert "at 1 value from 2 to 2 of" in replace(wrong, index_sums=np.array([[1.0, 2, 1, 1]])).counted
    assert found.finished
    assert not replace(found, status="No loop.").finished


def test_arrays_along_branch_and_parameter(found):
    arrays = found.to_xarray()
    assert arrays["order_parameter"].dims == ("branch", "signal")
    assert float(arrays["free_energy"].sel(branch="coherent-1a", signal=4.0)) == 2.5
    assert arrays["stable"].sel(branch="incoherent").values.tolist() == [True, True, False, False]
    assert float(arrays["kernel"].sel(branch="incoherent", signal=2.0, time=3, time2=1).squeeze()) == 9 + 6 + 4
    assert arrays["special_value"].values.tolist() == [2.5, 3.5, 4.0]
    assert arrays["special_type"].values.tolist() == ["pitchfork", "fold", "pitchfork"]
    assert (arrays.attrs["kappa"], arrays.attrs["arch"]) == (0.5, "rnn")
    in_rho = replace(found, parameter="rho").to_xarray()
    assert "arch" not in in_rho.attrs
    assert "kappa" not in replace(found, parameter="kappa").to_xarray().attrs
    assert [each.kind for each in found.branches] == ["incoherent", "coherent", "coherent"]


def test_two_scans_on_one_axes_are_told_apart(found):
    ax = Figure().subplots()
    found.draw(ax)
    title, first = ax.get_title(loc="left"), {line[1] for line in drawn(ax)}
    replace(found, problem=found.problem.with_(arch="dnn")).draw(ax)
    assert ax.get_title(loc="left") == title
    assert {line[1] for line in drawn(ax)[6:]}.isdisjoint(first)
    assert {name for name in names(ax) if "coherent" in name} == {
        "incoherent", "coherent-1", "DNN: incoherent", "DNN: coherent-1"
    }  # fmt: skip
    ax = Figure().subplots()
    found.draw(ax, label="mine")
    assert names(ax).count("mine") == 1
