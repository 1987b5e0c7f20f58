"""The formulas in prose and in spans of code: which words of a sentence are symbols, and which code is a formula.

What is found is in the notation of ``derivations.report.notation``, which makes LaTeX of it.
"""

from __future__ import annotations

import re

from derivations.report.notation import GREEK, RELATIONS, is_readable

#: A span with none of these is code: symbols, indices, lists of letters, relations and sums.
FORMULA = re.compile(
    r"[^\x00-\x7f]|[A-Za-z)}][\^_][\w({*+-]|\d\^[A-Za-z({]| [=<>+-] "
    r"|^\(?[A-Za-z](?:, [A-Za-z](?:\+1)?)+\)?$|^[A-Z]\*$|^[A-Z] [a-z]$|^\d[\d.]*/[a-z]$"
)


def is_formula(text: str) -> bool:
    """Whether a span of code is a formula: it has what only formulas have, and can be read as one."""
    if not FORMULA.search(text):
        return False
    if re.fullmatch(r"…|[A-Za-z]_[A-Za-z]{4,}|[A-Za-z]\[[\x00-\x7f−]*\]|.*[:=]…", text):
        return False
    return is_readable(text)


#: What joins symbols in prose to one formula, with spaces around it: "at T = 4", "n = T − 1", "x ~ N(0, 1)".
JOINTS = {*RELATIONS, "+", "-", "−", "±", "×", "∘", "⊗", "…"}
#: A letter on its own is a symbol, but for words of English; so are F(H), shapes (n, P), quotients 1/N, and |z|.
LETTER = re.compile(
    r"[b-zB-HJ-Z]'?|[A-Za-z]\([^()\[\]]+\)|(?!w/o)(?:\d+|[a-zT])/[a-zNPTD]|\|[a-z]\|"
    r"|\((?![a-d](?:, [a-d])*\))(?:\d|n?[A-Za-zα-ω]'?)(?:, (?:\d|n?[A-Za-zα-ω]'?))+\)"
)
NUMBER = re.compile(r"[^\w]*\d[\d.,]*")
FUNCTION = re.compile(r"[-−½(\[]*(ln|tr|det|exp)")
#: Words at most in one bracket, and in one formula.
BRACKETED, JOINED = 4, 15


def inline_formulas(text: str) -> list[tuple[str, bool]]:
    """Prose in pieces, with the symbols in it told apart: (piece, whether it is a formula)."""
    parts = re.split(r"(\s+)", text)
    found: list[tuple[str, bool]] = []
    place = 0
    while place < len(parts):
        for end in _ends(parts, place):
            before, core, after = _stripped("".join(parts[place:end]))
            if _alone(core, parts, place, after) or (_symbol if end == place + 1 else _joined)(core):
                found += [(before, False), (core, True), (after, False)]
                break
        else:
            end = place + 1
            found.append((parts[place], False))
        place = end
    return [(piece, formula) for piece, formula in found if piece]


def _ends(parts: list[str], place: int) -> list[int]:
    """Where a formula that begins with this word may end, the longest first: behind operands with joints between."""
    if parts[place] == "" or parts[place].isspace():
        return []
    ends, end = [place + 1], place
    while end - place < JOINED and end < len(parts):
        end = _operand(parts, end)
        ends.append(end)
        if end + 1 >= len(parts) or re.search(r"[.,;:!?]$", parts[end - 1]):
            break
        factors = len(ends) > 2 and re.fullmatch(r"[-−]?[A-Za-zα-ω]", parts[end - 1]) and _symbol(parts[end + 1])
        if parts[end + 1] in JOINTS:
            end += 3
        elif factors or FUNCTION.fullmatch(parts[end - 1]):
            end += 1
        else:
            break
    return sorted(set(ends), reverse=True)


def _operand(parts: list[str], place: int) -> int:
    """The end of a word with the brackets that it opens."""
    for end in range(place + 1, min(len(parts), place + 2 * BRACKETED) + 1, 2):
        words = "".join(parts[place:end])
        if all(words.count(left) <= words.count(right) for left, right in ("()", "[]")):
            return end
    return place + 1


def _stripped(piece: str) -> tuple[str, str, str]:
    """A piece of prose as what stands before a formula, the formula, and what stands behind it."""
    start = re.match(r"[\[(“‘]*(?=[^\s])", piece)
    before, rest = (start[0], piece[start.end() :]) if start else ("", piece)
    end = re.search(r"[.,;:!?”’]*$", rest)
    core, after = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    while core and any(core.count(right) > core.count(left) for left, right in ("()", "[]")) and core[-1] in ")]":
        # a bracket that was opened before belongs to the formula if all of it is within
        if before.endswith("(") and core[-1] == ")" and LETTER.fullmatch("(" + core):
            before, core = before[:-1], "(" + core
            break
        core, after = core[:-1], core[-1] + after
    while before and any(core.count(right) > core.count(left) for left, right in ("()", "[]")):
        before, core = before[:-1], before[-1] + core
    if core.endswith("'s"):
        core, after = core[:-2], core[-2:] + after
    return before, core, after


def _alone(core: str, parts: list[str], place: int, after: str) -> bool:
    """Whether it is a letter on its own: no panel's "(b)", no unit's "2 s", no initial of a name."""
    if not LETTER.fullmatch(core) or not is_readable(core):
        return False
    last = parts[place - 2] if place > 1 else ""
    following = parts[place + 2] if place + 2 < len(parts) else ""
    if len(core) > 1:
        return True
    unit = NUMBER.fullmatch(last) and core in "smhKGB"
    initial = after == "." and following[:1].isupper() and re.fullmatch(r"|[A-Z].*|.*,|and", last)
    panel = core in "abcd" and re.search(r"^\(|\)\W*$", parts[place])
    return not (panel or unit or initial)


def _joined(text: str) -> bool:
    """Whether words with joints between them are one formula."""
    words = text.split()
    if not (JOINTS & set(words) or FUNCTION.fullmatch(words[0])):
        return False
    letters = re.search(r"[^\W\d_]", text)
    names = re.search(r"[A-Za-z]{2,}_|_[A-Za-z]{4,}|[`@#\\\"]|//|[A-Za-z]{3,}-|^\w+/\w+/", text)
    return bool(letters) and not names and is_readable(text)


def _symbol(text: str) -> bool:
    """Whether a chunk of prose is a symbol: a letter with indices, or a Greek one."""
    if text == "μP" or not re.search(
        r"[α-ωΓΔΘΛΞΠΣΦΨΩℓ𝒯ᵀ⁻⁺√]|[^\W\d_]['\u0302\u0303]?[\^_][\w({*]|\d\^[A-Z]|[A-Za-z)][²³⁴₀-₉]", text
    ):
        return False
    if re.search(r"[A-Za-z]{2,}_|_[A-Za-z]{4,}|[`…@#\\]|//|^\w+/\w+/|[A-Za-z]{3,}-", text):
        return False
    return is_formula(text) or (len(text) == 1 and text in GREEK)
