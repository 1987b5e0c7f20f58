"""What is read off a network while it is sampled; weights are never stored (docs/theory.md section 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from numerics.inputs.problem import Problem
from numerics.linalg import Array, ComplexArray, FloatArray
from numerics.sampling.network import Network, Weights, joint
from numerics.sampling.readout import mean_outputs

#: Largest width at which all eigenvalues are computed.
DENSE_WIDTH = 512
#: Eigenvalues that are looked for at larger widths.
_ARNOLDI_VALUES = 6


@dataclass(frozen=True, eq=False)
class Draw:
    """Observables of one draw.

    Attributes:
        kernel: Φ over the joint index, time-major, (nP, nP).
        outputs: f of the patterns, then of the test patterns, (P + Q, n), or (O, P + Q, n) of several outputs.
    """

    kernel: FloatArray
    outputs: FloatArray


def observe(network: Network, weights: Weights) -> Draw:
    """``Φ^{tt'}_{pp'} = (1/N) Σ_i φ(h^t_ip) φ(h^t'_ip')`` and the outputs (conditional means if V is
    integrated out).
    """
    connections = network.connections(weights)
    phi = network.forward(connections, weights.U).phi
    test = network.test_inputs
    test_phi = None if test is None else network.forward(connections, weights.U, test).phi
    return observe_activity(network, phi, test_phi, weights.V)


def observe_activity(network: Network, phi: Array, test_phi: Array | None, eta_v: Array | None) -> Draw:
    """`observe` for activations that are known, of the patterns and the test patterns."""
    activations = joint(phi)
    kernel = activations @ activations.T / network.width
    return Draw(kernel, mean_outputs(network, phi, test_phi, eta_v))


def leading_eigenvalues(weights: Weights) -> ComplexArray:
    """Eigenvalues of an RNN's W of largest modulus, in units of √w, largest first.

    Up to N = 512 all of them. Beyond, the few that Arnoldi's iteration finds: values outside the
    bulk stand alone and converge in some tens of products, those within it do not and are left out.
    """
    eta = weights.W[0]
    root = math.sqrt(len(eta))
    if len(eta) <= DENSE_WIDTH:
        return _largest_first(np.linalg.eigvals(eta.astype(np.float64) / root).astype(complex))
    try:
        start = np.ones(len(eta), eta.dtype)
        found: Any = eigs(eta, k=_ARNOLDI_VALUES, v0=start, ncv=48, maxiter=40, tol=1e-4, return_eigenvectors=False)
    except ArpackNoConvergence as partial:
        found = partial.eigenvalues
    values: ComplexArray = np.asarray(found, dtype=np.complex128) / root
    # Records have one width: what was not found is put where it is no outlier.
    return np.concatenate([_largest_first(values), np.zeros(_ARNOLDI_VALUES - len(values), np.complex128)])


def _largest_first(values: ComplexArray) -> ComplexArray:
    return values[np.lexsort((values.imag, values.real, -np.round(np.abs(values), 6)))]


def bulk_edge(width: int) -> float:
    """Modulus, in units of √w, above which an eigenvalue of W counts as an outlier.

    The circular law's edge is 1; at width N a Gaussian matrix's largest modulus exceeds it by about
    ``√(ln N/(4N))``, so ``2/√N`` is left as a margin.
    """
    return 1 + 2 / math.sqrt(width)


def outliers(spectra: list[ComplexArray], signs: list[float], width: int) -> ComplexArray:
    """W's typical eigenvalues outside the bulk, in units of √w, largest modulus first.

    The mean over those draws that have the most common number of outliers, each multiplied by its draw's sign
    and sorted by real part, then imaginary part, so that like is averaged with like.
    """
    sets = []
    for spectrum, sign in zip(spectra, signs, strict=True):
        outside = sign * spectrum[np.abs(spectrum) > bulk_edge(width)]
        sets.append(outside[np.lexsort((outside.imag, np.round(outside.real, 5)))])
    if not sets:
        return np.zeros(0, complex)
    counts = np.array([len(values) for values in sets])
    typical = int(np.bincount(counts).argmax())
    mean = np.mean([values for values in sets if len(values) == typical], axis=0)
    return np.asarray(mean[np.argsort(-np.abs(mean), kind="stable")], dtype=complex)


def blocks(kernel: FloatArray, P: int) -> FloatArray:
    """Same-pattern blocks of joint kernels, (…, nP, nP) → (…, P, n, n)."""
    n = kernel.shape[-1] // P
    shaped = kernel.reshape(*kernel.shape[:-2], n, P, n, P)
    return np.asarray(np.stack([shaped[..., :, p, :, p] for p in range(P)], axis=-3))


def coherence(kernel: FloatArray, P: int) -> FloatArray:
    """Temporal coherence ``Φ^{tt'}/√(Φ^{tt}Φ^{t't'})``, averaged over patterns, (…, n, n).

    See docs/theory.md section 9.

    A time at which a pattern is silent, ``Φ^{tt} = 0``, has coherence 0 with every other.
    """
    same = blocks(kernel, P)
    size = np.sqrt(np.diagonal(same, axis1=-2, axis2=-1))
    norm = size[..., :, None] * size[..., None, :]
    return np.asarray(np.divide(same, norm, out=np.zeros_like(same), where=norm > 0).mean(axis=-3))


def autocorrelation(kernel: FloatArray, P: int) -> FloatArray:
    """Mean coherence over pairs of times with the same lag, lags 0 … n-1 (docs/theory.md section 9)."""
    matrix = coherence(kernel, P)
    n = matrix.shape[-1]
    means = [np.diagonal(matrix, lag, axis1=-2, axis2=-1).mean(axis=-1) for lag in range(n)]
    return np.asarray(np.stack(means, axis=-1))


def has_sign_symmetry(problem: Problem, odd_activation: bool) -> bool:
    """Whether W → -W (with V → ±V) maps the posterior on itself and flips the kernel's sign pattern.

    It needs φ odd, input at t = 0 only, no skip connection, no bias that times of different parity share, and of each
    output all supervised times of one parity. The DNN has the symmetry too (and a larger one), but never a coherent
    state for it to act on.
    """
    only_first = not np.any(problem.x[:, 1:])
    biased = problem.bias > 0 and bool(problem.bias_sharing[::2, 1::2].any())
    one_parity = all(len(set((at // problem.P % 2).tolist())) == 1 for at, _ in problem.targets)
    return bool(odd_activation and only_first and not problem.skip and not biased and one_parity and problem.n > 1)


def order_parameter(kernels: FloatArray, P: int) -> FloatArray:
    """``Σ_p Φ^{T-1,T-2}_{pp}``, odd under W → -W, of (…, nP, nP); the endpoint task's is H^{T-1,T-2}."""
    last, before = slice(-P, None), slice(-2 * P, -P)
    return np.asarray(np.trace(kernels[..., last, before], axis1=-2, axis2=-1))


def flip_kernel(n: int, P: int) -> FloatArray:
    """Factors ``(-1)^(t-t')`` by which W → -W multiplies the kernel, (nP, nP)."""
    signs = np.repeat((-1.0) ** np.arange(n), P)
    return np.outer(signs, signs)


def flip_outputs(problem: Problem) -> FloatArray:
    """Factors by which W → -W, with V's sign such that supervised outputs stay, multiplies the outputs, (n,), or
    (O, 1, n) of several outputs.
    """
    reference = np.array([at[0] // problem.P for at, _ in problem.targets])[:, None, None]
    signs = np.asarray((-1.0) ** np.abs(np.arange(problem.n) - reference))
    return signs if problem.outputs > 1 else signs[0, 0]
