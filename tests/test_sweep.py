"""Sweeps: labels, resumption, damage, executors."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from numerics import predict, solve
from numerics import sweeping as module
from numerics.errors import InputError
from numerics.inputs.problem import endpoint
from numerics.sweeping import digest, sweep

xarray = pytest.importorskip("xarray")
AXES = {"signal": [4.0, 20.0], "kappa": [0.5, 1.0], "arch": ["rnn", "dnn"]}
KERNEL = {"time": 3, "pattern": 1, "time2": 3, "pattern2": 1}
MAKE = functools.partial(endpoint, 4)


def test_a_sweep_is_labelled_and_saves_and_reloads(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        result = sweep(MAKE, AXES, tmp_path / "points", pool).to_xarray()
    assert dict(result.sizes) == {"signal": 2, "kappa": 2, "arch": 2, **KERNEL}
    one = result.sel(signal=20.0, kappa=0.5, arch="rnn")
    single = solve(endpoint(4, 20.0, kappa=0.5))
    np.testing.assert_allclose(one.kernel.squeeze(), single.kernel)
    assert float(one.order_parameter) == np.linalg.norm(single.order_parameter)
    np.testing.assert_array_equal(one.prediction, predict(single).mean)
    assert [one[name].values.tolist() for name in KERNEL] == [[1, 2, 3], [1], [1, 2, 3], [1]]
    assert (result.attrs["T"], result.attrs["u"], set(result.attrs) & set(AXES)) == (4, 1.0, set())
    assert float(one.free_energy) == single.free_energy
    assert bool(one.coherent)
    assert not bool(result.sel(signal=20.0, kappa=0.5, arch="dnn").coherent)
    assert result.converged.values.all()
    result.to_netcdf(tmp_path / "sweep.nc", engine="h5netcdf")
    xarray.testing.assert_identical(xarray.load_dataset(tmp_path / "sweep.nc", engine="h5netcdf"), result)


def test_an_interrupted_sweep_computes_only_what_is_missing(tmp_path, monkeypatch):
    calls = []

    def counted(problem, fail_at=None):
        calls.append(problem)
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return original(problem)

    original = module.solved
    monkeypatch.setattr(module, "solved", functools.partial(counted, fail_at=4))
    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        sweep(MAKE, AXES, tmp_path, pool)
    kept = len(list(tmp_path.glob("*.npz")))
    assert kept == 3
    assert not list(tmp_path.glob("*.part"))
    calls.clear()
    monkeypatch.setattr(module, "solved", counted)
    with ThreadPoolExecutor(1) as pool:
        resumed = sweep(MAKE, AXES, tmp_path, pool).to_xarray()
    assert len(calls) == 8 - kept
    with ThreadPoolExecutor(1) as pool:
        whole = sweep(MAKE, AXES, tmp_path / "fresh", pool).to_xarray()
    xarray.testing.assert_identical(resumed, whole)


@pytest.mark.slow
def test_a_damaged_or_truncated_point_is_computed_again(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        first = sweep(MAKE, {"signal": [4.0, 20.0]}, tmp_path, pool).to_xarray()
        paths = sorted(tmp_path.glob("*.npz"))
        paths[0].write_bytes(paths[0].read_bytes()[:50])
        paths[1].write_bytes(b"")
        again = sweep(MAKE, {"signal": [4.0, 20.0]}, tmp_path, pool).to_xarray()
    xarray.testing.assert_identical(first, again)


def test_local_processes_are_the_default(tmp_path):
    result = sweep(MAKE, {"signal": [4.0]}, tmp_path)
    assert float(result.free_energy[0]) == solve(endpoint(4, 4.0)).free_energy


def test_a_digest_tells_problems_apart_and_nothing_else():
    assert digest(endpoint(4, 4.0)) == digest(endpoint(4, 4.0))
    others = [endpoint(4, 4.1), endpoint(5, 4.0), endpoint(4, 4.0, kappa=2.0), endpoint(4, 4.0, arch="dnn")]
    assert len({digest(p) for p in (endpoint(4, 4.0), *others)}) == 5


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="no values"):
        sweep(MAKE, {"signal": []}, tmp_path)
    with pytest.raises(InputError, match="different sizes"):
        sweep(functools.partial(endpoint, signal=1.0), {"T": [4, 5]}, tmp_path)
    with pytest.raises(InputError, match="signal"):
        sweep(MAKE, {"signal": [-1.0]}, tmp_path)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("axes", [1, 3])
def test_outputs_have_a_dimension_of_their_own_where_there_are_several(axes, outputs, n):
    names, P = ("signal", "kappa", "w")[:axes], 2
    shape = (2, 1, 3)[:axes]
    planted = {name: np.zeros(shape) for name in (*module.KEPT_SCALARS, "order_parameter")}
    planted |= {"axes": [(name, range(size)) for name, size in zip(names, shape, strict=True)], "parameters": {}}
    planted["kernel"] = np.zeros((*shape, n * P, n * P))
    planted["prediction"] = np.zeros((*shape, *((outputs,) if outputs > 1 else ()), P, n))
    dimensions, values = module.Sweep.labelled(SimpleNamespace(**planted)).data["prediction"]
    assert dimensions == (*names, *(("output",) if outputs > 1 else ()), "pattern", "time")
    assert values.shape == planted["prediction"].shape


def test_a_point_that_fails_cancels_those_that_have_not_begun_on_an_executor_that_goes_on(tmp_path, monkeypatch):
    begun, gate = [], threading.Event()

    def failing(problem):
        begun.append(problem)
        if len(begun) == 1:
            raise RuntimeError("the first")
        gate.wait(5.0)

    monkeypatch.setattr(module, "solved", failing)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(RuntimeError, match="the first"):
            sweep(MAKE, {"signal": [1.0, 2.0, 3.0, 4.0]}, tmp_path, pool)
        gate.set()
        assert pool.submit(int, "7").result() == 7
    assert len(begun) <= 2
