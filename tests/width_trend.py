"""The limit N → ∞ of means that are measured at several widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from numerics.linalg import FloatArray


@dataclass(frozen=True, eq=False)
class WidthTrend:
    """A mean measured at several widths, with the polynomial in 1/N that fits it, entry by entry.

    Attributes:
        widths: the N, (k,).
        coefficients: of ``1, 1/N, 1/N², …``, (order + 1, …).
        standard_errors: of the coefficients, (order + 1, …).
        misfit: chance that the fit's χ², in the worst entry, is as large as it is if the polynomial is right and the
            standard errors are, times the number of entries (at most 1); 1 where there are no more widths than
            coefficients, and nothing can be said.
    """

    widths: FloatArray
    coefficients: FloatArray
    standard_errors: FloatArray
    misfit: float

    @property
    def limit(self) -> FloatArray:
        """The mean at N → ∞."""
        return np.asarray(self.coefficients[0])

    @property
    def limit_standard_error(self) -> FloatArray:
        """Standard error of the limit."""
        return np.asarray(self.standard_errors[0])

    def at(self, width: float) -> FloatArray:
        """The fitted mean at width N."""
        powers = float(width) ** -np.arange(len(self.coefficients))
        return np.asarray(np.tensordot(powers, self.coefficients, axes=1))


def width_trend(widths: Sequence[int], means: ArrayLike, standard_errors: ArrayLike, *, order: int = 1) -> WidthTrend:
    """Fit ``mean(N) = Σ_j c_j N^{-j}``, j = 0 … order, to independent measurements by weighted least squares.

    Args:
        widths: N of each measurement, at least order + 1 different ones.
        means, standard_errors: (k, …), the widths along the first axis. An entry without error at every width (one that
            the task fixes) is fitted with equal weights, and its coefficients have no error.
        order: highest power of 1/N.
    """
    mean, error, size = (np.asarray(each, dtype=float) for each in (means, standard_errors, widths))
    scale = size.min()
    design = (scale / size)[:, None] ** np.arange(order + 1)  # in units of the smallest width, for the conditioning
    flat, flat_error = mean.reshape(len(size), -1), error.reshape(len(size), -1)
    exact = (flat_error <= 0).all(axis=0)
    weights = np.where(exact, 1.0, 1 / np.maximum(flat_error, 1e-12 * np.abs(flat).max() + np.finfo(float).tiny) ** 2)
    information = np.einsum("ki,ke,kj->eij", design, weights, design)
    inverse = np.linalg.inv(information)
    fitted = np.einsum("eij,kj,ke,ke->ie", inverse, design, weights, flat)
    fitted_error = np.where(exact, 0.0, np.sqrt(np.einsum("eii->ie", inverse)))
    free = len(size) - order - 1
    misfit = 1.0
    if free and not exact.all():
        chi_squared = np.sum(weights * (flat - design @ fitted) ** 2, axis=0)[~exact]
        misfit = min(1.0, float(chi2.sf(chi_squared.max(), free)) * chi_squared.size)
    units = scale ** np.arange(order + 1)[:, None]
    shape = (order + 1, *mean.shape[1:])
    return WidthTrend(size, (fitted * units).reshape(shape), (fitted_error * units).reshape(shape), misfit)
