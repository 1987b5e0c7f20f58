"""Every symbol may take the values that it stands for, and no others: what SymPy simplifies by."""

import pytest
from sympy import Symbol, log, sqrt

from theory import symbols

POSITIVE = ("u", "v", "w", "zeta", "r", "s", "alpha", "delta", "c", "rho", "eta")
NONNEGATIVE = ("kappa", "signal", "mu")
REAL = ("p", "q", "gamma")
COUNTS = ("T", "n", "P", "m", "t", "N")


@pytest.mark.parametrize("name", POSITIVE + NONNEGATIVE + REAL + COUNTS + ("lag",))
def test_assumptions(name):
    symbol = getattr(symbols, name)
    assert symbol.is_extended_real
    assert symbol.is_positive is (True if name in POSITIVE + COUNTS else None)
    assert symbol.is_nonnegative is (None if name in REAL else True)
    assert symbol.is_integer is (True if name in (*COUNTS, "lag") else None)
    assert (sqrt(symbol**2) == symbol) == (name not in REAL)


def test_kernel_entries_are_one_symbol_in_either_order_of_their_times():
    assert symbols.kernel_entry(2, 1) == symbols.kernel_entry(1, 2)
    assert symbols.kernel_entry(3, 3).is_positive
    assert symbols.kernel_entry(2, 3).is_real
    assert symbols.kernel_entry(2, 3).is_positive is None
    assert log(symbols.kernel_entry(2, 2) ** 2).expand() == 2 * log(symbols.kernel_entry(2, 2))
    names = {symbols.kernel_entry(a, b).name for a in range(1, 13) for b in range(a, 13)}
    assert len(names) == 78
    assert {"H_12", "H_99", "H_1_10", "H_11_12"} <= names
    assert not {"H_1_2", "H_110"} & names
    assert all(isinstance(value, Symbol) for value in (symbols.z, symbols.kappa))
