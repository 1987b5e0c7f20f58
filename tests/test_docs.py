"""The pages and the website of `make docs`: no link is dead, no cited section or named file is absent."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import unrolled
from derivations.figures.panels import NAMES, panel
from derivations.report import reference, site
from derivations.report.links import dead_links
from derivations.report.notebooks import APPENDIX
from derivations.report.typeset import document
from numerics.inputs.problem_record import VERSION
from tests.pages import ROOT

THEORY = "docs/theory.md"
PAGES = ("README.md", "CONTRIBUTING.md", "docs/how-do-i.md", "docs/real-data.md", THEORY)
#: "section 3", "sections 6, 8 and 9", "section\n14": the numbers, over the end of a line in a docstring or a comment.
GAP = r"(?:\n *# |\s)+"
SECTION = re.compile(rf"\b[Ss]ections?{GAP}(\d+(?:\.\d+)*(?:(?:,|{GAP}and){GAP}\d+)*)")


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
    assert dead_links(website) == []
    for package in reference.PACKAGES:
        for source in (ROOT / package).rglob("*.py"):
            page = website / "api" / source.relative_to(ROOT).with_suffix(".html")
            if source.name == "__init__.py":
                page = website / "api" / source.parent.relative_to(ROOT).with_suffix(".html")
            assert page.is_file(), page


@pytest.mark.slow
def test_the_public_names_are_documented(website: Path):
    text = (website / "api" / "numerics.html").read_text(encoding="utf-8")
    landing = (website / "index.html").read_text(encoding="utf-8")
    for name in ("Problem", "solve", "endpoint", "Solution"):
        assert f'id="{name}"' in text
    for name in set(unrolled.__all__) - {"numerics", "theory", "tasks"}:
        assert f'href="api/unrolled.html#{name}"' in landing
    assert 'href="api/numerics/tasks.html"' in landing


@pytest.mark.slow
def test_the_reference_is_typeset_and_leads_back(website: Path):
    for page in website.rglob("*.html"):
        if page.name != "index.html":
            assert re.search(r'href="(\.\./)*index\.html"', page.read_text(encoding="utf-8")), page
    text = (website / "api" / "theory" / "critical_point.html").read_text(encoding="utf-8")
    assert text.count("<math") > 5
    assert 'href="../../docs/theory.html#section-5"' in text
    text = (website / "api" / "numerics" / "nonlinear" / "fluctuations.html").read_text(encoding="utf-8")
    assert '<div class="formula"' in text
    assert "Σ_kl" not in text
    for page, module in (
        ("index.html", "numerics/predictors"),
        ("numerics/predictors.html", "../numerics/predictors/predictions"),
    ):
        text = (website / "api" / page).read_text(encoding="utf-8")
        assert f'href="{module}.html"' in text.partition("<main")[2]
    text = (website / "api" / "unrolled.html").read_text(encoding="utf-8")
    assert "FloatArray" in text
    assert "numpy.ndarray[tuple" not in re.sub(r"<[^>]+>", "", text)
    text = (website / "api" / "theory" / "matrix_calculus.html").read_text(encoding="utf-8")
    assert "LogDet" in text
    assert "is_composite" not in text
    text = (website / "api" / "numerics" / "continuation" / "parameters.html").read_text(encoding="utf-8")
    assert "lambda$" not in text


@pytest.mark.slow
def test_the_search_has_no_repeats(website: Path):
    script = (website / "api" / "search.js").read_text(encoding="utf-8")
    assert len(script) < 1_500_000
    entries = re.findall(r'"fullname": ?"([\w.]+)"', script)
    assert len(entries) > 1000
    for name in ("solve", "Problem", "critical_point"):
        functions = [entry for entry in entries if entry.endswith(f".{name}")]
        assert functions[0] in (f"unrolled.{name}", f"theory.{name}"), functions
        assert not [
            entry for entry in functions[1:] if entry.startswith(("numerics.inputs", "numerics.solving", "numerics.S"))
        ]


@pytest.mark.slow
def test_every_derivation_is_a_page(website: Path):
    landing = (website / "index.html").read_text(encoding="utf-8")
    for script in APPENDIX.glob("[0-9]*.py"):
        assert f'href="derivations/{script.stem}.html"' in landing


def test_a_dead_link_is_found(tmp_path: Path):
    (tmp_path / "a.html").write_text('<a href="b.html#x">1</a> <a href="b.html#y">2</a> <img src="c.png">')
    (tmp_path / "b.html").write_text('<p id="x"></p> <a href="https://example.org/absent">3</a>')
    assert sorted(dead_links(tmp_path)) == ["a.html: b.html#y", "a.html: c.png"]


def test_pages_become_html_with_their_pictures(tmp_path: Path):
    for name in site.DOCUMENTS:
        site.write_document(ROOT / name, tmp_path)
    made = ("api/", "derivations/", "index.html", ".css")  # by the whole site
    assert [link for link in dead_links(tmp_path) if not any(part in link for part in made)] == []


def test_formulas_of_the_theory_page_are_typeset(tmp_path: Path):
    markup = document((ROOT / THEORY).read_text(encoding="utf-8"))
    code = re.findall(r"<code[^>]*>(.*?)</code>", markup, flags=re.DOTALL)
    # what stays code: files, words, words with a parameter, indexed arrays
    word = r"[\w./]+|[a-z]+:[\w−]+|[xy]\[.*\]|docs/theory.md section N|unrolled .*"
    assert [text for text in code if not re.fullmatch(word, text)] == []
    assert markup.count("<math") > 400
    for section in theory_sections():
        assert f'<h2 id="{section}-' in markup


def test_the_gallery_shows_panels_as_they_are_registered():
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    headings = dict(re.findall(r"^## (.+)\n\n!\[.*?\]\(gallery/(.+)\.png\)", text, flags=re.MULTILINE))
    assert headings == {
        f"{panel(name).number} · {panel(name).title}": name for name in NAMES if name in headings.values()
    }
    pictures = {path.stem: path.stat().st_size for path in (ROOT / "docs" / "gallery").glob("*.png")}
    assert set(pictures) == set(headings.values())
    assert max(pictures.values()) < 300_000


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"] == VERSION
    assert citation["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


LISTING = ("checking", "continuation", "linear", "lowering", "nonlinear", "symmetry")


@pytest.mark.parametrize("package", ["theory", *(f"numerics/{name}" for name in LISTING)])
def test_a_package_that_lists_its_modules_lists_all_and_nothing_that_is_gone(package: str):
    folder = ROOT / package
    sources = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    words = set(re.findall(r"``([a-z]\w+)``", ast.get_docstring(ast.parse(sources.pop("__init__"))) or ""))
    assert set(sources) - words == set()
    others = words - set(sources) - {path.parent.name for path in folder.glob("*/__init__.py")}
    assert {word for word in others if not any(f"def {word}(" in text for text in sources.values())} == set()


def sources() -> Iterator[tuple[str, str]]:
    """Name and text of every Python file but this one."""
    for folder in ("unrolled", "theory", "numerics", "derivations", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != Path(__file__):
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def miscited(name: str, text: str, sections: set[int]) -> list[str]:
    """Citations of sections in a file that are none of the theory page's, the poster's, or a dated work's.

    In a literate derivation, a section without a source is one of its own.
    """
    own = {int(number) for number in re.findall(r"^# ## (\d+)\. ", text, flags=re.MULTILINE)}
    wrong = [
        f"{name}: {line.strip()}" for line in text.splitlines() if re.search(r"THEORY\.md|(?<!docs/)theory\.md", line)
    ]
    for found in SECTION.finditer(text):
        before = re.sub(rf"{GAP}", " ", text[max(0, found.start() - 60) : found.start()])
        if re.search(r"(the poster's |\b(19|20)\d\d, )$", before):
            continue
        allowed = sections if before.endswith(f"{THEORY} ") else own
        if not all(number in map(str, allowed) for number in re.findall(r"[\d.]+", found[1])):
            wrong.append(f"{name}: {before[-30:]}{found[0]}")
    return wrong


def theory_sections() -> list[int]:
    text = (ROOT / THEORY).read_text(encoding="utf-8")
    return [int(number) for number in re.findall(r"^## (\d+)\. ", text, flags=re.MULTILINE)]


def test_every_cited_section_is_on_the_theory_page():
    assert theory_sections() == list(range(1, 15))
    sections = set(theory_sections())
    assert [fault for name, text in sources() for fault in miscited(name, text, sections)] == []
    cited = {name for name, text in sources() if f"{THEORY} section" in text}
    assert len([name for name in cited if name.startswith(("theory/", "numerics/"))]) > 30


@pytest.mark.parametrize(
    "text",
    [
        f"{THEORY} section 15",
        f"{THEORY} sections 3 and 15",
        f"{THEORY}\nsection 15",
        f"{THEORY} section 3.1",
        "THEORY.md section 3",
        "theory.md section 3",
        "(section 3)",
        "Section 3",
        "# see\n# section 3",
    ],
)
def test_a_wrong_citation_is_found(text: str):
    assert miscited("file", text, set(range(1, 15))) != []


@pytest.mark.parametrize(
    "text",
    [
        f"{THEORY} section 14",
        f"# ({THEORY}\n    # sections 1, 6 and 9)",
        "the poster's section 5",
        "(Author 1990, section 5.1)",
        "# ## 2. A heading\n# as in section 2",
    ],
)
def test_a_right_citation_is_accepted(text: str):
    assert miscited("file", text, set(range(1, 15))) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_exist(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:theory|numerics|derivations|tests|docs)/[\w/.-]*)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    if page == THEORY:
        assert len(named) > 40


def test_the_map_of_folders_is_complete():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    mapped = set(re.findall(r"^\| `([\w/]+)/` \|", text, flags=re.MULTILINE))
    for package in ("unrolled", "theory", "numerics", "derivations"):
        folders = {str(path.parent.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert folders <= mapped, folders - mapped


def test_the_theory_page_marks_what_the_program_does_not_have():
    text = (ROOT / THEORY).read_text(encoding="utf-8")
    parts = dict(zip(theory_sections(), re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:], strict=True))
    without = {number for number, part in parts.items() if "In the code:" not in part}
    assert without == {number for number, part in parts.items() if re.search(r"\*Beyond.*not yet in the program", part)}


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[0].split()
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert list(listed) == targets
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in shown.splitlines()}) == 1


def test_hosted_ci_and_the_hooks_run_what_is_run_here():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["ruff", "ruff-format", "mypy"]
    for hook in hooks:
        command = hook["entry"].replace(".venv/bin", "$(BIN)").replace(" --force-exclude", "")
        assert f"\t{command}" in makefile


def test_derivations_that_are_named_by_their_file_are_linked():
    named = "<code>14_learning_transition.py</code>"
    page = '<a href="../derivations/14_learning_transition.html">'
    assert site._with_code_linked(named, "../") == f"{page}{named}</a>"
    assert site._with_code_linked("<code>99_nothing.py</code>", "../") == "<code>99_nothing.py</code>"


def test_the_sentence_of_a_name_ends_where_it_does_whatever_is_within_brackets():
    def named():
        """Alignment ``tr(AB)/√(tr(A²)tr(B²))`` (a. b) of two. Another.

        Raises:
            Error: never.
        """

    sentence = re.sub("<.*?>", "", site._sentence(named))
    assert sentence.endswith("of two.")
    assert "Another" not in sentence


def test_lines_of_a_page_end_within_paths_but_not_within_options():
    names = ("theory/one_loop.py", "theory.one_loop", "FILE.npz", "solve x --all-branches")
    assert site._with_code_broken(" ".join(f"<code>{name}</code>" for name in names)) == (
        "<code>theory/<wbr>one_<wbr>loop.py</code> <code>theory.<wbr>one_loop</code> <code>FILE.npz</code> "
        '<code>solve x <span class="whole">--all-branches</span></code>'
    )
