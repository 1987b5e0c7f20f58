"""A peer for nonlinear DNNs: the saddle of docs/theory.md section 4 by gradient descent-ascent on importance samples.

Written for the benchmarks in JAX, from the published description of the adaptive kernels of Bayesian networks (Lauditi,
Bordelon & Pehlevan, arXiv 2502.07998), in single precision unless JAX is told otherwise. With labels at the last time,

    F = ½ yᵀ (v Φ^n + κ)⁻¹ y + Σ_t [tr Φ̃^t Φ^t - ln Z_t],   Z_t = ⟨exp(φᵀ Φ̃^t φ)⟩,   h ~ N(0, C[Φ^(t-1)]),

is least over Φ of what is greatest over Φ̃. Averages are over samples of the prior Gaussian of each layer, weighted by
the exponential; each step of descent in Φ comes after a loop of steps of ascent in Φ̃.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

#: What was published: steps in Φ, steps in Φ̃ before each, samples.
OUTER, INNER, SAMPLES = 400, 100, 40_000


class Peer:
    """One problem: a DNN with input at t = 0 and labels at its last time."""

    def __init__(self, problem, samples=SAMPLES, seed=0):
        self.x = jnp.asarray(np.sqrt(problem.u / problem.D) * problem.x[:, 0])
        self.y, self.kappa, self.v, self.w = jnp.asarray(problem.y[:, -1]), problem.kappa, problem.v, problem.w
        self.phi = jnp.tanh
        rng = np.random.default_rng(seed)
        dimensions = [problem.D, *[problem.P] * (problem.n - 1)]
        self.z = [jnp.asarray(rng.standard_normal((samples, d))) for d in dimensions]
        self.kernels = self._random_network(problem.n)
        self.duals = jnp.zeros_like(self.kernels)

    def _activity(self, t, kernels):
        root = self.x if t == 0 else jnp.linalg.cholesky(self.w * kernels[t - 1])  # inputs may have any rank
        return self.phi(self.z[t] @ root.T)

    def _random_network(self, n):
        kernels = []
        for t in range(n):
            activity = self._activity(t, kernels)
            kernels.append(activity.T @ activity / len(activity))
        return jnp.stack(kernels)

    def ascent_value(self, duals, kernels):
        """What is greatest over Φ̃: all of F but the energy."""
        value = jnp.vdot(duals, kernels)
        for t in range(len(kernels)):
            activity = self._activity(t, kernels)
            tilt = jnp.einsum("ki,ki->k", activity @ duals[t], activity)
            value -= jax.nn.logsumexp(tilt) - jnp.log(len(tilt))
        return value

    def free_energy(self, duals, kernels):
        """F."""
        gram = self.v * kernels[-1] + self.kappa * jnp.eye(len(self.y))
        return 0.5 * self.y @ jnp.linalg.solve(gram, self.y) + self.ascent_value(duals, kernels)

    @partial(jax.jit, static_argnums=0)
    def inner_gradient(self, duals, kernels):
        """The gradient of a step of ascent."""
        return jax.grad(self.ascent_value)(duals, kernels)

    @partial(jax.jit, static_argnums=(0, 3))
    def outer_step(self, duals, kernels, inner, rates):
        """A loop of ascent, and a step of descent."""
        ascent, descent = rates
        gradient = jax.grad(self.ascent_value)
        duals = jax.lax.fori_loop(0, inner, lambda _, at: at + ascent * gradient(at, kernels), duals)
        step = jax.grad(self.free_energy, argnums=1)(duals, kernels)
        return duals, kernels - descent * 0.5 * (step + jnp.swapaxes(step, 1, 2))

    def solved(self, rates, outer=OUTER, inner=INNER):
        """Φ of each layer after so many steps."""
        duals, kernels = self.duals, self.kernels
        for _ in range(outer):
            duals, kernels = self.outer_step(duals, kernels, inner, rates)
        return np.asarray(kernels)
