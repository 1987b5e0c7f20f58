"""Products of sums, with each sum in the sign in which it is positive: 1/(56 - 3κ), and not -1/(3κ - 56)."""

from __future__ import annotations

from sympy import Add, Expr, Mul
from sympy.core.function import _coeff_isneg


def positive_sum(margin: Expr) -> Expr | None:
    """The one factor that decides a product's sign, in the sign in which it is positive where the product is.

    It is a sum to an odd power with terms of both signs; None where there is no such factor, or more than one.
    """
    factors = [factor.as_base_exp() for factor in Mul.make_args(margin)]
    open_ = [base for base, power in factors if base.is_Add and power.is_odd and _has_either_sign(base)]
    if len(open_) != 1:
        return None
    negative = sum(1 for base, power in factors if base.is_negative and power.is_odd) % 2
    return -open_[0] if negative else open_[0]


def oriented(product: Expr, positive: Expr) -> Expr:
    """The product with ``positive`` for its opposite; a minus that this leaves goes into another sum if it can."""
    factors, opposite = [factor.as_base_exp() for factor in Mul.make_args(product)], -positive
    signs = [(-1) ** power for base, power in factors if base == opposite and power.is_Integer]
    factors = [(positive if base == opposite and power.is_Integer else base, power) for base, power in factors]
    sign = Mul(*signs, *(-1 for base, power in factors if base.is_negative and power == 1))
    factors = [(-base if base.is_negative and power == 1 else base, power) for base, power in factors]
    if sign == -1:
        for place, (base, power) in enumerate(factors):
            if base.is_Add and base != positive and power.is_odd and _has_either_sign(base):
                factors[place], sign = (-base, power), 1
                break
    turned = [base**power for base, power in [(sign, 1), *factors] if base != 1]
    # of a number and a sum SymPy would make a sum
    return Mul(*turned, evaluate=len(turned) != 2) if len(turned) > 1 else Mul(*turned)


def _has_either_sign(sum_: Expr) -> bool:
    """Whether terms of a sum are added and others subtracted; symbols are positive here."""
    return len({_coeff_isneg(term) for term in Add.make_args(sum_)}) > 1
