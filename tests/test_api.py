"""The Python API: few names, documented and lazy; results that show, draw, save and load themselves."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import io
import pkgutil
import re
import subprocess
import sys
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import numerics
import theory
import unrolled
from numerics import (
    InputError,
    check,
    compare,
    critical_signal,
    endpoint,
    load,
    phase_shares,
    phase_weights,
    plot,
    predict,
    save,
    scan,
    simulate,
    solve,
    solve_all,
)
from numerics.certificate.certify import certify
from numerics.checking import agreement
from numerics.endpoint_task.batch import solve_endpoint_batch
from numerics.endpoint_task.landscape import landscape
from numerics.results.base import Result
from numerics.results.solution import Solution
from numerics.results.storage import KINDS
from numerics.sweeping import sweep
from tests.few_draws import draw_few

mpl.use("agg")


GRID = {"signal": [5.0, 20.0], "arch": ["rnn", "dnn"]}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        draw_few(patch)
        yield _results(tmp_path_factory)


def _results(tmp_path_factory):
    problem = endpoint(4, 20.0)
    solution = solve(problem)
    simulation = simulate(problem, 16, steps=10, chains=2, warmup=40, seed=1, workers=1)
    with ThreadPoolExecutor(1) as executor:
        swept = sweep(endpoint_of, GRID, tmp_path_factory.mktemp("sweep"), executor)
    odds = phase_weights([solution], 16)
    scanned = scan(endpoint(4, 1.0), {"signal": np.linspace(5.0, 20.0, 7)})
    found = [
        solution,
        solve(endpoint(3, 5.0, activation="erf")),
        solve_all(problem),
        scanned,
        scanned.loop,
        critical_signal(endpoint(4, 1.0), 9.0, 11.0),
        solve_endpoint_batch(4, np.linspace(5.0, 20.0, 5), branch="coherent"),
        landscape(4, 20.0, [-0.5, 0.0, 0.5]),
        simulation,
        agreement.compare_means(
            solution.kernel, simulation.kernel_mean, simulation.kernel_standard_error, rhat=1.0, ess=200.0
        ),
        compare(solution, simulation),
        check(endpoint(3, 2.0), 8, steps=20, chains=2, warmup=40, seed=1, workers=1),
        certify(solution),
        swept,
        odds,
        phase_shares(odds, steps=50, warmup=0),
        predict(solve(endpoint(4, 20.0).with_(x_test=[[0.5], [-2.0]])), 256),
    ]
    return {type(result).__name__: result for result in found}


def endpoint_of(signal, arch):
    return endpoint(4, signal, arch=arch)


def everything(kind=Result):
    """Every class of results that is not made for others to build on."""
    for module in pkgutil.walk_packages(numerics.__path__, "numerics."):
        importlib.import_module(module.name)
    below = [each for one in kind.__subclasses__() for each in everything(one)]
    return below or ([kind] if kind is not Result else [])


RESULTS = tuple(sorted({kind.__name__ for kind in everything()}))


def test_the_results_are_those_that_there_are(results):
    assert set(RESULTS) == set(results)
    assert all(isinstance(result, Result) for result in results.values())


def test_what_public_functions_return_is_a_result():
    """But for problems, what they are made of, lowered expressions, and classes of other packages, such as arrays."""
    seen = set()
    for name in numerics.__all__:
        function = getattr(numerics, name)
        if not inspect.isfunction(function):
            continue
        words = re.findall(r"\w+", str(inspect.signature(function).return_annotation))
        kinds = [getattr(sys.modules[function.__module__], word, None) for word in words]
        seen |= {kind for kind in kinds if inspect.isclass(kind) and kind.__module__.startswith("numerics.")}
    assert len(seen) > 10
    others = {kind.__name__ for kind in seen if not issubclass(kind, Result)}
    assert others == {"Problem", "Teacher", "Lowered"}


@pytest.mark.parametrize("package", [unrolled, theory, numerics], ids=lambda package: package.__name__)
def test_every_public_name_is_there_and_documented(package):
    assert package.__all__ == sorted(package.__all__)
    assert dir(package) == package.__all__
    for name in package.__all__:
        thing = getattr(package, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            members = {key: value for key, value in vars(thing).items() if not key.startswith("_")}
            undocumented = [key for key, value in members.items() if callable(value) and not inspect.getdoc(value)]
            assert not undocumented, (name, undocumented)
    with pytest.raises(AttributeError, match=r"attribute '?nonsense"):
        _ = package.nonsense


@pytest.mark.parametrize("package", ["unrolled", "theory", "numerics"])
def test_packages_are_imported_lazily(package):
    code = f"import sys, {package}\nprint(any(name in sys.modules for name in ('numpy', 'sympy', 'scipy')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_a_function_is_not_hidden_by_the_module_of_its_name():
    importlib.import_module("theory.critical_point")
    assert not isinstance(theory.critical_point, types.ModuleType)
    assert str(theory.critical_point(4).signal) == "(kappa + 8)**2/8"


@pytest.mark.parametrize(
    ("result", "part"),
    [
        (lambda: theory.critical_point(4), r"\lambda_c &= \frac{\left(\kappa + 8\right)^{2}}{8}"),
        (lambda: theory.critical_point(theory.symbols.T), r"H^{T - 1,T - 2}"),
        (lambda: theory.coherent_branch(), r"\lambda(s) &="),
        (lambda: theory.endpoint_free_energy(3), r"F_\text{energy} &="),
        (lambda: theory.incoherent_branch(4), r"\lambda(r) &="),
        (lambda: theory.outlier_threshold(), r"\sqrt{17}"),
        (lambda: theory.landau_expansion(4), "r_c &= 2"),
    ],
)
def test_results_of_the_theory_show_formulas(result, part):
    text = result()._repr_latex_()
    assert part in text
    assert text.startswith("$$")
    assert text.endswith("$$")
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("name", RESULTS)
def test_results_show_themselves(results, name):
    from rich.console import Console

    result = results[name]
    line = repr(result)
    assert line.startswith(f"{name}(")
    assert "\n" not in line
    assert len(line) < 700
    assert "$" not in line  # formulas are for pictures
    html = result._repr_html_()
    assert html.startswith("<table>")
    assert html.count("<tr>") == html.count("</tr>")
    console = Console(file=io.StringIO(), width=100)
    console.print(result)
    assert all(fact in console.file.getvalue() for fact, _ in result.facts())


def test_what_a_solution_says_is_escaped_and_true(results):
    solution = results["LinearSolution"]
    assert "coherent, stable" in repr(solution)
    assert f"{solution.kernel[2, 2]:.4g}" in solution._repr_html_()
    assert "<table><tr><th>t</th><th>1</th><th>2</th><th>3</th></tr><tr><th>1</th>" in solution._repr_html_()
    odd = dataclasses.replace(solution, status="a < b", converged=False)
    assert "a &lt; b" in odd._repr_html_()
    assert "NOT converged" in repr(odd)


@pytest.mark.parametrize("name", RESULTS)
def test_results_draw_themselves(results, name):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    assert plot(results[name], axes) is axes
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    assert axes.lines or axes.images
    figure.savefig(io.BytesIO())
    plt.close(figure)


@pytest.mark.parametrize("name", RESULTS)
def test_results_have_labels(results, name):
    """As xarray and as a table that holds the same numbers, times and patterns from 1."""
    xarray, pandas = pytest.importorskip("xarray"), pytest.importorskip("pandas")
    result = results[name]
    dataset, table = result.to_xarray(), result.to_dataframe()
    assert isinstance(dataset, xarray.Dataset)
    assert isinstance(table, pandas.DataFrame)
    assert dataset.attrs["unrolled_version"]
    assert dataset.attrs == table.attrs
    rows = result.labelled().rows
    assert tuple(table.index.names) == rows
    assert len(table) == np.prod([dataset.sizes[dimension] for dimension in rows])
    assert len(table.columns)
    for column in table:
        np.testing.assert_array_equal(table[column], dataset[column].transpose(*rows).values.ravel())
    for dimension in {"time", "pattern", "time2", "pattern2"} & set(dataset.dims):
        np.testing.assert_array_equal(dataset[dimension], np.arange(1, dataset.sizes[dimension] + 1))
    if hasattr(result, "problem"):
        assert dataset.attrs["T"] == result.problem.T
    held = dataset.to_netcdf(engine="h5netcdf")  # what is no word or number is refused
    xarray.testing.assert_identical(xarray.load_dataset(io.BytesIO(held), engine="h5netcdf"), dataset)


def test_labels_find_the_numbers():
    """Which entry of which array a label names, over several patterns, outputs and parameters."""
    pytest.importorskip("xarray")
    x, y = np.eye(2), np.full((2, 3, 2), np.nan)
    y[:, 2] = [[1.0, -0.5], [0.3, 2.0]]
    y[1, 0, 0] = 0.7
    problem = numerics.Problem(x, y, kappa=0.5)
    state = solve(problem)
    data, means = state.to_xarray(), numerics.predict(state).mean
    assert float(data.kernel.sel(time=3, pattern=2, time2=1, pattern2=1)) == state.kernel[2 * 2 + 1, 0]
    assert float(data.prediction.sel(pattern=2, time=3)[1]) == means[1, 1, 2]
    assert data.attrs["kappa"] == 0.5
    table = state.to_dataframe()
    assert table.loc[(3, 2, 1, 1), "kernel"] == state.kernel[5, 0]
    signal, kappa = np.meshgrid([5.0, 20.0, 30.0], [0.5, 1.0])
    batch = solve_endpoint_batch(4, signal, kappa, branch="coherent")
    one = batch.to_xarray().sel(signal=20.0, kappa=1.0)
    assert float(one.order_parameter) == batch.order_parameter[1, 1] == float(one.kernel.sel(time=3, time2=2).squeeze())
    assert batch.to_dataframe().loc[(0.5, 30.0), "free_energy"] == batch.free_energy[0, 2]
    both = solve_endpoint_batch(4, [5.0, 20.0], [0.5, 1.0]).to_dataframe()
    assert both.loc[20.0, "kappa"] == 1.0
    many = solve_all(endpoint(4, 20.0)).to_dataframe()
    assert list(many.free_energy) == sorted(many.free_energy)
    assert set(many.branch) >= {"coherent", "incoherent"}


def test_a_simulations_labels(results):
    pytest.importorskip("xarray")
    run, data = results["Simulation"], results["Simulation"].to_xarray()
    assert float(data.kernel_mean.sel(time=3, pattern=1, time2=2, pattern2=1)) == run.kernel_mean[2, 1]
    np.testing.assert_array_equal(data.prediction, run.prediction)
    assert (data.attrs["width"], data.attrs["seed"], data.attrs["rhat"]) == (16, 1, run.rhat)
    checked = results["Check"]
    part = checked.phases[0]
    one = checked.to_xarray().sel(phase=1)
    np.testing.assert_array_equal(np.ravel(one.predicted), part.predicted.ravel())
    np.testing.assert_array_equal(np.ravel(one.sampled), part.sampled[0].ravel())
    assert one.attrs["verdict"] == checked.verdict
    pytest.importorskip("arviz_base")
    tree = run.to_arviz()
    np.testing.assert_array_equal(tree["posterior"]["kernel"], run.kernels)


@pytest.mark.parametrize(("missing", "method"), [("xarray", "to_xarray"), ("pandas", "to_dataframe")])
def test_what_is_not_installed_is_named(results, monkeypatch, missing, method):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"^{missing}: is not installed; accepted: pip install '\S+'$"):
        getattr(results["LinearSolution"], method)()


STYLES = {"lw": 3.5, "c": "tab:red", "ls": ":"}


@pytest.mark.parametrize("name", RESULTS)
def test_keywords_of_matplotlib_pass_through(results, name):
    import matplotlib.colors
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    results[name].plot(axes)
    has_image = bool(axes.images)
    plt.close(figure)
    figure, axes = plt.subplots()
    plot(results[name], axes, **({"cmap": "magma", "vmax": 7.0} if has_image else STYLES))
    if has_image:
        assert [(image.get_cmap().name, image.get_clim()[1]) for image in axes.images] == [("magma", 7.0)]
    else:
        curves = [line for line in axes.lines if line.get_linewidth() == 3.5]
        assert curves
        assert all(matplotlib.colors.same_color(line.get_color(), "tab:red") for line in curves)
        assert all(line.get_linestyle() == ":" for line in curves)
    plt.close(figure)


@pytest.mark.usefixtures("few_draws")
def test_kernels_are_drawn_side_by_side_on_one_scale(results):
    from matplotlib import pyplot as plt

    state, run = results["LinearSolution"], results["Simulation"]
    found = compare(state, run)
    wide = dataclasses.replace(run, width=1000)
    first_order = np.abs(state.kernel + numerics.kernel_shift(state) / 1000)
    np.testing.assert_allclose(np.abs(compare(state, wide).predicted), first_order, atol=5e-3)
    assert abs(first_order - np.abs(state.kernel))[2, 1] > 0.02
    assert found.predicted[2, 1] * found.simulation.kernel_mean[2, 1] > 0
    for drawn, first, second in (
        (found.plot, found.predicted, found.simulation.kernel_mean),
        (functools.partial(plot, [state, run]), state.kernel, run.kernel_mean),
    ):
        figure, axes = plt.subplots()
        drawn(ax=axes)
        (image,) = axes.images
        whole = np.ma.filled(image.get_array(), np.nan)
        np.testing.assert_array_equal(whole[:, :3], first)
        assert np.isnan(whole[:, 3]).all()
        np.testing.assert_array_equal(whole[:, 4:], second)
        assert image.get_clim()[1] == max(np.abs(first).max(), np.abs(second).max())
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3", "1", "2", "3"]
        assert len(axes.texts) == 2
        plt.close(figure)
    figure, axes = plt.subplots()
    assert plot([state, run]) is axes
    plt.close(figure)
    with pytest.raises(InputError, match=r"^result: is a list of other things"):
        plot([state, results["Scan"]])
    with pytest.raises(InputError, match=r"^simulation: is of another problem"):
        compare(solve(endpoint(4, 19.0)), run)
    curved = endpoint(3, 5.0, activation="erf")
    sampled = simulate(curved, 16, steps=10, chains=2, warmup=40, seed=1, workers=1)
    beside = compare(results["NonlinearSolution"], sampled)
    assert beside.agreement.at_width
    shift = numerics.kernel_shift(results["NonlinearSolution"])
    np.testing.assert_allclose(beside.predicted, beside.solution.kernel + shift / 16)
    beside = compare(
        dataclasses.replace(results["NonlinearSolution"], stable=False), sampled
    )  # whose shift is not known
    assert not beside.agreement.at_width
    np.testing.assert_array_equal(beside.predicted, beside.solution.kernel)
    assert beside.agreement.verdict == "undecided"
    beside.plot()
    plt.close("all")


def test_maps_and_tasks_take_keywords_too():
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots()
    solve_endpoint_batch(4, *np.meshgrid([5.0, 20.0], [0.5, 1.0])).plot(axes, cmap="magma")
    assert axes.collections[0].get_cmap().name == "magma"
    solve(endpoint(4, 2.0)).plot(axes)  # which names its ticks
    endpoint(4, 2.0).plot(axes, cmap="magma")
    assert all(float(label.get_text()).is_integer() for label in axes.get_yticklabels() if label.get_text())
    assert axes.collections[-1].get_cmap().name == "magma"
    with pytest.raises(AttributeError, match="nonsense"):
        solve(endpoint(4, 2.0)).plot(axes, nonsense=1)
    plt.close(figure)


def test_a_scan_draws_its_states(results):
    from matplotlib import pyplot as plt

    found = results["Scan"]
    axes = found.plot()
    assert axes is plt.gca()
    curves = [line for line in axes.lines if len(line.get_ydata()) >= len(found.value)]
    heights = np.concatenate([line.get_ydata() for line in curves])
    assert np.nanmax(heights) == pytest.approx(max(np.nanmax(branch.order_parameter) for branch in found.branches))
    # a branch has one colour, and meets the pitchfork where it leaves the incoherent one
    assert len({line.get_color() for line in curves}) == len({branch.number for branch in found.branches})
    pitchfork = next(point for point in found.special_points if point.type == "pitchfork")
    # … to rounding: curves are followed in the logarithm of the signal
    assert all(np.isclose(line.get_xdata(), pitchfork.value, rtol=1e-14, atol=0.0).any() for line in curves)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"incoherent", "pitchfork", "dashed: no minimum"} <= set(names)
    assert axes.get_title(loc="left") == "RNN, $T = 4$, $\\kappa = 1$"
    drawn = found.plot(height="free_energy")
    assert drawn.get_ylabel().startswith("free energy")
    plt.close("all")
    with pytest.raises(InputError, match=r"^result: is of type int; accepted"):
        plot(3)


def test_a_problem_shows_and_draws_its_task():
    from matplotlib import pyplot as plt

    y = np.full((2, 5), np.nan)
    y[:, 4], y[0, 1:3] = [1.0, -2.0], 0.5
    problem = numerics.Problem(np.ones((2, 2, 3)), y, kappa=0.5, skip=0.25)
    told = "t = 3, 4, 6 (4 of 6 labels)"
    assert f"f^t supervised at {told}, u = 1, v = 1, w = 1, kappa = 0.5, skip = 0.25)" in repr(problem)
    facts = dict(problem.facts())
    assert (facts["outputs"], facts["inputs"]) == (f"1, f^t supervised at {told}", "3, at t = 0, 1")
    assert told in problem._repr_html_()
    assert "f^t supervised at t = 4," in repr(endpoint(4, 2.0))
    assert "t = 2–6," in repr(numerics.Problem(np.ones((1, 1)), np.ones((1, 5))))
    figure, axes = plt.subplots()
    assert problem.plot(axes) is plot(problem, axes) is axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0, 1], [1, 1], [0, 2], [1, 2]])
    marks = axes.collections[0]
    np.testing.assert_array_equal(marks.get_offsets(), [[3, 1], [4, 1], [6, 1], [6, 2]])
    np.testing.assert_array_equal(marks.get_array(), [0.5, 0.5, 1.0, -2.0])
    figure.savefig(io.BytesIO())
    plt.close(figure)


def same(a, b):
    """Equal bit for bit, arrays and all."""
    assert type(a) is type(b)
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, float):
        assert np.float64(a).tobytes() == np.float64(b).tobytes()
    else:
        assert a == b


@pytest.mark.parametrize("name", RESULTS)
def test_results_come_back_bit_for_bit(results, name, tmp_path):
    path = tmp_path / "result.npz"
    assert results[name].save(path) == path
    same(results[name], load(path))
    same(results[name], type(results[name]).load(path))
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_that_are_no_numbers_come_back(results, tmp_path):
    numbers = {"hessian_smallest": float("nan"), "residual": float("inf"), "energy": -0.0}
    odd = dataclasses.replace(results["LinearSolution"], **numbers)
    odd.save(tmp_path / "odd.npz")
    same(odd, Solution.load(tmp_path / "odd.npz"))


def test_another_kind_is_refused(results, tmp_path):
    results["Landscape"].save(tmp_path / "result.npz")
    with pytest.raises(InputError, match="holds a Landscape; accepted: a Solution"):
        Solution.load(tmp_path / "result.npz")
    with pytest.raises(InputError, match=r"^result: has a Nothing, which cannot be saved; accepted"):
        save(Nothing(), tmp_path / "x.npz")


@dataclasses.dataclass
class Nothing:
    """A dataclass of nobody's."""

    value: object = None


def test_every_kind_exists():
    for name, module in KINDS.items():
        assert dataclasses.is_dataclass(getattr(importlib.import_module(module), name))


def _refused(path: Path) -> str:
    with pytest.raises(InputError) as refusal:
        load(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert "; accepted: " in message
    assert message.startswith(str(path))
    return message


def test_damaged_and_foreign_files_are_refused_in_one_line(results, tmp_path):
    path = tmp_path / "result.npz"
    _refused(path)
    path.mkdir()
    _refused(path)
    path.rmdir()
    save(results["LinearSolution"], path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    path.write_bytes(b"")
    _refused(path)
    for cut in (1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        _refused(path)
    np.savez(path, header=np.array([1, 2, 3], dtype=np.uint8))
    _refused(path)
    np.savez(path, x=np.ones(3))
    _refused(path)
    np.savez(path, allow_pickle=True, header=np.array([{"a": 1}], dtype=object))
    _refused(path)
    # any changed byte is noticed, or changes nothing that is read
    for place in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = load(path)
        except InputError:
            continue
        same(results["LinearSolution"], found)


def test_a_changed_array_is_noticed(results, tmp_path):
    """The archive's own checksums are right, the digest is not."""
    path = tmp_path / "result.npz"
    save(results["LinearSolution"], path)
    with np.load(path) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    largest = max((name for name in arrays if name != "header"), key=lambda name: arrays[name].size)
    arrays[largest].flat[0] += 1e-9
    np.savez(path, **arrays)
    assert "is damaged" in _refused(path)
    assert zipfile.is_zipfile(path)


def test_nothing_is_left_where_it_cannot_be_written(results, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "result.npz"):
        with pytest.raises(InputError, match="cannot be written"):
            save(results["LinearSolution"], path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


SNIPPET = """
import unrolled

problem: unrolled.Problem = unrolled.endpoint(4, 20.0)
state: unrolled.Solution = unrolled.solve(problem, tolerance=1e-9)
states: unrolled.Solutions = unrolled.solve_all(problem)
lowest: unrolled.Solution = states[0]
energies: list[float] = [each.free_energy for each in states]
sampled: unrolled.Simulation = unrolled.simulate(problem, 64, seed=1)
unrolled.save(state, "state.npz")
point = unrolled.theory.critical_point(4)
reveal_type(unrolled.solve(problem, engine="quadrature"))
reveal_type(unrolled.numerics.predict(state))
reveal_type(unrolled.check(problem).agrees)
unrolled.solve(problem, engine="guess")
unrolled.endpoint("4", 20.0)
unrolled.nonsense
"""


@pytest.mark.slow
def test_the_facade_is_typed(tmp_path):
    """What mypy, and so an editor, sees of it: types of results, and what is wrong."""
    (tmp_path / "snippet.py").write_text(SNIPPET, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(tmp_path / "snippet.py")]
    root = Path(numerics.__file__).parents[1]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout
    told = told.replace(str(tmp_path), "")
    for expected in (
        'Revealed type is "numerics.results.solution.Solution"',
        'Revealed type is "numerics.predictors.predictions.Predictions"',
        'Revealed type is "bool"',
        'Argument "engine" to "solve" has incompatible type',
        'Argument 1 to "endpoint" has incompatible type "str"; expected "int"',
        'Module has no attribute "nonsense"',
    ):
        assert expected in told, told
    assert told.count("error:") == 3, told


def test_two_pictures_do_not_lie_on_one_another():
    """Results drawn one after the other, without axes, have a figure each; empty axes that are current are used."""
    import matplotlib.pyplot as plt

    plt.close("all")
    problem = endpoint(3, 2.0)
    _, (left, right) = plt.subplots(1, 2)
    plt.sca(left)
    assert problem.plot() is left
    state = solve(problem)
    first, second = state.plot(), unrolled.plot([state, state])
    assert len({left.figure, first.figure, second.figure}) == 3
    assert state.plot(ax=right) is right
    plt.close("all")
