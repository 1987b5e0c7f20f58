"""What the program raises: for input that it does not take, and where a computation does not get through."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: one line that names the argument, what was wrong with it, and what is accepted."""


class NotSolvedError(ArithmeticError):
    """An iteration did not reach its tolerance."""


class LostError(ArithmeticError):
    """The corrector does not find the branch where a test function is to be evaluated."""


class UnattainableError(ArithmeticError):
    """No Φ̃ gives this Φ on these points: it lies outside what φφᵀ can average to, or they are too few."""
