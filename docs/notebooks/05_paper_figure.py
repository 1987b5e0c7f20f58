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
# # A figure for a paper, from scratch
#
# The order parameter through the transition at $T=4$: exact theory as lines, sampled networks as points with error bars, at the
# width of one column.

# %%
from pathlib import Path
from tempfile import gettempdir

import matplotlib.pyplot as plt
import numpy as np
from sympy import lambdify

import unrolled
from unrolled import theory

# %% [markdown]
# ## Lines: exact
#
# At $T=4$ the coherent branch is a rational curve in a parameter $s$; SymPy's expressions become functions of NumPy arrays.

# %%
branch = theory.coherent_branch(1)
branch.signal

# %%
s = 2 + np.linspace(1e-3, 0.65, 200) ** 2  # the branch begins at s = 2
order_parameter, signal = (lambdify(branch.parameter, formula)(s) for formula in (branch.kernel[2, 3], branch.signal))
critical = float(theory.critical_point(4, 1).signal)
print(f"λ_c = {critical}")

# %% [markdown]
# ## Points: sampled networks
#
# Standard errors include autocorrelation. The means are given in one of the two signs, which below $\lambda_c$ leaves $\lvert H^{32}\rvert$ of order $1/\sqrt N$ (the first point). Runs for a paper have more steps; `rhat` and
# `ess` say whether these are enough.

# %%
WIDTH, SIGNALS = 64, (6.0, 16.0, 26.0)
runs = [
    unrolled.simulate(
        unrolled.endpoint(T=4, signal=value), WIDTH, chains=2, steps=200, warmup=150, seed=seed, workers=1
    )
    for seed, value in enumerate(SIGNALS)
]
points = [abs(run.kernel_mean[2, 1]) for run in runs]
errors = [2 * run.kernel_standard_error[2, 1] for run in runs]

# %% [markdown]
# ## The figure

# %%
plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
fig, ax = plt.subplots(figsize=(3.4, 2.3), layout="constrained")
ax.plot(signal, order_parameter, color="C0", label="RNN, theory")
ax.plot([0, signal.max()], [0, 0], color="C1", label="DNN, theory")
ax.errorbar(SIGNALS, points, yerr=errors, fmt="D", ms=4, mfc="none", color="k", label=f"RNN, sampled, $N={WIDTH}$")
ax.axvline(critical, color="0.7", lw=0.8, zorder=0)
ax.text(critical, ax.get_ylim()[1], r"$\lambda_c$", ha="center", va="bottom")
ax.set(xlabel=r"signal $\lambda$", ylabel=r"order parameter $H^{3,2}$", xlim=(0, signal.max()))
ax.legend(frameon=False)
fig.savefig(Path(gettempdir()) / "order-parameter.pdf")
plt.show()

# %% [markdown]
# The formula for the caption comes from the same object:

# %%
print(theory.critical_point(4, theory.symbols.kappa).latex("signal", columns=2))
