"""Control variates: quantities whose posterior mean is zero exactly, which take most of the noise out of a mean kernel.

For any vector field v, ``∇·v - v·∇𝒰`` has mean zero under ``exp(-𝒰)`` (integrate a divergence). Let x_i be the rows of
the columns ``X = [U, G]`` that the collapsed sampler moves, (N, d). The fields that move column j of each neuron by a
function f of its own row give

    c_fj = Σ_i [∂f/∂x_j(x_i) - f(x_i) (x_ij + ∂L/∂X_ij)].

The kernel's fluctuations around its mean are small at large N, and to first order in them the c_fj are sums over
neurons, as the kernel is. Regression on them leaves the second order where they span it: the error of a mean over n
draws falls from O(1/√(N n)) to O(1/(N √n)), which resolves a shift of the mean of order 1/N at any width (Assaraf &
Caffarel 1999; Mira, Solgi & Imparato 2013). For a linear network ``f = x_k`` do. For others f is also the activity
``φ_a = φ(h̃_a)`` and, where draws are many, a product of three. With ``h̃ = X Bᵀ`` for a kernel given beforehand these
are functions of the row alone; h itself has the kernel of its own draw in B, on which the divergence would act too.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from numerics.errors import InputError
from numerics.inputs.problem import Problem
from numerics.linalg import BoolArray, FloatArray, IntArray
from numerics.sampling.collapsed import Seen, potential
from numerics.sampling.network import Network

#: Draws that a regression needs for each variate; where its error is twice as well known; and those of each chain from
#: which variates of functions beyond the columns are kept.
DRAWS_EACH, DRAWS_WELL, DRAWS_KEPT = 10, 20, 1
#: Added to a kernel's diagonal, relative: any B gives mean zero.
_RIDGE = 1e-8


def number_of_columns(network: Network) -> int:
    """d, the number of columns of X."""
    return network.columns + (network.problem.n - 1) * network.problem.P


@lru_cache(maxsize=8)
def triples(rows: int) -> IntArray:
    """a ≤ b ≤ c, (count, 3)."""
    a, b, c = np.indices((rows,) * 3).reshape(3, -1)
    kept = (a <= b) & (b <= c)
    return np.stack([a[kept], b[kept], c[kept]], axis=1)


def stages(columns: int, rows: int) -> tuple[int, int, int]:
    """Numbers of functions f: the columns alone; with the activity; with its products."""
    return columns, columns + rows, columns + rows + len(triples(rows))


def functions_kept(network: Network, draws: int) -> int:
    """How many f a chain of so many draws keeps variates of."""
    d, rows = number_of_columns(network), network.problem.n * network.problem.P
    if network.phi.name == "linear":
        return d
    return max(count for count in stages(d, rows) if count == d or DRAWS_KEPT * count * d <= draws)


def states_of_columns(network: Network, kernel: FloatArray) -> FloatArray:
    """B of ``h = X Bᵀ`` where the kernel is the given one, (nP, d)."""
    problem = network.problem
    n, P, first = problem.n, problem.P, network.columns
    B = np.zeros((n, P, number_of_columns(network)))
    if n > 1:
        shared = np.kron(problem.sharing, np.ones((P, P))) * kernel[:-P, :-P]
        shared[np.diag_indices_from(shared)] *= 1 + _RIDGE
        B[1:, :, first:] = np.sqrt(problem.w) * np.linalg.cholesky(shared).reshape(n - 1, P, -1)
    for t in range(n):
        B[t, :, :first] += network.scale_u * network.inputs[t].T
        if t and problem.skip:
            B[t] += problem.skip * B[t - 1]
    return B.reshape(n * P, -1)


def controls(network: Network, seen: Seen, B: FloatArray, count: int) -> FloatArray:
    """c_fj for one draw of the collapsed sampler, (f, j): of the first `count` f."""
    _, slope = potential(network, seen)
    X, S = (part.T.astype(np.float64) for part in (seen.X, slope))
    rows, d = B.shape
    force = X + S
    found = [network.width * np.eye(d) - X.T @ force]
    if count > d:
        h = X @ B.T
        phi, slopes = (np.asarray(function(h)) for function in (network.phi.value, network.phi.derivative))
        found.append(slopes.sum(axis=0)[:, None] * B - phi.T @ force)
    if count > d + rows:
        at = triples(rows)
        products = [
            phi[:, at[:, 1]] * phi[:, at[:, 2]],
            phi[:, at[:, 0]] * phi[:, at[:, 2]],
            phi[:, at[:, 0]] * phi[:, at[:, 1]],
        ]
        moved = (np.sum(slopes[:, a] * rest, axis=0)[:, None] * B[a] for a, rest in zip(at.T, products, strict=True))
        found.append(sum(moved) - (phi[:, at[:, 0]] * products[0]).T @ force)
    return np.concatenate(found)


def turned_variates(problem: Problem, variates: FloatArray, where: BoolArray, signs: FloatArray) -> FloatArray | None:
    """Variates of draws that a symmetry ``h_a → s_a h_a`` takes to another state, at some draws; None where unknown.

    In a chain that changes sides, each side alone has mean zero only for what is even in X: of other functions the B of
    one side is not that of the other, and odd ones flow across.

    Args:
        problem: what was learnt.
        variates: (chains, draws, f, j).
        where: draws that are turned, (chains, draws).
        signs: s, (nP,).
    """
    first = np.unique(signs[: problem.P])
    if problem.bias or problem.x[:, 1:].any() or len(first) > 1:
        return None
    rows, d = len(signs), variates.shape[3]
    columns = np.concatenate([np.full(d - rows + problem.P, first[0]), signs[problem.P :]])
    functions = np.concatenate([columns, signs, signs[triples(rows)].prod(axis=1)])[: variates.shape[2]]
    sign = np.outer(functions, columns)
    kept = (sign > 0) & (np.arange(len(functions)) < d)[:, None]
    changing = (where != where[:, :1]).any()
    return np.where(where[:, :, None, None], sign * variates, variates) * (kept if changing else 1.0)


def controlled(series: FloatArray, variates: FloatArray) -> FloatArray:
    """A series with what a linear regression on control variates explains taken out.

    The slopes that are used on a chain are fitted to the other chains (with a single chain, to its other half): slopes
    fitted to the same draws would correlate with them and bias the mean.

    Args:
        series: (chains, draws, …).
        variates: of mean zero, (chains, draws, …).

    Raises:
        InputError: fewer than `DRAWS_EACH` draws for each variate.
    """
    chains, draws = series.shape[:2]
    moving = variates.reshape(chains, draws, -1)
    moving = moving[..., moving.std(axis=(0, 1)) > 0]
    if chains * draws < DRAWS_EACH * moving.shape[2]:
        raise InputError(f"draws: are {chains * draws}; accepted: at least ten for each of {moving.shape[2]} variates")
    values = series.reshape(chains, draws, -1)
    parts = chains if chains > 1 else 2
    folds = np.repeat(np.arange(chains), draws) if chains > 1 else np.arange(draws) * parts // draws
    design = np.concatenate(
        [np.ones((chains * draws, 1)), (moving / moving.std(axis=(0, 1))).reshape(len(folds), -1)], 1
    )
    flat = values.reshape(len(folds), -1)
    rest = np.empty_like(flat)
    for part in range(parts):
        own = folds == part
        slopes = np.linalg.lstsq(design[~own], flat[~own], rcond=None)[0]
        rest[own] = flat[own] - design[own, 1:] @ slopes[1:]
    return rest.reshape(series.shape)
