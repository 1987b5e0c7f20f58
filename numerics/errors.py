"""What all of the program raises for input that it does not take."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: one line that names the argument, what was wrong with it, and what is accepted."""
