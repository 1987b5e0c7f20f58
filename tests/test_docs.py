"""The website of `make docs`: every public name is documented, no link is dead; the citation is of this version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from derivations.commands.reproduce import PANELS
from derivations.report import site
from tests.pages import ROOT


@pytest.fixture(scope="module", name="website")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pdoc")
    folder = tmp_path_factory.mktemp("site")
    with pytest.raises(SystemExit) as stop:
        site.main(["--out", str(folder)])
    assert stop.value.code == 0
    return folder


@pytest.mark.slow
def test_no_link_is_dead_and_every_module_is_there(website: Path):
    assert site.dead_links(website) == []
    for package in site.PACKAGES:
        for source in (ROOT / package).rglob("*.py"):
            page = website / "api" / source.relative_to(ROOT).with_suffix(".html")
            if source.name == "__init__.py":
                page = website / "api" / source.parent.relative_to(ROOT).with_suffix(".html")
            assert page.is_file(), page


@pytest.mark.slow
def test_the_public_names_are_documented(website: Path):
    text = (website / "api" / "numerics.html").read_text(encoding="utf-8")
    for name in ("Problem", "solve", "endpoint", "Solution"):
        assert f'id="{name}"' in text


def test_a_dead_link_is_found(tmp_path: Path):
    (tmp_path / "a.html").write_text('<a href="b.html#x">1</a> <a href="b.html#y">2</a> <img src="c.png">')
    (tmp_path / "b.html").write_text('<p id="x"></p> <a href="https://example.org/absent">3</a>')
    assert sorted(site.dead_links(tmp_path)) == ["a.html: b.html#y", "a.html: c.png"]


def test_pages_become_html_with_their_pictures(tmp_path: Path):
    for name in site.DOCUMENTS:
        site.write_document(ROOT / name, tmp_path)
    dead = [link for link in site.dead_links(tmp_path) if "api/" not in link]
    assert dead == []


def test_the_gallery_shows_panels_as_they_are_registered():
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    headings = dict(re.findall(r"^## (.+)\n\n!\[.*?\]\(gallery/(.+)\.png\)", text, flags=re.MULTILINE))
    assert headings == {
        f"{panel.number} · {panel.title}": name for name, panel in PANELS.items() if name in headings.values()
    }
    pictures = {path.stem: path.stat().st_size for path in (ROOT / "docs" / "gallery").glob("*.png")}
    assert set(pictures) == set(headings.values())
    assert max(pictures.values()) < 300_000


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
