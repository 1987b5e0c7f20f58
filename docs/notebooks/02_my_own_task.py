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
# # My own task: delayed XOR with a saturating network
#
# Two cues, one after the other; at the end the output says whether they differed. The network has to keep the first cue until the
# second comes. We write the task as arrays, solve the theory for RNN and DNN with $\phi=\mathrm{erf}$, and compare outputs with a
# sampled network.

# %%
import matplotlib.pyplot as plt
import numpy as np

import unrolled

# %% [markdown]
# ## The task as arrays
#
# Inputs `x` have shape (patterns, times, dimensions) with one input for each $t=0\dots n-1$, $n=T-1$. Labels `y` have shape
# (patterns, times); column $t-1$ is the label of $f^{t+1}$, and NaN means no label. With $T=4$ there are three hidden times. Each
# value of a cue has a line of its own: with cues $\pm1$ on one line, opposite inputs would want equal labels, which a network with
# odd $\phi$ and no bias, $f(-x)=-f(x)$, cannot give.

# %%
T, label, kappa = 4, 1.5, 0.1
x = np.zeros((4, T - 1, 4))
y = np.full((4, T - 1), np.nan)
for pattern in range(4):
    first, second = divmod(pattern, 2)
    x[pattern, 0, first] = 2.0  # the first cue at t = 0, on line 1 or 2; x·x/D = 1
    x[pattern, 2, 2 + second] = 2.0  # the second at t = 2, on line 3 or 4
    y[pattern, -1] = label if first != second else -label

problem = {arch: unrolled.Problem(x, y, arch=arch, kappa=kappa, activation="erf") for arch in ("rnn", "dnn")}
ready_made = unrolled.tasks.delayed_xor(T, second=2, label=label, kappa=kappa, activation="erf")
np.testing.assert_array_equal(ready_made.x, x)
np.testing.assert_array_equal(ready_made.y, y)
problem["rnn"].plot()
plt.show()

# %% [markdown]
# ## Theory
#
# The trajectories of four patterns over three times have many dimensions, so that a nonlinear state is solved on samples. Its
# tolerance is the relative error of the kernel; `kernel_error` says what was reached. Most of the time, some ten seconds, goes into
# the search for further minima.

# %%
state = {arch: unrolled.solve(task, tolerance=0.1) for arch, task in problem.items()}
for arch, found in state.items():
    print(
        arch.upper(),
        found.status,
        f"F = {found.free_energy:.3f}, largest error of an entry {found.kernel_error.max():.3f}",
    )
unrolled.plot(list(state.values()))
plt.show()

# %% [markdown]
# ## Theory beside a sampled network
#
# Lines are the theory's outputs with a band of one standard deviation at the width $N$, points means over sampled networks with two
# standard errors. The sampled networks are DNNs, whose chains mix sooner than RNNs'. Where a symmetry leaves the sign of an output
# open, each network chooses one (`sign_arbitrary`).

# %%
WIDTH = 64
sampled = unrolled.simulate(problem["dnn"], WIDTH, chains=2, steps=60, warmup=60, seed=1, workers=1)

fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
for ax, (arch, found) in zip(axes, state.items(), strict=True):
    outputs = unrolled.predict(found, width=WIDTH)
    outputs.plot(ax=ax, sampled=sampled if arch == "dnn" else None)
    print(arch.upper(), "outputs of arbitrary sign at hidden times", outputs.sign_arbitrary)
    assert (np.sign(outputs.mean[:, -1]) == np.sign(y[:, -1])).all()  # the task is solved
plt.show()
np.testing.assert_allclose(outputs.mean[:, -1], sampled.prediction[:, -1], atol=0.1)

# %% [markdown]
# ## What only a nonlinear network can do
#
# A linear network's output is a sum over the two cues, so that it cannot say whether they differ: it predicts 0 for every pattern.
# Each cue alone it can report.

# %%
linear = unrolled.solve(unrolled.Problem(x, y, arch="rnn", kappa=kappa))
np.testing.assert_allclose(unrolled.predict(linear).mean, 0, atol=1e-8)

first = np.where(np.isnan(y), np.nan, label * np.repeat([1, -1], 2)[:, None])
unrolled.predict(unrolled.solve(unrolled.Problem(x, first, arch="rnn", kappa=kappa)), width=WIDTH).plot()
plt.show()
