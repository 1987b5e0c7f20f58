"""The documentation's code as its reader would run it: block after block, in one empty folder."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/how-do-i.md", "docs/real-data.md")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language and its text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks that have a language, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)]


def commands(text: str) -> list[list[str]]:
    """The arguments of every `unrolled …` line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("unrolled ")]


def mentioned(page: str) -> list[list[str]]:
    """The arguments of every `unrolled …` in the page's prose and tables that has no placeholder."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`unrolled ([^`]+)`", text)
    return [shlex.split(span) for span in spans if not re.search(r"[A-Z]{3}|…", span)]
