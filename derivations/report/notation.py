"""The plain notation of docstrings and pages, such as `H^{T-1,T-2}`, `C⁻¹` and `½ tr[HC⁻¹]`, as LaTeX.

What is written to be read in a terminal is typeset on a page; what is code stays code (``ValueError``).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

GREEK = {chr(code): "\\" + unicodedata.name(chr(code)).rsplit(maxsplit=1)[-1].lower() for code in range(0x3B1, 0x3CA)}
GREEK |= {"λ": r"\lambda", "ς": "", "ο": "", "φ": r"\phi", "ε": r"\varepsilon", "ℓ": r"\ell"}
CAPITALS = ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega")
GREEK |= {letter: "\\" + name for letter, name in zip("ΓΔΘΛΞΠΣΦΨΩ", CAPITALS, strict=True)}
GREEK |= {"𝒯": r"\mathcal{T}", "𝓗": r"\mathcal{H}", "𝒟": r"\mathcal{D}", "𝒮": r"\mathcal{S}", "𝒰": r"\mathcal{U}"}
GREEK |= {"∂": r"\partial ", "∇": r"\nabla ", "∞": r"\infty", "…": r"\ldots "}
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᵏᵐ", "0123456789+-nkm", strict=True)) | {"ᵀ": r"\mathsf{T}", "†": r"\dagger "}
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n", strict=True))
RELATIONS = {"=": "=", "<": "<", ">": ">", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "~": r"\,\sim\,", "≃": r"\simeq "}
RELATIONS |= {"≈": r"\approx ", "∝": r"\propto ", "→": r"\to ", "←": r"\leftarrow ", "↦": r"\mapsto ", "∈": r"\in "}
SIGNS = {"+": "+", "-": "-", "−": "-", "±": r"\pm ", "·": r"\cdot ", "×": r"\times ", "∘": r"\circ ", "⊗": r"\otimes "}
SIGNS |= {"⊕": r"\oplus ", ",": ",", ";": ";", ":": ":", "/": "/", "!": "!", "|": "|", "‖": r"\|", "⊥": r"\perp "}
FRACTIONS = {"½": r"\tfrac{1}{2}", "¼": r"\tfrac{1}{4}", "⅙": r"\tfrac{1}{6}", "⅓": r"\tfrac{1}{3}"}
ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar"}
CLOSERS = {"(": ")", "[": "]", "⟨": "⟩", "{": "}", "⌊": "⌋"}
BRACKETS = {
    "(": "(",
    ")": ")",
    "[": "[",
    "]": "]",
    "⟨": r"\langle ",
    "⟩": r"\rangle ",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
}
FUNCTIONS = {"ln", "det", "cos", "sin", "tan", "sinh", "cosh", "exp", "max", "min", "lim", "arcsin", "arccos"}
OPERATORS = {"tr", "diag", "erf", "Cov", "Var", "Re", "Ad", "sym", "vec", "chol", "up", "pad", "const"}
#: Words that are indices, not products of letters.
SUBSCRIPTS = {"max", "min", "full", "eff", "eq"}
#: Upper indices in round brackets name a layer on these letters; on others they are powers, or times of a kernel.
LAYERED = set("WfbhydxgqφψδG")
SHORT_WORDS = {"of", "is", "to", "in", "so", "at", "no", "as", "or", "on", "by", "if", "it"}
SCRIPT = re.compile(r"[A-Za-z][A-Za-z0-9]*'*|\d+[a-z]*'*|[\u0370-\u03ff𝒯\u0302\u0303]+|[*±+−×∞⊥†-]")
#: What stands behind a Σ that is a matrix, and the index of a block of one.
LETTER_BEHIND = re.compile(r"\s*($|[=<>≤≥+\-−,;:)\]→∝])")
GREEK_INDEX = re.compile(r"_\{(\\(Phi|Lambda|Psi) ?)+\}")
TRACE = r"\operatorname{tr} "
TOKEN = re.compile(r"[A-Za-z]+|\d+(?:\.\d+)?|\s+|.", flags=re.DOTALL)


@dataclass
class _Piece:
    """A part of a formula: its LaTeX, whether it can be a factor, and whether it touches what stands before it."""

    latex: str
    factor: bool
    close: bool
    bracketed: bool = False


def latex(text: str, *, display: bool = False) -> str:
    """The LaTeX of one line in plain notation; in a display, words are text and quotients of factors fractions.

    Raises:
        ValueError: the text is no formula, but a word, a name, or code.
    """
    if re.search(r"\*\*|--|[-+*]=|==|\"|[A-Za-z]\.[A-Za-z]|^[\x00-@\[-`{-\x7f]?[^\w*∞]*$", text) and not re.search(
        r"[⁺⁻𝒯⟨·]", text
    ):
        raise ValueError(f"text: {text!r} is code; accepted: a formula in plain notation")
    parser = _Parser(_decomposed(text), display)
    result = parser.sequence("")
    return result.strip()


def is_readable(text: str) -> bool:
    """Whether it can be read as a formula."""
    try:
        latex(text)
    except ValueError:
        return False
    return True


def _decomposed(text: str) -> str:
    """Letters with accents as letter and accent; all else as it stands."""
    parts = []
    for character in text:
        apart = unicodedata.normalize("NFD", character)
        parts.append(apart if len(apart) == 2 and apart[1] in ACCENTS else character)
    return "".join(parts)


class _Parser:
    """Reads tokens from left to right; brackets and indices recursively."""

    def __init__(self, text: str, display: bool) -> None:
        self.text = text
        self.display = display
        self.place = 0
        self.alone = False  # whether the last sequence was one fraction

    def refuse(self, what: str) -> ValueError:
        return ValueError(f"text: {what!r} in {self.text!r} is no part of a formula; accepted: plain notation")

    def ahead(self) -> str:
        """The next token, "" at the end."""
        found = TOKEN.match(self.text, self.place)
        return found[0] if found else ""

    def take(self) -> str:
        token = self.ahead()
        self.place += len(token)
        return token

    def sequence(self, closer: str) -> str:
        """Everything up to ``closer``, which is taken."""
        pieces: list[_Piece] = []
        touches = bool(closer)
        while (token := self.ahead()) != closer:
            if not token:
                raise self.refuse(f"missing {closer}")
            if token.isspace():
                self.take()
                if pieces and pieces[-1].latex == SIGNS[":"]:
                    pieces.append(_Piece(r"\ ", False, False))
                if len(token) > 2 and pieces and self.ahead() not in RELATIONS:
                    pieces.append(_Piece(r"\qquad ", False, False))
                touches = False
                continue
            if token == "/" and self.display and self.quotient(pieces):
                touches = True
                continue
            piece = self.piece(touches)
            if not touches and pieces and pieces[-1].factor and piece.factor:
                pieces.append(_Piece(r"\,", False, False))
            pieces.append(piece)
            touches = True
        self.take()
        self.alone = len(pieces) == 1 and pieces[0].latex.startswith(r"\frac")
        return "".join(piece.latex for piece in pieces)

    def quotient(self, pieces: list[_Piece]) -> bool:
        """Turn the factors before a slash and the one behind it into a fraction; False where there are none."""
        before = len(pieces)
        while before and pieces[before - 1].factor:
            before -= 1
            if not pieces[before].close:
                break
        if before > 1 and pieces[before - 2].latex == TRACE:
            before -= 2
        bars = [place for place in range(before, len(pieces)) if pieces[place].latex == "|"]
        if len(bars) % 2 and pieces[-1].latex != "|":  # the first opens what is closed behind the quotient
            before = bars[0] + 1
        numerator = pieces[before:]
        if not numerator:
            return False
        close = numerator[0].close
        self.take()
        while self.ahead().isspace():
            self.take()
        denominator = [self.piece(True)]
        while denominator[-1].latex == TRACE:
            while self.ahead().isspace():
                self.take()
            denominator.append(self.piece(True))
        if denominator[0].latex in ("|", r"\|"):
            while True:
                denominator.append(self.piece(True))
                if denominator[-1].latex.startswith(denominator[0].latex):
                    break
        while re.fullmatch(r"\d+|d|\\partial", denominator[-1].latex.strip()) and re.match(
            r"[A-Za-zα-ωΑ-Ω]", self.ahead()
        ):
            denominator.append(self.piece(True))
        over, under = (_without_brackets(part) for part in (numerator, denominator))
        pieces[before:] = [_Piece(rf"\frac{{{over}}}{{{under}}}", True, close)]
        return True

    def piece(self, close: bool) -> _Piece:
        """One base with its indices."""
        token = self.take()
        if not token:
            raise self.refuse("the end")
        if token == "√":
            inner = self.piece(True)
            return _Piece(rf"\sqrt{{{_without_brackets([inner])}}}", True, close)
        if token in CLOSERS:
            return self.group(token, close)
        if token in FRACTIONS:
            return _Piece(FRACTIONS[token], True, close)
        if token == "-" and self.ahead() == ">":
            self.take()
            return _Piece(r"\to ", False, close)
        if token in RELATIONS:
            return _Piece(RELATIONS[token], False, close)
        if token in SIGNS:
            bar = token in "|‖"
            return _Piece(self.indices(SIGNS[token], token) if bar else SIGNS[token], bar, close)
        if token in ("Σ", "Π", "∫"):
            return self.large(token, close)
        if GREEK.get(token):
            return _Piece(self.indices(GREEK[token] + ("" if GREEK[token][-1] in "} " else " "), token), True, close)
        if token[0].isdigit():
            return _Piece(self.indices(token, token), True, close)
        if token in RAISED or token in LOWERED:  # an index on its own, such as that of the shift back in time
            self.place -= len(token)
            return _Piece(self.indices("{}", ""), True, close)
        if token.isascii() and token.isalpha():
            return self.word(token, close)
        raise self.refuse(token)

    def group(self, opener: str, close: bool) -> _Piece:
        """Brackets with what they hold."""
        inner = self.sequence(CLOSERS[opener])
        if opener == "{":
            return _Piece(self.indices(rf"\{{{inner}\}}", opener), True, close)
        if self.alone and opener == "(" and not close and self.ahead() not in RAISED and self.ahead() != "^":
            return _Piece(inner, True, close)
        left, right = BRACKETS[opener], BRACKETS[CLOSERS[opener]]
        high = self.display and r"\frac" in inner
        whole = rf"\left{left}{inner}\right{right}" if high else left + inner + right
        with_indices = self.indices(whole, opener)
        return _Piece(with_indices, True, close, bracketed=with_indices == whole and opener == "(")

    def large(self, token: str, close: bool) -> _Piece:
        """A sum, a product or an integral; a Σ or Π without an index below is a letter, unless a factor follows."""
        summed = self.ahead() in ("_", "") or self.ahead().isspace() or token == "∫"
        names = {"Σ": (r"\sum", r"\Sigma "), "Π": (r"\prod", r"\Pi "), "∫": (r"\int", "")}
        letter = (
            token != "∫" and self.ahead() != "_" and not (summed and re.match(r"\s+[A-Za-z(]", self.text[self.place :]))
        )
        lower = self.indices("", "")
        # a matrix of this name: a block of it, or nothing behind it that could be summed
        letter |= token != "∫" and bool(LETTER_BEHIND.match(self.text, self.place) or GREEK_INDEX.fullmatch(lower))
        name = names[token][1] if letter else names[token][0]
        return _Piece((name.strip() if lower else name) + lower + ("" if letter else " "), letter, close)

    def word(self, token: str, close: bool) -> _Piece:
        """A function, the letters of a product, or text."""
        if token in FUNCTIONS:
            return _Piece(self.indices(rf"\{token}", "") + " ", True, close)
        if token in OPERATORS:
            return _Piece(self.indices(rf"\operatorname{{{token}}}", "") + " ", True, close)
        if self.is_text(token):
            if not self.display:
                raise self.refuse(token)
            return self.prose(token, close)
        if len(token) > 1:
            self.place -= len(token) - 1
        letter = token[0]
        return _Piece(self.indices(letter, letter), True, close)

    def is_text(self, token: str) -> bool:
        """Whether a word is of prose: long and in small letters, or a known abbreviation."""
        if token in SHORT_WORDS or token in ("RNN", "DNN", "CKA", "Haar"):
            return True
        if len(token) >= 4 and token.isupper():
            raise self.refuse(token)
        return (
            len(token) >= 3 and not token.isupper() and bool(re.search("[aeiouy]", token)) and not self._indexed(token)
        )

    def _indexed(self, token: str) -> bool:
        return bool(re.match(r"[\^_'⁻ᵀ²]", self.text[self.place :])) and not token.islower()

    def prose(self, token: str, close: bool) -> _Piece:
        """Words up to the next symbol, as text."""
        words = token
        following = re.compile(r"('s)?([ ,]+)([A-Za-z]+)")
        while found := following.match(self.text, self.place):
            word = found[3]
            if "  " in found[2] or not (word == "a" or (len(word) > 1 and self.is_text(word))):
                break
            if word == "a" and not re.match(r" [a-z]{3,}", self.text[found.end() :]):
                break
            words += found[0]
            self.place = found.end()
        if self.text.startswith("'s", self.place):
            self.place += 2
            words += "'s"
        before, after = "" if close else " ", " " if self.ahead().isspace() else ""
        return _Piece(rf"\text{{{before}{words}{after}}}", False, False)

    def indices(self, base: str, symbol: str) -> str:
        """A base with everything that is raised or lowered on it."""
        upper, lower = "", ""
        while True:
            token = self.ahead()
            if token in ACCENTS:
                self.take()
                base = rf"\{ACCENTS[token]}{{{base.strip()}}}"
            elif token == "'" or (token == "*" and symbol.isalpha() and not upper and self._star()):
                self.take()
                upper += "'" if token == "'" else "*"
            elif token and (token in RAISED or token in LOWERED):
                self.take()
                upper, lower = upper + RAISED.get(token, ""), lower + LOWERED.get(token, "")
            elif token == "^":
                self.take()
                upper += self.script(symbol)
            elif token == "_":
                self.take()
                lower += self.script("")
            else:
                break
        if symbol == "" and base == "{}" and not upper + lower:
            raise self.refuse(token)
        primes = upper and not upper.strip("'")
        below, above = (f"_{{{lower}}}" if lower else ""), upper if primes else (f"^{{{upper}}}" if upper else "")
        return (base.strip() if below or above else base) + below + above

    def _star(self) -> bool:
        """Whether a star is an index, not a product: nothing that could be multiplied touches it."""
        return not re.match(r"\*[A-Za-z0-9*]", self.text[self.place :])

    def script(self, symbol: str) -> str:
        """What stands behind ^ or _."""
        opener = self.ahead()
        if opener == "{":
            self.take()
            return self.inner("}")
        if opener == "(":
            self.take()
            inside = self.inner(")")
            return f"({inside})" if symbol in LAYERED else inside
        if opener == "|":
            self.take()
            return f"|{self.inner('|')}|"
        found = SCRIPT.match(self.text, self.place)
        if found is None:
            raise self.refuse(self.ahead())
        self.place = found.end()
        run = found[0]
        if re.search(r"[A-Za-z]{4,}", run) or (re.search(r"[aeiou]", run) and len(run) > 3):
            raise self.refuse(run)
        if run in SUBSCRIPTS:
            return rf"\mathrm{{{run}}}"
        return _Parser(run, False).sequence("") if not re.fullmatch(r"[*±+−×∞⊥†-]", run) else _lone(run)

    def inner(self, closer: str) -> str:
        """An index in brackets: no fractions in it."""
        display, self.display = self.display, False
        try:
            return self.sequence(closer)
        finally:
            self.display = display


def _lone(sign: str) -> str:
    return {"*": "*", "†": r"\dagger ", "∞": r"\infty "}.get(sign) or SIGNS[sign]


def _without_brackets(pieces: list[_Piece]) -> str:
    """A product as numerator, denominator or radicand: brackets around all of it say nothing there."""
    if len(pieces) == 1 and pieces[0].bracketed:
        return re.sub(r"^(\\left)?\(|(\\right)?\)$", "", pieces[0].latex)
    return "".join(piece.latex for piece in pieces)
