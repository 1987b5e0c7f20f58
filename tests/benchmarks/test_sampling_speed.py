"""The samplers' speed as ratios within one run: to drawing random numbers, to each other, and to other libraries.

The posterior is that of `endpoint`, T = 4, λ = 20, κ = 1, RNN, N = 1024, in single precision. Effective samples are
those of the slowest kernel entry. Run on an idle machine.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from numerics.inputs.problem import endpoint
from numerics.sampling.collapsed import CollapsedHMC, activations, write_out
from numerics.sampling.diagnostics import summarise_symmetric
from numerics.sampling.hmc import HMC
from numerics.sampling.network import Network, Weights, make_network
from numerics.sampling.normals import fill_normal
from numerics.sampling.observables import observe, observe_activity
from numerics.sampling.readout import draw_readout
from numerics.sampling.sgld import SGLD, mobility
from numerics.sampling.starts import start

pytestmark = pytest.mark.benchmark

N = 1024
STEP = 0.003  # of Langevin dynamics: 0.2 over the largest curvature
LABEL = math.sqrt(20.0)


def median_seconds(function: Callable[[], object], repeats: int = 30) -> float:
    for _ in range(3):
        function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def network() -> Network:
    return make_network(endpoint(4, 20.0), N, "float32")


@cache
def stationary() -> Weights:
    """A draw from the posterior, V included, at which every sampler starts."""
    net, rng = network(), np.random.Generator(np.random.SFC64(5))
    sampler = CollapsedHMC(net, 0.3, math.pi / 2)
    state = sampler.init(start(rng, net, "coherent", readout=False))
    for _ in range(300):
        state, _ = sampler.step(rng, state)
    phi = activations(net, state.seen)
    return replace(write_out(rng, net, state.seen), V=draw_readout(rng, net, phi))


def in_precision(weights: Weights, dtype: str) -> Weights:
    return Weights(*(part.astype(dtype) for part in (weights.U, weights.W, weights.V)))


def langevin_step(threads: int, dtype: str = "float32") -> Callable[[], object]:
    net = make_network(endpoint(4, 20.0), N, dtype)
    sampler = SGLD(net, STEP, mobility(net, "prior"), threads=threads)
    rng = np.random.Generator(np.random.SFC64(1))
    state = [sampler.step(rng, sampler.init(rng, in_precision(stationary(), dtype)))[0]]

    def step() -> None:
        state[0], _ = sampler.step(rng, state[0], state[0].W.dense)  # in place, as the other libraries' are

    return step


def torch_step(threads: int) -> Callable[[], object]:
    """A plain PyTorch Langevin step: autograd, in-place update, in the same whitened weights."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    weights = stationary()
    U, W, V = (torch.tensor(part, requires_grad=True) for part in (weights.U, weights.W[0], weights.V))

    def step() -> None:
        h = U[:, 0]
        for _ in range(2):
            h = W @ h / math.sqrt(N)
        loss = (V @ h / N - LABEL) ** 2 * N / 2
        loss.backward()
        with torch.no_grad():
            for part in (U, W, V):
                part.mul_(1 - STEP).sub_(part.grad, alpha=STEP)
                part.add_(torch.randn_like(part), alpha=math.sqrt(2 * STEP))
                part.grad = None

    step.weights = (U, W, V)  # type: ignore[attr-defined]
    return step


def jax_log_density() -> Callable[..., object]:
    import jax.numpy as jnp

    def log_density(weights):
        U, W, V = weights
        h = U[:, 0]
        for _ in range(2):
            h = W @ h / math.sqrt(N)
        prior = sum(jnp.sum(part**2) for part in weights)
        return -((V @ h / N - LABEL) ** 2) * N / 2 - prior / 2

    return log_density


def jax_step() -> Callable[[], object]:
    jax = pytest.importorskip("jax")
    gradient = jax.grad(jax_log_density())

    @jax.jit
    def move(key, weights):
        keys = jax.random.split(key, 4)
        slopes = gradient(weights)
        moved = tuple(
            part + STEP * slope + math.sqrt(2 * STEP) * jax.random.normal(own, part.shape)
            for part, slope, own in zip(weights, slopes, keys[1:], strict=True)
        )
        return keys[0], moved

    weights = stationary()
    state = [jax.random.key(1), tuple(map(jax.numpy.asarray, (weights.U, weights.W[0], weights.V)))]

    def step() -> None:
        state[:] = move(*state)
        jax.block_until_ready(state[1])

    return step


def seconds_in_turn(functions: dict[str, Callable[[], object]], repeats: int = 25) -> dict[str, float]:
    """Median time of each function; they take turns, so that all meet the same machine.

    Timed are sixteen calls at once: every sixteenth Langevin step draws the noise that the others have not met.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            began = time.perf_counter()
            for _ in range(16):
                function()
            times[name].append((time.perf_counter() - began) / 16)
    return {name: float(np.median(values)) for name, values in times.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_langevin_step_against_drawing_its_numbers(dtype):
    """A step adds N² normals to W. It draws all of them once in sixteen steps, and before only those that are met."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    out, tensor = np.empty((N, N), dtype), torch.empty(N, N, dtype=getattr(torch, dtype))
    rng = np.random.Generator(np.random.SFC64(1))
    with threadpool_limits(1):
        seconds = seconds_in_turn(
            {
                "step": langevin_step(1, dtype),
                "NumPy (SFC64)": lambda: rng.standard_normal(out=out, dtype=out.dtype),
                "PyTorch": tensor.normal_,
                "our generator": lambda: fill_normal(rng, out),
            }
        )
    step = seconds.pop("step")
    for name, own in seconds.items():
        print(f"\nLangevin step / drawing N² normals with {name}, {dtype}: {step / own:.2f}", end="")
    print()
    assert step < 1.3 * min(seconds.values())


def test_langevin_step_against_pytorch_and_jax():
    with threadpool_limits(1):
        ours = median_seconds(langevin_step(2))
    peers = {"PyTorch": median_seconds(torch_step(2)), "JAX": median_seconds(jax_step())}
    for name, seconds in peers.items():
        print(f"\n{name}'s Langevin step / ours, two threads: {seconds / ours:.2f}", end="")
    print()
    assert ours < min(peers.values())


class Rate(NamedTuple):
    """What a run gave: effective samples of the slowest kernel entry, recorded kernels, seconds."""

    ess: float
    kernels: int
    seconds: float

    @property
    def effective(self) -> float:
        """Effective samples a second."""
        return self.ess / self.seconds


def effective_rate(name: str, next_kernel: Callable[[], np.ndarray], seconds: float) -> Rate:
    """A run of about `seconds`, from a stationary state."""
    for _ in range(3):
        next_kernel()  # compilation
    kernels = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(kernels) < 20:
        kernels.append(next_kernel())
    spent = time.perf_counter() - began
    ess = float(summarise_symmetric(np.array(kernels, dtype=np.float64)[None]).ess.min())
    print(f"\n{name}: {ess:.1f} effective of {len(kernels)} in {spent:.0f} s, {ess / spent:.3g} a second", end="")
    return Rate(ess, len(kernels), spent)


def kernel_of(h1: np.ndarray, W: np.ndarray) -> np.ndarray:
    times = [h1]
    for _ in range(2):
        times.append(W @ times[-1] / math.sqrt(N))
    hidden = np.array(times, dtype=np.float64)
    return hidden @ hidden.T / N


def hmc_rate(seconds: float) -> Rate:
    net = network()
    sampler, rng = HMC(net, 0.3, math.pi / 2), np.random.Generator(np.random.SFC64(2))
    state, spare = [sampler.init(replace(stationary(), V=None))], [None]

    def next_kernel() -> np.ndarray:
        before = state[0].weights.W
        state[0], _ = sampler.step(rng, state[0], spare[0])
        spare[0] = None if state[0].weights.W is before else before
        return observe(net, state[0].weights).kernel

    with threadpool_limits(1):
        return effective_rate("our HMC", next_kernel, seconds)


def collapsed_rate(seconds: float) -> Rate:
    net = network()
    sampler, rng = CollapsedHMC(net, 0.3, math.pi / 2), np.random.Generator(np.random.SFC64(2))
    state = [sampler.init(replace(stationary(), V=None))]

    def next_kernel() -> np.ndarray:
        state[0], _ = sampler.step(rng, state[0])
        return observe_activity(net, activations(net, state[0].seen), None, None).kernel

    with threadpool_limits(1):
        return effective_rate("our collapsed HMC", next_kernel, seconds)


def sgld_rate(seconds: float) -> Rate:
    net = network()
    sampler, rng = SGLD(net, STEP, mobility(net, "prior")), np.random.Generator(np.random.SFC64(3))
    state = [sampler.step(rng, sampler.init(rng, stationary()))[0]]

    def next_kernel() -> np.ndarray:
        for _ in range(20):
            state[0], info = sampler.step(rng, state[0], state[0].W.dense)
        return observe_activity(net, info.activity.phi, None, None).kernel  # of the last state but one

    with threadpool_limits(1):
        return effective_rate("our Langevin dynamics", next_kernel, seconds)


def torch_rate(seconds: float) -> Rate:
    step = torch_step(1)
    U, W, _ = step.weights  # type: ignore[attr-defined]

    def next_kernel() -> np.ndarray:
        for _ in range(20):
            step()
        return kernel_of(U.detach().numpy()[:, 0], W.detach().numpy())

    return effective_rate("PyTorch Langevin dynamics", next_kernel, seconds)


#: Step and number of steps of BlackJAX's HMC. 0.05 is about the largest step that is still accepted four times in five
#: in 10⁶ dimensions; 31 of them turn the weights by π/2.
PEER_HMC = ((0.05, 31), (0.05, 16), (0.07, 22), (0.035, 45))


def blackjax_rate(kind: str, seconds: float, hmc: tuple[float, int] = PEER_HMC[0]) -> Rate:
    jax = pytest.importorskip("jax")
    blackjax = pytest.importorskip("blackjax")
    density = jax_log_density()
    weights = stationary()
    position = tuple(map(jax.numpy.asarray, (weights.U, weights.W[0], weights.V)))
    ones = jax.tree.map(jax.numpy.ones_like, position)
    flat = jax.flatten_util.ravel_pytree(ones)[0]
    if kind == "hmc":
        step_size, count = hmc
        sampler = blackjax.hmc(density, step_size=step_size, inverse_mass_matrix=flat, num_integration_steps=count)
    elif kind == "nuts":
        sampler = blackjax.nuts(density, step_size=0.05, inverse_mass_matrix=flat)
    else:
        gradient = jax.grad(density)
        sampler = blackjax.sgld(lambda at, _: gradient(at))
    key = [jax.random.key(4)]
    if kind == "sgld":
        step = jax.jit(lambda own, at: sampler.step(own, at, None, STEP))
        state = [sampler.init(position)]
    else:
        step = jax.jit(sampler.step)
        state = [sampler.init(position)]
    accepted = []

    def next_kernel() -> np.ndarray:
        for _ in range(20 if kind == "sgld" else 1):
            key[0], own = jax.random.split(key[0])
            result = step(own, state[0])
            state[0] = result if kind == "sgld" else result[0]
            if kind != "sgld":
                accepted.append(float(result[1].acceptance_rate))
        U, W, _ = state[0] if kind == "sgld" else state[0].position
        return kernel_of(np.asarray(U)[:, 0], np.asarray(W))

    named = f"BlackJAX HMC, {hmc[1]} steps of {hmc[0]}" if kind == "hmc" else f"BlackJAX {kind}"
    rate = effective_rate(named, next_kernel, seconds)
    if accepted:
        print(f" (acceptance {np.mean(accepted):.2f})", end="")
    return rate


def test_effective_samples_per_second():
    hmc, weights, ours = collapsed_rate(15), hmc_rate(25), sgld_rate(250)
    tuned = {setting: blackjax_rate("hmc", 40, setting).effective for setting in PEER_HMC}
    peers = [blackjax_rate("hmc", 250, max(tuned, key=lambda setting: tuned[setting])), blackjax_rate("nuts", 250)]
    # The others' Langevin dynamics is ours, at the same step: as many kernels of theirs are worth as much as ours.
    langevin = [torch_rate(15), blackjax_rate("sgld", 15)]
    assert min(rate.ess for rate in (hmc, weights, ours, *peers)) > 15
    best = max(rate.effective for rate in peers)
    best = max(best, *(ours.ess / ours.kernels * rate.kernels / rate.seconds for rate in langevin))
    for name, rate in (("HMC, W integrated out", hmc), ("HMC of all weights", weights)):
        to_ours = rate.effective / ours.effective
        print(f"\n{name} / our Langevin dynamics: {to_ours:.0f}; / best peer: {rate.effective / best:.0f}", end="")
    print()
    assert hmc.effective > 50 * ours.effective
    assert hmc.effective > 20 * best


MEMORY = """
from pathlib import Path
from numerics.inputs.problem import endpoint
from numerics.sampling.chains import advance, first_state
from numerics.sampling.plan import Plan
plan = Plan(problem=endpoint(4, 20.0), width=2048, sampler="{sampler}", chains=1, steps=8, seed=1, warmup=40)
state = first_state(plan, 0)
for _ in range(48):
    state, _ = advance(plan, state, 0.0)
print(next(line.split()[1] for line in Path('/proc/self/status').open() if line.startswith('VmHWM')))
"""


@pytest.mark.parametrize("sampler", ["hmc-weights", "collapsed", "sgld"])
def test_memory_of_a_chain(sampler):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY.format(sampler=sampler)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    peak = float(done.stdout) / 1024
    print(f"\npeak memory of a chain at N = 2048, {sampler}: {peak:.0f} MB")
    assert peak < 150
