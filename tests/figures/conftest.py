"""Panels are drawn in one format, but by the test that says which there are."""

from __future__ import annotations

import pytest

from derivations.figures import panel

FORMATS = panel.FORMATS


@pytest.fixture(autouse=True)
def _one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "FORMATS", ("svg",))
