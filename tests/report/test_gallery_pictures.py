"""Pictures of the gallery keep the colours of small marks beside large areas of other colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from derivations.report.gallery import WIDTH, shrink

STAR = (230, 159, 0)


def test_a_small_mark_keeps_its_colour_beside_a_map(tmp_path: Path):
    ramp = np.linspace(0, 255, WIDTH)
    whole = np.stack(np.broadcast_arrays(ramp * 0.6, ramp[:300, None], 255 - 0.5 * ramp), axis=2).astype(np.uint8)
    whole[100:112, 200:212] = STAR
    Image.fromarray(whole).save(tmp_path / "whole.png")
    shrink(tmp_path / "whole.png", tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as picture:
        assert picture.mode == "P"
        shown = np.asarray(picture.convert("RGB")).astype(float)
    assert np.abs(shown[100:112, 200:212].mean(axis=(0, 1)) - STAR).max() <= 16
    patches = [slice(start, start + 20) for start in (20, 140, 260)]
    for place in [(row, column) for row in patches for column in patches]:  # a map without steps
        assert np.abs(shown[place].mean(axis=(0, 1)) - whole[place].mean(axis=(0, 1))).max() <= 4


def test_paper_is_white(tmp_path: Path):
    whole = np.full((400, WIDTH, 3), 255, np.uint8)
    whole[:40] = np.linspace(0, 255, WIDTH)[None, :, None]
    whole[50:60, :, 0] = np.linspace(0, 250, WIDTH)
    Image.fromarray(whole).save(tmp_path / "whole.png")
    shrink(tmp_path / "whole.png", tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as picture:
        assert np.all(np.asarray(picture.convert("RGB"))[100:] == 255)
