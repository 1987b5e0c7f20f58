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
# # A time series with gaps
#
# A network has to continue a sine from one input pulse at $t=0$, and most of its times have no label. Weight sharing is then an
# inductive bias: one step that is right at the labelled times is right between them too.

# %%
import matplotlib.pyplot as plt
import numpy as np

import unrolled
from unrolled import tasks

# %% [markdown]
# ## The task
#
# The labels are $y^{t+1}=y\,\sin(2\pi\nu t)$ at the supervised hidden times $t$; elsewhere they are NaN, which means no supervision.

# %%
frequency, label, kappa = 1 / 8, 6.0, 0.05
times = (1, 2, 3, 5, 8)
whole = tasks.sine_generation(T=10, frequencies=(frequency,), label=label, kappa=kappa)
problem = {
    arch: tasks.sine_generation(T=10, frequencies=(frequency,), supervise=times, label=label, kappa=kappa, arch=arch)
    for arch in ("rnn", "dnn")
}
problem["rnn"].plot()
plt.show()

# %% [markdown]
# ## Theory for both architectures

# %%
state = {arch: unrolled.solve(task) for arch, task in problem.items()}
prediction = {arch: unrolled.predict(found).mean[0] for arch, found in state.items()}

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
t = np.arange(1, 10)
ax.plot(t, whole.y[0], "k:", label="the sine")
ax.plot(t, problem["rnn"].y[0], "kx", label="labels")
for arch, color in (("rnn", "C0"), ("dnn", "C1")):
    ax.plot(t, prediction[arch], "o-", color=color, mfc="none", label=arch.upper())
ax.set(xlabel="hidden time $t$", ylabel=r"output $f^{\,t+1}$")
ax.legend()
plt.show()

# %% [markdown]
# The DNN's outputs fall to the prior's mean, 0, at times without a label: its mask leaves no correlation of a time with another.
# The RNN goes on between the labels.

# %%
gaps = np.isnan(problem["rnn"].y[0])
np.testing.assert_allclose(prediction["dnn"][gaps], 0, atol=1e-12)
error = {arch: np.sqrt(np.mean((prediction[arch] - whole.y[0])[gaps] ** 2)) for arch in prediction}
print("root mean squared error in the gaps:", {arch: round(float(value), 3) for arch, value in error.items()})
assert error["rnn"] < error["dnn"]

# %% [markdown]
# ## What the recurrent matrix has learnt
#
# Eigenvalues outside the bulk of radius $\sqrt w$ are those of a rotation by the sine's angle, $2\pi\nu$ a step.

# %%
(eigenvalues,) = unrolled.outliers(state["rnn"])
print("moduli", np.abs(eigenvalues).round(3), "angles over 2π", (np.angle(eigenvalues) / (2 * np.pi)).round(3))
np.testing.assert_allclose(np.abs(np.angle(eigenvalues)) / (2 * np.pi), frequency, rtol=0.02)
