"""Noise that is drawn along query directions has the law of noise drawn at once; and wrong draws are noticed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy.stats import chi2, ks_2samp, kstest

from numerics.inputs.problem import Problem, endpoint
from numerics.sampling import deferred, sgld
from numerics.sampling.chains import advance, first_state, join
from numerics.sampling.checkpoint import load, save
from numerics.sampling.deferred import DeferredNoise, QueriedNoise, no_noise
from numerics.sampling.network import make_network
from numerics.sampling.observables import observe
from numerics.sampling.plan import Plan
from numerics.sampling.sgld import SGLD, mobility
from numerics.sampling.updated import UpdatedMatrices, plain

FIRST, SECOND = 0.7, 0.4  # variances of two steps' noise
REPEATS = 400  # runs from which moments' distributions are compared


def matrices_with(noise: DeferredNoise) -> UpdatedMatrices:
    """A = 0 with some noise on top."""
    layers, N = noise.frames.shape[1], noise.frames.shape[3]
    return replace(plain(np.zeros((layers, N, N), noise.frames.dtype), 1.0), noise=noise)


def draws(repeats: int, N: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Matrices after two steps of noise, (repeats, N²), and the products taken after the first, (repeats, 3 N).

    What is asked for depends on earlier products.
    """
    rng = np.random.default_rng(1)
    fixed = np.linspace(-1, 1, N)[:, None]
    ends, seen = [], []
    for _ in range(repeats):
        noise = no_noise(1, N, np.dtype(np.float64)).with_more(rng, FIRST)
        queried = QueriedNoise(rng, noise, 2)
        first = queried.forward(0, fixed)
        second = queried.forward(0, np.tanh(first))
        back = queried.backward(0, second**2)
        queried.backward(0, back)
        noise = queried.noise().with_more(rng, SECOND)
        queried = QueriedNoise(rng, noise, 1)
        queried.backward(0, queried.forward(0, np.maximum(back, 0) + 0.1))
        ends.append(matrices_with(queried.noise()).drawn(rng).dense.ravel())
        seen.append(np.concatenate([first, second, back]).ravel())
    return np.array(ends), np.array(seen)


def p_values(repeats: int = 2500) -> list[float]:
    """Of the matrices' covariances, of their entries, and of their products with a vector less those known before."""
    ends, seen = draws(repeats)
    size = ends.shape[1]
    N = round(size**0.5)
    scaled = ends / np.sqrt(FIRST + SECOND)
    covariance = scaled.T @ scaled / repeats - np.eye(size)
    errors = np.sqrt((1 + np.eye(size)) / repeats)  # of a standard normal's
    upper = np.triu_indices(size)
    both = chi2.sf(np.sum((covariance / errors)[upper] ** 2), len(upper[0]))
    fixed = np.linspace(-1, 1, N)
    rest = ends.reshape(-1, N, N) @ fixed - seen[:, :N]  # of the second step's noise alone
    scaled_rest = rest / np.sqrt(SECOND * (fixed @ fixed))
    return [both, kstest(scaled.ravel(), "norm").pvalue, kstest(scaled_rest.ravel(), "norm").pvalue]


def test_the_law_is_that_of_noise_drawn_at_once():
    assert min(p_values()) > 1e-3


def no_orthogonality(monkeypatch):
    """Directions as they come."""

    def as_it_comes(rng, frame, vector):
        return vector / max(np.linalg.norm(vector), 1e-9)

    monkeypatch.setattr(deferred, "_new_direction", as_it_comes)


def forgotten(monkeypatch):
    """A matrix that is drawn without regard to its known products."""
    drawn = UpdatedMatrices.drawn

    def anew(self, rng, **options):
        none = np.zeros_like(self.noise.frames[:, :, :0])
        return drawn(replace(self, noise=DeferredNoise(self.noise.variance, none, none)), rng, **options)

    monkeypatch.setattr(UpdatedMatrices, "drawn", anew)


def unremembered(monkeypatch):
    """Every look at the noise is a first one."""
    make = QueriedNoise.__init__

    def anew(self, rng, noise, more):
        make(
            self,
            rng,
            replace(noise, products=np.sqrt(noise.variance) * rng.standard_normal(noise.products.shape)),
            more,
        )

    monkeypatch.setattr(QueriedNoise, "__init__", anew)


def independent_halves(monkeypatch):
    """A step's noise along the two sides' directions without what they share."""

    def with_more(self, rng, variance):
        more = (np.sqrt(variance) * rng.standard_normal(self.products.shape)).astype(self.products.dtype)
        return DeferredNoise(self.variance + variance, self.frames, self.products + more)

    monkeypatch.setattr(DeferredNoise, "with_more", with_more)


@pytest.mark.parametrize("fault", [no_orthogonality, forgotten])
def test_wrong_draws_are_noticed(fault, monkeypatch):
    fault(monkeypatch)
    assert min(p_values()) < 1e-6


def disagreement(dtype: str) -> float:
    """Largest difference of products that were taken from those with the matrix drawn afterwards."""
    rng = np.random.default_rng(2)
    N, layers = 40, 2
    ahead, back = rng.standard_normal((2, layers, N, 3)).astype(dtype)
    ahead[1, :, 1] = 0  # a vector that needs no direction, one along another, and one almost so
    back[0, :, 1] = 3 * back[0, :, 0]
    back[0, :, 2] = back[0, :, 0] * (1 + 1e-4 * np.arange(N))
    noise, products = no_noise(layers, N, np.dtype(dtype)), []
    for _ in range(3):
        queried = QueriedNoise(rng, noise.with_more(rng, 1.0), 3)
        products = [(queried.forward(k, ahead[k]), queried.backward(k, back[k])) for k in range(layers)]
        noise = queried.noise()
    gram = noise.frames @ noise.frames.transpose(0, 1, 3, 2)
    worst = float(np.abs(gram - np.eye(9)).max())
    whole = matrices_with(noise).drawn(rng).dense
    for matrix, x, y, (forward, backward) in zip(whole, ahead, back, products, strict=True):
        worst = max(worst, float(np.abs(matrix @ x - forward).max()), float(np.abs(matrix.T @ y - backward).max()))
    return worst


@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 2e-4), ("float64", 1e-12)])
def test_what_was_met_stays(dtype, rounding):
    assert disagreement(dtype) < rounding


@pytest.mark.parametrize("fault", [no_orthogonality, forgotten, independent_halves])
def test_what_does_not_stay_is_noticed(fault, monkeypatch):
    fault(monkeypatch)
    assert disagreement("float64") > 0.1


def langevin_moments(problem: Problem, repeats: int, seed: int) -> np.ndarray:
    """Kernel, outputs and W's products with fixed vectors after 11 large steps from one start, (repeats, …)."""
    net = make_network(problem, 16, "float64")
    rng = np.random.default_rng(1)
    begin = net.prior_draw(rng, readout=True)
    fixed = rng.standard_normal((2, 16)) / 4
    sampler = SGLD(net, 0.15, mobility(net, "prior"))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(repeats):
        state = sampler.init(rng, begin)
        for _ in range(11):
            state, info = sampler.step(rng, state)
        state = state.complete(rng)
        seen = observe(net, state.weights)
        entries = [seen.kernel[np.triu_indices(len(seen.kernel))], seen.outputs.ravel(), [info.loss]]
        entries += [[fixed[0] @ layer @ fixed[1], np.sum(layer**2) / 256] for layer in state.weights.W]
        found.append(np.concatenate(entries))
    return np.array(found)


@lru_cache
def drawn_at_once(arch: str) -> np.ndarray:
    return langevin_moments(endpoint(4, 6.0, arch=arch, activation="tanh"), REPEATS, 1)


def least_p_value(arch: str, monkeypatch) -> float:
    """Of equal distributions of every moment with noise drawn at once and deferred, times their number."""
    at_once = drawn_at_once(arch)
    monkeypatch.setattr(sgld, "_FEWEST_ENTRIES", 0)
    monkeypatch.setattr(sgld, "_MOST_DIRECTIONS", 8)
    later = langevin_moments(endpoint(4, 6.0, arch=arch, activation="tanh"), REPEATS, 2)
    return float(min(ks_2samp(a, b).pvalue for a, b in zip(at_once.T, later.T, strict=True))) * at_once.shape[1]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["rnn", "dnn"])
def test_steps_have_the_law_of_steps_drawn_at_once(arch, monkeypatch):
    assert least_p_value(arch, monkeypatch) > 1e-3


@pytest.mark.parametrize("fault", [forgotten, unremembered])
def test_wrong_steps_are_noticed(fault, monkeypatch):
    drawn_at_once("rnn")  # without the fault
    fault(monkeypatch)
    assert least_p_value("rnn", monkeypatch) < 1e-5


def test_a_step_leaves_its_state_as_it_was_and_repeats():
    net = make_network(endpoint(4, 20.0), 384, "float32")
    sampler = SGLD(net, 0.01, mobility(net, "prior"))
    rng = np.random.default_rng(1)
    state = sampler.init(rng, net.prior_draw(rng, readout=True))
    states = [state]
    for _ in range(20):
        states.append(sampler.step(rng, states[-1])[0])
    assert states[1].W.dense is states[0].W.dense  # no pass over all entries
    assert states[20].W.dense is not states[0].W.dense
    for spare in (False, True):
        rng = np.random.default_rng(1)
        own = sampler.init(rng, net.prior_draw(rng, readout=True))
        for before in states:
            for name in ("dense", "left", "right"):
                assert np.array_equal(getattr(own.W, name), getattr(before.W, name))
            assert np.array_equal(own.W.noise.products, before.W.noise.products)
            own, _ = sampler.step(rng, own, np.empty_like(own.W.dense) if spare else None)


def test_checkpoints_between_any_two_steps_change_nothing(tmp_path):
    plan = Plan(
        problem=endpoint(4, 20.0), width=384, sampler="sgld", chains=1, steps=8, warmup=20, step_size=0.005, seed=1
    )
    whole, record = advance(plan, first_state(plan, 0), np.inf)
    state, parts, pending = first_state(plan, 0), [], 0
    while state.done < 28:
        state, part = advance(plan, state, 0.0)
        save(tmp_path / "chain", plan, state, part)
        state, part = load(tmp_path / "chain", plan)
        parts.append(part)
        pending += state.at.W.noise.directions > 0
    assert pending > 10  # noise that is known along some directions, and not yet drawn whole
    assert np.array_equal(state.at.W.dense, whole.at.W.dense)
    assert np.array_equal(join(parts).kernels, record.kernels)
