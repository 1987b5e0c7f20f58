"""The report in a browser: it renders, asks for nothing, logs nothing, and its sliders show what the solver finds."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import nsimplify

from derivations.__main__ import main
from derivations.figures import panels as figures
from derivations.report import checks, notebooks, panels, transition
from numerics import endpoint, solve
from numerics.predictors.observables import outliers
from tests.report.browser import DESKTOP, PHONE, visit
from theory.critical_point import critical_point

CHECKED = {
    "z": [0.5, -1.5, 2.0, -0.1, 0.0, 1.0],
    "z_limit": 3.8,
    "cka": 0.99999,
    "ess": 900.0,
    "rhat": 1.001,
    "verdict": "agrees",
    "reason": "every entry agrees",
}
SCRIPT = r"""# %% [markdown]
# # A small derivation of $\frac{a}{b}$
#
# $$\lambda_c=\frac{(8+\kappa)^2}{8}$$

# %%
assert 1 + 1 == 2
print(r"lambda_c = \frac{\left(\kappa + 8\right)^{2}}{8}")
"""


@pytest.fixture(scope="module", name="report")
def make_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of one panel, one check, one small derivation and two horizons, made by the command."""
    folder = tmp_path_factory.mktemp("report")
    script = folder / "01_small.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, script)
        with pytest.raises(SystemExit) as stop:
            main(["report", "--out", str(folder / "out"), "--quick"])
    assert stop.value.code == 0
    return folder / "out" / "report.html"


def shorten(patch: pytest.MonkeyPatch, script: Path) -> None:
    """Little work; everything else as the command does it."""
    patch.setattr(figures, "NAMES", ("propagator-paths",))
    patch.setattr(checks, "CASES", checks.CASES[1:2])
    # the simulation itself has tests of its own; here only its place on the page counts
    patch.setattr(checks, "run", lambda case, settings: CHECKED)
    patch.setattr(notebooks, "scripts_in_order", lambda: [script])
    patch.setattr(transition, "HORIZONS", (4, 5))


def set_slider(page: Any, name: str, value: float) -> dict[str, Any]:
    """Move one slider as a user does and read what the figure then shows."""
    page.evaluate(
        "([id, value]) => { const s = document.getElementById(id); s.value = value;"
        " s.dispatchEvent(new Event('input', { bubbles: true })); }",
        [name, value],
    )
    return shown(page)


def shown(page: Any) -> dict[str, Any]:
    return json.loads(page.get_attribute("#figure", "data-state"))


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_it_renders_without_error_or_request(chromium, report: Path, size, scheme):
    with visit(chromium, report, size, scheme) as seen:
        page = seen.page
        for details in page.query_selector_all("details"):
            details.evaluate("d => d.open = true")
        page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        # typeset: a fraction is higher than a line of text
        assert page.evaluate("document.querySelector('#derivations mfrac').getBoundingClientRect().height") > 20
        assert page.evaluate("document.fonts.check('16px \"STIX Two Math\"')")
        assert seen.errors == []
        assert seen.requests == []


def test_the_sliders_show_what_the_solver_finds(chromium, report: Path):
    with visit(chromium, report) as seen:
        page = seen.page
        pictures = set()
        for T, kappa, position in ((4, 1.0, 0.85), (4, 3.0, 0.85), (5, 3.0, 0.85), (5, 0.5, 0.95), (4, 0.0, 0.4)):
            set_slider(page, "horizon", T)
            set_slider(page, "noise", kappa)
            state = set_slider(page, "signal", position)
            assert (state["T"], state["kappa"]) == (T, kappa)
            solution = solve(endpoint(T, state["signal"], kappa=kappa))
            found = state["states"][0]
            assert found["name"] == solution.branch
            assert found["freeEnergy"] == pytest.approx(solution.free_energy, rel=1e-4)
            scale = solution.kernel.max()
            np.testing.assert_allclose(np.abs(found["kernel"]), np.abs(solution.kernel), atol=1e-3 * scale)
            assert state["critical"] == pytest.approx(float(critical_point(T, nsimplify(kappa)).signal))
            expected = outliers(solution)[0]
            assert len(state["outliers"]) == len(expected)
            for (real, imaginary), value in zip(state["outliers"], expected, strict=True):
                # up to W → -W
                assert min(abs(complex(real, imaginary) - sign * value) for sign in (1, -1)) < 1e-2
            pictures.add(page.inner_html("#curve") + page.inner_html("#rnn-kernel") + page.inner_html("#spectrum"))
            pictures.add(page.inner_text("#reading"))
        assert len(pictures) == 10
        assert seen.errors == []


def test_the_keyboard_moves_a_slider(chromium, report: Path):
    with visit(chromium, report) as seen:
        before = shown(seen.page)["signal"]
        seen.page.focus("#signal")
        seen.page.keyboard.press("ArrowRight")
        assert shown(seen.page)["signal"] > before


def test_print_opens_the_derivations(chromium, report: Path):
    with visit(chromium, report) as seen:
        assert seen.page.pdf()[:4] == b"%PDF"
        seen.page.emulate_media(media="print")
        seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert seen.page.evaluate("document.querySelector('details.derivation').open")
        assert seen.page.evaluate("document.querySelector('#derivations math').getBoundingClientRect().height") > 0


def test_it_is_one_file_with_sound_references(report: Path):
    text = report.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?!data:|#)""", text)
    assert "url(http" not in text
    identifiers = Counter(re.findall(r'\sid="([^"]+)"', text))
    assert max(identifiers.values()) == 1
    for target in re.findall(r'href="#([^"]+)"', text):
        assert target in identifiers
    for image in re.findall(r"<img [^>]*>", text):
        assert 'alt="' in image
    for table in ("propagator-paths.csv", "7000"):  # the numbers, and the seed
        assert table in text


def test_finished_work_is_reused_and_a_failure_leaves_the_old_page(report: Path, monkeypatch):
    before = report.read_bytes()
    shorten(monkeypatch, report.parents[1] / "01_small.py")

    def never(*arguments: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(panels, "make_panel", never)
    monkeypatch.setattr(checks, "run", never)
    monkeypatch.setattr(notebooks, "execute", never)
    arguments = ["report", "--out", str(report.parent), "--quick"]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    after = report.read_bytes()
    assert after == before
    monkeypatch.setattr(transition, "interactive_data", never)
    with pytest.raises(AssertionError, match="made again"):
        main(arguments)
    assert report.read_bytes() == after
    assert [path.name for path in report.parent.glob("*.html")] == ["report.html"]


def test_it_asks_for_a_folder(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report"])
    assert stop.value.code == 2
    assert "--out" in capsys.readouterr().err


def test_without_the_notebooks_extra_it_says_so_at_once(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        main(["report", "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert "unrolled[notebooks]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
