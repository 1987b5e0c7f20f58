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
# # First steps
#
# A network unrolled in time reads one input at $t=0$ and is trained on one label at the last output, $f^T$ with $T=4$. Two
# architectures: in the RNN all time steps share one matrix $W$, in the DNN each has its own. What does sharing do to the
# representations? At large width the answer is one object, the kernel $H^{tt'}=h^t\cdot h^{t'}/N$ of the hidden times.

# %%
import matplotlib.pyplot as plt

import unrolled
from unrolled import theory

# %% [markdown]
# ## The critical signal, exactly
#
# Beyond a critical signal $\lambda_c$, the RNN's hidden states at different times become correlated. For $T=4$ it is a closed
# form in the noise $\kappa$.

# %%
kappa = theory.symbols.kappa
theory.critical_point(4, kappa).signal

# %% [markdown]
# At $\kappa=1$ that is $81/8$. A signal below it and one beyond:

# %%
weak, strong = (unrolled.solve(unrolled.endpoint(T=4, signal=signal)) for signal in (5.0, 20.0))
strong

# %%
fig, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for state, ax in ((weak, axes[0]), (strong, axes[1])):
    state.plot(ax=ax)
    ax.set_title(f"{state.branch}, F = {state.free_energy:.3f}", loc="left")
plt.show()

# %% [markdown]
# Below, the kernel is diagonal: times are uncorrelated. Beyond, the off-diagonal entries are not zero. The DNN has no such
# state: its mask cuts the correlations.

# %%
dnn = unrolled.solve(unrolled.endpoint(T=4, signal=20.0, arch="dnn"))
assert dnn.branch == weak.branch == "incoherent"
assert strong.branch == "coherent"
assert strong.free_energy < dnn.free_energy
print(f"RNN {strong.free_energy:.4f}, DNN {dnn.free_energy:.4f}: coherence pays off.")

# %% [markdown]
# ## A sampled network
#
# The simulator knows nothing of the theory: it samples the weights of a network of finite width. `compare` puts the two
# kernels beside each other on one colour scale. The sign of the off-diagonal entries is arbitrary, since $W\to-W$ is a
# symmetry; both are shown with the same one. (`rhat` close to 1 and a
# hundred effective samples, `ess`, say that a run can be relied on.)

# %%
sampled = unrolled.simulate(strong.problem, width=64, chains=2, steps=300, warmup=150, seed=1, workers=1)
unrolled.compare(strong, sampled).plot()
plt.show()
print(f"R-hat {sampled.rhat:.3f}, effective samples {sampled.ess:.0f}")
