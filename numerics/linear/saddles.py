"""Saddle points between stationary kernels, by Newton's method from points of the paths that join them.

Where Newton's method leads from so far is chance, so that it starts from many points of each path, all in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from numerics.linalg import FloatArray
from numerics.linear import batch, trust_region
from numerics.linear.descent import SAME_FREE_ENERGY
from numerics.linear.functional import KernelFunctional, KernelPoint
from numerics.linear.images import is_new, number_of_images, turned
from numerics.linear.neutral import is_neutral
from numerics.linear.trust_region import Stop

#: Kernels with more rows are taken one by one, by iterations.
LARGEST_TOGETHER = 27
#: Places on a path at which Newton's method starts; for large kernels, where F is compared.
WEIGHTS = np.linspace(0.1, 0.9, 9)
#: Newton steps of a batch, and rounds in which states found before are ends of paths.
STEPS, ROUNDS = 40, 2
#: States whose free energies differ by more, relative, are not compared.
COMPARED = 1e-6


def saddles_between(functional: KernelFunctional, states: Sequence[KernelPoint], tolerance: float) -> Iterator[Stop]:
    """Stationary kernels other than the given ones, each once up to symmetry: between these, and between them again.

    Of a manifold of stationary kernels one is given (docs/theory.md section 12).
    """
    known, before = list(states), 0
    for _ in range(ROUNDS):
        pairs = [(one, other) for k, one in enumerate(known) for other in known[max(k + 1, before) :]]
        before = len(known)
        for start in _near_stationary(functional, pairs, tolerance):
            if is_new(start, (point for point in known if _close(point, start, COMPARED))):
                stop = trust_region.newton(start, tolerance=tolerance)
                if stop.converged and is_new(stop.point, known) and not _is_on_manifold(stop.point, known):
                    known.append(stop.point)
                    yield stop


def _close(one: KernelPoint, other: KernelPoint, near: float) -> bool:
    return abs(one.free_energy - other.free_energy) <= near * (1.0 + abs(one.free_energy))


def _is_on_manifold(point: KernelPoint, known: Sequence[KernelPoint]) -> bool:
    """Whether a stationary kernel is one of a manifold of which another is known: F agrees, and a mode is neutral."""
    if not any(_close(point, other, SAME_FREE_ENERGY) for other in known):
        return False
    values, modes = trust_region.smallest_modes(point, count=point.H.size)
    return any(is_neutral(point, float(value), mode) for value, mode in zip(values, modes, strict=True))


def _near_stationary(
    functional: KernelFunctional, pairs: Sequence[tuple[KernelPoint, KernelPoint]], tolerance: float
) -> Iterator[KernelPoint]:
    """Where Newton's method ends, or for large kernels starts."""
    paths = [path for one, other in pairs for path in _paths(functional, one, other)]
    if functional.dimension > LARGEST_TOGETHER:
        for path in paths:
            yield max((functional.at(H) for H in path), key=lambda point: point.free_energy)
        return
    starts = np.concatenate(paths) if paths else np.empty((0, functional.dimension, functional.dimension))
    for part in batch.parts(len(starts), functional):
        for L in _stationary(functional, np.asarray(np.linalg.cholesky(starts[part])), tolerance):
            yield KernelPoint(functional, L @ L.T, L)


def _paths(functional: KernelFunctional, one: KernelPoint, other: KernelPoint) -> Iterator[FloatArray]:
    """Kernels on the straight paths between two states up to symmetry, (W, m, m) each."""
    ends = turned(functional, other.H) if number_of_images(one) > 1 else [other.H]
    for end in ends:
        yield np.array([(1.0 - weight) * one.H + weight * end for weight in WEIGHTS])


def _stationary(functional: KernelFunctional, starts: FloatArray, tolerance: float) -> FloatArray:
    """Factors of the stationary kernels in which Newton's method ends, (K, m, m)."""
    m = functional.dimension
    try:
        ends = batch.newton([functional] * len(starts), starts, np.arange(m * (m + 1) // 2), iterations=STEPS)
    except np.linalg.LinAlgError:
        # one kernel is lost: the others are not
        if len(starts) == 1:
            return starts[:0]
        half = len(starts) // 2
        return np.concatenate([_stationary(functional, part, tolerance) for part in (starts[:half], starts[half:])])
    return ends.L[ends.residual <= tolerance]
