"""Whether sampled networks agree with the theory: a word for each, one for all of them, and how a summary says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numerics.checking.agreement import Verdict


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on all: one that disagrees is enough, then one that is undecided; without any it is undecided."""
    if "disagrees" in verdicts:
        return "disagrees"
    return "agrees" if verdicts and "undecided" not in verdicts else "undecided"


def said(verdicts: Sequence[Verdict], what: str, *, why: str = "") -> str:
    """The verdict on all, as what a plural subject does: "agree with the theory", "DISAGREE with the theory".

    Args:
        verdicts: of each network.
        what: with which they are compared.
        why: it is undecided; that chains have not mixed unless given.
    """
    match together(verdicts):
        case "agrees":
            return f"agree with {what}"
        case "disagrees":
            return f"DISAGREE with {what}"
        case "undecided":
            of = f" of {verdicts.count('undecided')} of {len(verdicts)}" if len(verdicts) > 1 else ""
            return f"do not decide about {what}, as {why or f'chains{of} have not mixed'}"
