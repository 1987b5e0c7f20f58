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
# # A phase diagram in signal and noise
#
# Where in the plane of learning signal $\lambda$ and noise $\kappa$ is the RNN coherent? For endpoint supervision whole grids of
# problems are solved at once, and the critical line is known exactly.

# %%
import matplotlib.pyplot as plt
import numpy as np

import unrolled
from unrolled import theory

# %% [markdown]
# ## The state of lowest free energy on a grid
#
# Drawn, a grid in two parameters becomes a map of the order parameter $H^{T-1,T-2}$, with the exact line $\lambda_c(\kappa)$ on it.

# %%
signal, kappa = np.meshgrid(np.linspace(1, 40, 60), np.linspace(0, 8, 41))
states = unrolled.solve_endpoint_batch(4, signal, kappa, branch="lowest")
states.plot()
plt.show()

# %% [markdown]
# The line is this closed form, and the grid's edge follows it:

# %%
exact = theory.critical_point(4, theory.symbols.kappa).signal
exact

# %%
line = np.array([float(exact.subs(theory.symbols.kappa, value)) for value in kappa[:, 0]])
coherent = states.order_parameter > 1e-6
for row, critical in zip(coherent, line, strict=True):
    np.testing.assert_array_equal(row, signal[0] > critical)

# %% [markdown]
# ## Where the transition is discontinuous
#
# At $T=6$ it is discontinuous: from the fold to $\lambda_c$ both states are minima. `scan` follows every branch along the
# signal, here at $\kappa=20$, where that range is wide.

# %%
scan = unrolled.scan(unrolled.endpoint(T=6, signal=1.0, kappa=20.0), {"signal": np.linspace(26, 50, 60)})
scan.plot()
plt.show()

# %%
point = theory.critical_point(6, 20)
print("order:", point.order, " λ_c =", float(point.signal))
for special in scan.special_points:
    print(special.type, round(special.value, 4))
pitchfork = next(special for special in scan.special_points if special.type == "pitchfork")
np.testing.assert_allclose(pitchfork.value, float(point.signal), rtol=1e-6)
