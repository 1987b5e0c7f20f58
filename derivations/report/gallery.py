"""`make gallery`: a page with a small picture of every panel that was made in a folder."""

from __future__ import annotations

import json
import re
from functools import reduce
from pathlib import Path

import click

from derivations.figures.panels import NAMES, panel
from derivations.report.typeset import with_dollars
from numerics.files import whole_file, write_text

ROOT = Path(__file__).parents[2]
#: Pixels across: sharp at column width, and small.
WIDTH = 900
PREFACE = """# Gallery

The panels of the poster as `unrolled reproduce` remakes them, numbered by its sections. With the name below a picture,
`unrolled reproduce NAME --out DIR` makes that panel alone, with the numbers behind it as CSV. The pictures here were
made with `--quick`: shorter simulations, larger error bars.
"""


BEYOND = """## Beyond the poster

Any weight sharing between RNN and DNN, skip connections, several outputs; learning transitions. Theory and sampled
networks together, as above.
"""


@click.command()
@click.option("--panels", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
def main(panels: Path) -> None:
    """Write docs/gallery.md and docs/gallery/ from the panels that are finished in a folder; the others stay."""
    sections, before = [PREFACE], known_sections()
    for name in NAMES:
        if panel(name).number.startswith("7") and BEYOND not in sections:
            sections.append(BEYOND)
        if not (panels / f"{name}.json").is_file():
            click.echo(f"{name}: is not in {panels}; {'stays as it is' if name in before else 'left out'}", err=True)
            sections += [before[name]] if name in before else []
            continue
        record = json.loads((panels / f"{name}.json").read_text(encoding="utf-8"))
        picture = next(panels / file for file in record["files"] if file.endswith(".png"))
        shrink(picture, ROOT / "docs" / "gallery" / f"{name}.png")
        summary = record["summary"].removeprefix(f"{name}: ")
        shown = panel(name)
        sections.append(
            f"## {shown.number} · {shown.title}\n\n![{shown.title}](gallery/{name}.png)\n\n"
            f"{with_dollars(record['caption'])}\n\n*`{name}`: {with_dollars(summary.rstrip('.'))}.*\n"
        )
    write_text(ROOT / "docs" / "gallery.md", "\n".join(sections))
    click.echo(ROOT / "docs" / "gallery.md")


def known_sections() -> dict[str, str]:
    """The page's sections by panel, as they stand."""
    page = ROOT / "docs" / "gallery.md"
    parts = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE) if page.is_file() else []
    named = ((re.search(r"\(gallery/(.+)\.png\)", part), part) for part in parts)
    return {found[1]: part.rstrip("\n") + "\n" for found, part in named if found}


def shrink(source: Path, target: Path) -> None:
    """The picture at most `WIDTH` pixels across, in a palette of its own colours, those of small marks included; paper
    is white."""
    from PIL import Image, ImageChops

    with Image.open(source) as whole:
        picture = whole.convert("RGB")
    picture.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    with whole_file(target) as temporary:
        # a palette of what there is, not of what there is much of; spread, or maps would have steps
        palette = picture.quantize(255, Image.Quantize.MAXCOVERAGE)
        shown = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        colours = (shown.getpalette() or [])[: 3 * 255]
        shown.putpalette([*colours, *[255] * (3 * 256 - len(colours))])
        paper = reduce(ImageChops.darker, picture.split()).point(lambda least: 255 * (least == 255))
        shown.paste(255, mask=paper)
        shown.save(temporary, optimize=True)


if __name__ == "__main__":
    main()
