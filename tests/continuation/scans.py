"""Scans of endpoint supervision in the signal, as the tests ask for them."""

from __future__ import annotations

from numerics import endpoint, scan


def scan_endpoint(T, signals, kappa=1.0, arch="rnn"):
    """Every branch over the given signals, in units u = v = w = 1."""
    return scan(endpoint(T, 1.0, kappa=kappa, arch=arch), {"signal": signals})
