"""What the program raises: for input that it does not take, and where a computation does not get through."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: one line that names the argument, what was wrong with it, and what is accepted.

    An accepted word that the wrong one is near to is offered: see `with_meant`.
    """

    def __init__(self, line: str) -> None:
        super().__init__(with_meant(" ".join(line.split())))  # arrays are written in several lines


def with_meant(line: str) -> str:
    """A refusal with the accepted word that the wrong one is near to, if any."""
    import re

    found = re.match(
        r"(?P<argument>.+?): (?:.*?(?:is|has an array|has a field) \[?'(?P<word>[^']+)'\]?|is not an option.*?)"
        r"; accepted: (?P<accepted>.+)",
        line,
    )
    if found is None:
        return line
    words = re.findall(r"[\w-]{3,}", found["accepted"])  # not the "in" of a sentence
    if re.fullmatch(r"[\w-]+(, [\w-]+)*", found["accepted"]):  # nothing but words
        words = found["accepted"].split(", ")
    wrong = re.split(r"[=:,]", found["word"] or found["argument"])[0]  # of name=range and family:number, the name
    meant = None if wrong in words else nearest_word(wrong, words)
    return line.replace("; accepted: ", f"; did you mean {meant}? accepted: ", 1) if meant else line


def nearest_word(wrong: str, words: list[str]) -> str | None:
    """The word that a wrong one is near to: of the same letters, or most of them in the same order."""
    import difflib

    near = [word for word in words if sorted(word.lower()) == sorted(wrong.lower())]
    near += difflib.get_close_matches(wrong, words, 1, 0.7)
    return near[0] if near else None


class NotSolvedError(ArithmeticError):
    """An iteration did not reach its tolerance."""


class LostError(ArithmeticError):
    """The corrector does not find the branch where a test function is to be evaluated."""


class UnattainableError(ArithmeticError):
    """No Φ̃ gives this Φ on these points: it lies outside what φφᵀ can average to, or they are too few."""
