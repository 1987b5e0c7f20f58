"""In Chromium no space is left behind a root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from derivations.report.page import font_style, roots_script, site_style
from derivations.report.typeset import mathml
from tests.report.browser import visit

GAPS = """() => [...document.querySelectorAll("msqrt")].map((root) =>
  root.parentElement.getBoundingClientRect().right - root.lastElementChild.getBoundingClientRect().right)"""


def test_nothing_is_behind_a_root(chromium: Any, tmp_path: Path):
    roots = "".join(f"<p>{mathml(root)}, and</p>" for root in (r"\sqrt{w}", r"\sqrt{w\,M_{ss}}", r"\sqrt{\frac{a}{b}}"))
    page = tmp_path / "roots.html"
    page.write_text(
        f"<meta charset='utf-8'><style>{font_style()}{site_style()}</style>{roots}<script>{roots_script()}</script>",
        encoding="utf-8",
    )
    with visit(chromium, page) as seen:
        seen.page.evaluate("document.fonts.ready")
        gaps = seen.page.evaluate(GAPS)
        assert len(gaps) == 3
        assert max(gaps) < 1  # pixel; without the script seven
        assert not seen.errors
