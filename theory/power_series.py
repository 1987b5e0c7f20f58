"""Truncated power series with coefficients in a field, scalar or matrix valued: lists, lowest order first."""

from __future__ import annotations

from typing import Any

from sympy.polys.matrices import DomainMatrix

ScalarSeries = list[Any]
MatrixSeries = list[DomainMatrix]


def multiply(a: MatrixSeries, b: MatrixSeries) -> MatrixSeries:
    """Product of two power series with matrix coefficients, truncated as they are."""
    return [_sum([a[i] * b[k - i] for i in range(k + 1)]) for k in range(len(a))]


def scale(a: ScalarSeries, b: MatrixSeries) -> MatrixSeries:
    """A scalar power series times a matrix-valued one."""
    return [_sum([b[k - i].scalarmul(a[i]) for i in range(k + 1) if a[i]], b[0]) for k in range(len(a))]


def invert(a: MatrixSeries) -> MatrixSeries:
    """Inverse of a power series whose leading coefficient is the unit matrix."""
    inverse = [a[0]]
    for k in range(1, len(a)):
        inverse.append(-_sum([a[i] * inverse[k - i] for i in range(1, k + 1)]))
    return inverse


def scalar_multiply(a: ScalarSeries, b: ScalarSeries) -> ScalarSeries:
    """Product of two scalar power series, truncated as they are."""
    return [sum((a[i] * b[k - i] for i in range(1, k + 1)), a[0] * b[k]) for k in range(len(a))]


def scalar_divide(a: ScalarSeries, b: ScalarSeries) -> ScalarSeries:
    """Quotient of two scalar power series, the divisor's leading coefficient not zero."""
    quotient: ScalarSeries = []
    for k in range(len(a)):
        rest = a[k]
        for i in range(1, k + 1):
            rest = rest - b[i] * quotient[k - i]
        quotient.append(rest / b[0])
    return quotient


def scalar_power(a: ScalarSeries, exponent: int) -> ScalarSeries:
    """Positive integer power of a scalar power series."""
    power = a
    for _ in range(exponent - 1):
        power = scalar_multiply(power, a)
    return power


def _sum(matrices: list[DomainMatrix], like: DomainMatrix | None = None) -> DomainMatrix:
    total = DomainMatrix.zeros(like.shape, like.domain) if like is not None else matrices[0]
    for matrix in matrices if like is not None else matrices[1:]:
        total = total + matrix
    return total
