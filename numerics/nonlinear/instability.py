"""Directions in which a map leads away from its fixed point: eigenvalues of its derivative beyond 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from numerics.linalg import FloatArray

#: Eigenvalues beyond which it leads away.
LEADS_AWAY = 1 + 1e-6
#: Dimension and restarts of the Krylov space for its eigenvalues.
KRYLOV, RESTARTS = 40, 12
#: Sizes of it at which it may show that a state is stable, as its largest eigenvalue grows too slowly to reach 1.
SHOWS, GROWS = (12, 18, 24, 30, 36), 2.0

#: A derivative applied to a direction.
Along = Callable[[FloatArray], FloatArray]


def beyond_one(along: Along, length: int, kept: Along, most: int) -> list[FloatArray]:
    """Unit vectors along the real parts of eigenvectors whose eigenvalues have real parts beyond 1, largest first.

    Args:
        along: the derivative.
        length: of a direction.
        kept: a direction without what may not move.
        most: how many, at most.
    """
    size: Any
    modes: Any
    if length <= KRYLOV:
        size, modes = np.linalg.eig(np.stack([along(unit) for unit in np.eye(length)], axis=1))
    elif leads_back(along, length):
        return []
    else:
        operator = LinearOperator((length, length), matvec=along, dtype=np.float64)
        start = kept(np.random.default_rng(0).standard_normal(length))
        try:
            size, modes = eigs(operator, k=most, which="LR", ncv=KRYLOV, v0=start, tol=1e-3, maxiter=RESTARTS)
        except ArpackNoConvergence as partial:
            size, modes = partial.eigenvalues, partial.eigenvectors
    order = np.argsort(-size.real)
    return [
        np.real(modes[:, i]) / np.linalg.norm(np.real(modes[:, i]))
        for i in order[:most]
        if size[i].real > LEADS_AWAY and size[i].imag >= 0
    ]


def leads_back(along: Along, length: int, shows: tuple[int, ...] = SHOWS, clear: float = 0.0) -> bool:
    """Whether a short Krylov space, of given sizes at most, shows that no eigenvalue comes so near 1 (Arnoldi)."""
    at = along(np.random.default_rng(0).standard_normal(length))
    basis = [at / np.linalg.norm(at)]
    H, largest = np.zeros((KRYLOV + 1, KRYLOV)), -np.inf
    for k in range(shows[-1]):
        new = along(basis[-1])
        for _ in range(2):
            for i, each in enumerate(basis):
                share = float(each @ new)
                H[i, k] += share
                new = new - share * each
        H[k + 1, k] = np.linalg.norm(new)
        if H[k + 1, k] <= 1e-12:
            return bool(np.linalg.eigvals(H[: k + 1, : k + 1]).real.max() < 1)
        basis.append(new / H[k + 1, k])
        if k + 1 in shows:
            before, largest = largest, float(np.linalg.eigvals(H[: k + 1, : k + 1]).real.max())
            if largest + GROWS * abs(largest - before) < 1 - clear:
                return True
    return False
