# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sampled networks: means, widths and the trend in $1/N$; the bias of a finite step
#
# The theory is the minimum $H$ of $F$ at $N\to\infty$. At width $N$ the kernel's mean is $H+\delta/N+O(N^{-2})$ and its
# entries fluctuate with standard deviation $s/\sqrt N$; both follow from derivatives of $F$ and the measure (appendix 7),
# and the linear network's kernel even has an exact density at every $N$. Networks whose weights are sampled know nothing
# of this. Here they are held against it at $T=4,5,6$, RNN and DNN, below and above the transition.
#
# As it stands this takes four cases at two widths. `python derivations/appendix/09_sampled_networks.py --full` takes
# all twelve at $N=64,128,\dots,2048$, in about fifteen minutes.

# %%
import sys
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from numerics import solve
from numerics.checking.agreement import compare_means
from numerics.inputs.problem import Problem, endpoint
from numerics.linalg import FloatArray
from numerics.predictors.finite_width import kernel_mean, kernel_sd, kernel_shift
from numerics.results.solution import Solution
from numerics.sampling import simulate
from numerics.sampling.diagnostics import summarise
from numerics.sampling.network import make_network
from numerics.sampling.result import Simulation
from numerics.sampling.sgld import SGLD, mobility

FULL = "--full" in sys.argv
BELOW, ABOVE = 1.0, 30.0
WIDTHS: tuple[int, ...] = (128, 1024)
if FULL:
    WIDTHS = (64, 128, 256, 512, 1024, 2048)
    CASES = [(T, arch, signal) for T in (4, 5, 6) for arch in ("rnn", "dnn") for signal in (BELOW, ABOVE)]
    STEPS = 400
else:
    CASES = [(4, "rnn", BELOW), (4, "rnn", ABOVE), (5, "dnn", ABOVE), (6, "rnn", ABOVE)]
    STEPS = 300

# %% [markdown]
# ## 1. Means and widths
#
# The shift is smaller than the fluctuations by $\delta/(s\sqrt N)$: to see it at $N=2048$ in a plain mean would take
# $10^5$ independent networks. It takes hundreds with control variates. For any vector field $v$ over the weights,
# $\nabla\cdot v-v\cdot\nabla\mathcal U$ has mean zero under $e^{-\mathcal U}$. The sampler moves $X=[U,G]$, where $G$ is
# what the network sees of $W$ ($N\times d$ numbers, the rest is integrated out). With the linear fields that add column
# $i$ to column $j$, these are
#
# $$c_{ij}=N\delta_{ij}-X_i\cdot(X_j+\partial L/\partial X_j),$$
#
# functions of inner products of columns, as the kernel is. To first order in the fluctuations they span those of the
# kernel, so that a regression on them leaves the second order: an error of $O(1/N)$, like the shift. (The slopes used on
# one chain are fitted to the other, or they would bias the mean.)
#
# Without labels the $c_{ij}$ need no sampling: $X$ is standard normal, $c_{ij}$ has mean 0, and variance $N$ or, on the
# diagonal, $2N$.

# %%
unlabelled = simulate(endpoint(4, 0.0, kappa=1e9), 64, chains=2, steps=300, warmup=60, seed=3, workers=1)
assert unlabelled.controls is not None
means = summarise(unlabelled.controls)
print("c_ij without labels, mean over its standard error:", np.round(means.mean / means.standard_error, 1).tolist())
assert np.abs(means.mean / means.standard_error).max() < 4
assert np.allclose(means.sd, np.sqrt(64 * (1 + np.eye(3))), rtol=0.25)

# %% [markdown]
# Every chain starts in the phase of the theory's state: at $T=6$ the transition is discontinuous. Where the state is
# coherent, $W\to-W$ takes each draw to the sign of its order parameter. The sampler has no step bias. In the table are
# $N$ times the difference to $H$ of the last diagonal entry, its error with and without control variates, and $\delta$;
# then the standard deviation and $s$; last the largest difference to the mean of the exact density at that width, over
# all independent entries, in standard errors.


# %%
def sampled(problem: Problem, solution: Solution, width: int) -> tuple[Simulation, FloatArray]:
    """A simulation in the theory's phase, and the signs that take the theory's kernel to the positive basin."""
    run = simulate(
        problem, width, chains=2, steps=STEPS, warmup=120, init=solution.branch, seed=width + problem.T, workers=1
    )
    signs = np.ones_like(solution.kernel)
    if solution.branch == "coherent":
        run = run.gauge_fixed()
        if solution.kernel[-1, -2] < 0:
            alternating = (-1.0) ** np.arange(problem.n)
            signs = np.outer(alternating, alternating)
    return run, signs


rows = []
print("T arch   λ     N   N(mean-H)  ± error (plain)       δ    √N sd       s   largest z   R-hat")
for T, arch, signal in CASES:
    problem = endpoint(T, signal, arch=arch)
    solution = solve(problem)
    assert solution.converged
    assert (solution.branch == "coherent") == (arch == "rnn" and signal == ABOVE)
    shift = kernel_shift(solution)
    for width in WIDTHS:
        run, signs = sampled(problem, solution, width)
        exact = kernel_mean(solution, width, one_sign=solution.branch == "coherent", draws=100_000)
        mean = run.kernel_controlled
        assert mean is not None
        error = np.hypot(mean.standard_error, exact.standard_error)
        rows.append(
            {
                "case": (T, arch, signal),
                "width": width,
                "difference": mean.mean - signs * solution.kernel,
                "error": mean.standard_error,
                "sd": run.kernel_sd,
                "shift": signs * shift,
                "spread": np.sqrt(width) * kernel_sd(solution, width),
                "exact_sd": exact.sd,
                "verdict": compare_means(
                    signs * exact.kernel, mean.mean, error, rhat=run.rhat, ess=float(mean.ess.min())
                ),
                "rhat": run.rhat,
            }
        )
        last = {name: rows[-1][name][-1, -1] for name in ("difference", "error", "sd", "shift", "spread")}
        print(
            f"{T} {arch} {signal:4.0f} {width:5d} {width * last['difference']:11.3f} {width * last['error']:7.3f} "
            f"({width * run.kernel_standard_error[-1, -1]:7.2f}) {last['shift']:8.3f} "
            f"{np.sqrt(width) * last['sd']:8.3f} {last['spread']:7.3f} "
            f"{np.abs(rows[-1]['verdict'].z).max():9.2f}   {run.rhat:.3f}",
            flush=True,
        )

# %% [markdown]
# Every mean agrees with the exact density at its width (a difference is called one when it would occur by chance less than
# once in a thousand such comparisons), and every standard deviation within its sampling error. At the largest width the first
# order in $1/N$ alone is enough.

# %%
for row in rows:
    limit = row["verdict"].z_limit
    assert np.abs(row["verdict"].z).max() < limit, (row["case"], row["width"])
    assert row["rhat"] < 1.1, (row["case"], row["width"])
    moving = row["exact_sd"] > 0
    assert np.abs(row["sd"] / row["exact_sd"] - 1)[moving].max() < 0.4, (row["case"], row["width"])
    if row["width"] == WIDTHS[-1]:
        z = (row["difference"] - row["shift"] / row["width"]) / row["error"]
        assert np.abs(z).max() < limit, row["case"]

# %% [markdown]
# The comparison has the power to see the shift. Where it stands out of the errors at every width, its trend is that of
# $1/N$: the exponent of a power law through the entry whose shift is known best.


# %%
def clearest(own: list[dict[str, Any]]) -> tuple[np.intp, ...]:
    """The entry whose shift is largest beside the errors."""
    clear = np.abs(own[0]["shift"]) / np.max([row["width"] * row["error"] for row in own], axis=0)
    return np.unravel_index(clear.argmax(), clear.shape)


resolved = 0
for case in CASES:
    own = [row for row in rows if row["case"] == case]
    entry = clearest(own)
    sizes, errors = (np.array([row[name][entry] for row in own]) for name in ("difference", "error"))
    if (np.abs(sizes) < 4 * errors).any():
        print(f"{case}: entry {entry[0] + 1}{entry[1] + 1} is not known well enough at every width")
        continue
    resolved += 1
    powers, covariance = np.polyfit(np.log(WIDTHS), np.log(np.abs(sizes)), 1, w=np.abs(sizes) / errors, cov="unscaled")
    error = np.sqrt(covariance[0, 0])
    print(f"{case}: |mean - H| of entry {entry[0] + 1}{entry[1] + 1} falls as N^({powers[0]:.3f} ± {error:.3f})")
    assert abs(powers[0] + 1) < 4 * error + 0.02, case
assert resolved >= len(CASES) / 2

# %% [markdown]
# In pictures: the difference of the mean (circles) falls as $\delta/N$ (line), the standard deviation of the same entry
# (squares) as $s/\sqrt N$ (dashes). Bars are standard errors.

# %%
columns = 4 if FULL else 2
count = -(-len(CASES) // columns)
figure, axes = plt.subplots(count, columns, figsize=(3.2 * columns, 2.4 * count), sharex=True, squeeze=False)
for panel, case in zip(axes.flat, CASES, strict=True):
    own = [row for row in rows if row["case"] == case]
    entry = clearest(own)
    sign = np.sign(own[0]["shift"][entry])
    widths = np.array(WIDTHS, float)
    difference, error, sd = (np.array([row[name][entry] for row in own]) for name in ("difference", "error", "sd"))
    panel.plot(widths, sign * own[0]["shift"][entry] / widths, color="tab:blue")
    panel.errorbar(widths, sign * difference, error, fmt="o", ms=4, color="tab:blue")
    panel.plot(widths, own[0]["spread"][entry] / np.sqrt(widths), "--", color="tab:orange")
    panel.plot(widths, sd, "s", ms=4, color="tab:orange")
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    T, arch, signal = case
    panel.set_title(f"{arch.upper()}, $T={T}$, $\\lambda={signal:g}$: $H^{{{entry[0] + 1}{entry[1] + 1}}}$", fontsize=9)
for panel in axes[-1]:
    panel.set_xlabel("width $N$")
for panel in axes[:, 0]:
    panel.set_ylabel("of the kernel's entry")
figure.tight_layout()
if FULL:
    figure.savefig("sampled_networks.png", dpi=120)
plt.show()

# %% [markdown]
# ## 2. What a finite step does to the network's kernel
#
# Appendix 8 derives the bias of Langevin dynamics in its step $h$: first order for Euler and Maruyama's steps, second for
# those of Leimkuhler and Matthews, which are exact where the potential is quadratic.
#
# In the whole network, at $N=64$, the reference is Hamiltonian dynamics of all its weights, with its Metropolis decision
# free of any such bias. Without labels a step multiplies the variance of every weight by $1/(1-h/2)$, and $\Phi^{tt}$ is a
# product of $t$ of them, so that its bias is $th/2$ to first order; the labels add to it. The bias of Euler's steps must be
# proportional to $h$. That of the second-order steps must be far below it.

# %%
problem, width = endpoint(4, 1.0), 64
reference = simulate(problem, width, "hmc-weights", chains=2, steps=2000, warmup=300, seed=1, workers=1)
assert reference.rhat < 1.02
theory = kernel_mean(solve(problem), width)
assert (
    np.abs(
        (reference.kernel_mean - theory.kernel) / np.hypot(reference.kernel_standard_error, theory.standard_error)
    ).max()
    < 4
)


def bias(step_size: float, integrator: Literal["euler", "leimkuhler-matthews"]) -> tuple[FloatArray, FloatArray]:
    """Bias of the kernel's diagonal over h, and its standard error."""
    run = simulate(
        problem,
        width,
        "sgld",
        chains=1,
        steps=20_000,
        warmup=500,
        seed=2,
        step_size=step_size,
        integrator=integrator,
        workers=1,
    )
    difference = run.kernel_mean - reference.kernel_mean
    error = np.hypot(run.kernel_standard_error, reference.kernel_standard_error)
    return np.diag(difference) / step_size, np.diag(error) / step_size


first = {size: bias(size, "euler") for size in (0.1, 0.25)}
second = {size: bias(size, "leimkuhler-matthews") for size in (0.1, 0.25)}
for name, values in (("Euler", first), ("Leimkuhler-Matthews", second)):
    for size, (value, error) in values.items():
        print(f"{name}, h = {size}: bias/h of Φ^11, Φ^22, Φ^33 =", np.round(value, 2), "±", np.round(error, 2))
assert (first[0.25][0] > 8 * first[0.25][1]).all()  # seen
assert (
    np.abs(first[0.25][0] - first[0.1][0]) < 3.5 * np.hypot(first[0.25][1], first[0.1][1])
).all()  # proportional to h
assert (np.abs(second[0.25][0]) < 0.3 * first[0.25][0]).all()
assert (np.abs(second[0.1][0]) < 3.5 * second[0.1][1]).all()

# %% [markdown]
# ## 3. The order of the two schemes in a whole network
#
# At small steps the bias of the second-order scheme is too small to be seen beside an independent reference. The
# differences between a step $h$ and $h/2$ are seen if both chains are driven by the same noise: the noise of the coarse
# step is the sum of the fine steps' over $\sqrt2$. Chains that start together then stay together, up to the error of
# the step. A bias of order $p$ makes successive differences fall by $2^p$. A narrow erf network ($N=8$, $\lambda=8$) has
# a potential far from quadratic.

# %%
SIZES = (0.4, 0.2, 0.1)
BLOCKS, BLOCK = (120 if FULL else 24), 500


class Replayed(np.random.Generator):
    """A source of given numbers, in place of a generator."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64())

    def load(self, numbers: NDArray[Any]) -> None:
        self.numbers, self.used = numbers, 0

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        out.reshape(-1)[:] = self.numbers[self.used : self.used + out.size]
        self.used += out.size
        return out


def differences(integrator: Literal["euler", "leimkuhler-matthews"]) -> tuple[FloatArray, FloatArray]:
    """Of ⟨Φ^11⟩ between successive step sizes, and their standard errors."""
    net = make_network(endpoint(4, 8.0, activation="erf"), 8, "float64")
    samplers = [SGLD(net, size, mobility(net, "prior"), integrator) for size in SIZES]
    rng, source = np.random.default_rng(3), Replayed()
    weights = net.prior_draw(rng, readout=True)
    assert weights.V is not None
    count = weights.U.size + weights.W.size + weights.V.size
    states = []
    for sampler in samplers:
        source.load(np.zeros(count))  # the first noise of the second-order scheme; its effect passes
        states.append(sampler.init(source, weights))
    means = np.zeros((BLOCKS + 2, len(SIZES)))
    for block in means:
        for _ in range(BLOCK):
            noise = rng.standard_normal((4, count))
            for level in reversed(range(len(SIZES))):
                for numbers in noise:
                    source.load(numbers)
                    states[level], info = samplers[level].step(source, states[level])
                    block[level] += (info.activity.phi[0] ** 2).mean() / len(noise) / BLOCK
                noise = (noise[::2] + noise[1::2]) / np.sqrt(2)
    steps = -np.diff(means[2:], axis=1)
    return steps.mean(axis=0), steps.std(axis=0, ddof=1) / np.sqrt(BLOCKS)


INTEGRATORS: dict[str, Literal["euler", "leimkuhler-matthews"]] = {
    "Euler": "euler",
    "Leimkuhler-Matthews": "leimkuhler-matthews",
}
for name, integrator in INTEGRATORS.items():
    difference, error = differences(integrator)
    fall = difference[0] / difference[1]
    spread = fall * np.hypot(*(error / difference))
    print(f"{name}: Φ^11 changes by {difference[0]:.4f}, then {difference[1]:.4f}: a fall by {fall:.1f} ± {spread:.1f}")
    if integrator == "euler":
        assert abs(fall - 2) < 0.3 + 3 * spread
        assert fall + 3 * spread < 4
    else:
        assert fall + 2 * spread > 4
        assert fall - 3 * spread > 2

# %% [markdown]
# Euler's bias halves with the step. That of Leimkuhler and Matthews' falls by four or more: the coefficient of $h^2$ is so
# small in this network that higher orders still show at these steps.
