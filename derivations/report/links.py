"""The links of a folder of pages, and those that lead nowhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag


class Links(HTMLParser):
    """The addresses that a page leads to, and the places in it that can be led to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element refers to and what it is called."""
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.addresses.append(value)
            elif value and name in ("id", "name"):
                self.places.add(value)


def dead_links(folder: Path) -> list[str]:
    """Links within the folder's pages to files or places that are not there, as ``page: address``."""
    pages: dict[Path, Links] = {}
    for path in folder.rglob("*.html"):
        links = Links()
        links.feed(path.read_text(encoding="utf-8"))
        pages[path.resolve()] = links
    dead = []
    for path, links in pages.items():
        for address in links.addresses:
            if re.match(r"[a-z]+:", address):  # the network, or data
                continue
            file, place = urldefrag(address)
            target = (path.parent / unquote(file)).resolve() if file else path
            found = target.is_file() and (not place or target not in pages or unquote(place) in pages[target].places)
            if not found:
                dead.append(f"{path.relative_to(folder.resolve())}: {address}")
    return dead
